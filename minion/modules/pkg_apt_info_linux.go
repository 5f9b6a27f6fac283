package modules

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/yamlarg"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("pkg.get_selections", pkgGetSelections, onApt)
	register("pkg.set_selections", pkgSetSelections, onApt)
	register("pkg.list_repo_pkgs", pkgListRepoPkgs, onApt)
	register("pkg.list_downloaded", pkgListDownloaded, onApt)
	register("pkg.show", pkgShow, onApt)
	register("pkg.info_installed", pkgInfoInstalled, onApt)
	register("pkg.services_need_restart", pkgServicesNeedRestart, onApt)
	register("lowpkg.bin_pkg_info", lowpkgBinPkgInfo, onApt)
	register("lowpkg.unpurge", lowpkgUnpurge, onApt)
	register("lowpkg.list_pkgs", lowpkgListPkgs, onApt)
	register("lowpkg.file_list", pkgFileList, onApt)
	register("lowpkg.file_dict", pkgFileDict, onApt)
	register("lowpkg.info", lowpkgInfo, onApt)
}

// aptOf is the manager of a Debian, for what only that has.
// onApt says that a function is for apt and dpkg.
var onApt = module.On("apt", func(c *module.Call) bool { return pytext.Str(grainOf(c, "os_family")) == "Debian" })

func aptOf(c *module.Call) (*apt, error) {
	m, err := packageManagerOf(c)
	if err != nil {
		return nil, err
	}
	if a, ok := m.(*apt); ok {
		return a, nil
	}
	return nil, notHere(c)
}

// selections are names and what dpkg is to do with each: hold, install, deinstall, purge.
func (a *apt) selections(ctx context.Context, pattern string) ([][2]string, error) {
	out, err := runTool(ctx, a.c, program{args: []string{"dpkg", "--get-selections", pattern}, fails: true})
	if err != nil {
		return nil, err
	}
	var all [][2]string
	for _, line := range strings.Split(out.out, "\n") {
		if f := strings.Fields(line); len(f) == 2 {
			all = append(all, [2]string{f[0], f[1]})
		}
	}
	return all, nil
}

// setSelections tells dpkg what to do with packages.
func (a *apt) setSelections(ctx context.Context, names []string, state string) error {
	if len(names) == 0 {
		return nil
	}
	var in strings.Builder
	for _, n := range names {
		in.WriteString(n + " " + state + "\n")
	}
	out, err := a.run(ctx, program{args: []string{"dpkg", "--set-selections"}, stdin: []byte(in.String())}, false)
	if err == nil && !out.ok() {
		err = module.Failf("dpkg does not take '%s' for %s: %s", state, strings.Join(names, ", "), out.err)
	}
	return err
}

func (a *apt) hold(ctx context.Context, names []any, on bool) (*wire.Map, error) {
	ret := wire.NewMap()
	test := a.c.Opts.Bool("test")
	for _, name := range heldNames(names) {
		r := wire.NewMap("name", name, "changes", wire.NewMap(), "result", false, "comment", "")
		ret.Set(name, r)
		found, err := a.selections(ctx, name)
		if err != nil {
			return nil, err
		}
		held := slices.ContainsFunc(found, func(s [2]string) bool { return s[1] == "hold" })
		say := func(result any, comment string) {
			r.Set("result", result)
			r.Set("comment", "Package "+name+comment)
		}
		switch {
		case !on && len(found) == 0:
			say(false, " does not have a state.")
		case held == on && on:
			say(true, " is already set to be held.")
		case held == on:
			say(true, " is already set not to be held.")
		case test && on:
			say(nil, " is set to be held.")
		case test:
			say(nil, " is set not to be held.")
		default:
			state := "install"
			if on {
				state = "hold"
			}
			all, err := a.selections(ctx, "*")
			if err != nil {
				return nil, err
			}
			var was any
			for _, s := range all {
				if s[0] == name {
					was = s[1]
				}
			}
			if err := a.setSelections(ctx, []string{name}, state); err != nil {
				return nil, err
			}
			r.Set("changes", wire.NewMap("old", was, "new", state))
			if on {
				say(true, " is now being held.")
			} else {
				say(true, " is no longer being held.")
			}
		}
	}
	return ret, nil
}

