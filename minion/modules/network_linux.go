package modules

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// systemLinks asks the kernel over netlink (rtnetlink(7)).
func systemLinks() ([]netLink, error) {
	var out []netLink
	names, below := map[int32]string{}, map[int]int32{}
	at := map[int32]int{}
	err := eachMessage(unix.RTM_GETLINK, func(m syscall.NetlinkMessage) {
		if m.Header.Type != unix.RTM_NEWLINK || len(m.Data) < unix.SizeofIfInfomsg {
			return
		}
		kind := binary.NativeEndian.Uint16(m.Data[2:])
		index := int32(binary.NativeEndian.Uint32(m.Data[4:]))
		l := netLink{Up: binary.NativeEndian.Uint32(m.Data[8:])&unix.IFF_UP != 0}
		parent, elsewhere := int32(-1), false
		for typ, v := range attributes(m.Data[unix.SizeofIfInfomsg:]) {
			switch {
			case typ == unix.IFLA_IFNAME:
				l.Name = unix.ByteSliceToString(v)
			case typ == unix.IFLA_ADDRESS:
				l.HWAddr = hardwareAddr(kind, v)
			case typ == unix.IFLA_LINK && len(v) >= 4:
				parent = int32(binary.NativeEndian.Uint32(v))
			case typ == unix.IFLA_LINK_NETNSID:
				elsewhere = true
			}
		}
		names[index], at[index] = l.Name, len(out)
		if elsewhere {
			l.Parent = "if" + strconv.Itoa(int(parent))
		} else if parent == 0 {
			l.Parent = "NONE"
		} else if parent > 0 {
			below[len(out)] = parent
		}
		out = append(out, l)
	})
	if err != nil {
		return nil, err
	}
	for i, parent := range below {
		if out[i].Parent = names[parent]; out[i].Parent == "" {
			out[i].Parent = "if" + strconv.Itoa(int(parent))
		}
	}
	err = eachMessage(unix.RTM_GETADDR, func(m syscall.NetlinkMessage) {
		if m.Header.Type != unix.RTM_NEWADDR || len(m.Data) < unix.SizeofIfAddrmsg {
			return
		}
		i, known := at[int32(binary.NativeEndian.Uint32(m.Data[4:]))]
		if a, ok := address(m.Data); ok && known {
			if a.Label == "" {
				a.Label = out[i].Name
			}
			out[i].Addrs = append(out[i].Addrs, a)
		}
	})
	return out, err
}

// address reads one message about an address: family, bits, flags, scope, index and
// attributes.
func address(b []byte) (netAddr, bool) {
	bits, flags := int(b[1]), b[2]
	var a netAddr
	var local, far netip.Addr
	for typ, v := range attributes(b[unix.SizeofIfAddrmsg:]) {
		switch typ {
		case unix.IFA_LOCAL:
			local, _ = netip.AddrFromSlice(v)
		case unix.IFA_ADDRESS:
			far, _ = netip.AddrFromSlice(v)
		case unix.IFA_BROADCAST:
			a.Broadcast, _ = netip.AddrFromSlice(v)
		case unix.IFA_LABEL:
			a.Label = unix.ByteSliceToString(v)
		}
	}
	if !local.IsValid() {
		local = far
	}
	if local != far { // the other end of a line: the net is that of the other end
		bits = local.BitLen()
	}
	a.Prefix = netip.PrefixFrom(local, bits)
	a.Secondary = local.Is4() && flags&unix.IFA_F_SECONDARY != 0
	a.Scope = scopeName(b[3])
	return a, a.Prefix.IsValid()
}

// scopeName is what ip(8) calls a scope (rt_scopes).
func scopeName(n byte) string {
	switch n {
	case unix.RT_SCOPE_UNIVERSE:
		return "global"
	case unix.RT_SCOPE_SITE:
		return "site"
	case unix.RT_SCOPE_LINK:
		return "link"
	case unix.RT_SCOPE_HOST:
		return "host"
	case unix.RT_SCOPE_NOWHERE:
		return "nowhere"
	}
	return strconv.Itoa(int(n))
}

