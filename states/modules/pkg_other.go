package modules

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

func init() {
	register("pkg.latest", pkgLatest)
	register("pkg.removed", pkgRemoved)
	register("pkg.purged", pkgPurged)
	register("pkg.uptodate", pkgUptodate)
	register("pkg.downloaded", pkgDownloaded)
	register("pkg.group_installed", pkgGroupInstalled)
	register("pkg.patch_installed", pkgPatchInstalled)
	register("pkg.patch_downloaded", pkgPatchDownloaded)
}

type pkgLatestArgs struct {
	Name       string    // Name of the package; without pkgs.
	Refresh    any       `default:"None"`  // True: read the lists of the repositories anew first; False: do not; by default once in a run.
	Fromrepo   any       `default:"None"`  // Repository or release to install from.
	SkipVerify bool      `default:"False"` // Take packages without a valid signature.
	Pkgs       any       `default:"None"`  // Several packages.
	WatchFlags bool      `default:"True"`  // Without effect: Gentoo has use flags.
	Kwargs     *wire.Map `arg:"**"`        // install_recommends, only_upgrade, cache_valid_time and what else the package manager takes.
}

// pkgLatest makes sure that packages are installed in their newest version.
func pkgLatest(ctx context.Context, c *states.Call, a pkgLatestArgs) (*states.Plan, error) {
	p := &pkgCall{c: c, name: a.Name, kwargs: a.Kwargs}
	if module.Truth(get(a.Kwargs, "sources")) {
		return decided(false, `The "sources" parameter is not supported.`), nil
	}
	names := []any{a.Name}
	if module.Truth(a.Pkgs) {
		w, err := p.desired(ctx, a.Pkgs, true)
		if err != nil {
			return nil, err
		}
		if len(w.names) == 0 {
			return decided(false, `Invalidly formatted "pkgs" parameter. See minion log.`), nil
		}
		names = nil
		for _, n := range w.names {
			names = append(names, n)
		}
	} else if isList(a.Pkgs) {
		return decided(true, "No packages to install provided"), nil
	}
	newest, err := p.call(ctx, "pkg.latest_version", p.with("fromrepo", a.Fromrepo, "refresh", wantsRefresh(c, a.Refresh)), names...)
	if err != nil {
		if o, ok := pkgFailure(err, "checking the newest available version of package(s)"); ok {
			o.comment = "An error was encountered while checking the newest available version of package(s): " + message(err)
			o.changes = nil
			return o.plan(nil), nil
		}
		return nil, err
	}
	current, err := p.call(ctx, "pkg.version", p.with(), names...)
	if err != nil {
		return decided(false, "%s", message(err)), nil
	}
	of := func(v any, name any) string {
		if m, ok := v.(*wire.Map); ok {
			v = get(m, name.(string))
		}
		if s, ok := v.(string); ok {
			return s
		}
		return ""
	}
	targets := &wanted{}
	var problems []string
	coming := p.coming(ctx, names)
	for _, n := range names {
		switch {
		case of(newest, n) != "" && coming[n.(string)] != of(newest, n):
			targets.set(n.(string), of(newest, n))
			promiseOf(c, "pkg", n.(string), promisedPkg{version: of(newest, n)})
		case of(newest, n) != "":
		case of(current, n) == "":
			problems = append(problems, fmt.Sprintf("No information found for '%s'.", n))
		}
	}
	if len(problems) > 0 {
		return decided(false, "%s", strings.Join(problems, " ")), nil
	}
	if len(targets.names) == 0 {
		return decided(true, "%s", allUptodate(names)), nil
	}
	var uptodate []string
	if l, ok := listed(a.Pkgs); ok && len(l) > 0 {
		for _, e := range l {
			if n, _ := nameAndVersion(e); !targets.has(n) {
				uptodate = append(uptodate, n)
			}
		}
	}
	sort.Strings(uptodate)
	sorted := slices.Sorted(slices.Values(targets.names))
	would := "The following packages would be installed/upgraded: " + strings.Join(sorted, ", ")
	if len(uptodate) > 10 {
		would += fmt.Sprintf("\n%d packages are already up-to-date", len(uptodate))
	} else if len(uptodate) > 0 {
		var list []string
		for _, n := range uptodate {
			version := of(current, n)
			if coming[n] != "" {
				version = coming[n]
			}
			list = append(list, fmt.Sprintf("%s (%s)", n, version))
		}
		would += "\nThe following packages are already up-to-date: " + strings.Join(list, ", ")
	}
	plan := &states.Plan{Would: would}
	plan.Do(nil, func(ctx context.Context, r *states.Result) error {
		o, err := p.upgradeTo(ctx, &a, targets, uptodate)
		if err == nil {
			o.into(r)
		}
		return err
	})
	return plan, nil
}

