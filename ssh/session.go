package ssh

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	xssh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// SessionOptions say how a command runs.
type SessionOptions struct {
	// TTY gives the command a terminal of Width and Height; then its standard error comes
	// with its output.
	TTY           bool
	Term          string // xterm when empty
	Width, Height int    // 80 and 24 when zero

	// Env are variables for the command. A server takes those that its AcceptEnv names;
	// others are lost without an error.
	Env map[string]string
	// AgentForward lets the command use the agent.
	AgentForward bool

	// Stdin is copied to the command, when set; else Session.Stdin is there to write to.
	Stdin io.Reader
	// Stdout and Stderr get what the command writes, when set; else Session.Stdout and
	// Session.Stderr are there to read from, and have to be read.
	Stdout, Stderr io.Writer

	// Group makes sure that all processes of the command end when ctx does: they get SIGTERM
	// and after Grace SIGKILL. It needs a shell of POSIX on the machine, which a switch or
	// router may not have. Without it the server is asked to send the signal, which that of
	// OpenSSH does not do for root, and a command without a terminal may live on.
	Group bool

	// Grace is the time between asking a canceled command to end and ending its session;
	// zero is 2s.
	Grace time.Duration
}

// Exit is how a command ended.
type Exit struct {
	Code   int    // 128 and more when a signal ended it
	Signal string // its name, as "TERM", or ""
}

// A Session is a command that runs on a machine.
type Session struct {
	Stdin  io.WriteCloser // nil with SessionOptions.Stdin
	Stdout io.Reader      // nil with SessionOptions.Stdout
	Stderr io.Reader      // nil with SessionOptions.Stderr

	c     *Conn         // nil when an Exec runs it, as s
	s     *xssh.Session // likewise
	group *group        // nil without SessionOptions.Group
	leave func()        // ends what an Exec runs
	kill  func(signal string) error
	why   *Error // that its context has ended; guarded by mu
	mu    sync.Mutex
	over  chan struct{} // closed when the command has ended, or was given up
	once  sync.Once
	exit  Exit
	err   error
	close sync.Once
}

// Start runs a command. When ctx ends, the command is asked to end by a signal, and then
// its session is closed. The error is a *Error.
func (c *Conn) Start(ctx context.Context, cmd string, o SessionOptions) (*Session, error) {
	type result struct {
		s   *Session
		err error
	}
	got := make(chan result, 1)
	go func() {
		s, err := c.start(cmd, o)
		got <- result{s, err}
	}()
	// What is opened though nobody waits any more is closed again.
	giveUp := func() {
		go func() {
			if r := <-got; r.s != nil {
				r.s.Close()
			}
		}()
	}
	timer := time.NewTimer(c.s.channelTimeout)
	defer timer.Stop()
	select {
	case r := <-got:
		if r.err != nil {
			return nil, c.sessionError(r.err)
		}
		go r.s.watch(ctx, o.Grace)
		return r.s, nil
	case <-ctx.Done():
		giveUp()
		return nil, c.ctxError(ctx)
	case <-c.done:
		giveUp()
		return nil, c.err
	case <-timer.C:
		giveUp()
		return nil, &Error{Host: c.s.name, Kind: KindTimeout, Msg: fmt.Sprintf("%s opened no session within %s", c.s.hostName, c.s.channelTimeout),
			Hint: "does the login hang there: PAM, a home directory on a dead server?"}
	}
}

func (c *Conn) ctxError(ctx context.Context) *Error {
	e := &Error{Host: c.s.name, Kind: KindCanceled, Msg: "the command was canceled", Err: ctx.Err()}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		e.Kind, e.Msg = KindTimeout, "the command did not end in time"
	}
	return e
}

