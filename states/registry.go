package states

import (
	"context"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// A Call is what a state function may touch. Its Call method runs execution functions.
type Call struct {
	*module.Call

	Test bool      // nothing is changed; states seldom need to know
	Low  *wire.Map // the low chunk, with the requisites and what the compiler added; read only
	SLS  string    // the SLS file that the chunk is from: "web.nginx"
	ID   string    // the state's id
	Env  string    // the environment: "base"
	// Running are the results so far by tag; read only.
	Running *wire.Map
	// Chunks are all chunks of the run; read only.
	Chunks []*wire.Map
	// Required are the chunks that each requisite of this one means, by its kind: "watch".
	Required map[string][]*wire.Map
	// Shared is kept for the whole run: Salt's __context__ of states.
	Shared *Shared
	// Umask is that of the state, or -1.
	Umask int
	// Foreseen is what a saved plan says of this state; nil where none is carried out.
	Foreseen *Foreseen
	// Drafts are the files as earlier states of a run under test=True would leave them; nil
	// where nothing is tried on them.
	Drafts *Drafts
}

// Foreseen is what a saved plan says of a state.
type Foreseen struct {
	Clean bool // there is nothing to do
}

// strays tells whether a plan does more than the saved one has it: the result, where so.
// Some states look at what there is to do in their only step: look plans them under
// test=True, as the saved plan was made, and what is still in order is left as it is.
func (c *Call) strays(ctx context.Context, p *Plan, look func(context.Context, *Call) (*Plan, error)) *Result {
	if c.Foreseen == nil || !c.Foreseen.Clean || c.Test || p.result != nil || len(p.steps) == 0 {
		return nil
	}
	if q, err := look(ctx, c.dry()); err == nil {
		if r := q.settle(ctx, true); r.Result == true && r.Changes.Len() == 0 {
			return r
		}
	}
	return &Result{Result: false, Changes: wire.NewMap(), Comment: "Not done, because the saved plan has nothing to do here, and now there is: " + pytext.Repr(p.Changes()) +
		"\nThe states before this one brought it about, or someone else: make a new plan"}
}

// dry is the same call under test=True.
func (c *Call) dry() *Call {
	next, call := *c, *c.Call
	call.Opts = call.Opts.Clone()
	call.Opts.Set("test", true)
	next.Call, next.Test, next.Drafts = &call, true, nil
	return &next
}

// Unknown is the error of a plan that cannot be made under test=True, since what it is made
// from is to come from an earlier state: its text is the comment, and the result is None.
type Unknown string

func (u Unknown) Error() string { return string(u) }

// Tag is the key of a chunk's result: "file_|-/etc/motd_|-/etc/motd_|-managed". What is no
// text, as a name of a list of names may be, is there as Python writes it.
func Tag(low *wire.Map) string {
	parts := [4]string{}
	for i, key := range [...]string{"state", "__id__", "name", "fun"} {
		v, ok := low.Get(key)
		if s, isText := v.(string); isText {
			parts[i] = s
		} else if ok {
			parts[i] = pytext.Str(v)
		}
	}
	return strings.Join(parts[:], "_|-")
}

// Hooks are what a state module has beside its functions, each may be nil.
type Hooks struct {
	// Init is called once in a run, before the module's first state. It is called again
	// before the next one while it returns false.
	Init func(ctx context.Context, c *Call) bool
	// Aggregate joins what later chunks ask for into this one and returns the chunk to
	// run, for chunks with aggregate: True.
	Aggregate func(ctx context.Context, c *Call, chunks []*wire.Map, running *wire.Map) *wire.Map
	// Checks says that the module's functions look at onlyif, unless and creates themselves.
	Checks bool
	// Before is called before each function, by its name: its error is the state's failure.
	Before func(c *Call, fun string) error
	// CheckCmd names the functions that look at check_cmd themselves.
	CheckCmd []string
}

// A Registry holds state functions by name: "file.managed".
type Registry struct {
	*module.Registry
	hooks   map[string]Hooks
	drafter Drafter
}

// NewRegistry makes an empty registry.
func NewRegistry() *Registry {
	return &Registry{Registry: module.NewRegistry(), hooks: map[string]Hooks{}}
}

// Hook sets the hooks of a module: "pkg".
func (r *Registry) Hook(mod string, h Hooks) { r.hooks[mod] = h }

// Hooks returns the hooks of a module.
func (r *Registry) Hooks(mod string) Hooks { return r.hooks[mod] }

// Register adds a state function under a name such as "file.managed". A is a struct of
// arguments as for package module; the chunk's name is the argument "name".
func Register[A any](r *Registry, name string, fn func(context.Context, *Call, A) (*Plan, error), opts ...module.Option) {
	module.Register(r.Registry, name, func(ctx context.Context, _ *module.Call, a A) (*wire.Map, error) {
		c := callOf(ctx)
		mod, fun, _ := strings.Cut(name, ".")
		var p *Plan
		var err error
		if before := r.hooks[mod].Before; before != nil {
			err = before(c, fun)
		}
		if err == nil {
			p, err = fn(ctx, c, a)
		}
		if err != nil {
			res := &Result{Result: false, Changes: wire.NewMap(), Comment: failure(err)}
			if _, ok := err.(Unknown); ok && c.Test {
				res.Result = nil
			}
			shown, warnings := c.Low.Text("name"), []string(nil)
			if p != nil {
				warnings = p.Warnings
				if p.Name != "" {
					shown = p.Name
				}
			}
			return res.toMap(shown, warnings), nil
		}
		shown := c.Low.Text("name")
		if p.Name != "" {
			shown = p.Name
		}
		if r := c.strays(ctx, p, func(ctx context.Context, c *Call) (*Plan, error) { return fn(ctx, c, a) }); r != nil {
			return r.toMap(shown, p.Warnings), nil
		}
		settled := p.settle(ctx, c.Test)
		m := settled.toMap(shown, p.Warnings)
		if c.Test && settled.Result == nil {
			r.rehearse(ctx, c, p)
		}
		return m, nil
	}, append(opts, module.Written(fn))...)
}

type callKey struct{}

func callOf(ctx context.Context) *Call { return ctx.Value(callKey{}).(*Call) }

// Run runs a state function with the arguments of a chunk and returns its result in
// Salt's form. Its error is that of a call that does not fit, or a panic: what the
// function itself has against the machine is a result.
func (r *Registry) Run(ctx context.Context, c *Call, fun string, kwargs *wire.Map) (*wire.Map, error) {
	v, err := r.Invoke(context.WithValue(ctx, callKey{}, c), c.Call, fun, kwargs)
	if err != nil {
		return nil, err
	}
	return v.(*wire.Map), nil
}

// Hand calls another state function in place of this one, with a name and arguments as
// in an SLS file: for the mod_watch of a module.
func Hand[A any](ctx context.Context, c *Call, fn func(context.Context, *Call, A) (*Plan, error), name string, kwargs *wire.Map) (*Plan, error) {
	all := wire.NewMap("name", name)
	for k, v := range kwargs.Strings() {
		all.Set(k, v)
	}
	a, err := module.Bind[A](c.Low.Text("state")+"."+c.Low.Text("sfun"), all)
	if err != nil {
		return nil, err
	}
	return fn(ctx, c, a)
}
