//go:build linux

package sshrig

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// sshd is where OpenSSH's server is.
const sshd = "/usr/sbin/sshd"

// Need skips a test where no server can be started.
func Need(t testing.TB) {
	t.Helper()
	if _, err := os.Stat(sshd); err != nil {
		t.Skip("no OpenSSH server: " + err.Error() + "; apt-get install openssh-server")
	}
	for _, name := range []string{"ssh-keygen", "ssh-agent", "ssh-add"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skip("no OpenSSH client: " + err.Error() + "; apt-get install openssh-client")
		}
	}
}

// Options of a server. The zero value lets the test's user in with a key.
type Options struct {
	// Listen are the addresses, all with the same port; empty is one that no other server of
	// the test process has. One sshd takes at most 16.
	Listen []string
	// HostKeys are the types of its keys, empty is ed25519.
	HostKeys []string
	// Config is put in front of sshd_config: in OpenSSH the first that says a thing decides.
	Config string
	// Files are put into the home directory, as ".bashrc": "echo hello".
	Files map[string]string
	// Foreign is a processor whose programs run in the sessions, by qemu: "arm64".
	Foreign string
	// Stranger leaves the host key out of Server.KnownHosts.
	Stranger bool
}

// A Server is an OpenSSH server that runs until its test ends.
type Server struct {
	Host string // the first address
	Port int
	User string
	Home string // home directory of its sessions
	Dir  string // its configuration and keys
	// Key is a private key that it lets in, with .pub beside it.
	Key string
	// KnownHosts is a known_hosts file with its keys.
	KnownHosts string

	t       testing.TB
	foreign string
	log     *lockedBuffer
	addrs   []string
	stop    func()
}

// Addr is "host:port".
func (s *Server) Addr() string { return net.JoinHostPort(s.Host, strconv.Itoa(s.Port)) }

// Log is what the server has logged so far.
func (s *Server) Log() string { return s.log.String() }

// HostKey is a line of its public host key of a type, as "ssh-ed25519 AAAA…".
func (s *Server) HostKey(kind string) string {
	b, err := os.ReadFile(filepath.Join(s.Dir, "host_"+kind+".pub"))
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.Join(strings.Fields(string(b))[:2], " ")
}

var lastAddr atomic.Int32

// Address is a loopback address that no other server of this process has.
func Address() string {
	n := lastAddr.Add(1)
	return fmt.Sprintf("127.%d.%d.%d", 10+os.Getpid()%200, n/250, 1+n%250)
}

// New starts a server.
func New(t testing.TB, o Options) *Server {
	t.Helper()
	Need(t)
	if o.Foreign != "" {
		needEmulator(t, o.Foreign)
	}
	s := newServer(t, o)
	s.foreign = o.Foreign
	if os.Getuid() == 0 {
		// The package's service makes it, where one is started.
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	s.User = me.Username
	s.Home = filepath.Join(s.Dir, "home")
	for name, text := range o.Files {
		p := filepath.Join(s.Home, name)
		mkdir(t, filepath.Dir(p))
		write(t, p, text, 0o644)
	}
	mkdir(t, s.Home)
	conf := o.Config + "\n" + s.baseConfig() + fmt.Sprintf(`UsePAM no
StrictModes no
PermitRootLogin yes
PasswordAuthentication no
KbdInteractiveAuthentication no
AuthorizedKeysFile %s/authorized_keys %s/.ssh/authorized_keys
SetEnv HOME=%s
`, s.Dir, s.Home, s.Home)
	for _, a := range s.addrs {
		conf += fmt.Sprintf("ListenAddress %s\n", net.JoinHostPort(a, strconv.Itoa(s.Port)))
	}
	write(t, filepath.Join(s.Dir, "sshd_config"), conf, 0o600)
	s.startDaemon()
	return s
}

// newServer makes the keys of a server, and finds it a port.
func newServer(t testing.TB, o Options) *Server {
	t.Helper()
	s := &Server{t: t, Dir: t.TempDir(), log: &lockedBuffer{}}
	if len(o.Listen) == 0 {
		o.Listen = []string{Address()}
	}
	s.Host, s.addrs = o.Listen[0], o.Listen
	s.Port = freePort(t, s.Host)
	for _, k := range hostKeys(o) {
		Keygen(t, filepath.Join(s.Dir, "host_"+k), "-t", k)
	}
	s.Key = filepath.Join(s.Dir, "id")
	Keygen(t, s.Key, "-t", "ed25519", "-C", "rig")
	pub, err := os.ReadFile(s.Key + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(s.Dir, "authorized_keys"), string(pub), 0o644)
	known := ""
	if !o.Stranger {
		for _, a := range o.Listen {
			for _, k := range hostKeys(o) {
				known += fmt.Sprintf("%s %s\n", KnownName(a, s.Port), s.HostKey(k))
			}
		}
	}
	s.KnownHosts = filepath.Join(s.Dir, "known_hosts")
	write(t, s.KnownHosts, known, 0o600)
	return s
}

func hostKeys(o Options) []string {
	if len(o.HostKeys) > 0 {
		return o.HostKeys
	}
	return []string{"ed25519"}
}

// baseConfig is what the configurations of all servers have.
func (s *Server) baseConfig() string {
	conf := `LogLevel VERBOSE
PidFile none
UseDNS no
MaxStartups 200:30:400
PrintMotd no
AcceptEnv RIG_*
Subsystem sftp internal-sftp
`
	keys, _ := filepath.Glob(filepath.Join(s.Dir, "host_*.pub"))
	for _, k := range keys {
		conf += "HostKey " + strings.TrimSuffix(k, ".pub") + "\n"
	}
	return conf
}

// KnownName is how known_hosts writes an address with a port.
func KnownName(host string, port int) string {
	if port == 22 {
		return host
	}
	return fmt.Sprintf("[%s]:%d", host, port)
}

// startBound starts a process that the kernel ends with this one: a test that is killed
// leaves none behind. The kernel goes by the thread that started it, which therefore has
// to live as long as the process.
func startBound(cmd *exec.Cmd) (ended chan struct{}, err error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	ended = make(chan struct{})
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer close(ended)
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait()
		}
	}()
	return ended, <-started
}

