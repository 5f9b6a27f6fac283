package modules

import (
	"context"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("event.fire", eventFire)
	register("event.fire_master", eventFireMaster)
	register("event.send", eventSend)
}

type eventFireArgs struct {
	Data any    // The event's data: a map.
	Tag  string // The event's tag.
}

// eventFire fires an event on the minion's own bus, which state.event watches. What the
// minion does of itself for Salt's tags happens: fire_master sends what is in the data,
// pillar_refresh, grains_refresh and module_refresh read anew, _minion_mine changes the
// mine.
//
//	gosalt '*' event.fire '{"data": {"a": 1}, "tag": "my/tag"}' fire_master
func eventFire(ctx context.Context, c *module.Call, a eventFireArgs) (bool, error) {
	data, ok := a.Data.(*wire.Map)
	if !ok {
		c.Log.Warn("event without a map as its data was dropped", "tag", a.Tag)
		return false, nil
	}
	var err error
	if c.Bus != nil {
		if err := c.Bus.Fire(ctx, a.Tag, data); err != nil {
			return false, module.Failf("fire the event: %w", err)
		}
	}
	switch {
	case strings.HasPrefix(a.Tag, "fire_master"):
		err = forwardEvents(ctx, c, data)
	case strings.HasPrefix(a.Tag, "_minion_mine"):
		err = forwardMine(ctx, c, data)
	case strings.HasPrefix(a.Tag, "pillar_refresh"):
		_, err = refresh(ctx, c, "pillar")
	case strings.HasPrefix(a.Tag, "grains_refresh"):
		_, err = refresh(ctx, c, "grains")
	case strings.HasPrefix(a.Tag, "module_refresh"):
		_, err = refresh(ctx, c, "modules")
	}
	return err == nil, err
}

// forwardEvents sends the master what an event fire_master holds: data and tag, or
// several events at once.
func forwardEvents(ctx context.Context, c *module.Call, data *wire.Map) error {
	load := eventLoad(c, data.Text("pretag"))
	if list := data.List("events"); len(list) > 0 {
		load.Set("events", list)
	} else {
		v, _ := data.Get("data")
		if !module.Truth(v) {
			v = wire.NewMap()
		}
		load.Set("data", v)
		load.Set("tag", data.Text("tag"))
	}
	return sendEvent(ctx, c, load)
}

// forwardMine passes on a change of the mine as Salt's functions put it on the bus.
func forwardMine(ctx context.Context, c *module.Call, data *wire.Map) error {
	switch data.Text("cmd") {
	case wire.CmdMine, wire.CmdMineDelete, wire.CmdMineFlush:
	default:
		return module.Invalidf("cmd %q: one of %s, %s and %s is expected", data.Text("cmd"), wire.CmdMine, wire.CmdMineDelete, wire.CmdMineFlush)
	}
	if c.Master == nil {
		return module.Failf("there is no master to send the mine to")
	}
	load := data.Clone()
	load.Set("id", minionID(c))
	if err := c.Master.Tell(ctx, load); err != nil {
		return module.Failf("send the mine: %w", err)
	}
	return nil
}

func eventLoad(c *module.Call, pretag string) *wire.Map {
	load := wire.NewMap("id", minionID(c), "cmd", wire.CmdMinionEvent, "pretag", nil)
	if pretag != "" {
		load.Set("pretag", pretag)
	}
	return load
}

func sendEvent(ctx context.Context, c *module.Call, load *wire.Map) error {
	if c.Master == nil {
		return module.Failf("there is no master to send the event to")
	}
	if err := c.Master.Tell(ctx, load); err != nil {
		return module.Failf("send the event: %w", err)
	}
	return nil
}

// withoutMaster tells whether events stay on this machine.
func withoutMaster(c *module.Call) bool {
	local := c.Master == nil || c.Opts.Text("file_client") == "local"
	return local && !c.Opts.Bool("use_master_when_local")
}