// sessionError says why no session came about.
func (c *Conn) sessionError(err error) error {
	var known *Error
	if errors.As(err, &known) {
		return known
	}
	e := &Error{Host: c.s.name, Kind: KindSession, Err: err}
	var open *xssh.OpenChannelError
	switch {
	case errors.As(err, &open):
		e.Msg = c.s.hostName + " refused a session: " + OneLine(open.Message)
		e.Hint = "MaxSessions in its sshd_config bounds how many run at once"
	case errors.Is(err, io.EOF):
		select {
		case <-c.done:
			return c.err
		case <-time.After(100 * time.Millisecond):
		}
		e.Kind, e.Msg = KindClosed, c.s.hostName+" closed the session"
	default:
		e.Msg = c.s.hostName + " did not run the command: " + OneLine(strings.TrimPrefix(err.Error(), "ssh: "))
	}
	return e
}

func (c *Conn) start(cmd string, o SessionOptions) (*Session, error) {
	xs, err := c.client.NewSession()
	if err != nil {
		return nil, err
	}
	s := &Session{c: c, s: xs, over: make(chan struct{})}
	ok := false
	defer func() {
		if !ok {
			xs.Close()
		}
	}()
	if o.AgentForward || c.s.forwardAgent {
		err := c.forwardAgent()
		if err == nil {
			err = agent.RequestAgentForwarding(xs)
		}
		if err != nil && o.AgentForward {
			return nil, err
		}
	}
	env := maps.Clone(c.s.env)
	if env == nil {
		env = map[string]string{}
	}
	maps.Copy(env, o.Env)
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if err := xs.Setenv(name, env[name]); errors.Is(err, io.EOF) {
			return nil, err
		}
	}
	if o.TTY {
		term, w, h := o.Term, o.Width, o.Height
		if term == "" {
			term = "xterm"
		}
		if w <= 0 {
			w = 80
		}
		if h <= 0 {
			h = 24
		}
		// Without an echo what we type does not come back as output.
		if err := xs.RequestPty(term, h, w, xssh.TerminalModes{xssh.ECHO: 0}); err != nil {
			return nil, err
		}
	}
	if s.Stdin, err = xs.StdinPipe(); err != nil {
		return nil, err
	}
	if o.Stdout != nil {
		xs.Stdout = o.Stdout
	} else if s.Stdout, err = xs.StdoutPipe(); err != nil {
		return nil, err
	}
	if o.Group {
		s.group = newGroup()
		cmd = s.group.command(cmd)
		if o.Stdout != nil {
			xs.Stdout = &groupWriter{s.group, o.Stdout}
		} else {
			s.Stdout = &groupReader{g: s.group, r: s.Stdout}
		}
	}
	if o.Stderr != nil {
		xs.Stderr = o.Stderr
	} else if s.Stderr, err = xs.StderrPipe(); err != nil {
		return nil, err
	}
	if err := xs.Start(cmd); err != nil {
		return nil, err
	}
	ok = true
	if o.Stdin != nil {
		// Not waited for: a command may end before it has read all.
		in := s.Stdin
		s.Stdin = nil
		go func() {
			io.Copy(in, o.Stdin)
			in.Close()
		}()
	}
	go func() {
		err := xs.Wait()
		if s.group != nil && o.Stdout != nil {
			if rest := s.group.rest(); len(rest) > 0 {
				if _, werr := o.Stdout.Write(rest); err == nil {
					err = werr
				}
			}
		}
		s.finish(s.result(err))
	}()
	return s, nil
}

// result reads what the library says of the end of a command.
func (s *Session) result(err error) (Exit, error) {
	var exit *xssh.ExitError
	var missing *xssh.ExitMissingError
	switch {
	case err == nil:
		return Exit{}, nil
	case errors.As(err, &exit):
		return Exit{Code: exit.ExitStatus(), Signal: exit.Signal()}, nil
	case errors.As(err, &missing), errors.Is(err, io.EOF):
		// The library may hear of it before the connection's own end is known.
		select {
		case <-s.c.done:
			return Exit{Code: 255}, s.c.err
		case <-time.After(200 * time.Millisecond):
		}
		return Exit{Code: 255}, &Error{Host: s.c.s.name, Kind: KindClosed, Err: err, Msg: s.c.s.hostName + " ended the session without saying how the command ended"}
	}
	select {
	case <-s.c.done:
		return Exit{Code: 255}, s.c.err
	default:
	}
	return Exit{Code: 255}, &Error{Host: s.c.s.name, Kind: KindOther, Err: err, Msg: "the command's output was not taken: " + OneLine(err.Error())}
}

