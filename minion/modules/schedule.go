package modules

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pydate"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/yamlarg"
	"github.com/gosalt/gosalt/minion/schedule"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("schedule.list", scheduleList)
	register("schedule.is_enabled", scheduleIsEnabled)
	register("schedule.add", scheduleAdd)
	register("schedule.modify", scheduleModify)
	register("schedule.delete", scheduleDelete)
	register("schedule.purge", schedulePurge)
	register("schedule.build_schedule_item", scheduleBuildScheduleItem)
	register("schedule.run_job", scheduleRunJob)
	register("schedule.enable_job", scheduleEnableJob)
	register("schedule.disable_job", scheduleDisableJob)
	register("schedule.enable", scheduleEnable)
	register("schedule.disable", scheduleDisable)
	register("schedule.save", scheduleSave)
	register("schedule.reload", scheduleReload)
	register("schedule.move", scheduleMove)
	register("schedule.copy", scheduleCopy)
	register("schedule.postpone_job", schedulePostponeJob)
	register("schedule.skip_job", scheduleSkipJob)
	register("schedule.show_next_fire_time", scheduleShowNextFireTime)
	register("schedule.job_status", scheduleJobStatus)
}

// scheduleEntries are the options of a job that schedule.list shows.
var scheduleEntries = []string{"name", "maxrunning", "function", "splay", "range", "when", "once", "once_fmt", "returner",
	"jid_include", "args", "kwargs", "_seconds", "seconds", "minutes", "hours", "days", "enabled", "return_job", "metadata",
	"cron", "until", "after", "return_config", "return_kwargs", "run_on_start", "skip_during_range", "run_after_skip_range"}

// manage asks the minion's scheduler. The error says what it could not do; pillar that
// this is because the job is in the pillar.
func manage(ctx context.Context, c *module.Call, fun string, kv ...any) (answer *wire.Map, pillar bool, err error) {
	if c.Schedule == nil {
		return wire.NewMap(), false, errNoMinion
	}
	req := wire.NewMap(kv...)
	req.Set("func", fun)
	answer, err = c.Schedule(ctx, req)
	if err != nil {
		return wire.NewMap(), false, err
	}
	if text := answer.Text("error"); text != "" {
		return answer, answer.Bool("pillar"), errors.New(text)
	}
	return answer, false, nil
}

// errNoMinion is why a schedule cannot be changed without a minion that runs.
var errNoMinion = errors.New("no minion runs here; offline=True changes its file")

// scheduleFile is where the minion keeps its schedule.
func scheduleFile(c *module.Call) string {
	dir := c.Opts.Text("conf_dir")
	if dir == "" {
		dir = filepath.Dir(c.Opts.Text("conf_file"))
	}
	include := c.Opts.Text("default_include")
	if include == "" {
		include = "minion.d/*.conf"
	}
	return c.Host.Path(filepath.Join(dir, filepath.Dir(include), "_schedule.conf"))
}

// savedSchedule is what is in that file.
func savedSchedule(c *module.Call, file string) (*wire.Map, error) {
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return wire.NewMap(), nil
	}
	if err != nil {
		return nil, module.Failf("read the saved schedule: %w", err)
	}
	v, err := yamlarg.Load(string(b))
	if err != nil {
		return nil, module.Failf("Unable to read existing schedule file: %s: %w", file, err)
	}
	m, _ := v.(*wire.Map)
	if m = m.Map("schedule"); m == nil {
		m = wire.NewMap()
	}
	return m, nil
}

type scheduleListArgs struct {
	ShowAll      bool   `default:"False"`                  // Show the minion's own jobs too, whose names begin with __.
	ShowDisabled bool   `default:"True"`                   // Show the jobs that are turned off.
	Where        string `default:"None"`                   // Only those of the configuration (opts) or the pillar (pillar).
	ReturnYAML   bool   `arg:"return_yaml" default:"True"` // Return text in YAML, not a map.
	Offline      bool   `default:"False"`                  // Read the saved file: the minion need not run.
}

