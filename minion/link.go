package minion

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gosalt/gosalt/internal/config"
	"github.com/gosalt/gosalt/internal/secret"
	"github.com/gosalt/gosalt/protocol/seal"
	"github.com/gosalt/gosalt/protocol/stream"
	"github.com/gosalt/gosalt/protocol/transport"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Faults of a sign-in that end a minion, or a gosalt-call.
var (
	// ErrRejected says that the master refused the minion's key.
	ErrRejected error = refusal("the master has rejected this minion's public key")
	// ErrPending says that the key waits to be accepted, where nobody wants to wait for that.
	ErrPending = errors.New("the master has this minion's public key, and it waits to be accepted")
	// ErrFinger says that the master's key is not the one that master_finger names.
	ErrFinger = errors.New("the master's key is not the one that master_finger names")
)

var errFull = errors.New("the master has as many minions as max_minions allows")

// refusal is an error that counts as one of permission: a program that ends with it
// says so in its exit code, as Salt's does.
type refusal string

func (r refusal) Error() string { return string(r) }

// Is makes a refusal an os.ErrPermission.
func (r refusal) Is(target error) bool { return target == os.ErrPermission }

// link is a minion's relation to one master: its keys, and the connection for
// requests. Its methods may be called concurrently.
type link struct {
	cfg     *config.Minion
	id      wire.MinionID
	key     *seal.PrivateKey
	master  string // "salt", "salt.example.com:4506"
	addr    string // host:port of its request port
	keyFile string // where its public key is kept
	dial    transport.Dialer
	log     *slog.Logger
	enc     seal.Algorithm
	sig     seal.Algorithm
	grains  func() *wire.Map // for autosign_grains
	cloud   *wire.Map        // what the master's inventory knows of this machine; guarded by the minion's mu
	secrets *secret.Set      // what events must not hold

	stream   *stream.Client      // in the place of connections and seals: see stream.go
	requests transport.Requester // for everything but sign-ins and files
	files    *fileConn

	authMu sync.Mutex // one sign-in at a time
	mu     sync.Mutex
	creds  *credentials
	token  seal.Secret

	maxReturn atomic.Int64 // bytes of a result that the master takes; 0: it has not said

	up      atomic.Bool            // receives jobs
	trouble atomic.Pointer[string] // why it does not; nil before the first try
}

// note keeps what stands in the way, for who asks; nil is nothing.
func (l *link) note(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	l.trouble.Store(&text)
}

func (l *link) troubleText() string {
	if t := l.trouble.Load(); t != nil {
		return *t
	}
	return ""
}

// noteSignIn keeps what came of a sign-in.
func (l *link) noteSignIn(state wire.AuthState, err error) {
	switch {
	case err != nil:
	case state == wire.AuthAccepted:
	case state == wire.AuthDenied:
		err = ErrRejected
	case state == wire.AuthFull:
		err = errFull
	default:
		err = ErrPending
	}
	l.note(err)
}

// credentials are what a sign-in brings.
type credentials struct {
	key         *seal.PrivateKey // the minion's own, by which they were got
	master      *seal.PublicKey
	shared      *seal.Key
	session     *seal.Key
	keyID       string // names the shared key in the journal
	publishPort int
	gosalt      bool
}

func newLink(cfg *config.Minion, id wire.MinionID, key *seal.PrivateKey, master string, only bool, dial transport.Dialer, log *slog.Logger) (*link, error) {
	enc, ok := seal.EncAlgorithm(cfg.EncryptionAlgorithm)
	if !ok {
		return nil, fmt.Errorf("encryption_algorithm %q: OAEP-SHA1 or OAEP-SHA224 expected", cfg.EncryptionAlgorithm)
	}
	sig, ok := seal.SigAlgorithm(cfg.SigningAlgorithm)
	if !ok {
		return nil, fmt.Errorf("signing_algorithm %q: PKCS1v15-SHA1 or PKCS1v15-SHA224 expected", cfg.SigningAlgorithm)
	}
	host, port := splitMaster(master, cfg.MasterPort)
	l := &link{cfg: cfg, id: id, key: key, master: master, addr: net.JoinHostPort(host, strconv.Itoa(port)),
		keyFile: masterKeyName(cfg.PKIDir, master, only), dial: dial, log: log.With("master", master), enc: enc, sig: sig,
		token: seal.NewSecret(seal.NewKey().Reveal())}
	l.requests = dial.Requester(l.addr)
	l.files = &fileConn{l: l}
	return l, nil
}

