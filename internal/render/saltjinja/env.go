// Package saltjinja is what Salt adds to Jinja: the statements load_yaml, import_yaml
// and their like, some hundred filters, the tests and globals, values printed so that
// YAML reads them. It says nothing of files and functions; package render joins those.
//
// Start at New, then extension.go; the filters are in a file for each subject, as
// they are in Salt's salt/utils.
package saltjinja

import (
	"maps"
	"strings"
	"sync"

	"github.com/gosalt/gosalt/jinja"
	"github.com/gosalt/gosalt/jinja/py"
	"github.com/gosalt/gosalt/jinja/syntax"
)

// Options say how templates are written and read. They can be compared.
type Options struct {
	BlockStart, BlockEnd       string // "" for Jinja's own, as with the others
	VariableStart, VariableEnd string
	CommentStart, CommentEnd   string
	LineStatementPrefix        string
	LineCommentPrefix          string
	TrimBlocks, LstripBlocks   bool
	KeepTrailingNewline        bool
	Newline                    string
	AllowUndefined             bool // names that are not there are empty text, not errors
}

// New makes an environment for Salt's templates.
func New(o Options, loader jinja.Loader, limits py.Limits) *jinja.Environment {
	env := jinja.New()
	env.Syntax = syntax.Config{
		BlockStart: o.BlockStart, BlockEnd: o.BlockEnd,
		VariableStart: o.VariableStart, VariableEnd: o.VariableEnd,
		CommentStart: o.CommentStart, CommentEnd: o.CommentEnd,
		LineStatementPrefix: o.LineStatementPrefix, LineCommentPrefix: o.LineCommentPrefix,
		TrimBlocks: o.TrimBlocks, LstripBlocks: o.LstripBlocks,
		KeepTrailingNewline: o.KeepTrailingNewline, Newline: o.Newline,
		Extensions: []syntax.Extension{jinja.Do, jinja.LoopControls, serializers{}},
	}
	if !o.AllowUndefined {
		env.Undefined = py.Strict
	}
	maps.Copy(env.Filters, filters())
	maps.Copy(env.Tests, tests())
	maps.Copy(env.Globals, globals())
	env.Finalize = finalize
	env.Loader = loader
	env.Limits = limits
	return env
}

// finalize prints dicts of every class alike, as YAML can read them.
func finalize(t *py.Thread, v py.Value) (py.Value, error) {
	switch v.(type) {
	case *py.Dict, *py.List, py.Tuple, *py.Set:
		return plainDicts(t, v, map[any]bool{})
	}
	return v, nil
}

// plainDicts copies containers with their OrderedDicts made dicts, where there are any.
func plainDicts(t *py.Thread, v py.Value, open map[any]bool) (py.Value, error) {
	enter := func(id any) error {
		if open[id] || len(open) > 300 {
			return py.Raise("RecursionError", "maximum recursion depth exceeded while calling a Python object")
		}
		open[id] = true
		return nil
	}
	switch x := v.(type) {
	case *py.Dict:
		if err := enter(x); err != nil {
			return nil, err
		}
		defer delete(open, x)
		d := py.NewDict(x.Len())
		for k, e := range x.All() {
			e, err := plainDicts(t, e, open)
			if err != nil {
				return nil, err
			}
			if u, ok := e.(*py.Undefined); ok && len(open) == 1 && u.Mode == py.Strict {
				return nil, u.Fail()
			}
			if err := d.Set(k, e); err != nil {
				return nil, err
			}
		}
		return d, t.Alloc(32 * x.Len())
	case *py.List:
		if err := enter(x); err != nil {
			return nil, err
		}
		defer delete(open, x)
		l := &py.List{Items: make([]py.Value, len(x.Items))}
		for i, e := range x.Items {
			var err error
			if l.Items[i], err = plainDicts(t, e, open); err != nil {
				return nil, err
			}
		}
		return l, t.Alloc(16 * len(x.Items))
	case py.Tuple:
		l := make(py.Tuple, len(x))
		for i, e := range x {
			var err error
			if l[i], err = plainDicts(t, e, open); err != nil {
				return nil, err
			}
		}
		return l, nil
	}
	return v, nil
}

// filters, tests and globals are made once and shared by all environments.
var (
	filters = sync.OnceValue(makeFilters)
	tests   = sync.OnceValue(makeTests)
	globals = sync.OnceValue(makeGlobals)
)

// table collects functions under their names.
type table map[string]py.Callable

// add names a function as templates do; its parameters are written as in Python.
// The name that errors show is the one before a slash, as in "uuid_/uuid".
func (t table) add(name, params string, fn func(c *py.Call) (py.Value, error)) {
	shown := name
	if a, b, ok := strings.Cut(name, "/"); ok {
		shown, name = a, b
	}
	t[name] = py.NewFunc(shown, params, fn)
}
