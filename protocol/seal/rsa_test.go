package seal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
)

// pair is the key pair of the tests that need just one.
func pair(t testing.TB) *PrivateKey {
	t.Helper()
	k, err := ParsePrivate(readKey(t, "pkcs1"), Secret{})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestEncryptSign(t *testing.T) {
	k := pair(t)
	for _, a := range []Algorithm{"", OAEPSHA1, OAEPSHA224} {
		c, err := k.Public().Encrypt(a, []byte("hello"))
		if err != nil {
			t.Fatal(err)
		}
		if m, err := k.Decrypt(a, c); err != nil || string(m) != "hello" {
			t.Errorf("%s: %q, %v", a, m, err)
		}
		c[0] ^= 1
		if m, err := k.Decrypt(a, c); m != nil || !errors.Is(err, ErrDecrypt) {
			t.Errorf("%s, changed: %q, %v", a, m, err)
		}
	}
	for _, a := range []Algorithm{"", PKCS1v15SHA1, PKCS1v15SHA224} {
		s, err := k.Sign(a, []byte("hello"))
		if err != nil {
			t.Fatal(err)
		}
		if err := k.Public().Verify(a, []byte("hello"), s); err != nil {
			t.Errorf("%s: %v", a, err)
		}
		if err := k.Public().Verify(a, []byte("hallo"), s); !errors.Is(err, ErrSignature) {
			t.Errorf("%s, another message: %v", a, err)
		}
		for _, s := range [][]byte{nil, s[1:], append(bytes.Clone(s), 0), make([]byte, len(s))} {
			if err := k.Public().Verify(a, []byte("hello"), s); !errors.Is(err, ErrSignature) {
				t.Errorf("%s, signature of %d bytes: %v", a, len(s), err)
			}
		}
	}
	if _, err := k.Sign(OAEPSHA1, nil); err == nil {
		t.Error("signed by OAEP-SHA1")
	}
	if err := k.Public().Verify("none", nil, nil); err == nil {
		t.Error("verified by none")
	}
	if _, err := k.Decrypt(PKCS1v15SHA1, nil); err == nil {
		t.Error("decrypted by PKCS1v15-SHA1")
	}
	if _, err := k.Public().Encrypt(OAEPSHA1, make([]byte, 300)); err == nil || !strings.Contains(err.Error(), "300 bytes") {
		t.Errorf("300 bytes: %v", err)
	}
}

func TestAlgorithms(t *testing.T) {
	for name, want := range map[string]Algorithm{"": OAEPSHA1, "OAEP-SHA1": OAEPSHA1, "OAEP-SHA224": OAEPSHA224} {
		if a, ok := EncAlgorithm(name); !ok || a != want {
			t.Errorf("%q: %q, %t", name, a, ok)
		}
	}
	for name, want := range map[string]Algorithm{"": PKCS1v15SHA1, "PKCS1v15-SHA1": PKCS1v15SHA1, "PKCS1v15-SHA224": PKCS1v15SHA224} {
		if a, ok := SigAlgorithm(name); !ok || a != want {
			t.Errorf("%q: %q, %t", name, a, ok)
		}
	}
	if _, ok := EncAlgorithm("PKCS1v15-SHA1"); ok {
		t.Error("PKCS1v15-SHA1 encrypts")
	}
	if _, ok := SigAlgorithm("OAEP-SHA1"); ok {
		t.Error("OAEP-SHA1 signs")
	}
}

func TestX931EveryLength(t *testing.T) {
	k := pair(t)
	size := k.Public().Bits() / 8
	for n := range size + 1 {
		m := bytes.Repeat([]byte{x931Pad}, n) // the padding's own byte must not confuse it
		s, err := k.SignX931(m)
		if n == 0 || n == size-3 || n > size-2 {
			if s != nil || err == nil {
				t.Errorf("%d bytes: signed", n)
			}
			continue
		}
		if err != nil || len(s) != size {
			t.Fatalf("%d bytes: %v", n, err)
		}
		if back, err := k.Public().Recover(s); err != nil || !bytes.Equal(back, m) {
			t.Errorf("%d bytes: %x, %v", n, back, err)
		}
		if n%16 != 1 {
			continue
		}
		s[size/2] ^= 1
		if back, err := k.Public().Recover(s); back != nil || !errors.Is(err, ErrSignature) {
			t.Errorf("%d bytes, changed: %x, %v", n, back, err)
		}
	}
	for _, s := range [][]byte{nil, make([]byte, size), bytes.Repeat([]byte{0xff}, size), make([]byte, size+1)} {
		if m, err := k.Public().Recover(s); m != nil || !errors.Is(err, ErrSignature) {
			t.Errorf("%d bytes of %v: %x, %v", len(s), s[:min(len(s), 1)], m, err)
		}
	}
}

func TestCheckToken(t *testing.T) {
	v, keys := static(t)
	minion := keys["minion"]
	tok, err := minion.Token()
	if err != nil || fmt.Sprintf("%x", tok) != v.X931[0].SignatureHex {
		t.Fatalf("token differs from Salt's (%v)", err)
	}
	other, err := keys["master"].Token()
	if err != nil {
		t.Fatal(err)
	}
	pepper, err := minion.SignX931([]byte("pepper"))
	if err != nil {
		t.Fatal(err)
	}
	pub, err := ParsePublic([]byte(minion.Public().PEM()))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 20 { // before and after the right one is known
				if pub.CheckToken(other) || pub.CheckToken(pepper) || pub.CheckToken(nil) || pub.CheckToken(tok[1:]) {
					t.Error("a wrong token was taken")
				}
				if !pub.CheckToken(tok) {
					t.Errorf("try %d: the right token was refused", i)
				}
			}
		})
	}
	wg.Wait()
}

