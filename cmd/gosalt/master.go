package main

import (
	"context"
	"log/slog"
	"path/filepath"
	"sync"

	"github.com/gosalt/gosalt/internal/config"
	"github.com/gosalt/gosalt/internal/daemon"
	"github.com/gosalt/gosalt/inventory/providers"
	"github.com/gosalt/gosalt/master"
	"github.com/gosalt/gosalt/minion/grains"
	"github.com/gosalt/gosalt/minion/modules"
	"github.com/gosalt/gosalt/protocol/wire"
)

func masterMain(name string, args []string) int {
	var cfg *config.Master
	return daemon.Main(daemon.Program{
		Name: name, Kind: "master",
		Description: "The gosalt master, used to control the gosalt minions and those of Salt.",
		Load: func(dir string) (*config.Common, []config.Problem, error) {
			c, problems, err := config.LoadMaster(dir)
			if err != nil {
				return nil, problems, err
			}
			cfg = c
			return &c.Common, problems, nil
		},
		New: func(log *slog.Logger, ready func()) (daemon.Runner, error) {
			return master.New(master.Config{Master: cfg, Log: log, Ready: ready,
				Functions: sync.OnceValue(modules.New), Kinds: providers.All(),
				Grains: sync.OnceValue(func() *wire.Map {
					return grains.Collect(context.Background(), grains.Options{Opts: cfg.Opts(), ConfDir: filepath.Dir(cfg.ConfFile), Log: log})
				})})
		},
	}, args)
}
