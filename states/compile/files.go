package compile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"github.com/gosalt/gosalt/internal/fileclient"
	"github.com/gosalt/gosalt/internal/render"
)

// files reads the SLS and what templates import. Each file is asked for once in a
// compilation, so that all of it sees one state of the tree, and a map that forty SLS
// import is one request.
type files struct {
	fileclient.Client

	mu    sync.Mutex
	known map[fileKey]readFile
	bytes int
}

type fileKey struct{ env, path string }

type readFile struct {
	file render.File
	err  error // fs.ErrNotExist
}

// maxKept bounds what is kept in memory for one compilation.
const maxKept = 64 << 20

func newFiles(c fileclient.Client) *files {
	return &files{Client: c, known: map[fileKey]readFile{}}
}

// Files makes the templates' file server of a client.
func Files(c fileclient.Client) render.Files { return newFiles(c) }

// ReadFile implements render.Files.
func (f *files) ReadFile(ctx context.Context, env, path string) (render.File, error) {
	if f.Client == nil {
		return render.File{}, fs.ErrNotExist
	}
	key := fileKey{env, path}
	f.mu.Lock()
	k, ok := f.known[key]
	f.mu.Unlock()
	if ok {
		return k.file, k.err
	}
	file, err := f.read(ctx, env, path)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("salt://%s: %w", path, fs.ErrNotExist)
	} else if err != nil {
		return render.File{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.bytes += len(file.Data) + 256; f.bytes <= maxKept {
		f.known[key] = readFile{file, err}
	}
	return file, err
}

func (f *files) read(ctx context.Context, env, path string) (render.File, error) {
	if l, ok := f.Client.(fileclient.Locator); ok {
		name, data, err := l.Locate(ctx, env, path)
		return render.File{Data: data, Path: name}, err
	}
	name, err := f.Cache(ctx, env, path)
	if err != nil {
		return render.File{}, err
	}
	data, err := readLimited(name)
	return render.File{Data: data, Path: name}, err
}

// readLimited reads a file of the cache.
func readLimited(name string) ([]byte, error) {
	fi, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if fi.Size() > fileclient.MaxRead {
		return nil, fmt.Errorf("%s has %d bytes, and at most %d are read into memory", name, fi.Size(), fileclient.MaxRead)
	}
	return os.ReadFile(name)
}
