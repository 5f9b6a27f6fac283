package modules

import (
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/gosalt/gosalt/internal/durable"
	"github.com/gosalt/gosalt/internal/module"
)

func init() {
	register("hashutil.digest", hashutilDigest)
	register("hashutil.digest_file", hashutilDigestFile)
	register("hashutil.md5_digest", hashutilMd5Digest)
	register("hashutil.sha256_digest", hashutilSha256Digest)
	register("hashutil.sha512_digest", hashutilSha512Digest)
	register("hashutil.base64_b64encode", hashutilBase64B64encode)
	register("hashutil.base64_b64decode", hashutilBase64B64decode)
	register("hashutil.base64_encodestring", hashutilBase64Encodestring)
	register("hashutil.base64_decodestring", hashutilBase64Decodestring)
	register("hashutil.base64_encodefile", hashutilBase64Encodefile)
	register("hashutil.base64_decodefile", hashutilBase64Decodefile)
	register("hashutil.hmac_signature", hashutilHmacSignature)
	register("hashutil.hmac_compute", hashutilHmacCompute)
	register("hashutil.github_signature", hashutilGithubSignature)
}

// newDigest makes the hash function of a name that hashutil takes.
func newDigest(name string) (hash.Hash, error) {
	switch name {
	case "md5":
		return md5.New(), nil
	case "sha256":
		return sha256.New(), nil
	case "sha512":
		return sha512.New(), nil
	}
	return nil, module.Failf("Hash func '%s' is not supported.", name)
}

