package render

import (
	"errors"
	"fmt"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/render/value"
	"github.com/gosalt/gosalt/jinja/py"
	"github.com/gosalt/gosalt/protocol/wire"
)

// funcs is the variable salt: salt['test.ping'] and salt.test.ping.
type funcs struct {
	r    *Renderer
	made map[string]*function
}

// PyType is Salt's class, which its messages name.
func (f *funcs) PyType() string { return "salt.utils.templates.AliasedLoader" }

// Print is the object's repr.
func (f *funcs) Print(*py.Thread, bool) (string, error) {
	return "<salt.utils.templates.AliasedLoader object>", nil
}

func (f *funcs) has(name string) bool {
	if _, ok := natives[name]; ok {
		return true
	}
	return f.r.cfg.Functions != nil && strings.Contains(name, ".") && f.r.cfg.Functions.Has(name)
}

func (f *funcs) get(name string) (*function, bool) {
	if fn := f.made[name]; fn != nil {
		return fn, true
	}
	if !f.has(name) {
		return nil, false
	}
	fn := &function{r: f.r, name: name}
	if n, ok := natives[name]; ok && !f.r.cfg.Local[name] {
		r := f.r
		fn.native = py.NewFunc(name[strings.IndexByte(name, '.')+1:], n.params, func(c *py.Call) (py.Value, error) { return n.fn(r, c) })
	}
	f.made[name] = fn
	return fn, true
}

// Item is salt['test.ping'].
func (f *funcs) Item(t *py.Thread, key py.Value) (py.Value, error) {
	if name, ok := py.AsString(key); ok {
		if fn, ok := f.get(name); ok {
			return fn, nil
		}
	}
	r, err := py.Repr(t, key)
	if err != nil {
		return nil, err
	}
	return nil, &py.Error{Type: "KeyError", Msg: r}
}

// Contains tells whether there is a function.
func (f *funcs) Contains(_ *py.Thread, v py.Value) (bool, error) {
	name, ok := py.AsString(v)
	return ok && f.has(name), nil
}

// names lists all functions.
func (f *funcs) names() []py.Value {
	seen := map[string]bool{}
	var out []py.Value
	if f.r.cfg.Functions != nil {
		for _, n := range f.r.cfg.Functions.Names() {
			seen[n] = true
			out = append(out, n)
		}
	}
	for _, n := range nativeNames() {
		if !seen[n] {
			out = append(out, n)
		}
	}
	return out
}

// Iter goes over the names.
func (f *funcs) Iter(t *py.Thread) (py.Iterator, error) {
	return py.Iter(t, py.NewList(f.names()...))
}

// Len is the number of functions.
func (f *funcs) Len(*py.Thread) (int, error) { return len(f.names()), nil }

// Attr is salt.test, or a method of the mapping that the loader is.
func (f *funcs) Attr(_ *py.Thread, name string) (py.Value, bool, error) {
	switch name {
	case "get":
		return py.NewFunc("get", "key, default=None", func(c *py.Call) (py.Value, error) {
			if s, ok := py.AsString(c.Args[0]); ok {
				if fn, ok := f.get(s); ok {
					return fn, nil
				}
			}
			return c.Args[1], nil
		}), true, nil
	case "keys":
		return py.NewFunc("keys", "", func(*py.Call) (py.Value, error) { return py.NewList(f.names()...), nil }), true, nil
	}
	if m := (&mod{f, name}); m.exists() {
		return m, true, nil
	}
	return nil, false, nil
}

// mod is salt.test.
type mod struct {
	f    *funcs
	name string
}

func (m *mod) exists() bool {
	prefix := m.name + "."
	for n := range natives {
		if strings.HasPrefix(n, prefix) {
			return true
		}
	}
	if m.f.r.cfg.Functions != nil {
		for _, n := range m.f.r.cfg.Functions.Names() {
			if strings.HasPrefix(n, prefix) {
				return true
			}
		}
	}
	return false
}

// PyType is Salt's class.
func (m *mod) PyType() string { return "salt.loader.lazy.LoadedMod" }

// Print is the object's repr.
func (m *mod) Print(*py.Thread, bool) (string, error) {
	return "<LoadedMod module='salt.loaded." + m.name + "'>", nil
}

// Attr is salt.test.ping.
func (m *mod) Attr(_ *py.Thread, name string) (py.Value, bool, error) {
	fn, ok := m.f.get(m.name + "." + name)
	if !ok {
		return nil, false, nil
	}
	return fn, true, nil
}

// function is an execution function that a template can call.
type function struct {
	r      *Renderer
	name   string
	native *py.Func // nil for one of Config.Functions
}

// PyType is Salt's class.
func (f *function) PyType() string { return "salt.loader.lazy.LoadedFunc" }

// Print is the object's repr.
func (f *function) Print(*py.Thread, bool) (string, error) {
	return "<LoadedFunc name='" + f.name + "'>", nil
}

// Call runs the function, with the clock of the render at rest.
func (f *function) Call(c *py.Call) (py.Value, error) {
	ctx := c.T.Context()
	if ck, ok := ctx.Value(clockKey{}).(*clock); ok {
		ck.pause()
		defer ck.resume()
		ctx = ck.Context
	}
	if f.native != nil && (f.r.cfg.Functions == nil || !f.r.cfg.Local[f.name]) {
		v, err := f.native.Call(c)
		return v, saltError(err)
	}
	args := make([]any, len(c.Args))
	for i, a := range c.Args {
		v, err := value.ToWire(a)
		if err != nil {
			return nil, err
		}
		args[i] = v
	}
	kwargs := wire.NewMap()
	for _, k := range c.Kw {
		v, err := value.ToWire(k.Value)
		if err != nil {
			return nil, err
		}
		kwargs.Set(k.Name, v)
	}
	if f.r.cfg.Functions == nil {
		return nil, py.Raise("KeyError", "'%s'", f.name)
	}
	out, err := f.r.cfg.Functions.Call(ctx, f.name, args, kwargs)
	if err != nil {
		return nil, saltError(err)
	}
	v, err := value.FromWire(out, false)
	if err != nil {
		return nil, fmt.Errorf("what %s returned: %w", f.name, err)
	}
	return v, nil
}

// saltError gives an error of a function the class of the exception that Salt raises.
func saltError(err error) error {
	var pe *py.Error
	var me *module.Error
	var re *Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &re): // of a file that the function rendered: the place in there is not one in this file
		where := ""
		if re.Name != "" {
			where = "\nin " + re.Name
		}
		return &py.Error{Type: "SaltRenderError", Msg: re.Error() + where}
	case errors.As(err, &pe):
		return err
	case errors.As(err, &me):
		class := "CommandExecutionError"
		switch me.Kind {
		case module.Invocation:
			class = "SaltInvocationError"
		case module.Arguments:
			class = "TypeError"
		case module.NotAvailable:
			class = "KeyError"
		}
		return &py.Error{Type: class, Msg: me.Msg, Err: err}
	}
	return &py.Error{Type: "Exception", Msg: err.Error(), Err: err}
}
