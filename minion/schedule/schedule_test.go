package schedule

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gosalt/gosalt/protocol/wire"
)

// clockTest runs a schedule by synctest's clock, which begins at 2000-01-01 00:00 UTC,
// and returns when its jobs ran.
func clockTest(t *testing.T, d time.Duration, own *wire.Map, with func(s *Scheduler, cfg *Config)) []string {
	t.Helper()
	var ran []string
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		ran = nil
		cfg := Config{Log: slog.New(slog.DiscardHandler), Own: own, Random: func(lo, hi int) int { return hi }}
		cfg.Start = func(j Job) { ran = append(ran, j.Name+"@"+time.Since(start).String()) }
		if with != nil {
			with(nil, &cfg)
		}
		s := New(cfg)
		ctx, cancel := context.WithTimeout(t.Context(), d)
		defer cancel()
		if with != nil {
			with(s, nil)
		}
		s.Run(ctx)
	})
	return ran
}

func TestRunByTheClock(t *testing.T) {
	job := func(kv ...any) *wire.Map {
		return wire.NewMap("job", wire.NewMap(append([]any{"function", "test.ping"}, kv...)...))
	}
	utc := func(s *Scheduler, cfg *Config) {}
	for _, row := range []struct {
		name string
		own  *wire.Map
		d    time.Duration
		want string
	}{
		{"an interval", job("seconds", int64(20)), 70 * time.Second, "job@20s job@40s job@1m0s"},
		{"minutes and seconds add up", job("minutes", int64(1), "seconds", "30"), 4 * time.Minute, "job@1m30s job@3m0s"},
		{"at the start too", job("hours", int64(1), "run_on_start", true), 2*time.Hour + time.Second, "job@0s job@1h0m0s job@2h0m0s"},
		{"cron", job("cron", "*/2 * * * *"), 5 * time.Minute, "job@2m0s job@4m0s"},
		{"cron with seconds", job("cron", "* * * * * */25"), time.Minute + 30*time.Second, "job@25s job@50s job@1m0s job@1m25s"},
		{"once, and once only", job("once", "2000-01-01T00:00:30"), 3 * time.Minute, "job@30s"},
		{"once by a format", job("once", "01.01.2000 00:01", "once_fmt", "%d.%m.%Y %H:%M"), 3 * time.Minute, "job@1m0s"},
		{"once with splay", job("once", "2000-01-01T00:00:30", "splay", int64(9)), 3 * time.Minute, "job@39s"},
		{"when, each day", job("when", "0:00:40"), 49 * time.Hour, "job@40s job@24h0m40s job@48h0m40s"},
		{"whens of a list", job("when", []any{"12:30 am", "12:10 am"}), 2 * time.Hour, "job@10m0s job@30m0s"},
		{"when with splay", job("when", "0:00:40", "splay", wire.NewMap("start", int64(2), "end", int64(7))), time.Hour, "job@47s"},
		{"only in its range", job("seconds", int64(10), "range", wire.NewMap("start", "0:00:15", "end", "0:00:45")), time.Minute + 20*time.Second, "job@15s job@25s job@35s job@45s"},
		{"but not in its range", job("seconds", int64(10), "skip_during_range", wire.NewMap("start", "0:00:15", "end", "0:00:45")), time.Minute + 5*time.Second, "job@10s job@50s job@1m0s"},
		{"and at once after it", job("seconds", int64(10), "skip_during_range", wire.NewMap("start", "0:00:15", "end", "0:00:43"), "run_after_skip_range", true), 50 * time.Second, "job@10s job@44s"},
		{"from one time until another", job("seconds", int64(10), "after", "0:00:15", "until", "0:00:45"), 90 * time.Second, "job@20s job@30s job@40s"},
		{"all limits have to hold", job("seconds", int64(10), "range", wire.NewMap("start", "0:00:15", "end", "0:00:45"), "until", "2099-01-01"), 90 * time.Second, "job@15s job@25s job@35s job@45s"},
		{"turned off", job("seconds", int64(10), "enabled", false), time.Minute, ""},
		{"all turned off", wire.NewMap("enabled", false, "job", wire.NewMap("function", "test.ping", "seconds", int64(10))), time.Minute, ""},
		{"skipped at one time", job("seconds", int64(10), "skip_explicit", []any{wire.NewMap("time", "2000-01-01T00:00:20", "time_fmt", "%Y-%m-%dT%H:%M:%S")}), 45 * time.Second, "job@10s job@30s job@40s"},
		{"one broken job does not keep another", wire.NewMap("bad", wire.NewMap("function", "a.b", "seconds", "x"), "job", wire.NewMap("function", "test.ping", "seconds", int64(30))), 50 * time.Second, "job@30s"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Setenv("TZ", "UTC")
			if got := strings.Join(clockTest(t, row.d, row.own, utc), " "); got != row.want {
				t.Errorf("got  %s\nwant %s", got, row.want)
			}
		})
	}
}

