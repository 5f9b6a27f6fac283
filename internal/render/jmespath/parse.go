// Package jmespath answers queries of JMESPath (jmespath.org) on the values of
// templates, as jmespath.py does: maps keep their order and integers their kind. It is
// what the filter json_query is made of. parse.go reads an expression, eval.go answers
// it, functions.go holds the functions.
//
// It is no library since those for Go work on maps without an order: of the 178 answers
// recorded from jmespath.py (testdata/recorded.json) go-jmespath 0.4.0 and its successor
// of jmespath-community 1.1.1 give 11 with other values, some of them others at each run,
// one without the error, and 8 errors in other words.
package jmespath

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/render/value"
	"github.com/gosalt/gosalt/jinja/py"
)

// maxDepth is how deep expressions may be nested.
const maxDepth = 200

// node is a part of an expression: its kind, and what belongs to it.
type node struct {
	kind     string
	text     string   // name of a field or function, comparator
	value    py.Value // of a literal
	bounds   []*int64 // of a slice: start, stop, step; of an index the first
	children []*node
}

// token is one word of an expression. pos is its place, from 0.
type token struct {
	kind, text string
	value      py.Value
	pos        int
}

// power is how tightly a token binds to what stands left of it.
var power = map[string]int{
	"pipe": 1, "or": 2, "and": 3, "cmp": 5, "flatten": 9, "star": 20, "filter": 21, "dot": 40, "not": 45, "lbrace": 50, "lbracket": 55, "lparen": 60,
}

// projectionStop: what binds less ends a projection.
const projectionStop = 10

func isStart(c byte) bool {
	return c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func fail(pos int, format string, args ...any) error {
	return py.Raise("ParseError", "invalid JMESPath expression, at column %d: %s", pos+1, fmt.Sprintf(format, args...))
}

// lex splits an expression.
func lex(s string) (out []token, err error) {
	simple := map[byte]string{'.': "dot", '*': "star", ']': "rbracket", ',': "comma", ':': "colon", '@': "current", '(': "lparen", ')': "rparen", '{': "lbrace", '}': "rbrace"}
	double := map[byte][2]string{'|': {"pipe", "or"}, '&': {"expref", "and"}}
	for i := 0; i < len(s); {
		c, at := s[i], i
		next := func(b byte) bool { return i+1 < len(s) && s[i+1] == b }
		t := token{pos: at}
		switch {
		case strings.IndexByte(" \t\n\r", c) >= 0:
			i++
			continue
		case isStart(c):
			for i < len(s) && (isStart(s[i]) || isDigit(s[i])) {
				i++
			}
			t.kind, t.text = "name", s[at:i]
		case simple[c] != "":
			t.kind = simple[c]
			i++
		case c == '[':
			t.kind = "lbracket"
			if next(']') {
				t.kind = "flatten"
				i++
			} else if next('?') {
				t.kind = "filter"
				i++
			}
			i++
		case isDigit(c) || c == '-' && i+1 < len(s) && isDigit(s[i+1]):
			for i++; i < len(s) && isDigit(s[i]); i++ {
			}
			n, err := strconv.ParseInt(s[at:i], 10, 64)
			if err != nil {
				return nil, fail(at, "the number %s is too large", s[at:i])
			}
			t.kind, t.value = "number", n
		case c == '|' || c == '&':
			t.kind = double[c][0]
			if next(c) {
				t.kind = double[c][1]
				i++
			}
			i++
		case strings.IndexByte("<>!=", c) >= 0:
			t.kind, t.text = "cmp", string(c)
			if next('=') {
				t.text += "="
				i++
			} else if c == '!' {
				t.kind = "not"
			} else if c == '=' {
				return nil, fail(at, `"=" is no comparison: "==" is`)
			}
			i++
		case c == '\'' || c == '"' || c == '`':
			end := i + 1
			for end < len(s) && s[end] != c {
				if s[end] == '\\' {
					end++
				}
				end++
			}
			if end >= len(s) {
				return nil, fail(at, "the %c that begins here has no end", c)
			}
			body := s[i+1 : end]
			i = end + 1
			if t.kind, t.value, err = quoted(c, body); err != nil {
				return nil, fail(at, "%v", err)
			}
			t.text, _ = t.value.(string)
		default:
			return nil, fail(at, "unknown character %q", c)
		}
		out = append(out, t)
	}
	return append(out, token{kind: "eof", pos: len(s)}), nil
}

// quoted reads what stands between quotes: '...' is text, "..." a name, `...` JSON.
func quoted(quote byte, body string) (kind string, v py.Value, err error) {
	switch quote {
	case '\'':
		return "literal", strings.ReplaceAll(body, `\'`, `'`), nil
	case '"':
		v, err := pytext.ParseJSON(`"` + body + `"`)
		return "quoted", v, err
	}
	body = strings.TrimLeft(strings.ReplaceAll(body, "\\`", "`"), " \t\n\r")
	data, err := pytext.ParseJSON(body)
	if err != nil { // text without quotes was once allowed
		data, err = pytext.ParseJSON(`"` + body + `"`)
	}
	if err != nil {
		return "", nil, err
	}
	v, err = value.FromWire(data, false)
	return "literal", v, err
}

// parser reads tokens by their power (Pratt's way).
type parser struct {
	tokens []token
	at     int
	depth  int
}

// parse reads an expression.
func parse(s string) (*node, error) {
	tokens, err := lex(s)
	if err != nil {
		return nil, err
	}
	if len(tokens) == 1 {
		return nil, py.Raise("EmptyExpressionError", "Invalid JMESPath expression: cannot be empty.")
	}
	p := &parser{tokens: tokens}
	n, err := p.expression(0)
	if err == nil && p.cur().kind != "eof" {
		err = p.unexpected()
	}
	return n, err
}

func (p *parser) cur() token  { return p.tokens[p.at] }
func (p *parser) peek() token { return p.tokens[min(p.at+1, len(p.tokens)-1)] }

func (p *parser) next() token {
	t := p.cur()
	p.at = min(p.at+1, len(p.tokens)-1)
	return t
}

func (p *parser) unexpected() error {
	if t := p.cur(); t.kind != "eof" {
		return fail(t.pos, "unexpected %s", t.kind)
	}
	return fail(p.cur().pos, "the expression ends too early")
}

func (p *parser) want(kind string) error {
	if p.cur().kind != kind {
		return p.unexpected()
	}
	p.next()
	return nil
}

func (p *parser) expression(least int) (*node, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, fail(p.cur().pos, "more than %d levels", maxDepth)
	}
	defer func() { p.depth-- }()
	left, err := p.prefix()
	for err == nil && power[p.cur().kind] > least {
		left, err = p.infix(left)
	}
	return left, err
}

