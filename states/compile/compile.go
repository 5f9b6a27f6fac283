// Package compile makes of SLS trees what Salt makes of them: from top files and SLS
// names the high data, in which IDs hold states, and from that the low data, the ordered
// list of states to run.
//
// A [Compiler] serves one compilation. Top finds what is assigned to this minion, SLS
// renders it with all that it includes, High puts extend, requisites and exclude into
// effect, Low makes the chunks. Data are those of package py, whose dicts and lists are
// by reference as Salt's code expects; value.ToWire makes the wire's of them.
//
// Errors are Salt's, letter by letter; see [Error] for the place that stands after them.
// Start at compile.go, then sls.go, high.go, low.go; top.go for top files.
package compile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/fileclient"
	"github.com/gosalt/gosalt/internal/render"
	"github.com/gosalt/gosalt/internal/render/value"
	"github.com/gosalt/gosalt/internal/target"
	"github.com/gosalt/gosalt/jinja/py"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Config is what a compilation works with.
type Config struct {
	ID     string
	Opts   *wire.Map // the minion's configuration by Salt's names
	Grains *wire.Map
	Pillar *wire.Map
	// OrderedPillar and SharedPillar are as in render.Config.
	OrderedPillar  bool
	SharedPillar   *py.Dict
	Data           *wire.Map // the minion's own store, for targets of type data
	Files          fileclient.Client
	Functions      render.Functions
	ConfigDefaults *wire.Map
	Renderers      map[string]render.Extra
	// Local names functions that run in place of those of package render.
	Local  map[string]bool
	Limits render.Limits
	// ReadLocal reads files of this machine, for slsutil.renderer.
	ReadLocal func(path string) ([]byte, error)
	// Vars are further variables of the SLS.
	Vars map[string]any
	Log  *slog.Logger
}

// Compiler compiles for one minion. It is used by one goroutine at a time, for one
// compilation.
type Compiler struct {
	cfg    Config
	opts   *wire.Map // with the master's part
	render *render.Renderer
	files  *files
	log    *slog.Logger

	avail     map[string][]string // SLS by environment
	envs      []string
	iorder    int64
	building  *py.Dict
	places    map[place]Place
	included  map[string]bool // "env:sls" of all that the last call of SLS rendered
	someState bool            // in one of them was a key such as pkg.installed
}

// New makes a compiler. It asks the file server for the options that the master sets for
// states.
func New(ctx context.Context, cfg Config) (*Compiler, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	c := &Compiler{cfg: cfg, log: cfg.Log, avail: map[string][]string{}, iorder: 10000, building: newDict(), places: map[place]Place{},
		files: newFiles(cfg.Files)}
	if err := c.readOpts(ctx); err != nil {
		return nil, err
	}
	var readLocal func(context.Context, string) ([]byte, error)
	if cfg.ReadLocal != nil {
		readLocal = func(_ context.Context, path string) ([]byte, error) { return cfg.ReadLocal(path) }
	}
	c.render = render.New(render.Config{ReadLocal: readLocal,
		Opts: c.opts, Grains: cfg.Grains, Pillar: cfg.Pillar, OrderedPillar: cfg.OrderedPillar, SharedPillar: cfg.SharedPillar,
		Files: c.files, Functions: cfg.Functions, Limits: cfg.Limits, Log: cfg.Log,
		ConfigDefaults: cfg.ConfigDefaults, Renderers: cfg.Renderers, Local: cfg.Local,
	})
	return c, nil
}

// Renderer is what renders the SLS.
func (c *Compiler) Renderer() *render.Renderer { return c.render }

// Opts are the options that are in force.
func (c *Compiler) Opts() *wire.Map { return c.opts }

// readOpts takes over what the master says of how states are compiled, unless the option
// local_state says that the minion's own configuration counts.
func (c *Compiler) readOpts(ctx context.Context) error {
	c.opts = c.cfg.Opts.Clone()
	for _, d := range []struct {
		name string
		val  any
	}{
		{"state_top", "salt://top.sls"}, {"state_auto_order", true}, {"top_file_merging_strategy", "merge"},
		{"env_order", []any{}}, {"default_top", "base"}, {"renderer", "jinja|yaml"}, {"saltenv", nil},
	} {
		if !c.opts.Has(d.name) {
			c.opts.Set(d.name, d.val)
		}
	}
	if c.opts.Bool("local_state") || c.cfg.Files == nil {
		return nil
	}
	m, err := c.cfg.Files.MasterOpts(ctx)
	if err != nil {
		return fmt.Errorf("ask for the master's options: %w", err)
	}
	take := func(name string, def any, keep bool) {
		v, ok := m.Get(name)
		if !ok {
			if keep && c.opts.Has(name) {
				return
			}
			v = def
		}
		c.opts.Set(name, v)
	}
	take("renderer", "jinja|yaml", true)
	take("failhard", false, false)
	take("state_top", "top.sls", true)
	take("state_top_saltenv", nil, false)
	take("nodegroups", wire.NewMap(), false)
	take("state_auto_order", true, true)
	take("file_roots", wire.NewMap(), true)
	for _, name := range []string{"top_file_merging_strategy", "env_order", "default_top"} {
		take(name, nil, true)
	}
	for _, name := range []string{"state_events", "state_aggregate"} {
		if !truthy(get(c.opts, name)) {
			v, _ := m.Get(name)
			if !truthy(v) {
				v = false
			}
			c.opts.Set(name, v)
		}
	}
	take("jinja_env", wire.NewMap(), false)
	take("jinja_sls_env", wire.NewMap(), false)
	take("jinja_lstrip_blocks", false, false)
	take("jinja_trim_blocks", false, false)
	top := c.opts.Text("state_top")
	if !strings.HasPrefix(top, "salt://") {
		c.opts.Set("state_top", "salt://"+strings.TrimPrefix(top, "/"))
	}
	return nil
}

