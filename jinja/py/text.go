package py

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Str is str(v).
func Str(t *Thread, v Value) (string, error) {
	switch x := v.(type) {
	case string:
		return x, nil
	case Markup:
		return string(x), nil
	case int64:
		return strconv.FormatInt(x, 10), nil
	case *Undefined:
		return x.text()
	case time.Time:
		return isoTime(x, " "), nil
	case Printer:
		return x.Print(t, false)
	}
	return Repr(t, v)
}

// Repr is repr(v).
func Repr(t *Thread, v Value) (string, error) {
	switch x := v.(type) {
	case string:
		return Quote(x), nil
	case int64:
		return strconv.FormatInt(x, 10), nil
	}
	p := printer{t: t}
	if err := p.repr(v); err != nil {
		return "", err
	}
	return p.b.String(), nil
}

// printer writes the repr of nested values; a container inside itself is "[...]".
type printer struct {
	t     *Thread
	b     strings.Builder
	stack []any
	paid  int
}

// pay takes what was written since the last call from the run's memory.
func (p *printer) pay() error {
	n := p.b.Len() - p.paid
	p.paid = p.b.Len()
	return p.t.Alloc(n)
}

func (p *printer) enter(v any) (inside bool, err error) {
	for _, s := range p.stack {
		if s == v {
			return true, nil
		}
	}
	if len(p.stack) > maxNesting {
		return false, tooDeep(" while getting the repr of an object")
	}
	p.stack = append(p.stack, v)
	return false, p.pay()
}

func (p *printer) leave() { p.stack = p.stack[:len(p.stack)-1] }

func (p *printer) seq(open, close string, items []Value) error {
	p.b.WriteString(open)
	for i, e := range items {
		if i > 0 {
			p.b.WriteString(", ")
		}
		if err := p.repr(e); err != nil {
			return err
		}
		if i&1023 == 1023 {
			if err := p.pay(); err != nil {
				return err
			}
		}
	}
	p.b.WriteString(close)
	return nil
}

func (p *printer) repr(v Value) error {
	switch x := v.(type) {
	case nil:
		p.b.WriteString("None")
	case bool:
		if x {
			p.b.WriteString("True")
		} else {
			p.b.WriteString("False")
		}
	case int64:
		p.b.WriteString(strconv.FormatInt(x, 10))
	case *big.Int:
		if x.BitLen() > 14281 { // 4300 digits, CPython's limit
			if s := x.String(); len(strings.TrimPrefix(s, "-")) > 4300 {
				return Raise("ValueError", "Exceeds the limit (4300 digits) for integer string conversion; use sys.set_int_max_str_digits() to increase the limit")
			}
		}
		p.b.WriteString(x.String())
	case float64:
		p.b.WriteString(Float(x))
	case string:
		p.b.WriteString(Quote(x))
	case Markup:
		p.b.WriteString("Markup(" + Quote(string(x)) + ")")
	case Bytes:
		p.b.WriteString(quoteBytes(string(x)))
	case *List:
		in, err := p.enter(x)
		if err != nil {
			return err
		}
		if in {
			p.b.WriteString("[...]")
			return nil
		}
		defer p.leave()
		return p.seq("[", "]", x.Items)
	case Tuple:
		if len(p.stack) > maxNesting {
			return tooDeep(" while getting the repr of an object")
		}
		p.stack = append(p.stack, nil)
		defer p.leave()
		if len(x) == 1 {
			return p.seq("(", ",)", x)
		}
		return p.seq("(", ")", x)
	case *Dict:
		return p.dict(x)
	case *Set:
		if x.Len() == 0 {
			p.b.WriteString("set()")
			return nil
		}
		return p.seq("{", "}", x.Values())
	case *Range:
		if x.Step == 1 {
			fmt.Fprintf(&p.b, "range(%d, %d)", x.Start, x.Stop)
		} else {
			fmt.Fprintf(&p.b, "range(%d, %d, %d)", x.Start, x.Stop, x.Step)
		}
	case *Undefined:
		if x.Mode == Strict {
			p.b.WriteString("Undefined")
			return nil
		}
		p.b.WriteString("Undefined")
	case time.Time:
		p.b.WriteString(reprTime(x))
	case Printer:
		if len(p.stack) > maxNesting {
			return tooDeep(" while getting the repr of an object")
		}
		s, err := x.Print(p.t, true)
		if err != nil {
			return err
		}
		p.b.WriteString(s)
	default:
		fmt.Fprintf(&p.b, "<%s object at 0x%x>", FullTypeName(v), addressOf(v))
	}
	return nil
}

