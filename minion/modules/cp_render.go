package modules

import (
	"context"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/render"
	"github.com/gosalt/gosalt/protocol/wire"
)

// renderNames renders the names of files that a caller wrote as templates. Without an
// engine they stay as they are.
func renderNames(ctx context.Context, c *module.Call, engine *string, env string, kwargs *wire.Map, names ...*string) error {
	if engine == nil || *engine == "" {
		return nil
	}
	if *engine != "jinja" {
		return module.Failf("Attempted to render file paths with unavailable engine %s", *engine)
	}
	vars := wire.NewMap()
	if p := kwargs.Map("pillar"); p != nil {
		pillar := c.Pillar().Clone()
		for k, v := range p.All() {
			pillar.SetAny(k, v)
		}
		vars.Set("pillar", pillar)
	}
	for _, n := range names {
		out, err := renderTemplate(ctx, c, *engine, *n, "", env, vars)
		if err != nil {
			return module.Failf("Failed to render file path with error: %w", err)
		}
		*n = strings.TrimSuffix(out, "\n")
	}
	return nil
}

// renderTemplate renders a text with the functions, grains and pillar of a call. kwargs
// are further variables; those that begin with "__" are not the caller's.
func renderTemplate(ctx context.Context, c *module.Call, engine, text, path, env string, kwargs *wire.Map) (string, error) {
	r := render.New(render.Config{Opts: c.Opts, Grains: c.Grains(), Pillar: c.Pillar(), Files: templateFiles{c}, Functions: templateFunctions{c}, Log: c.Log})
	vars := map[string]any{}
	for k, v := range kwargs.Strings() {
		if !strings.HasPrefix(k, "__") && k != "context" {
			vars[k] = v
		}
	}
	for k, v := range kwargs.Map("context").Strings() { // goes before the other keywords
		vars[k] = v
	}
	if engine == "py" { // whose programs read context["name"]
		vars["context"] = kwargs.Map("context").Clone()
	}
	out, err := r.Template(ctx, engine, render.Source{Text: text, Path: path, Env: env, Vars: vars})
	if err != nil {
		return "", module.Failf("%w", err)
	}
	return out, nil
}

// templateFiles is the file server as a template's imports see it.
type templateFiles struct{ c *module.Call }

func (f templateFiles) ReadFile(ctx context.Context, env, path string) (render.File, error) {
	fc, err := fileServer(f.c)
	if err != nil {
		return render.File{}, err
	}
	b, err := fc.ReadFile(ctx, env, path)
	if err != nil {
		return render.File{}, err
	}
	return render.File{Data: b, Path: fc.CachePath(env, path)}, nil
}

// templateFunctions are the functions that a template may call.
type templateFunctions struct{ c *module.Call }

func (f templateFunctions) Has(name string) bool { return f.c.Has(name) }
func (f templateFunctions) Names() []string      { return f.c.Functions().Names() }
func (f templateFunctions) Call(ctx context.Context, name string, args []any, kwargs *wire.Map) (any, error) {
	return f.c.Call(ctx, name, args, kwargs)
}
