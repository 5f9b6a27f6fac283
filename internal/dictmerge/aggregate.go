package dictmerge

import (
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Map is a map that is marked to be merged with others that are marked.
type Map struct{ Map *wire.Map }

// Seq is a list that is marked to take up the values of others that are marked.
type Seq struct{ List []any }

// Plain takes off the marks of a value. It does not change v.
func Plain(v any) any {
	if !marked(v) {
		return v
	}
	switch x := v.(type) {
	case Map:
		return Plain(x.Map)
	case Seq:
		return Plain(x.List)
	case []any:
		out := make([]any, len(x))
		for i, e := range x {
			out[i] = Plain(e)
		}
		return out
	case *wire.Map:
		out := x.Clone()
		for k, e := range x.All() {
			out.SetAny(k, Plain(e))
		}
		return out
	}
	return v
}

func marked(v any) bool {
	switch x := v.(type) {
	case Map, Seq:
		return true
	case []any:
		for _, e := range x {
			if marked(e) {
				return true
			}
		}
	case *wire.Map:
		for _, e := range x.All() {
			if marked(e) {
				return true
			}
		}
	}
	return false
}

// Mark marks a value: a list with that one value in the place of a scalar.
func Mark(v any) any {
	switch x := v.(type) {
	case Map, Seq:
		return v
	case *wire.Map:
		return Map{x}
	case []any:
		return Seq{x}
	}
	return Seq{[]any{v}}
}

func isMarked(v any) bool {
	switch v.(type) {
	case Map, Seq:
		return true
	}
	return false
}

// asMap is a map, marked or not.
func asMap(v any) (*wire.Map, bool) {
	switch x := v.(type) {
	case *wire.Map:
		return x, true
	case Map:
		return x.Map, true
	}
	return nil, false
}

func asList(v any) ([]any, bool) {
	switch x := v.(type) {
	case []any:
		return x, true
	case Seq:
		return x.List, true
	}
	return nil, false
}

// like is a list that is marked as v is.
func like(v any, list []any) any {
	if _, ok := v.(Seq); ok {
		return Seq{list}
	}
	return list
}

// Aggregate lays b over a where both are marked, and is b elsewhere. The values of the
// topmost levels count as marked. Neither is changed.
func Aggregate(a, b any, levels int) any {
	if levels > 0 {
		a, b = Mark(a), Mark(b)
		levels--
	}
	am, aMap := asMap(a)
	bm, bMap := asMap(b)
	if aMap && bMap {
		both := isMarked(a) && isMarked(b)
		out := bm.Clone()
		if both {
			out = am.Clone()
		}
		for k, v := range bm.All() {
			if old, has := am.GetAny(k); has {
				v = Aggregate(old, v, levels)
			}
			out.SetAny(k, v)
		}
		if isMarked(b) { // of both, a is marked as well
			return Map{out}
		}
		return out
	}
	as, aSeq := a.(Seq)
	bs, bSeq := b.(Seq)
	if aSeq && bSeq {
		return Seq{union(as.List, bs.List)}
	}
	return b
}

// set finds values as Python's "in" does on a list, and quickly where they are many.
type set struct {
	text  map[string]bool
	other []any
}

func newSet(list []any) *set {
	s := &set{}
	for _, v := range list {
		if t, ok := v.(string); ok {
			if s.text == nil {
				s.text = map[string]bool{}
			}
			s.text[t] = true
		} else {
			s.other = append(s.other, Plain(v))
		}
	}
	return s
}

func (s *set) has(v any) bool {
	if t, ok := v.(string); ok {
		return s.text[t]
	}
	v = Plain(v)
	for _, o := range s.other {
		if pytext.Equal(o, v) {
			return true
		}
	}
	return false
}
