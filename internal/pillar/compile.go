package pillar

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/decrypt"
	"github.com/gosalt/gosalt/internal/dictmerge"
	"github.com/gosalt/gosalt/internal/render"
	"github.com/gosalt/gosalt/internal/secret"
	"github.com/gosalt/gosalt/internal/version"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Config is what a Compiler is made of.
type Config struct {
	// Opts are the options of the master, or of a minion without one, by Salt's names.
	Opts *wire.Map
	// Tree holds the files.
	Tree Tree
	// Functions are what templates call (salt['cmd.run']), for one minion; nil: only
	// those that are a part of the templates. They see no pillar: while it is being
	// made, there is none, and in Salt what ext_pillar_first brings is in the variable
	// pillar alone.
	Functions func(r *Request, grains *wire.Map) render.Functions
	// Decrypt opens encrypted values; nil: there are no keys.
	Decrypt *decrypt.Decrypter
	// Ext are the sources of ext_pillar that there are, by name.
	Ext map[string]Source
	// Limits bound the render of one file.
	Limits render.Limits
	// MaxTime bounds a whole compilation; 0 is a minute.
	MaxTime time.Duration
	Log     *slog.Logger // nil drops all
}

// Compiler compiles pillars. Its methods may be called concurrently.
type Compiler struct {
	cfg Config
}

// New makes a Compiler.
func New(cfg Config) *Compiler {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.MaxTime == 0 {
		cfg.MaxTime = time.Minute
	}
	if cfg.Opts == nil {
		cfg.Opts = wire.NewMap()
	}
	if cfg.Decrypt == nil {
		cfg.Decrypt = decrypt.New(decrypt.Options{Log: cfg.Log})
	}
	return &Compiler{cfg: cfg}
}

// Request is whose pillar is asked for, and how.
type Request struct {
	ID        wire.MinionID
	Grains    *wire.Map
	Saltenv   string    // "" for none
	Pillarenv string    // the only environment to be used; "" for all
	Override  *wire.Map // laid over the pillar (pillar= of a call)
	Extra     *wire.Map // of the minion's configuration, for ext_pillar (extra_minion_data)
	Ext       any       // an ext_pillar that the minion asks for: a map of a name and its arguments

	// Trace keeps where values come from, for Result.Explain.
	Trace bool
}

// Result is a pillar.
type Result struct {
	Pillar *wire.Map
	// Errors are those of Pillar's entry _errors.
	Errors []string
	// Secrets are the values that were encrypted.
	Secrets *secret.Set
	// Parts are what was laid over one another; nil without Request.Trace.
	Parts []Part
}

// WithOverride lays the values of a call over a pillar that was compiled without them.
func (c *Compiler) WithOverride(res *Result, req *Request) *Result {
	if req.Override.Len() == 0 {
		return res
	}
	run := c.start(context.Background(), req)
	return &Result{Pillar: run.lay(res.Pillar, req.Override, "the values of the call (pillar=)"), Errors: res.Errors, Secrets: res.Secrets}
}

// compilation is one run.
type compilation struct {
	*Compiler
	ctx      context.Context
	req      *Request
	opts     *wire.Map // with what the request changes
	tree     Tree
	rend     *render.Renderer
	secrets  *secret.Set
	log      *slog.Logger
	merge    dictmerge.Options
	errors   []string
	ignored  map[string]map[string]bool // SLS that may be missing, by environment
	avail    map[string][]string        // all SLS, by environment
	parts    []Part
	opened   []string // texts that were decrypted before they were YAML
	decoding bool
}

// Compile compiles the pillar of a minion. Mistakes in files do not fail it: as in Salt,
// they are in the pillar's entry _errors. The error is for what leaves no pillar at all,
// as the end of the time.
func (c *Compiler) Compile(ctx context.Context, req *Request) (*Result, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.cfg.MaxTime, fmt.Errorf("the pillar of %s was not compiled within %s", req.ID, c.cfg.MaxTime))
	defer cancel()
	run := c.start(ctx, req)
	pillar := run.pillar()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return &Result{Pillar: pillar, Errors: run.errors, Secrets: run.secrets, Parts: run.parts}, nil
}

// start prepares a run: options as the request changes them.
func (c *Compiler) start(ctx context.Context, req *Request) *compilation {
	opts := c.cfg.Opts.Clone()
	pillarenv := req.Pillarenv
	if pillarenv == "" && opts.Bool("pillarenv_from_saltenv") && req.Saltenv != "" {
		pillarenv = req.Saltenv
	}
	if pillarenv != "" {
		opts.Set("pillarenv", pillarenv)
	}
	if req.Saltenv != "" {
		opts.Set("saltenv", req.Saltenv)
	}
	grains := req.Grains
	if grains == nil {
		grains = wire.NewMap()
	}
	opts.Set("file_client", "local")
	opts.Set("grains", grains)
	opts.Set("id", string(req.ID))
	opts.Set("minion_id", string(req.ID))
	run := &compilation{Compiler: c, ctx: ctx, req: req, opts: opts, tree: c.cfg.Tree, secrets: secret.New(),
		ignored: map[string]map[string]bool{}, avail: map[string][]string{},
		merge: dictmerge.Options{Strategy: opts.Text("pillar_source_merging_strategy"), Renderer: opts.Text("renderer"), Lists: truth(opts, "pillar_merge_lists")}}
	run.log = slog.New(run.secrets.Handler(c.cfg.Log.Handler())).With("minion", req.ID)
	if roots, ok := run.tree.(*Roots); ok {
		env := opts.Text("pillarenv")
		if env == "" {
			env = opts.Text("saltenv")
		}
		run.tree = roots.forEnv(env)
	}
	if !dictmerge.Known(run.merge.Strategy) {
		run.log.Warn("pillar_source_merging_strategy is unknown: recurse is taken", "strategy", run.merge.Strategy, "known", strings.Join(dictmerge.Strategies, ", "))
	}
	run.rend = run.renderer(grains, nil)
	return run
}

