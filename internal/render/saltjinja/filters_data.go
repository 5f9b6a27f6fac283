package saltjinja

import (
	"math/rand/v2"
	"strings"

	"github.com/gosalt/gosalt/internal/pyrandom"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/render/jmespath"
	"github.com/gosalt/gosalt/internal/render/pydict"
	"github.com/gosalt/gosalt/internal/target"
	"github.com/gosalt/gosalt/jinja/py"
)

// likeHashable is isinstance(v, Hashable), which looks at the class alone.
func likeHashable(v py.Value) bool {
	switch v.(type) {
	case *py.List, *py.Dict, *py.Set:
		return false
	}
	return true
}

func setOf(t *py.Thread, v py.Value) (*py.Set, error) {
	items, err := py.Collect(t, v)
	if err != nil {
		return nil, err
	}
	return py.NewSet(items...)
}

// uniqueOf is Salt's unique: a set of what is hashable, else a list.
func uniqueOf(t *py.Thread, v py.Value) (py.Value, error) {
	if u, ok := v.(*py.Undefined); ok {
		return nil, u.Fail()
	}
	if likeHashable(v) {
		return setOf(t, v)
	}
	out := py.NewList()
	err := py.Each(t, v, func(e py.Value) error {
		has, err := py.Contains(t, out, e)
		if !has && err == nil {
			out.Items = append(out.Items, e)
		}
		return err
	})
	return out, err
}

// keep lists the elements of a that are in b, or are not.
func keep(t *py.Thread, a, b py.Value, in bool) (*py.List, error) {
	out := py.NewList()
	err := py.Each(t, a, func(e py.Value) error {
		has, err := py.Contains(t, b, e)
		if has == in && err == nil {
			out.Items = append(out.Items, e)
		}
		return err
	})
	return out, err
}

func union(t *py.Thread, a, b py.Value) (py.Value, error) {
	if likeHashable(a) && likeHashable(b) {
		x, err := setOf(t, a)
		if err != nil {
			return nil, err
		}
		err = py.Each(t, b, x.Add)
		return x, err
	}
	both, err := py.Binary(t, "+", a, b)
	if err != nil {
		return nil, err
	}
	return uniqueOf(t, both)
}

func intersect(t *py.Thread, a, b py.Value) (py.Value, error) { return select2(t, a, b, true) }

func difference(t *py.Thread, a, b py.Value) (py.Value, error) { return select2(t, a, b, false) }

func select2(t *py.Thread, a, b py.Value, in bool) (py.Value, error) {
	if likeHashable(a) && likeHashable(b) {
		x, err := setOf(t, a)
		if err != nil {
			return nil, err
		}
		y, err := setOf(t, b)
		if err != nil {
			return nil, err
		}
		l, err := keep(t, py.NewList(x.Values()...), y, in)
		if err != nil {
			return nil, err
		}
		return py.NewSet(l.Items...)
	}
	l, err := keep(t, a, b, in)
	if err != nil {
		return nil, err
	}
	return uniqueOf(t, l)
}

func symmetric(t *py.Thread, a, b py.Value) (py.Value, error) {
	both, err := union(t, a, b)
	if err != nil {
		return nil, err
	}
	common, err := intersect(t, a, b)
	if err != nil {
		return nil, err
	}
	l, err := keep(t, both, common, false)
	if err != nil {
		return nil, err
	}
	if likeHashable(a) && likeHashable(b) {
		return py.NewSet(l.Items...)
	}
	return uniqueOf(t, l)
}

// extreme is min() or max() of an iterable.
func extreme(c *py.Call, op, name string) (py.Value, error) {
	if u, ok := c.Args[0].(*py.Undefined); ok {
		return nil, u.Fail()
	}
	var best py.Value = py.Missing
	err := py.Each(c.T, c.Args[0], func(e py.Value) error {
		if best == py.Missing {
			best = e
			return nil
		}
		less, err := py.Compare(c.T, op, e, best)
		if less {
			best = e
		}
		return err
	})
	if err == nil && best == py.Missing {
		return nil, py.Raise("ValueError", "%s() arg is an empty sequence", name)
	}
	return best, err
}

