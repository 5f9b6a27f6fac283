package render

import (
	"context"
	"maps"
	"slices"

	"github.com/gosalt/gosalt/internal/render/pydict"
	"github.com/gosalt/gosalt/internal/render/value"
	"github.com/gosalt/gosalt/jinja/py"
)

// native is an execution function that works on the templates' own data: pillar.get
// returns the pillar itself and not a copy, defaults.merge changes its argument.
type native struct {
	params string
	fn     func(r *Renderer, c *py.Call) (py.Value, error)
}

// natives are these functions. It is filled below and in native_*.go.
var natives = map[string]native{}

func nativeNames() []string { return slices.Sorted(maps.Keys(natives)) }

// Natives lists the functions that templates have without Config.Functions.
func Natives() []string { return nativeNames() }

func init() {
	for _, name := range []string{"pillar.get", "pillar.fetch"} {
		natives[name] = native{"key, default=?, merge=False, merge_nested_lists=None, delimiter=':', pillarenv=None, saltenv=None", pillarGet}
	}
	natives["grains.get"] = native{"key, default='', delimiter=':', ordered=True", func(r *Renderer, c *py.Call) (py.Value, error) {
		g, err := r.grains()
		if err != nil {
			return nil, err
		}
		return pydict.Traverse(c.T, g, c.Args[0], c.Args[1], text(c.Args[2]))
	}}
	natives["grains.has_value"] = native{"key", func(r *Renderer, c *py.Call) (py.Value, error) {
		g, err := r.grains()
		if err != nil {
			return nil, err
		}
		v, err := pydict.Traverse(c.T, g, c.Args[0], py.Missing, ":")
		return v != py.Missing, err
	}}
	natives["grains.filter_by"] = native{"lookup_dict, grain='os_family', merge=None, default='default', base=None", func(r *Renderer, c *py.Call) (py.Value, error) {
		g, err := r.grains()
		if err != nil {
			return nil, err
		}
		return pydict.FilterBy(c.T, c.Args[0], c.Args[1], g, c.Args[2], c.Args[3], c.Args[4])
	}}
	natives["pillar.filter_by"] = native{"lookup_dict, pillar, merge=None, default='default', base=None", func(r *Renderer, c *py.Call) (py.Value, error) {
		p, err := r.pillar()
		if err != nil {
			return nil, err
		}
		return pydict.FilterBy(c.T, c.Args[0], c.Args[1], p, c.Args[2], c.Args[3], c.Args[4])
	}}
	natives["pillar.keys"] = native{"key, delimiter=':'", pillarKeys}
	natives["pillar.raw"] = native{"key=None", func(r *Renderer, c *py.Call) (py.Value, error) {
		p, err := r.Pillar()
		if err != nil || c.Args[0] == nil {
			return p, err
		}
		v, ok, err := p.Get(c.Args[0])
		if !ok {
			v = py.NewDict(0)
		}
		return v, err
	}}
	natives["config.get"] = native{"key, default='', delimiter=':', merge=None, omit_opts=False, omit_pillar=False, omit_master=False, omit_grains=False", configGet}
	natives["slsutil.update"] = native{"dest, upd, recursive_update=True, merge_lists=False", func(r *Renderer, c *py.Call) (py.Value, error) {
		flags, err := truths(c, 2, 3)
		if err != nil {
			return nil, err
		}
		return pydict.Update(c.T, c.Args[0], c.Args[1], flags[0], flags[1])
	}}
	natives["slsutil.merge"] = native{"obj_a, obj_b, strategy='smart', renderer='yaml', merge_lists=False", func(r *Renderer, c *py.Call) (py.Value, error) {
		flags, err := truths(c, 4)
		if err != nil {
			return nil, err
		}
		return pydict.Merge(c.T, c.Args[0], c.Args[1], text(c.Args[2]), text(c.Args[3]), flags[0], r.warnStrategy)
	}}
	natives["slsutil.merge_all"] = native{"lst, strategy='smart', renderer='yaml', merge_lists=False", func(r *Renderer, c *py.Call) (py.Value, error) {
		flags, err := truths(c, 3)
		if err != nil {
			return nil, err
		}
		var ret py.Value = py.NewDict(0)
		err = py.Each(c.T, c.Args[0], func(v py.Value) error {
			var err error
			ret, err = pydict.Merge(c.T, ret, v, text(c.Args[1]), text(c.Args[2]), flags[0], r.warnStrategy)
			return err
		})
		return ret, err
	}}
	natives["slsutil.boolstr"] = native{"value, true='true', false='false'", func(r *Renderer, c *py.Call) (py.Value, error) {
		on, err := py.Truth(c.T, c.Args[0])
		if on {
			return c.Args[1], err
		}
		return c.Args[2], err
	}}
	natives["defaults.merge"] = native{"dest, src, merge_lists=False, in_place=True, convert_none=True", defaultsMerge}
	natives["defaults.deepcopy"] = native{"source", func(r *Renderer, c *py.Call) (py.Value, error) { return py.Copy(c.Args[0]), nil }}
	natives["defaults.update"] = native{"dest, defaults, merge_lists=True, in_place=True, convert_none=True", defaultsUpdate}
	for _, level := range []string{"debug", "info", "warning", "error", "critical", "exception"} {
		natives["log."+level] = native{"message", func(r *Renderer, c *py.Call) (py.Value, error) {
			s, err := py.Str(c.T, c.Args[0])
			if err != nil {
				return nil, err
			}
			log := r.cfg.Log
			switch level {
			case "debug":
				log.Debug("a template says", "text", s)
			case "info":
				log.Info("a template says", "text", s)
			case "warning":
				log.Warn("a template says", "text", s)
			default:
				log.Error("a template says", "text", s)
			}
			return true, nil
		}}
	}
}

