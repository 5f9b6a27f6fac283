package jinja

import (
	"fmt"

	"github.com/gosalt/gosalt/jinja/py"
	"github.com/gosalt/gosalt/jinja/syntax"
)

func (c *compiler) forStmt(x *syntax.For, b block) stmt {
	syntax.Walk(x, func(n syntax.Node) bool {
		if name, ok := n.(*syntax.Name); ok && name.Ctx == syntax.Store && name.Name == "loop" {
			c.fail(name.Line(), "Can't assign to special loop variable in for-loop target")
		}
		return true
	})
	extended := x.Recursive || undeclared(x.Body, "loop")["loop"]
	if !extended {
		syntax.Walk(x, func(n syntax.Node) bool {
			if bl, ok := n.(*syntax.Block); ok && bl.Scoped {
				extended = true
			}
			return true
		})
	}
	iter := c.expr(x.Iter, b)
	line := x.Line()

	// A recursive loop is a function that is called with what to loop over.
	outer := b
	fn := b.fn
	if x.Recursive {
		fn = newFuncScope()
	}
	inner := b.inner(fn)
	loopSlot := -1
	if extended {
		loopSlot = fn.slot(inner.param("loop"))
	}
	inner.visitAs(x.Target, true)
	inner.visitAll(x.Body)

	filter := c.loopFilter(x, b.inner(newFuncScope()), x.Recursive, fn)
	set := c.target(x.Target, inner)
	enter := c.enter(inner.scope)
	c.loops++
	body := c.body(x.Body, inner)
	c.loops--
	leave := c.leave(inner.scope)

	var other stmt
	if len(x.Else) > 0 {
		els := outer.inner(fn)
		els.visitAll(x.Else)
		other = c.scoped(els, x.Else)
	}

	// run goes over the elements of v.
	run := func(f *frame, v py.Value, recurse func(v py.Value, depth int) (py.Value, error), depth int) (control, error) {
		t := f.st.thread
		var err error
		if filter != nil {
			if v, err = filter(f, v); err != nil {
				return proceed, f.at(err, line)
			}
		}
		it, err := py.Iter(t, v)
		if err != nil {
			return proceed, f.at(err, line)
		}
		var loop *Loop
		if extended {
			f.slots[loopSlot] = py.Missing
			loop = &Loop{t: t, mode: f.st.env.Undefined, iterable: v, it: it, index0: -1, depth0: depth, recurse: recurse,
				after: py.Missing, current: py.Missing, before: py.Missing}
			it = loop
		}
		ran := false
		for {
			if err := t.Step(); err != nil {
				return proceed, f.at(err, line)
			}
			e, ok, err := it.Next()
			if err != nil {
				return proceed, f.at(err, line)
			}
			if !ok {
				break
			}
			if err := set(f, e); err != nil {
				return proceed, f.at(err, line)
			}
			if loop != nil {
				f.slots[loopSlot] = loop
			}
			enter(f)
			ctl, err := body(f)
			if err != nil {
				return proceed, err
			}
			if ctl == breakLoop {
				break
			}
			if ctl == proceed {
				ran = true
			}
		}
		leave(f)
		if other != nil && !ran {
			return other(f)
		}
		return proceed, nil
	}

	if !x.Recursive {
		return func(f *frame) (control, error) {
			v, err := iter(f)
			if err != nil {
				return proceed, f.at(err, line)
			}
			return run(f, v, nil, 0)
		}
	}
	return func(f *frame) (control, error) {
		v, err := iter(f)
		if err != nil {
			return proceed, f.at(err, line)
		}
		var recurse func(v py.Value, depth int) (py.Value, error)
		recurse = func(v py.Value, depth int) (py.Value, error) {
			if err := f.st.thread.Enter(); err != nil {
				return nil, err
			}
			defer f.st.thread.Leave()
			out := &output{thread: f.st.thread}
			g := &frame{slots: newSlots(len(fn.slots)), up: f, ctx: f.ctx, st: f.st, tmpl: f.tmpl, out: out}
			if _, err := run(g, v, recurse, depth); err != nil {
				return nil, leaving(err, "recursive loop")
			}
			return out.b.String(), nil
		}
		s, err := recurse(v, 0)
		if err == nil {
			err = f.print(s)
		}
		if err != nil {
			return proceed, f.at(err, line)
		}
		return proceed, nil
	}
}

// loopFilter compiles "for x in xs if test": a generator that is drawn from while
// the loop runs. nested tells that it runs in the function of a recursive loop.
func (c *compiler) loopFilter(x *syntax.For, b block, nested bool, loopFn *funcScope) func(f *frame, v py.Value) (py.Value, error) {
	if x.Test == nil {
		return nil
	}
	if nested { // one function more between the test and the scope around the loop
		between := newScope(b.parent, loopFn)
		b.scope = newScope(between, b.fn)
	}
	b.visitAs(x.Target, true)
	b.visit(x.Test)
	set := c.target(x.Target, b)
	enter := c.enter(b.scope)
	test := c.expr(x.Test, b)
	fn := b.fn
	line := x.Test.Line()
	return func(f *frame, v py.Value) (py.Value, error) {
		it, err := py.Iter(f.st.thread, v)
		if err != nil {
			return nil, err
		}
		var g *frame
		return py.Generator(func() (py.Value, bool, error) {
			if g == nil {
				g = &frame{slots: newSlots(len(fn.slots)), up: f, ctx: f.ctx, st: f.st, tmpl: f.tmpl, out: f.out}
				enter(g)
			}
			for {
				if err := f.st.thread.Step(); err != nil {
					return nil, false, err
				}
				e, ok, err := it.Next()
				if err != nil || !ok {
					return nil, false, err
				}
				if err := set(g, e); err != nil {
					return nil, false, g.at(err, line)
				}
				r, err := test(g)
				if err != nil {
					return nil, false, g.at(err, line)
				}
				keep, err := py.Truth(f.st.thread, r)
				if err != nil {
					return nil, false, g.at(err, line)
				}
				if keep {
					return e, true, nil
				}
			}
		}), nil
	}
}

