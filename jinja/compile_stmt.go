package jinja

import (
	"strconv"
	"strings"

	"github.com/gosalt/gosalt/jinja/py"
	"github.com/gosalt/gosalt/jinja/syntax"
)

func itoa(n int) string { return strconv.Itoa(n) }

// body compiles statements one after the other.
func (c *compiler) body(ns []syntax.Node, b block) stmt {
	stmts := make([]stmt, 0, len(ns))
	for _, n := range ns {
		s := c.stmt(n, b)
		if s != nil {
			stmts = append(stmts, s)
		}
		if _, ok := n.(*syntax.Extends); ok && c.extends > 1 && c.knownExtends {
			break // the second extends fails, so what follows never runs
		}
	}
	switch len(stmts) {
	case 0:
		return func(*frame) (control, error) { return proceed, nil }
	case 1:
		return stmts[0]
	}
	return func(f *frame) (control, error) {
		for _, s := range stmts {
			if ctl, err := s(f); err != nil || ctl != proceed {
				return ctl, err
			}
		}
		return proceed, nil
	}
}

func (c *compiler) stmt(n syntax.Node, b block) stmt {
	line := n.Line()
	switch x := n.(type) {
	case *syntax.Output:
		return c.output(x, b)
	case *syntax.If:
		return c.ifStmt(x, b.softened())
	case *syntax.For:
		return c.forStmt(x, b)
	case *syntax.Assign:
		value := c.expr(x.Node, b)
		set := c.target(x.Target, b)
		export := c.export(namesOf(x.Target), b)
		return func(f *frame) (control, error) {
			v, err := value(f)
			if err == nil {
				err = set(f, v)
			}
			if err != nil {
				return proceed, f.at(err, line)
			}
			if export != nil {
				export(f)
			}
			return proceed, nil
		}
	case *syntax.AssignBlock:
		return c.assignBlock(x, b)
	case *syntax.ExprStmt:
		e := c.expr(x.Node, b)
		return func(f *frame) (control, error) {
			if _, err := e(f); err != nil {
				return proceed, f.at(err, line)
			}
			return proceed, nil
		}
	case *syntax.Macro:
		make := c.macro(x.Name, x.Args, x.Defaults, x.Body, line, b)
		_, slot := locate(b.scope, x.Name, b.fn)
		return func(f *frame) (control, error) {
			m := make(f)
			if b.toplevel {
				f.ctx.set(x.Name, m, true)
			}
			f.slots[slot] = m
			return proceed, nil
		}
	case *syntax.CallBlock:
		make := c.macro("", x.Args, x.Defaults, x.Body, line, b)
		slot := b.fn.slot(ident{-1, "caller" + itoa(c.nextID())})
		call := c.call(x.Call, b, func(f *frame) (py.Value, error) { return f.slots[slot], nil })
		return func(f *frame) (control, error) {
			f.slots[slot] = make(f)
			v, err := call(f)
			if err == nil {
				err = f.print(v)
			}
			if err != nil {
				return proceed, f.at(err, line)
			}
			return proceed, nil
		}
	case *syntax.FilterBlock:
		return c.filterBlock(x, b)
	case *syntax.With:
		return c.with(x, b)
	case *syntax.Scope:
		inner := b.inner(nil)
		inner.visitAll(x.Body)
		return c.scoped(inner, x.Body)
	case *syntax.Autoescape:
		return c.autoescape(x, b)
	case *syntax.Block:
		return c.blockStmt(x, b)
	case *syntax.Extends:
		return c.extendsStmt(x, b)
	case *syntax.Include:
		return c.include(x, b)
	case *syntax.Import:
		return c.importStmt(x, b)
	case *syntax.FromImport:
		return c.fromImport(x, b)
	case *syntax.Continue, *syntax.Break:
		ctl, word := nextRound, "'continue' not properly in loop"
		if _, ok := n.(*syntax.Break); ok {
			ctl, word = breakLoop, "'break' outside loop"
		}
		if c.loops == 0 {
			panic(&syntax.Error{Msg: word, Name: c.tmpl.name, Line: line})
		}
		return func(*frame) (control, error) { return ctl, nil }
	}
	c.fail(line, "%T is no statement", n)
	return nil
}

