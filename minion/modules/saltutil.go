package modules

import (
	"context"
	"fmt"
	"time"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("saltutil.find_job", saltutilFindJob)
	register("saltutil.running", saltutilRunning)
	register("saltutil.is_running", saltutilIsRunning)
	register("saltutil.signal_job", saltutilSignalJob)
	register("saltutil.term_job", saltutilTermJob)
	register("saltutil.kill_job", saltutilKillJob)
	register("saltutil.term_all_jobs", saltutilTermAllJobs)
	register("saltutil.kill_all_jobs", saltutilKillAllJobs)
	register("saltutil.refresh_grains", saltutilRefreshGrains, module.Positional(""))
	register("saltutil.refresh_pillar", saltutilRefreshPillar)
	alias("saltutil.pillar_refresh", "saltutil.refresh_pillar")
	register("saltutil.refresh_modules", saltutilRefreshModules, module.Positional(""))
	register("saltutil.refresh_beacons", saltutilRefreshBeacons)
	register("saltutil.refresh_matchers", saltutilRefreshMatchers)
}

type jobArgs struct {
	JID string `arg:"jid"` // The job's id.
}

// running are the jobs that this minion runs, without the one that asks.
func running(c *module.Call) []*wire.Map {
	if c.Jobs == nil {
		return nil
	}
	var out []*wire.Map
	for _, j := range c.Jobs.Running() {
		if c.Job == nil || j.Text("jid") != string(c.Job.ID) {
			out = append(out, j)
		}
	}
	return out
}

// saltutilFindJob returns what was published of a job, and its pid, while this minion runs
// it; an empty map when it does not.
//
// CLI Example:
//
//	salt '*' saltutil.find_job 20261122063858048545
func saltutilFindJob(_ context.Context, c *module.Call, a jobArgs) (*wire.Map, error) {
	for _, j := range running(c) {
		if j.Text("jid") == a.JID {
			return j, nil
		}
	}
	return wire.NewMap(), nil
}

// saltutilRunning returns what was published of the jobs that this minion runs, and
// their pid.
//
// CLI Example:
//
//	salt '*' saltutil.running
func saltutilRunning(_ context.Context, c *module.Call, _ noArgs) ([]any, error) {
	out := []any{}
	for _, j := range running(c) {
		out = append(out, j)
	}
	return out, nil
}

type funArgs struct {
	Fun string // A function, or a shell pattern for functions: "state.*".
}

// saltutilIsRunning returns the jobs among saltutil.running whose function matches.
//
// CLI Example:
//
//	salt '*' saltutil.is_running state.highstate
func saltutilIsRunning(_ context.Context, c *module.Call, a funArgs) ([]any, error) {
	out := []any{}
	for _, j := range running(c) {
		if globMatch(a.Fun, j.Text("fun")) {
			out = append(out, j)
		}
	}
	return out, nil
}

type signalArgs struct {
	JID string `arg:"jid"` // The job's id.
	Sig int    // The signal's number: 15 asks the job's commands to end, 9 ends them.
}

// saltutilSignalJob sends a signal to the commands of a job, which ends with it.
//
// CLI Example:
//
//	salt '*' saltutil.signal_job 20261122063858048545 15
func saltutilSignalJob(_ context.Context, c *module.Call, a signalArgs) (string, error) {
	return signalJob(c, a.JID, a.Sig), nil
}

// saltutilTermJob asks the commands of a job to end (SIGTERM).
//
// CLI Example:
//
//	salt '*' saltutil.term_job 20261122063858048545
func saltutilTermJob(_ context.Context, c *module.Call, a jobArgs) (string, error) {
	return signalJob(c, a.JID, sigTerm), nil
}

// saltutilKillJob ends the commands of a job (SIGKILL).
//
// CLI Example:
//
//	salt '*' saltutil.kill_job 20261122063858048545
func saltutilKillJob(_ context.Context, c *module.Call, a jobArgs) (string, error) {
	return signalJob(c, a.JID, sigKill), nil
}

// saltutilTermAllJobs asks the commands of all other jobs to end (SIGTERM).
//
// CLI Example:
//
//	salt '*' saltutil.term_all_jobs
func saltutilTermAllJobs(_ context.Context, c *module.Call, _ noArgs) ([]string, error) {
	return signalAll(c, sigTerm), nil
}

