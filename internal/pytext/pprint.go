package pytext

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gosalt/gosalt/protocol/wire"
)

// PPrint is pprint.pformat(v, indent=indent): as Repr with sorted keys while that
// fits 80 columns, else one element per line. Python's own default indent is 1.
func PPrint(v any, indent int) string {
	p := &printer{step: indent}
	p.format(v, 0, 0, 0)
	return p.b.String()
}

const pprintWidth = 80

type printer struct {
	b    strings.Builder
	step int
}

func width(s string) int { return utf8.RuneCountInString(s) }

// format prints v that begins in column indent; allowance columns after it are
// needed for the brackets that close.
func (p *printer) format(v any, indent, allowance, level int) {
	rep := reprSorted(v)
	if width(rep) > pprintWidth-indent-allowance {
		switch x := v.(type) {
		case *wire.Map:
			p.dict(x, indent, allowance+1, level+1)
			return
		case []any:
			p.list(x, indent, allowance+1, level+1)
			return
		case string:
			p.text(x, rep, indent, allowance, level+1)
			return
		case []byte:
			p.bytes(x, rep, indent, allowance, level+1)
			return
		}
	}
	p.b.WriteString(rep)
}

func (p *printer) pad() {
	if p.step > 1 {
		p.b.WriteString(strings.Repeat(" ", p.step-1))
	}
}

func (p *printer) newline(indent int) {
	p.b.WriteByte('\n')
	p.b.WriteString(strings.Repeat(" ", indent))
}

func (p *printer) dict(m *wire.Map, indent, allowance, level int) {
	p.b.WriteByte('{')
	p.pad()
	indent += p.step
	keys, vals := sortLoosely(entries(m))
	for i, k := range keys {
		if i > 0 {
			p.b.WriteByte(',')
			p.newline(indent)
		}
		rep := reprSorted(k)
		p.b.WriteString(rep)
		p.b.WriteString(": ")
		after := 1
		if i == len(keys)-1 {
			after = allowance
		}
		p.format(vals[i], indent+width(rep)+2, after, level)
	}
	p.b.WriteByte('}')
}

func (p *printer) list(l []any, indent, allowance, level int) {
	p.b.WriteByte('[')
	p.pad()
	indent += p.step
	for i, v := range l {
		if i > 0 {
			p.b.WriteByte(',')
			p.newline(indent)
		}
		after := 1
		if i == len(l)-1 {
			after = allowance
		}
		p.format(v, indent, after, level)
	}
	p.b.WriteByte(']')
}

// text prints a long string as adjacent literals: one per line of it, longer
// lines broken after white space.
func (p *printer) text(s, rep string, indent, allowance, level int) {
	lines := SplitLines(s, true)
	if len(lines) == 0 {
		p.b.WriteString(rep)
		return
	}
	if level == 1 {
		indent++
		allowance++
	}
	maxWidth := pprintWidth - indent
	var chunks []string
	for i, line := range lines {
		lastLine := i == len(lines)-1
		limit := maxWidth
		if lastLine {
			limit -= allowance
		}
		if r := Repr(line); width(r) <= limit {
			chunks = append(chunks, r)
			continue
		}
		current := ""
		parts := words(line)
		for j, part := range parts {
			limit := maxWidth
			if lastLine && j == len(parts)-1 {
				limit -= allowance
			}
			if width(Repr(current+part)) > limit {
				if current != "" {
					chunks = append(chunks, Repr(current))
				}
				current = part
			} else {
				current += part
			}
		}
		if current != "" {
			chunks = append(chunks, Repr(current))
		}
	}
	if len(chunks) == 1 {
		p.b.WriteString(Repr(s))
		return
	}
	p.chunks(chunks, indent, level)
}

func (p *printer) chunks(chunks []string, indent, level int) {
	if level == 1 {
		p.b.WriteByte('(')
	}
	for i, c := range chunks {
		if i > 0 {
			p.newline(indent)
		}
		p.b.WriteString(c)
	}
	if level == 1 {
		p.b.WriteByte(')')
	}
}

// words cuts a line after each run of white space.
func words(line string) []string {
	var parts []string
	start, inSpace := 0, false
	for i, r := range line {
		space := pySpace(r)
		if inSpace && !space {
			parts = append(parts, line[start:i])
			start = i
		}
		inSpace = space
	}
	return append(parts, line[start:])
}

// pySpace is what Python's \s takes for white space.
func pySpace(r rune) bool {
	return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f
}

// bytes prints long bytes as adjacent literals, broken at multiples of four.
func (p *printer) bytes(v []byte, rep string, indent, allowance, level int) {
	if len(v) <= 4 {
		p.b.WriteString(rep)
		return
	}
	if level == 1 {
		indent++
		allowance++
	}
	limit := pprintWidth - indent
	last := len(v) / 4 * 4
	var chunks []string
	var current []byte
	for i := 0; i < len(v); i += 4 {
		part := v[i:min(i+4, len(v))]
		if i == last {
			limit -= allowance
		}
		candidate := append(current[:len(current):len(current)], part...)
		if width(Repr(candidate)) > limit {
			if len(current) > 0 {
				chunks = append(chunks, Repr(current))
			}
			current = part
		} else {
			current = candidate
		}
	}
	if len(current) > 0 {
		chunks = append(chunks, Repr(current))
	}
	p.chunks(chunks, indent, level)
}
