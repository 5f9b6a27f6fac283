package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/gosalt/gosalt/cli"
	"github.com/gosalt/gosalt/internal/config"
	"github.com/gosalt/gosalt/internal/logs"
	"github.com/gosalt/gosalt/internal/minionservice"
	"github.com/gosalt/gosalt/minion"
	"github.com/gosalt/gosalt/protocol/wire"
)

// joinMain is gosalt-minion join: it makes this machine a minion of a master.
func joinMain(name string, args []string) int {
	io := cli.StdIO(name)
	o, err := cli.ParseJoin(io, args)
	if err != nil {
		return io.Fail(err)
	}
	if o.InArgs != "" {
		hideToken(args, o.InArgs) // goes on in this process where it cannot be done
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, time.Duration(o.Timeout)*time.Second)
	defer cancel()
	cfg, code := joinConfig(ctx, io, o)
	if cfg == nil {
		return code
	}
	log, closer, err := logs.Open(logs.Options{Console: io.Err, ConsoleLevel: o.LogLevel(), Bare: true})
	if err != nil {
		return io.Fail(err)
	}
	defer closer.Close()
	cfg.Log = log
	cfg.Say = func(s string) { fmt.Fprintf(io.Err, "%s: %s\n", name, s) }
	done, err := minion.Join(ctx, *cfg)
	if err != nil {
		return joinFailed(io, err)
	}
	file, err := minion.KeepJoin(o.ConfigDir, *cfg, done)
	if err != nil {
		return joinFailed(io, err)
	}
	fmt.Fprintf(io.Out, "%s is a minion of %s (key %s)\n", cfg.ID, done.Master, done.Finger)
	fmt.Fprintf(io.Err, "%s: the configuration is in %s\n", name, file)
	if o.Remove && o.TokenFile != "" {
		if err := os.Remove(o.TokenFile); err != nil && !errors.Is(err, os.ErrNotExist) {
			fmt.Fprintf(io.Err, "%s: warning: %v\n", name, err)
		}
	}
	return startService(ctx, io, o)
}

// joinConfig reads the configuration that there is, and works out the name.
func joinConfig(ctx context.Context, io cli.IO, o *cli.JoinOptions) (*minion.JoinConfig, int) {
	id := o.ID
	cfg := &minion.JoinConfig{Masters: o.Masters, Token: o.Token, Finger: o.Finger, NewMaster: o.NewMaster}
	if o.Token != nil {
		cfg.Finger = o.Token.Finger
		if id == "" {
			id = o.Token.ID
		}
	}
	if o.AWS {
		instance, doc, err := minion.AWSIdentity(ctx)
		if err != nil {
			return nil, joinFailed(io, err)
		}
		cfg.Document = doc
		if id == "" && !configuredID(o.ConfigDir) {
			if id, err = wire.ParseMinionID(instance); err != nil {
				return nil, joinFailed(io, err)
			}
		}
	}
	c, problems, err := config.LoadMinionWith(filepath.Join(o.ConfigDir, "minion"), config.MinionOptions{ID: string(id), ForgetID: true})
	for _, p := range problems {
		if p.Severity == config.Error {
			fmt.Fprintf(io.Err, "%s: %s\n", io.Prog, p)
		}
	}
	if err != nil {
		return nil, cli.Usage.Code(false)
	}
	cfg.Minion = c
	if cfg.ID, err = wire.ParseMinionID(c.ID); err != nil {
		return nil, joinFailed(io, fmt.Errorf("option id: %w", err))
	}
	if cfg.Finger == "" && !o.NewMaster {
		cfg.Finger = c.MasterFinger
	}
	return cfg, 0
}

// configuredID tells whether the configuration names this minion.
func configuredID(dir string) bool {
	c, _, err := config.LoadMinionWith(filepath.Join(dir, "minion"), config.MinionOptions{ForgetID: true})
	return err == nil && c.Raw.Text("id") != ""
}

func joinFailed(io cli.IO, err error) int {
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(io.Err, "%s: error: %s\n", io.Prog, strings.TrimSuffix(line, "\n"))
	}
	var no minion.JoinRefused
	switch {
	case errors.As(err, &no), errors.Is(err, os.ErrPermission):
		return cli.NotPermitted.Code(false)
	case errors.Is(err, minion.ErrWrongMaster), errors.Is(err, minion.ErrOtherMaster), errors.Is(err, minion.ErrNoJoin):
		return cli.MinionFailed.Code(false)
	case errors.Is(err, context.Canceled):
		return cli.Interrupted.Code(true)
	}
	return cli.Unavailable.Code(false)
}

// startService enables and starts the service where one is installed, and says otherwise
// how to start the minion.
func startService(ctx context.Context, io cli.IO, o *cli.JoinOptions) int {
	say := func(format string, args ...any) {
		fmt.Fprintf(io.Err, "%s: %s\n", io.Prog, fmt.Sprintf(format, args...))
	}
	byHand := io.Prog + " -d"
	if o.ConfigDir != config.DefaultDir {
		byHand += " -c " + o.ConfigDir
	}
	steps := serviceSteps()
	if steps == nil || o.ConfigDir != config.DefaultDir {
		say("next: start it, with: %s", byHand)
		return 0
	}
	if o.NoStart {
		say("next: start it, with: %s", strings.Join(steps[len(steps)-1], " "))
		return 0
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	for _, argv := range steps {
		if out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput(); err != nil {
			fmt.Fprintf(io.Err, "%s: error: the minion has joined, but its service does not start: %s: %v: %.500s\n", io.Prog, strings.Join(argv, " "), err, strings.TrimSpace(string(out)))
			return cli.Unavailable.Code(false)
		}
	}
	say("the service %s is started, also after each boot", minionservice.Name)
	return 0
}

// serviceSteps are the commands that enable and start the service; nil where there is none.
func serviceSteps() [][]string {
	if _, err := os.Stat("/run/systemd/system"); err == nil {
		if exec.Command("systemctl", "cat", minionservice.Name+".service").Run() == nil {
			return [][]string{{"systemctl", "enable", "--quiet", minionservice.Name + ".service"}, {"systemctl", "restart", minionservice.Name + ".service"}}
		}
		return nil
	}
	if _, err := os.Stat("/etc/init.d/" + minionservice.Name); err == nil {
		if _, err := exec.LookPath("rc-service"); err == nil {
			return [][]string{{"rc-update", "add", minionservice.Name, "default"}, {"rc-service", minionservice.Name, "restart"}}
		}
	}
	return nil
}
