package minion

import (
	"context"
	"os"
	"time"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/protocol/wire"
)

// mineRetry is how long after a failure the mine is tried again, where that is sooner
// than its turn.
const mineRetry = time.Minute

// keepMine brings the mine up to date (mine.update), when the minion has connected for
// the first time and then every mine_interval.
func (m *Minion) keepMine(ctx context.Context) {
	if !m.cfg.MineEnabled || m.cfg.MineInterval <= 0 {
		return
	}
	select {
	case <-ctx.Done():
		return
	case <-m.greeted: // the pillar is there, which may name functions of the mine
	}
	for {
		wait := m.cfg.MineInterval
		if !m.updateMine(ctx) {
			wait = min(wait, mineRetry)
		}
		if sleep(ctx, wait) != nil {
			return
		}
	}
}

// updateMine runs mine.update and tells whether it succeeded. With mine_return_job its
// result is returned as that of a job, as one of the schedule is.
func (m *Minion) updateMine(ctx context.Context) bool {
	const fun = "mine.update"
	job := &module.Job{ID: wire.NewJobID(time.Now()), Fun: fun, User: "root"}
	res := m.reg.Run(ctx, m.call(job), fun, nil, nil)
	if ctx.Err() != nil {
		return false
	}
	if res.Err != nil {
		m.log.Warn("the mine could not be updated", "error", res.Err)
	}
	if m.cfg.MineReturnJob {
		ret := (&wire.Return{JID: job.ID, ID: m.id, Fun: fun, FunArgs: []any{}, Return: res.Return,
			Retcode: int64(res.Retcode), Success: res.Success, Out: res.Out, User: job.User}).ToMap()
		ret.Set("schedule", "__mine_interval")
		ret.Set("pid", int64(os.Getpid()))
		if err := m.masters().Tell(ctx, ret); err != nil && ctx.Err() == nil {
			m.log.Warn("result of mine.update could not be returned", "jid", job.ID, "error", err)
		}
	}
	return res.Err == nil
}
