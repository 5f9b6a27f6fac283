package modules

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

func init() {
	register("module.run", moduleRun)
	alias("module.mod_watch", "module.run")
	register("module.wait", moduleWait)
	alias("module.watch", "module.wait")
}

type moduleRunArgs struct {
	Name   any       `default:"None"` // Name of a function, in the older form.
	Kwargs *wire.Map `arg:"**"`       // Functions by their names, each with a list of its arguments; in the older form the arguments of the one function, with m_ in front of name, fun, names, state and saltenv. returner gives the results to a returner as well.
}

// moduleRun calls execution functions: test.ping and the like, each with its arguments,
// or, in the older form, the one that name is.
func moduleRun(ctx context.Context, c *states.Call, a moduleRunArgs) (*states.Plan, error) {
	keys, older := 0, false
	for k := range a.Kwargs.Strings() {
		if k == "__reqs__" || k == "sfun" {
			continue
		}
		keys++
		if !strings.Contains(k, ".") {
			older = true
		}
	}
	if keys == 0 && (a.Name != nil || a.Kwargs.Len() > 0) {
		older = true
	}
	if older {
		return moduleOne(ctx, c, pytext.Str(a.Name), a.Kwargs)
	}
	return moduleSeveral(ctx, c, a.Kwargs)
}

// moduleSeveral plans functions that stand with their arguments.
func moduleSeveral(ctx context.Context, c *states.Call, kwargs *wire.Map) (*states.Plan, error) {
	var keys []any
	var funs, missing, there []string
	for k := range kwargs.Strings() {
		keys = append(keys, k)
		if !strings.Contains(k, ".") {
			continue
		}
		funs = append(funs, k)
		if fun, _, _ := strings.Cut(k, ":"); c.Functions().Has(fun) {
			there = append(there, fun)
		} else {
			missing = append(missing, fun)
		}
	}
	if keys == nil {
		keys = []any{}
	}
	if kwargs.Has("sfun") && !kwargs.Has("__reqs__") {
		keys = append(keys, "__reqs__") // what Salt gives a function that watches
	}
	if len(funs) == 0 {
		return states.Decided(false, nil, "No function provided.").Set("name", keys), nil
	}
	would := ""
	if len(there) > 0 {
		would = fmt.Sprintf("Function%s %s to be executed.", plural(there), strings.Join(there, ", "))
	}
	if len(missing) > 0 {
		text := fmt.Sprintf("Unavailable function%s: %s.", plural(missing), strings.Join(missing, ", "))
		if c.Test {
			text = strings.TrimSpace(text + " " + would)
		}
		return states.Decided(false, nil, text).Set("name", keys), nil
	}
	if c.Test {
		var refused []string
		for _, key := range funs {
			if f, plain, kw, err := moduleArgs(c, key, get(kwargs, key)); err != nil {
				refused = append(refused, notCalled(key, err))
			} else if err := f.Check(plain, kw); err != nil {
				refused = append(refused, notCalled(key, err))
			}
		}
		if len(refused) > 0 {
			return states.Decided(false, nil, strings.Join(refused, ", ")).Set("name", keys), nil
		}
		return states.Decided(nil, nil, would).Set("name", keys), nil
	}
	p := &states.Plan{}
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		r.SetChanges(nil)
		var failed, done []string
		for _, key := range funs {
			v, err := moduleCall(ctx, c, key, get(kwargs, key), kwargs)
			var e *module.Error
			switch {
			case errors.As(err, &e) && e.Kind != module.Failed:
				failed = append(failed, notCalled(key, err))
			case err != nil:
				return err
			case moduleFine(v):
				text := pytext.Str(v)
				if m, ok := v.(*wire.Map); ok {
					text = "Success"
					if m.Has("comment") {
						text = pytext.Str(get(m, "comment"))
					}
				}
				done = append(done, key+": "+text)
				r.Change(key, v)
			default:
				text := fmt.Sprintf("'%s': False", key)
				if m, ok := v.(*wire.Map); ok {
					text = fmt.Sprintf("'%s' failed: (error message N/A)", key)
					if m.Has("comment") {
						text = fmt.Sprintf("'%s' failed: %s", key, pytext.Str(get(m, "comment")))
					}
				}
				failed = append(failed, text)
			}
		}
		r.Set("name", keys) // a function that failed leaves the state's own
		r.Comment = strings.Join(slices.Concat(failed, done), ", ")
		r.Result = len(failed) == 0
		return nil
	})
	return p, nil
}

