package master

import (
	"fmt"

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
