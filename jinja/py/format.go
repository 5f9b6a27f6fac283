package py

import (
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"
)

// spec is a parsed format specification: [[fill]align][sign][#][0][width][,][.prec][type].
type spec struct {
	fill  string
	align byte // one of < > = ^, or 0
	sign  byte
	zero  bool
	alt   bool
	coerc bool // z
	width int
	comma byte
	prec  int // -1 when not given
	typ   rune
}

// padTo fills up to the width; def is the alignment when none was asked for.
func (sp *spec) padTo(s string, def byte) string {
	n := sp.width - runeLen(s)
	if n <= 0 {
		return s
	}
	align := sp.align
	if align == 0 {
		align = def
	}
	switch align {
	case '<':
		return s + strings.Repeat(sp.fill, n)
	case '^':
		return strings.Repeat(sp.fill, n/2) + s + strings.Repeat(sp.fill, n-n/2)
	}
	return strings.Repeat(sp.fill, n) + s
}

func parseSpec(s, typeName string) (*spec, error) {
	whole := s
	sp := &spec{fill: " ", prec: -1}
	isAlign := func(c byte) bool { return c == '<' || c == '>' || c == '=' || c == '^' }
	_, n := utf8.DecodeRuneInString(s)
	filled := false
	switch {
	case n > 0 && len(s) > n && isAlign(s[n]):
		sp.fill, sp.align, filled = s[:n], s[n], true
		s = s[n+1:]
	case len(s) > 0 && isAlign(s[0]):
		sp.align = s[0]
		s = s[1:]
	}
	if s != "" && (s[0] == '+' || s[0] == '-' || s[0] == ' ') {
		sp.sign = s[0]
		s = s[1:]
	}
	if s != "" && s[0] == 'z' {
		sp.coerc = true
		s = s[1:]
	}
	if s != "" && s[0] == '#' {
		sp.alt = true
		s = s[1:]
	}
	if s != "" && s[0] == '0' {
		sp.zero = true
		if !filled {
			sp.fill = "0"
		}
		if sp.align == 0 {
			sp.align = '='
		}
		s = s[1:]
	}
	digits := func() (int, bool, error) {
		i, v := 0, 0
		for ; i < len(s) && s[i] >= '0' && s[i] <= '9'; i++ {
			if v = v*10 + int(s[i]-'0'); v > math.MaxInt32 {
				return 0, false, Raise("ValueError", "Too many decimal digits in format string")
			}
		}
		s = s[i:]
		return v, i > 0, nil
	}
	var err error
	if sp.width, _, err = digits(); err != nil {
		return nil, err
	}
	for s != "" && (s[0] == ',' || s[0] == '_') {
		if sp.comma != 0 {
			if sp.comma != s[0] {
				return nil, Raise("ValueError", "Cannot specify both ',' and '_'.")
			}
			return nil, Raise("ValueError", "Cannot specify '%c' with '%c'.", s[0], s[0])
		}
		sp.comma = s[0]
		s = s[1:]
	}
	if s != "" && s[0] == '.' {
		s = s[1:]
		p, ok, err := digits()
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, Raise("ValueError", "Format specifier missing precision")
		}
		sp.prec = p
	}
	r, n := utf8.DecodeRuneInString(s)
	if n < len(s) {
		return nil, Raise("ValueError", "Invalid format specifier '%s' for object of type '%s'", whole, typeName)
	}
	if n > 0 {
		sp.typ = r
	}
	return sp, nil
}

// Format is format(v, spec).
func Format(t *Thread, v Value, specText string) (string, error) {
	if specText == "" {
		return Str(t, v)
	}
	switch x := v.(type) {
	case string, Markup:
		s, _ := asStr(x)
		return formatStr(t, s, specText)
	case bool, int64, *big.Int:
		if b, ok := x.(bool); ok {
			sp, err := parseSpec(specText, "bool")
			if err != nil {
				return "", err
			}
			if sp.typ == 's' {
				return "", Raise("ValueError", "Unknown format code 's' for object of type 'bool'")
			}
			n, _ := AsInt(b)
			return formatNumber(t, n, specText, "bool")
		}
		return formatNumber(t, v, specText, "int")
	case float64:
		return formatNumber(t, v, specText, "float")
	case *Undefined:
		if x.Mode == Strict {
			return "", Raise("TypeError", "unsupported format string passed to %s.__format__", TypeName(v))
		}
	}
	return "", Raise("TypeError", "unsupported format string passed to %s.__format__", TypeName(v))
}

