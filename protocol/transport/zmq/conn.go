package zmq

import (
	"context"
	"errors"
	"fmt"
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
	guests   *semaphore.Weighted // big frames of peers not authenticated yet
	bulk     *semaphore.Weighted // answers for which room was reserved
	ids      *atomic.Uint64
}

// ids numbers the connections of the process's life.
var ids atomic.Uint64

func newEnv(o Options) *env {
	o = o.withDefaults()
	return &env{o: o, inBytes: semaphore.NewWeighted(o.MaxBytes), outBytes: semaphore.NewWeighted(o.MaxBytes),
		guests: semaphore.NewWeighted(maxGuests), bulk: semaphore.NewWeighted(o.MaxBytes / 2), ids: &ids}
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
	guest   bool   // sends a big frame before it has authenticated
	granted int64  // taken from env.bulk for the answer that is being made
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

// Reserve implements transport.Reserver.
func (c *conn) Reserve(ctx context.Context, n int) error {
	k := min(int64(n), c.env.o.MaxBytes/2) - c.granted
	if k <= 0 {
		return nil
	}
	if err := c.env.bulk.Acquire(ctx, k); err != nil {
		return fmt.Errorf("wait for room for an answer of %d bytes: %w", n, err)
	}
	c.granted += k
	return nil
}

// settle gives back what was reserved for an answer, when that has left.
func (c *conn) settle() {
	if c.granted == 0 {
		return
	}
	if d := c.draining(); d != nil {
		c.lend()
		<-d
		c.reclaim()
	}
	c.env.bulk.Release(c.granted)
	c.granted = 0
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
