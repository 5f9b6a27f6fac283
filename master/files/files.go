// Package files is the master's file server: it answers what minions ask for below
// salt://, from the backends that fileserver_backend names, and takes what they push.
//
// Start with New and Serve (this file). Package internal/fileserver finds and lists;
// push.go takes files, update.go keeps backends up to date.
package files

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/gosalt/gosalt/internal/config"
	"github.com/gosalt/gosalt/internal/fileclient"
	"github.com/gosalt/gosalt/internal/fileserver"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Config is what a file server is made of.
type Config struct {
	*config.Master
	Log *slog.Logger
	// Event is called with the name of a backend that has found changes, and with what
	// Salt's event says of them; may be nil.
	Event func(backend string, data *wire.Map)
}

// Files is the master's file server. Its methods may be called concurrently.
type Files struct {
	cfg    Config
	log    *slog.Logger
	server *fileserver.Server

	mtimes sync.Mutex
	known  map[string]int64 // path to time of change, of the last update of roots; nil before
}

// backends are the kinds of backends by the names that fileserver_backend has for them.
var backends = map[string]func(Config, *fileserver.Ignore) (fileserver.Backend, error){
	"roots": func(c Config, ignore *fileserver.Ignore) (fileserver.Backend, error) {
		return fileserver.NewRoots(fileserver.Options{Roots: c.FileRoots, Ignore: ignore,
			FollowSymlinks: c.FileserverFollowsymlinks, IgnoreSymlinks: c.FileserverIgnoresymlinks,
			ListFor: c.FileserverListCacheTime}), nil
	},
	"gitfs":    newGitFS,
	"minionfs": newMinionFS,
	"s3fs":     newS3FS,
}

// BackendName is a backend's name as Salt has it: "git" means "gitfs".
func BackendName(name string) string {
	switch name {
	case "git", "minion", "hg", "svn", "s3":
		return name + "fs"
	}
	return name
}

// New makes the file server that the configuration describes.
func New(cfg Config) (*Files, error) {
	ignore, err := fileserver.NewIgnore(cfg.FileIgnoreGlob, cfg.FileIgnoreRegex)
	if err != nil {
		cfg.Log.Warn("a pattern cannot be read and hides nothing", "error", err)
	}
	var list []fileserver.Backend
	for _, name := range cfg.FileserverBackend {
		make, ok := backends[BackendName(name)]
		if !ok {
			return nil, fmt.Errorf("fileserver_backend: %q is not available in gosalt; there are: %s", name, strings.Join(backendNames(), ", "))
		}
		b, err := make(cfg, ignore)
		if err != nil {
			return nil, fmt.Errorf("fileserver_backend %s: %w", name, err)
		}
		list = append(list, b)
	}
	f := &Files{cfg: cfg, log: cfg.Log}
	if f.server, err = fileserver.New(cfg.HashType, list...); err != nil {
		return nil, err
	}
	return f, nil
}

