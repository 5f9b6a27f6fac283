package modules

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

func init() {
	register("salt.state", saltState)
	register("salt.function", saltFunction)
	register("salt.runner", saltRunner)
	register("salt.wheel", saltWheel)
	register("salt.parallel_runners", saltParallelRunners)
	register("salt.wait_for_event", saltWaitForEvent)
}

// saltTarget is whom a step of an orchestration means, and how it is asked.
type saltTarget struct {
	Tgt         any    // Which minions.
	SSH         bool   `arg:"ssh" default:"False"` // Over SSH, on machines of the master's roster.
	TgtType     string `default:"glob"`            // How tgt is to be read: glob, list, grain, compound, nodegroup and so on.
	Ret         string `default:""`                // A returner for the results, besides the master.
	RetConfig   any    `default:"None"`            // Configuration of that returner.
	RetKwargs   any    `default:"None"`            // Options of that returner.
	Timeout     any    `default:"None"`            // Seconds to wait for returns.
	Batch       any    `default:"None"`            // How many minions, or which part of them (10%), do it at a time.
	Subset      any    `default:"None"`            // On how many of them, drawn at random.
	FailMinions any    `default:"None"`            // Minions that may fail: a list, or a text with commas.
	Failhard    any    `default:"None"`            // With batch: no more of them once a minion failed.
}

// kwargs are those of saltutil.cmd.
func (t saltTarget) kwargs(arg []any, kwarg *wire.Map, expect bool) *wire.Map {
	kw := wire.NewMap("arg", arg, "kwarg", kwarg, "ret", t.Ret, "tgt_type", t.TgtType, "ssh", t.SSH, "expect_minions", expect)
	for _, o := range []struct {
		name string
		v    any
	}{{"timeout", t.Timeout}, {"batch", t.Batch}, {"subset", t.Subset}, {"ret_config", t.RetConfig}, {"ret_kwargs", t.RetKwargs}, {"failhard", t.Failhard}} {
		if o.v != nil {
			kw.Set(o.name, o.v)
		}
	}
	return kw
}

// mayFail are the minions whose failure counts for nothing.
func (t saltTarget) mayFail() (ids []string, warning string) {
	switch v := t.FailMinions.(type) {
	case nil:
	case string:
		for id := range strings.SplitSeq(v, ",") {
			ids = append(ids, strings.TrimSpace(id))
		}
	case []any:
		for _, id := range v {
			ids = append(ids, pytext.Str(id))
		}
	default:
		warning = "'fail_minions' needs to be a list or a comma separated string. Ignored."
	}
	return ids, warning
}

type saltStateArgs struct {
	Name string // Anything.
	saltTarget
	Highstate        any       `default:"None"`    // Run the highstate.
	SLS              any       `default:"None"`    // SLS to run: a list, or a text with commas.
	Top              any       `default:"None"`    // A top file to run by.
	Saltenv          any       `default:"None"`    // Environment of the files.
	Test             any       `default:"None"`    // Only say what would be done.
	Pillar           any       `default:"None"`    // Values over those of the pillar.
	Pillarenv        any       `default:"None"`    // Environment of the pillar.
	ExpectMinions    bool      `default:"True"`    // Minions that do not return have failed.
	Exclude          any       `default:"None"`    // SLS and ids to leave out.
	AllowFail        any       `default:"0"`       // How many minions may fail.
	Concurrent       any       `default:"False"`   // Run beside other states.
	Queue            any       `default:"False"`   // Wait for other states.
	OrchestrationJid any       `default:"None"`    // Of no effect.
	Kwargs           *wire.Map `arg:"**" read:"-"` // Not looked at.
}

