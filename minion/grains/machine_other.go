//go:build !linux

package grains

import (
	"fmt"
	"net"
)

func links() ([]Link, error) {
	list, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("read the network interfaces: %w", err)
	}
	var out []Link
	for _, i := range list {
		l := Link{Name: i.Name, HWAddr: i.HardwareAddr.String()}
		addrs, err := i.Addrs()
		if err != nil {
			return nil, fmt.Errorf("read the addresses of %s: %w", i.Name, err)
		}
		for _, a := range addrs {
			ip, ok := a.(*net.IPNet)
			switch {
			case !ok:
			case ip.IP.To4() != nil:
				l.IPv4 = append(l.IPv4, ip.IP.String())
			default:
				l.IPv6 = append(l.IPv6, ip.IP.String())
			}
		}
		out = append(out, l)
	}
	return out, nil
}
