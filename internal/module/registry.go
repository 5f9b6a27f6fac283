package module

import (
	"context"
	"io/fs"
	"maps"
	"path"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/gosalt/gosalt/protocol/wire"
)

// A Registry holds functions by name: "cmd.run". It is filled by Register before
// it is used; from then on it may be used concurrently.
type Registry struct {
	functions map[string]*Function
	planned   map[string]string // name to why it is not there
	sources   map[string]fs.FS  // import path to the package's Go files

	// Explain says more of a name that has no function, or "". It is set before the
	// registry is used; nil says nothing.
	Explain func(name string) string

	docs     sync.Mutex
	packages map[string]*sourcePackage
}

// NewRegistry makes an empty registry.
func NewRegistry() *Registry {
	return &Registry{
		functions: map[string]*Function{},
		planned:   map[string]string{},
		sources:   map[string]fs.FS{},
		packages:  map[string]*sourcePackage{},
	}
}

// Grow makes room for n more functions.
func (r *Registry) Grow(n int) {
	have := r.functions
	r.functions = make(map[string]*Function, len(have)+n)
	maps.Copy(r.functions, have)
}

// A Function is one entry of a registry.
type Function struct {
	// Name is the name it is called by: "cmd.run".
	Name string
	// Outputter is how its result wants to be shown, as Salt's __outputter__: "" for the default.
	Outputter string

	label    string           // what machines a variant is for: "dnf and yum"
	here     func(*Call) bool // nil for all machines
	variants []*Function      // on some machines the name stands for one of these
	only     bool             // there is nothing but the variants
	order    []string         // the arguments that are given by position; nil for that of the struct

	impl any // the Go function: its name finds its documentation
	args reflect.Type
	call func(ctx context.Context, c *Call, args reflect.Value) (any, error)

	// There are more than a thousand functions, and most processes call a few: what is
	// known of the arguments is made when it is first asked for.
	read atomic.Pointer[signature]
}

// An Option says something of a function beyond its signature.
type Option func(*Function)

// Outputter makes the function's result be shown by the named outputter.
func Outputter(name string) Option { return func(f *Function) { f.Outputter = name } }

// Written tells which Go function was written for this name, where what is registered
// only wraps it: its comment is the documentation.
func Written(fn any) Option { return func(f *Function) { f.impl = fn } }

// Positional names the arguments that may be given by position, in their order; all
// others are given by name. "template=jinja" is one with another default than the tag's.
// It is for functions whose struct shares its fields with functions that Salt gives
// another order.
func Positional(names string) Option {
	return func(f *Function) { f.order = strings.Fields(names) }
}

// On makes the function the one of its name on some machines only: what Salt's virtual
// modules are. label names those machines, here tells whether a call is on one of them.
// Several functions may be registered under one name so, beside one for all others; the
// first that is for the machine counts. Where there is none, the name has no function.
func On(label string, here func(*Call) bool) Option {
	return func(f *Function) { f.label, f.here = label, here }
}

// For is the function that the name stands for on the machine of a call, nil for none.
func (f *Function) For(c *Call) *Function {
	if f == nil {
		return nil
	}
	for _, v := range f.variants {
		if v.here(c) {
			return v
		}
	}
	if f.only {
		return nil
	}
	return f
}

// Register adds a function under a name such as "cmd.run".
//
// A is a struct whose exported fields are the arguments, positional in their order
// and by name in snake case (PythonShell is python_shell=); embedded structs count
// as their fields. Tags of a field:
//
//	default:"0s"   the argument may be left out; the text is read as its type,
//	               "None" leaves the field's zero value
//	arg:"name"     another name than the field's
//	arg:"*"        takes all further positional arguments; type []any
//	arg:"**"       takes all further keywords, __pub_* among them; type *wire.Map
//	read:"a b"     of the further keywords only these are looked at, "-" for none
//	arg:"name,kw"  given by name only
//	split:","      a text is split there, for fields of type []string
//
// Values are converted to the field's type as people expect of Salt, see
// convert.go; a field of type any takes what comes. R is anything that ToWire
// takes. Registering a name twice, or a struct that cannot be read, panics when
// the function is first used: a mistake that every test sees.
func Register[A, R any](r *Registry, name string, fn func(context.Context, *Call, A) (R, error), opts ...Option) {
	f := &Function{
		Name: name,
		impl: fn,
		args: reflect.TypeFor[A](),
		call: func(ctx context.Context, c *Call, args reflect.Value) (any, error) {
			return fn(ctx, c, args.Interface().(A))
		},
	}
	for _, o := range opts {
		o(f)
	}
	r.add(f)
}

func (r *Registry) add(f *Function) {
	have, ok := r.functions[f.Name]
	switch {
	case ok && f.here != nil:
		have.variants = append(have.variants, f)
		return
	case ok && have.only:
		f.variants = have.variants
	case ok:
		panic("module: " + f.Name + " is registered twice")
	case f.here != nil: // until one for all machines comes
		f = &Function{Name: f.Name, Outputter: f.Outputter, impl: f.impl, args: f.args, call: f.call, order: f.order, variants: []*Function{f}, only: true}
	}
	if strings.Count(f.Name, ".") != 1 {
		panic("module: " + f.Name + " is not of the form module.function")
	}
	r.functions[f.Name] = f
}

// Alias makes a function answer to another name too, as test.versions for
// test.versions_report.
func (r *Registry) Alias(name, target string) {
	f, ok := r.functions[target]
	if !ok {
		panic("module: alias " + name + " of " + target + ", which is not registered")
	}
	r.add(f.named(name))
}

