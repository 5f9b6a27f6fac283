package modules

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("kmod.available", kmodAvailable)
	register("kmod.check_available", kmodCheckAvailable)
	register("kmod.lsmod", kmodLsmod)
	register("kmod.mod_list", kmodModList)
	register("kmod.load", kmodLoad)
	register("kmod.is_loaded", kmodIsLoaded)
	register("kmod.remove", kmodRemove)
}

// kmodConf is the file that names what is loaded at start.
func kmodConf(c *module.Call) string {
	if c.Grains().Has("systemd") {
		return "/etc/modules-load.d/salt_managed.conf"
	}
	return "/etc/modules"
}

func kmodProgram(name string) (string, error) {
	path := whichProgram(name)
	if path == "" {
		return "", module.Failf("Command '%s' cannot be found", name)
	}
	return path, nil
}

// kmodAvailable lists the modules that the kernel has.
//
//	gosalt '*' kmod.available
func kmodAvailable(_ context.Context, c *module.Call, _ noArgs) ([]string, error) {
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return nil, module.Failf("version of the kernel: %w", err)
	}
	dir := c.Host.Path("/lib/modules/" + unix.ByteSliceToString(uts.Release[:]))
	out := []string{}
	if text, err := os.ReadFile(filepath.Join(dir, "modules.builtin")); err == nil {
		for _, line := range strings.Fields(string(text)) {
			out = append(out, strings.TrimSuffix(filepath.Base(line), ".ko"))
		}
	}
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error { // there may be none
		if err == nil && !d.IsDir() {
			if name, _, ok := strings.Cut(d.Name(), ".ko"); ok {
				out = append(out, strings.ReplaceAll(name, "-", "_"))
			}
		}
		return nil
	})
	slices.Sort(out)
	return out, nil
}

type kmodModArgs struct {
	Mod string // Name of a module.
}

// kmodCheckAvailable tells whether the kernel has a module.
//
//	gosalt '*' kmod.check_available kvm
func kmodCheckAvailable(ctx context.Context, c *module.Call, a kmodModArgs) (bool, error) {
	all, err := kmodAvailable(ctx, c, noArgs{})
	return slices.Contains(all, a.Mod), err
}

// kmodLsmod lists the modules that are loaded, each with its size, how often it is used
// and by whom.
//
//	gosalt '*' kmod.lsmod
func kmodLsmod(ctx context.Context, c *module.Call, _ noArgs) ([]any, error) {
	prog, err := kmodProgram("lsmod")
	if err != nil {
		return nil, err
	}
	v, err := c.Call(ctx, "cmd.run", []any{prog}, nil)
	if err != nil {
		return nil, err
	}
	out := []any{}
	for line := range strings.Lines(pytext.Str(v)) {
		f := strings.Fields(line)
		if len(f) < 3 || f[0] == "Module" {
			continue
		}
		deps := []any{}
		if len(f) > 3 {
			deps = anyList(strings.Split(f[3], ","))
		}
		out = append(out, wire.NewMap("size", f[1], "module", f[0], "depcount", f[2], "deps", deps))
	}
	return out, nil
}

type kmodModListArgs struct {
	OnlyPersist bool `default:"False"` // Those that are loaded at start.
}

