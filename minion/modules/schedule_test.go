package modules

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/yamlarg"
	"github.com/gosalt/gosalt/minion/schedule"
	"github.com/gosalt/gosalt/protocol/wire"
)

// TestRecordedSchedule is one sequence of calls as a minion of Salt 3006.18 answered
// them, with one job in its configuration and one in its pillar.
func TestRecordedSchedule(t *testing.T) {
	b, err := os.ReadFile("testdata/schedule.json")
	if err != nil {
		t.Fatal(err)
	}
	var calls []struct {
		Fun  string
		Args json.RawMessage
		Ret  json.RawMessage
		File *string
	}
	if err := json.Unmarshal(b, &calls); err != nil {
		t.Fatal(err)
	}
	// What we answer otherwise: see docs/salt-differences.md.
	deliberate := []string{
		"add job7", "add job11 {'__kwarg__': True, 'function': 'test.ping'}", "build_schedule_item job1 {'__kwarg__': True, 'seconds'",
		"build_schedule_item job1 {'__kwarg__': True, 'function': 'test.ping', 'splay'",
		"modify pjob", "able_job pjob", "postpone_job pjob", "delete pjob", "purge", // a job of the pillar: the reason is told
		"disable_job job6 {", "reload", "copy job1 web1", "move job1 nobody", "job_status job6", "job_status cjob",
		"add {'__kwarg__'", "add  {",
	}
	dir := t.TempDir()
	conf := filepath.Join(dir, "minion")
	file := filepath.Join(dir, "minion.d", "_schedule.conf")
	s := schedule.New(schedule.Config{Log: slog.New(slog.DiscardHandler), File: file, Interval: time.Second,
		Own:   wire.NewMap("cjob", wire.NewMap("function", "test.echo", "args", []any{"hi"}, "days", int64(3))),
		Start: func(schedule.Job) {}, Random: func(lo, hi int) int { return lo }})
	s.SetPillar(wire.NewMap("pjob", wire.NewMap("function", "test.ping", "hours", int64(5))))
	if err := s.Save(); err != nil {
		t.Fatal(err)
	}
	reg := New()
	c := &module.Call{Opts: wire.NewMap("conf_file", conf, "default_include", "minion.d/*.conf"), Job: &module.Job{Pub: wire.NewMap("jid", "J")},
		Pillar:   func() *wire.Map { return wire.NewMap("schedule", wire.NewMap()) },
		Schedule: func(_ context.Context, req *wire.Map) (*wire.Map, error) { return s.Manage(req), nil }}
	now := time.Date(2026, 11, 26, 23, 25, 0, 0, time.Local)
	equal, reloaded := 0, false
	for i, call := range calls {
		if i == 1 { // the first list came before the first look at the clock
			s.Eval(now, time.Second)
		}
		args := fromJSON(t, call.Args).([]any)
		res := reg.Run(t.Context(), c, call.Fun, args, nil)
		now = now.Add(time.Second)
		if i > 0 {
			s.Eval(now, time.Second)
		}
		reloaded = reloaded || call.Fun == "schedule.reload"
		line := strings.TrimPrefix(call.Fun, "schedule.")
		for _, a := range args {
			line += " " + pytext.Str(a)
		}
		ours, theirs := res.Return, fromJSON(t, call.Ret)
		if text, ok := ours.(string); ok && strings.HasPrefix(text, "Passed invalid") {
			ours, _, _ = strings.Cut(text, "\n")
		}
		if m, ok := theirs.(*wire.Map); ok && call.Fun == "schedule.job_status" {
			m.Delete("run") // Salt's own note
		}
		known := false
		for _, d := range deliberate {
			known = known || strings.Contains(line, d)
		}
		if known {
			continue
		}
		if !pytext.Equal(ours, theirs) {
			t.Errorf("%s:\n got %s\nwant %s", line, pytext.Repr(ours), pytext.Repr(theirs))
		}
		equal++
		if call.File == nil || reloaded { // we reload the file that is written
			continue
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		g, _ := yamlarg.Load(string(got))
		w, _ := yamlarg.Load(*call.File)
		if !pytext.Equal(g, w) {
			t.Errorf("%s: the file:\n%s\nwant\n%s", line, got, *call.File)
		}
	}
	if equal < 70 {
		t.Errorf("only %d calls compared", equal)
	}
}

// A change without a minion that runs is refused with what to do, or made in the file.
func TestScheduleWithoutMinion(t *testing.T) {
	dir := t.TempDir()
	c := &module.Call{Opts: wire.NewMap("conf_file", filepath.Join(dir, "minion"))}
	reg := New()
	run := func(fun string, args ...any) string {
		return pytext.Repr(reg.Run(t.Context(), c, fun, args, nil).Return)
	}
	if got := run("schedule.add", "job1", "function=test.ping", "seconds=3"); !strings.Contains(got, "offline=True") {
		t.Error(got)
	}
	for _, row := range [][]string{
		{"schedule.add job1 function=test.ping seconds=3 offline=True", "Added job: job1"},
		{"schedule.add job1 function=test.ping seconds=3 offline=True", "already exists"},
		{"schedule.modify job1 seconds=4 offline=True", "Modified job: job1"},
		{"schedule.modify nosuch seconds=4 offline=True", "does not exist"},
		{"schedule.list offline=True", "seconds: 4"},
		{"schedule.delete nosuch offline=True", "does not exist"},
		{"schedule.delete job1 offline=True", "Deleted Job job1"},
		{"schedule.add job2 function=test.ping seconds=3 offline=True", "Added job: job2"},
		{"schedule.purge offline=True", "Deleted job: job2"},
		{"schedule.list offline=True", "schedule: {}"},
	} {
		w := strings.Fields(row[0])
		var args []any
		for _, a := range w[1:] {
			args = append(args, a)
		}
		if got := run(w[0], args...); !strings.Contains(got, row[1]) {
			t.Errorf("%s: %s", row[0], got)
		}
	}
}
