package zmq

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gosalt/gosalt/protocol/transport"
)

// evil is a master's port that does as told with each connection.
func evil(t *testing.T, do func(raw)) (addr string, conns func() int) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	n := 0
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			n++
			mu.Unlock()
			wg.Go(func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(30 * time.Second))
				do(raw{t, c})
			})
		}
	})
	t.Cleanup(func() { ln.Close(); wg.Wait() })
	return ln.Addr().String(), func() int { mu.Lock(); defer mu.Unlock(); return n }
}

// hello is evil's handshake.
func (c raw) hello(typ string) {
	c.put(greeting(1), readyOf("Socket-Type", typ))
	b := make([]byte, greetingSize+2)
	io.ReadFull(c, b)
	io.ReadFull(c, make([]byte, b[greetingSize+1]))
}

// drain reads until the other side closes.
func (c raw) drain() { io.Copy(io.Discard, c) }

func TestDialerAgainstEvilRouters(t *testing.T) {
	for name, do := range map[string]func(raw){
		"closes at once":  func(raw) {},
		"never greets":    func(c raw) { c.drain() },
		"half a greeting": func(c raw) { c.put(greeting(1)[:20]); c.drain() },
		"no READY":        func(c raw) { c.put(greeting(1)); c.drain() },
		"is a PUB":        func(c raw) { c.hello("PUB"); c.drain() },
		"says ERROR":      func(c raw) { c.put(greeting(1), appendCommand(nil, "ERROR", []byte("\x02no"))); c.drain() },
		"HTTP": func(c raw) {
			c.put([]byte("HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n\r\nwhat is this?\n\n"))
		},
		"closes after READY": func(c raw) { c.hello("ROUTER") },
		"2^62":               func(c raw) { c.hello("ROUTER"); c.put([]byte{flagMore, 0}, long(0, 1<<62)); c.drain() },
		"more than the limit": func(c raw) {
			c.hello("ROUTER")
			c.put([]byte{flagMore, 0}, long(0, 2<<20+1))
			c.drain()
		},
		"endless MORE":   func(c raw) { c.hello("ROUTER"); c.put(bytes.Repeat([]byte{flagMore, 0}, 1000)); c.drain() },
		"one frame":      func(c raw) { c.hello("ROUTER"); c.put([]byte{0, 1, 'x'}); c.drain() },
		"half an answer": func(c raw) { c.hello("ROUTER"); c.put(request("answer")[:6]); c.drain() },
		"answers before": func(c raw) { c.hello("ROUTER"); c.put(request("a"), request("b")); c.drain() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr, conns := evil(t, do)
			d := NewDialer(DialOptions{Timeout: time.Second, ReadTimeout: time.Second, MaxFrame: 2 << 20})
			q := d.Requester(addr)
			defer q.Close()
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			for range 2 {
				a, err := q.Do(ctx, []byte("x"))
				if name == "answers before" && err == nil { // one was taken for an answer, the other ends it
					continue
				}
				if err == nil || ctx.Err() != nil {
					t.Fatalf("got %q, %v, want an error soon", a, err)
				}
				if !strings.Contains(err.Error(), addr) {
					t.Errorf("%v: does not say where", err)
				}
			}
			if n := conns(); n > 2 {
				t.Errorf("%d connections for two requests", n)
			}
			if n := d.Stats().Panics; n != 0 {
				t.Errorf("%d panics", n)
			}
		})
	}
}

func TestDialerAgainstEvilPublishers(t *testing.T) {
	for name, b := range map[string][]byte{
		"2^62":                 long(0, 1<<62),
		"more than the limit":  long(0, 2<<20+1),
		"17 frames":            append(bytes.Repeat([]byte{flagMore, 0}, 16), 0, 0),
		"sum above the limit":  append(append(long(flagMore, 1<<20), make([]byte, 1<<20)...), long(0, 1<<20+1)...),
		"sum above 2^64":       append([]byte{flagMore, 1, 'x'}, long(0, 1<<64-1)...),
		"half a message":       {0, 9, 'x'},
		"undefined flags":      {0x80, 0},
		"PING without an end":  append(long(flagCommand, 1<<40), "\x04PING"...),
		"nothing, dead":        nil,
		"nothing, then closed": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr, _ := evil(t, func(c raw) {
				c.hello("PUB")
				c.get(len("\x00\x01\x01") + len("\x00\x0c\x01and another"))
				c.put([]byte{0, 4, 'g', 'o', 'o', 'd'}, append(bytes.Repeat([]byte{flagMore, 0}, 15), 0, 0), b)
				if name != "nothing, then closed" {
					c.drain()
				}
			})
			d := NewDialer(DialOptions{ReadTimeout: time.Second, MaxFrame: 2 << 20, Ping: 300 * time.Millisecond})
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			s, err := d.Subscribe(ctx, addr, "", "and another")
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if m, err := s.Recv(ctx); err != nil || string(m[0]) != "good" {
				t.Fatalf("got %q, %v", m, err)
			}
			if m, err := s.Recv(ctx); err != nil || len(m) != 16 {
				t.Fatalf("got %d frames, %v, want 16", len(m), err)
			}
			for range 2 {
				if m, err := s.Recv(ctx); err == nil || ctx.Err() != nil {
					t.Fatalf("got %q, %v, want an error soon", m, err)
				}
			}
			if name == "nothing, dead" && d.Stats().Dead != 1 {
				t.Errorf("stats: %+v", d.Stats())
			}
		})
	}
}

