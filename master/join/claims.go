package join

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gosalt/gosalt/internal/durable"
)

// claims is a directory of files that are written once: whoever makes one of a name
// has it, everybody else finds it taken. A link makes them, which is atomic on every
// file system, so several masters may share the directory.
type claims struct {
	dir  string
	keep bool // remember what was read: nobody takes single files away

	mu   sync.Mutex
	seen map[string]Use // what files hold, which does not change
}

// maxRecord is the largest file read, in bytes.
const maxRecord = 64 << 10

// take makes the file; where there is one already that is fs.ErrExist.
func (c *claims) take(name string, u any) (err error) {
	b, err := json.Marshal(u)
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(c.dir, ".tmp-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(append(b, '\n'))
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, durable.GiveToOwner(tmp, c.dir), tmp.Close()); err != nil {
		return err
	}
	if err := os.Link(tmp.Name(), filepath.Join(c.dir, name)); err != nil {
		return err
	}
	return durable.SyncDir(c.dir)
}

// use reads what a file of take holds.
func (c *claims) use(name string) (Use, error) {
	c.mu.Lock()
	u, ok := c.seen[name]
	c.mu.Unlock()
	if ok {
		return u, nil
	}
	if err := readJSON(filepath.Join(c.dir, name), &u); err != nil {
		return Use{}, err
	}
	if !c.keep {
		return u, nil
	}
	c.mu.Lock()
	if c.seen == nil || len(c.seen) > 100_000 {
		c.seen = map[string]Use{}
	}
	c.seen[name] = u
	c.mu.Unlock()
	return u, nil
}

// remove forgets a claim.
func (c *claims) remove(name string) error {
	c.mu.Lock()
	delete(c.seen, name)
	c.mu.Unlock()
	if err := os.Remove(filepath.Join(c.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func readJSON(path string, into any) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxRecord+1))
	if err != nil {
		return err
	}
	if len(b) > maxRecord {
		return fmt.Errorf("%s: more than %d bytes", path, maxRecord)
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// privateDir makes a directory that nobody else may look into, or refuses one that
// others may write to: who can write there accepts minions.
func privateDir(dir string) error {
	fi, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeDir(dir); err == nil {
			fi, err = os.Stat(dir)
		}
	}
	if err != nil {
		return err
	}
	if mode := fi.Mode().Perm(); mode&0o022 != 0 && canMode {
		return fmt.Errorf("directory %s may be written by others (mode %04o): chmod 700 %s", dir, mode, dir)
	}
	return removeTemporary(dir)
}

// makeDir makes a directory that belongs to the owner of the one it is in.
func makeDir(dir string) error {
	in, name := filepath.Dir(dir), filepath.Base(dir)
	if err := os.MkdirAll(in, 0o700); err != nil {
		return err
	}
	root, err := os.OpenRoot(in) // that owner may put a link in its place, which is not followed to elsewhere
	if err != nil {
		return err
	}
	defer root.Close()
	if err := root.Mkdir(name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	f, err := root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return durable.GiveToOwner(f, in)
}

// removeTemporary removes what a process left that was killed while it wrote.
func removeTemporary(dir string) error {
	old, err := filepath.Glob(filepath.Join(dir, ".tmp-*"))
	if err != nil {
		return err
	}
	for _, name := range old {
		if fi, err := os.Stat(name); err == nil && time.Since(fi.ModTime()) > time.Hour {
			if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}
