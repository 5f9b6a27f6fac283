package inventory

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/gosalt/gosalt/internal/module"
)

// An Inventory is the machines of all configured sources, as they were listed last. Its
// methods may be called at the same time, and by several processes for one cache.
type Inventory struct {
	cfg     Config
	log     *slog.Logger
	store   *store
	sources []*source

	ctx    context.Context // of listings; ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu        sync.Mutex
	closed    bool
	flights   map[string]*flight
	providers map[string]Provider
}

// forgetAfter is how long machines of a source that is not configured any more are kept,
// for the case that it comes back.
const forgetAfter = 30 * 24 * time.Hour

// Open opens the cache and reads the configuration. A mistake in one source does not
// hinder the others: it is in that source's Status. No source is asked yet.
func Open(cfg Config, log *slog.Logger) (*Inventory, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	inv := &Inventory{cfg: cfg, log: log, flights: map[string]*flight{}, providers: map[string]Provider{}}
	inv.ctx, inv.cancel = context.WithCancel(context.Background())
	var names []string
	for key, v := range cfg.Sources.All() {
		name, isText := key.(string)
		if !isText {
			name = fmt.Sprint(key)
		}
		s := inv.readSource(name, v)
		if !isText && s.err == nil { // "off" is false in YAML
			s.err = &Error{Source: name, Kind: s.kind.Name, Reason: BadConfig, Msg: "the name of a source has to be text", Hint: "write it in quotes"}
		}
		inv.sources = append(inv.sources, s)
		if s.enabled && isText {
			names = append(names, name)
		}
	}
	var err error
	if inv.store, err = openStore(filepath.Join(cfg.Dir, "inventory.db")); err != nil {
		inv.cancel()
		return nil, err
	}
	if err := inv.store.adopt(names, time.Now().Add(-forgetAfter)); err != nil {
		inv.cancel()
		return nil, errors.Join(fmt.Errorf("the cache of the inventory: %w", err), inv.store.close())
	}
	return inv, nil
}

// Close ends listings that are under way and closes the cache. Nothing may use the
// inventory any more.
func (inv *Inventory) Close() error {
	inv.mu.Lock()
	inv.closed = true
	inv.mu.Unlock()
	inv.cancel()
	inv.wg.Wait()
	var err error
	for _, p := range inv.providers {
		if c, ok := p.(Closer); ok {
			err = errors.Join(err, c.Close())
		}
	}
	return errors.Join(err, inv.store.close())
}

// Problems are the mistakes in the configuration.
func (inv *Inventory) Problems() (out []*Error) {
	for _, s := range inv.sources {
		if s.err != nil {
			out = append(out, s.err)
		}
	}
	return out
}

// Sources are the names of the sources that are in use.
func (inv *Inventory) Sources() (out []string) {
	for _, s := range inv.sources {
		if s.enabled && s.err == nil {
			out = append(out, s.name)
		}
	}
	return out
}

// source finds one that can be listed.
func (inv *Inventory) source(name string) (*source, error) {
	var names []string
	for _, s := range inv.sources {
		names = append(names, s.name)
		if s.name != name {
			continue
		}
		if s.err != nil {
			return nil, s.err
		}
		if !s.enabled {
			return nil, &Error{Source: name, Kind: s.kind.Name, Reason: BadConfig, Msg: "the source is switched off", Hint: "enabled: false"}
		}
		return s, nil
	}
	e := &Error{Source: name, Reason: BadConfig, Msg: "there is no such source", Hint: "there are " + strings.Join(names, ", ")}
	if len(names) == 0 {
		e.Hint = "the configuration has none: see inventory:"
	} else if near := module.Nearest(name, names); near != "" {
		e.Msg += fmt.Sprintf("; is it %q?", near)
	}
	return nil, e
}

// provider is that of a source, made with the first use.
func (inv *Inventory) provider(s *source) (Provider, error) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	if p := inv.providers[s.name]; p != nil {
		return p, nil
	}
	p, err := s.kind.New(s.values, Env{Source: s.name, ConfigDir: inv.cfg.ConfigDir, DialSSH: inv.cfg.DialSSH})
	if err != nil {
		return nil, err
	}
	inv.providers[s.name] = p
	return p, nil
}

// Provider is the provider of a source, for what it can do besides listing: see Machines
// and Executor.
func (inv *Inventory) Provider(name string) (Provider, error) {
	s, err := inv.source(name)
	if err != nil {
		return nil, err
	}
	p, err := inv.provider(s)
	if err != nil {
		return nil, s.asError(err)
	}
	return p, nil
}

