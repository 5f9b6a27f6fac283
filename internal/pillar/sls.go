package pillar

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/decrypt"
	"github.com/gosalt/gosalt/internal/dictmerge"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/render"
	"github.com/gosalt/gosalt/internal/target"
	"github.com/gosalt/gosalt/protocol/wire"
)

// maxIncludes bounds how deep files include one another; a file that is included again
// is not rendered again, so that a circle ends before.
const maxIncludes = 200

// files renders what is assigned and lays it over the values of the call.
func (run *compilation) files(list []assigned) *wire.Map {
	pillar := run.override()
	for _, a := range list {
		avail, ok := run.states(a.env)
		var names []string
		mods := map[string]*rendered{}
		for _, pattern := range a.sls {
			var found []string
			if ok {
				found = match(avail, pattern)
			} else {
				run.fail(noEnv(a.env))
			}
			if len(found) == 0 {
				found = []string{pattern}
			}
			names = append(names, found...)
		}
		for _, sls := range names {
			r, errs := run.sls(sls, a.env, mods, map[string]any{}, nil)
			run.errors = append(run.errors, errs...)
			if r == nil || r.data == nil {
				continue
			}
			m, ok := asMap(r.data)
			if !ok {
				continue // said already
			}
			pillar = run.lay(pillar, m, fmt.Sprintf("SLS '%s'", sls))
			run.note(r.parts...)
		}
		if run.ctx.Err() != nil {
			break
		}
	}
	return pillar
}

func noEnv(env string) string {
	return fmt.Sprintf("No matching pillar environment for environment '%s' found", env)
}

// match are the names that a pattern means.
func match(names []string, pattern string) []string {
	if !strings.ContainsAny(pattern, "*?[") {
		if _, ok := slices.BinarySearch(names, pattern); ok {
			return []string{pattern}
		}
		return nil
	}
	var out []string
	for _, n := range names {
		if target.Fnmatch(pattern, n) {
			out = append(out, n)
		}
	}
	return out
}

func asMap(v any) (any, bool) {
	switch v.(type) {
	case *wire.Map, dictmerge.Map:
		return v, true
	}
	return nil, false
}

// rendered is an SLS. Whoever includes it a second time gets it without what it includes,
// as in Salt.
type rendered struct {
	data  any // nil: there is nothing
	parts []Part
}

// sls renders an SLS and what it includes. vars are the variables that the includer hands over.
func (run *compilation) sls(name, env string, mods map[string]*rendered, vars map[string]any, via []string) (*rendered, []string) {
	var errs []string
	fail := func(text string, attrs ...any) {
		errs = append(errs, text)
		run.log.Error("pillar error", append([]any{"error", text, "sls", name, "saltenv", env}, attrs...)...)
	}
	f, ok, err := run.find(name, env)
	if !ok {
		if run.ignored[env][name] {
			run.log.Debug("an SLS that may be missing is missing", "sls", name, "saltenv", env)
			return nil, nil
		}
		if !run.hasEnv(env) {
			// Salt says nothing to the minion of an environment that it does not know.
			run.log.Debug("SLS was not found: is its environment defined in pillar_roots?", "sls", name, "saltenv", env)
			return nil, nil
		}
		fail(fmt.Sprintf("Specified SLS '%s' in environment '%s' is not available on the salt master", name, env), "included_by", strings.Join(via, " "))
		return nil, errs
	}
	var res *render.Result
	if err == nil {
		res, err = run.renderFile(f, name, env, vars)
	}
	own := &rendered{}
	mods[name] = own
	if err != nil {
		errs = append(errs, run.renderFailed(f, name, env, via, err)...)
		return &rendered{}, errs
	}
	own.data = res.Data
	if !isTrue(res.Data) {
		return &rendered{data: res.Data}, errs
	}
	state, isMap := res.Data.(*wire.Map)
	marked, isMarked := res.Marked.(*wire.Map)
	if isMarked {
		own.data = marked // as it is merged with others; state is the same without the marks
	}
	if !isMap {
		fail(fmt.Sprintf("SLS '%s' does not render to a dictionary", name), "file", f.Path)
		return &rendered{data: res.Data}, errs
	}
	part := Part{Kind: "sls", SLS: name, Env: env, File: f.Path, Via: via, source: string(f.Data), rendered: res}
	include, has := state.Get("include")
	if !has {
		part.Data = state
		own.parts = []Part{part}
		return &rendered{data: own.data, parts: own.parts}, errs
	}
	list, ok := include.([]any)
	if !ok {
		fail(fmt.Sprintf("Include Declaration in SLS '%s' is not formed as a list", name), "file", f.Path)
		part.Data = state
		own.parts = []Part{part}
		return &rendered{data: own.data, parts: own.parts}, errs
	}
	state.Delete("include")
	if isMarked {
		marked.Delete("include")
	}
	part.Data = state
	own.parts = []Part{part}
	out, more := run.includes(own, list, name, env, f.path, mods, vars, append(via[:len(via):len(via)], name))
	return out, join(errs, more)
}

