package fileclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/gosalt/gosalt/internal/fileserver"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Conn is a way to a master. Its methods may be called concurrently.
type Conn interface {
	// Do sends a request and returns the value of the answer. raw leaves text in it as
	// bytes, whatever they hold.
	Do(ctx context.Context, load *wire.Map, raw bool) (any, error)
	// Gosalt tells whether the master is gosalt's, and takes its commands.
	Gosalt(ctx context.Context) bool
	// Lane makes a connection beside the others, for one transfer; Close ends it.
	Lane(ctx context.Context) Lane
	// Push sends a piece of a file, and is false where the master does not take it.
	Push(ctx context.Context, piece *wire.FileRecv) (bool, error)
}

// Lane is one connection of a transfer.
type Lane interface {
	// Bulk sends a request whose answer is sealed in bulk. The data are the caller's.
	Bulk(ctx context.Context, load *wire.Map) (head *wire.Map, data []byte, err error)
	Close() error
}

// Remote is a Client of a master, Salt's or gosalt's.
type Remote struct {
	conn  Conn
	cache Cache
}

var _ Client = (*Remote)(nil)

// NewRemote makes a client of a master. Files are cached below cacheDir.
func NewRemote(conn Conn, cacheDir string) *Remote {
	return &Remote{conn: conn, cache: Cache{Dir: cacheDir}}
}

// ask sends one of Salt's requests.
func (r *Remote) ask(ctx context.Context, raw bool, kv ...any) (any, error) {
	return r.conn.Do(ctx, wire.NewMap(kv...), raw)
}

// paths reads an answer that is a list of paths.
func paths(cmd string, v any) ([]string, error) {
	list, ok := v.([]any)
	if !ok {
		if empty(v) {
			return nil, nil
		}
		return nil, badAnswer(cmd, v, "a list of paths")
	}
	out := make([]string, 0, len(list))
	for _, e := range list {
		switch e := e.(type) {
		case string:
			out = append(out, e)
		case []byte:
			out = append(out, string(e))
		default:
			return nil, badAnswer(cmd, e, "a path")
		}
	}
	return out, nil
}

// empty tells whether an answer says that there is nothing: Salt's masters send {} and ""
// as well as what would be right.
func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case []byte:
		return len(v) == 0
	case bool:
		return !v
	case []any:
		return len(v) == 0
	case *wire.Map:
		return v.Len() == 0
	}
	return false
}

func badAnswer(cmd string, v any, want string) error {
	return &wire.Error{Kind: wire.Malformed, Op: cmd, Msg: fmt.Sprintf("the master answers with %s: %s expected", wire.TypeName(v), want)}
}

func (r *Remote) list(ctx context.Context, cmd, env, prefix string) ([]string, error) {
	v, err := r.ask(ctx, false, "cmd", cmd, "saltenv", env, "prefix", prefix)
	if err != nil {
		return nil, err
	}
	return paths(cmd, v)
}

// Envs implements Client.
func (r *Remote) Envs(ctx context.Context) ([]string, error) {
	v, err := r.ask(ctx, false, "cmd", wire.CmdFileEnvs)
	if err != nil {
		return nil, err
	}
	return paths(wire.CmdFileEnvs, v)
}

// List implements Client.
func (r *Remote) List(ctx context.Context, env, prefix string) ([]string, error) {
	return r.list(ctx, wire.CmdFileList, env, prefix)
}

// Dirs implements Client.
func (r *Remote) Dirs(ctx context.Context, env, prefix string) ([]string, error) {
	return r.list(ctx, wire.CmdDirList, env, prefix)
}

// EmptyDirs implements Client.
func (r *Remote) EmptyDirs(ctx context.Context, env, prefix string) ([]string, error) {
	return r.list(ctx, wire.CmdFileEmptyDirs, env, prefix)
}

// Symlinks implements Client.
func (r *Remote) Symlinks(ctx context.Context, env, prefix string) (map[string]string, error) {
	v, err := r.ask(ctx, false, "cmd", wire.CmdSymlinkList, "saltenv", env, "prefix", prefix)
	if err != nil || empty(v) {
		return nil, err
	}
	m, ok := v.(*wire.Map)
	if !ok {
		return nil, badAnswer(wire.CmdSymlinkList, v, "a map of links")
	}
	out := map[string]string{}
	for k, to := range m.Strings() {
		switch to := to.(type) {
		case string:
			out[k] = to
		case []byte:
			out[k] = string(to)
		}
	}
	return out, nil
}

// Stat implements Client.
func (r *Remote) Stat(ctx context.Context, env, path string) (Info, error) {
	v, err := r.ask(ctx, false, "cmd", wire.CmdFileHashAndStat, "path", path, "saltenv", env)
	if err != nil {
		return Info{}, err
	}
	list, ok := v.([]any)
	if !ok || len(list) != 2 {
		if empty(v) {
			return Info{}, ErrNotFound
		}
		return Info{}, badAnswer(wire.CmdFileHashAndStat, v, "hash and stat")
	}
	m, ok := list[0].(*wire.Map)
	if !ok || m.Len() == 0 {
		return Info{}, ErrNotFound
	}
	i := Info{Hash: m.Text("hsum"), HashType: m.Text("hash_type")}
	if stat, ok := list[1].([]any); ok {
		for _, n := range stat {
			switch n := n.(type) {
			case int64:
				i.Stat = append(i.Stat, n)
			case float64:
				i.Stat = append(i.Stat, int64(n))
			default:
				i.Stat = append(i.Stat, 0)
			}
		}
	}
	return i, nil
}

