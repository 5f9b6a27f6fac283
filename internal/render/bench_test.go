package render_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/render"
	"github.com/gosalt/gosalt/protocol/wire"
)

// sls200 is an SLS of 200 lines as formulas write them: an imported map, loops,
// conditions, requisites.
func sls200() (tree, string) {
	var b strings.Builder
	b.WriteString("{%- from 'web/map.jinja' import web with context %}\n{%- set tplroot = tpldir.split('/')[0] %}\n")
	for i := 0; strings.Count(b.String(), "\n") < 196; i++ {
		fmt.Fprintf(&b, `
web-%[1]d:
  file.managed:
    - name: {{ web.dir }}/site-%[1]d.conf
    - source: salt://{{ tplroot }}/files/site.conf
    - mode: '0644'
{%%- if grains.os_family == 'Debian' and web.get('enabled', True) %%}
    - user: {{ web.user | default('root') }}
{%%- endif %%}
    - context:
        servers: {{ web.servers | yaml }}
        port: {{ salt['pillar.get']('web:port', 80 + %[1]d) }}
{%%- for s in web.servers %%}
        {{ s | lower }}: {{ loop.index }}
{%%- endfor %%}
    - require:
      - pkg: web
`, i)
	}
	files := tree{"web/map.jinja": `{%- set web = salt['grains.filter_by']({
    'Debian': {'dir': '/etc/web', 'user': 'www-data', 'servers': ['A', 'B', 'C']},
    'default': {'dir': '/usr/local/etc/web', 'servers': []},
}, merge=salt['pillar.get']('web:lookup', {})) %}
`}
	return files, b.String()
}

// BenchmarkSLS is one SLS of 200 lines, from text to data: the goal is 1 ms.
func BenchmarkSLS(b *testing.B) {
	files, text := sls200()
	for b.Loop() {
		r := render.New(render.Config{
			Opts: wire.NewMap("id", "m1"), Grains: wire.NewMap("os_family", "Debian"), Files: files,
			Pillar: wire.NewMap("web", wire.NewMap("port", int64(8080), "lookup", wire.NewMap("user", "web"))),
		})
		if _, err := r.Render(context.Background(), render.Source{Text: text, Path: "/srv/salt/web/init.sls", SLS: "web", Env: "base"}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(strings.Count(text, "\n")), "lines") // what comes before the loop is reset by it
}