type eventFireMasterArgs struct {
	Data    any       // The event's data: a map by custom.
	Tag     string    // The event's tag: anything outside of salt/, or under salt/minion/ID/ and salt/beacon/ID/.
	Preload *wire.Map `default:"None"` // More fields of the message that carries the event.
}

// eventFireMaster fires an event on the bus of the master, of each where the minion has
// several. On the bus the data is in the field data of the message.
//
//	gosalt '*' event.fire_master '{"data": "my event data"}' my/tag
func eventFireMaster(ctx context.Context, c *module.Call, a eventFireMasterArgs) (bool, error) {
	if withoutMaster(c) {
		c.Log.Warn("there is no master: the event is not sent", "tag", a.Tag)
		return false, nil
	}
	var load *wire.Map
	if a.Preload.Len() > 0 {
		load = wire.NewMap("id", "", "tag", a.Tag, "data", a.Data, "cmd", "")
		for k, v := range a.Preload.Strings() {
			load.Set(k, v)
		}
		load.Set("id", minionID(c)) // whoever sends it is the one who signs it
		load.Set("cmd", wire.CmdMinionEvent)
	} else {
		data := a.Data
		if !module.Truth(data) {
			data = wire.NewMap()
		}
		load = eventLoad(c, "")
		load.Set("data", data)
		load.Set("tag", a.Tag)
	}
	err := sendEvent(ctx, c, load)
	return err == nil, err
}

type eventSendArgs struct {
	Tag         string    // The event's tag: "myco/build/success".
	Data        any       `default:"None"`  // Its data: a map.
	Preload     *wire.Map `default:"None"`  // More fields of the message that carries the event.
	WithEnv     any       `default:"False"` // Add the environment as "environ": True for all of it, or a list of names.
	WithGrains  any       `default:"False"` // Add the grains as "grains": True for all, or a list of names.
	WithPillar  any       `default:"False"` // Add the pillar as "pillar", likewise. It may hold secrets.
	WithEnvOpts bool      `default:"False"` // Add "saltenv" and "pillarenv" as they are set on this minion.
	Kwargs      *wire.Map `arg:"**"`        // More entries of the data.
}

// eventSend fires an event on the master's bus, with data put together of a map, of
// keywords, and of what is known of this minion.
//
//	gosalt-call event.send myco/mytag foo=Foo bar=Bar
//	gosalt-call event.send myco/mytag '{foo: Foo}' with_grains='[id, os]'
func eventSend(ctx context.Context, c *module.Call, a eventSendArgs) (bool, error) {
	data := wire.NewMap()
	add := func(name string, which any, all func() (*wire.Map, error)) error {
		if !module.Truth(which) {
			return nil
		}
		m, err := all()
		if err != nil {
			return err
		}
		if names, ok := which.([]any); ok {
			some := wire.NewMap()
			for k, v := range m.Strings() {
				for _, n := range names {
					if n == k {
						some.Set(k, v)
					}
				}
			}
			m = some
		}
		data.Set(name, m)
		return nil
	}
	err := add("environ", a.WithEnv, func() (*wire.Map, error) {
		v, err := c.Call(ctx, "environ.items", nil, nil)
		m, _ := v.(*wire.Map)
		return m, err
	})
	if err != nil {
		return false, err
	}
	_ = add("grains", a.WithGrains, func() (*wire.Map, error) { return c.Grains(), nil })
	_ = add("pillar", a.WithPillar, func() (*wire.Map, error) { return c.Pillar(), nil })
	if a.WithEnvOpts {
		for _, name := range []string{"saltenv", "pillarenv"} {
			v, _ := c.Opts.Get(name)
			data.Set(name, v)
		}
	}
	for k, v := range a.Kwargs.Strings() {
		data.Set(k, v)
	}
	if m, ok := a.Data.(*wire.Map); ok {
		for k, v := range m.Strings() {
			data.Set(k, v)
		}
	}
	if withoutMaster(c) {
		return eventFire(ctx, c, eventFireArgs{Data: data, Tag: a.Tag})
	}
	return eventFireMaster(ctx, c, eventFireMasterArgs{Data: data, Tag: a.Tag, Preload: a.Preload})
}
