// Package pydict merges and walks the templates' dicts and lists as Salt's own functions
// do (salt.utils.dictupdate, traverse_dict_and_list): in place where Salt changes in
// place, since formulas rely on it.
package pydict

import (
	"strconv"
	"strings"

	"github.com/gosalt/gosalt/internal/render/value"
	"github.com/gosalt/gosalt/internal/target"
	"github.com/gosalt/gosalt/internal/yamlarg"
	"github.com/gosalt/gosalt/jinja/py"
)

// Traverse follows a key such as "foo:bar:0" through dicts and lists; def is the
// result where it leads nowhere. A key that is no text is one step, a list one a step
// each.
func Traverse(t *py.Thread, data, key, def py.Value, delimiter string) (py.Value, error) {
	var path []py.Value
	switch k := key.(type) {
	case *py.List:
		path = k.Items
	case py.Tuple:
		path = k
	default:
		if s, ok := py.AsString(key); ok {
			if delimiter == "" {
				return nil, py.Raise("ValueError", "empty separator")
			}
			for part := range strings.SplitSeq(s, delimiter) {
				path = append(path, part)
			}
		} else if n, ok := py.AsInt(key); ok {
			path = []py.Value{n}
		} else if u, ok := key.(*py.Undefined); ok {
			return nil, u.Fail()
		} else {
			return nil, py.Raise("TypeError", "'%s' object is not iterable", py.TypeName(key))
		}
	}
	at := data
	for _, each := range path {
		switch x := at.(type) {
		case *py.List:
			idx, numeric := index(each)
			var look py.Value = each
			if numeric {
				look = idx
			}
			found := false
			for _, e := range x.Items {
				if d, ok := e.(*py.Dict); ok {
					if v, ok, err := d.Get(look); err == nil && ok {
						at, found = v, true
						break
					}
				}
			}
			switch {
			case found:
			case !numeric:
				return def, nil
			default:
				if idx < 0 {
					idx += int64(len(x.Items))
				}
				if idx < 0 || idx >= int64(len(x.Items)) {
					return def, nil
				}
				at = x.Items[idx]
			}
		case *py.Dict:
			v, ok, err := x.Get(each)
			if err != nil {
				return def, nil //nolint:nilerr // an unhashable key is a TypeError, which Salt answers with the default
			}
			if !ok {
				s, isText := each.(string)
				if !isText {
					return def, nil
				}
				loaded, err := yamlarg.Load(s)
				if err != nil || loaded == any(s) {
					return def, nil //nolint:nilerr // no YAML: the key stays as it is, and is not there
				}
				k, err := value.FromWire(loaded, false)
				if err != nil {
					return def, nil //nolint:nilerr // likewise
				}
				if v, ok, err = x.Get(k); err != nil || !ok {
					return def, nil //nolint:nilerr // likewise
				}
			}
			at = v
		case *py.Undefined:
			return nil, x.Fail()
		default:
			v, err := py.Item(t, at, each)
			if err != nil {
				if py.IsA(err, "TypeError", "KeyError") {
					return def, nil
				}
				return nil, err
			}
			at = v
		}
	}
	return at, nil
}

// index reads a step as Python's int() does.
func index(v py.Value) (int64, bool) {
	switch x := v.(type) {
	case string:
		n, err := strconv.ParseInt(strings.ReplaceAll(py.Strip(x), "_", ""), 10, 64)
		return n, err == nil
	case bool:
		if x {
			return 1, true
		}
		return 0, true
	case int64:
		return x, true
	case float64:
		return int64(x), true
	}
	return 0, false
}

// IsMapping tells whether a value is a dict or behaves as one.
func IsMapping(v py.Value) bool {
	switch v.(type) {
	case *py.Dict, py.Mapping:
		return true
	}
	return false
}

// dict gives a mapping as a dict: itself, or a copy of what behaves as one.
func dict(t *py.Thread, v py.Value) (*py.Dict, bool, error) {
	switch x := v.(type) {
	case *py.Dict:
		return x, true, nil
	case py.Mapping:
		d := py.NewDict(8)
		return d, true, py.Update(t, d, x)
	}
	return nil, false, nil
}

// Update merges upd into dest, dicts within one another too, and returns dest. Lists
// are replaced or, with mergeLists, lengthened by what they lack.
func Update(t *py.Thread, dest, upd py.Value, recursive, mergeLists bool) (py.Value, error) {
	d, ok1, err := dict(t, dest)
	if err != nil {
		return nil, err
	}
	u, ok2, err := dict(t, upd)
	if err != nil {
		return nil, err
	}
	for _, v := range []py.Value{dest, upd} {
		if un, ok := v.(*py.Undefined); ok {
			return nil, un.Fail()
		}
	}
	if !ok1 || !ok2 {
		return nil, py.Raise("TypeError", "Cannot update using non-dict types in dictupdate.update()")
	}
	if err := t.Enter(); err != nil {
		return nil, err
	}
	defer t.Leave()
	if d == u {
		u = u.Copy()
	}
	for k, v := range u.All() {
		if err := t.Step(); err != nil {
			return nil, err
		}
		if recursive {
			old, _, err := d.Get(k)
			if err != nil {
				return nil, err
			}
			switch o := old.(type) {
			case *py.Dict:
				if IsMapping(v) {
					if v, err = Update(t, o, v, true, mergeLists); err != nil {
						return nil, err
					}
				}
			case *py.List:
				if l, ok := v.(*py.List); ok && mergeLists {
					merged := py.Copy(o).(*py.List)
					if err := extendNew(t, merged, l); err != nil {
						return nil, err
					}
					v = merged
				}
			}
		}
		if err := d.Set(k, v); err != nil {
			return nil, err
		}
	}
	return d, t.Alloc(32 * u.Len())
}

