package master

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/gosalt/gosalt/master/events"
	"github.com/gosalt/gosalt/protocol/wire"
)

// tellPresence fires an event every loop_interval about who is connected, and before
// it one about who came and went since the last (presence_events).
func (m *Master) tellPresence(ctx context.Context) error {
	t := time.NewTicker(max(m.cfg.LoopInterval, time.Second))
	defer t.Stop()
	before := map[wire.MinionID]bool{}
	for {
		now := m.presence.connectedIDs()
		came, gone, present := []any{}, []any{}, []any{}
		for _, id := range slices.Sorted(maps.Keys(now)) {
			present = append(present, string(id))
			if !before[id] {
				came = append(came, string(id))
			}
		}
		for _, id := range slices.Sorted(maps.Keys(before)) {
			if !now[id] {
				gone = append(gone, string(id))
			}
		}
		if len(came)+len(gone) > 0 {
			m.bus.Publish(events.PresenceChange, wire.NewMap("new", came, "lost", gone))
		}
		m.bus.Publish(events.PresencePresent, wire.NewMap("present", present))
		before = now
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}
