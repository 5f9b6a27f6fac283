package schedule

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// mapOf makes the value model of what JSON holds.
func mapOf(v any) any {
	switch v := v.(type) {
	case map[string]any:
		m := wire.NewMap()
		for k, e := range v {
			m.Set(k, mapOf(e))
		}
		return m
	case []any:
		l := make([]any, len(v))
		for i, e := range v {
			l[i] = mapOf(e)
		}
		return l
	case float64:
		if v == float64(int64(v)) {
			return int64(v)
		}
	}
	return v
}

type recordedStep struct {
	Now    string
	Ran    [][]string
	Err    string
	Status map[string]map[string]any
}

// TestEvalAsSalt replays looks at the clock that Salt 3006.18's Schedule had, with the
// random numbers of splay replaced by the middle of their range.
func TestEvalAsSalt(t *testing.T) {
	var recorded []struct {
		Schedule, Pillar, Grains map[string]any
		Steps                    []recordedStep
	}
	readGzip(t, "testdata/eval.json.gz", &recorded)
	compared := 0
	for i, r := range recorded {
		var ran []string
		pillar, grains := mapOf(r.Pillar).(*wire.Map), mapOf(r.Grains).(*wire.Map)
		s := New(Config{Log: slog.New(slog.DiscardHandler), Own: mapOf(r.Schedule).(*wire.Map), Interval: time.Second,
			Whens: func(where string) any {
				v, _ := map[string]*wire.Map{"pillar": pillar, "grains": grains}[where].Get("whens")
				return v
			},
			Random: func(lo, hi int) int { return (lo + hi) / 2 },
			Start:  func(j Job) { ran = append(ran, j.Name+" "+j.Fun) }})
		s.SetPillar(pillar.Map("schedule"))
		var status map[string]map[string]any
		for n, step := range r.Steps {
			ran = nil
			s.Eval(wall(t, step.Now), time.Second)
			if step.Err != "" || deliberate(s, r.Schedule) {
				break // an exception ends the look at all jobs
			}
			if step.Status != nil {
				status = step.Status
			}
			var want []string
			for _, w := range step.Ran {
				want = append(want, strings.Join(w, " "))
			}
			at := fmt.Sprintf("%d, step %d at %s:\n%s", i, n, step.Now, pytext.Repr(mapOf(r.Schedule)))
			if got, want := sortedText(ran), sortedText(want); got != want {
				t.Errorf("%s\nran %s, want %s", at, got, want)
				break
			}
			if d := compareStatus(s, status); d != "" {
				t.Errorf("%s\n%s", at, d)
				break
			}
			compared++
		}
	}
	t.Logf("%d looks compared", compared)
	if compared < 4000 {
		t.Errorf("only %d looks compared", compared)
	}
}

// deliberate tells of what we do otherwise: see docs/salt-differences.md.
func deliberate(s *Scheduler, schedule map[string]any) bool {
	for _, st := range s.states {
		if st.missed > 0 { // Salt's job would never run again
			return true
		}
	}
	for _, v := range schedule {
		job, _ := v.(map[string]any)
		has := func(k string) int {
			if job[k] != nil {
				return 1
			}
			return 0
		}
		global := func(k string) int {
			if schedule[k] != nil {
				return 1
			}
			return has(k)
		}
		switch {
		case has("when")+has("cron")+has("once") > 1: // we say in _error what is wrong
			return true
		case has("once")+global("splay") == 2: // Salt draws the splay and does not wait for it
			return true
		case has("range")+global("skip_during_range")+has("until")+has("after") > 1: // of these the last decides in Salt, not all
			return true
		}
	}
	return false
}

func sortedText(l []string) string {
	m := wire.NewMap()
	for _, s := range l {
		m.Set(s, true)
	}
	return pytext.Repr(sorted(m))
}

func compareStatus(s *Scheduler, want map[string]map[string]any) string {
	for name, fields := range want {
		got := s.Status(name)
		for _, k := range []string{"_next_fire_time", "_splay", "_next_scheduled_fire_time", "_last_run", "_skip_reason", "_skipped_time", "_continue", "_seconds"} {
			g, w := value(got, k), fields[k]
			if at, ok := g.(time.Time); ok {
				g = strings.TrimSuffix(at.Format("2006-01-02T15:04:05.000000"), ".000000")
			}
			if g == false {
				g = nil
			}
			if f, ok := w.(float64); ok {
				w = int64(f)
			}
			if g != w {
				return fmt.Sprintf("%s of %s is %v, want %v", k, name, g, w)
			}
		}
		if (value(got, "_error") != nil) != (fields["_error"] != nil) {
			return fmt.Sprintf("_error of %s is %v, want %v", name, value(got, "_error"), fields["_error"])
		}
	}
	return ""
}
