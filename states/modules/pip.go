package modules

import (
	"context"
	"fmt"
	"strings"

	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pep440"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

func init() {
	register("pip.installed", pipInstalled)
	register("pip.removed", pipRemoved)
	register("pip.uptodate", pipUptodate)
}

type pipInstalledArgs struct {
	Name            string    // A package, with conditions: django >= 4, < 5. Or an address, or a path.
	Pkgs            any       `default:"None"`                       // Several packages, in place of name.
	PipBin          string    `default:"None"`                       // As bin_env.
	Requirements    any       `default:"None"`                       // Files of requirements, in place of name.
	BinEnv          string    `default:"None"`                       // A virtual environment, or the path of a pip or a Python: python3 of the system.
	UseWheel        bool      `default:"False"`                      // Of pip 1.4 to 9.0.3.
	NoUseWheel      bool      `default:"False"`                      // Of pip 1.4 to 9.0.3.
	Editable        any       `default:"None"`                       // Directories or addresses that are installed for development, in place of name.
	IndexURL        string    `arg:"index_url" default:"None"`       // Address of the index.
	ExtraIndexURL   string    `arg:"extra_index_url" default:"None"` // Address of a further index.
	Upgrade         bool      `default:"False"`                      // The newest version that fits.
	ForceReinstall  bool      `default:"False"`                      // Install anew what is installed.
	IgnoreInstalled bool      `default:"False"`                      // Do not look at what is installed.
	NoBinary        any       `default:"None"`                       // Packages that are not to be taken as wheels.
	User            string    `default:"None"`                       // Who runs pip.
	Cwd             string    `default:"None"`                       // Directory it starts in.
	EnvVars         any       `default:"None"`                       // Environment variables: a map.
	Kwargs          *wire.Map `arg:"**"`                             // Further arguments of pip.install: find_links, no_index, proxy, timeout, target, extra_args and so on.
}

// pipWant is one package of the state.
type pipWant struct {
	prefix string // its name; "" where only the package itself knows it
	text   string // as it is asked for
	specs  []pep440.Spec
}

var notInName = lazyre.New(`[^A-Za-z0-9.]+`)

// pipKw are the keywords of functions that look.
func (a *pipInstalledArgs) kw(kv ...any) *wire.Map {
	m := wire.NewMap(kv...)
	for _, o := range []struct{ name, v string }{{"bin_env", a.BinEnv}, {"user", a.User}, {"cwd", a.Cwd}} {
		if o.v != "" {
			m.Set(o.name, o.v)
		}
	}
	return m
}

// pipInstalled makes sure that Python packages are installed.
func pipInstalled(ctx context.Context, c *states.Call, a pipInstalledArgs) (*states.Plan, error) {
	if a.BinEnv == "" {
		a.BinEnv = a.PipBin
	}
	pkgs := []string{a.Name}
	if module.Truth(a.Pkgs) {
		list, ok := a.Pkgs.([]any)
		if !ok {
			return nil, module.Failf("pkgs argument must be formatted as a list")
		}
		pkgs = nil
		for _, e := range list {
			if m, ok := e.(*wire.Map); ok {
				for k, v := range m.Strings() {
					pkgs = append(pkgs, k+" "+pytext.Str(v))
				}
				continue
			}
			pkgs = append(pkgs, pytext.Str(e))
		}
	}
	p := &states.Plan{Name: strings.Join(pkgs, ";")}
	version, err := c.Call.Call(ctx, "pip.version", nil, (&pipInstalledArgs{BinEnv: a.BinEnv}).kw())
	if err != nil {
		return p, module.Failf("Error installing '%s': %s", a.Name, message(err))
	}
	if err := a.check(pytext.Str(version)); err != nil {
		return p, err
	}
	whole := module.Truth(a.Requirements) || module.Truth(a.Editable)
	var want []pipWant
	if !whole {
		if want, err = pipWanted(pkgs); err != nil {
			return p, err
		}
	}
	if a.User != "" {
		if v, err := c.Call.Call(ctx, "user.info", args(a.User), nil); err == nil && !module.Truth(v) && !userToCome(c, a.User) {
			return p, module.Failf("User %s does not exist", a.User)
		}
	}
	if whole {
		return a.planWhole(c, p), nil
	}
	return a.plan(ctx, c, p, want)
}

// check refuses what this pip cannot do.
func (a *pipInstalledArgs) check(version string) error {
	for _, o := range []struct {
		name string
		on   bool
	}{{"use_wheel", a.UseWheel}, {"no_use_wheel", a.NoUseWheel}} {
		if o.on && !pep440.Meets(version, []pep440.Spec{{Op: ">=", Version: "1.4"}, {Op: "<=", Version: "9.0.3"}}) {
			return module.Failf("The '%s' option is only supported in pip between 1.4 and 9.0.3. The version of pip detected was %s.", o.name, version)
		}
	}
	if module.Truth(a.NoBinary) && pep440.Meets(version, []pep440.Spec{{Op: "<", Version: "7.0.0"}}) {
		return module.Failf("The 'no_binary' option is only supported in pip 7.0.0 and newer. The version of pip detected was %s.", version)
	}
	return nil
}

func pipWanted(pkgs []string) ([]pipWant, error) {
	var out []pipWant
	var wrong []string
	for _, text := range pkgs {
		r, err := pep440.ParseRequirement(text)
		switch {
		case err != nil && strings.Contains(text, "=") && !strings.Contains(text, "=="):
			wrong = append(wrong, fmt.Sprintf("Invalid version specification in package %s. '=' is not supported, use '==' instead.", text))
		case err != nil:
			wrong = append(wrong, fmt.Sprintf("pip raised an exception while parsing '%s': %s", text, err))
		default:
			out = append(out, pipWant{notInName.ReplaceAllString(r.Name, "-"), text, r.Specs})
		}
	}
	if wrong != nil {
		return nil, module.Failf("%s", strings.Join(wrong, "\n"))
	}
	return out, nil
}

// versions are those of what is installed, by the names in their normal form.
func (a *pipInstalledArgs) versions(ctx context.Context, c *states.Call) (map[string]string, error) {
	v, err := c.Call.Call(ctx, "pip.list", nil, a.kw("env_vars", a.EnvVars))
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	m, _ := v.(*wire.Map)
	for name := range m.Strings() {
		out[pep440.Normal(name)] = m.Text(name)
	}
	return out, nil
}

// has tells whether a package need not be installed, and why.
func (a *pipInstalledArgs) has(ctx context.Context, c *states.Call, w pipWant, have map[string]string) (string, error) {
	version, there := have[pep440.Normal(w.prefix)]
	if w.prefix == "" || a.IgnoreInstalled || !there || a.ForceReinstall {
		return "", nil
	}
	already := fmt.Sprintf("Python package %s was already installed", w.text)
	if !a.Upgrade {
		if pep440.Meets(version, w.specs) {
			return already, nil
		}
		return "", nil
	}
	kw := a.kw()
	for _, s := range w.specs {
		for _, p := range []struct{ mark, arg string }{{"a", "include_alpha"}, {"b", "include_beta"}, {"rc", "include_rc"}} {
			if strings.Contains(s.Version, p.mark) {
				kw.Set(p.arg, true)
			}
		}
	}
	for _, o := range []struct{ name, v string }{{"index_url", a.IndexURL}, {"extra_index_url", a.ExtraIndexURL}} {
		if o.v != "" {
			kw.Set(o.name, o.v)
		}
	}
	v, err := c.Call.Call(ctx, "pip.list_all_versions", args(w.prefix), kw)
	if err != nil {
		return "", err
	}
	desired := ""
	for _, e := range listOf(v) { // the oldest first
		if s := pytext.Str(e); pep440.Meets(s, w.specs) {
			desired = s
		}
	}
	if desired == "" {
		return fmt.Sprintf("Python package %s was already installed and\nthe available upgrade doesn't fulfills the version requirements", w.prefix), nil
	}
	if pep440.Meets(version, []pep440.Spec{{Op: "==", Version: desired}}) {
		return already, nil
	}
	return "", nil
}

func (a *pipInstalledArgs) plan(ctx context.Context, c *states.Call, p *states.Plan, want []pipWant) (*states.Plan, error) {
	have, err := a.versions(ctx, c)
	if err != nil {
		return p, err
	}
	already := ""
	var todo []pipWant
	for _, w := range want {
		why, err := a.has(ctx, c, w, have)
		if err != nil {
			return p, err
		}
		if why != "" {
			already += why + "\n"
		} else {
			todo = append(todo, w)
		}
	}
	if todo == nil {
		p.Fine = already + "All specified packages are already installed"
		if a.Upgrade {
			p.Fine += " and up-to-date"
		}
		return p, nil
	}
	p.Would = fmt.Sprintf("Python package %s is set to be installed", todo[0].text)
	if len(want) > 1 {
		p.Would = "Python package(s) set to be installed:"
		for _, w := range want {
			p.Would += "\n" + w.text
		}
	}
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		var texts []string
		for _, w := range todo {
			texts = append(texts, w.text)
		}
		ret, err := a.install(ctx, c, anyList(texts))
		if err != nil {
			return err
		}
		if why := pipFailed(ret); why != "" {
			return module.Failf("%sFailed to install packages: %s. %s", already, strings.Join(texts, ", "), why)
		}
		return a.installed(ctx, c, r, already, todo, ret)
	})
	return p, nil
}

