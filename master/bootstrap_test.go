package master

import (
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/gosalt/gosalt/internal/config"
	"github.com/gosalt/gosalt/master/keys"
	"github.com/gosalt/gosalt/protocol/seal"
)

// portless is the configuration of a master in a directory of its own.
func portless(t *testing.T) Config {
	dir := t.TempDir()
	cfg := config.DefaultMaster()
	cfg.PKIDir, cfg.CacheDir, cfg.SockDir = filepath.Join(dir, "pki"), filepath.Join(dir, "cache"), filepath.Join(dir, "run")
	cfg.ControlSocket, cfg.JobStore, cfg.AuditLog = filepath.Join(dir, "run", "control.sock"), filepath.Join(dir, "jobs.db"), filepath.Join(dir, "audit")
	return Config{Master: cfg, Log: slog.New(slog.DiscardHandler), Portless: true}
}

// TestNoJobStore has a job store that is a directory.
func TestNoJobStore(t *testing.T) {
	cfg := portless(t)
	cfg.JobStore = t.TempDir()
	if _, err := New(cfg); err == nil {
		t.Error("no error")
	}
}

// TestPreaccept accepts keys beforehand: one that is refused leaves what there was.
func TestPreaccept(t *testing.T) {
	m, err := New(portless(t))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	m.ctx = t.Context()
	key := func() string {
		t.Helper()
		k, err := seal.Generate(2048)
		if err != nil {
			t.Fatal(err)
		}
		return k.Public().PEM()
	}
	one, two := key(), key()
	for _, c := range []struct {
		name, pub string
		replace   bool
		changed   bool
		ok        bool
		holds     string // which is accepted afterwards
	}{
		{"new", one, false, true, true, one},
		{"the same", one, false, false, true, one},
		{"another", two, false, false, false, one},
		{"no key in its place", "nonsense", true, false, false, one},
		{"another in its place", two, true, true, true, two},
	} {
		changed, err := m.Preaccept("web1", c.pub, c.replace, "root")
		if changed != c.changed || (err == nil) != c.ok {
			t.Errorf("%s: %v, %v", c.name, changed, err)
		}
		if !m.keys.IsAccepted("web1", c.holds) {
			t.Errorf("%s: another key is accepted, or none", c.name)
		}
	}
	if err := m.keys.Seed("web2", one); err != nil {
		t.Fatal(err)
	}
	if err := m.keys.Move("web2", keys.Accepted, keys.Rejected); err != nil {
		t.Fatal(err)
	}
	if changed, err := m.Preaccept("web2", one, true, "root"); !changed || err != nil {
		t.Errorf("one that was rejected: %v, %v", changed, err)
	}
	if st, err := m.keys.StateOf("web2"); st != keys.Accepted || err != nil {
		t.Errorf("it is %s, %v", st, err)
	}
	for _, want := range []bool{true, false} {
		if changed, err := m.Unaccept("web1", two, "root"); changed != want || err != nil {
			t.Errorf("taken off: %v, %v, want %v", changed, err, want)
		}
	}
}
