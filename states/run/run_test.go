package run_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
	"github.com/gosalt/gosalt/states/modules"
	"github.com/gosalt/gosalt/states/run"
)

// chunk makes a low chunk: chunk("test.nop", "a", "require", [...]).
func chunk(fun, id string, kv ...any) *wire.Map {
	mod, f, _ := strings.Cut(fun, ".")
	m := wire.NewMap("state", mod, "fun", f, "__id__", id, "name", id, "__sls__", "s", "__env__", "base", "order", int64(1))
	for i := 0; i < len(kv); i += 2 {
		m.Set(kv[i].(string), kv[i+1])
	}
	return m
}

func refs(mod string, ids ...string) []any {
	var l []any
	for _, id := range ids {
		l = append(l, wire.NewMap(mod, id))
	}
	return l
}

func runChunks(t *testing.T, reg *states.Registry, opt run.Options, low ...*wire.Map) *wire.Map {
	t.Helper()
	var got *wire.Map
	inCall(t, func(ctx context.Context, c *module.Call) { got = run.New(reg, c, opt).Run(ctx, low) })
	return got
}

// result finds a result by the chunk's id.
func result(t *testing.T, got *wire.Map, id string) *wire.Map {
	t.Helper()
	for tag, v := range got.Strings() {
		if strings.Contains(tag, "_|-"+id+"_|-") {
			return v.(*wire.Map)
		}
	}
	t.Fatalf("no result of %s in %s", id, pytext.Repr(got))
	return nil
}

func TestWrongArguments(t *testing.T) {
	got := runChunks(t, modules.New(), run.Options{},
		chunk("test.configurable_test_state", "a", "coment", "x"),
		chunk("test.configurable_test_state", "b", "coment", "x", "nope", int64(1)),
		chunk("cmd.rnu", "c"),
		chunk("cmd.mod_watch", "d", "umask", "99"),
		chunk("test.nop", "e"))
	for id, want := range map[string]string{
		"a": "'coment' is an invalid keyword argument for 'test.configurable_test_state'. Did you mean 'comment'?",
		"b": "'coment' and 'nope' are invalid keyword arguments for 'test.configurable_test_state'. Did you mean 'comment'?",
		"c": "State 'cmd.rnu' was not found in SLS 's'\nReason: 'cmd.rnu' is not available. Did you mean 'cmd.run'?\n",
		"d": "Invalid umask: 99\n",
		"e": "Success!",
	} {
		if c := result(t, got, id).Text("comment"); c != want {
			t.Errorf("%s: %q, expected %q", id, c, want)
		}
	}
}

func TestParallelRunsBesideAndIsAwaited(t *testing.T) {
	reg := modules.New()
	gate := make(chan struct{})
	var order []string
	var running atomic.Int32
	type a struct{ Name string }
	states.Register(reg, "x.wait", func(ctx context.Context, c *states.Call, a a) (*states.Plan, error) {
		p := &states.Plan{Did: "waited"}
		p.Do(wire.NewMap("k", "v"), func(context.Context, *states.Result) error {
			if running.Add(1) == 2 {
				close(gate) // both are there at once, or this hangs
			}
			<-gate
			return nil
		})
		return p, nil
	})
	got := runChunks(t, reg, run.Options{Done: func(res *wire.Map, all int, _ any) { order = append(order, res.Text("__id__")) }},
		chunk("x.wait", "a", "parallel", true), chunk("x.wait", "b", "parallel", true),
		chunk("test.nop", "c"), chunk("test.nop", "d", "require", refs("x", "a")), chunk("test.nop", "e", "onchanges", refs("x", "b")))
	for _, id := range []string{"a", "b"} {
		if r := result(t, got, id); r.Text("comment") != "waited" || !r.Bool("__parallel__") || r.Map("changes").Text("k") != "v" {
			t.Errorf("%s: %s", id, pytext.Repr(r))
		}
	}
	if r := result(t, got, "e"); r.Text("comment") != "Success!" {
		t.Errorf("e: %s", pytext.Repr(r))
	}
	if !slices.Equal(order, []string{"a", "b", "c", "d", "e"}) {
		t.Errorf("told in the order %v", order)
	}
}

