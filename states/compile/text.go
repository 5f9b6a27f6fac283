package compile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/render"
	"github.com/gosalt/gosalt/internal/render/value"
	"github.com/gosalt/gosalt/jinja/py"
)

// templateName stands for the file where there is only a text.
const templateName = "<template-str>"

// Text renders a text as an SLS file that is on no file server (state.template_str). Its
// states belong to no SLS and no environment, and have no order but that of their names.
func (c *Compiler) Text(ctx context.Context, text, env string) (*py.Dict, Errors, error) {
	if env == "" {
		env = "base"
	}
	vars := map[string]any{"tplpath": templateName, "tplfile": templateName, "tpldir": ".", "tpldot": ""}
	for k, v := range c.cfg.Vars {
		vars[k] = v
	}
	out, err := c.render.Render(ctx, render.Source{Text: text, Env: env, Vars: vars})
	if err != nil {
		if ctx.Err() != nil {
			return nil, nil, err
		}
		return newDict(), Errors{{Msg: fmt.Sprintf("Rendering template %s failed: %s", templateName, err), Err: err}}, nil
	}
	v, err := value.FromWire(out.Data, true)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", templateName, err)
	}
	if some, err := py.Truth(nil, v); err == nil && !some {
		return newDict(), nil, nil
	}
	high, ok := v.(*py.Dict)
	if !ok {
		return newDict(), Errors{{Msg: fmt.Sprintf("Template %s does not render to a dictionary", templateName)}}, nil
	}
	c.note(out.Doc, Place{Env: env, File: templateName, Rendered: out.Text != text})
	var errs Errors
	for _, word := range []string{"include", "exclude", "extends"} {
		if _, ok := high.GetStr(word); ok {
			c.add(&errs, word, "", "The '%s' declaration found on '%s' is invalid when rendering single templates", word, templateName)
			return newDict(), errs, nil
		}
	}
	c.takeExtend(high, "", env, &errs)
	for _, e := range entries(high) {
		body, ok := e.val.(*py.Dict)
		if !ok {
			continue
		}
		states := entries(body)
		slices.SortStableFunc(states, func(a, b entry) int { return strings.Compare(a.text, b.text) })
		for _, s := range states {
			if s.val == nil && !strings.HasPrefix(s.text, "_") {
				c.add(&errs, e.key, s.text, "ID '%s' in SLS '' contains a short declaration (%s) with a trailing colon. When not passing any arguments to a state, the colon must be omitted.", str(e.key), s.text)
			}
		}
	}
	c.declare(high, "", env, &errs)
	for _, e := range errs {
		e.Msg = strings.NewReplacer("in SLS '' contains a short", "in template "+templateName+" contains a short",
			"in SLS ''", "in template '"+templateName+"'", "in SLS  is", "in template "+templateName+" is").Replace(e.Msg)
	}
	for _, e := range entries(high) {
		if body, ok := e.val.(*py.Dict); ok {
			pop(body, "__sls__")
			pop(body, "__env__")
		}
	}
	return high, errs, nil
}

// Local renders an SLS file of this machine (state.template).
func (c *Compiler) Local(ctx context.Context, path, env string) (*py.Dict, Errors, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return newDict(), Errors{{Msg: fmt.Sprintf("Specified SLS %s on local filesystem cannot be found.", path), Err: err}}, nil
	}
	if err != nil {
		return newDict(), Errors{{Msg: fmt.Sprintf("Specified SLS %s on local filesystem cannot be read: %v", path, err), Err: err}}, nil
	}
	if env == "" {
		env = "base"
	}
	high, errs, err := c.renderFile(ctx, &file{source: path, path: path, text: string(b)}, path, env, map[string]bool{}, NewMatches(env))
	return high, slices.DeleteFunc(errs, func(e *Error) bool { return strings.HasPrefix(e.Msg, contentsError) }), err
}