func (c *compiler) nextID() int {
	c.ids++
	return c.ids
}

// print writes a value as {{ }} does, after the finalizer.
func (f *frame) print(v py.Value) error {
	if s, ok := v.(string); ok {
		return f.out.write(s)
	}
	s, err := py.Str(f.st.thread, v)
	if err != nil {
		return err
	}
	return f.out.write(s)
}

// autoescape compiles a body whose output is escaped or not. Which of the two holds for
// the text of a statement; what macros return depends on where they are called.
func (c *compiler) autoescape(x *syntax.Autoescape, b block) stmt {
	compiled := func(on bool) stmt {
		defer func(before bool) { c.escape = before }(c.escape)
		c.escape = on
		return c.body(x.Body, b)
	}
	value := c.expr(x.Value, b)
	var bodies [2]stmt
	if k, ok := x.Value.(*syntax.Const); ok {
		on := k.Value == true
		body := compiled(on)
		bodies = [2]stmt{body, body}
	} else {
		bodies = [2]stmt{compiled(false), compiled(true)}
	}
	return func(f *frame) (control, error) {
		v, err := value(f)
		on := false
		if err == nil {
			on, err = py.Truth(f.st.thread, v)
		}
		if err != nil {
			return proceed, f.at(err, x.Line())
		}
		defer func(before bool) { f.st.thread.Escape = before }(f.st.thread.Escape)
		f.st.thread.Escape = on
		if on {
			return bodies[1](f)
		}
		return bodies[0](f)
	}
}

// captured is text that a body printed, as a value: safe where it was escaped.
func (c *compiler) captured() func(text string) py.Value {
	if c.escape {
		return func(text string) py.Value { return py.Markup(text) }
	}
	return func(text string) py.Value { return text }
}

func (c *compiler) output(x *syntax.Output, b block) stmt {
	if b.checkOutput && c.knownExtends {
		return nil
	}
	type part struct {
		text string
		e    expr
		line int
	}
	var parts []part
	for _, n := range x.Nodes {
		if d, ok := n.(*syntax.TemplateData); ok {
			if k := len(parts); k > 0 && parts[k-1].e == nil {
				parts[k-1].text += d.Data
				continue
			}
			parts = append(parts, part{text: d.Data, line: d.Line()})
			continue
		}
		parts = append(parts, part{e: c.expr(n, b), line: n.Line()})
	}
	finalize, escape := c.env.Finalize, c.escape
	check := b.checkOutput
	return func(f *frame) (control, error) {
		if check && f.root().parent != nil {
			return proceed, nil
		}
		for i := range parts {
			p := &parts[i]
			if p.e == nil {
				if err := f.out.write(p.text); err != nil {
					return proceed, f.at(err, p.line)
				}
				continue
			}
			v, err := p.e(f)
			if err == nil && finalize != nil {
				v, err = finalize(f.st.thread, v)
			}
			if err == nil && escape {
				v, err = asValue(py.Escape(f.st.thread, v))
			}
			if err == nil {
				err = f.print(v)
			}
			if err != nil {
				return proceed, f.at(err, p.line)
			}
		}
		return proceed, nil
	}
}

func (c *compiler) ifStmt(x *syntax.If, b block) stmt {
	type branch struct {
		test expr
		body stmt
		line int
	}
	branches := []branch{{c.expr(x.Test, b), c.body(x.Body, b), x.Line()}}
	for _, e := range x.Elif {
		branches = append(branches, branch{c.expr(e.Test, b), c.body(e.Body, b), e.Line()})
	}
	var other stmt
	if len(x.Else) > 0 {
		other = c.body(x.Else, b)
	}
	return func(f *frame) (control, error) {
		for i := range branches {
			br := &branches[i]
			v, err := br.test(f)
			if err != nil {
				return proceed, f.at(err, br.line)
			}
			t, err := py.Truth(f.st.thread, v)
			if err != nil {
				return proceed, f.at(err, br.line)
			}
			if t {
				return br.body(f)
			}
		}
		if other != nil {
			return other(f)
		}
		return proceed, nil
	}
}

