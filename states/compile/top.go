package compile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/render"
	"github.com/gosalt/gosalt/internal/render/value"
	"github.com/gosalt/gosalt/internal/target"
	"github.com/gosalt/gosalt/jinja/py"
	"github.com/gosalt/gosalt/protocol/wire"
)

// topFiles are the contents of top files by environment, in order.
type topFiles struct {
	envs []string
	of   map[string][]*py.Dict
}

func (t *topFiles) add(env string, d *py.Dict) {
	if _, ok := t.of[env]; !ok {
		t.envs = append(t.envs, env)
	}
	t.of[env] = append(t.of[env], d)
}

// Top reads the top files and merges them by top_file_merging_strategy: targets by
// environment. An error of a top file is logged, and the result empty, as in Salt;
// TopError is that error.
func (c *Compiler) Top(ctx context.Context) (top *py.Dict, topError error, err error) {
	tops, err := c.readTops(ctx)
	var e *Error
	if errors.As(err, &e) {
		c.log.Error("a top file cannot be rendered", "error", e.Error())
		return newDict(), e, nil
	}
	if err != nil {
		return nil, nil, err
	}
	top, err = c.mergeTops(tops)
	if errors.As(err, &e) {
		return newDict(), e, nil
	}
	return top, nil, err
}

// renderTop renders a top file, or one that it includes.
func (c *Compiler) renderTop(ctx context.Context, f *file, env, sls string) (*py.Dict, error) {
	out, err := c.render.Render(ctx, render.Source{Text: f.text, Path: f.path, Env: env, Vars: c.cfg.Vars})
	if err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		return nil, &Error{Msg: "Unable to render top file: " + err.Error(), Err: err, At: Place{Env: env, File: f.source}}
	}
	v, err := value.FromWire(out.Data, true)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.source, err)
	}
	d, ok := v.(*py.Dict)
	if !ok {
		if some, err := py.Truth(nil, v); err == nil && !some {
			return newDict(), nil
		}
		return nil, &Error{Msg: "Unable to render top file. No targets found.", At: Place{Env: env, File: f.source}}
	}
	return d, nil
}

// readTops reads the top file of each environment that counts, and what they include.
func (c *Compiler) readTops(ctx context.Context) (*topFiles, error) {
	tops := &topFiles{of: map[string][]*py.Dict{}}
	strategy := c.opts.Text("top_file_merging_strategy")
	env := c.Env()
	if strategy == "same" && env == "" && !truthy(get(c.opts, "default_top")) {
		return nil, &Error{Msg: "top_file_merging_strategy set to 'same', but no default_top configuration option was set"}
	}
	envs := []string{env}
	if env == "" {
		if only, _ := c.opts.Get("state_top_saltenv"); truthy(only) {
			v, err := value.FromWire(only, false)
			if err != nil {
				return nil, err
			}
			envs = []string{str(v)}
		} else {
			var err error
			if envs, err = c.Envs(ctx); err != nil {
				return nil, err
			}
		}
	}
	name := strings.TrimPrefix(c.opts.Text("state_top"), "salt://")
	found := 0
	for _, env := range envs {
		f, err := c.fetch(ctx, name, env)
		if err != nil {
			return nil, err
		}
		d := newDict()
		if f != nil {
			found++
			if d, err = c.renderTop(ctx, f, env, ""); err != nil {
				return nil, err
			}
		}
		tops.add(env, d)
	}
	if found > 1 && strategy == "merge" && len(c.opts.List("env_order")) == 0 {
		c.log.Warn("several top files are merged in no certain order: set top_file_merging_strategy to same, or env_order", "files", found)
	}
	return tops, c.includeTops(ctx, tops)
}

// includeTops adds the files that top files include.
func (c *Compiler) includeTops(ctx context.Context, tops *topFiles) error {
	for _, env := range slices.Clone(tops.envs) {
		done := map[string]bool{}
		for _, top := range slices.Clone(tops.of[env]) {
			v, ok := top.GetStr("include")
			if !ok {
				continue
			}
			pop(top, "include")
			avail, err := c.Available(ctx, env)
			if err != nil {
				return err
			}
			for _, pattern := range texts(v) {
				for _, sls := range filter(avail, pattern) {
					if done[sls] {
						continue
					}
					done[sls] = true
					f, err := c.find(ctx, sls, env)
					if err != nil {
						return err
					}
					if f == nil {
						continue
					}
					d, err := c.renderTop(ctx, f, env, sls)
					if err != nil {
						return err
					}
					tops.add(env, d)
				}
			}
		}
	}
	return nil
}

