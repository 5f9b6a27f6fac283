package modules

import (
	"context"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/rpm"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("lowpkg.bin_pkg_info", rpmBinPkgInfo, onRPM)
	register("lowpkg.list_pkgs", rpmListPkgs, onRPM)
	register("lowpkg.verify", rpmVerify, onRPM)
	register("lowpkg.modified", rpmModified, onRPM)
	register("lowpkg.file_list", rpmFileList, onRPM)
	register("lowpkg.file_dict", rpmFileDict, onRPM)
	register("lowpkg.owner", rpmOwnerOf, onRPM)
	register("lowpkg.diff", rpmDiff, onRPM)
	register("lowpkg.info", rpmInfo, onRPM)
	register("lowpkg.version_cmp", rpmVersionCmp, onRPM)
	register("lowpkg.checksum", rpmChecksum, onRPM)
	register("pkg.info_installed", rpmInfoInstalled, onYum)
	register("pkg.verify", rpmVerify, onRPM)
	register("pkg.modified", rpmModified, onRPM)
	register("pkg.file_list", rpmFileList, onRPM)
	register("pkg.file_dict", rpmFileDict, onRPM)
	register("pkg.diff", rpmDiffInstalled, onRPM)
}

// rpmBinPkgInfo returns name, version and architecture of a package file, None where it is
// no package.
//
//	gosalt '*' lowpkg.bin_pkg_info /root/foo-1.0-1.noarch.rpm
//	gosalt '*' lowpkg.bin_pkg_info salt://foo-1.0-1.noarch.rpm
func rpmBinPkgInfo(ctx context.Context, c *module.Call, a lowpkgBinPkgInfoArgs) (any, error) {
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
	} else if !c.Host.Exists(a.Path) {
		return nil, module.Failf("%s does not exist on minion", a.Path)
	} else if !filepath.IsAbs(a.Path) {
		return nil, module.Invalidf("%s does not exist on minion", a.Path)
	}
	info, err := rpmFileInfo(ctx, c, a.Path)
	if info == nil {
		return nil, err
	}
	return info, nil
}

type rpmPackagesArgs struct {
	Packages []any     `arg:"*"`  // Names of packages; all without one.
	Kwargs   *wire.Map `arg:"**"` // root: a directory with another system.
}

func (a *rpmPackagesArgs) names() []string { return (&pkgPackagesArgs{Packages: a.Packages}).names() }

// query asks rpm about the packages, or about all.
func (a *rpmPackagesArgs) query(ctx context.Context, c *module.Call, some, all string, more ...string) (*programExit, error) {
	args := []string{all}
	if len(a.Packages) > 0 {
		args = []string{some}
	}
	out, err := runTool(ctx, c, program{args: rpmArgs(a.Kwargs, append(append(args, more...), a.names()...)...), fails: true, merge: true})
	return out, err
}

// nameVersions reads names and versions; what is not installed is in missing.
func (a *rpmPackagesArgs) nameVersions(ctx context.Context, c *module.Call) (found [][2]string, missing []any, err error) {
	out, err := a.query(ctx, c, "-q", "-qa", "--queryformat", "%{NAME} %{VERSION}\n")
	if err != nil {
		return nil, nil, err
	}
	missing = []any{}
	for _, line := range strings.Split(out.out, "\n") {
		if strings.Contains(line, "is not installed") {
			missing = append(missing, line)
		} else if f := strings.Fields(line); len(f) > 1 {
			found = append(found, [2]string{f[0], f[1]})
		}
	}
	return found, missing, nil
}

// rpmListPkgs returns the packages that are installed with their versions, without
// releases.
//
//	gosalt '*' lowpkg.list_pkgs
func rpmListPkgs(ctx context.Context, c *module.Call, a rpmPackagesArgs) (*wire.Map, error) {
	found, _, err := a.nameVersions(ctx, c)
	ret := wire.NewMap()
	for _, f := range found {
		ret.Set(f[0], f[1])
	}
	return ret, err
}

// rpmFileList returns the files of packages, or of all.
//
//	gosalt '*' lowpkg.file_list httpd postfix
func rpmFileList(ctx context.Context, c *module.Call, a rpmPackagesArgs) (*wire.Map, error) {
	out, err := a.query(ctx, c, "-ql", "-qla")
	if err != nil {
		return nil, err
	}
	return wire.NewMap("errors", []any{}, "files", texts(lines(out.out))), nil
}

