package runners

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/returners"
	"github.com/gosalt/gosalt/internal/target"
	"github.com/gosalt/gosalt/master/jobs"
	"github.com/gosalt/gosalt/protocol/wire"
)

// extKey is the context's key of the place that ext_source names.
type extKey struct{}

// fromSource makes the functions below look jobs up in the place that ext_source
// names, where it does. done ends the connection.
func fromSource(ctx context.Context, source any) (_ context.Context, done func(), err error) {
	if !module.Truth(source) || source == "local_cache" {
		return ctx, func() {}, nil
	}
	r, err := callOf(ctx).r.master.Reader(pytext.Str(source))
	if err != nil {
		return ctx, nil, module.Failf("ext_source: %w", err)
	}
	return context.WithValue(ctx, extKey{}, &extStore{r: r}), r.Close, nil
}

// store is where jobs are looked up: the master's own store, or that of ext_source.
func store(ctx context.Context) jobs.Store {
	if s, ok := ctx.Value(extKey{}).(*extStore); ok {
		return s
	}
	return callOf(ctx).r.master.Jobs()
}

// extStore reads jobs from a returner. Of the methods of a store it has those that
// look up jobs.
type extStore struct {
	jobs.Store
	r returners.Reader
}

// jobOf makes a job of a load as returners keep it.
func jobOf(jid string, load *wire.Map) jobs.Job {
	tgt, _ := load.Get("tgt")
	j := jobs.Job{JID: wire.JobID(jid), Fun: returners.FunName(load), Tgt: tgt, TgtType: load.Text("tgt_type"), User: load.Text("user"), Metadata: load.Map("metadata")}
	if j.Arg = load.List("arg"); j.Arg == nil {
		j.Arg = load.List("fun_args")
	}
	j.Start, _ = j.JID.Time()
	return j
}

func (s *extStore) Job(ctx context.Context, jid wire.JobID) (jobs.Job, error) {
	load, err := s.r.Load(ctx, string(jid))
	if err != nil {
		return jobs.Job{}, err
	}
	if load == nil {
		return jobs.Job{}, jobs.ErrUnknown
	}
	return jobOf(string(jid), load), nil
}

// Targets are the minions that returned: a returner knows of no others.
func (s *extStore) Targets(ctx context.Context, jid wire.JobID) ([]jobs.Target, error) {
	rets, err := s.r.Returns(ctx, string(jid))
	if err != nil {
		return nil, err
	}
	var out []jobs.Target
	for id := range rets.Strings() {
		out = append(out, jobs.Target{Minion: wire.MinionID(id), State: jobs.Expected, Returned: true})
	}
	return out, nil
}

func (s *extStore) Returns(ctx context.Context, jid wire.JobID) iter.Seq2[jobs.Return, error] {
	return func(yield func(jobs.Return, error) bool) {
		rets, err := s.r.Returns(ctx, string(jid))
		if err != nil {
			yield(jobs.Return{}, err)
			return
		}
		byID := map[string]*wire.Map{}
		for id := range rets.Strings() {
			byID[id] = rets.Map(id)
		}
		for _, id := range slices.Sorted(maps.Keys(byID)) {
			load, err := wire.Encode(byID[id], wire.Local)
			if !yield(jobs.Return{JID: jid, Minion: wire.MinionID(id), Load: load}, err) || err != nil {
				return
			}
		}
	}
}

func (s *extStore) Search(ctx context.Context, f jobs.Filter) ([]jobs.Job, error) {
	loads, err := s.r.Jobs(ctx)
	if err != nil {
		return nil, fmt.Errorf("list jobs: %w", err)
	}
	var out []jobs.Job
	for jid := range loads.Strings() {
		if j := jobOf(jid, loads.Map(jid)); passes(j, f) {
			out = append(out, j)
		}
	}
	slices.SortFunc(out, func(a, b jobs.Job) int { return -compareIDs(a.JID, b.JID) })
	if f.Limit > 0 && len(out) > f.Limit {
		out = out[:f.Limit]
	}
	return out, nil
}

func compareIDs(a, b wire.JobID) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// passes holds a job against a filter.
func passes(j jobs.Job, f jobs.Filter) bool {
	matches := func(globs []string, texts ...string) bool {
		return slices.ContainsFunc(globs, func(g string) bool {
			return slices.ContainsFunc(texts, func(t string) bool { return target.Fnmatch(g, t) })
		})
	}
	targets := []string{pytext.Str(j.Tgt)}
	if list, ok := j.Tgt.([]any); ok {
		targets = nil
		for _, t := range list {
			targets = append(targets, pytext.Str(t))
		}
	}
	meta := f.Metadata == nil
	for k, v := range f.Metadata.Strings() {
		got, ok := j.Metadata.Get(k)
		meta = meta || ok && pytext.Equal(got, v)
	}
	return meta && (len(f.Fun) == 0 || matches(f.Fun, j.Fun)) && !matches(f.NotFun, j.Fun) && (len(f.Target) == 0 || matches(f.Target, targets...)) &&
		(f.User == "" || f.User == j.User) && (f.From.IsZero() || !j.Start.Before(f.From)) && (f.To.IsZero() || !j.Start.After(f.To))
}
