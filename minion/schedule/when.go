package schedule

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pydate"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// due tells whether it is a job's time, and sets when the next one is. A job that is
// due and must not run has state.skipReason set.
func (e *eval) due(job *wire.Map, st *state) (bool, error) {
	if v, ok := job.Get("run_on_start"); ok && st.onStart == nil && module.Truth(v) {
		yes := true
		st.onStart = &yes
	}
	kinds := 0
	for _, k := range []string{"when", "cron", "once"} {
		if job.Has(k) {
			kinds++
		}
	}
	if kinds > 1 {
		return false, errors.New(`"when", "cron" and "once" cannot be used together`)
	}
	run, err := e.explicit(job, st)
	if err != nil {
		return false, err
	}
	intervals := job.Has("seconds") || job.Has("minutes") || job.Has("hours") || job.Has("days")
	switch {
	case intervals:
		err = e.interval(job, st)
	case job.Has("once"):
		err = e.oneTime(job, st, run)
	case job.Has("when"):
		err = e.when(job, st, run)
	case job.Has("cron"):
		err = e.cron(job, st)
	default:
		st.untimed = true
		return false, nil
	}
	if err != nil || st.idle {
		return false, err
	}
	left, splayed, err := e.splay(job, st)
	if err != nil {
		return false, err
	}
	run = run || splayed
	met := !st.next.After(e.now) && !e.now.After(st.next.Add(e.window))
	switch {
	case st.timed:
		run = run || left <= 0
	case job.Has("when") && st.armed != nil && *st.armed:
		if met {
			*st.armed = false
			run = true
		}
	case job.Has("cron"):
		if left <= 0 {
			st.next = time.Time{}
			run = true
		}
	case job.Has("once"):
		// Its window may hold two looks at the clock.
		run = run || met && st.last.Before(st.next)
	}
	if st.onStart != nil && *st.onStart {
		*st.onStart = false
		return true, nil
	}
	if !run {
		return false, nil
	}
	return true, e.limits(job, st)
}

// chop leaves out what is below a second.
func chop(t time.Time) time.Time { return t.Add(-time.Duration(t.Nanosecond())) }

// interval is seconds, minutes, hours and days.
func (e *eval) interval(job *wire.Map, st *state) error {
	if st.timed {
		return nil
	}
	total := 0
	for _, u := range []struct {
		name    string
		seconds int
	}{{"seconds", 1}, {"minutes", 60}, {"hours", 3600}, {"days", 86400}} {
		n, err := number(job, u.name)
		if err != nil {
			return err
		}
		total += n * u.seconds
	}
	st.every, st.timed = time.Duration(total)*time.Second, true
	st.scheduled = e.now.Add(st.every)
	if st.next.IsZero() {
		st.next = st.scheduled
	}
	return nil
}

// number is an option that is a whole number, or a text that is one; 0 where it is absent.
func number(job *wire.Map, name string) (int, error) {
	v, ok := job.Get(name)
	if !ok {
		return 0, nil
	}
	n := int64(0)
	switch v := v.(type) {
	case int64:
		n = v
	case float64:
		n = int64(v)
	case bool:
		if v {
			n = 1
		}
	case string:
		i, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: a whole number expected, got %q", name, v)
		}
		n = i
	default:
		return 0, fmt.Errorf("%s: a whole number expected, got %s", name, pytext.TypeName(v))
	}
	if n < 0 || n > 1<<31 {
		return 0, fmt.Errorf("%s: a number from 0 to %d expected, got %d", name, int64(1)<<31, n)
	}
	return int(n), nil
}

// oneTime is once.
func (e *eval) oneTime(job *wire.Map, st *state, run bool) error {
	if !run && !st.last.IsZero() && !st.scheduled.IsZero() && !st.last.Before(st.scheduled) {
		st.idle = true
		return nil
	}
	if !st.next.IsZero() && (st.next.Before(e.now.Add(-e.window)) || st.next.After(e.now) && st.splayed.IsZero()) {
		st.idle = true
	}
	if st.next.IsZero() && st.splayed.IsZero() {
		format := "%Y-%m-%dT%H:%M:%S"
		if v, ok := job.Get("once_fmt"); ok {
			format = pytext.Str(v)
		}
		v := value(job, "once")
		once, err := e.exact(v, format)
		if err != nil {
			return fmt.Errorf("date string could not be parsed: %s, %s", pytext.Str(v), format)
		}
		st.next, st.scheduled = once, once
		st.idle = once.Before(e.now.Add(-e.window))
	}
	return nil
}

// exact reads a time of a format; YAML's own times are taken as they are.
func (e *eval) exact(v any, format string) (time.Time, error) {
	switch v := v.(type) {
	case time.Time:
		return e.onWall(v), nil
	case string:
		return pydate.Strptime(v, format, e.now.Location())
	}
	return time.Time{}, fmt.Errorf("a text expected, got %s", pytext.TypeName(v))
}

