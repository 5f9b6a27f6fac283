package modules

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("sys.doc", sysDoc)
	register("sys.state_doc", sysStateDoc)
	register("sys.runner_doc", sysRunnerDoc)
	register("sys.returner_doc", sysReturnerDoc)
	register("sys.renderer_doc", sysRendererDoc)
	register("sys.argspec", sysArgspec)
	register("sys.state_argspec", sysStateArgspec)
	register("sys.returner_argspec", sysReturnerArgspec)
	register("sys.runner_argspec", sysRunnerArgspec)
	register("sys.list_functions", sysListFunctions)
	register("sys.list_modules", sysListModules)
	register("sys.list_state_functions", sysListStateFunctions)
	register("sys.list_state_modules", sysListStateModules)
	register("sys.list_runners", sysListRunners)
	register("sys.list_runner_functions", sysListRunnerFunctions)
	register("sys.list_returners", sysListReturners)
	register("sys.list_returner_functions", sysListReturnerFunctions)
	register("sys.list_renderers", sysListRenderers)
	register("sys.reload_modules", sysReloadModules)
	register("sys.state_schema", sysStateSchema)
}

type sysNamesArgs struct {
	Names []any `arg:"*"` // Names of modules or functions; "*" in them matches anything. None means all.
}

// sysDoc returns the documentation of functions, by their names.
//
//	gosalt '*' sys.doc
//	gosalt '*' sys.doc sys cmd.run 'test.ec*'
func sysDoc(ctx context.Context, c *module.Call, a sysNamesArgs) (*wire.Map, error) {
	return docsOf(c.Functions(), a.Names), nil
}

// sysStateDoc returns the documentation of states.
//
//	gosalt '*' sys.state_doc file.managed
func sysStateDoc(ctx context.Context, c *module.Call, a sysNamesArgs) (*wire.Map, error) {
	return docsOf(c.Kind("states"), a.Names), nil
}

// sysRunnerDoc tells of runners where their documentation is.
//
//	gosalt '*' sys.runner_doc jobs
func sysRunnerDoc(ctx context.Context, c *module.Call, a sysNamesArgs) (*wire.Map, error) {
	docs := wire.NewMap()
	for _, name := range runnerNames() {
		if len(a.Names) == 0 || slices.ContainsFunc(a.Names, func(p any) bool { return docMatches(p, name) }) {
			docs.Set(name, "\n    It runs on the master, whose program has its documentation:\n\n        gosalt-run -d "+name+"\n    ")
		}
	}
	return docs, nil
}

// sysReturnerDoc returns the documentation of returners.
//
//	gosalt '*' sys.returner_doc local
func sysReturnerDoc(ctx context.Context, c *module.Call, a sysNamesArgs) (*wire.Map, error) {
	return docsOf(c.Kind("returners"), a.Names), nil
}

// sysRendererDoc returns the documentation of renderers.
//
//	gosalt '*' sys.renderer_doc yaml
func sysRendererDoc(ctx context.Context, c *module.Call, a sysNamesArgs) (*wire.Map, error) {
	docs := wire.NewMap()
	for _, name := range rendererNames(a.Names) {
		if text := rendererDocs[name]; text != "" {
			docs.Set(name, "\n    "+text+"\n    ")
		} else {
			docs.Set(name, nil)
		}
	}
	return docs, nil
}

func docsOf(r *module.Registry, patterns []any) *wire.Map {
	docs := wire.NewMap()
	if r == nil {
		return docs
	}
	for _, name := range r.Names() {
		if len(patterns) == 0 || slices.ContainsFunc(patterns, func(p any) bool { return docMatches(p, name) }) {
			docs.Set(name, r.DocText(name))
		}
	}
	return docs
}

// docMatches takes a glob, a module ("cmd", "cmd.") or a function.
func docMatches(pattern any, name string) bool {
	p, ok := pattern.(string)
	switch {
	case !ok:
		return false
	case strings.Contains(p, "*"):
		return globMatch(p, name)
	case p == "" || p == name:
		return true
	}
	return strings.HasPrefix(name, strings.TrimSuffix(p, ".")+".")
}

