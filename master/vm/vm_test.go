package vm

import (
	"context"
	"errors"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/protocol/wire"
)

func TestProfile(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "data"), []byte("#!/bin/sh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name string
		v    any
		want string // in the error; "": none
	}{
		{"least", wire.NewMap("source", "lab"), ""},
		{"no-map", "lab", "has to be a map"},
		{"no source", wire.NewMap("source", "lab"), "the name of a profile"},
		{"none", wire.NewMap(), "source"},
		{"unknown", wire.NewMap("source", "lab", "imagge", "x"), `is it "image"`},
		{"join", wire.NewMap("source", "lab", "join", "tokn"), `is it "token"`},
		{"ready", wire.NewMap("source", "lab", "ready", "soon"), "has to be minion, ssh, running"},
		{"address", wire.NewMap("source", "lab", "address", []any{"home"}), "has to be private, public, dns"},
		{"prefix", wire.NewMap("source", "lab", "name", "a b"), `name is "a b"`},
		{"own-tag", wire.NewMap("source", "lab", "tags", wire.NewMap("gosalt:by", "me")), "is for gosalt's own"},
		{"two", wire.NewMap("source", "lab", "user_data", "x", "user_data_file", "data"), "both given"},
		{"file", wire.NewMap("source", "lab", "user_data_file", "data"), ""},
		{"no-file", wire.NewMap("source", "lab", "user_data_file", "date"), filepath.Join(dir, "date")},
		{"url", wire.NewMap("source", "lab", "install", "https://x/y"), "sha256 is missing"},
		{"sum", wire.NewMap("source", "lab", "join", "none", "sha256", "00"), "sha256 is for join: token"},
		{"deaf", wire.NewMap("source", "lab", "join", "ssh", "ready", "running"), "has to be ready: minion"},
		{"all", wire.NewMap("source", "lab", "join", "x", "ready", "y"), `join is "x"`},
		{"all", wire.NewMap("source", "lab", "join", "x", "ready", "y"), `ready is "y"`},
	} {
		p, err := readProfile(row.name, row.v, dir, nil)
		if row.want == "" {
			if err != nil || p == nil {
				t.Errorf("%s: %v", row.name, err)
			}
			continue
		}
		if err == nil || !strings.HasPrefix(err.Error(), "vm_profiles: "+row.name+": ") || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v; want %q", row.name, err, row.want)
		}
	}
	p, err := readProfile("web", wire.NewMap("source", "lab"), dir, nil)
	if err != nil || p.Join != joinToken || p.Ready != readyMinion || p.Prefix != "web" || p.Timeout != defaultTimeout {
		t.Errorf("%+v, %v", p, err)
	}
	if p, err = readProfile("web", wire.NewMap("source", "lab", "ready", "running"), dir, nil); err != nil || p.Join != joinNone {
		t.Errorf("%+v, %v", p, err)
	}
}

// fakeMaster has one source, of which each call of Destroy is destroy.
type fakeMaster struct {
	Master
	destroy func(ctx context.Context, id string) error
}

func (f fakeMaster) Provider(string) (inventory.Provider, error) { return fakeSource{f: f}, nil }
func (f fakeMaster) ForgetKey(wire.MinionID, string) error       { return nil }

type fakeSource struct {
	inventory.Machines
	f fakeMaster
}

func (s fakeSource) Destroy(ctx context.Context, id string, _ func(string)) error {
	return s.f.destroy(ctx, id)
}

func (fakeSource) List(context.Context) iter.Seq2[inventory.Machine, error] {
	return func(func(inventory.Machine, error) bool) {}
}

// leave makes records of throw-away machines whose owner is dead.
func leave(t *testing.T, m *Manager, names ...string) {
	t.Helper()
	for _, name := range names {
		ref := name + strings.Repeat("0", 26-len(name))
		if err := m.records.put(&Record{Ref: ref, Name: name, Source: "lab", ID: "i-" + name, Phase: made, Throwaway: true}); err != nil {
			t.Fatal(err)
		}
	}
}

func quiet(string) {}

