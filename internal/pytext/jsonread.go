package pytext

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/gosalt/gosalt/protocol/wire"
)

// maxJSONDepth is how deep lists and maps of JSON may nest.
const maxJSONDepth = 512

// JSONError is text that is no JSON.
type JSONError struct {
	Problem      string // in the words of Python's JSONDecodeError
	Line, Column int    // from 1, the column in characters
	Char         int    // characters before the place
}

// Error is the message of Python's exception.
func (e *JSONError) Error() string {
	return fmt.Sprintf("%s: line %d column %d (char %d)", e.Problem, e.Line, e.Column, e.Char)
}

// ParseJSON is json.loads(text): also NaN, Infinity and -Infinity are numbers, and of
// a key that comes twice the last value counts, at the place of the first. A whole
// number beyond 64 bits is the text of its digits, half a surrogate pair the byte that
// Python holds in that way, or U+FFFD. Errors are of type *JSONError.
func ParseJSON(text string) (v any, err error) {
	p := &jsonParser{s: text}
	defer func() {
		switch e := recover().(type) {
		case nil:
		case *JSONError:
			v, err = nil, e
		default:
			panic(e)
		}
	}()
	if strings.HasPrefix(text, "\ufeff") {
		p.fail("Unexpected UTF-8 BOM (decode using utf-8-sig)", 0)
	}
	p.space()
	v = p.value(0)
	p.space()
	if p.i < len(p.s) {
		p.fail("Extra data", p.i)
	}
	return v, nil
}

type jsonParser struct {
	s string
	i int
}

// fail ends the parse with a problem at byte i; ParseJSON recovers it.
func (p *jsonParser) fail(problem string, i int) {
	before := p.s[:min(i, len(p.s))]
	line := strings.LastIndexByte(before, '\n') + 1
	panic(&JSONError{
		Problem: problem,
		Line:    strings.Count(before, "\n") + 1,
		Column:  utf8.RuneCountInString(before[line:]) + 1,
		Char:    utf8.RuneCountInString(before),
	})
}

func (p *jsonParser) at() byte {
	if p.i < len(p.s) {
		return p.s[p.i]
	}
	return 0
}

func (p *jsonParser) space() {
	for p.i < len(p.s) && strings.IndexByte(" \t\n\r", p.s[p.i]) >= 0 {
		p.i++
	}
}

func (p *jsonParser) value(depth int) any {
	switch p.at() {
	case '"':
		return p.text()
	case '[', '{':
		if depth++; depth > maxJSONDepth {
			p.fail(fmt.Sprintf("lists and maps nest deeper than %d", maxJSONDepth), p.i)
		}
		if p.at() == '[' {
			return p.list(depth)
		}
		return p.object(depth)
	}
	for _, w := range jsonWords {
		if strings.HasPrefix(p.s[p.i:], w.text) {
			p.i += len(w.text)
			return w.value
		}
	}
	return p.number()
}

var jsonWords = []struct {
	text  string
	value any
}{
	{"null", nil}, {"true", true}, {"false", false},
	{"NaN", jsonFloatOf("nan")}, {"Infinity", jsonFloatOf("inf")}, {"-Infinity", jsonFloatOf("-inf")},
}

func jsonFloatOf(s string) float64 {
	f, _ := strconv.ParseFloat(s, 64) // what is too large is infinite, as in Python
	return f
}

func (p *jsonParser) digits() bool {
	from := p.i
	for c := p.at(); c >= '0' && c <= '9'; c = p.at() {
		p.i++
	}
	return p.i > from
}

