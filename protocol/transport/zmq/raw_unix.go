//go:build unix

package zmq

import (
	"io"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// initRaw prepares the non-blocking calls.
func (c *conn) initRaw() {
	if sc, ok := c.nc.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			c.raw = raw
			c.readFn = c.tryRead
		}
	}
}

// fill reads once into the buffer, waiting for bytes without one: ten thousand idle
// connections hold none.
func (c *conn) fill() (int, error) {
	if c.raw == nil {
		return c.fillBlocking()
	}
	if err := c.raw.Read(c.readFn); err != nil {
		return 0, err
	}
	return c.readN, c.readErr
}

// fillNow reads into the buffer what has come, 0 bytes if nothing has.
func (c *conn) fillNow() (n int, err error) {
	e := c.raw.Read(func(fd uintptr) bool {
		if !c.tryRead(fd) {
			c.readN, c.readErr = 0, nil
		}
		n, err = c.readN, c.readErr
		return true
	})
	if e != nil {
		return 0, e
	}
	return n, err
}

// tryRead is the body of fill: false makes the runtime wait until the descriptor is readable.
func (c *conn) tryRead(fd uintptr) bool {
	if c.buf == nil {
		c.buf = readBuffers.Get().(*[readBuffer]byte)
	}
	n, err := ignoringEINTR(unix.Read, int(fd), c.buf[c.w:])
	switch {
	case n > 0:
		c.readN, c.readErr = n, nil
		return true
	case err == unix.EAGAIN:
		c.skip(0)
		return false
	case err == nil:
		err = io.EOF
	}
	c.readN, c.readErr = 0, err
	return true
}

func ignoringEINTR(f func(int, []byte) (int, error), fd int, b []byte) (int, error) {
	for {
		n, err := f(fd, b)
		if err != unix.EINTR {
			return n, err
		}
	}
}

// writeOp is one non-blocking write, kept for the next so that none allocates.
type writeOp struct {
	b   []byte
	n   int
	err error
	f   func(uintptr) bool
}

var writeOps = sync.Pool{New: func() any {
	op := &writeOp{}
	op.f = func(fd uintptr) bool {
		for op.n < len(op.b) && op.err == nil {
			n, err := ignoringEINTR(unix.Write, int(fd), op.b[op.n:])
			if n > 0 {
				op.n += n
			}
			if err == unix.EAGAIN {
				break
			}
			op.err = err
		}
		return true
	}
	return op
}}

// tryWrite writes what the kernel takes without waiting.
func (c *conn) tryWrite(b []byte) (int, error) {
	if c.raw == nil {
		return 0, nil
	}
	op := writeOps.Get().(*writeOp)
	op.b, op.n, op.err = b, 0, nil
	err := c.raw.Write(op.f)
	n := op.n
	if err == nil {
		err = op.err
	}
	op.b, op.err = nil, nil
	writeOps.Put(op)
	return n, err
}
