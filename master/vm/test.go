package vm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// A TestCall is a call of vm.test.
type TestCall struct {
	Profile, User string
	Fun           string
	Args          []any
	Kwargs        *wire.Map
	Keep          bool // the machine stays where the states failed
}

// A TestResult is what became of it.
type TestResult struct {
	Name   string // of the machine
	Runs   []Run
	Failed []string // why the test has failed; none: it has passed
	Kept   bool
}

// A Run is one of the two runs of the states.
type Run struct {
	Which  string // "first run", "second run"
	Return any    // in the second, states that changed something have failed
}

// applies are the functions that apply states.
var applies = []string{"state.apply", "state.highstate", "state.high", "state.single", "state.sls", "state.sls_id", "state.template", "state.template_str", "state.top"}

// Test boots a throw-away machine, applies states, applies them again, requires that the
// second run changes nothing, and ends the machine, whatever happens.
func (m *Manager) Test(ctx context.Context, c TestCall, progress func(string)) (res *TestResult, err error) {
	if !slices.Contains(applies, c.Fun) {
		text := fmt.Sprintf("%s applies no states", c.Fun)
		if near := module.Nearest(c.Fun, applies); near != "" {
			text += fmt.Sprintf("; is it %s?", near)
		}
		return nil, fmt.Errorf("%s (vm.test runs %s)", text, strings.Join(applies, ", "))
	}
	if v, ok := c.Kwargs.Get("test"); ok && module.Truth(v) {
		return nil, fmt.Errorf("with test=%s nothing is applied, so that there is nothing to test", pytext.Str(v))
	}
	p, err := m.profile(c.Profile)
	if err != nil {
		return nil, err
	}
	if p.Ready != readyMinion {
		return nil, fmt.Errorf("profile %s: vm.test needs machines that become minions: ready: minion, not %s", p.Name, p.Ready)
	}
	kw := wire.NewMap("__kwarg__", true)
	for k, v := range c.Kwargs.Strings() {
		kw.Set(k, v)
	}
	if !kw.Has("queue") {
		kw.Set("queue", true) // the machine may be at its startup_states
	}
	args := append(slices.Clone(c.Args), kw)

	r, release, err := m.create(ctx, c.Profile, "", c.User, true, progress)
	if err != nil {
		return nil, err
	}
	defer release()
	res = &TestResult{Name: r.Name}
	defer func() {
		if c.Keep && len(res.Failed) > 0 && ctx.Err() == nil {
			r.Throwaway = false
			if e := m.records.put(r); e != nil {
				err = errors.Join(err, e)
			}
			res.Kept = true
			return
		}
		if e := m.end(ctx, r, progress); e != nil {
			err = errors.Join(err, fmt.Errorf("%w: it is tried again", e))
		}
	}()
	for _, which := range []string{"first run", "second run"} {
		begun := time.Now()
		progress(fmt.Sprintf("%s: %s of %s", r.Name, which, c.Fun))
		load, err := m.cfg.Master.Run(ctx, wire.MinionID(r.Name), c.Fun, args, c.User)
		if err != nil {
			return res, fmt.Errorf("profile %s: %s of %s on %s: %w", p.Name, which, c.Fun, r.Name, err)
		}
		ret, _ := load.Get("return")
		var why []string
		ret, why = judge(ret, load.Int("retcode"), which == "second run")
		res.Runs = append(res.Runs, Run{which, ret})
		for _, w := range why {
			res.Failed = append(res.Failed, which+": "+w)
		}
		progress(fmt.Sprintf("%s: %s has ended after %s: %s", r.Name, which, time.Since(begun).Round(time.Second/10), summary(why)))
		if len(why) > 0 {
			break
		}
	}
	return res, nil
}

func summary(why []string) string {
	switch len(why) {
	case 0:
		return "all is well"
	case 1:
		return why[0]
	}
	return fmt.Sprintf("%d problems", len(why))
}

// judge says what is wrong in the results of states. In the second run one that changed
// something is made a failed one.
func judge(v any, retcode int64, second bool) (any, []string) {
	results, ok := v.(*wire.Map)
	var why []string
	if !ok || results.Len() == 0 {
		text := pytext.Str(v)
		if list, ok := v.([]any); ok {
			var lines []string
			for _, e := range list {
				lines = append(lines, pytext.Str(e))
			}
			text = strings.Join(lines, "; ")
		}
		return v, []string{"there are no results of states: " + text}
	}
	out := wire.NewMap()
	for tag, e := range results.Strings() {
		st, ok := e.(*wire.Map)
		if !ok || !st.Has("result") {
			return v, []string{"there are no results of states: " + pytext.Str(v)}
		}
		result, _ := st.Get("result")
		changes, _ := st.Get("changes")
		label := tag
		if w := strings.Split(tag, "_|-"); len(w) == 4 {
			label = w[0] + "." + w[3] + " " + w[1]
		}
		switch {
		case result == false:
			why = append(why, label+" has failed: "+strings.TrimSpace(pytext.Str(st.Text("comment"))))
		case second && module.Truth(changes):
			why = append(why, label+" changes something every time")
			st = st.Clone()
			st.Set("result", false)
			st.Set("comment", strings.TrimSpace("Not idempotent: the second run changed this, too. "+st.Text("comment")))
		case result == nil:
			why = append(why, label+" would change something")
		}
		out.Set(tag, st)
	}
	if len(why) == 0 && retcode != 0 {
		why = append(why, fmt.Sprintf("the minion's exit code is %d", retcode))
	}
	return out, why
}
