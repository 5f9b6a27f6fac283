// Package run carries out low chunks: in their order, each after what it requires, with
// the rules of Salt 3006 (salt/state.py) for every requisite.
//
// Start with run.go (the order of things), then requisite.go (is a chunk's turn there?)
// and chunk.go (one state: conditions, the function, retries).
package run

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/target"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

// Options say how a run goes. The zero value is Salt's default.
type Options struct {
	Test      bool             // say what would be done
	Mock      bool             // call no state function: each has succeeded and changed nothing
	FailHard  bool             // stop at the first failure
	Disabled  []string         // requisites that are not looked at (disabled_requisites)
	Aggregate any              // state_aggregate: true, or a list of modules
	Now       func() time.Time // nil: time.Now
	// Sleep waits between retries. Nil waits, and ends with the context.
	Sleep func(ctx context.Context, d time.Duration)
	// Pause is asked before each chunk of the outer order: it returns when the chunk may
	// run, false when the run is to end there. Nil never waits.
	Pause func(ctx context.Context, id string) bool
	// Done is told of each result, with the number of chunks. fire is the chunk's fire_event.
	Done func(result *wire.Map, all int, fire any)
	// Refresh carries out reload_grains, reload_pillar and reload_modules ("grains",
	// "pillar", "modules"). Nil ignores them.
	Refresh func(ctx context.Context, what string) error
	// Place is where a state of an ID stands: "salt://web.sls, line 3"; "" where that is not
	// known. May be nil.
	Place func(id, state string) string
	// Explain names the chunks of which Explanations is to tell. Nil is none.
	Explain func(low *wire.Map) bool
}

// A Runner carries out chunks on one machine. It serves one run.
type Runner struct {
	reg  *states.Registry
	call *module.Call // of the function that asked, state.apply: its functions are the execution functions
	opt  Options
	log  *slog.Logger

	shared  states.Shared
	drafts  states.Drafts   // of a run under test=True
	started map[string]bool // modules whose Init has succeeded
	active  map[string]bool // tags whose requisites are being looked at
	pre     *wire.Map       // results of chunks that were run for prereq
	num     int64           // __run_num__ of the next result
	looks   int             // how often a chunk's turn was looked at
	nested  map[string]int  // how often a tag is in what is being looked at now
	procs   map[string]*proc
	told    map[string]bool // results that Done knows
	stopped bool            // by failhard
	hard    *wire.Map       // the chunk whose failhard it was
	index   *index
	noteMu  sync.Mutex // parallel states are explained, too
	notes   []*Explanation

	foreseen func(tag string) *states.Foreseen // nil: no plan

	conditionsOnce   sync.Once // parallel states may be the first to ask
	globalConditions *wire.Map
}

// proc is a chunk that runs beside the others (parallel: True).
type proc struct {
	done   chan struct{}
	result *wire.Map
	before *proc // the chunk's own function, where this is its mod_watch
}

// New makes a runner. call's functions are those that states use.
func New(reg *states.Registry, call *module.Call, opt Options) *Runner {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Sleep == nil {
		opt.Sleep = sleep
	}
	r := &Runner{reg: reg, call: call, opt: opt, log: call.Log, started: map[string]bool{}, active: map[string]bool{}, nested: map[string]int{}, pre: wire.NewMap(), procs: map[string]*proc{}, told: map[string]bool{}}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	return r
}

// Run carries out chunks, those of listen at the end, and returns the results by tag.
// Chunks are changed as they are run. It ends early with ctx, with the results so far.
func (r *Runner) Run(ctx context.Context, chunks []*wire.Map) *wire.Map {
	defer r.drafts.Files.Close()
	running := r.chunks(ctx, chunks)
	r.listen(ctx, chunks, running)
	return running
}

// Only carries out the chunks that are wanted, and before each what it requires.
func (r *Runner) Only(ctx context.Context, chunks []*wire.Map, wanted func(*wire.Map) bool) *wire.Map {
	defer r.drafts.Files.Close()
	r.index = newIndex(chunks)
	results := wire.NewMap()
	for _, low := range chunks {
		if !wanted(low) || ctx.Err() != nil {
			continue
		}
		if !results.Has(states.Tag(low)) {
			r.chunk(ctx, low, results, chunks, 0)
		}
		clear(r.active)
	}
	r.await(results, nil)
	return results
}

// Foresee has the runner hold to a saved plan: what it says of a chunk, by its tag, nil
// for nothing. A state that it leaves as it is does nothing.
func (r *Runner) Foresee(plan func(tag string) *states.Foreseen) { r.foreseen = plan }

// Verify says what is wrong with a chunk, in Salt's words; nothing where it can be run.
func (r *Runner) Verify(low *wire.Map) []string { return r.verify(low) }

