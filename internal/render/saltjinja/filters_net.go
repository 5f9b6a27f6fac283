package saltjinja

import (
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gosalt/gosalt/jinja/py"
)

// ipValue is an address or an interface (an address with its net), as Python's
// ipaddress reads it.
type ipValue struct {
	addr netip.Addr
	bits int // -1 for an address alone
}

// version is 4 or 6.
func (v ipValue) version() int {
	if v.addr.Is4() {
		return 4
	}
	return 6
}

func (v ipValue) String() string {
	if v.bits < 0 {
		return addrText(v.addr)
	}
	return addrText(v.addr) + "/" + strconv.Itoa(v.bits)
}

// addrText writes an address as Python does, which has no dots in version 6.
func addrText(a netip.Addr) string {
	if !a.Is4In6() {
		return a.String()
	}
	b := a.As16()
	s := fmt.Sprintf("::ffff:%x:%x", uint16(b[12])<<8|uint16(b[13]), uint16(b[14])<<8|uint16(b[15]))
	if z := a.Zone(); z != "" {
		s += "%" + z
	}
	return s
}

// net is the net that the value lies in.
func (v ipValue) net() netip.Prefix {
	bits := v.bits
	if bits < 0 {
		bits = v.addr.BitLen()
	}
	p, _ := v.addr.Prefix(bits) // the number of bits was checked
	return p
}

// readAddr reads an address; addresses are not mapped from one version to the other.
func readAddr(s string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(s)
	if err != nil || strings.ContainsRune(a.Zone(), '%') {
		return netip.Addr{}, false
	}
	return a, true
}

// readIP is ip_address, or ip_interface for what is none.
func readIP(v py.Value) (ipValue, bool) {
	if n, ok := py.AsInt(v); ok {
		if n >= 0 {
			return intIP(uint64(n)), true
		}
		return ipValue{}, false
	}
	s, ok := py.AsString(v)
	if !ok {
		if b, ok := v.(py.Bytes); ok {
			if a, ok := netip.AddrFromSlice([]byte(b)); ok {
				return ipValue{a, -1}, true
			}
		}
		return ipValue{}, false
	}
	if a, ok := readAddr(s); ok {
		return ipValue{a, -1}, true
	}
	text, size, sized := strings.Cut(s, "/")
	a, ok := readAddr(text)
	if !ok || !sized {
		return ipValue{}, false
	}
	bits, err := strconv.Atoi(size)
	if err != nil || strings.Trim(size, "0123456789") != "" {
		m, ok := readAddr(size)
		if !ok || !m.Is4() || !a.Is4() {
			return ipValue{}, false
		}
		if bits = maskBits(m); bits < 0 {
			return ipValue{}, false
		}
	}
	if bits > a.BitLen() {
		return ipValue{}, false
	}
	return ipValue{a, bits}, true
}

func intIP(n uint64) ipValue {
	if n <= 0xffffffff {
		return ipValue{netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}), -1}
	}
	var b [16]byte
	for i := range 8 {
		b[15-i] = byte(n >> (8 * i))
	}
	return ipValue{netip.AddrFrom16(b), -1}
}

// maskBits is the number of leading ones of a mask, or of zeros of an inverted one.
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

