package seal

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
)

// Bounds of RSA keys.
const (
	MinBits     = 2048 // Smallest modulus taken, unless AllowBits lowers it.
	MaxBits     = 8192 // Largest modulus taken: its use costs a peer's time.
	DefaultBits = 2048 // Modulus of generated keys, as Salt makes them: 4096 takes a master 4 times as long to sign each publish and sign-in.

	exponent = 65537 // The only public exponent taken.
)

// ErrSignature says that a signature is not that of the key and message.
var ErrSignature = errors.New("signature is wrong")

// ErrDecrypt says that a ciphertext was not made for the key, or was changed.
var ErrDecrypt = errors.New("ciphertext is not for this key")

// PublicKey is an RSA public key. Its methods may be called concurrently.
type PublicKey struct {
	k     rsa.PublicKey
	token atomic.Pointer[[sha256.Size]byte] // hash of a token that was right
}

// Bits is the length of the modulus.
func (p *PublicKey) Bits() int { return p.k.N.BitLen() }

// Equal tells whether both are the same key.
func (p *PublicKey) Equal(other *PublicKey) bool {
	return other != nil && p.k.Equal(&other.k)
}

// Encrypt encrypts a short message (OAEP) so that only the private key can read it.
func (p *PublicKey) Encrypt(a Algorithm, message []byte) ([]byte, error) {
	h, err := a.oaepHash()
	if err != nil {
		return nil, err
	}
	c, err := rsa.EncryptOAEP(h, rand.Reader, &p.k, message, nil)
	if err != nil {
		return nil, fmt.Errorf("encrypt %d bytes with an RSA key of %d bits: %w", len(message), p.Bits(), err)
	}
	return c, nil
}

// Verify checks a signature (PKCS#1 v1.5). It returns ErrSignature.
func (p *PublicKey) Verify(a Algorithm, message, signature []byte) error {
	hash, digest, err := a.digest(message)
	if err != nil {
		return err
	}
	if rsa.VerifyPKCS1v15(&p.k, hash, digest, signature) != nil {
		return ErrSignature
	}
	return nil
}

// minionToken is what every minion signs, once for all, to prove its key in requests.
var minionToken = []byte("salt")

// CheckToken tells whether tok is that of the private key: "salt" signed by X9.31. It is
// the same in every request of a minion, so after the first the check costs one hash.
func (p *PublicKey) CheckToken(tok []byte) bool {
	sum := sha256.Sum256(tok)
	if known := p.token.Load(); known != nil && subtle.ConstantTimeCompare(known[:], sum[:]) == 1 {
		return true
	}
	m, err := p.Recover(tok)
	if err != nil || subtle.ConstantTimeCompare(m, minionToken) != 1 {
		return false
	}
	p.token.Store(&sum)
	return true
}

// PrivateKey is an RSA private key. It never prints, and its methods may be called
// concurrently.
type PrivateKey struct {
	k     *rsa.PrivateKey
	pub   *PublicKey
	token func() ([]byte, error)
}

func newPrivate(k *rsa.PrivateKey) *PrivateKey {
	p := &PrivateKey{k: k, pub: &PublicKey{k: k.PublicKey}}
	p.token = sync.OnceValues(func() ([]byte, error) { return p.SignX931(minionToken) })
	return p
}

// Generate makes a key pair; bits is the length of the modulus, of which 4096 take
// about a second.
func Generate(bits int) (*PrivateKey, error) {
	if bits < MinBits || bits > MaxBits {
		return nil, fmt.Errorf("generate an RSA key of %d bits: %d to %d are allowed (option keysize)", bits, MinBits, MaxBits)
	}
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		return nil, fmt.Errorf("generate an RSA key: %w", err)
	}
	return newPrivate(k), nil
}

// Public is the other half of the pair.
func (p *PrivateKey) Public() *PublicKey { return p.pub }

// Decrypt reads what Encrypt made. It returns ErrDecrypt.
func (p *PrivateKey) Decrypt(a Algorithm, ciphertext []byte) ([]byte, error) {
	h, err := a.oaepHash()
	if err != nil {
		return nil, err
	}
	m, err := rsa.DecryptOAEP(h, nil, p.k, ciphertext, nil)
	if err != nil {
		return nil, ErrDecrypt
	}
	return m, nil
}

// Sign signs a message (PKCS#1 v1.5). Equal messages get equal signatures.
func (p *PrivateKey) Sign(a Algorithm, message []byte) ([]byte, error) {
	hash, digest, err := a.digest(message)
	if err != nil {
		return nil, err
	}
	s, err := rsa.SignPKCS1v15(nil, p.k, hash, digest)
	if err != nil {
		return nil, fmt.Errorf("sign with an RSA key of %d bits: %w", p.pub.Bits(), err)
	}
	return s, nil
}

// Token is the field tok of a minion's requests. It is computed once.
func (p *PrivateKey) Token() ([]byte, error) { return p.token() }

// String hides the key.
func (*PrivateKey) String() string { return hidden }

// GoString hides the key.
func (*PrivateKey) GoString() string { return hidden }

// Format hides the key from every verb.
func (*PrivateKey) Format(f fmt.State, _ rune) { io.WriteString(f, hidden) }

// LogValue hides the key.
func (*PrivateKey) LogValue() slog.Value { return slog.StringValue(hidden) }
