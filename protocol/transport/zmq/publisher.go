package zmq

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/go-zeromq/zmq4"
	"github.com/go-zeromq/zmq4/security/null"

	"github.com/gosalt/gosalt/protocol/transport"
)

// fanOutShare is how many connections are worth a goroutine of their own in a fan-out.
const fanOutShare = 256

// Publisher is a PUB socket: Salt's publish_port, 4505. It takes SUB and XSUB peers.
type Publisher struct {
	srv *server
	s   transport.Subscribers

	order  sync.Mutex    // publications reach every connection in one order
	chosen []*subscriber // of one publication, kept for the next; guarded by order

	mu    sync.Mutex // guards subs and those of its members' fields that say so
	subs  []*subscriber
	stale bool // snap is older than subs
	snap  []*subscriber
}

// subscriber is a connection that subscribed to something.
type subscriber struct {
	*conn
	at     int                      // index in Publisher.subs, guarded by Publisher.mu
	topics atomic.Pointer[[][]byte] // replaced, never changed
}

var _ transport.Publisher = (*Publisher)(nil)

// NewPublisher listens on addr ("host:port"; port 0 for a free one). The port is open
// when it returns, and takes subscribers once Serve is called.
func NewPublisher(addr string, o Options) (*Publisher, error) {
	s, err := listen(addr, o, rolePub)
	if err != nil {
		return nil, fmt.Errorf("publisher port: %w", err)
	}
	return newPublisher(s), nil
}

func newPublisher(s *server) *Publisher {
	p := &Publisher{srv: s}
	s.life = p.life
	return p
}

// Addr is the address it listens on.
func (p *Publisher) Addr() net.Addr { return p.srv.ln.Addr() }

// Stats are the port's counters.
func (p *Publisher) Stats() Stats { return p.srv.snapshot() }

// Close ends a port whose Serve was never called.
func (p *Publisher) Close() error { return p.srv.close() }

// Serve takes subscribers until ctx ends. It may be called once.
func (p *Publisher) Serve(ctx context.Context, s transport.Subscribers) error {
	if err := p.srv.claim(); err != nil {
		return err
	}
	p.s = s
	return p.srv.serve(ctx)
}

// life reads a connection's subscriptions: frames of 0 or 1 and a topic, into which the
// guard has also turned the commands CANCEL and SUBSCRIBE.
func (p *Publisher) life(_ context.Context, c *conn) {
	sub := &subscriber{conn: c, at: -1}
	sub.topics.Store(new([][]byte))
	defer func() {
		c.Close()
		p.drop(sub)
		if c.requests.Load() > 0 {
			p.s.Gone(c)
		}
	}()
	for {
		m, err := c.z.RecvMsg()
		if err != nil {
			c.fail(nil, ended(err))
			return
		}
		if !p.change(sub, m.Frames) {
			return
		}
	}
}

// change follows one subscription or its end. False means the connection is over.
func (p *Publisher) change(sub *subscriber, frames [][]byte) bool {
	o := &p.srv.env.o
	if len(frames) != 1 || len(frames[0]) == 0 || frames[0][0] > 1 {
		sub.bad("subscription: want a frame that begins with 0 or 1")
		return false
	}
	if sub.changes++; sub.changes > maxChanges*o.MaxSubscriptions {
		sub.bad("subscription: changed more than %d times", maxChanges*o.MaxSubscriptions)
		return false
	}
	topic := frames[0][1:]
	topics := *sub.topics.Load()
	i := slices.IndexFunc(topics, func(t []byte) bool { return bytes.Equal(t, topic) })
	if frames[0][0] == 0 {
		if i >= 0 {
			topics = slices.Delete(slices.Clone(topics), i, i+1)
			sub.topics.Store(&topics)
		}
		return true
	}
	if i >= 0 {
		return true
	}
	if len(topics) >= o.MaxSubscriptions {
		sub.bad("subscription: more than %d topics", o.MaxSubscriptions)
		return false
	}
	if !p.ask(sub.conn, bytes.Clone(topic)) {
		sub.fail(&p.srv.env.stats.kicked, fmt.Errorf("subscription to %.64q refused", topic))
		return false
	}
	topics = append(slices.Clone(topics), topic)
	sub.topics.Store(&topics)
	if sub.requests.Add(1) == 1 {
		p.add(sub)
	}
	return true
}

