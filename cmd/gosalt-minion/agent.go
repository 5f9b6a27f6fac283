package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"syscall"
	"time"

	"github.com/gosalt/gosalt/internal/agent"
	"github.com/gosalt/gosalt/internal/logs"
	"github.com/gosalt/gosalt/minion"
)

// agentMain is a minion for one job, at the far end of a session of SSH. Its standard
// input and output are the stream, what goes wrong is said on standard error.
func agentMain(args []string) int {
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, "gosalt:", err)
		return 1
	}
	exe, err := os.Executable()
	if err != nil {
		return fail(err)
	}
	if args[0] == agent.ArgCheck {
		if err := agent.Check(args[1]); err != nil {
			return fail(err)
		}
		fmt.Println(args[1])
		return 0
	}
	debug.SetGCPercent(400) // it ends soon
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	dir, done, err := minion.StreamDir()
	if err != nil {
		return fail(err)
	}
	defer done()
	if slices.Contains(args[2:], agent.ArgWipe) {
		defer agent.Wipe(exe, dir)
	} else {
		defer agent.Tidy(exe, time.Now())
	}
	out := os.Stdout
	os.Stdout = os.Stderr // nothing else may get into the stream
	err = minion.ServeStream(ctx, minion.StreamConfig{In: os.Stdin, Out: out, Mark: args[1], Dir: dir, Log: func(level string) *slog.Logger {
		log, _, err := logs.Open(logs.Options{Console: os.Stderr, ConsoleLevel: level, Bare: true})
		if err != nil {
			log.Warn("log level", "error", err)
		}
		return log
	}})
	if err != nil {
		return fail(err)
	}
	return 0
}