func lines(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, "\n")
}

// rpmFileDict returns the files of packages, by package.
//
//	gosalt '*' lowpkg.file_dict httpd postfix
func rpmFileDict(ctx context.Context, c *module.Call, a rpmPackagesArgs) (*wire.Map, error) {
	found, missing, err := a.nameVersions(ctx, c)
	if err != nil {
		return nil, err
	}
	ret := wire.NewMap()
	for _, f := range found {
		out, err := runTool(ctx, c, program{args: rpmArgs(a.Kwargs, "-ql", f[0]), fails: true, merge: true})
		if err != nil {
			return nil, err
		}
		ret.Set(f[0], texts(lines(out.out)))
	}
	return wire.NewMap("errors", missing, "packages", ret), nil
}

type rpmPathsArgs struct {
	Paths  []any     `arg:"*"`  // Paths of files.
	Kwargs *wire.Map `arg:"**"` // root: a directory with another system.
}

// rpmOwnerOf returns the package that a file is of, "" where it is of none; of several
// files a map of them.
//
//	gosalt '*' lowpkg.owner /usr/bin/apachectl
func rpmOwnerOf(ctx context.Context, c *module.Call, a rpmPathsArgs) (any, error) {
	if len(a.Paths) == 0 {
		return "", nil
	}
	ret := wire.NewMap()
	for _, p := range (&pkgPackagesArgs{Packages: a.Paths}).names() {
		name, err := rpmOwner(ctx, c, a.Kwargs, p)
		if err != nil {
			return nil, err
		}
		if len(a.Paths) == 1 {
			return name, nil
		}
		ret.Set(p, name)
	}
	return ret, nil
}

var rpmFileTypes = map[string]string{"c": "config", "d": "doc", "g": "ghost", "l": "license", "r": "readme"}

var rpmMismatches = []struct {
	letter byte
	name   string
}{
	{'S', "size"}, {'M', "mode"}, {'5', "md5sum"}, {'D', "device major/minor number"}, {'L', "readlink path"},
	{'U', "user"}, {'G', "group"}, {'T', "mtime"}, {'P', "capabilities"},
}

// commaArg reads a list of texts, or a text with commas.
func commaArg(kwargs *wire.Map, key string) ([]string, error) {
	switch v := mapValue(kwargs, key).(type) {
	case nil:
		return nil, nil
	case []any, string:
		return commaList(v), nil
	}
	return nil, module.Invalidf("%s must be a list or a comma-separated string", key)
}

// rpmVerify tells which files of packages, or of all, are not as they were installed:
// by path, with what differs.
//
//	gosalt '*' pkg.verify httpd
//	gosalt '*' pkg.verify httpd ignore_types='[config, doc]' verify_options='[nodeps]'
func rpmVerify(ctx context.Context, c *module.Call, a rpmPackagesArgs) (*wire.Map, error) {
	ignore, err := commaArg(a.Kwargs, "ignore_types")
	if err != nil {
		return nil, err
	}
	options, err := commaArg(a.Kwargs, "verify_options")
	if err != nil {
		return nil, err
	}
	args := rpmArgs(a.Kwargs)
	for _, o := range options {
		args = append(args, "--"+o)
	}
	if len(a.Packages) > 0 {
		args = append(append(args, "-V"), a.names()...)
	} else {
		args = append(args, "-Va")
	}
	out, err := runTool(ctx, c, program{args: args, fails: true})
	if err != nil {
		return nil, err
	}
	if strings.TrimSpace(out.out) == "" && !out.ok() {
		msg := "Failed to verify package(s)"
		if out.err != "" {
			msg += ": " + out.err
		}
		return nil, module.Failf("%s", msg)
	}
	ret := wire.NewMap()
	for _, line := range lines(out.out) {
		m := wire.NewMap("mismatch", []any{})
		missing := strings.HasPrefix(line, "missing")
		if missing {
			line = " " + line
			m = wire.NewMap("missing", true)
		}
		if len(line) < 13 {
			continue
		}
		if kind, ok := rpmFileTypes[line[11:12]]; ok {
			if slices.Contains(ignore, kind) {
				continue
			}
			m.Set("type", kind)
		}
		if !missing {
			l := []any{}
			for i, x := range rpmMismatches {
				if line[i] == x.letter {
					l = append(l, x.name)
				}
			}
			m.Set("mismatch", l)
		}
		ret.Set(line[13:], m)
	}
	return ret, nil
}

