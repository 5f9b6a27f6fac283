package modules

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/durable"
	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/protocol/wire"
)

// syncForms are the kinds of modules that Salt fetches from the file server, in the
// order of saltutil.sync_all. A kind's folder there is its name after an underscore.
var syncForms = []struct{ fun, form string }{
	{"clouds", "clouds"}, {"beacons", "beacons"}, {"modules", "modules"}, {"states", "states"}, {"sdb", "sdb"}, {"grains", "grains"},
	{"renderers", "renderers"}, {"returners", "returners"}, {"output", "output"}, {"utils", "utils"}, {"log_handlers", "log_handlers"},
	{"executors", "executors"}, {"proxymodules", "proxy"}, {"engines", "engines"}, {"thorium", "thorium"}, {"serializers", "serializers"},
	{"matchers", "matchers"},
}

func init() {
	register("saltutil.sync_modules", saltutilSyncModules)
	for _, f := range syncForms {
		switch f.fun {
		case "modules":
		case "grains":
			register("saltutil.sync_grains", saltutilSyncGrains)
		case "sdb":
			register("saltutil.sync_sdb", saltutilSyncModules, module.Positional("saltenv extmod_whitelist extmod_blacklist"))
		default:
			alias("saltutil.sync_"+f.fun, "saltutil.sync_modules")
		}
	}
	alias("saltutil.sync_outputters", "saltutil.sync_output")
	register("saltutil.sync_pillar", saltutilSyncPillar)
	register("saltutil.sync_all", saltutilSyncAll)
	register("saltutil.list_extmods", saltutilListExtmods)
}

type syncArgs struct {
	Saltenv         any  `arg:"saltenv" default:"None"`  // Environments of the file server, a list or with commas: the minion's saltenv, or base.
	Refresh         bool `default:"True"`                // Of no effect: there is nothing to load anew.
	ExtmodWhitelist any  `default:"None"`                // Only these modules: names with commas; the option extmod_whitelist where not given.
	ExtmodBlacklist any  `default:"None"`                // Not these modules, likewise.
	Test            bool `arg:"test,kw" default:"False"` // Only tell what would be fetched.
}

type syncAllArgs struct {
	syncArgs
	CleanPillarCache bool `default:"False"` // Of no effect: the pillar is always got anew.
}

// saltutilSyncModules copies modules of one kind from the file server (salt://_modules,
// salt://_states and so on) to this minion, and lists those that are new or have changed.
// They are kept for other programs, and listed by saltutil.list_extmods: gosalt does not
// run Python.
//
//	gosalt '*' saltutil.sync_modules
//	gosalt '*' saltutil.sync_states saltenv=base,dev
func saltutilSyncModules(ctx context.Context, c *module.Call, a syncArgs) ([]string, error) {
	kind := strings.TrimPrefix(c.Fun(), "saltutil.sync_")
	if kind == "outputters" {
		kind = "output"
	}
	for _, f := range syncForms {
		if f.fun == kind {
			return syncForm(ctx, c, f.form, a)
		}
	}
	return syncForm(ctx, c, "modules", a)
}

// saltutilSyncGrains copies modules of salt://_grains as saltutil.sync_modules does.
//
//	gosalt '*' saltutil.sync_grains
func saltutilSyncGrains(ctx context.Context, c *module.Call, a syncAllArgs) ([]string, error) {
	return syncForm(ctx, c, "grains", a.syncArgs)
}

// saltutilSyncPillar copies modules of salt://_pillar as saltutil.sync_modules does; only
// a minion without a master has a use for them.
//
//	gosalt-call --local saltutil.sync_pillar
func saltutilSyncPillar(ctx context.Context, c *module.Call, a syncAllArgs) ([]string, error) {
	if c.Opts.Text("file_client") != "local" && c.Master != nil {
		return nil, module.Failf("Pillar modules can only be synced to masterless minions")
	}
	return syncForm(ctx, c, "pillar", a.syncArgs)
}

