package master

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/gosalt/gosalt/internal/returners"
	"github.com/gosalt/gosalt/master/events"
	"github.com/gosalt/gosalt/master/jobs"
	"github.com/gosalt/gosalt/protocol/seal"
	"github.com/gosalt/gosalt/protocol/transport"
	"github.com/gosalt/gosalt/protocol/wire"
)

// sharedKey is the key that all minions have in common, under which jobs are
// published, with the number that grows with each publish. Minions are not told of a new
// one: their next publish cannot be opened, and they sign in again.
type sharedKey struct {
	mu     sync.Mutex
	key    *seal.Key
	accept *seal.Accepter // hands the key out
	serial seal.Serial
	made   time.Time
}

// rotate puts a new shared key in the place of the old.
func (m *Master) rotate(why string) {
	key := seal.NewKey()
	accept := &seal.Accepter{Master: m.own.Key, Shared: key, SignMaster: m.own.Sign, PubSig: m.own.PubSignature, PublishPort: m.publishPort}
	m.shared.mu.Lock()
	first := m.shared.key == nil
	m.shared.key, m.shared.accept, m.shared.made = key, accept, time.Now()
	m.shared.serial = seal.Serial{}
	m.shared.mu.Unlock()
	if !first {
		m.log.Info("shared key rotated", "why", why)
		m.bus.Publish(events.KeyRotated, wire.NewMap("rotate_aes_key", true))
	}
}

func (s *sharedKey) accepter() *seal.Accepter {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.accept
}

func (s *sharedKey) current() *seal.Key {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.key
}

func (s *sharedKey) age() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Since(s.made)
}

// send seals, signs and publishes a job's load. ids are the minions that it is for;
// narrow says that they are exactly those that match, so nobody else needs it.
// Numbers leave in the order in which they are given.
func (m *Master) send(load *wire.Map, ids []wire.MinionID, narrow bool) error {
	m.shared.mu.Lock()
	defer m.shared.mu.Unlock()
	load = load.Clone()
	load.Set("serial", m.shared.serial.Next())
	signer := m.own.Key
	if !m.cfg.SignPubMessages {
		signer = nil
	}
	body, err := seal.SealPublish(m.shared.key, signer, m.sigAlgo, load)
	if err != nil {
		return fmt.Errorf("seal publish: %w", err)
	}
	var to func(transport.Peer) bool
	if narrow {
		want := make(map[wire.MinionID]bool, len(ids))
		for _, id := range ids {
			want[id] = true
		}
		to = func(p transport.Peer) bool {
			id, bound := m.bound.Load(p.ID())
			return !bound || want[id.(binding).id]
		}
	}
	if !m.cfg.ZMQFiltering {
		m.pub.Publish([][]byte{body}, to)
		return nil
	}
	if !narrow {
		m.pub.Publish([][]byte{[]byte("broadcast"), body}, nil)
		return nil
	}
	for _, id := range ids {
		m.pub.Publish([][]byte{[]byte(seal.Topic(id)), body}, nil)
	}
	return nil
}

// order is a job to be made.
type order struct {
	Job     *wire.Job // all but JID and Serial
	Targets []wire.MinionID
	Missing []wire.MinionID // listed, but without an accepted key
	Narrow  bool            // Targets is exactly what the target matches
	Watch   bool            // the caller follows the returns
	Held    bool            // nothing is sent yet: minions get the job when it is their turn, see batch.go
	JID     wire.JobID      // "" makes one
	Salt    bool            // one of Salt's own programs asks: it looks into Salt's job cache
	Until   time.Time       // who is away now runs it when back before then; zero: only who is there
	SSH     []wire.MinionID // of Targets: those that it goes to over SSH, by who called
}

