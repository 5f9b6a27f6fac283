package zmq

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
)

// Read gives the library the bytes of frames that have been checked, header by header.
func (c *conn) Read(p []byte) (int, error) {
	for {
		switch {
		case len(c.out) > 0:
			n := copy(p, c.out)
			if c.out = c.out[n:]; len(c.out) == 0 {
				c.out = nil
			}
			return n, nil
		case c.opening: // the library asks for more than the replay: cannot be
			return 0, io.ErrUnexpectedEOF
		case c.left > 0:
			n, err := c.body(p[:min(len(p), c.left)])
			c.left -= n
			return n, err
		}
		if c.err != nil {
			return 0, c.err
		}
		if err := c.next(); err != nil {
			c.err = err
			return 0, err
		}
	}
}

// body reads bytes of the present frame, from the buffer first.
func (c *conn) body(p []byte) (int, error) {
	if c.r < c.w {
		n := copy(p, c.buf[c.r:c.w])
		c.skip(n)
		return n, nil
	}
	n, err := c.nc.Read(p)
	if n > 0 {
		c.lastIn.Store(now())
		c.got.Add(int64(n))
		return n, nil
	}
	return 0, c.lost(err)
}

// lost is the error for a connection that ended while reading.
func (c *conn) lost(err error) error {
	if d := c.reason(); d != nil {
		return d
	}
	if err == io.EOF && c.start.Load() != 0 {
		return io.ErrUnexpectedEOF
	}
	return err
}

// bad closes the connection for a frame that is not allowed.
func (c *conn) bad(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	c.fail(&c.env.stats.badFrames, err)
	return err
}

// frame is a frame's header.
type frame struct {
	flags byte
	n     uint64
}

// header reads and takes the next frame's header.
func (c *conn) header() (frame, error) {
	if err := c.need(2); err != nil {
		return frame{}, err
	}
	f := frame{c.buf[c.r], uint64(c.buf[c.r+1])}
	if f.flags&^(flagMore|flagLong|flagCommand) != 0 {
		return f, c.bad("frame: flags %#02x are not defined", f.flags)
	}
	if f.flags&flagLong == 0 {
		c.skip(2)
		return f, nil
	}
	if err := c.need(9); err != nil {
		return f, err
	}
	f.n = binary.BigEndian.Uint64(c.buf[c.r+1:])
	c.skip(9)
	return f, nil
}

// next reads a frame's header and, if the frame is allowed, leaves it in c.out for the
// library, its body following. Commands are handled here, the library sees none.
func (c *conn) next() error {
	if c.parts == 0 { // between messages; what is buffered begins the next
		if c.r == c.w {
			c.start.Store(0)
		} else {
			c.got.Store(int64(c.w - c.r))
			c.start.Store(now())
		}
	}
	f, err := c.header()
	if err != nil {
		return err
	}
	if f.flags&flagCommand != 0 {
		return c.command(f)
	}
	more := f.flags&flagMore != 0
	if err := c.allow(f.n, more); err != nil {
		return err
	}
	if f.n > smallFrame {
		if err := c.hold(int64(f.n)); err != nil {
			return err
		}
	}
	c.parts++
	c.size += int(f.n)
	if !more {
		c.parts, c.size = 0, 0
	}
	c.left = int(f.n)
	c.out = appendHeader(make([]byte, 0, 9), f.flags&flagMore, c.left)
	return nil
}

// allow checks a message's frame by its header alone.
func (c *conn) allow(n uint64, more bool) error {
	limit := c.env.o.MaxFrame
	if !c.authenticated.Load() && !c.admitGuest(n) {
		limit = c.env.o.MaxFrameUnauth
	}
	switch c.role {
	case rolePub:
		if more || n == 0 || n > 1+maxTopic {
			return c.bad("subscription: want one frame of 1 to %d bytes, got %d bytes, more %t", 1+maxTopic, n, more)
		}
		return nil
	case roleSub:
		if c.parts >= maxParts {
			return c.bad("message: more than %d frames", maxParts)
		}
	default:
		if c.parts == 0 && (n != 0 || !more) {
			return c.bad("message: want an empty frame and then a body, got a first frame of %d bytes, more %t", n, more)
		}
		if c.parts == 1 && more {
			return c.bad("message: want an empty frame and a body, got a third frame")
		}
	}
	if left := uint64(max(limit-c.size, 0)); n > left { // c.size + n might wrap
		return c.bad("message: a frame of %d bytes after %d, the limit is %d in all", n, c.size, limit)
	}
	return nil
}

