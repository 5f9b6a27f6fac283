package pyre

import "testing"

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
