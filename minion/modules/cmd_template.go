package modules

import (
	"context"
	"os"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// renderCommand renders the command and the directory of a call with template=.
func renderCommand(ctx context.Context, c *module.Call, cmd any, o *cmdOptions) (any, error) {
	if o.Template == "" {
		return cmd, nil
	}
	line, ok := cmd.(string)
	if !ok {
		return nil, module.Invalidf("template=%s: the command has to be a text, not %s", o.Template, pytext.TypeName(cmd))
	}
	vars, err := templateVars(ctx, c, o)
	if err != nil {
		return nil, err
	}
	for _, text := range []*string{&line, &o.Cwd} {
		if *text == "" {
			continue
		}
		if *text, err = renderTemplate(ctx, c, o.Template, *text, "", o.Saltenv, vars); err != nil {
			return nil, module.Failf("Failed to execute cmd with error: %w", err)
		}
	}
	return line, nil
}

// renderScript is the text of a script with template=.
func renderScript(ctx context.Context, c *module.Call, path string, a *cmdScriptArgs) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", module.Failf("read the script %s: %w", a.Source, err)
	}
	vars, err := templateVars(ctx, c, &a.cmdOptions)
	if err != nil {
		return "", err
	}
	vars.Set("context", a.Context)
	if a.Defaults != nil {
		vars.Set("defaults", a.Defaults)
	}
	env := a.Saltenv
	if env == "" {
		env = "base"
	}
	return renderTemplate(ctx, c, a.Template, string(b), path, env, vars)
}

// templateVars are the variables of a template beside those that all have: the pillar
// that a call asks for, and the environment as the caller or the configuration has it.
func templateVars(ctx context.Context, c *module.Call, o *cmdOptions) (*wire.Map, error) {
	if o.Template != "jinja" {
		return nil, module.Failf("Attempted to render file paths with unavailable engine %s", o.Template)
	}
	vars := wire.NewMap("saltenv", nil)
	if o.Saltenv != "" {
		vars.Set("saltenv", o.Saltenv)
	} else if v, ok := c.Opts.Get("saltenv"); ok {
		vars.Set("saltenv", v)
	}
	if o.Pillarenv == "" && o.Pillar == nil {
		return vars, nil
	}
	if c.CompilePillar != nil {
		env := o.Pillarenv
		if env == "" {
			env = c.Opts.Text("pillarenv")
		}
		p, err := c.CompilePillar(ctx, module.PillarQuery{Saltenv: o.Saltenv, Pillarenv: env, Override: o.Pillar})
		if err != nil {
			return nil, module.Failf("compile the pillar of the template: %w", err)
		}
		vars.Set("pillar", p)
		return vars, nil
	}
	p := c.Pillar().Clone()
	for k, v := range o.Pillar.All() {
		p.SetAny(k, v)
	}
	vars.Set("pillar", p)
	return vars, nil
}
