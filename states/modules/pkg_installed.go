package modules

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

func init() {
	register("pkg.installed", pkgInstalled)
	register("pkg.mod_watch", pkgModWatch)
}

type pkgInstalledArgs struct {
	Name            string    // Name of the package; without pkgs and sources.
	Version         any       `default:"None"`  // Version: 1.2-3, latest, a pattern as 1.2*, or comparisons as '>=1.2, <2'.
	Refresh         any       `default:"None"`  // True: read the lists of the repositories anew first; False: do not; by default once in a run.
	Fromrepo        any       `default:"None"`  // Repository or release to install from.
	SkipVerify      bool      `default:"False"` // Take packages without a valid signature.
	SkipSuggestions bool      `default:"False"` // Without effect where no package manager suggests names.
	Pkgs            any       `default:"None"`  // Several packages: a list of names, and of maps with a name and its version.
	Sources         any       `default:"None"`  // Package files: a list of maps with a name and a path or address.
	AllowUpdates    bool      `default:"False"` // A newer version than the one asked for is right, too.
	PkgVerify       any       `default:"False"` // Install packages anew whose files have changed: True, or a list with ignore_types and verify_options (RPM).
	Normalize       bool      `default:"True"`  // Drop the machine's own architecture from names.
	IgnoreEpoch     any       `default:"None"`  // Compare versions without their epochs; by default where the version asked for has none.
	Reinstall       bool      `default:"False"` // Install the packages anew, though they are installed.
	UpdateHolds     bool      `default:"False"` // Update packages that are held, too.
	Kwargs          *wire.Map `arg:"**"`        // hold, install_recommends, only_upgrade, cache_valid_time, debconf and what else the package manager takes.
}

// installing is one call of pkg.installed.
type installing struct {
	pkgCall
	a           *pkgInstalledArgs
	desired     *wanted
	targets     *wanted
	reinstall   *wanted
	unpurge     []string
	altered     map[string]any // what pkg.verify found, by package
	warnings    []string
	refresh     bool
	fromSources bool
	hold        any // nil, true or false
	holding     bool
}

// pkgInstalled makes sure that packages are installed, in the version asked for.
func pkgInstalled(ctx context.Context, c *states.Call, a pkgInstalledArgs) (*states.Plan, error) {
	if l, ok := a.Pkgs.([]any); ok && len(l) == 0 {
		return decided(true, "No packages to install provided"), nil
	}
	in := &installing{pkgCall: pkgCall{c: c, name: a.Name, kwargs: a.Kwargs}, a: &a, targets: &wanted{}, reinstall: &wanted{}, altered: map[string]any{}}
	if a.Name != "" && !module.Truth(a.Pkgs) && !module.Truth(a.Sources) {
		a.Pkgs = []any{a.Name}
		if module.Truth(a.Version) {
			a.Pkgs = []any{wire.NewMap(a.Name, a.Version)}
			a.Version = nil
		}
	}
	in.hold, in.holding = get(a.Kwargs, "hold"), a.Kwargs.Has("hold") && in.has("pkg.hold")
	in.refresh = wantsRefresh(c, a.Refresh)
	if (a.PkgVerify == true || isList(a.PkgVerify)) && !in.has("pkg.verify") {
		return decided(false, "pkg.verify not implemented"), nil
	}
	o, err := in.find(ctx)
	if err != nil {
		return nil, err
	}
	if o != nil {
		return in.onlyHold(ctx, o)
	}
	if c.Test {
		if p := in.lacks(ctx); p != nil {
			return p, nil
		}
		in.promise(ctx)
		p := in.would()
		p.Warnings = in.warnings
		return p, nil
	}
	p := &states.Plan{Warnings: in.warnings}
	p.Do(in.foreseen(), func(ctx context.Context, r *states.Result) error {
		o, err := in.install(ctx)
		if err != nil {
			return err
		}
		o.into(r)
		return nil
	})
	return p, nil
}

func isList(v any) bool { _, ok := v.([]any); return ok }

