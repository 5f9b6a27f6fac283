package modules

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/rpm"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("pkg.latest_version", pacmanLatest, onPacman)
	register("pkg.available_version", pacmanLatest, onPacman)
	register("pkg.list_upgrades", pacmanListUpgrades, onPacman)
	register("pkg.upgrade", pacmanUpgrade, onPacman)
	register("pkg.list_repo_pkgs", pacmanListRepoPkgs, onPacman)
	register("pkg.group_list", pacmanGroupList, onPacman)
	register("pkg.group_info", pacmanGroupInfo, onPacman)
	register("pkg.group_diff", pacmanGroupDiff, onPacman)
	register("pkg.file_list", pacmanFileList, onPacman)
	register("pkg.file_dict", pacmanFileDict, onPacman)
}

func hasPacman(c *module.Call) bool { return pytext.Str(grainOf(c, "os_family")) == "Arch" }

var onPacman = module.On("pacman", hasPacman)

// pacman is a system of the Arch family.
type pacman struct{ c *module.Call }

func pacmanOf(c *module.Call) (*pacman, error) {
	if !hasPacman(c) {
		return nil, notHere(c)
	}
	return &pacman{c}, nil
}

// pacmanLock is there while pacman changes something.
const pacmanLock = "/var/lib/pacman/db.lck"

// run runs pacman. While another one has the lock of the database it waits, says for whom,
// and gives up in time; a lock that nobody holds is told as pacman tells it.
func (p *pacman) run(ctx context.Context, args ...string) (*programExit, error) {
	said := false
	for began := time.Now(); ; {
		prog := program{args: scopedFor(ctx, p.c, args), fails: true} // to wait is no failure
		out, err := runTool(ctx, p.c, prog)
		if err != nil {
			return nil, err
		}
		who := ""
		if strings.Contains(out.err, "unable to lock database") {
			who = lockOwner(p.c, pacmanLock)
		}
		if who != "" && time.Since(began) > lockPatience {
			out.err += fmt.Sprintf("\nGave up after %s: %s holds %s", lockPatience, who, pacmanLock)
			who = ""
		}
		if who == "" {
			logFailure(p.c, prog, out)
			return out, nil
		}
		if !said {
			said = true
			p.c.Log.Warn("waiting for another package manager", "holder", who, "lock", pacmanLock)
			p.c.Progress(fmt.Sprintf("waiting for %s, which holds %s\n", who, pacmanLock))
		}
		t := time.NewTimer(lockInterval)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return nil, context.Cause(ctx)
		}
	}
}

// scopedFor has what changes packages run in a unit of its own.
func scopedFor(ctx context.Context, c *module.Call, args []string) []string {
	if slices.ContainsFunc(args, func(a string) bool { return a == "--noconfirm" }) {
		return scoped(ctx, c, args)
	}
	return args
}

// lockOwner finds the process that has a file open: "pacman (process 12)", "" for none.
func lockOwner(c *module.Call, path string) string {
	fds, _ := filepath.Glob(c.Host.Path("/proc/[0-9]*/fd/*"))
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && to == path {
			pid := filepath.Base(filepath.Dir(filepath.Dir(fd)))
			return processName(c, pid) + " (process " + pid + ")"
		}
	}
	return ""
}

// pairs reads lines of a name and a version.
func pairs(out string) [][2]string {
	var all [][2]string
	for _, line := range lines(out) {
		if f := strings.Fields(line); len(f) == 2 {
			all = append(all, [2]string{f[0], f[1]})
		}
	}
	return all
}

func (p *pacman) list(ctx context.Context, o pkgListOptions) (packages, error) {
	all := packages{}
	if o.removed || o.purgeDesired {
		return all, nil
	}
	out, err := p.run(ctx, "pacman", "-Q")
	if err != nil {
		return nil, err
	}
	for _, line := range lines(out.out) {
		if f := strings.Fields(line); len(f) >= 2 {
			all.add(f[0], f[1])
		}
	}
	return all.sorted(), nil
}

func (p *pacman) latest(ctx context.Context, names []string, o pkgLatestOptions) (map[string]string, error) {
	if o.refresh {
		if _, err := p.refresh(ctx, pkgRefreshOptions{}); err != nil {
			return nil, err
		}
	}
	out, err := p.run(ctx, append([]string{"pacman", "-Sp", "--needed", "--print-format", "%n %v"}, names...)...)
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for _, f := range pairs(out.out) {
		if slices.Contains(names, f[0]) {
			found[f[0]] = f[1]
		}
	}
	return found, nil
}