type pkgGetSelectionsArgs struct {
	Pattern string `default:"None"` // Pattern of names: openssh*.
	State   string `default:"None"` // Only packages in this state: hold, install, deinstall, purge.
}

// pkgGetSelections returns what dpkg is to do with packages, by state (apt).
//
//	gosalt '*' pkg.get_selections state=hold
func pkgGetSelections(ctx context.Context, c *module.Call, a pkgGetSelectionsArgs) (*wire.Map, error) {
	m, err := aptOf(c)
	if err != nil {
		return nil, err
	}
	pattern := a.Pattern
	if pattern == "" {
		pattern = "*"
	}
	all, err := m.selections(ctx, pattern)
	if err != nil {
		return nil, err
	}
	ret := bySelection(all)
	if a.State != "" {
		l := ret.List(a.State)
		if l == nil {
			l = []any{}
		}
		return wire.NewMap(a.State, l), nil
	}
	return ret, nil
}

func bySelection(all [][2]string) *wire.Map {
	ret := wire.NewMap()
	for _, s := range all {
		ret.Set(s[1], append(ret.List(s[1]), any(s[0])))
	}
	return ret
}

type pkgSetSelectionsArgs struct {
	Path      string `default:"None"`  // File with lines of a name and a state, here or on the file server.
	Selection any    `default:"None"`  // Lists of names by state: {hold: [a, b]}.
	Clear     bool   `default:"False"` // Set all packages to deinstall first.
	Saltenv   string `default:"base"`  // Environment of the file server.
}

// pkgSetSelections tells dpkg what to do with packages, and returns what has changed (apt).
//
//	gosalt '*' pkg.set_selections selection='{"hold": ["openssh-server"]}'
func pkgSetSelections(ctx context.Context, c *module.Call, a pkgSetSelectionsArgs) (*wire.Map, error) {
	m, err := aptOf(c)
	if err != nil {
		return nil, err
	}
	ret := wire.NewMap()
	if a.Path == "" && !module.Truth(a.Selection) {
		return ret, nil
	}
	if a.Path != "" && module.Truth(a.Selection) {
		return nil, module.Invalidf("The 'selection' and 'path' arguments to pkg.set_selections are mutually exclusive, and cannot be specified together")
	}
	if s, ok := a.Selection.(string); ok {
		if a.Selection, err = yamlarg.Load(s); err != nil {
			return nil, module.Invalidf("Improperly-formatted selection: %v", err)
		}
	}
	selection, _ := a.Selection.(*wire.Map)
	if a.Path != "" {
		v, err := c.Call(ctx, "cp.cache_file", []any{a.Path, a.Saltenv}, nil)
		if err != nil {
			return nil, err
		}
		text, err := os.ReadFile(pytext.Str(v))
		if err != nil {
			return nil, module.Failf("read the selections: %w", err)
		}
		var all [][2]string
		for _, line := range strings.Split(string(text), "\n") {
			if f := strings.Fields(line); len(f) == 2 {
				all = append(all, [2]string{f[0], f[1]})
			} else if len(f) > 0 {
				return nil, module.Invalidf("%s: a line is a name and a state, not '%s'", a.Path, line)
			}
		}
		selection = bySelection(all)
	}
	for k := range selection.All() {
		if s := pytext.Str(k); !slices.Contains([]string{"install", "hold", "deinstall", "purge"}, s) {
			return nil, module.Invalidf("Invalid state(s): %s", s)
		}
	}
	test := c.Opts.Bool("test")
	if a.Clear && !test {
		out, err := m.run(ctx, program{args: []string{"dpkg", "--clear-selections"}}, false)
		if err != nil {
			return nil, err
		}
		if !out.ok() {
			return nil, module.Failf("Running dpkg --clear-selections failed: %s", out.err)
		}
	}
	now := map[string]any{}
	all, err := m.selections(ctx, "*")
	if err != nil {
		return nil, err
	}
	for _, s := range all {
		now[s[0]] = s[1]
	}
	for k, l := range selection.All() {
		state := pytext.Str(k)
		names, _ := l.([]any)
		for _, n := range names {
			name := pytext.Str(n)
			if now[name] == state || test {
				continue
			}
			if err := m.setSelections(ctx, []string{name}, state); err != nil {
				c.Log.Error("selection not set", "package", name, "state", state, "error", err)
				continue
			}
			ret.Set(name, wire.NewMap("old", now[name], "new", state))
		}
	}
	return ret, nil
}

