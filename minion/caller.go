package minion

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/secret"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Caller runs single functions as this machine's minion would: gosalt-call.
type Caller struct {
	m    *Minion
	link *link // nil without a master
}

// NewCaller makes a caller. Without local it signs in with the first master that
// answers, and gets this minion's pillar; a key that is pending or rejected is
// ErrPending or ErrRejected.
func NewCaller(ctx context.Context, cfg Config, local bool) (*Caller, error) {
	id, err := wire.ParseMinionID(cfg.ID)
	if err != nil {
		return nil, fmt.Errorf("option id: %w", err)
	}
	m := &Minion{cfg: cfg, id: id, log: cfg.Log, dial: cfg.Dial, reg: functions(cfg.Minion), ctx: ctx, opts: sync.OnceValue(cfg.Opts), local: local, secrets: secret.New()}
	cfg.Log = m.hideSecrets(cfg.Log)
	m.log, m.cfg.Log = cfg.Log, cfg.Log
	m.explainExtmods()
	c := &Caller{m: m}
	if err := m.openFiles(local); err != nil {
		return nil, err
	}
	if local {
		return c, nil
	}
	if m.key, err = loadKey(cfg.PKIDir, cfg.KeySize); err != nil {
		return nil, err
	}
	if m.dial == nil {
		if m.dial, err = tcpDialer(cfg.Minion, cfg.Log); err != nil {
			return nil, err
		}
	}
	only := len(cfg.Master) < 2 || cfg.MasterType == "failover"
	var errs []error
	for _, master := range cfg.Master {
		l, err := newLink(cfg.Minion, id, m.key, master, only, m.dial, cfg.Log)
		if err != nil {
			return nil, err
		}
		l.grains, l.secrets = m.Grains, m.secrets
		m.links = []*link{l}
		if _, err = l.signIn(ctx, nil, true); err == nil {
			m.askCloud(ctx, l)
			err = m.fetchPillar(ctx, l)
		}
		if err == nil {
			c.link = l
			return c, nil
		}
		l.close()
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(errs...)
}

// Close ends the connection to the master.
func (c *Caller) Close() {
	if c.link != nil {
		c.link.close()
	}
}

// Call is one function to be run.
type Call struct {
	Fun          string
	Args         []any // keywords as a map with __kwarg__
	Metadata     any
	Returner     string
	Executors    any // as in module_executors; nil: the configuration's
	ExecutorOpts *wire.Map
	Quiet        bool // do not tell the master what came out
	ShowSecrets  bool // leave what was encrypted in the pillar in the result, for who called
	// Progress is told what is printed while the function runs, as items of a
	// wire.Progress, from several goroutines; may be nil.
	Progress func(item any)
}

// Result is what came out of a call.
type Result struct {
	module.Result
	JID wire.JobID
}

// Run runs a function and tells the master, where there is one, what came out.
func (c *Caller) Run(ctx context.Context, call Call) (Result, error) {
	job := &module.Job{ID: wire.NewJobID(time.Now()), Fun: call.Fun, User: userName()}
	job.Pub = wire.NewMap("fun", call.Fun, "pid", int64(os.Getpid()), "jid", string(job.ID), "tgt", "salt-call")
	mc := c.m.call(job)
	if call.Progress != nil {
		mc.OnProgress = func(item any) {
			if !call.ShowSecrets {
				item = c.m.secrets.Value(item)
			}
			call.Progress(item)
		}
	}
	res := Result{Result: c.m.execute(ctx, mc, executorNames(call.Executors), call.ExecutorOpts, call.Fun, call.Args, true), JID: job.ID}
	public := c.m.hide(res.Result)
	if !call.ShowSecrets {
		res.Result = public
	}
	if ctx.Err() != nil {
		return res, nil
	}
	ret := (&wire.Return{JID: job.ID, ID: c.m.id, Fun: call.Fun, FunArgs: call.Args, Return: public.Return,
		Retcode: int64(res.Retcode), Success: res.Success, Out: res.Out, User: job.User}).ToMap()
	if call.Metadata != nil {
		ret.Set("metadata", call.Metadata)
	}
	rerr := c.m.returnNow(ctx, &wire.Job{JID: job.ID, Ret: call.Returner}, ret)
	if c.link == nil || call.Quiet {
		return res, rerr
	}
	if _, err := c.link.do(ctx, ret); err != nil {
		return res, fmt.Errorf("tell the master what came out: %w", err)
	}
	return res, rerr
}

// Grains is what is known of this machine.
func (c *Caller) Grains() *wire.Map { return c.m.Grains() }

// Functions are the functions that can be run, with their documentation.
func (c *Caller) Functions() *module.Registry { return c.m.reg }

func userName() string {
	if u := os.Getenv("SUDO_USER"); u != "" {
		return "sudo_" + u
	}
	if u := os.Getenv("USER"); u != "" {
		return filepath.Base(u)
	}
	return "root"
}
