package master

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/gosalt/gosalt/internal/doctor"
	"github.com/gosalt/gosalt/internal/version"
	"github.com/gosalt/gosalt/master/keys"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Doctor looks for what is wrong with this master and with the minions of a target.
func (r runnerMaster) Doctor(ctx context.Context, tgt any, kind string, timeout time.Duration) ([]doctor.Finding, error) {
	m := r.m
	req := wire.NewMap("tgt", tgt, "tgt_type", kind)
	ids, missing, _, err := m.resolve(ctx, req)
	if err != nil {
		return nil, err
	}
	own, err := m.examineSelf()
	if err != nil {
		return nil, err
	}
	if tgt == "*" { // whoever has a key
		for _, st := range []keys.State{keys.Pending, keys.Rejected} {
			more, err := m.keys.List(st)
			if err != nil {
				return nil, fmt.Errorf("list keys: %w", err)
			}
			missing = append(missing, more...)
		}
	}
	found, err := m.examineMinions(ctx, ids, timeout)
	if err != nil {
		return nil, err
	}
	for _, id := range missing {
		r := doctor.Report{Where: string(id)}
		why, text := m.explainKey(id)
		switch why {
		case "pending":
			r.Warn("key", "compare its fingerprint: gosalt-key -f "+string(id)+"; then: gosalt-key -a "+string(id), "its key waits to be accepted.")
		case "rejected":
			r.Warn("key", "gosalt-key -a "+string(id)+" --include-rejected, if that was wrong", "its key is rejected.")
		case "":
		default:
			r.Wrong("key", "gosalt-key -L", "%s", text)
		}
		found = append(found, r.Findings...)
	}
	if len(ids)+len(missing) == 0 && tgt != "*" {
		own.Wrong("target", "list keys: gosalt-key -L", "no minion matches %v.", tgt)
	}
	return append(own.Findings, found...), nil
}

// examineSelf looks at the master process.
func (m *Master) examineSelf() (*doctor.Report, error) {
	r := &doctor.Report{Where: "master"}
	r.OK("process", "running as pid %d since %s, version %s.", os.Getpid(), clock(m.started), version.Gosalt())
	accepted, err := m.keys.List(keys.Accepted)
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	pending, err := m.keys.List(keys.Pending)
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	denied, err := m.keys.List(keys.Denied)
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	connected := len(m.presence.connectedIDs())
	switch {
	case len(accepted) == 0 && len(pending) == 0:
		r.Warn("keys", "start minions with this machine as their master", "no minion has ever come here.")
	case len(pending) > 0:
		r.Warn("keys", "list them: gosalt-key -l un", "%d keys are accepted, %d wait to be accepted.", len(accepted), len(pending))
	default:
		r.OK("keys", "%d keys are accepted.", len(accepted))
	}
	if len(denied) > 0 {
		r.Warn("keys", "see: gosalt-key -l denied", "%d other keys came under the names of accepted minions, and were refused.", len(denied))
	}
	r.OK("minions", "%d of %d minions are connected.", connected, len(accepted))
	if n := 2*len(accepted) + 100; m.cfg.MaxConnections > 0 && n > m.cfg.MaxConnections {
		r.Warn("connections", "raise max_connections in the master's configuration", "max_connections is %d, and %d minions need up to %d.", m.cfg.MaxConnections, len(accepted), n)
	}
	r.Descriptors(uint64(2*len(accepted) + 200))
	if n := m.refusals.Load(); n > 0 {
		r.Warn("refusals", "see the master's log for: refused", "%d messages were refused since the start.", n)
	}
	return r, nil
}

// clockWarning is by how much a minion's clock may be off before it is told.
const clockWarning = 15 * time.Second

// examineMinions looks at minions whose key is accepted, and asks those that are there.
func (m *Master) examineMinions(ctx context.Context, ids []wire.MinionID, timeout time.Duration) ([]doctor.Finding, error) {
	var there []wire.MinionID
	for _, id := range ids {
		if m.presence.contact(id).Connected {
			there = append(there, id)
		}
	}
	o := followOptions{Timeout: m.cfg.Timeout, Gather: m.cfg.GatherJobTimeout}
	if timeout > 0 {
		o.Timeout = timeout
	}
	answers, err := m.probe(ctx, "doctor.check", []any{}, there, o)
	if err != nil {
		return nil, err
	}
	// Salt's own minions do not have that function.
	salts := slices.DeleteFunc(slices.Clone(there), func(id wire.MinionID) bool {
		load := answers[id]
		return load == nil || load.Map("return") != nil
	})
	versions, err := m.probe(ctx, "test.version", []any{}, salts, o)
	if err != nil {
		return nil, err
	}
	var out []doctor.Finding
	for _, id := range ids {
		r := &doctor.Report{Where: string(id)}
		c := m.presence.contact(id)
		switch load := answers[id]; {
		case !c.Connected:
			why, text := m.explain(newLiveJob("", nil, nil), id, nil)
			r.Wrong("connection", nextStep(why, id), "%s", text)
		case load == nil:
			r.Wrong("answer", "look at its log, and at its load: gosalt "+string(id)+" status.loadavg", "it has been connected since %s, but does not answer.", clock(c.Since))
		default:
			r.OK("connection", "connected.")
			m.examineAnswer(r, id, load, versions[id])
		}
		out = append(out, r.Findings...)
	}
	return out, nil
}

// examineAnswer reads what a minion says of itself.
func (m *Master) examineAnswer(r *doctor.Report, id wire.MinionID, load, salt *wire.Map) {
	if behind, ok := m.troubles.clock(id); ok {
		switch {
		case behind > clockWarning:
			r.Warn("clock", "set it, for example with: timedatectl set-ntp true", "its clock is %s behind the master's.", behind.Round(time.Second))
		case behind < -clockWarning:
			r.Warn("clock", "set it, for example with: timedatectl set-ntp true", "its clock is %s ahead of the master's.", (-behind).Round(time.Second))
		default:
			r.OK("clock", "its clock agrees with the master's.")
		}
	}
	answer := load.Map("return")
	if answer == nil {
		if v := salt.Text("return"); v != "" {
			r.OK("version", "Salt's own minion, version %s.", v)
		}
		return
	}
	if v := answer.Text("version"); v != version.Gosalt() {
		r.Warn("version", "bring master and minion to one version", "its version is %s, the master's %s.", v, version.Gosalt())
	} else {
		r.OK("version", "version %s, as the master.", v)
	}
	for _, v := range answer.List("findings") {
		f, ok := v.(*wire.Map)
		if !ok {
			continue
		}
		finding := doctor.FromMap(f)
		finding.Where = string(id) // whatever it calls itself
		r.Findings = append(r.Findings, finding)
	}
}

// nextStep is what to do about a minion that is not there.
func nextStep(why string, id wire.MinionID) string {
	switch why {
	case "never":
		return "start gosalt-minion there, with this machine as its master; or, if it is gone for good: gosalt-key -d " + string(id)
	case "disconnected":
		return "see whether the machine and gosalt-minion run there, and whether it reaches this master's ports: gosalt-call test.ping"
	case "denied":
		return "compare fingerprints: gosalt-key -f " + string(id)
	}
	return "see the minion's log"
}
