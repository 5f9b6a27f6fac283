package modules

import (
	"context"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

func init() {
	register("saltutil.sync_all", saltutilSyncAll)
	for _, kind := range strings.Fields("beacons clouds engines executors grains log_handlers matchers modules output outputters pillar proxymodules renderers returners sdb serializers states thorium utils") {
		register("saltutil.sync_"+kind, saltutilSync)
	}
}

type saltutilSyncArgs struct {
	Name   string    // Anything.
	Kwargs *wire.Map `arg:"**"` // Arguments of the function saltutil.sync_*: saltenv, refresh, extmod_whitelist, extmod_blacklist.
}

// saltutilSync fetches what is in the file server's directory of this kind: _modules,
// _grains and so on.
func saltutilSync(ctx context.Context, c *states.Call, a saltutilSyncArgs) (*states.Plan, error) {
	kind := strings.TrimPrefix(c.Low.Text("fun"), "sync_")
	return saltutilPlan(ctx, c, a, kind, func(v any, r *states.Result) {
		if module.Truth(v) {
			r.Change(kind, v)
			r.Comment = "Updated " + kind + "."
		}
	})
}

// saltutilSyncAll fetches what is in the file server's directories of all kinds.
func saltutilSyncAll(ctx context.Context, c *states.Call, a saltutilSyncArgs) (*states.Plan, error) {
	return saltutilPlan(ctx, c, a, "all", func(v any, r *states.Result) {
		m, _ := v.(*wire.Map)
		for k, v := range m.Strings() {
			if module.Truth(v) {
				r.Change(k, v)
				r.Comment = "Sync performed"
			}
		}
	})
}

func saltutilPlan(ctx context.Context, c *states.Call, a saltutilSyncArgs, kind string, told func(any, *states.Result)) (*states.Plan, error) {
	p := &states.Plan{Would: "saltutil.sync_" + kind + " would have been run", Did: "No updates to sync"}
	sync := func(ctx context.Context, r *states.Result, test bool) error {
		kwargs := a.Kwargs
		if test {
			kwargs = kwargs.Clone()
			kwargs.Set("test", true)
		}
		v, err := c.Call.Call(ctx, "saltutil.sync_"+kind, nil, kwargs)
		if err != nil {
			return module.Failf("Failed to run sync_%s: %w", kind, err)
		}
		told(v, r)
		return nil
	}
	var would *wire.Map
	if c.Test {
		r := &states.Result{Changes: wire.NewMap()}
		if err := sync(ctx, r, true); err != nil {
			return nil, err
		}
		if would = r.Changes; would.Len() == 0 {
			return states.Decided(true, nil, p.Did), nil
		}
	}
	p.Do(would, func(ctx context.Context, r *states.Result) error { return sync(ctx, r, false) })
	return p, nil
}
