package zmq

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"sort"
	"time"

	"github.com/gosalt/gosalt/protocol/transport"
)

// evictBatch is how many idle connections are closed at once when descriptors run short.
const evictBatch = 16

// Router is a ROUTER socket that answers requests: Salt's ret_port, 4506. It takes REQ
// and DEALER peers; each request is an empty frame and a body, and so is each answer.
type Router struct {
	srv *server
	h   transport.Handler
}

var _ transport.Requests = (*Router)(nil)

// NewRouter listens on addr ("host:port"; port 0 for a free one). The port is open when
// it returns, and answers once Serve is called.
func NewRouter(addr string, o Options) (*Router, error) {
	s, err := listen(addr, o, roleRouter)
	if err != nil {
		return nil, fmt.Errorf("request port: %w", err)
	}
	return newRouter(s), nil
}

func newRouter(s *server) *Router {
	r := &Router{srv: s}
	s.life = r.life
	return r
}

// Addr is the address it listens on.
func (r *Router) Addr() net.Addr { return r.srv.ln.Addr() }

// Stats are the port's counters.
func (r *Router) Stats() Stats { return r.srv.snapshot() }

// Close ends a port whose Serve was never called.
func (r *Router) Close() error { return r.srv.close() }

// Serve answers requests until ctx ends. It may be called once.
func (r *Router) Serve(ctx context.Context, h transport.Handler) error {
	if err := r.srv.claim(); err != nil {
		return err
	}
	r.h = h
	r.srv.env.o.Descriptors.add(r)
	defer r.srv.env.o.Descriptors.remove(r)
	return r.srv.serve(ctx)
}

// life reads a connection's requests and answers them, one after another.
func (r *Router) life(ctx context.Context, c *conn) {
	defer func() {
		c.settle()
		if c.requests.Load() > 0 {
			r.h.Gone(c, c.evicted.Load())
		}
	}()
	for {
		m, err := c.z.RecvMsg()
		if err != nil {
			c.fail(nil, ended(err))
			return
		}
		if len(m.Frames) != 2 { // the guard lets no other through
			c.bad("message: %d frames, want 2", len(m.Frames))
			return
		}
		c.requests.Add(1)
		r.srv.env.stats.requests.Add(1)
		answer := r.ask(ctx, c, m.Frames[1])
		c.release()
		c.start.Store(0)
		c.idleSince.Store(now())
		if answer == nil {
			c.fail(nil, errors.New("request not answered"))
			return
		}
		err = c.sendMsg(nil, answer)
		c.settle()
		if err != nil {
			return
		}
	}
}

// ended makes ErrClosed of a peer's orderly departure.
func ended(err error) error {
	var ne net.Error
	if errors.Is(err, net.ErrClosed) || errors.As(err, &ne) || errors.Is(err, io.EOF) {
		return transport.ErrClosed
	}
	return err
}

// ask calls the handler, and answers nil for one that panics.
func (r *Router) ask(ctx context.Context, c *conn, body []byte) (answer []byte) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if !c.attend(cancel) {
		return nil
	}
	c.lend()
	defer func() {
		c.reclaim()
		c.attend(nil)
		if v := recover(); v != nil {
			r.srv.env.stats.panics.Add(1)
			r.srv.env.o.Log.Error("panic in a request", "addr", c.addr.String(), "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			answer = nil
		}
	}()
	return r.h.Request(ctx, c, body)
}

// EvictIdle closes up to n authenticated connections on which nothing is under way, the
// oldest idle first, and returns how many.
func (r *Router) EvictIdle(n int) int {
	type idle struct {
		c     *conn
		since int64
	}
	var list []idle
	before := now() - int64(r.srv.env.o.EvictIdle)
	for _, c := range r.srv.all(nil) {
		since := c.idleSince.Load()
		if c.ready.Load() && c.authenticated.Load() && since <= before && c.resting() {
			list = append(list, idle{c, since})
		}
	}
	sort.Slice(list, func(i, j int) bool { return list[i].since < list[j].since })
	list = list[:min(n, len(list))]
	for _, i := range list {
		i.c.evicted.Store(true)
		i.c.fail(&r.srv.env.stats.evicted, fmt.Errorf("idle for %v, closed to regain its descriptor", time.Duration(now()-i.since).Round(time.Millisecond)))
	}
	return len(list)
}

// resting reports whether nothing is under way on the connection.
func (c *conn) resting() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dead == nil && !c.flushing && !c.busy.Load() && c.start.Load() == 0
}
