package jinja

import (
	"fmt"

	"github.com/gosalt/gosalt/jinja/py"
	"github.com/gosalt/gosalt/jinja/syntax"
)

// control is how a statement ends.
type control int

const (
	proceed control = iota
	nextRound
	breakLoop
)

type (
	expr   func(f *frame) (py.Value, error)
	stmt   func(f *frame) (control, error)
	assign func(f *frame, v py.Value) error
)

// frame is one run of a function: the root of a template, a block, a macro, a
// recursive loop. up is the frame the function was defined in.
type frame struct {
	slots  []py.Value
	up     *frame
	ctx    *Context
	st     *state
	tmpl   *Template
	out    *output
	parent *Template // of the template, once extends has run
}

func newSlots(n int) []py.Value {
	s := make([]py.Value, n)
	for i := range s {
		s[i] = py.Missing
	}
	return s
}

// at gives an error its place.
func (f *frame) at(err error, line int) error { return place(err, f.tmpl.name, line) }

// root is the frame of the template's root that f runs under.
func (f *frame) root() *frame {
	for f.up != nil {
		f = f.up
	}
	return f
}

// compiler turns the tree of one template into closures.
type compiler struct {
	env          *Environment
	tmpl         *Template
	extends      int  // extends statements so far
	knownExtends bool // one of them always runs
	ids          int
	loops        int  // loops of the current function around the statement
	escape       bool // output is escaped
}

// block is where a statement stands: its scope and what that scope is.
type block struct {
	*scope
	toplevel    bool // of the template: assignments are exported
	rootlevel   bool // not even inside an if
	soft        bool // inside an if or an inline if
	checkOutput bool // text is dropped once the template has a parent
}

func (b block) inner(fn *funcScope) block {
	if fn == nil {
		fn = b.fn
	}
	return block{scope: newScope(b.scope, fn), checkOutput: b.checkOutput}
}

func (b block) softened() block {
	b.scope = b.scope.copy()
	b.rootlevel = false
	b.soft = true
	return b
}

// fail abandons the compilation.
func (c *compiler) fail(line int, format string, args ...any) {
	panic(&syntax.Error{Msg: fmt.Sprintf(format, args...), Name: c.tmpl.name, Line: line, Assertion: true})
}

func compileTemplate(env *Environment, tree *syntax.Template) (t *Template, err error) {
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(*syntax.Error)
			if !ok {
				panic(r)
			}
			t, err = nil, e
		}
	}()
	t = &Template{env: env, name: tree.Name, blocks: map[string]*function{}}
	c := &compiler{env: env, tmpl: t}
	var blocks []*syntax.Block
	hasExtends := false
	syntax.Walk(tree, func(n syntax.Node) bool {
		switch x := n.(type) {
		case *syntax.Extends:
			hasExtends = true
		case *syntax.Block:
			if t.blocks[x.Name] != nil {
				c.fail(x.Line(), "block %s defined twice", py.Quote(x.Name))
			}
			t.blocks[x.Name] = &function{tmpl: t, name: x.Name}
			t.order = append(t.order, x.Name)
			blocks = append(blocks, x)
		}
		return true
	})

	fn := newFuncScope()
	b := block{scope: newScope(nil, fn), toplevel: true, rootlevel: true, checkOutput: hasExtends}
	var enter []func(f *frame)
	if undeclared(tree.Body, "self")["self"] {
		slot := fn.slot(b.param("self"))
		enter = append(enter, func(f *frame) { f.slots[slot] = &selfRef{f.ctx} })
	}
	b.visitAll(tree.Body)
	load := c.enter(b.scope)
	body := c.body(tree.Body, b)
	t.root = &function{tmpl: t}
	t.root.body = func(f *frame) (control, error) {
		for _, e := range enter {
			e(f)
		}
		load(f)
		if ctl, err := body(f); err != nil {
			return ctl, err
		}
		if f.parent == nil {
			return proceed, nil
		}
		if err := f.st.thread.Enter(); err != nil {
			return proceed, err
		}
		defer f.st.thread.Leave()
		return proceed, f.parent.root.run(f.ctx, f.out)
	}
	t.root.slots = len(fn.slots)

	for _, x := range blocks {
		c.block(x)
	}
	return t, nil
}

