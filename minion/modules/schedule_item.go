package modules

import (
	"context"
	"fmt"
	"time"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pydate"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/minion/schedule"
	"github.com/gosalt/gosalt/protocol/wire"
)

type scheduleAddArgs struct {
	Name string // Name of the job.
	// The job's options: function=, job_args= (a list), job_kwargs= (a map); its time:
	// seconds=, minutes=, hours=, days=, when=, cron=, or once= with once_fmt=; splay=,
	// range=, skip_during_range=, run_after_skip_range=, until=, after=, run_on_start=,
	// maxrunning=, enabled=; what becomes of its result: return_job=, metadata=,
	// returner=, return_config=, return_kwargs=, jid_include=. Besides: test=True only
	// tells what would be done, persist=False does not save it, offline=True changes the
	// saved file.
	Kwargs *wire.Map `arg:"**"`
}

var scheduleIntervals = []string{"seconds", "minutes", "hours", "days"}

// conflict tells whether options that exclude each other are given: an interval with
// another kind of time, or when with cron.
func conflict(kw *wire.Map) (interval, both bool) {
	for _, k := range scheduleIntervals {
		interval = interval || kw.Has(k) && (kw.Has("when") || kw.Has("cron"))
	}
	return interval, kw.Has("when") && kw.Has("cron")
}

// scheduleBuildScheduleItem makes the options of a job as schedule.add would save them.
//
//	gosalt '*' schedule.build_schedule_item job1 function=test.ping seconds=3600
func scheduleBuildScheduleItem(_ context.Context, c *module.Call, a scheduleAddArgs) (*wire.Map, error) {
	item, wrong := buildItem(a.Name, a.Kwargs)
	if wrong != "" {
		return wire.NewMap("comment", wrong, "result", false), nil
	}
	return item, nil
}

// buildItem makes a job's options, or says what is wrong with those that are given.
func buildItem(name string, kw *wire.Map) (item *wire.Map, wrong string) {
	if name == "" {
		return nil, "Job name is required."
	}
	if _, ok := kw.Get("function"); !ok {
		return nil, "function is required: the name of the function that the job runs."
	}
	if interval, both := conflict(kw); interval {
		return nil, `Unable to use "seconds", "minutes", "hours", or "days" with "when" or "cron" options.`
	} else if both {
		return nil, `Unable to use "when" and "cron" options together.  Ignoring.`
	}
	item = wire.NewMap()
	take := func(names ...string) {
		for _, k := range names {
			if v, ok := kw.Get(k); ok {
				item.Set(k, v)
			}
		}
	}
	or := func(k string, def any) {
		item.Set(k, def)
		take(k)
	}
	take("function")
	take(scheduleIntervals...)
	take("return_job", "metadata")
	if v, ok := kw.Get("job_args"); ok {
		if _, isList := v.([]any); !isList {
			return nil, "job_args is not a list. please correct and try again."
		}
		item.Set("args", v)
	}
	if v, ok := kw.Get("job_kwargs"); ok {
		if _, isMap := v.(*wire.Map); !isMap {
			return nil, "job_kwargs is not a dict. please correct and try again."
		}
		item.Set("kwargs", v)
	}
	or("maxrunning", int64(1))
	item.Set("name", name)
	or("enabled", true)
	or("jid_include", true)
	if v, ok := kw.Get("splay"); ok {
		if m, isMap := v.(*wire.Map); isMap {
			if !m.Has("start") || !m.Has("end") {
				return nil, "splay is a map without start and end. please correct and try again."
			}
			start, _ := m.Get("start")
			end, _ := m.Get("end")
			v = wire.NewMap("start", start, "end", end)
		}
		item.Set("splay", v)
	}
	if v, ok := kw.Get("when"); ok {
		list, isList := v.([]any)
		if !isList {
			list = []any{v}
		}
		for _, w := range list {
			if s, isText := w.(string); isText {
				if _, err := pydate.Parse(s, time.Now()); err == nil {
					continue
				}
			}
			if _, isTime := w.(time.Time); isTime {
				continue
			}
			return nil, fmt.Sprintf(`Schedule item %s for "when" in invalid.`, pytext.Str(w))
		}
	}
	if v, ok := kw.Get("cron"); ok {
		if _, err := schedule.ParseCron(pytext.Str(v)); err != nil {
			return nil, fmt.Sprintf(`Schedule item %s for "cron" is invalid: %v.`, pytext.Str(v), err)
		}
	}
	take("range", "when", "once", "once_fmt", "cron", "returner", "after", "return_config", "return_kwargs", "until",
		"run_on_start", "skip_during_range", "run_after_skip_range")
	return item, ""
}

