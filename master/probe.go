package master

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/ssh"
)

// probe asks minions something on the master's own account and returns what those
// returned that answered in time. Who cannot be reached is not waited for.
func (m *Master) probe(ctx context.Context, fun string, arg []any, ids []wire.MinionID, o followOptions) (map[wire.MinionID]*wire.Map, error) {
	answers := map[wire.MinionID]*wire.Map{}
	open := map[wire.MinionID]bool{}
	for _, id := range ids {
		if m.expected(id) {
			open[id] = true
		}
	}
	if len(open) == 0 {
		return answers, nil
	}
	w, err := m.publishInternal(fun, arg, slices.DeleteFunc(slices.Clone(ids), func(id wire.MinionID) bool { return !open[id] }))
	if err != nil {
		return nil, err
	}
	defer w.close()
	late := time.NewTimer(o.Timeout)
	defer late.Stop()
	over := time.NewTimer(o.Timeout + o.Gather)
	defer over.Stop()
	for len(open) > 0 {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-w.ready:
			for _, e := range w.take() {
				if !e.progress && open[e.id] {
					delete(open, e.id)
					answers[e.id] = e.load
				}
			}
		case <-late.C: // whose connection has ended meanwhile is not waited for any longer
			for id := range open {
				if c := m.presence.contact(id); !c.Connected && !c.Settling {
					delete(open, id)
				}
			}
		case <-over.C:
			return answers, nil
		}
	}
	return answers, nil
}

// subset chooses as many of the minions as the request asks for, at random among
// those that answer and have the job's functions, and makes them the job's target.
func (m *Master) subset(ctx context.Context, req *wire.Map, job *wire.Job, ids []wire.MinionID, hosts []ssh.Host) (chosen, missing []wire.MinionID, err error) {
	var funs []any
	for _, c := range job.Calls() {
		funs = append(funs, c.Fun)
	}
	chosen = sshTargets(hosts) // an agent has all functions
	asked := slices.DeleteFunc(slices.Clone(ids), func(id wire.MinionID) bool { return slices.Contains(chosen, id) })
	answers, err := m.probe(ctx, "sys.list_functions", funs, asked, m.followOptions(req))
	if err != nil {
		return nil, nil, err
	}
	for id, load := range answers {
		has := load.List("return")
		if !slices.ContainsFunc(funs, func(f any) bool { return !slices.Contains(has, f) }) {
			chosen = append(chosen, id)
		}
	}
	slices.Sort(chosen)
	rand.Shuffle(len(chosen), func(i, j int) { chosen[i], chosen[j] = chosen[j], chosen[i] })
	chosen = chosen[:min(len(chosen), int(min(req.Int("subset"), 1<<30)))]
	slices.Sort(chosen)
	job.Tgt, job.TgtType, job.Delimiter = texts(chosen), "list", ""
	return chosen, nil, nil
}
