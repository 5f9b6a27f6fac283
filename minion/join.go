package minion

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/config"
	"github.com/gosalt/gosalt/internal/durable"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/seal"
	"github.com/gosalt/gosalt/protocol/transport"
	"github.com/gosalt/gosalt/protocol/wire"
)

// JoinConfig says how a machine becomes a master's minion without a person who accepts
// its key (docs/enrolment.md).
type JoinConfig struct {
	Config
	ID wire.MinionID // by which it wants to be known

	Masters []string // tried in turn
	Finger  string   // of the master's key (SHA-256); "": the key that is known, or the first one seen

	Token    *seal.JoinToken // or
	Document []byte          // an identity document of AWS

	// NewMaster lets this machine leave the master that it belongs to.
	NewMaster bool
	// Say tells a person what is waited for; may be nil.
	Say func(string)
}

// Joined is what came of it.
type Joined struct {
	Master string // that accepted the key
	PEM    string // its public key
	Finger string
	Grains *wire.Map // that the minion is to have; or nil
}

// Faults that end a join: to try again would change nothing.
var (
	// ErrNoJoin says that a master is not gosalt's.
	ErrNoJoin = errors.New("this master knows no join tokens: it is Salt's own, or an older gosalt. Start the minion with master: set, and accept its key there with salt-key -a or gosalt-key -a")
	// ErrWrongMaster says that what answers is not the master of the token.
	ErrWrongMaster = errors.New("what answers is not the master that is meant")
	// ErrOtherMaster says that this machine is another master's minion.
	ErrOtherMaster = errors.New("this machine belongs to another master")
)

// JoinRefused is the master's no.
type JoinRefused struct{ Fault *wire.Error }

func (r JoinRefused) Error() string { return r.Fault.Msg }

// Is makes it an os.ErrPermission, as a rejected key is.
func (JoinRefused) Is(target error) bool { return target == os.ErrPermission }

// joinSig signs what is said in joining.
const joinSig = seal.PKCS1v15SHA224

// Join makes this machine's key where there is none, and has it accepted. It tries until
// ctx ends, as a machine that has just booted may not reach the master yet. Nothing is
// shown to a master before its key has proved to be the right one.
func Join(ctx context.Context, cfg JoinConfig) (*Joined, error) {
	if cfg.Say == nil {
		cfg.Say = func(string) {}
	}
	key, err := loadKey(cfg.PKIDir, cfg.KeySize)
	if err != nil {
		return nil, err
	}
	j := &joiner{cfg: cfg, pub: seal.CleanKey(key.Public().PEM())}
	if err := j.expect(); err != nil {
		return nil, err
	}
	if j.dial = cfg.Dial; j.dial == nil {
		if j.dial, err = tcpDialer(cfg.Minion, cfg.Log); err != nil {
			return nil, err
		}
	}
	told := ""
	for n := 1; ; n++ {
		var errs []error
		again := false
		for _, master := range cfg.Masters {
			done, err := j.try(ctx, master)
			if err == nil {
				return done, nil
			}
			if len(cfg.Masters) > 1 {
				err = fmt.Errorf("%s: %w", master, err)
			}
			errs = append(errs, err)
			again = again || retries(err)
		}
		err := errors.Join(errs...)
		if !again || ctx.Err() != nil {
			return nil, err
		}
		if s := strings.ReplaceAll(err.Error(), "\n", "; "); s != told {
			told = s
			cfg.Say("trying again: " + s)
		}
		switch werr := sleep(ctx, backoff(n, time.Second, 5*time.Second)); {
		case errors.Is(werr, context.Canceled):
			return nil, fmt.Errorf("interrupted: %w; the last try: %w", werr, err)
		case werr != nil:
			return nil, fmt.Errorf("given up after the time of --timeout: %w", err)
		}
	}
}

// retries tells whether something else may come out the next time.
func retries(err error) bool {
	var no JoinRefused
	return !errors.As(err, &no) && !errors.Is(err, ErrNoJoin) && !errors.Is(err, ErrWrongMaster) && !errors.Is(err, ErrOtherMaster)
}

type joiner struct {
	cfg   JoinConfig
	pub   string
	known *seal.PublicKey // the master's key, as it is known already
	dial  transport.Dialer
}

