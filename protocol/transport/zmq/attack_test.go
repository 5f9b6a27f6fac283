package zmq

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-zeromq/zmq4"

	"github.com/gosalt/gosalt/protocol/transport"
)

// raw is a TCP client that says what it likes.
type raw struct {
	t *testing.T
	net.Conn
}

func dialRaw(t *testing.T, addr net.Addr) raw {
	t.Helper()
	c, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(30 * time.Second))
	return raw{t, c}
}

// shaken is one that has made a proper handshake.
func shaken(t *testing.T, addr net.Addr, typ string) raw {
	t.Helper()
	return shakenAs(t, addr, 1, readyOf("Socket-Type", typ, "Identity", ""))
}

func shakenAs(t *testing.T, addr net.Addr, minor byte, ready []byte) raw {
	t.Helper()
	c := dialRaw(t, addr)
	c.put(greeting(minor))
	c.get(greetingSize)
	c.put(ready)
	if f := c.get(2); f[0] != flagCommand {
		t.Fatalf("READY: got frame % x", f)
	} else {
		c.get(int(f[1]))
	}
	return c
}

func readyOf(props ...string) []byte {
	var b []byte
	for i := 0; i < len(props); i += 2 {
		b = appendProperty(b, props[i], props[i+1])
	}
	return appendCommand(nil, "READY", b)
}

// put sends; a peer that has closed already is no error here.
func (c raw) put(b ...[]byte) {
	for _, b := range b {
		c.Write(b)
	}
}

func (c raw) get(n int) []byte {
	c.t.Helper()
	b := make([]byte, n)
	if _, err := io.ReadFull(c, b); err != nil {
		c.t.Fatalf("read %d bytes: %v", n, err)
	}
	return b
}

// closed waits until the other side has closed.
func (c raw) closed() {
	c.t.Helper()
	_, err := io.Copy(io.Discard, c)
	var ne net.Error
	if errors.As(err, &ne) && ne.Timeout() {
		c.t.Fatal("the connection was not closed")
	}
}

// request is the wire form of a request.
func request(body string) []byte {
	return append(appendHeader([]byte{flagMore, 0}, 0, len(body)), body...)
}

func long(flags byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{flags | flagLong}, n)
}

// healthy checks that others are served.
func healthy(t *testing.T, r *Router) {
	t.Helper()
	d := NewDialer(DialOptions{})
	q := d.Requester(r.Addr().String())
	defer q.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if got, err := q.Do(ctx, []byte("hello")); err != nil || string(got) != "hello" {
		t.Fatalf("a healthy peer got %q, %v", got, err)
	}
	if n := r.Stats().Panics; n != 0 {
		t.Fatalf("%d panics", n)
	}
}

func TestSilentPeers(t *testing.T) {
	for name, first := range map[string][]byte{
		"nothing":         nil,
		"one byte":        {0xff},
		"half a greeting": greeting(1)[:32],
		"greeting only":   greeting(1),
		"half a READY":    append(greeting(1), readyOf("Socket-Type", "REQ")[:9]...),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const n = 20
			r, _ := testRouter(t, Options{HandshakeTimeout: 2 * time.Second}, echo{})
			var peers []raw
			for range n {
				c := dialRaw(t, r.Addr())
				c.put(first)
				peers = append(peers, c)
			}
			poll(t, "connections", func() bool { return r.Stats().Open == n })
			healthy(t, r) // while they keep silent
			for _, c := range peers {
				c.closed()
			}
			poll(t, "their end", func() bool { return r.Stats().Open == 0 })
			if st := r.Stats(); st.BadHandshakes != n {
				t.Errorf("%d bad handshakes, want %d", st.BadHandshakes, n)
			}
		})
	}
}