// saltutilKillAllJobs ends the commands of all other jobs (SIGKILL).
//
// CLI Example:
//
//	salt '*' saltutil.kill_all_jobs
func saltutilKillAllJobs(_ context.Context, c *module.Call, _ noArgs) ([]string, error) {
	return signalAll(c, sigKill), nil
}

const (
	sigKill = 9
	sigTerm = 15
)

// signalJob ends one job and says so in Salt's words; "" where it does not run.
func signalJob(c *module.Call, jid string, sig int) string {
	for _, j := range running(c) {
		if j.Text("jid") == jid && c.Jobs.Signal(wire.JobID(jid), sig) {
			return fmt.Sprintf("Signal %d sent to job %s at pid %d", sig, jid, j.Int("pid"))
		}
	}
	return ""
}

func signalAll(c *module.Call, sig int) []string {
	out := []string{}
	for _, j := range running(c) {
		if s := signalJob(c, j.Text("jid"), sig); s != "" {
			out = append(out, s)
		}
	}
	return out
}

type refreshGrainsArgs struct {
	RefreshPillar    bool `default:"True"`  // Get the pillar anew, too: the master learns the grains by that.
	CleanPillarCache bool `default:"False"` // Of no effect: the pillar is always got anew.
}

// saltutilRefreshGrains reads the grains of this minion anew, and tells them to the
// master, which makes the pillar by them.
//
// CLI Example:
//
//	salt '*' saltutil.refresh_grains
func saltutilRefreshGrains(ctx context.Context, c *module.Call, a refreshGrainsArgs) (bool, error) {
	ok, err := refresh(ctx, c, "grains")
	if err == nil && a.RefreshPillar {
		return refresh(ctx, c, "pillar")
	}
	return ok, err
}

type refreshPillarArgs struct {
	Wait       bool    `default:"False"` // As Salt has it: gosalt always waits until the pillar is there.
	Timeout    float64 `default:"30"`    // How many seconds to wait at most, with wait; without, the master's answer is waited for.
	CleanCache bool    `default:"True"`  // As Salt has it: a pillar that the master keeps (pillar_cache) is compiled anew.
}

// saltutilRefreshPillar gets this minion's pillar from its master anew. Where that fails
// the minion keeps the one that it has, and says so.
//
// CLI Example:
//
//	salt '*' saltutil.refresh_pillar
//	salt '*' saltutil.refresh_pillar wait=True timeout=60
func saltutilRefreshPillar(ctx context.Context, c *module.Call, a refreshPillarArgs) (bool, error) {
	if a.Wait && a.Timeout > 0 {
		wait := time.Duration(a.Timeout * float64(time.Second))
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, wait, fmt.Errorf("it was not done within %s", wait))
		defer cancel()
	}
	return refresh(ctx, c, "pillar")
}

type refreshModulesArgs struct {
	Async bool `default:"True" arg:"async"` // Of no effect.
}

// saltutilRefreshModules is for the modules of Salt that are files; gosalt's are
// compiled in, so there is nothing to read anew.
//
// CLI Example:
//
//	salt '*' saltutil.refresh_modules
func saltutilRefreshModules(ctx context.Context, c *module.Call, _ refreshModulesArgs) (bool, error) {
	return refresh(ctx, c, "modules")
}

// saltutilRefreshBeacons is for the beacons of Salt that are files: there is nothing to
// read anew.
//
// CLI Example:
//
//	salt '*' saltutil.refresh_beacons
func saltutilRefreshBeacons(context.Context, *module.Call, noArgs) (bool, error) { return true, nil }

// saltutilRefreshMatchers is for the matchers of Salt that are files: there is nothing to
// read anew.
//
// CLI Example:
//
//	salt '*' saltutil.refresh_matchers
func saltutilRefreshMatchers(context.Context, *module.Call, noArgs) (bool, error) { return true, nil }

func refresh(ctx context.Context, c *module.Call, what string) (bool, error) {
	if c.Refresh == nil {
		return true, nil
	}
	if err := c.Refresh(ctx, what); err != nil {
		return false, module.Failf("refresh %s: %w", what, err)
	}
	return true, nil
}
