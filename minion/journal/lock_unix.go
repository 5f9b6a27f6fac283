//go:build unix

package journal

import (
	"errors"
	"os"
	"syscall"
)

// lock makes the file this process's alone until it is closed, and says whether
// another process has it. The processes that jobs start do not inherit it.
func lock(f *os.File) (taken bool, err error) {
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return true, nil
	}
	return false, err
}
