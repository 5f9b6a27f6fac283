//go:build linux

package testmachine

import (
	"bufio"
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

//go:embed boot.sh
var boot string

// Options of a machine. The zero value is one without services.
type Options struct {
	// Name is its host name, "machine" if empty.
	Name string
	// Systemd makes a real systemd the first process, and waits until it is up.
	Systemd bool
	// Unit is what systemd starts, basic.target if empty: D-Bus and the journal come when
	// they are asked for, other services when the test starts them.
	Unit string
	// Bind names files and directories of the running system, and where they are seen in
	// the machine, read-only. An empty value is the same place.
	Bind map[string]string
	// Prepare is a shell script that is run in the machine before its first process: files
	// to be there, programs to be hidden.
	Prepare string
}

// A Machine runs until its test ends.
type Machine struct {
	t    testing.TB
	pid  int    // of its first process, as the running system numbers it
	root string // its files, as seen from here
}

// Result is what a command in a machine came to.
type Result struct {
	Stdout, Stderr string
	Code           int
}

var usable = sync.OnceValue(func() error {
	if os.Geteuid() != 0 {
		return errors.New("throw-away machines need root")
	}
	for _, prog := range []string{"unshare", "nsenter", "setpriv", "ip"} {
		if _, err := exec.LookPath(prog); err != nil {
			return fmt.Errorf("throw-away machines need %s", prog)
		}
	}
	out, err := exec.Command("unshare", append(namespaces(), "sh", "-ec",
		`mount --make-rprivate / && mount -t tmpfs tmpfs /mnt && mkdir /mnt/u /mnt/w /mnt/r && mount -t overlay -o lowerdir=/,upperdir=/mnt/u,workdir=/mnt/w overlay /mnt/r && mount -t proc proc /mnt/r/proc`)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("throw-away machines cannot be made here: %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
})

func namespaces() []string {
	return []string{"--mount", "--pid", "--uts", "--ipc", "--net", "--cgroup", "--fork", "--kill-child"}
}

// Need skips a test where no machine can be made, and says why.
func Need(t testing.TB) {
	t.Helper()
	if err := usable(); err != nil {
		t.Skip(err)
	}
}

// New boots a machine, or skips the test where none can be made.
func New(t testing.TB, o Options) *Machine {
	t.Helper()
	Need(t)
	if _, err := os.Stat("/lib/systemd/systemd"); o.Systemd && err != nil {
		t.Skip("systemd is not installed here")
	}
	m, err := start(t, o)
	if err != nil {
		t.Fatal(err)
	}
	if !o.Systemd {
		return m
	}
	for end := time.Now().Add(2 * time.Minute); ; {
		r := m.Try("", "systemctl", "is-system-running", "--wait")
		switch s := strings.TrimSpace(r.Stdout); {
		case s == "running" || s == "degraded":
			return m
		case time.Now().After(end):
			t.Fatalf("systemd is %s after two minutes: %s", s, r.Stderr)
		}
		time.Sleep(50 * time.Millisecond) // its bus is not there yet
	}
}

func start(t testing.TB, o Options) (*Machine, error) {
	var binds strings.Builder
	for from, to := range o.Bind {
		if to == "" {
			to = from
		}
		fmt.Fprintf(&binds, "%s %s\n", from, to)
	}
	base := t.TempDir()
	name, unit, init := o.Name, o.Unit, "none"
	if name == "" {
		name = "machine"
	}
	if unit == "" {
		unit = "basic.target"
	}
	if o.Systemd {
		init = "systemd"
	}
	cmd := exec.Command("unshare", append(namespaces(), "sh", "-c", boot)...)
	cmd.Env = append(os.Environ(), "BASE="+base, "BINDS="+binds.String(), "NAME="+name, "INIT="+init, "UNIT="+unit, "PREPARE="+o.Prepare, "LAYERS="+os.Getenv("TESTMACHINE_LAYERS"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var log tail
	cmd.Stderr = &log
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
		if t.Failed() {
			t.Logf("== console of %s ==\n%s", name, log.String())
		}
	})
	r := bufio.NewReader(out)
	if line, err := r.ReadString('\n'); err != nil || line != "up\n" {
		cmd.Wait()
		return nil, fmt.Errorf("the machine did not come up: %q %s", line, log.String())
	}
	go io.Copy(&log, r)
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", cmd.Process.Pid))
	if err != nil {
		return nil, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(children)))
	if err != nil {
		return nil, fmt.Errorf("processes below unshare: %q", children)
	}
	return &Machine{t, pid, fmt.Sprintf("/proc/%d/root", pid)}, nil
}

// tail keeps the end of what is written to it.
type tail struct {
	mu sync.Mutex
	b  []byte
}

func (w *tail) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.b = append(w.b, p...)
	if n := len(w.b) - 32<<10; n > 0 {
		w.b = w.b[n:]
	}
	return len(p), nil
}

func (w *tail) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return string(w.b)
}

// Command makes a command that will run in the machine, as its root, in /root, with a
// plain environment. It cannot reach the kernel's modules nor the clock.
func (m *Machine) Command(arg ...string) *exec.Cmd {
	args := []string{"-t", strconv.Itoa(m.pid), "-m", "-u", "-i", "-n", "-p", "-C", "--wdns=/root", "setpriv", "--bounding-set", "-sys_module,-sys_time,-sys_boot", "--inh-caps", "-all", "--"}
	cmd := exec.Command("nsenter", append(args, arg...)...)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8", "USER=root", "LOGNAME=root", "SHELL=/bin/sh", "DEBIAN_FRONTEND=noninteractive"}
	if race := os.Getenv("GORACE"); race != "" {
		cmd.Env = append(cmd.Env, "GORACE="+race) // of programs with the race detector
	}
	return cmd
}

// Try runs a command with this input and returns what it came to.
func (m *Machine) Try(stdin string, arg ...string) Result {
	m.t.Helper()
	cmd := m.Command(arg...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	err := cmd.Run()
	if x := (*exec.ExitError)(nil); err != nil && !errors.As(err, &x) {
		m.t.Fatalf("%s: %v", strings.Join(arg, " "), err)
	}
	return Result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// Run runs a command that has to succeed and returns its output.
func (m *Machine) Run(arg ...string) string {
	m.t.Helper()
	r := m.Try("", arg...)
	if r.Code != 0 {
		m.t.Fatalf("%s: exit code %d\n%s%s", strings.Join(arg, " "), r.Code, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

// Path is where the machine's file is seen from here, while it runs. Symbolic links in
// it lead to where they lead in the machine only if they are relative.
func (m *Machine) Path(name string) string { return filepath.Join(m.root, name) }

// Read returns a file's content.
func (m *Machine) Read(name string) string {
	m.t.Helper()
	b, err := os.ReadFile(m.Path(name))
	if err != nil {
		m.t.Fatal(err)
	}
	return string(b)
}

// Write makes a file, and the directories above it.
func (m *Machine) Write(name, content string) {
	m.t.Helper()
	if err := os.MkdirAll(m.Path(path.Dir(name)), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(m.Path(name), []byte(content), 0o644); err != nil {
		m.t.Fatal(err)
	}
}
