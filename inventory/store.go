package inventory

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// store is the cache: one SQLite file that several processes may have open. What is in it
// is last good data: a row goes only when its scope was listed whole without it.
//
// Times are microseconds since 1970 in UTC, 0 for none.
type store struct {
	path string

	mu    sync.Mutex // guards write
	write *sqlite.Conn
	reads chan *sqlite.Conn // idle connections for reading
}

const schemaVersion = 1

const schema = `
CREATE TABLE sources (
	name   TEXT PRIMARY KEY,
	stamp  TEXT NOT NULL DEFAULT '', -- of the configuration that it was listed with
	tried  INTEGER NOT NULL DEFAULT 0, -- when the last listing that has ended began
	listed INTEGER NOT NULL DEFAULT 0, -- the same, of the last that nothing was wrong with
	took   INTEGER NOT NULL DEFAULT 0, -- microseconds
	fails  INTEGER NOT NULL DEFAULT 0, -- listings in a row that had errors
	next   INTEGER NOT NULL DEFAULT 0, -- when it is to be asked again
	reason TEXT NOT NULL DEFAULT '', -- of its error as a whole
	error  TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE TABLE scopes ( -- those that could not be listed the last time
	source TEXT NOT NULL,
	scope  TEXT NOT NULL,
	reason TEXT NOT NULL,
	error  TEXT NOT NULL,
	PRIMARY KEY (source, scope)
) WITHOUT ROWID;
CREATE TABLE machines (
	source TEXT NOT NULL,
	id     TEXT NOT NULL,
	scope  TEXT NOT NULL,
	base   TEXT NOT NULL, -- name by the template
	alt    TEXT NOT NULL, -- the same with the id behind it
	live   INTEGER NOT NULL, -- 1: its source is configured and wants machines in its state
	first  INTEGER NOT NULL,
	seen   INTEGER NOT NULL, -- when the listing began that it was in
	hash   BLOB NOT NULL, -- of data, base and scope
	data   BLOB NOT NULL,
	PRIMARY KEY (source, id)
) WITHOUT ROWID;
CREATE INDEX machines_base ON machines (base, source, id);
CREATE INDEX machines_alt ON machines (alt);
CREATE INDEX machines_seen ON machines (source, seen);
`

// openStore opens or makes the cache. One that is broken is made anew: it is a cache.
func openStore(path string) (*store, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	conn, err := openConn(path)
	if err != nil && damaged(err) {
		for _, suffix := range []string{"-wal", "-shm", ""} {
			if rerr := os.Remove(path + suffix); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
				return nil, errors.Join(err, rerr)
			}
		}
		conn, err = openConn(path)
	}
	if err != nil {
		return nil, fmt.Errorf("open the cache of the inventory %s: %w", path, err)
	}
	return &store{path: path, write: conn, reads: make(chan *sqlite.Conn, 4)}, nil
}

func damaged(err error) bool {
	switch sqlite.ErrCode(err).ToPrimary() {
	case sqlite.ResultCorrupt, sqlite.ResultNotADB:
		return true
	}
	return errors.Is(err, errVersion)
}

var errVersion = errors.New("it was made by a newer version")

func openConn(path string) (*sqlite.Conn, error) {
	// The mode is that of its companions, too. One that is there is not opened: closing it again
	// would give up the locks that SQLite has on it in this process, and the next program that
	// ends would remove the -wal that others write to.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err == nil {
		err = f.Close()
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	conn, err := sqlite.OpenConn(path, sqlite.OpenReadWrite|sqlite.OpenCreate)
	if err != nil {
		return nil, err
	}
	conn.SetBusyTimeout(10 * time.Second)
	if err := prepare(conn); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

func prepare(conn *sqlite.Conn) (err error) {
	for _, p := range []string{"PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL", "PRAGMA temp_store = MEMORY", "PRAGMA cache_size = -1024", "PRAGMA journal_size_limit = 4194304"} {
		if err := sqlitex.ExecuteTransient(conn, p, nil); err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
	}
	version := func() (n int, err error) {
		err = sqlitex.ExecuteTransient(conn, "PRAGMA user_version", &sqlitex.ExecOptions{ResultFunc: func(s *sqlite.Stmt) error { n = s.ColumnInt(0); return nil }})
		return n, err
	}
	n, err := version()
	if err != nil || n == schemaVersion {
		return err
	}
	if n > schemaVersion {
		return errVersion
	}
	end, err := sqlitex.ImmediateTransaction(conn)
	if err != nil {
		return err
	}
	defer end(&err)
	if n, err = version(); err != nil || n == schemaVersion { // another process was faster
		return err
	}
	return sqlitex.ExecuteScript(conn, schema+fmt.Sprintf("PRAGMA user_version = %d;", schemaVersion), nil)
}

func (s *store) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.write.Close()
	for {
		select {
		case c := <-s.reads:
			err = errors.Join(err, c.Close())
		default:
			return err
		}
	}
}

