package pillar

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/render"
)

// Tree is where the files of a pillar are. Its methods may be called concurrently. Paths
// are below the root of an environment, with slashes.
type Tree interface {
	// Envs are the environments, in their order.
	Envs() []string
	// List returns the paths of all files of an environment.
	List(ctx context.Context, env string) ([]string, error)
	// ReadFile returns a file; the error is fs.ErrNotExist where there is none.
	ReadFile(ctx context.Context, env, path string) (render.File, error)
}

// Roots is a Tree of directories: pillar_roots. The first directory that has a file counts.
type Roots struct {
	// Dirs are the directories of each environment. In those of "__env__" that name
	// stands for any environment that has none of its own.
	Dirs map[string][]string
	// Order are the environments in the order of the configuration.
	Order []string
}

const anyEnv = "__env__"

// maxFile is the size of the largest file that is read.
const maxFile = 16 << 20

// maxFiles bounds what is listed of one environment.
const maxFiles = 500_000

// NewRoots makes a Tree of directories. base comes first in the order, the others follow
// by name.
func NewRoots(dirs map[string][]string) *Roots {
	r := &Roots{Dirs: dirs}
	for env := range dirs {
		r.Order = append(r.Order, env)
	}
	slices.SortFunc(r.Order, func(a, b string) int {
		switch {
		case a == b:
			return 0
		case a == "base":
			return -1
		case b == "base":
			return 1
		}
		return strings.Compare(a, b)
	})
	return r
}

// forEnv is the roots as a request for an environment sees them: __env__ becomes that
// environment, and is nothing where it has an entry of its own.
func (r *Roots) forEnv(env string) *Roots {
	dirs, ok := r.Dirs[anyEnv]
	if !ok {
		return r
	}
	if env == "" {
		env = "base"
	}
	out := &Roots{Dirs: make(map[string][]string, len(r.Dirs))}
	for e, d := range r.Dirs {
		if e != anyEnv {
			out.Dirs[e] = d
		}
	}
	for _, e := range r.Order {
		if e != anyEnv {
			out.Order = append(out.Order, e)
		}
	}
	// The name becomes a part of paths: it must not lead out of them.
	if _, ok := out.Dirs[env]; !ok && filepath.IsLocal(filepath.FromSlash(env)) && !strings.ContainsAny(env, "\x00\\") {
		for _, d := range dirs {
			out.Dirs[env] = append(out.Dirs[env], strings.ReplaceAll(d, anyEnv, env))
		}
		out.Order = append(out.Order, env)
	}
	return out
}

// Envs implements Tree.
func (r *Roots) Envs() []string { return r.Order }

// List implements Tree. A directory that is not there has no files.
func (r *Roots) List(ctx context.Context, env string) ([]string, error) {
	var out []string
	for _, root := range r.Dirs[env] {
		w := &lister{ctx: ctx, root: root, files: out}
		if err := w.dir("", nil); err != nil {
			return nil, fmt.Errorf("list %s: %w", root, err)
		}
		out = w.files
	}
	return out, nil
}

type lister struct {
	ctx   context.Context
	root  string
	files []string
}

// dir lists a directory. Links to directories are followed, as Salt does, but not into
// one that is above.
func (l *lister) dir(rel string, above []fs.FileInfo) error {
	if err := l.ctx.Err(); err != nil {
		return context.Cause(l.ctx)
	}
	full := filepath.Join(l.root, filepath.FromSlash(rel))
	fi, err := os.Stat(full)
	if err != nil || !fi.IsDir() || slices.ContainsFunc(above, func(a fs.FileInfo) bool { return os.SameFile(a, fi) }) || len(above) > 100 {
		return nil
	}
	entries, err := os.ReadDir(full)
	if err != nil {
		return nil // unreadable is empty, as in Salt
	}
	above = append(above[:len(above):len(above)], fi)
	for _, e := range entries {
		p := path.Join(rel, e.Name())
		isDir := e.IsDir()
		if e.Type()&fs.ModeSymlink != 0 {
			if fi, err := os.Stat(filepath.Join(full, e.Name())); err == nil {
				isDir = fi.IsDir()
			}
		}
		if isDir {
			if err := l.dir(p, above); err != nil {
				return err
			}
			continue
		}
		if len(l.files) >= maxFiles {
			return fmt.Errorf("it holds more than %d files: is it really meant to be in pillar_roots?", maxFiles)
		}
		l.files = append(l.files, p)
	}
	return nil
}

// ReadFile implements Tree.
func (r *Roots) ReadFile(_ context.Context, env, p string) (render.File, error) {
	local := filepath.FromSlash(p)
	if !filepath.IsLocal(local) || strings.ContainsRune(p, 0) {
		return render.File{}, fs.ErrNotExist
	}
	for _, root := range r.Dirs[env] {
		full := filepath.Join(root, local)
		fi, err := os.Stat(full)
		if err != nil || !fi.Mode().IsRegular() {
			continue
		}
		data, err := readFile(full)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		return render.File{Data: data, Path: full}, err
	}
	return render.File{}, fs.ErrNotExist
}

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("%s has more than %d bytes", name, maxFile)
	}
	return data, err
}
