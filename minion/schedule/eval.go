package schedule

import (
	"fmt"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// state is what the scheduler knows of a job beyond its options.
type state struct {
	next      time.Time // when it is due
	scheduled time.Time // likewise, without splay
	splayed   time.Time // when it is due by the splay that was drawn
	last      time.Time // when it ran
	every     time.Duration
	timed     bool  // every is set
	armed     *bool // of "when": the next time has not been met yet; nil: never looked
	onStart   *bool // of run_on_start: it is still to be done; nil: never looked

	// These hold for one look at the clock.
	idle       bool // there is no time to wait for
	untimed    bool // nor will there be one
	failure    string
	skipReason string
	skippedAt  time.Time
	added      []string // entries of the options that are the scheduler's
	missed     int      // times of "when" that passed while nobody looked
}

// describe adds what job_status shows.
func (st *state) describe(m *wire.Map) {
	at := func(name string, t time.Time, always bool) {
		switch {
		case !t.IsZero():
			m.Set(name, t)
		case always:
			m.Set(name, nil)
		}
	}
	at("_next_fire_time", st.next, true)
	at("_splay", st.splayed, true)
	if st.onStart != nil {
		m.Set("_run_on_start", *st.onStart)
	}
	if st.timed {
		m.Set("_seconds", int64(st.every/time.Second))
	}
	at("_next_scheduled_fire_time", st.scheduled, false)
	if st.armed != nil {
		m.Set("_run", *st.armed)
	}
	at("_last_run", st.last, false)
	if st.idle {
		m.Set("_continue", true)
	}
	if st.failure != "" {
		m.Set("_error", st.failure)
	}
	if st.skipReason != "" {
		m.Set("_skip_reason", st.skipReason)
	}
	if !st.skippedAt.IsZero() {
		m.Set("_skipped_time", st.skippedAt)
		m.Set("_skipped", true)
	}
}

// eval is one look at the clock.
type eval struct {
	*Scheduler
	now time.Time
	// window is how long after its time a job still counts as due.
	window   time.Duration
	settings *wire.Map // the schedule's entries that hold for all jobs
}

// Eval looks which jobs are due at now, starts them, and returns their names. A job
// that has one moment only (when, once) is due for window after it.
func (s *Scheduler) Eval(now time.Time, window time.Duration) []string {
	var due []Job
	s.mu.Lock()
	all := s.all()
	e := eval{Scheduler: s, now: now, window: window, settings: all}
	known := map[*wire.Map]*state{}
	for name, v := range all.Strings() {
		if IsGlobal(name) {
			continue
		}
		job, ok := v.(*wire.Map)
		if !ok {
			e.fail(name, fmt.Errorf("its options are expected as a map, got %s", pytext.TypeName(v)))
			continue
		}
		st := s.states[job]
		if st == nil {
			st = &state{}
		}
		known[job] = st
		if run, ok := e.job(name, job, st); ok {
			due = append(due, run)
		}
	}
	s.states = known
	s.mu.Unlock()
	var names []string
	for _, j := range due {
		names = append(names, j.Name)
		if dry, _ := j.Options.Get("dry_run"); module.Truth(dry) {
			s.cfg.Log.Info("scheduled job is not run: it has dry_run", "job", j.Name)
			continue
		}
		s.cfg.Start(j)
	}
	return names
}

// fail logs why a job cannot be run, once.
func (e *eval) fail(name string, err error) {
	if e.told[name] != err.Error() {
		e.cfg.Log.Error("scheduled job cannot be run", "job", name, "error", err)
		e.told[name] = err.Error()
	}
}

// job looks at one job. mu is held.
func (e *eval) job(name string, job *wire.Map, st *state) (Job, bool) {
	st.idle, st.untimed, st.failure, st.skipReason, st.skippedAt = false, false, "", "", time.Time{}
	st.fill(job, "name", name)
	name = pytext.Str(value(job, "name"))
	run, err := e.due(job, st)
	if err != nil {
		text := err.Error()
		if !strings.HasPrefix(text, "schedule.") { // Salt's texts begin with a capital
			text = strings.ToUpper(text[:1]) + text[1:]
		}
		st.failure = fmt.Sprintf("%s. Ignoring job %s.", text, name)
		e.fail(name, err)
		return Job{}, false
	}
	fun := funOf(job)
	if run && e.skipFunction(st) {
		fun, st.skipReason, st.skippedAt = e.settings.Text("skip_function"), "", time.Time{}
	} else if run && st.skipReason != "" {
		run = false
	}
	if on, ok := job.Get("enabled"); !st.idle && !st.untimed && (e.disabled() || ok && !module.Truth(on)) {
		st.skipReason, st.skippedAt, run = "disabled", e.now, false
	}
	if run {
		st.fill(job, "jid_include", true)
		if v, _ := job.Get("jid_include"); module.Truth(v) {
			st.fill(job, "maxrunning", int64(1))
		}
		run = e.room(name, job, st)
	}
	if run {
		st.last, st.splayed = e.now, time.Time{}
	}
	if st.timed && (run || !st.skippedAt.IsZero() && !st.next.After(e.now)) {
		st.next = e.now.Add(st.every)
	}
	if !run {
		return Job{}, false
	}
	return newJob(name, fun, job), true
}

func newJob(name, fun string, options *wire.Map) Job {
	options = deepCopy(options).(*wire.Map)
	return Job{Name: name, Fun: fun, Args: options.List("args"), Kwargs: options.Map("kwargs"), Options: options}
}

// fill gives a job an entry that it lacks, as Salt's scheduler does.
func (st *state) fill(job *wire.Map, key string, v any) {
	if !job.Has(key) {
		job.Set(key, v)
		st.added = append(st.added, key)
	}
}

func value(m *wire.Map, key string) any {
	v, _ := m.Get(key)
	return v
}

// funOf is the function of a job, under one of the names that Salt takes.
func funOf(job *wire.Map) string {
	for _, k := range []string{"function", "func", "fun"} {
		if v, ok := job.Get(k); ok {
			return pytext.Str(v)
		}
	}
	return ""
}

// disabled tells whether the whole schedule is turned off.
func (e *eval) disabled() bool {
	v, ok := e.settings.Get("enabled")
	return ok && !module.Truth(v)
}

// skipFunction tells whether another function runs in the place of a job that is
// skipped.
func (e *eval) skipFunction(st *state) bool {
	switch st.skipReason {
	case "not_in_range", "in_skip_range", "skip_explicit":
		return e.settings.Text("skip_function") != ""
	}
	return false
}

// room tells whether fewer jobs under a name run than maxrunning allows.
func (e *eval) room(name string, job *wire.Map, st *state) bool {
	if v, ok := job.Get("jid_include"); ok && !module.Truth(v) {
		return true
	}
	most := 1
	var err error
	if job.Has("maxrunning") {
		most, err = number(job, "maxrunning")
	}
	if err != nil || e.cfg.Running == nil || e.cfg.Running(name) < max(most, 1) {
		return true
	}
	st.skipReason, st.skippedAt = "maxrunning", e.now
	e.cfg.Log.Info("scheduled job is not started: as many run as maxrunning allows", "job", name, "maxrunning", most)
	return false
}

// RunNow starts a job whatever its times are, unless as many run as maxrunning allows.
func (s *Scheduler) RunNow(name string) error {
	s.mu.Lock()
	job := s.all().Map(name)
	if job == nil || IsGlobal(name) {
		s.mu.Unlock()
		return &ErrNoJob{name}
	}
	st := s.states[job]
	if st == nil {
		st = &state{}
		s.states[job] = st
	}
	st.fill(job, "name", name)
	name = pytext.Str(value(job, "name"))
	e := eval{Scheduler: s, now: time.Now(), settings: s.all()}
	if !e.room(name, job, st) {
		s.mu.Unlock()
		return fmt.Errorf("as many jobs %s run as maxrunning allows", name)
	}
	j := newJob(name, funOf(job), job)
	s.mu.Unlock()
	if dry, _ := j.Options.Get("dry_run"); !module.Truth(dry) {
		s.cfg.Start(j)
	}
	return nil
}
