package modules

import (
	"context"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/debian"
	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// aptInstall is one call of pkg.install.
type aptInstall struct {
	a         *apt
	q         *pkgInstallArgs
	old       packages
	files     bool // package files, rather than packages of a repository
	targets   []string
	downgrade []string
	reinstall [][2]string // name, and what apt-get is given for it
	errors    []any
}

func (a *apt) install(ctx context.Context, q *pkgInstallArgs) (*wire.Map, error) {
	normalize := a.normalize
	if !q.Normalize {
		normalize = func(s string) string { return s }
	}
	if q.Fromrepo == "" {
		q.Fromrepo = q.Repo
	}
	in := &aptInstall{a: a, q: q}
	refresh, err := in.refresh(ctx)
	if err != nil {
		return nil, err
	}
	if q.Debconf != "" {
		if _, err := a.c.Call(ctx, "debconf.set_file", []any{q.Debconf}, nil); err != nil {
			return nil, err
		}
	}
	if in.old, err = a.list(ctx, pkgListOptions{}); err != nil {
		return nil, err
	}
	switch {
	case module.Truth(q.Pkgs) && module.Truth(q.Sources):
		a.c.Log.Error("only one of pkgs and sources can be used")
		return wire.NewMap(), nil
	case module.Truth(q.Sources):
		in.files = true
		sources, err := packageSources(ctx, a.c, q.Sources, q.Saltenv, normalize)
		if err != nil || len(sources) == 0 {
			return wire.NewMap(), err
		}
		if err := in.wantFiles(ctx, sources); err != nil {
			return nil, err
		}
	default:
		names, versions, err := wantedOf(a.c, q, normalize)
		if err != nil || len(names) == 0 {
			return wire.NewMap(), err
		}
		if err := in.want(ctx, names, versions); err != nil {
			return nil, err
		}
	}
	ret, err := in.carryOut(ctx, refresh)
	if err != nil {
		return nil, err
	}
	if len(in.errors) > 0 {
		return nil, module.FailInfo("Problem encountered installing package(s)", wire.NewMap("errors", in.errors, "changes", ret))
	}
	return ret, nil
}

// wantedOf are the packages of pkgs or of name, with their versions.
func wantedOf(c *module.Call, q *pkgInstallArgs, normalize func(string) string) ([]string, map[string]*string, error) {
	if module.Truth(q.Pkgs) {
		return wantedPackages(c, q.Pkgs, normalize)
	}
	return namedPackages(q.Name, q.Version, normalize)
}

// refresh tells whether the lists are to be read anew: not where the versions that are
// asked for are the newest already.
func (in *aptInstall) refresh(ctx context.Context) (bool, error) {
	if !truthy(in.q.Refresh) {
		return false, nil
	}
	newest := func(name string) (string, error) {
		v, err := in.a.latest(ctx, []string{name}, pkgLatestOptions{showInstalled: true})
		return v[name], err
	}
	if l, ok := in.q.Pkgs.([]any); ok && len(l) > 0 {
		for _, e := range l {
			m, ok := e.(*wire.Map)
			if !ok {
				return true, nil
			}
			for k, want := range m.All() {
				v, err := newest(pytext.Str(k))
				if err != nil || v != pytext.Str(want) {
					return true, err
				}
				break
			}
		}
		return false, nil
	}
	if module.Truth(in.q.Version) && module.Truth(in.q.Name) {
		v, err := newest(pytext.Str(in.q.Name))
		return v != pytext.Str(in.q.Version), err
	}
	return true, nil
}

// want sorts packages of a repository into those to install, to take back, and to install anew.
func (in *aptInstall) want(ctx context.Context, names []string, versions map[string]*string) error {
	var compared []string
	for _, n := range names {
		if v := versions[n]; v != nil && strings.ContainsAny((*v + " ")[:1], "<>") {
			compared = append(compared, n)
		}
	}
	available := map[string][]string{}
	if len(compared) > 0 {
		var err error
		if available, err = in.a.repoVersions(ctx, compared); err != nil {
			return err
		}
	}
	for _, name := range names {
		if versions[name] == nil {
			if in.q.Reinstall && in.old[name] != nil {
				in.reinstall = append(in.reinstall, [2]string{name, name})
			} else {
				in.targets = append(in.targets, name)
			}
			continue
		}
		version := strings.TrimLeft(*versions[name], "=")
		if slices.Contains(compared, name) {
			found, ok := in.match(version, available[name])
			if !ok {
				list := "None"
				if len(available[name]) > 0 {
					list = strings.Join(available[name], ", ")
				}
				in.errors = append(in.errors, "No version matching '"+name+version+"' could be found (available: "+list+")")
				continue
			}
			version = found
		}
		in.place(name, name+"="+version, version)
	}
	return nil
}

// place puts a package of a version where it belongs.
func (in *aptInstall) place(name, what, version string) {
	have := in.old.text(name)
	switch {
	case in.q.Reinstall && have != "" && debian.Compare(version, have) == 0:
		in.reinstall = append(in.reinstall, [2]string{name, what})
	case have == "" || debian.Compare(version, have) >= 0:
		in.targets = append(in.targets, what)
	default:
		in.downgrade = append(in.downgrade, what)
	}
}

var comparison = lazyre.New(`^(<=>|!=|>=|<=|>>|<<|<>|>|<|=)?\s?([^<>=]+)$`)

// splitComparison parts ">=1.0" into >= and 1.0.
func splitComparison(v string) (oper, version string) {
	if m := comparison.FindStringSubmatch(v); m != nil {
		return m[1], m[2]
	}
	return "", v
}

// match finds the first of the versions that fits a comparison.
func (in *aptInstall) match(want string, available []string) (string, bool) {
	oper, version := splitComparison(want)
	if oper == "" {
		oper = "=="
	}
	for _, v := range available {
		if compares(in.a.compare(v, version, in.q.IgnoreEpoch), oper) {
			return v, true
		}
	}
	return "", false
}

// wantFiles sorts package files likewise, by what is in them.
func (in *aptInstall) wantFiles(ctx context.Context, sources []packageSource) error {
	for _, s := range sources {
		info, err := in.a.fileInfo(ctx, s.path)
		if err != nil {
			return err
		}
		in.place(info.Text("name"), s.path, info.Text("version"))
	}
	return nil
}

// prefix is the command line up to the packages.
func (in *aptInstall) prefix() []string {
	q := in.q
	args := []string{"apt-get", "-q", "-y"}
	if q.ForceYes {
		args = append(args, "--force-yes")
	}
	args = append(args, confOptions(q.ForceConfNew)...)
	if q.InstallRecommends != nil {
		if *q.InstallRecommends {
			args = append(args, "--install-recommends")
		} else {
			args = append(args, "--no-install-recommends")
		}
	}
	if q.OnlyUpgrade {
		args = append(args, "--only-upgrade")
	}
	if q.SkipVerify {
		args = append(args, "--allow-unauthenticated")
	}
	if q.Fromrepo != "" && !in.files {
		args = append(args, "-t", q.Fromrepo)
	}
	return args
}

// commands are the command lines to run.
func (in *aptInstall) commands() [][]string {
	var cmds [][]string
	add := func(before, after []string, what []string) {
		if len(what) > 0 {
			args := append(in.prefix(), before...)
			args = append(append(args, "install"), after...)
			cmds = append(cmds, append(args, what...))
		}
	}
	add(nil, nil, in.targets)
	var down []string
	if !in.files && !in.q.ForceYes {
		down = []string{"--allow-downgrades"}
	}
	add(down, nil, in.downgrade)
	if in.q.Downloadonly && len(cmds) > 0 {
		cmds[len(cmds)-1] = append(cmds[len(cmds)-1], "--download-only")
	}
	var again []string
	for _, r := range in.reinstall {
		again = append(again, r[1])
	}
	var anew []string
	if !in.files {
		anew = []string{"--reinstall"}
	}
	add(nil, anew, again)
	return cmds
}

// carryOut runs apt-get and tells what has changed.
func (in *aptInstall) carryOut(ctx context.Context, refresh bool) (*wire.Map, error) {
	cmds := in.commands()
	if len(cmds) == 0 {
		return wire.NewMap(), nil
	}
	if refresh {
		if _, err := in.a.refresh(ctx, pkgRefreshOptions{cacheValidTime: secondsOf(in.q.CacheValidTime)}); err != nil {
			return nil, err
		}
	}
	held, err := in.a.heldAmong(ctx, append(slices.Clone(in.targets), in.reinstallNames()...))
	if err != nil {
		return nil, err
	}
	if err := in.a.setSelections(ctx, held, "install"); err != nil {
		return nil, err
	}
	for _, args := range cmds {
		out, err := in.a.run(ctx, program{args: args, env: envArg(in.q.Env)}, true)
		if err != nil {
			return nil, err
		}
		if !out.ok() && out.err != "" {
			in.errors = append(in.errors, out.err)
		}
	}
	now, err := in.a.list(ctx, pkgListOptions{})
	if err != nil {
		return nil, err
	}
	ret := comparePackages(in.old, now)
	for _, name := range in.reinstallNames() {
		if !ret.Has(name) || in.old[name] != nil {
			ret.Set(name, wire.NewMap("old", in.old.text(name), "new", now.text(name)))
		}
	}
	return ret, in.a.setSelections(ctx, held, "hold")
}

func (in *aptInstall) reinstallNames() []string {
	var out []string
	for _, r := range in.reinstall {
		out = append(out, r[0])
	}
	return out
}

// heldAmong are those of the targets, name or name=version, that are held.
func (a *apt) heldAmong(ctx context.Context, targets []string) ([]string, error) {
	states, err := a.selections(ctx, "*")
	if err != nil {
		return nil, err
	}
	var out []string
	for _, s := range states {
		if s[1] == "hold" && slices.ContainsFunc(targets, func(t string) bool { n, _, _ := strings.Cut(t, "="); return n == s[0] }) {
			out = append(out, s[0])
		}
	}
	return out, nil
}
