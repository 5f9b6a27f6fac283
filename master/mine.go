package master

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"strings"
	"sync"
	"time"

	"github.com/gosalt/gosalt/internal/target"
	"github.com/gosalt/gosalt/master/jobs"
	"github.com/gosalt/gosalt/protocol/wire"
)

// maxMine is the size in bytes of the largest mine that is kept for one minion, packed.
const maxMine = 16 << 20

// mineLocks order the changes of one minion's mine: each reads the whole of it.
type mineLocks struct {
	seed  maphash.Seed
	locks [64]sync.Mutex
}

func newMineLocks() *mineLocks { return &mineLocks{seed: maphash.MakeSeed()} }

func (l *mineLocks) of(id wire.MinionID) *sync.Mutex {
	return &l.locks[maphash.String(l.seed, string(id))%uint64(len(l.locks))]
}

// changeMine has change work on what is stored of a minion's mine, a map of its own,
// and stores what it returns; nil leaves it as it was.
func (m *Master) changeMine(ctx context.Context, id wire.MinionID, change func(*wire.Map) *wire.Map) error {
	lock := m.minions.mineLocks.of(id)
	lock.Lock()
	defer lock.Unlock()
	old, err := m.mineOf(ctx, id)
	if err != nil {
		return err
	}
	if old == nil {
		old = wire.NewMap()
	}
	mine := change(old)
	if mine == nil {
		return nil
	}
	packed := []byte{}
	if mine.Len() > 0 {
		if packed, err = wire.Encode(mine, wire.Local); err != nil {
			return fmt.Errorf("keep the mine of %s: %w", id, err)
		}
	}
	if len(packed) > maxMine {
		return &wire.Error{Kind: wire.Forbidden, Op: wire.CmdMine, Msg: fmt.Sprintf("the mine of %s would have %d bytes, and at most %d are kept: send less, or remove old values with mine.flush", id, len(packed), maxMine)}
	}
	return m.store.SetMinionData(ctx, jobs.MinionData{ID: id, Mine: packed, Updated: time.Now()})
}

// mineOf is the stored mine of a minion, nil where there is none.
func (m *Master) mineOf(ctx context.Context, id wire.MinionID) (*wire.Map, error) {
	d, err := m.store.MinionData(ctx, id)
	if errors.Is(err, jobs.ErrUnknown) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	mine, err := unpack(d.Mine)
	if err != nil {
		return nil, fmt.Errorf("stored mine of %s: %w", id, err)
	}
	return mine, nil
}

// mineKept tells whether there is a mine at all: Salt ties it to the cache of grains.
func (m *Master) mineKept() bool { return m.cfg.MinionDataCache || m.cfg.EnforceMineCache }

// handleMine adds values to the minion's own mine. With clear they replace all others,
// which Salt's master means to do, too, and fails.
func (m *Master) handleMine(ctx context.Context, from *minionRequest) (any, error) {
	req, err := wire.MineFromMap(from.Load)
	if err != nil {
		return false, err
	}
	if req.ID != from.ID {
		return false, m.notYours(from, string(req.ID))
	}
	if !m.mineKept() {
		return true, nil
	}
	err = m.changeMine(ctx, from.ID, func(old *wire.Map) *wire.Map {
		if req.Clear {
			return req.Data
		}
		for k, v := range req.Data.Strings() {
			old.Set(k, v)
		}
		return old
	})
	return err == nil, err
}

// notYours refuses what a minion asks in the name of another.
func (m *Master) notYours(from *minionRequest, id string) error {
	return &wire.Error{Kind: wire.Forbidden, Op: from.Load.Text("cmd"), Msg: fmt.Sprintf("%s may not do this for %s", from.ID, id)}
}