func TestBadHandshakes(t *testing.T) {
	ready := readyOf("Socket-Type", "REQ", "Identity", "")
	greet := func(at int, b byte) []byte {
		g := greeting(1)
		g[at] = b
		return append(g, ready...)
	}
	command := func(meta string) []byte {
		return append(greeting(1), appendCommand(nil, "READY", []byte(meta))...)
	}
	bad := map[string][]byte{
		"HTTP":               []byte("GET / HTTP/1.1\r\nHost: master.example.com:4506\r\nUser-Agent: nobody\r\n\r\n"),
		"signature":          greet(0, 0xfe),
		"signature's end":    greet(9, 0x7e),
		"ZMTP 2":             greet(10, 2),
		"mechanism":          greet(12, 'P'),
		"mechanism's tail":   greet(31, 'x'),
		"as-server":          greet(32, 2),
		"message, not READY": append(greeting(1), request("hello")...),
		"PING, not READY":    append(greeting(1), appendCommand(nil, "PING", []byte{0, 0})...),
		"ERROR":              append(greeting(1), appendCommand(nil, "ERROR", []byte("\x02no"))...),
		"READY with MORE":    append(greeting(1), append([]byte{flagCommand | flagMore}, ready[1:]...)...),
		"flags":              append(greeting(1), append([]byte{0x14}, ready[1:]...)...),
		"empty command":      append(greeting(1), flagCommand, 0),
		"no name":            append(greeting(1), flagCommand, 1, 0),
		"name cut off":       append(greeting(1), flagCommand, 3, 9, 'R', 'E'),
		"no metadata":        command(""),
		"no socket type":     command(string(appendProperty(nil, "Identity", "x"))),
		"PUB for ROUTER":     append(greeting(1), readyOf("Socket-Type", "PUB")...),
		"unknown type":       append(greeting(1), readyOf("Socket-Type", "WHAT")...),
		"empty type":         append(greeting(1), readyOf("Socket-Type", "")...),
		"type twice":         append(greeting(1), readyOf("Socket-Type", "REQ", "socket-type", "REQ")...),
		"property name":      append(greeting(1), readyOf("Socket-Type", "REQ", "a b", "")...),
		"long identity":      append(greeting(1), readyOf("Socket-Type", "REQ", "Identity", strings.Repeat("i", 256))...),
		"READY of 2 KiB":     append(greeting(1), readyOf("Socket-Type", "REQ", "X-A", strings.Repeat("x", 2048))...),
		"frame of 2^62":      append(greeting(1), long(flagCommand, 1<<62)...),
		"message of 2^62":    append(greeting(1), long(0, 1<<62)...),
		"frame of 1 TiB":     append(greeting(1), long(flagCommand, 1<<40)...),
		"frame of 2^64-1":    append(greeting(1), long(flagCommand, 1<<64-1)...),
	}
	meta := appendProperty(appendProperty(nil, "Socket-Type", "REQ"), "Identity", "")
	whole := len(appendProperty(nil, "Socket-Type", "REQ"))
	for n := range meta {
		if n != whole {
			bad["metadata cut off after "+string(rune('0'+n/10))+string(rune('0'+n%10))] = command(string(meta[:n]))
		}
	}
	r, _ := testRouter(t, Options{MaxUnauthPerAddr: 1000}, echo{})
	n := int64(0)
	for name, b := range bad {
		t.Run(name, func(t *testing.T) {
			c := dialRaw(t, r.Addr())
			c.put(b)
			c.closed()
			n++
			poll(t, "the count", func() bool { return r.Stats().BadHandshakes >= n })
		})
	}
	healthy(t, r)
	if n := r.Stats().Requests; n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
}

// 770 of the one- and two-byte metadata blocks end a process that uses the library alone.
func TestAllShortMetadata(t *testing.T) {
	for i := range 1<<16 + 256 {
		b := []byte{byte(i), byte(i >> 8)}
		if i >= 1<<16 {
			b = b[:1]
		}
		if _, err := parseReady(append([]byte("\x05READY"), b...)); err == nil {
			t.Fatalf("metadata % x was taken", b)
		}
	}
}