var rpmAttributes = []string{"size", "mode", "checksum", "device", "symlink", "owner", "group", "time", "capabilities"}

// rpmModified tells which files of packages, or of all, were changed, and what of each.
// Keywords as size=True and owner=False choose those that were changed so, or not.
//
//	gosalt '*' pkg.modified httpd owner=True group=False
func rpmModified(ctx context.Context, c *module.Call, a rpmPackagesArgs) (*wire.Map, error) {
	args := rpmArgs(a.Kwargs, "-Va")
	if len(a.Packages) > 0 {
		args = append(rpmArgs(a.Kwargs, "-V"), a.names()...)
	}
	out, err := runTool(ctx, c, program{args: args, fails: true})
	if err != nil {
		return nil, err
	}
	if out.code > 1 {
		return wire.NewMap("retcode", out.code, "stderr", out.err), nil
	}
	ret := wire.NewMap()
	for _, line := range lines(out.out) {
		f := strings.Fields(line)
		if len(f) < 2 || len(f[0]) < 8 || f[0] == "missing" {
			continue
		}
		stats, set := []any{}, map[string]bool{}
		for i, name := range rpmAttributes {
			if i < len(f[0]) && f[0][i] != '.' {
				stats, set[name] = append(stats, name), true
			}
		}
		rest := strings.TrimLeft(line[len(f[0]):], " ")
		if len(f) > 2 && len(f[1]) == 1 {
			stats, set["config"] = append(stats, "config"), true
			rest = strings.TrimLeft(rest[1:], " ")
		}
		fits := true
		for k, want := range a.Kwargs.Strings() {
			if k != "root" && !strings.HasPrefix(k, "_") && module.Truth(want) != set[k] {
				fits = false
			}
		}
		if fits {
			ret.Set(rest, stats)
		}
	}
	return ret, nil
}

type rpmDiffArgs struct {
	PackagePath string // Package file.
	Path        string // Path of a file of it that is installed.
}

// rpmDiff returns how a file differs from the one in a package file, "" where it does not.
//
//	gosalt '*' lowpkg.diff /root/apache2.rpm /etc/apache2/httpd.conf
func rpmDiff(ctx context.Context, c *module.Call, a rpmDiffArgs) (string, error) {
	for _, prog := range []string{"rpm2cpio", "cpio", "diff"} {
		if whichProgram(prog) == "" {
			return "", module.NoCommandf("%s is not installed", prog)
		}
	}
	const script = `rpm2cpio "$1" | cpio -i --quiet --to-stdout ".$2" | diff -u --label "A $2" --from-file=- --label "B $2" "$2"`
	out, err := runTool(ctx, c, program{args: []string{"sh", "-c", script, "sh", a.PackagePath, a.Path}, fails: true, merge: true})
	if err != nil {
		return "", err
	}
	if strings.HasPrefix(out.out, "Binary file") {
		return "File '" + a.Path + "' is binary and its content has been modified.", nil
	}
	return out.out, nil
}

// rpmDiffInstalled returns how files differ from those in their packages, which are
// downloaded for that: by path, "Unchanged" for one that does not differ.
//
//	gosalt '*' pkg.diff /etc/apache2/httpd.conf /etc/sudoers
func rpmDiffInstalled(ctx context.Context, c *module.Call, a rpmPathsArgs) (*wire.Map, error) {
	ret := wire.NewMap()
	byPackage := map[string][]string{}
	for _, p := range (&pkgPackagesArgs{Packages: a.Paths}).names() {
		name, err := rpmOwner(ctx, c, a.Kwargs, p)
		switch {
		case err != nil:
			return nil, err
		case name != "":
			byPackage[name] = append(byPackage[name], p)
		case c.Host.Exists(p):
			ret.Set(p, "Not managed")
		default:
			ret.Set(p, "N/A")
		}
	}
	if len(byPackage) == 0 {
		return ret, nil
	}
	var names []any
	for n := range byPackage {
		names = append(names, n)
	}
	v, err := c.Call(ctx, "pkg.download", names, nil)
	if err != nil {
		return nil, err
	}
	files, _ := v.(*wire.Map)
	for name, paths := range byPackage {
		path := files.Text(name)
		if m := files.Map(name); m != nil {
			path = m.Text("path")
		}
		for _, p := range paths {
			text, err := rpmDiff(ctx, c, rpmDiffArgs{path, p})
			if err != nil {
				return nil, err
			}
			if text == "" {
				text = "Unchanged"
			}
			ret.Set(p, text)
		}
	}
	return ret, nil
}

