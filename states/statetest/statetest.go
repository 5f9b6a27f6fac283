// Package statetest checks what every state promises: planning changes nothing, doing
// succeeds, and a second plan is empty.
package statetest

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
	"github.com/gosalt/gosalt/states/run"
)

// A Machine is a directory that states work on in place of "/".
type Machine struct {
	Host *host.Host
	reg  *states.Registry
	fun  *module.Registry
}

// New makes a machine without files. functions are the execution functions that the
// states use; nil for none.
func New(t *testing.T, reg *states.Registry, functions *module.Registry) *Machine {
	t.Helper()
	if functions == nil {
		functions = module.NewRegistry()
	}
	return &Machine{Host: &host.Host{Root: t.TempDir()}, reg: reg, fun: functions}
}

// Low makes a chunk: Low("file.managed", "/etc/motd", "contents", "hi").
func Low(fun, name string, kv ...any) *wire.Map {
	mod, f, _ := strings.Cut(fun, ".")
	m := wire.NewMap("state", mod, "fun", f, "__id__", name, "name", name, "__sls__", "test", "__env__", "base", "order", int64(10000))
	for i := 0; i < len(kv); i += 2 {
		m.Set(kv[i].(string), kv[i+1])
	}
	return m
}

// Apply runs states one after the other, and returns the result of the last.
func (m *Machine) Apply(t *testing.T, test bool, lows ...*wire.Map) *wire.Map {
	t.Helper()
	var res *wire.Map
	probe := module.NewRegistry()
	module.Register(probe, "statetest.apply", func(ctx context.Context, c *module.Call, _ struct{}) (any, error) {
		chunks := make([]*wire.Map, len(lows))
		for i, low := range lows {
			chunks[i] = low.Clone()
		}
		res = run.New(m.reg, c, run.Options{Test: test}).Run(ctx, chunks).Map(states.Tag(lows[len(lows)-1]))
		return nil, nil
	})
	for _, name := range m.fun.Names() {
		probe.Borrow(m.fun, name)
	}
	out := probe.Run(t.Context(), &module.Call{Host: m.Host, CacheDir: t.TempDir()}, "statetest.apply", nil, nil)
	if out.Err != nil || res == nil {
		t.Fatalf("%v: %v", out.Return, res)
	}
	return res
}

// Conform checks a state that has something to do and can do it.
func (m *Machine) Conform(t *testing.T, low *wire.Map) *wire.Map {
	t.Helper()
	before := m.Snapshot(t)
	plan := m.Apply(t, true, low)
	if after := m.Snapshot(t); after != before {
		t.Errorf("test=True changed the machine:\n%s\nbefore:\n%s", after, before)
	}
	if v, _ := plan.Get("result"); v != nil || plan.Map("changes").Len() == 0 {
		t.Errorf("test=True: %s", pytext.Repr(plan))
	}
	done := m.Apply(t, false, low)
	if v, _ := done.Get("result"); v != true || done.Map("changes").Len() == 0 {
		t.Errorf("done: %s", pytext.Repr(done))
	}
	after := m.Snapshot(t)
	m.Fine(t, low)
	if again := m.Snapshot(t); again != after {
		t.Errorf("a second run changed the machine:\n%s\nbefore:\n%s", again, after)
	}
	return done
}

// Fine checks that there is nothing to do.
func (m *Machine) Fine(t *testing.T, low *wire.Map) {
	t.Helper()
	for _, test := range []bool{true, false} {
		res := m.Apply(t, test, low)
		if v, _ := res.Get("result"); v != true || res.Map("changes").Len() > 0 {
			t.Errorf("test=%v: nothing is to be done: %s", test, pytext.Repr(res))
		}
	}
}

// Fails checks that a state fails and leaves the machine as it was, and returns its comment.
func (m *Machine) Fails(t *testing.T, low *wire.Map) string {
	t.Helper()
	before := m.Snapshot(t)
	res := m.Apply(t, false, low)
	if v, _ := res.Get("result"); v != false {
		t.Errorf("it does not fail: %s", pytext.Repr(res))
	}
	if after := m.Snapshot(t); after != before {
		t.Errorf("failing changed the machine:\n%s\nbefore:\n%s", after, before)
	}
	return res.Text("comment")
}

// Write puts a file on the machine.
func (m *Machine) Write(t *testing.T, name, contents string) {
	t.Helper()
	path := m.Host.Path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(contents), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Read is what a file of the machine holds.
func (m *Machine) Read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(m.Host.Path(name))
	if err != nil {
		t.Error(err)
	}
	return string(b)
}

// Snapshot is all that is on the machine, as a text.
func (m *Machine) Snapshot(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(m.Host.Root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(m.Host.Root, path)
		st, err := m.Host.Lstat("/" + rel)
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "/%s %s %d:%d", rel, st.Mode(), st.UID, st.GID)
		switch {
		case st.Mode().IsRegular():
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " %q", text)
		case st.Mode()&fs.ModeSymlink != 0:
			to, _ := os.Readlink(path)
			fmt.Fprintf(&b, " -> %s", to)
		}
		b.WriteByte('\n')
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}
