package target

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/dlclark/regexp2"

	"github.com/gosalt/gosalt/internal/pyre"
)

// regex is a Python regular expression, anchored at the start as re.match has it. It
// runs on Go's engine, whose time grows with the text only. What that one does not
// have (look-around, references back), and texts beyond printable ASCII, for which
// Python's classes are wider, go to a backtracking engine under a time limit.
type regex struct {
	source string
	fast   *regexp.Regexp // nil where Go's engine refuses
	slow   func() (*regexp2.Regexp, error)
}

// regexTimeout ends a match of the backtracking engine.
const regexTimeout = time.Second

// maxRegex is the length of the longest regular expression taken.
const maxRegex = 64 << 10

func compileRegex(source string) (*regex, error) { return compileRegexAt(source, `\A`) }

// compileRegexAt is compileRegex with another place where a match must begin; "" is any.
func compileRegexAt(source, start string) (*regex, error) {
	if len(source) > maxRegex {
		return nil, fmt.Errorf("a regular expression of %d bytes: at most %d are allowed", len(source), maxRegex)
	}
	tr, err := pyre.Translate(source)
	if err != nil {
		return nil, fmt.Errorf("%q is no regular expression: %w", source, err)
	}
	anchored := func(body string) string {
		end := ")"
		if strings.Contains(tr.Flags, "x") {
			end = "\n)" // behind a comment that ends the expression
		}
		flags := ""
		if tr.Flags != "" {
			flags = "(?" + tr.Flags + ")"
		}
		return flags + start + `(?:` + body + end
	}
	r := &regex{source: source}
	r.slow = sync.OnceValues(func() (*regexp2.Regexp, error) {
		re, err := regexp2.Compile(anchored(tr.Slow), regexp2.None)
		if err != nil {
			return nil, fmt.Errorf("%q is no regular expression: %s", source, cleanRegexError(err, tr.Slow))
		}
		re.MatchTimeout = regexTimeout
		return re, nil
	})
	if r.fast, err = regexp.Compile(anchored(tr.Fast)); err != nil {
		r.fast = nil
		if _, err := r.slow(); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// cleanRegexError takes the expression, as it was rewritten, out of an engine's message.
func cleanRegexError(err error, body string) string {
	text := strings.TrimPrefix(err.Error(), "error parsing regexp: ")
	if i := strings.Index(text, " in `"); i >= 0 {
		text = text[:i]
	}
	return text
}

// match holds the expression against the start of a text.
func (r *regex) match(s string) (bool, error) {
	if r.fast != nil && printable(s) {
		return r.fast.MatchString(s), nil
	}
	re, err := r.slow()
	if err != nil {
		if r.fast != nil {
			return r.fast.MatchString(s), nil
		}
		return false, err
	}
	ok, err := re.MatchString(s)
	if err != nil {
		return false, fmt.Errorf("the regular expression %q took more than %v on %d bytes: write it without nested repetition", r.source, regexTimeout, len(s))
	}
	return ok, nil
}

// printable tells whether both engines read a text alike: ASCII without newlines.
func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