var identity = &node{kind: "identity"}

// prefix reads what may begin an expression.
func (p *parser) prefix() (*node, error) {
	switch t := p.cur(); t.kind {
	case "literal":
		p.next()
		return &node{kind: "literal", value: t.value}, nil
	case "name", "quoted":
		p.next()
		if t.kind == "quoted" && p.cur().kind == "lparen" {
			return nil, fail(t.pos, "the name of a function has no quotes")
		}
		return &node{kind: "field", text: t.text}, nil
	case "star":
		p.next()
		right := identity
		var err error
		if p.cur().kind != "rbracket" {
			right, err = p.projected(power["star"])
		}
		return &node{kind: "values", children: []*node{identity, right}}, err
	case "filter":
		p.next()
		return p.filter(identity)
	case "lbrace":
		p.next()
		return p.hash()
	case "lparen":
		p.next()
		n, err := p.expression(0)
		if err == nil {
			err = p.want("rparen")
		}
		return n, err
	case "flatten":
		p.next()
		return p.flatten(identity)
	case "not":
		p.next()
		n, err := p.expression(power["not"])
		return &node{kind: "not", children: []*node{n}}, err
	case "lbracket":
		p.next()
		if k := p.cur().kind; k == "number" || k == "colon" {
			return p.index(identity)
		}
		if p.cur().kind == "star" && p.peek().kind == "rbracket" {
			p.next()
			p.next()
			right, err := p.projected(power["star"])
			return &node{kind: "projection", children: []*node{identity, right}}, err
		}
		return p.list()
	case "current":
		p.next()
		return &node{kind: "identity"}, nil
	case "expref":
		p.next()
		n, err := p.expression(0)
		return &node{kind: "expref", children: []*node{n}}, err
	}
	return nil, p.unexpected()
}

