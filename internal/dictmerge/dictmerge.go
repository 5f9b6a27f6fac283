// Package dictmerge lays one map over another by Salt's strategies, as the pillar, the
// defaults of formulas and slsutil.merge do. Start at Merge.
//
// Values are those of package wire; what the renderer yamlex has marked with
// !aggregate is a Map or Seq of this package, which Plain takes off again.
package dictmerge

import (
	"fmt"
	"slices"
	"strings"
	"unsafe"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Strategies are the names that Merge knows.
var Strategies = []string{"smart", "recurse", "aggregate", "overwrite", "list", "none"}

// Options say how Merge works. The zero value is strategy smart for YAML.
type Options struct {
	// Strategy is one of Strategies; "" is smart, and another name is recurse.
	Strategy string
	// Renderer is the pipe that the values come from: with yamlex as its last
	// renderer, smart is aggregate, otherwise recurse.
	Renderer string
	// Lists appends to a list the values that it lacks, where it would be replaced.
	Lists bool
}

// Known tells whether there is a strategy of this name.
func Known(strategy string) bool {
	return strategy == "" || slices.Contains(Strategies, strategy)
}

// Error is a merge of what cannot be merged, under the name of Python's exception.
type Error struct {
	Class string // "TypeError"
	Msg   string
}

func (e *Error) Error() string { return e.Msg }

func typeError(format string, a ...any) error {
	return &Error{Class: "TypeError", Msg: fmt.Sprintf(format, a...)}
}

// errNotMaps is what Salt says of values that are no maps.
var errNotMaps = &Error{Class: "TypeError", Msg: "Cannot update using non-dict types in dictupdate.update()"}

// Merge lays b over a and returns the result, which shares parts of b. Neither is
// changed, but for one thing: overwrite puts into a the values that b has for the same
// keys, as Salt does. A map that stands in several places of a (a YAML anchor) stays one
// map, so what is merged into it shows in all of them.
func Merge(a, b any, o Options) (any, error) {
	switch o.strategy() {
	case "list":
		return pair(a, b)
	case "aggregate":
		return Aggregate(a, b, 1), nil
	case "overwrite":
		if err := overwrite(a, b); err != nil {
			return nil, err
		}
		return recurse(a, b, o.Lists)
	case "recurse":
		return recurse(a, b, o.Lists)
	default: // none, and names that nobody knows
		return recurse(a, b, false)
	}
}

// strategy is the strategy by its name, with what smart stands for.
func (o Options) strategy() string {
	if o.Strategy != "smart" && o.Strategy != "" {
		return o.Strategy
	}
	if o.Renderer[strings.LastIndexByte(o.Renderer, '|')+1:] == "yamlex" || strings.HasPrefix(o.Renderer, "yamlex_") {
		return "aggregate"
	}
	return "recurse"
}

func recurse(a, b any, lists bool) (any, error) {
	copied := Copy(a)
	am, ok := asMap(copied)
	bm, ok2 := asMap(b)
	if !ok || !ok2 {
		return nil, errNotMaps
	}
	update(am, bm, lists)
	return copied, nil
}

// Update lays b over a in place, map by map.
func Update(a, b *wire.Map, lists bool) { update(a, b, lists) }

func update(dest, upd *wire.Map, lists bool) {
	for k, v := range upd.All() {
		old, has := dest.GetAny(k)
		if !has {
			dest.SetAny(k, v)
			continue
		}
		if om, ok := asMap(old); ok {
			if vm, ok := asMap(v); ok {
				if om != vm {
					update(om, vm, lists)
				}
				continue
			}
		}
		if ol, ok := asList(old); ok && lists {
			if vl, ok := asList(v); ok {
				dest.SetAny(k, like(old, union(ol, vl)))
				continue
			}
		}
		dest.SetAny(k, v)
	}
}

// union is a and the values of b that it lacks. Within b a value may come twice.
func union(a, b []any) []any {
	out := append(make([]any, 0, len(a)+len(b)), a...)
	known := newSet(a)
	for _, v := range b {
		if !known.has(v) {
			out = append(out, v)
		}
	}
	return out
}

// pair keeps of a map's entries both values where the other has the key too.
func pair(a, b any) (any, error) {
	am, ok := asMap(a)
	if !ok {
		return nil, &Error{Class: "AttributeError", Msg: fmt.Sprintf("'%s' object has no attribute 'items'", pytext.TypeName(Plain(a)))}
	}
	out := wire.NewMap()
	for k, v := range am.All() {
		has, err := in(k, b)
		if err != nil {
			return nil, err
		}
		if has {
			bm, ok := asMap(b)
			if !ok {
				return nil, noKey(b, k)
			}
			bv, _ := bm.GetAny(k)
			v = []any{v, bv}
		}
		out.SetAny(k, v)
	}
	return out, nil
}

// overwrite puts into a the values that b has for its keys.
func overwrite(a, b any) error {
	bm, ok := asMap(b)
	if !ok {
		return errNotMaps
	}
	am, ok := asMap(a)
	if !ok {
		return errNotMaps
	}
	for k, v := range bm.All() {
		if _, has := am.GetAny(k); has {
			am.SetAny(k, v)
		}
	}
	return nil
}

// in is Python's operator of that name.
func in(k, container any) (bool, error) {
	if m, ok := asMap(container); ok {
		_, has := m.GetAny(k)
		return has, nil
	}
	if l, ok := asList(container); ok {
		return slices.ContainsFunc(l, func(v any) bool { return pytext.Equal(Plain(v), k) }), nil
	}
	if s, ok := container.(string); ok {
		if ks, ok := k.(string); ok {
			return strings.Contains(s, ks), nil
		}
		return false, typeError("'in <string>' requires string as left operand, not %s", pytext.TypeName(k))
	}
	return false, typeError("argument of type '%s' is not iterable", pytext.TypeName(container))
}

func noKey(container, k any) error {
	what := "list indices"
	if _, ok := container.(string); ok {
		what = "string indices"
		return typeError("%s must be integers, not '%s'", what, pytext.TypeName(k))
	}
	return typeError("%s must be integers or slices, not %s", what, pytext.TypeName(k))
}

// Copy is Python's deepcopy: a map that stands in several places is one map in the
// copy too.
func Copy(v any) any { return copier{}.copy(v) }

// copier knows the copies of maps and lists that it has seen.
type copier map[any]any

func (c copier) copy(v any) any {
	switch x := v.(type) {
	case *wire.Map:
		if done, ok := c[x]; ok {
			return done
		}
		out := x.Clone()
		c[x] = out
		for k, e := range x.All() {
			switch e.(type) {
			case *wire.Map, []any, Map, Seq:
				out.SetAny(k, c.copy(e))
			}
		}
		return out
	case []any:
		if len(x) == 0 {
			return x
		}
		id := listID{unsafe.SliceData(x), len(x)}
		if done, ok := c[id]; ok {
			return done
		}
		out := make([]any, len(x))
		c[id] = out
		for i, e := range x {
			out[i] = c.copy(e)
		}
		return out
	case Map:
		return Map{c.copy(x.Map).(*wire.Map)}
	case Seq:
		return Seq{c.copy(x.List).([]any)}
	}
	return v
}

// listID tells lists apart by their memory.
type listID struct {
	first *any
	n     int
}
