//go:build unix

package join

import (
	"os"
	"syscall"
)

// giveToOwner makes what root has just made belong to the owner of the directory it is in, so
// that a master of another user can work with it.
func giveToOwner(name, dir string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	fi, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if st, ok := fi.Sys().(*syscall.Stat_t); ok && st.Uid != 0 {
		return os.Lchown(name, int(st.Uid), int(st.Gid))
	}
	return nil
}