// saltState runs states on minions: for orchestrations.
func saltState(ctx context.Context, c *states.Call, a saltStateArgs) (*states.Plan, error) {
	allow, err := strconv.Atoi(pytext.Str(a.AllowFail))
	if err != nil {
		return nil, module.Failf("Passed invalid value for 'allow_fail', must be an int")
	}
	fun, arg := "", []any{}
	switch {
	case module.Truth(a.Highstate):
		fun = "state.highstate"
	case module.Truth(a.Top):
		fun, arg = "state.top", []any{a.Top}
	case module.Truth(a.SLS):
		names, err := textOrList(a.SLS)
		if err != nil {
			return nil, err
		}
		fun, arg = "state.sls", []any{strings.Join(names, ",")}
	default:
		return nil, module.Failf("No highstate or sls specified, no execution made")
	}
	concurrent, ok := a.Concurrent.(bool)
	if !ok {
		return nil, module.Failf("Must pass in boolean for value of 'concurrent'")
	}
	kwarg := wire.NewMap()
	test := a.Test
	if test == nil && c.Test {
		test = true
	}
	for _, o := range []struct {
		name string
		v    any
		set  bool
	}{{"test", test, test != nil}, {"pillar", a.Pillar, module.Truth(a.Pillar)}, {"pillarenv", a.Pillarenv, a.Pillarenv != nil},
		{"saltenv", a.Saltenv, a.Saltenv != nil}, {"exclude", a.Exclude, a.Exclude != nil}} {
		if o.set {
			kwarg.Set(o.name, o.v)
		}
	}
	kwarg.Set("queue", a.Queue)
	kwarg.Set("concurrent", concurrent)
	run := func(ctx context.Context) (*states.Plan, error) {
		if c.Opts.Text("__role") == "minion" && c.Opts.Text("file_client") == "local" { // without a master it is this minion, whatever tgt says
			ret, err := c.Call.Call(ctx, fun, arg, kwarg)
			if err != nil {
				return nil, err
			}
			return a.tell(wire.NewMap(c.Opts.Text("id"), wire.NewMap("ret", ret, "out", "highstate")), allow, module.Truth(test)), nil
		}
		v, err := c.Call.Call(ctx, "saltutil.cmd", args(a.Tgt, fun), a.kwargs(arg, kwarg, a.ExpectMinions))
		if err != nil {
			return nil, err
		}
		rets, _ := v.(*wire.Map)
		return a.tell(rets, allow, module.Truth(test)), nil
	}
	if c.Test { // the minions are asked what they would do
		return run(ctx)
	}
	return later(run), nil
}

// later is a plan whose one step has the result that is decided then.
func later(run func(context.Context) (*states.Plan, error)) *states.Plan {
	p := &states.Plan{}
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		q, err := run(ctx)
		if err != nil {
			return err
		}
		d := q.Decision()
		r.SetChanges(d.Changes)
		r.Result, r.Comment, r.Extra = d.Result, d.Comment, d.Extra
		p.Warnings = q.Warnings
		return nil
	})
	return p
}

// tell words what minions returned of their states.
func (a saltStateArgs) tell(rets *wire.Map, allow int, test bool) *states.Plan {
	may, warning := a.mayFail()
	if rets.Len() == 0 && a.ExpectMinions {
		return states.Decided(false, nil, "No minions returned")
	}
	changes := wire.NewMap()
	var failed, same []string
	jid := ""
	for id, v := range rets.Strings() {
		data, _ := v.(*wire.Map)
		if jid == "" {
			jid = data.Text("jid")
		}
		ret, returned := data.Get("ret")
		if data.Bool("failed") {
			ret, returned = false, false
		}
		if !returned || !statesFine(ret) {
			if !slices.Contains(may, id) {
				failed = append(failed, id)
			}
			changes.Set(id, ret)
			continue
		}
		changed := false
		m, _ := ret.(*wire.Map)
		for _, chunk := range m.Strings() {
			if res, ok := chunk.(*wire.Map); ok && module.Truth(get(res, "changes")) {
				changed = true
			}
		}
		if changed {
			changes.Set(id, ret)
		} else {
			same = append(same, id)
		}
	}
	var told *wire.Map
	if changes.Len() > 0 {
		told = wire.NewMap("out", "highstate", "ret", changes)
	}
	var result any = true
	comment := "States ran successfully."
	if len(failed) > allow {
		result, comment = false, "Run failed on minions: "+strings.Join(failed, ", ")
	} else {
		if changes.Len() > 0 {
			comment += fmt.Sprintf(" Updating %s.", strings.Join(mapKeys(changes), ", "))
		}
		if len(same) > 0 {
			comment += fmt.Sprintf(" No changes made to %s.", strings.Join(same, ", "))
		}
	}
	if test && told != nil && result == true {
		result = nil
	}
	p := states.Decided(result, told, comment)
	if jid != "" {
		p.Set("__jid__", jid)
	}
	if warning != "" {
		p.Warnings = []string{warning}
	}
	return p
}

func mapKeys(m *wire.Map) []string {
	var out []string
	for k := range m.Strings() {
		out = append(out, k)
	}
	return out
}

// statesFine tells whether what a run of states returned is a success: a map in which no
// result, at any depth that has maps, is False.
func statesFine(v any) bool {
	m, ok := v.(*wire.Map)
	if !ok || m.Len() == 0 {
		return false
	}
	for _, e := range m.Strings() {
		chunk, ok := e.(*wire.Map)
		if !ok {
			return false
		}
		if res, has := chunk.Get("result"); has {
			if res == false {
				return false
			}
		} else if chunk.Len() > 0 && !statesFine(chunk) {
			return false
		}
	}
	return true
}

