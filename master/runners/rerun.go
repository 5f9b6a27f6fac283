package runners

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/master/jobs"
	"github.com/gosalt/gosalt/protocol/wire"
)

type jobsRerunArgs struct {
	JID     string `arg:"jid"`       // The job's id.
	Tgt     any    `default:""`      // Run it on these minions instead: a target, or a list of ids.
	TgtType string `default:""`      // How tgt is read: glob, list, compound and so on; glob by default, list for a list.
	Failed  bool   `default:"False"` // Run it only on the minions that failed or did not return.
}

// jobsRerun runs a job again: the same functions with the same arguments, on the same
// target or another, as a new job of who calls. It returns what the minions return;
// the first line names the new job. See jobs.diff for what has changed since.
//
//	gosalt-run jobs.rerun 20261122063858048545
//	gosalt-run jobs.rerun 20261122063858048545 tgt='db*'
//	gosalt-run jobs.rerun 20261122063858048545 tgt='G@os:Debian' tgt_type=compound
//	gosalt-run jobs.rerun 20261122063858048545 failed=True
func jobsRerun(ctx context.Context, c *module.Call, a jobsRerunArgs) (any, error) {
	old, err := jobToRepeat(ctx, a.JID)
	if err != nil {
		return nil, err
	}
	ask := Ask{Target: old.Tgt, Type: old.TgtType, Like: old}
	switch tgt := a.Tgt.(type) {
	case []any:
		ask.Target, ask.Type = tgt, "list"
	case string:
		if tgt != "" {
			ask.Target, ask.Type = tgt, or(a.TgtType, "glob")
		}
	default:
		return nil, fmt.Errorf("tgt: a target or a list of ids expected, not %s", wire.TypeName(tgt))
	}
	if a.TgtType != "" {
		ask.Type = a.TgtType
	}
	if a.Failed {
		if ask.Target, err = failedOf(ctx, a.JID); err != nil {
			return nil, err
		}
		if len(ask.Target.([]any)) == 0 {
			return "All minions of that job returned, and without a failure.", nil
		}
		ask.Type = "list"
	}
	ask.Begun = func(jid wire.JobID) { c.Progress("jid: " + string(jid)) }
	answer, err := callOf(ctx).ask(ctx, ask)
	if err != nil {
		return nil, err
	}
	if answer.JID == "" {
		return "No minions matched the target. No command was sent, no jid was assigned.", nil
	}
	out, outputter := wire.NewMap(), ""
	for _, id := range answer.Asked {
		load := answer.Returns[id]
		if load == nil {
			out.Set(string(id), "Minion did not return. "+callOf(ctx).r.master.Explain(ctx, answer.JID, id))
			continue
		}
		if outputter == "" {
			outputter = load.Text("out")
		}
		v, _ := load.Get("return")
		out.Set(string(id), v)
	}
	return withOutputter(outputter, out), nil
}

// jobToRepeat is a job of the store as it was published.
func jobToRepeat(ctx context.Context, jid string) (*wire.Job, error) {
	id, err := wire.ParseJobID(jid)
	if err != nil {
		return nil, err
	}
	stored, err := callOf(ctx).r.master.Jobs().Job(ctx, id)
	switch {
	case errors.Is(err, jobs.ErrUnknown):
		return nil, fmt.Errorf("there is no job %s: see gosalt-run jobs.list_jobs", jid)
	case err != nil:
		return nil, err
	case strings.HasPrefix(stored.Fun, "runner."):
		return nil, fmt.Errorf("job %s ran on the master: run gosalt-run %s again", jid, strings.TrimPrefix(stored.Fun, "runner."))
	case stored.Unpublished:
		return nil, fmt.Errorf("job %s was not published: a minion ran it by itself (gosalt-call, a schedule)", jid)
	}
	load, err := wire.DecodeMap(stored.Load, wire.Local, storedLimits)
	if err != nil {
		return nil, fmt.Errorf("job %s in the store: %w", jid, err)
	}
	job, err := wire.JobFromMap(load)
	if err != nil {
		return nil, fmt.Errorf("job %s in the store: %w", jid, err)
	}
	return job, nil
}

// failedOf are the minions of a job that returned a failure or nothing.
func failedOf(ctx context.Context, jid string) ([]any, error) {
	targets, err := jobTargets(ctx, jid)
	if err != nil {
		return nil, err
	}
	good := map[string]bool{}
	for ret, err := range jobReturns(ctx, jid) {
		if err != nil {
			return nil, err
		}
		if r, err := wire.ReturnFromMap(ret.load); err == nil && r.Retcode == 0 && r.Success {
			good[ret.minion] = true
		}
	}
	failed := []any{}
	for _, t := range targets {
		if !good[string(t.Minion)] {
			failed = append(failed, string(t.Minion))
		}
	}
	return failed, nil
}

type jobsUnqueueArgs struct {
	JID string `arg:"jid"` // The job's id.
}

// jobsUnqueue takes a job back from the minions that are away and would run it when
// they are back (gosalt --queue-until), and returns their ids. Those that have taken
// it go on; end it there with saltutil.kill_job.
//
//	gosalt-run jobs.unqueue 20261122063858048545
func jobsUnqueue(ctx context.Context, _ *module.Call, a jobsUnqueueArgs) ([]any, error) {
	jid, err := wire.ParseJobID(a.JID)
	if err != nil {
		return nil, err
	}
	ids, err := callOf(ctx).r.master.Withdraw(ctx, jid, callOf(ctx).user)
	if err != nil {
		return nil, err
	}
	out := []any{}
	for _, id := range ids {
		out = append(out, string(id))
	}
	return out, nil
}
