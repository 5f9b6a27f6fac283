package jinja

import (
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/gosalt/gosalt/jinja/py"
)

func randomBelow(n int) int64 { return int64(rand.IntN(n)) }

// getter reads an attribute such as "a.b.0" of an element; a missing one is def
// where def is not nil, else undefined.
type getter func(v py.Value) (py.Value, error)

func attrGetter(c *py.Call, attribute, def py.Value, post func(py.Value) py.Value) getter {
	parts := attrParts(attribute)
	ctx := ContextOf(c)
	return func(v py.Value) (py.Value, error) {
		for _, p := range parts {
			var err error
			if v, err = ctx.st.getitem(v, p); err != nil {
				return nil, err
			}
			if _, undef := v.(*py.Undefined); undef && def != nil {
				v = def
			}
		}
		if post != nil {
			v = post(v)
		}
		return v, nil
	}
}

func attrParts(a py.Value) []py.Value {
	if a == nil {
		return nil
	}
	s, ok := py.AsString(a)
	if !ok {
		return []py.Value{a}
	}
	var out []py.Value
	for _, p := range strings.Split(s, ".") {
		if n, err := strconv.ParseInt(p, 10, 64); err == nil && p[0] != '-' && p[0] != '+' {
			out = append(out, n)
		} else {
			out = append(out, p)
		}
	}
	return out
}

// ignoreCase lowers text.
func ignoreCase(v py.Value) py.Value {
	switch x := v.(type) {
	case string:
		return strings.ToLower(x)
	case py.Markup:
		return py.Markup(strings.ToLower(string(x)))
	}
	return v
}

func caseOf(c *py.Call, i int) (func(py.Value) py.Value, error) {
	sensitive, err := truth(c, i)
	if sensitive {
		return nil, err
	}
	return ignoreCase, err
}

func filterSort(c *py.Call) (py.Value, error) {
	post, err := caseOf(c, 2)
	if err != nil {
		return nil, err
	}
	attrs := []py.Value{c.Args[3]}
	if s, ok := py.AsString(c.Args[3]); ok {
		attrs = nil
		for _, a := range strings.Split(s, ",") {
			attrs = append(attrs, a)
		}
	}
	gets := make([]getter, len(attrs))
	for i, a := range attrs {
		gets[i] = attrGetter(c, a, nil, post)
	}
	items, err := py.Collect(c.T, c.Args[0])
	if err != nil {
		return nil, err
	}
	reverse, err := intArg(c, 1)
	if err != nil {
		return nil, err
	}
	out, err := py.Sorted(c.T, items, func(v py.Value) (py.Value, error) {
		keys := make([]py.Value, len(gets))
		for i, g := range gets {
			k, err := g(v)
			if err != nil {
				return nil, err
			}
			keys[i] = k
		}
		return &py.List{Items: keys}, nil
	}, reverse != 0)
	if err != nil {
		return nil, err
	}
	return &py.List{Items: out}, nil
}

func filterDictsort(c *py.Call) (py.Value, error) {
	sensitive, err := truth(c, 1)
	if err != nil {
		return nil, err
	}
	pos := 0
	switch by, _ := py.AsString(c.Args[2]); by {
	case "key":
	case "value":
		pos = 1
	default:
		return nil, py.Raise("FilterArgumentError", `You can only sort by either "key" or "value"`)
	}
	items, err := itemPairs(c, c.Args[0])
	if err != nil {
		return nil, err
	}
	reverse, err := intArg(c, 3)
	if err != nil {
		return nil, err
	}
	out, err := py.Sorted(c.T, items, func(v py.Value) (py.Value, error) {
		k := v.(py.Tuple)[pos]
		if !sensitive {
			k = ignoreCase(k)
		}
		return k, nil
	}, reverse != 0)
	if err != nil {
		return nil, err
	}
	return &py.List{Items: out}, nil
}