// install calls pip.install with all arguments of the state.
func (a *pipInstalledArgs) install(ctx context.Context, c *states.Call, pkgs []any) (*wire.Map, error) {
	kw := a.kw("pkgs", pkgs, "requirements", a.Requirements, "editable", a.Editable, "upgrade", a.Upgrade, "force_reinstall", a.ForceReinstall,
		"ignore_installed", a.IgnoreInstalled, "no_binary", a.NoBinary, "env_vars", a.EnvVars, "saltenv", c.Env, "disable_version_check", true)
	for _, o := range []struct{ name, v string }{{"index_url", a.IndexURL}, {"extra_index_url", a.ExtraIndexURL}} {
		if o.v != "" {
			kw.Set(o.name, o.v)
		}
	}
	for k, v := range a.Kwargs.Strings() {
		if !strings.HasPrefix(k, "__") && k != "repo" {
			kw.Set(k, v)
		}
	}
	v, err := c.Call.Call(ctx, "pip.install", nil, kw)
	ret, _ := v.(*wire.Map)
	return ret, err
}

// pipFailed is what pip said when it failed.
func pipFailed(ret *wire.Map) string {
	if v, ok := ret.Get("retcode"); ok && v == int64(0) {
		return ""
	}
	if ret.Has("stdout") {
		return fmt.Sprintf("Error: %s %s", ret.Text("stdout"), ret.Text("stderr"))
	}
	return "Error: " + ret.Text("comment")
}

