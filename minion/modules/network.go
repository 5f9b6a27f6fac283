package modules

import (
	"context"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("network.interfaces", networkInterfaces)
	register("network.hw_addr", networkHwAddr)
	alias("network.hwaddr", "network.hw_addr")
	register("network.interface", networkInterface)
	register("network.interface_ip", networkInterfaceIP)
	register("network.ifacestartswith", networkIfacestartswith)
	register("network.ip_addrs", networkIPAddrs)
	alias("network.ipaddrs", "network.ip_addrs")
	register("network.ip_addrs6", networkIPAddrs6)
	alias("network.ipaddrs6", "network.ip_addrs6")
	register("network.ip_networks", networkIPNetworks)
	register("network.ip_networks6", networkIPNetworks6)
	register("network.subnets", networkSubnets)
	register("network.subnets6", networkSubnets6)
	register("network.in_subnet", networkInSubnet)
	register("network.get_bufsize", networkGetBufsize)
	register("network.mod_bufsize", networkModBufsize)
}

// netLink is a network interface as the system has it.
type netLink struct {
	Name   string
	Parent string // the interface below this one: "eth0" of a VLAN, "if7" in another name space
	Up     bool
	HWAddr string // "" for interfaces without one
	Addrs  []netAddr
}

// netAddr is an address of an interface.
type netAddr struct {
	Prefix    netip.Prefix // the address, with the size of its net
	Broadcast netip.Addr   // invalid without one
	Label     string       // IPv4: the name that the address was given, "eth0:1"
	Scope     string       // IPv6: global, site, link, host
	Secondary bool         // IPv4: of a net that the interface is in already
}

// links are the interfaces of this machine.
func links() ([]netLink, error) {
	l, err := systemLinks()
	if err != nil {
		return nil, module.Failf("network interfaces not known: %w", err)
	}
	return l, nil
}

// toMap is an interface in Salt's words.
func (l netLink) toMap() *wire.Map {
	m := wire.NewMap("up", l.Up)
	if l.Parent != "" {
		m.Set("parent", l.Parent)
	}
	if l.HWAddr != "" {
		m.Set("hwaddr", l.HWAddr)
	}
	for _, kind := range []string{"inet", "secondary", "inet6"} {
		list := []any{}
		for _, a := range l.Addrs {
			if a.kind() == kind {
				list = append(list, a.toMap())
			}
		}
		if len(list) > 0 {
			m.Set(kind, list)
		}
	}
	return m
}

func (a netAddr) kind() string {
	switch {
	case !a.Prefix.Addr().Is4():
		return "inet6"
	case a.Secondary:
		return "secondary"
	}
	return "inet"
}

func (a netAddr) toMap() *wire.Map {
	addr := a.Prefix.Addr().String()
	if !a.Prefix.Addr().Is4() {
		return wire.NewMap("address", addr, "prefixlen", strconv.Itoa(a.Prefix.Bits()), "scope", a.Scope)
	}
	m := wire.NewMap()
	if a.Secondary {
		m.Set("type", "inet")
	}
	var broadcast any
	if a.Broadcast.IsValid() {
		broadcast = a.Broadcast.String()
	}
	mask := ""
	if a.Prefix.Bits() > 0 {
		mask = netmask(a.Prefix).String()
	}
	m.Set("address", addr)
	m.Set("netmask", mask)
	m.Set("broadcast", broadcast)
	m.Set("label", a.Label)
	return m
}

// networkInterfaces returns the network interfaces with their addresses.
//
//	gosalt '*' network.interfaces
func networkInterfaces(ctx context.Context, c *module.Call, a noArgs) (*wire.Map, error) {
	all, err := links()
	if err != nil {
		return nil, err
	}
	m := wire.NewMap()
	for _, l := range all {
		m.Set(l.Name, l.toMap())
	}
	return m, nil
}

type ifaceArgs struct {
	Iface string // Name of an interface: eth0.
}

// oneLink finds an interface. For an unknown name Salt returns a text that says so,
// which is the second result here.
func oneLink(name string) (*netLink, string, error) {
	all, err := links()
	if err != nil {
		return nil, "", err
	}
	names := make([]string, len(all))
	for i, l := range all {
		if l.Name == name {
			return &all[i], "", nil
		}
		names[i] = `"` + l.Name + `"`
	}
	return nil, `Interface "` + name + `" not in available interfaces: ` + strings.Join(names, ", "), nil
}

// networkHwAddr returns the hardware address of an interface.
//
//	gosalt '*' network.hw_addr eth0
func networkHwAddr(ctx context.Context, c *module.Call, a ifaceArgs) (string, error) {
	l, text, err := oneLink(a.Iface)
	if l == nil {
		return text, err
	}
	return l.HWAddr, nil
}

