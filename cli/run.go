package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/gosalt/gosalt/cli/output"
	"github.com/gosalt/gosalt/protocol/control"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Run runs a function on the master: the command gosalt-run.
func Run(io IO, args []string) int {
	if code, done := Completing(io, args, nil); done {
		return code
	}
	o, err := ParseRun(io, args)
	if err != nil {
		return io.Fail(err)
	}
	done, err := profiling(io, o.Profiling, o.ProfilingPath)
	if err != nil {
		return io.Fail(err)
	}
	defer done()
	if o.Fun == "doctor" && !o.Doc {
		return runDoctor(io, o)
	}
	s, code := openMaster(io, &o.CommonOptions)
	if s == nil {
		return code
	}
	if exit := s.login(&o.AuthOptions, true); exit >= 0 {
		return exit
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if o.Follow {
		return s.follow(ctx, o.Tags, o.Out.Settings(io, s.cfg.Raw))
	}
	fun, fargs := o.Fun, o.Args
	doc := o.Doc || fun == ""
	report, err := o.vmReport()
	if err != nil {
		return io.Fail(err)
	}
	if doc {
		fargs = nil
		if fun != "" {
			fargs = []any{fun}
		}
		fun = "doc.runner"
	}
	req := wire.NewMap("op", control.OpRunner, "fun", fun, "arg", fargs, "async", o.Async)
	if o.JID != "" {
		req.Set("jid", string(o.JID))
	}
	if o.Explicit("timeout") { // else the master's own
		req.Set("timeout", int64(o.Timeout))
	}
	if fargs == nil {
		req.Set("arg", []any{})
	}
	settings := o.Out.Settings(io, s.cfg.Raw)
	settings.Fun = o.Fun
	var result *wire.Map
	err = s.ask(ctx, req, func(f *wire.Map) error {
		switch f.Text("kind") {
		case control.KindProgress:
			if o.Quiet {
				return nil
			}
			return printProgress(io, f, settings)
		case control.KindResult:
			result = f
		}
		return nil
	})
	switch {
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(io.Err, "\nExiting gracefully on Ctrl-c")
		if strings.HasPrefix(fun, "vm.") {
			io.Hint("the master ends what was not made whole; gosalt-run vm.list shows what is there")
		}
		return Interrupted.Code(o.Strict)
	case err != nil:
		return s.explain(err)
	}
	if result == nil {
		return io.Fail(errors.New("the master gave no result"))
	}
	if doc {
		return printDocs(io, result, settings)
	}
	if o.Async && result.Bool("known") {
		fmt.Fprintf(io.Err, "[WARNING ] Running in asynchronous mode. Results of this execution may be collected by attaching to the master event bus or by examining the master job cache, if configured. This execution is running under tag salt/run/%s\n", result.Text("jid"))
		return OK.Code(o.Strict)
	}
	v, _ := result.Get("return")
	if report != nil {
		if err := report.vmTest(v, int(result.Int("retcode"))); err != nil {
			return io.Fail(err)
		}
	}
	if !o.Quiet {
		if err := output.Display(io.Out, v, result.Text("out"), settings); err != nil {
			return io.Fail(err)
		}
	}
	for _, note := range result.List("notes") {
		fmt.Fprintf(io.Err, "%s: note: %v\n", io.Prog, note)
	}
	return s.runnerCode(result)
}

// runnerCode is the exit code of a runner's result. What is wrong with a call, and
// the result does not say itself, is told on standard error.
func (s *masterSession) runnerCode(result *wire.Map) int {
	why := result.Text("error")
	v, _ := result.Get("return")
	if text, ok := v.(string); why != "" && !(ok && strings.Contains(text, why)) {
		fmt.Fprintf(s.io.Err, "%s: error: %s\n", s.io.Prog, why)
	}
	switch {
	case result.Int("retcode") != 0:
		return RunnerFailed.Code(s.strict)
	case !result.Bool("known"):
		return UnknownRunner.Code(s.strict)
	case why != "" && s.strict: // a wrong call, which Salt lets pass with 0
		return Usage.Code(s.strict)
	}
	return OK.Code(s.strict)
}

// printProgress shows what a runner reports while it runs: a text as it is, and what is told
// to people alone beside the result.
func printProgress(io IO, frame *wire.Map, settings output.Options) error {
	v, _ := frame.Get("data")
	if text, ok := v.(string); ok {
		_, err := fmt.Fprintln(io.Out, text)
		return err
	}
	if m, ok := v.(*wire.Map); ok && m.Bool("line") && m.Map("event") != nil {
		_, err := fmt.Fprintln(io.Err, m.Map("event").Text("message"))
		return err
	}
	return output.Display(io.Out, v, "", settings)
}

// printDocs shows the documentation of functions, sorted by their names.
func printDocs(io IO, result *wire.Map, settings output.Options) int {
	docs := result.Map("return")
	var names []string
	for fun := range docs.Strings() {
		names = append(names, fun)
	}
	slices.Sort(names)
	for _, fun := range names {
		if err := output.Display(io.Out, fun+":", "text", settings); err != nil {
			return io.Fail(err)
		}
		fmt.Fprintln(io.Out, docs.Text(fun)) // it begins with a line break
	}
	return 0
}
