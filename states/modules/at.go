package modules

import (
	"context"
	"fmt"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

func init() {
	register("at.present", atPresent)
	register("at.absent", atAbsent)
	register("at.watch", atWatch)
	register("at.mod_watch", atModWatch)
}

type atPresentArgs struct {
	Name      string // The command.
	Timespec  any    // When it runs: "now + 1 hour", "9:09 11/04/27".
	Tag       any    `default:"None"`  // A word to know the job by.
	User      any    `default:"None"`  // Who runs it.
	Job       any    `default:"None"`  // The command, in place of name.
	UniqueTag bool   `default:"False"` // Only where there is no job of this tag.
}

// atThere tells whether at is.
func atThere(c *states.Call, err error) error {
	if unavailable(err) {
		return notFound(c, "'at' __virtual__ returned False: at module could not be loaded")
	}
	return err
}

// atFind asks at for jobs.
func atFind(ctx context.Context, c *states.Call, fun string, a []any, kwargs *wire.Map) ([]any, error) {
	v, err := c.Call.Call(ctx, fun, a, kwargs)
	m, _ := v.(*wire.Map)
	return m.List("jobs"), atThere(c, err)
}

// atPresent has a command run at a time, once. Each run of the state makes a job, unless
// unique_tag says that one of its tag will do.
func atPresent(ctx context.Context, c *states.Call, a atPresentArgs) (*states.Plan, error) {
	job := a.Name
	if module.Truth(a.Job) {
		job = pytext.Str(a.Job)
	}
	when := pytext.Str(a.Timespec)
	if a.UniqueTag {
		if !module.Truth(a.Tag) {
			return nil, module.Failf("no tag provided and unique_tag is set to True")
		}
		jobs, err := atFind(ctx, c, "at.jobcheck", nil, wire.NewMap("tag", a.Tag))
		if err != nil {
			return nil, err
		}
		if len(jobs) > 0 {
			return &states.Plan{Fine: fmt.Sprintf("atleast one job with tag %s exists.", pytext.Str(a.Tag))}, nil
		}
	} else if _, err := atFind(ctx, c, "at.atq", nil, nil); err != nil {
		return nil, err
	}
	p := &states.Plan{Would: fmt.Sprintf("job %s added and will run on %s", job, when), Did: fmt.Sprintf("job %s added and will run on %s", job, when)}
	kw := wire.NewMap("tag", a.Tag)
	if module.Truth(a.User) {
		user := pytext.Str(a.User)
		v, err := c.Call.Call(ctx, "user.info", args(user), nil)
		if err != nil {
			return nil, err
		}
		if !module.Truth(v) && !userToCome(c, user) {
			return nil, module.Failf("user %s does not exists", user)
		}
		p.Did = fmt.Sprintf("job %s added and will run as %s on %s", job, user, when)
		kw.Set("runas", user)
	}
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		v, err := c.Call.Call(ctx, "at.at", args(when, job), kw)
		if err != nil {
			return err
		}
		ret, _ := v.(*wire.Map)
		if why := ret.Text("error"); why != "" {
			return module.Failf("%s", why)
		}
		if l := ret.List("jobs"); len(l) > 0 {
			if m, ok := l[0].(*wire.Map); ok {
				r.SetChanges(m)
			}
		}
		return nil
	})
	return p, nil
}

type atAbsentArgs struct {
	Name   string    // Anything.
	Jobid  any       `default:"None"` // Number of a job.
	Kwargs *wire.Map `arg:"**"`       // Conditions, as for at.jobcheck: runas, tag, hour, minute, day, month, year. Without any all jobs go.
}

// atAbsent makes sure that jobs do not wait any more.
func atAbsent(ctx context.Context, c *states.Call, a atAbsentArgs) (*states.Plan, error) {
	kw := wire.NewMap()
	for k, v := range a.Kwargs.Strings() {
		if !strings.HasPrefix(k, "__") && k != "sfun" {
			kw.Set(k, v)
		}
	}
	if kw.Has("limit") {
		return nil, module.Failf("limit parameter not supported %s", a.Name)
	}
	var jobs []any
	var err error
	single := module.Truth(a.Jobid)
	switch {
	case single:
		jobs, err = atFind(ctx, c, "at.atq", args(a.Jobid), nil)
	case kw.Len() > 0:
		jobs, err = atFind(ctx, c, "at.jobcheck", nil, kw)
	default:
		jobs, err = atFind(ctx, c, "at.atq", nil, nil)
	}
	if err != nil {
		return nil, err
	}
	id := pytext.Str(a.Jobid)
	switch {
	case single && len(jobs) == 0:
		return &states.Plan{Fine: fmt.Sprintf("job with id %s not present", id)}, nil
	case single && len(jobs) > 1:
		return nil, module.Failf("more than one job was return for job with id %s", id)
	case len(jobs) == 0:
		return &states.Plan{Fine: "removed 0 job(s)"}, nil
	}
	var ids []any
	for _, j := range jobs {
		m, _ := j.(*wire.Map)
		ids = append(ids, pytext.Str(get(m, "job")))
	}
	p := &states.Plan{Would: "removed ? job(s)"}
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		v, err := c.Call.Call(ctx, "at.atrm", ids, nil)
		if err != nil {
			return err
		}
		ret, _ := v.(*wire.Map)
		removed := ret.Map("jobs").List("removed")
		if len(removed) > 0 {
			r.Change("removed", removed)
		}
		r.Comment = fmt.Sprintf("removed %d job(s)", len(removed))
		if single {
			if len(removed) == 0 {
				return module.Failf("failed to remove job with id %s", id)
			}
			r.Comment = fmt.Sprintf("job with id %s was removed", id)
		}
		return nil
	})
	return p, nil
}

// atWatch has a command run at a time, when something that it watches has changed.
func atWatch(context.Context, *states.Call, atPresentArgs) (*states.Plan, error) {
	return &states.Plan{}, nil
}

type atModWatchArgs struct {
	Name   string    // The command.
	Sfun   string    `default:""` // The function that watches.
	Kwargs *wire.Map `arg:"**"`   // Its arguments.
}

// atModWatch makes the job of at.watch.
func atModWatch(ctx context.Context, c *states.Call, a atModWatchArgs) (*states.Plan, error) {
	if a.Sfun != "watch" {
		return states.Decided(false, nil, ""), nil
	}
	kw := wire.NewMap()
	for k, v := range a.Kwargs.Strings() {
		if !strings.HasPrefix(k, "__") {
			kw.Set(k, v)
		}
	}
	return states.Hand(ctx, c, atPresent, a.Name, kw)
}
