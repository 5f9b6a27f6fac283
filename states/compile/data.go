package compile

import (
	"strings"

	"github.com/gosalt/gosalt/jinja/py"
)

func newDict() *py.Dict {
	d := py.NewDict(4)
	d.Class = py.OrderedDict
	return d
}

// internal tells whether a key is Salt's own, such as __sls__.
func internal(key string) bool { return strings.HasPrefix(key, "__") }

// entries goes over the text keys of a dict, as they were when it began.
func entries(d *py.Dict) []entry {
	out := make([]entry, 0, d.Len())
	for k, v := range d.All() {
		s, ok := py.AsString(k)
		out = append(out, entry{k, s, ok, v})
	}
	return out
}

type entry struct {
	key  py.Value
	text string
	ok   bool // the key is text
	val  py.Value
}

// first is the first key of a dict and its value: most dicts of an SLS have one.
func first(d *py.Dict) (key, val py.Value, ok bool) {
	for k, v := range d.All() {
		return k, v, true
	}
	return nil, nil, false
}

// firstText is the first key where that is text.
func firstText(d *py.Dict) string {
	k, _, _ := first(d)
	s, _ := py.AsString(k)
	return s
}

func textOf(d *py.Dict, key string) string {
	v, _ := d.GetStr(key)
	s, _ := py.AsString(v)
	return s
}

// single makes a dict of one entry.
func single(key, val py.Value) *py.Dict {
	d := newDict()
	if err := d.Set(key, val); err != nil {
		d.SetStr(str(key), val)
	}
	return d
}

// child is the list below a text key of a dict, made when it is not there.
func child(d *py.Dict, key string) *py.List {
	if v, ok := d.GetStr(key); ok {
		if l, ok := v.(*py.List); ok {
			return l
		}
	}
	l := py.NewList()
	d.SetStr(key, l)
	return l
}

// childDict is the same for a dict, under any key.
func childDict(d *py.Dict, key py.Value) *py.Dict {
	if v, ok, err := d.Get(key); ok && err == nil {
		if c, ok := v.(*py.Dict); ok {
			return c
		}
	}
	c := newDict()
	if err := d.Set(key, c); err != nil {
		d.SetStr(str(key), c)
	}
	return c
}

func equal(a, b py.Value) bool {
	eq, err := py.Equal(nil, a, b)
	return err == nil && eq
}

func has(d *py.Dict, key py.Value) bool {
	_, ok, err := d.Get(key)
	return ok && err == nil
}

// pop takes an entry out and returns its value.
func pop(d *py.Dict, key string) py.Value {
	v, _, _ := d.Delete(key)
	return v
}

// popLast takes the last entry out, as dict.popitem.
func popLast(d *py.Dict) (key, val py.Value) {
	for k, v := range d.All() {
		key, val = k, v
	}
	if d.Len() > 0 {
		_, _, _ = d.Delete(key)
	}
	return key, val
}

// hashable tells whether a value can be a key.
func hashable(v py.Value) bool {
	_, _, err := newDict().Get(v)
	return err == nil
}

// strings lists what of a list is text.
func texts(v py.Value) []string {
	var out []string
	if l, ok := v.(*py.List); ok {
		for _, e := range l.Items {
			if s, ok := py.AsString(e); ok {
				out = append(out, s)
			}
		}
	}
	return out
}

// keywords are the arguments of states that the compiler and the runner take for
// themselves.
var keywords = func() map[string]bool {
	m := map[string]bool{}
	for _, k := range strings.Fields(`onchanges_in onfail_in prereq_in watch_in require_in listen_in use use_in
		fun state check_cmd cmd_opts_exclude failhard onlyif unless creates retry order parallel reload_modules
		reload_grains reload_pillar runas runas_password fire_event saltenv umask name names name_order aggregate
		onlyif_env timeout`) {
		m[k] = true
	}
	for _, k := range requisites {
		m[k] = true
	}
	return m
}()

// Keyword tells whether every state has an argument of that name.
func Keyword(name string) bool { return keywords[name] || internal(name) }

// Requisites are the arguments that name states which a state depends on.
func Requisites() []string { return requisites }
