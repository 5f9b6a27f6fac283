package modules

import (
	"context"
	"strings"

	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pep440"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("pip.version", pipVersion)
	register("pip.freeze", pipFreeze)
	register("pip.list", pipList)
	register("pip.list_freeze_parse", pipListFreezeParse)
	register("pip.list_upgrades", pipListUpgrades)
	register("pip.list_all_versions", pipListAllVersions)
	register("pip.is_installed", pipIsInstalled)
	register("pip.upgrade_available", pipUpgradeAvailable)
}

type pipVersionArgs struct {
	BinEnv string `default:"None"` // A virtual environment, or the path of a pip or a Python.
	Cwd    string `default:"None"` // Directory it starts in.
	User   string `default:"None"` // Who runs pip.
}

// pipVersion returns the version of pip.
//
//	gosalt '*' pip.version
func pipVersion(ctx context.Context, c *module.Call, a pipVersionArgs) (string, error) {
	return (&pipEnv{a.BinEnv, a.User, a.Cwd}).version(ctx, c)
}

type pipFreezeArgs struct {
	pipEnv
	UseVt   bool      `default:"False"` // Without effect.
	EnvVars any       `default:"None"`  // Environment variables: a map.
	Kwargs  *wire.Map `arg:"**"`        // Arguments of cmd.run_all.
}

// pipFreeze returns what is installed in the form of a file of requirements.
//
//	gosalt '*' pip.freeze bin_env=/home/code/path/to/virtualenv
func pipFreeze(ctx context.Context, c *module.Call, a pipFreezeArgs) ([]any, error) {
	text, err := pipReads(ctx, c, &a.pipEnv, a.EnvVars, a.Kwargs, "freeze", "--all")
	return anyList(pytext.SplitLines(text, false)), err
}

// pipReads runs pip for what it prints.
func pipReads(ctx context.Context, c *module.Call, e *pipEnv, vars any, kwargs *wire.Map, args ...string) (string, error) {
	if _, err := e.version(ctx, c); err != nil {
		return "", err
	}
	env, err := pipVars(vars)
	if err != nil {
		return "", err
	}
	ret, err := e.run(ctx, c, args, env, plainKwargs(kwargs), false)
	if err != nil {
		return "", err
	}
	if ret.Int("retcode") != 0 {
		return "", module.Failf("%s", ret.Text("stderr"))
	}
	return ret.Text("stdout"), nil
}

// plainKwargs are keywords without those that tell of the job.
func plainKwargs(kwargs *wire.Map) *wire.Map {
	out := wire.NewMap()
	for k, v := range kwargs.Strings() {
		if !strings.HasPrefix(k, "__") {
			out.Set(k, v)
		}
	}
	return out
}

type pipListArgs struct {
	Prefix string `default:"None"` // Only packages whose names begin so.
	pipEnv
	EnvVars any       `default:"None"` // Environment variables: a map.
	Kwargs  *wire.Map `arg:"**"`       // Arguments of cmd.run_all.
}

// pipList returns the versions of the packages that are installed, by their names.
//
//	gosalt '*' pip.list salt
func pipList(ctx context.Context, c *module.Call, a pipListArgs) (*wire.Map, error) {
	v, err := pipJSON(ctx, c, &a.pipEnv, a.EnvVars, a.Kwargs, "list", "--format=json")
	if err != nil {
		return nil, err
	}
	ret := wire.NewMap()
	for _, m := range v {
		if name := m.Text("name"); strings.HasPrefix(strings.ToLower(name), strings.ToLower(a.Prefix)) {
			ret.Set(name, m.Text("version"))
		}
	}
	return ret, nil
}

// pipJSON runs pip for a list of maps.
func pipJSON(ctx context.Context, c *module.Call, e *pipEnv, vars any, kwargs *wire.Map, args ...string) ([]*wire.Map, error) {
	text, err := pipReads(ctx, c, e, vars, kwargs, args...)
	if err != nil {
		return nil, err
	}
	v, err := pytext.ParseJSON(text)
	list, ok := v.([]any)
	if err != nil || !ok {
		return nil, module.Failf("Invalid JSON")
	}
	var out []*wire.Map
	for _, e := range list {
		if m, ok := e.(*wire.Map); ok {
			out = append(out, m)
		}
	}
	return out, nil
}

// pipListFreezeParse returns the versions of the packages that are installed, from what
// pip.freeze says of them: those that are installed from an address by that.
//
//	gosalt '*' pip.list_freeze_parse salt
func pipListFreezeParse(ctx context.Context, c *module.Call, a pipListArgs) (*wire.Map, error) {
	lines, err := pipFreeze(ctx, c, pipFreezeArgs{pipEnv: a.pipEnv, EnvVars: a.EnvVars, Kwargs: a.Kwargs})
	if err != nil {
		return nil, err
	}
	ret := wire.NewMap()
	if strings.HasPrefix("pip", a.Prefix) {
		v, err := a.version(ctx, c)
		if err != nil {
			return nil, err
		}
		ret.Set("pip", v)
	}
	for _, l := range lines {
		line := pytext.Str(l)
		if strings.HasPrefix(line, "-f") || strings.HasPrefix(line, "#") || strings.HasPrefix(line, "-e hg+not trust") {
			continue
		}
		line, editable := strings.CutPrefix(line, "-e ")
		name, version := "", ""
		switch {
		case editable && strings.Contains(line, "#egg="):
			version, name, _ = strings.Cut(line, "#egg=")
		case strings.Contains(line, "==="):
			name, version, _ = strings.Cut(line, "===")
		case strings.Contains(line, "=="):
			name, version, _ = strings.Cut(line, "==")
		default:
			c.Log.Error("line of pip freeze not read", "line", line)
			continue
		}
		if strings.HasPrefix(strings.ToLower(name), strings.ToLower(a.Prefix)) {
			ret.Set(name, version)
		}
	}
	return ret, nil
}