// publish stores a job and then sends it. When it returns without an error, the job
// and its targets are on the disk.
func (m *Master) publish(ctx context.Context, o order) (*liveJob, *watcher, error) {
	now := time.Now()
	targets := make([]jobs.Target, len(o.Targets))
	for i, id := range o.Targets {
		targets[i] = m.targetOf(o, id)
	}
	var live *liveJob
	for {
		job := *o.Job
		if job.JID = o.JID; job.JID == "" {
			job.JID = wire.NewJobID(time.Now())
		}
		load := job.ToMap()
		kept, expiry := &job, now.Add(m.cfg.JobExpiry)
		if carriesFiles(job.Fun) { // their content is not kept, so nobody can be given it later
			kept, expiry = withoutContent(&job), now
		}
		packed, err := wire.Encode(kept.ToMap(), wire.Local)
		if err != nil {
			return nil, nil, fmt.Errorf("pack job: %w", err)
		}
		meta, _ := job.Metadata.(*wire.Map)
		err = m.store.SaveJob(ctx, jobs.Job{JID: job.JID, Fun: funName(&job), Arg: funArgs(kept), Tgt: job.Tgt, TgtType: job.TgtType,
			User: job.User, Metadata: meta, Start: now, Expiry: expiry, Load: packed}, targets)
		if errors.Is(err, jobs.ErrExists) && o.JID == "" {
			continue // some minion's own job has that id
		}
		if err != nil {
			return nil, nil, fmt.Errorf("store job: %w", err)
		}
		if o.Salt {
			if err := m.saveForSalt(job.JID, kept.ToMap(), o.Targets); err != nil {
				return nil, nil, fmt.Errorf("keep the job for Salt's programs: %w", err)
			}
		}
		m.saveElsewhere(returners.Load, load)
		live = newLiveJob(job.JID, load, targets)
		live.Expiry, live.Until = now.Add(m.cfg.JobExpiry), o.Until
		for _, id := range o.SSH { // before anything is sent
			live.goSSH(id)
		}
		break
	}
	var w *watcher
	if o.Watch {
		w = live.watch()
	}
	m.live.add(live)
	m.announce(live, o)
	if o.Held {
		m.log.Info("job begun in batches", "jid", live.JID, "fun", funName(o.Job), "user", o.Job.User, "minions", len(o.Targets))
		return live, w, nil
	}
	if err := m.send(live.Publish, o.Targets, o.Narrow); err != nil {
		if w != nil {
			w.close()
		}
		return nil, nil, err
	}
	m.log.Info("job published", "jid", live.JID, "fun", funName(o.Job), "user", o.Job.User, "minions", len(o.Targets))
	return live, w, nil
}

// targetOf says what is expected of a minion when a job is made.
func (m *Master) targetOf(o order, id wire.MinionID) jobs.Target {
	t := jobs.Target{Minion: id, State: jobs.Absent}
	switch {
	case o.Held, slices.Contains(o.SSH, id): // a minion that comes back must not do it, too
	case !o.Until.IsZero() && !m.takesUnasked(id):
		t.State, t.QueuedUntil = jobs.Queued, o.Until
	case m.expected(id):
		t.State = jobs.Expected
	}
	return t
}

// announce fires the events of a new job.
func (m *Master) announce(live *liveJob, o order) {
	minions, missing := texts(o.Targets), texts(o.Missing)
	m.bus.Publish(events.JobMinions(live.JID), wire.NewMap("minions", minions))
	data := wire.NewMap("jid", string(live.JID))
	shown := live.Publish
	if carriesFiles(o.Job.Fun) {
		job := *o.Job
		job.JID = live.JID
		shown = withoutContent(&job).ToMap()
	}
	for _, k := range []string{"tgt_type", "tgt", "user", "fun", "arg"} {
		v, _ := shown.Get(k)
		data.Set(k, v)
	}
	data.Set("minions", minions)
	data.Set("missing", missing)
	m.bus.Publish(events.JobNew(live.JID), data)
	m.bus.Publish(events.JobPublish(live.JID), shown)
}

// publishInternal sends a job of the master's own, whose returns are not kept. Close
// the watcher when done.
func (m *Master) publishInternal(fun string, arg []any, ids []wire.MinionID) (*watcher, error) {
	job := &wire.Job{JID: wire.NewJobID(time.Now()), Fun: fun, Arg: arg, Tgt: texts(ids), TgtType: "list", User: "root"}
	targets := make([]jobs.Target, len(ids))
	for i, id := range ids {
		targets[i] = jobs.Target{Minion: id, State: jobs.Expected}
	}
	live := newLiveJob(job.JID, job.ToMap(), targets)
	live.Internal = true
	w := live.watch()
	m.live.add(live)
	if err := m.send(live.Publish, ids, true); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

// funName is a job's function, or its functions with commas.
func funName(j *wire.Job) string {
	if j.Multi == nil {
		return j.Fun
	}
	name := ""
	for i, c := range j.Multi {
		if i > 0 {
			name += ","
		}
		name += c.Fun
	}
	return name
}

// funArgs are a job's arguments as published: of several functions a list for each.
func funArgs(j *wire.Job) []any {
	if j.Multi == nil {
		return j.Arg
	}
	all := make([]any, len(j.Multi))
	for i, c := range j.Multi {
		all[i] = c.Args
	}
	return all
}

func texts[T ~string](ids []T) []any {
	l := make([]any, len(ids))
	for i, id := range ids {
		l[i] = string(id)
	}
	return l
}
