package modules

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/rpm"
	"github.com/gosalt/gosalt/internal/systemd"
	"github.com/gosalt/gosalt/protocol/wire"
)

// yum is a system with dnf or yum.
type yum struct {
	c    *module.Call
	prog string // dnf5, dnf, tdnf or yum: the first of them that is there
}

func yumOf(c *module.Call) (*yum, error) {
	if hasYum(c) {
		for _, prog := range []string{"dnf5", "dnf", "tdnf", "yum"} {
			if whichProgram(prog) != "" {
				return &yum{c, prog}, nil
			}
		}
	}
	return nil, notHere(c)
}

// dnf tells that the program is dnf, in whichever version, rather than yum.
func (y *yum) dnf() bool { return y.prog == "dnf" || y.prog == "dnf5" }

// scoped has a program that changes packages run in a unit of its own: restarting the
// minion must not end it.
func scoped(ctx context.Context, c *module.Call, args []string) []string {
	if c.Host.Root == "" && systemd.Booted(c.Host.Exists) && whichProgram("systemd-run") != "" && useScope(ctx, c) {
		return append([]string{"systemd-run", "--quiet", "--scope"}, args...)
	}
	return args
}

// yumWaits is how dnf and yum say that another one has the lock.
var yumWaits = lazyre.New(`(?:Waiting for process with pid (\d+) to finish|Another app is currently holding the yum lock|Existing lock \S+: another copy is running as pid (\d+))`)

// errLocked ends a program that has waited too long for another one.
var errLocked = errors.New("another package manager holds the lock")

// run runs the package manager. While another one has the lock it waits, says for whom, and
// gives up in time.
func (y *yum) run(ctx context.Context, p program) (*programExit, error) {
	p.args = scoped(ctx, y.c, append([]string{y.prog}, p.args...))
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var mu sync.Mutex
	var timer *time.Timer
	holder := ""
	p.watch = func(_ string, chunk []byte) {
		m := yumWaits.FindSubmatch(chunk)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case m == nil && timer != nil && len(strings.TrimSpace(string(chunk))) > 0:
			timer.Stop() // it has the lock
			timer = nil
		case m != nil && timer == nil:
			holder = "another process"
			if pid := string(m[1]) + string(m[2]); pid != "" {
				holder = processName(y.c, pid) + " (process " + pid + ")"
			}
			y.c.Log.Warn("waiting for another package manager", "holder", holder)
			y.c.Progress(fmt.Sprintf("waiting for %s, which holds the lock of %s\n", holder, y.prog))
			timer = time.AfterFunc(lockPatience, func() { cancel(errLocked) })
		}
	}
	out, err := runTool(ctx, y.c, p)
	mu.Lock()
	defer mu.Unlock()
	if timer != nil {
		timer.Stop()
	}
	if errors.Is(context.Cause(ctx), errLocked) {
		msg := fmt.Sprintf("Gave up after %s: %s holds the lock of %s", lockPatience, holder, y.prog)
		return &programExit{code: 1, out: msg, err: msg}, nil
	}
	return out, err
}

// processName is the name of a process, for messages.
func processName(c *module.Call, pid string) string {
	b, err := os.ReadFile(c.Host.Path("/proc/" + pid + "/comm"))
	if err != nil {
		return "another process"
	}
	return strings.TrimSpace(string(b))
}

// pyTexts is a value, or each of a list, as text.
func pyTexts(v any) []string {
	if l, ok := v.([]any); ok {
		out := make([]string, len(l))
		for i, e := range l {
			out[i] = pytext.Str(e)
		}
		return out
	}
	return []string{pytext.Str(v)}
}

// yumOptions are the options of dnf and yum that keywords stand for.
func yumOptions(kwargs *wire.Map) []string {
	get := func(k string) any {
		if v := mapValue(kwargs, k); module.Truth(v) {
			return v
		}
		return nil
	}
	var opts []string
	from := get("fromrepo")
	if from == nil {
		from = get("repo")
	}
	if from != nil {
		opts = append(opts, "--disablerepo=*", "--enablerepo="+pytext.Str(from))
	} else {
		for _, o := range []string{"disablerepo", "enablerepo"} {
			if v := get(o); v != nil {
				for _, repo := range pyTexts(v) {
					opts = append(opts, "--"+o+"="+repo)
				}
			}
		}
	}
	for _, o := range []string{"disableexcludes", "branch"} {
		if v := get(o); v != nil {
			opts = append(opts, "--"+o+"="+pytext.Str(v))
		}
	}
	for _, s := range commaList(get("setopt")) {
		opts = append(opts, "--setopt="+s)
	}
	return opts
}