// Run lists each source when its time has come, until ctx ends.
func (inv *Inventory) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, s := range inv.sources {
		if s.err != nil || !s.enabled || s.refresh == 0 {
			continue
		}
		wg.Go(func() { inv.keep(ctx, s) })
	}
	wg.Wait()
	return nil
}

// keep lists one source again and again.
func (inv *Inventory) keep(ctx context.Context, s *source) {
	fails := 0
	for {
		due, err := inv.due(ctx, s)
		wait := time.Until(due)
		if err != nil {
			wait = time.Minute
			inv.log.Error("the cache of the inventory cannot be read", "source", s.name, "error", err)
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
		if err != nil {
			continue
		}
		l, err := inv.Refresh(ctx, s.name)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			fails++
			inv.log.Error("a source of the inventory cannot be stored", "source", s.name, "error", err)
			t := time.NewTimer(pause(s.refresh, []*Error{{}}, fails))
			select {
			case <-ctx.Done():
				t.Stop()
				return
			case <-t.C:
			}
			continue
		}
		fails = 0
		inv.logListing(l)
	}
}

func (inv *Inventory) logListing(l *Listing) {
	for _, e := range l.Errors {
		inv.log.Warn("the inventory could not be listed whole: what was known before stays", "source", l.Source, "error", e.Error())
	}
	if l.Empty {
		inv.log.Warn("a source of the inventory has no machines any more", "source", l.Source, "gone", l.Gone)
	}
	inv.log.Info("inventory listed", "source", l.Source, "provider", l.Kind, "machines", l.Listed, "found", l.Found, "changed", l.Changed, "gone", l.Gone, "took", l.Took.Round(time.Millisecond))
}

// due is when a source is to be listed: at once when it never was, or not with this
// configuration.
func (inv *Inventory) due(ctx context.Context, s *source) (at time.Time, err error) {
	err = inv.store.read(ctx, func(c *sqlite.Conn) error {
		r, err := inv.store.source(c, s.name)
		if err == nil && r.stamp == s.stamp {
			at = r.next
			if latest := time.Now().Add(max(s.refresh, maxBackoff) * 11 / 10); at.After(latest) { // the clock was set back
				at = latest
			}
		}
		return err
	})
	return at, err
}

// Fresh lists those sources whose time has come, as a program does that runs no Run. What
// a source says that is wrong is returned; the data there were before are still in use.
func (inv *Inventory) Fresh(ctx context.Context) []*Error {
	var mu sync.Mutex // guards errs
	errs := inv.Problems()
	var wg sync.WaitGroup
	for _, s := range inv.sources {
		if s.err != nil || !s.enabled {
			continue
		}
		at, err := inv.due(ctx, s)
		if err == nil && (time.Now().Before(at) || s.refresh == 0 && !at.IsZero()) {
			continue
		}
		wg.Go(func() {
			l, err := inv.Refresh(ctx, s.name)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, s.asError(&Error{Call: "cache", Reason: BadAnswer, Msg: err.Error()}))
			} else {
				errs = append(errs, l.Errors...)
			}
		})
	}
	wg.Wait()
	return errs
}

// First waits until each source has been tried once, so that a program that has just been
// started does not take "not yet listed" for "not there".
func (inv *Inventory) First(ctx context.Context) {
	var wg sync.WaitGroup
	for _, s := range inv.sources {
		if s.err != nil || !s.enabled {
			continue
		}
		tried := false
		inv.store.read(ctx, func(c *sqlite.Conn) error {
			r, err := inv.store.source(c, s.name)
			tried = err == nil && !r.tried.IsZero()
			return err
		})
		if !tried {
			wg.Go(func() { inv.Refresh(ctx, s.name) })
		}
	}
	wg.Wait()
}

// A Status is how a source is.
type Status struct {
	Name, Kind string
	Enabled    bool
	Machines   int
	Listed     time.Time // when it was last listed without an error; zero: never
	Tried      time.Time
	Next       time.Time
	Took       time.Duration
	Error      string // what is wrong, as one line; "" is nothing
	Reason     Reason
	Scopes     map[string]string // those that could not be listed, and why
	Clashes    []string          // names that several machines have by the template
}

// Age is how old the data are.
func (s *Status) Age() time.Duration {
	if s.Listed.IsZero() {
		return 0
	}
	return max(0, time.Since(s.Listed))
}

// Status tells how each source is, in the order of the configuration.
func (inv *Inventory) Status(ctx context.Context) (out []Status, err error) {
	return inv.status(ctx, true)
}

