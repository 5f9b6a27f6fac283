// Package modules holds the functions that a minion runs: test.go is test.*,
// cmd.go is cmd.*, and so on. Each registers itself with register in its file's
// init; New puts them into a registry. What differs by system is in files named
// after it.
//
// To add a function, write it beside the others of its module: an argument struct
// whose fields have comments, the function with its comment, and one line in init.
// See package module for what the struct's tags mean.
package modules

import (
	"context"
	"embed"

	"github.com/gosalt/gosalt/internal/module"
)

// sources are the comments that sys.doc prints.
//
//go:embed *.go
var sources embed.FS

// all adds every function of this package to a registry.
var all []func(*module.Registry)

// register is for init: it notes a function for New.
func register[A, R any](name string, fn func(context.Context, *module.Call, A) (R, error), opts ...module.Option) {
	all = append(all, func(r *module.Registry) { module.Register(r, name, fn, opts...) })
}

// alias is for init: a further name of a function that the same file registers before.
func alias(name, target string) {
	all = append(all, func(r *module.Registry) { r.Alias(name, target) })
}

// planned is for init: names of Salt's functions that are not here yet.
func planned(why string, names ...string) {
	all = append(all, func(r *module.Registry) { r.Planned(why, names...) })
}

// noArgs is the argument struct of functions that take none.
type noArgs struct{}

// New makes a registry of all functions of this package.
func New() *module.Registry {
	r := module.NewRegistry()
	r.Sources("github.com/gosalt/gosalt/minion/modules", sources)
	r.Grow(len(all))
	for _, add := range all {
		add(r)
	}
	return r
}
