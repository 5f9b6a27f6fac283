package minion

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gosalt/gosalt/minion/journal"
	"github.com/gosalt/gosalt/protocol/wire"
)

// ackAfter is how long a job may run before its master is told that it was taken: a
// result that comes sooner says the same.
const ackAfter = 50 * time.Millisecond

// acknowledge tells a gosalt master that a job was taken, unless its result is
// there first. It does not wait.
func (m *Minion) acknowledge(l *link, jid wire.JobID) {
	m.background.Go(func() {
		if sleep(m.ctx, ackAfter) != nil || !m.jobs.isRunning(jid) {
			return
		}
		if _, err := l.do(m.ctx, (&wire.Ack{JID: jid}).ToMap()); err != nil && m.ctx.Err() == nil {
			l.log.Debug("taking of a job could not be acknowledged", "jid", jid, "error", err)
		}
	})
}

// askFirst asks the master whether a job is still this minion's, until there is an answer or
// ctx ends. A master that refuses does not know the job any more: it is nobody's.
func (m *Minion) askFirst(ctx context.Context, l *link, jid wire.JobID) (run bool, err error) {
	for failed := 1; ; failed++ {
		v, err := l.do(ctx, (&wire.Take{JID: jid}).ToMap())
		if err == nil {
			var reply *wire.TakeReply
			if reply, err = wire.TakeReplyFromValue(v); err == nil && !reply.Later {
				return reply.Run, nil
			}
		}
		var refused *wire.Error
		if errors.As(err, &refused) && (refused.Kind == wire.Forbidden || refused.Kind == wire.Malformed) {
			l.log.Warn("a job is not run, as the master does not know it", "jid", jid, "error", err)
			return false, nil
		}
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		if err == nil {
			err = errors.New("the master tries it over SSH")
		}
		l.log.Debug("whether a job is still this minion's is not known yet", "jid", jid, "error", err)
		if err := sleep(ctx, backoff(failed, m.cfg.ReturnRetryTimer, max(m.cfg.ReturnRetryTimerMax, m.cfg.ReturnRetryTimer))); err != nil {
			return false, err
		}
	}
}

// deliverResults returns results to their masters, as they come and, after a
// failure, again until they are confirmed.
func (m *Minion) deliverResults(ctx context.Context) {
	failed := 0
	for {
		done := m.deliverAll(ctx)
		m.mayQuit(done)
		if done {
			failed = 0
			select {
			case <-ctx.Done():
				return
			case <-m.deliver:
			}
			continue
		}
		failed++
		t := time.NewTimer(backoff(failed, m.cfg.ReturnRetryTimer, max(m.cfg.ReturnRetryTimerMax, m.cfg.ReturnRetryTimer)))
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-m.deliver: // something new, or the master is back
		case <-t.C:
		}
		t.Stop()
	}
}

// maxFailures is after how many results that a master could not take the others are
// left for the next time: one of them must not hold up the rest, and a master with a
// full disk is not to be asked for each of thousands.
const maxFailures = 3

// answered tells whether it was the master who said that it could not take a result.
func answered(err error) bool {
	var e *wire.Error
	return errors.As(err, &e) || errors.Is(err, errNotStored)
}

// deliverAll tries to return everything that waits, and tells whether nothing is left.
func (m *Minion) deliverAll(ctx context.Context) bool {
	waiting, err := m.journal.Unacked()
	if err != nil {
		m.log.Error("results cannot be read", "error", err)
		return false
	}
	failures := map[*link]int{}
	left := false
	for _, r := range waiting {
		l := m.linkOf(r.Master)
		if l == nil || l.current() == nil || failures[l] >= maxFailures {
			left = true
			continue
		}
		if err := m.deliverOne(ctx, l, r); err != nil {
			if ctx.Err() != nil {
				return false
			}
			l.log.Warn("result could not be returned, and is kept", "jid", r.JID, "error", err)
			left = true
			failures[l]++
			if !answered(err) {
				failures[l] = maxFailures // it is gone: the others would fare no better
			}
		}
	}
	return !left
}

// linkOf finds the link of a master; results of one that is no longer configured go
// to the one that is used.
func (m *Minion) linkOf(master string) *link {
	for _, l := range m.links {
		if l.master == master {
			return l
		}
	}
	if len(m.links) == 0 {
		return nil
	}
	return m.links[0]
}

// errNotStored is what a master answers that could not store a result.
var errNotStored = errors.New("the master could not store it")

// standIn is the size in bytes up to which a result is taken to be one that stands in
// for what could not be delivered: there is nothing smaller to put in its place.
const standIn = 4096

// deliverOne returns one result. It is done with when the master has it. What the
// master will never take gives way to a small result that says so.
func (m *Minion) deliverOne(ctx context.Context, l *link, r journal.Result) error {
	size := weigh(r.Return)
	if most := l.maxReturn.Load(); most > 0 && size > most && size > standIn {
		return m.giveUp(r, fmt.Sprintf("it has %d bytes, and the master takes %d (max_return there)", size, most))
	}
	v, err := l.do(ctx, r.Return)
	var refused *wire.Error
	if errors.As(err, &refused) {
		switch refused.Kind {
		case wire.Forbidden, wire.Malformed, wire.Unknown:
			l.log.Error("the master refuses a result for good", "jid", r.JID, "error", err)
			if size > standIn {
				return m.giveUp(r, err.Error())
			}
			m.journal.Acked(r.JID)
			return nil
		}
	}
	if err != nil {
		return err
	}
	if s, ok := v.(string); ok && s == "" {
		return errNotStored // how Salt's master answers when its handler failed
	}
	m.journal.Acked(r.JID)
	return nil
}

// giveUp puts a result that says why in the place of one that cannot be delivered.
func (m *Minion) giveUp(r journal.Result, why string) error {
	m.log.Error("result is dropped", "jid", r.JID, "why", why)
	if err := m.journal.Drop(r.JID, why); err != nil {
		return err
	}
	m.wakeDelivery()
	return nil
}

// tellAlive tells gosalt masters from time to time which jobs are running.
func (m *Minion) tellAlive(ctx context.Context) {
	every := m.cfg.Heartbeat
	if every <= 0 {
		return
	}
	told := false
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		running := len(m.jobs.ids()) > 0
		if !running && !told {
			continue // the connections have heartbeats of their own
		}
		told = running
		for _, l := range m.links {
			if c := l.current(); c == nil || !c.gosalt {
				continue
			}
			if err := m.sayAlive(ctx, l); err != nil && ctx.Err() == nil {
				l.log.Debug("master could not be told what runs", "error", err)
			}
		}
	}
}

func (m *Minion) sayAlive(ctx context.Context, l *link) error {
	v, err := l.do(ctx, (&wire.Alive{Running: m.jobs.ids()}).ToMap())
	if err != nil {
		return err
	}
	r, err := wire.AliveReplyFromValue(v)
	if err != nil {
		return err
	}
	l.maxReturn.Store(r.MaxReturn)
	return nil
}