func (p *pacman) refresh(ctx context.Context, o pkgRefreshOptions) (any, error) {
	clearRefreshTag(p.c)
	args := []string{"pacman", "-Sy"}
	if root := o.kwargs.Text("root"); root != "" {
		args = append(args, "-r", root)
	}
	out, err := p.run(ctx, args...)
	if err != nil {
		return nil, err
	}
	if !out.ok() {
		return nil, module.Failf("Error refreshing package database: %s", out.err)
	}
	ret := wire.NewMap()
	for _, line := range lines(out.out) {
		f := strings.Fields(line)
		switch {
		case len(f) == 0 || strings.HasPrefix(f[0], "::"):
		case strings.Contains(line, "is up to date"):
			ret.Set(f[0], false)
		case strings.Contains(line, "downloading") && len(f) > 1:
			name, _, _ := strings.Cut(f[1], ".")
			ret.Set(name, true)
		}
	}
	return ret, nil
}

func (p *pacman) install(ctx context.Context, q *pkgInstallArgs) (*wire.Map, error) {
	same := func(s string) string { return s }
	args := []string{"pacman"}
	var targets []string
	var errors []any
	if module.Truth(q.Sources) && !module.Truth(q.Pkgs) {
		sources, err := packageSources(ctx, p.c, q.Sources, q.Saltenv, same)
		if err != nil || len(sources) == 0 {
			return wire.NewMap(), err
		}
		args = append(args, "-U", "--noprogressbar", "--noconfirm")
		for _, s := range sources {
			targets = append(targets, s.path)
		}
	} else {
		if module.Truth(q.Sources) {
			p.c.Log.Error("only one of pkgs and sources can be used")
			return wire.NewMap(), nil
		}
		names, versions, err := wantedOf(p.c, q, same)
		if err != nil || len(names) == 0 {
			return wire.NewMap(), err
		}
		var open []string
		for _, n := range names {
			if versions[n] == nil {
				targets = append(targets, n)
				continue
			}
			oper, version := splitComparison(*versions[n])
			if oper == "" {
				oper = "="
			}
			switch {
			case !strings.Contains(version, "*"):
				targets = append(targets, n+oper+version)
			case oper == "=":
				open = append(open, n)
			default:
				errors = append(errors, "Invalid wildcard for "+n+oper+version)
			}
		}
		refresh := q.Refresh == true
		if len(open) > 0 {
			found, err := p.repoPackages(ctx, open, nil, truthy(q.Refresh))
			if err != nil {
				return nil, err
			}
			refresh = false
			available := found.merged()
			for _, n := range open {
				_, version := splitComparison(*versions[n])
				if i := slices.IndexFunc(available[n], func(v string) bool { return globMatch(version, v) }); i >= 0 {
					targets = append(targets, n+"="+available[n][i])
				} else {
					errors = append(errors, fmt.Sprintf("No version matching '%s' found for package '%s' (available: %s)", version, n, joinedOr(available[n], "none")))
				}
			}
		}
		args = append(args, "-S")
		if refresh {
			args = append(args, "-y")
		}
		if mapValue(q.Kwargs, "sysupgrade") == true {
			args = append(args, "-u")
		}
		args = append(args, "--noprogressbar", "--noconfirm", "--needed")
	}
	ret := wire.NewMap()
	if len(errors) == 0 {
		var err error
		if ret, errors, err = p.change(ctx, append(args, targets...)); err != nil {
			return nil, err
		}
	}
	if len(errors) > 0 {
		return nil, module.FailInfo("Problem encountered installing package(s)", wire.NewMap("errors", errors, "changes", ret))
	}
	return ret, nil
}

// change runs pacman and tells what it has changed.
func (p *pacman) change(ctx context.Context, args []string) (ret *wire.Map, errors []any, err error) {
	return changedBy(ctx, p, func() (*programExit, error) { return p.run(ctx, args...) })
}

// changedBy tells what a program has changed, and what it had to say where it failed.
func changedBy(ctx context.Context, m packageManager, run func() (*programExit, error)) (ret *wire.Map, errors []any, err error) {
	old, err := m.list(ctx, pkgListOptions{})
	if err != nil {
		return nil, nil, err
	}
	out, err := run()
	if err != nil {
		return nil, nil, err
	}
	now, err := m.list(ctx, pkgListOptions{})
	if err != nil {
		return nil, nil, err
	}
	if !out.ok() && out.err != "" {
		errors = []any{out.err}
	}
	return comparePackages(old, now), errors, nil
}

