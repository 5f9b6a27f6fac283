package modules

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pep440"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

func init() {
	register("virtualenv.managed", virtualenvManaged)
	alias("virtualenv.manage", "virtualenv.managed")
}

type virtualenvManagedArgs struct {
	Name                   string    // Path of the environment.
	VenvBin                string    `default:"None"`                       // The program that makes it: virtualenv, or venv for the module of Python.
	Requirements           any       `default:"None"`                       // Files of requirements that are installed in it.
	SystemSitePackages     bool      `default:"False"`                      // The packages of the system can be used in it.
	Distribute             bool      `default:"False"`                      // Of old versions of virtualenv.
	UseWheel               bool      `default:"False"`                      // Of pip 1.4 to 9.0.3.
	Clear                  bool      `default:"False"`                      // Make it anew, each time.
	Python                 string    `default:"None"`                       // The Python of the environment (virtualenv).
	ExtraSearchDir         any       `default:"None"`                       // Directories with packages (virtualenv).
	NeverDownload          any       `default:"None"`                       // Download nothing (virtualenv).
	Prompt                 string    `default:"None"`                       // What the shell shows (virtualenv).
	User                   string    `default:"None"`                       // Who makes it, and runs pip.
	Cwd                    any       `default:"None"`                       // Directory that pip starts in.
	IndexURL               any       `arg:"index_url" default:"None"`       // Address of the index.
	ExtraIndexURL          any       `arg:"extra_index_url" default:"None"` // Address of a further index.
	PreReleases            bool      `default:"False"`                      // Alpha and beta versions, too.
	NoDeps                 bool      `default:"False"`                      // Not what the packages need.
	PipDownload            any       `default:"None"`                       // Directory to download to, in place of installing.
	PipDownloadCache       any       `default:"None"`                       // Directory of pip's cache.
	PipExistsAction        any       `default:"None"`                       // What pip does where a path is there already.
	PipIgnoreInstalled     bool      `default:"False"`                      // pip does not look at what is installed.
	Proxy                  any       `default:"None"`                       // Proxy for pip.
	UseVt                  bool      `default:"False"`                      // Without effect.
	EnvVars                any       `default:"None"`                       // Environment variables for pip: a map.
	NoUseWheel             bool      `default:"False"`                      // Of pip 1.4 to 9.0.3.
	PipUpgrade             bool      `default:"False"`                      // Newer versions, where there are any.
	PipPkgs                any       `default:"None"`                       // Packages that are installed in it, besides requirements.
	PipNoCacheDir          bool      `default:"False"`                      // pip has no cache.
	PipCacheDir            any       `default:"None"`                       // Directory of pip's cache.
	ProcessDependencyLinks bool      `default:"False"`                      // Of old versions of pip.
	NoBinary               any       `default:"None"`                       // Packages that are not to be taken as wheels.
	Kwargs                 *wire.Map `arg:"**"`                             // Arguments of cmd.run_all.
}

