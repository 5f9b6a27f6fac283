package output

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// table shows lists as tables: of lists, of maps with the same keys (which become
// the head), or of texts. Maps above them are shown by their keys.
func table(data any, o Options) (string, error) {
	t := tabler{c: o.colors(), o: o}
	if err := t.show(decodeBytes(data), 0); err != nil {
		return "", err
	}
	return strings.Join(t.lines, "\n"), nil
}

// decodeBytes makes text of bytes that are UTF-8, in depth.
func decodeBytes(v any) any {
	switch x := v.(type) {
	case []byte:
		if utf8.Valid(x) {
			return string(x)
		}
	case []any:
		l := make([]any, len(x))
		for i, e := range x {
			l[i] = decodeBytes(e)
		}
		return l
	case *wire.Map:
		m := wire.NewMap()
		for k, e := range x.All() {
			m.SetAny(k, decodeBytes(e))
		}
		return m
	}
	return v
}

const tableColumn = 50 // characters after which a cell is wrapped at a space

type tabler struct {
	o     Options
	c     palette
	lines []string
}

func (t *tabler) line(indent int, color, text, suffix string) {
	t.lines = append(t.lines, strings.Repeat(" ", indent)+color+text+t.c.end+suffix)
}

func (t *tabler) show(v any, indent int) error {
	switch x := v.(type) {
	case []any:
		return t.rows(x, nil, indent)
	case *wire.Map:
		keys, vals, ok := pytext.Sorted(x)
		if !ok {
			return fmt.Errorf("keys of different kinds cannot be sorted")
		}
		for i, k := range keys {
			t.line(indent, t.c.darkGray, t.o.safe(pytext.Str(k)), ":")
			t.line(indent, t.c.darkGray, "----------", "")
			var err error
			if l, ok := vals[i].([]any); ok {
				err = t.rows(l, nil, indent)
			} else {
				err = t.show(vals[i], indent+4)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// rows shows one table, or nothing when the rows are not of one kind.
func (t *tabler) rows(rows []any, labels []string, indent int) error {
	if len(rows) == 0 {
		return nil
	}
	for _, r := range rows[1:] {
		if pytext.TypeName(r) != pytext.TypeName(rows[0]) {
			return nil
		}
	}
	var cells [][]string
	for i, r := range rows {
		switch x := r.(type) {
		case *wire.Map:
			keys, vals, ok := pytext.Sorted(x)
			if !ok {
				return fmt.Errorf("keys of different kinds cannot be sorted")
			}
			var row []string
			for j, k := range keys {
				if i == 0 && j >= len(labels) {
					labels = append(labels, title(strings.ReplaceAll(pytext.Str(k), "_", " ")))
				}
				row = append(row, pytext.Str(vals[j]))
			}
			cells = append(cells, row)
		case []any:
			row := make([]string, len(x))
			for j, c := range x {
				s, ok := c.(string)
				if !ok {
					return fmt.Errorf("a cell of a table is text, not %s", pytext.TypeName(c))
				}
				row[j] = s
			}
			cells = append(cells, row)
		case string:
			cells = append(cells, []string{x})
		default:
			return fmt.Errorf("a row of a table is a list, a map or text, not %s", pytext.TypeName(x))
		}
	}
	if len(labels) > 0 {
		cells = append([][]string{labels}, cells...)
	}
	if len(cells[0]) == 0 {
		return fmt.Errorf("a table without columns")
	}
	t.grid(cells, indent+4)
	return nil
}

// grid draws the cells, each row between two rules.
func (t *tabler) grid(cells [][]string, indent int) {
	var physical [][][]string // row, line of it, column
	columnsOf := func(a, b []string) int { return len(a) - len(b) }
	widths := make([]int, len(slices.MaxFunc(cells, columnsOf)))
	for _, row := range cells {
		row = append(row, make([]string, len(widths)-len(row))...)
		columns := make([][]string, len(row))
		height := 0
		for i, c := range row {
			columns[i] = strings.Split(wrapCell(t.o.safe(c)), "\n")
			height = max(height, len(columns[i]))
		}
		lines := make([][]string, height)
		for n := range lines {
			for i, col := range columns {
				cell := ""
				if n < len(col) {
					cell = col[n]
				}
				widths[i] = max(widths[i], utf8.RuneCountInString(cell))
				lines[n] = append(lines[n], cell)
			}
		}
		physical = append(physical, lines)
	}
	total := len("| ") + len(" |") + max(0, len(widths)-1)*len(" | ")
	for _, w := range widths {
		total += w
	}
	rule := strings.Repeat("-", total)
	t.line(indent, t.c.lightGray, rule, "")
	for _, lines := range physical {
		for _, line := range lines {
			padded := make([]string, len(line))
			for i, c := range line {
				padded[i] = center(c, widths[i])
			}
			t.line(indent, t.c.white, "| "+strings.Join(padded, " | ")+" |", "")
		}
		t.line(indent, t.c.lightGray, rule, "")
	}
}

// wrapCell breaks a long cell at spaces.
func wrapCell(s string) string {
	words := strings.Split(s, " ")
	var b strings.Builder
	b.WriteString(words[0])
	last := func(s string) int { return utf8.RuneCountInString(s[strings.LastIndexByte(s, '\n')+1:]) }
	column := last(words[0])
	for _, w := range words[1:] {
		head, _, _ := strings.Cut(w, "\n")
		if column+utf8.RuneCountInString(head) >= tableColumn {
			b.WriteByte('\n')
			column = 0
		} else {
			b.WriteByte(' ')
			column++
		}
		b.WriteString(w)
		if strings.Contains(w, "\n") {
			column = last(w)
		} else {
			column += utf8.RuneCountInString(w)
		}
	}
	return b.String()
}

// center is Python's str.center, which puts the odd space left when the width is odd.
func center(s string, width int) string {
	gap := width - utf8.RuneCountInString(s)
	if gap <= 0 {
		return s
	}
	left := gap/2 + gap&width&1
	return strings.Repeat(" ", left) + s + strings.Repeat(" ", gap-left)
}

// title is Python's str.title: a capital after anything that is no letter.
func title(s string) string {
	inWord := false
	return strings.Map(func(r rune) rune {
		was := inWord
		inWord = unicode.IsLetter(r)
		switch {
		case inWord && was:
			return unicode.ToLower(r)
		case inWord:
			return unicode.ToTitle(r)
		}
		return r
	}, s)
}

// profile is a table of states by duration.
func profile(data any, o Options) (string, error) {
	m, ok := data.(*wire.Map)
	if !ok {
		return "", fmt.Errorf("results of states expected, not %s", pytext.TypeName(data))
	}
	type row struct {
		duration      float64
		name, fun, ms string
	}
	var rows []row
	width := len("duration (ms)")
	for _, result := range m.All() {
		states, ok := result.(*wire.Map)
		if !ok {
			return "", fmt.Errorf("results of states expected, not %s", pytext.TypeName(result))
		}
		for k, v := range states.All() {
			tag := strings.Split(pytext.Str(k), "_|-")
			r := row{duration: -1, fun: tag[0] + "." + tag[len(tag)-1]}
			name := any(pytext.Str(k))
			if s, ok := v.(*wire.Map); ok {
				if name, ok = s.Get("name"); !ok {
					name, _ = s.Get("__id__")
				}
				if d, ok := s.Get("duration"); ok {
					ms, err := millis(d)
					if err != nil {
						return "", fmt.Errorf("the duration %v of %s is no number", d, pytext.Str(k))
					}
					r.duration = ms
				}
			}
			if r.name = "<>"; name != nil {
				r.name = pytext.Str(name)
			}
			if long := []rune(r.name); len(long) > 60 {
				r.name = string(long[:57]) + "..."
			}
			r.ms = fmt.Sprintf("%.4f", r.duration)
			width = max(width, len(r.ms))
			rows = append(rows, r)
		}
	}
	for i := range rows {
		rows[i].ms = fmt.Sprintf("%*s", width, rows[i].ms)
	}
	slices.SortStableFunc(rows, func(a, b row) int { // as text, as Salt sorts the padded numbers
		for _, c := range []int{strings.Compare(a.ms, b.ms), strings.Compare(a.name, b.name), strings.Compare(a.fun, b.fun)} {
			if c != 0 {
				return c
			}
		}
		return 0
	})
	if len(rows) == 0 {
		return "", nil
	}
	cells := make([]any, len(rows))
	for i, r := range rows {
		cells[i] = []any{r.name, r.fun, r.ms}
	}
	t := tabler{c: o.colors(), o: o}
	err := t.rows(cells, []string{"name", "mod.fun", "duration (ms)"}, 0)
	return strings.Join(t.lines, "\n"), err
}

// virtQuery shows what the runner virt.query returned: machines by host.
func virtQuery(data any, o Options) (string, error) {
	m, _ := data.(*wire.Map)
	hosts := m.Map("data")
	if hosts == nil {
		return "", fmt.Errorf("the result of virt.query expected, not %s", pytext.TypeName(data))
	}
	var b strings.Builder
	for host, h := range hosts.All() {
		fmt.Fprintf(&b, "%s\n", o.safe(pytext.Str(host)))
		info, _ := h.(*wire.Map)
		for name, v := range info.Map("vm_info").All() {
			fmt.Fprintf(&b, "  %s\n", o.safe(pytext.Str(name)))
			vm, _ := v.(*wire.Map)
			virtMachine(&b, pytext.Str(host), vm)
		}
	}
	return o.safe(b.String()), nil
}

func virtMachine(b *strings.Builder, host string, vm *wire.Map) {
	text := func(m *wire.Map, key string) string { v, _ := m.Get(key); return pytext.Str(v) }
	for _, f := range []struct{ key, label string }{{"cpu", "CPU"}, {"mem", "Memory"}, {"state", "State"}} {
		if vm.Has(f.key) {
			fmt.Fprintf(b, "    %s: %s\n", f.label, text(vm, f.key))
		}
	}
	if g := vm.Map("graphics"); g.Text("type") == "vnc" {
		fmt.Fprintf(b, "    Graphics: vnc - %s:%s\n", host, text(g, "port"))
	}
	for disk, v := range vm.Map("disks").All() {
		d, _ := v.(*wire.Map)
		fmt.Fprintf(b, "    Disk - %s:\n      Size: %s\n      File: %s\n      File Format: %s\n",
			pytext.Str(disk), text(d, "disk size"), text(d, "file"), text(d, "file format"))
	}
	for mac, v := range vm.Map("nics").All() {
		nic, _ := v.(*wire.Map)
		source := ""
		for _, s := range nic.Map("source").All() {
			source = pytext.Str(s)
			break
		}
		fmt.Fprintf(b, "    Nic - %s:\n      Source: %s\n      Type: %s\n", pytext.Str(mac), source, text(nic, "type"))
	}
}