func (s *Session) finish(exit Exit, err error) {
	s.once.Do(func() {
		s.mu.Lock()
		why := s.why
		s.mu.Unlock()
		// One that ended well in the meantime has done what it was to do.
		if why != nil && err == nil && exit.Code != 0 {
			err = why
		}
		s.exit, s.err = exit, err
		close(s.over)
	})
}

// watch ends the command when its context does.
func (s *Session) watch(ctx context.Context, grace time.Duration) {
	select {
	case <-s.over:
		return
	case <-s.c.done:
		s.finish(Exit{Code: 255}, s.c.err)
		return
	case <-ctx.Done():
	}
	if grace == 0 {
		grace = 2 * time.Second
	}
	why := s.c.ctxError(ctx)
	s.mu.Lock()
	s.why = why
	s.mu.Unlock()
	timer := time.NewTimer(grace)
	defer timer.Stop()
	if s.group != nil {
		go s.c.kill(s.group, "TERM")
	} else {
		go s.s.Signal(xssh.SIGTERM)
	}
	select {
	case <-s.over:
		return
	case <-timer.C:
	}
	if s.group != nil {
		// Who waits may end at once, and the connection with it: this comes first.
		s.c.kill(s.group, "KILL")
		go s.Close()
	} else {
		go func() {
			s.s.Signal(xssh.SIGKILL)
			s.Close()
		}()
	}
	s.finish(Exit{Code: 255}, why)
}

// Signal sends a signal by its name, as "TERM". Servers may ignore it: that of OpenSSH
// does for sessions of root.
func (s *Session) Signal(name string) error {
	name = strings.TrimPrefix(strings.ToUpper(name), "SIG")
	if s.kill != nil {
		return s.kill(name)
	}
	return s.s.Signal(xssh.Signal(name))
}

// Done is closed when the command has ended.
func (s *Session) Done() <-chan struct{} { return s.over }

// Wait waits for the end of the command. An exit code other than 0 is no error; that it
// is not known how the command ended is one, of type *Error.
func (s *Session) Wait() (Exit, error) {
	<-s.over
	return s.exit, s.err
}

// Close closes the session; a command that still runs loses its standard files.
func (s *Session) Close() error {
	s.close.Do(func() {
		if s.leave != nil {
			s.leave()
			return
		}
		s.s.Close()
	})
	return nil
}

// RunLimit is how much of each of its two outputs Run returns.
const RunLimit = 16 << 20

// Run runs a command and returns what it wrote and its exit code. Beyond RunLimit of
// output there is an error of KindLimit with the first part.
func (c *Conn) Run(ctx context.Context, cmd string, stdin io.Reader) (stdout, stderr []byte, code int, err error) {
	return runOn(ctx, c, c.s.name, cmd, stdin)
}

func runOn(ctx context.Context, r Runner, host, cmd string, stdin io.Reader) (stdout, stderr []byte, code int, err error) {
	out, errs := &boundedBuffer{limit: RunLimit}, &boundedBuffer{limit: RunLimit}
	if stdin == nil {
		stdin = bytes.NewReader(nil)
	}
	s, err := r.Start(ctx, cmd, SessionOptions{Stdin: stdin, Stdout: out, Stderr: errs})
	if err != nil {
		return nil, nil, 255, err
	}
	defer s.Close()
	exit, err := s.Wait()
	if err == nil && (out.over || errs.over) {
		err = &Error{Host: host, Kind: KindLimit, Msg: fmt.Sprintf("the command wrote more than %d bytes", RunLimit)}
	}
	return out.bytes(), errs.bytes(), exit.Code, err
}