// find looks at the packages and decides what is to be done. o is set where nothing is, or
// nothing can be.
func (in *installing) find(ctx context.Context) (o *outcome, err error) {
	a := in.a
	if module.Truth(a.Pkgs) && module.Truth(a.Sources) {
		return &outcome{result: false, comment: `Only one of "pkgs" and "sources" is permitted.`}, nil
	}
	have, err := in.installed(ctx)
	if err != nil {
		return &outcome{result: false, comment: message(err)}, nil
	}
	what := "pkgs"
	if module.Truth(a.Sources) {
		what, in.fromSources = "sources", true
		in.desired = in.sources(ctx, a.Sources, a.Normalize)
	} else if in.desired, err = in.pkgCall.desired(ctx, a.Pkgs, a.Normalize); err != nil {
		return nil, err
	}
	if len(in.desired.names) == 0 {
		return &outcome{result: false, comment: fmt.Sprintf("Invalidly formatted '%s' parameter. See minion log.", what)}, nil
	}
	in.foresee(ctx, have, in.desired.names)
	if in.has("lowpkg.unpurge") {
		doomed, err := in.pkgCall.installed(ctx, "purge_desired", true)
		if err != nil {
			return nil, err
		}
		for _, n := range in.desired.names {
			if doomed[n] != nil {
				in.unpurge = append(in.unpurge, n)
			}
		}
	}
	if err := in.resolveLatest(ctx, have); err != nil {
		return nil, err
	}
	var problems []string
	versioned := false
	for _, name := range in.desired.names {
		spec, problem, err := in.look(ctx, name, have[name])
		if err != nil {
			return nil, err
		}
		versioned = versioned || spec
		if problem != "" {
			problems = append(problems, problem)
		}
	}
	switch {
	case len(problems) > 0:
		return &outcome{result: false, comment: strings.Join(problems, " ")}, nil
	case len(in.targets.names)+len(in.unpurge)+len(in.reinstall.names) == 0:
		comment := "All specified packages are already installed"
		if versioned && !in.fromSources {
			comment += " and are at the desired version"
		}
		return &outcome{result: true, comment: comment, changes: wire.NewMap()}, nil
	}
	return nil, nil
}

// resolveLatest puts the newest versions in place of the word latest.
func (in *installing) resolveLatest(ctx context.Context, have map[string][]string) error {
	if in.fromSources {
		return nil
	}
	var latest []any
	for _, n := range in.desired.names {
		if in.desired.versions[n] == "latest" {
			latest = append(latest, n)
		}
	}
	if len(latest) == 0 {
		return nil
	}
	v, err := in.call(ctx, "pkg.latest_version", in.with("refresh", in.refresh), latest...)
	if err != nil {
		return err
	}
	in.refresh = false
	for _, n := range latest {
		name := n.(string)
		newest := v
		if m, ok := v.(*wire.Map); ok {
			newest = get(m, name)
		}
		if !module.Truth(newest) {
			newest = nil
			if l := have[name]; len(l) > 0 {
				newest = l[len(l)-1]
			}
		}
		in.desired.set(name, newest)
	}
	return nil
}

// look decides about one package. spec tells whether a version counted.
func (in *installing) look(ctx context.Context, name string, have []string) (spec bool, problem string, err error) {
	a, version := in.a, in.desired.versions[name]
	if len(have) == 0 {
		in.targets.set(name, version)
		return false, "", nil
	}
	if a.Reinstall {
		in.reinstall.set(name, version)
		return false, "", nil
	}
	want := in.desired.version(name)
	if in.fromSources {
		if !in.has("lowpkg.bin_pkg_info") {
			return false, "", nil
		}
		info, problem := in.sourceInfo(ctx, want)
		if problem != "" {
			return false, problem, nil
		}
		if info == nil {
			in.warnings = append(in.warnings, "Failed to parse metadata for "+want)
			return false, "", nil
		}
		want = info.Text("version")
	} else if want == "" {
		if module.Truth(a.PkgVerify) {
			return false, in.verify(ctx, name, version), nil
		}
		return false, "", nil
	}
	if have[0] == someVersion {
		in.targets.set(name, version)
		return true, "", nil
	}
	fits, err := in.fits(ctx, have, want, a.IgnoreEpoch, !in.fromSources && a.AllowUpdates)
	if err != nil {
		var e *module.Error
		if errors.As(err, &e) && e.Kind == module.Failed {
			return false, e.Msg, nil
		}
		return false, "", err
	}
	if fits {
		return true, "", nil
	}
	exact := slices.ContainsFunc(conditions(in.desired.version(name)), func(c condition) bool { return c.oper == "==" })
	if module.Truth(a.PkgVerify) && exact {
		return true, in.verify(ctx, name, version), nil
	}
	in.targets.set(name, version)
	return true, "", nil
}

// sourceInfo reads what a package file holds.
func (in *installing) sourceInfo(ctx context.Context, url string) (*wire.Map, string) {
	path, err := in.call(ctx, "cp.cache_file", wire.NewMap("saltenv", in.c.Env), url)
	if err != nil {
		return nil, fmt.Sprintf("Unable to cache %s: %s", url, message(err))
	}
	if !module.Truth(path) {
		return nil, fmt.Sprintf("Unable to cache %s: file not found", url)
	}
	v, err := in.call(ctx, "lowpkg.bin_pkg_info", nil, path)
	if err != nil {
		return nil, message(err)
	}
	m, _ := v.(*wire.Map)
	return m, ""
}

