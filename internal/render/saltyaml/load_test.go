package saltyaml

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

func TestError(t *testing.T) {
	_, err := Load("a: 1\nb:\n  c: 2\n  d: [1\ne: 3\nf: 4\ng: 5\nh: 6\ni: 7\nj: 8\nk: 9\n")
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("an *Error was expected, not %v", err)
	}
	if got, want := e.Error(), "line 5, column 2: did not find expected ',' or ']' (while parsing a flow sequence that began in line 4, column 6)"; got != want {
		t.Errorf("Error is %q, expected %q", got, want)
	}
	if got, want := e.Salt(), "while parsing a flow sequence\n  in \"<unicode string>\", line 4, column 6\ndid not find expected ',' or ']'\n  in \"<unicode string>\", line 5, column 2"; got != want {
		t.Errorf("Salt is %q, expected %q", got, want)
	}
	if got, want := e.Excerpt(), "---\na: 1\nb:\n  c: 2\n  d: [1\ne: 3    <======================\nf: 4\ng: 5\nh: 6\ni: 7\nj: 8\n[...]\n---"; got != want {
		t.Errorf("Excerpt is %q, expected %q", got, want)
	}
}

func TestAt(t *testing.T) {
	d, err := Parse("base: &b\n  x: 1\nweb:\n  <<: *b\n  list:\n    - a\n    - k: v\n  8: {y: 2}\n", DefaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path []any
		want Mark
	}{
		{nil, Mark{Line: 1, Column: 1}},
		{[]any{"web"}, Mark{Line: 3, Column: 1}},
		{[]any{"web", "list", 1}, Mark{Line: 7, Column: 7}},
		{[]any{"web", "list", 1, "k"}, Mark{Line: 7, Column: 7}},
		{[]any{"web", 8, "y"}, Mark{Line: 8, Column: 7}},
		{[]any{"web", "x"}, Mark{Line: 2, Column: 3}}, // merged from there
	} {
		if got, ok := d.At(c.path...); !ok || got != c.want {
			t.Errorf("At(%v) = %v, %v, expected %v", c.path, got, ok, c.want)
		}
	}
	for _, path := range [][]any{{"nosuch"}, {"web", "list", 2}, {"web", "list", "k"}, {"base", "x", "y"}} {
		if got, ok := d.At(path...); ok {
			t.Errorf("At(%v) = %v, expected nothing", path, got)
		}
	}
	var paths []string
	d.Walk(func(path []any, at Mark) bool {
		paths = append(paths, fmt.Sprint(path, at.Line))
		return path[0] != "base"
	})
	if got, want := strings.Join(paths, " "), "[base] 1 [web] 3 [web x] 2 [web list] 5 [web list 0] 6 [web list 1] 7 [web list 1 k] 7 [web 8] 8 [web 8 y] 8"; got != want {
		t.Errorf("Walk saw %s, expected %s", got, want)
	}
}

// laughs is a document of n levels, each ten times the one below.
func laughs(n int) string {
	var b strings.Builder
	b.WriteString("l0: &l0 [x]\n")
	for i := 1; i <= n; i++ {
		fmt.Fprintf(&b, "l%d: &l%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*l%d, ", i-1), 10), ", "))
	}
	return b.String()
}

// mergingLaughs is the same by "<<".
func mergingLaughs(n int) string {
	var b strings.Builder
	b.WriteString("l0: &l0 {a: 1}\n")
	for i := 1; i <= n; i++ {
		fmt.Fprintf(&b, "l%d: &l%d {<<: [%s]}\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*l%d, ", i-1), 10), ", "))
	}
	return b.String()
}

func TestLimits(t *testing.T) {
	small := Limits{Bytes: 1000, Depth: 5, Values: 100}
	for name, c := range map[string]struct{ text, want string }{
		"length":          {strings.Repeat("a", 1001), "the text has 1001 bytes, at most 1000 are read"},
		"depth":           {"[[[[[[]]]]]]", "lists and maps nest too deep"},
		"depth of blocks": {"- - - - - - a", "lists and maps nest too deep"},
		"values":          {"[" + strings.Repeat("1, ", 100) + "]", "more than 100 values"},
		"aliases":         {laughs(3), "more than 100 values"},
		"itself":          {"&a [*a]", "holds itself"},
		"itself, deeper":  {"a: &a {b: [c, {d: *a}]}", "holds itself"},
		"unclosed":        {strings.Repeat("[", 900), "lists and maps nest too deep"},
	} {
		if d, err := Parse(c.text, small); err == nil || d != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, expected an error with %q", name, err, c.want)
		}
	}
	if _, err := Load(mergingLaughs(12)); err == nil {
		t.Error("maps that merge each other without end were taken")
	}
	if _, err := Load(laughs(12)); err == nil {
		t.Error("aliases of 10 to the 12th values were taken")
	}
	if v, err := Load(laughs(3)); err != nil || len(v.(*wire.Map).List("l3")) != 10 {
		t.Errorf("aliases within the limits: %v", err)
	}
}

// An alias is the same list or map as its anchor, as in Python.
func TestAliasesShare(t *testing.T) {
	v, err := Load("a: &x {k: [1]}\nb: *x\n")
	if err != nil {
		t.Fatal(err)
	}
	m := v.(*wire.Map)
	m.Map("a").Set("k", "new")
	if got := m.Map("b").Text("k"); got != "new" {
		t.Errorf("a change by one name shows %q by the other", got)
	}
}

