package modules

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/rpm"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("pkg.list_pkgs", pkgListPkgs)
	register("pkg.version", pkgVersion)
	register("pkg.latest_version", pkgLatestVersion)
	alias("pkg.available_version", "pkg.latest_version")
	register("pkg.upgrade_available", pkgUpgradeAvailable)
	register("pkg.list_upgrades", pkgListUpgrades, module.Positional("refresh dist_upgrade"))
	register("pkg.version_cmp", pkgVersionCmp)
	register("pkg.normalize_name", pkgNormalizeName)
	register("pkg.parse_arch", pkgParseArch)
	register("pkg.owner", pkgOwner)
	register("pkg.file_list", pkgFileList)
	register("pkg.file_dict", pkgFileDict)
	register("pkg_resource.version", pkgVersion)
	register("pkg_resource.version_compare", pkgResourceVersionCompare)
}

func parseNumber(s string) (float64, error) { return strconv.ParseFloat(strings.TrimSpace(s), 64) }

type pkgListArgs struct {
	VersionsAsList any       `default:"False"` // Lists of versions in place of texts.
	Removed        any       `default:"False"` // Those that were removed and have left their configuration.
	PurgeDesired   any       `default:"False"` // Those that are to be purged, and are still needed by others.
	Kwargs         *wire.Map `arg:"**"`        // Not looked at.
}

// pkgListPkgs returns the packages that are installed, with their versions.
//
//	gosalt '*' pkg.list_pkgs
//	gosalt '*' pkg.list_pkgs versions_as_list=True
func pkgListPkgs(ctx context.Context, c *module.Call, a pkgListArgs) (*wire.Map, error) {
	m, err := packageManagerOf(c)
	if err != nil {
		return nil, err
	}
	all, err := m.list(ctx, pkgListOptions{truthy(a.Removed), truthy(a.PurgeDesired)})
	return all.toMap(truthy(a.VersionsAsList)), err
}

type pkgVersionArgs struct {
	Names  []any     `arg:"*"`  // Names of packages; * is for any characters.
	Kwargs *wire.Map `arg:"**"` // versions_as_list.
}

// pkgVersion returns the version of a package, "" where it is not installed; of several
// packages a map of them.
//
//	gosalt '*' pkg.version vim
//	gosalt '*' pkg.version foo bar baz
func pkgVersion(ctx context.Context, c *module.Call, a pkgVersionArgs) (any, error) {
	m, err := packageManagerOf(c)
	if err != nil {
		return nil, err
	}
	found, pattern := packages{}, false
	if len(a.Names) > 0 {
		all, err := m.list(ctx, pkgListOptions{})
		if err != nil {
			return nil, err
		}
		for _, n := range a.Names {
			name := pytext.Str(n)
			if !strings.Contains(name, "*") {
				found[name] = all[name]
				continue
			}
			pattern = true
			for other, versions := range all {
				if globMatch(name, other) {
					found[other] = versions
				}
			}
		}
	}
	ret := found.toMap(truthy(mapValue(a.Kwargs, "versions_as_list")))
	if ret.Len() == 1 && !pattern {
		for _, v := range ret.All() {
			return v, nil
		}
	}
	return ret, nil
}

type pkgLatestArgs struct {
	Names          []any     `arg:"*"`                                 // Names of packages.
	Refresh        any       `arg:"refresh,kw" default:"True"`         // Read the lists of the repositories anew first.
	ShowInstalled  any       `arg:"show_installed,kw" default:"False"` // The newest version even where it is installed.
	Fromrepo       string    `arg:"fromrepo,kw" default:"None"`        // Look in this repository or release.
	CacheValidTime any       `arg:"cache_valid_time,kw" default:"0"`   // Seconds for which the lists are taken as fresh (apt).
	Kwargs         *wire.Map `arg:"**"`                                // Not looked at.
}

