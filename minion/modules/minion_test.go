package modules

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	saltNames["minion"] = `kill list restart`
}

func TestMinionList(t *testing.T) {
	root := t.TempDir()
	master := filepath.Join(root, "pki", "master")
	for _, key := range []string{"minions/web1", "minions/DB1", "minions/.hidden", "minions_pre/new"} {
		file := filepath.Join(master, key)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := &module.Call{Opts: wire.NewMap("pki_dir", filepath.Join(root, "pki", "minion"))}
	got := pytext.Repr(New().Run(t.Context(), c, "minion.list", nil, nil).Return)
	if want := "{'minions': ['DB1', 'web1'], 'minions_pre': ['new'], 'minions_rejected': [], 'minions_denied': []}"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
