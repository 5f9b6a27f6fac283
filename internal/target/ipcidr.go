package target

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/gosalt/gosalt/protocol/wire"
)

// ipMatch is an address or a network that one of a minion's addresses must be, or lie
// in: those of the grain ipv4 or ipv6.
type ipMatch struct {
	grain  string
	addr   netip.Addr
	prefix netip.Prefix // valid for a network
}

func (p *parser) ipMatcher(expr string, offset int) (matcher, error) {
	p.uses.grains = true
	if addr, err := parseAddr(expr); err == nil {
		return &ipMatch{grain: ipGrain(addr), addr: addr}, nil
	}
	prefix, err := parseNetwork(expr)
	if err != nil {
		return nil, p.fail(offset, "%v", err)
	}
	return &ipMatch{grain: ipGrain(prefix.Addr()), prefix: prefix}, nil
}

func ipGrain(a netip.Addr) string {
	if a.Is4() {
		return "ipv4"
	}
	return "ipv6"
}

// parseAddr reads an address as Python's ipaddress does.
func parseAddr(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err == nil && a.Zone() != "" && strings.ContainsAny(a.Zone(), "%/") {
		return netip.Addr{}, fmt.Errorf("%q has a bad zone", s)
	}
	return a, err
}

// parseNetwork reads "10.0.0.0/8", "10.0.0.0/255.0.0.0" or "10.0.0.0/0.255.255.255".
func parseNetwork(s string) (netip.Prefix, error) {
	head, tail, found := strings.Cut(s, "/")
	addr, err := netip.ParseAddr(head)
	if err != nil || !found || addr.Zone() != "" {
		return netip.Prefix{}, fmt.Errorf("an address or a network is expected, as 10.0.0.7 or 10.0.0.0/8, got %q", s)
	}
	bits, ok := prefixLength(tail, addr.BitLen())
	if !ok {
		return netip.Prefix{}, fmt.Errorf(`a length of 0 to %d or a mask is expected behind the "/", got %q`, addr.BitLen(), tail)
	}
	prefix := netip.PrefixFrom(addr, bits)
	if masked := prefix.Masked(); masked != prefix {
		return netip.Prefix{}, fmt.Errorf("%s has bits set behind its length: write %s for the network, %s for the address", s, masked, head)
	}
	return prefix, nil
}

// prefixLength reads a length, for IPv4 also a mask or its inverse.
func prefixLength(s string, size int) (int, bool) {
	if s != "" && strings.Trim(s, "0123456789") == "" {
		n, err := strconv.Atoi(s)
		return n, err == nil && n <= size
	}
	mask, err := netip.ParseAddr(s)
	if err != nil || size != 32 || !mask.Is4() {
		return 0, false
	}
	b := mask.As4()
	v := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	for _, v := range []uint32{v, ^v} {
		for bits := 0; bits <= 32; bits++ {
			if v == ^uint32(uint64(1)<<(32-bits)-1) {
				return bits, true
			}
		}
	}
	return 0, false
}

func (m *ipMatch) match(s *Subject) (bool, error) {
	if s.Unknown != Seen {
		return s.unknown(), nil
	}
	v, ok := s.Grains.Get(m.grain)
	if !ok {
		return false, nil
	}
	switch v := v.(type) {
	case string:
		return m.one(v), nil
	case []any:
		for _, e := range v {
			if text, ok := e.(string); ok && m.one(text) {
				return true, nil
			}
		}
	case *wire.Map: // as in Python, a map holds its keys
		for k := range v.Strings() {
			if m.one(k) {
				return true, nil
			}
		}
	}
	return false, nil
}

func (m *ipMatch) one(text string) bool {
	a, err := netip.ParseAddr(text)
	if err != nil {
		return false
	}
	if m.prefix.IsValid() {
		return m.prefix.Contains(a.WithZone(""))
	}
	return a == m.addr
}