func TestPythonKinds(t *testing.T) {
	m := wire.NewMap("b", int64(1), "a", pytext.Set{"y", "x"})
	for _, c := range []struct {
		v    any
		flow bool
		want string
	}{
		{pytext.Ordered{Map: m}, true, "{b: 1, a: !!set {x: null, y: null}}"},
		{m, true, "{a: !!set {x: null, y: null}, b: 1}"},
		{m, false, "a: !!set\n  x: null\n  y: null\nb: 1"},
		{pytext.Set{"b", "a"}, false, "!!set\na: null\nb: null"},
		{pytext.Set{}, true, "!!set {}"},
		{[]any{pytext.Opaque{Type: "StrictUndefined"}}, true, "[NULL]"},
		{time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC), true, "2024-01-02 03:04:05"},
	} {
		if got := YAML(c.v, c.flow); got != c.want {
			t.Errorf("YAML(%s) = %q, expected %q", pytext.Repr(c.v), got, c.want)
		}
	}
	for _, v := range []any{pytext.Set{"a"}, pytext.Opaque{Type: "function"}, time.Time{}} {
		if got, err := JSON(v, true, nil); err == nil || !strings.HasSuffix(err.Error(), " is not JSON serializable") {
			t.Errorf("JSON(%s) = %q, %v", pytext.Repr(v), got, err)
		}
	}
	if got, err := JSON(math.NaN(), true, nil); err != nil || got != "NaN" {
		t.Errorf("JSON(nan) = %q, %v", got, err)
	}
}

func TestFilters(t *testing.T) {
	if v, err := LoadYAML("a: !!binary aGk=\nb: [!!binary /w==]\n"); err != nil || pytext.Repr(v) != `{'a': 'hi', 'b': [b'\xff']}` {
		t.Errorf("bytes become text where they can: %s, %v", pytext.Repr(v), err)
	}
	_, err := LoadYAML("a: [1\n")
	var e *Error
	if !errors.As(err, &e) || err.Error() != "Encountered error loading yaml: did not find expected ',' or ']'\na: [1\n" {
		t.Errorf("load_yaml says %q", err)
	}
	if _, err := LoadJSON(`{"a": `); err == nil || err.Error() != `Unable to load json from {"a": ` {
		t.Errorf("load_json says %q", err)
	}
}

var seeds = []string{
	"a: 1\nb: [x, {y: z}]\n", "a: &x {k: v}\nb: {<<: *x, c: |\n  t\n}\n", "? a\n: b\n", "- 'q'\n- \"\\x41\\\n  b\"\n", "a: >-\n  x\n\n  y\n",
	"!!set {a, b}", "!!pairs [a: 1]", "!!binary aGk=", "%YAML 1.1\n---\na\n...\n", "<<: [{a: 1}, {b: 2}]\n=: 3\n", "1: a\n1.0: b\n", "0644: 1:30\n",
	"&a [*a]", "[a: b, ? c : d, e]", "{a, b: , ? c}", "a:\tb\n\tc", "\ufeffa\u2028b", "a: !foo b", "- - - - 1", "{{ x }}", "\"\\ud800\"", ".nan: [.inf, -0.0, 1e3, 1.5e+3]",
}

// FuzzLoad holds that no text makes the loader panic or run away, that an error comes without a
// value, and that what loads is the same after writing and loading it, in every style.
func FuzzLoad(f *testing.F) {
	for _, s := range seeds {
		f.Add(s)
	}
	limits := Limits{Bytes: 1 << 16, Depth: 40, Values: 10_000}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := Parse(s, limits)
		var e *Error
		switch {
		case err != nil && (d != nil || !errors.As(err, &e)):
			t.Fatalf("error %v with %v", err, d)
		case err != nil:
			_, _, _ = e.Error(), e.Salt(), e.Excerpt()
			return
		}
		want := pytext.Repr(d.Value)
		for _, o := range []pytext.YAMLOptions{
			{KeepOrder: true}, {Flow: pytext.FlowAll, KeepOrder: true}, {Flow: pytext.FlowNone, KeepOrder: true, Indent: 5, Width: 20},
			{Flow: pytext.FlowNone, KeepOrder: true, Aliases: true, ASCII: true, Width: -1},
		} {
			text := o.Dump(d.Value)
			back, err := Load(text)
			if err != nil {
				t.Fatalf("%q became %q: %v", s, text, err)
			}
			if got := pytext.Repr(back); got != want {
				t.Fatalf("%q is %s, became %q, which is %s", s, want, text, got)
			}
		}
	})
}

// BenchmarkLoad reads an SLS file of 2,000 lines.
func BenchmarkLoad(b *testing.B) {
	var s strings.Builder
	for i := range 400 {
		fmt.Fprintf(&s, "/etc/app/%d.conf:\n  file.managed:\n    - source: salt://app/%d.conf\n    - mode: 0644\n    - require: [pkg: app]\n", i, i)
	}
	text := s.String()
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Load(text); err != nil {
			b.Fatal(err)
		}
	}
}
