package zmq

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/go-zeromq/zmq4"
)

const (
	gatherSmall = 16 << 10 // pieces up to this size are copied together, larger ones referred to
	writeChunk  = 256 << 10
)

// gather takes the pieces in which the library writes a message, so that they go out in
// as few writes as their sizes allow. Large pieces are not copied.
type gather struct{ bufs [][]byte }

func (g *gather) Write(p []byte) (int, error) {
	n := len(g.bufs)
	switch {
	case len(p) > gatherSmall:
		g.bufs = append(g.bufs, p)
	case n == 0 || len(g.bufs[n-1])+len(p) > cap(g.bufs[n-1]):
		g.bufs = append(g.bufs, append(make([]byte, 0, max(len(p)+64, 512)), p...))
	default:
		g.bufs[n-1] = append(g.bufs[n-1], p...)
	}
	return len(p), nil
}

// Write takes what the library writes. During its handshake that is not sent, the guard
// has made one already.
func (c *conn) Write(p []byte) (int, error) {
	if c.opening {
		return len(p), nil
	}
	return c.gather.Write(p)
}

// sendMsg sends a message. The frames are read until they have been sent, which may be
// after the return. One goroutine at a time may call it.
func (c *conn) sendMsg(frames ...[]byte) error {
	c.gather.bufs = nil
	err := c.z.SendMsg(zmq4.NewMsgFrom(frames...))
	bufs := c.gather.bufs
	c.gather.bufs = nil
	if err != nil {
		return err
	}
	return c.send(bufs...)
}

// send sends bytes that make whole frames, and never blocks: what the kernel does not
// take at once waits in the queue, and a goroutine is there to drain it until it is empty.
func (c *conn) send(bufs ...[]byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead != nil {
		return c.dead
	}
	if !c.flushing {
		for len(bufs) > 0 {
			n, err := c.tryWrite(bufs[0])
			if err != nil {
				c.failLocked(nil, fmt.Errorf("write: %w", err))
				return c.dead
			}
			if n < len(bufs[0]) {
				if n > 0 {
					bufs = append([][]byte{bufs[0][n:]}, bufs[1:]...)
				}
				break
			}
			bufs = bufs[1:]
		}
		if len(bufs) == 0 {
			return nil
		}
	}
	size := 0
	for _, b := range bufs {
		size += len(b)
	}
	if c.queued == 0 {
		c.extra = size // a single message may be larger
	}
	if c.queued+size > c.env.o.MaxQueue+c.extra {
		c.failLocked(&c.env.stats.overflows, fmt.Errorf("peer does not read: %d bytes wait for it, %d more are too many", c.queued, size))
		return c.dead
	}
	if !c.shared && !c.env.outBytes.TryAcquire(int64(size)) {
		c.failLocked(&c.env.stats.overflows, fmt.Errorf("peer does not read: %d bytes more, and what waits for all peers takes all memory for it", size))
		return c.dead
	}
	c.queue = append(c.queue, bufs...)
	c.queued += size
	if !c.flushing {
		c.flushing = true
		c.flushed = make(chan struct{})
		c.wg.Add(1) // the owner still counts in wg, as the connection is not dead
		go c.flush()
	}
	return nil
}

// flush drains the queue.
func (c *conn) flush() {
	defer c.wg.Done()
	defer close(c.flushed)
	began, sent := time.Now(), 0
	for {
		c.mu.Lock()
		if c.dead != nil || len(c.queue) == 0 {
			c.flushing, c.queue = false, nil
			c.mu.Unlock()
			return
		}
		b := c.queue[0]
		b = b[:min(len(b), writeChunk)]
		c.mu.Unlock()

		o := &c.env.o
		c.nc.SetWriteDeadline(time.Now().Add(o.StallTimeout))
		n, err := c.nc.Write(b)
		sent += n
		allowed := o.StallTimeout + time.Duration(sent)*time.Second/time.Duration(o.MinRate)
		if n < len(b) && errors.Is(err, os.ErrDeadlineExceeded) && n > 0 {
			err = nil
		}
		if err == nil && time.Since(began) > allowed {
			err = os.ErrDeadlineExceeded
		}

		c.mu.Lock()
		if c.dead != nil { // what was queued has been given up, and accounted for
			c.flushing = false
			c.mu.Unlock()
			return
		}
		if c.queue[0] = c.queue[0][n:]; len(c.queue[0]) == 0 {
			c.queue = c.queue[1:]
		}
		c.queued -= n
		if !c.shared {
			c.env.outBytes.Release(int64(n))
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded) && c.queued > 0:
			c.failLocked(&c.env.stats.stalled, fmt.Errorf("peer took %d bytes in %v, %d still wait for it", sent, time.Since(began).Round(time.Millisecond), c.queued))
		case err != nil && !errors.Is(err, os.ErrDeadlineExceeded):
			c.failLocked(nil, fmt.Errorf("write: %w", err))
		}
		c.mu.Unlock()
	}
}

// draining returns a channel that is closed when nothing waits to be written any more,
// nil when nothing does now.
func (c *conn) draining() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.flushing {
		return nil
	}
	return c.flushed
}
