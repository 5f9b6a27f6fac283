package modules

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/yamlarg"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("pkg.install", pkgInstall, module.Positional("name refresh fromrepo skip_verify debconf pkgs sources reinstall downloadonly ignore_epoch"))
	register("pkg.remove", pkgRemove, module.Positional("name pkgs"))
	register("pkg.purge", pkgPurge, module.Positional("name pkgs"))
	register("pkg.upgrade", pkgUpgrade, module.Positional("refresh dist_upgrade"))
	register("pkg.autoremove", pkgAutoremove)
	register("pkg.refresh_db", pkgRefreshDB)
	register("pkg.hold", pkgHold)
	register("pkg.unhold", pkgUnhold)
	register("pkg.download", pkgDownload)
}

// packages are versions by the package's name, sorted; several can be installed of one.
type packages map[string][]string

func (p packages) add(name, version string) { p[name] = append(p[name], version) }

// sorted brings the versions of each into order, each once.
func (p packages) sorted() packages {
	for name, versions := range p {
		slices.Sort(versions)
		p[name] = slices.Compact(versions)
	}
	return p
}

func (p packages) text(name string) string { return strings.Join(p[name], ",") }

// toMap is the form of pkg.list_pkgs: texts, or lists of versions.
func (p packages) toMap(lists bool) *wire.Map {
	m := wire.NewMap()
	for _, name := range slices.Sorted(maps.Keys(p)) {
		if !lists {
			m.Set(name, p.text(name))
			continue
		}
		l := make([]any, len(p[name]))
		for i, v := range p[name] {
			l[i] = v
		}
		m.Set(name, l)
	}
	return m
}

