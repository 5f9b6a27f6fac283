package minion

import (
	"bytes"
	"context"
	"time"

	"github.com/gosalt/gosalt/protocol/wire"
)

// cloudGrain is the grain with what a master's inventory knows of this machine.
const cloudGrain = "cloud"

// cloudWait is how long a minion waits for that.
const cloudWait = 10 * time.Second

// askCloud asks a gosalt master what its inventory knows of this machine, for the grain
// cloud, and tells whether that is news. A master that does not say leaves what was known.
func (m *Minion) askCloud(ctx context.Context, l *link) (changed bool) {
	c := l.current()
	if c == nil || !c.gosalt || l.stream != nil || m.cfg.NoGrains {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, cloudWait)
	defer cancel()
	v, err := l.do(ctx, wire.NewMap("cmd", wire.CmdCloud))
	if err != nil {
		l.log.Debug("the master does not say what its inventory knows of this machine", "error", err)
		return false
	}
	got, ok := v.(*wire.Map)
	if !ok {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if sameMap(l.cloud, got) {
		return false
	}
	l.cloud, m.grains = got, nil
	return true
}

// askClouds asks all masters.
func (m *Minion) askClouds(ctx context.Context) {
	for _, l := range m.links {
		m.askCloud(ctx, l)
	}
}

// addCloud puts in what the first master says that knows the machine, unless a grain of
// that name was configured. m.mu is held.
func (m *Minion) addCloud(grains *wire.Map) *wire.Map {
	if grains.Has(cloudGrain) {
		return grains
	}
	for _, l := range m.links {
		if l.cloud.Len() > 0 {
			grains.Set(cloudGrain, l.cloud)
			break
		}
	}
	return grains
}

func sameMap(a, b *wire.Map) bool {
	if a.Len() == 0 || b.Len() == 0 {
		return a.Len() == b.Len()
	}
	x, err := wire.Encode(a, wire.Local)
	y, err2 := wire.Encode(b, wire.Local)
	return err == nil && err2 == nil && bytes.Equal(x, y)
}
