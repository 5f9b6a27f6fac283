package modules

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

func init() {
	register("cmd.run", cmdRun)
	register("cmd.script", cmdScript)
	register("cmd.wait", cmdWait)
	alias("cmd.watch", "cmd.wait")
	register("cmd.wait_script", cmdWaitScript)
	register("cmd.call", cmdCall)
	register("cmd.wait_call", cmdWaitCall)
	register("cmd.mod_watch", cmdModWatch)
}

// cmdCommon is what commands and scripts have in common.
type cmdCommon struct {
	Cwd             string `default:"None"`  // Directory it runs in.
	Runas           string `default:"None"`  // User it runs as.
	Shell           string `default:"None"`  // Shell that runs it; the grain shell by default.
	Env             any    `default:"None"`  // Environment variables: a map, or a list of maps.
	Stateful        any    `default:"False"` // The command says itself what it changed: its last line is name=value pairs (changed=yes comment='...'), or its output is a JSON object. A list with test_name: names the command to run under test=True.
	Timeout         any    `default:"None"`  // Seconds after which the command is killed.
	OutputLoglevel  string `default:"debug"` // Level at which the output is logged; quiet logs nothing.
	HideOutput      bool   `default:"False"` // Leave the output out of the result.
	UseVt           bool   `default:"False"` // Keep white space at the end of the output.
	SuccessRetcodes any    `default:"None"`  // Exit codes that are a success, besides 0.
	SuccessStdout   any    `default:"None"`  // Texts that make it a success when one of them is in the output.
	SuccessStderr   any    `default:"None"`  // Texts that make it a success when one of them is in the error output.
	// Further arguments of the execution function.
	Kwargs *wire.Map `arg:"**" read:"args stdin group python_shell clean_env rstrip umask output_encoding log_callback reset_system_locale ignore_retcode saltenv redirect_stderr password encoded_cmd template prepend_path bg raise_err binds cmd pillarenv pillar_override windows_codepage loglevel"`
}

type cmdRunArgs struct {
	Name string // The command line.
	cmdCommon
	Root          string `default:"None"`  // Directory to run it in as its root (chroot).
	PrependPath   string `default:"None"`  // Directory to look for programs in first.
	IgnoreTimeout bool   `default:"False"` // A command that was killed by its timeout is a success.
}

type cmdScriptArgs struct {
	Name string // The script, salt:// or a path; with source, what it is called by, and its arguments.
	cmdCommon
	Source   string `default:"None"` // Where the script is, where that is not the name.
	Template string `default:"None"` // Render it first: jinja.
	Defaults any    `default:"None"` // Values for the template.
	Context  any    `default:"None"` // Values for the template, over the defaults.
	Password string `default:"None"` // Password of runas, on Windows.
}

// cmdRun runs a command, whenever the state is run: onlyif, unless, creates or
// onchanges say when that is needed.
func cmdRun(ctx context.Context, c *states.Call, a cmdRunArgs) (*states.Plan, error) {
	cmd, stateful, fine := a.ready(c, a.Name)
	if !fine {
		return states.Decided(false, nil, "Invalidly-formatted 'env' parameter. See documentation."), nil
	}
	if c.Test && cmd == "" {
		if a.Root != "" { // its users are told when it runs
			if !filepath.IsAbs(a.Root) || lacksDir(c, a.Root) {
				return nil, module.Failf("root '%s' either not absolute or does not exist", a.Root)
			}
		} else if err := a.runner(c); err != nil {
			return nil, err
		}
		return a.would(a.Name, wire.NewMap("cmd", a.Name), fmt.Sprintf(`Command "%s" would have been executed`, a.Name)), nil
	}
	p := &states.Plan{Name: a.Name}
	if c.Test { // what is shown is the state's name still; cmd.script shows the command
		a.Name = cmd
	}
	fun, kwargs := "cmd.run_all", a.kwargs(c)
	kwargs.Set("cmd", a.Name)
	if a.Root != "" {
		fun = "cmd.run_chroot"
		kwargs.Set("root", a.Root)
	}
	if a.PrependPath != "" {
		kwargs.Set("prepend_path", a.PrependPath)
	}
	p.Warnings = known(c, fun, kwargs)
	return a.run(ctx, c, p, stateful, a.IgnoreTimeout, fmt.Sprintf(`Command "%s" run`, a.Name), func(ctx context.Context) (*wire.Map, error) {
		v, err := c.Call.Call(ctx, fun, nil, kwargs)
		m, _ := v.(*wire.Map)
		return m, err
	})
}

