package py

import "slices"

// lm makes a method of list.
func lm(name string, min, max int, kw []string, fn func(c *Call, l *List) (Value, error)) *method {
	return &method{name: name, min: min, max: max, kw: kw, fn: func(c *Call, self Value) (Value, error) {
		return fn(c, self.(*List))
	}}
}

// dm makes a method of dict.
func dm(name string, min, max int, fn func(c *Call, d *Dict) (Value, error)) *method {
	return &method{name: name, min: min, max: max, fn: func(c *Call, self Value) (Value, error) {
		return fn(c, self.(*Dict))
	}}
}

func init() {
	register("list",
		lm("append", 1, 1, nil, func(c *Call, l *List) (Value, error) {
			l.Items = append(l.Items, c.Args[0])
			return nil, c.T.Alloc(elem)
		}),
		lm("extend", 1, 1, nil, func(c *Call, l *List) (Value, error) {
			items, err := Collect(c.T, c.Args[0])
			l.Items = append(l.Items, items...)
			return nil, err
		}),
		lm("insert", 2, 2, nil, func(c *Call, l *List) (Value, error) {
			i, err := sliceIndexArg(c.Args[0])
			if err != nil {
				return nil, err
			}
			n := len(l.Items)
			if i < 0 {
				i = max(0, i+n)
			}
			l.Items = slices.Insert(l.Items, min(i, n), c.Args[1])
			return nil, c.T.Alloc(elem)
		}),
		lm("pop", 0, 1, nil, func(c *Call, l *List) (Value, error) {
			i, err := intArg(c, 0, -1)
			if err != nil {
				return nil, err
			}
			n := len(l.Items)
			if n == 0 {
				return nil, Raise("IndexError", "pop from empty list")
			}
			if i < 0 {
				i += n
			}
			if i < 0 || i >= n {
				return nil, Raise("IndexError", "pop index out of range")
			}
			v := l.Items[i]
			l.Items = slices.Delete(l.Items, i, i+1)
			return v, nil
		}),
		lm("remove", 1, 1, nil, func(c *Call, l *List) (Value, error) {
			i, err := indexOf(c.T, l.Items, c.Args[0], 0, len(l.Items))
			if err != nil {
				return nil, err
			}
			if i < 0 {
				return nil, Raise("ValueError", "list.remove(x): x not in list")
			}
			l.Items = slices.Delete(l.Items, i, i+1)
			return nil, nil
		}),
		lm("clear", 0, 0, nil, func(_ *Call, l *List) (Value, error) {
			l.Items = nil
			return nil, nil
		}),
		lm("copy", 0, 0, nil, func(c *Call, l *List) (Value, error) {
			return &List{Items: slices.Clone(l.Items)}, c.T.Alloc(elem * len(l.Items))
		}),
		lm("reverse", 0, 0, nil, func(_ *Call, l *List) (Value, error) {
			slices.Reverse(l.Items)
			return nil, nil
		}),
		&method{name: "sort", max: -1, anyKw: true, fn: listSort},
		&method{name: "count", min: 1, max: 1, fn: seqCount},
		&method{name: "index", min: 1, max: 3, fn: seqIndex},
	)
	register("tuple",
		&method{name: "count", min: 1, max: 1, fn: seqCount},
		&method{name: "index", min: 1, max: 3, fn: seqIndex},
	)
	register("range",
		&method{name: "count", min: 1, max: 1, fn: seqCount},
		&method{name: "index", min: 1, max: 1, fn: seqIndex},
	)
	register("dict",
		dm("get", 1, 2, func(c *Call, d *Dict) (Value, error) {
			v, ok, err := d.Get(c.Args[0])
			if err != nil || ok {
				return v, err
			}
			return c.opt(1, nil), nil
		}),
		dm("keys", 0, 0, func(_ *Call, d *Dict) (Value, error) { return &view{d, keysOf}, nil }),
		dm("values", 0, 0, func(_ *Call, d *Dict) (Value, error) { return &view{d, valuesOf}, nil }),
		dm("items", 0, 0, func(_ *Call, d *Dict) (Value, error) { return &view{d, itemsOf}, nil }),
		dm("pop", 1, 2, func(c *Call, d *Dict) (Value, error) {
			v, ok, err := d.Delete(c.Args[0])
			switch {
			case err != nil || ok:
				return v, err
			case len(c.Args) > 1:
				return c.Args[1], nil
			}
			return nil, keyError(c.T, c.Args[0])
		}),
		dm("popitem", 0, 0, func(c *Call, d *Dict) (Value, error) {
			i := d.last()
			if i < 0 {
				return nil, Raise("KeyError", "'popitem(): dictionary is empty'")
			}
			k := d.entries[i].key
			return Tuple{k, d.deleteAt(i)}, nil
		}),
		dm("setdefault", 1, 2, func(c *Call, d *Dict) (Value, error) {
			v, ok, err := d.Get(c.Args[0])
			if err != nil || ok {
				return v, err
			}
			v = c.opt(1, nil)
			if err := c.T.Alloc(4 * elem); err != nil {
				return nil, err
			}
			return v, d.Set(c.Args[0], v)
		}),
		dm("clear", 0, 0, func(_ *Call, d *Dict) (Value, error) {
			d.Clear()
			return nil, nil
		}),
		dm("copy", 0, 0, func(c *Call, d *Dict) (Value, error) { return d.Copy(), c.T.Alloc(4 * elem * d.Len()) }),
		&method{name: "update", max: 1, anyKw: true, fn: func(c *Call, self Value) (Value, error) {
			d := self.(*Dict)
			if len(c.Args) > 0 {
				if err := Update(c.T, d, c.Args[0]); err != nil {
					return nil, err
				}
			}
			for _, k := range c.Kw {
				d.SetStr(k.Name, k.Value)
			}
			return nil, c.T.Alloc(4 * elem * len(c.Kw))
		}},
		dm("fromkeys", 1, 2, func(c *Call, d *Dict) (Value, error) {
			out := &Dict{Class: d.Class}
			return out, Each(c.T, c.Args[0], func(k Value) error {
				if err := c.T.Alloc(4 * elem); err != nil {
					return err
				}
				return out.Set(k, c.opt(1, nil))
			})
		}),
	)
	register("OrderedDict",
		&method{name: "move_to_end", min: 1, max: 2, kw: []string{"key", "last"}, fn: moveToEnd},
	)
	register("view",
		&method{name: "isdisjoint", min: 1, max: 1, fn: func(c *Call, self Value) (Value, error) {
			s, ok := asSet(c.T, self)
			if !ok {
				return nil, Raise("AttributeError", "'dict_values' object has no attribute 'isdisjoint'")
			}
			return setOp(c.T, "isdisjoint", s, c.Args)
		}},
	)
	for _, name := range []string{"union", "intersection", "difference", "update", "intersection_update", "difference_update"} {
		register("set", setMethod(name, 0, -1))
	}
	for _, name := range []string{"symmetric_difference", "issubset", "issuperset", "isdisjoint", "add", "remove", "discard", "symmetric_difference_update"} {
		register("set", setMethod(name, 1, 1))
	}
	for _, name := range []string{"clear", "copy", "pop"} {
		register("set", setMethod(name, 0, 0))
	}
}

