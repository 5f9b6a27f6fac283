//go:build !linux

package testproc

import "syscall"

// endWithTest does nothing: a daemon outlives a test process that is killed.
func endWithTest(*syscall.SysProcAttr) {}
