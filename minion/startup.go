package minion

import (
	"context"
	"time"

	"github.com/gosalt/gosalt/protocol/wire"
)

// startupJob is the job of startup_states; nil where none is asked for.
func (m *Minion) startupJob() *wire.Job {
	job := &wire.Job{Tgt: string(m.id), TgtType: "glob", Arg: []any{}, Raw: wire.NewMap()}
	switch m.cfg.StartupStates {
	case "":
		return nil
	case "sls":
		mods := make([]any, len(m.cfg.SLSList))
		for i, s := range m.cfg.SLSList {
			mods[i] = s
		}
		job.Fun, job.Arg = "state.sls", []any{mods}
	case "top":
		job.Fun, job.Arg = "state.top", []any{m.cfg.TopFile}
	default: // with Salt, whatever else it says
		job.Fun = "state.highstate"
	}
	return job
}

// runStartup runs the job of startup_states once in the life of this process: when a
// master is reached for the first time, or at once where there is none and the files are
// on this machine. The result goes to the master as that of a scheduled job does.
func (m *Minion) runStartup(ctx context.Context) {
	job := m.startupJob()
	if job == nil {
		return
	}
	if m.cfg.MasterType == "disable" {
		if m.cfg.FileClient != "local" {
			m.log.Warn("startup_states are left out: there is no master (master_type: disable), and file_client is remote")
			return
		}
	} else {
		select {
		case <-ctx.Done():
			return
		case <-m.greeted:
		}
	}
	job.JID = wire.NewJobID(time.Now())
	from := source{finish: func(ret *wire.Map) bool { return m.finishOwn(job.Arg, ret) }}
	if l := m.anyLink(); l != nil {
		from.master = l.master
	}
	log := m.log.With("jid", job.JID)
	log.Info("startup_states", "fun", job.Fun)
	if err := m.jobs.take(ctx, job, from); err != nil {
		log.Error("startup_states cannot be run", "error", err)
	}
}
