package syntax

// Node is a part of a template's tree.
type Node interface {
	Line() int // where it starts; from 1
}

// Pos is embedded in all nodes.
type Pos int

// Line is the line the node starts on.
func (p Pos) Line() int { return int(p) }

// Ctx is how a name is used.
type Ctx int

const (
	Load  Ctx = iota // read
	Store            // assigned
	Param            // bound as a parameter
)

// Expressions. Binary operators are + - * / // % ** and or; unary ones not + -.
type (
	// Name is a variable.
	Name struct {
		Pos
		Name string
		Ctx  Ctx
	}
	// NSRef is the target ns.attr of an assignment.
	NSRef struct {
		Pos
		Name, Attr string
	}
	// Const is a literal: nil, bool, int64, *big.Int, float64 or string.
	Const struct {
		Pos
		Value any
	}
	// TemplateData is text between tags.
	TemplateData struct {
		Pos
		Data string
	}
	// TupleExpr is (a, b); as a target its items are assigned.
	TupleExpr struct {
		Pos
		Items []Node
		Ctx   Ctx
	}
	// ListExpr is [a, b].
	ListExpr struct {
		Pos
		Items []Node
	}
	// DictExpr is {k: v}.
	DictExpr struct {
		Pos
		Keys, Values []Node
	}
	// CondExpr is Then if Test else Else; Else may be nil.
	CondExpr struct {
		Pos
		Test, Then, Else Node
	}
	// Filter is Node|Name(Args); Node is nil in a filter block.
	Filter struct {
		Pos
		Node Node
		Name string
		Args Args
	}
	// Test is Node is Name(Args).
	Test struct {
		Pos
		Node Node
		Name string
		Args Args
	}
	// Call is Func(Args).
	Call struct {
		Pos
		Func Node
		Args Args
	}
	// Getattr is Node.Attr.
	Getattr struct {
		Pos
		Node Node
		Attr string
	}
	// Getitem is Node[Arg].
	Getitem struct {
		Pos
		Node, Arg Node
	}
	// Slice is Start:Stop:Step; parts that are left out are nil.
	Slice struct {
		Pos
		Start, Stop, Step Node
	}
	// Concat is a ~ b ~ c.
	Concat struct {
		Pos
		Nodes []Node
	}
	// Compare is a chain such as a < b <= c; operators are == != < <= > >= in, not in.
	Compare struct {
		Pos
		Expr Node
		Ops  []Operand
	}
	// Binary is Left Op Right.
	Binary struct {
		Pos
		Op          string
		Left, Right Node
	}
	// Unary is Op Node.
	Unary struct {
		Pos
		Op   string
		Node Node
	}
)

// Operand is one step of a [Compare].
type Operand struct {
	Op   string
	Expr Node
}

// Keyword is name=value in a call.
type Keyword struct {
	Name  string
	Value Node
}

// Args are the arguments of a call.
type Args struct {
	Pos   []Node
	Kw    []Keyword
	Star  Node // *Star, or nil
	Star2 Node // **Star2, or nil
}

// Statements.
type (
	// Template is a whole template.
	Template struct {
		Pos
		Name string
		Body []Node
	}
	// Output prints its nodes.
	Output struct {
		Pos
		Nodes []Node
	}
	// Extends makes Template the parent.
	Extends struct {
		Pos
		Template Node
	}
	// For is a loop; Test filters it, Else runs when there was no round.
	For struct {
		Pos
		Target, Iter Node
		Body, Else   []Node
		Test         Node
		Recursive    bool
	}
	// If is a condition; Elif holds further Ifs without Elif and Else of their own.
	If struct {
		Pos
		Test Node
		Body []Node
		Elif []*If
		Else []Node
	}
	// Macro defines a function that returns text.
	Macro struct {
		Pos
		Name     string
		Args     []*Name
		Defaults []Node // of the last Args
		Body     []Node
	}
	// CallBlock calls with its body as caller.
	CallBlock struct {
		Pos
		Call     *Call
		Args     []*Name
		Defaults []Node
		Body     []Node
	}
	// FilterBlock passes its output through a filter.
	FilterBlock struct {
		Pos
		Body   []Node
		Filter *Filter
	}
	// With binds Targets to Values in a scope of their own.
	With struct {
		Pos
		Targets, Values []Node
		Body            []Node
	}
	// Block is a part that children replace.
	Block struct {
		Pos
		Name             string
		Body             []Node
		Scoped, Required bool
	}
	// Include prints another template.
	Include struct {
		Pos
		Template      Node
		WithContext   bool
		IgnoreMissing bool
	}
	// Import binds another template's names as one object.
	Import struct {
		Pos
		Template    Node
		Target      string
		WithContext bool
	}
	// FromImport binds single names of another template.
	FromImport struct {
		Pos
		Template    Node
		Names       []ImportName
		WithContext bool
	}
	// ExprStmt evaluates and prints nothing.
	ExprStmt struct {
		Pos
		Node Node
	}
	// Assign is set Target = Node.
	Assign struct {
		Pos
		Target, Node Node
	}
	// AssignBlock is set Target with a body; Filter may be nil.
	AssignBlock struct {
		Pos
		Target Node
		Filter *Filter
		Body   []Node
	}
	// Continue starts the next round.
	Continue struct{ Pos }
	// Break ends the loop.
	Break struct{ Pos }
	// Scope is a scope of its own.
	Scope struct {
		Pos
		Body []Node
	}
	// Autoescape says whether the output of its body is escaped for HTML.
	Autoescape struct {
		Pos
		Value Node
		Body  []Node
	}
)