func (p *printer) dict(d *Dict) error {
	in, err := p.enter(d)
	if err != nil {
		return err
	}
	ordered := d.Class == OrderedDict
	if in {
		if ordered {
			p.b.WriteString("...")
		} else {
			p.b.WriteString("{...}")
		}
		return nil
	}
	defer p.leave()
	open, pair, end, close := "{", ": ", "", "}"
	if ordered {
		if d.Len() == 0 {
			p.b.WriteString("OrderedDict()")
			return nil
		}
		open, pair, end, close = "OrderedDict([", ", ", ")", "])"
	}
	p.b.WriteString(open)
	first := true
	for k, v := range d.All() {
		if !first {
			p.b.WriteString(", ")
		}
		first = false
		if ordered {
			p.b.WriteByte('(')
		}
		if err := p.repr(k); err != nil {
			return err
		}
		p.b.WriteString(pair)
		if err := p.repr(v); err != nil {
			return err
		}
		p.b.WriteString(end)
	}
	p.b.WriteString(close)
	return p.pay()
}

// Float is repr() of a float: the shortest text that reads back the same.
func Float(f float64) string {
	switch {
	case math.IsNaN(f):
		return "nan"
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	}
	s := strconv.FormatFloat(f, 'e', -1, 64)
	mant, exp, _ := strings.Cut(s, "e")
	n, _ := strconv.Atoi(exp)
	if n < -4 || n >= 16 {
		return fmt.Sprintf("%se%+03d", mant, n)
	}
	s = strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// Quote is repr() of a str.
func Quote(s string) string {
	q := byte('\'')
	if strings.IndexByte(s, '\'') >= 0 && strings.IndexByte(s, '"') < 0 {
		q = '"'
	}
	plain := true
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < 0x20 || c >= 0x7f || c == '\\' || c == q {
			plain = false
			break
		}
	}
	if plain {
		return string(q) + s + string(q)
	}
	var b strings.Builder
	b.WriteByte(q)
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1: // a byte that is no text: as surrogateescape has it
			fmt.Fprintf(&b, `\udc%02x`, s[i])
		case r == rune(q) || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < 0x20 || r == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 0x7f || isPrintable(r):
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
		i += n
	}
	b.WriteByte(q)
	return b.String()
}

func isPrintable(r rune) bool { return r == ' ' || unicode.IsPrint(r) }

// ascii is ascii(v): repr with everything else escaped.
func ascii(t *Thread, v Value) (string, error) {
	s, err := Repr(t, v)
	if err != nil || isASCII(s) {
		return s, err
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case r < 0x80:
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	return b.String(), nil
}

func quoteBytes(s string) string {
	q := byte('\'')
	if strings.IndexByte(s, '\'') >= 0 && strings.IndexByte(s, '"') < 0 {
		q = '"'
	}
	var b strings.Builder
	b.WriteByte('b')
	b.WriteByte(q)
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == q || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\r':
			b.WriteString(`\r`)
		case c == '\t':
			b.WriteString(`\t`)
		case c < 0x20 || c >= 0x7f:
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte(q)
	return b.String()
}

// isoTime is datetime.isoformat with the given separator.
func isoTime(x time.Time, sep string) string {
	s := x.Format("2006-01-02" + sep + "15:04:05")
	if us := x.Nanosecond() / 1000; us != 0 {
		s += fmt.Sprintf(".%06d", us)
	}
	if x.Location() != time.UTC {
		s += x.Format("-07:00")
	}
	return s
}

func reprTime(x time.Time) string {
	s := fmt.Sprintf("datetime.datetime(%d, %d, %d, %d, %d", x.Year(), x.Month(), x.Day(), x.Hour(), x.Minute())
	if x.Second() != 0 || x.Nanosecond() >= 1000 {
		s += fmt.Sprintf(", %d", x.Second())
	}
	if us := x.Nanosecond() / 1000; us != 0 {
		s += fmt.Sprintf(", %d", us)
	}
	return s + ")"
}

var htmlEscaper = strings.NewReplacer("&", "&amp;", ">", "&gt;", "<", "&lt;", "'", "&#39;", `"`, "&#34;")

// Escape is markupsafe.escape(v): safe HTML as it is, all else as escaped text.
func Escape(t *Thread, v Value) (Markup, error) {
	switch x := v.(type) {
	case Markup:
		return x, nil
	case HTML:
		s, err := x.HTML(t)
		return Markup(s), err
	}
	s, err := Str(t, v)
	if err != nil {
		return "", err
	}
	s = htmlEscaper.Replace(s)
	return Markup(s), t.Alloc(len(s))
}

// HTML is an object that is safe HTML, as Python's __html__ says.
type HTML interface {
	HTML(t *Thread) (string, error)
}
