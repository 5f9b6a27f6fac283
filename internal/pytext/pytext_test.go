package pytext

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/gosalt/gosalt/protocol/wire"
)

// What whole values look like is held against recorded output in cli/output. These
// tests are about single rules.

func TestFloat(t *testing.T) {
	for f, want := range map[float64]string{
		0: "0.0", 1: "1.0", -1.5: "-1.5", 0.1: "0.1", 1e15: "1000000000000000.0", 1e16: "1e+16", 123456789012345680: "1.2345678901234568e+17",
		0.0001: "0.0001", 0.00001: "1e-05", 1.5e-7: "1.5e-07", 1e100: "1e+100", math.Inf(-1): "-inf", math.Copysign(0, -1): "-0.0",
	} {
		if got := Float(f); got != want {
			t.Errorf("Float(%g) = %s, expected %s", f, got, want)
		}
	}
}

func TestRepr(t *testing.T) {
	for _, c := range []struct {
		v    any
		want string
	}{
		{nil, "None"}, {true, "True"}, {int64(-5), "-5"}, {uint64(math.MaxUint64), "18446744073709551615"}, {3, "3"}, {int32(7), "7"}, {uint8(1), "1"}, {float32(0.5), "0.5"},
		{wire.MinionID("web1"), "'web1'"}, {[]string{"a"}, "['a']"},
		{"it's", `"it's"`}, {`a"b'c`, `'a"b\'c'`}, {"\x00\x7f\u00a0\u200b\U0001F600", `'\x00\x7f\xa0\u200b😀'`}, {"bad\xff", `'bad\udcff'`},
		{[]byte("a'\n\xff"), `b"a'\n\xff"`},
		{[]any{int64(1), wire.NewMap("a", nil)}, "[1, {'a': None}]"},
		{time.Date(2020, 1, 2, 3, 4, 5, 6000, time.UTC), "datetime.datetime(2020, 1, 2, 3, 4, 5, 6)"},
	} {
		if got := Repr(c.v); got != c.want {
			t.Errorf("Repr(%#v) = %s, expected %s", c.v, got, c.want)
		}
	}
}

func TestSplitLines(t *testing.T) {
	for _, c := range []struct {
		s    string
		keep bool
		want []string
	}{
		{"", false, nil}, {"\n", false, []string{""}}, {"a\nb", false, []string{"a", "b"}}, {"a\r\nb\rc\n", false, []string{"a", "b", "c"}},
		{"a\u2028b\u0085c\x1cd", false, []string{"a", "b", "c", "d"}}, {"a\r\nb", true, []string{"a\r\n", "b"}}, {"é\n", true, []string{"é\n"}},
	} {
		if got := SplitLines(c.s, c.keep); !slices.Equal(got, c.want) {
			t.Errorf("SplitLines(%q) = %q", c.s, got)
		}
	}
}

func TestSorted(t *testing.T) {
	if k, _, ok := Sorted(wire.NewMap("b", 1, "a", 2)); !ok || k[0] != "a" {
		t.Error("text is sorted")
	}
	m := wire.NewMap()
	m.SetAny(int64(2), 0)
	m.SetAny(1.5, 0)
	m.SetAny(true, 0)
	if k, _, ok := Sorted(m); !ok || k[0] != true || k[1] != 1.5 {
		t.Errorf("numbers are sorted by value: %v", k)
	}
	m.Set("x", 0)
	if k, _, ok := Sorted(m); ok || k[0] != int64(2) {
		t.Error("kinds that do not compare stay as they were")
	}
}

func TestWrap(t *testing.T) {
	for _, c := range []struct {
		text  string
		width int
		want  []string
	}{
		{"the quick brown fox", 10, []string{"the quick", "brown fox"}},
		{"well-known words", 6, []string{"well-", "known", "words"}},
		{"abcdefghij", 4, []string{"abcd", "efgh", "ij"}},
		{"  lead  and  gaps  ", 40, []string{"  lead  and  gaps"}},
		{"a -- b", 4, []string{"a --", "b"}},
		{"", 5, nil},
	} {
		if got := Wrap(c.text, c.width, "", ""); !slices.Equal(got, c.want) {
			t.Errorf("Wrap(%q, %d) = %q, expected %q", c.text, c.width, got, c.want)
		}
	}
}

// FuzzJSON holds that what is written is JSON, and reads back the same.
func FuzzJSON(f *testing.F) {
	f.Add("text\x00\u2028\"\\", 4)
	f.Fuzz(func(t *testing.T, s string, indent int) {
		s = strings.ToValidUTF8(s, "")
		text, err := JSON(wire.NewMap(s, []any{s, nil, true, int64(1)}), indent%8, true)
		if err != nil {
			t.Fatal(err)
		}
		var back map[string][]any
		if err := json.Unmarshal([]byte(text), &back); err != nil || len(back[s]) != 4 || back[s][0] != s {
			t.Errorf("%q became %s: %v", s, text, err)
		}
	})
}

// FuzzYAML holds that a text comes back the same from the YAML written of it, as a
// value, a key and in brackets.
func FuzzYAML(f *testing.F) {
	for _, s := range []string{"a: b", "- x", "yes", "012", "multi\nline\n", " lead", "x \n y", "#c", "'q'", "a\u2028b\U0001F600\x07", "~", "{", "2020-01-01", strings.Repeat("long text ", 20)} {
		f.Add(s, false)
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, s string, flow bool) {
		s = strings.ToValidUTF8(s, "")
		if strings.ContainsAny(s, "\u0085\u2028\u2029\r") && !strings.ContainsFunc(s, func(r rune) bool { return !yamlPrintable(r) }) {
			t.Skip("the reader here is of YAML 1.2, where these end no lines")
		}
		text := YAML(wire.NewMap("k", []any{s}), 2, flow)
		var back struct{ K []yaml.Node }
		if err := yaml.Unmarshal([]byte(text), &back); err != nil {
			t.Fatalf("%q became %q: %v", s, text, err)
		}
		if len(back.K) != 1 || back.K[0].Value != s {
			t.Errorf("%q became %q, which reads %q", s, text, back.K[0].Value)
		}
	})
}

// FuzzPPrint holds that the text is the repr, but for where lines end.
func FuzzPPrint(f *testing.F) {
	f.Add("some words that are long enough to be broken over several lines of the terminal, as they are")
	f.Fuzz(func(t *testing.T, s string) {
		if !strings.Contains(PPrint([]any{s, s}, 1), Repr(s)) && width(Repr(s)) < 70 {
			t.Errorf("%q is not in its own print", s)
		}
	})
}
