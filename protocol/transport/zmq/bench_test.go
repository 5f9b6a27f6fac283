package zmq

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gosalt/gosalt/protocol/transport"
)

// The clients of a benchmark run in a process of their own: this test binary, told so by
// its environment. Thousands of connections need the descriptors of both.
func TestMain(m *testing.M) {
	if args := os.Getenv("ZMQ_TEST_CLIENTS"); args != "" {
		if err := clients(strings.Fields(args)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

const benchBody = 500

// clients opens connections ("SUB addr n" or "DEALER addr n"), says so, and then does
// for each line of its input what the line says.
func clients(args []string) error {
	typ, addr := args[0], args[1]
	n, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	conns := make([]net.Conn, n)
	ask := request(strings.Repeat("x", benchBody))
	var wg sync.WaitGroup
	errs := make(chan error, n)
	slots := make(chan struct{}, 64)
	for i := range conns {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			c, err := net.Dial("tcp", addr)
			if err == nil {
				conns[i] = c
				c.Write(append(greeting(1), readyOf("Socket-Type", typ, "Identity", "")...))
				server := ready(roles[roleRouter].typ)
				if typ == "SUB" {
					server = ready(roles[rolePub].typ)
				}
				_, err = io.ReadFull(c, make([]byte, greetingSize+len(server)))
			}
			if err == nil && typ == "SUB" {
				_, err = c.Write(appendCommand(nil, "SUBSCRIBE", nil))
			}
			if err == nil && typ == "DEALER" {
				c.Write(ask)
				_, err = io.ReadFull(c, make([]byte, len(request("ok"))))
			}
			if err != nil {
				errs <- err
			}
		})
	}
	wg.Wait()
	if len(errs) > 0 {
		return fmt.Errorf("%d of %d connections failed, one: %w", len(errs), n, <-errs)
	}
	fmt.Println("ready")
	// From here one goroutine for each reads: what a message is long, all have in common.
	got := make(chan error, n)
	size := len(request("ok"))
	if typ == "SUB" {
		size = len(appendHeader(nil, 0, benchBody)) + benchBody
	}
	for _, c := range conns {
		go func() {
			b := make([]byte, size)
			for {
				_, err := io.ReadFull(c, b)
				got <- err
				if err != nil {
					return
				}
			}
		}()
	}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		if typ == "DEALER" {
			for _, c := range conns {
				c.Write(ask)
			}
		}
		for range conns {
			if err := <-got; err != nil {
				return err
			}
		}
		fmt.Println("got")
	}
	return nil
}

type swarm struct {
	b   testing.TB
	in  io.Writer
	out *bufio.Scanner
}

func startClients(b testing.TB, typ string, addr net.Addr, n int) *swarm {
	b.Helper()
	exe, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), fmt.Sprintf("ZMQ_TEST_CLIENTS=%s %s %d", typ, addr, n))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	s := &swarm{b, in, bufio.NewScanner(out)}
	s.await("ready")
	return s
}

func (s *swarm) await(want string) {
	s.b.Helper()
	if !s.out.Scan() || s.out.Text() != want {
		s.b.Fatalf("the clients said %q, want %q", s.out.Text(), want)
	}
}

func (s *swarm) do(f func()) {
	s.b.Helper()
	io.WriteString(s.in, "go\n")
	f()
	s.await("got")
}

// benchOptions let thousands come from one address.
var benchOptions = Options{MaxUnauthPerAddr: 20000, MaxUnauth: 20000, FirstTimeout: time.Minute, Trusted: func(netip.Addr) int { return 20000 }}

// BenchmarkPublish is the time from Publish until the last of n subscribers has read
// 500 bytes.
func BenchmarkPublish(b *testing.B) {
	for _, n := range []int{1000, 5000, 10000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			p, _ := testPublisher(b, benchOptions, anyone{})
			s := startClients(b, "SUB", p.Addr(), n)
			poll(b, "subscriptions", func() bool { return len(p.subscribers()) == n })
			body := make([]byte, benchBody)
			var inside time.Duration
			for b.Loop() {
				s.do(func() {
					began := time.Now()
					if got := p.Publish([][]byte{body}, nil); got != n {
						b.Fatalf("published to %d of %d", got, n)
					}
					inside += time.Since(began)
				})
			}
			b.ReportMetric(float64(inside.Microseconds())/1000/float64(b.N), "ms-in-Publish")
		})
	}
}

// BenchmarkStorm is the time in which n peers get 500 bytes each to the router and have
// their answers, all asking at once.
func BenchmarkStorm(b *testing.B) {
	for _, n := range []int{1000, 5000, 10000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			r, _ := testRouter(b, benchOptions, handlerFunc(func(_ context.Context, p transport.Peer, _ []byte) []byte {
				p.Authenticate()
				return []byte("ok")
			}))
			s := startClients(b, "DEALER", r.Addr(), n)
			for b.Loop() {
				s.do(func() {})
			}
		})
	}
}

// BenchmarkRoundTrip is one request and its answer, both ends in this process.
func BenchmarkRoundTrip(b *testing.B) {
	for _, size := range []int{500, 64 << 10, 1 << 20} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			r, _ := testRouter(b, Options{}, echo{})
			q := NewDialer(DialOptions{}).Requester(r.Addr().String())
			defer q.Close()
			if _, err := q.Do(b.Context(), []byte("authenticates")); err != nil {
				b.Fatal(err)
			}
			body := make([]byte, size)
			b.SetBytes(int64(2 * size))
			for b.Loop() {
				if _, err := q.Do(b.Context(), body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkIdleConnection is the resident memory of one idle connection, in KiB: the
// growth of this process by 5,000 of them, that is by one side only.
func BenchmarkIdleConnection(b *testing.B) {
	if runtime.GOOS != "linux" {
		b.Skip("reads /proc")
	}
	const n = 5000
	measure := func(b *testing.B, typ string, addr net.Addr, open func() bool) {
		for b.Loop() {
			before := resident(b)
			startClients(b, typ, addr, n)
			poll(b, "connections", open)
			b.ReportMetric(float64(resident(b)-before)/n, "KiB/conn")
		}
	}
	b.Run("router", func(b *testing.B) {
		r, _ := testRouter(b, benchOptions, handlerFunc(func(_ context.Context, p transport.Peer, _ []byte) []byte {
			p.Authenticate()
			return []byte("ok")
		}))
		measure(b, "DEALER", r.Addr(), func() bool { return r.Stats().Requests >= n })
	})
	b.Run("publisher", func(b *testing.B) {
		p, _ := testPublisher(b, benchOptions, anyone{})
		measure(b, "SUB", p.Addr(), func() bool { return len(p.subscribers()) >= n })
	})
}

// resident is this process's resident memory in KiB, after the runtime gave back what
// it does not use.
func resident(b *testing.B) int {
	debug.FreeOSMemory()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := bytes.Cut(status, []byte("VmRSS:"))
	kb, err := strconv.Atoi(string(bytes.Fields(rest)[0]))
	if err != nil {
		b.Fatal(err)
	}
	return kb
}
