package gosalt_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/sshrig"
	"github.com/gosalt/gosalt/internal/testmachine"
	"github.com/gosalt/gosalt/internal/testproc"
)

// bootSite is a throw-away machine with an SSH server, a master's configuration in /srv/m,
// and gosalt's programs, which all run in there.
type bootSite struct {
	t *testing.T
	m *testmachine.Machine
}

func newBootSite(t *testing.T, o testmachine.Options) *bootSite {
	t.Helper()
	o.Bind = map[string]string{sshPrograms(t): "/mnt/bin"}
	o.Prepare += "\nrm -rf /etc/salt /var/cache/salt /var/log/salt /var/run/salt*"
	srv := sshrig.InMachine(t, sshrig.MachineOptions{Machine: o, Users: []sshrig.User{
		{Name: "boss", Password: "geheim", Sudo: "ALL"}, {Name: "none", Password: "geheim"}}})
	s := &bootSite{t: t, m: srv.Machine}
	sshd := s.m.Command("/usr/sbin/sshd", "-D", "-f", "/etc/ssh/rig/sshd_config", "-o", "ListenAddress=127.0.0.1", "-p", "22")
	if err := sshd.Start(); err != nil {
		t.Fatal(err)
	}
	go sshd.Wait() // it ends with the machine
	s.m.Run("sh", "-ec", "rm -f /run/nologin; mkdir -p /srv/m; cp /mnt/rig/id /srv/m/id; chmod 600 /srv/m/id")
	s.m.Write("/srv/m/master", "root_dir: /srv/m/root\nkeysize: 2048\ninterface: 127.0.0.1\nignore_host_keys: True\nssh_minion_opts: {keysize: 2048, grains: {made: by bootstrap}}\ntimeout: 20\n")
	s.roster("user: root", "priv: /srv/m/id")
	s.until("an SSH server", func() bool { return s.m.Try("", "bash", "-c", ": </dev/tcp/127.0.0.1/22").Code == 0 })
	return s
}

func (s *bootSite) roster(more ...string) {
	s.t.Helper()
	s.m.Write("/srv/m/roster", entry("web1", "127.0.0.1", 22, more...))
}

func (s *bootSite) until(what string, is func() bool) {
	s.t.Helper()
	if !testproc.Until(testproc.Patience, is) {
		s.t.Fatalf("%s did not come within %s", what, testproc.Patience)
	}
}