// scheduleList lists the jobs that the minion starts by itself.
//
//	gosalt '*' schedule.list
//	gosalt '*' schedule.list show_disabled=False
func scheduleList(ctx context.Context, c *module.Call, a scheduleListArgs) (any, error) {
	saved, err := savedSchedule(c, scheduleFile(c))
	if err != nil {
		return nil, err
	}
	jobs := saved
	if !a.Offline && c.Schedule != nil {
		if jobs, err = currentSchedule(ctx, c, a.Where); err != nil {
			return nil, module.Failf("list the schedule: %w", err)
		}
	}
	jobs = visible(jobs, a.ShowAll, a.ShowDisabled)
	if !a.ReturnYAML {
		return jobs, nil
	}
	for name, v := range jobs.Strings() {
		if job, ok := v.(*wire.Map); ok {
			job.Set("saved", saved.Has(name))
		}
	}
	return pytext.YAML(wire.NewMap("schedule", jobs), 2, false), nil
}

func currentSchedule(ctx context.Context, c *module.Call, where string) (*wire.Map, error) {
	answer, _, err := manage(ctx, c, "list", "where", where)
	if err != nil {
		return nil, err
	}
	m := answer.Map("schedule")
	if m == nil {
		m = wire.NewMap()
	}
	return m, nil
}

// visible leaves out what schedule.list does not show.
func visible(jobs *wire.Map, all, disabled bool) *wire.Map {
	out := wire.NewMap()
	for name, v := range jobs.Strings() {
		if slices.Contains([]string{"enabled", "skip_function", "skip_during_range"}, name) {
			out.Set(name, v)
			continue
		}
		if strings.HasPrefix(name, "__") && !all {
			continue
		}
		job, ok := v.(*wire.Map)
		if !ok {
			out.Set(name, v)
			continue
		}
		shown := wire.NewMap()
		for k, v := range job.Strings() {
			if v == nil || !slices.Contains(scheduleEntries, k) || k == "_seconds" {
				continue
			}
			switch v {
			case "true":
				v = true
			case "false":
				v = false
			}
			shown.Set(k, v)
		}
		if !shown.Has("enabled") {
			shown.Set("enabled", true)
		}
		if on, _ := shown.Get("enabled"); disabled || module.Truth(on) {
			out.Set(name, shown)
		}
	}
	return out
}

// listed is the schedule as the functions look a job up in it; offline or without a
// minion that of the file.
func listed(ctx context.Context, c *module.Call, where string, offline bool) (*wire.Map, error) {
	if offline || c.Schedule == nil {
		saved, err := savedSchedule(c, scheduleFile(c))
		if err != nil {
			return nil, err
		}
		return visible(saved, true, true), nil
	}
	jobs, err := currentSchedule(ctx, c, where)
	if err != nil {
		return nil, module.Failf("list the schedule: %w", err)
	}
	return visible(jobs, true, true), nil
}

type scheduleIsEnabledArgs struct {
	Name string `default:"None"` // Name of a job; without it the whole schedule is meant.
}

// scheduleIsEnabled returns the options of a job, "enabled" among them, or, without a
// name, whether the schedule is turned on.
//
//	gosalt '*' schedule.is_enabled name=job1
//	gosalt '*' schedule.is_enabled
func scheduleIsEnabled(ctx context.Context, c *module.Call, a scheduleIsEnabledArgs) (any, error) {
	jobs, err := listed(ctx, c, "", false)
	if err != nil {
		return nil, err
	}
	if a.Name == "" {
		if on, ok := jobs.Get("enabled"); ok {
			return on, nil
		}
		return true, nil
	}
	if v, ok := jobs.Get(a.Name); ok && !strings.HasPrefix(a.Name, "__") {
		return v, nil
	}
	return wire.NewMap(), nil
}

type scheduleJobArgs struct {
	Name   string    // Name of the job.
	Kwargs *wire.Map `arg:"**"` // test=True only tells what would be done, persist=False does not save it; offline=True changes the saved file, where a minion need not run.
}

