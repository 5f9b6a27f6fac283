package runners

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/master/jobs"
	"github.com/gosalt/gosalt/protocol/wire"
)

func registerCache(r *module.Registry) {
	module.Register(r, "cache.grains", cacheGrains)
	module.Register(r, "cache.pillar", cachePillar)
	module.Register(r, "cache.mine", cacheMine)
	module.Register(r, "cache.clear_grains", cacheClearGrains)
	module.Register(r, "cache.clear_pillar", cacheClearPillar)
	module.Register(r, "cache.clear_mine", cacheClearMine)
	module.Register(r, "cache.clear_mine_func", cacheClearMineFunc)
	module.Register(r, "cache.clear_all", cacheClearAll)
}

type cacheGrainsArgs struct {
	Tgt     any       // Which minions.
	TgtType string    `default:"glob"` // How tgt is to be read: glob, list, grain, compound, nodegroup and so on.
	Kwargs  *wire.Map `arg:"**"`       // Of no effect, as in Salt.
}

type cacheTgtArgs struct {
	Tgt     any       `default:"None"` // Which minions; all that anything is known of where not given.
	TgtType string    `default:"glob"` // How tgt is to be read: glob, list, grain, compound, nodegroup and so on.
	Kwargs  *wire.Map `arg:"**"`       // Of no effect, as in Salt.
}

type cacheClearArgs struct {
	Tgt     any    `default:"None"` // Which minions; nothing is cleared where not given.
	TgtType string `default:"glob"` // How tgt is to be read: glob, list, grain, compound, nodegroup and so on.
}

// cacheGrains returns the grains that minions were last seen with. Nothing is sent to
// them.
//
//	gosalt-run cache.grains '*'
func cacheGrains(ctx context.Context, _ *module.Call, a cacheGrainsArgs) (*wire.Map, error) {
	return cached(ctx, a.Tgt, a.TgtType, func(d jobs.MinionData) []byte { return d.Grains })
}

// cachePillar returns the pillar that minions last got.
//
//	gosalt-run cache.pillar
//	gosalt-run cache.pillar 'web*'
func cachePillar(ctx context.Context, _ *module.Call, a cacheTgtArgs) (*wire.Map, error) {
	return cached(ctx, a.Tgt, a.TgtType, func(d jobs.MinionData) []byte { return d.Pillar })
}

// cacheMine returns all that minions have in the mine, with the restrictions of who
// may read it.
//
//	gosalt-run cache.mine
//	gosalt-run cache.mine 'web*'
func cacheMine(ctx context.Context, _ *module.Call, a cacheTgtArgs) (*wire.Map, error) {
	return cached(ctx, a.Tgt, a.TgtType, func(d jobs.MinionData) []byte { return d.Mine })
}

// cached collects one kind of what is stored of minions: of those that a target means
// an entry each, without a target of those that have it.
func cached(ctx context.Context, tgt any, kind string, field func(jobs.MinionData) []byte) (*wire.Map, error) {
	m, out := callOf(ctx).r.master, wire.NewMap()
	add := func(d jobs.MinionData, missing bool) error {
		b := field(d)
		if len(b) == 0 {
			if missing {
				out.Set(string(d.ID), wire.NewMap())
			}
			return nil
		}
		v, err := wire.DecodeMap(b, wire.Local, storedLimits)
		if err != nil {
			return fmt.Errorf("read what is stored of %s: %w", d.ID, err)
		}
		out.Set(string(d.ID), v)
		return nil
	}
	if !module.Truth(tgt) {
		for d, err := range m.Jobs().AllMinionData(ctx) {
			if err != nil {
				return nil, err
			}
			if err := add(d, false); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	ids, err := m.Match(ctx, tgt, kind)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		d, err := m.Jobs().MinionData(ctx, id)
		if err != nil && !errors.Is(err, jobs.ErrUnknown) {
			return nil, err
		}
		d.ID = id
		if err := add(d, true); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// cacheClearGrains forgets the grains of minions: targets that ask for grains take
// each of them for one that may match, until it tells its grains again.
//
//	gosalt-run cache.clear_grains 'web*'
func cacheClearGrains(ctx context.Context, _ *module.Call, a cacheClearArgs) (bool, error) {
	return clearCached(ctx, a, clearing{grains: true})
}

// cacheClearPillar forgets the pillar of minions, as far as the master keeps it.
//
//	gosalt-run cache.clear_pillar 'web*'
func cacheClearPillar(ctx context.Context, _ *module.Call, a cacheClearArgs) (bool, error) {
	return clearCached(ctx, a, clearing{pillar: true})
}

// cacheClearMine removes all that minions have in the mine.
//
//	gosalt-run cache.clear_mine 'web*'
func cacheClearMine(ctx context.Context, _ *module.Call, a cacheClearArgs) (bool, error) {
	return clearCached(ctx, a, clearing{mine: true})
}

// cacheClearAll does what cache.clear_grains, clear_pillar and clear_mine do.
//
//	gosalt-run cache.clear_all 'web*'
func cacheClearAll(ctx context.Context, _ *module.Call, a cacheClearArgs) (bool, error) {
	return clearCached(ctx, a, clearing{grains: true, pillar: true, mine: true})
}

type cacheClearMineFuncArgs struct {
	cacheClearArgs
	ClearMineFuncFlag string `default:"None"` // The name of the value in the mine.
}

// cacheClearMineFunc removes one value that minions have in the mine.
//
//	gosalt-run cache.clear_mine_func tgt='*' clear_mine_func_flag=network.interfaces
func cacheClearMineFunc(ctx context.Context, _ *module.Call, a cacheClearMineFuncArgs) (bool, error) {
	return clearCached(ctx, a.cacheClearArgs, clearing{fun: a.ClearMineFuncFlag})
}

// clearing says what is to be forgotten.
type clearing struct {
	grains, pillar, mine bool
	fun                  string // one value of the mine
}

func clearCached(ctx context.Context, a cacheClearArgs, what clearing) (bool, error) {
	if a.Tgt == nil || what == (clearing{}) {
		return false, nil
	}
	m := callOf(ctx).r.master
	ids, err := m.Match(ctx, a.Tgt, a.TgtType)
	if err != nil {
		return false, err
	}
	for _, id := range ids {
		d := jobs.MinionData{ID: id, Updated: time.Now()}
		if what.grains {
			d.Grains = []byte{}
		}
		if what.pillar {
			d.Pillar = []byte{}
		}
		if what.grains || what.pillar {
			if err := m.Jobs().SetMinionData(ctx, d); err != nil {
				return false, err
			}
		}
		if what.mine || what.fun != "" {
			if err := m.ClearMine(ctx, id, what.fun); err != nil {
				return false, err
			}
		}
	}
	return true, nil
}
