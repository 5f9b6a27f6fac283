package py

import (
	"math"
	"math/big"
	"strings"
)

// Binary is a op b for + - * / // % **.
func Binary(t *Thread, op string, a, b Value) (Value, error) {
	// The commonest first.
	if x, ok := a.(int64); ok {
		if y, ok := b.(int64); ok {
			return intOp(t, op, x, y)
		}
	}
	if u := undefinedOperand(op, a, b); u != nil {
		return nil, u.Fail()
	}
	if isNumber(a) && isNumber(b) {
		return numberOp(t, op, a, b)
	}
	switch op {
	case "+":
		return add(t, a, b)
	case "*":
		if v, ok, err := repeat(t, a, b); ok {
			return v, err
		}
		if v, ok, err := repeat(t, b, a); ok {
			return v, err
		}
		if isSeq(a) {
			return nil, Raise("TypeError", "can't multiply sequence by non-int of type '%s'", TypeName(b))
		}
		if isSeq(b) {
			return nil, Raise("TypeError", "can't multiply sequence by non-int of type '%s'", TypeName(a))
		}
	case "%":
		switch x := a.(type) {
		case string:
			if m, ok := b.(Markup); ok { // str % Markup is str.__mod__
				return Percent(t, x, m)
			}
			return Percent(t, x, b)
		case Markup:
			return percentMarkup(t, x, b)
		}
	case "-":
		if v, ok, err := setDifference(t, a, b); ok {
			return v, err
		}
	}
	if op == "**" {
		op = "** or pow()"
	}
	return nil, operandError(op, a, b)
}

func operandError(op string, a, b Value) error {
	return Raise("TypeError", "unsupported operand type(s) for %s: '%s' and '%s'", op, TypeName(a), TypeName(b))
}

func undefinedOperand(op string, a, b Value) *Undefined {
	if u, ok := a.(*Undefined); ok {
		return u
	}
	if u, ok := b.(*Undefined); ok {
		if _, isStr := asStr(a); isStr && op == "%" {
			return nil // formats it
		}
		return u
	}
	return nil
}

// setDifference is a - b of sets and of the views of dicts, which take any
// iterable beside them; false when neither is one.
func setDifference(t *Thread, a, b Value) (Value, bool, error) {
	_, aSet := a.(*Set)
	_, bSet := b.(*Set)
	if !aSet && !isSetView(a) && !isSetView(b) || aSet && !bSet && !isSetView(b) {
		return nil, false, nil
	}
	items, err := Collect(t, a)
	if err != nil {
		return nil, true, err
	}
	x, err := NewSet(items...)
	if err != nil {
		return nil, true, err
	}
	v, err := setOp(t, "difference", x, []Value{b})
	return v, true, err
}

func isSetView(v Value) bool {
	w, ok := v.(*view)
	return ok && w.what != valuesOf
}

// asSet sees sets and dict views as sets.
func asSet(t *Thread, v Value) (*Set, bool) {
	switch x := v.(type) {
	case *Set:
		return x, true
	case *view:
		if x.what == valuesOf {
			return nil, false
		}
		items, err := x.list(t)
		if err != nil {
			return nil, false
		}
		s, err := NewSet(items...)
		return s, err == nil
	}
	return nil, false
}

func isSeq(v Value) bool {
	switch v.(type) {
	case string, Markup, *List, Tuple, Bytes:
		return true
	}
	return false
}

func add(t *Thread, a, b Value) (Value, error) {
	switch x := a.(type) {
	case string:
		switch y := b.(type) {
		case string:
			return x + y, t.Alloc(len(x) + len(y))
		case Markup: // Markup.__radd__ escapes the left side
			m, err := Escape(t, x)
			return m + y, err
		case HTML:
		}
		return nil, Raise("TypeError", `can only concatenate str (not "%s") to str`, TypeName(b))
	case Markup:
		switch b.(type) {
		case string, Markup, HTML:
			y, err := Escape(t, b)
			if err != nil {
				return nil, err
			}
			return x + y, t.Alloc(len(x) + len(y))
		}
		return nil, operandError("+", a, b)
	case *List:
		if y, ok := b.(*List); ok {
			n := len(x.Items) + len(y.Items)
			if err := t.Alloc(elem * n); err != nil {
				return nil, err
			}
			out := make([]Value, 0, n)
			return &List{Items: append(append(out, x.Items...), y.Items...)}, nil
		}
		return nil, Raise("TypeError", `can only concatenate list (not "%s") to list`, TypeName(b))
	case Tuple:
		if y, ok := b.(Tuple); ok {
			n := len(x) + len(y)
			if err := t.Alloc(elem * n); err != nil {
				return nil, err
			}
			return append(append(make(Tuple, 0, n), x...), y...), nil
		}
		return nil, Raise("TypeError", `can only concatenate tuple (not "%s") to tuple`, TypeName(b))
	case Bytes:
		if y, ok := b.(Bytes); ok {
			return x + y, t.Alloc(len(x) + len(y))
		}
		return nil, Raise("TypeError", `can't concat %s to bytes`, TypeName(b))
	}
	return nil, operandError("+", a, b)
}

