//go:build unix

package returners

import (
	"os"
	"syscall"
)

// lockFile makes a file this process's until it is closed.
func lockFile(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX) }
