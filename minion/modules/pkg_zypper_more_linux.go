package modules

import (
	"context"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("pkg.version", zypperVersion, onZypper)
	register("pkg.list_pkgs", zypperPkgs, onZypper)
	register("pkg.info_installed", rpmInfoInstalled, onZypper)
	register("pkg.info_available", zypperInfoAvailable, onZypper)
	register("pkg.upgrade", zypperUpgrade, onZypper)
	register("pkg.list_repo_pkgs", zypperListRepoPkgs, onZypper)
	register("pkg.list_downloaded", zypperListDownloaded, onZypper)
	register("pkg.list_locks", zypperListLocks, onZypper)
	register("pkg.list_holds", zypperListHolds, onZypper)
	register("pkg.clean_locks", zypperCleanLocks, onZypper)
	register("pkg.search", zypperSearch, onZypper)
	register("pkg.download", zypperDownload, onZypper)
	register("pkg.list_patterns", zypperListPatterns, onZypper)
	register("pkg.list_installed_patterns", zypperListInstalledPatterns, onZypper)
	register("pkg.list_patches", zypperListPatches, onZypper)
	register("pkg.list_installed_patches", zypperListInstalledPatches, onZypper)
	register("pkg.list_products", zypperListProducts, onZypper)
	register("pkg.services_need_restart", zypperServicesNeedRestart, onZypper)
}

// zypperVersion returns the version of a package; of several packages a map of them. As in
// Salt it is {} where the one package is not installed.
//
//	gosalt '*' pkg.version vim
func zypperVersion(ctx context.Context, c *module.Call, a pkgVersionArgs) (any, error) {
	v, err := pkgVersion(ctx, c, a)
	if err == nil && !module.Truth(v) {
		return wire.NewMap(), nil
	}
	return v, err
}

type zypperPkgsArgs struct {
	VersionsAsList any       `default:"False"`              // Lists of versions in place of texts.
	Root           string    `default:"None"`               // Directory with another system.
	Includes       any       `default:"None"`               // What else is listed, as kind:name: a list of product, pattern and patch.
	Attr           any       `arg:"attr,kw" default:"None"` // Attributes beside the version: all, or some of epoch, version, release, arch, install_date, install_date_time_t.
	Kwargs         *wire.Map `arg:"**"`                     // Not looked at.
}

// zypperPkgs returns the packages that are installed, with their versions.
//
//	gosalt '*' pkg.list_pkgs
//	gosalt '*' pkg.list_pkgs includes='[pattern]'
func zypperPkgs(ctx context.Context, c *module.Call, a zypperPkgsArgs) (*wire.Map, error) {
	z, err := zypperOf(c)
	if err != nil {
		return nil, err
	}
	if truthy(mapValue(a.Kwargs, "removed")) || truthy(mapValue(a.Kwargs, "purge_desired")) {
		return wire.NewMap(), nil
	}
	return z.listed(ctx, a.Root, commaList(a.Includes), truthy(a.VersionsAsList), attributesOf(a.Attr))
}

// listed are the packages, and what else is asked for.
func (z *zypper) listed(ctx context.Context, root string, includes []string, lists bool, attr []string) (*wire.Map, error) {
	all, err := z.installed(ctx, root)
	if err != nil {
		return nil, err
	}
	for _, kind := range includes {
		switch kind {
		case "product":
			products, err := z.products(ctx, false, root)
			if err != nil {
				return nil, err
			}
			for _, p := range products {
				p := p.(*wire.Map)
				name := "product:" + p.Text("name")
				all[name] = []*rpmInstalled{{name: name, epoch: p.Text("epoch"), version: p.Text("version"), release: p.Text("release"), arch: p.Text("arch")}}
			}
		case "pattern", "patch":
			found, err := z.patches(ctx, true, root)
			if kind == "pattern" {
				found, err = z.installedPatterns(ctx, root)
			}
			if err != nil {
				return nil, err
			}
			for n := range found.Strings() {
				name := kind + ":" + n
				info, err := z.available(ctx, []string{name}, false, root)
				if err != nil {
					return nil, err
				}
				all[name] = []*rpmInstalled{{name: name, version: info.Map(n).Text("version"), arch: info.Map(n).Text("arch")}}
			}
		}
	}
	return rpmListed(all, lists, attr), nil
}

