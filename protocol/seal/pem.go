package seal

import (
	"bytes"
	"crypto/md5"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// maxPEM is the longest key text that is looked at, in bytes.
const maxPEM = 8 << 10

// ErrPassphrase says that a private key is encrypted and the passphrase is missing or
// wrong.
var ErrPassphrase = errors.New("private key is encrypted: the passphrase is missing or wrong (option key_pass)")

// Option changes what keys are taken.
type Option func(*policy)

type policy struct{ minBits int }

// AllowBits takes keys from this length on, where the default is MinBits.
func AllowBits(bits int) Option { return func(p *policy) { p.minBits = bits } }

func newPolicy(opts []Option) policy {
	p := policy{minBits: MinBits}
	for _, o := range opts {
		o(&p)
	}
	return p
}

// check holds a key to the limits.
func (p policy) check(k *rsa.PublicKey) error {
	switch bits := k.N.BitLen(); {
	case bits < p.minBits:
		return fmt.Errorf("RSA key of %d bits: at least %d are required; generate a new pair", bits, p.minBits)
	case bits > MaxBits:
		return fmt.Errorf("RSA key of %d bits: at most %d are allowed", bits, MaxBits)
	case k.E != exponent:
		return fmt.Errorf("RSA key has the exponent %d: %d expected", k.E, exponent)
	case k.N.Bit(0) == 0:
		return errors.New("RSA key has an even modulus")
	}
	return nil
}

// block reads the one PEM block of a text.
func block(text []byte, what string) (*pem.Block, error) {
	if len(text) > maxPEM {
		return nil, fmt.Errorf("%s of %d bytes: at most %d are allowed", what, len(text), maxPEM)
	}
	b, rest := pem.Decode([]byte(CleanKey(string(text))))
	switch {
	case b == nil:
		return nil, fmt.Errorf("%s is no PEM: a line \"-----BEGIN ...-----\" expected", what)
	case len(bytes.TrimSpace(rest)) > 0:
		return nil, fmt.Errorf("%s has more than one PEM block", what)
	}
	return b, nil
}

// ParsePublic reads a public key: PEM with SubjectPublicKeyInfo ("PUBLIC KEY") or
// PKCS#1 ("RSA PUBLIC KEY").
func ParsePublic(text []byte, opts ...Option) (*PublicKey, error) {
	b, err := block(text, "public key")
	if err != nil {
		return nil, err
	}
	if b.Type != "PUBLIC KEY" && b.Type != "RSA PUBLIC KEY" {
		return nil, fmt.Errorf("public key is a %.40q: \"PUBLIC KEY\" expected", b.Type)
	}
	var k *rsa.PublicKey
	if any, err := x509.ParsePKIXPublicKey(b.Bytes); err == nil {
		var ok bool
		if k, ok = any.(*rsa.PublicKey); !ok {
			return nil, fmt.Errorf("public key is a %T: RSA expected", any)
		}
	} else if k, err = x509.ParsePKCS1PublicKey(b.Bytes); err != nil {
		return nil, errors.New("public key is damaged: its PEM holds no RSA key")
	}
	if err := newPolicy(opts).check(k); err != nil {
		return nil, err
	}
	return &PublicKey{k: *k}, nil
}

// ParsePrivate reads a private key: PEM with PKCS#1 or PKCS#8, either of them encrypted
// (OpenSSL's old way, and PBES2). It returns ErrPassphrase.
func ParsePrivate(text []byte, passphrase Secret, opts ...Option) (*PrivateKey, error) {
	b, err := block(text, "private key")
	if err != nil {
		return nil, err
	}
	der := b.Bytes
	encrypted := true
	switch {
	case x509.IsEncryptedPEMBlock(b): //lint:ignore SA1019 Salt's key_pass makes such keys, and they are only read and written at rest
		if passphrase.Empty() {
			return nil, ErrPassphrase
		}
		der, err = x509.DecryptPEMBlock(b, []byte(passphrase.Reveal())) //lint:ignore SA1019 as above
		if err != nil {
			return nil, ErrPassphrase
		}
	case b.Type == "ENCRYPTED PRIVATE KEY":
		if passphrase.Empty() {
			return nil, ErrPassphrase
		}
		if der, err = decryptPBES2(der, passphrase.Reveal(), maxIterations); err != nil {
			return nil, err
		}
	case b.Type == "RSA PRIVATE KEY", b.Type == "PRIVATE KEY":
		encrypted = false
	default:
		return nil, fmt.Errorf("private key is a %.40q: \"RSA PRIVATE KEY\" or \"PRIVATE KEY\" expected", b.Type)
	}
	k, err := parsePrivateDER(der)
	if err != nil {
		if encrypted { // a wrong passphrase may leave padding that looks right
			return nil, ErrPassphrase
		}
		return nil, err
	}
	if err := newPolicy(opts).check(&k.PublicKey); err != nil {
		return nil, err
	}
	return newPrivate(k), nil
}

func parsePrivateDER(der []byte) (*rsa.PrivateKey, error) {
	k, err := x509.ParsePKCS1PrivateKey(der)
	if err != nil {
		any, err8 := x509.ParsePKCS8PrivateKey(der)
		if err8 != nil {
			return nil, fmt.Errorf("private key is damaged: %w", err)
		}
		var ok bool
		if k, ok = any.(*rsa.PrivateKey); !ok {
			return nil, fmt.Errorf("private key is a %T: RSA expected", any)
		}
	}
	if len(k.Primes) != 2 {
		return nil, fmt.Errorf("private key has %d primes: 2 expected", len(k.Primes))
	}
	k.Precompute()
	return k, nil
}

// PEM is the key as Salt writes it: PKCS#1, with a passphrase in OpenSSL's old
// encryption (AES-256-CBC). It ends with a newline.
func (p *PrivateKey) PEM(passphrase Secret) ([]byte, error) {
	b := &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(p.k)}
	if !passphrase.Empty() {
		var err error
		//lint:ignore SA1019 what Salt reads; at rest, without an oracle for its padding
		b, err = x509.EncryptPEMBlock(rand.Reader, b.Type, b.Bytes, []byte(passphrase.Reveal()), x509.PEMCipherAES256)
		if err != nil {
			return nil, fmt.Errorf("encrypt the private key: %w", err)
		}
	}
	return pem.EncodeToMemory(b), nil
}

