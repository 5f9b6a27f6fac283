package pillar

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/render"
	"github.com/gosalt/gosalt/internal/target"
	"github.com/gosalt/gosalt/protocol/wire"
)

// topTarget is one target of the top files with what it assigns.
type topTarget struct {
	match  string // the expression
	kind   string // of the target; "" is compound
	sls    []string
	maps   []any // the settings that have match, as they stand there
	order  int64
	source string // of the top file, for messages
}

// topData are the targets by environment, in their order.
type topData struct {
	envs    []string
	targets map[string][]*topTarget
}

// slsNames are the names of SLS files among paths, sorted.
func slsNames(paths []string) []string {
	out := []string{}
	for _, p := range paths {
		name, ok := strings.CutSuffix(p, ".sls")
		if !ok {
			continue
		}
		name = strings.TrimSuffix(name, "/init")
		out = append(out, strings.ReplaceAll(name, "/", "."))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// top reads the top files and what they include.
func (run *compilation) top() (*topData, []string) {
	var errs []string
	envs := run.topEnvs()
	tops := map[string][]*wire.Map{}
	var order []string
	name := strings.TrimPrefix(run.opts.Text("state_top"), "salt://")
	if name == "" {
		name = "top.sls"
	}
	name = strings.TrimPrefix(name, "/")
	for _, env := range envs {
		f, err := run.tree.ReadFile(run.ctx, env, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		var top any
		if err == nil {
			top, err = run.renderTop(f, env)
		}
		if err != nil {
			msg := fmt.Sprintf("Rendering Primary Top file failed, render error:\n%v", err)
			errs = append(errs, msg)
			run.log.Error("pillar top file failed", "file", f.Path, "saltenv", env, "error", err)
			break // as Salt: the environments after it are not looked at
		}
		m, ok := top.(*wire.Map)
		if !ok {
			errs = append(errs, run.badTop(f.Path, "", top, "a map of environments"))
			continue
		}
		order = append(order, env)
		tops[env] = append(tops[env], m)
	}
	for _, env := range order {
		errs = append(errs, run.topIncludes(env, tops)...)
	}
	merged, err := run.mergeTops(order, tops)
	if err != "" {
		errs = append(errs, err)
	}
	return merged, errs
}

// topEnvs are the environments whose top files count.
func (run *compilation) topEnvs() []string {
	if env := run.opts.Text("pillarenv"); env != "" {
		if run.hasEnv(env) {
			return []string{env}
		}
		run.log.Debug("pillarenv is not among the environments of the pillar", "pillarenv", env, "environments", strings.Join(run.tree.Envs(), ", "))
		return nil
	}
	envs := []string{"base"}
	for _, env := range run.tree.Envs() {
		if env != "base" {
			envs = append(envs, env)
		}
	}
	if run.merge.Strategy == "none" {
		only := run.req.Saltenv
		if only == "" {
			only = "base"
		}
		if !slices.Contains(envs, only) {
			return nil
		}
		return []string{only}
	}
	return envs
}

func (run *compilation) renderTop(f render.File, env string) (any, error) {
	res, err := run.rend.Render(run.ctx, render.Source{Text: string(f.Data), Path: f.Path, Env: env})
	if err != nil {
		return nil, err
	}
	return res.Data, nil
}

// topIncludes reads the files that a top file includes; those in turn include nothing.
func (run *compilation) topIncludes(env string, tops map[string][]*wire.Map) []string {
	var errs []string
	var names []any
	for _, top := range tops[env] {
		names = append(names, top.List("include")...)
		top.Delete("include")
	}
	done := map[string]bool{}
	for _, n := range names {
		sls, ok := n.(string)
		if !ok || done[sls] {
			continue
		}
		done[sls] = true
		f, ok, err := run.find(sls, env)
		if !ok {
			run.log.Error("a pillar top file includes an SLS that is not there", "sls", sls, "saltenv", env)
			continue
		}
		var top any
		if err == nil {
			top, err = run.renderTop(f.File, env)
		}
		if err != nil {
			errs = append(errs, fmt.Sprintf("Rendering Top file %s failed, render error:\n%v", sls, err))
			run.log.Error("included pillar top file failed", "sls", sls, "saltenv", env, "error", err)
			continue
		}
		m, ok := top.(*wire.Map)
		if !ok {
			errs = append(errs, run.badTop(f.Path, "", top, "a map of environments"))
			continue
		}
		tops[env] = append(tops[env], m)
	}
	return errs
}

// errTop is Salt's text for a top file that is not built as one.
const errTop = "Error encountered while rendering pillar top file."

// badTop is the error of a top file that is not built as one.
func (run *compilation) badTop(file, where string, got any, want string) string {
	if where != "" {
		where = ", " + where
	}
	msg := fmt.Sprintf("%s %s%s: %s is expected, not %s", errTop, file, where, want, pytext.TypeName(got))
	run.log.Error("pillar top file is malformed", "error", msg)
	return msg
}

// mergeTops puts the top files together. Of one target that several files name, the last
// counts. A file that is not built as a top file makes all of them void, as in Salt.
func (run *compilation) mergeTops(order []string, tops map[string][]*wire.Map) (*topData, string) {
	all := &topData{targets: map[string][]*topTarget{}}
	byName := map[string]map[string]*topTarget{}
	for _, from := range order {
		for _, top := range tops[from] {
			for k, v := range top.All() {
				env := pytext.Str(k)
				if env == "include" {
					continue
				}
				targets, ok := v.(*wire.Map)
				if !ok {
					return &topData{}, run.badTop("top file of "+from, "'"+env+"'", v, "a map of targets")
				}
				if byName[env] == nil {
					byName[env] = map[string]*topTarget{}
					all.envs = append(all.envs, env)
				}
				for tk, list := range targets.All() {
					match := pytext.Str(tk)
					items, ok := list.([]any)
					if m, isMap := list.(*wire.Map); isMap { // Salt takes its keys: 'web*': {} gives nothing
						ok = true
						for sls := range m.All() {
							items = append(items, sls)
						}
					}
					if !ok {
						return &topData{}, run.badTop("top file of "+from, fmt.Sprintf("'%s', '%s'", env, match), list, "a list of SLS names")
					}
					t := byName[env][match]
					if t == nil {
						t = &topTarget{match: match, source: from}
						byName[env][match] = t
						all.targets[env] = append(all.targets[env], t)
					}
					if err := run.readTarget(t, env, items); err != "" {
						return &topData{}, err
					}
				}
			}
		}
	}
	for _, list := range all.targets {
		slices.SortStableFunc(list, func(a, b *topTarget) int {
			switch {
			case a.order < b.order:
				return -1
			case a.order > b.order:
				return 1
			}
			return 0
		})
	}
	return all, ""
}

// readTarget reads what stands below a target.
func (run *compilation) readTarget(t *topTarget, env string, items []any) string {
	t.kind, t.sls, t.maps, t.order = "", nil, nil, 0
	ignore := false
	for _, item := range items {
		switch x := item.(type) {
		case string:
			if !slices.Contains(t.sls, x) {
				t.sls = append(t.sls, x)
			}
		case *wire.Map:
			if m, ok := x.Get("match"); ok {
				t.kind = pytext.Str(m)
				t.maps = append(t.maps, x)
			}
			if o, ok := x.Get("order"); ok {
				n, good := pythonInt(o)
				if !good {
					return run.badTop("top file of "+t.source, fmt.Sprintf("'%s', '%s', order", env, t.match), o, "a number")
				}
				t.order = n
			}
			if v, ok := x.Get("ignore_missing"); ok && isTrue(v) {
				ignore = true
			}
		default: // passed over, as Salt does
			run.log.Warn("a pillar top file has something that is neither the name of an SLS nor a setting",
				"saltenv", env, "target", t.match, "value", pytext.Repr(item))
		}
	}
	if ignore {
		if run.ignored[env] == nil {
			run.ignored[env] = map[string]bool{}
		}
		for _, sls := range t.sls {
			run.ignored[env][sls] = true
		}
	}
	return ""
}

// pythonInt is Python's int() as far as top files use it: text that is no number is 0.
func pythonInt(v any) (int64, bool) {
	switch x := v.(type) {
	case int64:
		return x, true
	case bool:
		if x {
			return 1, true
		}
		return 0, true
	case float64:
		return int64(x), true
	case string:
		n, err := strconv.ParseInt(strings.TrimSpace(x), 10, 64)
		if err != nil {
			return 0, true
		}
		return n, true
	}
	return 0, false
}

// assigned is what the top files give to a minion: names and patterns of SLS by
// environment.
type assigned struct {
	env string
	sls []string
}

// matches finds the targets that mean the minion. pillar is what pillar targets look at.
func (run *compilation) matches(top *topData, pillar *wire.Map) []assigned {
	var out []assigned
	subject := target.Subject{ID: string(run.req.ID), Grains: run.opts.Map("grains"), Pillar: pillar}
	only := run.opts.Text("pillarenv")
	for _, env := range top.envs {
		if only != "" && env != only {
			continue
		}
		var sls []string
		matched := false
		for _, t := range top.targets[env] {
			if !run.matchTop(t, env, subject) {
				continue
			}
			matched = true
			for _, s := range t.sls {
				if !slices.Contains(sls, s) {
					sls = append(sls, s)
				}
			}
		}
		if matched {
			out = append(out, assigned{env, sls})
		}
	}
	return out
}

func (run *compilation) matchTop(t *topTarget, env string, s target.Subject) bool {
	kind := t.kind
	if kind == "" {
		kind = "compound"
	}
	if kind != "nodegroup" && !slices.Contains(target.Kinds, kind) {
		run.fail(fmt.Sprintf("%s '%s', '%s': match is '%s', and one of %s is expected", errTop, env, t.match, kind, strings.Join(target.Kinds, ", ")))
		return false
	}
	tgt, err := target.Parse(t.match, kind, target.Options{Nodegroups: run.opts.Map("nodegroups")})
	if err == nil {
		var ok bool
		if ok, err = tgt.Match(s); err == nil {
			return ok
		}
	}
	run.log.Error("a target of the pillar's top file matches nobody", "saltenv", env, "target", t.match, "error", err)
	return false
}

// Top is what the top files say, put together: environments with their targets, each with
// the names of SLS. The list has what is wrong with them.
func (c *Compiler) Top(ctx context.Context, req *Request) (*wire.Map, []string) {
	run := c.start(ctx, req)
	top, errs := run.top()
	out := wire.NewMap()
	for _, env := range top.envs {
		m := wire.NewMap()
		for _, t := range top.targets[env] {
			list := append([]any{}, t.maps...)
			for _, s := range t.sls {
				list = append(list, s)
			}
			m.Set(t.match, list)
		}
		out.Set(env, m)
	}
	return out, append(run.errors, errs...)
}
