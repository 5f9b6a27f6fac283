package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"sync"

	"github.com/gosalt/gosalt/protocol/wire"
)

var (
	// ErrAuth says that a message was not sealed with the key, or was changed. Who gets
	// it authenticates anew, as the other side may have new keys.
	ErrAuth = errors.New("message is not sealed with this key")

	// ErrNonce says that a reply belongs to another request: it was replayed or comes
	// late. The request may be sent again.
	ErrNonce = errors.New("reply has another request's nonce")
)

const (
	aesLen   = 24 // AES-192
	hmacLen  = 32
	keyText  = 76 // base64 of both
	nonceLen = 32 // hex digits
)

// magic begins every plaintext. It is a name only: nothing is pickled.
const magic = "pickle::"

// Key seals and opens messages: AES-192-CBC, and HMAC-SHA256 over what that gives. Salt
// calls it Crypticle. It never prints, and its methods may be called concurrently.
type Key struct {
	text  Secret
	block cipher.Block

	mu  sync.Mutex // guards mac
	mac hash.Hash
}

// NewKey makes a random key.
func NewKey() *Key {
	var raw [aesLen + hmacLen]byte
	rand.Read(raw[:]) // never fails, it ends the process instead
	return newKey(raw[:])
}

// ParseKey reads a key's text: base64 of 56 bytes, 76 characters.
func ParseKey(text string) (*Key, error) {
	raw, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) != aesLen+hmacLen || len(text) != keyText {
		return nil, fmt.Errorf("traffic key of %d characters: base64 of %d bytes (%d characters) expected", len(text), aesLen+hmacLen, keyText)
	}
	return newKey(raw), nil
}

func newKey(raw []byte) *Key {
	b, err := aes.NewCipher(raw[:aesLen])
	if err != nil { // possible only for other lengths
		panic(err)
	}
	return &Key{
		text:  NewSecret(base64.StdEncoding.EncodeToString(raw)),
		block: b,
		mac:   hmac.New(sha256.New, raw[aesLen:]),
	}
}

// Reveal is the key's text, for handing it to a minion and for key files.
func (k *Key) Reveal() string { return k.text.Reveal() }

// Digest is the SHA-256 of the key's text as 64 hex digits: what a master signs, and
// by which logs may name a key.
func (k *Key) Digest() string {
	sum := sha256.Sum256([]byte(k.text.Reveal()))
	return hex.EncodeToString(sum[:])
}

// Equal tells whether both are the same key.
func (k *Key) Equal(other *Key) bool {
	return other != nil && k.text.Equal(other.text.Reveal())
}

// Seal packs a value for the network and seals it. A nonce is that of the request that
// this answers; "" in requests and publishes.
func (k *Key) Seal(v any, nonce string) ([]byte, error) {
	// Everything is written at its place in one buffer: IV, plaintext, HMAC.
	b := make([]byte, aes.BlockSize, 1024)
	b = append(b, magic...)
	b = append(b, nonce...)
	b, err := wire.Append(b, v, wire.Network)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return k.finish(b), nil
}

// SealPacked is Seal for a value that is packed already.
func (k *Key) SealPacked(packed []byte, nonce string) []byte {
	b := make([]byte, aes.BlockSize, 2*aes.BlockSize+len(magic)+len(nonce)+len(packed)+hmacLen)
	b = append(b, magic...)
	b = append(b, nonce...)
	return k.finish(append(b, packed...))
}

// finish pads, encrypts and signs a buffer that begins with room for the IV.
func (k *Key) finish(b []byte) []byte {
	rand.Read(b[:aes.BlockSize])
	return k.finishIV(b)
}

func (k *Key) finishIV(b []byte) []byte {
	pad := aes.BlockSize - len(b)%aes.BlockSize
	for range pad {
		b = append(b, byte(pad))
	}
	text := b[aes.BlockSize:]
	cipher.NewCBCEncrypter(k.block, b[:aes.BlockSize]).CryptBlocks(text, text)
	return k.sum(b, b)
}

// sum appends the HMAC of body to dst.
func (k *Key) sum(dst, body []byte) []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.mac.Reset()
	k.mac.Write(body)
	return k.mac.Sum(dst)
}

// Open checks and opens a sealed message and unpacks its value under the limits. In a
// reply the nonce must be that of the request; "" expects none. It returns ErrAuth,
// ErrNonce, or a *wire.Error where the content is malformed.
func (k *Key) Open(sealed []byte, nonce string, lim wire.Limits) (any, error) {
	packed, err := k.OpenPacked(sealed, nonce)
	if err != nil {
		return nil, err
	}
	return wire.Decode(packed, wire.Network, lim)
}

// OpenPacked is Open without unpacking, for replies that are read in another dialect.
func (k *Key) OpenPacked(sealed []byte, nonce string) ([]byte, error) {
	n := len(sealed) - hmacLen
	if n < 2*aes.BlockSize || n%aes.BlockSize != 0 {
		return nil, ErrAuth
	}
	body := sealed[:n]
	var sum [hmacLen]byte
	if subtle.ConstantTimeCompare(k.sum(sum[:0], body), sealed[n:]) != 1 {
		return nil, ErrAuth
	}
	plain := make([]byte, n-aes.BlockSize)
	cipher.NewCBCDecrypter(k.block, body[:aes.BlockSize]).CryptBlocks(plain, body[aes.BlockSize:])
	plain, ok := unpad(plain)
	if !ok {
		return nil, &wire.Error{Kind: wire.Malformed, Op: "open", Msg: "padding is wrong: PKCS#7 expected"}
	}
	if len(plain) < len(magic) || string(plain[:len(magic)]) != magic {
		return []byte{0x80}, nil // an empty map, as Salt reads it
	}
	plain = plain[len(magic):]
	if nonce != "" {
		if len(nonce) != nonceLen || len(plain) < nonceLen || subtle.ConstantTimeCompare(plain[:nonceLen], []byte(nonce)) != 1 {
			return nil, ErrNonce
		}
		plain = plain[nonceLen:]
	}
	return plain, nil
}

// unpad takes PKCS#7 padding off.
func unpad(b []byte) ([]byte, bool) {
	if len(b) == 0 {
		return nil, false
	}
	n := int(b[len(b)-1])
	if n == 0 || n > aes.BlockSize || n > len(b) {
		return nil, false
	}
	for _, c := range b[len(b)-n:] {
		if int(c) != n {
			return nil, false
		}
	}
	return b[:len(b)-n], true
}

// NewNonce makes the nonce of a request: 32 random hex digits.
func NewNonce() string {
	var raw [nonceLen / 2]byte
	rand.Read(raw[:])
	return hex.EncodeToString(raw[:])
}

// String hides the key.
func (*Key) String() string { return hidden }

// GoString hides the key.
func (*Key) GoString() string { return hidden }

// Format hides the key from every verb.
func (*Key) Format(f fmt.State, _ rune) { io.WriteString(f, hidden) }

// LogValue hides the key.
func (*Key) LogValue() slog.Value { return slog.StringValue(hidden) }
