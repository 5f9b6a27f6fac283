package compile_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/fileclient"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/render/value"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states/compile"
)

// recorded is a tree and what Salt 3006.18 made of it.
type recorded struct {
	Name      string
	Files     map[string]string
	SLS       []string // nil: what the top file assigns
	Opts      json.RawMessage
	Pillar    json.RawMessage
	TopErrors []string `json:"top_errors"`
	Matches   map[string][]string
	High      any
	Low       any
	Errors    []string
	LowErrors []string `json:"low_errors"`
	Exception string
}

// otherwise are trees of which gosalt says something else, and why.
var otherwise = map[string]string{
	"py shebang missing":  "Salt logs that there is no such renderer, and goes on as if the SLS were empty",
	"extend not a dict":   "Salt ends with an exception of Python",
	"extend none":         "likewise",
	"top unknown matcher": "likewise",
	"top subfilter":       "likewise",
	"top text":            "likewise",
	"top no dict":         "likewise; show_top answers with an empty top",
	"top none":            "likewise",
}

func toMap(t *testing.T, data json.RawMessage) *wire.Map {
	t.Helper()
	v, err := pytext.ParseJSON(string(data))
	if err != nil {
		t.Fatal(err)
	}
	m, _ := v.(*wire.Map)
	return m
}

func plain(t *testing.T, v any) any {
	t.Helper()
	w, err := value.ToWire(v)
	if err != nil {
		t.Fatal(err)
	}
	text, err := pytext.JSONOptions{Repr: true}.Dump(w)
	if err != nil {
		t.Fatal(err)
	}
	var out any
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// firstPart is Salt's message up to the traceback, or the place that follows.
func firstPart(s, root string) string {
	s = strings.ReplaceAll(s, root, "ROOT")
	s, _, _ = strings.Cut(s, "\n\n")
	s, _, _ = strings.Cut(s, "\n; line ")
	return strings.TrimSpace(s)
}

func TestRecordedTrees(t *testing.T) {
	data, err := os.ReadFile("testdata/trees.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []recorded
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		t.Run(r.Name, func(t *testing.T) { r.run(t) })
	}
}

func (r *recorded) run(t *testing.T) {
	root := t.TempDir()
	roots := map[string][]string{"base": {filepath.Join(root, "srv", "base")}}
	envs := wire.NewMap("base", []any{})
	for name, text := range r.Files {
		env, _, _ := strings.Cut(name, "/")
		roots[env] = []string{filepath.Join(root, "srv", env)}
		envs.Set(env, []any{})
		path := filepath.Join(root, "srv", filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	opts := wire.NewMap("id", "m1", "file_client", "local", "local_state", true, "file_roots", envs)
	for k, v := range toMap(t, r.Opts).All() {
		opts.SetAny(k, v)
	}
	ctx := context.Background()
	c, err := compile.New(ctx, compile.Config{ID: "m1", Opts: opts,
		Grains: wire.NewMap("id", "m1", "os", "Debian", "os_family", "Debian", "roles", []any{"web", "db"}),
		Pillar: toMap(t, r.Pillar), Files: fileclient.NewDirs(roots, filepath.Join(root, "cache"))})
	if err != nil {
		t.Fatal(err)
	}
	var m *compile.Matches
	if r.SLS != nil {
		env := c.Env()
		if env == "" {
			env = "base"
		}
		m = compile.NewMatches(env, r.SLS...)
	} else {
		top, _, err := c.Top(ctx)
		if err != nil {
			t.Fatal(err)
		}
		errs := c.VerifyTop(top)
		if otherwise[r.Name] == "" {
			same(t, "errors of the top", errs, r.TopErrors, root)
		}
		m = &compile.Matches{}
		if len(errs) == 0 {
			if m, err = c.Match(ctx, top); err != nil {
				t.Fatal(err)
			}
			got := m.SLS
			if got == nil {
				got = map[string][]string{}
			}
			if r.Matches != nil && !reflect.DeepEqual(got, r.Matches) {
				t.Errorf("matches: %v, want %v", got, r.Matches)
			}
		}
	}
	high, errs, err := c.SLS(ctx, m)
	if err != nil {
		t.Fatal(err)
	}
	if otherwise[r.Name] != "" {
		return
	}
	same(t, "errors", errs, r.Errors, root)
	if got := plain(t, high); !reflect.DeepEqual(got, r.High) {
		t.Errorf("high data\n got %s\nwant %s", show(got), show(r.High))
	}
	broken := len(errs) > 0
	errs = append(c.Extend(high), c.Verify(high)...)
	if !broken && len(errs) == 0 {
		errs = c.RequisiteIn(high)
		c.Exclude(high)
	}
	same(t, "errors of the low data", errs, r.LowErrors, root)
	if r.Low != nil {
		chunks := []any{}
		for _, ch := range c.Low(ctx, high) {
			chunks = append(chunks, plain(t, ch))
		}
		if !reflect.DeepEqual(chunks, r.Low) {
			t.Errorf("low data\n got %s\nwant %s", show(chunks), show(r.Low))
		}
	}
}

func show(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func same(t *testing.T, what string, errs compile.Errors, want []string, root string) {
	t.Helper()
	var got []string
	for _, e := range errs {
		got = append(got, firstPart(e.Msg, root))
	}
	var w []string
	for _, s := range want {
		w = append(w, firstPart(s, root))
	}
	if !slices.Equal(got, w) {
		t.Errorf("%s\n got %q\nwant %q", what, got, w)
	}
}
