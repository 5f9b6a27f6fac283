package modules

import (
	"os"
	"slices"

	"github.com/gosalt/gosalt/internal/fileclient"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/yamlarg"
	"github.com/gosalt/gosalt/protocol/wire"
)

// fixedOptions are those that one run cannot have otherwise than the minion: who it is,
// whom it works for, and what its pillar is made of.
var fixedOptions = []string{"id", "master", "root_dir", "cachedir", "pki_dir", "conf_file", "file_client", "fileserver_backend",
	"pillar_roots", "ext_pillar", "grains", "use_master_when_local", "default_include", "include"}

// localConfig lays the options of a file over those of the minion, for this run.
func (r *stateRun) localConfig(path string) error {
	b, err := os.ReadFile(r.c.Host.Path(path))
	if err != nil {
		return module.Failf("localconfig: %w", err)
	}
	v, err := yamlarg.Load(string(b))
	if err != nil {
		return module.Failf("localconfig %s: %w", path, err)
	}
	over, ok := v.(*wire.Map)
	if !ok {
		return module.Failf("localconfig %s: options with their values are expected, not %s", path, pytext.TypeName(v))
	}
	for name, v := range over.Strings() {
		if slices.Contains(fixedOptions, name) {
			return module.Failf("localconfig %s: %s cannot be changed for one run: gosalt-call -c DIR works with another configuration", path, name)
		}
		r.opts.Set(name, v)
	}
	files, local := r.c.FileServer.(*fileclient.Local)
	switch {
	case !local && over.Has("file_roots"):
		return module.Failf("localconfig %s: file_roots need file_client: local, as files come from the master", path)
	case !local:
		return nil
	case over.Has("file_roots"):
		files = fileclient.NewDirs(r.roots(over.Map("file_roots")), r.c.CacheDir)
	}
	c := *r.c
	c.FileServer = files.WithOpts(func() *wire.Map { return r.opts })
	if f, ok := c.Files.(*fileclient.Fetcher); ok {
		own := *f
		own.Client = c.FileServer
		c.Files = &own
	}
	r.c = &c
	return nil
}

// roots are the directories of each environment of the option file_roots.
func (r *stateRun) roots(option *wire.Map) map[string][]string {
	out := map[string][]string{}
	for env, dirs := range option.Strings() {
		l, ok := dirs.([]any)
		if !ok {
			l = []any{dirs}
		}
		for _, d := range l {
			out[env] = append(out[env], r.c.Host.Path(pytext.Str(d)))
		}
	}
	return out
}
