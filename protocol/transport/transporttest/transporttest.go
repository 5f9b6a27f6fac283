// Package transporttest holds what every transport promises, as tests. A transport's own
// tests call Run, and add what only it can show.
package transporttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gosalt/gosalt/protocol/transport"
)

// Pair is a master's two ports and a way to reach them. The ports have not served yet.
type Pair struct {
	Requests  transport.Requests
	Publisher transport.Publisher
	Dialer    transport.Dialer

	// EvictIdle makes the request port drop up to n idle authenticated connections, as
	// it does when descriptors run short.
	EvictIdle func(n int) int
	// Nobody is an address where no port listens.
	Nobody string
}

// limit is how long anything may take here before a test fails instead of hanging.
const limit = 20 * time.Second

// Run checks a transport. newPair is called once for each test.
func Run(t *testing.T, newPair func(t *testing.T) Pair) {
	for name, test := range map[string]func(*testing.T, *rig){
		"answers come back":                     answers,
		"an empty answer is an answer":          emptyAnswer,
		"large bodies":                          largeBodies,
		"body and answer are not shared":        notShared,
		"requests of one connection take turns": turns,
		"connections are answered concurrently": concurrent,
		"nil answer closes the connection":      nilAnswer,
		"a panic costs one connection":          panics,
		"a request given up is not the next's":  givenUp,
		"context ends with the connection":      contextEnds,
		"gone once, after the last request":     goneOnce,
		"eviction":                              eviction,
		"kick":                                  kick,
		"peers have ids of their own":           ids,
		"close fails what waits":                closeFails,
		"nobody listens":                        nobody,
		"a requester survives its master":       survives,
		"publish to all":                        publishAll,
		"publish by topic":                      publishTopic,
		"publish to some":                       publishSome,
		"publications keep their order":         publishOrder,
		"subscription refused":                  refused,
		"subscribed before it gets anything":    subscribedFirst,
		"subscriber gone":                       subscriberGone,
		"subscriber kicked":                     subscriberKicked,
		"a stuck subscriber is closed alone":    stuck,
		"publish without subscribers":           publishNobody,
		"receive until the context ends":        recvContext,
		"serving ends when all it began has":    serveEnds,
		"a publication is sent as it was":       framesReused,
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			before := runtime.NumGoroutine()
			r := &rig{T: t, Pair: newPair(t), h: &handler{gone: map[uint64]int{}}, s: &subscribers{}}
			r.start()
			test(t, r)
			r.stop()
			for _, c := range r.closers {
				c()
			}
			poll(t, "goroutines to end", func() bool { return runtime.NumGoroutine() <= before })
		})
	}
}

// rig is a serving pair.
type rig struct {
	*testing.T
	Pair
	h    *handler
	s    *subscribers
	end  context.CancelFunc
	done sync.WaitGroup

	closers []func() error // of the dialing side
}

func (r *rig) start() {
	ctx, cancel := context.WithCancel(context.Background())
	r.end = cancel
	r.done.Go(func() {
		if err := r.Requests.Serve(ctx, r.h); err != nil {
			r.Errorf("Requests.Serve: %v", err)
		}
	})
	r.done.Go(func() {
		if err := r.Publisher.Serve(ctx, r.s); err != nil {
			r.Errorf("Publisher.Serve: %v", err)
		}
	})
	r.Cleanup(r.stop)
}

func (r *rig) stop() {
	r.end()
	ended := make(chan struct{})
	go func() { r.done.Wait(); close(ended) }()
	within(r.T, "Serve to return", ended)
}

func (r *rig) requester() transport.Requester {
	q := r.Dialer.Requester(r.Requests.Addr().String())
	r.closers = append(r.closers, q.Close)
	return q
}

// do is a request that must succeed.
func (r *rig) do(q transport.Requester, body string) string {
	r.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	a, err := q.Do(ctx, []byte(body))
	if err != nil {
		r.Fatalf("Do(%.20q): %v", body, err)
	}
	return string(a)
}

// fails is a request that must fail.
func (r *rig) fails(q transport.Requester, body string) error {
	r.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	a, err := q.Do(ctx, []byte(body))
	if err == nil {
		r.Fatalf("Do(%.20q) = %.20q, want an error", body, a)
	}
	if ctx.Err() != nil {
		r.Fatalf("Do(%.20q) hung", body)
	}
	return err
}

