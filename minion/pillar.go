package minion

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/gosalt/gosalt/internal/dictmerge"
	"github.com/gosalt/gosalt/internal/durable"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pillar"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// masterless tells whether this machine compiles its pillar itself.
func (m *Minion) masterless() bool {
	return m.local || m.cfg.MasterType == "disable" || m.cfg.FileClient == "local" && !m.cfg.UseMasterWhenLocal
}

// Pillar is what the master told this minion alone; read only. Without a master it is
// compiled when it is first asked for.
func (m *Minion) Pillar() *wire.Map {
	m.mu.Lock()
	p := m.pillar
	m.mu.Unlock()
	if p == nil && m.lazyPillar {
		return m.pillarOnce()
	}
	if p == nil && m.masterless() {
		m.compiling.Lock()
		defer m.compiling.Unlock()
		m.mu.Lock()
		p = m.pillar
		m.mu.Unlock()
		if p == nil {
			var err error
			if p, err = m.compileHere(m.ctx, module.PillarQuery{Saltenv: m.cfg.SaltEnv, Pillarenv: m.cfg.PillarEnv}); err != nil {
				m.log.Error("the pillar cannot be compiled", "error", err)
				return wire.NewMap()
			}
			m.setPillar(p)
		}
	}
	if p == nil {
		return wire.NewMap()
	}
	return p
}

func (m *Minion) setPillar(p *wire.Map) {
	m.mu.Lock()
	m.pillar = p
	m.mu.Unlock()
	if m.schedule != nil {
		m.schedule.SetPillar(p.Map("schedule"))
	}
	if m.cfg.MinionPillarCache && !m.masterless() {
		if err := m.cachePillar(p); err != nil {
			m.log.Warn("the copy of the pillar cannot be written (minion_pillar_cache)", "error", err)
		}
	}
}

