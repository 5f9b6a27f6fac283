package inventory

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/gosalt/gosalt/internal/durable"
	"github.com/gosalt/gosalt/protocol/wire"
)

func crc(b []byte) uint32 { return crc32.ChecksumIEEE(b) }

// A Listing is how one listing of a source went.
type Listing struct {
	Source  string
	Kind    string
	Began   time.Time
	Took    time.Duration
	Listed  int
	Found   int
	Changed int
	Gone    int
	// Empty says that nothing came, without an error, where there was something before.
	Empty bool
	// Shared says that another process listed it while this one waited: the numbers are
	// not known.
	Shared bool
	Errors []*Error
}

// Map is the listing as data.
func (l *Listing) Map() *wire.Map {
	m := wire.NewMap("source", l.Source, "provider", l.Kind, "seconds", l.Took.Seconds())
	if l.Shared {
		m.Set("shared", true)
	} else {
		for _, kv := range []struct {
			k string
			n int
		}{{"listed", l.Listed}, {"found", l.Found}, {"changed", l.Changed}, {"gone", l.Gone}} {
			m.Set(kv.k, int64(kv.n))
		}
	}
	if len(l.Errors) > 0 {
		errs := []any{}
		for _, e := range l.Errors {
			errs = append(errs, e.Error())
		}
		m.Set("errors", errs)
	}
	if l.Empty {
		m.Set("warning", fmt.Sprintf("%s (%s) has no machines any more: %d are gone", l.Source, l.Kind, l.Gone))
	}
	return m
}

// Limits of one listing.
const (
	batch       = 500
	maxMachines = 1_000_000
	maxErrors   = 200
)

// flight is a listing that is being made, for all who want it.
type flight struct {
	done chan struct{}
	l    *Listing
	err  error
}

// Refresh lists a source now and stores what came. Who calls it while a listing is under
// way waits for that one. An error is of the cache; what was wrong with the source is in
// the Listing.
func (inv *Inventory) Refresh(ctx context.Context, name string) (*Listing, error) {
	s, err := inv.source(name)
	if err != nil {
		return nil, err
	}
	inv.mu.Lock()
	if inv.closed {
		inv.mu.Unlock()
		return nil, errors.New("the inventory is closed")
	}
	f := inv.flights[name]
	if f == nil {
		f = &flight{done: make(chan struct{})}
		inv.flights[name] = f
		inv.wg.Go(func() {
			f.l, f.err = inv.list(inv.ctx, s)
			inv.mu.Lock()
			delete(inv.flights, name)
			inv.mu.Unlock()
			close(f.done)
		})
	}
	inv.mu.Unlock()
	select {
	case <-f.done:
		return f.l, f.err
	case <-ctx.Done():
		return nil, fmt.Errorf("the source %s is still being listed: %w", name, ctx.Err())
	}
}

// RefreshAll lists all sources of a kind ("": all of them) now, and says which could not be
// listed whole.
func (inv *Inventory) RefreshAll(ctx context.Context, kind string) (wrong []string, err error) {
	for _, p := range inv.Problems() {
		wrong = append(wrong, p.Error())
	}
	list, err := inv.status(ctx, false)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	var errs []error
	for _, st := range list {
		if !st.Enabled || kind != "" && st.Kind != kind || !slices.Contains(inv.Sources(), st.Name) {
			continue
		}
		wg.Go(func() {
			l, err := inv.Refresh(ctx, st.Name)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, err)
				return
			}
			for _, e := range l.Errors {
				wrong = append(wrong, e.Error())
			}
		})
	}
	wg.Wait()
	slices.Sort(wrong)
	return wrong, errors.Join(errs...)
}

