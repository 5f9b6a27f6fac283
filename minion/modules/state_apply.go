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
	show := module.Outputter("highstate")
	register("state.apply", stateApply, show, module.Positional("mods"))
	register("state.sls", stateSLS, show, module.Positional("mods test exclude queue sync_mods state_events"))
	register("state.highstate", stateHighstate, show, module.Positional("test queue state_events"))
	register("state.top", stateTop, show, module.Positional("topfn test queue"))
	register("state.test", stateTest, show, module.Positional("mods"))
	register("state.sls_id", stateSLSID, show, module.Positional("id_ mods test queue state_events"))
	register("state.single", stateSingle, show, module.Positional("fun name test queue"))
	register("state.low", stateLow, module.Positional("data queue"))
	register("state.high", stateHigh, module.Positional("data test queue"))
	register("state.template", stateTemplate, show, module.Positional("tem queue"))
	register("state.template_str", stateTemplateStr, show, module.Positional("tem queue"))
	register("state.running", stateRunning)
}

type stateApplyArgs struct {
	Mods any `default:"None"` // SLS files, a list or with commas; none means what the top file assigns.
	stateOptions
	// IDs or SLS files to leave out.
	Exclude any `default:"None" arg:"exclude,kw"`
	// SLS files of the top file to which it is limited, with a highstate.
	Whitelist any `default:"None" arg:"whitelist,kw"`
	// Without effect: gosalt has no modules to sync before.
	SyncMods any `default:"None" arg:"sync_mods,kw"`
}

// stateApply brings the machine into the state that SLS files describe; without any,
// into the one that the top file assigns to it.
//
// CLI Example:
//
//	salt '*' state.apply
//	salt '*' state.apply web.nginx,users test=True
//	salt '*' state.apply web pillar='{"web": {"port": 8080}}' exclude=nginx_vhost
func stateApply(ctx context.Context, c *module.Call, a stateApplyArgs) (any, error) {
	if module.Truth(a.Mods) {
		return applySLS(ctx, c, &a)
	}
	return applyTop(ctx, c, &a, "")
}

type stateSLSArgs struct {
	Mods any // SLS files, a list or with commas.
	stateOptions
	// IDs or SLS files to leave out.
	Exclude any `default:"None" arg:"exclude,kw"`
	// Without effect: gosalt has no modules to sync before.
	SyncMods any `default:"None" arg:"sync_mods,kw"`
}

// stateSLS brings the machine into the state that SLS files describe.
//
// CLI Example:
//
//	salt '*' state.sls core,edit.vim dev
func stateSLS(ctx context.Context, c *module.Call, a stateSLSArgs) (any, error) {
	return applySLS(ctx, c, &stateApplyArgs{Mods: a.Mods, stateOptions: a.stateOptions, Exclude: a.Exclude})
}

type stateHighstateArgs struct {
	stateOptions
	// IDs or SLS files to leave out.
	Exclude any `default:"None" arg:"exclude,kw"`
	// SLS files of the top file to which it is limited.
	Whitelist any `default:"None" arg:"whitelist,kw"`
}

// stateHighstate brings the machine into the state that the top file assigns to it.
//
// CLI Example:
//
//	salt '*' state.highstate whitelist=sls1_to_run,sls2_to_run
func stateHighstate(ctx context.Context, c *module.Call, a stateHighstateArgs) (any, error) {
	return applyTop(ctx, c, &stateApplyArgs{stateOptions: a.stateOptions, Exclude: a.Exclude, Whitelist: a.Whitelist}, "")
}

// stateTest is state.apply with test=True.
//
// CLI Example:
//
//	salt '*' state.test web
func stateTest(ctx context.Context, c *module.Call, a stateApplyArgs) (any, error) {
	a.Test = true
	return stateApply(ctx, c, a)
}

type stateTopArgs struct {
	Topfn string // The top file: reverse_top.sls.
	stateOptions
	// IDs or SLS files to leave out.
	Exclude any `default:"None" arg:"exclude,kw"`
}

