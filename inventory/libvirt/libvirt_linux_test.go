package libvirt

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	lv "github.com/digitalocean/go-libvirt"

	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/inventory/inventorytest"
	"github.com/gosalt/gosalt/protocol/wire"
)

// libvirtd starts a real libvirtd with its test driver: hypervisors of its own in memory,
// with domains that do nothing. It returns the path of its socket.
func libvirtd(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("libvirtd has to be root")
	}
	if _, err := exec.LookPath("libvirtd"); err != nil {
		t.Skip("libvirtd is not installed (Debian: libvirt-daemon)")
	}
	if _, err := user.Lookup("libvirt-qemu"); err != nil {
		t.Skip("libvirtd wants the user libvirt-qemu, whom the package libvirt-daemon-system makes")
	}
	dir, err := os.MkdirTemp("", "lv")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	conf := filepath.Join(dir, "libvirtd.conf")
	text := fmt.Sprintf("unix_sock_dir = %q\nauth_unix_ro = \"none\"\nauth_unix_rw = \"none\"\nlog_outputs = \"1:stderr\"\nlog_filters=\"4:*\"\n", dir)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("libvirtd", "-f", conf, "-p", filepath.Join(dir, "pid"))
	runtime.LockOSThread() // the kernel ends it with the thread that starts it
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var log strings.Builder
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	t.Cleanup(func() { cmd.Process.Signal(syscall.SIGTERM); <-ended })
	sock := filepath.Join(dir, "libvirt-sock")
	for {
		select {
		case <-ended:
			t.Skipf("libvirtd does not run here: %s", log.String())
		case <-time.After(5 * time.Millisecond):
		}
		if c, err := net.Dial("unix", sock); err == nil {
			c.Close()
			return sock
		}
	}
}

func testURI(sock string) string { return "test+unix:///default?socket=" + sock }

