package syntax

import (
	"fmt"
	"slices"
	"strings"
)

// Parser reads statements and expressions. Its methods do not return errors: on
// bad input they abandon the template, and [Parse] returns the *[Error].
type Parser struct {
	cfg   *Config
	name  string
	toks  []Token
	at    int
	tags  []string   // the statements that are open
	ends  [][]string // what each open statement looks for
	ids   int
	depth int
	exts  map[string]Extension
}

// Parse reads a template; the error is an *[Error].
func Parse(cfg Config, name, src string) (t *Template, err error) {
	cfg = cfg.withDefaults()
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(*Error)
			if !ok {
				panic(r)
			}
			t, err = nil, e
		}
	}()
	p := &Parser{cfg: &cfg, name: name, exts: map[string]Extension{}}
	for _, e := range cfg.Extensions {
		for _, tag := range e.Tags() {
			p.exts[tag] = e
		}
	}
	p.toks = tokens(&cfg, name, src)
	p.reach(0)
	return &Template{Pos: 1, Name: name, Body: p.subparse(nil)}, nil
}

// ParseExpression reads a single expression, as between {{ and }}.
func ParseExpression(cfg Config, src string) (n Node, err error) {
	cfg = cfg.withDefaults()
	t, err := Parse(cfg, "", cfg.VariableStart+" "+src+" "+cfg.VariableEnd)
	if err != nil {
		return nil, err
	}
	if len(t.Body) == 1 {
		if o, ok := t.Body[0].(*Output); ok && len(o.Nodes) == 1 {
			if _, isText := o.Nodes[0].(*TemplateData); !isText {
				return o.Nodes[0], nil
			}
		}
	}
	return nil, &Error{Msg: "chunk after expression", Line: 1}
}

// Current is the token that comes next.
func (p *Parser) Current() Token { return p.toks[p.at] }

// Look is the token after the current one.
func (p *Parser) Look() Token {
	at := min(p.at+1, len(p.toks)-1)
	p.reach(at)
	return p.toks[at]
}

// reach raises what the lexer found wrong, once the parser comes to it.
func (p *Parser) reach(at int) {
	if e, ok := p.toks[at].Value.(*Error); ok {
		panic(e)
	}
}

// Next takes the current token.
func (p *Parser) Next() Token {
	t := p.toks[p.at]
	if p.at < len(p.toks)-1 {
		p.at++
		p.reach(p.at)
	}
	return t
}

// SkipIf takes the current token when it is what expr says: a kind, or "name:word".
func (p *Parser) SkipIf(expr string) bool {
	if p.Current().Is(expr) {
		p.Next()
		return true
	}
	return false
}

// Expect takes the current token, which must be what expr says.
func (p *Parser) Expect(expr string) Token {
	t := p.Current()
	if !t.Is(expr) {
		want := describeExpr(expr)
		if t.Kind == EOF {
			p.Fail(t.Line, "unexpected end of template, expected %s.", quote(want))
		}
		p.Fail(t.Line, "expected token %s, got %s", quote(want), quote(t.describe()))
	}
	return p.Next()
}

// quote is Python's repr of a short word.
func quote(s string) string {
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		return `"` + s + `"`
	}
	return "'" + strings.ReplaceAll(s, "'", `\'`) + "'"
}

// Fail abandons the template with a message for a line.
func (p *Parser) Fail(line int, format string, args ...any) {
	panic(&Error{Msg: fmt.Sprintf(format, args...), Name: p.name, Line: line})
}

// FreeIdentifier is a name that no template can write.
func (p *Parser) FreeIdentifier() string {
	p.ids++
	return fmt.Sprintf("fi%d", p.ids)
}

// maxDepth bounds expressions and statements inside one another, and chain the
// length of a + b + c ..., so that no template exhausts the stack.
const (
	maxDepth = 200
	maxChain = 2000
)

func (p *Parser) enter() {
	if p.depth++; p.depth > maxDepth {
		p.Fail(p.Current().Line, "expressions or statements are nested more than %d deep", maxDepth)
	}
}

func (p *Parser) leave() { p.depth-- }

// chain counts the links of an expression.
func (p *Parser) chain(n *int) {
	if *n++; *n > maxChain {
		p.Fail(p.Current().Line, "expression of more than %d operations", maxChain)
	}
}