// sliceIndexArg is an argument that is clamped like an index of a slice.
func sliceIndexArg(v Value) (int, error) {
	i, err := index(v)
	return max(-far, min(far, i)), err
}

func indexOf(t *Thread, items []Value, x Value, lo, hi int) (int, error) {
	for i := lo; i < hi && i < len(items); i++ {
		if Same(items[i], x) {
			return i, nil
		}
		if err := t.Step(); err != nil {
			return 0, err
		}
		if eq, err := Equal(t, items[i], x); err != nil || eq {
			return i, err
		}
	}
	return -1, nil
}

func itemsOfSeq(t *Thread, v Value) ([]Value, error) {
	switch x := v.(type) {
	case *List:
		return x.Items, nil
	case Tuple:
		return x, nil
	}
	return Collect(t, v)
}

func seqCount(c *Call, self Value) (Value, error) {
	items, err := itemsOfSeq(c.T, self)
	if err != nil {
		return nil, err
	}
	n := int64(0)
	for _, e := range items {
		if err := c.T.Step(); err != nil {
			return nil, err
		}
		eq, err := Equal(c.T, e, c.Args[0])
		if err != nil {
			return nil, err
		}
		if eq || Same(e, c.Args[0]) {
			n++
		}
	}
	return n, nil
}

