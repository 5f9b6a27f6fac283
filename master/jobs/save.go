package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/gosalt/gosalt/protocol/wire"
)

// micros is a time as it is stored; the zero time is 0.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// fromMicros is the reverse of micros, in UTC.
func fromMicros(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}

// jobRow is a job as it is stored.
type jobRow struct {
	Job
	tgts         string
	until        int64
	detail, load []byte
}

func packJob(j Job, targets []Target) (r jobRow, err error) {
	r.Job = j
	if _, err := wire.ParseJobID(string(j.JID)); err != nil {
		return r, err
	}
	if r.tgts, err = targetTexts(j.Tgt); err != nil {
		return r, fmt.Errorf("target of job %s: %w", j.JID, err)
	}
	detail := wire.NewMap("arg", j.Arg, "tgt", j.Tgt)
	if j.Metadata != nil {
		detail.Set("metadata", j.Metadata)
	}
	b, err := wire.Encode(detail, wire.Local)
	if err != nil {
		return r, fmt.Errorf("arguments of job %s: %w", j.JID, err)
	}
	r.detail, r.load = pack(b), pack(j.Load)
	r.until = micros(j.Expiry)
	for _, t := range targets {
		if t.State == Queued {
			r.until = max(r.until, micros(t.QueuedUntil))
		}
	}
	return r, nil
}

// targetTexts is the target expression, or the members of a list, as a JSON list:
// what a search looks through.
func targetTexts(tgt any) (string, error) {
	var texts []string
	switch tgt := tgt.(type) {
	case []any:
		for _, m := range tgt {
			if s, ok := m.(string); ok {
				texts = append(texts, s)
			}
		}
	case []string:
		texts = tgt
	case string:
		texts = []string{tgt}
	case nil:
	default:
		return "", fmt.Errorf("it is a %T, text or a list expected", tgt)
	}
	b, err := json.Marshal(append([]string{}, texts...))
	return string(b), err
}

func checkTargets(targets []Target) error {
	for _, t := range targets {
		if _, err := wire.ParseMinionID(string(t.Minion)); err != nil {
			return err
		}
		if t.State < Expected || t.State > Queued {
			return fmt.Errorf("target %s has state %d: Expected, Absent or Queued expected", t.Minion, t.State)
		}
	}
	return nil
}

// SaveJob implements Store.
func (s *SQLite) SaveJob(ctx context.Context, j Job, targets []Target) error {
	row, err := packJob(j, targets)
	if err != nil {
		return fmt.Errorf("save job: %w", err)
	}
	if err := checkTargets(targets); err != nil {
		return fmt.Errorf("save job %s: %w", j.JID, err)
	}
	err = s.write(ctx, 1+len(targets), len(row.detail)+len(row.load)+100*len(targets), func(c *sqlite.Conn) error {
		if used, err := jidUsed(c, j.JID); err != nil {
			return err
		} else if used {
			return &refusal{ErrExists}
		}
		if err := insertJob(c, row, true); err != nil {
			return err
		}
		for _, t := range targets {
			if err := insertTarget(c, j.JID, t); err != nil {
				return err
			}
		}
		return nil
	})
	return wrap("save job", j.JID, err)
}

// wrap says which job an error is about.
func wrap(what string, jid wire.JobID, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", what, jid, err)
}

// jidUsed tells whether there is a job of that id, or one that is being purged.
func jidUsed(c *sqlite.Conn, jid wire.JobID) (bool, error) {
	return exists(c, "SELECT 1 FROM jobs WHERE jid = ?1 UNION ALL SELECT 1 FROM trash WHERE jid = ?1", string(jid))
}

