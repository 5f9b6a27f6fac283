package zmq

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/gosalt/gosalt/protocol/transport"
)

// requester is a REQ socket with one connection. Unlike a libzmq socket it has deadlines,
// and no state that survives an error.
type requester struct {
	d      *Dialer
	addr   string
	closed context.Context
	close  context.CancelFunc

	turn chan struct{} // holds one token while a Do is at work; guards what follows
	line *line
}

// line is one connection of a requester.
type line struct {
	c       *conn
	waiting atomic.Bool // an answer is due
	answers chan []byte
	over    chan struct{} // closed when the reader has ended
}

// Do implements transport.Requester.
func (r *requester) Do(ctx context.Context, body []byte) ([]byte, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(r.closed, cancel)()
	if r.closed.Err() != nil {
		return nil, transport.ErrClosed
	}
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return nil, r.why(ctx)
	}
	answer, err := r.do(ctx, body)
	if err != nil {
		if r.line != nil {
			r.line.c.shut()
			r.line = nil
		}
		if ctx.Err() != nil {
			err = r.why(ctx)
		}
		return nil, fmt.Errorf("request to %s: %w", r.addr, err)
	}
	return answer, nil
}

func (r *requester) why(ctx context.Context) error {
	if r.closed.Err() != nil {
		return transport.ErrClosed
	}
	return context.Cause(ctx)
}

func (r *requester) do(ctx context.Context, body []byte) ([]byte, error) {
	if r.line != nil && r.line.c.reason() != nil { // lost since the last request
		r.line.c.shut()
		r.line = nil
	}
	if r.line == nil {
		c, err := r.d.dial(ctx, r.addr, roleReq)
		if err != nil {
			return nil, err
		}
		r.line = &line{c: c, answers: make(chan []byte, 1), over: make(chan struct{})}
		c.launch(r.line.read)
	}
	l := r.line
	l.waiting.Store(true)
	if err := l.c.sendMsg(nil, body); err != nil {
		return nil, err
	}
	select {
	case a := <-l.answers:
		// body must not be read after the return. An honest peer answers what it
		// has whole, so there is nothing to wait for but the writer's last steps.
		if d := l.c.draining(); d != nil {
			select {
			case <-d:
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		}
		return a, nil
	case <-l.over:
		select {
		case a := <-l.answers: // and then the connection ended
			l.c.shut()
			return a, nil
		default:
			return nil, l.c.reason()
		}
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// read takes answers until the connection ends.
func (l *line) read() {
	defer close(l.over)
	for {
		m, err := l.c.z.RecvMsg()
		if err != nil {
			l.c.fail(nil, ended(err))
			return
		}
		l.c.release()
		if len(m.Frames) != 2 || !l.waiting.CompareAndSwap(true, false) {
			l.c.bad("answer: %d frames that nobody waits for", len(m.Frames))
			return
		}
		l.answers <- m.Frames[1]
	}
}

// Close implements transport.Requester.
func (r *requester) Close() error {
	r.close()
	r.turn <- struct{}{} // a Do at work ends now
	defer func() { <-r.turn }()
	if r.line != nil {
		r.line.c.shut()
		r.line = nil
	}
	return nil
}
