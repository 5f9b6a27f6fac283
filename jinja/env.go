package jinja

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"maps"
	"path"
	"strings"
	"sync"

	"github.com/gosalt/gosalt/jinja/py"
	"github.com/gosalt/gosalt/jinja/syntax"
)

// Environment is what templates share: how they are written, the filters, tests
// and globals they find, where they load others from. Change it before the first
// template is made; then it may be used by many goroutines.
type Environment struct {
	Syntax  syntax.Config
	Filters map[string]py.Callable
	Tests   map[string]py.Callable
	Globals map[string]py.Value

	// Undefined is what names that are not there do; [New] sets py.Lenient, as
	// jinja2 does.
	Undefined py.Mode
	// Finalize, if set, sees every value before it is printed.
	Finalize func(t *py.Thread, v py.Value) (py.Value, error)
	// Loader finds the templates that others include, import and extend.
	Loader Loader
	// Limits are those of each render.
	Limits py.Limits

	mu    sync.Mutex
	cache map[cacheKey]*Template
}

// New makes an environment with Jinja's filters, tests and globals.
func New() *Environment {
	return &Environment{
		Filters: maps.Clone(builtinFilters()),
		Tests:   maps.Clone(builtinTests()),
		Globals: builtinGlobals(),
	}
}

// Loader finds templates by name.
type Loader interface {
	// Load returns a template's text. c is the context of the template that asks
	// for it, nil when the program does. An error that is fs.ErrNotExist makes
	// jinja2's TemplateNotFound. Load may be called by several renders at once,
	// and is called once per name and render.
	Load(c *Context, name string) (string, error)
}

// MapLoader has its templates in memory.
type MapLoader map[string]string

// Load returns the text under a name.
func (m MapLoader) Load(_ *Context, name string) (string, error) {
	if s, ok := m[name]; ok {
		return s, nil
	}
	return "", fs.ErrNotExist
}

// FSLoader reads templates from a file system; names cannot leave it.
type FSLoader struct{ FS fs.FS }

// Load reads the file under a name.
func (l FSLoader) Load(_ *Context, name string) (string, error) {
	b, err := fs.ReadFile(l.FS, path.Clean(strings.TrimPrefix(name, "/")))
	if errors.Is(err, fs.ErrInvalid) {
		return "", fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	return string(b), err
}

// cacheKey is a template's name and the hash of its text.
type cacheKey struct {
	name string
	hash uint64
	size int
}

var seed = maphash.MakeSeed()

// maxCached bounds the number of compiled templates that are kept.
const maxCached = 2048

// FromString compiles a template without a name.
func (e *Environment) FromString(src string) (*Template, error) { return e.FromNamed("", src) }

// FromNamed compiles a template under a name, which errors show. A text that was
// compiled before is not compiled again. The error is an *[Error].
func (e *Environment) FromNamed(name, src string) (*Template, error) {
	key := cacheKey{name, maphash.String(seed, src), len(src)}
	e.mu.Lock()
	t := e.cache[key]
	e.mu.Unlock()
	if t != nil && t.src == src {
		return t, nil
	}
	t, err := e.compile(name, src)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.cache == nil || len(e.cache) >= maxCached {
		e.cache = map[cacheKey]*Template{}
	}
	e.cache[key] = t
	return t, nil
}

func (e *Environment) compile(name, src string) (*Template, error) {
	tree, err := syntax.Parse(e.Syntax, name, src)
	if err == nil {
		var t *Template
		if t, err = compileTemplate(e, tree); err == nil {
			t.src = src
			return t, nil
		}
	}
	return nil, syntaxError(err)
}

// Get loads and compiles a template by its name.
func (e *Environment) Get(name string) (*Template, error) {
	if e.Loader == nil {
		return nil, place(py.Raise("TypeError", "no loader for this environment specified"), name, 0)
	}
	src, err := e.Loader.Load(nil, name)
	if err != nil {
		return nil, place(notFound(name, err), name, 0)
	}
	return e.FromNamed(name, src)
}

// Eval evaluates one expression with the variables.
func (e *Environment) Eval(ctx context.Context, expr string, vars map[string]any) (py.Value, error) {
	n, err := syntax.ParseExpression(e.Syntax, expr)
	if err != nil {
		return nil, syntaxError(err)
	}
	const result = "result"
	tree := &syntax.Template{Pos: 1, Body: []syntax.Node{
		&syntax.Assign{Pos: 1, Target: &syntax.Name{Pos: 1, Name: result, Ctx: syntax.Store}, Node: n},
	}}
	t, err := compileTemplate(e, tree)
	if err != nil {
		return nil, syntaxError(err)
	}
	m, err := t.Module(ctx, vars)
	if err != nil {
		return nil, err
	}
	v, _ := m.Get(result)
	return v, nil
}

func notFound(name string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return &py.Error{Type: "TemplateNotFound", Msg: name, Err: err}
	}
	return err
}