// read lends a connection.
func (s *store) read(ctx context.Context, f func(c *sqlite.Conn) error) error {
	var c *sqlite.Conn
	select {
	case c = <-s.reads:
	default:
		var err error
		if c, err = openConn(s.path); err != nil {
			return err
		}
	}
	c.SetInterrupt(ctx.Done())
	err := f(c)
	c.SetInterrupt(nil)
	select {
	case s.reads <- c:
	default:
		c.Close()
	}
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// change runs f in a transaction.
func (s *store) change(f func(c *sqlite.Conn) error) (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	end, err := sqlitex.ImmediateTransaction(s.write)
	if err != nil {
		return err
	}
	defer end(&err)
	return f(s.write)
}

func exec(c *sqlite.Conn, q string, row func(*sqlite.Stmt) error, args ...any) error {
	return sqlitex.Execute(c, q, &sqlitex.ExecOptions{Args: args, ResultFunc: row})
}

// sourceRow is what is kept of a source.
type sourceRow struct {
	stamp               string
	tried, listed, next time.Time
	took                time.Duration
	fails               int
	reason, err         string
}

func unixMicro(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n)
}

func (s *store) source(c *sqlite.Conn, name string) (r sourceRow, err error) {
	err = exec(c, "SELECT stamp, tried, listed, took, fails, next, reason, error FROM sources WHERE name = ?", func(st *sqlite.Stmt) error {
		r = sourceRow{stamp: st.ColumnText(0), tried: unixMicro(st.ColumnInt64(1)), listed: unixMicro(st.ColumnInt64(2)), took: time.Duration(st.ColumnInt64(3)) * time.Microsecond,
			fails: st.ColumnInt(4), next: unixMicro(st.ColumnInt64(5)), reason: st.ColumnText(6), err: st.ColumnText(7)}
		return nil
	}, name)
	return r, err
}

// adopt marks the machines of these sources, and of no others, as there.
func (s *store) adopt(names []string, forget time.Time) error {
	// Most programs change nothing here, and need not wait for one that writes.
	same := true
	in, args := "''", []any{}
	for _, n := range names {
		in += ", ?"
		args = append(args, n)
	}
	err := s.read(context.Background(), func(c *sqlite.Conn) error {
		return exec(c, "SELECT 1 FROM machines WHERE live = 1 AND source NOT IN ("+in+") OR live = -1 AND source IN ("+in+") OR live = -1 AND seen < ? LIMIT 1", func(*sqlite.Stmt) error {
			same = false
			return nil
		}, append(append(append([]any{}, args...), args...), forget.UnixMicro())...)
	})
	if err != nil || same {
		return err
	}
	return s.change(func(c *sqlite.Conn) error {
		// -1: of a source that is not there, and was wanted.
		if err := exec(c, "UPDATE machines SET live = -1 WHERE live = 1 AND source NOT IN ("+in+")", nil, args...); err != nil {
			return err
		}
		if err := exec(c, "UPDATE machines SET live = 1 WHERE live = -1 AND source IN ("+in+")", nil, args...); err != nil {
			return err
		}
		return exec(c, "DELETE FROM machines WHERE live = -1 AND seen < ?", nil, forget.UnixMicro())
	})
}

// row is a machine on its way into the cache.
type row struct {
	m         Machine
	base, alt string
	live      bool
	data      []byte
	hash      []byte
}

func (r *row) sum() {
	h := sha256.New()
	for _, s := range []string{r.base, r.m.Scope} {
		fmt.Fprintf(h, "%d:%s", len(s), s)
	}
	h.Write(r.data)
	r.hash = h.Sum(nil)[:16]
}

// lookup returns what the cache has of a machine: hash, data, scope, base; ok is false
// where it has nothing.
func lookup(c *sqlite.Conn, source, id string) (hash, data []byte, scope, base string, ok bool, err error) {
	err = exec(c, "SELECT hash, data, scope, base FROM machines WHERE source = ? AND id = ?", func(st *sqlite.Stmt) error {
		hash, data = columnBytes(st, 0), columnBytes(st, 1)
		scope, base, ok = st.ColumnText(2), st.ColumnText(3), true
		return nil
	}, source, id)
	return hash, data, scope, base, ok, err
}

func columnBytes(st *sqlite.Stmt, i int) []byte {
	b := make([]byte, st.ColumnLen(i))
	st.ColumnBytes(i, b)
	return b
}

