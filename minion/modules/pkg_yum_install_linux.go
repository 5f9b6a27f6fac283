package modules

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/rpm"
	"github.com/gosalt/gosalt/protocol/wire"
)

// yumTarget is a package by its name and what dnf is given for it.
type yumTarget struct{ name, what string }

// yumInstall is one call of pkg.install.
type yumInstall struct {
	y         *yum
	q         *pkgInstallArgs
	kwargs    *wire.Map // with the repository
	have      packages
	held      []string
	advisory  bool
	normalize func(string) string

	install, downgrade, reinstall []yumTarget
	prevented                     []string
	errors                        []any
}

func (y *yum) install(ctx context.Context, q *pkgInstallArgs) (*wire.Map, error) {
	in := &yumInstall{y: y, q: q, kwargs: withRepo(q.Kwargs, q.Fromrepo, q.Repo), normalize: y.normalize}
	if split := mapValue(q.Kwargs, "split_arch"); !q.Normalize || q.Kwargs.Has("split_arch") && !module.Truth(split) {
		in.normalize = func(s string) string { return s }
	}
	if truthy(q.Refresh) {
		if _, err := y.check(ctx, in.kwargs); err != nil {
			return nil, err
		}
	}
	attr := attributesOf(mapValue(q.Kwargs, "diff_attr"))
	old, err := in.listing(ctx, attr)
	if err != nil {
		return nil, err
	}
	if in.have, err = y.list(ctx, pkgListOptions{}); err != nil {
		return nil, err
	}
	if q.Downloadonly {
		in.have = packages{}
		for name, v := range old.Strings() {
			for version := range v.(*wire.Map).Strings() {
				in.have.add(name, version)
			}
		}
	}
	if any, err := in.sort(ctx); !any || err != nil {
		return wire.NewMap(), err
	}
	if in.held, err = y.holds(ctx, "", false); err != nil {
		in.held = nil // there is no plugin that would hold anything
	}
	if err := in.carryOut(ctx); err != nil {
		return nil, err
	}
	now, err := in.listing(ctx, attr)
	if err != nil {
		return nil, err
	}
	ret := compareMaps(old, now)
	for _, t := range in.reinstall {
		if !ret.Has(t.name) || old.Has(t.name) {
			one := wire.NewMap("old", "", "new", "")
			if v, ok := old.Get(t.name); ok {
				one.Set("old", v)
			}
			if v, ok := now.Get(t.name); ok {
				one.Set("new", v)
			}
			ret.Set(t.name, one)
		}
	}
	if len(in.prevented) > 0 {
		in.errors = append(in.errors, "The following package(s) could not be updated because they are being held: "+strings.Join(in.prevented, ", ")+
			". Set 'update_holds' to True to temporarily unhold these packages so that they can be updated.")
	}
	if len(in.errors) > 0 {
		doing := "installing"
		if len(in.reinstall) > 0 {
			doing += "/reinstalling"
		}
		return nil, module.FailInfo("Error occurred "+doing+" package(s)", wire.NewMap("errors", in.errors, "changes", ret))
	}
	return ret, nil
}

// listing is what is compared before and after: what is installed, or what is downloaded.
func (in *yumInstall) listing(ctx context.Context, attr []string) (*wire.Map, error) {
	if in.q.Downloadonly {
		return in.y.downloaded(ctx)
	}
	all, err := rpmPackages(ctx, in.y.c, "")
	return rpmListed(all, false, attr), err
}

// sort decides for each package what is to be done. any is false where there is none.
func (in *yumInstall) sort(ctx context.Context) (any bool, err error) {
	q, c := in.q, in.y.c
	ids, advised := q.Kwargs.Get("advisory_ids")
	switch {
	case module.Truth(q.Pkgs) && module.Truth(q.Sources):
		c.Log.Error("only one of pkgs and sources can be used")
		return false, nil
	case advised && module.Truth(q.Pkgs):
		c.Log.Error("only one of pkgs and advisory_ids can be used")
		return false, nil
	case advised:
		return true, in.advisories(ctx, ids)
	case module.Truth(q.Sources) && !module.Truth(q.Pkgs):
		sources, err := packageSources(ctx, c, q.Sources, q.Saltenv, in.normalize)
		if err != nil || len(sources) == 0 {
			return false, err
		}
		return true, in.files(ctx, sources)
	}
	names, versions, err := wantedOf(c, q, in.normalize)
	if err != nil || len(names) == 0 {
		return false, err
	}
	return true, in.repository(ctx, names, versions)
}

