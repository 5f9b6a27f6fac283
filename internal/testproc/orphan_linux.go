package testproc

import "syscall"

// endWithTest has the system end a daemon when the thread that started it ends.
func endWithTest(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGKILL }
