package jinja

import (
	"slices"
	"strings"

	"github.com/gosalt/gosalt/jinja/py"
	"github.com/gosalt/gosalt/jinja/syntax"
)

func (c *compiler) exprs(ns []syntax.Node, b block) []expr {
	out := make([]expr, len(ns))
	for i, n := range ns {
		out[i] = c.expr(n, b)
	}
	return out
}

func (c *compiler) opt(n syntax.Node, b block) expr {
	if n == nil {
		return nil
	}
	return c.expr(n, b)
}

func evalAll(f *frame, es []expr) ([]py.Value, error) {
	out := make([]py.Value, len(es))
	for i, e := range es {
		v, err := e(f)
		if err != nil {
			return nil, err
		}
		out[i] = v
	}
	return out, nil
}

func (c *compiler) expr(n syntax.Node, b block) expr {
	switch x := n.(type) {
	case *syntax.Name:
		return c.name(x, b)
	case *syntax.Const:
		v := x.Value
		return func(*frame) (py.Value, error) { return v, nil }
	case *syntax.TemplateData:
		var v py.Value = x.Data
		return func(*frame) (py.Value, error) { return v, nil }
	case *syntax.TupleExpr:
		items := c.exprs(x.Items, b)
		return func(f *frame) (py.Value, error) {
			vs, err := evalAll(f, items)
			return py.Tuple(vs), err
		}
	case *syntax.ListExpr:
		items := c.exprs(x.Items, b)
		return func(f *frame) (py.Value, error) {
			vs, err := evalAll(f, items)
			if err != nil {
				return nil, err
			}
			return &py.List{Items: vs}, f.st.thread.Alloc(16 * len(vs))
		}
	case *syntax.DictExpr:
		keys, values := c.exprs(x.Keys, b), c.exprs(x.Values, b)
		return func(f *frame) (py.Value, error) {
			d := py.NewDict(len(keys))
			for i := range keys {
				k, err := keys[i](f)
				if err != nil {
					return nil, err
				}
				v, err := values[i](f)
				if err != nil {
					return nil, err
				}
				if err := d.Set(k, v); err != nil {
					return nil, err
				}
			}
			return d, f.st.thread.Alloc(64 * len(keys))
		}
	case *syntax.CondExpr:
		return c.condExpr(x, b.softened())
	case *syntax.Filter:
		return c.filter(x, b)
	case *syntax.Test:
		return c.test(x, b)
	case *syntax.Call:
		return c.call(x, b, nil)
	case *syntax.Getattr:
		obj := c.expr(x.Node, b)
		return func(f *frame) (py.Value, error) {
			v, err := obj(f)
			if err != nil {
				return nil, err
			}
			return f.st.getattr(v, x.Attr)
		}
	case *syntax.Getitem:
		return c.getitem(x, b)
	case *syntax.Slice: // one of several subscripts: x[1:2, 3]
		parts := []expr{c.opt(x.Start, b), c.opt(x.Stop, b), c.opt(x.Step, b)}
		return func(f *frame) (py.Value, error) {
			for _, p := range parts {
				if p != nil {
					if _, err := p(f); err != nil {
						return nil, err
					}
				}
			}
			return nil, py.Raise("TypeError", "slices cannot be part of a tuple of indices")
		}
	case *syntax.Concat:
		return c.concat(x, b)
	case *syntax.Compare:
		return c.compare(x, b)
	case *syntax.Binary:
		return c.binary(x, b)
	case *syntax.Unary:
		operand := c.expr(x.Node, b)
		if x.Op == "not" {
			return func(f *frame) (py.Value, error) {
				v, err := operand(f)
				if err != nil {
					return nil, err
				}
				t, err := py.Truth(f.st.thread, v)
				return !t, err
			}
		}
		return func(f *frame) (py.Value, error) {
			v, err := operand(f)
			if err != nil {
				return nil, err
			}
			return py.Unary(x.Op, v)
		}
	}
	c.fail(n.Line(), "%T is no expression", n)
	return nil
}