// handleMineDelete removes one value of the minion's own mine.
func (m *Master) handleMineDelete(ctx context.Context, from *minionRequest) (any, error) {
	fun, ok := from.Load.Get("fun")
	name, isText := fun.(string)
	if !ok || !isText {
		return false, &wire.Error{Kind: wire.Malformed, Op: wire.CmdMineDelete, Msg: fmt.Sprintf("fun is %s: the name of a value is expected", wire.TypeName(fun))}
	}
	err := m.changeMine(ctx, from.ID, func(mine *wire.Map) *wire.Map {
		if !mine.Has(name) {
			return nil
		}
		mine.Delete(name)
		return mine
	})
	return err == nil, err
}

// handleMineFlush removes all of the minion's own mine.
func (m *Master) handleMineFlush(ctx context.Context, from *minionRequest) (any, error) {
	err := m.changeMine(ctx, from.ID, func(*wire.Map) *wire.Map { return wire.NewMap() })
	return err == nil, err
}

// handleMineGet answers with values of other minions' mines, those that this one may read.
func (m *Master) handleMineGet(ctx context.Context, from *minionRequest) (any, error) {
	req, err := wire.MineGetFromMap(from.Load)
	if err == nil && req.ID != from.ID {
		err = m.notYours(from, string(req.ID))
	}
	var out *wire.Map
	if err == nil {
		out, err = m.mineGet(ctx, req)
	}
	if err != nil && !from.Gosalt {
		// A Salt minion takes an empty text for the answer; its own master would say
		// that nothing was found.
		m.log.Warn("request for the mine refused", "minion", from.ID, "error", err)
		return wire.NewMap(), nil
	}
	return out, err
}

// mineGet reads the mine for a minion, or for the master itself.
func (m *Master) mineGet(ctx context.Context, req *wire.MineGet) (*wire.Map, error) {
	names, many := wire.MineFunctions(req.Fun)
	if m.cfg.MineGet != nil {
		if names = m.minePermits(req.ID, names); len(names) == 0 {
			m.log.Warn("minion may not read this of the mine (mine_get)", "minion", req.ID, "fun", req.Fun)
			return wire.NewMap(), nil
		}
	}
	// Whoever reads the mine must not learn of the pillar of others by trying patterns.
	kind := strings.ToLower(req.TgtType)
	switch kind {
	case "pillar", "pillar_pcre":
		kind = "pillar_exact"
	case "compound":
		kind = "compound_pillar_exact"
	}
	t, err := target.Parse(req.Tgt, kind, target.Options{Nodegroups: m.cfg.Nodegroups})
	if err != nil {
		return nil, &wire.Error{Kind: wire.Malformed, Op: wire.CmdMineGet, Msg: err.Error()}
	}
	out := wire.NewMap()
	left := int64(m.cfg.MaxReturn)
	inRoster := m.ofRoster(ctx)
	for d, err := range m.minesOf(ctx, t) {
		if err != nil {
			return nil, err
		}
		if ok, err := m.matchesCached(ctx, t, d.ID, target.Differs); err != nil {
			return nil, err
		} else if !ok {
			continue
		}
		if _, err := m.keys.Accepted(d.ID); err != nil && !inRoster(d.ID) {
			continue // its key was deleted while its data were kept, or is rejected
		}
		mine, err := unpack(d.Mine)
		if err != nil {
			m.log.Error("stored mine cannot be read", "minion", d.ID, "error", err)
			continue
		}
		for _, name := range names {
			v, ok := mine.Get(name)
			if ok {
				v, ok = m.mineValue(ctx, v, req.ID)
			}
			if !ok {
				continue
			}
			if left -= int64(len(d.Mine)); left < 0 {
				return nil, &wire.Error{Kind: wire.Forbidden, Op: wire.CmdMineGet, Msg: fmt.Sprintf("the answer would be larger than max_return (%d bytes): ask for fewer minions or values", m.cfg.MaxReturn)}
			}
			if !many {
				out.Set(string(d.ID), v)
				continue
			}
			if !out.Has(name) {
				out.Set(name, wire.NewMap())
			}
			out.Map(name).Set(string(d.ID), v)
		}
	}
	return out, nil
}

