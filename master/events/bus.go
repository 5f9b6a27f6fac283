// Package events is the master's event bus: what happens is published under a tag
// of Salt's ("salt/job/20261122063858048545/ret/web1"), and whoever subscribed to a
// prefix of it reads it. tags.go lists the tags. The bus lives in memory and keeps
// nothing: what must not be lost is in the job store before its event is published.
package events

import (
	"context"
	"errors"
	"iter"
	"strings"
	"sync"
	"time"

	"github.com/gosalt/gosalt/protocol/wire"
)

// ErrClosed is returned by Next after Close of the subscription or of the bus.
var ErrClosed = errors.New("event subscription closed")

// Event is one message of the bus. Data is shared by all who read it: never change it.
type Event struct {
	Tag  string    // "salt/auth"
	Data *wire.Map // never nil; "_stamp" is its time as Salt writes it
	Time time.Time // when it was published
	// Lost is how many events this subscription dropped directly before this one,
	// because its reader was too slow.
	Lost uint64

	size int
}

// Bus hands events to subscriptions. Its methods may be called concurrently.
type Bus struct {
	now func() time.Time

	mu     sync.RWMutex
	subs   map[*Subscription]struct{}
	closed bool
}

// New makes a bus.
func New() *Bus { return &Bus{now: time.Now, subs: map[*Subscription]struct{}{}} }

// Publish sends an event to all subscriptions to a prefix of its tag. It never
// waits for a reader, and does nothing after Close. data itself is not changed: a
// copy of its top level gets "_stamp"; the values below must not change any more.
func (b *Bus) Publish(tag string, data *wire.Map) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	var e Event
	for s := range b.subs {
		if !s.wants(tag) {
			continue
		}
		if e.Data == nil {
			e = Event{Tag: tag, Data: data.Clone(), Time: b.now()}
			e.Data.Set("_stamp", Stamp(e.Time))
			e.size = len(tag) + weigh(e.Data)
		}
		s.push(e)
	}
}

// Subscribe starts a subscription to the tags that begin with one of the prefixes,
// to all tags where none is given. Close it when done.
func (b *Bus) Subscribe(prefixes ...string) *Subscription {
	return b.SubscribeLimits(Limits{}, prefixes...)
}

// SubscribeLimits is Subscribe with other limits than the default ones.
func (b *Bus) SubscribeLimits(lim Limits, prefixes ...string) *Subscription {
	s := &Subscription{
		bus:      b,
		prefixes: append([]string(nil), prefixes...),
		limits:   lim.orDefault(),
		ready:    make(chan struct{}, 1),
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		s.shut()
	} else {
		b.subs[s] = struct{}{}
	}
	return s
}

// Close ends all subscriptions, which still deliver what they hold.
func (b *Bus) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for s := range b.subs {
		s.shut()
	}
	clear(b.subs)
}

// Subscribers is the number of open subscriptions.
func (b *Bus) Subscribers() int {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return len(b.subs)
}

// Stamp writes a time as Salt does in "_stamp": Python's isoformat of a naive UTC
// time, with six digits of a second, or none where they would all be zero.
func Stamp(t time.Time) string {
	t = t.UTC()
	if t.Nanosecond()/1000 == 0 {
		return t.Format("2006-01-02T15:04:05")
	}
	return t.Format("2006-01-02T15:04:05.000000")
}

// Limits bound what a subscription holds for a reader that does not keep up. Beyond
// either, the oldest events are dropped; the newest one is always kept.
type Limits struct {
	Events int // 16384 when zero: a job of 10,000 minions fits
	Bytes  int // 64 MiB when zero, of the values' approximate size
}

func (l Limits) orDefault() Limits {
	if l.Events <= 0 {
		l.Events = 16 << 10
	}
	if l.Bytes <= 0 {
		l.Bytes = 64 << 20
	}
	return l
}

// Subscription is one reader's queue of events, in the order of their publishing.
// One goroutine reads it; Close may be called by any.
type Subscription struct {
	bus      *Bus
	prefixes []string
	limits   Limits
	ready    chan struct{} // holds a token while there may be something to read

	mu     sync.Mutex
	ring   []Event // grows with need, up to limits.Events
	head   int
	count  int
	bytes  int
	lost   uint64 // dropped since the last delivered event
	closed bool
}

func (s *Subscription) wants(tag string) bool {
	if len(s.prefixes) == 0 {
		return true
	}
	for _, p := range s.prefixes {
		if strings.HasPrefix(tag, p) {
			return true
		}
	}
	return false
}

func (s *Subscription) push(e Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	for s.count > 0 && (s.count == s.limits.Events || s.bytes+e.size > s.limits.Bytes) {
		s.pop()
		s.lost++
	}
	if s.count == len(s.ring) {
		s.grow()
	}
	s.ring[(s.head+s.count)%len(s.ring)] = e
	s.count++
	s.bytes += e.size
	s.wake()
}

func (s *Subscription) grow() {
	n := min(max(2*len(s.ring), 16), s.limits.Events)
	ring := make([]Event, n)
	for i := range s.count {
		ring[i] = s.ring[(s.head+i)%len(s.ring)]
	}
	s.ring, s.head = ring, 0
}

func (s *Subscription) pop() Event {
	e := s.ring[s.head]
	s.ring[s.head] = Event{}
	s.head = (s.head + 1) % len(s.ring)
	s.count--
	s.bytes -= e.size
	return e
}

func (s *Subscription) wake() {
	select {
	case s.ready <- struct{}{}:
	default:
	}
}

// TryNext returns the next event where one is held. err is ErrClosed when nothing
// is held and nothing will come.
func (s *Subscription) TryNext() (e Event, ok bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count == 0 {
		if s.closed {
			return Event{}, false, ErrClosed
		}
		return Event{}, false, nil
	}
	e = s.pop()
	e.Lost, s.lost = s.lost, 0
	if s.count == 0 {
		s.ring, s.head = nil, 0 // an idle subscription holds no memory
	} else if !s.closed {
		s.wake()
	}
	return e, true, nil
}

// Ready receives a value when TryNext may have something to return; it is for
// readers that wait for other things as well. After Close it is closed.
func (s *Subscription) Ready() <-chan struct{} { return s.ready }

// Next waits for the next event. Its error is ErrClosed or that of ctx.
func (s *Subscription) Next(ctx context.Context) (Event, error) {
	for {
		e, ok, err := s.TryNext()
		if ok || err != nil {
			return e, err
		}
		select {
		case <-s.ready:
		case <-ctx.Done():
			return Event{}, ctx.Err()
		}
	}
}

// All yields events until ctx ends or the subscription is closed.
func (s *Subscription) All(ctx context.Context) iter.Seq[Event] {
	return func(yield func(Event) bool) {
		for {
			e, err := s.Next(ctx)
			if err != nil || !yield(e) {
				return
			}
		}
	}
}

// Close ends the subscription. What it holds can still be read.
func (s *Subscription) Close() {
	s.bus.mu.Lock()
	delete(s.bus.subs, s)
	s.bus.mu.Unlock()
	s.shut()
}

func (s *Subscription) shut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		close(s.ready)
	}
}

// weigh approximates the memory that a value holds, in bytes.
func weigh(v any) int {
	const header = 32 // an interface and its share of a slice or index
	switch v := v.(type) {
	case string:
		return header + len(v)
	case []byte:
		return header + len(v)
	case []any:
		n := header
		for _, e := range v {
			n += weigh(e)
		}
		return n
	case *wire.Map:
		n := header
		for k, e := range v.All() {
			n += weigh(k) + weigh(e)
		}
		return n
	default:
		return header
	}
}
