package modules

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/yamlarg"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("publish.publish", publishPublish)
	register("publish.full_data", publishFullData)
	register("publish.runner", publishRunner)
}

type publishFullArgs struct {
	Tgt      any    // Which minions.
	Fun      string // The function.
	Arg      any    `default:"None"` // Its argument, or a list of them; keywords as name=value.
	TgtType  string `default:"glob"` // How tgt is to be read: glob, pcre, list, grain, compound and so on. Pillar in it has to be exact.
	Returner string `default:""`     // A returner for the results, besides the master.
	Timeout  int    `default:"5"`    // Seconds to wait for returns.
}

type publishArgs struct {
	publishFullArgs
	ViaMaster string `default:"None"` // Of several masters, the one to ask.
}

// publishPublish runs a function on other minions, as far as the master's option peer
// lets this one, and returns what they return, by minion: whoever has not returned by
// the end of the timeout is not in it.
//
//	gosalt web1 publish.publish '*' cmd.run 'ls -la /tmp'
//	gosalt web1 publish.publish 'os:Debian' network.interfaces '' grain
//	gosalt web1 publish.publish '*' test.kwarg arg="['cheese=spam', 'spam=cheese']"
func publishPublish(ctx context.Context, c *module.Call, a publishArgs) (any, error) {
	all, err := publish(ctx, c, a)
	if err != nil {
		return nil, err
	}
	out := wire.NewMap()
	for id, v := range all.Strings() {
		r, _ := v.(*wire.Map)
		ret, _ := r.Get("ret")
		out.Set(id, ret)
	}
	return out, nil
}

// publishFullData runs a function on other minions as publish.publish does, and returns
// with each value, in "ret", the outputter that it asks for, in "out".
//
//	gosalt web1 publish.full_data '*' cmd.run 'ls -la /tmp'
func publishFullData(ctx context.Context, c *module.Call, a publishFullArgs) (any, error) {
	return publish(ctx, c, publishArgs{publishFullArgs: a})
}

// noPeers is what a function says that needs a master to reach others.
const noPeers = "No access to master. If using salt-call with --local, please remove."

// publish runs a function on other minions and waits for their returns.
func publish(ctx context.Context, c *module.Call, a publishArgs) (*wire.Map, error) {
	if c.Master == nil {
		c.Log.Error("there is no master to publish a function: nothing was sent", "fun", a.Fun)
		return wire.NewMap(), nil
	}
	if strings.HasPrefix(a.Fun, "publish.") {
		c.Log.Warn("a function that publishes cannot be published", "fun", a.Fun)
		return wire.NewMap(), nil
	}
	via, err := masterCalled(c, a.ViaMaster)
	if err != nil {
		return nil, err
	}
	load := &wire.Peer{Cmd: wire.CmdMinionPub, ID: wire.MinionID(minionID(c)), Fun: a.Fun, Arg: publishedArgs(a.Arg), Tgt: a.Tgt,
		TgtType: a.TgtType, Ret: a.Returner, Timeout: int64(a.Timeout), NoParse: noParse(c)}
	v, err := c.Master.Ask(ctx, via, load.ToMap())
	if err != nil {
		return peerFailed(c, err)
	}
	begun, _ := v.(*wire.Map)
	asked := begun.List("minions")
	if begun.Text("jid") == "" || len(asked) == 0 {
		return wire.NewMap(), nil
	}
	deadline := time.NewTimer(time.Duration(a.Timeout) * time.Second)
	defer deadline.Stop()
	for wait, last := 30*time.Millisecond, false; ; wait = min(2*wait, 300*time.Millisecond) {
		v, err := c.Master.Ask(ctx, via, wire.NewMap("cmd", wire.CmdPubRet, "id", minionID(c), "jid", begun.Text("jid")))
		if err != nil {
			return peerFailed(c, err)
		}
		got, _ := v.(*wire.Map)
		if got.Len() >= len(asked) || last {
			return got, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-deadline.C:
			last = true
		case <-time.After(wait):
		}
	}
}

// masterCalled finds the one of several masters that via_master means: by its name, or
// by that without its port.
func masterCalled(c *module.Call, via string) (string, error) {
	if via == "" {
		return "", nil
	}
	for _, name := range c.Master.Names() {
		host, _, _ := strings.Cut(name, ":")
		if name == via || host == via {
			return name, nil
		}
	}
	return "", module.Invalidf("via_master %q is none of this minion's masters: %s", via, strings.Join(c.Master.Names(), ", "))
}

// publishedArgs are the arguments of a published function: of one value, or a list. A
// text is read as YAML once more, as Salt does it. An empty one is none, so that the
// type of the target can follow it.
func publishedArgs(arg any) []any {
	if text, ok := arg.(string); ok {
		if text == "" {
			return []any{}
		}
		arg = yamlarg.ParseArg(text)
	}
	switch arg := arg.(type) {
	case nil:
		return []any{}
	case []any:
		return arg
	}
	return []any{arg}
}

// noParse are the keywords that stay text.
func noParse(c *module.Call) (names []string) {
	for _, v := range c.Opts.List("no_parse") {
		if s, ok := v.(string); ok {
			names = append(names, s)
		}
	}
	return names
}

// peerFailed sorts what a master answers: that it does not allow it is an empty map, as
// from Salt's, and a warning that says why; the rest is a failure.
func peerFailed(c *module.Call, err error) (*wire.Map, error) {
	var e *wire.Error
	if errors.As(err, &e) && e.Kind == wire.Forbidden {
		c.Log.Warn("the master does not allow it", "why", e.Msg)
		return wire.NewMap(), nil
	}
	return nil, module.Failf("%w", err)
}

type publishRunnerArgs struct {
	Fun     string // The runner.
	Arg     any    `default:"None"` // Its argument, or a list of them; keywords as name=value.
	Timeout int    `default:"5"`    // Of no effect: the runner's end is waited for.
}

// publishRunner runs a runner on the master, as far as its option peer_run lets this
// minion, and returns what it returns.
//
//	gosalt web1 publish.runner manage.down
func publishRunner(ctx context.Context, c *module.Call, a publishRunnerArgs) (any, error) {
	if c.Master == nil {
		return noPeers, nil
	}
	load := &wire.Peer{Cmd: wire.CmdMinionRunner, ID: wire.MinionID(minionID(c)), Fun: a.Fun, Arg: publishedArgs(a.Arg), Timeout: int64(a.Timeout), NoParse: noParse(c)}
	v, err := c.Master.Ask(ctx, "", load.ToMap())
	if err != nil {
		return peerFailed(c, err)
	}
	return v, nil
}