// maxGuests is how many peers at a time may send a big frame before they authenticated.
const maxGuests = 2

// admitGuest tells whether a peer that has not authenticated may send n bytes all the
// same. Its place is given back by release.
func (c *conn) admitGuest(n uint64) bool {
	if c.guest {
		return true
	}
	o := &c.env.o
	if n <= uint64(o.MaxFrameUnauth) || o.Guest == nil || !o.Guest(c.addr.Addr()) || !c.env.guests.TryAcquire(1) {
		return false
	}
	c.guest = true
	return true
}

// hold waits for n bytes of the budget, so that many peers cannot sum up.
func (c *conn) hold(n int64) error {
	ctx, cancel := context.WithTimeout(context.Background(), c.env.o.ReadTimeout)
	defer cancel()
	if !c.attend(cancel) {
		return c.reason()
	}
	err := c.env.inBytes.Acquire(ctx, n)
	c.attend(nil)
	if err != nil {
		err = fmt.Errorf("frame of %d bytes: no memory for it in %v, other peers' messages take it all", n, c.env.o.ReadTimeout)
		c.fail(&c.env.stats.timeouts, err)
		return err
	}
	c.held += n
	return nil
}

// release gives back what the message just handled took from the budget.
func (c *conn) release() {
	c.env.inBytes.Release(c.held)
	c.held = 0
	if c.guest {
		c.guest = false
		c.env.guests.Release(1)
	}
}

// command takes a command frame and does what it says.
func (c *conn) command(f frame) error {
	if f.n > maxCommand || f.flags&flagMore != 0 {
		return c.bad("command: %d bytes, flags %#02x; at most %d bytes and no MORE are allowed", f.n, f.flags, maxCommand)
	}
	if err := c.need(int(f.n)); err != nil {
		return err
	}
	name, rest, err := splitCommand(c.peek(int(f.n)))
	if err != nil {
		return c.bad("%v", err)
	}
	switch {
	case name == "PING":
		if len(rest) < 2 || len(rest) > 2+16 {
			return c.bad("PING: want a TTL and a context of at most 16 bytes, got %d bytes", len(rest))
		}
		c.env.stats.pingsReceived.Add(1)
		if err := c.send(appendCommand(nil, "PONG", rest[2:])); err != nil {
			return err
		}
	case name == "READY":
		return c.bad("READY after the handshake")
	case name == "ERROR":
		return c.bad("peer sent ERROR %.200q", rest)
	case c.role == rolePub && (name == "SUBSCRIBE" || name == "CANCEL"):
		if len(rest) > maxTopic {
			return c.bad("subscription: %d bytes, the limit is %d", len(rest), maxTopic)
		}
		b := appendHeader(make([]byte, 0, 10+len(rest)), 0, 1+len(rest))
		if name == "SUBSCRIBE" {
			b = append(b, 1)
		} else {
			b = append(b, 0)
		}
		c.out = append(b, rest...)
	}
	c.skip(int(f.n))
	return nil
}

// peek returns n buffered bytes, which need has seen to.
func (c *conn) peek(n int) []byte {
	if n == 0 { // there may be no buffer
		return nil
	}
	return c.buf[c.r : c.r+n]
}

// skip takes n buffered bytes, and gives the buffer back with the last.
func (c *conn) skip(n int) {
	if c.r += n; c.r == c.w && c.buf != nil {
		readBuffers.Put(c.buf)
		c.buf, c.r, c.w = nil, 0, 0
	}
}

// need waits until n bytes are buffered.
func (c *conn) need(n int) error {
	for c.w-c.r < n {
		if c.buf != nil && c.r+n > len(c.buf) {
			c.w = copy(c.buf[:], c.buf[c.r:c.w])
			c.r = 0
		}
		k, err := c.fill()
		if k == 0 {
			return c.lost(err)
		}
		c.w += k
		t := now()
		c.lastIn.Store(t)
		c.got.Add(int64(k))
		if c.start.Load() == 0 {
			c.got.Store(int64(k))
			c.start.Store(t)
		}
	}
	return nil
}

// fillBlocking reads into the buffer where there is no way to wait without one.
func (c *conn) fillBlocking() (int, error) {
	if c.buf == nil {
		c.buf = readBuffers.Get().(*[readBuffer]byte)
	}
	n, err := c.nc.Read(c.buf[c.w:])
	if n == 0 && err == nil {
		err = io.ErrNoProgress
	}
	return n, err
}
