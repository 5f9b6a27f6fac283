package py

import (
	"math"
	"math/big"
	"unicode/utf8"
)

// Item is v[key], with Python's exceptions.
func Item(t *Thread, v, key Value) (Value, error) {
	switch x := v.(type) {
	case *Dict:
		r, ok, err := x.Get(key)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, keyError(t, key)
		}
		return r, nil
	case *List:
		i, err := position("list", "list", key, len(x.Items))
		if err != nil {
			return nil, err
		}
		return x.Items[i], nil
	case Tuple:
		i, err := position("tuple", "tuple", key, len(x))
		if err != nil {
			return nil, err
		}
		return x[i], nil
	case string:
		return charAt(x, key)
	case Markup:
		c, err := charAt(string(x), key)
		if s, ok := c.(string); ok {
			return Markup(s), err
		}
		return c, err
	case Bytes:
		i, err := position("byte", "index", key, len(x))
		if err != nil {
			return nil, err
		}
		return int64(x[i]), nil
	case *Range:
		i, err := position("range", "range object", key, x.Len())
		if err != nil {
			return nil, err
		}
		return x.at(i), nil
	case *Undefined:
		if x.Mode == Chainable {
			return x, nil
		}
		return nil, x.Fail()
	case Indexer:
		return x.Item(t, key)
	}
	return nil, Raise("TypeError", "'%s' object is not subscriptable", TypeName(v))
}

// position turns an index into one between 0 and n.
func position(indices, what string, key Value, n int) (int, error) {
	i, ok := AsInt(key)
	if !ok {
		if _, isBig := key.(*big.Int); isBig {
			return 0, Raise("IndexError", "cannot fit 'int' into an index-sized integer")
		}
		return 0, Raise("TypeError", "%s indices must be integers or slices, not %s", indices, TypeName(key))
	}
	if i < 0 {
		i += int64(n)
	}
	if i < 0 || i >= int64(n) {
		suffix := " index out of range"
		if what == "index" || what == "range object" {
			suffix = " out of range"
		}
		if what == "range object" {
			suffix = " index out of range"
		}
		return 0, Raise("IndexError", what+suffix)
	}
	return int(i), nil
}

func charAt(s string, key Value) (Value, error) {
	if _, ok := AsInt(key); !ok {
		if _, isBig := key.(*big.Int); !isBig {
			return nil, Raise("TypeError", "string indices must be integers, not '%s'", TypeName(key))
		}
	}
	if isASCII(s) {
		i, err := position("string", "string", key, len(s))
		if err != nil {
			return nil, err
		}
		return s[i : i+1], nil
	}
	i, err := position("string", "string", key, runeLen(s))
	if err != nil {
		return nil, err
	}
	off := offset(s, i)
	_, n := utf8.DecodeRuneInString(s[off:])
	return s[off : off+n], nil
}

// offset is the byte at which the i-th code point starts.
func offset(s string, i int) int {
	off := 0
	for ; i > 0 && off < len(s); i-- {
		_, n := utf8.DecodeRuneInString(s[off:])
		off += n
	}
	return off
}

// Slice is v[start:stop:step]; nil stands for a part that is left out.
func Slice(t *Thread, v, start, stop, step Value) (Value, error) {
	if u, ok := v.(*Undefined); ok {
		return nil, u.Fail()
	}
	st := 1
	if step != nil {
		n, err := sliceIndex(step)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return nil, Raise("ValueError", "slice step cannot be zero")
		}
		st = n
	}
	n, err := 0, error(nil)
	switch v.(type) {
	case string, Markup, Bytes, *List, Tuple, *Range:
		n, err = Len(t, v)
	case *Dict:
		return nil, Raise("TypeError", "unhashable type: 'slice'")
	case Indexer:
		return nil, Raise("TypeError", "'%s' object cannot be sliced", TypeName(v))
	default:
		return nil, Raise("TypeError", "'%s' object is not subscriptable", TypeName(v))
	}
	if err != nil {
		return nil, err
	}
	lo, hi := 0, n
	if st < 0 {
		lo, hi = n-1, -1
	}
	clamp := func(part Value, def int) (int, error) {
		if part == nil {
			return def, nil
		}
		i, err := sliceIndex(part)
		if err != nil {
			return 0, err
		}
		if i < 0 {
			if i += n; i < 0 {
				if st < 0 {
					return -1, nil
				}
				return 0, nil
			}
		}
		if i >= n {
			if st < 0 {
				return n - 1, nil
			}
			return n, nil
		}
		return i, nil
	}
	if lo, err = clamp(start, lo); err != nil {
		return nil, err
	}
	if hi, err = clamp(stop, hi); err != nil {
		return nil, err
	}
	if r, ok := v.(*Range); ok {
		return &Range{Start: r.Start + int64(lo)*r.Step, Stop: r.Start + int64(hi)*r.Step, Step: r.Step * int64(st)}, nil
	}
	count := (&Range{Start: int64(lo), Stop: int64(hi), Step: int64(st)}).Len()
	pick := func(items []Value) ([]Value, error) {
		if err := t.Alloc(elem * count); err != nil {
			return nil, err
		}
		out := make([]Value, count)
		for i := range out {
			out[i] = items[lo+i*st]
		}
		return out, nil
	}
	switch x := v.(type) {
	case string:
		return sliceStr(t, x, lo, st, count)
	case Markup:
		s, err := sliceStr(t, string(x), lo, st, count)
		return Markup(s), err
	case Bytes:
		out := make([]byte, count)
		for i := range out {
			out[i] = x[lo+i*st]
		}
		return Bytes(out), t.Alloc(count)
	case *List:
		items, err := pick(x.Items)
		return &List{Items: items}, err
	}
	items, err := pick(v.(Tuple))
	return Tuple(items), err
}

func sliceStr(t *Thread, s string, lo, st, count int) (string, error) {
	if count == 0 {
		return "", nil
	}
	if isASCII(s) {
		if st == 1 {
			return s[lo : lo+count], nil
		}
		out := make([]byte, count)
		for i := range out {
			out[i] = s[lo+i*st]
		}
		return string(out), t.Alloc(count)
	}
	if st == 1 {
		a := offset(s, lo)
		return s[a : a+offset(s[a:], count)], nil
	}
	if err := t.Alloc(4 * len(s)); err != nil {
		return "", err
	}
	rs := []rune(s)
	out := make([]rune, count)
	for i := range out {
		out[i] = rs[lo+i*st]
	}
	return string(out), nil
}

// far is beyond the end of any sequence, and safe to add to.
const far = math.MaxInt / 4

func sliceIndex(v Value) (int, error) {
	switch x := v.(type) {
	case int64, bool, *big.Int:
		n, err := index(x)
		return max(-far, min(far, n)), err
	}
	return 0, Raise("TypeError", "slice indices must be integers or None or have an __index__ method")
}
