package fileclient

import (
	"context"
	"sort"
	"sync"
	"time"

	"github.com/gosalt/gosalt/protocol/wire"
)

// A Recorder is a Client that keeps what was asked for, and how long it took: for a plan
// that holds only as long as its files are the same, and for who wants to know where the
// time goes.
type Recorder struct {
	Client
	mu    sync.Mutex
	files map[FileRef]bool
	lists map[FileRef]bool
	spent time.Duration
	calls int
}

// FileRef is a path of an environment.
type FileRef struct{ Env, Path string }

// Record makes a recorder of a client.
func Record(c Client) *Recorder {
	return &Recorder{Client: c, files: map[FileRef]bool{}, lists: map[FileRef]bool{}}
}

// Files are the paths that were read, or looked for, sorted.
func (r *Recorder) Files() []FileRef { return r.sorted(r.files) }

// Lists are the prefixes that were listed, sorted.
func (r *Recorder) Lists() []FileRef { return r.sorted(r.lists) }

// Spent is the time that went into the requests, and how many there were. Those that
// ran at once are all counted.
func (r *Recorder) Spent() (time.Duration, int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.spent, r.calls
}

func (r *Recorder) sorted(m map[FileRef]bool) []FileRef {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]FileRef, 0, len(m))
	for f := range m {
		out = append(out, f)
	}
	sort.Slice(out, func(i, j int) bool {
		return out[i].Env < out[j].Env || out[i].Env == out[j].Env && out[i].Path < out[j].Path
	})
	return out
}

// Note adds files that were read by another way.
func (r *Recorder) Note(env string, paths ...string) { r.note(r.files, env, paths...) }

func (r *Recorder) note(m map[FileRef]bool, env string, paths ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range paths {
		m[FileRef{env, p}] = true
	}
}

// took counts a request that began at a time.
func (r *Recorder) took(began time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.spent += time.Since(began)
	r.calls++
}

func (r *Recorder) list(env, prefix string, began time.Time) {
	r.took(began)
	r.note(r.lists, env, prefix)
}

// Envs is that of Client, counted.
func (r *Recorder) Envs(ctx context.Context) ([]string, error) {
	defer r.took(time.Now())
	return r.Client.Envs(ctx)
}

// List is that of Client, recorded.
func (r *Recorder) List(ctx context.Context, env, prefix string) ([]string, error) {
	defer r.list(env, prefix, time.Now())
	return r.Client.List(ctx, env, prefix)
}

// Dirs is that of Client, recorded.
func (r *Recorder) Dirs(ctx context.Context, env, prefix string) ([]string, error) {
	defer r.list(env, prefix, time.Now())
	return r.Client.Dirs(ctx, env, prefix)
}

// EmptyDirs is that of Client, recorded.
func (r *Recorder) EmptyDirs(ctx context.Context, env, prefix string) ([]string, error) {
	defer r.list(env, prefix, time.Now())
	return r.Client.EmptyDirs(ctx, env, prefix)
}

// Symlinks is that of Client, recorded.
func (r *Recorder) Symlinks(ctx context.Context, env, prefix string) (map[string]string, error) {
	defer r.list(env, prefix, time.Now())
	return r.Client.Symlinks(ctx, env, prefix)
}

// Stat is that of Client, recorded.
func (r *Recorder) Stat(ctx context.Context, env, path string) (Info, error) {
	defer r.took(time.Now())
	r.Note(env, path)
	return r.Client.Stat(ctx, env, path)
}

// Cache is that of Client, recorded.
func (r *Recorder) Cache(ctx context.Context, env, path string) (string, error) {
	defer r.took(time.Now())
	r.Note(env, path)
	return r.Client.Cache(ctx, env, path)
}

// CacheAll is that of Client, recorded.
func (r *Recorder) CacheAll(ctx context.Context, env string, paths []string) ([]string, error) {
	defer r.took(time.Now())
	r.Note(env, paths...)
	return r.Client.CacheAll(ctx, env, paths)
}

// ReadFile is that of Client, recorded.
func (r *Recorder) ReadFile(ctx context.Context, env, path string) ([]byte, error) {
	defer r.took(time.Now())
	r.Note(env, path)
	return r.Client.ReadFile(ctx, env, path)
}

// Get is that of Client, recorded.
func (r *Recorder) Get(ctx context.Context, env, path, dest string, gzip int) error {
	defer r.took(time.Now())
	r.Note(env, path)
	return r.Client.Get(ctx, env, path, dest, gzip)
}

// GetAll is that of Client, recorded.
func (r *Recorder) GetAll(ctx context.Context, env string, items []Item) error {
	defer r.took(time.Now())
	for _, it := range items {
		r.Note(env, it.Path)
	}
	return r.Client.GetAll(ctx, env, items)
}

// MasterOpts is that of Client, counted.
func (r *Recorder) MasterOpts(ctx context.Context) (*wire.Map, error) {
	defer r.took(time.Now())
	return r.Client.MasterOpts(ctx)
}

// MasterTops is that of Client, counted.
func (r *Recorder) MasterTops(ctx context.Context, opts *wire.Map) (*wire.Map, error) {
	defer r.took(time.Now())
	return r.Client.MasterTops(ctx, opts)
}
