package swarm

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/gosalt/gosalt/internal/target"
	"github.com/gosalt/gosalt/protocol/seal"
	"github.com/gosalt/gosalt/protocol/wire"
)

func (m *member) current() *credentials {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.creds
}

// signInAgain gets new credentials, unless another goroutine has got them since.
func (m *member) signInAgain(ctx context.Context, old *credentials) (*credentials, error) {
	if err := m.swarm.enter(ctx); err != nil {
		return nil, err
	}
	defer m.swarm.leave()
	if c := m.current(); c != old {
		return c, nil
	}
	return m.signIn(ctx)
}

// renew gets the master's new shared key: from a gosalt master under the session key.
func (m *member) renew(ctx context.Context, old *credentials) (*credentials, error) {
	if !old.gosalt {
		return m.signInAgain(ctx, old)
	}
	v, err := m.ask(ctx, wire.SharedKey{}.ToMap())
	if err != nil {
		return nil, err
	}
	r, err := wire.SharedKeyReplyFromValue(v)
	if err != nil {
		return m.signInAgain(ctx, old)
	}
	key, err := seal.ParseKey(r.AES)
	if err != nil {
		return nil, fmt.Errorf("new shared key: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.creds == old && !key.Equal(old.shared) {
		c := *old
		c.shared, c.serial = key, &seal.Serial{}
		m.creds = &c
	}
	return m.creds, nil
}

// signIn asks the master for its keys, over a connection of its own as Salt's minions do.
func (m *member) signIn(ctx context.Context) (*credentials, error) {
	const enc, sig = seal.OAEPSHA1, seal.PKCS1v15SHA1
	m.mu.Lock()
	known := m.master
	m.mu.Unlock()
	req := &wire.AuthRequest{ID: m.id, Nonce: seal.NewNonce(), EncAlgo: string(enc), SigAlgo: string(sig), Pub: seal.CleanKey(m.key.Public().PEM())}
	if !m.swarm.cfg.Salt {
		req.Gosalt = wire.Version
	}
	check := &seal.AuthCheck{Minion: m.key, Nonce: req.Nonce, Enc: enc, Sig: sig, Master: known}
	if known != nil {
		check.Token = seal.NewSecret(seal.NewKey().Reveal())
		var err error
		if req.Token, err = known.Encrypt(enc, []byte(check.Token.Reveal())); err != nil {
			return nil, fmt.Errorf("sign in: %w", err)
		}
	}
	body, err := (&wire.Envelope{Enc: wire.EncClear, Load: req.ToMap(), Version: wire.SaltVersion}).Encode()
	if err != nil {
		return nil, fmt.Errorf("sign in: %w", err)
	}
	conn := m.dial.Requester(m.swarm.requestAddr())
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, m.swarm.cfg.Timeout)
	defer cancel()
	answer, err := conn.Do(ctx, body)
	if err != nil {
		return nil, fmt.Errorf("sign in: %w", err)
	}
	r, err := check.Open(answer, wire.Authenticated)
	if err != nil {
		return nil, fmt.Errorf("sign in: %w", err)
	}
	if r.State != wire.AuthAccepted {
		return nil, fmt.Errorf("%w: it answers %v", errWaiting, r.State)
	}
	c := &credentials{master: r.Master, shared: r.Shared, session: r.Session, serial: &seal.Serial{}, publishPort: r.PublishPort,
		gosalt: r.Gosalt > 0 && !m.swarm.cfg.Salt}
	m.mu.Lock()
	if m.creds != nil && m.creds.shared.Equal(c.shared) {
		c.serial = m.creds.serial // the numbers of publishes go on
	}
	m.creds, m.master = c, r.Master
	m.mu.Unlock()
	m.swarm.signIns.Add(1)
	return c, nil
}

// ask sends a request and returns the answer's value.
func (m *member) ask(ctx context.Context, load *wire.Map) (any, error) {
	return m.request(ctx, load, func(body []byte, c *credentials, nonce string) (any, error) {
		return seal.OpenReply(body, c.session, nonce, wire.Authenticated)
	})
}

