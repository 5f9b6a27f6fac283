package fileserver

import (
	"fmt"
	"io/fs"
	"syscall"
)

// statList is Python's list(os.stat(path)).
func statList(fi fs.FileInfo) []int64 {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return plainStat(fi)
	}
	return []int64{int64(st.Mode), int64(st.Ino), int64(st.Dev), int64(st.Nlink), int64(st.Uid), int64(st.Gid), st.Size,
		int64(st.Atim.Sec), int64(st.Mtim.Sec), int64(st.Ctim.Sec)}
}

// identity changes when a file does: its inode, size and times of change.
func identity(fi fs.FileInfo) string {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return plainIdentity(fi)
	}
	return fmt.Sprintf("%d.%d.%d.%d.%d", st.Dev, st.Ino, st.Size, st.Mtim.Nano(), st.Ctim.Nano())
}

// sameDir identifies a directory, so that one that contains itself by a link is walked once.
func sameDir(fi fs.FileInfo) any {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return [2]uint64{uint64(st.Dev), st.Ino}
	}
	return nil
}
