package seal

import (
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/gosalt/gosalt/protocol/wire"
)

// SignReply builds the body of an answer to an auth request: the load packed, and
// signed by the master.
func SignReply(master *PrivateKey, a Algorithm, load *wire.AuthReply) ([]byte, error) {
	packed, err := wire.Encode(load.ToMap(), wire.Network)
	if err != nil {
		return nil, err
	}
	sig, err := master.Sign(a, packed)
	if err != nil {
		return nil, err
	}
	return (&wire.Envelope{Enc: wire.EncClear, Packed: packed, Sig: sig}).Encode()
}

// UnsignedReply builds the body by which a master refuses an algorithm that it does not
// know, and so cannot sign with: "bad enc algo" or "bad sig algo".
func UnsignedReply(message string) ([]byte, error) {
	load := (&wire.AuthReply{State: wire.AuthBadAlgo, Message: message}).ToMap()
	return (&wire.Envelope{Enc: wire.EncClear, Load: load}).Encode()
}

// Accepter builds accept replies. What is the same for all minions is computed once.
// Its fields must not change after the first use; Accept may be called concurrently.
type Accepter struct {
	Master *PrivateKey
	Shared *Key // The key of publishes.

	// SignMaster signs the master's public key (option master_sign_pubkey); or nil.
	SignMaster *PrivateKey
	// PubSig is a signature made beforehand (option master_use_pubkey_signature), used
	// instead of SignMaster; or "".
	PubSig string

	PublishPort int

	once    sync.Once
	pub     string
	sig     []byte
	onceErr error

	mu      sync.Mutex // guards pubSigs
	pubSigs map[Algorithm]string
}

// Accept builds the body of the reply that hands the keys to a minion. A token that
// cannot be read is left out, so that the minion notices.
func (a *Accepter) Accept(req *wire.AuthRequest, minion *PublicKey, session *Key) ([]byte, error) {
	enc, ok := EncAlgorithm(req.EncAlgo)
	if !ok {
		return UnsignedReply("bad enc algo")
	}
	sig, ok := SigAlgorithm(req.SigAlgo)
	if !ok {
		return UnsignedReply("bad sig algo")
	}
	a.once.Do(func() {
		a.pub = CleanKey(a.Master.Public().PEM())
		a.sig, a.onceErr = a.Master.SignX931([]byte(a.Shared.Digest()))
	})
	if a.onceErr != nil {
		return nil, a.onceErr
	}
	load := &wire.AuthReply{
		State:       wire.AuthAccepted,
		Nonce:       req.Nonce,
		PubKey:      a.pub,
		PublishPort: a.PublishPort,
		Sig:         a.sig,
		Gosalt:      wire.Version,
	}
	var err error
	if load.AES, err = minion.Encrypt(enc, []byte(a.Shared.Reveal())); err != nil {
		return nil, err
	}
	if load.Session, err = minion.Encrypt(enc, []byte(session.Reveal())); err != nil {
		return nil, err
	}
	if req.Token != nil {
		if token, err := a.Master.Decrypt(enc, req.Token); err == nil {
			if load.Token, err = minion.Encrypt(enc, token); err != nil {
				return nil, err
			}
		}
	}
	if load.PubSig, err = a.pubSig(sig); err != nil {
		return nil, err
	}
	return SignReply(a.Master, sig, load)
}

