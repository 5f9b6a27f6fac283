package modules

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

func init() {
	register("pkg.held", pkgHeld)
	register("pkg.unheld", pkgUnheld)
}

// heldPackages is what pkg.hold or pkg.unhold has answered.
type heldPackages struct {
	modified          []*wire.Map
	untouched, failed []string // comments
}

// into adds the changes to those of the packages, and returns the comments.
func (h *heldPackages) into(changes *wire.Map) (lines []string) {
	for _, r := range h.modified {
		name, now := r.Text("name"), r.Map("changes")
		lines = append(lines, r.Text("comment"))
		have := changes.Map(name)
		if have == nil {
			changes.Set(name, wire.NewMap("new", pytext.Str(get(now, "new"))))
			continue
		}
		for _, k := range []string{"new", "old"} {
			text := have.Text(k)
			if text != "" {
				text += "\n"
			}
			have.Set(k, text+pytext.Str(get(now, k)))
		}
	}
	return lines
}

// holdCall holds packages, or lets them go. o is set where that failed.
func (in *installing) holdCall(ctx context.Context, kwargs *wire.Map) (h *heldPackages, failed string, err error) {
	fun := "pkg.unhold"
	if module.Truth(in.hold) {
		fun = "pkg.hold"
	}
	v, err := in.call(ctx, fun, kwargs)
	if err != nil {
		var e *module.Error
		if errors.As(err, &e) && (e.Kind == module.Failed || e.Kind == module.Invocation) {
			return nil, e.Msg, nil
		}
		return nil, "", err
	}
	h = &heldPackages{}
	m, _ := v.(*wire.Map)
	for _, r := range m.Strings() {
		r, ok := r.(*wire.Map)
		if ok {
			in.foreseeHold(r)
		}
		switch {
		case !ok:
		case r.Map("changes").Len() > 0:
			h.modified = append(h.modified, r)
		case module.Truth(get(r, "result")):
			h.untouched = append(h.untouched, r.Text("comment"))
		}
		if ok && !module.Truth(get(r, "result")) {
			h.failed = append(h.failed, r.Text("comment"))
		}
	}
	return h, "", nil
}

// foreseeHold puts in the answer of a test what earlier states of the run are to make of a
// package, and notes what this one is to make of it.
func (in *installing) foreseeHold(r *wire.Map) {
	name, want := r.Text("name"), module.Truth(in.hold)
	if on, known := in.promisedHold(name); known && on == want && get(r, "result") == nil {
		not := "not "
		if on {
			not = ""
		}
		r.Set("result", true)
		r.Set("comment", "Package "+name+" is already set "+not+"to be held.")
	}
	promiseOf(in.c, "pkg.hold", name, want)
}

// holdDesired holds the packages after they were installed. early is set where that fails.
func (in *installing) holdDesired(ctx context.Context, lines []string, changes *wire.Map) (h *heldPackages, early *outcome, err error) {
	if !in.holding {
		return &heldPackages{}, nil, nil
	}
	h, failed, err := in.holdCall(ctx, wire.NewMap("name", in.name, "pkgs", in.desired.asList()))
	if err != nil {
		return nil, nil, err
	}
	if h == nil {
		return nil, &outcome{result: false, comment: strings.Join(append(lines, failed), "\n"), changes: changes}, nil
	}
	return h, nil, nil
}