func get(m *wire.Map, name string) any {
	v, _ := m.Get(name)
	return v
}

func truthy(v any) bool {
	x, err := value.FromWire(v, false)
	if err != nil {
		return true
	}
	t, err := py.Truth(nil, x)
	return err != nil || t
}

// Env is the option saltenv, "" when none is set.
func (c *Compiler) Env() string { return c.opts.Text("saltenv") }

// Available lists the SLS of an environment: "web", "web.conf".
func (c *Compiler) Available(ctx context.Context, env string) ([]string, error) {
	if s, ok := c.avail[env]; ok {
		return s, nil
	}
	s, err := ListStates(ctx, c.cfg.Files, env)
	if err != nil {
		return nil, err
	}
	c.avail[env] = s
	return s, nil
}

// ListStates lists the SLS of an environment, sorted.
func ListStates(ctx context.Context, client fileclient.Client, env string) ([]string, error) {
	if client == nil {
		return nil, nil
	}
	paths, err := client.List(ctx, env, "")
	if err != nil {
		return nil, fmt.Errorf("list the files of %s: %w", env, err)
	}
	var out []string
	for _, p := range paths {
		if s, ok := strings.CutSuffix(p, ".sls"); ok {
			s = strings.TrimSuffix(s, "/init")
			out = append(out, strings.ReplaceAll(s, "/", "."))
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// Envs lists the environments, in the order in which they count.
func (c *Compiler) Envs(ctx context.Context) ([]string, error) {
	if c.envs != nil {
		return c.envs, nil
	}
	envs := []string{"base"}
	add := func(e string) {
		if !slices.Contains(envs, e) {
			envs = append(envs, e)
		}
	}
	for e := range c.opts.Map("file_roots").Strings() {
		add(e)
	}
	var order []string
	for _, e := range c.opts.List("env_order") {
		if s, ok := e.(string); ok && !slices.Contains(order, s) {
			order = append(order, s)
		}
	}
	var client []string
	if c.cfg.Files != nil {
		var err error
		if client, err = c.cfg.Files.Envs(ctx); err != nil {
			return nil, fmt.Errorf("ask for the environments: %w", err)
		}
	}
	switch {
	case len(order) > 0 && len(client) > 0:
		envs = slices.DeleteFunc(order, func(e string) bool { return !slices.Contains(client, e) })
	case len(order) > 0:
		envs = order
	default:
		for _, e := range client {
			add(e)
		}
	}
	if envs == nil {
		envs = []string{}
	}
	c.envs = envs
	return envs, nil
}

// isEnv tells whether there is an environment of that name.
func (c *Compiler) isEnv(ctx context.Context, env string) (bool, error) {
	if env == "base" {
		return true, nil
	}
	envs, err := c.Envs(ctx)
	return slices.Contains(envs, env), err
}

// file is an SLS on this machine.
type file struct {
	source string // salt://web/init.sls
	path   string
	text   string
}

// find fetches an SLS; nil where there is none.
func (c *Compiler) find(ctx context.Context, sls, env string) (*file, error) {
	base := strings.ReplaceAll(sls, ".", "/")
	for _, p := range []string{base + ".sls", base + "/init.sls"} {
		f, err := c.fetch(ctx, p, env)
		if err != nil || f != nil {
			return f, err
		}
	}
	return nil, nil
}

// fetch fetches a file by its path; nil where there is none.
func (c *Compiler) fetch(ctx context.Context, path, env string) (*file, error) {
	if c.cfg.Files == nil {
		return nil, nil
	}
	f, err := c.files.ReadFile(ctx, env, path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("fetch salt://%s: %w", path, err)
	}
	return &file{source: "salt://" + path, path: f.Path, text: string(f.Data)}, nil
}

// filter lists the names that match a pattern.
func filter(names []string, pattern string) []string {
	var out []string
	for _, n := range names {
		if target.Fnmatch(pattern, n) {
			out = append(out, n)
		}
	}
	return out
}
