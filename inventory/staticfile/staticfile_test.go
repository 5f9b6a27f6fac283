package staticfile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/inventory/inventorytest"
	"github.com/gosalt/gosalt/protocol/wire"
)

func write(t *testing.T, text string) string {
	t.Helper()
	f := filepath.Join(t.TempDir(), "machines.yaml")
	if err := os.WriteFile(f, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return f
}

const sample = `
web1: 10.0.0.1
web2:
  address: [web2.example.com, 203.0.113.5, fd00::1]
  tags: {role: web, size: 3}
  region: eu-1
  groups: front
  ssh: {user: admin, passwd: hunter2}
  created: 2026-01-02
db1:
db3: {id: 4c4c-db3, address: 10.0.0.3}
db2: {id: 4c4c-db2, label: The Base, state: stopped, private: 10.1.1.1, public: [198.51.100.1], attrs: {rack: {row: 3}}}
`

func service(t *testing.T) inventorytest.Service {
	return inventorytest.Service{Kind: Kind, Config: wire.NewMap("file", write(t, sample), "machines", wire.NewMap("extra", "10.9.9.9")), Want: 6,
		Secrets: []string{"hunter2"},
		Failures: map[string]inventorytest.Failure{
			"no file":    {Config: wire.NewMap("file", filepath.Join(t.TempDir(), "none")), Reason: inventory.NotFound, Call: "read", Hint: true},
			"no YAML":    {Config: wire.NewMap("file", write(t, "a: [hunter2")), Reason: inventory.BadAnswer, Call: "read"},
			"bad entry":  {Config: wire.NewMap("file", write(t, "a:\n  ssh: hunter2\n")), Reason: inventory.BadAnswer, Call: "read"},
			"nothing":    {Config: wire.NewMap(), Reason: inventory.BadConfig, Hint: true},
			"both":       {Config: wire.NewMap("file", write(t, "a: 10.0.0.1"), "machines", wire.NewMap("a", "10.0.0.2")), Reason: inventory.BadAnswer},
			"wrong type": {Config: wire.NewMap("machines", "web1"), Reason: inventory.BadConfig},
		}}
}

func TestSuite(t *testing.T) { inventorytest.Run(t, service) }

func TestMachines(t *testing.T) {
	s := service(t)
	got := map[string]inventory.Machine{}
	for m, err := range s.Open(t, s.Config).List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		got[m.ID] = m
	}
	w := got["web2"]
	if w.DNS[0] != "web2.example.com" || w.Public[0].String() != "203.0.113.5" || w.Private[0].String() != "fd00::1" || w.Tags["size"] != "3" ||
		w.Groups[0] != "front" || w.SSH.Text("user") != "admin" || w.Created.Year() != 2026 {
		t.Errorf("%+v", w)
	}
	if d := got["4c4c-db2"]; d.State != inventory.Stopped || d.Label != "The Base" || d.Attrs.Map("rack").Int("row") != 3 {
		t.Errorf("%+v", d)
	}
	if d := got["4c4c-db3"]; d.Label != "db3" {
		t.Errorf("%+v", d)
	}
	if got["db1"].DNS[0] != "db1" || got["web1"].Private[0].String() != "10.0.0.1" || got["extra"].ID == "" {
		t.Errorf("%+v", got)
	}
}

func TestMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"a:\n  adress: x\n":            `:2: a: there is no key "adress": is it address?`,
		"a: 1\nb: [1]\n":               ":1: a has to have an address",
		"- id: a\n- id: a\n":           ":2: a is there twice",
		"- {address: x}\n":             ":1: machine 1 of the list has to be a map with an id",
		"a:\n  state: dead\n":          `a: there is no state "dead"`,
		"a:\n  tags: x\n":              ":2: a: tags has to be a map",
		"a:\n  private: web\n":         `:2: a: private: "web" is no address`,
		"just text\n":                  "has to be a map of machines, or a list",
		"a:\n  created: yesterday\n":   "created is \"yesterday\"",
		"a:\n  tags:\n    x: {y: z}\n": "the tag x has to be text",
		"a:\n  address: 'two words'\n": `"two words" is no name of DNS`,
		"a:\n  ssh: {user: {x: y}}\n":  "",
		"- a\n- 10.0.0.1\n- {id: 5}\n": "",
		"\n":                           "",
	} {
		f := write(t, text)
		s := inventorytest.Service{Kind: Kind}
		var msg string
		for _, err := range s.Open(t, wire.NewMap("file", f)).List(t.Context()) {
			if err != nil {
				msg = err.Error()
			}
		}
		if want == "" && msg != "" || !strings.Contains(msg, want) || want != "" && !strings.Contains(msg, f) {
			t.Errorf("%q: %s\nwant %s", text, msg, want)
		}
	}
}
