package daemon

import (
	"log/slog"
	"syscall"
)

// prepare sets what a process that holds keys should have: files that only their
// owner can read, no core dumps, and all the descriptors it may have.
func prepare(log *slog.Logger) {
	syscall.Umask(0o077)
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}); err != nil {
		log.Debug("core dumps could not be turned off", "error", err)
	}
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return
	}
	want := syscall.Rlimit{Cur: max(l.Max, 65536), Max: max(l.Max, 65536)}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &want); err != nil {
		l.Cur = l.Max
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
			log.Warn("the limit of open files could not be raised", "error", err)
		}
	}
}
