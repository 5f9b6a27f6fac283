package py

import (
	"strings"
	"unicode"
)

// Pformat is pprint.pformat(v, width=width).
func Pformat(t *Thread, v Value, width int) (string, error) {
	return Pretty{Width: width, Indent: 1}.Format(t, v)
}

// Pretty says how pprint writes.
type Pretty struct {
	Width       int  // columns
	Indent      int  // spaces a level
	Depth       int  // levels that are shown; 0 is all
	Compact     bool // several items of a list on a line
	KeepOrder   bool // dicts are not sorted
	Underscores bool // between the thousands of numbers
}

// Format is pprint.pformat(v).
func (o Pretty) Format(t *Thread, v Value) (string, error) {
	p := &pretty{Pretty: o, t: t, width: o.Width}
	if err := p.format(v, 0, 0); err != nil {
		return "", err
	}
	return p.b.String(), t.Alloc(p.b.Len())
}

type pretty struct {
	Pretty
	t     *Thread
	b     strings.Builder
	width int
	depth int
}

// flat is a value's repr with the keys of dicts in order.
func (p *pretty) flat(v Value) (string, error) {
	if p.Depth > 0 || p.Underscores || p.KeepOrder {
		var b strings.Builder
		err := p.inline(&b, v, p.depth-1)
		return b.String(), err
	}
	s, err := sortedCopy(p.t, v, 0)
	if err != nil {
		return "", err
	}
	return Repr(p.t, s)
}

// inline writes a value on one line. It is at this level of the whole.
func (p *pretty) inline(b *strings.Builder, v Value, level int) error {
	if level > 100 {
		return tooDeep("")
	}
	list := func(open, end string, items []Value) error {
		if p.Depth > 0 && level >= p.Depth && len(items) > 0 {
			b.WriteString(open + "..." + end)
			return nil
		}
		b.WriteString(open)
		for i, e := range items {
			if i > 0 {
				b.WriteString(", ")
			}
			if err := p.inline(b, e, level+1); err != nil {
				return err
			}
		}
		b.WriteString(end)
		return nil
	}
	switch x := v.(type) {
	case *List:
		return list("[", "]", x.Items)
	case Tuple:
		if len(x) == 1 {
			return list("(", ",)", x)
		}
		return list("(", ")", x)
	case *Dict:
		if x.Class != "" {
			break
		}
		pairs, err := p.pairs(x)
		if err != nil {
			return err
		}
		if p.Depth > 0 && level >= p.Depth && len(pairs) > 0 {
			b.WriteString("{...}")
			return nil
		}
		b.WriteByte('{')
		for i, q := range pairs {
			if i > 0 {
				b.WriteString(", ")
			}
			if err := p.inline(b, q.(Tuple)[0], level+1); err != nil {
				return err
			}
			b.WriteString(": ")
			if err := p.inline(b, q.(Tuple)[1], level+1); err != nil {
				return err
			}
		}
		b.WriteByte('}')
		return nil
	}
	s, err := Repr(p.t, v)
	if _, isInt := v.(int64); isInt && p.Underscores {
		sign := ""
		if s[0] == '-' {
			sign, s = "-", s[1:]
		}
		for i := len(s) - 3; i > 0; i -= 3 {
			s = s[:i] + "_" + s[i:]
		}
		s = sign + s
	}
	b.WriteString(s)
	return err
}

// pairs are the entries of a dict in the order in which they are written.
func (p *pretty) pairs(d *Dict) ([]Value, error) {
	if !p.KeepOrder {
		return sortedPairs(p.t, d)
	}
	pairs := make([]Value, 0, d.Len())
	for k, v := range d.All() {
		pairs = append(pairs, Tuple{k, v})
	}
	return pairs, nil
}

// begin writes what opens a collection, and returns the column of its items.
func (p *pretty) begin(open string, indent int) int {
	p.b.WriteString(open + strings.Repeat(" ", max(0, p.Indent-1)))
	return indent + p.Indent
}

// sortedCopy is v with all dicts in it sorted.
func sortedCopy(t *Thread, v Value, depth int) (Value, error) {
	if depth > 100 {
		return v, nil
	}
	each := func(items []Value) ([]Value, error) {
		out := make([]Value, len(items))
		for i, e := range items {
			var err error
			if out[i], err = sortedCopy(t, e, depth+1); err != nil {
				return nil, err
			}
		}
		return out, t.Alloc(elem * len(items))
	}
	switch x := v.(type) {
	case *List:
		items, err := each(x.Items)
		return &List{Items: items}, err
	case Tuple:
		items, err := each(x)
		return Tuple(items), err
	case *Dict:
		if x.Class != "" {
			return v, nil
		}
		pairs, err := sortedPairs(t, x)
		if err != nil {
			return nil, err
		}
		d := NewDict(x.Len())
		for _, q := range pairs {
			val, err := sortedCopy(t, q.(Tuple)[1], depth+1)
			if err != nil {
				return nil, err
			}
			if err := d.Set(q.(Tuple)[0], val); err != nil {
				return nil, err
			}
		}
		return d, nil
	}
	return v, nil
}