// cmdScript fetches a script from the file server and runs it.
func cmdScript(ctx context.Context, c *states.Call, a cmdScriptArgs) (*states.Plan, error) {
	cmd, stateful, fine := a.ready(c, a.Name)
	if !fine {
		return states.Decided(false, nil, "Invalidly-formatted 'env' parameter. See documentation."), nil
	}
	defaults, ok := a.Defaults.(*wire.Map)
	if !ok && module.Truth(a.Defaults) {
		return nil, module.Failf("Invalidly-formatted 'defaults' parameter. Must be formed as a dict.")
	}
	over, ok := a.Context.(*wire.Map)
	if !ok && module.Truth(a.Context) {
		return nil, module.Failf("Invalidly-formatted 'context' parameter. Must be formed as a dict.")
	}
	if c.Test && cmd == "" {
		if err := a.runner(c); err != nil {
			return nil, err
		}
		if source := cmp.Or(a.Source, a.Name); lacksScript(ctx, c, source) {
			return nil, module.Failf("Unable to cache script %s from saltenv '%s'", source, c.Env)
		}
		return a.would(a.Name, nil, fmt.Sprintf(`Command '%s' would have been executed`, a.Name)), nil
	}
	if c.Test {
		a.Name = cmd
	}
	p := &states.Plan{Name: a.Name}
	kwargs := a.kwargs(c)
	source := a.Source
	if source == "" {
		source = a.Name
	}
	values := wire.NewMap()
	for _, m := range []*wire.Map{defaults, over} {
		for k, v := range m.All() {
			values.SetAny(k, v)
		}
	}
	for k, v := range map[string]string{"template": a.Template, "saltenv": c.Env, "password": a.Password} {
		if v != "" {
			kwargs.Set(k, v)
		}
	}
	if values.Len() > 0 {
		kwargs.Set("context", values)
	}
	kwargs.Set("source", source)
	if _, args, ok := strings.Cut(a.Name, " "); ok && !module.Truth(get(kwargs, "args")) && len(strings.Fields(a.Name)) > 1 {
		kwargs.Set("args", args)
	}
	p.Warnings = known(c, "cmd.script", kwargs)
	return a.run(ctx, c, p, stateful, false, fmt.Sprintf(`Command '%s' run`, a.Name), func(ctx context.Context) (*wire.Map, error) {
		v, err := c.Call.Call(ctx, "cmd.script", nil, kwargs)
		m, _ := v.(*wire.Map)
		if err == nil && m.Has("cache_error") {
			return m, module.Failf("Unable to cache script %s from saltenv '%s'", source, c.Env)
		}
		return m, err
	})
}

// lacksScript tells under test=True whether there is no such script, where that can be known
// without fetching it: on the file server, or here.
func lacksScript(ctx context.Context, c *states.Call, source string) bool {
	switch {
	case strings.ContainsAny(source, " ?|"):
		return false
	case strings.HasPrefix(source, "salt://"):
		v, err := c.Call.Call(ctx, "cp.hash_file", args(source, c.Env), nil)
		return err == nil && !module.Truth(v)
	case filepath.IsAbs(source):
		return !c.Host.Exists(source) && !mayBeMade(c, source)
	}
	return false
}

// ready reads stateful and env. cmd is the command for test=True, where stateful names one.
func (a *cmdCommon) ready(c *states.Call, name string) (cmd string, stateful, fine bool) {
	if l, ok := a.Stateful.([]any); ok {
		stateful = true
		if len(l) > 0 {
			if m, ok := l[0].(*wire.Map); ok {
				cmd = m.Text("test_name")
			}
		}
	} else {
		stateful = a.Stateful == true
	}
	switch a.Env.(type) {
	case nil, []any, *wire.Map:
		return cmd, stateful, true
	}
	return cmd, stateful, false
}

