package files

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/config"
	"github.com/gosalt/gosalt/internal/fileserver"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// gitRecording is what gitfs of Salt 3006.18 serves of two repositories; "@" is their
// directory. A file that begins with "->" is a link, one with "!" a program.
type gitRecording struct {
	Repositories map[string]map[string]map[string]string
	Envs         []string
	Cases        []struct {
		Name    string
		Remotes json.RawMessage
		Opts    json.RawMessage
		Envs    []string
		Lists   map[string]struct {
			Files  []string          `json:"file_list"`
			Dirs   []string          `json:"dir_list"`
			Empty  []string          `json:"file_list_emptydirs"`
			Links  map[string]string `json:"symlink_list"`
			Hashes map[string]string
		}
	}
}

func TestGitFSAsSalt(t *testing.T) {
	b, err := os.ReadFile("testdata/gitfs-3006.18.json")
	if err != nil {
		t.Fatal(err)
	}
	var rec gitRecording
	if err := json.Unmarshal(b, &rec); err != nil {
		t.Fatal(err)
	}
	base := t.TempDir()
	for name, branches := range rec.Repositories {
		dir, git := gitRepo(t)
		if err := os.Symlink(dir, filepath.Join(base, name)); err != nil {
			t.Fatal(err)
		}
		for _, branch := range slices.Sorted(maps.Keys(branches)) {
			ref, tag := strings.CutPrefix(branch, "tag:")
			git("checkout", "-q", "--orphan", ref)
			git("rm", "-rfq", "--ignore-unmatch", ".")
			for p, text := range branches[branch] {
				full := filepath.Join(dir, p)
				if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
					t.Fatal(err)
				}
				mode := os.FileMode(0o644)
				if rest, ok := strings.CutPrefix(text, "!"); ok {
					text, mode = rest, 0o755
				}
				var err error
				if to, ok := strings.CutPrefix(text, "->"); ok {
					err = os.Symlink(to, full)
				} else {
					err = os.WriteFile(full, []byte(text), mode)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			git("add", ".")
			git("commit", "-qm", "x")
			if tag {
				git("tag", ref)
				git("checkout", "-q", "--detach")
				git("branch", "-qD", ref)
			}
		}
	}
	for _, c := range rec.Cases {
		t.Run(c.Name, func(t *testing.T) {
			read := func(raw json.RawMessage) any {
				v, err := pytext.ParseJSON(strings.ReplaceAll(string(raw), "@", base))
				if err != nil {
					t.Fatal(err)
				}
				return v
			}
			opts := read(c.Opts).(*wire.Map)
			raw := []any{"gitfs_remotes", read(c.Remotes)}
			for k, v := range opts.Strings() {
				raw = append(raw, k, v)
			}
			f := newFiles(t, func(m *config.Master) {
				m.FileserverBackend = []string{"gitfs"}
				for _, g := range opts.List("file_ignore_glob") {
					m.FileIgnoreGlob = append(m.FileIgnoreGlob, g.(string))
				}
			}, raw...)
			if err := f.Update(t.Context(), nil, ""); err != nil {
				t.Fatal(err)
			}
			s := f.Server()
			if envs, err := s.Envs(t.Context(), nil); err != nil || !slices.Equal(envs, c.Envs) {
				t.Errorf("environments %q, %v, want %q", envs, err, c.Envs)
			}
			for _, env := range rec.Envs {
				if c.Name == "fallback" && env == "master" {
					continue // is called base here, with a fallback too
				}
				want := c.Lists[env]
				if strings.HasPrefix(c.Name, "mountpoint") && len(want.Dirs) > 0 { // Salt leaves out what is above it
					want.Dirs = append([]string{"m"}, want.Dirs...)
				}
				for kind, list := range map[fileserver.Kind][]string{fileserver.Files: want.Files, fileserver.Dirs: want.Dirs, fileserver.EmptyDirs: want.Empty} {
					if got, err := s.List(t.Context(), kind, env, "", nil); err != nil || !slices.Equal(got, list) {
						t.Errorf("list %d of %s: %q, %v\nwant %q", kind, env, got, err, list)
					}
				}
				if links, err := s.Symlinks(t.Context(), env, "", nil); err != nil || len(links)+len(want.Links) > 0 && !reflect.DeepEqual(links, want.Links) {
					t.Errorf("links of %s: %q, %v, want %q", env, links, err, want.Links)
				}
				for p, hash := range want.Hashes {
					sum := ""
					if file, err := s.Find(t.Context(), env, p); err == nil {
						if sum, err = s.Hash(t.Context(), file); err != nil {
							t.Error(err)
						}
					}
					if sum != hash {
						t.Errorf("%s of %s: hash %q, want %q", p, env, sum, hash)
					}
				}
			}
		})
	}
}