// scoped runs a body between entering and leaving its scope.
func (c *compiler) scoped(b block, ns []syntax.Node) stmt {
	enter, body := c.enter(b.scope), c.body(ns, b)
	leave := c.leave(b.scope)
	return func(f *frame) (control, error) {
		enter(f)
		ctl, err := body(f)
		if err == nil && ctl == proceed {
			leave(f)
		}
		return ctl, err
	}
}

// capture runs a body with its output into a buffer of its own.
func capture(f *frame, body stmt) (string, control, error) {
	out := f.out
	f.out = &output{thread: f.st.thread}
	ctl, err := body(f)
	text := f.out.b.String()
	f.out = out
	return text, ctl, err
}

func (c *compiler) assignBlock(x *syntax.AssignBlock, b block) stmt {
	inner := b.inner(nil)
	inner.checkOutput = false
	inner.visitAll(x.Body)
	if x.Filter != nil {
		inner.visit(x.Filter)
	}
	enter, body := c.enter(inner.scope), c.body(x.Body, inner)
	slot, captured := b.fn.slot(ident{-1, "text" + itoa(c.nextID())}), c.captured()
	var value expr = func(f *frame) (py.Value, error) { return f.slots[slot], nil }
	if x.Filter != nil {
		value = c.filterChain(x.Filter, inner, value)
	}
	set := c.target(x.Target, b)
	export := c.export(namesOf(x.Target), b)
	leave := c.leave(inner.scope)
	return func(f *frame) (control, error) {
		enter(f)
		text, ctl, err := capture(f, body)
		if err != nil || ctl != proceed {
			return ctl, err
		}
		f.slots[slot] = captured(text)
		v, err := value(f)
		if err == nil {
			err = set(f, v)
		}
		if err != nil {
			return proceed, f.at(err, x.Line())
		}
		if export != nil {
			export(f)
		}
		leave(f)
		return proceed, nil
	}
}

// filterChain compiles filters whose innermost has no node: that takes text.
func (c *compiler) filterChain(x *syntax.Filter, b block, text expr) expr {
	if inner, ok := x.Node.(*syntax.Filter); ok {
		return c.filterOf(x, b, c.filterChain(inner, b, text))
	}
	return c.filterOf(x, b, text)
}

func (c *compiler) filterBlock(x *syntax.FilterBlock, b block) stmt {
	inner := b.inner(nil)
	inner.visitAll(x.Body)
	inner.visit(x.Filter)
	enter, body := c.enter(inner.scope), c.body(x.Body, inner)
	slot, captured := b.fn.slot(ident{-1, "text" + itoa(c.nextID())}), c.captured()
	value := c.filterChain(x.Filter, inner, func(f *frame) (py.Value, error) { return f.slots[slot], nil })
	leave := c.leave(inner.scope)
	return func(f *frame) (control, error) {
		enter(f)
		text, ctl, err := capture(f, body)
		if err != nil || ctl != proceed {
			return ctl, err
		}
		f.slots[slot] = captured(text)
		v, err := value(f)
		if err == nil {
			err = f.print(v)
		}
		if err != nil {
			return proceed, f.at(err, x.Line())
		}
		leave(f)
		return proceed, nil
	}
}

func (c *compiler) with(x *syntax.With, b block) stmt {
	inner := b.inner(nil)
	inner.visitAll(x.Targets)
	inner.visitAll(x.Body)
	sets := make([]assign, len(x.Targets))
	values := c.exprs(x.Values, b)
	for i, t := range x.Targets {
		sets[i] = c.target(t, inner)
	}
	enter, body := c.enter(inner.scope), c.body(x.Body, inner)
	leave := c.leave(inner.scope)
	return func(f *frame) (control, error) {
		enter(f)
		for i, e := range values {
			v, err := e(f)
			if err == nil {
				err = sets[i](f, v)
			}
			if err != nil {
				return proceed, f.at(err, x.Line())
			}
		}
		ctl, err := body(f)
		if err == nil && ctl == proceed {
			leave(f)
		}
		return ctl, err
	}
}

