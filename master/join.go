package master

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"time"

	"github.com/gosalt/gosalt/master/join"
	"github.com/gosalt/gosalt/master/keys"
	"github.com/gosalt/gosalt/protocol/seal"
	"github.com/gosalt/gosalt/protocol/transport"
	"github.com/gosalt/gosalt/protocol/wire"
)

// joining is what the master knows of minions that are to be accepted without a person
// (docs/enrolment.md).
type joining struct {
	secret [32]byte // makes challenges, for the life of this process
	finger string   // of the master's public key
	tokens *join.Tokens
	clouds *join.Clouds
}

// challengeLife is how long a minion may take from its hello to its proof.
const challengeLife = time.Minute

func (m *Master) openJoin() error {
	rand.Read(m.joining.secret[:])
	policies, err := join.ParsePolicies(m.cfg.AutosignCloud)
	if err != nil {
		return fmt.Errorf("%s: %w", m.cfg.ConfFile, err)
	}
	if m.joining.finger, err = seal.Fingerprint(m.own.Pub, "sha256"); err != nil {
		return err
	}
	if m.joining.tokens, err = join.OpenTokens(m.cfg.PKIDir, nil); err != nil {
		return err
	}
	m.joining.clouds, err = join.OpenClouds(m.cfg.PKIDir, filepath.Dir(m.cfg.ConfFile), policies, m.cloudLookup(), nil)
	return err
}

// challenge makes what a proof has to be about: the time, a random number, and a code
// by which this master knows it again. Nothing is kept for who only asks.
func (j *joining) challenge(now time.Time) string {
	var b [24]byte
	binary.BigEndian.PutUint64(b[:8], uint64(now.UnixMilli()))
	rand.Read(b[8:])
	return hex.EncodeToString(append(b[:], j.code(b[:])...))
}

func (j *joining) code(b []byte) []byte {
	mac := hmac.New(sha256.New, j.secret[:])
	mac.Write(b)
	return mac.Sum(nil)[:16]
}

// fresh tells whether a challenge is this master's, and not too old.
func (j *joining) fresh(text string, now time.Time) bool {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != 40 || !hmac.Equal(j.code(b[:24]), b[24:]) {
		return false
	}
	age := now.Sub(time.UnixMilli(int64(binary.BigEndian.Uint64(b[:8]))))
	return age > -time.Second && age < challengeLife
}

// handleHello says who this master is, and proves it by its signature. It costs the
// master as much as a sign-in, and is limited like one.
func (m *Master) handleHello(p transport.Peer, _ int64, load *wire.Map) []byte {
	h, err := wire.HelloFromMap(load)
	if err != nil {
		m.refused(p, "hello is malformed", err)
		return badLoad
	}
	if !m.limits.authUnknown.allow(p.Addr().Addr()) {
		m.refused(p, "too many sign-ins from one address", fmt.Errorf("more than %g a second", m.limits.authUnknown.rate))
		return nil
	}
	return m.signed(p, (&wire.HelloReply{Nonce: h.Nonce, PubKey: m.own.Pub, Challenge: m.joining.challenge(time.Now())}).ToMap())
}

func (m *Master) signed(p transport.Peer, load *wire.Map) []byte {
	body, err := seal.SignClear(m.own.Key, seal.PKCS1v15SHA224, load)
	if err != nil {
		m.log.Error("answer cannot be signed", "peer", p.Addr(), "error", err)
		return nil
	}
	return body
}

// handleJoin accepts a minion's key, where something speaks for it.
func (m *Master) handleJoin(p transport.Peer, _ int64, load *wire.Map) []byte {
	r, err := wire.JoinFromMap(load)
	if err != nil {
		m.refused(p, "request to join is malformed", err)
		return badLoad
	}
	if !m.limits.authUnknown.allow(p.Addr().Addr()) {
		m.refused(p, "too many sign-ins from one address", fmt.Errorf("more than %g a second", m.limits.authUnknown.rate), "minion", r.ID)
		return nil
	}
	reply, err := m.join(p, r)
	if err != nil { // of this machine: the minion tries again
		m.log.Error("request to join cannot be handled", "minion", r.ID, "error", err)
		return nil
	}
	reply.Nonce = r.Nonce
	return m.signed(p, reply.ToMap())
}

// vouched is what speaks for a minion's key.
type vouched struct {
	by     string                       // for logs: "token 0f3c…", "aws i-0123…"
	claim  func() (func() error, error) // uses it up; nil where nothing is proved
	grains map[string]string
}

