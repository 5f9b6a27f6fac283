package master

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/pillar"
	"github.com/gosalt/gosalt/master/events"
	"github.com/gosalt/gosalt/master/jobs"
	masterpillar "github.com/gosalt/gosalt/master/pillar"
	"github.com/gosalt/gosalt/protocol/seal"
	"github.com/gosalt/gosalt/protocol/transport"
	"github.com/gosalt/gosalt/protocol/wire"
)

// handleReturn takes a minion's result of a job. The answer is nil once the result
// is on the disk, or was before; a Salt minion takes any answer for that.
func (m *Master) handleReturn(ctx context.Context, from *minionRequest) (any, error) {
	ret, err := wire.ReturnFromMap(from.Load)
	if err != nil {
		return false, err
	}
	if ret.ID != from.ID {
		return false, &wire.Error{Kind: wire.Forbidden, Op: "_return", Msg: fmt.Sprintf("%s may not return for %s", from.ID, ret.ID)}
	}
	if int64(from.Size) > int64(m.cfg.MaxReturn)+1<<20 {
		return false, &wire.Error{Kind: wire.Forbidden, Op: "_return", Msg: fmt.Sprintf("result of %d bytes is larger than max_return (%d)", from.Size, m.cfg.MaxReturn)}
	}
	if ret.JID == wire.JobIDRequest {
		ret.JID = wire.NewJobID(time.Now())
		from.Load.Set("jid", string(ret.JID))
	}
	unreported := from.Load.Int(wire.FieldUnreported)
	from.Load.Delete(wire.FieldUnreported)
	if ret.JID == wire.JobIDNoCache {
		m.bus.Publish(events.JobReturn(ret.JID, ret.ID), from.Load)
		return nil, nil
	}
	live := m.live.get(ret.JID)
	fun := ret.Fun
	if ret.Multi != nil {
		fun = funName(&wire.Job{Multi: ret.Multi})
	}
	if carriesFiles(ret.Fun) {
		ret.FunArgs = withoutContent(&wire.Job{Fun: ret.Fun, Arg: ret.FunArgs}).Arg
		from.Load.Set("fun_args", ret.FunArgs)
	}
	switch {
	case live != nil && !live.has(ret.ID):
		return false, m.notTargeted(from, ret.JID)
	case live != nil && live.Internal:
		live.addReturn(ret.ID, from.Load, 0)
		return nil, nil
	case live != nil && !from.Plain && m.presence.contact(ret.ID).asksFirst() && live.isOverSSH(ret.ID):
		// That it was stopped before it had asked, and does not know that the job goes over SSH.
		m.log.Info("what a minion says of a job that is done over SSH is dropped", "jid", ret.JID, "minion", ret.ID)
		return nil, nil
	case live == nil && fun == "saltutil.find_job":
		return nil, nil // the late answer to a question of follow
	}
	// With job_cache: False the store keeps that the minion has returned, and not what:
	// that is handed on to who waits for it.
	kept := from.Load
	if !m.cfg.JobCache {
		kept = from.Load.Clone()
		kept.Delete("return")
	}
	packed, err := wire.Encode(kept, wire.Local)
	if err != nil {
		return false, err
	}
	// The connection may end meanwhile; the result is worth storing all the same.
	dup, err := m.store.PutReturn(context.WithoutCancel(ctx), jobs.Return{JID: ret.JID, Minion: ret.ID, Fun: fun, User: ret.User,
		Retcode: ret.Retcode, Success: ret.Success, ReceivedAt: time.Now(), Load: packed,
		Job: &jobs.Job{JID: ret.JID, Fun: fun, Arg: ret.FunArgs, Tgt: string(ret.ID), TgtType: "glob", User: ret.User, Start: startOf(ret.JID)}})
	switch {
	case errors.Is(err, jobs.ErrNotTargeted):
		return false, m.notTargeted(from, ret.JID)
	case err != nil:
		// Not on the disk: a gosalt minion keeps the result and sends it again.
		return "", &wire.Error{Kind: wire.Busy, Op: "_return", Msg: fmt.Sprintf("the result of job %s could not be stored: %v", ret.JID, err)}
	case dup:
		m.log.Info("result came again and was stored before", "jid", ret.JID, "minion", ret.ID)
		return nil, nil
	}
	if m.cfg.JobCacheStoreEndtime {
		if err := m.store.SetEnd(context.WithoutCancel(ctx), ret.JID, time.Now()); err != nil {
			m.log.Error("the end of a job cannot be stored", "jid", ret.JID, "error", err)
		}
	}
	if live != nil {
		live.addDropped(ret.ID, unreported)
		live.addReturn(ret.ID, from.Load, len(packed))
	}
	m.returnForSalt(ret.JID, ret.ID, from.Load)
	m.returnElsewhere(context.WithoutCancel(ctx), ret.JID, from.Load)
	m.bus.Publish(events.JobReturn(ret.JID, ret.ID), from.Load)
	m.log.Info("job returned", "jid", ret.JID, "minion", ret.ID, "retcode", ret.Retcode)
	return nil, nil
}