// coming are the versions that earlier states of the run are to install.
func (p *pkgCall) coming(ctx context.Context, names []any) map[string]string {
	have := map[string][]string{}
	for _, n := range names {
		p.foresee(ctx, have, []string{n.(string)})
	}
	out := map[string]string{}
	for n, l := range have {
		out[n] = l[0]
	}
	return out
}

func allUptodate(names []any) string {
	switch {
	case len(names) > 10:
		return fmt.Sprintf("All %d packages are up-to-date.", len(names))
	case len(names) > 1:
		var l []string
		for _, n := range names {
			l = append(l, n.(string))
		}
		sort.Strings(l)
		return fmt.Sprintf("All packages are up-to-date (%s).", strings.Join(l, ", "))
	}
	return fmt.Sprintf("Package %s is already up-to-date", names[0])
}

// upgradeTo installs the newest versions.
func (p *pkgCall) upgradeTo(ctx context.Context, a *pkgLatestArgs, targets *wanted, uptodate []string) (*outcome, error) {
	list := make([]any, len(targets.names))
	for i, n := range targets.names {
		list[i] = n
	}
	v, err := p.call(ctx, "pkg.install", p.with("name", nil, "refresh", false, "fromrepo", a.Fromrepo, "skip_verify", a.SkipVerify, "pkgs", list))
	if err != nil {
		if _, ok := pkgFailure(err, ""); ok {
			return &outcome{result: false, comment: "An error was encountered while installing package(s): " + message(err)}, nil
		}
		return nil, err
	}
	changes, _ := v.(*wire.Map)
	sorted := slices.Sorted(slices.Values(targets.names))
	if changes.Len() == 0 {
		var comment string
		switch {
		case len(sorted) > 10:
			comment = fmt.Sprintf("%d targeted packages failed to update. See debug log for details.", len(sorted))
		case len(sorted) > 1:
			comment = fmt.Sprintf("The following targeted packages failed to update. See debug log for details: (%s).", strings.Join(sorted, ", "))
		default:
			comment = fmt.Sprintf("Package %s failed to update.", sorted[0])
		}
		if len(uptodate) > 10 {
			comment += fmt.Sprintf("%d packages were already up-to-date", len(uptodate))
		} else if len(uptodate) > 0 {
			comment += " The following packages were already up-to-date: " + strings.Join(uptodate, ", ")
		}
		return &outcome{result: false, comment: comment}, nil
	}
	var good, bad, lines []string
	for _, n := range sorted {
		change := changes.Map(n)
		now := change.Text("new")
		if change.Len() == 0 || change.Has("new") && !slices.Contains(strings.Split(now, ","), targets.version(n)) && targets.version(n) != "latest" {
			bad = append(bad, n)
		} else {
			good = append(good, n)
		}
	}
	if len(bad) > 0 {
		lines = append(lines, "The following packages failed to update: "+strings.Join(bad, ", "))
	}
	if len(good) > 0 {
		lines = append(lines, "The following packages were successfully installed/upgraded: "+strings.Join(good, ", "))
	}
	if len(uptodate) > 10 {
		lines = append(lines, fmt.Sprintf("%d packages were already up-to-date ", len(uptodate)))
	} else if len(uptodate) > 0 {
		lines = append(lines, "The following packages were already up-to-date: "+strings.Join(uptodate, ", "))
	}
	return &outcome{result: len(bad) == 0, comment: strings.Join(lines, " "), changes: changes}, nil
}

