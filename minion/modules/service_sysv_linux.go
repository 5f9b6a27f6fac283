package modules

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
)

// sysvServices is a machine whose services are scripts in /etc/init.d and no more.
type sysvServices struct{ c *module.Call }

func (s *sysvServices) dir() string {
	if os := pytext.Str(grainOf(s.c, "os")); os == "Arch" || os == "Arch ARM" {
		return "/etc/rc.d"
	}
	return "/etc/init.d"
}

// script runs an init script; one that is not there has failed.
func (s *sysvServices) script(ctx context.Context, name, verb string) (bool, error) {
	words, err := host.Words(s.dir() + "/" + name + " " + verb)
	if err != nil {
		return false, err
	}
	return ran(ctx, s.c, verb == "status", words...)
}

func (s *sysvServices) action(ctx context.Context, verb, name string, _ serviceOptions) (bool, error) {
	switch verb {
	case "start", "stop", "restart", "reload":
		return s.script(ctx, name, verb)
	}
	return false, notHere(s.c)
}

// pidOf asks for the processes of a signature.
func pidOf(ctx context.Context, c *module.Call, sig string) (string, error) {
	v, err := c.Call(ctx, "status.pid", []any{sig}, nil)
	return pytext.Str(v), err
}

func (s *sysvServices) status(ctx context.Context, name, sig string) (any, error) {
	if sig != "" {
		return pidOf(ctx, s.c, sig)
	}
	return statusOf(name, s.names, func(name string) (any, error) { return pidOf(ctx, s.c, name) })
}

func (s *sysvServices) names() ([]string, error) {
	entries, err := os.ReadDir(s.c.Host.Path(s.dir()))
	if err != nil {
		return []string{}, nil
	}
	out := []string{}
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out, nil
}

func (s *sysvServices) available(_ context.Context, name string) (bool, error) {
	all, err := s.names()
	return slices.Contains(all, name), err
}

func (s *sysvServices) enable(context.Context, string, serviceOptions) (bool, error) {
	return false, notHere(s.c)
}

func (s *sysvServices) disable(context.Context, string, serviceOptions) (bool, error) {
	return false, notHere(s.c)
}

func (s *sysvServices) enabled(context.Context, string, serviceOptions) (bool, error) {
	return false, notHere(s.c)
}

func (s *sysvServices) disabled(context.Context, string, serviceOptions) (bool, error) {
	return false, notHere(s.c)
}

func (s *sysvServices) list(_ context.Context, which, _ string) (any, error) {
	if which != "all" {
		return nil, notHere(s.c)
	}
	return s.names()
}

// debianServices is a Debian that was not booted with systemd.
type debianServices struct{ *sysvServices }

func (s *debianServices) action(ctx context.Context, verb, name string, _ serviceOptions) (bool, error) {
	return ran(ctx, s.c, false, "service", name, verb)
}

func (s *debianServices) status(ctx context.Context, name, sig string) (any, error) {
	if sig != "" {
		pid, err := pidOf(ctx, s.c, sig)
		return pid != "", err
	}
	return statusOf(name, func() ([]string, error) { return s.all(ctx) }, func(name string) (any, error) {
		return ran(ctx, s.c, true, "service", name, "status")
	})
}

func (s *debianServices) runlevel(ctx context.Context) string {
	out, err := runTool(ctx, s.c, program{args: []string{"runlevel"}, merge: true, fails: true})
	if err != nil || strings.Contains(out.out, "unknown") {
		return "2" // Debian's own, where nothing has booted
	}
	if f := strings.Fields(out.out); len(f) > 1 {
		return f[1]
	}
	return "2"
}

var rcDigits = lazyre.New(`\d+`)

func (s *debianServices) on(ctx context.Context) []string {
	names := map[string]bool{}
	for _, level := range []string{"S", s.runlevel(ctx)} {
		entries, _ := os.ReadDir(s.c.Host.Path("/etc/rc" + level + ".d"))
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), "S") {
				parts := rcDigits.Split(e.Name(), -1)
				names[parts[len(parts)-1]] = true
			}
		}
	}
	return sortedNames(names)
}

func (s *debianServices) all(ctx context.Context) ([]string, error) {
	names := map[string]bool{}
	scripts, err := s.names()
	for _, n := range scripts {
		if n != "README" && !strings.HasPrefix(n, ".") {
			names[n] = true
		}
	}
	for _, n := range s.on(ctx) {
		names[n] = true
	}
	return sortedNames(names), err
}

func (s *debianServices) available(ctx context.Context, name string) (bool, error) {
	all, err := s.all(ctx)
	return slices.Contains(all, name), err
}

func (s *debianServices) enable(ctx context.Context, name string, _ serviceOptions) (bool, error) {
	if ok, err := ran(ctx, s.c, false, "insserv", name); err != nil || !ok {
		return false, noProgram(err)
	}
	return ran(ctx, s.c, false, "update-rc.d", name, "enable")
}

func (s *debianServices) disable(ctx context.Context, name string, _ serviceOptions) (bool, error) {
	return ran(ctx, s.c, false, "update-rc.d", name, "disable")
}

