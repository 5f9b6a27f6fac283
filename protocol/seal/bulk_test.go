package seal

import (
	"bytes"
	"errors"
	"testing"

	"github.com/gosalt/gosalt/protocol/wire"
)

func TestBulk(t *testing.T) {
	k, nonce := NewKey(), NewNonce()
	for _, n := range []int{0, 1, 15, 16, 1 << 20} {
		data := bytes.Repeat([]byte{7}, n)
		sealed, err := k.SealBulk(append(BulkBuffer(n), data...), wire.NewMap("n", int64(n)), nonce)
		if err != nil {
			t.Fatal(err)
		}
		again, _ := k.SealBulk(append(BulkBuffer(n), data...), wire.NewMap("n", int64(n)), nonce)
		if bytes.Equal(sealed, again) {
			t.Error("the same reply was sealed alike twice")
		}
		if !IsBulk(sealed) {
			t.Error("not told as bulk")
		}
		for name, c := range map[string]struct {
			key   *Key
			nonce string
			spoil func([]byte) []byte
		}{
			"another key":           {NewKey(), nonce, nil},
			"another request":       {k, NewNonce(), nil},
			"no request":            {k, "", nil},
			"changed":               {k, nonce, func(b []byte) []byte { b[len(b)/2] ^= 1; return b }},
			"cut":                   {k, nonce, func(b []byte) []byte { return b[:len(b)-1] }},
			"marker of another one": {k, nonce, func(b []byte) []byte { b[6] = '2'; return b }},
			"marker alone":          {k, nonce, func(b []byte) []byte { return b[:len(bulkMagic)] }},
		} {
			b := bytes.Clone(sealed)
			if c.spoil != nil {
				b = c.spoil(b)
			}
			if head, got, err := c.key.OpenBulk(b, c.nonce, wire.Authenticated); err == nil || head != nil || got != nil {
				t.Errorf("%s: opened", name)
			} else if c.nonce != "" && !errors.Is(err, ErrAuth) {
				t.Errorf("%s: %v", name, err)
			}
		}
		head, got, err := k.OpenBulk(sealed, nonce, wire.Authenticated)
		if err != nil || head.Int("n") != int64(n) || !bytes.Equal(got, data) {
			t.Errorf("%d bytes: head %v, %d bytes, %v", n, head, len(got), err)
		}
	}
}

func BenchmarkBulk(b *testing.B) {
	k, nonce := NewKey(), NewNonce()
	buf := append(BulkBuffer(4<<20), make([]byte, 4<<20)...)
	b.SetBytes(4 << 20)
	for b.Loop() {
		sealed, err := k.SealBulk(buf, wire.NewMap(), nonce)
		if err != nil {
			b.Fatal(err)
		}
		if _, _, err := k.OpenBulk(sealed, nonce, wire.Authenticated); err != nil {
			b.Fatal(err)
		}
	}
}
