package jinja

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/jinja/py"
)

// Template is a compiled template. It may be rendered by many goroutines at once.
type Template struct {
	env    *Environment
	name   string
	src    string
	root   *function
	blocks map[string]*function
	order  []string // names of blocks as written
}

// Name is the name it was compiled under.
func (t *Template) Name() string { return t.name }

// PyType names the class for templates that are handed a template.
func (t *Template) PyType() string { return "jinja2.environment.Template" }

// function is the root of a template or one of its blocks: what Python compiles
// to a function of the context.
type function struct {
	tmpl  *Template
	name  string
	slots int
	body  stmt
}

// run executes the function with output to out.
func (fn *function) run(c *Context, out *output) error {
	f := &frame{slots: newSlots(fn.slots), ctx: c, st: c.st, tmpl: fn.tmpl, out: out}
	_, err := fn.body(f)
	return err
}

// Render renders the template. vars are converted by [py.FromGo]; values of
// package py are used as they are, and the template can change them. The error is
// an *[Error].
func (t *Template) Render(ctx context.Context, vars map[string]any) (string, error) {
	return t.RenderWith(ctx, nil, vars)
}

// RenderWith is Render with globals for this render, which stand before those of
// the environment and are seen in templates imported without context too.
func (t *Template) RenderWith(ctx context.Context, globals, vars map[string]any) (string, error) {
	c, err := t.start(ctx, globals, vars)
	if err == nil {
		out := &output{thread: c.st.thread, root: true}
		if err = t.root.run(c, out); err == nil {
			return out.b.String(), nil
		}
	}
	return "", place(err, t.name, 0)
}

// Module renders the template and returns what it sets at its top level.
func (t *Template) Module(ctx context.Context, vars map[string]any) (*Module, error) {
	c, err := t.start(ctx, nil, vars)
	if err == nil {
		var m *Module
		if m, err = c.st.module(t, c); err == nil {
			return m, nil
		}
	}
	return nil, place(err, t.name, 0)
}

// start makes the context of a render.
func (t *Template) start(ctx context.Context, globals, vars map[string]any) (*Context, error) {
	st := newState(ctx, t.env)
	var err error
	if len(globals) > 0 {
		if st.globals, err = convert(globals); err != nil {
			return nil, err
		}
	}
	vs, err := convert(vars)
	if err != nil {
		return nil, err
	}
	return st.newContext(t, vs), st.thread.Alive()
}

func convert(vars map[string]any) (map[string]py.Value, error) {
	out := make(map[string]py.Value, len(vars))
	for k, v := range vars {
		x, err := py.FromGo(v)
		if err != nil {
			return nil, py.Raise("TypeError", "variable %s: %v", k, err)
		}
		out[k] = x
	}
	return out, nil
}

// state is one render: its thread, the templates it loaded, its own globals.
type state struct {
	env     *Environment
	thread  *py.Thread
	loaded  map[string]*Template
	modules map[*Template]*Module
	globals map[string]py.Value // what SetGlobal set; replaced, never changed
}

func newState(ctx context.Context, env *Environment) *state {
	st := &state{env: env, thread: py.NewThread(ctx, env.Limits)}
	st.thread.GetAttr = func(_ *py.Thread, obj py.Value, name string) (py.Value, error) { return st.getattr(obj, name) }
	st.thread.GetItem = func(_ *py.Thread, obj, key py.Value) (py.Value, error) { return st.getitem(obj, key) }
	return st
}

// output collects text.
type output struct {
	b      strings.Builder
	thread *py.Thread
	root   bool // what the caller gets, as opposed to the text of a macro
}

func (o *output) write(s string) error {
	if o.root {
		if err := o.thread.Print(len(s)); err != nil {
			return err
		}
	} else if err := o.thread.Alloc(len(s)); err != nil {
		return err
	}
	o.b.WriteString(s)
	return nil
}

// Context is what a template sees: the variables it was given, the globals, and
// what it set at its top level. Filters and functions find it in [py.Call].Scope.
type Context struct {
	st       *state
	tmpl     *Template
	vars     map[string]py.Value
	exported map[string]bool
	parent   []map[string]py.Value // looked through in order; never changed
	blocks   map[string][]*function
}

// ContextOf returns the context of the template that made a call; nil when the
// program made it.
func ContextOf(c *py.Call) *Context {
	ctx, _ := c.Scope.(*Context)
	return ctx
}

// newContext is a context of its own for a template: globals and vars.
func (st *state) newContext(t *Template, vars map[string]py.Value) *Context {
	c := &Context{st: st, tmpl: t}
	if len(vars) > 0 {
		c.parent = append(c.parent, vars)
	}
	if len(st.globals) > 0 {
		c.parent = append(c.parent, st.globals)
	}
	c.parent = append(c.parent, st.env.Globals)
	c.ownBlocks()
	return c
}

