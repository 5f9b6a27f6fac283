package render

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"go.starlark.net/lib/json"
	starmath "go.starlark.net/lib/math"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/gosalt/gosalt/internal/render/value"
	"github.com/gosalt/gosalt/protocol/wire"
)

// The renderer starlark runs a file in Starlark, a language that reads as Python and
// touches nothing but what it is given. As in a file of py the data are what run() returns.

// maxSteps bounds what a file computes: some seconds.
var maxSteps uint64 = 50_000_000

// starlarkDialect lets files be written as in Python, where Starlark forbids by default:
// loops and conditions outside of functions, while, and set(). maxSteps bounds them.
var starlarkDialect = &syntax.FileOptions{Set: true, While: true, TopLevelControl: true, GlobalReassign: true}

func renderStarlark(ctx context.Context, r *Renderer, s *Source, args string, d *data) error {
	if !d.isText {
		return &Error{Msg: "the renderer starlark needs text, and the one before it made data", Name: s.name()}
	}
	vars, err := r.scriptVars(ctx, s)
	if err != nil {
		return err
	}
	if args != "" {
		vars["argline"] = args
	}
	v, err := r.starlark(ctx, s, d.text, vars)
	if err != nil {
		return err
	}
	d.take(v)
	return nil
}

// starRun is one run of a file, with the files that it loads.
type starRun struct {
	r       *Renderer
	s       *Source
	ctx     context.Context
	globals starlark.StringDict
	loaded  map[string]*starModule
}

type starModule struct {
	globals starlark.StringDict // nil while it is being loaded
	err     error
}

// starlark runs a text and returns what its run() returned.
func (r *Renderer) starlark(ctx context.Context, s *Source, text string, vars map[string]any) (any, error) {
	clock, stop := newClock(ctx, scriptTime)
	defer stop()
	run := &starRun{r: r, s: s, ctx: context.WithValue(clock, clockKey{}, clock), loaded: map[string]*starModule{}}
	f := &starFuncs{run}
	run.globals = starlark.StringDict{"json": json.Module, "math": starmath.Module, "salt": f, "__salt__": f}
	for k, v := range vars {
		w, err := value.ToWire(v)
		if err != nil {
			return nil, fmt.Errorf("variable %s: %w", k, err)
		}
		sv, err := toStarlark(w, 0)
		if err != nil {
			return nil, fmt.Errorf("variable %s: %w", k, err)
		}
		run.globals[k] = sv
	}
	run.globals.Freeze() // what one file changes no other is to see
	thread := &starlark.Thread{Name: s.name(), Load: run.load,
		Print: func(_ *starlark.Thread, msg string) {
			r.cfg.Log.Log(ctx, slog.LevelInfo, "a file that is rendered says", "file", s.name(), "text", msg)
		}}
	thread.SetMaxExecutionSteps(maxSteps)
	unhook := context.AfterFunc(clock, func() {
		if err := clock.Err(); err != nil {
			thread.Cancel(err.Error())
		}
	})
	defer unhook()
	out, err := run.result(thread, text)
	if err == nil {
		return out, nil
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("render %s: %w", s.name(), context.Cause(ctx))
	}
	return nil, run.failed(err, text)
}

func (run *starRun) file() string {
	switch {
	case run.s.Path != "":
		return run.s.Path
	case run.s.name() != "":
		return run.s.name()
	}
	return "<text>"
}

func (run *starRun) result(thread *starlark.Thread, text string) (any, error) {
	globals, err := starlark.ExecFileOptions(starlarkDialect, thread, run.file(), text, run.globals)
	if err != nil {
		return nil, err
	}
	fn, ok := globals["run"].(starlark.Callable)
	if !ok {
		return nil, errors.New("there is no function run(): a file of the renderer starlark makes its data in it")
	}
	v, err := starlark.Call(thread, fn, nil, nil)
	if err != nil {
		return nil, err
	}
	out, err := fromStarlark(v, 0)
	if err != nil {
		return nil, fmt.Errorf("what run() returned: %w", err)
	}
	return out, nil
}

