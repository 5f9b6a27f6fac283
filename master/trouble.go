package master

import (
	"sync"
	"time"

	"github.com/gosalt/gosalt/master/keys"
	"github.com/gosalt/gosalt/protocol/wire"
)

// troubles remembers why the last message of a minion was turned away, and by how
// much its clock is off: what a missing minion's reason is made of. Only messages
// that an accepted key stands behind are noted, so there is one entry for each of
// those at most.
type troubles struct {
	mu     sync.Mutex
	last   map[wire.MinionID]trouble
	clocks map[wire.MinionID]time.Duration
}

type trouble struct {
	at   time.Time
	text string
}

func (t *troubles) note(id wire.MinionID, text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.last == nil {
		t.last = map[wire.MinionID]trouble{}
	}
	t.last[id] = trouble{at: time.Now(), text: text}
}

// well forgets a trouble that is over, and notes the time stamp of a good message.
func (t *troubles) well(id wire.MinionID, ts int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.last, id)
	if ts == 0 {
		return
	}
	if t.clocks == nil {
		t.clocks = map[wire.MinionID]time.Duration{}
	}
	t.clocks[id] = time.Since(time.Unix(ts, 0))
}

// clock is by how much a minion's clock is behind ours; less than nothing is ahead.
// Stamps are in whole seconds.
func (t *troubles) clock(id wire.MinionID) (behind time.Duration, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	behind, ok = t.clocks[id]
	return behind, ok
}

func (t *troubles) of(id wire.MinionID) (trouble, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	tr, ok := t.last[id]
	return tr, ok
}

func (t *troubles) forget(id wire.MinionID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.last, id)
	delete(t.clocks, id)
}

// otherKey tells whether another key than the accepted one came under a minion's name.
func (m *Master) otherKey(id wire.MinionID) bool {
	_, err := m.keys.Read(keys.Denied, id)
	return err == nil
}
