//go:build unix

package ansible

import (
	"os/exec"
	"syscall"
)

// ownGroup lets the end of the time end what the program started, too.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