// expect finds out what is known of the master.
func (j *joiner) expect() error {
	name := masterKeyName(j.cfg.PKIDir, "", true)
	known, err := readMasterKey(name)
	if err != nil || known == nil || j.cfg.NewMaster {
		return err
	}
	finger, err := seal.Fingerprint(seal.CleanKey(known.PEM()), "sha256")
	if err != nil {
		return err
	}
	if j.cfg.Finger != "" && !sameFinger(finger, j.cfg.Finger) {
		return fmt.Errorf("%w, whose key has the fingerprint %s (%s); the one meant has %s. If it is to leave that master: --new-master", ErrOtherMaster, finger, name, j.cfg.Finger)
	}
	j.known = known
	return nil
}

// sameFinger compares fingerprints, whatever their case and colons.
func sameFinger(a, b string) bool {
	plain := func(s string) []byte { return []byte(strings.ToLower(strings.ReplaceAll(s, ":", ""))) }
	return subtle.ConstantTimeCompare(plain(a), plain(b)) == 1
}

// try asks one master.
func (j *joiner) try(ctx context.Context, master string) (*Joined, error) {
	host, port := splitMaster(master, j.cfg.MasterPort)
	addr := net.JoinHostPort(host, strconv.Itoa(port))
	conn := j.dial.Requester(addr)
	defer conn.Close()
	ask := func(load *wire.Map) ([]byte, error) {
		body, err := (&wire.Envelope{Enc: wire.EncClear, Load: load, Version: wire.SaltVersion}).Encode()
		if err != nil {
			return nil, err
		}
		wait := max(j.cfg.AuthTimeout, 30*time.Second) // the master may look into its inventory
		tctx, cancel := context.WithTimeoutCause(ctx, wait, fmt.Errorf("no answer within %s", wait))
		defer cancel()
		answer, err := conn.Do(tctx, body)
		if err != nil {
			return nil, fmt.Errorf("the master at %s cannot be reached: %w", addr, cause(tctx, err))
		}
		return answer, nil
	}

	hello := &wire.Hello{Nonce: seal.NewNonce()}
	body, err := ask(hello.ToMap())
	if err != nil {
		return nil, err
	}
	done := &Joined{Master: master}
	var key *seal.PublicKey
	load, err := seal.OpenClear(body, nil, joinSig, wire.Unauthenticated, func(load *wire.Map) (*seal.PublicKey, error) {
		key, err = j.checkMaster(load, done)
		return key, err
	})
	switch {
	case errors.Is(err, seal.ErrNoReply):
		return nil, fmt.Errorf("%s: %w", addr, ErrNoJoin)
	case errors.Is(err, ErrWrongMaster):
		return nil, fmt.Errorf("%s: %w", addr, err)
	case errors.Is(err, seal.ErrSignature), errors.Is(err, seal.ErrUnsigned):
		return nil, fmt.Errorf("%s: %w: it sends the master's public key, and does not have the private one", addr, ErrWrongMaster)
	case err != nil:
		return nil, fmt.Errorf("answer of %s: %w", addr, err)
	}
	h, err := wire.HelloReplyFromMap(load)
	if err != nil {
		return nil, fmt.Errorf("answer of %s: %w", addr, err)
	}
	if h.Nonce != hello.Nonce {
		return nil, fmt.Errorf("answer of %s: %w", addr, seal.ErrNonce)
	}

	req := &wire.Join{ID: j.cfg.ID, Nonce: seal.NewNonce(), Pub: j.pub, Challenge: h.Challenge}
	if t := j.cfg.Token; t != nil {
		req.How, req.Token, req.Proof = wire.JoinToken, t.Name, t.Prove(h.Challenge, j.cfg.ID, j.pub)
	} else {
		req.How, req.Document = wire.JoinAWS, j.cfg.Document
	}
	if body, err = ask(req.ToMap()); err != nil {
		return nil, err
	}
	if load, err = seal.OpenClear(body, key, joinSig, wire.Unauthenticated, nil); err != nil {
		return nil, fmt.Errorf("answer of %s: %w", addr, err)
	}
	r, err := wire.JoinReplyFromMap(load)
	if err != nil {
		return nil, fmt.Errorf("answer of %s: %w", addr, err)
	}
	switch {
	case r.Nonce != req.Nonce:
		return nil, fmt.Errorf("answer of %s: %w", addr, seal.ErrNonce)
	case r.State == wire.JoinLater:
		return nil, errors.New(r.Err.Msg)
	case r.State == wire.JoinRefused:
		return nil, JoinRefused{r.Err}
	}
	done.Grains = r.Grains
	return done, nil
}