// itemPairs is list(v.items()).
func itemPairs(c *py.Call, v py.Value) ([]py.Value, error) {
	items, err := py.GetAttr(c.T, v, "items")
	if err != nil {
		return nil, err
	}
	view, err := py.Invoke(c.T, items, nil, nil, c.Scope)
	if err != nil {
		return nil, err
	}
	return py.Collect(c.T, view)
}

func filterItems(c *py.Call) (py.Value, error) {
	var it py.Iterator
	return py.Generator(func() (py.Value, bool, error) {
		if it == nil {
			if _, ok := c.Args[0].(*py.Undefined); ok {
				return nil, false, nil
			}
			if !isMapping(c.Args[0]) {
				return nil, false, py.Raise("TypeError", "Can only get item pairs from a mapping.")
			}
			items, err := itemPairs(c, c.Args[0])
			if err != nil {
				return nil, false, err
			}
			if it, err = py.Iter(c.T, py.Tuple(items)); err != nil {
				return nil, false, err
			}
		}
		return it.Next()
	}), nil
}

func isMapping(v py.Value) bool {
	switch v.(type) {
	case *py.Dict, py.Mapping:
		return true
	}
	return false
}

func filterUnique(c *py.Call) (py.Value, error) {
	post, err := caseOf(c, 1)
	if err != nil {
		return nil, err
	}
	get := attrGetter(c, c.Args[2], nil, post)
	seen, _ := py.NewSet()
	var it py.Iterator
	return py.Generator(func() (py.Value, bool, error) {
		if it == nil {
			var err error
			if it, err = py.Iter(c.T, c.Args[0]); err != nil {
				return nil, false, err
			}
		}
		for {
			if err := c.T.Step(); err != nil {
				return nil, false, err
			}
			v, ok, err := it.Next()
			if err != nil || !ok {
				return nil, false, err
			}
			k, err := get(v)
			if err != nil {
				return nil, false, err
			}
			have, err := seen.Has(k)
			if err != nil {
				return nil, false, err
			}
			if !have {
				if err := c.T.Alloc(64); err != nil {
					return nil, false, err
				}
				return v, true, seen.Add(k)
			}
		}
	}), nil
}

// extreme makes min and max: the first element that no other one is before (op).
func extreme(op string) func(c *py.Call) (py.Value, error) {
	return func(c *py.Call) (py.Value, error) {
		post, err := caseOf(c, 1)
		if err != nil {
			return nil, err
		}
		get := attrGetter(c, c.Args[2], nil, post)
		var best, bestKey py.Value
		found := false
		err = py.Each(c.T, c.Args[0], func(v py.Value) error {
			k, err := get(v)
			if err != nil {
				return err
			}
			if found {
				better, err := py.Compare(c.T, op, k, bestKey)
				if err != nil || !better {
					return err
				}
			}
			best, bestKey, found = v, k, true
			return nil
		})
		if err != nil {
			return nil, err
		}
		if !found {
			return &py.Undefined{Hint: "No aggregated item, sequence was empty.", Mode: ContextOf(c).mode()}, nil
		}
		return best, nil
	}
}

func filterJoin(c *py.Call) (py.Value, error) {
	var get getter
	if c.Args[2] != nil {
		get = attrGetter(c, c.Args[2], nil, nil)
	}
	sep, err := py.Str(c.T, c.Args[1])
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	first, text := true, py.Str
	safe := c.T.Escape && isSafe(c.Args[1])
	if c.T.Escape {
		items, err := py.Collect(c.T, c.Args[0])
		if err != nil {
			return nil, err
		}
		for i, v := range items {
			if get != nil {
				if items[i], err = get(v); err != nil {
					return nil, err
				}
			}
			safe = safe || isSafe(items[i])
		}
		c.Args[0], get = py.NewList(items...), nil
	}
	if safe { // some of it is HTML, so the rest has to become it
		text = func(t *py.Thread, v py.Value) (string, error) {
			s, err := py.Escape(t, v)
			return string(s), err
		}
		if sep, err = text(c.T, c.Args[1]); err != nil {
			return nil, err
		}
	}
	err = py.Each(c.T, c.Args[0], func(v py.Value) error {
		if get != nil {
			var err error
			if v, err = get(v); err != nil {
				return err
			}
		}
		s, err := text(c.T, v)
		if err != nil {
			return err
		}
		if !first {
			b.WriteString(sep)
		}
		first = false
		b.WriteString(s)
		return c.T.Alloc(len(s) + len(sep))
	})
	if err != nil {
		return nil, err
	}
	if safe {
		return py.Markup(b.String()), nil
	}
	return b.String(), nil
}

