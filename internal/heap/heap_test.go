package heap

import (
	"runtime/debug"
	"testing"
	"testing/synctest"
	"time"
)

func TestPercent(t *testing.T) {
	for _, c := range []struct {
		live uint64
		want int
	}{{0, most}, {4 << 20, most}, {8 << 20, 200}, {64 << 20, 50}, {1 << 30, 50}} {
		if got := percent(c.live, 50); got != c.want {
			t.Errorf("percent of %d bytes is %d, want %d", c.live, got, c.want)
		}
	}
}

func now() int { // the present percentage
	p := debug.SetGCPercent(100)
	debug.SetGCPercent(p)
	return p
}

func TestWork(t *testing.T) {
	before := now()
	defer func() {
		state.idle = 0
		debug.SetGCPercent(before)
	}()
	Work()() // without Save nothing changes
	if now() != before {
		t.Fatalf("percentage %d, want %d", now(), before)
	}
	synctest.Test(t, func(t *testing.T) {
		Save(50)
		first, second := Work(), Work()
		if now() <= 50 {
			t.Errorf("percentage %d at work", now())
		}
		first()
		time.Sleep(2 * rest)
		if now() <= 50 {
			t.Errorf("percentage %d while one is at work", now())
		}
		second()
		time.Sleep(rest / 2)
		Work()()
		time.Sleep(rest / 2 * 3)
		synctest.Wait()
		if now() != 50 {
			t.Errorf("percentage %d at rest", now())
		}
	})
}