// want runs one of the programs in the machine, and expects an exit code and these texts.
func (s *bootSite) want(code int, texts []string, prog string, args ...string) string {
	s.t.Helper()
	r := s.m.Try("", append([]string{"/mnt/bin/" + prog, "-c", "/srv/m"}, args...)...)
	for _, text := range texts {
		if !strings.Contains(r.Stdout, text) {
			s.t.Errorf("%s %q: %q is not in the output", prog, args, text)
		}
	}
	if strings.Contains(r.Stdout+r.Stderr, "geheim") {
		s.t.Errorf("%s %q: a password is shown", prog, args)
	}
	if r.Code != code || s.t.Failed() {
		s.t.Fatalf("%s %q: exit code %d, %d expected\n%s%s", prog, args, r.Code, code, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

// restartMaster has the master read its configuration anew.
func (s *bootSite) restartMaster() {
	s.t.Helper()
	s.m.Run("sh", "-c", "kill $(cat /srv/m/root/var/run/salt-master.pid)")
	s.until("the master's end", func() bool { return s.m.Try("", "bash", "-c", ": </dev/tcp/127.0.0.1/4506").Code != 0 })
	s.startMaster()
}

func (s *bootSite) startMaster() {
	s.t.Helper()
	master := s.m.Command("/mnt/bin/gosalt-master", "-c", "/srv/m", "-l", "info")
	log, err := os.Create(filepath.Join(s.t.TempDir(), "master.log"))
	if err != nil {
		s.t.Fatal(err)
	}
	master.Stdout, master.Stderr = log, log
	if err := master.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		master.Process.Kill()
		master.Wait()
		log.Close()
		if b, _ := os.ReadFile(log.Name()); s.t.Failed() {
			s.t.Logf("== log of the master ==\n%s", tail(string(b), 8<<10))
		}
	})
	s.until("the master", func() bool {
		return s.m.Try("", "/mnt/bin/gosalt-key", "-c", "/srv/m", "-l", "acc").Code == 0 &&
			s.m.Try("", "bash", "-c", ": </dev/tcp/127.0.0.1/4506").Code == 0
	})
}

// changes is what has changed on the machine, but for what is not the minion's.
func (s *bootSite) changes() []string {
	var all []string
	for _, c := range s.m.Changes() {
		own := false
		for _, p := range []string{"/srv", "/mnt", "/root/.cache", "/home", "/var/log/journal", "/var/log/wtmp", "/var/log/lastlog", "/var/log/exim4", "/var/spool", "/var/mail", "/var/lib/systemd", "/var/lib/sudo", "/etc/machine-id"} {
			own = own || c.Path == p || strings.HasPrefix(c.Path, p+"/")
		}
		if !own {
			all = append(all, c.String())
		}
	}
	return all
}

// same expects that nothing has changed since then.
func (s *bootSite) same(before []string) {
	s.t.Helper()
	after := s.changes()
	for _, c := range after {
		if !slices.Contains(before, c) {
			s.t.Errorf("it was not so: %.200s", c)
		}
	}
	for _, c := range before {
		if !slices.Contains(after, c) {
			s.t.Errorf("it is not so any more: %.200s", c)
		}
	}
}

// TestBootstrap makes a minion of a machine with systemd, in all the ways that go well and
// some that do not, and has it be as it was.
func TestBootstrap(t *testing.T) {
	t.Parallel()
	s := newBootSite(t, testmachine.Options{Systemd: true})
	before := s.changes()
	ssh := func(code int, texts []string, args ...string) string {
		t.Helper()
		return s.want(code, texts, "gosalt-ssh", append([]string{"web1"}, args...)...)
	}
	// Who may not.
	s.roster("user: none", "priv: /srv/m/id")
	ssh(20, []string{"installed by root", "sudo: True"}, "bootstrap")
	s.roster("user: boss", "priv: /srv/m/id", "sudo: True")
	ssh(20, []string{"sudo: a password is required"}, "bootstrap")
	// No master runs: all is ready for it.
	s.roster("user: boss", "priv: /srv/m/id", "sudo: True", "passwd: geheim")
	ssh(0, []string{"No master runs where gosalt-ssh was started", "/srv/m/root/etc/salt/pki/master", "/usr/local/bin/gosalt-minion installed", "gosalt-minion (systemd)", "made, and accepted"}, "bootstrap")
	s.want(0, []string{"web1"}, "gosalt-key", "-l", "acc")
	s.startMaster()
	s.roster("user: root", "priv: /srv/m/id")
	if out := ssh(0, []string{"web1 is a minion of 127.0.0.1, and connected", "changes:\n        ----------\n"}, "bootstrap"); strings.Contains(out, "installed") {
		t.Errorf("a second run changes something:\n%s", out)
	}
	s.want(0, []string{"web1:\n    True"}, "gosalt", "web1", "test.ping")
	s.want(0, []string{"made:\n        by bootstrap"}, "gosalt", "web1", "grains.item", "made")
	// Another version, an address that leads nowhere, another machine's key.
	s.m.Run("sh", "-ec", "cp /usr/local/bin/gosalt-minion /tmp/x; echo >> /tmp/x; mv /tmp/x /usr/local/bin/gosalt-minion")
	ssh(0, []string{"replaced by another version", "and connected"}, "bootstrap")
	ssh(20, []string{"does not reach the master at 127.0.0.9", "master=ADDRESS"}, "bootstrap", "master=127.0.0.9")
	s.m.Run("sh", "-ec", "cd /srv/m/root/etc/salt/pki/master; cp master.pub minions/web1")
	ssh(20, []string{"the master has another key for web1", "replace_key=True"}, "bootstrap")
	ssh(0, []string{"accepted by the master", "and connected"}, "bootstrap", "replace_key=True")
	// A service that does not come up says why; mended, it does.
	s.m.Write("/etc/salt/minion.d/zz.conf", "user: nosuchuser\n")
	s.m.Run("systemctl", "stop", "gosalt-minion")
	ssh(20, []string{"the service does not come up", "The last lines of its log", "nosuchuser"}, "bootstrap")
	s.m.Run("systemctl", "stop", "gosalt-minion") // systemd tries again every few seconds, and must not be first
	s.m.Run("rm", "/etc/salt/minion.d/zz.conf")
	ssh(0, []string{"started", "and connected"}, "bootstrap")
	// And back.
	ssh(0, []string{"no minion any more", "taken off the master"}, "bootstrap.remove", "cache=True")
	if out := s.want(0, nil, "gosalt-key", "-l", "acc"); strings.Contains(out, "web1") {
		t.Errorf("the key is still accepted:\n%s", out)
	}
	s.same(before)
	ssh(0, []string{"nothing that bootstrap installs"}, "bootstrap.remove")
	// Where the usual place cannot be written another one is taken.
	s.m.Run("sh", "-ec", "mount -t tmpfs -o ro tmpfs /usr/local/bin")
	ssh(0, []string{"/opt/gosalt/bin/gosalt-minion installed", "and connected"}, "bootstrap")
	s.want(0, []string{"web1:\n    True"}, "gosalt", "web1", "test.ping")
	ssh(0, []string{"taken off the master"}, "bootstrap.remove")
	ssh(20, []string{"over SSH, and alone"}, "test.ping,bootstrap.install", ",")
}

// TestBootstrapPlain makes a minion of a machine that has no service manager.
func TestBootstrapPlain(t *testing.T) {
	t.Parallel()
	s := newBootSite(t, testmachine.Options{Prepare: "rm -f /usr/sbin/cron; ln -s /bin/sleep /usr/local/bin/salt-minion"})
	before := s.changes()
	s.startMaster()
	other := s.m.Command("sh", "-c", "echo $$ > /srv/m/pid; exec salt-minion 1000")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	s.until("a salt-minion", func() bool { return s.m.Try("", "pidof", "salt-minion").Code == 0 })
	s.want(20, []string{"salt-minion runs on this machine"}, "gosalt-ssh", "web1", "bootstrap")
	s.m.Run("sh", "-c", "kill $(cat /srv/m/pid)")
	other.Wait()
	s.want(0, []string{"web1 is a minion of 127.0.0.1, and connected", "neither systemd nor OpenRC nor cron", "in the background"}, "gosalt-ssh", "web1", "bootstrap")
	s.want(0, []string{"web1:\n    True"}, "gosalt", "web1", "test.ping")
	if env := s.want(0, nil, "gosalt", "web1", "cmd.run", "env"); strings.Contains(env, "SSH_") {
		t.Errorf("the minion has the environment of the SSH session:\n%s", env)
	}
	s.want(0, []string{"changes:\n        ----------\n"}, "gosalt-ssh", "web1", "bootstrap")
	s.want(0, []string{"no minion any more"}, "gosalt-ssh", "web1", "bootstrap.remove", "cache=True")
	s.same(before) // States over ZeroMQ and over SSH come to the same machine.
	twin := newBootSite(t, testmachine.Options{Prepare: "rm -f /usr/sbin/cron; ln -s /bin/sleep /usr/local/bin/salt-minion"})
	for _, site := range []*bootSite{s, twin} {
		site.m.Write("/srv/m/master", site.m.Read("/srv/m/master")+"file_roots: {base: [/srv/m/states]}\npillar_roots: {base: [/srv/m/pillar]}\n")
		site.m.Write("/srv/m/pillar/top.sls", "base:\n  '*': [p]\n")
		site.m.Write("/srv/m/pillar/p.sls", "who: anna\n")
		site.m.Write("/srv/m/states/motd.txt", "This is {{ grains['id'] }} of {{ pillar['who'] }}\n")
		site.m.Write("/srv/m/states/tree/a/b", "b\n")
		site.m.Write("/srv/m/states/all.sls", sameStates)
	}
	s.restartMaster()
	s.want(0, []string{"and connected"}, "gosalt-ssh", "web1", "bootstrap")
	s.want(0, []string{"Succeeded: 9"}, "gosalt", "web1", "state.apply", "all")
	twin.want(0, []string{"Succeeded: 9"}, "gosalt-ssh", "web1", "state.apply", "all")
	for _, line := range testmachine.Diff(s.m, twin.m, "/srv", "/mnt", "/root/.cache", "/etc/salt", "/etc/ssh/rig", "/etc/shadow", "/etc/shadow-", "/usr/local/bin", "/var/cache/salt", "/var/log", "/home/boss", "/home/none") {
		t.Errorf("%.300s", line)
	}
	if got := twin.m.Read("/etc/motd.d/who"); got != "This is web1 of anna\n" {
		t.Errorf("the file has %q", got)
	}
}

const sameStates = `
/etc/motd.d/who:
  file.managed: [{source: salt://motd.txt}, {template: jinja}, {makedirs: True}, {mode: '0640'}]
/opt/tree:
  file.recurse: [{source: salt://tree}, {dir_mode: '0750'}]
/opt/link:
  file.symlink: [{target: /opt/tree/a}]
staff2:
  group.present: [{gid: 4711}]
anna:
  user.present: [{uid: 4712}, {gid: 4711}, {home: /home/anna}, {shell: /bin/sh}, {require: [{group: staff2}]}]
db.example.com:
  host.present: [{ip: 192.0.2.7}]
/etc/hosts:
  file.append: [{text: '192.0.2.8 more.example.com'}, {require: [{host: db.example.com}]}]
/opt/once:
  cmd.run: [{name: 'umask 027; date +%Y > /opt/once'}, {creates: /opt/once}]
/etc/profile.d/x.sh:
  file.managed: [{contents: 'export X=1'}, {user: anna}, {group: staff2}, {require: [{user: anna}]}]
`
