package minion

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gosalt/gosalt/internal/target"
	"github.com/gosalt/gosalt/minion/journal"
	"github.com/gosalt/gosalt/protocol/seal"
	"github.com/gosalt/gosalt/protocol/transport"
	"github.com/gosalt/gosalt/protocol/wire"
)

// serve works for one master until ctx ends or the master refuses this minion. With
// onlyUp it also returns when the master cannot be reached, so that another can be tried.
func (m *Minion) serve(ctx context.Context, l *link, onlyUp bool) error {
	greeted := false
	failed := 0
	for {
		c, err := l.signIn(ctx, nil, onlyUp)
		if err != nil {
			return err
		}
		began := time.Now()
		err = m.session(ctx, l, c, &greeted)
		l.up.Store(false)
		l.note(err)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !onlyUp && (errors.Is(err, ErrPending) || errors.Is(err, ErrRejected) && m.cfg.RejectedRetry) {
			continue // the key was deleted or rejected: wait for it to be accepted again
		}
		if onlyUp || final(err) {
			return err
		}
		if failed++; time.Since(began) > time.Minute {
			failed = 1
		}
		wait := backoff(failed, m.cfg.ReconDefault, m.cfg.ReconMax)
		l.log.Warn("connection to the master lost", "error", err, "again_in", wait.Round(time.Millisecond))
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// final tells whether an error is one that trying again does not mend: a person has to.
func final(err error) bool {
	return errors.Is(err, ErrRejected) || errors.Is(err, ErrFinger) || errors.Is(err, seal.ErrMasterKey) || errors.Is(err, seal.ErrPubSig)
}

// session receives jobs over one connection until it is lost.
func (m *Minion) session(ctx context.Context, l *link, c *credentials, greeted *bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if c.gosalt {
		// The first request proves who this connection is of, so that a large result
		// may follow on it; and after a long absence the keys may have changed.
		if err := m.sayAlive(ctx, l); err != nil {
			return err
		}
		if c = l.current(); c == nil {
			return errors.New("signed out")
		}
	}
	topics := []string{""}
	if m.cfg.ZMQFiltering {
		topics = []string{"broadcast", seal.Topic(m.id)}
	}
	if c.gosalt {
		topics = append(topics, c.session.BindTopic(m.id, now()))
	}
	sctx, stop := context.WithTimeout(ctx, m.cfg.AuthTimeout)
	sub, err := l.dial.Subscribe(sctx, l.publishAddr(c), topics...)
	stop()
	if err != nil {
		return fmt.Errorf("subscribe to the master's jobs: %w", err)
	}
	defer sub.Close()
	if err := m.greet(ctx, l, c, greeted); err != nil {
		return err
	}
	l.up.Store(true)
	l.note(nil)
	m.ready.Do(func() {
		close(m.greeted)
		if m.cfg.Ready != nil {
			m.cfg.Ready()
		}
	})
	m.wakeDelivery()
	return m.receive(ctx, l, sub)
}

// greet brings a new connection up to date: the first time with this master, its
// pillar and our grains, and the event that this minion is there; with a gosalt
// master, every time, the jobs that were missed.
func (m *Minion) greet(ctx context.Context, l *link, c *credentials, greeted *bool) error {
	news := m.askCloud(ctx, l) // before the pillar, which goes by the grains
	if !*greeted {
		if err := m.fetchPillar(ctx, l); err != nil {
			return fmt.Errorf("get the pillar: %w", err)
		}
		if err := m.sayStarted(ctx, l); err != nil {
			return fmt.Errorf("tell the master that this minion is there: %w", err)
		}
		*greeted = true
		l.log.Info("connected to the master")
	} else {
		l.log.Info("connected to the master again")
		if news {
			m.background.Go(func() {
				if err := m.refreshPillar(m.ctx, false); err != nil && m.ctx.Err() == nil {
					l.log.Warn("what the master's inventory says of this machine has changed", "error", err)
				}
			})
		}
	}
	if !c.gosalt {
		return nil
	}
	v, err := l.do(ctx, wire.Missed{}.ToMap())
	if err != nil {
		return fmt.Errorf("ask for missed jobs: %w", err)
	}
	missed, err := wire.MissedReplyFromValue(v)
	if err != nil {
		return err
	}
	for _, job := range missed.Jobs {
		l.log.Info("job was missed and is run now", "jid", job.JID, "fun", job.Fun)
		if err := m.jobs.take(m.ctx, job, m.sourceOf(l, c, job, false)); err != nil {
			return fmt.Errorf("job %s cannot be taken: %w", job.JID, err)
		}
	}
	return nil
}

// sayStarted fires the events by which a master learns of a minion.
func (m *Minion) sayStarted(ctx context.Context, l *link) error {
	text := fmt.Sprintf("Minion %s started at %s", m.id, time.Now().Format("Mon Jan _2 15:04:05 2006"))
	tags := []string{"salt/minion/" + string(m.id) + "/start"}
	if m.cfg.EnableLegacyStartupEvents {
		tags = append([]string{"minion_start"}, tags...)
	}
	for _, tag := range tags {
		ev := &wire.MinionEvent{ID: m.id, Tag: tag, Data: text}
		if len(m.cfg.StartEventGrains) > 0 {
			ev.Grains = wire.NewMap()
			for _, g := range m.cfg.StartEventGrains {
				if v, ok := m.Grains().Get(g); ok {
					ev.Grains.Set(g, v)
				}
			}
		}
		if _, err := l.do(ctx, ev.ToMap()); err != nil {
			return err
		}
	}
	return nil
}

// receive takes jobs from a subscription.
func (m *Minion) receive(ctx context.Context, l *link, sub transport.Subscription) error {
	for {
		frames, err := sub.Recv(ctx)
		if err != nil {
			return err
		}
		body := frames[len(frames)-1]
		if len(frames) == 2 {
			if t := string(frames[0]); t != "broadcast" && t != seal.Topic(m.id) {
				continue
			}
		} else if len(frames) != 1 {
			l.log.Warn("publish of unknown form", "frames", len(frames))
			continue
		}
		if err := m.publish(ctx, l, body); err != nil {
			return err
		}
	}
}

// publish opens one publish and takes its job. An error ends the connection; what
// is wrong with one message only is logged.
func (m *Minion) publish(ctx context.Context, l *link, body []byte) error {
	c := l.current()
	load, err := m.openPublish(c, body)
	if errors.Is(err, seal.ErrAuth) {
		// The master has a new key: get it, and try the same message again.
		var renewed bool
		if c, renewed, err = l.renew(ctx, c); err != nil {
			return err
		}
		load, err = m.openPublish(c, body)
		if renewed && (errors.Is(err, seal.ErrAuth) || errors.Is(err, seal.ErrSignature)) {
			// The master may have another key pair: a sign-in says so, and what to do.
			if c, err = l.signIn(ctx, c, false); err != nil {
				return err
			}
			load, err = m.openPublish(c, body)
		}
	}
	if err != nil {
		l.log.Warn("publish refused", "error", err)
		return nil
	}
	job, err := wire.JobFromMap(load)
	if err != nil {
		l.log.Warn("publish refused", "error", err)
		return nil
	}
	mine, err := m.matches(job)
	if err != nil {
		l.log.Warn("target of a publish cannot be read", "jid", job.JID, "error", err)
		return nil
	}
	if !mine {
		return nil
	}
	err = m.jobs.take(m.ctx, job, m.sourceOf(l, c, job, true))
	switch {
	case errors.Is(err, journal.ErrReplayed):
		l.log.Warn("publish refused: its number is not above the last one, so it was recorded and sent again", "jid", job.JID, "serial", job.Serial)
	case err != nil && c.gosalt:
		// It is not on the disk. As after any lost connection, it is asked for again.
		return fmt.Errorf("job %s cannot be taken: %w", job.JID, err)
	case err != nil:
		l.log.Error("job cannot be taken", "jid", job.JID, "error", err)
	}
	return nil
}

func (m *Minion) openPublish(c *credentials, body []byte) (*wire.Map, error) {
	if c == nil { // the sign-in was lost meanwhile: what it takes to open this comes with the next
		return nil, seal.ErrAuth
	}
	signer := c.master
	if !m.cfg.SignPubMessages {
		signer = nil
	}
	load, err := seal.OpenPublish(body, c.shared, signer, wire.Authenticated)
	if errors.Is(err, seal.ErrUnsigned) {
		err = fmt.Errorf("%w: set sign_pub_messages: True on the master, or, to trust whoever can send to this minion, sign_pub_messages: False here", err)
	}
	return load, err
}

// matches tells whether a job targets this minion.
func (m *Minion) matches(job *wire.Job) (bool, error) {
	kind := job.TgtType
	t, err := target.Parse(job.Tgt, kind, target.Options{Delimiter: job.Delimiter})
	if err != nil {
		return false, err
	}
	s := target.Subject{ID: string(m.id)}
	if t.NeedsGrains() {
		s.Grains = m.Grains()
	}
	if t.NeedsPillar() {
		s.Pillar = m.Pillar()
	}
	return t.Match(s)
}

// sourceOf says where a job came from, and tells a gosalt master that it was taken.
func (m *Minion) sourceOf(l *link, c *credentials, job *wire.Job, published bool) source {
	s := source{master: l.master}
	if published {
		s.keyID = c.keyID
	}
	if !c.gosalt {
		return s
	}
	acknowledge := func() { m.acknowledge(l, job.JID) }
	if !job.AsksFirst(m.id) {
		s.taken = acknowledge
		return s
	}
	s.ours = func(ctx context.Context) (bool, error) {
		run, err := m.askFirst(ctx, l, job.JID)
		if run {
			acknowledge()
		}
		return run, err
	}
	return s
}
