package modules

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/fileclient"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// cpTree is the tree that testdata/cp.json was recorded over, and the minion of it.
func cpTree(t *testing.T) (base string, call func() *module.Call) {
	base = t.TempDir()
	for name, text := range map[string]string{"srv/top.sls": "base: {}\n", "srv/web/init.sls": "{}\n", "srv/web/conf": "listen {{ grains.role }}\n",
		"srv/web/deep/er.txt": "deeper\n", "srv/empty": "", "srv/webs": "not in web", "dev/d.txt": "dev\n", "local.txt": "local\n",
		"dest/old": "old\n", "srv/web/x.py": "p", "srv/web/void/": "", "adir/": ""} {
		full := filepath.Join(base, name)
		if strings.HasSuffix(name, "/") {
			if err := os.MkdirAll(full, 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(base, "srv/web/conf"), 0o640); err != nil {
		t.Fatal(err)
	}
	cache := filepath.Join(base, "var/cache/salt/minion")
	fc := fileclient.NewDirs(map[string][]string{"base": {base + "/srv"}, "dev": {base + "/dev"}}, cache)
	grains := wire.NewMap("role", "web")
	return base, func() *module.Call {
		return &module.Call{Job: &module.Job{Pub: wire.NewMap()}, CacheDir: cache, FileServer: fc,
			Files: &fileclient.Fetcher{Client: fc, Cache: fileclient.Cache{Dir: cache}}, Opts: wire.NewMap("hash_type", "sha256"),
			Grains: func() *wire.Map { return grains }}
	}
}

// TestRecordedCp is one sequence of calls over one tree; "@" stands for its directory.
func TestRecordedCp(t *testing.T) {
	base, newCall := cpTree(t)
	b, err := os.ReadFile("testdata/cp.json")
	if err != nil {
		t.Fatal(err)
	}
	var calls []struct {
		recorded
		Error string
	}
	if err := json.Unmarshal([]byte(strings.ReplaceAll(string(b), "@/", base+"/")), &calls); err != nil {
		t.Fatal(err)
	}
	r := New()
	for _, rec := range calls {
		args, _ := fromJSON(t, rec.Args).([]any)
		kwargs, _ := fromJSON(t, rec.Kwargs).(*wire.Map)
		if rec.Fun == "cp.recv_chunked" { // by name: base64 may look like a keyword, "aGk="
			for i, v := range args {
				kwargs.Set([]string{"dest", "chunk", "append", "compressed", "mode"}[i], v)
			}
			args = nil
		}
		res := r.Run(t.Context(), newCall(), rec.Fun, args, kwargs)
		if rec.Error != "" {
			_, text, _ := strings.Cut(rec.Error, ": ")
			if got, _ := res.Return.(string); !strings.Contains(got, text) || res.Retcode == 0 {
				t.Errorf("%s %s %s: got %v, retcode %d; Salt's error: %s", rec.Fun, rec.Args, rec.Kwargs, res.Return, res.Retcode, rec.Error)
			}
			continue
		}
		want := fromJSON(t, rec.Return)
		if rec.Fun == "cp.envs" { // Salt's are in no order
			want = []any{"base", "dev"}
		}
		if got := pytext.Repr(res.Return); got != pytext.Repr(want) || res.Retcode != rec.Retcode {
			t.Errorf("%s %s %s:\ngot  %s, retcode %d\nSalt %s, retcode %d", rec.Fun, rec.Args, rec.Kwargs, got, res.Retcode, pytext.Repr(want), rec.Retcode)
		}
	}
	if b, err = os.ReadFile("testdata/cp_files.json"); err != nil {
		t.Fatal(err)
	}
	var files map[string]string
	if err := json.Unmarshal(b, &files); err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		if got, err := os.ReadFile(filepath.Join(base, name)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, want)
		}
	}
	filepath.WalkDir(base, func(name string, d fs.DirEntry, err error) error {
		if strings.HasSuffix(name, ".part") {
			t.Errorf("%s is left", name)
		}
		return err
	})
	if st, err := os.Stat(base + "/rc/new"); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode of a received file: %v, %v", st, err)
	}
}

// A template that is rendered in memory may render another: that one is a file, for who asks
// for its path.
func TestTemplateInMemory(t *testing.T) {
	base, newCall := cpTree(t)
	for name, text := range map[string]string{
		"outer.jinja": "{% set at = salt['cp.get_template']('salt://inner.jinja', '') %}{{ salt['file.read'](at) }} and out",
		"inner.jinja": "in",
	} {
		if err := os.WriteFile(filepath.Join(base, "srv", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	call := newCall()
	call.Pillar = func() *wire.Map { return wire.NewMap() }
	ctx, text := module.InMemory(t.Context())
	res := New().Run(ctx, call, "cp.get_template", []any{"salt://outer.jinja", ""}, nil)
	if got, ok := text(); !ok || got != "in and out" {
		t.Fatalf("%q %v: %v %v", got, ok, res.Return, res.Err)
	}
	at, _ := res.Return.(string)
	if _, err := os.Stat(at); at == "" || !os.IsNotExist(err) {
		t.Errorf("%q: %v, expected no file", at, err)
	}
}
