package pillar

import (
	"context"
	"fmt"
	"runtime/debug"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/render"
	"github.com/gosalt/gosalt/protocol/wire"
)

// FromRegistry lets templates call the functions of a registry. open makes the Call they
// get, for one minion.
func FromRegistry(reg *module.Registry, open func(r *Request, grains *wire.Map) *module.Call) func(*Request, *wire.Map) render.Functions {
	return func(r *Request, grains *wire.Map) render.Functions {
		return &functions{reg, reg.Open(open(r, grains))}
	}
}

type functions struct {
	reg  *module.Registry
	call *module.Call
}

func (f *functions) Has(name string) bool { return f.reg.Has(name) }

func (f *functions) Names() []string { return f.reg.Names() }

func (f *functions) Call(ctx context.Context, name string, args []any, kwargs *wire.Map) (v any, err error) {
	defer func() {
		if p := recover(); p != nil {
			f.call.Log.Error("a function panicked in a template of a pillar", "fun", name, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			v, err = nil, &module.Panic{Value: p}
		}
	}()
	return f.call.Call(ctx, name, args, kwargs)
}
