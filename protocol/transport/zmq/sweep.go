package zmq

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// look is check for those whose own life must not depend on one connection.
func (c *conn) look() {
	defer c.recovered()
	c.check(now())
}

// check holds one connection to the clock. It is called from one goroutine at a time.
func (c *conn) check(t int64) {
	o, st := &c.env.o, &c.env.stats
	start := c.start.Load()
	switch {
	case c.busy.Load():
		// Its owner does something else than reading. Silence need not be the peer's then,
		// if what came before it fills the buffer.
		c.pump()
		c.ping(t, false)
		return
	case start != 0:
		got := c.got.Load()
		allowed := o.ReadTimeout + time.Duration(got)*time.Second/time.Duration(o.MinRate)
		if time.Duration(t-start) > allowed {
			c.fail(&st.timeouts, fmt.Errorf("message not complete after %v, %d bytes of it came", time.Duration(t-start).Round(time.Second), got))
		}
		return
	case c.role == roleReq || c.role == roleSub:
	case c.requests.Load() == 0:
		if d := time.Duration(t - c.opened); d > o.FirstTimeout {
			c.fail(&st.timeouts, errors.New("nothing asked for within "+o.FirstTimeout.String()))
			return
		}
	case c.role == roleRouter && !c.authenticated.Load():
		if d := time.Duration(t - max(c.idleSince.Load(), c.lastIn.Load())); d > o.UnauthIdle {
			c.fail(&st.timeouts, errors.New("unauthenticated and silent for "+o.UnauthIdle.String()))
			return
		}
	}
	c.ping(t, true)
}

// ping asks a silent peer whether it is there, and closes one that has not answered.
func (c *conn) ping(t int64, mayDie bool) {
	o := &c.env.o
	if o.Ping < 0 || c.minor == 0 {
		return // a ZMTP 3.0 peer may not know PING; keepalive watches over it
	}
	quiet := time.Duration(t - c.lastIn.Load())
	if quiet < o.Ping {
		c.lastPing = 0
		return
	}
	ttl := time.Duration(o.PingMisses) * o.Ping
	if mayDie && quiet >= ttl && c.lastPing != 0 {
		c.fail(&c.env.stats.dead, fmt.Errorf("no sign of life for %v, PINGs unanswered", quiet.Round(time.Millisecond)))
		return
	}
	if time.Duration(t-c.lastPing) < o.Ping || c.draining() != nil {
		return
	}
	c.lastPing = t
	c.env.stats.pingsSent.Add(1)
	tenths := min(ttl/(100*time.Millisecond), 0xffff)
	c.send(appendCommand(nil, "PING", []byte{byte(tenths >> 8), byte(tenths)}))
}

// pump reads for an owner that is busy: what has come, without waiting, as far as the
// buffer goes. It takes the commands at its front; messages stay for the owner.
func (c *conn) pump() {
	if c.raw == nil || !c.in.TryLock() {
		return
	}
	defer c.in.Unlock()
	if c.left > 0 || len(c.out) > 0 || c.err != nil {
		return
	}
	if c.buf != nil && c.r > 0 {
		c.w = copy(c.buf[:], c.buf[c.r:c.w])
		c.r = 0
	}
	if c.w < readBuffer {
		n, err := c.fillNow()
		if err != nil {
			c.fail(nil, ended(err))
			return
		}
		if n > 0 {
			c.w += n
			c.lastIn.Store(now())
		}
	}
	for len(c.out) == 0 && c.commandBuffered() {
		f, err := c.header()
		if err == nil {
			err = c.command(f)
		}
		if err != nil {
			c.err = err
			return
		}
	}
}

// commandBuffered reports whether the buffer begins with a whole command frame.
func (c *conn) commandBuffered() bool {
	n := c.w - c.r
	if n < 2 || c.buf[c.r]&flagCommand == 0 {
		return false
	}
	if c.buf[c.r]&flagLong == 0 {
		return n >= 2+int(c.buf[c.r+1])
	}
	return n >= 9 && binary.BigEndian.Uint64(c.buf[c.r+1:]) <= uint64(n-9)
}
