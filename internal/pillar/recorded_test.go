package pillar

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/render"
	"github.com/gosalt/gosalt/protocol/wire"
)

// recorded is one pillar as salt.pillar.Pillar of Salt 3006.18 compiles it. Roots are
// the directories of the environments; without any, base is in base.
type recorded struct {
	Name               string
	Files              map[string]string
	ID                 string
	Grains, Opts       json.RawMessage
	Saltenv, Pillarenv string
	Override, Ext      json.RawMessage
	Extra              json.RawMessage
	Roots              map[string][]string
	Want               string // Python's repr of the pillar, without its errors
	Errors             []string
	Error              string // the exception that ends Salt's compilation
}

// differs are the cases in which gosalt does something else on purpose.
var differs = map[string]struct {
	want   string
	errors []string
}{
	// Salt leaves half a pillar without a word to the minion, or ends with an exception.
	"ext_pillar cmd_yaml bad": {"{'a': 1}", []string{
		"Failed to load ext_pillar cmd_yaml: what the command printed is no YAML: ",
		"Failed to load ext_pillar cmd_json: what the command printed is no JSON: Expecting value: line 1 column 1 (char 0)",
		"Failed to load ext_pillar cmd_yaml: the command ended with exit code 1: ",
		"Failed to load ext_pillar cmd_yaml: it gave str, and a map is expected",
	}},
}

// begin tells whether errors are those that are wanted; they may say more.
func begin(got, want []string) bool {
	return slices.EqualFunc(got, want, strings.HasPrefix)
}

func load(t *testing.T, b json.RawMessage) *wire.Map {
	t.Helper()
	if len(b) == 0 {
		return nil
	}
	v, err := pytext.ParseJSON(string(b))
	if err != nil {
		t.Fatal(err)
	}
	return v.(*wire.Map)
}

// options are Salt's defaults as far as a pillar depends on them, and those of the case.
func options(extra *wire.Map) *wire.Map {
	opts := wire.NewMap("id", "master", "renderer", "jinja|yaml", "state_top", "top.sls", "pillar_source_merging_strategy", "smart",
		"pillar_merge_lists", false, "pillar_safe_render_error", true, "decrypt_pillar_delimiter", ":", "decrypt_pillar_default", "gpg",
		"decrypt_pillar_renderers", []any{"gpg"}, "on_demand_ext_pillar", []any{"libvirt", "virtkey"}, "ext_pillar", []any{})
	for k, v := range extra.All() {
		opts.SetAny(k, v)
	}
	return opts
}

// tree writes files and returns the roots of them.
func tree(t *testing.T, files map[string]string, roots map[string][]string) (string, *Roots) {
	t.Helper()
	dir := t.TempDir()
	for p, text := range files {
		f := filepath.Join(dir, p)
		if err := os.MkdirAll(filepath.Dir(f), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(f, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if roots == nil {
		roots = map[string][]string{"base": {"base"}}
	}
	full := map[string][]string{}
	for env, dirs := range roots {
		for _, d := range dirs {
			full[env] = append(full[env], filepath.Join(dir, d))
		}
	}
	return dir, NewRoots(full)
}

func TestRecorded(t *testing.T) {
	b, err := os.ReadFile("testdata/salt.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []recorded
	if err := json.Unmarshal(b, &cases); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SHELL", "/bin/sh")
	for _, r := range cases {
		t.Run(r.Name, func(t *testing.T) {
			dir, roots := tree(t, r.Files, r.Roots)
			c := New(Config{Opts: options(load(t, r.Opts)), Tree: roots, Ext: Sources(), Functions: testFunctions()})
			req := &Request{ID: wire.MinionID(r.ID), Grains: load(t, r.Grains), Saltenv: r.Saltenv, Pillarenv: r.Pillarenv,
				Override: load(t, r.Override), Extra: load(t, r.Extra), Trace: true}
			if r.Ext != nil {
				req.Ext = load(t, r.Ext)
			}
			res, err := c.Compile(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			p := res.Pillar
			if r.Name == "pillar opts" {
				m := p.Map("master")
				p = wire.NewMap("a", p.Int("a"), "m", wire.NewMap("id", m.Text("id"), "renderer", m.Text("renderer")), "g", m.Has("grains"))
			}
			var errs []string
			for _, e := range p.List("_errors") {
				errs = append(errs, strings.ReplaceAll(e.(string), dir, "ROOT"))
			}
			p.Delete("_errors")
			got := strings.ReplaceAll(pytext.Repr(p), dir, "ROOT")
			if d, ok := differs[r.Name]; ok {
				r.Want, r.Errors = d.want, d.errors
			}
			if got != r.Want || !begin(errs, r.Errors) {
				t.Errorf("got  %s, errors %q\nwant %s, errors %q %s", got, errs, r.Want, r.Errors, r.Error)
			}
		})
	}
}

type pillarGetArgs struct {
	Key     string
	Default any `default:""`
}

// testFunctions see a pillar of their own, as those of the master do.
func testFunctions() func(*Request, *wire.Map) render.Functions {
	reg := module.NewRegistry()
	get := func(_ context.Context, c *module.Call, a pillarGetArgs) (any, error) {
		if v, ok := c.Pillar().Get(a.Key); ok {
			return v, nil
		}
		return a.Default, nil
	}
	module.Register(reg, "pillar.get", get)
	module.Register(reg, "config.get", get)
	return FromRegistry(reg, func(_ *Request, grains *wire.Map) *module.Call {
		return &module.Call{Grains: func() *wire.Map { return grains }}
	})
}