// asked tells whether an option is given and true.
func asked(kw *wire.Map, name string) bool {
	v, _ := kw.Get(name)
	return module.Truth(v)
}

// persists tells whether a change is to be saved.
func persists(kw *wire.Map) bool {
	v, ok := kw.Get("persist")
	return !ok || module.Truth(v)
}

// scheduleDelete deletes a job.
//
//	gosalt '*' schedule.delete job1
func scheduleDelete(ctx context.Context, c *module.Call, a scheduleJobArgs) (*wire.Map, error) {
	answer := func(result bool, format string, args ...any) (*wire.Map, error) {
		changes := wire.NewMap()
		if result && !asked(a.Kwargs, "test") {
			changes.Set(a.Name, "removed")
		}
		return wire.NewMap("comment", fmt.Sprintf(format, args...), "result", result, "changes", changes), nil
	}
	if asked(a.Kwargs, "test") {
		return answer(true, "Job: %s would be deleted from schedule.", a.Name)
	}
	if a.Name == "" {
		return answer(false, "Job name is required.")
	}
	if asked(a.Kwargs, "offline") {
		err := changeOffline(c, func(jobs *wire.Map) bool {
			had := jobs.Has(a.Name)
			jobs.Delete(a.Name)
			return had
		})
		if errors.Is(err, errNoJob) {
			return answer(false, "Job %s does not exist.", a.Name)
		}
		if err != nil {
			return nil, err
		}
		return answer(true, "Deleted Job %s from schedule.", a.Name)
	}
	jobs, err := listed(ctx, c, "", false)
	if err != nil {
		return nil, err
	}
	if jobs.Map(a.Name) == nil {
		return answer(false, "Job %s does not exist.", a.Name)
	}
	if _, _, err := manage(ctx, c, "delete", "name", a.Name, "persist", persists(a.Kwargs)); err != nil {
		return answer(false, "Failed to delete job %s from schedule: %v.", a.Name, err)
	}
	return answer(true, "Deleted Job %s from schedule.", a.Name)
}

// errNoJob says that a job to be changed in the file is not there.
var errNoJob = errors.New("no such job")

// changeOffline changes the saved file; change is false where there is nothing to be changed.
func changeOffline(c *module.Call, change func(jobs *wire.Map) bool) error {
	file := scheduleFile(c)
	jobs, err := savedSchedule(c, file)
	if err != nil {
		return err
	}
	if !change(jobs) {
		return errNoJob
	}
	for name, v := range jobs.Strings() { // what Salt writes, too
		if job, ok := v.(*wire.Map); ok && !schedule.IsGlobal(name) && !job.Has("enabled") {
			job.Set("enabled", true)
		}
	}
	if err := schedule.WriteFile(file, jobs); err != nil {
		return module.Failf("%w", err)
	}
	return nil
}

type schedulePurgeArgs struct {
	Kwargs *wire.Map `arg:"**"` // test=True only tells what would be done, persist=False does not save it; offline=True changes the saved file.
}

// schedulePurge deletes all jobs that are not in the pillar.
//
//	gosalt '*' schedule.purge
func schedulePurge(ctx context.Context, c *module.Call, a schedulePurgeArgs) (*wire.Map, error) {
	offline := asked(a.Kwargs, "offline")
	jobs, err := listed(ctx, c, "", offline)
	if err != nil {
		return nil, err
	}
	comments, changes := []any{}, wire.NewMap()
	for name, v := range jobs.Strings() {
		if _, isJob := v.(*wire.Map); !isJob || schedule.IsGlobal(name) || strings.HasPrefix(name, "__") {
			continue
		}
		if asked(a.Kwargs, "test") {
			comments = append(comments, fmt.Sprintf("Job: %s would be deleted from schedule.", name))
			continue
		}
		if !offline {
			if _, _, err := manage(ctx, c, "delete", "name", name, "persist", persists(a.Kwargs)); err != nil {
				comments = append(comments, fmt.Sprintf("Failed to delete job %s from schedule: %v.", name, err))
				continue
			}
		}
		comments = append(comments, fmt.Sprintf("Deleted job: %s from schedule.", name))
		changes.Set(name, "removed")
	}
	if offline && changes.Len() > 0 {
		err := changeOffline(c, func(jobs *wire.Map) bool {
			for name := range changes.Strings() {
				jobs.Delete(name)
			}
			return true
		})
		if err != nil {
			return nil, err
		}
	}
	return wire.NewMap("comment", comments, "changes", changes, "result", true), nil
}