func (p *pacman) remove(ctx context.Context, action string, q *pkgRemoveArgs) (*wire.Map, error) {
	names, _, err := q.targets(p.c, func(s string) string { return s })
	if err != nil {
		return nil, err
	}
	old, err := p.list(ctx, pkgListOptions{})
	if err != nil {
		return nil, err
	}
	names = slices.DeleteFunc(names, func(n string) bool { return old[n] == nil })
	if len(names) == 0 {
		return wire.NewMap(), nil
	}
	how := "-R"
	if action == "purge" {
		how = "-Rsc"
	}
	ret, errors, err := p.change(ctx, append([]string{"pacman", how, "--noprogressbar", "--noconfirm"}, names...))
	if err == nil && len(errors) > 0 {
		return nil, module.FailInfo("Problem encountered removing package(s)", wire.NewMap("errors", errors, "changes", ret))
	}
	return ret, err
}

func (p *pacman) upgrade(ctx context.Context, q *pkgUpgradeArgs) (*wire.Map, error) {
	return pacmanUpgrade(ctx, p.c, pacmanUpgradeArgs{Refresh: q.Refresh})
}

func (p *pacman) upgrades(ctx context.Context, q *pkgListUpgradesArgs) (*wire.Map, error) {
	return pacmanListUpgrades(ctx, p.c, pacmanListUpgradesArgs{Refresh: q.Refresh})
}

// compare orders versions as Salt does on Arch, which does not ask pacman.
func (p *pacman) compare(a, b string, ignoreEpoch bool) int {
	if ignoreEpoch {
		a, b = withoutEpoch(a), withoutEpoch(b)
	}
	return max(-1, min(1, rpm.CompareLoose(a, b)))
}

func (p *pacman) normalize(name string) string { return name }

func (p *pacman) owner(ctx context.Context, path string) (string, error) {
	out, err := runTool(ctx, p.c, program{args: []string{"pacman", "-Qqo", path}, fails: true})
	if err != nil {
		return "", err
	}
	return out.out, nil
}

func (p *pacman) files(context.Context, []string) (*wire.Map, error) { return nil, notHere(p.c) }

// repoPackages are the versions that the repositories have.
func (p *pacman) repoPackages(ctx context.Context, patterns, repos []string, refresh bool) (repoVersions, error) {
	if refresh {
		if _, err := p.refresh(ctx, pkgRefreshOptions{}); err != nil {
			return nil, err
		}
	}
	out, err := runTool(ctx, p.c, program{args: []string{"pacman", "-Sl"}, fails: true})
	if err != nil {
		return nil, err
	}
	found := repoVersions{}
	for _, line := range lines(out.out) {
		f := strings.Fields(line)
		if len(f) < 3 || len(repos) > 0 && !slices.Contains(repos, f[0]) ||
			len(patterns) > 0 && !slices.ContainsFunc(patterns, func(p string) bool { return globMatch(p, f[1]) }) {
			continue
		}
		if found[f[0]] == nil {
			found[f[0]] = map[string][]string{}
		}
		found[f[0]][f[1]] = append(found[f[0]][f[1]], f[2])
	}
	return found, nil
}

type pacmanLatestArgs struct {
	Names   []any     `arg:"*"`                          // Names of packages.
	Refresh any       `arg:"refresh,kw" default:"False"` // Read the databases of the repositories anew first.
	Kwargs  *wire.Map `arg:"**"`                         // Not looked at.
}

// pacmanLatest returns the version that a package could be upgraded to, or installed in;
// "" where the newest is installed, and where there is none. Of several packages it is a
// map of them.
//
//	gosalt '*' pkg.latest_version vim
func pacmanLatest(ctx context.Context, c *module.Call, a pacmanLatestArgs) (any, error) {
	return pkgLatestVersion(ctx, c, pkgLatestArgs{Names: a.Names, Refresh: a.Refresh})
}

type pacmanListUpgradesArgs struct {
	Refresh any       `default:"False"` // Read the databases of the repositories anew first.
	Root    string    `default:"None"`  // Directory with another system.
	Kwargs  *wire.Map `arg:"**"`        // Not looked at.
}

