package target

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/gosalt/gosalt/protocol/wire"
)

func TestParseErrors(t *testing.T) {
	groups := wire.NewMap("a", "N@b", "b", "N@c or web*", "c", []any{"N@a"}, "n", int64(5))
	for _, tt := range []struct {
		name, expr, kind, want string
	}{
		{"empty", "", "glob", `glob target "": it is empty: name minions, '*' is all of them`},
		{"unknown type", "x", "exsel", `exsel target "x": no such type of target: one of glob, pcre,`},
		{"range", "%web", "range", `use a list (-L) or a nodegroup (-N)`},
		{"operator first", "and web*", "compound", `compound target "and web*": at character 1: a condition, "not" or "(" is expected, got "and"`},
		{"operator last", "web* and", "compound", `at character 9: a condition is expected, but it ends here`},
		{"no operator", "web* db1", "compound", `at character 6: "and" or "or" is expected, got "db1"`},
		{"open parenthesis", "web* and ( db1", "compound", `at character 10: this "(" has no ")"`},
		{"closing parenthesis", "web* ) or x", "compound", `at character 6: "and" or "or" is expected, got ")"`},
		{"nothing in parentheses", "( )", "compound", `at character 3: a condition, "not" or "(" is expected, got ")"`},
		{"glued parenthesis", "(web* or db*)", "compound", `at character 1: a parenthesis is a word of its own: put spaces around it in "(web*"`},
		{"not not", "not not web*", "compound", `at character 5: a condition or "(" is expected, got "not"`},
		{"place counted in characters", "Grün and", "compound", `at character 9: a condition is expected`},
		{"grain without value", "web* and G@os", "compound", `at character 12: "grain:value" is expected, got "os" without a ":"`},
		{"bad expression", "web* and E@a(b", "compound", `at character 12: "a(b" is no regular expression: missing closing )`},
		{"group closed that is not open", ")|(", "pcre", `unexpected ) at character 1`},
		{"bad grain expression", "os:a(b", "grain_pcre", `behind "os:": "a(b" is no regular expression: missing closing )`},
		{"bad network", "10.0.0.1/24", "ipcidr", `10.0.0.1/24 has bits set behind its length: write 10.0.0.0/24 for the network, 10.0.0.1 for the address`},
		{"bad address", "10.0.0", "ipcidr", `an address or a network is expected, as 10.0.0.7 or 10.0.0.0/8, got "10.0.0"`},
		{"unknown group", "x", "nodegroup", `there is no nodegroup "x": there are a, b, c, n`},
		{"unknown group in compound", "web* and N@x", "compound", `there is no nodegroup "x"`},
		{"group in itself", "a", "nodegroup", `the nodegroup "a" is part of itself: a > b > c > a`},
		{"group of a wrong type", "n", "nodegroup", `the nodegroup "n" is int: text or a list of texts is expected`},
		{"too deep", strings.Repeat("( ", 300) + "x" + strings.Repeat(" )", 300), "compound", `nested deeper than 200 levels`},
		{"too many parts", strings.Repeat("*:", 40) + "x", "grain", `41 parts: at most 32 are allowed`},
		{"not text", "\xff", "glob", `it is not UTF-8 text`},
	} {
		tgt, err := Parse(tt.expr, tt.kind, Options{Nodegroups: groups})
		if err == nil || tgt != nil {
			t.Errorf("%s: no error", tt.name)
		} else if !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s:\ngot  %v\nwant %s", tt.name, err, tt.want)
		}
	}
}

func TestParseTypes(t *testing.T) {
	for _, expr := range []any{int64(5), wire.NewMap(), []any{"a", int64(1)}, []byte("x")} {
		if _, err := Parse(expr, "compound", Options{}); err == nil {
			t.Errorf("%T is taken", expr)
		}
	}
	if _, err := Parse([]any{"a"}, "glob", Options{}); err == nil {
		t.Error("a list is taken for a glob")
	}
	for _, expr := range []any{[]string{"web1", "db1"}, []any{"web1", "db1"}, "web1,db1"} {
		tgt, err := Parse(expr, "list", Options{})
		if err != nil {
			t.Fatal(err)
		}
		if ok, _ := tgt.Match(Subject{ID: "db1"}); !ok {
			t.Errorf("%v does not match db1", expr)
		}
	}
}

