package jinja_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/gosalt/gosalt/jinja"
	"github.com/gosalt/gosalt/jinja/py"
	"github.com/gosalt/gosalt/jinja/syntax"
)

func Example() {
	env := jinja.New()
	t, err := env.FromString("{% for name, port in services.items() %}{{ name }}:{{ port }} {% endfor %}")
	if err != nil {
		fmt.Println(err)
		return
	}
	text, err := t.Render(context.Background(), map[string]any{
		"services": map[string]int{"ssh": 22, "http": 80},
	})
	fmt.Println(text, err)
	// Output: http:80 ssh:22  <nil>
}

// A filter declares its parameters as Python does and is called with them bound.
func ExampleEnvironment_filters() {
	env := jinja.New()
	env.Filters["shout"] = py.NewFunc("shout", "text, times=1", func(c *py.Call) (py.Value, error) {
		s, err := py.Str(c.T, c.Args[0])
		n, _ := py.AsInt(c.Args[1])
		return s + strings.Repeat("!", int(n)), err
	})
	t, _ := env.FromString("{{ 'hi'|shout(times=3) }}")
	fmt.Println(t.Render(context.Background(), nil))
	t, _ = env.FromString("{{ 'hi'|shout(volume=11) }}")
	_, err := t.Render(context.Background(), nil)
	fmt.Println(err)
	// Output:
	// hi!!! <nil>
	// line 1: TypeError: shout() got an unexpected keyword argument 'volume'
}

// tag reads {% upper as name %}text{% endupper %} and sets name to the text in
// upper case.
type tag struct{}

func (tag) Tags() []string { return []string{"upper"} }

func (tag) Parse(p *syntax.Parser) []syntax.Node {
	pos := syntax.Pos(p.Next().Line)
	p.Expect("name:as")
	target := p.ParseAssignTarget()
	body := p.ParseStatements(true, "name:endupper")
	return []syntax.Node{&syntax.AssignBlock{
		Pos: pos, Target: target, Body: body,
		Filter: &syntax.Filter{Pos: pos, Name: "upper"},
	}}
}

// An extension reads statements of its own and says what they mean in others.
func ExampleEnvironment_extensions() {
	env := jinja.New()
	env.Syntax.Extensions = []syntax.Extension{jinja.Do, jinja.LoopControls, tag{}}
	t, _ := env.FromString("{% upper as x %}a {{ 1 + 1 }}{% endupper %}[{{ x }}]")
	fmt.Println(t.Render(context.Background(), nil))
	// Output: [A 2] <nil>
}

// An error says where it happened and how one came there.
func ExampleError() {
	env := jinja.New()
	env.Undefined = py.Strict
	env.Loader = jinja.MapLoader{
		"lib": "{% macro port(s) %}\n{{ s.port }}{% endmacro %}",
		"top": "{% from 'lib' import port %}\n\n{{ port({}) }}",
	}
	t, _ := env.Get("top")
	_, err := t.Render(context.Background(), nil)
	fmt.Println(err)
	// Output:
	// lib:2: UndefinedError: 'dict object' has no attribute 'port'
	//   from top:3 (macro 'port')
}
