package output

import (
	"strings"
	"unicode/utf8"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// nested shows maps as "key:" with the value four columns in, lists as "- item".
func nested(data any, o Options) (string, error) {
	n := nester{o: o, c: o.colors()}
	n.frame, n.item = n.c.cyan, n.c.green
	if o.Retcode != 0 {
		n.frame, n.item = n.c.red, n.c.red
	}
	n.show(data, o.NestedIndent, "")
	return strings.Join(n.lines, "\n"), nil
}

type nester struct {
	o     Options
	c     palette
	frame string // colour of keys and rules
	item  string // colour of "|_"
	lines []string
}

func (n *nester) line(indent int, color, text string) {
	n.lines = append(n.lines, strings.Repeat(" ", indent)+color+text)
}

func (n *nester) show(v any, indent int, prefix string) {
	switch x := v.(type) {
	case []byte:
		if utf8.Valid(x) { // other bytes are not shown, as in Salt: json and raw show them
			n.show(string(x), indent, prefix)
		}
	case string:
		for i, l := range pytext.SplitLines(x, false) {
			if i == 1 {
				prefix = strings.Repeat(" ", len(prefix))
			}
			n.line(indent, n.c.green, prefix+n.o.safe(l)+n.c.end)
		}
	case []any:
		for _, e := range x {
			switch e.(type) {
			case *wire.Map:
				n.line(indent, n.item, "|_"+n.c.end)
				n.show(e, indent+2, "")
			case []any:
				n.line(indent, n.item, "|_"+n.c.end)
				n.show(e, indent+2, "- ")
			default:
				n.show(e, indent, "- ")
			}
		}
	case *wire.Map:
		if indent > 0 {
			n.line(indent, n.frame, "----------"+n.c.end)
		}
		keys, vals := sortedText(x)
		for i, k := range keys {
			n.line(indent, n.frame, prefix+n.o.safe(k)+n.c.end+":")
			n.show(vals[i], indent+4, "")
		}
	default:
		n.line(indent, n.c.lightYellow, prefix+pytext.Str(v)+n.c.end)
	}
}

// sortedText is the map in Python's order with its keys as text. Keys of kinds
// that do not compare are ordered as text, and of two that read alike the last counts.
func sortedText(m *wire.Map) ([]string, []any) {
	keys, vals, ok := pytext.Sorted(m)
	if !ok {
		text := wire.NewMap()
		for i, k := range keys {
			text.Set(pytext.Str(k), vals[i])
		}
		keys, vals, _ = pytext.Sorted(text)
	}
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = pytext.Str(k)
	}
	return names, vals
}