// TestSecretsNeverPrint tries all ways in which a secret gets into a log.
func TestSecretsNeverPrint(t *testing.T) {
	key := NewKey()
	private := pair(t)
	text, err := private.PEM(Secret{})
	if err != nil {
		t.Fatal(err)
	}
	type holder struct {
		Secret  Secret
		secret  Secret
		Key     *Key
		key     *Key
		Private *PrivateKey
		private *PrivateKey
	}
	h := holder{NewSecret("hunter2"), NewSecret("hunter2"), key, key, private, private}
	var out strings.Builder
	for _, v := range []any{h.Secret, h.Key, h.Private, h, &h, []any{h}, map[string]any{"h": h, "k": key}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		j, _ := json.Marshal(v)
		out.Write(j)
		for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
			slog.New(handler).Info("message", "v", v, slog.Any("group", slog.GroupValue(slog.Any("v", v))))
		}
	}
	got := out.String()
	pieces := map[string]string{"secret": "hunter2", "secret in hex": fmt.Sprintf("%x", "hunter2"), "key": key.Reveal()}
	for i, line := range strings.Split(string(text), "\n") {
		if !strings.HasPrefix(line, "---") && line != "" {
			pieces[fmt.Sprint("private key, line ", i)] = line
		}
	}
	pieces["prime"] = private.k.Primes[0].String()
	pieces["prime in hex"] = private.k.Primes[0].Text(16)
	pieces["exponent"] = private.k.D.String()
	for name, s := range pieces {
		if strings.Contains(got, s) {
			t.Errorf("%s was printed", name)
		}
	}
	if !strings.Contains(got, hidden) {
		t.Error("nothing stands for what is hidden")
	}
}

func TestSecret(t *testing.T) {
	s := NewSecret("hunter2")
	if !s.Equal("hunter2") || s.Equal("hunter") || s.Equal("") || s.Empty() || s.Reveal() != "hunter2" {
		t.Error("secret differs from itself")
	}
	var zero Secret
	if !zero.Empty() || zero.Reveal() != "" || !zero.Equal("") || !NewSecret("").Empty() {
		t.Error("the zero secret is not empty")
	}
}
