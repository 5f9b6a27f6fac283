package modules

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pyre"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/systemd"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("pkg.list_pkgs", rpmPkgs, onRPM)
	register("pkg.upgrade", yumUpgrade, onYum)
	register("pkg.update", yumUpdate, onYum)
	register("pkg.list_updates", pkgListUpgrades, onRPM)
	register("pkg.clean_metadata", pkgRefreshDB, onRPM)
	register("pkg.list_repo_pkgs", yumListRepoPkgs, onYum)
	register("pkg.list_downloaded", yumListDownloaded, onYum)
	register("pkg.list_holds", yumListHolds, onYum)
	register("pkg.get_locked_packages", yumListHolds, onYum)
	register("pkg.download", yumDownload, onYum)
	register("pkg.list_patches", yumListPatches, onYum)
	register("pkg.list_installed_patches", yumListInstalledPatches, onYum)
	register("pkg.services_need_restart", yumServicesNeedRestart, onYum)
}

type rpmPkgsArgs struct {
	VersionsAsList any       `default:"False"`              // Lists of versions in place of texts.
	Attr           any       `arg:"attr,kw" default:"None"` // Attributes beside the version: all, or some of epoch, version, release, arch, install_date, install_date_time_t.
	Kwargs         *wire.Map `arg:"**"`                     // Not looked at.
	Root           string    `arg:"root,kw" default:"None"` // Directory with another system.
}

// rpmPkgs returns the packages that are installed, with their versions.
//
//	gosalt '*' pkg.list_pkgs
//	gosalt '*' pkg.list_pkgs attr=version,arch
func rpmPkgs(ctx context.Context, c *module.Call, a rpmPkgsArgs) (*wire.Map, error) {
	if truthy(mapValue(a.Kwargs, "removed")) || truthy(mapValue(a.Kwargs, "purge_desired")) {
		return wire.NewMap(), nil
	}
	all, err := rpmPackages(ctx, c, a.Root)
	if err != nil {
		return nil, err
	}
	return rpmListed(all, truthy(a.VersionsAsList), attributesOf(a.Attr)), nil
}

type yumUpgradeArgs struct {
	Name       any       `default:"None"`  // Packages to upgrade, with commas; all without.
	Pkgs       any       `default:"None"`  // Packages to upgrade: a list.
	Refresh    any       `default:"True"`  // Read the repositories anew first.
	SkipVerify bool      `default:"False"` // Take packages without a valid signature.
	Normalize  bool      `default:"True"`  // Drop the machine's own architecture from names.
	Minimal    bool      `default:"False"` // Only as far as bugs and security need it.
	Obsoletes  bool      `default:"True"`  // Replace packages by those that make them obsolete.
	DiffAttr   any       `default:"None"`  // Attributes to return beside the versions, as attr of pkg.list_pkgs.
	Kwargs     *wire.Map `arg:"**"`        // fromrepo, enablerepo, disablerepo, disableexcludes, setopt; others go to dnf as options.
}