// onWall makes a time that was written without a zone one of this place.
func (e *eval) onWall(t time.Time) time.Time {
	if t.Location() != time.UTC {
		return t
	}
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), e.now.Location())
}

// free reads a time as people write it; see pydate.Parse.
func (e *eval) free(v any) (time.Time, error) {
	switch v := v.(type) {
	case time.Time:
		return e.onWall(v), nil
	case string:
		return pydate.Parse(v, e.now)
	}
	return time.Time{}, fmt.Errorf("a text expected, got %s %s: put it in quotes", pytext.TypeName(v), pytext.Str(v))
}

// when is a time, or several, each of which is met once.
func (e *eval) when(job *wire.Map, st *state, run bool) error {
	v := value(job, "when")
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	var times []time.Time
	for _, v := range list {
		t, err := e.named(v)
		if err != nil {
			return err
		}
		times = append(times, t)
	}
	past := e.now.Add(-e.window)
	if st.armed != nil && *st.armed && st.splayed.IsZero() && !st.next.IsZero() && st.next.Before(past) {
		// The machine slept, or was too busy to look: there will be other times.
		e.cfg.Log.Warn("time of a scheduled job has passed unseen", "job", job.Text("name"), "time", st.next)
		*st.armed = false
		st.missed++
	}
	if !st.splayed.IsZero() {
		times = append(times, st.splayed)
	}
	slices.SortFunc(times, time.Time.Compare)
	// The latest of those that have passed says whether it was met.
	for len(times) > 1 && times[0].Before(past) {
		times = times[1:]
	}
	armed := st.armed != nil && *st.armed
	if len(times) == 0 || times[0].Before(past) && !armed && !run && st.splayed.IsZero() {
		if !armed {
			st.next, st.idle = time.Time{}, true
		}
		return nil
	}
	t := times[0]
	if st.armed == nil {
		armed = !t.Before(past)
		st.armed = &armed
	}
	if st.next.IsZero() {
		if st.next = t; !t.Before(e.now) {
			*st.armed = true // the same time of another day
		}
	}
	st.scheduled = t
	if st.next.Before(t) && !run && !*st.armed {
		st.next, *st.armed = t, true
	}
	return nil
}

// named reads one of the times of when, which may be the name of one in whens of the
// pillar or the grains.
func (e *eval) named(v any) (time.Time, error) {
	written := v
	if name, ok := v.(string); ok && e.cfg.Whens != nil {
		for _, where := range []string{"pillar", "grains"} {
			whens := e.cfg.Whens(where)
			m, ok := whens.(*wire.Map)
			if whens != nil && !ok {
				if s, isText := whens.(string); isText && strings.Contains(s, name) {
					return time.Time{}, fmt.Errorf(`"whens" in the %s must be a dict`, where)
				}
				continue
			}
			if t, ok := m.Get(name); ok {
				v = t
				break
			}
		}
	}
	t, err := e.free(v)
	if err != nil {
		return t, fmt.Errorf("invalid date string %s", pytext.Str(written))
	}
	return t, nil
}

// cron is a line of crontab.
func (e *eval) cron(job *wire.Map, st *state) error {
	if !st.next.IsZero() {
		return nil
	}
	line, _ := value(job, "cron").(string)
	c, err := ParseCron(line)
	if err == nil {
		st.next, err = c.Next(e.now)
	}
	if err != nil {
		return fmt.Errorf("invalid cron string: %w", err)
	}
	st.scheduled = st.next
	return nil
}

// splay draws how much later a job runs, and returns the seconds that are left; now
// tells that the splay has passed already.
func (e *eval) splay(job *wire.Map, st *state) (left float64, now bool, err error) {
	left = chop(st.next).Sub(chop(e.now)).Seconds()
	v, ok := job.Get("splay")
	if !ok {
		v = value(e.settings, "splay")
		st.fill(job, "splay", v)
	}
	if !module.Truth(v) {
		return left, false, nil
	}
	if st.splayed.IsZero() {
		lo, hi := 1, 0
		if m, ok := v.(*wire.Map); ok {
			if lo, err = number(m, "start"); err == nil {
				hi, err = number(m, "end")
			}
		} else {
			hi, err = number(job, "splay")
			if !ok && err == nil {
				hi, err = number(wire.NewMap("splay", v), "splay")
			}
		}
		if err != nil {
			return 0, false, fmt.Errorf("splay: %w", err)
		}
		if hi < lo {
			return 0, false, errors.New("splay: a number of seconds from 1, or start and end, the end not before the start, expected")
		}
		at := st.next.Add(time.Duration(e.cfg.Random(lo, hi)) * time.Second)
		if !e.now.Before(at) {
			return left, true, nil
		}
		st.splayed = at
		if job.Has("when") {
			yes := true
			st.armed = &yes
		}
	}
	left = st.splayed.Sub(e.now).Seconds()
	if job.Has("when") || job.Has("once") {
		st.next = st.splayed
	}
	return left, false, nil
}