type pkgRemovedArgs struct {
	Name        string    // Name of the package; without pkgs.
	Version     any       `default:"None"` // Only where this version is installed.
	Pkgs        any       `default:"None"` // Several packages.
	Normalize   bool      `default:"True"` // Drop the machine's own architecture from names.
	IgnoreEpoch any       `default:"None"` // Compare versions without their epochs; by default where the version asked for has none.
	Kwargs      *wire.Map `arg:"**"`       // What else the package manager takes.
}

// pkgRemoved makes sure that packages are not installed; their configuration may stay.
func pkgRemoved(ctx context.Context, c *states.Call, a pkgRemovedArgs) (*states.Plan, error) {
	return a.uninstall(ctx, c, "remove")
}

// pkgPurged makes sure that packages are not installed, nor their configuration there.
func pkgPurged(ctx context.Context, c *states.Call, a pkgRemovedArgs) (*states.Plan, error) {
	return a.uninstall(ctx, c, "purge")
}

func (a *pkgRemovedArgs) uninstall(ctx context.Context, c *states.Call, action string) (*states.Plan, error) {
	p := &pkgCall{c: c, name: a.Name, kwargs: a.Kwargs}
	var w *wanted
	if module.Truth(a.Pkgs) {
		var err error
		if w, err = p.desired(ctx, a.Pkgs, a.Normalize); err != nil {
			return nil, err
		}
		if len(w.names) == 0 {
			return decided(false, "Invalidly formatted pkgs parameter. See minion log."), nil
		}
	} else {
		w = &wanted{}
		for _, n := range strings.Split(a.Name, ",") {
			if a.Normalize {
				n = p.normalize(ctx, n)
			}
			w.set(n, a.Version)
		}
	}
	targets, comment, err := a.findInstalled(ctx, p, w)
	if err != nil {
		return nil, err
	}
	if comment != nil && action == "remove" {
		return comment.plan(nil), nil
	}
	if action == "purge" {
		left, err := p.installed(ctx, "removed", true)
		if err != nil {
			return nil, err
		}
		for pr := range promised(c, "pkg") { // its configuration may be left
			if then := pr.value.(promisedPkg); then.gone && !then.purged {
				left[pr.what] = []string{someVersion}
			} else {
				delete(left, pr.what)
			}
		}
		for _, n := range w.names {
			if left[n] != nil {
				targets = append(targets, n)
			}
		}
	}
	sort.Strings(targets)
	if len(targets) == 0 {
		partially := ""
		if action == "purge" {
			partially = " or partially installed"
		}
		return decided(true, "None of the targeted packages are installed%s", partially), nil
	}
	changes := wire.NewMap()
	for _, n := range targets {
		changes.Set(n, wire.NewMap("new", action+"d", "old", ""))
		promiseOf(c, "pkg", n, promisedPkg{gone: true, purged: action == "purge"})
	}
	plan := &states.Plan{Would: fmt.Sprintf("The following packages will be %sd: %s.", action, strings.Join(targets, ", "))}
	plan.Do(changes, func(ctx context.Context, r *states.Result) error {
		o, err := a.remove(ctx, p, action, w, targets)
		if err != nil {
			doing := "removing package(s)"
			if action == "purge" {
				doing = "purging package(s)"
			}
			var ok bool
			if o, ok = pkgFailure(err, doing); !ok {
				return err
			}
		}
		o.into(r)
		return nil
	})
	return plan, nil
}

