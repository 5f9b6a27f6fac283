package jobs

import (
	"context"
	"errors"
	"fmt"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// Group commit: as soon as the writer is free it takes all that is queued, up to
// these bounds, into one transaction, so that one write waits for nothing and many
// share one sync of the disk.
const (
	maxBatch      = 1000     // rows
	maxBatchBytes = 16 << 20 // of payload; bounds the -wal file
)

// op is one call's change. run may be called more than once: when a transaction
// fails, each of its ops is tried again in one of its own. An error that run itself
// decides on (a *refusal) leaves the transaction as it is, so run decides before it writes.
type op struct {
	ctx   context.Context
	rows  int
	bytes int
	run   func(*sqlite.Conn) error
	err   error
	done  chan struct{}
}

// refusal is an error of the contract (ErrExists, ...), not of the database.
type refusal struct{ err error }

func (r *refusal) Error() string { return r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

// write queues an op and waits until it is on the disk. The end of ctx is heeded
// until the op begins; from then on the result is waited for, so that an error
// always means that nothing was stored.
func (s *SQLite) write(ctx context.Context, rows, bytes int, run func(*sqlite.Conn) error) error {
	o := &op{ctx: ctx, rows: max(rows, 1), bytes: bytes, run: run, done: make(chan struct{})}
	select {
	case <-s.closing:
		return ErrClosed
	default:
	}
	select {
	case s.ops <- o:
	case <-ctx.Done():
		return ctx.Err()
	case <-s.closing:
		return ErrClosed
	}
	select {
	case <-o.done:
	case <-s.done:
		// The writer has ended; it either answered or will never see the op.
		select {
		case <-o.done:
		default:
			return ErrClosed
		}
	}
	var r *refusal
	if errors.As(o.err, &r) {
		return r.err
	}
	return s.note(o.err)
}

// writeLoop owns the writing connection.
func (s *SQLite) writeLoop(conn *sqlite.Conn) {
	defer close(s.done)
	defer func() {
		if err := conn.Close(); err != nil {
			s.log.Error("job store was not closed cleanly", "path", s.path, "err", err)
		}
	}()
	var batch []*op
	for {
		var first *op
		select {
		case first = <-s.ops:
		case <-s.closing:
			// What is queued by now is still stored.
			select {
			case first = <-s.ops:
			default:
				return
			}
		}
		batch = s.gather(append(batch[:0], first))
		commit(conn, batch)
		for i, o := range batch {
			close(o.done)
			batch[i] = nil
		}
	}
}

// gather adds to a batch what is queued by now.
func (s *SQLite) gather(batch []*op) []*op {
	rows, bytes := batch[0].rows, batch[0].bytes
	for rows < maxBatch && bytes < maxBatchBytes {
		select {
		case o := <-s.ops:
			batch = append(batch, o)
			rows += o.rows
			bytes += o.bytes
		default:
			return batch
		}
	}
	return batch
}

// commit stores a batch in one transaction or, should that fail, each op in its own,
// so that one op that cannot be stored does not take the others with it.
func commit(conn *sqlite.Conn, batch []*op) {
	err := transact(conn, batch)
	if err == nil {
		return
	}
	if len(batch) == 1 {
		batch[0].err = err
		return
	}
	for i := range batch {
		if err := transact(conn, batch[i:i+1]); err != nil {
			batch[i].err = err
		}
	}
}

// transact runs ops in one transaction. Refusals and ended contexts are noted in
// the op; any other error undoes everything and is returned.
func transact(conn *sqlite.Conn, batch []*op) error {
	if err := sqlitex.Execute(conn, "BEGIN IMMEDIATE", nil); err != nil {
		return err
	}
	err := runAll(conn, batch)
	if err == nil {
		err = sqlitex.Execute(conn, "COMMIT", nil)
	}
	// A full disk may have ended the transaction already.
	if err != nil && !conn.AutocommitEnabled() {
		if rerr := sqlitex.Execute(conn, "ROLLBACK", nil); rerr != nil {
			return errors.Join(err, rerr)
		}
	}
	return err
}

func runAll(conn *sqlite.Conn, batch []*op) error {
	for _, o := range batch {
		if o.err = o.ctx.Err(); o.err != nil {
			continue
		}
		err := runOne(conn, o)
		var r *refusal
		if errors.As(err, &r) {
			o.err = err
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// runOne turns a panic into an error: a mistake in one op must not end the writer.
func runOne(conn *sqlite.Conn, o *op) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic while storing: %v", p)
		}
	}()
	return o.run(conn)
}

// exec runs a statement to its end. Rows are passed over: a statement that is left
// at a row would hold its view of the file, and the next write would fail.
func exec(conn *sqlite.Conn, query string, args ...any) error {
	st, err := prepare(conn, query, args...)
	if err != nil {
		return err
	}
	for row := true; row && err == nil; {
		row, err = st.Step()
	}
	return err
}

// exists runs a statement and tells whether it returned a row.
func exists(conn *sqlite.Conn, query string, args ...any) (bool, error) {
	st, err := prepare(conn, query, args...)
	if err != nil {
		return false, err
	}
	row, err := st.Step()
	if err == nil && row {
		err = st.Reset()
	}
	return row, err
}

// queryRows runs a statement and calls f for each of its rows.
func queryRows(conn *sqlite.Conn, f func(*sqlite.Stmt) error, query string, args ...any) (err error) {
	st, err := prepare(conn, query, args...)
	if err != nil {
		return err
	}
	for {
		row, err := st.Step()
		if err != nil || !row {
			return err
		}
		if err := f(st); err != nil {
			return errors.Join(err, st.Reset())
		}
	}
}

// prepare takes a statement from the connection's cache and binds its parameters.
func prepare(conn *sqlite.Conn, query string, args ...any) (*sqlite.Stmt, error) {
	st, err := conn.Prepare(query)
	if err != nil {
		return nil, err
	}
	for i, a := range args {
		switch a := a.(type) {
		case string:
			st.BindText(i+1, a)
		case int64:
			st.BindInt64(i+1, a)
		case bool:
			st.BindBool(i+1, a)
		case []byte:
			st.BindBytes(i+1, a)
		case nil:
			st.BindNull(i + 1)
		default:
			return nil, fmt.Errorf("parameter %d of %q: %T cannot be stored", i+1, query, a)
		}
	}
	return st, nil
}