// What peers other than libzmq may send, and we must take.
func TestGoodHandshakes(t *testing.T) {
	filler := greeting(1)
	copy(filler[1:9], "\x01\x02\x03\x04\x05\x06\x07\x08")
	later := greeting(7)
	later[10] = 4
	longReady := readyOf("Socket-Type", "REQ", "Identity", strings.Repeat("i", 255))
	asLong := append(long(flagCommand, uint64(longReady[1])), longReady[2:]...)
	if longReady[0]&flagLong != 0 {
		asLong = longReady
	}
	for name, b := range map[string][][]byte{
		"ZMTP 3.0":          {greeting(0), readyOf("Socket-Type", "REQ")},
		"ZMTP 4":            {later, readyOf("Socket-Type", "REQ")},
		"filler":            {filler, readyOf("Socket-Type", "DEALER")},
		"lower case":        {greeting(1), readyOf("socket-type", "REQ")},
		"other properties":  {greeting(1), readyOf("Resource", "x", "X-Mine", "\x00\xff", "Socket-Type", "REQ")},
		"long frame header": {greeting(1), asLong},
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := testRouter(t, Options{}, echo{})
			c := dialRaw(t, r.Addr())
			for _, b := range bytes.Join(b, nil) { // in the smallest pieces
				c.put([]byte{b})
			}
			c.put(request("x"))
			want := append(append(greeting(1), ready(zmq4.Router)...), request("x")...)
			if got := c.get(len(want)); !bytes.Equal(got, want) {
				t.Errorf("got % x, want % x", got, want)
			}
		})
	}
}

func TestBadFrames(t *testing.T) {
	many := bytes.Repeat([]byte{flagMore, 0}, 100)
	for name, b := range map[string][]byte{
		"2^62 bytes":                      long(0, 1<<62),
		"2^63 bytes":                      long(0, 1<<63),
		"2^64-1 bytes, MORE":              long(flagMore, 1<<64-1),
		"1 TiB":                           long(0, 1<<40),
		"256 MiB":                         long(0, 256<<20),
		"body of 2^62":                    append([]byte{flagMore, 0}, long(0, 1<<62)...),
		"body of 64 KiB + 1, no auth":     append([]byte{flagMore, 0}, long(0, 64<<10+1)...),
		"body of 129 MiB":                 append([]byte{flagMore, 0}, long(0, 129<<20)...),
		"endless MORE":                    many,
		"one frame":                       {0, 1, 'x'},
		"one empty frame":                 {0, 0},
		"three frames":                    {flagMore, 0, flagMore, 1, 'x', 0, 1, 'y'},
		"first frame not empty":           {flagMore, 1, 'x', 0, 1, 'y'},
		"undefined flags":                 {0x08, 0},
		"all flags":                       {0xff, 0},
		"command of 2^62":                 long(flagCommand, 1<<62),
		"command of 1,025 bytes":          long(flagCommand, 1025),
		"command with MORE":               {flagCommand | flagMore, 5, 4, 'P', 'I', 'N', 'G'},
		"command without a name":          {flagCommand, 0},
		"command, name cut off":           {flagCommand, 2, 4, 'P'},
		"PING without TTL":                appendCommand(nil, "PING", []byte{0}),
		"PING with 17 bytes":              appendCommand(nil, "PING", make([]byte, 2+17)),
		"second READY":                    readyOf("Socket-Type", "REQ"),
		"ERROR":                           appendCommand(nil, "ERROR", []byte("\x03bad")),
		"16 GiB after a proper delimiter": append([]byte{flagMore, 0}, long(0, 16<<30)...),
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := testRouter(t, Options{}, echo{})
			c := shaken(t, r.Addr(), "DEALER")
			c.put(b)
			c.closed()
			poll(t, "the count", func() bool { return r.Stats().BadFrames == 1 })
			healthy(t, r)
		})
	}
}

// Frames are announced and not sent: memory is taken for no more than the budget.
func TestManyLargeAnnouncements(t *testing.T) {
	var before, after runtime.MemStats
	r, _ := testRouter(t, Options{MaxFrame: 8 << 20, MaxBytes: 16 << 20, ReadTimeout: 2 * time.Second, MinRate: 1 << 30}, echo{})
	var peers []raw
	for range 40 {
		c := shaken(t, r.Addr(), "DEALER")
		c.put(request("authenticates"))
		c.get(len(request("authenticates")))
		peers = append(peers, c)
	}
	runtime.GC()
	runtime.ReadMemStats(&before)
	for _, c := range peers {
		c.put([]byte{flagMore, 0}, long(0, 8<<20), []byte("x"))
	}
	poll(t, "their being read", func() bool {
		n := 0
		for _, c := range r.srv.all(nil) {
			if c.start.Load() != 0 {
				n++
			}
		}
		return n == len(peers)
	})
	healthy(t, r) // small frames take nothing of the budget
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 20<<20 {
		t.Errorf("%d MiB of heap for 320 MiB announced, the budget is 16 MiB", grown>>20)
	}
	for _, c := range peers {
		c.closed()
	}
	if st := r.Stats(); st.Timeouts != int64(len(peers)) {
		t.Errorf("%d timeouts, want %d: %+v", st.Timeouts, len(peers), st)
	}
	// And all of the budget is there again.
	c := shaken(t, r.Addr(), "REQ")
	c.put(request("me"))
	c.get(len(request("me")))
	big := request(strings.Repeat("x", 8<<20))
	c.put(big)
	c.get(len(big))
}

