package module

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"

	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Result is what became of one function: the fields of a Salt minion's return.
type Result struct {
	Return  any    // of the wire's value model: what the function returned, or the error's text
	Retcode int    // 0 is success
	Success bool   // Retcode is 0 and the function ended without an error
	Out     string // the outputter asked for, "nested" with an error, "" for the default
	// Err is why there is no result; nil where the function returned one, whatever
	// its exit code. It is an *Error, a *Panic, or any other error that the
	// function returned.
	Err error
}

// Panic is the error of a function that panicked.
type Panic struct {
	Value any
	Stack []byte
}

func (p *Panic) Error() string { return fmt.Sprintf("panic: %v", p.Value) }

// Run runs a function as a minion runs a job and answers in Salt's words, whatever
// happens. args are those of a publish: maps marked with __kwarg__ and texts of
// the form name=value are keywords, as Salt has them; kwargs, which may be nil,
// are taken as they are.
func (r *Registry) Run(ctx context.Context, c *Call, fun string, args []any, kwargs *wire.Map) Result {
	call := r.prepare(c, fun)
	f, err := r.on(call, fun)
	if err != nil {
		return r.notAvailable(fun, err)
	}
	v, err := f.run(ctx, call, args, kwargs)
	if err != nil {
		return r.failed(call, f, err)
	}
	res := Result{Return: v, Retcode: call.Retcode(), Out: f.Outputter}
	if res.Retcode == 0 && !saysSuccess(v) {
		res.Retcode = 1
	}
	res.Success = res.Retcode == 0
	return res
}

// Invoke runs a function with keywords alone and returns its value, of the wire's value
// model, or its error as it came: *Error for a call that does not fit, *Panic. c is
// handed on as it is, but for its name and its registry; what Run fills in is not.
func (r *Registry) Invoke(ctx context.Context, c *Call, fun string, kwargs *wire.Map) (v any, err error) {
	next := *c
	next.fun, next.reg = fun, r
	if next.Grains == nil {
		next.Grains = func() *wire.Map { return wire.NewMap() }
	}
	f, err := r.on(&next, fun)
	if err != nil {
		return nil, err
	}
	defer func() {
		if p := recover(); p != nil {
			v, err = nil, &Panic{Value: p, Stack: debug.Stack()}
		}
	}()
	return f.invoke(ctx, &next, nil, kwargs)
}

// Open makes a Call of the caller's whose method Call runs functions that no job asked
// for: those that templates of a pillar call.
func (r *Registry) Open(c *Call) *Call {
	call := r.prepare(c, "")
	call.crossed = true
	return call
}

// prepare copies the caller's Call and fills in what it left out.
func (r *Registry) prepare(c *Call, fun string) *Call {
	var call Call
	if c != nil {
		call = *c
	}
	call.fun, call.reg, call.crossed, call.shared = fun, r, false, &shared{}
	if call.Log == nil {
		call.Log = slog.New(slog.DiscardHandler)
	}
	if call.Host == nil {
		call.Host = &host.Host{}
	}
	if call.Opts == nil {
		call.Opts = wire.NewMap()
	}
	if call.Grains == nil {
		call.Grains = func() *wire.Map { return wire.NewMap() }
	}
	if call.Pillar == nil {
		call.Pillar = func() *wire.Map { return wire.NewMap() }
	}
	return &call
}

// run takes the arguments apart, calls the function and catches its panic.
func (f *Function) run(ctx context.Context, c *Call, args []any, kwargs *wire.Map) (v any, err error) {
	defer func() {
		if p := recover(); p != nil {
			v, err = nil, &Panic{Value: p, Stack: debug.Stack()}
		}
	}()
	p := f.signature()
	plain, kw, err := p.split(args, kwargs)
	if err != nil {
		return nil, err
	}
	if p.kwargs != nil && c.Job != nil {
		for k, v := range c.Job.Pub.Strings() {
			kw.Set("__pub_"+k, v)
		}
	}
	return f.invoke(ctx, c, plain, kw)
}

