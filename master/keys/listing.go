package keys

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gosalt/gosalt/protocol/wire"
)

// listing is one directory's names in memory, read again when the directory's own
// stat says that somebody changed it.
type listing struct {
	dir string
	now func() time.Time

	mu    sync.Mutex
	stamp stamp     // of the directory when it was read
	read  time.Time // when it was read; zero: never
	ids   map[wire.MinionID]struct{}
	fold  map[string]wire.MinionID // by the id in lower case
	order []wire.MinionID          // sorted; nil: to be sorted
}

// roughAge is how old the names may be for a limit or a courtesy check. What this
// process itself writes is in them at once.
const roughAge = time.Second

// refresh reads the directory again unless its stat proves that nothing changed, or
// it was read less than maxAge ago. Called under mu.
func (l *listing) refresh(maxAge time.Duration) error {
	now := l.now()
	if !l.read.IsZero() && now.Sub(l.read) < maxAge {
		return nil
	}
	fi, err := os.Stat(l.dir)
	if errors.Is(err, fs.ErrNotExist) {
		l.ids, l.fold, l.order, l.read = map[wire.MinionID]struct{}{}, map[string]wire.MinionID{}, nil, time.Time{}
		return nil
	}
	if err != nil {
		return err
	}
	st := stampOf(fi, now)
	if !l.read.IsZero() && l.stamp.holds(st) {
		l.read = now
		return nil
	}
	entries, err := os.ReadDir(l.dir)
	if err != nil {
		return err
	}
	l.ids = make(map[wire.MinionID]struct{}, len(entries))
	l.fold = make(map[string]wire.MinionID, len(entries))
	for _, e := range entries {
		id, err := wire.ParseMinionID(e.Name())
		if err != nil || !l.isFile(e) {
			continue
		}
		l.ids[id] = struct{}{}
		l.fold[strings.ToLower(e.Name())] = id
	}
	l.stamp, l.read, l.order = st, now, nil
	return nil
}

func (l *listing) isFile(e fs.DirEntry) bool {
	if e.Type()&fs.ModeSymlink == 0 {
		return e.Type().IsRegular()
	}
	fi, err := os.Stat(filepath.Join(l.dir, e.Name()))
	return err == nil && fi.Mode().IsRegular()
}

// sorted returns all names, sorted without regard to case.
func (l *listing) sorted() ([]wire.MinionID, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.refresh(0); err != nil {
		return nil, err
	}
	if l.order == nil {
		l.order = make([]wire.MinionID, 0, len(l.ids))
		for id := range l.ids {
			l.order = append(l.order, id)
		}
		slices.SortFunc(l.order, func(a, b wire.MinionID) int {
			if c := strings.Compare(strings.ToLower(string(a)), strings.ToLower(string(b))); c != 0 {
				return c
			}
			return strings.Compare(string(a), string(b))
		})
	}
	return slices.Clone(l.order), nil
}

// rough returns how many names there are, as of the last second.
func (l *listing) rough() (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.refresh(roughAge)
	return len(l.ids), err
}

// twin returns a name that differs from id only in case, as of the last second.
func (l *listing) twin(id wire.MinionID) (wire.MinionID, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.refresh(roughAge); err != nil {
		return "", err
	}
	if other, ok := l.fold[strings.ToLower(string(id))]; ok && other != id {
		return other, nil
	}
	return "", nil
}

// added notes a name that this process wrote.
func (l *listing) added(id wire.MinionID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ids != nil {
		l.ids[id] = struct{}{}
		l.fold[strings.ToLower(string(id))] = id
		l.order = nil
	}
}

// removed notes a name that this process removed.
func (l *listing) removed(id wire.MinionID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.ids, id)
	if l.fold[strings.ToLower(string(id))] == id {
		delete(l.fold, strings.ToLower(string(id)))
	}
	l.order = nil
}
