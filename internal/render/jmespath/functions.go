package jmespath

import (
	"math"
	"math/big"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/render/value"
	"github.com/gosalt/gosalt/jinja/py"
)

// signatures are what functions take, a word an argument: kinds with "|" between them,
// "any", "list-KIND" for lists of one kind. "..." lets the last come any number of times.
var signatures = map[string]string{
	"abs": "number", "avg": "list-number", "not_null": "any ...", "to_array": "any", "to_string": "any", "to_number": "any",
	"contains": "array|string any", "length": "string|array|object", "ends_with": "string string", "starts_with": "string string",
	"reverse": "array|string", "floor": "number", "ceil": "number", "join": "string list-string", "map": "expref array",
	"max": "list-number|list-string", "min": "list-number|list-string", "merge": "object ...", "sort": "list-string|list-number",
	"sum": "list-number", "keys": "object", "values": "object", "type": "any",
	"sort_by": "array expref", "min_by": "array expref", "max_by": "array expref",
}

// kindOf is the type of a value in JMESPath.
func kindOf(v py.Value) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case *py.List:
		return "array"
	case *py.Dict:
		return "object"
	case reference:
		return "expref"
	}
	if isNumber(v) {
		return "number"
	}
	if _, ok := py.AsString(v); ok {
		return "string"
	}
	return "unknown"
}

func fits(v py.Value, kinds string) bool {
	for kind := range strings.SplitSeq(kinds, "|") {
		elem, list := strings.CutPrefix(kind, "list-")
		if kind == "any" || kind == kindOf(v) {
			return true
		}
		if l, ok := v.(*py.List); list && ok && !slices.ContainsFunc(l.Items, func(x py.Value) bool { return kindOf(x) != elem }) {
			return true
		}
	}
	return false
}

func (e *evaluator) call(name string, args []py.Value) (py.Value, error) {
	sig, ok := signatures[name]
	if !ok {
		return nil, py.Raise("UnknownFunctionError", "Unknown function: %s()", name)
	}
	kinds := strings.Fields(sig)
	many := kinds[len(kinds)-1] == "..."
	if many {
		kinds = kinds[:len(kinds)-1]
	}
	if len(args) < len(kinds) || len(args) > len(kinds) && !many {
		least, plural := "", "s"
		if many {
			least = "at least "
		}
		if len(kinds) == 1 {
			plural = ""
		}
		return nil, py.Raise("ArityError", "Expected %s%d argument%s for function %s(), received %d", least, len(kinds), plural, name, len(args))
	}
	for i, a := range args {
		if want := kinds[min(i, len(kinds)-1)]; !fits(a, want) {
			return nil, wrongKind(e.t, name, a, want)
		}
	}
	return e.run(name, args)
}

func wrongKind(t *py.Thread, name string, v py.Value, want string) error {
	text, err := py.Str(t, v)
	if err != nil {
		return err
	}
	return py.Raise("JMESPathTypeError", "In function %s(), invalid type for value: %s, expected one of: ['%s'], received: \"%s\"",
		name, text, strings.ReplaceAll(strings.ReplaceAll(want, "list-", "array-"), "|", "', '"), kindOf(v))
}

