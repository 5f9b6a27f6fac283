package zmq

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gosalt/gosalt/protocol/transport"
)

// kicker answers, kicks, panics and is silent by turns.
type kicker struct{ open atomic.Int64 }

func (k *kicker) Request(_ context.Context, p transport.Peer, body []byte) []byte {
	p.Authenticate()
	switch rand.IntN(12) {
	case 0:
		p.Kick("chance")
	case 1:
		return nil
	case 2:
		panic("chance")
	}
	return body
}
func (k *kicker) Gone(transport.Peer, bool) { k.open.Add(-1) }

// Connections that come and go in every way at once, big and small messages, kicks,
// evictions and panics: in the end nothing is left, and no answer was another's.
func TestChurn(t *testing.T) {
	goroutines := runtime.NumGoroutine()
	o := Options{MaxUnauthPerAddr: 1000, MaxBytes: 8 << 20, MaxFrame: 1 << 20, EvictIdle: time.Nanosecond}
	k := &kicker{}
	r, endR := testRouter(t, o, k)
	p, endP := testPublisher(t, o, anyone{})
	d := NewDialer(DialOptions{MaxFrame: 1 << 20})
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()

	var wg, busy sync.WaitGroup
	var answered, received atomic.Int64
	for i := range 16 {
		wg.Go(func() {
			for round := range 8 {
				q := d.Requester(r.Addr().String())
				for j := range 8 {
					body := bytes.Repeat(fmt.Appendf(nil, "%d %d %d,", i, round, j), 1+rand.IntN(5)*rand.IntN(20000))
					got, err := q.Do(ctx, body)
					switch {
					case err == nil && !bytes.Equal(got, body):
						t.Errorf("got %.20q for %.20q", got, body)
					case err == nil:
						answered.Add(1)
					}
				}
				q.Close()
			}
		})
		wg.Go(func() {
			for range 8 {
				s, err := d.Subscribe(ctx, p.Addr().String(), "t", fmt.Sprint(i))
				if err != nil {
					t.Errorf("Subscribe: %v", err)
					return
				}
				for range rand.IntN(20) {
					m, err := s.Recv(ctx)
					if err != nil {
						break
					}
					if len(m) != 2 || m[0][0] != 't' {
						t.Errorf("got %.40q", m)
					}
					received.Add(1)
				}
				s.Close()
			}
		})
	}
	stop := make(chan struct{})
	for range 3 {
		busy.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				p.Publish([][]byte{[]byte("topic"), make([]byte, rand.IntN(100000))}, func(p transport.Peer) bool {
					if rand.IntN(500) == 0 {
						p.Kick("chance")
					}
					return rand.IntN(10) > 0
				})
				r.EvictIdle(1)
				if c, err := net.Dial("tcp", r.Addr().String()); err == nil {
					c.Write(greeting(1)[:rand.IntN(64)])
					c.Close()
				}
			}
		})
	}
	wg.Wait()
	close(stop)
	busy.Wait()
	poll(t, "connections to end", func() bool { return r.Stats().Open == 0 && p.Stats().Open == 0 })
	for _, e := range []*env{r.srv.env, p.srv.env, d.env} {
		if !e.inBytes.TryAcquire(e.o.MaxBytes) || !e.outBytes.TryAcquire(e.o.MaxBytes) {
			t.Error("some of a budget was not given back")
		}
	}
	endR()
	endP()
	for _, s := range []*server{r.srv, p.srv} {
		if open, unauth := s.admit.counts(); open != 0 || unauth != 0 || len(s.admit.perAddr) != 0 {
			t.Errorf("%d open, %d unauthenticated, %v", open, unauth, s.admit.perAddr)
		}
	}
	poll(t, "goroutines to end", func() bool { return runtime.NumGoroutine() <= goroutines })
	t.Logf("%d answered, %d received, %+v, %+v", answered.Load(), received.Load(), r.Stats(), p.Stats())
	if answered.Load() == 0 || received.Load() == 0 {
		t.Error("nothing came through")
	}
}

func TestIPv6(t *testing.T) {
	r, err := NewRouter("[::1]:0", Options{})
	if err != nil {
		t.Skipf("no IPv6 here: %v", err)
	}
	serving(t, func(ctx context.Context) error { return r.Serve(ctx, echo{}) })
	healthy(t, r)
}
