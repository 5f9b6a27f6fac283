package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/gosalt/gosalt/cli/output"
	"github.com/gosalt/gosalt/protocol/control"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Run runs a function on the master: the command gosalt-run.
func Run(io IO, args []string) int {
	o, err := ParseRun(io, args)
	if err != nil {
		return io.Fail(err)
	}
	s, code := openMaster(io, &o.CommonOptions)
	if s == nil {
		return code
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	fun, fargs := o.Fun, o.Args
	doc := o.Doc || fun == ""
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
			v, _ := f.Get("data")
			return output.Display(io.Out, v, "", settings)
		case control.KindResult:
			result = f
		}
		return nil
	})
	switch {
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(io.Err, "\nExiting gracefully on Ctrl-c")
		return Interrupted.Code(o.Strict)
	case err != nil:
		return s.explain(err)
	}
	if doc {
		return printDocs(io, result, settings)
	}
	if o.Async {
		fmt.Fprintf(io.Err, "[WARNING ] Running in asynchronous mode. Results of this execution may be collected by attaching to the master event bus or by examining the master job cache, if configured. This execution is running under tag salt/run/%s\n", result.Text("jid"))
		return OK.Code(o.Strict)
	}
	v, _ := result.Get("return")
	if !o.Quiet {
		if err := output.Display(io.Out, v, result.Text("out"), settings); err != nil {
			return io.Fail(err)
		}
	}
	switch {
	case !result.Bool("known"):
		return UnknownRunner.Code(o.Strict)
	case !result.Bool("success"):
		return RunnerFailed.Code(o.Strict)
	}
	return OK.Code(o.Strict)
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
		if err := output.Display(io.Out, fmt.Sprintf("%s:", fun), "", settings); err != nil {
			return io.Fail(err)
		}
		fmt.Fprintf(io.Out, "%s\n\n", docs.Text(fun))
	}
	return 0
}