// unknown reports a tag that does not belong here, or the end of the template
// (name "").
func (p *Parser) unknown(name string, ends [][]string, line int) {
	expected := map[string]bool{}
	for _, es := range ends {
		for _, e := range es {
			expected[describeExpr(e)] = true
		}
	}
	msg := "Unexpected end of template."
	if name != "" {
		msg = "Encountered unknown tag " + quote(name) + "."
	}
	if len(ends) > 0 {
		var look []string
		for _, e := range ends[len(ends)-1] {
			look = append(look, quote(describeExpr(e)))
		}
		l := strings.Join(look, " or ")
		if name != "" && expected[name] {
			msg += " You probably made a nesting mistake. Jinja is expecting this tag, but currently looking for " + l + "."
		} else {
			msg += " Jinja was looking for the following tags: " + l + "."
		}
	}
	if n := len(p.tags); n > 0 {
		msg += " The innermost block that needs to be closed is " + quote(p.tags[n-1]) + "."
	}
	p.Fail(line, "%s", msg)
}

// subparse reads until one of the end tags, which stays current.
func (p *Parser) subparse(ends []string) []Node {
	p.enter()
	defer p.leave()
	if ends != nil {
		p.ends = append(p.ends, ends)
		defer func() { p.ends = p.ends[:len(p.ends)-1] }()
	}
	var body, data []Node
	flush := func() {
		if len(data) > 0 {
			body = append(body, &Output{Pos: Pos(data[0].Line()), Nodes: data})
			data = nil
		}
	}
	for {
		t := p.Current()
		switch t.Kind {
		case EOF:
			flush()
			return body
		case Data:
			p.Next()
			data = append(data, &TemplateData{Pos: Pos(t.Line), Data: t.Text})
		case VariableBegin:
			p.Next()
			data = append(data, p.parseTuple(tupleOpts{cond: true}))
			p.Expect(VariableEnd)
		case BlockBegin:
			flush()
			p.Next()
			for _, e := range ends {
				if p.Current().Is(e) {
					return body
				}
			}
			body = append(body, p.statement()...)
			p.Expect(BlockEnd)
		default:
			p.Fail(t.Line, "internal parsing error")
		}
	}
}

// ParseStatements reads the body of a statement, from the end of its tag to one
// of the end tags ("name:endfor"). With drop the end tag's name is taken too.
func (p *Parser) ParseStatements(drop bool, ends ...string) []Node {
	p.SkipIf("colon")
	p.Expect(BlockEnd)
	body := p.subparse(ends)
	if t := p.Current(); t.Kind == EOF {
		p.unknown("", append(append([][]string{}, p.ends...), ends), t.Line)
	}
	if drop {
		p.Next()
	}
	return body
}

func one(n Node) []Node { return []Node{n} }

func (p *Parser) statement() []Node {
	t := p.Current()
	if t.Kind != NameToken {
		p.Fail(t.Line, "tag name expected")
	}
	p.tags = append(p.tags, t.Text)
	n := len(p.tags)
	defer func() { p.tags = p.tags[:min(len(p.tags), n-1)] }()
	switch t.Text {
	case "for":
		return one(p.parseFor())
	case "if":
		return one(p.parseIf())
	case "block":
		return one(p.parseBlock())
	case "extends":
		p.Next()
		return one(&Extends{Pos: Pos(t.Line), Template: p.ParseExpr()})
	case "print":
		p.Next()
		out := &Output{Pos: Pos(t.Line)}
		for p.Current().Kind != BlockEnd {
			if len(out.Nodes) > 0 {
				p.Expect("comma")
			}
			out.Nodes = append(out.Nodes, p.ParseExpr())
		}
		return one(out)
	case "macro":
		p.Next()
		m := &Macro{Pos: Pos(t.Line), Name: p.nameTarget().Name}
		m.Args, m.Defaults = p.signature()
		m.Body = p.ParseStatements(true, "name:endmacro")
		return one(m)
	case "include":
		p.Next()
		inc := &Include{Pos: Pos(t.Line), Template: p.ParseExpr()}
		if p.Current().Is("name:ignore") && p.Look().Is("name:missing") {
			p.Next()
			p.Next()
			inc.IgnoreMissing = true
		}
		inc.WithContext = p.importContext(true)
		return one(inc)
	case "from":
		return one(p.parseFrom())
	case "import":
		return one(p.ParseImport())
	case "set":
		return one(p.parseSet())
	case "with":
		return one(p.parseWith())
	case "autoescape":
		p.Next()
		a := &Autoescape{Pos: Pos(t.Line), Value: p.ParseExpr()}
		a.Body = p.ParseStatements(true, "name:endautoescape")
		return one(&Scope{Pos: Pos(t.Line), Body: one(a)})
	case "call":
		return one(p.parseCallBlock())
	case "filter":
		p.Next()
		f := &FilterBlock{Pos: Pos(t.Line)}
		f.Filter, _ = p.parseFilter(nil, true).(*Filter)
		f.Body = p.ParseStatements(true, "name:endfilter")
		return one(f)
	}
	if e := p.exts[t.Text]; e != nil {
		return e.Parse(p)
	}
	p.tags = p.tags[:n-1]
	p.unknown(t.Text, p.ends, t.Line)
	return nil
}