// repoVersions are the versions that the repositories have, the newest first.
func (a *apt) repoVersions(ctx context.Context, names []string) (map[string][]string, error) {
	args := []string{"apt-cache", "dump"}
	if len(names) > 0 {
		args = append([]string{"apt-cache", "show"}, names...)
	}
	out, err := a.run(ctx, program{args: args, fails: true}, false)
	if err != nil {
		return nil, err
	}
	found := map[string][]string{}
	name := ""
	for _, line := range strings.Split(out.out, "\n") {
		if n, ok := strings.CutPrefix(line, "Package: "); ok {
			name = n
			continue
		}
		if f := strings.Fields(line); len(f) > 1 && f[0] == "Version:" && name != "" {
			found[name] = append(found[name], strings.Join(f[1:], " "))
		}
	}
	return found, nil
}

type pkgListRepoPkgsArgs struct {
	Args   []any     `arg:"*"`  // Names of packages; all without one.
	Kwargs *wire.Map `arg:"**"` // Not looked at.
}

// pkgListRepoPkgs returns the versions that the repositories have of packages (apt).
//
//	gosalt '*' pkg.list_repo_pkgs foo bar
func pkgListRepoPkgs(ctx context.Context, c *module.Call, a pkgListRepoPkgsArgs) (*wire.Map, error) {
	m, err := aptOf(c)
	if err != nil {
		return nil, err
	}
	found, err := m.repoVersions(ctx, (&pkgPackagesArgs{Packages: a.Args}).names())
	return packages(found).toMap(true), err
}

// fileInfo reads name, version and architecture of a package file.
func (a *apt) fileInfo(ctx context.Context, path string) (*wire.Map, error) {
	if !a.c.Host.Exists(path) {
		return nil, module.Failf("%s does not exist on minion", path)
	}
	out, err := runTool(ctx, a.c, program{args: []string{"dpkg", "-I", path}})
	if err != nil {
		return nil, err
	}
	if !out.ok() {
		msg := "Unable to get info for " + path
		if out.err != "" {
			msg += ": " + out.err
		}
		return nil, module.Failf("%s", msg)
	}
	ret := wire.NewMap()
	for _, line := range strings.Split(out.out, "\n") {
		key, value, ok := strings.Cut(strings.TrimSpace(line), ":")
		f := strings.Fields(value)
		if !ok || len(f) == 0 {
			continue
		}
		switch strings.TrimRight(key, " ") {
		case "Package":
			ret.Set("name", f[len(f)-1])
		case "Version":
			ret.Set("version", f[len(f)-1])
		case "Architecture":
			ret.Set("arch", f[len(f)-1])
		}
	}
	var missing []string
	for _, k := range []string{"name", "version", "arch"} {
		if !ret.Has(k) {
			missing = append(missing, k)
		}
	}
	if len(missing) > 0 {
		return nil, module.Failf("Unable to get %s for %s", strings.Join(missing, ", "), path)
	}
	osarch := pytext.Str(grainOf(a.c, "osarch"))
	if arch := ret.Text("arch"); pytext.Str(grainOf(a.c, "cpuarch")) == "x86_64" && osarch == "amd64" && arch != "all" && arch != osarch {
		ret.Set("name", ret.Text("name")+":"+arch)
	}
	return ret, nil
}

type lowpkgBinPkgInfoArgs struct {
	Path    string // Package file: a path, or an address as salt://foo.deb.
	Saltenv string `default:"base"` // Environment of the file server.
}