func addData(t table) {
	t.add("skip_filter/skip", "data", func(*py.Call) (py.Value, error) { return "", nil })
	t.add("ensure_sequence_filter/sequence", "data", func(c *py.Call) (py.Value, error) {
		switch c.Args[0].(type) {
		case *py.List, py.Tuple, *py.Set, *py.Dict:
			return c.Args[0], nil
		}
		return py.NewList(c.Args[0]), nil
	})
	t.add("to_bool", "val", func(c *py.Call) (py.Value, error) {
		switch x := c.Args[0].(type) {
		case nil:
			return false, nil
		case bool:
			return x, nil
		}
		if s, ok := py.AsString(c.Args[0]); ok {
			s = strings.ToLower(s)
			return s == "yes" || s == "1" || s == "true", nil
		}
		if n, ok := py.AsInt(c.Args[0]); ok {
			return n > 0, nil
		}
		if !likeHashable(c.Args[0]) {
			n, err := py.Len(c.T, c.Args[0])
			return n > 0, err
		}
		return false, nil
	})
	t.add("json_query", "data, expr", func(c *py.Call) (py.Value, error) {
		expr, ok := py.AsString(c.Args[1])
		if !ok {
			return nil, undefinedOr(c.Args[1], py.Raise("TypeError", "a JMESPath expression is text, not %s", py.TypeName(c.Args[1])))
		}
		if u, ok := c.Args[0].(*py.Undefined); ok {
			return nil, u.Fail()
		}
		return jmespath.Search(c.T, expr, c.Args[0])
	})
	t.add("unique", "values", func(c *py.Call) (py.Value, error) { return uniqueOf(c.T, c.Args[0]) })
	t.add("lst_min/min", "obj", func(c *py.Call) (py.Value, error) { return extreme(c, py.LT, "min") })
	t.add("lst_max/max", "obj", func(c *py.Call) (py.Value, error) { return extreme(c, py.GT, "max") })
	t.add("lst_avg/avg", "lst", func(c *py.Call) (py.Value, error) {
		if u, ok := c.Args[0].(*py.Undefined); ok {
			return nil, u.Fail()
		}
		if likeHashable(c.Args[0]) {
			return py.ToFloat(c.Args[0])
		}
		var sum py.Value = int64(0)
		n := int64(0)
		err := py.Each(c.T, c.Args[0], func(e py.Value) (err error) {
			n++
			sum, err = py.Binary(c.T, "+", sum, e)
			return err
		})
		if err != nil {
			return nil, err
		}
		v, err := py.Binary(c.T, "/", sum, n)
		if err != nil {
			return nil, err
		}
		return py.ToFloat(v)
	})
	pair := func(name string, f func(t *py.Thread, a, b py.Value) (py.Value, error)) {
		t.add(name, "lst1, lst2", func(c *py.Call) (py.Value, error) {
			for _, a := range c.Args {
				if u, ok := a.(*py.Undefined); ok {
					return nil, u.Fail()
				}
			}
			return f(c.T, c.Args[0], c.Args[1])
		})
	}
	pair("union", union)
	pair("intersect", intersect)
	pair("difference", difference)
	pair("symmetric_difference", symmetric)
	t.add("method_call", "obj, f_name, *f_args, **f_kwargs", func(c *py.Call) (py.Value, error) {
		name, ok := py.AsString(c.Args[1])
		if !ok {
			return nil, undefinedOr(c.Args[1], py.Raise("TypeError", "attribute name must be string, not '%s'", py.TypeName(c.Args[1])))
		}
		if u, ok := c.Args[0].(*py.Undefined); ok {
			return nil, u.Fail()
		}
		if strings.HasPrefix(name, "_") {
			return nil, py.Raise("SecurityError", "access to attribute %s of '%s' object is unsafe.", py.Quote(name), py.TypeName(c.Args[0]))
		}
		f, ok, err := py.LookupAttr(c.T, c.Args[0], name)
		if err != nil || !ok {
			return nil, err
		}
		var kw []py.KW
		for k, v := range c.Args[3].(*py.Dict).All() {
			s, _ := py.AsString(k)
			kw = append(kw, py.KW{Name: s, Value: v})
		}
		return py.Invoke(c.T, f, c.Args[2].(py.Tuple), kw, c.Scope)
	})
	t.add("compare_dicts", "old=None, new=None", compareDicts)
	t.add("compare_lists", "old=None, new=None", compareLists)
	for _, n := range []string{"json_encode_dict", "json_decode_dict"} {
		t.add("encode_dict/"+n, "data, encoding=None, errors='strict', keep=False, preserve_dict_class=False, preserve_tuples=False", func(c *py.Call) (py.Value, error) {
			if _, ok := c.Args[0].(*py.Dict); !ok {
				return nil, undefinedOr(c.Args[0], py.Raise("AttributeError", "'%s' object has no attribute 'items'", py.TypeName(c.Args[0])))
			}
			return encodeData(c, c.Args[0])
		})
	}
	for _, n := range []string{"json_encode_list", "json_decode_list"} {
		t.add("encode_list/"+n, "data, encoding=None, errors='strict', keep=False, preserve_dict_class=False, preserve_tuples=False", func(c *py.Call) (py.Value, error) {
			items, err := py.Collect(c.T, c.Args[0])
			if err != nil {
				return nil, err
			}
			return encodeData(c, py.NewList(items...))
		})
	}
	t.add("exactly_n/exactly_n_true", "iterable, amount=1", func(c *py.Call) (py.Value, error) {
		n, _ := py.AsInt(c.Args[1])
		return exactly(c, n)
	})
	t.add("exactly_one/exactly_one_true", "iterable", func(c *py.Call) (py.Value, error) { return exactly(c, 1) })
	t.add("traverse_dict_and_list/traverse", "data, key, default=None, delimiter=':'", func(c *py.Call) (py.Value, error) {
		d, _ := py.AsString(c.Args[3])
		return pydict.Traverse(c.T, c.Args[0], c.Args[1], c.Args[2], d)
	})
	t.add("substr_in_list/substring_in_list", "string_to_search_for, list_to_search", func(c *py.Call) (py.Value, error) {
		found := false
		err := py.Each(c.T, c.Args[1], func(e py.Value) error {
			if found {
				return nil
			}
			var err error
			found, err = py.Contains(c.T, e, c.Args[0])
			return err
		})
		return found, err
	})
	t.add("is_list", "value", isList)
	t.add("is_iter", "thing, ignore=?", func(c *py.Call) (py.Value, error) {
		if _, ok := py.AsString(c.Args[0]); ok && c.Args[1] == py.Missing {
			return false, nil
		}
		_, err := py.Iter(c.T, c.Args[0])
		if py.IsA(err, "TypeError") {
			return false, nil
		}
		return err == nil, err
	})
	t.add("sorted_ignorecase", "to_sort", func(c *py.Call) (py.Value, error) {
		list, err := py.Collect(c.T, c.Args[0])
		if err != nil {
			return nil, err
		}
		out, err := py.Sorted(c.T, list, func(v py.Value) (py.Value, error) {
			r, ok, err := py.CallMethod(c.T, v, "lower", nil, nil, c.Scope)
			if err == nil && !ok {
				err = py.Raise("AttributeError", "'%s' object has no attribute 'lower'", py.TypeName(v))
			}
			return r, err
		}, false)
		return py.NewList(out...), err
	})
	t.add("mysql_to_dict", "data, key", mysqlToDict)
	t.add("flatten", "data, levels=None, preserve_nulls=False", func(c *py.Call) (py.Value, error) {
		nulls, err := py.Truth(c.T, c.Args[2])
		if err != nil {
			return nil, err
		}
		levels := int64(-1)
		if c.Args[1] != nil {
			levels, _ = py.AsInt(c.Args[1])
		}
		out := py.NewList()
		return out, flatten(c.T, c.Args[0], c.Args[1] != nil, levels, nulls, out, map[any]bool{})
	})
	t.add("sample/random_sample", "value, size, seed=None", func(c *py.Call) (py.Value, error) {
		return sample(c, c.Args[1], c.Args[2])
	})
	t.add("shuffle/random_shuffle", "value, seed=None", func(c *py.Call) (py.Value, error) {
		n, err := py.Len(c.T, c.Args[0])
		if err != nil {
			return nil, err
		}
		return sample(c, int64(n), c.Args[1])
	})
	addDictKeys(t)
	t.add("check_whitelist_blacklist", "value, whitelist=None, blacklist=None", whitelisted)
}

