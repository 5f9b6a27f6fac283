package syntax

import "fmt"

// Kind is what a node is.
type Kind uint8

// The kinds of nodes.
const (
	Scalar Kind = iota
	Sequence
	Mapping
)

// String names the kind as PyYAML's messages do: "scalar", "sequence", "mapping".
func (k Kind) String() string { return [...]string{"scalar", "sequence", "mapping"}[k] }

// Node is a value as it was written. An alias is the very node that its anchor names,
// so a tree may hold a node more than once, and a node may hold itself.
type Node struct {
	Tag   string  // as written, in full ("tag:yaml.org,2002:int", "!mine"); "" for none
	Value string  // of a scalar
	Items []*Node // of a sequence; of a mapping the keys and values in turn
	Start Mark    // where it begins, its anchor and tag included

	// What the reader of the tree keeps with the node; Parse leaves it alone.
	Data any   // the value that was made of it
	Size int32 // the values it holds, or -1 while they are counted
	Made bool

	Kind  Kind
	Plain bool // a scalar to be typed by its form: written without quotes, or tagged "!"
}

// Parse reads text that holds one document at most and returns its root, nil when
// there is none. Collections may nest as deep as said; text deeper than that gives a
// LimitError. All errors are of type *Error.
func Parse(text string, depth int) (root *Node, err error) {
	if e := readable(text); e != nil {
		e.Text = text
		return nil, e
	}
	p := &parser{scanner: newScanner(text), anchors: map[string]*Node{}, left: depth}
	defer func() {
		switch e := recover().(type) {
		case nil:
		case *Error:
			e.Text = text
			root, err = nil, e
		default:
			panic(e)
		}
	}()
	return p.stream(), nil
}

// parser makes nodes of tokens, in the order in which libyaml takes them, so that of
// two mistakes the same one is found.
type parser struct {
	*scanner
	anchors map[string]*Node
	handles map[string]string // of tags, and what they stand for
	left    int               // levels that may still open
	room    []Node            // for the next nodes
	made    int               // at once the last time
}

func parserError(context string, began Mark, problem string, at Mark) *Error {
	return &Error{Class: "ParserError", Context: context, Began: began, Problem: problem, At: at}
}

func (p *parser) stream() *Node {
	t := p.peek()
	var root *Node
	switch {
	case t.kind == streamEnd:
		return nil
	case t.kind.in(versionDirective, tagDirective, documentStart):
		root = p.explicitDocument()
	default:
		p.directives()
		root = p.node(true, false)
	}
	if p.peek().kind == documentEnd {
		p.next()
	}
	for p.peek().kind == documentEnd {
		p.next()
	}
	if t = p.peek(); t.kind != streamEnd {
		start := t.start
		p.directives()
		p.startDocument()
		panic(&Error{Class: "ComposerError", Context: "expected a single document in the stream", Began: root.Start, Problem: "but found another document", At: start})
	}
	return root
}

func (p *parser) explicitDocument() *Node {
	p.directives()
	p.startDocument()
	if t := p.peek(); t.kind.in(versionDirective, tagDirective, documentStart, documentEnd, streamEnd) {
		return p.empty(t.start)
	}
	return p.node(true, false)
}

func (p *parser) startDocument() {
	if t := p.peek(); t.kind != documentStart {
		panic(parserError("", Mark{}, "did not find expected <document start>", t.start))
	}
	p.next()
}

// directives takes those before a document, and sets the handles of tags for it.
func (p *parser) directives() {
	p.handles = map[string]string{}
	version := false
	for t := p.peek(); t.kind.in(versionDirective, tagDirective); t = p.peek() {
		if t.kind == tagDirective {
			if _, ok := p.handles[t.text]; ok {
				panic(parserError("", Mark{}, "found duplicate %TAG directive", t.start))
			}
			p.handles[t.text] = t.suffix
		} else {
			if version {
				panic(parserError("", Mark{}, "found duplicate %YAML directive", t.start))
			}
			if t.major != 1 || t.minor != 1 && t.minor != 2 {
				panic(parserError("", Mark{}, "found incompatible YAML document", t.start))
			}
			version = true
		}
		p.next()
	}
	for h, prefix := range map[string]string{"!": "!", "!!": "tag:yaml.org,2002:"} {
		if _, ok := p.handles[h]; !ok {
			p.handles[h] = prefix
		}
	}
}

