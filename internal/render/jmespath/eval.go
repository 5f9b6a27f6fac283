package jmespath

import (
	"math/big"

	"github.com/gosalt/gosalt/jinja/py"
)

// reference is an expression that a function gets as an argument: &name.
type reference struct{ n *node }

// Search answers an expression on a value. Its errors are exceptions of jmespath.py.
func Search(t *py.Thread, expression string, v py.Value) (py.Value, error) {
	n, err := parse(expression)
	if err != nil {
		return nil, err
	}
	e := &evaluator{t: t}
	return e.eval(n, v)
}

type evaluator struct {
	t     *py.Thread
	depth int
}

func isFalse(v py.Value) bool {
	switch x := v.(type) {
	case nil:
		return true
	case bool:
		return !x
	case *py.List:
		return len(x.Items) == 0
	case *py.Dict:
		return x.Len() == 0
	}
	s, ok := py.AsString(v)
	return ok && s == ""
}

func isNumber(v py.Value) bool {
	switch v.(type) {
	case int64, float64, *big.Int:
		return true
	}
	return false
}

func (e *evaluator) eval(n *node, v py.Value) (py.Value, error) {
	if e.depth++; e.depth > 4*maxDepth {
		return nil, py.Raise("RecursionError", "maximum recursion depth exceeded")
	}
	defer func() { e.depth-- }()
	if err := e.t.Alive(); err != nil {
		return nil, err
	}
	switch n.kind {
	case "identity":
		return v, nil
	case "literal":
		return n.value, nil
	case "field":
		if d, ok := v.(*py.Dict); ok {
			got, _ := d.GetStr(n.text)
			return got, nil
		}
		return nil, nil
	case "expref":
		return reference{n.children[0]}, nil
	case "index":
		l, ok := v.(*py.List)
		if !ok {
			return nil, nil
		}
		i := *n.bounds[0]
		if i < 0 {
			i += int64(len(l.Items))
		}
		if i < 0 || i >= int64(len(l.Items)) {
			return nil, nil
		}
		return l.Items[i], nil
	case "slice":
		return slice(n.bounds, v)
	case "call":
		args := make([]py.Value, len(n.children))
		for i, c := range n.children {
			a, err := e.eval(c, v)
			if err != nil {
				return nil, err
			}
			args[i] = a
		}
		return e.call(n.text, args)
	case "list", "hash":
		if v == nil {
			return nil, nil
		}
		l, d := py.NewList(), py.NewDict(len(n.children))
		for _, c := range n.children {
			if n.kind == "hash" {
				got, err := e.eval(c.children[0], v)
				if err != nil {
					return nil, err
				}
				d.SetStr(c.text, got)
				continue
			}
			got, err := e.eval(c, v)
			if err != nil {
				return nil, err
			}
			l.Items = append(l.Items, got)
		}
		if n.kind == "hash" {
			return d, nil
		}
		return l, nil
	}
	left, err := e.eval(n.children[0], v)
	if err != nil {
		return nil, err
	}
	switch n.kind {
	case "chain":
		return e.eval(n.children[1], left)
	case "or", "and":
		if isFalse(left) == (n.kind == "or") {
			return e.eval(n.children[1], v)
		}
		return left, nil
	case "not":
		return isFalse(left), nil
	case "cmp":
		right, err := e.eval(n.children[1], v)
		if err != nil {
			return nil, err
		}
		return e.compare(n.text, left, right)
	case "flatten":
		l, ok := left.(*py.List)
		if !ok {
			return nil, nil
		}
		out := py.NewList()
		for _, x := range l.Items {
			if in, ok := x.(*py.List); ok {
				out.Items = append(out.Items, in.Items...)
			} else {
				out.Items = append(out.Items, x)
			}
		}
		return out, nil
	}
	var items []py.Value // of a projection
	switch x := left.(type) {
	case *py.List:
		if n.kind == "values" {
			return nil, nil
		}
		items = x.Items
	case *py.Dict:
		if n.kind != "values" {
			return nil, nil
		}
		for _, val := range x.All() {
			items = append(items, val)
		}
	default:
		return nil, nil
	}
	out := py.NewList()
	for _, item := range items {
		if n.kind == "filter" {
			if cond, err := e.eval(n.children[2], item); err != nil {
				return nil, err
			} else if isFalse(cond) {
				continue
			}
		}
		got, err := e.eval(n.children[1], item)
		if err != nil {
			return nil, err
		}
		if got != nil {
			out.Items = append(out.Items, got)
		}
	}
	return out, nil
}

// compare is a comparator: text and numbers have an order, all else only equality, in
// which a truth value is no number.
func (e *evaluator) compare(op string, a, b py.Value) (py.Value, error) {
	if op == "==" || op == "!=" {
		_, boolA := a.(bool)
		_, boolB := b.(bool)
		if boolA && isNumber(b) || boolB && isNumber(a) {
			return op == "!=", nil
		}
		same, err := py.Equal(e.t, a, b)
		if err != nil {
			return nil, err
		}
		return same == (op == "=="), nil
	}
	ordered := func(v py.Value) bool { _, text := py.AsString(v); return text || isNumber(v) }
	if !ordered(a) || !ordered(b) {
		return nil, nil
	}
	yes, err := py.Compare(e.t, op, a, b)
	if err != nil {
		return nil, err
	}
	return yes, nil
}

// slice is list[start:stop:step] of Python.
func slice(bounds []*int64, v py.Value) (py.Value, error) {
	l, ok := v.(*py.List)
	if !ok {
		return nil, nil
	}
	n, step := int64(len(l.Items)), int64(1)
	if bounds[2] != nil {
		step = *bounds[2]
	}
	if step == 0 {
		return nil, py.Raise("ValueError", "slice step cannot be zero")
	}
	low, high := int64(0), n
	if step < 0 {
		low, high = -1, n-1
	}
	at := func(b *int64, def int64) int64 {
		if b == nil {
			return def
		}
		i := *b
		if i < 0 {
			i += n
		}
		return max(low, min(i, high))
	}
	start, stop := at(bounds[0], low), at(bounds[1], high)
	if step < 0 {
		start, stop = at(bounds[0], high), at(bounds[1], low)
	}
	step = max(-n-1, min(step, n+1))
	out := py.NewList()
	for i := start; step > 0 && i < stop || step < 0 && i > stop; i += step {
		out.Items = append(out.Items, l.Items[i])
	}
	return out, nil
}
