package runners

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/fileserver"
	"github.com/gosalt/gosalt/protocol/wire"
)

// optsLocal is a master's configuration, and nothing else of Local.
type optsLocal struct {
	Local
	opts *wire.Map
}

func (o optsLocal) Opts() *wire.Map { return o.opts.Clone() }

// rootsServer is a file server of directories, and nothing else of FileServer.
type rootsServer struct {
	FileServer
	files *fileserver.Server
}

func (s rootsServer) Files() *fileserver.Server { return s.files }

func TestSaltutilSync(t *testing.T) {
	r, m, _ := newFake(t)
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		file := filepath.Join(dir, "srv", name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("_modules/one.py", "1")
	write("_modules/deep/two.py", "2")
	write("_modules/README", "no module")
	write("_proxy/p.py", "p")
	write("_runners/r.py", "r")
	write("_tokens/t.py", "t")
	files, err := fileserver.New("sha256", fileserver.NewRoots(fileserver.Options{Roots: map[string][]string{"base": {filepath.Join(dir, "srv")}}}))
	if err != nil {
		t.Fatal(err)
	}
	opts := wire.NewMap("extension_modules", filepath.Join(dir, "ext"))
	m.Local, m.FileServer = optsLocal{opts: opts}, rootsServer{files: files}
	run := func(want, fun string, kwargs ...any) {
		t.Helper()
		res := r.Run(t.Context(), Request{Fun: fun, Args: []any{wire.NewMap(append([]any{"__kwarg__", true}, kwargs...)...)}})
		if got := inJSON(t, res.Return); got != want || res.Retcode != 0 {
			t.Errorf("%s %v: %s, not %s", fun, kwargs, got, want)
		}
	}
	run(`["modules.deep.two", "modules.one"]`, "saltutil.sync_modules")
	run(`[]`, "saltutil.sync_modules")
	write("_modules/one.py", "changed")
	run(`["modules.one"]`, "saltutil.sync_modules", "saltenv", "base")
	run(`[]`, "saltutil.sync_runners", "extmod_whitelist", wire.NewMap("runners", []any{"other"}))
	run(`[]`, "saltutil.sync_runners", "extmod_blacklist", "r")
	run(`["proxy.p"]`, "saltutil.sync_proxymodules")
	run(`{"clouds": [], "modules": [], "states": [], "grains": [], "renderers": [], "returners": [], "output": [], "proxymodules": [], "runners": ["runners.r"], "wheel": [], "engines": [], "thorium": [], "queues": [], "pillar": [], "utils": [], "sdb": [], "cache": [], "fileserver": [], "tops": [], "tokens": ["tokens.t"], "serializers": [], "executors": [], "roster": []}`, "saltutil.sync_all")
	if err := os.RemoveAll(filepath.Join(dir, "srv", "_modules", "deep")); err != nil {
		t.Fatal(err)
	}
	run(`[]`, "saltutil.sync_modules")
	if _, err := os.Stat(filepath.Join(dir, "ext", "modules", "deep")); err == nil {
		t.Error("what is gone from the file server stays")
	}
	res := r.Run(t.Context(), Request{Fun: "saltutil.sync_nosuch"})
	if res.Known {
		t.Errorf("%+v", res)
	}
}

func TestHTTPQuery(t *testing.T) {
	r, m, bus := newFake(t)
	m.Local = optsLocal{opts: wire.NewMap("http_connect_timeout", int64(5), "http_request_timeout", 5.5)}
	var asked *http.Request
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		asked = q.Clone(t.Context())
		_, _ = w.Write([]byte("hi"))
	}))
	defer s.Close()
	sub := bus.Subscribe("salt/run/")
	defer sub.Close()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "heads"), []byte("X-A: from a file\nnothing\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	res := r.Run(t.Context(), Request{Fun: "http.query", Args: []any{s.URL, wire.NewMap("__kwarg__", true, "username", "u", "password", "s3cret",
		"header_list", []any{"X-B: 2"}, "header_file", filepath.Join(dir, "heads"), "status", true)}})
	if got := inJSON(t, res.Return); got != `{"body": "hi", "status": 200}` {
		t.Errorf("%s", got)
	}
	if user, pass, _ := asked.BasicAuth(); user != "u" || pass != "s3cret" || asked.Header.Get("X-A") != "from a file" || !strings.HasPrefix(asked.UserAgent(), "Salt/3006") {
		t.Errorf("asked with %v", asked.Header)
	}
	for e := range sub.All(t.Context()) {
		if strings.Contains(inJSON(t, e.Data), "s3cret") {
			t.Errorf("an event tells the password: %s", inJSON(t, e.Data))
		}
		if strings.HasSuffix(e.Tag, "/ret") {
			break
		}
	}
	if res := r.Run(t.Context(), Request{Fun: "http.query", Args: []any{"file:///etc/passwd"}}); res.Retcode != 1 {
		t.Errorf("%+v", res)
	}
	if res := r.Run(t.Context(), Request{Fun: "http.query", Args: []any{s.URL, wire.NewMap("__kwarg__", true, "test", true)}}); inJSON(t, res.Return) != "{}" {
		t.Errorf("%+v", res)
	}
}
