//go:build unix

package jobs

import (
	"errors"
	"os"
	"syscall"
)

// claim makes this process the owner of the store, unless another is.
func claim(path string) (owner bool, release func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return false, nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, func() {}, f.Close()
	}
	if err != nil {
		return false, nil, errors.Join(err, f.Close())
	}
	return true, func() { f.Close() }, nil // closing gives up the lock
}