type zypperInfoArgs struct {
	Names   []any     `arg:"*"`                         // Names of packages.
	Refresh any       `arg:"refresh,kw" default:"True"` // Read the repositories anew first.
	Root    string    `arg:"root,kw" default:"None"`    // Directory with another system.
	Kwargs  *wire.Map `arg:"**"`                        // Not looked at.
}

// zypperInfoAvailable returns what the repositories know of packages.
//
//	gosalt '*' pkg.info_available bash
func zypperInfoAvailable(ctx context.Context, c *module.Call, a zypperInfoArgs) (*wire.Map, error) {
	z, err := zypperOf(c)
	if err != nil {
		return nil, err
	}
	return z.available(ctx, (&pkgPackagesArgs{Packages: a.Names}).names(), module.Truth(a.Refresh), a.Root)
}

type zypperUpgradeArgs struct {
	Name           any       `default:"None"`  // Packages to upgrade, with commas; all without.
	Pkgs           any       `default:"None"`  // Packages to upgrade: a list.
	Refresh        any       `default:"True"`  // Read the repositories anew first.
	Dryrun         bool      `default:"False"` // Only tell what would be done.
	DistUpgrade    bool      `default:"False"` // Go over to another release: zypper dist-upgrade.
	Fromrepo       any       `default:"None"`  // Take packages from this repository, or from these.
	Novendorchange bool      `default:"False"` // Keep to the vendors of the packages (with dist_upgrade).
	SkipVerify     bool      `default:"False"` // Take packages without a valid signature.
	NoRecommends   bool      `default:"False"` // Do not install what the packages recommend (with dist_upgrade).
	Root           string    `default:"None"`  // Directory with another system.
	DiffAttr       any       `default:"None"`  // Attributes to return beside the versions, as attr of pkg.list_pkgs.
	Kwargs         *wire.Map `arg:"**"`        // Not looked at.
}

// zypperUpgrade upgrades packages, all without names, and returns what has changed.
//
//	gosalt '*' pkg.upgrade
//	gosalt '*' pkg.upgrade dist_upgrade=True fromrepo='["MyRepoName"]' novendorchange=True
func zypperUpgrade(ctx context.Context, c *module.Call, a zypperUpgradeArgs) (any, error) {
	z, err := zypperOf(c)
	if err != nil {
		return nil, err
	}
	var args []string
	if a.SkipVerify {
		args = append(args, "--no-gpg-checks")
	}
	verb, from := "update", "--repo"
	if a.DistUpgrade {
		verb, from = "dist-upgrade", "--from"
	}
	args = append(args, verb, "--auto-agree-with-licenses")
	if module.Truth(a.Refresh) {
		if _, err := z.refresh(ctx, pkgRefreshOptions{kwargs: wire.NewMap("root", a.Root)}); err != nil {
			return nil, err
		}
	}
	if a.Dryrun {
		args = append(args, "--dry-run")
	}
	if module.Truth(a.Fromrepo) {
		for _, r := range pyTexts(a.Fromrepo) {
			args = append(args, from, r)
		}
	}
	switch {
	case a.DistUpgrade:
		if a.Novendorchange {
			args = append(args, "--no-allow-vendor-change")
		}
		if a.NoRecommends {
			args = append(args, "--no-recommends")
		}
	case module.Truth(a.Name) || module.Truth(a.Pkgs):
		names, _, err := (&pkgRemoveArgs{Name: a.Name, Pkgs: a.Pkgs}).targets(c, z.normalize)
		if err != nil {
			return nil, err
		}
		args = append(args, names...)
	}
	attr := attributesOf(a.DiffAttr)
	old, err := z.listed(ctx, a.Root, nil, false, attr)
	if err != nil {
		return nil, err
	}
	out, err := z.run(ctx, zypperCall{quiet: true, scoped: true, root: a.Root}, args...)
	if err != nil {
		return nil, err
	}
	now, err := z.listed(ctx, a.Root, nil, false, attr)
	if err != nil {
		return nil, err
	}
	ret := compareMaps(old, now)
	if !slices.Contains(zypperFine, out.code) {
		return nil, module.FailInfo("Problem encountered upgrading packages", wire.NewMap("changes", ret,
			"result", wire.NewMap("retcode", out.code, "stdout", out.out, "stderr", out.err)))
	}
	if a.Dryrun {
		return strings.TrimSpace(out.out + "\n" + out.err), nil
	}
	return ret, nil
}

