// Command gosalt-minion is gosalt's machine side. What it does depends on the name
// that it is called by: gosalt-minion is the daemon that runs a master's jobs,
// gosalt-call runs one function here and now. Salt's own names do as well.
package main

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/gosalt/gosalt/internal/agent"
	"github.com/gosalt/gosalt/internal/config"
	"github.com/gosalt/gosalt/internal/daemon"
	"github.com/gosalt/gosalt/minion"
)

func main() {
	name := strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe")
	args := os.Args[1:]
	if strings.TrimPrefix(name, "go") == "salt-call" {
		os.Exit(callMain(name, args))
	}
	if len(args) > 1 && (args[0] == agent.ArgStream || args[0] == agent.ArgCheck) {
		os.Exit(agentMain(args))
	}
	if len(args) > 0 && args[0] == "join" {
		os.Exit(joinMain(name, args[1:]))
	}
	os.Exit(minionMain(name, args))
}

func minionMain(name string, args []string) int {
	var cfg *config.Minion
	return daemon.Main(daemon.Program{
		Name: name, Kind: "minion",
		Description: "The gosalt minion, receives commands from a gosalt or Salt master.",
		Load: func(dir string) (*config.Common, []config.Problem, error) {
			c, problems, err := config.LoadMinion(dir)
			if err != nil {
				return nil, problems, err
			}
			cfg = c
			return &c.Common, problems, nil
		},
		New: func(log *slog.Logger, ready func()) (daemon.Runner, error) {
			return minion.New(minion.Config{Minion: cfg, Log: log, Ready: ready})
		},
		Again: func(err error) []string {
			var again *minion.Again
			if errors.As(err, &again) {
				return again.Argv
			}
			return nil
		},
	}, args)
}