// A peer that sends requests and reads no answers is closed; it costs a bounded queue.
func TestPeerThatNeverReads(t *testing.T) {
	r, _ := testRouter(t, Options{MaxQueue: 1 << 20}, handlerFunc(func(_ context.Context, p transport.Peer, body []byte) []byte {
		p.Authenticate()
		if string(body) == "hello" {
			return body
		}
		return make([]byte, 512<<10)
	}))
	c := shaken(t, r.Addr(), "DEALER")
	go func() {
		for {
			if _, err := c.Write(request("more")); err != nil {
				return
			}
		}
	}()
	poll(t, "overflow", func() bool { return r.Stats().Overflows == 1 })
	healthy(t, r)
	poll(t, "its end", func() bool { return r.Stats().Open == 0 })
}

// One that takes nothing at all is closed after the stall limit, however little waits.
func TestPeerThatStalls(t *testing.T) {
	r, _ := testRouter(t, Options{StallTimeout: 200 * time.Millisecond}, handlerFunc(func(_ context.Context, p transport.Peer, body []byte) []byte {
		p.Authenticate()
		if string(body) == "hello" {
			return body
		}
		return make([]byte, 64<<20)
	}))
	c := shaken(t, r.Addr(), "DEALER")
	c.put(request("64 MiB, please"))
	poll(t, "the stall limit", func() bool { return r.Stats().Stalled == 1 })
	healthy(t, r)
	if !r.srv.env.outBytes.TryAcquire(r.srv.env.o.MaxBytes) {
		t.Error("some of the budget for answers was not given back")
	}
}

// All answers that wait for their peers share one budget.
func TestAnswersShareABudget(t *testing.T) {
	r, _ := testRouter(t, Options{MaxFrame: 1 << 20, MaxBytes: 64 << 20}, handlerFunc(func(_ context.Context, p transport.Peer, body []byte) []byte {
		p.Authenticate()
		if string(body) == "hello" {
			return body
		}
		return make([]byte, 40<<20)
	}))
	for range 3 {
		c := shaken(t, r.Addr(), "DEALER")
		c.put(request("40 MiB, please"))
	}
	poll(t, "overflow", func() bool { return r.Stats().Overflows >= 1 })
	healthy(t, r)
}

// A ROUTER of libzmq finds its peer by identity. Ours is by connection, so that nobody
// gets another's answers by naming himself alike.
func TestSameIdentityTwice(t *testing.T) {
	r, _ := testRouter(t, Options{}, echo{})
	a := shakenAs(t, r.Addr(), 1, readyOf("Socket-Type", "DEALER", "Identity", "m1"))
	b := shakenAs(t, r.Addr(), 1, readyOf("Socket-Type", "DEALER", "Identity", "m1"))
	for i := range 10 {
		ask := [2]string{"for a", "for b"}
		for j, c := range []raw{a, b} {
			c.put(request(ask[j]))
			want := request(ask[j])
			if got := c.get(len(want)); !bytes.Equal(got, want) {
				t.Fatalf("round %d: got %q, want %q", i, got, want)
			}
		}
	}
	a.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, _ := a.Read(make([]byte, 1)); n != 0 {
		t.Error("a got more than its answers")
	}
}

