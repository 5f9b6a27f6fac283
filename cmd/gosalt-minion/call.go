package main

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/gosalt/gosalt/cli"
	"github.com/gosalt/gosalt/internal/config"
	"github.com/gosalt/gosalt/internal/logs"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/optparse"
	"github.com/gosalt/gosalt/minion"
	"github.com/gosalt/gosalt/minion/modules"
	"github.com/gosalt/gosalt/protocol/wire"
)

// callMain is gosalt-call: one function of the minion, here and now.
func callMain(name string, args []string) int {
	io := cli.StdIO(name)
	debug.SetGCPercent(400) // it ends soon, and what is collected before that is mostly in vain
	if code, done := cli.Completing(io, args, candidates); done {
		return code
	}
	o, err := cli.ParseCall(io, args)
	if err != nil {
		return io.Fail(err)
	}
	cfg, problems, err := config.LoadMinionWith(filepath.Join(o.ConfigDir, "minion"), config.MinionOptions{ID: o.ID, ForgetID: true})
	for _, p := range problems {
		if p.Severity == config.Error {
			fmt.Fprintf(io.Err, "%s: %s\n", name, p)
		}
	}
	if err != nil {
		return cli.Usage.Code(o.Strict)
	}
	executorOpts, err := o.ExecutorOptsMap()
	if err != nil {
		return io.Fail(err)
	}
	local := o.Local || cfg.FileClient == "local"
	if o.PillarRoot != "" {
		cfg.PillarRoots = map[string][]string{"base": {o.PillarRoot}}
		if found, err := filepath.Glob(o.PillarRoot); err == nil && strings.ContainsAny(o.PillarRoot, "*?[") {
			cfg.PillarRoots["base"] = found
		}
	}
	if o.Master != "" {
		cfg.Master = strings.Split(o.Master, ",")
	}
	if o.FileRoot != "" {
		cfg.FileRoots = map[string][]string{"base": {o.FileRoot}}
	}
	if o.PillarRoot != "" {
		cfg.PillarRoots = map[string][]string{"base": {o.PillarRoot}}
	}
	if o.Local {
		cfg.FileClient = "local"
	}
	if o.CacheDir != "" && o.Explicit("cachedir") {
		cfg.CacheDir = o.CacheDir
	}
	if o.AuthTimeout > 0 && o.Explicit("auth_timeout") {
		cfg.AuthTimeout = time.Duration(o.AuthTimeout) * time.Second
	}
	level := o.LogLevel
	if level == "" {
		level = cfg.LogLevel
	}
	log, closer, err := logs.Open(logs.Options{Console: io.Err, ConsoleLevel: level, Bare: true})
	if err != nil {
		return io.Fail(err)
	}
	defer closer.Close()
	open := func(ctx context.Context) (*minion.Caller, error) {
		return minion.NewCaller(ctx, minion.Config{Minion: cfg, Log: log, NoGrains: o.SkipGrains}, local)
	}
	return cli.RunCall(io, o, cli.CallEnv{
		Conf: cfg.Raw,
		Run: func(ctx context.Context, progress func(any)) (cli.CallResult, error) {
			c, err := open(ctx)
			if err != nil {
				return cli.CallResult{}, err
			}
			defer c.Close()
			r, err := c.Run(ctx, minion.Call{Fun: o.Fun, Args: o.Args, Metadata: o.Metadata, Returner: o.Returner, Quiet: o.NoReturnEvent,
				Executors: o.ModuleExecutors, ExecutorOpts: executorOpts, ShowSecrets: o.ShowSecrets, Progress: progress})
			return cli.CallResult{Result: r.Result, JID: r.JID, ID: cfg.ID, Ran: true}, err
		},
		Grains: func() (*wire.Map, error) {
			c, err := open(context.Background())
			if err != nil {
				return nil, err
			}
			defer c.Close()
			return c.Grains(), nil
		},
		Docs: func(prefix string) *wire.Map { return docsOf(modules.New(), prefix) },
	})
}

// docsOf collects the documentation of a function, of a module, or of all.
func docsOf(reg *module.Registry, prefix string) *wire.Map {
	docs := wire.NewMap()
	for _, name := range reg.Names() {
		if prefix == "" || name == prefix || strings.HasPrefix(name, prefix+".") {
			docs.Set(name, reg.DocText(name))
		}
	}
	return docs
}

// candidates are the functions of this program, or the arguments of one, for a command
// line that is being typed.
func candidates(fun string) []optparse.Candidate {
	reg := modules.New()
	var out []optparse.Candidate
	if fun == "" {
		for _, name := range reg.Names() {
			out = append(out, optparse.Candidate{Text: name})
		}
		return out
	}
	doc, err := reg.Doc(fun)
	if err != nil {
		return nil
	}
	for _, a := range doc.Args {
		out = append(out, optparse.Candidate{Text: a.Name, Help: a.Text})
	}
	return out
}
