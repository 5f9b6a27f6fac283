package modules

import (
	"context"
	"encoding/json"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	saltNames["network"] = `active_tcp arp calc_net connect convert_cidr default_route dig fqdns get_bufsize get_fqdn get_hostname
		get_route hw_addr hwaddr ifacestartswith in_subnet interface interface_ip interfaces ip_addrs ip_addrs6 ip_in_subnet
		ip_networks ip_networks6 ipaddrs ipaddrs6 iphexval is_loopback is_private mod_bufsize mod_hostname netstat ping
		reverse_ip routes subnets subnets6 traceroute wol`
}

func TestRecordedNetwork(t *testing.T) {
	runRecorded(t, "testdata/network.json", false, func() *module.Call { return recordedMinion(t) })
}

// rootedCall works on a machine whose files are in a directory.
func rootedCall(root string) *module.Call {
	return &module.Call{Host: &host.Host{Root: root}, Job: &module.Job{Pub: wire.NewMap()}}
}

// TestRecordedNetworkProc reads the files of /proc that Salt's programs read when they
// were recorded.
func TestRecordedNetworkProc(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("Linux only")
	}
	b, err := os.ReadFile("testdata/network_proc.json")
	if err != nil {
		t.Fatal(err)
	}
	var calls []recorded
	if err := json.Unmarshal(b, &calls); err != nil {
		t.Fatal(err)
	}
	r := New()
	for _, rec := range calls {
		args, _ := fromJSON(t, rec.Args).([]any)
		got := r.Run(t.Context(), rootedCall("testdata"), rec.Fun, args, nil)
		gotText, err := pytext.JSON(got.Return, 0, false) // whose keys are all texts, as in the recording
		if err != nil {
			t.Fatal(err)
		}
		want, err := pytext.JSON(fromJSON(t, rec.Return), 0, false)
		if err != nil {
			t.Fatal(err)
		}
		if gotText != want || got.Retcode != rec.Retcode {
			t.Errorf("%s%s\ngot  %s\nSalt %s", rec.Fun, rec.Args, gotText, want)
		}
	}
}

// TestNetworkErrors: what Salt ends with a traceback.
func TestNetworkErrors(t *testing.T) {
	r := New()
	for _, tc := range [][]any{
		{"network.calc_net", "bad"}, {"network.calc_net", "10.0.0.1/33"}, {"network.calc_net", "10.0.0.1", "255.0.255.0"},
		{"network.calc_net", "10.0.0.1/-1"}, {"network.calc_net", "::1", "255.0.0.0"}, {"network.convert_cidr", "x"},
		{"network.ip_in_subnet", "bad", "10.0.0.0/8"}, {"network.ip_in_subnet", "010.0.0.1", "10.0.0.0/8"},
		{"network.is_private", "x"}, {"network.is_private", "10.1"}, {"network.is_loopback", "x"}, {"network.reverse_ip", "x"},
		{"network.iphexval", "x"}, {"network.iphexval", "::1"}, {"network.get_route", "x"}, {"network.wol", "nonsense"},
		{"network.wol", "08:00:27:13:69"}, {"network.mod_hostname", "a b"}, {"network.mod_hostname", ""},
	} {
		if got := r.Run(t.Context(), nil, tc[0].(string), tc[1:], nil); got.Success || got.Err == nil {
			t.Errorf("%v: %+v", tc, got)
		}
	}
}

// fixedLinks are interfaces as the recordings have them.
func fixedLinks() []netLink {
	pfx := netip.MustParsePrefix
	return []netLink{
		{Name: "lo", Up: true, HWAddr: "00:00:00:00:00:00", Addrs: []netAddr{
			{Prefix: pfx("127.0.0.1/8"), Label: "lo"}, {Prefix: pfx("::1/128"), Scope: "host"}}},
		{Name: "ifb0", HWAddr: "b6:d8:11:20:7d:d4"},
		{Name: "eth0", Up: true, HWAddr: "02:fc:00:00:00:01", Addrs: []netAddr{
			{Prefix: pfx("192.0.2.2/24"), Broadcast: netip.MustParseAddr("192.0.2.255"), Label: "eth0"},
			{Prefix: pfx("192.0.2.9/24"), Label: "eth0:1", Secondary: true},
			{Prefix: pfx("fd00::2/64"), Scope: "global"}, {Prefix: pfx("fe80::fc:ff:fe00:1/64"), Scope: "link"}}},
		{Name: "tun0", Parent: "eth0", Up: true, Addrs: []netAddr{{Prefix: pfx("10.8.0.1/32"), Label: "tun0"}}},
	}
}

