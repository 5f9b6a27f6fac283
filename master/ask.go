package master

import (
	"context"
	"errors"

	"github.com/gosalt/gosalt/internal/returners"
	"github.com/gosalt/gosalt/master/jobs"
	"github.com/gosalt/gosalt/master/keys"
	"github.com/gosalt/gosalt/master/runners"
	"github.com/gosalt/gosalt/protocol/control"
	"github.com/gosalt/gosalt/protocol/wire"
)

// runnerMaster is the master as its runners see it.
type runnerMaster struct{ m *Master }

func (r runnerMaster) ID() string { return r.m.cfg.ID }

func (r runnerMaster) Pillars() runners.Pillars { return r.m.pillars }

func (r runnerMaster) Jobs() jobs.Store { return r.m.store }

// KeepsJobs tells whether results are kept in the store (job_cache).
func (r runnerMaster) KeepsJobs() bool { return r.m.cfg.JobCache }

func (r runnerMaster) Reader(name string) (returners.Reader, error) {
	return r.m.returners.Reader(returners.Dest{Name: name})
}

func (r runnerMaster) Accepted() ([]wire.MinionID, error) { return r.m.keys.List(keys.Accepted) }

func (r runnerMaster) Connected() map[wire.MinionID]bool { return r.m.presence.connectedIDs() }

func (r runnerMaster) Address(id wire.MinionID) string {
	p := r.m.presence
	p.mu.Lock()
	defer p.mu.Unlock()
	if m := p.minions[id]; m != nil && m.addr.IsValid() {
		return m.addr.String()
	}
	return ""
}

func (r runnerMaster) DeleteKey(id wire.MinionID, user string) error {
	err := r.m.keys.Delete(keys.Accepted, id)
	if errors.Is(err, keys.ErrUnknown) {
		return nil // somebody else was faster
	}
	r.m.audit("key deleted", "user", user, "minion", string(id), "result", err == nil)
	r.m.keysChanged()
	return err
}

func (r runnerMaster) Explain(ctx context.Context, jid wire.JobID, id wire.MinionID) string {
	if why, text := r.m.explainKey(id); why != "" {
		return text
	}
	job := r.m.live.get(jid)
	if job == nil {
		t, err := r.m.store.Target(ctx, jid, id)
		if err != nil {
			return "Nothing is known of it."
		}
		job = newLiveJob(jid, nil, []jobs.Target{t})
		job.targets[id].acked = t.AckedAt
		if j, err := r.m.store.Job(ctx, jid); err == nil {
			job.Expiry, job.Until = j.Expiry, t.QueuedUntil
		}
	}
	_, text := r.m.explain(job, id, nil)
	return text
}

// Ask runs a function on minions and collects what comes back.
func (r runnerMaster) Ask(ctx context.Context, a runners.Ask) (ans runners.Answer, err error) {
	m := r.m
	kind := a.Type
	if kind == "" {
		kind = "glob"
	}
	req := wire.NewMap("tgt", a.Target, "tgt_type", kind, "fun", a.Fun, "arg", a.Args)
	if a.Args == nil {
		req.Set("arg", []any{})
	}
	if a.Ret != "" {
		req.Set("ret", a.Ret)
	}
	if a.Like != nil {
		req.Set("fun", "test.ping") // takes the place of a function until the target is known
		req.Set("delimiter", a.Like.Delimiter)
	}
	ids, missing, narrow, err := m.resolve(ctx, req)
	if err != nil {
		return runners.Answer{}, err
	}
	ans = runners.Answer{Asked: ids, Missing: missing, Returns: map[wire.MinionID]*wire.Map{}}
	if a.Fun == "saltutil.running" {
		defer m.ssh.addRunning(&ans)
	}
	if len(ids) == 0 {
		return ans, nil
	}
	job, err := jobOf(req)
	if err != nil {
		return ans, err
	}
	if a.Like != nil {
		job = a.Like.Again(job)
	}
	job.User = a.User
	live, w, err := m.publish(ctx, order{Job: job, Targets: ids, Missing: missing, Narrow: narrow, Watch: true})
	if err != nil {
		return ans, err
	}
	defer w.close()
	ans.JID = live.JID
	if a.Begun != nil {
		a.Begun(live.JID)
	}
	o := followOptions{Timeout: m.cfg.Timeout, Gather: m.cfg.GatherJobTimeout}
	if a.Timeout > 0 {
		o.Timeout = a.Timeout
	}
	if a.Gather > 0 {
		o.Gather = a.Gather
	}
	err = m.follow(ctx, live, w, o, func(f *wire.Map) error {
		if f.Text("kind") == control.KindReturn {
			ans.Returns[wire.MinionID(f.Text("id"))] = f.Map("load")
		}
		return nil
	})
	return ans, err
}
