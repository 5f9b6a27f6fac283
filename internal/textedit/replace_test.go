package textedit

import (
	"strings"
	"testing"
)

// A file may be one line, and expressions that look for the longest text must not take a time
// that grows with its square: package pyre gives up on those.
func TestReplaceOneLine(t *testing.T) {
	long := strings.Repeat("a", 300_000)
	for _, c := range []struct {
		pattern, text, want string
		count               int
	}{
		{"foo", long + "foo" + long, long + "bar" + long, 0},
		{"a+b", long, long, 0},
		{"^(.*)foo(.*)$", long + "foo\n" + long + "\n", "bar\n" + long + "\n", 0},
		{".*x", long, long, 0},
		{"foo", "foo,foo,foo", "bar,bar,foo", 2},
		{"(f)(oo)", "foo foo", "bar foo", 1},
	} {
		got, err := Replace{Pattern: c.pattern, Repl: "bar", Flags: "m", Count: c.count}.Apply(c.text)
		if err != nil || got != c.want {
			t.Errorf("%q on %d bytes: %d bytes, %v", c.pattern, len(c.text), len(got), err)
		}
	}
}
