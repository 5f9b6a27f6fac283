package master

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/gosalt/gosalt/master/jobs"
	"github.com/gosalt/gosalt/protocol/wire"
)

// queueUntil reads until when a request wants minions that are away to get its job;
// zero where it does not.
func queueUntil(req *wire.Map) (time.Time, error) {
	micros := req.Int("until")
	if micros == 0 {
		return time.Time{}, nil
	}
	until := time.UnixMicro(micros)
	if !until.After(time.Now()) {
		return time.Time{}, &wire.Error{Kind: wire.Malformed, Op: "publish", Msg: fmt.Sprintf("the job is to wait for minions until %s, which is past", clock(until))}
	}
	return until, nil
}

// takesUnasked tells whether a minion is there that gets a job by its publish only,
// and never says that it did: Salt's own. If it were queued it might get the job again.
func (m *Master) takesUnasked(id wire.MinionID) bool {
	c := m.presence.contact(id)
	return c.Known && !c.Gosalt && c.Connected
}

// explainQueued says of a minion that is away when it still runs a job.
func explainQueued(c Contact, until time.Time) string {
	away := "It has never connected"
	if !c.Lost.IsZero() {
		away = "It has not been connected since " + clock(c.Lost)
	}
	return fmt.Sprintf("%s; it runs this job if it is back before %s.", away, clock(until))
}

// queuedJobs brings jobs that wait for a minion to those minions that do not ask for
// what they missed: Salt's own. A gosalt minion asks (wire.CmdMissed).
type queuedJobs struct {
	mu   sync.Mutex
	came map[wire.MinionID]bool // to be looked at
	wake chan struct{}
}

// back is told of a minion that has connected. It does not block.
func (q *queuedJobs) back(id wire.MinionID) {
	q.mu.Lock()
	q.came[id] = true
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *queuedJobs) take() []wire.MinionID {
	q.mu.Lock()
	defer q.mu.Unlock()
	ids := make([]wire.MinionID, 0, len(q.came))
	for id := range q.came {
		ids = append(ids, id)
	}
	clear(q.came)
	return ids
}

// serveQueued looks at each minion that connects until ctx ends.
func (m *Master) serveQueued(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-m.queued.wake:
		}
		for _, id := range m.queued.take() {
			if m.presence.contact(id).Gosalt {
				continue
			}
			waiting, err := m.waiting(ctx, id)
			if err != nil && ctx.Err() == nil {
				m.log.Error("jobs that wait for a minion cannot be read", "minion", id, "error", err)
			}
			if len(waiting) > 0 {
				wg.Go(func() { m.bring(ctx, id) })
			}
		}
	}
}

// waiting are the queued jobs that a minion has not got.
func (m *Master) waiting(ctx context.Context, id wire.MinionID) ([]jobs.Job, error) {
	missed, err := m.store.Missed(ctx, id, time.Now())
	if err != nil {
		return nil, err
	}
	var waiting []jobs.Job
	for _, j := range missed {
		t, err := m.store.Target(ctx, j.JID, id)
		if err != nil {
			return nil, err
		}
		if t.State == jobs.Queued {
			waiting = append(waiting, j)
		}
	}
	return waiting, nil
}

// bring publishes the jobs that wait for a Salt minion, once it listens: it connects
// its two sockets in no order, and what is published to nobody is lost. Each is noted
// as taken before it is sent, so that it is run once at most.
func (m *Master) bring(ctx context.Context, id wire.MinionID) {
	for try := 0; ; try++ {
		answers, err := m.probe(ctx, "test.ping", []any{}, []wire.MinionID{id}, followOptions{Timeout: 2 * time.Second})
		if err != nil {
			return
		}
		if answers[id] != nil {
			break
		}
		if try == 20 || !m.presence.contact(id).Connected {
			m.log.Warn("minion connected, but does not answer: the jobs that wait for it go on waiting", "minion", id)
			return
		}
	}
	waiting, err := m.waiting(ctx, id)
	if err != nil {
		m.log.Error("jobs that wait for a minion cannot be read", "minion", id, "error", err)
		return
	}
	for _, j := range waiting {
		load, err := wire.DecodeMap(j.Load, wire.Local, wire.Authenticated)
		if err == nil {
			err = m.store.Ack(ctx, j.JID, id, time.Now())
		}
		if err == nil {
			if live := m.live.get(j.JID); live != nil {
				live.ack(id)
			}
			load.Set("tgt", []any{string(id)})
			load.Set("tgt_type", "list")
			load.Delete("delimiter")
			err = m.send(load, []wire.MinionID{id}, true)
		}
		if err != nil {
			m.log.Error("job that waited for a minion cannot be sent", "jid", j.JID, "minion", id, "error", err)
			return
		}
		m.log.Info("job that waited for a minion is sent", "jid", j.JID, "minion", id)
	}
}

// Withdraw takes a job back from the minions that wait for it.
func (r runnerMaster) Withdraw(ctx context.Context, jid wire.JobID, user string) ([]wire.MinionID, error) {
	ids, err := r.m.store.Withdraw(ctx, jid)
	if err != nil || len(ids) == 0 {
		return ids, err
	}
	r.m.audit("job withdrawn", "user", user, "jid", string(jid), "minions", len(ids))
	if live := r.m.live.get(jid); live != nil {
		targets := make([]jobs.Target, len(ids))
		for i, id := range ids {
			targets[i] = jobs.Target{Minion: id, State: jobs.Absent}
		}
		live.raise(targets)
	}
	return ids, nil
}
