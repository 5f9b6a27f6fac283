package yaml11

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode"

	"github.com/gosalt/gosalt/internal/pytext"
)

// Error is what Python raises for text that does not fit its type: the class of the
// exception, and its message.
type Error struct{ Class, Problem string }

// Error is the message.
func (e *Error) Error() string { return e.Problem }

func fails(class, format string, args ...any) *Error {
	return &Error{class, fmt.Sprintf(format, args...)}
}

// Bool reads a bool, in letters of any size.
func Bool(s string) (any, error) {
	switch lower := strings.ToLower(s); lower {
	case "yes", "true", "on":
		return true, nil
	case "no", "false", "off":
		return false, nil
	default:
		return nil, fails("KeyError", "%s", pytext.Repr(lower))
	}
}

// Int reads a whole number: int64, uint64, or beyond 64 bits the text of its digits.
// Zeros before it do not count, by Salt's own rule: 0644 is six hundred and
// forty-four; after a sign they make it octal.
func Int(s string) (any, error) {
	if len(s) > longest {
		return nil, fails("ValueError", "a number has %d characters, at most %d are read", len(s), longest)
	}
	if s != "0" && strings.HasPrefix(s, "0") && !strings.HasPrefix(s, "0b") && !strings.HasPrefix(s, "0x") {
		if s = strings.TrimLeft(s, "0"); s == "" {
			s = "0"
		}
	}
	s = strings.ReplaceAll(s, "_", "")
	if s == "" {
		return nil, fails("IndexError", "string index out of range")
	}
	negative := s[0] == '-'
	if negative || s[0] == '+' {
		s = s[1:]
	}
	var v *big.Int
	var err error
	switch {
	case s == "":
		return nil, fails("IndexError", "string index out of range")
	case strings.HasPrefix(s, "0b"):
		v, err = pythonInt(s[2:], 2)
	case strings.HasPrefix(s, "0x"):
		v, err = pythonInt(s[2:], 16)
	case s == "0":
		return int64(0), nil
	case s[0] == '0':
		v, err = pythonInt(s, 8)
	case strings.Contains(s, ":"):
		v = new(big.Int)
		for part := range strings.SplitSeq(s, ":") {
			d, err := pythonInt(part, 10)
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
		v, err = pythonInt(s, 10)
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

const (
	mostDigits = 4300    // in decimal that Python takes
	longest    = 1 << 14 // characters of a number of any form
)

// pythonInt is int(s, base): white space around is left out, and a sign and the
// base's own prefix may stand before the digits.
func pythonInt(s string, base int) (*big.Int, error) {
	t := strings.TrimFunc(s, unicode.IsSpace)
	sign := ""
	if t != "" && (t[0] == '-' || t[0] == '+') {
		sign, t = t[:1], t[1:]
	}
	if len(t) > 2 && t[0] == '0' && map[byte]int{'x': 16, 'o': 8, 'b': 2}[t[1]|0x20] == base {
		t = t[2:]
	}
	if base == 10 && len(t) > mostDigits {
		return nil, fails("ValueError", "Exceeds the limit (%d digits) for integer string conversion: value has %d digits; use sys.set_int_max_str_digits() to increase the limit", mostDigits, len(t))
	}
	v, ok := new(big.Int).SetString(t, base)
	if !ok || t[0] == '-' || t[0] == '+' {
		return nil, fails("ValueError", "invalid literal for int() with base %d: %s", base, pytext.Repr(s))
	}
	if sign == "-" {
		v.Neg(v)
	}
	return v, nil
}

// Float reads a number with a point, or .inf, .nan, 1:30.5.
func Float(s string) (any, error) {
	s = strings.ToLower(strings.ReplaceAll(s, "_", ""))
	if s == "" {
		return nil, fails("IndexError", "string index out of range")
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
		v = math.Inf(1)
	case s == ".nan":
		v = math.NaN()
	case strings.Contains(s, ":"):
		var digits []float64
		for part := range strings.SplitSeq(s, ":") {
			f, err := pythonFloat(part)
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
		v, err = pythonFloat(s)
	}
	if err != nil {
		return nil, err
	}
	return sign * v, nil
}

// pythonFloat is float(s), which knows no hexadecimal form.
func pythonFloat(s string) (float64, error) {
	t := strings.TrimFunc(s, unicode.IsSpace)
	f, err := strconv.ParseFloat(t, 64)
	if ne, ok := err.(*strconv.NumError); ok && ne.Err == strconv.ErrRange {
		err = nil
	}
	if err != nil || strings.ContainsAny(t, "xXpP_") {
		return 0, fails("ValueError", "could not convert string to float: %s", pytext.Repr(s))
	}
	return f, nil
}