// block compiles the function of a block.
func (c *compiler) block(x *syntax.Block) {
	c.loops = 0
	fn := newFuncScope()
	b := block{scope: newScope(nil, fn)}
	self := c.tmpl.blocks[x.Name]
	var enter []func(f *frame)
	und := undeclared(x.Body, "self", "super")
	if und["self"] {
		slot := fn.slot(b.param("self"))
		enter = append(enter, func(f *frame) { f.slots[slot] = &selfRef{f.ctx} })
	}
	if und["super"] {
		slot := fn.slot(b.param("super"))
		enter = append(enter, func(f *frame) { f.slots[slot] = superOf(f.ctx, x.Name, self) })
	}
	b.visitAll(x.Body)
	load := c.enter(b.scope)
	body := c.body(x.Body, b)
	self.slots = len(fn.slots)
	self.body = func(f *frame) (control, error) {
		for _, e := range enter {
			e(f)
		}
		load(f)
		return body(f)
	}
}

// enter compiles what happens when a scope is entered.
func (c *compiler) enter(s *scope) func(f *frame) {
	type step struct {
		slot int
		from source
		name string
		get  func(f *frame) py.Value
	}
	var steps []step
	for _, l := range s.loads {
		if l.from == fromParam {
			continue
		}
		st := step{slot: s.fn.slot(l.id), from: l.from, name: l.id.name}
		if l.from == fromOuter {
			st.get = c.variable(s.parent, l.id.name, s.fn)
		}
		steps = append(steps, st)
	}
	switch len(steps) {
	case 0:
		return func(*frame) {}
	}
	return func(f *frame) {
		for i := range steps {
			st := &steps[i]
			switch st.from {
			case fromContext:
				f.slots[st.slot] = f.ctx.lookup(st.name)
			case fromOuter:
				f.slots[st.slot] = st.get(f)
			default:
				f.slots[st.slot] = py.Missing
			}
		}
	}
}

// leave compiles what happens when a scope is left: its variables are gone, also
// for macros that saw them.
func (c *compiler) leave(s *scope) func(f *frame) {
	var slots []int
	for _, l := range s.loads {
		slots = append(slots, s.fn.slot(l.id))
	}
	return func(f *frame) {
		for _, i := range slots {
			f.slots[i] = py.Missing
		}
	}
}

// locate finds a variable: how many functions out, and its slot there.
func locate(s *scope, name string, fn *funcScope) (depth, slot int) {
	for at := fn; s != nil; s = s.parent {
		if s.fn != at {
			depth++
			at = s.fn
		}
		if id, ok := s.refs[name]; ok {
			return depth, s.fn.slot(id)
		}
	}
	return -1, -1
}

// variable reads a variable of a scope from code of the function fn.
func (c *compiler) variable(s *scope, name string, fn *funcScope) func(f *frame) py.Value {
	depth, slot := locate(s, name, fn)
	switch depth {
	case -1: // a name that the scope does not know; only extensions can cause that
		return func(f *frame) py.Value { return f.ctx.lookup(name) }
	case 0:
		return func(f *frame) py.Value { return f.slots[slot] }
	case 1:
		return func(f *frame) py.Value { return f.up.slots[slot] }
	}
	return func(f *frame) py.Value {
		for range depth {
			f = f.up
		}
		return f.slots[slot]
	}
}

func (c *compiler) name(n *syntax.Name, b block) expr {
	name := n.Name
	if depth, slot := locate(b.scope, name, b.fn); depth == 0 {
		return func(f *frame) (py.Value, error) {
			if v := f.slots[slot]; v != py.Missing {
				return v, nil
			}
			return &py.Undefined{Name: name, Mode: f.st.env.Undefined}, nil
		}
	}
	get := c.variable(b.scope, name, b.fn)
	return func(f *frame) (py.Value, error) {
		if v := get(f); v != py.Missing {
			return v, nil
		}
		return &py.Undefined{Name: name, Mode: f.st.env.Undefined}, nil
	}
}