func nets(texts string) []netip.Prefix {
	var out []netip.Prefix
	for s := range strings.FieldsSeq(texts) {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// What Python 3.11 takes for private and reserved (IANA special-purpose registries).
var (
	private4 = nets("0.0.0.0/8 10.0.0.0/8 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/29 192.0.0.170/31 192.0.2.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 240.0.0.0/4 255.255.255.255/32")
	private6 = nets("::1/128 ::/128 ::ffff:0:0/96 100::/64 2001::/23 2001:2::/48 2001:db8::/32 2001:10::/28 fc00::/7 fe80::/10")
	reserved = nets("::/8 100::/8 200::/7 400::/6 800::/5 1000::/4 4000::/3 6000::/3 8000::/3 A000::/3 C000::/3 E000::/4 F000::/5 F800::/6 FE00::/9 240.0.0.0/4")
	sites    = nets("fec0::/10")
	locals   = nets("169.254.0.0/16 fe80::/10")
	multi    = nets("224.0.0.0/4 ff00::/8")
	loops    = nets("127.0.0.0/8 ::1/128")
)

// within tells whether the address lies in one of the nets.
func (v ipValue) within(in []netip.Prefix) bool {
	a := v.addr.WithZone("")
	if a.Is4In6() {
		// netip looks through such addresses, Python does not; private are they alone
		// that its table names, and of that 3.11 has another opinion.
		b := a.As16()
		return slices.ContainsFunc(in, func(p netip.Prefix) bool {
			return p.Addr().Is6() && p.Bits() < 96 && prefixHas(p, b)
		})
	}
	return slices.ContainsFunc(in, func(p netip.Prefix) bool { return p.Contains(a) })
}

// prefixHas compares the first bits.
func prefixHas(p netip.Prefix, b [16]byte) bool {
	q := p.Addr().As16()
	for i := range p.Bits() {
		if (q[i/8]^b[i/8])>>(7-i%8)&1 != 0 {
			return false
		}
	}
	return true
}

// ipOptions are the properties that filters can ask for, in the order in which Salt
// looks at them.
var ipOptions = []struct {
	name string
	is   func(v ipValue) bool
}{
	{"global", notPrivate}, {"link-local", linkLocal}, {"linklocal", linkLocal}, {"ll", linkLocal}, {"link_local", linkLocal},
	{"loopback", loopback}, {"lo", loopback},
	{"multicast", func(v ipValue) bool { return v.within(multi) }},
	{"private", isPrivate}, {"public", notPrivate},
	{"reserved", func(v ipValue) bool { return v.within(reserved) }},
	{"site-local", siteLocal}, {"sl", siteLocal}, {"site_local", siteLocal},
	{"unspecified", func(v ipValue) bool { return v.addr.IsUnspecified() }},
}

func isPrivate(v ipValue) bool {
	if v.addr.Is4() {
		return v.within(private4)
	}
	return v.within(private6)
}

func notPrivate(v ipValue) bool { return !isPrivate(v) }
func linkLocal(v ipValue) bool  { return v.within(locals) }
func loopback(v ipValue) bool   { return v.within(loops) }
func siteLocal(v ipValue) bool  { return v.within(sites) }

// isIP is the text of an address of a version that has the options; None for others.
func isIP(c *py.Call, v py.Value, version int, options py.Value) (py.Value, error) {
	if u, ok := v.(*py.Undefined); ok {
		return nil, u.Fail()
	}
	ip, ok := readIP(v)
	if !ok || ip.version() != version {
		return nil, nil
	}
	some, err := py.Truth(c.T, options)
	if err != nil {
		return nil, err
	}
	if some {
		s, err := textArg(options, "split")
		if err != nil {
			return nil, err
		}
		asked := map[string]bool{}
		for o := range strings.SplitSeq(s, ",") {
			asked[py.Strip(o)] = true
		}
		for _, o := range ipOptions {
			if asked[o.name] && !o.is(ip) {
				return nil, nil
			}
		}
	}
	return ip.String(), nil
}

// filterIPs keeps the addresses of a version.
func filterIPs(c *py.Call, v py.Value, version int, options py.Value) (py.Value, error) {
	switch v.(type) {
	case string, py.Markup, py.Bytes:
		return isIP(c, v, version, options)
	case *py.Undefined:
		return nil, nil
	case *py.List, py.Tuple, py.Iterator:
		out := py.NewList()
		err := py.Each(c.T, v, func(e py.Value) error {
			ip, err := isIP(c, e, version, options)
			if ip != nil && err == nil {
				out.Items = append(out.Items, ip)
			}
			return err
		})
		return out, err
	}
	return nil, nil
}

func ipaddr(c *py.Call, v, options py.Value) (py.Value, error) {
	a, err := filterIPs(c, v, 4, options)
	if err != nil {
		return nil, err
	}
	b, err := filterIPs(c, v, 6, options)
	if err != nil {
		return nil, err
	}
	if a != nil && b != nil {
		return py.Binary(c.T, "+", a, b)
	}
	if some, err := py.Truth(c.T, a); some || err != nil {
		return a, err
	}
	return b, nil
}

// eachIP applies f to the addresses that ipaddr keeps: one result for a text, a list
// for a list.
func eachIP(c *py.Call, f func(ip ipValue) (py.Value, error)) (py.Value, error) {
	var kept py.Value
	var err error
	switch v, _ := py.AsInt(c.Args[2]); v {
	case 4, 6:
		kept, err = filterIPs(c, c.Args[0], int(v), c.Args[1])
	default:
		if c.Args[2] == nil {
			kept, err = ipaddr(c, c.Args[0], c.Args[1])
		}
	}
	if err != nil {
		return nil, err
	}
	some, err := py.Truth(c.T, kept)
	if err != nil || !some {
		return nil, err
	}
	l, isList := kept.(*py.List)
	if !isList {
		l = py.NewList(kept)
	}
	out := py.NewList()
	for _, e := range l.Items {
		ip, ok := readIP(e)
		if !ok {
			return nil, nil
		}
		r, err := f(ip)
		if err != nil {
			return nil, err
		}
		out.Items = append(out.Items, r)
	}
	switch c.Args[0].(type) {
	case *py.List, py.Tuple, py.Iterator:
		return out, nil
	}
	return out.Items[0], nil
}

// netSize is the number of addresses of a net.
func netSize(p netip.Prefix) *big.Int {
	return new(big.Int).Lsh(big.NewInt(1), uint(p.Addr().BitLen()-p.Bits()))
}

// hosts lists the addresses of a net that hosts can have.
func hosts(c *py.Call, p netip.Prefix) (py.Value, error) {
	n := netSize(p)
	if n.Cmp(big.NewInt(1<<20)) > 0 {
		return nil, py.Raise("MemoryError", "the net %s has %s addresses, at most 1048576 are listed", p, n)
	}
	out := py.NewList()
	count := n.Int64()
	host := p.Addr().BitLen() - p.Bits()
	a := p.Masked().Addr()
	for i := int64(0); i < count; i++ {
		skip := false
		if host > 1 {
			skip = i == 0 || p.Addr().Is4() && i == count-1
		}
		if !skip {
			s := addrText(a)
			if err := c.T.Alloc(len(s) + 16); err != nil {
				return nil, err
			}
			out.Items = append(out.Items, s)
		}
		a = a.Next()
	}
	return out, nil
}

func addNet(t table) {
	for _, version := range []int{4, 6} {
		t.add(fmt.Sprintf("is_ipv%d_filter/is_ipv%d", version, version), "ip_addr, options=None", func(c *py.Call) (py.Value, error) {
			v, err := isIP(c, c.Args[0], version, c.Args[1])
			return v != nil, err
		})
		t.add(fmt.Sprintf("ipv%d", version), "value, options=None", func(c *py.Call) (py.Value, error) {
			return filterIPs(c, c.Args[0], version, c.Args[1])
		})
	}
	t.add("is_ip_filter/is_ip", "ip_addr, options=None", func(c *py.Call) (py.Value, error) {
		v, err := isIP(c, c.Args[0], 4, c.Args[1])
		if v == nil && err == nil {
			v, err = isIP(c, c.Args[0], 6, c.Args[1])
		}
		return v != nil, err
	})
	t.add("ipaddr", "value, options=None", func(c *py.Call) (py.Value, error) { return ipaddr(c, c.Args[0], c.Args[1]) })
	t.add("ip_host", "value, options=None, version=None", func(c *py.Call) (py.Value, error) {
		return eachIP(c, func(ip ipValue) (py.Value, error) {
			if ip.bits < 0 {
				ip.bits = ip.addr.BitLen()
			}
			return ip.String(), nil
		})
	})
	t.add("network_hosts", "value, options=None, version=None", func(c *py.Call) (py.Value, error) {
		return eachIP(c, func(ip ipValue) (py.Value, error) { return hosts(c, ip.net()) })
	})
	t.add("network_size", "value, options=None, version=None", func(c *py.Call) (py.Value, error) {
		return eachIP(c, func(ip ipValue) (py.Value, error) { return py.NewInt(netSize(ip.net())), nil })
	})
	t.add("gen_mac", "prefix='AC:DE:48'", func(c *py.Call) (py.Value, error) {
		p, err := py.Str(c.T, c.Args[0])
		return fmt.Sprintf("%s:%02X:%02X:%02X", p, rand.IntN(256), rand.IntN(256), rand.IntN(256)), err
	})
	t.add("mac_str_to_bytes", "mac_str", func(c *py.Call) (py.Value, error) {
		s, ok := py.AsString(c.Args[0])
		if !ok {
			return nil, undefinedOr(c.Args[0], py.Raise("TypeError", "object of type '%s' has no len()", py.TypeName(c.Args[0])))
		}
		switch len(s) {
		case 12:
		case 17:
			s = strings.ReplaceAll(s, s[2:3], "")
		default:
			return nil, py.Raise("ValueError", "Invalid MAC address")
		}
		var b []byte
		for i := 0; i+2 <= 12; i += 2 {
			part := s[min(i, len(s)):min(i+2, len(s))]
			n, err := strconv.ParseUint(part, 16, 8)
			if err != nil {
				return nil, py.Raise("ValueError", "invalid literal for int() with base 16: %s", py.Quote(part))
			}
			b = append(b, byte(n))
		}
		return py.Bytes(b), nil
	})
	t.add("filter_by_networks", "values, networks", filterByNetworks)
	t.add("ipwrap", "data", func(c *py.Call) (py.Value, error) {
		wrap := func(v py.Value) (py.Value, error) {
			ip, err := isIP(c, v, 6, nil)
			if err != nil || ip == nil {
				return v, err
			}
			s, err := py.Str(c.T, v)
			if err != nil {
				return nil, err
			}
			a, ok := readAddr(strings.Trim(s, "[]"))
			if !ok {
				return nil, py.Raise("ValueError", "%s does not appear to be an IPv4 or IPv6 address", py.Quote(s))
			}
			return "[" + addrText(a) + "]", nil
		}
		switch c.Args[0].(type) {
		case *py.List, py.Tuple:
			out := py.NewList()
			err := py.Each(c.T, c.Args[0], func(e py.Value) error {
				w, err := wrap(e)
				out.Items = append(out.Items, w)
				return err
			})
			return out, err
		}
		return wrap(c.Args[0])
	})
	t.add("dns_check", "addr, port, safe=False, ipv6=None", dnsCheck)
}

func filterByNetworks(c *py.Call) (py.Value, error) {
	if c.Args[1] == nil {
		return c.Args[0], nil
	}
	var in []netip.Prefix
	err := py.Each(c.T, c.Args[1], func(e py.Value) error {
		s, _ := py.AsString(e)
		ip, ok := readIP(e)
		if !ok {
			return undefinedOr(e, py.Raise("ValueError", "%s does not appear to be an IPv4 or IPv6 network", py.Quote(s)))
		}
		if ip.net().Addr() != ip.addr {
			return py.Raise("ValueError", "%s has host bits set", s)
		}
		in = append(in, ip.net())
		return nil
	})
	if err != nil {
		return nil, err
	}
	keep := func(v py.Value) (py.Value, error) {
		out := py.NewList()
		return out, py.Each(c.T, v, func(e py.Value) error {
			s, _ := py.AsString(e)
			a, ok := readAddr(s)
			if !ok && len(in) > 0 {
				return undefinedOr(e, py.Raise("ValueError", "%s does not appear to be an IPv4 or IPv6 address", py.Quote(s)))
			}
			for _, p := range in {
				if p.Contains(a) {
					out.Items = append(out.Items, e)
				}
			}
			return nil
		})
	}
	switch x := c.Args[0].(type) {
	case *py.Dict:
		out := py.NewDict(x.Len())
		for k, v := range x.All() {
			l, err := keep(v)
			if err != nil {
				return nil, err
			}
			if err := out.Set(k, l); err != nil {
				return nil, err
			}
		}
		return out, nil
	case *py.List, py.Tuple, string:
		return keep(x)
	case *py.Undefined:
		return nil, x.Fail()
	}
	return nil, py.Raise("ValueError", "Do not know how to filter a <class '%s'>", py.FullTypeName(c.Args[0]))
}

// dnsCheck resolves a name and gives the first address that a connection can be made
// to, or the first.
func dnsCheck(c *py.Call) (py.Value, error) {
	host, err := textArg(c.Args[0], "encode")
	if err != nil {
		return nil, err
	}
	port, ok := py.AsInt(c.Args[1])
	if !ok {
		return nil, undefinedOr(c.Args[1], py.Raise("SaltSystemExit", "Attempt to resolve address '%s' failed. Invalid or unresolveable address", host))
	}
	network := "ip"
	if c.Args[3] != nil {
		six, err := py.Truth(c.T, c.Args[3])
		if err != nil {
			return nil, err
		}
		if network = "ip4"; six {
			network = "ip6"
		}
	}
	ctx := c.T.Context()
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, network, host)
	if err != nil && network == "ip6" {
		addrs, err = net.DefaultResolver.LookupNetIP(ctx, "ip4", host)
	}
	if err != nil || len(addrs) == 0 {
		if err == nil {
			err = errors.New("no address")
		}
		return nil, &py.Error{Type: "SaltSystemExit", Msg: fmt.Sprintf("DNS lookup or connection check of '%s' failed.", host), Err: err}
	}
	found := addrs[0].Unmap()
	d := net.Dialer{Timeout: 2 * time.Second}
	for _, a := range addrs {
		conn, err := d.DialContext(ctx, "tcp", netip.AddrPortFrom(a.Unmap(), uint16(port)).String())
		if err == nil {
			conn.Close()
			found = a.Unmap()
			break
		}
	}
	if found.Is6() {
		return "[" + found.String() + "]", nil
	}
	return found.String(), nil
}
