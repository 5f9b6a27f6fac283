// Package jinja renders Jinja 3.1 templates as Python's jinja2 does: the same
// text, the same scopes, the same errors. It stands alone; its object model is
// the package py below it, its parser the package syntax.
//
//	env := jinja.New()
//	t, err := env.FromString("{% for x in xs %}{{ x|upper }} {% endfor %}")
//	text, err := t.Render(ctx, map[string]any{"xs": []string{"a", "b"}})
//
// Attributes that begin with an underscore are out of reach, and every render has
// limits on time (its context), memory, output and recursion, so that templates
// from strangers can be rendered. A template is compiled once, to closures over
// numbered slots, and may be rendered by many goroutines at a time.
//
// What differs from jinja2 on purpose: there is no autoescaping (the statement is
// read and does nothing; the filters escape and safe work), no async, no i18n
// extension, no \N{name} in strings and no complex numbers. Sets keep the order of
// insertion, where Python's depends on hashes. An include without context prints
// where it stands also inside of set, filter and macro, where jinja2 3.1.2 loses or
// misplaces its text. A macro that outlives its loop finds the loop's variable
// undefined; jinja2 hands out an internal object. Numbers, nesting and sizes have
// limits, see [github.com/gosalt/gosalt/jinja/py.Limits].
//
// Start reading at env.go, then compile.go.
package jinja
