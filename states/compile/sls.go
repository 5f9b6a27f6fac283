package compile

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/render"
	"github.com/gosalt/gosalt/internal/render/value"
	"github.com/gosalt/gosalt/jinja/py"
)

// Matches are the SLS to render, by environment, in order.
type Matches struct {
	Envs []string
	SLS  map[string][]string
}

// NewMatches makes matches of one environment.
func NewMatches(env string, sls ...string) *Matches {
	m := &Matches{}
	m.Add(env, sls...)
	return m
}

// Add adds SLS of an environment.
func (m *Matches) Add(env string, sls ...string) {
	if m.SLS == nil {
		m.SLS = map[string][]string{}
	}
	if _, ok := m.SLS[env]; !ok {
		m.Envs = append(m.Envs, env)
	}
	m.SLS[env] = append(m.SLS[env], sls...)
}

func (m *Matches) has(env string) bool {
	if m == nil {
		return false
	}
	_, ok := m.SLS[env]
	return ok
}

// SLS renders SLS files and what they include into one high data. What is wrong with
// them is in the Errors; the error is about the file server or the context.
func (c *Compiler) SLS(ctx context.Context, matches *Matches) (*py.Dict, Errors, error) {
	var all Errors
	mods := map[string]bool{}
	c.included, c.someState = mods, false
	for _, env := range matches.Envs {
		for _, match := range matches.SLS[env] {
			known, err := c.isEnv(ctx, env)
			if err != nil {
				return nil, nil, err
			}
			var names []string
			if known {
				avail, err := c.Available(ctx, env)
				if err != nil {
					return nil, nil, err
				}
				names = filter(avail, match)
			} else {
				all = append(all, &Error{Msg: fmt.Sprintf("No matching salt environment for environment '%s' found", env)})
			}
			if len(names) == 0 {
				names = []string{match}
			}
			for _, sls := range names {
				if mods[env+":"+sls] {
					continue
				}
				state, errs, err := c.renderState(ctx, sls, env, mods, matches)
				if err != nil {
					return nil, nil, err
				}
				if state.Len() > 0 {
					c.merge(c.building, state, &errs)
				}
				for _, e := range errs {
					if strings.Contains(e.Msg, "is not available") && strings.Contains(e.Msg, "SLS "+match+" in saltenv") {
						e.Msg = fmt.Sprintf("No matching sls found for '%s' in env '%s'", match, env)
					}
				}
				all = append(all, errs...)
			}
		}
	}
	c.cleanExtends(c.building)
	return c.building, all, ctx.Err()
}

// Included tells whether the last call of SLS rendered an SLS.
func (c *Compiler) Included(env, sls string) bool { return c.included[env+":"+sls] }

// renderState renders one SLS and all that it includes.
func (c *Compiler) renderState(ctx context.Context, sls, env string, mods map[string]bool, matches *Matches) (*py.Dict, Errors, error) {
	f, err := c.find(ctx, sls, env)
	if err != nil {
		return nil, nil, err
	}
	if f == nil {
		return newDict(), Errors{{Msg: fmt.Sprintf("Specified SLS %s in saltenv %s is not available on the salt master or through a configured fileserver", sls, env)}}, nil
	}
	return c.renderFile(ctx, f, sls, env, mods, matches)
}

