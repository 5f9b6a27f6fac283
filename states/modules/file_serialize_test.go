package modules_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/pytext"
	minion "github.com/gosalt/gosalt/minion/modules"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states/modules"
	"github.com/gosalt/gosalt/states/statetest"
)

// TestFileSerialize holds serializers and their options beside what Salt 3006.18 wrote, or
// said where it wrote nothing.
func TestFileSerialize(t *testing.T) {
	b, err := os.ReadFile("testdata/serialize/salt.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Args    json.RawMessage
		Before  []byte
		File    []byte
		Comment string
	}
	if err := json.Unmarshal(b, &cases); err != nil {
		t.Fatal(err)
	}
	m := statetest.New(t, modules.New(), minion.New())
	m.Host = &host.Host{} // file.manage_file takes names of the machine
	name := filepath.Join(t.TempDir(), "f")
	for _, c := range cases {
		v, err := pytext.ParseJSON(string(c.Args))
		if err != nil {
			t.Fatal(err)
		}
		args := v.(*wire.Map)
		low := statetest.Low("file.serialize", name)
		for k, v := range args.Strings() {
			low.Set(k, v)
		}
		_ = os.Remove(name)
		if c.Before != nil {
			m.Write(t, name, string(c.Before))
		}
		res := m.Apply(t, false, low)
		if c.Comment != "" {
			want := strings.ReplaceAll(c.Comment, "FILE", name)
			if got := res.Text("comment"); got != want {
				t.Errorf("%s\nsays %q\nSalt %q", c.Args, got, want)
			}
			continue
		}
		if res.Text("comment") == "" || res.Map("changes").Len() > 0 && m.Read(t, name) != string(c.File) {
			t.Errorf("%s\ngot  %q\nSalt %q", c.Args, m.Read(t, name), c.File)
		}
		if r, _ := res.Get("result"); r != true {
			t.Errorf("%s: %s", c.Args, res.Text("comment"))
		}
	}
}