// installed tells what has been installed.
func (a *pipInstalledArgs) installed(ctx context.Context, c *states.Call, r *states.Result, already string, todo []pipWant, ret *wire.Map) error {
	now, err := a.versions(ctx, c)
	if err != nil {
		return err
	}
	same := map[string]bool{}
	for _, line := range strings.Split(ret.Text("stdout"), "\n") {
		if rest, ok := strings.CutPrefix(line, "Requirement already up-to-date: "); ok {
			if f := strings.Fields(rest); len(f) > 0 {
				same[strings.ToLower(f[0])] = true
			}
		}
	}
	var missing []string
	for _, w := range todo {
		version, there := now[pep440.Normal(w.prefix)]
		switch {
		case w.prefix == "":
			r.Change(w.text+"==???", "Installed")
		case !there:
			missing = append(missing, fmt.Sprintf("There was no error installing package '%s' although it does not show when calling 'pip.freeze'.", w.text))
		case !same[strings.ToLower(w.prefix)]:
			r.Change(w.prefix+"=="+version, "Installed")
		}
	}
	r.Comment = already + "All packages were successfully installed"
	if missing != nil {
		r.Comment = already + strings.Join(missing, "\n")
	}
	return nil
}

// unchanged are the beginnings of lines of pip that tell of no change.
var unchanged = []string{"Requirement already satisfied", "Requirement already up-to-date", "Requirement not upgraded", "Collecting", "Cloning", "Cleaning up...", "Looking in indexes", "Looking in links"}