type zypperListRepoPkgsArgs struct {
	Args     []any     `arg:"*"`                          // Names of packages, or patterns; all without one.
	Fromrepo any       `arg:"fromrepo,kw" default:"None"` // Only this repository.
	Byrepo   any       `arg:"byrepo,kw" default:"False"`  // By repository, and then by package.
	Root     string    `arg:"root,kw" default:"None"`     // Directory with another system.
	Kwargs   *wire.Map `arg:"**"`                         // Not looked at.
}

// zypperListRepoPkgs returns the versions that the repositories have of packages.
//
//	gosalt '*' pkg.list_repo_pkgs 'samba*' byrepo=True
func zypperListRepoPkgs(ctx context.Context, c *module.Call, a zypperListRepoPkgsArgs) (*wire.Map, error) {
	z, err := zypperOf(c)
	if err != nil {
		return nil, err
	}
	names := (&pkgPackagesArgs{Packages: a.Args}).names()
	doc, err := z.ask(ctx, zypperCall{root: a.Root}, append([]string{"se", "-s"}, names...)...)
	if err != nil {
		return nil, err
	}
	found := repoVersions{}
	for _, s := range doc.all("solvable") {
		repo, name, version := s.attr("repository"), s.attr("name"), s.attr("edition")
		if s.attr("kind") != "package" || repo == "" || module.Truth(a.Fromrepo) && repo != pytext.Str(a.Fromrepo) ||
			len(names) > 0 && !slices.ContainsFunc(names, func(p string) bool { return globMatch(p, name) }) {
			continue
		}
		if found[repo] == nil {
			found[repo] = map[string][]string{}
		}
		if !slices.Contains(found[repo][name], version) {
			found[repo][name] = append(found[repo][name], version)
		}
	}
	return found.toMap(module.Truth(a.Byrepo)), nil
}

// zypperListDownloaded returns the package files in zypper's cache, by name and version.
//
//	gosalt '*' pkg.list_downloaded
func zypperListDownloaded(ctx context.Context, c *module.Call, a zypperRootArgs) (*wire.Map, error) {
	z, err := zypperOf(c)
	if err != nil {
		return nil, err
	}
	return z.downloaded(ctx, a.Root)
}

// locks are the rules that hold packages, by name.
func (z *zypper) locks(root string) *wire.Map {
	ret := wire.NewMap()
	text, err := z.c.Host.ReadFile(strings.TrimSuffix(root, "/") + "/etc/zypp/locks")
	if err != nil {
		return ret
	}
	for _, item := range strings.Split(string(text), "\n\n") {
		lock := wire.NewMap()
		for _, line := range strings.Split(item, "\n") {
			if key, value, ok := strings.Cut(line, ":"); ok {
				lock.Set(strings.TrimSpace(key), strings.TrimSpace(value))
			}
		}
		if name := lock.Text("solvable_name"); name != "" {
			lock.Delete("solvable_name")
			ret.Set(name, lock)
		}
	}
	return ret
}