// yumUpgrade upgrades packages, all without names, and returns what has changed.
//
//	gosalt '*' pkg.upgrade
//	gosalt '*' pkg.upgrade name=openssl
//	gosalt '*' pkg.upgrade security=True exclude='kernel*'
func yumUpgrade(ctx context.Context, c *module.Call, a yumUpgradeArgs) (*wire.Map, error) {
	y, err := yumOf(c)
	if err != nil {
		return nil, err
	}
	kwargs := withRepo(a.Kwargs, "", "")
	if y.dnf() && !a.Obsoletes {
		set := slices.DeleteFunc(commaList(mapValue(kwargs, "setopt")), func(s string) bool { return strings.HasPrefix(s, "obsoletes=") })
		kwargs.Set("setopt", texts(append(set, "obsoletes=False")))
	}
	options := yumOptions(kwargs)
	extra := map[string]bool{}
	for k := range kwargs.Strings() {
		if !strings.HasPrefix(k, "__") && !slices.Contains(yumRepoKeys, k) {
			extra[k] = true
		}
	}
	for _, k := range sortedNames(extra) {
		switch v := mapValue(kwargs, k).(type) {
		case string:
			options = append(options, "--"+k+"="+v)
		case bool:
			if v {
				options = append(options, "--"+k)
			}
		}
	}
	if truthy(a.Refresh) {
		if _, err := y.check(ctx, kwargs); err != nil {
			return nil, err
		}
	}
	attr := attributesOf(a.DiffAttr)
	old, err := rpmPackages(ctx, c, "")
	if err != nil {
		return nil, err
	}
	normalize := y.normalize
	if !a.Normalize {
		normalize = func(s string) string { return s }
	}
	names, _, err := (&pkgRemoveArgs{Name: a.Name, Pkgs: a.Pkgs}).targets(c, normalize)
	if err != nil {
		return nil, err
	}
	args := append([]string{"--quiet", "-y"}, options...)
	if a.SkipVerify {
		args = append(args, "--nogpgcheck")
	}
	verb := "upgrade"
	if !a.Obsoletes && !y.dnf() {
		verb = "update"
	}
	if a.Minimal {
		verb += "-minimal"
	}
	out, err := y.run(ctx, program{args: append(append(args, verb), names...)})
	if err != nil {
		return nil, err
	}
	now, err := rpmPackages(ctx, c, "")
	if err != nil {
		return nil, err
	}
	ret := compareMaps(rpmListed(old, false, attr), rpmListed(now, false, attr))
	if !out.ok() {
		return nil, module.FailInfo("Problem encountered upgrading packages", wire.NewMap("changes", ret,
			"result", wire.NewMap("retcode", out.code, "stdout", out.out, "stderr", out.err)))
	}
	return ret, nil
}

type yumUpdateArgs struct {
	Name       any       `default:"None"`  // Packages to upgrade, with commas; all without.
	Pkgs       any       `default:"None"`  // Packages to upgrade: a list.
	Refresh    any       `default:"True"`  // Read the repositories anew first.
	SkipVerify bool      `default:"False"` // Take packages without a valid signature.
	Normalize  bool      `default:"True"`  // Drop the machine's own architecture from names.
	Minimal    bool      `default:"False"` // Only as far as bugs and security need it.
	Obsoletes  bool      `default:"False"` // Replace packages by those that make them obsolete.
	Kwargs     *wire.Map `arg:"**"`        // As those of pkg.upgrade.
}

// yumUpdate upgrades packages as pkg.upgrade does, but keeps those that others make
// obsolete.
//
//	gosalt '*' pkg.update
func yumUpdate(ctx context.Context, c *module.Call, a yumUpdateArgs) (*wire.Map, error) {
	return yumUpgrade(ctx, c, yumUpgradeArgs{Name: a.Name, Pkgs: a.Pkgs, Refresh: a.Refresh, SkipVerify: a.SkipVerify, Normalize: a.Normalize,
		Minimal: a.Minimal, Obsoletes: a.Obsoletes, Kwargs: a.Kwargs})
}

type yumListRepoPkgsArgs struct {
	Args   []any     `arg:"*"`                         // Names of packages, or patterns; all without one.
	Byrepo any       `arg:"byrepo,kw" default:"False"` // By repository, and then by package.
	Kwargs *wire.Map `arg:"**"`                        // fromrepo, enablerepo, disablerepo; cacheonly: take what is known already.
}

// yumListRepoPkgs returns the versions that the repositories have of packages, the newest
// first.
//
//	gosalt '*' pkg.list_repo_pkgs foo bar
//	gosalt '*' pkg.list_repo_pkgs 'samba4*' fromrepo=base,updates byrepo=True
func yumListRepoPkgs(ctx context.Context, c *module.Call, a yumListRepoPkgsArgs) (*wire.Map, error) {
	y, err := yumOf(c)
	if err != nil {
		return nil, err
	}
	found, err := y.repoPackages(ctx, (&pkgPackagesArgs{Packages: a.Args}).names(), a.Kwargs)
	if err != nil {
		return nil, err
	}
	return found.toMap(module.Truth(a.Byrepo)), nil
}