func (c *Context) ownBlocks() {
	if len(c.tmpl.blocks) == 0 {
		return
	}
	c.blocks = make(map[string][]*function, len(c.tmpl.blocks))
	for name, b := range c.tmpl.blocks {
		c.blocks[name] = []*function{b}
	}
}

// shared is a context for a template that sees what c sees now, and locals.
func (c *Context) shared(t *Template, locals map[string]py.Value) *Context {
	n := &Context{st: c.st, tmpl: t, parent: c.layers()}
	if len(locals) > 0 {
		n.parent = append([]map[string]py.Value{locals}, n.parent...)
	}
	n.ownBlocks()
	return n
}

// derived is c with locals, for scoped blocks.
func (c *Context) derived(locals map[string]py.Value) *Context {
	n := c.shared(c.tmpl, locals)
	n.blocks = maps.Clone(c.blocks)
	return n
}

// layers is all that c sees, as it is now.
func (c *Context) layers() []map[string]py.Value {
	if len(c.vars) == 0 {
		return c.parent
	}
	return append([]map[string]py.Value{maps.Clone(c.vars)}, c.parent...)
}

func (c *Context) lookup(name string) py.Value {
	if v, ok := c.vars[name]; ok {
		return v
	}
	for _, l := range c.parent {
		if v, ok := l[name]; ok {
			return v
		}
	}
	return py.Missing
}

func (c *Context) set(name string, v py.Value, export bool) {
	if c.vars == nil {
		c.vars = map[string]py.Value{}
		c.exported = map[string]bool{}
	}
	c.vars[name] = v
	if strings.HasPrefix(name, "_") {
		return
	}
	if export {
		c.exported[name] = true
	} else {
		delete(c.exported, name)
	}
}

// Lookup finds a variable of the template or a global.
func (c *Context) Lookup(name string) (py.Value, bool) {
	v := c.lookup(name)
	if v == py.Missing {
		return nil, false
	}
	return v, true
}