func TestFailedHandshakesLeaveNothing(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("counts descriptors in /proc")
	}
	r, end := testRouter(t, Options{MaxUnauthPerAddr: 1000}, echo{})
	healthy(t, r)
	files := func() int {
		d, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(d)
	}
	before, goroutines := files(), runtime.NumGoroutine()
	for i := range 500 {
		c, err := net.Dial("tcp", r.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		switch i % 3 {
		case 0:
			c.Write([]byte("no greeting, but as long as one is, so that it can be looked at."))
		case 1:
			c.Write(greeting(1)[:10])
		case 2:
			c.Write(append(greeting(1), readyOf("Socket-Type", "PUSH")...))
		}
		c.Close()
	}
	poll(t, "their end", func() bool { return r.Stats().Open == 0 && r.Stats().Accepted == 501 })
	poll(t, "descriptors", func() bool { return files() <= before })
	poll(t, "goroutines", func() bool { return runtime.NumGoroutine() <= goroutines })
	healthy(t, r)
	end()
}

// 200 peers die in the middle of a frame, 200 more as soon as they are connected.
func TestDeathInMidFrame(t *testing.T) {
	r, _ := testRouter(t, Options{MaxUnauthPerAddr: 1000}, echo{})
	for i := range 400 {
		c := shaken(t, r.Addr(), "REQ")
		if i%2 == 0 {
			c.put(request("a request that is never whole")[:5+i%10])
		}
		if i%3 == 0 {
			c.Conn.(*net.TCPConn).SetLinger(0) // RST
		}
		c.Close()
	}
	poll(t, "their end", func() bool { return r.Stats().Open == 0 })
	healthy(t, r)
	if st := r.Stats(); st.Requests != 1 || st.Unauthenticated != 0 {
		t.Errorf("stats: %+v", st)
	}
}

func TestJunkOnPublisher(t *testing.T) {
	for name, b := range map[string][]byte{
		"no topic":               {0, 1, 9},
		"12 of them":             bytes.Repeat([]byte{0, 1, 9}, 12),
		"empty":                  {0, 0},
		"two frames":             {flagMore, 1, 1, 0, 1, 'x'},
		"topic of 257 bytes":     append(long(0, 258), make([]byte, 258)...),
		"SUBSCRIBE, 257 bytes":   appendCommand(nil, "SUBSCRIBE", make([]byte, 257)),
		"2^62":                   long(0, 1<<62),
		"65 topics":              topics(65),
		"changes without an end": bytes.Repeat([]byte{0, 2, 1, 'x', 0, 2, 0, 'x'}, 600),
	} {
		t.Run(name, func(t *testing.T) {
			p, _ := testPublisher(t, Options{}, anyone{})
			before := runtime.NumGoroutine()
			for range 30 {
				c := shaken(t, p.Addr(), "SUB")
				c.put(b)
				c.closed()
				c.Close()
			}
			poll(t, "goroutines", func() bool { return runtime.NumGoroutine() < before+15 && p.Stats().Open == 0 })
			if st := p.Stats(); st.BadFrames != 30 || st.Panics != 0 || st.Open != 0 {
				t.Errorf("stats: %+v", st)
			}
			good := shaken(t, p.Addr(), "SUB")
			good.put([]byte{0, 1, 1})
			poll(t, "a healthy subscriber", func() bool { return p.Publish([][]byte{[]byte("x")}, nil) == 1 })
			if got := good.get(3); string(got) != "\x00\x01x" {
				t.Errorf("got %q", got)
			}
		})
	}
}

func topics(n int) (b []byte) {
	for i := range n {
		b = appendCommand(b, "SUBSCRIBE", []byte{byte(i)})
	}
	return b
}

