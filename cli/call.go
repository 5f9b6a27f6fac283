package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/gosalt/gosalt/cli/output"
	"github.com/gosalt/gosalt/cli/term"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// CallEnv is what gosalt-call works on: the minion of this machine.
type CallEnv struct {
	// Conf is the minion's configuration by Salt's option names.
	Conf *wire.Map
	// Run runs the function. Its error means that there was no run at all, or that the
	// master could not be told; then Result says which. progress, unless it is nil, is
	// told what is printed meanwhile: items of a wire.Progress, from several goroutines.
	Run func(ctx context.Context, progress func(any)) (CallResult, error)
	// Grains returns what is known of this machine.
	Grains func() (*wire.Map, error)
	// Docs returns the documentation of functions by name, of those whose name begins
	// with the argument.
	Docs func(prefix string) *wire.Map
}

// CallResult is what came out of a run.
type CallResult struct {
	module.Result
	JID wire.JobID
	ID  string
	Ran bool
}

// RunCall runs one function on this machine and shows the result: gosalt-call.
func RunCall(io IO, o *CallOptions, env CallEnv) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	c := &callCommand{io: io, o: o, env: env, out: o.Out.Settings(io, env.Conf), report: newStatesReport(&o.StatesOptions, o.Fun), status: term.NewStatus(io.Err)}
	c.out.Fun, c.out.Args = o.Fun, o.Args
	switch {
	case o.Doc:
		return c.docs()
	case o.Grains:
		return c.grains()
	}
	done, err := profiling(io, o.Profiling, o.ProfilingPath)
	if err != nil {
		return io.Fail(err)
	}
	res, err := env.Run(ctx, c.live())
	c.status.Clear()
	done()
	if ctx.Err() != nil {
		return c.interrupted(res)
	}
	if err != nil {
		fmt.Fprintf(io.Err, "%s: error: %v\n", io.Prog, err)
		if !res.Ran {
			return MinionFailed.Code(o.Strict)
		}
	}
	return c.show(res)
}

// interrupted shows what states have come to before, and says how the run has ended: what
// was half done is no success, on whose machine it may be.
func (c *callCommand) interrupted(res CallResult) int {
	code := MinionFailed.Code(c.o.Strict)
	if res.Err == nil && res.Retcode != 0 && strings.HasPrefix(c.o.Fun, "state.") {
		code = c.show(res)
	}
	fmt.Fprintln(c.io.Err, "\nExiting gracefully on Ctrl-c")
	if c.o.Strict {
		return Interrupted.Code(true)
	}
	return code
}

type callCommand struct {
	io  IO
	o   *CallOptions
	env CallEnv
	out output.Options

	report *statesReport
	status *term.Status
}

// live is how lines are shown while the function runs; nil where none are.
func (c *callCommand) live() func(any) {
	var mu sync.Mutex
	if c.o.Fun == "state.event" && !c.o.Live { // its lines are what it is called for
		return func(item any) {
			mu.Lock()
			defer mu.Unlock()
			if m, ok := item.(*wire.Map); ok {
				fmt.Fprint(c.io.Out, m.Text("stdout"))
			}
		}
	}
	if !c.o.Live {
		return c.counter()
	}
	p := livePrinterOf(c.out, c.io.Out, c.io.Err, []string{"local"})
	return func(item any) {
		mu.Lock()
		defer mu.Unlock()
		_ = p.print("local", &wire.Progress{Items: []any{item}}) // who does not read it gets the result all the same
	}
}

// counter shows on a terminal which state a run has come to; nil elsewhere.
func (c *callCommand) counter() func(any) {
	if !c.status.On() || !strings.HasPrefix(c.o.Fun, "state.") {
		return nil
	}
	return func(item any) {
		if m, ok := item.(*wire.Map); ok && strings.HasPrefix(m.Text("stdout"), "[") {
			c.status.Set(m.Text("stdout"))
		}
	}
}