type scheduleRunJobArgs struct {
	Name  string // Name of the job.
	Force bool   `default:"False"` // Run it even if it is turned off.
}

// scheduleRunJob runs a job now, whatever its times are.
//
//	gosalt '*' schedule.run_job job1
//	gosalt '*' schedule.run_job job1 force=True
func scheduleRunJob(ctx context.Context, c *module.Call, a scheduleRunJobArgs) (*wire.Map, error) {
	jobs, err := listed(ctx, c, "", false)
	if err != nil {
		return nil, err
	}
	job := jobs.Map(a.Name)
	if job == nil {
		return wire.NewMap("comment", fmt.Sprintf("Job %s does not exist.", a.Name), "result", false), nil
	}
	if on, _ := job.Get("enabled"); !module.Truth(on) && !a.Force {
		return wire.NewMap("comment", fmt.Sprintf("Job %s is disabled.", a.Name), "result", true), nil
	}
	if _, _, err := manage(ctx, c, "run_job", "name", a.Name); err != nil {
		return wire.NewMap("comment", fmt.Sprintf("Failed to run job %s on minion: %v.", a.Name, err), "result", false), nil
	}
	return wire.NewMap("comment", fmt.Sprintf("Scheduling Job %s on minion.", a.Name), "result", true), nil
}

// scheduleEnableJob turns a job on.
//
//	gosalt '*' schedule.enable_job job1
func scheduleEnableJob(ctx context.Context, c *module.Call, a scheduleJobArgs) (*wire.Map, error) {
	return turnJob(ctx, c, a, "enable")
}

// scheduleDisableJob turns a job off; it stays in the schedule.
//
//	gosalt '*' schedule.disable_job job1
func scheduleDisableJob(ctx context.Context, c *module.Call, a scheduleJobArgs) (*wire.Map, error) {
	return turnJob(ctx, c, a, "disable")
}

func turnJob(ctx context.Context, c *module.Call, a scheduleJobArgs, verb string) (*wire.Map, error) {
	changes := wire.NewMap()
	answer := func(result bool, format string, args ...any) (*wire.Map, error) {
		return wire.NewMap("comment", fmt.Sprintf(format, args...), "result", result, "changes", changes), nil
	}
	if asked(a.Kwargs, "test") || asked(c.Opts, "test") {
		return answer(true, "Job: %s would be %sd in schedule.", a.Name, verb)
	}
	jobs, err := listed(ctx, c, "", false)
	if err != nil {
		return nil, err
	}
	if jobs.Map(a.Name) == nil {
		return answer(false, "Job %s does not exist.", a.Name)
	}
	if _, _, err := manage(ctx, c, verb+"_job", "name", a.Name, "persist", persists(a.Kwargs)); err != nil {
		return answer(false, "Failed to %s job %s in schedule: %v.", verb, a.Name, err)
	}
	changes.Set(a.Name, verb+"d")
	return answer(true, "%sd Job %s in schedule.", strings.ToUpper(verb[:1])+verb[1:], a.Name)
}

// scheduleEnable turns the whole schedule on.
//
//	gosalt '*' schedule.enable
func scheduleEnable(ctx context.Context, c *module.Call, a schedulePurgeArgs) (*wire.Map, error) {
	return turnAll(ctx, c, a.Kwargs, "enable")
}

// scheduleDisable turns the whole schedule off: no job starts by itself.
//
//	gosalt '*' schedule.disable
func scheduleDisable(ctx context.Context, c *module.Call, a schedulePurgeArgs) (*wire.Map, error) {
	return turnAll(ctx, c, a.Kwargs, "disable")
}