func (p *Parser) parseSet() Node {
	pos := Pos(p.Next().Line)
	target := p.assignTarget(targetOpts{tuple: true, namespace: true})
	if p.SkipIf("assign") {
		return &Assign{Pos: pos, Target: target, Node: p.parseTuple(tupleOpts{cond: true})}
	}
	filter, _ := p.parseFilter(nil, false).(*Filter)
	return &AssignBlock{Pos: pos, Target: target, Filter: filter, Body: p.ParseStatements(true, "name:endset")}
}

func (p *Parser) parseFor() Node {
	f := &For{Pos: Pos(p.Expect("name:for").Line)}
	f.Target = p.assignTarget(targetOpts{tuple: true})
	p.Expect("name:in")
	f.Iter = p.parseTuple(tupleOpts{})
	if p.SkipIf("name:if") {
		f.Test = p.ParseExpr()
	}
	f.Recursive = p.SkipIf("name:recursive")
	f.Body = p.ParseStatements(false, "name:endfor", "name:else")
	if p.Next().Text != "endfor" {
		f.Else = p.ParseStatements(true, "name:endfor")
	}
	return f
}

func (p *Parser) parseIf() Node {
	result := &If{Pos: Pos(p.Expect("name:if").Line)}
	for node := result; ; {
		node.Test = p.parseTuple(tupleOpts{})
		node.Body = p.ParseStatements(false, "name:elif", "name:else", "name:endif")
		t := p.Next()
		if t.Is("name:elif") {
			node = &If{Pos: Pos(p.Current().Line)}
			result.Elif = append(result.Elif, node)
			continue
		}
		if t.Is("name:else") {
			result.Else = p.ParseStatements(true, "name:endif")
		}
		return result
	}
}

func (p *Parser) parseWith() Node {
	w := &With{Pos: Pos(p.Next().Line)}
	for p.Current().Kind != BlockEnd {
		if len(w.Targets) > 0 {
			p.Expect("comma")
		}
		target := p.assignTarget(targetOpts{tuple: true})
		setCtx(target, Param)
		w.Targets = append(w.Targets, target)
		p.Expect("assign")
		w.Values = append(w.Values, p.ParseExpr())
	}
	w.Body = p.ParseStatements(true, "name:endwith")
	return w
}

func (p *Parser) parseBlock() Node {
	b := &Block{Pos: Pos(p.Next().Line)}
	b.Name = p.Expect(NameToken).Text
	b.Scoped = p.SkipIf("name:scoped")
	b.Required = p.SkipIf("name:required")
	if t := p.Current(); t.Kind == "sub" {
		p.Fail(t.Line, "Block names in Jinja have to be valid Python identifiers and may not contain hyphens, use an underscore instead.")
	}
	b.Body = p.ParseStatements(true, "name:endblock")
	if b.Required {
		for _, n := range b.Body {
			out, ok := n.(*Output)
			for i := 0; ok && i < len(out.Nodes); i++ {
				d, isText := out.Nodes[i].(*TemplateData)
				ok = isText && strings.TrimFunc(d.Data, isSpace) == ""
			}
			if !ok {
				p.Fail(p.Current().Line, "Required blocks can only contain comments or whitespace")
			}
		}
	}
	p.SkipIf("name:" + b.Name)
	return b
}

func (p *Parser) importContext(def bool) bool {
	t := p.Current()
	if (t.Is("name:with") || t.Is("name:without")) && p.Look().Is("name:context") {
		p.Next()
		p.Next()
		return t.Text == "with"
	}
	return def
}

