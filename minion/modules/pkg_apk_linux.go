package modules

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/rpm"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("pkg.owner", apkOwner, onApk)
	register("pkg.file_list", apkFileDict, onApk)
	register("pkg.file_dict", apkFileDict, onApk)
	register("pkg.upgrade", apkUpgrade, onApk)
}

func hasApk(c *module.Call) bool { return pytext.Str(grainOf(c, "os_family")) == "Alpine" }

var onApk = module.On("apk", hasApk)

// apk is a system of the Alpine family.
type apk struct{ c *module.Call }

// run runs apk, which waits itself for another one that has the lock.
func (a *apk) run(ctx context.Context, merge bool, args ...string) (*programExit, error) {
	wait := strconv.Itoa(int(lockPatience.Seconds()))
	return runTool(ctx, a.c, program{args: append([]string{"apk", "--wait", wait}, args...), merge: merge})
}

// apkName parts "musl-utils-1.2.4-r2": the version is the last two words.
func apkName(s string) (name, version string, ok bool) {
	words := strings.Split(s, "-")
	n := len(words) - 2
	if n < 1 {
		return "", "", false
	}
	return strings.Join(words[:n], "-"), strings.Join(words[n:], "-"), true
}

// apkUpgrading is how apk tells of an upgrade: "(1/2) Upgrading musl (1.2.4-r1 -> 1.2.4-r2)".
var apkUpgrading = lazyre.New(`(?m)^\(\d+/\d+\) Upgrading (\S+) \((\S+) -> (\S+)\)`)

func (a *apk) list(ctx context.Context, o pkgListOptions) (packages, error) {
	all := packages{}
	if o.removed || o.purgeDesired {
		return all, nil
	}
	out, err := a.run(ctx, false, "info", "-v")
	if err != nil {
		return nil, err
	}
	for _, line := range lines(out.out) {
		if name, version, ok := apkName(line); ok {
			all.add(name, version)
		}
	}
	return all.sorted(), nil
}

func (a *apk) refresh(ctx context.Context, _ pkgRefreshOptions) (any, error) {
	clearRefreshTag(a.c)
	out, err := a.run(ctx, false, "update")
	if err != nil {
		return nil, err
	}
	if !out.ok() {
		return nil, module.FailInfo("Problem encountered installing package(s)", wire.NewMap("errors", []any{out.text()}, "changes", false))
	}
	return true, nil
}

func (a *apk) latest(ctx context.Context, names []string, o pkgLatestOptions) (map[string]string, error) {
	installed, err := a.list(ctx, pkgListOptions{})
	if err != nil {
		return nil, err
	}
	if o.refresh {
		if _, err := a.refresh(ctx, pkgRefreshOptions{}); err != nil {
			return nil, err
		}
	}
	out, err := a.run(ctx, false, "upgrade", "-s")
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for _, m := range apkUpgrading.FindAllStringSubmatch(out.out, -1) {
		if slices.Contains(names, m[1]) {
			found[m[1]] = m[3]
		}
	}
	for _, n := range names {
		if found[n] != "" {
			continue
		}
		out, err := a.run(ctx, false, "search", n)
		if err != nil {
			return nil, err
		}
		for _, line := range lines(out.out) {
			if name, version, ok := apkName(line); ok && name == n && installed.text(n) != version {
				found[n] = version
			}
		}
	}
	return found, nil
}

// given are names with commas, and those of a list; of maps with a version the name.
func given(name, pkgs any) []string {
	var out []string
	if module.Truth(name) {
		out = strings.Split(pytext.Str(name), ",")
	}
	l, _ := pkgs.([]any)
	for _, e := range l {
		if m, ok := e.(*wire.Map); ok {
			for k := range m.All() {
				out = append(out, pytext.Str(k))
			}
			continue
		}
		out = append(out, pytext.Str(e))
	}
	return out
}

func (a *apk) install(ctx context.Context, q *pkgInstallArgs) (*wire.Map, error) {
	old, err := a.list(ctx, pkgListOptions{})
	if err != nil {
		return nil, err
	}
	name := q.Name
	if module.Truth(q.Pkgs) || module.Truth(q.Sources) {
		name = nil
	}
	names := given(name, q.Pkgs)
	if module.Truth(q.Sources) {
		sources, err := packageSources(ctx, a.c, q.Sources, q.Saltenv, func(s string) string { return s })
		if err != nil {
			return nil, err
		}
		for _, s := range sources {
			names = append(names, s.path)
		}
	}
	if len(names) == 0 {
		return wire.NewMap(), nil
	}
	if truthy(q.Refresh) {
		if _, err := a.refresh(ctx, pkgRefreshOptions{}); err != nil {
			return nil, err
		}
	}
	args := []string{"add"}
	if slices.ContainsFunc(names, func(n string) bool { return old[n] != nil }) {
		args = append(args, "-u")
	}
	ret, errors, err := changedBy(ctx, a, func() (*programExit, error) { return a.run(ctx, false, append(args, names...)...) })
	if err == nil && len(errors) > 0 {
		return nil, module.FailInfo("Problem encountered installing package(s)", wire.NewMap("errors", errors, "changes", ret))
	}
	return ret, err
}