// repeat is seq * n; false when the operands are not that.
func repeat(t *Thread, a, b Value) (Value, bool, error) {
	if !isSeq(a) {
		return nil, false, nil
	}
	var n int
	switch x := b.(type) {
	case int64, bool:
		i, _ := AsInt(x)
		n = int(max(i, 0))
	case *big.Int:
		if x.Sign() < 0 {
			n = 0
			break
		}
		return nil, true, Raise("OverflowError", "cannot fit 'int' into an index-sized integer")
	default:
		return nil, false, nil
	}
	size := 0
	switch x := a.(type) {
	case string:
		size = len(x)
	case Markup:
		size = len(x)
	case Bytes:
		size = len(x)
	case *List:
		size = elem * len(x.Items)
	case Tuple:
		size = elem * len(x)
	}
	if err := allocTimes(t, size, n); err != nil {
		return nil, true, err
	}
	if size == 0 {
		n = min(n, 1)
	}
	switch x := a.(type) {
	case string:
		return strings.Repeat(x, n), true, nil
	case Markup:
		return Markup(strings.Repeat(string(x), n)), true, nil
	case Bytes:
		return Bytes(strings.Repeat(string(x), n)), true, nil
	case *List:
		return &List{Items: repeatItems(x.Items, n)}, true, nil
	}
	return Tuple(repeatItems(a.(Tuple), n)), true, nil
}

func repeatItems(items []Value, n int) []Value {
	out := make([]Value, 0, len(items)*n)
	for range n {
		out = append(out, items...)
	}
	return out
}

// allocTimes takes size*n bytes.
func allocTimes(t *Thread, size, n int) error {
	if size > 0 && n > far/size {
		return t.Alloc(far)
	}
	return t.Alloc(size * n)
}

func intOp(t *Thread, op string, x, y int64) (Value, error) {
	switch op {
	case "+":
		if r := x + y; (r > x) == (y > 0) {
			return r, nil
		}
	case "-":
		if r := x - y; (r < x) == (y > 0) {
			return r, nil
		}
	case "*":
		if x == 0 || y == 0 {
			return int64(0), nil
		}
		if r := x * y; r/y == x && !(x == -1 && y == math.MinInt64) && !(y == -1 && x == math.MinInt64) {
			return r, nil
		}
	case "//":
		if y == 0 {
			return nil, Raise("ZeroDivisionError", "integer division or modulo by zero")
		}
		if !(x == math.MinInt64 && y == -1) {
			q := x / y
			if x%y != 0 && (x < 0) != (y < 0) {
				q--
			}
			return q, nil
		}
	case "%":
		if y == 0 {
			return nil, Raise("ZeroDivisionError", "integer modulo by zero")
		}
		if y == -1 {
			return int64(0), nil
		}
		r := x % y
		if r != 0 && (r < 0) != (y < 0) {
			r += y
		}
		return r, nil
	case "/":
		if y == 0 {
			return nil, Raise("ZeroDivisionError", "division by zero")
		}
		const exact = 1 << 53
		if x > -exact && x < exact && y > -exact && y < exact {
			return float64(x) / float64(y), nil
		}
	}
	return bigOp(t, op, big.NewInt(x), big.NewInt(y))
}

// maxBits bounds the size of integers that templates may make.
const maxBits = 1 << 20

func bigOp(t *Thread, op string, x, y *big.Int) (Value, error) {
	if err := t.Alloc((x.BitLen() + y.BitLen()) / 8); err != nil {
		return nil, err
	}
	z := new(big.Int)
	switch op {
	case "+":
		z.Add(x, y)
	case "-":
		z.Sub(x, y)
	case "*":
		if x.BitLen()+y.BitLen() > maxBits {
			return nil, Raise("MemoryError", "the template asked for an integer of more than %d bits", maxBits)
		}
		z.Mul(x, y)
	case "//", "%":
		if y.Sign() == 0 {
			if op == "%" {
				return nil, Raise("ZeroDivisionError", "integer modulo by zero")
			}
			return nil, Raise("ZeroDivisionError", "integer division or modulo by zero")
		}
		m := new(big.Int)
		z.QuoRem(x, y, m)
		if m.Sign() != 0 && (m.Sign() < 0) != (y.Sign() < 0) {
			z.Sub(z, big.NewInt(1))
			m.Add(m, y)
		}
		if op == "%" {
			z = m
		}
	case "/":
		if y.Sign() == 0 {
			return nil, Raise("ZeroDivisionError", "division by zero")
		}
		f, _ := new(big.Rat).SetFrac(x, y).Float64()
		if math.IsInf(f, 0) {
			return nil, Raise("OverflowError", "integer division result too large for a float")
		}
		return f, nil
	case "**":
		if y.Sign() < 0 {
			fx, err := toFloat(x)
			if err != nil {
				return nil, err
			}
			fy, err := toFloat(y)
			if err != nil {
				return nil, err
			}
			if fx == 0 {
				return nil, Raise("ZeroDivisionError", "0.0 cannot be raised to a negative power")
			}
			return math.Pow(fx, fy), nil
		}
		if x.BitLen() > 1 && (!y.IsInt64() || y.Int64() > maxBits || int64(x.BitLen())*y.Int64() > maxBits) {
			return nil, Raise("MemoryError", "the template asked for an integer of more than %d bits", maxBits)
		}
		if x.BitLen() <= 1 { // -1, 0, 1
			z.Set(x)
			if y.Sign() == 0 || x.Sign() < 0 && y.Bit(0) == 0 {
				z.SetInt64(1)
			}
			break
		}
		z.Exp(x, y, nil)
	}
	return NewInt(z), nil
}

