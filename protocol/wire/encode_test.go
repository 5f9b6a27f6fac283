package wire

import (
	"errors"
	"math"
	"math/big"
	"net/netip"
	"strings"
	"testing"
	"time"
)

type label string

func TestEncodeGoValues(t *testing.T) {
	big1, _ := new(big.Int).SetString("18446744073709551616", 10)
	n := 7
	for _, c := range []struct {
		v    any
		want string // as Python shows what arrives
	}{
		{nil, "None"},
		{int8(-33), "-33"},
		{int16(-129), "-129"},
		{int32(-32769), "-32769"},
		{int64(math.MinInt64), "-9223372036854775808"},
		{uint8(200), "200"},
		{uint16(60000), "60000"},
		{uint32(4e9), "4000000000"},
		{uint64(math.MaxUint64), "18446744073709551615"},
		{float32(1.5), "1.5"},
		{float64(3), "3.0"},
		{label("web"), "'web'"},
		{[]string{"a", "b"}, "['a', 'b']"},
		{[]label{"a"}, "['a']"},
		{[]int{1, 2}, "[1, 2]"},
		{[2]bool{true, false}, "[True, False]"},
		{[]byte("hi"), "'hi'"},
		{[]byte(nil), "''"},
		{[]any(nil), "[]"},
		{(*Map)(nil), "{}"},
		{map[string]int(nil), "{}"},
		{map[string]any{"b": 1, "a": nil}, "{'a': None, 'b': 1}"},
		{map[int]string{2: "b", 1: "a"}, "{1: 'a', 2: 'b'}"},
		{map[uint8]string{2: "b", 1: "a"}, "{1: 'a', 2: 'b'}"},
		{map[label]label{"k": "v"}, "{'k': 'v'}"},
		{&n, "7"},
		{(*int)(nil), "None"},
		{big1, "'18446744073709551616'"},
		{big.NewInt(5), "5"},
		{new(big.Int).SetUint64(math.MaxUint64), "18446744073709551615"},
		{netip.MustParseAddr("10.0.0.1"), "'10.0.0.1'"},
		{time.Date(2026, 11, 22, 7, 33, 44, 123456789, time.FixedZone("", 3600)), "datetime.datetime(2026, 11, 22, 6, 33, 44, 123456)"},
		{NewMap("m", MinionID("web1"), 1, "one", nil, 2), "{'m': 'web1', 1: 'one', None: 2}"},
		{NewMap([]byte{0xff}, 1), "{'\xff': 1}"},
	} {
		for _, d := range []Dialect{Network, Local} {
			b, err := Encode(c.v, d)
			if err != nil {
				t.Errorf("%T %v: %v", c.v, c.v, err)
				continue
			}
			got, err := Decode(b, Network, Authenticated)
			if err != nil || python(got, false) != c.want {
				t.Errorf("%T %v: arrives as %s (%v), %s expected", c.v, c.v, python(got, false), err, c.want)
			}
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	loop := NewMap()
	loop.Set("self", loop)
	var deep any
	for range 600 {
		deep = []any{deep}
	}
	type pointer *pointer
	var self pointer
	self = &self
	for name, c := range map[string]struct {
		v    any
		want string
	}{
		"a map in itself":     {loop, "contain itself"},
		"a pointer to itself": {self, "contain itself"},
		"600 lists":           {deep, "deeper than 511"},
		"a duration":          {time.Second, "number of seconds"},
		"a struct":            {struct{ A int }{1}, "struct"},
		"a channel":           {make(chan int), "chan int"},
		"a list as a key":     {NewMap("a", 1, 2, 3).withKey([]any{1}), "scalar"},
		"a map as a key":      {NewMap().withKey(NewMap()), "scalar"},
		"keys of bools":       {map[bool]int{true: 1}, "keys must be text"},
		"the year 10000":      {time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), "four digits"},
		"a failing text":      {netip.Prefix{}, ""},
	} {
		if c.want == "" {
			continue
		}
		dst := []byte("kept")
		b, err := Append(dst, c.v, Network)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, an error with %q expected", name, err, c.want)
		}
		if string(b) != "kept" {
			t.Errorf("%s: dst became %q", name, b)
		}
		if !errors.Is(err, &Error{Kind: Malformed}) {
			t.Errorf("%s: %v is not of kind Malformed", name, err)
		}
	}
}

// withKey puts a key past SetAny, which cannot compare it.
func (m *Map) withKey(key any) *Map {
	m.append(key, nil)
	return m
}

func TestDecodeSharesBytes(t *testing.T) {
	packed := append([]byte{0xc4, 3}, 0xff, 0xfe, 0xfd)
	v, err := Decode(packed, Network, Unauthenticated)
	if err != nil {
		t.Fatal(err)
	}
	b := v.([]byte)
	if &b[0] != &packed[2] || cap(b) != 3 {
		t.Error("bytes were copied, or can be appended to over what follows")
	}
}

func TestDecodeMapWantsMap(t *testing.T) {
	for hex, want := range map[string]string{"c0": "nil", "a26869": "text", "90": "a list", "01": "a whole number", "c3": "a bool", "cb3ff8000000000000": "a number", "c401ff": "bytes"} {
		m, err := DecodeMap(unhex(t, hex), Network, Unauthenticated)
		if m != nil || err == nil || !strings.Contains(err.Error(), "message is "+want+": a map expected") {
			t.Errorf("%s: %v, %v", hex, m, err)
		}
	}
}