func (a *apk) remove(ctx context.Context, action string, q *pkgRemoveArgs) (*wire.Map, error) {
	names := given(q.Name, q.Pkgs)
	if len(names) == 0 {
		return wire.NewMap(), nil
	}
	args := []string{"del"}
	if action == "purge" || module.Truth(mapValue(q.Kwargs, "purge")) {
		args = append(args, "--purge")
	}
	ret, errors, err := changedBy(ctx, a, func() (*programExit, error) { return a.run(ctx, false, append(args, names...)...) })
	if err == nil && len(errors) > 0 {
		return nil, module.FailInfo("Problem encountered removing package(s)", wire.NewMap("errors", errors, "changes", ret))
	}
	return ret, err
}

func (a *apk) upgrade(ctx context.Context, q *pkgUpgradeArgs) (*wire.Map, error) {
	return apkUpgrade(ctx, a.c, apkUpgradeArgs{Name: q.Name, Pkgs: q.Pkgs, Refresh: q.Refresh})
}

func (a *apk) upgrades(ctx context.Context, q *pkgListUpgradesArgs) (*wire.Map, error) {
	if truthy(q.Refresh) {
		if _, err := a.refresh(ctx, pkgRefreshOptions{}); err != nil {
			return nil, err
		}
	}
	out, err := a.run(ctx, false, "upgrade", "-s")
	if err != nil {
		return nil, err
	}
	if !out.ok() {
		return nil, module.Failf("%s", out.err+out.out)
	}
	ret := wire.NewMap()
	for _, m := range apkUpgrading.FindAllStringSubmatch(out.out, -1) {
		ret.Set(m[1], m[3])
	}
	return ret, nil
}

// compare orders versions as Salt does on Alpine, which does not ask apk.
func (a *apk) compare(x, y string, ignoreEpoch bool) int {
	if ignoreEpoch {
		x, y = withoutEpoch(x), withoutEpoch(y)
	}
	return max(-1, min(1, rpm.CompareLoose(x, y)))
}

func (a *apk) normalize(name string) string { return name }

func (a *apk) owner(context.Context, string) (string, error) { return "", notHere(a.c) }

func (a *apk) files(context.Context, []string) (*wire.Map, error) { return nil, notHere(a.c) }

type apkUpgradeArgs struct {
	Name    any       `default:"None"` // Packages to upgrade, with commas; all without.
	Pkgs    any       `default:"None"` // Packages to upgrade: a list.
	Refresh any       `default:"True"` // Read the indexes of the repositories anew first.
	Kwargs  *wire.Map `arg:"**"`       // Not looked at.
}

// apkUpgrade upgrades packages, all without names, and returns result, comment and changes.
//
//	gosalt '*' pkg.upgrade
func apkUpgrade(ctx context.Context, c *module.Call, a apkUpgradeArgs) (*wire.Map, error) {
	m := &apk{c}
	if truthy(a.Refresh) {
		if _, err := m.refresh(ctx, pkgRefreshOptions{}); err != nil {
			return nil, err
		}
	}
	name := a.Name
	if module.Truth(a.Pkgs) {
		name = nil
	}
	args := []string{"upgrade"}
	if names := given(name, a.Pkgs); len(names) > 0 {
		args = append([]string{"add", "-u"}, names...)
	}
	ret := wire.NewMap("changes", wire.NewMap(), "result", true, "comment", "")
	changes, _, err := changedBy(ctx, m, func() (*programExit, error) {
		out, err := m.run(ctx, true, args...)
		if err == nil && !out.ok() {
			ret.Set("result", false)
			ret.Set("comment", out.out)
		}
		return out, err
	})
	ret.Set("changes", changes)
	return ret, err
}

// apkOwner returns the packages that files are of.
//
//	gosalt '*' pkg.owner /usr/bin/apachectl
func apkOwner(ctx context.Context, c *module.Call, a pkgPathsArgs) (any, error) {
	if len(a.Paths) == 0 {
		return "You must provide a path", nil
	}
	m, ret := &apk{c}, wire.NewMap()
	for _, path := range (&pkgPackagesArgs{Packages: a.Paths}).names() {
		out, err := m.run(ctx, false, "info", "-W", path)
		if err != nil {
			return nil, err
		}
		_, name, ok := strings.Cut(out.out, "by ")
		switch {
		case ok && out.ok():
			ret.Set(path, strings.TrimSpace(name))
		case strings.Contains(out.text(), "ERROR:"):
			ret.Set(path, "Could not find owner package")
		default:
			ret.Set(path, "Error running ['apk', 'info', '-W', "+pytext.Repr(path)+"]")
		}
	}
	return ret, nil
}

// apkFileDict returns the files of packages, by package.
//
//	gosalt '*' pkg.file_dict nginx
func apkFileDict(ctx context.Context, c *module.Call, a pkgPackagesArgs) (any, error) {
	if len(a.Packages) == 0 {
		return "Package name should be provided", nil
	}
	m, ret := &apk{c}, wire.NewMap()
	for _, name := range a.names() {
		out, err := m.run(ctx, false, "info", "-L", name)
		if err != nil {
			return nil, err
		}
		var files []any
		for _, line := range lines(out.out) {
			if !strings.HasSuffix(line, "contains:") {
				files = append(files, line)
			}
		}
		if len(files) > 0 {
			ret.Set(name, files)
		}
	}
	return wire.NewMap("errors", []any{}, "packages", ret), nil
}