// pkgLatestVersion returns the version that a package could be upgraded to, or installed
// in; "" where the newest is installed, and where there is none. Of several packages it is
// a map of them.
//
//	gosalt '*' pkg.latest_version vim
//	gosalt '*' pkg.latest_version vim fromrepo=unstable
func pkgLatestVersion(ctx context.Context, c *module.Call, a pkgLatestArgs) (any, error) {
	m, err := packageManagerOf(c)
	if err != nil {
		return nil, err
	}
	if _, ok := m.(*apt); ok && a.Kwargs.Has("repo") {
		return nil, module.Invalidf("The 'repo' argument is invalid, use 'fromrepo' instead")
	}
	if len(a.Names) == 0 {
		return "", nil
	}
	names := make([]string, len(a.Names))
	for i, n := range a.Names {
		names[i] = pytext.Str(n)
	}
	found, err := m.latest(ctx, names, pkgLatestOptions{refresh: truthy(a.Refresh), showInstalled: truthy(a.ShowInstalled), fromrepo: a.Fromrepo,
		cacheValidTime: secondsOf(a.CacheValidTime), kwargs: a.Kwargs})
	if err != nil {
		return nil, err
	}
	if len(names) == 1 {
		return found[names[0]], nil
	}
	ret := wire.NewMap()
	for _, n := range names {
		ret.Set(n, found[n])
	}
	return ret, nil
}

type pkgUpgradeAvailableArgs struct {
	Name   string    // Name of the package.
	Kwargs *wire.Map `arg:"**"` // Not looked at.
}

// pkgUpgradeAvailable tells whether there is a newer version of a package.
//
//	gosalt '*' pkg.upgrade_available vim
func pkgUpgradeAvailable(ctx context.Context, c *module.Call, a pkgUpgradeAvailableArgs) (bool, error) {
	v, err := pkgLatestVersion(ctx, c, pkgLatestArgs{Names: []any{a.Name}, Refresh: true, Kwargs: a.Kwargs})
	return v != "", err
}

type pkgListUpgradesArgs struct {
	Refresh        any       `default:"True"` // Read the lists of the repositories anew first.
	DistUpgrade    bool      `default:"True"` // As apt-get dist-upgrade would, rather than upgrade (apt).
	CacheValidTime any       `default:"0"`    // Seconds for which the lists of the repositories are taken as fresh (apt).
	Fromrepo       string    `default:"None"` // Look in this repository or release.
	Kwargs         *wire.Map `arg:"**"`       // Not looked at.
}

// pkgListUpgrades returns the packages that an upgrade would change, with their new versions.
//
//	gosalt '*' pkg.list_upgrades
func pkgListUpgrades(ctx context.Context, c *module.Call, a pkgListUpgradesArgs) (*wire.Map, error) {
	m, err := packageManagerOf(c)
	if err != nil {
		return nil, err
	}
	return m.upgrades(ctx, &a)
}

type pkgVersionCmpArgs struct {
	Pkg1        any       // A version.
	Pkg2        any       // Another one.
	IgnoreEpoch any       `default:"False"` // Compare without their epochs.
	Kwargs      *wire.Map `arg:"**"`        // Not looked at.
}

// pkgVersionCmp compares two versions as the package manager does: -1 where the first is
// older, 0, or 1.
//
//	gosalt '*' pkg.version_cmp '0.2.4-0ubuntu1' '0.2.4.1-0ubuntu1'
func pkgVersionCmp(_ context.Context, c *module.Call, a pkgVersionCmpArgs) (int, error) {
	m, err := packageManagerOf(c)
	if err != nil {
		return 0, err
	}
	return m.compare(pytext.Str(a.Pkg1), pytext.Str(a.Pkg2), truthy(a.IgnoreEpoch)), nil
}

type pkgVersionCompareArgs struct {
	Ver1        any    // A version.
	Oper        string // ==, !=, >=, <=, > or <.
	Ver2        any    // Another one.
	IgnoreEpoch any    `default:"False"` // Compare without their epochs.
}

// pkgResourceVersionCompare tells whether two versions compare so. As in Salt, it does not
// ask the package manager how it orders them: 1.0~rc1 is newer than 1.0.
//
//	gosalt '*' pkg_resource.version_compare '3.5' '<=' '2.4'
func pkgResourceVersionCompare(_ context.Context, _ *module.Call, a pkgVersionCompareArgs) (bool, error) {
	x, y := pytext.Str(a.Ver1), pytext.Str(a.Ver2)
	if truthy(a.IgnoreEpoch) {
		x, y = withoutEpoch(x), withoutEpoch(y)
	}
	return compares(rpm.CompareLoose(x, y), a.Oper), nil
}