// plural is how Salt writes that there are several: with "True".
func plural(l []string) string {
	if len(l) > 1 {
		return "True"
	}
	return ""
}

// notCalled is what is said of a function that does not take its arguments.
func notCalled(key string, err error) string { return fmt.Sprintf("'%s' failed: %v", key, err) }

// moduleArgs finds a function, and its arguments in a list in which maps are keywords.
func moduleArgs(c *states.Call, key string, given any) (f *module.Function, plain []any, kw *wire.Map, err error) {
	fun, _, _ := strings.Cut(key, ":")
	var list []any
	switch v := given.(type) {
	case nil:
	case []any:
		list = v
	default:
		list = []any{v}
	}
	f = c.Functions().Lookup(fun).For(c.Call)
	spec := f.Spec()
	required := spec.Args[:len(spec.Args)-len(spec.Defaults)]
	kw = wire.NewMap()
	for _, a := range list {
		m, ok := a.(*wire.Map)
		if !ok {
			plain = append(plain, a)
			continue
		}
		for k, v := range m.Strings() {
			kw.Set(k, v)
		}
	}
	var missing []string
	for i := len(plain); i < len(required); i++ {
		if !kw.Has(required[i]) {
			missing = append(missing, required[i])
		}
	}
	if len(missing) > 0 {
		return nil, nil, nil, module.Invalidf("Missing arguments: %s", strings.Join(missing, ", "))
	}
	return f, plain, kw, nil
}

// moduleCall calls a function with the arguments that moduleArgs finds.
func moduleCall(ctx context.Context, c *states.Call, key string, given any, kwargs *wire.Map) (any, error) {
	fun, _, _ := strings.Cut(key, ":")
	_, plain, kw, err := moduleArgs(c, key, given)
	if err != nil {
		return nil, err
	}
	v, err := c.Call.Call(ctx, fun, plain, kw)
	if err == nil {
		moduleReturner(ctx, c, get(kwargs, "returner"), fun, v)
	}
	return v, err
}

// moduleReturner gives a result to a returner.
func moduleReturner(ctx context.Context, c *states.Call, name any, fun string, v any) {
	if name == nil {
		return
	}
	returners := c.Kind("returners")
	full := pytext.Str(name) + ".returner"
	if returners == nil || !returners.Has(full) {
		c.Log.Warn("there is no such returner", "returner", pytext.Str(name))
		return
	}
	ret := wire.NewMap("id", c.Opts.Text("id"), "ret", v, "return", v, "fun", fun, "jid", "")
	if c.Job != nil {
		ret.Set("jid", string(c.Job.ID))
	}
	if res := returners.Run(ctx, c.Call, full, []any{ret}, nil); res.Err != nil {
		c.Log.Warn("the returner did not take a result", "returner", pytext.Str(name), "error", res.Err)
	}
}

// moduleFine tells whether a result says that it is none of success: False, or a map in
// which somewhere result is False or retcode not 0.
func moduleFine(v any) bool {
	switch v := v.(type) {
	case bool:
		return v
	case *wire.Map:
		for k, e := range v.Strings() {
			if k == "result" && e == false || k == "retcode" && !pytext.Equal(e, int64(0)) {
				return false
			}
			if m, ok := e.(*wire.Map); ok && !moduleFine(m) {
				return false
			}
		}
	}
	return true
}

// prefixed are the names that m_ stands before in the older form.
var prefixed = []string{"name", "fun", "names", "state", "saltenv"}