func (c *compiler) blockStmt(x *syntax.Block, b block) stmt {
	check := false
	if b.toplevel {
		if c.knownExtends {
			return nil
		}
		check = c.extends > 0
	}
	var locals func(f *frame) map[string]py.Value
	if x.Scoped {
		locals = c.locals(b)
	}
	return func(f *frame) (control, error) {
		if check && f.root().parent != nil {
			return proceed, nil
		}
		ctx := f.ctx
		if locals != nil {
			ctx = ctx.derived(locals(f))
		}
		stack := ctx.blocks[x.Name]
		if x.Required && len(stack) <= 1 {
			return proceed, f.at(py.Raise("TemplateRuntimeError", "Required block %s not found", py.Quote(x.Name)), x.Line())
		}
		err := f.st.thread.Enter()
		if err == nil {
			err = stack[0].run(ctx, f.out)
			f.st.thread.Leave()
		}
		if err != nil {
			return proceed, f.at(leaving(err, "block "+py.Quote(x.Name)), x.Line())
		}
		return proceed, nil
	}
}

func (c *compiler) extendsStmt(x *syntax.Extends, b block) stmt {
	if !b.toplevel {
		c.fail(x.Line(), "cannot use extend from a non top-level scope")
	}
	again, known := c.extends > 0, c.knownExtends
	c.extends++
	name := c.expr(x.Template, b)
	if b.rootlevel {
		c.knownExtends = true
	}
	return func(f *frame) (control, error) {
		if again && (known || f.root().parent != nil) {
			return proceed, f.at(py.Raise("TemplateRuntimeError", "extended multiple times"), x.Line())
		}
		v, err := name(f)
		var parent *Template
		if err == nil {
			parent, err = f.st.load(f.ctx, v)
		}
		if err != nil {
			return proceed, f.at(leaving(err, "extends"), x.Line())
		}
		if f.ctx.blocks == nil {
			f.ctx.blocks = map[string][]*function{}
		}
		for name, b := range parent.blocks {
			f.ctx.blocks[name] = append(f.ctx.blocks[name], b)
		}
		f.root().parent = parent
		return proceed, nil
	}
}

func (c *compiler) include(x *syntax.Include, b block) stmt {
	name := c.expr(x.Template, b)
	var locals func(f *frame) map[string]py.Value
	if x.WithContext {
		locals = c.locals(b)
	}
	return func(f *frame) (control, error) {
		v, err := name(f)
		if err != nil {
			return proceed, f.at(err, x.Line())
		}
		var t *Template
		switch v.(type) {
		case string, py.Markup, *py.Undefined, *Template:
			t, err = f.st.load(f.ctx, v)
		default:
			t, err = f.st.selectOf(f.ctx, v)
		}
		if err != nil {
			if x.IgnoreMissing && py.IsA(err, "TemplateNotFound") {
				return proceed, nil
			}
			return proceed, f.at(leaving(err, "include"), x.Line())
		}
		if locals == nil {
			m, err := f.st.defaultModule(t)
			if err == nil {
				err = f.out.write(m.text)
			}
			if err != nil {
				return proceed, f.at(leaving(err, "include "+py.Quote(t.name)), x.Line())
			}
			return proceed, nil
		}
		err = f.st.thread.Enter()
		if err == nil {
			err = t.root.run(f.ctx.shared(t, locals(f)), f.out)
			f.st.thread.Leave()
		}
		if err != nil {
			return proceed, f.at(leaving(err, "include "+py.Quote(t.name)), x.Line())
		}
		return proceed, nil
	}
}

// imported compiles the module that an import is of.
func (c *compiler) imported(template syntax.Node, withContext bool, b block) func(f *frame) (*Module, error) {
	name := c.expr(template, b)
	var locals func(f *frame) map[string]py.Value
	if withContext {
		locals = c.locals(b)
	}
	return func(f *frame) (*Module, error) {
		v, err := name(f)
		if err != nil {
			return nil, err
		}
		t, err := f.st.load(f.ctx, v)
		if err != nil {
			return nil, leaving(err, "import")
		}
		var m *Module
		if locals == nil {
			m, err = f.st.defaultModule(t)
		} else {
			m, err = f.st.module(t, f.ctx.shared(t, locals(f)))
		}
		if err != nil {
			return nil, leaving(err, "import "+py.Quote(t.name))
		}
		return m, nil
	}
}

