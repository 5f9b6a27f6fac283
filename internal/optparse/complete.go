package optparse

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// Candidate is one way to go on with a command line.
type Candidate struct{ Text, Help string }

// Unfinished is what a command line that is being typed asks to be completed.
type Unfinished struct {
	Options []Candidate // the current word is an option: those that begin like it
	Value   *Option     // the current word is the value of this option
	Prefix  string      // of the current word, where it holds option and value: "--out="
	Args    []string    // positional arguments before the current word
	Word    string      // what there is of the word, or of the value
	On      []string    // names of the options given before
}

// Complete says what comes next after words, where word has been begun.
func (p *Parser) Complete(words []string, word string) Unfinished {
	u := Unfinished{Word: word}
	for i := 0; i < len(words); i++ {
		w := words[i]
		if w == "--" {
			u.Args = append(u.Args, words[i+1:]...)
			return u
		}
		if len(w) < 2 || w[0] != '-' {
			u.Args = append(u.Args, w)
			continue
		}
		o, inline := p.optionOf(w)
		if o == nil {
			continue
		}
		u.On = append(u.On, o.Names...)
		if o.NoValue || inline {
			continue
		}
		if i++; i == len(words) {
			u.Value = o
			return u
		}
	}
	if !strings.HasPrefix(word, "-") {
		return u
	}
	if name, value, ok := strings.Cut(word, "="); ok && strings.HasPrefix(word, "--") {
		if o, _ := p.optionOf(name); o != nil && !o.NoValue {
			u.Value, u.Word, u.Prefix = o, value, name+"="
		}
		return u
	}
	for o := range p.All() {
		for _, name := range o.Names {
			if !strings.HasPrefix(name, word) || len(name) == 2 && word != name && word != "-" {
				continue
			}
			help, _, _ := strings.Cut(p.expand(o.HelpText()), ". ")
			u.Options = append(u.Options, Candidate{name, strings.TrimSuffix(help, ".")})
		}
	}
	slices.SortFunc(u.Options, func(a, b Candidate) int { return strings.Compare(a.Text, b.Text) })
	return u
}

// optionOf finds the option that a word is; inline says that the word holds its value, too.
func (p *Parser) optionOf(w string) (o *Option, inline bool) {
	if strings.HasPrefix(w, "--") {
		name, _, inline := strings.Cut(w, "=")
		if o, _, exit := p.match(name); exit == nil {
			return o, inline
		}
		return nil, false
	}
	for i := 1; i < len(w); i++ { // -vb 3, -b3
		o := p.named("-" + w[i:i+1])
		if o == nil {
			return nil, false
		}
		if !o.NoValue || i == len(w)-1 {
			return o, i < len(w)-1
		}
	}
	return nil, false
}

// CompleteOption comes first on the command line that the shells call while somebody
// types: --complete SHELL and the words so far. It is no option that people see.
const CompleteOption = "--complete"

// completeFiles is the exit code that asks the shell for file names.
const completeFiles = 3

// AnswerShell answers a shell: args are its name and the words after the program's, of
// which the last is being typed; for bash the whole line, since bash cuts words at =
// and :. more completes arguments and values of options; nil where there are none. The
// result is the exit code.
func (p *Parser) AnswerShell(w io.Writer, args []string, more func(u Unfinished, words []string) (found []Candidate, files bool)) int {
	shell, words := args[0], args[1:]
	if shell == "bash" && len(words) == 1 {
		var quoted bool
		if words, quoted = splitLine(words[0]); quoted {
			return completeFiles // the shell knows better how to go on within quotes
		}
		words = words[1:]
	}
	word := ""
	if len(words) > 0 {
		words, word = words[:len(words)-1], words[len(words)-1]
	}
	u := p.Complete(words, word)
	found, files := u.Options, false
	switch {
	case u.Value != nil && len(u.Value.Choices) > 0:
		for _, c := range u.Value.Choices {
			found = append(found, Candidate{Text: c})
		}
	case more != nil && (u.Value != nil || len(found) == 0 && !strings.HasPrefix(word, "-")):
		found, files = more(u, words)
	}
	found = slices.DeleteFunc(slices.Clone(found), func(k Candidate) bool { return !strings.HasPrefix(k.Text, u.Word) })
	if files && len(found) == 0 {
		return completeFiles
	}
	for _, k := range found {
		fmt.Fprintln(w, forShell(shell, u.Prefix+k.Text, k.Help, word))
	}
	return 0
}

// forShell writes a candidate as the shell's script expects it.
func forShell(shell, text, help, word string) string {
	help = strings.Join(strings.Fields(help), " ")
	switch {
	case shell == "bash":
		return text[strings.LastIndexAny(word, "=:")+1:]
	case shell == "zsh":
		text = strings.ReplaceAll(text, ":", `\:`)
		if help != "" {
			text += ":" + help
		}
	case help != "":
		text += "\t" + help
	}
	return text
}

// splitLine cuts what has been typed into words, as the shell will; the last one is
// what is being typed. quoted says that it has an open quote.
func splitLine(s string) (words []string, quoted bool) {
	word, quote, begun := "", byte(0), false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '\'' || c == '"'):
			quote, begun = c, true
		case c == '\\' && quote != '\'' && i+1 < len(s):
			i++
			word, begun = word+s[i:i+1], true
		case quote == 0 && (c == ' ' || c == '\t'):
			if begun {
				words = append(words, word)
			}
			word, begun = "", false
		default:
			word, begun = word+s[i:i+1], true
		}
	}
	return append(words, word), quote != 0
}
