package modules

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/target"
	"github.com/gosalt/gosalt/internal/yamlarg"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

func init() {
	hooks("pkg", states.Hooks{Init: pkgInit, Aggregate: pkgAggregate})
}

// pkgInit has the lists of the repositories read anew by the first state that needs them,
// and by no other.
func pkgInit(_ context.Context, c *states.Call) bool {
	if fun := c.Low.Text("fun"); fun != "installed" && fun != "latest" {
		return false
	}
	if c.CacheDir != "" {
		err := os.MkdirAll(c.CacheDir, 0o755) // a minion's first run has none yet
		var f *os.File
		if err == nil {
			f, err = os.OpenFile(refreshTag(c), os.O_CREATE|os.O_WRONLY, 0o644)
		}
		if err != nil {
			c.Log.Warn("the package lists may not be read anew in this run", "error", err)
			return true
		}
		_ = f.Close()
	}
	return true
}

// refreshTag is the file that says so; pkg.refresh_db removes it.
func refreshTag(c *states.Call) string { return filepath.Join(c.CacheDir, "pkg_refresh") }

// wantsRefresh tells whether the lists are to be read anew: refresh says so, or it says
// nothing and they have not been in this run.
func wantsRefresh(c *states.Call, refresh any) bool {
	if isTrue(refresh) {
		return true
	}
	if refresh == false || c.CacheDir == "" {
		return false
	}
	st, err := os.Stat(refreshTag(c))
	return err == nil && st.Mode().IsRegular()
}

// isTrue reads a value as Salt's is_true does.
func isTrue(v any) bool {
	if s, ok := v.(string); ok {
		b := enableArg(s)
		return *b
	}
	switch v.(type) {
	case int64, uint64, float64:
		return pytext.Number(v) > 0
	}
	return module.Truth(v)
}

// pkgAggregate takes the packages of later chunks of the same function into this one.
func pkgAggregate(_ context.Context, c *states.Call, chunks []*wire.Map, running *wire.Map) *wire.Map {
	low := c.Low
	switch low.Text("fun") {
	case "installed", "latest", "removed", "purged":
	default:
		return low
	}
	var all []any
	kind := ""
	for _, chunk := range chunks {
		if running.Has(states.Tag(chunk)) || chunk.Text("state") != "pkg" || chunk.Has("__agg__") || chunk.Text("fun") != low.Text("fun") ||
			!pytext.Equal(get(chunk, "fromrepo"), get(low, "fromrepo")) {
			continue
		}
		if chunk.Has("sources") {
			if kind == "" {
				kind = "sources"
			}
			if kind == "sources" {
				all = append(all, chunk.List("sources")...)
				chunk.Set("__agg__", true)
			}
			continue
		}
		if chunk.Has("hold") { // or all of them would be held
			continue
		}
		if kind == "" {
			kind = "pkgs"
		}
		if kind != "pkgs" {
			continue
		}
		if chunk.Has("pkgs") {
			all = append(all, chunk.List("pkgs")...)
		} else if version := get(chunk, "version"); version != nil {
			chunk.Delete("version")
			all = append(all, wire.NewMap(chunk.Text("name"), version))
		} else {
			all = append(all, get(chunk, "name"))
		}
		chunk.Set("__agg__", true)
	}
	if kind == "" || len(all) == 0 {
		return low
	}
	if have := low.List(kind); have != nil {
		all = append(append([]any{}, have...), all...)
	}
	low.Set(kind, all)
	return low
}

// pkgCall is one call of a pkg state.
type pkgCall struct {
	c      *states.Call
	name   string
	kwargs *wire.Map // what the package manager may want to know
}

func (p *pkgCall) call(ctx context.Context, fun string, kwargs *wire.Map, a ...any) (any, error) {
	return p.c.Call.Call(ctx, fun, a, kwargs)
}

// with are the state's further arguments and those of kv.
func (p *pkgCall) with(kv ...any) *wire.Map {
	m := p.kwargs.Clone()
	if m == nil {
		m = wire.NewMap()
	}
	m.Set("saltenv", p.c.Env)
	for i := 0; i < len(kv); i += 2 {
		m.Set(kv[i].(string), kv[i+1])
	}
	return m
}

// family is the grain os_family.
func (p *pkgCall) family() string { return p.c.Grains().Text("os_family") }