// yumRepoKeys are the keywords that yumOptions reads.
var yumRepoKeys = []string{"fromrepo", "repo", "disablerepo", "enablerepo", "disableexcludes", "branch", "setopt"}

// withRepo adds the repository to the keywords.
func withRepo(kwargs *wire.Map, fromrepo, repo string) *wire.Map {
	m := kwargs.Clone()
	if m == nil {
		m = wire.NewMap()
	}
	if fromrepo != "" {
		m.Set("fromrepo", fromrepo)
	}
	if repo != "" {
		m.Set("repo", repo)
	}
	return m
}

func (y *yum) list(ctx context.Context, o pkgListOptions) (packages, error) {
	if o.removed || o.purgeDesired {
		return packages{}, nil
	}
	all, err := rpmPackages(ctx, y.c, "")
	return rpmVersions(all), err
}

func (y *yum) latest(ctx context.Context, names []string, o pkgLatestOptions) (map[string]string, error) {
	kwargs := withRepo(o.kwargs, o.fromrepo, "")
	if o.refresh {
		y.clean(ctx, kwargs)
	}
	installed, err := y.list(ctx, pkgListOptions{})
	if err != nil {
		return nil, err
	}
	args := append([]string{"--quiet"}, yumOptions(kwargs)...)
	out, err := y.run(ctx, program{args: append(append(args, "list", "available"), names...), fails: true})
	if err != nil {
		return nil, err
	}
	var rows []yumRow
	if out.ok() {
		rows = yumRows(out.out, osArch(y.c))
		slices.SortStableFunc(rows, func(a, b yumRow) int { return rpm.CompareLoose(b.version, a.version) })
	} else if out.err != "" && slices.ContainsFunc(names, func(n string) bool { return installed[n] == nil }) {
		y.c.Log.Error("newest versions not found", "packages", names, "stderr", out.err)
	}
	found := map[string]string{}
	for _, name := range names {
		arch := osArch(y.c)
		if _, a, ok := rpm.SplitArch(name); ok && a != "noarch" {
			arch = a
		}
		for _, r := range rows {
			if r.name != name || r.arch != "noarch" && r.arch != arch && !rpm.Both32(r.arch, osArch(y.c)) {
				continue
			}
			if !slices.ContainsFunc(installed[name], func(v string) bool { return rpm.Compare(v, r.version) >= 0 }) {
				found[name] = r.version
				break
			}
		}
	}
	return found, nil
}

// clean has what is known of the repositories read anew when it is needed next.
func (y *yum) clean(ctx context.Context, kwargs *wire.Map) {
	clearRefreshTag(y.c)
	if _, err := y.run(ctx, program{args: append([]string{"--quiet", "--assumeyes", "clean", "expire-cache"}, yumOptions(kwargs)...), fails: true}); err != nil {
		y.c.Log.Warn("cache of the repositories not cleaned", "error", err)
	}
}

// check reads the repositories anew: true where there are updates, nil where there are
// none, false for a failure.
func (y *yum) check(ctx context.Context, kwargs *wire.Map) (any, error) {
	y.clean(ctx, kwargs)
	args := []string{"--quiet", "--assumeyes", "check-update"}
	if pytext.Str(grainOf(y.c, "os_family")) == "RedHat" && pytext.Str(grainOf(y.c, "osmajorrelease")) == "7" {
		args = append(args, "--setopt=autocheck_running_kernel=false") // takes long, and is not looked at
	}
	out, err := y.run(ctx, program{args: append(args, yumOptions(kwargs)...), fails: true})
	if err != nil {
		return nil, err
	}
	switch out.code {
	case 100:
		return true, nil
	case 0:
		return nil, nil
	}
	y.c.Log.Warn("repositories not read", "stderr", out.err)
	return false, nil
}