// TestLinkMaps holds the words for interfaces to those that Salt has for the same
// output of ip(8).
func TestLinkMaps(t *testing.T) {
	want := []string{
		`{'up': True, 'hwaddr': '00:00:00:00:00:00', 'inet': [{'address': '127.0.0.1', 'netmask': '255.0.0.0', 'broadcast': None, 'label': 'lo'}], 'inet6': [{'address': '::1', 'prefixlen': '128', 'scope': 'host'}]}`,
		`{'up': False, 'hwaddr': 'b6:d8:11:20:7d:d4'}`,
		`{'up': True, 'hwaddr': '02:fc:00:00:00:01', 'inet': [{'address': '192.0.2.2', 'netmask': '255.255.255.0', 'broadcast': '192.0.2.255', 'label': 'eth0'}], 'secondary': [{'type': 'inet', 'address': '192.0.2.9', 'netmask': '255.255.255.0', 'broadcast': None, 'label': 'eth0:1'}], 'inet6': [{'address': 'fd00::2', 'prefixlen': '64', 'scope': 'global'}, {'address': 'fe80::fc:ff:fe00:1', 'prefixlen': '64', 'scope': 'link'}]}`,
		`{'up': True, 'parent': 'eth0', 'inet': [{'address': '10.8.0.1', 'netmask': '255.255.255.255', 'broadcast': None, 'label': 'tun0'}]}`,
	}
	for i, l := range fixedLinks() {
		if got := pytext.Repr(l.toMap()); got != want[i] {
			t.Errorf("%s\ngot  %s\nSalt %s", l.Name, got, want[i])
		}
	}
}

// TestChosenAddresses: which addresses and nets a machine has.
func TestChosenAddresses(t *testing.T) {
	all := fixedLinks()
	for _, tc := range []struct {
		name     string
		patterns any
		four     bool
		loopback bool
		addrs    string
		nets     string
	}{
		{"all of IPv4", nil, true, false, "10.8.0.1 192.0.2.2 192.0.2.9", "10.8.0.1/32 192.0.2.0/24"},
		{"with the loopback", nil, true, true, "10.8.0.1 127.0.0.1 192.0.2.2 192.0.2.9", "10.8.0.1/32 127.0.0.0/8 192.0.2.0/24"},
		{"a pattern", "e*", true, true, "192.0.2.2 192.0.2.9", "192.0.2.0/24"},
		{"patterns with a comma", "tun?, lo", true, true, "10.8.0.1 127.0.0.1", "10.8.0.1/32 127.0.0.0/8"},
		{"a list", []any{"tun0"}, true, true, "10.8.0.1", "10.8.0.1/32"},
		{"none", "wlan0", true, true, "", ""},
		{"IPv6", nil, false, false, "fd00::2 fe80::fc:ff:fe00:1", "fd00::/64 fe80::/64"},
	} {
		got := chosen(all, tc.patterns, tc.four)
		if s := strings.Join(stringsOf(distinct(got, tc.loopback)), " "); s != tc.addrs {
			t.Errorf("%s: addresses %q, want %q", tc.name, s, tc.addrs)
		}
		if s := strings.Join(stringsOf(nets(got, tc.loopback)), " "); s != tc.nets {
			t.Errorf("%s: nets %q, want %q", tc.name, s, tc.nets)
		}
	}
}

// TestSystemLinks compares with what the standard library reads.
func TestSystemLinks(t *testing.T) {
	got, err := systemLinks()
	if err != nil {
		t.Fatal(err)
	}
	want, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range want {
		i := slices.IndexFunc(got, func(l netLink) bool { return l.Name == w.Name })
		if i < 0 {
			t.Errorf("%s is missing", w.Name)
			continue
		}
		if got[i].Up != (w.Flags&net.FlagUp != 0) {
			t.Errorf("%s: up is %v", w.Name, got[i].Up)
		}
		addrs, err := w.Addrs()
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range addrs {
			if !slices.ContainsFunc(got[i].Addrs, func(g netAddr) bool { return g.Prefix.String() == a.String() }) {
				t.Errorf("%s: address %s is missing in %v", w.Name, a, got[i].Addrs)
			}
		}
	}
}