// errNoTargets is what Salt says of an environment that is no dict.
func (c *Compiler) errNoTargets(env string) error {
	return &Error{Msg: "Unable to render top file. No targets found.", At: Place{Env: env, File: c.opts.Text("state_top")}}
}

// mergeTops makes one top of all top files.
func (c *Compiler) mergeTops(tops *topFiles) (*py.Dict, error) {
	switch s := c.opts.Text("top_file_merging_strategy"); s {
	case "same":
		return c.mergeSame(tops)
	case "merge_all":
		return c.mergeAll(tops)
	case "merge":
	default:
		c.log.Warn("a top_file_merging_strategy that there is not: merge is taken", "strategy", s)
	}
	return c.mergeBase(tops)
}

// put adds the targets of an environment to the top.
func (c *Compiler) put(top *py.Dict, env py.Value, targets py.Value) error {
	switch t := targets.(type) {
	case *py.Dict:
		into := childDict(top, env)
		for k, v := range t.All() {
			if err := into.Set(k, v); err != nil {
				return err
			}
		}
		return nil
	}
	return c.errNoTargets(str(env))
}

// mergeBase is the strategy merge: base counts first, then each other environment's own
// section where base has none.
func (c *Compiler) mergeBase(tops *topFiles) (*py.Dict, error) {
	top := newDict()
	for _, d := range tops.of["base"] {
		for env, targets := range d.All() {
			if env == "include" {
				continue
			}
			if err := c.put(top, env, targets); err != nil {
				return nil, err
			}
		}
	}
	for _, own := range tops.envs {
		if own == "base" {
			continue
		}
		for _, d := range tops.of[own] {
			for env, targets := range d.All() {
				if env == "include" || env != own || has(top, env) {
					continue
				}
				if err := c.put(top, env, targets); err != nil {
					return nil, err
				}
			}
		}
	}
	return top, nil
}

// mergeSame is the strategy same: each environment's own section of its own top file, or
// of that of default_top where it has no top file.
func (c *Compiler) mergeSame(tops *topFiles) (*py.Dict, error) {
	top := newDict()
	empty := func(ds []*py.Dict) bool {
		return !slices.ContainsFunc(ds, func(d *py.Dict) bool { return d.Len() > 0 })
	}
	for _, own := range tops.envs {
		from := tops.of[own]
		if empty(from) {
			def := c.opts.Text("default_top")
			if from = tops.of[def]; empty(from) {
				c.log.Error("an environment has no top file, and neither has default_top", "saltenv", own, "default_top", def)
				continue
			}
		}
		for _, d := range from {
			for env, targets := range d.All() {
				if env == "include" || env != own {
					continue
				}
				if err := c.put(top, env, targets); err != nil {
					return nil, err
				}
			}
		}
	}
	return top, nil
}

// mergeAll is the strategy merge_all: all sections of all top files.
func (c *Compiler) mergeAll(tops *topFiles) (*py.Dict, error) {
	top := newDict()
	read := func(v py.Value) (match py.Value, states []py.Value) {
		_ = py.Each(nil, v, func(e py.Value) error { // what cannot be looped over has no states
			if _, ok := e.(*py.Dict); ok {
				match = e
			} else if _, ok := py.AsString(e); ok {
				states = append(states, e)
			}
			return nil
		})
		return match, states
	}
	for _, own := range tops.envs {
		for _, d := range tops.of[own] {
			for env, targets := range d.All() {
				if env == "include" {
					continue
				}
				t, ok := targets.(*py.Dict)
				if !ok {
					return nil, c.errNoTargets(str(env))
				}
				into := childDict(top, env)
				for tgt, v := range t.All() {
					old, ok, err := into.Get(tgt)
					if err != nil {
						return nil, err
					}
					if !ok {
						if err := into.Set(tgt, v); err != nil {
							return nil, err
						}
						continue
					}
					m1, s1 := read(old)
					m2, s2 := read(v)
					merged := py.NewList()
					if m2 == nil {
						m2 = m1
					}
					if m2 != nil {
						merged.Items = append(merged.Items, m2)
					}
					merged.Items = append(merged.Items, s1...)
					for _, s := range s2 {
						if !slices.ContainsFunc(merged.Items, func(x py.Value) bool { return equal(x, s) }) {
							merged.Items = append(merged.Items, s)
						}
					}
					if err := into.Set(tgt, merged); err != nil {
						return nil, err
					}
				}
			}
		}
	}
	return top, nil
}

