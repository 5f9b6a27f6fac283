package compile_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/fileclient"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states/compile"
)

// BenchmarkSLS is one SLS of 200 lines with a map that it imports, conditions and
// requisites, from its file to low data: the goal is 1 ms.
func BenchmarkSLS(b *testing.B) {
	var text strings.Builder
	text.WriteString("{%- from 'web/map.jinja' import web with context %}\nweb:\n  pkg.installed\n")
	for i := 0; strings.Count(text.String(), "\n") < 187; i++ {
		fmt.Fprintf(&text, `
web-%[1]d:
  file.managed:
    - name: {{ web.dir }}/site-%[1]d.conf
    - source: salt://{{ tpldir }}/files/site.conf
    - mode: '0644'
{%%- if grains.os_family == 'Debian' %%}
    - user: {{ web.user | default('root') }}
{%%- endif %%}
    - context:
        servers: {{ web.servers | yaml }}
        port: {{ pillar.get('port', 80 + %[1]d) }}
    - require:
      - pkg: web
`, i)
	}
	lines := strings.Count(text.String(), "\n")
	root := b.TempDir()
	for name, text := range map[string]string{
		"init.sls":  text.String(),
		"map.jinja": "{%- set web = {'dir': '/etc/web', 'user': 'www-data', 'servers': ['A', 'B', 'C']} %}\n",
	} {
		path := filepath.Join(root, "srv", "web", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	ctx := context.Background()
	opts := wire.NewMap("id", "m1", "file_client", "local", "local_state", true, "file_roots", wire.NewMap("base", []any{}))
	files := fileclient.NewDirs(map[string][]string{"base": {filepath.Join(root, "srv")}}, filepath.Join(root, "cache"))
	for b.Loop() {
		c, err := compile.New(ctx, compile.Config{ID: "m1", Opts: opts, Files: files, Pillar: wire.NewMap("port", int64(8080)),
			Grains: wire.NewMap("id", "m1", "os", "Debian", "os_family", "Debian")})
		if err != nil {
			b.Fatal(err)
		}
		high, errs, err := c.SLS(ctx, compile.NewMatches("base", "web"))
		if err != nil || len(errs) > 0 {
			b.Fatal(errs, err)
		}
		if errs := c.High(high); len(errs) > 0 {
			b.Fatal(errs)
		}
		if n := len(c.Low(ctx, high)); n < 10 {
			b.Fatalf("%d low chunks", n)
		}
	}
	b.ReportMetric(float64(lines), "lines")
}