type sysArgspecArgs struct {
	Module string `default:""` // Name of a module or a function; "*" in it matches anything.
}

// sysArgspec returns the arguments of functions: their names, the defaults of the
// last ones, and whether more are taken by position or by name.
//
//	gosalt '*' sys.argspec cmd.run
//	gosalt '*' sys.argspec 'test.*'
func sysArgspec(ctx context.Context, c *module.Call, a sysArgspecArgs) (*wire.Map, error) {
	return specsOf(c, c.Functions(), a.Module), nil
}

// sysStateArgspec returns the arguments of states.
//
//	gosalt '*' sys.state_argspec file.managed
func sysStateArgspec(ctx context.Context, c *module.Call, a sysArgspecArgs) (*wire.Map, error) {
	return specsOf(c, c.Kind("states"), a.Module), nil
}

// sysStateSchema returns a JSON schema for the arguments of each state that is meant.
//
//	gosalt '*' sys.state_schema
//	gosalt '*' sys.state_schema pkg.installed
func sysStateSchema(ctx context.Context, c *module.Call, a sysArgspecArgs) ([]any, error) {
	schemas := []any{}
	r := c.Kind("states")
	if r == nil {
		return schemas, nil
	}
	for _, name := range r.Names() {
		if nameMatches(a.Module, name) {
			schemas = append(schemas, stateSchema(name, r.Lookup(name).Spec()))
		}
	}
	return schemas, nil
}

// stateSchema is the schema of one state: each argument is of any simple type.
func stateSchema(name string, s module.Spec) *wire.Map {
	props, order := wire.NewMap(), []any{}
	required := len(s.Args) - len(s.Defaults)
	for i, arg := range s.Args {
		var kinds []any
		for _, t := range []string{"boolean", "integer", "number", "string"} {
			kind := wire.NewMap("type", t, "title", arg, "description", arg)
			if i >= required && s.Defaults[i-required] != nil {
				kind.Set("default", s.Defaults[i-required])
			}
			kinds = append(kinds, kind)
		}
		props.Set(arg, wire.NewMap("oneOf", kinds))
		order = append(order, arg)
	}
	return wire.NewMap("$schema", "http://json-schema.org/draft-04/schema#", "title", name, "description", name,
		"type", "object", "properties", props, "x-ordering", order, "additionalProperties", false)
}

// sysReturnerArgspec returns the arguments of the functions of returners.
//
//	gosalt '*' sys.returner_argspec local
func sysReturnerArgspec(ctx context.Context, c *module.Call, a sysArgspecArgs) (*wire.Map, error) {
	return specsOf(c, c.Kind("returners"), a.Module), nil
}

// sysRunnerArgspec returns the arguments of runners, as sys.argspec does of functions.
//
//	gosalt '*' sys.runner_argspec jobs
func sysRunnerArgspec(ctx context.Context, c *module.Call, a sysArgspecArgs) (*wire.Map, error) {
	return runnerSpecs(a.Module)
}

func specsOf(c *module.Call, r *module.Registry, pattern string) *wire.Map {
	specs := wire.NewMap()
	if r == nil {
		return specs
	}
	for _, name := range r.Names() {
		if f := r.Lookup(name).For(c); f != nil && nameMatches(pattern, name) {
			specs.Set(name, f.Spec().Map())
		}
	}
	return specs
}

// nameMatches takes a glob or a function where there is "*" or "." in the pattern,
// else a module.
func nameMatches(pattern, name string) bool {
	if strings.ContainsAny(pattern, "*.") {
		return globMatch(pattern, name)
	}
	return strings.HasPrefix(name, pattern+".")
}

// sysListFunctions lists the functions that this machine has, by name, those too that gosalt knows of but
// does not have yet: a call of one of them says so.
//
//	gosalt '*' sys.list_functions
//	gosalt '*' sys.list_functions sys 'test.*'
func sysListFunctions(ctx context.Context, c *module.Call, a sysListArgs) ([]string, error) {
	names := functionNames(c.Functions(), a.Names)
	return slices.DeleteFunc(names, func(name string) bool { return c.Functions().Has(name) && !c.Has(name) }), nil
}

