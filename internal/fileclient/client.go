// Package fileclient reads the files that states, templates and functions name by
// salt:// addresses, wherever they come from: a master (package minion), or directories
// of this machine (Local). Start with Client; ParseURL reads an address.
package fileclient

import (
	"context"
	"io/fs"
	"strings"

	"github.com/gosalt/gosalt/internal/fileserver"
	"github.com/gosalt/gosalt/protocol/wire"
)

// ErrNotFound is returned for a path that names no file.
var ErrNotFound = fileserver.ErrNotFound

// Client reads the files of one file server. Paths are relative to the environment and
// have slashes: "web/nginx.conf". Its methods may be called concurrently. A path or an
// environment that is not there is ErrNotFound for what reads one file, and an empty
// result for what lists; any other error means that the server could not be asked.
type Client interface {
	// Envs returns the names of the environments, sorted.
	Envs(ctx context.Context) ([]string, error)
	// List returns the paths of all files whose path begins with prefix, sorted.
	List(ctx context.Context, env, prefix string) ([]string, error)
	// Dirs and EmptyDirs do so for directories.
	Dirs(ctx context.Context, env, prefix string) ([]string, error)
	EmptyDirs(ctx context.Context, env, prefix string) ([]string, error)
	// Symlinks returns the symbolic links, and where they point.
	Symlinks(ctx context.Context, env, prefix string) (map[string]string, error)
	// Stat returns a file's hash, and its mode where the server tells.
	Stat(ctx context.Context, env, path string) (Info, error)
	// Cache brings a file into the cache of this machine, unless the same is there
	// already, and returns its path.
	Cache(ctx context.Context, env, path string) (string, error)
	// CacheAll does so for many files at once, which costs fewer round trips. The result
	// has a path for each; "" for a file that is not there.
	CacheAll(ctx context.Context, env string, paths []string) ([]string, error)
	// ReadFile returns a file's content, from the cache where that is up to date. It is
	// for what is read as a whole anyway: at most MaxRead bytes.
	ReadFile(ctx context.Context, env, path string) ([]byte, error)
	// Get writes a file to a path of this machine, unless the same is there already.
	// gzip from 1 to 9 compresses it on the way.
	Get(ctx context.Context, env, path, dest string, gzip int) error
	// GetAll writes many files, and the directories they need, in fewer round trips. It
	// sets Missing of those that are not there.
	GetAll(ctx context.Context, env string, items []Item) error
	// CachePath is where Cache puts a file.
	CachePath(env, path string) string

	// MasterOpts returns what of the master's configuration states depend on: file_roots
	// by environment, top_file_merging_strategy, renderer and so on.
	MasterOpts(ctx context.Context) (*wire.Map, error)
	// MasterTops returns what the master's master_tops assign to this minion, which is
	// described by its configuration and grains.
	MasterTops(ctx context.Context, opts *wire.Map) (*wire.Map, error)
}

// Item is one file of GetAll.
type Item struct {
	Path    string // on the server
	Dest    string // on this machine
	Missing bool   // set by GetAll
	cache   bool   // Dest is in the cache
}

// Locator is a Client whose files are on this machine already.
type Locator interface {
	// Locate returns where a file is, and its content: of at most MaxRead bytes. As in
	// Salt a masterless minion renders what is in file_roots, and no copy of it.
	Locate(ctx context.Context, env, path string) (name string, data []byte, err error)
}

// MaxRead is the size of the largest file that ReadFile reads.
const MaxRead = 64 << 20

// Info describes a file.
type Info struct {
	Hash     string // in hex digits
	HashType string // "sha256"
	// Stat is Python's list of ten numbers, of which the first is the mode; nil where
	// the server does not tell.
	Stat []int64
}

// Mode is the file's permissions, and whether they are known.
func (i Info) Mode() (fs.FileMode, bool) {
	if len(i.Stat) == 0 {
		return 0, false
	}
	return fs.FileMode(i.Stat[0] & 0o777), true
}

// ParseURL reads an address: "salt://web/conf?saltenv=dev" is path "web/conf" and
// environment "dev", which is "" where none is named. ok is false for an address that is
// not salt://.
func ParseURL(url string) (path, env string, ok bool) {
	rest, ok := strings.CutPrefix(url, "salt://")
	if !ok {
		return "", "", false
	}
	if p, _, found := strings.Cut(rest, "?env="); found {
		return p, "", true // Salt's option of old, without effect
	}
	p, env, _ := strings.Cut(rest, "?saltenv=")
	return p, env, true
}

// URL is the address of a path: "salt://web/conf".
func URL(path string) string { return "salt://" + strings.TrimLeft(path, "/") }

// Escape makes an address' path of the name of a file, which may hold a question mark.
func Escape(path string) string {
	if strings.Contains(path, "?") || strings.HasPrefix(path, "|") {
		return "|" + path
	}
	return path
}

// IsEscaped tells whether a path is marked with "|", so that "?" is a part of its name.
func IsEscaped(path string) bool { return strings.HasPrefix(path, "|") }