func eachMessage(request int, each func(syscall.NetlinkMessage)) error {
	rib, err := syscall.NetlinkRIB(request, unix.AF_UNSPEC)
	if err != nil {
		return fmt.Errorf("ask the kernel: %w", err)
	}
	msgs, err := syscall.ParseNetlinkMessage(rib)
	if err != nil {
		return fmt.Errorf("read the kernel's answer: %w", err)
	}
	for _, m := range msgs {
		each(m)
	}
	return nil
}

// attributes yields the attributes of a message.
func attributes(b []byte) func(yield func(typ uint16, value []byte) bool) {
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= unix.SizeofRtAttr {
			size := int(binary.NativeEndian.Uint16(b))
			if size < unix.SizeofRtAttr || size > len(b) {
				return
			}
			if !yield(binary.NativeEndian.Uint16(b[2:])&0x3fff, b[unix.SizeofRtAttr:size]) {
				return
			}
			b = b[min(len(b), (size+3)&^3):]
		}
	}
}

// hardwareAddr writes an address as ip(8) does: that of a tunnel is an IP address.
func hardwareAddr(kind uint16, b []byte) string {
	switch kind {
	case unix.ARPHRD_TUNNEL, unix.ARPHRD_SIT, unix.ARPHRD_IPGRE, unix.ARPHRD_TUNNEL6, unix.ARPHRD_IP6GRE:
		if a, ok := netip.AddrFromSlice(b); ok {
			return a.String()
		}
	}
	return strings.ToLower(net.HardwareAddr(b).String())
}

// route is the way to an address.
type route struct {
	gateway, source netip.Addr // invalid without one
	iface           string
}

// routeTo asks the kernel which way it would take to an address.
func routeTo(to netip.Addr) (route, error) {
	family := byte(unix.AF_INET)
	if !to.Is4() {
		family = unix.AF_INET6
	}
	b := make([]byte, unix.SizeofNlMsghdr+unix.SizeofRtMsg+unix.SizeofRtAttr, 64)
	binary.NativeEndian.PutUint16(b[4:], unix.RTM_GETROUTE)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST)
	b[16], b[17] = family, byte(to.BitLen())
	binary.NativeEndian.PutUint16(b[28:], uint16(unix.SizeofRtAttr+to.BitLen()/8))
	binary.NativeEndian.PutUint16(b[30:], unix.RTA_DST)
	b = append(b, to.AsSlice()...)
	binary.NativeEndian.PutUint32(b, uint32(len(b)))

	s, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return route{}, err
	}
	defer unix.Close(s)
	if err := unix.Sendto(s, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return route{}, err
	}
	buf := make([]byte, 8<<10)
	n, _, err := unix.Recvfrom(s, buf, 0)
	if err != nil {
		return route{}, err
	}
	msgs, err := syscall.ParseNetlinkMessage(buf[:n])
	if err != nil {
		return route{}, err
	}
	for _, m := range msgs {
		switch {
		case m.Header.Type == unix.NLMSG_ERROR && len(m.Data) >= 4:
			return route{}, syscall.Errno(-int32(binary.NativeEndian.Uint32(m.Data)))
		case m.Header.Type == unix.RTM_NEWROUTE && len(m.Data) >= unix.SizeofRtMsg:
			return readRoute(m.Data[unix.SizeofRtMsg:])
		}
	}
	return route{}, errors.New("the kernel did not answer")
}

func readRoute(b []byte) (r route, err error) {
	for typ, v := range attributes(b) {
		switch {
		case typ == unix.RTA_GATEWAY:
			r.gateway, _ = netip.AddrFromSlice(v)
		case typ == unix.RTA_VIA && len(v) > 2: // the family stands before it
			r.gateway, _ = netip.AddrFromSlice(v[2:])
		case typ == unix.RTA_PREFSRC:
			r.source, _ = netip.AddrFromSlice(v)
		case typ == unix.RTA_OIF && len(v) >= 4:
			i, err := net.InterfaceByIndex(int(binary.NativeEndian.Uint32(v)))
			if err != nil {
				return r, err
			}
			r.iface = i.Name
		}
	}
	return r, nil
}

// setHostname gives the running system a name.
func setHostname(name string) error { return unix.Sethostname([]byte(name)) }