// moduleOne plans the one function of the older form.
func moduleOne(ctx context.Context, c *states.Call, name string, kwargs *wire.Map) (*states.Plan, error) {
	f := c.Functions().Lookup(name).For(c.Call)
	if f == nil {
		text := fmt.Sprintf("Module function %s is not available", name)
		if near := module.Nearest(name, c.Functions().Names()); near != "" && c.Functions().Missing(name) != "" {
			text += fmt.Sprintf(". Did you mean '%s'?", near)
		}
		return states.Decided(false, nil, text), nil
	}
	spec := f.Spec()
	rest := kwargs.Clone()
	for _, k := range []string{"__reqs__", "sfun"} {
		rest.Delete(k)
	}
	take := func(arg string, optional bool) (any, bool) {
		keys := []string{arg}
		if slices.Contains(prefixed, arg) {
			keys = []string{"m_" + arg}
			if optional { // then the plain name does, too
				keys = append(keys, arg)
			}
		}
		for _, k := range keys {
			if v, ok := rest.Get(k); ok {
				rest.Delete(k)
				return v, true
			}
		}
		return nil, false
	}
	kw := wire.NewMap()
	var missing []string
	required := len(spec.Args) - len(spec.Defaults)
	for i, arg := range spec.Args {
		if v, ok := take(arg, i >= required); ok {
			kw.Set(arg, v)
		} else if i < required {
			if slices.Contains(prefixed, arg) {
				arg = "m_" + arg
			}
			missing = append(missing, arg)
		}
	}
	if len(missing) > 0 {
		return states.Decided(false, nil, "The following arguments are missing: "+strings.Join(missing, " ")), nil
	}
	var more []any
	if v, ok := rest.Get("args"); ok && spec.Varargs {
		rest.Delete("args")
		if more, ok = v.([]any); !ok {
			return states.Decided(false, nil, "'args' must be a list."), nil
		}
	}
	if v, ok := rest.Get("kwargs"); ok && spec.Kwargs {
		rest.Delete("kwargs")
		m, ok := v.(*wire.Map)
		if !ok {
			return states.Decided(false, nil, "'kwargs' must be a dict."), nil
		}
		for k, v := range m.Strings() {
			kw.Set(k, v)
		}
	}
	var plain []any
	if len(more) > 0 { // what comes before them has to be given by position, too
		for i, arg := range spec.Args {
			if slices.Contains(spec.KwOnly, arg) {
				continue
			}
			v, ok := kw.Get(arg)
			if !ok && i >= required {
				v = spec.Defaults[i-required]
			}
			plain = append(plain, v)
			kw.Delete(arg)
		}
		plain = append(plain, more...)
	}
	threw := func(err error) error {
		//lint:ignore ST1005 these are the words of Salt
		return fmt.Errorf("Module function %s threw an exception. Exception: %w", name, err)
	}
	p := &states.Plan{}
	if c.Test {
		if err := f.Check(plain, kw); err != nil {
			return nil, module.Failf("%w", threw(err))
		}
		p = states.Decided(nil, nil, fmt.Sprintf("Module function %s is set to execute", name))
	}
	returner := get(rest, "returner")
	rest.Delete("returner")
	for k := range rest.Strings() {
		w := fmt.Sprintf("%s takes no argument '%s': it was left out", name, k)
		if near := module.Nearest(k, spec.Args); near != "" {
			w += fmt.Sprintf(". Did you mean '%s'?", near)
		} else if spec.Kwargs {
			w += ". Further keywords belong into 'kwargs', a map"
		}
		p.Warnings = append(p.Warnings, w)
	}
	if c.Test {
		return p, nil
	}
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		r.SetChanges(nil)
		v, err := c.Call.Call(ctx, name, plain, kw)
		if err != nil {
			return threw(err)
		}
		moduleReturner(ctx, c, returner, name, v)
		r.Change("ret", v)
		r.Comment = fmt.Sprintf("Module function %s executed", name)
		r.Result = moduleFine(v)
		return nil
	})
	return p, nil
}

type moduleWaitArgs struct {
	Name   any       `default:"None"` // Name of a function.
	Kwargs *wire.Map `arg:"**"`       // Its arguments, as for module.run.
}

// moduleWait calls a function when something that it watches has changed, and only then.
func moduleWait(context.Context, *states.Call, moduleWaitArgs) (*states.Plan, error) {
	return &states.Plan{}, nil
}
