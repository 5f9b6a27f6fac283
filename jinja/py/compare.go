package py

import (
	"math"
	"math/big"
	"strings"
	"time"
)

// Equal is a == b.
func Equal(t *Thread, a, b Value) (bool, error) { return equal(t, a, b, 0) }

func equal(t *Thread, a, b Value, depth int) (bool, error) {
	if depth > maxNesting {
		return false, tooDeep(" in comparison")
	}
	if u, ok := b.(*Undefined); ok {
		if ua, ok := a.(*Undefined); ok {
			if ua.Mode == Strict {
				return false, ua.Fail()
			}
			return ua.Mode == u.Mode, nil
		}
		if u.Mode == Strict {
			return false, u.Fail()
		}
		return false, nil
	}
	switch x := a.(type) {
	case nil:
		return b == nil, nil
	case string:
		y, ok := asStr(b)
		return ok && x == y, nil
	case Markup:
		y, ok := asStr(b)
		return ok && string(x) == y, nil
	case bool, int64, *big.Int, float64:
		if x, ok := a.(int64); ok {
			if y, ok := b.(int64); ok {
				return x == y, nil
			}
		}
		c, ok := compareNumbers(a, b)
		return ok && c == 0, nil
	case Bytes:
		y, ok := b.(Bytes)
		return ok && x == y, nil
	case *List:
		y, ok := b.(*List)
		if !ok {
			return other(t, a, b)
		}
		if x == y {
			return true, nil
		}
		return equalSeq(t, x.Items, y.Items, depth)
	case Tuple:
		y, ok := b.(Tuple)
		if !ok {
			return other(t, a, b)
		}
		return equalSeq(t, x, y, depth)
	case *Dict:
		y, ok := b.(*Dict)
		if !ok {
			return other(t, a, b)
		}
		return equalDict(t, x, y, depth)
	case *Set:
		y, ok := b.(*Set)
		if !ok || x.Len() != y.Len() {
			return false, nil
		}
		for _, e := range x.Values() {
			if in, err := y.Has(e); err != nil || !in {
				return false, err
			}
		}
		return true, nil
	case *Range:
		y, ok := b.(*Range)
		if !ok || x.Len() != y.Len() {
			return false, nil
		}
		n := x.Len()
		return n == 0 || x.Start == y.Start && (n == 1 || x.Step == y.Step), nil
	case *Undefined:
		if x.Mode == Strict {
			return false, x.Fail()
		}
		return false, nil
	case time.Time:
		y, ok := b.(time.Time)
		return ok && x.Equal(y), nil
	case Equaler:
		return x.Equal(t, b)
	}
	return other(t, a, b)
}

// other asks b, then whether they are one object.
func other(t *Thread, a, b Value) (bool, error) {
	if e, ok := b.(Equaler); ok {
		return e.Equal(t, a)
	}
	return Same(a, b), nil
}

func equalSeq(t *Thread, x, y []Value, depth int) (bool, error) {
	if len(x) != len(y) {
		return false, nil
	}
	for i := range x {
		if Same(x[i], y[i]) {
			continue
		}
		if err := t.Step(); err != nil {
			return false, err
		}
		eq, err := equal(t, x[i], y[i], depth+1)
		if err != nil || !eq {
			return false, err
		}
	}
	return true, nil
}

func equalDict(t *Thread, x, y *Dict, depth int) (bool, error) {
	if x == y {
		return true, nil
	}
	if x.Len() != y.Len() {
		return false, nil
	}
	if x.Class == OrderedDict && y.Class == OrderedDict {
		xi, yi := x.iter(keysOf), y.iter(keysOf)
		for {
			a, ok, _ := xi.Next()
			b, _, _ := yi.Next()
			if !ok {
				break
			}
			if eq, err := equal(t, a, b, depth+1); err != nil || !eq {
				return false, err
			}
		}
	}
	for i := range x.entries {
		e := &x.entries[i]
		if e.dead() {
			continue
		}
		j := y.find(e.hash)
		if j < 0 {
			return false, nil
		}
		if err := t.Step(); err != nil {
			return false, err
		}
		v := y.entries[j].val
		if Same(e.val, v) {
			continue
		}
		if eq, err := equal(t, e.val, v, depth+1); err != nil || !eq {
			return false, err
		}
	}
	return true, nil
}