// fetchPillar brings the grains to the master and gets the pillar.
func (m *member) fetchPillar(ctx context.Context) error {
	req := &wire.PillarRequest{ID: m.id, Grains: m.grains(), Ver: "2"}
	_, err := m.request(ctx, req.ToMap(), func(body []byte, c *credentials, nonce string) (any, error) {
		return seal.OpenPillar(body, m.key, seal.OAEPSHA1, c.master, seal.PKCS1v15SHA1, nonce, wire.Authenticated)
	})
	return err
}

// request sends a request. One that the master refuses as from a stranger is sent once
// more after a new sign-in. The token is computed once for a key pair.
func (m *member) request(ctx context.Context, load *wire.Map, open func([]byte, *credentials, string) (any, error)) (any, error) {
	tok, err := m.key.Token()
	if err != nil {
		return nil, err
	}
	for again := false; ; again = true {
		c := m.current()
		nonce := seal.NewNonce()
		out := load
		if c.gosalt {
			out = load.Clone()
			out.Set("gosalt", int64(wire.Version))
		}
		body, err := seal.SealRequest(c.session, m.id, tok, seal.OAEPSHA1, seal.PKCS1v15SHA1, nonce, time.Now(), out)
		if err != nil {
			return nil, err
		}
		answer, err := m.send(ctx, body)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", load.Text("cmd"), err)
		}
		v, err := open(answer, c, nonce)
		if !again && (errors.Is(err, seal.ErrAuth) || errors.Is(err, seal.ErrNoKey) || errors.Is(err, seal.ErrDecrypt)) {
			if _, err := m.signIn(ctx); err != nil {
				return nil, err
			}
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("answer to %s: %w", load.Text("cmd"), err)
		}
		if r, ok := v.(*wire.Map); ok && r.Len() == 1 && r.Map(wire.FieldError) != nil {
			e, err := wire.ErrorFromMap(r.Map(wire.FieldError))
			if err != nil {
				return nil, err
			}
			return nil, e
		}
		return v, nil
	}
}

func (m *member) send(ctx context.Context, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, m.swarm.cfg.Timeout)
	defer cancel()
	return m.requests.Do(ctx, body)
}

// publish is an opened publish.
type publish struct {
	job    *wire.Job
	target *target.Target
}

func (p *publish) matches(id wire.MinionID) (bool, error) {
	s := target.Subject{ID: string(id)}
	if p.target.NeedsGrains() {
		s.Grains = grains(id)
	}
	if p.target.NeedsPillar() {
		s.Pillar = wire.NewMap()
	}
	return p.target.Match(s)
}

// openPublish checks a publish and reads its job.
func openPublish(c *credentials, body []byte) (*publish, error) {
	load, err := seal.OpenPublish(body, c.shared, c.master, wire.Authenticated)
	if err != nil {
		return nil, err
	}
	job, err := wire.JobFromMap(load)
	if err != nil {
		return nil, err
	}
	t, err := target.Parse(job.Tgt, job.TgtType, target.Options{Delimiter: job.Delimiter})
	if err != nil {
		return nil, err
	}
	return &publish{job, t}, nil
}

// openings holds the last publishes, so that all minions of a process can use what one
// of them has opened.
type openings struct {
	mu   sync.Mutex
	last []*opening
}

type opening struct {
	sum  [32]byte // of the shared key and the body
	once sync.Once
	p    *publish
	err  error
}

const keptOpenings = 64

// open opens a publish or, where minions share, uses an earlier opening of the same
// bytes under the same key.
func (o *openings) open(share bool, c *credentials, body []byte) (*publish, error) {
	if !share {
		return openPublish(c, body)
	}
	h := sha256.New()
	h.Write([]byte(c.shared.Digest()))
	h.Write(body)
	k := o.get([32]byte(h.Sum(nil)))
	k.once.Do(func() { k.p, k.err = openPublish(c, body) })
	return k.p, k.err
}

func (o *openings) get(sum [32]byte) *opening {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, k := range o.last {
		if k.sum == sum {
			return k
		}
	}
	if len(o.last) == keptOpenings {
		o.last = append(o.last[:0], o.last[1:]...)
	}
	k := &opening{sum: sum}
	o.last = append(o.last, k)
	return k
}