// networkInterface returns the IPv4 addresses of an interface.
//
//	gosalt '*' network.interface eth0
func networkInterface(ctx context.Context, c *module.Call, a ifaceArgs) (any, error) {
	l, text, err := oneLink(a.Iface)
	if l == nil {
		return text, err
	}
	if v, ok := l.toMap().Get("inet"); ok {
		return v, nil
	}
	return "", nil
}

// networkInterfaceIP returns the first IPv4 address of an interface.
//
//	gosalt '*' network.interface_ip eth0
func networkInterfaceIP(ctx context.Context, c *module.Call, a ifaceArgs) (string, error) {
	l, text, err := oneLink(a.Iface)
	if l == nil {
		return text, err
	}
	for _, addr := range l.Addrs {
		if addr.kind() == "inet" {
			return addr.Prefix.Addr().String(), nil
		}
	}
	return "", nil
}

type networkIfacestartswithArgs struct {
	Cidr any // Beginning of an address: 10.0.
}

// networkIfacestartswith returns the names of the interfaces that have an IPv4
// address with this beginning.
//
//	gosalt '*' network.ifacestartswith 10.0
func networkIfacestartswith(ctx context.Context, c *module.Call, a networkIfacestartswithArgs) ([]string, error) {
	all, err := links()
	names := []string{}
	for _, l := range all {
		for _, addr := range l.Addrs {
			if addr.kind() == "inet" && strings.HasPrefix(addr.Prefix.Addr().String(), textOf(a.Cidr)) {
				names = append(names, addr.Label)
			}
		}
	}
	return names, err
}

// chosen are the addresses of one kind on the interfaces that match one of the
// patterns: None, a text with commas, a list.
func chosen(all []netLink, patterns any, four bool) []netip.Prefix {
	var globs []string
	switch p := patterns.(type) {
	case nil:
	case []any:
		for _, e := range p {
			globs = append(globs, textOf(e))
		}
	default:
		for _, e := range strings.Split(textOf(p), ",") {
			globs = append(globs, strings.TrimSpace(e))
		}
	}
	var out []netip.Prefix
	for _, l := range all {
		if patterns != nil && !slices.ContainsFunc(globs, func(g string) bool { return globMatch(g, l.Name) }) {
			continue
		}
		for _, a := range l.Addrs {
			if a.Prefix.Addr().Is4() == four {
				out = append(out, a.Prefix)
			}
		}
	}
	return out
}

// distinct are the addresses of prefixes, each once, in the order of their numbers.
func distinct(prefixes []netip.Prefix, loopback bool) []netip.Addr {
	out := []netip.Addr{}
	for _, p := range prefixes {
		if loopback || !p.Addr().IsLoopback() {
			out = append(out, p.Addr())
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out)
}

type networkIPAddrsArgs struct {
	Interface       any    `default:"None"`  // Names of interfaces: a shell pattern, a text with commas or a list; None for all.
	IncludeLoopback bool   `default:"False"` // With the addresses of the machine to itself.
	Cidr            string `default:"None"`  // Only the addresses of this net: 10.0.0.0/8.
	Type            string `default:"None"`  // Only public or only private addresses; without effect where cidr is given.
}

// networkIPAddrs returns the IPv4 addresses of the machine.
//
//	gosalt '*' network.ip_addrs
//	gosalt '*' network.ip_addrs cidr=10.0.0.0/8
//	gosalt '*' network.ip_addrs cidr=192.168.0.0/16 type=private
func networkIPAddrs(ctx context.Context, c *module.Call, a networkIPAddrsArgs) ([]string, error) {
	return ipAddrs(c, a.Interface, a.IncludeLoopback, a.Cidr, a.Type, true)
}

type networkIPAddrs6Args struct {
	Interface       any    `default:"None"`  // Names of interfaces: a shell pattern, a text with commas or a list; None for all.
	IncludeLoopback bool   `default:"False"` // With the address of the machine to itself.
	Cidr            string `default:"None"`  // Only the addresses of this net: 2000::/3.
}

// networkIPAddrs6 returns the IPv6 addresses of the machine.
//
//	gosalt '*' network.ip_addrs6
//	gosalt '*' network.ip_addrs6 cidr=2000::/3
func networkIPAddrs6(ctx context.Context, c *module.Call, a networkIPAddrs6Args) ([]string, error) {
	return ipAddrs(c, a.Interface, a.IncludeLoopback, a.Cidr, "", false)
}

func ipAddrs(c *module.Call, patterns any, loopback bool, cidr, kind string, four bool) ([]string, error) {
	all, err := links()
	if err != nil {
		return nil, err
	}
	addrs := distinct(chosen(all, patterns, four), loopback)
	switch {
	case cidr != "":
		net, err := parseNetwork(cidr, true)
		if err != nil {
			c.Log.Error("not a net, no address is in it", "cidr", cidr, "error", err)
			return []string{}, nil
		}
		addrs = slices.DeleteFunc(addrs, func(a netip.Addr) bool { return !net.Contains(a) })
	case kind == "public":
		addrs = slices.DeleteFunc(addrs, isPrivate)
	case kind == "private":
		addrs = slices.DeleteFunc(addrs, func(a netip.Addr) bool { return !isPrivate(a) })
	}
	return stringsOf(addrs), nil
}

func stringsOf[T interface{ String() string }](list []T) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = v.String()
	}
	return out
}

