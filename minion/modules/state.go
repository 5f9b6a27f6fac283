package modules

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gosalt/gosalt/internal/dictmerge"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/render/value"
	"github.com/gosalt/gosalt/jinja/py"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
	"github.com/gosalt/gosalt/states/compile"
	statemodules "github.com/gosalt/gosalt/states/modules"
	"github.com/gosalt/gosalt/states/run"
)

// exitState is the exit code of a job in which a state failed (salt.defaults.exitcodes).
const exitState = 2

// States are the state functions, for sys.* and slsutil.lint.
func States() *module.Registry { return stateFunctions().Registry }

// stateFunctions are the state functions, made once.
var stateFunctions = sync.OnceValue(statemodules.New)

// stateOptions are the arguments that functions which run states have in common.
type stateOptions struct {
	// Say what would be done, and do nothing. By default the option test decides.
	Test any `default:"None" arg:"test"`
	// Wait while other states are run, rather than to refuse: True, or how many may wait. By default the option state_queue decides.
	Queue any `default:"None" arg:"queue"`
	// Values for the pillar of this run, over those of the minion.
	Pillar any `default:"None" arg:"pillar,kw"`
	// How values of pillar= are encrypted: gpg or age.
	PillarEnc any `default:"None" arg:"pillar_enc,kw"`
	// Environment of the state files.
	Saltenv any `default:"None" arg:"saltenv,kw"`
	// Environment of the pillar.
	Pillarenv any `default:"None" arg:"pillarenv,kw"`
	// A YAML file of the machine with options for this run, over those of the minion: failhard, state_aggregate, and with file_client: local file_roots.
	Localconfig string `default:"None" arg:"localconfig,kw"`
	// Run beside other states. What changes the same things at once can break them.
	Concurrent bool `default:"False" arg:"concurrent,kw"`
	// Run although the pillar has errors.
	Force bool `default:"False" arg:"force,kw"`
	// Call no state function: show the order and that requisites and arguments fit. Conditions are looked at.
	Mock bool `default:"False" arg:"mock,kw"`
	// Return only what failed or changed.
	Terse bool `default:"False" arg:"terse,kw"`
	// Fire an event for each state.
	StateEvents any `default:"None" arg:"state_events,kw"`
	// What to tell besides the results, a list: profile (where the time went), explain:ID (why that state ran, or not). The answer is then a map with gosalt_report, results and these.
	Report any `default:"None" arg:"report,kw"`
	// Options of this run by name, as Salt's callers pass them.
	Kwargs *wire.Map `arg:"**"`
}

// stateRun is one call of a function that compiles or runs states.
type stateRun struct {
	c      *module.Call
	o      *stateOptions
	opts   *wire.Map
	pillar *wire.Map
	test   bool
	report *report // nil: results alone
	comp   *compile.Compiler
}

// newStateRun reads the options. A second value that is not nil is the answer: something
// speaks against running states now, and the exit code is set.
func newStateRun(ctx context.Context, c *module.Call, o *stateOptions) (*stateRun, any, error) {
	r := &stateRun{c: c, o: o, opts: c.Opts.Clone()}
	var err error
	if r.report, err = newReport(o.Report); err != nil {
		return nil, nil, err
	}
	if r.report != nil {
		c = r.report.watch(c)
		r.c = c
	}
	if conflict, err := r.waitTurn(ctx); err != nil || conflict != nil {
		c.SetRetcode(exitCompile)
		return nil, conflict, err
	}
	if o.Localconfig != "" {
		if err := r.localConfig(o.Localconfig); err != nil {
			return nil, nil, err
		}
		c = r.c
	}
	if o.Pillar != nil && o.PillarEnc == nil {
		if _, ok := o.Pillar.(*wire.Map); !ok {
			return nil, nil, module.Invalidf("Pillar data must be formatted as a dictionary, unless pillar_enc is specified.")
		}
	}
	enc := ""
	if module.Truth(o.PillarEnc) {
		enc = pytext.Str(o.PillarEnc)
	}
	over, err := pillarOverride(ctx, c, o.Pillar, enc)
	if err != nil {
		return nil, nil, err
	}
	if env := o.Saltenv; module.Truth(env) {
		r.opts.Set("saltenv", pytext.Str(env))
	}
	if env := r.opts.Text("saltenv"); env != "" && r.opts.Bool("pillarenv_from_saltenv") {
		r.opts.Set("pillarenv", env)
	}
	if r.opts.Bool("lock_saltenv") && module.Truth(o.Saltenv) && pytext.Str(o.Saltenv) != c.Opts.Text("saltenv") {
		return nil, nil, module.Failf("lock_saltenv is enabled, saltenv cannot be changed")
	}
	if module.Truth(o.Pillarenv) {
		r.opts.Set("pillarenv", pytext.Str(o.Pillarenv))
	}
	r.test = r.testMode(ctx)
	r.opts.Set("test", r.test)
	if err := r.gatherPillar(ctx, over); err != nil {
		return nil, nil, err
	}
	if errs := r.pillar.List("_errors"); len(errs) > 0 && !o.Force {
		c.SetRetcode(exitPillar)
		return nil, append([]any{"Pillar failed to render with the following messages:"}, errs...), nil
	}
	if r.report != nil {
		r.report.pillar = time.Now()
	}
	return r, nil, nil
}

