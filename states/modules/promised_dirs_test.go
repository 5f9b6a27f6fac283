package modules_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/gosalt/gosalt/internal/pytext"
	minion "github.com/gosalt/gosalt/minion/modules"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states/modules"
	"github.com/gosalt/gosalt/states/statetest"
)

// TestNoDirectory: a plan fails for a directory that is missing as the run does, with the
// same words.
func TestNoDirectory(t *testing.T) {
	low := statetest.Low
	for _, s := range []*wire.Map{
		low("file.managed", "/no/f", "contents", "x"), low("file.managed", "/no/f", "replace", false), low("file.directory", "/no/d"), low("file.symlink", "/no/l", "target", "/a"),
		low("file.copy", "/no/f", "source", "/a", "user", int64(0), "group", int64(0)), low("file.rename", "/no/f", "source", "/a"), low("file.hardlink", "/no/f", "target", "/a", "user", int64(0), "group", int64(0)), low("file.touch", "/no/f"),
		low("file.append", "/no/f", "text", "x"), low("file.prepend", "/no/f", "text", "x"), low("file.serialize", "/no/f", "dataset", wire.NewMap("a", "b"), "serializer", "json"),
	} {
		name := s.Text("state") + "." + s.Text("fun")
		m := statetest.New(t, modules.New(), minion.New())
		m.Write(t, "/a", "x")
		plan, done := m.Apply(t, true, s), m.Apply(t, false, s)
		if p, _ := plan.Get("result"); p != false || plan.Text("comment") != done.Text("comment") {
			t.Errorf("%s: planned %v, %q; done %q", name, p, plan.Text("comment"), done.Text("comment"))
		}
		s.Set("makedirs", true)
		if p, _ := m.Apply(t, true, s).Get("result"); p != nil {
			t.Errorf("%s with makedirs: planned %v", name, p)
		}
	}
}

// TestDirectoryToCome: what states before it make, or may make, is there for a run.
func TestDirectoryToCome(t *testing.T) {
	low := statetest.Low
	for _, row := range []struct {
		name   string
		comes  bool
		before []*wire.Map
	}{
		{"the directory", true, []*wire.Map{low("file.directory", "/d/e", "makedirs", true)}},
		{"the directory by another path", true, []*wire.Map{low("file.directory", "/link/e", "makedirs", true)}},
		{"a file in it", true, []*wire.Map{low("file.managed", "/d/e/other", "contents", "x", "makedirs", true)}},
		{"a link to one", true, []*wire.Map{low("file.symlink", "/d/e", "target", "/srv")}},
		{"a link above it", true, []*wire.Map{low("file.rename", "/d", "source", "/was", "force", true)}},
		{"a command", true, []*wire.Map{low("cmd.run", "true")}},
		{"a module", true, []*wire.Map{low("module.run", "x", "test.ping", []any{})}},
		{"a command that need not run", true, []*wire.Map{low("file.touch", "/flag"), low("cmd.run", "true", "creates", "/d")}},
		{"nothing", false, nil},
		{"a file beside it", false, []*wire.Map{low("file.managed", "/d/other", "contents", "x")}},
		{"the directory above it", false, []*wire.Map{low("file.directory", "/d", "mode", "0700")}},
		{"what is removed", false, []*wire.Map{low("file.absent", "/d/f")}},
		{"a state that changes nothing", false, []*wire.Map{low("test.nop", "x")}},
		{"a grain", false, []*wire.Map{low("test.configurable_test_state", "x", "changes", true, "result", true)}},
		{"a command that would not run at all", false, []*wire.Map{low("cmd.run", "true", "creates", "/d")}},
	} {
		t.Run(row.name, func(t *testing.T) {
			m := statetest.New(t, modules.New(), minion.New())
			m.Write(t, "/d/f", "x")
			m.Write(t, "/was/e/x", "x")
			if err := os.Symlink("d", filepath.Join(m.Host.Root, "link")); err != nil {
				t.Fatal(err)
			}
			res := m.Apply(t, true, append(row.before, low("file.managed", "/d/e/f", "contents", "x", "order", int64(10001)))...)
			if comes := !strings.Contains(res.Text("comment"), "Parent directory not present"); comes != row.comes {
				t.Errorf("to come: %v, want %v: %s", comes, row.comes, res.Text("comment"))
			}
		})
	}
}