// TestUnknown: what a condition on unseen data is worth, in each mode.
func TestUnknown(t *testing.T) {
	for _, tt := range []struct {
		expr                     string
		matches, differs, denies bool
	}{
		{"G@os:Debian", true, false, false},
		{"not G@os:Debian", false, true, false},
		{"not ( not G@os:Debian )", true, false, false},
		{"web* and not G@os:Debian", false, true, false},
		{"web* or not G@os:Debian", true, true, true},
		{"web* and not db*", true, true, true},
		{"not ( I@a:b or S@10.0.0.1 )", false, true, false},
		{"G@a:b or not G@a:b", true, true, false},
	} {
		tgt, err := Parse(tt.expr, "compound", Options{})
		if err != nil {
			t.Fatal(err)
		}
		for mode, want := range map[Unknown]bool{Matches: tt.matches, Differs: tt.differs, Denies: tt.denies} {
			if ok, err := tgt.Match(Subject{ID: "web1", Unknown: mode}); err != nil || ok != want {
				t.Errorf("%s in mode %d: %v, %v", tt.expr, mode, ok, err)
			}
		}
	}
}

func TestNeeds(t *testing.T) {
	for expr, want := range map[string][2]bool{
		"web*": {}, "G@os:x or web*": {true, false}, "I@a:b": {false, true}, "S@10.0.0.1 and J@a:b": {true, true},
	} {
		tgt, err := Parse(expr, "compound", Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := [2]bool{tgt.NeedsGrains(), tgt.NeedsPillar()}; got != want {
			t.Errorf("%s: %v, want %v", expr, got, want)
		}
	}
	if tgt, _ := Parse("web1", "glob", Options{}); tgt.ID() != "web1" {
		t.Errorf("web1 is for %q", tgt.ID())
	}
	if tgt, _ := Parse("web*", "glob", Options{}); tgt.ID() != "" {
		t.Errorf("web* is for %q", tgt.ID())
	}
}

// TestRegexTimeout: an expression that only the backtracking engine takes must not
// hold a minion up.
func TestRegexTimeout(t *testing.T) {
	tgt, err := Parse(`(?=a)(a+)+\1$`, "pcre", Options{})
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	ok, err := tgt.Match(Subject{ID: strings.Repeat("a", 200) + "!"})
	if ok || err == nil || !strings.Contains(err.Error(), "took more than 1s") {
		t.Errorf("%v, %v", ok, err)
	}
	if d := time.Since(begin); d > 30*time.Second {
		t.Errorf("took %v", d)
	}
}

// TestWildcardsBounded: each "*" goes below every key, so that they multiply.
func TestWildcardsBounded(t *testing.T) {
	var v any = "leaf"
	for range 12 {
		m := wire.NewMap()
		for i := range 10 {
			m.Set(fmt.Sprint("k", i), v)
		}
		v = m
	}
	tgt, err := Parse(strings.Repeat("*:", 12)+"nope", "grain", Options{})
	if err != nil {
		t.Fatal(err)
	}
	ok, err := tgt.Match(Subject{ID: "x", Grains: v.(*wire.Map)})
	if ok || err == nil || !strings.Contains(err.Error(), "fewer wildcards") {
		t.Errorf("%v, %v", ok, err)
	}
}

func TestConcurrentMatch(t *testing.T) {
	tgt, err := Parse(`( G@os:Deb* or P@os:(ub|ce) ) and not E@.*[0-4](?=$)`, "compound", Options{})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 50 {
				ok, err := tgt.Match(Subject{ID: fmt.Sprint("web", i), Grains: wire.NewMap("os", "Ubuntu")})
				if err != nil || ok != (i%10 > 4) {
					t.Errorf("worker %d: web%d: %v, %v", w, i, ok, err)
				}
			}
		})
	}
	wg.Wait()
}

