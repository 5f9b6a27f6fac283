package py

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Percent is format % args of a str.
func Percent(t *Thread, format string, args Value) (Value, error) {
	s, err := percent(t, format, args, func(v Value, conv byte) (string, error) {
		switch conv {
		case 's':
			return Str(t, v)
		case 'r':
			return Repr(t, v)
		}
		return ascii(t, v)
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// percentMarkup is % of Markup: what is inserted is escaped.
func percentMarkup(t *Thread, format Markup, args Value) (Value, error) {
	s, err := percent(t, string(format), args, func(v Value, conv byte) (string, error) {
		if conv == 's' {
			m, err := Escape(t, v)
			return string(m), err
		}
		s, err := Repr(t, v)
		if conv == 'a' && err == nil {
			s, err = ascii(t, v)
		}
		return htmlEscaper.Replace(s), err
	})
	if err != nil {
		return nil, err
	}
	return Markup(s), nil
}

func percent(t *Thread, format string, args Value, text func(v Value, conv byte) (string, error)) (string, error) {
	var b strings.Builder
	tuple, isTuple := args.(Tuple)
	next := 0
	isMapping := false
	switch args.(type) {
	case Tuple, string, Markup:
	case *Dict, *List, *Range, Bytes, *Undefined, Indexer:
		isMapping = true
	}
	byKey := false // a key was used: no plain argument may follow
	arg := func() (Value, error) {
		if byKey {
			return nil, Raise("TypeError", "not enough arguments for format string")
		}
		if isTuple {
			if next >= len(tuple) {
				return nil, Raise("TypeError", "not enough arguments for format string")
			}
			next++
			return tuple[next-1], nil
		}
		if next > 0 {
			return nil, Raise("TypeError", "not enough arguments for format string")
		}
		next++
		return args, nil
	}
	i := 0
	for i < len(format) {
		j := strings.IndexByte(format[i:], '%')
		if j < 0 {
			b.WriteString(format[i:])
			break
		}
		b.WriteString(format[i : i+j])
		i += j + 1
		sp := spec{fill: " ", prec: -1}
		var val Value
		have := false
		if i < len(format) && format[i] == '(' {
			depth, start := 1, i+1
			for i++; i < len(format) && depth > 0; i++ {
				switch format[i] {
				case '(':
					depth++
				case ')':
					depth--
				}
			}
			if depth > 0 {
				return "", Raise("ValueError", "incomplete format key")
			}
			if !isMapping {
				return "", Raise("TypeError", "format requires a mapping")
			}
			v, err := Item(t, args, format[start:i-1])
			if err != nil {
				return "", err
			}
			val, have, byKey = v, true, true
		}
	flags:
		for ; i < len(format); i++ {
			switch format[i] {
			case '-':
				sp.align = '<'
			case '+':
				sp.sign = '+'
			case ' ':
				if sp.sign != '+' {
					sp.sign = ' '
				}
			case '#':
				sp.alt = true
			case '0':
				sp.zero = true
			default:
				break flags
			}
		}
		number := func(what string) (int, error) {
			if i < len(format) && format[i] == '*' {
				i++
				v, err := arg()
				if err != nil {
					return 0, err
				}
				n, ok := AsInt(v)
				if !ok {
					return 0, Raise("TypeError", "* wants int")
				}
				if n > math.MaxInt32 || n < -math.MaxInt32 {
					return 0, Raise("OverflowError", "Python int too large to convert to C int")
				}
				return int(n), nil
			}
			n := 0
			for ; i < len(format) && format[i] >= '0' && format[i] <= '9'; i++ {
				if n = n*10 + int(format[i]-'0'); n > math.MaxInt32 {
					return 0, Raise("ValueError", what+" too big")
				}
			}
			return n, nil
		}
		w, err := number("width")
		if err != nil {
			return "", err
		}
		if w < 0 {
			sp.align, w = '<', -w
		}
		sp.width = w
		if i < len(format) && format[i] == '.' {
			i++
			p, err := number("precision")
			if err != nil {
				return "", err
			}
			sp.prec = max(p, 0)
		}
		for i < len(format) && (format[i] == 'l' || format[i] == 'h' || format[i] == 'L') {
			i++
		}
		if i >= len(format) {
			return "", Raise("ValueError", "incomplete format")
		}
		r, size := utf8.DecodeRuneInString(format[i:])
		at := runeLen(format[:i])
		i += size
		if r == '%' {
			b.WriteByte('%')
			continue
		}
		if !have {
			if val, err = arg(); err != nil {
				return "", err
			}
		}
		if err := t.Alloc(sp.width + max(sp.prec, 0)); err != nil {
			return "", err
		}
		s, err := sp.percentOne(t, r, at, val, text)
		if err != nil {
			return "", err
		}
		if err := t.Alloc(len(s)); err != nil {
			return "", err
		}
		b.WriteString(s)
	}
	if isTuple && next < len(tuple) || !isTuple && next == 0 && !isMapping {
		return "", Raise("TypeError", "not all arguments converted during string formatting")
	}
	return b.String(), t.Alloc(b.Len())
}

// percentOne formats one value by the conversion r at code point at.
func (sp *spec) percentOne(t *Thread, r rune, at int, val Value, text func(Value, byte) (string, error)) (string, error) {
	switch r {
	case 's', 'r', 'a':
		s, err := text(val, byte(r))
		if err != nil {
			return "", err
		}
		if sp.prec >= 0 && runeLen(s) > sp.prec {
			s = s[:offset(s, sp.prec)]
		}
		return sp.padTo(s, '>'), nil
	case 'c':
		switch x := val.(type) {
		case string, Markup:
			s, _ := asStr(x)
			if runeLen(s) != 1 {
				return "", Raise("TypeError", "%s", "%c requires int or char")
			}
			return sp.padTo(s, '>'), nil
		case int64, bool:
			n, _ := AsInt(x)
			if n < 0 || n > 0x10ffff {
				return "", Raise("OverflowError", "%s", "%c arg not in range(0x110000)")
			}
			return sp.padTo(string(rune(n)), '>'), nil
		}
		return "", Raise("TypeError", "%s", "%c requires int or char")
	case 'd', 'i', 'u', 'x', 'X', 'o':
		if u, ok := val.(*Undefined); ok {
			return "", u.Fail()
		}
		var n *big.Int
		switch x := val.(type) {
		case float64:
			if r == 'x' || r == 'X' || r == 'o' {
				return "", Raise("TypeError", "%%%c format: an integer is required, not float", r)
			}
			if math.IsNaN(x) {
				return "", Raise("ValueError", "cannot convert float NaN to integer")
			}
			if math.IsInf(x, 0) {
				return "", Raise("OverflowError", "cannot convert float infinity to integer")
			}
			n, _ = big.NewFloat(x).Int(nil)
		default:
			if n = toBigInt(val); n == nil {
				if r == 'x' || r == 'X' || r == 'o' {
					return "", Raise("TypeError", "%%%c format: an integer is required, not %s", r, TypeName(val))
				}
				return "", Raise("TypeError", "%%%c format: a real number is required, not %s", r, TypeName(val))
			}
		}
		base := map[rune]int{'x': 16, 'X': 16, 'o': 8}[r]
		if base == 0 {
			base = 10
		}
		digits := new(big.Int).Abs(n).Text(base)
		if len(digits) < sp.prec {
			digits = strings.Repeat("0", sp.prec-len(digits)) + digits
		}
		prefix := ""
		if sp.alt {
			prefix = map[rune]string{'x': "0x", 'X': "0X", 'o': "0o"}[r]
		}
		if r == 'X' {
			digits = strings.ToUpper(digits)
		}
		return sp.number(n.Sign() < 0, prefix, digits), nil
	case 'e', 'E', 'f', 'F', 'g', 'G':
		if u, ok := val.(*Undefined); ok {
			return "", u.Fail()
		}
		f, err := toFloat(val)
		if err != nil {
			return "", err
		}
		prec := sp.prec
		if prec < 0 {
			prec = 6
		}
		digits := formatFloat(math.Abs(f), byte(r), prec, sp.alt)
		return sp.number(math.Signbit(f) && !math.IsNaN(f), "", digits), nil
	}
	shown := string(r)
	if !isPrintable(r) {
		shown = "?"
	}
	return "", Raise("ValueError", "unsupported format character '%s' (0x%x) at index %d", shown, r, at)
}

// number puts sign, prefix and padding around digits.
func (sp *spec) number(neg bool, prefix, digits string) string {
	sign := ""
	switch {
	case neg:
		sign = "-"
	case sp.sign != 0:
		sign = string(sp.sign)
	}
	pad := sp.width - len(sign) - len(prefix) - len(digits)
	if pad <= 0 {
		return sign + prefix + digits
	}
	switch {
	case sp.align == '<':
		return sign + prefix + digits + strings.Repeat(" ", pad)
	case sp.zero:
		return sign + prefix + strings.Repeat("0", pad) + digits
	}
	return strings.Repeat(" ", pad) + sign + prefix + digits
}

// formatFloat writes a float that is not negative as C's printf does.
func formatFloat(f float64, conv byte, prec int, alt bool) string {
	upper := conv >= 'A' && conv <= 'Z'
	if math.IsNaN(f) || math.IsInf(f, 0) {
		s := "nan"
		if !math.IsNaN(f) {
			s = "inf"
		}
		if upper {
			s = strings.ToUpper(s)
		}
		return s
	}
	var s string
	switch conv | 0x20 {
	case 'f':
		s = strconv.FormatFloat(f, 'f', prec, 64)
		if alt && prec == 0 {
			s += "."
		}
	case 'e':
		s = strconv.FormatFloat(f, 'e', prec, 64)
		if alt && prec == 0 {
			s = strings.Replace(s, "e", ".e", 1)
		}
	default: // g
		if prec == 0 {
			prec = 1
		}
		e := strconv.FormatFloat(f, 'e', prec-1, 64)
		_, es, _ := strings.Cut(e, "e")
		exp, _ := strconv.Atoi(es)
		if exp < -4 || exp >= prec {
			mant, _, _ := strings.Cut(e, "e")
			if !alt && strings.Contains(mant, ".") {
				mant = strings.TrimRight(strings.TrimRight(mant, "0"), ".")
			} else if alt && !strings.Contains(mant, ".") {
				mant += "."
			}
			s = fmt.Sprintf("%se%+03d", mant, exp)
		} else {
			s = strconv.FormatFloat(f, 'f', max(prec-1-exp, 0), 64)
			if !alt && strings.Contains(s, ".") {
				s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
			} else if alt && !strings.Contains(s, ".") {
				s += "."
			}
		}
	}
	if upper {
		s = strings.ToUpper(s)
	}
	return s
}
