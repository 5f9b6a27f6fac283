package gosalt_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/gosalt/gosalt/internal/sshrig"
	"github.com/gosalt/gosalt/internal/testmachine"
	"github.com/gosalt/gosalt/internal/testproc"
)

// sshSite is a directory with the configuration of gosalt-ssh, a roster, and states.
type sshSite struct {
	t    *testing.T
	dir  string
	home string // of who runs gosalt-ssh
}

func newSSHSite(t *testing.T, roster string, files map[string]string) *sshSite {
	t.Helper()
	s := &sshSite{t: t, dir: t.TempDir()}
	s.home = filepath.Join(s.dir, "home")
	s.write("etc/master", fmt.Sprintf("root_dir: %[1]s/root\nfile_roots: {base: [%[1]s/srv]}\npillar_roots: {base: [%[1]s/pillar]}\nssh_begin_timeout: 20\n", s.dir)+s.knownHosts())
	s.write("etc/roster", roster)
	s.write("home/.keep", "")
	for name, text := range files {
		s.write(name, text)
	}
	return s
}

// knownHosts is a line of configuration: the user's own file is left alone.
func (s *sshSite) knownHosts() string { return "ssh_known_hosts_file: " + s.home + "/known_hosts\n" }

func (s *sshSite) write(name, text string) {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// sshPrograms is where the programs of a test are that copies gosalt-minion to machines:
// packing it takes the race detector ten times as long. TestSSH and TestBootstrap have it.
func sshPrograms(t *testing.T) string {
	if name, _, _ := strings.Cut(t.Name(), "/"); name == "TestSSH" || name == "TestBootstrap" {
		return mixed()
	}
	return plain()
}

func (s *sshSite) command(prog string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(sshPrograms(s.t), prog), append([]string{"-c", filepath.Join(s.dir, "etc")}, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+s.home, "GOSALT_STRICT=", "SSH_AUTH_SOCK=", "COLUMNS=80")
	return cmd
}

// run runs gosalt-ssh and returns its output, both streams apart, and its exit code.
func (s *sshSite) run(args ...string) (stdout, stderr string, code int) {
	s.t.Helper()
	cmd := s.command("gosalt-ssh", args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && !isExit(err) {
		s.t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// want runs gosalt-ssh and expects an exit code, and all these texts in its output.
func (s *sshSite) want(code int, texts []string, args ...string) string {
	s.t.Helper()
	out, errs, got := s.run(args...)
	for _, text := range texts {
		if !strings.Contains(out, text) {
			s.t.Errorf("%q: %q is not in the output", args, text)
		}
	}
	if got != code || s.t.Failed() {
		s.t.Fatalf("%q: exit code %d, %d expected\n%s%s", args, got, code, out, errs)
	}
	return out
}

func entry(id, host string, port int, more ...string) string {
	return fmt.Sprintf("%s: {%s}\n", id, strings.Join(append([]string{"host: " + host, "port: " + strconv.Itoa(port)}, more...), ", "))
}

// TestSSH has jobs done on machines with real OpenSSH servers, good ones and bad.
func TestSSH(t *testing.T) {
	t.Parallel()
	sshrig.Need(t)
	t.Run("key", func(t *testing.T) {
		t.Parallel()
		srv := sshrig.New(t, sshrig.Options{Files: map[string]string{".bashrc": "echo Welcome to this machine\n"}})
		me := fmt.Sprintf("{host: %s, port: %d, user: %s, priv: %s", srv.Host, srv.Port, srv.User, srv.Key)
		closed := sshrig.Address()
		s := newSSHSite(t, "a: "+me+"}\nb: "+me+", minion_opts: {grains: {role: db}}}\n"+entry("dead", closed, 1, "user: x"), map[string]string{
			"srv/top.sls": "base:\n  '*': [web]\n",
			"srv/web.sls": "{{ pillar['dir'] }}/motd:\n  file.managed:\n    - source: salt://motd\n    - template: jinja\n    - makedirs: True\n" +
				"said:\n  cmd.run:\n    - name: cat {{ pillar['dir'] }}/motd\n    - onchanges: [{file: {{ pillar['dir'] }}/motd}]\n",
			"srv/motd":       "This is {{ grains['id'] }} for {{ pillar['who'] }}\n",
			"pillar/top.sls": "base:\n  '*': [p]\n",
			"pillar/p.sls":   "who: anna\ndir: " + t.TempDir() + "/{{ grains['id'] }}\n",
		})
		// An unknown key is refused, and taken when asked for; then it is known.
		s.want(20, []string{"the host key of", "--accept-new"}, "a", "test.ping")
		s.want(0, []string{"a:\n    True\n"}, "--accept-new", "a", "test.ping")
		s.want(0, []string{"a:\n    hello\n"}, "a", "cmd.run", "echo hello")
		// One machine that is down does not touch the others.
		out := s.want(20, []string{"a:\n    True\n", "b:\n    True\n", "dead:\n    ssh: connect to host " + closed + " port 1: Connection refused"}, "*", "test.ping")
		if strings.Count(out, "\n") != 6 {
			t.Errorf("more than a line for each:\n%s", out)
		}
		s.want(20, []string{"a:\n    gone"}, "a", "cmd.run", "echo gone; exit 3")
		// The same without the agent.
		s.want(0, []string{"        raw 1\n", "retcode:\n        0"}, "-r", "a", "echo raw", "1")
		s.want(20, []string{"retcode:\n        4", "stderr:\n        no"}, "-r", "a", "echo no >&2; exit 4")
		// States with files and pillar; again; what they would do.
		s.want(0, []string{"This is a for anna", "Succeeded: 2 (changed=2)"}, "a", "state.apply")
		s.want(0, []string{"Succeeded: 2\n"}, "a", "state.apply")
		s.want(79, []string{"Succeeded: 1 (unchanged=1"}, "--strict", "b", "state.single", "cmd.run", "echo x", "test=True", "--state-output=full")
	})
	t.Run("targets", func(t *testing.T) {
		t.Parallel()
		srv := sshrig.New(t, sshrig.Options{})
		me := fmt.Sprintf("{host: %s, port: %d, user: %s, priv: %s", srv.Host, srv.Port, srv.User, srv.Key)
		s := newSSHSite(t, "web1: "+me+", mine_functions: {test.echo: [hi from web1]}}\nweb2: "+me+", minion_opts: {grains: {role: db}}}\ndb1: "+me+"}\n", nil)
		s.want(0, []string{"web2:\n    True"}, "-i", "--refresh", "-G", "role:db", "test.ping") // nothing was known of them
		s.want(0, []string{"web1:\n    True", "web2:\n    True"}, "-i", "web*", "test.ping")
		s.want(0, []string{"jid: 20991231000000000001\n", "True"}, "-i", "--jid=20991231000000000001", "--show-jid", "web1", "test.ping")
		if _, errs, code := s.run("-i", "--jid=20991231000000000001", "web1", "test.ping"); code == 0 && !strings.Contains(errs, "there is a job of that id already") {
			t.Errorf("a job id is used twice: %d %s", code, errs)
		}
		if _, errs, code := s.run("-i", "--jid=12", "web1", "test.ping"); code != 64 && code != 2 || !strings.Contains(errs, "'12' is not a valid JID") {
			t.Errorf("a bad job id: %d %s", code, errs)
		}
		// The mine of others is filled when it is asked for: no minion does it there.
		s.want(0, []string{"web1:\n        hi from web1"}, "-i", "web2", "mine.get", "web*", "test.echo")
		s.want(0, []string{"web1:", "db1:"}, "-i", "-L", "web1,db1", "test.ping")
		s.want(0, []string{"web2:"}, "-i", "-E", "web[2-9]", "test.ping")
		s.want(0, []string{"role:\n        db"}, "-i", "web2", "grains.item", "role")
		s.want(0, []string{"db1", "web1", srv.Host}, "-H", "*")
		if out, errs, code := s.run("nobody", "test.ping"); out != "" || code != 0 || !strings.Contains(errs, "No matching targets found in roster.") {
			t.Errorf("no match: %q, %q, %d", out, errs, code)
		}
		s.want(66, nil, "--strict", "nobody", "test.ping")
		// A wrong function, wrong arguments.
		s.want(20, []string{"'nosuch.fun' is not available."}, "-i", "web1", "nosuch.fun")
	})
	t.Run("interrupt", func(t *testing.T) {
		t.Parallel()
		srv := sshrig.New(t, sshrig.Options{})
		s := newSSHSite(t, entry("a", srv.Host, srv.Port, "user: "+srv.User, "priv: "+srv.Key), nil)
		began := filepath.Join(s.dir, "began")
		if err := syscall.Mkfifo(began, 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := s.command("gosalt-ssh", "-i", "a", "cmd.run", "(sleep 1000 & echo $! > "+began+"; wait)")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(began) // returns when the command has begun
		if err != nil {
			t.Fatal(err)
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		// The agent ends it when the connection does.
		if !testproc.Until(testproc.Patience, func() bool { return syscall.Kill(pid, 0) != nil || zombie(pid) }) {
			t.Fatal("what the job began goes on after its end")
		}
	})
	t.Run("broken", func(t *testing.T) {
		t.Parallel()
		srv := sshrig.New(t, sshrig.Options{})
		user := []string{"user: " + srv.User, "priv: " + srv.Key}
		hangs := sshrig.New(t, sshrig.Options{Config: "ForceCommand sleep 1000"})
		cuts := sshrig.NewProxy(t, srv.Addr())
		cuts.CutAfter(200 << 10) // in the middle of the agent
		mute := sshrig.NewProxy(t, srv.Addr())
		mute.Hold()
		stranger := filepath.Join(t.TempDir(), "stranger")
		sshrig.Keygen(t, stranger)
		s := newSSHSite(t, entry("good", srv.Host, srv.Port, user...)+
			entry("hangs", hangs.Host, hangs.Port, "user: "+hangs.User, "priv: "+hangs.Key)+
			entry("cuts", cuts.Host, cuts.Port, user...)+
			entry("mute", mute.Host, mute.Port, append(user, "timeout: 2")...)+
			entry("nokey", srv.Host, srv.Port, "user: "+srv.User, "priv: /nonexistent/key")+
			entry("wrongkey", srv.Host, srv.Port, "user: "+srv.User, "priv: "+stranger, "identities_only: True")+
			entry("nohost", "nosuch.invalid", 22, user...), nil)
		s.write("etc/master", fmt.Sprintf("root_dir: %s/root\nssh_begin_timeout: 3\nignore_host_keys: True\n", s.dir))
		out, _, code := s.run("*", "test.ping")
		for _, text := range []string{"good:\n    True\n", "hangs:\n    logged in, but nothing was begun within 3s", "mute:\n    ssh: ", "nokey:\n    ssh: ", "/nonexistent/key",
			"wrongkey:\n    ssh: ", "nohost:\n    ssh: could not resolve hostname nosuch.invalid", "cuts:\n    "} {
			if !strings.Contains(out, text) {
				t.Errorf("%q is missing", text)
			}
		}
		if code != 20 || t.Failed() {
			t.Errorf("exit code %d\n%s", code, out)
		}
		// A key that changed is refused in spite of --accept-new.
		s.write("etc/master", fmt.Sprintf("root_dir: %s/root\n", s.dir)+s.knownHosts())
		s.want(0, []string{"True"}, "--accept-new", "good", "test.ping")
		srv.NewHostKeys("ed25519")
		s.want(20, []string{"good:\n    ssh: ", "known_hosts"}, "--accept-new", "good", "test.ping")
	})
	t.Run("machine", func(t *testing.T) {
		t.Parallel()
		testmachine.Need(t)
		m := sshrig.InMachine(t, sshrig.MachineOptions{Users: []sshrig.User{
			{Name: "pw", Password: "geheim $1!"}, {Name: "boss", Password: "geheim", Sudo: "ALL"}, {Name: "free", Sudo: "NOPASSWD: ALL"}, {Name: "none", Password: "geheim"},
			{Name: "full"}, {Name: "noexec"}, {Name: "readonly"}, {Name: "banner", Shell: "/bin/bash"}, {Name: "nologin", Shell: "/usr/sbin/nologin"}}})
		m.Machine.Run("sh", "-ec", `
			rm -rf /root/.cache/gosalt
			for u in full noexec readonly; do mkdir -p /home/$u; done
			mount -t tmpfs -o size=1m,mode=755 tmpfs /home/full; chown full /home/full
			mount -t tmpfs -o noexec,mode=755 tmpfs /home/noexec; chown noexec /home/noexec
			mount -t tmpfs -o ro,mode=755 tmpfs /home/readonly
			echo 'echo "** Welcome, $USER **"; echo "mind the gap" >&2' > /home/banner/.bashrc
		`)
		key := "priv: " + m.Key
		s := newSSHSite(t, entry("pw", m.Host, m.Port, "user: pw", `passwd: "geheim $1!"`)+
			entry("badpw", m.Host, m.Port, "user: pw", "passwd: falsch", "identities_only: True", "priv: /dev/null")+
			entry("boss", m.Host, m.Port, "user: boss", key, "passwd: geheim", "sudo: True")+
			entry("bossnopw", m.Host, m.Port, "user: boss", key, "sudo: True")+
			entry("bosswrong", m.Host, m.Port, "user: boss", key, "passwd: falsch", "sudo: True")+
			entry("bosstty", m.Host, m.Port, "user: boss", key, "passwd: geheim", "sudo: True", "tty: True")+
			entry("free", m.Host, m.Port, "user: free", key, "sudo: True")+
			entry("as", m.Host, m.Port, "user: free", key, "sudo_user: pw")+
			entry("none", m.Host, m.Port, "user: none", key, "passwd: geheim", "sudo: True")+
			entry("full", m.Host, m.Port, "user: full", key)+
			entry("noexec", m.Host, m.Port, "user: noexec", key)+
			entry("readonly", m.Host, m.Port, "user: readonly", key)+
			entry("banner", m.Host, m.Port, "user: banner", key)+
			entry("nologin", m.Host, m.Port, "user: nologin", key)+
			entry("root", m.Host, m.Port, "user: root", key), map[string]string{
			"srv/x.sls": "/etc/made:\n  file.managed:\n    - contents: x\nsomeone:\n  user.present:\n    - shell: /bin/sh\n"})
		out, errs, code := s.run("-i", "*", "cmd.run", "id -un", "--out=txt")
		for _, text := range []string{"pw: pw\n", "boss: root\n", "bosstty: root\n", "free: root\n", "as: pw\n", "full: full\n", "noexec: noexec\n",
			"readonly: readonly\n", "banner: banner\n", "root: root\n",
			"badpw: ssh: ", "bossnopw: sudo: a password is required", "bosswrong: sudo: the password was not accepted", "none: ", "nologin: the login shell said "} {
			if !strings.Contains(out, text) {
				t.Errorf("%q is missing", text)
			}
		}
		if strings.Contains(out+errs, "geheim") || strings.Contains(out+errs, "falsch") {
			t.Error("a password is shown")
		}
		if code != 20 || t.Failed() {
			t.Fatalf("exit code %d\n%s%s", code, out, errs)
		}
		m.Machine.Run("sh", "-ec", "cd /root/.cache/gosalt/agents; cp [0-9a-f]* $(echo older | sha256sum | cut -d' ' -f1)")
		s.want(0, []string{"True"}, "-i", "--wipe", "boss", "state.apply", "x")
		if got := m.Machine.Run("sh", "-c", "cat /etc/made; getent passwd someone | cut -d: -f7"); got != "x\n/bin/sh\n" {
			t.Errorf("the machine has %q", got)
		}
		if got := m.Machine.Run("sh", "-c", "find /root/.cache/gosalt 2>/dev/null || :"); got != "" {
			t.Errorf("--wipe leaves %s", got)
		}
		// Nowhere to put it.
		m.Machine.Run("sh", "-ec", "rm -rf /tmp/.gosalt-* /var/tmp/.gosalt-* /dev/shm/.gosalt-*; for d in /tmp /var/tmp /dev/shm /run; do mount -o remount,ro,mode=1777 $d || mount -t tmpfs -o ro tmpfs $d; done; rm -rf /home/*/.cache 2>/dev/null || :")
		s.want(20, []string{"there is no place for the agent: ", "No space left on device", "thin_dir"}, "-i", "full", "test.ping")
		s.want(20, []string{"programs may not run there"}, "-i", "noexec", "test.ping")
		s.want(0, []string{"stdout:\n        full"}, "-i", "full", "-r", "id -un")
	})
}

// TestSSHForeign reaches machines with other processors: the agent is the one for the
// machine, and does its job. Programs for arm64 are run by qemu, those for 386 by the kernel:
// qemu-i386 loses the threads' own memory of Go's programs.
func TestSSHForeign(t *testing.T) {
	t.Parallel()
	for arch, machine := range map[string]string{"arm64": "aarch64", "386": "i686"} {
		t.Run(arch, func(t *testing.T) {
			t.Parallel()
			o := sshrig.Options{Foreign: arch}
			if arch == "386" && runtime.GOARCH == "amd64" {
				o.Foreign = ""
			}
			srv := sshrig.New(t, o)
			s := newSSHSite(t, entry("a", srv.Host, srv.Port, "user: "+srv.User, "priv: "+srv.Key, `set_path: "`+srv.Dir+`:/usr/bin:/bin"`), nil)
			if err := os.WriteFile(filepath.Join(srv.Dir, "uname"), []byte("#!/bin/sh\n[ \"$1\" = -m ] && echo "+machine+" || echo Linux\n"), 0o755); err != nil {
				t.Fatal(err)
			}
			s.write("etc/master", fmt.Sprintf("root_dir: %[1]s/root\nssh_begin_timeout: 300\nignore_host_keys: True\nssh_agent_dir: %[1]s/agents\n", s.dir))
			// Without the agent for it that is said.
			s.want(20, []string{"there is no gosalt-minion for linux/" + arch, "make agents"}, "a", "test.ping")
			build := exec.Command("go", "build", "-o", filepath.Join(s.dir, "agents", "gosalt-minion-linux-"+arch), "./cmd/gosalt-minion")
			build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch) // as scripts/check.sh does it
			if out, err := build.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if o.Foreign == "" {
				if err := exec.Command(filepath.Join(s.dir, "agents", "gosalt-minion-linux-"+arch), "--version").Run(); errors.Is(err, syscall.ENOEXEC) {
					t.Skip("this kernel runs no programs of 32 bits")
				}
			}
			s.want(0, []string{"system:\n        linux/" + arch + "\n"}, "a", "doctor.check")
			s.want(0, []string{"Succeeded: 1 (changed=1)"}, "a", "state.single", "file.managed", s.dir+"/made", "contents=x")
		})
	}
}

// zombie tells whether a process has ended, and nobody has taken note.
func zombie(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || bytes.Contains(b, []byte(") Z "))
}

// TestSSHFallback has one job done by connected minions, by machines over SSH, and tells
// of the rest.
func TestSSHFallback(t *testing.T) {
	t.Parallel()
	srv := sshrig.New(t, sshrig.Options{})
	w := testproc.New(t.TempDir(), bin)
	defer func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			for _, p := range w.Procs() {
				t.Logf("== log of %s ==\n%s", p.Name, tail(p.FullLog(), 16<<10))
			}
		}
	}()
	me := []string{"user: " + srv.User, "priv: " + srv.Key}
	roster := filepath.Join(w.Dir, "roster")
	if err := os.WriteFile(roster, []byte(entry("bare", srv.Host, srv.Port, me...)+entry("both", srv.Host, srv.Port, me...)+entry("dead", sshrig.Address(), 1, me...)), 0o600); err != nil {
		t.Fatal(err)
	}
	start := func(name string, conf ...string) {
		t.Helper()
		if err := w.Configure(name, conf...); err != nil {
			t.Fatal(err)
		}
		if _, _, err := w.Start(name); err != nil {
			t.Fatal(err)
		}
	}
	start("master", "auto_accept: True", "roster_file: "+roster, "ignore_host_keys: True", "gather_job_timeout: 2")
	start("web1")
	start("both")
	gosalt := func(code int, args ...string) string {
		t.Helper()
		cmd := exec.Command(filepath.Join(bin, args[0]), args[1:]...)
		cmd.Env = append(os.Environ(), "SALT_CONFIG_DIR="+filepath.Join(w.Dir, "master"), "HOME="+w.Dir, "GOSALT_STRICT=")
		var errs bytes.Buffer
		cmd.Stderr = &errs
		out, err := cmd.Output()
		if err != nil && !isExit(err) || cmd.ProcessState.ExitCode() != code {
			t.Fatalf("%q: %v\n%s%s", args, err, out, errs.String())
		}
		return string(out)
	}
	has := func(out string, texts ...string) {
		t.Helper()
		for _, text := range texts {
			if !strings.Contains(out, text) {
				t.Errorf("%q is missing in\n%s", text, out)
			}
		}
	}
	out := gosalt(1, "gosalt", "*", "cmd.run", "echo $PPID $SSH_CONNECTION", "--out=txt", "-v")
	has(out, "web1: ", "both: ", "bare: ", "dead: Minion did not return. [No response]", "not reached over SSH either: ssh: connect to host")
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "both: ") && len(strings.Fields(line)) != 2 {
			t.Errorf("a minion that is connected was reached over SSH: %s", line)
		}
		if strings.HasPrefix(line, "bare: ") && len(strings.Fields(line)) < 4 {
			t.Errorf("a machine without a minion was not reached over SSH: %s", line)
		}
	}
	// All of it is one job.
	doc := gosalt(1, "gosalt", "*", "test.ping", "--json-document")
	has(doc, `"bare"`, `"web1"`, `"both"`)
	has(gosalt(0, "gosalt", "--transport=zmq", "*", "test.ping", "--static", "--out=txt"), "web1: True", "both: True")
	// In batches, and some of them.
	out = gosalt(0, "gosalt", "-b", "2", "*", "test.ping")
	has(out, "bare:\n    True", "both:\n    True", "web1:\n    True", "Minion 'dead' failed to respond to job sent", "not reached over SSH either")
	has(gosalt(0, "gosalt", "-b", "1", "bare", "cmd.run", "echo over $SSH_CONNECTION"), "Executing run on ['bare']", "over 127", "retcode:\n    0")
	has(gosalt(0, "gosalt", "--preview-target", "*", "--out=txt"), "bare", "both", "dead", "web1")
	if out := gosalt(0, "gosalt", "--preview-target", "--transport=zmq", "*"); strings.Contains(out, "bare") {
		t.Errorf("a machine of the roster is not reached with --transport=zmq:\n%s", out)
	}
	has(gosalt(0, "gosalt", "--batch-safe-limit=3", "--batch-safe-size=1", "-L", "bare,both,web1", "test.ping"), "NOTICE: Too many minions targeted", "Executing run on ['bare']")
	has(gosalt(0, "gosalt", "--subset=5", "bare,web1", "-L", "test.ping", "--out=txt"), "bare: True", "web1: True")
	// A minion on the master's machine asks for it with saltutil.cmd, states too.
	if err := os.Symlink("../master/master", filepath.Join(w.Dir, "web1", "master")); err != nil {
		t.Fatal(err)
	}
	has(gosalt(0, "gosalt", "web1", "saltutil.cmd", "bare", "cmd.run", "arg=['echo over $SSH_CONNECTION']", "ssh=True", "--out=json", "--out-indent=-1"), `"bare": {"ret": "over 127.`, `"retcode": 0`)
	has(gosalt(0, "gosalt", "web1", "saltutil.cmd", "bare", "state.single", "arg=[test.succeed_with_changes, name=x]", "ssh=True", "roster_file="+roster, "--out=json", "--out-indent=-1"), `"result": true`, "Something pretended to change")
	has(gosalt(0, "gosalt", "web1", "saltutil.cmd", "bare", "cmd.run", "arg=['exit 3']", "ssh=True", "--out=json", "--out-indent=-1"), `"retcode": 3`)
	// Without its minion a machine of the roster is reached all the same.
	w.Proc("both").Kill()
	if !testproc.Until(testproc.Patience, func() bool {
		return strings.Contains(gosalt(0, "gosalt-run", "manage.not_present", "--out=txt"), "both")
	}) {
		t.Fatal("the master does not notice that a minion is gone")
	}
	has(gosalt(0, "gosalt", "both", "cmd.run", "echo over $SSH_CONNECTION"), "both:\n    over 127")
	has(gosalt(0, "gosalt", "-b", "1", "both", "cmd.run", "echo over $SSH_CONNECTION"), "over 127")
	has(gosalt(0, "gosalt", "both", "state.single", "test.succeed_without_changes", "name=x"), "Succeeded: 1")
	// A minion that is connected and frozen does not do the job when it thaws: it was done over SSH.
	if err := os.WriteFile(roster, []byte(entry("bare", srv.Host, srv.Port, me...)+entry("cold", srv.Host, srv.Port, append(me, "minion_opts: {minion_config_dir: "+filepath.Join(w.Dir, "cold")+"}")...)), 0o600); err != nil {
		t.Fatal(err)
	}
	start("cold", "log_level: info")
	cold := w.Proc("cold")
	ran := filepath.Join(w.Dir, "ran")
	job := "echo x >> " + ran + "; echo over $SSH_CONNECTION"
	once := func(n int) {
		t.Helper()
		if !testproc.Until(testproc.Patience, func() bool { return strings.Count(cold.FullLog(), "job is done over SSH, and not run here") == n }) {
			t.Fatal("a minion does not say that a job is none of its own")
		}
		if b, err := os.ReadFile(ran); err != nil || len(b) != 2*n {
			t.Errorf("%d jobs were done, %d expected: %v", len(b)/2, n, err)
		}
	}
	has(gosalt(0, "gosalt", "cold", "cmd.run", "echo over $SSH_CONNECTION", "--out=txt"), "cold: over\n")
	if err := cold.Pause(); err != nil {
		t.Fatal(err)
	}
	out = gosalt(0, "gosalt", "-t", "1", "cold", "cmd.run", job)
	if err := cold.Resume(); err != nil {
		t.Fatal(err)
	}
	has(out, "cold:\n    over 127")
	once(1)
	has(gosalt(0, "gosalt", "--transport=ssh", "cold", "cmd.run", job), "cold:\n    over 127")
	once(2)
	has(gosalt(0, "gosalt", "cold", "cmd.run", "echo over $SSH_CONNECTION", "--out=txt"), "cold: over\n")
	// Where SSH does not reach the machine the job is its minion's.
	if err := os.WriteFile(roster, []byte(entry("bare", srv.Host, srv.Port, me...)+entry("cold", sshrig.Address(), 1, me...)), 0o600); err != nil {
		t.Fatal(err)
	}
	has(gosalt(0, "gosalt", "--transport=ssh", "cold", "cmd.run", "echo over $SSH_CONNECTION", "--out=txt"), "cold: over\n")
	// A job that runs there can be found and ended.
	began := filepath.Join(w.Dir, "began")
	if err := syscall.Mkfifo(began, 0o600); err != nil {
		t.Fatal(err)
	}
	text := gosalt(0, "gosalt", "--async", "bare", "cmd.run", "echo yes > "+began+"; exec sleep 1000")
	fields := strings.Fields(text)
	id := fields[len(fields)-1]
	if b, err := os.ReadFile(began); err != nil || string(b) != "yes\n" {
		t.Fatal(string(b), err)
	}
	has(gosalt(0, "gosalt-run", "jobs.active"), id)
	has(gosalt(0, "gosalt", "bare", "saltutil.find_job", id), "sleep 1000")
	has(gosalt(0, "gosalt", "bare", "saltutil.kill_job", id), "Signal 9 sent to job "+id)
	if !testproc.Until(testproc.Patience, func() bool { return strings.Contains(gosalt(0, "gosalt-run", "jobs.lookup_jid", id), "bare") }) {
		t.Fatal("a job that was killed does not return")
	}
}