// split parts positional arguments and keywords as Salt's minion does, and refuses
// keywords that the function does not know in its words.
func (p *params) split(args []any, kwargs *wire.Map) ([]any, *wire.Map, error) {
	var plain []any
	var invalid []string
	hint := ""
	kw := wire.NewMap()
	take := func(key string, v any) {
		if _, known := p.byName[key]; known || p.kwargs != nil {
			kw.Set(key, v)
			return
		}
		if strings.HasPrefix(key, "__pub_") {
			return
		}
		invalid = append(invalid, key+"="+pytext.Str(v))
		if hint == "" {
			hint = p.hint(key)
		}
	}
	for _, a := range args {
		if m, ok := a.(*wire.Map); ok && m.Bool("__kwarg__") {
			for k, v := range m.Strings() {
				if k != "__kwarg__" {
					take(k, v)
				}
			}
			continue
		}
		if s, ok := a.(string); ok {
			if k, v, ok := keyword(s); ok {
				take(k, typed(v))
				continue
			}
		}
		plain = append(plain, a)
	}
	for k, v := range kwargs.Strings() {
		take(k, v)
	}
	if len(invalid) > 0 {
		return nil, nil, newError(Keywords, "The following keyword arguments are not valid: %s%s", []any{strings.Join(invalid, ", "), hint})
	}
	return plain, kw, nil
}

// saysSuccess is false for a map whose "result" or "success" is there and is
// nothing that Python takes for true.
func saysSuccess(v any) bool {
	m, ok := v.(*wire.Map)
	if !ok {
		return true
	}
	for _, key := range []string{"result", "success"} {
		if v, ok := m.Get(key); ok && !Truth(v) {
			return false
		}
	}
	return true
}

// Truth is Python's bool(): nothing, zero and what is empty are false.
func Truth(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case bool:
		return v
	case int64:
		return v != 0
	case uint64:
		return v != 0
	case float64:
		return v != 0
	case string:
		return v != ""
	case []byte:
		return len(v) > 0
	case []any:
		return len(v) > 0
	case *wire.Map:
		return v.Len() > 0
	}
	return true
}

// notAvailable answers for a name without a function. As in Salt, the functions
// whose names begin with it are shown with their documentation.
func (r *Registry) notAvailable(fun string, err error) Result {
	res := Result{Return: err.Error(), Retcode: 1, Out: "nested", Err: err}
	docs := wire.NewMap()
	for _, name := range r.Names() {
		if strings.HasPrefix(name, fun) {
			docs.Set(name, r.DocText(name))
		}
	}
	if docs.Len() > 0 {
		docs.Set(fun, err.Error())
		res.Return = docs
	}
	return res
}

// failed words an error as Salt's minion does. Whoever asked is told; the log is for
// a panic, which is a mistake of ours.
func (r *Registry) failed(c *Call, f *Function, err error) Result {
	res := Result{Retcode: 1, Out: "nested", Err: err}
	var e *Error
	if !errors.As(err, &e) {
		res.Return = "The minion function caused an exception: " + err.Error()
		var p *Panic
		if errors.As(err, &p) {
			c.Log.Error("function panicked", "fun", f.Name, "panic", fmt.Sprint(p.Value), "stack", string(p.Stack))
		} else {
			c.Log.Info("function failed", "fun", f.Name, "error", err)
		}
		return res
	}
	switch e.Kind {
	case Failed:
		res.Return = "ERROR: " + err.Error()
	case Invocation, Keywords:
		res.Return = fmt.Sprintf("ERROR executing '%s': %s", f.Name, err)
	case Arguments:
		res.Return = fmt.Sprintf("Passed invalid arguments to %s: %s\n%s", f.Name, err, r.DocText(f.Name))
	case NoCommand:
		res.Return = fmt.Sprintf("Command required for '%s' not found: %s", f.Name, err)
	default:
		// A function called one that is not there: a cross call in Salt fails with a KeyError.
		res.Return = "The minion function caused an exception: " + err.Error()
	}
	c.Log.Info("function failed", "fun", f.Name, "error", err)
	return res
}
