package pyre

import (
	"regexp/syntax"
	"slices"
	"strings"
)

// SubN is Sub that replaces at most count matches (0 is all), and counts them.
func (re *Regexp) SubN(repl, text string, count int) (string, int, error) {
	parts, err := re.template(repl)
	if err != nil {
		return "", 0, err
	}
	var b strings.Builder
	expand := func(gs []Group) {
		for _, p := range parts {
			if p.group >= 0 {
				b.WriteString(gs[p.group].Text)
			} else {
				b.WriteString(p.text)
			}
		}
	}
	if all, ok := re.findFast(text, count); ok {
		at := 0
		for _, m := range all {
			b.WriteString(text[at:m[0]])
			expand(groups(text, m))
			at = m[1]
		}
		b.WriteString(text[at:])
		return b.String(), len(all), nil
	}
	ms, err := re.find(text, false, count)
	if err != nil || len(ms) == 0 {
		return text, 0, err
	}
	runes := []rune(text)
	at := 0
	for _, m := range ms {
		b.WriteString(string(runes[at:m.start]))
		expand(m.groups)
		at = m.end
	}
	b.WriteString(string(runes[at:]))
	return b.String(), len(ms), nil
}

// findFast lists up to count matches (all for 0) in a time that grows with the text alone,
// whatever the expression is. It is false where that may differ from what Python finds: where
// an expression needs the other engine, or may match no text at all: Go leaves out such a match
// right behind another.
func (re *Regexp) findFast(text string, count int) ([][]int, bool) {
	if re.fast == nil || re.empty || !alike(text) {
		return nil, false
	}
	// Python's $ stands before a newline at the end as well, where (?m) does not say so anyway.
	if strings.Contains(text, "\n") && strings.Contains(re.source, "$") && !strings.Contains(re.tr.Flags, "m") {
		return nil, false
	}
	if count <= 0 {
		count = -1
	}
	return re.fast.FindAllStringSubmatchIndex(text, count), true
}

// mayBeEmpty tells whether an expression can match no text: at the end of a word, say.
func mayBeEmpty(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpLiteral, syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL, syntax.OpNoMatch:
		return false
	case syntax.OpConcat:
		return !slices.ContainsFunc(re.Sub, func(s *syntax.Regexp) bool { return !mayBeEmpty(s) })
	case syntax.OpAlternate:
		return slices.ContainsFunc(re.Sub, mayBeEmpty)
	case syntax.OpCapture, syntax.OpPlus:
		return mayBeEmpty(re.Sub[0])
	case syntax.OpRepeat:
		return re.Min == 0 || mayBeEmpty(re.Sub[0])
	}
	return true
}

// alike tells whether a text has only what Python and Go put into the same classes: printable
// ASCII and the blanks of both.
func alike(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= ' ' && c <= '~', c == '\t', c == '\n', c == '\r', c == '\f':
		default:
			return false
		}
	}
	return true
}