func turnAll(ctx context.Context, c *module.Call, kw *wire.Map, verb string) (*wire.Map, error) {
	if asked(kw, "test") {
		return wire.NewMap("comment", fmt.Sprintf("Schedule would be %sd.", verb), "changes", wire.NewMap(), "result", true), nil
	}
	if _, _, err := manage(ctx, c, verb, "persist", persists(kw)); err != nil {
		return wire.NewMap("comment", fmt.Sprintf("Failed to %s schedule on minion: %v.", verb, err), "changes", wire.NewMap(), "result", false), nil
	}
	return wire.NewMap("comment", fmt.Sprintf("%sd schedule on minion.", strings.ToUpper(verb[:1])+verb[1:]),
		"changes", wire.NewMap("schedule", verb+"d"), "result", true), nil
}

// scheduleSave saves the jobs that are not in the pillar.
//
//	gosalt '*' schedule.save
func scheduleSave(ctx context.Context, c *module.Call, a schedulePurgeArgs) (*wire.Map, error) {
	if asked(a.Kwargs, "test") {
		return wire.NewMap("comment", "Schedule would be saved.", "result", true), nil
	}
	if _, _, err := manage(ctx, c, "save_schedule"); err != nil {
		return wire.NewMap("comment", fmt.Sprintf("Failed to save schedule: %v.", err), "result", false), nil
	}
	return wire.NewMap("comment", "Schedule (non-pillar items) saved.", "result", true), nil
}

// scheduleReload reads the saved jobs, and those of the pillar, anew.
//
//	gosalt '*' schedule.reload
func scheduleReload(ctx context.Context, c *module.Call, _ noArgs) (*wire.Map, error) {
	comments, result := []any{}, true
	say := func(ok bool, format string, args ...any) {
		comments, result = append(comments, fmt.Sprintf(format, args...)), result && ok
	}
	if c.Pillar().Has("schedule") {
		if _, err := refresh(ctx, c, "pillar"); err != nil {
			say(false, "Failed to reload schedule from pillar on minion: %v.", err)
		} else {
			say(true, "Reloaded schedule from pillar on minion.")
		}
	}
	file := scheduleFile(c)
	// The name that Salt looks for, and the one that it writes.
	for _, file := range []string{filepath.Join(filepath.Dir(file), "schedule.conf"), file} {
		if _, err := os.Stat(file); err != nil {
			continue
		}
		saved, err := savedSchedule(c, file)
		switch {
		case err != nil:
			say(false, "%v", err)
		case saved.Len() == 0:
			say(false, "Failed to reload schedule on minion.  Saved file is empty or invalid.")
		default:
			if _, _, err := manage(ctx, c, "reload", "schedule", saved); err != nil {
				say(false, "Failed to reload schedule on minion from %s: %v.", strings.TrimPrefix(filepath.Base(file), "_"), err)
			} else {
				say(true, "Reloaded schedule on minion from %s.", strings.TrimPrefix(filepath.Base(file), "_"))
			}
		}
		break
	}
	return wire.NewMap("comment", comments, "result", result), nil
}

// timeFormat is the form of times that functions take where no other is given.
const timeFormat = "%Y-%m-%dT%H:%M:%S"

type schedulePostponeJobArgs struct {
	Name        string    // Name of the job.
	CurrentTime string    // When it would run.
	NewTime     string    // When it is to run instead.
	Kwargs      *wire.Map `arg:"**"` // time_fmt= is the form of the times, %Y-%m-%dT%H:%M:%S without it.
}

// schedulePostponeJob leaves out one run of a job, and has it at another time instead.
//
//	gosalt '*' schedule.postpone_job job1 2026-12-24T08:00:00 2026-12-24T10:00:00
func schedulePostponeJob(ctx context.Context, c *module.Call, a schedulePostponeJobArgs) (*wire.Map, error) {
	return shiftJob(ctx, c, a.Name, a.CurrentTime, a.NewTime, a.Kwargs, true)
}

