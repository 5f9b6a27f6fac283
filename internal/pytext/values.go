package pytext

import (
	"fmt"
	"unsafe"

	"github.com/gosalt/gosalt/protocol/wire"
)

// Ordered is a map of Python's OrderedDict class, which writers of YAML do not sort.
type Ordered struct{ Map *wire.Map }

// Set is a Python set; JSON has none.
type Set []any

// Opaque stands for a value that has no text: a function, an undefined variable.
// Type is the name of its Python type. YAML has NULL for it, JSON has none.
type Opaque struct{ Type string }

// yamlAnchor names a collection that occurs more than once.
type yamlAnchor struct {
	name    string
	written bool
}

// sliceID tells lists apart by their memory.
type sliceID struct {
	first *any
	n     int
}

// identity is the same for two values that are one list or map; nil for others, and
// for lists without any memory.
func identity(v any) any {
	switch x := v.(type) {
	case *wire.Map:
		return x
	case Ordered:
		return x.Map
	case Set:
		return identity([]any(x))
	case []any:
		if cap(x) > 0 {
			return sliceID{unsafe.SliceData(x), len(x)}
		}
	}
	return nil
}

// findAnchors finds the collections that occur more than once and names them as
// PyYAML does, in the order in which they come back.
func (e *yamlEmitter) findAnchors(root any) map[any]*yamlAnchor {
	seen := map[any]bool{}
	found := map[any]*yamlAnchor{}
	var walk func(v any)
	walk = func(v any) {
		id := identity(v)
		if id == nil {
			return
		}
		if seen[id] {
			if found[id] == nil {
				found[id] = &yamlAnchor{name: fmt.Sprintf("id%03d", len(found)+1)}
			}
			return
		}
		seen[id] = true
		list, ok := v.([]any)
		if !ok {
			_, list = e.entries(v)
		}
		for _, c := range list {
			walk(c)
		}
	}
	walk(root)
	return found
}
