package syntax

import "slices"

// ParseExpr reads one expression.
func (p *Parser) ParseExpr() Node {
	p.enter()
	defer p.leave()
	return p.condExpr()
}

// ParseTuple reads one expression or several with commas between them.
func (p *Parser) ParseTuple() Node { return p.parseTuple(tupleOpts{cond: true}) }

func (p *Parser) pos() Pos { return Pos(p.Current().Line) }

func (p *Parser) condExpr() Node {
	pos, links := p.pos(), 0
	n := p.or()
	for p.SkipIf("name:if") {
		p.chain(&links)
		c := &CondExpr{Pos: pos, Then: n, Test: p.or()}
		if p.SkipIf("name:else") {
			p.enter()
			c.Else = p.condExpr()
			p.leave()
		}
		n, pos = c, p.pos()
	}
	return n
}

func (p *Parser) or() Node {
	pos, links := p.pos(), 0
	n := p.and()
	for p.SkipIf("name:or") {
		p.chain(&links)
		n, pos = &Binary{Pos: pos, Op: "or", Left: n, Right: p.and()}, p.pos()
	}
	return n
}

func (p *Parser) and() Node {
	pos, links := p.pos(), 0
	n := p.not()
	for p.SkipIf("name:and") {
		p.chain(&links)
		n, pos = &Binary{Pos: pos, Op: "and", Left: n, Right: p.not()}, p.pos()
	}
	return n
}

func (p *Parser) not() Node {
	if t := p.Current(); t.Is("name:not") {
		p.Next()
		p.enter()
		defer p.leave()
		return &Unary{Pos: Pos(t.Line), Op: "not", Node: p.not()}
	}
	return p.compare()
}

var comparisons = map[string]string{"eq": "==", "ne": "!=", "lt": "<", "lteq": "<=", "gt": ">", "gteq": ">="}

func (p *Parser) compare() Node {
	pos := p.pos()
	n := p.sum()
	var ops []Operand
	for {
		t := p.Current()
		op := comparisons[t.Kind]
		switch {
		case op != "":
			p.Next()
		case p.SkipIf("name:in"):
			op = "in"
		case t.Is("name:not") && p.Look().Is("name:in"):
			p.Next()
			p.Next()
			op = "not in"
		default:
			if ops == nil {
				return n
			}
			return &Compare{Pos: pos, Expr: n, Ops: ops}
		}
		ops = append(ops, Operand{op, p.sum()})
		pos = p.pos()
	}
}

var mathOps = map[string]string{"add": "+", "sub": "-", "mul": "*", "div": "/", "floordiv": "//", "mod": "%", "pow": "**"}

func (p *Parser) sum() Node {
	pos, links := p.pos(), 0
	n := p.concat()
	for k := p.Current().Kind; k == "add" || k == "sub"; k = p.Current().Kind {
		p.chain(&links)
		p.Next()
		n, pos = &Binary{Pos: pos, Op: mathOps[k], Left: n, Right: p.concat()}, p.pos()
	}
	return n
}

func (p *Parser) concat() Node {
	pos := p.pos()
	n := p.product()
	if p.Current().Kind != "tilde" {
		return n
	}
	nodes := []Node{n}
	for p.SkipIf("tilde") {
		nodes = append(nodes, p.product())
	}
	return &Concat{Pos: pos, Nodes: nodes}
}

func (p *Parser) product() Node {
	pos, links := p.pos(), 0
	n := p.power()
	for k := p.Current().Kind; k == "mul" || k == "div" || k == "floordiv" || k == "mod"; k = p.Current().Kind {
		p.chain(&links)
		p.Next()
		n, pos = &Binary{Pos: pos, Op: mathOps[k], Left: n, Right: p.power()}, p.pos()
	}
	return n
}

func (p *Parser) power() Node {
	pos, links := p.pos(), 0
	n := p.unary(true)
	for p.Current().Kind == "pow" {
		p.chain(&links)
		p.Next()
		n, pos = &Binary{Pos: pos, Op: "**", Left: n, Right: p.unary(true)}, p.pos()
	}
	return n
}