// filterReverse reverses text at once and sequences as they are read.
func filterReverse(c *py.Call) (py.Value, error) {
	switch c.Args[0].(type) {
	case string, py.Markup:
		return py.Slice(c.T, c.Args[0], nil, nil, int64(-1))
	}
	it, err := py.Reversed(c.T, c.Args[0])
	if err == nil || !py.IsA(err, "TypeError") {
		return it, err
	}
	items, err := py.Collect(c.T, c.Args[0])
	if err != nil {
		if py.IsA(err, "TypeError") {
			return nil, py.Raise("FilterArgumentError", "argument must be iterable")
		}
		return nil, err
	}
	for i, j := 0, len(items)-1; i < j; i, j = i+1, j-1 {
		items[i], items[j] = items[j], items[i]
	}
	return &py.List{Items: items}, nil
}

func filterSum(c *py.Call) (py.Value, error) {
	var get getter
	if c.Args[1] != nil {
		get = attrGetter(c, c.Args[1], nil, nil)
	}
	sum := c.Args[2]
	if _, ok := py.AsString(sum); ok {
		return nil, py.Raise("TypeError", "sum() can't sum strings [use ''.join(seq) instead]")
	}
	err := py.Each(c.T, c.Args[0], func(v py.Value) error {
		var err error
		if get != nil {
			if v, err = get(v); err != nil {
				return err
			}
		}
		sum, err = py.Binary(c.T, "+", sum, v)
		return err
	})
	if err != nil {
		return nil, err
	}
	return sum, nil
}

// filterSlice deals the elements out to a number of lists.
func filterSlice(c *py.Call) (py.Value, error) {
	next, n := 0, -1
	var items []py.Value
	offset, per, extra := 0, 0, 0
	return py.Generator(func() (py.Value, bool, error) {
		if n < 0 {
			var err error
			if items, err = py.Collect(c.T, c.Args[0]); err != nil {
				return nil, false, err
			}
			k, ok := py.AsInt(c.Args[1])
			if !ok {
				_, err := py.Binary(c.T, "//", int64(1), c.Args[1])
				if err == nil {
					err = py.Raise("TypeError", "'%s' object cannot be interpreted as an integer", py.TypeName(c.Args[1]))
				}
				return nil, false, err
			}
			if k == 0 {
				return nil, false, py.Raise("ZeroDivisionError", "integer division or modulo by zero")
			}
			if n = int(max(k, 0)); n > 0 {
				per, extra = len(items)/n, len(items)%n
			}
		}
		if next >= n {
			return nil, false, nil
		}
		if err := c.T.Step(); err != nil {
			return nil, false, err
		}
		start := offset + next*per
		if next < extra {
			offset++
		}
		end := offset + (next+1)*per
		part := append([]py.Value(nil), items[start:end]...)
		if c.Args[2] != nil && next >= extra {
			part = append(part, c.Args[2])
		}
		next++
		return &py.List{Items: part}, true, c.T.Alloc(16 * (len(part) + 2))
	}), nil
}

