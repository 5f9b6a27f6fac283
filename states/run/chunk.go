package run

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/target"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

// runtimeKeys are those of a chunk that are for the runner, not for the function.
var runtimeKeys = []string{"fun", "state", "check_cmd", "cmd_opts_exclude", "failhard", "onlyif", "unless", "creates", "retry", "order",
	"parallel", "prereq", "prereq_in", "prerequired", "reload_modules", "reload_grains", "reload_pillar", "runas", "runas_password",
	"fire_event", "saltenv", "umask", "use", "use_in", "aggregate", "provider", "force_reload_modules"}

// internal tells whether a key of a chunk is not an argument of its function, unless
// that names it.
func internal(key string) bool {
	return strings.HasPrefix(key, "__") || isRequisite(key) || slices.Contains(runtimeKeys, key)
}

// stateCall is what the function of a chunk may touch.
func (r *Runner) stateCall(low, running *wire.Map, chunks []*wire.Map, found reqs) *states.Call {
	call := *r.call
	call.Runas, _ = get(low, "runas").(string)
	c := &states.Call{Call: &call, Low: low, SLS: low.Text("__sls__"), ID: low.Text("__id__"), Env: "base",
		Running: running, Chunks: chunks, Required: found, Shared: &r.shared, Umask: -1}
	c.Test = r.opt.Test || truth(low, "__prereq__")
	if r.opt.Test {
		call.Host = call.Host.Drafting(&r.drafts.Files)
		if !truth(low, "__prereq__") {
			c.Drafts = &r.drafts
		}
	}
	if r.foreseen != nil {
		c.Foreseen = r.foreseen(r.tag(low))
	}
	if env := get(low, "__env__"); env != nil {
		c.Env = pytext.Str(env)
	}
	if env := get(low, "saltenv"); env != nil && !r.call.Opts.Bool("lock_saltenv") {
		c.Env = pytext.Str(env)
	}
	if mask, ok := get(low, "__umask__").(int64); ok {
		c.Umask = int(mask)
	}
	return c
}

// state runs one chunk, again where its retry says so, and returns its result.
func (r *Runner) state(ctx context.Context, low, running *wire.Map, chunks []*wire.Map, found reqs) *wire.Map {
	return r.attempt(ctx, low, running, chunks, found, 1)
}

func (r *Runner) attempt(ctx context.Context, low, running *wire.Map, chunks []*wire.Map, found reqs, try int) *wire.Map {
	start := r.opt.Now()
	r.log.Debug("running state", "state", low.Text("state")+"."+low.Text("fun"), "name", low.Text("name"), "sls", low.Text("__sls__"))
	if wrong := r.verify(low); len(wrong) > 0 {
		r.note(low, "it cannot run: %s", strings.TrimSpace(strings.Join(wrong, "\n")))
		return wire.NewMap("result", false, "name", get(low, "name"), "changes", wire.NewMap(),
			"comment", strings.Join(wrong, "\n")+"\n", "__run_num__", r.next())
	}
	c := r.stateCall(low, running, chunks, found)
	pre := truth(low, "__prereq__")
	parallel := truth(low, "parallel") && !pre && !r.opt.Mock
	var res *wire.Map
	if decided, err := r.before(ctx, c); decided != nil || err != nil || !parallel {
		res = r.carryOut(ctx, c, decided, err)
	} else {
		res = r.parallel(ctx, c, running)
	}
	comment := lines(res)
	if pre {
		low.Set("__prereq__", false)
		return res
	}
	res.Set("__sls__", get(low, "__sls__"))
	res.Set("__run_num__", r.next())
	r.refresh(ctx, low, res)
	res.Set("start_time", clock(start))
	res.Set("duration", millis(r.opt.Now().Sub(start)))
	res.Set("__id__", get(low, "__id__"))
	if !low.Has("retry") || parallel {
		return res
	}
	again := retryOf(get(low, "retry"))
	if r.opt.Test {
		res.Set("comment", comment+"  "+again.promise())
		return res
	}
	if result, ok := get(res, "result").(bool); ok && result == again.until || again.attempts <= try || ctx.Err() != nil {
		return res
	}
	wait := again.wait()
	r.log.Info("the state is run again", "id", low.Text("__id__"), "in", wait, "attempt", try+1)
	r.opt.Sleep(ctx, wait)
	if ctx.Err() != nil {
		return res
	}
	next := r.attempt(ctx, low, running, chunks, found, try+1)
	next.Set("comment", fmt.Sprintf("Attempt %d: Returned a result of \"%s\", with the following comment: \"%s\"\n%s",
		try, pytext.Str(get(res, "result")), comment, next.Text("comment")))
	next.Set("duration", number(next, "duration")+number(res, "duration")+float64(wait.Milliseconds()))
	if try == 1 {
		next.Set("start_time", res.Text("start_time"))
	}
	return next
}