// splitMaster reads a master's address: a name or address, with or without a port.
func splitMaster(master string, port int) (host string, p int) {
	if h, ps, err := net.SplitHostPort(master); err == nil {
		if n, err := strconv.Atoi(ps); err == nil {
			return h, n
		}
	}
	if len(master) > 1 && master[0] == '[' && master[len(master)-1] == ']' {
		master = master[1 : len(master)-1]
	}
	return master, port
}

func (l *link) close() {
	l.requests.Close()
	l.files.close()
}

func (l *link) current() *credentials {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.creds
}

// signOut forgets credentials that the master does not take any more.
func (l *link) signOut(c *credentials) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.creds == c {
		l.creds = nil
	}
}

// publishAddr is where the master publishes.
func (l *link) publishAddr(c *credentials) string {
	host, _, _ := net.SplitHostPort(l.addr)
	port := c.publishPort
	if p := l.cfg.PublishPort; p != 0 && p != 4506 {
		port = p
	}
	return net.JoinHostPort(host, strconv.Itoa(port))
}

// signIn gets new credentials, unless they have changed since old was current. It
// waits while the key is pending, as long as ctx lasts, unless once is set: then
// that is ErrPending.
func (l *link) signIn(ctx context.Context, old *credentials, once bool) (*credentials, error) {
	l.authMu.Lock()
	defer l.authMu.Unlock()
	if c := l.current(); c != nil && c != old {
		return c, nil
	}
	wait := l.cfg.AcceptanceWaitTime
	failed := 0
	held := time.Duration(0)
	for {
		asked := time.Now()
		c, state, err := l.trySignIn(ctx, held)
		l.noteSignIn(state, err)
		switch {
		case err != nil && ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.Is(err, ErrFinger), errors.Is(err, seal.ErrMasterKey), errors.Is(err, seal.ErrPubSig):
			return nil, err
		case err != nil:
			if failed++; once && failed >= max(1, l.cfg.AuthTries) {
				return nil, err
			}
			l.log.Warn("sign-in failed", "error", err, "try", failed)
			if err := sleep(ctx, backoff(failed, time.Second, l.cfg.ReconMax)); err != nil {
				return nil, err
			}
			continue
		case state == wire.AuthAccepted:
			l.mu.Lock()
			l.creds = c
			l.mu.Unlock()
			return c, nil
		case state == wire.AuthDenied:
			if once || !l.cfg.RejectedRetry {
				return nil, fmt.Errorf("%w (%s): on the master, see gosalt-key -L; delete its old key with gosalt-key -d %s if this minion's key was rightly made anew", ErrRejected, l.master, l.id)
			}
			l.log.Error("the master has rejected this minion's public key; trying again as rejected_retry says", "wait", wait)
		case state == wire.AuthFull:
			if once {
				return nil, errFull
			}
			l.log.Error("sign-in refused", "error", errFull, "wait", wait)
		default:
			if once {
				return nil, ErrPending
			}
			l.log.Warn("the master has this minion's public key, and it waits to be accepted", "accept_with", "gosalt-key -a "+string(l.id), "wait", wait)
			if failed = 0; held == 0 || time.Since(asked) > held/2 {
				held = pendingHold // a gosalt master answers as soon as there is news
				if time.Since(asked) > held/2 {
					continue
				}
				wait := min(wait, time.Second)
				if err := sleep(ctx, wait); err != nil {
					return nil, err
				}
				continue
			}
		}
		failed = 0
		if err := sleep(ctx, wait); err != nil {
			return nil, err
		}
		if m := l.cfg.AcceptanceWaitTimeMax; m > 0 {
			wait = min(wait+l.cfg.AcceptanceWaitTime, m)
		}
	}
}