// named is a copy of the function under another name.
func (f *Function) named(name string) *Function {
	n := &Function{Name: name, Outputter: f.Outputter, label: f.label, here: f.here, only: f.only, impl: f.impl, args: f.args, call: f.call, order: f.order}
	for _, v := range f.variants {
		n.variants = append(n.variants, v.named(name))
	}
	return n
}

// Planned names functions of Salt that are not here yet: they are listed, and
// answer that they are not available in gosalt. why says more, or is "".
func (r *Registry) Planned(why string, names ...string) {
	for _, n := range names {
		r.planned[n] = why
	}
}

// Restrict takes away the modules of a list, and, where only is not empty, all that are
// not on that one: disable_modules and whitelist_modules. What is gone is for callers
// as if it had never been there.
func (r *Registry) Restrict(disable, only []string) {
	gone := func(name string) bool {
		mod, _, _ := strings.Cut(name, ".")
		return slices.Contains(disable, mod) || len(only) > 0 && !slices.Contains(only, mod)
	}
	maps.DeleteFunc(r.functions, func(name string, _ *Function) bool { return gone(name) })
	maps.DeleteFunc(r.planned, func(name, _ string) bool { return gone(name) })
}

// Sources tells where the Go files of a package are, its comments being the
// documentation of its functions. importPath is that of the package.
func (r *Registry) Sources(importPath string, files fs.FS) { r.sources[importPath] = files }

// Has tells whether a function can be called by this name.
func (r *Registry) Has(name string) bool { return r.functions[name] != nil }

// Lookup returns the function of a name, or nil.
func (r *Registry) Lookup(name string) *Function { return r.functions[name] }

// Names returns the names of all functions, sorted, without the planned ones.
func (r *Registry) Names() []string { return slices.Sorted(maps.Keys(r.functions)) }

// PlannedNames returns the names that are known but not here yet, sorted.
func (r *Registry) PlannedNames() []string { return slices.Sorted(maps.Keys(r.planned)) }

// Modules returns the names before the dot, sorted, each once.
func (r *Registry) Modules() []string {
	seen := map[string]bool{}
	for n := range r.functions {
		seen[n[:strings.IndexByte(n, '.')]] = true
	}
	return slices.Sorted(maps.Keys(seen))
}

// lookup finds a function, or says in Salt's words that there is none.
func (r *Registry) lookup(name string) (*Function, error) {
	if f := r.functions[name]; f != nil {
		return f, nil
	}
	return nil, &Error{Kind: NotAvailable, Msg: r.missing(name)}
}

// on finds the function that a name stands for on the machine of a call.
func (r *Registry) on(c *Call, name string) (*Function, error) {
	f, err := r.lookup(name)
	if err != nil {
		return nil, err
	}
	if f = f.For(c); f == nil {
		return nil, &Error{Kind: NotAvailable, Msg: "'" + name + "' is not available."}
	}
	return f, nil
}

// Missing is the text for a name without a function: Salt's sentence, and the nearest
// right name where one is near.
func (r *Registry) Missing(name string) string { return r.missing(name) }

// missing is the text for a name without a function: Salt's sentence, and the
// nearest right name where one is near.
func (r *Registry) missing(name string) string {
	if why, ok := r.planned[name]; ok {
		return strings.TrimSpace("'" + name + "' is not available in gosalt yet. " + why)
	}
	msg := "'" + name + "' is not available."
	if r.Explain != nil {
		if why := r.Explain(name); why != "" {
			return msg + " " + why
		}
	}
	if near := nearest(name, r.Names()); near != "" {
		msg += " Did you mean '" + near + "'?"
	}
	return msg
}

// signature is what is known of a function's arguments.
type signature struct {
	params func() *params
	spec   func() Spec
}

// reading returns the signature. Who comes first makes it; the parts are read once each.
func (f *Function) reading() *signature {
	s := f.read.Load()
	if s == nil {
		params := sync.OnceValue(func() *params { return readParams(f.Name, f.args, f.order) })
		f.read.CompareAndSwap(nil, &signature{params: params, spec: sync.OnceValue(func() Spec { return makeSpec(f.Name, params()) })})
		s = f.read.Load()
	}
	return s
}

// signature reads the argument struct at first use.
func (f *Function) signature() *params { return f.reading().params() }

// invoke binds the arguments and calls the function.
func (f *Function) invoke(ctx context.Context, c *Call, args []any, kwargs *wire.Map) (any, error) {
	p := f.signature()
	bound, err := p.bind(args, kwargs)
	if err != nil {
		return nil, err
	}
	v, err := f.call(ctx, c, bound)
	if err != nil {
		return nil, err
	}
	return ToWire(v)
}

// Check tells what is wrong with the arguments of a call, without calling the function:
// the error that the call would end with, nil where it takes them.
func (f *Function) Check(args []any, kwargs *wire.Map) error {
	_, err := f.signature().bind(args, kwargs)
	return err
}

// pc is where the Go function begins.
func (f *Function) pc() uintptr { return reflect.ValueOf(f.impl).Pointer() }

// goName is the package path and the name of the Go function:
// "github.com/gosalt/gosalt/minion/modules", "cmdRun".
func (f *Function) goName() (pkg, name string) {
	full := runtime.FuncForPC(f.pc()).Name()
	slash := strings.LastIndexByte(full, '/') + 1
	dot := strings.IndexByte(full[slash:], '.') + slash
	return full[:dot], full[dot+1:]
}

// Provider is the name of the source file that the function is in, without its
// ending: "cmd", "pkg_apt". Salt calls it the provider of a virtual module.
func (f *Function) Provider() string {
	file, _ := runtime.FuncForPC(f.pc()).FileLine(f.pc())
	return strings.TrimSuffix(path.Base(file), ".go")
}

// Borrow makes a function of another registry answer here too, under the same name.
func (r *Registry) Borrow(from *Registry, name string) {
	r.add(from.functions[name].named(name))
}