// status leaves out Machines and Clashes, for which all machines are read, unless they are
// wanted.
func (inv *Inventory) status(ctx context.Context, machines bool) (out []Status, err error) {
	err = inv.store.read(ctx, func(c *sqlite.Conn) error {
		for _, s := range inv.sources {
			st := Status{Name: s.name, Kind: s.kind.Name, Enabled: s.enabled, Scopes: map[string]string{}}
			r, err := inv.store.source(c, s.name)
			if err != nil {
				return err
			}
			st.Listed, st.Tried, st.Next, st.Took, st.Error, st.Reason = r.listed, r.tried, r.next, r.took, r.err, Reason(r.reason)
			if s.err != nil {
				st.Error, st.Reason = s.err.Error(), s.err.Reason
			}
			if err := exec(c, "SELECT scope, error FROM scopes WHERE source = ?", func(q *sqlite.Stmt) error {
				st.Scopes[q.ColumnText(0)] = q.ColumnText(1)
				return nil
			}, s.name); err != nil {
				return err
			}
			if !machines {
				out = append(out, st)
				continue
			}
			if err := exec(c, "SELECT count(*) FROM machines WHERE source = ? AND live = 1", func(q *sqlite.Stmt) error { st.Machines = q.ColumnInt(0); return nil }, s.name); err != nil {
				return err
			}
			if err := exec(c, `SELECT DISTINCT base FROM machines m WHERE source = ? AND live = 1 AND
				(SELECT count(*) FROM machines x WHERE x.base = m.base AND x.live = 1) > 1 ORDER BY base LIMIT 50`, func(q *sqlite.Stmt) error {
				st.Clashes = append(st.Clashes, q.ColumnText(0))
				return nil
			}, s.name); err != nil {
				return err
			}
			out = append(out, st)
		}
		return nil
	})
	return out, err
}

// Warnings are what a person should know who uses the data: one line for each source
// that is old or wrong.
func (inv *Inventory) Warnings(ctx context.Context) []string {
	list, err := inv.Status(ctx)
	if err != nil {
		return []string{"the inventory cannot be read: " + err.Error()}
	}
	var out []string
	for _, st := range list {
		if !st.Enabled {
			continue
		}
		say := st.Error
		if say == "" {
			var scopes []string
			for k := range st.Scopes {
				scopes = append(scopes, k)
			}
			slices.Sort(scopes)
			for _, k := range scopes {
				text := "inventory: " + st.Scopes[k]
				if !st.Listed.IsZero() || st.Machines > 0 {
					text += "; its machines are as they were " + ago(st)
				}
				out = append(out, text)
			}
		} else if st.Listed.IsZero() && st.Machines == 0 {
			out = append(out, "inventory: "+say)
		} else {
			out = append(out, fmt.Sprintf("inventory: %s; its machines are as they were %s", say, ago(st)))
		}
		if say == "" && len(st.Scopes) == 0 && inv.overdue(st) {
			out = append(out, fmt.Sprintf("inventory: %s (%s) was last listed %s: does the master run? gosalt-run inventory.refresh lists it now", st.Name, st.Kind, ago(st)))
		}
	}
	return out
}

func ago(st Status) string {
	if st.Listed.IsZero() {
		return "when they were last seen"
	}
	return Age(st.Age()) + " ago"
}

