package runners

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/master/jobs"
	"github.com/gosalt/gosalt/protocol/wire"
)

func registerJobs(r *module.Registry) {
	module.Register(r, "jobs.active", jobsActive)
	module.Register(r, "jobs.exit_success", jobsExitSuccess)
	module.Register(r, "jobs.last_run", jobsLastRun)
	module.Register(r, "jobs.list_job", jobsListJob)
	module.Register(r, "jobs.list_jobs", jobsListJobs)
	module.Register(r, "jobs.list_jobs_filter", jobsListJobsFilter)
	module.Register(r, "jobs.lookup_jid", jobsLookupJID)
	module.Register(r, "jobs.master", jobsMaster)
	module.Register(r, "jobs.print_job", jobsPrintJob)
}

// storedLimits are for what lies in the job store: it was checked on its way in.
var storedLimits = wire.Limits{Depth: 256, Elements: 50_000_000, Bytes: 256 << 20}

// noJob is Salt's text for a job that is not in the store.
const noJob = "Cannot contact returner or no job with this jid"

// jobReturns yields the returns of a job by minion id, as the minions sent them. A
// text that is no job id has none, nor has one of a master with job_cache: False.
func jobReturns(ctx context.Context, jid string) iter.Seq2[jobReturn, error] {
	return func(yield func(jobReturn, error) bool) {
		id, err := wire.ParseJobID(jid)
		if err != nil {
			return
		}
		for ret, err := range store(ctx).Returns(ctx, id) {
			if err != nil {
				yield(jobReturn{}, err)
				return
			}
			load, err := wire.DecodeMap(ret.Load, wire.Local, storedLimits)
			if err != nil {
				err = fmt.Errorf("read the stored return of %s to job %s: %w", ret.Minion, jid, err)
			} else if !load.Has("return") {
				continue // job_cache: False
			}
			if !yield(jobReturn{string(ret.Minion), load, ret.ReceivedAt}, err) || err != nil {
				return
			}
		}
	}
}

type jobReturn struct {
	minion   string
	load     *wire.Map
	received time.Time
}

// lateness is how long after a caller was told that a minion had not returned each
// late return came, by minion.
func lateness(ctx context.Context, jid string) (map[string]time.Time, error) {
	targets, err := jobTargets(ctx, jid)
	if err != nil {
		return nil, err
	}
	given := map[string]time.Time{}
	for _, t := range targets {
		if t.Returned && !t.GivenUpAt.IsZero() {
			given[string(t.Minion)] = t.GivenUpAt
		}
	}
	return given, nil
}

// late words how late a return came; "" for one in time.
func (r jobReturn) late(given map[string]time.Time) string {
	at, ok := given[r.minion]
	if !ok || !r.received.After(at) {
		return ""
	}
	return fmt.Sprintf("%s, %s after it was no longer waited for", r.received.UTC().Format(timeLayout), r.received.Sub(at).Round(time.Millisecond))
}

// value is what the function returned.
func (r jobReturn) value() any {
	v, _ := r.load.Get("return")
	return v
}

// result is the return as jobs.list_job shows it.
func (r jobReturn) result() *wire.Map {
	m := wire.NewMap()
	for _, key := range []string{"return", "retcode", "success", "out"} {
		if v, ok := r.load.Get(key); ok && (v != nil || key != "out") {
			m.Set(key, v)
		}
	}
	return m
}

// jobTargets are the minions that a job was meant for, by id.
func jobTargets(ctx context.Context, jid string) ([]jobs.Target, error) {
	id, err := wire.ParseJobID(jid)
	if err != nil {
		return nil, nil // as Salt: nothing is known of it
	}
	return store(ctx).Targets(ctx, id)
}

// told reports, on demand, which store is asked.
func told(c *module.Call, on bool, form string, source any) {
	if !on {
		return
	}
	name := "local_cache"
	if s, ok := source.(string); ok && s != "" {
		name = s
	}
	c.Progress(wire.NewMap("suffix", "progress", "event", wire.NewMap("message", fmt.Sprintf(form, name))))
}

const (
	tellJob  = "Querying returner: %s"
	tellJobs = "Querying returner %s for jobs."
)

type jobsLookupJIDArgs struct {
	JID             string `arg:"jid"`       // The job's id.
	ExtSource       any    `default:"None"`  // Look the jobs up in this returner: redis, postgres, pgjsonb.
	Returned        bool   `default:"True"`  // Give what has returned.
	Missing         bool   `default:"False"` // Give, for the minions that have not returned, why.
	DisplayProgress bool   `default:"False"` // Report which store is asked.
}

