package master

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/gosalt/gosalt/master/jobs"
	"github.com/gosalt/gosalt/protocol/control"
	"github.com/gosalt/gosalt/protocol/wire"
)

// followOptions says how long to wait for the returns of a job.
type followOptions struct {
	Timeout time.Duration // before the missing are asked whether they still run the job
	Gather  time.Duration // for the answers to that question
	Counter bool          // the caller shows how many have returned so far
	Live    bool          // the caller shows what minions report while they work
	// Spare has the job done over SSH by the machines of minions that did not take it, as they
	// are gone or do not answer, and returns those of which it cannot be; may be nil.
	Spare func(ids []wire.MinionID) (left []wire.MinionID)
}

// follower waits for the returns of one job on behalf of one caller and tells what
// it sees as frames of the control socket. It keeps Salt's rules (a minion that
// says it still runs the job is waited for), and uses what gosalt minions tell by
// themselves: whoever is known to be gone is not waited for.
type follower struct {
	m       *Master
	job     *liveJob
	watch   *watcher
	opts    followOptions
	emit    func(*wire.Map) error
	pending map[wire.MinionID]bool      // still waited for
	running map[wire.MinionID]time.Time // said at that time that it runs the job
	asked   map[wire.MinionID]bool      // was asked at least once
	counted time.Time                   // when the counts were last told
}

// follow emits returns until all are in or nothing more is to be expected, then a
// KindAbsent frame for each target without a return. The watcher must have been
// made before the job was published.
func (m *Master) follow(ctx context.Context, job *liveJob, w *watcher, o followOptions, emit func(*wire.Map) error) error {
	return m.followSome(ctx, job, w, job.outstanding(), o, emit)
}

// followSome is follow for some of a job's minions: those whose events the watcher gets.
func (m *Master) followSome(ctx context.Context, job *liveJob, w *watcher, ids []wire.MinionID, o followOptions, emit func(*wire.Map) error) error {
	f := &follower{m: m, job: job, watch: w, opts: o, emit: emit,
		pending: map[wire.MinionID]bool{}, running: map[wire.MinionID]time.Time{}, asked: map[wire.MinionID]bool{}}
	for _, id := range ids {
		f.pending[id] = true
	}
	if err := f.wait(ctx); err != nil {
		return err
	}
	missing := slices.DeleteFunc(slices.Clone(ids), func(id wire.MinionID) bool {
		t, _ := job.target(id)
		return t.returned
	})
	if err := m.store.GiveUp(ctx, job.JID, missing, time.Now()); err != nil {
		m.log.Error("who did not return cannot be noted", "jid", job.JID, "error", err)
	}
	for _, id := range missing {
		why, text := m.explain(job, id, f)
		if err := emit(wire.NewMap("kind", control.KindAbsent, "id", string(id), "why", why, "text", text)); err != nil {
			return err
		}
	}
	return nil
}

func (f *follower) wait(ctx context.Context) error {
	f.dropAbsent()
	deadline := time.NewTimer(f.opts.Timeout)
	defer deadline.Stop()
	for {
		if err := f.drain(); err != nil {
			return err
		}
		f.dropFailed()
		if len(f.pending) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-f.watch.ready:
		case <-deadline.C:
			if err := f.ask(ctx); err != nil {
				return err
			}
			deadline.Reset(f.opts.Timeout)
		}
	}
}

// dropAbsent stops waiting for those that cannot be reached, and did not take the job.
func (f *follower) dropAbsent() {
	for id := range f.pending {
		t, _ := f.job.target(id)
		if t.acked.IsZero() && !f.m.expected(id) && !f.m.ssh.has(f.job.JID, id) {
			delete(f.pending, id)
		}
	}
}

// dropFailed stops waiting for those that could not be reached over SSH, but where their
// minions are there, and ask whether the job is theirs: now it is.
func (f *follower) dropFailed() {
	if !f.job.anyFailed() { // it is looked for at each return, of which there may be thousands
		return
	}
	for id := range f.pending {
		t, _ := f.job.target(id)
		if t.failed == "" || f.m.ssh.has(f.job.JID, id) {
			continue
		}
		if c := f.m.presence.contact(id); t.overSSH || !c.Connected || !c.asksFirst() {
			delete(f.pending, id)
		}
	}
}

