package py

import (
	"math/big"
	"strings"
)

// methods of the builtin classes, by class and name
var methods = map[string]map[string]*method{}

func register(class string, ms ...*method) {
	if methods[class] == nil {
		methods[class] = map[string]*method{}
	}
	for _, m := range ms {
		m.class = class
		methods[class][m.name] = m
	}
}

// methodOf finds a method of a builtin value.
func methodOf(v Value, name string) *method {
	switch x := v.(type) {
	case string, Markup:
		return methods["str"][name]
	case *Dict:
		if x.Class == OrderedDict {
			if m := methods["OrderedDict"][name]; m != nil {
				return m
			}
		}
		return methods["dict"][name]
	case *List:
		return methods["list"][name]
	case Tuple:
		return methods["tuple"][name]
	case *Set:
		return methods["set"][name]
	case int64, *big.Int, bool:
		return methods["int"][name]
	case float64:
		return methods["float"][name]
	case Bytes:
		return methods["bytes"][name]
	case *Range:
		return methods["range"][name]
	case *view:
		return methods["view"][name]
	}
	return nil
}

// LookupAttr is getattr(v, name); false where Python raises AttributeError.
// Names with two underscores are there, with no value, as far as every object
// has them: callers that shield templates must refuse them.
func LookupAttr(t *Thread, v Value, name string) (Value, bool, error) {
	if m := methodOf(v, name); m != nil {
		return &Bound{Self: v, m: m}, true, nil
	}
	switch x := v.(type) {
	case int64, *big.Int, bool:
		switch name {
		case "real", "numerator":
			n, err := Unary("+", v)
			return n, true, err
		case "imag":
			return int64(0), true, nil
		case "denominator":
			return int64(1), true, nil
		}
	case float64:
		switch name {
		case "real":
			return v, true, nil
		case "imag":
			return 0.0, true, nil
		}
	case *Range:
		switch name {
		case "start":
			return x.Start, true, nil
		case "stop":
			return x.Stop, true, nil
		case "step":
			return x.Step, true, nil
		}
	case *Undefined:
		if strings.HasPrefix(name, "__") {
			return nil, dunder[name], nil
		}
		if x.Mode == Chainable {
			return x, true, nil
		}
		return nil, false, x.Fail()
	case Attrs:
		r, ok, err := x.Attr(t, name)
		if ok || err != nil {
			return r, ok, err
		}
	}
	if strings.HasPrefix(name, "__") && hasDunder(v, name) {
		return nil, true, nil
	}
	return nil, false, nil
}

// GetAttr is getattr(v, name) with Python's AttributeError.
func GetAttr(t *Thread, v Value, name string) (Value, error) {
	r, ok, err := LookupAttr(t, v, name)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, Raise("AttributeError", "'%s' object has no attribute '%s'", TypeName(v), name)
	}
	return r, nil
}

// CallMethod calls v.name(...) of a builtin class without making a [Bound]; false
// when the class has no such method.
func CallMethod(t *Thread, v Value, name string, args []Value, kw []KW, scope any) (Value, bool, error) {
	m := methodOf(v, name)
	if m == nil {
		return nil, false, nil
	}
	if err := t.Step(); err != nil {
		return nil, true, err
	}
	r, err := m.call(&Call{T: t, Args: args, Kw: kw, Scope: scope}, v)
	return r, true, err
}

// HasMethod tells whether a builtin value has the method.
func HasMethod(v Value, name string) bool { return methodOf(v, name) != nil }

func names(list string) map[string]bool {
	m := map[string]bool{}
	for _, n := range strings.Fields(list) {
		m["__"+n+"__"] = true
	}
	return m
}

// What every object, and what some classes, have of special names.
var (
	dunder = names(`class doc init new repr str eq ne lt le gt ge hash delattr setattr getattribute
		dir format reduce reduce_ex sizeof subclasshook init_subclass getstate`)
	seqDunder = names(`len contains getitem iter add mul rmul`)
	mapDunder = names(`len contains getitem setitem delitem iter reversed or ior ror class_getitem`)
	numDunder = names(`add sub mul truediv floordiv mod pow neg pos abs bool int float divmod radd rsub rmul
		rtruediv rfloordiv rmod rpow rdivmod round trunc floor ceil getnewargs`)
	funcDunder = names(`call name qualname module self text_signature globals code closure defaults dict`)
)

func hasDunder(v Value, name string) bool {
	if dunder[name] {
		return true
	}
	switch v.(type) {
	case string, Markup, *List, Tuple, Bytes, *Range:
		return seqDunder[name] || name == "__html__" && TypeName(v) == "Markup"
	case *Dict:
		return mapDunder[name]
	case bool, int64, *big.Int, float64:
		return numDunder[name]
	case Callable:
		return funcDunder[name] && (name != "__self__" || TypeName(v) != "function")
	}
	return false
}