func TestLibvirtd(t *testing.T) {
	sock := libvirtd(t)
	uri := testURI(sock)
	h, err := parseURI(uri)
	if err != nil {
		t.Fatal(err)
	}
	c, err := h.connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	for i := range 4 {
		if _, err := c.l.DomainDefineXML(fmt.Sprintf("<domain type='test'><name>vm%d</name><title>The VM %d</title><memory unit='MiB'>512</memory><vcpu>2</vcpu><os><type arch='x86_64'>hvm</type></os></domain>", i, i)); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("suite", func(t *testing.T) {
		inventorytest.Run(t, func(t *testing.T) inventorytest.Service {
			hung := listener(t, nil)
			return inventorytest.Service{
				Kind: Kind, Config: wire.NewMap("uri", uri), Want: 5, // the driver has one, "test"
				Partial: &inventorytest.Failure{Config: wire.NewMap("uri", []any{"test+unix:///default?socket=/nonexistent", uri}), Want: 5,
					Scope: "test+unix:///default?socket=/nonexistent", Reason: inventory.NoAnswer, Call: "connect", Hint: true},
				Failures: map[string]inventorytest.Failure{
					"refused":       {Config: wire.NewMap("uri", "qemu+tcp://127.0.0.1:1/system"), Reason: inventory.NoAnswer, Call: "connect", Hint: true},
					"no driver":     {Config: wire.NewMap("uri", "nothing+unix:///x?socket="+sock), Call: "ConnectOpen"},
					"not libvirt":   {Config: wire.NewMap("uri", "test+unix:///default?socket="+listener(t, []byte("SSH-2.0-OpenSSH_9.2\r\n"))), Call: "ConnectOpen"},
					"ssh":           {Config: wire.NewMap("uri", "qemu+ssh://root@127.0.0.1/system"), Reason: inventory.BadConfig},
					"no URI":        {Config: wire.NewMap("uri", "localhost"), Reason: inventory.BadConfig},
					"no such place": {Config: wire.NewMap("addresses", "dns"), Reason: inventory.BadConfig},
				},
				Hangs: map[string]*wire.Map{"after connect": wire.NewMap("uri", "test+unix:///default?socket="+hung)},
			}
		})
	})
	p := inventorytest.Service{Kind: Kind}.Open(t, wire.NewMap("uri", uri))
	ms := inventorytest.ByLabel(t, p)
	if m := ms["vm1"]; m.State != inventory.Stopped || m.Type != "2x512" || m.Attrs.Text("title") != "The VM 1" || m.Attrs.Text("state") != "shut off" || m.Attrs.Text("arch") != "x86_64" {
		t.Errorf("%+v", m)
	}
	if m := ms["test"]; m.State != inventory.Running || len(m.ID) != 36 {
		t.Errorf("%+v", m)
	}

	t.Run("life", func(t *testing.T) {
		pool, err := c.l.StoragePoolLookupByName("default-pool")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.l.StorageVolCreateXML(pool, "<volume><name>base.qcow2</name><capacity unit='GiB'>2</capacity><target><format type='qcow2'/></target></volume>", 0); err != nil {
			t.Fatal(err)
		}
		vm := p.(inventory.Machines)
		var said []string
		say := func(s string) { said = append(said, s) }
		spec := inventory.Spec{Name: "new1", Image: "base.qcow2", Size: "2x256", Network: "default", Tags: map[string]string{"role": "web & <b>", "gosalt:vm": "debian"},
			Extra: wire.NewMap("pool", "default-pool", "disk", int64(4))}
		m, err := vm.Create(t.Context(), spec, say)
		if err != nil {
			t.Fatal(err)
		}
		m = inventorytest.ByLabel(t, p)["new1"]
		if m.State != inventory.Running || m.Type != "2x256" || m.Tags["role"] != "web & <b>" || m.Tags["gosalt:vm"] != "debian" || m.Image != "base.qcow2" || len(said) < 2 {
			t.Errorf("%+v %q", m, said)
		}
		if len(m.Private) == 0 || m.Attrs.Text("addresses_from") != "lease" {
			t.Errorf("no address: %+v", m)
		}
		vol, err := c.l.StorageVolLookupByName(pool, "new1.qcow2")
		if err != nil {
			t.Fatal(err)
		}
		if _, size, _, err := c.l.StorageVolGetInfo(vol); err != nil || size != 4<<30 {
			t.Errorf("%d %v", size, err)
		}
		if _, err := vm.Create(t.Context(), spec, say); err == nil || !strings.Contains(err.Error(), "machine of this name") {
			t.Errorf("a second one: %v", err)
		}
		for _, f := range []func() error{
			func() error { return vm.Stop(t.Context(), m.ID, say) }, func() error { return vm.Stop(t.Context(), m.ID, say) },
			func() error { return vm.Start(t.Context(), m.ID, say) }, func() error { return vm.Start(t.Context(), m.ID, say) },
			func() error { return vm.Destroy(t.Context(), m.ID, say) }, func() error { return vm.Destroy(t.Context(), m.ID, say) },
		} {
			if err := f(); err != nil {
				t.Fatal(err)
			}
		}
		if _, ok := inventorytest.ByLabel(t, p)["new1"]; ok {
			t.Error("it is still there")
		}
		if _, err := c.l.StorageVolLookupByName(pool, "new1.qcow2"); !isCode(err, lv.ErrNoStorageVol) {
			t.Errorf("its volume: %v", err)
		}
		if _, err := c.l.StorageVolLookupByName(pool, "base.qcow2"); err != nil {
			t.Errorf("the image: %v", err)
		}
		var ie *inventory.Error
		if err := vm.Start(t.Context(), m.ID, say); !errors.As(err, &ie) || ie.Reason != inventory.NotFound {
			t.Errorf("%v", err)
		}
		for _, bad := range []inventory.Spec{{Name: "a/b", Image: "x"}, {Name: "a"}, {Name: "a", Image: "x", Size: "big"}, {Name: "a", Image: "x", Key: "mykey"}, {Name: "a", Image: "x", Extra: wire.NewMap("pol", "x")}} {
			if _, err := vm.Create(t.Context(), bad, say); !errors.As(err, &ie) || ie.Reason != inventory.BadConfig {
				t.Errorf("%+v: %v", bad, err)
			}
		}
		// The test driver takes no uploads: what was made for the disk goes again.
		spec.Name, spec.UserData = "new2", []byte("#cloud-config\n")
		if _, err := vm.Create(t.Context(), spec, say); err == nil {
			t.Error("an upload to the test driver worked: test what came of it")
		}
		if _, err := c.l.StorageVolLookupByName(pool, "new2.qcow2"); !isCode(err, lv.ErrNoStorageVol) {
			t.Errorf("its volume: %v", err)
		}
		spec.Name, spec.UserData, spec.Image = "new3", nil, "nothing"
		if _, err := vm.Create(t.Context(), spec, say); !errors.As(err, &ie) || ie.Reason != inventory.NotFound || ie.Hint == "" {
			t.Errorf("%v", err)
		}
	})
}

// listener takes connections, says something, and then nothing.
func listener(t *testing.T, say []byte) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lv")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Write(say)
			t.Cleanup(func() { c.Close() })
		}
	}()
	return filepath.Join(dir, "s")
}