func (c *callCommand) docs() int {
	docs := c.env.Docs(c.o.Fun)
	var names []string
	for name := range docs.Strings() {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := output.Display(c.io.Out, name+":", "", c.out); err != nil {
			return c.io.Fail(err)
		}
		fmt.Fprintf(c.io.Out, "%s\n\n", docs.Text(name))
	}
	return OK.Code(c.o.Strict)
}

func (c *callCommand) grains() int {
	g, err := c.env.Grains()
	if err != nil {
		return c.io.Fail(err)
	}
	if err := output.Display(c.io.Out, wire.NewMap("local", g), "grains", c.out); err != nil {
		return c.io.Fail(err)
	}
	return OK.Code(c.o.Strict)
}

// show prints a result as salt-call does: what the function returned under
// "local", its errors on standard error.
func (c *callCommand) show(res CallResult) int {
	var e *module.Error
	if errors.As(res.Err, &e) {
		if code, done := c.refused(e, res); done {
			c.report.take(res.ID, pytext.Str(res.Return), 1)
			if err := c.report.finish(c.io.Err, c.out); err != nil {
				return c.io.Fail(err)
			}
			return code
		}
	} else if res.Err != nil {
		fmt.Fprintf(c.io.Err, "[CRITICAL] %v\n", res.Return)
		return MinionFailed.Code(c.o.Strict)
	}
	res.Return = c.report.take(res.ID, res.Return, res.Retcode)
	value := wire.NewMap("local", res.Return)
	if c.o.PrintMetadata {
		value = wire.NewMap("local", wire.NewMap("jid", string(res.JID), "return", res.Return, "retcode", int64(res.Retcode)))
		m := value.Map("local")
		if res.Out != "" {
			m.Set("out", res.Out)
		}
		m.Set("id", res.ID)
		m.Set("fun", c.o.Fun)
		m.Set("fun_args", append([]any{}, c.o.typed...)) // as Salt shows them
		if c.o.Metadata != nil {
			m.Set("metadata", c.o.Metadata)
		}
	}
	out := c.out
	out.Retcode = res.Retcode
	if err := output.Display(c.io.Out, value, res.Out, out); err != nil {
		return c.io.Fail(err)
	}
	if err := c.report.finish(c.io.aside(c.out), c.out); err != nil {
		return c.io.Fail(err)
	}
	switch {
	case res.Retcode == 0 && c.report.pending:
		return Pending.Code(c.o.Strict)
	case res.Retcode == 0:
		return OK.Code(c.o.Strict)
	case c.o.RetcodePassthrough:
		return res.Retcode & 0xff
	}
	return MinionFailed.Code(c.o.Strict)
}

// refused handles the errors of Salt's own kinds; done is false where the result
// is shown as any other.
func (c *callCommand) refused(e *module.Error, res CallResult) (code int, done bool) {
	switch e.Kind {
	case module.NotAvailable:
		if _, near := res.Return.(*wire.Map); near {
			return 0, false // the documentation of functions of similar names
		}
		fmt.Fprintln(c.io.Err, res.Return)
		return UnknownFunction.Code(c.o.Strict), true
	case module.Keywords:
		fmt.Fprintln(c.io.Err, e)
		return MinionFailed.Code(c.o.Strict), true
	case module.Arguments, module.Invocation: // to salt-call, Salt's SaltInvocationError is a TypeError
		doc := c.env.Docs(c.o.Fun).Text(c.o.Fun)
		fmt.Fprintln(c.io.Out, strings.TrimRight(doc, " \n"))
		fmt.Fprintf(c.io.Err, "\nPassed invalid arguments: %v.\n\nUsage:\n", e)
		return MinionFailed.Code(c.o.Strict), true
	case module.Failed:
		fmt.Fprintf(c.io.Err, "Error running '%s': %v\n", c.o.Fun, e)
		return MinionFailed.Code(c.o.Strict), true
	case module.NoCommand:
		fmt.Fprintf(c.io.Err, "Command required for '%s' not found: %v\n", c.o.Fun, e)
		return MinionFailed.Code(c.o.Strict), true
	}
	return 0, false
}