// Same is "a is b": one object; for None, bools, numbers and text, one value of
// the same type.
func Same(a, b Value) bool {
	switch x := a.(type) {
	case nil:
		return b == nil
	case bool:
		y, ok := b.(bool)
		return ok && x == y
	case int64:
		y, ok := b.(int64)
		return ok && x == y
	case float64:
		y, ok := b.(float64)
		return ok && math.Float64bits(x) == math.Float64bits(y)
	case string:
		y, ok := b.(string)
		return ok && x == y
	case Markup:
		y, ok := b.(Markup)
		return ok && x == y
	case Bytes:
		y, ok := b.(Bytes)
		return ok && x == y
	case Tuple:
		y, ok := b.(Tuple)
		return ok && len(x) == len(y) && (len(x) == 0 || &x[0] == &y[0])
	case *big.Int:
		y, ok := b.(*big.Int)
		return ok && x == y
	}
	p, q := addressOf(a), addressOf(b)
	return p != 0 && p == q && FullTypeName(a) == FullTypeName(b)
}

// compareNumbers orders two numbers (bools too); false where one is none, or a NaN.
func compareNumbers(a, b Value) (int, bool) {
	x, xok := AsInt(a)
	y, yok := AsInt(b)
	if xok && yok {
		return cmpInt(x, y), true
	}
	fa, aIsF := a.(float64)
	fb, bIsF := b.(float64)
	if aIsF && bIsF {
		switch {
		case fa < fb:
			return -1, true
		case fa > fb:
			return 1, true
		case fa == fb:
			return 0, true
		}
		return 2, false
	}
	toBig := func(v Value) *big.Int {
		if n, ok := AsInt(v); ok {
			return big.NewInt(n)
		}
		bi, _ := v.(*big.Int)
		return bi
	}
	if aIsF {
		c, ok := cmpFloatInt(fa, toBig(b))
		return c, ok
	}
	if bIsF {
		c, ok := cmpFloatInt(fb, toBig(a))
		return -c, ok
	}
	p, q := toBig(a), toBig(b)
	if p == nil || q == nil {
		return 2, false
	}
	return p.Cmp(q), true
}

