// Package pyre is Python's re: expressions in Python's syntax with Python's results. Go's
// engine runs them, whose time grows with the text only; what that one does not have
// (look-around, references back), and texts beyond printable ASCII, for which Python's
// classes are wider, go to a backtracking engine under a time limit.
//
// Start at Compile.
package pyre

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
	"sync"
	"time"

	"github.com/dlclark/regexp2"
)

// Timeout ends a match of the backtracking engine. It is far above what any sound
// expression takes, as it counts what a busy machine does meanwhile, too.
const Timeout = 10 * time.Second

// MaxLength is the length of the longest expression taken.
const MaxLength = 64 << 10

// Regexp is an expression that has been read. It may be used by many goroutines.
type Regexp struct {
	source string
	tr     Translated
	fast   *regexp.Regexp // nil where Go's engine refuses
	begin  *regexp.Regexp // fast, at the start of a text only
	empty  bool           // fast may match no text at all, at some place
	slow   func() (*regexp2.Regexp, error)
}

// cache keeps expressions by source and flags, as Python's re does.
var cache = struct {
	sync.Mutex
	m map[string]*Regexp
}{m: map[string]*Regexp{}}

// Compile reads an expression; flags are of "ims".
func Compile(source, flags string) (*Regexp, error) {
	key := flags + "/" + source
	cache.Lock()
	re := cache.m[key]
	cache.Unlock()
	if re != nil {
		return re, nil
	}
	re, err := compile(source, flags)
	if err != nil {
		return nil, err
	}
	cache.Lock()
	defer cache.Unlock()
	if len(cache.m) >= 512 {
		clear(cache.m)
	}
	cache.m[key] = re
	return re, nil
}

func compile(source, flags string) (*Regexp, error) {
	if len(source) > MaxLength {
		return nil, fmt.Errorf("a regular expression of %d bytes: at most %d are allowed", len(source), MaxLength)
	}
	tr, err := Translate(source)
	if err != nil {
		return nil, fmt.Errorf("%q is no regular expression: %w", source, err)
	}
	for _, f := range flags {
		if !strings.ContainsRune(tr.Flags, f) {
			tr.Flags += string(f)
		}
	}
	front, end := "", ""
	if tr.Flags != "" {
		front = "(?" + tr.Flags + ")"
	}
	if strings.Contains(tr.Flags, "x") {
		end = "\n" // behind a comment that ends the expression
	}
	re := &Regexp{source: source, tr: tr}
	re.slow = sync.OnceValues(func() (*regexp2.Regexp, error) {
		r, err := regexp2.Compile(front+"(?:"+tr.Slow+end+")", regexp2.None)
		if err != nil {
			return nil, fmt.Errorf("%q is no regular expression: %s", source, cleanError(err))
		}
		r.MatchTimeout = Timeout
		return r, nil
	})
	if re.fast, err = regexp.Compile(front + "(?:" + tr.Fast + end + ")"); err == nil {
		if tree, err := syntax.Parse(re.fast.String(), syntax.Perl); err != nil || mayBeEmpty(tree) {
			re.empty = true
		}
		re.begin, err = regexp.Compile(front + `\A(?:` + tr.Fast + end + ")")
	}
	if err != nil {
		re.fast, re.begin = nil, nil
		if _, err := re.slow(); err != nil {
			return nil, err
		}
	}
	return re, nil
}

// cleanError takes the expression, as it was rewritten, out of an engine's message.
func cleanError(err error) string {
	text := strings.TrimPrefix(err.Error(), "error parsing regexp: ")
	if i := strings.Index(text, " in `"); i >= 0 {
		text = text[:i]
	}
	return text
}

// Groups is the number of groups.
func (re *Regexp) Groups() int { return re.tr.Groups }

// Group is what a group, or the whole expression, matched.
type Group struct {
	Text string
	Set  bool // false for a group that took no part: None
}

// Match holds the expression against the start of a text and returns the groups, the
// whole match first; nil where there is none.
func (re *Regexp) Match(text string) ([]Group, error) {
	if re.fast != nil && printable(text) {
		return groups(text, re.begin.FindStringSubmatchIndex(text)), nil
	}
	ms, err := re.find(text, true, 1)
	if err != nil || len(ms) == 0 {
		return nil, err
	}
	return ms[0].groups, nil
}

// Search looks for the first match.
func (re *Regexp) Search(text string) ([]Group, error) {
	if re.fast != nil && printable(text) {
		return groups(text, re.fast.FindStringSubmatchIndex(text)), nil
	}
	ms, err := re.find(text, false, 1)
	if err != nil || len(ms) == 0 {
		return nil, err
	}
	return ms[0].groups, nil
}

func groups(text string, at []int) []Group {
	if at == nil {
		return nil
	}
	out := make([]Group, len(at)/2)
	for i := range out {
		if at[2*i] >= 0 {
			out[i] = Group{text[at[2*i]:at[2*i+1]], true}
		}
	}
	return out
}

// match is one match with its place in the runes of the text.
type match struct {
	start, end int
	groups     []Group
}