func digestOf(name string, r io.Reader) (string, error) {
	h, err := newDigest(name)
	if err != nil {
		return "", err
	}
	if _, err := io.Copy(h, r); err != nil {
		return "", module.Failf("%w", err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

type hashutilDigestArgs struct {
	Instr    string // The text.
	Checksum string `default:"md5"` // Hash function: md5, sha256 or sha512.
}

// hashutilDigest returns the checksum of a text.
//
//	gosalt '*' hashutil.digest 'get salted' sha256
func hashutilDigest(ctx context.Context, c *module.Call, a hashutilDigestArgs) (string, error) {
	return digestOf(a.Checksum, strings.NewReader(a.Instr))
}

type hashutilDigestFileArgs struct {
	Infile   string // Path of the file.
	Checksum string `default:"md5"` // Hash function: md5, sha256 or sha512.
}

// hashutilDigestFile returns the checksum of a file.
//
//	gosalt '*' hashutil.digest_file /path/to/file
func hashutilDigestFile(ctx context.Context, c *module.Call, a hashutilDigestFileArgs) (string, error) {
	name := c.Host.Path(a.Infile)
	if st, err := os.Stat(name); err != nil || st.IsDir() {
		return "", module.Failf("File path '%s' not found.", a.Infile)
	}
	f, err := os.Open(name)
	if err != nil {
		return "", module.Failf("%w", err)
	}
	defer f.Close()
	return digestOf(a.Checksum, f)
}

type instrArgs struct {
	Instr string // The text.
}

// hashutilMd5Digest returns the MD5 checksum of a text.
//
//	gosalt '*' hashutil.md5_digest 'get salted'
func hashutilMd5Digest(ctx context.Context, c *module.Call, a instrArgs) (string, error) {
	return digestOf("md5", strings.NewReader(a.Instr))
}

// hashutilSha256Digest returns the SHA-256 checksum of a text.
//
//	gosalt '*' hashutil.sha256_digest 'get salted'
func hashutilSha256Digest(ctx context.Context, c *module.Call, a instrArgs) (string, error) {
	return digestOf("sha256", strings.NewReader(a.Instr))
}

// hashutilSha512Digest returns the SHA-512 checksum of a text.
//
//	gosalt '*' hashutil.sha512_digest 'get salted'
func hashutilSha512Digest(ctx context.Context, c *module.Call, a instrArgs) (string, error) {
	return digestOf("sha512", strings.NewReader(a.Instr))
}

// hashutilBase64B64encode returns a text in Base64.
//
//	gosalt '*' hashutil.base64_b64encode 'get salted'
func hashutilBase64B64encode(ctx context.Context, c *module.Call, a instrArgs) (string, error) {
	return base64.StdEncoding.EncodeToString([]byte(a.Instr)), nil
}

// hashutilBase64B64decode returns what a text in Base64 stands for; signs that are
// not of Base64 are skipped.
//
//	gosalt '*' hashutil.base64_b64decode 'Z2V0IHNhbHRlZA=='
func hashutilBase64B64decode(ctx context.Context, c *module.Call, a instrArgs) (any, error) {
	b, err := decodeBase64(a.Instr)
	if err != nil {
		return nil, err
	}
	if utf8.Valid(b) {
		return string(b), nil
	}
	return b, nil
}

// decodeBase64 reads as Python does: other signs are skipped, and what follows on
// padding is read on.
func decodeBase64(s string) ([]byte, error) {
	var out []byte
	quad, n, pads := uint32(0), 0, 0
	for i := range len(s) {
		v := strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", s[i])
		switch {
		case s[i] == '=':
			if n >= 2 {
				if pads++; n+pads >= 4 { // the end of a quartet
					n, pads = 0, 0
				}
			}
			continue
		case v < 0:
			continue
		}
		pads = 0
		quad = quad<<6 | uint32(v)
		n++
		switch n {
		case 2:
			out = append(out, byte(quad>>4))
		case 3:
			out = append(out, byte(quad>>2))
		case 4:
			out = append(out, byte(quad))
			n = 0
		}
	}
	if n != 0 {
		return nil, module.Invalidf("Incorrect padding: the number of signs of a text in Base64 is a multiple of four, = at its end included")
	}
	return out, nil
}

// linesOfBase64 writes Base64 in lines of 76 signs, as RFC 2045 has it.
func linesOfBase64(b []byte) string {
	var out strings.Builder
	for len(b) > 0 {
		n := min(57, len(b))
		out.WriteString(base64.StdEncoding.EncodeToString(b[:n]) + "\n")
		b = b[n:]
	}
	return out.String()
}

// hashutilBase64Encodestring returns a text in Base64, in lines of 76 signs.
//
//	gosalt '*' hashutil.base64_encodestring 'get salted'
func hashutilBase64Encodestring(ctx context.Context, c *module.Call, a instrArgs) (string, error) {
	return linesOfBase64([]byte(a.Instr)), nil
}

// hashutilBase64Decodestring returns what a text in Base64 stands for.
//
//	gosalt '*' hashutil.base64_decodestring 'Z2V0IHNhbHRlZA=='
func hashutilBase64Decodestring(ctx context.Context, c *module.Call, a instrArgs) (any, error) {
	return hashutilBase64B64decode(ctx, c, a)
}

type hashutilBase64EncodefileArgs struct {
	Fname string // Path of the file.
}

// hashutilBase64Encodefile returns the contents of a file in Base64, in lines of 76
// signs: for small files.
//
//	gosalt '*' hashutil.base64_encodefile /path/to/binary_file
func hashutilBase64Encodefile(ctx context.Context, c *module.Call, a hashutilBase64EncodefileArgs) (string, error) {
	b, err := os.ReadFile(c.Host.Path(a.Fname))
	if err != nil {
		return "", module.Failf("%w", err)
	}
	return linesOfBase64(b), nil
}

type hashutilBase64DecodefileArgs struct {
	Instr   string // The text in Base64.
	Outfile string // Path of the file to write.
}

// hashutilBase64Decodefile writes what a text in Base64 stands for to a file.
//
//	gosalt '*' hashutil.base64_decodefile instr='Z2V0IHNhbHRlZAo=' outfile='/path/to/binary_file'
func hashutilBase64Decodefile(ctx context.Context, c *module.Call, a hashutilBase64DecodefileArgs) (bool, error) {
	b, err := decodeBase64(a.Instr)
	if err != nil {
		return false, err
	}
	name, mode := c.Host.Path(a.Outfile), os.FileMode(0o644)
	if st, err := os.Stat(name); err == nil {
		mode = st.Mode().Perm()
	}
	if err := durable.WriteFile(name, b, mode); err != nil {
		return false, module.Failf("%w", err)
	}
	return true, nil
}

type hashutilHmacSignatureArgs struct {
	String        string // The text that was signed.
	SharedSecret  string // The secret that both sides know.
	ChallengeHmac string // The signature, in Base64.
}

// hashutilHmacSignature tells whether a text was signed with a secret (HMAC with
// SHA-256).
//
//	gosalt '*' hashutil.hmac_signature 'get salted' 'shared secret' 'eBWf9bstXg+NiP5AOwppB5HMvZiYMPzEM9W5YMm/AmQ='
func hashutilHmacSignature(ctx context.Context, c *module.Call, a hashutilHmacSignatureArgs) (bool, error) {
	want := base64.StdEncoding.EncodeToString(hmacOf(sha256.New, a.String, a.SharedSecret))
	return hmac.Equal([]byte(want), []byte(a.ChallengeHmac)), nil
}

func hmacOf(h func() hash.Hash, text, secret string) []byte {
	m := hmac.New(h, []byte(secret))
	m.Write([]byte(text))
	return m.Sum(nil)
}

type hashutilHmacComputeArgs struct {
	String       string // The text to sign.
	SharedSecret string // The secret that both sides know.
}

// hashutilHmacCompute returns the signature of a text with a secret (HMAC with
// SHA-256), in hexadecimal digits.
//
//	gosalt '*' hashutil.hmac_compute 'get salted' 'shared secret'
func hashutilHmacCompute(ctx context.Context, c *module.Call, a hashutilHmacComputeArgs) (string, error) {
	return hex.EncodeToString(hmacOf(sha256.New, a.String, a.SharedSecret)), nil
}

// hashutilGithubSignature tells whether GitHub, which knows the secret of a webhook,
// sent a text.
//
//	gosalt '*' hashutil.github_signature '{"ref":....}' 'shared secret' 'sha1=bc6550fc290acf5b42283fa8deaf55cea0f8c206'
func hashutilGithubSignature(ctx context.Context, c *module.Call, a hashutilHmacSignatureArgs) (bool, error) {
	kind, challenge, ok := strings.Cut(a.ChallengeHmac, "=")
	functions := map[string]func() hash.Hash{"sha1": sha1.New, "sha256": sha256.New, "sha512": sha512.New, "md5": md5.New, "sha224": sha256.New224, "sha384": sha512.New384}
	h := functions[kind]
	if !ok || h == nil {
		return false, module.Invalidf("a signature of the form sha1=... or sha256=... is expected, got %q", a.ChallengeHmac)
	}
	return hmac.Equal([]byte(challenge), []byte(hex.EncodeToString(hmacOf(h, a.String, a.SharedSecret)))), nil
}
