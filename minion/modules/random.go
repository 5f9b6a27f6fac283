package modules

import (
	"context"
	"crypto/md5"
	crand "crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/crypto/blake2b"
	"golang.org/x/crypto/blake2s"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pyrandom"
)

func init() {
	register("random.hash", randomHash)
	register("random.str_encode", randomStrEncode)
	register("random.get_str", randomGetStr)
	register("random.shadow_hash", randomShadowHash)
	register("random.rand_int", randomRandInt)
	register("random.seed", randomSeed)
	register("random.sample", randomSample)
	register("random.shuffle", randomShuffle)
}

// hashFunctions are those of Python's hashlib whose sums have one length.
var hashFunctions = map[string]func() hash.Hash{
	"md5": md5.New, "sha1": sha1.New, "sha224": sha256.New224, "sha256": sha256.New, "sha384": sha512.New384, "sha512": sha512.New,
	"sha512_224": sha512.New512_224, "sha512_256": sha512.New512_256,
	"sha3_224": func() hash.Hash { return sha3.New224() }, "sha3_256": func() hash.Hash { return sha3.New256() },
	"sha3_384": func() hash.Hash { return sha3.New384() }, "sha3_512": func() hash.Hash { return sha3.New512() },
	"blake2b": func() hash.Hash { h, _ := blake2b.New512(nil); return h }, // fails for a key that is too long only
	"blake2s": func() hash.Hash { h, _ := blake2s.New256(nil); return h },
}

type randomHashArgs struct {
	Value     string // The text.
	Algorithm string `default:"sha512"` // Hash function: md5, sha1, sha256, sha3_512, blake2b and so on.
}

// randomHash returns the checksum of a text.
//
//	gosalt '*' random.hash 'I am a string' md5
func randomHash(ctx context.Context, c *module.Call, a randomHashArgs) (string, error) {
	return hashText(a.Value, a.Algorithm)
}

func hashText(text, algorithm string) (string, error) {
	newHash := hashFunctions[algorithm]
	if newHash == nil {
		return "", module.Invalidf("You must specify a valid algorithm: %s, got %q",
			strings.Join(slices.Sorted(maps.Keys(hashFunctions)), ", "), algorithm)
	}
	h := newHash()
	h.Write([]byte(text))
	return hex.EncodeToString(h.Sum(nil)), nil
}

type randomStrEncodeArgs struct {
	Value   any    // The text.
	Encoder string `default:"base64"` // base64.
}

// randomStrEncode returns a text in Base64.
//
//	gosalt '*' random.str_encode 'I am a new string'
func randomStrEncode(ctx context.Context, c *module.Call, a randomStrEncodeArgs) (string, error) {
	text, ok := a.Value.(string)
	if !ok || a.Encoder != "base64" {
		return "", module.Invalidf("Value must be an encode-able string")
	}
	return base64.StdEncoding.EncodeToString([]byte(text)), nil
}

type randomGetStrArgs struct {
	Length      int    `default:"20"`    // How many signs.
	Chars       string `default:"None"`  // The signs to choose from; what follows is without effect then.
	Lowercase   bool   `default:"True"`  // From a to z.
	Uppercase   bool   `default:"True"`  // From A to Z.
	Digits      bool   `default:"True"`  // From 0 to 9.
	Punctuation bool   `default:"True"`  // The other signs of ASCII that can be seen.
	Whitespace  bool   `default:"False"` // Space, tab, and what ends lines and pages.
	Printable   bool   `default:"False"` // All of these.
}

const (
	lowercase   = "abcdefghijklmnopqrstuvwxyz"
	uppercase   = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits      = "0123456789"
	punctuation = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
	whitespace  = " \t\n\r\v\f"
)

// randomGetStr returns a random text, such as a password.
//
//	gosalt '*' random.get_str 128
//	gosalt '*' random.get_str punctuation=False
func randomGetStr(ctx context.Context, c *module.Call, a randomGetStrArgs) (string, error) {
	chars := a.Chars
	if a.Printable {
		chars = digits + lowercase + uppercase + punctuation + whitespace
	}
	if chars == "" {
		for _, set := range []struct {
			on    bool
			chars string
		}{{a.Lowercase, lowercase}, {a.Uppercase, uppercase}, {a.Digits, digits}, {a.Punctuation, punctuation}, {a.Whitespace, whitespace}} {
			if set.on {
				chars += set.chars
			}
		}
	}
	if chars == "" {
		return "", module.Failf("no signs to choose from: name some with chars=, or leave a kind of them on")
	}
	const longest = 1 << 20
	if a.Length > longest {
		return "", module.Failf("a text of at most %d signs can be had, got %d", longest, a.Length)
	}
	return randomText([]rune(chars), a.Length), nil
}

