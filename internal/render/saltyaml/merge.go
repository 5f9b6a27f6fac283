package saltyaml

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/render/saltyaml/syntax"
)

// flatten puts the entries that "<<" names in front of the map's own and makes "=" a
// key as any other. Own keys win; of a list of maps the last comes first. The node
// itself changes, so that it is done once.
func (l *loader) flatten(n *syntax.Node, depth int) error {
	const context = "while constructing a mapping"
	if depth > l.limits.Depth {
		return &Error{Class: "LimitError", Problem: fmt.Sprintf("maps merge each other deeper than %d", l.limits.Depth), At: n.Start}
	}
	var merge []*syntax.Node
	for i := 0; i < len(n.Items); {
		k, v := n.Items[i], n.Items[i+1]
		switch tag(k) {
		case yamlTag + "merge":
		case yamlTag + "value":
			k.Tag = yamlTag + "str"
			fallthrough
		default:
			i += 2
			continue
		}
		n.Items = slices.Delete(n.Items, i, i+2)
		sources := []*syntax.Node{v}
		switch v.Kind {
		case syntax.Sequence:
			sources = v.Items
		case syntax.Scalar:
			return badIn(context, n, v, "expected a mapping or list of mappings for merging, but found %s", v.Kind)
		}
		lists := make([][]*syntax.Node, 0, len(sources))
		for _, s := range sources {
			if s.Kind != syntax.Mapping {
				return badIn(context, n, s, "expected a mapping for merging, but found %s", s.Kind)
			}
			if err := l.flatten(s, depth+1); err != nil {
				return err
			}
			if l.merged += len(s.Items) / 2; l.merged > l.limits.Values {
				return &Error{Class: "LimitError", Problem: fmt.Sprintf("\"<<\" merges more than %d entries", l.limits.Values), At: n.Start}
			}
			lists = append(lists, s.Items)
		}
		for _, items := range slices.Backward(lists) {
			merge = append(merge, items...)
		}
	}
	if len(merge) == 0 {
		return nil
	}
	own := map[string]bool{}
	for i := 0; i < len(n.Items); i += 2 {
		if n.Items[i].Kind == syntax.Scalar {
			own[n.Items[i].Value] = true
		}
	}
	var items []*syntax.Node
	for i := 0; i < len(merge); i += 2 {
		if merge[i].Kind != syntax.Scalar || !own[merge[i].Value] {
			items = append(items, merge[i], merge[i+1])
		}
	}
	n.Items = append(items, n.Items...)
	return nil
}

// equalKey is the same for keys that Python holds for equal: 1, 1.0 and True.
func equalKey(key any) any {
	switch k := key.(type) {
	case bool:
		return int64(pytext.Number(k))
	case float64:
		switch {
		case math.IsNaN(k):
			return "nan\x00" // PyYAML has one object for all, which equals itself
		case k == math.Trunc(k) && k >= -1<<63 && k < 1<<63:
			return int64(k)
		case k == math.Trunc(k) && k >= 1<<63 && k < 1<<64:
			return uint64(k)
		}
	case []byte:
		return string(k)
	}
	return key
}

// longestKey is how much of a key that is none a message shows, in bytes.
const longestKey = 4096

// nodesText is Python's text of the value of a node.
func nodesText(n *syntax.Node) string {
	var b strings.Builder
	open := map[*syntax.Node]bool{}
	var write func(n *syntax.Node, value bool)
	write = func(n *syntax.Node, value bool) {
		if !value {
			name := map[syntax.Kind]string{syntax.Scalar: "Scalar", syntax.Sequence: "Sequence", syntax.Mapping: "Mapping"}[n.Kind]
			fmt.Fprintf(&b, "%sNode(tag=%s, value=", name, pytext.Repr(tag(n)))
			defer b.WriteString(")")
		}
		if n.Kind == syntax.Scalar {
			b.WriteString(pytext.Repr(n.Value))
			return
		}
		if open[n] {
			b.WriteString("[...]")
			return
		}
		open[n] = true
		defer delete(open, n)
		b.WriteString("[")
		for i, c := range n.Items {
			if i > 0 {
				b.WriteString(", ")
			}
			if n.Kind == syntax.Mapping && i%2 == 0 {
				b.WriteString("(")
			}
			write(c, false)
			if n.Kind == syntax.Mapping && i%2 == 1 {
				b.WriteString(")")
			}
			if b.Len() > longestKey {
				return
			}
		}
		b.WriteString("]")
	}
	if n.Kind == syntax.Scalar {
		return n.Value
	}
	write(n, true)
	if b.Len() > longestKey {
		return strings.ToValidUTF8(b.String()[:longestKey], "") + "…"
	}
	return b.String()
}