// ownKey is the minion's key. One whose file was removed (saltutil.regen_keys) gives way
// to a new one when the minion signs in next. Held: authMu.
func (l *link) ownKey() (*seal.PrivateKey, error) {
	_, err := os.Stat(filepath.Join(l.cfg.PKIDir, privateKeyFile))
	if l.key != nil && !errors.Is(err, fs.ErrNotExist) && !l.renewed() {
		return l.key, nil
	}
	key, err := loadKey(l.cfg.PKIDir, l.cfg.KeySize)
	if err != nil {
		return nil, err
	}
	l.key = key
	return key, nil
}

// renewed tells whether another key than this link's is in the file: a link to another
// master has made it.
func (l *link) renewed() bool {
	b, err := os.ReadFile(filepath.Join(l.cfg.PKIDir, publicKeyFile))
	return err == nil && seal.CleanKey(string(b)) != seal.CleanKey(l.key.Public().PEM())
}

// pendingHold is how long a minion whose key is pending lets a gosalt master keep it waiting.
const pendingHold = 25 * time.Second

// trySignIn asks once, and is ready to be kept waiting so long while the key is pending.
func (l *link) trySignIn(ctx context.Context, held time.Duration) (*credentials, wire.AuthState, error) {
	known, err := readMasterKey(l.keyFile)
	if err != nil {
		return nil, 0, err
	}
	key, err := l.ownKey()
	if err != nil {
		return nil, 0, err
	}
	req := &wire.AuthRequest{ID: l.id, Nonce: seal.NewNonce(), EncAlgo: string(l.enc), SigAlgo: string(l.sig),
		Pub: seal.CleanKey(key.Public().PEM()), Gosalt: wire.Version}
	check := &seal.AuthCheck{Minion: key, Nonce: req.Nonce, Enc: l.enc, Sig: l.sig, Master: known, OpenMode: l.cfg.OpenMode}
	if known != nil {
		check.Token = l.token
		if req.Token, err = known.Encrypt(l.enc, []byte(l.token.Reveal())); err != nil {
			return nil, 0, err
		}
	}
	if l.cfg.VerifyMasterPubkeySign {
		if check.SignMaster, err = l.signingKey(); err != nil {
			return nil, 0, err
		}
	}
	if req.AutosignGrains, err = l.autosignGrains(); err != nil {
		return nil, 0, err
	}
	load := req.ToMap()
	if held > 0 {
		load.Set(wire.FieldWait, int64(held/time.Second))
	}
	body, err := (&wire.Envelope{Enc: wire.EncClear, Load: load, Version: wire.SaltVersion}).Encode()
	if err != nil {
		return nil, 0, err
	}
	conn := l.dial.Requester(l.addr)
	defer conn.Close()
	tctx, cancel := context.WithTimeoutCause(ctx, l.cfg.AuthTimeout+held, fmt.Errorf("no answer within auth_timeout (%s)", l.cfg.AuthTimeout))
	defer cancel()
	answer, err := conn.Do(tctx, body)
	if err != nil {
		return nil, 0, fmt.Errorf("the master at %s cannot be reached: %w", l.addr, cause(tctx, err))
	}
	r, err := check.Open(answer, wire.Authenticated)
	if errors.Is(err, seal.ErrPubSig) {
		if l.cfg.VerifyMasterPubkeySign {
			return nil, 0, fmt.Errorf("%w: set master_sign_pubkey: True on the master, and copy the right %s.pub from its pki_dir", err, l.cfg.MasterSignKeyName)
		}
		return nil, 0, fmt.Errorf("%w: the master signs its key; set verify_master_pubkey_sign: True here, or master_sign_pubkey: False on the master", err)
	}
	if err != nil {
		return nil, 0, err
	}
	if r.State != wire.AuthAccepted {
		return nil, r.State, nil
	}
	if err := l.checkFinger(r.MasterPEM); err != nil {
		return nil, 0, err
	}
	if r.NewMaster {
		if err := l.keepMaster(r); err != nil {
			return nil, 0, err
		}
	}
	return &credentials{key: key, master: r.Master, shared: r.Shared, session: r.Session, keyID: r.Shared.Digest()[:16],
		publishPort: r.PublishPort, gosalt: r.Gosalt > 0}, wire.AuthAccepted, nil
}

