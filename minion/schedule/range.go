package schedule

import (
	"errors"
	"fmt"
	"time"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// limits are the options that keep a job from running although it is its time. All of
// them have to let it run; the first that does not is state.skipReason.
func (e *eval) limits(job *wire.Map, st *state) error {
	skip := func(why string, noted bool) {
		if st.skipReason == "" {
			st.skipReason = why
			if noted {
				st.skippedAt = e.now
			}
		}
	}
	if v, ok := job.Get("range"); ok {
		if err := e.inRange(v, skip); err != nil {
			return err
		}
	}
	v, ok := job.Get("skip_during_range")
	if !ok {
		if v = value(e.settings, "skip_during_range"); module.Truth(v) {
			st.fill(job, "skip_during_range", v)
		}
	}
	if module.Truth(v) {
		start, end, err := e.bounds(v, " in skip_during_range")
		if err != nil {
			return err
		}
		e.afterwards(job, end)
		if !e.now.Before(start) && !e.now.After(end) {
			skip("in_skip_range", true)
		}
	}
	times, err := e.list(job, "skip_explicit")
	if err != nil {
		return err
	}
	for _, t := range times {
		if !e.now.Before(t) && !e.now.After(t.Add(e.window)) {
			skip("skip_explicit", true)
		}
	}
	for _, l := range []struct {
		name, why string
		passed    bool
	}{{"until", "until_passed", true}, {"after", "after_not_passed", false}} {
		v, ok := job.Get(l.name)
		if !ok {
			continue
		}
		t, err := e.free(v)
		if err != nil {
			return fmt.Errorf("invalid date string %s for %s", pytext.Str(v), l.name)
		}
		if l.passed && !t.After(e.now) || !l.passed && !t.Before(e.now) {
			skip(l.why, true)
		}
	}
	return nil
}

// inRange is the option range.
func (e *eval) inRange(v any, skip func(string, bool)) error {
	start, end, err := e.bounds(v, "")
	if err != nil {
		return err
	}
	m, _ := v.(*wire.Map)
	if module.Truth(value(m, "invert")) {
		if e.now.After(start) && e.now.Before(end) {
			skip("in_skip_range", false)
		}
		return nil
	}
	if e.now.Before(start) || e.now.After(end) {
		skip("not_in_range", false)
	}
	return nil
}

// bounds are the start and end of a range.
func (e *eval) bounds(v any, where string) (start, end time.Time, err error) {
	m, ok := v.(*wire.Map)
	if !ok {
		return start, end, errors.New("schedule.handle_func: Invalid, range must be specified as a dictionary")
	}
	if start, err = e.free(value(m, "start")); err != nil {
		return start, end, fmt.Errorf("invalid date string for start%s", where)
	}
	if end, err = e.free(value(m, "end")); err != nil {
		return start, end, fmt.Errorf("invalid date string for end%s", where)
	}
	if !end.After(start) {
		return start, end, errors.New("schedule.handle_func: Invalid range, end must be larger than start")
	}
	return start, end, nil
}

// afterwards has a job run when a range that it was kept from is over.
func (e *eval) afterwards(job *wire.Map, end time.Time) {
	if !module.Truth(value(job, "run_after_skip_range")) {
		return
	}
	const layout = "2006-01-02T15:04:05"
	at := end.Add(e.cfg.Interval).Format(layout)
	list := job.List("run_explicit")
	for _, v := range list {
		if m, ok := v.(*wire.Map); ok && m.Text("time") == at {
			return
		}
	}
	job.Set("run_explicit", append(list[:len(list):len(list)], wire.NewMap("time", at, "time_fmt", "%Y-%m-%dT%H:%M:%S")))
}

// list reads run_explicit and skip_explicit: times, or maps with a time and its format.
func (e *eval) list(job *wire.Map, name string) ([]time.Time, error) {
	v, ok := job.Get(name)
	if !ok {
		return nil, nil
	}
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	var times []time.Time
	for _, v := range list {
		format := "%Y-%m-%dT%H:%M:%S"
		if m, ok := v.(*wire.Map); ok {
			if f := m.Text("time_fmt"); f != "" {
				format = f
			}
			v = value(m, "time")
		}
		t, err := e.exact(v, format)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		times = append(times, t)
	}
	return times, nil
}

// explicit tells whether one of the times of run_explicit is now.
func (e *eval) explicit(job *wire.Map, st *state) (bool, error) {
	times, err := e.list(job, "run_explicit")
	if err != nil {
		return false, err
	}
	for _, t := range times {
		if !t.After(e.now) && e.now.Before(t.Add(e.window)) {
			st.next = t
			return true, nil
		}
	}
	return false, nil
}