// comparePackages tells what has changed: {"zsh": {"old": "", "new": "5.9"}}.
func comparePackages(old, new packages) *wire.Map {
	m := wire.NewMap()
	names := slices.Sorted(maps.Keys(new))
	for name := range old {
		if new[name] == nil {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	for _, name := range names {
		if !slices.Equal(old[name], new[name]) {
			m.Set(name, wire.NewMap("old", old.text(name), "new", new.text(name)))
		}
	}
	return m
}

// packageManager is a family's way to handle packages.
type packageManager interface {
	list(ctx context.Context, o pkgListOptions) (packages, error)
	latest(ctx context.Context, names []string, o pkgLatestOptions) (map[string]string, error)
	refresh(ctx context.Context, o pkgRefreshOptions) (any, error)
	install(ctx context.Context, a *pkgInstallArgs) (*wire.Map, error)
	remove(ctx context.Context, action string, a *pkgRemoveArgs) (*wire.Map, error)
	upgrade(ctx context.Context, a *pkgUpgradeArgs) (*wire.Map, error)
	upgrades(ctx context.Context, a *pkgListUpgradesArgs) (*wire.Map, error)
	compare(a, b string, ignoreEpoch bool) int
	normalize(name string) string
	owner(ctx context.Context, path string) (string, error)
	files(ctx context.Context, names []string) (*wire.Map, error) // list of files by package
}

// What only some managers can do.
type (
	archSplitter interface {
		splitArch(name string) (base, arch string)
	}
	autoremover interface {
		autoremove(ctx context.Context, listOnly, purge bool) (any, error)
	}
	pkgHolder interface {
		hold(ctx context.Context, names []any, on bool) (*wire.Map, error)
	}
)

type pkgListOptions struct{ removed, purgeDesired bool }

type pkgLatestOptions struct {
	refresh, showInstalled bool
	fromrepo               string
	cacheValidTime         float64
	kwargs                 *wire.Map
}

type pkgRefreshOptions struct {
	cacheValidTime float64
	failhard       bool
	kwargs         *wire.Map
}

// packageManagerOf finds the manager by the family of the system, as Salt chooses its module.
func packageManagerOf(c *module.Call) (packageManager, error) {
	switch {
	case pytext.Str(grainOf(c, "os_family")) == "Debian":
		return &apt{c: c}, nil
	case hasYum(c):
		return yumOf(c)
	case hasZypper(c):
		return zypperOf(c)
	case hasPacman(c):
		return &pacman{c}, nil
	case hasApk(c):
		return &apk{c}, nil
	}
	return nil, notHere(c)
}

// truthy reads an argument as Salt's is_true does.
func truthy(v any) bool {
	switch v := v.(type) {
	case string:
		s := strings.ToLower(strings.TrimSpace(v))
		if n, err := parseNumber(s); err == nil {
			return n > 0
		}
		return s == "true"
	case int64, uint64, float64:
		return pytext.Number(v) > 0
	}
	return module.Truth(v)
}

// refreshTag is the file that has the first state of a run refresh the database.
func refreshTag(c *module.Call) string { return filepath.Join(c.CacheDir, "pkg_refresh") }

func clearRefreshTag(c *module.Call) {
	if c.CacheDir != "" {
		if err := os.Remove(refreshTag(c)); err != nil && !os.IsNotExist(err) {
			c.Log.Warn("mark of refreshed packages not removed", "error", err)
		}
	}
}

// wantedPackages reads pkgs: a list of names and of maps with one name and its version, or
// such a list as YAML. ok is false where it is neither, or names a package twice.
func wantedPackages(c *module.Call, v any, normalize func(string) string) (names []string, versions map[string]*string, err error) {
	versions = map[string]*string{}
	if s, isText := v.(string); isText {
		if v, err = yamlarg.Load(s); err != nil {
			return nil, versions, nil
		}
	}
	l, isList := v.([]any)
	if !isList {
		c.Log.Error("pkgs is no list", "pkgs", pytext.Repr(v))
		return nil, versions, nil
	}
	for _, e := range l {
		name, version := "", any(nil)
		switch e := e.(type) {
		case *wire.Map:
			if e.Len() != 1 {
				c.Log.Error("pkgs holds a map that is not of one name and its version", "map", pytext.Repr(e))
				return nil, map[string]*string{}, nil
			}
			for k, v := range e.All() {
				name, version = pytext.Str(k), v
			}
		case string, int64, float64, bool:
			name = pytext.Str(e)
		default:
			c.Log.Error("pkgs holds what is no name", "value", pytext.Repr(e))
			return nil, map[string]*string{}, nil
		}
		name = normalize(name)
		if _, twice := versions[name]; !twice {
			names = append(names, name)
		}
		versions[name] = nil
		if version != nil {
			s := pytext.Str(version)
			versions[name] = &s
		}
	}
	if len(names) != len(l) {
		return nil, nil, module.Invalidf("You are passing a list of packages that contains duplicated packages names: %s. This cannot be processed. In case you are targeting different versions of the same package, please target them individually", pytext.Repr(l))
	}
	return names, versions, nil
}

// packageSource is a package file.
type packageSource struct{ name, path string }

// packageSources reads sources, a list of maps with one name and where its file is, and
// fetches those that are not of this machine.
func packageSources(ctx context.Context, c *module.Call, v any, saltenv string, normalize func(string) string) ([]packageSource, error) {
	if s, isText := v.(string); isText {
		var err error
		if v, err = yamlarg.Load(s); err != nil {
			return nil, nil
		}
	}
	l, _ := v.([]any)
	var out []packageSource
	for _, e := range l {
		m, ok := e.(*wire.Map)
		if !ok || m.Len() != 1 {
			c.Log.Error("sources is a list of maps with one name and its file", "value", pytext.Repr(e))
			return nil, nil
		}
		for k, v := range m.All() {
			s := packageSource{normalize(pytext.Str(k)), pytext.Str(v)}
			if !strings.Contains(s.path, "://") {
				if !filepath.IsAbs(s.path) {
					return nil, module.Invalidf("Path %s for package %s is either not absolute or an invalid protocol", s.path, s.name)
				}
				out = append(out, s)
				continue
			}
			path, err := c.Call(ctx, "cp.cache_file", []any{s.path, saltenv}, nil)
			if err != nil {
				return nil, err
			}
			if s.path, ok = path.(string); !ok || s.path == "" {
				return nil, module.Failf("Unable to fetch %s for package %s from saltenv '%s'", pytext.Str(v), s.name, saltenv)
			}
			out = append(out, s)
		}
	}
	return out, nil
}

type pkgInstallArgs struct {
	Name              any       `default:"None"`  // Name of the package, or several with commas.
	Refresh           any       `default:"False"` // Read the lists of the repositories anew first.
	Fromrepo          string    `default:"None"`  // Take it from this repository or release.
	SkipVerify        bool      `default:"False"` // Take packages without a valid signature.
	Debconf           string    `default:"None"`  // File with answers for debconf, set first (apt).
	Pkgs              any       `default:"None"`  // Several packages: a list of names, and of maps with a name and its version.
	Sources           any       `default:"None"`  // Package files: a list of maps with a name and a path or address.
	Reinstall         bool      `default:"False"` // Install those anew that are installed.
	Downloadonly      bool      `default:"False"` // Download only.
	IgnoreEpoch       bool      `default:"False"` // Compare versions without their epochs.
	Version           any       `default:"None"`  // Version to install, or a comparison such as '>=1.2'.
	ForceYes          bool      `default:"False"` // Pass --force-yes (apt).
	ForceConfNew      bool      `default:"False"` // Take the packages' configuration files in place of those that were changed (apt).
	InstallRecommends *bool     `default:"None"`  // Install what the packages recommend, or do not (apt).
	OnlyUpgrade       bool      `default:"False"` // Upgrade what is installed, and install nothing (apt).
	CacheValidTime    any       `default:"0"`     // Seconds for which the lists of the repositories are taken as fresh (apt).
	Repo              string    `default:"None"`  // The same as fromrepo.
	Env               any       `default:"None"`  // Environment variables for the package manager.
	Saltenv           string    `default:"base"`  // Environment of the file server for sources.
	Normalize         bool      `default:"True"`  // Drop the machine's own architecture from names.
	UpdateHolds       bool      `default:"False"` // Update packages that are held, too.
	Kwargs            *wire.Map `arg:"**"`        // What the package manager of another family takes; not looked at.
}

// pkgInstall installs packages, and returns what has changed.
//
//	gosalt '*' pkg.install vim
//	gosalt '*' pkg.install pkgs='["foo", {"bar": "1.2.3-0ubuntu0"}]'
//	gosalt '*' pkg.install sources='[{"foo": "salt://foo.deb"}]'
func pkgInstall(ctx context.Context, c *module.Call, a pkgInstallArgs) (*wire.Map, error) {
	m, err := packageManagerOf(c)
	if err != nil {
		return nil, err
	}
	return m.install(ctx, &a)
}

type pkgDownloadArgs struct {
	Packages []any     `arg:"*"`  // Names of packages.
	Kwargs   *wire.Map `arg:"**"` // As those of pkg.install.
}

// pkgDownload downloads packages into the package manager's cache.
//
//	gosalt '*' pkg.download zsh
func pkgDownload(ctx context.Context, c *module.Call, a pkgDownloadArgs) (any, error) {
	if len(a.Packages) == 0 {
		return nil, module.Invalidf("No packages were specified")
	}
	kw := wire.NewMap("pkgs", a.Packages, "downloadonly", true)
	for k, v := range a.Kwargs.Strings() {
		if !strings.HasPrefix(k, "__") {
			kw.Set(k, v)
		}
	}
	return c.Call(ctx, "pkg.install", nil, kw)
}

type pkgRemoveArgs struct {
	Name    any       `default:"None"` // Name of the package, or several with commas.
	Pkgs    any       `default:"None"` // Several packages.
	Version any       `default:"None"` // Version to remove, where several can be installed.
	Env     any       `default:"None"` // Environment variables for the package manager.
	Kwargs  *wire.Map `arg:"**"`       // Not looked at.
}

// pkgRemove removes packages and keeps their configuration, and returns what has changed.
//
//	gosalt '*' pkg.remove vim
//	gosalt '*' pkg.remove pkgs='["foo", "bar"]'
func pkgRemove(ctx context.Context, c *module.Call, a pkgRemoveArgs) (*wire.Map, error) {
	m, err := packageManagerOf(c)
	if err != nil {
		return nil, err
	}
	return m.remove(ctx, "remove", &a)
}

// pkgPurge removes packages with their configuration, and returns what has changed.
//
//	gosalt '*' pkg.purge vim
func pkgPurge(ctx context.Context, c *module.Call, a pkgRemoveArgs) (*wire.Map, error) {
	m, err := packageManagerOf(c)
	if err != nil {
		return nil, err
	}
	return m.remove(ctx, "purge", &a)
}

// targets are the names of pkgs, or of name.
func (a *pkgRemoveArgs) targets(c *module.Call, normalize func(string) string) ([]string, map[string]*string, error) {
	if module.Truth(a.Pkgs) {
		return wantedPackages(c, a.Pkgs, normalize)
	}
	return namedPackages(a.Name, a.Version, normalize)
}

// namedPackages reads name, several with commas, which have all the version.
func namedPackages(name, version any, normalize func(string) string) ([]string, map[string]*string, error) {
	versions := map[string]*string{}
	var names []string
	if !module.Truth(name) {
		return nil, versions, nil
	}
	var v *string
	if version != nil {
		s := pytext.Str(version)
		v = &s
	}
	for _, n := range strings.Split(pytext.Str(name), ",") {
		n = normalize(n)
		if _, twice := versions[n]; !twice {
			names = append(names, n)
		}
		versions[n] = v
	}
	return names, versions, nil
}

type pkgUpgradeArgs struct {
	Refresh         any       `default:"True"`  // Read the lists of the repositories anew first.
	DistUpgrade     bool      `default:"False"` // Remove packages too where that is needed: apt-get dist-upgrade.
	CacheValidTime  any       `default:"0"`     // Seconds for which the lists of the repositories are taken as fresh (apt).
	Downloadonly    bool      `default:"False"` // Download only.
	DownloadOnly    bool      `default:"False"` // Download only.
	ForceConfNew    bool      `default:"False"` // Take the packages' configuration files in place of those that were changed (apt).
	ForceYes        bool      `default:"False"` // Pass --force-yes (apt).
	SkipVerify      bool      `default:"False"` // Take packages without a valid signature.
	AllowDowngrades bool      `default:"False"` // Let apt go back to an older version.
	Name            any       `default:"None"`  // Packages to upgrade, with commas (not apt).
	Pkgs            any       `default:"None"`  // Packages to upgrade (not apt).
	Fromrepo        string    `default:"None"`  // Take packages from this repository alone (not apt).
	Kwargs          *wire.Map `arg:"**"`        // Not looked at.
}

// pkgUpgrade upgrades all packages, and returns what has changed.
//
//	gosalt '*' pkg.upgrade
func pkgUpgrade(ctx context.Context, c *module.Call, a pkgUpgradeArgs) (*wire.Map, error) {
	m, err := packageManagerOf(c)
	if err != nil {
		return nil, err
	}
	return m.upgrade(ctx, &a)
}

type pkgAutoremoveArgs struct {
	ListOnly bool `default:"False"` // List the packages, and remove none.
	Purge    bool `default:"False"` // With their configuration.
}

// pkgAutoremove removes packages that were installed for others which are gone.
//
//	gosalt '*' pkg.autoremove
//	gosalt '*' pkg.autoremove list_only=True
func pkgAutoremove(ctx context.Context, c *module.Call, a pkgAutoremoveArgs) (any, error) {
	m, err := packageManagerOf(c)
	if err != nil {
		return nil, err
	}
	r, ok := m.(autoremover)
	if !ok {
		return nil, notHere(c)
	}
	return r.autoremove(ctx, a.ListOnly, a.Purge)
}

type pkgRefreshArgs struct {
	CacheValidTime any       `default:"0"`     // Seconds for which the lists of the repositories are taken as fresh (apt).
	Failhard       any       `default:"False"` // Fail where one repository could not be read.
	Kwargs         *wire.Map `arg:"**"`        // Not looked at.
}

// pkgRefreshDB reads the lists of the repositories anew. With apt it returns each with True
// for one that was read, None for one that had not changed, and False for a failure.
//
//	gosalt '*' pkg.refresh_db
func pkgRefreshDB(ctx context.Context, c *module.Call, a pkgRefreshArgs) (any, error) {
	m, err := packageManagerOf(c)
	if err != nil {
		return nil, err
	}
	return m.refresh(ctx, pkgRefreshOptions{secondsOf(a.CacheValidTime), truthy(a.Failhard), a.Kwargs})
}

// secondsOf reads a number of seconds, 0 for what is none.
func secondsOf(v any) float64 {
	switch v := v.(type) {
	case int64, uint64, float64:
		return pytext.Number(v)
	case string:
		n, _ := parseNumber(v)
		return n
	}
	return 0
}

type pkgHoldArgs struct {
	Name    any       `default:"None"` // Name of the package.
	Pkgs    any       `default:"None"` // Several packages.
	Sources any       `default:"None"` // As those of pkg.install, for their names.
	Kwargs  *wire.Map `arg:"**"`       // Not looked at.
}

// targets are the names of pkgs, sources or name. pkgs may be a map, too, as states have it.
func (a *pkgHoldArgs) targets() ([]any, error) {
	switch {
	case !module.Truth(a.Name) && !module.Truth(a.Pkgs) && !module.Truth(a.Sources):
		return nil, module.Invalidf("One of name, pkgs, or sources must be specified.")
	case module.Truth(a.Pkgs) && module.Truth(a.Sources):
		return nil, module.Invalidf("Only one of pkgs or sources can be specified.")
	}
	list := a.Pkgs
	if !module.Truth(list) {
		list = a.Sources
	}
	switch l := list.(type) {
	case []any:
		return l, nil
	case *wire.Map:
		var out []any
		for k := range l.All() {
			out = append(out, k)
		}
		return out, nil
	case string:
		return texts(strings.Split(l, ",")), nil
	}
	return []any{pytext.Str(a.Name)}, nil
}

// heldNames are the names of packages, those with a version too.
func heldNames(l []any) []string {
	out := make([]string, len(l))
	for i, e := range l {
		out[i] = pytext.Str(e)
		if m, ok := e.(*wire.Map); ok {
			for k := range m.All() {
				out[i] = pytext.Str(k)
				break
			}
		}
	}
	return out
}

func (a *pkgHoldArgs) hold(ctx context.Context, c *module.Call, on bool) (*wire.Map, error) {
	m, err := packageManagerOf(c)
	if err != nil {
		return nil, err
	}
	h, ok := m.(pkgHolder)
	if !ok {
		return nil, notHere(c)
	}
	if _, ok := m.(*zypper); ok && !module.Truth(a.Name) && !module.Truth(a.Pkgs) {
		return nil, module.Failf("Name or packages must be specified.")
	}
	names, err := a.targets()
	if err != nil {
		return nil, err
	}
	return h.hold(ctx, names, on)
}

// pkgHold keeps packages at their versions.
//
//	gosalt '*' pkg.hold vim
func pkgHold(ctx context.Context, c *module.Call, a pkgHoldArgs) (*wire.Map, error) {
	return a.hold(ctx, c, true)
}

// pkgUnhold lets packages be upgraded again.
//
//	gosalt '*' pkg.unhold vim
func pkgUnhold(ctx context.Context, c *module.Call, a pkgHoldArgs) (*wire.Map, error) {
	return a.hold(ctx, c, false)
}