// TestPlansSayWhatRunsSay: a plan fails for bad arguments as the run does, with the same
// words, unless a state before it may set things right.
func TestPlansSayWhatRunsSay(t *testing.T) {
	low := statetest.Low
	list := func(v ...any) []any { return v }
	for _, row := range []struct {
		low   *wire.Map
		after bool // fails after a command, too
	}{
		{low("module.run", "x", "test.arg_type", nil, "test.echo", list()), true},
		{low("module.run", "x", "test.echo", list("a", "b", "c")), true},
		{low("module.run", "x", "test.echo", list(wire.NewMap("txet", "a"))), true},
		{low("module.run", "test.echo"), true},
		{low("module.run", "file.chown", "path", "/x"), true},
		{low("environ.setenv", "x", "value", wire.NewMap("A", int64(5))), true},
		{low("http.query", "http://127.0.0.1:1/", "match", "(", "match_type", "pcre"), true},
		{low("http.query", "http://127.0.0.1:1/", "status", "(", "status_type", "pcre"), true},
		{low("cmd.run", "id", "root", "/no"), false},
		{low("cmd.run", "id", "root", "no/relative"), true},
		{low("file.directory", "/fifo"), false},
		{low("file.directory", "/fifo/a", "makedirs", true), false},
		{low("file.directory", "/file/a", "makedirs", true), false},
		{low("file.managed", "/file/a", "contents", "x", "makedirs", true), false},
		{low("file.symlink", "/file/l", "target", "/x", "makedirs", true), false},
		{low("file.append", "/file/a", "text", "x", "makedirs", true), false},
		{low("file.touch", "/file/t", "makedirs", true), false},
		{low("file.rename", "/file/r", "source", "/file2", "makedirs", true), false},
		{low("file.serialize", "/file/s", "dataset", wire.NewMap("a", "b"), "serializer", "json", "makedirs", true), false},
		{low("file.mknod", "/fifo/pipe", "ntype", "p"), false},
		{low("file.mknod", "/file/pipe", "ntype", "p"), false},
		{low("file.mknod", "/pipe", "ntype", "p", "mode", "rw"), true},
		{low("sysctl.present", "no.such.setting", "value", int64(1)), false},
	} {
		name := strings.TrimSpace(pytext.Repr(row.low))
		m := statetest.New(t, modules.New(), minion.New())
		m.Write(t, "/file", "x")
		m.Write(t, "/file2", "x")
		m.Write(t, "/etc/passwd", "root:x:0:0::/root:/bin/sh\n")
		m.Write(t, "/etc/group", "root:x:0:\n")
		if err := syscall.Mkfifo(m.Host.Path("/fifo"), 0o600); err != nil {
			t.Fatal(err)
		}
		plan, later, done := m.Apply(t, true, row.low), m.Apply(t, true, low("cmd.run", "true"), row.low), m.Apply(t, false, row.low)
		if p, d := get(plan, "result"), get(done, "result"); p != d || !strings.HasPrefix(done.Text("comment"), plan.Text("comment")) {
			t.Errorf("%s:\nplanned %v, %q;\ndone    %v, %q", name, p, plan.Text("comment"), d, done.Text("comment"))
		}
		if p := get(later, "result"); p != nil && !row.after || p == nil && row.after {
			t.Errorf("%s after a command: planned %v, %q", name, p, later.Text("comment"))
		}
	}
}

func get(m *wire.Map, key string) any {
	v, _ := m.Get(key)
	return v
}

// TestPlansThatFail: a plan fails as the run does for what it can know without running
// anything.
func TestPlansThatFail(t *testing.T) {
	low := statetest.Low
	for _, s := range []*wire.Map{
		low("user.present", "new", "uid", int64(1000)),
		low("group.present", "new", "gid", int64(1000)),
		low("ssh_auth.present", "no+key", "user", "there"),
		low("cmd.script", "/no/script"),
		low("cmd.script", "x", "source", "/no/script"),
		low("cmd.run", "true", "cwd", "/no"),
	} {
		name := s.Text("state") + "." + s.Text("fun")
		m := statetest.New(t, modules.New(), minion.New())
		m.Write(t, "/etc/passwd", "root:x:0:0::/root:/bin/sh\nthere:x:1000:1000::/home/there:/bin/sh\n")
		m.Write(t, "/etc/group", "root:x:0:\nthere:x:1000:\n")
		plan := m.Apply(t, true, s)
		if p, _ := plan.Get("result"); p != false {
			t.Errorf("%s: planned %v, %q", name, p, plan.Text("comment"))
		}
		later := m.Apply(t, true, low("cmd.run", "true"), s)
		if p, _ := later.Get("result"); p != nil && s.Text("state") != "ssh_auth" {
			t.Errorf("%s after a command: planned %v, %q", name, p, later.Text("comment"))
		}
	}
}