// put stores machines of a listing and returns what changed with it.
func (s *store) put(source string, run time.Time, rows []row) (changes []Change, err error) {
	err = s.change(func(c *sqlite.Conn) error {
		changes = changes[:0]
		for i := range rows {
			r := &rows[i]
			hash, data, scope, base, ok, err := lookup(c, source, r.m.ID)
			if err != nil {
				return err
			}
			live := 0
			if r.live {
				live = 1
			}
			if ok && bytes.Equal(hash, r.hash) {
				if err := exec(c, "UPDATE machines SET seen = ?, live = ? WHERE source = ? AND id = ?", nil, run.UnixMicro(), live, source, r.m.ID); err != nil {
					return err
				}
				continue
			}
			err = exec(c, `INSERT INTO machines (source, id, scope, base, alt, live, first, seen, hash, data) VALUES (?,?,?,?,?,?,?,?,?,?)
				ON CONFLICT (source, id) DO UPDATE SET scope = excluded.scope, base = excluded.base, alt = excluded.alt, live = excluded.live, seen = excluded.seen, hash = excluded.hash, data = excluded.data`,
				nil, source, r.m.ID, r.m.Scope, r.base, r.alt, live, run.UnixMicro(), run.UnixMicro(), r.hash, r.data)
			if err != nil {
				return err
			}
			ch := Change{What: Found, Source: source, Machine: r.m, Name: r.base, alt: r.alt}
			if ok {
				ch.What = Changed
				ch.Fields = differences(data, scope, base, r)
			}
			changes = append(changes, ch)
		}
		return nameClashes(c, changes) // after all are there
	})
	return changes, err
}

// nameClashes gives those changed machines their longer name that share one with others
// in the cache.
func nameClashes(c *sqlite.Conn, changes []Change) error {
	for i := range changes {
		ch := &changes[i]
		if err := exec(c, "SELECT 1 FROM machines WHERE base = ? AND live = 1 AND (source, id) != (?, ?) LIMIT 1", func(*sqlite.Stmt) error {
			ch.Name = ch.alt
			return nil
		}, ch.Name, ch.Source, ch.Machine.ID); err != nil {
			return err
		}
	}
	return nil
}

// drop removes up to n machines that a listing that is over did not have, but for those of
// scopes that failed, and returns them.
func (s *store) drop(source string, run time.Time, n int) (changes []Change, err error) {
	err = s.change(func(c *sqlite.Conn) error {
		changes = changes[:0]
		err := exec(c, `SELECT id, scope, base, data, alt FROM machines WHERE source = ?1 AND seen < ?2
			AND NOT EXISTS (SELECT 1 FROM scopes x WHERE x.source = ?1 AND x.scope = machines.scope) LIMIT ?3`, func(st *sqlite.Stmt) error {
			m := Machine{ID: st.ColumnText(0), Scope: st.ColumnText(1)}
			if err := unpack(columnBytes(st, 3), &m); err != nil {
				return err
			}
			changes = append(changes, Change{What: Missing, Source: source, Machine: m, Name: st.ColumnText(2), alt: st.ColumnText(4)})
			return nil
		}, source, run.UnixMicro(), n)
		if err != nil {
			return err
		}
		if err := nameClashes(c, changes); err != nil { // while all are there
			return err
		}
		for _, ch := range changes {
			if err := exec(c, "DELETE FROM machines WHERE source = ? AND id = ?", nil, source, ch.Machine.ID); err != nil {
				return err
			}
		}
		return nil
	})
	return changes, err
}

// failed stores which scopes of a listing failed.
func (s *store) failed(source string, errs []*Error) error {
	return s.change(func(c *sqlite.Conn) error {
		if err := exec(c, "DELETE FROM scopes WHERE source = ?", nil, source); err != nil {
			return err
		}
		for _, e := range errs {
			if e.Scope == "" {
				continue
			}
			if err := exec(c, "INSERT OR IGNORE INTO scopes (source, scope, reason, error) VALUES (?,?,?,?)", nil, source, e.Scope, string(e.Reason), e.Error()); err != nil {
				return err
			}
		}
		return nil
	})
}

// finish stores how a listing ended.
func (s *store) finish(name string, r sourceRow) error {
	micro := func(t time.Time) int64 {
		if t.IsZero() {
			return 0
		}
		return t.UnixMicro()
	}
	return s.change(func(c *sqlite.Conn) error {
		return exec(c, `INSERT INTO sources (name, stamp, tried, listed, took, fails, next, reason, error) VALUES (?,?,?,?,?,?,?,?,?)
			ON CONFLICT (name) DO UPDATE SET stamp = excluded.stamp, tried = excluded.tried, listed = excluded.listed, took = excluded.took,
			fails = excluded.fails, next = excluded.next, reason = excluded.reason, error = excluded.error`,
			nil, name, r.stamp, micro(r.tried), micro(r.listed), r.took.Microseconds(), r.fails, micro(r.next), r.reason, r.err)
	})
}
