package jinja

import (
	"math/rand/v2"
	"strings"
	"unicode"

	"github.com/gosalt/gosalt/jinja/py"
	"github.com/gosalt/gosalt/jinja/syntax"
)

func builtinGlobals() map[string]py.Value {
	return map[string]py.Value{
		"range":     class{"range", py.NewFunc("range", "...", rangeOf)},
		"dict":      class{"dict", py.NewFunc("dict", "...", dictOf)},
		"lipsum":    py.NewFunc("generate_lorem_ipsum", "n=5, html=True, min=20, max=100", lipsum),
		"cycler":    class{"jinja2.utils.Cycler", py.NewFunc("Cycler", "*items", newCycler)},
		"joiner":    class{"jinja2.utils.Joiner", py.NewFunc("Joiner.__init__", "@self, sep=', '", newJoiner)},
		"namespace": class{"jinja2.utils.Namespace", py.NewFunc("Namespace", "...", newNamespace)},
	}
}

// class is a callable that Python shows as a class.
type class struct {
	name string
	*py.Func
}

// PyType is "type".
func (c class) PyType() string { return "type" }

// Print is the class's repr.
func (c class) Print(*py.Thread, bool) (string, error) {
	if c.name == "range" {
		return "<function safe_range>", nil
	}
	return "<class '" + c.name + "'>", nil
}

// Attr gives dict.fromkeys.
func (c class) Attr(t *py.Thread, name string) (py.Value, bool, error) {
	if c.name == "dict" {
		return py.LookupAttr(t, py.NewDict(0), name)
	}
	return nil, false, nil
}

func rangeOf(c *py.Call) (py.Value, error) {
	if len(c.Kw) > 0 {
		return nil, py.Raise("TypeError", "safe_range() got an unexpected keyword argument '%s'", c.Kw[0].Name)
	}
	n := len(c.Args)
	if n == 0 {
		return nil, py.Raise("TypeError", "range expected at least 1 argument, got 0")
	}
	if n > 3 {
		return nil, py.Raise("TypeError", "range expected at most 3 arguments, got %d", n)
	}
	r := &py.Range{Step: 1}
	var at [3]int64
	for i, a := range c.Args {
		if u, ok := a.(*py.Undefined); ok && u.Mode != py.Strict {
			return nil, py.Raise("TypeError", "'%s' object cannot be interpreted as an integer", py.TypeName(a))
		}
		v, ok := py.AsInt(a)
		if !ok {
			if py.IsNumber(a) && py.TypeName(a) == "int" {
				return nil, py.Raise("OverflowError", "Python int too large to convert to C ssize_t")
			}
			return nil, py.Raise("TypeError", "'%s' object cannot be interpreted as an integer", py.TypeName(a))
		}
		at[i] = v
	}
	switch n {
	case 1:
		r.Stop = at[0]
	case 2:
		r.Start, r.Stop = at[0], at[1]
	default:
		if at[2] == 0 {
			return nil, py.Raise("ValueError", "range() arg 3 must not be zero")
		}
		*r = py.Range{Start: at[0], Stop: at[1], Step: at[2]}
	}
	if k, most := r.Len(), c.T.MaxRange(); k > most || k < 0 {
		return nil, py.Raise("OverflowError", "Range too big. The sandbox blocks ranges larger than MAX_RANGE (%d).", most)
	}
	return r, nil
}

func dictOf(c *py.Call) (py.Value, error) {
	if len(c.Args) > 1 {
		return nil, py.Raise("TypeError", "dict expected at most 1 argument, got %d", len(c.Args))
	}
	d := py.NewDict(len(c.Kw))
	if len(c.Args) == 1 {
		if err := py.Update(c.T, d, c.Args[0]); err != nil {
			return nil, err
		}
	}
	for _, k := range c.Kw {
		d.SetStr(k.Name, k.Value)
	}
	return d, nil
}

// Namespace is an object whose attributes a template can set.
type Namespace struct{ attrs *py.Dict }

func newNamespace(c *py.Call) (py.Value, error) {
	d, err := dictOf(c)
	if err != nil {
		return nil, err
	}
	return &Namespace{d.(*py.Dict)}, nil
}

// PyType is jinja2's class.
func (n *Namespace) PyType() string { return "jinja2.utils.Namespace" }

// Attr returns an attribute that was set.
func (n *Namespace) Attr(_ *py.Thread, name string) (py.Value, bool, error) {
	v, ok := n.attrs.GetStr(name)
	return v, ok, nil
}

// Print is jinja2's repr.
func (n *Namespace) Print(t *py.Thread, _ bool) (string, error) {
	if err := t.Enter(); err != nil {
		return "", err
	}
	defer t.Leave()
	s, err := py.Repr(t, n.attrs)
	return "<Namespace " + s + ">", err
}

// Cycler gives its items in turn.
type Cycler struct {
	items py.Tuple
	pos   int
}

func newCycler(c *py.Call) (py.Value, error) {
	items := c.Args[0].(py.Tuple)
	if len(items) == 0 {
		return nil, py.Raise("RuntimeError", "at least one item has to be provided")
	}
	return &Cycler{items: items}, nil
}

