package deploy

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/gosalt/gosalt/protocol/stream"
	"github.com/gosalt/gosalt/ssh"
)

// Options of Open.
type Options struct {
	Anew bool // the agent is copied though it is there
	Wipe bool // the agent and what it keeps are removed when the job is done
	// Before is called before the agent is copied; may be nil.
	Before func(ctx context.Context) error
	// Begin is how long a machine may take to begin what it is told; zero is a minute.
	Begin time.Duration
	Log   *slog.Logger
}

// Session is an agent that waits for its job.
type Session struct {
	Stream *stream.Server

	host   ssh.Host
	conn   ssh.Runner
	sess   *ssh.Session
	errors *said
}

// Error is why no agent could be started on a machine, with a word for it.
type Error struct {
	Kind string // "sudo", "system", "space", "agent"
	Msg  string
	Hint string
}

// Error is one line: what happened, and what to do.
func (e *Error) Error() string {
	if e.Hint == "" {
		return e.Msg
	}
	return e.Msg + " (" + e.Hint + ")"
}

// Open starts the agent on a machine, and brings it there first where it is not yet.
func Open(ctx context.Context, conn ssh.Runner, h ssh.Host, agents *Agents, o Options) (*Session, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Begin <= 0 {
		o.Begin = time.Minute
	}
	s, state, err := start(ctx, conn, h, agents, o)
	if err != nil || s != nil {
		return s, err
	}
	if o.Before != nil {
		if err := o.Before(ctx); err != nil {
			return nil, err
		}
	}
	if err := bring(ctx, conn, h, agents, state, o); err != nil {
		return nil, err
	}
	o.Anew = false
	s, state, err = start(ctx, conn, h, agents, o)
	if err == nil && s == nil {
		err = &Error{"agent", "the agent was copied to the machine and is not there a moment later (" + state + ")", "does something clean up its directory?"}
	}
	return s, err
}

// start runs the agent. Where it is not there, s is nil and state says what the machine
// is: "need Linux x86_64 1000 gzip".
func start(ctx context.Context, conn ssh.Runner, h ssh.Host, agents *Agents, o Options) (s *Session, state string, err error) {
	mark := newMark()
	sums := agents.sums()
	if o.Anew {
		sums = nil
	}
	r, err := open(ctx, conn, h, runScript(h, mark, sums, o.Wipe), mark, false)
	if err != nil {
		return nil, "", err
	}
	rest, err := r.await(ctx, mark, o.Begin)
	if err != nil {
		return nil, "", err
	}
	if strings.HasPrefix(rest, "need ") {
		r.sess.Close()
		return nil, rest, nil
	}
	return &Session{Stream: r.stream, host: h, conn: conn, sess: r.sess, errors: r.errors}, "", nil
}

// run is a script that runs on the machine, as the user it is to run as.
type run struct {
	host   ssh.Host
	conn   ssh.Runner
	sess   *ssh.Session
	stream *stream.Server
	errors *said
	asked  *asked
}

// open starts a script.
func open(ctx context.Context, conn ssh.Runner, h ssh.Host, script, mark string, raw bool) (*run, error) {
	prompt := "gosalt-" + mark + "-password:"
	if h.TTY && !raw {
		// The last words of who leaves a terminal at once may be lost: it waits to be closed.
		script += "; read x"
	}
	sess, err := conn.Start(ctx, command(h, script, prompt), ssh.SessionOptions{TTY: h.TTY})
	if err != nil {
		return nil, err
	}
	a := &asked{prompt: prompt, password: h.SudoPassword().Reveal(), w: sess.Stdin, refused: func() { sess.Close() }}
	r := &run{host: h, conn: conn, sess: sess, errors: &said{done: make(chan struct{})}, asked: a}
	out := sess.Stdout
	if h.TTY {
		out = &watched{r: sess.Stdout, text: prompt, see: a.see} // the terminal joins the two
	}
	r.stream = stream.NewServer(out, sess.Stdin)
	go func() {
		defer close(r.errors.done)
		io.Copy(r.errors, &watched{r: sess.Stderr, text: prompt, see: a.see})
	}()
	return r, nil
}