// has tells whether the package manager of the machine has a function.
func (p *pkgCall) has(fun string) bool {
	if fun == "pkg.hold" && !slices.Contains([]string{"Debian", "RedHat", "Suse"}, p.family()) {
		return false
	}
	return p.c.Call.Has(fun)
}

// installed are the versions of the packages by name.
func (p *pkgCall) installed(ctx context.Context, kv ...any) (map[string][]string, error) {
	v, err := p.call(ctx, "pkg.list_pkgs", p.with(append([]any{"versions_as_list", true}, kv...)...))
	if err != nil {
		return nil, err
	}
	m, _ := v.(*wire.Map)
	out := map[string][]string{}
	for name, l := range m.Strings() {
		for _, v := range l.([]any) {
			out[name] = append(out[name], pytext.Str(v))
		}
	}
	return out, nil
}

func (p *pkgCall) normalize(ctx context.Context, name string) string {
	v, err := p.call(ctx, "pkg.normalize_name", nil, name)
	if s, ok := v.(string); ok && err == nil {
		return s
	}
	return name
}

// wanted are packages in order, each with its version, nil for any.
type wanted struct {
	names    []string
	versions map[string]any
}

func (w *wanted) set(name string, version any) {
	if w.versions == nil {
		w.versions = map[string]any{}
	}
	if _, ok := w.versions[name]; !ok {
		w.names = append(w.names, name)
	}
	w.versions[name] = version
}

func (w *wanted) has(name string) bool {
	_, ok := w.versions[name]
	return ok
}

// version is what is asked for, "" for any.
func (w *wanted) version(name string) string {
	if v := w.versions[name]; v != nil {
		return pytext.Str(v)
	}
	return ""
}

// described is a package as comments name it: vim, vim=1.2, vim>=1.2.
func (w *wanted) described(name string) string {
	v := w.version(name)
	if v == "" || strings.ContainsAny(v[:1], "<>=") {
		return name + v
	}
	return name + "=" + v
}

func (w *wanted) describedAll(names []string) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = w.described(n)
	}
	return strings.Join(out, ", ")
}

// asList is the form of pkg.install's pkgs.
func (w *wanted) asList() []any {
	out := []any{}
	for _, n := range w.names {
		out = append(out, wire.NewMap(n, w.versions[n]))
	}
	return out
}

// desired reads pkgs: a list of names, and of maps with a name and its version. Nothing is
// returned for what is formed otherwise.
func (p *pkgCall) desired(ctx context.Context, pkgs any, normalize bool) (*wanted, error) {
	w := &wanted{}
	l, ok := listed(pkgs)
	if !ok {
		p.c.Log.Error("pkgs is no list", "pkgs", pytext.Repr(pkgs))
		return w, nil
	}
	for _, e := range l {
		name, version := "", any(nil)
		switch e := e.(type) {
		case *wire.Map:
			if e.Len() != 1 {
				p.c.Log.Error("pkgs holds a map that is not of one name and its version", "map", pytext.Repr(e))
				return &wanted{}, nil
			}
			for k, v := range e.All() {
				name = pytext.Str(k)
				if v != nil {
					version = pytext.Str(v)
				}
			}
		case string, int64, uint64, float64, bool:
			name = pytext.Str(e)
		default:
			p.c.Log.Error("pkgs holds what is no name", "value", pytext.Repr(e))
			return &wanted{}, nil
		}
		if normalize {
			name = p.normalize(ctx, name)
		}
		w.set(name, version)
	}
	if len(w.names) != len(l) {
		return nil, module.Invalidf("You are passing a list of packages that contains duplicated packages names: %s. This cannot be processed. In case you are targeting different versions of the same package, please target them individually", pytext.Repr(l))
	}
	return w, nil
}

func listed(v any) ([]any, bool) {
	if s, ok := v.(string); ok {
		var err error
		if v, err = yamlarg.Load(s); err != nil {
			return nil, false
		}
	}
	l, ok := v.([]any)
	return l, ok
}

// sources reads sources: a list of maps with a name and where its file is.
func (p *pkgCall) sources(ctx context.Context, v any, normalize bool) *wanted {
	w := &wanted{}
	l, _ := listed(v)
	for _, e := range l {
		m, ok := e.(*wire.Map)
		if !ok || m.Len() != 1 {
			p.c.Log.Error("sources is a list of maps with one name and its file", "value", pytext.Repr(e))
			return &wanted{}
		}
		for k, v := range m.All() {
			name := pytext.Str(k)
			if normalize {
				name = p.normalize(ctx, name)
			}
			w.set(name, pytext.Str(v))
		}
	}
	return w
}

