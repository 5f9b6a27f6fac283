package seal

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/gosalt/gosalt/protocol/wire"
)

// JoinToken lets one new minion, or a few, be accepted by a master without a person. Its
// secret is the seed of an Ed25519 key pair. The minion signs with it and never sends
// it; the master keeps only the public half (Verifier), so what a master stores lets
// nobody join. It never prints: only Text shows it.
type JoinToken struct {
	Masters []string      // Where the master is: "salt.example.com", "192.0.2.7:4506".
	Finger  string        // Fingerprint of the master's public key (SHA-256, as gosalt-key -F shows it).
	Name    string        // Names the token in lists and logs: 16 hex digits, no secret.
	ID      wire.MinionID // Whom it is for; "" where the minion chooses.

	seed *[ed25519.SeedSize]byte
}

const (
	joinPrefix   = "gosalt-join1-"
	maxJoinToken = 2 << 10 // characters
	maxMasters   = 8
)

// NewJoinToken makes a token with a new secret. Finger is in the form of Fingerprint.
func NewJoinToken(masters []string, finger string, id wire.MinionID) *JoinToken {
	t := &JoinToken{Masters: masters, Finger: finger, ID: id, seed: new([ed25519.SeedSize]byte)}
	rand.Read(t.seed[:])
	var name [8]byte
	rand.Read(name[:])
	t.Name = hex.EncodeToString(name[:])
	return t
}

// String hides the token.
func (*JoinToken) String() string { return hidden }

// GoString hides the token.
func (*JoinToken) GoString() string { return hidden }

// Verifier is what the master keeps to check proofs.
func (t *JoinToken) Verifier() []byte {
	return ed25519.NewKeyFromSeed(t.seed[:]).Public().(ed25519.PublicKey)
}

// Text is the whole token, the secret in it, in one word that shells leave alone. Its
// end is a checksum, so that one that was cut off shows.
func (t *JoinToken) Text() (string, error) {
	finger, err := parseFinger(t.Finger)
	if err != nil {
		return "", err
	}
	name, err := hex.DecodeString(t.Name)
	if err != nil || len(name) != 8 {
		return "", fmt.Errorf("name of a join token: 16 hex digits expected")
	}
	masters := make([]any, len(t.Masters))
	for i, m := range t.Masters {
		masters[i] = m
	}
	m := wire.NewMap("m", masters, "f", finger, "n", name, "s", t.seed[:])
	if t.ID != "" {
		m.Set("i", string(t.ID))
	}
	b, err := wire.Encode(m, wire.Network)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	text := joinPrefix + base64.RawURLEncoding.EncodeToString(append(b, sum[:4]...))
	if len(text) > maxJoinToken {
		return "", fmt.Errorf("join token of %d characters: at most %d; name fewer or shorter masters", len(text), maxJoinToken)
	}
	return text, nil
}

// ParseJoinToken reads what Text made, blanks around it left out. Its errors hold nothing of it.
func ParseJoinToken(text string) (*JoinToken, error) {
	text = strings.TrimSpace(text)
	rest, ok := strings.CutPrefix(text, joinPrefix)
	switch {
	case text == "":
		return nil, errors.New("join token is empty: gosalt-key --token on the master makes one")
	case !ok && strings.HasPrefix(text, "gosalt-join"):
		return nil, errors.New("join token is of a newer kind: update gosalt-minion on this machine")
	case !ok:
		return nil, fmt.Errorf("this is no join token, which begins with %s: gosalt-key --token on the master makes one", joinPrefix)
	case len(text) > maxJoinToken:
		return nil, fmt.Errorf("join token of %d characters: at most %d are possible", len(text), maxJoinToken)
	}
	damaged := errors.New("join token is damaged: copy it again, whole, from the output of gosalt-key --token")
	b, err := base64.RawURLEncoding.DecodeString(rest)
	if err != nil || len(b) < 4 {
		return nil, damaged
	}
	sum := sha256.Sum256(b[:len(b)-4])
	if string(sum[:4]) != string(b[len(b)-4:]) {
		return nil, damaged
	}
	m, err := wire.DecodeMap(b[:len(b)-4], wire.Network, wire.Limits{Depth: 4, Elements: 64, Bytes: maxJoinToken, UniqueKeys: true})
	if err != nil {
		return nil, damaged
	}
	t := &JoinToken{}
	finger, name, seed := bytesOf(m, "f"), bytesOf(m, "n"), bytesOf(m, "s")
	masters := m.List("m")
	if len(finger) != sha256.Size || len(name) != 8 || len(seed) != ed25519.SeedSize || len(masters) == 0 || len(masters) > maxMasters {
		return nil, damaged
	}
	t.Finger, t.Name, t.seed = formatFinger(finger), hex.EncodeToString(name), (*[ed25519.SeedSize]byte)(seed)
	for _, v := range masters {
		s, ok := v.(string)
		if !ok || !plainAddress(s) {
			return nil, damaged
		}
		t.Masters = append(t.Masters, s)
	}
	if m.Has("i") {
		if t.ID, err = wire.ParseMinionID(m.Text("i")); err != nil {
			return nil, damaged
		}
	}
	return t, nil
}

