package master

import (
	"context"
	"path/filepath"

	"github.com/gosalt/gosalt/internal/fileclient"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Execute implements runners.Local.
func (r runnerMaster) Execute(ctx context.Context, jid wire.JobID, fun string, args []any, kwargs *wire.Map) module.Result {
	m := r.m
	if m.cfg.Functions == nil {
		err := module.Failf("%s cannot be run: this master has no functions of a minion", fun)
		return module.Result{Return: err.Msg, Retcode: 1, Err: err}
	}
	c := &module.Call{Opts: m.cfg.Opts(), Grains: m.cfg.Grains, Log: m.log, CacheDir: m.cfg.CacheDir,
		FileServer: fileclient.NewLocal(m.files.Server(), filepath.Join(m.cfg.CacheDir, "master_minion"), m.cfg.Opts)}
	if jid != "" {
		c.Job = &module.Job{ID: jid, Fun: fun, Pub: wire.NewMap()}
		c.MasterEvent = m.bus.Publish
	}
	return m.cfg.Functions().Run(ctx, c, fun, args, kwargs)
}

// Opts implements runners.Local.
func (r runnerMaster) Opts() *wire.Map { return r.m.cfg.Opts() }