// startOf is when a job began by its id, or now where the id does not tell.
func startOf(jid wire.JobID) time.Time {
	if t, err := jid.Time(); err == nil {
		return t
	}
	return time.Now()
}

func (m *Master) notTargeted(from *minionRequest, jid wire.JobID) error {
	m.audit("return refused", "minion", string(from.ID), "jid", string(jid), "why", "the job does not target it")
	return &wire.Error{Kind: wire.Forbidden, Op: "_return", Msg: fmt.Sprintf("job %s does not target %s", jid, from.ID)}
}

// handleAck notes that a minion took a job.
func (m *Master) handleAck(ctx context.Context, from *minionRequest) (any, error) {
	ack, err := wire.AckFromMap(from.Load)
	if err != nil {
		return nil, err
	}
	live := m.live.get(ack.JID)
	if live != nil && !live.has(from.ID) {
		return nil, m.notTargeted(from, ack.JID)
	}
	if live != nil && live.Internal {
		live.ack(from.ID)
		return nil, nil
	}
	if err := m.store.Ack(ctx, ack.JID, from.ID, time.Now()); err != nil {
		return nil, err
	}
	if live != nil {
		live.ack(from.ID)
	}
	return nil, nil
}

// handleTake answers a minion that asks whether a job is still its own: it is not where the
// job is done over SSH. What that was decided by is in memory; of a job of an earlier
// process the store tells whether anybody has taken it, who was not this minion.
func (m *Master) handleTake(ctx context.Context, from *minionRequest) (any, error) {
	take, err := wire.TakeFromMap(from.Load)
	if err != nil {
		return nil, err
	}
	reply := &wire.TakeReply{}
	if live := m.live.get(take.JID); live != nil {
		if !live.has(from.ID) {
			return nil, m.notTargeted(from, take.JID)
		}
		reply.Run, reply.Later = live.take(from.ID)
		return reply.ToMap(), nil
	}
	t, err := m.store.Target(ctx, take.JID, from.ID)
	switch {
	case errors.Is(err, jobs.ErrNotTargeted), errors.Is(err, jobs.ErrUnknown):
		return nil, m.notTargeted(from, take.JID)
	case err != nil:
		return nil, err
	}
	reply.Run = t.AckedAt.IsZero() && !m.ssh.has(take.JID, from.ID)
	return reply.ToMap(), nil
}

// handleMissed answers with the jobs that the minion should have got and has not.
func (m *Master) handleMissed(ctx context.Context, from *minionRequest) (any, error) {
	missed, err := m.store.Missed(ctx, from.ID, time.Now())
	if err != nil {
		return nil, err
	}
	loads := make([]any, 0, len(missed))
	for _, j := range missed {
		load, err := wire.DecodeMap(j.Load, wire.Local, wire.Authenticated)
		if err != nil {
			return nil, fmt.Errorf("job %s in the store: %w", j.JID, err)
		}
		loads = append(loads, load)
	}
	if len(loads) > 0 {
		m.log.Info("minion fetches what it missed", "minion", from.ID, "jobs", len(loads))
	}
	return loads, nil
}

// handleAlive notes which jobs a minion is running, and tells how large a result may be.
func (m *Master) handleAlive(ctx context.Context, from *minionRequest) (any, error) {
	alive, err := wire.AliveFromMap(from.Load)
	if err != nil {
		return nil, err
	}
	m.presence.alive(from.ID, alive.Running)
	if len(alive.Running) > 0 {
		if err := m.store.Alive(ctx, from.ID, alive.Running, time.Now()); err != nil {
			return nil, err
		}
	}
	return (&wire.AliveReply{MaxReturn: int64(m.cfg.MaxReturn)}).ToMap(), nil
}

// handleSharedKey hands the present shared key to a minion that met a publish under one
// that it does not know: what a new sign-in would give it, without RSA.
func (m *Master) handleSharedKey(context.Context, *minionRequest) (any, error) {
	return (&wire.SharedKeyReply{AES: m.shared.current().Reveal()}).ToMap(), nil
}

