package modules

import (
	"context"
	"os"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("pip.install", pipInstall)
	register("pip.uninstall", pipUninstall)
	register("pip.upgrade", pipUpgrade)
}

type pipInstallArgs struct {
	Pkgs                   any       `default:"None"`                       // Packages, with conditions: a list, or a text with commas; ; stands for a comma within one.
	Requirements           any       `default:"None"`                       // Files of requirements: paths or addresses, a list or a text with commas.
	BinEnv                 string    `default:"None"`                       // A virtual environment, or the path of a pip or a Python: python3 of the system.
	UseWheel               bool      `default:"False"`                      // Of pip 1.4 to 9.0.3.
	NoUseWheel             bool      `default:"False"`                      // Of pip 1.4 to 9.0.3.
	Log                    string    `default:"None"`                       // File to which pip writes its log.
	Proxy                  any       `default:"None"`                       // Proxy: that of the configuration; False for none.
	Timeout                any       `default:"None"`                       // Seconds to wait for a server.
	Editable               any       `default:"None"`                       // Directories or addresses that are installed for development: a list, or a text with commas.
	FindLinks              any       `default:"None"`                       // Directories or pages with packages: a list, or a text with commas.
	IndexURL               string    `arg:"index_url" default:"None"`       // Address of the index.
	ExtraIndexURL          string    `arg:"extra_index_url" default:"None"` // Address of a further index.
	NoIndex                bool      `default:"False"`                      // Only what find_links names.
	Mirrors                any       `default:"None"`                       // Of pip before 7.
	Build                  any       `default:"None"`                       // Directory to build in.
	Target                 any       `default:"None"`                       // Directory to install into.
	Download               any       `default:"None"`                       // Directory to download to, in place of installing.
	DownloadCache          any       `default:"None"`                       // As cache_dir.
	Source                 any       `default:"None"`                       // Directory for what is editable.
	Upgrade                bool      `default:"False"`                      // Newer versions, where there are any.
	ForceReinstall         bool      `default:"False"`                      // Install anew what is installed.
	IgnoreInstalled        bool      `default:"False"`                      // Do not look at what is installed.
	ExistsAction           string    `default:"None"`                       // Where a path is there already: s(witch), i(gnore), w(ipe), b(ackup).
	NoDeps                 bool      `default:"False"`                      // Not what the packages need.
	NoInstall              bool      `default:"False"`                      // Of old versions of pip.
	NoDownload             bool      `default:"False"`                      // Of old versions of pip.
	GlobalOptions          any       `default:"None"`                       // Options for setup.py: a list, or a text with commas.
	InstallOptions         any       `default:"None"`                       // Options for setup.py install: a list, or a text with commas.
	User                   string    `default:"None"`                       // Who runs pip.
	Cwd                    string    `default:"None"`                       // Directory it starts in.
	PreReleases            bool      `default:"False"`                      // Alpha and beta versions, too.
	Cert                   any       `default:"None"`                       // File of certificates.
	AllowAllExternal       bool      `default:"False"`                      // Of old versions of pip.
	AllowExternal          any       `default:"None"`                       // Of old versions of pip.
	AllowUnverified        any       `default:"None"`                       // Of old versions of pip.
	ProcessDependencyLinks bool      `default:"False"`                      // Of old versions of pip.
	Saltenv                string    `default:"base"`                       // Environment of the file server.
	EnvVars                any       `default:"None"`                       // Environment variables: a map.
	UseVt                  bool      `default:"False"`                      // Without effect.
	TrustedHost            any       `default:"None"`                       // A server whose certificate is not verified.
	NoCacheDir             bool      `default:"False"`                      // Without a cache.
	ExtraArgs              any       `default:"None"`                       // Further arguments of pip: a list of texts, and of maps of an option and its value.
	CacheDir               any       `default:"None"`                       // Directory of the cache.
	NoBinary               any       `default:"None"`                       // Packages that are not to be taken as wheels: a list, or a text with commas; :all:.
	DisableVersionCheck    bool      `default:"False"`                      // pip does not look whether it is the newest.
	Kwargs                 *wire.Map `arg:"**"`                             // Arguments of cmd.run_all.
}

var pipEgg = lazyre.New(`(?:#|#.*?&)egg=([^&]+)`)