func number(m *wire.Map, key string) float64 {
	f, _ := get(m, key).(float64)
	return f
}

// retry is how often a state is tried, and how long between.
type retry struct {
	until           bool
	attempts        int
	interval, splay int // seconds
}

// retryOf reads a chunk's retry: True, False or a map; what it does not say, or says
// wrongly, is Salt's default.
func retryOf(v any) retry {
	d := retry{until: true, attempts: 2, interval: 30}
	switch v := v.(type) {
	case bool:
		if !v {
			d.attempts = 0
		}
	case *wire.Map:
		if b, ok := get(v, "until").(bool); ok {
			d.until = b
		}
		for key, to := range map[string]*int{"attempts": &d.attempts, "interval": &d.interval, "splay": &d.splay} {
			switch n := get(v, key).(type) {
			case int64:
				*to = int(n)
			case bool: // a number to Python
				*to = map[bool]int{true: 1}[n]
			}
		}
	}
	return d
}

func (d retry) wait() time.Duration {
	n := d.interval
	if d.splay > 0 {
		n += rand.IntN(d.splay + 1)
	}
	return time.Duration(n) * time.Second
}

// promise is what a dry run says of the retries.
func (d retry) promise() string {
	return fmt.Sprintf("The state would be retried every %d seconds (with a splay of up to %d seconds) a maximum of %d times or until a result of %s is returned",
		d.interval, d.splay, d.attempts, pytext.Str(d.until))
}

// parallel starts a chunk beside the others and returns what stands for its result
// until it is awaited.
func (r *Runner) parallel(ctx context.Context, c *states.Call, running *wire.Map) *wire.Map {
	tag := states.Tag(c.Low)
	own := *c
	own.Low = c.Low.Clone()
	own.Running = wire.NewMap()
	for k, v := range running.All() {
		if m, ok := v.(*wire.Map); ok {
			v = m.Clone()
		}
		own.Running.SetAny(k, v)
	}
	r.reg.Prepare(&own) // the run goes on to change the chunks
	p := &proc{done: make(chan struct{})}
	if sfun := c.Low.Text("sfun"); sfun != "" && c.Low.Text("fun") == "mod_watch" {
		// The result goes by the chunk that watches. What a listener runs has a tag of its own.
		watched := c.Low.Clone()
		watched.Set("fun", sfun)
		if own := r.procs[states.Tag(watched)]; own != nil {
			tag, p.before = states.Tag(watched), own
		}
	}
	r.procs[tag] = p
	go func() {
		defer close(p.done)
		start := r.opt.Now()
		p.result = r.carryOut(ctx, &own, nil, nil)
		lines(p.result)
		p.result.Set("start_time", clock(start))
		p.result.Set("__parallel__", true)
		if own.Low.Has("retry") {
			r.retryParallel(ctx, &own, p)
		}
		p.result.Set("duration", millis(r.opt.Now().Sub(start)))
	}()
	return wire.NewMap("name", get(c.Low, "name"), "result", nil, "changes", wire.NewMap(), "comment", "Started in a separate process")
}

func (r *Runner) retryParallel(ctx context.Context, c *states.Call, p *proc) {
	again := retryOf(get(c.Low, "retry"))
	if c.Test {
		p.result.Set("comment", p.result.Text("comment")+"  "+again.promise())
		return
	}
	start := p.result.Text("start_time")
	for try := 1; try <= again.attempts && ctx.Err() == nil; try++ {
		if result, ok := get(p.result, "result").(bool); ok && result == again.until {
			return
		}
		r.opt.Sleep(ctx, again.wait())
		next := r.carryOut(ctx, c, nil, nil)
		lines(next)
		comment := ""
		if text := next.Text("comment"); text != "" {
			comment = fmt.Sprintf(`Attempt %d: Returned a result of "%s", with the following comment: "%s"`, try, pytext.Str(get(next, "result")), text)
		}
		next.Set("comment", p.result.Text("comment")+"\n"+comment)
		next.Set("start_time", start)
		p.result = next
	}
}