func (p *Parser) unary(filters bool) Node {
	t := p.Current()
	var n Node
	if t.Kind == "sub" || t.Kind == "add" {
		p.Next()
		p.enter()
		n = &Unary{Pos: Pos(t.Line), Op: mathOps[t.Kind], Node: p.unary(false)}
		p.leave()
	} else {
		n = p.primary()
	}
	n = p.postfix(n)
	if filters {
		n = p.filters(n)
	}
	return n
}

func (p *Parser) primary() Node {
	t := p.Current()
	pos := Pos(t.Line)
	switch t.Kind {
	case NameToken:
		p.Next()
		switch t.Text {
		case "true", "True":
			return &Const{pos, true}
		case "false", "False":
			return &Const{pos, false}
		case "none", "None":
			return &Const{pos, nil}
		}
		return &Name{Pos: pos, Name: t.Text}
	case StringToken:
		text := p.Next().Text
		for p.Current().Kind == StringToken {
			text += p.Next().Text
		}
		return &Const{pos, text}
	case IntToken, FloatToken:
		p.Next()
		return &Const{pos, t.Value}
	case "lparen":
		p.Next()
		n := p.parseTuple(tupleOpts{cond: true, parens: true})
		p.Expect("rparen")
		return n
	case "lbracket":
		p.Next()
		l := &ListExpr{Pos: pos}
		for p.Current().Kind != "rbracket" {
			if len(l.Items) > 0 {
				p.Expect("comma")
			}
			if p.Current().Kind == "rbracket" {
				break
			}
			l.Items = append(l.Items, p.ParseExpr())
		}
		p.Expect("rbracket")
		return l
	case "lbrace":
		p.Next()
		d := &DictExpr{Pos: pos}
		for p.Current().Kind != "rbrace" {
			if len(d.Keys) > 0 {
				p.Expect("comma")
			}
			if p.Current().Kind == "rbrace" {
				break
			}
			d.Keys = append(d.Keys, p.ParseExpr())
			p.Expect("colon")
			d.Values = append(d.Values, p.ParseExpr())
		}
		p.Expect("rbrace")
		return d
	}
	p.Fail(t.Line, "unexpected %s", quote(t.describe()))
	return nil
}

type tupleOpts struct {
	simple bool // primaries only, for targets
	cond   bool // with inline if
	parens bool // inside parentheses, where nothing is an empty tuple
}

func (p *Parser) parseTuple(o tupleOpts) Node {
	p.enter()
	defer p.leave()
	pos := p.pos()
	var items []Node
	isTuple := false
	for {
		if len(items) > 0 {
			p.Expect("comma")
		}
		if p.tupleEnd() {
			break
		}
		switch {
		case o.simple:
			items = append(items, p.primary())
		case o.cond:
			items = append(items, p.condExpr())
		default:
			items = append(items, p.or())
		}
		if p.Current().Kind != "comma" {
			break
		}
		isTuple = true
		pos = p.pos()
	}
	if !isTuple {
		if len(items) > 0 {
			return items[0]
		}
		if !o.parens {
			p.Fail(p.Current().Line, "Expected an expression, got %s", quote(p.Current().describe()))
		}
	}
	return &TupleExpr{Pos: pos, Items: items}
}

func (p *Parser) tupleEnd() bool {
	switch p.Current().Kind {
	case VariableEnd, BlockEnd, "rparen":
		return true
	}
	return false
}

func (p *Parser) postfix(n Node) Node {
	for links := 0; ; p.chain(&links) {
		switch p.Current().Kind {
		case "dot", "lbracket":
			n = p.subscript(n)
		case "lparen":
			n = p.call(n)
		default:
			return n
		}
	}
}

func (p *Parser) filters(n Node) Node {
	for links := 0; ; p.chain(&links) {
		switch t := p.Current(); {
		case t.Kind == "pipe":
			n = p.parseFilter(n, false)
		case t.Is("name:is"):
			n = p.test(n)
		case t.Kind == "lparen":
			n = p.call(n)
		default:
			return n
		}
	}
}

