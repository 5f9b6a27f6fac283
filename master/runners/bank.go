package runners

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/master/jobs"
	"github.com/gosalt/gosalt/protocol/wire"
)

func registerBanks(r *module.Registry) {
	module.Register(r, "cache.store", cacheStore)
	module.Register(r, "cache.list", cacheList)
	module.Register(r, "cache.fetch", cacheFetch)
	module.Register(r, "cache.flush", cacheFlush)
}

type bankArgs struct {
	Bank     string // The bank: a path of names, "cloud/active". That of a minion is minions/ID.
	Cachedir string `default:"None"` // Another directory than the master's cachedir.
}

type bankKeyArgs struct {
	Bank     string // The bank: a path of names, "cloud/active". That of a minion is minions/ID.
	Key      string // The key: a name. Of a minion, data (its grains and pillar) or mine.
	Cachedir string `default:"None"` // Another directory than the master's cachedir.
}

type bankFlushArgs struct {
	Bank     string // The bank: a path of names, "cloud/active". That of a minion is minions/ID.
	Key      string `default:"None"` // The key; the whole bank with those below it where not given.
	Cachedir string `default:"None"` // Another directory than the master's cachedir.
}

type bankStoreArgs struct {
	Bank     string // The bank: a path of names, "cloud/active". That of a minion is minions/ID.
	Key      string // The key: a name. Of a minion, data (its grains and pillar) or mine.
	Data     any    // What to keep: anything that can be packed.
	Cachedir string `default:"None"` // Another directory than the master's cachedir.
}

// A bank keeps values by key: one of a minion in the job store, each other one as files
// where Salt has them, cachedir/BANK/KEY.p.
type bank struct {
	c      *call
	dir    string
	name   string
	minion wire.MinionID // of minions/ID
}

func openBank(ctx context.Context, name, dir string) (*bank, error) {
	b := &bank{c: callOf(ctx), dir: dir, name: path.Clean(name)}
	if b.dir == "" {
		b.dir = b.c.r.master.Opts().Text("cachedir")
		if id, ok := strings.CutPrefix(b.name, "minions/"); ok && !strings.Contains(id, "/") {
			var err error
			if b.minion, err = wire.ParseMinionID(id); err != nil {
				return nil, module.Invalidf("bank %q: %w", name, err)
			}
		}
	}
	if !fs.ValidPath(b.name) || b.name == "." {
		return nil, module.Invalidf("bank %q: a path of names is expected, as cloud/active", name)
	}
	return b, nil
}

// file is where a key is, below the directory of all banks.
func (b *bank) file(key string) (string, error) {
	if key == "" || strings.ContainsAny(key, "/\\\x00") || key == ".." {
		return "", module.Invalidf("key %q: a name is expected", key)
	}
	return b.name + "/" + key + ".p", nil
}

// parts is what the job store has of the bank's minion; none is no error.
func (b *bank) parts(ctx context.Context) (d jobs.MinionData, err error) {
	d, err = b.c.r.master.Jobs().MinionData(ctx, b.minion)
	if errors.Is(err, jobs.ErrUnknown) {
		err = nil
	}
	return d, err
}

// cacheStore keeps a value in a bank of the master's cache.
//
//	gosalt-run cache.store mycache mykey 'The time has come the walrus said'
func cacheStore(ctx context.Context, _ *module.Call, a bankStoreArgs) (any, error) {
	b, err := openBank(ctx, a.Bank, a.Cachedir)
	if err != nil {
		return nil, err
	}
	if b.minion != "" {
		return nil, b.storeMinion(ctx, a.Key, a.Data)
	}
	name, err := b.file(a.Key)
	if err != nil {
		return nil, err
	}
	packed, err := wire.Encode(a.Data, wire.Local)
	if err != nil {
		return nil, module.Failf("%w", err)
	}
	root, err := os.OpenRoot(b.dir)
	if err != nil {
		return nil, module.Failf("%w", err)
	}
	defer root.Close()
	if err := root.MkdirAll(b.name, 0o700); err != nil {
		return nil, module.Failf("%w", err)
	}
	tmp := b.name + "/." + a.Key + ".new"
	if err = root.WriteFile(tmp, packed, 0o600); err == nil {
		err = root.Rename(tmp, name)
	}
	if err != nil {
		return nil, module.Failf("%w", err)
	}
	return nil, nil
}

func (b *bank) storeMinion(ctx context.Context, key string, v any) error {
	m, ok := v.(*wire.Map)
	if !ok {
		return module.Invalidf("what is kept of a minion is a map")
	}
	pack := func(m *wire.Map) []byte {
		if m.Len() == 0 {
			return []byte{}
		}
		p, err := wire.Encode(m, wire.Local)
		if err != nil {
			return []byte{}
		}
		return p
	}
	d := jobs.MinionData{ID: b.minion, Updated: time.Now()}
	switch key {
	case "data":
		d.Grains, d.Pillar = pack(m.Map("grains")), pack(m.Map("pillar"))
	case "mine":
		d.Mine = pack(m)
	default:
		return module.Invalidf("key %q: of a minion, data and mine are kept", key)
	}
	return b.c.r.master.Jobs().SetMinionData(ctx, d)
}

