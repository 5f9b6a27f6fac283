package compile

import (
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/target"
	"github.com/gosalt/gosalt/jinja/py"
)

// requisites are the arguments of states that name other states; lists of them are
// joined where a state is extended.
var requisites = []string{
	"onchanges", "onchanges_any", "onfail", "onfail_any", "onfail_all", "onfail_stop", "prereq", "prerequired",
	"watch", "watch_any", "require", "require_any", "listen",
}

// High puts extend into effect, verifies, and puts requisites of the form _in and
// exclude into effect: high data as states are run of it. It changes high.
func (c *Compiler) High(high *py.Dict) Errors {
	errs := c.Extend(high)
	errs = append(errs, c.Verify(high)...)
	if len(errs) > 0 {
		return errs
	}
	errs = c.RequisiteIn(high)
	c.Exclude(high)
	return errs
}

// Extend puts the extend statements into effect.
func (c *Compiler) Extend(high *py.Dict) Errors { return c.extend(high, false) }

func (c *Compiler) extend(high *py.Dict, strict bool) Errors {
	var errs Errors
	v, ok := high.GetStr("__extend__")
	if !ok {
		return nil
	}
	pop(high, "__extend__")
	l, _ := v.(*py.List)
	if l == nil {
		return nil
	}
	for _, e := range l.Items {
		ext, ok := e.(*py.Dict)
		if !ok {
			continue
		}
		for _, e := range entries(ext) {
			if body, ok := e.val.(*py.Dict); ok {
				c.extendOne(high, e.key, body, strict, &errs)
			}
		}
	}
	return errs
}

func (c *Compiler) extendOne(high *py.Dict, name py.Value, body *py.Dict, strict bool, errs *Errors) {
	kind := ""
	for _, s := range entries(body) {
		if s.ok && !internal(s.text) {
			kind = s.text
			break
		}
	}
	if kind == "" {
		return
	}
	id, _, _ := high.Get(name)
	into, _ := id.(*py.Dict)
	if into == nil || !has(into, kind) {
		ids := c.findName(name, kind, high, strict)
		if len(ids) != 1 {
			env, sls := textOf(body, "__env__"), textOf(body, "__sls__")
			if env == "" {
				env = "base"
			}
			if sls == "" {
				sls = "base"
			}
			c.add(errs, "extend", str(name), "Cannot extend ID '%[1]s' in '%[2]s:%[3]s'. It is not part of the high state.\n"+
				"This is likely due to a missing include statement or an incorrectly typed ID.\n"+
				"Ensure that a state with an ID of '%[1]s' is available\nin environment '%[2]s' and to SLS '%[3]s'", str(name), env, sls)
			return
		}
		id, _, _ = high.Get(ids[0].id)
		if into, _ = id.(*py.Dict); into == nil {
			return
		}
	}
	var excluded []string
	if v, ok := high.GetStr("__exclude__"); ok {
		if l, ok := v.(*py.List); ok {
			for _, x := range l.Items {
				if d, ok := x.(*py.Dict); ok {
					if s := textOf(d, "sls"); s != "" {
						excluded = append(excluded, s)
					}
				} else if s, ok := py.AsString(x); ok {
					excluded = append(excluded, s)
				}
			}
		}
	}
	if slices.Contains(excluded, textOf(body, "__sls__")) {
		c.log.Debug("an extend of an excluded SLS is left out", "id", str(name), "sls", textOf(body, "__sls__"))
		return
	}
	for _, s := range entries(body) {
		if !s.ok || internal(s.text) {
			continue
		}
		old, ok := into.GetStr(s.text)
		if !ok {
			into.SetStr(s.text, s.val)
			continue
		}
		dst, ok1 := old.(*py.List)
		src, ok2 := s.val.(*py.List)
		if ok1 && ok2 {
			extendList(dst, src)
		}
	}
}

