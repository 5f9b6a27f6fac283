package modules_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gosalt/gosalt/internal/fileclient"
	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	minion "github.com/gosalt/gosalt/minion/modules"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states/modules"
	"github.com/gosalt/gosalt/states/run"
)

var only = flag.String("only", "", "run only the recorded cases whose name has this")

// recording are states as Salt 3006.18 ran them as root on Debian 12, each in a directory
// {dir} with the files of a tree: under test=True, for real, again, and again under
// test=True. {base} is the directory of the minion.
type recording struct {
	SRV    map[string]string // files of the file server
	Pillar json.RawMessage
	Cases  []recordedState
}

type recordedState struct {
	Tree        map[string]*treeFile
	Low         json.RawMessage
	Test        json.RawMessage
	Real        json.RawMessage
	Again       json.RawMessage
	AgainTest   json.RawMessage
	TestChanged bool                 // Salt changed something under test=True
	After       map[string]*treeFile // what the run changed; nil is gone
	// Differs says why gosalt answers otherwise, by the part of the case; what it answers
	// is not compared there.
	Differs map[string]string
}

type treeFile struct {
	Text   string
	Base64 string
	Link   string
	Hard   string // it is a further name of this file
	Dir    bool
	Fifo   bool
	Device string
	Node   []int // numbers of a character device
	Mode   string
	UID    int
	GID    int
	Age    int64 // seconds since it was changed
}

func (f *treeFile) content(dir string) []byte {
	if f.Base64 != "" {
		b, err := base64.StdEncoding.DecodeString(f.Base64)
		if err != nil {
			panic(err)
		}
		return b
	}
	return []byte(strings.ReplaceAll(f.Text, "{dir}", dir))
}

func plant(t *testing.T, dir string, tree map[string]*treeFile) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, f := range tree {
		path := filepath.Join(dir, name)
		must(os.MkdirAll(filepath.Dir(path), 0o755))
		switch {
		case f.Link != "":
			must(os.Symlink(strings.ReplaceAll(f.Link, "{dir}", dir), path))
		case f.Dir:
			must(os.MkdirAll(path, 0o755))
		case f.Fifo:
			must(unix.Mkfifo(path, 0o600))
		case f.Node != nil:
			must(unix.Mknod(path, unix.S_IFCHR|0o600, int(unix.Mkdev(uint32(f.Node[0]), uint32(f.Node[1])))))
		case f.Hard == "":
			must(os.WriteFile(path, f.content(dir), 0o600))
		}
	}
	for name, f := range tree {
		path := filepath.Join(dir, name)
		if f.Hard != "" {
			must(os.Link(filepath.Join(dir, f.Hard), path))
			continue
		}
		must(os.Lchown(path, f.UID, f.GID))
		if f.Link == "" {
			var mode uint32
			_, err := fmt.Sscanf(f.Mode, "%o", &mode)
			must(err)
			must(unix.Chmod(path, mode))
		}
	}
}

// age sets the times of the files that have one.
func (c *recordedState) age(t *testing.T, dir string) {
	t.Helper()
	for name, f := range c.Tree {
		at := time.Now().Add(-time.Duration(f.Age) * time.Second)
		if f.Age > 0 {
			if err := os.Chtimes(filepath.Join(dir, name), at, at); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func (f *treeFile) describe(dir string) string {
	if f == nil {
		return "nothing"
	}
	head := fmt.Sprintf("%d:%d ", f.UID, f.GID)
	switch {
	case f.Link != "":
		return head + "link " + strings.ReplaceAll(f.Link, "{dir}", dir)
	case f.Dir:
		return head + f.Mode + " directory"
	case f.Fifo:
		return head + f.Mode + " fifo"
	case f.Device != "":
		return head + f.Mode + " device"
	}
	return head + f.Mode + fmt.Sprintf(" file %q", f.content(dir))
}

// snapshot describes all files below a directory.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		f := &treeFile{UID: int(st.Uid), GID: int(st.Gid), Mode: fmt.Sprintf("%04o", st.Mode&0o7777)}
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFLNK:
			f.Link, err = os.Readlink(path)
		case unix.S_IFDIR:
			f.Dir = true
		case unix.S_IFIFO:
			f.Fifo = true
		case unix.S_IFREG:
			var b []byte
			b, err = os.ReadFile(path)
			f.Base64 = base64.StdEncoding.EncodeToString(b)
		default:
			f.Device = "device"
		}
		out[name] = f.describe(dir)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestRecordedStates holds states to what Salt did with the same.
func TestRecordedStates(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: files change their owners")
	}
	old := unix.Umask(0o022)
	defer unix.Umask(old)
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var rec recording
		if err := json.Unmarshal(b, &rec); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		pillar, _ := readJSON(t, string(rec.Pillar)).(*wire.Map)
		for i, c := range rec.Cases {
			low := readJSON(t, string(c.Low)).(*wire.Map)
			t.Run(fmt.Sprintf("%s %d", low.Text("fun"), i), func(t *testing.T) {
				if *only != "" && !strings.Contains(t.Name(), *only) {
					t.Skip()
				}
				c.check(t, &rec, pillar)
			})
		}
	}
}

