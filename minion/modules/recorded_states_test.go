//go:build linux

package modules

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/returners"
	"github.com/gosalt/gosalt/internal/yamlarg"
	"github.com/gosalt/gosalt/protocol/wire"
	statemodules "github.com/gosalt/gosalt/states/modules"
	"github.com/gosalt/gosalt/states/run"
)

// statesRecording are sequences of states as Salt 3006.18 carried them out, most first
// with test=True and then for real, with the static grains that were there and after each.
type statesRecording struct {
	Sequences []struct {
		Name   string
		Grains json.RawMessage
		Steps  []struct {
			Fun, Name string
			Args, Ret json.RawMessage
			Test      bool
			After     json.RawMessage `json:"grains_after"`
		}
	}
	// Differs are steps that gosalt answers otherwise, with the reason.
	Differs map[string]string
}

// TestRecordedStates holds states to Salt's results, with test=True and without.
func TestRecordedStates(t *testing.T) {
	files, err := filepath.Glob("testdata/states_*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var rec statesRecording
			if err := json.Unmarshal(b, &rec); err != nil {
				t.Fatal(err)
			}
			for _, seq := range rec.Sequences {
				m := newStateMachine(t, seq.Grains)
				for i, s := range seq.Steps {
					name := s.Fun + " " + s.Name + string(s.Args)
					if s.Test {
						name += " test"
					}
					t.Run(name, func(t *testing.T) {
						args, _ := fromJSON(t, s.Args).(*wire.Map)
						got := m.apply(t, s.Fun, s.Name, args, s.Test)
						want := fromJSON(t, s.Ret).(*wire.Map)
						grains := ""
						if s.After != nil {
							if g, w := m.static(t), fromJSON(t, s.After); !pytext.Equal(g, w) {
								grains = "\nthe static grains are " + pytext.Repr(g) + ", with Salt " + pytext.Repr(w)
							}
						}
						if said := sameResult(got, want) + grains; said != "" && rec.Differs[name] == "" {
							t.Errorf("%s, step %d%s\ngot  %s\nSalt %s", seq.Name, i, said, pytext.Repr(got), pytext.Repr(want))
						}
					})
				}
			}
		})
	}
}

// sameResult says where a state's result differs from Salt's.
func sameResult(got, want *wire.Map) string {
	comment := want.Text("comment")
	if strings.HasPrefix(comment, "EXC ") || want.Has("exc") { // an exception of Python's
		if v, _ := got.Get("result"); v != false {
			return ": Salt fails"
		}
		return ""
	}
	for _, k := range []string{"name", "changes", "result", "comment"} {
		g, _ := got.Get(k)
		w, _ := want.Get(k)
		if pytext.Repr(normal(g)) != pytext.Repr(normal(w)) && !pytext.Equal(normal(g), normal(w)) {
			return ": " + k
		}
	}
	return ""
}

// stateMachine is a minion's configuration with static grains, on which states are run.
type stateMachine struct {
	dir     string
	hasFile bool
	env     *wire.Map
}

func newStateMachine(t *testing.T, grains json.RawMessage) *stateMachine {
	t.Setenv("GOSALT_T", "1")
	m := &stateMachine{dir: t.TempDir()}
	if v, ok := fromJSON(t, grains).(*wire.Map); ok {
		m.hasFile = true
		if err := os.WriteFile(filepath.Join(m.dir, "grains"), []byte(pytext.YAML(v, 2, false)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// static are the grains in the file.
func (m *stateMachine) static(t *testing.T) any {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(m.dir, "grains"))
	if errors.Is(err, fs.ErrNotExist) {
		return wire.NewMap()
	}
	if err != nil {
		t.Fatal(err)
	}
	v, err := yamlarg.Load(string(text))
	if err != nil {
		t.Fatalf("the static grains are no YAML: %v\n%s", err, text)
	}
	return v
}

// apply runs one state.
func (m *stateMachine) apply(t *testing.T, fun, name string, args *wire.Map, test bool) *wire.Map {
	t.Helper()
	mod, f, _ := strings.Cut(fun, ".")
	low := wire.NewMap("state", mod, "fun", f, "__id__", name, "name", name, "__sls__", "test", "__env__", "base", "order", int64(10000))
	for k, v := range args.Strings() {
		low.Set(k, v)
	}
	r := New()
	var res *wire.Map
	module.Register(r, "statetest.apply", func(ctx context.Context, c *module.Call, _ struct{}) (any, error) {
		for k, v := range m.env.Strings() {
			c.SetContext(k, v)
		}
		all := run.New(statemodules.New(), c, run.Options{Test: test}).Run(ctx, []*wire.Map{low})
		for _, v := range all.Strings() {
			res = v.(*wire.Map)
		}
		return nil, nil
	})
	grains := func() *wire.Map {
		g := wire.NewMap("os", "Debian", "os_family", "Debian", "kernel", "Linux", "cpuarch", "x86_64", "id", "web1", "shell", "/bin/bash",
			"osrelease", "12", "osmajorrelease", int64(12), "osfullname", "Debian GNU/Linux")
		if s, ok := m.static(t).(*wire.Map); ok {
			for k, v := range s.All() {
				g.SetAny(k, v)
			}
		}
		return g
	}
	out := r.Run(t.Context(), &module.Call{
		Opts: wire.NewMap("id", "web1", "file_client", "local", "file_roots", wire.NewMap("base", []any{filepath.Join(m.dir, "srv")}), "conf_file", filepath.Join(m.dir, "minion"), "cachedir", m.dir, "config_dir", m.dir,
			"default_include", "minion.d/*.conf", "hash_type", "sha256"),
		Grains: grains, CacheDir: m.dir, Kinds: map[string]func() *module.Registry{"states": States, "returners": returners.Functions},
	}, "statetest.apply", nil, nil)
	if out.Err != nil || res == nil {
		t.Fatalf("%v: %v", out.Return, res)
	}
	return res
}
