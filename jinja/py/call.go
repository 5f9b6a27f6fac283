package py

import (
	"fmt"
	"strconv"
	"strings"
)

// KW is one keyword argument.
type KW struct {
	Name  string
	Value Value
}

// Call is one call of a function: its arguments, and where it happens.
type Call struct {
	T    *Thread
	Args []Value
	Kw   []KW // in the order written
	// Scope is what the calling template knows; for calls from templates a
	// *jinja.Context.
	Scope any
}

// Func is a function with named parameters, as Python's def makes it.
type Func struct {
	Name string
	sig  *signature
	fn   func(c *Call) (Value, error)
}

// NewFunc makes a function. Its parameters are written as in Python:
//
//	"value, n=3, *args, sep=', ', **kwargs"
//
// Defaults are None, True, False, numbers, quoted text, () for an empty tuple, or
// ? for [Missing]. A / at the end makes wrong calls read as those of functions
// written in C. fn finds c.Args bound in the order of the parameters: *args as
// a Tuple, **kwargs as a *Dict; c.Kw is empty. A wrong call raises Python's
// TypeError before fn runs. With "..." as parameters fn gets Args and Kw as they are.
// NewFunc panics on parameters that it cannot read.
func NewFunc(name, params string, fn func(c *Call) (Value, error)) *Func {
	return &Func{Name: name, sig: parseSignature(name, params), fn: fn}
}

// Call binds the arguments and runs the function.
func (f *Func) Call(c *Call) (Value, error) {
	if f.sig != nil {
		bound, err := f.sig.bind(c)
		if err != nil {
			return nil, err
		}
		c = &Call{T: c.T, Args: bound, Scope: c.Scope}
	}
	return f.fn(c)
}

// PyType is "function".
func (f *Func) PyType() string { return "function" }

// Print is the function's repr.
func (f *Func) Print(*Thread, bool) (string, error) {
	return fmt.Sprintf("<function %s at 0x%x>", f.Name, addressOf(f)), nil
}

type signature struct {
	name    string
	pos     []param // positional or keyword
	kwonly  []param
	varargs bool
	kwargs  bool
	native  bool // written in C, as far as messages tell
	hidden  int  // leading parameters that Python's function has and ours gets otherwise
}

type param struct {
	name     string
	def      Value
	required bool
}

func parseSignature(name, text string) *signature {
	if text == "..." {
		return nil
	}
	s := &signature{name: name}
	star := false
	for _, p := range splitParams(text) {
		switch {
		case strings.HasPrefix(p, "@"):
			s.hidden++
		case strings.HasPrefix(p, "**"):
			s.kwargs = true
		case p == "/":
			s.native = true
		case p == "*":
			star = true
		case strings.HasPrefix(p, "*"):
			s.varargs, star = true, true
		default:
			n, def, has := strings.Cut(p, "=")
			q := param{name: strings.TrimSpace(n), required: !has}
			if has {
				q.def = literal(strings.TrimSpace(def))
			}
			if star {
				s.kwonly = append(s.kwonly, q)
			} else {
				s.pos = append(s.pos, q)
			}
		}
	}
	return s
}

// splitParams splits at commas outside of quotes.
func splitParams(text string) []string {
	var out []string
	var quote rune
	start := 0
	for i, r := range text + "," {
		switch {
		case quote != 0:
			if r == quote {
				quote = 0
			}
		case r == '\'' || r == '"':
			quote = r
		case r == ',':
			if p := strings.TrimSpace((text + ",")[start:i]); p != "" {
				out = append(out, p)
			}
			start = i + 1
		}
	}
	return out
}

func literal(s string) Value {
	switch s {
	case "None":
		return nil
	case "True":
		return true
	case "False":
		return false
	case "()":
		return Tuple{}
	case "?":
		return Missing
	}
	if len(s) >= 2 && (s[0] == '\'' || s[0] == '"') && s[len(s)-1] == s[0] {
		return s[1 : len(s)-1]
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		return f
	}
	panic("py: no literal: " + s)
}

