package config

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/protocol/wire"
)

// recorded is one configuration, and how the options of the real Salt 3006.18 (and
// 3007.10, which answers alike) differ from its defaults once it has read it. $DIR
// stands for the directory.
type recorded struct {
	Name   string            `json:"name"`
	Side   string            `json:"side"`
	Files  map[string]string `json:"files"`
	Dirs   []string          `json:"dirs"`
	Host   string            `json:"host"` // the guess; host.example.com where empty
	Opts   json.RawMessage   `json:"opts"`
	Cache  bool              `json:"cache"`  // a guessed id is written
	Cached map[string]string `json:"cached"` // files minion_id afterwards
}

// notOurs are options that Salt computes for itself.
var notOurs = []string{"syndic_dir", "sqlite_queue_dir", "utils_dirs", "ipc_write_buffer", "ssh_log_file"}

// readsOtherwise are the differences from the recordings that are meant, by name of the
// row and of the option.
var readsOtherwise = map[string]string{
	"timeouts as text: tcp_keepalive_idle": "Salt keeps the text and stumbles over it later",
}

func TestRecorded(t *testing.T) {
	data, err := os.ReadFile("testdata/recorded.json")
	if err != nil {
		t.Fatal(err)
	}
	var rows []recorded
	if err := json.Unmarshal(data, &rows); err != nil {
		t.Fatal(err)
	}
	if len(rows) < 100 {
		t.Fatalf("%d rows", len(rows))
	}
	for _, row := range rows {
		t.Run(row.Side+" "+row.Name, func(t *testing.T) { testRecorded(t, row) })
	}
}

func testRecorded(t *testing.T, row recorded) {
	dir := t.TempDir()
	for name, text := range row.Files {
		write(t, filepath.Join(dir, name), strings.ReplaceAll(text, "$DIR", dir))
	}
	for _, d := range row.Dirs {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	host := row.Host
	if host == "" {
		host = "host.example.com"
	}
	n := names{
		hostname: func() (string, error) { return host, nil },
		fqdn:     func(h string) string { return h },
		addrs:    func() []string { return nil },
	}
	var opts *wire.Map
	var problems []Problem
	var err error
	s := masterSide
	if row.Side == "master" {
		var m *Master
		if m, problems, err = loadMaster(filepath.Join(dir, "master"), n); err == nil {
			opts = m.Opts()
		}
	} else {
		s = minionSide
		var m *Minion
		if m, problems, err = loadMinion(filepath.Join(dir, "minion"), MinionOptions{ForgetID: !row.Cache}, n); err == nil {
			opts = m.Opts()
		}
	}
	if err != nil {
		t.Fatalf("Salt takes it: %v", err)
	}
	want := fromJSON(strings.ReplaceAll(string(row.Opts), "$DIR", dir)).(*wire.Map)
	expected := wire.NewMap()
	for _, o := range knownToSalt() {
		name := o.name
		if o.defaults[s] != "" && deliberate[s.String()+":"+name] == "" {
			expected.Set(name, fromJSON(o.defaults[s]))
		}
	}
	for k, v := range want.Strings() {
		expected.Set(k, v)
	}
	for _, name := range notOurs {
		expected.Delete(name)
	}
	for name, v := range expected.Strings() {
		got, ok := opts.Get(name)
		if name == "key_pass" && v == "abc" {
			v = hidden
		}
		if readsOtherwise[row.Name+": "+name] != "" {
			continue
		}
		if !ok || !same(got, v) {
			t.Errorf("%s: got %#v, Salt has %#v", name, got, v)
		}
	}
	for _, p := range problems {
		t.Log(p)
	}
	for name, text := range row.Cached {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || string(got) != text {
			t.Errorf("%s holds %q, %v; Salt writes %q", name, got, err, text)
		}
	}
}

// same compares values of the model; 1 and 1.0 are the same, and so is the order of maps.
func same(a, b any) bool {
	switch a := a.(type) {
	case int64:
		if f, ok := b.(float64); ok {
			return float64(a) == f
		}
	case float64:
		if i, ok := b.(int64); ok {
			return a == float64(i)
		}
	case *wire.Map:
		b, ok := b.(*wire.Map)
		if !ok || a.Len() != b.Len() {
			return false
		}
		for k, v := range a.Strings() {
			w, ok := b.Get(k)
			if !ok || !same(v, w) {
				return false
			}
		}
		return true
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for i := range a {
			if !same(a[i], b[i]) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(a, b)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