// minesOf yields the stored mines of at least the minions that a target means.
func (m *Master) minesOf(ctx context.Context, t *target.Target) func(func(jobs.MinionData, error) bool) {
	ids := t.Listed()
	if t.ID() != "" {
		ids = []string{t.ID()}
	} else if t.Kind() != "list" || len(ids) > 100 {
		return m.store.Mines(ctx)
	}
	return func(yield func(jobs.MinionData, error) bool) {
		seen := map[string]bool{}
		for _, text := range ids {
			id, err := wire.ParseMinionID(text)
			if err != nil || seen[text] {
				continue
			}
			seen[text] = true
			d, err := m.store.MinionData(ctx, id)
			if errors.Is(err, jobs.ErrUnknown) {
				continue
			}
			if !yield(d, err) {
				return
			}
		}
	}
}

// The shape of a value that its minion does not let everybody read.
const (
	mineACLMark = "__saltmine_acl__"
	mineACLData = "__data__"
)

// mineValue takes off a value's restriction, and tells whether the reader may have it.
func (m *Master) mineValue(ctx context.Context, v any, reader wire.MinionID) (any, bool) {
	entry, ok := v.(*wire.Map)
	if !ok || !entry.Has(mineACLMark) {
		return v, true
	}
	v, _ = entry.Get(mineACLData)
	allow, restricted := entry.Get("allow_tgt")
	if !restricted {
		return v, true
	}
	t, err := target.Parse(allow, entry.Text("allow_tgt_type"), target.Options{Nodegroups: m.cfg.Nodegroups})
	if err != nil {
		m.log.Warn("allow_tgt of a value in the mine cannot be read: nobody gets it", "error", err)
		return nil, false
	}
	// The reader's grains are known: a minion brings them when it connects. Of one
	// whose are not, nothing is taken for granted.
	ok, err = m.matchesCached(ctx, t, reader, target.Denies)
	return v, err == nil && ok
}

// matchesCached holds a minion against a target by what is known of it here.
func (m *Master) matchesCached(ctx context.Context, t *target.Target, id wire.MinionID, unknown target.Unknown) (bool, error) {
	s := target.Subject{ID: string(id), Unknown: unknown}
	if t.NeedsGrains() || t.NeedsPillar() {
		var err error
		if s.Grains, s.Pillar, err = m.minions.get(ctx, id); err != nil {
			return false, err
		}
		if s.Grains != nil || s.Pillar != nil {
			s.Unknown = target.Seen
		}
	}
	ok, err := t.Match(s)
	if err != nil {
		return false, &wire.Error{Kind: wire.Malformed, Op: "target", Msg: err.Error()}
	}
	return ok, nil
}

// minePermits are those of the names that mine_get lets a minion read: a map of
// expressions for ids to lists of expressions for names.
func (m *Master) minePermits(id wire.MinionID, names []string) (may []string) {
	perms := permitted(m.cfg.MineGet, string(id))
	for _, name := range names {
		for _, p := range perms {
			if expr, ok := p.(string); ok && matchesStart(expr, name) {
				may = append(may, name)
				break
			}
		}
	}
	return may
}

// permitted are the entries of all lists whose key means an id, in an option of the
// kind of peer: a map of expressions for ids to lists.
func permitted(rules *wire.Map, id string) (perms []any) {
	for expr, v := range rules.Strings() {
		if list, ok := v.([]any); ok && matchesStart(expr, id) {
			perms = append(perms, list...)
		}
	}
	return perms
}

// matchesStart is how Salt reads the expressions of these options: a regular
// expression for the beginning of a text. One that cannot be read matches nothing.
func matchesStart(expr, text string) bool {
	t, err := target.Parse(expr, "pcre", target.Options{})
	if err != nil {
		return false
	}
	ok, err := t.Match(target.Subject{ID: text})
	return err == nil && ok
}

// clearMine removes of a minion's mine one value, or all where name is "".
func (m *Master) clearMine(ctx context.Context, id wire.MinionID, name string) error {
	return m.changeMine(ctx, id, func(mine *wire.Map) *wire.Map {
		if name == "" {
			return wire.NewMap()
		}
		mine.Delete(name)
		return mine
	})
}