func (c *Compiler) renderFile(ctx context.Context, f *file, sls, env string, mods map[string]bool, matches *Matches) (*py.Dict, Errors, error) {
	var errs Errors
	vars := map[string]any{}
	for k, v := range c.cfg.Vars {
		vars[k] = v
	}
	rendered := py.NewList()
	for m := range mods {
		rendered.Items = append(rendered.Items, m)
	}
	slices.SortFunc(rendered.Items, func(a, b py.Value) int { return strings.Compare(a.(string), b.(string)) })
	vars["rendered_sls"] = rendered
	out, err := c.render.Render(ctx, render.Source{Text: f.text, Path: f.path, SLS: sls, Env: env, Vars: vars})
	mods[env+":"+sls] = true
	if err != nil {
		if ctx.Err() != nil {
			return nil, nil, err
		}
		var re *render.Error
		at := Place{}
		if errors.As(err, &re) && len(re.Trace) == 0 && re.Line == 0 && re.Note == "" {
			at = Place{SLS: sls, Env: env, File: f.source}
		}
		return newDict(), Errors{{Msg: fmt.Sprintf("Rendering SLS '%s:%s' failed: %s", env, sls, err), Err: err, At: at}}, nil
	}
	v, err := value.FromWire(out.Data, true)
	if err != nil {
		return nil, nil, fmt.Errorf("SLS %s: %w", sls, err)
	}
	if some, err := py.Truth(nil, v); err == nil && !some {
		return newDict(), nil, nil
	}
	at := Place{SLS: sls, Env: env, File: f.source, Rendered: out.Text != f.text}
	state, ok := v.(*py.Dict)
	if !ok {
		return newDict(), Errors{
			{Msg: fmt.Sprintf("SLS %s does not render to a dictionary", sls), At: at},
			{Msg: contentsError + str(v)},
		}, nil
	}
	c.note(out.Doc, at)
	var include []py.Value
	if inc, ok := state.GetStr("include"); ok {
		if l, ok := inc.(*py.List); ok {
			pop(state, "include")
			include = l.Items
		} else {
			c.add(&errs, "include", "", "Include Declaration in SLS %s is not formed as a list", sls)
		}
	}
	c.takeExtend(state, sls, env, &errs)
	c.takeExclude(state, sls, &errs)
	c.declare(state, sls, env, &errs)
	at = c.At("include", "")
	if at.SLS != sls { // of another SLS: this one was not read from YAML
		at = Place{SLS: sls, Env: env, File: f.source}
	}
	for _, inc := range include {
		if err := c.include(ctx, state, f, at, inc, sls, env, mods, matches, &errs); err != nil {
			return nil, nil, err
		}
	}
	c.order(state)
	return state, errs, nil
}

// contentsError begins the error that shows what there is in place of a map.
const contentsError = "Error when rendering state with contents: "

// include renders what one entry of an include statement names, and merges it.
func (c *Compiler) include(ctx context.Context, state *py.Dict, f *file, at Place, inc py.Value, sls, env string, mods map[string]bool, matches *Matches, errs *Errors) error {
	fail := func(format string, args ...any) {
		*errs = append(*errs, &Error{Msg: fmt.Sprintf(format, args...), At: at})
	}
	envKey, val := env, inc
	if d, ok := inc.(*py.Dict); ok {
		k, v := popLast(d)
		envKey, val = str(k), v
	}
	name, ok := py.AsString(val)
	if !ok {
		fail("Include of %s in SLS '%s:%s' is not the name of an SLS", str(val), env, sls)
		return nil
	}
	known, err := c.isEnv(ctx, envKey)
	if err != nil {
		return err
	}
	if !known {
		fail("Nonexistent saltenv '%s' found in include of '%s' within SLS '%s:%s'", envKey, name, env, sls)
		return nil
	}
	if strings.HasPrefix(name, ".") {
		rest := strings.TrimLeft(name, ".")
		levels := len(name) - len(rest)
		parts := strings.Split(sls, ".")
		if path.Base(f.source) == "init.sls" {
			parts = append(parts, "init")
		}
		if levels > len(parts) {
			fail("Attempted relative include of '%s' within SLS '%s:%s' goes beyond top level package ", name, env, sls)
			return nil
		}
		name = strings.Join(append(slices.Clone(parts[:len(parts)-levels]), rest), ".")
	}
	resolved := matches.has(envKey)
	if !resolved {
		avail, err := c.Available(ctx, envKey)
		if err != nil {
			return err
		}
		resolved = len(filter(avail, name)) > 0
	}
	if !resolved {
		fail("Unknown include: Specified SLS %[1]s: %[2]s is not available on the salt master in saltenv(s): %[1]s ", envKey, name)
		return nil
	}
	avail, err := c.Available(ctx, env)
	if err != nil {
		return err
	}
	targets := filter(avail, name)
	if len(targets) == 0 {
		targets = []string{name}
	}
	for _, t := range targets {
		if mods[envKey+":"+t] {
			continue
		}
		next, more, err := c.renderState(ctx, t, envKey, mods, matches)
		if err != nil {
			return err
		}
		if next.Len() > 0 {
			c.merge(state, next, errs)
		}
		for _, e := range more {
			if e.At.File == "" && e.Err == nil {
				e.At = at // of an SLS that is not there
			} else {
				e.From = append(e.From, at)
			}
		}
		*errs = append(*errs, more...)
	}
	return nil
}

