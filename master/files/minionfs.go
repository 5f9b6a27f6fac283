package files

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/fileserver"
	"github.com/gosalt/gosalt/internal/target"
	"github.com/gosalt/gosalt/protocol/wire"
)

// minionFS serves what minions have pushed, each below its id: minionfs.
type minionFS struct {
	dir          string // the cache's directory of minions
	env, mount   string
	allow, block []string // globs of ids
	ignore       *fileserver.Ignore
}

func newMinionFS(c Config, ignore *fileserver.Ignore) (fileserver.Backend, error) {
	if !c.FileRecv {
		return nil, errors.New("it serves what minions send, which needs file_recv: True")
	}
	o := c.Opts()
	return &minionFS{dir: filepath.Join(c.CacheDir, "minions"), env: o.Text("minionfs_env"), mount: mountpoint(o.Text("minionfs_mountpoint")),
		allow: textsOf(o, "minionfs_whitelist"), block: textsOf(o, "minionfs_blacklist"), ignore: ignore}, nil
}

// mountpoint is where files are put, without salt:// and slashes at its ends.
func mountpoint(s string) string {
	return strings.Trim(strings.TrimPrefix(s, "salt://"), "/")
}

// textsOf is an option that is a text or a list of them.
func textsOf(o *wire.Map, name string) []string {
	v, _ := o.Get(name)
	switch v := v.(type) {
	case string:
		if v != "" {
			return []string{v}
		}
	case []any:
		var out []string
		for _, e := range v {
			out = append(out, textOf(e))
		}
		return out
	}
	return nil
}

func (m *minionFS) Name() string { return "minionfs" }

func (m *minionFS) Envs(context.Context) ([]string, error) { return []string{m.env}, nil }

// exposed tells whether a minion's files are served.
func (m *minionFS) exposed(id string) bool {
	matches := func(globs []string) bool {
		return slices.ContainsFunc(globs, func(g string) bool { return target.Fnmatch(g, id) })
	}
	return (len(m.allow) == 0 || matches(m.allow)) && !matches(m.block)
}

func (m *minionFS) Find(_ context.Context, env, p string, _ int) (*fileserver.File, error) {
	if env != m.env {
		return nil, fileserver.ErrNotFound
	}
	rest := p
	if m.mount != "" {
		var ok bool
		if rest, ok = strings.CutPrefix(p, m.mount+"/"); !ok {
			return nil, fileserver.ErrNotFound
		}
	}
	id, rest, ok := strings.Cut(rest, "/")
	if _, err := wire.ParseMinionID(id); !ok || err != nil || !m.exposed(id) {
		return nil, fileserver.ErrNotFound
	}
	// A minion's directory holds what it sent: links that others put there lead nowhere.
	dir := filepath.Join(m.dir, id, "files")
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fileserver.ErrNotFound
	}
	defer root.Close()
	name := filepath.FromSlash(rest)
	if fi, err := root.Lstat(name); err != nil || !fi.Mode().IsRegular() || m.ignore.Match(filepath.Join(dir, name)) {
		return nil, fileserver.ErrNotFound
	}
	return fileserver.StatPath(filepath.Join(dir, name), p)
}

func (m *minionFS) Tree(ctx context.Context, env string) (*fileserver.Tree, error) {
	t := &fileserver.Tree{}
	if env != m.env {
		return t, nil
	}
	minions, err := os.ReadDir(m.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, e := range minions {
		if _, err := wire.ParseMinionID(e.Name()); err != nil || !e.IsDir() || !m.exposed(e.Name()) {
			continue
		}
		dir := filepath.Join(m.dir, e.Name(), "files")
		err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
			if err != nil {
				return nil // not there: it has sent nothing
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			rel, err := filepath.Rel(dir, name)
			if err != nil {
				return err
			}
			p := path.Join(m.mount, e.Name(), filepath.ToSlash(rel))
			switch {
			case m.ignore.Match(p):
			case d.IsDir():
				t.Dirs = append(t.Dirs, p)
			case d.Type().IsRegular():
				t.Files = append(t.Files, p)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	slices.Sort(t.Files)
	slices.Sort(t.Dirs)
	return t, nil
}
