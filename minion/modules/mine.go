package modules

import (
	"context"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("mine.update", mineUpdate)
	register("mine.send", mineSend)
	register("mine.get", mineGet)
	register("mine.delete", mineDelete)
	register("mine.flush", mineFlush)
	register("mine.valid", mineValid)
	planned("It shapes what docker.ps tells, which is not here yet either.", "mine.get_docker")
}

// A mineEntry is one entry of mine_functions: what is called, and who may read it.
type mineEntry struct {
	alias  string    // its name in the mine
	fun    string    // the function, where it is not the alias
	args   []any     // positional
	kwargs *wire.Map // by name
	acl    *wire.Map // allow_tgt, allow_tgt_type; empty: everybody
	def    any       // as it was written
}

func (e mineEntry) function() string {
	if e.fun != "" {
		return e.fun
	}
	return e.alias
}

// The shape of a value that not everybody may read, which masters and minions of Salt
// from 3000 on know.
const (
	mineACLMark    = "__saltmine_acl__"
	mineACLVersion = 1
	mineACLData    = "__data__"
)

// wrap gives a value the restriction of its entry.
func (e mineEntry) wrap(v any) any {
	if !e.acl.Has("allow_tgt") {
		return v
	}
	m := wire.NewMap(mineACLData, v, mineACLMark, int64(mineACLVersion))
	for k, v := range e.acl.Strings() {
		m.Set(k, v)
	}
	return m
}

// parseMineEntry reads one entry of mine_functions: a map of keywords, a list of
// positional arguments and maps of keywords, or nothing.
func parseMineEntry(alias string, def any) mineEntry {
	e := mineEntry{alias: alias, kwargs: wire.NewMap(), acl: wire.NewMap(), def: def}
	switch d := def.(type) {
	case *wire.Map:
		e.kwargs = d.Clone()
	case []any:
		for _, item := range d {
			if m, ok := item.(*wire.Map); ok {
				for k, v := range m.Strings() {
					e.kwargs.Set(k, v)
				}
			} else {
				e.args = append(e.args, item)
			}
		}
	}
	take := func(key string) any {
		v, _ := e.kwargs.Get(key)
		e.kwargs.Delete(key)
		return v
	}
	e.fun, _ = take("mine_function").(string)
	for _, key := range []string{"allow_tgt", "allow_tgt_type"} {
		if v := take(key); module.Truth(v) {
			e.acl.Set(key, v)
		}
	}
	return e
}

// mineEntries reads mine_functions, a map by alias or a list of names.
func mineEntries(v any) (list []mineEntry) {
	switch v := v.(type) {
	case *wire.Map:
		for alias, def := range v.Strings() {
			list = append(list, parseMineEntry(alias, def))
		}
	case []any:
		for _, item := range v {
			switch item := item.(type) {
			case string:
				list = append(list, parseMineEntry(item, wire.NewMap()))
			case *wire.Map:
				list = append(list, mineEntries(item)...)
			}
		}
	}
	return list
}

// configuredMine is mine_functions of configuration and pillar together.
func configuredMine(ctx context.Context, c *module.Call) ([]mineEntry, error) {
	v, err := configMerge(ctx, c, configMergeArgs{Value: "mine_functions"})
	return mineEntries(v), err
}

// available tells whether an entry's function can be called, and logs if it cannot.
func (e mineEntry) available(c *module.Call) bool {
	if c.Functions().Has(e.function()) {
		return true
	}
	c.Log.Error("function of the mine is not available", "name", e.alias, "fun", e.function())
	return false
}

// masterless tells whether the mine is a map in the minion's own store.
func masterless(c *module.Call) bool { return c.Master == nil || c.Opts.Text("file_client") == "local" }

