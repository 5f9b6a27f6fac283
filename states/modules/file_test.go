package modules_test

import (
	"os"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states/modules"
	"github.com/gosalt/gosalt/states/statetest"
)

func machine(t *testing.T) *statetest.Machine { return statetest.New(t, modules.New(), nil) }

func TestFileManaged(t *testing.T) {
	low := statetest.Low
	t.Run("new", func(t *testing.T) {
		m := machine(t)
		res := m.Conform(t, low("file.managed", "/a", "contents", "hi", "mode", int64(640)))
		if got := res.Map("changes"); got.Text("diff") != "New file" || got.Text("mode") != "0640" || got.Len() != 2 {
			t.Errorf("changes: %v", got)
		}
		if res.Text("comment") != "File /a updated" || m.Read(t, "/a") != "hi\n" {
			t.Errorf("%s, %q", res.Text("comment"), m.Read(t, "/a"))
		}
	})
	t.Run("changed", func(t *testing.T) {
		m := machine(t)
		m.Write(t, "/a", "one\ntwo\n")
		res := m.Conform(t, low("file.managed", "/a", "contents", []any{"one", "three"}, "contents_newline", false))
		if got := res.Map("changes").Text("diff"); got != "--- \n+++ \n@@ -1,2 +1,2 @@\n one\n-two\n+three" {
			t.Errorf("%q", got)
		}
	})
	t.Run("directories", func(t *testing.T) {
		m := machine(t)
		if got := m.Fails(t, low("file.managed", "/x/y/a", "contents", "hi")); got != "Parent directory not present" {
			t.Errorf("%q", got)
		}
		m.Conform(t, low("file.managed", "/x/y/a", "contents", "hi", "makedirs", true, "mode", "0600"))
		if st, err := m.Host.Stat("/x/y"); err != nil || st.Octal() != "0700" {
			t.Errorf("%v, %v", st, err)
		}
	})
	t.Run("permissions alone", func(t *testing.T) {
		m := machine(t)
		m.Write(t, "/a", "text")
		m.Conform(t, low("file.managed", "/a", "mode", "0600"))
		if m.Read(t, "/a") != "text" {
			t.Error("the text has changed")
		}
	})
	t.Run("a link is followed", func(t *testing.T) {
		m := machine(t)
		m.Write(t, "/real", "old")
		if err := os.Symlink("real", m.Host.Path("/l")); err != nil {
			t.Fatal(err)
		}
		m.Conform(t, low("file.managed", "/l", "contents", "new"))
		if !m.Host.IsLink("/l") || m.Read(t, "/real") != "new\n" {
			t.Error(m.Snapshot(t))
		}
		res := m.Conform(t, low("file.managed", "/l", "contents", "own", "follow_symlinks", false))
		if got := res.Map("changes").Text("diff"); got != "--- \n+++ \n@@ -1 +1 @@\n-new\n+own\n" {
			t.Errorf("%q", got)
		}
		if m.Host.IsLink("/l") || m.Read(t, "/real") != "new\n" || m.Read(t, "/l") != "own\n" {
			t.Error(m.Snapshot(t))
		}
	})
	t.Run("the group of a setgid directory", func(t *testing.T) {
		if os.Geteuid() != 0 {
			t.Skip("gives a directory to another group, which only root may")
		}
		m := machine(t)
		if err := os.Mkdir(m.Host.Path("/d"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(m.Host.Path("/d"), 0, 4242); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(m.Host.Path("/d"), 0o755|os.ModeSetgid); err != nil {
			t.Fatal(err)
		}
		for name, gid := range map[string]int64{"/d/a": 4242, "/d/b": 0, "/d/c": 4343, "/a": 4242, "/b": 0} {
			res := m.Conform(t, low("file.managed", name, "contents", "hi", "group", gid))
			got, told := res.Map("changes").Get("group")
			given := int64(0) // what the system gives a new file there
			if strings.HasPrefix(name, "/d/") {
				given = 4242
			}
			if told != (gid != given) || told && got != gid {
				t.Errorf("%s of group %d: %v", name, gid, res.Map("changes"))
			}
		}
	})
	t.Run("wrong", func(t *testing.T) {
		m := machine(t)
		if err := os.Mkdir(m.Host.Path("/d"), 0o755); err != nil {
			t.Fatal(err)
		}
		for want, l := range map[string]*wire.Map{
			"Specified file rel is not an absolute path":                                    low("file.managed", "rel", "contents", ""),
			"Specified target /d is a directory":                                            low("file.managed", "/d", "contents", ""),
			"User nosuch is not available ":                                                 low("file.managed", "/a", "contents", "", "user", "nosuch"),
			"Only one of 'contents', 'contents_pillar', and 'contents_grains' is permitted": low("file.managed", "/a", "contents", "", "contents_pillar", "x"),
			"Context must be formed as a dict":                                              low("file.managed", "/a", "contents", "", "context", "x"),
			`mode "rw": an octal number such as 0644 is expected`:                           low("file.managed", "/a", "contents", "", "mode", "rw"),
			"'contents' value would result in empty contents. Set allow_empty to True to allow the managed file to be empty.": low("file.managed", "/a", "contents", "", "allow_empty", false),
		} {
			if got := m.Fails(t, l); got != want {
				t.Errorf("%q, expected %q", got, want)
			}
		}
	})
}

func TestFileDecode(t *testing.T) {
	m := machine(t)
	if got := m.Fails(t, statetest.Low("file.decode", "/gone/f", "encoded_data", "aGVsbG8=")); got != "[Errno 2] No such file or directory: '/gone/f'" {
		t.Error(got)
	}
}

func TestFileDirectory(t *testing.T) {
	low := statetest.Low
	m := machine(t)
	m.Conform(t, low("file.directory", "/a/b", "makedirs", true, "dir_mode", "0711"))
	m.Write(t, "/a/b/c/f", "x")
	m.Conform(t, low("file.directory", "/a/b", "dir_mode", "0750", "file_mode", "0640", "recurse", []any{"mode"}))
	if st, _ := m.Host.Stat("/a/b/c/f"); st.Octal() != "0640" {
		t.Error(m.Snapshot(t))
	}
	m.Write(t, "/f", "x")
	if got := m.Fails(t, low("file.directory", "/f")); got != "Specified location /f exists and is a file" {
		t.Errorf("%q", got)
	}
	m.Conform(t, low("file.directory", "/f", "force", true))
	m.Conform(t, low("file.directory", "/a/b", "clean", true, "exclude_pat", "E@^g$"))
	if strings.Contains(m.Snapshot(t), "/a/b/c") {
		t.Error(m.Snapshot(t))
	}
}

func TestFileSymlink(t *testing.T) {
	low := statetest.Low
	m := machine(t)
	m.Conform(t, low("file.symlink", "/l", "target", "/t1"))
	res := m.Conform(t, low("file.symlink", "/l", "target", "/t2"))
	if res.Text("comment") != "Created new symlink /l -> /t2" {
		t.Errorf("%v", res)
	}
	m.Write(t, "/f", "x")
	if got := m.Fails(t, low("file.symlink", "/f", "target", "/t")); got != "File exists where the symlink /f should be" {
		t.Errorf("%q", got)
	}
	m.Write(t, "/d/x", "x")
	if res := m.Apply(t, false, low("file.symlink", "/d", "target", "/t", "force", true)); !res.Bool("result") || !m.Host.IsLink("/d") {
		t.Errorf("%v", res)
	}
	if res := m.Apply(t, false, low("file.symlink", "/f", "target", "/t", "backupname", "f.old", "force", true)); !res.Bool("result") || m.Read(t, "/f.old") != "x" {
		t.Errorf("%v", res)
	}
}

func TestFileAbsent(t *testing.T) {
	low := statetest.Low
	m := machine(t)
	m.Write(t, "/d/x", "x")
	m.Conform(t, low("file.absent", "/d"))
	if got := m.Fails(t, low("file.absent", "/")); got != `Refusing to make "/" absent` {
		t.Errorf("%q", got)
	}
}

func TestFileAppend(t *testing.T) {
	low := statetest.Low
	m := machine(t)
	m.Write(t, "/f", "one\n  two  words\n")
	m.Fine(t, low("file.append", "/f", "text", []any{"two words", "one"}))
	res := m.Conform(t, low("file.append", "/f", "text", []any{"one", "three\nfour"}))
	if res.Text("comment") != "Appended 2 lines" || m.Read(t, "/f") != "one\n  two  words\nthree\nfour\n" {
		t.Errorf("%v, %q", res, m.Read(t, "/f"))
	}
	m.Conform(t, low("file.prepend", "/f", "text", "zero"))
	if m.Read(t, "/f") != "zero\none\n  two  words\nthree\nfour\n" {
		t.Errorf("%q", m.Read(t, "/f"))
	}
	m.Conform(t, low("file.append", "/d/f", "text", "x", "makedirs", true))
	m.Fails(t, low("file.append", "/e/f", "text", "x"))
}

// Salt looks for "file" in the requisites of an accumulator as Python's "in" does: for a
// key of a reference, and within a bare id.
func TestFileAccumulatedOrphan(t *testing.T) {
	for _, c := range []struct {
		in     any
		orphan bool
	}{
		{[]any{wire.NewMap("file", "conf")}, false},
		{[]any{"the config file"}, false},
		{[]any{"conf"}, true},
		{[]any{wire.NewMap("cmd", "file")}, true},
		{[]any{}, true},
	} {
		res := machine(t).Apply(t, false, statetest.Low("file.accumulated", "a", "filename", "/x", "text", "t", "watch_in", c.in))
		if orphan := strings.HasPrefix(res.Text("comment"), "Orphaned accumulator a in "); orphan != c.orphan {
			t.Errorf("watch_in %v: %s", c.in, res.Text("comment"))
		}
	}
}
