package modules

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("network.routes", networkRoutes)
	register("network.default_route", networkDefaultRoute)
	register("network.get_route", networkGetRoute)
	register("network.arp", networkArp)
}

type familyArgs struct {
	Family string `default:"None"` // inet or inet6: only these.
}

// networkRoutes returns the routes of the machine: with IPv4 the main table, with
// IPv6 also the kernel's own entries.
//
//	gosalt '*' network.routes
func networkRoutes(ctx context.Context, c *module.Call, a familyArgs) ([]any, error) {
	if a.Family != "" && a.Family != "inet" && a.Family != "inet6" {
		return nil, module.Failf("Invalid address family %s", a.Family)
	}
	out := []any{}
	if a.Family != "inet6" {
		text, err := procFile(c, "/proc/net/route")
		if err != nil {
			return nil, err
		}
		out = append(out, routes4(text)...)
	}
	if a.Family != "inet" {
		text, err := procFile(c, "/proc/net/ipv6_route")
		if err != nil {
			return nil, err
		}
		out = append(out, routes6(text)...)
	}
	return out, nil
}

// routeFlags are the letters of route(8), in its order (linux/route.h, ipv6_route.h).
var routeFlags = []struct {
	bit    uint64
	letter string
	four   bool
}{
	{0x2, "G", true}, {0x4, "H", true}, {0x8, "R", true}, {0x10, "D", true}, {0x20, "M", true},
	{0x2, "G", false}, {0x4, "H", false}, {0x10000, "D", false}, {0x40000, "A", false}, {0x1000000, "C", false},
	{0x20000, "a", false}, {0x400000, "e", false}, {0x20, "m", false}, {0x200000, "n", false}, {0x2000000, "f", false},
}

func flagLetters(flags uint64, four bool) string {
	s := "U"
	if flags&0x200 != 0 { // refused
		s = "!"
	}
	for _, f := range routeFlags {
		if f.four == four && flags&f.bit != 0 {
			s += f.letter
		}
	}
	return s
}

// routes4 reads lines of interface, destination, gateway, flags, …, mask in
// hexadecimal digits, numbers in the byte order of the machine.
func routes4(text string) []any {
	out := []any{}
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 8 || f[0] == "Iface" {
			continue
		}
		flags, _ := strconv.ParseUint(f[3], 16, 64)
		out = append(out, wire.NewMap("addr_family", "inet", "destination", hexAddr(f[1]).String(), "gateway", hexAddr(f[2]).String(),
			"netmask", hexAddr(f[7]).String(), "flags", flagLetters(flags, true), "interface", f[0]))
	}
	return out
}

// routes6 reads lines of destination, its bits, source, its bits, gateway, metric, …,
// flags, interface.
func routes6(text string) []any {
	out := []any{}
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 10 {
			continue
		}
		bits, err := strconv.ParseUint(f[1], 16, 8)
		to, ok := hexAddr6(f[0])
		via, ok2 := hexAddr6(f[4])
		flags, err2 := strconv.ParseUint(f[8], 16, 64)
		if err != nil || err2 != nil || !ok || !ok2 {
			continue
		}
		out = append(out, wire.NewMap("addr_family", "inet6", "destination", netip.PrefixFrom(to, int(bits)).String(),
			"gateway", via.String(), "netmask", "", "flags", flagLetters(flags, false), "interface", f[9]))
	}
	return out
}

// hexAddr reads an address as the kernel prints those of sockets and routes: 32 bits
// at a time, in the byte order of the machine. The zero address is for what is none.
func hexAddr(s string) netip.Addr {
	b, err := hex.DecodeString(s)
	if err != nil || len(b)%4 != 0 {
		return netip.IPv4Unspecified()
	}
	for i := 0; i < len(b); i += 4 {
		binary.NativeEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
	}
	a, ok := netip.AddrFromSlice(b)
	if !ok {
		return netip.IPv4Unspecified()
	}
	return a
}

// hexAddr6 reads an IPv6 address in 32 digits.
func hexAddr6(s string) (netip.Addr, bool) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != 16 {
		return netip.Addr{}, false
	}
	return netip.AddrFrom16([16]byte(b)), true
}

// networkDefaultRoute returns the routes that are taken where there is no other.
//
//	gosalt '*' network.default_route
func networkDefaultRoute(ctx context.Context, c *module.Call, a familyArgs) ([]any, error) {
	all, err := networkRoutes(ctx, c, a)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(v any) bool {
		to := v.(*wire.Map).Text("destination")
		return to != "0.0.0.0" && to != "::/0"
	}), nil
}

type networkGetRouteArgs struct {
	IP string `arg:"ip"` // An address.
}

// networkGetRoute returns the way that the system takes to an address: gateway,
// interface and own address.
//
//	gosalt '*' network.get_route 10.10.10.10
func networkGetRoute(ctx context.Context, c *module.Call, a networkGetRouteArgs) (*wire.Map, error) {
	to, err := parseAddr(a.IP)
	if err != nil {
		return nil, err
	}
	r, err := routeTo(to.WithZone(""))
	if err != nil {
		return nil, module.Failf("no route to %s: %w", a.IP, err)
	}
	orNone := func(a netip.Addr) any {
		if !a.IsValid() {
			return nil
		}
		return a.String()
	}
	return wire.NewMap("destination", a.IP, "gateway", orNone(r.gateway), "interface", r.iface, "source", orNone(r.source)), nil
}

// networkArp returns the IPv4 addresses of the neighbours by their hardware
// addresses.
//
//	gosalt '*' network.arp
func networkArp(ctx context.Context, c *module.Call, a noArgs) (*wire.Map, error) {
	text, err := procFile(c, "/proc/net/arp")
	if err != nil {
		return nil, err
	}
	ret := wire.NewMap()
	for line := range strings.Lines(text) { // address, kind, flags, hardware address, mask, interface
		f := strings.Fields(line)
		if len(f) != 6 {
			continue // the heading
		}
		hw := f[3]
		if f[2] == "0x0" {
			hw = "<incomplete>"
		}
		ret.Set(hw, f[0])
	}
	return ret, nil
}