func (in *yumInstall) advisories(ctx context.Context, ids any) error {
	in.advisory = true
	list := []string{pytext.Str(in.q.Name)}
	if module.Truth(ids) {
		list = pyTexts(ids)
	}
	known, err := in.y.patches(ctx)
	if err != nil {
		return err
	}
	for _, id := range list {
		if !known.Has(id) {
			return module.Failf("Advisory id %q not found", id)
		}
		in.install = append(in.install, yumTarget{id, id})
	}
	return nil
}

func (in *yumInstall) files(ctx context.Context, sources []packageSource) error {
	for _, s := range sources {
		info, err := rpmFileInfo(ctx, in.y.c, s.path)
		if err != nil {
			return err
		}
		if info == nil {
			in.y.c.Log.Error("package file not read: its version is not compared", "file", s.path)
			in.install = append(in.install, yumTarget{"", s.path})
			continue
		}
		in.place(info.Text("name"), s.path, info.Text("version"))
	}
	return nil
}

// repository sorts packages of the repositories.
func (in *yumInstall) repository(ctx context.Context, names []string, versions map[string]*string) error {
	q := in.q
	var open []string
	compared := map[string]bool{}
	for _, n := range names {
		v := versions[n]
		switch {
		case v == nil:
		case strings.Contains(*v, "*"):
			open = append(open, n)
		case strings.HasPrefix(*v, "<") || strings.HasPrefix(*v, ">"):
			open, compared[n] = append(open, n), true
		}
	}
	available := map[string][]string{}
	if len(open) > 0 {
		byRepo, err := in.y.repoPackages(ctx, open, in.kwargs)
		if err != nil {
			return err
		}
		available = byRepo.merged()
	}
	for _, name := range names {
		if versions[name] == nil {
			if q.Reinstall && in.have[name] != nil {
				in.reinstall = append(in.reinstall, yumTarget{name, name})
			} else {
				in.install = append(in.install, yumTarget{name, name})
			}
			continue
		}
		version := strings.TrimLeft(*versions[name], "=")
		if compared[name] {
			found, ok := in.match(version, available[name])
			if !ok {
				in.errors = append(in.errors, fmt.Sprintf("No version matching '%s%s' could be found (available: %s)", name, version, joinedOr(available[name], "None")))
				continue
			}
			version = found
		}
		if in.y.prog == "yum" && q.IgnoreEpoch {
			version = withoutEpoch(version)
		}
		base, arch := yumArch(in.y.c, name, q.Kwargs)
		if strings.Contains(version, "*") {
			i := slices.IndexFunc(available[base], func(v string) bool { return globMatch(version, v) })
			if i < 0 {
				in.errors = append(in.errors, fmt.Sprintf("No version matching '%s' found for package '%s' (available: %s)", version, base, joinedOr(available[base], "none")))
				continue
			}
			version = available[base][i]
		}
		what := base + "-" + withoutEpoch(version) + arch
		if q.IgnoreEpoch {
			what = base + "-" + version + arch
		}
		in.place(base, what, version)
	}
	return nil
}

func joinedOr(l []string, otherwise string) string {
	if len(l) == 0 {
		return otherwise
	}
	return strings.Join(l, ", ")
}

// match finds the first of the versions that fits a comparison.
func (in *yumInstall) match(want string, available []string) (string, bool) {
	oper, version := splitComparison(want)
	if oper == "" {
		oper = "=="
	}
	for _, v := range available {
		if compares(rpmCompare(v, version, in.q.IgnoreEpoch), oper) {
			return v, true
		}
	}
	return "", false
}

// place puts a package of a version where it belongs.
func (in *yumInstall) place(name, what, version string) {
	t := yumTarget{name, what}
	have := in.have[name]
	fits := func(oper string) bool {
		return slices.ContainsFunc(have, func(v string) bool { return compares(rpmCompare(version, v, in.q.IgnoreEpoch), oper) })
	}
	switch {
	case in.q.Reinstall && len(have) > 0:
		if fits("==") {
			in.reinstall = append(in.reinstall, t)
			return
		}
	case len(have) == 0:
		in.install = append(in.install, t)
		return
	}
	switch {
	case in.q.Reinstall: // Salt leaves other versions than the installed one alone
	case fits(">="), name == "kernel", name == "kernel-devel": // of those several can be installed
		in.install = append(in.install, t)
	default:
		in.downgrade = append(in.downgrade, t)
	}
}

