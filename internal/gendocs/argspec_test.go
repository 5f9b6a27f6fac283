package main

import (
	"flag"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/master/events"
	"github.com/gosalt/gosalt/master/runners"
	minionmodules "github.com/gosalt/gosalt/minion/modules"
	"github.com/gosalt/gosalt/protocol/wire"
	statemodules "github.com/gosalt/gosalt/states/modules"
)

// TestArgspecs holds the arguments of every function, state and runner to those of
// Salt 3006.18, whose signatures are in testdata/argspec.txt. What can be given by
// position stands in Salt's order and has Salt's defaults; what Salt takes by name is
// taken. What differs, and why, is in testdata/argspec-deviations.
func TestArgspecs(t *testing.T) {
	kinds := map[string]*module.Registry{
		"modules": minionmodules.New(),
		"states":  statemodules.New().Registry,
		"runners": runners.New(nil, events.New(), slog.New(slog.DiscardHandler)).Registry(),
	}
	text, err := os.ReadFile("testdata/argspec.txt")
	if err != nil {
		t.Fatal(err)
	}
	allowed := argspecDeviations(t)
	seen := 0
	for line := range strings.Lines(string(text)) {
		kind, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		name, args, _ := strings.Cut(strings.TrimSuffix(rest, ")"), "(")
		name, family, _ := strings.Cut(name, "@")
		grains := wire.NewMap("os_family", "Debian", "os", "Debian", "kernel", "Linux")
		if family != "" {
			grains.Set("os_family", family)
			grains.Set("os", family)
		}
		call := &module.Call{Grains: func() *wire.Map { return grains }}
		f := kinds[kind].Lookup(name).For(call)
		if f == nil {
			continue // of another system than the one the tests run on
		}
		seen++
		for _, diff := range argspecDiff(f.Spec(), splitArgspec(args), kind == "states") {
			key := kind + " " + rest[:strings.IndexByte(rest, '(')] + ": " + diff
			i := slices.IndexFunc(allowed, func(p argspecDeviation) bool { return globLine(p.pattern, key) })
			if i < 0 {
				t.Errorf("%s\n\tSalt: %s", key, args)
				continue
			}
			allowed[i].used = true
		}
	}
	for _, d := range allowed {
		if !d.used {
			t.Errorf("nothing differs as testdata/argspec-deviations says: %s", d.pattern)
		}
	}
	if seen < 800 {
		t.Errorf("%d functions compared", seen)
	}
}

var update = flag.Bool("update", false, "rewrite expected files")

// TestRunnerNames holds the runners that a minion tells of (sys.runner_argspec) to those
// that a master has. -update writes them anew.
func TestRunnerNames(t *testing.T) {
	const file = "../../minion/modules/runners.txt"
	r := runners.New(nil, events.New(), slog.New(slog.DiscardHandler)).Registry()
	var want strings.Builder
	for _, name := range r.Names() {
		spec, err := module.ToWire(r.Lookup(name).Spec().Map())
		if err != nil {
			t.Fatal(err)
		}
		text, err := pytext.JSON(spec, -1, false)
		if err != nil {
			t.Fatal(err)
		}
		want.WriteString(name + "\t" + text + "\n")
	}
	if *update {
		if err := os.WriteFile(file, []byte(want.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != want.String() {
		t.Errorf("%s is not the list of runners (%v); rewrite it with: go test ./internal/gendocs -run TestRunnerNames -update", file, err)
	}
}

type argspecDeviation struct {
	pattern string
	used    bool
}

// argspecDeviations are the lines of the file that are no reasons.
func argspecDeviations(t *testing.T) []argspecDeviation {
	t.Helper()
	text, err := os.ReadFile("testdata/argspec-deviations")
	if err != nil {
		t.Fatal(err)
	}
	var out []argspecDeviation
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			out = append(out, argspecDeviation{pattern: line})
		}
	}
	return out
}

// globLine matches a pattern in which * stands for any text.
func globLine(pattern, s string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == s
	}
	s, ok := strings.CutPrefix(s, parts[0])
	for _, p := range parts[1 : len(parts)-1] {
		_, after, found := strings.Cut(s, p)
		s, ok = after, ok && found
	}
	return ok && strings.HasSuffix(s, parts[len(parts)-1])
}

// splitArgspec splits a list of arguments at the commas that are in no bracket or quote.
func splitArgspec(s string) []string {
	var out []string
	depth, quote, start := 0, rune(0), 0
	for i, r := range s {
		switch {
		case quote != 0:
			if r == quote {
				quote = 0
			}
		case r == '\'' || r == '"':
			quote = r
		case strings.ContainsRune("([{", r):
			depth++
		case strings.ContainsRune(")]}", r):
			depth--
		case r == ',' && depth == 0:
			out, start = append(out, strings.TrimSpace(s[start:i])), i+1
		}
	}
	if last := strings.TrimSpace(s[start:]); last != "" {
		out = append(out, last)
	}
	return out
}

// argspecDiff tells in what a function differs from Salt's signature. byName is for
// functions whose arguments are never given by position.
func argspecDiff(have module.Spec, want []string, byName bool) (diffs []string) {
	var position []string
	defaults := map[string]string{}
	for i, a := range have.Args {
		if !slices.Contains(have.KwOnly, a) {
			position = append(position, a)
		}
		if k := i - (len(have.Args) - len(have.Defaults)); k >= 0 {
			defaults[a] = pytext.Repr(have.Defaults[k])
		}
	}
	star, kwargs, n := false, false, 0
	for _, w := range want {
		if w == "*" || w == "**" {
			star, kwargs = star || w == "*", kwargs || w == "**"
			continue
		}
		name, def, optional := strings.Cut(w, "=")
		switch {
		case !slices.Contains(have.Args, name):
			if !byName || !have.Kwargs {
				diffs = append(diffs, "no "+name)
			}
		case !byName && (n >= len(position) || position[n] != name):
			diffs = append(diffs, fmt.Sprintf("%s is not the argument %d", name, n+1))
		}
		n++
		got, has := defaults[name]
		switch {
		case !slices.Contains(have.Args, name) || def == "?":
		case has != optional:
			diffs = append(diffs, fmt.Sprintf("%s: required is %v", name, !has))
		case has && got != def && strings.TrimSuffix(got, ".0") != def:
			diffs = append(diffs, fmt.Sprintf("%s=%s, not %s", name, got, def))
		}
	}
	if !byName && len(position) > n {
		diffs = append(diffs, "takes by position "+strings.Join(position[n:], " "))
	}
	if star != have.Varargs {
		diffs = append(diffs, fmt.Sprintf("takes further arguments: %v", have.Varargs))
	}
	if len(have.Args) > n && !kwargs && !byName {
		for _, a := range have.Args {
			if !slices.ContainsFunc(want, func(w string) bool { name, _, _ := strings.Cut(w, "="); return name == a }) {
				diffs = append(diffs, "more than Salt: "+a)
			}
		}
	}
	return diffs
}
