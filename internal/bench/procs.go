package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gosalt/gosalt/internal/swarm"
)

// bench is one run.
type bench struct {
	ctx         context.Context
	bin, dir    string
	tries       int
	repeats     int
	peerMinions int
	share       bool
	peer        *peer // nil: none
	part        string
	figures     []Figure
	running     []*process
}

// process is a daemon that was started, the leader of its own process group.
type process struct {
	*exec.Cmd
	ended chan struct{}
	in    io.Closer // closed to end it, where that is how; else nil
}

// start runs a daemon in the background; its output goes to a file.
func (b *bench) start(cmd *exec.Cmd, log string) (*process, error) {
	f, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if cmd.Stdout == nil {
		cmd.Stdout = f
	}
	cmd.Stderr = f
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{Cmd: cmd, ended: make(chan struct{})}
	go func() { cmd.Wait(); close(p.ended) }()
	b.running = append(b.running, p)
	return p, nil
}

// stop ends a daemon and what it started.
func (p *process) stop() {
	if p.in != nil {
		p.in.Close()
	} else {
		p.Process.Signal(syscall.SIGTERM)
	}
	select {
	case <-p.ended:
	case <-time.After(20 * time.Second):
	}
	syscall.Kill(-p.Process.Pid, syscall.SIGKILL) // its group, which is ours
	<-p.ended
}

// stopAll ends the daemons, those first that were started last.
func (b *bench) stopAll() {
	for _, p := range slices.Backward(b.running) {
		p.stop()
	}
	b.running = nil
}

// freePort is a TCP port that nobody listens on now, below the range from which the
// system takes ports for outgoing connections: the swarm makes thousands.
func freePort() (int, error) {
	for port := 20_000 + os.Getpid()%5_000; port < 32_000; port++ {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			l.Close()
			return port, nil
		}
	}
	return 0, errors.New("no free port from 20000 to 32000")
}

// site is a master's directory and ports; both gosalt's programs and Salt's use it.
type site struct {
	dir      string
	ret, pub int
}

func (b *bench) site(name string) (*site, error) {
	s := &site{dir: filepath.Join(b.dir, name)}
	var err error
	if s.ret, err = freePort(); err != nil {
		return nil, err
	}
	s.pub = s.ret
	for s.pub == s.ret { // ours is held no more
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", s.ret))
		if err != nil {
			return nil, err
		}
		s.pub, err = freePort()
		l.Close()
		if err != nil {
			return nil, err
		}
	}
	for _, dir := range []string{s.dir, s.minionDir()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
	}
	master := fmt.Sprintf("root_dir: %s\nuser: %s\ninterface: 127.0.0.1\nret_port: %d\npublish_port: %d\nauto_accept: True\ntimeout: 60\n", s.dir, username(), s.ret, s.pub)
	minion := fmt.Sprintf("root_dir: %s\nuser: %s\nid: alpha\nmaster: 127.0.0.1\nmaster_port: %d\npublish_port: %d\n", s.minionDir(), username(), s.ret, s.pub)
	return s, errors.Join(os.WriteFile(filepath.Join(s.dir, "master"), []byte(master), 0o600),
		os.WriteFile(filepath.Join(s.minionDir(), "minion"), []byte(minion), 0o600))
}

func (s *site) minionDir() string { return filepath.Join(s.dir, "alpha") }
func (s *site) pki() string       { return filepath.Join(s.dir, "etc/salt/pki/master") }

func username() string {
	if out, err := exec.Command("id", "-un").Output(); err == nil {
		return strings.TrimSpace(string(out))
	}
	return "root"
}

// tools are the programs of one side, gosalt's or Salt's.
type tools interface {
	// command is a program by Salt's name: "salt", "salt-master".
	command(ctx context.Context, name string, args ...string) *exec.Cmd
}

func (b *bench) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, filepath.Join(b.bin, "go"+name), args...)
}

// peer is the real Salt.
type peer struct{ tree, shim string }

func (p *peer) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/usr/bin/python3", append([]string{"-W", "ignore", filepath.Join(p.tree, "scripts", name)}, args...)...)
	cmd.Env = append(os.Environ(), "PYTHONPATH="+p.tree+":"+p.shim, "PYTHONDONTWRITEBYTECODE=1")
	return cmd
}

// master starts a master and waits until it listens.
func (b *bench) master(t tools, s *site) (*process, error) {
	p, err := b.start(t.command(context.Background(), "salt-master", "-c", s.dir, "-l", "warning"), filepath.Join(s.dir, "master.log"))
	if err != nil {
		return nil, err
	}
	return p, b.await(p, filepath.Join(s.dir, "master.log"), func() bool {
		for _, port := range []int{s.ret, s.pub} {
			c, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
			if err != nil {
				return false
			}
			c.Close()
		}
		return true
	})
}

// minion starts the minion alpha and waits until it answers.
func (b *bench) minion(t tools, s *site) (*process, error) {
	log := filepath.Join(s.dir, "minion.log")
	p, err := b.start(t.command(context.Background(), "salt-minion", "-c", s.minionDir(), "-l", "warning"), log)
	if err != nil {
		return nil, err
	}
	return p, b.await(p, log, func() bool {
		out, _ := t.command(b.ctx, "salt", "-c", s.dir, "-t", "2", "--out", "json", "alpha", "test.ping").Output()
		return bytes.Contains(out, []byte("true"))
	})
}

