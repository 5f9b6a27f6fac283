//go:build unix

package vm

import (
	"errors"
	"os"
	"syscall"
)

// tryLock holds the file for this process, unless another does. Closing it, or the end of
// the process, however it ends, gives it up.
func tryLock(f *os.File) (bool, error) {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, syscall.EWOULDBLOCK):
			return false, nil
		case !errors.Is(err, syscall.EINTR):
			return false, err
		}
	}
}