// TestNetworkThisMachine: every function answers with its shape here.
func TestNetworkThisMachine(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("Linux only")
	}
	r := New()
	run := func(fun string, args ...any) any {
		t.Helper()
		res := r.Run(t.Context(), nil, fun, args, nil)
		if res.Err != nil {
			t.Errorf("%s%v: %v", fun, args, res.Err)
		}
		return res.Return
	}
	if m, _ := run("network.interfaces").(*wire.Map); !m.Has("lo") {
		t.Errorf("network.interfaces: %v", m)
	}
	if got := run("network.interface_ip", "lo"); got != "127.0.0.1" {
		t.Errorf("network.interface_ip lo = %v", got)
	}
	if got, _ := run("network.hw_addr", "nope").(string); !strings.HasPrefix(got, `Interface "nope" not in available interfaces: "`) {
		t.Errorf("network.hw_addr nope = %q", got)
	}
	if got := pytext.Repr(run("network.ifacestartswith", 127.0)); got != "['lo']" {
		t.Errorf("network.ifacestartswith 127.0 = %v", got)
	}
	m := run("network.get_route", "127.0.0.1")
	if got := pytext.Repr(m); got != "{'destination': '127.0.0.1', 'gateway': None, 'interface': 'lo', 'source': '127.0.0.1'}" {
		t.Errorf("network.get_route = %v", got)
	}
	name, _ := os.Hostname()
	if got := run("network.get_hostname"); got != name {
		t.Errorf("network.get_hostname = %v", got)
	}

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := int64(l.Addr().(*net.TCPAddr).Port)
	if got := run("network.connect", "127.0.0.1", port).(*wire.Map); !got.Bool("result") ||
		got.Text("comment") != "Successfully connected to 127.0.0.1 (127.0.0.1) on tcp port "+pytext.Str(port) {
		t.Errorf("network.connect: %v", got)
	}
	found := false
	for _, s := range run("network.netstat").([]any) {
		m := s.(*wire.Map)
		if m.Text("local-address") == l.Addr().String() && m.Text("state") == "LISTEN" {
			found = true
			if pid, name, _ := strings.Cut(m.Text("program"), "/"); pid != pytext.Str(os.Getpid()) || name == "" {
				t.Errorf("the socket of this test belongs to %q", m.Text("program"))
			}
			if m.Text("remote-address") != "0.0.0.0:*" || m.Text("user") != pytext.Str(os.Getuid()) {
				t.Errorf("the socket of this test: %v", m)
			}
		}
	}
	if !found {
		t.Error("network.netstat does not have the socket of this test")
	}
}

// TestConnectUDP: a datagram must be answered.
func TestConnectUDP(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go func() {
		b := make([]byte, 100)
		if n, from, err := conn.ReadFrom(b); err == nil {
			_, _ = conn.WriteTo(b[:n], from)
		}
	}()
	port := int64(conn.LocalAddr().(*net.UDPAddr).Port)
	res := New().Run(t.Context(), nil, "network.connect", []any{"127.0.0.1", port}, wire.NewMap("proto", "udp"))
	if !res.Success {
		t.Errorf("%+v", res)
	}
}

func TestRenameInHosts(t *testing.T) {
	file := filepath.Join(t.TempDir(), "hosts")
	const text = "127.0.0.1  localhost\n# old is the old name\n10.0.0.1\told.example old\n::1 ip6-localhost\n"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := renameInHosts(file, "old", "new"); err != nil {
		t.Fatal(err)
	}
	b, _ := os.ReadFile(file)
	if want := strings.Replace(text, "old.example old", "old.example\tnew", 1); string(b) != want {
		t.Errorf("got %q, want %q", b, want)
	}
}

func TestTraceHop(t *testing.T) {
	for line, want := range map[string]string{
		" 1  gw.example (192.0.2.1)  0.293 ms  0.241 ms  0.2 ms": "{'count': 1, 'hostname': 'gw.example', 'ip': '192.0.2.1', 'ms1': 0.293, 'ms2': 0.241, 'ms3': 0.2}",
		" 2  * * *":            "{'count': 2, 'hostname': '*'}",
		" 3  half (192.0.2.3)": "{}",
		"no line of it":        "{}",
	} {
		if got := pytext.Repr(traceHop(line)); got != want {
			t.Errorf("%q: got %s, want %s", line, got, want)
		}
	}
}

func TestMagicPacket(t *testing.T) {
	for _, mac := range []string{"080027136977", "08:00:27:13:69:77", "08-00-27-13-69-77"} {
		b, err := magicPacket(mac)
		if err != nil || len(b) != 102 || b[5] != 0xff || string(b[6:12]) != "\x08\x00\x27\x13\x69\x77" || string(b[96:]) != string(b[6:12]) {
			t.Errorf("%s: %x, %v", mac, b, err)
		}
	}
}

// TestHostName: no argument becomes an option.
func TestHostName(t *testing.T) {
	for in, want := range map[string]string{"web1.example": "web1.example", "-Ofile": "Ofile", "a;rm b": "armb", "fe80::1": "fe80::1"} {
		if got := hostName(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

// TestProgramMissing: a program that is not there is named.
func TestProgramMissing(t *testing.T) {
	onlyEnv(t, "PATH", t.TempDir())
	for _, fun := range []string{"dig", "traceroute", "ping"} {
		res := New().Run(context.Background(), nil, "network."+fun, []any{"localhost"}, nil)
		if want := "Command required for 'network." + fun + "' not found: The '" + fun + "' binary was not found in $PATH."; res.Return != want {
			t.Errorf("got %v, want %v", res.Return, want)
		}
	}
}
