package render

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"strings"
	"sync"

	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/render/saltjinja"
	"github.com/gosalt/gosalt/internal/render/value"
	"github.com/gosalt/gosalt/jinja"
	"github.com/gosalt/gosalt/jinja/py"
)

// environments are made once for each way to write templates, and keep what they
// compiled: a file is parsed again only when its text changes.
var environments = struct {
	sync.Mutex
	m map[environmentKey]*jinja.Environment
}{m: map[environmentKey]*jinja.Environment{}}

type environmentKey struct {
	saltjinja.Options
	py.Limits
}

func environment(o saltjinja.Options, l py.Limits) *jinja.Environment {
	key := environmentKey{o, l}
	environments.Lock()
	defer environments.Unlock()
	env := environments.m[key]
	if env == nil {
		if len(environments.m) >= 32 {
			clear(environments.m)
		}
		env = saltjinja.New(o, loader{}, l)
		maps.Copy(env.Filters, filters)
		environments.m[key] = env
	}
	return env
}

// jinjaOptions are the options jinja_env and jinja_sls_env, which hold jinja2's own.
func (r *Renderer) jinjaOptions(sls bool) saltjinja.Options {
	o := saltjinja.Options{AllowUndefined: r.cfg.Opts.Bool("allow_undefined")}
	name := "jinja_env"
	if sls {
		name = "jinja_sls_env"
	}
	if m := r.cfg.Opts.Map(name); m != nil {
		for k, v := range m.Strings() {
			text, _ := v.(string)
			switch strings.ToLower(k) {
			case "block_start_string":
				o.BlockStart = text
			case "block_end_string":
				o.BlockEnd = text
			case "variable_start_string":
				o.VariableStart = text
			case "variable_end_string":
				o.VariableEnd = text
			case "comment_start_string":
				o.CommentStart = text
			case "comment_end_string":
				o.CommentEnd = text
			case "line_statement_prefix":
				o.LineStatementPrefix = text
			case "line_comment_prefix":
				o.LineCommentPrefix = text
			case "trim_blocks":
				o.TrimBlocks = truth(v)
			case "lstrip_blocks":
				o.LstripBlocks = truth(v)
			case "keep_trailing_newline":
				o.KeepTrailingNewline = truth(v)
			case "newline_sequence":
				o.Newline = text
			default:
				r.cfg.Log.Warn("an option of Jinja that there is not", "option", name+":"+k)
			}
		}
	}
	if r.cfg.Opts.Bool("jinja_trim_blocks") {
		o.TrimBlocks = true
	}
	if r.cfg.Opts.Bool("jinja_lstrip_blocks") {
		o.LstripBlocks = true
	}
	return o
}

// run is one render of a template: where its imports come from.
type run struct {
	r     *Renderer
	env   string
	files map[string]File // that were loaded, by the name of the template
}

type runKey struct{}

// loader finds templates below the roots of the run's environment.
type loader struct{}

// Load finds a template. A name that begins with ./ or ../ is relative to the folder of
// the file that was loaded last, as Salt has it (tpldir).
func (loader) Load(c *jinja.Context, name string) (string, error) {
	if c == nil {
		return "", fs.ErrNotExist
	}
	ctx := c.Thread().Context()
	ru, _ := ctx.Value(runKey{}).(*run)
	if ru == nil || ru.r.cfg.Files == nil || ru.env == "" {
		return "", fs.ErrNotExist
	}
	file := name
	first, _, _ := strings.Cut(name, "/")
	relative := first == "." || first == ".."
	globalDir, _ := c.Global("tpldir")
	if relative {
		dir, ok := py.AsString(globalDir)
		if !ok {
			return "", fs.ErrNotExist
		}
		file = path.Clean(dir + "/" + name)
		if up, _, _ := strings.Cut(file, "/"); up == ".." {
			ru.r.cfg.Log.Warn("a template leads out of salt:// and is not read", "template", name)
			return "", fs.ErrNotExist
		}
	}
	f, err := ru.r.cfg.Files.ReadFile(ctx, ru.env, strings.TrimPrefix(path.Clean("/"+file), "/"))
	dir := path.Dir(file)
	if relative {
		dir, _ = py.AsString(globalDir)
		file = name
	}
	dot := strings.ReplaceAll(dir, "/", ".")
	if dir == "." {
		dot = ""
	}
	c.SetGlobals(map[string]py.Value{"tplfile": file, "tpldir": dir, "tpldot": dot})
	if err != nil {
		return "", err
	}
	ru.files[name] = f
	return string(f.Data), nil
}