// join decides. An error is one of this machine, and decides nothing.
func (m *Master) join(p transport.Peer, r *wire.Join) (*wire.JoinReply, error) {
	no := func(state wire.JoinState, kind wire.Kind, msg string) *wire.JoinReply {
		return &wire.JoinReply{State: state, Err: &wire.Error{Kind: kind, Op: "join", Msg: msg}}
	}
	if !m.joining.fresh(r.Challenge, time.Now()) || !m.replays.first(nonceKey("", r.Challenge)) {
		return no(wire.JoinLater, wire.Replayed, "the challenge was used, or is more than a minute old: a new one is needed"), nil
	}
	key, err := seal.ParsePublic([]byte(seal.CleanKey(r.Pub)))
	if err != nil {
		return no(wire.JoinRefused, wire.Malformed, "the minion's key cannot be used: "+err.Error()), nil
	}
	// The same key under another layout of its text is the same key.
	finger, err := seal.Fingerprint(seal.CleanKey(key.PEM()), "sha256")
	if err != nil {
		return nil, err
	}
	from := p.Addr().Addr().Unmap()
	u := join.Use{ID: r.ID, Finger: finger, From: from.String(), At: time.Now().UTC()}
	v, err := m.voucher(r, from, u)
	if errors.Is(err, join.ErrUnproven) {
		m.refused(p, "request to join proves nothing", err, "minion", r.ID, "how", string(r.How))
		if m.joinAudit.allow(p.Addr().Addr()) {
			m.audit("join", "minion", string(r.ID), "from", from.String(), "how", string(r.How), "result", "refused", "reason", "not proved")
		}
		what := "the master does not take this token: it is not one of this master's, or is no more"
		if r.How != wire.JoinToken {
			what = "the master does not take this machine's identity document: it is not signed as expected"
		}
		return no(wire.JoinRefused, wire.Unauthorized, what), nil
	}
	// Whoever asks again because the answer was lost is told what was decided.
	if v != nil && v.claim != nil && m.keys.IsAccepted(r.ID, r.Pub) {
		return &wire.JoinReply{State: wire.JoinAccepted, Grains: grainsOf(v.grains)}, nil
	}
	var res keys.Result
	var done func() error
	if err == nil {
		res, err = m.keys.Authenticate(keys.Request{ID: r.ID, Pub: r.Pub, Addr: p.Addr().Addr(), Claim: func() (err error) {
			done, err = v.claim()
			return err
		}})
	}
	var refusal *join.Refusal
	switch {
	case errors.As(err, &refusal):
		state := wire.JoinRefused
		if refusal.Later {
			state = wire.JoinLater
		}
		m.log.Warn("minion may not join", "minion", r.ID, "from", from, "by", v.by, "reason", refusal.Msg)
		m.audit("join", "minion", string(r.ID), "from", from.String(), "by", v.by, "result", string(state), "reason", refusal.Msg)
		return no(state, refusal.Kind, refusal.Msg), nil
	case err != nil:
		return nil, err
	case res.Answer != keys.Accept:
		m.audit("join", "minion", string(r.ID), "from", from.String(), "by", v.by, "result", "refused", "reason", res.Reason)
		return no(wire.JoinRefused, wire.Forbidden, fmt.Sprintf("%s; on the master: gosalt-key -L shows its keys, gosalt-key -d %s deletes them, and then this can be done again", res.Reason, r.ID)), nil
	}
	m.audit("join", "minion", string(r.ID), "from", from.String(), "by", v.by, "result", "accepted", "finger", finger)
	m.log.Info("minion has joined", "minion", r.ID, "from", from, "by", v.by)
	if done != nil {
		if err := done(); err != nil {
			m.log.Error("that a minion has joined cannot be noted", "minion", r.ID, "by", v.by, "error", err)
		}
	}
	m.keysChanged()
	return &wire.JoinReply{State: wire.JoinAccepted, Grains: grainsOf(v.grains)}, nil
}

// voucher checks what a minion shows. It is not nil as soon as something is proved, also
// where the error says that this does not count.
func (m *Master) voucher(r *wire.Join, from netip.Addr, u join.Use) (*vouched, error) {
	if r.How == wire.JoinToken {
		t, err := m.joining.tokens.Check(r, m.joining.finger, u)
		v := &vouched{by: "token " + r.Token}
		if t == nil {
			return nil, err
		}
		v.grains = t.Grains
		v.claim = func() (func() error, error) { return m.joining.tokens.Claim(r.Token, u) }
		return v, err
	}
	ctx, cancel := context.WithTimeout(m.ctx, 20*time.Second)
	defer cancel()
	who, err := m.joining.clouds.Check(ctx, r, from, u)
	v := &vouched{by: string(r.How)}
	if who == nil {
		if errors.As(err, new(*join.Refusal)) {
			return v, err
		}
		return nil, err
	}
	v.by += " " + who.ID
	v.claim = func() (func() error, error) { return m.joining.clouds.Claim(who, u) }
	return v, err
}

func grainsOf(grains map[string]string) *wire.Map {
	if len(grains) == 0 {
		return nil
	}
	out := wire.NewMap()
	for _, k := range slices.Sorted(maps.Keys(grains)) {
		out.Set(k, grains[k])
	}
	return out
}
