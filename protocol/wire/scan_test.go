package wire

import (
	"bytes"
	"errors"
	"runtime"
	"strings"
	"testing"
)

func TestScanRefuses(t *testing.T) {
	small := Limits{Depth: 3, Elements: 10, Bytes: 100, UniqueKeys: true}
	for name, c := range map[string]struct {
		hex  string
		want string // part of the error
	}{
		"nothing":                            {"", "empty"},
		"the byte that begins no value":      {"c1", "0xc1"},
		"a second value":                     {"c0c0", "follow"},
		"a list of 4,294,967,295":            {"ddffffffff", "announces"},
		"a map of 4,294,967,295":             {"dfffffffff", "announces"},
		"a list of 65,535":                   {"dcffff", "announces 65535 values"},
		"a map of 15 with nothing in it":     {"8f", "announces 30 values"},
		"text of 4,294,967,295 bytes":        {"dbffffffff", "announces"},
		"bytes of 1,073,741,823 bytes":       {"c63fffffff", "only 0 are left"},
		"text shorter than announced":        {"a56869", "only 2 are left"},
		"half a number":                      {"cf01", "announces 8 bytes"},
		"half a length":                      {"da01", "within the length"},
		"a list that ends early":             {"9201", "announces 2 values"},
		"lists nested too deep":              {"91919191c0", "deeper than 3"},
		"maps nested too deep":               {"81a16181a16181a16181a161c0", "deeper than 3"},
		"too many elements":                  {"9a01020304050607080900", "more than 10 elements"},
		"too many elements, nested":          {"929401020304940102030405", "more than 10 elements"},
		"a list as a key":                    {"819001", "a scalar expected"},
		"a map as a key":                     {"818001", "a scalar expected"},
		"a constant as a key":                {"81d44fc0c0", "not as a key"},
		"a key twice":                        {"82a16101a16102", `"a" twice`},
		"a key twice, once as bytes":         {"82a16101c4016102", `"a" twice`},
		"a number as a key twice":            {"8201010102", `"1" twice`},
		"a key twice in the load":            {"81a46c6f616482a16101a16102", `"a" twice`},
		"not a number as a key":              {"81cb7ff8000000000001c0", "not a number"},
		"an extension of MsgPack itself":     {"d6ff00000000", "extension -1"},
		"an unknown extension":               {"d401c0", "extension 1"},
		"an extension of 4,294,967,295":      {"c9ffffffff4e", "announces"},
		"an extension without a code":        {"d4", "within the extension"},
		"a time of one byte":                 {"d44e30", "time"},
		"a time that is none":                {"c7184e32303236313132325430363a33333a34342c313233343536", "time"},
		"a month 13":                         {"c7184e32303236313332325430363a33333a34342e313233343536", "time"},
		"a constant of no bytes":             {"c7004f", "extension 79"},
		"a constant that runs over its end":  {"92d44f91c0", "extension ends"},
		"a constant shorter than its length": {"d54fc0c0", "extension ends"},
		"a message over the limit":           {"c465" + strings.Repeat("00", 101), "at most 100"},
	} {
		b := unhex(t, c.hex)
		v, err := Decode(b, Network, small)
		if v != nil || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v; an error with %q expected", name, v, err, c.want)
		}
		if !errors.Is(err, &Error{Kind: Malformed}) {
			t.Errorf("%s: %v is not of kind Malformed", name, err)
		}
	}
}

