package module

import (
	"strings"
	"unicode"
)

// keyword parts "name=value" as Salt does: the name begins with a letter or "_"
// and goes on with letters, digits, "_", "." and "-"; "==" is not an assignment,
// and a text of several lines is never a keyword.
func keyword(s string) (name, value string, ok bool) {
	name, value, ok = strings.Cut(s, "=")
	if !ok || name == "" || strings.HasPrefix(value, "=") {
		return "", "", false
	}
	for i, r := range name {
		word := r == '_' || unicode.IsLetter(r)
		if i > 0 {
			word = word || unicode.IsDigit(r) || r == '.' || r == '-'
		}
		if !word {
			return "", "", false
		}
	}
	value = strings.TrimSuffix(value, "\n")
	if strings.Contains(value, "\n") {
		return "", "", false
	}
	return name, value, true
}
