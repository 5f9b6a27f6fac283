package swarm

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/gosalt/gosalt/protocol/seal"
	"github.com/gosalt/gosalt/protocol/transport"
	"github.com/gosalt/gosalt/protocol/wire"
)

// member is one minion. One goroutine lives its life; jobs that take their time run in
// further ones.
type member struct {
	swarm *Swarm
	id    wire.MinionID
	key   *seal.PrivateKey
	dial  transport.Dialer

	requests transport.Requester
	greeted  bool
	jobs     sync.WaitGroup

	mu      sync.Mutex
	creds   *credentials
	master  *seal.PublicKey // known since the first sign-in
	running map[wire.JobID]*wire.Job
}

// credentials are what a sign-in brings.
type credentials struct {
	master      *seal.PublicKey
	shared      *seal.Key
	session     *seal.Key
	serial      *seal.Serial
	publishPort int
	gosalt      bool
}

func newMember(s *Swarm, id wire.MinionID, key *seal.PrivateKey, dial transport.Dialer) *member {
	return &member{swarm: s, id: id, key: key, dial: dial}
}

// errWaiting is a sign-in that the master neither accepts nor fails.
var errWaiting = errors.New("the master does not accept the key (yet)")

// run connects, and connects again, until ctx ends.
func (m *member) run(ctx context.Context) {
	s := m.swarm
	m.requests = m.dial.Requester(s.requestAddr())
	defer m.requests.Close()
	defer m.jobs.Wait()
	waiting := false
	wait := func(is bool) {
		switch {
		case is && !waiting:
			s.waiting.Add(1)
		case !is && waiting:
			s.waiting.Add(-1)
		}
		waiting = is
	}
	for failed := 0; ; {
		began := time.Now()
		sub, err := m.connect(ctx)
		if err == nil {
			wait(false)
			s.connected.Add(1)
			err = m.receive(ctx, sub)
			s.connected.Add(-1)
			sub.Close()
			if ctx.Err() == nil {
				s.lost.Add(1)
				s.cfg.Log.Debug("connection lost", "minion", m.id, "error", err)
			}
		} else if ctx.Err() == nil {
			wait(errors.Is(err, errWaiting))
			s.failed(m.id, err)
		}
		if failed++; time.Since(began) > time.Minute {
			failed = 1
		}
		if sleep(ctx, backoff(failed, s.cfg.ReconMin, s.cfg.ReconMax)) != nil {
			return
		}
	}
}

// backoff is how long to wait before the n-th try, n from 1, with full jitter: as the
// minion does.
func backoff(n int, first, most time.Duration) time.Duration {
	d := first << min(n-1, 16)
	if d > most || d <= 0 {
		d = max(most, first)
	}
	return time.Duration(rand.Int64N(int64(d))) + 10*time.Millisecond
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// connect signs in where that is needed, subscribes, and says to the master what a
// minion says that has just come.
func (m *member) connect(ctx context.Context) (transport.Subscription, error) {
	s := m.swarm
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	c := m.current()
	if c == nil {
		var err error
		if c, err = m.signIn(ctx); err != nil {
			return nil, err
		}
	}
	if c.gosalt {
		if _, err := m.ask(ctx, (&wire.Alive{}).ToMap()); err != nil {
			return nil, err
		}
		c = m.current()
	}
	topics := []string{""}
	if s.cfg.Filtering {
		topics = []string{"broadcast", seal.Topic(m.id)}
	}
	if c.gosalt {
		topics = append(topics, c.session.BindTopic(m.id, time.Now()))
	}
	tctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	sub, err := m.dial.Subscribe(tctx, s.publishAddr(c.publishPort), topics...)
	if err != nil {
		return nil, fmt.Errorf("subscribe: %w", err)
	}
	if err := m.greet(ctx, c); err != nil {
		sub.Close()
		return nil, err
	}
	return sub, nil
}

// greet brings grains and the start event the first time, and asks a gosalt master for
// missed jobs each time.
func (m *member) greet(ctx context.Context, c *credentials) error {
	if !m.greeted {
		if err := m.fetchPillar(ctx); err != nil {
			return fmt.Errorf("get the pillar: %w", err)
		}
		tag := "salt/minion/" + string(m.id) + "/start"
		text := fmt.Sprintf("Minion %s started at %s", m.id, time.Now().Format(time.ANSIC))
		if _, err := m.ask(ctx, (&wire.MinionEvent{ID: m.id, Tag: tag, Data: text}).ToMap()); err != nil {
			return fmt.Errorf("send the start event: %w", err)
		}
		m.greeted = true
	}
	if !c.gosalt {
		return nil
	}
	v, err := m.ask(ctx, wire.Missed{}.ToMap())
	if err != nil {
		return fmt.Errorf("ask for missed jobs: %w", err)
	}
	missed, err := wire.MissedReplyFromValue(v)
	if err != nil {
		return err
	}
	for _, job := range missed.Jobs {
		m.take(ctx, job)
	}
	return nil
}

// receive takes jobs until the connection is lost.
func (m *member) receive(ctx context.Context, sub transport.Subscription) error {
	for {
		frames, err := sub.Recv(ctx)
		if err != nil {
			return err
		}
		if len(frames) == 2 && string(frames[0]) != "broadcast" && string(frames[0]) != seal.Topic(m.id) {
			continue
		}
		body := frames[len(frames)-1]
		c := m.current()
		p, err := m.swarm.opened.open(m.swarm.cfg.Share, c, body)
		if errors.Is(err, seal.ErrAuth) { // the master has a new key
			if c, err = m.renew(ctx, c); err != nil {
				return err
			}
			p, err = m.swarm.opened.open(m.swarm.cfg.Share, c, body)
		}
		if err == nil && p.job.Serial != 0 {
			err = c.serial.Check(p.job.Serial)
		}
		if err != nil {
			m.swarm.refused.Add(1)
			m.swarm.failed(m.id, fmt.Errorf("publish refused: %w", err))
			continue
		}
		m.swarm.publishes.Add(1)
		if mine, err := p.matches(m.id); err != nil || !mine {
			continue
		}
		m.take(ctx, p.job)
	}
}