func (c *compiler) condExpr(x *syntax.CondExpr, b block) expr {
	test, then, other := c.expr(x.Test, b), c.expr(x.Then, b), c.opt(x.Else, b)
	if other == nil {
		hint := "the inline if-expression on " + c.position(x.Line()) + " evaluated to false and no else section was defined."
		// jinja2 takes the lenient undefined here, whatever the environment says
		other = func(*frame) (py.Value, error) { return &py.Undefined{Hint: hint}, nil }
	}
	return func(f *frame) (py.Value, error) {
		v, err := test(f)
		if err != nil {
			return nil, err
		}
		t, err := py.Truth(f.st.thread, v)
		if err != nil {
			return nil, err
		}
		if t {
			return then(f)
		}
		return other(f)
	}
}

// position is a line in jinja2's words.
func (c *compiler) position(line int) string {
	s := "line " + itoa(line)
	if c.tmpl.name != "" {
		s += " in " + py.Quote(c.tmpl.name)
	}
	return s
}

func (c *compiler) getitem(x *syntax.Getitem, b block) expr {
	obj := c.expr(x.Node, b)
	if s, ok := x.Arg.(*syntax.Slice); ok {
		parts := [3]expr{c.opt(s.Start, b), c.opt(s.Stop, b), c.opt(s.Step, b)}
		return func(f *frame) (py.Value, error) {
			v, err := obj(f)
			if err != nil {
				return nil, err
			}
			var at [3]py.Value
			for i, p := range parts {
				if p != nil {
					if at[i], err = p(f); err != nil {
						return nil, err
					}
				}
			}
			return py.Slice(f.st.thread, v, at[0], at[1], at[2])
		}
	}
	key := c.expr(x.Arg, b)
	return func(f *frame) (py.Value, error) {
		v, err := obj(f)
		if err != nil {
			return nil, err
		}
		k, err := key(f)
		if err != nil {
			return nil, err
		}
		if d, ok := v.(*py.Dict); ok {
			if s, ok := k.(string); ok {
				if r, ok := d.GetStr(s); ok {
					return r, nil
				}
			}
		}
		return f.st.getitem(v, k)
	}
}

func (c *compiler) concat(x *syntax.Concat, b block) expr {
	parts := c.exprs(x.Nodes, b)
	escape := c.escape
	return func(f *frame) (py.Value, error) {
		vs, err := evalAll(f, parts)
		if err != nil {
			return nil, err
		}
		if escape && slices.ContainsFunc(vs, isSafe) {
			var all py.Markup
			for _, v := range vs {
				s, err := py.Escape(f.st.thread, v)
				if err != nil {
					return nil, err
				}
				all += s
			}
			return all, f.st.thread.Alloc(len(all))
		}
		var sb strings.Builder
		for _, v := range vs {
			s, err := py.Str(f.st.thread, v)
			if err != nil {
				return nil, err
			}
			if err := f.st.thread.Alloc(len(s)); err != nil {
				return nil, err
			}
			sb.WriteString(s)
		}
		return sb.String(), nil
	}
}

// isSafe tells whether a value is HTML that needs no escaping.
func isSafe(v py.Value) bool {
	switch v.(type) {
	case py.Markup, py.HTML:
		return true
	}
	return false
}

func (c *compiler) compare(x *syntax.Compare, b block) expr {
	first := c.expr(x.Expr, b)
	rest := make([]expr, len(x.Ops))
	for i, o := range x.Ops {
		rest[i] = c.expr(o.Expr, b)
	}
	return func(f *frame) (py.Value, error) {
		left, err := first(f)
		if err != nil {
			return nil, err
		}
		for i := range rest {
			right, err := rest[i](f)
			if err != nil {
				return nil, err
			}
			ok, err := compareOp(f.st.thread, x.Ops[i].Op, left, right)
			if err != nil || !ok {
				return false, err
			}
			left = right
		}
		return true, nil
	}
}

func compareOp(t *py.Thread, op string, a, b py.Value) (bool, error) {
	switch op {
	case "==":
		return py.Equal(t, a, b)
	case "!=":
		eq, err := py.Equal(t, a, b)
		return !eq, err
	case "in":
		return py.Contains(t, b, a)
	case "not in":
		in, err := py.Contains(t, b, a)
		return !in, err
	}
	return py.Compare(t, op, a, b)
}

