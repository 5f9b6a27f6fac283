package fileserver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Roots serves directories: file_roots.
type Roots struct {
	o Options

	mu    sync.Mutex
	trees map[string]*cachedTree // by environment
}

// Options are the settings of Roots, as the options of the configuration have them.
type Options struct {
	// Roots are the directories of each environment; the first that has a file counts.
	// "__env__" stands for any environment without an entry, and within a path for its
	// name.
	Roots map[string][]string
	// Ignore hides files; nil hides none.
	Ignore *Ignore
	// FollowSymlinks serves what symbolic links point to, even outside of the root.
	FollowSymlinks bool
	// IgnoreSymlinks leaves symbolic links out of lists.
	IgnoreSymlinks bool
	// ListFor is how long a list is answered from memory; 0 walks each time.
	ListFor time.Duration
}

type cachedTree struct {
	mu   sync.Mutex // one walk at a time
	tree *Tree
	made time.Time
}

// NewRoots makes the backend.
func NewRoots(o Options) *Roots { return &Roots{o: o, trees: map[string]*cachedTree{}} }

// anyEnv is the entry of file_roots for environments that have none.
const anyEnv = "__env__"

// Name is "roots".
func (r *Roots) Name() string { return "roots" }

// Envs are the keys of file_roots.
func (r *Roots) Envs(context.Context) ([]string, error) {
	return slices.Sorted(maps.Keys(r.o.Roots)), nil
}

// dirs are an environment's directories.
func (r *Roots) dirs(env string) []string {
	if dirs, ok := r.o.Roots[env]; ok && env != anyEnv {
		return dirs
	}
	dirs, ok := r.o.Roots[anyEnv]
	// The name becomes a part of paths: it must not lead out of them.
	if !ok || !filepath.IsLocal(filepath.FromSlash(env)) || strings.ContainsAny(env, "\x00\\") {
		return nil
	}
	out := make([]string, len(dirs))
	for i, d := range dirs {
		out[i] = strings.ReplaceAll(d, anyEnv, env)
	}
	return out
}

// Find finds a file in the directories of an environment.
func (r *Roots) Find(_ context.Context, env, p string, index int) (*File, error) {
	dirs := r.dirs(env)
	if index >= 0 {
		if index >= len(dirs) {
			return nil, ErrNotFound
		}
		dirs = dirs[index : index+1]
	}
	for _, root := range dirs {
		if f := r.find(root, p); f != nil {
			return f, nil
		}
	}
	return nil, ErrNotFound
}

// find finds a file in one directory; nil where it has none.
func (r *Roots) find(root, p string) *File {
	full := filepath.Join(root, filepath.FromSlash(p))
	open := func() (*os.File, error) { return os.Open(full) }
	if !r.o.FollowSymlinks {
		realRoot, err := filepath.EvalSymlinks(root)
		if err != nil {
			return nil
		}
		real, err := filepath.EvalSymlinks(full)
		if err != nil {
			return nil
		}
		rel, err := filepath.Rel(realRoot, real)
		if err != nil || !filepath.IsLocal(rel) {
			return nil
		}
		// Between here and the opening a link may have been put there: a Root holds.
		open = func() (*os.File, error) { return os.OpenInRoot(realRoot, rel) }
	}
	fi, err := os.Stat(full)
	if err != nil || !fi.Mode().IsRegular() || r.o.Ignore.Match(full) {
		return nil
	}
	return NewFile(File{Path: full, Rel: p, Size: fi.Size(), ModTime: fi.ModTime(), Stat: statList(fi)}, identity(fi),
		func() (Content, error) { return opened(open()) })
}

// opened takes regular files only.
func opened(f *os.File, err error) (Content, error) {
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() {
		f.Close()
		return nil, ErrNotFound
	}
	return osContent{f}, nil
}

type osContent struct{ *os.File }

func (c osContent) State() (int64, string, error) {
	fi, err := c.Stat()
	if err != nil {
		return 0, "", err
	}
	return fi.Size(), identity(fi), nil
}

// OpenPath opens a regular file of this machine, for backends that keep theirs there.
func OpenPath(name string) (Content, error) { return opened(os.Open(name)) }

// StatPath describes a regular file of this machine as Roots does.
func StatPath(name, rel string) (*File, error) {
	fi, err := os.Stat(name)
	if err != nil || !fi.Mode().IsRegular() {
		return nil, ErrNotFound
	}
	return NewFile(File{Path: name, Rel: rel, Size: fi.Size(), ModTime: fi.ModTime(), Stat: statList(fi)}, identity(fi),
		func() (Content, error) { return OpenPath(name) }), nil
}

