//go:build linux

package modules

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// treeRecording are calls as Salt 3006.18 answered them as root on Debian 12, each in a
// directory {dir} with the files of a tree, and what became of these.
type treeRecording struct {
	Trees []map[string]*treeFile
	Calls []struct {
		Tree    int
		Fun     string
		Args    json.RawMessage
		Return  json.RawMessage
		Failed  *string // CommandExecutionError
		Refused *string // TypeError and SaltInvocationError
		Retcode int
		After   map[string]*treeFile // what changed; nil is gone
	}
}

type treeFile struct {
	Text   string
	Base64 string
	Zeros  int
	Link   string
	Dir    bool
	Fifo   bool
	Device string
	Mode   string
	UID    int
	GID    int
	Inode  int   // files with the same are one
	Age    int64 // seconds since it was changed
}

func (f *treeFile) content(t *testing.T, dir string) []byte {
	t.Helper()
	switch {
	case f.Zeros > 0:
		return make([]byte, f.Zeros)
	case f.Base64 != "":
		b, err := base64.StdEncoding.DecodeString(f.Base64)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	return []byte(strings.ReplaceAll(f.Text, "{dir}", dir))
}

func plantTree(t *testing.T, dir string, tree map[string]*treeFile) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	first := map[int]string{}
	for name, f := range tree {
		path := filepath.Join(dir, name)
		must(os.MkdirAll(filepath.Dir(path), 0o755))
		switch {
		case f.Link != "":
			must(os.Symlink(strings.ReplaceAll(f.Link, "{dir}", dir), path))
			continue
		case f.Dir:
			must(os.MkdirAll(path, 0o755))
		case f.Fifo:
			must(unix.Mkfifo(path, 0o600))
		case f.Inode != 0 && first[f.Inode] != "":
			must(os.Link(first[f.Inode], path))
		default:
			must(os.WriteFile(path, f.content(t, dir), 0o600))
			first[f.Inode] = path
		}
	}
	for name, f := range tree {
		path := filepath.Join(dir, name)
		must(os.Lchown(path, f.UID, f.GID))
		if f.Link == "" {
			must(unix.Chmod(path, mustOctal(t, f.Mode)))
		}
		if f.Age > 0 {
			at := time.Now().Add(-time.Duration(f.Age)*time.Second - time.Minute)
			must(os.Chtimes(path, at, at))
		}
	}
}

func mustOctal(t *testing.T, s string) uint32 {
	t.Helper()
	var n uint32
	if _, err := fmt.Sscanf(s, "%o", &n); err != nil {
		t.Fatalf("mode %q: %v", s, err)
	}
	return n
}

// describe is what a test compares of a file.
func describe(t *testing.T, path string) string {
	t.Helper()
	var st unix.Stat_t
	err := unix.Lstat(path, &st)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return "nothing"
	}
	if err != nil {
		t.Fatal(err)
	}
	head := fmt.Sprintf("%d:%d ", st.Uid, st.Gid)
	mode := fmt.Sprintf("%04o ", st.Mode&0o7777)
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFLNK:
		to, err := os.Readlink(path)
		if err != nil {
			t.Fatal(err)
		}
		return head + "link " + to
	case unix.S_IFDIR:
		return head + mode + "directory"
	case unix.S_IFREG:
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return head + mode + fmt.Sprintf("file %q", b)
	}
	return head + mode + fmt.Sprintf("special %o", st.Mode&unix.S_IFMT)
}

func (f *treeFile) describe(t *testing.T, dir string) string {
	t.Helper()
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
		return head + f.Mode + fmt.Sprintf(" special %o", unix.S_IFIFO)
	case f.Device != "":
		return head + f.Mode + fmt.Sprintf(" special %o", mustOctal(t, strings.TrimPrefix(f.Device, "0o"))&unix.S_IFMT)
	}
	return head + f.Mode + fmt.Sprintf(" file %q", f.content(t, dir))
}

// TestRecordedTrees holds functions that work on files to what Salt did with the same.
func TestRecordedTrees(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: files change their owners")
	}
	old := unix.Umask(0o022)
	defer unix.Umask(old)
	recordings, err := filepath.Glob("testdata/tree_*.json")
	if err != nil || len(recordings) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	for _, file := range recordings {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var rec treeRecording
		if err := json.Unmarshal(b, &rec); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for i, c := range rec.Calls {
			t.Run(fmt.Sprintf("%s %d", c.Fun, i), func(t *testing.T) {
				dir := t.TempDir()
				if err := os.Chmod(dir, 0o755); err != nil {
					t.Fatal(err)
				}
				plantTree(t, dir, rec.Trees[c.Tree])
				inDir := func(raw []byte) any {
					return fromJSON(t, []byte(strings.ReplaceAll(string(raw), "{dir}", dir)))
				}
				args, _ := inDir(c.Args).([]any)
				call := &module.Call{
					Job:    &module.Job{Fun: c.Fun, Pub: wire.NewMap("fun", c.Fun, "jid", "J", "tgt", "salt-call", "pid", int64(1))},
					Opts:   wire.NewMap("hash_type", "sha256", "cachedir", filepath.Join(t.TempDir(), "cache")),
					Grains: func() *wire.Map { return wire.NewMap("os", "Debian", "kernel", "Linux") },
				}
				res := New().Run(t.Context(), call, c.Fun, args, nil)
				got, want := pytext.Repr(asRecorded(res.Return)), ""
				switch {
				case c.Failed != nil:
					want = pytext.Repr("ERROR: " + strings.ReplaceAll(*c.Failed, "{dir}", dir))
				case c.Refused != nil:
					want = strings.ReplaceAll(*c.Refused, "{dir}", dir)
					if res.Err != nil {
						got = res.Err.Error()
					}
				default:
					want = pytext.Repr(inDir(c.Return))
					if (res.Retcode != 0) != (c.Retcode != 0) {
						t.Errorf("retcode %d, Salt's was %d", res.Retcode, c.Retcode)
					}
				}
				if got != want {
					t.Errorf("%s\ngot  %s\nSalt %s", c.Args, got, want)
				}
				for name, f := range c.After {
					if got, want := describe(t, filepath.Join(dir, name)), f.describe(t, dir); got != want {
						t.Errorf("%s\ngot  %s\nSalt %s", name, got, want)
					}
				}
				for name := range rec.Trees[c.Tree] {
					if _, changed := c.After[name]; changed {
						continue
					}
					if got, want := describe(t, filepath.Join(dir, name)), rec.Trees[c.Tree][name].describe(t, dir); got != want {
						t.Errorf("%s was not to change\ngot  %s\nwas  %s", name, got, want)
					}
				}
			})
		}
	}
}