// extendNew lengthens a list by what it lacks; as in Python, what comes twice in the
// other comes twice.
func extendNew(t *py.Thread, l, from *py.List) error {
	var add []py.Value
	for _, v := range from.Items {
		has, err := py.Contains(t, l, v)
		if err != nil {
			return err
		}
		if !has {
			add = append(add, v)
		}
	}
	l.Items = append(l.Items, add...)
	return t.Alloc(16 * len(add))
}

// ExtendNew is [x for x in from if x not in l], added to a copy of l.
func ExtendNew(t *py.Thread, l, from *py.List) (*py.List, error) {
	out := py.Copy(l).(*py.List)
	return out, extendNew(t, out, from)
}

// Merge is salt.utils.dictupdate.merge: a copy of a with b merged into it by a
// strategy. warn is told of a strategy that there is not, for which recurse is taken.
func Merge(t *py.Thread, a, b py.Value, strategy, renderer string, mergeLists bool, warn func(strategy string)) (py.Value, error) {
	if strategy == "smart" {
		strategy = "recurse"
		last := renderer[strings.LastIndexByte(renderer, '|')+1:]
		if last == "yamlex" || strings.HasPrefix(renderer, "yamlex_") {
			strategy = "aggregate"
		}
	}
	switch strategy {
	case "list":
		return mergeList(t, a, b)
	case "aggregate":
		return aggregate(t, a, b)
	case "overwrite":
		if err := overwrite(t, a, b); err != nil {
			return nil, err
		}
	case "none":
		mergeLists = false
	case "recurse":
	default:
		if warn != nil {
			warn(strategy)
		}
		mergeLists = false
	}
	return Update(t, py.Copy(a), b, true, mergeLists)
}

// overwrite gives a the values of b under the keys that both have.
func overwrite(t *py.Thread, a, b py.Value) error {
	d, ok, err := dict(t, a)
	if err != nil || !ok {
		return err
	}
	u, ok, err := dict(t, b)
	if err != nil || !ok {
		return err
	}
	for k, v := range u.All() {
		if _, has, err := d.Get(k); err != nil {
			return err
		} else if has {
			if err := d.Set(k, v); err != nil {
				return err
			}
		}
	}
	return nil
}

// mergeList makes lists of both values under the keys that both have.
func mergeList(t *py.Thread, a, b py.Value) (py.Value, error) {
	d, ok, err := dict(t, a)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, py.Raise("AttributeError", "'%s' object has no attribute 'items'", py.TypeName(a))
	}
	out := py.NewDict(d.Len())
	for k, v := range d.All() {
		has, err := py.Contains(t, b, k)
		if err != nil {
			return nil, err
		}
		if has {
			other, err := py.Item(t, b, k)
			if err != nil {
				return nil, err
			}
			v = py.NewList(v, other)
		}
		if err := out.Set(k, v); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// aggregate merges the root only: dicts entry by entry, lists by what is lacking.
func aggregate(t *py.Thread, a, b py.Value) (py.Value, error) {
	switch x := a.(type) {
	case *py.Dict:
		if y, ok := b.(*py.Dict); ok {
			out := x.Copy()
			return out, py.Update(t, out, y)
		}
	case *py.List:
		if y, ok := b.(*py.List); ok {
			out := &py.List{Items: append([]py.Value(nil), x.Items...)}
			for _, v := range y.Items {
				has, err := py.Contains(t, x, v)
				if err != nil {
					return nil, err
				}
				if !has {
					out.Items = append(out.Items, v)
				}
			}
			return out, nil
		}
	}
	return b, nil
}

// FilterBy is what grains.filter_by and pillar.filter_by do: the entry of lookup whose
// key, a glob, matches what data holds under path.
func FilterBy(t *py.Thread, lookup py.Value, path, data, merge, def, base py.Value) (py.Value, error) {
	if u, ok := lookup.(*py.Undefined); ok {
		return nil, u.Fail()
	}
	d, ok, err := dict(t, lookup)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, py.Raise("AttributeError", "'%s' object has no attribute 'get'", py.TypeName(lookup))
	}
	val, err := Traverse(t, data, path, py.NewList(), ":")
	if err != nil {
		return nil, err
	}
	each := []py.Value{val}
	if l, ok := val.(*py.List); ok {
		each = l.Items
	}
	var ret py.Value
search:
	for _, e := range each {
		text, err := py.Str(t, e)
		if err != nil {
			return nil, err
		}
		for k, v := range d.All() {
			pattern, err := py.Str(t, k)
			if err != nil {
				return nil, err
			}
			if target.Fnmatch(pattern, text) {
				ret = v
				break
			}
		}
		if ret != nil {
			break search
		}
	}
	if ret == nil {
		if ret, _, err = d.Get(def); err != nil {
			return nil, err
		}
	}
	some, err := py.Truth(t, base)
	if err != nil {
		return nil, err
	}
	if some {
		values, has, err := d.Get(base)
		switch {
		case err != nil:
			return nil, err
		case !has:
		case ret == nil:
			ret = values
		case IsMapping(values):
			if !IsMapping(ret) {
				return nil, py.Raise("SaltException", "filter_by default and look-up values must both be dictionaries.")
			}
			if ret, err = Update(t, py.Copy(values), ret, true, false); err != nil {
				return nil, err
			}
		}
	}
	if some, err = py.Truth(t, merge); err != nil {
		return nil, err
	}
	if some {
		if !IsMapping(merge) {
			return nil, py.Raise("SaltException", "filter_by merge argument must be a dictionary.")
		}
		if ret == nil {
			return merge, nil
		}
		if _, err := Update(t, ret, py.Copy(merge), true, false); err != nil {
			return nil, err
		}
	}
	return ret, nil
}