// Tree walks the directories of an environment.
func (r *Roots) Tree(ctx context.Context, env string) (*Tree, error) {
	dirs := r.dirs(env)
	if dirs == nil {
		return &Tree{}, nil
	}
	r.mu.Lock()
	c := r.trees[env]
	if c == nil {
		if len(r.trees) > 1000 { // __env__ answers to any name
			clear(r.trees)
		}
		c = &cachedTree{}
		r.trees[env] = c
	}
	r.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tree != nil && time.Since(c.made) < r.o.ListFor {
		return c.tree, nil
	}
	w := walker{o: &r.o, ctx: ctx, files: map[string]bool{}, dirs: map[string]bool{}, empty: map[string]bool{}, links: map[string]string{}}
	for _, d := range dirs {
		if err := w.root(d); err != nil {
			return nil, err
		}
	}
	t := &Tree{Files: sorted(w.files), Dirs: sorted(w.dirs), EmptyDirs: sorted(w.empty), Links: w.links}
	c.tree, c.made = t, time.Now()
	return t, nil
}

// Forget drops the lists of the named environments from memory, of all for none, and
// returns whose it were.
func (r *Roots) Forget(envs []string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for env, c := range r.trees {
		if envs == nil || slices.Contains(envs, env) {
			delete(r.trees, env)
			if c.tree != nil {
				out = append(out, env)
			}
		}
	}
	slices.Sort(out)
	return out
}

func sorted(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }

// walker collects what there is in the directories of one environment.
type walker struct {
	o                  *Options
	ctx                context.Context
	files, dirs, empty map[string]bool
	links              map[string]string

	base, realBase string
	seen           []any // directories above the present one
	entries        int
}

// maxEntries bounds a walk: a root that is a whole machine is a mistake to be told.
const maxEntries = 2_000_000

func (w *walker) root(base string) error {
	w.base = base
	var err error
	if w.realBase, err = filepath.EvalSymlinks(base); err != nil {
		return nil // not there is empty, as in Salt
	}
	return w.dir("")
}

// dir walks one directory, given by its path below the root.
func (w *walker) dir(rel string) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	full := filepath.Join(w.base, filepath.FromSlash(rel))
	fi, err := os.Stat(full)
	if err != nil || !fi.IsDir() {
		return nil
	}
	if id := sameDir(fi); id != nil {
		if slices.Contains(w.seen, id) {
			return nil // a link to a directory above
		}
		w.seen = append(w.seen, id)
		defer func() { w.seen = w.seen[:len(w.seen)-1] }()
	} else if len(w.seen) > 40 {
		return nil
	} else {
		w.seen = append(w.seen, nil)
		defer func() { w.seen = w.seen[:len(w.seen)-1] }()
	}
	entries, err := os.ReadDir(full)
	if err != nil {
		return nil // unreadable is empty, as in Salt
	}
	if w.entries += len(entries); w.entries > maxEntries {
		return fmt.Errorf("%s holds more than %d files and directories: is it really meant to be in file_roots?", w.base, maxEntries)
	}
	for _, e := range entries {
		p := path.Join(rel, e.Name())
		isLink := e.Type()&fs.ModeSymlink != 0
		isDir := e.IsDir()
		if isLink {
			if fi, err := os.Stat(filepath.Join(full, e.Name())); err == nil {
				isDir = fi.IsDir()
			}
		}
		w.add(p, full, e.Name(), isDir, isLink)
		if isDir && (!isLink || w.o.FollowSymlinks) {
			if err := w.dir(p); err != nil {
				return err
			}
		}
	}
	return nil
}

// add notes one entry of a directory.
func (w *walker) add(p, dir, name string, isDir, isLink bool) {
	if isLink && w.o.IgnoreSymlinks || w.o.Ignore.Match(p) {
		return
	}
	full := filepath.Join(dir, name)
	if isDir {
		w.dirs[p] = true
		if f, err := os.Open(full); err == nil {
			if names, _ := f.Readdirnames(1); len(names) == 0 {
				w.empty[p] = true
			}
			f.Close()
		}
	} else {
		w.files[p] = true
	}
	if !isLink {
		return
	}
	to, err := os.Readlink(full)
	if err != nil {
		return
	}
	if !w.o.FollowSymlinks || w.inside(full, dir, to) {
		w.links[p] = to
	}
}

// inside tells whether a link points to something below the root. Of a target that
// begins with ".." Salt takes the link itself for a directory, one level too deep.
func (w *walker) inside(full, dir, to string) bool {
	joined := to
	if !filepath.IsAbs(to) {
		if joined = filepath.Join(dir, to); strings.HasPrefix(to, "..") {
			joined = filepath.Join(full, to)
		}
	}
	real := joined
	if r, err := filepath.EvalSymlinks(joined); err == nil {
		real = r
	}
	rel, err := filepath.Rel(w.realBase, real)
	return err == nil && !strings.HasPrefix(rel, "..")
}

// plainStat is as much of Python's stat as every system has.
func plainStat(fi fs.FileInfo) []int64 {
	mode := int64(fi.Mode().Perm()) | 0o100000
	t := fi.ModTime().Unix()
	return []int64{mode, 0, 0, 1, 0, 0, fi.Size(), t, t, t}
}

func plainIdentity(fi fs.FileInfo) string {
	return fmt.Sprintf("%d.%d", fi.Size(), fi.ModTime().UnixNano())
}
