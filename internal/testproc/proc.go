package testproc

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Patience is how long a daemon may take to start, to stop, or to do what a test
// waits for: far longer than it takes, since the machine may be busy with other tests.
const Patience = 60 * time.Second

// Proc is one daemon: the process that runs under its name, and the log of all that did.
type Proc struct {
	Name string

	cmd   *exec.Cmd
	done  chan struct{} // closed when the process has ended
	err   error         // of its Wait; after done
	ready chan struct{} // closed when it said that it is ready

	mu    sync.Mutex
	log   bytes.Buffer
	begin int           // where the log of the present process begins
	more  chan struct{} // closed and made anew when the log grows
}

// held says that a minion waits for a person: it has started, and cannot be ready.
var held = regexp.MustCompile(`waits to be accepted|has rejected this minion|sign-in refused`)

// Started is what became of a start.
type Started int

const (
	Ready  Started = iota // it can be used
	Held                  // a minion whose key is not accepted: it asks again and again
	Exited                // it has ended; see Proc.ExitCode
)

// Start starts a daemon with the configuration written before, and waits until it is
// ready, is held, or has ended. The minion "web1" takes its jobs from "master".
func (w *World) Start(name string) (*Proc, Started, error) {
	p, err := w.Spawn(name)
	if err != nil {
		return nil, Exited, err
	}
	deadline := time.NewTimer(Patience)
	defer deadline.Stop()
	for {
		more := p.grows()
		select {
		case <-p.ready:
			return p, Ready, nil
		case <-p.done:
			return p, Exited, nil
		default:
		}
		if held.MatchString(p.Log()) {
			return p, Held, nil
		}
		select {
		case <-p.ready:
		case <-p.done:
		case <-more:
		case <-deadline.C:
			return p, Exited, fmt.Errorf("%s was not ready within %s", name, Patience)
		}
	}
}

// Spawn starts a daemon and does not wait for it.
func (w *World) Spawn(name string) (*Proc, error) {
	prog := "gosalt-minion"
	if IsMaster(name) {
		prog = "gosalt-master"
	}
	return w.spawn(name, exec.Command(filepath.Join(w.Bin, prog), "-c", filepath.Join(w.Dir, name), "-l", "debug"))
}

func (w *World) spawn(name string, cmd *exec.Cmd) (*Proc, error) {
	w.mu.Lock()
	p := w.procs[name]
	if p == nil {
		p = &Proc{Name: name, more: make(chan struct{})}
		w.procs[name] = p
	}
	w.mu.Unlock()
	if p.Running() {
		return nil, fmt.Errorf("%s is running already", name)
	}
	p.mu.Lock()
	p.begin = p.log.Len()
	p.mu.Unlock()
	p.done, p.ready = make(chan struct{}), make(chan struct{})
	cmd.Dir = w.Dir
	cmd.Stdout, cmd.Stderr = logWriter{p}, logWriter{p}
	cmd.WaitDelay = time.Second // a job of a killed minion may hold its standard error
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	endWithTest(cmd.SysProcAttr)
	socket := filepath.Join(w.Dir, name+".ready")
	os.Remove(socket)
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(socket, 0o777); err != nil { // a daemon may become another user
		l.Close()
		return nil, err
	}
	cmd.Env = append(append(cmd.Environ(), w.Env...), "NOTIFY_SOCKET="+socket)
	p.cmd = cmd
	done, ready := p.done, p.ready
	started := make(chan error)
	go func() {
		// The thread has to last as long as the daemon, see endWithTest.
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
		}
		l.Close()
		close(done)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	go func() {
		buf := make([]byte, 256)
		for {
			n, err := l.Read(buf)
			if err != nil {
				return
			}
			if strings.Contains(string(buf[:n]), "READY=1") {
				close(ready)
				return
			}
		}
	}()
	return p, nil
}

// Running tells whether the process lives.
func (p *Proc) Running() bool {
	if p.cmd == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// AwaitReady waits until the daemon is ready.
func (p *Proc) AwaitReady() error {
	t := time.NewTimer(Patience)
	defer t.Stop()
	select {
	case <-p.ready:
		return nil
	case <-p.done:
		return fmt.Errorf("%s has ended: %v", p.Name, p.err)
	case <-t.C:
		return fmt.Errorf("%s was not ready within %s", p.Name, Patience)
	}
}

// Stop interrupts the daemon and expects that it ends with code 0.
func (p *Proc) Stop() error {
	if !p.Running() {
		return fmt.Errorf("%s is not running", p.Name)
	}
	p.cmd.Process.Signal(syscall.SIGINT)
	if err := p.Wait(); err != nil {
		return err
	}
	if p.err != nil && !errors.Is(p.err, exec.ErrWaitDelay) {
		return fmt.Errorf("%s was interrupted and ended with: %w", p.Name, p.err)
	}
	return nil
}

// Wait waits until the daemon has ended.
func (p *Proc) Wait() error {
	t := time.NewTimer(Patience)
	defer t.Stop()
	select {
	case <-p.done:
		return nil
	case <-t.C:
		p.cmd.Process.Signal(syscall.SIGQUIT) // its stacks go to the log
		select {
		case <-p.done:
		case <-time.After(5 * time.Second):
		}
		return fmt.Errorf("%s did not end within %s", p.Name, Patience)
	}
}

// ExitCode is that of a daemon that has ended; -1 for one ended by a signal.
func (p *Proc) ExitCode() int { return p.cmd.ProcessState.ExitCode() }

// Kill ends the daemon at once, as a crash of it would; its jobs' commands live on.
func (p *Proc) Kill() {
	if p.Running() {
		p.cmd.Process.Kill()
		<-p.done
	}
}

// Pause stops the process without a word to its peers; Resume lets it go on.
func (p *Proc) Pause() error { return p.cmd.Process.Signal(syscall.SIGSTOP) }

// Resume ends a Pause.
func (p *Proc) Resume() error { return p.cmd.Process.Signal(syscall.SIGCONT) }

// PID is the process.
func (p *Proc) PID() int { return p.cmd.Process.Pid }

// Log is what the present or last process has logged.
func (p *Proc) Log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return string(p.log.Bytes()[p.begin:])
}

// FullLog is what all processes of the name have logged.
func (p *Proc) FullLog() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// AwaitLog waits until the log of the present process matches.
func (p *Proc) AwaitLog(re *regexp.Regexp) error {
	t := time.NewTimer(Patience)
	defer t.Stop()
	for {
		more := p.grows()
		if re.MatchString(p.Log()) {
			return nil
		}
		select {
		case <-more:
		case <-p.done:
			if re.MatchString(p.Log()) {
				return nil
			}
			return fmt.Errorf("%s has ended, and its log never matched %q", p.Name, re)
		case <-t.C:
			return fmt.Errorf("the log of %s did not match %q within %s", p.Name, re, Patience)
		}
	}
}

var fault = regexp.MustCompile(`(?m)^(panic: .*|fatal error: .*|WARNING: DATA RACE)$|made its handler panic`)

// Faults reports traces in the log of what must never happen.
func (p *Proc) Faults() error {
	if s := fault.FindString(p.FullLog()); s != "" {
		return fmt.Errorf("log of %s: %s", p.Name, s)
	}
	return nil
}

func (p *Proc) grows() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.more
}

type logWriter struct{ p *Proc }

func (l logWriter) Write(b []byte) (int, error) {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	l.p.log.Write(b)
	close(l.p.more)
	l.p.more = make(chan struct{})
	return len(b), nil
}
