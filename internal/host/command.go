package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// DefaultMaxOutput is how much a command may print when Command does not say: as
// much as a return may carry, 64 MiB.
const DefaultMaxOutput = 64 << 20

// runaway is how many times its MaxOutput a command may print before it is ended.
const runaway = 16

// killGrace is how long a command whose job ended has between the request to end
// and being killed.
const killGrace = 2 * time.Second

// drainTime is how long output is still awaited from processes that left the
// command's process group before it was killed.
const drainTime = 500 * time.Millisecond

// endTime is how long a killed command is waited for: one that the kernel holds in
// an uninterruptible sleep, on a dead network file system say, does not end.
const endTime = 5 * time.Second

// NoUmask is the mask 0 in a Command, where 0 says nothing.
const NoUmask = 0o1000

// UmaskText writes the mask of a state as commands that it runs are told of it.
func UmaskText(mask int) string {
	if mask == 0 {
		mask = NoUmask
	}
	return fmt.Sprintf("%03o", mask)
}

// Command is a program to run on the host.
type Command struct {
	Args  []string // the program, searched in PATH of Env, and its arguments; at least one
	Dir   string   // absolute
	Env   []string // "NAME=value", complete: nothing is inherited
	Stdin []byte   // nil reads as empty
	Merge bool     // standard error goes where standard output goes, in the order written

	User  *User // run as this user, its group and groups; nil is who runs us
	Umask int   // file creation mask; 0 leaves ours, NoUmask is the one that takes nothing away

	Timeout   time.Duration // 0 is none
	MaxOutput int64         // bytes of output that are kept; 0 is DefaultMaxOutput
	// Output, when set, is given what is printed as it is read. stream is "stdout" or
	// "stderr". It is called from several goroutines, for each stream in order; what
	// it is given is valid until it returns, and the command waits for it.
	Output func(stream string, chunk []byte)
}

// Exit is how a command ended.
type Exit struct {
	Pid            int
	Code           int // exit code, or minus the signal that ended it
	Stdout, Stderr []byte
	TimedOut       bool // ended by Command.Timeout
}

// ErrTooMuchOutput is of a command that printed more than its MaxOutput. It went on, so
// that its exit code is known, unless it printed runaway times as much.
var ErrTooMuchOutput = errors.New("the command printed too much")

// Run runs a command in a process group of its own and waits until it has ended and
// nobody holds its output open any more. At the timeout the whole group is killed;
// when ctx ends it is asked to end, then killed, and ctx's cause is returned. Where that
// cause is a signal (see WithSignals) the command has as long as it likes, until it is
// killed. An error means that it was not started (an *exec.Error or an *fs.PathError holds
// the reason) or was ended by us, ErrTooMuchOutput among them. Output that others
// hold open after such an end is awaited for half a second only.
func (h *Host) Run(ctx context.Context, c Command) (Exit, error) {
	if h.Rehearses() {
		return Exit{}, errRehearsed
	}
	if err := context.Cause(ctx); err != nil {
		return Exit{}, err
	}
	cmd, err := c.build()
	if err != nil {
		return Exit{}, err
	}
	out := &collector{limit: c.MaxOutput, output: c.Output, full: make(chan struct{})}
	if out.limit == 0 {
		out.limit = DefaultMaxOutput
	}
	pipes, err := c.connect(cmd)
	if err != nil {
		return Exit{}, err
	}
	group, err := startGroup(cmd)
	pipes.closeChild()
	if err != nil {
		pipes.closeOurs()
		return Exit{}, err
	}
	defer group.close()

	var reading sync.WaitGroup
	reading.Go(func() { out.read("stdout", pipes.stdout, &out.stdout) })
	if pipes.stderr != nil {
		reading.Go(func() { out.read("stderr", pipes.stderr, &out.stderr) })
	}
	if pipes.stdin != nil {
		reading.Go(func() {
			_, _ = pipes.stdin.Write(c.Stdin) // a program need not read what it is given
			_ = pipes.stdin.Close()
		})
	}
	ended := make(chan struct{})
	go func() {
		reading.Wait()
		_ = cmd.Wait() // the state says it all
		close(ended)
	}()

	exit := Exit{Pid: cmd.Process.Pid, Code: -1}
	signals, done := track(ctx, group)
	exit.TimedOut, err = supervise(ctx, c.Timeout, group, signals, out.full, ended, pipes.expire)
	done()
	select {
	case <-ended:
	case <-time.After(endTime):
		// The system holds on to it; what waits for it goes on by itself.
		return exit, err
	}
	pipes.closeOurs()
	exit.Code = exitCode(cmd.ProcessState)
	exit.Stdout, exit.Stderr = out.stdout, out.stderr
	if out.total > out.limit {
		exit.Stdout, exit.Stderr = nil, nil
		if err == nil && !exit.TimedOut {
			err = ErrTooMuchOutput
		}
	}
	return exit, err
}

// supervise waits until the command has ended, and ends it when it must not go on.
// expire makes the readers give up on output that others hold open.
func supervise(ctx context.Context, timeout time.Duration, g *group, signals *Signals, full, ended <-chan struct{}, expire func()) (timedOut bool, err error) {
	var alarm <-chan time.Time
	if timeout > 0 {
		t := time.NewTimer(timeout)
		defer t.Stop()
		alarm = t.C
	}
	select {
	case <-ended:
		return false, nil
	case <-alarm:
		timedOut = true
	case <-full:
		err = ErrTooMuchOutput
	case <-signals.killed:
		<-ctx.Done() // who kills gives the reason next
		err = context.Cause(ctx)
	case <-ctx.Done():
		err = context.Cause(ctx)
		if askedToEnd(err) {
			// As kill(1): what it does about the signal, and when, is its own affair.
			select {
			case <-ended:
			case <-signals.killed:
			}
			break
		}
		g.terminate()
		grace := time.NewTimer(killGrace)
		defer grace.Stop()
		select {
		case <-ended:
			// What is left of the group did not print, but must not outlive the job.
		case <-grace.C:
		}
	}
	g.kill()
	expire()
	return timedOut, err
}

