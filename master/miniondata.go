package master

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/gosalt/gosalt/master/jobs"
	"github.com/gosalt/gosalt/master/keys"
	"github.com/gosalt/gosalt/protocol/seal"
	"github.com/gosalt/gosalt/protocol/wire"
)

// minionData is what minions told of themselves, in the job store, and the names
// under which their subscriptions come.
type minionData struct {
	store jobs.Store
	keys  *keys.Store
	off   bool // minion_data_cache: False

	mineLocks *mineLocks

	mu     sync.Mutex
	topics map[string]wire.MinionID
	listed []wire.MinionID // whose digests topics has
}

// set keeps a minion's grains and pillar; a pillar that is nil stays as it was.
func (d *minionData) set(ctx context.Context, id wire.MinionID, grains, pillar *wire.Map) error {
	if d.off || grains == nil {
		return nil
	}
	g, err := wire.Encode(grains, wire.Local)
	if err != nil {
		return fmt.Errorf("keep grains of %s: %w", id, err)
	}
	var p []byte
	if pillar != nil {
		if p, err = wire.Encode(pillar, wire.Local); err != nil {
			return fmt.Errorf("keep pillar of %s: %w", id, err)
		}
	}
	if err := d.store.SetMinionData(ctx, jobs.MinionData{ID: id, Grains: g, Pillar: p, Updated: time.Now()}); err != nil {
		return fmt.Errorf("keep grains and pillar of %s: %w", id, err)
	}
	return nil
}

// get returns the grains and pillar of a minion; both are nil where none are known.
func (d *minionData) get(ctx context.Context, id wire.MinionID) (grains, pillar *wire.Map, err error) {
	data, err := d.store.MinionData(ctx, id)
	if errors.Is(err, jobs.ErrUnknown) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	if grains, err = unpack(data.Grains); err != nil {
		return nil, nil, fmt.Errorf("stored grains of %s: %w", id, err)
	}
	if pillar, err = unpack(data.Pillar); err != nil {
		return nil, nil, fmt.Errorf("stored pillar of %s: %w", id, err)
	}
	return grains, pillar, nil
}

func unpack(b []byte) (*wire.Map, error) {
	if len(b) == 0 {
		return nil, nil
	}
	return wire.DecodeMap(b, wire.Local, wire.Authenticated)
}

// byTopic finds the accepted minion whose name has this digest.
func (d *minionData) byTopic(topic string) (wire.MinionID, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if id, ok := d.topics[topic]; ok {
		return id, true
	}
	ids, err := d.keys.List(keys.Accepted)
	if err != nil || d.topics != nil && slices.Equal(ids, d.listed) {
		return "", false
	}
	d.listed = slices.Clone(ids)
	d.topics = make(map[string]wire.MinionID, len(ids))
	for _, id := range ids {
		d.topics[seal.Topic(id)] = id
	}
	id, ok := d.topics[topic]
	return id, ok
}
