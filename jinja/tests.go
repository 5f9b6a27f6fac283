package jinja

import (
	"math/big"
	"strings"
	"sync"

	"github.com/gosalt/gosalt/jinja/py"
)

var builtinTests = sync.OnceValue(func() map[string]py.Callable {
	m := map[string]py.Callable{}
	add := func(names, fn, params string, f func(c *py.Call) (bool, error)) {
		t := py.NewFunc(fn, params, func(c *py.Call) (py.Value, error) { return asValue(f(c)) })
		for _, n := range strings.Fields(names) {
			m[n] = t
		}
	}
	is := func(name string, f func(v py.Value) bool) {
		add(name, "test_"+name, "value", func(c *py.Call) (bool, error) { return f(c.Args[0]), nil })
	}
	is("defined", func(v py.Value) bool { return !isUndefined(v) })
	is("undefined", isUndefined)
	is("none", func(v py.Value) bool { return v == nil })
	is("boolean", func(v py.Value) bool { _, ok := v.(bool); return ok })
	is("true", func(v py.Value) bool { b, ok := v.(bool); return ok && b })
	is("false", func(v py.Value) bool { b, ok := v.(bool); return ok && !b })
	is("integer", func(v py.Value) bool {
		switch v.(type) {
		case int64, *big.Int:
			return true
		}
		return false
	})
	is("float", func(v py.Value) bool { _, ok := v.(float64); return ok })
	is("number", py.IsNumber)
	is("string", func(v py.Value) bool { _, ok := py.AsString(v); return ok })
	is("mapping", isMapping)
	add("callable", "callable", "obj, /", func(c *py.Call) (bool, error) { return py.IsCallable(c.Args[0]), nil })
	is("escaped", func(v py.Value) bool {
		switch v.(type) {
		case py.Markup, py.HTML:
			return true
		}
		return false
	})
	add("sequence", "test_sequence", "value", func(c *py.Call) (bool, error) { return isSequence(c.T, c.Args[0]), nil })
	add("iterable", "test_iterable", "value", func(c *py.Call) (bool, error) {
		_, err := py.Iter(c.T, c.Args[0])
		if err != nil && py.IsA(err, "TypeError") {
			return false, nil
		}
		return err == nil, err
	})
	for _, name := range []string{"lower", "upper"} {
		add(name, "test_"+name, "value", func(c *py.Call) (bool, error) {
			s, err := py.Str(c.T, c.Args[0])
			if name == "lower" {
				return py.IsLower(s), err
			}
			return py.IsUpper(s), err
		})
	}
	rest := func(c *py.Call, by, want py.Value) (bool, error) {
		r, err := py.Binary(c.T, "%", c.Args[0], by)
		if err != nil {
			return false, err
		}
		return py.Equal(c.T, r, want)
	}
	add("odd", "test_odd", "value", func(c *py.Call) (bool, error) { return rest(c, int64(2), int64(1)) })
	add("even", "test_even", "value", func(c *py.Call) (bool, error) { return rest(c, int64(2), int64(0)) })
	add("divisibleby", "test_divisibleby", "value, num", func(c *py.Call) (bool, error) { return rest(c, c.Args[1], int64(0)) })
	add("sameas", "test_sameas", "value, other", func(c *py.Call) (bool, error) { return py.Same(c.Args[0], c.Args[1]), nil })
	add("in", "test_in", "value, seq", func(c *py.Call) (bool, error) { return py.Contains(c.T, c.Args[1], c.Args[0]) })
	add("filter", "test_filter", "@env, value", func(c *py.Call) (bool, error) {
		return hasName(ContextOf(c).st.env.Filters, c.Args[0])
	})
	add("test", "test_test", "@env, value", func(c *py.Call) (bool, error) {
		return hasName(ContextOf(c).st.env.Tests, c.Args[0])
	})
	compare := func(names, op string) {
		fn := map[string]string{"==": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}[op]
		add(names, fn, "a, b, /", func(c *py.Call) (bool, error) { return compareOp(c.T, op, c.Args[0], c.Args[1]) })
	}
	compare("== eq equalto", "==")
	compare("!= ne", "!=")
	compare("> gt greaterthan", ">")
	compare(">= ge", ">=")
	compare("< lt lessthan", "<")
	compare("<= le", "<=")
	return m
})

func isUndefined(v py.Value) bool {
	_, ok := v.(*py.Undefined)
	return ok
}

func hasName(m map[string]py.Callable, v py.Value) (bool, error) {
	s, ok := py.AsString(v)
	if !ok {
		// as Python's dict does: what has no hash is an error
		_, _, err := py.NewDict(0).Get(v)
		return false, err
	}
	return m[s] != nil, nil
}

// isSequence has a length and takes subscripts.
func isSequence(t *py.Thread, v py.Value) bool {
	switch x := v.(type) {
	case string, py.Markup, py.Bytes, *py.List, py.Tuple, *py.Dict, *py.Range:
		return true
	case *py.Undefined:
		return x.Mode != py.Strict
	case py.Indexer:
		_, ok := x.(py.Sized)
		return ok
	}
	return false
}