// findInstalled finds which of the packages are installed, in the version asked for; where
// none is, it says so.
func (a *pkgRemovedArgs) findInstalled(ctx context.Context, p *pkgCall, w *wanted) ([]string, *outcome, error) {
	have, err := p.installed(ctx)
	if err != nil {
		return nil, nil, err
	}
	var targets, problems []string
	versioned := false
	check := w
	if !module.Truth(a.Pkgs) { // name with commas is no package
		check = &wanted{}
		check.set(p.normalize(ctx, a.Name), a.Version)
	}
	p.foresee(ctx, have, check.names)
	for _, n := range check.names {
		version := check.version(n)
		switch {
		case len(have[n]) == 0:
		case version == "":
			targets = append(targets, n)
		default:
			versioned = true
			if have[n][0] == someVersion {
				targets = append(targets, n)
				continue
			}
			fits, err := p.fits(ctx, have[n], version, a.IgnoreEpoch, false)
			var e *module.Error
			if errors.As(err, &e) && e.Kind == module.Failed {
				problems = append(problems, e.Msg)
			} else if err != nil {
				return nil, nil, err
			} else if fits {
				targets = append(targets, n)
			}
		}
	}
	if len(problems) > 0 {
		return nil, &outcome{result: false, comment: strings.Join(problems, " ")}, nil
	}
	if len(targets) == 0 {
		matching := ""
		if versioned {
			matching = " (matching specified versions)"
		}
		return nil, &outcome{result: true, comment: fmt.Sprintf("All specified packages%s are already absent", matching)}, nil
	}
	return targets, nil, nil
}

// remove removes them, and says what has become of them.
func (a *pkgRemovedArgs) remove(ctx context.Context, p *pkgCall, action string, w *wanted, targets []string) (*outcome, error) {
	v, err := p.call(ctx, "pkg."+action, p.with("pkgs", a.Pkgs, "version", a.Version, "split_arch", false), a.Name)
	if err != nil {
		return nil, err
	}
	changes, _ := v.(*wire.Map)
	now, err := p.installed(ctx)
	if err != nil {
		return nil, err
	}
	var failed []string
	byVersion := slices.Contains([]string{"Suse", "RedHat", "Windows"}, p.family())
	for _, n := range w.names {
		switch {
		case now[n] == nil:
		case !byVersion || w.version(n) == "":
			failed = append(failed, n)
		case slices.Contains(now[n], w.version(n)):
			failed = append(failed, n+"-"+w.version(n))
		}
	}
	if action == "purge" {
		left, err := p.installed(ctx, "removed", true)
		if err != nil {
			return nil, err
		}
		for _, n := range w.names {
			if left[n] != nil {
				failed = append(failed, n)
			}
		}
	}
	if len(failed) > 0 {
		sort.Strings(failed)
		return &outcome{result: false, changes: changes, comment: fmt.Sprintf("The following packages failed to %s: %s.", action, strings.Join(failed, ", "))}, nil
	}
	var absent []string
	for _, n := range w.names {
		if !slices.Contains(targets, n) {
			absent = append(absent, n)
		}
	}
	comment := fmt.Sprintf("All targeted packages were %sd.", action)
	if len(absent) > 0 {
		sort.Strings(absent)
		comment = fmt.Sprintf("The following packages were not installed: %s The following packages were %sd: %s.", strings.Join(absent, ", "), action, strings.Join(targets, ", "))
	}
	return &outcome{result: true, changes: changes, comment: comment}, nil
}

type pkgUptodateArgs struct {
	Name    string    // Anything.
	Refresh any       `default:"False"` // Read the lists of the repositories anew first: True or False.
	Pkgs    any       `default:"None"`  // Only these packages.
	Kwargs  *wire.Map `arg:"**"`        // dist_upgrade, cache_valid_time, force_conf_new and what else the package manager takes.
}

