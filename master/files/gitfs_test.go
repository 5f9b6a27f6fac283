package files

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/config"
	"github.com/gosalt/gosalt/internal/fileserver"
	"github.com/gosalt/gosalt/protocol/wire"
)

// gitRepo is a repository of a test, written with the git command, which go-git needs
// for addresses of this machine too.
func gitRepo(t *testing.T) (dir string, run func(args ...string)) {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	dir = t.TempDir()
	run = func(args ...string) {
		t.Helper()
		cmd := exec.Command("git", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b",
			"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	run("init", "-q", "-b", "master")
	return dir, run
}

func put(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		full := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if to, ok := strings.CutPrefix(text, "-> "); ok {
			os.Remove(full)
			if err := os.Symlink(to, full); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// newFiles makes a file server of options.
func newFiles(t *testing.T, more func(*config.Master), raw ...any) *Files {
	t.Helper()
	cfg := config.DefaultMaster()
	cfg.CacheDir = t.TempDir()
	cfg.FileRoots = map[string][]string{}
	cfg.FileserverListCacheTime = 0
	cfg.Raw = wire.NewMap(raw...)
	if more != nil {
		more(cfg)
	}
	f, err := New(Config{Master: cfg, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func content(t *testing.T, f *Files, env, p string) string {
	t.Helper()
	file, err := f.Server().Find(t.Context(), env, p)
	if errors.Is(err, fileserver.ErrNotFound) {
		return "none"
	}
	if err != nil {
		return err.Error()
	}
	b, err := file.ReadFile(1 << 20)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func TestGitFS(t *testing.T) {
	dir, git := gitRepo(t)
	put(t, dir, map[string]string{"top.sls": "one", "salt/web/init.sls": "web", "link": "-> top.sls", "out": "-> /etc/passwd", "up": "-> ../../x", "dirlink": "-> salt/web/init.sls"})
	git("add", ".")
	git("commit", "-qm", "1")
	git("tag", "v1")
	git("tag", "-a", "-m", "two", "v1-annotated")
	put(t, dir, map[string]string{"top.sls": "two"})
	git("commit", "-qam", "2")
	git("checkout", "-qb", "feature/x")
	put(t, dir, map[string]string{"top.sls": "feature"})
	git("commit", "-qam", "3")
	git("checkout", "-q", "master")

	f := newFiles(t, func(c *config.Master) { c.FileserverBackend = []string{"git"} }, "gitfs_remotes", []any{
		wire.NewMap(dir, []any{wire.NewMap("name", "plain")}),
		wire.NewMap("file://"+dir, []any{wire.NewMap("name", "mounted"), wire.NewMap("root", "salt"), wire.NewMap("mountpoint", "salt://mnt/here"),
			wire.NewMap("saltenv", []any{wire.NewMap("prod", []any{wire.NewMap("ref", "v1")})})}),
	})
	if err := f.Update(t.Context(), nil, ""); err != nil {
		t.Fatal(err)
	}
	envs, err := f.Server().Envs(t.Context(), nil)
	if want := []string{"base", "feature/x", "prod", "v1", "v1-annotated"}; err != nil || !slices.Equal(envs, want) {
		t.Errorf("environments %q, %v; want %q", envs, err, want)
	}
	for _, c := range []struct{ env, path, want string }{
		{"base", "top.sls", "two"}, {"v1", "top.sls", "one"}, {"v1-annotated", "top.sls", "one"}, {"feature/x", "top.sls", "feature"},
		{"base", "link", "two"}, {"base", "out", "none"}, {"base", "up", "none"}, {"base", "dirlink", "web"}, {"base", "salt", "none"},
		{"base", "nosuch", "none"}, {"nosuch", "top.sls", "none"}, {"master", "top.sls", "none"},
		{"base", "mnt/here/web/init.sls", "web"}, {"prod", "mnt/here/web/init.sls", "web"}, {"prod", "top.sls", "none"},
	} {
		if got := content(t, f, c.env, c.path); got != c.want {
			t.Errorf("%s of %s: %q, want %q", c.path, c.env, got, c.want)
		}
	}
	list, err := f.Server().List(t.Context(), fileserver.Files, "prod", "", nil)
	if want := []string{"mnt/here/web/init.sls"}; err != nil || !slices.Equal(list, want) {
		t.Errorf("files of prod: %q, %v", list, err)
	}
	links, err := f.Server().Symlinks(t.Context(), "base", "", nil)
	if err != nil || links["link"] != "top.sls" {
		t.Errorf("links %v, %v", links, err)
	}

	t.Run("a new commit is there after an update, not before", func(t *testing.T) {
		put(t, dir, map[string]string{"top.sls": "three"})
		git("commit", "-qam", "4")
		if got := content(t, f, "base", "top.sls"); got != "two" {
			t.Errorf("before: %q", got)
		}
		f.Lock(nil, "", true)
		if err := f.Update(t.Context(), nil, ""); err != nil || content(t, f, "base", "top.sls") != "two" {
			t.Errorf("locked: %v, %q", err, content(t, f, "base", "top.sls"))
		}
		if done, _ := f.Lock(nil, "", false); len(done) != 2 {
			t.Errorf("unlocked: %q", done)
		}
		if err := f.Update(t.Context(), nil, ""); err != nil {
			t.Fatal(err)
		}
		if got := content(t, f, "base", "top.sls"); got != "three" {
			t.Errorf("after: %q", got)
		}
	})
	t.Run("a remote that is down leaves what there was, also for a new process", func(t *testing.T) {
		away := dir + ".away"
		if err := os.Rename(dir, away); err != nil {
			t.Fatal(err)
		}
		defer os.Rename(away, dir)
		err := f.Update(t.Context(), nil, "")
		if err == nil || !strings.Contains(err.Error(), "are served on") {
			t.Errorf("update: %v", err)
		}
		if got := content(t, f, "base", "top.sls"); got != "three" {
			t.Errorf("same process: %q", got)
		}
		again, err := New(f.cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := again.Update(t.Context(), nil, ""); err == nil {
			t.Error("no error")
		}
		if got := content(t, again, "base", "top.sls"); got != "three" {
			t.Errorf("new process: %q", got)
		}
	})
	t.Run("deleted branches end", func(t *testing.T) {
		git("branch", "-D", "feature/x")
		if err := f.Update(t.Context(), nil, ""); err != nil {
			t.Fatal(err)
		}
		if got := content(t, f, "feature/x", "top.sls"); got != "none" {
			t.Errorf("%q", got)
		}
	})
}

func TestGitRemotesAreChecked(t *testing.T) {
	for _, c := range []struct {
		remotes any
		want    string
	}{
		{[]any{}, "names no repository"},
		{[]any{int64(1)}, "an address expected"},
		{[]any{wire.NewMap("https://h/r", []any{wire.NewMap("bsae", "main")})}, `unknown option "bsae"`},
		{[]any{wire.NewMap("http://h/r", []any{wire.NewMap("user", "u"), wire.NewMap("password", "hunter2")})}, "insecure_auth"},
		{[]any{wire.NewMap("ssh://git@h/r", []any{wire.NewMap("privkey", "/nosuch/key")})}, "/nosuch/key"},
	} {
		cfg := config.DefaultMaster()
		cfg.FileserverBackend = []string{"gitfs"}
		cfg.Raw = wire.NewMap("gitfs_remotes", c.remotes)
		_, err := New(Config{Master: cfg, Log: slog.New(slog.DiscardHandler)})
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%v: %v; want an error with %q", c.remotes, err, c.want)
		}
	}
}

func TestMinionFS(t *testing.T) {
	f := newFiles(t, func(c *config.Master) {
		c.FileserverBackend, c.FileRecv = []string{"minion"}, true
	}, "minionfs_mountpoint", "salt://from", "minionfs_blacklist", []any{"db*"})
	push := func(id wire.MinionID, parts []any, loc int64, data string) (bool, error) {
		return f.Recv(id, wire.NewMap("path", parts, "loc", loc, "data", []byte(data), "size", int64(len(data))))
	}
	for _, id := range []wire.MinionID{"web1", "db1"} {
		if ok, err := push(id, []any{"etc", "conf"}, 0, "of "+string(id)); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	if ok, err := push("web1", []any{"etc", "conf"}, 7, " and more"); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if got := content(t, f, "base", "from/web1/etc/conf"); got != "of web1 and more" {
		t.Errorf("%q", got)
	}
	files := filepath.Join(f.cfg.CacheDir, "minions", "web1", "files")
	put(t, files, map[string]string{"hole": "-> /etc/passwd", "dir": "-> /etc"})
	for _, p := range []string{"from/db1/etc/conf", "web1/etc/conf", "from/web1/hole", "from/web1/dir/passwd", "from/web1", "from/../../x"} {
		if got := content(t, f, "base", p); got != "none" {
			t.Errorf("%s: %q", p, got)
		}
	}
	list, err := f.Server().List(t.Context(), fileserver.Files, "base", "", nil)
	if err != nil || !slices.Equal(list, []string{"from/web1/etc/conf"}) {
		t.Errorf("%q, %v", list, err)
	}
	for name, c := range map[string]struct {
		parts []any
		loc   int64
		data  string
	}{
		"up":                  {[]any{"..", "..", "x"}, 0, "x"},
		"slashes":             {[]any{"a/../../../x"}, 0, "x"},
		"absolute":            {[]any{"/etc/x"}, 0, "x"},
		"NUL":                 {[]any{"a\x00b"}, 0, "x"},
		"through a link":      {[]any{"dir", "gosalt-was-here"}, 0, "x"},
		"onto a link":         {[]any{"hole"}, 0, "x"},
		"nothing":             {[]any{}, 0, "x"},
		"no list":             {nil, 0, "x"},
		"a hole in the file":  {[]any{"new"}, 10, "x"},
		"before the file":     {[]any{"new"}, -1, "x"},
		"too large":           {[]any{"new"}, 100<<20 + 1, "x"},
		"beyond all numbers":  {[]any{"new"}, 1<<63 - 1, "x"},
		"a directory's place": {[]any{"etc"}, 0, "x"},
	} {
		load := wire.NewMap("loc", c.loc, "data", c.data, "size", int64(1))
		if c.parts != nil {
			load.Set("path", c.parts)
		} else {
			load.Set("path", "x")
		}
		if ok, err := f.Recv("web1", load); ok || err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if _, err := os.Stat("/etc/gosalt-was-here"); err == nil {
		t.Error("a link led out of the directory")
	}
}

// TestServeRefuses asks for what is not served, in all the ways of a hostile minion.
func TestServeRefuses(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, map[string]string{"srv/a": "a", "secret": "secret"})
	f := newFiles(t, func(c *config.Master) { c.FileRoots = map[string][]string{"base": {dir + "/srv"}, "1": {dir + "/srv"}} })
	serve := func(kv ...any) *wire.Map {
		v, err := f.Serve(context.Background(), wire.CmdServeFile, wire.NewMap(kv...))
		if err != nil {
			return nil
		}
		return v.(*wire.Map)
	}
	for _, p := range []any{"../secret", "srv/../../secret", dir + "/secret", "a\x00", "a/../../secret", "", ".", "..", int64(5), nil, []any{"a"}} {
		if m := serve("path", p, "saltenv", "base", "loc", int64(0)); m != nil && m.Text("dest") != "" {
			t.Errorf("%v is served: %v", p, m)
		}
	}
	for _, env := range []any{"..", "../..", "nosuch", nil, []any{}, int64(2), ""} {
		if m := serve("path", "a", "saltenv", env, "loc", int64(0)); m != nil && m.Text("dest") != "" {
			t.Errorf("environment %v is served: %v", env, m)
		}
	}
	if m := serve("path", "a", "saltenv", int64(1), "loc", int64(0)); m == nil || m.Text("dest") != "a" {
		t.Errorf("an environment that is a number: %v", m)
	}
	for _, loc := range []any{int64(-1), "0", 1.5, nil} {
		if m := serve("path", "a", "saltenv", "base", "loc", loc); m != nil {
			t.Errorf("loc %v is served: %v", loc, m)
		}
	}
	if m := serve("path", "a", "saltenv", "base", "loc", int64(1<<62)); m == nil || m.Text("dest") != "a" {
		t.Errorf("behind the end: %v", m)
	}
}
