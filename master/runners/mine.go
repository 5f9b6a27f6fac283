package runners

import (
	"context"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/protocol/wire"
)

func registerMine(r *module.Registry) {
	module.Register(r, "mine.get", mineGet)
	module.Register(r, "mine.update", mineUpdate)
}

type mineGetArgs struct {
	Tgt     any    // Whose values: a target. Pillar in it has to be given exactly, without patterns.
	Fun     any    // A name in the mine, several with commas, or a list.
	TgtType string `default:"glob"` // How tgt is to be read: glob, list, grain, compound, nodegroup and so on.
}

// mineGet returns values of the mine, by minion; of several names, by name and minion.
// Values whose allow_tgt does not mean the master are left out.
//
//	gosalt-run mine.get '*' network.ip_addrs
//	gosalt-run mine.get 'G@os:Debian and web*' network.ip_addrs,disk.usage compound
func mineGet(ctx context.Context, _ *module.Call, a mineGetArgs) (*wire.Map, error) {
	return callOf(ctx).r.master.Mine(ctx, a.Tgt, a.Fun, a.TgtType)
}

type mineUpdateArgs struct {
	Tgt           any    // Which minions.
	TgtType       string `default:"glob"`  // How tgt is to be read.
	Clear         bool   `default:"False"` // Replace all that is in their mines, rather than to add to it.
	MineFunctions any    `default:"None"`  // These functions instead of the configured ones: a map as mine_functions, or a list of names.
}

// mineUpdate has minions run the functions of their mine and send the results: what
// each of them does by itself every mine_interval minutes.
//
//	gosalt-run mine.update '*'
//	gosalt-run mine.update webs tgt_type=nodegroup
func mineUpdate(ctx context.Context, c *module.Call, a mineUpdateArgs) (*wire.Map, error) {
	kw := wire.NewMap("__kwarg__", true, "clear", a.Clear, "mine_functions", a.MineFunctions)
	ans, err := callOf(ctx).ask(ctx, Ask{Fun: "mine.update", Args: []any{kw}, Target: a.Tgt, Type: a.TgtType})
	if err != nil {
		return nil, err
	}
	return ans.values(c), nil
}

// values is what the minions returned, by id. That there are none is told.
func (a Answer) values(c *module.Call) *wire.Map {
	if len(a.Asked) == 0 {
		c.Progress(noMatch)
	}
	out := wire.NewMap()
	for _, id := range a.Asked {
		if load := a.Returns[id]; load != nil {
			v, _ := load.Get("return")
			out.Set(string(id), v)
		}
	}
	return out
}