// virtualenvManaged makes sure that there is a virtual environment of Python, with what
// is to be installed in it.
func virtualenvManaged(ctx context.Context, c *states.Call, a virtualenvManagedArgs) (*states.Plan, error) {
	python := filepath.Join(a.Name, "bin", "python")
	if os.PathSeparator == '\\' {
		python = filepath.Join(a.Name, "Scripts", "python.exe")
	}
	there := c.Host.Exists(python)
	if req, ok := a.Requirements.(string); ok && strings.HasPrefix(req, "salt://") {
		path, err := text(ctx, c, "cp.cache_file", req, c.Env)
		if err != nil {
			return nil, err
		}
		if path == "" {
			return nil, module.Failf("pip requirements file '%s' not found", req)
		}
		a.Requirements = path
	}
	p := &states.Plan{}
	changes := wire.NewMap()
	if there && a.Clear {
		frozen, err := c.Call.Call(ctx, "pip.freeze", nil, wire.NewMap("bin_env", a.Name))
		if err != nil {
			return nil, err
		}
		old, err := pythonVersion(ctx, c, python)
		if err != nil {
			return nil, err
		}
		changes.Set("cleared_packages", frozen)
		changes.Set("old", old)
	}
	pip := module.Truth(a.Requirements) || module.Truth(a.PipPkgs)
	switch {
	case !there:
		p.Would = fmt.Sprintf("Virtualenv %s is set to be created", a.Name)
	case a.Clear:
		p.Would = fmt.Sprintf("Virtualenv %s is set to be cleared", a.Name)
	case c.Test || c.Foreseen != nil: // a run has pip look, whose answer is known here
		if err := a.check(ctx, c); err != nil {
			return p, err
		}
		if pip && !a.satisfied(ctx, c) {
			p.Would = fmt.Sprintf("Virtualenv %s is already created, packages are set to be installed in it", a.Name)
			break
		}
		return states.Decided(true, nil, fmt.Sprintf("Virtualenv %s is already created", a.Name)), nil
	case !pip && !a.UseWheel && !a.NoUseWheel && a.NoBinary == nil:
		return &states.Plan{Fine: "virtualenv exists"}, nil
	}
	if (!there || a.Clear) && lacksUser(c, a.User) {
		return p, module.Failf("Failed to create virtualenv: User '%s' is not available", a.User)
	}
	p.Do(changes, func(ctx context.Context, r *states.Result) error {
		for k, v := range changes.Strings() {
			r.Change(k, v)
		}
		r.Comment = "virtualenv exists"
		if !there || a.Clear {
			if err := a.create(ctx, c, r, python); err != nil {
				return err
			}
		}
		if err := a.check(ctx, c); err != nil {
			return err
		}
		if !pip {
			return nil
		}
		return a.install(ctx, c, r)
	})
	return p, nil
}

func pythonVersion(ctx context.Context, c *states.Call, python string) (string, error) {
	v, err := c.Call.Call(ctx, "cmd.run_stderr", args(args(python, "-V")), wire.NewMap("python_shell", false))
	return strings.Trim(pytext.Str(v), "\n"), err
}

func (a *virtualenvManagedArgs) create(ctx context.Context, c *states.Call, r *states.Result, python string) error {
	kw := wire.NewMap("system_site_packages", a.SystemSitePackages, "distribute", a.Distribute, "clear", a.Clear,
		"extra_search_dir", a.ExtraSearchDir, "never_download", a.NeverDownload)
	for _, o := range []struct{ name, v string }{{"venv_bin", a.VenvBin}, {"python", a.Python}, {"prompt", a.Prompt}, {"user", a.User}} {
		if o.v != "" {
			kw.Set(o.name, o.v)
		}
	}
	a.more(kw)
	v, err := c.Call.Call(ctx, "virtualenv.create", args(a.Name), kw)
	if err != nil {
		return module.Failf("Failed to create virtualenv: %s", message(err))
	}
	ret, _ := v.(*wire.Map)
	if ret.Int("retcode") != 0 {
		return module.Failf("%s%s", ret.Text("stdout"), ret.Text("stderr"))
	}
	now, err := pythonVersion(ctx, c, python)
	if err != nil {
		return err
	}
	r.Change("new", now)
	r.Comment = "Created new virtualenv"
	if a.Clear {
		r.Comment = "Cleared existing virtualenv"
	}
	return nil
}

// satisfied tells whether all that is asked for is installed in the environment: False
// where only pip could tell.
func (a *virtualenvManagedArgs) satisfied(ctx context.Context, c *states.Call) bool {
	if a.PipUpgrade || a.PipIgnoreInstalled {
		return false
	}
	have, err := (&pipInstalledArgs{BinEnv: a.Name, User: a.User}).versions(ctx, c)
	if err != nil {
		return false
	}
	lines := optionList(a.PipPkgs)
	for _, file := range optionList(a.Requirements) {
		if strings.HasPrefix(file, "salt://") {
			if file, err = text(ctx, c, "cp.cache_file", file, c.Env); err != nil {
				return false
			}
		}
		b, err := os.ReadFile(c.Host.Path(strings.TrimSpace(file)))
		if err != nil {
			return false
		}
		for line := range strings.Lines(string(b)) {
			line, _, _ = strings.Cut(" "+line, " #")
			if line = strings.TrimSpace(line); line != "" {
				lines = append(lines, line)
			}
		}
	}
	for _, line := range lines {
		r, err := pep440.ParseRequirement(strings.TrimSpace(line))
		version, there := have[pep440.Normal(r.Name)]
		if err != nil || r.Name == "" || !there || !pep440.Meets(version, r.Specs) {
			return false
		}
	}
	return true
}