// zypperListLocks returns the rules that hold packages, by name.
//
//	gosalt '*' pkg.list_locks
func zypperListLocks(_ context.Context, c *module.Call, a zypperRootArgs) (*wire.Map, error) {
	z, err := zypperOf(c)
	if err != nil {
		return nil, err
	}
	return z.locks(a.Root), nil
}

// zypperCleanLocks removes rules that hold nothing, and tells how many.
//
//	gosalt '*' pkg.clean_locks
func zypperCleanLocks(ctx context.Context, c *module.Call, a zypperRootArgs) (*wire.Map, error) {
	z, err := zypperOf(c)
	if err != nil {
		return nil, err
	}
	ret := wire.NewMap("removed", 0)
	if !c.Host.Exists(strings.TrimSuffix(a.Root, "/") + "/etc/zypp/locks") {
		return ret, nil
	}
	doc, err := z.ask(ctx, zypperCall{root: a.Root}, "cl")
	if err != nil {
		return nil, err
	}
	for _, m := range doc.all("message") {
		if f := strings.Fields(strings.ToLower(m.Text)); len(f) > 1 && f[0] == "removed" {
			ret.Set("removed", f[1])
			break
		}
	}
	return ret, nil
}

func (z *zypper) hold(ctx context.Context, targets []any, on bool) (*wire.Map, error) {
	locks := z.locks("")
	ret := wire.NewMap()
	var args []string
	for _, t := range targets {
		name, version := pytext.Str(t), ""
		if m, ok := t.(*wire.Map); ok {
			for k, v := range m.All() {
				name, version = pytext.Str(k), ""
				if v != nil {
					version = pytext.Str(v)
				}
			}
		}
		r := wire.NewMap("name", name, "changes", wire.NewMap(), "result", true, "comment", "")
		ret.Set(name, r)
		have := locks.Map(name)
		held := strings.TrimLeft(have.Text("version"), "= ")
		with := func(v string) string {
			if v == "" {
				return name
			}
			return name + "=" + v
		}
		switch {
		case on && have.Len() > 0:
			r.Set("comment", "Package "+name+" is already set to be held.")
		case on:
			args = append(args, with(version))
			r.Set("changes", wire.NewMap("new", "hold", "old", ""))
			r.Set("comment", "Package "+name+" is now being held.")
		case have.Len() == 0:
			r.Set("comment", "Package "+name+" was already unheld.")
		case version != "" && version != held:
			r.Set("result", false)
			r.Set("comment", "Unable to unhold package "+name+" as it is held with the other version.")
		default:
			args = append(args, with(held))
			r.Set("changes", wire.NewMap("new", "", "old", "hold"))
			r.Set("comment", "Package "+name+" is no longer held.")
		}
	}
	if len(args) == 0 {
		return ret, nil
	}
	verb := "rl"
	if on {
		verb = "al"
	}
	_, err := z.run(ctx, zypperCall{}, append([]string{verb}, args...)...)
	return ret, err
}

type zypperListHoldsArgs struct {
	Pattern any       `default:"None"` // Regular expression of packages' names.
	Full    bool      `default:"True"` // With their versions.
	Root    string    `default:"None"` // Directory with another system.
	Kwargs  *wire.Map `arg:"**"`       // Not looked at.
}

// zypperListHolds returns the packages that are installed and held.
//
//	gosalt '*' pkg.list_holds
func zypperListHolds(ctx context.Context, c *module.Call, a zypperListHoldsArgs) ([]string, error) {
	z, err := zypperOf(c)
	if err != nil {
		return nil, err
	}
	var re *regexp.Regexp
	if module.Truth(a.Pattern) {
		if re, err = regexp.Compile(`^(?:` + pytext.Str(a.Pattern) + `-\S+)`); err != nil {
			return nil, module.Invalidf("pattern: %w", err)
		}
	}
	installed, err := z.installed(ctx, a.Root)
	if err != nil {
		return nil, err
	}
	found := []string{}
	for name, lock := range z.locks(a.Root).Strings() {
		if m := lock.(*wire.Map); m.Has("type") && m.Text("type") != "package" {
			continue
		}
		for _, have := range sortedNames(keysOf(installed)) {
			if have != name && (!strings.Contains(name, "*") || !globMatch(name, have)) {
				continue
			}
			for _, p := range installed[have] {
				epoch, text := "0", have
				if p.epoch != "" {
					epoch = p.epoch
				}
				if a.Full {
					text = have + "-" + epoch + ":" + p.full() + ".*"
				}
				if !slices.Contains(found, text) && (re == nil || re.MatchString(text)) {
					found = append(found, text)
				}
			}
		}
	}
	return found, nil
}