// onlyHold finishes a state whose packages are installed already, or cannot be: they may
// have to be held all the same.
func (in *installing) onlyHold(ctx context.Context, o *outcome) (*states.Plan, error) {
	if !in.holding {
		return o.plan(in.warnings), nil
	}
	kwargs := wire.NewMap("name", in.name)
	if in.fromSources {
		kwargs.Set("sources", in.a.Sources)
	} else {
		kwargs.Set("pkgs", in.a.Pkgs)
	}
	finish := func(ctx context.Context, call *installing) (*outcome, error) {
		h, failed, err := call.holdCall(ctx, kwargs)
		if err != nil {
			return nil, err
		}
		if h == nil {
			return &outcome{result: false, comment: failed}, nil
		}
		end := &outcome{result: o.result, comment: o.comment, changes: wire.NewMap()}
		for _, r := range h.modified {
			end.comment += ".\n" + r.Text("comment")
			end.result = get(r, "result")
			end.changes.Set(r.Text("name"), get(r, "changes"))
		}
		for _, c := range h.untouched {
			end.comment += ".\n" + c
			end.result = true
		}
		for _, c := range h.failed {
			end.comment += ".\n" + c
			end.result = false
			if strings.HasSuffix(c, " is set to be held.") || strings.HasSuffix(c, " is set not to be held.") || strings.HasSuffix(c, " is set to be unheld.") {
				end.result = nil // the test of what is to come
			}
		}
		return end, nil
	}
	look := *in
	look.c = rehearsing(in.c)
	would, err := finish(ctx, &look)
	if err != nil {
		return nil, err
	}
	if in.c.Test || would.result != nil {
		return would.plan(in.warnings), nil
	}
	p := &states.Plan{Warnings: in.warnings}
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		end, err := finish(ctx, in)
		if err == nil {
			end.into(r)
		}
		return err
	})
	return p, nil
}

// rehearsing is a call whose functions change nothing, those that heed the option test.
func rehearsing(c *states.Call) *states.Call {
	next := *c
	next.Call, next.Test = dry(c), true
	return &next
}

var rpmLock = lazyre.New(`^(.+)-(\d+):(.*)\.\*`)

// lock is a package that is held.
type lock struct {
	name, version string
	hasVersion    bool
	other         bool // not of a package: a pattern
}

// locks are the packages that are held, and those that earlier states of the run are to
// hold under test=True. versions tells whether the package manager holds versions.
func (p *pkgCall) locks(ctx context.Context) (all []lock, versions bool, err error) {
	if all, versions, err = p.locksNow(ctx); err != nil {
		return nil, false, err
	}
	for pr := range promised(p.c, "pkg.hold") {
		all = slices.DeleteFunc(all, func(l lock) bool { return l.name == pr.what })
		if pr.value.(bool) {
			all = append(all, lock{name: pr.what})
		}
	}
	return all, versions, nil
}

// locksNow are the packages that are held, as the package manager tells.
func (p *pkgCall) locksNow(ctx context.Context) (all []lock, versions bool, err error) {
	switch {
	case p.has("pkg.list_locks"):
		v, err := p.call(ctx, "pkg.list_locks", nil)
		m, _ := v.(*wire.Map)
		for name, v := range m.Strings() {
			info, _ := v.(*wire.Map)
			l := lock{name: name, hasVersion: info.Has("version"), version: strings.TrimLeft(info.Text("version"), "= ")}
			l.other = info.Has("type") && info.Text("type") != "package"
			all = append(all, l)
		}
		return all, true, err
	case p.has("pkg.list_holds"):
		v, err := p.call(ctx, "pkg.list_holds", wire.NewMap("full", true))
		l, _ := v.([]any)
		for _, e := range l {
			text := pytext.Str(e)
			if m := rpmLock.FindStringSubmatch(text); m != nil {
				epoch := m[2] + ":"
				if m[2] == "0" {
					epoch = ""
				}
				all = append(all, lock{name: m[1], version: epoch + m[3], hasVersion: true})
			} else {
				all = append(all, lock{name: text})
			}
		}
		return all, false, err
	case p.has("pkg.get_selections"):
		v, err := p.call(ctx, "pkg.get_selections", wire.NewMap("state", "hold"))
		m, _ := v.(*wire.Map)
		for _, e := range m.List("hold") {
			all = append(all, lock{name: pytext.Str(e)})
		}
		return all, false, err
	}
	return nil, false, errNoLocks
}

var errNoLocks = module.Failf("No any function to get the list of held packages available.\nCheck if the package manager supports package locking.")