// subscribe waits until the publisher knows of the subscription.
func (r *rig) subscribe(topics ...string) transport.Subscription {
	r.Helper()
	n := r.s.count()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	s, err := r.Dialer.Subscribe(ctx, r.Publisher.Addr().String(), topics...)
	if err != nil {
		r.Fatalf("Subscribe: %v", err)
	}
	r.closers = append(r.closers, s.Close)
	poll(r.T, "subscriptions", func() bool { return r.s.count() >= n+len(topics) })
	return s
}

// publish publishes to a number of subscribers. Subscribed has been called for them, but
// the publisher may not have added the last when publish is called, so it asks again
// with a message to nobody.
func (r *rig) publish(want int, to func(transport.Peer) bool, frames ...string) {
	r.Helper()
	m := make([][]byte, len(frames))
	for i, f := range frames {
		m[i] = []byte(f)
	}
	poll(r.T, fmt.Sprintf("%d matching subscribers", want), func() bool {
		n := 0
		var mu sync.Mutex
		r.Publisher.Publish(m, func(p transport.Peer) bool {
			if to == nil || to(p) {
				mu.Lock()
				n++
				mu.Unlock()
			}
			return false
		})
		return n == want
	})
	if n := r.Publisher.Publish(m, to); n != want {
		r.Fatalf("Publish(%q) = %d, want %d", frames, n, want)
	}
}

// recv is a publication that must come.
func (r *rig) recv(s transport.Subscription) []string {
	r.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	m, err := s.Recv(ctx)
	if err != nil {
		r.Fatalf("Recv: %v", err)
	}
	out := make([]string, len(m))
	for i, f := range m {
		out[i] = string(f)
	}
	return out
}

// lost reads a subscription until it ends.
func (r *rig) lost(s transport.Subscription) error {
	r.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	for {
		if _, err := s.Recv(ctx); err != nil {
			if ctx.Err() != nil {
				r.Fatal("the subscription did not end")
			}
			return err
		}
	}
}

func within(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(limit):
		buf := make([]byte, 1<<20)
		t.Fatalf("waited %v for %s\n%s", limit, what, buf[:runtime.Stack(buf, true)])
	}
}

func poll(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !ok(); {
		if time.Now().After(end) {
			buf := make([]byte, 1<<20)
			t.Fatalf("waited %v for %s\n%s", limit, what, buf[:runtime.Stack(buf, true)])
		}
		time.Sleep(time.Millisecond)
	}
}

// handler echoes, unless answer says otherwise.
type handler struct {
	mu      sync.Mutex
	answer  func(ctx context.Context, p transport.Peer, body []byte) []byte
	peers   []transport.Peer
	gone    map[uint64]int
	evicted int
}

func (h *handler) set(f func(ctx context.Context, p transport.Peer, body []byte) []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answer = f
}

func (h *handler) Request(ctx context.Context, p transport.Peer, body []byte) []byte {
	h.mu.Lock()
	f := h.answer
	if !slices.Contains(h.peers, p) {
		h.peers = append(h.peers, p)
	}
	h.mu.Unlock()
	if f == nil {
		return append([]byte("re:"), body...)
	}
	return f(ctx, p, body)
}

func (h *handler) Gone(p transport.Peer, evicted bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.gone[p.ID()]++
	if evicted {
		h.evicted++
	}
}

// last is the peer that was new last; n is how many there were.
func (h *handler) last() (p transport.Peer, n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.peers) == 0 {
		return nil, 0
	}
	return h.peers[len(h.peers)-1], len(h.peers)
}

func (h *handler) goneCount(id uint64) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.gone[id]
}

// subscribers takes all but the topic "refused".
type subscribers struct {
	mu     sync.Mutex
	hook   func(p transport.Peer, topic []byte)
	peers  []transport.Peer
	topics []string
	gone   []uint64
}

func (s *subscribers) Subscribed(p transport.Peer, topic []byte) bool {
	s.mu.Lock()
	hook := s.hook
	s.mu.Unlock()
	if hook != nil {
		hook(p, topic)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.peers = append(s.peers, p)
	s.topics = append(s.topics, string(topic))
	return string(topic) != "refused"
}

func (s *subscribers) Gone(p transport.Peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = append(s.gone, p.ID())
}

func (s *subscribers) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.topics)
}