// lowpkgBinPkgInfo returns name, version and architecture of a package file.
//
//	gosalt '*' lowpkg.bin_pkg_info /root/foo.deb
func lowpkgBinPkgInfo(ctx context.Context, c *module.Call, a lowpkgBinPkgInfoArgs) (*wire.Map, error) {
	m, err := aptOf(c)
	if err != nil {
		return nil, err
	}
	if strings.Contains(a.Path, "://") {
		v, err := c.Call(ctx, "cp.cache_file", []any{a.Path, a.Saltenv}, nil)
		if err != nil {
			return nil, err
		}
		path, ok := v.(string)
		if !ok || path == "" {
			return nil, module.Failf("Unable to retrieve %s from saltenv '%s'", a.Path, a.Saltenv)
		}
		a.Path = path
	} else if c.Host.Exists(a.Path) && !filepath.IsAbs(a.Path) {
		return nil, module.Invalidf("%s does not exist on minion", a.Path)
	}
	return m.fileInfo(ctx, a.Path)
}

type lowpkgUnpurgeArgs struct {
	Packages []any `arg:"*"` // Names of packages.
}

// lowpkgUnpurge keeps packages that dpkg was told to purge (apt).
//
//	gosalt '*' lowpkg.unpurge curl
func lowpkgUnpurge(ctx context.Context, c *module.Call, a lowpkgUnpurgeArgs) (*wire.Map, error) {
	m, err := aptOf(c)
	if err != nil {
		return nil, err
	}
	old, err := m.list(ctx, pkgListOptions{purgeDesired: true})
	if err != nil {
		return nil, err
	}
	if err := m.setSelections(ctx, (&pkgPackagesArgs{Packages: a.Packages}).names(), "install"); err != nil {
		return nil, err
	}
	now, err := m.list(ctx, pkgListOptions{purgeDesired: true})
	return comparePackages(old, now), err
}

// lowpkgListPkgs returns packages that are installed, with their versions (apt).
//
//	gosalt '*' lowpkg.list_pkgs hostname mount
func lowpkgListPkgs(ctx context.Context, c *module.Call, a pkgPackagesArgs) (any, error) {
	if _, err := aptOf(c); err != nil {
		return nil, err
	}
	out, err := runTool(ctx, c, program{args: append([]string{"dpkg-query", "-f=${db:Status-Status}\t${binary:Package}\t${Version}\n", "-W"}, a.names()...)})
	if err != nil {
		return nil, err
	}
	if !out.ok() {
		return "Error:  " + out.err, nil
	}
	ret := wire.NewMap()
	for _, line := range strings.Split(out.out, "\n") {
		if f := strings.Split(line, "\t"); len(f) == 3 && f[0] == "installed" {
			ret.Set(f[1], f[2])
		}
	}
	return ret, nil
}

type pkgInfoArgs struct {
	Names    []any     `arg:"*"`                          // Names of packages.
	Failhard any       `arg:"failhard,kw" default:"True"` // Fail where none of them is installed.
	Kwargs   *wire.Map `arg:"**"`                         // Not looked at.
}

// infoFormat has the fields in the order of Salt's lowpkg.info.
const infoFormat = "package:${Package}\nrevision:${binary:Revision}\narchitecture:${Architecture}\nmaintainer:${Maintainer}\nsummary:${Summary}\n" +
	"source:${source:Package}\nversion:${Version}\nsection:${Section}\ninstalled_size:${Installed-size}\nsize:${Size}\nMD5:${MD5sum}\nSHA1:${SHA1}\n" +
	"SHA256:${SHA256}\norigin:${Origin}\nhomepage:${Homepage}\nstatus:${db:Status-Abbrev}\ndescription:${Description}\n\x01\n"

