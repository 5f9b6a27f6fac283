package gosalt_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	lv "github.com/digitalocean/go-libvirt"
	"github.com/digitalocean/go-libvirt/socket/dialers"

	"github.com/gosalt/gosalt/internal/libvirtrig"
	"github.com/gosalt/gosalt/internal/sshrig"
	"github.com/gosalt/gosalt/internal/testproc"
)

// A vmSite is a master whose machines are made by a libvirtd.
type vmSite struct {
	t     *testing.T
	w     *testproc.World
	d     *libvirtrig.Daemon
	proxy *libvirtrig.Proxy
	l     *lv.Libvirt
	pool  lv.StoragePool
}

// newVMSite starts libvirtd; uri is what is asked for there, and what our source has.
func newVMSite(t *testing.T, driver lv.ConnectURI, pool string) *vmSite {
	t.Helper()
	s := &vmSite{t: t, d: libvirtrig.Start(t)}
	s.proxy = s.d.Proxy(t)
	s.w = testproc.New(t.TempDir(), bin)
	t.Cleanup(func() {
		if err := s.w.Close(); err != nil || t.Failed() {
			t.Errorf("%v\nlog of the master:\n%s", err, tail(s.w.Proc("master").FullLog(), 16<<10))
		}
	})
	s.l = lv.NewWithDialer(dialers.NewLocal(dialers.WithSocket(s.d.Socket)))
	if err := s.l.ConnectToURI(driver); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.l.Disconnect() })
	var err error
	if s.pool, err = s.l.StoragePoolLookupByName(pool); err != nil && driver == "test:///default" {
		t.Fatal(err)
	}
	return s
}

// run calls gosalt-run, and expects an exit code and texts in what it prints.
func (s *vmSite) run(code int, want []string, args ...string) string {
	s.t.Helper()
	out, got := s.try(args...)
	if got != code {
		s.t.Fatalf("gosalt-run %s: exit code %d, expected %d:\n%s", strings.Join(args, " "), got, code, out)
	}
	for _, w := range want {
		if !strings.Contains(out, w) {
			s.t.Errorf("gosalt-run %s: %q is missing:\n%s", strings.Join(args, " "), w, out)
		}
	}
	return out
}

func (s *vmSite) command(args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(bin, "gosalt-run"), append([]string{"-c", filepath.Join(s.w.Dir, "master")}, args...)...)
	cmd.Dir = s.w.Dir
	return cmd
}

func (s *vmSite) try(args ...string) (string, int) {
	cmd := s.command(args...)
	out, _ := cmd.CombinedOutput()
	return string(out), cmd.ProcessState.ExitCode()
}

// cut calls gosalt-run, and kills the master when libvirt's call is held.
func (s *vmSite) cut(held <-chan struct{}, args ...string) {
	s.t.Helper()
	cmd := s.command(args...)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	select {
	case <-held:
	case <-ended:
		s.t.Fatalf("gosalt-run %s ended before the call that was waited for:\n%s", strings.Join(args, " "), out.String())
	}
	s.w.Proc("master").Kill()
	<-ended
}

// clean waits until no machine is on record: the master ends them when it starts, and each call does.
func (s *vmSite) clean() bool {
	return testproc.Until(testproc.Patience, func() bool {
		out, _ := s.try("vm.list", "--out", "json")
		return strings.TrimSpace(out) == "{}"
	})
}