// pacmanListUpgrades returns the packages that an upgrade would change, with their new
// versions.
//
//	gosalt '*' pkg.list_upgrades
func pacmanListUpgrades(ctx context.Context, c *module.Call, a pacmanListUpgradesArgs) (*wire.Map, error) {
	p, err := pacmanOf(c)
	if err != nil {
		return nil, err
	}
	args := []string{"pacman", "-S", "-p", "-u", "--print-format", "%n %v"}
	if a.Root != "" {
		args = append(args, "-r", a.Root)
	}
	if module.Truth(a.Refresh) {
		args = append(args, "-y")
	}
	out, err := p.run(ctx, args...)
	if err != nil {
		return nil, err
	}
	if !out.ok() {
		msg := "Error listing upgrades"
		if text := out.err + out.out; text != "" {
			msg += ": " + text
		}
		return nil, module.Failf("%s", msg)
	}
	ret := wire.NewMap()
	for _, f := range pairs(out.out) {
		if !strings.EqualFold(f[0], "downloading") || !strings.Contains(strings.ToLower(f[1]), ".db") {
			ret.Set(f[0], f[1])
		}
	}
	return ret, nil
}

type pacmanUpgradeArgs struct {
	Refresh any       `default:"False"` // Read the databases of the repositories anew first.
	Root    string    `default:"None"`  // Directory with another system.
	Kwargs  *wire.Map `arg:"**"`        // Not looked at.
}

// pacmanUpgrade upgrades all packages, and returns what has changed.
//
//	gosalt '*' pkg.upgrade refresh=True
func pacmanUpgrade(ctx context.Context, c *module.Call, a pacmanUpgradeArgs) (*wire.Map, error) {
	p, err := pacmanOf(c)
	if err != nil {
		return nil, err
	}
	args := []string{"pacman", "-Su", "--noprogressbar", "--noconfirm"}
	if truthy(a.Refresh) {
		args = append(args, "-y")
	}
	if a.Root != "" {
		args = append(args, "-r", a.Root)
	}
	var out *programExit
	ret, _, err := changedBy(ctx, p, func() (*programExit, error) {
		var err error
		out, err = p.run(ctx, args...)
		return out, err
	})
	if err == nil && !out.ok() {
		return nil, module.FailInfo("Problem encountered upgrading packages", wire.NewMap("changes", ret,
			"result", wire.NewMap("retcode", out.code, "stdout", out.out, "stderr", out.err)))
	}
	return ret, err
}

type pacmanListRepoPkgsArgs struct {
	Args     []any `arg:"*"`                          // Names of packages, or patterns; all without one.
	Fromrepo any   `arg:"fromrepo,kw" default:"None"` // Only these repositories, with commas.
	Byrepo   any   `arg:"byrepo,kw" default:"False"`  // By repository, and then by package.
	Refresh  any   `arg:"refresh,kw" default:"False"` // Read the databases of the repositories anew first.
}

// pacmanListRepoPkgs returns the versions that the repositories have of packages.
//
//	gosalt '*' pkg.list_repo_pkgs 'samba*' fromrepo=extra byrepo=True
func pacmanListRepoPkgs(ctx context.Context, c *module.Call, a pacmanListRepoPkgsArgs) (*wire.Map, error) {
	p, err := pacmanOf(c)
	if err != nil {
		return nil, err
	}
	found, err := p.repoPackages(ctx, (&pkgPackagesArgs{Packages: a.Args}).names(), commaList(a.Fromrepo), module.Truth(a.Refresh))
	if err != nil {
		return nil, err
	}
	return found.toMap(module.Truth(a.Byrepo)), nil
}

// toMap is the form of pkg.list_repo_pkgs.
func (r repoVersions) toMap(byRepo bool) *wire.Map {
	if !byRepo {
		return packages(r.merged()).toMap(true)
	}
	ret := wire.NewMap()
	for _, repo := range slices.Sorted(maps.Keys(r)) {
		for _, l := range r[repo] {
			newestFirst(l)
		}
		ret.Set(repo, packages(r[repo]).toMap(true))
	}
	return ret
}

// groups reads lines of a group and a package.
func (p *pacman) groups(ctx context.Context, args ...string) (map[string][]string, error) {
	out, err := runTool(ctx, p.c, program{args: append([]string{"pacman"}, args...), fails: true})
	if err != nil {
		return nil, err
	}
	all := map[string][]string{}
	for _, line := range lines(out.out) {
		if f := strings.Fields(line); len(f) >= 2 {
			all[f[0]] = append(all[f[0]], f[1])
		}
	}
	return all, nil
}