// handlePillar compiles the minion's pillar with the grains that came with the request,
// and answers with it, sealed for the minion alone. Both are kept, as what targets and
// runners go by: of the pillar without what was encrypted.
func (m *Master) handlePillar(ctx context.Context, from *minionRequest) (any, error) {
	req, err := wire.PillarRequestFromMap(from.Load)
	if err != nil {
		return nil, err
	}
	if req.Grains != nil {
		req.Grains.Set("id", string(from.ID)) // whoever asks is who it is
	}
	ext, _ := from.Load.Get("ext")
	res, err := m.pillars.Compile(ctx, &pillar.Request{ID: from.ID, Grains: req.Grains, Saltenv: req.Saltenv, Pillarenv: req.Pillarenv,
		Override: req.PillarOverride, Extra: req.ExtraMinionData, Ext: ext}, req.CleanCache)
	if errors.Is(err, masterpillar.ErrBusy) {
		return nil, &wire.Error{Kind: wire.Busy, Op: wire.CmdPillar, Msg: err.Error()}
	}
	if err != nil {
		return nil, err
	}
	// What one call lays over the pillar, or asks of another environment, is not the
	// minion's pillar. Which environment is its own it says first, and with each refresh.
	own, _ := m.pillarEnvs.LoadOrStore(from.ID, req.Pillarenv)
	if req.CleanCache {
		own = req.Pillarenv
		m.pillarEnvs.Store(from.ID, own)
	}
	var kept *wire.Map
	if req.PillarOverride.Len() == 0 && ext == nil && own == req.Pillarenv {
		kept = res.Secrets.Value(res.Pillar).(*wire.Map)
	}
	if err := m.minions.set(ctx, from.ID, req.Grains, kept); err != nil {
		return nil, err
	}
	m.bus.Publish(events.MinionRefresh(from.ID), wire.NewMap("Minion data cache refresh", string(from.ID)))
	if from.Plain {
		return wire.StreamPillar(res.Pillar, res.Secrets.Texts()), nil
	}
	pub, err := m.keys.Accepted(from.ID)
	if err != nil {
		return nil, err
	}
	enc, okEnc := seal.EncAlgorithm(from.EncAlgo)
	sig, okSig := seal.SigAlgorithm(from.SigAlgo)
	if !okEnc || !okSig {
		return nil, &wire.Error{Kind: wire.Malformed, Op: wire.CmdPillar, Msg: fmt.Sprintf("enc_algo %.40q or sig_algo %.40q is not known", from.EncAlgo, from.SigAlgo)}
	}
	data := &wire.PillarData{Pillar: res.Pillar, Nonce: from.Nonce}
	if from.Gosalt {
		data.Secrets = res.Secrets.Texts()
	}
	from.reply, err = seal.SealPillarData(pub, enc, m.own.Key, sig, data)
	return nil, err
}

func (m *Master) handleEmptyMap(context.Context, *minionRequest) (any, error) {
	return wire.NewMap(), nil
}

// handleRevoke deletes the minion's own key at its wish (allow_minion_key_revoke).
func (m *Master) handleRevoke(ctx context.Context, from *minionRequest) (any, error) {
	if !m.cfg.AllowMinionKeyRevoke {
		m.log.Warn("minion asked for its key to be deleted, which allow_minion_key_revoke forbids", "minion", from.ID)
		return from.Load, nil
	}
	m.audit("key revoked", "minion", string(from.ID))
	if err := m.keys.Delete("minions", from.ID); err != nil {
		return nil, err
	}
	m.keyGone(from.ID)
	if !m.cfg.PreserveMinionCache && !from.Load.Bool("preserve_minion_cache") {
		return true, m.store.ForgetMinion(context.WithoutCancel(ctx), from.ID)
	}
	return true, nil
}

// handleEvent fires a minion's events on the master's bus, those that it may fire.
func (m *Master) handleEvent(_ context.Context, from *minionRequest) (any, error) {
	ev, err := wire.MinionEventFromMap(from.Load)
	if err != nil {
		return nil, err
	}
	if ev.ID != from.ID {
		return nil, &wire.Error{Kind: wire.Forbidden, Op: wire.CmdMinionEvent, Msg: fmt.Sprintf("%s may not send events of %s", from.ID, ev.ID)}
	}
	refused := ""
	fire := func(tag string, data *wire.Map) {
		if m.mayFire(from.ID, tag) {
			m.fire(from.ID, tag, data)
		} else if refused == "" {
			refused = tag
		}
	}
	for _, e := range ev.Events {
		data, ok := e.Data.(*wire.Map)
		if !ok {
			data = wire.NewMap("data", e.Data)
		}
		fire(e.Tag, data)
		if ev.Pretag != "" {
			fire(ev.Pretag+"/"+e.Tag, data)
		}
	}
	if ev.Events == nil {
		fire(ev.Tag, from.Load)
	}
	if refused != "" && from.Gosalt { // a Salt minion would take it for a failed handler
		return nil, &wire.Error{Kind: wire.Forbidden, Op: wire.CmdMinionEvent, Msg: fmt.Sprintf("%s may not fire events under %.200q: use a tag outside of salt/, or one that begins with salt/minion/%s/", from.ID, refused, from.ID)}
	}
	return nil, nil
}

