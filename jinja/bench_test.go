package jinja

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/jinja/py"
)

// slsLike makes a template of 200 lines in the manner of a formula.
func slsLike() string {
	var b strings.Builder
	b.WriteString(`{%- set tplroot = 'web/config/file.sls'.split('/')[0] %}
{%- set defaults = {'pkgs': ['nginx', 'curl'], 'config': {'worker': 4, 'user': 'www-data'}, 'sites': {}} %}
{%- do defaults.update(pillar.get('web', {})) %}
{%- macro option(name, value, indent=4) %}
{{ name }}: {{ value if value is not none else 'off' }}
{%- endmacro %}
`)
	for i := range 19 {
		fmt.Fprintf(&b, `
web-%d-installed:
  pkg.installed:
    - pkgs:
      {%%- for p in defaults.pkgs %%}
      - {{ p }}{{ '-%d' if loop.last else '' }}
      {%%- endfor %%}
    {%%- if grains['os_family'] == 'Debian' and defaults.config.worker > 2 %%}
    - refresh: {{ loop is undefined }}{{ option('user', defaults.config.user)|indent(4) }}
    {%%- endif %%}
`, i, i)
	}
	return b.String()
}

func BenchmarkRender200Lines(b *testing.B) {
	src := slsLike()
	if n := strings.Count(src, "\n"); n < 195 {
		b.Fatalf("only %d lines", n)
	}
	env := salty()
	tmpl, err := env.FromString(src)
	if err != nil {
		b.Fatal(err)
	}
	vars := map[string]any{
		"grains": py.MustFromGo(map[string]any{"os_family": "Debian"}),
		"pillar": py.MustFromGo(map[string]any{"web": map[string]any{"pkgs": []string{"apache", "curl", "vim"}}}),
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tmpl.Render(context.Background(), vars); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCompile200Lines(b *testing.B) {
	src := slsLike()
	env := salty()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := env.compile("bench", src); err != nil {
			b.Fatal(err)
		}
	}
}
