package modules

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gosalt/gosalt/internal/durable"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/yamlarg"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("data.get", dataGet)
	register("data.update", dataUpdate)
	register("data.cas", dataCas)
	register("data.pop", dataPop)
	register("data.has_key", dataHasKey)
	register("data.keys", dataKeys)
	register("data.values", dataValues)
	register("data.items", dataItems)
	register("data.load", dataLoad)
	register("data.dump", dataDump)
	register("data.clear", dataClear)
}

// A dataStore is the minion's own store: one packed map in a file that Salt reads
// and writes, too. A lock file beside it orders jobs and other processes, since
// each change reads the whole and writes the whole.
type dataStore struct{ file string }

// openStore takes the lock of the store, until unlock is called.
func openStore(c *module.Call) (s dataStore, unlock func(), err error) {
	if c.CacheDir == "" {
		return s, nil, module.Failf("the minion has no cachedir, which the data store is in: set cachedir")
	}
	dir := c.Host.Path(c.CacheDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return s, nil, module.Failf("make the directory of the data store: %w", err)
	}
	s.file = filepath.Join(dir, "datastore")
	f, err := os.OpenFile(s.file+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return s, nil, module.Failf("lock the data store: %w", err)
	}
	if err := lockFile(f); err != nil {
		_ = f.Close() // the lock's error says it all
		return s, nil, module.Failf("lock the data store: %w", err)
	}
	return s, func() { _ = f.Close() }, nil // closing unlocks; nothing was written
}

// read returns what is stored, an empty map where there is no file yet.
func (s dataStore) read() (*wire.Map, error) {
	b, err := os.ReadFile(s.file)
	if errors.Is(err, fs.ErrNotExist) {
		return wire.NewMap(), nil
	}
	if err != nil {
		return nil, module.Failf("read the data store: %w", err)
	}
	m, err := wire.DecodeMap(b, wire.Local, wire.Authenticated)
	if err != nil {
		return nil, module.Failf("the data store %s is damaged: %w. data.clear starts a new one", s.file, err)
	}
	return m, nil
}

func (s dataStore) write(m *wire.Map) error {
	b, err := wire.Encode(m, wire.Local)
	if err == nil {
		err = durable.WriteFile(s.file, b, 0o600)
	}
	if err != nil {
		return module.Failf("write the data store: %w", err)
	}
	return nil
}

// readData is the store as it is now.
func readData(c *module.Call) (*wire.Map, error) {
	s, unlock, err := openStore(c)
	if err != nil {
		return nil, err
	}
	defer unlock()
	return s.read()
}

// changeData has change work on what is stored, and stores it when change says so.
func changeData(c *module.Call, change func(m *wire.Map) (store bool)) error {
	s, unlock, err := openStore(c)
	if err != nil {
		return err
	}
	defer unlock()
	m, err := s.read()
	if err != nil || !change(m) {
		return err
	}
	return s.write(m)
}

// entry finds a key of any kind.
func entry(m *wire.Map, key any) (any, bool) {
	for k, v := range m.All() {
		if pytext.Equal(k, key) {
			return v, true
		}
	}
	return nil, false
}

// without is a copy of a map without a key of any kind.
func without(m *wire.Map, key any) *wire.Map {
	out := wire.NewMap()
	for k, v := range m.All() {
		if !pytext.Equal(k, key) {
			out.SetAny(k, v)
		}
	}
	return out
}

// scalarKey refuses what cannot be a key.
func scalarKey(key any) error {
	if isComplex(key) {
		return module.Invalidf("a key of the data store is a text or a number, not a list or a map")
	}
	return nil
}

type dataGetArgs struct {
	Key     any // A key, or a list of keys.
	Default any `default:"None"` // Stands for keys that are not there; without it a list of keys gives only those that are.
}

// dataGet returns a value of the minion's data store, or a list of values for a list
// of keys.
//
//	gosalt '*' data.get key
//	gosalt '*' data.get '["key1", "key2"]' default=none
func dataGet(ctx context.Context, c *module.Call, a dataGetArgs) (any, error) {
	m, err := readData(c)
	if err != nil {
		return nil, err
	}
	keys, many := a.Key.([]any)
	if !many {
		if v, ok := entry(m, a.Key); ok {
			return v, nil
		}
		return a.Default, nil
	}
	out := []any{}
	for _, k := range keys {
		if v, ok := entry(m, k); ok {
			out = append(out, v)
		} else if a.Default != nil {
			out = append(out, a.Default)
		}
	}
	return out, nil
}

type dataUpdateArgs struct {
	Key   any // The key.
	Value any // Its value: anything that can be packed.
}

