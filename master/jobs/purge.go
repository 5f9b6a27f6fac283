package jobs

import (
	"context"
	"fmt"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/gosalt/gosalt/protocol/wire"
)

// Steps of a purge. Other writers come between two steps, so a step takes
// milliseconds.
const (
	purgeRows   = 500 // rows removed
	vacuumPages = 256 // pages given back to the file system
)

// Purge implements Store. A job's row goes first, in one step with a note in trash;
// its returns and targets follow. A purge that was broken off is taken up by the next.
func (s *SQLite) Purge(ctx context.Context, before time.Time, maxBytes int64) (p Purged, err error) {
	had, err := s.fileBytes(ctx)
	if err != nil {
		return p, fmt.Errorf("purge jobs: %w", err)
	}
	err = s.purge(ctx, before, maxBytes, &p)
	if err == nil {
		err = s.vacuum(ctx)
	}
	if err != nil {
		return p, fmt.Errorf("purge jobs: %w", err)
	}
	has, err := s.fileBytes(ctx)
	if err != nil {
		return p, fmt.Errorf("purge jobs: %w", err)
	}
	p.Bytes = max(had-has, 0)
	return p, nil
}

func (s *SQLite) purge(ctx context.Context, before time.Time, maxBytes int64, p *Purged) error {
	if err := s.emptyTrash(ctx, p); err != nil {
		return err
	}
	for {
		cut := micros(before)
		if maxBytes > 0 {
			used, err := s.usedBytes(ctx)
			if err != nil {
				return err
			}
			if used > maxBytes {
				cut = 1<<63 - 1
			}
		}
		more, err := s.trashOldest(ctx, cut)
		if err != nil || !more {
			return err
		}
		p.Jobs++
		if err := s.emptyTrash(ctx, p); err != nil {
			return err
		}
	}
}

const oldestQuery = "SELECT jid FROM jobs WHERE start < ? AND until <= ? ORDER BY start, jid LIMIT 1"

// trashOldest takes the oldest job that started before cut and cannot be fetched any more.
func (s *SQLite) trashOldest(ctx context.Context, cut int64) (found bool, err error) {
	now := micros(time.Now())
	err = s.write(ctx, 1, 0, func(c *sqlite.Conn) error {
		found = false
		jid := ""
		err := queryRows(c, func(st *sqlite.Stmt) error {
			jid, found = st.ColumnText(0), true
			return nil
		}, oldestQuery, cut, now)
		if err != nil || !found {
			return err
		}
		if err := exec(c, "INSERT OR IGNORE INTO trash (jid) VALUES (?)", jid); err != nil {
			return err
		}
		return exec(c, "DELETE FROM jobs WHERE jid = ?", jid)
	})
	return found, err
}

// emptyTrash removes, in steps, what belongs to the jobs in trash.
func (s *SQLite) emptyTrash(ctx context.Context, p *Purged) error {
	for {
		var left bool
		var removed int
		err := s.write(ctx, purgeRows, 0, func(c *sqlite.Conn) (err error) {
			left, removed, err = trashStep(c)
			return err
		})
		p.Returns += removed
		if err != nil || !left {
			return err
		}
	}
}

// trashStep removes up to purgeRows rows. left is false when trash is empty.
func trashStep(c *sqlite.Conn) (left bool, returns int, err error) {
	var jid wire.JobID
	err = queryRows(c, func(st *sqlite.Stmt) error {
		jid, left = wire.JobID(st.ColumnText(0)), true
		return nil
	}, "SELECT jid FROM trash LIMIT 1")
	if err != nil || !left {
		return left, 0, err
	}
	const some = " WHERE jid = ?1 ORDER BY minion LIMIT ?2"
	// The rows of one statement are those of the next: nobody writes between them.
	err = exec(c, "DELETE FROM blobs WHERE id IN (SELECT blob FROM returns"+some+")", string(jid), int64(purgeRows))
	if err != nil {
		return left, 0, err
	}
	err = exec(c, "DELETE FROM returns WHERE jid = ?1 AND minion IN (SELECT minion FROM returns"+some+")", string(jid), int64(purgeRows))
	if err != nil {
		return left, 0, err
	}
	returns = c.Changes()
	if returns == purgeRows {
		return left, returns, nil
	}
	err = exec(c, "DELETE FROM targets WHERE jid = ?1 AND minion IN (SELECT minion FROM targets"+some+")", string(jid), int64(purgeRows-returns))
	if err != nil || c.Changes() == purgeRows-returns {
		return left, returns, err
	}
	return left, returns, exec(c, "DELETE FROM trash WHERE jid = ?", string(jid))
}

// vacuum gives free pages back while they are more than an eighth of the file.
func (s *SQLite) vacuum(ctx context.Context) error {
	for {
		var free, all int64
		err := s.write(ctx, 1, 0, func(c *sqlite.Conn) error {
			err := queryRows(c, func(st *sqlite.Stmt) error {
				free, all = st.ColumnInt64(0), st.ColumnInt64(1)
				return nil
			}, "SELECT freelist_count, page_count FROM pragma_freelist_count, pragma_page_count")
			if err != nil || !wasteful(free, all) {
				return err
			}
			// One row, and one page moved, for each step of the statement.
			return exec(c, fmt.Sprintf("PRAGMA incremental_vacuum(%d)", vacuumPages))
		})
		if err != nil || !wasteful(free, all) {
			return err
		}
	}
}

func wasteful(free, all int64) bool { return free > vacuumPages && free > all/8 }

func (s *SQLite) usedBytes(ctx context.Context) (n int64, err error) {
	err = s.quick.do(ctx, false, func(c *sqlite.Conn) error {
		n, err = usedBytes(c)
		return err
	})
	return n, s.note(err)
}

func (s *SQLite) fileBytes(ctx context.Context) (n int64, err error) {
	err = s.quick.do(ctx, false, func(c *sqlite.Conn) error {
		return queryRows(c, func(st *sqlite.Stmt) error {
			n = st.ColumnInt64(0) * st.ColumnInt64(1)
			return nil
		}, "SELECT page_count, page_size FROM pragma_page_count, pragma_page_size")
	})
	return n, s.note(err)
}