func keysOf[V any](m map[string]V) map[string]bool {
	out := map[string]bool{}
	for k := range m {
		out[k] = true
	}
	return out
}

type zypperSearchArgs struct {
	Criteria string    // Name of a package, or a part of it.
	Refresh  any       `default:"False"` // Read the repositories anew first.
	Kwargs   *wire.Map `arg:"**"`        // match: exact, words or substrings; provides, recommends, requires, suggests, conflicts, obsoletes, file_list, search_descriptions, case_sensitive, installed_only, not_installed_only, details; root.
}

// searchOptions are the keywords of pkg.search and what zypper calls them.
var searchOptions = map[string]string{
	"provides": "--provides", "recommends": "--recommends", "requires": "--requires", "suggests": "--suggests", "conflicts": "--conflicts",
	"obsoletes": "--obsoletes", "file_list": "--file-list", "search_descriptions": "--search-descriptions", "case_sensitive": "--case-sensitive",
	"installed_only": "--installed-only", "not_installed_only": "-u", "details": "--details",
}

// zypperSearch returns the packages that are found, with what zypper tells of each.
//
//	gosalt '*' pkg.search vim match=exact
func zypperSearch(ctx context.Context, c *module.Call, a zypperSearchArgs) (*wire.Map, error) {
	z, err := zypperOf(c)
	if err != nil {
		return nil, err
	}
	root := a.Kwargs.Text("root")
	if module.Truth(a.Refresh) {
		if _, err := z.refresh(ctx, pkgRefreshOptions{kwargs: wire.NewMap("root", root)}); err != nil {
			return nil, err
		}
	}
	args := []string{"search"}
	if m := a.Kwargs.Text("match"); slices.Contains([]string{"exact", "words", "substrings"}, m) {
		args = append(args, "--match-"+m)
	}
	for k := range a.Kwargs.Strings() {
		if o := searchOptions[k]; o != "" {
			args = append(args, o)
		}
	}
	doc, err := z.ask(ctx, zypperCall{readonly: true, quiet: true, root: root}, append(args, a.Criteria)...)
	if err != nil {
		return nil, err
	}
	ret := wire.NewMap()
	for _, s := range doc.all("solvable") {
		m := wire.NewMap()
		for _, attr := range s.Attrs {
			m.Set(attr.Name.Local, attr.Value)
		}
		ret.Set(s.attr("name"), m)
	}
	if ret.Len() == 0 {
		return nil, module.Failf("No packages found matching '%s'", a.Criteria)
	}
	return ret, nil
}

type zypperDownloadArgs struct {
	Packages []any     `arg:"*"`  // Names of packages.
	Kwargs   *wire.Map `arg:"**"` // refresh, root.
}

