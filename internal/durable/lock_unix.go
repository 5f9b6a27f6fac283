//go:build unix

package durable

import (
	"errors"
	"os"
	"syscall"
)

// TryLock holds a file for whoever has opened it, unless another has: in this process or
// in another one. Closing the file gives it up, and so does the end of the process, however
// it ends. The processes that it starts do not inherit it.
func TryLock(f *os.File) (bool, error) {
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
