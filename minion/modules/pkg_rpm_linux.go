package modules

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/rpm"
	"github.com/gosalt/gosalt/protocol/wire"
)

// likeRedHat are systems with dnf or yum that are of no family, or of another.
var likeRedHat = []string{"amazon", "xcp", "xenserver", "virtuozzolinux", "virtuozzo", "issabel pbx", "openeuler"}

func hasYum(c *module.Call) bool {
	return strings.EqualFold(pytext.Str(grainOf(c, "os_family")), "redhat") || slices.Contains(likeRedHat, strings.ToLower(pytext.Str(grainOf(c, "os"))))
}

func hasZypper(c *module.Call) bool { return pytext.Str(grainOf(c, "os_family")) == "Suse" }

func hasRPM(c *module.Call) bool { return hasYum(c) || hasZypper(c) }

var (
	onYum    = module.On("dnf and yum", hasYum)
	onZypper = module.On("zypper", hasZypper)
	onRPM    = module.On("rpm", hasRPM)
)

// rpmInstalled is a package of rpm's database.
type rpmInstalled struct {
	name, epoch, version, release, arch string
	installed                           int64 // seconds, 0 for unknown
}

func (p *rpmInstalled) full() string {
	v := p.version
	if p.epoch != "" {
		v = p.epoch + ":" + v
	}
	if p.release != "" {
		v += "-" + p.release
	}
	return v
}

const rpmFormat = "%{NAME}_|-%{EPOCH}_|-%{VERSION}_|-%{RELEASE}_|-%{ARCH}_|-(none)_|-%{INSTALLTIME}\n"

// parseRPM reads a line of rpmFormat, nil for another one.
func parseRPM(line, osarch string) *rpmInstalled {
	f := strings.Split(line, "_|-")
	if len(f) != 7 {
		return nil
	}
	p := &rpmInstalled{name: rpm.Name(f[0], f[4], osarch), epoch: f[1], version: f[2], release: f[3], arch: f[4]}
	if p.epoch == "(none)" || p.epoch == "0" {
		p.epoch = ""
	}
	p.installed, _ = strconv.ParseInt(f[6], 10, 64)
	return p
}

func osArch(c *module.Call) string { return pytext.Str(grainOf(c, "osarch")) }

// rpmArgs are the arguments of rpm for another root.
func rpmArgs(kwargs *wire.Map, args ...string) []string {
	cmd := []string{"rpm"}
	if root := kwargs.Text("root"); root != "" {
		cmd = append(cmd, "--root", root)
	}
	return append(cmd, args...)
}

// rpmPackages are the packages that are installed, by name, the versions in order.
func rpmPackages(ctx context.Context, c *module.Call, root string) (map[string][]*rpmInstalled, error) {
	out, err := runTool(ctx, c, program{args: rpmArgs(wire.NewMap("root", root), "-qa", "--nodigest", "--nosignature", "--queryformat", rpmFormat)})
	if err != nil {
		return nil, err
	}
	if !out.ok() {
		return nil, module.Failf("read the packages that are installed: %s", out.text())
	}
	all := map[string][]*rpmInstalled{}
	for _, line := range strings.Split(out.out, "\n") {
		if p := parseRPM(line, osArch(c)); p != nil {
			all[p.name] = append(all[p.name], p)
		}
	}
	for _, l := range all {
		slices.SortStableFunc(l, func(a, b *rpmInstalled) int { return strings.Compare(a.version, b.version) })
	}
	return all, nil
}

func rpmVersions(all map[string][]*rpmInstalled) packages {
	out := packages{}
	for name, l := range all {
		for _, p := range l {
			out.add(name, p.full())
		}
	}
	return out
}

// packageAttributes are what attr and diff_attr can name.
var packageAttributes = []string{"epoch", "version", "release", "arch", "install_date", "install_date_time_t"}

// attributesOf reads attr: nil for none, and which of the attributes are asked for.
func attributesOf(v any) []string {
	if !module.Truth(v) {
		return nil
	}
	if v == "all" {
		return packageAttributes
	}
	asked := commaList(v)
	var out []string
	for _, a := range packageAttributes {
		if a == "version" || a == "arch" || slices.Contains(asked, a) {
			out = append(out, a)
		}
	}
	return out
}