func TestScanTakes(t *testing.T) {
	small := Limits{Depth: 3, Elements: 10, Bytes: 102, UniqueKeys: true}
	for name, c := range map[string]struct{ hex, want string }{
		"as deep as allowed":            {"919191c0", "[[[None]]]"},
		"empty maps and lists below":    {"919191 80", "[[[{}]]]"},
		"as many as allowed":            {"99010203040506070809", "[1, 2, 3, 4, 5, 6, 7, 8, 9]"},
		"as long as allowed":            {"c464" + strings.Repeat("61", 100), "'" + strings.Repeat("a", 100) + "'"},
		"a key twice below the load":    {"81a16182a16101a16102", "{'a': {'a': 2}}"},
		"a number and a bool as keys":   {"820101c302", "{1: 1, True: 2}"},
		"nil as a key":                  {"81c001", "{None: 1}"},
		"a key that is not UTF-8":       {"81a1ff01", "{'\xff': 1}"},
		"a small float":                 {"ca3fc00000", "1.5"},
		"a constant":                    {"c7034f92a16101" + "", ""},
		"a constant of name and value":  {"c7044f92a16101", "['a', 1]"},
		"a constant of one byte":        {"d44fc0", "None"},
		"times before 1970 and in 9999": {"92" + "c7184e" + "30303031303130315430303a30303a30302e303030303030" + "c7184e" + "39393939313233315432333a35393a35392e393939393939", "[datetime.datetime(1, 1, 1, 0, 0), datetime.datetime(9999, 12, 31, 23, 59, 59, 999999)]"},
	} {
		if c.want == "" {
			continue
		}
		v, err := Decode(unhex(t, strings.ReplaceAll(c.hex, " ", "")), Network, small)
		if err != nil || python(v, false) != c.want {
			t.Errorf("%s: %s, %v; %s expected", name, python(v, false), err, c.want)
		}
	}
	// Without UniqueKeys the last one counts, at the first one's place.
	small.UniqueKeys = false
	v, err := Decode(unhex(t, "83a16101a16202a16103"), Network, small)
	if err != nil || python(v, false) != "{'a': 3, 'b': 2}" {
		t.Errorf("a key twice: %s, %v", python(v, false), err)
	}
}

// TestScanStack is about messages that end processes: the library's decoder recurses,
// and what overflows a stack cannot be recovered from.
func TestScanStack(t *testing.T) {
	for _, c := range [][]byte{{0x91}, {0x81, 0xc0}, {0xc7, 0x01, 0x4f}} {
		deep := bytes.Repeat(c, 2<<20/len(c))
		if _, err := Decode(deep, Network, Authenticated); err == nil {
			t.Errorf("2 MB of %x: an error expected", c)
		}
		if err := Scan(deep, Limits{Depth: 1 << 30, Elements: 1 << 30, Bytes: 1 << 30}); err == nil {
			t.Errorf("2 MB of %x without limits: an error expected", c)
		}
	}
}

// allocated is how many bytes f takes from the heap.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestScanAllocates is about messages that take memory by what they claim.
func TestScanAllocates(t *testing.T) {
	for _, s := range []string{"ddffffffff", "df7fffffff", "dbffffffff", "c6ffffffff", "dcffff", "deffff", "c9ffffffff4e", "91dd3b9aca00", "81a161c63b9aca00"} {
		b := unhex(t, s)
		if n := allocated(func() { Decode(b, Network, Authenticated) }); n > 64<<10 {
			t.Errorf("%s takes %d bytes", s, n)
		}
	}
	// A message of the largest count takes what its count says, not more.
	b := append([]byte{0xdd, 0, 0x0f, 0x42, 0x3f}, make([]byte, 999_999)...)
	if n := allocated(func() {
		if _, err := Decode(b, Network, Authenticated); err != nil {
			t.Error(err)
		}
	}); n > 20<<20 {
		t.Errorf("a list of 999,999 zeros takes %d bytes", n)
	}
}

func TestLimitsZeroIsSafe(t *testing.T) {
	if err := Scan(append(bytes.Repeat([]byte{0x91}, 9), 0xc0), Limits{}); err == nil || !strings.Contains(err.Error(), "deeper than 8") {
		t.Errorf("nine lists: %v", err)
	}
	if err := Scan(append([]byte{0xdc, 1, 0}, make([]byte, 256)...), Limits{}); err == nil || !strings.Contains(err.Error(), "256 elements") {
		t.Errorf("256 items: %v", err)
	}
	if err := Scan(make([]byte, 64<<10+1), Limits{}); err == nil || !strings.Contains(err.Error(), "at most 65536") {
		t.Errorf("64 KiB and a byte: %v", err)
	}
}