// pubSig is the signature of the master's public key by the signing key.
func (a *Accepter) pubSig(algo Algorithm) (string, error) {
	if a.PubSig != "" || a.SignMaster == nil {
		return a.PubSig, nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if s, ok := a.pubSigs[algo]; ok {
		return s, nil
	}
	s, err := SignMasterKey(a.SignMaster, algo, a.pub)
	if err != nil {
		return "", err
	}
	if a.pubSigs == nil {
		a.pubSigs = make(map[Algorithm]string)
	}
	a.pubSigs[algo] = s
	return s, nil
}

// SignMasterKey signs a master's public key with the signing key: base64 in one line,
// with a newline at its end, as Salt sends it.
func SignMasterKey(sign *PrivateKey, a Algorithm, masterPEM string) (string, error) {
	sig, err := sign.Sign(a, []byte(CleanKey(masterPEM)))
	if err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(sig) + "\n", nil
}

// VerifyMasterKey checks the signature of a master's public key. It returns ErrSignature.
func VerifyMasterKey(sign *PublicKey, a Algorithm, masterPEM, pubSig string) error {
	sig, err := base64.StdEncoding.DecodeString(strings.TrimSpace(pubSig)) // newlines within are skipped
	if err != nil {
		return ErrSignature
	}
	return sign.Verify(a, []byte(CleanKey(masterPEM)), sig)
}

// Faults of an auth reply that a minion acts on in its own way.
var (
	// ErrMasterKey says that the master has another key than the one known: it was made
	// anew, or this is another machine.
	ErrMasterKey = errors.New("the master's public key is not the one known before; if the master was rightly given a new one, " +
		"remove minion_master.pub from this minion's pki_dir")

	// ErrToken says that the master could not prove to have its private key.
	ErrToken = errors.New("the master did not return the token: it does not have the private key of its public key")

	// ErrPubSig says that the signature of the master's key is missing, wrong, or there
	// though it is not to be checked.
	ErrPubSig = errors.New("the signature of the master's public key is not as configured (verify_master_pubkey_sign)")

	// ErrUnsigned says that a reply has no signature though the master is known.
	ErrUnsigned = errors.New("the master's reply is not signed")
)

// AuthCheck is what a minion knows when the answer to its auth request arrives.
type AuthCheck struct {
	Minion *PrivateKey
	Nonce  string // That of the request.
	Enc    Algorithm
	Sig    Algorithm

	Master *PublicKey // The key known before (minion_master.pub), or nil at first contact.
	Token  Secret     // The token sent, where Master is set.

	// OpenMode takes any master's key (option open_mode).
	OpenMode bool
	// SignMaster is the key that signs the master's (master_sign.pub) where
	// verify_master_pubkey_sign is on, else nil.
	SignMaster *PublicKey

	Options []Option // Which keys are taken.
}

// AuthResult is a reply that passed all checks.
type AuthResult struct {
	State wire.AuthState

	// Verified tells whether the master signed the reply with a key that the minion has
	// by now. Only a first contact that is not accepted yet leaves it false; what is not
	// verified must not make a minion give up.
	Verified bool

	// Below, what an accept brings.

	Master      *PublicKey
	MasterPEM   string // Cleaned, for minion_master.pub.
	NewMaster   bool   // MasterPEM is not what was known before: store it.
	Shared      *Key
	Session     *Key
	PublishPort int
	Gosalt      int64 // The master's wire.Version; 0 for Salt's own.
}

// Open checks an answer in Salt's order and more strictly: with a known master every
// reply must be signed, and PubSig must be as configured. The signature of an accept is
// checked against the key it brings, which was compared with the known one before. It
// returns ErrMasterKey, ErrToken, ErrPubSig, ErrUnsigned, ErrSignature, ErrNonce,
// ErrDecrypt or a *wire.Error, each with the step in front.
func (c *AuthCheck) Open(body []byte, lim wire.Limits) (*AuthResult, error) {
	r, err := c.open(body, lim)
	if err != nil {
		return nil, fmt.Errorf("auth reply: %w", err)
	}
	return r, nil
}

func (c *AuthCheck) open(body []byte, lim wire.Limits) (*AuthResult, error) {
	v, err := wire.Decode(body, wire.Network, lim)
	if err != nil {
		return nil, err
	}
	m, ok := v.(*wire.Map)
	if text, isText := v.(string); isText {
		return nil, &wire.Error{Kind: wire.Malformed, Msg: fmt.Sprintf("the master says %.80q", text)}
	} else if !ok {
		return nil, &wire.Error{Kind: wire.Malformed, Msg: "it is " + wire.TypeName(v) + ": a map expected"}
	}
	e, err := wire.EnvelopeFromMap(m)
	if err != nil {
		return nil, err
	}
	if e.Enc != wire.EncClear {
		return nil, &wire.Error{Kind: wire.Malformed, Msg: fmt.Sprintf("enc is %q: %q expected", e.Enc, wire.EncClear)}
	}
	if e.Packed == nil {
		return c.openUnsigned(e.Load)
	}
	load, err := wire.DecodeMap(e.Packed, wire.Network, lim)
	if err != nil {
		return nil, err
	}
	reply, err := wire.AuthReplyFromMap(load)
	if err != nil {
		return nil, err
	}
	r := &AuthResult{State: reply.State, Master: c.Master, Gosalt: reply.Gosalt}
	if reply.State == wire.AuthAccepted {
		if err := c.accepted(reply, r); err != nil {
			return nil, err
		}
	}
	if r.Master != nil {
		if e.Sig == nil {
			return nil, ErrUnsigned
		}
		if err := r.Master.Verify(c.Sig, e.Packed, e.Sig); err != nil {
			return nil, err
		}
		r.Verified = true
	}
	if subtle.ConstantTimeCompare([]byte(reply.Nonce), []byte(c.Nonce)) != 1 {
		return nil, ErrNonce
	}
	return r, nil
}

// openUnsigned reads the one kind of reply that a known master may leave unsigned.
func (c *AuthCheck) openUnsigned(load *wire.Map) (*AuthResult, error) {
	reply, err := wire.AuthReplyFromMap(load)
	if err != nil {
		return nil, err
	}
	if reply.State != wire.AuthBadAlgo {
		return nil, ErrUnsigned
	}
	return nil, fmt.Errorf("the master says %q: see encryption_algorithm and signing_algorithm", reply.Message)
}

// accepted checks what an accept brings, all but its own signature and nonce.
func (c *AuthCheck) accepted(reply *wire.AuthReply, r *AuthResult) error {
	master, err := ParsePublic([]byte(reply.PubKey), c.Options...)
	if err != nil {
		return fmt.Errorf("the master's key: %w", err)
	}
	if (reply.PubSig != "") != (c.SignMaster != nil) {
		return ErrPubSig
	}
	if c.SignMaster != nil {
		if err := VerifyMasterKey(c.SignMaster, c.Sig, reply.PubKey, reply.PubSig); err != nil {
			return ErrPubSig
		}
	}
	known := c.Master != nil && c.Master.Equal(master)
	if c.Master != nil && !known && !c.OpenMode && c.SignMaster == nil {
		return ErrMasterKey
	}
	shared, err := c.Minion.Decrypt(c.Enc, reply.AES)
	if err != nil {
		return fmt.Errorf("field \"aes\": %w", err)
	}
	session, err := c.Minion.Decrypt(c.Enc, reply.Session)
	if err != nil {
		return fmt.Errorf("field \"session\": %w", err)
	}
	if r.Shared, err = ParseKey(string(shared)); err != nil {
		return fmt.Errorf("field \"aes\": %w", err)
	}
	if r.Session, err = ParseKey(string(session)); err != nil {
		return fmt.Errorf("field \"session\": %w", err)
	}
	digest, err := master.Recover(reply.Sig)
	if err != nil || subtle.ConstantTimeCompare(digest, []byte(r.Shared.Digest())) != 1 {
		return fmt.Errorf("field \"sig\": %w", ErrSignature)
	}
	if known && !c.Token.Empty() {
		token, err := c.Minion.Decrypt(c.Enc, reply.Token)
		if err != nil || !c.Token.Equal(string(token)) {
			return ErrToken
		}
	}
	r.Master, r.MasterPEM, r.NewMaster = master, CleanKey(reply.PubKey), !known
	r.PublishPort = reply.PublishPort
	return nil
}
