package zmq

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"net"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gosalt/gosalt/protocol/transport"
)

// peer is a libzmq socket in a process of its own.
type peer struct {
	t    *testing.T
	cmd  *exec.Cmd
	in   interface{ Write([]byte) (int, error) }
	out  chan string
	port int
}

// libzmq starts one (testdata/peer.py), or skips the test where Python has no zmq.
func libzmq(t *testing.T, role, addr string, options map[string]any) *peer {
	t.Helper()
	python := "/usr/bin/python3"
	if out, err := exec.Command(python, "-c", "import zmq").CombinedOutput(); err != nil {
		t.Skipf("needs libzmq for Python; install python3-zmq (%v %s)", err, out)
	}
	if options == nil {
		options = map[string]any{}
	}
	o, _ := json.Marshal(options)
	p := &peer{t: t, out: make(chan string, 1000)}
	p.cmd = exec.Command(python, "testdata/peer.py", role, addr, string(o))
	in, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.in = in
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	p.cmd.Stderr = &stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.out)
		for s := bufio.NewScanner(out); s.Scan(); {
			p.out <- s.Text()
		}
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() && stderr.Len() > 0 {
			t.Logf("the %s said: %s", role, &stderr)
		}
	})
	if options["bind"] == true {
		var v struct{ Port int }
		if err := json.Unmarshal([]byte(p.line()), &v); err != nil {
			t.Fatal(err)
		}
		p.port = v.Port
	}
	if l := p.line(); l != `"ready"` {
		t.Fatalf("the %s said %q, want ready", role, l)
	}
	return p
}

func (p *peer) kill() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
}

func (p *peer) addr() string { return fmt.Sprintf("127.0.0.1:%d", p.port) }

func (p *peer) line() string {
	p.t.Helper()
	select {
	case l, ok := <-p.out:
		if !ok {
			p.t.Fatal("the libzmq peer ended")
		}
		return l
	case <-time.After(30 * time.Second):
		p.t.Fatal("the libzmq peer said nothing for 30s")
	}
	return ""
}

func (p *peer) say(v any) {
	p.t.Helper()
	b, _ := json.Marshal(v)
	if _, err := p.in.Write(append(b, '\n')); err != nil {
		p.t.Fatal(err)
	}
}

// frames are sizes and sums of what the peer got.
func (p *peer) want(frames ...[]byte) {
	p.t.Helper()
	var got [][2]uint32
	l := p.line()
	if err := json.Unmarshal([]byte(l), &got); err != nil {
		p.t.Fatalf("%s: %v", l, err)
	}
	var want [][2]uint32
	for _, f := range frames {
		want = append(want, [2]uint32{uint32(len(f)), crc32.ChecksumIEEE(f)})
	}
	if !slices.Equal(got, want) {
		p.t.Fatalf("libzmq got frames of (size, sum) %v, want %v", got, want)
	}
}

func pattern(n int) []byte {
	return []byte(strings.Repeat("0123456789abcde\n", n/16+1)[:n])
}

// echo authenticates everyone and answers each request with itself.
type echo struct{}

func (echo) Request(_ context.Context, p transport.Peer, body []byte) []byte {
	p.Authenticate()
	return body
}
func (echo) Gone(transport.Peer, bool) {}

// handlerFunc is a handler that does not care who is gone.
type handlerFunc func(ctx context.Context, p transport.Peer, body []byte) []byte

func (f handlerFunc) Request(ctx context.Context, p transport.Peer, body []byte) []byte {
	return f(ctx, p, body)
}
func (handlerFunc) Gone(transport.Peer, bool) {}

// anyone takes all subscriptions.
type anyone struct{}

func (anyone) Subscribed(transport.Peer, []byte) bool { return true }
func (anyone) Gone(transport.Peer)                    {}

// serving starts a port, whose end it awaits when the test ends.
func serving(t testing.TB, serve func(context.Context) error) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- serve(ctx) }()
	ended := false
	end = func() {
		if ended {
			return
		}
		ended = true
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Serve: %v", err)
			}
		case <-time.After(20 * time.Second):
			t.Error("Serve did not return within 20s")
		}
	}
	t.Cleanup(end)
	return end
}

func testRouter(t testing.TB, o Options, h transport.Handler) (*Router, func()) {
	t.Helper()
	return routerAt(t, "127.0.0.1:0", o, h)
}

func routerAt(t testing.TB, addr string, o Options, h transport.Handler) (*Router, func()) {
	t.Helper()
	r, err := NewRouter(addr, o)
	if err != nil {
		t.Fatal(err)
	}
	return r, serving(t, func(ctx context.Context) error { return r.Serve(ctx, h) })
}

func testPublisher(t testing.TB, o Options, s transport.Subscribers) (*Publisher, func()) {
	t.Helper()
	return publisherAt(t, "127.0.0.1:0", o, s)
}