func seqIndex(c *Call, self Value) (Value, error) {
	items, err := itemsOfSeq(c.T, self)
	if err != nil {
		return nil, err
	}
	n := len(items)
	bound := func(i, def int) (int, error) {
		v := c.opt(i, Missing)
		if v == Missing {
			return def, nil
		}
		x, err := sliceIndex(v)
		if x < 0 {
			x = max(0, x+n)
		}
		return x, err
	}
	lo, err := bound(1, 0)
	if err != nil {
		return nil, err
	}
	hi, err := bound(2, n)
	if err != nil {
		return nil, err
	}
	i, err := indexOf(c.T, items, c.Args[0], lo, hi)
	if err != nil {
		return nil, err
	}
	if i < 0 {
		if _, ok := self.(Tuple); ok {
			return nil, Raise("ValueError", "tuple.index(x): x not in tuple")
		}
		r, err := Repr(c.T, c.Args[0])
		if err != nil {
			return nil, err
		}
		if _, ok := self.(*Range); ok {
			return nil, Raise("ValueError", "%s is not in range", r)
		}
		return nil, Raise("ValueError", "%s is not in list", r)
	}
	return int64(i), nil
}

func listSort(c *Call, self Value) (Value, error) {
	l := self.(*List)
	if len(c.Args) > 0 {
		return nil, Raise("TypeError", "sort() takes no positional arguments")
	}
	var key Value
	reverse := false
	for _, k := range c.Kw {
		switch k.Name {
		case "key":
			key = k.Value
		case "reverse":
			r, err := Truth(c.T, k.Value)
			if err != nil {
				return nil, err
			}
			reverse = r
		default:
			return nil, Raise("TypeError", "'%s' is an invalid keyword argument for sort()", k.Name)
		}
	}
	var keyFn func(Value) (Value, error)
	if key != nil {
		keyFn = func(v Value) (Value, error) { return Invoke(c.T, key, []Value{v}, nil, c.Scope) }
	}
	out, err := Sorted(c.T, slices.Clone(l.Items), keyFn, reverse)
	if err != nil {
		return nil, err
	}
	l.Items = out
	return nil, nil
}

// Sorted orders items, which it owns, as sorted() does: stable, by <, the key
// taken once of each. key may be nil.
func Sorted(t *Thread, items []Value, key func(Value) (Value, error), reverse bool) ([]Value, error) {
	if err := t.Alloc(2 * elem * len(items)); err != nil {
		return nil, err
	}
	type pair struct{ key, val Value }
	pairs := make([]pair, len(items))
	for i, v := range items {
		pairs[i] = pair{v, v}
		if key != nil {
			k, err := key(v)
			if err != nil {
				return nil, err
			}
			pairs[i].key = k
		}
	}
	if reverse {
		slices.Reverse(pairs)
	}
	var failed error
	slices.SortStableFunc(pairs, func(a, b pair) int {
		if failed != nil {
			return 0
		}
		if failed = t.Step(); failed != nil {
			return 0
		}
		less, err := Compare(t, LT, a.key, b.key)
		if err != nil {
			failed = err
			return 0
		}
		if less {
			return -1
		}
		if more, err := Compare(t, LT, b.key, a.key); err == nil && more {
			return 1
		}
		return 0
	})
	if failed != nil {
		// Python compares each element with the one before it first: name the same pair.
		for i := 1; i < len(pairs) && len(items) > 1; i++ {
			a, b := items[i], items[i-1]
			if key != nil {
				var err error
				if a, err = key(a); err != nil {
					return nil, err
				}
				if b, err = key(b); err != nil {
					return nil, err
				}
			}
			if reverse {
				a, b = b, a
			}
			if _, err := Compare(t, LT, a, b); err != nil {
				return nil, err
			}
		}
		return nil, failed
	}
	if reverse {
		slices.Reverse(pairs)
	}
	for i, p := range pairs {
		items[i] = p.val
	}
	return items, nil
}