func backendNames() []string {
	var names []string
	for n := range backends {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

// Server finds and lists the files, for who is in this process.
func (f *Files) Server() *fileserver.Server { return f.server }

// Serve answers one of Salt's commands about files. What is not there has an answer as
// well, Salt's; an error means that a backend could not be asked.
func (f *Files) Serve(ctx context.Context, cmd string, load *wire.Map) (any, error) {
	q := readQuery(load)
	switch cmd {
	case wire.CmdServeFile:
		return f.serveFile(ctx, q)
	case wire.CmdFileFind:
		return f.find(ctx, q)
	case wire.CmdFileHash:
		hash, _, err := f.hash(ctx, q)
		return hash, err
	case wire.CmdFileHashAndStat:
		hash, stat, err := f.hash(ctx, q)
		return []any{hash, stat}, err
	case wire.CmdFileEnvs:
		envs, err := f.server.Envs(ctx, nil)
		return partial(f, cmd, envs, err)
	case wire.CmdFileList:
		return f.list(ctx, cmd, fileserver.Files, q)
	case wire.CmdFileEmptyDirs:
		return f.list(ctx, cmd, fileserver.EmptyDirs, q)
	case wire.CmdDirList:
		return f.list(ctx, cmd, fileserver.Dirs, q)
	case wire.CmdSymlinkList:
		return f.links(ctx, cmd, q)
	}
	return nil, fmt.Errorf("%s is no command of the file server", cmd)
}

// query is what all the commands have in common.
type query struct {
	env, path, prefix string
	hasEnv, hasPath   bool
	load              *wire.Map
}

// readQuery reads a load as Salt does: environments may be numbers, names may be bytes.
func readQuery(load *wire.Map) query {
	q := query{load: load}
	if v, ok := load.Get("saltenv"); ok {
		q.env, q.hasEnv = textOf(v), true
	}
	if v, ok := load.Get("path"); ok {
		switch v.(type) {
		case string, []byte:
			q.path, q.hasPath = textOf(v), true
		}
	}
	if v, ok := load.Get("prefix"); ok {
		switch v.(type) {
		case string, []byte:
			q.prefix = textOf(v)
		}
	}
	return q
}

func textOf(v any) string {
	if b, ok := v.([]byte); ok {
		return string(b)
	}
	return pytext.Str(v)
}

// partial answers with what the working backends have, and logs what the others say.
func partial[T any](f *Files, cmd string, v T, err error) (T, error) {
	if err != nil {
		f.log.Error("a backend of the file server cannot be asked; the others' files are served", "cmd", cmd, "error", err)
	}
	return v, nil
}

func (f *Files) list(ctx context.Context, cmd string, k fileserver.Kind, q query) (any, error) {
	if !q.hasEnv {
		return []string{}, nil
	}
	paths, err := f.server.List(ctx, k, q.env, q.prefix, nil)
	return partial(f, cmd, paths, err)
}

func (f *Files) links(ctx context.Context, cmd string, q query) (any, error) {
	if !q.hasEnv {
		return map[string]string{}, nil
	}
	links, err := f.server.Symlinks(ctx, q.env, q.prefix, nil)
	return partial(f, cmd, links, err)
}

// lookUp finds the file of a query; nil where there is none.
func (f *Files) lookUp(ctx context.Context, q query) (*fileserver.File, error) {
	file, err := f.server.Find(ctx, q.env, q.path)
	if errors.Is(err, fileserver.ErrNotFound) {
		return nil, nil
	}
	return file, err
}

func (f *Files) find(ctx context.Context, q query) (any, error) {
	none := wire.NewMap("path", "", "rel", "")
	if !q.hasEnv {
		q.env = "base"
	}
	file, err := f.lookUp(ctx, q)
	if file == nil {
		return none, err
	}
	m := wire.NewMap("path", file.Path, "rel", file.Rel)
	if file.Stat != nil {
		m.Set("stat", file.Stat)
	}
	m.Set("back", file.Backend)
	return m, nil
}

// hash is the hash and the stat of a file; "" and nil where there is none.
func (f *Files) hash(ctx context.Context, q query) (hash, stat any, err error) {
	if !q.hasEnv || !q.hasPath {
		return "", nil, nil
	}
	file, err := f.lookUp(ctx, q)
	if file == nil {
		return "", nil, err
	}
	sum, err := f.server.Hash(ctx, file)
	if errors.Is(err, fileserver.ErrNotFound) {
		return "", nil, nil
	}
	if err != nil {
		return "", nil, err
	}
	if file.Stat != nil {
		stat = file.Stat
	}
	return wire.NewMap("hash_type", f.server.HashType(), "hsum", sum), stat, nil
}

// ChunkSize is how large a piece of a file in Salt's protocol is at most.
func (f *Files) ChunkSize() int {
	return int(min(max(f.cfg.FileBufferSize, 4<<10), 16<<20))
}

// serveFile answers with the piece of a file that begins at loc.
func (f *Files) serveFile(ctx context.Context, q query) (any, error) {
	none := wire.NewMap("data", "", "dest", "")
	if !q.hasEnv || !q.hasPath || !q.load.Has("loc") {
		return none, nil
	}
	v, _ := q.load.Get("loc")
	loc, ok := v.(int64)
	if !ok || loc < 0 {
		return nil, &wire.Error{Kind: wire.Malformed, Op: wire.CmdServeFile, Msg: fmt.Sprintf("loc is %s: a place in the file expected", pytext.Repr(v))}
	}
	file, err := f.lookUp(ctx, q)
	if file == nil {
		return none, err
	}
	c, err := file.Open()
	if errors.Is(err, fileserver.ErrNotFound) {
		return none, nil
	}
	if err != nil {
		return nil, fmt.Errorf("serve %s: %w", file.Rel, err)
	}
	defer c.Close()
	size, _, err := c.State()
	if err != nil {
		return nil, fmt.Errorf("serve %s: %w", file.Rel, err)
	}
	data := make([]byte, max(min(size-loc, int64(f.ChunkSize())), 0))
	n, err := c.ReadAt(data, loc)
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("serve %s: %w", file.Rel, err)
	}
	data = data[:n]
	ret := wire.NewMap("data", data, "dest", file.Rel)
	level := q.load.Int("gzip")
	if level <= 0 || n == 0 {
		return ret, nil
	}
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, int(min(level, 9)))
	if err != nil {
		return nil, err
	}
	if _, err := z.Write(data); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	ret.Set("data", b.Bytes())
	ret.Set("gzip", level)
	return ret, nil
}

