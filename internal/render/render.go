// Package render makes data and text of Salt's files: SLS trees, pillar, templates of
// files. It runs the pipe of renderers that a file names in its first line ("#!jinja|yaml"),
// or the default, with the variables that Salt's templates know.
//
// A [Renderer] serves one compilation, of states or of a pillar:
//
//	r := render.New(render.Config{Opts: opts, Grains: grains, Pillar: pillar, Files: files, Functions: funcs})
//	out, err := r.Render(ctx, render.Source{Text: text, Path: path, SLS: "web.conf", Env: "base"})
//	high, ok := out.Data.(*wire.Map)
//
// States render with the minion's file client and functions; the compiler of pillars
// renders on the master, with [Files] over pillar_roots and the master's functions. A
// template of a file (file.managed, cp.get_template) goes through [Renderer.Template].
// Errors are of type [*Error]: their first line is Salt's, and they tell the place.
//
// Start at Render, then pipe.go, jinja.go (the variables), funcs.go (salt['m.f']),
// natives.go (the functions that work on the templates' own data).
package render

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/render/saltyaml"
	"github.com/gosalt/gosalt/internal/render/value"
	"github.com/gosalt/gosalt/jinja/py"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Files is the file server as renderers see it. Its methods may be called
// concurrently.
type Files interface {
	// ReadFile returns a file of an environment by its path below the root, as
	// "web/init.sls". The error is fs.ErrNotExist where there is none.
	ReadFile(ctx context.Context, env, path string) (File, error)
}

// File is a file of the file server.
type File struct {
	Data []byte
	Path string // where it is on this machine, "" for nowhere
}

// Functions are the execution functions that templates call.
type Functions interface {
	// Has tells whether there is a function of that name: "test.ping".
	Has(name string) bool
	// Names lists them, sorted.
	Names() []string
	// Call runs one. Values are of the wire's model.
	Call(ctx context.Context, name string, args []any, kwargs *wire.Map) (any, error)
}

// Limits bound a render. Zero values mean the defaults.
type Limits struct {
	Time time.Duration // of one file; 10s, not counting the functions it calls
	py.Limits
}

// Config is what all renders of one compilation share.
type Config struct {
	Opts   *wire.Map // options by Salt's names
	Grains *wire.Map
	Pillar *wire.Map
	// OrderedPillar says that maps of the pillar are of Python's class OrderedDict, as
	// in a pillar that this process compiled; one that a master sent has none.
	OrderedPillar bool
	// SharedPillar, when set, is what templates get as the pillar: what one changes in it,
	// those of other renderers with the same one see.
	SharedPillar *py.Dict
	Files        Files     // nil: no salt://
	Functions    Functions // nil: only those of natives.go
	PillarRender bool      // the files are those of a pillar
	Limits       Limits
	Log          *slog.Logger // nil drops all

	// ReadLocal reads files of this machine for slsutil.renderer; nil: there are none.
	ReadLocal func(ctx context.Context, path string) ([]byte, error)
	// ConfigDefaults are what config.get falls back to.
	ConfigDefaults *wire.Map
	// Renderers are renderers beside those of this package, as gpg.
	Renderers map[string]Extra
	// Local names functions of natives.go in whose place those of Functions run.
	Local map[string]bool
}

// Extra is a renderer of another package: it makes something of text or data, both of
// the wire's model. args is what stands behind its name in the pipe.
type Extra func(ctx context.Context, s Source, args string, in any) (any, error)

// Renderer renders the files of one compilation. What templates change in grains,
// pillar and opts, later ones see, as in Salt. It is used by one goroutine at a time.
type Renderer struct {
	cfg    Config
	funcs  *funcs
	grains func() (py.Value, error)
	pillar func() (py.Value, error)
	opts   func() (py.Value, error)
	depth  int
	conf   *stateConfig
}