// Start starts a command that goes on by itself: its output goes nowhere and its
// end is awaited in the background only so that the system can forget it. Timeout,
// Stdin, Merge and Output are without effect.
func (h *Host) Start(c Command) (pid int, err error) {
	if h.Rehearses() {
		return 0, errRehearsed
	}
	cmd, err := c.build()
	if err != nil {
		return 0, err
	}
	detach(cmd)
	if err := start(cmd); err != nil {
		return 0, err
	}
	go func() { _ = cmd.Wait() }()
	return cmd.Process.Pid, nil
}

// build makes the exec.Cmd without its files.
func (c *Command) build() (*exec.Cmd, error) {
	if len(c.Args) == 0 || c.Args[0] == "" {
		return nil, errors.New("no command given")
	}
	args := c.Args
	file, err := LookPath(args[0], getenv(c.Env, "PATH"), c.Dir)
	if err != nil {
		return nil, err
	}
	if c.Umask != 0 {
		file, args = withUmask(c.Umask, file, args)
	}
	cmd := &exec.Cmd{Path: file, Args: args, Dir: c.Dir, Env: c.Env}
	if cmd.Env == nil {
		cmd.Env = []string{}
	}
	if c.User != nil {
		if err := runAs(cmd, c.User); err != nil {
			return nil, err
		}
	}
	return cmd, nil
}

// LookPath finds a program as the new process would: a name in the directories of
// path (a PATH), anything with a separator below dir. The error is an *exec.Error.
func LookPath(name, path, dir string) (string, error) {
	if strings.ContainsRune(name, filepath.Separator) || strings.Contains(name, "/") {
		file := name
		if !filepath.IsAbs(file) {
			file = filepath.Join(dir, file)
		}
		if err := executable(file); err != nil {
			return "", &exec.Error{Name: name, Err: err}
		}
		return file, nil
	}
	var denied error
	for _, d := range filepath.SplitList(path) {
		if d == "" {
			d = "."
		}
		if !filepath.IsAbs(d) {
			d = filepath.Join(dir, d)
		}
		for _, ext := range programExtensions(name) {
			file := filepath.Join(d, name+ext)
			err := executable(file)
			if err == nil {
				return file, nil
			}
			if errors.Is(err, os.ErrPermission) {
				denied = err
			}
		}
	}
	if denied != nil {
		return "", &exec.Error{Name: name, Err: denied}
	}
	return "", &exec.Error{Name: name, Err: exec.ErrNotFound}
}

func getenv(env []string, name string) string {
	for i := len(env) - 1; i >= 0; i-- {
		if v, ok := strings.CutPrefix(env[i], name+"="); ok {
			return v
		}
	}
	return ""
}

// pipes are the ends of a command's standard files, ours and the child's.
type pipes struct {
	stdin          *os.File
	stdout, stderr *os.File
	child          []*os.File
}

func (c *Command) connect(cmd *exec.Cmd) (*pipes, error) {
	p := &pipes{}
	fail := func(err error) (*pipes, error) {
		p.closeChild()
		p.closeOurs()
		return nil, fmt.Errorf("make a pipe for the command: %w", err)
	}
	if c.Stdin != nil {
		r, w, err := os.Pipe()
		if err != nil {
			return fail(err)
		}
		p.stdin, p.child, cmd.Stdin = w, append(p.child, r), r
	}
	r, w, err := os.Pipe()
	if err != nil {
		return fail(err)
	}
	p.stdout, p.child, cmd.Stdout = r, append(p.child, w), w
	if c.Merge {
		cmd.Stderr = w
		return p, nil
	}
	r, w, err = os.Pipe()
	if err != nil {
		return fail(err)
	}
	p.stderr, p.child, cmd.Stderr = r, append(p.child, w), w
	return p, nil
}

func (p *pipes) closeChild() {
	for _, f := range p.child {
		_ = f.Close()
	}
	p.child = nil
}

func (p *pipes) closeOurs() {
	for _, f := range []*os.File{p.stdin, p.stdout, p.stderr} {
		if f != nil {
			_ = f.Close()
		}
	}
}

// expire ends reads and writes that nobody will answer any more.
func (p *pipes) expire() {
	for _, f := range []*os.File{p.stdin, p.stdout, p.stderr} {
		if f == nil {
			continue
		}
		if err := f.SetDeadline(time.Now().Add(drainTime)); err != nil {
			_ = f.Close() // no deadlines here: a pipe of Windows
		}
	}
}

// collector reads both streams of a command.
type collector struct {
	limit  int64
	output func(stream string, chunk []byte)
	full   chan struct{} // closed when it prints without an end

	mu             sync.Mutex
	total          int64
	stdout, stderr []byte
}

func (c *collector) read(stream string, r io.Reader, into *[]byte) {
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			if c.take(n) {
				*into = append(*into, buf[:n]...)
			} else {
				*into = nil
			}
			if c.output != nil {
				c.output(stream, buf[:n])
			}
		}
		if err != nil {
			return
		}
	}
}

// take counts n bytes; false once the limit is passed.
func (c *collector) take(n int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.total
	c.total += int64(n)
	if most := runaway * c.limit; before <= most && c.total > most {
		close(c.full)
	}
	return c.total <= c.limit
}
