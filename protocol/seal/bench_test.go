package seal

import (
	"strings"
	"testing"

	"github.com/gosalt/gosalt/protocol/wire"
)

func BenchmarkSeal(b *testing.B) {
	for name, v := range map[string]any{"nil": nil, "publish": (&wire.Job{JID: "20261122072435013151", Fun: "test.ping", Tgt: "*"}).ToMap(),
		"5MB": strings.Repeat("line of output\n", 5<<20/15)} {
		k := NewKey()
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := k.Seal(v, ""); err != nil {
					b.Fatal(err)
				}
			}
		})
		c, err := k.Seal(v, "")
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name+"/open", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := k.Open(c, "", wire.Authenticated); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkRSA(b *testing.B) {
	_, keys := static(b)
	for _, name := range []string{"minion", "minion4096"} {
		k := keys[name]
		run := func(what string, f func() error) {
			b.Run(what+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := f(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		sig, _ := k.Sign(PKCS1v15SHA1, []byte("hello"))
		ct, _ := k.Public().Encrypt(OAEPSHA1, []byte("hello"))
		tok, _ := k.Token()
		run("sign", func() error { _, err := k.Sign(PKCS1v15SHA1, []byte("hello")); return err })
		run("verify", func() error { return k.Public().Verify(PKCS1v15SHA1, []byte("hello"), sig) })
		run("encrypt", func() error { _, err := k.Public().Encrypt(OAEPSHA1, []byte("hello")); return err })
		run("decrypt", func() error { _, err := k.Decrypt(OAEPSHA1, ct); return err })
		run("x931sign", func() error { _, err := k.SignX931([]byte("salt")); return err })
		run("x931recover", func() error { _, err := k.Public().Recover(tok); return err })
		run("token", func() error {
			if !k.Public().CheckToken(tok) {
				return ErrSignature
			}
			return nil
		})
	}
}