func filterBatch(c *py.Call) (py.Value, error) {
	var it py.Iterator
	done := false
	return py.Generator(func() (py.Value, bool, error) {
		if done {
			return nil, false, nil
		}
		if it == nil {
			var err error
			if it, err = py.Iter(c.T, c.Args[0]); err != nil {
				return nil, false, err
			}
		}
		n, isInt := py.AsInt(c.Args[1])
		var part []py.Value
		for !isInt || int64(len(part)) != n || len(part) == 0 {
			if err := c.T.Step(); err != nil {
				return nil, false, err
			}
			v, ok, err := it.Next()
			if err != nil {
				return nil, false, err
			}
			if !ok {
				done = true
				break
			}
			if err := c.T.Alloc(16); err != nil {
				return nil, false, err
			}
			part = append(part, v)
		}
		if len(part) == 0 {
			return nil, false, nil
		}
		if done && c.Args[2] != nil {
			if err := c.T.Alloc(16 * int(max(n, 0))); err != nil {
				return nil, false, err
			}
			for int64(len(part)) < n {
				part = append(part, c.Args[2])
			}
		}
		return &py.List{Items: part}, true, nil
	}), nil
}

// Group is an element of groupby: a pair with names.
type Group struct {
	Key  py.Value
	List *py.List
}

// PyType is jinja2's class.
func (g *Group) PyType() string { return "jinja2.filters._GroupTuple" }

func (g *Group) tuple() py.Tuple { return py.Tuple{g.Key, g.List} }

// Attr gives grouper and list.
func (g *Group) Attr(t *py.Thread, name string) (py.Value, bool, error) {
	switch name {
	case "grouper":
		return g.Key, true, nil
	case "list":
		return g.List, true, nil
	}
	return py.LookupAttr(t, g.tuple(), name)
}

// Item gives key and list by number.
func (g *Group) Item(t *py.Thread, key py.Value) (py.Value, error) {
	return py.Item(t, g.tuple(), key)
}

// Iter goes over key and list.
func (g *Group) Iter(t *py.Thread) (py.Iterator, error) { return py.Iter(t, g.tuple()) }

// Len is 2.
func (g *Group) Len(*py.Thread) (int, error) { return 2, nil }

// Print is the pair's repr.
func (g *Group) Print(t *py.Thread, _ bool) (string, error) { return py.Repr(t, g.tuple()) }

// Equal compares with a pair.
func (g *Group) Equal(t *py.Thread, other py.Value) (bool, error) {
	if o, ok := other.(*Group); ok {
		other = o.tuple()
	}
	return py.Equal(t, g.tuple(), other)
}

func filterGroupby(c *py.Call) (py.Value, error) {
	post, err := caseOf(c, 3)
	if err != nil {
		return nil, err
	}
	get := attrGetter(c, c.Args[1], c.Args[2], post)
	items, err := py.Collect(c.T, c.Args[0])
	if err != nil {
		return nil, err
	}
	if items, err = py.Sorted(c.T, items, get, false); err != nil {
		return nil, err
	}
	var groups []py.Value
	var cur *Group
	for _, v := range items {
		k, err := get(v)
		if err != nil {
			return nil, err
		}
		same := false
		if cur != nil {
			if same, err = py.Equal(c.T, cur.Key, k); err != nil {
				return nil, err
			}
		}
		if !same {
			cur = &Group{Key: k, List: &py.List{}}
			groups = append(groups, cur)
		}
		cur.List.Items = append(cur.List.Items, v)
	}
	if post != nil { // the key as the first of the group has it
		shown := attrGetter(c, c.Args[1], c.Args[2], nil)
		for _, g := range groups {
			g := g.(*Group)
			if g.Key, err = shown(g.List.Items[0]); err != nil {
				return nil, err
			}
		}
	}
	return &py.List{Items: groups}, nil
}

// kwargs turns a **kwargs dict into keyword arguments.
func kwargs(d *py.Dict) []py.KW {
	var kw []py.KW
	for k, v := range d.All() {
		name, _ := py.AsString(k)
		kw = append(kw, py.KW{Name: name, Value: v})
	}
	return kw
}