type rpmVersionCmpArgs struct {
	Ver1        any // A version.
	Ver2        any // Another one.
	IgnoreEpoch any `default:"False"` // Compare without their epochs.
}

// rpmVersionCmp compares two versions as rpm does: -1 where the first is older, 0, or 1.
//
//	gosalt '*' lowpkg.version_cmp '0.2-001' '0.2.0.1-002'
func rpmVersionCmp(ctx context.Context, c *module.Call, a rpmVersionCmpArgs) (int, error) {
	return pkgVersionCmp(ctx, c, pkgVersionCmpArgs{Pkg1: a.Ver1, Pkg2: a.Ver2, IgnoreEpoch: a.IgnoreEpoch})
}

// rpmChecksum tells of package files whether their checksums and signatures are right.
//
//	gosalt '*' lowpkg.checksum /root/a.rpm /root/b.rpm
func rpmChecksum(ctx context.Context, c *module.Call, a rpmPathsArgs) (*wire.Map, error) {
	if len(a.Paths) == 0 {
		return nil, module.Failf("No package files has been specified.")
	}
	ret := wire.NewMap()
	for _, p := range (&pkgPackagesArgs{Packages: a.Paths}).names() {
		if st, err := c.Host.Stat(p); err != nil || !st.Mode().IsRegular() {
			ret.Set(p, false)
			continue
		}
		ok, err := ran(ctx, c, true, rpmArgs(a.Kwargs, "-K", "--quiet", p)...)
		if err != nil {
			return nil, err
		}
		ret.Set(p, ok)
	}
	return ret, nil
}

// rpmFields are the fields of lowpkg.info and how rpm prints them.
var rpmFields = []struct{ name, format string }{
	{"name", `name: %{NAME}\n`},
	{"relocations", `relocations: %|PREFIXES?{[%{PREFIXES} ]}:{(not relocatable)}|\n`},
	{"version", `version: %{VERSION}\n`},
	{"vendor", `vendor: %{VENDOR}\n`},
	{"release", `release: %{RELEASE}\n`},
	{"epoch", `%|EPOCH?{epoch: %{EPOCH}\n}|`},
	{"build_date_time_t", `build_date_time_t: %{BUILDTIME}\n`},
	{"build_date", `build_date: %{BUILDTIME}\n`},
	{"install_date_time_t", `install_date_time_t: %|INSTALLTIME?{%{INSTALLTIME}}:{(not installed)}|\n`},
	{"install_date", `install_date: %|INSTALLTIME?{%{INSTALLTIME}}:{(not installed)}|\n`},
	{"build_host", `build_host: %{BUILDHOST}\n`},
	{"group", `group: %{GROUP}\n`},
	{"source_rpm", `source_rpm: %{SOURCERPM}\n`},
	{"size", `size: %{LONGSIZE}\n`},
	{"arch", `arch: %{ARCH}\n`},
	{"license", `%|LICENSE?{license: %{LICENSE}\n}|`},
	{"signature", `signature: %|DSAHEADER?{%{DSAHEADER:pgpsig}}:{%|RSAHEADER?{%{RSAHEADER:pgpsig}}:{%|SIGGPG?{%{SIGGPG:pgpsig}}:{%|SIGPGP?{%{SIGPGP:pgpsig}}:{(none)}|}|}|}|\n`},
	{"packager", `%|PACKAGER?{packager: %{PACKAGER}\n}|`},
	{"url", `%|URL?{url: %{URL}\n}|`},
	{"summary", `summary: %{SUMMARY}\n`},
	{"edition", `edition: %|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}\n`},
}

