package mem

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/gosalt/gosalt/protocol/transport"
)

// Publisher is a publisher port.
type Publisher struct {
	n    *Network
	addr Addr

	mu      sync.Mutex // guards what follows
	s       transport.Subscribers
	serving chan struct{} // closed by Serve
	shut    bool
	ports   map[*feed]struct{}
	wg      sync.WaitGroup

	order sync.Mutex // publications reach every connection in one order
}

var _ transport.Publisher = (*Publisher)(nil)

// Publisher opens a publisher port under a name. Subscribers wait until Serve is called.
func (n *Network) Publisher(addr string) (*Publisher, error) {
	p := &Publisher{n: n, addr: Addr(addr), serving: make(chan struct{}), ports: map[*feed]struct{}{}}
	return p, n.open(addr, p)
}

// feed is one connection to a publisher port.
type feed struct {
	*peer
	in     chan [][]byte
	topics [][]byte // set before it is published to
}

// Addr implements transport.Publisher.
func (p *Publisher) Addr() net.Addr { return p.addr }

// Close ends a port whose Serve was never called.
func (p *Publisher) Close() error {
	p.end()
	return nil
}

// Serve implements transport.Publisher. It may be called once.
func (p *Publisher) Serve(ctx context.Context, s transport.Subscribers) error {
	p.mu.Lock()
	if p.s != nil || p.shut {
		p.mu.Unlock()
		return errors.New("serve: called twice, a port serves once")
	}
	p.s = s
	close(p.serving)
	p.mu.Unlock()
	<-ctx.Done()
	p.end()
	p.wg.Wait()
	return nil
}

func (p *Publisher) end() {
	p.n.shut(string(p.addr))
	p.mu.Lock()
	p.shut = true
	for f := range p.ports {
		f.end(transport.ErrClosed)
	}
	p.mu.Unlock()
}

// connect makes a connection with these subscriptions.
func (p *Publisher) connect(ctx context.Context, topics []string) (*feed, error) {
	f := &feed{peer: p.n.peer(), in: make(chan [][]byte, DefaultQueue)}
	select {
	case <-p.serving:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	p.mu.Lock()
	if p.shut {
		p.mu.Unlock()
		return nil, transport.ErrClosed
	}
	p.wg.Add(1)
	p.mu.Unlock()
	for _, t := range topics {
		if !p.s.Subscribed(f, []byte(t)) {
			f.end(fmt.Errorf("%w: subscription to %.64q refused", transport.ErrClosed, t))
			break
		}
		f.topics = append(f.topics, []byte(t))
	}
	p.mu.Lock()
	p.ports[f] = struct{}{}
	if p.shut {
		f.end(transport.ErrClosed)
	}
	p.mu.Unlock()
	go p.watch(f)
	return f, nil
}

// watch takes a connection off the list when it has ended.
func (p *Publisher) watch(f *feed) {
	defer p.wg.Done()
	<-f.ctx.Done()
	p.mu.Lock()
	delete(p.ports, f)
	p.mu.Unlock()
	p.order.Lock() // no Publish is at it any more
	close(f.in)
	p.order.Unlock()
	if len(f.topics) > 0 {
		p.s.Gone(f)
	}
}

// Publish implements transport.Publisher.
func (p *Publisher) Publish(frames [][]byte, to func(transport.Peer) bool) int {
	if len(frames) == 0 {
		return 0
	}
	p.order.Lock()
	defer p.order.Unlock()
	p.mu.Lock()
	feeds := make([]*feed, 0, len(p.ports))
	for f := range p.ports {
		feeds = append(feeds, f)
	}
	p.mu.Unlock()
	n := 0
	for _, f := range feeds {
		if f.ctx.Err() != nil || !f.matches(frames[0]) || to != nil && !to(f) {
			continue
		}
		m := make([][]byte, len(frames))
		for i, b := range frames {
			m[i] = append([]byte{}, b...)
		}
		select {
		case f.in <- m:
			n++
		default:
			f.end(fmt.Errorf("%w: subscriber does not read, %d messages wait for it", transport.ErrClosed, len(f.in)))
		}
	}
	return n
}

func (f *feed) matches(topic []byte) bool {
	for _, t := range f.topics {
		if bytes.HasPrefix(topic, t) {
			return true
		}
	}
	return false
}

// Subscribe implements transport.Dialer.
func (d *Dialer) Subscribe(ctx context.Context, addr string, topics ...string) (transport.Subscription, error) {
	p, err := find[*Publisher](d.n, addr)
	if err != nil {
		return nil, err
	}
	f, err := p.connect(ctx, topics)
	if err != nil {
		return nil, fmt.Errorf("subscribe at %s: %w", addr, err)
	}
	return subscription{f}, nil
}

type subscription struct{ f *feed }

// Recv implements transport.Subscription.
func (s subscription) Recv(ctx context.Context) ([][]byte, error) {
	select {
	case m, ok := <-s.f.in:
		return s.taken(m, ok)
	default:
	}
	select {
	case m, ok := <-s.f.in:
		return s.taken(m, ok)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (s subscription) taken(m [][]byte, ok bool) ([][]byte, error) {
	if !ok {
		return nil, context.Cause(s.f.ctx)
	}
	return m, nil
}

// Close implements transport.Subscription.
func (s subscription) Close() error {
	s.f.end(transport.ErrClosed)
	return nil
}
