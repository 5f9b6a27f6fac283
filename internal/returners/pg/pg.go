// Package pg holds the returners that store results in PostgreSQL, in the tables of
// Salt's: postgres, which keeps JSON as text, and pgjsonb, which keeps it as jsonb.
// The statements that make the tables are in Salt's documentation of them, and in
// docs/returners.md.
package pg

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gosalt/gosalt/internal/returners"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Set is the returners of this package.
func Set() returners.Set { return returners.Set{"postgres": openPostgres, "pgjsonb": openJSONB} }

type store struct {
	cfg   *pgx.ConnConfig
	id    string
	again string // what becomes of a job that is there already
	c     *pgx.Conn
}

// openPostgres makes the returner postgres. Options: returner.postgres.host
// (localhost), .port (5432), .user (salt), .passwd (salt), .db (salt).
func openPostgres(o returners.Options, env returners.Env) (returners.Returner, error) {
	return open(o, env, "returner.postgres", "passwd", "DO NOTHING")
}

// openJSONB makes the returner pgjsonb. Options: returner.pgjsonb.host (localhost),
// .port (5432), .user (salt), .pass (salt), .db (salt), .sslmode, .sslcert, .sslkey,
// .sslrootcert.
func openJSONB(o returners.Options, env returners.Env) (returners.Returner, error) {
	return open(o, env, "returner.pgjsonb", "pass", "DO UPDATE SET load = EXCLUDED.load")
}

func open(o returners.Options, env returners.Env, prefix, pass, again string) (*store, error) {
	port, err := o.Int(prefix, "port", 5432)
	if err != nil {
		return nil, err
	}
	var dsn strings.Builder
	set := func(k, v string) {
		if v != "" {
			fmt.Fprintf(&dsn, "%s='%s' ", k, strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(v))
		}
	}
	set("host", o.Text(prefix, "host", "localhost"))
	set("port", strconv.Itoa(port))
	set("user", o.Text(prefix, "user", "salt"))
	set("dbname", o.Text(prefix, "db", "salt"))
	for _, k := range []string{"sslmode", "sslcert", "sslkey", "sslrootcert"} {
		set(k, o.Text(prefix, k, ""))
	}
	set("connect_timeout", "10")
	cfg, err := pgx.ParseConfig(dsn.String())
	if err != nil {
		return nil, fmt.Errorf("options of %s: %w", prefix, err)
	}
	cfg.Password = o.Text(prefix, pass, "salt") // set here, no error can show it
	return &store{cfg: cfg, id: env.ID, again: again}, nil
}

func (s *store) Close() {
	if s.c != nil {
		s.c.Close(context.Background())
		s.c = nil
	}
}

func (s *store) conn(ctx context.Context) (*pgx.Conn, error) {
	if s.c != nil && s.c.IsClosed() {
		s.c = nil
	}
	if s.c == nil {
		c, err := pgx.ConnectConfig(ctx, s.cfg)
		if err != nil {
			return nil, fmt.Errorf("connect to PostgreSQL at %s:%d: %w", s.cfg.Host, s.cfg.Port, err)
		}
		s.c = c
	}
	return s.c, nil
}

func (s *store) Store(ctx context.Context, recs []returners.Record) (int, error) {
	c, err := s.conn(ctx)
	if err != nil {
		return 0, err
	}
	err = pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
		for _, r := range recs {
			if err := s.insert(ctx, tx, r); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		return len(recs), nil
	}
	if !permanent(err) {
		return 0, err
	}
	// One of them is the trouble: each by itself.
	for i, r := range recs {
		err := pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error { return s.insert(ctx, tx, r) })
		if permanent(err) && !returners.Refused(err) {
			err = returners.Refuse(err)
		}
		if err != nil {
			return i, err
		}
	}
	return len(recs), nil
}

// permanent tells whether an error is about what was to be stored: data that do not
// fit (class 22) or break a constraint (class 23).
func permanent(err error) bool {
	if returners.Refused(err) {
		return true
	}
	var e *pgconn.PgError
	return errors.As(err, &e) && (strings.HasPrefix(e.Code, "22") || strings.HasPrefix(e.Code, "23"))
}

// funLength is the width of the column fun in Salt's tables.
const funLength = 50

func (s *store) insert(ctx context.Context, tx pgx.Tx, r returners.Record) error {
	switch r.Kind {
	case returners.Event:
		data, _ := r.Data.Get("data")
		text, err := returners.JSON(data)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "INSERT INTO salt_events (tag, data, master_id) VALUES ($1, $2, $3)", r.Data.Text("tag"), text, s.id)
		return err
	case returners.Load:
		text, err := returners.JSON(r.Data)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "INSERT INTO jids (jid, load) VALUES ($1, $2) ON CONFLICT (jid) "+s.again, r.Data.Text("jid"), text)
		return err
	}
	full, err := returners.JSON(r.Data)
	if err != nil {
		return err
	}
	ret, _ := r.Data.Get("return")
	value, err := returners.JSON(ret)
	if err != nil {
		return err
	}
	jid, id := r.Data.Text("jid"), r.Data.Text("id")
	var there bool
	if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM salt_returns WHERE jid = $1 AND id = $2)", jid, id).Scan(&there); err != nil || there {
		return err
	}
	fun := returners.FunName(r.Data)
	for len(fun) > funLength {
		_, size := utf8.DecodeLastRuneInString(fun)
		fun = fun[:len(fun)-size]
	}
	_, err = tx.Exec(ctx, "INSERT INTO salt_returns (fun, jid, return, id, success, full_ret) VALUES ($1, $2, $3, $4, $5, $6)",
		fun, jid, value, id, strconv.FormatBool(r.Data.Bool("success")), full)
	return err
}

func (s *store) Load(ctx context.Context, jid string) (*wire.Map, error) {
	c, err := s.conn(ctx)
	if err != nil {
		return nil, err
	}
	var text string
	err = c.QueryRow(ctx, "SELECT load::text FROM jids WHERE jid = $1", jid).Scan(&text)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return returners.ParseMap(text)
}

func (s *store) Returns(ctx context.Context, jid string) (*wire.Map, error) {
	return s.pairs(ctx, "SELECT id, full_ret::text FROM salt_returns WHERE jid = $1 ORDER BY id", jid)
}

func (s *store) Jobs(ctx context.Context) (*wire.Map, error) {
	return s.pairs(ctx, "SELECT jid, load::text FROM jids ORDER BY jid")
}

// pairs are the rows of a query by their first column.
func (s *store) pairs(ctx context.Context, query string, args ...any) (*wire.Map, error) {
	c, err := s.conn(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := c.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := wire.NewMap()
	for rows.Next() {
		var key, text string
		if err := rows.Scan(&key, &text); err != nil {
			return nil, err
		}
		m, err := returners.ParseMap(text)
		if err != nil {
			return nil, fmt.Errorf("row of %s: %w", key, err)
		}
		out.Set(key, m)
	}
	return out, rows.Err()
}