func (s *signature) bind(c *Call) ([]Value, error) {
	n := len(s.pos)
	if s.native {
		if len(c.Kw) > 0 {
			return nil, Raise("TypeError", "%s() takes no keyword arguments", s.name)
		}
		if k := len(c.Args); k != n {
			if n == 1 {
				return nil, Raise("TypeError", "%s() takes exactly one argument (%d given)", s.name, k)
			}
			return nil, Raise("TypeError", "%s expected %d arguments, got %d", s.name, n, k)
		}
	}
	size := n + len(s.kwonly)
	bound := make([]Value, size, size+2)
	for i := range bound {
		bound[i] = Missing
	}
	given := make([]bool, size)
	for i := range min(n, len(c.Args)) {
		bound[i], given[i] = c.Args[i], true
	}
	var extra *Dict
	if s.kwargs {
		extra = NewDict(len(c.Kw))
	}
kw:
	for _, k := range c.Kw {
		for i := range size {
			var p *param
			if i < n {
				p = &s.pos[i]
			} else {
				p = &s.kwonly[i-n]
			}
			if p.name == k.Name {
				if given[i] {
					return nil, Raise("TypeError", "%s() got multiple values for argument '%s'", s.name, k.Name)
				}
				bound[i], given[i] = k.Value, true
				continue kw
			}
		}
		if extra == nil {
			return nil, Raise("TypeError", "%s() got an unexpected keyword argument '%s'", s.name, k.Name)
		}
		extra.SetStr(k.Name, k.Value)
	}
	if len(c.Args) > n && !s.varargs {
		return nil, s.tooMany(len(c.Args))
	}
	var lacking []string
	for i := range size {
		if given[i] {
			continue
		}
		p := s.param(i)
		if p.required {
			lacking = append(lacking, "'"+p.name+"'")
			if i >= n {
				return nil, Raise("TypeError", "%s() missing %d required keyword-only argument: '%s'", s.name, 1, p.name)
			}
			continue
		}
		bound[i] = p.def
	}
	if len(lacking) > 0 {
		return nil, Raise("TypeError", "%s() missing %d required positional argument%s: %s", s.name, len(lacking), plural(len(lacking)), andList(lacking))
	}
	if s.varargs {
		var rest Tuple
		if len(c.Args) > n {
			rest = append(rest, c.Args[n:]...)
		}
		bound = append(bound, rest)
	}
	if s.kwargs {
		bound = append(bound, extra)
	}
	return bound, nil
}

func (s *signature) param(i int) *param {
	if i < len(s.pos) {
		return &s.pos[i]
	}
	return &s.kwonly[i-len(s.pos)]
}

func (s *signature) tooMany(given int) error {
	most := len(s.pos) + s.hidden
	least := s.hidden
	for _, p := range s.pos {
		if p.required {
			least++
		}
	}
	given += s.hidden
	was := "were"
	if given == 1 {
		was = "was"
	}
	if least < most {
		return Raise("TypeError", "%s() takes from %d to %d positional arguments but %d %s given", s.name, least, most, given, was)
	}
	return Raise("TypeError", "%s() takes %d positional argument%s but %d %s given", s.name, most, plural(most), given, was)
}

func plural(n int) string {
	if n == 1 {
		return ""
	}
	return "s"
}

// andList joins as Python does: 'a', 'b', and 'c'.
func andList(s []string) string {
	switch len(s) {
	case 1:
		return s[0]
	case 2:
		return s[0] + " and " + s[1]
	}
	return strings.Join(s[:len(s)-1], ", ") + ", and " + s[len(s)-1]
}

// Invoke calls f.
func Invoke(t *Thread, f Value, args []Value, kw []KW, scope any) (Value, error) {
	switch x := f.(type) {
	case Callable:
		if err := t.Step(); err != nil {
			return nil, err
		}
		return x.Call(&Call{T: t, Args: args, Kw: kw, Scope: scope})
	case *Undefined:
		return nil, x.Fail()
	}
	return nil, Raise("TypeError", "'%s' object is not callable", TypeName(f))
}

