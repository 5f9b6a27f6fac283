package modules

import (
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"hash"
	"slices"
	"strconv"
	"strings"

	//lint:ignore SA1019 it is what bcrypt is made of
	"golang.org/x/crypto/blowfish"

	"github.com/gosalt/gosalt/internal/module"
)

// cryptSigns are the 64 signs of crypt(5), those of salts too.
const cryptSigns = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// shadowHash is a password's hash in the form of /etc/shadow: "$6$salt$hash". An empty
// salt is for a random one.
func shadowHash(salt, password, algorithm string) (string, error) {
	if strings.ContainsRune(password, 0) {
		return "", module.Invalidf("a password cannot have a zero byte in it")
	}
	random := func(n int) string { return randomText([]rune(cryptSigns), n) }
	switch algorithm {
	case "sha512", "sha256":
		if salt == "" {
			salt = random(16)
		}
		if algorithm == "sha512" {
			return shaCrypt("$6$", sha512.New, password, salt)
		}
		return shaCrypt("$5$", sha256.New, password, salt)
	case "md5":
		if salt == "" {
			salt = random(8)
		}
		return md5Crypt(password, salt)
	case "blowfish":
		if salt == "" {
			salt = "12$" + random(21) + "." // of the last sign only two bits count
		}
		return bcrypt(password, salt)
	case "crypt":
		return "", module.Invalidf("hashes of the kind crypt (DES) are not made: they can be guessed within hours. Take sha512")
	}
	return "", module.Invalidf("Cannot hash using '%s' hash algorithm: sha512, sha256, blowfish or md5 is expected", algorithm)
}

// cutSalt is a salt up to its first $ and the longest length, checked.
func cutSalt(salt string, longest int) (string, error) {
	salt, _, _ = strings.Cut(salt, "$")
	if len(salt) > longest {
		salt = salt[:longest]
	}
	for _, r := range salt {
		if r < '!' || r > '~' || strings.ContainsRune(":;*!\\", r) {
			return "", module.Invalidf("the salt of a hash cannot have %q in it", r)
		}
	}
	return salt, nil
}

// maxRounds bounds the work of one hash: some seconds.
const maxRounds = 10_000_000

// shaCrypt is SHA-crypt (Drepper, "Unix crypt using SHA-256 and SHA-512"). A salt may
// name the number of rounds: "rounds=10000$salt".
func shaCrypt(prefix string, newHash func() hash.Hash, password, salt string) (string, error) {
	rounds, named := 5000, ""
	if rest, ok := strings.CutPrefix(salt, "rounds="); ok {
		text, after, ok := strings.Cut(rest, "$")
		n, err := strconv.Atoi(text)
		if !ok || err != nil || n < 1000 || n > maxRounds {
			return "", module.Invalidf("a salt of the form rounds=N$salt is expected, N from 1000 to %d, got %q", maxRounds, salt)
		}
		rounds, named, salt = n, "rounds="+text+"$", after
	}
	salt, err := cutSalt(salt, 16)
	if err != nil {
		return "", err
	}
	key, slt := []byte(password), []byte(salt)
	sum := func(parts ...[]byte) []byte {
		h := newHash()
		for _, p := range parts {
			h.Write(p)
		}
		return h.Sum(nil)
	}
	b := sum(key, slt, key)
	var mix [][]byte
	mix = append(mix, key, slt, stretch(b, len(key)))
	for n := len(key); n > 0; n >>= 1 {
		if n&1 != 0 {
			mix = append(mix, b)
		} else {
			mix = append(mix, key)
		}
	}
	a := sum(mix...)
	p := stretch(sum(slices.Repeat(key, len(key))), len(key))
	s := stretch(sum(slices.Repeat(slt, 16+int(a[0]))), len(slt))
	for i := range rounds {
		first, last := a, p
		if i%2 != 0 {
			first, last = p, a
		}
		parts := [][]byte{first}
		if i%3 != 0 {
			parts = append(parts, s)
		}
		if i%7 != 0 {
			parts = append(parts, p)
		}
		a = sum(append(parts, last)...)
	}
	return prefix + named + salt + "$" + shaCryptText(a), nil
}

