package modules

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("sysctl.default_config", sysctlDefaultConfig)
	register("sysctl.show", sysctlShow)
	register("sysctl.get", sysctlGet)
	register("sysctl.assign", sysctlAssign)
	register("sysctl.persist", sysctlPersist)
}

// sysctlDefaultConfig returns the file that settings are kept in.
//
//	gosalt -G 'kernel:Linux' sysctl.default_config
func sysctlDefaultConfig(ctx context.Context, c *module.Call, a noArgs) (string, error) {
	if c.Host.IsDir("/run/systemd/system") {
		return "/etc/sysctl.d/99-salt.conf", nil
	}
	return "/etc/sysctl.conf", nil
}

type sysctlShowArgs struct {
	ConfigFile any `default:"False"` // Return what is in this file, in place of what the kernel has.
}

// sysctlShow returns the settings of the kernel, or those of a file.
//
//	gosalt '*' sysctl.show
func sysctlShow(ctx context.Context, c *module.Call, a sysctlShowArgs) (any, error) {
	ret := wire.NewMap()
	if module.Truth(a.ConfigFile) {
		file := pytext.Str(a.ConfigFile)
		if !c.Host.Exists(file) {
			return []any{}, nil
		}
		text, err := wholeText(c, file)
		if err != nil {
			c.Log.Error("sysctl settings cannot be read", "file", file, "error", err)
			return nil, nil
		}
		for line := range strings.Lines(text) {
			line = strings.TrimSpace(line)
			if k, v, ok := strings.Cut(line, "="); ok && !strings.HasPrefix(line, "#") {
				ret.Set(strings.TrimRight(k, " \t"), strings.TrimLeft(v, " \t"))
			}
		}
		return ret, nil
	}
	v, err := c.Call(ctx, "cmd.run_stdout", []any{[]any{"sysctl", "-a"}}, wire.NewMap("python_shell", false))
	for line := range strings.Lines(pytext.Str(v)) {
		if k, v, ok := strings.Cut(strings.TrimRight(line, "\n"), " = "); ok {
			ret.Set(k, v)
		}
	}
	return ret, err
}

type sysctlNameArgs struct {
	Name string // Name of a setting: net.ipv4.ip_forward.
}

// sysctlGet returns a setting of the kernel.
//
//	gosalt '*' sysctl.get net.ipv4.ip_forward
func sysctlGet(ctx context.Context, c *module.Call, a sysctlNameArgs) (string, error) {
	v, err := c.Call(ctx, "cmd.run", []any{[]any{"sysctl", "-n", a.Name}}, wire.NewMap("python_shell", false))
	return pytext.Str(v), err
}

type sysctlAssignArgs struct {
	Name  string // Name of a setting.
	Value any    // Its value.
}

// sysctlAssign sets a setting of the kernel until the next start.
//
//	gosalt '*' sysctl.assign net.ipv4.ip_forward 1
func sysctlAssign(ctx context.Context, c *module.Call, a sysctlAssignArgs) (*wire.Map, error) {
	value := pytext.Str(a.Value)
	file := "/proc/sys/" + strings.Map(func(r rune) rune {
		switch r {
		case '.':
			return '/'
		case '/':
			return '.'
		}
		return r
	}, a.Name)
	if !c.Host.Exists(file) {
		return nil, module.Failf("sysctl %s does not exist", a.Name)
	}
	v, err := c.Call(ctx, "cmd.run_all", []any{[]any{"sysctl", "-w", a.Name + "=" + value}}, wire.NewMap("python_shell", false))
	if err != nil {
		return nil, err
	}
	out, _ := v.(*wire.Map)
	stdout, stderr := out.Text("stdout"), out.Text("stderr")
	set := regexp.MustCompile(`^` + regexp.QuoteMeta(a.Name) + `\s+=\s+` + regexp.QuoteMeta(value) + `\n?$`)
	if !set.MatchString(stdout) || strings.Contains(stderr, "Invalid argument") {
		why := stdout
		if out.Int("retcode") != 0 && stderr != "" {
			why = stderr
		}
		return nil, module.Failf("sysctl -w failed: %s", why)
	}
	name, now, _ := strings.Cut(stdout, " = ")
	return wire.NewMap(name, now), nil
}

type sysctlPersistArgs struct {
	Name   string // Name of a setting.
	Value  any    // Its value.
	Config any    `default:"None"` // The file; that of sysctl.default_config where it is None.
}

var blanks = lazyre.New(`\s+`)

// sysctlPersist sets a setting of the kernel, and keeps it in a file for the next start. It
// returns Updated or Already set.
//
//	gosalt '*' sysctl.persist net.ipv4.ip_forward 1
func sysctlPersist(ctx context.Context, c *module.Call, a sysctlPersistArgs) (string, error) {
	file, err := sysctlDefaultConfig(ctx, c, noArgs{})
	if a.Config != nil {
		file = pytext.Str(a.Config)
	}
	if err != nil {
		return "", err
	}
	text := "#\n# Kernel sysctl configuration\n#\n"
	if c.Host.IsFile(file) {
		if text, err = wholeText(c, file); err != nil {
			return "", module.Failf("Could not read from file: %s", file)
		}
	} else {
		err := os.MkdirAll(c.Host.Path(filepath.Dir(file)), 0o755)
		if err == nil {
			err = c.Host.WriteFile(file, []byte(text))
		}
		if err != nil {
			return "", module.Failf("Could not write to file: %s", file)
		}
	}
	value := pytext.Str(a.Value)
	tidy := func(s string) string { return blanks.ReplaceAllString(s, "\t") }
	line, edited := a.Name+" = "+value+"\n", false
	var out strings.Builder
	for l := range strings.Lines(text) {
		k, v, ok := strings.Cut(l, "=")
		k, v = strings.TrimSpace(k), strings.TrimSpace(v)
		if !ok || strings.HasPrefix(k, "#") || k != a.Name {
			out.WriteString(l)
			continue
		}
		if tidy(v) == tidy(value) {
			now, err := sysctlGet(ctx, c, sysctlNameArgs{a.Name})
			if err != nil {
				return "", err
			}
			if tidy(now) == tidy(value) {
				return "Already set", nil
			}
			_, err = sysctlAssign(ctx, c, sysctlAssignArgs{a.Name, a.Value})
			return "Updated", err
		}
		out.WriteString(line)
		edited = true
	}
	if !edited {
		out.WriteString(line)
	}
	if err := c.Host.WriteFile(file, []byte(out.String())); err != nil {
		return "", module.Failf("Could not write to file: %s", file)
	}
	_, err = sysctlAssign(ctx, c, sysctlAssignArgs{a.Name, a.Value})
	return "Updated", err
}
