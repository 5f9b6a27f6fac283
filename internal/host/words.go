package host

import (
	"errors"
	"strings"
)

// The errors of Words, in the words of Python's shlex.
var (
	ErrNoClosingQuotation = errors.New("no closing quotation")
	ErrNoEscapedCharacter = errors.New("no escaped character")
)

// Words splits a command line as a POSIX shell would, quotes and backslashes
// removed, and expands nothing: what Python's shlex.split does.
func Words(s string) ([]string, error) {
	var words []string
	var word strings.Builder
	inWord := false
	runes := []rune(s)
	for i := 0; i < len(runes); i++ {
		r := runes[i]
		switch {
		case r == ' ' || r == '\t' || r == '\r' || r == '\n':
			if inWord {
				words = append(words, word.String())
				word.Reset()
				inWord = false
			}
		case r == '\\':
			if i++; i == len(runes) {
				return nil, ErrNoEscapedCharacter
			}
			word.WriteRune(runes[i])
			inWord = true
		case r == '\'' || r == '"':
			end, err := quoted(runes, i, &word)
			if err != nil {
				return nil, err
			}
			i, inWord = end, true
		default:
			word.WriteRune(r)
			inWord = true
		}
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}

// quoted reads the quotation that begins at i and returns where it ends.
func quoted(runes []rune, i int, word *strings.Builder) (int, error) {
	quote := runes[i]
	for i++; i < len(runes); i++ {
		switch r := runes[i]; {
		case r == quote:
			return i, nil
		case r == '\\' && quote == '"':
			if i++; i == len(runes) {
				return i, ErrNoEscapedCharacter
			}
			if runes[i] != '"' && runes[i] != '\\' {
				word.WriteByte('\\')
			}
			word.WriteRune(runes[i])
		default:
			word.WriteRune(r)
		}
	}
	return i, ErrNoClosingQuotation
}

// Quote writes one word so that a POSIX shell reads it back unchanged.
func Quote(s string) string {
	safe := s != "" && strings.IndexFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("@%+=:,./-_", r))
	}) < 0
	if safe {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'"'"'`) + "'"
}