func (s *subscribers) goneCount() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.gone)
}

func answers(t *testing.T, r *rig) {
	q := r.requester()
	for i := range 20 {
		want := fmt.Sprintf("re:%d", i)
		if got := r.do(q, fmt.Sprint(i)); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
	if _, n := r.h.last(); n != 1 {
		t.Errorf("%d connections for one requester, want 1", n)
	}
}

func emptyAnswer(t *testing.T, r *rig) {
	q := r.requester()
	r.h.set(func(context.Context, transport.Peer, []byte) []byte { return []byte{} })
	if got := r.do(q, ""); got != "" {
		t.Errorf("got %q, want nothing", got)
	}
	if got := r.do(q, "x"); got != "" {
		t.Errorf("got %q, want nothing", got)
	}
}

func largeBodies(t *testing.T, r *rig) {
	q := r.requester()
	r.h.set(func(_ context.Context, p transport.Peer, body []byte) []byte {
		p.Authenticate()
		return append([]byte("re:"), body...)
	})
	r.do(q, "I am m1")
	for _, n := range []int{255, 256, 4095, 4096, 16 << 10, 64 << 10, 1 << 20, 9 << 20} {
		body := strings.Repeat("0123456789abcde\n", n/16+1)[:n]
		if got := r.do(q, body); got != "re:"+body {
			t.Fatalf("%d bytes: the answer differs, it has %d", n, len(got))
		}
	}
}

func notShared(t *testing.T, r *rig) {
	q := r.requester()
	kept := make(chan []byte, 1)
	r.h.set(func(_ context.Context, _ transport.Peer, body []byte) []byte {
		kept <- body
		return body
	})
	body := []byte("mine")
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	a, err := q.Do(ctx, body)
	if err != nil {
		t.Fatal(err)
	}
	copy(body, "XXXX")
	k := <-kept
	if string(k) != "mine" {
		t.Errorf("the handler's body became %q", k)
	}
	copy(a, "YYYY")
	if string(k) != "mine" {
		t.Errorf("the handler's body became %q", k)
	}
}

func turns(t *testing.T, r *rig) {
	q := r.requester()
	var mu sync.Mutex
	in, most := 0, 0
	r.h.set(func(_ context.Context, _ transport.Peer, body []byte) []byte {
		mu.Lock()
		in++
		most = max(most, in)
		mu.Unlock()
		runtime.Gosched()
		mu.Lock()
		in--
		mu.Unlock()
		return body
	})
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			want := fmt.Sprint(i)
			ctx, cancel := context.WithTimeout(context.Background(), limit)
			defer cancel()
			if got, err := q.Do(ctx, []byte(want)); err != nil || string(got) != want {
				t.Errorf("got %q, %v, want %q", got, err, want)
			}
		})
	}
	wg.Wait()
	if most != 1 {
		t.Errorf("%d requests of one connection at once", most)
	}
}

func concurrent(t *testing.T, r *rig) {
	const n = 8
	var all sync.WaitGroup // nobody is answered before all have asked
	all.Add(n)
	r.h.set(func(_ context.Context, _ transport.Peer, body []byte) []byte {
		all.Done()
		all.Wait()
		return body
	})
	var wg sync.WaitGroup
	for i := range n {
		q := r.requester()
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), limit)
			defer cancel()
			want := fmt.Sprint(i)
			if got, err := q.Do(ctx, []byte(want)); err != nil || string(got) != want {
				t.Errorf("got %q, %v, want %q", got, err, want)
			}
		})
	}
	wg.Wait()
}

func nilAnswer(t *testing.T, r *rig) {
	q := r.requester()
	r.h.set(func(_ context.Context, _ transport.Peer, body []byte) []byte {
		if string(body) == "no" {
			return nil
		}
		return body
	})
	r.do(q, "yes")
	r.fails(q, "no")
	r.do(q, "yes again")
	if _, n := r.h.last(); n != 2 {
		t.Errorf("%d connections, want 2: the first was closed", n)
	}
}

