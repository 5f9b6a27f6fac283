//go:build unix

package ansible

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/inventory/inventorytest"
	"github.com/gosalt/gosalt/protocol/wire"
)

func script(t *testing.T, text string) string {
	t.Helper()
	f := filepath.Join(t.TempDir(), "inv")
	if err := os.WriteFile(f, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
	return f
}

const sample = `[ "$1" = --list ] || exit 3
cat <<'X'
{"web": {"hosts": ["w1", "w2"], "vars": {"env": "prod", "port": 80}, "children": ["front"]}, "front": ["w3"],
 "_meta": {"hostvars": {"w1": {"ansible_host": "10.0.0.1", "ansible_user": "admin", "ansible_port": 2222, "db_password": "hunter2", "backup_key": "hunter2", "nested": {"a": [1], "l": [{"admin_password": "hunter2", "n": 1}]}},
  "w2": {"ansible_host": "203.0.113.9", "env": "test", "ansible_connection": "winrm"}}}}
X
`

func service(t *testing.T) inventorytest.Service {
	return inventorytest.Service{Kind: Kind, Config: wire.NewMap("command", script(t, sample)), Want: 3,
		Secrets: []string{"hunter2", "topsecret"},
		Failures: map[string]inventorytest.Failure{
			"none":          {Config: wire.NewMap("command", filepath.Join(t.TempDir(), "none")), Reason: inventory.NotFound, Call: "none --list", Hint: true},
			"no command":    {Config: wire.NewMap("run_timeout", "1s"), Reason: inventory.BadConfig},
			"command null":  {Config: wire.NewMap("command", nil), Reason: inventory.BadConfig},
			"fails":         {Config: wire.NewMap("command", script(t, "echo denied: $TOKEN >&2; exit 2\n"), "environment", wire.NewMap("TOKEN", "topsecret")), Reason: inventory.BadAnswer, Call: "inv --list"},
			"no JSON":       {Config: wire.NewMap("command", script(t, "echo junk\n")), Reason: inventory.BadAnswer},
			"a list":        {Config: wire.NewMap("command", script(t, "echo '[]'\n")), Reason: inventory.BadAnswer},
			"no such child": {Config: wire.NewMap("command", script(t, `echo '{"a": {"children": ["a"]}}'`+"\n")), Reason: inventory.BadAnswer},
			"too slow":      {Config: wire.NewMap("command", script(t, "sleep 1000\n"), "run_timeout", "0.1"), Reason: inventory.NoAnswer, Hint: true},
			"too much":      {Config: wire.NewMap("command", script(t, "exec cat /dev/zero\n")), Reason: inventory.BadAnswer},
			"interpreter":   {Config: wire.NewMap("command", interpreter(t)), Reason: inventory.NotFound, Hint: true},
		},
		Hangs: map[string]*wire.Map{
			"at once":          wire.NewMap("command", script(t, "sleep 1000\n")),
			"its child":        wire.NewMap("command", script(t, "sleep 1000 & wait\n")),
			"with half of it":  wire.NewMap("command", script(t, "echo '{'; sleep 1000\n")),
			"closing the pipe": wire.NewMap("command", script(t, "exec >&- 2>&-; sleep 1000\n")),
		}}
}

func interpreter(t *testing.T) string {
	f := filepath.Join(t.TempDir(), "inv")
	if err := os.WriteFile(f, []byte("#!/no/such/python\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestSuite(t *testing.T) { inventorytest.Run(t, service) }

func TestMachines(t *testing.T) {
	list := func(cfg *wire.Map) map[string]inventory.Machine {
		got := map[string]inventory.Machine{}
		for m, err := range (inventorytest.Service{Kind: Kind}).Open(t, cfg).List(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			got[m.ID] = m
		}
		return got
	}
	got := list(wire.NewMap("command", script(t, sample)))
	w1 := got["w1"]
	if w1.Private[0].String() != "10.0.0.1" || w1.SSH.Text("user") != "admin" || w1.SSH.Int("port") != 2222 || w1.Tags["env"] != "prod" || w1.Tags["port"] != "80" || w1.Groups[0] != "web" || w1.Attrs.Map("nested").List("a")[0] != int64(1) {
		t.Errorf("%+v", w1)
	}
	for _, name := range []string{"db_password", "backup_key"} {
		if _, ok := w1.Tags[name]; ok {
			t.Errorf("the secret %s became a tag", name)
		}
	}
	if m, _ := w1.Attrs.Map("nested").List("l")[0].(*wire.Map); m.Len() != 1 || !m.Has("n") {
		t.Errorf("a secret within a value became an attribute: %v", m)
	}
	if w2 := got["w2"]; w2.Public[0].String() != "203.0.113.9" || w2.Tags["env"] != "test" || w2.Attrs.Text("unreachable") == "" {
		t.Errorf("%+v", w2)
	}
	if w3 := got["w3"]; w3.DNS[0] != "w3" || len(w3.Groups) != 2 || w3.Groups[0] != "web" {
		t.Errorf("%+v", w3)
	}
	got = list(wire.NewMap("command", script(t, `[ "$1" = --host ] && echo "{\"n\": \"$2\", \"m\": 1}" || echo '{"g": ["x", "y"]}'`+"\n"), "tags", []any{"n"}))
	if got["x"].Tags["n"] != "x" || len(got["y"].Tags) != 1 {
		t.Errorf("%+v", got)
	}
}
