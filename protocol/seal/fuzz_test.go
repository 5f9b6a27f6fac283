package seal

import (
	"bytes"
	"errors"
	"testing"

	"github.com/gosalt/gosalt/protocol/wire"
)

// FuzzOpen: what was not sealed with the key is ErrAuth and comes with no value; what
// is sealed opens to what was put in, or to an error.
func FuzzOpen(f *testing.F) {
	v, _ := static(f)
	for _, x := range v.Crypticle.Examples {
		f.Add(unhex(f, x.CiphertextHex), x.Nonce)
		f.Add(unhex(f, x.PlaintextHex), x.Nonce)
	}
	k, other := NewKey(), NewKey()
	f.Fuzz(func(t *testing.T, b []byte, nonce string) {
		if v, err := k.Open(b, nonce, wire.Unauthenticated); v != nil || !errors.Is(err, ErrAuth) {
			t.Fatalf("%x opened: %v, %v", b, v, err)
		}
		c := k.SealPacked(b, "")
		if _, err := other.OpenPacked(c, ""); !errors.Is(err, ErrAuth) {
			t.Fatalf("opened with another key: %v", err)
		}
		if back, err := k.OpenPacked(c, ""); err != nil || !bytes.Equal(back, b) {
			t.Fatalf("%x came back as %x, %v", b, back, err)
		}
		if v, err := k.Open(c, nonce, wire.Unauthenticated); err != nil && v != nil {
			t.Fatalf("%v came with %v", v, err)
		}
		// Content of any kind, encrypted as it is.
		k.Open(k.finish(append(make([]byte, 16), b...)), nonce, wire.Unauthenticated)
	})
}

// FuzzParsePublic: no panic, and a key that is taken is within the limits and the same
// after writing and reading.
func FuzzParsePublic(f *testing.F) {
	for _, name := range []string{"public", "public-pkcs1", "public-small", "public-e3", "public-ec", "pkcs1"} {
		f.Add(readKey(f, name))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		k, err := ParsePublic(text, AllowBits(512))
		if err != nil {
			if k != nil {
				t.Fatal("a key came with an error")
			}
			return
		}
		if k.Bits() < 512 || k.Bits() > MaxBits {
			t.Fatalf("a key of %d bits", k.Bits())
		}
		back, err := ParsePublic([]byte(k.PEM()), AllowBits(512))
		if err != nil || !back.Equal(k) {
			t.Fatalf("another key after writing: %v", err)
		}
		// Use must not panic, whatever the modulus.
		k.Verify(PKCS1v15SHA1, nil, make([]byte, k.Bits()/8))
		k.CheckToken(make([]byte, k.Bits()/8))
		k.Encrypt(OAEPSHA1, []byte("x"))
	})
}

// FuzzParsePrivate: no panic; key files are read by root.
func FuzzParsePrivate(f *testing.F) {
	for _, name := range []string{"pkcs1", "pkcs8", "small", "primes3", "ec", "pkcs1-aes256", "pkcs1-des3", "pkcs8-scrypt", "public"} {
		f.Add(readKey(f, name))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if bytes.Contains(text, []byte("ENCRYPTED PRIVATE")) {
			return // deriving the key takes too long for this
		}
		k, err := ParsePrivate(text, NewSecret("s3cret"), AllowBits(512))
		if (k == nil) == (err == nil) {
			t.Fatalf("%v, %v", k, err)
		}
	})
}

// FuzzPBES2: no panic on any structure of an encrypted key.
func FuzzPBES2(f *testing.F) {
	for _, name := range []string{"pkcs8-iter1", "pkcs8-iter1-sha1", "pkcs8-scrypt"} {
		b, err := block(readKey(f, name), "key")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		if plain, err := decryptPBES2(der, "s3cret", 4); err != nil && plain != nil {
			t.Fatal("a key came with an error")
		}
	})
}

// FuzzRecover: no panic, and what is recovered signs to the same bytes.
func FuzzRecover(f *testing.F) {
	v, keys := static(f)
	for _, x := range v.X931 {
		if x.Key == "minion" && x.SignatureHex != "" {
			f.Add(unhex(f, x.SignatureHex))
		}
	}
	k := keys["minion"]
	f.Fuzz(func(t *testing.T, s []byte) {
		m, err := k.Public().Recover(s)
		if err != nil {
			if m != nil {
				t.Fatal("a message came with an error")
			}
			return
		}
		again, err := k.SignX931(m)
		if err != nil {
			t.Fatalf("%x was recovered and does not sign: %v", m, err)
		}
		if back, err := k.Public().Recover(again); err != nil || !bytes.Equal(back, m) {
			t.Fatalf("%x came back as %x, %v", m, back, err)
		}
	})
}

// FuzzAuthReply: no panic, and nothing unsigned is taken from a known master.
func FuzzAuthReply(f *testing.F) {
	v, keys := static(f)
	f.Add(unhex(f, v.ClearSignedReply.FrameHex))
	f.Add(unhex(f, v.PrivateReplyPillar.FrameHex))
	known := AuthCheck{Minion: keys["minion"], Nonce: NewNonce(), Master: keys["master"].Public()}
	first := AuthCheck{Minion: keys["minion"], Nonce: v.ClearSignedReply.Nonce}
	f.Fuzz(func(t *testing.T, body []byte) {
		if r, err := known.Open(body, wire.Unauthenticated); r != nil || err == nil {
			t.Fatalf("%x was taken: %+v", body, r)
		}
		if r, err := first.Open(body, wire.Unauthenticated); err == nil && (r.Verified || r.State == wire.AuthAccepted) {
			t.Fatalf("%x was verified: %+v", body, r)
		}
		OpenPillar(body, keys["minion"], "", keys["master"].Public(), "", NewNonce(), wire.Unauthenticated)
	})
}
