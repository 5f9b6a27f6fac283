package jinja

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gosalt/gosalt/jinja/py"
	"github.com/gosalt/gosalt/jinja/syntax"
)

func salty() *Environment {
	env := New()
	env.Undefined = py.Strict
	env.Syntax.Extensions = []syntax.Extension{Do, LoopControls}
	return env
}

// What a hostile template may ask for ends in an error, not in the process.
func TestLimits(t *testing.T) {
	deep := strings.Repeat("[", 300) + strings.Repeat("]", 300)
	rows := []struct{ name, src, class string }{
		{"endless list", "{% set l = [1] %}{% for x in l %}{% do l.append(x) %}{% endfor %}", "MemoryError"},
		{"endless output", "{% for i in range(100000) %}{{ 'x' * 1000 }}{% endfor %}", "MemoryError"},
		{"doubling", "{% set ns = namespace(s='x') %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}", "MemoryError"},
		{"repeat text", "{{ 'x' * 10000000000 }}", "MemoryError"},
		{"repeat text by a big number", "{{ 'x' * 10 ** 30 }}", "OverflowError"},
		{"repeat list", "{{ ([0] * 1000000000)|length }}", "MemoryError"},
		{"wide format", "{{ '%1000000000d' % 1 }}", "MemoryError"},
		{"wide brace format", "{{ '{:>1000000000}'.format(1) }}", "MemoryError"},
		{"precise format", "{{ '%.1000000000f' % 1 }}", "MemoryError"},
		{"wide filter", "{{ 'x'|center(1000000000) }}", "MemoryError"},
		{"indent", "{{ 'x'|indent(1000000000) }}", "MemoryError"},
		{"replace", "{{ ('x' * 100000)|replace('x', 'y' * 100000) }}", "MemoryError"},
		{"join", "{{ range(100000)|join('y' * 100000) }}", "MemoryError"},
		{"power", "{{ 10 ** 10000000000 }}", "MemoryError"},
		{"digits", "{{ 2 ** 100000 }}", "ValueError"},
		{"factorial", "{% set ns = namespace(n=2) %}{% for i in range(100) %}{% set ns.n = ns.n * ns.n %}{% endfor %}", "MemoryError"},
		{"range", "{{ range(1000000)|list }}", "OverflowError"},
		{"batch", "{{ [1]|batch(10000000000, 0)|list }}", "MemoryError"},
		{"slices", "{{ []|slice(10000000000)|list }}", "MemoryError"},
		{"tojson indent", "{{ [1]|tojson(10000000000) }}", "MemoryError"},
		{"recursive macro", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "RecursionError"},
		{"recursive call", "{% macro m() %}{% call m() %}{{ caller }}{% endcall %}{{ caller }}{% endmacro %}{% call m() %}{% endcall %}", "RecursionError"},
		{"recursive loop", "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}", "RecursionError"},
		{"nested value", "{% set ns = namespace(l=[]) %}{% for i in range(5000) %}{% set ns.l = [ns.l] %}{% endfor %}{{ ns.l }}", "RecursionError"},
		{"nested comparison", "{% set a = namespace(l=[]) %}{% set b = namespace(l=[]) %}{% for i in range(5000) %}{% set a.l = [a.l] %}{% set b.l = [b.l] %}{% endfor %}{{ a.l == b.l }}", "RecursionError"},
		{"nested key", "{% set a = namespace(l=()) %}{% for i in range(5000) %}{% set a.l = (a.l,) %}{% endfor %}{{ {a.l: 1}|length }}", "RecursionError"},
		{"namespace in itself", "{% set a = namespace() %}{% set a.a = a %}{{ a }}", "RecursionError"},
		{"nested source", "{{ " + deep + " }}", "TemplateSyntaxError"},
		{"long chain", "{{ 1" + strings.Repeat("+1", 5000) + " }}", "TemplateSyntaxError"},
		{"many nots", "{{ " + strings.Repeat("not ", 5000) + "1 }}", "TemplateSyntaxError"},
		{"many ifs", strings.Repeat("{% if 1 %}", 5000), "TemplateSyntaxError"},
		{"include in itself", "{% include 'self' %}", "RecursionError"},
		{"import in itself", "{% import 'imp' as x %}", "RecursionError"},
		{"extends itself", "{% extends 'ext' %}", "RecursionError"},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			env := salty()
			env.Limits = py.Limits{Memory: 16 << 20, Output: 1 << 20, Depth: 200}
			env.Loader = MapLoader{"self": "{% include 'self' %}", "imp": "{% import 'imp' as x %}", "ext": "{% extends 'ext' %}"}
			tmpl, err := env.FromString(r.src)
			if err == nil {
				_, err = tmpl.Render(context.Background(), nil)
			}
			var e *Error
			if !errors.As(err, &e) || e.Type != r.class {
				t.Fatalf("got %.200v, want a %s", err, r.class)
			}
		})
	}
}

func TestDeadline(t *testing.T) {
	for _, src := range []string{
		"{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
		"{% set l = range(100000)|list %}{% for i in l %}{% if -1 in l %}{% endif %}{% endfor %}",
		"{% set l = range(100000)|list %}{% for i in l %}{{ '' if l == l[:] }}{% endfor %}",
		"{% for i in range(100000) %}{% if range(100000)|select('gt', 100000)|list %}{% endif %}{% endfor %}",
	} {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		env := salty()
		env.Limits.Memory = 1 << 40
		tmpl, err := env.FromString(src)
		if err != nil {
			t.Fatal(err)
		}
		_, err = tmpl.Render(ctx, nil)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || !py.IsA(err, "TimeoutError") {
			t.Errorf("%s: got %v, want the deadline", src, err)
		}
	}
}

// One template is rendered by many goroutines; each has its own variables.
func TestConcurrentRenders(t *testing.T) {
	env := salty()
	env.Loader = MapLoader{"lib": "{% set seen = [] %}{% macro add(x) %}{% do seen.append(x) %}{{ seen|join(',') }}{% endmacro %}"}
	tmpl, err := env.FromString("{% from 'lib' import add %}{% for x in xs %}{{ add(x) }};{% endfor %}{% do xs.append(9) %}{{ xs|length }}")
	if err != nil {
		t.Fatal(err)
	}
	xs := []int{1, 2}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				out, err := tmpl.Render(context.Background(), map[string]any{"xs": xs})
				if out != "1;1,2;3" || err != nil {
					t.Errorf("got %q, %v", out, err)
				}
			}
		})
	}
	wg.Wait()
}
