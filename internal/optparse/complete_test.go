package optparse

import (
	"slices"
	"strings"
	"testing"
)

func TestAnswerShell(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"fish --st", "--static\tWait for all"},
		{"bash|tool --st", "--static"},
		{"bash|tool -l d", "debug"},
		{"bash|tool --log-level=d", "debug"},
		{"fish --log-level=d", "--log-level=debug"},
		{"zsh --hide", `--hide-timeout:Hide what did not answer in time, which is a help text that goes over more than one line of the terminal`},
		{"fish -t ", ""},
		{"fish -t 5 x", "arg x after []"},
		{"fish one -s --timeout=3 -vl all two x", "arg x after [one two]"},
		{"fish -- --st x", "arg x after [--st]"},
		{"fish -b3 x", "arg x after []"},
		{"fish --out x", "value x of output"},
		{"fish --out=x", "value x of output"},
		{`bash|tool 'a b' c\ d x`, "arg x after [a b c d]"},
		{`bash|tool 'a b`, "exit 3"},
		{"bash|tool a:b=x", "x"},
		{"fish file", "exit 3"},
		{"fish --bogus x", "arg x after []"},
	} {
		shell, rest, line := strings.Cut(c.args, "|")
		args := []string{shell, rest}
		if !line {
			args = strings.Split(c.args, " ")
		}
		var b strings.Builder
		code := exampleParser(&example{}).AnswerShell(&b, args, func(u Unfinished, _ []string) ([]Candidate, bool) {
			switch {
			case u.Word == "file":
				return nil, true
			case u.Word == "a:b=x":
				return []Candidate{{Text: u.Word}}, false
			case u.Word == "":
				return nil, false
			case u.Value != nil:
				b.WriteString("value " + u.Word + " of " + u.Value.Dest)
			default:
				b.WriteString("arg " + u.Word + " after [" + strings.Join(u.Args, " ") + "]")
			}
			return nil, false
		})
		got := strings.TrimSpace(b.String())
		if code != 0 {
			got = "exit 3"
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.args, got, c.want)
		}
	}
}

func FuzzSplitLine(f *testing.F) {
	f.Add(`gosalt 'web*' cmd.run "a b" c\ d`)
	f.Fuzz(func(t *testing.T, s string) {
		words, _ := splitLine(s)
		if len(words) == 0 {
			t.Error("there is always a word being typed")
		}
		if !strings.ContainsAny(s, `'"\ `+"\t") && !slices.Equal(words, []string{s}) {
			t.Errorf("%q is cut into %q", s, words)
		}
	})
}
