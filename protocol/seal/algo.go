package seal

import (
	"crypto"
	"crypto/sha1"
	"crypto/sha256"
	"fmt"
	"hash"
)

// Algorithm names a padding and hash as Salt does.
type Algorithm string

// The algorithms of Salt's protocol. Salt's default is SHA-1; the minion's request says
// which is used (options encryption_algorithm and signing_algorithm).
const (
	OAEPSHA1       Algorithm = "OAEP-SHA1"
	OAEPSHA224     Algorithm = "OAEP-SHA224"
	PKCS1v15SHA1   Algorithm = "PKCS1v15-SHA1"
	PKCS1v15SHA224 Algorithm = "PKCS1v15-SHA224"
)

// EncAlgorithm reads the field enc_algo. The second result is false for a name that is
// not known: answer "bad enc algo".
func EncAlgorithm(name string) (Algorithm, bool) {
	switch a := Algorithm(name); a {
	case "":
		return OAEPSHA1, true
	case OAEPSHA1, OAEPSHA224:
		return a, true
	}
	return "", false
}

// SigAlgorithm reads the field sig_algo. The second result is false for a name that is
// not known: answer "bad sig algo".
func SigAlgorithm(name string) (Algorithm, bool) {
	switch a := Algorithm(name); a {
	case "":
		return PKCS1v15SHA1, true
	case PKCS1v15SHA1, PKCS1v15SHA224:
		return a, true
	}
	return "", false
}

// oaepHash is a new hash for OAEP and its mask.
func (a Algorithm) oaepHash() (hash.Hash, error) {
	switch a {
	case OAEPSHA1, "":
		return sha1.New(), nil
	case OAEPSHA224:
		return sha256.New224(), nil
	}
	return nil, fmt.Errorf("encryption algorithm %q: OAEP-SHA1 or OAEP-SHA224 expected", string(a))
}

// digest hashes what is signed.
func (a Algorithm) digest(message []byte) (crypto.Hash, []byte, error) {
	switch a {
	case PKCS1v15SHA1, "":
		d := sha1.Sum(message)
		return crypto.SHA1, d[:], nil
	case PKCS1v15SHA224:
		d := sha256.Sum224(message)
		return crypto.SHA224, d[:], nil
	}
	return 0, nil, fmt.Errorf("signature algorithm %q: PKCS1v15-SHA1 or PKCS1v15-SHA224 expected", string(a))
}
