package main

import (
	"log/slog"

	"github.com/gosalt/gosalt/internal/config"
	"github.com/gosalt/gosalt/internal/daemon"
	"github.com/gosalt/gosalt/master"
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
			return master.New(master.Config{Master: cfg, Log: log, Ready: ready})
		},
	}, args)
}