type networkIPNetworksArgs struct {
	Interface       any  `default:"None"`  // Names of interfaces: a shell pattern, a text with commas or a list; None for all.
	IncludeLoopback bool `default:"False"` // With the net of the machine to itself.
	Verbose         bool `default:"False"` // Address, mask and size of each net.
}

// networkIPNetworks returns the IPv4 nets that the machine is in.
//
//	gosalt '*' network.ip_networks
//	gosalt '*' network.ip_networks interface=docker0 verbose=True
func networkIPNetworks(ctx context.Context, c *module.Call, a networkIPNetworksArgs) (any, error) {
	return ipNetworks(a, true)
}

// networkIPNetworks6 returns the IPv6 nets that the machine is in.
//
//	gosalt '*' network.ip_networks6
func networkIPNetworks6(ctx context.Context, c *module.Call, a networkIPNetworksArgs) (any, error) {
	return ipNetworks(a, false)
}

func ipNetworks(a networkIPNetworksArgs, four bool) (any, error) {
	all, err := links()
	if err != nil {
		return nil, err
	}
	nets := nets(chosen(all, a.Interface, four), a.IncludeLoopback)
	if !a.Verbose {
		return stringsOf(nets), nil
	}
	m := wire.NewMap()
	for _, n := range nets {
		m.Set(n.String(), wire.NewMap("address", n.Addr().String(), "netmask", netmask(n).String(),
			"num_addresses", netSize(n), "prefixlen", int64(n.Bits())))
	}
	return m, nil
}

// nets are the nets of addresses, each once, in the order of their numbers.
func nets(addrs []netip.Prefix, loopback bool) []netip.Prefix {
	out := []netip.Prefix{}
	for _, p := range addrs {
		if loopback || !p.Addr().IsLoopback() {
			out = append(out, p.Masked())
		}
	}
	slices.SortFunc(out, func(a, b netip.Prefix) int {
		if d := a.Addr().Compare(b.Addr()); d != 0 {
			return d
		}
		return a.Bits() - b.Bits()
	})
	return slices.Compact(out)
}

type networkSubnetsArgs struct {
	Interfaces any `default:"None"` // Name of an interface or a list of names; None for all.
}

// networkSubnets returns the IPv4 nets that the machine is in.
//
//	gosalt '*' network.subnets
//	gosalt '*' network.subnets interfaces=eth1
func networkSubnets(ctx context.Context, c *module.Call, a networkSubnetsArgs) ([]string, error) {
	all, err := links()
	if err != nil {
		return nil, err
	}
	if a.Interfaces != nil {
		names, many := a.Interfaces.([]any)
		if !many {
			names = []any{a.Interfaces}
		}
		all = slices.DeleteFunc(all, func(l netLink) bool { return !slices.Contains(names, any(l.Name)) })
	}
	return stringsOf(nets(chosen(all, nil, true), false)), nil
}

// networkSubnets6 returns the IPv6 nets that the machine is in.
//
//	gosalt '*' network.subnets6
func networkSubnets6(ctx context.Context, c *module.Call, a noArgs) ([]string, error) {
	all, err := links()
	if err != nil {
		return nil, err
	}
	return stringsOf(nets(chosen(all, nil, false), false)), nil
}

type networkInSubnetArgs struct {
	Cidr string // A net: 10.0.0.0/16.
}

// networkInSubnet tells whether the machine has an address of a net.
//
//	gosalt '*' network.in_subnet 10.0.0.0/16
func networkInSubnet(ctx context.Context, c *module.Call, a networkInSubnetArgs) (bool, error) {
	all, err := links()
	if err != nil {
		return false, err
	}
	net, err := parseNetwork(a.Cidr, true)
	if err != nil {
		c.Log.Error("not a net, no address is in it", "cidr", a.Cidr, "error", err)
		return false, nil
	}
	addrs := append(distinct(chosen(all, nil, true), false), distinct(chosen(all, nil, false), false)...)
	return slices.ContainsFunc(addrs, net.Contains), nil
}

// linuxOnly is the error of what asks Linux's /proc or netlink, elsewhere.
func linuxOnly(what string) error {
	if runtime.GOOS == "linux" {
		return nil
	}
	return module.Failf("Not yet supported on this platform: %s is not known on %s", what, runtime.GOOS)
}

// procFile reads a file of /proc.
func procFile(c *module.Call, path string) (string, error) {
	if err := linuxOnly(path); err != nil {
		return "", err
	}
	b, err := os.ReadFile(c.Host.Path(path))
	if err != nil {
		return "", module.Failf("%w", err)
	}
	return string(b), nil
}