// pkgUptodate makes sure that all packages are of their newest version.
func pkgUptodate(ctx context.Context, c *states.Call, a pkgUptodateArgs) (*states.Plan, error) {
	p := &pkgCall{c: c, name: a.Name, kwargs: a.Kwargs}
	refresh, ok := a.Refresh.(bool)
	if !ok {
		return decided(false, "refresh must be either True or False"), nil
	}
	v, err := p.call(ctx, "pkg.list_upgrades", p.with("refresh", refresh))
	if err != nil {
		return decided(false, "%s", message(err)), nil
	}
	upgrades, _ := v.(*wire.Map)
	only, limited := a.Pkgs.([]any)
	expected := wire.NewMap()
	for name, version := range upgrades.Strings() {
		if limited && !slices.ContainsFunc(only, func(e any) bool { return pytext.Str(e) == name }) {
			continue
		}
		old, err := p.call(ctx, "pkg.version", p.with(), name)
		if err != nil {
			return decided(false, "%s", message(err)), nil
		}
		expected.Set(name, wire.NewMap("new", version, "old", old))
	}
	if expected.Len() == 0 {
		return decided(true, "System is already up-to-date"), nil
	}
	plan := &states.Plan{Would: "System update will be performed"}
	plan.Do(expected, func(ctx context.Context, r *states.Result) error {
		kw := p.with("refresh", refresh, "pkgs", a.Pkgs)
		kw.Delete("saltenv") // what dnf does not know would be an option of its
		v, err := p.call(ctx, "pkg.upgrade", kw)
		if err != nil {
			o, ok := pkgFailure(err, "updating packages")
			if !ok {
				return err
			}
			o.into(r)
			return nil
		}
		changes, _ := v.(*wire.Map)
		o := &outcome{result: true, comment: "Upgrade ran successfully", changes: changes}
		if limited {
			var missing []string
			for name := range expected.Strings() {
				if !changes.Has(name) {
					missing = append(missing, name)
				}
			}
			if len(missing) > 0 {
				o.result, o.comment = false, "The following package(s) failed to update: "+strings.Join(missing, ", ")
			}
		}
		o.into(r)
		return nil
	})
	return plan, nil
}

type pkgDownloadedArgs struct {
	Name        string    // Name of the package; without pkgs.
	Version     any       `default:"None"` // Version to download.
	Pkgs        any       `default:"None"` // Several packages.
	Fromrepo    any       `default:"None"` // Repository or release to download from.
	IgnoreEpoch any       `default:"None"` // Compare versions without their epochs; by default where the version asked for has none.
	Kwargs      *wire.Map `arg:"**"`       // What else the package manager takes.
}

// pkgDownloaded makes sure that packages are in the package manager's cache.
func pkgDownloaded(ctx context.Context, c *states.Call, a pkgDownloadedArgs) (*states.Plan, error) {
	p := &pkgCall{c: c, name: a.Name, kwargs: a.Kwargs}
	if !p.has("pkg.list_downloaded") {
		return decided(false, "The pkg.downloaded state is not available on this platform"), nil
	}
	if l, ok := a.Pkgs.([]any); ok && len(l) == 0 {
		return decided(true, "No packages to download provided"), nil
	}
	if a.Name != "" && !module.Truth(a.Pkgs) {
		a.Pkgs = []any{a.Name}
		if module.Truth(a.Version) {
			a.Pkgs, a.Version = []any{wire.NewMap(a.Name, a.Version)}, nil
		}
	}
	a.Kwargs.Delete("downloadonly")
	w, err := p.desired(ctx, a.Pkgs, true)
	if err != nil {
		return nil, err
	}
	if len(w.names) == 0 {
		return decided(false, "Invalidly formatted pkgs parameter. See minion log."), nil
	}
	have, err := p.downloads(ctx)
	if err != nil {
		return nil, err
	}
	targets, versioned := &wanted{}, false
	for _, n := range w.names {
		version := w.version(n)
		if len(have[n]) > 0 && version == "" {
			continue
		}
		if len(have[n]) > 0 {
			versioned = true
			fits, err := p.fits(ctx, have[n], version, a.IgnoreEpoch, false)
			if err != nil {
				return decided(false, "%s", message(err)), nil
			}
			if fits {
				continue
			}
		}
		targets.set(n, w.versions[n])
	}
	if len(targets.names) == 0 {
		matching := ""
		if versioned {
			matching = " (matching specified versions)"
		}
		return decided(true, "All specified packages%s are already downloaded", matching), nil
	}
	plan := &states.Plan{Would: "The following packages would be downloaded: " + strings.Join(targets.names, ", ")}
	plan.Do(nil, func(ctx context.Context, r *states.Result) error {
		v, err := p.call(ctx, "pkg.install", p.with("name", a.Name, "pkgs", a.Pkgs, "version", a.Version, "downloadonly", true, "fromrepo", a.Fromrepo, "ignore_epoch", a.IgnoreEpoch))
		if err != nil {
			o, ok := pkgFailure(err, "downloading package(s)")
			if !ok {
				return err
			}
			o.into(r)
			return nil
		}
		changes, _ := v.(*wire.Map)
		o := &outcome{result: true, changes: changes}
		now, err := p.downloads(ctx)
		if err != nil {
			return err
		}
		_, failed, err := p.verified(ctx, targets, now, a.IgnoreEpoch)
		if err != nil {
			return err
		}
		if len(failed) > 0 {
			o.result, o.comment = false, "The following packages failed to download: "+targets.describedAll(failed)
		} else if changes.Len() == 0 {
			o.comment = "Packages downloaded: " + strings.Join(targets.names, ", ")
		}
		o.into(r)
		return nil
	})
	return plan, nil
}