// drain passes on what has come in.
func (f *follower) drain() error {
	events := f.watch.take()
	for _, e := range events {
		if e.progress {
			if !f.opts.Live {
				continue
			}
			if err := f.emit(wire.NewMap("kind", control.KindProgress, "id", string(e.id), "data", e.load)); err != nil {
				return err
			}
			continue
		}
		load := e.load
		if load == nil {
			var err error
			if load, err = f.m.storedReturn(f.job.JID, e.id); err != nil {
				return err
			}
		}
		delete(f.pending, e.id)
		if err := f.emit(wire.NewMap("kind", control.KindReturn, "id", string(e.id), "load", load)); err != nil {
			return err
		}
	}
	if !f.opts.Counter || time.Since(f.counted) < 100*time.Millisecond {
		return nil
	}
	f.counted = time.Now()
	all, taken, returned := f.job.counts()
	return f.emit(wire.NewMap("kind", control.KindWaiting, "all", int64(all), "taken", int64(taken), "returned", int64(returned)))
}

// ask finds out which of the missing still run the job, and stops waiting for the rest.
func (f *follower) ask(ctx context.Context) error {
	var unsure, gone []wire.MinionID
	for id := range f.pending {
		c := f.m.presence.contact(id)
		t, _ := f.job.target(id)
		switch {
		case f.m.ssh.has(f.job.JID, id):
			// The connection has deadlines of its own; the job may take its time.
		case c.Gosalt && !c.Connected && t.acked.IsZero():
			gone = append(gone, id)
		case c.Gosalt && !c.Connected && !c.Settling:
			delete(f.pending, id) // gone: what it returns comes when it is back
		case c.Gosalt && c.Connected && !t.acked.IsZero():
			if at, ok := f.m.presence.saysRunning(id, f.job.JID); ok {
				f.running[id] = at
			}
			// It took the job, is there, and sends the return as soon as there is one.
		default:
			unsure = append(unsure, id)
		}
	}
	for _, id := range f.spare(gone) {
		if f.m.presence.contact(id).Settling {
			unsure = append(unsure, id)
		} else {
			delete(f.pending, id)
		}
	}
	if len(unsure) == 0 {
		return nil
	}
	slices.Sort(unsure)
	for _, id := range unsure {
		f.asked[id] = true
	}
	answers, err := f.m.publishInternal("saltutil.find_job", []any{string(f.job.JID)}, unsure)
	if err != nil {
		return err
	}
	defer answers.close()
	var late []wire.MinionID // do not run it (any more)
	open := map[wire.MinionID]bool{}
	for _, id := range unsure {
		open[id] = true
	}
	gather := time.NewTimer(f.opts.Gather)
	defer gather.Stop()
	for len(open) > 0 {
		if err := f.drain(); err != nil {
			return err
		}
		for _, e := range answers.take() {
			if e.progress || !open[e.id] {
				continue
			}
			delete(open, e.id)
			if found := e.load.Map("return"); e.load.Int("retcode") == 0 && found.Len() > 0 {
				f.running[e.id] = time.Now()
			} else if f.pending[e.id] {
				late = append(late, e.id)
			}
		}
		for id := range open {
			if !f.pending[id] {
				delete(open, id) // its return came in meanwhile
			}
		}
		if len(open) == 0 {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-answers.ready:
		case <-f.watch.ready:
		case <-gather.C:
			late = slices.AppendSeq(late, maps.Keys(open))
			clear(open)
		}
	}
	var frozen, left []wire.MinionID
	for _, id := range late {
		if f.isFrozen(id) {
			frozen = append(frozen, id)
		} else {
			left = append(left, id)
		}
	}
	return f.giveUp(ctx, append(left, f.spare(frozen)...))
}

// spare has the job done over SSH by the machines of these minions, and returns those of
// which it cannot be.
func (f *follower) spare(ids []wire.MinionID) (left []wire.MinionID) {
	if f.opts.Spare == nil || len(ids) == 0 {
		return ids
	}
	return f.opts.Spare(ids)
}