func unknownCode(r rune, typeName string) error {
	return Raise("ValueError", "Unknown format code '%c' for object of type '%s'", r, typeName)
}

func formatStr(t *Thread, s, specText string) (string, error) {
	sp, err := parseSpec(specText, "str")
	if err != nil {
		return "", err
	}
	switch {
	case sp.typ != 0 && sp.typ != 's':
		return "", unknownCode(sp.typ, "str")
	case sp.sign == ' ':
		return "", Raise("ValueError", "Space not allowed in string format specifier")
	case sp.sign != 0:
		return "", Raise("ValueError", "Sign not allowed in string format specifier")
	case sp.alt:
		return "", Raise("ValueError", "Alternate form (#) not allowed in string format specifier")
	case sp.align == '=' && !sp.zero:
		return "", Raise("ValueError", "'=' alignment not allowed in string format specifier")
	case sp.comma != 0:
		return "", Raise("ValueError", "Cannot specify '%c' with 's'.", sp.comma)
	}
	if sp.align == '=' {
		sp.align = '<'
	}
	if err := t.Alloc(sp.width * len(sp.fill)); err != nil {
		return "", err
	}
	if sp.prec >= 0 && runeLen(s) > sp.prec {
		s = s[:offset(s, sp.prec)]
	}
	return sp.padTo(s, '<'), nil
}

func formatNumber(t *Thread, v Value, specText, typeName string) (string, error) {
	sp, err := parseSpec(specText, typeName)
	if err != nil {
		return "", err
	}
	if err := t.Alloc(sp.width*len(sp.fill) + max(sp.prec, 0)); err != nil {
		return "", err
	}
	f, isFloat := v.(float64)
	neg, prefix, digits, group := false, "", "", 3
	switch sp.typ {
	case 'b', 'o', 'x', 'X', 'd', 'n', 'c', 0:
		if isFloat {
			if sp.typ == 'n' || sp.typ == 0 {
				break
			}
			return "", unknownCode(sp.typ, typeName)
		}
		n := toBigInt(v)
		if sp.prec >= 0 {
			return "", Raise("ValueError", "Precision not allowed in integer format specifier")
		}
		if sp.coerc {
			return "", Raise("ValueError", "Negative zero coercion (z) not allowed in integer format specifier")
		}
		if sp.typ == 'c' {
			if sp.sign != 0 {
				return "", Raise("ValueError", "Sign not allowed with integer format specifier 'c'")
			}
			if !n.IsInt64() || n.Int64() < 0 || n.Int64() > 0x10ffff {
				return "", Raise("OverflowError", "%s", "%c arg not in range(0x110000)")
			}
			return sp.padTo(string(rune(n.Int64())), '<'), nil
		}
		base := 10
		switch sp.typ {
		case 'b':
			base, prefix, group = 2, "0b", 4
		case 'o':
			base, prefix, group = 8, "0o", 4
		case 'x':
			base, prefix, group = 16, "0x", 4
		case 'X':
			base, prefix, group = 16, "0X", 4
		}
		if group == 4 && sp.comma == ',' {
			return "", Raise("ValueError", "Cannot specify ',' with '%c'.", sp.typ)
		}
		if !sp.alt {
			prefix = ""
		}
		neg = n.Sign() < 0
		digits = new(big.Int).Abs(n).Text(base)
		if sp.typ == 'X' {
			digits = strings.ToUpper(digits)
		}
	case 'e', 'E', 'f', 'F', 'g', 'G', '%':
	default:
		return "", unknownCode(sp.typ, typeName)
	}
	if digits == "" {
		if !isFloat {
			if f, err = toFloat(v); err != nil {
				return "", err
			}
		}
		neg = math.Signbit(f) && !math.IsNaN(f)
		digits = sp.floatDigits(math.Abs(f))
		if sp.coerc && strings.Trim(digits, "0.") == "" {
			neg = false
		}
	}
	if sp.comma != 0 {
		whole, rest := digits, ""
		if i := strings.IndexAny(digits, ".e"); i >= 0 && group == 3 {
			whole, rest = digits[:i], digits[i:]
		}
		if sp.fill == "0" && sp.align == '=' {
			// zeros are grouped too
			want := sp.width - len(rest) - len(prefix)
			if neg || sp.sign == '+' || sp.sign == ' ' {
				want--
			}
			for groupedLen(len(whole), group) < want {
				whole = "0" + whole
			}
		}
		digits = grouped(whole, group, sp.comma) + rest
	}
	sign := ""
	switch {
	case neg:
		sign = "-"
	case sp.sign == '+' || sp.sign == ' ':
		sign = string(sp.sign)
	}
	if sp.align == '=' {
		if n := sp.width - len(sign) - len(prefix) - len(digits); n > 0 {
			digits = strings.Repeat(sp.fill, n) + digits
		}
		return sign + prefix + digits, nil
	}
	return sp.padTo(sign+prefix+digits, '>'), nil
}