type saltFunctionArgs struct {
	Name string // The function: test.ping.
	saltTarget
	ExpectMinions bool      `default:"False"`   // Minions that do not return have failed.
	FailFunction  any       `default:"None"`    // A function that is asked of each result whether it is one of success.
	Arg           any       `default:"None"`    // Arguments: a list.
	Kwarg         *wire.Map `default:"None"`    // Keywords.
	Kwargs        *wire.Map `arg:"**" read:"-"` // Not looked at.
}

// saltFunction runs a function on minions: for orchestrations.
func saltFunction(ctx context.Context, c *states.Call, a saltFunctionArgs) (*states.Plan, error) {
	may, warning := a.mayFail()
	var warnings []string
	arg, isList := a.Arg.([]any)
	if text, ok := a.Arg.(string); ok {
		warnings = append(warnings, "Please specify 'arg' as a list of arguments.")
		for _, w := range strings.Fields(text) {
			arg = append(arg, w)
		}
	} else if !isList && a.Arg != nil {
		arg = []any{a.Arg}
	}
	if warning != "" {
		warnings = append(warnings, warning)
	}
	if c.Test {
		p := states.Decided(nil, nil, fmt.Sprintf("Function %s would be executed on target %s", a.Name, pytext.Str(a.Tgt)))
		p.Warnings = warnings
		return p, nil
	}
	kwarg := a.Kwarg
	if kwarg == nil {
		kwarg = wire.NewMap()
	}
	p := &states.Plan{Warnings: warnings}
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		v, err := c.Call.Call(ctx, "saltutil.cmd", args(a.Tgt, a.Name), a.kwargs(arg, kwarg, a.ExpectMinions))
		if err != nil {
			return err
		}
		rets, _ := v.(*wire.Map)
		r.SetChanges(nil)
		if rets.Len() == 0 {
			r.Result, r.Comment = false, "No minions responded"
			return nil
		}
		changes := wire.NewMap()
		var failed []string
		for id, v := range rets.Strings() {
			data, _ := v.(*wire.Map)
			if jid := data.Text("jid"); jid != "" {
				r.Set("__jid__", jid)
			}
			ret, returned := data.Get("ret")
			fine := returned && !data.Bool("failed")
			if !fine {
				ret = false
			}
			if fine && module.Truth(a.FailFunction) {
				ok, err := c.Call.Call(ctx, pytext.Str(a.FailFunction), args(ret), nil)
				if err != nil {
					return err
				}
				fine = module.Truth(ok)
			}
			switch {
			case module.Truth(get(data, "retcode")):
				failed = append(failed, id)
			case (!fine || ret == false) && !slices.Contains(may, id):
				failed = append(failed, id)
			}
			changes.Set(id, ret)
		}
		r.SetChanges(wire.NewMap("ret", changes))
		r.Comment = "Function ran successfully."
		if len(failed) > 0 {
			r.Result = false
			r.Comment = fmt.Sprintf("Running function %s failed on minions: %s", a.Name, strings.Join(failed, ", "))
		}
		r.Comment += fmt.Sprintf(" Function %s ran on %s.", a.Name, strings.Join(mapKeys(changes), ", "))
		return nil
	})
	return p, nil
}

type saltRunnerArgs struct {
	Name   string    // The runner, or wheel function.
	Kwargs *wire.Map `arg:"**"` // Its arguments; arg is a list of those without a name.
}

// saltRunner runs a runner of the master: for orchestrations.
func saltRunner(ctx context.Context, c *states.Call, a saltRunnerArgs) (*states.Plan, error) {
	return onMaster(c, a, "Runner", func(ctx context.Context) (any, error) {
		kw := a.Kwargs.Clone()
		kw.Set("full_return", true)
		return c.Call.Call(ctx, "saltutil.runner", args(a.Name), kw)
	}), nil
}

// saltWheel runs a wheel function of the master: for orchestrations.
func saltWheel(ctx context.Context, c *states.Call, a saltRunnerArgs) (*states.Plan, error) {
	return onMaster(c, a, "Wheel", func(ctx context.Context) (any, error) {
		kw := a.Kwargs.Clone()
		list, _ := get(kw, "arg").([]any)
		kw.Delete("arg")
		return c.Call.Call(ctx, "saltutil.wheel", append(args(a.Name), list...), kw)
	}), nil
}

func onMaster(c *states.Call, a saltRunnerArgs, kind string, call func(context.Context) (any, error)) *states.Plan {
	if c.Test {
		return states.Decided(nil, nil, fmt.Sprintf("%s function '%s' would be executed.", kind, a.Name))
	}
	p := &states.Plan{}
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		v, err := call(ctx)
		if err != nil {
			return err
		}
		out, _ := v.(*wire.Map)
		ret := get(out, "return")
		good := true
		if s, ok := out.Get("success"); ok {
			good = module.Truth(s)
		}
		if m, ok := ret.(*wire.Map); ok && m.Has("Error") {
			good = false
		}
		r.SetChanges(wire.NewMap("return", ret))
		r.Result = good
		word := "executed"
		if !good {
			word = "failed"
		}
		r.Comment = fmt.Sprintf("%s function '%s' %s.", kind, a.Name, word)
		if jid := out.Text("jid"); jid != "" {
			r.Set("__jid__", jid)
		}
		return nil
	})
	return p
}

