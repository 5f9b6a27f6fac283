package files

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/gosalt/gosalt/internal/config"
	"github.com/gosalt/gosalt/protocol/wire"
)

// bucketServer speaks S3 on loopback, from memory.
type bucketServer struct {
	t    *testing.T
	mem  *s3mem.Backend
	host string
	down atomic.Bool
	gets atomic.Int64 // objects that were asked for
}

func newBucketServer(t *testing.T, buckets ...string) *bucketServer {
	t.Helper()
	s := &bucketServer{t: t, mem: s3mem.New()}
	fake := gofakes3.New(s.mem).Server()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.down.Load() {
			http.Error(w, "down", http.StatusForbidden)
			return
		}
		if r.Method == http.MethodGet && strings.Count(strings.Trim(r.URL.Path, "/"), "/") > 0 {
			s.gets.Add(1)
		}
		fake.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	s.host = strings.TrimPrefix(srv.URL, "http://")
	for _, b := range buckets {
		if err := s.mem.CreateBucket(b); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (s *bucketServer) put(bucket, key, text string) {
	s.t.Helper()
	if _, err := s.mem.PutObject(bucket, key, map[string]string{}, bytes.NewReader([]byte(text)), int64(len(text)), nil); err != nil {
		s.t.Fatal(err)
	}
}

func (s *bucketServer) files(dir string, buckets any, more ...any) *Files {
	s.t.Helper()
	f, err := s.open(dir, buckets, more...)
	if err != nil {
		s.t.Fatal(err)
	}
	return f
}

func (s *bucketServer) open(dir string, buckets any, more ...any) (*Files, error) {
	cfg := config.DefaultMaster()
	cfg.CacheDir = dir
	cfg.FileRoots = map[string][]string{}
	cfg.FileserverBackend = []string{"s3"}
	cfg.Raw = wire.NewMap(append([]any{"s3.keyid", "id", "s3.key", "secret", "s3.service_url", s.host, "s3.https_enable", false,
		"s3.path_style", true, "s3.buckets", buckets}, more...)...)
	return New(Config{Master: cfg, Log: slog.New(slog.DiscardHandler)})
}

func TestS3FS(t *testing.T) {
	s := newBucketServer(t, "one", "two", "three", "mixed")
	s.put("one", "top.sls", "one")
	s.put("one", "web/init.sls", "web")
	s.put("one", "web/empty/", "")
	s.put("two", "top.sls", "two")
	s.put("two", "only two/ü.txt", "second")
	s.put("two", "web/.x.swp", "hidden")
	s.put("three", "top.sls", "staging")
	perEnv := wire.NewMap("base", []any{"one", "two"}, "staging", []any{"three"})
	dir := t.TempDir()
	f := s.files(dir, perEnv)
	if err := f.Update(t.Context(), nil, ""); err != nil {
		t.Fatal(err)
	}
	envs, err := f.Server().Envs(t.Context(), nil)
	if err != nil || !slices.Equal(envs, []string{"base", "staging"}) {
		t.Errorf("environments %q, %v", envs, err)
	}
	tree, err := f.server.Backends(nil)[0].Tree(t.Context(), "base")
	if err != nil || !slices.Equal(tree.Files, []string{"only two/ü.txt", "top.sls", "web/.x.swp", "web/init.sls"}) || !slices.Equal(tree.Dirs, []string{"only two", "web", "web/empty"}) {
		t.Errorf("the tree is %q %q, %v", tree.Files, tree.Dirs, err)
	}
	for _, c := range [][3]string{{"base", "top.sls", "one"}, {"base", "only two/ü.txt", "second"}, {"staging", "top.sls", "staging"}, {"base", "nope", "none"},
		{"nope", "top.sls", "none"}, {"base", "web", "none"}, {"base", "web/empty", "none"}} {
		if got := content(t, f, c[0], c[1]); got != c[2] {
			t.Errorf("%s of %s is %q, want %q", c[1], c[0], got, c[2])
		}
	}
	// What is there is not fetched again, and what changed is once the buckets are listed.
	before := s.gets.Load()
	content(t, f, "base", "top.sls")
	if n := s.gets.Load() - before; n != 0 {
		t.Errorf("%d objects were fetched that were there", n)
	}
	s.put("one", "top.sls", "changed")
	if err := f.Update(t.Context(), nil, ""); err != nil {
		t.Fatal(err)
	}
	if got := content(t, f, "base", "top.sls"); got != "changed" {
		t.Errorf("after the change: %q", got)
	}
	// S3 is down: what it had is served, by a master that is started anew as well.
	s.down.Store(true)
	if err := f.Update(t.Context(), nil, ""); err == nil || !strings.Contains(err.Error(), "files as of 20") {
		t.Errorf("the update of what is down: %v", err)
	}
	if got := content(t, f, "base", "top.sls"); got != "changed" {
		t.Errorf("while S3 is down: %q", got)
	}
	if got := content(t, s.files(dir, perEnv), "base", "top.sls"); got != "changed" {
		t.Errorf("after a new start: %q", got)
	}
	if got := content(t, s.files(t.TempDir(), perEnv), "base", "top.sls"); !strings.Contains(got, "list the bucket") || !strings.Contains(got, "nothing was ever listed") {
		t.Errorf("with nothing ever listed: %q", got)
	}
}

// A bucket may hold a directory for each environment.
func TestS3FSSharedBucket(t *testing.T) {
	s := newBucketServer(t, "mixed", "more")
	for i := range 1100 { // more than one page of a listing
		s.put("mixed", "base/many/"+string(rune('a'+i%26))+strings.Repeat("x", i/26), "x")
	}
	s.put("mixed", "base/top.sls", "base")
	s.put("mixed", "dev/top.sls", "dev")
	s.put("mixed", "beside.sls", "no")
	s.put("more", "dev/x.sls", "x")
	s.put("more", "dev/../../out", "no")
	f := s.files(t.TempDir(), []any{"mixed", "more"}, "s3.s3_sync_on_update", false)
	for _, c := range [][3]string{{"base", "top.sls", "base"}, {"dev", "top.sls", "dev"}, {"dev", "x.sls", "x"}, {"base", "beside.sls", "none"}, {"dev", "../../out", "none"}} {
		if got := content(t, f, c[0], c[1]); got != c[2] {
			t.Errorf("%s of %s is %q, want %q", c[1], c[0], got, c[2])
		}
	}
	if n := s.gets.Load(); n != 3 {
		t.Errorf("%d objects were fetched, and 3 were asked for", n)
	}
	tree, err := f.server.Backends(nil)[0].Tree(t.Context(), "base")
	if err != nil || len(tree.Files) != 1101 {
		t.Errorf("%d files, %v", len(tree.Files), err)
	}
	if left, _ := filepath.Glob(filepath.Join(f.cfg.CacheDir, "s3cache", "objects", "*", ".tmp*")); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

func TestS3FSSettings(t *testing.T) {
	s := newBucketServer(t)
	for _, c := range []struct {
		buckets any
		want    string
	}{{nil, "names no bucket"}, {"one", "a list of buckets"}, {[]any{}, "names no bucket"}} {
		if _, err := s.open(t.TempDir(), c.buckets); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %q", c.buckets, err, c.want)
		}
	}
}