// failed tells of an error in a file, with the line where it is in it.
func (run *starRun) failed(err error, text string) error {
	e := &Error{Name: run.s.name(), Err: err, Msg: run.file() + ": " + err.Error()}
	var eval *starlark.EvalError
	var syn syntax.Error
	switch {
	case errors.As(err, &eval):
		e.Msg = strings.TrimRight(eval.Backtrace(), "\n")
		for _, frame := range slices.Backward(eval.CallStack) {
			if frame.Pos.Filename() == run.file() {
				e.Line, e.Column, e.Buffer = int(frame.Pos.Line), int(frame.Pos.Col), text
				break
			}
		}
	case errors.As(err, &syn):
		e.Msg = fmt.Sprintf("%s: %s", syn.Pos, syn.Msg)
		if syn.Pos.Filename() == run.file() {
			e.Line, e.Column, e.Buffer = int(syn.Pos.Line), int(syn.Pos.Col), text
		}
	}
	return e
}

// load is the statement load("salt://lib/x.star", "f"): a file of the same environment. A
// name that begins with ./ or ../ is beside the file of the SLS.
func (run *starRun) load(thread *starlark.Thread, name string) (starlark.StringDict, error) {
	file, ok := strings.CutPrefix(name, "salt://")
	if !ok && (strings.HasPrefix(file, "./") || strings.HasPrefix(file, "../")) {
		dir, _ := starlark.AsString(run.globals["tpldir"])
		file = path.Join(dir, file)
	}
	file = strings.TrimPrefix(path.Clean("/"+file), "/")
	if m := run.loaded[file]; m != nil {
		if m.globals == nil && m.err == nil {
			return nil, fmt.Errorf("salt://%s loads itself", file)
		}
		return m.globals, m.err
	}
	m := &starModule{}
	run.loaded[file] = m
	m.globals, m.err = run.loadFile(thread, file)
	return m.globals, m.err
}

func (run *starRun) loadFile(thread *starlark.Thread, file string) (starlark.StringDict, error) {
	if run.r.cfg.Files == nil {
		return nil, errors.New("there is no file server to load it from")
	}
	f, err := run.r.cfg.Files.ReadFile(run.ctx, run.s.Env, file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("salt://%s is not on the file server in saltenv %s", file, run.s.Env)
	} else if err != nil {
		return nil, err
	}
	child := &starlark.Thread{Name: file, Load: thread.Load, Print: thread.Print}
	child.SetMaxExecutionSteps(maxSteps)
	unhook := context.AfterFunc(run.ctx, func() { child.Cancel(run.ctx.Err().Error()) })
	defer unhook()
	return starlark.ExecFileOptions(starlarkDialect, child, "salt://"+file, f.Data, run.globals)
}

// starFuncs is the variable salt: salt["test.ping"](), salt.test.ping() and
// salt.call("test.ping").
type starFuncs struct{ run *starRun }

func (f *starFuncs) String() string        { return "<salt>" }
func (f *starFuncs) Type() string          { return "salt" }
func (f *starFuncs) Freeze()               {}
func (f *starFuncs) Truth() starlark.Bool  { return true }
func (f *starFuncs) Hash() (uint32, error) { return 0, errors.New("unhashable type: salt") }

// Get is salt["test.ping"], and "test.ping" in salt.
func (f *starFuncs) Get(k starlark.Value) (starlark.Value, bool, error) {
	name, ok := starlark.AsString(k)
	if !ok || !f.run.r.funcs.has(name) {
		return nil, false, nil
	}
	return f.function(name), true, nil
}

func (f *starFuncs) Attr(name string) (starlark.Value, error) {
	if name == "call" {
		return starlark.NewBuiltin("salt.call", func(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
			if len(args) == 0 {
				return nil, errors.New("salt.call: the name of a function is expected first")
			}
			name, ok := starlark.AsString(args[0])
			if !ok {
				return nil, fmt.Errorf("salt.call: the name of a function is expected first, not %s", args[0].Type())
			}
			return f.call(name, args[1:], kwargs)
		}), nil
	}
	m := &starMod{f, name}
	if len(m.AttrNames()) == 0 {
		return nil, nil
	}
	return m, nil
}

func (f *starFuncs) AttrNames() []string {
	names := map[string]bool{"call": true}
	for _, n := range f.run.r.funcs.names() {
		m, _, _ := strings.Cut(text(n), ".")
		names[m] = true
	}
	return slices.Sorted(maps.Keys(names))
}

func (f *starFuncs) function(name string) *starlark.Builtin {
	return starlark.NewBuiltin(name, func(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		return f.call(name, args, kwargs)
	})
}