func (s *debianServices) enabled(ctx context.Context, name string, _ serviceOptions) (bool, error) {
	return slices.Contains(s.on(ctx), name), nil
}

func (s *debianServices) disabled(ctx context.Context, name string, _ serviceOptions) (bool, error) {
	off, err := s.off(ctx)
	return slices.Contains(off, name), err
}

func (s *debianServices) off(ctx context.Context) ([]string, error) {
	all, err := s.all(ctx)
	return lacking(all, s.on(ctx)), err
}

func (s *debianServices) list(ctx context.Context, which, _ string) (any, error) {
	switch which {
	case "enabled":
		return s.on(ctx), nil
	case "disabled":
		return s.off(ctx)
	}
	return s.all(ctx)
}

// chkconfigServices is a machine of the RPM family that was not booted with systemd.
type chkconfigServices struct{ *sysvServices }

func (s *chkconfigServices) action(ctx context.Context, verb, name string, _ serviceOptions) (bool, error) {
	switch verb {
	case "start", "stop", "restart", "reload":
		return ran(ctx, s.c, false, "/sbin/service", name, verb)
	}
	return false, notHere(s.c)
}

func (s *chkconfigServices) status(ctx context.Context, name, sig string) (any, error) {
	if sig != "" {
		pid, err := pidOf(ctx, s.c, sig)
		return pid != "", err
	}
	return statusOf(name, func() ([]string, error) { return s.all(ctx) }, func(name string) (any, error) {
		return ran(ctx, s.c, true, "/sbin/service", name, "status")
	})
}

func (s *chkconfigServices) isScript(name string) bool {
	st, err := s.c.Host.Stat(filepath.Join("/etc/init.d", name))
	return err == nil && st.Mode()&0o100 != 0
}

func (s *chkconfigServices) knows(ctx context.Context, name string) (bool, error) {
	return ran(ctx, s.c, true, "/sbin/chkconfig", "--list", name)
}

func (s *chkconfigServices) available(ctx context.Context, name string) (bool, error) {
	if s.isScript(name) {
		return true, nil
	}
	return s.knows(ctx, name)
}

func (s *chkconfigServices) set(ctx context.Context, name, to string) (bool, error) {
	known, err := s.knows(ctx, name)
	if err != nil {
		return false, err
	}
	if !known {
		if ok, err := ran(ctx, s.c, false, "/sbin/chkconfig", "--add", name); err != nil || !ok {
			return false, err
		}
	}
	return ran(ctx, s.c, false, "/sbin/chkconfig", name, to)
}

func (s *chkconfigServices) enable(ctx context.Context, name string, _ serviceOptions) (bool, error) {
	return s.set(ctx, name, "on")
}

func (s *chkconfigServices) disable(ctx context.Context, name string, _ serviceOptions) (bool, error) {
	return s.set(ctx, name, "off")
}

func (s *chkconfigServices) enabled(ctx context.Context, name string, _ serviceOptions) (bool, error) {
	level := "3"
	if out, err := runTool(ctx, s.c, program{args: []string{"/sbin/runlevel"}, fails: true}); err == nil {
		if f := strings.Fields(out.out); len(f) > 1 && !strings.Contains(out.out, "unknown") {
			level = f[1]
		}
	}
	out, err := runTool(ctx, s.c, program{args: []string{"/sbin/chkconfig", "--list", name}, fails: true})
	if err != nil {
		return false, err
	}
	if out.ok() {
		for _, row := range strings.Split(out.out, "\n") {
			f := strings.Fields(row)
			if len(f) > 0 && f[0] == name && (strings.Contains(row, level+":on") || len(f) == 2 && f[1] == "on") {
				return true, nil
			}
		}
	}
	found, _ := filepath.Glob(s.c.Host.Path("/etc/rc.d/rc" + level + ".d/S??" + name))
	return len(found) > 0, nil
}

func (s *chkconfigServices) disabled(ctx context.Context, name string, o serviceOptions) (bool, error) {
	on, err := s.enabled(ctx, name, o)
	return err == nil && !on, err
}

func (s *chkconfigServices) all(ctx context.Context) ([]string, error) {
	out, err := runTool(ctx, s.c, program{args: []string{"chkconfig", "--list"}})
	if err != nil {
		return nil, err
	}
	names := []string{}
	for _, row := range strings.Split(out.out, "\n") {
		if f := strings.Fields(row); len(f) > 1 && strings.HasPrefix(f[1], "0:") && s.isScript(f[0]) {
			names = append(names, f[0])
		}
	}
	slices.Sort(names)
	return names, nil
}

func (s *chkconfigServices) list(ctx context.Context, which, _ string) (any, error) {
	all, err := s.all(ctx)
	if err != nil || which == "all" {
		return all, err
	}
	out := []string{}
	for _, n := range all {
		on, err := s.enabled(ctx, n, serviceOptions{})
		if err != nil {
			return nil, err
		}
		if on == (which == "enabled") {
			out = append(out, n)
		}
	}
	return out, nil
}