// carryOut has dnf do it.
func (in *yumInstall) carryOut(ctx context.Context) error {
	verb, before, after := "install", []string{"-y"}, []string(nil)
	if in.advisory {
		verb = "update"
	}
	best := []string{"--best", "--allowerasing"}
	switch in.y.prog {
	case "dnf":
		before = append(before, best...)
	case "dnf5":
		after = best
	}
	if err := in.do(ctx, in.install, verb, before, after); err != nil {
		return err
	}
	if err := in.do(ctx, in.downgrade, "downgrade", []string{"-y"}, nil); err != nil {
		return err
	}
	return in.do(ctx, in.reinstall, "reinstall", []string{"-y"}, nil)
}

func (in *yumInstall) do(ctx context.Context, all []yumTarget, verb string, before, after []string) (err error) {
	var targets []string
	var held []any
	byName := map[string]string{}
	for _, t := range all {
		switch {
		case !slices.Contains(in.held, t.name):
			targets = append(targets, t.what)
		case in.q.UpdateHolds:
			held, byName[t.name] = append(held, t.name), t.what
		default:
			in.prevented = append(in.prevented, t.name)
		}
	}
	if len(held) > 0 {
		ret, err := in.y.hold(ctx, held, false)
		if err != nil {
			in.errors = append(in.errors, fmt.Sprintf("Error encountered unholding packages %s: %s", strings.Join(pyTexts(held), ", "), err))
			return nil
		}
		defer func() {
			if _, again := in.y.hold(context.WithoutCancel(ctx), held, true); again != nil && err == nil {
				err = again
			}
		}()
		for name, r := range ret.Strings() {
			if module.Truth(mapValue(r.(*wire.Map), "result")) {
				targets = append(targets, byName[name])
			} else {
				in.errors = append(in.errors, name)
			}
		}
	}
	if len(targets) == 0 {
		return nil
	}
	args := append(slices.Clone(before), yumOptions(in.kwargs)...)
	if in.q.SkipVerify {
		args = append(args, "--nogpgcheck")
	}
	if in.q.Downloadonly {
		args = append(args, "--downloadonly")
	}
	args = append(append(args, verb), after...)
	for _, t := range targets {
		if in.advisory {
			t = "--advisory=" + t
		}
		args = append(args, t)
	}
	out, err := in.y.run(ctx, program{args: args, merge: true, env: envArg(in.q.Env)})
	if err == nil && !out.ok() {
		in.errors = append(in.errors, out.out)
	}
	return err
}

// repoVersions are versions by repository and package.
type repoVersions map[string]map[string][]string

// merged are the versions of each package, the newest first, as Salt sorts them.
func (r repoVersions) merged() map[string][]string {
	out := map[string][]string{}
	for _, pkgs := range r {
		for name, versions := range pkgs {
			out[name] = append(out[name], versions...)
		}
	}
	for _, l := range out {
		newestFirst(l)
	}
	return out
}

func newestFirst(l []string) {
	slices.Sort(l)
	slices.SortStableFunc(l, func(a, b string) int { return rpm.CompareLoose(b, a) })
}

// repoPackages asks the repositories that are switched on what they have.
func (y *yum) repoPackages(ctx context.Context, names []string, kwargs *wire.Map) (repoVersions, error) {
	var repos []string
	if from := mapValue(kwargs, "fromrepo"); module.Truth(from) {
		repos = commaList(from)
	} else {
		all, err := yumRepos(y.c, nil, kwargs)
		if err != nil {
			return nil, err
		}
		on, off := commaList(mapValue(kwargs, "enablerepo")), commaList(mapValue(kwargs, "disablerepo"))
		for name, r := range all.Strings() {
			enabled := "1"
			if r := r.(*wire.Map); r.Has("enabled") {
				enabled = r.Text("enabled")
			}
			if slices.Contains(on, name) || !slices.Contains(off, name) && enabled == "1" {
				repos = append(repos, name)
			}
		}
	}
	found := repoVersions{}
	for _, repo := range repos {
		args := []string{"--quiet", "--showduplicates", "repository-packages", repo, "list"}
		if y.prog == "tdnf" {
			args = []string{"--quiet", "--enablerepo=" + repo, "list"}
		}
		if module.Truth(mapValue(kwargs, "cacheonly")) {
			args = append(args, "-C")
		}
		out, err := y.run(ctx, program{args: append(args, names...), fails: true})
		if err != nil {
			return nil, err
		}
		if !out.ok() && strings.Contains(out.out, "Error:") {
			continue
		}
		for _, r := range yumRows(out.out, osArch(y.c)) {
			if found[r.repo] == nil {
				found[r.repo] = map[string][]string{}
			}
			if !slices.Contains(found[r.repo][r.name], r.version) {
				found[r.repo][r.name] = append(found[r.repo][r.name], r.version)
			}
		}
	}
	return found, nil
}