type rpmInfoArgs struct {
	Names       []any     `arg:"*"`                              // Names of packages; all without one.
	Attr        any       `arg:"attr,kw" default:"None"`         // Only these fields: a text with commas, or a list.
	AllVersions any       `arg:"all_versions,kw" default:"None"` // Lists of all versions that are installed of each package.
	Kwargs      *wire.Map `arg:"**"`                             // root: a directory with another system.
}

var ruler = lazyre.New(`(?m)^\x01$`)

// rpmInfo returns what rpm knows of packages that are installed.
//
//	gosalt '*' lowpkg.info apache2 bash
//	gosalt '*' lowpkg.info bash attr=version,build_date,size
func rpmInfo(ctx context.Context, c *module.Call, a rpmInfoArgs) (*wire.Map, error) {
	attr := commaList(a.Attr)
	var format strings.Builder
	known := false
	for _, f := range rpmFields {
		asked := slices.Contains(attr, f.name)
		known = known || asked
		if attr == nil || asked || f.name == "name" || f.name == "edition" {
			format.WriteString(f.format)
		}
	}
	if attr != nil && !known {
		return nil, module.Failf("No valid attributes found.")
	}
	described := attr == nil || slices.Contains(attr, "description")
	if described {
		format.WriteString(`description:\n%{DESCRIPTION}\n`)
	}
	format.WriteString("\x01\n")
	q := rpmPackagesArgs{Packages: a.Names, Kwargs: a.Kwargs}
	out, err := q.query(ctx, c, "-q", "-qa", "--queryformat", format.String())
	if err != nil {
		return nil, err
	}
	type entry struct {
		name, edition string
		m             *wire.Map
	}
	var all []entry
	for _, text := range ruler.Split(out.out, -1) {
		e := entry{m: wire.NewMap()}
		head, description, _ := strings.Cut(strings.TrimSpace(text), "\ndescription:")
		for _, line := range strings.Split(head, "\n") {
			key, value, ok := strings.Cut(line, ":")
			key, value = strings.TrimSpace(key), strings.TrimSpace(value)
			if !ok || value == "" {
				continue
			}
			switch key {
			case "name":
				e.name = value
				continue
			case "edition":
				e.edition = value
			case "build_date", "install_date", "build_date_time_t", "install_date_time_t":
				n, err := strconv.ParseInt(value, 10, 64)
				if err != nil {
					continue
				}
				e.m.Set(key, n)
				if !strings.HasSuffix(key, "_t") {
					e.m.Set(key, time.Unix(n, 0).UTC().Format("2006-01-02T15:04:05Z"))
				}
				continue
			}
			e.m.Set(key, value)
		}
		if described {
			e.m.Set("description", strings.TrimPrefix(description, "\n"))
		}
		if e.name != "" && !strings.HasPrefix(e.name, "gpg-pubkey") {
			all = append(all, e)
		}
	}
	slices.SortStableFunc(all, func(a, b entry) int { return rpm.CompareLoose(a.edition, b.edition) })
	slices.Reverse(all)
	ret := wire.NewMap()
	for _, e := range all {
		switch {
		case module.Truth(a.AllVersions):
			ret.Set(e.name, append(ret.List(e.name), e.m))
		case !ret.Has(e.name):
			e.m.Delete("edition")
			ret.Set(e.name, e.m)
		}
	}
	return ret, nil
}

// rpmInfoInstalled returns what is known of packages that are installed.
//
//	gosalt '*' pkg.info_installed bash
//	gosalt '*' pkg.info_installed kernel all_versions=True
func rpmInfoInstalled(ctx context.Context, c *module.Call, a rpmInfoArgs) (*wire.Map, error) {
	all, err := rpmInfo(ctx, c, a)
	if err != nil {
		return nil, err
	}
	rename := func(m *wire.Map) {
		if v, ok := m.Get("source_rpm"); ok {
			m.Delete("source_rpm")
			m.Set("source", v)
		}
	}
	for _, v := range all.Strings() {
		switch v := v.(type) {
		case *wire.Map:
			rename(v)
		case []any:
			for _, e := range v {
				rename(e.(*wire.Map))
			}
		}
	}
	return all, nil
}