type pkgHeldArgs struct {
	Name    string    // Name of the package; without pkgs.
	Version any       `default:"None"`    // Version to hold (zypper).
	Pkgs    any       `default:"None"`    // Several packages: a list of names, or of names and versions. Of a map the names count.
	Replace bool      `default:"False"`   // Let all others go that are held.
	Kwargs  *wire.Map `arg:"**" read:"-"` // Not looked at.
}

// step is what is to be done with one package, and how it would be told.
type holdStep struct {
	name   string
	pkg    any  // as pkgs has it
	held   bool // it is held now, by another rule
	unhold bool
	would  string
}

// pkgHeld makes sure that packages are kept at their versions.
func pkgHeld(ctx context.Context, c *states.Call, a pkgHeldArgs) (*states.Plan, error) {
	if l, ok := a.Pkgs.([]any); ok && len(l) == 0 && !a.Replace {
		return decided(true, "No packages to be held provided"), nil
	}
	p := &pkgCall{c: c, name: a.Name, kwargs: a.Kwargs}
	list, err := holdList(a.Pkgs)
	if err != nil {
		return nil, err
	}
	if a.Pkgs == nil {
		list = []any{a.Name}
		if module.Truth(a.Version) {
			list = []any{wire.NewMap(a.Name, a.Version)}
		}
	}
	locks, versions, err := p.locks(ctx)
	if err != nil {
		return nil, err
	}
	if !p.has("pkg.hold") {
		return decided(false, "`hold` function is not implemented for the package manager."), nil
	}
	var steps []holdStep
	wantedNames := map[string]bool{}
	for _, e := range list {
		name, version := nameAndVersion(e)
		wantedNames[name] = true
		var have *lock
		for i := range locks {
			if locks[i].name == name {
				have = &locks[i]
			}
		}
		if have != nil && (!versions || sameVersion(have, version)) {
			continue
		}
		suffix := ""
		if module.Truth(version) {
			suffix = fmt.Sprintf(" (version = %s)", pytext.Str(version))
		}
		s := holdStep{name: name, pkg: e, held: have != nil, would: "The following package would be held: " + name + suffix}
		if s.held {
			s.would = "The following package's hold rule would be updated: " + name + suffix
		}
		steps = append(steps, s)
	}
	if a.Replace {
		for _, l := range locks {
			if !l.other && !wantedNames[l.name] {
				steps = append(steps, holdStep{name: l.name, unhold: true, would: "The following package would be unheld: " + l.name})
			}
		}
	}
	return p.holdPlan(ctx, steps), nil
}

// holdList reads pkgs of pkg.held and pkg.unheld. Of a map the names count, as in Salt. A
// text that is no list would be gone through letter by letter there: it is refused.
func holdList(pkgs any) ([]any, error) {
	switch v := pkgs.(type) {
	case nil:
		return nil, nil
	case *wire.Map:
		var names []any
		for name := range v.All() {
			names = append(names, pytext.Str(name))
		}
		return names, nil
	case string:
		if v == "" {
			return nil, nil
		}
	}
	if l, ok := listed(pkgs); ok {
		return l, nil
	}
	return nil, module.Failf("pkgs is a list of packages (pkgs: [vim, bash]), not %s; for one package give its name as name, without pkgs", pytext.Repr(pkgs))
}

func nameAndVersion(e any) (string, any) {
	if m, ok := e.(*wire.Map); ok {
		for k, v := range m.All() {
			return pytext.Str(k), v
		}
	}
	return pytext.Str(e), nil
}

func sameVersion(l *lock, version any) bool {
	if !l.hasVersion {
		return version == nil
	}
	return version != nil && pytext.Str(version) == l.version
}

