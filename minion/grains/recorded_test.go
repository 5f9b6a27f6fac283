package grains

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/yamlarg"
	"github.com/gosalt/gosalt/protocol/wire"
)

// ownGrains are those that say something of the program, and not of the machine: Salt's
// are of its Python, and the systemd grain is read from a library of the machine.
var ownGrains = []string{"gosaltversion", "pid", "saltversion", "saltversioninfo", "saltpath", "pythonversion", "pythonexecutable", "pythonpath",
	"zmqversion", "systemd"}

// TestRecordedBySalt holds the grains of a machine, the static ones and those of the
// configuration among them, to Salt's there, key by key.
func TestRecordedBySalt(t *testing.T) {
	a, err := txtar.ParseFile("testdata/debian12.txtar")
	if err != nil {
		t.Fatal(err)
	}
	text := func(name string) string {
		i := slices.IndexFunc(a.Files, func(f txtar.File) bool { return f.Name == name })
		return string(a.Files[i].Data)
	}
	conf := t.TempDir()
	if err := os.WriteFile(filepath.Join(conf, "grains"), []byte(text("conf/grains")), 0o600); err != nil {
		t.Fatal(err)
	}
	m := &Machine{Resolver: answers{}}
	if err := json.Unmarshal([]byte(text("machine.json")), m); err != nil {
		t.Fatal(err)
	}
	opts, err := yamlarg.Load(text("opts.json"))
	if err != nil {
		t.Fatal(err)
	}
	v, err := pytext.ParseJSON(text("want.json"))
	if err != nil {
		t.Fatal(err)
	}
	want := v.(*wire.Map)
	h := fixture(t, a)
	// osarch is that of the package manager's own program, of which the header is enough.
	header := slices.Concat([]byte("\x7fELF\x02\x01\x01"), make([]byte, 9), []byte{3, 0, 62, 0, 1}, make([]byte, 43))
	if err := os.WriteFile(h.Path("/usr/bin/dpkg"), header, 0o755); err != nil {
		t.Fatal(err)
	}
	got := Collect(t.Context(), Options{Host: h, Machine: m, Opts: opts.(*wire.Map), ConfDir: conf})
	for _, name := range ownGrains {
		got.Delete(name)
	}
	for name, w := range want.Strings() {
		g, ok := got.Get(name)
		if !ok {
			t.Errorf("no grain %s, Salt has %s", name, pytext.Repr(w))
		} else if !pytext.Equal(asJSON(t, g), w) {
			t.Errorf("%s\ngot  %s\nSalt %s", name, pytext.Repr(g), pytext.Repr(w))
		}
		got.Delete(name)
	}
	for name, g := range got.Strings() {
		t.Errorf("Salt has no grain %s, we have %s", name, pytext.Repr(g))
	}
}

// asJSON writes and reads a value: dates of static grains become texts.
func asJSON(t *testing.T, v any) any {
	t.Helper()
	s, err := pytext.JSON(v, -1, false)
	if err != nil {
		t.Fatal(err)
	}
	out, err := pytext.ParseJSON(s)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
