package runners

import (
	"context"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/target"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Local is the machine that the master runs on, and its configuration. All methods
// may be called concurrently.
type Local interface {
	// Execute runs a function of the minion on this machine: as the job of that id,
	// where there is one.
	Execute(ctx context.Context, jid wire.JobID, fun string, args []any, kwargs *wire.Map) module.Result
	// Opts is the configuration by Salt's names, without secrets; the caller's own.
	Opts() *wire.Map
}

func registerSalt(r *module.Registry) {
	module.Register(r, "salt.cmd", saltCmd)
	module.Register(r, "salt.execute", saltExecute)
	module.Register(r, "salt.wheel", saltWheel)
	module.Register(r, "config.get", configGet)
	module.Register(r, "error.error", errorError)
}

type saltCmdArgs struct {
	Fun    string    // The function: "test.ping".
	Args   []any     `arg:"*"`  // Its arguments.
	Kwargs *wire.Map `arg:"**"` // Its keywords. with_pillar=True is not there yet.
}

// saltCmd runs one of the minion's functions on the master's own machine, whether a
// minion runs there or not.
//
//	gosalt-run salt.cmd test.ping
//	gosalt-run salt.cmd cmd.run 'df -h' cwd=/tmp
func saltCmd(ctx context.Context, _ *module.Call, a saltCmdArgs) (any, error) {
	kw := withoutPub(a.Kwargs)
	if v, ok := kw.Get("with_pillar"); ok {
		if module.Truth(v) {
			return nil, module.Failf("with_pillar: the master has no pillar of its own yet; leave it out")
		}
		kw.Delete("with_pillar")
	}
	res := callOf(ctx).r.master.Execute(ctx, "", a.Fun, a.Args, kw)
	if res.Err != nil {
		if e, ok := res.Err.(*module.Error); ok && e.Kind == module.NotAvailable {
			return res.Return, nil
		}
		return nil, res.Err
	}
	return res.Return, nil
}

// withoutPub is keywords without those that Salt adds to each call.
func withoutPub(kw *wire.Map) *wire.Map {
	out := wire.NewMap()
	for k, v := range kw.Strings() {
		if !strings.HasPrefix(k, "__") {
			out.Set(k, v)
		}
	}
	return out
}

type saltExecuteArgs struct {
	Tgt     any       // Which minions.
	Fun     string    // The function.
	Arg     any       `default:"None"`       // Its arguments: a list, or one.
	Timeout float64   `default:"None"`       // Seconds to wait for returns; the master's timeout where not given.
	TgtType string    `default:"glob"`       // How tgt is to be read: glob, list, grain, compound, nodegroup and so on.
	Ret     string    `default:""`           // A returner for the results, besides the master.
	JID     string    `arg:"jid" default:""` // Of no effect: the job gets an id of its own.
	Kwarg   *wire.Map `default:"None"`       // Keywords of the function.
	Kwargs  *wire.Map `arg:"**"`             // More keywords of the function.
}

// saltExecute runs a function on minions and returns what they return, by id.
//
//	gosalt-run salt.execute '*' test.ping
//	gosalt-run salt.execute 'os:Debian' cmd.run arg='[uptime]' tgt_type=grain
func saltExecute(ctx context.Context, c *module.Call, a saltExecuteArgs) (*wire.Map, error) {
	args, ok := a.Arg.([]any)
	if !ok && a.Arg != nil {
		args = []any{a.Arg}
	}
	kw := wire.NewMap("__kwarg__", true)
	for _, m := range []*wire.Map{a.Kwarg, withoutPub(a.Kwargs)} {
		for k, v := range m.Strings() {
			kw.Set(k, v)
		}
	}
	if kw.Len() > 1 {
		args = append(args[:len(args):len(args)], kw)
	}
	ans, err := callOf(ctx).ask(ctx, Ask{Fun: a.Fun, Args: args, Target: a.Tgt, Type: a.TgtType, Ret: a.Ret, Timeout: seconds(a.Timeout)})
	if err != nil {
		return nil, err
	}
	return ans.values(c), nil
}

type configGetArgs struct {
	Key       string // The option; parts of one with the delimiter between them: "file_roots:base".
	Default   any    `default:""`  // What is returned where there is none.
	Delimiter string `default:":"` // What stands between the parts.
}

// configGet returns an option of the master's configuration. Secrets are hidden.
//
//	gosalt-run config.get file_roots
//	gosalt-run config.get file_roots:base
func configGet(ctx context.Context, _ *module.Call, a configGetArgs) (any, error) {
	v, ok := target.Traverse(callOf(ctx).r.master.Opts(), a.Key, a.Delimiter)
	if !ok {
		return a.Default, nil
	}
	return v, nil
}

type errorErrorArgs struct {
	Name    string `default:"None"` // The kind of the exception; without one nothing fails.
	Message string `default:""`     // Its text.
}

// errorError fails as it is told to: a way to see what failures look like.
//
//	gosalt-run error.error
//	gosalt-run error.error name=Exception message='This is an error.'
func errorError(_ context.Context, _ *module.Call, a errorErrorArgs) (*wire.Map, error) {
	if a.Name != "" {
		return nil, module.Failf("%s: %s", a.Name, a.Message)
	}
	return wire.NewMap(), nil
}