// sortedPairs orders entries by key; keys that do not compare by the name of their class.
func sortedPairs(t *Thread, d *Dict) ([]Value, error) {
	pairs := make([]Value, 0, d.Len())
	for k, v := range d.All() {
		pairs = append(pairs, Tuple{k, v})
	}
	out, err := Sorted(t, append([]Value(nil), pairs...), func(p Value) (Value, error) { return p.(Tuple)[0], nil }, false)
	if err == nil || !IsA(err, "TypeError") {
		return out, err
	}
	return Sorted(t, pairs, func(p Value) (Value, error) {
		k := p.(Tuple)[0]
		if isNumber(k) {
			return Tuple{TypeName(k), k}, nil
		}
		s, err := Repr(t, k)
		return Tuple{TypeName(k), s}, err
	}, false)
}

// format writes v at a column, with room for what follows it on its last line.
func (p *pretty) format(v Value, indent, allowance int) error {
	p.depth++
	defer func() { p.depth-- }()
	if p.depth > 100 {
		return tooDeep("")
	}
	s, err := p.flat(v)
	if err != nil {
		return err
	}
	if runeLen(s) <= p.width-indent-allowance {
		p.b.WriteString(s)
		return nil
	}
	switch x := v.(type) {
	case *Dict:
		if x.Class != "" {
			break
		}
		pairs, err := p.pairs(x)
		if err != nil {
			return err
		}
		indent := p.begin("{", indent)
		for i, q := range pairs {
			k, err := Repr(p.t, q.(Tuple)[0])
			if err != nil {
				return err
			}
			p.b.WriteString(k + ": ")
			room := 1
			if i == len(pairs)-1 {
				room = allowance + 1
			}
			if err := p.format(q.(Tuple)[1], indent+runeLen(k)+2, room); err != nil {
				return err
			}
			if i < len(pairs)-1 {
				p.b.WriteString(",\n" + strings.Repeat(" ", indent))
			}
		}
		p.b.WriteByte('}')
		return nil
	case *List:
		return p.items("[", "]", x.Items, indent, allowance)
	case Tuple:
		if len(x) == 1 {
			return p.items("(", ",)", x, indent, allowance)
		}
		return p.items("(", ")", x, indent, allowance)
	case *Set:
		items, err := Sorted(p.t, x.Values(), nil, false)
		if err != nil {
			items = x.Values()
		}
		return p.items("{", "}", items, indent, allowance)
	case string:
		return p.str(x, s, indent, allowance)
	}
	p.b.WriteString(s)
	return nil
}

func (p *pretty) items(open, end string, items []Value, indent, allowance int) error {
	indent = p.begin(open, indent)
	delim, newline := "", ",\n"+strings.Repeat(" ", indent)
	most := p.width - indent + 1
	room := most
	for i, e := range items {
		last := i == len(items)-1
		after := 1
		if last {
			after = allowance + len(end)
			most -= after
			room -= after
		}
		if p.Compact {
			p.depth++
			s, err := p.flat(e)
			p.depth--
			if err != nil {
				return err
			}
			n := runeLen(s) + 2
			if room < n {
				room = most
				if delim != "" {
					delim = newline
				}
			}
			if room >= n {
				room -= n
				p.b.WriteString(delim + s)
				delim = ", "
				continue
			}
		}
		p.b.WriteString(delim)
		delim = newline
		if err := p.format(e, indent, after); err != nil {
			return err
		}
	}
	p.b.WriteString(end)
	return nil
}

// str splits text that does not fit into several literals.
func (p *pretty) str(s, repr string, indent, allowance int) error {
	if s == "" {
		p.b.WriteString(repr)
		return nil
	}
	top := p.depth == 1
	if top {
		indent++
		allowance++
	}
	var chunks []string
	lines := SplitLines(s, true)
	for i, line := range lines {
		r := Quote(line)
		room := p.width - indent
		if i == len(lines)-1 {
			room -= allowance
		}
		if runeLen(r) <= room {
			chunks = append(chunks, r)
			continue
		}
		// words with the white space that follows them
		parts := wordsWithSpace(line)
		cur := ""
		room2 := p.width - indent
		for j, part := range parts {
			cand := cur + part
			if j == len(parts)-1 && i == len(lines)-1 {
				room2 -= allowance
			}
			if runeLen(Quote(cand)) > room2 {
				if cur != "" {
					chunks = append(chunks, Quote(cur))
				}
				cur = part
			} else {
				cur = cand
			}
		}
		if cur != "" {
			chunks = append(chunks, Quote(cur))
		}
	}
	if len(chunks) == 1 {
		p.b.WriteString(repr)
		return nil
	}
	if top {
		p.b.WriteByte('(')
	}
	for i, c := range chunks {
		if i > 0 {
			p.b.WriteString("\n" + strings.Repeat(" ", indent))
		}
		p.b.WriteString(c)
	}
	if top {
		p.b.WriteByte(')')
	}
	return nil
}

// wordsWithSpace splits as the pattern \S*\s* does.
func wordsWithSpace(s string) []string {
	var out []string
	start, inSpace := 0, false
	for i, r := range s {
		space := unicode.IsSpace(r)
		if inSpace && !space {
			out = append(out, s[start:i])
			start = i
		}
		inSpace = space
	}
	return append(out, s[start:])
}