// floatDigits writes a float that is not negative.
func (sp *spec) floatDigits(f float64) string {
	prec := sp.prec
	switch sp.typ {
	case 0:
		if prec < 0 {
			return Float(f)
		}
		// as g, with at least one digit after the point
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return Float(f)
		}
		if prec == 0 {
			prec = 1
		}
		e := strconv.FormatFloat(f, 'e', prec-1, 64)
		_, es, _ := strings.Cut(e, "e")
		if exp, _ := strconv.Atoi(es); exp >= prec-1 && exp < prec || exp < -4 || exp >= prec {
			// rounding leaves no room for a digit after the point
			if exp < -4 || exp >= prec-1 {
				mant, _, _ := strings.Cut(e, "e")
				if strings.Contains(mant, ".") {
					mant = strings.TrimRight(strings.TrimRight(mant, "0"), ".")
				}
				if len(es) == 2 {
					es = es[:1] + "0" + es[1:]
				}
				return mant + "e" + es
			}
		}
		s := formatFloat(f, 'g', prec, false)
		if !strings.ContainsAny(s, ".en") {
			s += ".0"
		}
		return s
	case '%':
		if prec < 0 {
			prec = 6
		}
		return formatFloat(f*100, 'f', prec, sp.alt) + "%"
	case 'n':
		if prec < 0 {
			prec = 6
		}
		return formatFloat(f, 'g', prec, sp.alt)
	}
	if prec < 0 {
		prec = 6
	}
	return formatFloat(f, byte(sp.typ), prec, sp.alt)
}

func groupedLen(n, group int) int { return n + (n-1)/group }

