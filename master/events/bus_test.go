package events

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gosalt/gosalt/protocol/wire"
)

func numbered(n int) *wire.Map { return wire.NewMap("n", int64(n)) }

func TestPrefixes(t *testing.T) {
	b := New()
	all := b.Subscribe()
	some := b.Subscribe("salt/job/1/", "salt/auth")
	for _, tag := range []string{"salt/job/1/new", "salt/job/12/new", "salt/auth", "key", "salt/job/1/ret/m1"} {
		b.Publish(tag, nil)
	}
	b.Close()
	read := func(s *Subscription) string {
		var tags []string
		for e := range s.All(t.Context()) {
			tags = append(tags, e.Tag)
		}
		return strings.Join(tags, " ")
	}
	if got, want := read(all), "salt/job/1/new salt/job/12/new salt/auth key salt/job/1/ret/m1"; got != want {
		t.Errorf("all: %s", got)
	}
	if got, want := read(some), "salt/job/1/new salt/auth salt/job/1/ret/m1"; got != want {
		t.Errorf("some: %s", got)
	}
}

func TestPublishKeepsTheCallersMap(t *testing.T) {
	b := New()
	s := b.Subscribe()
	data := wire.NewMap("id", "m1")
	b.Publish("salt/auth", data)
	data.Set("id", "m2")
	e, err := s.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if e.Data.Text("id") != "m1" || data.Has("_stamp") {
		t.Errorf("event %v, caller's map %v", e.Data, data)
	}
	if e.Data.Text("_stamp") != Stamp(e.Time) {
		t.Errorf("stamp %q for %v", e.Data.Text("_stamp"), e.Time)
	}
}

func TestStamp(t *testing.T) {
	for want, at := range map[string]time.Time{
		"2026-11-22T06:38:58.048545": time.Date(2026, 11, 22, 7, 38, 58, 48545999, time.FixedZone("", 3600)),
		"2026-11-22T06:38:58":        time.Date(2026, 11, 22, 6, 38, 58, 999, time.UTC),
		"2026-11-22T06:38:58.000001": time.Date(2026, 11, 22, 6, 38, 58, 1000, time.UTC),
	} {
		if got := Stamp(at); got != want {
			t.Errorf("%v: %s, want %s", at, got, want)
		}
	}
}

func TestSlowReaderLosesTheOldestAndIsTold(t *testing.T) {
	b := New()
	s := b.SubscribeLimits(Limits{Events: 4})
	for n := range 10 {
		b.Publish("t", numbered(n))
	}
	for i, want := range []struct{ n, lost int }{{6, 6}, {7, 0}} {
		e, ok, err := s.TryNext()
		if !ok || err != nil || e.Data.Int("n") != int64(want.n) || e.Lost != uint64(want.lost) {
			t.Errorf("event %d: n %d, lost %d, %v %v", i, e.Data.Int("n"), e.Lost, ok, err)
		}
	}
	for n := 10; n < 13; n++ {
		b.Publish("t", numbered(n))
	}
	e, _, _ := s.TryNext()
	if e.Data.Int("n") != 9 || e.Lost != 1 {
		t.Errorf("n %d, lost %d; want 9 after 1", e.Data.Int("n"), e.Lost)
	}
}

func TestBytesAreBounded(t *testing.T) {
	b := New()
	s := b.SubscribeLimits(Limits{Bytes: 1 << 20})
	big := strings.Repeat("x", 600<<10)
	for n := range 3 {
		b.Publish("t", wire.NewMap("n", int64(n), "return", []any{wire.NewMap("out", big)}))
	}
	e, ok, _ := s.TryNext()
	if !ok || e.Data.Int("n") != 2 || e.Lost != 2 {
		t.Errorf("got n %d, lost %d", e.Data.Int("n"), e.Lost)
	}
	b.Publish("t", wire.NewMap("return", big+big)) // larger than all: still delivered
	if e, ok, _ := s.TryNext(); !ok || e.Lost != 0 {
		t.Error("an event above the limit was not delivered")
	}
}

func TestNextWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New()
		s := b.Subscribe()
		got := make(chan error, 1)
		go func() {
			_, err := s.Next(t.Context())
			got <- err
		}()
		synctest.Wait()
		select {
		case err := <-got:
			t.Fatalf("Next returned at once: %v", err)
		default:
		}
		b.Publish("t", nil)
		if err := <-got; err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := s.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after the deadline: %v", err)
		}
	})
}

