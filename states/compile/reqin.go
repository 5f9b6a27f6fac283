package compile

import (
	"slices"
	"strings"

	"github.com/gosalt/gosalt/jinja/py"
)

// reversed are the arguments that change other states than the one they stand in, or
// that take arguments over.
var reversed = []string{"require_in", "watch_in", "onfail_in", "onchanges_in", "use", "use_in", "prereq", "prereq_in"}

// notUsed are the arguments that use does not take over.
var notUsed = append(slices.Clone(reversed), "require", "watch", "onfail", "onfail_stop", "onchanges", "name", "names")

// RequisiteIn gives the states that require_in, watch_in and their like name the
// requisite itself, and takes over the arguments of use.
func (c *Compiler) RequisiteIn(high *py.Dict) Errors {
	r := &reqIn{c: c, high: high, extend: newDict()}
	var disabled []string
	switch v := get(c.opts, "disabled_requisites").(type) {
	case []any:
		for _, e := range v {
			if s, ok := e.(string); ok {
				disabled = append(disabled, s)
			}
		}
	case string:
		disabled = []string{v}
	}
	for _, e := range entries(high) {
		body, ok := e.val.(*py.Dict)
		if !ok {
			continue
		}
		for _, s := range entries(body) {
			l, ok := s.val.(*py.List)
			if !ok || internal(s.text) {
				continue
			}
			for _, arg := range slices.Clone(l.Items) {
				d, ok := arg.(*py.Dict)
				if !ok || d.Len() < 1 {
					continue
				}
				key := firstText(d)
				if !slices.Contains(reversed, key) {
					continue
				}
				if slices.Contains(disabled, key) {
					c.log.Warn("a requisite is disabled by the configuration", "requisite", key)
					continue
				}
				_, val, _ := first(d)
				from := origin{id: e.key, state: s.text, body: body}
				switch v := val.(type) {
				case *py.Dict:
					r.single(from, key, v)
				case *py.List:
					r.list(from, key, v)
				}
			}
		}
	}
	ext := py.NewList()
	for k, v := range r.extend.All() {
		ext.Items = append(ext.Items, single(k, v))
	}
	high.SetStr("__extend__", ext)
	return append(r.errs, c.extend(high, true)...)
}

// origin is the state that a requisite stands in.
type origin struct {
	id    py.Value
	state string
	body  *py.Dict
}

type reqIn struct {
	c      *Compiler
	high   *py.Dict
	extend *py.Dict // what is to be added, by ID
	errs   Errors
}

// undot reports a requisite such as {pkg.installed: vim} and takes it for {pkg: vim}.
func (r *reqIn) undot(from origin, rkey, state string, name py.Value) string {
	before, _, dot := strings.Cut(state, ".")
	if dot {
		r.c.add(&r.errs, from.id, from.state, "Invalid requisite in %s: %s for %s, in SLS '%s'. Requisites must not contain dots, did you mean '%s'?",
			rkey, state, str(name), textOf(from.body, "__sls__"), before)
	}
	return before
}

// add notes that the state {state: name} gets the requisite rkey on from.
func (r *reqIn) add(from origin, rkey, state string, name py.Value) {
	d := childDict(r.extend, name)
	l := child(d, state)
	for _, key := range []string{"__env__", "__sls__"} {
		if v, ok := from.body.GetStr(key); ok {
			d.SetStr(key, v)
		}
	}
	found := false
	for _, arg := range l.Items {
		if a, ok := arg.(*py.Dict); ok && firstText(a) == rkey {
			reqs := child(a, rkey)
			reqs.Items = append(reqs.Items, single(from.state, from.id))
			found = true
		}
	}
	if !found {
		l.Items = append(l.Items, single(rkey, py.NewList(single(from.state, from.id))))
	}
}

// single takes a requisite that is formed as a dict.
func (r *reqIn) single(from origin, key string, of *py.Dict) {
	rkey, _, _ := strings.Cut(key, "_")
	for _, e := range entries(of) {
		childDict(r.extend, e.val)
		r.add(from, rkey, r.undot(from, rkey, str(e.key), e.val), e.val)
	}
}

