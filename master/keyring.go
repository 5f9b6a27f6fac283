package master

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/gosalt/gosalt/master/events"
	"github.com/gosalt/gosalt/master/keys"
	"github.com/gosalt/gosalt/protocol/wire"
)

// KeyIDs implements runners.Keys.
func (r runnerMaster) KeyIDs(state string) ([]wire.MinionID, error) {
	return r.m.keys.List(keys.State(state))
}

// ReadKey implements runners.Keys.
func (r runnerMaster) ReadKey(state string, id wire.MinionID) (string, error) {
	return r.m.keys.Read(keys.State(state), id)
}

// MoveKey implements runners.Keys.
func (r runnerMaster) MoveKey(id wire.MinionID, from, to, user string) error {
	err := r.m.keys.Move(id, keys.State(from), keys.State(to))
	if errors.Is(err, keys.ErrUnknown) {
		return nil // somebody else was faster
	}
	r.m.audit("key moved", "user", user, "minion", string(id), "from", from, "to", to, "result", err == nil)
	r.m.keysChanged()
	return err
}

// RemoveKey implements runners.Keys.
func (r runnerMaster) RemoveKey(state string, id wire.MinionID, user string) error {
	_, err := r.m.deleteKey(keys.State(state), id, user)
	return err
}

// deleteKey deletes a key, with what is kept of the minion where it was its last one, and
// tells whether it was there.
func (m *Master) deleteKey(state keys.State, id wire.MinionID, user string) (was bool, err error) {
	err = m.keys.Delete(state, id)
	if errors.Is(err, keys.ErrUnknown) {
		return false, nil
	}
	m.audit("key deleted", "user", user, "minion", string(id), "state", string(state), "result", err == nil)
	m.keysChanged()
	if err != nil {
		return false, err
	}
	if st, err := m.keys.StateOf(id); err != nil || st != "" || m.cfg.PreserveMinionCache {
		return true, err
	}
	return true, m.store.ForgetMinion(context.WithoutCancel(m.ctx), id)
}

// SeedKey implements runners.Keys.
func (r runnerMaster) SeedKey(id wire.MinionID, pem, user string) error {
	return r.m.seedKey(id, pem, user)
}

// seedKey accepts a key before its minion comes; more is for the audit log.
func (m *Master) seedKey(id wire.MinionID, pem, user string, more ...any) error {
	err := m.keys.Seed(id, pem)
	m.audit("key seeded", append([]any{"user", user, "minion", string(id), "result", err == nil}, more...)...)
	if err == nil {
		m.bus.Publish(events.Key, wire.NewMap("result", true, "act", "accept", "id", string(id)))
		m.keysChanged()
	}
	return err
}

// MasterKeys implements runners.Keys.
func (r runnerMaster) ForgetKeys(user string) error {
	r.m.audit("all keys deleted", "user", user)
	var errs []error
	err := filepath.WalkDir(r.m.cfg.PKIDir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			err = os.Remove(path)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
		return nil
	})
	return errors.Join(append(errs, err)...)
}

func (r runnerMaster) MasterKeys() (map[string]string, error) {
	dir := r.m.cfg.PKIDir
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	files := map[string]string{}
	for _, e := range entries {
		switch name := e.Name(); {
		case !e.Type().IsRegular():
		case strings.HasSuffix(name, ".pem"):
			files[name] = ""
		case strings.HasSuffix(name, ".pub"):
			b, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				return nil, err
			}
			files[name] = string(b)
		}
	}
	return files, nil
}