func panics(t *testing.T, r *rig) {
	q, other := r.requester(), r.requester()
	r.h.set(func(_ context.Context, _ transport.Peer, body []byte) []byte {
		if string(body) == "bad" {
			panic("as the test wants it")
		}
		return body
	})
	r.do(other, "1")
	r.fails(q, "bad")
	r.do(other, "2")
	r.do(q, "good")
}

func givenUp(t *testing.T, r *rig) {
	q := r.requester()
	asked, release := make(chan struct{}), make(chan struct{})
	r.h.set(func(_ context.Context, _ transport.Peer, body []byte) []byte {
		if string(body) == "slow" {
			close(asked)
			<-release
		}
		return body
	})
	ctx, cancel := context.WithCancel(context.Background())
	go func() { <-asked; cancel() }()
	if a, err := q.Do(ctx, []byte("slow")); !errors.Is(err, context.Canceled) {
		t.Fatalf("Do = %q, %v, want %v", a, err, context.Canceled)
	}
	if got := r.do(q, "next"); got != "next" {
		t.Errorf("got %q, the answer to another request", got)
	}
	close(release)
	if got := r.do(q, "last"); got != "last" {
		t.Errorf("got %q, the answer to another request", got)
	}
}

func contextEnds(t *testing.T, r *rig) {
	q := r.requester()
	asked, ended := make(chan struct{}), make(chan struct{})
	r.h.set(func(ctx context.Context, _ transport.Peer, body []byte) []byte {
		close(asked)
		<-ctx.Done()
		close(ended)
		return body
	})
	ctx, cancel := context.WithCancel(context.Background())
	go func() { <-asked; cancel() }()
	q.Do(ctx, []byte("x"))
	within(t, "the request's context to end", ended)
}

func goneOnce(t *testing.T, r *rig) {
	q := r.requester()
	r.do(q, "1")
	p, _ := r.h.last()
	if n := r.h.goneCount(p.ID()); n != 0 {
		t.Fatalf("gone %d times before it was", n)
	}
	q.Close()
	poll(t, "Gone", func() bool { return r.h.goneCount(p.ID()) == 1 })
	r.stop()
	if n := r.h.goneCount(p.ID()); n != 1 {
		t.Errorf("gone %d times", n)
	}
	if r.h.evicted != 0 {
		t.Error("said to be evicted")
	}
}

func eviction(t *testing.T, r *rig) {
	q, stranger := r.requester(), r.requester()
	r.do(stranger, "not authenticated")
	r.h.set(func(_ context.Context, p transport.Peer, body []byte) []byte {
		p.Authenticate()
		return body
	})
	r.do(q, "1")
	p, _ := r.h.last()
	poll(t, "one to evict", func() bool { return r.EvictIdle(10) == 1 })
	poll(t, "Gone", func() bool { return r.h.goneCount(p.ID()) == 1 })
	if r.h.evicted != 1 {
		t.Errorf("%d evicted, want 1", r.h.evicted)
	}
	// The other end learns of it when it learns of it; what it loses is one request.
	poll(t, "the requester to come back", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		_, err := q.Do(ctx, []byte("2"))
		return err == nil
	})
	r.do(stranger, "still there")
}

func kick(t *testing.T, r *rig) {
	q := r.requester()
	r.do(q, "1")
	p, _ := r.h.last()
	p.Kick("the test says so")
	p.Kick("twice")
	poll(t, "Gone", func() bool { return r.h.goneCount(p.ID()) == 1 })
	poll(t, "the requester to come back", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		_, err := q.Do(ctx, []byte("2"))
		return err == nil
	})
}

func ids(t *testing.T, r *rig) {
	for range 5 {
		r.do(r.requester(), "x")
	}
	seen := map[uint64]bool{}
	for _, p := range r.h.peers {
		seen[p.ID()] = true
	}
	r.subscribe("")
	seen[r.s.peers[0].ID()] = true
	if len(seen) != 6 {
		t.Errorf("%d ids for 6 connections", len(seen))
	}
}

