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

// oldFlow holds text that begins with a bracket or an anchor to the rules of libyaml,
// which Salt reads with; the parser here follows newer ones. Where libyaml finds an
// error, as in [::1], {a:} and &$x, so does this; elsewhere it writes the text so that
// both read it alike.
func oldFlow(s string) (string, error) {
	t := strings.TrimLeft(s, " ")
	if strings.HasPrefix(t, ": ") {
		return "", fmt.Errorf("a key was expected before \": \"")
	}
	if t == "" || strings.IndexByte("[{&*!", t[0]) < 0 || strings.Contains(s, "\n") {
		return s, nil
	}
	var b strings.Builder
	last := opening
	var open []byte // the brackets that are open
	for i := 0; i < len(s); {
		n := 1 // length of the token
		switch c := s[i]; {
		case c == ' ':
		case c == '#':
			b.WriteString(" " + s[i:])
			return b.String(), nil
		case len(open) == 0 && strings.IndexByte("[{&*!", c) < 0:
			b.WriteString(s[i:])
			return b.String(), nil
		case c == '[' || c == '{':
			open = append(open, c)
			last = opening
		case c == ']' || c == '}':
			open = open[:len(open)-1]
			last = scalarEnd
		case c == ',':
			last = opening
		case c == ':' && (last == opening || last == colon):
			return "", fmt.Errorf("character %d: a value was expected, not \":\"; write \": \" between key and value, or quotes around text", i+1)
		case c == ':':
			last = colon
		case c == '?' && last == colon:
			return "", fmt.Errorf("character %d: a value was expected, not \"?\"", i+1)
		case c == '?' && open[len(open)-1] == '[' && (i+1 == len(s) || strings.IndexByte(",]:", s[i+1]) >= 0):
			return "", fmt.Errorf("character %d: a key was expected after \"?\"", i+1)
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
		case c == '!':
			if n = strings.IndexAny(s[i:], " ,[]{}"); n < 0 {
				n = len(s) - i
			}
			if n == 1 { // the tag that only says: text
				if i+1 < len(s) && s[i+1] != ' ' && s[i+1] != ',' {
					return "", fmt.Errorf("character %d: after the tag ! a space was expected", i+1)
				}
				b.WriteString("!!str ")
				i++
				continue
			}
		case c == '&' || c == '*':
			if n = 1 + anchorLen(s[i+1:]); n == 1 {
				return "", fmt.Errorf("character %d: after %q letters, digits, \"_\" or \"-\" were expected, and then a space", i+1, c)
			}
			b.WriteString(s[i:i+n] + " ")
			i += n
			if c == '*' {
				last = scalarEnd
			} else if rest := strings.TrimLeft(s[i:], " "); last == opening && len(open) > 0 && strings.HasPrefix(rest, ":") {
				b.WriteString("null : ") // the anchor of an empty key
				i = len(s) - len(rest) + 1
				last = colon
			}
			continue
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

// anchorLen is the length of the name of an anchor that s begins with, 0 for none.
func anchorLen(s string) int {
	n := 0
	for n < len(s) && (s[n] == '_' || s[n] == '-' || s[n] >= '0' && s[n] <= '9' || s[n]|0x20 >= 'a' && s[n]|0x20 <= 'z') {
		n++
	}
	if n < len(s) && strings.IndexByte(" ?:,]}%@`", s[n]) < 0 {
		return 0
	}
	return n
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