// startDaemon runs sshd and waits until it listens on all addresses.
func (s *Server) startDaemon() {
	t := s.t
	t.Helper()
	cmd := exec.Command(sshd, "-D", "-e", "-f", filepath.Join(s.Dir, "sshd_config"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if s.foreign != "" {
		emulate(cmd, s.foreign)
	}
	cmd.Stderr = s.log
	ended, err := startBound(cmd)
	if err != nil {
		t.Fatal(err)
	}
	s.stop = sync.OnceFunc(func() {
		s.endSessions(cmd.Process.Pid)
		cmd.Process.Kill()
		<-ended
	})
	t.Cleanup(s.stop)
	deadline := time.Now().Add(30 * time.Second)
	for _, a := range s.addrs {
		for {
			c, err := net.DialTimeout("tcp", net.JoinHostPort(a, strconv.Itoa(s.Port)), time.Second)
			if err == nil {
				c.Close()
				break
			}
			select {
			case <-ended:
				t.Fatalf("sshd ended: %s", s.Log())
			case <-time.After(10 * time.Millisecond):
			}
			if time.Now().After(deadline) {
				t.Fatalf("sshd does not listen on %s: %s\n%s", a, err, s.Log())
			}
		}
	}
}

// Restart ends the server with its sessions and starts it again: after a change of its
// configuration or keys.
func (s *Server) Restart() {
	s.t.Helper()
	s.stop()
	s.startDaemon()
}

// endSessions ends the processes of a server's sessions: its descendants.
func (s *Server) endSessions(pid int) {
	kids, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	for _, f := range strings.Fields(string(kids)) {
		if n, err := strconv.Atoi(f); err == nil {
			s.endSessions(n)
			syscall.Kill(n, syscall.SIGKILL)
		}
	}
}

// NewHostKeys starts the server again with new host keys of these types, as a machine
// that was set up anew.
func (s *Server) NewHostKeys(kinds ...string) {
	s.t.Helper()
	old, _ := filepath.Glob(filepath.Join(s.Dir, "host_*"))
	for _, f := range old {
		os.Remove(f)
	}
	for _, k := range kinds {
		Keygen(s.t, filepath.Join(s.Dir, "host_"+k), "-t", k)
	}
	s.Restart()
}

// HashKnownHosts replaces the names in a known_hosts file by their hashes.
func HashKnownHosts(t testing.TB, path string) {
	t.Helper()
	run(t, "ssh-keygen", "-q", "-H", "-f", path)
	os.Remove(path + ".old")
}

// Keygen makes a key pair with ssh-keygen, without passphrase unless -N says one.
func Keygen(t testing.TB, path string, arg ...string) {
	t.Helper()
	args := append([]string{"-q", "-f", path}, arg...)
	if !contains(arg, "-N") {
		args = append(args, "-N", "")
	}
	// Cheap ones: a test is no place to wait for an attacker.
	args = append(args, "-a", "1")
	if contains(arg, "rsa") {
		args = append(args, "-b", "2048")
	}
	run(t, "ssh-keygen", args...)
}

// Certify signs a public key with an authority's private key: the certificate lies beside
// it as …-cert.pub.
func Certify(t testing.TB, authority, pub string, host bool, principals string, arg ...string) {
	t.Helper()
	args := []string{"-q", "-s", authority, "-I", "rig", "-n", principals}
	if host {
		args = append(args, "-h")
	}
	args = append(args, arg...)
	run(t, "ssh-keygen", append(args, pub)...)
}

// Agent starts an ssh-agent with these keys, and returns its socket.
func Agent(t testing.TB, keys ...string) string {
	t.Helper()
	Need(t)
	// The path of a socket may have 107 bytes; that of a test's directory is often longer.
	dir, err := os.MkdirTemp("", "rig")
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "agent")
	cmd := exec.Command("ssh-agent", "-D", "-a", socket)
	ended, err := startBound(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-ended
		os.RemoveAll(dir)
	})
	for range 3000 {
		if _, err := os.Stat(socket); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	for _, k := range keys {
		add := exec.Command("ssh-add", "-q", k)
		add.Env = append(os.Environ(), "SSH_AUTH_SOCK="+socket)
		if out, err := add.CombinedOutput(); err != nil {
			t.Fatalf("ssh-add %s: %s: %s", k, err, out)
		}
	}
	return socket
}

func run(t testing.TB, name string, arg ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, arg...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %s: %s", name, strings.Join(arg, " "), err, out)
	}
	return string(out)
}

func contains(list []string, s string) bool {
	for _, e := range list {
		if e == s {
			return true
		}
	}
	return false
}

// freePort is a port that nobody listens on.
func freePort(t testing.TB, host string) int {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func write(t testing.TB, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func mkdir(t testing.TB, path string) {
	t.Helper()
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
}

// A lockedBuffer is a log that is written and read at once.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
