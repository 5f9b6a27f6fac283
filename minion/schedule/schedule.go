// Package schedule is the minion's own clock: jobs that it starts by itself, as Salt's
// option schedule describes them. The jobs come from the configuration, from the
// pillar and from schedule.add; those that functions change are kept in Salt's file
// _schedule.conf beside the configuration.
//
// Scheduler (this file) holds the jobs and changes them, eval.go says which are due at
// a moment, when.go and range.go read the options that name times, cron.go lines of
// crontab. Eval is a function of the time it is given; Run calls it by the clock.
package schedule

import (
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gosalt/gosalt/internal/durable"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Config is what a scheduler is made of.
type Config struct {
	Log *slog.Logger
	// Own are the jobs of the configuration, with those of _schedule.conf.
	Own *wire.Map
	// File is where Own is kept when functions change it; "" keeps it in memory only.
	File string
	// Interval is the time between two looks at the clock: loop_interval.
	Interval time.Duration
	// Whens finds the texts that "when" may name, in the pillar and in the grains.
	Whens func(where string) any
	// Random is a number between two, both included.
	Random func(lo, hi int) int
	// Running counts the jobs under a name that have not ended.
	Running func(name string) int
	// Start starts a job that is due; it does not wait for its end.
	Start func(Job)
}

// Job is a job that is due.
type Job struct {
	Name string // in the schedule
	Fun  string
	Args []any
	// Kwargs are the arguments that are given by name, or nil.
	Kwargs *wire.Map
	// Options are all of the job's entries in the schedule; read only.
	Options *wire.Map
}

// globals are entries of a schedule that are no jobs.
var globals = []string{"enabled", "skip_function", "skip_during_range", "splay"}

// IsGlobal tells whether an entry of a schedule is a setting of all jobs, and no job.
func IsGlobal(name string) bool { return slices.Contains(globals, name) }

// Scheduler holds the jobs. Its methods may be called concurrently.
type Scheduler struct {
	cfg Config

	mu     sync.Mutex
	own    *wire.Map
	pillar *wire.Map
	states map[*wire.Map]*state // by the job's options
	told   map[string]string    // what was logged of jobs that cannot run
}

// New makes a scheduler.
func New(cfg Config) *Scheduler {
	if cfg.Interval <= 0 {
		cfg.Interval = time.Second
	}
	s := &Scheduler{cfg: cfg, own: wire.NewMap(), pillar: wire.NewMap(), states: map[*wire.Map]*state{}, told: map[string]string{}}
	for name, v := range cfg.Own.Strings() {
		// Jobs that Salt's minion adds for itself are kept in its file too: what they do
		// gosalt does without them.
		if !strings.HasPrefix(name, "__") {
			s.own.Set(name, deepCopy(v))
		}
	}
	return s
}

// SetPillar takes the jobs of the pillar. What has not changed keeps its times.
func (s *Scheduler) SetPillar(jobs *wire.Map) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := wire.NewMap()
	for name, v := range jobs.Strings() {
		old := s.pillar.Map(name)
		if m, ok := v.(*wire.Map); ok && old != nil && s.unchanged(old, m) {
			next.Set(name, old)
			continue
		}
		next.Set(name, deepCopy(v))
	}
	s.pillar = next
}

// unchanged tells whether a job's options are what they were before this scheduler
// added to them.
func (s *Scheduler) unchanged(old, m *wire.Map) bool {
	st := s.states[old]
	old = old.Clone()
	if st != nil {
		for _, k := range st.added {
			if !m.Has(k) {
				old.Delete(k)
			}
		}
	}
	return pytext.Repr(sorted(old)) == pytext.Repr(sorted(m))
}

// sorted is a map with its keys in order, those inside too.
func sorted(v any) any {
	switch v := v.(type) {
	case *wire.Map:
		m := map[string]any{}
		for k, e := range v.All() {
			m[pytext.Str(k)] = e
		}
		out := wire.NewMap()
		for _, k := range slices.Sorted(maps.Keys(m)) {
			out.Set(k, sorted(m[k]))
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = sorted(e)
		}
		return out
	}
	return v
}

// deepCopy copies maps and lists.
func deepCopy(v any) any {
	switch v := v.(type) {
	case *wire.Map:
		out := wire.NewMap()
		for k, e := range v.All() {
			out.SetAny(k, deepCopy(e))
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = deepCopy(e)
		}
		return out
	}
	return v
}

// all is the schedule that is in effect: an own job goes above one of the pillar. mu is held.
func (s *Scheduler) all() *wire.Map {
	out := s.pillar.Clone()
	for k, v := range s.own.All() {
		out.SetAny(k, v)
	}
	return out
}