// VerifyTop tells what of the top is not formed as it should.
func (c *Compiler) VerifyTop(top *py.Dict) Errors {
	var errs Errors
	at := Place{File: c.opts.Text("state_top")}
	add := func(format string, args ...any) {
		errs = append(errs, &Error{Msg: fmt.Sprintf(format, args...), At: at})
	}
	for env, matches := range top.All() {
		if env == "include" {
			continue
		}
		name, ok := py.AsString(env)
		if !ok {
			add("Environment %s in top file is not formed as a string", str(env))
		} else if name == "" {
			add("Empty saltenv statement in top file")
		}
		m, ok := matches.(*py.Dict)
		if !ok {
			add("The top file matches for saltenv %s are not formatted as a dict", str(env))
			continue
		}
		for _, mods := range m.All() {
			l, ok := mods.(*py.List)
			if !ok {
				add("Malformed topfile (state declarations not formed as a list)")
				continue
			}
			for _, mod := range l.Items {
				switch x := mod.(type) {
				case *py.Dict:
					for _, v := range x.All() {
						if some, err := py.Truth(nil, v); err != nil || !some {
							add("Improperly formatted top file matcher in saltenv %s: %s file", str(x), str(v))
						}
					}
				case string:
					if x == "" {
						add("Environment %s contains an empty sls index", str(env))
					}
				}
			}
		}
	}
	return errs
}

// Match tells which SLS the top assigns to this minion, with those of master_tops.
func (c *Compiler) Match(ctx context.Context, top *py.Dict) (*Matches, error) {
	m := &Matches{SLS: map[string][]string{}}
	for _, e := range entries(top) {
		if only := c.Env(); only != "" && e.text != only {
			continue
		}
		body, ok := e.val.(*py.Dict)
		if !ok {
			continue
		}
		for _, t := range entries(body) {
			if err := c.matchOne(ctx, m, e.text, t.key, t.val); err != nil {
				return nil, err
			}
		}
	}
	ext := wire.NewMap()
	if c.cfg.Files != nil {
		var err error
		if ext, err = c.cfg.Files.MasterTops(ctx, c.opts); err != nil {
			return nil, fmt.Errorf("ask for the master's tops: %w", err)
		}
	}
	for env, v := range ext.Strings() {
		var more []string
		if l, ok := v.([]any); ok {
			for _, s := range l {
				if s, ok := s.(string); ok {
					more = append(more, s)
				}
			}
		}
		first, second := slices.Clone(m.SLS[env]), more
		if truthy(get(c.opts, "master_tops_first")) {
			first, second = more, first
		}
		all := slices.Clone(first)
		for _, s := range second {
			if !slices.Contains(first, s) {
				all = append(all, s)
			}
		}
		m.Add(env)
		m.SLS[env] = all
	}
	return m, nil
}

func (c *Compiler) matchOne(ctx context.Context, m *Matches, env string, match, data py.Value) error {
	items, ok := data.(*py.List)
	if !ok {
		items = py.NewList(data)
	}
	if !c.matches(match, items.Items) {
		return nil
	}
	m.Add(env)
	for _, item := range items.Items {
		switch x := item.(type) {
		case *py.Dict:
			if sub, ok := x.GetStr("subfilter"); ok {
				pop(x, "subfilter")
				if d, ok := sub.(*py.Dict); ok {
					for _, e := range entries(d) {
						if err := c.matchOne(ctx, m, env, e.key, e.val); err != nil {
							return err
						}
					}
				}
			}
			if x.Len() == 0 {
				continue
			}
			k, v := popLast(x)
			known, err := c.isEnv(ctx, str(k))
			if err != nil {
				return err
			}
			if known {
				m.Add(str(k), str(v))
			}
		case string:
			m.Add(env, x)
		}
	}
	return nil
}

// matches tells whether a target of a top file means this minion. A kind of match
// stands among the SLS; compound is the default.
func (c *Compiler) matches(expr py.Value, data []py.Value) bool {
	kind := "compound"
	for _, d := range data {
		if d, ok := d.(*py.Dict); ok {
			if v, ok := d.GetStr("match"); ok {
				kind = str(v)
			}
		}
	}
	t, err := target.Parse(str(expr), kind, target.Options{Nodegroups: c.opts.Map("nodegroups")})
	if err != nil {
		c.log.Error("a target of a top file cannot be read", "target", str(expr), "match", kind, "error", err)
		return false
	}
	ok, err := t.Match(target.Subject{ID: c.cfg.ID, Grains: c.cfg.Grains, Pillar: c.cfg.Pillar, Data: c.cfg.Data})
	if err != nil {
		c.log.Error("a target of a top file cannot be matched", "target", str(expr), "match", kind, "error", err)
	}
	return ok
}