// lowpkgInfo returns what dpkg knows of packages (apt).
//
//	gosalt '*' lowpkg.info apache2 bash
func lowpkgInfo(ctx context.Context, c *module.Call, a pkgInfoArgs) (*wire.Map, error) {
	if _, err := aptOf(c); err != nil {
		return nil, err
	}
	args := append([]string{"dpkg-query", "-W", "-f=" + infoFormat}, (&pkgPackagesArgs{Packages: a.Names}).names()...)
	out, err := runTool(ctx, c, program{args: args, fails: true})
	if err != nil {
		return nil, err
	}
	ret := wire.NewMap()
	if !out.ok() {
		if truthy(a.Failhard) {
			return nil, module.Failf("Error getting packages information: %s", out.err)
		}
		return ret, nil
	}
	for _, entry := range strings.Split(out.out, "\x01") {
		head, description, ok := strings.Cut(strings.TrimLeft(entry, "\n"), "\ndescription:")
		if !ok {
			continue
		}
		m := wire.NewMap()
		for _, line := range strings.Split(head, "\n") {
			if key, value, _ := strings.Cut(strings.TrimSpace(line), ":"); value != "" && key != "installed_size" {
				m.Set(key, value)
			}
		}
		name := m.Text("package")
		if st, err := c.Host.Stat("/var/lib/dpkg/info/" + name + ".list"); err == nil {
			m.Set("install_date", st.ModTime().UTC().Format("2006-01-02T15:04:05Z"))
		}
		m.Set("description", strings.TrimSuffix(description, "\n"))
		if l := licenses(c, name); l != "" {
			m.Set("license", l)
		}
		ret.Set(name, m)
	}
	return ret, nil
}

var licenseLine = lazyre.New(`(?m)^License:(.*)$`)

// licenses are those that the package's copyright names.
func licenses(c *module.Call, name string) string {
	text, err := os.ReadFile(c.Host.Path("/usr/share/doc/" + name + "/copyright"))
	if err != nil {
		return ""
	}
	seen := map[string]bool{}
	for _, m := range licenseLine.FindAllStringSubmatch(string(text), -1) {
		seen[strings.TrimSpace(m[1])] = true
	}
	return strings.Join(sortedNames(seen), ", ")
}

// pkgInfoInstalled returns what is known of packages that are installed.
//
//	gosalt '*' pkg.info_installed nginx
func pkgInfoInstalled(ctx context.Context, c *module.Call, a pkgInfoArgs) (*wire.Map, error) {
	all, err := lowpkgInfo(ctx, c, a)
	if err != nil {
		return nil, err
	}
	rename := map[string]string{"package": "name", "origin": "vendor", "section": "group", "maintainer": "packager", "homepage": "url"}
	ret := wire.NewMap()
	for name, v := range all.Strings() {
		info := v.(*wire.Map)
		if s := info.Text("status"); len(s) < 2 || s[1] != 'i' {
			continue
		}
		m := wire.NewMap()
		for k, v := range info.Strings() {
			if k == "status" {
				continue
			}
			if n, ok := rename[k]; ok {
				k = n
			}
			m.Set(k, v)
		}
		ret.Set(name, m)
	}
	return ret, nil
}

type pkgShowArgs struct {
	Names   []any     `arg:"*"`                          // Names of packages, or patterns.
	Filter  any       `arg:"filter,kw" default:"None"`   // Only these fields: a list, or a text with commas.
	Refresh any       `arg:"refresh,kw" default:"False"` // Read the lists of the repositories anew first.
	Kwargs  *wire.Map `arg:"**"`                         // Not looked at.
}

