//go:build unix

package durable

import (
	"os"
	"syscall"
)

// GiveToOwner makes a file that root writes belong to the owner of its directory, so that
// a daemon of another user can read and remove it. It takes the open file, as the owner of
// the directory could put another one in the place of its name.
func GiveToOwner(f *os.File, dir string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	fi, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if st, ok := fi.Sys().(*syscall.Stat_t); ok && st.Uid != 0 {
		return f.Chown(int(st.Uid), int(st.Gid))
	}
	return nil
}