// zypperDownload downloads packages into zypper's cache, and returns where each is.
//
//	gosalt '*' pkg.download httpd postfix
func zypperDownload(ctx context.Context, c *module.Call, a zypperDownloadArgs) (*wire.Map, error) {
	z, err := zypperOf(c)
	if err != nil {
		return nil, err
	}
	if len(a.Packages) == 0 {
		return nil, module.Invalidf("No packages specified")
	}
	root := a.Kwargs.Text("root")
	if module.Truth(mapValue(a.Kwargs, "refresh")) {
		if _, err := z.refresh(ctx, pkgRefreshOptions{kwargs: wire.NewMap("root", root)}); err != nil {
			return nil, err
		}
	}
	names := (&pkgPackagesArgs{Packages: a.Packages}).names()
	doc, err := z.ask(ctx, zypperCall{root: root}, append([]string{"download"}, names...)...)
	if err != nil {
		return nil, err
	}
	ret := wire.NewMap()
	for _, d := range doc.all("download-result") {
		repo, file, name := d.all("repository"), d.all("localfile"), d.all("name")
		if len(repo) == 0 || len(file) == 0 || len(name) == 0 {
			continue
		}
		path := file[0].attr("path")
		ok, err := ran(ctx, c, true, rpmArgs(a.Kwargs, "-K", "--quiet", path)...)
		if err != nil {
			return nil, err
		}
		if ok {
			ret.Set(name[0].Text, wire.NewMap("repository-name", repo[0].attr("name"), "repository-alias", repo[0].attr("alias"), "path", path))
		}
	}
	if ret.Len() == 0 {
		return nil, module.Failf("Unable to download packages: %s", strings.Join(names, ", "))
	}
	if failed := slices.DeleteFunc(slices.Clone(names), ret.Has); len(failed) > 0 {
		ret.Set("_error", "The following package(s) failed to download: "+strings.Join(failed, ", "))
	}
	return ret, nil
}

// solvables are what zypper finds of a kind: installed, and summary.
func (z *zypper) solvables(ctx context.Context, kind string, onlyInstalled bool, root string) (*wire.Map, error) {
	doc, err := z.ask(ctx, zypperCall{readonly: true, root: root}, "se", "-t", kind)
	if err != nil {
		return nil, err
	}
	ret := wire.NewMap()
	for _, s := range doc.all("solvable") {
		installed := s.attr("status") == "installed"
		if installed || !onlyInstalled {
			ret.Set(s.attr("name"), wire.NewMap("installed", installed, "summary", s.attr("summary")))
		}
	}
	return ret, nil
}

func (z *zypper) patches(ctx context.Context, onlyInstalled bool, root string) (*wire.Map, error) {
	return z.solvables(ctx, "patch", onlyInstalled, root)
}

// installedPatterns are the patterns that are installed, those that are not shown too.
func (z *zypper) installedPatterns(ctx context.Context, root string) (*wire.Map, error) {
	ret, err := z.solvables(ctx, "pattern", true, root)
	if err != nil {
		return nil, err
	}
	out, err := runTool(ctx, z.c, program{args: rpmArgs(wire.NewMap("root", root), "-q", "--provides", "--whatprovides", "pattern()"), fails: true})
	if err != nil {
		return nil, err
	}
	for _, line := range lines(out.out) {
		name, ok := strings.CutPrefix(line, "pattern() = ")
		if name = strings.TrimSpace(name); ok && !strings.HasPrefix(name, ".") && !ret.Has(name) {
			ret.Set(name, wire.NewMap("installed", true, "summary", "Non-visible pattern"))
		}
	}
	return ret, nil
}

type zypperRefreshArgs struct {
	Refresh any       `default:"False"` // Read the repositories anew first.
	Root    string    `default:"None"`  // Directory with another system.
	Kwargs  *wire.Map `arg:"**"`        // Not looked at.
}

func (a *zypperRefreshArgs) start(ctx context.Context, c *module.Call) (*zypper, error) {
	z, err := zypperOf(c)
	if err == nil && module.Truth(a.Refresh) {
		_, err = z.refresh(ctx, pkgRefreshOptions{kwargs: wire.NewMap("root", a.Root)})
	}
	return z, err
}

// zypperListPatterns returns the patterns of the repositories.
//
//	gosalt '*' pkg.list_patterns
func zypperListPatterns(ctx context.Context, c *module.Call, a zypperRefreshArgs) (*wire.Map, error) {
	z, err := a.start(ctx, c)
	if err != nil {
		return nil, err
	}
	return z.solvables(ctx, "pattern", false, a.Root)
}

