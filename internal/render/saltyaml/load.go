// Package saltyaml reads and writes YAML as Salt does: what its renderer makes of an
// SLS file and its filters of a value. Start at Load and Render, which read, and at
// YAML and JSON, which write the texts of PyYAML's and Python's own writers; package
// pytext has all their options.
//
// A value is one of those of protocol/wire. A set of YAML becomes a list, and a
// whole number beyond 64 bits the text of its digits.
package saltyaml

import (
	"fmt"
	"math"
	"strings"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/render/saltyaml/syntax"
	"github.com/gosalt/gosalt/internal/yaml11"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Error is text that is no YAML, or not such as Salt takes: with its place, the
// message of the real Salt and an excerpt.
type Error = syntax.Error

// Limits bound what a document may cost.
type Limits struct {
	Bytes  int // of the text
	Depth  int // of lists and maps in one another
	Values int // in the document, each counted as often as aliases repeat it
}

// DefaultLimits are those of Load and Render.
var DefaultLimits = Limits{Bytes: 16 << 20, Depth: 256, Values: 1_000_000}

// Document is a value and where its parts were written.
type Document struct {
	Value any
	root  *syntax.Node
}

// Load reads text that holds one YAML document at most; no document is nil. Errors
// are of type *Error.
func Load(text string) (any, error) {
	d, err := Parse(text, DefaultLimits)
	if err != nil {
		return nil, err
	}
	return d.Value, nil
}

// Render is Load as Salt's yaml renderer does it: what is empty (nothing, null, "",
// 0, false, an empty list) is an empty map.
func Render(text string) (any, error) {
	v, err := Load(text)
	if err != nil {
		return nil, err
	}
	switch x := v.(type) {
	case nil:
	case string:
		if x != "" {
			return v, nil
		}
	case []byte:
		if len(x) > 0 {
			return v, nil
		}
	case []any:
		if len(x) > 0 {
			return v, nil
		}
	case bool, int64, float64:
		if pytext.Number(x) != 0 {
			return v, nil
		}
	default:
		return v, nil
	}
	return wire.NewMap(), nil
}

// Parse is Load with limits of one's own and the places of all values.
func Parse(text string, limits Limits) (*Document, error) {
	if len(text) > limits.Bytes {
		return nil, &Error{Class: "LimitError", Problem: fmt.Sprintf("the text has %d bytes, at most %d are read", len(text), limits.Bytes)}
	}
	root, err := syntax.Parse(text, limits.Depth)
	if err != nil {
		return nil, err
	}
	l := &loader{limits: limits}
	v, err := l.document(root)
	if err != nil {
		if e, ok := err.(*Error); ok {
			e.Text = text
		}
		return nil, err
	}
	return &Document{Value: v, root: root}, nil
}

// loader makes values of nodes. As PyYAML does, it makes a collection empty first and
// fills it after everything that is less deep, so that the same mistake of two is found.
type loader struct {
	limits Limits
	later  []func() error // collections to be filled
	merged int            // entries that "<<" brought
	odd    int            // entries looked at to find keys that are not text
}

// mostOdd bounds the work for keys that are not text, which a wire.Map finds one by
// one; it is enough for 20,000 of them in one map.
const mostOdd = 200_000_000

const yamlTag = "tag:yaml.org,2002:"

func (l *loader) document(root *syntax.Node) (any, error) {
	if root == nil {
		return nil, nil
	}
	v, err := l.value(root)
	for len(l.later) > 0 && err == nil {
		fill := l.later[0]
		l.later = l.later[1:]
		err = fill()
	}
	if err != nil {
		return nil, err
	}
	if err := l.size(root); err != nil {
		return nil, err
	}
	return v, nil
}

func bad(n *syntax.Node, format string, args ...any) *Error {
	return &Error{Class: "ConstructorError", Problem: fmt.Sprintf(format, args...), At: n.Start}
}

func badIn(context string, in, n *syntax.Node, format string, args ...any) *Error {
	e := bad(n, format, args...)
	e.Context, e.Began = context, in.Start
	return e
}

// tag is the node's tag in full, by its form when none is written.
func tag(n *syntax.Node) string {
	if n.Tag == "" || n.Tag == "!" {
		switch {
		case n.Kind == syntax.Sequence:
			n.Tag = yamlTag + "seq"
		case n.Kind == syntax.Mapping:
			n.Tag = yamlTag + "map"
		case n.Plain:
			n.Tag = yamlTag + pytext.YAMLTag(strings.TrimSuffix(n.Value, "\n"))
		default:
			n.Tag = yamlTag + "str"
		}
	}
	return n.Tag
}

// value makes the value of a node, once; lists and maps are filled after it.
func (l *loader) value(n *syntax.Node) (any, error) {
	if n.Made {
		return n.Data, nil
	}
	v, err := l.construct(n)
	if err == nil {
		n.Made, n.Data = true, v
	}
	return v, err
}

func (l *loader) construct(n *syntax.Node) (any, error) {
	t := tag(n)
	short, ours := strings.CutPrefix(t, yamlTag)
	if !ours {
		return nil, bad(n, "could not determine a constructor for the tag %s", pytext.Repr(t))
	}
	switch short {
	case "map", "omap":
		m := wire.NewMap()
		l.later = append(l.later, func() error { return l.fill(n, m.SetAny) })
		return m, nil
	case "seq":
		list := make([]any, len(n.Items), max(1, len(n.Items))) // with memory of its own, which tells it apart
		l.later = append(l.later, func() error { return l.sequence(n, list) })
		return list, nil
	case "set":
		return l.set(n)
	case "pairs":
		list := make([]any, len(n.Items))
		l.later = append(l.later, func() error { return l.pairs(n, list) })
		return list, nil
	}
	make, ok := scalars[short]
	if !ok {
		return nil, bad(n, "could not determine a constructor for the tag %s", pytext.Repr(t))
	}
	if short == "int" && n.Kind != syntax.Scalar {
		return nil, fails(n, "AttributeError", "'list' object has no attribute 'startswith'")
	}
	s, err := text(n)
	if err != nil {
		return nil, err
	}
	return make(n, s)
}

// scalars are the tags that a scalar may have and what makes the value.
var scalars = map[string]func(n *syntax.Node, s string) (any, error){
	"str":            asText,
	"timestamp":      asText, // Salt leaves dates as they are
	"python/unicode": asText,
	"null":           func(*syntax.Node, string) (any, error) { return nil, nil },
	"bool":           typed(yaml11.Bool),
	"int":            typed(yaml11.Int),
	"float":          typed(yaml11.Float),
	"binary":         binary,
}

func asText(_ *syntax.Node, s string) (any, error) { return s, nil }

// text is the text of a scalar; of a map it is that of its "=".
func text(n *syntax.Node) (string, error) {
	switch n.Kind {
	case syntax.Scalar:
		return n.Value, nil
	case syntax.Mapping:
		for i := 0; i < len(n.Items); i += 2 {
			if tag(n.Items[i]) == yamlTag+"value" {
				return text(n.Items[i+1])
			}
		}
	}
	return "", bad(n, "expected a scalar node, but found %s", n.Kind)
}

func (l *loader) sequence(n *syntax.Node, list []any) (err error) {
	if n.Kind != syntax.Sequence {
		return bad(n, "expected a sequence node, but found %s", n.Kind)
	}
	for i, c := range n.Items {
		if list[i], err = l.value(c); err != nil {
			return err
		}
	}
	return nil
}

// pairs makes a list of [key, value] of a list of maps of one entry.
func (l *loader) pairs(n *syntax.Node, list []any) error {
	const context = "while constructing pairs"
	if n.Kind != syntax.Sequence {
		return badIn(context, n, n, "expected a sequence, but found %s", n.Kind)
	}
	for i, c := range n.Items {
		if c.Kind != syntax.Mapping {
			return badIn(context, n, c, "expected a mapping of length 1, but found %s", c.Kind)
		}
		if len(c.Items) != 2 {
			return badIn(context, n, c, "expected a single mapping item, but found %d items", len(c.Items)/2)
		}
		key, err := l.value(c.Items[0])
		if err != nil {
			return err
		}
		val, err := l.value(c.Items[1])
		if err != nil {
			return err
		}
		list[i] = []any{key, val}
	}
	return nil
}

// set makes a list of the keys of a map.
func (l *loader) set(n *syntax.Node) (any, error) {
	list := make([]any, len(n.Items)/2)
	l.later = append(l.later, func() error {
		i := 0
		return l.fill(n, func(key, _ any) {
			if i < len(list) { // merged keys have no place in it
				list[i] = key
			}
			i++
		})
	})
	return list, nil
}

// fill hands over the entries of a map, in their order.
func (l *loader) fill(n *syntax.Node, set func(key, val any)) error {
	const context = "while constructing a mapping"
	if n.Kind != syntax.Mapping {
		return bad(n, "expected a mapping node, but found %s", n.Kind)
	}
	if err := l.flatten(n, 0); err != nil {
		return err
	}
	taken := make(map[any]bool, len(n.Items)/2)
	for i := 0; i < len(n.Items); i += 2 {
		k := n.Items[i]
		key, err := l.value(k)
		if err != nil {
			return err
		}
		switch key.(type) {
		case []any, *wire.Map:
			return badIn(context, n, k, "found unacceptable key %s", nodesText(k))
		}
		val, err := l.value(n.Items[i+1])
		if err != nil {
			return err
		}
		same := equalKey(key)
		if taken[same] {
			return badIn(context, n, k, "found conflicting ID '%s'", pytext.Str(key))
		}
		taken[same] = true
		if _, isText := key.(string); !isText {
			if l.odd += i / 2; l.odd > mostOdd {
				return &Error{Class: "LimitError", Problem: "the document has maps with too many keys that are no text", At: k.Start}
			}
		}
		set(key, val)
	}
	return nil
}

// size counts what the document holds when each alias is written out, and finds
// collections that hold themselves.
func (l *loader) size(root *syntax.Node) error {
	const open = -1
	var count func(n *syntax.Node) (int, error)
	count = func(n *syntax.Node) (int, error) {
		switch {
		case n.Size == open:
			return 0, &Error{Class: "RecursionError", Problem: "a list or map holds itself by an alias", At: n.Start}
		case n.Size > 0:
			return int(n.Size), nil
		}
		n.Size = open
		total := 1
		for _, c := range n.Items {
			s, err := count(c)
			if err != nil {
				return 0, err
			}
			if total += s; total > l.limits.Values {
				return 0, &Error{Class: "LimitError", Problem: fmt.Sprintf("the document holds more than %d values, its aliases written out", l.limits.Values), At: n.Start}
			}
		}
		n.Size = int32(min(total, math.MaxInt32))
		return total, nil
	}
	_, err := count(root)
	return err
}