// Update is d.update(src).
func Update(t *Thread, d *Dict, src Value) error {
	set := func(k, v Value) error {
		if err := t.Alloc(4 * elem); err != nil {
			return err
		}
		return d.Set(k, v)
	}
	switch x := src.(type) {
	case *Dict:
		if x == d {
			return nil
		}
		for k, v := range x.All() {
			if err := set(k, v); err != nil {
				return err
			}
		}
		return nil
	case Mapping:
		keys, err := x.Keys(t)
		if err != nil {
			return err
		}
		for _, k := range keys {
			v, err := x.Item(t, k)
			if err != nil {
				return err
			}
			if err := set(k, v); err != nil {
				return err
			}
		}
		return nil
	case *Undefined:
		if x.Mode == Strict {
			return x.Fail()
		}
	}
	if !isIterable(t, src) {
		return Raise("TypeError", "'%s' object is not iterable", TypeName(src))
	}
	i := 0
	return Each(t, src, func(e Value) error {
		if !isIterable(t, e) {
			return Raise("TypeError", "cannot convert dictionary update sequence element #%d to a sequence", i)
		}
		pair, err := Collect(t, e)
		if err != nil {
			return err
		}
		if len(pair) != 2 {
			return Raise("ValueError", "dictionary update sequence element #%d has length %d; 2 is required", i, len(pair))
		}
		i++
		return set(pair[0], pair[1])
	})
}

func moveToEnd(c *Call, self Value) (Value, error) {
	d := self.(*Dict)
	last, err := Truth(c.T, c.opt(1, true))
	if err != nil {
		return nil, err
	}
	v, ok, err := d.Delete(c.Args[0])
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, keyError(c.T, c.Args[0])
	}
	if last {
		return nil, d.Set(c.Args[0], v)
	}
	rest := d.Copy()
	d.Clear()
	if err := d.Set(c.Args[0], v); err != nil {
		return nil, err
	}
	for k, v := range rest.All() {
		if err := d.Set(k, v); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func setMethod(name string, min, max int) *method {
	return &method{name: name, min: min, max: max, fn: func(c *Call, self Value) (Value, error) {
		return setOp(c.T, name, self.(*Set), c.Args)
	}}
}

// setOp is the method name of set s.
func setOp(t *Thread, name string, s *Set, args []Value) (Value, error) {
	sets := make([]*Set, len(args))
	switch name {
	case "add", "remove", "discard":
	default:
		for i, a := range args {
			items, err := Collect(t, a)
			if err != nil {
				return nil, err
			}
			if sets[i], err = NewSet(items...); err != nil {
				return nil, err
			}
		}
	}
	if err := t.Alloc(4 * elem * s.Len()); err != nil {
		return nil, err
	}
	dup := func() *Set { return &Set{d: *s.d.Copy()} }
	keep := func(in *Set, cond func(Value) bool) *Set {
		out := &Set{}
		for _, v := range in.Values() {
			if cond(v) {
				_ = out.Add(v) // it is hashable, being in a set
			}
		}
		return out
	}
	has := func(s *Set, v Value) bool { ok, _ := s.Has(v); return ok }
	switch name {
	case "add":
		return nil, s.Add(args[0])
	case "discard", "remove":
		_, ok, err := s.d.Delete(args[0])
		if err == nil && !ok && name == "remove" {
			err = keyError(t, args[0])
		}
		return nil, err
	case "clear":
		s.d.Clear()
		return nil, nil
	case "copy":
		return dup(), nil
	case "pop":
		if s.Len() == 0 {
			return nil, Raise("KeyError", "'pop from an empty set'")
		}
		v := s.Values()[0]
		_, _, err := s.d.Delete(v)
		return v, err
	case "issubset":
		return keep(s, func(v Value) bool { return has(sets[0], v) }).Len() == s.Len(), nil
	case "issuperset":
		return keep(sets[0], func(v Value) bool { return has(s, v) }).Len() == sets[0].Len(), nil
	case "isdisjoint":
		return keep(s, func(v Value) bool { return has(sets[0], v) }).Len() == 0, nil
	}
	out := dup()
	for _, o := range sets {
		switch name {
		case "union", "update":
			for _, v := range o.Values() {
				_ = out.Add(v)
			}
		case "intersection", "intersection_update":
			out = keep(out, func(v Value) bool { return has(o, v) })
		case "difference", "difference_update":
			out = keep(out, func(v Value) bool { return !has(o, v) })
		default: // symmetric_difference
			both := keep(out, func(v Value) bool { return !has(o, v) })
			for _, v := range o.Values() {
				if !has(out, v) {
					_ = both.Add(v)
				}
			}
			out = both
		}
	}
	switch name {
	case "update", "intersection_update", "difference_update", "symmetric_difference_update":
		s.d = out.d
		return nil, nil
	}
	return out, nil
}