// Both ways of subscribing, and of ending it.
func TestSubscriptions(t *testing.T) {
	p, _ := testPublisher(t, Options{}, anyone{})
	new, old := shaken(t, p.Addr(), "SUB"), shakenAs(t, p.Addr(), 0, readyOf("Socket-Type", "XSUB"))
	count := func(topic string, want int) {
		t.Helper()
		poll(t, "subscribers of "+topic, func() bool {
			n := 0
			for _, s := range p.subscribers() {
				if s.matches([]byte(topic)) {
					n++
				}
			}
			return n == want
		})
	}
	new.put(appendCommand(nil, "SUBSCRIBE", []byte("one")), appendCommand(nil, "SUBSCRIBE", []byte("one")))
	old.put([]byte{0, 4, 1, 'o', 'n', 'e'}, []byte{0, 4, 1, 't', 'w', 'o'})
	count("one", 2)
	count("two", 1)
	count("on", 0)
	new.put(appendCommand(nil, "CANCEL", []byte("one")), appendCommand(nil, "CANCEL", []byte("never was")))
	old.put([]byte{0, 4, 0, 't', 'w', 'o'})
	count("one", 1)
	count("two", 0)
	old.put([]byte{0, 4, 0, 'o', 'n', 'e'}, appendCommand(nil, "SUBSCRIBE", nil))
	new.put(appendCommand(nil, "SUBSCRIBE", bytes.Repeat([]byte("x"), 256)))
	count(strings.Repeat("x", 300), 2)
	count("", 1)
	if st := p.Stats(); st.BadFrames != 0 || st.Open != 2 {
		t.Errorf("stats: %+v", st)
	}
}

func TestConnectionLimits(t *testing.T) {
	var log lines
	o := Options{MaxUnauthPerAddr: 3, Log: slog.New(slog.NewTextHandler(&log, nil))}
	r, end := testRouter(t, o, echo{})
	var in []raw
	for range 3 {
		in = append(in, shaken(t, r.Addr(), "REQ"))
	}
	for range 50 {
		dialRaw(t, r.Addr()).closed()
	}
	if st := r.Stats(); st.Refused != 50 || st.Open != 3 {
		t.Errorf("stats: %+v", st)
	}
	// An authenticated connection does not count any more.
	in[0].put(request("x"))
	in[0].get(5)
	healthy(t, r)
	in[1].Close()
	poll(t, "its end", func() bool { return r.Stats().Unauthenticated == 1 })
	end()
	if n := log.count("connection refused"); n != 2 || !log.has("times=49") {
		t.Errorf("%d lines about 50 refusals, want one at once and one in the end:\n%s", n, &log)
	}
}

func TestTotalLimits(t *testing.T) {
	t.Run("unauthenticated", func(t *testing.T) {
		r, _ := testRouter(t, Options{MaxUnauth: 2}, echo{})
		shaken(t, r.Addr(), "REQ")
		c := shaken(t, r.Addr(), "REQ")
		dialRaw(t, r.Addr()).closed()
		c.put(request("x"))
		c.get(5)
		healthy(t, r)
	})
	t.Run("all", func(t *testing.T) {
		r, _ := testRouter(t, Options{MaxConns: 2}, echo{})
		shaken(t, r.Addr(), "REQ").put(request("x"))
		c := shaken(t, r.Addr(), "REQ")
		c.put(request("x"))
		c.get(5)
		dialRaw(t, r.Addr()).closed()
		c.Close()
		poll(t, "its end", func() bool { return r.Stats().Open == 1 })
		healthy(t, r)
	})
	t.Run("trusted", func(t *testing.T) {
		p, _ := testPublisher(t, Options{MaxUnauth: 1, MaxUnauthPerAddr: 1, Trusted: func(a netip.Addr) int {
			if a.IsLoopback() {
				return 5
			}
			return 0
		}}, anyone{})
		var in []raw
		for range 6 {
			in = append(in, shaken(t, p.Addr(), "SUB"))
		}
		dialRaw(t, p.Addr()).closed()
		in[2].Close()
		poll(t, "its end", func() bool { return p.Stats().Open == 5 })
		shaken(t, p.Addr(), "SUB")
		if st := p.Stats(); st.Unauthenticated != 1 || st.Refused != 1 {
			t.Errorf("stats: %+v", st)
		}
	})
}

