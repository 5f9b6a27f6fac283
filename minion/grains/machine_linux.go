package grains

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

func (m *Machine) ask() error {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return fmt.Errorf("uname: %w", err)
	}
	m.Kernel, m.Nodename = unix.ByteSliceToString(u.Sysname[:]), unix.ByteSliceToString(u.Nodename[:])
	m.Release, m.Version = unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Version[:])
	m.Arch = unix.ByteSliceToString(u.Machine[:])
	return nil
}

// links asks the kernel over netlink (rtnetlink(7)), which tells secondary addresses
// from first ones.
func links() ([]Link, error) {
	var out []Link
	index := map[int32]int{}
	err := netlink(syscall.RTM_GETLINK, func(msg syscall.NetlinkMessage) {
		if msg.Header.Type != syscall.RTM_NEWLINK || len(msg.Data) < syscall.SizeofIfInfomsg {
			return
		}
		kind := binary.NativeEndian.Uint16(msg.Data[2:])
		l := Link{}
		for typ, value := range attributes(msg, syscall.SizeofIfInfomsg) {
			switch typ {
			case syscall.IFLA_IFNAME:
				l.Name = unix.ByteSliceToString(value)
			case syscall.IFLA_ADDRESS:
				l.HWAddr = hwAddr(kind, value)
			}
		}
		index[int32(binary.NativeEndian.Uint32(msg.Data[4:]))] = len(out)
		out = append(out, l)
	})
	if err != nil {
		return nil, err
	}
	err = netlink(syscall.RTM_GETADDR, func(msg syscall.NetlinkMessage) {
		if msg.Header.Type != syscall.RTM_NEWADDR || len(msg.Data) < syscall.SizeofIfAddrmsg {
			return
		}
		i, ok := index[int32(binary.NativeEndian.Uint32(msg.Data[4:]))]
		if !ok {
			return
		}
		addr := ""
		for typ, value := range attributes(msg, syscall.SizeofIfAddrmsg) {
			a, ok := netip.AddrFromSlice(value)
			if ok && (typ == syscall.IFA_LOCAL || typ == syscall.IFA_ADDRESS && addr == "") {
				addr = a.String() // with a peer, IFA_ADDRESS is the peer's
			}
		}
		family, flags := msg.Data[0], msg.Data[2]
		switch {
		case addr == "":
		case family == syscall.AF_INET6:
			out[i].IPv6 = append(out[i].IPv6, addr)
		case flags&syscall.IFA_F_SECONDARY != 0:
			out[i].Secondary = append(out[i].Secondary, addr)
		default:
			out[i].IPv4 = append(out[i].IPv4, addr)
		}
	})
	return out, err
}

func netlink(request int, each func(syscall.NetlinkMessage)) error {
	rib, err := syscall.NetlinkRIB(request, syscall.AF_UNSPEC)
	if err != nil {
		return fmt.Errorf("ask the kernel for its interfaces: %w", err)
	}
	msgs, err := syscall.ParseNetlinkMessage(rib)
	if err != nil {
		return fmt.Errorf("read the kernel's interfaces: %w", err)
	}
	for _, m := range msgs {
		each(m)
	}
	return nil
}

// attributes yields the attributes behind a header of that size.
func attributes(msg syscall.NetlinkMessage, header int) func(yield func(typ uint16, value []byte) bool) {
	return func(yield func(uint16, []byte) bool) {
		b := msg.Data[header:]
		for len(b) >= syscall.SizeofRtAttr {
			size := int(binary.NativeEndian.Uint16(b))
			if size < syscall.SizeofRtAttr || size > len(b) {
				return
			}
			if !yield(binary.NativeEndian.Uint16(b[2:])&0x3fff, b[syscall.SizeofRtAttr:size]) {
				return
			}
			b = b[min(len(b), (size+3)&^3):]
		}
	}
}

// hwAddr writes an address as ip(8) does: that of a tunnel is an IP address.
func hwAddr(kind uint16, b []byte) string {
	switch kind {
	case unix.ARPHRD_TUNNEL, unix.ARPHRD_SIT, unix.ARPHRD_IPGRE:
		if len(b) == 4 {
			return net.IP(b).String()
		}
	case unix.ARPHRD_TUNNEL6, unix.ARPHRD_IP6GRE:
		if len(b) == 16 {
			return net.IP(b).String()
		}
	}
	return strings.ToLower(net.HardwareAddr(b).String())
}
