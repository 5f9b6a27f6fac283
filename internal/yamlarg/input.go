package yamlarg

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode"

	"github.com/gosalt/gosalt/protocol/wire"
)

// ParseInput types the arguments of a function as Salt does: each is read as YAML,
// "name=value" becomes a keyword argument, and those follow together as one map
// that holds __kwarg__: true. Keywords named in noParse keep their text.
func ParseInput(args, noParse []string) []any {
	out := make([]any, 0, len(args)+1)
	kwargs := wire.NewMap()
	for _, arg := range args {
		name, value, ok := SplitKwarg(arg)
		switch {
		case !ok:
			out = append(out, jidText(ParseArg(arg)))
		case slices.Contains(noParse, name):
			kwargs.Set(name, value)
		default:
			kwargs.Set(name, ParseArg(value))
		}
	}
	if kwargs.Len() == 0 {
		return out
	}
	load := wire.NewMap("__kwarg__", true)
	for k, v := range kwargs.All() {
		load.SetAny(k, v)
	}
	return append(out, load)
}

// jidText keeps a job id text, which as YAML would be a number.
func jidText(v any) any {
	switch v.(type) {
	case int64, uint64:
		if s := fmt.Sprint(v); len(s) == 20 {
			return s
		}
	}
	return v
}

// SplitKwarg cuts "name=value"; ok is false for what is no keyword argument: a name
// that does not begin with a letter, "a==b", or a value of several lines.
func SplitKwarg(arg string) (name, value string, ok bool) {
	name, value, ok = strings.Cut(arg, "=")
	if !ok || strings.HasPrefix(value, "=") || !kwargName().MatchString(name) {
		return "", "", false
	}
	value = strings.TrimSuffix(value, "\n") // Python's $ stands before a last line break, too
	if strings.Contains(value, "\n") {
		return "", "", false
	}
	return name, value, true
}

// ParseArg is one argument as YAML. It stays text where YAML would lose some of it
// or make something no function takes: white space other than spaces in it, a map
// or list without its brackets, a comment, numbers with underscores, no YAML at all.
func ParseArg(arg string) any {
	switch trimmed := strings.TrimFunc(arg, IsSpace); {
	case trimmed == "" || trimmed == "---" || trimmed == "...",
		strings.Contains(arg, "_") && strings.Trim(trimmed, "0123456789_") == "",
		strings.ContainsAny(arg, "\t\r\n"):
		return arg
	}
	if arg == "None" {
		return nil
	}
	v, err := Load(arg)
	if err != nil {
		return arg
	}
	if strings.Contains(arg, "#") {
		switch v.(type) {
		case string, nil:
			return arg
		}
		return v
	}
	switch x := v.(type) {
	case *wire.Map:
		if arg[0] != '{' {
			return arg
		}
	case []any:
		if arg[0] != '[' {
			return arg
		}
	case []byte:
		return arg
	case string:
		if x == "" && (arg == "|" || arg == "!") {
			return arg
		}
	case nil:
		if arg == "!" {
			return arg
		}
	}
	return v
}

// kwargName is the name of a keyword argument: a letter or underscore, then also
// digits, dots and dashes.
var kwargName = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[\pL\p{Nl}\p{No}_][\pL\p{Nd}\p{Nl}\p{No}_.-]*$`)
})

// IsSpace is what Python's str.strip takes off.
func IsSpace(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f }
