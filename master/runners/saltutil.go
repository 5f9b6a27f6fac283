package runners

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
	"github.com/gosalt/gosalt/internal/fileserver"
	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// masterForms are the kinds of modules that Salt's master fetches from its own file
// server, in the order of saltutil.sync_all: the function, the key there, the folder.
var masterForms = []struct{ fun, key, form string }{
	{"clouds", "clouds", "clouds"}, {"modules", "modules", "modules"}, {"states", "states", "states"}, {"grains", "grains", "grains"},
	{"renderers", "renderers", "renderers"}, {"returners", "returners", "returners"}, {"output", "output", "output"},
	{"proxymodules", "proxymodules", "proxy"}, {"runners", "runners", "runners"}, {"wheel", "wheel", "wheel"}, {"engines", "engines", "engines"},
	{"thorium", "thorium", "thorium"}, {"queues", "queues", "queues"}, {"pillar", "pillar", "pillar"}, {"utils", "utils", "utils"},
	{"sdb", "sdb", "sdb"}, {"cache", "cache", "cache"}, {"fileserver", "fileserver", "fileserver"}, {"tops", "tops", "tops"},
	{"eauth_tokens", "tokens", "tokens"}, {"serializers", "serializers", "serializers"}, {"executors", "executors", "executors"},
	{"roster", "roster", "roster"},
}

func registerSaltutil(r *module.Registry) {
	module.Register(r, "saltutil.sync_all", saltutilSyncAll)
	module.Register(r, "saltutil.sync_modules", saltutilSyncModules)
	for _, f := range masterForms {
		if f.fun != "modules" {
			r.Alias("saltutil.sync_"+f.fun, "saltutil.sync_modules")
		}
	}
}

type syncArgs struct {
	Saltenv         any `arg:"saltenv" default:"base"` // Environments of the file server: a list, or several with commas.
	ExtmodWhitelist any `default:"None"`               // Only these modules: names with commas, or lists of names by kind.
	ExtmodBlacklist any `default:"None"`               // Not these modules, likewise.
}

// saltutilSyncModules copies modules of one kind from the file server (salt://_modules,
// salt://_runners and so on) to the master's extension_modules, and lists those that are
// new or have changed. They are kept for other programs: gosalt does not run Python.
//
//	gosalt-run saltutil.sync_modules
//	gosalt-run saltutil.sync_runners saltenv=base,dev
func saltutilSyncModules(ctx context.Context, c *module.Call, a syncArgs) ([]any, error) {
	kind := strings.TrimPrefix(c.Fun(), "saltutil.sync_")
	for _, f := range masterForms {
		if f.fun == kind {
			return syncForm(ctx, f.form, a)
		}
	}
	return syncForm(ctx, "modules", a)
}

// saltutilSyncAll copies modules of all kinds from the file server to the master's
// extension_modules, as saltutil.sync_modules does for one.
//
//	gosalt-run saltutil.sync_all
//	gosalt-run saltutil.sync_all extmod_whitelist='{"runners": ["custom_runner"], "grains": []}'
func saltutilSyncAll(ctx context.Context, _ *module.Call, a syncArgs) (*wire.Map, error) {
	out := wire.NewMap()
	for _, f := range masterForms {
		changed, err := syncForm(ctx, f.form, a)
		if err != nil {
			return nil, err
		}
		out.Set(f.key, changed)
	}
	return out, nil
}

// isModule are the files that Salt takes for modules.
var isModule = lazyre.New(`\.(pyx?|so|zip)$`)

// maxModule is the size of the largest module that is copied.
const maxModule = 64 << 20

// syncForm copies the modules of one kind, and removes those that the file server does
// not have any more (clean_dynamic_modules).
func syncForm(ctx context.Context, form string, a syncArgs) ([]any, error) {
	own := callOf(ctx)
	opts := own.r.master.Opts()
	top := opts.Text("extension_modules")
	if top == "" {
		top = filepath.Join(opts.Text("cachedir"), "extmods")
	}
	dir := filepath.Join(top, form)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, module.Failf("%w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, module.Failf("%w", err)
	}
	defer root.Close()
	only, limited := moduleNames(opts, "extmod_whitelist", form, a.ExtmodWhitelist)
	not, _ := moduleNames(opts, "extmod_blacklist", form, a.ExtmodBlacklist)
	server := own.r.master.Files()
	changed, remote := []any{}, map[string]bool{}
	for _, env := range textList(a.Saltenv) {
		paths, err := server.List(ctx, fileserver.Files, env, "_"+form, nil)
		if err != nil {
			return nil, module.Failf("list salt://_%s: %w", form, err)
		}
		for _, p := range paths {
			rel, ok := strings.CutPrefix(p, "_"+form+"/")
			if !ok || !isModule.MatchString(rel) {
				continue
			}
			name := strings.ReplaceAll(strings.TrimSuffix(rel, filepath.Ext(rel)), "/", ".")
			if limited && !slices.Contains(only, name) || slices.Contains(not, name) {
				continue
			}
			f, err := server.Find(ctx, env, p)
			var content []byte
			if err == nil {
				content, err = f.ReadFile(maxModule)
			}
			if err != nil {
				return nil, module.Failf("read salt://%s: %w", p, err)
			}
			remote[rel] = true
			if old, err := root.ReadFile(rel); err == nil && bytes.Equal(old, content) {
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
	if v, ok := opts.Get("clean_dynamic_modules"); !ok || v == true {
		if err := removeOthers(root, remote); err != nil {
			return nil, module.Failf("remove old modules: %w", err)
		}
	}
	if len(changed) > 0 {
		own.note("modules in Python of salt://_%s were copied to %s: they are kept, and not run", form, dir)
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

// textList is a list of names that may be given as text with commas.
func textList(v any) (out []string) {
	switch v := v.(type) {
	case string:
		return strings.Split(v, ",")
	case []any:
		for _, e := range v {
			out = append(out, pytext.Str(e))
		}
	}
	return out
}

// moduleNames is a list of modules of one kind: given as text or as a map by kind, else
// the option's. has is false where nothing is said of this kind.
func moduleNames(opts *wire.Map, option, form string, given any) (names []string, has bool) {
	if given == nil {
		given, _ = opts.Get(option)
	}
	switch v := given.(type) {
	case string:
		if v != "" {
			return strings.Split(v, ","), true
		}
	case *wire.Map:
		if list, ok := v.Get(form); ok {
			return textList(list), v.Len() > 0
		}
	}
	return nil, false
}