// hashTime is how long Tree reads files to tell their hashes; of the others who asked
// learns when it asks for them alone.
const hashTime = 2 * time.Second

// Tree lists the files of an environment with their sizes, modes and hashes, a page of
// them at a time.
func (f *Files) Tree(ctx context.Context, q *wire.FileTree) (*wire.FileTreeReply, error) {
	paths, err := f.server.List(ctx, fileserver.Files, q.Env, q.Prefix, nil)
	paths, _ = partial(f, wire.CmdFileTree, paths, err)
	r := &wire.FileTreeReply{HashType: f.server.HashType()}
	if q.After == "" {
		dirs, err := f.server.List(ctx, fileserver.EmptyDirs, q.Env, q.Prefix, nil)
		r.EmptyDirs, _ = partial(f, wire.CmdFileTree, dirs, err)
	}
	paths = paths[sort.SearchStrings(paths, q.After+"\x00"):]
	if r.More = len(paths) > wire.MaxTreePage; r.More {
		paths = paths[:wire.MaxTreePage]
	}
	until := time.Now().Add(hashTime)
	for _, p := range paths {
		file, err := f.server.Find(ctx, q.Env, fileclient.Escape(p))
		if errors.Is(err, fileserver.ErrNotFound) {
			continue // a link to nowhere, or gone by now
		}
		if err != nil {
			return nil, err
		}
		e := wire.FileEntry{Path: p, Size: file.Size}
		if len(file.Stat) > 0 {
			e.Mode = file.Stat[0] & 0o777
		}
		if q.Hashes && time.Now().Before(until) {
			if e.Hash, err = f.server.Hash(ctx, file); err != nil {
				if ctx.Err() != nil {
					return nil, ctx.Err()
				}
				e.Hash = ""
			}
		}
		r.Files = append(r.Files, e)
	}
	return r, nil
}

// ReadSize is how many bytes the answer to a request for pieces may take.
func ReadSize(q *wire.FileRead) int {
	n := int64(0)
	for _, p := range q.Pieces {
		n = min(n+p.Length, wire.MaxFileRead)
	}
	return int(n)
}

// Read appends the pieces asked for to buf, as many of the first as have room.
func (f *Files) Read(ctx context.Context, q *wire.FileRead, buf []byte) ([]byte, *wire.FileReadReply, error) {
	r := &wire.FileReadReply{HashType: f.server.HashType()}
	room := int64(ReadSize(q))
	for i, p := range q.Pieces {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		if room == 0 && i > 0 && p.Length > 0 {
			break
		}
		part, b, err := f.piece(ctx, q.Env, p, min(p.Length, room), buf)
		if err != nil {
			return nil, nil, err
		}
		buf, room = b, room-part.Length
		r.Parts = append(r.Parts, part)
	}
	return buf, r, nil
}

// piece appends up to n bytes of a file.
func (f *Files) piece(ctx context.Context, env string, p wire.FilePiece, n int64, buf []byte) (wire.FileReadPart, []byte, error) {
	none := wire.FileReadPart{Size: -1}
	file, err := f.server.Find(ctx, env, p.Path)
	if err == nil {
		var c fileserver.Content
		if c, err = file.Open(); err == nil {
			defer c.Close()
			size, state, err := c.State()
			if err != nil {
				return none, buf, fmt.Errorf("read %s: %w", file.Rel, err)
			}
			n = max(min(n, size-p.Offset), 0)
			at := len(buf)
			buf = slices.Grow(buf, int(n))[:at+int(n)] // what was in there is read over, or cut off
			got, err := c.ReadAt(buf[at:], p.Offset)
			if err != nil && err != io.EOF {
				return none, buf[:at], fmt.Errorf("read %s: %w", file.Rel, err)
			}
			if state != "" && !file.Settled() {
				state += wire.FreshState
			}
			return wire.FileReadPart{Length: int64(got), Size: size, State: state}, buf[:at+got], nil
		}
	}
	if errors.Is(err, fileserver.ErrNotFound) {
		return none, buf, nil
	}
	return none, buf, err
}

// minionFiles is where the files that a minion pushes are kept.
func minionFiles(cacheDir string, id wire.MinionID) string {
	return filepath.Join(cacheDir, "minions", string(id), "files")
}
