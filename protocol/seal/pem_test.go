package seal

import (
	"errors"
	"os"
	"strings"
	"testing"
)

// readKey reads one of the keys that openssl made for these tests; all but small, e3,
// primes3 and ec are the same pair.
func readKey(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/keys/" + name + ".pem")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParsePrivateForms(t *testing.T) {
	want, err := ParsePublic(readKey(t, "public"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"pkcs1", "pkcs8", "pkcs1-aes256", "pkcs1-des3", "pkcs8-aes256", "pkcs8-aes128-sha1", "pkcs8-aes192-sha512", "pkcs8-iter1", "pkcs8-iter1-sha1"} {
		text := readKey(t, name)
		k, err := ParsePrivate(text, NewSecret("s3cret"))
		if err != nil || !k.Public().Equal(want) {
			t.Errorf("%s: %v", name, err)
		}
		if !strings.Contains(name, "-") {
			continue
		}
		if k, err := ParsePrivate(text, Secret{}); k != nil || !errors.Is(err, ErrPassphrase) {
			t.Errorf("%s without a passphrase: %v, ErrPassphrase expected", name, err)
		}
		// A wrong passphrase leaves padding that looks right once in 256 times.
		for i := range 300 {
			if k, err := ParsePrivate(text, NewSecret("wrong"+strings.Repeat("x", i))); k != nil || !errors.Is(err, ErrPassphrase) {
				t.Fatalf("%s with wrong passphrase %d: %v, ErrPassphrase expected", name, i, err)
			}
			if strings.HasPrefix(name, "pkcs8") && i > 3 { // each try takes milliseconds
				break
			}
		}
	}
	if k, err := ParsePublic(readKey(t, "public-pkcs1")); err != nil || !k.Equal(want) {
		t.Errorf("public-pkcs1: %v", err)
	}
	// Salt tolerates the header of PKCS#1 around the other content.
	odd := strings.ReplaceAll(string(readKey(t, "public")), " PUBLIC", " RSA PUBLIC")
	if k, err := ParsePublic([]byte(odd)); err != nil || !k.Equal(want) {
		t.Errorf("public with the header of PKCS#1: %v", err)
	}
	// Line ends and space around do not matter.
	dos := "\n  " + strings.ReplaceAll(string(readKey(t, "public")), "\n", "\r\n") + "\r\n \n"
	if k, err := ParsePublic([]byte(dos)); err != nil || !k.Equal(want) {
		t.Errorf("public with other line ends: %v", err)
	}
}

func TestPrivatePEM(t *testing.T) {
	text := readKey(t, "pkcs1")
	k, err := ParsePrivate(text, Secret{})
	if err != nil {
		t.Fatal(err)
	}
	if b, err := k.PEM(Secret{}); err != nil || string(b) != string(text) {
		t.Errorf("PEM differs from openssl's (%v)", err)
	}
	b, err := k.PEM(NewSecret("pass"))
	if err != nil || !strings.Contains(string(b), "DEK-Info: AES-256-CBC,") {
		t.Fatalf("%v\n%.120s", err, b)
	}
	back, err := ParsePrivate(b, NewSecret("pass"))
	if err != nil || !back.Public().Equal(k.Public()) {
		t.Errorf("encrypted and back: %v", err)
	}
	if k.Public().PEM() != string(readKey(t, "public")) {
		t.Error("public PEM differs from openssl's")
	}
}

func TestParseRefuses(t *testing.T) {
	public := string(readKey(t, "public"))
	private := string(readKey(t, "pkcs1"))
	for name, c := range map[string]struct{ text, want string }{
		"nothing":                {"", "no PEM"},
		"text":                   {"hello", "no PEM"},
		"a private key":          {private, `"RSA PRIVATE KEY": "PUBLIC KEY" expected`},
		"two keys":               {public + public, "more than one"},
		"text after the key":     {public + "hello", "more than one"},
		"1024 bits":              {string(readKey(t, "public-small")), "1024 bits: at least 2048"},
		"exponent 3":             {string(readKey(t, "public-e3")), "exponent 3: 65537 expected"},
		"an elliptic curve":      {string(readKey(t, "public-ec")), "RSA expected"},
		"a damaged key":          {strings.Replace(public, "MIIB", "MIIC", 1), "damaged"},
		"half a key":             {public[:len(public)/2], "no PEM"},
		"more than 8 KiB":        {strings.Repeat("x", 8193), "at most 8192"},
		"8 KiB of a long prefix": {strings.Repeat("x\n", 4090), "no PEM"},
	} {
		if k, err := ParsePublic([]byte(c.text)); k != nil || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("public, %s: %v; an error with %q expected", name, err, c.want)
		}
	}
	for name, c := range map[string]struct{ text, want string }{
		"a public key":      {public, `"PUBLIC KEY": "RSA PRIVATE KEY"`},
		"1024 bits":         {string(readKey(t, "small")), "1024 bits: at least 2048"},
		"three primes":      {string(readKey(t, "primes3")), "primes"},
		"an elliptic curve": {string(readKey(t, "ec")), "RSA expected"},
		"scrypt":            {string(readKey(t, "pkcs8-scrypt")), "openssl pkcs8 -topk8"},
		"a damaged key":     {strings.Replace(private, "MII", "MIJ", 1), "damaged"},
	} {
		if k, err := ParsePrivate([]byte(c.text), NewSecret("s3cret")); k != nil || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("private, %s: %v; an error with %q expected", name, err, c.want)
		}
	}
	if _, err := ParsePublic(readKey(t, "public-small"), AllowBits(1024)); err != nil {
		t.Errorf("1024 bits, allowed: %v", err)
	}
	if _, err := ParsePrivate(readKey(t, "small"), Secret{}, AllowBits(1024)); err != nil {
		t.Errorf("1024 bits, allowed: %v", err)
	}
}

