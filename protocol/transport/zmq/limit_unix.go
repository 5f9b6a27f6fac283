//go:build unix

package zmq

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// descriptorLimit is the process's soft limit, which the Go runtime has raised to the
// hard one.
func descriptorLimit() int {
	var r unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &r) != nil || r.Cur > 1<<30 {
		return 0
	}
	return int(r.Cur)
}

// descriptor is the number of a connection's descriptor, -1 where it has none.
func descriptor(raw syscall.RawConn) int {
	n := -1
	if raw != nil {
		raw.Control(func(fd uintptr) { n = int(fd) })
	}
	return n
}