func (y *yum) downloaded(ctx context.Context) (*wire.Map, error) {
	return rpmDownloaded(ctx, y.c, "/var/cache/"+y.prog)
}

// yumListDownloaded returns the package files in dnf's cache, by name and version.
//
//	gosalt '*' pkg.list_downloaded
func yumListDownloaded(ctx context.Context, c *module.Call, _ pkgRepoKwargs) (*wire.Map, error) {
	y, err := yumOf(c)
	if err != nil {
		return nil, err
	}
	return y.downloaded(ctx)
}

// versionlock is the package with the plugin that holds packages.
func (y *yum) versionlock() (string, error) {
	number := func(grain string) float64 {
		n, _ := parseNumber(pytext.Str(grainOf(y.c, grain)))
		return n
	}
	switch {
	case y.dnf() && strings.EqualFold(pytext.Str(grainOf(y.c, "os")), "fedora"):
		if number("osrelease") >= 26 {
			return "python3-dnf-plugin-versionlock", nil
		}
		return "python3-dnf-plugins-extras-versionlock", nil
	case y.dnf() && number("osmajorrelease") >= 8:
		return "python3-dnf-plugin-versionlock", nil
	case y.dnf():
		return "python2-dnf-plugin-versionlock", nil
	case y.prog == "tdnf":
		return "", module.Invalidf("Cannot proceed, no versionlock for tdnf")
	case number("osmajorrelease") == 5:
		return "yum-versionlock", nil
	}
	return "yum-plugin-versionlock", nil
}

// needVersionlock fails where the plugin is not installed.
func (y *yum) needVersionlock(ctx context.Context) error {
	plugin, err := y.versionlock()
	if err != nil {
		return err
	}
	have, err := y.list(ctx, pkgListOptions{})
	if err == nil && have[plugin] == nil {
		err = module.Invalidf("Cannot proceed, %s is not installed.", plugin)
	}
	return err
}

// holdPattern is how Salt finds the name of a package in a line of the plugin's.
const holdPattern = `[\w+]+(?:[.-][^-]+)*`

// holds are the packages that are held: as the plugin writes them, or their names.
func (y *yum) holds(ctx context.Context, pattern string, full bool) ([]string, error) {
	if err := y.needVersionlock(ctx); err != nil {
		return nil, err
	}
	if pattern == "" {
		pattern = holdPattern
	}
	expr := "(" + pattern + `-\S+)`
	switch {
	case !y.dnf() && full:
		expr = `(\d+:` + pattern + `-\S+)`
	case !y.dnf():
		expr = `\d+:(` + pattern + `-\S+)`
	}
	re, err := pyre.Compile(expr, "")
	if err != nil {
		return nil, module.Invalidf("pattern: %w", err)
	}
	out, err := y.run(ctx, program{args: []string{"versionlock", "list"}, merge: true})
	if err != nil {
		return nil, err
	}
	found := []string{}
	for _, line := range lines(out.out) {
		m, err := re.Search(line)
		if err != nil || len(m) < 2 {
			continue
		}
		s := m[1].Text
		if !full {
			for _, sep := range []string{".", "-", "-"} {
				if i := strings.LastIndex(s, sep); i >= 0 {
					s = s[:i]
				}
			}
		}
		found = append(found, s)
	}
	return found, nil
}

type yumListHoldsArgs struct {
	Pattern string `default:"None"` // Regular expression of packages' names.
	Full    bool   `default:"True"` // With their versions.
}

