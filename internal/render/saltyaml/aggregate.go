package saltyaml

import (
	"fmt"
	"strings"

	"github.com/gosalt/gosalt/internal/dictmerge"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/render/saltyaml/syntax"
	"github.com/gosalt/gosalt/protocol/wire"
)

// LoadAggregate reads YAML as Salt's renderer yamlex does (with libyaml). What the tag
// !aggregate marks is a Map or Seq of package dictmerge, and of two values of one key the
// second is laid over the first where both are marked; the tag !reset in front of a key
// drops what was there. Dates and numbers are read as by Load. Errors are of type *Error.
func LoadAggregate(text string) (any, error) {
	limits := DefaultLimits
	if len(text) > limits.Bytes {
		return nil, &Error{Class: "LimitError", Problem: fmt.Sprintf("the text has %d bytes, at most %d are read", len(text), limits.Bytes)}
	}
	root, err := syntax.Parse(text, limits.Depth)
	if err != nil || root == nil {
		return nil, err
	}
	l := &loader{limits: limits}
	if err := l.size(root); err != nil { // before anything is merged: it says that no list holds itself
		return nil, err
	}
	v, err := l.aggregate(root)
	if e, ok := err.(*Error); ok {
		e.Text = text
	}
	if err != nil {
		return nil, err
	}
	return v, nil
}

const (
	aggregateTag = "!aggregate"
	resetTag     = "!reset"
)

// aggregate makes the value of a node, with everything in it.
func (l *loader) aggregate(n *syntax.Node) (any, error) {
	if n.Made {
		return n.Data, nil
	}
	mark := n.Tag == aggregateTag
	if mark || n.Tag == resetTag {
		n.Tag, n.Plain = "", n.Kind == syntax.Scalar // what it is tells its text
	}
	v, err := l.aggregated(n)
	if err != nil {
		return nil, err
	}
	if mark {
		if v == nil {
			v = dictmerge.Seq{List: []any{}}
		}
		v = dictmerge.Mark(v)
	}
	n.Made, n.Data = true, v
	return v, nil
}

func (l *loader) aggregated(n *syntax.Node) (any, error) {
	switch strings.TrimPrefix(tag(n), yamlTag) {
	case "map", "omap":
		return l.aggregatedMap(n)
	case "seq":
		if n.Kind != syntax.Sequence {
			return nil, bad(n, "expected a sequence node, but found %s", n.Kind)
		}
		list := make([]any, len(n.Items), max(1, len(n.Items)))
		for i, c := range n.Items {
			var err error
			if list[i], err = l.aggregate(c); err != nil {
				return nil, err
			}
		}
		return list, nil
	}
	v, err := l.value(n)
	for len(l.later) > 0 && err == nil { // sets and pairs
		fill := l.later[0]
		l.later = l.later[1:]
		err = fill()
	}
	return v, err
}

func (l *loader) aggregatedMap(n *syntax.Node) (any, error) {
	const context = "while constructing a mapping"
	if n.Kind != syntax.Mapping {
		return nil, bad(n, "expected a mapping node, but found %s", n.Kind)
	}
	if err := l.flatten(n, 0); err != nil {
		return nil, err
	}
	m := wire.NewMap()
	keys := make(map[any]any, len(n.Items)/2) // of those that are equal the first
	for i := 0; i < len(n.Items); i += 2 {
		k, v := n.Items[i], n.Items[i+1]
		reset := k.Tag == resetTag
		if k.Tag == aggregateTag { // means its value
			v.Tag, k.Tag, k.Plain = aggregateTag, "", k.Kind == syntax.Scalar
		}
		key, err := l.aggregate(k)
		if err != nil {
			return nil, err
		}
		switch dictmerge.Plain(key).(type) {
		case []any, *wire.Map:
			return nil, badIn(context, n, k, "found unacceptable key %s", nodesText(k))
		}
		if _, isText := key.(string); !isText {
			if l.odd += i / 2; l.odd > mostOdd {
				return nil, &Error{Class: "LimitError", Problem: "the document has maps with too many keys that are no text", At: k.Start}
			}
		}
		val, err := l.aggregate(v)
		if err != nil {
			return nil, err
		}
		if b, ok := key.([]byte); ok {
			key = pytext.Str(b)
		}
		if first, ok := keys[equalKey(key)]; ok {
			key = first
		} else {
			keys[equalKey(key)] = key
		}
		if old, has := m.GetAny(key); has && !reset {
			val = dictmerge.Aggregate(old, val, 0)
		}
		m.SetAny(key, val)
	}
	return m, nil
}
