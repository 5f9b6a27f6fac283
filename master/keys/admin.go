package keys

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/gosalt/gosalt/protocol/seal"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Move carries a key from one state to another, as accepting (to Accepted) and
// rejecting (to Rejected) do, over another key of that id that may be there.
// ErrUnknown when there is none; ErrInvalid and ErrCaseTwin for what must not be
// accepted. A rejected key asks for a new shared key, see RotateAES.
func (s *Store) Move(id wire.MinionID, from, to State) error {
	if err := s.check(from, id); err != nil {
		return err
	}
	if err := s.check(to, id); err != nil {
		return err
	}
	if from == to {
		return fmt.Errorf("move key of %s: it is in %s already", id, to)
	}
	if err := s.lockedMove(id, from, to); err != nil {
		return fmt.Errorf("move key of %s from %s to %s: %w", id, from, to, err)
	}
	act := map[State]string{Accepted: "accept", Rejected: "reject", Pending: "pend", Denied: "denied"}[to]
	s.log.Info("key moved", "minion", string(id), "from", string(from), "to", string(to))
	s.fire(Event{Tag: tagKey, Result: true, Act: act, ID: id})
	if to == Rejected || from == Accepted {
		return s.rotateIfWanted()
	}
	return nil
}

func (s *Store) lockedMove(id wire.MinionID, from, to State) error {
	lock := s.lock(id)
	lock.Lock()
	defer lock.Unlock()
	text, _, err := s.read(from, id)
	if errors.Is(err, fs.ErrNotExist) {
		return ErrUnknown
	}
	if err != nil {
		return err
	}
	if to == Accepted {
		if _, err := seal.ParsePublic([]byte(text)); err != nil {
			return fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		twin, err := s.caseTwin(id)
		if err != nil {
			return err
		}
		if twin != "" {
			return fmt.Errorf("%w: %s; delete that one first with: gosalt-key -d %s", ErrCaseTwin, twin, twin)
		}
	}
	return s.move(id, from, to)
}

// Delete removes a key, ErrUnknown when there is none. It asks for a new shared key,
// see RotateAES.
func (s *Store) Delete(st State, id wire.MinionID) error {
	if err := s.check(st, id); err != nil {
		return err
	}
	if err := s.lockedRemove(st, id); err != nil {
		return fmt.Errorf("delete key of %s from %s: %w", id, st, err)
	}
	s.log.Info("key deleted", "minion", string(id), "from", string(st))
	s.fire(Event{Tag: tagKey, Result: true, Act: "delete", ID: id})
	return s.rotateIfWanted()
}

func (s *Store) lockedRemove(st State, id wire.MinionID) error {
	lock := s.lock(id)
	lock.Lock()
	defer lock.Unlock()
	err := s.remove(st, id)
	if errors.Is(err, fs.ErrNotExist) {
		return ErrUnknown
	}
	return err
}

// Seed stores a key as accepted before its minion ever came, as bootstrapping does.
func (s *Store) Seed(id wire.MinionID, pem string) error {
	if err := s.check(Accepted, id); err != nil {
		return err
	}
	pem = seal.CleanKey(pem)
	if _, err := seal.ParsePublic([]byte(pem)); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	lock := s.lock(id)
	lock.Lock()
	defer lock.Unlock()
	twin, err := s.caseTwin(id)
	if err != nil {
		return err
	}
	if twin != "" {
		return fmt.Errorf("%w: %s", ErrCaseTwin, twin)
	}
	return s.write(Accepted, id, pem)
}

// Fingerprint returns the finger print of a stored key as Salt prints it, by the
// option hash_type ("sha256").
func (s *Store) Fingerprint(st State, id wire.MinionID, hashType string) (string, error) {
	text, err := s.Read(st, id)
	if err != nil {
		return "", err
	}
	return seal.Fingerprint(text, hashType)
}

// dropName is the file below cachedir by which any process asks the master for a new
// shared key.
const dropName = ".dfn"

func (s *Store) rotateIfWanted() error {
	if !s.cfg.RotateAES {
		return nil
	}
	return s.RotateAES()
}

// RotateAES asks the master to make a new shared key: it leaves Salt's drop file,
// which TakeRotation of the running master finds. Asking twice is asking once.
func (s *Store) RotateAES() error {
	path := filepath.Join(s.cfg.CacheDir, dropName)
	if _, err := os.Lstat(path); err == nil {
		return nil
	}
	if err := writeDurable(s.cfg.CacheDir, dropName, []byte(s.cfg.MasterID), 0o400); err != nil {
		return fmt.Errorf("ask for a new shared key: %w", err)
	}
	return nil
}

// TakeRotation tells whether a new shared key was asked for since it was last called,
// and removes the drop file. One of another mode than 0400 is removed and does not
// count, as it may have been planted; one that names another master is left alone.
func (s *Store) TakeRotation() (bool, error) {
	path := filepath.Join(s.cfg.CacheDir, dropName)
	fi, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	asked := fi.Mode() == 0o400
	if asked && fi.Size() > 0 && s.cfg.MasterID != "" {
		b, err := os.ReadFile(path)
		if err != nil {
			return false, err
		}
		if name := strings.TrimSpace(string(b)); name != s.cfg.MasterID {
			s.log.Warn("drop file names another master, left alone", "path", path, "names", name)
			return false, nil
		}
	}
	if !asked {
		s.log.Error("drop file of unexpected mode removed and ignored", "path", path, "mode", fi.Mode().String(), "expected", "-r--------")
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	return asked, nil
}
