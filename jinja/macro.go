package jinja

import (
	"fmt"
	"slices"

	"github.com/gosalt/gosalt/jinja/py"
)

// macroProto is what all runs of a macro definition share.
type macroProto struct {
	name     string
	line     int
	doing    string
	args     []string
	slots    []int
	defaults []expr // nil where there is none
	frame    int    // number of slots
	enter    func(f *frame)
	body     stmt

	caller, explicitCaller, kwargs, varargs bool
	callerSlot, kwargsSlot, varargsSlot     int
}

// Macro is a macro with the scope it was defined in.
type Macro struct {
	proto *macroProto
	up    *frame
}

// PyType is jinja2's class.
func (m *Macro) PyType() string { return "jinja2.runtime.Macro" }

// Print is the macro's repr.
func (m *Macro) Print(*py.Thread, bool) (string, error) {
	if m.proto.name == "" {
		return "<Macro anonymous>", nil
	}
	return "<Macro " + py.Quote(m.proto.name) + ">", nil
}

func (m *Macro) quoted() string {
	if m.proto.name == "" {
		return "None"
	}
	return py.Quote(m.proto.name)
}

// Attr gives the documented attributes of a macro.
func (m *Macro) Attr(_ *py.Thread, name string) (py.Value, bool, error) {
	p := m.proto
	switch name {
	case "name":
		if p.name == "" {
			return nil, true, nil
		}
		return p.name, true, nil
	case "arguments":
		var t py.Tuple
		for _, a := range p.args {
			t = append(t, a)
		}
		return t, true, nil
	case "catch_kwargs":
		return p.kwargs, true, nil
	case "catch_varargs":
		return p.varargs, true, nil
	case "caller":
		return p.caller, true, nil
	case "explicit_caller":
		return p.explicitCaller, true, nil
	}
	return nil, false, nil
}

// Call runs the macro and returns its text.
func (m *Macro) Call(c *py.Call) (py.Value, error) {
	p, st := m.proto, m.up.st
	f := &frame{slots: newSlots(p.frame), up: m.up, ctx: m.up.ctx, st: st, tmpl: m.up.tmpl, out: &output{thread: st.thread}}
	kw := slices.Clone(c.Kw)
	for i := 1; i < len(kw); i++ {
		for _, k := range kw[:i] {
			if k.Name == kw[i].Name {
				return nil, py.Raise("TypeError", "jinja2.runtime.Macro.__call__() got multiple values for keyword argument '%s'", k.Name)
			}
		}
	}
	take := func(name string) (py.Value, bool) {
		for i, k := range kw {
			if k.Name == name {
				kw = slices.Delete(kw, i, i+1)
				return k.Value, true
			}
		}
		return py.Missing, false
	}
	n := len(p.args)
	foundCaller := len(c.Args) >= n && p.explicitCaller
	for i, name := range p.args {
		if i < len(c.Args) {
			f.slots[p.slots[i]] = c.Args[i]
			continue
		}
		f.slots[p.slots[i]], _ = take(name)
		if name == "caller" {
			foundCaller = true
		}
	}
	if p.caller && !foundCaller {
		v, ok := take("caller")
		if !ok || v == nil {
			v = &py.Undefined{Hint: "No caller defined", Name: "caller", Mode: st.env.Undefined}
		}
		f.slots[p.callerSlot] = v
	}
	if p.kwargs {
		d := py.NewDict(len(kw))
		for _, k := range kw {
			d.SetStr(k.Name, k.Value)
		}
		f.slots[p.kwargsSlot] = d
	} else if len(kw) > 0 {
		for _, k := range kw {
			if k.Name == "caller" {
				return nil, py.Raise("TypeError", "macro %s was invoked with two values for the special caller argument. This is most likely a bug.", m.quoted())
			}
		}
		return nil, py.Raise("TypeError", "macro %s takes no keyword argument %s", m.quoted(), py.Quote(kw[0].Name))
	}
	if p.varargs {
		var rest py.Tuple
		if len(c.Args) > n {
			rest = append(rest, c.Args[n:]...)
		}
		f.slots[p.varargsSlot] = rest
	} else if len(c.Args) > n {
		return nil, py.Raise("TypeError", "macro %s takes not more than %d argument(s)", m.quoted(), n)
	}
	if err := st.thread.Enter(); err != nil {
		return nil, err
	}
	defer st.thread.Leave()
	p.enter(f)
	for i, d := range p.defaults {
		slot := p.slots[i]
		if f.slots[slot] != py.Missing {
			continue
		}
		if d == nil {
			f.slots[slot] = &py.Undefined{
				Hint: fmt.Sprintf("parameter %s was not provided", py.Quote(p.args[i])), Name: p.args[i], Mode: st.env.Undefined,
			}
			continue
		}
		v, err := d(f)
		if err != nil {
			return nil, leaving(f.at(err, p.line), p.doing)
		}
		f.slots[slot] = v
	}
	if _, err := p.body(f); err != nil {
		return nil, leaving(err, p.doing)
	}
	if st.thread.Escape {
		return py.Markup(f.out.b.String()), nil
	}
	return f.out.b.String(), nil
}

