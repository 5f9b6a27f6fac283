package pytext

import (
	"strings"

	"github.com/gosalt/gosalt/protocol/wire"
)

// Nested is a value as Salt's nested outputter prints it without colours: what errors
// carry besides their message.
func Nested(v any) string {
	var lines []string
	nested(&lines, v, 0, "")
	return strings.TrimRight(strings.Join(lines, "\n"), " \n")
}

func nested(lines *[]string, v any, indent int, prefix string) {
	add := func(prefix, text string) { *lines = append(*lines, strings.Repeat(" ", indent)+prefix+text) }
	switch v := v.(type) {
	case *wire.Map:
		if indent > 0 {
			add("", "----------")
		}
		keys, vals, _ := Sorted(v)
		for i, k := range keys {
			add(prefix, Str(k)+":")
			if vals[i] == nil {
				*lines = append(*lines, strings.Repeat(" ", indent+4)+"None")
				continue
			}
			nested(lines, vals[i], indent+4, "")
		}
	case []any:
		for _, e := range v {
			switch e.(type) {
			case *wire.Map:
				add("|_", "")
				nested(lines, e, indent+2, "")
			case []any:
				add("|_", "")
				nested(lines, e, indent+2, "- ")
			default:
				nested(lines, e, indent, "- ")
			}
		}
	case string:
		for i, line := range SplitLines(v, false) {
			if i > 0 {
				prefix = strings.Repeat(" ", len(prefix))
			}
			add(prefix, line)
		}
	default:
		add(prefix, Str(v))
	}
}
