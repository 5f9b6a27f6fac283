package master

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/gosalt/gosalt/internal/target"
	"github.com/gosalt/gosalt/master/keys"
	"github.com/gosalt/gosalt/protocol/wire"
)

// resolve says which accepted minions a request's target means, and which listed ids
// have no accepted key. narrow is true where the target looks at nothing but ids,
// so that the answer is exact. A nodegroup is written out in the request, since
// minions do not know the master's groups.
func (m *Master) resolve(ctx context.Context, req *wire.Map) (ids, missing []wire.MinionID, narrow bool, err error) {
	expr, _ := req.Get("tgt")
	t, err := target.Parse(expr, req.Text("tgt_type"), m.targetOptions(ctx, req.Text("delimiter")))
	if err != nil {
		return nil, nil, false, &wire.Error{Kind: wire.Malformed, Op: "target", Msg: err.Error()}
	}
	if t.NeedsMachines() {
		req.Set(usesInventory, true)
	}
	req.Set("tgt", t.Wire())
	req.Set("tgt_type", t.Kind())
	accepted, err := m.keys.List(keys.Accepted)
	if err != nil {
		return nil, nil, false, fmt.Errorf("list accepted keys: %w", err)
	}
	known := make(map[wire.MinionID]bool, len(accepted))
	for _, id := range accepted {
		known[id] = true
	}
	data := t.NeedsGrains() || t.NeedsPillar()
	for _, id := range accepted {
		s := target.Subject{ID: string(id)}
		if data {
			if s.Grains, s.Pillar, err = m.minions.get(ctx, id); err != nil {
				return nil, nil, false, err
			}
			if s.Grains == nil && s.Pillar == nil {
				s.Unknown = target.Matches // it decides by itself; Salt's master expects it too
			}
		}
		ok, err := t.Match(s)
		if err != nil {
			return nil, nil, false, &wire.Error{Kind: wire.Malformed, Op: "target", Msg: err.Error()}
		}
		if ok {
			ids = append(ids, id)
		}
	}
	for _, text := range t.Listed() {
		id, err := wire.ParseMinionID(text)
		if err != nil {
			continue
		}
		if !known[id] && !slices.Contains(missing, id) {
			missing = append(missing, id)
		}
	}
	return ids, missing, !data, nil
}

// explainKey says what stands in the way of a minion whose key is not accepted; ""
// where it is.
func (m *Master) explainKey(id wire.MinionID) (why, text string) {
	st, err := m.keys.StateOf(id)
	switch {
	case err != nil, st == "":
		return "unknown", "There is no key of that name: it has never connected, or its key was deleted. See gosalt-key -L."
	case st == keys.Pending:
		return "pending", "Its key waits to be accepted: gosalt-key -a " + string(id)
	case st == keys.Rejected:
		return "rejected", "Its key is rejected. To accept it after all: gosalt-key -a " + string(id) + " --include-rejected"
	case st == keys.Denied:
		return "denied", "Another key than the accepted one came under its name. See gosalt-key -l denied."
	}
	return "", ""
}

// freshGrace is how long a minion may take to come after its key was accepted.
const freshGrace = 15 * time.Second

// expected tells whether a job made now can be counted on to reach the minion. Who was
// accepted a moment ago is coming, and fetches it then.
func (m *Master) expected(id wire.MinionID) bool {
	if m.presence.expected(id) {
		return true
	}
	return !m.presence.contact(id).Known && time.Since(acceptedAt(m.cfg.PKIDir, id)) < freshGrace
}