// Records that cannot be used hinder neither each other nor the rest, and are told of.
func TestDamagedRecord(t *testing.T) {
	m := New(Config{Dir: t.TempDir(), Master: fakeMaster{destroy: func(_ context.Context, id string) error {
		if id == "i-bad" {
			return errors.New("not today")
		}
		return nil
	}}})
	leave(t, m, "bad", "fine", "locked", "torn")
	file := func(name, ext string) string {
		return filepath.Join(m.cfg.Dir, name+strings.Repeat("0", 26-len(name))+ext)
	}
	if err := errors.Join(os.Mkdir(file("locked", ".lock"), 0o700), os.WriteFile(file("torn", ".json"), []byte("{"), 0o600)); err != nil {
		t.Fatal(err)
	}
	errs := m.Clean(t.Context(), quiet)
	text := errors.Join(errs...).Error()
	for _, want := range []string{file("torn", ".json") + " is damaged: ", "with that file removed", file("locked", ".lock"), "not today"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in: %s", want, text)
		}
	}
	if len(errs) != 3 {
		t.Errorf("%d errors: %v", len(errs), errs)
	}
	for name, there := range map[string]bool{"bad": true, "fine": false, "locked": true, "torn": true} {
		if _, err := os.Stat(file(name, ".json")); (err == nil) != there {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// slowSource takes ten minutes for a disk, and is then cut off at the machine, which shows up later.
type slowSource struct {
	inventory.Machines
	fresh bool
}

func (*slowSource) Create(_ context.Context, s inventory.Spec, _ func(string)) (m inventory.Machine, err error) {
	if err = s.Begins("disk"); err == nil {
		time.Sleep(10 * time.Minute)
		err = s.Begins("machine")
	}
	return m, errors.Join(err, errors.New("the connection was lost"))
}

func (s *slowSource) Sweep(_ context.Context, left inventory.Leftover, _ func(string)) (bool, error) {
	s.fresh = left.Fresh
	return !left.Fresh, nil
}

type slowMaster struct {
	Master
	s *slowSource
}

func (m slowMaster) Provider(string) (inventory.Provider, error) { return m.s, nil }

// A machine may show up a while after it was asked for, however long what came before took.
func TestFresh(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := &slowSource{}
		m := New(Config{Dir: dir, Profiles: wire.NewMap("web", wire.NewMap("source", "lab", "ready", "running", "timeout", "1h")), Master: slowMaster{s: s}})
		if _, err := m.Create(t.Context(), "web", "w1", "root", quiet); err == nil || !errors.Is(err, errUnsure) {
			t.Error(err)
		}
		time.Sleep(m.cfg.Settle)
		if errs := m.Clean(t.Context(), quiet); len(errs) > 0 || s.fresh {
			t.Error(errs)
		}
	})
}

// What another call has ended meanwhile is not ended again: its name may be that of a new
// machine, whose key that would delete.
func TestOwnGone(t *testing.T) {
	m := New(Config{Dir: t.TempDir(), Master: fakeMaster{}})
	leave(t, m, "one")
	list, err := m.records.list()
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	if err := m.records.drop(list[0].Ref); err != nil {
		t.Fatal(err)
	}
	err = m.held(list[0], true, func(*Record) error { t.Error("it was ended again"); return nil })
	if err == nil || !strings.Contains(err.Error(), "one (profile , source lab, i-one) was ended by another call") {
		t.Error(err)
	}
	if files, _ := os.ReadDir(m.cfg.Dir); len(files) > 0 {
		t.Errorf("left: %v", files)
	}
}

// A source that does not answer holds up the end of the master for a moment only, and the
// machine stays on record.
func TestDestroyHangs(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		m := New(Config{Dir: dir, Master: fakeMaster{destroy: func(ctx context.Context, _ string) error {
			<-ctx.Done()
			return context.Cause(ctx)
		}}})
		leave(t, m, "stuck")
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- m.Run(ctx) }()
		synctest.Wait()
		if _, err := m.Destroy(t.Context(), "stuck", quiet); err == nil || !strings.Contains(err.Error(), "in use by another call") {
			t.Error(err)
		}
		stopped := time.Now()
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if d := time.Since(stopped); d != stopGrace {
			t.Errorf("it took %s", d)
		}
		if list, err := m.records.list(); err != nil || len(list) != 1 || list[0].Phase != ending {
			t.Errorf("%+v, %v", list, err)
		}
	})
}
