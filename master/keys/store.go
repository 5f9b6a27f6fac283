package keys

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/gosalt/gosalt/protocol/seal"
	"github.com/gosalt/gosalt/protocol/wire"
)

// maxPEM is the largest key file read, in bytes; what seal takes is at most this.
const maxPEM = 8 << 10

// Store is the key directories. Its methods may be called concurrently, and beside
// other processes that change the directories.
type Store struct {
	cfg   Config
	log   *slog.Logger
	now   func() time.Time
	lists map[State]*listing
	files map[string]*signingFile // autosign_file and autoreject_file by path
	quota quota

	seed  maphash.Seed
	locks [64]sync.Mutex // by id, case ignored: one decision about an id at a time

	mu    sync.RWMutex
	known map[wire.MinionID]*knownKey // parsed files of minions
}

// knownKey is what a key file held when its stat was stamp.
type knownKey struct {
	stamp stamp
	sum   [32]byte // SHA-256 of the cleaned text
	key   *seal.PublicKey
	err   error // why it is none
}

// Open makes a store of pki_dir, with the directories that are missing. It refuses
// directories that others may write to, with a message that says how to mend them.
func Open(cfg Config) (*Store, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.MaxPending == 0 {
		cfg.MaxPending = 10_000
	}
	if cfg.PendingPerAddress == 0 {
		cfg.PendingPerAddress = 100
	}
	s := &Store{
		cfg:   cfg,
		log:   cfg.Log,
		now:   cfg.Now,
		lists: map[State]*listing{},
		files: map[string]*signingFile{},
		quota: quota{max: cfg.PendingPerAddress},
		seed:  maphash.MakeSeed(),
		known: map[wire.MinionID]*knownKey{},
	}
	if err := prepareDir(cfg.PKIDir, cfg.Log); err != nil {
		return nil, err
	}
	for _, st := range States {
		dir := s.dir(st)
		if err := prepareSubdir(dir); err != nil {
			return nil, err
		}
		if err := removeTemporary(dir); err != nil {
			return nil, err
		}
		s.lists[st] = &listing{dir: dir, now: s.now}
	}
	if err := prepareSubdir(filepath.Join(cfg.PKIDir, autosignDir)); err != nil {
		return nil, err
	}
	for _, path := range []string{cfg.AutosignFile, cfg.AutorejectFile} {
		s.files[path] = &signingFile{path: path}
	}
	return s, nil
}

func (s *Store) dir(st State) string { return filepath.Join(s.cfg.PKIDir, string(st)) }

func (s *Store) lock(id wire.MinionID) *sync.Mutex {
	return &s.locks[maphash.String(s.seed, strings.ToLower(string(id)))%uint64(len(s.locks))]
}

func (s *Store) fire(e Event) {
	if s.cfg.OnEvent != nil {
		s.cfg.OnEvent(e)
	}
}

// Accepted returns the accepted key of a minion, ErrUnknown when there is none, and
// ErrInvalid when the file holds no usable key. It costs a stat of the file.
func (s *Store) Accepted(id wire.MinionID) (*seal.PublicKey, error) {
	k, err := s.accepted(id)
	if err != nil {
		return nil, err
	}
	if k == nil {
		return nil, fmt.Errorf("%w: %s is not accepted", ErrUnknown, id)
	}
	return k.key, k.err
}

// IsAccepted tells whether this very key is the accepted one of an id, without any
// effect. It is no proof of anything: a public key is public.
func (s *Store) IsAccepted(id wire.MinionID, pub string) bool {
	m, err := s.matchAccepted(id, sha256.Sum256([]byte(seal.CleanKey(pub))))
	return err == nil && m == Same
}

// accepted returns what is known of the file below minions, nil when there is none.
func (s *Store) accepted(id wire.MinionID) (*knownKey, error) {
	if _, err := wire.ParseMinionID(string(id)); err != nil {
		return nil, err
	}
	path := filepath.Join(s.dir(Accepted), string(id))
	fi, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		s.forget(id)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if fi.Mode().IsRegular() {
		s.mu.RLock()
		k := s.known[id]
		s.mu.RUnlock()
		if k != nil && k.stamp.holds(stampOf(fi, s.now())) {
			return k, nil
		}
	}
	text, st, err := s.read(Accepted, id)
	if errors.Is(err, fs.ErrNotExist) {
		s.forget(id)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	k := &knownKey{stamp: st, sum: sha256.Sum256([]byte(text))}
	if k.key, err = seal.ParsePublic([]byte(text)); err != nil {
		k.err = fmt.Errorf("%w: %s: %w", ErrInvalid, path, err)
	}
	s.mu.Lock()
	s.known[id] = k
	s.mu.Unlock()
	return k, nil
}

func (s *Store) forget(id wire.MinionID) {
	s.mu.Lock()
	delete(s.known, id)
	s.mu.Unlock()
}

// matchAccepted is match for the accepted key, from memory where that holds.
func (s *Store) matchAccepted(id wire.MinionID, sum [32]byte) (Match, error) {
	k, err := s.accepted(id)
	switch {
	case errors.Is(err, errNoFile):
		return Blocked, nil
	case err != nil:
		return None, err
	case k == nil:
		return None, nil
	case k.sum == sum:
		return Same, nil
	}
	return Differs, nil
}

// match compares the stored key of an id with the sum of a cleaned key.
func (s *Store) match(st State, id wire.MinionID, sum [32]byte) (Match, error) {
	text, _, err := s.read(st, id)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return None, nil
	case errors.Is(err, errNoFile):
		return Blocked, nil
	case err != nil:
		return None, err
	case sha256.Sum256([]byte(text)) == sum:
		return Same, nil
	}
	return Differs, nil
}

// exists tells whether there is a key file of an id in a state.
func (s *Store) exists(st State, id wire.MinionID) (bool, error) {
	fi, err := os.Stat(filepath.Join(s.dir(st), string(id)))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && fi.Mode().IsRegular(), err
}

// List returns the ids in a state, sorted without regard to case as Salt sorts them.
func (s *Store) List(st State) ([]wire.MinionID, error) {
	l, err := s.listing(st)
	if err != nil {
		return nil, err
	}
	return l.sorted()
}

func (s *Store) listing(st State) (*listing, error) {
	l, ok := s.lists[st]
	if !ok {
		return nil, fmt.Errorf("unknown key state %q: one of minions, minions_pre, minions_rejected, minions_denied expected", st)
	}
	return l, nil
}

// Read returns the key of an id in a state as cleaned PEM text, ErrUnknown when
// there is none.
func (s *Store) Read(st State, id wire.MinionID) (string, error) {
	if err := s.check(st, id); err != nil {
		return "", err
	}
	text, _, err := s.read(st, id)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%w: no file %s/%s", ErrUnknown, st, id)
	}
	return text, err
}

func (s *Store) check(st State, id wire.MinionID) error {
	if _, err := s.listing(st); err != nil {
		return err
	}
	_, err := wire.ParseMinionID(string(id))
	return err
}

// StateOf returns where an id's key stands: Rejected before Accepted before Pending
// before Denied, as authentication looks at them; "" when it has none.
func (s *Store) StateOf(id wire.MinionID) (State, error) {
	if _, err := wire.ParseMinionID(string(id)); err != nil {
		return "", err
	}
	for _, st := range []State{Rejected, Accepted, Pending, Denied} {
		if ok, err := s.exists(st, id); ok || err != nil {
			return st, err
		}
	}
	return "", nil
}
