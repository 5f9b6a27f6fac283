package host

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// Drafts are files as they would be: where something is only planned, its steps are tried
// on copies, so that what comes after them is planned of what they leave behind. The zero
// value has none; its methods may be called concurrently.
type Drafts struct {
	mu    sync.RWMutex
	dir   string            // of the copies: it is the process's alone
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
	return os.RemoveAll(dir)
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
// contents of now. A symbolic link, a directory or a device has none.
func (h *Host) Draft(name string, now func() ([]byte, error)) error {
	if h == nil || h.drafts == nil || h.Drafted(name) {
		return nil
	}
	var content []byte
	st, err := h.Lstat(name)
	there := err == nil
	switch {
	case now != nil:
		content, err = now()
		there = true
	case there && !st.Mode().IsRegular():
		return &os.PathError{Op: "draft", Path: name, Err: errors.New("not a regular file")}
	case there:
		content, err = os.ReadFile(h.Path(name))
	case errors.Is(err, os.ErrNotExist):
		err = nil
	}
	if err != nil {
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
	if there {
		if err := os.WriteFile(copied, content, 0o600); err != nil {
			return err
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

// home is the directory of the drafts.
func (d *Drafts) home() (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dir != "" {
		return d.dir, nil
	}
	dir, err := os.MkdirTemp("", "gosalt-draft-")
	if err != nil {
		return "", err
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	d.dir = dir
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