func TestGenerate(t *testing.T) {
	for _, bits := range []int{0, 1024, 2047, 16384} {
		if k, err := Generate(bits); k != nil || err == nil || !strings.Contains(err.Error(), "keysize") {
			t.Errorf("%d bits: %v", bits, err)
		}
	}
	k, err := Generate(2048)
	if err != nil {
		t.Fatal(err)
	}
	text, err := k.PEM(Secret{})
	if err != nil {
		t.Fatal(err)
	}
	back, err := ParsePrivate(text, Secret{})
	if err != nil || !back.Public().Equal(k.Public()) || back.Public().Bits() != 2048 {
		t.Errorf("generated and back: %v", err)
	}
}

func TestFingerprint(t *testing.T) {
	// openssl has no such fingerprint; Salt's are among the vectors.
	text := string(readKey(t, "public"))
	want, err := Fingerprint(text, "")
	if err != nil {
		t.Fatal(err)
	}
	for name, other := range map[string]string{
		"cleaned":        CleanKey(text),
		"other line end": strings.ReplaceAll(text, "\n", "\r\n"),
		"blank lines":    "\n" + text + "\n\n",
	} {
		if got, err := Fingerprint(other, "sha256"); err != nil || got != want {
			t.Errorf("%s: %s, %v; %s expected", name, got, err, want)
		}
	}
	for hash, n := range map[string]int{"md5": 16, "sha1": 20, "sha224": 28, "sha256": 32, "sha384": 48, "sha512": 64} {
		if got, err := Fingerprint(text, hash); err != nil || len(got) != 3*n-1 {
			t.Errorf("%s: %q, %v", hash, got, err)
		}
	}
	if _, err := Fingerprint(text, "crc32"); err == nil || !strings.Contains(err.Error(), "sha256") {
		t.Errorf("crc32: %v", err)
	}
	if _, err := Fingerprint("hello", ""); err == nil {
		t.Error("no PEM: an error expected")
	}
}
