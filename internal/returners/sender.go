package returners

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gosalt/gosalt/internal/durable"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Dest is where records go: a returner, with the configuration that a job may choose.
type Dest struct {
	Name        string    // "redis"
	Alternative string    // --return_config, or ""
	Kwargs      *wire.Map // --return_kwargs, or nil
}

// dir is a name for what waits for this destination.
func (d Dest) dir() string {
	if d.Alternative == "" && d.Kwargs.Len() == 0 {
		return d.Name
	}
	b, _ := wire.Encode(d.toMap(), wire.Local)
	sum := sha256.Sum256(b)
	return d.Name + "-" + hex.EncodeToString(sum[:8])
}

func (d Dest) toMap() *wire.Map {
	m := wire.NewMap("name", d.Name, "alternative", d.Alternative)
	if d.Kwargs.Len() > 0 {
		m.Set("kwargs", d.Kwargs)
	}
	return m
}

// SenderConfig is what a sender is made of.
type SenderConfig struct {
	Dir      string // of the spool
	MaxBytes int64  // of what waits for one destination
	Set      Set
	Config   func() *wire.Map // the configuration by Salt's names
	Env      Env
	Log      *slog.Logger
}

// Sender takes records and delivers them to returners; what cannot be delivered waits
// on disk. Its methods may be called concurrently.
type Sender struct {
	cfg SenderConfig

	mu    sync.Mutex
	dests map[string]*delivery
	ctx   context.Context // of Run; nil before
	wg    sync.WaitGroup
}

// delivery is what goes to one destination.
type delivery struct {
	*Sender
	dest Dest
	q    *queue
	log  *slog.Logger
	r    Returner
	down bool // it was said that it cannot be reached
	sent int
}

// Batches that go to a returner at once, and the time for one.
const (
	batchRecords = 200
	batchBytes   = 8 << 20
	storeTimeout = 30 * time.Second
)

// Waits between tries to reach a returner.
const (
	firstWait = 500 * time.Millisecond
	maxWait   = 30 * time.Second
)

