package grains

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// TestDistributions holds the grains of distributions to those that Salt 3006.18
// makes of the same files in /etc, without Python's lsb_release as in its packages.
func TestDistributions(t *testing.T) {
	b, err := os.ReadFile("testdata/distributions.json")
	if err != nil {
		t.Fatal(err)
	}
	var list []struct {
		Name   string
		Files  map[string]string
		Grains map[string]any
	}
	if err := json.Unmarshal(b, &list); err != nil {
		t.Fatal(err)
	}
	for _, d := range list {
		t.Run(d.Name, func(t *testing.T) {
			root := t.TempDir()
			if err := os.Mkdir(filepath.Join(root, "etc"), 0o700); err != nil {
				t.Fatal(err)
			}
			for name, text := range d.Files {
				if err := os.WriteFile(filepath.Join(root, "etc", name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			c := &collector{
				Options: Options{Host: &host.Host{Root: root}, Opts: wire.NewMap(), Log: slog.New(slog.DiscardHandler)},
				m:       &Machine{}, g: wire.NewMap(),
			}
			got := c.distribution()
			releaseNumbers(got)
			for name, want := range d.Grains {
				v, ok := got.Get(name)
				if w := pytext.Repr(fromJSON(want)); !ok || pytext.Repr(v) != w {
					t.Errorf("%s: got %s, Salt has %s", name, pytext.Repr(v), w)
				}
			}
			for name, v := range got.Strings() {
				if _, ok := d.Grains[name]; !ok {
					t.Errorf("%s: got %s, Salt has none", name, pytext.Repr(v))
				}
			}
		})
	}
}

// fromJSON gives whole numbers their type back.
func fromJSON(v any) any {
	switch v := v.(type) {
	case float64:
		if n := int64(v); float64(n) == v {
			return n
		}
	case []any:
		for i := range v {
			v[i] = fromJSON(v[i])
		}
	case map[string]any:
		m := wire.NewMap()
		for k, e := range v {
			m.Set(k, fromJSON(e))
		}
		return m
	}
	return v
}
