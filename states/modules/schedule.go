package modules

import (
	"context"
	"errors"
	"fmt"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

func init() {
	register("schedule.present", schedulePresent)
	register("schedule.absent", scheduleAbsent)
	register("schedule.enabled", scheduleEnabled)
	register("schedule.disabled", scheduleDisabled)
}

type scheduleArgs struct {
	Name   string    // Name of the job.
	Kwargs *wire.Map `arg:"**"` // Options of the job as for schedule.add: function, job_args, job_kwargs, seconds, minutes, hours, days, when, cron, once, splay, range, maxrunning, enabled, metadata, returner and so on; persist=False does not save it, offline=True works on the saved file.
}

// jobs is the schedule as it is now.
func (a scheduleArgs) jobs(ctx context.Context, c *states.Call, offline bool) (*wire.Map, error) {
	kwargs := wire.NewMap("show_all", true, "return_yaml", false)
	if offline && module.Truth(get(a.Kwargs, "offline")) {
		kwargs.Set("offline", true)
	}
	v, err := c.Call.Call(ctx, "schedule.list", nil, kwargs)
	m, _ := v.(*wire.Map)
	return m, err
}

// change plans a call of a function of the schedule, whose own test=True says how it would
// be told. The changes are those given, where that tells none of its own; silent says that
// the run tells none, as in Salt.
func (a scheduleArgs) change(ctx context.Context, c *states.Call, fun, did string, would *wire.Map, silent bool) (*states.Plan, error) {
	call := func(ctx context.Context, test bool) (*wire.Map, error) {
		kwargs := a.Kwargs.Clone()
		if test {
			kwargs.Set("test", true)
		}
		v, err := c.Call.Call(ctx, fun, args(a.Name), kwargs)
		m, _ := v.(*wire.Map)
		return m, err
	}
	p := &states.Plan{Did: fmt.Sprintf(did, a.Name)}
	changes := would
	if c.Test {
		res, err := call(ctx, true)
		if err != nil {
			return nil, err
		}
		p.Would = pytext.Str(get(res, "comment"))
		if v, ok := res.Get("result"); ok && !module.Truth(v) { // Salt shows a success, and fails then
			return nil, errors.New(p.Would)
		}
		if changes == nil {
			changes = res.Map("changes")
		}
		if changes.Len() == 0 { // it is called, and finds that all is so
			return states.Decided(true, nil, p.Would), nil
		}
	}
	p.Do(changes, func(ctx context.Context, r *states.Result) error {
		r.SetChanges(nil)
		res, err := call(ctx, false)
		if err != nil {
			return err
		}
		if !module.Truth(get(res, "result")) {
			return errors.New(pytext.Str(get(res, "comment")))
		}
		if !silent {
			r.SetChanges(res.Map("changes"))
		}
		return nil
	})
	return p, nil
}

// schedulePresent makes sure that the minion's schedule has a job, with these options.
func schedulePresent(ctx context.Context, c *states.Call, a scheduleArgs) (*states.Plan, error) {
	jobs, err := a.jobs(ctx, c, true)
	if err != nil {
		return nil, err
	}
	old, ok := jobs.Get(a.Name)
	if !ok {
		return a.change(ctx, c, "schedule.add", "Adding new job %s to schedule", wire.NewMap(a.Name, "added"), false)
	}
	v, err := c.Call.Call(ctx, "schedule.build_schedule_item", args(a.Name), a.Kwargs)
	if err != nil {
		return nil, err
	}
	item, _ := v.(*wire.Map)
	if r, has := item.Get("result"); has && !module.Truth(r) {
		return states.Decided(false, nil, pytext.Str(get(item, "comment"))), nil
	}
	item = item.Clone()
	if !item.Has("enabled") {
		item.Set("enabled", true)
	}
	if pytext.Equal(item, old) {
		return &states.Plan{Fine: fmt.Sprintf("Job %s in correct state", a.Name)}, nil
	}
	return a.change(ctx, c, "schedule.modify", "Modifying job %s in schedule", nil, false)
}

// scheduleAbsent makes sure that the minion's schedule has no such job.
func scheduleAbsent(ctx context.Context, c *states.Call, a scheduleArgs) (*states.Plan, error) {
	return a.withJob(ctx, c, true, func(*wire.Map) (*states.Plan, error) {
		return a.change(ctx, c, "schedule.delete", "Removed job %s from schedule", wire.NewMap(a.Name, "removed"), false)
	})
}

// scheduleEnabled turns a job of the minion's schedule on.
func scheduleEnabled(ctx context.Context, c *states.Call, a scheduleArgs) (*states.Plan, error) {
	return a.withJob(ctx, c, false, func(job *wire.Map) (*states.Plan, error) {
		would := wire.NewMap()
		if v, ok := job.Get("enabled"); ok && !module.Truth(v) {
			would.Set(a.Name, "enabled")
		}
		return a.change(ctx, c, "schedule.enable_job", "Enabled job %s from schedule", would, true)
	})
}

// scheduleDisabled turns a job of the minion's schedule off.
func scheduleDisabled(ctx context.Context, c *states.Call, a scheduleArgs) (*states.Plan, error) {
	return a.withJob(ctx, c, true, func(job *wire.Map) (*states.Plan, error) {
		would := wire.NewMap()
		if v, ok := job.Get("enabled"); !ok || module.Truth(v) {
			would.Set(a.Name, "disabled")
		}
		return a.change(ctx, c, "schedule.disable_job", "Disabled job %s from schedule", would, true)
	})
}

// withJob plans for a job that there is; where there is none, nothing is to be done.
func (a scheduleArgs) withJob(ctx context.Context, c *states.Call, offline bool, plan func(job *wire.Map) (*states.Plan, error)) (*states.Plan, error) {
	jobs, err := a.jobs(ctx, c, offline)
	if err != nil {
		return nil, err
	}
	if !jobs.Has(a.Name) {
		return &states.Plan{Fine: fmt.Sprintf("Job %s not present in schedule", a.Name)}, nil
	}
	return plan(jobs.Map(a.Name))
}