// zypperListInstalledPatterns returns the patterns that are installed.
//
//	gosalt '*' pkg.list_installed_patterns
func zypperListInstalledPatterns(ctx context.Context, c *module.Call, a zypperRootArgs) (*wire.Map, error) {
	z, err := zypperOf(c)
	if err != nil {
		return nil, err
	}
	return z.installedPatterns(ctx, a.Root)
}

// zypperListPatches returns the patches of the repositories.
//
//	gosalt '*' pkg.list_patches
func zypperListPatches(ctx context.Context, c *module.Call, a zypperRefreshArgs) (*wire.Map, error) {
	z, err := a.start(ctx, c)
	if err != nil {
		return nil, err
	}
	return z.patches(ctx, false, a.Root)
}

// zypperListInstalledPatches returns the patches that are installed.
//
//	gosalt '*' pkg.list_installed_patches
func zypperListInstalledPatches(ctx context.Context, c *module.Call, a zypperRootArgs) (*wire.Map, error) {
	z, err := zypperOf(c)
	if err != nil {
		return nil, err
	}
	return z.patches(ctx, true, a.Root)
}

type zypperProductsArgs struct {
	All     bool   `default:"False"` // Those of the repositories, too.
	Refresh any    `default:"False"` // Read the repositories anew first.
	Root    string `default:"None"`  // Directory with another system.
}

// zypperListProducts returns the products that are installed.
//
//	gosalt '*' pkg.list_products
//	gosalt '*' pkg.list_products all=True
func zypperListProducts(ctx context.Context, c *module.Call, a zypperProductsArgs) ([]any, error) {
	z, err := (&zypperRefreshArgs{Refresh: a.Refresh, Root: a.Root}).start(ctx, c)
	if err != nil {
		return nil, err
	}
	return z.products(ctx, a.All, a.Root)
}

func (z *zypper) products(ctx context.Context, all bool, root string) ([]any, error) {
	args := []string{"products"}
	if !all {
		args = []string{"--disable-repositories", "products", "-i"}
	}
	doc, err := z.ask(ctx, zypperCall{readonly: true, root: root}, args...)
	if err != nil {
		return nil, err
	}
	ret := []any{}
	for _, p := range doc.all("product") {
		m := wire.NewMap()
		for _, a := range p.Attrs {
			switch k := a.Name.Local; {
			case k == "isbase" || k == "installed":
				m.Set(k, a.Value == "true" || a.Value == "1")
			case a.Value != "":
				m.Set(k, a.Value)
			}
		}
		if e := p.all("endoflife"); len(e) > 0 {
			n, _ := strconv.ParseInt(e[0].attr("time_t"), 10, 64)
			m.Set("eol", e[0].attr("text"))
			m.Set("eol_t", n)
		}
		text := ""
		if d := p.all("description"); len(d) > 0 {
			words := strings.Split(d[0].Text, "\n")
			for i := range words {
				words[i] = strings.TrimSpace(words[i])
			}
			text = strings.Join(words, " ")
		}
		m.Set("description", text)
		if line := m.Text("productline"); line != "" {
			if b, err := z.c.Host.ReadFile(strings.TrimSuffix(root, "/") + "/var/lib/suseRegister/OEM/" + line); err == nil {
				first, _, _ := strings.Cut(string(b), "\n")
				if first = strings.TrimSpace(first); first != "" {
					m.Set("release", first)
				}
			}
		}
		ret = append(ret, m)
	}
	return ret, nil
}

// zypperServicesNeedRestart lists the services that use files which the package manager
// has changed since.
//
//	gosalt '*' pkg.services_need_restart
func zypperServicesNeedRestart(ctx context.Context, c *module.Call, a zypperRootArgs) ([]string, error) {
	z, err := zypperOf(c)
	if err != nil {
		return nil, err
	}
	out, err := z.run(ctx, zypperCall{readonly: true, root: a.Root}, "ps", "-sss")
	if err != nil {
		return nil, err
	}
	return append([]string{}, strings.Fields(out.out)...), nil
}