// fire publishes a minion's event, and hands a job's progress to who follows it: a
// report that came before, and whose confirmation was lost, not again.
func (m *Master) fire(id wire.MinionID, tag string, data *wire.Map) {
	if rest, ok := strings.CutPrefix(tag, "salt/job/"); ok {
		jid, rest, _ := strings.Cut(rest, "/")
		if strings.HasPrefix(rest, "prog/") {
			n := 0
			if data.Has("progress") { // Salt's minions do not send a report again
				n = wire.ProgressNumber(tag)
			}
			if live := m.live.get(wire.JobID(jid)); live != nil && !live.addProgress(id, n, data) {
				return
			}
		}
	}
	m.bus.Publish(tag, data)
}

// mayFire is the list of tags that a minion may use: those under its own name, and
// any outside of salt/ that could not be taken for a job's or the master's own
// (CVE-2025-22239).
func (m *Master) mayFire(id wire.MinionID, tag string) bool {
	if ownTag(id, tag) {
		return true
	}
	m.log.Warn("event of a minion was dropped: it may not use that tag", "minion", id, "tag", fmt.Sprintf("%.200q", tag))
	m.audit("event refused", "minion", string(id), "tag", tag)
	return false
}

func ownTag(id wire.MinionID, tag string) bool {
	if tag == "" || len(tag) > 1024 || strings.ContainsAny(tag, "\n\r\x00") {
		return false
	}
	own := string(id)
	if rest, ok := strings.CutPrefix(tag, "salt/job/"); ok {
		rest, ok := afterJob(rest)
		return ok && (strings.HasPrefix(rest, "prog/"+own+"/") || strings.HasPrefix(rest, "sub/"+own+"/"))
	}
	if rest, ok := strings.CutPrefix(tag, "salt/state_result/"); ok { // fire_event of a state
		rest, ok := afterJob(rest)
		return ok && strings.HasPrefix(rest, own+"/")
	}
	for _, prefix := range []string{"salt/minion/" + own + "/", "salt/beacon/" + own + "/", "salt/engines/" + own + "/"} {
		if strings.HasPrefix(tag, prefix) {
			return true
		}
	}
	first, _, _ := strings.Cut(tag, "/")
	switch {
	case first == "salt", first == "minion", first == "key", first == "cluster", first == "_salt_error":
		return false // the master's own
	case first == "minion_start", first == "minion_ping", first == "fire_master":
		return true
	}
	_, err := wire.ParseJobID(first)
	return err != nil // a bare job id is the master's
}

// afterJob is what follows the job's id in a tag. That of Salt's startup_states is "req".
func afterJob(tag string) (string, bool) {
	jid, rest, ok := strings.Cut(tag, "/")
	_, err := wire.ParseJobID(jid)
	return rest, ok && (err == nil || jid == "req")
}

// binding is a subscriber's connection and the minion that it proved to be.
type binding struct {
	id   wire.MinionID
	peer transport.Peer
}

// Subscribed is told of each subscription (transport.Subscribers). One that names a
// gosalt minion under its session key binds the connection to that minion.
func (m *Master) Subscribed(p transport.Peer, topic []byte) bool {
	who, ok := seal.ParseBind(topic)
	if !ok {
		return true // a topic of Salt's
	}
	id, ok := m.minions.byTopic(who.Topic)
	if !ok {
		return true // not signed in with this master process: it will, and subscribe anew
	}
	session := m.sessions.get(id)
	if session == nil || !session.CheckBind(who) || m.checkTime(id, who.Time) != nil {
		m.refused(p, "subscription under a minion's name does not prove itself", errors.New("wrong code, or too old"), "minion", id)
		return false
	}
	if old, had := m.bound.Swap(p.ID(), binding{id, p}); had {
		m.presence.subscriptionGone(old.(binding).id)
	}
	p.Authenticate()
	m.presence.subscribed(id)
	return true
}

// subscribers gives the publish port's Gone another receiver than the request port's.
type subscribers struct{ *Master }

// Gone is told that a subscriber's connection has ended (transport.Subscribers).
func (s subscribers) Gone(p transport.Peer) {
	if id, ok := s.bound.LoadAndDelete(p.ID()); ok {
		s.presence.subscriptionGone(id.(binding).id)
	}
}