// NewSender opens the spool. Run must follow.
func NewSender(cfg SenderConfig) (*Sender, error) {
	if cfg.MaxBytes <= 0 {
		cfg.MaxBytes = 256 << 20
	}
	s := &Sender{cfg: cfg, dests: map[string]*delivery{}}
	entries, err := os.ReadDir(cfg.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open the spool of returners: %w", err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(cfg.Dir, e.Name(), "dest"))
		if err != nil {
			continue
		}
		m, err := wire.DecodeMap(b, wire.Local, wire.Authenticated)
		if err != nil {
			cfg.Log.Error("part of the spool of returners is left out", "part", e.Name(), "error", err)
			continue
		}
		if _, err := s.delivery(Dest{m.Text("name"), m.Text("alternative"), m.Map("kwargs")}); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Check tells whether a returner can be used: its name is known, its options can be read.
func (s *Sender) Check(d Dest) error {
	open := s.cfg.Set[d.Name]
	if open == nil {
		return s.cfg.Set.UnknownError(d.Name)
	}
	r, err := open(s.options(d), s.cfg.Env)
	if err != nil {
		return fmt.Errorf("returner %s: %w", d.Name, err)
	}
	r.Close()
	return nil
}

func (s *Sender) options(d Dest) Options {
	return Options{Config: s.cfg.Config(), Alternative: d.Alternative, Kwargs: d.Kwargs}
}

// Send takes a record for a destination. It is on the disk when Send returns.
func (s *Sender) Send(d Dest, r Record) error {
	t, err := s.delivery(d)
	if err != nil {
		return err
	}
	dropped, err := t.q.add(r)
	if dropped > 0 {
		t.log.Error("the spool of a returner is full: the oldest of what waits was dropped", "bytes", dropped)
	}
	if err != nil {
		return fmt.Errorf("returner %s: %w", d.Name, err)
	}
	return nil
}

// delivery finds or makes what delivers to a destination.
func (s *Sender) delivery(d Dest) (*delivery, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := d.dir()
	if t := s.dests[key]; t != nil {
		return t, nil
	}
	dir := filepath.Join(s.cfg.Dir, key)
	q, err := openQueue(dir, s.cfg.MaxBytes)
	if err != nil {
		return nil, err
	}
	b, err := wire.Encode(d.toMap(), wire.Local)
	if err == nil {
		err = durable.WriteFile(filepath.Join(dir, "dest"), b, 0o600)
	}
	if err != nil {
		q.close()
		return nil, fmt.Errorf("open the spool of returner %s: %w", d.Name, err)
	}
	t := &delivery{Sender: s, dest: d, q: q, log: s.cfg.Log.With("returner", d.Name)}
	if d.Alternative != "" {
		t.log = t.log.With("config", d.Alternative)
	}
	s.dests[key] = t
	if s.ctx != nil && s.ctx.Err() == nil {
		s.wg.Go(func() { t.run(s.ctx) })
	}
	return t, nil
}

// Run delivers until ctx ends; what is left then is on the disk.
func (s *Sender) Run(ctx context.Context) {
	s.mu.Lock()
	s.ctx = ctx
	for _, t := range s.dests {
		s.wg.Go(func() { t.run(ctx) })
	}
	s.mu.Unlock()
	<-ctx.Done()
	s.wg.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.dests {
		t.q.close()
	}
}

func (t *delivery) run(ctx context.Context) {
	defer func() {
		if t.r != nil {
			t.r.Close()
		}
	}()
	failed := 0
	for ctx.Err() == nil {
		recs, ends, err := t.q.peek(batchRecords, batchBytes)
		if len(recs) == 0 && err == nil {
			select {
			case <-ctx.Done():
			case <-t.q.added:
			}
			continue
		}
		if err == nil {
			err = t.deliver(ctx, recs, ends)
		}
		if err == nil {
			failed = 0
			continue
		}
		if ctx.Err() != nil {
			return
		}
		if !t.down {
			t.down = true
			t.log.Error("a returner cannot be reached: what is for it waits on disk", "error", err, "spool", t.q.dir)
		} else {
			t.log.Debug("a returner cannot be reached", "error", err)
		}
		failed++
		wait := min(firstWait<<min(failed-1, 10), maxWait)
		timer := time.NewTimer(wait/2 + rand.N(wait/2))
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

// deliver sends a batch. An error means that the rest has to wait.
func (t *delivery) deliver(ctx context.Context, recs []Record, ends []position) error {
	if t.r == nil {
		open := t.cfg.Set[t.dest.Name]
		if open == nil {
			return t.cfg.Set.UnknownError(t.dest.Name)
		}
		r, err := open(t.options(t.dest), t.cfg.Env)
		if err != nil {
			return err
		}
		t.r = r
	}
	sctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	n, err := t.r.Store(sctx, recs)
	n = min(max(n, 0), len(recs))
	if Refused(err) && n < len(recs) {
		t.log.Error("a returner refuses a record, which is dropped", "error", err, "jid", recs[n].Data.Text("jid"), "tag", recs[n].Data.Text("tag"))
		n, err = n+1, nil
	}
	if n > 0 {
		t.sent += n
		if derr := t.q.done(ends[n-1]); derr != nil {
			t.log.Error("the spool of a returner cannot be written: records may come twice", "error", derr)
		}
		if t.down && err == nil {
			t.down = false
			t.log.Info("a returner can be reached again")
		}
	}
	return err
}

// Now delivers one record at once, without the spool.
func (s *Sender) Now(ctx context.Context, d Dest, r Record) error {
	open := s.cfg.Set[d.Name]
	if open == nil {
		return s.cfg.Set.UnknownError(d.Name)
	}
	ret, err := open(s.options(d), s.cfg.Env)
	if err != nil {
		return fmt.Errorf("returner %s: %w", d.Name, err)
	}
	defer ret.Close()
	if _, err := ret.Store(ctx, []Record{r}); err != nil {
		return fmt.Errorf("returner %s: %w", d.Name, err)
	}
	return nil
}

// Reader opens a returner that can be read from.
func (s *Sender) Reader(d Dest) (Reader, error) {
	open := s.cfg.Set[d.Name]
	if open == nil {
		return nil, s.cfg.Set.UnknownError(d.Name)
	}
	r, err := open(s.options(d), s.cfg.Env)
	if err != nil {
		return nil, fmt.Errorf("returner %s: %w", d.Name, err)
	}
	if rd, ok := r.(Reader); ok {
		return rd, nil
	}
	r.Close()
	return nil, fmt.Errorf("returner %s cannot be read from", d.Name)
}
