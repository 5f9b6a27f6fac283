package runners

import (
	"context"
	"errors"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/master/jobs"
	"github.com/gosalt/gosalt/protocol/wire"
)

func (r *Runners) registerJobs() {
	module.Register(r.reg, "jobs.lookup_jid", r.jobsLookupJID)
	module.Register(r.reg, "jobs.list_jobs", r.jobsListJobs)
}

type jobsLookupJIDArgs struct {
	JID       string `arg:"jid"`                              // The job's id.
	ExtSource string `default:"None"`                         // Of no effect: there is one job store.
	Returned  bool   `default:"True"`                         // Give what has returned.
	Missing   bool   `default:"False"`                        // Give, for the minions that have not, why.
	Display   bool   `default:"False" arg:"display_progress"` // Of no effect: the answer is at once.
}

// jobsLookupJID returns what the minions of a job have returned so far.
//
// CLI Example:
//
//	gosalt-run jobs.lookup_jid 20261122063858048545
func (r *Runners) jobsLookupJID(ctx context.Context, c *module.Call, a jobsLookupJIDArgs) (*wire.Map, error) {
	out := wire.NewMap()
	jid, err := wire.ParseJobID(a.JID)
	if err != nil {
		return out, nil // as Salt: nothing is known of it
	}
	store := r.master.Jobs()
	if a.Returned {
		for ret, err := range store.Returns(ctx, jid) {
			if err != nil {
				return nil, err
			}
			load, err := wire.DecodeMap(ret.Load, wire.Local, wire.Authenticated)
			if err != nil {
				return nil, err
			}
			v, _ := load.Get("return")
			out.Set(string(ret.Minion), v)
		}
	}
	if a.Missing {
		targets, err := store.Targets(ctx, jid)
		if err != nil {
			return nil, err
		}
		for _, t := range targets {
			if !t.Returned {
				out.Set(string(t.Minion), "Minion did not return. "+r.master.Explain(ctx, jid, t.Minion))
			}
		}
	}
	return out, nil
}

type jobsListJobsArgs struct {
	ExtSource      string `default:"None"`                         // Of no effect: there is one job store.
	OutPutter      string `default:"None" arg:"outputter"`         // Of no effect: use --out.
	SearchMetadata any    `default:"None"`                         // Only jobs with one of these metadata entries.
	SearchFunction any    `default:"None"`                         // Only jobs whose function matches one of these globs.
	SearchTarget   any    `default:"None"`                         // Only jobs whose target matches one of these globs.
	StartTime      string `default:"None"`                         // Only jobs from then on: "2026, Nov 22 06:37" and other forms.
	EndTime        string `default:"None"`                         // Only jobs up to then.
	Display        bool   `default:"False" arg:"display_progress"` // Of no effect: the answer is at once.
}

// jobsListJobs lists the jobs in the store: what was run, when, where, and by whom.
//
// CLI Example:
//
//	gosalt-run jobs.list_jobs
//	gosalt-run jobs.list_jobs search_function='cmd.*'
func (r *Runners) jobsListJobs(ctx context.Context, c *module.Call, a jobsListJobsArgs) (*wire.Map, error) {
	f := jobs.Filter{NotFun: []string{"saltutil.find_job"}}
	all, err := r.master.Jobs().Search(ctx, f)
	if err != nil {
		return nil, err
	}
	out := wire.NewMap()
	for _, j := range all {
		out.Set(string(j.JID), jobMap(j))
	}
	return out, nil
}

// jobMap is a job as jobs.list_jobs shows it.
func jobMap(j jobs.Job) *wire.Map {
	m := wire.NewMap("Arguments", j.Arg, "Function", j.Fun, "StartTime", startTime(j), "Target", j.Tgt, "Target-type", j.TgtType, "User", j.User)
	if j.Metadata.Len() > 0 {
		m.Set("Metadata", j.Metadata)
	}
	return m
}

// startTime is a job's start as Salt writes it, in UTC as its id is:
// "2026, Nov 22 06:37:56.703290".
func startTime(j jobs.Job) string {
	t, err := j.JID.Time()
	if err != nil {
		t = j.Start.UTC()
	}
	return t.Format("2006, Jan 02 15:04:05.000000")
}

// known turns "not in the store" into "nothing".
func known(err error) error {
	if errors.Is(err, jobs.ErrUnknown) {
		return nil
	}
	return err
}
