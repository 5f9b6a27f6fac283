package config

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/gosalt/gosalt/internal/yaml11"
	"github.com/gosalt/gosalt/protocol/wire"
)

// node is a YAML value that knows where it stands. Scalars are typed as PyYAML types
// them (YAML 1.1: yes is true), with Salt's exception that 0644 is 644 in decimal.
type node struct {
	file      string
	line, col int
	kind      kind
	scalar    any // nil, bool, int64, uint64, float64, string, []byte
	plain     bool
	list      []*node
	keys      []*node
	vals      []*node
}

type kind int

const (
	scalarKind kind = iota
	listKind
	mapKind
)

// maxNodes bounds what a file may hold once its aliases are written out.
const maxNodes = 200_000

// maxDepth bounds how deep a file may be nested.
const maxDepth = 100

// parseYAML reads one document. An empty one gives an empty map.
func parseYAML(file string, data []byte) (*node, *Problem) {
	empty := &node{file: file, line: 1, col: 1, kind: mapKind}
	l, err := yaml.NewLoader(strings.NewReader(string(data)), yaml.WithV4Defaults())
	if err != nil {
		return nil, yamlProblem(file, data, err)
	}
	var doc, rest yaml.Node
	switch err := l.Load(&doc); {
	case errors.Is(err, io.EOF):
		return empty, nil
	case err != nil:
		return nil, yamlProblem(file, data, err)
	}
	switch err := l.Load(&rest); {
	case err == nil:
		return nil, &Problem{File: file, Line: rest.Line, Column: rest.Column, Severity: Error,
			Text: `a second document begins here: one is expected, remove the line "---" between them`}
	case !errors.Is(err, io.EOF):
		return nil, yamlProblem(file, data, err)
	}
	root := &doc
	if root.Kind == yaml.DocumentNode {
		if len(root.Content) == 0 {
			return empty, nil
		}
		root = root.Content[0]
	}
	b := &builder{file: file}
	n, p := b.build(root, 0)
	if p != nil {
		return nil, p
	}
	if n.kind == scalarKind && n.scalar == nil {
		return empty, nil
	}
	return n, nil
}

// yamlProblem turns the parser's error into a place and a next step.
func yamlProblem(file string, data []byte, err error) *Problem {
	p := &Problem{File: file, Severity: Error, Text: err.Error()}
	var le *yaml.LoadError
	var les *yaml.LoadErrors
	if errors.As(err, &les) && len(les.Errors) > 0 {
		le = les.Errors[0]
	} else if !errors.As(err, &le) {
		le = nil
	}
	if le != nil {
		p.Line, p.Column, p.Text = le.Mark.Line, le.Mark.Column, le.Message
		if le.ContextMsg != "" {
			p.Text = le.ContextMsg + ": " + le.Message
			if le.ContextMark.Line > 0 && le.ContextMark.Line != le.Mark.Line {
				p.Text += fmt.Sprintf(" (it begins in line %d)", le.ContextMark.Line)
			}
		}
	}
	p.Text = "not YAML: " + p.Text
	lines := strings.Split(string(data), "\n")
	if i := p.Line - 1; i >= 0 && i < len(lines) {
		text := lines[i]
		indent := text[:len(text)-len(strings.TrimLeft(text, " \t"))]
		switch {
		case strings.Contains(indent, "\t"):
			p.Column = strings.Index(indent, "\t") + 1
			p.Text = "a tab in the indentation: YAML takes spaces only, replace it by spaces"
		case strings.TrimSpace(text) != "":
			p.Text += fmt.Sprintf("; the line is %q: check its indentation, colons and quotes", strings.TrimSpace(text))
		}
	}
	return p
}

type builder struct {
	file  string
	count int
}

func (b *builder) problem(y *yaml.Node, format string, args ...any) *Problem {
	return &Problem{File: b.file, Line: y.Line, Column: y.Column, Severity: Error, Text: fmt.Sprintf(format, args...)}
}

func (b *builder) build(y *yaml.Node, depth int) (*node, *Problem) {
	if b.count++; b.count > maxNodes {
		return nil, b.problem(y, "more than %d values, aliases written out: too many for a configuration", maxNodes)
	}
	if depth > maxDepth {
		return nil, b.problem(y, "nested deeper than %d levels", maxDepth)
	}
	n := &node{file: b.file, line: y.Line, col: y.Column}
	switch y.Kind {
	case yaml.AliasNode:
		return b.build(y.Alias, depth+1)
	case yaml.SequenceNode:
		n.kind = listKind
		for _, c := range y.Content {
			v, p := b.build(c, depth+1)
			if p != nil {
				return nil, p
			}
			n.list = append(n.list, v)
		}
		return n, nil
	case yaml.MappingNode:
		return b.buildMap(y, n, depth)
	case yaml.ScalarNode:
		return b.buildScalar(y, n)
	}
	return nil, b.problem(y, "not a value: a scalar, list or map is expected")
}