// before looks at a chunk's conditions, also of one that will run beside others: at its
// turn, not when something else may have changed already. The result is nil where the
// function is to run.
func (r *Runner) before(ctx context.Context, c *states.Call) (*wire.Map, error) {
	res, err := r.conditions(ctx, c)
	switch {
	case err != nil || res != nil:
	case r.opt.Mock:
		if err := r.fits(c.Low); err != nil {
			return nil, err
		}
		res = wire.NewMap("name", get(c.Low, "name"), "comment", "Not called, mocked", "changes", wire.NewMap(), "result", true)
	default:
		res = r.global(ctx, c)
	}
	return res, err
}

// carryOut runs a chunk's function, unless its conditions have decided (res) or failed
// (err) already, and what looks at the result.
func (r *Runner) carryOut(ctx context.Context, c *states.Call, res *wire.Map, err error) *wire.Map {
	low := c.Low
	fun := low.Text("state") + "." + low.Text("fun")
	if err == nil && res == nil {
		res, err = r.function(ctx, c, fun)
	}
	if err == nil && low.Has("check_cmd") && !slices.Contains(r.reg.Hooks(low.Text("state")).CheckCmd, low.Text("fun")) {
		err = r.checkCmd(ctx, c, res)
	}
	if err != nil {
		var p *module.Panic
		comment := err.Error()
		if errors.As(err, &p) {
			r.log.Error("state panicked", "state", fun, "panic", fmt.Sprint(p.Value), "stack", string(p.Stack))
			comment = "An exception occurred in this state: " + comment
		}
		res = wire.NewMap("name", get(low, "name"), "changes", wire.NewMap(), "result", false, "comment", comment)
	}
	if v := get(res, "result"); v != nil {
		res.Set("result", module.Truth(v))
	}
	r.explainResult(low, res)
	return res
}

// function runs the function with the chunk's arguments.
func (r *Runner) function(ctx context.Context, c *states.Call, fun string) (*wire.Map, error) {
	spec := r.reg.Lookup(fun).Spec()
	if err := r.fits(c.Low); err != nil {
		return nil, err
	}
	kwargs := wire.NewMap()
	var warnings []string
	for k, v := range c.Low.Strings() {
		switch {
		case slices.Contains(spec.Args, k):
		case internal(k):
			continue
		default: // a mistyped requisite would not be missed by a function that takes any argument
			if near := misspelt(k); near != "" {
				warnings = append(warnings, fmt.Sprintf("'%s' is no argument of %s and no requisite. Did you mean '%s'?", k, fun, near))
			} else if near := spec.Meant(k); near != "" {
				warnings = append(warnings, fmt.Sprintf("'%s' is no argument of %s: it is not looked at. Did you mean '%s'?", k, fun, near))
			}
		}
		v, err := r.slots(ctx, c, v)
		if err != nil {
			return nil, err
		}
		kwargs.Set(k, v)
	}
	res, err := r.reg.Run(ctx, c, fun, kwargs)
	if err == nil && len(warnings) > 0 {
		all := res.List("warnings")
		for _, w := range warnings {
			all = append(all, w)
		}
		res.Set("warnings", all)
	}
	return res, err
}

// fits says which arguments of a chunk its function does not have.
func (r *Runner) fits(low *wire.Map) error {
	fun := low.Text("state") + "." + low.Text("fun")
	spec := r.reg.Lookup(fun).Spec()
	if spec.Kwargs {
		return nil
	}
	var wrong []string
	for k := range low.Strings() {
		if !internal(k) && !slices.Contains(spec.Args, k) {
			wrong = append(wrong, k)
		}
	}
	if len(wrong) > 0 {
		return errors.New(invalidKeywords(wrong, fun, spec.Args))
	}
	return nil
}

// misspelt is the requisite that an argument was meant to be: with two letters swapped, one
// left out or one too many. One letter in the place of another makes other words: match
// of an iptables rule is no watch.
func misspelt(name string) string {
	for _, w := range requisiteWords {
		if len(name) < 5 || name == w || strings.HasPrefix(name, w+"_") {
			continue
		}
		long, short := name, w
		if len(long) < len(short) {
			long, short = short, long
		}
		i := 0
		for i < len(short) && long[i] == short[i] {
			i++
		}
		switch {
		case len(long) == len(short)+1 && long[i+1:] == short[i:]:
			return w
		case len(long) == len(short) && i+1 < len(long) && long[i] == short[i+1] && long[i+1] == short[i] && long[i+2:] == short[i+2:]:
			return w
		}
	}
	return ""
}