// reach asks a master, any, whether it is there. No key is needed for that.
func (m *Minion) reach(ctx context.Context, master string) error {
	dial := m.dial
	if _, none := dial.(noDialer); none || dial == nil {
		var err error
		if dial, err = tcpDialer(m.cfg.Minion, m.log); err != nil {
			return err
		}
	}
	host, port := splitMaster(master, m.cfg.MasterPort)
	body, err := (&wire.Envelope{Enc: wire.EncClear, Load: wire.NewMap("cmd", "ping"), Version: wire.SaltVersion}).Encode()
	if err != nil {
		return err
	}
	conn := dial.Requester(net.JoinHostPort(host, strconv.Itoa(port)))
	defer conn.Close()
	ctx, cancel := context.WithTimeoutCause(ctx, m.cfg.AuthTimeout, fmt.Errorf("no answer within auth_timeout (%s)", m.cfg.AuthTimeout))
	defer cancel()
	if _, err := conn.Do(ctx, body); err != nil {
		return cause(ctx, err)
	}
	return nil
}

// cause prefers why a context ended to that it ended.
func cause(ctx context.Context, err error) error {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		if c := context.Cause(ctx); c != nil {
			return c
		}
	}
	return err
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

// backoff is how long to wait before the n-th try, n from 1: with full jitter, so
// that minions which lost their master at one moment do not come back at one.
func backoff(n int, first, most time.Duration) time.Duration {
	d := first << min(n-1, 16)
	if d > most || d <= 0 {
		d = max(most, first)
	}
	return time.Duration(rand.Int64N(int64(d))) + 10*time.Millisecond
}

// do sends a request and returns the value of the answer. After a refusal, which is how
// a master answers who has to sign in again, it does so and asks once more.
func (l *link) do(ctx context.Context, load *wire.Map) (any, error) {
	return l.request(ctx, load, func(body []byte, c *credentials, nonce string) (any, error) {
		return seal.OpenReply(body, c.session, nonce, wire.Authenticated)
	})
}

// pillar asks for the minion's pillar.
func (l *link) pillar(ctx context.Context, req *wire.PillarRequest) (*wire.PillarData, error) {
	if l.stream != nil {
		return l.streamPillar(ctx, req)
	}
	v, err := l.request(ctx, req.ToMap(), func(body []byte, c *credentials, nonce string) (any, error) {
		p, err := seal.OpenPillarData(body, c.key, l.enc, c.master, l.sig, nonce, wire.Authenticated)
		if err == nil {
			return p, nil
		}
		// A refusal comes as the answer to any other request does.
		if v, rerr := seal.OpenReply(body, c.session, nonce, wire.Authenticated); rerr == nil {
			if m, ok := v.(*wire.Map); ok && m.Len() == 1 && m.Map(wire.FieldError) != nil {
				return m, nil
			}
		}
		return nil, err
	})
	if err != nil {
		return nil, err
	}
	data, ok := v.(*wire.PillarData)
	if !ok {
		return nil, fmt.Errorf("answer of the master to %s: a pillar is expected, got %T", wire.CmdPillar, v)
	}
	return data, nil
}