// extendList puts the arguments of src in the place of those of dst, or behind them.
func extendList(dst, src *py.List) {
	for _, arg := range src.Items {
		update := false
		for i, val := range dst.Items {
			_, s1 := py.AsString(arg)
			_, s2 := py.AsString(val)
			if s1 && s2 {
				dst.Items[i] = arg
				update = true
				continue
			}
			a, ok1 := arg.(*py.Dict)
			b, ok2 := val.(*py.Dict)
			if !ok1 || !ok2 {
				continue
			}
			key, av, _ := first(a)
			other, bv, _ := first(b)
			if equal(key, other) {
				name, _ := py.AsString(key)
				bl, isList := bv.(*py.List)
				if slices.Contains(requisites, name) && isList {
					if al, ok := av.(*py.List); ok {
						bl.Items = append(bl.Items, slices.Clone(al.Items)...)
					}
				} else {
					dst.Items[i] = arg
				}
				update = true
			}
			if key == "name" && other == "names" {
				dst.Items[i] = arg
			}
		}
		if !update {
			dst.Items = append(dst.Items, arg)
		}
	}
}

// found is a state that a name leads to.
type found struct {
	id    py.Value
	state string
}

// findName finds what a requisite names: the ID, or states whose arguments hold the
// name.
func (c *Compiler) findName(name py.Value, kind string, high *py.Dict, strict bool) []found {
	var out []found
	body, ok, err := high.Get(name)
	there := ok && err == nil
	if there && strict {
		d, _ := body.(*py.Dict)
		there = d != nil && has(d, kind)
	}
	switch {
	case there:
		return []found{{name, kind}}
	case kind == "sls":
		for _, e := range entries(high) {
			d, ok := e.val.(*py.Dict)
			if !ok {
				continue
			}
			if v, ok := d.GetStr("__sls__"); ok && equal(v, name) {
				k, _, _ := first(d)
				s, _ := py.AsString(k)
				out = append(out, found{e.key, s})
			}
		}
		return out
	}
	for _, e := range entries(high) {
		d, ok := e.val.(*py.Dict)
		if !ok {
			continue
		}
		v, ok := d.GetStr(kind)
		if !ok {
			continue
		}
		l, ok := v.(*py.List)
		if !ok {
			continue
		}
		for _, arg := range l.Items {
			if a, ok := arg.(*py.Dict); ok && a.Len() == 1 {
				if _, val, _ := first(a); equal(val, name) {
					out = append(out, found{e.key, kind})
				}
			}
		}
	}
	return out
}

// Exclude takes out what exclude statements name.
func (c *Compiler) Exclude(high *py.Dict) {
	v, ok := high.GetStr("__exclude__")
	if !ok {
		return
	}
	pop(high, "__exclude__")
	var sls []string
	ids := newDict()
	l, _ := v.(*py.List)
	if l == nil {
		return
	}
	for _, x := range l.Items {
		if s, ok := py.AsString(x); ok {
			sls = append(sls, s)
			continue
		}
		if d, ok := x.(*py.Dict); ok && d.Len() == 1 {
			key, val, _ := first(d)
			switch key {
			case "sls":
				sls = append(sls, str(val))
			case "id":
				_ = ids.Set(val, true) // an ID that is no key is none
			}
		}
	}
	for _, e := range entries(high) {
		body, ok := e.val.(*py.Dict)
		if !ok || internal(e.text) {
			continue
		}
		of := textOf(body, "__sls__")
		if of != "" && slices.ContainsFunc(sls, func(p string) bool { return target.Fnmatch(p, of) }) {
			_ = ids.Set(e.key, true)
		}
	}
	for k := range ids.All() {
		_, _, _ = high.Delete(k)
	}
}

// Verify tells what of the high data is not formed as states are.
func (c *Compiler) Verify(high *py.Dict) Errors {
	var errs Errors
	reqs := map[string]*requires{}
	for _, e := range entries(high) {
		if e.ok && internal(e.text) {
			continue
		}
		body, ok := e.val.(*py.Dict)
		sls := ""
		if ok {
			sls = textOf(body, "__sls__")
		}
		if !e.ok {
			c.add(&errs, e.key, "", "ID '%s' in SLS '%s' is not formed as a string, but is a %s. It may need to be quoted.", str(e.key), sls, py.TypeName(e.key))
		}
		if !ok {
			c.add(&errs, e.key, "", "The type %s in %s is not formatted as a dictionary", str(e.key), str(e.val))
			continue
		}
		for _, s := range entries(body) {
			if internal(s.text) {
				continue
			}
			switch l := s.val.(type) {
			case nil:
				c.add(&errs, e.key, s.text, "ID '%s' in SLS '%s' contains a short declaration (%s) with a trailing colon. When not passing any arguments to a state, the colon must be omitted.", str(e.key), sls, s.text)
			case *py.List:
				c.verifyState(&errs, e.key, s.text, sls, l, reqs)
			default:
				c.add(&errs, e.key, s.text, "State '%s' in SLS '%s' is not formed as a list", str(e.key), sls)
			}
		}
	}
	return errs
}

