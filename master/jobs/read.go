package jobs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/gosalt/gosalt/protocol/wire"
)

// stored bounds what is decoded of the store's own: arguments and metadata, which
// came in one publish and so within the limits of a known peer.
var stored = wire.Limits{Depth: 128, Elements: 4_000_000, Bytes: 256 << 20}

// column returns the bytes of a blob column.
func column(st *sqlite.Stmt, i int) []byte {
	b := make([]byte, st.ColumnLen(i))
	// The reader reads from memory, so this cannot fall short.
	if _, err := io.ReadFull(st.ColumnReader(i), b); err != nil && len(b) > 0 {
		return nil
	}
	return b
}

const jobColumns = "jid, fun, tgt_type, user, start, expiry, ended, own, detail"

// readJob reads jobColumns and, where it is the next column, load.
func readJob(st *sqlite.Stmt, withLoad bool) (Job, error) {
	j := Job{
		JID:         wire.JobID(st.ColumnText(0)),
		Fun:         st.ColumnText(1),
		TgtType:     st.ColumnText(2),
		User:        st.ColumnText(3),
		Start:       fromMicros(st.ColumnInt64(4)),
		Expiry:      fromMicros(st.ColumnInt64(5)),
		End:         fromMicros(st.ColumnInt64(6)),
		Unpublished: st.ColumnInt64(7) == 0,
	}
	b, err := unpack(column(st, 8))
	if err != nil {
		return Job{}, fmt.Errorf("arguments of job %s: %w", j.JID, err)
	}
	detail, err := wire.DecodeMap(b, wire.Local, stored)
	if err != nil {
		return Job{}, fmt.Errorf("arguments of job %s: %w", j.JID, err)
	}
	j.Arg, j.Metadata = detail.List("arg"), detail.Map("metadata")
	j.Tgt, _ = detail.Get("tgt")
	if !withLoad {
		return j, nil
	}
	if j.Load, err = unpack(column(st, 9)); err != nil {
		return Job{}, fmt.Errorf("load of job %s: %w", j.JID, err)
	}
	return j, nil
}

// Job implements Store.
func (s *SQLite) Job(ctx context.Context, jid wire.JobID) (j Job, err error) {
	err = s.quick.do(ctx, false, func(c *sqlite.Conn) error {
		found := ErrUnknown
		err := queryRows(c, func(st *sqlite.Stmt) error {
			j, found = readJob(st, true)
			return nil
		}, "SELECT "+jobColumns+", load FROM jobs WHERE jid = ?", string(jid))
		return errors.Join(err, found)
	})
	return j, wrap("job", jid, s.note(err))
}

const targetColumns = `t.minion, t.state, t.queued_until, t.acked, t.running, t.alive, t.given_up,
	EXISTS (SELECT 1 FROM returns r WHERE r.jid = t.jid AND r.minion = t.minion)`

func readTarget(st *sqlite.Stmt) Target {
	return Target{
		Minion:       wire.MinionID(st.ColumnText(0)),
		State:        TargetState(st.ColumnInt64(1)),
		QueuedUntil:  fromMicros(st.ColumnInt64(2)),
		AckedAt:      fromMicros(st.ColumnInt64(3)),
		RunningSince: fromMicros(st.ColumnInt64(4)),
		LastAlive:    fromMicros(st.ColumnInt64(5)),
		GivenUpAt:    fromMicros(st.ColumnInt64(6)),
		Returned:     st.ColumnInt64(7) != 0,
	}
}

// Targets implements Store.
func (s *SQLite) Targets(ctx context.Context, jid wire.JobID) (ts []Target, err error) {
	err = s.quick.do(ctx, false, func(c *sqlite.Conn) error {
		return queryRows(c, func(st *sqlite.Stmt) error {
			ts = append(ts, readTarget(st))
			return nil
		}, "SELECT "+targetColumns+" FROM targets t WHERE t.jid = ? ORDER BY t.minion", string(jid))
	})
	if err != nil {
		return nil, wrap("targets of job", jid, s.note(err))
	}
	return ts, nil
}

// Target implements Store.
func (s *SQLite) Target(ctx context.Context, jid wire.JobID, id wire.MinionID) (t Target, err error) {
	err = s.quick.do(ctx, false, func(c *sqlite.Conn) error {
		found := ErrUnknown
		err := queryRows(c, func(st *sqlite.Stmt) error {
			t, found = readTarget(st), nil
			return nil
		}, "SELECT "+targetColumns+" FROM targets t WHERE t.jid = ? AND t.minion = ?", string(jid), string(id))
		return errors.Join(err, found)
	})
	return t, wrap("target "+string(id)+" of job", jid, s.note(err))
}

