package modules

import (
	"context"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/target"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() { register("state.event", stateEvent) }

type stateEventArgs struct {
	Tagmatch string `default:"*"`      // Which tags: a glob, or a regular expression for the whole tag.
	Count    int    `default:"-1"`     // End after so many events; -1 goes on until it is interrupted.
	Quiet    bool   `default:"False"`  // Show nothing, only wait.
	SockDir  string `default:"None"`   // Of no effect: the bus is that of the minion on this machine.
	Pretty   bool   `default:"False"`  // Show the data over several lines, sorted.
	Node     string `default:"minion"` // Whose bus: "minion".
}

// stateEvent watches the event bus of the minion on this machine and shows each event in
// a line: its tag, a tab, and its data as JSON. It is also a way to wait for something:
// with count=1 quiet=True it ends when the first such event comes. gosalt-call prints the
// lines as they come; of a job of the master, --live shows them.
//
//	gosalt-call --local state.event pretty=True
//	gosalt-call --local state.event 'my/tag/*' count=1 quiet=True
func stateEvent(ctx context.Context, c *module.Call, a stateEventArgs) (any, error) {
	switch a.Node {
	case "minion":
	case "master":
		return nil, module.Invalidf("node=master: a minion does not see the bus of the master; on the master, use: gosalt-run state.event")
	default:
		return nil, module.Invalidf("node %q: minion is expected", a.Node)
	}
	if c.Bus == nil {
		return nil, module.Failf("no minion runs on this machine, whose events could be watched: start gosalt-minion")
	}
	match, count := target.CompileExpr(a.Tagmatch), a.Count
	if count == 0 {
		return nil, nil
	}
	err := c.Bus.Watch(ctx, func(tag string, data *wire.Map) (bool, error) {
		if !match.Match(tag) {
			return true, nil
		}
		if !a.Quiet {
			text, err := jsonLine(data, a.Pretty)
			if err != nil {
				return false, err
			}
			c.Progress(wire.NewMap("stdout", tag+"\t"+text+"\n"))
		}
		if count > 0 {
			count--
		}
		return count != 0, nil
	})
	return nil, err
}
