package runners

import (
	"context"
	"path"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/protocol/wire"
)

func registerDoc(r *module.Registry) {
	module.Register(r, "doc.execution", docExecution)
	module.Register(r, "doc.runner", docRunner)
	module.Register(r, "doc.wheel", docWheel)
}

type docRunnerArgs struct {
	Name string `default:""` // A function, a module, or a glob; all functions where not given.
}

// docRunner returns the documentation of the functions that run on the master.
//
//	gosalt-run doc.runner
//	gosalt-run doc.runner manage
func docRunner(_ context.Context, c *module.Call, a docRunnerArgs) (*wire.Map, error) {
	return docsOf(c.Functions(), a)
}

// docWheel returns the documentation of the wheel functions.
//
//	gosalt-run doc.wheel
//	gosalt-run doc.wheel key
func docWheel(ctx context.Context, _ *module.Call, a docRunnerArgs) (*wire.Map, error) {
	return docsOf(callOf(ctx).r.wheel, a)
}

// docsOf is the documentation of some functions of a registry.
func docsOf(reg *module.Registry, a docRunnerArgs) (*wire.Map, error) {
	out := wire.NewMap()
	for _, name := range reg.Names() {
		switch {
		case a.Name == "", a.Name == name:
		case strings.Contains(a.Name, "*"):
			if ok, err := path.Match(a.Name, name); err != nil {
				return nil, module.Invalidf("glob %q: %w", a.Name, err)
			} else if !ok {
				continue
			}
		case !strings.HasPrefix(name, strings.TrimSuffix(a.Name, ".")+"."):
			continue
		}
		out.Set(name, reg.DocText(name))
	}
	return out, nil
}

type docExecutionArgs struct{}

// docExecution asks the minions for the documentation of their functions and
// returns all that any of them has.
//
//	gosalt-run doc.execution
func docExecution(ctx context.Context, _ *module.Call, _ docExecutionArgs) (*wire.Map, error) {
	got, err := callOf(ctx).ask(ctx, Ask{Fun: "sys.doc", Target: "*"})
	if err != nil {
		return nil, err
	}
	out := wire.NewMap()
	for _, id := range got.Asked {
		for name, text := range got.Returns[id].Map("return").Strings() {
			if !out.Has(name) {
				out.Set(name, text)
			}
		}
	}
	return out, nil
}