// downloads are the versions in the cache, by name.
func (p *pkgCall) downloads(ctx context.Context) (map[string][]string, error) {
	v, err := p.call(ctx, "pkg.list_downloaded", p.with())
	m, _ := v.(*wire.Map)
	out := map[string][]string{}
	for name, versions := range m.Strings() {
		if versions, ok := versions.(*wire.Map); ok {
			for version := range versions.Strings() {
				out[name] = append(out[name], version)
			}
		}
	}
	return out, err
}

type pkgGroupArgs struct {
	Name    string    // Name of the group.
	Skip    any       `default:"None"` // Default packages of the group to leave out: a list.
	Include any       `default:"None"` // Optional packages of the group to install, too: a list.
	Kwargs  *wire.Map `arg:"**"`       // fromrepo, enablerepo, disablerepo and what else the package manager takes.
}

// pkgGroupInstalled makes sure that a group of packages is installed (dnf, yum, pacman).
func pkgGroupInstalled(ctx context.Context, c *states.Call, a pkgGroupArgs) (*states.Plan, error) {
	p := &pkgCall{c: c, name: a.Name, kwargs: a.Kwargs}
	if !p.has("pkg.group_diff") {
		return decided(false, "pkg.group_install not available for this platform"), nil
	}
	lists := map[string][]string{}
	for what, v := range map[string]any{"skip": a.Skip, "include": a.Include} {
		l, ok := v.([]any)
		if v != nil && !ok {
			return decided(false, "%s must be formatted as a list", what), nil
		}
		for _, e := range l {
			lists[what] = append(lists[what], pytext.Str(e))
		}
	}
	v, err := p.call(ctx, "pkg.group_diff", a.Kwargs, a.Name)
	if err != nil {
		return decided(false, "An error was encountered while installing/updating group '%s': %s.", a.Name, message(err)), nil
	}
	diff, _ := v.(*wire.Map)
	of := func(kind, what string) (out []string) {
		for _, e := range diff.Map(kind).List(what) {
			out = append(out, pytext.Str(e))
		}
		return out
	}
	var wrong []string
	for _, n := range append(of("mandatory", "installed"), of("mandatory", "not installed")...) {
		if slices.Contains(lists["skip"], n) {
			wrong = append(wrong, n)
		}
	}
	if len(wrong) > 0 {
		return decided(false, "The following mandatory packages cannot be skipped: %s", strings.Join(wrong, ", ")), nil
	}
	targets := of("mandatory", "not installed")
	for _, n := range of("default", "not installed") {
		if !slices.Contains(lists["skip"], n) {
			targets = append(targets, n)
		}
	}
	targets = append(targets, lists["include"]...)
	if len(targets) == 0 {
		return decided(true, "Group '%s' is already installed", a.Name), nil
	}
	partly := len(of("mandatory", "installed"))+len(of("default", "installed"))+len(of("optional", "installed")) > 0
	would, done := "Group '%s' will be installed", "installed"
	if partly {
		would, done = "Group '%s' is partially installed and will be updated", "updated"
	}
	plan := &states.Plan{Would: fmt.Sprintf(would, a.Name)}
	plan.Do(nil, func(ctx context.Context, r *states.Result) error {
		list := make([]any, len(targets))
		for i, n := range targets {
			list[i] = n
		}
		v, err := p.call(ctx, "pkg.install", p.with("pkgs", list))
		if err != nil {
			o, ok := pkgFailure(err, fmt.Sprintf("installing/updating group '%s'", a.Name))
			if !ok {
				return err
			}
			o.into(r)
			return nil
		}
		changes, _ := v.(*wire.Map)
		now, err := p.installed(ctx)
		if err != nil {
			return err
		}
		var failed []string
		for _, n := range targets {
			if now[n] == nil {
				failed = append(failed, n)
			}
		}
		o := &outcome{result: true, changes: changes, comment: fmt.Sprintf("Group '%s' was %s", a.Name, done)}
		if len(failed) > 0 {
			o.result, o.comment = false, "Failed to install the following packages: "+strings.Join(failed, ", ")
		}
		o.into(r)
		return nil
	})
	return plan, nil
}

