package testproc

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// World is one test's daemons. Its methods may be called concurrently, except that
// one daemon is handled by one goroutine at a time.
type World struct {
	Dir string // holds a directory for each daemon, under its name
	Bin string // holds the programs

	// Env is set for daemons that are started from then on, beside the test's own
	// environment: "NAME=value".
	Env []string

	mu    sync.Mutex
	procs map[string]*Proc
	ports map[string]Ports
}

// Ports are those of one master, free when they were chosen.
type Ports struct{ Publish, Request int }

// New makes a world without daemons.
func New(dir, bin string) *World {
	return &World{Dir: dir, Bin: bin, procs: map[string]*Proc{}, ports: map[string]Ports{}}
}

// IsMaster tells whether a daemon of that name is a master: "master", "master2", ...
func IsMaster(name string) bool {
	rest, ok := strings.CutPrefix(name, "master")
	return ok && strings.Trim(rest, "0123456789") == ""
}

// Ports returns the ports of a master, the same for the life of the world.
func (w *World) Ports(master string) (Ports, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p, ok := w.ports[master]; ok {
		return p, nil
	}
	var p Ports
	var err error
	if p.Publish, err = FreePort(); err == nil {
		p.Request, err = FreePort()
	}
	if err == nil {
		w.ports[master] = p
	}
	return p, err
}

// nextPort goes through ports below those that the system gives to outgoing
// connections, so that nothing else takes one between two starts of a master. Where
// it begins differs by process, since tests of several packages run at once.
var nextPort atomic.Int64

func init() { nextPort.Store(int64(12000 + os.Getpid()%200*100)) }

// FreePort finds a TCP port of the loopback interface that nobody listens on, and
// that this process has not given out before.
func FreePort() (int, error) {
	for range 10000 {
		n := int(12000 + (nextPort.Add(1)-12000)%20000)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", fmt.Sprint(n)))
		if err != nil {
			continue
		}
		l.Close()
		return n, nil
	}
	return 0, errors.New("no free port between 12000 and 32000")
}

// Configure writes a daemon's configuration: what a test needs, and the lines given,
// which win over it. Each line is a whole top-level entry: "timeout: 2".
func (w *World) Configure(name string, lines ...string) error {
	dir := filepath.Join(w.Dir, name)
	master := name
	if !IsMaster(name) {
		master = "master"
	}
	ports, err := w.Ports(master)
	if err != nil {
		return err
	}
	kind := "minion"
	base := []string{"root_dir: " + dir, "id: " + name, "master: 127.0.0.1", fmt.Sprintf("master_port: %d", ports.Request),
		"acceptance_wait_time: 1", "recon_default: 100", "recon_max: 1000", "return_retry_timer: 1", "return_retry_timer_max: 2", "random_reauth_delay: 0"}
	if IsMaster(name) {
		kind = "master"
		base = []string{"root_dir: " + dir, "interface: 127.0.0.1", fmt.Sprintf("publish_port: %d", ports.Publish), fmt.Sprintf("ret_port: %d", ports.Request)}
	}
	given := map[string]bool{}
	for _, l := range lines {
		k, _, _ := strings.Cut(l, ":")
		given[k] = true
	}
	var text strings.Builder
	for _, l := range base {
		if k, _, _ := strings.Cut(l, ":"); !given[k] {
			fmt.Fprintln(&text, l)
		}
	}
	for _, l := range lines {
		fmt.Fprintln(&text, l)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, kind), []byte(text.String()), 0o644)
}

// Configured tells whether Configure was called for a daemon.
func (w *World) Configured(name string) bool {
	kind := "minion"
	if IsMaster(name) {
		kind = "master"
	}
	_, err := os.Stat(filepath.Join(w.Dir, name, kind))
	return err == nil
}

// Proc returns a daemon that was started, nil for others.
func (w *World) Proc(name string) *Proc {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.procs[name]
}

// Procs are all daemons that were started, running or not.
func (w *World) Procs() []*Proc {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []*Proc
	for _, p := range w.procs {
		all = append(all, p)
	}
	return all
}

// Close ends what still runs, and returns what went wrong in any of the daemons
// although no test looked: a panic, a data race.
func (w *World) Close() error {
	var errs []error
	for _, p := range w.Procs() {
		p.Kill()
		errs = append(errs, p.Faults())
	}
	return errors.Join(errs...)
}

// Abort ends the daemons that still run as Close does, and has each write its stacks to
// its log before, for who wants to know why a test failed.
func (w *World) Abort() error {
	for _, p := range w.Procs() {
		if p.Running() {
			p.cmd.Process.Signal(syscall.SIGCONT)
			p.cmd.Process.Signal(syscall.SIGQUIT)
			select {
			case <-p.done:
			case <-time.After(5 * time.Second):
			}
		}
	}
	return w.Close()
}

// Until calls ok every few milliseconds until it is true, and tells whether it was
// within d.
func Until(d time.Duration, ok func() bool) bool {
	deadline := time.Now().Add(d)
	for !ok() {
		if time.Now().After(deadline) {
			return false
		}
		time.Sleep(20 * time.Millisecond)
	}
	return true
}