// yumListHolds returns the packages that are held at their versions.
//
//	gosalt '*' pkg.list_holds
//	gosalt '*' pkg.list_holds full=False
func yumListHolds(ctx context.Context, c *module.Call, a yumListHoldsArgs) ([]string, error) {
	y, err := yumOf(c)
	if err != nil {
		return nil, err
	}
	return y.holds(ctx, a.Pattern, a.Full)
}

func (y *yum) hold(ctx context.Context, names []any, on bool) (*wire.Map, error) {
	locks, err := y.holds(ctx, "", !on && y.prog == "yum")
	if err != nil {
		return nil, err
	}
	test := y.c.Opts.Bool("test")
	ret := wire.NewMap()
	for _, name := range heldNames(names) {
		r := wire.NewMap("name", name, "changes", wire.NewMap(), "result", false, "comment", "")
		ret.Set(name, r)
		say := func(result any, comment string) {
			r.Set("result", result)
			r.Set("comment", "Package "+name+comment)
		}
		var held []string
		for _, l := range locks {
			if l == name || !on && y.prog == "yum" && strings.Contains(l, ":"+name+"-") {
				held = append(held, l)
			}
		}
		switch {
		case on && len(held) > 0:
			say(true, " is already set to be held.")
			continue
		case !on && len(held) == 0:
			say(true, " is not being held.")
			continue
		case test && on:
			say(nil, " is set to be held.")
			continue
		case test:
			say(nil, " is set to be unheld.")
			continue
		}
		args := append([]string{"versionlock", "delete"}, held...)
		if on {
			args = []string{"versionlock", name}
		}
		out, err := y.run(ctx, program{args: args})
		switch {
		case err != nil:
			return nil, err
		case on && out.ok():
			say(true, " is now being held.")
			r.Set("changes", wire.NewMap("new", "hold", "old", ""))
		case on:
			say(false, " was unable to be held.")
		case out.ok():
			say(true, " is no longer held.")
			r.Set("changes", wire.NewMap("new", "", "old", "hold"))
		default:
			say(false, " was unable to be unheld.")
		}
	}
	return ret, nil
}

type yumDownloadArgs struct {
	Packages []any     `arg:"*"`  // Names of packages.
	Kwargs   *wire.Map `arg:"**"` // Not looked at.
}

// yumDownload downloads packages into a directory packages of dnf's cache, with
// yumdownloader, and returns where each is.
//
//	gosalt '*' pkg.download httpd postfix
func yumDownload(ctx context.Context, c *module.Call, a yumDownloadArgs) (*wire.Map, error) {
	y, err := yumOf(c)
	if err != nil {
		return nil, err
	}
	if whichProgram("yumdownloader") == "" {
		return nil, module.Failf("'yumdownloader' command not available")
	}
	if len(a.Packages) == 0 {
		return nil, module.Invalidf("No packages were specified")
	}
	names := (&pkgPackagesArgs{Packages: a.Packages}).names()
	dir := "/var/cache/" + y.prog + "/packages"
	if err := os.MkdirAll(c.Host.Path(dir), 0o755); err != nil {
		return nil, module.Failf("make %s: %w", dir, err)
	}
	files := func(each func(file, name string)) error {
		entries, err := os.ReadDir(c.Host.Path(dir))
		if err != nil {
			return module.Failf("%w", err)
		}
		for _, e := range entries {
			for _, n := range names {
				if strings.HasPrefix(e.Name(), n+"-") {
					each(filepath.Join(dir, e.Name()), n)
					break
				}
			}
		}
		return nil
	}
	if err := files(func(file, _ string) {
		if err := c.Host.Remove(file); err != nil {
			c.Log.Error("old package file not removed", "file", file, "error", err)
		}
	}); err != nil {
		return nil, err
	}
	out, err := runTool(ctx, c, program{args: append([]string{"yumdownloader", "-q", "--destdir=" + dir}, names...)})
	if err != nil {
		return nil, err
	}
	ret := wire.NewMap()
	if err := files(func(file, name string) {
		if strings.HasSuffix(file, ".rpm") {
			ret.Set(name, file)
		}
	}); err != nil {
		return nil, err
	}
	if ret.Len() == 0 {
		c.Log.Error("packages not downloaded", "stderr", out.err)
		return nil, module.Failf("Unable to download any of the following packages: %s", strings.Join(names, ", "))
	}
	var failed []string
	for _, n := range names {
		if !ret.Has(n) {
			failed = append(failed, n)
		}
	}
	if len(failed) > 0 {
		ret.Set("_error", "The following package(s) failed to download: "+strings.Join(failed, ", "))
	}
	return ret, nil
}