func named(c *py.Call, v py.Value, kind string) (string, error) {
	if u, ok := v.(*py.Undefined); ok {
		if u.Mode == py.Strict {
			return "", u.Fail()
		}
		return "", py.Raise("TemplateRuntimeError", "No %s named Undefined. (%s; did you forget to quote the callable name?)", kind, u.Message())
	}
	s, ok := py.AsString(v)
	if !ok {
		r, err := py.Repr(c.T, v)
		if err != nil {
			return "", err
		}
		return "", py.Raise("TemplateRuntimeError", "No %s named %s.", kind, r)
	}
	return s, nil
}

// lazily makes a generator over the elements of v; prepare is called before the
// first, and what it returns tells of each element what to give, if anything.
func lazily(c *py.Call, v py.Value, prepare func() (func(v py.Value) (py.Value, bool, error), error)) py.Value {
	var it py.Iterator
	var each func(v py.Value) (py.Value, bool, error)
	return py.Generator(func() (py.Value, bool, error) {
		if it == nil {
			if ok, err := py.Truth(c.T, v); err != nil || !ok {
				return nil, false, err
			}
			var err error
			if each, err = prepare(); err != nil {
				return nil, false, err
			}
			if it, err = py.Iter(c.T, v); err != nil {
				return nil, false, err
			}
		}
		for {
			if err := c.T.Step(); err != nil {
				return nil, false, err
			}
			e, ok, err := it.Next()
			if err != nil || !ok {
				return nil, false, err
			}
			r, give, err := each(e)
			if err != nil || give {
				return r, give, err
			}
		}
	})
}

func filterMap(c *py.Call) (py.Value, error) {
	args, kw := c.Args[1].(py.Tuple), c.Args[2].(*py.Dict)
	return lazily(c, c.Args[0], func() (func(py.Value) (py.Value, bool, error), error) {
		if attr, ok := kw.GetStr("attribute"); ok && len(args) == 0 {
			def, _ := kw.GetStr("default")
			for k := range kw.All() {
				if k != "attribute" && k != "default" {
					r, _ := py.Repr(c.T, k)
					return nil, py.Raise("FilterArgumentError", "Unexpected keyword argument %s", r)
				}
			}
			get := attrGetter(c, attr, def, nil)
			return func(v py.Value) (py.Value, bool, error) {
				r, err := get(v)
				return r, err == nil, err
			}, nil
		}
		if len(args) == 0 {
			return nil, py.Raise("FilterArgumentError", "map requires a filter argument")
		}
		return func(v py.Value) (py.Value, bool, error) {
			name, err := named(c, args[0], "filter")
			if err != nil {
				return nil, false, err
			}
			r, err := ContextOf(c).CallFilter(name, v, args[1:], kwargs(kw))
			return r, err == nil, err
		}, nil
	}), nil
}

// choose makes select, reject and their attr forms.
func choose(keep, byAttr bool) func(c *py.Call) (py.Value, error) {
	return func(c *py.Call) (py.Value, error) {
		args, kw := c.Args[1].(py.Tuple), c.Args[2].(*py.Dict)
		return lazily(c, c.Args[0], func() (func(py.Value) (py.Value, bool, error), error) {
			get := getter(func(v py.Value) (py.Value, error) { return v, nil })
			rest := args
			if byAttr {
				if len(args) == 0 {
					return nil, py.Raise("FilterArgumentError", "Missing parameter for attribute name")
				}
				get, rest = attrGetter(c, args[0], nil, nil), args[1:]
			}
			return func(v py.Value) (py.Value, bool, error) {
				x, err := get(v)
				if err != nil {
					return nil, false, err
				}
				var ok bool
				if len(rest) > 0 {
					var name string
					if name, err = named(c, rest[0], "test"); err == nil {
						ok, err = ContextOf(c).CallTest(name, x, rest[1:], kwargs(kw))
					}
				} else {
					ok, err = py.Truth(c.T, x)
				}
				return v, ok == keep, err
			}, nil
		}), nil
	}
}