func TestClose(t *testing.T) {
	b := New()
	s := b.Subscribe()
	b.Publish("t", numbered(1))
	b.Publish("t", numbered(2))
	s.Close()
	s.Close()
	b.Publish("t", numbered(3))
	for n := 1; n <= 2; n++ {
		if e, err := s.Next(t.Context()); err != nil || e.Data.Int("n") != int64(n) {
			t.Errorf("held event %d: %v", n, err)
		}
	}
	if _, err := s.Next(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if n := b.Subscribers(); n != 0 {
		t.Errorf("%d subscribers are left", n)
	}
	b.Close()
	if _, err := b.Subscribe().Next(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("subscription to a closed bus: %v", err)
	}
}

func TestReadyForReadersThatWaitForOtherThings(t *testing.T) {
	b := New()
	s := b.Subscribe()
	go func() {
		for n := range 1000 {
			b.Publish("t", numbered(n))
		}
		b.Close()
	}()
	seen := 0
	for {
		<-s.Ready()
		for {
			e, ok, err := s.TryNext()
			if err != nil {
				if seen != 1000 {
					t.Errorf("%d events were seen", seen)
				}
				return
			}
			if !ok {
				break
			}
			if e.Data.Int("n") != int64(seen) || e.Lost != 0 {
				t.Fatalf("event %d: n %d, lost %d", seen, e.Data.Int("n"), e.Lost)
			}
			seen++
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	b := New()
	var readers, writers sync.WaitGroup
	for range 8 {
		s := b.SubscribeLimits(Limits{Events: 64}, "t/")
		readers.Go(func() {
			seen := uint64(0)
			for e := range s.All(t.Context()) {
				seen += 1 + e.Lost
			}
			if seen > 4000 || seen < 4000-64 {
				t.Errorf("read and lost make %d, want 4000", seen)
			}
		})
	}
	for w := range 4 {
		writers.Go(func() {
			for n := range 1000 {
				b.Publish(fmt.Sprintf("t/%d", w), numbered(n))
				b.Subscribe("x").Close()
			}
		})
	}
	writers.Wait()
	b.Close()
	readers.Wait()
}

func TestIdleSubscriptionHoldsNoMemory(t *testing.T) {
	b := New()
	s := b.Subscribe()
	for range 1000 {
		b.Publish("t", nil)
	}
	for {
		if _, ok, _ := s.TryNext(); !ok {
			break
		}
	}
	if s.ring != nil || s.bytes != 0 {
		t.Errorf("ring of %d, %d bytes", len(s.ring), s.bytes)
	}
}

func TestTags(t *testing.T) {
	const jid = "20261122063858048545"
	for want, got := range map[string]string{
		"salt/job/20261122063858048545/new":       JobNew(jid),
		"salt/job/20261122063858048545/publish":   JobPublish(jid),
		"salt/job/20261122063858048545/ret/m1":    JobReturn(jid, "m1"),
		"salt/job/20261122063858048545/prog/m1/3": JobProgress(jid, "m1", 3),
		"salt/job/20261122063858048545/error":     JobError(jid),
		"20261122063858048545":                    JobMinions(jid),
		"salt/minion/m1/start":                    MinionStart("m1"),
		"minion/refresh/m1":                       MinionRefresh("m1"),
		"salt/run/20261122063858048545/new":       RunNew(jid),
		"salt/run/20261122063858048545/ret":       RunReturn(jid),
		"salt/wheel/20261122063858048545/new":     WheelNew(jid),
		"salt/wheel/20261122063858048545/ret":     WheelReturn(jid),
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// BenchmarkPublish is one event with a hundred subscriptions, one of which wants it.
func BenchmarkPublish(b *testing.B) {
	bus := New()
	for n := range 100 {
		bus.Subscribe(fmt.Sprintf("salt/job/%d/", n))
	}
	data := wire.NewMap("id", "m1", "return", true, "retcode", int64(0))
	b.ReportAllocs()
	for b.Loop() {
		bus.Publish("salt/job/50/ret/m1", data)
	}
}