// cacheList lists the keys of a bank, and the banks below it.
//
//	gosalt-run cache.list minions
//	gosalt-run cache.list cloud/active/ec2/myec2 cachedir=/var/cache/salt/
func cacheList(ctx context.Context, _ *module.Call, a bankArgs) ([]string, error) {
	b, err := openBank(ctx, a.Bank, a.Cachedir)
	if err != nil {
		return nil, err
	}
	out := []string{}
	switch {
	case b.minion != "":
		d, err := b.parts(ctx)
		if len(d.Grains)+len(d.Pillar) > 0 {
			out = append(out, "data")
		}
		if len(d.Mine) > 0 {
			out = append(out, "mine")
		}
		return out, err
	case b.name == "minions" && a.Cachedir == "":
		for d, err := range b.c.r.master.Jobs().AllMinionData(ctx) {
			if err != nil {
				return nil, err
			}
			out = append(out, string(d.ID))
		}
		return out, nil
	}
	root, err := os.OpenRoot(b.dir)
	if err != nil {
		return nil, module.Failf("%w", err)
	}
	defer root.Close()
	entries, err := fs.ReadDir(root.FS(), b.name)
	if errors.Is(err, fs.ErrNotExist) {
		return out, nil
	}
	if err != nil {
		return nil, module.Failf("%w", err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		out = append(out, strings.TrimSuffix(e.Name(), ".p"))
	}
	slices.Sort(out)
	return out, nil
}

// cacheFetch returns a value of a bank; an empty map where there is none.
//
//	gosalt-run cache.fetch minions/web1 mine
//	gosalt-run cache.fetch cloud/active/ec2/myec2 myminion cachedir=/var/cache/salt/
func cacheFetch(ctx context.Context, _ *module.Call, a bankKeyArgs) (any, error) {
	b, err := openBank(ctx, a.Bank, a.Cachedir)
	if err != nil {
		return nil, err
	}
	if b.minion != "" {
		return b.fetchMinion(ctx, a.Key)
	}
	name, err := b.file(a.Key)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(b.dir)
	if err != nil {
		return nil, module.Failf("%w", err)
	}
	defer root.Close()
	packed, err := root.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return wire.NewMap(), nil
	}
	if err != nil {
		return nil, module.Failf("%w", err)
	}
	v, err := wire.Decode(packed, wire.Local, storedLimits)
	if err != nil {
		return nil, module.Failf("read %s: %w", name, err)
	}
	return v, nil
}

func (b *bank) fetchMinion(ctx context.Context, key string) (any, error) {
	d, err := b.parts(ctx)
	if err != nil {
		return nil, err
	}
	out := wire.NewMap()
	add := func(name string, packed []byte) {
		if m, e := wire.DecodeMap(packed, wire.Local, storedLimits); len(packed) > 0 {
			out.Set(name, m)
			err = errors.Join(err, e)
		}
	}
	switch key {
	case "data":
		add("grains", d.Grains)
		add("pillar", d.Pillar)
	case "mine":
		add("mine", d.Mine)
		if m := out.Map("mine"); m != nil {
			out = m
		}
	}
	return out, err
}

// cacheFlush removes a value of a bank, or a bank with all that is in it, and tells
// whether there was something to remove.
//
//	gosalt-run cache.flush minions/web1 mine
//	gosalt-run cache.flush cloud/active/ec2/myec2 cachedir=/var/cache/salt/
func cacheFlush(ctx context.Context, _ *module.Call, a bankFlushArgs) (bool, error) {
	b, err := openBank(ctx, a.Bank, a.Cachedir)
	if err != nil {
		return false, err
	}
	if b.minion != "" {
		d, err := b.parts(ctx)
		if err != nil {
			return false, err
		}
		gone := jobs.MinionData{ID: b.minion, Updated: time.Now()}
		had := false
		if a.Key == "" || a.Key == "data" {
			had = len(d.Grains)+len(d.Pillar) > 0
			gone.Grains, gone.Pillar = []byte{}, []byte{}
		}
		if a.Key == "" || a.Key == "mine" {
			had = had || len(d.Mine) > 0
			gone.Mine = []byte{}
		}
		return had, b.c.r.master.Jobs().SetMinionData(ctx, gone)
	}
	if b.name == "minions" && a.Cachedir == "" {
		return false, module.Invalidf("bank minions: name a minion, as minions/web1, or use cache.clear_all")
	}
	root, err := os.OpenRoot(b.dir)
	if err != nil {
		return false, module.Failf("%w", err)
	}
	defer root.Close()
	name := b.name
	if a.Key != "" {
		if name, err = b.file(a.Key); err != nil {
			return false, err
		}
		err = root.Remove(name)
	} else {
		// Beside banks, the directory has what the master cannot do without.
		err = onlyBanks(root.FS(), name)
		if err == nil {
			err = root.RemoveAll(name)
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, module.Failf("%w", err)
	}
	return true, nil
}

// onlyBanks refuses a directory in which something else is than banks and their keys.
func onlyBanks(fsys fs.FS, name string) error {
	return fs.WalkDir(fsys, name, func(p string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && !strings.HasSuffix(p, ".p") {
			err = module.Invalidf("%s is no bank: it holds %s", name, p)
		}
		return err
	})
}
