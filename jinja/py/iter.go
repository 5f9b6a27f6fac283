package py

import "unicode/utf8"

// Iter is iter(v).
func Iter(t *Thread, v Value) (Iterator, error) {
	switch x := v.(type) {
	case *List:
		return &listIter{l: x}, nil
	case Tuple:
		return &sliceIter{items: x}, nil
	case *Dict:
		return x.iter(keysOf), nil
	case string:
		return &strIter{s: x}, nil
	case Markup:
		return &strIter{s: string(x)}, nil
	case Bytes:
		items := make([]Value, len(x))
		for i := range items {
			items[i] = int64(x[i])
		}
		return &sliceIter{items: items}, nil
	case *Set:
		return &dictIter{d: &x.d, what: keysOf, size: x.Len(), noun: "Set"}, nil
	case *Range:
		return &rangeIter{r: x, n: x.Len()}, nil
	case *Undefined:
		if x.Mode == Strict {
			return nil, x.Fail()
		}
		return &sliceIter{}, nil
	case Iterator:
		return x, nil
	case Iterable:
		return x.Iter(t)
	}
	return nil, Raise("TypeError", "'%s' object is not iterable", TypeName(v))
}

// Each calls f for every element of v and counts steps.
func Each(t *Thread, v Value, f func(Value) error) error {
	it, err := Iter(t, v)
	if err != nil {
		return err
	}
	for {
		if err := t.Step(); err != nil {
			return err
		}
		e, ok, err := it.Next()
		if err != nil || !ok {
			return err
		}
		if err := f(e); err != nil {
			return err
		}
	}
}

// Collect is list(v), as a new slice.
func Collect(t *Thread, v Value) ([]Value, error) {
	var out []Value
	switch x := v.(type) {
	case *List:
		out = append(out, x.Items...)
		return out, t.Alloc(elem * len(out))
	case Tuple:
		out = append(out, x...)
		return out, t.Alloc(elem * len(out))
	}
	err := Each(t, v, func(e Value) error {
		out = append(out, e)
		return t.Alloc(elem)
	})
	return out, err
}

type listIter struct {
	l *List
	i int
}

func (it *listIter) PyType() string { return "list_iterator" }

func (it *listIter) Next() (Value, bool, error) {
	if it.i >= len(it.l.Items) {
		return nil, false, nil
	}
	it.i++
	return it.l.Items[it.i-1], true, nil
}

type sliceIter struct {
	items []Value
	i     int
	name  string
}

func (it *sliceIter) PyType() string {
	if it.name != "" {
		return it.name
	}
	return "tuple_iterator"
}

func (it *sliceIter) Next() (Value, bool, error) {
	if it.i >= len(it.items) {
		return nil, false, nil
	}
	it.i++
	return it.items[it.i-1], true, nil
}

type strIter struct{ s string }

func (it *strIter) PyType() string { return "str_iterator" }

func (it *strIter) Next() (Value, bool, error) {
	if it.s == "" {
		return nil, false, nil
	}
	_, n := utf8.DecodeRuneInString(it.s)
	c := it.s[:n]
	it.s = it.s[n:]
	return c, true, nil
}

type rangeIter struct {
	r    *Range
	i, n int
}

func (it *rangeIter) PyType() string { return "range_iterator" }

func (it *rangeIter) Next() (Value, bool, error) {
	if it.i >= it.n {
		return nil, false, nil
	}
	it.i++
	return it.r.at(it.i - 1), true, nil
}

// what of a dict's entries is meant
type part int

const (
	keysOf part = iota
	valuesOf
	itemsOf
)

func (p part) of(e *entry) Value {
	switch p {
	case keysOf:
		return e.key
	case valuesOf:
		return e.val
	}
	return Tuple{e.key, e.val}
}

type dictIter struct {
	d       *Dict
	what    part
	i, size int
	noun    string
}

func (d *Dict) iter(what part) *dictIter {
	return &dictIter{d: d, what: what, size: d.live, noun: "dictionary"}
}

func (it *dictIter) PyType() string {
	if it.noun == "Set" {
		return "set_iterator"
	}
	return [...]string{"dict_keyiterator", "dict_valueiterator", "dict_itemiterator"}[it.what]
}