func (c *compiler) importStmt(x *syntax.Import, b block) stmt {
	module := c.imported(x.Template, x.WithContext, b)
	_, slot := locate(b.scope, x.Target, b.fn)
	return func(f *frame) (control, error) {
		m, err := module(f)
		if err != nil {
			return proceed, f.at(err, x.Line())
		}
		f.slots[slot] = m
		if b.toplevel {
			f.ctx.set(x.Target, m, false)
		}
		return proceed, nil
	}
}

func (c *compiler) fromImport(x *syntax.FromImport, b block) stmt {
	module := c.imported(x.Template, x.WithContext, b)
	slots := make([]int, len(x.Names))
	for i, n := range x.Names {
		_, slots[i] = locate(b.scope, n.As, b.fn)
	}
	where := c.position(x.Line())
	return func(f *frame) (control, error) {
		m, err := module(f)
		if err != nil {
			return proceed, f.at(err, x.Line())
		}
		for i, n := range x.Names {
			v, ok := m.vars[n.Name]
			if !ok {
				v = &py.Undefined{
					Hint: "the template " + py.Quote(m.name) + " (imported on " + where + ") does not export the requested name " + py.Quote(n.Name),
					Name: n.Name, Mode: f.st.env.Undefined,
				}
			}
			f.slots[slots[i]] = v
			if b.toplevel {
				f.ctx.set(n.As, v, false)
			}
		}
		return proceed, nil
	}
}

// macro compiles a macro or the body of a call block; what it returns makes the
// macro when the definition is run.
func (c *compiler) macro(name string, args []*syntax.Name, defaults, body []syntax.Node, line int, b block) func(f *frame) *Macro {
	loops := c.loops
	c.loops = 0
	fn := newFuncScope()
	inner := b.inner(fn)
	inner.checkOutput = false
	analyze := func() {
		for _, a := range args {
			inner.visit(a)
		}
		inner.visitAll(defaults)
		inner.visitAll(body)
	}
	analyze()
	p := &macroProto{name: name, line: line}
	takes := map[string]bool{}
	for _, a := range args {
		p.args = append(p.args, a.Name)
		takes[a.Name] = true
	}
	und := undeclared(body, "caller", "kwargs", "varargs")
	if und["caller"] {
		p.caller = true
		if takes["caller"] {
			p.explicitCaller = true
			for i, a := range args {
				if a.Name == "caller" && i < len(args)-len(defaults) {
					c.fail(line, `When defining macros or call blocks the special "caller" argument must be omitted or be given a default.`)
				}
			}
		} else {
			p.callerSlot = fn.slot(inner.param("caller"))
		}
	}
	if takes["caller"] {
		p.explicitCaller = true
	}
	if und["kwargs"] && !takes["kwargs"] {
		p.kwargs = true
		p.kwargsSlot = fn.slot(inner.param("kwargs"))
	}
	if und["varargs"] && !takes["varargs"] {
		p.varargs = true
		p.varargsSlot = fn.slot(inner.param("varargs"))
	}
	analyze()
	for i, a := range args {
		p.slots = append(p.slots, fn.slot(inner.refs[a.Name]))
		if k := i - (len(args) - len(defaults)); k >= 0 {
			p.defaults = append(p.defaults, c.expr(defaults[k], inner))
		} else {
			p.defaults = append(p.defaults, nil)
		}
	}
	p.enter = c.enter(inner.scope)
	p.body = c.body(body, inner)
	p.frame = len(fn.slots)
	p.doing = "macro " + py.Quote(name)
	if strings.TrimSpace(name) == "" {
		p.doing = "call block"
	}
	c.loops = loops
	return func(f *frame) *Macro { return &Macro{proto: p, up: f} }
}