func TestTimeLimits(t *testing.T) {
	t.Run("first request", func(t *testing.T) {
		r, _ := testRouter(t, Options{FirstTimeout: 200 * time.Millisecond}, echo{})
		shaken(t, r.Addr(), "REQ").closed()
		if n := r.Stats().Timeouts; n != 1 {
			t.Errorf("%d timeouts", n)
		}
	})
	t.Run("first subscription", func(t *testing.T) {
		p, _ := testPublisher(t, Options{FirstTimeout: 200 * time.Millisecond}, anyone{})
		shaken(t, p.Addr(), "SUB").closed()
	})
	t.Run("request not complete", func(t *testing.T) {
		r, _ := testRouter(t, Options{ReadTimeout: 200 * time.Millisecond}, echo{})
		for _, n := range []int{1, 2, 3, 4, 5} {
			c := shaken(t, r.Addr(), "REQ")
			c.put(request("abc")[:n])
			c.closed()
		}
		if n := r.Stats().Timeouts; n != 5 {
			t.Errorf("%d timeouts", n)
		}
	})
	t.Run("a byte at a time", func(t *testing.T) {
		r, _ := testRouter(t, Options{ReadTimeout: 200 * time.Millisecond}, echo{})
		c := shaken(t, r.Addr(), "REQ")
		done := make(chan struct{})
		go func() {
			defer close(done)
			for _, b := range request(strings.Repeat("x", 60000)) {
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(time.Millisecond)
			}
		}()
		c.closed()
		<-done
	})
	t.Run("unauthenticated and idle", func(t *testing.T) {
		r, _ := testRouter(t, Options{UnauthIdle: 200 * time.Millisecond}, handlerFunc(func(_ context.Context, p transport.Peer, body []byte) []byte {
			if string(body) == "I am m1" {
				p.Authenticate()
			}
			return body
		}))
		known, unknown := shaken(t, r.Addr(), "REQ"), shaken(t, r.Addr(), "REQ")
		known.put(request("I am m1"))
		unknown.put(request("I am m2"))
		known.get(11)
		unknown.closed()
		known.put(request("hello"))
		known.get(2 * 1)
	})
	t.Run("PING unanswered", func(t *testing.T) {
		r, _ := testRouter(t, Options{Ping: 50 * time.Millisecond}, echo{})
		old := shakenAs(t, r.Addr(), 0, readyOf("Socket-Type", "REQ"))
		c := shaken(t, r.Addr(), "REQ")
		for _, c := range []raw{old, c} {
			c.put(request("x"))
			c.get(5)
		}
		if got, want := c.get(9), "\x04\x07\x04PING\x00\x01"; string(got) != want {
			t.Errorf("got %q, want %q", got, want)
		}
		c.closed()
		if st := r.Stats(); st.Dead != 1 {
			t.Errorf("stats: %+v", st)
		}
		old.put(request("y")) // knows no PING, and gets none
		if got, want := old.get(5), request("y"); !bytes.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
	t.Run("PING answered", func(t *testing.T) {
		r, _ := testRouter(t, Options{Ping: 50 * time.Millisecond, PingMisses: 100}, echo{})
		c := shaken(t, r.Addr(), "REQ")
		c.put(request("x"))
		c.get(5)
		for range 10 {
			c.get(9)
			c.put(appendCommand(nil, "PONG", nil))
		}
		if st := r.Stats(); st.Dead != 0 || st.Open != 1 {
			t.Errorf("stats: %+v", st)
		}
	})
}

func TestPing(t *testing.T) {
	r, _ := testRouter(t, Options{}, echo{})
	c := shaken(t, r.Addr(), "DEALER")
	c.put(appendCommand(nil, "PING", []byte{0, 100}), appendCommand(nil, "PING", []byte("\x00\x64context of 16 by")))
	c.put(appendCommand(nil, "PONG", nil), appendCommand(nil, "WHATEVER", []byte("from a later version")))
	c.put([]byte{flagMore, 0}, appendCommand(nil, "PING", []byte("\x00\x00mid")), []byte{0, 1, 'x'})
	want := "\x04\x05\x04PONG" + "\x04\x15\x04PONGcontext of 16 by" + "\x04\x08\x04PONGmid" + string(request("x"))
	if got := string(c.get(len(want))); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Requests may be sent before earlier ones are answered; answers keep their order.
func TestPipelining(t *testing.T) {
	r, _ := testRouter(t, Options{}, echo{})
	c := shaken(t, r.Addr(), "DEALER")
	var all []byte
	for i := range 300 {
		all = append(all, request(strings.Repeat(string(rune('a'+i%26)), i*7))...)
	}
	go c.put(all)
	if got := c.get(len(all)); !bytes.Equal(got, all) {
		t.Error("the answers differ")
	}
}

// When descriptors run short, the connections idle longest make room.
func TestDescriptorsRunShort(t *testing.T) {
	var mu sync.Mutex
	var evicted []uint64
	h := &goneHandler{gone: func(p transport.Peer, e bool) {
		if e {
			mu.Lock()
			evicted = append(evicted, p.ID())
			mu.Unlock()
		}
	}}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	rawLn, _ := ln.(*net.TCPListener).SyscallConn()
	next := descriptor(rawLn)
	d := NewDescriptors(next+100, 30)
	e := newEnv(Options{Descriptors: d, EvictIdle: time.Nanosecond})
	r := newRouter(serverOn(ln, e, roleRouter))
	serving(t, func(ctx context.Context) error { return r.Serve(ctx, h) })
	p, _ := testPublisher(t, Options{Descriptors: d}, anyone{})

	stranger := shaken(t, r.Addr(), "REQ") // not authenticated: is no candidate
	stranger.put(request("stranger"))
	stranger.get(len(request("stranger")))
	var first []raw
	for range 20 {
		c := shaken(t, r.Addr(), "REQ")
		c.put(request("x"))
		c.get(5)
		first = append(first, c)
	}
	var order []uint64
	for _, c := range r.srv.all(nil) {
		if c.authenticated.Load() {
			order = append(order, c.id)
		}
	}
	// Of each connection this process has both ends.
	for i := range 20 {
		c := shaken(t, p.Addr(), "SUB")
		c.put([]byte{0, 1, 1})
		poll(t, "a subscriber", func() bool { return p.Publish([][]byte{{}}, nil) == i+1 })
	}
	poll(t, "evictions", func() bool { mu.Lock(); defer mu.Unlock(); return len(evicted) >= evictBatch })
	st := r.Stats()
	if st.Evicted != evictBatch || p.Stats().Refused != 0 {
		t.Errorf("router %+v, publisher %+v", st, p.Stats())
	}
	first[0].closed()
	mu.Lock()
	defer mu.Unlock()
	minID := order[0]
	for _, id := range order {
		minID = min(minID, id)
	}
	for _, id := range evicted {
		if id >= minID+uint64(evictBatch)*2 {
			t.Errorf("connection %d evicted, the oldest is %d", id, minID)
		}
	}
	stranger.put(request("still here"))
	stranger.get(len(request("still here")))
}

type goneHandler struct {
	gone func(transport.Peer, bool)
}

func (h *goneHandler) Request(_ context.Context, p transport.Peer, body []byte) []byte {
	if !strings.HasPrefix(string(body), "st") {
		p.Authenticate()
	}
	return body
}
func (h *goneHandler) Gone(p transport.Peer, evicted bool) { h.gone(p, evicted) }

// An Accept that fails again and again is no busy loop and no end.
func TestAcceptFails(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var log lines
	failing := &failingListener{Listener: ln, left: 5}
	e := newEnv(Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	r := newRouter(serverOn(failing, e, roleRouter))
	end := serving(t, func(ctx context.Context) error { return r.Serve(ctx, echo{}) })
	healthy(t, r)
	end()
	if n := log.count("cannot accept connections"); n != 2 {
		t.Errorf("%d lines about it, want one at once and one in the end:\n%s", n, &log)
	}
}

type failingListener struct {
	net.Listener
	left int
}

func (l *failingListener) Accept() (net.Conn, error) {
	if l.left > 0 {
		l.left--
		return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	return l.Listener.Accept()
}

func TestServeTwice(t *testing.T) {
	r, end := testRouter(t, Options{}, echo{})
	healthy(t, r)
	if err := r.Serve(context.Background(), echo{}); err == nil {
		t.Error("a second Serve was accepted")
	}
	end()
	never, err := NewRouter(r.Addr().String(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewPublisher(never.Addr().String(), Options{}); err == nil || !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("port in use: %v", err)
	}
	if err := never.Close(); err != nil {
		t.Error(err)
	}
	p, err := NewPublisher(never.Addr().String(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	p.Close()
}

// lines is a log to look at.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *lines) count(s string) int { return strings.Count(l.String(), s) }
func (l *lines) has(s string) bool  { return strings.Contains(l.String(), s) }
