package runners

import (
	"context"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/target"
	"github.com/gosalt/gosalt/master/events"
	"github.com/gosalt/gosalt/protocol/wire"
)

func registerEvents(r *module.Registry) {
	module.Register(r, "event.send", eventSend)
	module.Register(r, "state.event", stateEvent)
	module.Register(r, "jobs.watch", jobsWatch)
}

type eventSendArgs struct {
	Tag  string // The event's tag: "myco/build/done".
	Data any    `default:"None"` // Its data: a map.
}

// eventSend fires an event on the master's bus.
//
//	gosalt-run event.send my/custom/event '{"foo": "bar"}'
func eventSend(ctx context.Context, _ *module.Call, a eventSendArgs) (bool, error) {
	if a.Tag == "" || len(a.Tag) > maxTag || strings.ContainsAny(a.Tag, "\n\r\x00") {
		return false, module.Invalidf("tag %.80q: 1 to %d characters without line breaks are expected", a.Tag, maxTag)
	}
	data, ok := a.Data.(*wire.Map)
	if module.Truth(a.Data) && !ok {
		return false, module.Failf("data is %s: a map is expected, as '{\"foo\": \"bar\"}'", wire.TypeName(a.Data))
	}
	if !ok {
		data = wire.NewMap()
	}
	callOf(ctx).r.bus.Publish(a.Tag, data)
	return true, nil
}

// maxTag is the length in bytes of the longest tag that is taken.
const maxTag = 1024

type stateEventArgs struct {
	Tagmatch string `default:"*"`      // Which tags: a glob, or a regular expression for the whole tag.
	Count    int    `default:"-1"`     // End after so many events; -1 goes on until it is interrupted.
	Quiet    bool   `default:"False"`  // Show nothing, only wait.
	SockDir  string `default:"None"`   // Of no effect: the bus is that of the master that is asked.
	Pretty   bool   `default:"False"`  // Show the data over several lines, sorted.
	Node     string `default:"master"` // Whose bus: "master".
}

// stateEvent watches the master's event bus and shows each event in a line: its tag,
// a tab, and its data as JSON. It is also a way to wait for something: with count=1
// quiet=True it ends when the first such event comes.
//
//	gosalt-run state.event pretty=True
//	gosalt-run state.event 'salt/minion/web1/start' count=1 quiet=True
//	gosalt-run state.event 'salt/job/*/ret/*' | while read -r tag data; do echo "$tag"; done
func stateEvent(ctx context.Context, c *module.Call, a stateEventArgs) (any, error) {
	if a.Node != "master" {
		return nil, module.Invalidf("node %q: a runner watches the bus of the master; for a minion's events, watch what it sends there, as salt/minion/ID/*", a.Node)
	}
	own, match := callOf(ctx), target.CompileExpr(a.Tagmatch)
	sub := own.r.bus.Subscribe()
	defer sub.Close()
	for count := a.Count; count != 0; {
		e, err := sub.Next(ctx)
		if err != nil {
			return nil, err
		}
		if e.Lost > 0 {
			own.r.log.Warn("events were lost: who watches is too slow", "jid", own.jid, "lost", e.Lost)
		}
		if !match.Match(e.Tag) {
			continue
		}
		if !a.Quiet {
			indent := -1
			if a.Pretty {
				indent = 4
			}
			text, err := pytext.JSON(e.Data, indent, a.Pretty)
			if err != nil {
				return nil, err
			}
			c.Progress(e.Tag + "\t" + text)
		}
		if count > 0 {
			count--
		}
	}
	return nil, nil
}

type jobsWatchArgs struct {
	JID string `arg:"jid"` // The job's id.
}

// jobsWatch shows what the minions of a job have returned so far, then what they
// report and return as it comes, and ends when nobody is left to wait for. For each
// minion without a return it says why. It is not in Salt.
//
//	gosalt-run jobs.watch 20261122063858048545
func jobsWatch(ctx context.Context, c *module.Call, a jobsWatchArgs) (*wire.Map, error) {
	jid, err := wire.ParseJobID(a.JID)
	if err != nil {
		return nil, module.Invalidf("%v", err)
	}
	own := callOf(ctx)
	sub := own.r.bus.Subscribe(events.Job(jid)) // before the look at the store, so that nothing falls between
	defer sub.Close()
	if _, err := own.r.master.Jobs().Job(ctx, jid); err != nil {
		return nil, module.Failf("%s: %s. It may be older than keep_jobs_seconds", noJob, jid)
	}
	shown := map[string]bool{}
	show := func(id string, v any) {
		if !shown[id] {
			shown[id] = true
			c.Progress(wire.NewMap(id, v))
		}
	}
	look := time.NewTicker(time.Second)
	defer look.Stop()
	targets, missing, err := own.outstanding(ctx, jid, shown, show)
	for err == nil && targets > len(shown)+missing.Len() {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-look.C:
			targets, missing, err = own.outstanding(ctx, jid, shown, show)
		case <-sub.Ready():
			err = watchEvents(sub, jid, show, c.Progress)
		}
	}
	return missing, err
}

// watchEvents shows what has come of a job.
func watchEvents(sub *events.Subscription, jid wire.JobID, show func(id string, v any), progress func(any)) error {
	for {
		e, ok, err := sub.TryNext()
		if err != nil || !ok {
			return err
		}
		rest := strings.TrimPrefix(e.Tag, events.Job(jid))
		if id, ok := strings.CutPrefix(rest, "ret/"); ok {
			v, _ := e.Data.Get("return")
			show(id, v)
		} else if rest, ok := strings.CutPrefix(rest, "prog/"); ok {
			id, _, _ := strings.Cut(rest, "/")
			v, _ := e.Data.Get("data")
			progress(wire.NewMap(id, v))
		}
	}
}

// outstanding shows the returns of a job that are in the store and were not shown, and
// says of the minions that are not connected why there is none. targets is how many
// minions the job has.
func (c *call) outstanding(ctx context.Context, jid wire.JobID, shown map[string]bool, show func(string, any)) (targets int, missing *wire.Map, err error) {
	list, err := c.r.master.Jobs().Targets(ctx, jid)
	if err != nil {
		return 0, nil, err
	}
	missing = wire.NewMap()
	connected := c.r.master.Connected()
	for _, t := range list {
		switch {
		case shown[string(t.Minion)]:
		case t.Returned:
			ret, err := c.r.master.Jobs().Return(ctx, jid, t.Minion)
			if err != nil {
				return 0, nil, err
			}
			load, err := wire.DecodeMap(ret.Load, wire.Local, storedLimits)
			if err != nil {
				return 0, nil, err
			}
			if v, ok := load.Get("return"); ok { // else job_cache: False
				show(string(t.Minion), v)
			}
		case !connected[t.Minion]:
			missing.Set(string(t.Minion), "Minion did not return. "+c.r.master.Explain(ctx, jid, t.Minion))
		}
	}
	return len(list), missing, nil
}
