package modules

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/systemd"
	"github.com/gosalt/gosalt/protocol/wire"
)

// systemdServices is a machine with systemd. It is asked over D-Bus where that answers
// alike, and told through systemctl, whose messages are those that people know.
type systemdServices struct{ c *module.Call }

// systemdOffline tells whether systemctl is there and no systemd runs.
func systemdOffline(c *module.Call) bool {
	return grainOf(c, "kernel") == "Linux" && !systemd.Booted(c.Host.Exists) && whichProgram("systemctl") != ""
}

// unitTypes are the types that Salt lists.
var unitTypes = []string{"service", "socket", "device", "mount", "automount", "swap", "target", "path", "timer"}

// canonicalUnit is the name that Salt gives systemctl.
func canonicalUnit(name string) string {
	for _, t := range unitTypes {
		if strings.HasSuffix(name, t) {
			return name
		}
	}
	return name + ".service"
}

// systemctl runs it. scoped puts it outside of the minion's control group, since a
// service that is restarted may be the minion itself.
func (s *systemdServices) systemctl(ctx context.Context, scoped bool, root string, p program, args ...string) (*programExit, error) {
	cmd := []string{"systemctl"}
	if s.c.Host.Root != "" {
		root = s.c.Host.Path(root)
		p.below = true
	}
	if root != "" {
		cmd = append(cmd, "--root", root)
	}
	if scoped && s.scopes(ctx) {
		cmd = append([]string{"systemd-run", "--quiet", "--scope"}, cmd...)
	}
	p.args = append(cmd, args...)
	return runTool(ctx, s.c, p)
}

// scopes tells whether commands can be, and are to be, run in a scope.
func (s *systemdServices) scopes(ctx context.Context) bool {
	return s.c.Host.Root == "" && systemd.Booted(s.c.Host.Exists) && whichProgram("systemd-run") != "" && useScope(ctx, s.c)
}

// useScope is what the configuration says of systemd.scope.
func useScope(ctx context.Context, c *module.Call) bool {
	v, err := c.Call(ctx, "config.get", []any{"systemd.scope", true}, nil)
	return err != nil || module.Truth(v)
}

// unit asks for a unit. It is nil where only systemctl can tell.
func (s *systemdServices) unit(ctx context.Context, name string) *systemd.Unit {
	if s.c.Host.Root != "" || !systemd.Booted(s.c.Host.Exists) {
		return nil
	}
	u, err := systemd.Query(ctx, canonicalUnit(name))
	if err != nil {
		return nil
	}
	return u
}

func (s *systemdServices) check(ctx context.Context, name string) (there, stale bool, err error) {
	if systemdOffline(s.c) {
		return false, false, module.Failf("Cannot run in offline mode. Failed to get information on unit '%s'", name)
	}
	if u := s.unit(ctx, name); u != nil {
		return u.Known(), u.Stale, nil
	}
	out, err := s.systemctl(ctx, false, "", program{merge: true, fails: true}, "status", canonicalUnit(name), "-n", "0")
	if err != nil {
		return false, false, err
	}
	return out.code >= 0 && out.code < 4, strings.Contains(strings.ToLower(out.out), "'systemctl daemon-reload'"), nil
}

// refresh has systemd read its unit files anew where one is new or has changed.
func (s *systemdServices) refresh(ctx context.Context, name string) error {
	if systemdOffline(s.c) { // nobody is there who would read them
		return nil
	}
	there, stale, err := s.check(ctx, name)
	if err != nil {
		return err
	}
	if stale || !there && s.c.Host.Exists("/etc/systemd/system/"+canonicalUnit(name)) {
		return s.reload(ctx)
	}
	return nil
}

func (s *systemdServices) reload(ctx context.Context) error {
	out, err := s.systemctl(ctx, false, "", program{merge: true}, "--system", "daemon-reload")
	if err == nil && !out.ok() {
		err = module.Failf("Problem performing systemctl daemon-reload: %s", out.out)
	}
	return err
}

func (s *systemdServices) available(ctx context.Context, name string) (bool, error) {
	if err := s.refresh(ctx, name); err != nil {
		return false, err
	}
	there, _, err := s.check(ctx, name)
	return there, err
}

