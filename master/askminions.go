package master

import (
	"context"

	"github.com/gosalt/gosalt/internal/target"
	"github.com/gosalt/gosalt/master/keys"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Match implements runners.MinionCache.
func (r runnerMaster) Match(ctx context.Context, tgt any, kind string) ([]wire.MinionID, error) {
	t, err := target.Parse(tgt, kind, r.m.targetOptions(ctx, ""))
	if err != nil {
		return nil, err
	}
	accepted, err := r.m.keys.List(keys.Accepted)
	if err != nil {
		return nil, err
	}
	var ids []wire.MinionID
	for _, id := range accepted {
		ok, err := r.m.matchesCached(ctx, t, id, target.Matches)
		if err != nil {
			return nil, err
		}
		if ok {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// Mine implements runners.MinionCache.
func (r runnerMaster) Mine(ctx context.Context, tgt, fun any, kind string) (*wire.Map, error) {
	return r.m.mineGet(ctx, &wire.MineGet{ID: wire.MinionID(r.m.cfg.ID), Tgt: tgt, TgtType: kind, Fun: fun})
}

// ClearMine implements runners.MinionCache.
func (r runnerMaster) ClearMine(ctx context.Context, id wire.MinionID, name string) error {
	return r.m.clearMine(ctx, id, name)
}
