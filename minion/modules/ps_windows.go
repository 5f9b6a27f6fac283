package modules

import (
	"fmt"
	"os"
	"syscall"
)

// signalProcess ends a process: Windows knows no other signals than 9 and 15, which
// are the same there. os.ErrProcessDone is for a process that is not there.
func signalProcess(pid, sig int) error {
	if sig != int(syscall.SIGKILL) && sig != int(syscall.SIGTERM) {
		return fmt.Errorf("no signal %d on Windows: 9 and 15 end a process", sig)
	}
	p, err := os.FindProcess(pid)
	if err != nil {
		return os.ErrProcessDone
	}
	defer p.Release()
	return p.Kill()
}