// chunks carries out a list of chunks.
func (r *Runner) chunks(ctx context.Context, chunks []*wire.Map) *wire.Map {
	results, chunks := r.disabled(chunks)
	r.index = newIndex(chunks)
	r.stopped = false
	running := wire.NewMap()
	for _, low := range chunks {
		if r.stopped || ctx.Err() != nil {
			break
		}
		if !running.Has(states.Tag(low)) {
			if r.opt.Pause != nil && !r.opt.Pause(ctx, low.Text("__id__")) {
				break
			}
			r.chunk(ctx, low, running, chunks, 0)
			if r.failhard(low, running) {
				r.hard = low
				break
			}
		}
		clear(r.active)
	}
	r.explainEnd(ctx, chunks, running)
	r.await(running, nil)
	for tag, res := range running.All() {
		results.SetAny(tag, res)
	}
	return results
}

// disabled takes out the chunks that state.disable has turned off.
func (r *Runner) disabled(chunks []*wire.Map) (results *wire.Map, rest []*wire.Map) {
	results = wire.NewMap()
	patterns := r.call.Grains().List("state_runs_disabled")
	if len(patterns) == 0 {
		return results, chunks
	}
next:
	for _, low := range chunks {
		for _, p := range patterns {
			if pat, ok := p.(string); ok && target.Fnmatch(pat, low.Text("state")+"."+low.Text("fun")) {
				results.Set(states.Tag(low), wire.NewMap("changes", wire.NewMap(), "result", false,
					"comment", fmt.Sprintf(`The state function "%s.%s" is currently disabled by "%s", to re-enable, run state.enable %s.`, low.Text("state"), low.Text("fun"), pat, pat),
					"__run_num__", r.next(), "__sls__", get(low, "__sls__")))
				continue next
			}
		}
		rest = append(rest, low)
	}
	return results, rest
}

// next is the number of a result.
func (r *Runner) next() int64 {
	r.num++
	return r.num - 1
}

// failhard tells whether the run ends after this chunk.
func (r *Runner) failhard(low, running *wire.Map) bool {
	if r.opt.Test {
		return false
	}
	hard := r.opt.FailHard
	if v, ok := low.Get("failhard"); ok {
		hard = module.Truth(v)
	}
	res := running.Map(states.Tag(low))
	if !hard || res == nil {
		return false
	}
	v := get(res, "result")
	return v != nil && !module.Truth(v)
}

// chunk carries out a chunk, and before it what it requires.
func (r *Runner) chunk(ctx context.Context, low, running *wire.Map, chunks []*wire.Map, depth int) {
	if ctx.Err() != nil || r.stopped {
		return
	}
	low = r.aggregate(ctx, low, running, chunks)
	r.init(ctx, low, running, chunks)
	tag := states.Tag(low)
	if depth == 0 {
		// States that wait for each other by prereq and onchanges, say, are no cycle that
		// Salt finds: it goes on until Python's stack is full.
		r.looks++
		r.nested[tag]++
		defer func() { r.nested[tag]-- }()
		if r.nested[tag] > 20 || r.looks > 2000+20*len(chunks) {
			r.recursive(low, running)
			return
		}
	}
	if !truth(low, "prerequired") {
		r.active[tag] = true
	}
	pre := truth(low, "__prereq__")
	status, found := r.check(low, running, !pre)
	r.explainCheck(low, running, status, found, pre)
	switch {
	case status == unmet:
		if !r.requisites(ctx, low, running, chunks, depth) {
			return
		}
	case status == failed && r.pre.Has(tag):
		// It was planned for a prereq, and what that was for has failed: the foreseen
		// changes did not come to pass.
		res := r.pre.Map(tag)
		res.Set("changes", wire.NewMap())
		res.Set("__run_num__", r.next())
		name(res, low)
		running.Set(tag, res)
	case status == failed:
		res := r.skipped(low, false, "One or more requisite failed: "+r.culprits(found, running))
		running.Set(tag, res)
		r.pre.Set(tag, res)
	case status == changed && !pre:
		res := r.state(ctx, low, running, chunks, found)
		if !hasChanges(res) && !truth(res, "skip_watch") {
			watch := low.Clone()
			watch.Set("sfun", low.Text("fun"))
			watch.Set("fun", "mod_watch")
			res = r.state(ctx, watch, running, chunks, found)
		}
		running.Set(tag, res)
	case status == unchanged:
		res := r.skipped(low, true, "No changes detected")
		running.Set(tag, res)
		r.pre.Set(tag, res)
	case status == noFailure:
		res := r.skipped(low, true, "State was not run because onfail req did not change")
		res.Set("__state_ran__", false)
		running.Set(tag, res)
	case status == noChanges:
		res := r.skipped(low, true, "State was not run because none of the onchanges reqs changed")
		res.Set("__state_ran__", false)
		running.Set(tag, res)
	case pre:
		r.pre.Set(tag, r.state(ctx, low, running, chunks, found))
	default:
		running.Set(tag, r.state(ctx, low, running, chunks, found))
	}
	if res := running.Map(tag); res != nil {
		r.done(res, low, len(chunks))
		r.sub(res, low, running)
	}
}

