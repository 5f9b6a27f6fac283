package runners

import (
	"context"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

func registerOrchestrate(r *module.Registry) {
	module.Register(r, "state.orchestrate", stateOrchestrate)
	r.Alias("state.orch", "state.orchestrate")
	r.Alias("state.sls", "state.orchestrate")
	module.Register(r, "state.orchestrate_single", stateOrchestrateSingle)
	module.Register(r, "state.orchestrate_high", stateOrchestrateHigh)
	module.Register(r, "state.orchestrate_show_sls", stateOrchestrateShowSLS)
	r.Alias("state.orch_show_sls", "state.orchestrate_show_sls")
	module.Register(r, "state.pause", statePause)
	r.Alias("state.set_pause", "state.pause")
	module.Register(r, "state.resume", stateResume)
	r.Alias("state.rm_pause", "state.resume")
	module.Register(r, "state.soft_kill", stateSoftKill)
}

type orchestrateArgs struct {
	Mods             any       // SLS of the master's file server: "orch.deploy", or a list.
	Saltenv          string    `default:"base"` // Environment of the files.
	Test             any       `default:"None"` // Only say what would be done.
	Exclude          any       `default:"None"` // SLS and ids to leave out.
	Pillar           any       `default:"None"` // Values that the SLS see as their pillar: a map.
	Pillarenv        any       `default:"None"` // Of no effect: the master has no pillar of its own.
	PillarEnc        any       `default:"None"` // How the pillar is encrypted: gpg.
	OrchestrationJid any       `default:"None"` // Job id under which it runs, for state.pause and events; that of the runner where there is none.
	Kwargs           *wire.Map `arg:"**"`       // Not looked at.
}

// stateOrchestrate runs an SLS on the master itself, whose states salt.state, salt.function,
// salt.runner and salt.wheel have minions and the master do things, in order and with
// requisites. The exit code is 1 where one of them failed.
//
//	gosalt-run state.orchestrate orch.deploy
//	gosalt-run state.orchestrate orch.deploy pillar='{version: 2}' test=True
func stateOrchestrate(ctx context.Context, _ *module.Call, a orchestrateArgs) (*wire.Map, error) {
	if _, ok := a.Pillar.(*wire.Map); a.Pillar != nil && !ok && a.PillarEnc == nil {
		return nil, module.Invalidf("Pillar data must be formatted as a dictionary")
	}
	kw := wire.NewMap("saltenv", a.Saltenv, "concurrent", true)
	given(kw, "test", a.Test)
	given(kw, "exclude", a.Exclude)
	given(kw, "pillar", a.Pillar)
	given(kw, "pillar_enc", a.PillarEnc)
	jid := callOf(ctx).jid
	if module.Truth(a.OrchestrationJid) {
		id, err := wire.ParseJobID(pytext.Str(a.OrchestrationJid))
		if err != nil {
			return nil, module.Invalidf("orchestration_jid: %w", err)
		}
		jid = id
	}
	return orchestrated(ctx, jid, "state.sls", []any{a.Mods}, kw)
}

func given(kw *wire.Map, name string, v any) {
	if v != nil {
		kw.Set(name, v)
	}
}

// orchestrated runs a function of states here, and returns it as a minion's highstate.
func orchestrated(ctx context.Context, jid wire.JobID, fun string, args []any, kw *wire.Map) (*wire.Map, error) {
	master := callOf(ctx).r.master
	res := master.Execute(ctx, jid, fun, args, kw)
	if res.Err != nil {
		return nil, res.Err
	}
	retcode := int64(0)
	if !statesPassed(wire.NewMap(master.ID(), res.Return), false) {
		retcode = 1
	}
	return wire.NewMap("data", wire.NewMap(master.ID(), res.Return), "outputter", "highstate", "retcode", retcode), nil
}

type orchestrateSingleArgs struct {
	Fun    string    // The state: salt.wheel.
	Name   string    // Its name.
	Test   any       `default:"None"`  // Only say what would be done.
	Queue  any       `default:"False"` // Of no effect: orchestrations run beside one another.
	Pillar any       `default:"None"`  // Values that are seen as the pillar: a map.
	Kwargs *wire.Map `arg:"**"`        // Its arguments.
}

// stateOrchestrateSingle runs one state on the master.
//
//	gosalt-run state.orchestrate_single fun=salt.wheel name=key.list_all
func stateOrchestrateSingle(ctx context.Context, _ *module.Call, a orchestrateSingleArgs) (*wire.Map, error) {
	kw := withoutPub(a.Kwargs)
	kw.Set("concurrent", true)
	given(kw, "test", a.Test)
	given(kw, "pillar", a.Pillar)
	return orchestrated(ctx, callOf(ctx).jid, "state.single", []any{a.Fun, a.Name}, kw)
}

type orchestrateHighArgs struct {
	Data   *wire.Map // High data: what an SLS would be, as a map.
	Test   any       `default:"None"`  // Only say what would be done.
	Queue  any       `default:"False"` // Of no effect: orchestrations run beside one another.
	Pillar any       `default:"None"`  // Values that are seen as the pillar: a map.
	Kwargs *wire.Map `arg:"**"`        // Not looked at.
}

// stateOrchestrateHigh runs states that are given as high data on the master.
//
//	gosalt-run state.orchestrate_high '{stage_one: {salt.state: [{tgt: "db*"}, {sls: [stage_one]}]}}'
func stateOrchestrateHigh(ctx context.Context, _ *module.Call, a orchestrateHighArgs) (*wire.Map, error) {
	kw := wire.NewMap("concurrent", true)
	given(kw, "test", a.Test)
	given(kw, "pillar", a.Pillar)
	return orchestrated(ctx, callOf(ctx).jid, "state.high", []any{a.Data}, kw)
}

type orchestrateShowArgs struct {
	Mods      any       // SLS of the master's file server, or a list.
	Saltenv   string    `default:"base"`  // Environment of the files.
	Test      any       `default:"None"`  // As for state.orchestrate.
	Queue     any       `default:"False"` // Of no effect.
	Pillar    any       `default:"None"`  // Values that are seen as the pillar: a map.
	Pillarenv any       `default:"None"`  // Environment of the pillar.
	PillarEnc any       `default:"None"`  // How values of pillar= are encrypted: gpg or age.
	Kwargs    *wire.Map `arg:"**"`        // Not looked at.
}

// stateOrchestrateShowSLS shows the high data of an SLS as state.orchestrate would run it.
//
//	gosalt-run state.orchestrate_show_sls orch.deploy pillar='{version: 2}'
func stateOrchestrateShowSLS(ctx context.Context, _ *module.Call, a orchestrateShowArgs) (*wire.Map, error) {
	kw := wire.NewMap("saltenv", a.Saltenv)
	given(kw, "test", a.Test)
	given(kw, "pillar", a.Pillar)
	given(kw, "pillarenv", a.Pillarenv)
	given(kw, "pillar_enc", a.PillarEnc)
	master := callOf(ctx).r.master
	res := master.Execute(ctx, "", "state.show_sls", []any{a.Mods}, kw)
	if res.Err != nil {
		return nil, res.Err
	}
	return wire.NewMap(master.ID(), res.Return), nil
}

type pauseArgs struct {
	JID      string `arg:"jid"`      // The orchestration's job id, as jobs.active and --async tell it.
	StateID  string `default:"None"` // ID of the state before which it waits; by default the next one.
	Duration *int64 `default:"None"` // Seconds after which it goes on by itself.
}

// statePause makes an orchestration that runs wait, before one of its states or the next.
// What it has already started on minions goes on.
//
//	gosalt-run state.pause 20171130110407769519 deploy_web
//	gosalt-run state.pause 20171130110407769519 deploy_web 60
func statePause(ctx context.Context, _ *module.Call, a pauseArgs) (any, error) {
	kw := wire.NewMap("state_id", a.StateID)
	if a.Duration != nil {
		kw.Set("duration", *a.Duration)
	}
	return nil, callOf(ctx).r.master.Execute(ctx, "", "state.pause", []any{a.JID}, kw).Err
}

type resumeArgs struct {
	JID     string `arg:"jid"`      // The orchestration's job id.
	StateID string `default:"None"` // ID of the state before which it waits; by default all.
}

// stateResume lets an orchestration that waits go on.
//
//	gosalt-run state.resume 20171130110407769519
func stateResume(ctx context.Context, _ *module.Call, a resumeArgs) (any, error) {
	return nil, callOf(ctx).r.master.Execute(ctx, "", "state.resume", []any{a.JID, a.StateID}, nil).Err
}

// stateSoftKill ends an orchestration before one of its states or the next; what has run
// stays, and is told.
//
//	gosalt-run state.soft_kill 20171130110407769519
func stateSoftKill(ctx context.Context, _ *module.Call, a resumeArgs) (any, error) {
	return nil, callOf(ctx).r.master.Execute(ctx, "", "state.soft_kill", []any{a.JID, a.StateID}, nil).Err
}