func (c *compiler) binary(x *syntax.Binary, b block) expr {
	left, right := c.expr(x.Left, b), c.expr(x.Right, b)
	switch x.Op {
	case "and", "or":
		stop := x.Op == "or"
		return func(f *frame) (py.Value, error) {
			v, err := left(f)
			if err != nil {
				return nil, err
			}
			t, err := py.Truth(f.st.thread, v)
			if err != nil || t == stop {
				return v, err
			}
			return right(f)
		}
	}
	op := x.Op
	return func(f *frame) (py.Value, error) {
		l, err := left(f)
		if err != nil {
			return nil, err
		}
		r, err := right(f)
		if err != nil {
			return nil, err
		}
		return py.Binary(f.st.thread, op, l, r)
	}
}

// arguments compiles a call's arguments; extra are added behind those by name.
func (c *compiler) arguments(a *syntax.Args, b block, extra map[string]expr) func(f *frame, self ...py.Value) ([]py.Value, []py.KW, error) {
	pos := c.exprs(a.Pos, b)
	names := make([]string, len(a.Kw))
	values := make([]expr, len(a.Kw))
	for i, k := range a.Kw {
		names[i], values[i] = k.Name, c.expr(k.Value, b)
	}
	for n, e := range extra {
		names, values = append(names, n), append(values, e)
	}
	star, star2 := c.opt(a.Star, b), c.opt(a.Star2, b)
	return func(f *frame, self ...py.Value) ([]py.Value, []py.KW, error) {
		args := make([]py.Value, 0, len(self)+len(pos))
		args = append(args, self...)
		for _, e := range pos {
			v, err := e(f)
			if err != nil {
				return nil, nil, err
			}
			args = append(args, v)
		}
		var kw []py.KW
		if len(names) > 0 {
			kw = make([]py.KW, len(names))
			for i, e := range values {
				v, err := e(f)
				if err != nil {
					return nil, nil, err
				}
				kw[i] = py.KW{Name: names[i], Value: v}
			}
		}
		if star != nil {
			v, err := star(f)
			if err != nil {
				return nil, nil, err
			}
			if _, err := py.Iter(f.st.thread, v); err != nil {
				if py.IsA(err, "TypeError") {
					err = py.Raise("TypeError", "Value after * must be an iterable, not %s", py.TypeName(v))
				}
				return nil, nil, err
			}
			items, err := py.Collect(f.st.thread, v)
			if err != nil {
				return nil, nil, err
			}
			args = append(args, items...)
		}
		if star2 != nil {
			v, err := star2(f)
			if err != nil {
				return nil, nil, err
			}
			if kw, err = spreadMapping(f.st.thread, v, kw); err != nil {
				return nil, nil, err
			}
		}
		return args, kw, nil
	}
}

// spreadMapping adds the entries of **v to the keyword arguments.
func spreadMapping(t *py.Thread, v py.Value, kw []py.KW) ([]py.KW, error) {
	switch x := v.(type) {
	case *py.Dict, py.Mapping:
	case *py.Undefined:
		return nil, x.Fail()
	default:
		return nil, py.Raise("TypeError", "jinja2.sandbox.SandboxedEnvironment.call() argument after ** must be a mapping, not %s", py.TypeName(v))
	}
	d := py.NewDict(4)
	if err := py.Update(t, d, v); err != nil {
		return nil, err
	}
	for k, e := range d.All() {
		name, ok := py.AsString(k)
		if !ok {
			return nil, py.Raise("TypeError", "keywords must be strings")
		}
		for _, have := range kw {
			if have.Name == name {
				return nil, py.Raise("TypeError", "jinja2.sandbox.SandboxedEnvironment.call() got multiple values for keyword argument '%s'", name)
			}
		}
		kw = append(kw, py.KW{Name: name, Value: e})
	}
	return kw, nil
}

func (c *compiler) filter(x *syntax.Filter, b block) expr {
	c.mustHave("filter", x.Name, c.env.Filters, x.Line(), b)
	var node expr
	if x.Node != nil {
		node = c.expr(x.Node, b)
	}
	return c.filterOf(x, b, node)
}

