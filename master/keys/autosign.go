package keys

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/gosalt/gosalt/internal/durable"
	"github.com/gosalt/gosalt/internal/target"
	"github.com/gosalt/gosalt/protocol/wire"
)

// autosign tells whether a new key is accepted without a person. ticket is the file
// below minions_autosign that says so, to be used up when the key is accepted.
func (s *Store) autosign(id wire.MinionID, grains *wire.Map) (yes bool, ticket string, err error) {
	if s.cfg.AutoAccept {
		return true, "", nil
	}
	if yes, err := s.listed(s.cfg.AutosignFile, id); yes || err != nil {
		return yes, "", err
	}
	if ticket, err := s.ticket(id); ticket != "" || err != nil {
		return ticket != "", ticket, err
	}
	yes, err = s.grainsAllow(grains)
	return yes, "", err
}

// signingFile is autosign_file or autoreject_file, read again when it changes.
type signingFile struct {
	path string

	mu    sync.Mutex
	stamp stamp
	lines []matcher
}

type matcher func(id string) bool

// listed tells whether a line of a signing file matches an id. A file that is not
// there matches nothing; one that others may write to is passed over with a warning.
func (s *Store) listed(path string, id wire.MinionID) (bool, error) {
	if path == "" {
		return false, nil
	}
	f := s.files[path]
	f.mu.Lock()
	defer f.mu.Unlock()
	fi, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if !s.trusted(fi, path) {
		return false, nil
	}
	if st := stampOf(fi, s.now()); !f.stamp.holds(st) {
		b, err := os.ReadFile(path)
		if err != nil {
			return false, err
		}
		f.lines, f.stamp = nil, st
		for line := range lines(b) {
			f.lines = append(f.lines, compile(line))
		}
	}
	for _, m := range f.lines {
		if m(string(id)) {
			return true, nil
		}
	}
	return false, nil
}

// trusted tells whether nobody but the master's user could have written a file.
func (s *Store) trusted(fi fs.FileInfo, path string) bool {
	mode := fi.Mode().Perm()
	if mode&0o002 != 0 || mode&0o020 != 0 && !(s.cfg.PermissivePKIAccess && groupTrusted(fi)) {
		s.log.Warn("file may be written by others and is ignored; mend it with: chmod go-w", "path", path, "mode", fmt.Sprintf("%04o", mode))
		return false
	}
	return true
}

// lines yields the lines that are neither empty nor comments.
func lines(b []byte) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		sc := bufio.NewScanner(bytes.NewReader(b))
		sc.Buffer(nil, 1<<20)
		for sc.Scan() {
			line := strings.TrimSpace(sc.Text())
			if line != "" && line[0] != '#' && !yield(line) {
				return
			}
		}
	}
}

// ticket returns the file below minions_autosign that is named as the id, "" when
// there is none, and removes those that are too old. Anyone who may write to that
// directory could accept keys, so what is said of signing files holds for it too.
func (s *Store) ticket(id wire.MinionID) (string, error) {
	dir := filepath.Join(s.cfg.PKIDir, autosignDir)
	fi, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if !s.trusted(fi, dir) {
		return "", nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	found := ""
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		fi, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) || err == nil && fi.IsDir() {
			continue
		}
		if err != nil {
			return "", err
		}
		if age := s.now().Sub(fi.ModTime()); s.cfg.AutosignTimeout > 0 && age > s.cfg.AutosignTimeout {
			s.log.Warn("autosign file was not used in time and is removed", "path", path, "age", age.Round(time.Second).String())
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return "", err
			}
			continue
		}
		if e.Name() == string(id) {
			found = path
		}
	}
	return found, nil
}

// useTicket removes the file before the key is accepted, so that it counts once.
func (s *Store) useTicket(path string) error {
	if err := os.Remove(path); err != nil {
		return err
	}
	return durable.SyncDir(filepath.Dir(path))
}

// grainsAllow tells whether a file below autosign_grains_dir, named as a grain, has
// the value that was sent as one of its lines.
func (s *Store) grainsAllow(grains *wire.Map) (bool, error) {
	if s.cfg.AutosignGrainsDir == "" || grains.Len() == 0 {
		return false, nil
	}
	entries, err := os.ReadDir(s.cfg.AutosignGrainsDir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for _, e := range entries {
		want, ok := grains.Get(e.Name())
		text, isText := want.(string)
		if !ok || !isText || e.IsDir() {
			continue
		}
		path := filepath.Join(s.cfg.AutosignGrainsDir, e.Name())
		fi, err := os.Stat(path)
		if err != nil {
			return false, err
		}
		if !s.trusted(fi, path) {
			continue
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return false, err
		}
		for line := range lines(b) {
			if line == text {
				return true, nil
			}
		}
	}
	return false, nil
}

// compile reads a line of a signing file: a glob, or a regular expression of
// Python's that has to match the whole id. A line that is no expression matches as
// a glob only. (Salt does not group the expression, so that with it "web|db" also
// matches whatever begins with "web": that much is not accepted here.)
func compile(line string) matcher {
	var ways []*target.Target
	for kind, expr := range map[string]string{"glob": line, "pcre": `(?:` + line + `)\Z`} {
		if t, err := target.Parse(expr, kind, target.Options{}); err == nil {
			ways = append(ways, t)
		}
	}
	return func(id string) bool {
		for _, t := range ways {
			// An error is an expression that takes too long: it does not match.
			if ok, err := t.Match(target.Subject{ID: id}); ok && err == nil {
				return true
			}
		}
		return false
	}
}