var versionSpec = lazyre.New(`^(<=>|!=|>=|<=|>>|<<|<>|>|<|=)?\s?([^<>=]+)$`)

// condition is a part of a version: >=1.2.
type condition struct{ oper, version string }

// conditions are the parts of ">=1.2,<2".
func conditions(s string) []condition {
	s = strings.TrimSpace(s)
	if s == "" {
		return nil
	}
	var out []condition
	for _, part := range strings.Split(s, ",") {
		part = strings.TrimSpace(part)
		c := condition{"==", part}
		if m := versionSpec.FindStringSubmatch(part); m != nil {
			c.version = m[2]
			if m[1] != "" && m[1] != "=" {
				c.oper = m[1]
			}
		}
		out = append(out, c)
	}
	return out
}

// fits tells whether one of the installed versions fits all conditions. ignoreEpoch nil
// leaves epochs away where the version asked for has none and is not a comparison.
func (p *pkgCall) fits(ctx context.Context, have []string, want string, ignoreEpoch any, allowUpdates bool) (bool, error) {
	conds := conditions(want)
next:
	for _, v := range have {
		for _, c := range conds {
			if allowUpdates && len(conds) == 1 && c.oper == "==" {
				c.oper = ">="
			}
			ok, err := p.fitsOne(ctx, v, c, ignoreEpoch)
			if err != nil {
				return false, err
			}
			if !ok {
				continue next
			}
		}
		return true, nil
	}
	return false, nil
}

func (p *pkgCall) fitsOne(ctx context.Context, have string, c condition, ignoreEpoch any) (bool, error) {
	if c.oper == "==" && target.Fnmatch(c.version, have) {
		return true, nil
	}
	ignore := ignoreEpoch
	if ignore == nil {
		ignore = !strings.ContainsAny(c.oper, "<>") && !strings.Contains(c.version, ":")
	}
	v, err := p.call(ctx, "pkg.version_cmp", wire.NewMap("ignore_epoch", ignore), have, c.version)
	if err != nil {
		return false, err
	}
	n, ok := v.(int64)
	if !ok {
		return false, nil
	}
	switch c.oper {
	case "==":
		return n == 0, nil
	case "!=":
		return n != 0, nil
	case "<":
		return n < 0, nil
	case "<=":
		return n <= 0, nil
	case ">":
		return n > 0, nil
	case ">=":
		return n >= 0, nil
	}
	p.c.Log.Error("version comparison with an operator that does not exist", "operator", c.oper)
	return false, nil
}

// verified sorts packages into those that are as they should be and those that are not.
func (p *pkgCall) verified(ctx context.Context, w *wanted, now map[string][]string, ignoreEpoch any) (ok, failed []string, err error) {
	for _, name := range w.names {
		key := name
		if p.family() == "Debian" {
			key, _, _ = strings.Cut(name, "=")
		}
		have, version := now[key], w.version(name)
		switch {
		case len(have) == 0:
			failed = append(failed, name)
			continue
		case version == "latest" || version == "" || strings.HasSuffix(version, "*") && strings.HasPrefix(have[0], version[:len(version)-1]):
			ok = append(ok, name)
			continue
		}
		fits, err := p.fits(ctx, have, version, ignoreEpoch, false)
		if err != nil {
			return nil, nil, err
		}
		if fits {
			ok = append(ok, name)
		} else {
			failed = append(failed, name)
		}
	}
	return ok, failed, nil
}

// failure is the outcome of a function that failed: with what it has changed all the same.
func pkgFailure(err error, doing string) (*outcome, bool) {
	var e *module.Error
	if !errors.As(err, &e) || e.Kind != module.Failed {
		return nil, false
	}
	if e.Info.Len() > 0 {
		changes := e.Info.Map("changes")
		if changes == nil {
			changes = wire.NewMap()
		}
		return &outcome{result: false, comment: e.Brief, changes: changes}, true
	}
	return &outcome{result: false, comment: fmt.Sprintf("An error was encountered while %s: %s", doing, e.Msg), changes: wire.NewMap()}, true
}

// decided is a plan without steps.
func decided(result any, format string, a ...any) *states.Plan {
	return states.Decided(result, nil, fmt.Sprintf(format, a...))
}
