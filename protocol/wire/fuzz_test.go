package wire

import (
	"bytes"
	"math"
	"testing"
	"time"
)

// seed adds Salt's own packed values and some that were harmful.
func seed(f *testing.F) {
	var file struct{ Msgpack []msgpackVector }
	readVectors(f, "static.json.gz", &file)
	for _, v := range file.Msgpack {
		if v.PackedHex != "" {
			f.Add(unhex(f, v.PackedHex), byte(0))
		}
	}
	for _, s := range []string{"ddffffffff", "9191919191c0", "82a16101a16102", "c7044f92a16101", "81a46c6f616482a16101a16102", "de0010"} {
		f.Add(unhex(f, s), byte(2))
	}
}

// same compares two decoded values; numbers that are none are alike.
func same(a, b any) bool {
	switch a := a.(type) {
	case []byte:
		b, ok := b.([]byte)
		return ok && bytes.Equal(a, b)
	case float64:
		b, ok := b.(float64)
		return ok && math.Float64bits(a) == math.Float64bits(b)
	case time.Time:
		b, ok := b.(time.Time)
		return ok && a.Equal(b)
	case []any:
		l, ok := b.([]any)
		if !ok || len(a) != len(l) {
			return false
		}
		for i := range a {
			if !same(a[i], l[i]) {
				return false
			}
		}
		return true
	case *Map:
		m, ok := b.(*Map)
		if !ok || a.Len() != m.Len() {
			return false
		}
		for i := range a.keys {
			if !same(a.keys[i], m.keys[i]) || !same(a.vals[i], m.vals[i]) {
				return false
			}
		}
		return true
	}
	return a == b
}

// FuzzDecode: what parses is the same after encoding and parsing again, an error comes
// with no value, and memory stays in proportion to the input.
func FuzzDecode(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, b []byte, dialect byte) {
		d := Dialect(dialect % 3)
		lim := Limits{Depth: 64, Elements: 10_000, Bytes: 1 << 20, UniqueKeys: dialect&4 != 0}
		input := bytes.Clone(b)
		v, err := Decode(b, d, lim)
		if !bytes.Equal(b, input) {
			t.Fatal("the input was changed")
		}
		if err != nil {
			if v != nil {
				t.Fatalf("%v came with %v", err, v)
			}
			return
		}
		if Scan(b, lim) != nil {
			t.Fatal("what does not scan was decoded")
		}
		packed, err := Encode(v, d)
		if err != nil {
			t.Fatalf("%#v does not encode: %v", v, err)
		}
		lim.Bytes *= 2
		again, err := Decode(packed, d, lim)
		if err != nil || !same(v, again) {
			t.Fatalf("%s came back as %s (%v)", python(v, false), python(again, false), err)
		}
	})
}

// FuzzScan: no panic, and no memory taken by what a message claims.
func FuzzScan(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, b []byte, _ byte) {
		lim := Limits{Depth: 1 << 20, Elements: 1 << 30, Bytes: 1 << 30}
		n := allocated(func() {
			if Scan(b, lim) == nil {
				Decode(b, Network, lim)
			}
		})
		if allowed := uint64(512*len(b) + 256<<10); n > allowed {
			t.Fatalf("%d bytes of input took %d bytes: at most %d expected", len(b), n, allowed)
		}
	})
}

// FuzzMessages: a message that is taken is taken again after ToMap, and then is the same.
func FuzzMessages(f *testing.F) {
	for _, m := range exampleMessages() {
		b, err := Encode(m, Network)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	type toMap interface{ ToMap() *Map }
	check := func(t *testing.T, what string, msg toMap, err error, parse func(*Map) (toMap, error)) {
		if err != nil {
			return
		}
		m := msg.ToMap()
		b, err := Encode(m, Network)
		if err != nil {
			t.Fatalf("%s does not encode: %v", what, err)
		}
		back, err := DecodeMap(b, Network, Authenticated)
		if err != nil {
			t.Fatalf("%s does not decode: %v", what, err)
		}
		again, err := parse(back)
		if err != nil {
			t.Fatalf("%s is refused after ToMap: %v\n%s", what, err, python(back, false))
		}
		if b2, err := Encode(again.ToMap(), Network); err != nil || !bytes.Equal(b, b2) {
			t.Fatalf("%s changed (%v):\n%s\n%s", what, err, python(m, false), python(again.ToMap(), false))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := DecodeMap(b, Network, Unauthenticated)
		if err != nil {
			return
		}
		for what, parse := range map[string]func(*Map) (toMap, error){
			"envelope":        func(m *Map) (toMap, error) { return EnvelopeFromMap(m) },
			"request":         func(m *Map) (toMap, error) { return RequestFromMap(m) },
			"auth request":    func(m *Map) (toMap, error) { return AuthRequestFromMap(m) },
			"auth reply":      func(m *Map) (toMap, error) { return AuthReplyFromMap(m) },
			"job":             func(m *Map) (toMap, error) { return JobFromMap(m) },
			"return":          func(m *Map) (toMap, error) { return ReturnFromMap(m) },
			"pillar request":  func(m *Map) (toMap, error) { return PillarRequestFromMap(m) },
			"pillar reply":    func(m *Map) (toMap, error) { return PillarReplyFromMap(m) },
			"sealed pillar":   func(m *Map) (toMap, error) { return PillarSignedFromMap(m) },
			"pillar data":     func(m *Map) (toMap, error) { return PillarDataFromMap(m) },
			"minion event":    func(m *Map) (toMap, error) { return MinionEventFromMap(m) },
			"mine":            func(m *Map) (toMap, error) { return MineFromMap(m) },
			"mine get":        func(m *Map) (toMap, error) { return MineGetFromMap(m) },
			"ack":             func(m *Map) (toMap, error) { return AckFromMap(m) },
			"alive":           func(m *Map) (toMap, error) { return AliveFromMap(m) },
			"alive reply":     func(m *Map) (toMap, error) { return AliveReplyFromValue(m) },
			"shared key":      func(m *Map) (toMap, error) { return SharedKeyReplyFromValue(m) },
			"error":           func(m *Map) (toMap, error) { return ErrorFromMap(m) },
			"file tree":       func(m *Map) (toMap, error) { return FileTreeFromMap(m) },
			"file tree reply": func(m *Map) (toMap, error) { return FileTreeReplyFromMap(m) },
			"file read":       func(m *Map) (toMap, error) { return FileReadFromMap(m) },
			"file read reply": func(m *Map) (toMap, error) { return FileReadReplyFromMap(m) },
			"file recv":       func(m *Map) (toMap, error) { return FileRecvFromMap(m) },
		} {
			msg, err := parse(m)
			check(t, what, msg, err, parse)
		}
	})
}
