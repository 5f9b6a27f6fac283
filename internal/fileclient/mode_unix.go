//go:build unix

package fileclient

import (
	"io/fs"
	"os"
	"syscall"
)

// umask reads the process's umask, which can only be read by setting it; once, before
// anything else runs.
func umask() fs.FileMode {
	m := syscall.Umask(0o022)
	syscall.Umask(m)
	return fs.FileMode(m)
}

// keepOwner gives a new file the owner of the one that it replaces, where that is allowed.
func keepOwner(f *os.File, old string) {
	fi, err := os.Stat(old)
	if err != nil {
		return
	}
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		_ = f.Chown(int(st.Uid), int(st.Gid))
	}
}