// join adds errors to others. As in Salt an error counts once more for each include that
// it comes through; where that would grow without end, each stays once.
func join(errs, more []string) []string {
	errs = append(errs, more...)
	if len(errs) <= 100 {
		return errs
	}
	seen := map[string]bool{}
	return slices.DeleteFunc(errs, func(e string) bool {
		known := seen[e]
		seen[e] = true
		return known
	})
}

// includes renders what an SLS includes and puts it together with the SLS itself.
func (run *compilation) includes(own *rendered, list []any, name, env, path string, mods map[string]*rendered, vars map[string]any, via []string) (*rendered, []string) {
	var errs, last []string
	override := truth(run.opts, "pillar_includes_override_sls")
	var states []any
	var state any = own.data
	var parts []Part
	for _, item := range list {
		inc, problem := run.readInclude(item)
		if problem != "" {
			text := fmt.Sprintf("Include Declaration in SLS '%s' is malformed: %s", name, problem)
			errs = append(errs, text)
			run.log.Error("pillar error", "error", text, "saltenv", env)
			continue
		}
		if inc.given {
			vars = inc.defaults // they stay for the includes after this one, as in Salt
		}
		names := run.included(inc.sls, name, env, path, &errs)
		for i, sub := range names {
			r, known := mods[sub]
			if !known {
				if len(via) >= maxIncludes {
					errs = append(errs, fmt.Sprintf("SLS '%s' includes are nested more than %d deep", name, maxIncludes))
					return own, errs
				}
				r, last = run.sls(sub, env, mods, vars, via)
			}
			errs = join(errs, last)
			if r == nil || !isTrue(r.data) {
				continue
			}
			data, ok := asMap(r.data)
			if !ok {
				continue // said already
			}
			for _, k := range slices.Backward(inc.key) {
				data = wire.NewMap(k, data)
			}
			again := slices.Contains(names[:i], sub) // found in both ways: to explain it once is enough
			for _, p := range r.parts {
				if again {
					break
				}
				p.Prefix = append(slices.Clone(inc.key), p.Prefix...)
				parts = append(parts, p)
			}
			if override {
				state = run.lay(state, data, fmt.Sprintf("SLS '%s' with its includes", name))
			} else {
				states = append(states, data)
			}
		}
	}
	if override {
		return &rendered{data: state, parts: append(slices.Clone(own.parts), parts...)}, errs
	}
	// Its own values come last and count above those of what it includes.
	states = append(states, own.data)
	state = states[0]
	for _, s := range states[1:] {
		state = run.lay(state, s, fmt.Sprintf("SLS '%s' with its includes", name))
	}
	return &rendered{data: state, parts: append(parts, own.parts...)}, errs
}

// include is one entry of the list of includes.
type include struct {
	sls      string
	defaults map[string]any // variables of the file
	given    bool           // the entry has settings, be they empty
	key      []string       // below which the values are put
}

// readInclude reads an entry: a name, or a name with defaults and key.
func (run *compilation) readInclude(item any) (inc include, problem string) {
	switch x := item.(type) {
	case string:
		inc.sls = x
		return inc, ""
	case *wire.Map:
		for k, v := range x.All() {
			inc.sls = pytext.Str(k)
			settings, ok := v.(*wire.Map)
			if !ok {
				return inc, fmt.Sprintf("below '%s' a map with defaults and key is expected, not %s", inc.sls, pytext.TypeName(v))
			}
			inc.given, inc.defaults = true, map[string]any{}
			if d, ok := settings.Get("defaults"); ok && d != nil {
				m, ok := d.(*wire.Map)
				if !ok {
					return inc, fmt.Sprintf("the defaults of '%s' are to be a map, not %s", inc.sls, pytext.TypeName(d))
				}
				inc.defaults = maps.Collect(m.Strings())
			}
			if k, ok := settings.Get("key"); ok && isTrue(k) {
				inc.key = strings.Split(pytext.Str(k), ":")
			}
			return inc, ""
		}
		return inc, "an empty map"
	}
	return inc, fmt.Sprintf("the name of an SLS is expected, not %s", pytext.TypeName(item))
}

