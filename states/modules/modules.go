// Package modules holds the state functions: file.go is file.*, cmd.go is cmd.*, and so
// on. Each registers itself with register in its file's init; New puts them into a
// registry. What differs by system is in files named after it.
//
// To add a state, write it beside the others of its module: an argument struct whose
// fields have comments, the function with its comment, and one line in init. See
// package states for what a state function does.
package modules

import (
	"context"
	"embed"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

// sources are the comments that sys.state_doc prints.
//
//go:embed *.go
var sources embed.FS

// all adds every function of this package to a registry.
var all []func(*states.Registry)

// register is for init: it notes a state function for New.
func register[A any](name string, fn func(context.Context, *states.Call, A) (*states.Plan, error), opts ...module.Option) {
	all = append(all, func(r *states.Registry) { states.Register(r, name, fn, opts...) })
}

// alias is for init: a further name of a function that the same file registers before.
func alias(name, target string) {
	all = append(all, func(r *states.Registry) { r.Alias(name, target) })
}

// hooks is for init: what a module has beside its functions.
func hooks(mod string, h states.Hooks) {
	all = append(all, func(r *states.Registry) { r.Hook(mod, h) })
}

// New makes a registry of all functions of this package.
func New() *states.Registry {
	r := states.NewRegistry()
	r.Sources("github.com/gosalt/gosalt/states/modules", sources)
	r.Grow(len(all))
	r.Drafts(drafts)
	for _, add := range all {
		add(r)
	}
	return r
}

// change is a value of a change: what was, and what is.
func change(old, new any) *wire.Map { return wire.NewMap("old", old, "new", new) }