func insertJob(c *sqlite.Conn, r jobRow, own bool) error {
	return exec(c, `INSERT INTO jobs (jid, fun, tgt, tgt_type, user, start, expiry, until, ended, own, detail, load)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		string(r.JID), r.Fun, r.tgts, r.TgtType, r.User, micros(r.Start), micros(r.Expiry), r.until, micros(r.End), own, r.detail, r.load)
}

// insertTarget adds a target. Of one that is there already it keeps what is known,
// but lets it become one that may still get the job.
func insertTarget(c *sqlite.Conn, jid wire.JobID, t Target) error {
	return exec(c, `INSERT INTO targets (jid, minion, state, queued_until, acked, running, alive) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (jid, minion) DO UPDATE SET state = excluded.state, queued_until = excluded.queued_until
		WHERE state = 2`, // Absent
		string(jid), string(t.Minion), int64(t.State), micros(t.QueuedUntil), micros(t.AckedAt), micros(t.RunningSince), micros(t.LastAlive))
}

// AddTargets implements Store.
func (s *SQLite) AddTargets(ctx context.Context, jid wire.JobID, targets []Target) error {
	if err := checkTargets(targets); err != nil {
		return wrap("add targets to job", jid, err)
	}
	var until int64
	for _, t := range targets {
		if t.State == Queued {
			until = max(until, micros(t.QueuedUntil))
		}
	}
	err := s.write(ctx, len(targets), 100*len(targets), func(c *sqlite.Conn) error {
		if known, err := exists(c, "SELECT 1 FROM jobs WHERE jid = ?", string(jid)); err != nil {
			return err
		} else if !known {
			return &refusal{ErrUnknown}
		}
		for _, t := range targets {
			if err := insertTarget(c, jid, t); err != nil {
				return err
			}
		}
		return exec(c, "UPDATE jobs SET until = ?2 WHERE jid = ?1 AND until < ?2", string(jid), until)
	})
	return wrap("add targets to job", jid, err)
}

// Ack implements Store.
func (s *SQLite) Ack(ctx context.Context, jid wire.JobID, id wire.MinionID, at time.Time) error {
	err := s.write(ctx, 1, 0, func(c *sqlite.Conn) error {
		if err := exec(c, "UPDATE targets SET acked = ?3 WHERE jid = ?1 AND minion = ?2 AND acked = 0", string(jid), string(id), micros(at)); err != nil {
			return err
		}
		if c.Changes() > 0 {
			return nil
		}
		if err := isTarget(c, jid, id); err != nil {
			return err
		}
		return nil
	})
	return wrap("acknowledge job", jid, err)
}

// isTarget returns a refusal for a job that is not known or does not target a minion.
func isTarget(c *sqlite.Conn, jid wire.JobID, id wire.MinionID) error {
	if yes, err := exists(c, "SELECT 1 FROM targets WHERE jid = ? AND minion = ?", string(jid), string(id)); yes || err != nil {
		return err
	}
	if known, err := exists(c, "SELECT 1 FROM jobs WHERE jid = ?", string(jid)); err != nil {
		return err
	} else if !known {
		return &refusal{ErrUnknown}
	}
	return &refusal{fmt.Errorf("%s: %w", id, ErrNotTargeted)}
}

// Alive implements Store.
func (s *SQLite) Alive(ctx context.Context, id wire.MinionID, running []wire.JobID, at time.Time) error {
	if len(running) == 0 {
		return nil
	}
	err := s.write(ctx, len(running), 0, func(c *sqlite.Conn) error {
		for _, jid := range running {
			err := exec(c, `UPDATE targets SET alive = max(alive, ?3), running = CASE running WHEN 0 THEN ?3 ELSE running END
				WHERE jid = ?1 AND minion = ?2`, string(jid), string(id), micros(at))
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("note running jobs of %s: %w", id, err)
	}
	return nil
}

// GiveUp implements Store.
func (s *SQLite) GiveUp(ctx context.Context, jid wire.JobID, ids []wire.MinionID, at time.Time) error {
	if len(ids) == 0 {
		return nil
	}
	err := s.write(ctx, len(ids), 0, func(c *sqlite.Conn) error {
		for _, id := range ids {
			err := exec(c, `UPDATE targets SET given_up = ?3 WHERE jid = ?1 AND minion = ?2 AND given_up = 0
				AND NOT EXISTS (SELECT 1 FROM returns r WHERE r.jid = ?1 AND r.minion = ?2)`, string(jid), string(id), micros(at))
			if err != nil {
				return err
			}
		}
		return nil
	})
	return wrap("note the missing returns of job", jid, err)
}

// Withdraw implements Store.
func (s *SQLite) Withdraw(ctx context.Context, jid wire.JobID) (ids []wire.MinionID, err error) {
	err = s.write(ctx, 1, 0, func(c *sqlite.Conn) error {
		ids = nil
		err := queryRows(c, func(st *sqlite.Stmt) error {
			ids = append(ids, wire.MinionID(st.ColumnText(0)))
			return nil
		}, `SELECT minion FROM targets t WHERE jid = ? AND state = 3 AND acked = 0
			AND NOT EXISTS (SELECT 1 FROM returns r WHERE r.jid = t.jid AND r.minion = t.minion) ORDER BY minion`, string(jid))
		if err != nil {
			return err
		}
		for _, id := range ids {
			if err := exec(c, "UPDATE targets SET state = 2, queued_until = 0 WHERE jid = ? AND minion = ?", string(jid), string(id)); err != nil {
				return err
			}
		}
		return nil
	})
	return ids, wrap("withdraw job", jid, err)
}

// SetEnd implements Store.
func (s *SQLite) SetEnd(ctx context.Context, jid wire.JobID, at time.Time) error {
	err := s.write(ctx, 1, 0, func(c *sqlite.Conn) error {
		if err := exec(c, "UPDATE jobs SET ended = ?2 WHERE jid = ?1", string(jid), micros(at)); err != nil {
			return err
		}
		if c.Changes() == 0 {
			return &refusal{ErrUnknown}
		}
		return nil
	})
	return wrap("note the end of job", jid, err)
}

// PutReturn implements Store. A return to a job that Purge is just removing goes
// with it.
func (s *SQLite) PutReturn(ctx context.Context, r Return) (dup bool, err error) {
	if _, err := wire.ParseMinionID(string(r.Minion)); err != nil {
		return false, fmt.Errorf("store return: %w", err)
	}
	if _, err := wire.ParseJobID(string(r.JID)); err != nil {
		return false, fmt.Errorf("store return: %w", err)
	}
	load := pack(r.Load)
	err = s.write(ctx, 1, len(load), func(c *sqlite.Conn) error {
		dup = false
		targeted, err := exists(c, "SELECT 1 FROM targets WHERE jid = ? AND minion = ?", string(r.JID), string(r.Minion))
		if err != nil {
			return err
		}
		if !targeted {
			if dropped, err := admit(c, r); dropped || err != nil {
				return err
			}
		}
		dup, err = insertReturn(c, r, load)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("store return of %s to job %s: %w", r.Minion, r.JID, err)
	}
	return dup, nil
}

// madeJob is the job that a return to an unknown job stands for.
func (r Return) madeJob() Job {
	j := Job{Fun: r.Fun, User: r.User, Tgt: []any{string(r.Minion)}, TgtType: "list", Start: r.ReceivedAt}
	if r.Job != nil {
		j = *r.Job
	}
	j.JID, j.Unpublished = r.JID, true
	return j
}

// admit makes the minion of a return a target of its job, where that was not
// published, or refuses. dropped is true for a job that is being purged.
func admit(c *sqlite.Conn, r Return) (dropped bool, err error) {
	err = isTarget(c, r.JID, r.Minion)
	switch {
	case errors.Is(err, ErrUnknown):
		if purged, err := exists(c, "SELECT 1 FROM trash WHERE jid = ?", string(r.JID)); purged || err != nil {
			return purged, err
		}
		made, err := packJob(r.madeJob(), nil)
		if err != nil {
			return false, &refusal{err}
		}
		if err := insertJob(c, made, false); err != nil {
			return false, err
		}
	case errors.Is(err, ErrNotTargeted):
		if foreign, err := exists(c, "SELECT 1 FROM jobs WHERE jid = ? AND own = 0", string(r.JID)); err != nil {
			return false, err
		} else if !foreign {
			return false, &refusal{ErrNotTargeted}
		}
	case err != nil:
		return false, err
	}
	return false, insertTarget(c, r.JID, Target{Minion: r.Minion, State: Expected})
}

func insertReturn(c *sqlite.Conn, r Return, load []byte) (dup bool, err error) {
	var blob int64
	inline := load
	if len(load) > inlineMax {
		if dup, err := exists(c, "SELECT 1 FROM returns WHERE jid = ? AND minion = ?", string(r.JID), string(r.Minion)); dup || err != nil {
			return dup, err
		}
		if err := exec(c, "INSERT INTO blobs (data) VALUES (?)", load); err != nil {
			return false, err
		}
		blob, inline = c.LastInsertRowID(), nil
	}
	args := []any{string(r.JID), string(r.Minion), r.Fun, r.Retcode, r.Success, micros(r.ReceivedAt), blob, nil}
	if inline != nil {
		args[7] = inline
	}
	// One row and OR IGNORE: SQLite then needs no journal of the statement, which
	// would take several times as long as the rest.
	if err := exec(c, `INSERT OR IGNORE INTO returns (jid, minion, fun, retcode, success, received, blob, load)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?)`, args...); err != nil {
		return false, err
	}
	return c.Changes() == 0, nil
}