// Age is a time as people say it: "40s", "5m", "3h", "2d".
func Age(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// overdue tells whether nobody lists a source that should be listed.
func (inv *Inventory) overdue(st Status) bool {
	i := slices.IndexFunc(inv.sources, func(s *source) bool { return s.name == st.Name })
	return i >= 0 && inv.sources[i].late(st.Tried)
}

func (s *source) late(tried time.Time) bool {
	return s.refresh > 0 && !tried.IsZero() && time.Since(tried) > 3*s.refresh+s.timeout
}

const entryColumns = `m.source, m.id, m.scope, m.base, m.alt, m.first, m.seen, m.data,
	(SELECT count(*) FROM machines x WHERE x.base = m.base AND x.live = 1),
	(SELECT count(*) FROM machines x WHERE x.alt = m.alt AND x.live = 1),
	(SELECT tried FROM sources s WHERE s.name = m.source)`

// entry reads a row of entryColumns.
func (inv *Inventory) entry(st *sqlite.Stmt) (e Entry, err error) {
	e.Source, e.ID, e.Scope, e.Name = st.ColumnText(0), st.ColumnText(1), st.ColumnText(2), st.ColumnText(3)
	e.First, e.Seen = unixMicro(st.ColumnInt64(5)), unixMicro(st.ColumnInt64(6))
	if err := unpack(columnBytes(st, 7), &e.Machine); err != nil {
		return e, fmt.Errorf("the cache of the inventory: %s: %w", e.ID, err)
	}
	if st.ColumnInt(8) > 1 {
		e.Name, e.Clash = st.ColumnText(4), true
		if st.ColumnInt(9) > 1 { // the same machine in two sources
			e.Name += "." + e.Source
		}
	}
	if i := slices.IndexFunc(inv.sources, func(s *source) bool { return s.name == e.Source }); i >= 0 {
		e.src = inv.sources[i]
		e.Kind = e.src.kind.Name
		tried := unixMicro(st.ColumnInt64(10))
		e.Old = e.Seen.Before(tried) || e.src.late(tried)
	}
	e.Host = pickAddress(&e.Machine, e.order())
	return e, nil
}

func (e *Entry) order() []string {
	if e.src == nil {
		return nil
	}
	return e.src.address
}

// All yields every machine, by name. It holds a page of them at a time.
func (inv *Inventory) All(ctx context.Context) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		base, src, id := "", "", ""
		for {
			var page []Entry
			err := inv.store.read(ctx, func(c *sqlite.Conn) error {
				return exec(c, "SELECT "+entryColumns+" FROM machines m WHERE m.live = 1 AND (m.base, m.source, m.id) > (?, ?, ?) ORDER BY m.base, m.source, m.id LIMIT 200", func(st *sqlite.Stmt) error {
					e, err := inv.entry(st)
					base, src, id = st.ColumnText(3), e.Source, e.ID
					page = append(page, e)
					return err
				}, base, src, id)
			})
			if err != nil {
				yield(Entry{}, err)
				return
			}
			for _, e := range page {
				if !yield(e, nil) {
					return
				}
			}
			if len(page) < 200 {
				return
			}
		}
	}
}

// ErrUnknown is that there is no machine of that name.
var ErrUnknown = errors.New("the inventory has no such machine")

// Get finds a machine by its name.
func (inv *Inventory) Get(ctx context.Context, name string) (Entry, error) {
	where, args := inv.byName(name)
	return inv.find(ctx, where, args, func(e *Entry) bool { return e.Name == name })
}

// ByID finds a machine by its provider's id, whatever its name.
func (inv *Inventory) ByID(ctx context.Context, id string) (Entry, error) {
	where, args := inv.byID(id)
	return inv.find(ctx, where, args, func(*Entry) bool { return true })
}

// byName is the condition that a row may be the machine of that name: one that indexes
// answer, since every minion asks when it connects.
func (inv *Inventory) byName(name string) (where string, args []any) {
	where, args = "m.base = ? OR m.alt = ?", []any{name, name}
	for _, s := range inv.sources {
		if alt, ok := strings.CutSuffix(name, "."+s.name); ok {
			where += " OR m.alt = ?"
			args = append(args, alt)
		}
	}
	return where, args
}

// byID is the same for a provider's id.
func (inv *Inventory) byID(id string) (where string, args []any) {
	where = "m.id = ? AND m.source IN (''"
	args = []any{id}
	for _, s := range inv.sources {
		where += ", ?"
		args = append(args, s.name)
	}
	return where + ")", args
}

func (inv *Inventory) find(ctx context.Context, where string, args []any, ok func(*Entry) bool) (found Entry, err error) {
	err = ErrUnknown
	rerr := inv.store.read(ctx, func(c *sqlite.Conn) error {
		return exec(c, "SELECT "+entryColumns+" FROM machines m WHERE m.live = 1 AND ("+where+")", func(st *sqlite.Stmt) error {
			e, eerr := inv.entry(st)
			if eerr == nil && err != nil && ok(&e) {
				found, err = e, nil
			}
			return eerr
		}, args...)
	})
	if rerr != nil {
		return Entry{}, rerr
	}
	return found, err
}

// Exists tells whether there is a machine that a minion of this name could be: by name or
// by id, whatever its state. sure is false where some source was not listed whole
// the last time, or never, so that "no" is not to be relied on.
func (inv *Inventory) Exists(ctx context.Context, minion string) (exists, sure bool, err error) {
	list, err := inv.status(ctx, false)
	if err != nil {
		return false, false, err
	}
	sure = true
	for _, st := range list {
		sure = sure && st.Error == "" && len(st.Scopes) == 0 && !st.Listed.IsZero() && !inv.overdue(st)
	}
	names, args := inv.byName(minion)
	ids, more := inv.byID(minion)
	err = inv.store.read(ctx, func(c *sqlite.Conn) error {
		return exec(c, "SELECT 1 FROM machines m WHERE m.live >= 0 AND ("+names+" OR "+ids+") LIMIT 1", func(*sqlite.Stmt) error { exists = true; return nil }, append(args, more...)...)
	})
	return exists, sure, err
}
