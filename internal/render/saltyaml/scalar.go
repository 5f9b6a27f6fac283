package saltyaml

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"unicode"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/render/saltyaml/syntax"
)

// fails is an error that Python's own functions raise for a scalar, with their words.
func fails(n *syntax.Node, class, format string, args ...any) *Error {
	return &Error{Class: class, Problem: fmt.Sprintf(format, args...), At: n.Start}
}

func boolean(n *syntax.Node, s string) (any, error) {
	switch lower := strings.ToLower(s); lower {
	case "yes", "true", "on":
		return true, nil
	case "no", "false", "off":
		return false, nil
	default:
		return nil, fails(n, "KeyError", "%s", pytext.Repr(lower))
	}
}

// integer reads a whole number of YAML 1.1. Zeros before its digits do not count, by
// Salt's own rule: 0644 is six hundred and forty-four; after a sign they make it octal.
func integer(n *syntax.Node, s string) (any, error) {
	if s != "0" && strings.HasPrefix(s, "0") && !strings.HasPrefix(s, "0b") && !strings.HasPrefix(s, "0x") {
		if s = strings.TrimLeft(s, "0"); s == "" {
			s = "0"
		}
	}
	s = strings.ReplaceAll(s, "_", "")
	if s == "" {
		return nil, fails(n, "IndexError", "string index out of range")
	}
	negative := s[0] == '-'
	if negative || s[0] == '+' {
		s = s[1:]
	}
	var v *big.Int
	var err error
	switch {
	case s == "":
		return nil, fails(n, "IndexError", "string index out of range")
	case strings.HasPrefix(s, "0b"):
		v, err = pythonInt(n, s[2:], 2)
	case strings.HasPrefix(s, "0x"):
		v, err = pythonInt(n, s[2:], 16)
	case s == "0":
		return int64(0), nil
	case s[0] == '0':
		v, err = pythonInt(n, s, 8)
	case strings.Contains(s, ":"):
		v = new(big.Int)
		for part := range strings.SplitSeq(s, ":") {
			d, err := pythonInt(n, part, 10)
			if err != nil {
				return nil, err
			}
			v.Add(v.Mul(v, big.NewInt(60)), d)
		}
	default:
		if i, err := strconv.ParseInt(s, 10, 64); err == nil && s[0] != '-' && s[0] != '+' {
			if negative {
				i = -i
			}
			return i, nil
		}
		v, err = pythonInt(n, s, 10)
	}
	if err != nil {
		return nil, err
	}
	if negative {
		v.Neg(v)
	}
	switch {
	case v.IsInt64():
		return v.Int64(), nil
	case v.IsUint64():
		return v.Uint64(), nil
	}
	return v.String(), nil
}

// mostDigits is how many decimal digits Python takes, and so we.
const mostDigits = 4300

// pythonInt is int(s, base): white space around is left out, and a sign and the
// base's own prefix may stand before the digits.
func pythonInt(n *syntax.Node, s string, base int) (*big.Int, error) {
	t := strings.TrimFunc(s, unicode.IsSpace)
	sign := ""
	if t != "" && (t[0] == '-' || t[0] == '+') {
		sign, t = t[:1], t[1:]
	}
	if len(t) > 2 && t[0] == '0' && map[byte]int{'x': 16, 'o': 8, 'b': 2}[t[1]|0x20] == base {
		t = t[2:]
	}
	if base == 10 && len(t) > mostDigits {
		return nil, fails(n, "ValueError", "Exceeds the limit (%d digits) for integer string conversion: value has %d digits; use sys.set_int_max_str_digits() to increase the limit", mostDigits, len(t))
	}
	v, ok := new(big.Int).SetString(t, base)
	if !ok || t[0] == '-' || t[0] == '+' {
		return nil, fails(n, "ValueError", "invalid literal for int() with base %d: %s", base, pytext.Repr(s))
	}
	if sign == "-" {
		v.Neg(v)
	}
	return v, nil
}

func float(n *syntax.Node, s string) (any, error) {
	s = strings.ToLower(strings.ReplaceAll(s, "_", ""))
	if s == "" {
		return nil, fails(n, "IndexError", "string index out of range")
	}
	sign := 1.0
	if s[0] == '-' {
		sign = -1
	}
	if s[0] == '-' || s[0] == '+' {
		s = s[1:]
	}
	var v float64
	var err error
	switch {
	case s == ".inf":
		v, err = pythonFloat(n, "inf")
	case s == ".nan":
		v, err = pythonFloat(n, "nan")
	case strings.Contains(s, ":"):
		var digits []float64
		for part := range strings.SplitSeq(s, ":") {
			f, err := pythonFloat(n, part)
			if err != nil {
				return nil, err
			}
			digits = append(digits, f)
		}
		base := 1.0
		for i := len(digits) - 1; i >= 0; i-- {
			v += digits[i] * base
			base *= 60
		}
	default:
		v, err = pythonFloat(n, s)
	}
	if err != nil {
		return nil, err
	}
	return sign * v, nil
}

// pythonFloat is float(s), which knows no hexadecimal form.
func pythonFloat(n *syntax.Node, s string) (float64, error) {
	t := strings.TrimFunc(s, unicode.IsSpace)
	f, err := strconv.ParseFloat(t, 64)
	if ne, ok := err.(*strconv.NumError); ok && ne.Err == strconv.ErrRange {
		err = nil
	}
	if err != nil || strings.ContainsAny(t, "xXpP_") {
		return 0, fails(n, "ValueError", "could not convert string to float: %s", pytext.Repr(s))
	}
	return f, nil
}

// binary decodes base64 as binascii does: what is no letter of it is passed over, and
// padding that ends a group ends the text.
func binary(n *syntax.Node, s string) (any, error) {
	for i, r := range []rune(s) {
		if r < 0x80 {
			continue
		}
		form := `\x%02x`
		if r > 0xffff {
			form = `\U%08x`
		} else if r > 0xff {
			form = `\u%04x`
		}
		last := i
		for runes := []rune(s); last+1 < len(runes) && runes[last+1] >= 0x80; {
			last++
		}
		if last > i {
			return nil, bad(n, "failed to convert base64 data into ascii: 'ascii' codec can't encode characters in position %d-%d: ordinal not in range(128)", i, last)
		}
		return nil, bad(n, "failed to convert base64 data into ascii: 'ascii' codec can't encode character '"+form+"' in position %d: ordinal not in range(128)", r, i)
	}
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	out := []byte{}
	var held byte // bits of the last letter that make no byte yet
	at, pads := 0, 0
	for i := range len(s) {
		if s[i] == '=' {
			if pads++; at >= 2 && at+pads >= 4 {
				return out, nil
			}
			continue
		}
		v := strings.IndexByte(letters, s[i])
		if v < 0 {
			continue
		}
		pads = 0
		d := byte(v)
		switch at {
		case 1:
			out = append(out, held<<2|d>>4)
			d &= 0xf
		case 2:
			out = append(out, held<<4|d>>2)
			d &= 3
		case 3:
			out = append(out, held<<6|d)
		}
		held = d
		at = (at + 1) % 4
	}
	switch at {
	case 0:
		return out, nil
	case 1:
		return nil, bad(n, "failed to decode base64 data: Invalid base64-encoded string: number of data characters (%d) cannot be 1 more than a multiple of 4", len(out)/3*4+1)
	}
	return nil, bad(n, "failed to decode base64 data: Incorrect padding")
}
