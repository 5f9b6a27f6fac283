package master

import (
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gosalt/gosalt/internal/durable"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Salt's programs look their jobs up in the files of Salt's local_cache. With
// compat_root_key the jobs that they ordered are there besides the job store, until they
// are as old as keep_jobs_seconds.

// saltHashes are the hashes of hash_type.
var saltHashes = map[string]func() hash.Hash{"md5": md5.New, "sha1": sha1.New, "sha224": sha256.New224, "sha256": sha256.New,
	"sha384": sha512.New384, "sha512": sha512.New}

// saltJobDir is the directory of a job in Salt's local_cache.
func (m *Master) saltJobDir(jid wire.JobID) string {
	make := saltHashes[m.cfg.HashType]
	if make == nil {
		make = sha256.New
	}
	h := make()
	h.Write([]byte(jid))
	sum := hex.EncodeToString(h.Sum(nil))
	return filepath.Join(m.cfg.CacheDir, "jobs", sum[:2], sum[2:])
}

// saveForSalt keeps a job where Salt's programs look for it.
func (m *Master) saveForSalt(jid wire.JobID, load *wire.Map, ids []wire.MinionID) error {
	dir := m.saltJobDir(jid)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	err := os.WriteFile(filepath.Join(dir, "jid"), []byte(jid), 0o600)
	for name, v := range map[string]any{".minions.p": texts(ids), ".load.p": load} {
		err = errors.Join(err, packFile(filepath.Join(dir, name), v))
	}
	return err
}

// returnForSalt keeps a result where Salt's programs look for it, if the job is one of theirs.
func (m *Master) returnForSalt(jid wire.JobID, id wire.MinionID, load *wire.Map) {
	if !m.cfg.CompatRootKey {
		return
	}
	dir := m.saltJobDir(jid)
	if _, err := os.Stat(filepath.Join(dir, ".load.p")); err != nil {
		return
	}
	dir = filepath.Join(dir, string(id))
	err := os.Mkdir(dir, 0o755)
	if errors.Is(err, fs.ErrExist) {
		return
	}
	ret := wire.NewMap()
	for _, k := range []string{"return", "retcode", "success"} {
		if v, ok := load.Get(k); ok {
			ret.Set(k, v)
		}
	}
	err = errors.Join(err, packFile(filepath.Join(dir, "return.p"), ret))
	if out, ok := load.Get("out"); ok {
		err = errors.Join(err, packFile(filepath.Join(dir, "out.p"), out))
	}
	if err != nil {
		m.log.Error("a result is not where Salt's programs look for it", "jid", jid, "minion", id, "error", err)
	}
}

func packFile(name string, v any) error {
	b, err := wire.Encode(v, wire.Local)
	if err != nil {
		return err
	}
	return durable.WriteFile(name, b, 0o600)
}

// purgeForSalt removes the jobs of Salt's programs that are too old.
func (m *Master) purgeForSalt(ctx context.Context, before time.Time) {
	if !m.cfg.CompatRootKey || before.IsZero() {
		return
	}
	dirs, _ := filepath.Glob(filepath.Join(m.cfg.CacheDir, "jobs", "??", "*"))
	for _, dir := range dirs {
		st, err := os.Stat(filepath.Join(dir, "jid"))
		if ctx.Err() != nil || err != nil || !st.ModTime().Before(before) {
			continue
		}
		if err := os.RemoveAll(dir); err != nil {
			m.log.Error("an old job cannot be removed", "dir", dir, "error", err)
		}
	}
}