func (r *Renderer) warnStrategy(s string) {
	r.cfg.Log.Warn("a merging strategy that there is not: recurse is taken", "strategy", s)
}

func text(v py.Value) string {
	s, _ := py.AsString(v)
	return s
}

// truths tells of some arguments whether they are true.
func truths(c *py.Call, at ...int) ([]bool, error) {
	out := make([]bool, len(at))
	for i, n := range at {
		var err error
		if out[i], err = py.Truth(c.T, c.Args[n]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// option is an option as templates see it, so as they may have changed it.
func (r *Renderer) option(name string) py.Value {
	o, err := asDict(r.opts())
	if err != nil {
		return nil
	}
	v, _ := o.GetStr(name)
	return v
}

func pillarGet(r *Renderer, c *py.Call) (py.Value, error) {
	pillar, err := r.pillar()
	if err != nil {
		return nil, err
	}
	key, def, delimiter := c.Args[0], c.Args[1], text(c.Args[4])
	if u, ok := def.(*py.Undefined); ok && u.Mode == py.Strict {
		return nil, u.Fail() // Salt compares it, whether it is needed or not
	}
	raise, err := py.Truth(c.T, r.option("pillar_raise_on_missing"))
	if err != nil {
		return nil, err
	}
	if def == py.Missing && !raise {
		def = ""
	}
	lists := c.Args[3]
	if lists == nil {
		lists = r.option("pillar_merge_lists")
	}
	mergeLists, err := py.Truth(c.T, lists)
	if err != nil {
		return nil, err
	}
	merge, err := py.Truth(c.T, c.Args[2])
	if err != nil {
		return nil, err
	}
	if merge {
		switch d := def.(type) {
		case *py.Dict:
			ret, err := pydict.Traverse(c.T, pillar, key, py.NewDict(0), delimiter)
			if err != nil {
				return nil, err
			}
			if pydict.IsMapping(ret) {
				return pydict.Update(c.T, py.Copy(d), ret, true, mergeLists)
			}
			r.cfg.Log.Error("pillar.get: the default is a dict and the value is not, they are not merged", "key", text(key), "type", py.TypeName(ret))
		case *py.List:
			ret, err := pydict.Traverse(c.T, pillar, key, py.NewList(), delimiter)
			if err != nil {
				return nil, err
			}
			if l, ok := ret.(*py.List); ok {
				return pydict.ExtendNew(c.T, d, l)
			}
			r.cfg.Log.Error("pillar.get: the default is a list and the value is not, they are not merged", "key", text(key), "type", py.TypeName(ret))
		default:
			r.cfg.Log.Error("pillar.get: the default must be a dict or list to be merged", "key", text(key), "type", py.TypeName(def))
		}
	}
	ret, err := pydict.Traverse(c.T, pillar, key, def, delimiter)
	if err == nil && ret == py.Missing {
		s, serr := py.Str(c.T, key)
		if serr != nil {
			return nil, serr
		}
		return nil, &py.Error{Type: "KeyError", Msg: py.Quote("Pillar key not found: " + s)}
	}
	return ret, err
}

func pillarKeys(r *Renderer, c *py.Call) (py.Value, error) {
	pillar, err := r.pillar()
	if err != nil {
		return nil, err
	}
	ret, err := pydict.Traverse(c.T, pillar, c.Args[0], py.Missing, text(c.Args[1]))
	if err != nil {
		return nil, err
	}
	if ret == py.Missing {
		return nil, &py.Error{Type: "KeyError", Msg: py.Quote("Pillar key not found: " + text(c.Args[0]))}
	}
	d, ok := ret.(*py.Dict)
	if !ok {
		return nil, py.Raise("ValueError", "Pillar value in key %s is not a dict", text(c.Args[0]))
	}
	l := py.NewList()
	for k := range d.All() {
		l.Items = append(l.Items, k)
	}
	return l, nil
}

// configGet looks through options, grains, pillar, and the master's options.
func configGet(r *Renderer, c *py.Call) (py.Value, error) {
	key, delimiter := c.Args[0], text(c.Args[2])
	omit, err := truths(c, 4, 5, 6, 7)
	if err != nil {
		return nil, err
	}
	grains, err := r.grains()
	if err != nil {
		return nil, err
	}
	pillar, err := r.Pillar()
	if err != nil {
		return nil, err
	}
	opts, err := asDict(r.opts())
	if err != nil {
		return nil, err
	}
	master, ok := pillar.GetStr("master")
	if !ok {
		master = py.NewDict(0)
	}
	defaults := py.NewDict(0)
	if r.cfg.ConfigDefaults != nil {
		v, err := value.FromWire(r.cfg.ConfigDefaults, false)
		if err != nil {
			return nil, err
		}
		defaults = v.(*py.Dict)
	}
	if c.Args[3] != nil {
		strategy := text(c.Args[3])
		if strategy != "recurse" && strategy != "overwrite" {
			r.warnStrategy(strategy)
			strategy = "recurse"
		}
		var data py.Value = defaults
		for _, next := range []py.Value{master, pillar, grains, opts} {
			if data, err = pydict.Merge(c.T, data, next, strategy, "yaml", false, nil); err != nil {
				return nil, err
			}
		}
		return pydict.Traverse(c.T, data, key, c.Args[1], delimiter)
	}
	for _, in := range []struct {
		data py.Value
		omit bool
	}{{opts, omit[0]}, {grains, omit[3]}, {pillar, omit[1]}, {master, omit[2]}, {defaults, false}} {
		if in.omit {
			continue
		}
		v, err := pydict.Traverse(c.T, in.data, key, py.Missing, delimiter)
		if err != nil || v != py.Missing {
			return v, err
		}
	}
	return c.Args[1], nil
}

func defaultsMerge(r *Renderer, c *py.Call) (py.Value, error) {
	flags, err := truths(c, 2, 3, 4)
	if err != nil {
		return nil, err
	}
	return mergeDefaults(c.T, c.Args[0], c.Args[1], flags[0], flags[1], flags[2])
}

func mergeDefaults(t *py.Thread, dest, src py.Value, lists, inPlace, convertNone bool) (py.Value, error) {
	if src == nil && convertNone {
		src = py.NewDict(0)
	}
	if dest == nil && convertNone {
		if inPlace {
			return nil, py.Raise("TypeError", "Can't perform in-place merge into NoneType")
		}
		dest = py.NewDict(0)
	}
	if !inPlace {
		dest = py.Copy(dest)
	}
	return pydict.Update(t, dest, src, true, lists)
}

func defaultsUpdate(r *Renderer, c *py.Call) (py.Value, error) {
	flags, err := truths(c, 2, 3, 4)
	if err != nil {
		return nil, err
	}
	lists, inPlace, convertNone := flags[0], flags[1], flags[2]
	nodes := c.Args[0]
	switch {
	case inPlace && nodes == nil:
		return nil, py.Raise("TypeError", "Can't perform in-place update into NoneType")
	case !inPlace:
		if nodes == nil && convertNone {
			nodes = py.NewDict(0)
		}
		nodes = py.Copy(nodes)
	}
	if u, ok := nodes.(*py.Undefined); ok {
		return nil, u.Fail()
	}
	d, ok := nodes.(*py.Dict)
	if !ok {
		return nil, py.Raise("AttributeError", "'%s' object has no attribute 'items'", py.TypeName(nodes))
	}
	for k, vars := range d.Copy().All() {
		merged, err := mergeDefaults(c.T, py.Copy(c.Args[1]), vars, lists, true, convertNone)
		if err != nil {
			return nil, err
		}
		if err := d.Set(k, merged); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func traverse(t *py.Thread, data, key, def py.Value) (py.Value, error) {
	return pydict.Traverse(t, data, key, def, ":")
}

// CallNative runs one of these functions for a program: values are of the wire's model,
// and positional.
func (r *Renderer) CallNative(ctx context.Context, name string, args ...any) (any, error) {
	fn, ok := r.funcs.get(name)
	if !ok {
		return nil, py.Raise("KeyError", "'%s'", name)
	}
	c := &py.Call{T: py.NewThread(ctx, r.cfg.Limits.Limits), Args: make([]py.Value, len(args))}
	for i, a := range args {
		var err error
		if c.Args[i], err = value.FromWire(a, false); err != nil {
			return nil, err
		}
	}
	v, err := fn.native.Call(c)
	if err != nil {
		return nil, err
	}
	return value.ToWire(v)
}
