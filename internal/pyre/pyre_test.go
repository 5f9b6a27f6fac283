package pyre

import (
	"fmt"
	"testing"
)

// FuzzRegexp: any expression on any text answers, and what is matched stands in the text.
func FuzzRegexp(f *testing.F) {
	for _, s := range []string{"a(b)?c", "(?P<n>x*)", "[[]", "(?i)A", "\\d+\\b", "a{,2}", "(?<=a)b", "(a)\\1", "^$", "(?x) a # c\n"} {
		f.Add(s, "abc abcab\n", `<\g<0>>`)
	}
	f.Fuzz(func(t *testing.T, expr, text, repl string) {
		if len(expr) > 200 || len(text) > 500 || len(repl) > 100 {
			t.Skip()
		}
		re, err := Compile(expr, "")
		if err != nil {
			return
		}
		for _, match := range []func(string) ([]Group, error){re.Match, re.Search} {
			gs, err := match(text)
			if err == nil && gs != nil && len(gs) != re.Groups()+1 {
				t.Fatalf("%q on %q: %d groups, want %d", expr, text, len(gs), re.Groups()+1)
			}
		}
		_, _ = re.Sub(repl, text) // an error is an answer
	})
}

func TestSub(t *testing.T) {
	for _, c := range []struct{ expr, repl, text, want string }{
		{"x*", "-", "abxd", "-a-b--d-"}, // as re.sub of Python 3.7 and later
		{"a{,2}", "<\\g<0>>", "aaa", "<aa><a><>"},
		{"(?P<n>o+)", "[\\g<n>]", "foo", "f[oo]"},
		{"(a)(b)?", "\\2\\1", "ab a", "ba a"},
		{"ü", "u", "grün", "grun"},
		{"\\b", "|", "a b", "|a| |b|"},
		{"$", "!", "a\n", "a!\n!"},
	} {
		re, err := Compile(c.expr, "")
		if err != nil {
			t.Error(err)
			continue
		}
		if got, err := re.Sub(c.repl, c.text); err != nil || got != c.want {
			t.Errorf("%q, %q, %q: %q, %v, want %q", c.expr, c.repl, c.text, got, err, c.want)
		}
	}
}

// Both engines find the same, where the fast one is asked at all.
func TestFastAndSlow(t *testing.T) {
	asked := 0
	for _, expr := range []string{"a", "a+b", "a|ab", "(a|ab)(c|bcd)", "^a", "a$", "(?m)^a", "(?m)a$", "(?m)^.*b$", ".*b", "[^b]+", "\\s+", "\\S+", "\\bA\\b", "(?i)A", "(?s)a.b", "a\\Z", "b(c)?", "a.?\n", "x*", "(?m)^\\s*#.*$", "\\w+\\W", "\\w*\\b", "a|\\b", "(?:a|\\b)(?:b|)", "\\b"} {
		for _, text := range []string{"", "a", "ab\nab\n", "aab\r\nb", "abcd abcd", "a\n", "\n", "A a\tb\fc", "  # x\n#y\nab", "a b\n\nb a\n"} {
			for _, count := range []int{0, 1} {
				re, err := Compile(expr, "")
				if err != nil {
					t.Fatal(err)
				}
				fast, ok := re.findFast(text, count)
				if !ok {
					continue
				}
				asked++
				slow, err := re.find(text, false, count)
				if err != nil {
					t.Fatal(err)
				}
				got, want := "", ""
				for _, m := range fast {
					got += fmt.Sprint(m[0], m[1], groups(text, m))
				}
				for _, m := range slow {
					want += fmt.Sprint(m.start, m.end, m.groups)
				}
				if got != want {
					t.Errorf("%q on %q: %s, want %s", expr, text, got, want)
				}
			}
		}
	}
	if asked < 200 {
		t.Errorf("only %d were compared", asked)
	}
}