type sysListArgs struct {
	Names  []any     `arg:"*"`  // Names of modules or functions; "*" in them matches anything. None means all.
	Kwargs *wire.Map `arg:"**"` // Without effect.
}

func functionNames(r *module.Registry, patterns []any) []string {
	if r == nil {
		return []string{}
	}
	return matchingNames(slices.Sorted(slices.Values(append(r.Names(), r.PlannedNames()...))), patterns)
}

func matchingNames(all []string, patterns []any) []string {
	names := []string{}
	for _, name := range all {
		matches := func(p any) bool { s, ok := p.(string); return ok && nameMatches(s, name) }
		if len(patterns) == 0 || slices.ContainsFunc(patterns, matches) {
			names = append(names, name)
		}
	}
	return names
}

// sysListModules lists the modules of which functions can be called.
//
//	gosalt '*' sys.list_modules
//	gosalt '*' sys.list_modules 's*'
func sysListModules(ctx context.Context, c *module.Call, a sysNamesArgs) ([]string, error) {
	return moduleNames(c.Functions(), a.Names), nil
}

// moduleNames holds patterns with "*" against the names of functions, as Salt does.
func moduleNames(r *module.Registry, patterns []any) []string {
	if r == nil {
		return []string{}
	}
	return modulesOf(r.Names(), patterns)
}

func modulesOf(names []string, patterns []any) []string {
	found := map[string]bool{}
	for _, name := range names {
		mod, _, _ := strings.Cut(name, ".")
		if len(patterns) == 0 {
			found[mod] = true
		}
		for _, p := range patterns {
			s, ok := p.(string)
			if ok && (s == mod || strings.Contains(s, "*") && globMatch(s, name)) {
				found[mod] = true
			}
		}
	}
	return append([]string{}, slices.Sorted(maps.Keys(found))...)
}

// sysListStateFunctions lists the functions of states.
//
//	gosalt '*' sys.list_state_functions file
func sysListStateFunctions(ctx context.Context, c *module.Call, a sysListArgs) ([]string, error) {
	return functionNames(c.Kind("states"), a.Names), nil
}

// sysListStateModules lists the modules of states.
//
//	gosalt '*' sys.list_state_modules
func sysListStateModules(ctx context.Context, c *module.Call, a sysNamesArgs) ([]string, error) {
	return moduleNames(c.Kind("states"), a.Names), nil
}

// sysListRunners lists the modules of runners.
//
//	gosalt '*' sys.list_runners
func sysListRunners(ctx context.Context, c *module.Call, a sysNamesArgs) ([]string, error) {
	return modulesOf(runnerNames(), a.Names), nil
}

// sysListRunnerFunctions lists the functions of runners.
//
//	gosalt '*' sys.list_runner_functions jobs
func sysListRunnerFunctions(ctx context.Context, c *module.Call, a sysListArgs) ([]string, error) {
	return matchingNames(runnerNames(), a.Names), nil
}

// sysListReturners lists the returners.
//
//	gosalt '*' sys.list_returners
func sysListReturners(ctx context.Context, c *module.Call, a sysNamesArgs) ([]string, error) {
	return moduleNames(c.Kind("returners"), a.Names), nil
}

// sysListReturnerFunctions lists the functions of returners.
//
//	gosalt '*' sys.list_returner_functions local
func sysListReturnerFunctions(ctx context.Context, c *module.Call, a sysListArgs) ([]string, error) {
	return functionNames(c.Kind("returners"), a.Names), nil
}

// sysListRenderers lists the renderers.
//
//	gosalt '*' sys.list_renderers
func sysListRenderers(ctx context.Context, c *module.Call, a sysNamesArgs) ([]string, error) {
	return rendererNames(a.Names), nil
}

// sysReloadModules returns True: functions are part of the minion's program, and
// nothing has to be loaded again.
//
//	gosalt '*' sys.reload_modules
func sysReloadModules(ctx context.Context, c *module.Call, a noArgs) (bool, error) { return true, nil }
