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
)

// top is the tree of an environment below its root; nil where there is none. mu is held.
func (r *gitRemote) top(env string) (t *object.Tree, mount string, err error) {
	h, root, mount, ok := r.place(env)
	if !ok || r.repo == nil {
		return nil, "", nil
	}
	c, err := r.repo.CommitObject(h)
	if err != nil {
		return nil, "", fmt.Errorf("commit %s of %s: %w", h, redactURL(r.url), err)
	}
	if t, err = c.Tree(); err != nil {
		return nil, "", fmt.Errorf("tree of %s of %s: %w", h, redactURL(r.url), err)
	}
	if root != "" {
		t, err = t.Tree(root)
		if errors.Is(err, object.ErrDirectoryNotFound) {
			return nil, "", nil
		}
	}
	return t, mount, err
}

// tree lists an environment.
func (r *gitRemote) tree(env string) (*fileserver.Tree, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
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
			to, err := r.link(t, name)
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

// maxLink is the longest target of a link that is followed.
const maxLink = 4096

// link is where a symbolic link of a tree points.
func (r *gitRemote) link(t *object.Tree, name string) (string, error) {
	f, err := t.File(name)
	if err != nil {
		return "", err
	}
	if f.Size > maxLink {
		return "", nil
	}
	return f.Contents()
}

// find finds a file, through links within the tree.
func (r *gitRemote) find(env, p string) (*fileserver.File, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
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
	for range 10 {
		e, err := t.FindEntry(name)
		if err != nil {
			return nil, fileserver.ErrNotFound
		}
		if e.Mode == filemode.Symlink {
			to, err := r.link(t, name)
			if err != nil {
				return nil, err
			}
			if name = path.Join(path.Dir(name), to); path.IsAbs(to) || !filepath.IsLocal(name) {
				return nil, fileserver.ErrNotFound // out of the tree
			}
			continue
		}
		if !e.Mode.IsFile() {
			return nil, fileserver.ErrNotFound
		}
		f, err := t.TreeEntryFile(e)
		if err != nil {
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
		if e.Mode == filemode.Executable {
			found.Stat[0] = 0o100755
		}
		return found, nil
	}
	return nil, fileserver.ErrNotFound
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
