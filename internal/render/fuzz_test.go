package render_test

import (
	"context"
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/gosalt/gosalt/internal/render"
	"github.com/gosalt/gosalt/jinja/py"
	"github.com/gosalt/gosalt/protocol/wire"
)

// FuzzTemplate renders any text as an SLS: it must end within its limits, with data or
// an error, never with both.
func FuzzTemplate(f *testing.F) {
	data, err := os.ReadFile("testdata/filters.json")
	if err != nil {
		f.Fatal(err)
	}
	var cases []struct{ In string }
	if err := json.Unmarshal(data, &cases); err != nil {
		f.Fatal(err)
	}
	for i := range cases {
		if i%7 == 0 {
			f.Add(cases[i].In)
		}
	}
	f.Add("{% import_yaml './x' as y %}{% load_yaml as z %}a: {{ y }}{% endload %}{% profile as 'p' %}{{ z }}{% endprofile %}")
	f.Add("#!jinja|yaml\n{% for k, v in salt['pillar.get']('a', {}, merge=True).items() %}{{ k }}: {{ v|yaml }}\n{% endfor %}")
	f.Add("{% do salt['defaults.merge'](pillar, pillar) %}{{ salt['slsutil.merge'](pillar, opts) }}{{ salt['slsutil.renderer'](string='{{ 1 }}') }}")
	f.Add("{% set d = {} %}{% do d.update({'a': d}) %}{{ d }}{{ d|yaml }}{{ d|json }}{{ [d]|flatten }}{{ d|tojson }}")
	files := tree{"web/x": "{% include './x' %}", "x": "{% from 'x' import y %}"}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 4096 {
			t.Skip()
		}
		r := render.New(render.Config{
			Opts: wire.NewMap("id", "m1"), Grains: wire.NewMap("os", "Debian"), Files: files,
			Pillar: wire.NewMap("a", wire.NewMap("b", int64(1), "l", []any{"x", nil})),
			Limits: render.Limits{Time: 2 * time.Second, Limits: py.Limits{Memory: 8 << 20, Output: 1 << 20, Depth: 60}},
		})
		out, err := r.Render(context.Background(), render.Source{Text: text, Path: "/srv/salt/web/conf.sls", SLS: "web.conf", Env: "base"})
		if err != nil && out != nil {
			t.Fatalf("a result and an error: %v", err)
		}
		if err == nil && out.Data == nil {
			t.Fatal("neither a result nor an error")
		}
	})
}