// slsVariables are those that tell where an SLS is.
func slsVariables(vars map[string]any, sls, file string) {
	slspath := strings.ReplaceAll(sls, ".", "/")
	if file != "" {
		tpl := strings.ReplaceAll(file, `\`, "/")
		switch {
		case sls == "":
			tpl = path.Base(tpl)
		case strings.HasSuffix(tpl, slspath+".sls"):
			tpl = tpl[len(tpl)-4-len(slspath):]
		case strings.HasSuffix(tpl, slspath+"/init.sls"):
			tpl = tpl[len(tpl)-9-len(slspath):]
		}
		slspath = ""
		if i := strings.LastIndexByte(tpl, '/'); i >= 0 {
			slspath = tpl[:i]
		}
		dir := slspath
		if dir == "" {
			dir = "."
		}
		vars["tplpath"], vars["tplfile"], vars["tpldir"] = file, tpl, dir
		vars["tpldot"] = strings.ReplaceAll(slspath, "/", ".")
	}
	vars["slspath"] = slspath
	vars["slsdotpath"] = strings.ReplaceAll(slspath, "/", ".")
	vars["slscolonpath"] = strings.ReplaceAll(slspath, "/", ":")
	vars["sls_path"] = strings.ReplaceAll(slspath, "/", "_")
}

// variables are what templates see beside what the caller gives them.
func (r *Renderer) variables(ctx context.Context) (map[string]any, error) {
	grains, err := r.grains()
	if err != nil {
		return nil, fmt.Errorf("grains: %w", err)
	}
	pillar, err := r.pillar()
	if err != nil {
		return nil, fmt.Errorf("pillar: %w", err)
	}
	opts, err := r.opts()
	if err != nil {
		return nil, fmt.Errorf("opts: %w", err)
	}
	return map[string]any{
		"salt": r.funcs, "grains": grains, "pillar": pillar, "opts": opts,
		"ifelse": &function{r: r, name: "match.ifelse"},
	}, nil
}

// convertVars makes template values of the caller's variables.
func convertVars(into map[string]any, from map[string]any) error {
	for k, v := range from {
		x, err := value.FromWire(v, false)
		if err != nil {
			return fmt.Errorf("variable %s: %w", k, err)
		}
		into[k] = x
	}
	return nil
}

func renderJinja(ctx context.Context, r *Renderer, s *Source, args string, d *data) error {
	if args != "" && args != "-s" {
		return &Error{Msg: "Unknown renderer option: " + args, Name: s.name()}
	}
	if !d.isText {
		return &Error{Msg: "the renderer jinja needs text, and the one before it made data", Name: s.name()}
	}
	vars, err := r.variables(ctx)
	if err != nil {
		return err
	}
	vars["proxy"] = py.NewDict(0)
	vars["renderers"] = py.NewDict(0)
	vars["saltenv"] = s.Env
	vars["sls"] = s.SLS
	if err := convertVars(vars, s.Vars); err != nil {
		return err
	}
	slsVariables(vars, s.SLS, s.Path)
	src := *s
	src.Text = d.text
	d.text, err = r.jinja(ctx, &src, vars, r.jinjaOptions(s.SLS != ""))
	return err
}

// TemplateEngines are the values of the argument template.
var TemplateEngines = []string{"jinja", "py", "starlark"}

// Template renders a template of a file as file.managed and cp.get_template do: by one
// engine of TemplateEngines, with the variables of the source beside salt, grains, pillar,
// opts and saltenv.
func (r *Renderer) Template(ctx context.Context, engine string, s Source) (string, error) {
	switch engine {
	case "jinja":
	case "py", "starlark":
		return r.program(ctx, engine, s)
	default:
		return "", &Error{Msg: fmt.Sprintf("Specified template format %s is not supported", engine), Name: s.name()}
	}
	vars, err := r.variables(ctx)
	if err != nil {
		return "", err
	}
	vars["saltenv"] = s.Env
	if s.SLS != "" {
		vars["sls"] = s.SLS
	}
	if err := convertVars(vars, s.Vars); err != nil {
		return "", err
	}
	if s.SLS != "" {
		slsVariables(vars, s.SLS, s.Path)
	}
	return r.jinja(ctx, &s, vars, r.jinjaOptions(s.SLS != ""))
}

// program makes the text of a file by a program, whose run() returns it.
func (r *Renderer) program(ctx context.Context, engine string, s Source) (string, error) {
	vars, err := r.scriptVars(ctx, &s)
	if err != nil {
		return "", err
	}
	run := r.python
	if engine == "starlark" {
		run = r.starlark
	}
	v, err := run(ctx, &s, s.Text, vars)
	if err != nil {
		return "", err
	}
	switch x := v.(type) {
	case string:
		return x, nil
	case []byte:
		return string(x), nil
	}
	return "", &Error{Msg: fmt.Sprintf("%s: run() is to return the text of the file, not %s", s.name(), pytext.TypeName(v)), Name: s.name()}
}

// jinja renders a text. All variables are globals too, so that imports without context
// find them.
func (r *Renderer) jinja(ctx context.Context, s *Source, vars map[string]any, o saltjinja.Options) (string, error) {
	limits := r.cfg.Limits
	env := environment(o, limits.Limits)
	files := map[string]File{}
	t, err := env.FromString(s.Text)
	if err != nil {
		return "", jinjaError(err, s, files)
	}
	clock, stop := newClock(ctx, limits.Time)
	defer stop()
	ru := &run{r: r, env: s.Env, files: files}
	out, err := t.RenderWith(context.WithValue(context.WithValue(clock, runKey{}, ru), clockKey{}, clock), maps.Clone(vars), vars)
	if err != nil {
		if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			return "", fmt.Errorf("render %s: %w", s.name(), err)
		}
		err = jinjaError(err, s, files)
		r.nearFunction(err)
		return "", err
	}
	if strings.HasSuffix(s.Text, "\n") && !o.KeepTrailingNewline {
		out += "\n"
	}
	return out, nil
}

// noFunction is the message for a function that is not there.
var noFunction = lazyre.New(`^Jinja variable 'salt\.utils\.templates\.AliasedLoader object' has no attribute '(\w+\.\w+)'`)

// nearFunction names the function that one which is not there most likely means.
func (r *Renderer) nearFunction(err error) {
	e, ok := err.(*Error)
	if !ok {
		return
	}
	m := noFunction.FindStringSubmatch(e.Msg)
	if m == nil || e.Note != "" {
		return
	}
	var names []string
	for _, n := range r.funcs.names() {
		if s, ok := n.(string); ok {
			names = append(names, s)
		}
	}
	e.Note = "There is no function " + m[1] + "."
	if near := module.Nearest(m[1], names); near != "" {
		e.Note += " Did you mean " + near + "?"
	}
}

// Eval is for tests and tools: it evaluates one expression of Salt's Jinja.
func (r *Renderer) Eval(ctx context.Context, expr string, vars map[string]any) (any, error) {
	all, err := r.variables(ctx)
	if err != nil {
		return nil, err
	}
	if err := convertVars(all, vars); err != nil {
		return nil, err
	}
	env := environment(r.jinjaOptions(false), r.cfg.Limits.Limits)
	v, err := env.Eval(context.WithValue(ctx, runKey{}, &run{r: r, files: map[string]File{}}), expr, all)
	if err != nil {
		return nil, err
	}
	return value.ToWire(v)
}
