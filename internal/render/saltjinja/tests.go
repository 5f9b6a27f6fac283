package saltjinja

import (
	"github.com/gosalt/gosalt/jinja"
	"github.com/gosalt/gosalt/jinja/py"
)

func makeTests() map[string]py.Callable {
	t := table{}
	t.add("test_match/match", "txt, rgx, ignorecase=False, multiline=False", func(c *py.Call) (py.Value, error) {
		re, txt, err := expression(c)
		if err != nil {
			return nil, err
		}
		m, err := re.Match(txt)
		return m != nil, err
	})
	t.add("test_equalto/equalto", "value, other", func(c *py.Call) (py.Value, error) {
		return py.Equal(c.T, c.Args[0], c.Args[1])
	})
	t.add("is_list/list", "value", isList)
	return t
}

func isList(c *py.Call) (py.Value, error) {
	_, ok := c.Args[0].(*py.List)
	return ok, nil
}

func makeGlobals() map[string]py.Value {
	t := table{}
	t.add("jinja_raise/raise", "msg", func(c *py.Call) (py.Value, error) {
		s, err := py.Str(c.T, c.Args[0])
		if err != nil {
			return nil, err
		}
		return nil, &py.Error{Type: "SaltTemplateError", Msg: s}
	})
	t.add("show_full_context", "", showFullContext)
	g := map[string]py.Value{"odict": odict{}}
	for k, v := range t {
		g[k] = v
	}
	return g
}

// odict is the class OrderedDict.
type odict struct{}

// PyType is the class of classes.
func (odict) PyType() string { return "type" }

// Print is the class's repr.
func (odict) Print(*py.Thread, bool) (string, error) { return "<class 'collections.OrderedDict'>", nil }

// Call makes an OrderedDict as Python's constructor does.
func (odict) Call(c *py.Call) (py.Value, error) {
	if len(c.Args) > 1 {
		return nil, py.Raise("TypeError", "expected at most 1 arguments, got %d", len(c.Args))
	}
	d := py.NewDict(8)
	d.Class = py.OrderedDict
	if len(c.Args) == 1 {
		if u, ok := c.Args[0].(*py.Undefined); ok {
			return nil, u.Fail()
		}
		if err := py.Update(c.T, d, c.Args[0]); err != nil {
			return nil, err
		}
	}
	for _, k := range c.Kw {
		d.SetStr(k.Name, k.Value)
	}
	return d, nil
}

// showFullContext is all that the template can see, as plain data.
func showFullContext(c *py.Call) (py.Value, error) {
	d := py.NewDict(32)
	ctx := jinja.ContextOf(c)
	if ctx == nil {
		return d, nil
	}
	for _, name := range ctx.Names() {
		v, _ := ctx.Lookup(name)
		s, err := simple(c.T, v, 0)
		if err != nil {
			return nil, err
		}
		d.SetStr(name, s)
	}
	return d, nil
}

// simple is salt.utils.data.simple_types_filter: containers, text and numbers stay,
// all else is its repr.
func simple(t *py.Thread, v py.Value, depth int) (py.Value, error) {
	if depth > 200 {
		return nil, py.Raise("RecursionError", "maximum recursion depth exceeded")
	}
	list := func(items []py.Value) (py.Value, error) {
		l := py.NewList()
		for _, e := range items {
			s, err := simple(t, e, depth+1)
			if err != nil {
				return nil, err
			}
			l.Items = append(l.Items, s)
		}
		return l, t.Alloc(16 * len(items))
	}
	switch x := v.(type) {
	case nil, bool, int64, float64, string:
		return v, nil
	case *py.List:
		return list(x.Items)
	case py.Tuple:
		return list(x)
	case *py.Set:
		return list(x.Values())
	case *py.Dict:
		d := py.NewDict(x.Len())
		for k, e := range x.All() {
			s, err := simple(t, e, depth+1)
			if err != nil {
				return nil, err
			}
			switch k.(type) {
			case nil, bool, int64, float64, string:
			default:
				if k, err = py.Repr(t, k); err != nil {
					return nil, err
				}
			}
			if err := d.Set(k, s); err != nil {
				return nil, err
			}
		}
		return d, t.Alloc(32 * x.Len())
	}
	return py.Repr(t, v)
}