// takeExtend moves the extend statement to where reconcileExtend finds it.
func (c *Compiler) takeExtend(state *py.Dict, sls, env string, errs *Errors) {
	v, ok := state.GetStr("extend")
	if !ok {
		return
	}
	pop(state, "extend")
	ext, ok := v.(*py.Dict)
	if !ok {
		c.add(errs, "extend", "", "Extension value in SLS '%s' is not a dictionary", sls)
		return
	}
	for _, e := range entries(ext) {
		body, ok := e.val.(*py.Dict)
		if !ok {
			c.add(errs, "extend", e.text, "Extension name '%s' in SLS '%s' is not a dictionary", str(e.key), sls)
			continue
		}
		setMissing(body, sls, env)
		for _, s := range entries(body) {
			l, isList := s.val.(*py.List)
			if strings.HasPrefix(s.text, "_") || !isList {
				continue
			}
			if mod, fun, ok := dotted(s.text); ok {
				pop(body, s.text)
				body.SetStr(mod, l)
				l.Items = append(l.Items, fun)
			}
		}
	}
	l := child(state, "__extend__")
	l.Items = append(l.Items, ext)
}

// dotted splits "pkg.installed" as Salt does: the part after a second dot is lost.
func dotted(s string) (mod, fun string, ok bool) {
	parts := strings.Split(s, ".")
	if len(parts) < 2 {
		return "", "", false
	}
	return parts[0], parts[1], true
}

func setMissing(body *py.Dict, sls, env string) {
	if _, ok := body.GetStr("__sls__"); !ok {
		body.SetStr("__sls__", sls)
	}
	if _, ok := body.GetStr("__env__"); !ok {
		body.SetStr("__env__", env)
	}
}

// takeExclude moves the exclude statement to where applyExclude finds it.
func (c *Compiler) takeExclude(state *py.Dict, sls string, errs *Errors) {
	v, ok := state.GetStr("exclude")
	if !ok {
		return
	}
	pop(state, "exclude")
	exc, ok := v.(*py.List)
	if !ok {
		c.add(errs, "exclude", "", "Exclude Declaration in SLS %s is not formed as a list", sls)
		items, err := py.Collect(nil, v) // as Salt: of a text its characters
		if err != nil {
			return
		}
		exc = py.NewList(items...)
	}
	l := child(state, "__exclude__")
	l.Items = append(l.Items, exc.Items...)
}

