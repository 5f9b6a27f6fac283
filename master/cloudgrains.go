package master

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/master/join"
	"github.com/gosalt/gosalt/protocol/wire"
)

// cloudNews are the minions whose machine is said to be another than before: they have it
// in the grain cloud.
type cloudNews struct {
	mu   sync.Mutex
	ids  map[wire.MinionID]bool
	wake chan struct{}
}

func newCloudNews() *cloudNews {
	return &cloudNews{ids: map[wire.MinionID]bool{}, wake: make(chan struct{}, 1)}
}

// add notes the minions that a change may be about.
func (n *cloudNews) add(c inventory.Change) {
	names := []string{c.Name, c.Machine.ID}
	for _, f := range c.Fields {
		if f.Name == "name" {
			names = append(names, f.Old)
		}
	}
	n.mu.Lock()
	for _, s := range names {
		if id, err := wire.ParseMinionID(s); err == nil {
			n.ids[id] = true
		}
	}
	n.mu.Unlock()
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

func (n *cloudNews) take() (ids []wire.MinionID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for id := range n.ids {
		ids = append(ids, id)
	}
	clear(n.ids)
	slices.Sort(ids)
	return ids
}

// Changes of one listing go out together, to so many minions at a time: each gets its
// pillar anew, too.
const (
	newsGather = 500 * time.Millisecond
	newsChunk  = 500
)

// tellNews has minions read their grains anew when the inventory has news of their
// machines.
func (m *Master) tellNews(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-m.cloudNews.wake:
		}
		t := time.NewTimer(newsGather)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-t.C:
		}
		here := slices.DeleteFunc(m.cloudNews.take(), func(id wire.MinionID) bool {
			c := m.presence.contact(id)
			return !c.Gosalt || !c.Connected // who connects later asks by itself
		})
		for ids := range slices.Chunk(here, newsChunk) {
			if _, err := m.probe(ctx, "saltutil.refresh_grains", []any{}, ids, followOptions{Timeout: m.cfg.Timeout}); err != nil && ctx.Err() == nil {
				m.log.Warn("minions cannot be told of changes in the inventory", "error", err)
			}
		}
	}
}

// lookAgain is how often the sources are asked at most for machines that nobody knows.
const lookAgain = 15 * time.Second

// cloudKinds are the providers of the clouds that can prove what a machine is.
var cloudKinds = map[string]string{"aws": "ec2"}

// cloudLookup finds the machines of clouds for autosign_cloud; nil without an inventory.
// One that is not known is looked for anew, as it may have just been started.
func (m *Master) cloudLookup() join.Lookup {
	if m.inv == nil {
		return nil
	}
	var mu sync.Mutex
	var looked time.Time
	var under chan struct{} // closed when the listing that is under way has ended; nil: there is none
	return func(ctx context.Context, cloud, id string) (*join.Found, error) {
		kind := cloudKinds[cloud]
		find := func() (*join.Found, error) {
			e, err := m.inv.ByID(ctx, id)
			if errors.Is(err, inventory.ErrUnknown) || err == nil && e.Kind != kind {
				return nil, nil
			}
			if err != nil {
				return nil, err
			}
			return &join.Found{Name: e.Name, Addrs: slices.Concat([]netip.Addr{}, e.Private, e.Public)}, nil
		}
		if f, err := find(); f != nil || err != nil {
			return f, err
		}
		mu.Lock()
		wait, list := under, false
		if wait == nil && time.Since(looked) > lookAgain {
			looked, list = time.Now(), true
			wait = make(chan struct{})
			under = wait
		}
		mu.Unlock()
		switch {
		case list:
			_, err := m.inv.RefreshAll(ctx, kind)
			mu.Lock()
			under = nil
			mu.Unlock()
			close(wait)
			if err != nil {
				return nil, err
			}
		case wait != nil: // who asked first has the sources listed for all
			select {
			case <-wait:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		// A listing may also have ended since it was looked for.
		return find()
	}
}
