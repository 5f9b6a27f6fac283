package syntax

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestDelimiters(t *testing.T) {
	cfg := Config{BlockStart: "<%", BlockEnd: "%>", VariableStart: "${", VariableEnd: "}", CommentStart: "<!--", CommentEnd: "-->"}
	tree, err := Parse(cfg, "t", "a<!-- c -->${ {'x': 1}.x }<% if y %>b<% endif %>{{ raw }}")
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, n := range tree.Body {
		kinds = append(kinds, fmt.Sprintf("%T", n))
	}
	if want := []string{"*syntax.Output", "*syntax.If", "*syntax.Output"}; !reflect.DeepEqual(kinds, want) {
		t.Errorf("got %v, want %v", kinds, want)
	}
}

// Lines are counted through comments, raw blocks, stripped text and literals.
func TestLines(t *testing.T) {
	src := "a\n{# \n #}{{ one }}\n{%- raw %}\n{{\n{% endraw -%}\n\n {{ two }}{{ 'x\ny' ~\nthree }}\n{{ four }}"
	tree, err := Parse(Config{}, "", src)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	Walk(tree, func(n Node) bool {
		if x, ok := n.(*Name); ok {
			got[x.Name] = x.Line()
		}
		return true
	})
	if want := map[string]int{"one": 3, "two": 8, "three": 10, "four": 11}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestParseExpression(t *testing.T) {
	n, err := ParseExpression(Config{}, "a + 1")
	if b, ok := n.(*Binary); err != nil || !ok || b.Op != "+" {
		t.Errorf("got %T, %v", n, err)
	}
	for _, bad := range []string{"", "a b", "a }} b {{ c", "1 +"} {
		if n, err := ParseExpression(Config{}, bad); err == nil {
			t.Errorf("%q reads as %T", bad, n)
		}
	}
}

// A mistake is an *Error with a line of the template; a tree has only lines of it.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"{{ a.b[1:2]|f(x=1) is t }}", "{% for a, b in c if d recursive %}{% else %}{% endfor %}", "{% macro m(a=1) %}{% endmacro %}", "{%- raw -%}{{{% endraw %}", "# for x in y\n## c\n# endfor", "{# #}{% set x %}{% endset %}", "{{ '\\x41' ~ 1e5 // 0x1f }}"} {
		f.Add(s, false)
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, src string, lines bool) {
		cfg := Config{TrimBlocks: lines, LstripBlocks: lines}
		if lines {
			cfg.LineStatementPrefix, cfg.LineCommentPrefix = "#", "##"
		}
		last := strings.Count(src, "\n") + strings.Count(src, "\r") + 1
		tree, err := Parse(cfg, "t", src)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Line < 1 || e.Line > last {
				t.Fatalf("error %v for %d lines", err, last)
			}
			if tree != nil {
				t.Fatal("a tree with an error")
			}
			return
		}
		Walk(tree, func(n Node) bool {
			if n.Line() < 1 || n.Line() > last {
				t.Fatalf("%T on line %d of %d", n, n.Line(), last)
			}
			return true
		})
	})
}

// What Python's compiler refuses of the code that jinja2 makes is an error of the template.
func TestRepeatedNames(t *testing.T) {
	for src, want := range map[string]string{
		"{{ f(a=1,\n a=2) }}":                  "2: keyword argument repeated: a",
		"{% macro m(a, b, a) %}{% endmacro %}": "1: duplicate argument 'a' in function definition",
		"{% call(x, x=1) m() %}{% endcall %}":  "1: duplicate argument 'x' in function definition",
	} {
		var e *Error
		if _, err := Parse(Config{}, "", src); !errors.As(err, &e) || fmt.Sprintf("%d: %s", e.Line, e.Msg) != want {
			t.Errorf("%q: %v, want %s", src, err, want)
		}
	}
}
