package seal

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/gosalt/gosalt/protocol/wire"
)

func TestSealOpen(t *testing.T) {
	k := NewKey()
	for _, nonce := range []string{"", NewNonce()} {
		for n := range 40 { // all lengths of padding
			v := strings.Repeat("x", n)
			c, err := k.Seal(v, nonce)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := k.Open(c, nonce, wire.Unauthenticated); err != nil || got != v {
				t.Errorf("%d bytes: %v, %v", n, got, err)
			}
			packed, err := wire.Encode(v, wire.Network)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := k.Open(k.SealPacked(packed, nonce), nonce, wire.Unauthenticated); err != nil || got != v {
				t.Errorf("%d bytes, packed before: %v, %v", n, got, err)
			}
		}
	}
	if c, err := k.Seal(make(chan int), ""); c != nil || err == nil {
		t.Error("a channel was sealed")
	}
	a, _ := k.Seal("x", "")
	b, _ := k.Seal("x", "")
	if bytes.Equal(a, b) {
		t.Error("equal messages are sealed alike")
	}
}

func TestOpenRefuses(t *testing.T) {
	k := NewKey()
	nonce := NewNonce()
	c, err := k.Seal("hello", nonce)
	if err != nil {
		t.Fatal(err)
	}
	for i := range c { // any bit counts
		bad := bytes.Clone(c)
		bad[i] ^= 1 << (i % 8)
		if v, err := k.Open(bad, nonce, wire.Unauthenticated); v != nil || !errors.Is(err, ErrAuth) {
			t.Errorf("byte %d changed: %v, %v", i, v, err)
		}
	}
	for n := range c {
		if v, err := k.Open(c[:n], nonce, wire.Unauthenticated); v != nil || !errors.Is(err, ErrAuth) {
			t.Errorf("cut to %d bytes: %v, %v", n, v, err)
		}
	}
	for _, text := range []string{"bad load", ""} { // what a master says
		if v, err := k.Open([]byte(text), nonce, wire.Unauthenticated); v != nil || !errors.Is(err, ErrAuth) {
			t.Errorf("%q: %v, %v", text, v, err)
		}
	}
	if v, err := NewKey().Open(c, nonce, wire.Unauthenticated); v != nil || !errors.Is(err, ErrAuth) {
		t.Errorf("another key: %v, %v", v, err)
	}
	for _, n := range []string{NewNonce(), "x", nonce + "0"} {
		if v, err := k.Open(c, n, wire.Unauthenticated); v != nil || !errors.Is(err, ErrNonce) {
			t.Errorf("nonce %q: %v, %v", n, v, err)
		}
	}
	// A reply that has no nonce, and one too short for one.
	c, err = k.Seal("hello", "")
	if err != nil {
		t.Fatal(err)
	}
	if v, err := k.Open(c, nonce, wire.Unauthenticated); v != nil || !errors.Is(err, ErrNonce) {
		t.Errorf("no nonce: %v, %v", v, err)
	}
	// Sealed, and not a message.
	var werr *wire.Error
	if v, err := k.Open(k.SealPacked([]byte{0xdd, 0xff, 0xff, 0xff, 0xff}, ""), "", wire.Unauthenticated); v != nil || !errors.As(err, &werr) {
		t.Errorf("malformed content: %v, %v", v, err)
	}
	// Sealed without the name that begins a message: Salt reads an empty map.
	b := append(make([]byte, 16), "hello"...)
	if v, err := k.Open(k.finish(b), "", wire.Unauthenticated); err != nil || v.(*wire.Map).Len() != 0 {
		t.Errorf("without %q: %v, %v", magic, v, err)
	}
}

func TestOpenPadding(t *testing.T) {
	for name, c := range map[string]struct {
		in   []byte
		want int // length without padding, -1 for refused
	}{
		"nothing":      {nil, -1},
		"one":          {append(make([]byte, 15), 1), 15},
		"sixteen":      {bytes.Repeat([]byte{16}, 16), 0},
		"zero":         {make([]byte, 16), -1},
		"seventeen":    {bytes.Repeat([]byte{17}, 32), -1},
		"differs":      {append(make([]byte, 13), 3, 2, 3), -1},
		"beyond start": {[]byte{5, 5}, -1},
	} {
		got, ok := unpad(c.in)
		if ok != (c.want >= 0) || ok && len(got) != c.want {
			t.Errorf("%s: %d bytes, %t", name, len(got), ok)
		}
	}
}

func TestParseKey(t *testing.T) {
	raw := make([]byte, 56)
	good := base64.StdEncoding.EncodeToString(raw)
	if k, err := ParseKey(good); err != nil || k.Reveal() != good {
		t.Error(err)
	}
	for name, text := range map[string]string{
		"nothing":       "",
		"55 bytes":      base64.StdEncoding.EncodeToString(raw[1:]),
		"57 bytes":      base64.StdEncoding.EncodeToString(append(raw, 0)),
		"a newline":     good + "\n",
		"another base":  strings.Replace(good, "A", "_", 1),
		"bits left":     good[:74] + "B=",
		"bytes for HEX": strings.Repeat("0", 76),
	} {
		if k, err := ParseKey(text); k != nil || err == nil {
			t.Errorf("%s: taken", name)
		} else if text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("%s: the error shows the key: %v", name, err)
		}
	}
	a, b := NewKey(), NewKey()
	if a.Equal(b) || !a.Equal(a) || a.Equal(nil) {
		t.Error("keys compare wrongly")
	}
	if len(a.Digest()) != 64 || a.Digest() == b.Digest() {
		t.Error("digests compare wrongly")
	}
}

func TestKeyConcurrently(t *testing.T) {
	k := NewKey()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				c, err := k.Seal("hello", "")
				if err != nil {
					t.Error(err)
				}
				if v, err := k.Open(c, "", wire.Unauthenticated); err != nil || v != "hello" {
					t.Error(v, err)
				}
			}
		})
	}
	wg.Wait()
}

func TestSerial(t *testing.T) {
	s := NewSerial(5)
	for _, n := range []int64{5, 4, 0, -1} {
		if err := s.Check(n); !errors.Is(err, ErrSerial) {
			t.Errorf("%d after 5: %v", n, err)
		}
	}
	if err := s.Check(9); err != nil || s.Last() != 9 || s.Next() != 10 || s.Last() != 10 {
		t.Error(err, s.Last())
	}
	for _, v := range []any{"text", wire.NewMap("a", 1), nil} {
		if n, err := s.Take(v); n != 0 || err != nil {
			t.Errorf("%v: %d, %v", v, n, err)
		}
	}
	if _, err := s.Take(wire.NewMap("serial", "11")); err == nil || !strings.Contains(err.Error(), "serial is text") {
		t.Errorf("text: %v", err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	taken := 0
	for range 8 {
		wg.Go(func() {
			if s.Check(100) == nil {
				mu.Lock()
				taken++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if taken != 1 {
		t.Errorf("one number was taken %d times", taken)
	}
}
