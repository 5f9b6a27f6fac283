package gosalt_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/gosalt/gosalt/internal/testmachine"
)

// TestBootstrapOpenRC makes a minion of a machine with a real OpenRC, is cut off in the
// middle, meets disks that are full and file systems that are read-only, and then does it
// where cron is all that starts something after a boot.
func TestBootstrapOpenRC(t *testing.T) {
	t.Parallel()
	tree := os.Getenv("GOSALT_OPENRC")
	if tree == "" {
		if _, err := exec.LookPath("openrc-run"); err != nil {
			t.Skip("no OpenRC: GOSALT_OPENRC names a directory with the unpacked Debian packages openrc, librc1 and libeinfo1")
		}
		tree = "/var/empty"
	}
	o := testmachine.Options{Prepare: "cp /usr/sbin/cron /usr/sbin/cron.real 2>/dev/null || :; rm -f /usr/sbin/cron"}
	s := newBootSite(t, o)
	if tree != "/var/empty" {
		tar := exec.Command("tar", "-C", tree, "-c", ".")
		out, err := tar.Output()
		if err != nil {
			t.Fatal(err)
		}
		if r := s.m.Try(string(out), "tar", "-C", "/", "-x", "--keep-directory-symlink"); r.Code != 0 {
			t.Fatalf("unpack OpenRC: %s", r.Stderr)
		}
	}
	// Its own services are about hardware and file systems, which are not this machine's.
	s.m.Run("sh", "-ec", `ldconfig; rm -f /etc/runlevels/*/*; mkdir -p /etc/runlevels/sysinit /etc/runlevels/boot /etc/runlevels/default /run/openrc
		for n in net dns logger; do printf '#!/sbin/openrc-run\n' > /etc/init.d/$n; chmod 755 /etc/init.d/$n; done
		openrc sysinit; openrc boot; openrc default`)
	s.startMaster()
	boot := func(code int, texts []string, args ...string) string {
		t.Helper()
		return s.want(code, texts, "gosalt-ssh", append([]string{"web1"}, args...)...)
	}
	ping := func() {
		t.Helper()
		s.until("the minion", func() bool {
			return strings.Contains(s.m.Try("", "/mnt/bin/gosalt", "-c", "/srv/m", "-t", "5", "web1", "test.ping").Stdout, "True")
		})
	}
	before := s.changes()
	boot(0, []string{"nothing that bootstrap installs"}, "bootstrap.remove")

	// A real salt-minion that only a boot would start.
	s.m.Run("sh", "-ec", "mkdir -p /etc/runlevels/default; ln -s /etc/init.d/salt-minion /etc/runlevels/default/salt-minion")
	boot(20, []string{"salt-minion is installed on this machine", "/etc/runlevels/default/salt-minion"}, "bootstrap")
	s.m.Run("rm", "/etc/runlevels/default/salt-minion")
	// No space, and then a place that cannot be written: nothing is left of it.
	s.m.Run("sh", "-ec", "for d in /usr/local/bin /opt /var/lib/gosalt; do mkdir -p $d; mount -t tmpfs -o size=1m tmpfs $d; done")
	boot(20, []string{"there is no place for the program", "/usr/local/bin: no space left on device", "/opt/gosalt/bin: no space left on device", "/var/lib/gosalt/bin: no space left on device", "free some space"}, "bootstrap")
	s.m.Run("sh", "-ec", "umount /usr/local/bin /opt /var/lib/gosalt; mkdir -p /etc/salt; mount -t tmpfs -o size=4k tmpfs /etc/salt; head -c 5000 /dev/zero > /etc/salt/full || :")
	boot(20, []string{"/etc/salt/", "no space left on device", "free some space"}, "bootstrap")
	s.m.Run("sh", "-ec", "umount /etc/salt; mount -t tmpfs -o ro tmpfs /etc/salt")
	boot(20, []string{"/etc/salt/", "read-only file system", "to be writable"}, "bootstrap")
	s.m.Run("umount", "/etc/salt")
	boot(0, []string{""}, "bootstrap.remove")
	s.m.Run("sh", "-c", "rmdir /var/lib/gosalt /etc/salt; :")
	s.same(before)

	// gosalt-ssh is killed while the service is installed; the agent ends with it.
	hang := func() {
		s.m.Run("sh", "-ec", `mkfifo /srv/at; mv /sbin/rc-update /sbin/rc-update.real; printf '#!/bin/sh\n[ "$1" = add ] || exec /sbin/rc-update.real "$@"\necho $$ > /srv/tool\necho x > /srv/at\nexec sleep 1000\n' > /sbin/rc-update; chmod 755 /sbin/rc-update`)
	}
	unhang := func() { s.m.Run("sh", "-ec", "rm /srv/at; mv /sbin/rc-update.real /sbin/rc-update") }
	hang()
	cut := s.m.Command("sh", "-c", "echo $$ > /srv/pid; exec /mnt/bin/gosalt-ssh -c /srv/m web1 bootstrap")
	if err := cut.Start(); err != nil {
		t.Fatal(err)
	}
	s.m.Run("cat", "/srv/at")
	s.m.Run("sh", "-c", "kill -9 $(cat /srv/pid)")
	cut.Wait()
	s.until("the end of what was begun", func() bool { return s.m.Try("", "pgrep", "-f", "sleep 1000|/agents/").Code != 0 })
	unhang()
	s.m.Write("/usr/local/bin/.gosalt-minion.999999", "of one that was killed while it copied")
	s.m.Run("sh", "-c", "echo >> /usr/local/bin/gosalt-minion") // half of it, say
	boot(0, []string{"web1 is a minion of 127.0.0.1, and connected", "gosalt-minion (OpenRC)"}, "bootstrap")
	if r := s.m.Try("", "ls", "-A", "/usr/local/bin"); strings.Contains(r.Stdout, ".gosalt-minion.") {
		t.Errorf("what was cut off is still there: %s", r.Stdout)
	}
	if out := boot(0, []string{"and connected"}, "bootstrap"); strings.Contains(out, "OpenRC") || strings.Contains(out, "program") {
		t.Errorf("a second run changes something:\n%s", out)
	}
	ping()
	if out := s.m.Run("rc-update", "show", "default"); !strings.Contains(out, "gosalt-minion") {
		t.Errorf("a boot does not start it: %s", out)
	}
	s.m.Run("rc-service", "gosalt-minion", "stop")
	s.m.Run("openrc", "default") // what a boot does
	ping()
	boot(0, []string{"no minion any more", "taken off the master"}, "bootstrap.remove", "cache=True")
	s.same(before)
	boot(0, []string{"nothing that bootstrap installs"}, "bootstrap.remove")

	// The master dies in the middle: it is said, and the next run goes on from there.
	hang()
	going := s.m.Command("/mnt/bin/gosalt-ssh", "-c", "/srv/m", "web1", "bootstrap", "timeout=2")
	var out strings.Builder
	going.Stdout = &out
	if err := going.Start(); err != nil {
		t.Fatal(err)
	}
	s.m.Run("cat", "/srv/at")
	s.m.Run("sh", "-c", "kill -9 $(cat /srv/m/root/var/run/salt-master.pid)")
	unhang()
	s.m.Run("sh", "-c", "kill $(cat /srv/tool)") // it fails, then
	if err := going.Wait(); err == nil || !strings.Contains(out.String(), "rc-update") {
		t.Errorf("%v:\n%s", err, out.String())
	}
	boot(0, []string{"No master runs where gosalt-ssh was started", "gosalt-minion (OpenRC)"}, "bootstrap")
	s.startMaster()
	ping()
	boot(0, []string{"and connected"}, "bootstrap")
	boot(0, []string{"taken off the master"}, "bootstrap.remove", "cache=True")

	if s.m.Try("", "test", "-x", "/usr/sbin/cron.real").Code != 0 {
		t.Log("cron is not installed: the machine with cron alone is left out")
		return
	}
	s.m.Run("sh", "-ec", "rm -f /sbin/openrc-run /usr/sbin/openrc-run; mv /usr/sbin/cron.real /usr/sbin/cron; rm -f /run/crond.reboot /etc/cron.d/*")
	boot(0, []string{"web1 is a minion of 127.0.0.1, and connected", "gosalt-minion (in the background)"}, "bootstrap")
	ping()
	pid := s.m.Run("cat", "/var/run/salt-minion.pid")
	s.m.Run("sh", "-c", "kill -9 "+pid)
	cron := s.m.Command("/usr/sbin/cron", "-f") // what a boot does
	if err := cron.Start(); err != nil {
		t.Fatal(err)
	}
	defer cron.Wait()
	defer cron.Process.Signal(syscall.SIGKILL)
	ping()
	boot(0, []string{"no minion any more"}, "bootstrap.remove")
	if s.m.Try("", "test", "-e", filepath.Join("/etc/cron.d", "gosalt-minion")).Code == 0 {
		t.Error("cron would start a minion that is not there")
	}
}
