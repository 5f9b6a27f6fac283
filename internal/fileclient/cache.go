package fileclient

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Cache is the directories below a minion's cachedir where fetched files are kept, named
// as Salt names them: files/<env>/<path>, localfiles, extrn_files.
type Cache struct{ Dir string }

// Path is where a file of an environment is kept; "" for one whose path or environment
// leads out of the cache.
func (c Cache) Path(env, path string) string {
	path = strings.TrimLeft(path, "|/")
	path, _, _ = strings.Cut(path, "\x00")
	if path == "" || !filepath.IsLocal(filepath.FromSlash(path)) || !filepath.IsLocal(filepath.FromSlash(env)) || strings.ContainsRune(env, 0) {
		return ""
	}
	return filepath.Join(c.Dir, "files", filepath.FromSlash(env), filepath.FromSlash(path))
}

// makeDir makes the directory of a file of the cache. What is in the way below the
// cache is removed: there was a file once where there is a directory now.
func (c Cache) makeDir(name string) error {
	dir := filepath.Dir(name)
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		return nil
	}
	for d := dir; len(d) > len(c.Dir); d = filepath.Dir(d) {
		if fi, serr := os.Lstat(d); serr == nil {
			if fi.IsDir() {
				break
			}
			if rerr := os.Remove(d); rerr != nil {
				return rerr
			}
		}
	}
	if err = os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make room in the cache: %w", err)
	}
	return nil
}

// Writer writes a file beside its place and puts it there when it is whole, so that no
// one reads a half.
type Writer struct {
	*os.File
	dest    string
	replace bool
	mode    fs.FileMode
	done    bool
}

// Create begins to write a file. An existing one keeps its mode; a new one gets what the
// umask leaves of 0666, and one in the cache 0600. cache removes a directory that has
// the file's name.
func Create(dest string, cache bool) (*Writer, error) {
	w := &Writer{dest: dest, replace: cache, mode: newMode}
	if cache {
		w.mode = 0o600
	}
	fi, err := os.Stat(dest)
	switch {
	case err == nil && fi.IsDir() && !cache:
		return nil, fmt.Errorf("write %s: it is a directory", dest)
	case err == nil && !fi.IsDir() && !fi.Mode().IsRegular():
		return nil, fmt.Errorf("write %s: it is no regular file", dest)
	case err == nil && !fi.IsDir():
		w.mode = fi.Mode().Perm()
		if real, err := filepath.EvalSymlinks(dest); err == nil {
			w.dest = real // a link stays one
		}
	}
	if w.File, err = os.CreateTemp(filepath.Dir(w.dest), ".gosalt-*.part"); err != nil {
		return nil, err
	}
	return w, nil
}

// newMode is what the umask leaves of a new file's mode.
var newMode = 0o666 &^ umask()

// Commit puts the file in its place.
func (w *Writer) Commit() error {
	if w.done {
		return errors.New("written already")
	}
	defer w.Abort()
	if err := w.Chmod(w.mode); err != nil {
		return err
	}
	keepOwner(w.File, w.dest)
	if err := w.Close(); err != nil {
		return err
	}
	if w.replace {
		if fi, err := os.Lstat(w.dest); err == nil && fi.IsDir() {
			if err := os.RemoveAll(w.dest); err != nil {
				return err
			}
		}
	}
	if err := os.Rename(w.Name(), w.dest); err != nil {
		return err
	}
	w.done = true
	return nil
}

// Abort gives the file up, unless it was committed.
func (w *Writer) Abort() {
	if w.done {
		return
	}
	w.Close()
	os.Remove(w.Name())
	w.done = true
}
