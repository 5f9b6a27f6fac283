package files

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/gosalt/gosalt/internal/fileserver"
	"github.com/gosalt/gosalt/internal/gitrepo"
)

// top is the tree of an environment below its root; nil where there is none. The lock is held.
func (r *gitRemote) top(env string) (t *object.Tree, mount string, err error) {
	h, root, mount, ok := r.place(env)
	if !ok || r.Git == nil {
		return nil, "", nil
	}
	t, err = r.Tree(h, root)
	return t, mount, err
}

// tree lists an environment.
func (r *gitRemote) tree(env string) (*fileserver.Tree, error) {
	r.Lock()
	defer r.Unlock()
	t, mount, err := r.top(env)
	if t == nil || err != nil {
		return &fileserver.Tree{}, err
	}
	key := t.Hash.String() + "\x00" + mount
	if known := r.trees[key]; known != nil {
		return known, nil
	}
	out := &fileserver.Tree{Links: map[string]string{}}
	for dir := mount; dir != "" && dir != "."; dir = path.Dir(dir) {
		out.Dirs = append(out.Dirs, dir)
	}
	w := object.NewTreeWalker(t, true, nil)
	defer w.Close()
	for {
		name, e, err := w.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("list %s of %s: %w", env, redactURL(r.url), err)
		}
		p := path.Join(mount, name)
		if r.ignore.Match(p) {
			continue
		}
		switch e.Mode {
		case filemode.Dir:
			out.Dirs = append(out.Dirs, p)
		case filemode.Regular, filemode.Executable, filemode.Deprecated:
			out.Files = append(out.Files, p)
		case filemode.Symlink:
			to, err := gitrepo.Link(t, name)
			if err != nil {
				return nil, err
			}
			out.Files = append(out.Files, p)
			out.Links[p] = to
		}
	}
	slices.Sort(out.Files)
	slices.Sort(out.Dirs)
	r.trees[key] = out
	return out, nil
}

// find finds a file, through links within the tree.
func (r *gitRemote) find(env, p string) (*fileserver.File, error) {
	r.Lock()
	defer r.Unlock()
	t, mount, err := r.top(env)
	if err != nil {
		return nil, err
	}
	name := p
	if t != nil && mount != "" {
		var ok bool
		if name, ok = strings.CutPrefix(p, mount+"/"); !ok {
			t = nil
		}
	}
	if t == nil || r.ignore.Match(p) {
		return nil, fileserver.ErrNotFound
	}
	f, mode, err := gitrepo.File(t, name)
	if errors.Is(err, gitrepo.ErrNoFile) {
		return nil, fileserver.ErrNotFound
	} else if err != nil {
		return nil, err
	}
	full, err := r.keep(f)
	if err != nil {
		return nil, fmt.Errorf("%s of %s: %w", name, redactURL(r.url), err)
	}
	found, err := fileserver.StatPath(full, p)
	if err != nil {
		return nil, err
	}
	found.Stat[0] = 0o100644
	if mode == filemode.Executable {
		found.Stat[0] = 0o100755
	}
	return found, nil
}

// keep writes a file's content to the disk, unless it is there, and returns where: pieces
// of it will be asked for, which a packed object has no way to give. The content's hash
// is its name, so what is there is right.
func (r *gitRemote) keep(f *object.File) (string, error) {
	id := f.Hash.String()
	name := filepath.Join(r.blobs, id[:2], id[2:])
	if fi, err := os.Stat(name); err == nil && fi.Size() == f.Size {
		return name, nil
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return "", err
	}
	in, err := f.Reader()
	if err != nil {
		return "", err
	}
	defer in.Close()
	tmp, err := os.CreateTemp(filepath.Dir(name), ".tmp-*")
	if err != nil {
		return "", err
	}
	defer os.Remove(tmp.Name())
	defer tmp.Close()
	if _, err := io.Copy(tmp, in); err != nil {
		return "", err
	}
	if err := tmp.Close(); err != nil {
		return "", err
	}
	return name, os.Rename(tmp.Name(), name)
}