// empty is the null that stands where a value is missing.
func (p *parser) empty(at Mark) *Node {
	n := p.newNode(at)
	n.Plain = true
	return n
}

// newNode makes a node; several take one piece of memory.
func (p *parser) newNode(at Mark) *Node {
	if len(p.room) == 0 {
		p.made = min(2*p.made+4, 64)
		p.room = make([]Node, p.made)
	}
	n := &p.room[0]
	p.room = p.room[1:]
	n.Start = at
	return n
}

// node reads a node. In a block it may be a block collection, and with indentless a
// sequence whose "-" are level with the key above.
func (p *parser) node(block, indentless bool) *Node {
	t := p.peek()
	if t.kind == aliasToken {
		n := p.anchors[t.text]
		if n == nil {
			panic(&Error{Class: "ComposerError", Problem: "found undefined alias", At: t.start})
		}
		p.next()
		return n
	}
	n := p.newNode(t.start)
	anchor := p.properties(n)
	t = p.peek()
	n.Plain = n.Tag == "!" || n.Tag == "" && t.kind == scalarToken && t.plain
	var content func(*Node)
	switch {
	case indentless && t.kind == blockEntry:
		content = p.indentlessSequence
	case t.kind == scalarToken:
		n.Value = t.text
		p.next()
	case t.kind == flowSequenceStart:
		content = p.flowSequence
	case t.kind == flowMappingStart:
		content = p.flowMapping
	case block && t.kind == blockSequenceStart:
		content = p.blockSequence
	case block && t.kind == blockMappingStart:
		content = p.blockMapping
	case anchor != "" || n.Tag != "":
		n.Plain = n.Tag == ""
	default:
		context := "while parsing a flow node"
		if block {
			context = "while parsing a block node"
		}
		panic(parserError(context, n.Start, "did not find expected node content", t.start))
	}
	if anchor != "" {
		if first := p.anchors[anchor]; first != nil {
			panic(&Error{Class: "ComposerError", Context: "found duplicate anchor; first occurrence", Began: first.Start, Problem: "second occurrence", At: n.Start})
		}
		p.anchors[anchor] = n
	}
	if content == nil {
		return n
	}
	if p.left--; p.left < 0 {
		panic(&Error{Class: "LimitError", Problem: "lists and maps nest too deep", At: t.start})
	}
	if n.Kind = Sequence; t.kind.in(flowMappingStart, blockMappingStart) {
		n.Kind = Mapping
	}
	content(n)
	p.left++
	return n
}

// properties reads the anchor and the tag before a node and returns the anchor.
func (p *parser) properties(n *Node) (anchor string) {
	var tag *token
	for range 2 {
		switch t := p.peek(); {
		case t.kind == anchorToken && anchor == "":
			anchor = t.text
			p.next()
		case t.kind == tagToken && tag == nil:
			c := *t
			tag = &c
			p.next()
		}
	}
	if tag == nil {
		return anchor
	}
	n.Tag = tag.suffix
	if tag.text != "" {
		prefix, ok := p.handles[tag.text]
		if !ok {
			panic(parserError("while parsing a node", n.Start, "found undefined tag handle", tag.start))
		}
		n.Tag = prefix + tag.suffix
	}
	return anchor
}

func (p *parser) blockSequence(n *Node) {
	began := p.peek().start
	p.next()
	for {
		switch t := p.peek(); t.kind {
		case blockEntry:
			end := t.end
			p.next()
			n.Items = append(n.Items, p.unless(end, true, false, blockEntry, blockEnd))
		case blockEnd:
			p.next()
			return
		default:
			panic(parserError("while parsing a block collection", began, "did not find expected '-' indicator", t.start))
		}
	}
}

