package modules

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/debian"
	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/systemd"
	"github.com/gosalt/gosalt/protocol/wire"
)

// apt is a system of the Debian family.
type apt struct{ c *module.Call }

// aptEnv keeps the programs around dpkg from asking questions.
var aptEnv = []string{"APT_LISTBUGS_FRONTEND=none", "APT_LISTCHANGES_FRONTEND=none", "DEBIAN_FRONTEND=noninteractive", "UCF_FORCE_CONFFOLD=1"}

// lockPatience is how long another package manager is waited for. A variable for tests.
var lockPatience = 10 * time.Minute

// lockInterval is how often the lock is tried meanwhile.
const lockInterval = time.Second

// lockHolder finds who has a lock in apt's message.
var lockHolder = lazyre.New(`Could not get lock (\S+?)\.? (?:- open )?(?:\([^)]*\)|It is held by process (\d+)(?: \(([^)]*)\))?)`)

// run runs a program of apt or dpkg. While another one has the lock of the database it
// waits, says for whom, and gives up in time. What a dpkg that was killed has left is
// mended first.
func (a *apt) run(ctx context.Context, p program, scoped bool) (*programExit, error) {
	p.env = append(slices.Clone(p.env), aptEnv...)
	if scoped && a.c.Host.Root == "" && systemd.Booted(a.c.Host.Exists) && whichProgram("systemd-run") != "" && useScope(ctx, a.c) {
		p.args = append([]string{"systemd-run", "--quiet", "--scope"}, p.args...)
	}
	var began time.Time
	said, mended, fails := "", false, p.fails
	p.fails = true // to wait is no failure
	done := func(out *programExit, err error) (*programExit, error) {
		if err == nil && !fails {
			logFailure(a.c, p, out)
		}
		return out, err
	}
	for {
		out, err := runTool(ctx, a.c, p)
		if err == nil && !mended && strings.Contains(out.err, "dpkg was interrupted, you must manually run") {
			mended = true
			a.c.Log.Warn("dpkg was interrupted before: what it has left is configured first")
			if _, err := runTool(ctx, a.c, program{args: []string{"dpkg", "--force-confold", "--force-confdef", "--configure", "-a"}, env: aptEnv}); err != nil {
				return nil, err
			}
			continue
		}
		if err != nil || !strings.Contains(out.err, "Could not get lock") {
			return done(out, err)
		}
		who := "another process"
		lock := "the lock of the package database"
		if m := lockHolder.FindStringSubmatch(out.err); m != nil {
			lock = m[1]
			if m[2] != "" {
				who = strings.TrimSpace(m[3] + " (process " + m[2] + ")")
			}
		}
		if began.IsZero() {
			began = time.Now()
		}
		if time.Since(began) > lockPatience {
			out.err += fmt.Sprintf("\nGave up after %s: %s holds %s", lockPatience, who, lock)
			return done(out, nil)
		}
		if said != who {
			said = who
			a.c.Log.Warn("waiting for another package manager", "holder", who, "lock", lock)
			a.c.Progress(fmt.Sprintf("waiting for %s, which holds %s\n", who, lock))
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

// selections are the packages by what dpkg knows of them.
type selections struct{ installed, removed, purgeDesired packages }

func (a *apt) read() (*selections, error) {
	all, err := debian.Status(a.c.Host.Path("/var/lib/dpkg"))
	if err != nil {
		return nil, module.Failf("read the packages that are installed: %w", err)
	}
	s := &selections{packages{}, packages{}, packages{}}
	osarch := pytext.Str(grainOf(a.c, "osarch"))
	foreign := pytext.Str(grainOf(a.c, "cpuarch")) == "x86_64" && osarch == "amd64"
	for _, p := range all {
		if p.Version == "" || p.Arch == "" {
			continue
		}
		name := p.Name
		if foreign && p.Arch != "all" && p.Arch != osarch {
			name += ":" + p.Arch
		}
		switch { // "install" is a part of "deinstall", "installed" one of "half-installed", as Salt reads them
		case (strings.Contains(p.Want, "install") || p.Want == "hold") && strings.Contains(p.Status, "installed"):
			s.installed.add(name, p.Version)
		case p.Want == "deinstall":
			s.removed.add(name, p.Version)
		case p.Want == "purge" && p.Status == "installed":
			s.purgeDesired.add(name, p.Version)
		}
	}
	s.installed.sorted()
	s.removed.sorted()
	s.purgeDesired.sorted()
	return s, nil
}

func (s *selections) list(o pkgListOptions) packages {
	switch {
	case o.removed:
		return s.removed
	case o.purgeDesired:
		return s.purgeDesired
	}
	all := packages{}
	for name, v := range s.purgeDesired {
		all[name] = v
	}
	for name, v := range s.installed {
		all[name] = v
	}
	return all
}

func (a *apt) list(_ context.Context, o pkgListOptions) (packages, error) {
	s, err := a.read()
	if err != nil {
		return nil, err
	}
	return s.list(o), nil
}

func (a *apt) compare(x, y string, ignoreEpoch bool) int {
	if ignoreEpoch {
		x, y = withoutEpoch(x), withoutEpoch(y)
	}
	return debian.Compare(x, y)
}

func withoutEpoch(v string) string {
	if _, rest, ok := strings.Cut(v, ":"); ok {
		return rest
	}
	return v
}

func (a *apt) normalize(name string) string {
	i := strings.LastIndexByte(name, ':')
	if i < 0 {
		return name
	}
	switch arch := name[i+1:]; arch {
	case pytext.Str(grainOf(a.c, "osarch")), "all", "any":
		return name[:i]
	}
	return name
}

func (a *apt) latest(ctx context.Context, names []string, o pkgLatestOptions) (map[string]string, error) {
	installed, err := a.list(ctx, pkgListOptions{})
	if err != nil {
		return nil, err
	}
	if o.refresh {
		if _, err := a.refresh(ctx, pkgRefreshOptions{cacheValidTime: o.cacheValidTime}); err != nil {
			return nil, err
		}
	}
	candidates, err := a.candidates(ctx, names, o.fromrepo)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, name := range names {
		candidate := candidates[name]
		newest := candidate != "" && !slices.ContainsFunc(installed[name], func(v string) bool { return debian.Compare(v, candidate) >= 0 })
		if newest || o.showInstalled {
			out[name] = candidate
		}
	}
	return out, nil
}

// candidates are the versions that apt would install. One process is asked for all of
// them; its answer has the packages' names in the order of the question.
func (a *apt) candidates(ctx context.Context, names []string, fromrepo string) (map[string]string, error) {
	args := append([]string{"apt-cache", "-q", "policy"}, names...)
	if fromrepo != "" {
		args = append(args, "-o", "APT::Default-Release="+fromrepo)
	}
	out, err := a.run(ctx, program{args: args}, false)
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	name := ""
	for _, line := range strings.Split(out.out, "\n") {
		if n, ok := strings.CutSuffix(line, ":"); ok && !strings.HasPrefix(line, " ") {
			name = n
			continue
		}
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "Candidate:"); ok && name != "" {
			if v = strings.TrimSpace(v); !strings.EqualFold(v, "(none)") {
				found[name] = v
			}
		}
	}
	// apt names a package of another architecture as name:arch, its own without.
	for _, n := range names {
		if _, ok := found[n]; !ok {
			if v, ok := found[a.normalize(n)]; ok {
				found[n] = v
			}
		}
	}
	return found, nil
}

var fileSize = lazyre.New(` \[.+B\]$`)

func (a *apt) refresh(ctx context.Context, o pkgRefreshOptions) (any, error) {
	clearRefreshTag(a.c)
	ret := wire.NewMap()
	if o.cacheValidTime > 0 {
		st, err := a.c.Host.Stat("/var/lib/apt/lists")
		if err == nil && time.Since(st.ModTime()) < time.Duration(o.cacheValidTime*float64(time.Second)) {
			return ret, nil
		}
	}
	out, err := a.run(ctx, program{args: []string{"apt-get", "-q", "update"}}, false)
	if err != nil {
		return nil, err
	}
	if !out.ok() {
		return nil, module.Failf("%s", out.err)
	}
	var failed []string
	for _, line := range strings.Split(out.out, "\n") {
		cols := strings.Fields(line)
		if len(cols) == 0 {
			continue
		}
		ident := strings.Join(cols[1:], " ")
		switch {
		case strings.Contains(cols[0], "Get"):
			ret.Set(fileSize.ReplaceAllString(ident, ""), true)
		case strings.Contains(cols[0], "Ign"):
			ret.Set(ident, false)
		case strings.Contains(cols[0], "Hit"):
			ret.Set(ident, nil)
		case strings.Contains(cols[0], "Err"):
			ret.Set(ident, false)
			failed = append(failed, ident)
		}
	}
	if o.failhard && len(failed) > 0 {
		return nil, module.Failf("Error getting repos: %s", strings.Join(failed, ", "))
	}
	return ret, nil
}

var confLine = lazyre.New(`(?m)^Conf ([^ ]+) \(([^ ]+)`)

func (a *apt) upgrades(ctx context.Context, q *pkgListUpgradesArgs) (*wire.Map, error) {
	if truthy(q.Refresh) {
		if _, err := a.refresh(ctx, pkgRefreshOptions{cacheValidTime: secondsOf(q.CacheValidTime)}); err != nil {
			return nil, err
		}
	}
	args := []string{"apt-get", "--just-print", "upgrade"}
	if q.DistUpgrade {
		args[2] = "dist-upgrade"
	}
	if q.Fromrepo != "" {
		args = append(args, "-o", "APT::Default-Release="+q.Fromrepo)
	}
	out, err := a.run(ctx, program{args: args}, true)
	if err != nil {
		return nil, err
	}
	if !out.ok() {
		msg := "Failed to get upgrades"
		if t := out.text(); t != "" {
			msg += ": " + t
		}
		return nil, module.Failf("%s", msg)
	}
	ret := wire.NewMap()
	for _, m := range confLine.FindAllStringSubmatch(out.out, -1) {
		ret.Set(m[1], m[2])
	}
	return ret, nil
}

func (a *apt) upgrade(ctx context.Context, q *pkgUpgradeArgs) (*wire.Map, error) {
	if truthy(q.Refresh) {
		if _, err := a.refresh(ctx, pkgRefreshOptions{cacheValidTime: secondsOf(q.CacheValidTime)}); err != nil {
			return nil, err
		}
	}
	old, err := a.list(ctx, pkgListOptions{})
	if err != nil {
		return nil, err
	}
	args := append([]string{"apt-get", "-q", "-y"}, confOptions(q.ForceConfNew)...)
	for _, f := range []struct {
		on   bool
		name string
	}{{q.ForceYes, "--force-yes"}, {q.SkipVerify, "--allow-unauthenticated"}, {q.DownloadOnly || q.Downloadonly, "--download-only"}, {q.AllowDowngrades, "--allow-downgrades"}} {
		if f.on {
			args = append(args, f.name)
		}
	}
	verb := "upgrade"
	if q.DistUpgrade {
		verb = "dist-upgrade"
	}
	out, err := a.run(ctx, program{args: append(args, verb)}, true)
	if err != nil {
		return nil, err
	}
	now, err := a.list(ctx, pkgListOptions{})
	if err != nil {
		return nil, err
	}
	ret := comparePackages(old, now)
	if !out.ok() {
		return nil, module.FailInfo("Problem encountered upgrading packages", wire.NewMap("changes", ret,
			"result", wire.NewMap("pid", int64(0), "retcode", int64(out.code), "stdout", out.out, "stderr", out.err)))
	}
	return ret, nil
}

// confOptions decide about configuration files that were changed on the machine.
func confOptions(takeNew bool) []string {
	if takeNew {
		return []string{"-o", "DPkg::Options::=--force-confnew"}
	}
	return []string{"-o", "DPkg::Options::=--force-confold", "-o", "DPkg::Options::=--force-confdef"}
}

func (a *apt) remove(ctx context.Context, action string, q *pkgRemoveArgs) (*wire.Map, error) {
	names, _, err := q.targets(a.c, a.normalize)
	if err != nil {
		return nil, err
	}
	before, err := a.read()
	if err != nil {
		return nil, err
	}
	installed := before.list(pkgListOptions{})
	var targets []string
	for _, n := range names {
		if installed[n] != nil {
			targets = append(targets, n)
		}
	}
	if action == "purge" {
		for _, n := range names {
			if before.removed[n] != nil {
				targets = append(targets, n)
			}
		}
	}
	if len(targets) == 0 {
		return wire.NewMap(), nil
	}
	out, err := a.run(ctx, program{args: append([]string{"apt-get", "-q", "-y", action}, targets...), env: envArg(q.Env)}, true)
	if err != nil {
		return nil, err
	}
	after, err := a.read()
	if err != nil {
		return nil, err
	}
	ret := comparePackages(installed, after.list(pkgListOptions{}))
	if action == "purge" {
		ret = wire.NewMap("removed", comparePackages(before.removed, after.removed), "installed", ret)
	}
	if !out.ok() && out.err != "" {
		return nil, module.FailInfo("Problem encountered removing package(s)", wire.NewMap("errors", []any{out.err}, "changes", ret))
	}
	return ret, nil
}

// envArg reads env: a map, or a list of maps.
func envArg(v any) []string {
	var out []string
	add := func(m *wire.Map) {
		for k, v := range m.All() {
			out = append(out, pytext.Str(k)+"="+pytext.Str(v))
		}
	}
	switch v := v.(type) {
	case *wire.Map:
		add(v)
	case []any:
		for _, e := range v {
			if m, ok := e.(*wire.Map); ok {
				add(m)
			}
		}
	}
	return out
}

func (a *apt) autoremove(ctx context.Context, listOnly, purge bool) (any, error) {
	var args []string
	if purge {
		args = append(args, "--purge")
	}
	args = append(args, "autoremove")
	if listOnly {
		out, err := a.run(ctx, program{args: append([]string{"apt-get", "--assume-no"}, args...), fails: true}, true)
		if err != nil {
			return nil, err
		}
		names, in := []string{}, false
		for _, line := range strings.Split(out.out, "\n") {
			switch {
			case in && strings.HasPrefix(line, " "):
				names = append(names, strings.Fields(line)...)
			case in:
				in = false
			case strings.Contains(line, "The following packages will be REMOVED:"):
				in = true
			}
		}
		slices.Sort(names)
		return names, nil
	}
	old, err := a.list(ctx, pkgListOptions{})
	if err != nil {
		return nil, err
	}
	if _, err := a.run(ctx, program{args: append([]string{"apt-get", "--assume-yes"}, args...), fails: true}, true); err != nil {
		return nil, err
	}
	now, err := a.list(ctx, pkgListOptions{})
	if err != nil {
		return nil, err
	}
	return comparePackages(old, now), nil
}

func (a *apt) owner(ctx context.Context, path string) (string, error) {
	out, err := runTool(ctx, a.c, program{args: []string{"dpkg", "-S", path}, fails: true})
	if err != nil {
		return "", err
	}
	name, _, _ := strings.Cut(out.out, ":")
	return name, nil
}

func (a *apt) files(ctx context.Context, names []string) (*wire.Map, error) {
	out, err := runTool(ctx, a.c, program{args: append([]string{"dpkg-query", "-f=${db:Status-Status}\t${binary:Package}\n", "-W"}, names...), fails: true})
	if err != nil {
		return nil, err
	}
	if !out.ok() {
		return nil, fmt.Errorf("%s", out.err)
	}
	m := wire.NewMap()
	for _, line := range strings.Split(out.out, "\n") {
		status, name, _ := strings.Cut(line, "\t")
		if status != "installed" {
			continue
		}
		files := []any{}
		// Each package has a file with the list; several architectures of one have it with theirs.
		b, err := os.ReadFile(a.c.Host.Path("/var/lib/dpkg/info/" + name + ".list"))
		if err == nil {
			for _, f := range strings.Split(strings.TrimRight(string(b), "\n"), "\n") {
				files = append(files, f)
			}
		} else if l, err := runTool(ctx, a.c, program{args: []string{"dpkg", "-L", name}, fails: true}); err == nil && l.ok() {
			for _, f := range strings.Split(l.out, "\n") {
				files = append(files, f)
			}
		}
		m.Set(name, files)
	}
	return m, nil
}
