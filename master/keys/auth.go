package keys

import (
	"crypto/sha256"
	"fmt"
	"net/netip"

	"github.com/gosalt/gosalt/protocol/seal"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Request is what decides about a minion that introduces itself.
type Request struct {
	ID     wire.MinionID
	Pub    string     // its public key, PEM
	Grains *wire.Map  // autosign_grains as it sent them, or nil
	Addr   netip.Addr // where it comes from, for the limits; the zero value in memory

	// Claim, where set, says that something else than the options speaks for a new key: a
	// join token. It is called once the key is going to be accepted, before anything is
	// written; its error is returned, and nothing has changed.
	Claim func() error
}

// Result is the decision about a Request, already carried out.
type Result struct {
	Decision
	Key *seal.PublicKey // of an accepted minion
}

// Authenticate decides about a request and carries the decision out. A key that is
// none, or too weak, is denied before anything is looked at or stored. An error
// means that the key directories could not be read or written: nothing was decided,
// and the minion should get no answer, so that it tries again.
func (s *Store) Authenticate(r Request) (Result, error) {
	id, err := wire.ParseMinionID(string(r.ID))
	if err != nil {
		return Result{Decision: Decision{Answer: Deny, Reason: err.Error()}}, nil
	}
	r.Pub = seal.CleanKey(r.Pub)
	key, err := seal.ParsePublic([]byte(r.Pub))
	if err != nil {
		d := Decision{Answer: Deny, Reason: "unusable key: " + err.Error()}
		s.report(r, d)
		return Result{Decision: d}, nil
	}
	d, err := s.decide(id, r)
	if err != nil {
		return Result{}, fmt.Errorf("authenticate minion %s: %w", id, err)
	}
	s.report(r, d)
	res := Result{Decision: d}
	if d.Answer == Accept {
		res.Key = key
	}
	return res, nil
}

// decide gathers the facts, decides, and makes the changes, under the lock of the id.
func (s *Store) decide(id wire.MinionID, r Request) (Decision, error) {
	lock := s.lock(id)
	lock.Lock()
	defer lock.Unlock()

	sum := sha256.Sum256([]byte(r.Pub))
	f := Facts{OpenMode: s.cfg.OpenMode}
	var err error
	if f.Accepted, err = s.matchAccepted(id, sum); err != nil {
		return Decision{}, err
	}
	if f.Rejected, err = s.exists(Rejected, id); err != nil {
		return Decision{}, err
	}
	var ticket string
	if f.Accepted == None {
		if f.CaseTwin, err = s.caseTwin(id); err != nil {
			return Decision{}, err
		}
		if !f.Rejected && !f.OpenMode {
			if ticket, err = s.gatherNew(&f, id, sum, r); err != nil {
				return Decision{}, err
			}
		}
	}
	d := Decide(f)
	if ticket != "" && d.Answer == Accept {
		if err := s.useTicket(ticket); err != nil {
			return Decision{}, err
		}
	}
	if r.Claim != nil && d.Answer == Accept && len(d.Effects) > 0 {
		if err := r.Claim(); err != nil {
			return Decision{}, err
		}
	}
	for _, e := range d.Effects {
		if err := s.apply(e, id, r); err != nil {
			return Decision{}, err
		}
	}
	return d, nil
}

// gatherNew adds the facts that only a new or a pending key needs. ticket is the
// path of the file below minions_autosign that accepting the key uses up.
func (s *Store) gatherNew(f *Facts, id wire.MinionID, sum [32]byte, r Request) (ticket string, err error) {
	if f.Pending, err = s.match(Pending, id, sum); err != nil {
		return "", err
	}
	if f.AutoReject, err = s.listed(s.cfg.AutorejectFile, id); err != nil {
		return "", err
	}
	if f.AutoReject {
		f.Full, err = s.full(Rejected, r.Addr)
		return "", err
	}
	if r.Claim != nil {
		f.AutoSign = true
	} else if f.AutoSign, ticket, err = s.autosign(id, r.Grains); err != nil {
		return "", err
	}
	if f.Pending == None && !f.AutoSign {
		f.Full, err = s.full(Pending, r.Addr)
	}
	return ticket, err
}

func (s *Store) apply(e Effect, id wire.MinionID, r Request) error {
	switch e {
	case StoreAccepted:
		return s.write(Accepted, id, r.Pub)
	case StorePending:
		s.count(r.Addr)
		return s.write(Pending, id, r.Pub)
	case StoreRejected:
		s.count(r.Addr)
		return s.write(Rejected, id, r.Pub)
	case StoreDenied:
		// A minion that is denied asks again and again: the file is written once.
		if m, err := s.match(Denied, id, sha256.Sum256([]byte(r.Pub))); err != nil || m == Same {
			return err
		}
		return s.write(Denied, id, r.Pub)
	case RejectPending:
		return s.move(id, Pending, Rejected)
	case RemovePending:
		return s.remove(Pending, id)
	}
	return fmt.Errorf("unknown effect %d of a key decision", e)
}

// report logs a decision and fires its event.
func (s *Store) report(r Request, d Decision) {
	args := []any{"minion", string(r.ID), "reason", d.Reason}
	if r.Addr.IsValid() {
		args = append(args, "from", r.Addr.String())
	}
	switch d.Answer {
	case Deny:
		s.log.Warn("minion denied", args...)
	case Wait:
		s.log.Info("minion waits for its key to be accepted", append(args, "accept_with", "gosalt-key -a "+string(r.ID))...)
	case Accept:
		s.log.Info("minion authenticated", args...)
	}
	s.fire(Event{Tag: tagAuth, Result: d.Answer != Deny, Act: d.Act, ID: r.ID, Pub: r.Pub})
}
