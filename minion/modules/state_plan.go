package modules

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/durable"
	"github.com/gosalt/gosalt/internal/fileclient"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

// A saved plan is a map:
//
//	gosalt_plan   2
//	id, made      the minion, and when ("2026-11-27T04:05:06Z")
//	fun, arg, kwarg   the call whose plan it is: state.apply [web] {saltenv: dev}
//	files         {environment: {path: hash of the file, or "" where it was looked for in vain}}
//	lists         {environment: {prefix: hash of the names below}}
//	pillar        {key: mark}
//	low           {tag: {argument: mark}} of every state, in the order of the run
//	results       {tag: what test=True told}
//	marks         {tag: mark of the result and changes}
//	machine       {"the file /etc/motd": mark, "the package nginx": versions} where something would change
//	seal          a mark of all but results
//
// Wherever in it there was a secret of the pillar, as in the name of a state, there are stars.
//
// A mark is a HMAC under a key that never leaves the minion: it shows that something is
// the same, and nothing of what it is, for there may be secrets of the pillar in it.
const planVersion = 2

func init() {
	show := module.Outputter("highstate")
	register("state.plan", statePlan, show)
	register("state.apply_plan", stateApplyPlan, show)
}

// plannable are the functions whose runs can be planned.
var plannable = []string{"state.apply", "state.sls", "state.highstate", "state.top", "state.sls_id", "state.single", "state.high", "state.template", "state.template_str"}

type statePlanArgs struct {
	Fun    string    // The function to plan: state.apply.
	Args   []any     `arg:"*"`  // Its arguments.
	Kwargs *wire.Map `arg:"**"` // Its keywords.
}

// statePlan tells what a run of states would do, and returns with it a plan that
// state.apply_plan carries out: exactly that, or nothing if anything it was made of has
// changed since. The command line's --plan FILE keeps it in a file.
//
// CLI Example:
//
//	salt '*' state.plan state.apply web
func statePlan(ctx context.Context, c *module.Call, a statePlanArgs) (any, error) {
	p, answer, err := newPlanner(ctx, c, a.Fun, a.Args, a.Kwargs)
	if err != nil || answer != nil {
		return answer, err
	}
	plan, answer, err := p.make(ctx)
	if err != nil || plan == nil {
		return answer, err
	}
	answer.(*wire.Map).Set("plan", plan)
	return answer, nil
}

type stateApplyPlanArgs struct {
	// The plan, or the path of its file on the minion, or its salt:// address.
	Plan   any
	Kwargs *wire.Map `arg:"**"` // queue, concurrent, and report of what to tell besides
}

// stateApplyPlan carries out a plan that state.plan or --plan has made: exactly that. It
// does nothing, and says what changed, where the state files, the pillar, the machine or
// anything else it was made of is not the same any longer.
//
// CLI Example:
//
//	salt '*' state.apply_plan /root/web.plan
func stateApplyPlan(ctx context.Context, c *module.Call, a stateApplyPlanArgs) (any, error) {
	plan, err := readPlan(ctx, c, a.Plan)
	if err != nil {
		return nil, err
	}
	kwargs := plan.Map("kwarg").Clone()
	for k, v := range a.Kwargs.Strings() {
		switch {
		case slices.Contains([]string{"queue", "concurrent", "report"}, k):
			kwargs.Set(k, v)
		case !strings.HasPrefix(k, "__"): // with test=True nothing is to be done, and pillar= would not count
			return nil, module.Invalidf("state.apply_plan has no argument %s: it does what the plan was made for, with the arguments of %s then. Make another plan with %s=", k, plan.Text("fun"), k)
		}
	}
	p, answer, err := newPlanner(ctx, c, plan.Text("fun"), plan.List("arg"), kwargs)
	if err != nil || answer != nil {
		return answer, err
	}
	if err := p.fits(plan); err != nil {
		return nil, err
	}
	now, answer, err := p.make(ctx)
	if err != nil {
		return nil, err
	}
	if now == nil {
		return answer, nil // the states do not compile any longer
	}
	if diff := planDiff(plan, now); len(diff) > 0 {
		return nil, module.Failf("nothing was done: the plan of %s does not hold any longer. Since it was made:\n- %s\nMake a new plan to see what would be done now: %s with --plan FILE",
			plan.Text("made"), strings.Join(diff, "\n- "), plan.Text("fun"))
	}
	if tag := editedResult(plan.Map("results"), now.Map("results")); tag != "" {
		return nil, module.Failf("nothing was done: the plan was changed after it was made: what it shows of %s is not what it was made of. Make it anew", tagText(tag))
	}
	return p.apply(ctx)
}

