package zmq

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/gosalt/gosalt/protocol/transport"
)

// keepAlive finds a peer that vanished while nothing is under way.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3}

// server is what both kinds of listening port share: accepting, handshakes, limits, the
// sweeper that looks at the clock for all connections, and the way down.
type server struct {
	env     *env
	role    role
	ln      net.Listener
	admit   *admission
	notices notices

	life func(ctx context.Context, c *conn) // reads until an error; in the connection's own goroutine

	wg sync.WaitGroup

	mu     sync.Mutex
	served bool
	conns  map[uint64]*conn
}

func listen(addr string, o Options, r role) (*server, error) {
	e := newEnv(o)
	lc := net.ListenConfig{KeepAliveConfig: keepAlive, Control: control(e.o.UserTimeout)}
	ln, err := lc.Listen(context.Background(), "tcp", addr)
	if err != nil {
		return nil, err
	}
	return serverOn(ln, e, r), nil
}

func serverOn(ln net.Listener, e *env, r role) *server {
	return &server{
		env: e, role: r, ln: ln, admit: newAdmission(&e.o),
		notices: notices{log: e.o.Log}, conns: map[uint64]*conn{},
	}
}

// claim is for whoever serves, or closes without it, first.
func (s *server) claim() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.served {
		return errors.New("serve: called twice, a port serves once")
	}
	s.served = true
	return nil
}

// serve accepts until ctx ends, then closes everything and waits for it.
func (s *server) serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { s.ln.Close() })
	defer stop()
	s.wg.Go(func() { s.sweep(ctx) })
	err := s.accept(ctx)
	s.ln.Close()
	cancel()
	for _, c := range s.all(nil) {
		c.Close()
	}
	s.wg.Wait()
	s.notices.flush(true)
	if ctx.Err() != nil && errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// accept never waits for a peer: each has a goroutine from its first moment.
func (s *server) accept(ctx context.Context) error {
	for {
		nc, err := s.ln.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return err
			}
			// Out of descriptors or memory, or the peer left the queue: not our end.
			s.notices.say("cannot accept connections", "port", s.ln.Addr().String(), "err", err)
			s.env.o.Descriptors.relieve()
			select {
			case <-ctx.Done():
				return net.ErrClosed
			case <-time.After(50 * time.Millisecond):
			}
			continue
		}
		c := newConn(s.env, nc, s.role)
		if err := s.take(ctx, c); err != nil {
			s.env.stats.refused.Add(1)
			nc.Close() // last: whoever sees its end sees it counted
			s.notices.say("connection refused", "port", s.ln.Addr().String(), "addr", c.addr.String(), "err", err)
		}
	}
}

// take starts a connection's life, unless a limit keeps it out.
func (s *server) take(ctx context.Context, c *conn) error {
	if !s.env.o.Descriptors.enter(descriptor(c.raw)) {
		return errNoDescriptors
	}
	stands, err := s.admit.enter(c.addr.Addr())
	if err != nil {
		return err
	}
	c.onAuth = func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if !c.gone {
			s.admit.authenticated(c.addr.Addr(), c.stands)
			c.stands = asAuth
		}
	}
	c.stands = stands
	s.mu.Lock()
	s.conns[c.id] = c
	s.mu.Unlock()
	s.env.stats.accepted.Add(1)
	s.wg.Add(1)
	go s.begin(ctx, c)
	return nil
}

// begin makes the handshake. The connection then lives on in a goroutine of its own,
// whose stack has not grown in the handshake.
func (s *server) begin(ctx context.Context, c *conn) {
	c.wg.Add(1)
	ok := false
	defer func() {
		if ok {
			go s.live(ctx, c)
		} else {
			s.end(c)
		}
	}()
	defer c.recovered()
	c.nc.SetDeadline(time.Now().Add(s.env.o.HandshakeTimeout))
	if err := c.shake(); err != nil {
		if ctx.Err() == nil {
			s.env.stats.badHandshakes.Add(1)
			s.env.o.Log.Debug("handshake failed", "port", s.ln.Addr().String(), "addr", c.addr.String(), "err", err)
		}
		return
	}
	c.nc.SetDeadline(time.Time{})
	c.ready.Store(true)
	ok = true
}

func (s *server) live(ctx context.Context, c *conn) {
	defer s.end(c)
	defer c.recovered()
	s.life(ctx, c)
}

// end is the last thing done for a connection.
func (s *server) end(c *conn) {
	c.Close()
	c.wg.Done()
	c.wg.Wait()
	if c.buf != nil {
		c.r = c.w
		c.skip(0)
	}
	c.release()
	s.mu.Lock()
	delete(s.conns, c.id)
	s.mu.Unlock()
	c.mu.Lock()
	c.gone = true
	c.mu.Unlock()
	s.admit.leave(c.addr.Addr(), c.stands)
	if why := c.reason(); !errors.Is(why, transport.ErrClosed) {
		s.notices.say("connection closed", "port", s.ln.Addr().String(), "addr", c.addr.String(), "err", why)
	}
	s.wg.Done()
}

// all appends the connections to a slice.
func (s *server) all(to []*conn) []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		to = append(to, c)
	}
	return to
}

// sweep looks at the clock for all connections: one timer in place of ten thousand.
func (s *server) sweep(ctx context.Context) {
	tick := time.NewTicker(s.env.o.sweepEvery(2*time.Second, s.env.o.FirstTimeout, s.env.o.UnauthIdle))
	defer tick.Stop()
	var conns []*conn
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		conns = s.all(conns[:0])
		for _, c := range conns {
			if c.ready.Load() {
				c.look()
			}
		}
		clear(conns)
		s.notices.flush(false)
	}
}

// close ends a server that never served.
func (s *server) close() error {
	if s.claim() != nil {
		return nil
	}
	return s.ln.Close()
}

// snapshot is the port's counters.
func (s *server) snapshot() Stats {
	st := s.env.stats.snapshot()
	open, unauth := s.admit.counts()
	st.Open, st.Unauthenticated = int64(open), int64(unauth)
	return st
}