// holdPlan carries out what is to be done with each package.
func (p *pkgCall) holdPlan(ctx context.Context, steps []holdStep) *states.Plan {
	if len(steps) == 0 {
		return decided(true, "No changes made")
	}
	names := make([]string, len(steps))
	for i, s := range steps {
		names[i] = s.name
	}
	holdable := p.holdable(ctx, names)
	var would []string
	changes := wire.NewMap()
	for _, s := range steps {
		would = append(would, s.would)
		change := wire.NewMap("old", "", "new", "hold")
		switch {
		case s.unhold:
			change = wire.NewMap("old", "hold", "new", "")
		case s.held:
			change.Set("old", "hold")
		}
		changes.Set(s.name, change)
		if s.unhold || holdable[s.name] {
			promiseOf(p.c, "pkg.hold", s.name, !s.unhold)
		}
	}
	plan := &states.Plan{Would: strings.Join(would, "\n")}
	plan.Do(changes, func(ctx context.Context, r *states.Result) error {
		o := &outcome{result: true, changes: wire.NewMap()}
		var lines []string
		do := func(fun string, s holdStep, pkg any) (*wire.Map, error) {
			v, err := p.call(ctx, fun, wire.NewMap("name", p.name, "pkgs", []any{pkg}))
			m, _ := v.(*wire.Map)
			return m, err
		}
		for _, s := range steps {
			var freed *wire.Map
			if s.held || s.unhold {
				m, err := do("pkg.unhold", s, s.name)
				if err != nil {
					return err
				}
				freed = m
			}
			ret, ok := freed, module.Truth(get(freed.Map(s.name), "result"))
			switch {
			case s.unhold:
				if comment := freed.Map(s.name).Text("comment"); comment != "" {
					lines = append(lines, comment)
				}
			default:
				m, err := do("pkg.hold", s, s.pkg)
				if err != nil {
					return err
				}
				was := ok
				ret, ok = m, module.Truth(get(m.Map(s.name), "result"))
				switch {
				case was && ok && s.held:
					lines = append(lines, fmt.Sprintf("Package %s was updated with hold rule", s.name))
				case ok:
					lines = append(lines, fmt.Sprintf("Package %s is now being held", s.name))
				default:
					lines = append(lines, fmt.Sprintf("Package %s was not held", s.name))
				}
			}
			if !ok {
				o.result = false
			}
			for k, v := range ret.All() {
				o.changes.SetAny(k, v)
			}
		}
		o.comment = strings.Join(lines, "\n")
		o.into(r)
		return nil
	})
	return plan
}

type pkgUnheldArgs struct {
	Name    string    // Name of the package; without pkgs.
	Version any       `default:"None"`    // Version whose hold is to be taken away (zypper).
	Pkgs    any       `default:"None"`    // Several packages: a list of names, or of names and versions. Of a map the names count.
	All     bool      `default:"False"`   // Let all packages go.
	Kwargs  *wire.Map `arg:"**" read:"-"` // Not looked at.
}

// pkgUnheld makes sure that packages are not kept at their versions.
func pkgUnheld(ctx context.Context, c *states.Call, a pkgUnheldArgs) (*states.Plan, error) {
	if l, ok := a.Pkgs.([]any); ok && len(l) == 0 && !a.All {
		return decided(true, "No packages to be unheld provided"), nil
	}
	p := &pkgCall{c: c, name: a.Name, kwargs: a.Kwargs}
	list, err := holdList(a.Pkgs)
	if err != nil {
		return nil, err
	}
	if a.Pkgs == nil {
		list = []any{wire.NewMap(a.Name, a.Version)}
	}
	locks, versions, err := p.locks(ctx)
	if err != nil {
		return nil, err
	}
	given := map[string]any{}
	for _, e := range list {
		name, version := nameAndVersion(e)
		given[name] = version
	}
	var steps []holdStep
	for _, l := range locks {
		if l.other {
			continue
		}
		version, named := given[l.name]
		fits := !versions || l.version == "" || version != nil && pytext.Str(version) == l.version
		if !a.All && (!named || !fits) {
			continue
		}
		would := "The following package would be unheld: " + l.name
		if module.Truth(version) {
			have := "None"
			if versions && l.hasVersion {
				have = l.version
			}
			would += " (version = " + have + ")"
		}
		steps = append(steps, holdStep{name: l.name, unhold: true, would: would})
	}
	return p.holdPlan(ctx, steps), nil
}