// saltutilSyncAll copies modules of all kinds from the file server, as
// saltutil.sync_modules does for one, and then gets the pillar anew.
//
//	gosalt '*' saltutil.sync_all
//	gosalt '*' saltutil.sync_all extmod_whitelist='{"modules": ["custom_module"]}'
func saltutilSyncAll(ctx context.Context, c *module.Call, a syncAllArgs) (*wire.Map, error) {
	out := wire.NewMap()
	for _, f := range syncForms {
		changed, err := syncForm(ctx, c, f.form, a.syncArgs)
		if err != nil {
			return nil, err
		}
		out.Set(f.fun, changed)
	}
	if c.Opts.Text("file_client") == "local" {
		changed, err := syncForm(ctx, c, "pillar", a.syncArgs)
		if err != nil {
			return nil, err
		}
		out.Set("pillar", changed)
	}
	if a.Refresh && c.Master != nil && !a.Test {
		if _, err := refresh(ctx, c, "pillar"); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// isExtmod are the files that Salt takes for modules.
var isExtmod = lazyre.New(`\.(pyx?|so|zip)$`)

// extmodsDir is where modules of the file server are kept.
func extmodsDir(c *module.Call) (string, error) {
	dir := c.Opts.Text("extension_modules")
	if dir == "" && c.CacheDir != "" {
		dir = filepath.Join(c.CacheDir, "extmods")
	}
	if dir == "" {
		return "", module.Failf("there is no directory for modules: set extension_modules")
	}
	return c.Host.Path(dir), nil
}

// syncForm copies the modules of one kind, and removes those that the file server does
// not have any more (clean_dynamic_modules). With test it only tells of the former.
func syncForm(ctx context.Context, c *module.Call, form string, a syncArgs) ([]string, error) {
	server, err := fileServer(c)
	if err != nil {
		return nil, err
	}
	top, err := extmodsDir(c)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(top, form)
	if !a.Test {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, module.Failf("%w", err)
		}
	}
	root, err := os.OpenRoot(dir)
	switch {
	case err == nil:
		defer root.Close()
	case !a.Test || !errors.Is(err, fs.ErrNotExist):
		return nil, module.Failf("%w", err)
	}
	only, not := extmodNames(c, "extmod_whitelist", form, a.ExtmodWhitelist), extmodNames(c, "extmod_blacklist", form, a.ExtmodBlacklist)
	changed, remote := []string{}, map[string]bool{}
	for _, env := range syncEnvs(c, a.Saltenv) {
		paths, err := server.List(ctx, env, "_"+form+"/")
		if err != nil {
			return nil, module.Failf("list salt://_%s: %w", form, err)
		}
		for _, p := range paths {
			rel, ok := strings.CutPrefix(p, "_"+form+"/")
			if !ok || !isExtmod.MatchString(rel) {
				continue
			}
			name := strings.ReplaceAll(strings.TrimSuffix(rel, filepath.Ext(rel)), "/", ".")
			if only != nil && !slices.Contains(only, name) || slices.Contains(not, name) {
				continue
			}
			content, err := server.ReadFile(ctx, env, p)
			if err != nil {
				return nil, module.Failf("fetch salt://%s: %w", p, err)
			}
			remote[rel] = true
			if root != nil {
				if old, err := root.ReadFile(rel); err == nil && bytes.Equal(old, content) {
					continue
				}
			}
			if a.Test {
				changed = append(changed, form+"."+name)
				continue
			}
			if err := root.MkdirAll(filepath.Dir(rel), 0o700); err != nil {
				return nil, module.Failf("%w", err)
			}
			if err := durable.WriteFile(filepath.Join(dir, rel), content, 0o600); err != nil {
				return nil, module.Failf("%w", err)
			}
			changed = append(changed, form+"."+name)
		}
	}
	if a.Test {
		return changed, nil
	}
	if v, ok := c.Opts.Get("clean_dynamic_modules"); !ok || v == true {
		err = removeOthers(root, remote)
	}
	if err != nil {
		return nil, module.Failf("remove old modules: %w", err)
	}
	if len(changed) > 0 {
		c.Log.Warn("modules in Python were fetched: they are kept, and not run", "kind", form, "modules", changed)
	}
	return changed, nil
}

// removeOthers removes what is not to be kept of a directory, and empty directories.
func removeOthers(root *os.Root, keep map[string]bool) error {
	var dirs []string
	err := fs.WalkDir(root.FS(), ".", func(p string, e fs.DirEntry, err error) error {
		switch {
		case err != nil || p == ".":
			return err
		case e.IsDir():
			dirs = append(dirs, p)
			return nil
		case keep[p]:
			return nil
		}
		return root.Remove(p)
	})
	for _, d := range slices.Backward(dirs) {
		if entries, e := fs.ReadDir(root.FS(), d); e == nil && len(entries) == 0 {
			err = errors.Join(err, root.Remove(d))
		}
	}
	return err
}

// syncEnvs are the environments to look into.
func syncEnvs(c *module.Call, v any) []string {
	switch v := v.(type) {
	case string:
		return strings.Split(v, ",")
	case []any:
		var out []string
		for _, e := range v {
			if s, ok := e.(string); ok {
				out = append(out, s)
			}
		}
		return out
	}
	return []string{cpEnv{}.env(c)}
}

// extmodNames is a list of modules of one kind: given as text or as a map by kind, else
// the option's; nil where there is none.
func extmodNames(c *module.Call, option, form string, given any) (names []string) {
	if given == nil {
		given, _ = c.Opts.Get(option)
	}
	switch v := given.(type) {
	case string:
		if v != "" {
			return strings.Split(v, ",")
		}
	case *wire.Map:
		for _, e := range v.List(form) {
			if s, ok := e.(string); ok {
				names = append(names, s)
			}
		}
	}
	return names
}

// saltutilListExtmods lists the modules that were fetched from the file server, by kind.
//
//	gosalt '*' saltutil.list_extmods
func saltutilListExtmods(_ context.Context, c *module.Call, _ noArgs) (*wire.Map, error) {
	top, err := extmodsDir(c)
	if err != nil {
		return nil, err
	}
	out := wire.NewMap()
	kinds, err := os.ReadDir(top)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, module.Failf("%w", err)
	}
	for _, kind := range kinds {
		if !kind.IsDir() {
			continue
		}
		names := []string{}
		err := filepath.WalkDir(filepath.Join(top, kind.Name()), func(_ string, e fs.DirEntry, err error) error {
			if err == nil && !e.IsDir() {
				if name, _, _ := strings.Cut(e.Name(), "."); !slices.Contains(names, name) {
					names = append(names, name)
				}
			}
			return err
		})
		if err != nil {
			return nil, module.Failf("%w", err)
		}
		out.Set(kind.Name(), names)
	}
	return out, nil
}

// ExplainExtmod says of a function that is not there whether it is one of a module that
// was fetched from the file server to this directory (extension_modules); else "".
func ExplainExtmod(dir, fun string) string {
	name, _, _ := strings.Cut(fun, ".")
	if name == "" || strings.ContainsAny(name, "/\\") {
		return ""
	}
	for _, ext := range []string{".py", ".pyx", ".so", ".zip", "/__init__.py"} {
		if _, err := os.Stat(filepath.Join(dir, "modules", name+ext)); err == nil {
			return "The module " + name + " was fetched from salt://_modules/" + name + ext + ", and gosalt does not run Python: run it on a minion of Salt, or make a script of it for cmd.script."
		}
	}
	return ""
}