func publisherAt(t testing.TB, addr string, o Options, s transport.Subscribers) (*Publisher, func()) {
	t.Helper()
	p, err := NewPublisher(addr, o)
	if err != nil {
		t.Fatal(err)
	}
	return p, serving(t, func(ctx context.Context) error { return p.Serve(ctx, s) })
}

func poll(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited 30s for %s", what)
		}
	}
}

var sizes = []int{0, 1, 255, 256, 64 << 10, 1 << 20, 50 << 20}

func TestLibzmqSubscriber(t *testing.T) {
	p, _ := testPublisher(t, Options{}, anyone{})
	sub := libzmq(t, "SUB", p.Addr().String(), map[string]any{"topics": []string{""}})
	topical := libzmq(t, "SUB", p.Addr().String(), map[string]any{"topics": []string{"broadcast", "0123456789abcde\n0123"}})
	send := func(want int, frames ...[]byte) {
		t.Helper()
		// Its subscriptions come one by one, each with its own packet.
		poll(t, "subscribers", func() bool {
			n := p.Publish(frames, nil)
			if n != 0 && n != want {
				t.Fatalf("published to %d, want %d", n, want)
			}
			return n == want
		})
	}
	poll(t, "subscriptions", func() bool {
		n := 0
		for _, s := range p.subscribers() {
			n += len(*s.topics.Load())
		}
		return n == 3
	})
	for _, n := range sizes {
		b := pattern(n)
		want := 1
		if n >= 20 {
			want = 2
		}
		send(want, b)
		sub.want(b)
		if want == 2 {
			topical.want(b)
		}
		send(2, []byte("broadcast"), b)
		sub.want([]byte("broadcast"), b)
		topical.want([]byte("broadcast"), b)
	}
	send(1, []byte("broad"), []byte("not to the topical one"))
	if st := p.Stats(); st.Accepted != 2 || st.BadFrames+st.Overflows+st.Dead+st.Panics != 0 {
		t.Errorf("stats: %+v", st)
	}
}

func TestLibzmqRequesters(t *testing.T) {
	for _, role := range []string{"REQ", "DEALER"} {
		t.Run(role, func(t *testing.T) {
			r, _ := testRouter(t, Options{}, echo{})
			p := libzmq(t, role, r.Addr().String(), map[string]any{"opts": map[string]int{"RCVTIMEO": 30000}})
			for _, n := range append([]int{1}, sizes...) { // the first authenticates it
				p.say(n)
				want := [][]byte{pattern(n)}
				if role == "DEALER" {
					want = [][]byte{{}, pattern(n)}
				}
				p.want(want...)
			}
			if st := r.Stats(); st.Accepted != 1 || st.Unauthenticated != 0 || st.BadFrames+st.Panics != 0 {
				t.Errorf("stats: %+v", st)
			}
		})
	}
}

// libzmq's heartbeats are answered, also while a handler is at work.
func TestLibzmqHeartbeats(t *testing.T) {
	t.Parallel()
	opts := map[string]any{"opts": map[string]int{"HEARTBEAT_IVL": 300, "HEARTBEAT_TIMEOUT": 1500, "RCVTIMEO": 30000}}
	t.Run("REQ", func(t *testing.T) {
		var r *Router
		r, _ = testRouter(t, Options{}, handlerFunc(func(ctx context.Context, p transport.Peer, body []byte) []byte {
			poll(t, "PINGs while busy", func() bool { return r.Stats().PingsReceived >= 8 })
			return body
		}))
		p := libzmq(t, "REQ", r.Addr().String(), opts)
		p.say(5)
		p.want(pattern(5))
		before := r.Stats().PingsReceived
		poll(t, "PINGs while idle", func() bool { return r.Stats().PingsReceived >= before+8 })
		if n := r.Stats().Accepted; n != 1 {
			t.Errorf("%d connections, want 1: it was lost", n)
		}
	})
	t.Run("SUB", func(t *testing.T) {
		p, _ := testPublisher(t, Options{}, anyone{})
		opts["topics"] = []string{""}
		sub := libzmq(t, "SUB", p.Addr().String(), opts)
		poll(t, "PINGs", func() bool { return p.Stats().PingsReceived >= 10 })
		if n := p.Publish([][]byte{[]byte("x")}, nil); n != 1 {
			t.Errorf("published to %d", n)
		}
		sub.want([]byte("x"))
		if n := p.Stats().Accepted; n != 1 {
			t.Errorf("%d connections, want 1: it was lost", n)
		}
	})
}