// target compiles an assignment to a target; names lists the plain names in it.
func (c *compiler) target(n syntax.Node, b block) assign {
	switch x := n.(type) {
	case *syntax.Name:
		depth, slot := locate(b.scope, x.Name, b.fn)
		if depth != 0 {
			slot = b.fn.slot(b.define(x.Name, fromNothing))
		}
		return func(f *frame, v py.Value) error {
			f.slots[slot] = v
			return nil
		}
	case *syntax.NSRef:
		get := c.name(&syntax.Name{Pos: x.Pos, Name: x.Name}, b)
		return func(f *frame, v py.Value) error {
			obj, err := get(f)
			if err != nil {
				return err
			}
			ns, ok := obj.(*Namespace)
			if !ok {
				return py.Raise("TemplateRuntimeError", "cannot assign attribute on non-namespace object")
			}
			return ns.attrs.Set(x.Attr, v)
		}
	case *syntax.TupleExpr:
		parts := make([]assign, len(x.Items))
		for i, e := range x.Items {
			parts[i] = c.target(e, b)
		}
		return func(f *frame, v py.Value) error { return unpack(f, v, parts) }
	}
	c.fail(n.Line(), "can't assign to %T", n)
	return nil
}

// unpack spreads a value over targets.
func unpack(f *frame, v py.Value, parts []assign) error {
	var items []py.Value
	switch x := v.(type) {
	case py.Tuple:
		items = x
	case *py.List:
		items = x.Items
	default:
		it, err := py.Iter(f.st.thread, v)
		if err != nil {
			if py.IsA(err, "TypeError") {
				return py.Raise("TypeError", "cannot unpack non-iterable %s object", py.TypeName(v))
			}
			return err
		}
		for len(items) <= len(parts) {
			e, ok, err := it.Next()
			if err != nil {
				return err
			}
			if !ok {
				break
			}
			items = append(items, e)
		}
	}
	if len(items) > len(parts) {
		return py.Raise("ValueError", "too many values to unpack (expected %d)", len(parts))
	}
	if len(items) < len(parts) {
		return py.Raise("ValueError", "not enough values to unpack (expected %d, got %d)", len(parts), len(items))
	}
	for i, p := range parts {
		if err := p(f, items[i]); err != nil {
			return err
		}
	}
	return nil
}

// namesOf lists the plain names of a target.
func namesOf(n syntax.Node) []string {
	var out []string
	syntax.Walk(n, func(n syntax.Node) bool {
		if x, ok := n.(*syntax.Name); ok {
			out = append(out, x.Name)
		}
		return true
	})
	return out
}

// export compiles what an assignment at the top level of a template does for
// blocks, includes and importers.
func (c *compiler) export(names []string, b block) func(f *frame) {
	if !b.toplevel || len(names) == 0 {
		return nil
	}
	gets := make([]func(f *frame) py.Value, len(names))
	for i, n := range names {
		gets[i] = c.variable(b.scope, n, b.fn)
	}
	return func(f *frame) {
		for i, n := range names {
			f.ctx.set(n, gets[i](f), true)
		}
	}
}

// locals compiles the dict of what was assigned so far, for includes with context.
func (c *compiler) locals(b block) func(f *frame) map[string]py.Value {
	names := b.visible()
	gets := make([]func(f *frame) py.Value, len(names))
	for i, n := range names {
		gets[i] = c.variable(b.scope, n, b.fn)
	}
	return func(f *frame) map[string]py.Value {
		m := make(map[string]py.Value, len(names))
		for i, n := range names {
			if v := gets[i](f); v != py.Missing {
				m[n] = v
			}
		}
		return m
	}
}