// declare writes short forms out and notes in each ID which SLS it is of.
func (c *Compiler) declare(state *py.Dict, sls, env string, errs *Errors) {
	for _, e := range entries(state) {
		body, ok := e.val.(*py.Dict)
		if !ok {
			if e.text == "__extend__" || e.text == "__exclude__" {
				continue
			}
			if s, ok := py.AsString(e.val); ok {
				if mod, fun, ok := dotted(s); ok {
					d := newDict()
					d.SetStr("__sls__", sls)
					d.SetStr("__env__", env)
					d.SetStr(mod, py.NewList(fun))
					c.someState = c.someState || stateKey.MatchString(s)
					_ = state.Set(e.key, d) // the key is there already
					continue
				}
			}
			c.add(errs, e.key, "", "ID %s in SLS %s is not a dictionary", str(e.key), sls)
			continue
		}
		seen := map[string]bool{}
		for _, s := range entries(body) {
			l, isList := s.val.(*py.List)
			if !s.ok {
				c.add(errs, e.key, "", "ID '%s' in SLS '%s' has the key %s, which is no state: a state is a text such as pkg.installed", str(e.key), sls, str(s.key))
				_, _, _ = body.Delete(s.key)
				continue
			}
			if strings.HasPrefix(s.text, "_") || !isList {
				continue
			}
			mod, fun, ok := dotted(s.text)
			if !ok {
				seen[s.text] = true
				continue
			}
			if seen[mod] {
				c.add(errs, e.key, mod, "ID '%s' in SLS '%s' contains multiple state declarations of the same type", str(e.key), sls)
				continue
			}
			pop(body, s.text)
			body.SetStr(mod, l)
			l.Items = append(l.Items, fun)
			seen[mod] = true
			c.someState = c.someState || stateKey.MatchString(s.text)
		}
		setMissing(body, sls, env)
	}
}

// order gives each state without an order the next number.
func (c *Compiler) order(state *py.Dict) {
	if v, ok := c.opts.Get("state_auto_order"); ok && !truthy(v) {
		return
	}
	for _, e := range entries(state) {
		body, ok := e.val.(*py.Dict)
		if !ok {
			continue
		}
		for _, s := range entries(body) {
			l, isList := s.val.(*py.List)
			if !s.ok || !isList || strings.HasPrefix(s.text, "_") {
				continue
			}
			found := slices.ContainsFunc(l.Items, func(a py.Value) bool {
				d, ok := a.(*py.Dict)
				return ok && firstText(d) == "order"
			})
			if !found {
				l.Items = append(l.Items, single("order", c.iorder))
				c.iorder++
			}
		}
	}
}

// merge puts the IDs of one SLS to those of others.
func (c *Compiler) merge(high, state *py.Dict, errs *Errors) {
	for _, key := range []string{"__extend__", "__exclude__"} {
		if v, ok := state.GetStr(key); ok {
			pop(state, key)
			l := child(high, key)
			if from, ok := v.(*py.List); ok {
				l.Items = append(l.Items, from.Items...)
			}
		}
	}
	for _, e := range entries(state) {
		old, ok, err := high.Get(e.key)
		if ok && err == nil && !equal(old, e.val) {
			a, ok1 := old.(*py.Dict)
			b, ok2 := e.val.(*py.Dict)
			if ok1 && ok2 {
				c.add(errs, e.key, "", "Detected conflicting IDs, SLS IDs need to be globally unique.\n    The conflicting ID is '%s' and is found in SLS '%s:%s' and SLS '%s:%s'",
					str(e.key), textOf(a, "__env__"), textOf(a, "__sls__"), textOf(b, "__env__"), textOf(b, "__sls__"))
			}
		}
		_ = high.Set(e.key, e.val) // a key of a dict can be one of another
	}
}

// cleanExtends leaves out what is extended twice in the same way.
func (c *Compiler) cleanExtends(high *py.Dict) {
	v, ok := high.GetStr("__extend__")
	if !ok {
		return
	}
	out := py.NewList()
	var seen []entry
	if l, ok := v.(*py.List); ok {
		for _, ext := range l.Items {
			d, ok := ext.(*py.Dict)
			if !ok {
				continue
			}
			for _, e := range entries(d) {
				if !slices.ContainsFunc(seen, func(s entry) bool { return equal(s.key, e.key) && equal(s.val, e.val) }) {
					seen = append(seen, e)
					out.Items = append(out.Items, single(e.key, e.val))
				}
			}
		}
	}
	high.SetStr("__extend__", out)
}