type saltParallelArgs struct {
	Name    string    // Anything.
	Runners any       // Runners by ids of one's own: each a list of name (the runner, where the id is not) and kwarg (its arguments). Or the name of one.
	Kwargs  *wire.Map `arg:"**" read:"-"` // Not looked at.
}

// saltParallelRunners runs runners of the master at the same time: for orchestrations.
func saltParallelRunners(ctx context.Context, c *states.Call, a saltParallelArgs) (*states.Plan, error) {
	runners, ok := a.Runners.(*wire.Map)
	if name, isText := a.Runners.(string); isText {
		runners, ok = wire.NewMap(name, nil), true
	}
	if !ok {
		return nil, module.Failf("The runners parameter must be a string or dict.")
	}
	if c.Test {
		return states.Decided(nil, nil, "Runner functions would be executed: "+strings.Join(mapKeys(runners), ", ")), nil
	}
	p := &states.Plan{}
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		ids := mapKeys(runners)
		outs, errs := make([]any, len(ids)), make([]error, len(ids))
		var wg sync.WaitGroup
		for i, id := range ids {
			conf := repacked(get(runners, id))
			name := id
			if n := conf.Text("name"); n != "" {
				name = n
			}
			kw := repacked(get(conf, "kwarg")).Clone()
			kw.Set("full_return", true)
			wg.Go(func() { outs[i], errs[i] = c.Call.Call(ctx, "saltutil.runner", args(name), kw) })
		}
		wg.Wait()
		all := wire.NewMap()
		var failed []string
		for i, id := range ids {
			if errs[i] != nil {
				return module.Failf("One of the runners raised an exception: %w", errs[i])
			}
			out, _ := outs[i].(*wire.Map)
			ret := get(out, "return")
			all.Set(id, ret)
			m, _ := ret.(*wire.Map)
			if s, ok := out.Get("success"); ok && !module.Truth(s) || m.Int("retcode") != 0 || m.Int("exit_code") != 0 {
				failed = append(failed, id)
			}
		}
		r.SetChanges(wire.NewMap("ret", all))
		r.Result, r.Comment = true, "All runner functions executed successfully."
		if len(failed) > 0 {
			r.Result, r.Comment = false, "Runners "+strings.Join(failed, ", ")+" failed."
			if len(failed) == 1 {
				r.Comment = "Runner " + failed[0] + " failed."
			}
		}
		return nil
	})
	return p, nil
}

// repacked makes a map of a list of maps.
func repacked(v any) *wire.Map {
	if m, ok := v.(*wire.Map); ok {
		return m
	}
	out := wire.NewMap()
	list, _ := v.([]any)
	for _, e := range list {
		if m, ok := e.(*wire.Map); ok {
			for k, v := range m.Strings() {
				out.Set(k, v)
			}
		}
	}
	return out
}

type saltWaitArgs struct {
	Name    string  // Tag of the events, with the wildcards of a shell: salt/minion/*/start.
	IDList  []any   `arg:"id_list"`               // What they have to tell of: ids of minions.
	EventID string  `arg:"event_id" default:"id"` // The key in an event's data that holds it.
	Timeout float64 `default:"300"`               // How many seconds to wait for all of them.
	Node    string  `default:"master"`            // Whose events: master or minion.
}

// saltWaitForEvent waits until events have told of each entry of a list: of minions that
// start, say. What was fired before it began to wait does not count.
func saltWaitForEvent(_ context.Context, c *states.Call, a saltWaitArgs) (*states.Plan, error) {
	p := &states.Plan{Would: fmt.Sprintf("Orchestration would wait for event '%s'", a.Name)}
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		began := time.Now()
		v, err := c.Call.Call(ctx, "saltutil.wait_for_event", args(a.Name, a.IDList), wire.NewMap("event_id", a.EventID, "timeout", a.Timeout, "node", a.Node))
		if err != nil {
			return err
		}
		m, _ := v.(*wire.Map)
		if seen := m.List("seen"); len(seen) > 0 {
			r.Change("minions_seen", seen)
		}
		if !m.Bool("all") {
			return module.Failf("Timeout value reached.")
		}
		r.Comment = fmt.Sprintf("All events seen in %s seconds.", pytext.Str(time.Since(began).Seconds()))
		return nil
	})
	return p, nil
}
