package modules

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/render/value"
	"github.com/gosalt/gosalt/jinja/py"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states/compile"
)

func init() {
	register("state.show_sls", stateShowSLS, module.Positional("mods test queue"))
	register("state.show_low_sls", stateShowLowSLS, module.Positional("mods test queue"))
	register("state.show_highstate", stateShowHighstate, module.Positional("queue"))
	register("state.show_lowstate", stateShowLowstate, module.Positional("queue"))
	register("state.show_top", stateShowTop, module.Positional("queue"))
	register("state.show_states", stateShowStates, module.Positional("queue"))
	register("state.show_state_usage", stateShowStateUsage, module.Positional("queue"))
	register("state.sls_exists", stateSLSExists, module.Positional("mods test queue"))
	register("state.id_exists", stateIDExists, module.Positional("ids mods test queue"))
}

// The exit codes of functions that compile states.
const (
	exitCompile = 1 // the states cannot be compiled
	exitPillar  = 5 // the pillar has errors
)

type showArgs struct {
	Queue     any       `default:"None"`                     // Wait while other states run.
	Saltenv   any       `default:"None" arg:"saltenv,kw"`    // Environment of the files.
	Pillarenv any       `default:"None" arg:"pillarenv,kw"`  // Environment of the pillar; it is that of the minion.
	Pillar    any       `default:"None" arg:"pillar,kw"`     // Values to be laid over the pillar.
	PillarEnc string    `default:"None" arg:"pillar_enc,kw"` // Renderer that opens these values.
	Force     bool      `default:"False" arg:"force,kw"`     // Go on though the pillar has errors.
	Kwargs    *wire.Map `arg:"**"`                           // Is not used.
}

type showSLSArgs struct {
	Mods any `arg:"mods"`     // Names of SLS, separated by commas or as a list.
	Test any `default:"None"` // As in state.apply.
	showArgs
}

// compiler makes the compiler of a function.
func (a *showArgs) compiler(ctx context.Context, c *module.Call, fallback string) (*compile.Compiler, error) {
	override, ok := a.Pillar.(*wire.Map)
	if !ok && a.Pillar != nil {
		return nil, module.Invalidf("Pillar data must be formatted as a dictionary, unless pillar_enc is specified.")
	}
	o := compile.CallOptions{Pillar: override}
	set := c.Opts.Text("saltenv")
	if a.Saltenv != nil {
		o.Saltenv = pytext.Str(a.Saltenv)
		if c.Opts.Bool("lock_saltenv") && o.Saltenv != set {
			return nil, module.Failf("lock_saltenv is enabled, saltenv cannot be changed")
		}
	} else if set == "" {
		o.Saltenv = fallback
	}
	if c.FileServer == nil {
		return nil, module.Failf("there is no file server to read states from: set file_client to local and file_roots, or have a master")
	}
	cfg := compile.FromCall(c, o)
	cfg.ConfigDefaults = configDefaults()
	if errs := cfg.Pillar.List("_errors"); len(errs) > 0 && !a.Force {
		c.SetRetcode(exitPillar)
		var lines []string
		for _, e := range errs {
			lines = append(lines, "- "+pytext.Str(e))
		}
		return nil, module.Failf("Pillar failed to render. Additional info follows:\n\n%s", strings.Join(lines, "\n"))
	}
	return compile.New(ctx, cfg)
}

// splitInput lists what is given as a list or as a text with commas.
func splitInput(v any) []string {
	var out []string
	switch x := v.(type) {
	case nil:
	case []any:
		for _, e := range x {
			out = append(out, pytext.Str(e))
		}
	default:
		for s := range strings.SplitSeq(pytext.Str(v), ",") {
			out = append(out, strings.TrimSpace(s))
		}
	}
	return out
}

// failed returns errors as states do: as a list, with the exit code.
func failed(c *module.Call, errs compile.Errors) any {
	c.SetRetcode(exitCompile)
	return errs.Texts()
}

