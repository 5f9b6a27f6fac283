//go:build !linux

package modules

import (
	"net"
	"net/netip"
)

// systemLinks are the interfaces with what every system tells of them.
func systemLinks() ([]netLink, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var out []netLink
	for _, i := range all {
		l := netLink{Name: i.Name, Up: i.Flags&net.FlagUp != 0, HWAddr: i.HardwareAddr.String()}
		addrs, err := i.Addrs()
		if err != nil {
			return nil, err
		}
		for _, a := range addrs {
			p, err := netip.ParsePrefix(a.String())
			if err != nil {
				continue // no IP address
			}
			addr := netAddr{Prefix: netip.PrefixFrom(p.Addr().WithZone(""), p.Bits()), Label: i.Name, Scope: "global"}
			switch {
			case p.Addr().IsLoopback():
				addr.Scope = "host"
			case p.Addr().IsLinkLocalUnicast():
				addr.Scope = "link"
			}
			if p.Addr().Is4() && i.Flags&net.FlagBroadcast != 0 {
				addr.Broadcast = broadcast(p)
			}
			l.Addrs = append(l.Addrs, addr)
		}
		out = append(out, l)
	}
	return out, nil
}

// route is the way to an address.
type route struct {
	gateway, source netip.Addr // invalid without one
	iface           string
}

// routeTo cannot ask these systems.
func routeTo(to netip.Addr) (route, error) { return route{}, linuxOnly("the route to an address") }

// setHostname cannot name these systems.
func setHostname(string) error { return linuxOnly("another way to set the host name") }