// checkMaster holds the key that a master shows against what is known of it.
func (j *joiner) checkMaster(load *wire.Map, done *Joined) (*seal.PublicKey, error) {
	done.PEM = seal.CleanKey(load.Text("pub_key"))
	key, err := seal.ParsePublic([]byte(done.PEM))
	if err != nil {
		return nil, fmt.Errorf("the master's key: %w", err)
	}
	if done.Finger, err = seal.Fingerprint(done.PEM, "sha256"); err != nil {
		return nil, err
	}
	if want := j.cfg.Finger; want != "" && !sameFinger(done.Finger, want) {
		return nil, fmt.Errorf("%w: its key has the fingerprint %s, and %s was expected. Nothing was shown to it. If the master was rightly given a new key, take a new token, or its new fingerprint", ErrWrongMaster, done.Finger, want)
	}
	if j.known != nil && !key.Equal(j.known) {
		return nil, fmt.Errorf("%w: its key is not the one in %s. Nothing was shown to it", ErrWrongMaster, masterKeyName(j.cfg.PKIDir, "", true))
	}
	return key, nil
}

// joinFile is what a join writes below the configuration directory: beside the user's own
// files, and read after most of them.
var joinFile = filepath.Join("minion.d", "gosalt-join.conf")

// KeepJoin writes down what a join brought, so that the minion starts with it: the
// master's key and a file of configuration. It returns the file's name.
func KeepJoin(dir string, cfg JoinConfig, done *Joined) (string, error) {
	if err := os.MkdirAll(cfg.PKIDir, 0o700); err != nil {
		return "", fmt.Errorf("keep the master's key: %w", err)
	}
	finger := done.Finger
	if cfg.HashType != "" && cfg.HashType != "sha256" {
		var err error
		if finger, err = seal.Fingerprint(done.PEM, cfg.HashType); err != nil {
			return "", err
		}
	}
	opts := wire.NewMap()
	if len(cfg.Masters) == 1 {
		opts.Set("master", cfg.Masters[0])
	} else {
		list := make([]any, len(cfg.Masters))
		for i, m := range cfg.Masters {
			list[i] = m
		}
		opts.Set("master", list)
	}
	opts.Set("master_finger", finger)
	opts.Set("id", string(cfg.ID))
	if done.Grains.Len() > 0 {
		opts.Set("grains", done.Grains)
	}
	name := filepath.Join(dir, joinFile)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return "", fmt.Errorf("write the configuration: %w", err)
	}
	text := "# Written by gosalt-minion join.\n" + pytext.YAML(opts, 2, false)
	if err := durable.WriteFile(name, []byte(text), 0o644); err != nil {
		return "", err
	}
	if err := writeMasterKey(masterKeyName(cfg.PKIDir, done.Master, len(cfg.Masters) == 1 || cfg.MasterType == "failover"), done.PEM); err != nil {
		return "", err
	}
	// What holds is what the minion will read.
	now, problems, err := config.LoadMinion(dir)
	if err != nil {
		var lines []string
		for _, p := range problems {
			if p.Severity == config.Error {
				lines = append(lines, p.String())
			}
		}
		return "", fmt.Errorf("the configuration in %s: %w\n%s", dir, err, strings.Join(lines, "\n"))
	}
	if now.ID != string(cfg.ID) || !slices.Equal(now.Master, cfg.Masters) || now.MasterFinger != finger {
		return "", fmt.Errorf("another file in %s, read after %s, says id: %s, master: %s and master_finger: %s: remove that there, and join again",
			dir, name, now.ID, strings.Join(now.Master, ", "), now.MasterFinger)
	}
	return name, nil
}