func TestMaxRunning(t *testing.T) {
	own := wire.NewMap("job", wire.NewMap("function", "test.sleep", "seconds", int64(10), "maxrunning", int64(2)))
	running := 0
	ran := clockTest(t, 45*time.Second, own, func(s *Scheduler, cfg *Config) {
		if cfg != nil {
			start := cfg.Start
			cfg.Start = func(j Job) { running++; start(j) } // none of them ends
			cfg.Running = func(name string) int { return running }
		}
	})
	if got := strings.Join(ran, " "); got != "job@10s job@20s" {
		t.Error(got)
	}
}

// What functions change is on the disk, in the form that Salt's minion reads and writes.
func TestKeptInSaltsFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "minion.d", "_schedule.conf")
	own := wire.NewMap("old", wire.NewMap("function", "test.echo", "args", []any{"hi"}, "days", int64(3)),
		"__mine_interval", wire.NewMap("function", "mine.update", "minutes", int64(60)))
	s := New(Config{Log: slog.New(slog.DiscardHandler), Own: own, File: file})
	s.SetPillar(wire.NewMap("pjob", wire.NewMap("function", "test.ping", "hours", int64(5))))
	s.Eval(time.Now(), time.Second)
	if err := s.Add("new", wire.NewMap("function", "test.ping", "seconds", int64(5)), true); err != nil {
		t.Fatal(err)
	}
	if err := s.Add("unsaved", wire.NewMap("function", "test.ping", "seconds", int64(5)), false); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	const want = `schedule:
  new: {enabled: true, function: test.ping, seconds: 5}
  old:
    args: [hi]
    days: 3
    function: test.echo
    name: old
    splay: null
`
	if string(b) != want {
		t.Errorf("got:\n%s", b)
	}
	for _, err := range []error{s.Delete("pjob", true), s.EnableJob("pjob", false, true), s.Add("pjob", wire.NewMap(), true)} {
		if e := (*ErrPillar)(nil); !errors.As(err, &e) {
			t.Errorf("job of the pillar: got %v", err)
		}
	}
	if e := (*ErrNoJob)(nil); !errors.As(s.Delete("nosuch", true), &e) {
		t.Error("a job that is not there was deleted")
	}
}

// A refresh of the pillar does not start the time of a job anew, unless it has changed.
func TestPillarRefreshKeepsTimes(t *testing.T) {
	pillar := func(n int64) *wire.Map { return wire.NewMap("job", wire.NewMap("function", "test.ping", "seconds", n)) }
	for _, row := range []struct {
		again int64
		want  string
	}{{20, "job@20s"}, {15, "job@25s"}} {
		ran := clockTest(t, 30*time.Second, nil, func(s *Scheduler, cfg *Config) {
			if s == nil {
				return
			}
			s.SetPillar(pillar(20))
			time.AfterFunc(10*time.Second-time.Millisecond, func() { s.SetPillar(pillar(row.again)) })
		})
		if got := strings.Join(ran, " "); got != row.want {
			t.Errorf("got %s, want %s", got, row.want)
		}
	}
}

// A job whose second passed while nobody looked runs when someone does, if not too late.
func TestLateLook(t *testing.T) {
	var ran []string
	s := New(Config{Log: slog.New(slog.DiscardHandler), Start: func(j Job) { ran = append(ran, j.Name) },
		Own: wire.NewMap("job", wire.NewMap("function", "test.ping", "when", "14:00"))})
	at := func(clock string, window time.Duration) { s.Eval(wall(t, clock), window) }
	at("2026-03-10T13:59:50", time.Second)
	at("2026-03-10T14:00:12", 22*time.Second)
	if len(ran) != 1 {
		t.Fatalf("22 s later: ran %v", ran)
	}
	at("2026-03-10T14:00:13", time.Second)
	at("2026-03-11T13:59:59", time.Second)
	at("2026-03-11T18:00:00", maxLate) // it slept over the time
	if len(ran) != 1 {
		t.Fatalf("four hours later: ran %v", ran)
	}
	at("2026-03-12T13:00:00", maxLate)
	at("2026-03-12T14:00:00", time.Second)
	if len(ran) != 2 {
		t.Fatalf("the day after: ran %v", ran)
	}
}