// await waits for the line that begins the stream, or says why it does not come.
func (r *run) await(ctx context.Context, mark string, within time.Duration) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, within, &Error{"timeout", fmt.Sprintf("logged in, but nothing was begun within %s", within), "does the login of this account wait for something?"})
	defer cancel()
	stop := context.AfterFunc(ctx, func() { abandon(r.conn, r.sess, 0) })
	rest, noise, err := r.stream.Await(mark)
	if !stop() && ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	if err == nil {
		return rest, nil
	}
	code, werr := r.end()
	if r.asked.wrong() {
		return "", &Error{"sudo", "sudo: the password was not accepted", "set passwd of the host, or --askpass"}
	}
	text := lastLines(noise + "\n" + r.errors.all())
	switch {
	case r.host.Exec != nil && werr != nil: // the API says why, and may have written it to the output, too
		return "", werr
	case code == 127 && (r.host.Sudo || r.host.SudoUser != "") && sudoMissing(text):
		return "", &Error{"sudo", "sudo is not there, or not in the PATH of this login", "install it, log in as root with user: root, or take sudo out of the host's entry"}
	case strings.Contains(text, "sudo: ") && (strings.Contains(text, "password is required") || strings.Contains(text, "no password was provided")):
		return "", &Error{"sudo", "sudo: a password is required", "give it as passwd of the host or with --askpass, or allow the user to use sudo without one"}
	case strings.Contains(text, "must have a tty"):
		return "", &Error{"sudo", "sudo: it wants a terminal", "set tty: True for the host"}
	case strings.Contains(text, "unknown user"):
		return "", &Error{"sudo", "sudo: there is no user " + r.host.SudoUser + " on the machine", "sudo_user names who the job runs as"}
	case strings.Contains(text, "not in the sudoers file") || strings.Contains(text, "not allowed to execute") || strings.Contains(text, "may not run sudo"):
		who := r.host.User
		if who == "" {
			who = "the user"
		}
		return "", &Error{"sudo", "sudo: " + who + " may not run this there", "the user needs a line in its sudoers, as: " + who + " ALL=(ALL) ALL"}
	case strings.Contains(text, "sudo: "):
		return "", &Error{"sudo", fmt.Sprintf("%s (exit code %d)", ssh.OneLine(text), code), "the user needs the right to run commands by sudo there"}
	case code == 126 || code == 127:
		return "", &Error{"agent", fmt.Sprintf("the agent could not be started: %s (exit code %d)", ssh.OneLine(text), code), "does the file system allow programs to run? name another directory with thin_dir"}
	case text != "":
		return "", &Error{"agent", fmt.Sprintf("the login shell said %q and ended (exit code %d)", ssh.OneLine(text), code), "can the user run commands there?"}
	case werr != nil:
		return "", werr
	}
	return "", &Error{"agent", fmt.Sprintf("the session ended before the agent began (exit code %d)", code), "can the user run commands there?"}
}

// sudoMissing tells whether that is what a shell said.
func sudoMissing(text string) bool {
	return strings.Contains(text, "sudo") && (strings.Contains(text, "not found") || strings.Contains(text, "No such file") || strings.Contains(text, "Unknown command"))
}

// abandon ends a session. Where the other end does not confirm that in time, as an sshd
// whose command goes on, it is the connection that ends.
func abandon(conn ssh.Runner, sess *ssh.Session, within time.Duration) {
	sess.Close()
	t := time.NewTimer(within)
	defer t.Stop()
	select {
	case <-sess.Done():
	case <-t.C:
		conn.Close()
	}
}

// patience is how long an agent may take to end.
const patience = 5 * time.Second

// end waits for the end of the session, a little, and returns its exit code.
func (r *run) end() (int, error) {
	t := time.AfterFunc(patience, func() { abandon(r.conn, r.sess, 0) })
	defer t.Stop()
	exit, err := r.sess.Wait()
	return exit.Code, err
}

// bring copies the agent to the machine.
func bring(ctx context.Context, conn ssh.Runner, h ssh.Host, agents *Agents, state string, o Options) error {
	words := strings.Fields(state) // need Linux x86_64 1000 gzip
	if len(words) < 4 {
		return &Error{"system", fmt.Sprintf("the machine does not say what it is: %q", ssh.OneLine(state)), "it can be reached with raw commands only (-r)"}
	}
	goos, arch, err := goNames(words[1], words[2])
	if err != nil {
		return &Error{"system", err.Error(), ""}
	}
	ag, err := agents.For(goos, arch)
	if err != nil {
		return &Error{"system", err.Error(), ""}
	}
	gz := len(words) > 4 && words[4] == "gzip" && !h.TTY // gzip reads from no terminal
	began := time.Now()
	var tried []string
	for _, dir := range places(h, words[3]) {
		why, err := copyTo(ctx, conn, h, ag, dir, gz, o.Begin)
		if err != nil {
			return err
		}
		if why == "" {
			o.Log.Info("agent copied to the machine", "host", h.Name(), "system", goos+"/"+arch, "bytes", ag.Size, "took", time.Since(began).Round(time.Millisecond))
			return nil
		}
		tried = append(tried, strings.ReplaceAll(strings.Trim(dir, `"`), "${XDG_CACHE_HOME:-$HOME/.cache}", "~/.cache")+": "+why)
	}
	return &Error{"space", "there is no place for the agent: " + strings.Join(tried, "; "), "free some space, or name a directory with thin_dir"}
}