// CachePath implements Client.
func (r *Remote) CachePath(env, path string) string { return r.cache.Path(env, path) }

// Cache implements Client.
func (r *Remote) Cache(ctx context.Context, env, path string) (string, error) {
	dest := r.cache.Path(env, path)
	if dest == "" {
		return "", ErrNotFound
	}
	return dest, r.fetch(ctx, env, path, dest, true, 0)
}

// CacheAll implements Client.
func (r *Remote) CacheAll(ctx context.Context, env string, paths []string) ([]string, error) {
	items := make([]Item, len(paths))
	for i, p := range paths {
		items[i] = Item{Path: p, Dest: r.cache.Path(env, p), cache: true}
	}
	if err := r.getAll(ctx, env, items); err != nil {
		return nil, err
	}
	out := make([]string, len(paths))
	for i, it := range items {
		if !it.Missing {
			out[i] = it.Dest
		}
	}
	return out, nil
}

// ReadFile implements Client.
func (r *Remote) ReadFile(ctx context.Context, env, path string) ([]byte, error) {
	name, err := r.Cache(ctx, env, path)
	if err != nil {
		return nil, err
	}
	f, err := fileserver.StatPath(name, path)
	if err != nil {
		return nil, err
	}
	return f.ReadFile(MaxRead)
}

// Get implements Client.
func (r *Remote) Get(ctx context.Context, env, path, dest string, gzip int) error {
	return r.fetch(ctx, env, path, dest, false, gzip)
}

// GetAll implements Client.
func (r *Remote) GetAll(ctx context.Context, env string, items []Item) error {
	return r.getAll(ctx, env, items)
}

// MasterOpts implements Client.
func (r *Remote) MasterOpts(ctx context.Context) (*wire.Map, error) {
	return r.mapping(ctx, wire.NewMap("cmd", wire.CmdMasterOpts))
}

// MasterTops implements Client.
func (r *Remote) MasterTops(ctx context.Context, opts *wire.Map) (*wire.Map, error) {
	return r.mapping(ctx, wire.NewMap("cmd", wire.CmdMasterTops, "opts", opts))
}

func (r *Remote) mapping(ctx context.Context, load *wire.Map) (*wire.Map, error) {
	v, err := r.conn.Do(ctx, load, false)
	if err != nil {
		return nil, err
	}
	if m, ok := v.(*wire.Map); ok {
		return m, nil
	}
	if empty(v) {
		return wire.NewMap(), nil
	}
	return nil, badAnswer(load.Text("cmd"), v, "a map")
}

// same tells whether a file of this machine has the hash that the master tells.
func same(ctx context.Context, name string, want Info) bool {
	fi, err := os.Stat(name)
	if err != nil || !fi.Mode().IsRegular() || want.Hash == "" {
		return false
	}
	got, err := HashFile(ctx, name, want.HashType)
	return err == nil && strings.EqualFold(got, want.Hash)
}

// open begins to write a file that is fetched.
func (r *Remote) open(dest string, cache bool) (*Writer, error) {
	if cache {
		if err := r.cache.makeDir(dest); err != nil {
			return nil, err
		}
	}
	return Create(dest, cache)
}

// maxTries is how often a transfer begins anew because the file changes meanwhile.
const maxTries = 3

// errChanged says that a file changed while it was read.
var errChanged = errors.New("it changed on the master each time while it was read")

// fetch brings a file to this machine, unless it is there already.
func (r *Remote) fetch(ctx context.Context, env, path, dest string, cache bool, gzip int) error {
	if fi, err := os.Stat(dest); err == nil && fi.Mode().IsRegular() || !r.conn.Gosalt(ctx) {
		want, err := r.Stat(ctx, env, path)
		if err != nil {
			return err
		}
		if same(ctx, dest, want) {
			return nil
		}
	}
	var err error
	for range maxTries {
		if r.conn.Gosalt(ctx) {
			err = r.fetchPieces(ctx, env, path, dest, cache)
		} else {
			err = r.fetchSalt(ctx, env, path, dest, cache, gzip)
		}
		if !errors.Is(err, errChanged) {
			return err
		}
	}
	return fmt.Errorf("fetch %s: %w", URL(path), err)
}

// pushPiece is how much of a pushed file goes in one request: what a Salt master takes.
const pushPiece = 256 << 10

// Push sends a file of this machine to the master, which keeps it below the directory of
// this minion's files under the path's parts. It is false where the master takes none.
func (r *Remote) Push(ctx context.Context, name string, parts []string) (bool, error) {
	f, err := os.Open(name)
	if err != nil {
		return false, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return false, err
	}
	piece := &wire.FileRecv{Path: parts, Size: fi.Size()}
	buf := make([]byte, pushPiece)
	for {
		n, err := io.ReadFull(f, buf)
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return false, err
		}
		if n == 0 && piece.Loc > 0 {
			return true, nil
		}
		piece.Data = buf[:n]
		if ok, err := r.conn.Push(ctx, piece); !ok || err != nil {
			return false, err
		}
		if piece.Loc += int64(n); n == 0 {
			return true, nil
		}
	}
}

// Pusher is a Client that can send files to its master.
type Pusher interface {
	Push(ctx context.Context, name string, parts []string) (bool, error)
}