// planWhole plans files of requirements and what is editable: only pip knows what is in there.
func (a *pipInstalledArgs) planWhole(c *states.Call, p *states.Plan) *states.Plan {
	req, edit := module.Truth(a.Requirements), module.Truth(a.Editable)
	var would []string
	if req {
		would = append(would, fmt.Sprintf("Requirements file '%s' will be processed.", pytext.Str(a.Requirements)))
	}
	if edit {
		would = append(would, fmt.Sprintf(`Package will be installed in editable mode (i.e. setuptools "develop mode") from %s.`, pytext.Str(a.Editable)))
	}
	p.Would = strings.Join(would, " ")
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		ret, err := a.install(ctx, c, nil)
		if err != nil {
			return err
		}
		var done []string
		if why := pipFailed(ret); why != "" {
			if req {
				done = append(done, fmt.Sprintf(`Unable to process requirements file "%s"`, pytext.Str(a.Requirements)))
			}
			if edit {
				done = append(done, fmt.Sprintf("Unable to install from VCS checkout %s.", pytext.Str(a.Editable)))
			}
			return module.Failf("%s", strings.Join(append(done, why), " "))
		}
		if req {
			text := "Requirements were already installed."
			for _, line := range strings.Split(ret.Text("stdout"), "\n") {
				if !beginsWithAny(strings.TrimSpace(line), unchanged) {
					r.Change("requirements", true)
					text = fmt.Sprintf("Successfully processed requirements file %s.", pytext.Str(a.Requirements))
				}
			}
			done = append(done, text)
		}
		if edit {
			done = append(done, fmt.Sprintf("Package successfully installed from VCS checkout %s.", pytext.Str(a.Editable)))
			r.Change("editable", true)
		}
		r.Comment = strings.Join(done, " ")
		return nil
	})
	return p
}

func beginsWithAny(s string, beginnings []string) bool {
	for _, b := range beginnings {
		if strings.HasPrefix(s, b) {
			return true
		}
	}
	return false
}

type pipRemovedArgs struct {
	Name         string // Name of the package.
	Requirements any    `default:"None"`  // Files of requirements whose packages are removed as well.
	BinEnv       string `default:"None"`  // A virtual environment, or the path of a pip or a Python.
	Log          string `default:"None"`  // File to which pip writes its log.
	Proxy        any    `default:"None"`  // Proxy, where one is needed.
	Timeout      any    `default:"None"`  // Seconds to wait for a server.
	User         string `default:"None"`  // Who runs pip.
	Cwd          string `default:"None"`  // Directory it starts in.
	UseVt        bool   `default:"False"` // Without effect.
}

// pipRemoved makes sure that a Python package is not installed.
func pipRemoved(ctx context.Context, c *states.Call, a pipRemovedArgs) (*states.Plan, error) {
	base := pipInstalledArgs{BinEnv: a.BinEnv, User: a.User, Cwd: a.Cwd}
	have, err := base.versions(ctx, c)
	if err != nil {
		return nil, module.Failf("Error uninstalling '%s': %s", a.Name, message(err))
	}
	if _, there := have[pep440.Normal(a.Name)]; !there {
		return &states.Plan{Fine: "Package is not installed."}, nil
	}
	p := &states.Plan{Would: fmt.Sprintf("Package %s is set to be removed", a.Name), Did: "Package was successfully removed."}
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		kw := base.kw("pkgs", a.Name, "requirements", a.Requirements, "proxy", a.Proxy, "timeout", a.Timeout)
		if a.Log != "" {
			kw.Set("log", a.Log)
		}
		v, err := c.Call.Call(ctx, "pip.uninstall", nil, kw)
		if err != nil {
			return err
		}
		ret, _ := v.(*wire.Map)
		if why := pipFailed(ret); why != "" {
			return module.Failf("Could not remove package. %s", why)
		}
		r.Change(a.Name, "Removed")
		return nil
	})
	return p, nil
}

type pipUptodateArgs struct {
	Name   string // Anything.
	BinEnv string `default:"None"`  // A virtual environment, or the path of a pip or a Python.
	User   string `default:"None"`  // Who runs pip.
	Cwd    string `default:"None"`  // Directory it starts in.
	UseVt  bool   `default:"False"` // Without effect.
}

// pipUptodate makes sure that all Python packages are of their newest versions.
func pipUptodate(ctx context.Context, c *states.Call, a pipUptodateArgs) (*states.Plan, error) {
	kw := (&pipInstalledArgs{BinEnv: a.BinEnv, User: a.User, Cwd: a.Cwd}).kw()
	todo, err := c.Call.Call(ctx, "pip.list_upgrades", nil, kw)
	if err != nil {
		return nil, err
	}
	if !module.Truth(todo) {
		return &states.Plan{Fine: "System is already up-to-date."}, nil
	}
	p := &states.Plan{Would: "System update will be performed"}
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		v, err := c.Call.Call(ctx, "pip.upgrade", nil, kw)
		if err != nil {
			return err
		}
		ret, _ := v.(*wire.Map)
		if get(ret, "result") == false {
			answered(r, ret)
			return nil
		}
		r.SetChanges(ret)
		r.Comment = "Upgrade successful."
		return nil
	})
	return p, nil
}
