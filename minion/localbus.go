package minion

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/gosalt/gosalt/protocol/control"
	"github.com/gosalt/gosalt/protocol/wire"
)

// localBus is the minion's own event bus: event.fire and gosalt-call put events on it,
// state.event watches them. Nothing is kept for those who come later. The zero value is ready.
type localBus struct {
	mu       sync.Mutex
	watchers map[chan localEvent]bool
}

type localEvent struct {
	tag  string
	data *wire.Map // read only
}

// waiting is how many events a watcher may leave unread; it loses those above.
const waiting = 256

// maxWatchers bounds what watching costs the minion.
const maxWatchers = 16

func (b *localBus) publish(tag string, data *wire.Map) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.watchers) == 0 {
		return
	}
	data = data.Clone()
	data.Set("_stamp", time.Now().UTC().Format("2006-01-02T15:04:05.000000"))
	for w := range b.watchers {
		select {
		case w <- localEvent{tag, data}:
		default:
		}
	}
}

// Fire puts an event on the bus; see module.Bus.
func (b *localBus) Fire(_ context.Context, tag string, data *wire.Map) error {
	b.publish(tag, data)
	return nil
}

// Watch shows the events to fn; see module.Bus.
func (b *localBus) Watch(ctx context.Context, fn func(tag string, data *wire.Map) (bool, error)) error {
	return b.watch(ctx, func() error { return nil }, fn)
}

// watch is Watch, and calls begun when no event is missed any more.
func (b *localBus) watch(ctx context.Context, begun func() error, fn func(tag string, data *wire.Map) (bool, error)) error {
	w := make(chan localEvent, waiting)
	b.mu.Lock()
	full := len(b.watchers) >= maxWatchers
	if !full {
		if b.watchers == nil {
			b.watchers = map[chan localEvent]bool{}
		}
		b.watchers[w] = true
	}
	b.mu.Unlock()
	if full {
		return errors.New("too many watch the events of this minion: end one of them first")
	}
	defer func() {
		b.mu.Lock()
		delete(b.watchers, w)
		b.mu.Unlock()
	}()
	if err := begun(); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e := <-w:
			if more, err := fn(e.tag, e.data); err != nil || !more {
				return err
			}
		}
	}
}

// sendEvents sends events over a connection until the other end closes it.
func (m *Minion) sendEvents(c *control.Conn) error {
	ctx, cancel := context.WithCancel(m.ctx)
	defer cancel()
	c.SetReadDeadline(time.Time{})
	stop := context.AfterFunc(ctx, func() { c.SetReadDeadline(time.Now()) })
	defer stop()
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		c.Recv() // the other end says nothing more
		cancel()
	}()
	defer func() { cancel(); <-gone }()
	send := func(f *wire.Map) error {
		c.SetWriteDeadline(time.Now().Add(localTimeout))
		return c.Send(f)
	}
	begun := func() error { return send(wire.NewMap("kind", control.KindResult)) }
	err := m.bus.watch(ctx, begun, func(tag string, data *wire.Map) (bool, error) {
		return true, send(wire.NewMap("kind", control.KindEvent, "tag", tag, "data", data))
	})
	if err != nil && ctx.Err() == nil {
		return send(wire.NewMap("kind", control.KindError, "error", err.Error()))
	}
	return nil
}

// heed does what the minion does of itself for an event that gosalt-call fired: what was
// read anew there is read anew here.
func (m *Minion) heed(tag string) {
	for prefix, what := range map[string]string{"pillar_refresh": "pillar", "grains_refresh": "grains"} {
		if len(tag) >= len(prefix) && tag[:len(prefix)] == prefix {
			m.background.Go(func() {
				if err := m.refresh(m.ctx, what); err != nil && m.ctx.Err() == nil {
					m.log.Warn("refresh that an event asked for", "tag", tag, "error", err)
				}
			})
		}
	}
}

// there is the bus of the minion on this machine, as gosalt-call sees it.
type there struct{ m *Minion }

func (t there) Fire(ctx context.Context, tag string, data *wire.Map) error {
	_, err := t.m.askThere(ctx, wire.NewMap("op", opFire, "tag", tag, "data", data))
	return err
}

func (t there) Watch(ctx context.Context, fn func(tag string, data *wire.Map) (bool, error)) error {
	c, err := control.Dial(ctx, t.m.localSocket())
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	c.SetWriteDeadline(time.Now().Add(localTimeout))
	if err := c.Send(wire.NewMap("op", opWatch)); err != nil {
		return err
	}
	for {
		f, err := c.Recv()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return errors.New("the minion has ended")
		case f.Text("kind") == control.KindError:
			return errors.New(f.Text("error"))
		case f.Text("kind") == control.KindEvent:
			if more, err := fn(f.Text("tag"), f.Map("data")); err != nil || !more {
				return err
			}
		}
	}
}
