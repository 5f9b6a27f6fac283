package pytext

import (
	"slices"

	"github.com/gosalt/gosalt/protocol/wire"
)

// Equal is Python's ==: maps whatever the order of their keys, numbers and bools by
// value.
func Equal(a, b any) bool {
	switch x := a.(type) {
	case string:
		if y, ok := b.(string); ok {
			return x == y
		}
	case *wire.Map:
		y, ok := b.(*wire.Map)
		if !ok || x.Len() != y.Len() {
			return false
		}
		for k, v := range x.All() {
			if w, ok := y.GetAny(k); !ok || !Equal(v, w) {
				return false
			}
		}
		return true
	case []any:
		y, ok := b.([]any)
		return ok && slices.EqualFunc(x, y, Equal)
	case int64:
		if y, ok := b.(int64); ok {
			return x == y
		}
	}
	if numeric(a) && numeric(b) {
		return Number(a) == Number(b)
	}
	return TypeName(a) == TypeName(b) && Repr(a) == Repr(b)
}

func numeric(v any) bool {
	switch v.(type) {
	case bool, int, int64, uint64, float64:
		return true
	}
	return false
}