const returnColumns = `r.jid, r.minion, r.fun, r.retcode, r.success, r.received, r.load, b.data
	FROM returns r LEFT JOIN blobs b ON b.id = r.blob AND r.blob <> 0`

func readReturn(st *sqlite.Stmt) (Return, error) {
	r := Return{
		JID:        wire.JobID(st.ColumnText(0)),
		Minion:     wire.MinionID(st.ColumnText(1)),
		Fun:        st.ColumnText(2),
		Retcode:    st.ColumnInt64(3),
		Success:    st.ColumnBool(4),
		ReceivedAt: fromMicros(st.ColumnInt64(5)),
	}
	col := 6
	if st.ColumnIsNull(6) {
		col = 7
	}
	var err error
	if r.Load, err = unpack(column(st, col)); err != nil {
		return Return{}, fmt.Errorf("return of %s to job %s: %w", r.Minion, r.JID, err)
	}
	return r, nil
}

// Return implements Store.
func (s *SQLite) Return(ctx context.Context, jid wire.JobID, id wire.MinionID) (r Return, err error) {
	err = s.quick.do(ctx, false, func(c *sqlite.Conn) error {
		found := ErrUnknown
		err := queryRows(c, func(st *sqlite.Stmt) error {
			r, found = readReturn(st)
			return nil
		}, "SELECT "+returnColumns+" WHERE r.jid = ? AND r.minion = ?", string(jid), string(id))
		return errors.Join(err, found)
	})
	return r, wrap("return of "+string(id)+" to job", jid, s.note(err))
}

// A long sequence is read in pages, so that no connection is held while the caller
// works: at most pageRows rows, and no further row once pageBytes are reached.
const (
	pageRows  = 512
	pageBytes = 4 << 20
)

// errPage ends the reading of a page.
var errPage = errors.New("page is full")

// pages yields rows page by page. read gets the last row of the page before, nil
// for the first, and calls add for each row; size is a row's in bytes.
func pages[T any](read func(last *T, add func(row T, size int) error) error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var last *T
		for {
			var page []T
			bytes := 0
			err := read(last, func(row T, size int) error {
				page = append(page, row)
				bytes += size
				if len(page) == pageRows || bytes >= pageBytes {
					return errPage
				}
				return nil
			})
			for i := range page {
				if !yield(page[i], nil) {
					return
				}
			}
			if err == nil {
				return
			}
			if !errors.Is(err, errPage) {
				var none T
				yield(none, err)
				return
			}
			last = &page[len(page)-1]
		}
	}
}

const returnsQuery = "SELECT " + returnColumns + " WHERE r.jid = ? AND r.minion > ? ORDER BY r.minion"

// Returns implements Store.
func (s *SQLite) Returns(ctx context.Context, jid wire.JobID) iter.Seq2[Return, error] {
	return pages(func(last *Return, add func(Return, int) error) error {
		after := ""
		if last != nil {
			after = string(last.Minion)
		}
		err := s.quick.do(ctx, false, func(c *sqlite.Conn) error {
			return queryRows(c, func(st *sqlite.Stmt) error {
				r, err := readReturn(st)
				if err != nil {
					return err
				}
				return add(r, len(r.Load))
			}, returnsQuery, string(jid), after)
		})
		return wrap("returns of job", jid, s.note(err))
	})
}

// The few jobs that can still be fetched are looked at one by one: left to itself
// SQLite would go through all targets.
var missedQuery = "SELECT " + qualified("j", jobColumns) + `, j.load
	FROM jobs j INDEXED BY jobs_until CROSS JOIN targets t ON t.jid = j.jid AND t.minion = ?1
	WHERE j.until > ?2 AND j.until > 0 AND t.acked = 0
		AND (t.state = 1 AND j.expiry > ?2 OR t.state = 3 AND t.queued_until > ?2) -- Expected, Queued
		AND NOT EXISTS (SELECT 1 FROM returns r WHERE r.jid = t.jid AND r.minion = t.minion)
	ORDER BY j.jid`

// Missed implements Store.
func (s *SQLite) Missed(ctx context.Context, id wire.MinionID, now time.Time) (js []Job, err error) {
	err = s.quick.do(ctx, false, func(c *sqlite.Conn) error {
		return queryRows(c, func(st *sqlite.Stmt) error {
			j, err := readJob(st, true)
			js = append(js, j)
			return err
		}, missedQuery, string(id), micros(now))
	})
	if err != nil {
		return nil, fmt.Errorf("missed jobs of %s: %w", id, s.note(err))
	}
	return js, nil
}