// selfRef is the variable self: the blocks of the template by name.
type selfRef struct{ c *Context }

// PyType is jinja2's class.
func (s *selfRef) PyType() string { return "jinja2.runtime.TemplateReference" }

// Item returns a block.
func (s *selfRef) Item(t *py.Thread, key py.Value) (py.Value, error) {
	if name, ok := py.AsString(key); ok {
		if stack := s.c.blocks[name]; len(stack) > 0 {
			return &blockRef{name: name, c: s.c, stack: stack}, nil
		}
	}
	r, err := py.Repr(t, key)
	if err != nil {
		return nil, err
	}
	return nil, py.Raise("KeyError", "%s", r)
}

// Print is jinja2's repr.
func (s *selfRef) Print(*py.Thread, bool) (string, error) {
	return "<TemplateReference " + py.Quote(s.c.tmpl.name) + ">", nil
}

// blockRef is a block at a depth of the inheritance: self.name, or super.
type blockRef struct {
	name  string
	c     *Context
	stack []*function
	depth int
}

func noParent(c *Context, name string) *py.Undefined {
	return &py.Undefined{Hint: "there is no parent block called " + py.Quote(name) + ".", Name: "super", Mode: c.st.env.Undefined}
}

// superOf is the variable super in the block that current is.
func superOf(c *Context, name string, current *function) py.Value {
	stack := c.blocks[name]
	i := slices.Index(stack, current)
	if i < 0 || i+1 >= len(stack) {
		return noParent(c, name)
	}
	return &blockRef{name: name, c: c, stack: stack, depth: i + 1}
}

// PyType is jinja2's class.
func (r *blockRef) PyType() string { return "jinja2.runtime.BlockReference" }

// Attr gives super of super, and the block's name.
func (r *blockRef) Attr(_ *py.Thread, name string) (py.Value, bool, error) {
	switch name {
	case "super":
		if r.depth+1 >= len(r.stack) {
			return noParent(r.c, r.name), true, nil
		}
		return &blockRef{name: r.name, c: r.c, stack: r.stack, depth: r.depth + 1}, true, nil
	case "name":
		return r.name, true, nil
	}
	return nil, false, nil
}

// Call renders the block.
func (r *blockRef) Call(c *py.Call) (py.Value, error) {
	if n := len(c.Args) + len(c.Kw); n > 0 {
		return nil, py.Raise("TypeError", "BlockReference.__call__() takes 1 positional argument but %d were given", n+1)
	}
	if err := r.c.st.thread.Enter(); err != nil {
		return nil, err
	}
	defer r.c.st.thread.Leave()
	out := &output{thread: r.c.st.thread}
	if err := r.stack[r.depth].run(r.c, out); err != nil {
		return nil, leaving(err, "block "+py.Quote(r.name))
	}
	return out.b.String(), nil
}