// more adds the arguments of cmd.run_all.
func (a *virtualenvManagedArgs) more(kw *wire.Map) {
	for k, v := range a.Kwargs.Strings() {
		if !strings.HasPrefix(k, "__") {
			kw.Set(k, v)
		}
	}
}

// check refuses what the environment's pip cannot do.
func (a *virtualenvManagedArgs) check(ctx context.Context, c *states.Call) error {
	if !a.UseWheel && !a.NoUseWheel && !module.Truth(a.NoBinary) {
		return nil
	}
	v, err := text(ctx, c, "pip.version", a.Name)
	if err != nil {
		return err
	}
	return (&pipInstalledArgs{UseWheel: a.UseWheel, NoUseWheel: a.NoUseWheel, NoBinary: a.NoBinary}).check(v)
}

func (a *virtualenvManagedArgs) freeze(ctx context.Context, c *states.Call) ([]string, error) {
	kw := wire.NewMap("bin_env", a.Name)
	if a.User != "" {
		kw.Set("user", a.User)
	}
	v, err := c.Call.Call(ctx, "pip.freeze", nil, kw)
	return optionList(v), err
}

func (a *virtualenvManagedArgs) install(ctx context.Context, c *states.Call, r *states.Result) error {
	before, err := a.freeze(ctx, c)
	if err != nil {
		return err
	}
	cwd := a.Cwd
	if module.Truth(a.Requirements) {
		var first string
		switch v := a.Requirements.(type) {
		case string:
			first, _, _ = strings.Cut(v, ",")
		case []any:
			first = pytext.Str(v[0])
		default:
			return module.Failf("pip requirements must be either a string or a list")
		}
		if abs, err := filepath.Abs(first); err == nil && abs != first {
			cwd = filepath.Dir(abs)
		}
	}
	kw := wire.NewMap("pkgs", a.PipPkgs, "requirements", a.Requirements, "process_dependency_links", a.ProcessDependencyLinks, "bin_env", a.Name,
		"use_wheel", a.UseWheel, "no_use_wheel", a.NoUseWheel, "no_binary", a.NoBinary, "download", a.PipDownload, "download_cache", a.PipDownloadCache,
		"pre_releases", a.PreReleases, "ignore_installed", a.PipIgnoreInstalled, "upgrade", a.PipUpgrade, "no_deps", a.NoDeps, "proxy", a.Proxy,
		"env_vars", a.EnvVars, "no_cache_dir", a.PipNoCacheDir, "cache_dir", a.PipCacheDir)
	for _, o := range []struct {
		name string
		v    any
	}{{"user", a.User}, {"cwd", cwd}, {"index_url", a.IndexURL}, {"extra_index_url", a.ExtraIndexURL}, {"exists_action", a.PipExistsAction}} {
		if module.Truth(o.v) {
			kw.Set(o.name, o.v)
		}
	}
	a.more(kw)
	v, err := c.Call.Call(ctx, "pip.install", nil, kw)
	if err != nil {
		return err
	}
	ret, _ := v.(*wire.Map)
	if code, ok := ret.Get("retcode"); !ok || code != int64(0) {
		r.Result = false
		r.Comment = strings.Join([]string{r.Comment, ret.Text("stdout"), ret.Text("stderr")}, "\n")
		if !ret.Has("stdout") {
			r.Comment += ret.Text("comment")
		}
	}
	after, err := a.freeze(ctx, c)
	if err != nil {
		return err
	}
	only := func(a, b []string) any {
		var out []any
		for _, s := range a {
			if !contains(b, s) {
				out = append(out, s)
			}
		}
		if out == nil {
			return ""
		}
		return out
	}
	if added, gone := only(after, before), only(before, after); added != "" || gone != "" {
		r.Change("packages", wire.NewMap("new", added, "old", gone))
	}
	return nil
}