// cachePillar writes the copy that minion_pillar_cache asks for: a pillar tree of its
// own, as Salt's, without what was encrypted.
func (m *Minion) cachePillar(p *wire.Map) error {
	dir := filepath.Join(m.cfg.CacheDir, "pillar")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	env := m.cfg.SaltEnv
	if env == "" {
		env = "base"
	}
	top := wire.NewMap(env, wire.NewMap(string(m.id), []any{"cache"}))
	for name, v := range map[string]any{"top.sls": top, "cache.sls": m.secrets.Value(p)} {
		if err := durable.WriteFile(filepath.Join(dir, name), []byte(pytext.YAML(v, 2, false)), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// refreshPillar gets the pillar anew from all masters that are connected. Where that
// fails the old one stays.
func (m *Minion) refreshPillar(ctx context.Context, fresh bool) error {
	m.mu.Lock()
	m.grains = nil // the files see what the machine is like now
	m.mu.Unlock()
	kept := func(err error) error { return fmt.Errorf("%w; the pillar stays as it was", err) }
	if m.masterless() {
		p, err := m.compileHere(ctx, module.PillarQuery{Saltenv: m.cfg.SaltEnv, Pillarenv: m.cfg.PillarEnv})
		if err != nil {
			return kept(err)
		}
		m.setPillar(p)
		return nil
	}
	asked := false
	for _, l := range m.links {
		if l.current() == nil {
			continue
		}
		asked = true
		p, err := m.askPillar(ctx, l, module.PillarQuery{Saltenv: m.cfg.SaltEnv, Pillarenv: m.cfg.PillarEnv, Fresh: fresh})
		if err != nil {
			l.log.Error("the pillar could not be refreshed, and stays as it was", "error", err)
			return kept(err)
		}
		m.setPillar(p)
	}
	if !asked {
		return kept(errors.New("no master is connected"))
	}
	return nil
}

// fetchPillar gets the pillar of a master and brings it this minion's grains.
func (m *Minion) fetchPillar(ctx context.Context, l *link) error {
	p, err := m.askPillar(ctx, l, module.PillarQuery{Saltenv: m.cfg.SaltEnv, Pillarenv: m.cfg.PillarEnv})
	if err != nil {
		return err
	}
	m.setPillar(p)
	return nil
}

// compilePillar is Call.CompilePillar: it has the pillar compiled for one call. Of one
// that is nobody's alone the minion keeps it, so that all functions tell the same.
func (m *Minion) compilePillar(ctx context.Context, q module.PillarQuery) (*wire.Map, error) {
	plain := q.Override.Len() == 0 && q.Ext == nil && q.Pillarenv == m.cfg.PillarEnv && q.Saltenv == m.cfg.SaltEnv
	var p *wire.Map
	var err error
	if m.masterless() {
		p, err = m.compileHere(ctx, q)
	} else {
		if p := m.newPillar(); p != nil && plain && !q.Fresh {
			return p, nil
		}
		l := m.anyLink()
		if l == nil {
			return nil, errors.New("no master is connected")
		}
		p, err = m.askPillar(ctx, l, q)
	}
	if err != nil {
		return nil, err
	}
	if plain {
		m.setPillar(p)
	}
	return p, nil
}

// askPillar has a master compile the pillar.
func (m *Minion) askPillar(ctx context.Context, l *link, q module.PillarQuery) (*wire.Map, error) {
	extra, err := m.extraData()
	if err != nil {
		return nil, err
	}
	req := &wire.PillarRequest{ID: m.id, Grains: m.Grains(), Saltenv: q.Saltenv, Pillarenv: q.Pillarenv,
		PillarOverride: q.Override, ExtraMinionData: extra, CleanCache: q.Fresh, Ver: "2"}
	if q.Ext != nil {
		req.Raw = wire.NewMap("ext", q.Ext)
	}
	data, err := l.pillar(ctx, req)
	if err != nil {
		return nil, err
	}
	m.secrets.Add(data.Secrets...)
	m.sayErrors(data.Pillar)
	return data.Pillar, nil
}

// sayErrors logs what went wrong in a pillar.
func (m *Minion) sayErrors(p *wire.Map) {
	for _, e := range p.List("_errors") {
		m.log.Error("pillar error", "error", pytext.Str(e))
	}
}

// extraData are the parts of the configuration that pass_to_ext_pillars names.
func (m *Minion) extraData() (*wire.Map, error) {
	out := wire.NewMap()
	option := m.cfg.PassToExtPillars
	if option == nil {
		return out, nil
	}
	keys, ok := option.([]any)
	if !ok {
		return nil, errors.New("'pass_to_ext_pillars' config is malformed: a list of keys is expected")
	}
	for _, k := range keys {
		var at any = m.opts()
		parts := strings.Split(pytext.Str(k), ":")
		for _, p := range parts {
			inner, _ := at.(*wire.Map)
			v, ok := inner.Get(p)
			if !ok {
				at = nil
				break
			}
			at = v
		}
		if at == nil {
			continue
		}
		for i := len(parts) - 1; i >= 0; i-- {
			at = wire.NewMap(parts[i], at)
		}
		dictmerge.Update(out, dictmerge.Copy(at).(*wire.Map), true)
	}
	return out, nil
}

// compileHere compiles the pillar from this machine's pillar_roots.
func (m *Minion) compileHere(ctx context.Context, q module.PillarQuery) (*wire.Map, error) {
	opts := m.opts()
	c := pillar.New(pillar.Config{Opts: opts, Tree: pillar.NewRoots(m.cfg.PillarRoots), Ext: pillar.Sources(), Log: m.log,
		Decrypt: pillar.Decrypter(m.cfg.Common, m.log),
		Functions: pillar.FromRegistry(m.reg, func(_ *pillar.Request, grains *wire.Map) *module.Call {
			return &module.Call{Opts: opts, Grains: func() *wire.Map { return grains }, Log: m.log, CacheDir: m.cfg.CacheDir,
				FileServer: m.files, Files: m.fetcher(), Master: m.masters()}
		})})
	extra, err := m.extraData()
	if err != nil {
		return nil, err
	}
	res, err := c.Compile(ctx, &pillar.Request{ID: m.id, Grains: m.Grains(), Saltenv: q.Saltenv, Pillarenv: q.Pillarenv,
		Override: q.Override, Extra: extra, Ext: q.Ext})
	if err != nil {
		return nil, err
	}
	m.secrets.Add(res.Secrets.Texts()...)
	return res.Pillar, nil
}

// hideSecrets has everything that is logged go without the secrets of the pillar.
func (m *Minion) hideSecrets(log *slog.Logger) *slog.Logger {
	return slog.New(m.secrets.Handler(log.Handler()))
}

// hide takes the secrets of the pillar out of a result.
func (m *Minion) hide(res module.Result) module.Result {
	if m.secrets.Len() == 0 {
		return res
	}
	res.Return = m.secrets.Value(res.Return)
	var e *module.Error
	if errors.As(res.Err, &e) {
		public := *e
		public.Msg = m.secrets.Text(e.Msg)
		res.Err = &public
	} else {
		res.Err = m.secrets.Error(res.Err)
	}
	return res
}
