//go:build linux

package modules

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/fileclient"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// slsRecording are state trees that a generator made: 4 to 40 states of test and cmd, those
// of sls_files also of file, module and environ, with requisites of all kinds, names, include, extend, exclude, conditions, retry, failhard,
// listen and mistakes, and what Salt 3006.18 made of each. Two of its flaws were mended
// there first (docs/salt-differences.md tells of them): conditions lose their function
// when they are looked at a second time, and fail for ever after a command has failed.
// Those of sls_more are of families: states that run beside others, chains of prereq, listeners, order, includes of other
// directories, extend, names, patterns, conditions as another user, retries, aggregates of packages, templates.
type slsRecording struct {
	Seed  int
	Files map[string]string
	Args  json.RawMessage
	KW    json.RawMessage
	Opts  json.RawMessage // of the minion's configuration; may be left out
	Ret   json.RawMessage
	RC    int
	Log   string // what the commands wrote, in their order
}

// slsApart are the trees in which gosalt differs on purpose, by their seed.
var slsApart = map[int]string{
	31003: "test=True does not miss the file that an earlier state is to make",
	2078:  "test=True knows that an earlier state is to make the file",
}

// TestRecordedSLS runs the trees as state.sls does and compares results, comments,
// changes, numbers, their order, which keys there are, what was run, and the exit code.
func TestRecordedSLS(t *testing.T) {
	if _, err := os.Stat("/bin/bash"); err != nil {
		t.Skip("/bin/bash is not installed: its messages are in the recording")
	}
	for _, tree := range readRecordedSLS(t, "testdata/sls.json.gz", "testdata/sls_files.json.gz", "testdata/sls_more.json.gz") {
		t.Run(fmt.Sprint(tree.Seed), func(t *testing.T) {
			if why := slsApart[tree.Seed]; why != "" {
				t.Skip(why)
			}
			t.Parallel()
			runRecordedSLS(t, &tree)
		})
	}
}

func readRecordedSLS(t *testing.T, names ...string) (all []slsRecording) {
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(z)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		var trees []slsRecording
		if err := json.Unmarshal(b, &trees); err != nil {
			t.Fatal(err)
		}
		all = append(all, trees...)
	}
	return all
}

func runRecordedSLS(t *testing.T, tree *slsRecording) {
	dir := t.TempDir()
	files := map[string]string{}
	for name, text := range tree.Files {
		files[name] = strings.ReplaceAll(text, "{R}", dir)
	}
	c := statesCall(t, files)
	grains := c.Grains().Clone()
	grains.Set("shell", "/bin/bash")
	c.Grains = func() *wire.Map { return grains }
	if tree.Opts != nil {
		for k, v := range fromJSON(t, tree.Opts).(*wire.Map).Strings() {
			c.Opts.Set(k, v)
		}
	}
	c.Kinds = map[string]func() *module.Registry{"states": States}
	c.CacheDir = t.TempDir()
	c.Files = &fileclient.Fetcher{Client: c.FileServer, Cache: fileclient.Cache{Dir: t.TempDir()}}
	kwargs, _ := fromJSON(t, tree.KW).(*wire.Map)
	res := New().Run(context.Background(), c, "state.sls", fromJSON(t, tree.Args).([]any), kwargs)
	got, want := res.Return, fromJSON(t, tree.Ret)
	differ := func(what string, got, want any) {
		t.Errorf("%s\ngot  %v\nSalt %v", what, got, want)
	}
	switch want := want.(type) {
	case []any: // errors: gosalt tells more of each
		l, _ := got.([]any)
		if len(l) != len(want) {
			differ("errors", pytext.Repr(got), pytext.Repr(want))
			break
		}
		for i, v := range want {
			if told := strings.ReplaceAll(pytext.Str(l[i]), dir, "{R}"); !strings.HasPrefix(told, pytext.Str(v)) {
				differ("error", pytext.Repr(l[i]), pytext.Repr(v))
			}
		}
	case *wire.Map:
		results, ok := got.(*wire.Map)
		if !ok {
			differ("results", pytext.Repr(got), pytext.Repr(want))
			break
		}
		named := wire.NewMap() // as in the recording
		for tag, v := range results.Strings() {
			named.SetAny(strings.ReplaceAll(tag, dir, "{R}"), v)
		}
		results = named
		if g, w := tagsOf(results), tagsOf(want); !slices.Equal(g, w) {
			differ("order", g, w)
		}
		for tag, w := range want.Strings() {
			if g := results.Map(tag); g != nil {
				compareSLS(t, dir, tag, g, w.(*wire.Map))
			}
		}
	default:
		differ("answer", pytext.Repr(got), pytext.Repr(want))
	}
	if res.Retcode != tree.RC {
		differ("exit code", res.Retcode, tree.RC)
	}
	log, _ := os.ReadFile(filepath.Join(dir, "log"))
	if string(log) != tree.Log {
		differ("commands", string(log), tree.Log)
	}
}

// exception is how Salt tells of one in a state.
var exception = regexp.MustCompile(`(?s)^An exception occurred in this state: Traceback.*\n[\w.]+(?:Error|Exception): (.*)\n$`)

func compareSLS(t *testing.T, dir, tag string, got, want *wire.Map) {
	plain := func(m *wire.Map) *wire.Map {
		m = m.Clone()
		m.Delete("start_time")
		m.Delete("duration")
		m.Delete("warnings") // gosalt names arguments that are not known
		comment := exception.ReplaceAllString(m.Text("comment"), "$1")
		const failed = "One or more requisite failed: " // Salt names them in no order
		if rest, ok := strings.CutPrefix(comment, failed); ok {
			names := strings.Split(rest, ", ")
			slices.Sort(names)
			comment = failed + strings.Join(names, ", ")
		}
		m.Set("comment", strings.ReplaceAll(comment, dir, "{R}"))
		if ch := m.Map("changes"); ch != nil {
			ch = ch.Clone()
			ch.Delete("pid")
			m.Set("changes", ch)
		}
		return m
	}
	g, w := plain(got), plain(want)
	if strings.HasPrefix(w.Text("comment"), "Environ values will be changed") {
		w.Set("result", nil) // of a plan that is to change something; Salt has True
	}
	for _, k := range slices.Compact(slices.Sorted(slices.Values(slices.Concat(tagsOf(g), tagsOf(w))))) {
		gv, gok := g.Get(k)
		wv, wok := w.Get(k)
		text := strings.ReplaceAll(pytext.Repr(gv), dir, "{R}")
		if gok != wok || text != pytext.Repr(wv) {
			t.Errorf("%s: %s\ngot  %s (%v)\nSalt %s (%v)", tag, k, text, gok, pytext.Repr(wv), wok)
		}
	}
}

func tagsOf(m *wire.Map) (out []string) {
	for k := range m.Strings() {
		out = append(out, k)
	}
	return out
}
