package modules

import (
	"context"
	"fmt"
	"math/big"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("network.calc_net", networkCalcNet)
	register("network.convert_cidr", networkConvertCidr)
	register("network.ip_in_subnet", networkIPInSubnet)
	register("network.is_private", networkIsPrivate)
	register("network.is_loopback", networkIsLoopback)
	register("network.reverse_ip", networkReverseIP)
	register("network.iphexval", networkIphexval)
}

// textOf is a value as text: None is "".
func textOf(v any) string {
	if v == nil {
		return ""
	}
	return pytext.Str(v)
}

// parseAddr reads an address.
func parseAddr(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return a, module.Invalidf("'%s' does not appear to be an IPv4 or IPv6 address", s)
	}
	return a, nil
}

// parseNetwork reads a net as Python's ipaddress does: an address with the number of
// its bits, a mask or an inverted mask behind a slash, or an address alone. Strict
// refuses addresses that are not the first of their net.
func parseNetwork(s string, strict bool) (netip.Prefix, error) {
	bad := module.Invalidf("'%s' does not appear to be an IPv4 or IPv6 network", s)
	text, size, sized := strings.Cut(s, "/")
	a, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Prefix{}, bad
	}
	bits := a.BitLen()
	if sized {
		if bits, err = strconv.Atoi(size); err != nil || strings.Trim(size, "0123456789") != "" {
			m, err := netip.ParseAddr(size)
			if err != nil || !m.Is4() || !a.Is4() {
				return netip.Prefix{}, bad
			}
			if bits = maskBits(m); bits < 0 {
				return netip.Prefix{}, bad
			}
		}
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}, bad
	}
	if strict && p.Addr() != a {
		return netip.Prefix{}, module.Invalidf("%s has host bits set: the net is %s", s, p)
	}
	return p, nil
}

// maskBits is the number of leading ones of a mask, or of zeros of an inverted one;
// -1 for what is neither.
func maskBits(m netip.Addr) int {
	b := m.As4()
	n := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	for bits := range 33 {
		mask := ^uint32(0) << (32 - bits)
		if n == mask && n != 0 || n == ^mask && n != ^uint32(0) {
			return bits
		}
	}
	return -1
}

