package jobs

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"zombiezen.com/go/sqlite"

	"github.com/gosalt/gosalt/protocol/wire"
)

// qualified puts a table's name before each of its columns.
func qualified(table, columns string) string {
	return table + "." + strings.ReplaceAll(columns, ", ", ", "+table+".")
}

// condition collects the WHERE part of a search.
type condition struct {
	terms []string
	args  []any
}

func (c *condition) add(term string, args ...any) {
	c.terms = append(c.terms, term)
	c.args = append(c.args, args...)
}

// anyOf adds the same term for each glob, joined with OR.
func (c *condition) anyOf(term string, globs []string, negate bool) {
	var terms []string
	for _, g := range globs {
		terms = append(terms, term)
		c.args = append(c.args, toGlob(g))
	}
	if len(terms) == 0 {
		return
	}
	all := "(" + strings.Join(terms, " OR ") + ")"
	if negate {
		all = "NOT " + all
	}
	c.terms = append(c.terms, all)
}

func (c *condition) where() string {
	if len(c.terms) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(c.terms, " AND ")
}

// toGlob turns a glob of Python's fnmatch into one of SQLite's, which differ in
// how a set is negated and in a bracket that is not closed.
func toGlob(g string) string {
	var b strings.Builder
	for i := 0; i < len(g); i++ {
		if g[i] != '[' {
			b.WriteByte(g[i])
			continue
		}
		end := i + 1
		if end < len(g) && g[end] == '!' {
			end++
		}
		if end < len(g) && g[end] == ']' {
			end++
		}
		n := strings.IndexByte(g[min(end, len(g)):], ']')
		if n < 0 {
			b.WriteString("[[]")
			continue
		}
		end += n
		set := g[i+1 : end]
		switch {
		case set[0] == '!':
			set = "^" + set[1:]
		case set[0] == '^' && len(set) > 1:
			set = set[1:] + "^"
		}
		if set == "^" && g[i+1] == '^' { // a lone ^ is itself, not a negation
			b.WriteByte('^')
		} else {
			b.WriteString("[" + set + "]")
		}
		i = end
	}
	return b.String()
}

func searchQuery(where string) string {
	return "SELECT " + qualified("j", jobColumns) + " FROM jobs j" + where + " ORDER BY j.start DESC, j.jid DESC"
}

// Search implements Store.
func (s *SQLite) Search(ctx context.Context, f Filter) ([]Job, error) {
	var cond condition
	cond.anyOf("j.fun GLOB ?", f.Fun, false)
	cond.anyOf("j.fun GLOB ?", f.NotFun, true)
	cond.anyOf("EXISTS (SELECT 1 FROM json_each(j.tgt) WHERE value GLOB ?)", f.Target, false)
	if f.Minion != "" {
		cond.add("EXISTS (SELECT 1 FROM targets t WHERE t.jid = j.jid AND t.minion = ?)", string(f.Minion))
	}
	if f.User != "" {
		cond.add("j.user = ?", f.User)
	}
	if !f.From.IsZero() {
		cond.add("j.start >= ?", micros(f.From))
	}
	if !f.To.IsZero() {
		cond.add("j.start <= ?", micros(f.To))
	}
	var found []Job
	err := s.scan.do(ctx, true, func(c *sqlite.Conn) error {
		return queryRows(c, func(st *sqlite.Stmt) error {
			j, err := readJob(st, false)
			if err != nil {
				return err
			}
			if f.Metadata == nil || sharesPair(j.Metadata, f.Metadata) {
				found = append(found, j)
			}
			if f.Limit > 0 && len(found) == f.Limit {
				return errPage
			}
			return nil
		}, searchQuery(cond.where()), cond.args...)
	})
	if err != nil && !errors.Is(err, errPage) {
		return nil, fmt.Errorf("search jobs: %w", s.note(err))
	}
	return found, nil
}

// sharesPair tells whether one of the wanted pairs is in a job's metadata.
func sharesPair(have, want *wire.Map) bool {
	for k, v := range want.Strings() {
		if h, ok := have.Get(k); ok && reflect.DeepEqual(plain(h), plain(v)) {
			return true
		}
	}
	return false
}

// plain is a value without the order of its maps, for comparing.
func plain(v any) any {
	switch v := v.(type) {
	case *wire.Map:
		m := map[any]any{}
		for k, e := range v.All() {
			m[k] = plain(e)
		}
		return m
	case []any:
		l := make([]any, len(v))
		for i, e := range v {
			l[i] = plain(e)
		}
		return l
	case []byte:
		return string(v)
	}
	return v
}

// Stats implements Store.
func (s *SQLite) Stats(ctx context.Context) (n Stats, err error) {
	err = s.scan.do(ctx, true, func(c *sqlite.Conn) error {
		err := queryRows(c, func(st *sqlite.Stmt) error {
			n.Jobs, n.Returns, n.Minions = st.ColumnInt64(0), st.ColumnInt64(1), st.ColumnInt64(2)
			return nil
		}, "SELECT (SELECT count(*) FROM jobs), (SELECT count(*) FROM returns), (SELECT count(DISTINCT id) FROM minion_data)")
		if err != nil {
			return err
		}
		n.Bytes, err = usedBytes(c)
		return err
	})
	if err != nil {
		return Stats{}, fmt.Errorf("job store statistics: %w", s.note(err))
	}
	return n, nil
}

// usedBytes is the size of the pages in use.
func usedBytes(c *sqlite.Conn) (n int64, err error) {
	err = queryRows(c, func(st *sqlite.Stmt) error {
		n = (st.ColumnInt64(0) - st.ColumnInt64(1)) * st.ColumnInt64(2)
		return nil
	}, "SELECT page_count, freelist_count, page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size")
	return n, err
}
