//go:build unix

package modules

import (
	"os"
	"syscall"
)

// signalProcess sends a signal; os.ErrProcessDone is for a process that is not there.
func signalProcess(pid, sig int) error {
	err := syscall.Kill(pid, syscall.Signal(sig))
	if err == syscall.ESRCH {
		return os.ErrProcessDone
	}
	return err
}
