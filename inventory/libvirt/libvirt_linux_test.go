package libvirt

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	lv "github.com/digitalocean/go-libvirt"

	"github.com/gosalt/gosalt/internal/libvirtrig"
	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/inventory/inventorytest"
	"github.com/gosalt/gosalt/protocol/wire"
)

func TestLibvirtd(t *testing.T) {
	sock := libvirtrig.Start(t).Socket
	uri := libvirtrig.TestURI(sock)
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
		volumes := func() int {
			vols, _, err := c.l.StoragePoolListAllVolumes(pool, 1, 0)
			if err != nil {
				t.Fatal(err)
			}
			return len(vols)
		}
		vm := p.(inventory.Machines)
		var said []string
		say := func(s string) { said = append(said, s) }
		var begun []string
		spec := inventory.Spec{Begin: func(s string) error { begun = append(begun, s); return nil }, Name: "new1", Image: "base.qcow2", Size: "2x256", Network: "default", Tags: map[string]string{"role": "web & <b>", "gosalt:vm": "debian"},
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
		if want := []string{"volume new1-" + m.ID + ".qcow2 on " + uri + " in the pool default-pool", "machine new1 on " + uri}; !slices.Equal(begun, want) {
			t.Errorf("%q", begun)
		}
		if got, err := vm.Get(t.Context(), m.ID); err != nil || got.ID != m.ID || got.State != inventory.Running {
			t.Errorf("%+v %v", got, err)
		}
		if _, command, err := p.(inventory.Viewer).Console(t.Context(), m.ID); err != nil || command != "virsh -c "+uri+" console new1" {
			t.Error(command, err)
		}
		disk := "new1-" + m.ID + ".qcow2"
		vol, err := c.l.StorageVolLookupByName(pool, disk)
		if err != nil {
			t.Fatal(err)
		}
		if _, size, _, err := c.l.StorageVolGetInfo(vol); err != nil || size != 4<<30 {
			t.Errorf("%d %v", size, err)
		}
		if _, err := vm.Create(t.Context(), spec, say); err == nil || !strings.Contains(err.Error(), "libvirt has a machine new1 that is none of this master's") {
			t.Errorf("a second one: %v", err)
		}
		if n := volumes(); n != 2 {
			t.Errorf("%d volumes: the second one has left something", n)
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
		if _, err := c.l.StorageVolLookupByName(pool, disk); !isCode(err, lv.ErrNoStorageVol) {
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
		if n := volumes(); n != 1 {
			t.Errorf("%d volumes", n)
		}
		spec.UserData = nil
		for _, row := range []struct {
			change func(s *inventory.Spec)
			want   string
		}{
			{func(s *inventory.Spec) { s.Image = "base" }, "not found: Storage volume not found: no storage vol with matching name 'base' [50] (is it base.qcow2?; image has to be a volume of the pool default-pool,"},
			{func(s *inventory.Spec) { s.Network = "lan" }, "NetworkLookupByName: not found: Network not found: no network with matching name 'lan' [43] (see network in the profile: there are the networks default)"},
			{func(s *inventory.Spec) { s.Extra = wire.NewMap("pool", "defaultpool") }, "(see pool in extra: is it default-pool?)"},
			{func(s *inventory.Spec) { s.Extra = wire.NewMap("pool", "default-pool", "disk", int64(5000)) }, "(the pool default-pool has 98.0 GiB left; see disk and pool in extra)"},
			{func(s *inventory.Spec) { s.Extra = wire.NewMap("bridg", "x") }, `extra: a profile of libvirt has no "bridg"; is it "bridge"?`},
			{func(s *inventory.Spec) { s.Extra = wire.NewMap("type", "xen") }, `type "xen": kvm, or qemu, which emulates and is slow, is expected`},
		} {
			bad := spec
			row.change(&bad)
			if _, err := vm.Create(t.Context(), bad, say); err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("%v\nwant %s", err, row.want)
			}
		}
		if n := volumes(); n != 1 {
			t.Errorf("%d volumes", n)
		}
		// What is swept has the mark of the record.
		left := inventory.Leftover{Ref: "abc", Things: []string{"volume base.qcow2 on " + uri + " in the pool default-pool"}}
		if _, err := vm.Sweep(t.Context(), left, say); err == nil || !strings.Contains(err.Error(), "is none of this machine") {
			t.Error(err)
		}
		left.Things = []string{"volume x-abc.qcow2 on qemu:///other in the pool default-pool"}
		if _, err := vm.Sweep(t.Context(), left, say); err == nil || !strings.Contains(err.Error(), "the source has no such uri any more") {
			t.Error(err)
		}
		left.Things = []string{"volume x-abc.qcow2 on " + uri + " in the pool default-pool", "machine test on " + uri}
		if sure, err := vm.Sweep(t.Context(), left, say); err != nil || !sure {
			t.Error(sure, err)
		}
		if m := inventorytest.ByLabel(t, p)["test"]; m.State != inventory.Running {
			t.Error("a machine of somebody else was ended")
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
