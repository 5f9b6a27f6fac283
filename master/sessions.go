package master

import (
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/gosalt/gosalt/protocol/seal"
	"github.com/gosalt/gosalt/protocol/wire"
)

// sessions holds the session key of each minion. They lie in Salt's directory
// "sessions" below cachedir, so that minions go on where they were when the master
// restarts.
type sessions struct {
	dir    string
	maxAge time.Duration // publish_session

	seed  maphash.Seed
	locks [64]sync.Mutex // by id, held while its file is read, written or removed

	mu   sync.Mutex
	keys map[wire.MinionID]*session
}

type session struct {
	key  *seal.Key
	made time.Time
}

func openSessions(cacheDir string, maxAge time.Duration) (*sessions, error) {
	dir := filepath.Join(cacheDir, "sessions")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make directory of session keys: %w", err)
	}
	left, _ := filepath.Glob(filepath.Join(dir, ".tmp-*"))
	for _, name := range left { // of a master that was killed
		os.Remove(name)
	}
	return &sessions{dir: dir, maxAge: maxAge, seed: maphash.MakeSeed(), keys: map[wire.MinionID]*session{}}, nil
}

func (s *sessions) lock(id wire.MinionID) *sync.Mutex {
	return &s.locks[maphash.String(s.seed, string(id))%uint64(len(s.locks))]
}

func (s *sessions) held(id wire.MinionID) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys[id]
}

func (s *sessions) hold(id wire.MinionID, k *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys[id] = k
}

// get returns the session key of a minion, nil where there is none yet.
func (s *sessions) get(id wire.MinionID) *seal.Key {
	if k := s.held(id); k != nil {
		return k.key
	}
	l := s.lock(id)
	l.Lock()
	defer l.Unlock()
	k := s.held(id)
	if k == nil {
		var err error
		if k, err = s.read(id); err != nil {
			return nil
		}
		s.hold(id, k)
	}
	return k.key
}

// issue returns the session key for a minion that signs in: the one it has, or a new one
// where that is missing or too old.
func (s *sessions) issue(id wire.MinionID) (*seal.Key, error) {
	l := s.lock(id)
	l.Lock()
	defer l.Unlock()
	k := s.held(id)
	if k == nil {
		var err error
		if k, err = s.read(id); err != nil {
			k = nil // unreadable: a new one takes its place
		}
	}
	if k == nil || s.maxAge > 0 && time.Since(k.made) > s.maxAge {
		k = &session{key: seal.NewKey(), made: time.Now()}
		if err := s.write(id, k); err != nil {
			return nil, fmt.Errorf("keep session key of %s: %w", id, err)
		}
	}
	s.hold(id, k)
	return k.key, nil
}

// write puts a key into its file, which is the old one or the new one, whole. It does
// not wait for the disk: after a power cut the minion is refused, and signs in again,
// while ten thousand minions that sign in would wait for it ten thousand times.
func (s *sessions) write(id wire.MinionID, k *session) error {
	tmp, err := os.CreateTemp(s.dir, ".tmp-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = tmp.WriteString(k.key.Reveal())
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), filepath.Join(s.dir, string(id)))
	}
	if err != nil {
		os.Remove(tmp.Name())
	}
	return err
}

func (s *sessions) read(id wire.MinionID) (*session, error) {
	name := filepath.Join(s.dir, string(id))
	st, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if st.Size() > 4096 {
		return nil, fmt.Errorf("session key %s has %d bytes: 76 expected", name, st.Size())
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	key, err := seal.ParseKey(strings.TrimSpace(string(b)))
	if err != nil {
		return nil, fmt.Errorf("session key %s: %w", name, err)
	}
	return &session{key: key, made: st.ModTime()}, nil
}

// drop ends a minion's session: what it sends from now on is refused until it signs in.
func (s *sessions) drop(id wire.MinionID) error {
	l := s.lock(id)
	l.Lock()
	defer l.Unlock()
	s.mu.Lock()
	delete(s.keys, id)
	s.mu.Unlock()
	if err := os.Remove(filepath.Join(s.dir, string(id))); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove session key of %s: %w", id, err)
	}
	return nil
}
