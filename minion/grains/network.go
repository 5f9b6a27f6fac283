package grains

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/protocol/wire"
)

// network is the interfaces with their addresses, the gateways and the name servers.
func (c *collector) network() {
	all, four, six, hw := wire.NewMap(), wire.NewMap(), wire.NewMap(), wire.NewMap()
	for _, l := range c.m.Links {
		v4 := append(slices.Clone(l.IPv4), l.Secondary...)
		four.Set(l.Name, texts(v4))
		six.Set(l.Name, texts(l.IPv6))
		all.Set(l.Name, texts(slices.Concat(l.IPv4, l.IPv6, l.Secondary)))
		if l.HWAddr != "" {
			hw.Set(l.Name, l.HWAddr)
		}
	}
	c.set("hwaddr_interfaces", hw)
	c.set("ip4_interfaces", four)
	c.set("ip6_interfaces", six)
	c.set("ip_interfaces", all)
	v4, v6 := c.addresses(true)
	c.set("ipv4", texts(v4))
	c.set("ipv6", texts(v6))
	if c.m.Kernel == "Linux" {
		c.gateways()
	}
	if dns := c.nameServers(); dns != nil {
		c.set("dns", dns)
	}
}

// addresses are the different addresses of the machine, sorted by number.
func (c *collector) addresses(loopback bool) (v4, v6 []string) {
	sorted := func(pick func(Link) []string) []string {
		var found []netip.Addr
		for _, l := range c.m.Links {
			for _, s := range pick(l) {
				a, err := netip.ParseAddr(s)
				if err == nil && (loopback || !a.IsLoopback()) && !slices.Contains(found, a) {
					found = append(found, a)
				}
			}
		}
		slices.SortFunc(found, netip.Addr.Compare)
		out := []string{}
		for _, a := range found {
			out = append(out, a.String())
		}
		return out
	}
	v4 = sorted(func(l Link) []string { return append(slices.Clone(l.IPv4), l.Secondary...) })
	return v4, sorted(func(l Link) []string { return l.IPv6 })
}

// gateways are the addresses of the default routes: True for a route without one,
// False for none.
func (c *collector) gateways() {
	v4, v6 := c.gateway4(), c.gateway6()
	c.set("ip_gw", v4 != false || v6 != false)
	c.set("ip4_gw", v4)
	c.set("ip6_gw", v6)
}

const (
	routeUp      = 0x1
	routeGateway = 0x2
	routeReject  = 0x200
)

// gateway4 reads the table that the kernel prints in the order of use: interface,
// destination, gateway, flags, …, mask, in hexadecimal and the machine's byte order.
func (c *collector) gateway4() any {
	for line := range strings.Lines(c.read("/proc/net/route")) {
		f := strings.Fields(line)
		if len(f) < 8 || f[1] != "00000000" || f[7] != "00000000" {
			continue
		}
		flags := hexNumber(f[3])
		if flags&routeUp == 0 || flags&routeReject != 0 {
			continue
		}
		if flags&routeGateway == 0 {
			return true
		}
		var b [4]byte
		binary.NativeEndian.PutUint32(b[:], uint32(hexNumber(f[2])))
		return netip.AddrFrom4(b).String()
	}
	return false
}

// gateway6 reads destination, its length, source, its length, gateway, metric, …,
// flags, interface. The route of lowest metric counts.
func (c *collector) gateway6() any {
	var found any = false
	best := uint64(1) << 32
	for line := range strings.Lines(c.read("/proc/net/ipv6_route")) {
		f := strings.Fields(line)
		if len(f) < 10 || strings.Trim(f[0]+f[1], "0") != "" || f[9] == "lo" {
			continue
		}
		flags, metric := hexNumber(f[8]), hexNumber(f[5])
		if flags&routeUp == 0 || flags&routeReject != 0 || metric >= best {
			continue
		}
		best, found = metric, true
		if flags&routeGateway != 0 {
			if b, err := hex.DecodeString(f[4]); err == nil && len(b) == 16 {
				found = netip.AddrFrom16([16]byte(b)).String()
			}
		}
	}
	return found
}

// nameServers reads resolv.conf(5), that of systemd-resolved where it has one.
func (c *collector) nameServers() *wire.Map {
	file := "/run/systemd/resolve/resolv.conf"
	if !c.exists(file) {
		file = "/etc/resolv.conf"
	}
	if !c.exists(file) || c.m.Kernel == "Windows" {
		return nil
	}
	var all, four, six, sortlist, search, options []string
	domain := ""
	add := func(list *[]string, s string) {
		if !slices.Contains(*list, s) {
			*list = append(*list, s)
		}
	}
	for line := range strings.Lines(c.read(file)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		args := f[1:]
		if i := slices.IndexFunc(args, func(a string) bool { return a[0] == '#' || a[0] == ';' }); i >= 0 {
			args = args[:i]
		}
		if len(args) == 0 {
			continue
		}
		switch strings.ToLower(f[0]) {
		case "nameserver":
			a, err := netip.ParseAddr(args[0])
			if err != nil {
				c.Log.Error("name server is not an address", "file", file, "nameserver", args[0])
				continue
			}
			add(&all, a.String())
			if a.Is4() {
				add(&four, a.String())
			} else {
				add(&six, a.String())
			}
		case "domain":
			domain = args[0]
		case "search":
			search = args
		case "sortlist":
			for _, s := range args {
				if net := sortNet(s); net != "" {
					add(&sortlist, net)
				}
			}
		case "options":
			add(&options, args[0])
		}
	}
	return wire.NewMap("nameservers", texts(all), "ip4_nameservers", texts(four), "ip6_nameservers", texts(six),
		"sortlist", texts(sortlist), "domain", domain, "search", texts(search), "options", texts(options))
}

// sortNet writes a net of the sort list with its mask: "130.155.160.0/255.255.240.0".
// Without one the mask is that of the address's class.
func sortNet(s string) string {
	addr, mask, masked := strings.Cut(s, "/")
	a, err := netip.ParseAddr(addr)
	if err != nil || !a.Is4() {
		return ""
	}
	if masked {
		if m, err := netip.ParseAddr(mask); err == nil && m.Is4() {
			return addr + "/" + mask
		}
		return ""
	}
	b := a.As4()
	switch {
	case b[0] < 128:
		return netip.AddrFrom4([4]byte{b[0]}).String() + "/255.0.0.0"
	case b[0] < 192:
		return netip.AddrFrom4([4]byte{b[0], b[1]}).String() + "/255.255.0.0"
	case b[0] < 224:
		return netip.AddrFrom4([4]byte{b[0], b[1], b[2]}).String() + "/255.255.255.0"
	}
	return addr + "/255.255.255.255"
}
