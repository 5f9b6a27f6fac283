// Package value carries data between the three models that rendering joins: the
// wire's (protocol/wire), in which high data, pillar and results of functions are;
// the templates' (jinja/py); and the writers' (pytext), which is the wire's and what
// only Python has. What is one list or map on one side is one on the other.
package value

import (
	"math/big"
	"time"
	"unsafe"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/jinja/py"
	"github.com/gosalt/gosalt/protocol/wire"
)

// maxDepth bounds lists and maps inside one another.
const maxDepth = 500

// FromWire makes a template's value. Maps are dicts, of the class OrderedDict with
// ordered, as Salt's YAML renderer makes them. The value is a copy: templates cannot
// change the data it was made of. Values of templates stay as they are.
func FromWire(v any, ordered bool) (py.Value, error) {
	c := fromWire{}
	if ordered {
		c.class = py.OrderedDict
	}
	return c.value(v, 0)
}

type sliceID struct {
	first *any
	n     int
}

type fromWire struct {
	class string
	maps  map[*wire.Map]*py.Dict
	lists map[sliceID]*py.List
}

func (c *fromWire) value(v any, depth int) (py.Value, error) {
	if depth > maxDepth {
		return nil, py.Raise("RecursionError", "maximum recursion depth exceeded")
	}
	switch x := v.(type) {
	case nil, bool, int64, float64, string:
		return v, nil
	case []any:
		id := sliceID{unsafe.SliceData(x), len(x)}
		if l := c.lists[id]; l != nil && cap(x) > 0 {
			return l, nil
		}
		l := &py.List{Items: make([]py.Value, len(x))}
		if cap(x) > 0 {
			if c.lists == nil {
				c.lists = map[sliceID]*py.List{}
			}
			c.lists[id] = l
		}
		for i, e := range x {
			var err error
			if l.Items[i], err = c.value(e, depth+1); err != nil {
				return nil, err
			}
		}
		return l, nil
	case pytext.Ordered:
		d, err := c.value(x.Map, depth)
		if err == nil {
			d.(*py.Dict).Class = py.OrderedDict
		}
		return d, err
	case *wire.Map:
		if d := c.maps[x]; d != nil {
			return d, nil
		}
		d := py.NewDict(x.Len())
		d.Class = c.class
		if c.maps == nil {
			c.maps = map[*wire.Map]*py.Dict{}
		}
		c.maps[x] = d
		for k, e := range x.All() {
			key, err := c.value(k, depth+1)
			if err != nil {
				return nil, err
			}
			val, err := c.value(e, depth+1)
			if err != nil {
				return nil, err
			}
			if err := d.Set(key, val); err != nil {
				return nil, err
			}
		}
		return d, nil
	}
	return py.FromGo(v)
}

// ToWire makes the wire's data of a template's value, as it is sent, kept and handed
// to functions: tuples, sets and iterators are lists, and a whole number beyond 64 bits
// the text of its digits. An undefined value is its exception; other objects are the
// text that they print.
func ToWire(v py.Value) (any, error) {
	return (&toWire{}).value(v, 0)
}

// ToText makes what the writers of package pytext take: OrderedDict and set keep their
// class, and objects without a text are pytext.Opaque.
func ToText(v py.Value) (any, error) {
	return (&toWire{text: true}).value(v, 0)
}

type toWire struct {
	text  bool
	maps  map[*py.Dict]any
	lists map[*py.List][]any
}

func (c *toWire) value(v py.Value, depth int) (any, error) {
	if depth > maxDepth {
		return nil, py.Raise("RecursionError", "maximum recursion depth exceeded")
	}
	switch x := v.(type) {
	case nil, bool, int64, float64, string, time.Time:
		return v, nil
	case py.Markup:
		return string(x), nil
	case py.Bytes:
		return []byte(x), nil
	case *big.Int:
		if c.text {
			return x, nil
		}
		if x.IsUint64() {
			return x.Uint64(), nil
		}
		return x.String(), nil
	case *py.List:
		if l, ok := c.lists[x]; ok {
			return l, nil
		}
		l := make([]any, len(x.Items), max(1, len(x.Items))) // with memory of its own, which tells it apart
		if c.lists == nil {
			c.lists = map[*py.List][]any{}
		}
		c.lists[x] = l
		return l, c.fill(l, x.Items, depth)
	case py.Tuple:
		l := make([]any, len(x))
		return l, c.fill(l, x, depth)
	case *py.Set:
		vals := x.Values()
		l := make([]any, len(vals))
		if err := c.fill(l, vals, depth); err != nil {
			return nil, err
		}
		if c.text {
			return pytext.Set(l), nil
		}
		return l, nil
	case *py.Dict:
		if m, ok := c.maps[x]; ok {
			return m, nil
		}
		return c.dict(x, depth)
	case *py.Undefined:
		if c.text {
			return pytext.Opaque{Type: py.TypeName(x)}, nil
		}
		return nil, x.Fail()
	case py.Mapping:
		return c.mapping(x, depth)
	}
	if c.text {
		return pytext.Opaque{Type: py.TypeName(v)}, nil
	}
	if _, callable := v.(py.Callable); !callable {
		if items, err := py.Collect(nil, v); err == nil {
			l := make([]any, len(items))
			return l, c.fill(l, items, depth)
		}
	}
	return py.Str(nil, v)
}

func (c *toWire) fill(l []any, items []py.Value, depth int) (err error) {
	for i, e := range items {
		if l[i], err = c.value(e, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (c *toWire) dict(x *py.Dict, depth int) (any, error) {
	m := wire.NewMap()
	var out any = m
	if c.text && x.Class == py.OrderedDict {
		out = pytext.Ordered{Map: m}
	}
	if c.maps == nil {
		c.maps = map[*py.Dict]any{}
	}
	c.maps[x] = out
	for k, e := range x.All() {
		if err := c.entry(m, k, e, depth); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// mapping reads an object that behaves as a dict.
func (c *toWire) mapping(x py.Mapping, depth int) (any, error) {
	keys, err := x.Keys(nil)
	if err != nil {
		return nil, err
	}
	m := wire.NewMap()
	for _, k := range keys {
		e, err := x.Item(nil, k)
		if err != nil {
			return nil, err
		}
		if err := c.entry(m, k, e, depth); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (c *toWire) entry(m *wire.Map, k, e py.Value, depth int) error {
	val, err := c.value(e, depth+1)
	if err != nil {
		return err
	}
	switch x := k.(type) {
	case string, int64, float64, bool, nil:
		m.SetAny(k, val)
	case py.Markup:
		m.SetAny(string(x), val)
	default: // a tuple, bytes, a large number: the wire has no such keys
		s, err := py.Str(nil, k)
		if err != nil {
			return err
		}
		m.SetAny(s, val)
	}
	return nil
}