func grouped(s string, group int, sep byte) string {
	if len(s) <= group {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		if i > 0 && (len(s)-i)%group == 0 {
			b.WriteByte(sep)
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// StrFormat is format.format(*args, **kwargs); escape is true for Markup.
func StrFormat(t *Thread, format string, args []Value, kwargs func(name string) (Value, error), escape bool) (string, error) {
	f := &formatter{t: t, args: args, kwargs: kwargs, escape: escape}
	return f.expand(format, 2)
}

type formatter struct {
	t      *Thread
	args   []Value
	kwargs func(string) (Value, error)
	escape bool
	auto   int // next automatic number; -1 once numbers were given
	manual bool
}

func (f *formatter) expand(s string, depth int) (string, error) {
	if depth < 0 {
		return "", Raise("ValueError", "Max string recursion exceeded")
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '{' && i+1 < len(s) && s[i+1] == '{', c == '}' && i+1 < len(s) && s[i+1] == '}':
			b.WriteByte(c)
			i += 2
		case c == '}':
			return "", Raise("ValueError", "Single '}' encountered in format string")
		case c == '{':
			if i+1 >= len(s) {
				return "", Raise("ValueError", "Single '{' encountered in format string")
			}
			fl, n, err := parseField(s[i+1:])
			if err != nil {
				return "", err
			}
			out, err := f.field(fl, depth)
			if err != nil {
				return "", err
			}
			if err := f.t.Alloc(len(out)); err != nil {
				return "", err
			}
			b.WriteString(out)
			i += 1 + n
		default:
			j := strings.IndexAny(s[i:], "{}")
			if j < 0 {
				j = len(s) - i
			}
			b.WriteString(s[i : i+j])
			i += j
		}
	}
	return b.String(), f.t.Alloc(b.Len())
}

// field is what stands between { and }.
type field struct{ name, conv, spec string }

// parseField reads a field up to and with its }; n is its length.
func parseField(s string) (fl field, n int, err error) {
	bracket := false
	end := byte(0)
	i := 0
	for ; i < len(s) && end == 0; i++ {
		switch c := s[i]; c {
		case '{':
			return fl, 0, Raise("ValueError", "unexpected '{' in field name")
		case '[', ']':
			bracket = c == '['
		case '}', ':', '!':
			if !bracket {
				end = c
			}
		}
	}
	if end == 0 {
		return fl, 0, Raise("ValueError", "expected '}' before end of string")
	}
	fl.name = s[:i-1]
	if end == '}' {
		return fl, i, nil
	}
	if end == '!' {
		if i >= len(s) {
			return fl, 0, Raise("ValueError", "end of string while looking for conversion specifier")
		}
		_, k := utf8.DecodeRuneInString(s[i:])
		fl.conv = s[i : i+k]
		i += k
		if i < len(s) {
			i++
			switch s[i-1] {
			case '}':
				return fl, i, nil
			case ':':
			default:
				return fl, 0, Raise("ValueError", "expected ':' after conversion specifier")
			}
		}
	}
	start, level := i, 1
	for ; i < len(s); i++ {
		switch s[i] {
		case '{':
			level++
		case '}':
			if level--; level == 0 {
				fl.spec = s[start:i]
				return fl, i + 1, nil
			}
		}
	}
	return fl, 0, Raise("ValueError", "unmatched '{' in format spec")
}

func (f *formatter) field(fl field, depth int) (string, error) {
	conv, specText := fl.conv, fl.spec
	v, err := f.lookup(fl.name)
	if err != nil {
		return "", err
	}
	if specText, err = f.expand(specText, depth-1); err != nil {
		return "", err
	}
	switch conv {
	case "":
	case "s", "r", "a":
		var s string
		switch conv {
		case "s":
			s, err = Str(f.t, v)
		case "r":
			s, err = Repr(f.t, v)
		default:
			s, err = ascii(f.t, v)
		}
		if err != nil {
			return "", err
		}
		v = s
	default:
		return "", Raise("ValueError", "Unknown conversion specifier %s", conv)
	}
	if f.escape {
		if m, ok := v.(Markup); ok {
			if specText != "" {
				return "", Raise("ValueError", "Format specifier %s given, but type %s does not define __html_format__.", specText, TypeName(v))
			}
			return string(m), nil
		}
		s, err := Format(f.t, v, specText)
		return htmlEscaper.Replace(s), err
	}
	return Format(f.t, v, specText)
}

func (f *formatter) lookup(name string) (Value, error) {
	end := strings.IndexAny(name, ".[")
	if end < 0 {
		end = len(name)
	}
	first, rest := name[:end], name[end:]
	var v Value
	var err error
	switch n, convErr := strconv.Atoi(first); {
	case name == "" || convErr == nil && first[0] >= '0' && first[0] <= '9':
		if name == "" {
			if f.manual {
				return nil, Raise("ValueError", "cannot switch from manual field specification to automatic field numbering")
			}
			n = f.auto
			f.auto++
		} else {
			if f.auto > 0 {
				return nil, Raise("ValueError", "cannot switch from manual field specification to automatic field numbering")
			}
			f.manual = true
		}
		if n >= len(f.args) {
			return nil, Raise("IndexError", "tuple index out of range")
		}
		v = f.args[n]
	default:
		if v, err = f.kwargs(first); err != nil {
			return nil, err
		}
	}
	for rest != "" {
		if rest[0] == '.' {
			end := strings.IndexAny(rest[1:], ".[")
			if end < 0 {
				end = len(rest) - 1
			}
			attr := rest[1 : 1+end]
			rest = rest[1+end:]
			if attr == "" {
				return nil, Raise("ValueError", "Empty attribute in format string")
			}
			if f.t != nil && f.t.GetAttr != nil {
				v, err = f.t.GetAttr(f.t, v, attr)
			} else {
				v, err = GetAttr(f.t, v, attr)
			}
		} else if rest[0] == '[' {
			end := strings.IndexByte(rest, ']')
			if end < 0 {
				return nil, Raise("ValueError", "Missing ']' in format string")
			}
			text := rest[1:end]
			rest = rest[end+1:]
			if text == "" {
				return nil, Raise("ValueError", "Empty attribute in format string")
			}
			var key Value = text
			if n, err := strconv.ParseInt(text, 10, 64); err == nil && text[0] != '-' && text[0] != '+' {
				key = n
			}
			if f.t != nil && f.t.GetItem != nil {
				v, err = f.t.GetItem(f.t, v, key)
			} else {
				v, err = Item(f.t, v, key)
			}
		} else {
			return nil, Raise("ValueError", "Only '.' or '[' may follow ']' in format field specifier")
		}
		if err != nil {
			return nil, err
		}
	}
	return v, nil
}