// readPlan finds this minion's plan in what state.apply_plan is given.
func readPlan(ctx context.Context, c *module.Call, v any) (*wire.Map, error) {
	if name, ok := v.(string); ok {
		path := name
		if c.Files != nil {
			var err error
			if path, err = c.Files.Fetch(ctx, name, fileclient.FetchOptions{Env: "base"}); err != nil {
				return nil, module.Failf("the plan %s: %w", name, err)
			}
		}
		b, err := os.ReadFile(c.Host.Path(path))
		if err != nil {
			return nil, module.Failf("the plan cannot be read: %w", err)
		}
		if v, err = pytext.ParseJSON(string(b)); err != nil {
			return nil, module.Failf("%s is not a plan: %w", name, err)
		}
	}
	m, ok := v.(*wire.Map)
	if !ok || m.Int("gosalt_plan") == 0 {
		return nil, module.Invalidf("a plan is expected, as --plan FILE writes it, or the path of one, not %.100s", pytext.Repr(v))
	}
	id := c.Opts.Text("id")
	if all := m.Map("minions"); all != nil {
		if m = all.Map(id); m == nil {
			return nil, module.Failf("the file has no plan for %s: it was not among the minions when the plan was made", id)
		}
	}
	if n := m.Int("gosalt_plan"); n != planVersion {
		return nil, module.Failf("the plan is of version %d, and this minion knows version %d: make it anew", n, planVersion)
	}
	if m.Text("id") != id {
		return nil, module.Failf("the plan is for %s, and this is %s", m.Text("id"), id)
	}
	if !slices.Contains(plannable, m.Text("fun")) {
		return nil, module.Failf("the plan is of %s, which runs no states", m.Text("fun"))
	}
	return m, nil
}

// planner makes plans of one call, and carries them out.
type planner struct {
	c      *module.Call
	fun    string
	args   []any
	kwargs *wire.Map
	pillar *wire.Map
	key    []byte
	clean  map[string]bool // tags of states that have nothing to do, as the plan last made says
}

// newPlanner has the pillar of the call compiled. A second value that is not nil is the
// answer: something speaks against running states now.
func newPlanner(ctx context.Context, c *module.Call, fun string, args []any, kwargs *wire.Map) (*planner, any, error) {
	if !slices.Contains(plannable, fun) {
		return nil, nil, module.Invalidf("a function that runs states is expected (%s), not %s", strings.Join(plannable, ", "), fun)
	}
	clean := wire.NewMap()
	for k, v := range kwargs.Strings() {
		if k != "test" && !strings.HasPrefix(k, "__") {
			clean.Set(k, v)
		}
	}
	o := &stateOptions{}
	for k, to := range map[string]*any{"queue": &o.Queue, "saltenv": &o.Saltenv, "pillarenv": &o.Pillarenv, "pillar": &o.Pillar, "pillar_enc": &o.PillarEnc} {
		*to, _ = clean.Get(k)
	}
	o.Concurrent, o.Force = clean.Bool("concurrent"), clean.Bool("force")
	r, answer, err := newStateRun(ctx, c, o)
	if err != nil || answer != nil {
		return nil, answer, err
	}
	key, err := planKey(c)
	if err != nil {
		return nil, nil, err
	}
	p := &planner{fun: fun, args: args, kwargs: clean, pillar: r.pillar, key: key}
	p.c = p.with(c, r)
	return p, nil, nil
}

