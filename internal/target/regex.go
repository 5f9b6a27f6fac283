package target

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/dlclark/regexp2"
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
	tr, err := translate(source)
	if err != nil {
		return nil, fmt.Errorf("%q is no regular expression: %w", source, err)
	}
	anchored := func(body string) string {
		end := ")"
		if strings.Contains(tr.flags, "x") {
			end = "\n)" // behind a comment that ends the expression
		}
		flags := ""
		if tr.flags != "" {
			flags = "(?" + tr.flags + ")"
		}
		return flags + start + `(?:` + body + end
	}
	r := &regex{source: source}
	r.slow = sync.OnceValues(func() (*regexp2.Regexp, error) {
		re, err := regexp2.Compile(anchored(tr.slow), regexp2.None)
		if err != nil {
			return nil, fmt.Errorf("%q is no regular expression: %s", source, cleanRegexError(err, tr.slow))
		}
		re.MatchTimeout = regexTimeout
		return re, nil
	})
	if r.fast, err = regexp.Compile(anchored(tr.fast)); err != nil {
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

// translated is a Python expression in the words of the two engines.
type translated struct{ flags, fast, slow string }

// translate rewrites what Python writes differently: \Z, \u0041, {,3}, named groups
// and references to them (which become numbers), "[" within a set; global flags are
// taken from the front. It refuses the escapes that Python refuses and the engines
// would take for something else.
func translate(source string) (translated, error) {
	t := translator{rest: []rune(source), names: map[string]int{}}
	t.prefix()
	for t.i < len(t.rest) {
		if err := t.step(); err != nil {
			return translated{}, fmt.Errorf("%w at character %d", err, t.i+1)
		}
	}
	if t.depth > 0 {
		return translated{}, errors.New("missing closing )")
	}
	return translated{flags: t.flags, fast: t.fast.String(), slow: t.slow.String()}, nil
}

type translator struct {
	rest       []rune
	i          int
	flags      string
	groups     int
	depth      int // parentheses open; the engines see the expression within a group
	names      map[string]int
	fast, slow strings.Builder
}

func (t *translator) both(s string) {
	t.fast.WriteString(s)
	t.slow.WriteString(s)
}

func (t *translator) at(s string) bool {
	return strings.HasPrefix(string(t.rest[t.i:min(len(t.rest), t.i+len(s))]), s)
}

// prefix takes global flags: (?i), (?sx).
func (t *translator) prefix() {
	for t.at("(?") {
		j := t.i + 2
		for j < len(t.rest) && strings.ContainsRune("aiLmsux", t.rest[j]) {
			j++
		}
		if j == t.i+2 || j >= len(t.rest) || t.rest[j] != ')' {
			return
		}
		for _, f := range t.rest[t.i+2 : j] {
			if strings.ContainsRune("imsx", f) && !strings.ContainsRune(t.flags, f) {
				t.flags += string(f)
			}
		}
		t.i = j + 1
	}
}

func (t *translator) step() error {
	c := t.rest[t.i]
	switch c {
	case '\\':
		return t.escape(false)
	case '[':
		return t.set()
	case '(':
		return t.group()
	case ')':
		if t.depth--; t.depth < 0 {
			return errors.New("unexpected )")
		}
	case '#':
		if strings.Contains(t.flags, "x") {
			for t.i < len(t.rest) && t.rest[t.i] != '\n' {
				t.i++
			}
			return nil
		}
	case '{':
		// Python reads {,3} as {0,3}, the engines as text.
		if t.at("{,") {
			j := t.i + 2
			for j < len(t.rest) && t.rest[j] >= '0' && t.rest[j] <= '9' {
				j++
			}
			if j > t.i+2 && j < len(t.rest) && t.rest[j] == '}' {
				t.both("{0," + string(t.rest[t.i+2:j]) + "}")
				t.i = j + 1
				return nil
			}
		}
	}
	t.both(string(c))
	t.i++
	return nil
}

// group takes what begins with "(".
func (t *translator) group() error {
	name := func(open string, end rune) (string, error) {
		j := t.i + len(open)
		k := j
		for k < len(t.rest) && t.rest[k] != end {
			k++
		}
		if k >= len(t.rest) || k == j {
			return "", fmt.Errorf("a name and %q are expected after %s", end, open)
		}
		t.i = k + 1
		return string(t.rest[j:k]), nil
	}
	switch {
	case t.at("(?#"):
		for t.i < len(t.rest) && t.rest[t.i] != ')' {
			t.i++
		}
		if t.i == len(t.rest) {
			return fmt.Errorf("the comment has no end")
		}
		t.i++
	case t.at("(?P<"):
		n, err := name("(?P<", '>')
		if err != nil {
			return err
		}
		t.groups++
		if t.names[n] != 0 {
			return fmt.Errorf("a second group named %q", n)
		}
		t.names[n] = t.groups
		t.depth++
		t.both("(")
	case t.at("(?P="):
		n, err := name("(?P=", ')')
		if err != nil {
			return err
		}
		if t.names[n] == 0 {
			return fmt.Errorf("no group named %q before it", n)
		}
		t.both(fmt.Sprintf(`(?:\%d)`, t.names[n]))
	case t.at("(?("):
		n, err := name("(?(", ')')
		if err != nil {
			return err
		}
		if k := t.names[n]; k != 0 {
			n = fmt.Sprint(k)
		}
		t.depth++
		t.both("(?(" + n + ")")
	case t.at("(?P"), t.at("(?<") && !t.at("(?<=") && !t.at("(?<!"):
		return fmt.Errorf("%q begins nothing", string(t.rest[t.i:min(len(t.rest), t.i+4)]))
	case t.at("(?"):
		// Flags of a group lose those that Go's engine does not have.
		t.depth++
		t.both("(?")
		t.i += 2
		start := t.i
		for t.i < len(t.rest) && strings.ContainsRune("aLimsux-", t.rest[t.i]) {
			if !strings.ContainsRune("aLu", t.rest[t.i]) {
				t.both(string(t.rest[t.i]))
			}
			t.i++
		}
		if t.i > start && t.at(")") {
			return fmt.Errorf("flags for the whole expression stand at its start")
		}
	default:
		t.groups++
		t.depth++
		t.both("(")
		t.i++
	}
	return nil
}

// escape takes what begins with a backslash, within a set or outside.
func (t *translator) escape(inSet bool) error {
	if t.i+1 >= len(t.rest) {
		return fmt.Errorf(`a backslash ends it: write \\ for a backslash`)
	}
	c := t.rest[t.i+1]
	hex := map[rune]int{'x': 2, 'u': 4, 'U': 8}[c]
	switch {
	case hex > 0:
		end := t.i + 2 + hex
		digits := ""
		if end <= len(t.rest) {
			digits = string(t.rest[t.i+2 : end])
		}
		var r rune
		if _, err := fmt.Sscanf(digits, "%x", &r); err != nil || len(digits) != hex || strings.Trim(digits, "0123456789abcdefABCDEF") != "" || r > 0x10ffff {
			return fmt.Errorf(`%d hexadecimal digits are expected after \%c`, hex, c)
		}
		t.both(quoteRune(r))
		t.i = end
		return nil
	case c == 'Z' && !inSet:
		t.both(`\z`)
	case strings.ContainsRune("dDsSwWafnrtv", c), c == 'b':
		t.both(`\` + string(c))
	case strings.ContainsRune("AB", c) && !inSet:
		t.both(`\` + string(c))
	case c >= '0' && c <= '9':
		return t.digits(inSet)
	case c < 128 && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'):
		return fmt.Errorf(`\%c means nothing`, c)
	default:
		t.both(quoteRune(c))
	}
	t.i += 2
	return nil
}

// digits takes \0, octal numbers and references to groups, by Python's rules.
func (t *translator) digits(inSet bool) error {
	octal := func(r rune) bool { return r >= '0' && r <= '7' }
	j := t.i + 1
	at := func(k int) rune {
		if k < len(t.rest) {
			return t.rest[k]
		}
		return 0
	}
	three := octal(at(j)) && octal(at(j+1)) && octal(at(j+2))
	switch {
	case at(j) == '0' || three || inSet:
		n, value := 0, rune(0)
		for n < 3 && octal(at(j+n)) {
			value = value*8 + at(j+n) - '0'
			n++
		}
		if n == 0 || value > 0o377 {
			return fmt.Errorf("an octal number up to 377 is expected after the backslash")
		}
		t.both(quoteRune(value))
		t.i = j + n
	default:
		k := j + 1
		if d := at(k); d >= '0' && d <= '9' {
			k++
		}
		var group int
		fmt.Sscan(string(t.rest[j:k]), &group)
		if group > t.groups {
			return fmt.Errorf("no group %d before it", group)
		}
		t.both(fmt.Sprintf(`(?:\%d)`, group))
		t.i = k
	}
	return nil
}

// set takes what begins with "[".
func (t *translator) set() error {
	start := t.i
	t.both("[")
	t.i++
	if t.at("^") {
		t.both("^")
		t.i++
	}
	first := true
	for t.i < len(t.rest) {
		switch c := t.rest[t.i]; {
		case c == ']' && !first:
			t.both("]")
			t.i++
			return nil
		case c == '\\':
			if err := t.escape(true); err != nil {
				return err
			}
		case c == '[' || c == ']':
			t.both(`\` + string(c))
			t.i++
		default:
			t.both(string(c))
			t.i++
		}
		first = false
	}
	t.i = start
	return fmt.Errorf(`the "[" has no "]"`)
}

// quoteRune writes a character that means itself.
func quoteRune(r rune) string {
	switch {
	case r < ' ' || r == 0x7f:
		return fmt.Sprintf(`\x%02x`, r)
	case r < 128 && !(r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '_' || r == ' '):
		return `\` + string(r)
	case r == ' ':
		return `\x20` // kept where the flag x drops spaces
	}
	return string(r)
}