// list makes one listing, while no other process does.
func (inv *Inventory) list(ctx context.Context, s *source) (*Listing, error) {
	l := &Listing{Source: s.name, Kind: s.kind.Name, Began: time.Now()}
	release, waited, err := inv.lock(ctx, s.name)
	if err != nil {
		return nil, err
	}
	defer release()
	var before sourceRow
	if err := inv.store.read(ctx, func(c *sqlite.Conn) (err error) { before, err = inv.store.source(c, s.name); return err }); err != nil {
		return nil, err
	}
	if waited && before.tried.After(l.Began) && before.stamp == s.stamp {
		l.Shared = true
		return l, nil
	}
	began := time.Now()
	if !began.After(before.tried) { // the clock was set back
		began = before.tried.Add(time.Microsecond)
	}
	began = began.Truncate(time.Microsecond)
	var rows []row
	flush := func() error {
		changes, err := inv.store.put(s.name, began, rows)
		rows = rows[:0]
		if err != nil {
			return err
		}
		for _, ch := range changes {
			if ch.What == Found {
				l.Found++
			} else {
				l.Changed++
			}
			inv.tell(s, ch)
		}
		return nil
	}
	whole, err := inv.each(ctx, s, l, func(r row) error {
		rows = append(rows, r)
		if len(rows) < batch {
			return nil
		}
		return flush()
	})
	if err == nil {
		err = flush()
	}
	if err != nil {
		return nil, err
	}
	if err := inv.store.failed(s.name, l.Errors); err != nil {
		return nil, err
	}
	for whole {
		changes, err := inv.store.drop(s.name, began, batch)
		if err != nil {
			return nil, err
		}
		for _, ch := range changes {
			l.Gone++
			inv.tell(s, ch)
		}
		if len(changes) < batch {
			break
		}
	}
	l.Empty = whole && len(l.Errors) == 0 && l.Listed == 0 && l.Gone > 0
	l.Took = time.Since(l.Began)
	after := sourceRow{stamp: s.stamp, tried: began, listed: before.listed, took: l.Took}
	if len(l.Errors) == 0 {
		after.listed = began
	} else {
		after.fails = before.fails + 1
	}
	for _, e := range l.Errors {
		if e.Scope == "" || after.err == "" && !whole {
			after.reason, after.err = string(e.Reason), e.Error()
		}
	}
	after.next = time.Now().Add(pause(s.refresh, l.Errors, after.fails))
	return l, inv.store.finish(s.name, after)
}

// pause is how long a source is left alone: a tenth more or less than configured, so that
// many do not come at once, and longer and longer when it is throttled or cannot be asked.
func pause(refresh time.Duration, errs []*Error, fails int) time.Duration {
	d := refresh
	if d <= 0 {
		d = defaultRefresh
	}
	if len(errs) > 0 {
		slow := false
		for _, e := range errs {
			slow = slow || e.Reason == Throttled || e.Scope == ""
		}
		if slow {
			for range min(fails, 10) {
				d *= 2
			}
			d = min(d, max(maxBackoff, refresh))
		}
	}
	return time.Duration(float64(d) * (0.9 + 0.2*rand.Float64()))
}

