package gosalt_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/testmachine"
)

// TestVMJoinSSH makes machines that SSH makes minions, and that are ready when SSH answers: libvirtd
// makes them, and their SSH server is a real one, in a throw-away machine where all of it runs.
func TestVMJoinSSH(t *testing.T) {
	if _, err := exec.LookPath("libvirtd"); err != nil {
		t.Skip("libvirtd is not installed (Debian: libvirt-daemon)")
	}
	if _, err := exec.LookPath("virsh"); err != nil {
		t.Skip("virsh is not installed (Debian: libvirt-clients)")
	}
	t.Parallel()
	s := newBootSite(t, testmachine.Options{Systemd: true})
	s.m.Write("/srv/lv.conf", "unix_sock_dir = \"/srv/lv\"\nauth_unix_rw = \"none\"\nlog_outputs = \"4:stderr\"\n")
	s.m.Run("sh", "-ec", `mkdir -p /srv/lv; chown 65534:65534 /srv/lv; cd /srv/lv
export HOME=/srv/lv XDG_CONFIG_HOME=/srv/lv XDG_CACHE_HOME=/srv/lv XDG_DATA_HOME=/srv/lv XDG_RUNTIME_DIR=/srv/lv
setpriv --reuid=65534 --regid=65534 --clear-groups libvirtd -d -f /srv/lv.conf -p /srv/lv/pid >/srv/lv/log 2>&1 </dev/null`)
	s.until("libvirtd", func() bool { return s.m.Try("", "test", "-S", "/srv/lv/libvirt-sock").Code == 0 })
	s.m.Run("sh", "-c", `cat >> /srv/m/master <<'.'
inventory: {lab: {provider: libvirt, uri: 'test+unix:///default?socket=/srv/lv/libvirt-sock', refresh: 0}}
vm_profiles:
  boot: {source: lab, image: base.qcow2, size: 1x64, join: ssh, ssh: {host: 127.0.0.1, user: root, priv: /srv/m/id}, timeout: 2m, extra: {pool: default-pool}}
  shell: {source: lab, image: base.qcow2, size: 1x64, ready: ssh, ssh: {host: 127.0.0.1}, extra: {pool: default-pool}}
  locked: {source: lab, image: base.qcow2, size: 1x64, join: ssh, ssh: {host: 127.0.0.1, user: nobody2, priv: /srv/m/id}, timeout: 15s, extra: {pool: default-pool}}
.
`)
	s.startMaster()
	// What the test driver has goes with its last connection: this one stays.
	image := s.m.Command("sh", "-c", "{ echo vol-create-as default-pool base.qcow2 1G --format qcow2; exec sleep 900; } | virsh -q -c 'test+unix:///default?socket=/srv/lv/libvirt-sock'")
	if err := image.Start(); err != nil {
		t.Fatal(err)
	}
	go image.Wait() // it ends with the machine
	s.until("the image", func() bool {
		return s.m.Try("", "virsh", "-q", "-c", "test+unix:///default?socket=/srv/lv/libvirt-sock", "vol-info", "base.qcow2", "--pool", "default-pool").Code == 0
	})
	said := func(code int, texts []string, args ...string) {
		t.Helper()
		r := s.m.Try("", append([]string{"/mnt/bin/gosalt-run", "-c", "/srv/m"}, args...)...)
		for _, text := range texts {
			if !strings.Contains(r.Stdout+r.Stderr, text) {
				t.Errorf("%q: %q is missing", args, text)
			}
		}
		if r.Code != code || t.Failed() {
			t.Fatalf("%q: exit code %d, %d expected\n%s%s", args, r.Code, code, r.Stdout, r.Stderr)
		}
	}
	said(0, []string{"sh1: waiting for it to answer by SSH", "sh1: it answers"}, "vm.create", "shell", "sh1")
	said(0, nil, "vm.destroy", "sh1")
	said(1, []string{"web0 was made as ", "and was waited for to let us in by SSH for ", "nobody2@127.0.0.1: Permission denied", "it stays, to be looked at: gosalt-run vm.destroy web0"}, "vm.create", "locked", "web0")
	said(0, nil, "vm.destroy", "web0")
	said(0, []string{"web1: waiting for it to answer by SSH", "web1: installing gosalt-minion over SSH", "web1: waiting for it to connect as a minion", "web1: it answers"}, "vm.create", "boot", "web1")
	s.want(0, []string{"web1:\n    True"}, "gosalt", "web1", "test.ping")
	if got := s.m.Run("systemctl", "is-active", "gosalt-minion"); strings.TrimSpace(got) != "active" {
		t.Errorf("its service is %s", got)
	}
	// It is this machine that libvirt's test driver calls web1: nothing ends its minion but this.
	s.m.Run("systemctl", "stop", "gosalt-minion")
	said(0, nil, "vm.destroy", "web1")
	if out := s.want(0, nil, "gosalt-key", "-L"); strings.Contains(out, "web1") {
		t.Errorf("its key is still there:\n%s", out)
	}
	said(0, []string{"{}"}, "vm.list", "--out", "json")
}