type pkgPatchArgs struct {
	Name         string    // Id of the advisory; without advisory_ids.
	AdvisoryIds  any       `default:"None"` // Ids of several advisories.
	Downloadonly any       `default:"None"` // Download only.
	Kwargs       *wire.Map `arg:"**"`       // What else the package manager takes.
}

// pkgPatchInstalled makes sure that the packages of an advisory are installed (dnf, zypper).
func pkgPatchInstalled(ctx context.Context, c *states.Call, a pkgPatchArgs) (*states.Plan, error) {
	return a.patched(ctx, c, "pkg.patch_installed")
}

// pkgPatchDownloaded makes sure that the packages of an advisory are downloaded (dnf, zypper).
func pkgPatchDownloaded(ctx context.Context, c *states.Call, a pkgPatchArgs) (*states.Plan, error) {
	a.Downloadonly = true
	return a.patched(ctx, c, "pkg.patch_downloaded")
}

func (a *pkgPatchArgs) patched(ctx context.Context, c *states.Call, state string) (*states.Plan, error) {
	p := &pkgCall{c: c, name: a.Name, kwargs: a.Kwargs}
	if !p.has("pkg.list_patches") {
		return decided(false, "The %s state is not available on this platform", state), nil
	}
	ids, given := a.AdvisoryIds.([]any)
	if given && len(ids) == 0 {
		return decided(true, "No advisory ids provided"), nil
	}
	v, err := p.call(ctx, "pkg.list_installed_patches", p.kwargs)
	if err != nil {
		return nil, err
	}
	have, _ := v.(*wire.Map)
	if !module.Truth(a.AdvisoryIds) {
		if have.Map(a.Name).Len() > 0 {
			return decided(true, "Advisory patch %s is already installed", a.Name), nil
		}
		ids = []any{a.Name}
	}
	var targets []string
	for _, id := range ids {
		if s := pytext.Str(id); have.Map(s).Len() == 0 {
			targets = append(targets, s)
		}
	}
	if len(targets) == 0 {
		return decided(true, "All specified advisory patches are already installed"), nil
	}
	plan := &states.Plan{Would: "The following advisory patches would be downloaded: " + strings.Join(targets, ", ")}
	plan.Do(nil, func(ctx context.Context, r *states.Result) error {
		v, err := p.call(ctx, "pkg.install", p.with("name", a.Name, "advisory_ids", a.AdvisoryIds, "downloadonly", module.Truth(a.Downloadonly)))
		if err != nil {
			o, ok := pkgFailure(err, "downloading package(s)")
			if !ok {
				return err
			}
			o.into(r)
			return nil
		}
		o := &outcome{result: true}
		o.changes, _ = v.(*wire.Map)
		if o.changes.Len() == 0 {
			done := "installed"
			if module.Truth(a.Downloadonly) {
				done = "downloaded"
			}
			o.comment = "Advisory patch is not needed or related packages are already " + done
		}
		o.into(r)
		return nil
	})
	return plan, nil
}
