package pillar

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gosalt/gosalt/internal/durable"
	"github.com/gosalt/gosalt/internal/pillar"
	"github.com/gosalt/gosalt/internal/secret"
	"github.com/gosalt/gosalt/protocol/wire"
)

// cache keeps the pillars of minions by environment, without the values that calls lay
// over them. On the disk a minion's are one file that only the master's user reads: as in
// Salt, what is in it is not encrypted.
type cache struct {
	ttl time.Duration
	dir string // "" keeps them in memory

	mu      sync.Mutex
	minions map[wire.MinionID]map[string]entry
}

type entry struct {
	res  *pillar.Result
	made time.Time
}

func newCache(backend, dir string, ttl time.Duration) (*cache, error) {
	c := &cache{ttl: ttl, minions: map[wire.MinionID]map[string]entry{}}
	switch backend {
	case "memory":
	case "disk", "":
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("pillar_cache: %w", err)
		}
		c.dir = dir
	default:
		return nil, fmt.Errorf("pillar_cache_backend %q: disk or memory is expected", backend)
	}
	return c, nil
}

func (c *cache) get(id wire.MinionID, env string) *pillar.Result {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.load(id)[env]
	age := time.Since(e.made)
	if !ok || age > c.ttl || age < 0 { // made in the future: the clock was set back
		return nil
	}
	return e.res
}

func (c *cache) put(id wire.MinionID, env string, res *pillar.Result) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	envs := c.load(id)
	if envs == nil {
		envs = map[string]entry{}
	}
	envs[env] = entry{res, time.Now()}
	c.minions[id] = envs
	if c.dir == "" {
		return nil
	}
	all := wire.NewMap()
	for env, e := range envs {
		secrets := []any{}
		for _, s := range e.res.Secrets.Texts() {
			secrets = append(secrets, s)
		}
		all.Set(env, wire.NewMap("made", e.made.UnixNano(), "pillar", e.res.Pillar, "secrets", secrets))
	}
	b, err := wire.Encode(all, wire.Local)
	if err != nil {
		return err
	}
	return durable.WriteFile(c.file(id), b, 0o600)
}

func (c *cache) file(id wire.MinionID) string { return filepath.Join(c.dir, string(id)+".p") }

// load reads a minion's file once. A damaged one counts as none.
func (c *cache) load(id wire.MinionID) map[string]entry {
	if envs, ok := c.minions[id]; ok || c.dir == "" {
		return envs
	}
	b, err := os.ReadFile(c.file(id))
	if err != nil {
		return nil
	}
	all, err := wire.DecodeMap(b, wire.Local, wire.Authenticated)
	if err != nil {
		return nil
	}
	envs := map[string]entry{}
	for env, v := range all.Strings() {
		m, ok := v.(*wire.Map)
		if !ok || m.Map("pillar") == nil {
			return nil
		}
		set := secret.New()
		for _, s := range m.List("secrets") {
			if t, ok := s.(string); ok {
				set.Add(t)
			}
		}
		envs[env] = entry{&pillar.Result{Pillar: m.Map("pillar"), Secrets: set}, time.Unix(0, m.Int("made"))}
	}
	c.minions[id] = envs
	return envs
}

func (c *cache) clear(id wire.MinionID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.minions, id)
	if c.dir != "" {
		if err := os.Remove(c.file(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			os.Truncate(c.file(id), 0)
		}
	}
}
