package runners

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/master/jobs"
	"github.com/gosalt/gosalt/protocol/wire"
)

type jobsListJobsArgs struct {
	ExtSource       any    `default:"None"`  // Look the jobs up in this returner: redis, postgres, pgjsonb.
	Outputter       string `default:"None"`  // Show the list by this outputter; --out does the same.
	SearchMetadata  any    `default:"None"`  // Only jobs with one of the entries of this map as metadata.
	SearchFunction  any    `default:"None"`  // Only jobs whose function matches: a glob, a list of them, or several with commas.
	SearchTarget    any    `default:"None"`  // Only jobs whose target, or a member of its list, matches, likewise.
	StartTime       string `default:"None"`  // Only jobs from then on, in UTC: "2026, Nov 22 06:37", "2026-11-22T06:37:00" and other usual forms.
	EndTime         string `default:"None"`  // Only jobs up to then, likewise.
	DisplayProgress bool   `default:"False"` // Report which store is asked.
}

// jobsListJobs lists the jobs in the store: what was run, when, where, and by whom.
// Where several conditions are given, a job has to meet all of them.
//
//	gosalt-run jobs.list_jobs
//	gosalt-run jobs.list_jobs search_function='cmd.*,state.*' search_target='web*'
//	gosalt-run jobs.list_jobs search_metadata='{"ticket": "OPS-1"}'
//	gosalt-run jobs.list_jobs start_time='2026, Nov 22 06:00' end_time='2026, Nov 22 07:00'
func jobsListJobs(ctx context.Context, c *module.Call, a jobsListJobsArgs) (any, error) {
	told(c, a.DisplayProgress, tellJobs, a.ExtSource)
	ctx, done, err := fromSource(ctx, a.ExtSource)
	if err != nil {
		return nil, err
	}
	defer done()
	f, none := filterOf(a.SearchMetadata, a.SearchFunction, a.SearchTarget)
	now := time.Now()
	for _, t := range []struct {
		name, text string
		to         *time.Time
	}{{"start_time", a.StartTime, &f.From}, {"end_time", a.EndTime, &f.To}} {
		if t.text == "" {
			continue
		}
		when, err := parseTime(t.text, now)
		if err != nil {
			return nil, module.Failf("%s: %w", t.name, err)
		}
		*t.to = when
	}
	out := wire.NewMap()
	if none {
		return withOutputter(a.Outputter, out), nil
	}
	found, err := store(ctx).Search(ctx, f)
	if err != nil {
		return nil, err
	}
	for _, j := range slices.Backward(found) {
		m := jobMap(j)
		m.Set("StartTime", startTime(string(j.JID)))
		if end := endTime(j); end != nil {
			m.Set("EndTime", end)
		}
		out.Set(string(j.JID), m)
	}
	return withOutputter(a.Outputter, out), nil
}

type jobsListJobsFilterArgs struct {
	Count           int    // How many jobs, at most.
	FilterFindJob   bool   `default:"True"`  // Leave out saltutil.find_job, by which command lines ask for missing returns.
	ExtSource       any    `default:"None"`  // Look the jobs up in this returner: redis, postgres, pgjsonb.
	Outputter       string `default:"None"`  // Show the list by this outputter; --out does the same.
	DisplayProgress bool   `default:"False"` // Report which store is asked.
}

// jobsListJobsFilter lists the newest jobs, the oldest of them first.
//
//	gosalt-run jobs.list_jobs_filter 50
//	gosalt-run jobs.list_jobs_filter 100 filter_find_job=False
func jobsListJobsFilter(ctx context.Context, c *module.Call, a jobsListJobsFilterArgs) (any, error) {
	told(c, a.DisplayProgress, tellJobs, a.ExtSource)
	ctx, done, err := fromSource(ctx, a.ExtSource)
	if err != nil {
		return nil, err
	}
	defer done()
	list := []any{}
	if a.Count <= 0 {
		return withOutputter(a.Outputter, list), nil
	}
	f := jobs.Filter{Limit: a.Count}
	if a.FilterFindJob {
		f.NotFun = []string{"saltutil.find_job"}
	}
	found, err := store(ctx).Search(ctx, f)
	if err != nil {
		return nil, err
	}
	for _, j := range slices.Backward(found) {
		m := jobMap(j)
		m.Set("JID", string(j.JID))
		m.Set("StartTime", startTime(string(j.JID)))
		list = append(list, m)
	}
	return withOutputter(a.Outputter, list), nil
}

// filterOf is the search for metadata, functions and targets as people give them.
// none is true where nothing can match: as in Salt, metadata that is no map.
func filterOf(metadata, function, target any) (f jobs.Filter, none bool) {
	if module.Truth(metadata) {
		m, ok := metadata.(*wire.Map)
		if !ok {
			return f, true
		}
		f.Metadata = m
	}
	f.Target = globs(target)
	for _, g := range globs(function) {
		// A compound command is stored under its functions with commas between them.
		f.Fun = append(f.Fun, g, g+",*", "*,"+g, "*,"+g+",*")
	}
	return f, false
}

// globs reads a glob, a list of them, or several with commas between them.
func globs(v any) []string {
	if !module.Truth(v) {
		return nil
	}
	var out []string
	if list, ok := v.([]any); ok {
		for _, e := range list {
			out = append(out, pytext.Str(e))
		}
		return out
	}
	for _, g := range strings.Split(pytext.Str(v), ",") {
		out = append(out, strings.TrimSpace(g))
	}
	return out
}