// verifyArgs reads ignore_types and verify_options of pkg_verify.
func (in *installing) verifyArgs() *wire.Map {
	kw := in.with()
	l, _ := in.a.PkgVerify.([]any)
	for _, e := range l {
		if m, ok := e.(*wire.Map); ok {
			for _, k := range []string{"ignore_types", "verify_options"} {
				if m.Has(k) && !kw.Has(k) {
					kw.Set(k, get(m, k))
				}
			}
		}
	}
	return kw
}

// verify has the files of a package looked at.
func (in *installing) verify(ctx context.Context, name string, version any) (problem string) {
	v, err := in.call(ctx, "pkg.verify", in.verifyArgs(), name)
	if err != nil {
		return message(err)
	}
	if module.Truth(v) {
		in.reinstall.set(name, version)
		in.altered[name] = v
	}
	return ""
}

// foreseen are the changes as far as they are known.
func (in *installing) foreseen() *wire.Map {
	m := wire.NewMap()
	for _, n := range append(slices.Clone(in.targets.names), in.unpurge...) {
		m.Set(n, wire.NewMap("new", "installed", "old", ""))
	}
	for _, n := range in.reinstall.names {
		if !in.a.Reinstall {
			m.Set(n, wire.NewMap())
			continue
		}
		if !in.fromSources {
			n = in.reinstall.described(n)
		}
		m.Set(n, wire.NewMap("new", "installed", "old", ""))
	}
	return m
}

// would is the plan under test=True.
func (in *installing) would() *states.Plan {
	var lines []string
	if len(in.targets.names) > 0 {
		lines = append(lines, "The following packages would be installed/updated: "+strings.Join(in.targets.names, ", "))
	}
	if len(in.unpurge) > 0 {
		lines = append(lines, "The following packages would have their selection status changed from 'purge' to 'install': "+strings.Join(in.unpurge, ", "))
	}
	if len(in.reinstall.names) > 0 && in.a.Reinstall {
		list := strings.Join(in.reinstall.names, ", ")
		if !in.fromSources {
			list = in.reinstall.describedAll(in.reinstall.names)
		}
		lines = append(lines, "The following packages would be reinstalled: "+list)
	} else {
		for _, n := range in.reinstall.names {
			lines = append(lines, fmt.Sprintf("Package '%s' would be reinstalled because the following files have been altered:", in.label(in.reinstall, n)),
				pytext.Nested(in.altered[n]))
		}
	}
	p := &states.Plan{Would: strings.Join(lines, "\n")}
	p.Do(in.foreseen(), nil)
	return p
}

// label is a package as comments name it.
func (in *installing) label(w *wanted, name string) string {
	if in.fromSources {
		return name
	}
	return w.described(name)
}

func (in *installing) labels(w *wanted, names []string) string {
	if in.fromSources {
		return strings.Join(names, ", ")
	}
	return w.describedAll(names)
}

// install does it.
func (in *installing) install(ctx context.Context) (*outcome, error) {
	o := &outcome{result: true, changes: wire.NewMap()}
	var lines []string
	pkgRet := wire.NewMap()
	if len(in.targets.names)+len(in.reinstall.names) > 0 {
		v, err := in.call(ctx, "pkg.install", in.installArgs())
		if err != nil {
			if f, ok := pkgFailure(err, "installing package(s)"); ok {
				return f, nil
			}
			return nil, err
		}
		if m, ok := v.(*wire.Map); ok {
			pkgRet = m
			for k, v := range m.All() {
				o.changes.SetAny(k, v)
			}
		} else if s, ok := v.(string); ok {
			lines = append(lines, s)
		}
	}
	held, early, err := in.holdDesired(ctx, lines, o.changes)
	if err != nil || early != nil {
		return early, err
	}
	if len(in.unpurge) > 0 {
		names := make([]any, len(in.unpurge))
		for i, n := range in.unpurge {
			names[i] = n
		}
		v, err := in.call(ctx, "lowpkg.unpurge", nil, names...)
		if err != nil {
			return nil, err
		}
		o.changes.Set("purge_desired", v)
	}
	modified, untouched, failed, err := in.compare(ctx, o.changes)
	if err != nil {
		return nil, err
	}
	if len(modified) > 0 {
		if summary := in.labels(in.desired, modified); len(summary) < 20 {
			lines = append(lines, "The following packages were installed/updated: "+summary)
		} else if len(modified) > 1 {
			lines = append(lines, fmt.Sprintf("%d targeted packages were installed/updated.", len(modified)))
		} else {
			lines = append(lines, "1 targeted package was installed/updated.")
		}
	}
	lines = append(lines, held.into(o.changes)...)
	if len(untouched) > 20 {
		lines = append(lines, fmt.Sprintf("%d targeted packages were already installed", len(untouched)))
	} else if len(untouched) > 0 {
		lines = append(lines, "The following packages were already installed: "+in.labels(in.desired, untouched))
	}
	lines = append(lines, held.untouched...)
	if len(failed) > 0 {
		lines = append([]string{"The following packages failed to install/update: " + in.labels(in.desired, failed)}, lines...)
		o.result = false
	}
	if len(held.failed) > 0 {
		lines = append(lines, held.failed...)
		o.result = false
	}
	again, ok := in.reinstalled(ctx, pkgRet)
	if !ok {
		o.result = false
	}
	o.comment = strings.Join(append(lines, again...), "\n")
	return o, nil
}

