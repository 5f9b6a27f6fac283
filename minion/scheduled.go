package minion

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pydate"
	"github.com/gosalt/gosalt/minion/schedule"
	"github.com/gosalt/gosalt/protocol/wire"
)

// newScheduler makes the scheduler of a minion's configuration.
func (m *Minion) newScheduler() *schedule.Scheduler {
	return schedule.New(schedule.Config{
		Log: m.log, Own: m.cfg.Schedule, Interval: m.cfg.LoopInterval,
		File: filepath.Join(filepath.Dir(m.cfg.ConfFile), filepath.Dir(m.cfg.DefaultInclude), "_schedule.conf"),
		Whens: func(where string) any {
			from := m.Grains()
			if where == "pillar" {
				from = m.Pillar()
			}
			v, _ := from.Get("whens")
			return v
		},
		Random:  func(lo, hi int) int { return lo + rand.IntN(hi-lo+1) },
		Running: m.jobs.scheduled,
		Start:   m.startScheduled,
	})
}

// runSchedule starts scheduled jobs until ctx ends: from the first connection to a
// master on, as they may need its pillar, or at once where there is no master or
// scheduler_before_connect says so.
func (m *Minion) runSchedule(ctx context.Context) {
	if m.cfg.MasterType != "disable" && !m.cfg.SchedulerBeforeConnect {
		select {
		case <-ctx.Done():
			return
		case <-m.greeted:
		}
	}
	m.schedule.Run(ctx)
}

// startScheduled runs a job of the schedule as one of a master is run: noted on disk,
// and its result kept until the master has it.
func (m *Minion) startScheduled(j schedule.Job) {
	jid := wire.NewJobID(time.Now())
	log := m.log.With("jid", jid, "job", j.Name)
	args := append([]any{}, j.Args...)
	if j.Kwargs.Len() > 0 {
		kw := j.Kwargs.Clone()
		kw.Set("__kwarg__", true)
		args = append(args, kw)
	}
	job := &wire.Job{JID: jid, Fun: j.Fun, Arg: args, Tgt: string(m.id), TgtType: "glob", Raw: wire.NewMap("schedule", j.Name)}
	switch meta, ok := j.Options.Get("metadata"); v := meta.(type) {
	case *wire.Map:
		job.Metadata = stamped(v, time.Now())
	default:
		if ok {
			log.Warn("metadata of a scheduled job is left out: a map is expected")
		}
	}
	m.scheduleReturners(job, j)
	from := source{finish: func(ret *wire.Map) bool { return m.finishScheduled(j, ret) }}
	if l := m.anyLink(); l != nil {
		from.master = l.master
	}
	log.Info("scheduled job starts", "fun", j.Fun)
	if err := m.jobs.take(m.ctx, job, from); err != nil {
		log.Error("scheduled job cannot be started", "error", err)
	}
}

// anyLink is the master that is worked for; of several the first that is connected.
func (m *Minion) anyLink() *link {
	for _, l := range m.links {
		if l.current() != nil {
			return l
		}
	}
	if len(m.links) > 0 {
		return m.links[0]
	}
	return nil
}

// stamped is the metadata of a job with the times that Salt's scheduler adds.
func stamped(meta *wire.Map, now time.Time) *wire.Map {
	meta = meta.Clone()
	meta.Set("_TOS", now.Format("-0700"))
	meta.Set("_TS", pydate.Strftime(now, "%c"))
	meta.Set("_TT", pydate.Strftime(now.UTC(), "%Y %B %d %a %H %m"))
	return meta
}

// finishScheduled makes the result of a scheduled job that of Salt's scheduler, and
// tells whether the master is to have it.
func (m *Minion) finishScheduled(j schedule.Job, ret *wire.Map) bool {
	args := append([]any{}, j.Args...)
	if j.Kwargs != nil {
		args = append(args, j.Kwargs)
	}
	ret.Set("schedule", j.Name)
	if !m.finishOwn(args, ret) {
		return false
	}
	v, ok := j.Options.Get("return_job")
	if v == "nocache" {
		ret.Set("jid", string(wire.JobIDNoCache))
	}
	return !ok || module.Truth(v)
}

// finishOwn completes the result of a job that the minion has begun by itself with what a
// master stores of one that it did not publish, and tells whether there is a master.
func (m *Minion) finishOwn(args []any, ret *wire.Map) bool {
	ret.Set("fun_args", args)
	ret.Set("pid", int64(os.Getpid()))
	ret.Set("arg", args)
	ret.Set("tgt", string(m.id))
	ret.Set("tgt_type", "glob")
	return len(m.links) > 0
}

// scheduled counts the jobs that run under a name of the schedule.
func (d *dispatcher) scheduled(name string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	for _, r := range d.running {
		if r.load.Text("schedule") == name {
			n++
		}
	}
	return n
}
