package master

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/gosalt/gosalt/internal/returners"
	"github.com/gosalt/gosalt/internal/returners/pg"
	"github.com/gosalt/gosalt/internal/target"
	"github.com/gosalt/gosalt/master/events"
	"github.com/gosalt/gosalt/protocol/wire"
)

// openReturners opens what takes jobs and events to other places than the job store:
// ext_job_cache, master_job_cache and event_return.
func (m *Master) openReturners() error {
	set := returners.Small()
	maps.Copy(set, pg.Set())
	var err error
	m.returners, err = returners.NewSender(returners.SenderConfig{Dir: filepath.Join(m.cfg.CacheDir, "returners"), MaxBytes: int64(m.cfg.ReturnerSpoolSize),
		Set: set, Config: m.opts, Log: m.log, Env: returners.Env{Log: m.log, ID: m.cfg.ID, Keep: int64(m.cfg.KeepJobsSeconds / time.Second)}})
	if err != nil {
		return err
	}
	names := []string{m.cfg.ExtJobCache}
	if m.cfg.MasterJobCache != "local_cache" {
		// Our own store is what the master works with; the other has all of it, too.
		names = append(names, m.cfg.MasterJobCache)
	}
	for _, n := range names {
		for _, n := range returners.Split(n) {
			if !slices.Contains(m.jobReturners, n) {
				m.jobReturners = append(m.jobReturners, n)
			}
		}
	}
	for _, n := range m.jobReturners {
		if err := m.returners.Check(returners.Dest{Name: n}); err != nil {
			return fmt.Errorf("ext_job_cache, master_job_cache: %w", err)
		}
	}
	for _, n := range m.cfg.EventReturn {
		err := m.returners.Check(returners.Dest{Name: n})
		if err == nil && !returners.HasEvents(n) {
			err = fmt.Errorf("returner %s takes no events", n)
		}
		if err != nil {
			return fmt.Errorf("event_return: %w", err)
		}
	}
	m.eventFilter = eventFilter{m.cfg.EventReturnWhitelist, m.cfg.EventReturnBlacklist}
	return nil
}

// saveElsewhere hands a record of jobs to ext_job_cache and master_job_cache.
func (m *Master) saveElsewhere(kind returners.Kind, data *wire.Map) {
	for _, n := range m.jobReturners {
		if err := m.returners.Send(returners.Dest{Name: n}, returners.Record{Kind: kind, Data: data}); err != nil {
			m.log.Error("a returner did not get a job's record", "returner", n, "jid", data.Text("jid"), "error", err)
		}
	}
}

// returnElsewhere hands a result to the returners that get all of them, and to those
// that a gosalt minion asks this master to serve.
func (m *Master) returnElsewhere(ctx context.Context, jid wire.JobID, load *wire.Map) {
	asked := load.List(wire.FieldReturners)
	if len(asked) == 0 && len(m.jobReturners) == 0 {
		return
	}
	data := load.Clone()
	for _, k := range []string{wire.FieldReturners, wire.FieldReturnerErrors} {
		data.Delete(k)
	}
	if len(m.jobReturners) > 0 && m.live.get(jid) == nil {
		if job, err := m.store.Job(ctx, jid); err != nil || job.Unpublished {
			m.saveElsewhere(returners.Load, data) // what is known of a job that a minion began
		}
	}
	m.saveElsewhere(returners.Return, data)
	for _, v := range asked {
		name, _ := v.(string)
		if err := m.serveReturner(ctx, name, jid, data); err != nil {
			m.log.Error("a minion's result cannot be given to a returner", "returner", fmt.Sprintf("%.40s", name), "jid", jid, "minion", data.Text("id"), "error", err)
		}
	}
}

// serveReturner hands one result to a returner that its minion cannot serve. Where it
// goes is this master's configuration and what the job's user gave, nothing that a
// minion could make up.
func (m *Master) serveReturner(ctx context.Context, name string, jid wire.JobID, data *wire.Map) error {
	if pg.Set()[name] == nil {
		return fmt.Errorf("returner %.40q is none that a master serves", name)
	}
	d := returners.Dest{Name: name}
	if job, err := m.store.Job(ctx, jid); err == nil && !job.Unpublished {
		if load, err := wire.DecodeMap(job.Load, wire.Local, wire.Authenticated); err == nil {
			d.Alternative, d.Kwargs = load.Text("ret_config"), load.Map("ret_kwargs")
		}
	}
	opts := returners.Options{Config: m.opts(), Alternative: d.Alternative, Kwargs: d.Kwargs}
	if !opts.Configured("returner."+name) && d.Alternative == "" && d.Kwargs.Len() == 0 {
		return fmt.Errorf("this master has no configuration for it: set returner.%s.host and so on in %s", name, m.cfg.ConfFile)
	}
	return m.returners.Send(d, returners.Record{Kind: returners.Return, Data: data})
}

// returnEvents hands the events of the bus to event_return.
func (m *Master) returnEvents(ctx context.Context) error {
	sub := m.bus.SubscribeLimits(events.Limits{Events: 100_000, Bytes: 64 << 20})
	defer sub.Close()
	for e := range sub.All(ctx) {
		if !m.eventFilter.wants(e.Tag) {
			continue
		}
		rec := returners.Record{Kind: returners.Event, Data: wire.NewMap("tag", e.Tag, "data", e.Data)}
		for _, n := range m.cfg.EventReturn {
			if err := m.returners.Send(returners.Dest{Name: n}, rec); err != nil {
				m.log.Error("a returner did not get an event", "returner", n, "tag", e.Tag, "error", err)
			}
		}
	}
	return nil
}

// eventFilter is event_return_whitelist and event_return_blacklist: globs of tags.
type eventFilter struct{ white, black []string }

func (f eventFilter) wants(tag string) bool {
	match := func(pattern string) bool { return target.Fnmatch(pattern, tag) }
	return !slices.ContainsFunc(f.black, match) && (len(f.white) == 0 || slices.ContainsFunc(f.white, match))
}
