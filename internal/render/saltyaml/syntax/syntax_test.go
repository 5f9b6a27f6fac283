package syntax

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// What whole documents are is held against recordings one package above. These tests
// are about the tree.

// outline writes a tree in one line: kinds, texts, and where each node begins.
func outline(n *Node) string {
	if n == nil {
		return "nothing"
	}
	s := fmt.Sprintf("%d:%d ", n.Start.Line, n.Start.Column)
	if n.Tag != "" {
		s += n.Tag + " "
	}
	switch {
	case n.Kind == Scalar && n.Plain:
		return s + n.Value
	case n.Kind == Scalar:
		return s + fmt.Sprintf("%q", n.Value)
	}
	var parts []string
	for _, c := range n.Items {
		parts = append(parts, outline(c))
	}
	if n.Kind == Sequence {
		return s + "[" + strings.Join(parts, ", ") + "]"
	}
	return s + "{" + strings.Join(parts, ", ") + "}"
}

func TestParse(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "nothing"},
		{"# only\n", "nothing"},
		{"---\n", "2:1 "},
		{"a:\n  - b\n  - 'c'\n", `1:1 {1:1 a, 2:3 [2:5 b, 3:5 "c"]}`},
		{"a:\n- b\n", "1:1 {1:1 a, 2:1 [2:3 b]}"},
		{"é: [x: y, {z}]\n", "1:1 {1:1 é, 1:4 [1:5 {1:5 x, 1:8 y}, 1:11 {1:12 z, 1:13 }]}"},
		{"a: !!int &x '1'\nb: *x\n", `1:1 {1:1 a, 1:4 tag:yaml.org,2002:int "1", 2:1 b, 1:4 tag:yaml.org,2002:int "1"}`},
		{"%TAG !e! tag:x:\n---\n!e!%41 b", "3:1 tag:x:A \"b\""},
		{"! 'a'", "1:1 ! a"},
		{"? a\n? |\n  b\n: c", `1:1 {1:3 a, 2:1 , 2:3 "b\n", 4:3 c}`},
		{"\ufeffa: b\r\nc: d\u2028e: f", "1:1 {1:1 a, 1:4 b, 2:1 c, 2:4 d, 3:1 e, 3:4 f}"},
	} {
		n, err := Parse(c.text, 10)
		if got := outline(n); err != nil || got != c.want {
			t.Errorf("%q\n got      %s, %v\nexpected %s", c.text, got, err, c.want)
		}
	}
}

func TestErrorPlaces(t *testing.T) {
	for _, c := range []struct{ text, class, want string }{
		{"a: b\n\tc: d", "ScannerError", "line 2, column 1: found a tab character that violates indentation (while scanning a plain scalar that began in line 1, column 4)"},
		{"a: 'x\ny", "ScannerError", "line 2, column 2: found unexpected end of stream (while scanning a quoted scalar that began in line 1, column 4)"},
		{"a: b: c", "ScannerError", "line 1, column 5: mapping values are not allowed in this context"},
		{"- a\nb: 1", "ParserError", "line 2, column 1: did not find expected '-' indicator (while parsing a block collection that began in line 1, column 1)"},
		{"a: *b", "ComposerError", "line 1, column 4: found undefined alias"},
		{"a: 1\nbé: \x01", "ReaderError", "line 2, column 5: unacceptable character #x0001: control characters are not allowed"},
		{"a: \xff", "ReaderError", "line 1, column 4: invalid UTF-8: byte 0xff"},
		{"[[[[]]]]", "LimitError", "line 1, column 4: lists and maps nest too deep"},
	} {
		n, err := Parse(c.text, 3)
		var e *Error
		if !errors.As(err, &e) || n != nil || e.Class != c.class || e.Error() != c.want || e.Text != c.text {
			t.Errorf("%q\n got      %v\nexpected %s: %s", c.text, err, c.class, c.want)
		}
	}
}

// FuzzParse holds that no text makes the parser panic or run away, and that each mark
// lies in the text.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"a: [b, {c: d}]\n- e", "? &x 'a'\n: *x", "|2-\n  a\n", "\"\\u00e9\\\n x\"", "%TAG ! !\n---\n!<a> b", "[a: , ? b, : c]", "a\u2028\ufeffb: \tc"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := Parse(s, 50)
		lines := strings.FieldsFunc(s+"x", func(r rune) bool { return strings.ContainsRune("\n\r\u0085\u2028\u2029", r) })
		most := len(lines) + strings.Count(s, "\n") + strings.Count(s, "\r") + strings.Count(s, "\u0085") + strings.Count(s, "\u2028") + strings.Count(s, "\u2029") + 1
		check := func(m Mark) {
			if m.Line < 0 || m.Line > most || m.Column < 0 || m.Column > len(s)+1 {
				t.Fatalf("%q: the mark %v lies outside", s, m)
			}
		}
		var e *Error
		if errors.As(err, &e) {
			check(e.At)
			check(e.Began)
			_ = e.Excerpt()
		}
		seen := map[*Node]bool{}
		var walk func(n *Node)
		walk = func(n *Node) {
			if n == nil || seen[n] {
				return
			}
			seen[n] = true
			check(n.Start)
			if n.Kind == Mapping && len(n.Items)%2 != 0 {
				t.Fatalf("%q: a key without a value", s)
			}
			for _, c := range n.Items {
				walk(c)
			}
		}
		walk(n)
	})
}
