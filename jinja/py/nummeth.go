package py

import (
	"math"
	"math/big"
	"math/bits"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

func init() {
	one := func(name string, fn func(self Value) (Value, error)) *method {
		return &method{name: name, fn: func(_ *Call, self Value) (Value, error) { return fn(self) }}
	}
	register("int",
		one("bit_length", func(v Value) (Value, error) { return int64(toBigInt(v).BitLen()), nil }),
		one("bit_count", func(v Value) (Value, error) {
			n := 0
			for _, w := range toBigInt(v).Bits() {
				n += bits.OnesCount(uint(w))
			}
			return int64(n), nil
		}),
		one("conjugate", func(v Value) (Value, error) { return Unary("+", v) }),
		one("as_integer_ratio", func(v Value) (Value, error) {
			n, err := Unary("+", v)
			return Tuple{n, int64(1)}, err
		}),
		&method{name: "to_bytes", max: 2, kw: []string{"length", "byteorder"}, fn: toBytes},
	)
	register("float",
		one("is_integer", func(v Value) (Value, error) {
			f := v.(float64)
			return f == math.Trunc(f) && !math.IsInf(f, 0), nil
		}),
		one("conjugate", func(v Value) (Value, error) { return v, nil }),
		one("hex", func(v Value) (Value, error) { return hexFloat(v.(float64)), nil }),
		one("as_integer_ratio", func(v Value) (Value, error) {
			f := v.(float64)
			if math.IsInf(f, 0) {
				return nil, Raise("OverflowError", "cannot convert Infinity to integer ratio")
			}
			if math.IsNaN(f) {
				return nil, Raise("ValueError", "cannot convert NaN to integer ratio")
			}
			r := new(big.Rat).SetFloat64(f)
			return Tuple{NewInt(new(big.Int).Set(r.Num())), NewInt(new(big.Int).Set(r.Denom()))}, nil
		}),
	)
	register("bytes",
		&method{name: "decode", max: 2, kw: []string{"encoding", "errors"}, fn: decode},
		one("hex", func(v Value) (Value, error) {
			const digits = "0123456789abcdef"
			var b strings.Builder
			for _, c := range []byte(v.(Bytes)) {
				b.WriteByte(digits[c>>4])
				b.WriteByte(digits[c&15])
			}
			return b.String(), nil
		}),
		one("upper", func(v Value) (Value, error) { return Bytes(strings.ToUpper(string(v.(Bytes)))), nil }),
		one("lower", func(v Value) (Value, error) { return Bytes(strings.ToLower(string(v.(Bytes)))), nil }),
		one("strip", func(v Value) (Value, error) { return Bytes(strings.TrimSpace(string(v.(Bytes)))), nil }),
	)
}

func toBytes(c *Call, self Value) (Value, error) {
	n, err := intArg(c, 0, 1)
	if err != nil {
		return nil, err
	}
	if n < 0 {
		return nil, Raise("ValueError", "length argument must be non-negative")
	}
	order, _ := asStr(c.opt(1, "big"))
	b := toBigInt(self)
	if b.Sign() < 0 {
		return nil, Raise("OverflowError", "can't convert negative int to unsigned")
	}
	if err := c.T.Alloc(n); err != nil {
		return nil, err
	}
	if b.BitLen() > 8*n {
		return nil, Raise("OverflowError", "int too big to convert")
	}
	buf := b.FillBytes(make([]byte, n))
	if order == "little" {
		for i, j := 0, len(buf)-1; i < j; i, j = i+1, j-1 {
			buf[i], buf[j] = buf[j], buf[i]
		}
	}
	return Bytes(buf), nil
}

func hexFloat(f float64) string {
	switch {
	case math.IsNaN(f):
		return "nan"
	case math.IsInf(f, 0):
		return Float(f)
	case f == 0:
		if math.Signbit(f) {
			return "-0x0.0p+0"
		}
		return "0x0.0p+0"
	}
	s := strconv.FormatFloat(f, 'x', 13, 64)
	mant, exp, _ := strings.Cut(s, "p")
	n, _ := strconv.Atoi(exp)
	sign := "+"
	if n < 0 {
		sign = "-"
		n = -n
	}
	return mant + "p" + sign + strconv.Itoa(n)
}

func decode(c *Call, self Value) (Value, error) {
	s := string(self.(Bytes))
	enc, _ := asStr(c.opt(0, "utf-8"))
	errs, _ := asStr(c.opt(1, "strict"))
	if err := c.T.Alloc(len(s)); err != nil {
		return nil, err
	}
	switch strings.ReplaceAll(strings.ToLower(enc), "_", "-") {
	case "utf-8", "utf8", "ascii", "us-ascii":
		if utf8.ValidString(s) {
			return s, nil
		}
		switch errs {
		case "ignore":
			return strings.ToValidUTF8(s, ""), nil
		case "replace":
			return strings.ToValidUTF8(s, "\ufffd"), nil
		}
		for i, r := range s {
			if r == utf8.RuneError {
				return nil, Raise("UnicodeDecodeError", "'utf-8' codec can't decode byte 0x%02x in position %d: invalid start byte", s[i], i)
			}
		}
		return s, nil
	case "latin-1", "latin1", "iso-8859-1", "iso8859-1":
		rs := make([]rune, len(s))
		for i := range rs {
			rs[i] = rune(s[i])
		}
		return string(rs), nil
	}
	return nil, Raise("LookupError", "unknown encoding: %s", enc)
}

// ParseInt is int(s, base).
func ParseInt(s string, base int) (Value, error) {
	fail := func() (Value, error) {
		return nil, Raise("ValueError", "invalid literal for int() with base %d: %s", base, Quote(s))
	}
	if base != 0 && (base < 2 || base > 36) {
		return nil, Raise("ValueError", "int() base must be >= 2 and <= 36, or 0")
	}
	d := plainDigits(Strip(s))
	neg := false
	if d != "" && (d[0] == '+' || d[0] == '-') {
		neg = d[0] == '-'
		d = d[1:]
	}
	b := base
	if len(d) > 1 && d[0] == '0' {
		kind := map[byte]int{'x': 16, 'o': 8, 'b': 2}[d[1]|0x20]
		if kind != 0 && (base == 0 || base == kind) {
			b, d = kind, d[2:]
			d = strings.TrimPrefix(d, "_")
		}
	}
	if b == 0 {
		b = 10
		if len(d) > 1 && d[0] == '0' && strings.Trim(d, "0_") != "" {
			return fail()
		}
	}
	if d == "" || d[0] == '_' || d[len(d)-1] == '_' || strings.Contains(d, "__") || d[0] == '+' || d[0] == '-' {
		return fail()
	}
	d = strings.ReplaceAll(d, "_", "")
	if n, err := strconv.ParseInt(d, b, 64); err == nil {
		if neg {
			n = -n
		}
		return n, nil
	}
	if len(d) > 4300 && b&(b-1) != 0 {
		return nil, Raise("ValueError", "Exceeds the limit (4300 digits) for integer string conversion: value has %d digits; use sys.set_int_max_str_digits() to increase the limit", len(d))
	}
	z, ok := new(big.Int).SetString(d, b)
	if !ok {
		return fail()
	}
	if neg {
		z.Neg(z)
	}
	return NewInt(z), nil
}

// plainDigits turns the decimal digits of other scripts into ASCII.
func plainDigits(s string) string {
	if isASCII(s) {
		return s
	}
	return strings.Map(func(r rune) rune {
		if r >= 0x80 && unicode.Is(unicode.Nd, r) {
			z := r
			for unicode.Is(unicode.Nd, z-1) && r-z < 9 {
				z--
			}
			return '0' + (r - z)
		}
		return r
	}, s)
}

// ToInt is int(v) for what is no text.
func ToInt(v Value) (Value, error) {
	switch x := v.(type) {
	case int64, *big.Int:
		return x, nil
	case bool:
		n, _ := AsInt(x)
		return n, nil
	case float64:
		switch {
		case math.IsNaN(x):
			return nil, Raise("ValueError", "cannot convert float NaN to integer")
		case math.IsInf(x, 0):
			return nil, Raise("OverflowError", "cannot convert float infinity to integer")
		case math.Abs(x) < 1<<62:
			return int64(x), nil
		}
		b, _ := big.NewFloat(x).Int(nil)
		return NewInt(b), nil
	case string, Markup:
		s, _ := asStr(x)
		return ParseInt(s, 10)
	case Bytes:
		return ParseInt(string(x), 10)
	case *Undefined:
		return nil, x.Fail()
	}
	return nil, Raise("TypeError", "int() argument must be a string, a bytes-like object or a real number, not '%s'", TypeName(v))
}

// ToFloat is float(v).
func ToFloat(v Value) (float64, error) {
	switch x := v.(type) {
	case string, Markup, Bytes:
		s, _ := asStr(x)
		if b, isBytes := x.(Bytes); isBytes {
			s = string(b)
		}
		d := plainDigits(Strip(s))
		l := strings.ToLower(strings.TrimLeft(d, "+-"))
		bad := strings.ContainsAny(l, "xp") || strings.HasPrefix(l, "_") || strings.HasSuffix(l, "_") || strings.Contains(l, "__") ||
			len(d)-len(l) > 1
		if strings.Contains(l, "_") {
			for i := 1; i < len(l)-1; i++ {
				if l[i] == '_' && (l[i-1] < '0' || l[i-1] > '9' || l[i+1] < '0' || l[i+1] > '9') {
					bad = true
				}
			}
			d = strings.ReplaceAll(d, "_", "")
		}
		if !bad {
			f, err := strconv.ParseFloat(d, 64)
			if err == nil || math.IsInf(f, 0) && d != "" {
				return f, nil
			}
		}
		shown, err := Repr(nil, x)
		if err != nil {
			return 0, err
		}
		return 0, Raise("ValueError", "could not convert string to float: %s", shown)
	case *Undefined:
		return 0, x.Fail()
	}
	if isNumber(v) {
		return toFloat(v)
	}
	return 0, Raise("TypeError", "float() argument must be a string or a real number, not '%s'", TypeName(v))
}

// Round is round(v, digits) of a number; digits None rounds to an int.
func Round(t *Thread, v Value, digits Value) (Value, error) {
	n := 0
	if !isNumber(v) {
		return nil, Raise("TypeError", "type %s doesn't define __round__ method", TypeName(v))
	}
	if digits != nil {
		d, err := index(digits)
		if err != nil {
			return nil, err
		}
		n = d
	}
	switch x := v.(type) {
	case int64, bool, *big.Int:
		i := toBigInt(x)
		if n >= 0 {
			return NewInt(new(big.Int).Set(i)), nil
		}
		if n < -400 {
			return int64(0), nil
		}
		p := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(-n)), nil)
		q, m := new(big.Int).QuoRem(new(big.Int).Abs(i), p, new(big.Int))
		twice := new(big.Int).Lsh(m, 1)
		if c := twice.Cmp(p); c > 0 || c == 0 && q.Bit(0) == 1 {
			q.Add(q, big.NewInt(1))
		}
		q.Mul(q, p)
		if i.Sign() < 0 {
			q.Neg(q)
		}
		return NewInt(q), nil
	case float64:
		if digits == nil {
			if math.IsNaN(x) || math.IsInf(x, 0) {
				return ToInt(x)
			}
			return ToInt(math.RoundToEven(x))
		}
		if math.IsNaN(x) || math.IsInf(x, 0) || n > 323 {
			return x, nil
		}
		if n < -308 {
			return math.Copysign(0, x), nil
		}
		if n >= 0 {
			f, _ := strconv.ParseFloat(strconv.FormatFloat(x, 'f', n, 64), 64)
			return f, nil
		}
		p := math.Pow(10, float64(-n))
		return math.RoundToEven(x/p) * p, nil
	}
	return nil, Raise("TypeError", "type %s doesn't define __round__ method", TypeName(v))
}

// Abs is abs(v).
func Abs(v Value) (Value, error) {
	switch x := v.(type) {
	case int64, bool, *big.Int:
		return NewInt(new(big.Int).Abs(toBigInt(x))), nil
	case float64:
		return math.Abs(x), nil
	}
	return nil, Raise("TypeError", "bad operand type for abs(): '%s'", TypeName(v))
}