// PEM is the key as Salt writes it (SubjectPublicKeyInfo), with a newline at the end.
// CleanKey takes that off.
func (p *PublicKey) PEM() string {
	der, err := x509.MarshalPKIXPublicKey(&p.k)
	if err != nil { // possible only for other kinds of keys
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// CleanKey is the form in which PEM texts are sent and compared: no space around it,
// lines ended by \n, none at the end.
func CleanKey(text string) string {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	text = strings.ReplaceAll(text, "\r", "\n")
	return strings.TrimSpace(text)
}

// Fingerprint is the hash of a PEM text's lines between the first and the last, as
// "a6:a0:6d:...". hashType is md5, sha1, sha224, sha256 (or ""), sha384 or sha512, as in
// the option hash_type.
func Fingerprint(text, hashType string) (string, error) {
	var lines []string
	for line := range strings.Lines(strings.ReplaceAll(text, "\r\n", "\n")) {
		if strings.TrimSpace(line) != "" {
			lines = append(lines, line)
		}
	}
	if len(lines) < 3 {
		return "", errors.New("fingerprint: the key is no PEM of at least three lines")
	}
	body := []byte(strings.Join(lines[1:len(lines)-1], ""))
	var sum []byte
	switch hashType {
	case "", "sha256":
		s := sha256.Sum256(body)
		sum = s[:]
	case "md5":
		s := md5.Sum(body)
		sum = s[:]
	case "sha1":
		s := sha1.Sum(body)
		sum = s[:]
	case "sha224":
		s := sha256.Sum224(body)
		sum = s[:]
	case "sha384":
		s := sha512.Sum384(body)
		sum = s[:]
	case "sha512":
		s := sha512.Sum512(body)
		sum = s[:]
	default:
		return "", fmt.Errorf("fingerprint by %.20q: md5, sha1, sha224, sha256, sha384 or sha512 expected", hashType)
	}
	var b strings.Builder
	for i := range sum {
		if i > 0 {
			b.WriteByte(':')
		}
		b.WriteString(hex.EncodeToString(sum[i : i+1]))
	}
	return b.String(), nil
}

// Fingerprint is that of PEM.
func (p *PublicKey) Fingerprint(hashType string) (string, error) {
	return Fingerprint(p.PEM(), hashType)
}