func readJSON(t *testing.T, s string) any {
	t.Helper()
	v, err := pytext.ParseJSON(s)
	if err != nil {
		t.Fatalf("%v: %s", err, s)
	}
	return v
}

// stateMachine runs states over a directory.
type stateMachine struct {
	dir, base string
	call      module.Call
	low       *wire.Map
}

func (c *recordedState) machine(t *testing.T, rec *recording, pillar *wire.Map) *stateMachine {
	m := &stateMachine{dir: t.TempDir(), base: t.TempDir()}
	if err := os.Chmod(m.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range rec.SRV {
		path := filepath.Join(m.base, "srv", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	plant(t, m.dir, c.Tree)
	cache := filepath.Join(m.base, "root/var/cache/salt/minion")
	fc := fileclient.NewDirs(map[string][]string{"base": {m.base + "/srv"}}, cache)
	grains := wire.NewMap("os", "Debian", "os_family", "Debian", "kernel", "Linux", "shell", "/bin/bash")
	m.call = module.Call{Job: &module.Job{Pub: wire.NewMap()}, CacheDir: cache, FileServer: fc, Host: &host.Host{},
		Files: &fileclient.Fetcher{Client: fc, Cache: fileclient.Cache{Dir: cache}}, Opts: wire.NewMap("hash_type", "sha256", "user", "root", "cachedir", cache),
		Grains: func() *wire.Map { return grains }, Pillar: func() *wire.Map { return pillar }}
	low := readJSON(t, strings.ReplaceAll(string(c.Low), "{dir}", m.dir)).(*wire.Map)
	mod, fun, _ := strings.Cut(low.Text("fun"), ".")
	m.low = wire.NewMap("state", mod, "fun", fun, "__id__", "id", "__sls__", "s", "__env__", "base", "order", int64(1), "name", m.dir)
	for k, v := range low.Strings() {
		if k != "fun" {
			m.low.Set(k, v)
		}
	}
	return m
}

// run runs the state and returns what is compared of its result.
func (m *stateMachine) run(t *testing.T, test bool) any {
	t.Helper()
	var res *wire.Map
	probe := module.NewRegistry()
	module.Register(probe, "recorded.state", func(ctx context.Context, c *module.Call, _ struct{}) (any, error) {
		all := run.New(modules.New(), c, run.Options{Test: test}).Run(ctx, []*wire.Map{m.low.Clone()})
		for _, v := range all.Strings() {
			res = v.(*wire.Map)
		}
		return nil, nil
	})
	functions := minion.New()
	for _, name := range functions.Names() {
		probe.Borrow(functions, name)
	}
	call := m.call
	out := probe.Run(t.Context(), &call, "recorded.state", nil, nil)
	if out.Err != nil || res == nil {
		t.Fatalf("%v: %v", out.Return, res)
	}
	kept := wire.NewMap()
	for _, k := range []string{"result", "comment", "changes", "name", "warnings", "skip_watch"} {
		if v, ok := res.Get(k); ok {
			kept.Set(k, v)
		}
	}
	return kept
}

var temporary = regexp.MustCompile(`/tmp/(tmp|__salt\.tmp\.|gosalt-[a-z]+-)[A-Za-z0-9_]+(/[a-z]+)?`)

// told is a result in the form in which they are compared.
func (m *stateMachine) told(v any) any {
	switch v := v.(type) {
	case string:
		v = strings.ReplaceAll(strings.ReplaceAll(v, m.dir, "{dir}"), m.base, "{base}")
		v = temporary.ReplaceAllString(v, "TMP")
		return regexp.MustCompile(`pid:\n +\d+`).ReplaceAllString(v, "pid: N")
	case []byte:
		return wire.NewMap("__bytes__", base64.StdEncoding.EncodeToString(v))
	case []any:
		out := []any{}
		for _, e := range v {
			out = append(out, m.told(e))
		}
		return out
	case *wire.Map:
		out := wire.NewMap()
		for k, e := range v.All() {
			if k != "pid" {
				out.SetAny(m.told(k), m.told(e))
			}
		}
		return out
	}
	return v
}

// same tells whether a result is Salt's. Of an exception, its message counts.
func same(got, want any) bool {
	g, w := got.(*wire.Map), want.(*wire.Map)
	if text, ok := strings.CutPrefix(w.Text("comment"), "EXCEPTION "); ok {
		_, text, _ = strings.Cut(text, ": ")
		if strings.TrimSpace(g.Text("comment")) != strings.TrimSpace(text) {
			return false
		}
		w = w.Clone()
		w.Set("comment", g.Text("comment"))
		w.Set("name", g.Text("name"))
	}
	return pytext.Equal(g, w)
}

func (c *recordedState) check(t *testing.T, rec *recording, pillar *wire.Map) {
	m := c.machine(t, rec, pillar)
	before := snapshot(t, m.dir)
	c.age(t, m.dir)
	compare := func(part string, test bool, want json.RawMessage) (got any) {
		t.Helper()
		got = m.told(m.run(t, test))
		if _, differs := c.Differs[part]; differs {
			return got
		}
		if w := m.told(readJSON(t, string(want))); !same(got, w) {
			t.Errorf("%s %s\ngot  %s\nSalt %s", part, pytext.Repr(readJSON(t, string(c.Low))), pytext.Repr(got), pytext.Repr(w))
		}
		return got
	}
	foretold := func(part string, plan, done any) {
		if _, differs := c.Differs[part]; lie(plan, done) && !differs {
			t.Errorf("%s %s\nforetold %s\ndone     %s", part, pytext.Repr(readJSON(t, string(c.Low))), pytext.Repr(plan), pytext.Repr(done))
		}
	}
	plan := compare("test", true, c.Test)
	if now := snapshot(t, m.dir); !equal(now, before) {
		t.Errorf("test=True changed the machine:\n%v\nbefore:\n%v", now, before)
	}
	c.age(t, m.dir)
	foretold("foretold", plan, compare("real", false, c.Real))
	after := snapshot(t, m.dir)
	want := map[string]string{}
	for name, s := range before {
		want[name] = s
	}
	for name, f := range c.After {
		if f == nil {
			delete(want, name)
			continue
		}
		want[name] = f.describe(m.dir)
		if f.Text != "" {
			want[name] = (&treeFile{UID: f.UID, GID: f.GID, Mode: f.Mode, Base64: base64.StdEncoding.EncodeToString(f.content(m.dir))}).describe(m.dir)
		}
	}
	if _, differs := c.Differs["after"]; !differs && !equal(after, want) {
		t.Errorf("%s\ngot  %v\nSalt %v", pytext.Repr(readJSON(t, string(c.Low))), diffOf(after, want), diffOf(want, after))
	}
	done := compare("again", false, c.Again)
	plan = compare("again test", true, c.AgainTest)
	if done.(*wire.Map).Map("changes").Len() > 0 { // the machine is another one now
		done = m.told(m.run(t, false))
	}
	foretold("foretold again", plan, done)
}

// lie tells whether a state does something else than its plan says: it changes something
// or not, fails or not. What was to change something may fail.
func lie(plan, done any) bool {
	p, d := plan.(*wire.Map), done.(*wire.Map)
	would, changed := p.Map("changes").Len() > 0, d.Map("changes").Len() > 0
	result, _ := d.Get("result")
	switch told, _ := p.Get("result"); told {
	case nil:
		return result == true && !changed
	case false:
		return result != false
	default:
		return result == false || would != changed
	}
}

func equal(a, b map[string]string) bool { return len(diffOf(a, b)) == 0 && len(diffOf(b, a)) == 0 }

// diffOf are the files of a that are not so in b.
func diffOf(a, b map[string]string) []string {
	var out []string
	for name, s := range a {
		if b[name] != s {
			out = append(out, name+": "+s)
		}
	}
	slices.Sort(out)
	return out
}