// ImportName is one name of a from-import; As is what it is called here.
type ImportName struct{ Name, As string }

// children calls f for the parts of a call's arguments.
func (a *Args) children(f func(Node)) {
	each(a.Pos, f)
	for _, k := range a.Kw {
		f(k.Value)
	}
	opt(a.Star, f)
	opt(a.Star2, f)
}

func each(ns []Node, f func(Node)) {
	for _, n := range ns {
		f(n)
	}
}

func opt(n Node, f func(Node)) {
	if n != nil {
		f(n)
	}
}

// Children calls f for the direct parts of a node, in jinja2's order.
func Children(n Node, f func(Node)) {
	switch x := n.(type) {
	case *TupleExpr:
		each(x.Items, f)
	case *ListExpr:
		each(x.Items, f)
	case *DictExpr:
		for i := range x.Keys {
			f(x.Keys[i])
			f(x.Values[i])
		}
	case *CondExpr:
		f(x.Test)
		f(x.Then)
		opt(x.Else, f)
	case *Filter:
		opt(x.Node, f)
		x.Args.children(f)
	case *Test:
		f(x.Node)
		x.Args.children(f)
	case *Call:
		f(x.Func)
		x.Args.children(f)
	case *Getattr:
		f(x.Node)
	case *Getitem:
		f(x.Node)
		f(x.Arg)
	case *Slice:
		opt(x.Start, f)
		opt(x.Stop, f)
		opt(x.Step, f)
	case *Concat:
		each(x.Nodes, f)
	case *Compare:
		f(x.Expr)
		for _, o := range x.Ops {
			f(o.Expr)
		}
	case *Binary:
		f(x.Left)
		f(x.Right)
	case *Unary:
		f(x.Node)
	case *Template:
		each(x.Body, f)
	case *Output:
		each(x.Nodes, f)
	case *Extends:
		f(x.Template)
	case *For:
		f(x.Target)
		f(x.Iter)
		each(x.Body, f)
		each(x.Else, f)
		opt(x.Test, f)
	case *If:
		f(x.Test)
		each(x.Body, f)
		for _, e := range x.Elif {
			f(e)
		}
		each(x.Else, f)
	case *Macro:
		params(x.Args, x.Defaults, f)
		each(x.Body, f)
	case *CallBlock:
		f(x.Call)
		params(x.Args, x.Defaults, f)
		each(x.Body, f)
	case *FilterBlock:
		each(x.Body, f)
		f(x.Filter)
	case *With:
		each(x.Targets, f)
		each(x.Values, f)
		each(x.Body, f)
	case *Block:
		each(x.Body, f)
	case *Include:
		f(x.Template)
	case *Import:
		f(x.Template)
	case *FromImport:
		f(x.Template)
	case *ExprStmt:
		f(x.Node)
	case *Assign:
		f(x.Target)
		f(x.Node)
	case *AssignBlock:
		f(x.Target)
		if x.Filter != nil {
			f(x.Filter)
		}
		each(x.Body, f)
	case *Scope:
		each(x.Body, f)
	case *Autoescape:
		f(x.Value)
		each(x.Body, f)
	}
}

func params(args []*Name, defaults []Node, f func(Node)) {
	for _, a := range args {
		f(a)
	}
	each(defaults, f)
}

// Walk calls f for n and, while f returns true, all that is below it.
func Walk(n Node, f func(Node) bool) {
	if f(n) {
		Children(n, func(c Node) { Walk(c, f) })
	}
}