// jobsLookupJID returns what the minions of a job have returned so far. The result
// of states is shown as such.
//
//	gosalt-run jobs.lookup_jid 20261122063858048545
//	gosalt-run jobs.lookup_jid 20261122063858048545 missing=True
//	gosalt-run jobs.lookup_jid 20261122063858048545 --out=json
func jobsLookupJID(ctx context.Context, c *module.Call, a jobsLookupJIDArgs) (any, error) {
	told(c, a.DisplayProgress, tellJob, a.ExtSource)
	ctx, done, err := fromSource(ctx, a.ExtSource)
	if err != nil {
		return nil, err
	}
	defer done()
	out := wire.NewMap()
	outputter, first := "", true
	given, err := lateness(ctx, a.JID)
	if err != nil {
		return nil, err
	}
	for ret, err := range jobReturns(ctx, a.JID) {
		if err != nil {
			return nil, err
		}
		if first {
			outputter, first = ret.load.Text("out"), false
		}
		if a.Returned {
			out.Set(ret.minion, ret.value())
			if late := ret.late(given); late != "" {
				callOf(ctx).note("%s returned late: %s", ret.minion, late)
			}
		}
	}
	if a.Missing {
		targets, err := jobTargets(ctx, a.JID)
		if err != nil {
			return nil, err
		}
		for _, t := range targets {
			if !t.Returned {
				out.Set(string(t.Minion), "Minion did not return. "+callOf(ctx).r.master.Explain(ctx, wire.JobID(a.JID), t.Minion))
			}
		}
	}
	return withOutputter(outputter, out), nil
}

type jobsJobArgs struct {
	JID       string `arg:"jid"`      // The job's id.
	ExtSource any    `default:"None"` // Look the jobs up in this returner: redis, postgres, pgjsonb.
}

type jobsListJobArgs struct {
	JID             string `arg:"jid"`       // The job's id.
	ExtSource       any    `default:"None"`  // Look the jobs up in this returner: redis, postgres, pgjsonb.
	DisplayProgress bool   `default:"False"` // Report which store is asked.
}

// jobsListJob returns all that is known of a job: what was run, when, where and by
// whom, which minions it was meant for, and the whole result of each.
//
//	gosalt-run jobs.list_job 20261122063858048545
//	gosalt-run jobs.list_job 20261122063858048545 --out=json
func jobsListJob(ctx context.Context, c *module.Call, a jobsListJobArgs) (*wire.Map, error) {
	told(c, a.DisplayProgress, tellJob, a.ExtSource)
	ctx, done, err := fromSource(ctx, a.ExtSource)
	if err != nil {
		return nil, err
	}
	defer done()
	whole, err := wholeJob(ctx, a.JID)
	if err != nil {
		return nil, err
	}
	out := wire.NewMap("jid", a.JID)
	for k, v := range whole.Strings() {
		out.Set(k, v)
	}
	return out, nil
}

// jobsPrintJob returns the same as jobs.list_job, under the job's id.
//
//	gosalt-run jobs.print_job 20261122063858048545
func jobsPrintJob(ctx context.Context, _ *module.Call, a jobsJobArgs) (*wire.Map, error) {
	ctx, done, err := fromSource(ctx, a.ExtSource)
	if err != nil {
		return nil, err
	}
	defer done()
	return printJob(ctx, a.JID)
}

func printJob(ctx context.Context, jid string) (*wire.Map, error) {
	whole, err := wholeJob(ctx, jid)
	if err != nil {
		return nil, err
	}
	return wire.NewMap(jid, whole), nil
}

// wholeJob is a job with its minions and results.
func wholeJob(ctx context.Context, jid string) (*wire.Map, error) {
	out := wire.NewMap("Error", noJob)
	var end any
	if id, err := wire.ParseJobID(jid); err == nil {
		job, err := store(ctx).Job(ctx, id)
		if err != nil && !errors.Is(err, jobs.ErrUnknown) {
			return nil, err
		}
		if err == nil {
			out = jobMap(job)
			targets, err := jobTargets(ctx, jid)
			if err != nil {
				return nil, err
			}
			minions, queued := []any{}, wire.NewMap()
			for _, t := range targets {
				if queuedNow(t) {
					queued.Set(string(t.Minion), "until "+t.QueuedUntil.UTC().Format(timeLayout))
				}
				if string(t.Minion) != callOf(ctx).r.master.ID() { // who runs runners is no minion
					minions = append(minions, string(t.Minion))
				}
			}
			if len(minions) > 0 {
				out.Set("Minions", minions)
			}
			if queued.Len() > 0 {
				out.Set("Queued", queued)
			}
			end = endTime(job)
		}
	}
	out.Set("StartTime", startTime(jid))
	result := wire.NewMap()
	given, err := lateness(ctx, jid)
	if err != nil {
		return nil, err
	}
	for ret, err := range jobReturns(ctx, jid) {
		if err != nil {
			return nil, err
		}
		one := ret.result()
		if late := ret.late(given); late != "" {
			one.Set("late", late)
		}
		result.Set(ret.minion, one)
	}
	out.Set("Result", result)
	if end != nil {
		out.Set("EndTime", end)
	}
	return out, nil
}