func cmpInt(x, y int64) int {
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

func cmpFloatInt(f float64, n *big.Int) (int, bool) {
	switch {
	case n == nil || math.IsNaN(f):
		return 2, false
	case math.IsInf(f, 1):
		return 1, true
	case math.IsInf(f, -1):
		return -1, true
	}
	return new(big.Float).SetFloat64(f).Cmp(new(big.Float).SetInt(n)), true
}

func isNumber(v Value) bool {
	switch v.(type) {
	case bool, int64, *big.Int, float64:
		return true
	}
	return false
}

// IsNumber tells whether a value is an int, a bool or a float.
func IsNumber(v Value) bool { return isNumber(v) }

// Ordering operators, as Compare takes them.
const (
	LT = "<"
	LE = "<="
	GT = ">"
	GE = ">="
)

func holds(op string, c int) bool {
	switch op {
	case LT:
		return c < 0
	case LE:
		return c <= 0
	case GT:
		return c > 0
	}
	return c >= 0
}

// Compare is a op b for the ordering operators.
func Compare(t *Thread, op string, a, b Value) (bool, error) { return compare(t, op, a, b, 0) }

func compare(t *Thread, op string, a, b Value, depth int) (bool, error) {
	if depth > maxNesting {
		return false, tooDeep(" in comparison")
	}
	if u, ok := a.(*Undefined); ok {
		return false, u.Fail()
	}
	if u, ok := b.(*Undefined); ok {
		return false, u.Fail()
	}
	if isNumber(a) && isNumber(b) {
		c, ok := compareNumbers(a, b)
		return ok && holds(op, c), nil
	}
	switch x := a.(type) {
	case string, Markup:
		if q, ok := asStr(b); ok {
			p, _ := asStr(x)
			return holds(op, cmpStr(p, q)), nil
		}
	case Bytes:
		if y, ok := b.(Bytes); ok {
			return holds(op, cmpStr(string(x), string(y))), nil
		}
	case *List:
		if y, ok := b.(*List); ok {
			return compareSeq(t, op, x.Items, y.Items, depth)
		}
	case Tuple:
		if y, ok := b.(Tuple); ok {
			return compareSeq(t, op, x, y, depth)
		}
	case *Set:
		if y, ok := b.(*Set); ok {
			return compareSets(op, x, y)
		}
	case time.Time:
		if y, ok := b.(time.Time); ok {
			return holds(op, x.Compare(y)), nil
		}
	}
	return false, Raise("TypeError", "'%s' not supported between instances of '%s' and '%s'", op, TypeName(a), TypeName(b))
}

// cmpStr orders by code point; UTF-8 keeps that order.
func cmpStr(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func compareSeq(t *Thread, op string, x, y []Value, depth int) (bool, error) {
	for i := 0; i < len(x) && i < len(y); i++ {
		if Same(x[i], y[i]) {
			continue
		}
		if err := t.Step(); err != nil {
			return false, err
		}
		eq, err := equal(t, x[i], y[i], depth+1)
		if err != nil {
			return false, err
		}
		if !eq {
			return compare(t, op, x[i], y[i], depth+1)
		}
	}
	return holds(op, len(x)-len(y)), nil
}

func compareSets(op string, x, y *Set) (bool, error) {
	within := func(a, b *Set) (bool, error) {
		for _, e := range a.Values() {
			if in, err := b.Has(e); err != nil || !in {
				return false, err
			}
		}
		return true, nil
	}
	if op == GT || op == GE {
		x, y = y, x
	}
	if (op == LT || op == GT) && x.Len() >= y.Len() {
		return false, nil
	}
	return within(x, y)
}

// Contains is x in v.
func Contains(t *Thread, v, x Value) (bool, error) {
	switch c := v.(type) {
	case *Dict:
		_, ok, err := c.Get(x)
		return ok, err
	case *Set:
		return c.Has(x)
	case *List:
		return containsSeq(t, c.Items, x)
	case Tuple:
		return containsSeq(t, c, x)
	case string, Markup:
		sub, ok := asStr(x)
		if !ok {
			return false, Raise("TypeError", "'in <string>' requires string as left operand, not %s", TypeName(x))
		}
		s, _ := asStr(c)
		return strings.Contains(s, sub), nil
	case *Range:
		if n, ok := AsInt(x); ok {
			return c.contains(n), nil
		}
		if f, ok := x.(float64); ok {
			return f == math.Trunc(f) && math.Abs(f) < 1<<62 && c.contains(int64(f)), nil
		}
		return false, nil
	case Bytes:
		if n, ok := AsInt(x); ok {
			return strings.Contains(string(c), string([]byte{byte(n)})), nil
		}
		if s, ok := x.(Bytes); ok {
			return strings.Contains(string(c), string(s)), nil
		}
		return false, Raise("TypeError", "a bytes-like object is required, not '%s'", TypeName(x))
	case *Undefined:
		if c.Mode == Strict {
			return false, c.Fail()
		}
		return false, nil
	case Container:
		return c.Contains(t, x)
	}
	it, err := Iter(t, v)
	if err != nil {
		if IsA(err, "TypeError") {
			return false, Raise("TypeError", "argument of type '%s' is not iterable", TypeName(v))
		}
		return false, err
	}
	for {
		if err := t.Step(); err != nil {
			return false, err
		}
		e, ok, err := it.Next()
		if err != nil || !ok {
			return false, err
		}
		if eq, err := Equal(t, e, x); err != nil || eq {
			return eq, err
		}
	}
}

func containsSeq(t *Thread, items []Value, x Value) (bool, error) {
	for _, e := range items {
		if Same(e, x) {
			return true, nil
		}
		if err := t.Step(); err != nil {
			return false, err
		}
		if eq, err := Equal(t, e, x); err != nil || eq {
			return eq, err
		}
	}
	return false, nil
}
