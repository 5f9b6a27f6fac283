package keys

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/durable"
	"github.com/gosalt/gosalt/protocol/seal"
	"github.com/gosalt/gosalt/protocol/wire"
)

// errNoFile says that something other than a file stands where a key should.
var errNoFile = errors.New("not a regular file")

// tempPrefix begins the names of files that are being written. Salt's tools pass
// over names with a leading dot.
const tempPrefix = ".gosalt-new-"

// stamp identifies the content of a file by its stat.
type stamp struct {
	mtime, ctime time.Time
	size         int64
	inode        uint64
	settled      bool // the file was not new when it was looked at
}

// settleTime is how old a change has to be before an equal stamp proves an equal
// content: longer than the clock tick of every file system, so that no second
// change can hide in the same tick.
const settleTime = 2 * time.Second

func stampOf(fi fs.FileInfo, now time.Time) stamp {
	st := stamp{mtime: fi.ModTime(), size: fi.Size()}
	st.ctime, st.inode = changeTime(fi)
	st.settled = now.Sub(st.mtime) > settleTime && now.Sub(st.ctime) > settleTime
	return st
}

// holds tells whether what was read at s is still what a file of stamp t holds.
func (s stamp) holds(t stamp) bool {
	return s.settled && s.mtime.Equal(t.mtime) && s.ctime.Equal(t.ctime) && s.size == t.size && s.inode == t.inode
}

// read returns a key file's cleaned text and the stamp from before it was read. It
// follows symbolic links inside the directory only.
func (s *Store) read(st State, id wire.MinionID) (string, stamp, error) {
	f, err := os.OpenInRoot(s.dir(st), string(id))
	if err != nil {
		return "", stamp{}, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return "", stamp{}, err
	}
	if !fi.Mode().IsRegular() {
		return "", stamp{}, fmt.Errorf("%s: %w", f.Name(), errNoFile)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxPEM+1))
	if err != nil {
		return "", stamp{}, err
	}
	if len(b) > maxPEM {
		b = nil // compares with nothing, parses as nothing
	}
	return seal.CleanKey(string(b)), stampOf(fi, s.now()), nil
}

// write stores a key, as Salt does: its cleaned text, readable by all.
func (s *Store) write(st State, id wire.MinionID, pem string) error {
	if err := writeDurable(s.dir(st), string(id), []byte(pem), 0o644); err != nil {
		return err
	}
	s.lists[st].added(id)
	if st == Accepted {
		s.forget(id)
	}
	return nil
}

// move carries a key file from one state to another, over what may be there.
func (s *Store) move(id wire.MinionID, from, to State) error {
	err := os.Rename(filepath.Join(s.dir(from), string(id)), filepath.Join(s.dir(to), string(id)))
	if err != nil {
		return err
	}
	s.lists[to].added(id)
	s.lists[from].removed(id)
	s.forget(id)
	if err := durable.SyncDir(s.dir(to)); err != nil {
		return err
	}
	return durable.SyncDir(s.dir(from))
}

func (s *Store) remove(st State, id wire.MinionID) error {
	if err := os.Remove(filepath.Join(s.dir(st), string(id))); err != nil {
		return err
	}
	s.lists[st].removed(id)
	if st == Accepted {
		s.forget(id)
	}
	return durable.SyncDir(s.dir(st))
}

// writeDurable puts a file in its place at once and for good: a crash leaves the old
// content or the new one. Written by root, it belongs to the owner of the directory.
func writeDurable(dir, name string, b []byte, mode fs.FileMode) (err error) {
	f, err := os.CreateTemp(dir, tempPrefix+"*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if _, err := f.Write(b); err != nil {
		return err
	}
	if err := f.Chmod(mode); err != nil {
		return err
	}
	if err := durable.GiveToOwner(f, dir); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), filepath.Join(dir, name)); err != nil {
		return err
	}
	return durable.SyncDir(dir)
}

// tempAge is how old a file that is being written has to be to be taken for one that
// a crash left behind, and not for one that another process is just writing.
const tempAge = 10 * time.Minute

// removeTemporary clears away what a crash in writeDurable left behind.
func removeTemporary(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), tempPrefix) {
			continue
		}
		if fi, err := e.Info(); err == nil && time.Since(fi.ModTime()) > tempAge {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// prepareDir makes pki_dir or checks it: others must not write to it, nor may it
// belong to somebody else. One that others only read is closed to them, as Salt
// does at its start; 0750 stays as it is.
func prepareDir(dir string, log *slog.Logger) error {
	if err := prepareSubdir(dir); err != nil {
		return err
	}
	fi, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if mode := fi.Mode().Perm(); mode != 0o700 && mode != 0o750 {
		if err := os.Chmod(dir, 0o700); err != nil {
			return fmt.Errorf("key directory %s has mode %04o, 0700 expected: %w", dir, mode, err)
		}
		log.Warn("key directory closed to other users", "dir", dir, "mode_before", fmt.Sprintf("%04o", mode))
	}
	return nil
}

// prepareSubdir makes a directory or checks that nobody else may change it.
func prepareSubdir(dir string) error {
	fi, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make key directory: %w", err)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("key directory: %w", err)
	}
	if !fi.IsDir() {
		return fmt.Errorf("key directory %s is no directory", dir)
	}
	if mode := fi.Mode().Perm(); mode&0o022 != 0 {
		return fmt.Errorf("key directory %s has mode %04o: others could plant keys in it; look through it, then: chmod 700 %s", dir, mode, dir)
	}
	return checkOwner(fi, dir, "chown -R")
}