var patchLine = lazyre.New(`^([i|\s]) (\S+) +(\S+) +(\S+)`)

// patches are the advisories of the repositories.
func (y *yum) patches(ctx context.Context) (*wire.Map, error) {
	out, err := y.run(ctx, program{args: []string{"--quiet", "updateinfo", "list", "all"}})
	if err != nil {
		return nil, err
	}
	ret := wire.NewMap()
	for _, line := range lines(out.out) {
		m := patchLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		p := ret.Map(m[2])
		if p == nil {
			p = wire.NewMap("installed", true, "summary", []any{})
			ret.Set(m[2], p)
		}
		p.Set("summary", append(p.List("summary"), m[4]))
		if m[1] != "i" {
			p.Set("installed", false)
		}
	}
	return ret, nil
}

type yumListPatchesArgs struct {
	Refresh any       `default:"False"` // Read the repositories anew first.
	Kwargs  *wire.Map `arg:"**"`        // Not looked at.
}

// yumListPatches returns the advisories of the repositories, with their packages.
//
//	gosalt '*' pkg.list_patches
func yumListPatches(ctx context.Context, c *module.Call, a yumListPatchesArgs) (*wire.Map, error) {
	y, err := yumOf(c)
	if err != nil {
		return nil, err
	}
	if module.Truth(a.Refresh) {
		if _, err := y.check(ctx, nil); err != nil {
			return nil, err
		}
	}
	return y.patches(ctx)
}

// yumListInstalledPatches returns the advisories whose packages are all installed.
//
//	gosalt '*' pkg.list_installed_patches
func yumListInstalledPatches(ctx context.Context, c *module.Call, a pkgRepoKwargs) (*wire.Map, error) {
	all, err := yumListPatches(ctx, c, yumListPatchesArgs{})
	ret := wire.NewMap()
	for id, p := range all.Strings() {
		if p.(*wire.Map).Bool("installed") {
			ret.Set(id, p)
		}
	}
	return ret, err
}

// yumServicesNeedRestart lists the services that use files which the package manager has
// changed since. It needs dnf's plugin needs-restarting, and systemd.
//
//	gosalt '*' pkg.services_need_restart
func yumServicesNeedRestart(ctx context.Context, c *module.Call, _ pkgRepoKwargs) ([]string, error) {
	y, err := yumOf(c)
	if err != nil {
		return nil, err
	}
	if !y.dnf() {
		return nil, module.Failf("dnf or dnf5 is required to list outdated services.")
	}
	if !systemd.Booted(c.Host.Exists) {
		return nil, module.Failf("systemd is required to list outdated services.")
	}
	out, err := runTool(ctx, c, program{args: []string{y.prog, "--quiet", "needs-restarting"}, fails: true})
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, line := range lines(out.out) {
		pid, _, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		b, err := os.ReadFile(c.Host.Path(fmt.Sprintf("/proc/%s/cgroup", filepath.Base(strings.TrimSpace(pid)))))
		if err != nil {
			continue // it has ended
		}
		if m := serviceUnit.FindSubmatch(b); m != nil {
			seen[strings.TrimSuffix(string(m[1]), ".service")] = true
		}
	}
	return sortedNames(seen), nil
}