// pipListUpgrades returns the packages of which there are newer versions, and those.
//
//	gosalt '*' pip.list_upgrades
func pipListUpgrades(ctx context.Context, c *module.Call, a pipEnv) (*wire.Map, error) {
	list, err := pipJSON(ctx, c, &a, nil, nil, "list", "--outdated", "--format=json")
	if err != nil {
		return nil, err
	}
	ret := wire.NewMap()
	for _, m := range list {
		ret.Set(m.Text("name"), m.Text("latest_version")+" ["+m.Text("latest_filetype")+"]")
	}
	return ret, nil
}

type pipPackageArgs struct {
	Pkgname string // Name of the package.
	pipEnv
}

// pipIsInstalled tells whether a package is installed.
//
//	gosalt '*' pip.is_installed salt
func pipIsInstalled(ctx context.Context, c *module.Call, a pipPackageArgs) (bool, error) {
	all, err := pipList(ctx, c, pipListArgs{Prefix: a.Pkgname, pipEnv: a.pipEnv})
	for name := range all.Strings() {
		if strings.EqualFold(name, a.Pkgname) {
			return true, nil
		}
	}
	return false, err
}

type pipUpgradeAvailableArgs struct {
	Pkg string // Name of the package.
	pipEnv
}

// pipUpgradeAvailable tells whether there is a newer version of a package.
//
//	gosalt '*' pip.upgrade_available salt
func pipUpgradeAvailable(ctx context.Context, c *module.Call, a pipUpgradeAvailableArgs) (bool, error) {
	all, err := pipListUpgrades(ctx, c, a.pipEnv)
	return all.Has(a.Pkg), err
}

type pipAllVersionsArgs struct {
	Pkg           string // Name of the package.
	BinEnv        string `default:"None"`                       // A virtual environment, or the path of a pip or a Python.
	IncludeAlpha  bool   `default:"False"`                      // Alpha versions, too.
	IncludeBeta   bool   `default:"False"`                      // Beta versions, too.
	IncludeRC     bool   `arg:"include_rc" default:"False"`     // Release candidates, too.
	User          string `default:"None"`                       // Who runs pip.
	Cwd           string `default:"None"`                       // Directory it starts in.
	IndexURL      string `arg:"index_url" default:"None"`       // Address of the index.
	ExtraIndexURL string `arg:"extra_index_url" default:"None"` // Address of a further index.
}

var (
	pipAvailable = lazyre.New(`\s*Available versions: (.*)`)
	pipNotFound  = lazyre.New(`\s*Could not find a version.* \(from versions: (.*)\)`)
)

// pipListAllVersions returns the versions of a package that there are, the oldest first,
// None where there are none.
//
//	gosalt '*' pip.list_all_versions salt
func pipListAllVersions(ctx context.Context, c *module.Call, a pipAllVersionsArgs) (any, error) {
	e := &pipEnv{a.BinEnv, a.User, a.Cwd}
	version, err := e.version(ctx, c)
	if err != nil {
		return nil, err
	}
	p := &pipArgs{args: []string{"index", "versions", a.Pkg}, env: wire.NewMap()}
	find := pipAvailable
	if !pep440.Meets(version, []pep440.Spec{{Op: ">=", Version: "21.2"}}) {
		p.args = []string{"install", a.Pkg + "==versions"}
		if pep440.Meets(version, []pep440.Spec{{Op: ">=", Version: "20.3"}}) {
			p.args = append([]string{"--use-deprecated=legacy-resolver"}, p.args...)
		}
		find = pipNotFound
	}
	for _, o := range []struct{ name, v string }{{"--index-url", a.IndexURL}, {"--extra-index-url", a.ExtraIndexURL}} {
		if o.v != "" {
			if err := pipURL(o.v); err != nil {
				return nil, err
			}
			p.address(o.name, o.v)
		}
	}
	ret, err := e.run(ctx, c, p.args, p.env, wire.NewMap("redirect_stderr", true), true)
	if err != nil {
		return nil, err
	}
	m := find.FindStringSubmatch(ret.Text("stdout"))
	if m == nil {
		return nil, nil
	}
	var out []string
	for _, v := range strings.Split(m[1], ", ") {
		if v == "" || !a.IncludeAlpha && strings.Contains(v, "a") || !a.IncludeBeta && strings.Contains(v, "b") || !a.IncludeRC && strings.Contains(v, "rc") {
			continue
		}
		out = append(out, v)
	}
	if out == nil {
		return nil, nil
	}
	pep440.Sort(out)
	return anyList(out), nil
}