func TestSubscribeFails(t *testing.T) {
	d := NewDialer(DialOptions{Timeout: 300 * time.Millisecond})
	silent, _ := evil(t, raw.drain)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for addr, want := range map[string]string{
		silent:            "greeting",
		"127.0.0.1":       "host:port",
		"127.0.0.1:0":     "port",
		"127.0.0.1:70000": "port",
		"127.0.0.1:ret":   "port",
		freePort(t):       "refused",
	} {
		if _, err := d.Subscribe(ctx, addr, ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Subscribe(%q): %v, want it to speak of %q", addr, err, want)
		}
	}
	gone, cancelGone := context.WithCancel(ctx)
	cancelGone()
	if _, err := d.Subscribe(gone, silent, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("Subscribe with a context that ended: %v", err)
	}
}

// The default limits let a return of 100 MB pass.
func TestHundredMegabytes(t *testing.T) {
	r, _ := testRouter(t, Options{}, handlerFunc(func(_ context.Context, p transport.Peer, body []byte) []byte {
		p.Authenticate()
		return body[len(body)-5:]
	}))
	q := NewDialer(DialOptions{}).Requester(r.Addr().String())
	defer q.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := q.Do(ctx, []byte("I am m1")); err != nil {
		t.Fatal(err)
	}
	body := append(make([]byte, 100<<20), "done."...)
	if got, err := q.Do(ctx, body); err != nil || string(got) != "done." {
		t.Fatalf("got %q, %v", got, err)
	}
}

// A request that is given up while it is being sent is not read any more: with -race,
// the write below tells.
func TestBodyIsTheCallersAgain(t *testing.T) {
	t.Parallel()
	addr, _ := evil(t, func(c raw) { c.hello("ROUTER"); io.CopyN(io.Discard, c, 1<<20); time.Sleep(time.Second) })
	q := NewDialer(DialOptions{}).Requester(addr)
	defer q.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	body := make([]byte, 64<<20)
	if _, err := q.Do(ctx, body); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
	clear(body)
}

func TestSourceAddress(t *testing.T) {
	from := make(chan netip.AddrPort, 1)
	r, _ := testRouter(t, Options{}, handlerFunc(func(_ context.Context, p transport.Peer, body []byte) []byte {
		from <- p.Addr()
		return body
	}))
	source := netip.MustParseAddr("127.0.0.5")
	q := NewDialer(DialOptions{Source: source}).Requester(r.Addr().String())
	defer q.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if _, err := q.Do(ctx, []byte("x")); err != nil {
		t.Skipf("cannot connect from %s here: %v", source, err)
	}
	if got := <-from; got.Addr() != source {
		t.Errorf("came from %s, want %s", got, source)
	}
}

// A name is looked up for each connection, and all its addresses are tried.
func TestNames(t *testing.T) {
	r, _ := testRouter(t, Options{}, echo{})
	_, port, _ := net.SplitHostPort(r.Addr().String())
	var zone names
	d := NewDialer(DialOptions{Timeout: 2 * time.Second, Resolver: &net.Resolver{PreferGo: true, Dial: zone.dial}})
	q := d.Requester("master.test.:" + port)
	defer q.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	ask := func() error {
		_, err := q.Do(ctx, []byte("x"))
		return err
	}
	zone.set() // no such name
	if err := ask(); err == nil || !strings.Contains(err.Error(), "master.test") {
		t.Errorf("unknown name: %v", err)
	}
	zone.set("127.0.0.3") // nobody there
	if err := ask(); err == nil || !strings.Contains(err.Error(), "127.0.0.3") {
		t.Errorf("nobody there: %v", err)
	}
	zone.set("127.0.0.3", "127.0.0.4", "127.0.0.1")
	if err := ask(); err != nil {
		t.Errorf("one of three addresses answers: %v", err)
	}
	asked := zone.asked()
	if err := ask(); err != nil || zone.asked() != asked {
		t.Errorf("on the same connection: %v, %d more look-ups", err, zone.asked()-asked)
	}
}

// names is a DNS server of one name.
type names struct {
	mu    sync.Mutex
	addrs []string
	n     int
}

func (z *names) set(addrs ...string) { z.mu.Lock(); z.addrs = addrs; z.mu.Unlock() }
func (z *names) asked() int          { z.mu.Lock(); defer z.mu.Unlock(); return z.n }

func (z *names) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	go func() {
		defer server.Close()
		for {
			var size [2]byte
			if _, err := io.ReadFull(server, size[:]); err != nil {
				return
			}
			q := make([]byte, binary.BigEndian.Uint16(size[:]))
			if _, err := io.ReadFull(server, q); err != nil {
				return
			}
			a := z.answer(q)
			server.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(a))), a...))
		}
	}()
	return client, nil
}

// answer makes a reply (RFC 1035, section 4.1) of a query.
func (z *names) answer(q []byte) []byte {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.n++
	end := 12 + bytes.IndexByte(q[12:], 0) + 1 + 4
	typ := binary.BigEndian.Uint16(q[end-4:])
	var records []byte
	n := 0
	if typ == 1 { // A
		for _, a := range z.addrs {
			ip := netip.MustParseAddr(a).As4()
			records = append(records, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
			records = append(records, ip[:]...)
			n++
		}
	}
	rcode := byte(0)
	if len(z.addrs) == 0 {
		rcode = 3
	}
	head := []byte{q[0], q[1], 0x81, 0x80 | rcode, 0, 1, 0, byte(n), 0, 0, 0, 0}
	return append(append(head, q[12:end]...), records...)
}
