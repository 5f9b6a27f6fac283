package jobs

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"zombiezen.com/go/sqlite"

	"github.com/gosalt/gosalt/protocol/wire"
)

// Kinds of minion_data. The numbers are stored: only append.
const (
	kindGrains = 1
	kindPillar = 2
	kindMine   = 3
)

// SetMinionData implements Store.
func (s *SQLite) SetMinionData(ctx context.Context, d MinionData) error {
	if _, err := wire.ParseMinionID(string(d.ID)); err != nil {
		return fmt.Errorf("store minion data: %w", err)
	}
	type field struct {
		kind int64
		data []byte
	}
	var fields []field
	bytes := 0
	for kind, b := range map[int64][]byte{kindGrains: d.Grains, kindPillar: d.Pillar, kindMine: d.Mine} {
		if b == nil {
			continue
		}
		f := field{kind, nil}
		if len(b) > 0 {
			f.data = pack(b)
		}
		fields = append(fields, f)
		bytes += len(f.data)
	}
	err := s.write(ctx, len(fields), bytes, func(c *sqlite.Conn) error {
		for _, f := range fields {
			var err error
			if f.data == nil {
				err = exec(c, "DELETE FROM minion_data WHERE kind = ? AND id = ?", f.kind, string(d.ID))
			} else {
				err = exec(c, "INSERT OR REPLACE INTO minion_data (kind, id, updated, data) VALUES (?, ?, ?, ?)", f.kind, string(d.ID), micros(d.Updated), f.data)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("store data of minion %s: %w", d.ID, err)
	}
	return nil
}

// addKind puts one row of minion_data (kind, updated, data) into d.
func (d *MinionData) addKind(st *sqlite.Stmt) error {
	b, err := unpack(column(st, 2))
	if err != nil {
		return fmt.Errorf("data of minion %s: %w", d.ID, err)
	}
	switch st.ColumnInt64(0) {
	case kindGrains:
		d.Grains = b
	case kindPillar:
		d.Pillar = b
	case kindMine:
		d.Mine = b
	}
	if t := fromMicros(st.ColumnInt64(1)); t.After(d.Updated) {
		d.Updated = t
	}
	return nil
}

func readMinion(c *sqlite.Conn, id wire.MinionID) (MinionData, error) {
	d := MinionData{ID: id}
	found := ErrUnknown
	err := queryRows(c, func(st *sqlite.Stmt) error {
		found = nil
		return d.addKind(st)
	}, "SELECT kind, updated, data FROM minion_data WHERE kind IN (1, 2, 3) AND id = ?", string(id))
	return d, errors.Join(err, found)
}

// MinionData implements Store.
func (s *SQLite) MinionData(ctx context.Context, id wire.MinionID) (d MinionData, err error) {
	err = s.quick.do(ctx, false, func(c *sqlite.Conn) error {
		d, err = readMinion(c, id)
		return err
	})
	if err != nil {
		return MinionData{}, fmt.Errorf("data of minion %s: %w", id, s.note(err))
	}
	return d, nil
}

// AllMinionData implements Store.
func (s *SQLite) AllMinionData(ctx context.Context) iter.Seq2[MinionData, error] {
	return pages(func(last *MinionData, add func(MinionData, int) error) error {
		after := ""
		if last != nil {
			after = string(last.ID)
		}
		return s.note(s.scan.do(ctx, true, func(c *sqlite.Conn) error {
			var ids []wire.MinionID
			err := queryRows(c, func(st *sqlite.Stmt) error {
				ids = append(ids, wire.MinionID(st.ColumnText(0)))
				return nil
			}, `SELECT id FROM minion_data WHERE kind = 1 AND id > ?1
				UNION SELECT id FROM minion_data WHERE kind = 2 AND id > ?1
				UNION SELECT id FROM minion_data WHERE kind = 3 AND id > ?1 ORDER BY id LIMIT ?2`, after, int64(pageRows))
			if err != nil {
				return err
			}
			for _, id := range ids {
				d, err := readMinion(c, id)
				if err != nil {
					return err
				}
				if err := add(d, len(d.Grains)+len(d.Pillar)+len(d.Mine)); err != nil {
					return err
				}
			}
			return nil
		}))
	})
}

// Mines implements Store.
func (s *SQLite) Mines(ctx context.Context) iter.Seq2[MinionData, error] {
	return pages(func(last *MinionData, add func(MinionData, int) error) error {
		after := ""
		if last != nil {
			after = string(last.ID)
		}
		return s.note(s.scan.do(ctx, true, func(c *sqlite.Conn) error {
			return queryRows(c, func(st *sqlite.Stmt) error {
				d := MinionData{ID: wire.MinionID(st.ColumnText(3))}
				if err := d.addKind(st); err != nil {
					return err
				}
				return add(d, len(d.Mine))
			}, "SELECT kind, updated, data, id FROM minion_data WHERE kind = 3 AND id > ? ORDER BY id", after)
		}))
	})
}

// SetPresence implements Store.
func (s *SQLite) SetPresence(ctx context.Context, p []Presence) error {
	if len(p) == 0 {
		return nil
	}
	for _, p := range p {
		if _, err := wire.ParseMinionID(string(p.ID)); err != nil {
			return fmt.Errorf("store presence: %w", err)
		}
	}
	err := s.write(ctx, len(p), 0, func(c *sqlite.Conn) error {
		for _, p := range p {
			err := exec(c, "INSERT OR REPLACE INTO presence (id, seen, connected, lost) VALUES (?, ?, ?, ?)",
				string(p.ID), micros(p.LastSeen), micros(p.ConnectedSince), p.Lost)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("store presence: %w", err)
	}
	return nil
}

func readPresence(st *sqlite.Stmt) Presence {
	return Presence{
		ID:             wire.MinionID(st.ColumnText(0)),
		LastSeen:       fromMicros(st.ColumnInt64(1)),
		ConnectedSince: fromMicros(st.ColumnInt64(2)),
		Lost:           st.ColumnText(3),
	}
}

// Presence implements Store.
func (s *SQLite) Presence(ctx context.Context, id wire.MinionID) (p Presence, err error) {
	err = s.quick.do(ctx, false, func(c *sqlite.Conn) error {
		found := ErrUnknown
		err := queryRows(c, func(st *sqlite.Stmt) error {
			p, found = readPresence(st), nil
			return nil
		}, "SELECT id, seen, connected, lost FROM presence WHERE id = ?", string(id))
		return errors.Join(err, found)
	})
	if err != nil {
		return Presence{}, fmt.Errorf("presence of minion %s: %w", id, s.note(err))
	}
	return p, nil
}

// AllPresence implements Store.
func (s *SQLite) AllPresence(ctx context.Context) iter.Seq2[Presence, error] {
	return pages(func(last *Presence, add func(Presence, int) error) error {
		after := ""
		if last != nil {
			after = string(last.ID)
		}
		return s.note(s.scan.do(ctx, true, func(c *sqlite.Conn) error {
			return queryRows(c, func(st *sqlite.Stmt) error {
				return add(readPresence(st), 100)
			}, "SELECT id, seen, connected, lost FROM presence WHERE id > ? ORDER BY id", after)
		}))
	})
}

// ForgetMinion implements Store.
func (s *SQLite) ForgetMinion(ctx context.Context, id wire.MinionID) error {
	err := s.write(ctx, 4, 0, func(c *sqlite.Conn) error {
		if err := exec(c, "DELETE FROM minion_data WHERE kind IN (1, 2, 3) AND id = ?", string(id)); err != nil {
			return err
		}
		return exec(c, "DELETE FROM presence WHERE id = ?", string(id))
	})
	if err != nil {
		return fmt.Errorf("forget minion %s: %w", id, err)
	}
	return nil
}