// high renders SLS into high data; not nil errors stand for it.
func (a *showSLSArgs) high(ctx context.Context, c *module.Call) (*compile.Compiler, *py.Dict, compile.Errors, error) {
	comp, err := a.compiler(ctx, c, "base")
	if err != nil {
		return nil, nil, nil, err
	}
	high, errs, err := comp.SLS(ctx, compile.NewMatches(comp.Env(), splitInput(a.Mods)...))
	if err != nil {
		return nil, nil, nil, err
	}
	return comp, high, append(errs, comp.Verify(high)...), nil
}

// stateShowSLS returns the high data of SLS files, with all that they include: what is
// to be, before it is ordered. With mistakes in them it returns these, as a list.
//
//	gosalt '*' state.show_sls web,db
//	gosalt-call --local state.show_sls web saltenv=dev pillar='{port: 80}'
func stateShowSLS(ctx context.Context, c *module.Call, a showSLSArgs) (any, error) {
	_, high, errs, err := a.high(ctx, c)
	if err != nil {
		return nil, err
	}
	if len(errs) > 0 {
		return failed(c, errs), nil
	}
	return value.ToWire(high)
}

// stateShowLowSLS returns the low data of SLS files: the states in the order in which
// they run. As in Salt, requisites of the form require_in are not in effect in it.
//
//	gosalt '*' state.show_low_sls web
func stateShowLowSLS(ctx context.Context, c *module.Call, a showSLSArgs) (any, error) {
	comp, high, errs, err := a.high(ctx, c)
	if err != nil {
		return nil, err
	}
	if len(errs) > 0 {
		return failed(c, errs), nil
	}
	return lowToWire(comp.Low(ctx, high))
}