// Loop is the variable loop.
type Loop struct {
	t        *py.Thread
	mode     py.Mode
	iterable py.Value
	it       py.Iterator
	index0   int
	depth0   int
	length   int // 0 while it is not known
	known    bool
	recurse  func(v py.Value, depth int) (py.Value, error)

	before, current, after, changed py.Value
}

// PyType is jinja2's class.
func (l *Loop) PyType() string { return "jinja2.runtime.LoopContext" }

// Next moves on to the next element.
func (l *Loop) Next() (py.Value, bool, error) {
	v := l.after
	l.after = py.Missing
	if v == py.Missing {
		e, ok, err := l.it.Next()
		if err != nil || !ok {
			return nil, false, err
		}
		v = e
	}
	l.index0++
	l.before, l.current = l.current, v
	return v, true, nil
}

func (l *Loop) peek() (py.Value, error) {
	if l.after == py.Missing {
		v, ok, err := l.it.Next()
		if err != nil {
			return nil, err
		}
		if ok {
			l.after = v
		}
	}
	return l.after, nil
}

// Len is the number of elements; an iterator is read to its end for it.
func (l *Loop) Len(t *py.Thread) (int, error) {
	if l.known {
		return l.length, nil
	}
	n, err := py.Len(t, l.iterable)
	if err != nil {
		if !py.IsA(err, "TypeError") {
			return 0, err
		}
		rest, err := py.Collect(t, l.it)
		if err != nil {
			return 0, err
		}
		n = len(rest) + l.index0 + 1
		if l.after != py.Missing {
			n++
		}
		if l.it, err = py.Iter(t, &py.List{Items: rest}); err != nil {
			return 0, err
		}
	}
	l.length, l.known = n, true
	return n, nil
}

// Attr gives loop.index and its like.
func (l *Loop) Attr(t *py.Thread, name string) (py.Value, bool, error) {
	count := func(minus int) (py.Value, bool, error) {
		n, err := l.Len(t)
		return int64(n - minus), true, err
	}
	undefined := func(hint string) (py.Value, bool, error) {
		return &py.Undefined{Hint: hint, Mode: l.mode}, true, nil
	}
	switch name {
	case "index":
		return int64(l.index0 + 1), true, nil
	case "index0":
		return int64(l.index0), true, nil
	case "revindex":
		return count(l.index0)
	case "revindex0":
		return count(l.index0 + 1)
	case "length":
		return count(0)
	case "first":
		return l.index0 == 0, true, nil
	case "last":
		v, err := l.peek()
		return v == py.Missing, true, err
	case "depth":
		return int64(l.depth0 + 1), true, nil
	case "depth0":
		return int64(l.depth0), true, nil
	case "previtem":
		if l.index0 == 0 {
			return undefined("there is no previous item")
		}
		return l.before, true, nil
	case "nextitem":
		v, err := l.peek()
		if err == nil && v == py.Missing {
			return undefined("there is no next item")
		}
		return v, true, err
	case "cycle":
		return py.NewFunc("LoopContext.cycle", "*args", func(c *py.Call) (py.Value, error) {
			args := c.Args[0].(py.Tuple)
			if len(args) == 0 {
				return nil, py.Raise("TypeError", "no items for cycling given")
			}
			return args[l.index0%len(args)], nil
		}), true, nil
	case "changed":
		return py.NewFunc("LoopContext.changed", "*value", func(c *py.Call) (py.Value, error) {
			if l.changed != nil {
				eq, err := py.Equal(c.T, l.changed, c.Args[0])
				if err != nil || eq {
					return false, err
				}
			}
			l.changed = c.Args[0]
			return true, nil
		}), true, nil
	}
	return nil, false, nil
}

// Call is loop(iterable) of a recursive loop.
func (l *Loop) Call(c *py.Call) (py.Value, error) {
	if len(c.Args) != 1 || len(c.Kw) > 0 {
		return nil, py.Raise("TypeError", "LoopContext.__call__() takes 2 positional arguments but %d were given", len(c.Args)+len(c.Kw)+1)
	}
	if l.recurse == nil {
		return nil, py.Raise("TypeError", "The loop must have the 'recursive' marker to be called recursively.")
	}
	return l.recurse(c.Args[0], l.depth0+1)
}

// Print is the loop's repr.
func (l *Loop) Print(t *py.Thread, _ bool) (string, error) {
	n, err := l.Len(t)
	return fmt.Sprintf("<LoopContext %d/%d>", l.index0+1, n), err
}
