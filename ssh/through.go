package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Runner is an open way to a machine, over which commands run: a Conn, or what Through
// makes of an API that runs commands in containers.
type Runner interface {
	// Start runs a command line with a shell there. The error is a *Error.
	Start(ctx context.Context, cmd string, o SessionOptions) (*Session, error)
	// Run runs a command line and returns what it wrote, up to RunLimit, and its exit code.
	Run(ctx context.Context, cmd string, stdin io.Reader) (stdout, stderr []byte, code int, err error)
	// Done is closed when the way has ended.
	Done() <-chan struct{}
	// Close ends the way and the commands that run over it.
	Close() error
}

// An Exec runs a command on a machine and returns its exit code: inventory.Executor has it
// for one machine. It ends when the command has, though nobody closes stdin. When ctx ends
// it ends, too.
type Exec func(ctx context.Context, argv []string, stdin io.Reader, stdout, stderr io.Writer) (int, error)

// through is the Runner of an Exec.
type through struct {
	host Host
	ctx  context.Context
	end  context.CancelFunc
	wg   sync.WaitGroup
}

// Through is the way to a machine whose Host has an Exec. Nothing is opened before the
// first command.
func Through(h Host) Runner {
	t := &through{host: h}
	t.ctx, t.end = context.WithCancel(context.Background())
	return t
}

// Done implements Runner.
func (t *through) Done() <-chan struct{} { return t.ctx.Done() }

// Close implements Runner.
func (t *through) Close() error {
	t.end()
	t.wg.Wait()
	return nil
}

// Run implements Runner.
func (t *through) Run(ctx context.Context, cmd string, stdin io.Reader) (stdout, stderr []byte, code int, err error) {
	return runOn(ctx, t, t.host.Name(), cmd, stdin)
}

// Start implements Runner. A command always has a group: APIs have no signals, so one that
// is to end gets them from another command.
func (t *through) Start(ctx context.Context, cmd string, o SessionOptions) (*Session, error) {
	if o.TTY {
		return nil, &Error{Host: t.host.Name(), Kind: KindOption, Msg: "there are no terminals for commands that do not go over SSH", Hint: "leave out tty: of this machine"}
	}
	if err := ctx.Err(); err != nil {
		return nil, t.ctxError(ctx)
	}
	if t.ctx.Err() != nil {
		return nil, &Error{Host: t.host.Name(), Kind: KindCanceled, Msg: "the connection was closed"}
	}
	var vars strings.Builder
	for _, name := range slices.Sorted(maps.Keys(o.Env)) {
		fmt.Fprintf(&vars, "export %s=%s; ", name, Quote(o.Env[name]))
	}
	s := &Session{over: make(chan struct{}), group: newGroup()}
	run, cancel := context.WithCancel(t.ctx)
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	errR, errW := io.Pipe()
	var stdout, stderr io.Writer = outW, errW
	if s.Stdout = (&groupReader{g: s.group, r: outR}); o.Stdout != nil {
		s.Stdout, stdout = nil, &groupWriter{s.group, o.Stdout}
	}
	if s.Stderr = errR; o.Stderr != nil {
		s.Stderr, stderr = nil, o.Stderr
	}
	if s.Stdin = inW; o.Stdin != nil {
		s.Stdin = nil
		// Not waited for: a command may end before it has read all.
		go func() {
			_, err := io.Copy(inW, o.Stdin)
			inW.CloseWithError(err)
		}()
	}
	// Whoever reads or writes these pipes must not wait for a command that is gone.
	drop := func() {
		inR.Close()
		outR.Close()
		errR.Close()
	}
	s.leave = func() {
		cancel()
		drop()
	}
	s.kill = func(signal string) error { return t.kill(s.group, signal) }
	t.wg.Go(func() {
		defer cancel()
		argv := []string{"/bin/sh", "-c", `printf "%s%s\n" "$1" $$; exec /bin/sh -c "$2"`, "sh", s.group.token, vars.String() + cmd}
		code, err := t.host.Exec(run, argv, inR, stdout, stderr)
		if o.Stdout != nil {
			if rest := s.group.rest(); len(rest) > 0 {
				o.Stdout.Write(rest)
			}
		}
		exit := Exit{Code: code}
		if err != nil {
			exit.Code = 255
			err = t.execError(run, err)
		}
		inR.Close()
		outW.Close()
		errW.Close()
		s.finish(exit, err)
	})
	go t.watch(ctx, s, o.Grace)
	return s, nil
}

// watch ends a command when its context does.
func (t *through) watch(ctx context.Context, s *Session, grace time.Duration) {
	select {
	case <-s.over:
		return
	case <-ctx.Done():
	}
	if grace == 0 {
		grace = 2 * time.Second
	}
	why := t.ctxError(ctx)
	s.mu.Lock()
	s.why = why
	s.mu.Unlock()
	timer := time.NewTimer(grace)
	defer timer.Stop()
	go s.kill("TERM")
	select {
	case <-s.over:
		return
	case <-timer.C:
	}
	s.kill("KILL")
	s.Close()
	s.finish(Exit{Code: 255}, why)
}

// kill sends a signal to the processes of a group, by a command of its own.
func (t *through) kill(g *group, signal string) error {
	pid := g.number()
	if pid <= 1 {
		return nil
	}
	ctx, cancel := context.WithTimeout(t.ctx, killTime)
	defer cancel()
	// Where the command leads no session there is no group of this number.
	line := fmt.Sprintf("kill -%[1]s -%[2]d 2>/dev/null || kill -%[1]s %[2]d", signal, pid)
	_, err := t.host.Exec(ctx, []string{"/bin/sh", "-c", line}, strings.NewReader(""), io.Discard, io.Discard)
	return err
}

func (t *through) ctxError(ctx context.Context) *Error {
	e := &Error{Host: t.host.Name(), Kind: KindCanceled, Msg: "the command was canceled", Err: ctx.Err()}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		e.Kind, e.Msg = KindTimeout, "the command did not end in time"
	}
	return e
}

// execError is what an Exec said, which names its source and call itself.
func (t *through) execError(run context.Context, err error) *Error {
	if run.Err() != nil {
		return &Error{Host: t.host.Name(), Kind: KindCanceled, Msg: "the command was canceled", Err: err}
	}
	return &Error{Host: t.host.Name(), Kind: KindExec, Msg: OneLine(err.Error()), Err: err}
}