func lowToWire(chunks []*py.Dict) (any, error) {
	out := make([]any, len(chunks))
	for i, ch := range chunks {
		var err error
		if out[i], err = value.ToWire(ch); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// topFile reads the top files and what they assign to this minion.
func topFile(ctx context.Context, comp *compile.Compiler) (*compile.Matches, compile.Errors, error) {
	top, _, err := comp.Top(ctx)
	if err != nil {
		return nil, nil, err
	}
	errs := comp.VerifyTop(top)
	if len(errs) > 0 {
		return &compile.Matches{}, errs, nil
	}
	m, err := comp.Match(ctx, top)
	return m, nil, err
}

// stateShowHighstate returns the high data of all that the top file assigns to this
// minion.
//
//	gosalt '*' state.show_highstate
func stateShowHighstate(ctx context.Context, c *module.Call, a showArgs) (any, error) {
	comp, err := a.compiler(ctx, c, "")
	if err != nil {
		return nil, err
	}
	m, errs, err := topFile(ctx, comp)
	if err != nil {
		return nil, err
	}
	high, more, err := comp.SLS(ctx, m)
	if err != nil {
		return nil, err
	}
	if errs = append(errs, more...); len(errs) > 0 {
		return failed(c, errs), nil
	}
	return value.ToWire(high)
}

// lowstate compiles the highstate to chunks.
func lowstate(ctx context.Context, c *module.Call, a *showArgs) ([]*py.Dict, compile.Errors, error) {
	comp, err := a.compiler(ctx, c, "")
	if err != nil {
		return nil, nil, err
	}
	m, errs, err := topFile(ctx, comp)
	if err != nil {
		return nil, nil, err
	}
	high, more, err := comp.SLS(ctx, m)
	if err != nil {
		return nil, nil, err
	}
	errs = append(append(errs, more...), comp.High(high)...)
	if len(errs) > 0 {
		return nil, errs, nil
	}
	return comp.Low(ctx, high), nil, nil
}

// stateShowLowstate returns the low data of all that the top file assigns to this minion:
// the states of state.highstate, in their order.
//
//	gosalt '*' state.show_lowstate
func stateShowLowstate(ctx context.Context, c *module.Call, a showArgs) (any, error) {
	chunks, errs, err := lowstate(ctx, c, &a)
	if err != nil {
		return nil, err
	}
	if len(errs) > 0 {
		return failed(c, errs), nil
	}
	return lowToWire(chunks)
}

// stateShowStates returns the names of the SLS that state.highstate applies, those that
// are included too.
//
//	gosalt '*' state.show_states
func stateShowStates(ctx context.Context, c *module.Call, a showArgs) (any, error) {
	chunks, errs, err := lowstate(ctx, c, &a)
	if err != nil {
		return nil, err
	}
	if len(errs) > 0 {
		return failed(c, errs), nil
	}
	names := []any{}
	for _, ch := range chunks {
		if v, ok := ch.GetStr("__sls__"); ok && !slices.Contains(names, v) {
			names = append(names, v)
		}
	}
	return names, nil
}

// stateShowTop returns what the top file assigns to this minion: names of SLS by
// environment.
//
//	gosalt '*' state.show_top
func stateShowTop(ctx context.Context, c *module.Call, a showArgs) (any, error) {
	comp, err := a.compiler(ctx, c, "")
	if err != nil {
		return nil, err
	}
	m, errs, err := topFile(ctx, comp)
	if err != nil {
		return nil, err
	}
	if len(errs) > 0 {
		return failed(c, errs), nil
	}
	out := wire.NewMap()
	for _, env := range m.Envs {
		list := []any{}
		for _, s := range m.SLS[env] {
			list = append(list, s)
		}
		out.Set(env, list)
	}
	return out, nil
}

// usage tells which SLS of an environment are used.
type usage struct {
	Used        []string
	Unused      []string
	CountAll    int
	CountUsed   int
	CountUnused int
}

// stateShowStateUsage tells for each environment which SLS the top file assigns to this
// minion, and which it does not.
//
//	gosalt '*' state.show_state_usage
func stateShowStateUsage(ctx context.Context, c *module.Call, a showArgs) (any, error) {
	comp, err := a.compiler(ctx, c, "")
	if err != nil {
		return nil, err
	}
	m, errs, err := topFile(ctx, comp)
	if err != nil {
		return nil, err
	}
	if len(errs) > 0 {
		return failed(c, errs), nil
	}
	envs, err := comp.Envs(ctx)
	if err != nil {
		return nil, err
	}
	out := wire.NewMap()
	for _, env := range envs {
		all, err := comp.Available(ctx, env)
		if err != nil {
			return nil, err
		}
		u := usage{Used: []string{}, Unused: []string{}}
		for _, s := range all {
			u.CountAll++
			if slices.Contains(m.SLS[env], s) {
				u.CountUsed++
				u.Used = append(u.Used, s)
			} else {
				u.CountUnused++
				u.Unused = append(u.Unused, s)
			}
		}
		w, err := module.ToWire(u)
		if err != nil {
			return nil, err
		}
		out.Set(env, w)
	}
	return out, nil
}

// stateSLSExists tells whether SLS files are there and can be compiled.
//
//	gosalt '*' state.sls_exists core,edit.vim saltenv=dev
func stateSLSExists(ctx context.Context, c *module.Call, a showSLSArgs) (bool, error) {
	_, _, errs, err := a.high(ctx, c)
	if err == nil && len(errs) > 0 {
		c.SetRetcode(exitCompile)
	}
	return len(errs) == 0, err
}

type idExistsArgs struct {
	IDs any `arg:"ids"` // IDs of states, separated by commas or as a list.
	showSLSArgs
}

// stateIDExists tells whether SLS files have states of these IDs.
//
//	gosalt '*' state.id_exists nginx,nginx-conf web
func stateIDExists(ctx context.Context, c *module.Call, a idExistsArgs) (bool, error) {
	comp, high, errs, err := a.high(ctx, c)
	if err != nil {
		return false, err
	}
	if len(errs) > 0 {
		return false, module.Failf("%s", strings.Join(slices.Collect(func(yield func(string) bool) {
			for _, e := range errs {
				if !yield(e.Error()) {
					return
				}
			}
		}), "\n"))
	}
	there := map[string]bool{}
	for _, ch := range comp.Low(ctx, high) {
		v, _ := ch.GetStr("__id__")
		there[fmt.Sprint(v)] = true
	}
	for _, id := range splitInput(a.IDs) {
		if !there[id] {
			return false, nil
		}
	}
	return true, nil
}
