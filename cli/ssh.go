package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/gosalt/gosalt/cli/output"
	"github.com/gosalt/gosalt/cli/term"
	"github.com/gosalt/gosalt/internal/config"
	"github.com/gosalt/gosalt/protocol/control"
	"github.com/gosalt/gosalt/protocol/wire"
)

// SSHEnv is what gosalt-ssh needs of the program that it is part of.
type SSHEnv struct {
	// Open makes a master that serves this one command line, and returns the way to it.
	Open func(ctx context.Context, io IO, cfg *config.Master, o *SSHOptions) (net.Conn, func(), error)
}

// exitAggregate is Salt's code for "on some machine something was not well".
const exitAggregate = 20

// SSH runs a function on machines of a roster, by SSH: the command gosalt-ssh.
func SSH(io IO, args []string, env SSHEnv) int {
	if code, done := Completing(io, args, nil); done {
		return code
	}
	o, err := ParseSSH(io, args)
	if err != nil {
		return io.Fail(err)
	}
	s, code := openMaster(io, &o.CommonOptions)
	if s == nil {
		return code
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if o.askPass && o.passwd == "" {
		if o.passwd, err = Prompt(io, bufio.NewReader(io.In), "Password: ", true); err != nil {
			return io.Fail(fmt.Errorf("--askpass: %w", err))
		}
	}
	conn, done, err := env.Open(ctx, io, s.cfg, o)
	if err != nil {
		return io.Fail(err)
	}
	defer done()
	s.dial = func(context.Context) (*control.Conn, error) { return control.Client(conn), nil }
	g := &gosaltRun{masterSession: s, o: &o.GosaltOptions, out: o.Out.Settings(io, s.cfg.Raw), status: term.NewStatus(io.Err), ssh: o.over()}
	g.out.Static, g.out.Fun = o.Static, strings.Join(o.Job.Funs, ",")
	if o.Hosts {
		return g.sshHosts(ctx)
	}
	if g.status.On() && strings.HasPrefix(g.out.Fun, "bootstrap") {
		o.Live = true // it takes its time: who sits there sees what it does
	}
	g.states = newStatesReport(&o.StatesOptions, strings.Join(o.Job.Funs, ","))
	g.view = g.newView()
	switch code := g.run(); {
	case g.nothing:
		return NoRosterMatch.Code(o.Strict)
	case code == MinionFailed.Code(o.Strict) && !o.Strict && g.failed:
		return exitAggregate
	default:
		return code
	}
}

// sshHosts lists the machines of a target with their addresses: -H.
func (g *gosaltRun) sshHosts(ctx context.Context) int {
	var hosts *wire.Map
	err := g.ask(ctx, g.request(), func(f *wire.Map) error {
		if f.Text("kind") == control.KindResult {
			hosts = f.Map("return")
		}
		return nil
	})
	if err != nil {
		return g.explain(err)
	}
	if hosts == nil {
		return g.io.Fail(errors.New("no list came"))
	}
	if hosts.Len() == 0 {
		return NoRosterMatch.Code(g.strict)
	}
	if err := output.Display(g.io.Out, hosts, "", g.out); err != nil {
		return g.io.Fail(err)
	}
	return OK.Code(g.strict)
}
