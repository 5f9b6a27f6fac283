package zmq

import (
	"errors"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// control returns a function for net.ListenConfig or net.Dialer that bounds how long
// sent data may stay unacknowledged. Accepted connections inherit it.
func control(userTimeout time.Duration) func(string, string, syscall.RawConn) error {
	return func(_, _ string, raw syscall.RawConn) error {
		if userTimeout <= 0 {
			return nil
		}
		var e error
		err := raw.Control(func(fd uintptr) {
			e = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(userTimeout/time.Millisecond))
		})
		return errors.Join(err, e)
	}
}
