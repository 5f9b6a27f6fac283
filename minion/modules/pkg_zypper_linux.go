package modules

import (
	"context"
	"encoding/xml"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/rpm"
	"github.com/gosalt/gosalt/protocol/wire"
)

// zypper is a system of the SUSE family.
type zypper struct{ c *module.Call }

func zypperOf(c *module.Call) (*zypper, error) {
	if !hasZypper(c) || whichProgram("zypper") == "" {
		return nil, notHere(c)
	}
	return &zypper{c}, nil
}

// zypperCall is one call of the program.
type zypperCall struct {
	xml      bool   // its answer is XML
	refresh  bool   // it may read the repositories anew
	readonly bool   // it needs no lock
	quiet    bool   // a failure is an answer
	scoped   bool   // it changes packages
	root     string // directory with another system
}

// Exit codes of zypper that are no failure (zypper(8)).
var (
	zypperFine    = []int{0, 100, 101, 102, 103}
	zypperWarning = []int{6, 7, 106, 107}
)

const (
	zypperLocked = 7
	zyppLock     = "/run/zypp.pid"
	rpmLockFile  = "/var/lib/rpm/.rpm.lock"
)

// run runs zypper. While another one has a lock it waits, says for whom, and gives up in
// time. Failures are errors, unless they are wanted as answers.
func (z *zypper) run(ctx context.Context, o zypperCall, args ...string) (*programExit, error) {
	cmd := []string{"zypper", "--non-interactive"}
	if o.xml {
		cmd = append(cmd, "--xmlout")
	}
	if !o.refresh && !slices.Contains(args, "--no-refresh") {
		cmd = append(cmd, "--no-refresh")
	}
	if o.root != "" {
		cmd = append(cmd, "--root", o.root)
	}
	cmd = append(cmd, args...)
	if o.scoped {
		cmd = scoped(ctx, z.c, cmd)
	}
	p := program{args: cmd, fails: true}
	if o.readonly && !o.refresh {
		p.env = []string{"ZYPP_READONLY_HACK=1"}
	}
	said := ""
	for began := time.Now(); ; {
		out, err := runTool(ctx, z.c, p)
		if err != nil {
			return nil, err
		}
		who := z.blocker(out)
		if who == "" {
			return out, z.problem(o, out)
		}
		if time.Since(began) > lockPatience {
			return nil, module.Failf("Zypper command failure: gave up after %s: %s has the lock of zypper or rpm", lockPatience, who)
		}
		if said != who {
			said = who
			z.c.Log.Warn("waiting for another package manager", "holder", who)
			z.c.Progress(fmt.Sprintf("waiting for %s, which has the lock of zypper or rpm\n", who))
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

// blocker is who has the lock that zypper has failed at, "" where it was no lock.
func (z *zypper) blocker(out *programExit) string {
	if out.code == zypperLocked {
		for _, path := range []string{zyppLock, "/var/run/zypp.pid"} {
			if b, err := z.c.Host.ReadFile(path); err == nil {
				if pid := strings.TrimSpace(string(b)); pid != "" {
					return processName(z.c, pid) + " (process " + pid + ")"
				}
			}
		}
		return "another process"
	}
	if slices.Contains(zypperFine, out.code) {
		return ""
	}
	f, err := os.OpenFile(z.c.Host.Path(rpmLockFile), os.O_RDWR, 0)
	if err != nil {
		return ""
	}
	defer f.Close()
	lock := syscall.Flock_t{Type: syscall.F_WRLCK}
	if syscall.FcntlFlock(f.Fd(), syscall.F_GETLK, &lock) != nil || lock.Type == syscall.F_UNLCK {
		return ""
	}
	pid := fmt.Sprint(lock.Pid)
	return processName(z.c, pid) + " (process " + pid + ")"
}

// problem is the error of a call that failed, in zypper's words.
func (z *zypper) problem(o zypperCall, out *programExit) error {
	if slices.Contains(zypperFine, out.code) {
		return nil
	}
	if slices.Contains(zypperWarning, out.code) {
		z.c.Log.Warn("zypper ended with a warning", "retcode", out.code, "stderr", out.err)
		return nil
	}
	var words []string
	if o.xml {
		if doc, err := parseXML(out.out); err == nil {
			for _, m := range doc.all("message") {
				if m.attr("type") == "error" {
					words = append(words, m.Text)
				}
			}
		} else if s := strings.TrimSpace(out.err); s != "" {
			words = append(words, s)
		}
	} else if s := strings.TrimSpace(out.err) + strings.TrimSpace(out.out); s != "" {
		words = append(words, s)
	}
	text := "Check Zypper's logs."
	if len(words) > 0 {
		text = strings.Join(words, "\n")
	}
	z.c.Log.Error("zypper failed", "retcode", out.code, "message", text)
	if o.quiet {
		return nil
	}
	return module.Failf("Zypper command failure: %s", text)
}

// xmlNode is an element of zypper's answers.
type xmlNode struct {
	XMLName xml.Name
	Attrs   []xml.Attr `xml:",any,attr"`
	Text    string     `xml:",chardata"`
	Nodes   []*xmlNode `xml:",any"`
}

func parseXML(s string) (*xmlNode, error) {
	doc := &xmlNode{}
	if err := xml.Unmarshal([]byte(s), doc); err != nil {
		return nil, module.Failf("zypper's answer is no XML: %w", err)
	}
	return doc, nil
}

func (n *xmlNode) attr(name string) string {
	for _, a := range n.Attrs {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// all are the elements of a name below.
func (n *xmlNode) all(name string) []*xmlNode {
	var out []*xmlNode
	for _, c := range n.Nodes {
		if c.XMLName.Local == name {
			out = append(out, c)
		}
		out = append(out, c.all(name)...)
	}
	return out
}

// ask runs zypper for an answer in XML.
func (z *zypper) ask(ctx context.Context, o zypperCall, args ...string) (*xmlNode, error) {
	o.xml = true
	out, err := z.run(ctx, o, args...)
	if err != nil {
		return nil, err
	}
	return parseXML(out.out)
}

// installed are the packages, without the keys of repositories.
func (z *zypper) installed(ctx context.Context, root string) (map[string][]*rpmInstalled, error) {
	all, err := rpmPackages(ctx, z.c, root)
	for name := range all {
		if strings.HasPrefix(name, "gpg-pubkey") {
			delete(all, name)
		}
	}
	return all, err
}

func (z *zypper) list(ctx context.Context, o pkgListOptions) (packages, error) {
	if o.removed || o.purgeDesired {
		return packages{}, nil
	}
	all, err := z.installed(ctx, "")
	return rpmVersions(all), err
}

// available is what the repositories have of packages, by name.
func (z *zypper) available(ctx context.Context, names []string, refresh bool, root string) (*wire.Map, error) {
	ret := wire.NewMap()
	if len(names) == 0 {
		return ret, nil
	}
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	if refresh {
		if _, err := z.refresh(ctx, pkgRefreshOptions{kwargs: wire.NewMap("root", root)}); err != nil {
			return nil, err
		}
	}
	out, err := z.run(ctx, zypperCall{readonly: true, root: root}, append([]string{"info", "-t", "package"}, names...)...)
	if err != nil {
		return nil, err
	}
	for _, part := range strings.Split(out.out, "Information for package") {
		info := wire.NewMap()
		for _, line := range strings.Split(part, "\n") {
			key, value, ok := strings.Cut(line, ":")
			if key, value = strings.TrimSpace(key), strings.TrimSpace(value); ok && value != "" && !strings.HasPrefix(line, "-----") {
				info.Set(strings.ToLower(key), value)
			}
		}
		name := info.Text("name")
		info.Delete("name")
		if v := info.Text("installed"); v != "" {
			info.Set("installed", strings.HasPrefix(strings.ToLower(v), "yes"))
		}
		if name != "" {
			ret.Set(name, info)
		}
	}
	return ret, nil
}

func (z *zypper) latest(ctx context.Context, names []string, o pkgLatestOptions) (map[string]string, error) {
	info, err := z.available(ctx, names, o.refresh, o.kwargs.Text("root"))
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for _, n := range names {
		status := strings.ToLower(info.Map(n).Text("status"))
		if strings.Contains(status, "not installed") || strings.Contains(status, "out-of-date") {
			found[n] = info.Map(n).Text("version")
		}
	}
	return found, nil
}

func (z *zypper) refresh(ctx context.Context, o pkgRefreshOptions) (any, error) {
	clearRefreshTag(z.c)
	args := []string{"refresh"}
	force, given := o.kwargs.Get("force")
	if !given || force == nil {
		force = true
		if m := z.c.Pillar().Map("zypper"); m.Has("refreshdb_force") {
			force = mapValue(m, "refreshdb_force")
		}
	}
	if module.Truth(force) {
		args = append(args, "--force")
	}
	out, err := z.run(ctx, zypperCall{refresh: true, root: o.kwargs.Text("root")}, args...)
	if err != nil {
		return nil, err
	}
	ret := wire.NewMap()
	for _, line := range strings.Split(out.out, "\n") {
		f := strings.Split(line, "'")
		if len(f) < 2 {
			continue
		}
		switch s := strings.TrimSpace(line); {
		case strings.HasPrefix(s, "Repository") && strings.Contains(s, "is up to date"):
			ret.Set(strings.TrimSpace(f[1]), false)
		case strings.HasPrefix(s, "Building") && strings.Contains(s, "done"):
			ret.Set(strings.TrimSpace(f[1]), true)
		}
	}
	return ret, nil
}

func (z *zypper) upgrades(ctx context.Context, q *pkgListUpgradesArgs) (*wire.Map, error) {
	root := q.Kwargs.Text("root")
	if truthy(q.Refresh) {
		if _, err := z.refresh(ctx, pkgRefreshOptions{kwargs: wire.NewMap("root", root)}); err != nil {
			return nil, err
		}
	}
	args := []string{"list-updates"}
	if q.Fromrepo != "" {
		args = append(args, "--repo", q.Fromrepo)
	}
	doc, err := z.ask(ctx, zypperCall{readonly: true, root: root}, args...)
	if err != nil {
		return nil, err
	}
	ret := wire.NewMap()
	for _, u := range doc.all("update") {
		if u.attr("kind") == "package" {
			ret.Set(u.attr("name"), u.attr("edition"))
		}
	}
	return ret, nil
}

func (z *zypper) compare(a, b string, ignoreEpoch bool) int { return rpmCompare(a, b, ignoreEpoch) }

func (z *zypper) normalize(name string) string { return rpm.Normalize(name, osArch(z.c)) }

func (z *zypper) splitArch(name string) (string, string) {
	base, arch, _ := rpm.SplitArch(name)
	return base, arch
}

func (z *zypper) owner(ctx context.Context, path string) (string, error) {
	return rpmOwner(ctx, z.c, nil, path)
}

func (z *zypper) files(context.Context, []string) (*wire.Map, error) { return nil, notHere(z.c) }

func (z *zypper) downloaded(ctx context.Context, root string) (*wire.Map, error) {
	return rpmDownloaded(ctx, z.c, strings.TrimSuffix(root, "/")+"/var/cache/zypp/packages")
}

// zypperInstall are the arguments of pkg.install that zypper has beside the common ones.
type zypperInstall struct {
	q              *pkgInstallArgs
	root           string
	ignore, naked  bool // ignore_repo_failure, no_recommends
	targets        []string
	attr, includes []string
}

var lowerVersion = lazyre.New(`(?m)^The selected package '([^']+)'.+has lower version`)

func (z *zypper) install(ctx context.Context, q *pkgInstallArgs) (*wire.Map, error) {
	kw := q.Kwargs
	in := &zypperInstall{q: q, root: kw.Text("root"), ignore: module.Truth(mapValue(kw, "ignore_repo_failure")), naked: module.Truth(mapValue(kw, "no_recommends"))}
	if truthy(q.Refresh) {
		if _, err := z.refresh(ctx, pkgRefreshOptions{kwargs: wire.NewMap("root", in.root)}); err != nil {
			return nil, err
		}
	}
	if any, err := z.sort(ctx, in); !any || err != nil {
		return wire.NewMap(), err
	}
	in.attr, in.includes = attributesOf(mapValue(kw, "diff_attr")), solvableKinds(in.targets)
	old, err := z.listing(ctx, in)
	if err != nil {
		return nil, err
	}
	var args []string
	if q.SkipVerify {
		args = append(args, "--no-gpg-checks")
	}
	if !truthy(q.Refresh) {
		args = append(args, "--no-refresh")
	}
	args = append(args, "install", "--auto-agree-with-licenses")
	if module.Truth(mapValue(kw, "resolve_capabilities")) {
		args = append(args, "--capability")
	} else {
		args = append(args, "--name")
	}
	if q.Downloadonly {
		args = append(args, "--download-only")
	}
	if q.Fromrepo != "" {
		args = append(args, "--force", "--force-resolution", "--from", q.Fromrepo)
	}
	if in.naked {
		args = append(args, "--no-recommends")
	}
	out, err := z.run(ctx, zypperCall{quiet: in.ignore, scoped: true, root: in.root}, append(slices.Clone(args), in.targets...)...)
	if err != nil {
		return nil, err
	}
	var older []string
	for _, m := range lowerVersion.FindAllStringSubmatch(out.out, -1) {
		older = append(older, m[1])
	}
	if len(older) > 0 {
		if _, err := z.run(ctx, zypperCall{quiet: in.ignore, scoped: true, root: in.root}, append(append(args, "--force"), older...)...); err != nil {
			return nil, err
		}
	}
	now, err := z.listing(ctx, in)
	if err != nil {
		return nil, err
	}
	return compareMaps(old, now), nil
}

// solvableKinds are what stands before a colon in names: pattern, patch, product.
func solvableKinds(names []string) []string {
	kinds := map[string]bool{}
	for _, n := range names {
		if kind, _, ok := strings.Cut(n, ":"); ok {
			kinds[kind] = true
		}
	}
	return sortedNames(kinds)
}

// listing is what is compared before and after.
func (z *zypper) listing(ctx context.Context, in *zypperInstall) (*wire.Map, error) {
	if in.q.Downloadonly {
		return z.downloaded(ctx, in.root)
	}
	return z.listed(ctx, in.root, in.includes, false, in.attr)
}

// sort decides what zypper is given. any is false where that is nothing.
func (z *zypper) sort(ctx context.Context, in *zypperInstall) (any bool, err error) {
	q := in.q
	ids, advised := q.Kwargs.Get("advisory_ids")
	switch {
	case module.Truth(q.Pkgs) && module.Truth(q.Sources):
		z.c.Log.Error("only one of pkgs and sources can be used")
		return false, nil
	case advised && !module.Truth(q.Pkgs):
		list := []string{pytext.Str(q.Name)}
		if module.Truth(ids) {
			list = pyTexts(ids)
		}
		known, err := z.patches(ctx, false, in.root)
		if err != nil {
			return false, err
		}
		for _, id := range list {
			if !known.Has(id) {
				return false, module.Failf("Advisory id %q not found", id)
			}
			in.targets = append(in.targets, "patch:"+id)
		}
		return true, nil
	case module.Truth(q.Sources) && !module.Truth(q.Pkgs):
		sources, err := packageSources(ctx, z.c, q.Sources, q.Saltenv, z.normalize)
		for _, s := range sources {
			in.targets = append(in.targets, s.path)
		}
		return len(sources) > 0, err
	}
	names, versions, err := wantedOf(z.c, q, z.normalize)
	if err != nil || len(names) == 0 {
		return false, err
	}
	if !module.Truth(q.Pkgs) && module.Truth(q.Version) && len(names) == 1 {
		found, err := z.wildcard(ctx, names[0], pytext.Str(q.Version), in.root)
		if err != nil {
			return false, err
		}
		if found != "" {
			versions[names[0]] = &found
		}
	}
	for _, n := range names {
		if versions[n] == nil {
			in.targets = append(in.targets, n)
			continue
		}
		oper, version := splitComparison(*versions[n])
		if oper == "" {
			oper = "="
		}
		in.targets = append(in.targets, n+oper+version)
	}
	return true, nil
}

var versionOperators = lazyre.New(`[<>=+]*`)

// wildcard finds the newest of the versions that fit a pattern; the operator stays.
func (z *zypper) wildcard(ctx context.Context, name, version, root string) (string, error) {
	exact := versionOperators.ReplaceAllString(version, "")
	oper := strings.Replace(version, exact, "", 1)
	if oper != "" && !slices.Contains([]string{"<", "<=", "=", ">=", ">"}, oper) {
		return "", module.Failf("Zypper do not supports operator \"%s\".", oper)
	}
	doc, err := z.ask(ctx, zypperCall{readonly: true, root: root}, "se", "-xv", name)
	if err != nil {
		return "", err
	}
	solvables := doc.all("solvable")
	if len(solvables) == 0 {
		return "", module.Failf("No packages found matching '%s'", name)
	}
	var fit []string
	for _, s := range solvables {
		if v := s.attr("edition"); v != "" && globMatch(exact, v) {
			fit = append(fit, v)
		}
	}
	if len(fit) == 0 {
		return "", nil
	}
	newestFirst(fit)
	return oper + fit[0], nil
}

func (z *zypper) remove(ctx context.Context, _ string, q *pkgRemoveArgs) (*wire.Map, error) {
	names, versions, err := (&pkgRemoveArgs{Name: q.Name, Pkgs: q.Pkgs}).targets(z.c, z.normalize)
	if err != nil {
		return nil, err
	}
	root, includes := q.Kwargs.Text("root"), solvableKinds(names)
	old, err := z.listed(ctx, root, includes, false, nil)
	if err != nil {
		return nil, err
	}
	var targets []string
	for _, n := range names {
		v := versions[n]
		switch {
		case !old.Has(n):
		case v == nil || *v == "":
			targets = append(targets, n)
		case slices.Contains(strings.Split(old.Text(n), ","), *v):
			targets = append(targets, n+"-"+*v)
		}
	}
	if len(targets) == 0 {
		return wire.NewMap(), nil
	}
	if _, err := z.run(ctx, zypperCall{scoped: true, root: root}, append([]string{"remove"}, targets...)...); err != nil {
		return nil, err
	}
	now, err := z.listed(ctx, root, includes, false, nil)
	if err != nil {
		return nil, err
	}
	return compareMaps(old, now), nil
}

func (z *zypper) upgrade(ctx context.Context, q *pkgUpgradeArgs) (*wire.Map, error) {
	v, err := zypperUpgrade(ctx, z.c, zypperUpgradeArgs{Name: q.Name, Pkgs: q.Pkgs, Refresh: q.Refresh, DistUpgrade: q.DistUpgrade, Fromrepo: q.Fromrepo, SkipVerify: q.SkipVerify})
	m, _ := v.(*wire.Map)
	return m, err
}