// storeMine puts values into the mine: that of the master, or, without one, the
// minion's own store. With clear they replace what is there.
func storeMine(ctx context.Context, c *module.Call, data *wire.Map, clear bool) (any, error) {
	if !masterless(c) {
		load := &wire.Mine{ID: wire.MinionID(minionID(c)), Data: data, Clear: clear}
		if err := c.Master.Tell(ctx, load.ToMap()); err != nil {
			return false, module.Failf("send the mine: %w", err)
		}
		return true, nil
	}
	err := changeData(c, func(m *wire.Map) bool {
		all := data
		if old := m.Map(mineCache); old != nil && !clear {
			all = old.Clone()
			for k, v := range data.Strings() {
				all.Set(k, v)
			}
		}
		m.Set(mineCache, all)
		return true
	})
	return err == nil, err
}

// mineCache is the key of the mine in the store of a minion without a master.
const mineCache = "mine_cache"

type mineUpdateArgs struct {
	Clear         bool `default:"False"` // Replace all that is in the mine, rather than to add to it.
	MineFunctions any  `default:"None"`  // These functions instead of the configured ones: a map as mine_functions, or a list of names.
}

// mineUpdate runs the functions that mine_functions names in the configuration and
// the pillar, and sends what they return to the master's mine. A function that fails
// is logged, and left as it was. The minion does this by itself every mine_interval
// minutes.
//
//	gosalt '*' mine.update
//	gosalt '*' mine.update mine_functions='[network.ip_addrs]'
func mineUpdate(ctx context.Context, c *module.Call, a mineUpdateArgs) (any, error) {
	entries := mineEntries(a.MineFunctions)
	if !module.Truth(a.MineFunctions) {
		var err error
		if entries, err = configuredMine(ctx, c); err != nil {
			return nil, err
		}
	}
	if len(entries) == 0 {
		return nil, nil
	}
	data := wire.NewMap()
	for _, e := range entries {
		if !e.available(c) {
			continue
		}
		v, err := c.Call(ctx, e.function(), e.args, e.kwargs)
		if err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			c.Log.Error("function of the mine failed", "name", e.alias, "fun", e.function(), "error", err)
			continue
		}
		data.Set(e.alias, e.wrap(v))
	}
	return storeMine(ctx, c, data, a.Clear)
}

type mineSendArgs struct {
	Name   string    // The function, or with mine_function= an alias: the name of the value in the mine.
	Args   []any     `arg:"*"`  // Arguments of the function.
	Kwargs *wire.Map `arg:"**"` // Keywords of the function; besides mine_function, allow_tgt and allow_tgt_type.
}

// mineSend runs one function and sends what it returns to the mine, under the
// function's name or, with mine_function, under another. allow_tgt and
// allow_tgt_type say which minions may read it: all where it is not given.
//
//	gosalt '*' mine.send network.ip_addrs interface=eth0
//	gosalt '*' mine.send eth0_ip_addrs mine_function=network.ip_addrs interface=eth0
//	gosalt '*' mine.send secret mine_function=cmd.run 'cat /etc/app.id' allow_tgt='G@role:db' allow_tgt_type=compound
func mineSend(ctx context.Context, c *module.Call, a mineSendArgs) (any, error) {
	kw := wire.NewMap()
	for k, v := range a.Kwargs.Strings() {
		if !strings.HasPrefix(k, "__") {
			kw.Set(k, v)
		}
	}
	e := parseMineEntry(a.Name, kw)
	v, err := c.Call(ctx, e.function(), a.Args, e.kwargs)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		c.Log.Error("function of the mine failed", "name", e.alias, "fun", e.function(), "error", err)
		return false, nil
	}
	return storeMine(ctx, c, wire.NewMap(e.alias, e.wrap(v)), false)
}

type mineGetArgs struct {
	Tgt           any    // Whose values: a target. Pillar in it has to be given exactly, without patterns.
	Fun           any    // A name in the mine, several with commas, or a list.
	TgtType       string `default:"glob"`  // How tgt is to be read: glob, list, grain, compound and so on.
	ExcludeMinion bool   `default:"False"` // Leave out this minion's own.
}

