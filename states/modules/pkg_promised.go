package modules

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/target"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

// promisedPkg is what an earlier state of a run under test=True is to make of a package.
type promisedPkg struct {
	gone    bool
	purged  bool   // with its configuration
	version string // exact, or with comparisons; "" for the newest that the package manager takes
	from    string // where from
	file    string // the version of a package file
	lot     *pkgLot
}

// comparing are the characters of versions that more than one can fit.
const comparing = "*?[<>=!"

// A pkgLot are packages that one call of the package manager is to install: all of them, or
// none where it does not know one.
type pkgLot struct {
	*wanted

	once sync.Once
	ok   bool
}

// works tells whether apt can install the lot. Other package managers are not asked.
func (l *pkgLot) works(ctx context.Context, p *pkgCall) bool {
	if l == nil || p.family() != "Debian" {
		return true
	}
	l.once.Do(func() {
		l.ok = len(p.unknown(ctx, l.names)) == 0 && !slices.ContainsFunc(l.names, func(n string) bool {
			version := l.version(n)
			return version != "" && !strings.ContainsAny(version, comparing) && p.comesTo(ctx, n, promisedPkg{version: version}) == ""
		})
	})
	return l.ok
}

// unknown are those names that apt has never heard of. Of a virtual package it has, though
// that has no version.
func (p *pkgCall) unknown(ctx context.Context, names []string) (unknown []string) {
	if len(names) == 0 || p.family() != "Debian" {
		return nil
	}
	v, err := p.c.Call.Call(ctx, "cmd.run_all", args(append(args("apt-cache", "-q", "policy", "--"), anyList(names)...)), wire.NewMap("python_shell", false))
	m, ok := v.(*wire.Map)
	if err != nil || !ok || !pytext.Equal(get(m, "retcode"), 0) {
		return nil
	}
	known := map[string]bool{}
	for line := range strings.Lines(m.Text("stdout")) {
		if n, ok := strings.CutSuffix(strings.TrimRight(line, "\n"), ":"); ok && !strings.HasPrefix(n, " ") {
			known[n] = true
		}
	}
	for _, n := range names {
		if !known[n] && !strings.ContainsAny(n, "*?[") && !known[p.normalize(ctx, n)] {
			unknown = append(unknown, n)
		}
	}
	return unknown
}

// someVersion stands for the version of a package that is to be installed, where it is not known.
const someVersion = "\x00"

// foresee lays over the packages that are installed what earlier states of the run are to
// make of those in names.
func (p *pkgCall) foresee(ctx context.Context, have map[string][]string, names []string) {
	for pr := range promised(p.c, "pkg") {
		then := pr.value.(promisedPkg)
		for _, n := range names {
			switch {
			case pr.what != n && (!strings.ContainsAny(pr.what, "*?[") || !target.Fnmatch(pr.what, n)):
			case then.gone:
				delete(have, n)
			case pr.what == n || len(have[n]) == 0: // a pattern leaves what is installed
				if v := p.comesTo(ctx, n, then); v != "" {
					have[n] = []string{v}
				}
			}
		}
	}
}

// comesTo is the version that a promised package comes to, "" where there is none: the run
// fails then.
func (p *pkgCall) comesTo(ctx context.Context, name string, then promisedPkg) string {
	if then.file != "" {
		return then.file
	}
	if !then.lot.works(ctx, p) {
		return ""
	}
	if then.from != "" || !p.has("pkg.list_repo_pkgs") {
		return someVersion
	}
	if then.version == "" {
		v, err := p.call(ctx, "pkg.latest_version", wire.NewMap("refresh", false), name)
		if s, ok := v.(string); ok && err == nil {
			return s
		}
		return someVersion
	}
	v, err := p.call(ctx, "pkg.list_repo_pkgs", nil, name)
	m, ok := v.(*wire.Map)
	if !ok || err != nil {
		return someVersion
	}
	exact := p.family() == "Debian" && !strings.ContainsAny(then.version, comparing)
	for _, e := range m.List(name) { // the newest first
		version := pytext.Str(e)
		if exact && version != then.version {
			continue
		}
		if fits, err := p.fits(ctx, []string{version}, then.version, nil, false); err == nil && fits {
			return version
		}
	}
	return ""
}

// promise notes which packages the state is to install.
func (in *installing) promise(ctx context.Context) {
	if !in.c.Test {
		return
	}
	from := ""
	if module.Truth(in.a.Fromrepo) {
		from = pytext.Str(in.a.Fromrepo)
	}
	var lot *pkgLot
	if !in.fromSources && from == "" && len(in.targets.names) > 1 {
		lot = &pkgLot{wanted: in.targets}
	}
	for _, n := range in.targets.names {
		then := promisedPkg{version: in.targets.version(n), from: from, lot: lot}
		if in.fromSources {
			info, _ := in.sourceInfo(ctx, then.version)
			then.file = info.Text("version")
			then.version, then.from = "", "a file"
			if name := info.Text("name"); name != "" {
				n = name
			}
		}
		promiseOf(in.c, "pkg", n, then)
	}
	if in.holding {
		for _, n := range in.desired.names {
			promiseOf(in.c, "pkg.hold", n, module.Truth(in.hold))
		}
	}
}

// holdable are those of the names that can be held, under test=True: packages that are
// installed then.
func (p *pkgCall) holdable(ctx context.Context, names []string) map[string]bool {
	ok := map[string]bool{}
	if !p.c.Test {
		return ok
	}
	have, err := p.installed(ctx)
	if err != nil {
		return ok
	}
	p.foresee(ctx, have, names)
	for _, n := range names {
		ok[n] = len(have[n]) > 0
	}
	return ok
}

// promisedHold is whether earlier states are to hold a package, or to let it go.
func (p *pkgCall) promisedHold(name string) (on, known bool) {
	for pr := range promised(p.c, "pkg.hold") {
		if pr.what == name {
			on, known = pr.value.(bool), true
		}
	}
	return on, known
}

// lacks looks under test=True for packages that apt does not know. p is set where a run is
// sure to fail for them; where it reads the lists anew first, there is a warning. A tree
// that brings a source before is told nothing: it is as it should be.
func (in *installing) lacks(ctx context.Context) (p *states.Plan) {
	if in.fromSources || module.Truth(in.a.Fromrepo) {
		return nil
	}
	if _, ok := firstEffect(in.c, effect{"sources", ""}); ok {
		return nil
	}
	lacking := in.unknown(ctx, in.targets.names)
	if len(lacking) == 0 {
		return nil
	}
	what := "apt knows no package " + strings.Join(lacking, ", ")
	if !in.refresh {
		return decided(false, "%s, and its lists are not read anew (refresh)", what)
	}
	in.warnings = append(in.warnings, what+" as of its lists: they are read anew first, and nothing is installed where it is missing there, too")
	return nil
}