// public is a load without the secrets of the pillar, where others get to see it: events.
// Results went through Minion.hide before they were written down.
func (l *link) public(load *wire.Map) *wire.Map {
	if load.Text("cmd") != wire.CmdMinionEvent || l.secrets.Len() == 0 {
		return load
	}
	out := load.Clone()
	for _, k := range []string{"data", "events"} {
		if v, ok := out.Get(k); ok {
			out.Set(k, l.secrets.Value(v))
		}
	}
	return out
}

func (l *link) request(ctx context.Context, load *wire.Map, open func([]byte, *credentials, string) (any, error)) (any, error) {
	return l.requestOn(ctx, l.requests, load, open)
}

// requestOn is request on a connection of the caller's.
func (l *link) requestOn(ctx context.Context, conn transport.Requester, load *wire.Map, open func([]byte, *credentials, string) (any, error)) (any, error) {
	if l.stream != nil {
		return l.askStream(ctx, load, false)
	}
	again := false
	for {
		var err error
		c := l.current()
		if c == nil {
			if c, err = l.signIn(ctx, nil, true); err != nil {
				return nil, err
			}
		}
		tok, err := c.key.Token()
		if err != nil {
			return nil, err
		}
		nonce := seal.NewNonce()
		out := l.public(load)
		if c.gosalt {
			out = out.Clone()
			out.Set("gosalt", int64(wire.Version))
		}
		body, err := seal.SealRequest(c.session, l.id, tok, l.enc, l.sig, nonce, now(), out)
		if err != nil {
			return nil, err
		}
		tctx, cancel := context.WithTimeoutCause(ctx, l.cfg.RequestChannelTimeout, fmt.Errorf("no answer within request_channel_timeout (%s)", l.cfg.RequestChannelTimeout))
		answer, err := conn.Do(tctx, body)
		if err != nil {
			err = fmt.Errorf("ask the master at %s for %s: %w", l.addr, load.Text("cmd"), cause(tctx, err))
			cancel()
			return nil, err
		}
		cancel()
		v, err := open(answer, c, nonce)
		if !again && (errors.Is(err, seal.ErrAuth) || errors.Is(err, seal.ErrNoKey) || errors.Is(err, seal.ErrDecrypt)) {
			again = true
			l.log.Info("the master refused a request: signing in again", "cmd", load.Text("cmd"))
			if _, err := l.signIn(ctx, c, true); err != nil {
				if errors.Is(err, ErrPending) || errors.Is(err, ErrRejected) {
					l.signOut(c)
				}
				return nil, err
			}
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("answer of the master to %s: %w", load.Text("cmd"), err)
		}
		if m, ok := v.(*wire.Map); ok && m.Len() == 1 {
			if em := m.Map(wire.FieldError); em != nil {
				e, err := wire.ErrorFromMap(em)
				if err != nil {
					return nil, err
				}
				return nil, e
			}
		}
		return v, nil
	}
}

// keepMaster stores the master's key at first contact.
func (l *link) keepMaster(r *seal.AuthResult) error {
	if err := os.MkdirAll(l.cfg.PKIDir, 0o700); err != nil {
		return fmt.Errorf("keep the master's key: %w", err)
	}
	return writeMasterKey(l.keyFile, r.MasterPEM)
}

// checkFinger holds the master's key against master_finger, where that is given.
func (l *link) checkFinger(pem string) error {
	want := l.cfg.MasterFinger
	if want == "" {
		return nil
	}
	got, err := seal.Fingerprint(pem, l.cfg.HashType)
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("%w: it is %s, and %s was expected. If the master is the right one, put its finger print (gosalt-key -F) into master_finger", ErrFinger, got, want)
	}
	return nil
}

// autosignGrains are the grains that may make the master accept the key by itself.
func (l *link) autosignGrains() (*wire.Map, error) {
	if len(l.cfg.AutosignGrains) == 0 || l.grains == nil {
		return nil, nil
	}
	all := l.grains()
	out := wire.NewMap()
	for _, name := range l.cfg.AutosignGrains {
		v, _ := all.Get(name)
		out.Set(name, v)
	}
	return out, nil
}