func toBigInt(v Value) *big.Int {
	switch x := v.(type) {
	case *big.Int:
		return x
	case int64:
		return big.NewInt(x)
	case bool:
		n, _ := AsInt(x)
		return big.NewInt(n)
	}
	return nil
}

// toFloat is float(v) of a number.
func toFloat(v Value) (float64, error) {
	switch x := v.(type) {
	case float64:
		return x, nil
	case int64:
		return float64(x), nil
	case bool:
		n, _ := AsInt(x)
		return float64(n), nil
	case *big.Int:
		f, _ := new(big.Float).SetInt(x).Float64()
		if math.IsInf(f, 0) {
			return 0, Raise("OverflowError", "int too large to convert to float")
		}
		return f, nil
	}
	return 0, Raise("TypeError", "must be real number, not %s", TypeName(v))
}

func numberOp(t *Thread, op string, a, b Value) (Value, error) {
	_, af := a.(float64)
	_, bf := b.(float64)
	if !af && !bf {
		x, xok := AsInt(a)
		y, yok := AsInt(b)
		if xok && yok {
			return intOp(t, op, x, y)
		}
		return bigOp(t, op, toBigInt(a), toBigInt(b))
	}
	x, err := toFloat(a)
	if err != nil {
		return nil, err
	}
	y, err := toFloat(b)
	if err != nil {
		return nil, err
	}
	switch op {
	case "+":
		return x + y, nil
	case "-":
		return x - y, nil
	case "*":
		return x * y, nil
	case "/":
		if y == 0 {
			return nil, Raise("ZeroDivisionError", "float division by zero")
		}
		return x / y, nil
	case "//", "%":
		if y == 0 {
			if op == "%" {
				return nil, Raise("ZeroDivisionError", "float modulo")
			}
			return nil, Raise("ZeroDivisionError", "float floor division by zero")
		}
		m := math.Mod(x, y)
		q := (x - m) / y
		if m != 0 {
			if (y < 0) != (m < 0) {
				m += y
				q--
			}
		} else {
			m = math.Copysign(0, y)
		}
		if op == "%" {
			return m, nil
		}
		if q == 0 {
			return math.Copysign(0, x/y), nil
		}
		f := math.Floor(q)
		if q-f > 0.5 {
			f++
		}
		return f, nil
	}
	// **
	if x == 0 && y < 0 {
		return nil, Raise("ZeroDivisionError", "0.0 cannot be raised to a negative power")
	}
	if x < 0 && y != math.Trunc(y) && !math.IsInf(x, 0) && !math.IsInf(y, 0) {
		return nil, Raise("TypeError", "complex numbers are not supported: %s ** %s", Float(x), Float(y))
	}
	r := math.Pow(x, y)
	if math.IsInf(r, 0) && !math.IsInf(x, 0) && !math.IsInf(y, 0) {
		return nil, Raise("OverflowError", "(34, 'Numerical result out of range')")
	}
	return r, nil
}

// Unary is op v for + and -.
func Unary(op string, v Value) (Value, error) {
	switch x := v.(type) {
	case int64:
		if op == "+" {
			return x, nil
		}
		if x == math.MinInt64 {
			return NewInt(new(big.Int).Neg(big.NewInt(x))), nil
		}
		return -x, nil
	case bool:
		n, _ := AsInt(x)
		return Unary(op, n)
	case float64:
		if op == "+" {
			return x, nil
		}
		return -x, nil
	case *big.Int:
		if op == "+" {
			return x, nil
		}
		return NewInt(new(big.Int).Neg(x)), nil
	case *Undefined:
		return nil, x.Fail()
	}
	return nil, Raise("TypeError", "bad operand type for unary %s: '%s'", op, TypeName(v))
}
