package master

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/gosalt/gosalt/internal/durable"
	"github.com/gosalt/gosalt/protocol/seal"
	"github.com/gosalt/gosalt/protocol/wire"
)

// sessions holds the session key of each minion. They lie in Salt's directory
// "sessions" below cachedir, so that minions go on where they were when the master
// restarts.
type sessions struct {
	dir    string
	maxAge time.Duration // publish_session

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
	return &sessions{dir: dir, maxAge: maxAge, keys: map[wire.MinionID]*session{}}, nil
}

// get returns the session key of a minion, nil where there is none yet.
func (s *sessions) get(id wire.MinionID) *seal.Key {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.keys[id]; k != nil {
		return k.key
	}
	if k, err := s.read(id); err == nil {
		s.keys[id] = k
		return k.key
	}
	return nil
}

// issue returns the session key for a minion that signs in: the one it has, or a new one
// where that is missing or too old.
func (s *sessions) issue(id wire.MinionID) (*seal.Key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.keys[id]
	if k == nil {
		var err error
		if k, err = s.read(id); err != nil && !errors.Is(err, fs.ErrNotExist) {
			k = nil // unreadable: a new one takes its place
		}
	}
	if k == nil || s.maxAge > 0 && time.Since(k.made) > s.maxAge {
		c := seal.NewKey()
		if err := durable.WriteFile(filepath.Join(s.dir, string(id)), []byte(c.Reveal()), 0o600); err != nil {
			return nil, fmt.Errorf("keep session key of %s: %w", id, err)
		}
		k = &session{key: c, made: time.Now()}
	}
	s.keys[id] = k
	return k.key, nil
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
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.keys, id)
	if err := os.Remove(filepath.Join(s.dir, string(id))); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove session key of %s: %w", id, err)
	}
	return nil
}