// requires are the last requisites seen of an ID, to find two that need each other.
type requires struct {
	state string
	of    *py.Dict // by the ID they name, the state
}

func (c *Compiler) verifyState(errs *Errors, id py.Value, state, sls string, args *py.List, reqs map[string]*requires) {
	name := str(id)
	var funs []string
	n := 0
	if _, fun, ok := strings.Cut(state, "."); ok {
		funs = append(funs, fun)
		n++
	}
	for _, arg := range args.Items {
		if s, ok := py.AsString(arg); ok {
			n++
			funs = append(funs, s)
			if strings.Contains(py.Strip(s), " ") {
				c.add(errs, id, state, `The function "%s" in state "%s" in SLS "%s" has whitespace, a function with whitespace is not supported, perhaps this is an argument that is missing a ":"`, s, name, sls)
			}
			continue
		}
		d, ok := arg.(*py.Dict)
		if !ok {
			continue
		}
		key, val, ok := first(d)
		if !ok {
			continue
		}
		list, isList := val.(*py.List)
		switch key {
		case "names":
			if !isList {
				c.add(errs, id, state, "The 'names' argument in state '%s' in SLS '%s' needs to be formed as a list", name, sls)
			}
		case "require", "watch", "prereq", "onchanges":
			if !isList {
				c.add(errs, id, state, "The %s statement in state '%s' in SLS '%s' needs to be formed as a list", key, name, sls)
			} else {
				c.verifyRequisites(errs, id, state, sls, list, reqs)
			}
			if d.Len() != 1 {
				c.add(errs, id, state, "Multiple dictionaries defined in argument of state '%s' in SLS '%s'", name, sls)
			}
		}
	}
	switch {
	case n == 0 && (state == "require" || state == "watch"):
	case n == 0:
		c.add(errs, id, state, "No function declared in state '%s' in SLS '%s'", name, sls)
	case n > 1:
		c.add(errs, id, state, "Too many functions declared in state '%s' in SLS '%s'. Please choose one of the following: %s", name, sls, strings.Join(funs, ", "))
	}
}

func (c *Compiler) verifyRequisites(errs *Errors, id py.Value, state, sls string, list *py.List, reqs map[string]*requires) {
	name := str(id)
	mine := &requires{state, newDict()}
	reqs[name] = mine
	for _, req := range list.Items {
		if s, ok := py.AsString(req); ok {
			req = single("id", s)
		}
		d, ok := req.(*py.Dict)
		if !ok {
			c.add(errs, id, state, "Requisite declaration %s in SLS %s is not formed as a single key dictionary", str(req), sls)
			continue
		}
		key, val, ok := first(d)
		if !ok {
			continue
		}
		kind := str(key)
		if before, _, dot := strings.Cut(kind, "."); dot {
			c.add(errs, id, state, "Invalid requisite type '%s' in state '%s', in SLS '%s'. Requisite types must not contain dots, did you mean '%s'?", kind, name, sls, before)
		}
		if !hashable(val) {
			c.add(errs, id, state, "Illegal requisite \"%s\", please check your syntax.\n", str(val))
			continue
		}
		_ = mine.of.Set(val, kind) // hashable
		other := reqs[str(val)]
		if other == nil {
			continue
		}
		back, ok, _ := other.of.Get(id)
		if ok && back == state && other.state == kind {
			c.add(errs, id, state, `A recursive requisite was found, SLS "%s" ID "%s" ID "%s"`, sls, name, str(val))
		}
	}
}
