package jinja

import (
	"strings"

	"github.com/gosalt/gosalt/jinja/py"
)

// getattr is obj.name: the attribute first, then the item.
func (st *state) getattr(obj py.Value, name string) (py.Value, error) {
	v, ok, err := py.LookupAttr(st.thread, obj, name)
	if err != nil && !py.IsA(err, "AttributeError") {
		return nil, err
	}
	if ok {
		if unsafe(obj, name) {
			return st.unsafe(obj, name), nil
		}
		return v, nil
	}
	if d, isDict := obj.(*py.Dict); isDict {
		if v, ok := d.GetStr(name); ok {
			return v, nil
		}
	} else if v, err = py.Item(st.thread, obj, name); err == nil {
		return v, nil
	} else if !py.IsA(err, "TypeError", "LookupError") {
		return nil, err
	}
	return &py.Undefined{Obj: obj, HasObj: true, Name: name, Mode: st.env.Undefined}, nil
}

// getitem is obj[key]: the item first, then for text the attribute.
func (st *state) getitem(obj, key py.Value) (py.Value, error) {
	v, err := py.Item(st.thread, obj, key)
	if err == nil {
		return v, nil
	}
	if !py.IsA(err, "TypeError", "LookupError") {
		return nil, err
	}
	if name, isStr := py.AsString(key); isStr {
		v, ok, err := py.LookupAttr(st.thread, obj, name)
		if err != nil && !py.IsA(err, "AttributeError") {
			return nil, err
		}
		if ok {
			if unsafe(obj, name) {
				return st.unsafe(obj, name), nil
			}
			return v, nil
		}
	}
	return &py.Undefined{Obj: obj, HasObj: true, Name: key, Mode: st.env.Undefined}, nil
}

func unsafe(obj py.Value, name string) bool {
	if strings.HasPrefix(name, "_") {
		return true
	}
	return (name == "gi_frame" || name == "gi_code") && py.TypeName(obj) == "generator"
}

func (st *state) unsafe(obj py.Value, name string) *py.Undefined {
	return &py.Undefined{
		Hint: "access to attribute " + py.Quote(name) + " of '" + py.TypeName(obj) + "' object is unsafe.",
		Obj:  obj, HasObj: true, Name: name, Exc: "SecurityError", Mode: st.env.Undefined,
	}
}