// pkgShow returns what the repositories know of packages, by version (apt).
//
//	gosalt '*' pkg.show gawk
//	gosalt '*' pkg.show 'nginx-*' filter=description,provides
func pkgShow(ctx context.Context, c *module.Call, a pkgShowArgs) (*wire.Map, error) {
	m, err := aptOf(c)
	if err != nil {
		return nil, err
	}
	if truthy(a.Refresh) {
		if _, err := m.refresh(ctx, pkgRefreshOptions{}); err != nil {
			return nil, err
		}
	}
	ret := wire.NewMap()
	if len(a.Names) == 0 {
		return ret, nil
	}
	var filter []string
	if module.Truth(a.Filter) {
		for _, f := range nameList(a.Filter) {
			filter = append(filter, strings.ToLower(strings.TrimSpace(f)))
		}
	}
	out, err := m.run(ctx, program{args: append([]string{"apt-cache", "show"}, (&pkgPackagesArgs{Packages: a.Names}).names()...), fails: true}, false)
	if err != nil {
		return nil, err
	}
	for _, stanza := range strings.Split(out.out, "\n\n") {
		info := wire.NewMap()
		for _, line := range strings.Split(stanza, "\n") {
			key, value, ok := strings.Cut(strings.TrimSpace(line), ":")
			if ok && (len(filter) == 0 || slices.Contains(append(filter, "package", "version"), strings.ToLower(strings.TrimSpace(key)))) {
				info.Set(strings.TrimSpace(key), strings.TrimSpace(value))
			}
		}
		name, version := info.Text("Package"), info.Text("Version")
		if name == "" || version == "" {
			continue
		}
		info.Delete("Package")
		info.Delete("Version")
		byVersion := ret.Map(name)
		if byVersion == nil {
			byVersion = wire.NewMap()
			ret.Set(name, byVersion)
		}
		if have := byVersion.Map(version); have != nil {
			for k, v := range info.All() {
				have.SetAny(k, v)
			}
		} else {
			byVersion.Set(version, info)
		}
	}
	return ret, nil
}

type pkgListDownloadedArgs struct {
	Root   string    `default:"None"` // Directory with another system.
	Kwargs *wire.Map `arg:"**"`       // Not looked at.
}

// pkgListDownloaded returns the package files in apt's cache, by name and version (apt).
//
//	gosalt '*' pkg.list_downloaded
func pkgListDownloaded(ctx context.Context, c *module.Call, a pkgListDownloadedArgs) (*wire.Map, error) {
	m, err := aptOf(c)
	if err != nil {
		return nil, err
	}
	ret := wire.NewMap()
	err = eachFile(c, filepath.Join("/", a.Root, "var/cache/apt"), ".deb", func(path string, size int64, at time.Time) error {
		info, err := m.fileInfo(ctx, path)
		if err != nil {
			return err
		}
		versions := ret.Map(info.Text("name"))
		if versions == nil {
			versions = wire.NewMap()
			ret.Set(info.Text("name"), versions)
		}
		versions.Set(info.Text("version"), wire.NewMap("path", path, "size", size, "creation_date_time_t", at.Unix(),
			"creation_date_time", time.Unix(at.Unix(), 0).UTC().Format("2006-01-02T15:04:05")))
		return nil
	})
	return ret, err
}

// eachFile goes through the files below a directory whose names end so, with their sizes
// and when they came there. A directory that is not there has none.
func eachFile(c *module.Call, top, suffix string, visit func(path string, size int64, at time.Time) error) error {
	root := c.Host.Path(top)
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, suffix) {
			return nil
		}
		st, err := d.Info()
		if err != nil {
			return nil
		}
		return visit(filepath.Join(top, strings.TrimPrefix(path, root)), st.Size(), changeTime(st))
	})
}

// pkgServicesNeedRestart lists the services that use files which a package manager has
// changed since. It needs checkrestart, of the package debian-goodies (apt).
//
//	gosalt '*' pkg.services_need_restart
func pkgServicesNeedRestart(ctx context.Context, c *module.Call, _ noArgs) ([]string, error) {
	if _, err := aptOf(c); err != nil {
		return nil, err
	}
	if whichProgram("checkrestart") == "" {
		return nil, module.NoCommandf("'checkrestart' is needed. It is part of the 'debian-goodies' package which can be installed from official repositories.")
	}
	out, err := runTool(ctx, c, program{args: []string{"checkrestart", "--machine", "--package"}, fails: true})
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, line := range strings.Split(out.out, "\n") {
		if rest, ok := strings.CutPrefix(line, "SERVICE:"); ok {
			name, _, _ := strings.Cut(rest, ",")
			seen[name] = true
		}
	}
	return sortedNames(seen), nil
}
