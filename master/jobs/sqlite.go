package jobs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// SQLite is a Store in one SQLite file (with a "-wal" and a "-shm" beside it while
// it is open). One goroutine writes, see writer.go; readers have connections of
// their own and never wait for it.
type SQLite struct {
	path string
	log  *slog.Logger

	release  func() // gives up the ownership of the file
	ops      chan *op
	closing  chan struct{}
	closed   sync.Once
	released sync.Once
	done     chan struct{} // the writer has ended

	quick   reader // looks up single rows
	scan    reader // lists and searches
	damaged atomic.Bool
}

var _ Store = (*SQLite)(nil)

// Options say how a store works. The zero value is a good choice.
type Options struct {
	Log *slog.Logger // nil: nothing is logged
}

// Open opens or makes the store at path; its directory is made where it is missing.
// A file that is no database, or a broken one, is moved aside and a new one begun,
// with a message in the log that says where the old one is: what a master publishes
// today must not fail for what is broken of yesterday. Another process (gosalt-key)
// may open the store beside the master; only the first one moves anything.
func Open(path string, opt Options) (*SQLite, error) {
	log := opt.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("open job store: %w", err)
	}
	owner, release, err := claim(path + ".lock")
	if err != nil {
		return nil, fmt.Errorf("open job store: %w", err)
	}
	conn, err := openChecked(path)
	if isDamage(err) && owner {
		conn, err = startOver(path, err, log)
	}
	if err != nil {
		release()
		return nil, fmt.Errorf("open job store %s: %w", path, err)
	}
	s := &SQLite{
		path:    path,
		log:     log,
		release: release,
		ops:     make(chan *op, maxBatch),
		closing: make(chan struct{}),
		done:    make(chan struct{}),
		quick:   newReader(path),
		scan:    newReader(path),
	}
	go s.writeLoop(conn)
	return s, nil
}

// suspectSuffix names the empty file that asks the next Open for a thorough check.
const suspectSuffix = ".suspect"