func (p *Publisher) ask(c *conn, topic []byte) bool {
	c.lend()
	defer c.reclaim()
	return p.s.Subscribed(c, topic)
}

func (p *Publisher) add(sub *subscriber) {
	p.mu.Lock()
	defer p.mu.Unlock()
	sub.at = len(p.subs)
	p.subs = append(p.subs, sub)
	p.stale = true
}

func (p *Publisher) drop(sub *subscriber) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if sub.at < 0 {
		return
	}
	last := len(p.subs) - 1
	p.subs[sub.at] = p.subs[last]
	p.subs[sub.at].at = sub.at
	p.subs[last] = nil
	p.subs = p.subs[:last]
	sub.at = -1
	p.stale = true
}

// subscribers is the present list, which stays as it is.
func (p *Publisher) subscribers() []*subscriber {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stale {
		p.snap = slices.Clone(p.subs)
		p.stale = false
	}
	return p.snap
}

// Publish sends one message of these frames, all in one order to every connection. It
// encodes them once, and all processors write to ten thousand connections. A message without frames goes to nobody.
func (p *Publisher) Publish(frames [][]byte, to func(transport.Peer) bool) int {
	if len(frames) == 0 {
		return 0
	}
	wire, err := encode(frames)
	if err != nil {
		p.srv.env.o.Log.Error("publication not encoded", "err", err)
		return 0
	}
	p.order.Lock()
	defer p.order.Unlock()
	chosen := p.chosen[:0]
	for _, s := range p.subscribers() {
		if s.matches(frames[0]) && (to == nil || to(s.conn)) {
			chosen = append(chosen, s)
		}
	}
	n := fanOut(chosen, wire)
	clear(chosen)
	p.chosen = chosen
	p.srv.env.stats.published.Add(1)
	p.srv.env.stats.delivered.Add(int64(n))
	return n
}

// fanOut sends to all of them, on as many processors as it is worth, and returns to how
// many it could.
func fanOut(subs []*subscriber, wire []byte) int {
	var sent atomic.Int64
	var wg sync.WaitGroup
	procs := runtime.GOMAXPROCS(0)
	share := max((len(subs)+procs-1)/procs, fanOutShare)
	for part := range slices.Chunk(subs, share) {
		work := func() {
			n := int64(0)
			for _, s := range part {
				if s.send(wire) == nil {
					n++
				}
			}
			sent.Add(n)
		}
		if len(subs) <= share {
			work()
		} else {
			wg.Go(work)
		}
	}
	wg.Wait()
	return int(sent.Load())
}

// matches reports whether one of the subscriptions is a prefix of the topic.
func (s *subscriber) matches(topic []byte) bool {
	for _, t := range *s.topics.Load() {
		if bytes.HasPrefix(topic, t) {
			return true
		}
	}
	return false
}

// encode makes the bytes of a message, in one piece: they may be shared by thousands of
// queues while the caller reuses its frames.
func encode(frames [][]byte) ([]byte, error) {
	size := 0 // no more than this
	for _, f := range frames {
		size += 9 + len(f)
	}
	e := &encoder{buf: make([]byte, 0, size)}
	e.replay.Write(greeting(0))
	e.replay.Write(ready(zmq4.Sub))
	z, err := zmq4.Open(e, null.Security(), zmq4.Pub, nil, true, nil)
	if err != nil {
		return nil, err
	}
	e.open = true
	if err := z.SendMsg(zmq4.NewMsgFrom(frames...)); err != nil {
		return nil, err
	}
	return e.buf, nil
}

// encoder is a connection that leads into memory.
type encoder struct {
	net.Conn // nil: nothing else is called
	replay   bytes.Buffer
	open     bool
	buf      []byte
}

func (e *encoder) Read(p []byte) (int, error) { return e.replay.Read(p) }

func (e *encoder) Write(p []byte) (int, error) {
	if e.open {
		e.buf = append(e.buf, p...)
	}
	return len(p), nil
}
