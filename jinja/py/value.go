package py

import (
	"math"
	"math/big"
	"strings"
	"unicode/utf8"
)

// Value is any of the kinds that the package comment lists.
type Value = any

// Markup is a str that is marked as safe HTML; joined with a plain str by + it
// escapes that str, as MarkupSafe does.
type Markup string

// Bytes is Python's bytes.
type Bytes string

// Tuple is Python's tuple. It must not be changed once others can see it.
type Tuple []Value

// missing is the default of a parameter that was not given.
type missing struct{}

// Missing stands for a parameter that was not given where None is a value too.
var Missing Value = missing{}

// FullTypeName is the module and name of a value's class, the module left out
// for builtins: "dict", "collections.OrderedDict".
func FullTypeName(v Value) string {
	switch x := v.(type) {
	case nil:
		return "NoneType"
	case bool:
		return "bool"
	case int64, *big.Int:
		return "int"
	case float64:
		return "float"
	case string:
		return "str"
	case Markup:
		return "markupsafe.Markup"
	case Bytes:
		return "bytes"
	case *List:
		return "list"
	case Tuple:
		return "tuple"
	case *Dict:
		if x.Wrapper != "" {
			return x.Wrapper
		}
		if x.Class != "" {
			return x.Class
		}
		return "dict"
	case *Set:
		return "set"
	case *Range:
		return "range"
	case *Undefined:
		return "jinja2.runtime." + x.Mode.className()
	case Typed:
		return x.PyType()
	case Callable:
		return "function"
	case Iterator:
		return "generator"
	}
	return "object"
}

// TypeName is the name of a value's class as type(v).__name__ gives it.
func TypeName(v Value) string {
	name := FullTypeName(v)
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		return name[i+1:]
	}
	return name
}

// asStr returns the text of a str or Markup.
func asStr(v Value) (string, bool) {
	switch x := v.(type) {
	case string:
		return x, true
	case Markup:
		return string(x), true
	}
	return "", false
}

// AsString returns the text of a str or Markup, and false for anything else.
func AsString(v Value) (string, bool) { return asStr(v) }

// AsInt returns an int (or bool) that fits 64 bits.
func AsInt(v Value) (int64, bool) {
	switch x := v.(type) {
	case int64:
		return x, true
	case bool:
		if x {
			return 1, true
		}
		return 0, true
	}
	return 0, false
}

// index is what Python's __index__ accepts, with the words for what it does not.
func index(v Value) (int, error) {
	if n, ok := AsInt(v); ok {
		return int(n), nil
	}
	if b, ok := v.(*big.Int); ok {
		if b.Sign() < 0 {
			return math.MinInt, nil
		}
		return math.MaxInt, nil
	}
	return 0, Raise("TypeError", "'%s' object cannot be interpreted as an integer", TypeName(v))
}

// NewInt is an int of any size in its canonical form.
func NewInt(b *big.Int) Value {
	if b.IsInt64() {
		return b.Int64()
	}
	return b
}

// Truth is bool(v).
func Truth(t *Thread, v Value) (bool, error) {
	switch x := v.(type) {
	case nil:
		return false, nil
	case bool:
		return x, nil
	case int64:
		return x != 0, nil
	case *big.Int:
		return x.Sign() != 0, nil
	case float64:
		return x != 0, nil
	case string:
		return x != "", nil
	case Markup:
		return x != "", nil
	case Bytes:
		return x != "", nil
	case *List:
		return len(x.Items) != 0, nil
	case Tuple:
		return len(x) != 0, nil
	case *Dict:
		return x.Len() != 0, nil
	case *Set:
		return x.Len() != 0, nil
	case *Range:
		return x.Len() != 0, nil
	case *Undefined:
		if x.Mode == Strict {
			return false, x.Fail()
		}
		return false, nil
	case Sized:
		n, err := x.Len(t)
		return n != 0, err
	}
	return true, nil
}

// Len is len(v).
func Len(t *Thread, v Value) (int, error) {
	switch x := v.(type) {
	case string:
		return runeLen(x), nil
	case Markup:
		return runeLen(string(x)), nil
	case Bytes:
		return len(x), nil
	case *List:
		return len(x.Items), nil
	case Tuple:
		return len(x), nil
	case *Dict:
		return x.Len(), nil
	case *Set:
		return x.Len(), nil
	case *Range:
		return x.Len(), nil
	case *Undefined:
		if x.Mode == Strict {
			return 0, x.Fail()
		}
		return 0, nil
	case Sized:
		return x.Len(t)
	}
	return 0, Raise("TypeError", "object of type '%s' has no len()", TypeName(v))
}

func runeLen(s string) int { return utf8.RuneCountInString(s) }

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// IsCallable tells whether a value can be called: Python's callable().
func IsCallable(v Value) bool {
	switch v.(type) {
	case Callable, *Undefined:
		return true
	}
	return false
}