// with is the call of a planned run: with the pillar that was compiled for it, until a
// state has it read anew.
func (p *planner) with(c *module.Call, r *stateRun) *module.Call {
	next := *c
	fresh := false
	next.Pillar = func() *wire.Map {
		if fresh {
			return c.Pillar()
		}
		return r.pillar
	}
	if refresh := c.Refresh; refresh != nil {
		next.Refresh = func(ctx context.Context, what string) error {
			fresh = fresh || what == "pillar"
			return refresh(ctx, what)
		}
	}
	return &next
}

// make runs the call with test=True. The plan is nil where there were no states to run.
func (p *planner) make(ctx context.Context) (plan *wire.Map, answer any, err error) {
	var rec planRecord
	kw := p.kwargs.Clone()
	kw.Set("test", true)
	wants := []any{"plan"}
	for _, w := range splitInput(field(p.kwargs, "report")) {
		wants = append(wants, w)
	}
	kw.Set("report", wants)
	v, err := p.c.Call(context.WithValue(ctx, planRecordKey{}, &rec), p.fun, p.args, kw)
	if err != nil {
		return nil, nil, err
	}
	m, ok := v.(*wire.Map)
	if !ok || m.Int("gosalt_report") == 0 {
		return nil, v, nil
	}
	p.c.SetRetcode(0)
	for _, res := range m.Map("results").Strings() {
		if one, ok := res.(*wire.Map); ok && field(one, "result") == false {
			p.c.SetRetcode(exitState)
		}
	}
	plan = wire.NewMap("gosalt_plan", int64(planVersion), "id", p.c.Opts.Text("id"), "made", time.Now().UTC().Format(time.RFC3339),
		"fun", p.fun, "arg", p.args, "kwarg", p.kwargs)
	if p.args == nil {
		plan.Set("arg", []any{})
	}
	if err := p.files(ctx, plan, rec.files); err != nil {
		return nil, nil, err
	}
	pillar := wire.NewMap()
	for k, v := range p.pillar.All() {
		pillar.Set(pytext.Str(k), p.mark(v))
	}
	plan.Set("pillar", pillar)
	low := wire.NewMap()
	for _, c := range rec.chunks {
		args := wire.NewMap()
		for k, v := range c.All() {
			args.Set(pytext.Str(k), p.mark(v))
		}
		low.Set(states.Tag(c), args)
	}
	plan.Set("low", low)
	p.clean = map[string]bool{}
	results, marks := wire.NewMap(), wire.NewMap()
	for tag, v := range m.Map("results").Strings() {
		res, ok := v.(*wire.Map)
		if !ok {
			continue
		}
		results.Set(tag, wire.NewMap("name", field(res, "name"), "result", field(res, "result"), "changes", field(res, "changes"), "comment", field(res, "comment")))
		p.clean[tag] = field(res, "result") == true && res.Map("changes").Len() == 0
		marks.Set(tag, p.mark([]any{field(res, "result"), field(res, "changes")}))
	}
	plan.Set("results", results)
	plan.Set("marks", marks)
	plan.Set("machine", p.machine(ctx, rec.chunks, results))
	if p.c.Masked != nil {
		for _, key := range []string{"arg", "kwarg"} {
			if v := field(plan, key); pytext.Repr(p.c.Masked(v)) != pytext.Repr(v) {
				return nil, nil, module.Failf("no plan is made, as there is a secret of the pillar in the arguments of %s, and a plan holds none", p.fun)
			}
		}
		plan, _ = p.c.Masked(plan).(*wire.Map)
	}
	plan = plan.Clone()
	plan.Set("seal", p.seal(plan))
	return plan, m, nil
}

// planRecord is what a planned run leaves for its plan.
type planRecord struct {
	chunks []*wire.Map
	files  *fileclient.Recorder
}

type (
	planRecordKey struct{}
	foreseenKey   struct{}
)