// unless reads a node, or makes an empty one when a token of the kinds comes.
func (p *parser) unless(at Mark, block, indentless bool, kinds ...kind) *Node {
	if p.peek().kind.in(kinds...) {
		return p.empty(at)
	}
	return p.node(block, indentless)
}

func (p *parser) indentlessSequence(n *Node) {
	for t := p.peek(); t.kind == blockEntry; t = p.peek() {
		end := t.end
		p.next()
		n.Items = append(n.Items, p.unless(end, true, false, blockEntry, keyMark, valueMark, blockEnd))
	}
}

func (p *parser) blockMapping(n *Node) {
	began := p.peek().start
	p.next()
	for {
		t := p.peek()
		switch t.kind {
		case keyMark:
			end := t.end
			p.next()
			n.Items = append(n.Items, p.unless(end, true, true, keyMark, valueMark, blockEnd))
		case blockEnd:
			p.next()
			return
		default:
			panic(parserError("while parsing a block mapping", began, "did not find expected key", t.start))
		}
		if t = p.peek(); t.kind != valueMark {
			n.Items = append(n.Items, p.empty(t.start))
			continue
		}
		end := t.end
		p.next()
		n.Items = append(n.Items, p.unless(end, true, true, keyMark, valueMark, blockEnd))
	}
}

// flowSeparator passes the "," before an element that is not the first, and is false
// at the closing bracket.
func (p *parser) flowSeparator(first bool, closing kind, what string, began Mark, bracket rune) bool {
	t := p.peek()
	if !first && t.kind != closing {
		if t.kind != flowEntry {
			panic(parserError("while parsing a flow "+what, began, fmt.Sprintf("did not find expected ',' or '%c'", bracket), t.start))
		}
		p.next()
		t = p.peek()
	}
	if t.kind == closing {
		p.next()
		return false
	}
	return true
}

func (p *parser) flowSequence(n *Node) {
	began := p.peek().start
	p.next()
	for first := true; p.flowSeparator(first, flowSequenceEnd, "sequence", began, ']'); first = false {
		if t := p.peek(); t.kind == keyMark {
			n.Items = append(n.Items, p.flowPair(t.start))
		} else {
			n.Items = append(n.Items, p.node(false, false))
		}
	}
}

// flowPair reads "key: value" that stands as an element of a list. An empty key takes
// the token after it along, as in libyaml 0.2.5.
func (p *parser) flowPair(start Mark) *Node {
	p.next()
	pair := p.newNode(start)
	pair.Kind = Mapping
	if t := p.peek(); t.kind.in(valueMark, flowEntry, flowSequenceEnd) {
		pair.Items = append(pair.Items, p.empty(t.end))
		p.next()
	} else {
		pair.Items = append(pair.Items, p.node(false, false))
	}
	pair.Items = append(pair.Items, p.flowValue(flowSequenceEnd))
	p.peek()
	return pair
}

// flowValue reads ":" and a value where they come.
func (p *parser) flowValue(closing kind) *Node {
	t := p.peek()
	if t.kind == valueMark {
		p.next()
		if t = p.peek(); !t.kind.in(flowEntry, closing) {
			return p.node(false, false)
		}
	}
	return p.empty(t.start)
}

func (p *parser) flowMapping(n *Node) {
	began := p.peek().start
	p.next()
	for first := true; p.flowSeparator(first, flowMappingEnd, "mapping", began, '}'); first = false {
		if p.peek().kind != keyMark {
			key := p.node(false, false)
			n.Items = append(n.Items, key, p.empty(p.peek().start))
			continue
		}
		p.next()
		var key *Node
		if t := p.peek(); t.kind.in(valueMark, flowEntry, flowMappingEnd) {
			key = p.empty(t.start)
		} else {
			key = p.node(false, false)
		}
		n.Items = append(n.Items, key, p.flowValue(flowMappingEnd))
	}
}
