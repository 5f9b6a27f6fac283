package modules

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/gosalt/gosalt/internal/durable"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("state.pause", statePause)
	register("state.resume", stateResume)
	register("state.soft_kill", stateSoftKill)
	register("state.get_pauses", stateGetPauses)
}

// allStates stands for every state of a run.
const allStates = "__all__"

// pausePath is the file that says where a run of states is to wait.
func pausePath(c *module.Call, jid string) (string, error) {
	id, err := wire.ParseJobID(jid)
	if err != nil {
		return "", module.Invalidf("%w", err)
	}
	return filepath.Join(c.CacheDir, "state_pause", string(id)), nil
}

// readPause reads that file; an empty map where there is none.
func readPause(path string) (*wire.Map, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return wire.NewMap(), nil
	}
	if err != nil {
		return nil, err
	}
	return wire.DecodeMap(b, wire.Local, wire.Authenticated)
}

// changePause changes what is said of one state of a run.
func changePause(c *module.Call, jid, id string, change func(all, one *wire.Map)) error {
	path, err := pausePath(c, jid)
	if err != nil {
		return err
	}
	all, err := readPause(path)
	if err != nil {
		return err
	}
	if id == "" {
		id = allStates
	}
	one := all.Map(id)
	if one == nil {
		one = wire.NewMap()
	}
	all.Set(id, one)
	change(all, one)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	b, err := wire.Encode(all, wire.Local)
	if err != nil {
		return err
	}
	return durable.WriteFile(path, b, 0o600)
}

// paused waits while this run is to wait before a state, and returns false where it is to
// end there.
func (r *stateRun) paused(ctx context.Context, id string) bool {
	if r.c.Job == nil || r.c.CacheDir == "" {
		return true
	}
	path, err := pausePath(r.c, string(r.c.Job.ID))
	if err != nil {
		return true
	}
	start := time.Now()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		all, err := readPause(path)
		if err != nil {
			r.c.Log.Error("cannot read where the run is to wait", "error", err)
			return true
		}
		one := all.Map(id)
		if one == nil {
			one = all.Map(allStates)
		}
		switch {
		case one == nil:
			return true
		case one.Bool("kill"):
			return false
		case one.Has("duration") && time.Since(start) > time.Duration(one.Int("duration"))*time.Second:
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
}

// forgetPause removes what was said of this run.
func (r *stateRun) forgetPause() {
	if r.c.Job == nil || r.c.CacheDir == "" {
		return
	}
	if path, err := pausePath(r.c, string(r.c.Job.ID)); err == nil {
		os.Remove(path)
	}
}

type statePauseArgs struct {
	JID      string `arg:"jid"`      // The run's job id.
	StateID  string `default:"None"` // ID of the state before which it waits; by default the next one.
	Duration *int64 `default:"None"` // Seconds after which it goes on by itself.
}

// statePause makes a running job of states wait, before one of its states or the next.
//
// CLI Example:
//
//	salt '*' state.pause 20171130110407769519 vim
//	salt '*' state.pause 20171130110407769519 vim 20
func statePause(_ context.Context, c *module.Call, a statePauseArgs) (any, error) {
	return nil, changePause(c, a.JID, a.StateID, func(_, one *wire.Map) {
		if a.Duration != nil {
			one.Set("duration", *a.Duration)
		}
	})
}

type stateResumeArgs struct {
	JID     string `arg:"jid"`      // The run's job id.
	StateID string `default:"None"` // ID of the state at which it waits; by default all.
}

// stateResume lets a job of states that waits go on.
//
// CLI Example:
//
//	salt '*' state.resume 20171130110407769519 vim
func stateResume(_ context.Context, c *module.Call, a stateResumeArgs) (any, error) {
	return nil, changePause(c, a.JID, a.StateID, func(all, _ *wire.Map) {
		for k := range all.Clone().Strings() {
			if a.StateID == "" || k == a.StateID {
				all.Delete(k)
			}
		}
	})
}

// stateSoftKill ends a job of states before one of its states or the next; what has run
// stays, and is told.
//
// CLI Example:
//
//	salt '*' state.soft_kill 20171130110407769519 vim
func stateSoftKill(_ context.Context, c *module.Call, a stateResumeArgs) (any, error) {
	return nil, changePause(c, a.JID, a.StateID, func(_, one *wire.Map) { one.Set("kill", true) })
}

type stateGetPausesArgs struct {
	JID any `arg:"jid" default:"None"` // Job ids, one or a list; by default all that run.
}

// stateGetPauses tells which running jobs of states are to wait, and where.
//
// CLI Example:
//
//	salt '*' state.get_pauses
func stateGetPauses(_ context.Context, c *module.Call, a stateGetPausesArgs) (*wire.Map, error) {
	out := wire.NewMap()
	want := splitInput(a.JID)
	for _, j := range running(c) {
		jid := j.Text("jid")
		if len(want) > 0 && !slices.Contains(want, jid) {
			continue
		}
		path, err := pausePath(c, jid)
		if err != nil {
			continue
		}
		all, err := readPause(path)
		if err != nil {
			return nil, err
		}
		if all.Len() > 0 {
			out.Set(jid, all)
		}
	}
	return out, nil
}