// filterOf applies a filter to what node gives.
func (c *compiler) filterOf(x *syntax.Filter, b block, node expr) expr {
	args := c.arguments(&x.Args, b, nil)
	fn := c.env.Filters[x.Name]
	c.mustHave("filter", x.Name, c.env.Filters, x.Line(), b)
	if fn == nil {
		return func(*frame) (py.Value, error) {
			return nil, py.Raise("TemplateRuntimeError", "No filter named %s found.", py.Quote(x.Name))
		}
	}
	if len(x.Args.Pos) == 0 && len(x.Args.Kw) == 0 && x.Args.Star == nil && x.Args.Star2 == nil {
		return func(f *frame) (py.Value, error) {
			v, err := node(f)
			if err != nil {
				return nil, err
			}
			return f.st.call(fn, f.ctx, []py.Value{v}, nil)
		}
	}
	return func(f *frame) (py.Value, error) {
		v, err := node(f)
		if err != nil {
			return nil, err
		}
		as, kw, err := args(f, v)
		if err != nil {
			return nil, err
		}
		return f.st.call(fn, f.ctx, as, kw)
	}
}

// mustHave abandons a template with a filter or test that there is not. Inside an
// if that is for the render to say, where it comes there.
func (c *compiler) mustHave(kind, name string, in map[string]py.Callable, line int, b block) {
	if in[name] == nil && !b.soft {
		c.fail(line, "No %s named %s.", kind, py.Quote(name))
	}
}

func (c *compiler) test(x *syntax.Test, b block) expr {
	c.mustHave("test", x.Name, c.env.Tests, x.Line(), b)
	node := c.expr(x.Node, b)
	if len(x.Args.Pos) == 0 && len(x.Args.Kw) == 0 && x.Args.Star == nil && x.Args.Star2 == nil {
		switch x.Name { // the commonest, if nobody replaced them
		case "defined", "undefined":
			want := x.Name == "undefined"
			if c.env.Tests[x.Name] == builtinTests()[x.Name] {
				return func(f *frame) (py.Value, error) {
					v, err := node(f)
					_, undef := v.(*py.Undefined)
					return undef == want, err
				}
			}
		}
	}
	args := c.arguments(&x.Args, b, nil)
	fn := c.env.Tests[x.Name]
	if fn == nil {
		return func(*frame) (py.Value, error) {
			return nil, py.Raise("TemplateRuntimeError", "No test named %s found.", py.Quote(x.Name))
		}
	}
	return func(f *frame) (py.Value, error) {
		v, err := node(f)
		if err != nil {
			return nil, err
		}
		as, kw, err := args(f, v)
		if err != nil {
			return nil, err
		}
		return f.st.call(fn, f.ctx, as, kw)
	}
}

// call compiles a call; caller is the macro of a call block.
func (c *compiler) call(x *syntax.Call, b block, caller expr) expr {
	var extra map[string]expr
	if caller != nil {
		extra = map[string]expr{"caller": caller}
	}
	args := c.arguments(&x.Args, b, extra)
	if g, ok := x.Func.(*syntax.Getattr); ok && !strings.HasPrefix(g.Attr, "_") {
		return c.methodCall(g, b, args)
	}
	fn := c.expr(x.Func, b)
	return func(f *frame) (py.Value, error) {
		v, err := fn(f)
		if err != nil {
			return nil, err
		}
		as, kw, err := args(f)
		if err != nil {
			return nil, err
		}
		return f.st.call(v, f.ctx, as, kw)
	}
}

// methodCall is obj.name(...), which for builtin classes needs no bound method.
func (c *compiler) methodCall(g *syntax.Getattr, b block, args func(*frame, ...py.Value) ([]py.Value, []py.KW, error)) expr {
	obj := c.expr(g.Node, b)
	return func(f *frame) (py.Value, error) {
		o, err := obj(f)
		if err != nil {
			return nil, err
		}
		if py.HasMethod(o, g.Attr) {
			as, kw, err := args(f)
			if err != nil {
				return nil, err
			}
			r, _, err := py.CallMethod(f.st.thread, o, g.Attr, as, kw, f.ctx)
			return r, err
		}
		v, err := f.st.getattr(o, g.Attr)
		if err != nil {
			return nil, err
		}
		as, kw, err := args(f)
		if err != nil {
			return nil, err
		}
		return f.st.call(v, f.ctx, as, kw)
	}
}
