package files

import (
	"context"
	"os"
	"path/filepath"
	"sort"
	"time"

	"github.com/gosalt/gosalt/internal/fileserver"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Updater is a backend that has to be brought up to date from time to time.
type Updater interface {
	// Update does so, and tells whether anything changed, and of what: the remotes with
	// this text in their name, or all for "".
	Update(ctx context.Context, remote string) (changed bool, err error)
	// Every is the time between two updates.
	Every() time.Duration
}

// Run keeps the backends up to date until ctx ends.
func (f *Files) Run(ctx context.Context) error {
	next := map[fileserver.Backend]time.Time{}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		now := time.Now()
		for _, b := range f.server.Backends(nil) {
			every := f.cfg.FileserverInterval
			if u, ok := b.(Updater); ok {
				every = u.Every()
			}
			if now.Before(next[b]) {
				continue
			}
			next[b] = now.Add(max(every, time.Second))
			f.update(ctx, b, "")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Update brings the named backends up to date, or all.
func (f *Files) Update(ctx context.Context, names []string, remote string) error {
	for _, b := range f.server.Backends(names) {
		if err := f.update(ctx, b, remote); err != nil {
			return err
		}
	}
	return nil
}

func (f *Files) update(ctx context.Context, b fileserver.Backend, remote string) error {
	switch u := b.(type) {
	case *fileserver.Roots:
		u.Forget(nil)
		if f.cfg.FileserverEvents {
			f.tell("roots", f.compare())
		}
	case Updater:
		changed, err := u.Update(ctx, remote)
		if err != nil {
			f.log.Error("backend of the file server cannot be updated: what it had is served on", "backend", b.Name(), "error", err)
			return err
		}
		if f.cfg.FileserverEvents {
			f.tell(b.Name(), wire.NewMap("changed", changed, "backend", b.Name()))
		}
	}
	return nil
}

func (f *Files) tell(backend string, data *wire.Map) {
	if f.cfg.Event != nil && data != nil {
		f.cfg.Event(backend, data)
	}
}

// compare says which files of file_roots changed since it was called last.
func (f *Files) compare() *wire.Map {
	now := map[string]int64{}
	ignore, _ := fileserver.NewIgnore(f.cfg.FileIgnoreGlob, f.cfg.FileIgnoreRegex)
	for _, dirs := range f.cfg.FileRoots {
		for _, dir := range dirs {
			filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
				if err != nil || d.IsDir() || ignore.Match(name) {
					return nil
				}
				if fi, err := os.Stat(name); err == nil {
					now[name] = fi.ModTime().UnixNano()
				}
				return nil
			})
		}
	}
	f.mtimes.Lock()
	defer f.mtimes.Unlock()
	before := f.known
	f.known = now
	if before == nil {
		return nil // nothing to compare with
	}
	var changed, added, removed []string
	for name, t := range now {
		if old, ok := before[name]; !ok {
			added = append(added, name)
		} else if old != t {
			changed = append(changed, name)
		}
	}
	for name := range before {
		if _, ok := now[name]; !ok {
			removed = append(removed, name)
		}
	}
	for _, l := range [][]string{changed, added, removed} {
		sort.Strings(l)
	}
	return wire.NewMap("changed", len(changed)+len(added)+len(removed) > 0, "files",
		wire.NewMap("changed", orEmpty(changed), "removed", orEmpty(removed), "added", orEmpty(added)), "backend", "roots")
}

func orEmpty(l []string) []string {
	if l == nil {
		return []string{}
	}
	return l
}

// Forget drops lists of files from memory: of the named backends and environments, or of
// all. It returns the environments by backend.
func (f *Files) Forget(names, envs []string) *wire.Map {
	m := wire.NewMap()
	for _, b := range f.server.Backends(names) {
		if r, ok := b.(interface{ Forget([]string) []string }); ok {
			if done := r.Forget(envs); len(done) > 0 {
				m.Set(b.Name(), done)
			}
		}
	}
	return m
}

// Clear removes what the named backends keep on the disk, and says so, or why not.
func (f *Files) Clear(names []string) (cleared, failed []string) {
	for _, b := range f.server.Backends(names) {
		c, ok := b.(interface{ Clear() error })
		if !ok {
			continue
		}
		if err := c.Clear(); err != nil {
			failed = append(failed, err.Error())
		} else {
			cleared = append(cleared, "The "+b.Name()+" fileserver cache was successfully cleared")
		}
	}
	return cleared, failed
}

// Lock keeps remotes from being updated, or lets them be again.
func (f *Files) Lock(names []string, remote string, on bool) (done, failed []string) {
	for _, b := range f.server.Backends(names) {
		if l, ok := b.(interface {
			Lock(remote string, on bool) (done, failed []string)
		}); ok {
			d, e := l.Lock(remote, on)
			done, failed = append(done, d...), append(failed, e...)
		}
	}
	return done, failed
}
