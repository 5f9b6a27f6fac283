package modules

import (
	"context"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

func init() {
	register("debconf.set", debconfSet)
	register("debconf.set_file", debconfSetFile)
}

type debconfSetArgs struct {
	Name   string    // Name of the package.
	Data   *wire.Map // Answers by question, each a map of type and value.
	Kwargs *wire.Map `arg:"**" read:"-"` // Not looked at.
}

// debconfSet makes sure that the questions of a package are answered so, before it asks.
func debconfSet(ctx context.Context, c *states.Call, a debconfSetArgs) (*states.Plan, error) {
	v, err := c.Call.Call(ctx, "debconf.show", []any{a.Name}, nil)
	if unavailable(err) {
		return nil, debconfMissing(c)
	}
	if err != nil {
		return nil, err
	}
	have := map[[3]string]bool{}
	current, _ := v.([]any)
	for _, e := range current {
		if l, ok := e.([]any); ok && len(l) == 3 {
			have[[3]string{pytext.Str(l[0]), pytext.Str(l[1]), pytext.Str(l[2])}] = true
		}
	}
	type answer struct{ question, typ, value string }
	var todo []answer
	unchanged := ""
	for q, v := range a.Data.Strings() {
		m, err := dictArg(v)
		if err != nil || !m.Has("type") || !m.Has("value") {
			return nil, module.Invalidf("the answer to '%s' is a map of type and value, not %s", q, pytext.Repr(v))
		}
		typ, value := m.Text("type"), pytext.Str(get(m, "value"))
		if typ == "boolean" {
			value = "false"
			if module.Truth(get(m, "value")) {
				value = "true"
			}
		}
		if have[[3]string{q, typ, value}] {
			unchanged += q + " "
			continue
		}
		todo = append(todo, answer{q, typ, value})
	}
	if unchanged != "" {
		unchanged = "Unchanged answers: " + unchanged
	}
	if len(todo) == 0 {
		return decided(true, "All specified answers are already set"), nil
	}
	p := &states.Plan{Would: unchanged, Did: unchanged}
	for _, t := range todo {
		shown := t.value
		if t.typ == "password" {
			shown = "(password hidden)"
		}
		would := wire.NewMap(t.question, "New value: "+shown)
		p.Do(would, func(ctx context.Context, r *states.Result) error {
			v, err := c.Call.Call(ctx, "debconf.set", []any{a.Name, t.question, t.typ, t.value}, nil)
			if err != nil {
				return err
			}
			if !module.Truth(v) {
				r.Result, r.Comment = false, "Some settings failed to be applied."
				shown = "Failed to set!"
			}
			r.Change(t.question, shown)
			return nil
		})
	}
	return p, nil
}

// dictArg reads a map, or a list of maps.
func dictArg(v any) (*wire.Map, error) {
	switch v := v.(type) {
	case *wire.Map:
		return v, nil
	case []any:
		out := wire.NewMap()
		for _, e := range v {
			m, ok := e.(*wire.Map)
			if !ok {
				return nil, module.Invalidf("a map is expected, not %s", pytext.Repr(v))
			}
			for k, val := range m.All() {
				out.SetAny(k, val)
			}
		}
		return out, nil
	}
	return nil, module.Invalidf("a map is expected, not %s", pytext.Repr(v))
}

// debconfMissing is what the states say where debconf-get-selections is not installed.
func debconfMissing(c *states.Call) error {
	return notFound(c, "'debconf."+c.Low.Text("fun")+"' is not available.")
}

type debconfFileArgs struct {
	Name     string    // Anything.
	Source   string    // File with the answers: an address, as salt://pkg.selections.
	Template string    `default:"None"` // Render it first: jinja.
	Context  any       `default:"None"` // Values for the template, over the defaults.
	Defaults any       `default:"None"` // Values for the template.
	Kwargs   *wire.Map `arg:"**"`       // Further arguments of the functions.
}

// debconfSetFile answers questions of packages with a file, whenever it is run.
func debconfSetFile(ctx context.Context, c *states.Call, a debconfFileArgs) (*states.Plan, error) {
	for what, v := range map[string]any{"Context": a.Context, "Defaults": a.Defaults} {
		if _, ok := v.(*wire.Map); v != nil && !ok {
			return decided(false, "%s must be formed as a dict", what), nil
		}
	}
	if _, err := c.Call.Call(ctx, "debconf.show", []any{a.Name}, nil); unavailable(err) {
		return nil, debconfMissing(c)
	}
	p := &states.Plan{Would: "Debconf selections would have been set.", Did: "Debconf selections were set."}
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		fun, args := "debconf.set_file", []any{a.Source}
		kw := a.Kwargs.Clone()
		if kw == nil {
			kw = wire.NewMap()
		}
		if !kw.Has("saltenv") {
			kw.Set("saltenv", c.Env)
		}
		if a.Template != "" {
			fun, args = "debconf.set_template", []any{a.Source, a.Template, orMap(a.Context), orMap(a.Defaults)}
		}
		v, err := c.Call.Call(ctx, fun, args, kw)
		if err != nil {
			return err
		}
		if !module.Truth(v) {
			return module.Failf("Unable to set debconf selections from file.")
		}
		return nil
	})
	return p, nil
}

func orMap(v any) any {
	if v == nil {
		return wire.NewMap()
	}
	return v
}