// pacmanGroupList returns the groups of packages that the repositories have, by whether
// they are installed.
//
//	gosalt '*' pkg.group_list
func pacmanGroupList(ctx context.Context, c *module.Call, _ noArgs) (*wire.Map, error) {
	p, err := pacmanOf(c)
	if err != nil {
		return nil, err
	}
	available, err := p.groups(ctx, "-Sgg")
	if err != nil {
		return nil, err
	}
	installed, err := p.groups(ctx, "-Qg")
	if err != nil {
		return nil, err
	}
	whole, parts, none := []any{}, []any{}, []any{}
	for _, g := range slices.Sorted(maps.Keys(available)) {
		switch n := len(installed[g]); {
		case n == 0:
			none = append(none, g)
		case n == len(available[g]):
			whole = append(whole, g)
		default:
			parts = append(parts, g)
		}
	}
	return wire.NewMap("installed", whole, "partially_installed", parts, "available", none), nil
}

type pacmanGroupArgs struct {
	Name string // Name of the group.
}

// pacmanGroupInfo returns the packages of a group.
//
//	gosalt '*' pkg.group_info xorg
func pacmanGroupInfo(ctx context.Context, c *module.Call, a pacmanGroupArgs) (*wire.Map, error) {
	p, err := pacmanOf(c)
	if err != nil {
		return nil, err
	}
	found, err := p.groups(ctx, "-Sgg", a.Name)
	if err != nil {
		return nil, err
	}
	ret := wire.NewMap()
	for _, k := range groupKinds {
		ret.Set(k, []any{})
	}
	members := slices.Clone(found[a.Name])
	slices.Sort(members)
	ret.Set("default", texts(slices.Compact(members)))
	return ret, nil
}

// pacmanGroupDiff returns which packages of a group are installed, and which are not.
//
//	gosalt '*' pkg.group_diff xorg
func pacmanGroupDiff(ctx context.Context, c *module.Call, a pacmanGroupArgs) (*wire.Map, error) {
	p, err := pacmanOf(c)
	if err != nil {
		return nil, err
	}
	info, err := pacmanGroupInfo(ctx, c, a)
	if err != nil {
		return nil, err
	}
	have, err := p.list(ctx, pkgListOptions{})
	if err != nil {
		return nil, err
	}
	return groupDiff(info, have), nil
}

// filesOf are the files of packages, or of all, in pacman's order.
func (p *pacman) filesOf(ctx context.Context, a pkgPackagesArgs) (all [][2]string, errors []any, err error) {
	names := a.names()
	args := []string{"pacman", "-Ql"}
	if len(names) > 0 && strings.HasPrefix(names[0], "/") {
		args = append(args, "-r")
	}
	out, err := runTool(ctx, p.c, program{args: append(args, names...), fails: true, merge: true})
	if err != nil {
		return nil, nil, err
	}
	errors = []any{}
	for _, line := range lines(out.out) {
		if strings.HasPrefix(line, "error") {
			errors = append(errors, line)
			continue
		}
		name, path, _ := strings.Cut(line, " ")
		all = append(all, [2]string{name, strings.Join(strings.Fields(path), " ")})
	}
	return all, errors, nil
}

// pacmanFileList returns the files of packages, or of all.
//
//	gosalt '*' pkg.file_list nginx
func pacmanFileList(ctx context.Context, c *module.Call, a pkgPackagesArgs) (*wire.Map, error) {
	p, err := pacmanOf(c)
	if err != nil {
		return nil, err
	}
	all, errors, err := p.filesOf(ctx, a)
	files := []any{}
	for _, f := range all {
		files = append(files, f[1])
	}
	return wire.NewMap("errors", errors, "files", files), err
}

// pacmanFileDict returns the files of packages, or of all, by package.
//
//	gosalt '*' pkg.file_dict nginx
func pacmanFileDict(ctx context.Context, c *module.Call, a pkgPackagesArgs) (*wire.Map, error) {
	p, err := pacmanOf(c)
	if err != nil {
		return nil, err
	}
	all, errors, err := p.filesOf(ctx, a)
	ret := wire.NewMap()
	for _, f := range all {
		ret.Set(f[0], append(ret.List(f[0]), f[1]))
	}
	return wire.NewMap("errors", errors, "packages", ret), err
}