// included are the SLS that a name or pattern in an include means.
func (run *compilation) included(sub, name, env, path string, errs *[]string) []string {
	avail, ok := run.states(env)
	if !ok {
		*errs = append(*errs, noEnv(env))
		return []string{sub}
	}
	// Salt looks for the name without its leading dots first, wherever the file is.
	found := match(avail, strings.ReplaceAll(strings.TrimLeft(sub, "."), "/", "."))
	if strings.HasPrefix(sub, ".") {
		parts := strings.Split(name, ".")
		if !strings.HasSuffix(path, "/init.sls") {
			parts = parts[:len(parts)-1]
		}
		sub = strings.Join(append(parts, sub[1:]), ".")
	}
	found = append(found, match(avail, sub)...)
	if len(found) == 0 {
		return []string{sub}
	}
	return found
}

// renderFile renders a file, and notes what of it was encrypted.
func (run *compilation) renderFile(f file, name, env string, vars map[string]any) (*render.Result, error) {
	run.opened = nil
	before := len(run.secrets.Texts())
	res, err := run.rend.Render(run.ctx, render.Source{Text: string(f.Data), Path: f.Path, SLS: name, Env: env, Vars: vars})
	if err != nil {
		return nil, err
	}
	if run.decoding { // the text was encrypted: what the data are made of is in it
		run.decoding = false
		opened := run.secrets.Texts()[before:]
		run.leaves(res.Data, opened)
	}
	return res, nil
}

// leaves notes the text in data that was in encrypted text.
func (run *compilation) leaves(v any, opened []string) {
	switch x := v.(type) {
	case *wire.Map:
		for _, e := range x.All() {
			run.leaves(e, opened)
		}
	case []any:
		for _, e := range x {
			run.leaves(e, opened)
		}
	case string, int64, float64:
		t := pytext.Str(x)
		for _, o := range opened {
			if strings.Contains(o, t) {
				run.secrets.AddValue(v)
				return
			}
		}
	}
}

// renderFailed makes the errors of a file that could not be rendered. Unless
// pillar_safe_render_error is off, minions are told no more than that: what went wrong
// may be a part of other minions' secrets, and stands in the log.
func (run *compilation) renderFailed(f file, name, env string, via []string, err error) []string {
	full := fmt.Sprintf("Rendering SLS '%s' failed, render error:\n%v", name, err)
	attrs := []any{"error", full, "file", f.Path, "saltenv", env}
	if len(via) > 0 {
		attrs = append(attrs, "included_by", strings.Join(via, " "))
	}
	var de *decrypt.Error
	locked := errors.As(err, &de)
	place := ""
	if locked {
		place = f.Path
		if line := locate(string(f.Data), de.Path); line > 0 {
			place += fmt.Sprintf(", line %d", line)
			attrs = append(attrs, "line", line)
		}
	}
	run.log.Error("pillar error", attrs...)
	if !truthOr(run.opts, "pillar_safe_render_error") {
		return []string{full}
	}
	out := []string{fmt.Sprintf("Rendering SLS '%s' failed. Please see master log for details.", name)}
	if locked { // says which key is missing, and nothing that is secret
		out = append(out, fmt.Sprintf("%s: %v", place, de))
	}
	return out
}

// locate finds the line of a text that writes the last of a path of keys, each below the
// one before it; 0 where it cannot be told.
func locate(text string, path []any) int {
	lines := strings.Split(text, "\n")
	at := 0
	for _, step := range path {
		if _, ok := step.(int); ok {
			continue // elements of lists have no name
		}
		key := pytext.Str(step)
		found := -1
		for i := at; i < len(lines); i++ {
			l := strings.TrimLeft(lines[i], " -")
			l = strings.TrimPrefix(strings.TrimPrefix(l, `"`), "'")
			if rest, ok := strings.CutPrefix(l, key); ok {
				rest = strings.TrimLeft(rest, `"' `)
				if strings.HasPrefix(rest, ":") {
					found = i
					break
				}
			}
		}
		if found < 0 {
			return 0
		}
		at = found
	}
	if len(path) == 0 {
		return 0
	}
	return at + 1
}
