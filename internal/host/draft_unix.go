//go:build unix

package host

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// newDraftDir makes the directory of a process's drafts, and clears those of processes that
// have ended without doing so. The directory is held as long as the file is open: a process
// that is killed lets go of it, too, and a later one can tell by that.
func newDraftDir() (dir string, held *os.File, err error) {
	clearDrafts(os.TempDir())
	for range 10 {
		if dir, err = os.MkdirTemp("", draftPrefix); err != nil {
			return "", nil, err
		}
		if held, err = holdDir(dir, 0); err != nil { // a file system without locks: nobody clears it
			return dir, nil, nil
		}
		mine, err := held.Stat()
		if err != nil {
			_ = held.Close()
			return "", nil, err
		}
		if st, err := os.Lstat(dir); err == nil && os.SameFile(st, mine) {
			return dir, held, nil
		}
		_ = held.Close() // who clears came between making and holding it
	}
	return "", nil, errors.New("the directories of drafts vanish")
}

// holdDir opens a directory, which may be no link to one, and holds it.
func holdDir(dir string, how int) (*os.File, error) {
	f, err := os.OpenFile(dir, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|how)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// clearDrafts removes directories of drafts that no process holds.
func clearDrafts(tmp string) {
	entries, _ := os.ReadDir(tmp)
	for _, e := range entries {
		if e.IsDir() && strings.HasPrefix(e.Name(), draftPrefix) {
			clearDraft(filepath.Join(tmp, e.Name()))
		}
	}
}

// clearDraft removes one of them, where it is this user's. Others may write where it is, so
// that it is emptied as the directory that was looked at, whatever its name leads to by then.
func clearDraft(dir string) {
	f, err := holdDir(dir, syscall.LOCK_NB)
	if err != nil {
		return
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return
	}
	if sys, ok := st.Sys().(*syscall.Stat_t); !ok || int(sys.Uid) != os.Geteuid() || st.Mode().Perm() != 0o700 {
		return
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return
	}
	defer root.Close()
	if now, err := root.Stat("."); err != nil || !os.SameFile(st, now) {
		return
	}
	names, _ := f.Readdirnames(-1)
	for _, name := range names {
		_ = root.RemoveAll(name)
	}
	_ = os.Remove(dir)
}