// requisiteWords are what a mistyped argument may have meant, too.
var requisiteWords = []string{"require", "require_in", "require_any", "watch", "watch_in", "watch_any", "onchanges", "onchanges_in", "onchanges_any",
	"onfail", "onfail_in", "prereq", "prereq_in", "listen", "listen_in", "onlyif", "unless", "check_cmd", "failhard"}

// invalidKeywords is Salt's sentence, with the argument that was probably meant.
func invalidKeywords(wrong []string, fun string, args []string) string {
	quoted := make([]string, len(wrong))
	hint := ""
	for i, k := range wrong {
		quoted[i] = "'" + k + "'"
		near := module.Nearest(k, args)
		if near == "" {
			near = module.Nearest(k, requisiteWords)
		}
		if near != "" && hint == "" {
			hint = fmt.Sprintf(". Did you mean '%s'?", near)
		}
	}
	if n := len(quoted); n > 1 {
		return fmt.Sprintf("%s and %s are invalid keyword arguments for '%s'%s", strings.Join(quoted[:n-1], ", "), quoted[n-1], fun, hint)
	}
	return fmt.Sprintf("%s is an invalid keyword argument for '%s'%s", quoted[0], fun, hint)
}

// verify says what is wrong with a chunk before it is run.
func (r *Runner) verify(low *wire.Map) []string {
	var wrong []string
	for _, key := range []string{"state", "fun", "name"} {
		if !low.Has(key) {
			wrong = append(wrong, fmt.Sprintf("Missing %q data", key))
		}
	}
	in := ""
	if low.Has("__sls__") {
		in = "in SLS '" + pytext.Str(get(low, "__sls__")) + "' "
	}
	if name := get(low, "name"); module.Truth(name) {
		if _, ok := name.(string); !ok {
			wrong = append(wrong, fmt.Sprintf("ID '%s' %sis not formed as a string, but is a %s", pytext.Str(name), in, pytext.TypeName(name)))
		}
	}
	if mask, ok := low.Get("umask"); ok {
		low.Delete("umask")
		if n, err := strconv.ParseInt(strings.TrimPrefix(pytext.Str(mask), "0o"), 8, 32); err == nil {
			low.Set("__umask__", n)
		} else {
			wrong = append(wrong, "Invalid umask: "+pytext.Str(mask))
		}
	}
	if len(wrong) > 0 {
		return wrong
	}
	full := low.Text("state") + "." + low.Text("fun")
	f := r.reg.Lookup(full)
	switch {
	case f == nil && low.Has("__sls__"):
		wrong = append(wrong, fmt.Sprintf("State '%s' was not found in SLS '%s'", full, pytext.Str(get(low, "__sls__"))), "Reason: "+r.reg.Missing(full))
	case f == nil:
		wrong = append(wrong, fmt.Sprintf("Specified state '%s' was not found", full))
	default:
		spec := f.Spec()
		for _, a := range spec.Args[:len(spec.Args)-len(spec.Defaults)] {
			if !low.Has(a) {
				wrong = append(wrong, fmt.Sprintf("Missing parameter %s for state %s", a, full))
			}
		}
	}
	return append(wrong, r.recursion(low)...)
}

// recursion finds requisites by which a chunk requires itself.
func (r *Runner) recursion(low *wire.Map) (wrong []string) {
	r.watchless(low)
	kind := "require"
	if low.Has("watch") {
		kind = "watch"
	}
	for _, entry := range entries(low, kind) {
		e, ok := entry.(*wire.Map)
		if !ok {
			continue
		}
		for mod, v := range e.Strings() {
			pattern, ok := v.(string)
			if ok && mod == low.Text("state") && (target.Fnmatch(pattern, low.Text("name")) || target.Fnmatch(pattern, low.Text("__id__"))) {
				wrong = append(wrong, fmt.Sprintf("Recursive require detected in SLS %s for require %s in ID %s",
					pytext.Str(get(low, "__sls__")), pytext.Repr(e), low.Text("__id__")))
			}
			break
		}
	}
	return wrong
}

// refresh reads anew what a state says it has changed.
func (r *Runner) refresh(ctx context.Context, low, res *wire.Map) {
	if r.opt.Refresh == nil || r.opt.Test {
		return
	}
	for _, what := range []string{"grains", "pillar", "modules"} {
		if !truth(low, "reload_"+what) || what == "modules" && !hasChanges(res) {
			continue
		}
		if err := r.opt.Refresh(ctx, what); err != nil {
			r.log.Error("cannot reload", "what", what, "id", low.Text("__id__"), "error", err)
		}
	}
}