type scheduleSkipJobArgs struct {
	Name        string    // Name of the job.
	CurrentTime string    // When it would run.
	Kwargs      *wire.Map `arg:"**"` // time_fmt= is the form of the time, %Y-%m-%dT%H:%M:%S without it.
}

// scheduleSkipJob leaves out one run of a job.
//
//	gosalt '*' schedule.skip_job job1 2026-12-24T08:00:00
func scheduleSkipJob(ctx context.Context, c *module.Call, a scheduleSkipJobArgs) (*wire.Map, error) {
	return shiftJob(ctx, c, a.Name, a.CurrentTime, "", a.Kwargs, false)
}

func shiftJob(ctx context.Context, c *module.Call, name, at, instead string, kw *wire.Map, postpone bool) (*wire.Map, error) {
	answer := func(result bool, format string, args ...any) (*wire.Map, error) {
		return wire.NewMap("comment", fmt.Sprintf(format, args...), "result", result), nil
	}
	format := kw.Text("time_fmt")
	if format == "" {
		format = timeFormat
	}
	switch {
	case name == "":
		return answer(false, "Job name is required.")
	case at == "" && postpone:
		return answer(false, "Job current time is required.")
	case at == "":
		return answer(false, "Job time is required.")
	case instead == "" && postpone:
		return answer(false, "Job new_time is required.")
	}
	for _, t := range []string{at, instead} {
		if t == "" {
			continue
		}
		if _, err := pydate.Strptime(t, format, time.Local); err != nil {
			return answer(false, "Date string could not be parsed.")
		}
	}
	verb, done, fun := "skip", "Added Skip Job %s in schedule.", "skip_job"
	if postpone {
		verb, done, fun = "postpone", "Postponed Job %s in schedule.", "postpone_job"
	}
	if asked(c.Opts, "test") {
		return answer(true, "Job: %s would be %sd in schedule.", name, strings.Replace(verb, "skip", "skippe", 1))
	}
	jobs, err := listed(ctx, c, "", false)
	if err != nil {
		return nil, err
	}
	if jobs.Map(name) == nil {
		return answer(false, "Job %s does not exist.", name)
	}
	if _, _, err := manage(ctx, c, fun, "name", name, "time", at, "new_time", instead, "time_fmt", format); err != nil {
		return answer(false, "Failed to %s job %s in schedule: %v.", verb, name, err)
	}
	return answer(true, done, name)
}

type scheduleShowNextFireTimeArgs struct {
	Name   string    // Name of the job.
	Kwargs *wire.Map `arg:"**"` // Without effect.
}

// scheduleShowNextFireTime tells when a job runs next.
//
//	gosalt '*' schedule.show_next_fire_time job1
func scheduleShowNextFireTime(ctx context.Context, c *module.Call, a scheduleShowNextFireTimeArgs) (*wire.Map, error) {
	answer, _, err := manage(ctx, c, "get_next_fire_time", "name", a.Name)
	if err != nil {
		return wire.NewMap("result", false, "comment", fmt.Sprintf("next fire time not available: %v.", err)), nil
	}
	t, _ := answer.Get("next_fire_time")
	return wire.NewMap("result", true, "next_fire_time", t), nil
}

type scheduleJobStatusArgs struct {
	Name    string // Name of the job.
	TimeFmt string `default:"%Y-%m-%dT%H:%M:%S"` // Form of the times.
}

// scheduleJobStatus returns the options of a job, and what the scheduler knows of it:
// when it ran last and runs next, and why it was skipped.
//
//	gosalt '*' schedule.job_status job1
func scheduleJobStatus(ctx context.Context, c *module.Call, a scheduleJobStatusArgs) (*wire.Map, error) {
	answer, _, err := manage(ctx, c, "job_status", "name", a.Name)
	if err != nil {
		return nil, module.Failf("status of job %s: %w", a.Name, err)
	}
	out := wire.NewMap()
	for k, v := range answer.Map("data").Strings() {
		if t, ok := v.(time.Time); ok {
			v = pydate.Strftime(t.Local(), a.TimeFmt)
		}
		out.Set(k, v)
	}
	return out, nil
}