func closeFails(t *testing.T, r *rig) {
	q := r.requester()
	asked := make(chan struct{})
	r.h.set(func(ctx context.Context, _ transport.Peer, _ []byte) []byte {
		close(asked)
		<-ctx.Done()
		return nil
	})
	go func() { <-asked; q.Close() }()
	if err := r.fails(q, "x"); !errors.Is(err, transport.ErrClosed) {
		t.Errorf("Do during Close: %v, want ErrClosed", err)
	}
	if err := r.fails(q, "x"); !errors.Is(err, transport.ErrClosed) {
		t.Errorf("Do after Close: %v, want ErrClosed", err)
	}
	if err := q.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	s := r.subscribe("")
	s.Close()
	if err := r.lost(s); !errors.Is(err, transport.ErrClosed) {
		t.Errorf("Recv after Close: %v, want ErrClosed", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func nobody(t *testing.T, r *rig) {
	q := r.Dialer.Requester(r.Nobody)
	defer q.Close()
	r.fails(q, "x")
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if s, err := r.Dialer.Subscribe(ctx, r.Nobody, ""); err == nil {
		s.Close()
		t.Error("Subscribe succeeded")
	}
}

func survives(t *testing.T, r *rig) {
	q := r.requester()
	s := r.subscribe("")
	r.do(q, "1")
	r.stop()
	r.fails(q, "2")
	if err := r.lost(s); !errors.Is(err, transport.ErrClosed) {
		t.Errorf("Recv: %v, want ErrClosed", err)
	}
	p, _ := r.h.last()
	if n := r.h.goneCount(p.ID()); n != 1 {
		t.Errorf("gone %d times", n)
	}
	if n := r.s.goneCount(); n != 1 {
		t.Errorf("subscriber gone %d times", n)
	}
}

func publishAll(t *testing.T, r *rig) {
	a, b := r.subscribe(""), r.subscribe("")
	for _, m := range [][]string{{"one frame"}, {"two", "frames"}, {""}, {"", ""}, {"x", strings.Repeat("y", 1<<20)}} {
		r.publish(2, nil, m...)
		for _, s := range []transport.Subscription{a, b} {
			if got := r.recv(s); !slices.Equal(got, m) {
				t.Fatalf("got %.40q, want %.40q", got, m)
			}
		}
	}
}

func publishTopic(t *testing.T, r *rig) {
	a, b := r.subscribe("broadcast", "aaaa"), r.subscribe("broadcast", "bbbb")
	r.publish(1, nil, "aaaa", "for a")
	r.publish(1, nil, "bbbb", "for b")
	r.publish(0, nil, "cccc", "for nobody")
	r.publish(0, nil, "aaa", "shorter than the subscription")
	r.publish(1, nil, "aaaaa", "longer")
	r.publish(2, nil, "broadcast", "for both")
	want := map[transport.Subscription][]string{a: {"for a", "longer", "for both"}, b: {"for b", "for both"}}
	for s, w := range want {
		for _, m := range w {
			if got := r.recv(s); got[1] != m {
				t.Errorf("got %q, want %q", got[1], m)
			}
		}
	}
}

func publishSome(t *testing.T, r *rig) {
	a := r.subscribe("")
	pa := r.s.peers[0]
	b := r.subscribe("")
	r.publish(1, func(p transport.Peer) bool { return p.ID() == pa.ID() }, "a")
	r.publish(1, func(p transport.Peer) bool { return p.ID() != pa.ID() }, "b")
	if got := r.recv(a); got[0] != "a" {
		t.Errorf("a got %q", got)
	}
	if got := r.recv(b); got[0] != "b" {
		t.Errorf("b got %q", got)
	}
}

func publishOrder(t *testing.T, r *rig) {
	subs := []transport.Subscription{r.subscribe(""), r.subscribe(""), r.subscribe("")}
	r.publish(3, nil, "start")
	const n, senders = 50, 4
	var wg sync.WaitGroup
	for i := range senders {
		wg.Go(func() {
			for j := range n {
				r.Publisher.Publish([][]byte{fmt.Appendf(nil, "%d %d", i, j)}, nil)
			}
		})
	}
	wg.Wait()
	var first []string
	for i, s := range subs {
		r.recv(s)
		var got []string
		for range n * senders {
			got = append(got, r.recv(s)[0])
		}
		if i == 0 {
			first = got
		} else if !slices.Equal(got, first) {
			t.Error("two subscribers saw different orders")
		}
	}
}

func refused(t *testing.T, r *rig) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	s, err := r.Dialer.Subscribe(ctx, r.Publisher.Addr().String(), "refused")
	if err != nil {
		return
	}
	defer s.Close()
	r.lost(s)
	r.publish(0, nil, "refused")
	r.stop()
	if n := r.s.goneCount(); n != 0 {
		t.Errorf("gone %d times, though it had subscribed to nothing", n)
	}
}

func subscribedFirst(t *testing.T, r *rig) {
	var early int
	r.s.hook = func(transport.Peer, []byte) {
		early = r.Publisher.Publish([][]byte{[]byte("too early")}, nil)
	}
	s := r.subscribe("")
	r.publish(1, nil, "in time")
	if got := r.recv(s); got[0] != "in time" || early != 0 {
		t.Errorf("got %q; %d reached it before Subscribed returned", got, early)
	}
}

func subscriberGone(t *testing.T, r *rig) {
	s := r.subscribe("a", "b")
	s.Close()
	poll(t, "Gone", func() bool { return r.s.goneCount() == 1 })
	r.publish(0, nil, "a")
	r.stop()
	if n := r.s.goneCount(); n != 1 {
		t.Errorf("gone %d times", n)
	}
}

func subscriberKicked(t *testing.T, r *rig) {
	a, b := r.subscribe(""), r.subscribe("")
	r.s.peers[0].Kick("the test says so")
	r.lost(a)
	poll(t, "Gone", func() bool { return r.s.goneCount() == 1 })
	r.publish(1, nil, "still here")
	r.recv(b)
}

func stuck(t *testing.T, r *rig) {
	r.subscribe("") // and never reads
	good := r.subscribe("")
	r.publish(2, nil, "start")
	r.recv(good)
	payload := bytes.Repeat([]byte("x"), 64<<10)
	end := time.Now().Add(limit)
	for i := 0; r.s.goneCount() == 0; i++ {
		if time.Now().After(end) {
			t.Fatal("the stuck subscriber was never closed")
		}
		if n := r.Publisher.Publish([][]byte{fmt.Append(nil, i), payload}, nil); n == 0 {
			t.Fatal("the good subscriber was closed")
		}
		if got := r.recv(good); got[0] != fmt.Sprint(i) {
			t.Fatalf("the good subscriber got %q, want %d", got[0], i)
		}
	}
	r.publish(1, nil, "end")
	r.recv(good)
}

func publishNobody(t *testing.T, r *rig) {
	r.publish(0, nil, "x")
	if n := r.Publisher.Publish(nil, nil); n != 0 {
		t.Errorf("a message without frames went to %d", n)
	}
}

func recvContext(t *testing.T, r *rig) {
	s := r.subscribe("")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.Recv(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Recv: %v, want %v", err, context.Canceled)
	}
	r.publish(1, nil, "x")
	if got := r.recv(s); got[0] != "x" {
		t.Errorf("got %q", got)
	}
}

func serveEnds(t *testing.T, r *rig) {
	q := r.requester()
	asked, let := make(chan struct{}), make(chan struct{})
	var finished sync.WaitGroup
	finished.Add(1)
	r.h.set(func(ctx context.Context, _ transport.Peer, body []byte) []byte {
		close(asked)
		<-ctx.Done()
		<-let
		finished.Done()
		return body
	})
	go q.Do(context.Background(), []byte("x"))
	within(t, "the request", asked)
	r.end()
	ended := make(chan struct{})
	go func() { r.done.Wait(); close(ended) }()
	select {
	case <-ended:
		t.Error("Serve returned while a handler was at work")
	default:
	}
	close(let)
	within(t, "Serve to return", ended)
	finished.Wait()
	p, _ := r.h.last()
	if n := r.h.goneCount(p.ID()); n != 1 {
		t.Errorf("gone %d times when Serve returned", n)
	}
}

func framesReused(t *testing.T, r *rig) {
	a, b := r.subscribe(""), r.subscribe("")
	r.publish(2, nil, "start")
	r.recv(a)
	r.recv(b)
	frame := bytes.Repeat([]byte("1"), 1<<20)
	r.Publisher.Publish([][]byte{frame}, nil)
	for i := range frame {
		frame[i] = '2'
	}
	for _, s := range []transport.Subscription{a, b} {
		if got := r.recv(s)[0]; strings.Contains(got, "2") {
			t.Error("the publication changed on its way")
		}
	}
}
