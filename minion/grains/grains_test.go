package grains

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

var update = flag.Bool("update", false, "write the grains that come out into testdata/web1.txtar")

// fixture unpacks files of a machine: "link A B" in the comment makes A a symbolic
// link to B, "program A" an empty program.
func fixture(t *testing.T, a *txtar.Archive) *host.Host {
	t.Helper()
	root := t.TempDir()
	at := func(name string) string {
		p := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
			t.Fatal(err)
		}
		return p
	}
	for line := range strings.Lines(string(a.Comment)) {
		var err error
		switch f := strings.Fields(line); {
		case len(f) == 3 && f[0] == "link":
			err = os.Symlink(f[2], at(f[1]))
		case len(f) == 2 && f[0] == "program":
			err = os.WriteFile(at(f[1]), nil, 0o700)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range a.Files {
		if err := os.WriteFile(at(f.Name), f.Data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return &host.Host{Root: root}
}

// files makes a fixture of names and contents.
func files(t *testing.T, nameText ...string) *host.Host {
	t.Helper()
	a := &txtar.Archive{}
	for i := 0; i < len(nameText); i += 2 {
		a.Files = append(a.Files, txtar.File{Name: nameText[i], Data: []byte(nameText[i+1] + "\n")})
	}
	return fixture(t, a)
}

func web1() *Machine {
	return &Machine{
		Kernel: "Linux", Nodename: "web1", Release: "6.1.0-25-amd64", Version: "#1 SMP Debian", Arch: "x86_64",
		Hostname: "web1", Cwd: "/", Executable: "/usr/bin/gosalt-minion", Zone: "CET", Pid: 4711, UID: 0, GID: 0,
		Env:        map[string]string{"PATH": "/usr/sbin:/usr/bin", "SHELL": "/bin/bash", "LANG": "de_DE.UTF-8"},
		Hypervisor: "KVMKVMKVM",
		Links: []Link{
			{Name: "lo", HWAddr: "00:00:00:00:00:00", IPv4: []string{"127.0.0.1"}, IPv6: []string{"::1"}},
			{Name: "ens3", HWAddr: "52:54:00:12:34:56", IPv4: []string{"192.0.2.10", "10.0.0.9"}, Secondary: []string{"192.0.2.11"},
				IPv6: []string{"2001:db8::10", "fe80::1"}},
			{Name: "wg0", IPv4: []string{"10.0.0.10"}},
		},
		Resolver: answers{"192.0.2.11": "second.example.com.", "2001:db8::10": "web1-v6.example.com."},
	}
}

// answers is a name server; what it does not know it denies.
type answers map[string]string

var errNoName = errors.New("no such name")

func (a answers) LookupCNAME(ctx context.Context, host string) (string, error) {
	if v, ok := a[host]; ok {
		return v, nil
	}
	return "", errNoName
}

func (a answers) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	if v, ok := a[addr]; ok {
		return []string{v}, nil
	}
	return nil, errNoName
}

func (a answers) LookupIP(ctx context.Context, network, host string) ([]net.IP, error) {
	if v, ok := a[network+" "+host]; ok {
		return []net.IP{net.ParseIP(v)}, nil
	}
	return nil, errNoName
}

// TestCollect reads a whole machine.
func TestCollect(t *testing.T) {
	const file = "testdata/web1.txtar"
	a, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(a.Files, func(f txtar.File) bool { return f.Name == "want.json" })
	opts := wire.NewMap("id", "web1.example.com", "master", []any{"salt1", "salt2"}, "iscsi_grains", true)
	g := Collect(t.Context(), Options{Host: fixture(t, a), Machine: web1(), Opts: opts})
	g.Delete("gosaltversion")
	got, err := pytext.JSON(g, 1, true)
	if err != nil {
		t.Fatal(err)
	}
	got += "\n"
	if *update {
		a.Files[i].Data = []byte(got)
		if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want := string(a.Files[i].Data); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// TestThisMachine reads the machine that runs the test: nothing there may make it
// fail, and what every system has must be found.
func TestThisMachine(t *testing.T) {
	var log bytes.Buffer
	l := slog.New(slog.NewTextHandler(&log, nil))
	m := ThisMachine(l)
	m.Resolver = nil
	g := Collect(t.Context(), Options{Machine: m, Log: l, Opts: wire.NewMap("id", "x")})
	for _, name := range []string{"kernel", "cpuarch", "os", "os_family", "num_cpus", "mem_total", "localhost", "fqdn",
		"ip4_interfaces", "pid", "id", "server_id", "saltversion", "gosaltversion"} {
		if !g.Has(name) {
			t.Errorf("no grain %s", name)
		}
	}
	if log.Len() > 0 {
		t.Errorf("the log says: %s", log.String())
	}
}

func TestStaticAndConfigured(t *testing.T) {
	tests := []struct {
		name, file string
		opts       *wire.Map
		want       string // roles and app
		log        string
	}{
		{"none", "", nil, "None, None", ""},
		{"static", "roles: [web, db]\napp: {a: 1}\n", nil, "['web', 'db'], {'a': 1}", ""},
		{"configured over static", "roles: [web]\napp: {a: 1}\n", wire.NewMap("grains", wire.NewMap("app", wire.NewMap("b", int64(2)))), "['web'], {'b': 2}", ""},
		{"merged", "app: {a: 1, c: {d: 1}}\n", wire.NewMap("grains_deep_merge", true, "grains", wire.NewMap("app", wire.NewMap("c", wire.NewMap("e", int64(2))))),
			"None, {'c': {'e': 2}}", ""},
		{"merged into a core grain", "app: {a: 1}\nsystemd: {x: 1}\n", wire.NewMap("grains_deep_merge", true), "None, {'a': 1}", ""},
		{"bad", "roles: [web\n", nil, "None, None", "static grains not read"},
		{"no map", "- web\n", nil, "None, None", "a YAML map of names and values expected"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			if tt.file != "" {
				if err := os.WriteFile(filepath.Join(dir, "grains"), []byte(tt.file), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			var log bytes.Buffer
			g := Collect(t.Context(), Options{Opts: tt.opts, ConfDir: dir, Machine: web1(), Host: files(t),
				Log: slog.New(slog.NewTextHandler(&log, nil))})
			roles, _ := g.Get("roles")
			app, _ := g.Get("app")
			if got := pytext.Repr(roles) + ", " + pytext.Repr(app); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if !strings.Contains(log.String(), tt.log) || tt.log == "" && log.Len() > 0 {
				t.Errorf("log: %s, want %q", log.String(), tt.log)
			}
		})
	}
}

func TestBlacklist(t *testing.T) {
	g := Collect(t.Context(), Options{Machine: web1(), Host: files(t),
		Opts: wire.NewMap("id", "x", "grains_blacklist", []any{"cpu*", "pid"}, "grains", wire.NewMap("cpu_note", "kept"))})
	for _, name := range []string{"cpu_flags", "cpuarch", "cpu_model", "pid"} {
		if g.Has(name) {
			t.Errorf("grain %s is there", name)
		}
	}
	if g.Text("cpu_note") != "kept" {
		t.Error("a configured grain was left out: the list is for core grains")
	}
}

func TestVirtual(t *testing.T) {
	dmi := func(kv ...string) []string {
		for i := 0; i < len(kv); i += 2 {
			kv[i] = "sys/class/dmi/id/" + kv[i]
		}
		return kv
	}
	tests := []struct {
		name  string
		cpuid string
		files []string
		want  string
	}{
		{"bare metal", "", dmi("sys_vendor", "Dell Inc.", "product_name", "PowerEdge R640"), "physical"},
		{"KVM", "KVMKVMKVM", dmi("sys_vendor", "QEMU"), "kvm"},
		{"QEMU without KVM", "TCGTCGTCGTCG", dmi("sys_vendor", "QEMU"), "qemu"},
		{"KVM on ARM", "", dmi("sys_vendor", "QEMU"), "qemu"},
		{"VMware", "VMwareVMware", dmi("sys_vendor", "VMware, Inc."), "VMware"},
		{"Hyper-V", "Microsoft Hv", dmi("sys_vendor", "Microsoft Corporation"), "VirtualPC"},
		{"VirtualBox", "KVMKVMKVM", append(dmi("sys_vendor", "innotek GmbH", "product_name", "VirtualBox"),
			"sys/devices/virtual/dmi/id/product_name", "VirtualBox"), "VirtualBox"},
		{"Amazon Nitro", "KVMKVMKVM", dmi("sys_vendor", "Amazon EC2", "product_name", "t3.micro"), "Nitro, Amazon EC2"},
		{"Amazon Xen", "XenVMMXenVMM", append(dmi("sys_vendor", "Xen", "product_name", "HVM domU"), "sys/bus/xen/x", ""), "xen, Xen HVM DomU"},
		{"Google", "KVMKVMKVM", append(dmi("sys_vendor", "Google", "product_name", "Google Compute Engine"),
			"sys/devices/virtual/dmi/id/product_name", "Google Compute Engine"), "gce"},
		{"Docker", "KVMKVMKVM", []string{".dockerenv", ""}, "container, Docker"},
		{"Podman", "", []string{"run/.containerenv", ""}, "container, Podman"},
		{"LXC", "", []string{"proc/1/environ", "container=lxc"}, "container, LXC"},
		{"nspawn", "", []string{"run/systemd/container", "systemd-nspawn"}, "systemd-nspawn"},
		{"Kubernetes", "", []string{"proc/1/cgroup", "1:name=systemd:/kubepods/x", ".dockerenv", ""}, "container, kubernetes"},
		{"old Docker", "", []string{"proc/1/cgroup", "1:cpu:/docker/0123"}, "container, Docker"},
		{"OpenVZ", "", []string{"proc/vz/veinfo", "", "proc/self/status", "envID:\t101"}, "openvzve"},
		{"Xen guest", "", []string{"proc/xen/capabilities", "", "sys/bus/xen/x", ""}, "xen, Xen PV DomU"},
		{"Xen host", "", []string{"proc/xen/capabilities", "control_d", "proc/xen/xsd_kva", ""}, "xen, Xen Dom0"},
		{"Parallels", "", dmi("sys_vendor", "Parallels Software International Inc."), "Parallels"},
		{"bhyve", "bhyve bhyve ", dmi("sys_vendor", "FreeBSD", "product_name", "BHYVE"), "bhyve"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := &Machine{Kernel: "Linux", Hypervisor: tt.cpuid}
			c := &collector{Options: Options{Host: files(t, tt.files...), Opts: wire.NewMap()}, m: m, g: wire.NewMap()}
			c.virtual()
			got := c.g.Text("virtual")
			if s := c.g.Text("virtual_subtype"); s != "" {
				got += ", " + s
			}
			if got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestNames(t *testing.T) {
	tests := []struct {
		name    string
		files   []string
		answers answers
		want    string // fqdn, fqdn_ip4, fqdn_ip6, fqdns
	}{
		{"hosts file", []string{"etc/hosts", "127.0.1.1 web1.example.com web1"}, answers{"web1": "other."},
			"web1.example.com ['127.0.1.1'] [] []"},
		{"name server", []string{"etc/hosts", "127.0.0.1 localhost"},
			answers{"web1": "web1.example.org.", "ip4 web1.example.org": "192.0.2.10", "ip6 web1.example.org": "2001:db8::10"},
			"web1.example.org ['192.0.2.10'] ['2001:db8::10'] []"},
		{"nobody knows", nil, nil, "web1 [] [] []"},
		{"itself first", []string{"etc/nsswitch.conf", "hosts: files myhostname dns"}, answers{"web1": "web1.example.org."},
			"web1 ['10.0.0.9', '10.0.0.10', '192.0.2.10', '192.0.2.11'] ['2001:db8::10', 'fe80::1'] []"},
		{"reverse", []string{"etc/hosts", "192.0.2.10 www www.example.com"}, answers{"10.0.0.10": "vpn.example.com."},
			"web1 [] [] ['vpn.example.com', 'www.example.com']"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := web1()
			m.Resolver = tt.answers
			g := Collect(t.Context(), Options{Machine: m, Host: files(t, tt.files...)})
			got := g.Text("fqdn")
			for _, k := range []string{"fqdn_ip4", "fqdn_ip6", "fqdns"} {
				v, _ := g.Get(k)
				got += " " + pytext.Repr(v)
			}
			if got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// silent is a name server that never answers.
type silent struct{}

func (silent) LookupCNAME(ctx context.Context, host string) (string, error) {
	<-ctx.Done()
	return "", ctx.Err()
}

func (silent) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (silent) LookupIP(ctx context.Context, network, host string) ([]net.IP, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestSilentNameServer(t *testing.T) {
	m := web1()
	m.Resolver = silent{}
	g := Collect(t.Context(), Options{Machine: m, Host: files(t), DNSTimeout: time.Millisecond})
	if g.Text("fqdn") != "web1" {
		t.Errorf("fqdn is %q", g.Text("fqdn"))
	}
}

func TestLocale(t *testing.T) {
	for env, want := range map[string]string{"": "en_US UTF-8", "C": "en_US UTF-8", "C.UTF-8": "en_US UTF-8",
		"de_DE.utf8": "de_DE UTF-8", "de_DE@euro": "de_DE ISO8859-1", "fr_FR.ISO-8859-15": "fr_FR ISO-8859-15"} {
		language, encoding := locale(map[string]string{"LANG": env})
		if got := language + " " + encoding; got != want {
			t.Errorf("%s: got %s, want %s", env, got, want)
		}
	}
}

func BenchmarkCollect(b *testing.B) {
	for b.Loop() {
		m := ThisMachine(slog.New(slog.DiscardHandler))
		m.Resolver = nil
		Collect(b.Context(), Options{Machine: m})
	}
}