// method is a method of a builtin class.
type method struct {
	class, name string
	min, max    int      // number of arguments; max < 0 is any
	kw          []string // parameters that may be named, by position; "" may not
	anyKw       bool     // takes **kwargs as well
	search      bool     // one of find, count and their like, whose messages differ
	fn          func(c *Call, self Value) (Value, error)
}

// Bound is a method with its object.
type Bound struct {
	Self Value
	m    *method
}

// Name is the method's name.
func (b *Bound) Name() string { return b.m.name }

// PyType is "builtin_function_or_method"; format is wrapped by jinja2's sandbox
// and a plain function there.
func (b *Bound) PyType() string {
	if b.m.class == "str" && (b.m.name == "format" || b.m.name == "format_map") {
		return "function"
	}
	return "builtin_function_or_method"
}

// Print is the method's repr.
func (b *Bound) Print(*Thread, bool) (string, error) {
	return fmt.Sprintf("<built-in method %s of %s object at 0x%x>", b.m.name, TypeName(b.Self), addressOf(b.Self)), nil
}

// Equal compares object and method.
func (b *Bound) Equal(_ *Thread, other Value) (bool, error) {
	o, ok := other.(*Bound)
	return ok && o.m == b.m && Same(o.Self, b.Self), nil
}

// Call runs the method.
func (b *Bound) Call(c *Call) (Value, error) { return b.m.call(c, b.Self) }

func (m *method) call(c *Call, self Value) (Value, error) {
	if len(c.Kw) > 0 && !m.anyKw {
		if m.kw == nil {
			return nil, Raise("TypeError", "%s.%s() takes no keyword arguments", m.class, m.name)
		}
		args := append(make([]Value, 0, m.max), c.Args...)
	next:
		for _, k := range c.Kw {
			for i, name := range m.kw {
				if name != k.Name || name == "" {
					continue
				}
				for len(args) <= i {
					args = append(args, Missing)
				}
				if args[i] != Missing {
					return nil, Raise("TypeError", "argument for %s() given by name ('%s') and position (%d)", m.name, name, i+1)
				}
				args[i] = k.Value
				continue next
			}
			return nil, Raise("TypeError", "'%s' is an invalid keyword argument for %s()", k.Name, m.name)
		}
		c = &Call{T: c.T, Args: args, Scope: c.Scope}
	}
	if n := len(c.Args); n < m.min || m.max >= 0 && n > m.max {
		return nil, m.arity(n)
	}
	return m.fn(c, self)
}

func (m *method) arity(n int) error {
	full := m.class + "." + m.name
	switch {
	case m.max == 0:
		return Raise("TypeError", "%s() takes no arguments (%d given)", full, n)
	case m.min == 1 && m.max == 1:
		return Raise("TypeError", "%s() takes exactly one argument (%d given)", full, n)
	case m.search && n < m.min:
		return Raise("TypeError", "%s() takes at least %d argument%s (%d given)", m.name, m.min, plural(m.min), n)
	case m.search:
		return Raise("TypeError", "%s() takes at most %d argument%s (%d given)", m.name, m.max, plural(m.max), n)
	case m.kw != nil && n > m.max:
		return Raise("TypeError", "%s() takes at most %d argument%s (%d given)", m.name, m.max, plural(m.max), n)
	case m.min == m.max:
		return Raise("TypeError", "%s expected %d argument%s, got %d", m.name, m.min, plural(m.min), n)
	case n < m.min:
		return Raise("TypeError", "%s expected at least %d argument%s, got %d", m.name, m.min, plural(m.min), n)
	}
	return Raise("TypeError", "%s expected at most %d argument%s, got %d", m.name, m.max, plural(m.max), n)
}

// opt is the i-th argument, or def where it was not given.
func (c *Call) opt(i int, def Value) Value {
	if i < len(c.Args) && c.Args[i] != Missing {
		return c.Args[i]
	}
	return def
}
