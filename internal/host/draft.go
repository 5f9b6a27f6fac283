package host

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// maxDraft is how large a draft may be. What is larger is seldom text that several states
// edit, and would fill the directory of temporary files.
const maxDraft = 16 << 20

// draftPrefix is how names of directories of drafts begin.
const draftPrefix = "gosalt-draft-"

// Drafts are files as they would be: where something is only planned, its steps are tried
// on copies, so that what comes after them is planned of what they leave behind. The zero
// value has none; its methods may be called concurrently.
type Drafts struct {
	mu    sync.RWMutex
	dir   string            // of the copies: it is the process's alone
	held  *os.File          // dir, while this process uses it; nil where nobody else would look
	files map[string]string // copies by the path that they stand for
}

// Close removes the drafts.
func (d *Drafts) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.files = nil
	if d.dir == "" {
		return nil
	}
	dir := d.dir
	d.dir = ""
	err := os.RemoveAll(dir)
	if d.held != nil {
		_ = d.held.Close()
		d.held = nil
	}
	return err
}

// of is the copy of a file, "" where there is none.
func (d *Drafts) of(path string) string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.files == nil {
		return ""
	}
	return d.files[draftKey(path)]
}

func draftKey(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return path
}

// Drafting is this host with drafts in the place of the files that they stand for.
func (h *Host) Drafting(d *Drafts) *Host {
	next := Host{}
	if h != nil {
		next = *h
	}
	next.drafts = d
	return &next
}

// Rehearse does something on a host with drafts while nothing else changes: writing to
// other files does nothing, and no program is started. Nobody else may use the host
// meanwhile.
func (h *Host) Rehearse(do func()) {
	h.rehearsing = true
	defer func() { h.rehearsing = false }()
	do()
}

// Draft makes a draft of a file, or of what is no file and has a name of its own, with
// contents of now. A symbolic link, a directory or a device has none, nor has a file of more
// than 16 MB.
func (h *Host) Draft(name string, now func() ([]byte, error)) error {
	if h == nil || h.drafts == nil || h.Drafted(name) {
		return nil
	}
	var content io.Reader // nil where there is no file
	st, err := h.Lstat(name)
	switch {
	case now != nil:
		b, err := now()
		if err != nil {
			return err
		}
		content = bytes.NewReader(b)
	case err == nil && !st.Mode().IsRegular():
		return &os.PathError{Op: "draft", Path: name, Err: errors.New("not a regular file")}
	case err == nil && st.Size() > maxDraft:
		return &os.PathError{Op: "draft", Path: name, Err: errDraftSize}
	case err == nil:
		f, err := h.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		content = f
	case !errors.Is(err, os.ErrNotExist):
		return err
	}
	d := h.drafts
	dir, err := d.home()
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	copied := filepath.Join(dir, strconv.Itoa(len(d.files)))
	if content != nil {
		if err := copyDraft(copied, content); err != nil {
			return &os.PathError{Op: "draft", Path: name, Err: err}
		}
		if st != nil {
			_ = os.Lchown(copied, st.UID, st.GID) // as an ordinary user it stays theirs
			if err := os.Chmod(copied, st.Mode()); err != nil {
				return err
			}
		}
	}
	if d.files == nil {
		d.files = map[string]string{}
	}
	d.files[draftKey(name)] = copied
	return nil
}

// copyDraft writes what a draft holds at first.
func copyDraft(path string, content io.Reader) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(&draftWriter{w: f}, content)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		_ = os.Remove(path) // its directory goes at the end in any case
	}
	return err
}

// draftWriter writes no more than a draft may hold.
type draftWriter struct {
	w io.Writer
	n int64
}

func (d *draftWriter) Write(b []byte) (int, error) {
	if d.n += int64(len(b)); d.n > maxDraft {
		return 0, errDraftSize
	}
	return d.w.Write(b)
}

var errDraftSize = fmt.Errorf("more than %d MB are not tried on a copy", maxDraft>>20)

// home is the directory of the drafts.
func (d *Drafts) home() (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dir != "" {
		return d.dir, nil
	}
	dir, held, err := newDraftDir()
	if err != nil {
		return "", err
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	d.dir, d.held = dir, held
	return dir, nil
}

// Drafted tells whether there is a draft of a file.
func (h *Host) Drafted(name string) bool {
	return h != nil && h.drafts != nil && h.drafts.of(name) != ""
}

// Rehearses tells whether nothing but drafts is changed now.
func (h *Host) Rehearses() bool { return h != nil && h.rehearsing }

// TempDir is where temporary files are made: "" for the system's directory, that of the
// drafts where they are all that may be written.
func (h *Host) TempDir() string {
	if !h.Rehearses() {
		return ""
	}
	dir, _ := h.drafts.home()
	return dir
}

// idle tells whether changing a file is left out.
func (h *Host) idle(name string) bool {
	if !h.Rehearses() || h.Drafted(name) {
		return false
	}
	h.drafts.mu.RLock()
	defer h.drafts.mu.RUnlock()
	return h.drafts.dir == "" || !strings.HasPrefix(filepath.Clean(name), h.drafts.dir+string(filepath.Separator))
}

// errRehearsed is what programs and the like come to where only drafts are changed.
var errRehearsed = errors.New("not done, as this is a rehearsal")