// ParseImport reads from an import tag's name on: import "x" as y.
func (p *Parser) ParseImport() *Import {
	i := &Import{Pos: Pos(p.Next().Line)}
	i.Template = p.ParseExpr()
	p.Expect("name:as")
	i.Target = p.nameTarget().Name
	i.WithContext = p.importContext(false)
	return i
}

func (p *Parser) parseFrom() Node {
	f := &FromImport{Pos: Pos(p.Next().Line)}
	f.Template = p.ParseExpr()
	p.Expect("name:import")
	context := func() bool {
		t := p.Current()
		if (t.Text == "with" || t.Text == "without") && p.Look().Is("name:context") {
			f.WithContext = t.Text == "with"
			p.Next()
			p.Next()
			return true
		}
		return false
	}
	for {
		if len(f.Names) > 0 {
			p.Expect("comma")
		}
		if p.Current().Kind != NameToken {
			p.Expect(NameToken)
		}
		if context() {
			return f
		}
		target := p.nameTarget()
		if strings.HasPrefix(target.Name, "_") {
			panic(&Error{Msg: "names starting with an underline can not be imported", Name: p.name, Line: target.Line(), Assertion: true})
		}
		name := ImportName{target.Name, target.Name}
		if p.SkipIf("name:as") {
			name.As = p.nameTarget().Name
		}
		f.Names = append(f.Names, name)
		if context() || p.Current().Kind != "comma" {
			return f
		}
	}
}

func (p *Parser) signature() (args []*Name, defaults []Node) {
	p.Expect("lparen")
	for p.Current().Kind != "rparen" {
		if len(args) > 0 {
			p.Expect("comma")
		}
		arg := p.nameTarget()
		arg.Ctx = Param
		if slices.ContainsFunc(args, func(a *Name) bool { return a.Name == arg.Name }) {
			p.Fail(arg.Line(), "duplicate argument '%s' in function definition", arg.Name)
		}
		if p.SkipIf("assign") {
			defaults = append(defaults, p.ParseExpr())
		} else if len(defaults) > 0 {
			p.Fail(p.Current().Line, "non-default argument follows default argument")
		}
		args = append(args, arg)
	}
	p.Expect("rparen")
	return args, defaults
}

func (p *Parser) parseCallBlock() Node {
	c := &CallBlock{Pos: Pos(p.Next().Line)}
	if p.Current().Kind == "lparen" {
		c.Args, c.Defaults = p.signature()
	}
	call, ok := p.ParseExpr().(*Call)
	if !ok {
		p.Fail(c.Line(), "expected call")
	}
	c.Call = call
	c.Body = p.ParseStatements(true, "name:endcall")
	return c
}

type targetOpts struct {
	tuple, namespace bool
}

func (p *Parser) nameTarget() *Name {
	t := p.Expect(NameToken)
	n := &Name{Pos: Pos(t.Line), Name: t.Text, Ctx: Store}
	p.mustAssign(n)
	return n
}

// ParseAssignTarget reads what stands before = in a set: a name or a tuple of names.
func (p *Parser) ParseAssignTarget() Node { return p.assignTarget(targetOpts{tuple: true}) }

func (p *Parser) assignTarget(o targetOpts) Node {
	if o.namespace && p.Look().Kind == "dot" {
		t := p.Expect(NameToken)
		p.Next()
		attr := p.Expect(NameToken)
		return &NSRef{Pos: Pos(t.Line), Name: t.Text, Attr: attr.Text}
	}
	var n Node
	if o.tuple {
		n = p.parseTuple(tupleOpts{simple: true})
	} else {
		n = p.primary()
	}
	setCtx(n, Store)
	p.mustAssign(n)
	return n
}

func setCtx(n Node, ctx Ctx) {
	Walk(n, func(n Node) bool {
		switch x := n.(type) {
		case *Name:
			x.Ctx = ctx
		case *TupleExpr:
			x.Ctx = ctx
		}
		return true
	})
}

func canAssign(n Node) bool {
	switch x := n.(type) {
	case *Name:
		switch x.Name {
		case "true", "false", "none", "True", "False", "None":
			return false
		}
		return true
	case *NSRef:
		return true
	case *TupleExpr:
		for _, i := range x.Items {
			if !canAssign(i) {
				return false
			}
		}
		return true
	}
	return false
}

func (p *Parser) mustAssign(n Node) {
	if canAssign(n) {
		return
	}
	kind := strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%T", n), "*syntax."), "Expr"))
	p.Fail(n.Line(), "can't assign to %s", quote(kind))
}
