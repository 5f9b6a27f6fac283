package compile

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/gosalt/gosalt/internal/dictmerge"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/render"
	"github.com/gosalt/gosalt/protocol/wire"
)

// CallOptions are what a function such as state.show_sls is told.
type CallOptions struct {
	Saltenv string    // "" for the option saltenv
	Pillar  *wire.Map // laid over the minion's
}

// FromCall is the configuration of a compiler that works for an execution function: with
// its file server, grains, pillar and functions.
func FromCall(c *module.Call, o CallOptions) Config {
	opts := c.Opts.Clone()
	if o.Saltenv != "" {
		opts.Set("saltenv", o.Saltenv)
	}
	pillar := c.Pillar()
	if o.Pillar.Len() > 0 {
		pillar, _ = dictmerge.Copy(pillar).(*wire.Map)
		if pillar == nil {
			pillar = wire.NewMap()
		}
		dictmerge.Update(pillar, o.Pillar, opts.Bool("pillar_merge_lists"))
	}
	return Config{
		ID: opts.Text("id"), Opts: opts, Grains: c.Grains(), Pillar: pillar, OrderedPillar: opts.Text("file_client") == "local",
		Files: c.FileServer, Functions: Functions(c), Log: c.Log, ReadLocal: os.ReadFile,
	}
}

// Functions lets templates call the functions that a call can reach. One that panics
// is an error of the template.
func Functions(c *module.Call) render.Functions { return callFunctions{c} }

type callFunctions struct{ c *module.Call }

func (f callFunctions) Has(name string) bool { return f.c.Has(name) }

func (f callFunctions) Names() []string { return f.c.Functions().Names() }

func (f callFunctions) Call(ctx context.Context, name string, args []any, kwargs *wire.Map) (v any, err error) {
	defer func() {
		if p := recover(); p != nil {
			f.c.Log.Error("a function panicked in a template", "fun", name, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			v, err = nil, &module.Panic{Value: p}
		}
	}()
	return f.c.Call(ctx, name, args, kwargs)
}
