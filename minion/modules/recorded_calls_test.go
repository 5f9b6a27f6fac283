//go:build linux

package modules

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/returners"
	"github.com/gosalt/gosalt/protocol/wire"
)

// callsRecording is a broad table of calls as Salt 3006.18 answered them on Debian 12, each
// for itself, with the grains, the pillar and the configuration that it begins with.
type callsRecording struct {
	Grains, Pillar, Opts json.RawMessage
	Calls                []recorded
	// Differs are calls that gosalt answers otherwise, with the reason.
	Differs map[string]string
}

// TestRecordedCalls holds functions to what Salt answered to every kind of argument.
// An exception of Python's is no answer: there gosalt has to fail, in its own words.
func TestRecordedCalls(t *testing.T) {
	if _, err := os.Stat("/bin/bash"); err != nil {
		t.Skip("/bin/bash is not installed: its messages are in the recording")
	}
	files, err := filepath.Glob("testdata/calls_*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	t.Setenv("SHELL", "/bin/bash")
	t.Setenv("USER", "root")
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) { runCalls(t, file) })
	}
}

func runCalls(t *testing.T, file string) {
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var rec callsRecording
	if err := json.Unmarshal(b, &rec); err != nil {
		t.Fatal(err)
	}
	grains, _ := fromRecording(fromJSON(t, rec.Grains)).(*wire.Map)
	pillar, _ := fromRecording(fromJSON(t, rec.Pillar)).(*wire.Map)
	opts, _ := fromRecording(fromJSON(t, rec.Opts)).(*wire.Map)
	r := New()
	used := map[string]bool{}
	cache := t.TempDir()
	for _, c := range rec.Calls {
		name := callName(c)
		t.Run(name, func(t *testing.T) {
			args, _ := fromRecording(fromJSON(t, c.Args)).([]any)
			kwargs, _ := fromRecording(fromJSON(t, c.Kwargs)).(*wire.Map)
			o := opts.Clone()
			o.Set("cachedir", cache)
			call := &module.Call{
				Job:  &module.Job{Fun: c.Fun, Pub: wire.NewMap("fun", c.Fun, "jid", "J", "tgt", "salt-call", "pid", int64(1))},
				Opts: o, CacheDir: cache,
				Grains: func() *wire.Map { return grains },
				Pillar: func() *wire.Map { return pillar },
				Kinds:  map[string]func() *module.Registry{"states": States, "returners": returners.Functions},
			}
			res := r.Run(t.Context(), call, c.Fun, args, kwargs)
			got, want := normal(res.Return), normal(fromRecording(fromJSON(t, c.Return)))
			var said string
			switch text, _ := want.(string); {
			case strings.HasPrefix(text, "The minion function caused an exception:"), strings.HasPrefix(text, "Passed invalid arguments"):
				if res.Retcode != 0 {
					return
				}
				said = "gosalt takes it"
			case res.Retcode != c.Retcode:
				said = "the exit code is another"
			case pytext.Repr(got) != pytext.Repr(want):
				said = "the result is another"
			default:
				if why := rec.Differs[name]; why != "" {
					t.Errorf("it is listed as a difference (%s) and is none", why)
				}
				return
			}
			if rec.Differs[name] != "" {
				return
			}
			t.Errorf("%s\ngot  %s, retcode %d\nSalt %s, retcode %d", said, pytext.Repr(got), res.Retcode, pytext.Repr(want), c.Retcode)
		})
		used[name] = true
	}
	for name := range rec.Differs {
		if !used[name] {
			t.Errorf("a difference is listed of %s, which is not recorded", name)
		}
	}
}

// callName is how a call is known in the table.
func callName(c recorded) string {
	name := c.Fun + string(c.Args)
	if s := string(c.Kwargs); s != "{}" {
		name += s
	}
	return name
}

// fromRecording reads what JSON cannot say: bytes, and maps whose keys are no texts.
func fromRecording(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = fromRecording(v[i])
		}
	case *wire.Map:
		if l, ok := v.Get("__pairs__"); ok {
			m := wire.NewMap()
			for _, p := range l.([]any) {
				kv := p.([]any)
				m.SetAny(fromRecording(kv[0]), fromRecording(kv[1]))
			}
			return m
		}
		if s, ok := v.Get("__bytes__"); ok {
			b := []byte{}
			for _, r := range s.(string) {
				b = append(b, byte(r))
			}
			return b
		}
		m := wire.NewMap()
		for k, e := range v.All() {
			m.SetAny(k, fromRecording(e))
		}
		return m
	}
	return v
}

var (
	temporary  = regexp.MustCompile(`/tmp/[A-Za-z0-9._/-]+|line [0-9]+`)
	environs   = regexp.MustCompile(`with the context '\{.*\}', reason`)
	suggestion = regexp.MustCompile(`\.? Did you mean '[^']*'\?`)
)

// normal takes out what no two runs have alike.
func normal(v any) any {
	switch v := v.(type) {
	case string:
		if strings.HasPrefix(v, "Passed invalid arguments") {
			v, _, _ = strings.Cut(v, "\n")
		}
		v = suggestion.ReplaceAllString(v, ".")
		v = environs.ReplaceAllString(v, "with the context {}, reason")
		return strings.TrimSuffix(temporary.ReplaceAllString(v, "TMP"), ".")
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = normal(v[i])
			if f, ok := v[i].(float64); ok && i == 1 && len(v) == 2 && f < 60 { // test.fib
				out[i] = "seconds it took"
			}
		}
		return out
	case *wire.Map:
		out := wire.NewMap()
		for k, e := range v.All() {
			if k == "pid" {
				e = "PID"
			}
			out.SetAny(k, normal(e))
		}
		return out
	}
	return v
}