func (y *yum) refresh(ctx context.Context, o pkgRefreshOptions) (any, error) {
	return y.check(ctx, o.kwargs)
}

func (y *yum) upgrades(ctx context.Context, q *pkgListUpgradesArgs) (*wire.Map, error) {
	kwargs := withRepo(q.Kwargs, q.Fromrepo, "")
	if truthy(q.Refresh) {
		y.clean(ctx, kwargs)
	}
	what := "updates"
	if y.dnf() {
		what = "--upgrades"
	}
	out, err := y.run(ctx, program{args: append(append([]string{"--quiet"}, yumOptions(kwargs)...), "list", what), fails: true})
	if err != nil {
		return nil, err
	}
	ret := wire.NewMap()
	for _, r := range yumRows(out.out, osArch(y.c)) {
		ret.Set(r.name, r.version)
	}
	return ret, nil
}

func (y *yum) compare(a, b string, ignoreEpoch bool) int { return rpmCompare(a, b, ignoreEpoch) }

func (y *yum) normalize(name string) string { return rpm.Normalize(name, osArch(y.c)) }

func (y *yum) splitArch(name string) (string, string) {
	base, arch, _ := rpm.SplitArch(name)
	return base, arch
}

func (y *yum) owner(ctx context.Context, path string) (string, error) {
	return rpmOwner(ctx, y.c, nil, path)
}

func (y *yum) files(context.Context, []string) (*wire.Map, error) { return nil, notHere(y.c) }

func (y *yum) remove(ctx context.Context, _ string, q *pkgRemoveArgs) (*wire.Map, error) {
	names, versions, err := (&pkgRemoveArgs{Name: q.Name, Pkgs: q.Pkgs}).targets(y.c, y.normalize)
	if err != nil {
		return nil, err
	}
	old, err := y.list(ctx, pkgListOptions{})
	if err != nil {
		return nil, err
	}
	var plain, matched []string
	for _, n := range names {
		if !strings.Contains(n, "*") {
			plain = append(plain, n)
			continue
		}
		for have := range old {
			if globMatch(n, have) && !slices.Contains(matched, have) && !slices.Contains(names, have) {
				matched = append(matched, have)
				versions[have] = versions[n]
			}
		}
	}
	slices.Sort(matched)
	var targets []string
	for _, n := range append(plain, matched...) {
		v := versions[n]
		switch {
		case old[n] == nil:
		case v == nil || *v == "":
			targets = append(targets, n)
		case slices.Contains(strings.Split(old.text(n), ","), *v):
			base, arch := yumArch(y.c, n, q.Kwargs)
			targets = append(targets, base+"-"+withoutEpoch(*v)+arch)
		}
	}
	if len(targets) == 0 {
		return wire.NewMap(), nil
	}
	out, err := y.run(ctx, program{args: append([]string{"-y", "remove"}, targets...), env: envArg(q.Env)})
	if err != nil {
		return nil, err
	}
	now, err := y.list(ctx, pkgListOptions{})
	if err != nil {
		return nil, err
	}
	ret := comparePackages(old, now)
	if !out.ok() && out.err != "" {
		return nil, module.FailInfo("Error occurred removing package(s)", wire.NewMap("errors", []any{out.err}, "changes", ret))
	}
	return ret, nil
}

// yumArch parts a name and the architecture that dnf wants after the version.
func yumArch(c *module.Call, name string, kwargs *wire.Map) (base, arch string) {
	i := strings.LastIndexByte(name, '.')
	if i < 0 || !rpm.Arch(name[i+1:]) {
		return name, ""
	}
	split := !kwargs.Has("split_arch") || module.Truth(mapValue(kwargs, "split_arch"))
	if name[i+1:] == osArch(c) && !split {
		return name, ""
	}
	return name[:i], name[i:]
}

func (y *yum) upgrade(ctx context.Context, q *pkgUpgradeArgs) (*wire.Map, error) {
	return yumUpgrade(ctx, y.c, yumUpgradeArgs{Name: q.Name, Pkgs: q.Pkgs, Refresh: q.Refresh, Normalize: true, Obsoletes: true, Kwargs: withRepo(q.Kwargs, q.Fromrepo, "")})
}