// kwargs are the arguments of the execution function.
func (a *cmdCommon) kwargs(c *states.Call) *wire.Map {
	m := wire.NewMap()
	for k, v := range a.Kwargs.Strings() {
		m.Set(k, v)
	}
	shell := a.Shell
	if shell == "" {
		shell = c.Grains().Text("shell")
	}
	for _, kv := range []struct {
		k string
		v any
	}{
		{"cwd", a.Cwd}, {"runas", a.Runas}, {"shell", shell}, {"env", a.Env}, {"timeout", a.Timeout}, {"output_loglevel", a.OutputLoglevel},
		{"hide_output", a.HideOutput}, {"use_vt", a.UseVt}, {"success_retcodes", a.SuccessRetcodes}, {"success_stdout", a.SuccessStdout}, {"success_stderr", a.SuccessStderr},
	} {
		if module.Truth(kv.v) {
			m.Set(kv.k, kv.v)
		}
	}
	if c.Umask >= 0 && !m.Has("umask") {
		m.Set("umask", host.UmaskText(c.Umask))
	}
	m.Set("python_shell", true)
	return m
}

// deaf are requisites that Salt does not know in their _in form, and does not object to.
var deaf = map[string]bool{"require_any_in": true, "watch_any_in": true, "onfail_any_in": true, "onfail_all_in": true, "onchanges_any_in": true}

// known drops the arguments that an execution function does not take, and says so.
func known(c *states.Call, fun string, kwargs *wire.Map) (warnings []string) {
	f := c.Functions().Lookup(fun)
	if f == nil || f.Spec().Kwargs {
		return nil
	}
	names := f.Spec().Args
	for k := range kwargs.Clone().Strings() {
		if contains(names, k) {
			continue
		}
		kwargs.Delete(k)
		if deaf[k] {
			continue
		}
		if k == "python_shell" {
			continue
		}
		w := fmt.Sprintf("%s takes no argument '%s': it was left out", fun, k)
		if near := module.Nearest(k, names); near != "" {
			w += fmt.Sprintf(". Did you mean '%s'?", near)
		}
		warnings = append(warnings, w)
	}
	return warnings
}

// runner fails under test=True for a directory, a user or a group whose lack is to end the
// run.
func (a *cmdCommon) runner(c *states.Call) error {
	if a.Cwd != "" && lacksDir(c, a.Cwd) {
		return module.Failf(`Desired working directory "%s" is not available`, a.Cwd)
	}
	if lacksUser(c, a.Runas) {
		return module.Failf("User '%s' is not available", a.Runas)
	}
	if group := get(a.Kwargs, "group"); lacksGroup(c, group) {
		return module.Failf("Group '%s' is not available", pytext.Str(group))
	}
	return nil
}

// would is the plan of a command under test=True.
func (a *cmdCommon) would(name string, changes *wire.Map, comment string) *states.Plan {
	if a.Stateful == true {
		return states.Decided(nil, nil, "")
	}
	return states.Decided(nil, changes, comment)
}

// run makes the plan of running a command.
func (a *cmdCommon) run(ctx context.Context, c *states.Call, p *states.Plan, stateful, ignoreTimeout bool, comment string, do func(context.Context) (*wire.Map, error)) (*states.Plan, error) {
	if a.Cwd != "" {
		if st, err := os.Stat(c.Host.Path(a.Cwd)); err != nil || !st.IsDir() {
			return states.Decided(false, nil, fmt.Sprintf(`Desired working directory "%s" is not available`, a.Cwd)), nil
		}
	}
	step := func(ctx context.Context, r *states.Result) error {
		r.SetChanges(nil)
		out, err := do(ctx)
		if out != nil {
			r.SetChanges(out)
		}
		if err != nil {
			return err
		}
		r.Comment = comment
		code, _ := get(out, "retcode").(int64)
		if ignoreTimeout && code == 1 && strings.Contains(out.Text("stdout"), "Timed out after") {
			out.Set("retcode", int64(0))
			code = 0
		}
		r.Result = code == 0
		if stateful {
			reinterpret(r)
		}
		if c.Test && code == 0 && r.Changes.Len() > 0 {
			r.Result = nil
		}
		return nil
	}
	if c.Test { // a stateful command with a test of its own is run
		r := &states.Result{Changes: wire.NewMap()}
		if err := step(ctx, r); err != nil {
			return states.Decided(false, r.Changes, err.Error()), nil
		}
		d := states.Decided(r.Result, r.Changes, r.Comment)
		d.Name, d.Warnings = p.Name, p.Warnings
		return d, nil
	}
	p.Do(nil, step)
	return p, nil
}