// await polls until is; a daemon that ends before is an error with the end of its log.
func (b *bench) await(p *process, log string, is func() bool) error {
	end := time.Now().Add(2 * time.Minute)
	for !is() {
		select {
		case <-b.ctx.Done():
			return b.ctx.Err()
		case <-p.ended:
			return fmt.Errorf("%s ended: %s", filepath.Base(p.Path), lastLine(log))
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s was not ready in 2 minutes: %s", filepath.Base(p.Path), lastLine(log))
		}
	}
	return nil
}

func lastLine(name string) string {
	text, _ := os.ReadFile(name)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return lines[len(lines)-1]
}

// running swarm
type swarmProcess struct {
	*process
	mu      sync.Mutex
	last    swarm.Stats
	changed time.Time
}

func (s *swarmProcess) stats() swarm.Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// swarm starts n minions whose keys the master has accepted. It does not wait for them.
func (b *bench) swarm(s *site, n int, args ...string) (*swarmProcess, error) {
	args = append([]string{"-n", strconv.Itoa(n), "-ret-port", strconv.Itoa(s.ret), "-keys", filepath.Join(b.dir, "swarm-keys"), "-stdin"}, args...)
	if b.share {
		args = append(args, "-share")
	}
	cmd := exec.Command(filepath.Join(b.dir, "swarm"), args...)
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout = w
	p, err := b.start(cmd, filepath.Join(s.dir, "swarm.log"))
	w.Close()
	if err != nil {
		r.Close()
		return nil, err
	}
	p.in = in
	sp := &swarmProcess{process: p}
	go func() {
		defer r.Close()
		for lines := bufio.NewScanner(r); lines.Scan(); {
			var st swarm.Stats
			if json.Unmarshal(lines.Bytes(), &st) == nil {
				sp.mu.Lock()
				sp.last, sp.changed = st, time.Now()
				sp.mu.Unlock()
			}
		}
	}()
	return sp, nil
}

// seed accepts the keys of n minions.
func (b *bench) seed(s *site, n int) error {
	out, err := exec.CommandContext(b.ctx, filepath.Join(b.dir, "swarm"), "-n", strconv.Itoa(n), "-keys", filepath.Join(b.dir, "swarm-keys"),
		"-seed", s.pki(), "-seed-only").CombinedOutput()
	if err != nil {
		return fmt.Errorf("accept the swarm's keys: %w: %s", err, out)
	}
	return nil
}

// connected waits until n of the swarm are connected and returns how long that took.
func (b *bench) connected(s *swarmProcess, n int, most time.Duration) (time.Duration, error) {
	began := time.Now()
	for s.stats().Connected < int64(n) {
		select {
		case <-b.ctx.Done():
			return 0, b.ctx.Err()
		case <-s.ended:
			return 0, errors.New("the swarm ended")
		case <-time.After(20 * time.Millisecond):
		}
		if time.Since(began) > most {
			st := s.stats()
			return 0, fmt.Errorf("%d of %d minions connected in %v: %d failures, the last: %s", st.Connected, n, most, st.Failures, st.LastError)
		}
	}
	return time.Since(began), nil
}

// tree are the processes of a daemon: it and what it started.
func (p *process) tree() []int {
	out, _ := exec.Command("ps", "-eo", "pid=,ppid=").Output()
	children := map[int][]int{}
	for line := range strings.Lines(string(out)) {
		var pid, ppid int
		if n, _ := fmt.Sscan(line, &pid, &ppid); n == 2 {
			children[ppid] = append(children[ppid], pid)
		}
	}
	list := []int{p.Process.Pid}
	for i := 0; i < len(list); i++ {
		list = append(list, children[list[i]]...)
	}
	return list
}

// memory is what a daemon holds, in kB: the resident memory of its process, or, of
// several, their proportional shares, so that what they share counts once.
func (p *process) memory() float64 {
	pids := p.tree()
	if len(pids) == 1 {
		return field(fmt.Sprintf("/proc/%d/status", pids[0]), "VmRSS:")
	}
	sum := 0.0
	for _, pid := range pids {
		sum += field(fmt.Sprintf("/proc/%d/smaps_rollup", pid), "Pss:")
	}
	return sum
}

// ownMemory tells what of a daemon's resident memory is its own, and what are pages of its
// program, which the file cache holds anyway.
func ownMemory(p *process) string {
	status := fmt.Sprintf("/proc/%d/status", p.Process.Pid)
	return fmt.Sprintf("%.1f MB its own, %.1f MB pages of the program's file", field(status, "RssAnon:")/1024, field(status, "RssFile:")/1024)
}

func field(file, name string) float64 {
	text, _ := os.ReadFile(file)
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == name {
			v, _ := strconv.ParseFloat(f[1], 64)
			return v
		}
	}
	return 0
}

// processor is the time in seconds that a daemon has used.
func (p *process) processor() float64 {
	ticks := 0.0
	for _, pid := range p.tree() {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		_, rest, _ := strings.Cut(string(text), ") ")
		if f := strings.Fields(rest); len(f) > 12 {
			for _, s := range f[11:13] { // utime, stime
				v, _ := strconv.ParseFloat(s, 64)
				ticks += v
			}
		}
	}
	return ticks / 100
}
