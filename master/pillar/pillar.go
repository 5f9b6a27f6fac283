// Package pillar is the master's service that compiles the pillars of minions: package
// internal/pillar with what a master adds. It works on one pillar of a minion at a time,
// and on as many at once as the machine has processors for; it keeps pillars where
// pillar_cache says so, and has the kinds of ext_pillar that need a network.
//
// Start with New and Service.Compile. cache.go is pillar_cache, http.go and git.go are
// ext_pillar.
package pillar

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/gosalt/gosalt/internal/config"
	"github.com/gosalt/gosalt/internal/heap"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pillar"
	"github.com/gosalt/gosalt/internal/render"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Config is what a Service is made of.
type Config struct {
	*config.Master
	// Functions are what templates call; nil: none but those that are a part of them.
	Functions *module.Registry
	// Files are the master's own files (salt://), for functions that read them; may be nil.
	Files module.Files
	Log   *slog.Logger
}

// Service compiles pillars. Its methods may be called concurrently.
type Service struct {
	cfg      Config
	compiler *pillar.Compiler
	git      *gitPillar
	cache    *cache // nil: pillar_cache is off
	slots    chan struct{}

	mu      sync.Mutex
	minions map[wire.MinionID]*waiting
}

// waiting is a minion whose pillar is being compiled.
type waiting struct {
	slot  chan struct{} // holds one token: whoever has it compiles
	users int
}

// ErrBusy says that a minion has asked for its pillar many times and waits for all.
var ErrBusy = errors.New("pillars of this minion are being compiled already")

// maxWaiting is how many requests of one minion may wait for their turn.
const maxWaiting = 8

// maxRender bounds the render of one file: 10 seconds, 16 MiB of text (16<<20).
var limits = render.Limits{Time: 10 * time.Second}

// New makes a Service. What is wrong with the configuration of ext_pillar is an error.
func New(cfg Config) (*Service, error) {
	s := &Service{cfg: cfg, minions: map[wire.MinionID]*waiting{}, slots: make(chan struct{}, max(2, runtime.GOMAXPROCS(0)))}
	ext := pillar.Sources()
	opts := cfg.Opts()
	var err error
	if s.git, err = newGitPillar(cfg, opts); err != nil {
		return nil, err
	}
	maps.Copy(ext, map[string]pillar.Source{"http_yaml": httpYAML, "http_json": httpJSON, "git": s.git.source})
	pc := pillar.Config{Opts: opts, Tree: pillar.NewRoots(cfg.PillarRoots), Decrypt: pillar.Decrypter(cfg.Common, cfg.Log), Ext: ext, Limits: limits, Log: cfg.Log}
	if cfg.Functions != nil {
		pc.Functions = pillar.FromRegistry(cfg.Functions, func(r *pillar.Request, grains *wire.Map) *module.Call {
			return &module.Call{Opts: opts, Grains: func() *wire.Map { return grains }, Files: cfg.Files,
				Log: cfg.Log.With("minion", r.ID), CacheDir: cfg.CacheDir}
		})
	}
	s.compiler = pillar.New(pc)
	if cfg.PillarCache {
		if s.cache, err = newCache(cfg.PillarCacheBackend, filepath.Join(cfg.CacheDir, "pillar_cache"), cfg.PillarCacheTTL); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Compile compiles a minion's pillar, or takes one that is kept. fresh drops what is kept.
// It waits its turn, and gives it up when ctx ends. The error is ErrBusy for a minion that
// asks for more than can be worked on.
func (s *Service) Compile(ctx context.Context, req *pillar.Request, fresh bool) (*pillar.Result, error) {
	leave, err := s.enter(ctx, req.ID)
	if err != nil {
		return nil, err
	}
	defer leave()
	cached := s.cache != nil && !req.Trace && req.Ext == nil
	key := req.Pillarenv
	if key == "" && s.cfg.PillarEnvFromSaltEnv {
		key = req.Saltenv
	}
	if s.cache != nil && fresh {
		s.cache.clear(req.ID)
	}
	if !cached {
		return s.compile(ctx, req)
	}
	res := s.cache.get(req.ID, key)
	if res == nil {
		plain := *req
		plain.Override = nil
		if res, err = s.compile(ctx, &plain); err != nil {
			return nil, err
		}
		if len(res.Errors) == 0 {
			if err := s.cache.put(req.ID, key, res); err != nil {
				s.cfg.Log.Error("a pillar cannot be kept", "minion", req.ID, "error", err)
			}
		}
	}
	return s.compiler.WithOverride(res, req), nil
}

// MayDecrypt tells whether pillars can hold values that were encrypted.
func (s *Service) MayDecrypt(ctx context.Context) bool { return s.compiler.MayDecrypt(ctx) }

func (s *Service) compile(ctx context.Context, req *pillar.Request) (*pillar.Result, error) {
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer heap.Work()()
	began := time.Now()
	res, err := s.compiler.Compile(ctx, req)
	if err == nil {
		s.cfg.Log.Debug("pillar compiled", "minion", req.ID, "errors", len(res.Errors), "took", time.Since(began).Round(time.Microsecond))
	}
	return res, err
}

// enter waits until no other pillar of the minion is worked on.
func (s *Service) enter(ctx context.Context, id wire.MinionID) (leave func(), err error) {
	s.mu.Lock()
	w := s.minions[id]
	if w == nil {
		w = &waiting{slot: make(chan struct{}, 1)}
		s.minions[id] = w
	}
	if w.users > maxWaiting {
		s.mu.Unlock()
		return nil, fmt.Errorf("%w, and %d requests wait", ErrBusy, maxWaiting)
	}
	w.users++
	s.mu.Unlock()
	done := func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if w.users--; w.users == 0 {
			delete(s.minions, id)
		}
	}
	select {
	case w.slot <- struct{}{}:
		return func() {
			<-w.slot
			done()
		}, nil
	case <-ctx.Done():
		done()
		return nil, context.Cause(ctx)
	}
}

// Top is what the top files assign to a minion: names of SLS by environment.
func (s *Service) Top(ctx context.Context, req *pillar.Request) (*wire.Map, []string) {
	return s.compiler.Top(ctx, req)
}

// Cached are the pillars of a minion that are kept, nil for an environment that is not
// among them; ok is false where pillar_cache is off.
func (s *Service) Cached(id wire.MinionID, pillarenv string) (res *pillar.Result, ok bool) {
	if s.cache == nil {
		return nil, false
	}
	return s.cache.get(id, pillarenv), true
}

// Forget drops the pillars of minions that are kept; false where pillar_cache is off.
func (s *Service) Forget(ids ...wire.MinionID) bool {
	if s.cache == nil {
		return false
	}
	for _, id := range ids {
		s.cache.clear(id)
	}
	return true
}

// Explain compiles a pillar and tells from where a value comes.
func (s *Service) Explain(ctx context.Context, req *pillar.Request, key, delimiter string) (*pillar.Explanation, *pillar.Result, error) {
	traced := *req
	traced.Trace = true
	res, err := s.Compile(ctx, &traced, false)
	if err != nil {
		return nil, nil, err
	}
	return res.Explain(key, delimiter, s.cfg.PillarMergeLists), res, nil
}

// Sources are the names of the kinds of ext_pillar, sorted.
func (s *Service) Sources() []string { return slices.Sorted(maps.Keys(pillar.Sources())) }