// kmodModList lists the names of the modules that are loaded.
//
//	gosalt '*' kmod.mod_list
func kmodModList(ctx context.Context, c *module.Call, a kmodModListArgs) ([]string, error) {
	out := []string{}
	if a.OnlyPersist {
		text, err := c.Host.ReadFile(kmodConf(c))
		if err != nil && !os.IsNotExist(err) {
			c.Log.Error("list of modules not read", "error", err)
		}
		for line := range strings.Lines(string(text)) {
			if f := strings.Fields(line); len(f) > 0 && !strings.HasPrefix(f[0], "#") {
				out = append(out, f[0])
			}
		}
	} else {
		all, err := kmodLsmod(ctx, c, noArgs{})
		if err != nil {
			return nil, err
		}
		for _, m := range all {
			out = append(out, m.(*wire.Map).Text("module"))
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// kmodIsLoaded tells whether a module is loaded.
//
//	gosalt '*' kmod.is_loaded kvm
func kmodIsLoaded(ctx context.Context, c *module.Call, a kmodModArgs) (bool, error) {
	all, err := kmodModList(ctx, c, kmodModListArgs{})
	return slices.Contains(all, a.Mod), err
}

type kmodLoadArgs struct {
	Mod     string // Name of a module.
	Persist bool   `default:"False"` // Load it at each start, too.
}

// kmodChange runs a program on a module, and returns those that are loaded before and
// after; a text is what the program said when it failed.
func kmodChange(ctx context.Context, c *module.Call, prog, mod, failed string) (before, after []string, why string, err error) {
	path, err := kmodProgram(prog)
	if err != nil {
		return nil, nil, "", err
	}
	if before, err = kmodModList(ctx, c, kmodModListArgs{}); err != nil {
		return nil, nil, "", err
	}
	v, err := c.Call(ctx, "cmd.run_all", []any{path + " " + mod}, wire.NewMap("python_shell", false))
	if err != nil {
		return nil, nil, "", err
	}
	if ret := v.(*wire.Map); ret.Int("retcode") != 0 {
		return nil, nil, failed + " module " + mod + ": " + ret.Text("stderr"), nil
	}
	after, err = kmodModList(ctx, c, kmodModListArgs{})
	return before, after, "", err
}

// kmodDiff are the texts of a that are not in b.
func kmodDiff(a, b []string) []string {
	out := []string{}
	for _, s := range a {
		if !slices.Contains(b, s) {
			out = append(out, s)
		}
	}
	return out
}

func sorted(l []string) []any {
	slices.Sort(l)
	return anyList(slices.Compact(l))
}

// kmodLoad loads a module and returns those that are loaded now and were not, or a text
// that says why it failed.
//
//	gosalt '*' kmod.load kvm
func kmodLoad(ctx context.Context, c *module.Call, a kmodLoadArgs) (any, error) {
	before, after, why, err := kmodChange(ctx, c, "modprobe", a.Mod, "Error loading")
	if err != nil || why != "" {
		return why, err
	}
	changed := kmodDiff(after, before)
	if a.Persist {
		name, err := kmodPersist(ctx, c, a.Mod)
		if err != nil {
			return nil, err
		}
		changed = append(changed, name...)
	}
	return sorted(changed), nil
}

func kmodPersist(ctx context.Context, c *module.Call, mod string) ([]string, error) {
	conf := kmodConf(c)
	if !c.Host.Exists(conf) {
		if _, err := c.Call(ctx, "file.touch", []any{conf}, nil); err != nil {
			return nil, err
		}
	}
	f := strings.Fields(mod)
	if len(f) == 0 {
		return nil, nil
	}
	have, err := kmodModList(ctx, c, kmodModListArgs{OnlyPersist: true})
	if err != nil {
		return nil, err
	}
	all, err := kmodAvailable(ctx, c, noArgs{})
	if err != nil || slices.Contains(have, f[0]) || !slices.Contains(all, f[0]) {
		return nil, err
	}
	quoted := regexp.QuoteMeta(mod)
	off, err := c.Call(ctx, "file.search", []any{conf, "^#[\t ]*" + quoted + "[\t ]*$"}, wire.NewMap("multiline", true))
	if err != nil {
		return nil, err
	}
	if module.Truth(off) {
		_, err = c.Call(ctx, "file.uncomment", []any{conf, quoted}, nil)
	} else {
		_, err = c.Call(ctx, "file.append", []any{conf, mod}, nil)
	}
	return f[:1], err
}

type kmodRemoveArgs struct {
	Mod     string // Name of a module.
	Persist bool   `default:"False"` // Do not load it at start any more, either.
	Comment bool   `default:"True"`  // Put a # in front of its line, in place of removing it.
}

// kmodRemove unloads a module and returns those that are no longer loaded, or a text that
// says why it failed.
//
//	gosalt '*' kmod.remove kvm
func kmodRemove(ctx context.Context, c *module.Call, a kmodRemoveArgs) (any, error) {
	before, after, why, err := kmodChange(ctx, c, "rmmod", a.Mod, "Error removing")
	if err != nil || why != "" {
		return why, err
	}
	changed := kmodDiff(before, after)
	if a.Persist {
		name, err := kmodForget(ctx, c, a.Mod, a.Comment)
		if err != nil {
			return nil, err
		}
		changed = append(changed, name...)
	}
	return sorted(changed), nil
}

func kmodForget(ctx context.Context, c *module.Call, mod string, comment bool) ([]string, error) {
	f := strings.Fields(mod)
	have, err := kmodModList(ctx, c, kmodModListArgs{OnlyPersist: true})
	if err != nil || len(f) == 0 || !slices.Contains(have, f[0]) {
		return nil, err
	}
	line := "^[\t ]*" + regexp.QuoteMeta(mod) + "[\t ]?"
	if comment {
		_, err = c.Call(ctx, "file.comment", []any{kmodConf(c), line}, nil)
	} else {
		_, err = c.Call(ctx, "file.sed", []any{kmodConf(c), line, ""}, nil)
	}
	return f[:1], err
}