// scheduleAdd adds a job to the schedule, and saves it.
//
//	gosalt '*' schedule.add job1 function=test.ping seconds=3600
//	gosalt '*' schedule.add job2 function=cmd.run job_args="['date >> /tmp/date.log']" cron='*/5 * * * *'
func scheduleAdd(ctx context.Context, c *module.Call, a scheduleAddArgs) (*wire.Map, error) {
	kw, changes := a.Kwargs, wire.NewMap()
	answer := func(result bool, format string, args ...any) (*wire.Map, error) {
		return wire.NewMap("comment", fmt.Sprintf(format, args...), "result", result, "changes", changes), nil
	}
	offline := asked(kw, "offline")
	jobs, err := listed(ctx, c, "", offline)
	if err != nil {
		return nil, err
	}
	if jobs.Has(a.Name) && a.Name != "" {
		return answer(false, "Job %s already exists in schedule.", a.Name)
	}
	if interval, both := conflict(kw); interval {
		return answer(false, `Error: Unable to use "seconds", "minutes", "hours", or "days" with "when" or "cron" options.`)
	} else if both {
		return answer(false, `Unable to use "when" and "cron" options together.  Ignoring.`)
	}
	item, wrong := buildItem(a.Name, kw)
	if wrong != "" {
		return wire.NewMap("comment", wrong, "result", false), nil
	}
	if schedule.IsGlobal(a.Name) {
		return answer(false, "%s is a setting of the whole schedule, and no name of a job.", a.Name)
	}
	if asked(kw, "test") {
		return answer(true, "Job: %s would be added to schedule.", a.Name)
	}
	if offline {
		err = changeOffline(c, func(jobs *wire.Map) bool {
			jobs.Set(a.Name, item)
			return true
		})
	} else {
		_, _, err = manage(ctx, c, "add", "name", a.Name, "schedule", item, "persist", persists(kw))
	}
	if err != nil {
		return answer(false, "Failed to add job %s to schedule: %v.", a.Name, err)
	}
	changes.Set(a.Name, "added")
	return answer(true, "Added job: %s to schedule.", a.Name)
}

// scheduleModify replaces the options of a job, and saves them. Options that are not
// given, but for the function, are not kept.
//
//	gosalt '*' schedule.modify job1 function=test.ping seconds=3600
func scheduleModify(ctx context.Context, c *module.Call, a scheduleAddArgs) (*wire.Map, error) {
	kw, changes := a.Kwargs.Clone(), wire.NewMap()
	answer := func(result bool, format string, args ...any) (*wire.Map, error) {
		return wire.NewMap("comment", fmt.Sprintf(format, args...), "changes", changes, "result", result), nil
	}
	if interval, both := conflict(kw); interval {
		return answer(false, `Error: Unable to use "seconds", "minutes", "hours", or "days" with "when" option.`)
	} else if both {
		return answer(false, `Unable to use "when" and "cron" options together.  Ignoring.`)
	}
	offline := asked(kw, "offline")
	jobs, err := listed(ctx, c, "", offline)
	if err != nil {
		return nil, err
	}
	old := jobs.Map(a.Name)
	if old == nil {
		return answer(false, "Job %s does not exist in schedule.", a.Name)
	}
	if !kw.Has("function") {
		f, _ := old.Get("function")
		kw.Set("function", f)
	}
	item, wrong := buildItem(a.Name, kw)
	if wrong != "" {
		return wire.NewMap("comment", wrong, "result", false), nil
	}
	if pytext.Equal(item, old) {
		return answer(true, "Job %s in correct state", a.Name)
	}
	changes.Set(a.Name, wire.NewMap("old", old, "new", item))
	if asked(kw, "test") {
		return answer(true, "Job: %s would be modified in schedule.", a.Name)
	}
	if offline {
		err = changeOffline(c, func(jobs *wire.Map) bool {
			was := jobs.Map(a.Name)
			if was == nil {
				return false
			}
			for k, v := range item.All() {
				was.SetAny(k, v)
			}
			return true
		})
	} else {
		_, _, err = manage(ctx, c, "modify", "name", a.Name, "schedule", item, "persist", persists(kw))
	}
	if err != nil {
		changes = wire.NewMap()
		return answer(false, "Failed to modify job %s in schedule: %v.", a.Name, err)
	}
	return answer(true, "Modified job: %s in schedule.", a.Name)
}