// PyType is jinja2's class.
func (y *Cycler) PyType() string { return "jinja2.utils.Cycler" }

// Attr gives next, reset, current, items and pos.
func (y *Cycler) Attr(_ *py.Thread, name string) (py.Value, bool, error) {
	switch name {
	case "current":
		return y.items[y.pos], true, nil
	case "next":
		return py.NewFunc("Cycler.next", "@self", func(*py.Call) (py.Value, error) {
			v := y.items[y.pos]
			y.pos = (y.pos + 1) % len(y.items)
			return v, nil
		}), true, nil
	case "reset":
		return py.NewFunc("Cycler.reset", "@self", func(*py.Call) (py.Value, error) {
			y.pos = 0
			return nil, nil
		}), true, nil
	case "items":
		return y.items, true, nil
	case "pos":
		return int64(y.pos), true, nil
	}
	return nil, false, nil
}

// Joiner gives nothing the first time it is called, and its text from then on.
type Joiner struct {
	sep  py.Value
	used bool
}

func newJoiner(c *py.Call) (py.Value, error) { return &Joiner{sep: c.Args[0]}, nil }

// PyType is jinja2's class.
func (j *Joiner) PyType() string { return "jinja2.utils.Joiner" }

// Attr gives sep and used.
func (j *Joiner) Attr(_ *py.Thread, name string) (py.Value, bool, error) {
	switch name {
	case "sep":
		return j.sep, true, nil
	case "used":
		return j.used, true, nil
	}
	return nil, false, nil
}

// Call gives the text.
func (j *Joiner) Call(c *py.Call) (py.Value, error) {
	if n := len(c.Args) + len(c.Kw); n > 0 {
		return nil, py.Raise("TypeError", "Joiner.__call__() takes 1 positional argument but %d were given", n+1)
	}
	if !j.used {
		j.used = true
		return "", nil
	}
	return j.sep, nil
}

var loremWords = strings.Fields(`lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor
	incididunt ut labore et dolore magna aliqua enim ad minim veniam quis nostrud exercitation ullamco laboris
	nisi aliquip ex ea commodo consequat duis aute irure in reprehenderit voluptate velit esse cillum eu fugiat
	nulla pariatur excepteur sint occaecat cupidatat non proident sunt culpa qui officia deserunt mollit anim id est laborum`)

// lipsum makes filler text: n paragraphs of min to max words.
func lipsum(c *py.Call) (py.Value, error) {
	var n [3]int
	for i, j := range []int{0, 2, 3} {
		v, ok := py.AsInt(c.Args[j])
		if !ok {
			return nil, py.Raise("TypeError", "'%s' object cannot be interpreted as an integer", py.TypeName(c.Args[j]))
		}
		n[i] = int(v)
	}
	html, err := py.Truth(c.T, c.Args[1])
	if err != nil {
		return nil, err
	}
	if n[2] <= n[1] {
		return nil, py.Raise("ValueError", "empty range for randrange() (%d, %d, %d)", n[1], n[2], n[2]-n[1])
	}
	var out []string
	for range n[0] {
		words := n[1] + rand.IntN(n[2]-n[1])
		if err := c.T.Alloc(10 * max(words, 0)); err != nil {
			return nil, err
		}
		var b strings.Builder
		start := true
		for i := range words {
			w := loremWords[rand.IntN(len(loremWords))]
			if start {
				w = string(unicode.ToUpper(rune(w[0]))) + w[1:]
			}
			b.WriteString(w)
			start = false
			switch {
			case i == words-1:
				b.WriteByte('.')
			case i%12 == 11:
				b.WriteString(". ")
				start = true
			case i%5 == 4:
				b.WriteString(", ")
			default:
				b.WriteByte(' ')
			}
		}
		p := b.String()
		if html {
			p = "<p>" + p + "</p>"
		}
		out = append(out, p)
	}
	if html {
		return py.Markup(strings.Join(out, "\n")), nil
	}
	return strings.Join(out, "\n\n"), nil
}

// Do is the statement do, which evaluates an expression for what it does.
var Do syntax.Extension = doExtension{}

// LoopControls are the statements break and continue.
var LoopControls syntax.Extension = loopControls{}

type doExtension struct{}

func (doExtension) Tags() []string { return []string{"do"} }

func (doExtension) Parse(p *syntax.Parser) []syntax.Node {
	line := p.Next().Line
	return []syntax.Node{&syntax.ExprStmt{Pos: syntax.Pos(line), Node: p.ParseTuple()}}
}

type loopControls struct{}

func (loopControls) Tags() []string { return []string{"break", "continue"} }

func (loopControls) Parse(p *syntax.Parser) []syntax.Node {
	t := p.Next()
	if t.Text == "break" {
		return []syntax.Node{&syntax.Break{Pos: syntax.Pos(t.Line)}}
	}
	return []syntax.Node{&syntax.Continue{Pos: syntax.Pos(t.Line)}}
}
