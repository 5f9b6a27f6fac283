package modules

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	saltNames["hashutil"] = `base64_b64decode base64_b64encode base64_decodefile base64_decodestring base64_encodefile
		base64_encodestring digest digest_file github_signature hmac_compute hmac_signature md5_digest sha256_digest sha512_digest`
	saltNames["random"] = `get_str hash rand_int sample seed shadow_hash shuffle str_encode`
}

func TestRecordedHashutil(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "hash.txt"), []byte("get salted\nsecond\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	runRecorded(t, "testdata/hashutil.json", false, func() *module.Call { return rootedCall(root) })
	if b, err := os.ReadFile(filepath.Join(root, "out.txt")); string(b) != "get salted" {
		t.Errorf("decoded file: %q, %v", b, err)
	}
}

// TestHashutilMore: what could not be recorded, and bad input.
func TestHashutilMore(t *testing.T) {
	r := New()
	run := func(fun string, args ...any) module.Result {
		return r.Run(t.Context(), nil, "hashutil."+fun, nil, kwargsOf(t, r, "hashutil."+fun, args))
	}
	const signed = "78159ff5bb2d5e0f8d88fe403b0a690791ccbd989830fcc433d5b960c9bf0264"
	if got := run("github_signature", "get salted", "shared secret", "sha256="+signed); got.Return != true {
		t.Errorf("github_signature: %+v", got)
	}
	if got := run("github_signature", "get salted", "another secret", "sha256="+signed); got.Return != false {
		t.Errorf("github_signature with another secret: %+v", got)
	}
	if got := run("base64_b64decode", "/w=="); string(got.Return.([]byte)) != "\xff" {
		t.Errorf("base64_b64decode of what is no text: %+v", got)
	}
	for _, tc := range [][]any{{"github_signature", "x", "y", "nonsense"}, {"github_signature", "x", "y", "rot13=00"},
		{"base64_b64decode", "Z2V0IHNhbHRlZA"}, {"base64_b64decode", "A"}, {"digest_file", "/"}, {"base64_encodefile", "/nope"}} {
		if got := run(tc[0].(string), tc[1:]...); got.Success {
			t.Errorf("%v: %+v", tc, got)
		}
	}
}

// kwargsOf names arguments, since a text such as sha256=... is taken for a keyword.
func kwargsOf(t *testing.T, r *module.Registry, fun string, args []any) *wire.Map {
	t.Helper()
	m := wire.NewMap()
	for i, name := range r.Lookup(fun).Spec().Args[:len(args)] {
		m.Set(name, args[i])
	}
	return m
}

// TestRecordedRandom: what is made from a seed is what Python makes of it.
func TestRecordedRandom(t *testing.T) {
	runRecorded(t, "testdata/random.json", false, func() *module.Call { return recordedMinion(t) })
}

func TestRandomText(t *testing.T) {
	r := New()
	run := func(kwargs ...any) module.Result {
		return r.Run(t.Context(), nil, "random.get_str", nil, wire.NewMap(kwargs...))
	}
	for _, tc := range []struct {
		kwargs []any
		from   string
	}{
		{[]any{"length", int64(500)}, lowercase + uppercase + digits + punctuation},
		{[]any{"length", int64(500), "punctuation", false}, lowercase + uppercase + digits},
		{[]any{"length", int64(500), "punctuation", false, "lowercase", false, "uppercase", false, "whitespace", true}, digits + whitespace},
		{[]any{"length", int64(500), "chars", "äb"}, "äb"},
	} {
		got, _ := run(tc.kwargs...).Return.(string)
		if len([]rune(got)) != 500 || strings.Trim(got, tc.from) != "" {
			t.Errorf("%v: %q", tc.kwargs, got)
		}
		if len(tc.from) > 10 && got == run(tc.kwargs...).Return {
			t.Errorf("%v: twice the same", tc.kwargs)
		}
	}
	if got := run("lowercase", false, "uppercase", false, "digits", false, "punctuation", false); got.Success {
		t.Errorf("no signs: %+v", got)
	}
	if got := run("length", int64(1<<40)); got.Success {
		t.Errorf("a text without end: %+v", got)
	}
}

// TestRandomWithoutSeed: the results are of the right kind, and differ.
func TestRandomWithoutSeed(t *testing.T) {
	r := New()
	seen := map[any]bool{}
	for range 200 {
		n, ok := r.Run(t.Context(), nil, "random.rand_int", nil, nil).Return.(int64)
		if !ok || n < 1 || n > 10 {
			t.Fatalf("random.rand_int = %d", n)
		}
		seen[n] = true
	}
	if len(seen) < 5 {
		t.Errorf("200 random numbers are %v", seen)
	}
	list := []any{int64(1), int64(2), int64(3)}
	got, _ := r.Run(t.Context(), nil, "random.shuffle", []any{list}, nil).Return.([]any)
	if len(got) != 3 || got[0] == got[1] || got[1] == got[2] || got[0] == got[2] {
		t.Errorf("random.shuffle = %v", got)
	}
	for _, tc := range [][]any{{"rand_int", int64(10), int64(1)}, {"seed", int64(0)}, {"sample", list, int64(4)}, {"hash", "x", "bogus"},
		{"shadow_hash", "sa", "pw", "crypt"}, {"shadow_hash", "s", "pw", "bogus"}, {"shadow_hash", "a:b", "pw"},
		{"shadow_hash", "short", "pw", "blowfish"}, {"shadow_hash", "s", "p\x00w"}} {
		if res := r.Run(t.Context(), nil, "random."+tc[0].(string), tc[1:], nil); res.Success {
			t.Errorf("%v: %+v", tc, res)
		}
	}
}

// TestShadowHash: what crypt(3) of Debian 12 makes of the same, and random salts.
func TestShadowHash(t *testing.T) {
	for _, tc := range [][4]string{
		{"sha256", "saltstring", "Hello world!", "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"},
		{"sha256", "rounds=10000$saltstringsaltstring", "Hello world!", "$5$rounds=10000$saltstringsaltst$3xv.VbSHBb41AL9AvLeujZkZRBAwqFMz2.opqey6IcA"},
		{"sha512", "saltstring", "Hello world!", "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"},
		{"sha512", "rounds=10000$saltstringsaltstring", "Hello world!", "$6$rounds=10000$saltstringsaltst$OW1/O6BYHV6BcXZu8QVeXbDWra3Oeqh0sbHbbMCVNSnCM/UrjmM0Dp8vOuZeHBy/YTBmSK6H9qs/y3RnOaw5v."},
	} {
		got, err := shadowHash(tc[1], tc[2], tc[0])
		if err != nil || got != tc[3] {
			t.Errorf("%s: got %s, %v\nwant %s", tc[1], got, err, tc[3])
		}
	}
	for algorithm, start := range map[string]string{"sha512": "$6$", "sha256": "$5$", "md5": "$1$", "blowfish": "$2b$12$"} {
		a, err := shadowHash("", "pw", algorithm)
		b, _ := shadowHash("", "pw", algorithm)
		if err != nil || !strings.HasPrefix(a, start) || a == b {
			t.Errorf("%s: %s, %s, %v", algorithm, a, b, err)
		}
		salt := strings.TrimPrefix(a, start)
		if algorithm == "blowfish" {
			salt = "12$" + salt
		}
		if again, err := shadowHash(salt, "pw", algorithm); err != nil || again != a {
			t.Errorf("%s: with the same salt %s, %v, first %s", algorithm, again, err, a)
		}
	}
}