// dataUpdate stores a value under a key in the minion's data store, which lasts over
// restarts.
//
//	gosalt '*' data.update key value
func dataUpdate(ctx context.Context, c *module.Call, a dataUpdateArgs) (bool, error) {
	if err := scalarKey(a.Key); err != nil {
		return false, err
	}
	err := changeData(c, func(m *wire.Map) bool {
		m.SetAny(a.Key, a.Value)
		return true
	})
	return err == nil, err
}

type dataCasArgs struct {
	Key      any // The key.
	Value    any // Its new value.
	OldValue any // What it must be before.
}

// dataCas changes a value only where it is still the one that is expected (check and
// set), and tells whether it did. A key that is not there is left so.
//
//	gosalt '*' data.cas key new_value old_value
func dataCas(ctx context.Context, c *module.Call, a dataCasArgs) (bool, error) {
	done := false
	err := changeData(c, func(m *wire.Map) bool {
		v, ok := entry(m, a.Key)
		if done = ok && pytext.Equal(v, a.OldValue); done {
			m.SetAny(a.Key, a.Value)
		}
		return done
	})
	return done && err == nil, err
}

type dataPopArgs struct {
	Key     any // The key.
	Default any `default:"None"` // What is returned where there is none.
}

// dataPop removes a key from the minion's data store and returns its value.
//
//	gosalt '*' data.pop key
func dataPop(ctx context.Context, c *module.Call, a dataPopArgs) (any, error) {
	s, unlock, err := openStore(c)
	if err != nil {
		return nil, err
	}
	defer unlock()
	m, err := s.read()
	if err != nil {
		return nil, err
	}
	v, ok := entry(m, a.Key)
	if !ok {
		return a.Default, nil
	}
	return v, s.write(without(m, a.Key))
}

type dataHasKeyArgs struct {
	Key any // The key.
}

// dataHasKey tells whether there is such a key in the minion's data store.
//
//	gosalt '*' data.has_key key
func dataHasKey(ctx context.Context, c *module.Call, a dataHasKeyArgs) (bool, error) {
	m, err := readData(c)
	_, ok := entry(m, a.Key)
	return ok && err == nil, err
}

// dataKeys lists the keys of the minion's data store.
//
//	gosalt '*' data.keys
func dataKeys(ctx context.Context, c *module.Call, a noArgs) ([]any, error) {
	m, err := readData(c)
	keys := []any{}
	for k := range m.All() {
		keys = append(keys, k)
	}
	return keys, err
}

// dataValues lists the values of the minion's data store.
//
//	gosalt '*' data.values
func dataValues(ctx context.Context, c *module.Call, a noArgs) ([]any, error) {
	m, err := readData(c)
	values := []any{}
	for _, v := range m.All() {
		values = append(values, v)
	}
	return values, err
}

// dataItems returns the minion's data store.
//
//	gosalt '*' data.items
func dataItems(ctx context.Context, c *module.Call, a noArgs) (*wire.Map, error) {
	return readData(c)
}

// dataLoad returns the minion's data store, as data.items.
//
//	gosalt '*' data.load
func dataLoad(ctx context.Context, c *module.Call, a noArgs) (*wire.Map, error) {
	return readData(c)
}

type dataDumpArgs struct {
	NewData any // The new contents: a map, or its text.
}

// dataDump replaces the whole data store of the minion. False says that it was given
// no map.
//
//	gosalt '*' data.dump '{eggs: spam}'
func dataDump(ctx context.Context, c *module.Call, a dataDumpArgs) (bool, error) {
	data := a.NewData
	if text, ok := data.(string); ok {
		v, err := yamlarg.Load(text)
		if err != nil {
			return false, module.Invalidf("a map is expected, and this text is none: %w", err)
		}
		data = noneAsNil(v)
	}
	m, ok := data.(*wire.Map)
	if !ok {
		return false, nil
	}
	s, unlock, err := openStore(c)
	if err != nil {
		return false, err
	}
	defer unlock()
	err = s.write(m)
	return err == nil, err
}

// noneAsNil is for maps that were written as Python does: YAML takes None for a text.
func noneAsNil(v any) any {
	switch v := v.(type) {
	case string:
		if v == "None" {
			return nil
		}
	case []any:
		for i, e := range v {
			v[i] = noneAsNil(e)
		}
	case *wire.Map:
		out := wire.NewMap()
		for k, e := range v.All() {
			out.SetAny(k, noneAsNil(e))
		}
		return out
	}
	return v
}

// dataClear empties the minion's data store.
//
//	gosalt '*' data.clear
func dataClear(ctx context.Context, c *module.Call, a noArgs) (bool, error) {
	s, unlock, err := openStore(c)
	if err != nil {
		return false, err
	}
	defer unlock()
	if err := os.Remove(s.file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, module.Failf("empty the data store: %w", err)
	}
	if err := durable.SyncDir(filepath.Dir(s.file)); err != nil {
		return false, module.Failf("empty the data store: %w", err)
	}
	return true, nil
}