// copyTo copies the agent into one directory. why says what stood in the way there, ""
// is nothing.
func copyTo(ctx context.Context, conn ssh.Runner, h ssh.Host, ag *Agent, dir string, gz bool, begin time.Duration) (why string, err error) {
	content, size, err := ag.content(gz)
	if err != nil {
		return "", err
	}
	defer content.Close()
	mark := newMark()
	r, err := open(ctx, conn, h, copyScript(mark, dir, ag.SHA256, gz, size), mark, false)
	if err != nil {
		return "", err
	}
	defer r.sess.Close()
	rest, err := r.await(ctx, mark, begin)
	if err != nil {
		return "", err
	}
	if why, skipped := strings.CutPrefix(rest, "skip "); skipped {
		return why, nil
	}
	_, sent := io.Copy(r.sess.Stdin, content)
	if !h.TTY {
		sent = errors.Join(sent, r.sess.Stdin.Close())
	}
	rest, _, err = r.stream.Await(mark)
	switch {
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case err == nil && rest == "done":
		return "", nil
	case err == nil:
		said := r.errors.String
		if !h.TTY { // the script ends by itself, and what it has said may come after what it has written
			said = r.errors.all
		}
		if text := lastLines(said()); text != "" {
			if strings.Contains(text, noSpace) {
				text = noSpace
			}
			return ssh.OneLine(text), nil
		}
		return "what arrived is not what was sent", nil
	case sent != nil:
		return "", fmt.Errorf("copy the agent to the machine: the connection ended: %w", sent)
	}
	return "", fmt.Errorf("copy the agent to the machine: the connection ended before all was there")
}

const noSpace = "No space left on device"

// Serve answers what the agent asks, until it ends. The error tells how it ended, where
// that was not well.
func (s *Session) Serve(ctx context.Context, h stream.Handler) error {
	stop := context.AfterFunc(ctx, func() { abandon(s.conn, s.sess, patience) })
	defer stop()
	err := s.Stream.Serve(ctx, h)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	t := time.AfterFunc(patience, func() { abandon(s.conn, s.sess, 0) })
	defer t.Stop()
	exit, werr := s.sess.Wait()
	code := exit.Code
	text := lastLines(s.errors.all())
	switch {
	case werr != nil:
		return werr
	case code != 0 && text != "":
		return &Error{"agent", fmt.Sprintf("the agent ended with code %d: %s", code, ssh.OneLine(text)), ""}
	case code != 0:
		return &Error{"agent", fmt.Sprintf("the agent ended with code %d", code), ""}
	}
	return err
}

// Said is what the agent wrote to its standard error: what it logs.
func (s *Session) Said() string { return s.errors.String() }

// Close ends the session, and with it the job.
func (s *Session) Close() { s.sess.Close() }

func newMark() string {
	b := make([]byte, 8)
	rand.Read(b)
	return hex.EncodeToString(b)
}

// asked answers sudo when it asks for a password.
type asked struct {
	prompt   string
	password string
	w        io.Writer
	refused  func()

	mu    sync.Mutex
	times int
}

// see is told of each prompt.
func (a *asked) see() {
	a.mu.Lock()
	a.times++
	first := a.times == 1
	a.mu.Unlock()
	if !first || a.password == "" {
		a.refused()
		return
	}
	go io.WriteString(a.w, a.password+"\n") // the other direction must not wait for this one
}

func (a *asked) wrong() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.times > 1 || a.times == 1 && a.password == ""
}

// said keeps the end of what was written to it.
type said struct {
	done chan struct{} // closed when nothing more comes

	mu sync.Mutex
	b  []byte
}

// all waits for the end of what is said: the end of the command is known before that.
func (w *said) all() string {
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case <-w.done:
	case <-t.C:
	}
	return w.String()
}

// Write implements io.Writer.
func (w *said) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.b = append(w.b, p...)
	if n := len(w.b) - 16<<10; n > 0 {
		w.b = append(w.b[:0], w.b[n:]...)
	}
	return len(p), nil
}

func (w *said) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return string(w.b)
}

// Raw has the user's login shell run a command, or with sudo the shell of who it is to run
// as. Output and errors are bounded by ssh.RunLimit.
func Raw(ctx context.Context, conn ssh.Runner, h ssh.Host, cmd string) (stdout, stderr []byte, code int, err error) {
	if h.SetPath != "" {
		cmd = "PATH=" + strings.ReplaceAll(shellQuoteDouble(h.SetPath), `\$`, "$") + "; export PATH; " + cmd
	}
	if !h.Sudo && h.SudoUser == "" && !h.TTY {
		return conn.Run(ctx, cmd, nil)
	}
	mark := newMark()
	r, err := open(ctx, conn, h, "echo "+apart(mark)+" raw; "+cmd, mark, true)
	if err != nil {
		return nil, nil, 0, err
	}
	stop := context.AfterFunc(ctx, func() { abandon(conn, r.sess, patience) })
	defer stop()
	if _, err := r.await(ctx, mark, time.Minute); err != nil {
		return nil, nil, 0, err
	}
	r.sess.Stdin.Close()
	stdout, err = r.stream.Rest(ssh.RunLimit)
	if err != nil {
		return nil, nil, 0, err
	}
	exit, err := r.sess.Wait()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return stdout, []byte(r.errors.all()), exit.Code, err
}