// pipInstall installs packages with pip, and returns what cmd.run_all does.
//
//	gosalt '*' pip.install 'markdown,django'
//	gosalt '*' pip.install requirements=/path/to/requirements.txt bin_env=/path/to/virtualenv
//	gosalt '*' pip.install markdown,django editable=git+https://github.com/worldcompany/djangoembed.git#egg=djangoembed upgrade=True no_deps=True
func pipInstall(ctx context.Context, c *module.Call, a pipInstallArgs) (*wire.Map, error) {
	e := &pipEnv{a.BinEnv, a.User, a.Cwd}
	if _, err := e.command(c); err != nil {
		return nil, err
	}
	p := &pipArgs{args: []string{"install"}, env: wire.NewMap()}
	missing, done, err := p.requirements(ctx, c, e, a.Requirements, a.Saltenv)
	defer done()
	if err != nil {
		return nil, err
	}
	if missing != "" {
		return wire.NewMap("result", false, "comment", missing), nil
	}
	if _, err := e.version(ctx, c); err != nil {
		return nil, err
	}
	if a.UseWheel || a.NoUseWheel {
		c.Log.Error("use_wheel and no_use_wheel are of pip 1.4 to 9.0.3: they are ignored")
	}
	if err := a.sources(c, p); err != nil {
		return nil, err
	}
	a.options(p)
	if exists := strings.ToLower(a.ExistsAction); exists != "" && !slices.Contains([]string{"s", "i", "w", "b"}, exists) {
		return nil, module.Failf("The exists_action pip option only supports the values s, i, w, and b. '%s' is not valid.", a.ExistsAction)
	}
	what, err := a.packages()
	if err != nil {
		return nil, err
	}
	if len(what) == 0 && !module.Truth(a.Requirements) {
		return wire.NewMap("retcode", int64(0), "stdout", "No packages to install."), nil
	}
	p.add(what...)
	if err := a.late(p); err != nil {
		return nil, err
	}
	vars, err := pipVars(a.EnvVars)
	if err != nil {
		return nil, err
	}
	for k, v := range vars.Strings() {
		p.env.Set(k, v)
	}
	defer c.SetContext(e.contextKey(), nil) // pip itself may be another one now
	kw := plainKwargs(a.Kwargs)
	kw.Set("saltenv", a.Saltenv)
	return e.run(ctx, c, p.args, p.env, kw, p.secret)
}

// sources adds where packages come from.
func (a *pipInstallArgs) sources(c *module.Call, p *pipArgs) error {
	if words := gitList(a.NoBinary); module.Truth(a.NoBinary) {
		p.add("--no-binary", strings.Join(words, ","))
	}
	if a.Log != "" {
		st, err := os.Stat(a.Log)
		if err == nil && st.IsDir() {
			return module.Failf("'%s' is a directory. Use --log path_to_file", a.Log)
		}
		p.add("--log", a.Log)
	}
	p.proxy(c, a.Proxy)
	if err := p.timeout(a.Timeout); err != nil {
		return err
	}
	for _, link := range pipWords(a.FindLinks) {
		if !pipAddress.MatchString(link) && !c.Host.Exists(link) {
			return module.Failf("'%s' is not a valid URL or path", link)
		}
		p.add("--find-links", link)
	}
	if a.NoIndex && (a.IndexURL != "" || a.ExtraIndexURL != "") {
		return module.Failf("'no_index' and ('index_url' or 'extra_index_url') are mutually exclusive.")
	}
	for _, o := range []struct{ name, v string }{{"--index-url", a.IndexURL}, {"--extra-index-url", a.ExtraIndexURL}} {
		if o.v != "" {
			if err := pipURL(o.v); err != nil {
				return err
			}
			p.address(o.name, o.v)
		}
	}
	if a.NoIndex {
		p.add("--no-index")
	}
	if module.Truth(a.Mirrors) {
		return module.Failf("pip >= 7.0.0 does not support mirror argument: use index_url and/or extra_index_url instead")
	}
	return nil
}

// options adds what is handed on as it is.
func (a *pipInstallArgs) options(p *pipArgs) {
	flag := func(name string, on bool) {
		if on {
			p.add(name)
		}
	}
	flag("--disable-pip-version-check", a.DisableVersionCheck)
	p.option("--build", a.Build)
	target := a.Target
	if env := os.Getenv("VENV_PIP_TARGET"); target == nil && env != "" {
		target = env
	}
	p.option("--target", target)
	p.option("--download", a.Download)
	cache := a.DownloadCache
	if !module.Truth(cache) {
		cache = a.CacheDir
	}
	p.option("--cache-dir", cache)
	p.option("--source", a.Source)
	flag("--upgrade", a.Upgrade)
	flag("--force-reinstall", a.ForceReinstall)
	flag("--ignore-installed", a.IgnoreInstalled)
	p.option("--exists-action", a.ExistsAction)
	flag("--no-deps", a.NoDeps)
	flag("--no-install", a.NoInstall)
	flag("--no-download", a.NoDownload)
	flag("--no-cache-dir", a.NoCacheDir)
	flag("--pre", a.PreReleases)
	p.option("--cert", a.Cert)
	for _, o := range pipWords(a.GlobalOptions) {
		p.add("--global-option", o)
	}
	for _, o := range pipWords(a.InstallOptions) {
		p.add("--install-option", o)
	}
}

