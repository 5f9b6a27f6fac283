package modules

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	saltNames["data"] = `cas clear dump get has_key items keys load pop update values`
	saltNames["match"] = `compound data filter_by glob grain grain_pcre ifelse ipcidr list pcre pillar pillar_pcre search_by`
}

// TestRecordedData is one sequence of calls on one store.
func TestRecordedData(t *testing.T) {
	call := recordedMinion(t)
	runRecorded(t, "testdata/data.json", true, func() *module.Call { return call })
}

func TestRecordedMatch(t *testing.T) {
	runRecorded(t, "testdata/match.json", false, func() *module.Call { return recordedMinion(t) })
}

// TestDataOfSalt: the file is Salt's, keys that are numbers and all.
func TestDataOfSalt(t *testing.T) {
	c := recordedMinion(t)
	packed := "\x83\xa1a\x01\x02\xa3two\xa1l\x92\xc0\xcb\x40\x04\x00\x00\x00\x00\x00\x00" // {"a": 1, 2: "two", "l": [None, 2.5]}
	if err := os.WriteFile(filepath.Join(c.CacheDir, "datastore"), []byte(packed), 0o600); err != nil {
		t.Fatal(err)
	}
	r := New()
	for key, want := range map[any]any{"a": int64(1), int64(2): "two", "2": nil} {
		if got := r.Run(t.Context(), c, "data.get", []any{key}, nil); got.Return != want {
			t.Errorf("data.get %v = %v, want %v", key, got.Return, want)
		}
	}
	if got := r.Run(t.Context(), c, "data.pop", []any{int64(2)}, nil); got.Return != "two" {
		t.Errorf("data.pop 2 = %v", got.Return)
	}
	b, err := os.ReadFile(filepath.Join(c.CacheDir, "datastore"))
	if want := "\x82\xa1a\x01\xa1l\x92\xc0\xcb\x40\x04\x00\x00\x00\x00\x00\x00"; err != nil || string(b) != want {
		t.Errorf("the file is %q, %v; want %q", b, err, want)
	}
}

// TestDataDamaged: what cannot be read is told, not replaced.
func TestDataDamaged(t *testing.T) {
	c := recordedMinion(t)
	file := filepath.Join(c.CacheDir, "datastore")
	if err := os.WriteFile(file, []byte("\xc1 garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := New()
	for _, call := range [][]any{{"data.items"}, {"data.update", "a", int64(1)}, {"data.pop", "a"}} {
		got := r.Run(t.Context(), c, call[0].(string), call[1:], nil)
		if text, _ := got.Return.(string); got.Success || !strings.Contains(text, "data.clear") {
			t.Errorf("%v: %+v", call, got)
		}
	}
	if b, _ := os.ReadFile(file); string(b) != "\xc1 garbage" {
		t.Errorf("the damaged file was changed to %q", b)
	}
	if got := r.Run(t.Context(), c, "data.clear", nil, nil); !got.Success {
		t.Errorf("data.clear: %+v", got)
	}
	if got := r.Run(t.Context(), c, "data.update", []any{"a", int64(1)}, nil); !got.Success {
		t.Errorf("data.update after data.clear: %+v", got)
	}
}

// TestDataManyWriters: no update of jobs that run at once is lost.
func TestDataManyWriters(t *testing.T) {
	c := recordedMinion(t)
	r := New()
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			if got := r.Run(t.Context(), c, "data.update", []any{fmt.Sprint(i), int64(i)}, nil); !got.Success {
				t.Errorf("data.update: %+v", got)
			}
		})
	}
	wg.Wait()
	if m := r.Run(t.Context(), c, "data.items", nil, nil).Return.(*wire.Map); m.Len() != 20 {
		t.Errorf("%d of 20 updates are there", m.Len())
	}
}

// TestMatchData: the target type that Salt 3006 always answers with False.
func TestMatchData(t *testing.T) {
	c := recordedMinion(t)
	r := New()
	r.Run(t.Context(), c, "data.update", []any{"role", "web"}, nil)
	for tgt, want := range map[string]bool{"role:w*": true, "role:db": false, "none:x": false} {
		if got := r.Run(t.Context(), c, "match.data", []any{tgt}, nil); got.Return != want {
			t.Errorf("match.data %s = %v, want %v", tgt, got.Return, want)
		}
	}
}

// TestMatchErrors: what Salt ends with a traceback has a message of its own here, and
// keywords of ifelse, which Salt's minion refuses, are taken.
func TestMatchErrors(t *testing.T) {
	r := New()
	web := wire.NewMap("web*", int64(1))
	for _, tc := range []struct {
		fun    string
		args   []any
		kwargs *wire.Map
		want   any
		ok     bool
	}{
		{"match.filter_by", []any{web}, wire.NewMap("tgt_type", "nonsense"), "tgt_type", false},
		{"match.filter_by", []any{web}, wire.NewMap("merge", []any{int64(1)}), "must be a dictionary", false},
		{"match.filter_by", []any{web}, wire.NewMap("merge", wire.NewMap("b", int64(2))), "'web*' has int", false},
		{"match.search_by", []any{web}, nil, "a list of targets is expected", false},
		{"match.ifelse", []any{"a", "b"}, nil, "odd number", false},
		{"match.ifelse", []any{"db*", int64(1), int64(2)}, wire.NewMap("minion_id", "db1"), int64(1), true},
		{"match.ifelse", []any{"os:Debian", int64(1), int64(2)}, wire.NewMap("tgt_type", "grain"), int64(1), true},
		{"match.ipcidr", []any{"nonsense"}, nil, false, true},
	} {
		got := r.Run(t.Context(), recordedMinion(t), tc.fun, tc.args, tc.kwargs)
		text, _ := got.Return.(string)
		if got.Success != tc.ok || tc.ok && got.Return != tc.want || !tc.ok && !strings.Contains(text, tc.want.(string)) {
			t.Errorf("%s: %+v, want %v", tc.fun, got, tc.want)
		}
	}
}
