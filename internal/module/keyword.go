package module

import (
	"strings"
	"unicode"

	"github.com/gosalt/gosalt/internal/yamlarg"
	"github.com/gosalt/gosalt/protocol/wire"
)

// keyword parts "name=value" as Salt does: the name begins with a letter or "_"
// and goes on with letters, digits, "_", "." and "-"; "==" is not an assignment,
// and a text of several lines is never a keyword. A command line has done this
// already; other callers of a master leave it to the minion.
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

// typed reads the value of such a keyword as YAML, where that loses nothing of it:
// see salt.utils.args.yamlify_arg.
func typed(s string) any {
	bare := strings.TrimSpace(s)
	switch {
	case bare == "", bare == "---", bare == "...", strings.ContainsAny(s, "\t\r\n"):
		return s
	case strings.Contains(s, "_") && strings.Trim(bare, "0123456789_") == "":
		return s
	case s == "None":
		return nil
	}
	v, err := yamlarg.Load(s)
	if err != nil {
		return s
	}
	commented := strings.Contains(s, "#")
	switch x := v.(type) {
	case bool, int64, uint64, float64:
		return v
	case *wire.Map:
		if commented || s[0] == '{' {
			return v
		}
	case []any:
		if commented || s[0] == '[' {
			return v
		}
	case string:
		if !commented && (x != "" || s != "|" && s != "!") {
			return v
		}
	case nil:
		if !commented && s != "!" {
			return nil
		}
	}
	return s
}
