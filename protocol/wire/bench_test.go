package wire

import (
	"strings"
	"testing"
)

func benchMessages(b *testing.B) map[string][]byte {
	grains := NewMap()
	for i := range 120 {
		grains.Set("grain"+strings.Repeat("x", i%20)+string(rune('a'+i%26))+string(rune('a'+i/26)), []any{"value", i, true})
	}
	out := map[string][]byte{}
	for name, m := range map[string]*Map{
		"return": exampleMessages()["return"],
		"job":    exampleMessages()["job"],
		"grains": NewMap("grains", grains),
		"5MB":    NewMap("return", strings.Repeat("line of output\n", 5<<20/15)),
	} {
		packed, err := Encode(m, Network)
		if err != nil {
			b.Fatal(err)
		}
		out[name] = packed
	}
	return out
}

func BenchmarkDecode(b *testing.B) {
	for name, packed := range benchMessages(b) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(packed)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Decode(packed, Network, Authenticated); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	for name, packed := range benchMessages(b) {
		v, err := Decode(packed, Network, Authenticated)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(packed)))
			b.ReportAllocs()
			buf := make([]byte, 0, len(packed))
			for b.Loop() {
				if _, err := Append(buf[:0], v, Network); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