// queuedNow tells whether a minion was away, and runs the job when it is back.
func queuedNow(t jobs.Target) bool {
	return t.State == jobs.Queued && !t.Returned && t.AckedAt.IsZero() && time.Now().Before(t.QueuedUntil)
}

// jobsExitSuccess tells for each minion of a job whether it returned something that
// is true: not False, nothing, zero or empty. The exit code does not count.
//
//	gosalt-run jobs.exit_success 20261122063858048545
func jobsExitSuccess(ctx context.Context, _ *module.Call, a jobsJobArgs) (*wire.Map, error) {
	ctx, done, err := fromSource(ctx, a.ExtSource)
	if err != nil {
		return nil, err
	}
	defer done()
	out := wire.NewMap()
	targets, err := jobTargets(ctx, a.JID)
	if err != nil {
		return nil, err
	}
	for _, t := range targets {
		out.Set(string(t.Minion), false)
	}
	for ret, err := range jobReturns(ctx, a.JID) {
		if err != nil {
			return nil, err
		}
		out.Set(ret.minion, module.Truth(ret.value()))
	}
	return out, nil
}

type jobsLastRunArgs struct {
	ExtSource       any    `default:"None"`  // Look the jobs up in this returner: redis, postgres, pgjsonb.
	Outputter       string `default:"None"`  // Show the job by this outputter.
	Metadata        any    `default:"None"`  // Only jobs with one of the entries of this map as metadata.
	Function        any    `default:"None"`  // Only jobs whose function matches: a glob, a list of them, or several with commas.
	Target          any    `default:"None"`  // Only jobs whose target matches, likewise.
	DisplayProgress bool   `default:"False"` // Of no effect: the answer is there at once.
}

// jobsLastRun returns the newest job, or the newest of some kind, as jobs.print_job
// does; False where there is none.
//
//	gosalt-run jobs.last_run
//	gosalt-run jobs.last_run target=web1
//	gosalt-run jobs.last_run function=cmd.run
//	gosalt-run jobs.last_run metadata='{"ticket": "OPS-1"}'
func jobsLastRun(ctx context.Context, _ *module.Call, a jobsLastRunArgs) (any, error) {
	ctx, done, err := fromSource(ctx, a.ExtSource)
	if err != nil {
		return nil, err
	}
	defer done()
	if _, isMap := a.Metadata.(*wire.Map); module.Truth(a.Metadata) && !isMap {
		return false, nil
	}
	f, none := filterOf(a.Metadata, a.Function, a.Target)
	if none {
		return false, nil
	}
	f.Limit = 1
	found, err := store(ctx).Search(ctx, f)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return false, nil
	}
	job, err := printJob(ctx, string(found[0].JID))
	if err != nil {
		return nil, err
	}
	return withOutputter(a.Outputter, job), nil
}

// jobMap is a job as Salt shows it, without its times.
func jobMap(j jobs.Job) *wire.Map {
	arg := j.Arg
	if arg == nil {
		arg = []any{}
	}
	m := wire.NewMap("Function", funOf(j), "Arguments", arg, "Target", j.Tgt, "Target-type", or(j.TgtType, "list"), "User", or(j.User, "root"))
	if j.Metadata != nil {
		m.Set("Metadata", j.Metadata)
	}
	return m
}

// funOf is the function of a job, or the list of those of a compound command.
func funOf(j jobs.Job) any {
	if !strings.Contains(j.Fun, ",") {
		return j.Fun
	}
	var list []any
	for _, f := range strings.Split(j.Fun, ",") {
		list = append(list, f)
	}
	return list
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

const timeLayout = "2006, Jan 02 15:04:05.000000"

// startTime is a job's start as Salt writes it, in UTC as its id is:
// "2026, Nov 22 06:37:56.703290". It is "" for what is no job id.
func startTime(jid string) string {
	t, err := wire.JobID(jid).Time()
	if err != nil || len(jid) > 20 && jid[20] != '_' {
		return ""
	}
	return t.Format(timeLayout)
}

// endTime is a job's end in the same form; nil where it was not kept.
func endTime(j jobs.Job) any {
	if j.End.IsZero() {
		return nil
	}
	return j.End.UTC().Format(timeLayout)
}
