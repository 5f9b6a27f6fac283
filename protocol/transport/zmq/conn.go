package zmq

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/go-zeromq/zmq4"
	"github.com/go-zeromq/zmq4/security/null"
	"golang.org/x/sync/semaphore"

	"github.com/gosalt/gosalt/protocol/transport"
)

const (
	readBuffer = 4096     // bytes of a pooled read buffer, held only while something is in it
	smallFrame = 64 << 10 // frames up to this size take nothing from the byte budget
	maxParts   = 16       // frames of a message
	maxTopic   = 256      // bytes of a subscription
	// maxChanges bounds how often a subscriber may change a subscription, for each
	// one that it may have. libzmq subscribes once when it connects.
	maxChanges = 16
)

var readBuffers = sync.Pool{New: func() any { return new([readBuffer]byte) }}

// began is the zero of now's clock.
var began = time.Now()

// now is a monotonic clock that fits an atomic: nanoseconds since the process began.
func now() int64 { return int64(time.Since(began)) + 1 }

// env is what the connections of a port, or of a dialer, have in common.
type env struct {
	o        Options
	stats    counters
	inBytes  *semaphore.Weighted // big frames received and not yet handled
	outBytes *semaphore.Weighted // answers that wait for their peers
	ids      *atomic.Uint64
}

// ids numbers the connections of the process's life.
var ids atomic.Uint64

func newEnv(o Options) *env {
	o = o.withDefaults()
	return &env{o: o, inBytes: semaphore.NewWeighted(o.MaxBytes), outBytes: semaphore.NewWeighted(o.MaxBytes), ids: &ids}
}

// conn is one guarded connection. It is the net.Conn that the library reads whole,
// checked frames from, and the transport.Peer that handlers see. One goroutine, its
// owner, reads; everyone may write and close.
type conn struct {
	env  *env
	nc   net.Conn
	raw  syscall.RawConn // nil where the system has no non-blocking calls
	z    *zmq4.Conn
	id   uint64
	addr netip.AddrPort
	role role

	// The owner's, who holds in but for the time that it lends it.
	in      sync.Mutex
	opening bool // the library does its handshake with a replay
	buf     *[readBuffer]byte
	r, w    int    // what of buf is unread
	out     []byte // for the library, before anything else
	left    int    // of the frame whose body the library is reading
	parts   int    // frames of this message so far
	size    int    // bytes of them
	held    int64  // taken from env.inBytes
	changes int    // of subscriptions
	err     error  // what ended reading
	readFn  func(uintptr) bool
	readN   int
	readErr error
	gather  gather
	minor   byte // of the peer's ZMTP version, set by the handshake

	// Times by now(), for the sweeper.
	opened    int64         // handshake finished
	start     atomic.Int64  // first byte of the message being read; 0 between messages
	got       atomic.Int64  // bytes of it
	lastIn    atomic.Int64  // any byte
	lastPing  int64         // the sweeper's own
	idleSince atomic.Int64  // last answer sent, or opened
	busy      atomic.Bool   // the owner does something else than reading
	requests  atomic.Uint64 // complete ones; on a publisher, subscriptions made

	authenticated atomic.Bool
	evicted       atomic.Bool
	onAuth        func()      // stops counting as unauthenticated
	ready         atomic.Bool // handshake finished

	wg sync.WaitGroup // reader, writer and, on the dialing side, sweeper

	mu       sync.Mutex // guards what follows; nothing blocks under it
	dead     error
	cancel   context.CancelFunc // of the request being handled
	queue    [][]byte
	queued   int
	extra    int // size of the message that the queue began with
	flushing bool
	flushed  chan struct{} // closed by the present flush when it ends
	stands   standing      // how the port counts it
	gone     bool          // it no longer does
	shared   bool          // queued bytes are shared with other peers and not counted against outBytes
}

func newConn(e *env, nc net.Conn, r role) *conn {
	c := &conn{env: e, nc: nc, role: r, id: e.ids.Add(1), shared: r == rolePub}
	if a, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		ap := a.AddrPort()
		c.addr = netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	c.in.Lock()
	c.initRaw()
	return c
}

// open hands the connection to the library, with a clean handshake in place of the one
// that was made.
func (c *conn) open(peerType string) error {
	c.opening = true
	c.out = append(greeting(0), ready(zmq4.SocketType(peerType))...)
	z, err := zmq4.Open(c, null.Security(), roles[c.role].typ, nil, c.role == roleRouter || c.role == rolePub, nil)
	c.opening = false
	if err != nil {
		return err
	}
	z.Meta, z.Peer.Meta = nil, nil // hundreds of bytes that are not needed again
	c.z = z
	c.opened = now()
	c.lastIn.Store(c.opened)
	c.idleSince.Store(c.opened)
	return nil
}

// ID implements transport.Peer.
func (c *conn) ID() uint64 { return c.id }

// Addr implements transport.Peer.
func (c *conn) Addr() netip.AddrPort { return c.addr }

// Authenticate implements transport.Peer.
func (c *conn) Authenticate() {
	if !c.authenticated.Swap(true) && c.onAuth != nil {
		c.onAuth()
	}
}

// Kick implements transport.Peer.
func (c *conn) Kick(why string) { c.fail(&c.env.stats.kicked, errors.New("kicked: "+why)) }

// fail closes the connection for a reason, the first of which counts.
func (c *conn) fail(counter *atomic.Int64, err error) {
	c.mu.Lock()
	c.failLocked(counter, err)
	c.mu.Unlock()
}

func (c *conn) failLocked(counter *atomic.Int64, err error) {
	if c.dead != nil {
		return
	}
	if counter != nil {
		counter.Add(1)
	}
	c.dead = err
	if !c.shared {
		c.env.outBytes.Release(int64(c.queued))
	}
	c.queue, c.queued = nil, 0
	if c.cancel != nil {
		c.cancel()
	}
	c.nc.Close()
}

// recovered, deferred, makes a panic the end of this connection alone.
func (c *conn) recovered() {
	if v := recover(); v != nil {
		c.env.o.Log.Error("panic in a connection", "addr", c.addr.String(), "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
		c.fail(nil, fmt.Errorf("panic: %v", v))
		c.env.stats.panics.Add(1)
	}
}

// attend sets what is called when the connection ends, while its owner waits for
// something else than the connection. It reports whether the connection still lives.
func (c *conn) attend(cancel context.CancelFunc) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cancel = cancel
	return c.dead == nil
}

// lend gives up reading for as long as the owner is busy elsewhere, so that the sweeper
// can answer PINGs and see the connection end; reclaim takes it back.
func (c *conn) lend() {
	c.busy.Store(true)
	c.in.Unlock()
}

func (c *conn) reclaim() {
	c.in.Lock()
	c.busy.Store(false)
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

// Close closes the connection without a reason of its own.
func (c *conn) Close() error {
	c.fail(nil, transport.ErrClosed)
	return nil
}

// reason says why the connection ended, once it has.
func (c *conn) reason() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dead
}

// LocalAddr and the deadlines complete net.Conn; the library uses none of them.
func (c *conn) LocalAddr() net.Addr              { return c.nc.LocalAddr() }
func (c *conn) RemoteAddr() net.Addr             { return c.nc.RemoteAddr() }
func (c *conn) SetDeadline(time.Time) error      { return errors.ErrUnsupported }
func (c *conn) SetReadDeadline(time.Time) error  { return errors.ErrUnsupported }
func (c *conn) SetWriteDeadline(time.Time) error { return errors.ErrUnsupported }

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
	if !c.authenticated.Load() {
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