// openChecked opens the writing connection, makes or checks the schema, and, where
// an earlier run met damage, looks through the whole file.
func openChecked(path string) (*sqlite.Conn, error) {
	conn, err := openConn(path, writerCacheKiB)
	if err != nil {
		return nil, err
	}
	if err := prepareSchema(conn); err != nil {
		conn.Close()
		return nil, err
	}
	if _, err := os.Stat(path + suspectSuffix); errors.Is(err, fs.ErrNotExist) {
		return conn, nil
	}
	verdict, err := pragmaText(conn, "PRAGMA quick_check(1)")
	if err == nil && verdict != "ok" {
		err = &damageError{verdict}
	}
	if err == nil {
		err = os.Remove(path + suspectSuffix)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// Page caches, in KiB: what the store costs in memory.
const (
	writerCacheKiB = 2048
	readerCacheKiB = 512
)

func openConn(path string, cacheKiB int) (*sqlite.Conn, error) {
	if err := touch(path); err != nil {
		return nil, err
	}
	conn, err := sqlite.OpenConn(path, sqlite.OpenReadWrite|sqlite.OpenCreate)
	if err != nil {
		return nil, err
	}
	conn.SetBusyTimeout(10 * time.Second)
	for _, p := range []string{
		"PRAGMA auto_vacuum = INCREMENTAL", // works on a new file only
		"PRAGMA journal_mode = WAL",
		"PRAGMA synchronous = FULL",            // a commit is on the disk
		"PRAGMA journal_size_limit = 16777216", // after a burst the -wal shrinks again
		"PRAGMA temp_store = MEMORY",
		fmt.Sprintf("PRAGMA cache_size = -%d", cacheKiB),
	} {
		if err := sqlitex.ExecuteTransient(conn, p, nil); err != nil {
			conn.Close()
			return nil, fmt.Errorf("%s: %w", p, err)
		}
	}
	return conn, nil
}

// touch makes the file for its owner alone; SQLite gives its companions the same mode. One
// that is there is not opened: closing it again would give up the locks that SQLite has on
// it, since those of POSIX belong to the process and end with any of its descriptors.
func touch(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.Close()
}

// damageError is what a check of the whole file found.
type damageError struct{ verdict string }

func (e *damageError) Error() string { return "check of the file: " + e.verdict }

// isDamage tells whether an error means that the file itself is broken.
func isDamage(err error) bool {
	var d *damageError
	if errors.As(err, &d) {
		return true
	}
	switch sqlite.ErrCode(err).ToPrimary() {
	case sqlite.ResultCorrupt, sqlite.ResultNotADB:
		return err != nil
	}
	return false
}

// startOver moves a broken store aside and opens a new one in its place.
func startOver(path string, cause error, log *slog.Logger) (*sqlite.Conn, error) {
	aside := path + ".damaged-" + time.Now().UTC().Format("20060102T150405")
	for i := 2; ; i++ {
		if _, err := os.Lstat(aside); errors.Is(err, fs.ErrNotExist) {
			break
		}
		aside = fmt.Sprintf("%s.damaged-%s-%d", path, time.Now().UTC().Format("20060102T150405"), i)
	}
	for _, suffix := range []string{"-wal", "-shm", ""} {
		if err := os.Rename(path+suffix, aside+suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("it is damaged (%w), and moving it aside failed: %w", cause, err)
		}
	}
	if err := os.Remove(path + suspectSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	log.Error("job store was damaged and is begun anew; earlier jobs are in the file moved aside, where sqlite3's .recover may still read them",
		"path", path, "moved_to", aside, "err", cause)
	conn, err := openChecked(path)
	if err != nil {
		return nil, fmt.Errorf("begin a new one: %w", err)
	}
	return conn, nil
}

// note looks at an error on its way to a caller: damage met while running is logged
// once and marked, so that the next start looks through the file.
func (s *SQLite) note(err error) error {
	if !isDamage(err) || s.damaged.Swap(true) {
		return err
	}
	s.log.Error("job store is damaged: restart the master, it then moves the file aside and begins a new one", "path", s.path, "err", err)
	if terr := touch(s.path + suspectSuffix); terr != nil {
		s.log.Error("damaged job store could not be marked", "path", s.path+suspectSuffix, "err", terr)
	}
	return err
}

// Close implements Store.
func (s *SQLite) Close() error {
	s.closed.Do(func() { close(s.closing) })
	<-s.done
	err := errors.Join(s.quick.close(), s.scan.close())
	s.released.Do(s.release)
	return err
}

// reader is one reading connection, lent to one caller at a time and opened with
// the first.
type reader struct {
	path string
	conn chan *sqlite.Conn // holds the connection, or nil before the first use; closed after close
}

func newReader(path string) reader {
	r := reader{path: path, conn: make(chan *sqlite.Conn, 1)}
	r.conn <- nil
	return r
}

// do lends the connection to f. Where interrupt is set, the end of ctx breaks off a
// statement that is running.
func (r *reader) do(ctx context.Context, interrupt bool, f func(*sqlite.Conn) error) error {
	var conn *sqlite.Conn
	var ok bool
	select {
	case conn, ok = <-r.conn:
	case <-ctx.Done():
		return ctx.Err()
	}
	if !ok {
		return ErrClosed
	}
	defer func() { r.conn <- conn }()
	if conn == nil {
		c, err := openConn(r.path, readerCacheKiB)
		if err != nil {
			return err
		}
		conn = c
	}
	if interrupt {
		conn.SetInterrupt(ctx.Done())
		defer conn.SetInterrupt(nil)
	}
	err := f(conn)
	if err != nil && ctx.Err() != nil && sqlite.ErrCode(err) == sqlite.ResultInterrupt {
		return ctx.Err()
	}
	return err
}

func (r *reader) close() error {
	conn, ok := <-r.conn
	if !ok {
		return nil
	}
	close(r.conn)
	if conn == nil {
		return nil
	}
	return conn.Close()
}