// Under test=True a parallel state looks at no chunk while the run goes on to change others:
// the race detector tells.
func TestParallelDrafts(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	low := []*wire.Map{chunk("file.append", file, "text", "a", "parallel", true)}
	for i := range 50 {
		low = append(low, chunk("test.succeed_with_changes", fmt.Sprint("first", i), "prereq", refs("test", fmt.Sprint("then", i))),
			chunk("test.succeed_with_changes", fmt.Sprint("then", i)))
	}
	low = append(low, chunk("file.append", "again", "name", file, "text", "a"))
	if err := os.WriteFile(file, []byte("x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := runChunks(t, modules.New(), run.Options{Test: true}, low...)
	if res := result(t, got, file); res.Text("comment") != "File "+file+" is set to be updated" {
		t.Errorf("%s", pytext.Repr(res))
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "x\n" {
		t.Errorf("the file is %q, %v", b, err)
	}
}

// A parallel state's conditions are looked at when its turn comes, before those after it
// run; where they keep it from running, nothing is started. One that was tried again tells
// nothing of it, as in Salt.
func TestParallelConditions(t *testing.T) {
	opt := run.Options{Sleep: func(context.Context, time.Duration) {}}
	got := runChunks(t, modules.New(), opt,
		chunk("test.nop", "skipped", "parallel", true, "unless", []any{"true"}, "retry", wire.NewMap("attempts", int64(2), "interval", int64(0), "until", false)),
		chunk("test.nop", "run", "parallel", true, "unless", []any{"false"}),
		chunk("test.fail_without_changes", "again", "parallel", true, "retry", wire.NewMap("attempts", int64(1), "interval", int64(0))))
	for id, want := range map[string]struct {
		comment  string
		parallel bool
	}{
		"skipped": {"unless condition is true", false},
		"run":     {"Success!", true},
		"again":   {"Failure!\nAttempt 1: Returned a result of \"False\", with the following comment: \"Failure!\"", false},
	} {
		res := result(t, got, id)
		if res.Text("comment") != want.comment || res.Has("__parallel__") != want.parallel {
			t.Errorf("%s: %s, expected %+v", id, pytext.Repr(res), want)
		}
	}
}

func TestRetry(t *testing.T) {
	reg := modules.New()
	tries := 0
	type a struct{ Name string }
	states.Register(reg, "x.third", func(context.Context, *states.Call, a) (*states.Plan, error) {
		if tries++; tries < 3 {
			return nil, fmt.Errorf("not yet, %d", tries)
		}
		return &states.Plan{Fine: "at last"}, nil
	})
	var waited []time.Duration
	opt := run.Options{Sleep: func(_ context.Context, d time.Duration) { waited = append(waited, d) }}
	spec := wire.NewMap("attempts", int64(5), "interval", int64(7))
	got := result(t, runChunks(t, reg, opt, chunk("x.third", "a", "retry", spec)), "a")
	want := "Attempt 1: Returned a result of \"False\", with the following comment: \"not yet, 1\"\n" +
		"Attempt 2: Returned a result of \"False\", with the following comment: \"not yet, 2\"\nat last"
	if got.Text("comment") != want || !got.Bool("result") {
		t.Errorf("%s", pytext.Repr(got))
	}
	if !slices.Equal(waited, []time.Duration{7 * time.Second, 7 * time.Second}) {
		t.Errorf("waited %v", waited)
	}
	if v, _ := got.Get("duration"); v.(float64) < 14000 {
		t.Errorf("duration %v", v)
	}
	tries, waited = 0, nil
	got = result(t, runChunks(t, reg, run.Options{Test: true}, chunk("x.third", "a", "retry", true)), "a")
	if want := "not yet, 1  The state would be retried every 30 seconds (with a splay of up to 0 seconds) a maximum of 2 times or until a result of True is returned"; got.Text("comment") != want {
		t.Errorf("%s", pytext.Repr(got))
	}
	tries = 0
	got = result(t, runChunks(t, reg, opt, chunk("x.third", "a", "retry", spec, "parallel", true)), "a")
	if !got.Bool("result") || !strings.HasSuffix(got.Text("comment"), `Attempt 2: Returned a result of "True", with the following comment: "at last"`) {
		t.Errorf("parallel: %s", pytext.Repr(got))
	}
}

func TestSlots(t *testing.T) {
	reg := modules.New()
	var seen any
	type a struct {
		Name string
		X    any
	}
	states.Register(reg, "x.see", func(_ context.Context, _ *states.Call, a a) (*states.Plan, error) {
		seen = a.X
		return &states.Plan{}, nil
	})
	for in, want := range map[string]string{
		"__slot__:salt:cmd.run_all(echo)":                         "{'pid': 1, 'retcode': 0, 'stdout': '', 'stderr': ''}",
		"__slot__:salt:cmd.run_all(echo).retcode":                 "0",
		"__slot__:salt:cmd.run_all('echo a b', x='c d').stdout":   "''",
		"__slot__:salt:cmd.run_all(cmd=true).stdout ~ /more here": "'/more here'",
		"__slot__:salt:no.such(1)":                                "'__slot__:salt:no.such(1)'",
		"__slot__:salt:cmd.run_all(":                              "'__slot__:salt:cmd.run_all('",
		"__slot__:other:x":                                        "'__slot__:other:x'",
		"plain":                                                   "'plain'",
	} {
		for _, wrap := range []func(any) any{
			func(v any) any { return v },
			func(v any) any { return []any{v, int64(1)} },
			func(v any) any { return wire.NewMap("k", v) },
			func(v any) any { return []any{wire.NewMap("k", v)} },
		} {
			runChunks(t, reg, run.Options{}, chunk("x.see", "a", "x", wrap(in)))
			if got := strings.Trim(pytext.Repr(seen), " "); !strings.Contains(got, want) {
				t.Errorf("%s: %s, expected %s", in, got, want)
			}
		}
	}
}

func TestCancelEndsTheRun(t *testing.T) {
	reg := modules.New()
	type a struct{ Name string }
	var cancel context.CancelFunc
	states.Register(reg, "x.cancel", func(context.Context, *states.Call, a) (*states.Plan, error) {
		cancel()
		return &states.Plan{Fine: "done"}, nil
	})
	inCall(t, func(ctx context.Context, c *module.Call) {
		ctx, cancel = context.WithCancel(ctx)
		got := run.New(reg, c, run.Options{}).Run(ctx, []*wire.Map{chunk("x.cancel", "a"), chunk("test.nop", "b")})
		if got.Len() != 1 {
			t.Errorf("after the end: %s", pytext.Repr(got))
		}
	})
}

func TestPanicIsAResult(t *testing.T) {
	reg := modules.New()
	type a struct{ Name string }
	states.Register(reg, "x.panic", func(context.Context, *states.Call, a) (*states.Plan, error) { panic("oops") })
	got := runChunks(t, reg, run.Options{}, chunk("x.panic", "a"), chunk("test.nop", "b"))
	if r := result(t, got, "a"); r.Bool("result") || r.Text("comment") != "An exception occurred in this state: panic: oops" {
		t.Errorf("%s", pytext.Repr(r))
	}
	result(t, got, "b")
}

// BenchmarkRequire runs 3,000 chunks that each require one before.
func BenchmarkRequire(b *testing.B) {
	reg := modules.New()
	r := commands()
	module.Register(r, "t.t", func(ctx context.Context, c *module.Call, _ struct{}) (any, error) {
		for b.Loop() {
			low := make([]*wire.Map, 3000)
			for i := range low {
				low[i] = chunk("test.nop", fmt.Sprint("s", i))
				if i > 0 {
					low[i].Set("require", refs("test", fmt.Sprint("s", i/2)))
				}
			}
			if got := run.New(reg, c, run.Options{}).Run(ctx, low); got.Len() != 3000 {
				b.Fatal(got.Len())
			}
		}
		return nil, nil
	})
	r.Run(b.Context(), &module.Call{}, "t.t", nil, nil)
}

// BenchmarkForetell plans to remove 3,000 files, of which each could have been removed or
// made by a state before.
func BenchmarkForetell(b *testing.B) {
	reg := modules.New()
	r := commands()
	dir := b.TempDir()
	for i := range 3000 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), nil, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	module.Register(r, "t.t", func(ctx context.Context, c *module.Call, _ struct{}) (any, error) {
		for b.Loop() {
			low := make([]*wire.Map, 3000)
			for i := range low {
				low[i] = chunk("file.absent", filepath.Join(dir, fmt.Sprint(i)))
			}
			if got := run.New(reg, c, run.Options{Test: true}).Run(ctx, low); got.Len() != 3000 {
				b.Fatal(got.Len())
			}
		}
		return nil, nil
	})
	r.Run(b.Context(), &module.Call{}, "t.t", nil, nil)
}

// What a watch runs of a parallel state is awaited, too. The result is the state's own, as
// with Salt.
func TestParallelWatchIsAwaited(t *testing.T) {
	reg := modules.New()
	gate := make(chan struct{})
	watched := false
	type a struct{ Name string }
	states.Register(reg, "x.runs", func(ctx context.Context, c *states.Call, a a) (*states.Plan, error) {
		return states.Decided(true, nil, "runs"), nil
	})
	states.Register(reg, "x.mod_watch", func(ctx context.Context, c *states.Call, a struct {
		Name string
		Sfun string `default:""`
	}) (*states.Plan, error) {
		<-gate
		watched = true
		return states.Decided(true, wire.NewMap("restarted", true), "restarted"), nil
	})
	got := runChunks(t, reg, run.Options{Done: func(res *wire.Map, _ int, _ any) {
		if res.Text("__id__") == "last" {
			close(gate)
		}
	}}, chunk("test.succeed_with_changes", "a"), chunk("x.runs", "b", "parallel", true, "watch", refs("test", "a")), chunk("test.nop", "last"))
	if r := result(t, got, "b"); !watched || r.Text("comment") != "runs" || !r.Bool("__parallel__") {
		t.Errorf("awaited %v: %s", watched, pytext.Repr(r))
	}
}

// States that are joined share the lists of their requisites: what one requires, the first
// that has such a list requires, too.
func TestAggregatedRequisites(t *testing.T) {
	reg := modules.New()
	type a struct{ Name string }
	states.Register(reg, "x.installed", func(ctx context.Context, c *states.Call, a a) (*states.Plan, error) {
		return states.Decided(true, nil, "installed"), nil
	})
	reg.Hook("x", states.Hooks{Aggregate: func(_ context.Context, c *states.Call, chunks []*wire.Map, _ *wire.Map) *wire.Map {
		for _, o := range chunks {
			if o.Text("state") == "x" {
				o.Set("__agg__", true)
			}
		}
		return c.Low
	}})
	got := runChunks(t, reg, run.Options{}, chunk("test.nop", "fine"), chunk("test.fail_without_changes", "bad"),
		chunk("x.installed", "a", "aggregate", true), chunk("x.installed", "b", "require", refs("test", "fine")), chunk("x.installed", "c", "require", refs("test", "bad")))
	for _, id := range []string{"a", "b", "c"} {
		if r := result(t, got, id); r.Text("comment") != "One or more requisite failed: s.bad" {
			t.Errorf("%s: %s", id, pytext.Repr(r))
		}
	}
}

// What listens comes after all states, and may need what they are to make.
func TestListenersAreForetoldOfAllStates(t *testing.T) {
	got := runChunks(t, modules.New(), run.Options{Test: true},
		chunk("cmd.run", "makes groups"),
		chunk("test.succeed_with_changes", "changes"),
		chunk("cmd.wait", "b", "group", "nosuchgroup", "listen", refs("test", "changes")))
	if r := result(t, got, "listener_b"); r.Text("comment") != "Command \"b\" would have been executed" {
		t.Errorf("%s", pytext.Repr(r))
	}
}

// Of a name that is given twice, listen runs the last.
func TestListenTakesTheLast(t *testing.T) {
	got := runChunks(t, modules.New(), run.Options{},
		chunk("test.succeed_with_changes", "a"),
		chunk("cmd.wait", "b", "listen", refs("test", "a")),
		chunk("cmd.wait", "b", "umask", "last", "listen", refs("test", "a")))
	if r := result(t, got, "listener_b"); r.Text("comment") != "Invalid umask: last\n" {
		t.Errorf("%s", pytext.Repr(r))
	}
}

// What a state needs may be installed by one before it: a plan does not fail for that.
func TestProgramsToCome(t *testing.T) {
	for name, first := range map[string]*wire.Map{
		"a command before": chunk("cmd.run", "install"),
		"nothing before":   chunk("test.nop", "install"),
	} {
		low := []*wire.Map{
			chunk("cron.present", "present"), chunk("cron.absent", "absent"), chunk("cron.env_present", "env", "value", "1"), chunk("cron.env_absent", "env gone"),
			chunk("iptables.append", "rule", "chain", "INPUT", "jump", "DROP"), chunk("nftables.append", "rule 6", "chain", "input", "jump", "drop", "table", "filter"),
			chunk("at.absent", "at"), chunk("debconf.set", "debconf", "data", wire.NewMap("a/b", wire.NewMap("type", "string", "value", "c"))),
			chunk("kmod.present", "loop"), chunk("git.config_set", "user.name", "value", "me", "global", true),
		}
		all := append([]*wire.Map{first}, low...)
		got := runChunks(t, modules.New(), run.Options{Test: true}, all...)
		for _, l := range low {
			res := result(t, got, l.Text("__id__"))
			want, text := any(nil), "is not there yet: the state install comes before"
			if first.Text("state") == "test" {
				want, text = false, "was not found in SLS 's'\nReason: "
			}
			if v, _ := res.Get("result"); v != want || !strings.Contains(res.Text("comment"), text) {
				t.Errorf("%s: %s: %s", name, l.Text("__id__"), pytext.Repr(res))
			}
		}
	}
}