func (e *evaluator) run(name string, args []py.Value) (py.Value, error) {
	l, _ := args[0].(*py.List)
	d, _ := args[0].(*py.Dict)
	s, _ := py.AsString(args[0])
	switch name {
	case "type":
		return kindOf(args[0]), nil
	case "abs":
		if less, err := py.Compare(e.t, "<", args[0], int64(0)); err != nil || !less {
			return args[0], err
		}
		return py.Binary(e.t, "-", int64(0), args[0])
	case "ceil", "floor":
		f, ok := args[0].(float64)
		if !ok {
			return args[0], nil
		}
		if f = math.Floor(f); name == "ceil" {
			f = math.Ceil(args[0].(float64))
		}
		if math.IsInf(f, 0) || math.IsNaN(f) {
			return nil, py.Raise("OverflowError", "cannot convert float infinity to integer")
		}
		if math.Abs(f) < 1<<62 {
			return int64(f), nil
		}
		n, _ := big.NewFloat(f).Int(nil)
		return n, nil
	case "sum", "avg":
		var sum py.Value = int64(0)
		var err error
		for _, x := range l.Items {
			if sum, err = py.Binary(e.t, "+", sum, x); err != nil {
				return nil, err
			}
		}
		if name == "sum" {
			return sum, nil
		}
		if len(l.Items) == 0 {
			return nil, nil
		}
		return py.Binary(e.t, "/", sum, int64(len(l.Items)))
	case "not_null":
		for _, a := range args {
			if a != nil {
				return a, nil
			}
		}
		return nil, nil
	case "to_array":
		if l != nil {
			return l, nil
		}
		return py.NewList(args[0]), nil
	case "to_string":
		if kindOf(args[0]) == "string" {
			return args[0], nil
		}
		data, err := value.ToWire(args[0])
		if err != nil {
			return nil, err
		}
		return pytext.JSONOptions{Separator: ",", Colon: ":", ASCII: true, Repr: true}.Dump(data)
	case "to_number":
		return toNumber(args[0], s)
	case "contains":
		if l == nil {
			part, ok := py.AsString(args[1])
			if !ok {
				return nil, py.Raise("TypeError", "'in <string>' requires string as left operand, not %s", py.TypeName(args[1]))
			}
			return strings.Contains(s, part), nil
		}
		for _, x := range l.Items {
			if same, err := py.Equal(e.t, x, args[1]); same || err != nil {
				return same, err
			}
		}
		return false, nil
	case "length":
		switch {
		case l != nil:
			return int64(len(l.Items)), nil
		case d != nil:
			return int64(d.Len()), nil
		}
		return int64(utf8.RuneCountInString(s)), nil
	case "starts_with", "ends_with":
		part, _ := py.AsString(args[1])
		if name == "starts_with" {
			return strings.HasPrefix(s, part), nil
		}
		return strings.HasSuffix(s, part), nil
	case "reverse":
		if l == nil {
			r := []rune(s)
			slices.Reverse(r)
			return string(r), nil
		}
		out := slices.Clone(l.Items)
		slices.Reverse(out)
		return py.NewList(out...), nil
	case "join":
		var parts []string
		for _, x := range args[1].(*py.List).Items {
			part, _ := py.AsString(x)
			parts = append(parts, part)
		}
		return strings.Join(parts, s), nil
	case "keys", "values":
		out := py.NewList()
		for k, v := range d.All() {
			if name == "keys" {
				v = k
			}
			out.Items = append(out.Items, v)
		}
		return out, nil
	case "merge":
		out := py.NewDict(0)
		for _, a := range args {
			for k, v := range a.(*py.Dict).All() {
				if err := out.Set(k, v); err != nil {
					return nil, err
				}
			}
		}
		return out, nil
	case "map":
		out := py.NewList()
		for _, x := range args[1].(*py.List).Items {
			got, err := e.eval(args[0].(reference).n, x)
			if err != nil {
				return nil, err
			}
			out.Items = append(out.Items, got)
		}
		return out, nil
	}
	return e.order(name, l, args)
}

// order is sort, min and max, and those of them that go by an expression.
func (e *evaluator) order(name string, l *py.List, args []py.Value) (py.Value, error) {
	if len(l.Items) == 0 {
		if strings.HasPrefix(name, "sort") {
			return l, nil
		}
		return nil, nil
	}
	keys := l.Items
	if len(args) > 1 {
		keys = make([]py.Value, len(l.Items))
		for i, x := range l.Items {
			k, err := e.eval(args[1].(reference).n, x)
			if err != nil {
				return nil, err
			}
			if kind := kindOf(k); kind != "number" && kind != "string" || i > 0 && kind != kindOf(keys[0]) {
				want := "number|string"
				if i > 0 {
					want = kindOf(keys[0])
				}
				return nil, wrongKind(e.t, name, k, want)
			}
			keys[i] = k
		}
	}
	at := make([]int, len(keys))
	for i := range at {
		at[i] = i
	}
	var failed error
	slices.SortStableFunc(at, func(a, b int) int {
		less, err := py.Compare(e.t, "<", keys[a], keys[b])
		more := false
		if err == nil && !less {
			more, err = py.Compare(e.t, ">", keys[a], keys[b])
		}
		if err != nil {
			failed = err
		}
		switch {
		case less:
			return -1
		case more:
			return 1
		}
		return 0
	})
	if failed != nil {
		return nil, failed
	}
	if strings.HasPrefix(name, "sort") {
		out := py.NewList()
		for _, i := range at {
			out.Items = append(out.Items, l.Items[i])
		}
		return out, nil
	}
	best := at[0]
	if strings.HasPrefix(name, "max") { // the first of those that are largest, as in Python
		best = at[len(at)-1]
		for _, i := range slices.Backward(at) {
			if same, err := py.Equal(e.t, keys[i], keys[best]); err != nil {
				return nil, err
			} else if !same {
				break
			}
			best = min(best, i)
		}
	}
	return l.Items[best], nil
}

// toNumber reads text as a number; what is none is null.
func toNumber(v py.Value, s string) (py.Value, error) {
	if isNumber(v) {
		return v, nil
	}
	if kindOf(v) != "string" {
		return nil, nil
	}
	if data, err := pytext.ParseJSON(strings.TrimSpace(s)); err == nil {
		if n, err := value.FromWire(data, false); err == nil && isNumber(n) {
			return n, nil
		}
	}
	if f, err := py.ToFloat(v); err == nil {
		return f, nil
	}
	return nil, nil
}