// compares reads the answer of a comparison; other operators than Salt's are never so.
func compares(n int, oper string) bool {
	switch oper {
	case "==":
		return n == 0
	case "!=":
		return n != 0
	case "<":
		return n < 0
	case "<=":
		return n <= 0
	case ">":
		return n > 0
	case ">=":
		return n >= 0
	}
	return false
}

type pkgNameArgs struct {
	Name string // Name of a package: zsh:amd64.
}

// pkgNormalizeName drops the machine's own architecture from the name of a package.
//
//	gosalt '*' pkg.normalize_name zsh:amd64
func pkgNormalizeName(_ context.Context, c *module.Call, a pkgNameArgs) (string, error) {
	m, err := packageManagerOf(c)
	if err != nil {
		return "", err
	}
	return m.normalize(a.Name), nil
}

// pkgParseArch parts the name of a package and its architecture.
//
//	gosalt '*' pkg.parse_arch zsh:amd64
func pkgParseArch(_ context.Context, c *module.Call, a pkgNameArgs) (*wire.Map, error) {
	m, err := packageManagerOf(c)
	if err != nil {
		return nil, err
	}
	if p, ok := m.(archSplitter); ok {
		base, arch := p.splitArch(a.Name)
		return wire.NewMap("name", base, "arch", noneOr(arch)), nil
	}
	i := strings.LastIndex(a.Name, ":")
	if i < 0 {
		return wire.NewMap("name", a.Name, "arch", nil), nil
	}
	return wire.NewMap("name", a.Name[:i], "arch", a.Name[i+1:]), nil
}

type pkgPathsArgs struct {
	Paths  []any     `arg:"*"`  // Paths of files.
	Kwargs *wire.Map `arg:"**"` // Not looked at.
}

// pkgOwner returns the package that a file is of, "" where it is of none; of several files
// a map of them.
//
//	gosalt '*' pkg.owner /usr/bin/apachectl
func pkgOwner(ctx context.Context, c *module.Call, a pkgPathsArgs) (any, error) {
	m, err := packageManagerOf(c)
	if err != nil {
		return nil, err
	}
	if len(a.Paths) == 0 {
		return "", nil
	}
	ret := wire.NewMap()
	for _, p := range a.Paths {
		path := pytext.Str(p)
		name, err := m.owner(ctx, path)
		if err != nil {
			return nil, err
		}
		ret.Set(path, name)
	}
	if ret.Len() == 1 {
		for _, v := range ret.All() {
			return v, nil
		}
	}
	return ret, nil
}

type pkgPackagesArgs struct {
	Packages []any     `arg:"*"`  // Names of packages; all without one.
	Kwargs   *wire.Map `arg:"**"` // Not looked at.
}

func (a *pkgPackagesArgs) names() []string {
	out := make([]string, len(a.Packages))
	for i, p := range a.Packages {
		out[i] = pytext.Str(p)
	}
	return out
}

// pkgFileList returns the files of packages.
//
//	gosalt '*' pkg.file_list nginx
func pkgFileList(ctx context.Context, c *module.Call, a pkgPackagesArgs) (any, error) {
	byPackage, err := pkgFileDict(ctx, c, a)
	m, ok := byPackage.(*wire.Map)
	if err != nil || !ok {
		return byPackage, err
	}
	seen := map[string]bool{}
	for _, l := range m.Map("packages").All() {
		for _, f := range l.([]any) {
			seen[f.(string)] = true
		}
	}
	files := []any{}
	for _, f := range slices.Sorted(maps.Keys(seen)) {
		files = append(files, f)
	}
	return wire.NewMap("errors", []any{}, "files", files), nil
}

// pkgFileDict returns the files of packages, by package.
//
//	gosalt '*' pkg.file_dict nginx
func pkgFileDict(ctx context.Context, c *module.Call, a pkgPackagesArgs) (any, error) {
	m, err := packageManagerOf(c)
	if err != nil {
		return nil, err
	}
	files, err := m.files(ctx, a.names())
	if err != nil {
		return "Error:  " + err.Error(), nil // Salt's answer is a text, too
	}
	return wire.NewMap("errors", []any{}, "packages", files), nil
}
