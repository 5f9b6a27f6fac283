package minion

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

// reports collects what a progress sends.
type reports struct {
	mu    sync.Mutex
	texts []string // one for each report
	tags  []string
	slow  time.Duration
	fail  int // so many reports fail first
}

func (r *reports) send(ctx context.Context, load *wire.Map) error {
	ev, err := wire.MinionEventFromMap(load)
	if err != nil {
		return err
	}
	if r.slow > 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(r.slow):
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail > 0 {
		r.fail--
		return errors.New("no master")
	}
	var parts []string
	for _, item := range wire.ProgressFromMap(ev.Events[0].Data.(*wire.Map)).Items {
		m := item.(*wire.Map)
		if n := m.Int("dropped"); n > 0 {
			parts = append(parts, fmt.Sprintf("dropped %d", n))
		} else {
			parts = append(parts, m.Text("stdout"))
		}
	}
	r.texts = append(r.texts, strings.Join(parts, "|"))
	r.tags = append(r.tags, ev.Events[0].Tag)
	return nil
}

func lines(from, to int) string {
	var l []string
	for i := from; i < to; i++ {
		l = append(l, fmt.Sprint(i))
	}
	return strings.Join(l, "\n")
}

func TestProgressBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r reports
		p := newProgress(t.Context(), "20260101000000000000", "web1", r.send)
		p.add(wire.NewMap("stdout", "first"))
		synctest.Wait() // the first line goes at once
		for i := range 5 {
			p.add(wire.NewMap("stdout", fmt.Sprint(i)))
		}
		p.close() // the rest goes with the end
		if got := strings.Join(r.texts, "; "); got != "first; "+lines(0, 5) {
			t.Errorf("got %q", got)
		}
		if r.tags[1] != "salt/job/20260101000000000000/prog/web1/2" {
			t.Errorf("tag %s", r.tags[1])
		}
	})
}

// Nothing that is printed waits for the master, and what is left out is told.
func TestProgressSlowMaster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := reports{slow: time.Hour}
		p := newProgress(t.Context(), "20260101000000000000", "web1", r.send)
		p.add(wire.NewMap("stdout", "first"))
		synctest.Wait()
		long := strings.Repeat("x", 1000)
		for range 8000 {
			p.add(wire.NewMap("stdout", long))
		}
		if p.size > progressQueue || p.dropped < 3000 {
			t.Errorf("%d bytes wait, %d lines dropped", p.size, p.dropped)
		}
		began := time.Now()
		left := p.close()
		if d := time.Since(began); d != progressLinger {
			t.Errorf("the result waited for %s", d)
		}
		if left != 8001 {
			t.Errorf("%d lines are told as not reported, not 8001", left)
		}
	})
}

// A report that fails comes again, under its number.
func TestProgressFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := reports{fail: 2}
		p := newProgress(t.Context(), "20260101000000000000", "web1", r.send)
		p.add(wire.NewMap("stdout", lines(0, 3)))
		synctest.Wait()
		p.add(wire.NewMap("stdout", "after"))
		time.Sleep(3 * progressRetry) // of the bubble's clock
		if left := p.close(); left != 0 {
			t.Errorf("%d lines left", left)
		}
		if got := strings.Join(r.texts, "; "); got != lines(0, 3)+"; after" {
			t.Errorf("got %q", got)
		}
		if !strings.HasSuffix(r.tags[0], "/1") || !strings.HasSuffix(r.tags[1], "/2") {
			t.Errorf("tags %q", r.tags)
		}
	})
}

// A master that takes no reports does not hold back the result, which tells what it
// did not get.
func TestProgressGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := reports{fail: 1000}
		p := newProgress(t.Context(), "20260101000000000000", "web1", r.send)
		p.add(wire.NewMap("stdout", lines(0, 3)))
		synctest.Wait()
		p.add(wire.NewMap("stdout", "after"))
		began := time.Now()
		if left := p.close(); left != 4 || time.Since(began) != 0 {
			t.Errorf("%d lines left after %s", left, time.Since(began))
		}
	})
}