type scheduleMoveArgs struct {
	Name   string    // Name of the job.
	Target string    // Which minions are to have it: a glob of their ids.
	Kwargs *wire.Map `arg:"**"` // test=True only tells what would be done.
}

// scheduleMove moves a job to other minions, with publish.publish: the master has to
// allow it (peer).
//
//	gosalt 'web1' schedule.move job1 'web2'
func scheduleMove(ctx context.Context, c *module.Call, a scheduleMoveArgs) (*wire.Map, error) {
	return handOver(ctx, c, a, true)
}

// scheduleCopy copies a job to other minions, with publish.publish: the master has to
// allow it (peer).
//
//	gosalt 'web1' schedule.copy job1 'web*'
func scheduleCopy(ctx context.Context, c *module.Call, a scheduleMoveArgs) (*wire.Map, error) {
	return handOver(ctx, c, a, false)
}

func handOver(ctx context.Context, c *module.Call, a scheduleMoveArgs, move bool) (*wire.Map, error) {
	ret := wire.NewMap("comment", "", "result", true)
	answer := func(result bool, format string, args ...any) (*wire.Map, error) {
		ret.Set("comment", fmt.Sprintf(format, args...))
		ret.Set("result", result)
		return ret, nil
	}
	verb := "copied"
	if move {
		verb = "moved"
	}
	if asked(a.Kwargs, "test") {
		return answer(true, "Job: %s would be %s from schedule.", a.Name, verb)
	}
	jobs, err := listed(ctx, c, "", false)
	if err != nil {
		return nil, err
	}
	job := jobs.Map(a.Name)
	if job == nil {
		return answer(false, "Job %s does not exist.", a.Name)
	}
	// schedule.add takes the arguments of the function under other names.
	options := []any{a.Name}
	for k, v := range job.Strings() {
		switch k {
		case "name":
			continue
		case "args", "kwargs":
			k = "job_" + k
		}
		options = append(options, k+"="+pytext.Str(v))
	}
	v, err := c.Call(ctx, "publish.publish", []any{a.Target, "schedule.add", options}, nil)
	if err != nil {
		return answer(false, "Job %s could not be %s: %v.", a.Name, verb, err)
	}
	response, _ := v.(*wire.Map)
	minions, failed := []any{}, []any{}
	for id, v := range response.Strings() {
		minions = append(minions, id)
		if m, ok := v.(*wire.Map); !module.Truth(v) || ok && m.Has("result") && !m.Bool("result") {
			failed = append(failed, id)
		}
	}
	switch {
	case len(minions) == 0:
		return answer(false, "no servers answered the published schedule.add command")
	case len(failed) > 0:
		ret.Set("minions", failed)
		return answer(false, "the following minions return False")
	}
	ret.Set("minions", minions)
	if !move {
		return answer(true, "Copied Job %s from schedule to minion(s).", a.Name)
	}
	if _, _, err := manage(ctx, c, "delete", "name", a.Name, "persist", true); err != nil {
		return answer(false, "Job %s was copied, but could not be deleted here: %v.", a.Name, err)
	}
	return answer(true, "Moved Job %s from schedule.", a.Name)
}