// New makes a renderer.
func New(cfg Config) *Renderer {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Limits.Time == 0 {
		cfg.Limits.Time = 10 * time.Second
	}
	lazy := func(m *wire.Map, ordered bool) func() (py.Value, error) {
		return sync.OnceValues(func() (py.Value, error) {
			if m == nil {
				m = wire.NewMap()
			}
			return value.FromWire(m, ordered)
		})
	}
	r := &Renderer{cfg: cfg, grains: lazy(cfg.Grains, false), pillar: lazy(cfg.Pillar, cfg.OrderedPillar), opts: lazy(cfg.Opts, false)}
	if p := cfg.SharedPillar; p != nil {
		r.pillar = func() (py.Value, error) { return p, nil }
	}
	if !cfg.PillarRender {
		inner := r.pillar
		r.pillar = func() (py.Value, error) {
			v, err := inner()
			if d, ok := v.(*py.Dict); ok {
				d.Wrapper = "salt.utils.context.NamespacedDictWrapper"
			}
			return v, err
		}
	}
	r.funcs = &funcs{r: r, made: map[string]*function{}}
	return r
}

// Pillar is the pillar as templates see it.
func (r *Renderer) Pillar() (*py.Dict, error) { return asDict(r.pillar()) }

func asDict(v py.Value, err error) (*py.Dict, error) {
	if err != nil {
		return nil, err
	}
	return v.(*py.Dict), nil
}

// Source is a file to be rendered.
type Source struct {
	Text string
	Path string // where it is on this machine; templates see it as tplpath
	SLS  string // its name, as "web.conf"; "" for what is no SLS
	Env  string // saltenv
	Pipe string // of renderers where the text names none; "" is the option renderer
	// Whitelist and Blacklist bound the renderers, by the options
	// renderer_whitelist and renderer_blacklist when both are nil.
	Whitelist, Blacklist []string
	Vars                 map[string]any // further variables, of the wire's model or of package py
}

// Result is what a pipe made.
type Result struct {
	// Data is of the wire's model; text where the pipe ends with text.
	Data any
	// Text is what the last renderer of text made: what the YAML was read from.
	Text string
	// Doc tells where in Text the data was written; nil for what was no YAML.
	Doc *saltyaml.Document
	// Marked is Data with the marks of yamlex's !aggregate (package dictmerge), which say
	// how it is merged with other data; nil where the last renderer was another.
	Marked any
}

// Render runs the pipe of a file over it. A file without content is an empty map.
func (r *Renderer) Render(ctx context.Context, s Source) (*Result, error) {
	if strings.TrimFunc(s.Text, pySpace) == "" {
		return &Result{Data: wire.NewMap()}, nil
	}
	steps, err := r.pipe(s)
	if err != nil {
		return nil, err
	}
	switch {
	case len(steps) > 0:
	case s.SLS == "": // as in Salt, and the log tells
		return &Result{Data: wire.NewMap()}, nil
	default:
		return nil, &Error{Msg: "none of its renderers is allowed: see renderer_whitelist and renderer_blacklist", Name: s.name()}
	}
	if r.depth >= maxRenderDepth {
		return nil, &Error{Msg: "renders inside one another are nested too deep: does a file render itself?", Name: s.name()}
	}
	r.depth++
	defer func() { r.depth-- }()
	in := &data{text: s.Text, isText: true}
	for _, st := range steps {
		if err := st.run(ctx, r, &s, st.args, in); err != nil {
			return nil, err
		}
	}
	res := &Result{Text: in.text, Doc: in.doc, Marked: in.marked}
	if in.isText {
		if strings.Contains(s.Text, "\r\n") && !strings.Contains(in.text, "\r\n") {
			in.text = strings.ReplaceAll(in.text, "\n", "\r\n")
			res.Text = in.text
		}
		res.Data = in.text
		return res, nil
	}
	res.Data = in.value
	return res, nil
}

const maxRenderDepth = 50

func (s *Source) name() string {
	if s.SLS != "" {
		return s.SLS
	}
	return s.Path
}

// data is what goes through a pipe.
type data struct {
	text   string
	isText bool
	value  any
	doc    *saltyaml.Document
	marked any
}

func (d *data) set(v any) { d.value, d.isText, d.marked = v, false, nil }

// pySpace tells what Python's str.strip takes off.
func pySpace(r rune) bool { return py.IsSpace(r) }

func truth(v any) bool {
	switch x := v.(type) {
	case nil:
		return false
	case string:
		return x != ""
	case []any:
		return len(x) > 0
	case *wire.Map:
		return x.Len() > 0
	case bool, int64, uint64, float64:
		return pytext.Number(x) != 0
	}
	return true
}
