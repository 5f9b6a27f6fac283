package runners

import (
	"cmp"
	"context"
	"slices"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/protocol/wire"
)

type jobsActiveArgs struct {
	DisplayProgress bool `default:"False"` // Report which minions are asked and which have answered.
}

// jobsActive asks the minions what they are running, and lists it by job: the
// minions that still run it with the id of the process, and those that have returned.
//
//	gosalt-run jobs.active
func jobsActive(ctx context.Context, c *module.Call, a jobsActiveArgs) (*wire.Map, error) {
	own := callOf(ctx)
	ans, err := own.ask(ctx, Ask{Fun: "saltutil.running", Target: "*"})
	if err != nil {
		return nil, err
	}
	progress := func(message string) {
		if a.DisplayProgress {
			c.Progress(wire.NewMap("suffix", "progress", "event", wire.NewMap("message", message)))
		}
	}
	found := map[string]*wire.Map{}
	for _, id := range ans.Asked {
		load := ans.Returns[id]
		if load == nil {
			continue
		}
		progress("Received reply from minion " + string(id))
		for _, e := range load.List("return") { // a minion that cannot answer returns a text
			job, ok := e.(*wire.Map)
			if !ok || job.Text("jid") == "" || job.Text("jid") == string(ans.JID) {
				continue
			}
			jid := job.Text("jid")
			if found[jid] == nil {
				found[jid] = runningJob(job)
			}
			pid, _ := job.Get("pid")
			found[jid].Set("Running", append(found[jid].List("Running"), wire.NewMap(string(id), pid)))
		}
	}
	jids := make([]string, 0, len(found))
	for jid := range found {
		jids = append(jids, jid)
	}
	slices.Sort(jids)
	out := wire.NewMap()
	for _, jid := range jids {
		returned := []any{}
		targets, err := jobTargets(ctx, jid)
		if err != nil {
			return nil, err
		}
		for _, t := range targets {
			if t.Returned {
				returned = append(returned, string(t.Minion))
			}
		}
		found[jid].Set("Returned", returned)
		out.Set(jid, found[jid])
	}
	return out, nil
}

// runningJob is a job as a minion that runs it tells of it.
func runningJob(job *wire.Map) *wire.Map {
	m := wire.NewMap()
	for _, f := range []struct {
		name, key string
		otherwise any
	}{
		{"Function", "fun", "unknown-function"}, {"Arguments", "arg", []any{}}, {"Target", "tgt", "unknown-target"},
		{"Target-type", "tgt_type", "list"}, {"User", "user", "root"},
	} {
		v, ok := job.Get(f.key)
		if !ok || v == nil {
			v = f.otherwise
		}
		m.Set(f.name, v)
	}
	if v, ok := job.Get("metadata"); ok {
		m.Set("Metadata", v)
	}
	m.Set("StartTime", startTime(job.Text("jid")))
	m.Set("Running", []any{})
	return m
}

type jobsMasterArgs struct{}

// jobsMaster lists the runners that the master is running, the oldest first, without
// this one.
//
//	gosalt-run jobs.master
func jobsMaster(ctx context.Context, _ *module.Call, _ jobsMasterArgs) ([]any, error) {
	own := callOf(ctx)
	own.r.mu.Lock()
	defer own.r.mu.Unlock()
	list := []*wire.Map{}
	for jid, started := range own.r.active {
		if jid != own.jid {
			list = append(list, started)
		}
	}
	slices.SortFunc(list, func(a, b *wire.Map) int { return cmp.Compare(a.Text("jid"), b.Text("jid")) })
	out := make([]any, len(list))
	for i, m := range list {
		out[i] = m.Clone()
	}
	return out, nil
}