// gatherPillar has the pillar compiled anew for this run, with the values of the call,
// which files and ext_pillar see, and which count above all others.
func (r *stateRun) gatherPillar(ctx context.Context, over *wire.Map) error {
	c := r.c
	r.pillar = c.Pillar()
	if c.CompilePillar != nil && (c.Direct() || over.Len() > 0 || module.Truth(r.o.Pillarenv)) {
		p, err := c.CompilePillar(ctx, module.PillarQuery{Saltenv: r.opts.Text("saltenv"), Pillarenv: r.opts.Text("pillarenv"), Override: over})
		switch {
		case err == nil:
			r.pillar = p
		case module.Truth(r.o.Pillarenv):
			return module.Failf("the pillar of environment %s could not be compiled: %w", pytext.Str(r.o.Pillarenv), err)
		default:
			c.Log.Warn("pillar cannot be read anew, the last one is used", "error", err)
		}
	}
	if over.Len() == 0 {
		return nil
	}
	merged, err := dictmerge.Merge(r.pillar, over, dictmerge.Options{Strategy: r.opts.Text("pillar_source_merging_strategy"),
		Renderer: r.opts.Text("renderer"), Lists: r.opts.Bool("pillar_merge_lists")})
	if err != nil {
		return err
	}
	if m, ok := dictmerge.Plain(merged).(*wire.Map); ok {
		r.pillar = m
	}
	return nil
}

// testMode is whether nothing is to be changed.
func (r *stateRun) testMode(ctx context.Context) bool {
	if r.o.Test != nil {
		return module.Truth(r.o.Test)
	}
	if v, err := r.c.Call(ctx, "config.get", []any{"test"}, wire.NewMap("omit_opts", true)); err == nil && v == true {
		return true
	}
	return r.opts.Bool("test")
}

// others are the jobs that run states and began before this one.
func (r *stateRun) others() []*wire.Map {
	if r.c.Jobs == nil || r.c.Job == nil {
		return nil
	}
	var out []*wire.Map
	for _, j := range r.c.Jobs.Running() {
		if strings.HasPrefix(j.Text("fun"), "state.") && j.Text("jid") < string(r.c.Job.ID) {
			out = append(out, j)
		}
	}
	return out
}

// waitTurn sees to it that one job at a time changes the machine. It returns what
// speaks against running now.
func (r *stateRun) waitTurn(ctx context.Context) (any, error) {
	if !r.c.Direct() {
		return nil, nil // part of a job that has its turn
	}
	queue := r.o.Queue
	if queue == nil {
		queue, _ = r.c.Opts.Get("state_queue")
	}
	most, limited := queue.(int64)
	if queue == true || limited && most > 0 && int64(len(r.others())) < most {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for len(r.others()) > 0 {
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-tick.C:
			}
		}
		return nil, nil
	}
	if r.o.Concurrent {
		return nil, nil
	}
	if busy := runningStates(r.others()); len(busy) > 0 {
		return busy, nil
	}
	return nil, nil
}

// runningStates tells of jobs that run states in Salt's words.
func runningStates(jobs []*wire.Map) []any {
	out := []any{}
	for _, j := range jobs {
		started := j.Text("jid")
		if at, err := wire.JobID(started).Time(); err == nil {
			started = at.Format("2006, Jan 02 15:04:05.000000")
		}
		out = append(out, fmt.Sprintf(`The function "%s" is running as PID %d and was started at %s with jid %s`, j.Text("fun"), j.Int("pid"), started, j.Text("jid")))
	}
	return out
}

// compiler makes a compiler for this run.
func (r *stateRun) compiler(ctx context.Context) (*compile.Compiler, error) {
	if _, err := fileServer(r.c); err != nil {
		return nil, err
	}
	cfg := compile.FromCall(r.call(), compile.CallOptions{})
	cfg.ConfigDefaults = configDefaults()
	comp, err := compile.New(ctx, cfg)
	r.comp = comp
	return comp, err
}

// call is the call that templates and states make theirs in: with the pillar and the
// options of this run.
func (r *stateRun) call() *module.Call {
	c := *r.c
	c.Opts = r.opts
	c.Pillar = func() *wire.Map { return r.pillar }
	return &c
}

