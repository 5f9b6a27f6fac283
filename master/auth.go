package master

import (
	"fmt"
	"sync"
	"time"

	"github.com/gosalt/gosalt/master/events"
	"github.com/gosalt/gosalt/master/keys"
	"github.com/gosalt/gosalt/protocol/seal"
	"github.com/gosalt/gosalt/protocol/transport"
	"github.com/gosalt/gosalt/protocol/wire"
)

// handleAuth answers a minion that signs in. What becomes of its key is decided by
// package keys; this makes the answer that Salt's protocol asks for.
func (m *Master) handleAuth(p transport.Peer, _ int64, load *wire.Map) []byte {
	req, err := wire.AuthRequestFromMap(load)
	if err != nil {
		m.refused(p, "sign-in is malformed", err)
		if _, err := wire.ParseMinionID(load.Text("id")); err != nil {
			return m.authReply(p, seal.PKCS1v15SHA1, &wire.AuthReply{State: wire.AuthDenied, Nonce: nonceOf(load)})
		}
		return badLoad
	}
	sig, ok := seal.SigAlgorithm(req.SigAlgo)
	if !ok {
		return unsigned("bad sig algo")
	}
	if _, ok := seal.EncAlgorithm(req.EncAlgo); !ok && req.Token != nil {
		return unsigned("bad enc algo")
	}
	reply := &wire.AuthReply{State: wire.AuthDenied, Nonce: req.Nonce, Gosalt: wire.Version}
	limit := m.limits.authUnknown
	known := m.keys.IsAccepted(req.ID, req.Pub)
	if known {
		limit = m.limits.authKnown
	}
	if !limit.allow(p.Addr().Addr()) {
		m.refused(p, "too many sign-ins from one address", fmt.Errorf("more than %g a second", limit.rate), "minion", req.ID)
		if known {
			m.troubles.note(req.ID, fmt.Sprintf("more than %g sign-ins a second came from its address (auth_rate)", limit.rate))
		}
		return nil
	}
	if !known && m.full(req.ID) {
		m.log.Warn("minion is refused: there are max_minions already", "minion", req.ID, "max_minions", m.cfg.MaxMinions)
		m.bus.Publish(events.Auth, wire.NewMap("result", false, "act", "full", "id", string(req.ID), "pub", req.Pub))
		reply.State = wire.AuthFull
		return m.authReply(p, sig, reply)
	}
	res, err := m.keys.Authenticate(keys.Request{ID: req.ID, Pub: req.Pub, Grains: req.AutosignGrains, Addr: p.Addr().Addr()})
	if err != nil {
		m.log.Error("key directories cannot be used", "minion", req.ID, "error", err)
		return nil
	}
	if len(res.Effects) > 0 {
		m.audit("sign-in", "minion", string(req.ID), "from", p.Addr().String(), "answer", res.Answer.String(), "reason", res.Reason)
	}
	if res.Answer == keys.Wait {
		if res, err = m.holdPending(p, req, res); err != nil {
			m.log.Error("key directories cannot be used", "minion", req.ID, "error", err)
			return nil
		}
	}
	switch res.Answer {
	case keys.Wait:
		reply.State = wire.AuthPending
	case keys.Accept:
		body, err := m.accept(req, res.Key)
		if err != nil {
			m.log.Error("sign-in of an accepted minion failed", "minion", req.ID, "error", err)
			return nil
		}
		return body
	}
	return m.authReply(p, sig, reply)
}

// maxHeld is how many pending minions may wait at the master at the same time; more
// are answered at once and ask again, as Salt's do.
const maxHeld = 256

// holdPending keeps a pending gosalt minion waiting for as long as it offered, so
// that it is there the moment its key is accepted.
func (m *Master) holdPending(p transport.Peer, req *wire.AuthRequest, res keys.Result) (keys.Result, error) {
	wait := time.Duration(min(req.Raw.Int(wire.FieldWait), 30)) * time.Second
	if wait <= 0 || m.held.Add(1) > maxHeld {
		if wait > 0 {
			m.held.Add(-1)
		}
		return res, nil
	}
	defer m.held.Add(-1)
	end := time.NewTimer(wait)
	defer end.Stop()
	for {
		looked := m.keysLookedAt.wait()
		if st, err := m.keys.StateOf(req.ID); err != nil || st != keys.Pending {
			break
		}
		select {
		case <-m.ctx.Done():
			return res, nil
		case <-end.C:
			return res, nil
		case <-looked:
		}
	}
	return m.keys.Authenticate(keys.Request{ID: req.ID, Pub: req.Pub, Grains: req.AutosignGrains, Addr: p.Addr().Addr()})
}

// broadcast wakes all who wait at once.
type broadcast struct {
	mu sync.Mutex
	ch chan struct{}
}

// wait returns a channel that is closed by the next send.
func (b *broadcast) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch == nil {
		b.ch = make(chan struct{})
	}
	return b.ch
}

func (b *broadcast) send() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch != nil {
		close(b.ch)
		b.ch = nil
	}
}

// accept hands the keys to a minion whose key is accepted.
func (m *Master) accept(req *wire.AuthRequest, pub *seal.PublicKey) ([]byte, error) {
	session, err := m.sessions.issue(req.ID)
	if err != nil {
		return nil, err
	}
	return m.shared.accepter().Accept(req, pub, session)
}

func unsigned(message string) []byte {
	b, err := seal.UnsignedReply(message)
	if err != nil {
		panic(err) // of a constant
	}
	return b
}

func nonceOf(load *wire.Map) string {
	if n := load.Text("nonce"); len(n) <= 64 {
		return n
	}
	return ""
}

// full tells whether max_minions leaves no room for one more.
func (m *Master) full(id wire.MinionID) bool {
	if m.cfg.MaxMinions <= 0 {
		return false
	}
	connected := m.presence.connectedIDs()
	return len(connected) >= m.cfg.MaxMinions && !connected[id]
}

// authReply packs and signs a reply to a sign-in.
func (m *Master) authReply(p transport.Peer, sig seal.Algorithm, reply *wire.AuthReply) []byte {
	body, err := seal.SignReply(m.own.Key, sig, reply)
	if err != nil {
		m.log.Error("sign-in reply cannot be made", "peer", p.Addr(), "error", err)
		return nil
	}
	return body
}