// installArgs are those of pkg.install.
func (in *installing) installArgs() *wire.Map {
	a := in.a
	kw := in.with("name", nil, "refresh", in.refresh, "version", a.Version, "fromrepo", a.Fromrepo, "skip_verify", a.SkipVerify,
		"reinstall", len(in.reinstall.names) > 0, "normalize", a.Normalize, "update_holds", a.UpdateHolds, "ignore_epoch", a.IgnoreEpoch,
		"split_arch", false, "allow_updates", a.AllowUpdates)
	if !in.fromSources {
		kw.Set("pkgs", append(in.targets.asList(), in.reinstall.asList()...))
		return kw
	}
	all, _ := listed(a.Sources)
	var chosen []any
	for _, w := range []*wanted{in.targets, in.reinstall} {
		for _, e := range all {
			for k := range e.(*wire.Map).All() {
				if w.has(pytext.Str(k)) {
					chosen = append(chosen, e)
				}
			}
		}
	}
	kw.Set("sources", chosen)
	return kw
}

// compare tells what has become of the packages.
func (in *installing) compare(ctx context.Context, changes *wire.Map) (modified, untouched, failed []string, err error) {
	if in.fromSources {
		for k := range changes.Strings() {
			if in.targets.has(k) {
				modified = append(modified, k)
			}
		}
		for _, n := range in.desired.names {
			if !in.targets.has(n) && !in.reinstall.has(n) {
				untouched = append(untouched, n)
			}
		}
		for _, n := range in.targets.names {
			if !slices.Contains(modified, n) {
				failed = append(failed, n)
			}
		}
		return modified, untouched, failed, nil
	}
	now, err := in.installed(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	ok, bad, err := in.verified(ctx, in.desired, now, in.a.IgnoreEpoch)
	for _, n := range ok {
		switch {
		case in.targets.has(n):
			modified = append(modified, n)
		case !in.reinstall.has(n):
			untouched = append(untouched, n)
		}
	}
	for _, n := range bad {
		if in.targets.has(n) {
			failed = append(failed, n)
		}
	}
	return modified, untouched, failed, err
}

// reinstalled words what has become of the packages that were installed anew.
func (in *installing) reinstalled(ctx context.Context, pkgRet *wire.Map) (lines []string, ok bool) {
	var good, bad []string
	for _, n := range in.reinstall.names {
		if in.a.Reinstall {
			if pkgRet.Has(n) {
				good = append(good, n)
			} else {
				bad = append(bad, n)
			}
			continue
		}
		v, err := in.call(ctx, "pkg.verify", in.verifyArgs(), n)
		if err == nil && !module.Truth(v) {
			good = append(good, n)
			continue
		}
		bad = append(bad, n)
		if err == nil {
			in.altered[n] = v
		}
	}
	say := func(names []string, msg, files string) {
		for _, n := range names {
			line := fmt.Sprintf(msg, in.label(in.desired, n))
			if v, ok := in.altered[n]; ok {
				lines = append(lines, line+files, pytext.Nested(v))
			} else {
				lines = append(lines, line)
			}
		}
	}
	say(good, "Package %s was reinstalled.", " The following files were remediated:")
	say(bad, "Reinstall was not successful for package %s.", " The following files could not be remediated:")
	return lines, len(bad) == 0
}

type pkgWatchArgs struct {
	Name   string    // Name of the package.
	Sfun   string    `default:"None"` // The function that watches.
	Kwargs *wire.Map `arg:"**"`       // Its arguments.
}

// pkgModWatch carries out the state of a package that watches once more.
func pkgModWatch(ctx context.Context, c *states.Call, a pkgWatchArgs) (*states.Plan, error) {
	switch a.Sfun {
	case "purged":
		return states.Hand(ctx, c, pkgPurged, a.Name, a.Kwargs)
	case "latest":
		return states.Hand(ctx, c, pkgLatest, a.Name, a.Kwargs)
	case "removed":
		return states.Hand(ctx, c, pkgRemoved, a.Name, a.Kwargs)
	case "installed":
		return states.Hand(ctx, c, pkgInstalled, a.Name, a.Kwargs)
	}
	return decided(false, "pkg.%s does not work with the watch requisite", pytext.Str(noneIfEmpty(a.Sfun))), nil
}