// Names lists all that Lookup finds, sorted.
func (c *Context) Names() []string {
	seen := map[string]bool{}
	for n := range c.vars {
		seen[n] = true
	}
	for _, l := range c.parent {
		for n := range l {
			seen[n] = true
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

// Template is the name of the template.
func (c *Context) Template() string { return c.tmpl.name }

// Environment is the template's environment.
func (c *Context) Environment() *Environment { return c.st.env }

// Thread is the render's thread.
func (c *Context) Thread() *py.Thread { return c.st.thread }

// SetGlobal gives a global a value for the templates that this render loads from
// now on.
func (c *Context) SetGlobal(name string, v py.Value) {
	c.SetGlobals(map[string]py.Value{name: v})
}

// SetGlobals is SetGlobal for several.
func (c *Context) SetGlobals(vars map[string]py.Value) {
	g := make(map[string]py.Value, len(c.st.globals)+len(vars))
	maps.Copy(g, c.st.globals)
	maps.Copy(g, vars)
	c.st.globals = g
}

// Global finds a global as templates loaded now would see it.
func (c *Context) Global(name string) (py.Value, bool) {
	if v, ok := c.st.globals[name]; ok {
		return v, true
	}
	v, ok := c.st.env.Globals[name]
	return v, ok
}

// CallFilter applies a filter by its name.
func (c *Context) CallFilter(name string, v py.Value, args []py.Value, kw []py.KW) (py.Value, error) {
	f := c.st.env.Filters[name]
	if f == nil {
		return nil, py.Raise("TemplateRuntimeError", "No filter named %s.", py.Quote(name))
	}
	return c.st.call(f, c, append([]py.Value{v}, args...), kw)
}

// CallTest applies a test by its name.
func (c *Context) CallTest(name string, v py.Value, args []py.Value, kw []py.KW) (bool, error) {
	f := c.st.env.Tests[name]
	if f == nil {
		return false, py.Raise("TemplateRuntimeError", "No test named %s.", py.Quote(name))
	}
	r, err := c.st.call(f, c, append([]py.Value{v}, args...), kw)
	if err != nil {
		return false, err
	}
	return py.Truth(c.st.thread, r)
}

// GetItem is obj[key] as templates read it: attributes as a second choice, an
// undefined value where there is neither.
func (c *Context) GetItem(obj, key py.Value) (py.Value, error) { return c.st.getitem(obj, key) }

// GetAttr is obj.name as templates read it.
func (c *Context) GetAttr(obj py.Value, name string) (py.Value, error) {
	return c.st.getattr(obj, name)
}

// Undefined makes an undefined value with a message.
func (c *Context) Undefined(hint string) *py.Undefined {
	return &py.Undefined{Hint: hint, Mode: c.st.env.Undefined}
}

func (st *state) call(f py.Value, scope *Context, args []py.Value, kw []py.KW) (py.Value, error) {
	return py.Invoke(st.thread, f, args, kw, scope)
}

// load finds, compiles and remembers a template.
func (st *state) load(c *Context, name py.Value) (*Template, error) {
	switch x := name.(type) {
	case *Template:
		return x, nil
	case *py.Undefined:
		return nil, x.Fail()
	}
	s, ok := py.AsString(name)
	if !ok {
		var err error
		if s, err = py.Str(st.thread, name); err != nil {
			return nil, err
		}
	}
	if st.env.Loader == nil {
		return nil, py.Raise("TypeError", "no loader for this environment specified")
	}
	if t := st.loaded[s]; t != nil {
		return t, nil
	}
	if !ok {
		return nil, py.Raise("TemplateNotFound", "%s", s)
	}
	if err := st.thread.Alive(); err != nil {
		return nil, err
	}
	src, err := st.env.Loader.Load(c, s)
	if err != nil {
		return nil, notFound(s, err)
	}
	t, err := st.env.FromNamed(s, src)
	if err != nil {
		return nil, err
	}
	if st.loaded == nil {
		st.loaded = map[string]*Template{}
	}
	st.loaded[s] = t
	return t, nil
}

// selectOf loads the first of several templates that is there.
func (st *state) selectOf(c *Context, names py.Value) (*Template, error) {
	if u, ok := names.(*py.Undefined); ok {
		return nil, u.Fail()
	}
	some, err := py.Truth(st.thread, names)
	if err != nil {
		return nil, err
	}
	var items []py.Value
	if some {
		if items, err = py.Collect(st.thread, names); err != nil {
			return nil, err
		}
	}
	if len(items) == 0 {
		return nil, py.Raise("TemplatesNotFound", "Tried to select from an empty list of templates.")
	}
	var tried []string
	for _, n := range items {
		t, err := st.load(c, n)
		if err == nil {
			return t, nil
		}
		if !py.IsA(err, "TemplateNotFound", "UndefinedError") {
			return nil, err
		}
		s := ""
		if u, ok := n.(*py.Undefined); ok {
			s = u.Message()
		} else if s, err = py.Str(st.thread, n); err != nil {
			return nil, err
		}
		tried = append(tried, s)
	}
	return nil, py.Raise("TemplatesNotFound", "none of the templates given were found: %s", strings.Join(tried, ", "))
}

// Module is a rendered template as an object: what it exports, and its text.
type Module struct {
	name string
	text string
	vars map[string]py.Value
}

// module runs a template under its context.
func (st *state) module(t *Template, c *Context) (*Module, error) {
	if err := st.thread.Enter(); err != nil {
		return nil, err
	}
	defer st.thread.Leave()
	out := &output{thread: st.thread}
	if err := t.root.run(c, out); err != nil {
		return nil, err
	}
	m := &Module{name: t.name, text: out.b.String(), vars: make(map[string]py.Value, len(c.exported))}
	for n := range c.exported {
		m.vars[n] = c.vars[n]
	}
	return m, nil
}

// defaultModule is the module of a template without a context, made once a render.
func (st *state) defaultModule(t *Template) (*Module, error) {
	if m := st.modules[t]; m != nil {
		return m, nil
	}
	m, err := st.module(t, st.newContext(t, nil))
	if err != nil {
		return nil, err
	}
	if st.modules == nil {
		st.modules = map[*Template]*Module{}
	}
	st.modules[t] = m
	return m, nil
}

// Get returns an exported name.
func (m *Module) Get(name string) (py.Value, bool) {
	v, ok := m.vars[name]
	return v, ok
}

// Names lists what the module exports, sorted.
func (m *Module) Names() []string { return slices.Sorted(maps.Keys(m.vars)) }

// Text is what the template printed.
func (m *Module) Text() string { return m.text }

// PyType is jinja2's class.
func (m *Module) PyType() string { return "jinja2.environment.TemplateModule" }

// Attr returns an exported name.
func (m *Module) Attr(_ *py.Thread, name string) (py.Value, bool, error) {
	v, ok := m.vars[name]
	return v, ok, nil
}

// Print is the template's text, or the module's repr.
func (m *Module) Print(_ *py.Thread, quoted bool) (string, error) {
	if quoted {
		return "<TemplateModule " + py.Quote(m.name) + ">", nil
	}
	return m.text, nil
}

// HTML is the template's text.
func (m *Module) HTML(*py.Thread) (string, error) { return m.text, nil }