// randomText chooses signs, each as probable as the others.
func randomText(chars []rune, length int) string {
	var b strings.Builder
	for range max(0, length) {
		b.WriteRune(chars[randomBelow(int64(len(chars)))])
	}
	return b.String()
}

// randomBelow is a random number from 0 to n-1 that nobody can foretell.
func randomBelow(n int64) int64 {
	v, _ := crand.Int(crand.Reader, big.NewInt(n)) // crypto/rand never fails since Go 1.24
	return v.Int64()
}

type randomShadowHashArgs struct {
	CryptSalt string  `default:"None"`   // Salt of the hash; a random one where it is left out.
	Password  *string `default:"None"`   // The password; a random one where it is left out, which nobody knows then.
	Algorithm string  `default:"sha512"` // sha512, sha256, blowfish or md5.
}

// randomShadowHash returns the hash of a password as /etc/shadow has it.
//
//	gosalt '*' random.shadow_hash 'My5alT' 'MyP@asswd' md5
func randomShadowHash(ctx context.Context, c *module.Call, a randomShadowHashArgs) (string, error) {
	password := randomText([]rune(lowercase+uppercase+digits+punctuation), 20)
	if a.Password != nil {
		password = *a.Password
	}
	return shadowHash(a.CryptSalt, password, a.Algorithm)
}

type randomRandIntArgs struct {
	Start int64 `default:"1"`    // The least number.
	End   int64 `default:"10"`   // The greatest number.
	Seed  any   `default:"None"` // The same seed gives the same number, that of Python.
}

// randomRandInt returns a random whole number.
//
//	gosalt '*' random.rand_int 1 10
func randomRandInt(ctx context.Context, c *module.Call, a randomRandIntArgs) (int64, error) {
	size := uint64(a.End) - uint64(a.Start) + 1
	if a.End < a.Start || size == 0 {
		return 0, module.Invalidf("empty range: start is %d, end %d", a.Start, a.End)
	}
	if a.Seed != nil {
		return int64(uint64(a.Start) + pyrandom.New(a.Seed).Below(size)), nil
	}
	n, _ := crand.Int(crand.Reader, new(big.Int).SetUint64(size))
	return int64(uint64(a.Start) + n.Uint64()), nil
}

type randomSeedArgs struct {
	Range int64 `default:"10"`   // The number is less than this, and at least 0.
	Hash  any   `default:"None"` // What it is made from; the minion's id where it is left out.
}

// randomSeed returns a number that is always the same for a minion, and another for
// most others: to spread what all of them do.
//
//	gosalt '*' random.seed
//	gosalt '*' random.seed 10 hash=None
func randomSeed(ctx context.Context, c *module.Call, a randomSeedArgs) (int64, error) {
	if a.Range <= 0 {
		return 0, module.Invalidf("empty range: a number above 0 is expected, got %d", a.Range)
	}
	if a.Hash == nil {
		a.Hash = minionID(c)
	}
	return int64(pyrandom.New(a.Hash).Below(uint64(a.Range))), nil
}

type randomSampleArgs struct {
	Value []any // What to choose from.
	Size  int   // How many.
	Seed  any   `default:"None"` // The same seed gives the same choice, that of Salt.
}

// randomSample chooses some elements of a list, in a random order.
//
//	gosalt '*' random.sample '["one", "two"]' 1 seed="something"
func randomSample(ctx context.Context, c *module.Call, a randomSampleArgs) ([]any, error) {
	if a.Size < 0 || a.Size > len(a.Value) {
		return nil, module.Invalidf("Sample larger than population or is negative: %d of %d", a.Size, len(a.Value))
	}
	seed := any(strconv.FormatInt(randomBelow(1<<62), 36))
	if a.Seed != nil {
		sum, err := hashText(textOf(a.Seed), "sha512")
		if err != nil {
			return nil, err
		}
		seed = sum
	}
	out := []any{}
	for _, i := range pyrandom.New(seed).Sample(len(a.Value), a.Size) {
		out = append(out, a.Value[i])
	}
	return out, nil
}

type randomShuffleArgs struct {
	Value []any // The list.
	Seed  any   `default:"None"` // The same seed gives the same order, that of Salt.
}

// randomShuffle returns the elements of a list in a random order.
//
//	gosalt '*' random.shuffle '["one", "two"]' seed="something"
func randomShuffle(ctx context.Context, c *module.Call, a randomShuffleArgs) ([]any, error) {
	return randomSample(ctx, c, randomSampleArgs{Value: a.Value, Size: len(a.Value), Seed: a.Seed})
}