func (f *starFuncs) call(name string, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if !f.run.r.funcs.has(name) {
		return nil, fmt.Errorf("there is no function %s", name)
	}
	var list []any
	for _, a := range args {
		v, err := fromStarlark(a, 0)
		if err != nil {
			return nil, fmt.Errorf("an argument of %s: %w", name, err)
		}
		list = append(list, v)
	}
	named := wire.NewMap()
	for _, kv := range kwargs {
		v, err := fromStarlark(kv[1], 0)
		if err != nil {
			return nil, fmt.Errorf("an argument of %s: %w", name, err)
		}
		k, _ := starlark.AsString(kv[0])
		named.Set(k, v)
	}
	out, err := f.run.r.callFunction(f.run.ctx, name, list, named)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return toStarlark(out, 0)
}

// starMod is salt.test.
type starMod struct {
	f    *starFuncs
	name string
}

func (m *starMod) String() string        { return "<salt." + m.name + ">" }
func (m *starMod) Type() string          { return "salt_module" }
func (m *starMod) Freeze()               {}
func (m *starMod) Truth() starlark.Bool  { return true }
func (m *starMod) Hash() (uint32, error) { return 0, errors.New("unhashable type: salt_module") }

func (m *starMod) Attr(name string) (starlark.Value, error) {
	if full := m.name + "." + name; m.f.run.r.funcs.has(full) {
		return m.f.function(full), nil
	}
	return nil, nil
}

func (m *starMod) AttrNames() []string {
	var out []string
	for _, n := range m.f.run.r.funcs.names() {
		if rest, ok := strings.CutPrefix(text(n), m.name+"."); ok {
			out = append(out, rest)
		}
	}
	return out
}

// toStarlark makes a value of Starlark of one of ours.
func toStarlark(v any, depth int) (starlark.Value, error) {
	if depth > maxNest {
		return nil, errNested
	}
	switch x := v.(type) {
	case nil:
		return starlark.None, nil
	case bool:
		return starlark.Bool(x), nil
	case int64:
		return starlark.MakeInt64(x), nil
	case uint64:
		return starlark.MakeUint64(x), nil
	case float64:
		return starlark.Float(x), nil
	case string:
		return starlark.String(x), nil
	case []byte:
		return starlark.Bytes(x), nil
	case time.Time:
		return starlark.String(x.Format(time.RFC3339Nano)), nil
	case []any:
		list := make([]starlark.Value, len(x))
		for i, e := range x {
			var err error
			if list[i], err = toStarlark(e, depth+1); err != nil {
				return nil, err
			}
		}
		return starlark.NewList(list), nil
	case *wire.Map:
		d := starlark.NewDict(x.Len())
		for k, e := range x.All() {
			key, err := toStarlark(k, depth+1)
			if err != nil {
				return nil, err
			}
			val, err := toStarlark(e, depth+1)
			if err != nil {
				return nil, err
			}
			if err := d.SetKey(key, val); err != nil {
				return nil, err
			}
		}
		return d, nil
	}
	return nil, fmt.Errorf("a value of type %s cannot be handed to Starlark", wire.TypeName(v))
}

// fromStarlark makes one of our values of Starlark's.
func fromStarlark(v starlark.Value, depth int) (any, error) {
	if depth > maxNest {
		return nil, errNested
	}
	switch x := v.(type) {
	case starlark.NoneType:
		return nil, nil
	case starlark.Bool:
		return bool(x), nil
	case starlark.Int:
		if n, ok := x.Int64(); ok {
			return n, nil
		}
		if n, ok := x.Uint64(); ok {
			return n, nil
		}
		return x.String(), nil
	case starlark.Float:
		return float64(x), nil
	case starlark.String:
		return string(x), nil
	case starlark.Bytes:
		return []byte(x), nil
	case starlark.IterableMapping: // before lists: a dict is iterable, too
		m := wire.NewMap()
		for _, kv := range x.Items() {
			k, err := fromStarlark(kv[0], depth+1)
			if err != nil {
				return nil, err
			}
			switch t := k.(type) {
			case []any, *wire.Map:
				k = kv[0].String()
			case []byte:
				k = string(t)
			}
			e, err := fromStarlark(kv[1], depth+1)
			if err != nil {
				return nil, fmt.Errorf("[%s]: %w", kv[0], err)
			}
			m.SetAny(k, e)
		}
		return m, nil
	case starlark.Iterable:
		list := []any{}
		it := x.Iterate()
		defer it.Done()
		var e starlark.Value
		for it.Next(&e) {
			w, err := fromStarlark(e, depth+1)
			if err != nil {
				return nil, fmt.Errorf("[%d]: %w", len(list), err)
			}
			list = append(list, w)
		}
		return list, nil
	}
	return nil, fmt.Errorf("a value of type %s is no data", v.Type())
}