// plainAddress tells whether a text can be written down as the address of a master:
// no blanks and control characters.
func plainAddress(s string) bool {
	return s != "" && len(s) <= 255 && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f || r > 0xffff })
}

// CheckMasters says what is wrong with the addresses for a token.
func CheckMasters(masters []string) error {
	switch {
	case len(masters) == 0:
		return errors.New("no address of a master is given")
	case len(masters) > maxMasters:
		return fmt.Errorf("%d addresses of masters: at most %d", len(masters), maxMasters)
	}
	for _, m := range masters {
		if !plainAddress(m) {
			return fmt.Errorf("address of a master %.60q: a name or an address, with or without a port, expected", m)
		}
	}
	return nil
}

func bytesOf(m *wire.Map, key string) []byte {
	switch v, _ := m.Get(key); v := v.(type) {
	case []byte:
		return v
	case string:
		return []byte(v)
	}
	return nil
}

func parseFinger(text string) ([]byte, error) {
	b, err := hex.DecodeString(strings.ReplaceAll(text, ":", ""))
	if err != nil || len(b) != sha256.Size {
		return nil, fmt.Errorf("fingerprint %.100q: 32 bytes as a6:a0:6d:... expected", text)
	}
	return b, nil
}

func formatFinger(b []byte) string {
	var s strings.Builder
	for i := range b {
		if i > 0 {
			s.WriteByte(':')
		}
		s.WriteString(hex.EncodeToString(b[i : i+1]))
	}
	return s.String()
}

// joinMessage is what a proof signs: each part is led by its length, so that no two
// requests have one message. The master's fingerprint is among them, so a proof that was
// shown to one master is worth nothing to another.
func joinMessage(name, finger, challenge string, id wire.MinionID, pub string) []byte {
	b := []byte("gosalt join 1\n")
	sum := sha256.Sum256([]byte(CleanKey(pub)))
	for _, part := range []string{name, finger, challenge, string(id), string(sum[:])} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(part)))
		b = append(b, part...)
	}
	return b
}

// Prove signs that the token's holder wants this key accepted under this id.
func (t *JoinToken) Prove(challenge string, id wire.MinionID, pub string) []byte {
	return ed25519.Sign(ed25519.NewKeyFromSeed(t.seed[:]), joinMessage(t.Name, t.Finger, challenge, id, pub))
}

// VerifyJoin tells whether a proof is that of the token's holder. finger is that of the
// master that asks.
func VerifyJoin(verifier []byte, name, finger, challenge string, id wire.MinionID, pub string, proof []byte) bool {
	return len(verifier) == ed25519.PublicKeySize && len(proof) == ed25519.SignatureSize &&
		ed25519.Verify(verifier, joinMessage(name, finger, challenge, id, pub), proof)
}

// SignClear builds the body of an answer in the clear: the load packed, and signed by
// the master.
func SignClear(master *PrivateKey, a Algorithm, load *wire.Map) ([]byte, error) {
	packed, err := wire.Encode(load, wire.Network)
	if err != nil {
		return nil, err
	}
	sig, err := master.Sign(a, packed)
	if err != nil {
		return nil, err
	}
	return (&wire.Envelope{Enc: wire.EncClear, Packed: packed, Sig: sig}).Encode()
}

// ErrNoReply says that a master answered a command with {}: it does not know it.
var ErrNoReply = errors.New("the master does not know this command")

// OpenClear opens what SignClear built. master is the key that has to have signed it;
// where it is nil, key picks it out of the load. It returns ErrNoReply, ErrUnsigned,
// ErrSignature or a *wire.Error.
func OpenClear(body []byte, master *PublicKey, a Algorithm, lim wire.Limits, key func(load *wire.Map) (*PublicKey, error)) (*wire.Map, error) {
	v, err := wire.Decode(body, wire.Network, lim)
	if err != nil {
		return nil, err
	}
	m, ok := v.(*wire.Map)
	switch text, isText := v.(string); {
	case isText:
		return nil, &wire.Error{Kind: wire.Malformed, Msg: fmt.Sprintf("the master says %.80q", text)}
	case !ok:
		return nil, &wire.Error{Kind: wire.Malformed, Msg: "the answer is " + wire.TypeName(v) + ": a map expected"}
	case m.Len() == 0:
		return nil, ErrNoReply
	}
	e, err := wire.EnvelopeFromMap(m)
	if err != nil {
		return nil, err
	}
	if e.Enc != wire.EncClear || e.Packed == nil || e.Sig == nil {
		return nil, ErrUnsigned
	}
	load, err := wire.DecodeMap(e.Packed, wire.Network, lim)
	if err != nil {
		return nil, err
	}
	if master == nil {
		if master, err = key(load); err != nil {
			return nil, err
		}
	}
	if err := master.Verify(a, e.Packed, e.Sig); err != nil {
		return nil, err
	}
	return load, nil
}