// netmask is the mask of a net, written as an address.
func netmask(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := range b {
		b[i] = ^byte(0) << (8 - min(8, max(0, p.Bits()-8*i)))
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// broadcast is the last address of a net.
func broadcast(p netip.Prefix) netip.Addr {
	b, mask := p.Masked().Addr().AsSlice(), netmask(p).AsSlice()
	for i := range b {
		b[i] |= ^mask[i]
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// netSize is the number of addresses of a net; as text where no number of the wire
// can hold it, which is what Salt sends then.
func netSize(p netip.Prefix) any {
	host := p.Addr().BitLen() - p.Bits()
	if host < 63 {
		return int64(1) << host
	}
	if host == 63 {
		return uint64(1) << 63
	}
	return new(big.Int).Lsh(big.NewInt(1), uint(host)).String()
}

type networkCalcNetArgs struct {
	IPAddr  string // An address, with the size of its net where netmask is not given.
	Netmask any    `default:"None"` // Mask of the net, or the number of its bits.
}

// networkCalcNet returns the net of an address.
//
//	gosalt '*' network.calc_net 172.17.0.5 255.255.255.240
//	gosalt '*' network.calc_net 2a02:f6e:a000:80:84d8:8332:7866:4e07/64
func networkCalcNet(ctx context.Context, c *module.Call, a networkCalcNetArgs) (string, error) {
	if a.Netmask != nil {
		a.IPAddr += "/" + textOf(a.Netmask)
	}
	p, err := parseNetwork(a.IPAddr, false)
	if err != nil {
		return "", err
	}
	return p.String(), nil
}

type networkConvertCidrArgs struct {
	Cidr string // A net, or an address of it: 172.31.0.0/16.
}

// networkConvertCidr returns the first address, the mask and the last address of a
// net.
//
//	gosalt '*' network.convert_cidr 172.31.0.0/16
func networkConvertCidr(ctx context.Context, c *module.Call, a networkConvertCidrArgs) (*wire.Map, error) {
	p, err := parseNetwork(a.Cidr, false)
	if err != nil {
		return nil, err
	}
	return wire.NewMap("network", p.Addr().String(), "netmask", netmask(p).String(), "broadcast", broadcast(p).String()), nil
}

type networkIPInSubnetArgs struct {
	IPAddr any    // An address, or a list of addresses.
	Cidr   string // A net: 172.16.0.0/12.
}

// networkIPInSubnet tells whether an address, or one of several, is in a net.
//
//	gosalt '*' network.ip_in_subnet 172.17.0.4 172.16.0.0/12
func networkIPInSubnet(ctx context.Context, c *module.Call, a networkIPInSubnetArgs) (bool, error) {
	net, err := parseNetwork(a.Cidr, true)
	if err != nil {
		c.Log.Error("not a net, no address is in it", "cidr", a.Cidr, "error", err)
		return false, nil
	}
	list, many := a.IPAddr.([]any)
	if !many {
		list = []any{a.IPAddr}
	}
	for _, v := range list {
		addr, err := parseAddr(textOf(v))
		if err != nil {
			return false, err
		}
		if net.Contains(addr.WithZone("")) {
			return true, nil
		}
	}
	return false, nil
}

type ipAddrArgs struct {
	IPAddr string // An address.
}

// networkIsPrivate tells whether an address is for private nets, or else not for the
// Internet (the registries of IANA for special purposes).
//
//	gosalt '*' network.is_private 10.0.0.3
func networkIsPrivate(ctx context.Context, c *module.Call, a ipAddrArgs) (bool, error) {
	addr, err := parseAddr(a.IPAddr)
	return err == nil && isPrivate(addr), err
}

// The registries that Python 3.11 knows, in which the nets of notPrivate are set apart
// again (IANA IPv4 and IPv6 Special-Purpose Address Registry).
var (
	private = prefixes(`0.0.0.0/8 10.0.0.0/8 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 192.168.0.0/16
		198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 240.0.0.0/4
		::1/128 ::/128 64:ff9b:1::/48 100::/64 2001::/23 2001:db8::/32 2002::/16 fc00::/7 fe80::/10`)
	notPrivate = prefixes(`192.0.0.9/32 192.0.0.10/32
		2001:1::1/128 2001:1::2/128 2001:3::/32 2001:4:112::/48 2001:20::/28 2001:30::/28`)
)

func prefixes(text string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range strings.Fields(text) {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func isPrivate(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	contains := func(p netip.Prefix) bool { return p.Contains(a) }
	return slices.ContainsFunc(private, contains) && !slices.ContainsFunc(notPrivate, contains)
}

// networkIsLoopback tells whether an address is one of a machine to itself.
//
//	gosalt '*' network.is_loopback 127.0.0.1
func networkIsLoopback(ctx context.Context, c *module.Call, a ipAddrArgs) (bool, error) {
	addr, err := parseAddr(a.IPAddr)
	return err == nil && addr.IsLoopback() && !addr.Is4In6(), err
}

// networkReverseIP returns the name under which name servers have the name of an
// address.
//
//	gosalt '*' network.reverse_ip 127.0.0.1
func networkReverseIP(ctx context.Context, c *module.Call, a ipAddrArgs) (string, error) {
	addr, err := parseAddr(a.IPAddr)
	if err != nil {
		return "", err
	}
	var parts []string
	for _, b := range slices.Backward(addr.AsSlice()) {
		if addr.Is4() {
			parts = append(parts, strconv.Itoa(int(b)))
		} else {
			parts = append(parts, strconv.FormatInt(int64(b&15), 16), strconv.FormatInt(int64(b>>4), 16))
		}
	}
	if addr.Is4() {
		return strings.Join(parts, ".") + ".in-addr.arpa", nil
	}
	return strings.Join(parts, ".") + ".ip6.arpa", nil
}

type networkIphexvalArgs struct {
	IP string `arg:"ip"` // An IPv4 address.
}

// networkIphexval returns an IPv4 address in hexadecimal digits.
//
//	gosalt '*' network.iphexval 10.0.0.1
func networkIphexval(ctx context.Context, c *module.Call, a networkIphexvalArgs) (string, error) {
	addr, err := parseAddr(a.IP)
	if err != nil {
		return "", err
	}
	if !addr.Is4() {
		return "", module.Invalidf("an IPv4 address is expected, got %s", a.IP)
	}
	return fmt.Sprintf("%X", addr.AsSlice()), nil
}