// high compiles SLS files and brings their high data into the form that is run. A
// second value that is not nil is the answer.
func (r *stateRun) high(ctx context.Context, comp *compile.Compiler, matches *compile.Matches, exclude any) (*py.Dict, any, error) {
	high, errs, err := comp.SLS(ctx, matches)
	if err != nil {
		return nil, nil, err
	}
	if len(errs) > 0 {
		r.c.SetRetcode(exitCompile)
		return nil, errs.Texts(), nil
	}
	if err := excludeIDs(high, exclude); err != nil {
		return nil, nil, err
	}
	return high, nil, nil
}

// excludeIDs adds what exclude= names to the exclude statements: SLS files, or a list of
// these and of {sls: ...} and {id: ...}.
func excludeIDs(high *py.Dict, exclude any) error {
	given, isList := exclude.([]any)
	if !isList {
		for _, n := range splitInput(exclude) {
			given = append(given, n)
		}
	}
	if len(given) == 0 {
		return nil
	}
	var items []py.Value
	if have, ok := high.GetStr("__exclude__"); ok {
		if l, ok := have.(*py.List); ok {
			items = slices.Clone(l.Items)
		}
	}
	for _, v := range given {
		item, err := value.FromWire(v, true)
		if err != nil {
			return err
		}
		items = append(items, item)
	}
	high.SetStr("__exclude__", py.NewList(items...))
	return nil
}

// low makes the chunks of high data. A second value that is not nil is the answer.
func (r *stateRun) low(ctx context.Context, comp *compile.Compiler, high *py.Dict) ([]*wire.Map, any, error) {
	r.report.rendered(high)
	if errs := comp.High(high); len(errs) > 0 {
		r.c.SetRetcode(exitCompile)
		return nil, errs.Texts(), nil
	}
	var low []*wire.Map
	for _, d := range comp.Low(ctx, high) {
		v, err := value.ToWire(d)
		if err != nil {
			return nil, nil, err
		}
		low = append(low, v.(*wire.Map))
	}
	return low, nil, nil
}

// runner makes what carries out chunks.
func (r *stateRun) runner(opts *wire.Map) *run.Runner {
	c := r.call()
	o := run.Options{Test: r.test, Mock: r.o.Mock, FailHard: opts.Bool("failhard"), Refresh: c.Refresh, Done: r.told, Pause: r.paused}
	r.report.options(&o)
	if r.comp != nil {
		o.Place = func(id, state string) string { return r.comp.At(id, state).String() }
	}
	o.Aggregate, _ = opts.Get("state_aggregate")
	for _, v := range listArg(opts, "disabled_requisites") {
		o.Disabled = append(o.Disabled, pytext.Str(v))
	}
	if o.Refresh != nil {
		refresh := o.Refresh
		o.Refresh = func(ctx context.Context, what string) error {
			err := refresh(ctx, what)
			if what == "pillar" && r.o.Pillar == nil {
				r.pillar = r.c.Pillar()
			}
			return err
		}
	}
	return run.New(stateFunctions(), c, o)
}

func listArg(m *wire.Map, key string) []any {
	v, _ := m.Get(key)
	if s, ok := v.(string); ok {
		return []any{s}
	}
	l, _ := v.([]any)
	return l
}

// told reports one state's result: to whoever watches the job, and as an event where
// that is asked for.
func (r *stateRun) told(res *wire.Map, all int, fire any) {
	c := r.c
	if c.Watched() {
		c.Progress(stateLine(res, all))
	}
	events := c.Opts.Bool("state_events")
	if r.o.StateEvents != nil {
		events = module.Truth(r.o.StateEvents)
	}
	if !events && !module.Truth(fire) || c.Job == nil || c.MasterEvent == nil && !c.Functions().Has("event.fire_master") {
		return
	}
	data := wire.NewMap("ret", res)
	jid, id := string(c.Job.ID), c.Opts.Text("id")
	var tag string
	switch f := fire.(type) {
	case string:
		tag = fmt.Sprintf("salt/state_result/%s/%s/%s", jid, id, f)
	default:
		if module.Truth(fire) {
			tag = fmt.Sprintf("salt/state_result/%s/%s/%s", jid, id, res.Text("name"))
			break
		}
		tag = fmt.Sprintf("salt/job/%s/prog/%s/%d", jid, id, res.Int("__run_num__"))
		data.Set("len", int64(all))
	}
	if c.MasterEvent != nil {
		c.MasterEvent(tag, data)
		return
	}
	if _, err := c.Call(context.Background(), "event.fire_master", []any{data, tag}, wire.NewMap("preload", wire.NewMap("jid", jid))); err != nil {
		c.Log.Warn("event of a state cannot be fired", "tag", tag, "error", err)
	}
}