func (p *Parser) subscript(n Node) Node {
	t := p.Next()
	pos := Pos(t.Line)
	if t.Kind == "dot" {
		a := p.Next()
		switch a.Kind {
		case NameToken:
			return &Getattr{Pos: pos, Node: n, Attr: a.Text}
		case IntToken:
			return &Getitem{Pos: pos, Node: n, Arg: &Const{Pos(a.Line), a.Value}}
		}
		p.Fail(a.Line, "expected name or number")
	}
	var args []Node
	for p.Current().Kind != "rbracket" {
		if len(args) > 0 {
			p.Expect("comma")
		}
		args = append(args, p.subscribed())
	}
	p.Expect("rbracket")
	if len(args) == 1 {
		return &Getitem{Pos: pos, Node: n, Arg: args[0]}
	}
	return &Getitem{Pos: pos, Node: n, Arg: &TupleExpr{Pos: pos, Items: args}}
}

func (p *Parser) subscribed() Node {
	s := &Slice{Pos: p.pos()}
	ended := func() bool {
		k := p.Current().Kind
		return k == "rbracket" || k == "comma"
	}
	if !p.SkipIf("colon") {
		n := p.ParseExpr()
		if !p.SkipIf("colon") {
			return n
		}
		s.Start = n
	}
	if p.Current().Kind != "colon" && !ended() {
		s.Stop = p.ParseExpr()
	}
	if p.SkipIf("colon") && !ended() {
		s.Step = p.ParseExpr()
	}
	return s
}

func (p *Parser) callArgs() (a Args) {
	open := p.Expect("lparen")
	ensure := func(ok bool) {
		if !ok {
			p.Fail(open.Line, "invalid syntax for function call expression")
		}
	}
	for comma := false; p.Current().Kind != "rparen"; comma = true {
		if comma {
			p.Expect("comma")
			if p.Current().Kind == "rparen" {
				break
			}
		}
		switch t := p.Current(); {
		case t.Kind == "mul":
			ensure(a.Star == nil && a.Star2 == nil)
			p.Next()
			a.Star = p.ParseExpr()
		case t.Kind == "pow":
			ensure(a.Star2 == nil)
			p.Next()
			a.Star2 = p.ParseExpr()
		case t.Kind == NameToken && p.Look().Kind == "assign":
			ensure(a.Star2 == nil)
			if slices.ContainsFunc(a.Kw, func(k Keyword) bool { return k.Name == t.Text }) {
				p.Fail(t.Line, "keyword argument repeated: %s", t.Text)
			}
			p.Next()
			p.Next()
			a.Kw = append(a.Kw, Keyword{t.Text, p.ParseExpr()})
		default:
			ensure(a.Star == nil && a.Star2 == nil && len(a.Kw) == 0)
			a.Pos = append(a.Pos, p.ParseExpr())
		}
	}
	p.Expect("rparen")
	return a
}

func (p *Parser) call(n Node) Node {
	pos := p.pos()
	return &Call{Pos: pos, Func: n, Args: p.callArgs()}
}

// parseFilter reads filters while there are any; inline starts with a name.
func (p *Parser) parseFilter(n Node, inline bool) Node {
	for links := 0; p.Current().Kind == "pipe" || inline; p.chain(&links) {
		if !inline {
			p.Next()
		}
		inline = false
		t := p.Expect(NameToken)
		f := &Filter{Pos: Pos(t.Line), Node: n, Name: p.dotted(t.Text)}
		if p.Current().Kind == "lparen" {
			f.Args = p.callArgs()
		}
		n = f
	}
	return n
}

func (p *Parser) dotted(name string) string {
	for p.SkipIf("dot") {
		name += "." + p.Expect(NameToken).Text
	}
	return name
}

func (p *Parser) test(n Node) Node {
	pos := Pos(p.Next().Line)
	negated := p.SkipIf("name:not")
	t := &Test{Pos: pos, Node: n, Name: p.dotted(p.Expect(NameToken).Text)}
	switch c := p.Current(); c.Kind {
	case "lparen":
		t.Args = p.callArgs()
	case NameToken, StringToken, IntToken, FloatToken, "lbracket", "lbrace":
		if c.Is("name:else") || c.Is("name:or") || c.Is("name:and") {
			break
		}
		if c.Is("name:is") {
			p.Fail(c.Line, "You cannot chain multiple tests with is")
		}
		t.Args.Pos = []Node{p.postfix(p.primary())}
	}
	if negated {
		return &Unary{Pos: pos, Op: "not", Node: t}
	}
	return t
}