// mineGet returns values of the mine, by minion; of several names, by name and minion.
// Minions that have none of that name, or do not let this minion read it, are left out.
//
//	gosalt web1 mine.get '*' network.ip_addrs
//	gosalt web1 mine.get 'os:Debian' network.ip_addrs,disk.usage tgt_type=grain
func mineGet(ctx context.Context, c *module.Call, a mineGetArgs) (any, error) {
	var v any
	var err error
	if masterless(c) {
		v, err = ownMine(ctx, c, a)
	} else {
		load := &wire.MineGet{ID: wire.MinionID(minionID(c)), Tgt: a.Tgt, TgtType: a.TgtType, Fun: a.Fun}
		v, err = c.Master.Ask(ctx, "", load.ToMap())
	}
	if err != nil {
		return nil, module.Failf("read the mine: %w", err)
	}
	all, ok := v.(*wire.Map)
	if !ok || !a.ExcludeMinion {
		return v, nil
	}
	names, many := wire.MineFunctions(a.Fun)
	if !many {
		all.Delete(minionID(c))
		return all, nil
	}
	for _, name := range names {
		all.Map(name).Delete(minionID(c))
	}
	return all, nil
}

// ownMine is mine.get without a master: this minion's values, where it is meant.
func ownMine(ctx context.Context, c *module.Call, a mineGetArgs) (*wire.Map, error) {
	out := wire.NewMap()
	meant, err := c.Call(ctx, "match."+a.TgtType, []any{a.Tgt}, nil)
	if err != nil || !module.Truth(meant) {
		return out, err
	}
	store, err := readData(c)
	if err != nil {
		return nil, err
	}
	names, many := wire.MineFunctions(a.Fun)
	for _, name := range names {
		v, ok := store.Map(mineCache).Get(name)
		if !ok {
			continue
		}
		if m, ok := v.(*wire.Map); ok && m.Has(mineACLMark) {
			v, _ = m.Get(mineACLData)
		}
		if many {
			out.Set(name, wire.NewMap(minionID(c), v))
		} else {
			out.Set(minionID(c), v)
		}
	}
	return out, nil
}

type mineDeleteArgs struct {
	Fun string // The name in the mine.
}

// mineDelete removes one of this minion's values from the mine.
//
//	gosalt '*' mine.delete network.ip_addrs
func mineDelete(ctx context.Context, c *module.Call, a mineDeleteArgs) (any, error) {
	if masterless(c) {
		err := changeData(c, func(m *wire.Map) bool {
			m.Map(mineCache).Delete(a.Fun)
			return m.Has(mineCache)
		})
		return err == nil, err
	}
	if err := c.Master.Tell(ctx, wire.NewMap("cmd", wire.CmdMineDelete, "id", minionID(c), "fun", a.Fun)); err != nil {
		return false, module.Failf("delete %s of the mine: %w", a.Fun, err)
	}
	return true, nil
}

// mineFlush removes all of this minion's values from the mine.
//
//	gosalt '*' mine.flush
func mineFlush(ctx context.Context, c *module.Call, _ noArgs) (any, error) {
	if masterless(c) {
		err := changeData(c, func(m *wire.Map) bool {
			m.Set(mineCache, wire.NewMap())
			return true
		})
		return err == nil, err
	}
	if err := c.Master.Tell(ctx, wire.NewMap("cmd", wire.CmdMineFlush, "id", minionID(c))); err != nil {
		return false, module.Failf("flush the mine: %w", err)
	}
	return true, nil
}

// mineValid lists what mine_functions names in the configuration and the pillar and
// can be called.
//
//	gosalt '*' mine.valid
func mineValid(ctx context.Context, c *module.Call, _ noArgs) (any, error) {
	entries, err := configuredMine(ctx, c)
	if err != nil || len(entries) == 0 {
		return nil, err
	}
	out := wire.NewMap()
	for _, e := range entries {
		if !e.available(c) {
			continue
		}
		if e.fun == "" {
			out.Set(e.alias, e.def)
			continue
		}
		args := slices.Clone(e.args)
		for k, v := range e.kwargs.Strings() {
			args = append(args, wire.NewMap(k, v))
		}
		out.Set(e.alias, wire.NewMap(e.fun, args))
	}
	return out, nil
}
