package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"testing"
)

// What Salt 3006.18 writes for fire_event({"a": 1}, "my/tag"), taken from its socket.
func TestEventsOfSalt(t *testing.T) {
	frame, _ := hex.DecodeString("82a46865616480a4626f6479c40c6d792f7461670a0a81a16101")
	r := NewEventReader(bytes.NewReader(bytes.Repeat(frame, 2)), Authenticated)
	for range 2 {
		tag, data, err := r.Next()
		if err != nil || tag != "my/tag" || data.Int("a") != 1 {
			t.Fatalf("got %q %v %v", tag, data, err)
		}
	}
	if _, _, err := r.Next(); !errors.Is(err, io.EOF) {
		t.Fatalf("after the last: %v", err)
	}
	if got, err := EncodeEvent("my/tag", NewMap("a", int64(1))); err != nil || !bytes.Equal(got, frame) {
		t.Fatalf("got %x, %v", got, err)
	}
}

func FuzzEventReader(f *testing.F) {
	frame, _ := EncodeEvent("a/b", NewMap("x", []any{int64(1), "y"}))
	f.Add(frame)
	f.Add([]byte("\x82\xa4head\x80\xa4body\xdb\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := NewEventReader(bytes.NewReader(b), Unauthenticated)
		for {
			tag, data, err := r.Next()
			if err != nil {
				if data != nil {
					t.Fatal("an error comes with a value")
				}
				return
			}
			again, err := EncodeEvent(tag, data)
			if err != nil {
				t.Fatal(err)
			}
			tag2, data2, err := NewEventReader(bytes.NewReader(again), Authenticated).Next()
			if err != nil || tag2 != tag || data2.Len() != data.Len() {
				t.Fatalf("%q %v: %q %v %v", tag, data, tag2, data2, err)
			}
		}
	})
}