// files notes what of the file server the plan was made of.
func (p *planner) files(ctx context.Context, plan *wire.Map, rec *fileclient.Recorder) error {
	files, lists := wire.NewMap(), wire.NewMap()
	in := func(m *wire.Map, env string) *wire.Map {
		if !m.Has(env) {
			m.Set(env, wire.NewMap())
		}
		return m.Map(env)
	}
	if rec != nil {
		for _, f := range rec.Files() {
			info, err := rec.Client.Stat(ctx, f.Env, f.Path)
			if err != nil && !errors.Is(err, fileclient.ErrNotFound) {
				return fmt.Errorf("the plan's file %s: %w", fileclient.URL(f.Path), err)
			}
			in(files, f.Env).Set(f.Path, info.Hash)
		}
		for _, l := range rec.Lists() {
			if l.Path == "" {
				continue // the compiler looking for SLS files: what it found is in low
			}
			names, err := rec.Client.List(ctx, l.Env, l.Path)
			if err != nil {
				return fmt.Errorf("the plan's files below %s: %w", fileclient.URL(l.Path), err)
			}
			sum := sha256.Sum256([]byte(strings.Join(names, "\n")))
			in(lists, l.Env).Set(l.Path, hex.EncodeToString(sum[:16]))
		}
	}
	plan.Set("files", files)
	plan.Set("lists", lists)
	return nil
}

// apply runs the call for real. States of which the plan says that there is nothing to
// do do nothing.
func (p *planner) apply(ctx context.Context) (any, error) {
	foreseen := func(tag string) *states.Foreseen {
		clean, told := p.clean[tag]
		if !told {
			return nil
		}
		return &states.Foreseen{Clean: clean}
	}
	kw := p.kwargs.Clone()
	kw.Set("test", false)
	return p.c.Call(context.WithValue(ctx, foreseenKey{}, foreseen), p.fun, p.args, kw)
}

