package modules

import (
	"context"

	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

func init() {
	register("event.send", eventSend)
	alias("event.fire_master", "event.send")
	alias("event.mod_watch", "event.send")
	register("event.wait", eventWait)
}

type eventSendArgs struct {
	Name        string    // Tag of the event: mycompany/build/done.
	Data        any       `default:"None"`  // Its data: a map.
	Preload     any       `default:"None"`  // More fields of the message that carries the event.
	WithEnv     any       `default:"False"` // Add the environment as "environ": True for all of it, or a list of names.
	WithGrains  any       `default:"False"` // Add the grains as "grains", likewise.
	WithPillar  any       `default:"False"` // Add the pillar as "pillar", likewise. It may hold secrets.
	ShowChanged bool      `default:"True"`  // Tell the event as a change.
	Kwargs      *wire.Map `arg:"**"`        // More entries of the data.
}

// eventSend fires an event on the master's bus.
func eventSend(ctx context.Context, c *states.Call, a eventSendArgs) (*states.Plan, error) {
	p := &states.Plan{Would: "Event would have been fired", Did: "Event fired"}
	var changes *wire.Map
	if a.ShowChanged {
		changes = wire.NewMap("tag", a.Name, "data", a.Data)
	}
	p.Do(changes, func(ctx context.Context, r *states.Result) error {
		kwargs := wire.NewMap("data", a.Data, "preload", a.Preload, "with_env", a.WithEnv, "with_grains", a.WithGrains, "with_pillar", a.WithPillar)
		for k, v := range a.Kwargs.Strings() {
			if k != "__reqs__" {
				kwargs.Set(k, v)
			}
		}
		v, err := c.Call.Call(ctx, "event.send", args(a.Name), kwargs)
		if err == nil {
			r.Result = v
		}
		return err
	})
	return p, nil
}

type eventWaitArgs struct {
	Name string // Tag of the event.
	Sfun any    `default:"None"` // Not looked at.
	Data any    `default:"None"` // Its data: a map.
}

// eventWait fires an event when something that it watches has changed, and only then.
func eventWait(context.Context, *states.Call, eventWaitArgs) (*states.Plan, error) {
	return &states.Plan{}, nil
}