// each has the source list itself and hands over what is well formed. whole is false where
// an error says that the source as a whole was not listed.
func (inv *Inventory) each(ctx context.Context, s *source, l *Listing, put func(row) error) (whole bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	whole = true
	fail := func(err error) {
		e := s.asError(err)
		whole = whole && e.Scope != ""
		switch {
		case len(l.Errors) < maxErrors:
			l.Errors = append(l.Errors, e)
		case !slices.ContainsFunc(l.Errors, func(o *Error) bool { return o.Scope == e.Scope }):
			whole = false // one more scope that failed, and that nothing says so of
		}
	}
	defer func() {
		if v := recover(); v != nil {
			inv.log.Error("a provider made the program panic: please report this", "source", s.name, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			fail(&Error{Call: "list", Reason: BadAnswer, Msg: fmt.Sprintf("internal error: %v", v)})
		}
	}()
	p, err := inv.provider(s)
	if err != nil {
		fail(err)
		return whole, nil
	}
	for m, merr := range p.List(ctx) {
		if merr != nil {
			fail(merr)
			continue
		}
		if err := m.Check(); err != nil {
			fail(&Error{Scope: m.Scope, Call: "list", Reason: BadAnswer, Msg: "a machine is left out: " + err.Error()})
			continue
		}
		if m.State == Gone {
			continue
		}
		if l.Listed++; l.Listed > maxMachines {
			fail(&Error{Call: "list", Reason: BadAnswer, Msg: fmt.Sprintf("it has more than %d machines: is a filter missing?", maxMachines)})
			break
		}
		r, err := inv.row(ctx, s, m)
		if err != nil {
			fail(&Error{Reason: BadConfig, Call: "name", Msg: m.ID + ": " + err.Error()})
			if ctx.Err() != nil || len(l.Errors) >= 3 { // the same for all of them
				break
			}
			continue
		}
		if err := put(r); err != nil {
			return whole, err
		}
	}
	if e := Interrupted(ctx, Error{Call: "list", Msg: fmt.Sprintf("listing it took longer than %v", s.timeout), Hint: "timeout says how long it may take"}); e != nil && whole {
		fail(e)
	}
	return whole, nil
}

// row makes a row of a machine.
func (inv *Inventory) row(ctx context.Context, s *source, m Machine) (r row, err error) {
	e := Entry{Machine: m, Source: s.name, Kind: s.kind.Name, src: s, Host: pickAddress(&m, s.address)}
	r.m, r.live = m, s.wants(m.State)
	if r.base, err = s.baseName(ctx, &e); err != nil {
		return r, err
	}
	r.alt = longName(r.base, m.ID)
	if r.data, err = pack(&m); err != nil {
		return r, err
	}
	r.sum()
	return r, nil
}

func (inv *Inventory) tell(s *source, ch Change) {
	ch.Kind = s.kind.Name
	if inv.cfg.OnChange != nil && s.wants(ch.Machine.State) {
		inv.cfg.OnChange(ch)
	}
}

// lock waits until no other process lists the source. waited tells that one did.
func (inv *Inventory) lock(ctx context.Context, name string) (release func(), waited bool, err error) {
	f, err := os.OpenFile(filepath.Join(inv.cfg.Dir, name+".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, false, err
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := durable.TryLock(f)
		if err != nil {
			return nil, waited, errors.Join(err, f.Close())
		}
		if ok {
			return func() { f.Close() }, waited, nil
		}
		waited = true
		select {
		case <-ctx.Done():
			return nil, waited, errors.Join(ctx.Err(), f.Close())
		case <-tick.C:
		}
	}
}

// Diff lists a source now and tells what differs from the cache, which stays as it is.
func (inv *Inventory) Diff(ctx context.Context, name string, each func(Change)) (*Listing, error) {
	s, err := inv.source(name)
	if err != nil {
		return nil, err
	}
	l := &Listing{Source: s.name, Kind: s.kind.Name, Began: time.Now()}
	// A connection of its own for the table of what came.
	c, err := openConn(inv.store.path)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	named := map[string]bool{}
	told := func(ch Change) error {
		one := []Change{ch}
		if err := nameClashes(c, one); err != nil {
			return err
		}
		if ch = one[0]; named[ch.Name] { // of several that are found
			ch.Name = ch.alt
		}
		named[ch.Name] = true
		each(ch)
		return nil
	}
	if err := exec(c, "CREATE TEMP TABLE came (id TEXT PRIMARY KEY) WITHOUT ROWID", nil); err != nil {
		return nil, err
	}
	whole, err := inv.each(ctx, s, l, func(r row) error {
		if err := exec(c, "INSERT OR IGNORE INTO came VALUES (?)", nil, r.m.ID); err != nil {
			return err
		}
		_, data, scope, base, ok, err := lookup(c, s.name, r.m.ID)
		if err != nil {
			return err
		}
		ch := Change{What: Found, Source: s.name, Kind: s.kind.Name, Machine: r.m, Name: r.base, alt: r.alt}
		if ok {
			if ch.Fields = differences(data, scope, base, &r); len(ch.Fields) == 0 {
				return nil
			}
			ch.What = Changed
			l.Changed++
		} else {
			l.Found++
		}
		return told(ch)
	})
	if err != nil {
		return nil, err
	}
	if whole {
		bad := map[string]bool{}
		for _, e := range l.Errors {
			bad[e.Scope] = true
		}
		err = exec(c, "SELECT id, scope, base, data, alt FROM machines WHERE source = ? AND id NOT IN (SELECT id FROM came)", func(st *sqlite.Stmt) error {
			m := Machine{ID: st.ColumnText(0), Scope: st.ColumnText(1)}
			if bad[m.Scope] {
				return nil
			}
			if err := unpack(columnBytes(st, 3), &m); err != nil {
				return err
			}
			l.Gone++
			return told(Change{What: Missing, Source: s.name, Kind: s.kind.Name, Machine: m, Name: st.ColumnText(2), alt: st.ColumnText(4)})
		}, s.name)
	}
	l.Took = time.Since(l.Began)
	return l, err
}
