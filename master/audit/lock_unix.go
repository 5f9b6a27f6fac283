//go:build unix

package audit

import (
	"errors"
	"os"
	"syscall"
)

// lockFile waits until no other process holds the file.
func lockFile(f *os.File) error {
	for {
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// unlockFile cannot fail for a file that is locked, and closing unlocks as well.
func unlockFile(f *os.File) { _ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN) }
