package modules

import (
	"io/fs"
	"syscall"
	"time"
)

// fileTime is a time of a file: atime, ctime or mtime.
func fileTime(fi fs.FileInfo, which string) time.Time {
	st, ok := fi.Sys().(*syscall.Stat_t)
	switch {
	case !ok || which == "mtime":
		return fi.ModTime()
	case which == "ctime":
		return time.Unix(st.Ctim.Unix())
	}
	return time.Unix(st.Atim.Unix())
}
