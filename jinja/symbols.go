package jinja

import (
	"github.com/gosalt/gosalt/jinja/syntax"
)

// Names are resolved when a template is compiled. A scope says for each name of
// its own where its value comes from when the scope is entered; which that is
// depends on what the template does with the name first, as in jinja2.

type source int

const (
	fromParam   source = iota // set by whoever enters the scope
	fromContext               // looked up by name
	fromOuter                 // copied from an outer scope
	fromNothing               // unset until assigned
)

// ident is a variable: a name at a depth of nesting. Scopes beside one another in
// one function share it.
type ident struct {
	level int
	name  string
}

type load struct {
	id   ident
	from source
}

// scope is the names of one block of code.
type scope struct {
	level  int
	parent *scope
	fn     *funcScope
	refs   map[string]ident
	loads  []load
	stores []string
}

// funcScope numbers the variables of one function.
type funcScope struct {
	slots map[ident]int
}

func newFuncScope() *funcScope { return &funcScope{slots: map[ident]int{}} }

func (fn *funcScope) slot(id ident) int {
	i, ok := fn.slots[id]
	if !ok {
		i = len(fn.slots)
		fn.slots[id] = i
	}
	return i
}

func newScope(parent *scope, fn *funcScope) *scope {
	s := &scope{parent: parent, fn: fn, refs: map[string]ident{}}
	if parent != nil {
		s.level = parent.level + 1
	}
	return s
}

func (s *scope) copy() *scope {
	c := *s
	c.refs = make(map[string]ident, len(s.refs))
	for k, v := range s.refs {
		c.refs[k] = v
	}
	c.loads = append([]load(nil), s.loads...)
	c.stores = append([]string(nil), s.stores...)
	return &c
}

func (s *scope) define(name string, from source) ident {
	id := ident{s.level, name}
	s.refs[name] = id
	s.setLoad(id, from)
	return id
}

func (s *scope) setLoad(id ident, from source) {
	for i := range s.loads {
		if s.loads[i].id == id {
			s.loads[i].from = from
			return
		}
	}
	s.loads = append(s.loads, load{id, from})
}

// find gives the scope that knows a name.
func (s *scope) find(name string) *scope {
	for ; s != nil; s = s.parent {
		if _, ok := s.refs[name]; ok {
			return s
		}
	}
	return nil
}

func (s *scope) stored(name string) bool {
	for _, n := range s.stores {
		if n == name {
			return true
		}
	}
	return false
}

func (s *scope) addStore(name string) {
	if !s.stored(name) {
		s.stores = append(s.stores, name)
	}
}

func (s *scope) store(name string) {
	s.addStore(name)
	if _, ok := s.refs[name]; ok {
		return
	}
	if s.parent.find(name) != nil {
		s.define(name, fromOuter)
		return
	}
	s.define(name, fromNothing)
}

func (s *scope) param(name string) ident {
	s.addStore(name)
	return s.define(name, fromParam)
}

func (s *scope) load(name string) {
	if s.find(name) == nil {
		s.define(name, fromContext)
	}
}

// merge takes in what the branches of an if do: a name that only some of them
// assign has its outer value in the others.
func (s *scope) merge(branches []*scope) {
	count := map[string]int{}
	var order []string
	for _, b := range branches {
		for _, n := range b.stores {
			if !s.stored(n) {
				if count[n] == 0 {
					order = append(order, n)
				}
				count[n]++
			}
		}
	}
	for _, b := range branches {
		for n, id := range b.refs {
			s.refs[n] = id
		}
		for _, l := range b.loads {
			s.setLoad(l.id, l.from)
		}
		for _, n := range b.stores {
			s.addStore(n)
		}
	}
	for _, n := range order {
		if count[n] == len(branches) {
			continue
		}
		from := fromContext
		if s.parent.find(n) != nil {
			from = fromOuter
		}
		s.setLoad(s.find(n).refs[n], from)
	}
}

// visible lists the names that code in the scope has assigned, for included templates.
func (s *scope) visible() []string {
	var out []string
	seen := map[string]bool{}
	for ; s != nil; s = s.parent {
		for _, n := range s.stores {
			if !seen[n] {
				seen[n] = true
				out = append(out, n)
			}
		}
	}
	return out
}

// visit notes what a node that is in the scope does with names.
func (s *scope) visit(n syntax.Node) { s.visitAs(n, false) }

func (s *scope) visitAll(ns []syntax.Node) {
	for _, n := range ns {
		s.visit(n)
	}
}

func (s *scope) visitAs(n syntax.Node, param bool) {
	switch x := n.(type) {
	case *syntax.Name:
		switch {
		case param || x.Ctx == syntax.Param:
			s.param(x.Name)
		case x.Ctx == syntax.Store:
			s.store(x.Name)
		default:
			s.load(x.Name)
		}
	case *syntax.NSRef:
		s.load(x.Name)
	case *syntax.If:
		s.visit(x.Test)
		branch := func(f func(b *scope)) *scope {
			b := s.copy()
			f(b)
			return b
		}
		s.merge([]*scope{
			branch(func(b *scope) { b.visitAll(x.Body) }),
			branch(func(b *scope) {
				for _, e := range x.Elif {
					b.visit(e)
				}
			}),
			branch(func(b *scope) { b.visitAll(x.Else) }),
		})
	case *syntax.Macro:
		s.store(x.Name)
	case *syntax.Import:
		s.visit(x.Template)
		s.store(x.Target)
	case *syntax.FromImport:
		s.visit(x.Template)
		for _, name := range x.Names {
			s.store(name.As)
		}
	case *syntax.Assign:
		s.visit(x.Node)
		s.visit(x.Target)
	case *syntax.For:
		s.visit(x.Iter)
	case *syntax.CallBlock:
		s.visit(x.Call)
	case *syntax.FilterBlock:
		s.visit(x.Filter)
	case *syntax.With:
		s.visitAll(x.Values)
	case *syntax.AssignBlock:
		s.visit(x.Target)
	case *syntax.Scope, *syntax.Block:
	default:
		syntax.Children(n, func(c syntax.Node) { s.visitAs(c, param) })
	}
}

// undeclared tells which of the names the nodes read without having assigned them.
func undeclared(nodes []syntax.Node, names ...string) map[string]bool {
	open := map[string]bool{}
	for _, n := range names {
		open[n] = true
	}
	found := map[string]bool{}
	for _, n := range nodes {
		syntax.Walk(n, func(n syntax.Node) bool {
			if len(found) == len(names) {
				return false
			}
			switch x := n.(type) {
			case *syntax.Block:
				return false
			case *syntax.Name:
				if x.Ctx == syntax.Load && open[x.Name] {
					found[x.Name] = true
				} else {
					delete(open, x.Name)
				}
			}
			return true
		})
	}
	return found
}
