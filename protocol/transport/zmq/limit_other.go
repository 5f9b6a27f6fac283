//go:build !unix

package zmq

import "syscall"

// descriptorLimit is not known: these systems number handles otherwise.
func descriptorLimit() int { return 0 }

func descriptor(syscall.RawConn) int { return -1 }