// find lists up to max matches (all for 0) as re.finditer does: an empty one may follow
// another that is not empty.
func (re *Regexp) find(text string, anchored bool, max int) ([]match, error) {
	slow, err := re.slow()
	if err != nil {
		return nil, err
	}
	runes := []rune(text)
	var out []match
	at := 0
	stop := time.Now().Add(Timeout)
	for at <= len(runes) {
		m, err := slow.FindRunesMatchStartingAt(runes, at)
		if err != nil || time.Now().After(stop) {
			return nil, fmt.Errorf("the regular expression %q took more than %v on %d bytes: write it without nested repetition", re.source, Timeout, len(text))
		}
		if m == nil || anchored && m.Index != 0 {
			break
		}
		end := m.Index + m.Length
		gs := make([]Group, re.tr.Groups+1)
		gs[0] = Group{m.String(), true}
		for i := 1; i <= re.tr.Groups; i++ {
			if g := m.GroupByNumber(i); g != nil && len(g.Captures) > 0 {
				gs[i] = Group{g.String(), true}
			}
		}
		out = append(out, match{m.Index, end, gs})
		if max > 0 && len(out) >= max {
			break
		}
		if at = end; m.Length == 0 {
			at++
		}
	}
	return out, nil
}

// Sub replaces all matches by a text in which \1 and \g<name> stand for groups.
func (re *Regexp) Sub(repl, text string) (string, error) {
	out, _, err := re.SubN(repl, text, 0)
	return out, err
}

// part is a text of a replacement, or a group where that is not negative.
type part struct {
	text  string
	group int
}

// template reads a replacement by the rules of re.sub.
func (re *Regexp) template(repl string) ([]part, error) {
	var parts []part
	var lit strings.Builder
	flush := func() {
		if lit.Len() > 0 {
			parts = append(parts, part{lit.String(), -1})
			lit.Reset()
		}
	}
	group := func(n, at int) error {
		if n > re.tr.Groups {
			return fmt.Errorf("invalid group reference %d at position %d", n, at)
		}
		flush()
		parts = append(parts, part{group: n})
		return nil
	}
	digit := func(i int) bool { return i < len(repl) && repl[i] >= '0' && repl[i] <= '9' }
	octal := func(i int) bool { return i < len(repl) && repl[i] >= '0' && repl[i] <= '7' }
	for i := 0; i < len(repl); i++ {
		if repl[i] != '\\' {
			lit.WriteByte(repl[i])
			continue
		}
		i++
		if i == len(repl) {
			return nil, fmt.Errorf("bad escape (end of pattern) at position %d", i-1)
		}
		c := repl[i]
		switch {
		case c == 'g':
			end := strings.IndexByte(repl[i:], '>')
			if i+1 >= len(repl) || repl[i+1] != '<' {
				return nil, fmt.Errorf("missing < at position %d", i+1)
			}
			if end < 0 {
				return nil, fmt.Errorf("missing >, unterminated name at position %d", i+2)
			}
			name, at := repl[i+2:i+end], i+2
			i += end
			n, named := re.tr.Names[name]
			if !named {
				if _, err := fmt.Sscanf(name, "%d", &n); err != nil || strings.Trim(name, "0123456789") != "" {
					return nil, fmt.Errorf("unknown group name '%s'", name)
				}
			}
			if err := group(n, at); err != nil {
				return nil, err
			}
		case c == '0':
			v := 0
			j := i + 1
			for j < i+3 && octal(j) {
				v = v*8 + int(repl[j]-'0')
				j++
			}
			lit.WriteRune(rune(v & 0xff))
			i = j - 1
		case c >= '1' && c <= '9':
			if digit(i+1) && octal(i) && octal(i+1) && octal(i+2) {
				v := int(c-'0')*64 + int(repl[i+1]-'0')*8 + int(repl[i+2]-'0')
				if v > 0o377 {
					return nil, fmt.Errorf(`octal escape value \%s outside of range 0-0o377 at position %d`, repl[i:i+3], i-1)
				}
				lit.WriteRune(rune(v))
				i += 2
				continue
			}
			n, at := int(c-'0'), i
			if digit(i + 1) {
				n = n*10 + int(repl[i+1]-'0')
				i++
			}
			if err := group(n, at); err != nil {
				return nil, err
			}
		case strings.IndexByte(`abfnrtv\`, c) >= 0:
			lit.WriteByte("\a\b\f\n\r\t\v\\"[strings.IndexByte(`abfnrtv\`, c)])
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
			return nil, fmt.Errorf(`bad escape \%c at position %d`, c, i-1)
		default:
			lit.WriteByte('\\')
			lit.WriteByte(c)
		}
	}
	flush()
	return parts, nil
}

// Escape is re.escape: what has a meaning in expressions gets a backslash.
func Escape(text string) string {
	var b strings.Builder
	for _, r := range text {
		if strings.ContainsRune("()[]{}?*+-|^$\\.&~# \t\n\r\v\f", r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
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
