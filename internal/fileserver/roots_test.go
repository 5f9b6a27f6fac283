package fileserver

import (
	"context"
	"crypto/md5"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// recording is what Salt's file server answered over the tree that is in it.
type recording struct {
	Tree  [][3]string
	Cases []struct {
		Opts struct {
			Follow      *bool    `json:"fileserver_followsymlinks"`
			IgnoreLinks bool     `json:"fileserver_ignoresymlinks"`
			Globs       []string `json:"file_ignore_glob"`
			Regexes     []string `json:"file_ignore_regex"`
		}
		Envs  []string
		Lists []struct {
			Env, Prefix        string
			Files, Dirs, Empty []string
			Links              map[string]string
		}
		Finds []struct {
			Env, Path, Full, Rel, Hsum string
			Size                       *int64
		}
	}
}

// grow makes a recorded tree; "@" in a link stands for its directory.
func grow(t *testing.T, tree [][3]string) string {
	base := t.TempDir()
	for _, e := range tree {
		full := filepath.Join(base, e[1])
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		switch e[0] {
		case "file":
			err = os.WriteFile(full, []byte(e[2]), 0o644)
		case "dir":
			err = os.MkdirAll(full, 0o755)
		case "link":
			err = os.Symlink(strings.ReplaceAll(e[2], "@", base), full)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return base
}

// differences from the recording that are meant, with their reasons.
func meant(env, path string) bool {
	return strings.Contains(env+path, "saltenv=../") || env == "../env/dev" || // no environment leads out of __env__
		env == "__env__" || env == "" // the placeholder and nothing are no environments
}

func TestRootsAsSalt(t *testing.T) {
	b, err := os.ReadFile("testdata/roots-3006.18.json")
	if err != nil {
		t.Fatal(err)
	}
	var rec recording
	if err := json.Unmarshal(b, &rec); err != nil {
		t.Fatal(err)
	}
	base := grow(t, rec.Tree)
	ctx := context.Background()
	for i, c := range rec.Cases {
		t.Run(fmt.Sprintf("case %d", i), func(t *testing.T) {
			ignore, err := NewIgnore(c.Opts.Globs, c.Opts.Regexes)
			if err != nil {
				t.Fatal(err)
			}
			s, err := New("sha256", NewRoots(Options{Ignore: ignore, IgnoreSymlinks: c.Opts.IgnoreLinks,
				FollowSymlinks: c.Opts.Follow == nil || *c.Opts.Follow,
				Roots: map[string][]string{"base": {base + "/base1", base + "/base2"}, "two": {base + "/base2"},
					"__env__": {base + "/env/__env__"}, "gone": {base + "/not-there"}}}))
			if err != nil {
				t.Fatal(err)
			}
			if envs, err := s.Envs(ctx, nil); err != nil || !slices.Equal(envs, c.Envs) {
				t.Errorf("environments %q, %v; want %q", envs, err, c.Envs)
			}
			for _, l := range c.Lists {
				if meant(l.Env, "") {
					continue
				}
				for k, want := range map[Kind][]string{Files: l.Files, Dirs: l.Dirs, EmptyDirs: l.Empty} {
					got, err := s.List(ctx, k, l.Env, l.Prefix, nil)
					got = slices.DeleteFunc(got, func(p string) bool { return strings.Contains(p, "loop/") })
					if err != nil || !slices.Equal(got, want) {
						t.Errorf("list %d of %q, prefix %q:\ngot  %q, %v\nwant %q", k, l.Env, l.Prefix, got, err, want)
					}
				}
				links, err := s.Symlinks(ctx, l.Env, l.Prefix, nil)
				for k, v := range links {
					if strings.Contains(k, "loop/") {
						delete(links, k)
						continue
					}
					links[k] = strings.ReplaceAll(v, base, "@")
				}
				if err != nil || !reflect.DeepEqual(links, l.Links) {
					t.Errorf("links of %q, prefix %q:\ngot  %q, %v\nwant %q", l.Env, l.Prefix, links, err, l.Links)
				}
			}
			for _, f := range c.Finds {
				if meant(f.Env, f.Path) {
					continue
				}
				got, err := s.Find(ctx, f.Env, f.Path)
				if f.Full == "" {
					if !errors.Is(err, ErrNotFound) {
						t.Errorf("find %q in %q: got %+v, %v; want none", f.Path, f.Env, got, err)
					}
					continue
				}
				if err != nil {
					t.Errorf("find %q in %q: %v; want %s", f.Path, f.Env, err, f.Full)
					continue
				}
				sum, err := s.Hash(ctx, got)
				if full := strings.ReplaceAll(got.Path, base, "@"); full != f.Full || got.Rel != f.Rel || got.Size != *f.Size || sum != f.Hsum || err != nil {
					t.Errorf("find %q in %q: got %s %s %d %s %v; want %s %s %d %s", f.Path, f.Env, full, got.Rel, got.Size, sum, err, f.Full, f.Rel, *f.Size, f.Hsum)
				}
			}
		})
	}
}

// A file that becomes a link out of the root after it was found gives nothing away, with
// fileserver_followsymlinks: False.
func TestLinkAfterFind(t *testing.T) {
	base := grow(t, [][3]string{{"file", "root/a/f", "mine"}, {"file", "out/f", "secret"}, {"file", "root/g", "mine"}, {"file", "root/h", "mine"}})
	s, err := New("sha256", NewRoots(Options{Roots: map[string][]string{"base": {base + "/root"}}}))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ file, replace, by string }{
		{"g", "root/g", "../out/f"},                   // itself
		{"a/f", "root/a", "../out"},                   // its directory
		{"h", "root/h", filepath.Join(base, "out/f")}, // by an address from /
	} {
		f, err := s.Find(t.Context(), "base", c.file)
		if err != nil {
			t.Fatal(err)
		}
		full := filepath.Join(base, c.replace)
		if err := errors.Join(os.RemoveAll(full), os.Symlink(c.by, full)); err != nil {
			t.Fatal(err)
		}
		if b, err := f.ReadFile(100); err == nil {
			t.Errorf("%s: %q was read", c.file, b)
		}
		if sum, err := s.Hash(t.Context(), f); err == nil {
			t.Errorf("%s: its hash is %s", c.file, sum)
		}
		if _, err := s.Find(t.Context(), "base", c.file); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: found again: %v", c.file, err)
		}
	}
}

// The hash is that of what is there, however shortly after one another files change.
func TestHashAfterChange(t *testing.T) {
	base := grow(t, [][3]string{{"dir", "root", ""}})
	s, err := New("md5", NewRoots(Options{Roots: map[string][]string{"base": {base + "/root"}}}))
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(base, "root/f")
	old := time.Now().Add(-time.Hour)
	for i, c := range []struct {
		text   string
		mtime  time.Time
		rename bool
	}{
		{"one", time.Time{}, false},
		{"two", time.Time{}, false}, // at once, and as long
		{"old", old, true},
		{"odd", old, true}, // of the same time and length: another file
	} {
		to := name
		if c.rename {
			to += ".new"
		}
		if err := os.WriteFile(to, []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		if !c.mtime.IsZero() {
			if err := os.Chtimes(to, c.mtime, c.mtime); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Rename(to, name); err != nil {
			t.Fatal(err)
		}
		f, err := s.Find(t.Context(), "base", "f")
		if err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf("%x", md5.Sum([]byte(c.text)))
		for range 2 {
			if sum, err := s.Hash(t.Context(), f); sum != want || err != nil {
				t.Errorf("%d, %s: %s, %v, want %s", i, c.text, sum, err, want)
			}
		}
	}
	f, err := s.Find(t.Context(), "base", "f")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Open(); !errors.Is(err, ErrNotFound) {
		t.Errorf("a file that is gone: %v", err)
	}
}