// packages are what is installed besides the files of requirements.
func (a *pipInstallArgs) packages() ([]string, error) {
	words := pipWords(a.Pkgs)
	if _, list := a.Pkgs.([]any); !list {
		for i := range words {
			words[i] = strings.ReplaceAll(words[i], ";", ",")
		}
	}
	for _, e := range pipWords(a.Editable) {
		if e != "." && !strings.HasPrefix(e, "file://") && !strings.HasPrefix(e, "/") && !pipEgg.MatchString(e) {
			return nil, module.Failf("You must specify an egg for this editable")
		}
		words = append(words, "--editable", e)
	}
	return words, nil
}

// late adds options that Salt puts at the end.
func (a *pipInstallArgs) late(p *pipArgs) error {
	if a.AllowAllExternal {
		p.add("--allow-all-external")
	}
	for _, w := range pipWords(a.AllowExternal) {
		p.add("--allow-external", w)
	}
	for _, w := range pipWords(a.AllowUnverified) {
		p.add("--allow-unverified", w)
	}
	if a.ProcessDependencyLinks {
		p.add("--process-dependency-links")
	}
	p.option("--trusted-host", a.TrustedHost)
	list, ok := a.ExtraArgs.([]any)
	if !ok && module.Truth(a.ExtraArgs) {
		return module.Invalidf("extra_args is a list of arguments, not %s", pytext.Repr(a.ExtraArgs))
	}
	for _, w := range list {
		m, ok := w.(*wire.Map)
		if !ok {
			p.add(pytext.Str(w))
			continue
		}
		for k, v := range m.Strings() {
			switch v.(type) {
			case *wire.Map, []any:
				return module.Invalidf("Too many levels in: %s", k)
			}
			p.add(k, pytext.Str(v))
		}
	}
	return nil
}

type pipUninstallArgs struct {
	Pkgs         any    `default:"None"`  // Packages: a list, or a text with commas.
	Requirements any    `default:"None"`  // Files of requirements: paths or addresses, a list or a text with commas.
	BinEnv       string `default:"None"`  // A virtual environment, or the path of a pip or a Python.
	Log          string `default:"None"`  // File to which pip writes its log.
	Proxy        any    `default:"None"`  // Proxy: that of the configuration; False for none.
	Timeout      any    `default:"None"`  // Seconds to wait for a server.
	User         string `default:"None"`  // Who runs pip.
	Cwd          string `default:"None"`  // Directory it starts in.
	Saltenv      string `default:"base"`  // Environment of the file server.
	UseVt        bool   `default:"False"` // Without effect.
}

// pipUninstall removes packages with pip, and returns what cmd.run_all does.
//
//	gosalt '*' pip.uninstall 'markdown,django'
func pipUninstall(ctx context.Context, c *module.Call, a pipUninstallArgs) (*wire.Map, error) {
	e := &pipEnv{a.BinEnv, a.User, a.Cwd}
	if _, err := e.command(c); err != nil {
		return nil, err
	}
	p := &pipArgs{args: []string{"uninstall", "-y"}, env: wire.NewMap()}
	missing, done, err := p.requirements(ctx, c, e, a.Requirements, a.Saltenv)
	defer done()
	if err != nil {
		return nil, err
	}
	if missing != "" {
		return wire.NewMap("result", false, "comment", missing), nil
	}
	p.option("--log", a.Log)
	p.proxy(c, a.Proxy)
	if err := p.timeout(a.Timeout); err != nil {
		return nil, err
	}
	p.add(pipWords(a.Pkgs)...)
	defer c.SetContext(e.contextKey(), nil)
	return e.run(ctx, c, p.args, p.env, wire.NewMap("saltenv", a.Saltenv), p.secret)
}

type pipUpgradeArgs struct {
	pipEnv
	UseVt bool `default:"False"` // Without effect.
}

// pipUpgrade installs the newest versions of all packages, and returns what has changed.
//
//	gosalt '*' pip.upgrade
func pipUpgrade(ctx context.Context, c *module.Call, a pipUpgradeArgs) (*wire.Map, error) {
	before, err := pipList(ctx, c, pipListArgs{pipEnv: a.pipEnv})
	if err != nil {
		return nil, err
	}
	todo, err := pipListUpgrades(ctx, c, a.pipEnv)
	if err != nil {
		return nil, err
	}
	good, comment := true, ""
	for name := range todo.Strings() {
		ret, err := a.run(ctx, c, []string{"install", "-U", name}, nil, nil, false)
		if err != nil {
			return nil, err
		}
		good = good && ret.Int("retcode") == 0
		comment += ret.Text("stderr")
	}
	c.SetContext(a.contextKey(), nil)
	after, err := pipList(ctx, c, pipListArgs{pipEnv: a.pipEnv})
	if err != nil {
		return nil, err
	}
	changes := wire.NewMap()
	for _, m := range []*wire.Map{before, after} {
		for name := range m.Strings() {
			if old, now := before.Text(name), after.Text(name); old != now {
				changes.Set(name, wire.NewMap("old", old, "new", now))
			}
		}
	}
	return wire.NewMap("changes", changes, "result", good, "comment", comment), nil
}
