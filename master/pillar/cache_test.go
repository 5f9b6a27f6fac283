package pillar

import (
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gosalt/gosalt/internal/pillar"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

func TestPillarCache(t *testing.T) {
	for _, backend := range []string{"disk", "memory"} {
		t.Run(backend, func(t *testing.T) {
			dir := t.TempDir()
			start := func() *Service {
				return newService(t, dir, io.Discard, wire.NewMap("pillar_cache", true, "pillar_cache_backend", backend, "pillar_cache_ttl", int64(3600)))
			}
			s := start()
			sls := func(text string) {
				t.Helper()
				write(t, dir, map[string]string{"pillar/top.sls": "base: {'*': [a]}", "pillar/a.sls": text})
			}
			get := func(what string, fresh bool, req *pillar.Request, want string) {
				t.Helper()
				req.ID, req.Grains = "web1", wire.NewMap()
				res, err := s.Compile(t.Context(), req, fresh)
				if err != nil {
					t.Fatal(err)
				}
				if got := pytext.Repr(res.Pillar); got != want {
					t.Errorf("%s: %s, want %s", what, got, want)
				}
			}
			age := func(d time.Duration) {
				t.Helper()
				s.cache.mu.Lock()
				defer s.cache.mu.Unlock()
				envs := s.cache.minions["web1"]
				for env, e := range envs {
					e.made = time.Now().Add(-d).Round(0)
					envs[env] = e
				}
			}
			req := func() *pillar.Request { return &pillar.Request{} }
			sls("n: 1")
			get("at first", false, req(), "{'n': 1}")
			sls("n: 2")
			get("kept", false, req(), "{'n': 1}")
			get("with values of a call", false, &pillar.Request{Override: wire.NewMap("m", int64(5))}, "{'n': 1, 'm': 5}")
			get("without them again", false, req(), "{'n': 1}")
			get("of another environment", false, &pillar.Request{Pillarenv: "base"}, "{'n': 2}")
			get("fresh", true, req(), "{'n': 2}")
			sls("n: 3")
			age(59 * time.Minute)
			get("before its time", false, req(), "{'n': 2}")
			age(61 * time.Minute)
			get("after its time", false, req(), "{'n': 3}")
			sls("n: 4")
			age(-time.Hour)
			get("made in the future", false, req(), "{'n': 4}")
			sls("n: 5")
			s.Forget("web1")
			get("forgotten", false, req(), "{'n': 5}")

			sls("n: {{ nope }}")
			s.Forget("web1")
			get("with an error", false, req(), `{'_errors': ["Rendering SLS 'a' failed. Please see master log for details."]}`)
			sls("n: 6")
			get("which is not kept", false, req(), "{'n': 6}")

			sls("n: 7")
			s = start()
			want := "{'n': 6}"
			if backend == "memory" {
				want = "{'n': 7}"
			}
			get("after a restart", false, req(), want)
			file := filepath.Join(dir, "cache", "pillar_cache", "web1.p")
			fi, err := os.Stat(file)
			if backend == "memory" {
				if err == nil {
					t.Error("memory leaves a file")
				}
				return
			}
			if err != nil || fi.Mode().Perm() != 0o600 {
				t.Errorf("the file: %v, %v", fi, err)
			}
			if err := os.WriteFile(file, []byte("\x81\xa4base"), 0o600); err != nil {
				t.Fatal(err)
			}
			s = start()
			get("after damage", false, req(), "{'n': 7}")
		})
	}
}