// infix reads what goes on with an expression.
func (p *parser) infix(left *node) (*node, error) {
	t := p.next()
	both := func(kind string, least int) (*node, error) {
		right, err := p.expression(least)
		return &node{kind: kind, text: t.text, children: []*node{left, right}}, err
	}
	switch t.kind {
	case "dot":
		if p.cur().kind == "star" {
			p.next()
			right, err := p.projected(power["star"])
			return &node{kind: "values", children: []*node{left, right}}, err
		}
		right, err := p.afterDot(power["dot"])
		return &node{kind: "chain", children: []*node{left, right}}, err
	case "pipe":
		return both("chain", power["pipe"])
	case "or", "and":
		return both(t.kind, power[t.kind])
	case "cmp":
		return both("cmp", power["cmp"])
	case "flatten":
		return p.flatten(left)
	case "filter":
		return p.filter(left)
	case "lbracket":
		if k := p.cur().kind; k == "number" || k == "colon" {
			return p.index(left)
		}
		if err := p.want("star"); err != nil {
			return nil, err
		}
		if err := p.want("rbracket"); err != nil {
			return nil, err
		}
		right, err := p.projected(power["star"])
		return &node{kind: "projection", children: []*node{left, right}}, err
	case "lparen":
		if left.kind != "field" {
			return nil, fail(t.pos, "only a name can be called")
		}
		call := &node{kind: "call", text: left.text}
		for p.cur().kind != "rparen" {
			arg, err := p.expression(0)
			if err != nil {
				return nil, err
			}
			call.children = append(call.children, arg)
			if p.cur().kind == "comma" {
				p.next()
				continue
			}
			break
		}
		return call, p.want("rparen")
	}
	p.at--
	return nil, p.unexpected()
}

func (p *parser) flatten(left *node) (*node, error) {
	right, err := p.projected(power["flatten"])
	return &node{kind: "projection", children: []*node{{kind: "flatten", children: []*node{left}}, right}}, err
}

func (p *parser) filter(left *node) (*node, error) {
	cond, err := p.expression(0)
	if err == nil {
		err = p.want("rbracket")
	}
	if err != nil {
		return nil, err
	}
	right := identity
	if p.cur().kind != "flatten" {
		right, err = p.projected(power["filter"])
	}
	return &node{kind: "filter", children: []*node{left, right, cond}}, err
}

// index reads a number or a slice up to its bracket.
func (p *parser) index(left *node) (*node, error) {
	var bounds [3]*int64
	part := 0
	for ; p.cur().kind != "rbracket"; p.next() {
		switch t := p.cur(); {
		case t.kind == "colon" && part < 2:
			part++
		case t.kind == "number" && bounds[part] == nil:
			n := t.value.(int64)
			bounds[part] = &n
		default:
			return nil, p.unexpected()
		}
	}
	p.next()
	if part == 0 {
		return &node{kind: "chain", children: []*node{left, {kind: "index", bounds: bounds[:1]}}}, nil
	}
	slice := &node{kind: "chain", children: []*node{left, {kind: "slice", bounds: bounds[:]}}}
	right, err := p.projected(power["star"])
	return &node{kind: "projection", children: []*node{slice, right}}, err
}

// projected reads what is done to each element of a projection.
func (p *parser) projected(least int) (*node, error) {
	switch t := p.cur(); {
	case power[t.kind] < projectionStop:
		return identity, nil
	case t.kind == "lbracket" || t.kind == "filter":
		return p.expression(least)
	case t.kind == "dot":
		p.next()
		return p.afterDot(least)
	}
	return nil, p.unexpected()
}

func (p *parser) afterDot(least int) (*node, error) {
	switch p.cur().kind {
	case "name", "quoted", "star":
		return p.expression(least)
	case "lbracket":
		p.next()
		return p.list()
	case "lbrace":
		p.next()
		return p.hash()
	}
	return nil, p.unexpected()
}

func (p *parser) list() (*node, error) {
	n := &node{kind: "list"}
	for {
		e, err := p.expression(0)
		if err != nil {
			return nil, err
		}
		n.children = append(n.children, e)
		if p.cur().kind != "comma" {
			return n, p.want("rbracket")
		}
		p.next()
	}
}

func (p *parser) hash() (*node, error) {
	n := &node{kind: "hash"}
	for {
		key := p.cur()
		if key.kind != "name" && key.kind != "quoted" {
			return nil, p.unexpected()
		}
		p.next()
		if err := p.want("colon"); err != nil {
			return nil, err
		}
		v, err := p.expression(0)
		if err != nil {
			return nil, err
		}
		n.children = append(n.children, &node{kind: "pair", text: key.text, children: []*node{v}})
		if p.cur().kind != "comma" {
			return n, p.want("rbrace")
		}
		p.next()
	}
}