// stateTop is a highstate of another top file.
//
// CLI Example:
//
//	salt '*' state.top reverse_top.sls
func stateTop(ctx context.Context, c *module.Call, a stateTopArgs) (any, error) {
	return applyTop(ctx, c, &stateApplyArgs{stateOptions: a.stateOptions, Exclude: a.Exclude}, a.Topfn)
}

func applySLS(ctx context.Context, c *module.Call, a *stateApplyArgs) (any, error) {
	r, answer, err := newStateRun(ctx, c, &a.stateOptions)
	if err != nil || answer != nil {
		return answer, err
	}
	mods := splitInput(a.Mods)
	if off := disabledStates(c, mods); len(off) > 0 {
		c.SetRetcode(exitCompile)
		return off, nil
	}
	comp, high, answer, err := r.compileSLS(ctx, mods, a.Exclude)
	if err != nil || answer != nil {
		return answer, stateError(err)
	}
	return r.runHigh(ctx, comp, high)
}

// compileSLS compiles SLS files of the environment that is asked for, or base.
func (r *stateRun) compileSLS(ctx context.Context, mods []string, exclude any) (*compile.Compiler, *py.Dict, any, error) {
	if r.opts.Text("saltenv") == "" {
		r.opts.Set("saltenv", "base")
	}
	comp, err := r.compiler(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	high, answer, err := r.high(ctx, comp, compile.NewMatches(r.opts.Text("saltenv"), mods...), exclude)
	return comp, high, answer, err
}

func applyTop(ctx context.Context, c *module.Call, a *stateApplyArgs, topfn string) (any, error) {
	if len(disabledStates(c, []string{"highstate"})) > 0 {
		return wire.NewMap("name", "Salt highstate run is disabled. To re-enable, run state.enable highstate", "result", "False", "comment", "Disabled"), nil
	}
	r, answer, err := newStateRun(ctx, c, &a.stateOptions)
	if err != nil || answer != nil {
		return answer, err
	}
	if topfn != "" {
		r.opts.Set("state_top", "salt://"+strings.TrimPrefix(topfn, "salt://"))
		r.opts.Set("local_state", true)
		if module.Truth(a.Saltenv) {
			r.opts.Set("state_top_saltenv", a.Saltenv)
		}
	}
	comp, err := r.compiler(ctx)
	if err != nil {
		return nil, err
	}
	top, topErr, err := comp.Top(ctx)
	if err != nil {
		return nil, stateError(err)
	}
	if topErr != nil {
		return r.noStates(topErr.Error()), nil
	}
	errs := comp.VerifyTop(top)
	matches, err := comp.Match(ctx, top)
	if err != nil {
		return nil, stateError(err)
	}
	if len(errs) > 0 {
		c.SetRetcode(exitCompile)
		return errs.Texts(), nil
	}
	limit(matches, splitInput(a.Whitelist))
	if len(matches.Envs) == 0 {
		return r.noStates("No Top file or master_tops data matches found. Please see master log for details."), nil
	}
	high, answer, err := r.high(ctx, comp, matches, a.Exclude)
	if err != nil || answer != nil {
		return answer, stateError(err)
	}
	if high.Len() == 0 {
		return r.noStates("No states found for this minion"), nil
	}
	return r.runHigh(ctx, comp, high)
}

// limit leaves of matches those of a list; an empty list leaves all.
func limit(m *compile.Matches, names []string) {
	if len(names) == 0 {
		return
	}
	for _, env := range m.Envs {
		var keep []string
		for _, sls := range m.SLS[env] {
			if slices.Contains(names, sls) {
				keep = append(keep, sls)
			}
		}
		m.SLS[env] = keep
	}
}

type stateSLSIDArgs struct {
	ID   string `arg:"id_"` // ID of the states to run.
	Mods any    // SLS files in which it is.
	stateOptions
}

// stateSLSID runs the states of one ID of an SLS file, and before them what they require.
//
// CLI Example:
//
//	salt '*' state.sls_id my_state my_module
func stateSLSID(ctx context.Context, c *module.Call, a stateSLSIDArgs) (any, error) {
	r, answer, err := newStateRun(ctx, c, &a.stateOptions)
	if err != nil || answer != nil {
		return answer, err
	}
	comp, high, answer, err := r.compileSLS(ctx, splitInput(a.Mods), nil)
	if err != nil || answer != nil {
		return answer, stateError(err)
	}
	low, answer, err := r.low(ctx, comp, high)
	if err != nil || answer != nil {
		return answer, err
	}
	wanted := func(chunk *wire.Map) bool { return chunk.Text("__id__") == a.ID }
	if !slices.ContainsFunc(low, wanted) {
		return nil, module.Invalidf("No matches for ID '%s' found in SLS '%s' within saltenv '%s'", a.ID, strings.Join(splitInput(a.Mods), ","), r.opts.Text("saltenv"))
	}
	return r.carryOut(ctx, comp.Opts(), low, wanted)
}

type stateSingleArgs struct {
	Fun  string // The state function: pkg.installed.
	Name any    // The state's name.
	stateOptions
}

// stateSingle runs one state function; further keywords are its arguments. Requisites
// among them are not looked at: there is no other state.
//
// CLI Example:
//
//	salt '*' state.single pkg.installed name=vim
func stateSingle(ctx context.Context, c *module.Call, a stateSingleArgs) (any, error) {
	r, answer, err := newStateRun(ctx, c, &a.stateOptions)
	if err != nil || answer != nil {
		return answer, err
	}
	mod, fun, ok := strings.Cut(a.Fun, ".")
	if !ok {
		c.SetRetcode(exitCompile)
		return "Invalid function passed", nil
	}
	fun, _, _ = strings.Cut(fun, ".")
	name, isText := a.Name.(string)
	if !isText {
		c.SetRetcode(exitCompile)
		return []any{fmt.Sprintf("ID '%s' is not formed as a string, but is a %s", pytext.Str(a.Name), pytext.TypeName(a.Name))}, nil
	}
	low := wire.NewMap()
	for k, v := range a.Kwargs.Strings() {
		if !strings.HasPrefix(k, "__pub_") {
			low.Set(k, v)
		}
	}
	a.alsoArguments(low)
	if r.opts.Text("__role") == "master" { // orchestrations run beside one another, without being asked
		low.Delete("concurrent")
	}
	for _, kv := range [][2]string{{"state", mod}, {"fun", fun}, {"__id__", name}, {"name", name}} {
		low.Set(kv[0], kv[1])
	}
	return r.one(ctx, low)
}

// alsoArguments adds the options that were given under names which state functions may
// have arguments of: the force of file.copy is one of the state as well as of the run.
func (o *stateOptions) alsoArguments(low *wire.Map) {
	for _, kv := range []struct {
		name  string
		value any
	}{
		{"pillar", o.Pillar}, {"pillar_enc", o.PillarEnc}, {"saltenv", o.Saltenv}, {"pillarenv", o.Pillarenv},
		{"state_events", o.StateEvents}, {"report", o.Report},
	} {
		if kv.value != nil {
			low.Set(kv.name, kv.value)
		}
	}
	if o.Localconfig != "" {
		low.Set("localconfig", o.Localconfig)
	}
	for name, set := range map[string]bool{"concurrent": o.Concurrent, "force": o.Force, "mock": o.Mock, "terse": o.Terse} {
		if set {
			low.Set(name, true)
		}
	}
}

// one runs a single chunk.
func (r *stateRun) one(ctx context.Context, low *wire.Map) (any, error) {
	if wrong := r.runner(r.opts).Verify(low.Clone()); len(wrong) > 0 {
		r.c.SetRetcode(exitCompile)
		out := make([]any, len(wrong))
		for i, w := range wrong {
			out[i] = w
		}
		return out, nil
	}
	for _, k := range compile.Requisites() {
		if low.Has(k) {
			r.c.Log.Warn("a state that runs alone has no requisites, this one is not looked at", "requisite", k, "id", low.Text("__id__"))
			low.Delete(k)
		}
	}
	return r.carryOut(ctx, r.opts, []*wire.Map{low}, nil)
}

type stateLowArgs struct {
	Data *wire.Map // The chunk: state, fun, name and the function's arguments.
	stateOptions
}

// stateLow runs one low chunk.
//
// CLI Example:
//
//	salt '*' state.low '{"state": "pkg", "fun": "installed", "name": "vi"}'
func stateLow(ctx context.Context, c *module.Call, a stateLowArgs) (any, error) {
	r, answer, err := newStateRun(ctx, c, &a.stateOptions)
	if err != nil || answer != nil {
		return answer, err
	}
	low := a.Data.Clone()
	if !low.Has("__id__") {
		low.Set("__id__", low.Text("name"))
	}
	v, err := r.one(ctx, low)
	if results, ok := v.(*wire.Map); ok && !results.Has("gosalt_report") {
		for _, one := range results.Strings() { // the result alone, as Salt has it
			return one, err
		}
	}
	return v, err
}

type stateHighArgs struct {
	Data *wire.Map // The high data: IDs with their states.
	stateOptions
}

// stateHigh runs high data: what an SLS file is when it is rendered.
//
// CLI Example:
//
//	salt '*' state.high '{"vim": {"pkg": ["installed"]}}'
func stateHigh(ctx context.Context, c *module.Call, a stateHighArgs) (any, error) {
	r, answer, err := newStateRun(ctx, c, &a.stateOptions)
	if err != nil || answer != nil {
		return answer, err
	}
	comp, err := r.compiler(ctx)
	if err != nil {
		return nil, err
	}
	v, err := value.FromWire(a.Data, true)
	if err != nil {
		return nil, err
	}
	return r.runHigh(ctx, comp, v.(*py.Dict))
}

type stateTemplateArgs struct {
	Tem string // Path of the SLS file on the machine.
	stateOptions
}

// stateTemplate runs an SLS file of the machine.
//
// CLI Example:
//
//	salt '*' state.template '/srv/setup.sls'
func stateTemplate(ctx context.Context, c *module.Call, a stateTemplateArgs) (any, error) {
	if !strings.HasSuffix(a.Tem, ".sls") {
		a.Tem += ".sls"
	}
	return applyAlone(ctx, c, &a.stateOptions, func(comp *compile.Compiler, env string) (*py.Dict, compile.Errors, error) {
		return comp.Local(ctx, a.Tem, env)
	})
}

// applyAlone runs an SLS file that is on no file server.
func applyAlone(ctx context.Context, c *module.Call, o *stateOptions, read func(comp *compile.Compiler, env string) (*py.Dict, compile.Errors, error)) (any, error) {
	r, answer, err := newStateRun(ctx, c, o)
	if err != nil || answer != nil {
		return answer, err
	}
	comp, err := r.compiler(ctx)
	if err != nil {
		return nil, err
	}
	high, errs, err := read(comp, r.opts.Text("saltenv"))
	if err != nil {
		return nil, stateError(err)
	}
	if len(errs) > 0 {
		return failed(c, errs), nil
	}
	return r.runHigh(ctx, comp, high)
}

type stateTemplateStrArgs struct {
	Tem string // The SLS file's text.
	stateOptions
}

// stateTemplateStr runs the text of an SLS file.
//
// CLI Example:
//
//	salt '*' state.template_str '<Template String>'
func stateTemplateStr(ctx context.Context, c *module.Call, a stateTemplateStrArgs) (any, error) {
	return applyAlone(ctx, c, &a.stateOptions, func(comp *compile.Compiler, env string) (*py.Dict, compile.Errors, error) {
		return comp.Text(ctx, a.Tem, env)
	})
}

type stateRunningArgs struct {
	Concurrent bool `default:"False"` // Tell nothing.
}

// stateRunning tells which jobs run states now.
//
// CLI Example:
//
//	salt '*' state.running
func stateRunning(_ context.Context, c *module.Call, a stateRunningArgs) ([]any, error) {
	if a.Concurrent {
		return []any{}, nil
	}
	var jobs []*wire.Map
	for _, j := range running(c) {
		if strings.HasPrefix(j.Text("fun"), "state.") {
			jobs = append(jobs, j)
		}
	}
	return runningStates(jobs), nil
}