// FuzzCompound: whatever is read, matching ends and agrees with itself when what goes
// over the wire is read again; an error comes without a target.
func FuzzCompound(f *testing.F) {
	r := loadRecorded(f)
	for _, row := range r.Rows {
		if s, ok := decodeValue(f, row.Expr).(string); ok {
			f.Add(s)
		}
	}
	groups := decodeValue(f, r.Nodegroups).(*wire.Map)
	subjects := r.subjects(f)
	f.Fuzz(func(t *testing.T, expr string) {
		if len(expr) > 500 {
			return
		}
		tgt, err := Parse(expr, "compound", Options{Nodegroups: groups})
		if err != nil {
			if tgt != nil || err.Error() == "" {
				t.Fatalf("error %v with a target", err)
			}
			return
		}
		again, err := Parse(tgt.Wire(), tgt.Kind(), Options{})
		if err != nil {
			t.Fatalf("%q goes over the wire as %q, which is refused: %v", expr, tgt.Wire(), err)
		}
		for id, s := range subjects {
			a, aerr := tgt.Match(*s)
			b, berr := again.Match(*s)
			if aerr == nil && berr == nil && a != b {
				t.Errorf("%q matches %s: %v, over the wire as %q %v", expr, id, a, tgt.Wire(), b)
			}
		}
	})
}

// FuzzGlob holds the matcher against the regular expression that a glob stands for.
func FuzzGlob(f *testing.F) {
	for _, s := range [][2]string{{"web*", "web1"}, {"[!a-c]?*x", "dyx"}, {"[]-a]", "^"}, {"*a*b", "xaxxb"}, {"[a-", "[a-"}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if len(pattern) > 60 || len(text) > 60 || !utf8.ValidString(pattern) || !utf8.ValidString(text) {
			return
		}
		g := compileGlob(pattern)
		re, err := regexp.Compile(globRegexp(pattern))
		if err != nil {
			t.Fatalf("%q as %q: %v", pattern, globRegexp(pattern), err)
		}
		if a, b := g.match(text), re.MatchString(text); a != b {
			t.Errorf("%q on %q: %v, %q has %v", pattern, text, a, re, b)
		}
	})
}

// globRegexp writes a compiled glob as a regular expression.
func globRegexp(pattern string) string {
	g := compileGlob(pattern)
	switch {
	case g.plain:
		return `^` + regexp.QuoteMeta(g.text) + `$`
	case g.star:
		return `(?s)^` + regexp.QuoteMeta(g.text) + `.*$`
	}
	var b strings.Builder
	b.WriteString(`(?s)\A`)
	for _, t := range g.toks {
		switch t.kind {
		case '*':
			b.WriteString(".*")
		case '?':
			b.WriteString(".")
		case 'c':
			b.WriteString(regexp.QuoteMeta(string(t.char)))
		default:
			var set strings.Builder
			for _, r := range t.one {
				fmt.Fprintf(&set, `\x{%x}`, r)
			}
			for _, r := range t.span {
				fmt.Fprintf(&set, `\x{%x}-\x{%x}`, r[0], r[1])
			}
			switch {
			case set.Len() == 0:
				b.WriteString(`[^\x{0}-\x{10ffff}]`)
			case t.neg:
				b.WriteString("[^" + set.String() + "]")
			default:
				b.WriteString("[" + set.String() + "]")
			}
		}
	}
	return b.String() + `\z`
}

func FuzzRegex(f *testing.F) {
	for _, s := range []string{`a{,3}(?P<n>b)(?P=n)\Z`, `[[]x]`, `(?i)a\x41`, `(a)?(?(1)b|c)`, `(?x) a # b`} {
		f.Add(s, "abc")
	}
	f.Fuzz(func(t *testing.T, source, text string) {
		if len(source) > 100 || len(text) > 50 {
			return
		}
		re, err := compileRegex(source)
		if (re == nil) == (err == nil) {
			t.Fatalf("%q: %v, %v", source, re, err)
		}
		if err == nil {
			re.match(text)
		}
	})
}

func BenchmarkGlob10000(b *testing.B) {
	ids := make([]string, 10_000)
	for i := range ids {
		ids[i] = fmt.Sprintf("web%d.example.com", i)
	}
	for _, pattern := range []string{"*", "web*", "*7.example.*", "web[1-5]?.*"} {
		b.Run(pattern, func(b *testing.B) {
			tgt, err := Parse(pattern, "glob", Options{})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				for _, id := range ids {
					tgt.Match(Subject{ID: id})
				}
			}
		})
	}
}

func BenchmarkGrains10000(b *testing.B) {
	grains := wire.NewMap("os", "Debian", "roles", []any{"web", "db"}, "ec2", wire.NewMap("tags", wire.NewMap("Env", "prod")))
	tgt, err := Parse("G@os:Deb* and G@ec2:tags:Env:prod or P@roles:d.", "compound", Options{})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		for range 10_000 {
			tgt.Match(Subject{ID: "x", Grains: grains})
		}
	}
}