// renderer makes the renderer of the files, which see ext as the pillar.
func (run *compilation) renderer(grains, ext *wire.Map) *render.Renderer {
	cfg := render.Config{Opts: run.opts, Grains: grains, Pillar: ext, OrderedPillar: true, Files: run.tree, PillarRender: true,
		Limits: run.cfg.Limits, Log: run.log, Renderers: run.decrypters()}
	if run.cfg.Functions != nil {
		cfg.Functions = run.cfg.Functions(run.req, grains)
		cfg.Local = ownPillar
	}
	return render.New(cfg)
}

// ownPillar are the functions that would see the variable pillar of the templates.
var ownPillar = map[string]bool{"pillar.get": true, "pillar.fetch": true, "pillar.raw": true, "pillar.keys": true, "pillar.filter_by": true, "config.get": true}

// pillar makes the pillar, in the order of Salt's steps.
func (run *compilation) pillar() *wire.Map {
	top, topErrors := run.top()
	var pillar *wire.Map
	if truth(run.opts, "ext_pillar_first") {
		ext := run.extPillars(run.override())
		run.opts.Set("pillar", ext)
		run.rend = run.renderer(run.opts.Map("grains"), ext)
		pillar = run.lay(ext, run.files(run.matches(top, ext)), "")
	} else {
		pillar = run.extPillars(run.files(run.matches(top, wire.NewMap())))
	}
	run.errors = append(run.errors, topErrors...)
	if truth(run.opts, "pillar_opts") {
		master := run.opts.Clone()
		master.Delete("grains")
		master.Set("saltversion", version.Salt)
		pillar.Set("master", master)
	}
	if len(run.errors) > 0 {
		pillar.Set("_errors", run.errorList(run.errors))
	}
	if run.req.Override.Len() > 0 {
		pillar = run.lay(pillar, run.req.Override, "the values of the call (pillar=)")
	}
	pillar = dictmerge.Plain(pillar).(*wire.Map)
	if failed := run.decryptKeys(pillar); len(failed) > 0 {
		run.errors = append(run.errors, failed...)
		pillar.Set("_errors", append(pillar.List("_errors"), run.errorList(failed)...))
	}
	return pillar
}

// errorList is a list of errors that holds no secrets.
func (run *compilation) errorList(errs []string) []any {
	out := make([]any, len(errs))
	for i, e := range errs {
		out[i] = run.secrets.Text(e)
	}
	return out
}

// override is a copy of the values of the call.
func (run *compilation) override() *wire.Map {
	if run.req.Override.Len() > 0 {
		run.note(Part{Kind: "override", Data: run.req.Override})
	}
	return run.req.Override.Clone()
}

// fail notes an error for _errors and the log.
func (run *compilation) fail(text string, attrs ...any) {
	run.errors = append(run.errors, text)
	run.log.Error("pillar error", append([]any{"error", text}, attrs...)...)
}

// lay merges b over a. What cannot be merged is an error of the pillar, which stays as it is.
func (run *compilation) lay(a, b any, what string) *wire.Map {
	v, err := dictmerge.Merge(a, b, run.merge)
	if err == nil {
		switch m := v.(type) {
		case *wire.Map:
			return m
		case dictmerge.Map:
			return m.Map
		}
		err = errors.New("the result is no map")
	}
	if what == "" {
		what = "a part of the pillar"
	}
	run.fail(fmt.Sprintf("%s cannot be merged: %v", what, err))
	if m, ok := a.(*wire.Map); ok {
		return m
	}
	return wire.NewMap()
}

// truth tells whether an option is on, as Python would.
func truth(opts *wire.Map, name string) bool {
	v, _ := opts.Get(name)
	return isTrue(v)
}

func isTrue(v any) bool {
	switch x := v.(type) {
	case nil:
		return false
	case bool:
		return x
	case string:
		return x != ""
	case int64:
		return x != 0
	case float64:
		return x != 0
	case []any:
		return len(x) > 0
	case *wire.Map:
		return x.Len() > 0
	}
	return true
}

// truthOr is truth for an option that is on where it is not set.
func truthOr(opts *wire.Map, name string) bool {
	if !opts.Has(name) {
		return true
	}
	return truth(opts, name)
}

// states are all SLS of an environment, and whether there is such an environment.
func (run *compilation) states(env string) ([]string, bool) {
	if list, ok := run.avail[env]; ok {
		return list, list != nil
	}
	if env != "base" && !run.hasEnv(env) {
		run.avail[env] = nil
		return nil, false
	}
	files, err := run.tree.List(run.ctx, env)
	if err != nil {
		run.fail(fmt.Sprintf("The files of the pillar environment '%s' could not be listed: %v", env, err))
	}
	list := slsNames(files)
	run.avail[env] = list
	return list, true
}

func (run *compilation) hasEnv(env string) bool {
	for _, e := range run.tree.Envs() {
		if e == env {
			return true
		}
	}
	return false
}

// file is an SLS and where it is.
type file struct {
	render.File
	path string // below the root: "web/init.sls"
}

// find finds the file of an SLS; ok is false where there is none.
func (run *compilation) find(sls, env string) (f file, ok bool, err error) {
	base := strings.ReplaceAll(sls, ".", "/")
	for _, p := range []string{base + ".sls", base + "/init.sls"} {
		data, err := run.tree.ReadFile(run.ctx, env, strings.TrimPrefix(p, "/"))
		if err == nil {
			return file{data, p}, true, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return file{path: p}, true, err
		}
	}
	return file{}, false, nil
}