func compareDicts(c *py.Call) (py.Value, error) {
	for _, a := range c.Args {
		if u, ok := a.(*py.Undefined); ok {
			return nil, u.Fail()
		}
	}
	old, _ := c.Args[0].(*py.Dict)
	fresh, _ := c.Args[1].(*py.Dict)
	if old == nil || fresh == nil {
		none, err := func() (bool, error) {
			a, err := py.Truth(c.T, c.Args[0])
			b, err2 := py.Truth(c.T, c.Args[1])
			if err == nil {
				err = err2
			}
			return !a && !b, err
		}()
		if err != nil || none {
			return py.NewDict(0), err
		}
		return nil, py.Raise("TypeError", "argument of type '%s' is not iterable", py.TypeName(c.Args[0]))
	}
	out := py.NewDict(4)
	put := func(k, o, n py.Value) error {
		d := py.NewDict(2)
		d.SetStr("old", o)
		d.SetStr("new", n)
		return out.Set(k, d)
	}
	for k, n := range fresh.All() {
		o, ok, err := old.Get(k)
		if err != nil {
			return nil, err
		}
		if !ok {
			if err := put(k, "", n); err != nil {
				return nil, err
			}
			continue
		}
		same, err := py.Equal(c.T, o, n)
		if err != nil {
			return nil, err
		}
		if !same {
			if err := put(k, o, n); err != nil {
				return nil, err
			}
		}
	}
	for k, o := range old.All() {
		if _, ok, err := fresh.Get(k); err != nil {
			return nil, err
		} else if !ok {
			d := py.NewDict(2)
			d.SetStr("new", "")
			d.SetStr("old", o)
			if err := out.Set(k, d); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

func compareLists(c *py.Call) (py.Value, error) {
	out := py.NewDict(2)
	for i, name := range []string{"new", "old"} {
		l, err := keep(c.T, c.Args[1-i], c.Args[i], false)
		if err != nil {
			return nil, err
		}
		if len(l.Items) > 0 {
			out.SetStr(name, l)
		}
	}
	return out, nil
}

// encodeData makes bytes of all text within data.
func encodeData(c *py.Call, data py.Value) (py.Value, error) {
	tuples, err := py.Truth(c.T, c.Args[5])
	if err != nil {
		return nil, err
	}
	var enc func(v py.Value, depth int) (py.Value, error)
	list := func(items []py.Value, depth int) ([]py.Value, error) {
		out := make([]py.Value, len(items))
		for i, e := range items {
			var err error
			if out[i], err = enc(e, depth+1); err != nil {
				return nil, err
			}
		}
		return out, c.T.Alloc(16 * len(items))
	}
	enc = func(v py.Value, depth int) (py.Value, error) {
		if depth > 200 {
			return nil, py.Raise("RecursionError", "maximum recursion depth exceeded")
		}
		switch x := v.(type) {
		case string:
			return py.Bytes(x), nil
		case py.Markup:
			return py.Bytes(x), nil
		case *py.List:
			l, err := list(x.Items, depth)
			return py.NewList(l...), err
		case py.Tuple:
			l, err := list(x, depth)
			if tuples {
				return py.Tuple(l), err
			}
			return py.NewList(l...), err
		case *py.Dict:
			d := py.NewDict(x.Len())
			for k, e := range x.All() {
				key, err := enc(k, depth+1)
				if err != nil {
					return nil, err
				}
				val, err := enc(e, depth+1)
				if err != nil {
					return nil, err
				}
				if err := d.Set(key, val); err != nil {
					return nil, err
				}
			}
			return d, nil
		case *py.Undefined:
			return nil, x.Fail()
		}
		return v, nil
	}
	return enc(data, 0)
}

func exactly(c *py.Call, n int64) (py.Value, error) {
	count := int64(0)
	err := py.Each(c.T, c.Args[0], func(e py.Value) error {
		on, err := py.Truth(c.T, e)
		if on {
			count++
		}
		return err
	})
	return count == n, err
}

func mysqlToDict(c *py.Call) (py.Value, error) {
	out := py.NewDict(4)
	headers := []string{""}
	err := py.Each(c.T, c.Args[0], func(e py.Value) error {
		line, ok := py.AsString(e)
		if !ok {
			return undefinedOr(e, py.Raise("AttributeError", "'%s' object has no attribute 'startswith'", py.TypeName(e)))
		}
		if line == "" || strings.HasPrefix(line, "+") {
			return nil
		}
		comps := strings.Split(line, "|")
		for i := range comps {
			comps[i] = py.Strip(comps[i])
		}
		if len(headers) <= 1 {
			headers = comps
			return nil
		}
		row := py.NewDict(len(headers))
		for i := 1; i < len(headers)-1; i++ {
			if i >= len(comps) {
				return py.Raise("IndexError", "list index out of range")
			}
			row.SetStr(headers[i], toNum(comps[i]))
		}
		key, ok, err := row.Get(c.Args[1])
		if err != nil {
			return err
		}
		if !ok {
			r, err := py.Repr(c.T, c.Args[1])
			if err != nil {
				return err
			}
			return &py.Error{Type: "KeyError", Msg: r}
		}
		return out.Set(key, row)
	})
	return out, err
}

func flatten(t *py.Thread, v py.Value, limited bool, levels int64, nulls bool, out *py.List, open map[any]bool) error {
	if l, ok := v.(*py.List); ok {
		if open[l] {
			return py.Raise("RecursionError", "Reference cycle detected. Check input list.")
		}
		open[l] = true
	}
	if err := t.Enter(); err != nil {
		return err
	}
	defer t.Leave()
	return py.Each(t, v, func(e py.Value) error {
		if !nulls && (e == nil || e == "None" || e == "null") {
			return nil
		}
		switch e.(type) {
		case *py.List, py.Tuple, *py.Set, *py.Dict, *py.Range, py.Iterator, py.Bytes:
			if !limited {
				return flatten(t, e, false, 0, nulls, out, open)
			}
			if levels >= 1 {
				return flatten(t, e, true, levels-1, nulls, out, open)
			}
		}
		out.Items = append(out.Items, e)
		return t.Alloc(16)
	})
}

func sample(c *py.Call, size, seed py.Value) (py.Value, error) {
	switch x := c.Args[0].(type) {
	case *py.List, py.Tuple, string, *py.Range:
	case *py.Undefined:
		return nil, x.Fail()
	default:
		return nil, py.Raise("TypeError", "Population must be a sequence.  For dicts or sets, use sorted(d).")
	}
	items, err := py.Collect(c.T, c.Args[0])
	if err != nil {
		return nil, err
	}
	n, ok := py.AsInt(size)
	if !ok {
		return nil, py.Raise("TypeError", "'%s' object cannot be interpreted as an integer", py.TypeName(size))
	}
	if n < 0 || n > int64(len(items)) {
		return nil, py.Raise("ValueError", "Sample larger than population or is negative")
	}
	var at []int
	if seed == nil {
		at = rand.Perm(len(items))[:n]
	} else {
		// Salt takes the SHA-512 of the seed, of which only a text has one.
		text, ok := py.AsString(seed)
		if !ok {
			return nil, undefinedOr(seed, py.Raise("TypeError", "object supporting the buffer API required"))
		}
		at = pyrandom.New(digest("sha512", text)).Sample(len(items), int(n))
	}
	out := py.NewList()
	for _, i := range at {
		out.Items = append(out.Items, items[i])
	}
	return out, nil
}

// addDictKeys adds the filters that change a dict under a key such as "a:b:c".
func addDictKeys(t table) {
	const params = "in_dict, keys, value, delimiter=':', ordered_dict=False"
	add := func(name string, change func(c *py.Call, d *py.Dict, key string, class string) error) {
		t.add(name, params, func(c *py.Call) (py.Value, error) {
			d, ok := c.Args[0].(*py.Dict)
			if !ok {
				return nil, undefinedOr(c.Args[0], py.Raise("TypeError", "'%s' object does not support item assignment", py.TypeName(c.Args[0])))
			}
			keys, ok := py.AsString(c.Args[1])
			if !ok {
				return nil, undefinedOr(c.Args[1], py.Raise("TypeError", "argument of type '%s' is not iterable", py.TypeName(c.Args[1])))
			}
			delimiter, _ := py.AsString(c.Args[3])
			ordered, err := py.Truth(c.T, c.Args[4])
			if err != nil {
				return nil, err
			}
			class := ""
			if ordered {
				class = py.OrderedDict
			}
			at := d
			for {
				first, rest, more := strings.Cut(keys, delimiter)
				if !more || delimiter == "" {
					break
				}
				next, _ := at.GetStr(first)
				n, ok := next.(*py.Dict)
				if !ok {
					n = py.NewDict(2)
					n.Class = class
					at.SetStr(first, n)
				}
				at, keys = n, rest
			}
			return d, change(c, at, keys, class)
		})
	}
	add("set_dict_key_value", func(c *py.Call, d *py.Dict, key, _ string) error {
		d.SetStr(key, c.Args[2])
		return nil
	})
	class := func(v py.Value) string { return "<class '" + py.FullTypeName(v) + "'>" }
	add("update_dict_key_value", func(c *py.Call, d *py.Dict, key, cl string) error {
		old, _ := d.GetStr(key)
		if old == nil {
			n := py.NewDict(2)
			n.Class = cl
			old = n
			d.SetStr(key, n)
		}
		o, ok := old.(*py.Dict)
		if !ok {
			return py.Raise("SaltInvocationError", "The last key contains a %s, which cannot update.", class(old))
		}
		if u, ok := c.Args[2].(*py.Undefined); ok {
			return u.Fail()
		}
		if err := py.Update(c.T, o, c.Args[2]); err != nil {
			return py.Raise("SaltInvocationError", "Cannot update %s with a %s.", class(old), class(c.Args[2]))
		}
		return nil
	})
	list := func(d *py.Dict, key, doing string) (*py.List, error) {
		old, _ := d.GetStr(key)
		if old == nil {
			old = py.NewList()
			d.SetStr(key, old)
		}
		l, ok := old.(*py.List)
		if !ok {
			return nil, py.Raise("SaltInvocationError", "The last key contains a %s, which cannot %s.", class(old), doing)
		}
		return l, nil
	}
	add("append_dict_key_value", func(c *py.Call, d *py.Dict, key, _ string) error {
		l, err := list(d, key, "append")
		if err == nil {
			l.Items = append(l.Items, c.Args[2])
		}
		return err
	})
	add("extend_dict_key_value", func(c *py.Call, d *py.Dict, key, _ string) error {
		l, err := list(d, key, "extend")
		if err != nil {
			return err
		}
		if u, ok := c.Args[2].(*py.Undefined); ok {
			return u.Fail()
		}
		more, err := py.Collect(c.T, c.Args[2])
		if err != nil {
			return py.Raise("SaltInvocationError", "Cannot extend %s with a %s.", class(l), class(c.Args[2]))
		}
		l.Items = append(l.Items, more...)
		return nil
	})
}

// whitelisted is salt.utils.stringutils.check_whitelist_blacklist.
func whitelisted(c *py.Call) (py.Value, error) {
	value, ok := py.AsString(c.Args[0])
	if !ok {
		if u, ok := c.Args[0].(*py.Undefined); ok {
			return nil, u.Fail()
		}
	}
	match := func(what string, list py.Value) (some, found bool, err error) {
		if list == nil {
			return false, false, nil
		}
		if u, ok := list.(*py.Undefined); ok {
			return false, false, u.Fail()
		}
		if s, ok := py.AsString(list); ok {
			list = py.NewList(s)
		}
		if _, err := py.Iter(c.T, list); err != nil {
			return false, false, py.Raise("TypeError", "Expecting iterable %s, but got %s (%s)", what, py.TypeName(list), pytext.Str(list))
		}
		if some, err = py.Truth(c.T, list); err != nil || !some {
			return some, false, err
		}
		err = py.Each(c.T, list, func(e py.Value) error {
			s, ok := py.AsString(e)
			if !ok || found {
				return nil
			}
			found = exprMatch(value, s)
			return nil
		})
		return some, found, err
	}
	black, inBlack, err := match("blacklist", c.Args[2])
	if err != nil {
		return nil, err
	}
	if black && inBlack {
		return false, nil
	}
	white, inWhite, err := match("whitelist", c.Args[1])
	if err != nil {
		return nil, err
	}
	if white {
		return inWhite, nil
	}
	return true, nil
}

func exprMatch(line, expr string) bool {
	if target.Fnmatch(expr, line) {
		return true
	}
	re, err := compileWhole(expr)
	if err != nil {
		return false
	}
	m, err := re.Match(line)
	return err == nil && m != nil
}
