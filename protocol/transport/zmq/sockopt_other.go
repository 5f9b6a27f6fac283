//go:build !linux

package zmq

import (
	"syscall"
	"time"
)

// control has nothing to set: keepalive and the transport's own PINGs find a dead peer.
func control(time.Duration) func(string, string, syscall.RawConn) error { return nil }
