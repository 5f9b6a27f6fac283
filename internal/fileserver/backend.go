package fileserver

import (
	"context"
	"io"
	"io/fs"
	"strings"
	"time"
)

// ErrNotFound is returned for what no backend has. It says nothing about why: a path
// that leads out of a root, or that file_ignore_glob hides, is not found either.
// It is an fs.ErrNotExist.
var ErrNotFound error = notFound{}

type notFound struct{}

func (notFound) Error() string        { return "no such file on the file server" }
func (notFound) Is(target error) bool { return target == fs.ErrNotExist }

// A Backend is one source of files: directories, git repositories, a bucket. Its methods
// may be called concurrently.
type Backend interface {
	// Name is what fileserver_backend calls it: "roots".
	Name() string
	// Envs returns the names of its environments.
	Envs(ctx context.Context) ([]string, error)
	// Find returns a file of an environment by its path, which has slashes and no "..";
	// ErrNotFound where it has none. index names one of several places where the
	// environment comes from, as the index= of a salt:// address; -1 is all of them.
	Find(ctx context.Context, env, path string, index int) (*File, error)
	// Tree lists everything in an environment; an empty tree where it has none. The
	// result is shared and must not be changed.
	Tree(ctx context.Context, env string) (*Tree, error)
}

// A Tree is what there is in one environment. Paths have slashes and are sorted.
type Tree struct {
	Files     []string
	Dirs      []string
	EmptyDirs []string
	// Links maps symbolic links to where they point, as it stands in the link.
	Links map[string]string
}

// A File is one file that was found. It was there when it was looked for; Open tells
// whether it still is.
type File struct {
	Path    string // of this machine: "/srv/salt/web/nginx.conf"
	Rel     string // below its root: "web/nginx.conf"
	Backend string // that has it: "roots"
	Size    int64
	ModTime time.Time
	// Stat is Python's list of ten numbers: mode, inode, device, links, uid, gid, size,
	// atime, mtime, ctime; nil where a backend has none.
	Stat []int64

	open func() (Content, error)
	id   string // changes whenever the content may have: names it among cached hashes; "" is never cached
}

// Content is an open file.
type Content interface {
	io.ReaderAt
	io.Closer
	// State is the file's size and an identification that changes when the file does.
	State() (size int64, id string, err error)
}

// NewFile makes a File of a backend. open is called for each reading; id changes
// whenever the content does, and "" says that nothing is known of that.
func NewFile(f File, id string, open func() (Content, error)) *File {
	f.open, f.id = open, id
	return &f
}

// Open opens the file for reading. A file that is gone is ErrNotFound.
func (f *File) Open() (Content, error) { return f.open() }

// ReadFile returns a file's content, at most max bytes of it: more is an error.
func (f *File) ReadFile(max int64) ([]byte, error) {
	c, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	b, err := io.ReadAll(io.NewSectionReader(c, 0, max+1))
	if err == nil && int64(len(b)) > max {
		err = &TooLargeError{Path: f.Rel, Max: max}
	}
	return b, err
}

// TooLargeError says that a file is larger than what reads it can take.
type TooLargeError struct {
	Path string
	Max  int64
}

func (e *TooLargeError) Error() string {
	return "file " + e.Path + " is larger than " + size(e.Max) + ", which is the most that is read into memory"
}

func (t *Tree) list(k Kind) []string {
	switch k {
	case Dirs:
		return t.Dirs
	case EmptyDirs:
		return t.EmptyDirs
	}
	return t.Files
}

// Kind is what a list is of.
type Kind int

const (
	Files Kind = iota
	Dirs
	EmptyDirs
)

// withPrefix keeps the paths that begin with a prefix, whatever slashes are at its ends.
func withPrefix(paths []string, prefix string) []string {
	prefix = strings.Trim(prefix, "/")
	out := make([]string, 0, len(paths))
	for _, p := range paths {
		if strings.HasPrefix(p, prefix) {
			out = append(out, p)
		}
	}
	return out
}