// stretch repeats bytes up to a length.
func stretch(b []byte, n int) []byte {
	return slices.Repeat(b, n/len(b)+1)[:n]
}

// shaCryptText writes a sum with its bytes in the order that SHA-crypt has.
func shaCryptText(sum []byte) string {
	var out strings.Builder
	third := len(sum) / 3
	i, j, k := 0, third, 2*third
	for range third {
		cryptBits(&out, uint32(sum[i])<<16|uint32(sum[j])<<8|uint32(sum[k]), 4)
		if len(sum) == sha512.Size {
			i, j, k = j+1, k+1, i+1
		} else {
			i, j, k = k+1, i+1, j+1
		}
	}
	if len(sum) == sha512.Size {
		cryptBits(&out, uint32(sum[63]), 2)
	} else {
		cryptBits(&out, uint32(sum[31])<<8|uint32(sum[30]), 3)
	}
	return out.String()
}

// cryptBits writes n signs of six bits each, the lowest first.
func cryptBits(out *strings.Builder, v uint32, n int) {
	for range n {
		out.WriteByte(cryptSigns[v&63])
		v >>= 6
	}
}

// md5Crypt is the hash of FreeBSD 2 (Kamp, 1994).
func md5Crypt(password, salt string) (string, error) {
	salt, err := cutSalt(salt, 8)
	if err != nil {
		return "", err
	}
	key, slt := []byte(password), []byte(salt)
	inner := md5.Sum(slices.Concat(key, slt, key))
	mix := slices.Concat(key, []byte("$1$"), slt, stretch(inner[:], len(key)))
	for n := len(key); n > 0; n >>= 1 {
		if n&1 != 0 {
			mix = append(mix, 0)
		} else {
			mix = append(mix, key[0])
		}
	}
	a := md5.Sum(mix)
	for i := range 1000 {
		first, last := a[:], key
		if i%2 != 0 {
			first, last = key, a[:]
		}
		mix := slices.Clone(first)
		if i%3 != 0 {
			mix = append(mix, slt...)
		}
		if i%7 != 0 {
			mix = append(mix, key...)
		}
		a = md5.Sum(append(mix, last...))
	}
	var out strings.Builder
	for _, t := range [][3]int{{0, 6, 12}, {1, 7, 13}, {2, 8, 14}, {3, 9, 15}, {4, 10, 5}} {
		cryptBits(&out, uint32(a[t[0]])<<16|uint32(a[t[1]])<<8|uint32(a[t[2]]), 4)
	}
	cryptBits(&out, uint32(a[11]), 2)
	return "$1$" + salt + "$" + out.String(), nil
}

// bcryptText is the Base64 of bcrypt.
var bcryptText = base64.NewEncoding("./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789").WithPadding(base64.NoPadding)

// bcrypt is the hash of OpenBSD (Provos and Mazières, 1999). The salt has the cost in
// front: "12$" and 22 signs.
func bcrypt(password, salt string) (string, error) {
	bad := module.Invalidf("a salt of the form 12$ and 22 signs is expected for blowfish, got %q", salt)
	costText, signs, ok := strings.Cut(salt, "$")
	cost, err := strconv.Atoi(costText)
	if !ok || err != nil || len(costText) != 2 || cost < 4 || cost > 16 || len(signs) < 22 {
		return "", bad
	}
	seed, err := bcryptText.DecodeString(signs[:22])
	if err != nil {
		return "", bad
	}
	key := append([]byte(password), 0)
	key = key[:min(len(key), 72)]
	cipher, err := blowfish.NewSaltedCipher(key, seed)
	if err != nil {
		return "", module.Failf("%w", err)
	}
	for range 1 << cost {
		blowfish.ExpandKey(key, cipher)
		blowfish.ExpandKey(seed, cipher)
	}
	text := []byte("OrpheanBeholderScryDoubt")
	for i := 0; i < len(text); i += 8 {
		for range 64 {
			cipher.Encrypt(text[i:i+8], text[i:i+8])
		}
	}
	return "$2b$" + costText + "$" + bcryptText.EncodeToString(seed) + bcryptText.EncodeToString(text[:23]), nil
}
