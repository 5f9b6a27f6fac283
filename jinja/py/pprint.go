package py

import (
	"strings"
	"unicode"
)

// Pformat is pprint.pformat(v, width=width).
func Pformat(t *Thread, v Value, width int) (string, error) {
	p := &pretty{t: t, width: width}
	if err := p.format(v, 0, 0); err != nil {
		return "", err
	}
	return p.b.String(), t.Alloc(p.b.Len())
}

type pretty struct {
	t     *Thread
	b     strings.Builder
	width int
	depth int
}

// flat is a value's repr with the keys of dicts in order.
func (p *pretty) flat(v Value) (string, error) {
	s, err := sortedCopy(p.t, v, 0)
	if err != nil {
		return "", err
	}
	return Repr(p.t, s)
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
		pairs, err := sortedPairs(p.t, x)
		if err != nil {
			return err
		}
		p.b.WriteByte('{')
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
			if err := p.format(q.(Tuple)[1], indent+runeLen(k)+3, room); err != nil {
				return err
			}
			if i < len(pairs)-1 {
				p.b.WriteString(",\n" + strings.Repeat(" ", indent+1))
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

func (p *pretty) items(open, close string, items []Value, indent, allowance int) error {
	p.b.WriteString(open)
	for i, e := range items {
		room := 1
		if i == len(items)-1 {
			room = allowance + len(close)
		}
		if err := p.format(e, indent+1, room); err != nil {
			return err
		}
		if i < len(items)-1 {
			p.b.WriteString(",\n" + strings.Repeat(" ", indent+1))
		}
	}
	p.b.WriteString(close)
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
