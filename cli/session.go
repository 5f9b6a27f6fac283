package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gosalt/gosalt/internal/config"
	"github.com/gosalt/gosalt/protocol/control"
	"github.com/gosalt/gosalt/protocol/wire"
)

// masterSession is a command's way to the master of this machine.
type masterSession struct {
	io      IO
	opts    *CommonOptions
	cfg     *config.Master
	strict  bool
	eauth   *wire.Map // what to log in with; nil is who the kernel says
	who     string    // the name that is logged in with, where it was given
	special bool      // refusals are worded as in gosalt-run and gosalt-key
	// dial is the way to a master that is part of this program; nil: to the one on the
	// control socket.
	dial func(ctx context.Context) (*control.Conn, error)
}

// openMaster reads the master's configuration, which says where its socket is. A
// configuration that cannot be used is reported; then the result is nil.
func openMaster(io IO, opts *CommonOptions) (*masterSession, int) {
	cfg, problems, err := config.LoadMaster(opts.ConfigDir)
	if err != nil && opts.ConfigDir == config.DefaultDir && unreadable(filepath.Join(opts.ConfigDir, "master")) {
		// Whoever logs in with --auth need not read what only the master is to know: where
		// its socket is goes without saying, unless that file moves it.
		cfg, problems, err = config.LoadMasterFile(os.DevNull)
	}
	if err != nil {
		for _, p := range problems {
			if p.Severity == config.Error {
				fmt.Fprintf(io.Err, "%s: %s\n", io.Prog, p)
			}
		}
		return nil, Usage.Code(opts.Strict)
	}
	return &masterSession{io: io, opts: opts, cfg: cfg, strict: opts.Strict}, 0
}

// unreadable tells whether a file is there that this user may not read.
func unreadable(name string) bool {
	f, err := os.Open(name)
	if err == nil {
		f.Close()
	}
	return errors.Is(err, fs.ErrPermission)
}

// errAnswered ends a conversation whose outcome has been shown.
var errAnswered = errors.New("answered")

// ask sends a request and hands each frame of the answer to got, until the last.
// The end of the answer is nil, a refusal a *wire.Error.
func (s *masterSession) ask(ctx context.Context, req *wire.Map, got func(*wire.Map) error) error {
	dial := s.dial
	if dial == nil {
		dial = func(ctx context.Context) (*control.Conn, error) { return control.Dial(ctx, s.cfg.ControlSocket) }
	}
	c, err := dial(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	if u := s.io.env("SUDO_USER"); u != "" {
		req.Set("sudo_user", u)
	}
	if s.eauth != nil {
		req.Set("eauth", s.eauth)
	}
	if err := c.Send(req); err != nil {
		return err
	}
	for {
		f, err := c.Recv()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, io.EOF) {
			return errMasterEnded
		}
		if err != nil {
			return err
		}
		switch f.Text("kind") {
		case control.KindEnd:
			return nil
		case control.KindWarning:
			fmt.Fprintf(s.io.Err, "%s: warning: %s\n", s.io.Prog, f.Text("text"))
			continue
		case control.KindError:
			e, err := wire.ErrorFromMap(f.Map("error"))
			if err != nil {
				return err
			}
			return e
		}
		if err := got(f); err != nil {
			return &ownError{err}
		}
	}
}

// ownError is one of this side, in the middle of an answer: the output cannot be
// written, say. It says nothing of the master.
type ownError struct{ err error }

func (e *ownError) Error() string { return e.err.Error() }

// Unwrap is the error itself.
func (e *ownError) Unwrap() error { return e.err }

// errMasterEnded says that the master went away in the middle of an answer.
var errMasterEnded = errors.New("the master ended before it had answered")

// explain prints why the master gave no answer, and returns the exit code.
func (s *masterSession) explain(err error) int { return s.tellProblem(err).Code(s.strict) }

// tellProblem prints why the master gave no answer.
func (s *masterSession) tellProblem(err error) Outcome {
	var e *wire.Error
	var own *ownError
	switch {
	case errors.As(err, &own):
		fmt.Fprintf(s.io.Err, "%s: error: %v\n", s.io.Prog, err)
		return MinionFailed
	case control.NotRunning(err):
		fmt.Fprintf(s.io.Err, "%s: error: no master is running here: nothing listens on %s\n", s.io.Prog, s.cfg.ControlSocket)
		s.io.Hint("start it with: gosalt-master -d -c %s; or name another configuration with -c", s.opts.ConfigDir)
		return MasterDown
	case errors.Is(err, fs.ErrPermission):
		fmt.Fprintf(s.io.Err, "%s: error: this user may not speak to the master: %v\n", s.io.Prog, err)
		s.io.Hint("run it as root or as the master's user, or allow the user in publisher_acl")
		return NotPermitted
	case errors.Is(err, errMasterEnded):
		fmt.Fprintf(s.io.Err, "%s: error: %v: it was stopped or restarted\n", s.io.Prog, err)
		return MasterDown
	case errors.As(err, &e) && e.Op == "login":
		return s.notAuthenticated(e)
	case errors.As(err, &e) && e.Kind == wire.Forbidden:
		fmt.Fprintln(s.io.Out, s.forbiddenText())
		fmt.Fprintf(s.io.Err, "%s: error: %v\n", s.io.Prog, e)
		return NotAuthorized
	}
	fmt.Fprintf(s.io.Err, "%s: error: %v\n", s.io.Prog, err)
	return MinionFailed
}
