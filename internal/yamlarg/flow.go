package yamlarg

import (
	"fmt"
	"strings"
)

// What stood before the place where a token begins.
type before int

const (
	opening   before = iota // an opening bracket or a comma: an element is due
	scalarEnd               // a scalar or a closing bracket: it may be a key
	colon                   // ":" of a pair: a value is due
	mark                    // "?": a key is due
)

// oldFlow holds text that begins with a bracket to the rules of libyaml, which Salt
// reads with; the parser here follows newer ones. Where libyaml finds an error, as in
// [::1] and {a:}, so does this; elsewhere it writes the text so that both read it alike.
func oldFlow(s string) (string, error) {
	if t := strings.TrimLeft(s, " "); t == "" || t[0] != '[' && t[0] != '{' || strings.Contains(s, "\n") {
		return s, nil
	}
	var b strings.Builder
	last, depth := opening, 0
	for i := 0; i < len(s); {
		n := 1 // length of the token
		switch c := s[i]; {
		case c == ' ':
		case c == '#':
			b.WriteString(" " + s[i:])
			return b.String(), nil
		case depth == 0 && c != '[' && c != '{':
			b.WriteString(s[i:])
			return b.String(), nil
		case c == '[' || c == '{':
			depth++
			last = opening
		case c == ']' || c == '}':
			depth--
			last = scalarEnd
		case c == ',':
			last = opening
		case c == ':' && (last == opening || last == colon):
			return "", fmt.Errorf("character %d: a value was expected, not \":\"; write \": \" between key and value, or quotes around text", i+1)
		case c == ':':
			last = colon
		case c == '?' && last == colon:
			return "", fmt.Errorf("character %d: a value was expected, not \"?\"", i+1)
		case c == '?':
			last = mark
			b.WriteString("? ")
			i++
			continue
		case c == '"' || c == '\'':
			n = quotedLen(s[i:], c)
			last = scalarEnd
		case c == '-' && i+1 < len(s) && strings.IndexByte(",]}", s[i+1]) >= 0:
			b.WriteString(`"-"`)
			last = scalarEnd
			i++
			continue
		case c == '&' || c == '*' || c == '!':
			if n = strings.IndexAny(s[i:], " ,[]{}"); n < 0 {
				n = len(s) - i
			}
			if c == '*' {
				last = scalarEnd
			}
		default:
			var err error
			if n, err = plainLen(s, i); err != nil {
				return "", err
			}
			last = scalarEnd
		}
		b.WriteString(s[i : i+n])
		i += n
	}
	return b.String(), nil
}

// quotedLen is the length of the quoted text that s begins with, all of s when it is not closed.
func quotedLen(s string, quote byte) int {
	for i := 1; i < len(s); i++ {
		switch {
		case quote == '"' && s[i] == '\\':
			i++
		case s[i] != quote:
		case quote == '\'' && i+1 < len(s) && s[i+1] == quote:
			i++
		default:
			return i + 1
		}
	}
	return len(s)
}

// plainLen is the length of the plain scalar at s[i:], at least 1.
func plainLen(s string, i int) (int, error) {
	for j := i; j < len(s); j++ {
		next := byte(' ')
		if j+1 < len(s) {
			next = s[j+1]
		}
		switch c := s[j]; {
		case c == ':' && next == ' ':
			return max(j-i, 1), nil
		case c == ':' && strings.IndexByte(",?[]{}", next) >= 0:
			return 0, fmt.Errorf("character %d: \":\" stands before %q; write \": \" between key and value, or quotes around text", j+1, next)
		case strings.IndexByte(",[]{}", c) >= 0, c == ' ' && next == '#':
			return max(j-i, 1), nil
		}
	}
	return len(s) - i, nil
}
