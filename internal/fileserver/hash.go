package fileserver

import (
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// NewHash makes a hash by the name that hash_type has for it. The default is sha256; the
// weaker ones are for those who still have lists made with them.
func NewHash(kind string) (hash.Hash, error) {
	switch kind {
	case "md5":
		return md5.New(), nil
	case "sha1":
		return sha1.New(), nil
	case "sha224":
		return sha256.New224(), nil
	case "sha256":
		return sha256.New(), nil
	case "sha384":
		return sha512.New384(), nil
	case "sha512":
		return sha512.New(), nil
	}
	return nil, fmt.Errorf("hash_type %q: md5, sha1, sha224, sha256, sha384 or sha512 expected", kind)
}

// hashBuffers serve trees of many small files, for which a new buffer each costs more
// than the hash.
var hashBuffers = sync.Pool{New: func() any { return new([256 << 10]byte) }}

// HashReader is the hash of what r gives, in hex digits. It ends with ctx.
func HashReader(ctx context.Context, kind string, r io.Reader) (string, error) {
	h, err := NewHash(kind)
	if err != nil {
		return "", err
	}
	buf := hashBuffers.Get().(*[256 << 10]byte)
	defer hashBuffers.Put(buf)
	for {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		n, err := r.Read(buf[:])
		h.Write(buf[:n])
		if err == io.EOF {
			return hex.EncodeToString(h.Sum(nil)), nil
		}
		if err != nil {
			return "", err
		}
	}
}

// hashCache remembers hashes of files that have not changed since.
type hashCache struct {
	kind  string
	group singleflight.Group // a large file is read once, however many ask

	mu    sync.Mutex
	known map[string]knownHash
}

type knownHash struct{ id, hash string }

// maxHashes is how many hashes are remembered; above it, all are forgotten.
const maxHashes = 200_000

func newHashCache(kind string) *hashCache {
	return &hashCache{kind: kind, known: map[string]knownHash{}}
}

func (h *hashCache) get(f *File) (string, bool) {
	if f.id == "" {
		return "", false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	k, ok := h.known[f.Backend+"\x00"+f.Path]
	return k.hash, ok && k.id == f.id
}

// unsettled is for how long after a change a file may change again without a new time.
const unsettled = 2 * time.Second

// Settled tells whether the file's last change is so long ago that another one would show
// in its time.
func (f *File) Settled() bool { return time.Since(f.ModTime) > unsettled }

func (h *hashCache) of(ctx context.Context, f *File) (string, error) {
	if sum, ok := h.get(f); ok {
		return sum, nil
	}
	v, err, _ := h.group.Do(f.Backend+"\x00"+f.Path+"\x00"+f.id, func() (any, error) {
		c, err := f.Open()
		if err != nil {
			return "", err
		}
		defer c.Close()
		sum, err := HashReader(context.WithoutCancel(ctx), h.kind, io.NewSectionReader(c, 0, 1<<62))
		if err != nil {
			return "", fmt.Errorf("hash of %s: %w", f.Rel, err)
		}
		if _, id, err := c.State(); err == nil && id == f.id && id != "" && f.Settled() {
			h.mu.Lock()
			if len(h.known) >= maxHashes {
				clear(h.known)
			}
			h.known[f.Backend+"\x00"+f.Path] = knownHash{id, sum}
			h.mu.Unlock()
		}
		return sum, nil
	})
	if err != nil {
		return "", err
	}
	return v.(string), nil
}