func (p *jsonParser) number() any {
	start := p.i
	if p.at() == '-' {
		p.i++
	}
	if p.at() == '0' {
		p.i++
	} else if !p.digits() {
		p.fail("Expecting value", start)
	}
	whole := true
	end := p.i
	if p.at() == '.' {
		if p.i++; p.digits() {
			whole, end = false, p.i
		}
	}
	if p.i = end; p.at()|0x20 == 'e' {
		p.i++
		if c := p.at(); c == '+' || c == '-' {
			p.i++
		}
		if p.digits() {
			whole, end = false, p.i
		}
	}
	p.i = end
	s := p.s[start:end]
	if !whole {
		return jsonFloatOf(s)
	}
	if v, err := strconv.ParseInt(s, 10, 64); err == nil {
		return v
	}
	if v, err := strconv.ParseUint(s, 10, 64); err == nil {
		return v
	}
	if len(s) > 4300 { // as many as Python reads
		p.fail("a number has more than 4300 digits", start)
	}
	v, _ := new(big.Int).SetString(s, 10)
	return v.String()
}

func (p *jsonParser) list(depth int) any {
	list := []any{}
	p.i++
	p.space()
	if p.at() == ']' {
		p.i++
		return list
	}
	for {
		list = append(list, p.value(depth))
		if p.ends(']') {
			return list
		}
	}
}

// ends passes the comma after an element, or the closing bracket.
func (p *jsonParser) ends(bracket byte) bool {
	p.space()
	switch p.at() {
	case bracket:
		p.i++
		return true
	case ',':
		p.i++
		p.space()
		return false
	}
	p.fail("Expecting ',' delimiter", p.i)
	return false
}

func (p *jsonParser) object(depth int) any {
	m := wire.NewMap()
	p.i++
	p.space()
	if p.at() == '}' {
		p.i++
		return m
	}
	for {
		if p.at() != '"' {
			p.fail("Expecting property name enclosed in double quotes", p.i)
		}
		key := p.text()
		p.space()
		if p.at() != ':' {
			p.fail("Expecting ':' delimiter", p.i)
		}
		p.i++
		p.space()
		m.Set(key, p.value(depth))
		if p.ends('}') {
			return m
		}
	}
}

// text reads a quoted text.
func (p *jsonParser) text() string {
	begin := p.i
	p.i++
	var b strings.Builder
	for {
		from := p.i
		for p.i < len(p.s) && p.s[p.i] != '"' && p.s[p.i] != '\\' && p.s[p.i] >= 0x20 {
			p.i++
		}
		b.WriteString(p.s[from:p.i])
		switch {
		case p.i >= len(p.s):
			p.fail("Unterminated string starting at", begin)
		case p.s[p.i] == '"':
			p.i++
			return b.String()
		case p.s[p.i] != '\\':
			p.fail("Invalid control character at", p.i)
		}
		if p.i++; p.i >= len(p.s) {
			p.fail("Unterminated string starting at", begin)
		}
		c := p.s[p.i]
		if c != 'u' {
			k := strings.IndexByte(`"\/bfnrt`, c)
			if k < 0 {
				p.fail("Invalid \\escape", p.i-1)
			}
			b.WriteByte("\"\\/\b\f\n\r\t"[k])
			p.i++
			continue
		}
		r, ok := p.hex(p.i + 1)
		if !ok {
			p.fail("Invalid \\uXXXX escape", p.i)
		}
		p.i += 5
		if utf16.IsSurrogate(r) && strings.HasPrefix(p.s[p.i:], `\u`) {
			if low, ok := p.hex(p.i + 2); ok {
				if both := utf16.DecodeRune(r, low); both != utf8.RuneError {
					r = both
					p.i += 6
				}
			}
		}
		if r >= 0xdc80 && r <= 0xdcff {
			b.WriteByte(byte(r)) // how Python holds a byte that is not UTF-8
		} else {
			b.WriteRune(r)
		}
	}
}

// hex reads four digits at byte i.
func (p *jsonParser) hex(i int) (rune, bool) {
	if i+4 > len(p.s) {
		return 0, false
	}
	v, err := strconv.ParseUint(p.s[i:i+4], 16, 32)
	return rune(v), err == nil && strings.IndexByte(p.s[i:i+4], '+') < 0
}