func noneOr(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// attribute is one of a package's attributes.
func (p *rpmInstalled) attribute(name string) any {
	switch name {
	case "epoch":
		return noneOr(p.epoch)
	case "version":
		return p.version
	case "release":
		return noneOr(p.release)
	case "arch":
		return p.arch
	}
	if p.installed == 0 {
		return nil
	}
	if name == "install_date" {
		return time.Unix(p.installed, 0).UTC().Format("2006-01-02T15:04:05Z")
	}
	return p.installed
}

// listed is the form of pkg.list_pkgs, with attributes where they are asked for.
func rpmListed(all map[string][]*rpmInstalled, lists bool, attr []string) *wire.Map {
	if attr == nil {
		return rpmVersions(all).toMap(lists)
	}
	m := wire.NewMap()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		key := name
		base, arch, ok := rpm.SplitArch(name)
		var l []any
		for _, p := range all[name] {
			one := wire.NewMap()
			for _, a := range attr {
				one.Set(a, p.attribute(a))
			}
			l = append(l, one)
			if ok && p.arch == arch {
				key = base
			}
		}
		m.Set(key, append(m.List(key), l...))
	}
	return m
}

// compareMaps tells what differs: {"zsh": {"old": "", "new": "5.9"}}.
func compareMaps(old, now *wire.Map) *wire.Map {
	names := map[string]bool{}
	for _, m := range []*wire.Map{old, now} {
		for k := range m.Strings() {
			names[k] = true
		}
	}
	ret := wire.NewMap()
	for _, n := range sortedNames(names) {
		a, was := old.Get(n)
		b, is := now.Get(n)
		if !was {
			a = ""
		}
		if !is {
			b = ""
		}
		if was != is || !pytext.Equal(a, b) {
			ret.Set(n, wire.NewMap("old", a, "new", b))
		}
	}
	return ret
}

func rpmCompare(a, b string, ignoreEpoch bool) int {
	if ignoreEpoch {
		a, b = withoutEpoch(a), withoutEpoch(b)
	}
	return rpm.Compare(a, b)
}

func rpmOwner(ctx context.Context, c *module.Call, kwargs *wire.Map, path string) (string, error) {
	out, err := runTool(ctx, c, program{args: rpmArgs(kwargs, "-qf", "--queryformat", "%{name}", path), fails: true})
	if err != nil {
		return "", err
	}
	if strings.Contains(strings.ToLower(out.out), "not owned") {
		return "", nil
	}
	return out.out, nil
}

// rpmFileInfo reads name, version and architecture of a package file; nil where it is none.
func rpmFileInfo(ctx context.Context, c *module.Call, path string) (*wire.Map, error) {
	out, err := runTool(ctx, c, program{args: []string{"rpm", "-qp", "--queryformat", strings.Replace(strings.TrimSuffix(rpmFormat, "\n"), "(none)", "none", 1), path}, fails: true})
	if err != nil {
		return nil, err
	}
	p := parseRPM(out.out, osArch(c))
	if p == nil {
		return nil, nil
	}
	return wire.NewMap("name", p.name, "version", p.full(), "arch", p.arch, "repoid", "none",
		"install_date", p.attribute("install_date"), "install_date_time_t", p.attribute("install_date_time_t")), nil
}

// rpmDownloaded are the package files below a directory, by name and version.
func rpmDownloaded(ctx context.Context, c *module.Call, top string) (*wire.Map, error) {
	ret := wire.NewMap()
	err := eachFile(c, top, ".rpm", func(path string, size int64, at time.Time) error {
		info, err := rpmFileInfo(ctx, c, path)
		if err != nil || info == nil {
			return err
		}
		versions := ret.Map(info.Text("name"))
		if versions == nil {
			versions = wire.NewMap()
			ret.Set(info.Text("name"), versions)
		}
		versions.Set(info.Text("version"), wire.NewMap("path", path, "size", size, "creation_date_time_t", at.Unix(),
			"creation_date_time", time.Unix(at.Unix(), 0).Format("2006-01-02T15:04:05")))
		return nil
	})
	return ret, err
}

// yumRows reads what dnf and yum list: three words for each package, which may be on
// several lines, below headings.
type yumRow struct{ name, version, arch, repo string }

var yumHeadings = []string{"installed packages", "available packages", "available upgrades", "updated packages", "upgraded packages"}

func yumRows(out, osarch string) []yumRow {
	var words []string
	for _, line := range strings.Split(out, "\n") {
		if !slices.Contains(yumHeadings, strings.ToLower(line)) {
			words = append(words, strings.Fields(line)...)
		}
	}
	var rows []yumRow
	for ; len(words) >= 3; words = words[3:] {
		name, arch := words[0], osarch
		if i := strings.LastIndexByte(name, '.'); i >= 0 {
			name, arch = name[:i], name[i+1:]
		}
		rows = append(rows, yumRow{rpm.Name(name, arch, osarch), strings.TrimRight(words[1], "-"), arch, strings.TrimLeft(words[2], "@")})
	}
	return rows
}
