//go:build unix

package modules

import (
	"errors"
	"os"
	"syscall"
)

// lockFile waits until nobody else holds the file: another process, or another job
// of this one, which has opened it for itself. Closing it unlocks.
func lockFile(f *os.File) error {
	for {
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