// left are the domains and volumes there.
func (s *vmSite) left() (out []string) {
	s.t.Helper()
	doms, _, err := s.l.ConnectListAllDomains(1, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, d := range doms {
		out = append(out, d.Name)
	}
	vols, _, err := s.l.StoragePoolListAllVolumes(s.pool, 1, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, v := range vols {
		out = append(out, v.Name)
	}
	return out
}

// TestVMLibvirt makes and ends machines of a real libvirtd, whose test driver has them in its
// memory, by gosalt-run; and kills the master at each step of it.
func TestVMLibvirt(t *testing.T) {
	t.Parallel()
	s := newVMSite(t, "test:///default", "default-pool")
	if _, err := s.l.StorageVolCreateXML(s.pool, "<volume><name>base.qcow2</name><capacity unit='GiB'>2</capacity><target><format type='qcow2'/></target></volume>", 0); err != nil {
		t.Fatal(err)
	}
	const none = "test base.qcow2" // the driver has a machine of its own
	sshd := sshrig.New(t, sshrig.Options{})
	far := func(socket, more string) string {
		return fmt.Sprintf("test+ssh://%s@%s/default?socket=%s&keyfile=%s%s", sshd.User, sshd.Addr(), socket, sshd.Key, more)
	}
	known := "&known_hosts=" + sshd.KnownHosts
	lab := fmt.Sprintf("inventory: {lab: {provider: libvirt, uri: %q, refresh: 0}, far: {provider: libvirt, uri: %q, refresh: 0}, none: {provider: libvirt, uri: %q, refresh: 0}, stranger: {provider: libvirt, uri: %q, refresh: 0}}",
		libvirtrig.TestURI(s.proxy.Socket), far(s.d.Socket, known), far("/nonexistent", known), far(s.d.Socket, "&known_hosts=/nonexistent"))
	profiles := `vm_profiles:
  plain: {source: lab, image: base.qcow2, size: 1x64, ready: running, extra: {pool: default-pool}}
  afar: {source: far, image: base.qcow2, size: 1x64, ready: running, extra: {pool: default-pool}}
  lost: {source: lab, image: base.qcow2, ready: ssh, timeout: 8s, ssh: {host: 127.0.0.1, port: 1}, extra: {pool: default-pool}}
  typo: {source: lab, image: bas.qcow2, ready: running, extra: {pool: default-pool}}`
	if err := s.w.Configure("master", lab, profiles); err != nil {
		t.Fatal(err)
	}
	start := func() {
		t.Helper()
		if _, _, err := s.w.Start("master"); err != nil {
			t.Fatal(err)
		}
	}
	start()
	s.run(1, []string{"is it base.qcow2?", "image has to be a volume of the pool default-pool"}, "vm.create", "typo")
	s.run(1, []string{"libvirt has a machine test that is none of this master's"}, "vm.create", "plain", "test")
	s.run(0, []string{"one: making it by source lab", "one: it answers", "two: it answers"}, "vm.create", "plain", "one", "two")
	if got := s.left(); len(got) != 6 {
		t.Errorf("%q", got)
	}
	s.run(0, nil, "vm.stop", "one")
	list := s.run(0, nil, "vm.list", "--out", "json")
	var rows map[string]struct{ State, ID, Profile string }
	if err := json.Unmarshal([]byte(list), &rows); err != nil || rows["one"].State != "stopped" || rows["two"].State != "running" || rows["two"].Profile != "plain" {
		t.Errorf("%v\n%s", err, list)
	}
	s.run(0, nil, "vm.start", "one")
	s.run(0, nil, "vm.destroy", "one", rows["two"].ID)
	// Through SSH, by a socket there.
	s.run(0, []string{"three: making it by source far", "three: it answers"}, "vm.create", "afar", "three")
	s.run(0, nil, "vm.stop", "three")
	s.run(0, nil, "inventory.refresh", "far")
	s.run(0, []string{"three", "stopped"}, "inventory.list")
	s.run(0, nil, "vm.destroy", "three")
	s.run(1, []string{"none (libvirt), ssh: not found: ", "the socket /nonexistent cannot be connected to", "does its program run"}, "inventory.refresh", "none")
	s.run(1, []string{"stranger (libvirt), ssh: credentials are refused: ", "host key"}, "inventory.refresh", "stranger")
	// It does not answer: how long, for what, how it is, and where to look.
	s.run(1, []string{"was waited for to answer by SSH for ", ": 8s are over (timeout of the profile): ", "connection refused",
		"its console shows how it boots: virsh -c test+unix:///default?socket=", " console deaf", "it stays, to be looked at: gosalt-run vm.destroy deaf"}, "vm.create", "lost", "deaf")
	s.run(0, nil, "vm.destroy", "deaf")
	if got := strings.Join(s.left(), " "); got != none {
		t.Fatalf("there are %s", got)
	}

	// kill -9 of the master before libvirt has a call, and when it has done it.
	for _, step := range []struct {
		name string
		call libvirtrig.Call
		end  bool // at the end of the machine, not at its beginning
	}{
		{"the volume", libvirtrig.StorageVolCreateXML, false}, {"the domain", libvirtrig.DomainDefineXML, false}, {"its start", libvirtrig.DomainCreate, false},
		{"turned off", libvirtrig.DomainDestroy, true}, {"the volume's end", libvirtrig.StorageVolDelete, true}, {"the domain's end", libvirtrig.DomainUndefineFlags, true},
	} {
		for _, done := range []bool{false, true} {
			what, call := "vm.create", []string{"vm.create", "plain", "cut"}
			if step.end {
				s.run(0, nil, "vm.create", "plain", "cut")
				what, call = "vm.destroy", []string{"vm.destroy", "cut"}
			}
			held := s.proxy.Hold(step.call, done)
			s.cut(held, call...)
			start()
			if !s.clean() {
				t.Fatalf("%s, %s (done: %v): a record is left", what, step.name, done)
			}
			if got := strings.Join(s.left(), " "); got != none {
				t.Errorf("%s, %s (done: %v): there are %s", what, step.name, done, got)
			}
		}
	}

	// Of one that cannot be ended the list says so, with what there may be.
	held := s.proxy.Hold(libvirtrig.StorageVolCreateXML, true)
	s.cut(held, "vm.create", "plain", "cut")
	if err := s.w.Configure("master", strings.Replace(lab, s.proxy.Socket, s.proxy.Socket+"2", 1), profiles); err != nil {
		t.Fatal(err)
	}
	start()
	// The master itself may be trying at the moment.
	testproc.Until(testproc.Patience, func() bool {
		out, _ := s.try("vm.list")
		return strings.Contains(out, "a machine is left over")
	})
	s.run(0, []string{"a machine is left over: cut (profile plain, source lab): what was begun for it cannot be ended", "the source has no such uri any more",
		"ending it is tried again, or now by vm.destroy cut", "- volume cut-"}, "vm.list")
	if err := s.w.Proc("master").Stop(); err != nil {
		t.Fatal(err)
	}
	if err := s.w.Configure("master", lab, profiles); err != nil {
		t.Fatal(err)
	}
	start()
	if !s.clean() {
		t.Error("a record is left")
	}
	if got := strings.Join(s.left(), " "); got != none {
		t.Errorf("there are %s", got)
	}
	if err := s.w.Proc("master").Stop(); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(filepath.Join(s.w.Dir, "master/var/cache/salt/master/vms")); err != nil || len(entries) > 0 {
		t.Errorf("records are left: %v %v", entries, err)
	}
}

// TestVMBoots is the whole life of a real virtual machine: QEMU boots it, emulating its processor, with
// a disk upon an image and the user-data of vm.test; it joins with its token, gets its states twice,
// and is gone.
func TestVMBoots(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes a while")
	}
	t.Parallel()
	s := newVMSite(t, "qemu:///session", "")
	minion := staticMinion(t)
	pool := filepath.Join(s.d.Dir, "pool")
	if err := os.Mkdir(pool, 0o755); err != nil {
		t.Fatal(err)
	}
	s.d.Own(t, pool)
	kernel, initrd := libvirtrig.Guest(t, s.d.Dir, minion)
	if err := os.WriteFile(filepath.Join(pool, "tiny.img"), make([]byte, 1<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	var err error
	if s.pool, err = s.l.StoragePoolCreateXML("<pool type='dir'><name>images</name><target><path>"+pool+"</path></target></pool>", 0); err != nil {
		t.Fatal(err)
	}
	ports, err := s.w.Ports("master")
	if err != nil {
		t.Fatal(err)
	}
	srv := t.TempDir()
	for name, text := range map[string]string{
		"fine.sls": "/etc/motd: {file.managed: [{contents: 'kernel {{ grains.kernel }} on {{ grains.id }}'}]}\n",
	} {
		if err := os.WriteFile(filepath.Join(srv, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.w.Configure("master", fmt.Sprintf("inventory: {kvm: {provider: libvirt, uri: %q, refresh: 0}}", libvirtrig.URI(s.d.Socket)),
		fmt.Sprintf("vm_profiles: {tiny: {source: kvm, image: tiny.img, size: 1x384, network: user, master: ['10.0.2.2:%d'], timeout: 10m,"+
			" extra: {pool: images, type: qemu, kernel: %q, initrd: %q, cmdline: 'console=ttyS0 panic=-1 quiet'}}}", ports.Request, kernel, initrd),
		fmt.Sprintf("file_roots: {base: [%q]}", srv)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.w.Start("master"); err != nil {
		t.Fatal(err)
	}
	out := s.run(0, []string{"second run of state.apply", "second run has ended", "all is well", "it is gone"}, "vm.test", "tiny", "state.apply", "fine", "junit=report.xml")
	if !regexp.MustCompile(`(?s)tiny-[a-z0-9]{6}, first run:.*File /etc/motd updated.*New file.*second run:.*is in the correct state`).MatchString(out) {
		t.Errorf("its states were not applied there:\n%s", out)
	}
	if b, err := os.ReadFile(filepath.Join(s.w.Dir, "report.xml")); err != nil || strings.Contains(string(b), "<failure") {
		t.Errorf("%v\n%s", err, b)
	}
	if got := strings.Join(s.left(), " "); got != "tiny.img" {
		t.Errorf("there are %s", got)
	}
	if err := s.w.Proc("master").Stop(); err != nil {
		t.Fatal(err)
	}
}