func (b *builder) buildMap(y *yaml.Node, n *node, depth int) (*node, *Problem) {
	n.kind = mapKind
	var merged []*node
	seen := map[any]*node{}
	for i := 0; i+1 < len(y.Content); i += 2 {
		k, v := y.Content[i], y.Content[i+1]
		if isMergeKey(k) {
			m, p := b.mergeSources(v, depth)
			if p != nil {
				return nil, p
			}
			merged = append(merged, m...)
			continue
		}
		kn, p := b.build(k, depth+1)
		if p != nil {
			return nil, p
		}
		if kn.kind != scalarKind {
			return nil, b.problem(k, "a list or map as the name of an entry: text is expected")
		}
		if raw, ok := kn.scalar.([]byte); ok {
			kn.scalar = string(raw)
		}
		if old := seen[kn.scalar]; old != nil {
			return nil, b.problem(k, "%s is here a second time, the first is in line %d: keep one of them", describe(kn), old.line)
		}
		seen[kn.scalar] = kn
		vn, p := b.build(v, depth+1)
		if p != nil {
			return nil, p
		}
		n.keys, n.vals = append(n.keys, kn), append(n.vals, vn)
	}
	// What "<<" brings stands first and gives way to the map's own entries; of several
	// sources the first one counts.
	var keys, vals []*node
	for _, m := range merged {
		for i, k := range m.keys {
			if seen[k.scalar] == nil {
				seen[k.scalar] = k
				keys, vals = append(keys, k), append(vals, m.vals[i])
			}
		}
	}
	n.keys, n.vals = append(keys, n.keys...), append(vals, n.vals...)
	return n, nil
}

func isMergeKey(k *yaml.Node) bool {
	return k.Kind == yaml.ScalarNode && k.Value == "<<" && k.Style&^yaml.TaggedStyle == 0
}

func (b *builder) mergeSources(v *yaml.Node, depth int) ([]*node, *Problem) {
	n, p := b.build(v, depth+1)
	if p != nil {
		return nil, p
	}
	sources := []*node{n}
	if n.kind == listKind {
		sources = n.list
	}
	for _, s := range sources {
		if s.kind != mapKind {
			return nil, b.problem(v, `"<<" takes a map or a list of maps, this is %s`, describe(s))
		}
	}
	return sources, nil
}

func (b *builder) buildScalar(y *yaml.Node, n *node) (*node, *Problem) {
	quoted := y.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0
	tagged := y.Style&yaml.TaggedStyle != 0
	switch tag := y.Tag; {
	case !tagged && !quoted:
		n.plain = true
		n.scalar = yaml11.Resolve(y.Value)
	case !tagged || tag == "!!str" || tag == "!" || tag == "!!timestamp":
		n.scalar = y.Value
	case tag == "!!null":
		n.scalar = nil
	case tag == "!!int", tag == "!!float", tag == "!!bool":
		n.scalar = yaml11.Resolve(y.Value)
		_, isInt := n.scalar.(int64)
		_, isFloat := n.scalar.(float64)
		_, isBool := n.scalar.(bool)
		if tag == "!!float" && isInt {
			n.scalar, isFloat = float64(n.scalar.(int64)), true
		}
		if tag == "!!int" && !isInt || tag == "!!float" && !isFloat || tag == "!!bool" && !isBool {
			return nil, b.problem(y, "%q is not what its tag %s says", y.Value, tag)
		}
	default:
		return nil, b.problem(y, "the tag %s is not known: remove it", tag)
	}
	return n, nil
}

// value turns a node into the value model of protocol/wire.
func (n *node) value() any {
	switch n.kind {
	case listKind:
		l := make([]any, len(n.list))
		for i, e := range n.list {
			l[i] = e.value()
		}
		return l
	case mapKind:
		return n.wireMap()
	}
	return n.scalar
}

func (n *node) wireMap() *wire.Map {
	m := wire.NewMap()
	for i, k := range n.keys {
		m.SetAny(k.scalar, n.vals[i].value())
	}
	return m
}

// get returns the entry of a text key.
func (n *node) get(key string) *node {
	for i, k := range n.keys {
		if k.scalar == key {
			return n.vals[i]
		}
	}
	return nil
}

// set adds or replaces an entry.
func (n *node) set(key, val *node) {
	for i, k := range n.keys {
		if k.scalar == key.scalar {
			n.keys[i], n.vals[i] = key, val
			return
		}
	}
	n.keys, n.vals = append(n.keys, key), append(n.vals, val)
}

// describe names a value for a message: the text "abc", the number 5, a list.
func describe(n *node) string {
	switch n.kind {
	case listKind:
		return "a list"
	case mapKind:
		return "a map"
	}
	switch v := n.scalar.(type) {
	case nil:
		return "nothing"
	case bool:
		if v {
			return "True"
		}
		return "False"
	case string:
		if len(v) > 60 {
			v = v[:57] + "..."
		}
		return fmt.Sprintf("the text %q", v)
	}
	return fmt.Sprintf("the number %v", n.scalar)
}