// reinterpret takes what a stateful command printed for its result.
func reinterpret(r *states.Result) {
	ret := r.Changes
	r.SetChanges(nil)
	r.Comment = ""
	out := ret.Text("stdout")
	if out == "" {
		r.Comment = ret.Text("stderr")
		return
	}
	data := wire.NewMap()
	line, before := out, ""
	v, err := pytext.ParseJSON(out)
	isJSON := err == nil
	if isJSON {
		m, ok := v.(*wire.Map)
		if !ok {
			r.Result, r.Comment = false, "script JSON output must be a JSON object (e.g., {})!"
			return
		}
		data = m
	} else {
		if i := strings.LastIndexByte(strings.TrimRight(out, " \t\r\n"), '\n'); i >= 0 {
			before, line = out[:i], out[i+1:]
		} else { // Salt takes the last character off a single line
			_, n := utf8.DecodeLastRuneInString(out)
			before = out[:len(out)-n]
		}
		words, err := host.Words(line)
		if err == nil {
			data, err = pairs(words)
		}
		if err != nil {
			r.Result, r.Comment = false, "Failed parsing script output! Stdout must be JSON or a line of name=value pairs."
			r.SetChanges(ret)
			return
		}
	}
	changed, ok := yes(data)
	if !ok {
		r.Result, r.Comment = false, "Failed parsing boolean value: "+pytext.Str(get(data, "changed"))
		r.SetChanges(ret)
		return
	}
	if data.Has("comment") {
		r.Comment = pytext.Str(get(data, "comment"))
		data.Delete("comment")
	}
	if !changed {
		return
	}
	for k, v := range ret.Strings() {
		if !data.Has(k) {
			data.Set(k, v)
		}
	}
	data.Set("stdout", before)
	if isJSON {
		data.Set("stdout", "")
	}
	r.SetChanges(data)
}

// pairs reads name=value words.
func pairs(words []string) (*wire.Map, error) {
	m := wire.NewMap()
	for _, w := range words {
		k, v, ok := strings.Cut(w, "=")
		if !ok || strings.Contains(v, "=") {
			return nil, errors.New("not name=value")
		}
		m.Set(k, v)
	}
	return m, nil
}

// yes reads the word behind changed.
func yes(data *wire.Map) (changed, ok bool) {
	v, has := data.Get("changed")
	if !has {
		return false, true
	}
	switch strings.ToLower(pytext.Str(v)) {
	case "true", "yes", "1":
		return true, true
	case "false", "no", "0":
		return false, true
	}
	return false, false
}

type cmdWaitArgs struct {
	Name string // The command line.
	cmdCommon
	Root        string `default:"None"` // Directory to run it in as its root (chroot).
	PrependPath string `default:"None"` // Directory to look for programs in first.
}

// cmdWait runs a command when something that it watches has changed, and only then.
func cmdWait(context.Context, *states.Call, cmdWaitArgs) (*states.Plan, error) {
	return &states.Plan{}, nil
}

// cmdWaitScript runs a script when something that it watches has changed, and only then.
func cmdWaitScript(context.Context, *states.Call, cmdScriptArgs) (*states.Plan, error) {
	return &states.Plan{}, nil
}

type cmdWatchArgs struct {
	Name   string    // The command line or script.
	Sfun   string    `default:""` // The function that watches.
	Kwargs *wire.Map `arg:"**"`   // Its arguments.
}

// cmdModWatch runs the command or script of a state that watches.
func cmdModWatch(ctx context.Context, c *states.Call, a cmdWatchArgs) (*states.Plan, error) {
	switch a.Sfun {
	case "wait", "run", "watch":
		return states.Hand(ctx, c, cmdRun, a.Name, a.Kwargs)
	case "wait_script", "script":
		return states.Hand(ctx, c, cmdScript, a.Name, a.Kwargs)
	case "wait_call", "call":
		if !module.Truth(get(a.Kwargs, "func")) {
			return nil, fmt.Errorf("cmd.%s needs a named parameter func", a.Sfun)
		}
		return states.Hand(ctx, c, cmdCall, a.Name, a.Kwargs)
	}
	return nil, fmt.Errorf("cmd.%s does not work with the watch requisite, please use cmd.wait or cmd.wait_script", a.Sfun)
}

func get(m *wire.Map, key string) any {
	v, _ := m.Get(key)
	return v
}

func contains(l []string, s string) bool {
	for _, v := range l {
		if v == s {
			return true
		}
	}
	return false
}