// mark is a HMAC of a value.
func (p *planner) mark(v any) string {
	h := hmac.New(sha256.New, p.key)
	h.Write([]byte(pytext.Repr(v)))
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// seal is a mark of what a plan holds to.
func (p *planner) seal(plan *wire.Map) string {
	m := plan.Clone()
	m.Delete("seal")
	m.Delete("results") // for people; marks hold for it
	return p.mark(m)
}

// fits says why a plan is none of this minion's.
func (p *planner) fits(plan *wire.Map) error {
	if p.seal(plan) != plan.Text("seal") {
		return module.Failf("the plan was changed after it was made, or made by another installation of this minion (the key for it is in %s): make it anew", planKeyFile(p.c))
	}
	// The results are not sealed, because secrets are hidden in them. They are compared
	// with those that the machine comes to now (editedResult).
	for tag, v := range plan.Map("results").Strings() {
		if _, ok := v.(*wire.Map); !ok || !plan.Map("marks").Has(tag) {
			return module.Failf("the plan was changed after it was made: results of %s", tag)
		}
	}
	return nil
}

func planKeyFile(c *module.Call) string { return filepath.Join(c.CacheDir, "state_plan.key") }

// planKey reads the minion's key for marks, and makes it the first time.
func planKey(c *module.Call) ([]byte, error) {
	name := planKeyFile(c)
	b, err := os.ReadFile(name)
	if err == nil && len(b) == 32 {
		return b, nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, module.Failf("the key of saved plans: %w", err)
	}
	b = make([]byte, 32)
	rand.Read(b)
	if err := os.MkdirAll(c.CacheDir, 0o755); err != nil {
		return nil, module.Failf("the key of saved plans: %w", err)
	}
	if err := durable.WriteFile(name, b, 0o600); err != nil {
		return nil, module.Failf("the key of saved plans: %w", err)
	}
	return b, nil
}

// planDiff says where two plans of one call differ, the causes first.
func planDiff(was, now *wire.Map) []string {
	var out []string
	byEnv := func(key, what string, word func(path string) string) {
		for env := range bothKeys(was.Map(key), now.Map(key)) {
			a, b := was.Map(key).Map(env), now.Map(key).Map(env)
			for path := range bothKeys(a, b) {
				switch x, y := a.Text(path), b.Text(path); {
				case x == y:
				case x == "" && !a.Has(path):
					out = append(out, fmt.Sprintf("%s of environment %s is asked for now", word(path), env))
				case y == "" && !b.Has(path):
					out = append(out, fmt.Sprintf("%s of environment %s is not asked for any longer", word(path), env))
				case x == "":
					out = append(out, fmt.Sprintf("%s of environment %s is there now", word(path), env))
				case y == "":
					out = append(out, fmt.Sprintf("%s of environment %s is gone", word(path), env))
				default:
					out = append(out, fmt.Sprintf("%s of environment %s %s", word(path), env, what))
				}
			}
		}
	}
	byEnv("files", "is another", func(p string) string { return "the file " + fileclient.URL(p) })
	byEnv("lists", "has other files", func(p string) string { return "the directory " + fileclient.URL(p) })
	each(was.Map("pillar"), now.Map("pillar"), func(k, how string) { out = append(out, fmt.Sprintf("the pillar's %s %s", k, how)) })
	each(was.Map("low"), now.Map("low"), func(tag, how string) {
		if how == isAnother {
			var args []string
			each(was.Map("low").Map(tag), now.Map("low").Map(tag), func(k, _ string) { args = append(args, k) })
			how = "has another " + strings.Join(args, ", ")
		}
		out = append(out, fmt.Sprintf("the state %s %s", tagText(tag), how))
	})
	each(was.Map("marks"), now.Map("marks"), func(tag, how string) {
		if how != isAnother {
			if !was.Map("low").Has(tag) && !now.Map("low").Has(tag) {
				out = append(out, fmt.Sprintf("the state %s %s", tagText(tag), how))
			}
			return
		}
		out = append(out, fmt.Sprintf("the machine: for %s the plan is: %s; now it would be: %s", tagText(tag), foretold(was, tag), foretold(now, tag)))
	})
	return append(out, machineDiff(was.Map("machine"), now.Map("machine"))...)
}

const isAnother = "is another"

// each names what is in one map only, or not the same in both.
func each(a, b *wire.Map, tell func(key, how string)) {
	for k := range bothKeys(a, b) {
		x, inA := a.Get(k)
		y, inB := b.Get(k)
		switch {
		case !inA:
			tell(k, "is new")
		case !inB:
			tell(k, "is gone")
		case pytext.Repr(x) != pytext.Repr(y):
			tell(k, isAnother)
		}
	}
}

// bothKeys has the keys of two maps, in the order of the first.
func bothKeys(a, b *wire.Map) func(func(string, any) bool) {
	return func(yield func(string, any) bool) {
		for k, v := range a.Strings() {
			if !yield(k, v) {
				return
			}
		}
		for k, v := range b.Strings() {
			if !a.Has(k) && !yield(k, v) {
				return
			}
		}
	}
}

// tagText is a tag for people: "file.managed /etc/motd".
func tagText(tag string) string {
	p := strings.Split(tag, "_|-")
	if len(p) != 4 {
		return tag
	}
	text := p[0] + "." + p[3] + " " + p[2]
	if p[1] != p[2] {
		text += " (" + p[1] + ")"
	}
	return text
}

// foretold is what a plan has for a state, in a line.
func foretold(plan *wire.Map, tag string) string {
	res := plan.Map("results").Map(tag)
	switch {
	case res == nil:
		return "nothing"
	case field(res, "result") == false:
		return "a failure (" + firstLine(pytext.Str(field(res, "comment"))) + ")"
	case res.Map("changes").Len() == 0 && field(res, "result") == true:
		return "nothing to do"
	case res.Map("changes").Len() == 0:
		return firstLine(pytext.Str(field(res, "comment")))
	}
	text := pytext.Repr(field(res, "changes"))
	if len(text) > 300 {
		text = text[:300] + "..."
	}
	return text
}

func field(m *wire.Map, key string) any {
	v, _ := m.Get(key)
	return v
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	return s
}
