package modules

import (
	"context"
	"net/netip"
	"os"
	"path"
	"strconv"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("network.active_tcp", networkActiveTCP)
	register("network.netstat", networkNetstat)
}

// socket is one line of /proc/net/tcp and its kin (proc_net(5)).
type socket struct {
	proto         string // tcp, tcp6, udp, udp6
	local, remote netip.AddrPort
	state         uint64 // as tcpStates counts
	send, receive uint64 // bytes that wait
	uid, inode    string
}

// tcpStates are the names of states from 1 on (linux/tcp_states.h), as netstat(8)
// writes them.
var tcpStates = []string{"", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSE",
	"CLOSE_WAIT", "LAST_ACK", "LISTEN", "CLOSING", "SYN_RECV"}

func (s socket) stateName() string {
	if s.state < uint64(len(tcpStates)) {
		return tcpStates[s.state]
	}
	return "UNKNOWN"
}

const tcpEstablished = 1

// sockets reads the sockets of these protocols. One that this kernel does not have,
// as tcp6, has none.
func sockets(c *module.Call, protos ...string) ([]socket, error) {
	if err := linuxOnly("the sockets of the machine"); err != nil {
		return nil, err
	}
	var out []socket
	for _, proto := range protos {
		b, err := os.ReadFile(c.Host.Path("/proc/net/" + proto))
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return nil, module.Failf("%w", err)
		}
		for line := range strings.Lines(string(b)) {
			if s, ok := readSocket(line); ok {
				s.proto = proto
				out = append(out, s)
			}
		}
	}
	return out, nil
}

// readSocket reads number, local address, remote address, state, queues, timer,
// retransmissions, user, timeouts, inode.
func readSocket(line string) (s socket, ok bool) {
	f := strings.Fields(line)
	if len(f) < 10 || f[0] == "sl" {
		return s, false
	}
	addr := func(text string) netip.AddrPort {
		a, port, _ := strings.Cut(text, ":")
		n, err := strconv.ParseUint(port, 16, 16)
		ok = ok && err == nil
		return netip.AddrPortFrom(hexAddr(a), uint16(n))
	}
	number := func(text string) uint64 {
		n, err := strconv.ParseUint(text, 16, 64)
		ok = ok && err == nil
		return n
	}
	ok = true
	send, receive, _ := strings.Cut(f[4], ":")
	s = socket{local: addr(f[1]), remote: addr(f[2]), state: number(f[3]), send: number(send), receive: number(receive), uid: f[7], inode: f[9]}
	return s, ok
}

// networkActiveTCP returns the TCP connections that are established, by a number.
//
//	gosalt '*' network.active_tcp
func networkActiveTCP(ctx context.Context, c *module.Call, a noArgs) (*wire.Map, error) {
	all, err := sockets(c, "tcp", "tcp6")
	if err != nil {
		return nil, err
	}
	ret := wire.NewMap()
	for _, s := range all {
		if s.state == tcpEstablished {
			ret.SetAny(int64(ret.Len()), wire.NewMap(
				"local_addr", s.local.Addr().Unmap().String(), "local_port", int64(s.local.Port()),
				"remote_addr", s.remote.Addr().Unmap().String(), "remote_port", int64(s.remote.Port())))
		}
	}
	return ret, nil
}

// networkNetstat returns all TCP and UDP sockets with their user and program. What
// belongs to others is told to root only.
//
//	gosalt '*' network.netstat
func networkNetstat(ctx context.Context, c *module.Call, a noArgs) ([]any, error) {
	all, err := sockets(c, "tcp", "tcp6", "udp", "udp6")
	if err != nil {
		return nil, err
	}
	programs := socketPrograms(c)
	out := make([]any, len(all))
	for i, s := range all {
		m := wire.NewMap("proto", s.proto, "recv-q", strconv.FormatUint(s.receive, 10), "send-q", strconv.FormatUint(s.send, 10),
			"local-address", hostPort(s.local), "remote-address", hostPort(s.remote))
		if strings.HasPrefix(s.proto, "tcp") {
			m.Set("state", s.stateName())
		}
		program := programs[s.inode]
		if program == "" {
			program = "-"
		}
		m.Set("user", s.uid)
		m.Set("inode", s.inode)
		m.Set("program", program)
		out[i] = m
	}
	return out, nil
}

// hostPort writes an address as netstat(8): * for any port, no brackets.
func hostPort(a netip.AddrPort) string {
	port := "*"
	if a.Port() != 0 {
		port = strconv.Itoa(int(a.Port()))
	}
	return a.Addr().String() + ":" + port
}

// socketPrograms finds the process that holds each socket: "812/sshd" by inode.
// Processes that end meanwhile, or are not ours to see, are left out.
func socketPrograms(c *module.Call) map[string]string {
	out := map[string]string{}
	for _, pid := range processIDs(c) {
		dir := c.Host.Path("/proc/" + strconv.Itoa(pid))
		fds, err := os.ReadDir(dir + "/fd")
		if err != nil {
			continue
		}
		name := ""
		for _, fd := range fds {
			to, err := os.Readlink(dir + "/fd/" + fd.Name())
			inode, isSocket := strings.CutPrefix(to, "socket:[")
			inode = strings.TrimSuffix(inode, "]")
			if err != nil || !isSocket || out[inode] != "" {
				continue
			}
			if name == "" {
				name = strconv.Itoa(pid) + "/" + programName(dir)
			}
			out[inode] = name
		}
	}
	return out
}

// programName is the first word of a process's command line, without its directory.
func programName(dir string) string {
	b, err := os.ReadFile(dir + "/cmdline")
	if err != nil || len(b) == 0 {
		return "-"
	}
	first, _, _ := strings.Cut(string(b), "\x00")
	first, _, _ = strings.Cut(first, " ")
	return path.Base(first)
}

// processIDs are the processes that /proc shows, in the order of their numbers.
func processIDs(c *module.Call) []int {
	entries, err := os.ReadDir(c.Host.Path("/proc"))
	if err != nil {
		return nil
	}
	return numbers(entries)
}
