package output

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// columns shows a map of maps as lines: the key, and what is in the inner maps, by their
// keys in capitals. Nothing is wrapped and no column is left out, so that it can be cut
// apart by programs, too.
func columns(data any, o Options) (string, error) {
	m, ok := decodeBytes(data).(*wire.Map)
	if !ok {
		return "", fmt.Errorf("a map of maps expected, not %s", pytext.TypeName(data))
	}
	head := []string{"NAME"}
	at := map[string]int{}
	rows := [][]string{nil}
	for k, v := range m.All() {
		fields, ok := v.(*wire.Map)
		if !ok {
			return "", fmt.Errorf("a map expected below %s, not %s", pytext.Str(k), pytext.TypeName(v))
		}
		row := []string{cell(o, k)}
		for f, x := range fields.All() {
			name := pytext.Str(f)
			i, known := at[name]
			if !known {
				i = len(head)
				at[name] = i
				head = append(head, cell(o, strings.ToUpper(name)))
			}
			for len(row) <= i {
				row = append(row, "-")
			}
			row[i] = cell(o, x)
		}
		rows = append(rows, row)
	}
	rows[0] = head
	widths := make([]int, len(head))
	for _, row := range rows {
		for i, c := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(c))
		}
	}
	c := o.colors()
	lines := make([]string, len(rows))
	for n, row := range rows {
		var b strings.Builder
		for i := range head {
			text := "-"
			if i < len(row) {
				text = row[i]
			}
			b.WriteString(text)
			if i < len(head)-1 {
				b.WriteString(strings.Repeat(" ", 2+widths[i]-utf8.RuneCountInString(text)))
			}
		}
		lines[n] = b.String()
		if n == 0 {
			lines[n] = c.cyan + lines[n] + c.end
		}
	}
	return strings.Join(lines, "\n"), nil
}

// cell is a value on one line; "-" is none.
func cell(o Options, v any) string {
	s := strings.Join(strings.Fields(pytext.Str(v)), " ")
	if v == nil || s == "" {
		return "-"
	}
	return o.safe(s)
}