// unmaskFirst takes masks away that are in the way.
func (s *systemdServices) unmaskFirst(ctx context.Context, name string, o serviceOptions) error {
	for _, m := range []struct{ wanted, runtime bool }{{o.unmask, false}, {o.unmaskRuntime, true}} {
		if m.wanted {
			if _, err := s.unmask(ctx, name, m.runtime, o.root); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *systemdServices) action(ctx context.Context, verb, name string, o serviceOptions) (bool, error) {
	if err := s.refresh(ctx, name); err != nil {
		return false, err
	}
	if err := s.unmaskFirst(ctx, name, o); err != nil {
		return false, err
	}
	if o.noBlock == nil && (verb == "stop" || verb == "restart") && isMinionUnit(name) {
		yes := true
		o.noBlock = &yes // it would wait for its own end
	}
	out, err := s.systemctl(ctx, true, "", program{}, s.blocking(o, verb, name)...)
	if err != nil {
		return false, err
	}
	if !out.ok() && verb != "stop" {
		return false, module.Failf("%s", withoutScope(out.err))
	}
	return out.ok(), nil
}

func isMinionUnit(name string) bool {
	n := canonicalUnit(name)
	return n == "salt-minion.service" || n == "gosalt-minion.service"
}

func (s *systemdServices) blocking(o serviceOptions, verb, name string) []string {
	args := []string{verb, canonicalUnit(name)}
	if o.noBlock != nil && *o.noBlock {
		args = append([]string{"--no-block"}, args...)
	}
	return args
}

// withoutScope drops the lines about the scope that systemd-run made.
func withoutScope(msg string) string {
	var keep []string
	for _, line := range strings.Split(msg, "\n") {
		if !strings.HasSuffix(line, ".scope") {
			keep = append(keep, line)
		}
	}
	return strings.TrimSpace(strings.Join(keep, "\n"))
}

func (s *systemdServices) status(ctx context.Context, name, _ string) (any, error) {
	return statusOf(name, func() ([]string, error) { return s.all(""), nil }, func(name string) (any, error) {
		if err := s.refresh(ctx, name); err != nil {
			return nil, err
		}
		if u := s.unit(ctx, name); u != nil {
			return u.Running(), nil
		}
		out, err := s.systemctl(ctx, false, "", program{fails: true}, "is-active", canonicalUnit(name))
		return err == nil && out.ok(), err
	})
}

func (s *systemdServices) enable(ctx context.Context, name string, o serviceOptions) (bool, error) {
	if err := s.refresh(ctx, name); err != nil {
		return false, err
	}
	if err := s.unmaskFirst(ctx, name, o); err != nil {
		return false, err
	}
	if slices.Contains(s.scripts(o.root), name) {
		return s.sysvTool(ctx, []string{"-f", name, "defaults", "99"}, []string{name, "on"})
	}
	out, err := s.systemctl(ctx, true, o.root, program{fails: true}, s.blocking(o, "enable", name)...)
	if err != nil {
		return false, err
	}
	if !out.ok() {
		return false, module.Failf("%s", withoutScope(out.err))
	}
	return true, nil
}

func (s *systemdServices) disable(ctx context.Context, name string, o serviceOptions) (bool, error) {
	if err := s.refresh(ctx, name); err != nil {
		return false, err
	}
	if slices.Contains(s.scripts(o.root), name) {
		return s.sysvTool(ctx, []string{"-f", name, "remove"}, []string{name, "off"})
	}
	out, err := s.systemctl(ctx, true, o.root, program{fails: true}, s.blocking(o, "disable", name)...)
	return err == nil && out.ok(), err
}

// sysvTool enables or disables an init script.
func (s *systemdServices) sysvTool(ctx context.Context, updateRC, chkconfig []string) (bool, error) {
	var args []string
	switch {
	case whichProgram("update-rc.d") != "":
		args = append([]string{"update-rc.d"}, updateRC...)
	case whichProgram("chkconfig") != "":
		args = append([]string{"chkconfig"}, chkconfig...)
	default:
		return false, module.Failf("Unable to find sysv service manager (tried update-rc.d, chkconfig)")
	}
	if s.scopes(ctx) {
		args = append([]string{"systemd-run", "--quiet", "--scope"}, args...)
	}
	return ran(ctx, s.c, true, args...)
}

func (s *systemdServices) enabled(ctx context.Context, name string, o serviceOptions) (bool, error) {
	script := s.c.Host.Exists("/etc/init.d/" + name) // systemctl hands those to another program
	var on bool
	if u := s.unit(ctx, name); u != nil && !script && o.root == "" {
		on = u.Enabled()
	} else {
		out, err := s.systemctl(ctx, false, o.root, program{fails: true}, "is-enabled", canonicalUnit(name))
		if err != nil {
			return false, err
		}
		on = out.ok()
	}
	switch {
	case on:
		return true, nil
	case strings.Contains(name, "@"): // old versions do not tell of those
		found := false
		_ = filepath.WalkDir(s.c.Host.Path("/etc/systemd/system"), func(_ string, d os.DirEntry, err error) error {
			if err == nil && d.Type()&os.ModeSymlink != 0 && globMatch(name, d.Name()) {
				found = true
				return filepath.SkipAll
			}
			return nil
		})
		return found, nil
	case slices.Contains(s.scripts(o.root), name):
		return s.scriptEnabled(ctx, name, o.root), nil
	}
	return false, nil
}

func (s *systemdServices) disabled(ctx context.Context, name string, o serviceOptions) (bool, error) {
	on, err := s.enabled(ctx, name, o)
	return err == nil && !on, err
}

// all lists the unit files that Salt looks at and the init scripts, sorted.
func (s *systemdServices) all(root string) []string {
	names := s.units(root)
	for _, n := range s.scripts(root) {
		names[n] = true
	}
	return sortedNames(names)
}

func sortedNames(m map[string]bool) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// unitName is a unit as Salt lists it: services without their type. ok is false for types
// that it does not list.
func unitName(full string) (name string, ok bool) {
	i := strings.LastIndexByte(full, '.')
	if i < 0 || !slices.Contains(unitTypes, full[i+1:]) {
		return "", false
	}
	if full[i+1:] == "service" {
		return full[:i], true
	}
	return full, true
}

func (s *systemdServices) units(root string) map[string]bool {
	names := map[string]bool{}
	for _, dir := range []string{"/lib/systemd/system", "/usr/lib/systemd/system", "/etc/systemd/system"} {
		path := s.c.Host.Path(filepath.Join("/", root, dir))
		if fi, err := os.Lstat(path); err != nil || fi.Mode()&os.ModeSymlink != 0 {
			continue // it is the other one
		}
		entries, _ := os.ReadDir(path)
		for _, e := range entries {
			if n, ok := unitName(e.Name()); ok {
				names[n] = true
			}
		}
	}
	return names
}

// scripts lists the init scripts that have no unit file.
func (s *systemdServices) scripts(root string) []string {
	dir := s.c.Host.Path(filepath.Join("/", root, "/etc/init.d"))
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var units map[string]bool
	var out []string
	for _, e := range entries {
		fi, err := os.Stat(filepath.Join(dir, e.Name()))
		if err != nil || fi.Mode()&0o111 == 0 {
			continue
		}
		if units == nil {
			units = s.units(root)
		}
		if !units[e.Name()] {
			out = append(out, e.Name())
		}
	}
	return out
}

// scriptEnabled looks for the link that starts an init script in the present runlevel.
func (s *systemdServices) scriptEnabled(ctx context.Context, name, root string) bool {
	level := "2"
	if out, err := runTool(ctx, s.c, program{args: []string{"runlevel"}, fails: true}); err == nil {
		if f := strings.Fields(out.out); len(f) > 1 {
			level = f[1]
		}
	}
	is := regexp.MustCompile(`^S\d{0,2}` + regexp.QuoteMeta(name) + `$`)
	entries, _ := os.ReadDir(s.c.Host.Path(filepath.Join("/", root, "/etc/rc"+level+".d")))
	return slices.ContainsFunc(entries, func(e os.DirEntry) bool { return is.MatchString(e.Name()) })
}

func (s *systemdServices) list(ctx context.Context, which, root string) (any, error) {
	if which == "all" {
		return s.all(root), nil
	}
	names, err := s.inState(ctx, which, root)
	if err != nil {
		return nil, err
	}
	for _, n := range s.scripts(root) {
		if s.scriptEnabled(ctx, n, root) == (which == "enabled") {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// inState lists the unit files that are enabled, disabled or static.
func (s *systemdServices) inState(ctx context.Context, state, root string) ([]string, error) {
	out, err := s.systemctl(ctx, false, root, program{fails: true}, "--full", "--no-legend", "--no-pager", "list-unit-files")
	if err != nil {
		return nil, err
	}
	return unitNames(out.out, 1, state), nil
}

func (s *systemdServices) running(ctx context.Context) ([]string, error) {
	out, err := s.systemctl(ctx, false, "", program{fails: true}, "--full", "--no-legend", "--no-pager")
	if err != nil {
		return nil, err
	}
	return unitNames(out.out, 3, "running"), nil
}

// unitNames are the units of a table of systemctl whose column holds a word.
func unitNames(table string, column int, word string) []string {
	names := map[string]bool{}
	for _, line := range strings.Split(table, "\n") {
		if f := strings.Fields(line); len(f) > column && f[column] == word {
			if n, ok := unitName(f[0]); ok {
				names[n] = true
			}
		}
	}
	return sortedNames(names)
}

func (s *systemdServices) mask(ctx context.Context, name string, runtime bool, root string) (bool, error) {
	if err := s.refresh(ctx, name); err != nil {
		return false, err
	}
	out, err := s.systemctl(ctx, true, root, program{merge: true}, runtimeArgs("mask", runtime, name)...)
	if err == nil && !out.ok() {
		err = module.Failf("Failed to mask service '%s'. Additional info follows:\n\n%s", name, out.out)
	}
	return err == nil, err
}

func runtimeArgs(verb string, runtime bool, name string) []string {
	if runtime {
		return []string{verb, "--runtime", canonicalUnit(name)}
	}
	return []string{verb, canonicalUnit(name)}
}

func (s *systemdServices) masked(ctx context.Context, name string, runtime bool, root string) (bool, error) {
	if err := s.refresh(ctx, name); err != nil {
		return false, err
	}
	dir := "/etc"
	if runtime {
		dir = "/run"
	}
	to, err := s.c.Host.Readlink(filepath.Join("/", root, dir, "systemd/system", canonicalUnit(name)))
	return err == nil && to == "/dev/null", nil
}

func (s *systemdServices) unmask(ctx context.Context, name string, runtime bool, root string) (bool, error) {
	if is, err := s.masked(ctx, name, runtime, root); err != nil || !is {
		return err == nil, err
	}
	out, err := s.systemctl(ctx, true, root, program{merge: true}, runtimeArgs("unmask", runtime, name)...)
	if err == nil && !out.ok() {
		err = module.Failf("Failed to unmask service '%s'", name)
	}
	return err == nil, err
}

func (s *systemdServices) show(ctx context.Context, name, root string) (*wire.Map, error) {
	out, err := s.systemctl(ctx, false, root, program{}, "show", canonicalUnit(name))
	if err != nil {
		return nil, err
	}
	m := wire.NewMap()
	for _, line := range strings.Split(out.out, "\n") {
		key, value, _ := strings.Cut(line, "=")
		switch {
		case strings.HasPrefix(value, "{"):
			parts := wire.NewMap()
			for _, item := range strings.Split(strings.NewReplacer("{", "", "}", "").Replace(value), " ; ") {
				k, rest, _ := strings.Cut(item, "=")
				v, _, _ := strings.Cut(rest, "=")
				parts.Set(strings.TrimSpace(k), strings.TrimSpace(v))
			}
			m.Set(key, parts)
		case key == "Before" || key == "After" || key == "Wants":
			l := []any{}
			for _, v := range strings.Fields(value) {
				l = append(l, v)
			}
			m.Set(key, l)
		default:
			m.Set(key, value)
		}
	}
	return m, nil
}

func (s *systemdServices) execs(ctx context.Context, root string) (*wire.Map, error) {
	m := wire.NewMap()
	for _, name := range s.all(root) {
		p, err := s.show(ctx, name, root)
		if err != nil {
			return nil, err
		}
		if x := p.Map("ExecStart"); x != nil {
			m.Set(name, x.Text("path"))
		}
	}
	return m, nil
}