// list takes a requisite that is formed as a list. As in Salt, states that one entry
// names are named by the entries after it too, until an sls entry begins anew.
func (r *reqIn) list(from origin, key string, of *py.List) {
	rkey, _, _ := strings.Cut(key, "_")
	var hinges []found
	for _, ind := range slices.Clone(of.Items) {
		d, ok := ind.(*py.Dict)
		if !ok {
			if d = r.byName(ind); d == nil {
				continue
			}
		}
		if d.Len() < 1 {
			continue
		}
		k, name, _ := first(d)
		state := str(k)
		if state == "sls" {
			hinges = r.slsIDs(name)
		} else {
			hinges = append(hinges, found{name, state})
		}
		r.undot(from, rkey, state, name)
		for _, h := range hinges {
			switch key {
			case "prereq_in":
				l := child(childDict(r.extend, from.id), from.state)
				l.Items = append(l.Items, single("prerequired", py.NewList(single(h.state, h.id))))
				r.add(from, rkey, h.state, h.id)
			case "prereq":
				for _, f := range r.c.findName(h.id, h.state, r.high, true) {
					l := child(childDict(r.extend, f.id), f.state)
					l.Items = append(l.Items, single("prerequired", py.NewList(single(from.state, from.id))))
				}
			case "use_in":
				for _, f := range r.c.findName(h.id, h.state, r.high, true) {
					r.use(f, h.state, from.id, from.state)
				}
			case "use":
				for _, f := range r.c.findName(h.id, h.state, r.high, true) {
					r.use(found{from.id, from.state}, from.state, f.id, f.state)
				}
			default:
				r.add(from, rkey, h.state, h.id)
			}
		}
	}
}

// use gives to the arguments of from that it does not have. own is the state whose
// arguments it has.
func (r *reqIn) use(to found, own string, from py.Value, state string) {
	has := r.args(to.id, own)
	l := child(childDict(r.extend, to.id), to.state)
	body, _, _ := r.high.Get(from)
	d, _ := body.(*py.Dict)
	if d == nil {
		return
	}
	v, _ := d.GetStr(state)
	args, _ := v.(*py.List)
	if args == nil {
		return
	}
	for _, arg := range args.Items {
		a, ok := arg.(*py.Dict)
		if !ok || a.Len() != 1 {
			continue
		}
		if name := firstText(a); !slices.Contains(notUsed, name) && !slices.Contains(has, name) {
			l.Items = append(l.Items, a)
		}
	}
}

// args lists the names of a state's arguments.
func (r *reqIn) args(id py.Value, state string) []string {
	var out []string
	body, _, _ := r.high.Get(id)
	if d, ok := body.(*py.Dict); ok {
		v, _ := d.GetStr(state)
		if l, ok := v.(*py.List); ok {
			for _, arg := range l.Items {
				if a, ok := arg.(*py.Dict); ok && a.Len() == 1 {
					out = append(out, firstText(a))
				}
			}
		}
	}
	return out
}

// byName finds the state that an entry without a state's type names: the first state of
// the ID, or the last whose argument name it is.
func (r *reqIn) byName(ind py.Value) *py.Dict {
	if body, ok, err := r.high.Get(ind); ok && err == nil {
		if d, ok := body.(*py.Dict); ok {
			for _, s := range entries(d) {
				if !internal(s.text) {
					return single(s.text, ind)
				}
			}
		}
		return nil
	}
	var out *py.Dict
	for _, e := range entries(r.high) {
		body, ok := e.val.(*py.Dict)
		if !ok {
			continue
		}
		for _, s := range entries(body) {
			l, ok := s.val.(*py.List)
			if !ok || internal(s.text) {
				continue
			}
			for _, arg := range l.Items {
				if a, ok := arg.(*py.Dict); ok {
					if v, ok := a.GetStr("name"); ok && out == nil && equal(v, ind) {
						out = single(s.text, e.key)
					}
				}
			}
		}
	}
	return out
}

// slsIDs lists the states of an SLS.
func (r *reqIn) slsIDs(sls py.Value) []found {
	var out []found
	for _, e := range entries(r.high) {
		body, ok := e.val.(*py.Dict)
		if !ok {
			continue
		}
		if v, ok := body.GetStr("__sls__"); !ok || !equal(v, sls) {
			continue
		}
		for _, s := range entries(body) {
			if !internal(s.text) {
				out = append(out, found{e.key, s.text})
			}
		}
	}
	return out
}
