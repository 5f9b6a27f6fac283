package fileclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/gosalt/gosalt/internal/fileserver"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Local is a Client of directories of this machine: file_client: local.
type Local struct {
	server *fileserver.Server
	cache  Cache
	opts   func() *wire.Map
}

var _ Client = (*Local)(nil)

// NewLocal makes a client of a file server in this process. Files are cached below
// cacheDir as those of a master are, since functions hand out paths in there. opts is
// the minion's configuration, which takes the place of the master's; may be nil.
func NewLocal(server *fileserver.Server, cacheDir string, opts func() *wire.Map) *Local {
	return &Local{server: server, cache: Cache{Dir: cacheDir}, opts: opts}
}

// WithOpts is the same client with another configuration in the place of the master's.
func (l *Local) WithOpts(opts func() *wire.Map) *Local {
	own := *l
	own.opts = opts
	return &own
}

// NewDirs makes a client of directories by environment, as file_roots has them.
func NewDirs(roots map[string][]string, cacheDir string) *Local {
	s, err := fileserver.New("sha256", fileserver.NewRoots(fileserver.Options{Roots: roots, FollowSymlinks: true}))
	if err != nil {
		panic(err) // sha256 is known
	}
	return NewLocal(s, cacheDir, nil)
}

// Envs implements Client.
func (l *Local) Envs(ctx context.Context) ([]string, error) { return l.server.Envs(ctx, nil) }

// List implements Client.
func (l *Local) List(ctx context.Context, env, prefix string) ([]string, error) {
	return l.server.List(ctx, fileserver.Files, env, prefix, nil)
}

// Dirs implements Client.
func (l *Local) Dirs(ctx context.Context, env, prefix string) ([]string, error) {
	return l.server.List(ctx, fileserver.Dirs, env, prefix, nil)
}

// EmptyDirs implements Client.
func (l *Local) EmptyDirs(ctx context.Context, env, prefix string) ([]string, error) {
	return l.server.List(ctx, fileserver.EmptyDirs, env, prefix, nil)
}

// Symlinks implements Client.
func (l *Local) Symlinks(ctx context.Context, env, prefix string) (map[string]string, error) {
	return l.server.Symlinks(ctx, env, prefix, nil)
}

// Stat implements Client.
func (l *Local) Stat(ctx context.Context, env, path string) (Info, error) {
	f, err := l.server.Find(ctx, env, path)
	if err != nil {
		return Info{}, err
	}
	sum, err := l.server.Hash(ctx, f)
	if err != nil {
		return Info{}, err
	}
	return Info{Hash: sum, HashType: l.server.HashType(), Stat: f.Stat}, nil
}

// CachePath implements Client.
func (l *Local) CachePath(env, path string) string { return l.cache.Path(env, path) }

// Cache implements Client.
func (l *Local) Cache(ctx context.Context, env, path string) (string, error) {
	dest := l.cache.Path(env, path)
	if dest == "" {
		return "", ErrNotFound
	}
	return dest, l.copy(ctx, env, path, dest, true)
}

// CacheAll implements Client.
func (l *Local) CacheAll(ctx context.Context, env string, paths []string) ([]string, error) {
	out := make([]string, len(paths))
	for i, p := range paths {
		dest, err := l.Cache(ctx, env, p)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return nil, err
		}
		if err == nil {
			out[i] = dest
		}
	}
	return out, nil
}

// ReadFile implements Client.
func (l *Local) ReadFile(ctx context.Context, env, path string) ([]byte, error) {
	f, err := l.server.Find(ctx, env, path)
	if err != nil {
		return nil, err
	}
	return f.ReadFile(MaxRead)
}

// Locate implements Locator.
func (l *Local) Locate(ctx context.Context, env, path string) (string, []byte, error) {
	f, err := l.server.Find(ctx, env, path)
	if err != nil {
		return "", nil, err
	}
	data, err := f.ReadFile(MaxRead)
	if err != nil {
		return "", nil, err
	}
	if f.Backend != "roots" { // has no file with that name
		name, err := l.Cache(ctx, env, path)
		return name, data, err
	}
	return f.Path, data, nil
}

// Get implements Client.
func (l *Local) Get(ctx context.Context, env, path, dest string, _ int) error {
	return l.copy(ctx, env, path, dest, false)
}

// GetAll implements Client.
func (l *Local) GetAll(ctx context.Context, env string, items []Item) error {
	for i := range items {
		it := &items[i]
		if err := os.MkdirAll(filepath.Dir(it.Dest), 0o755); err != nil {
			return err
		}
		err := l.copy(ctx, env, it.Path, it.Dest, false)
		if it.Missing = errors.Is(err, ErrNotFound); err != nil && !it.Missing {
			return err
		}
	}
	return nil
}

// copy brings a file to a path, unless it is there already.
func (l *Local) copy(ctx context.Context, env, path, dest string, cache bool) error {
	f, err := l.server.Find(ctx, env, path)
	if err != nil {
		return err
	}
	if fi, err := os.Stat(dest); err == nil && fi.Size() == f.Size {
		want, err := l.server.Hash(ctx, f)
		if err != nil {
			return err
		}
		if got, err := HashFile(ctx, dest, l.server.HashType()); err == nil && got == want {
			return nil
		}
	}
	c, err := f.Open()
	if err != nil {
		return err
	}
	defer c.Close()
	if cache {
		if err := l.cache.makeDir(dest); err != nil {
			return err
		}
	}
	w, err := Create(dest, cache)
	if err != nil {
		return err
	}
	defer w.Abort()
	if _, err := io.Copy(w, contextReader{ctx, io.NewSectionReader(c, 0, 1<<62)}); err != nil {
		return fmt.Errorf("copy %s to %s: %w", path, dest, err)
	}
	return w.Commit()
}

type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// MasterOpts implements Client: without a master the minion's own configuration counts.
func (l *Local) MasterOpts(context.Context) (*wire.Map, error) {
	if l.opts == nil {
		return wire.NewMap(), nil
	}
	return l.opts(), nil
}

// MasterTops implements Client: there are none without a master.
func (l *Local) MasterTops(context.Context, *wire.Map) (*wire.Map, error) { return wire.NewMap(), nil }

// HashFile is the hash of a file of this machine, in hex digits.
func HashFile(ctx context.Context, name, kind string) (string, error) {
	f, err := os.Open(filepath.Clean(name))
	if err != nil {
		return "", err
	}
	defer f.Close()
	return fileserver.HashReader(ctx, kind, f)
}
