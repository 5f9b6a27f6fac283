package compile

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/jinja/py"
)

// Low makes the chunks of high data, in the order in which they run: dicts with state,
// fun, name, __id__, __sls__, __env__, order and the arguments.
func (c *Compiler) Low(_ context.Context, high *py.Dict) []*py.Dict {
	var chunks []*py.Dict
	for _, e := range entries(high) {
		body, ok := e.val.(*py.Dict)
		if !ok || internal(e.text) {
			continue
		}
		for _, s := range entries(body) {
			if l, ok := s.val.(*py.List); ok && !internal(s.text) {
				chunks = append(chunks, chunksOf(e.key, s.text, body, l)...)
			}
		}
	}
	return orderChunks(chunks)
}

// chunksOf makes the chunks of one state: one, or one for each of its names.
func chunksOf(id py.Value, state string, body *py.Dict, run *py.List) []*py.Dict {
	chunk := py.NewDict(8)
	chunk.SetStr("state", state)
	chunk.SetStr("name", id)
	for _, key := range []string{"__sls__", "__env__"} {
		if v, ok := body.GetStr(key); ok {
			chunk.SetStr(key, v)
		}
	}
	chunk.SetStr("__id__", id)
	var funs []string
	var names []py.Value
	for _, arg := range run.Items {
		if s, ok := py.AsString(arg); ok {
			if !slices.Contains(funs, s) {
				funs = append(funs, s)
			}
			continue
		}
		d, ok := arg.(*py.Dict)
		if !ok {
			continue
		}
		for key, val := range d.All() {
			switch key {
			case "names":
				add := func(v py.Value) {
					if !slices.ContainsFunc(names, func(n py.Value) bool { return equal(n, v) }) {
						names = append(names, v)
					}
				}
				switch n := val.(type) {
				case *py.List:
					for _, v := range n.Items {
						add(v)
					}
				default:
					_ = py.Each(nil, val, func(v py.Value) error { add(v); return nil }) // no list: Verify has said so
				}
			case "state": // cannot be overridden
			case "name":
				if _, ok := py.AsString(val); !ok {
					val = id
				}
				chunk.SetStr("name", val)
			default:
				_ = chunk.Set(key, val) // a key of a dict can be one of another
			}
		}
	}
	var out []*py.Dict
	emit := func(live *py.Dict) {
		// More than one function is an error that Verify reports.
		for _, f := range funs {
			live.SetStr("fun", f)
			out = append(out, live)
		}
	}
	if len(names) == 0 {
		emit(py.Copy(chunk).(*py.Dict))
		return out
	}
	for i, n := range names {
		live := py.Copy(chunk).(*py.Dict)
		if d, ok := n.(*py.Dict); ok {
			key, val, _ := first(d)
			live.SetStr("name", key)
			_ = py.Each(nil, val, func(v py.Value) error { // what is no list of arguments adds none
				if a, ok := v.(*py.Dict); ok {
					return py.Update(nil, live, a)
				}
				return nil
			})
		} else {
			live.SetStr("name", n)
		}
		live.SetStr("name_order", int64(i+1))
		emit(live)
	}
	return out
}

// orderChunks numbers and sorts chunks.
func orderChunks(chunks []*py.Dict) []*py.Dict {
	limit := int64(1)
	for _, ch := range chunks {
		if v, ok := ch.GetStr("order"); ok {
			if n, ok := py.AsInt(v); ok && n > limit-1 && n > 0 {
				limit = n + 100
			}
		}
	}
	add := func(a, b py.Value) py.Value {
		v, err := py.Binary(nil, "+", a, b)
		if err != nil {
			return a
		}
		return v
	}
	for _, ch := range chunks {
		order, ok := ch.GetStr("order")
		if !ok {
			ch.SetStr("order", limit)
			continue
		}
		if !py.IsNumber(order) {
			switch order {
			case "last":
				order = limit + 1000000
			case "first":
				order = int64(0)
			default:
				order = limit
			}
		}
		if n, ok := ch.GetStr("name_order"); ok {
			pop(ch, "name_order")
			f, _ := py.ToFloat(n)
			order = add(order, f/10000)
		}
		if neg, _ := py.Compare(nil, py.LT, order, int64(0)); neg {
			order = add(limit+1000000, order)
		}
		ch.SetStr("order", order)
	}
	type ranked struct {
		chunk *py.Dict
		order float64
		tag   string
	}
	all := make([]ranked, len(chunks))
	for i, ch := range chunks {
		v, _ := ch.GetStr("order")
		f, _ := py.ToFloat(v)
		name, _ := ch.GetStr("name")
		all[i] = ranked{ch, f, textOf(ch, "state") + str(name) + textOf(ch, "fun")}
	}
	slices.SortStableFunc(all, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(a.order, b.order), strings.Compare(a.tag, b.tag))
	})
	for i := range all {
		chunks[i] = all[i].chunk
	}
	return chunks
}