func (it *dictIter) Next() (Value, bool, error) {
	if it.d.live != it.size {
		return nil, false, Raise("RuntimeError", "%s changed size during iteration", it.noun)
	}
	for it.i < len(it.d.entries) {
		e := &it.d.entries[it.i]
		it.i++
		if !e.dead() {
			return it.what.of(e), true, nil
		}
	}
	return nil, false, nil
}

// view is what keys(), values() and items() return: it follows the dict.
type view struct {
	d    *Dict
	what part
}

func (v *view) PyType() string {
	if v.d.Class == OrderedDict {
		return [...]string{"odict_keys", "odict_values", "odict_items"}[v.what]
	}
	return [...]string{"dict_keys", "dict_values", "dict_items"}[v.what]
}

func (v *view) Len(*Thread) (int, error)        { return v.d.live, nil }
func (v *view) Iter(*Thread) (Iterator, error)  { return v.d.iter(v.what), nil }
func (v *view) list(t *Thread) ([]Value, error) { return Collect(t, v) }

func (v *view) Print(t *Thread, _ bool) (string, error) {
	items, err := v.list(t)
	if err != nil {
		return "", err
	}
	s, err := Repr(t, &List{Items: items})
	return v.PyType() + "(" + s + ")", err
}

func (v *view) Contains(t *Thread, x Value) (bool, error) {
	switch v.what {
	case keysOf:
		_, ok, err := v.d.Get(x)
		return ok, err
	case itemsOf:
		p, ok := x.(Tuple)
		if !ok || len(p) != 2 {
			return false, nil
		}
		val, ok, err := v.d.Get(p[0])
		if err != nil || !ok {
			return false, err
		}
		return Equal(t, val, p[1])
	}
	items, _ := v.list(t)
	return containsSeq(t, items, x)
}

func (v *view) Equal(t *Thread, other Value) (bool, error) {
	o, ok := other.(*view)
	if !ok || v.what == valuesOf || o.what == valuesOf {
		return ok && o == v, nil
	}
	if v.d.live != o.d.live {
		return false, nil
	}
	items, _ := v.list(t)
	for _, e := range items {
		if in, err := o.Contains(t, e); err != nil || !in {
			return false, err
		}
	}
	return true, nil
}

// Generator makes an Iterator of a function: what Python calls a generator.
func Generator(next func() (Value, bool, error)) Iterator { return &generator{next: next} }

type generator struct {
	next func() (Value, bool, error)
	done bool
}

func (g *generator) PyType() string { return "generator" }

func (g *generator) Next() (Value, bool, error) {
	if g.done {
		return nil, false, nil
	}
	v, ok, err := g.next()
	if err != nil || !ok {
		g.done = true
	}
	return v, ok, err
}

// Reversed is reversed(v).
func Reversed(t *Thread, v Value) (Iterator, error) {
	switch x := v.(type) {
	case *List:
		i := len(x.Items)
		return &named{name: "list_reverseiterator", next: func() (Value, bool, error) {
			i = min(i, len(x.Items))
			if i == 0 {
				return nil, false, nil
			}
			i--
			return x.Items[i], true, nil
		}}, nil
	case Tuple, *Range, string, Markup, Bytes, *Dict, *view:
		items, err := Collect(t, v)
		if err != nil {
			return nil, err
		}
		i := len(items)
		name := "reversed"
		switch v.(type) {
		case *Dict:
			name = "dict_reversekeyiterator"
		case *Range:
			name = "range_iterator"
		}
		return &named{name: name, next: func() (Value, bool, error) {
			if i == 0 {
				return nil, false, nil
			}
			i--
			return items[i], true, nil
		}}, nil
	case *Undefined:
		if x.Mode == Strict {
			return nil, x.Fail()
		}
	}
	if _, ok := v.(Indexer); ok {
		if _, ok := v.(Mapping); !ok {
			if items, err := Collect(t, v); err == nil {
				return Reversed(t, Tuple(items))
			}
		}
	}
	return nil, Raise("TypeError", "'%s' object is not reversible", TypeName(v))
}

// named is an iterator with a type name of its own.
type named struct {
	name string
	next func() (Value, bool, error)
}

func (n *named) PyType() string             { return n.name }
func (n *named) Next() (Value, bool, error) { return n.next() }
