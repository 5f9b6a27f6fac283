package zmq

import (
	"context"
	"sync"

	"github.com/gosalt/gosalt/protocol/transport"
)

// subscription is a SUB socket with one connection. What arrives waits in a short
// channel; then the connection is not read, its publisher's queue fills, and the
// publisher ends it: losing the connection tells that something was missed.
type subscription struct {
	c    *conn
	in   chan publication
	once sync.Once
}

type publication struct {
	frames [][]byte
	held   int64 // of env.inBytes
}

// read passes publications on until the connection ends.
func (s *subscription) read() {
	defer close(s.in)
	for {
		m, err := s.c.z.RecvMsg()
		if err != nil {
			s.c.fail(nil, ended(err))
			s.c.release()
			return
		}
		p := publication{m.Frames, s.c.held}
		s.c.held = 0
		select {
		case s.in <- p:
			continue
		default:
		}
		ctx, cancel := context.WithCancel(context.Background())
		if !s.c.attend(cancel) {
			cancel()
		}
		s.c.lend()
		select {
		case s.in <- p:
		case <-ctx.Done():
			s.c.env.inBytes.Release(p.held)
		}
		s.c.reclaim()
		s.c.attend(nil)
		cancel()
	}
}

// Recv implements transport.Subscription. What came before the connection was lost is
// still delivered.
func (s *subscription) Recv(ctx context.Context) ([][]byte, error) {
	select {
	case p, ok := <-s.in:
		return s.taken(p, ok)
	default:
	}
	select {
	case p, ok := <-s.in:
		return s.taken(p, ok)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (s *subscription) taken(p publication, ok bool) ([][]byte, error) {
	if !ok {
		return nil, s.c.reason()
	}
	s.c.env.inBytes.Release(p.held)
	return p.frames, nil
}

// Close implements transport.Subscription.
func (s *subscription) Close() error {
	s.once.Do(func() {
		s.c.shut()
		for p := range s.in {
			s.c.env.inBytes.Release(p.held)
		}
	})
	return nil
}

var _ transport.Subscription = (*subscription)(nil)