// isFrozen tells whether a minion is connected and did not take the job, and asks before it
// runs it, should it wake up.
func (f *follower) isFrozen(id wire.MinionID) bool {
	t, _ := f.job.target(id)
	return f.pending[id] && t.acked.IsZero() && !t.returned && f.m.presence.contact(id).asksFirst()
}

// onTheWay is how long a return may be under way that was sent before the answer
// that the job does not run.
const onTheWay = time.Second

// giveUp stops waiting for minions that do not run the job, after a last look for
// returns that were sent just before they were asked.
func (f *follower) giveUp(ctx context.Context, ids []wire.MinionID) error {
	last := time.NewTimer(onTheWay)
	defer last.Stop()
	for slices.ContainsFunc(ids, func(id wire.MinionID) bool { return f.pending[id] }) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-f.watch.ready:
			if err := f.drain(); err != nil {
				return err
			}
		case <-last.C:
			for _, id := range ids {
				delete(f.pending, id)
			}
		}
	}
	return nil
}

// explain says in one sentence why a minion's return is missing. why is a word for
// programs: unknown, pending, rejected, denied, queued, never, disconnected, refused,
// running, lost, silent, ssh.
func (m *Master) explain(job *liveJob, id wire.MinionID, f *follower) (why, text string) {
	if t, _ := job.target(id); t.failed != "" && !t.byItself {
		is := "is not connected"
		if m.presence.contact(id).Connected {
			is = "did not take the job"
		}
		return "ssh", "It " + is + ", and is not reached over SSH either: " + t.failed
	}
	if why, text = m.explainKey(id); why != "" {
		return why, text
	}
	c := m.presence.contact(id)
	t, _ := job.target(id)
	trouble, hasTrouble := m.troubles.of(id)
	later := ""
	if until := t.until(job); time.Now().Before(until) {
		if t.state == jobs.Queued && !job.Until.IsZero() && t.acked.IsZero() && !c.Connected {
			return "queued", explainQueued(c, until)
		}
		later = fmt.Sprintf(" It still gets this job if it is back before %s.", clock(until))
	}
	switch {
	case !t.acked.IsZero() && c.Connected:
		if at, ok := m.presence.saysRunning(id, job.JID); ok {
			return "running", fmt.Sprintf("It took the job at %s and is still running it (it said so at %s).", clock(t.acked), clock(at))
		}
		return "running", fmt.Sprintf("It took the job at %s and is still running it.", clock(t.acked))
	case !t.acked.IsZero():
		return "lost", fmt.Sprintf("It took the job at %s; the connection to it ended at %s. Its result is delivered when it is back.", clock(t.acked), clock(c.Lost))
	case !c.Connected && m.otherKey(id):
		return "denied", fmt.Sprintf("Another key than the accepted one came under its name, and was refused. If the machine was set up anew, delete the old key: gosalt-key -d %s; then accept the new one.", id)
	case hasTrouble && !c.Connected:
		return "refused", fmt.Sprintf("Its last message, at %s, was refused: %s", clock(trouble.at), trouble.text)
	case !c.Known && c.Settling:
		return "never", fmt.Sprintf("It has not connected since the master started at %s.", clock(m.started)) + later
	case !c.Known || c.Seen.IsZero():
		return "never", "Its key is accepted, but it has never connected."
	case !c.Connected && c.Settling && c.Since.IsZero():
		return "disconnected", fmt.Sprintf("It has not come back since the master started at %s.", clock(m.started)) + later
	case !c.Connected:
		return "disconnected", fmt.Sprintf("It has not been connected since %s.", clock(c.Lost)) + later
	}
	if f != nil {
		if at, ok := f.running[id]; ok {
			return "running", fmt.Sprintf("It said at %s that it was still running the job.", clock(at))
		}
		if f.asked[id] {
			return "silent", fmt.Sprintf("It has been connected since %s, but neither returned nor answered whether it runs the job.", clock(c.Since))
		}
	}
	return "silent", fmt.Sprintf("It has been connected since %s, but has not returned.", clock(c.Since))
}

// clock writes a time for people: the time of day, with the date where that is not today's.
func clock(t time.Time) string {
	t = t.Local()
	if now := time.Now(); t.YearDay() == now.YearDay() && t.Year() == now.Year() {
		return t.Format("15:04:05")
	}
	return t.Format("2006-01-02 15:04:05")
}
