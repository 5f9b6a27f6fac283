package saltyaml

import "github.com/gosalt/gosalt/internal/render/saltyaml/syntax"

// Mark is a place in a text: line and column, both from 1.
type Mark = syntax.Mark

// At tells where the part of the document that a path leads to was written: of an
// entry of a map the key, of an element of a list the value. A path is made of keys
// and, for lists, ints; an empty one is the whole document. What an alias or "<<"
// brought is where it was written first. It is false for a path that leads nowhere.
func (d *Document) At(path ...any) (Mark, bool) {
	n := d.root
	if n == nil {
		return Mark{}, false
	}
	at := n.Start
	for _, step := range path {
		var child *syntax.Node
		switch n.Kind {
		case syntax.Sequence:
			if i, ok := step.(int); ok && i >= 0 && i < len(n.Items) {
				child = n.Items[i]
				at = child.Start
			}
		case syntax.Mapping:
			if i, ok := step.(int); ok {
				step = int64(i)
			}
			for i := 0; i < len(n.Items); i += 2 {
				if equalKey(n.Items[i].Data) == equalKey(step) {
					at, child = n.Items[i].Start, n.Items[i+1]
				}
			}
		}
		if child == nil {
			return Mark{}, false
		}
		n = child
	}
	return at, true
}

// Walk calls f for each entry and element, outer ones first, with its path and the
// place that At tells; the path is only good during the call. It goes on below those
// for which f is true. What aliases repeat is walked each time.
func (d *Document) Walk(f func(path []any, at Mark) bool) {
	var walk func(n *syntax.Node, path []any)
	walk = func(n *syntax.Node, path []any) {
		for i, c := range n.Items {
			var step any = i
			at := c.Start
			if n.Kind == syntax.Mapping {
				if i%2 == 0 {
					continue
				}
				at, step = n.Items[i-1].Start, n.Items[i-1].Data
			}
			if p := append(path, step); f(p, at) {
				walk(c, p)
			}
		}
	}
	if d.root != nil {
		walk(d.root, nil)
	}
}
