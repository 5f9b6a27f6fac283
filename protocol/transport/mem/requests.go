package mem

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	"github.com/gosalt/gosalt/protocol/transport"
)

// Requests is a request port.
type Requests struct {
	n      *Network
	addr   Addr
	panics atomic.Int64

	mu    sync.Mutex // guards what follows
	serve context.Context
	h     transport.Handler
	shut  bool
	lines map[*line]struct{}
	wg    sync.WaitGroup
}

var _ transport.Requests = (*Requests)(nil)

// Requests opens a request port under a name. Connections wait until Serve is called.
func (n *Network) Requests(addr string) (*Requests, error) {
	r := &Requests{n: n, addr: Addr(addr), lines: map[*line]struct{}{}}
	return r, n.open(addr, r)
}

// line is one connection to a request port.
type line struct {
	*peer
	asked   chan []byte
	answers chan []byte
	busy    atomic.Bool
	evicted atomic.Bool
}

// Addr implements transport.Requests.
func (r *Requests) Addr() net.Addr { return r.addr }

// Panics is how many panics of the handler were caught.
func (r *Requests) Panics() int64 { return r.panics.Load() }

// Close ends a port whose Serve was never called.
func (r *Requests) Close() error {
	r.end()
	return nil
}

// Serve implements transport.Requests. It may be called once.
func (r *Requests) Serve(ctx context.Context, h transport.Handler) error {
	r.mu.Lock()
	if r.h != nil || r.shut {
		r.mu.Unlock()
		return errors.New("serve: called twice, a port serves once")
	}
	r.h, r.serve = h, ctx
	for l := range r.lines {
		r.start(l)
	}
	r.mu.Unlock()
	<-ctx.Done()
	r.end()
	r.wg.Wait()
	return nil
}

func (r *Requests) end() {
	r.n.shut(string(r.addr))
	r.mu.Lock()
	r.shut = true
	for l := range r.lines {
		l.end(transport.ErrClosed)
	}
	r.mu.Unlock()
}

// connect makes a connection.
func (r *Requests) connect() (*line, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.shut {
		return nil, transport.ErrClosed
	}
	l := &line{peer: r.n.peer(), asked: make(chan []byte), answers: make(chan []byte, 1)}
	r.lines[l] = struct{}{}
	if r.h != nil {
		r.start(l)
	}
	return l, nil
}

func (r *Requests) start(l *line) { r.wg.Go(func() { r.life(l) }) }

// life answers a connection's requests, one after another.
func (r *Requests) life(l *line) {
	asked := false
	defer func() {
		l.end(transport.ErrClosed)
		r.mu.Lock()
		delete(r.lines, l)
		r.mu.Unlock()
		if asked {
			r.h.Gone(l, l.evicted.Load())
		}
	}()
	for {
		select {
		case <-l.ctx.Done():
			return
		case body := <-l.asked:
			asked = true
			l.busy.Store(true)
			answer := r.ask(l, body)
			l.busy.Store(false)
			if answer == nil {
				l.end(fmt.Errorf("%w: request not answered", transport.ErrClosed))
				return
			}
			l.answers <- bytes.Clone(answer) // has room: requests are lock-step
		}
	}
}

func (r *Requests) ask(l *line, body []byte) (answer []byte) {
	ctx, cancel := context.WithCancel(l.ctx)
	defer cancel()
	defer context.AfterFunc(r.serve, cancel)()
	defer func() {
		if recover() != nil {
			r.panics.Add(1)
			answer = nil
		}
	}()
	return r.h.Request(ctx, l, body)
}

// EvictIdle closes up to n authenticated connections on which nothing is under way, as
// a port does that runs short of descriptors, and returns how many.
func (r *Requests) EvictIdle(n int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	closed := 0
	for l := range r.lines {
		if closed < n && l.authenticated.Load() && !l.busy.Load() && l.ctx.Err() == nil {
			l.evicted.Store(true)
			l.end(fmt.Errorf("%w: idle, evicted", transport.ErrClosed))
			closed++
		}
	}
	return closed
}

// Requester implements transport.Dialer.
func (d *Dialer) Requester(addr string) transport.Requester {
	r := &requester{n: d.n, addr: addr, turn: make(chan struct{}, 1)}
	r.closed, r.close = context.WithCancel(context.Background())
	return r
}

type requester struct {
	n      *Network
	addr   string
	closed context.Context
	close  context.CancelFunc

	turn chan struct{} // holds one token while a Do is at work; guards what follows
	l    *line
}

// Do implements transport.Requester.
func (r *requester) Do(ctx context.Context, body []byte) ([]byte, error) {
	if r.closed.Err() != nil {
		return nil, transport.ErrClosed
	}
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-r.closed.Done():
		return nil, transport.ErrClosed
	}
	answer, err := r.do(ctx, body)
	if err != nil {
		r.drop()
		return nil, fmt.Errorf("request to %s: %w", r.addr, err)
	}
	return answer, nil
}

func (r *requester) do(ctx context.Context, body []byte) ([]byte, error) {
	if r.l == nil || r.l.ctx.Err() != nil {
		port, err := find[*Requests](r.n, r.addr)
		if err != nil {
			return nil, err
		}
		if r.l, err = port.connect(); err != nil {
			return nil, err
		}
	}
	body = append([]byte{}, body...)
	asked := r.l.asked
	for {
		select {
		case asked <- body:
			asked = nil
		case answer := <-r.l.answers:
			return answer, nil
		case <-r.l.ctx.Done():
			return nil, context.Cause(r.l.ctx)
		case <-r.closed.Done():
			return nil, transport.ErrClosed
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (r *requester) drop() {
	if r.l != nil {
		r.l.end(transport.ErrClosed)
		r.l = nil
	}
}

// Close implements transport.Requester.
func (r *requester) Close() error {
	r.close()
	r.turn <- struct{}{} // a Do at work ends now
	r.drop()
	<-r.turn
	return nil
}