// stateLine is a state's result in one line, for --live.
func stateLine(res *wire.Map, all int) *wire.Map {
	word := "Clean"
	switch v, _ := res.Get("result"); {
	case v == nil:
		word = "Differs"
	case v == false:
		word = "Failed"
	case res.Map("changes").Len() > 0:
		word = "Changed"
	}
	line := fmt.Sprintf("[%d/%d] %-7s %s", res.Int("__run_num__")+1, all, word, res.Text("__id__"))
	if first, _, _ := strings.Cut(res.Text("comment"), "\n"); first != "" {
		line += ": " + first
	}
	return wire.NewMap("stdout", line)
}

// finish makes the answer of results, and sets the exit code.
func (r *stateRun) finish(results *wire.Map) *wire.Map {
	r.c.SetRetcode(0)
	if results.Len() == 0 {
		r.c.SetRetcode(exitState) // nothing was asked for, or all of it was excluded
	}
	for _, v := range results.Strings() {
		if m, ok := v.(*wire.Map); ok {
			if res, _ := m.Get("result"); res == false {
				r.c.SetRetcode(exitState)
			}
		}
	}
	if !r.o.Terse && r.c.Opts.Text("state_data") != "terse" {
		return r.report.answer(results)
	}
	out := wire.NewMap()
	for tag, v := range results.Strings() {
		m, ok := v.(*wire.Map)
		if res, _ := m.Get("result"); ok && (!module.Truth(res) || m.Map("changes").Len() > 0) {
			out.Set(tag, m)
		}
	}
	return r.report.answer(out)
}

// runHigh carries out high data.
func (r *stateRun) runHigh(ctx context.Context, comp *compile.Compiler, high *py.Dict) (any, error) {
	low, answer, err := r.low(ctx, comp, high)
	if err != nil || answer != nil {
		return answer, err
	}
	defer r.forgetPause()
	return r.carryOut(ctx, comp.Opts(), low, nil)
}

// carryOut runs chunks, all or those that are wanted with what they require, and makes
// the answer of the results.
func (r *stateRun) carryOut(ctx context.Context, opts *wire.Map, low []*wire.Map, wanted func(*wire.Map) bool) (any, error) {
	r.report.compiled(low)
	if rec, ok := ctx.Value(planRecordKey{}).(*planRecord); ok && r.report != nil {
		rec.chunks, rec.files = r.report.chunks, r.report.files
	}
	runner := r.runner(opts)
	if foreseen, ok := ctx.Value(foreseenKey{}).(func(string) *states.Foreseen); ok {
		runner.Foresee(foreseen)
	}
	// Functions that states call are not part of the plan, should they run states.
	ctx = context.WithValue(context.WithValue(ctx, planRecordKey{}, nil), foreseenKey{}, nil)
	var results *wire.Map
	if wanted != nil {
		results = runner.Only(ctx, low, wanted)
	} else {
		results = runner.Run(ctx, low)
	}
	if err := ctx.Err(); err != nil {
		if module.EndSignal(ctx) != 0 {
			return nil, err
		}
		// Who has interrupted gosalt-call is told how far it came.
		r.c.Log.Warn("interrupted: what comes after was not begun, run it again to go on", "states", results.Len(), "of", len(low))
		r.report.ran(runner)
		answer := r.finish(results)
		r.c.SetRetcode(exitState)
		return answer, nil
	}
	r.report.ran(runner)
	return r.finish(results), nil
}

// noStates is the answer where nothing is assigned to this minion.
func (r *stateRun) noStates(comment string) *wire.Map {
	r.c.SetRetcode(exitState)
	return wire.NewMap("no_|-states_|-states_|-None", wire.NewMap("result", false, "comment", comment, "name", "No States", "changes", wire.NewMap(), "__run_num__", int64(0)))
}

// disabledStates says which of some names state.disable has turned off.
func disabledStates(c *module.Call, names []string) []any {
	var out []any
	for _, name := range names {
		for _, v := range c.Grains().List("state_runs_disabled") {
			pat, ok := v.(string)
			if !ok {
				continue
			}
			if mod, _, glob := strings.Cut(pat, ".*"); glob {
				if strings.HasPrefix(name, strings.TrimSuffix(mod, ".")+".") {
					out = append(out, fmt.Sprintf(`The state file "%s" is currently disabled by "%s", to re-enable, run state.enable %s.`, name, pat, pat))
				}
			} else if pat == name {
				out = append(out, fmt.Sprintf(`The state file "%s" is currently disabled, to re-enable, run state.enable %s.`, name, name))
			}
		}
	}
	return out
}

// stateError words an error of the compiler as Salt's functions return it.
func stateError(err error) error {
	var e *compile.Error
	if errors.As(err, &e) || errors.Is(err, os.ErrNotExist) {
		return module.Failf("%w", err)
	}
	return err
}