// libzmq answers ours.
func TestLibzmqAnswersPings(t *testing.T) {
	t.Parallel()
	o := Options{Ping: 60 * time.Millisecond, PingMisses: 50}
	r, _ := testRouter(t, o, echo{})
	p, _ := testPublisher(t, o, anyone{})
	req := libzmq(t, "REQ", r.Addr().String(), nil)
	req.say(3)
	req.want(pattern(3))
	libzmq(t, "SUB", p.Addr().String(), map[string]any{"topics": []string{""}})
	poll(t, "PINGs", func() bool { return r.Stats().PingsSent >= 20 && p.Stats().PingsSent >= 20 })
	req.say(4)
	req.want(pattern(4))
	for _, st := range []Stats{r.Stats(), p.Stats()} {
		if st.Dead != 0 || st.Accepted != 1 {
			t.Errorf("stats: %+v", st)
		}
	}
	// lastIn moved: the PINGs were answered, not merely sent.
	for _, s := range []*server{r.srv, p.srv} {
		c := s.all(nil)[0]
		at := c.lastIn.Load()
		poll(t, "a PONG", func() bool { return c.lastIn.Load() > at })
	}
}

func TestLibzmqRouter(t *testing.T) {
	d := NewDialer(DialOptions{Ping: 60 * time.Millisecond, PingMisses: 50})
	m := libzmq(t, "ROUTER", "any", map[string]any{"bind": true})
	q := d.Requester(m.addr())
	defer q.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, n := range sizes {
		got, err := q.Do(ctx, pattern(n))
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(pattern(n)) {
			t.Fatalf("%d bytes: the answer differs", n)
		}
	}
	before := d.Stats().PingsSent
	poll(t, "PINGs", func() bool { return d.Stats().PingsSent >= before+10 })
	if _, err := q.Do(ctx, []byte("x")); err != nil {
		t.Errorf("after PINGs: %v", err)
	}
	if n := d.Stats().Accepted; n != 1 {
		t.Errorf("%d connections, want 1", n)
	}

	m.kill()
	short, cancel2 := context.WithTimeout(ctx, 5*time.Second)
	if _, err := q.Do(short, []byte("x")); err == nil || short.Err() != nil {
		t.Errorf("without the master: %v, want an error at once", err)
	}
	cancel2()
	libzmq(t, "ROUTER", m.addr(), map[string]any{"bind": true})
	if got, err := q.Do(ctx, []byte("back")); err != nil || string(got) != "back" {
		t.Errorf("after its return: %q, %v", got, err)
	}
}

func TestLibzmqPublisher(t *testing.T) {
	d := NewDialer(DialOptions{Ping: 60 * time.Millisecond, PingMisses: 50})
	m := libzmq(t, "XPUB", "any", map[string]any{"bind": true})
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s, err := d.Subscribe(ctx, m.addr(), "012")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got := m.line(); got != `"01303132"` {
		t.Fatalf("libzmq took the subscription for %s", got)
	}
	before := d.Stats().PingsSent
	for i, n := range sizes {
		if n < 3 {
			n = 3
		}
		if i%2 == 0 {
			m.say([]int{n})
		} else {
			m.say([]int{3, n})
		}
		got, err := s.Recv(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != 1+i%2 || string(got[i%2]) != string(pattern(n)) {
			t.Fatalf("%d bytes: got %d frames, the last of %d bytes", n, len(got), len(got[len(got)-1]))
		}
	}
	poll(t, "PINGs", func() bool { return d.Stats().PingsSent >= before+10 })
	m.say([]int{0}) // not subscribed to
	m.say([]int{5})
	if got, err := s.Recv(ctx); err != nil || len(got[0]) != 5 {
		t.Fatalf("got %q, %v", got, err)
	}
	m.kill()
	if _, err := s.Recv(ctx); err == nil || ctx.Err() != nil {
		t.Errorf("without the master: %v, want an error at once", err)
	}
}

// A real minion's sockets come back by themselves when our ports do.
func TestLibzmqReconnects(t *testing.T) {
	r, endR := testRouter(t, Options{}, echo{})
	p, endP := testPublisher(t, Options{}, anyone{})
	fast := map[string]int{"RECONNECT_IVL": 10, "RCVTIMEO": 30000}
	req := libzmq(t, "REQ", r.Addr().String(), map[string]any{"opts": fast})
	sub := libzmq(t, "SUB", p.Addr().String(), map[string]any{"opts": fast, "topics": []string{"t"}})
	for range 3 {
		req.say(10)
		req.want(pattern(10))
		poll(t, "the subscriber", func() bool { return p.Publish([][]byte{[]byte("tx")}, nil) == 1 })
		sub.want([]byte("tx"))
		endR()
		endP()
		r, endR = routerAt(t, r.Addr().String(), Options{}, echo{})
		p, endP = publisherAt(t, p.Addr().String(), Options{}, anyone{})
	}
}

// freePort is an address where nothing listens now.
func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
