package pyre

import (
	"errors"
	"fmt"
	"strings"
)

// Translated is a Python expression in the words of the two engines: of Go's regexp
// and of regexp2.
type Translated struct {
	Flags      string // that stood at its start: i, m, s, x
	Fast, Slow string
	Groups     int            // that it has
	Names      map[string]int // of groups
}

// Translate rewrites what Python writes differently: \Z, \u0041, {,3}, named groups
// and references to them (which become numbers), "[" within a set; global flags are
// taken from the front. It refuses the escapes that Python refuses and the engines
// would take for something else.
func Translate(source string) (Translated, error) {
	t := translator{rest: []rune(source), names: map[string]int{}}
	t.prefix()
	for t.i < len(t.rest) {
		if err := t.step(); err != nil {
			return Translated{}, fmt.Errorf("%w at character %d", err, t.i+1)
		}
	}
	if t.depth > 0 {
		return Translated{}, errors.New("missing closing )")
	}
	return Translated{Flags: t.flags, Fast: t.fast.String(), Slow: t.slow.String(), Groups: t.groups, Names: t.names}, nil
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
