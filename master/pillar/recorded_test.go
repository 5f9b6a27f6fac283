package pillar

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/config"
	"github.com/gosalt/gosalt/internal/pillar"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// recorded is what Salt 3006.18 made of sources of ext_pillar. In texts "@" is the case's
// directory and "@url" a web server with the pages. A file that begins with "->" is a link.
type recorded struct {
	Repositories map[string]map[string]map[string]string // branches, or tag:NAME, with their files
	Tree         map[string]string
	Cases        []struct {
		Name          string
		Ext, Opts     json.RawMessage
		Files         map[string]string
		Tree          bool // has those of Tree
		Pages         map[string]string
		Git           map[string]map[string]map[string]string
		Usual         bool // has Repositories
		ID, Pillarenv string
		Saltenv       string
		Want          string // Python's repr, its keys sorted
		Errors        int
	}
}

// told are the cases in which Salt logs an error and goes on without a word to the minion, or
// ends with an exception: the minion is told. The texts are parts of the errors.
var told = map[string]string{
	"file_tree no root_dir":                           "the setting 'root_dir' is missing",
	"file_tree a root_dir that is not there":          "@/none does not exist or is not a directory",
	"file_tree a relative root_dir without pillarenv": "root_dir is relative but pillarenv is not set",
	"http_yaml a grain that is not there":             "the minion has no grain nope",
	"http_yaml not there":                             "@url/none",
	"http_yaml a list":                                "it gave list, and a map is expected",
	"http_json not there":                             "@url/none",
	"http_json a setting that there is not":           "there is no setting 'nope'",
}

// write makes the files of a case.
func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		full := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		data := []byte(text)
		if strings.HasPrefix(text, "\u00ff") { // bytes that are no text
			data = nil
			for _, r := range text {
				data = append(data, byte(r))
			}
		}
		var err error
		if to, ok := strings.CutPrefix(text, "->"); ok {
			err = os.Symlink(strings.ReplaceAll(to, "@", dir), full)
		} else {
			err = os.WriteFile(full, data, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// repositories makes git repositories, each branch without a history of the others.
func repositories(t *testing.T, dir string, repos map[string]map[string]map[string]string) {
	t.Helper()
	for repo, branches := range repos {
		git := func(args ...string) {
			t.Helper()
			cmd := exec.Command("git", append([]string{"-C", filepath.Join(dir, repo), "-c", "user.name=a", "-c", "user.email=a@b"}, args...)...)
			cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("git %q: %v\n%s", args, err, out)
			}
		}
		if err := os.MkdirAll(filepath.Join(dir, repo), 0o755); err != nil {
			t.Fatal(err)
		}
		git("init", "-q", "-b", "first")
		for _, branch := range slices.Sorted(maps.Keys(branches)) {
			name, tag := strings.CutPrefix(branch, "tag:")
			git("checkout", "-q", "--orphan", name)
			git("rm", "-rfq", "--ignore-unmatch", ".")
			write(t, filepath.Join(dir, repo), branches[branch])
			git("add", ".")
			git("commit", "-qm", "x")
			if tag {
				git("tag", name)
				git("checkout", "-q", "--detach")
				git("branch", "-qD", name)
			}
		}
	}
}

// sorted has the keys of maps in order, and text for bytes that are text, as they come to minions.
func sorted(v any) any {
	switch x := v.(type) {
	case *wire.Map:
		m := wire.NewMap()
		keys := slices.Collect(maps.Keys(maps.Collect(x.Strings())))
		slices.Sort(keys)
		for _, k := range keys {
			e, _ := x.Get(k)
			m.Set(k, sorted(e))
		}
		return m
	case []any:
		out := make([]any, len(x))
		for i, e := range x {
			out[i] = sorted(e)
		}
		return out
	}
	return v
}

func data(t *testing.T, raw json.RawMessage, replace *strings.Replacer) any {
	t.Helper()
	if len(raw) == 0 {
		return nil
	}
	v, err := pytext.ParseJSON(replace.Replace(string(raw)))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// newService makes a service as a master with these options in its configuration has it.
func newService(t *testing.T, dir string, log io.Writer, opts *wire.Map) *Service {
	t.Helper()
	all := wire.NewMap("id", "m_master", "cachedir", filepath.Join(dir, "cache"), "pki_dir", filepath.Join(dir, "pki"),
		"pillar_roots", wire.NewMap("base", []any{filepath.Join(dir, "pillar")}))
	for k, v := range opts.Strings() {
		all.Set(k, v)
	}
	file := filepath.Join(dir, "master")
	text, err := pytext.JSON(all, 1, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, problems, err := config.LoadMasterFile(file)
	if err != nil || len(problems) > 0 {
		t.Fatal(err, problems)
	}
	s, err := New(Config{Master: cfg, Log: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestExtPillarAsSalt(t *testing.T) {
	b, err := os.ReadFile("testdata/ext-3006.18.json")
	if err != nil {
		t.Fatal(err)
	}
	var rec recorded
	if err := json.Unmarshal(b, &rec); err != nil {
		t.Fatal(err)
	}
	shared := t.TempDir()
	if _, err := exec.LookPath("git"); err == nil {
		repositories(t, shared, rec.Repositories)
	}
	for _, c := range rec.Cases {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if c.Tree {
				write(t, dir, rec.Tree)
			}
			write(t, dir, c.Files)
			git := dir
			if c.Usual || c.Git != nil {
				if _, err := exec.LookPath("git"); err != nil {
					t.Skip("git is not installed")
				}
				if repositories(t, dir, c.Git); c.Usual {
					git = shared
				}
			}
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				page, ok := c.Pages[r.RequestURI]
				if !ok {
					http.NotFound(w, r)
					return
				}
				io.WriteString(w, strings.NewReplacer("{auth}", r.Header.Get("Authorization"), "{x}", r.Header.Get("X-A")).Replace(page))
			}))
			defer srv.Close()
			replace := strings.NewReplacer("@url", srv.URL, "file://@", "file://"+git, "@", dir)
			opts := wire.NewMap("nodegroups", wire.NewMap("front", "web*", "back", "db*", "all", "*"))
			if more, ok := data(t, c.Opts, replace).(*wire.Map); ok {
				for k, v := range more.Strings() {
					opts.Set(k, v)
				}
			}
			opts.Set("ext_pillar", data(t, c.Ext, replace))
			var log bytes.Buffer
			s := newService(t, dir, &log, opts)
			id := c.ID
			if id == "" {
				id = "web1"
			}
			res, err := s.Compile(t.Context(), &pillar.Request{ID: wire.MinionID(id), Grains: wire.NewMap("os", "Debian", "role", "w b", "id", id), Saltenv: c.Saltenv, Pillarenv: c.Pillarenv}, false)
			if err != nil {
				t.Fatal(err)
			}
			res.Pillar.Delete("_errors")
			back := strings.NewReplacer(srv.URL, "@url", dir, "@", git, "@")
			if strings.HasPrefix(c.Want, "EXC ") {
				c.Want, c.Errors = "{}", 1
			}
			if got := back.Replace(pytext.Repr(sorted(res.Pillar))); got != c.Want {
				t.Errorf("got  %s\nwant %s\nerrors %q\n%s", got, c.Want, res.Errors, log.String())
			}
			errs := back.Replace(strings.Join(res.Errors, "\n"))
			part, ok := told[c.Name]
			if ok && c.Errors == 0 {
				c.Errors = 1
			}
			if len(res.Errors) != c.Errors || !strings.Contains(errs, part) {
				t.Errorf("errors %q, want %d with %q\n%s", errs, c.Errors, part, log.String())
			}
		})
	}
}