// Jobs are copies of the jobs and settings: those of the configuration ("opts"), of
// the pillar ("pillar"), or all ("").
func (s *Scheduler) Jobs(where string) *wire.Map {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch where {
	case "opts":
		return deepCopy(s.own).(*wire.Map)
	case "pillar":
		return deepCopy(s.pillar).(*wire.Map)
	}
	return deepCopy(s.all()).(*wire.Map)
}

// ErrPillar says that a job is in the pillar, where functions of the minion cannot
// change it.
type ErrPillar struct{ Name string }

func (e *ErrPillar) Error() string {
	return fmt.Sprintf("job %s is in the pillar: change it there", e.Name)
}

// ErrNoJob says that there is no job of a name.
type ErrNoJob struct{ Name string }

func (e *ErrNoJob) Error() string { return fmt.Sprintf("job %s does not exist", e.Name) }

// Add adds a job, or replaces the options of one.
func (s *Scheduler) Add(name string, options *wire.Map, persist bool) error {
	return s.change(persist, func() error {
		if s.pillar.Has(name) && !s.own.Has(name) {
			return &ErrPillar{name}
		}
		options = deepCopy(options).(*wire.Map)
		if !options.Has("enabled") {
			options.Set("enabled", true)
		}
		s.own.Delete(name) // a changed job comes last, as one that was added anew
		s.own.Set(name, options)
		return nil
	})
}

// Delete removes a job.
func (s *Scheduler) Delete(name string, persist bool) error {
	return s.change(persist, func() error {
		if err := s.mine(name); err != nil {
			return err
		}
		s.own.Delete(name)
		return nil
	})
}

// mine tells whether functions may change a job. mu is held.
func (s *Scheduler) mine(name string) error {
	switch {
	case s.own.Map(name) != nil && !IsGlobal(name):
		return nil
	case s.pillar.Has(name):
		return &ErrPillar{name}
	}
	return &ErrNoJob{name}
}

// Enable turns the whole schedule on or off.
func (s *Scheduler) Enable(on, persist bool) error {
	return s.change(persist, func() error {
		s.own.Set("enabled", on)
		return nil
	})
}

// EnableJob turns one job on or off.
func (s *Scheduler) EnableJob(name string, on, persist bool) error {
	return s.change(persist, func() error {
		if err := s.mine(name); err != nil {
			return err
		}
		s.own.Map(name).Set("enabled", on)
		return nil
	})
}

// Skip leaves out the run of a job at a time, and has it run at another where that is
// given. The times are texts of the given format, see pydate.Strptime.
func (s *Scheduler) Skip(name, at, instead, format string) error {
	return s.change(false, func() error {
		if err := s.mine(name); err != nil {
			return err
		}
		job := s.own.Map(name)
		add := func(key, at string) {
			job.Set(key, append(slices.Clone(job.List(key)), wire.NewMap("time", at, "time_fmt", format)))
		}
		add("skip_explicit", at)
		if instead != "" {
			add("run_explicit", instead)
		}
		return nil
	})
}

// Reload takes jobs as a saved file has them, beside those that are there.
func (s *Scheduler) Reload(jobs *wire.Map) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, v := range jobs.Strings() {
		s.own.Set(name, deepCopy(v))
	}
	clear(s.states)
}

// Save writes the file.
func (s *Scheduler) Save() error { return s.change(true, func() error { return nil }) }

// change carries out a change and keeps it.
func (s *Scheduler) change(persist bool, f func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := f(); err != nil {
		return err
	}
	if !persist || s.cfg.File == "" {
		return nil
	}
	return WriteFile(s.cfg.File, s.own)
}

// WriteFile writes jobs into a file as Salt's _schedule.conf.
func WriteFile(file string, jobs *wire.Map) error {
	text := pytext.YAMLOptions{}.Dump(wire.NewMap("schedule", jobs))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("save the schedule: %w", err)
	}
	if err := durable.WriteFile(file, []byte(text), 0o600); err != nil {
		return fmt.Errorf("save the schedule: %w", err)
	}
	return nil
}

// NextFireTime is when a job runs next; zero where it is not known.
func (s *Scheduler) NextFireTime(name string) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.all().Map(name); m != nil && s.states[m] != nil {
		return s.states[m].next
	}
	return time.Time{}
}

// Status is a job's options and, under Salt's names, what the scheduler knows of it.
// Times are time.Time. It is empty where there is no such job.
func (s *Scheduler) Status(name string) *wire.Map {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.all().Map(name)
	if m == nil {
		return wire.NewMap()
	}
	out := deepCopy(m).(*wire.Map)
	if st := s.states[m]; st != nil {
		st.describe(out)
	}
	return out
}