// sub takes the results of further states out of one that ran them (sub_state_run).
func (r *Runner) sub(res, low, running *wire.Map) {
	all := res.List("sub_state_run")
	res.Delete("sub_state_run")
	for _, v := range all {
		s, ok := v.(*wire.Map)
		if !ok || s.Map("low") == nil {
			continue
		}
		r.num++
		one := r.skipped(low, false, s.Text("comment"))
		for _, k := range []string{"changes", "result", "duration", "start_time"} {
			if v, ok := s.Get(k); ok {
				one.Set(k, v)
			}
		}
		one.Set("__state_ran__", true)
		one.Set("__run_num__", r.num)
		running.Set(states.Tag(s.Map("low")), one)
	}
}

// done tells of a result, once.
func (r *Runner) done(res, low *wire.Map, all int) {
	if tag := states.Tag(low); r.opt.Done != nil && !r.told[tag] {
		r.told[tag] = true
		r.opt.Done(res, all, get(low, "fire_event"))
		if get(res, "result") == false {
			r.log.Error("state failed", "id", low.Text("__id__"), "state", low.Text("state")+"."+low.Text("fun"), "at", r.place(low), "comment", pytext.Str(get(res, "comment")))
		}
	}
}

// place is where a chunk stands, or the SLS it is of.
func (r *Runner) place(low *wire.Map) string {
	if r.opt.Place != nil {
		if at := r.opt.Place(low.Text("__id__"), low.Text("state")); at != "" {
			return at
		}
	}
	return low.Text("__sls__")
}

// skipped is the result of a chunk that was not run.
func (r *Runner) skipped(low *wire.Map, result bool, comment string) *wire.Map {
	start := r.opt.Now()
	res := wire.NewMap("changes", wire.NewMap(), "result", result, "duration", millis(r.opt.Now().Sub(start)),
		"start_time", clock(start), "comment", comment, "__run_num__", r.next())
	name(res, low)
	return res
}

// name says in a result which chunk it is of.
func name(res, low *wire.Map) {
	for _, k := range []string{"__sls__", "__id__", "name"} {
		res.Set(k, get(low, k))
	}
}

// init calls a module's Init before its first state.
func (r *Runner) init(ctx context.Context, low, running *wire.Map, chunks []*wire.Map) {
	mod := low.Text("state")
	if h := r.reg.Hooks(mod); h.Init != nil && !r.started[mod] && r.reg.Has(mod+"."+low.Text("fun")) {
		r.started[mod] = h.Init(ctx, r.stateCall(low, running, chunks, nil))
	}
}

// aggregate joins later chunks into this one, where it is asked for.
func (r *Runner) aggregate(ctx context.Context, low, running *wire.Map, chunks []*wire.Map) *wire.Map {
	opt := r.opt.Aggregate
	if v, ok := low.Get("aggregate"); ok {
		opt = v
	}
	mod := low.Text("state")
	switch opt := opt.(type) {
	case bool:
		if !opt {
			return low
		}
	case []any:
		if !slices.Contains(opt, any(mod)) {
			return low
		}
	default:
		return low
	}
	h := r.reg.Hooks(mod)
	if h.Aggregate == nil || truth(low, "__agg__") {
		return low
	}
	low.Set("__agg__", true)
	low = h.Aggregate(ctx, r.stateCall(low, running, chunks, nil), chunks, running)
	joined := wire.NewMap() // in the order of the chunks: what is not met is told in it
	firsts := map[string]*wire.Map{}
	for _, c := range chunks {
		if c.Text("state") != mod || !truth(c, "__agg__") || c.Text("name") == low.Text("name") {
			continue
		}
		for k, v := range c.Strings() {
			if l, ok := v.([]any); ok && isRequisite(k) {
				if firsts[k] == nil {
					firsts[k] = c
				}
				joined.Set(k, slices.Concat(joined.List(k), l))
			}
		}
	}
	for k, l := range joined.Strings() {
		low.Set(k, l)
		firsts[k].Set(k, l) // with Salt it is one list
	}
	return low
}

// sleep waits, and no longer than the context lasts.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

func get(m *wire.Map, key string) any {
	v, _ := m.Get(key)
	return v
}

func truth(m *wire.Map, key string) bool { return module.Truth(get(m, key)) }

func hasChanges(res *wire.Map) bool { return truth(res, "changes") }

// millis is a duration as Salt tells it: milliseconds, to the microsecond.
func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// clock is a time of day as Python's isoformat writes it.
func clock(t time.Time) string {
	t = t.Local()
	if t.Nanosecond()/1000 == 0 {
		return t.Format("15:04:05")
	}
	return t.Format("15:04:05.000000")
}
