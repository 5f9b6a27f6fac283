// Package yamlarg reads one YAML value from a line of text, such as a command's
// argument or a small file of settings, into the values of protocol/wire. Scalars
// are YAML 1.1's as Salt's loader has them, a key that comes twice is an error.
package yamlarg

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/gosalt/gosalt/internal/yaml11"
	"github.com/gosalt/gosalt/protocol/wire"
)

// maxDepth is how deep lists and maps may nest.
const maxDepth = 64

// Load reads text that holds one YAML document at most; no document is nil. An
// error tells where the text is no YAML, or which tag or key is not taken.
func Load(text string) (any, error) {
	text, err := oldFlow(text)
	if err != nil {
		return nil, err
	}
	d := yaml.NewDecoder(strings.NewReader(text))
	var doc yaml.Node
	if err := d.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		return nil, err
	}
	var next yaml.Node
	if err := d.Decode(&next); !errors.Is(err, io.EOF) {
		return nil, errors.New("one YAML document expected, there are more")
	}
	l := loader{anchors: map[*yaml.Node]any{}}
	return l.value(&doc, 0)
}

type loader struct {
	anchors map[*yaml.Node]any // values of nodes that an alias may name; nil while being made
}

func (l *loader) value(n *yaml.Node, depth int) (v any, err error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("line %d: nested deeper than %d", n.Line, maxDepth)
	}
	if n.Anchor != "" {
		l.anchors[n] = errUnfinished
		defer func() { l.anchors[n] = v }()
	}
	switch n.Kind {
	case 0:
		return nil, nil
	case yaml.DocumentNode:
		if len(n.Content) == 0 {
			return nil, nil
		}
		return l.value(n.Content[0], depth)
	case yaml.AliasNode:
		v := l.anchors[n.Alias]
		if v == errUnfinished {
			return nil, fmt.Errorf("line %d: *%s holds itself", n.Line, n.Value)
		}
		return v, nil
	case yaml.ScalarNode:
		return scalar(n)
	case yaml.SequenceNode:
		if t := tag(n); t != "" && t != "!!seq" {
			return nil, fmt.Errorf("line %d: no list has the tag %s", n.Line, t)
		}
		list := make([]any, len(n.Content))
		for i, c := range n.Content {
			if list[i], err = l.value(c, depth+1); err != nil {
				return nil, err
			}
		}
		return list, nil
	case yaml.MappingNode:
		if t := tag(n); t != "" && t != "!!map" {
			return nil, fmt.Errorf("line %d: no map has the tag %s", n.Line, t)
		}
		return l.mapping(n, depth)
	}
	return nil, fmt.Errorf("line %d: unknown kind of node", n.Line)
}

var errUnfinished = errors.New("unfinished")

// tag is the tag written at the node, in its short form; "" for none.
func tag(n *yaml.Node) string {
	if n.Style&yaml.TaggedStyle == 0 {
		return ""
	}
	return n.ShortTag()
}

// scalar gives a scalar its type: by its tag, else text when quoted, else by form.
func scalar(n *yaml.Node) (any, error) {
	quoted := n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0
	bad := func(what string) error {
		return fmt.Errorf("line %d: %s expected, not %q", n.Line, what, n.Value)
	}
	switch t := tag(n); t {
	case "":
		if quoted {
			return n.Value, nil
		}
		if n.Value == "=" || n.Value == "<<" {
			return nil, fmt.Errorf("line %d: %s has a meaning of its own as a key only; quotes make it text", n.Line, n.Value)
		}
		return yaml11.Resolve(n.Value), nil
	case "!", "!!str", "!!timestamp":
		return n.Value, nil
	case "!!null":
		return nil, nil
	case "!!bool":
		if b, ok := yaml11.Resolve(strings.ToLower(n.Value)).(bool); ok {
			return b, nil
		}
		return nil, bad("a bool")
	case "!!int":
		switch v := yaml11.Resolve(n.Value).(type) {
		case int64, uint64:
			return v, nil
		}
		return nil, bad("a whole number")
	case "!!float":
		switch v := yaml11.Resolve(n.Value).(type) {
		case float64:
			return v, nil
		case int64:
			return float64(v), nil
		case uint64:
			return float64(v), nil
		}
		return nil, bad("a number")
	case "!!binary":
		return base64.StdEncoding.DecodeString(strings.Join(strings.Fields(n.Value), ""))
	default:
		return nil, fmt.Errorf("line %d: the tag %s is not known", n.Line, t)
	}
}

// mapping reads a map; entries merged by "<<" come first and give way to its own.
func (l *loader) mapping(n *yaml.Node, depth int) (any, error) {
	pairs, err := flatten(n, depth)
	if err != nil {
		return nil, err
	}
	m := wire.NewMap()
	for i := 0; i < len(pairs); i += 2 {
		k, err := l.key(pairs[i], depth+1)
		if err != nil {
			return nil, err
		}
		switch k.(type) {
		case []any, *wire.Map, []byte:
			return nil, fmt.Errorf("line %d: a key is text, a number, a bool or null", pairs[i].Line)
		}
		if hasKey(m, k) {
			return nil, fmt.Errorf("line %d: found conflicting ID '%v'", pairs[i].Line, k)
		}
		v, err := l.value(pairs[i+1], depth+1)
		if err != nil {
			return nil, err
		}
		m.SetAny(k, v)
	}
	return m, nil
}

// key reads a key, where "=" is text.
func (l *loader) key(n *yaml.Node, depth int) (any, error) {
	if n.Kind == yaml.ScalarNode && n.Value == "=" && tag(n) == "" {
		return n.Value, nil
	}
	return l.value(n, depth)
}

func hasKey(m *wire.Map, key any) bool {
	for k := range m.All() {
		if k == key {
			return true
		}
	}
	return false
}

// flatten is the map's keys and values in turn, those of "<<" put in their place.
func flatten(n *yaml.Node, depth int) ([]*yaml.Node, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("line %d: merged deeper than %d", n.Line, maxDepth)
	}
	var own, merged []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind != yaml.ScalarNode || k.Value != "<<" || k.Style&^yaml.TaggedStyle != 0 {
			own = append(own, k, v)
			continue
		}
		sources := []*yaml.Node{v}
		if v = target(v); v.Kind == yaml.SequenceNode {
			sources = nil
			for j := len(v.Content) - 1; j >= 0; j-- { // the first in the list counts most
				sources = append(sources, v.Content[j])
			}
		}
		for _, s := range sources {
			if s = target(s); s.Kind != yaml.MappingNode {
				return nil, fmt.Errorf("line %d: a map or a list of maps expected to merge", k.Line)
			}
			more, err := flatten(s, depth+1)
			if err != nil {
				return nil, err
			}
			merged = append(merged, more...)
		}
	}
	if merged == nil {
		return own, nil
	}
	taken := map[string]bool{}
	for i := 0; i < len(own); i += 2 {
		taken[own[i].Value] = true
	}
	var kept []*yaml.Node
	for i := 0; i < len(merged); i += 2 {
		if !taken[merged[i].Value] {
			kept = append(kept, merged[i], merged[i+1])
		}
	}
	return append(kept, own...), nil
}

func target(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}
