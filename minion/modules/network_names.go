package modules

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gosalt/gosalt/internal/durable"
	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("network.get_hostname", networkGetHostname)
	register("network.get_fqdn", networkGetFqdn)
	register("network.fqdns", networkFqdns)
	register("network.mod_hostname", networkModHostname)
	register("network.connect", networkConnect)
	register("network.wol", networkWol)
	register("network.ping", networkPing)
	register("network.dig", networkDig)
	register("network.traceroute", networkTraceroute)
}

// networkGetHostname returns the name of the machine.
//
//	gosalt '*' network.get_hostname
func networkGetHostname(ctx context.Context, c *module.Call, a noArgs) (string, error) {
	name, err := os.Hostname()
	if err != nil {
		return "", module.Failf("host name not known: %w", err)
	}
	return name, nil
}

// networkGetFqdn returns the full name of the machine: the first with a dot of those
// that belong to its address.
//
//	gosalt '*' network.get_fqdn
func networkGetFqdn(ctx context.Context, c *module.Call, a noArgs) (string, error) {
	name, err := networkGetHostname(ctx, c, a)
	if err != nil {
		return "", err
	}
	addrs, err := net.DefaultResolver.LookupHost(ctx, name)
	if err != nil || len(addrs) == 0 {
		return name, nil
	}
	return fullName(ctx, addrs[0], name), nil
}

// fullName is the name of an address, preferably one with a dot.
func fullName(ctx context.Context, addr, otherwise string) string {
	names, err := net.DefaultResolver.LookupAddr(ctx, addr)
	if err != nil || len(names) == 0 {
		return otherwise
	}
	for i, n := range names {
		names[i] = strings.TrimSuffix(n, ".")
	}
	if i := slices.IndexFunc(names, func(n string) bool { return strings.Contains(n, ".") }); i >= 0 {
		return names[i]
	}
	return names[0]
}

// networkFqdns returns the names that name servers have for the addresses of the
// machine.
//
//	gosalt '*' network.fqdns
func networkFqdns(ctx context.Context, c *module.Call, a noArgs) (*wire.Map, error) {
	all, err := links()
	if err != nil {
		return nil, err
	}
	addrs := append(distinct(chosen(all, nil, true), false), distinct(chosen(all, nil, false), false)...)
	found := make([]string, len(addrs))
	var wg sync.WaitGroup
	for i, addr := range addrs {
		wg.Go(func() { found[i] = fullName(ctx, addr.String(), "") })
	}
	wg.Wait()
	slices.Sort(found)
	found = slices.DeleteFunc(slices.Compact(found), func(s string) bool { return s == "" })
	return wire.NewMap("fqdns", found), nil
}

type networkModHostnameArgs struct {
	Hostname string // The new name.
}

// networkModHostname gives the machine another name, now and for later, and puts it
// into /etc/hosts where the old one was. False says that the system refused.
//
//	gosalt '*' network.mod_hostname master.saltstack.com
func networkModHostname(ctx context.Context, c *module.Call, a networkModHostnameArgs) (bool, error) {
	if err := linuxOnly("another way to set the host name"); err != nil {
		return false, err
	}
	if a.Hostname == "" || len(a.Hostname) > 253 || strings.ContainsAny(a.Hostname, " \t\r\n/\x00") {
		return false, module.Invalidf("a host name is expected, got %q", a.Hostname)
	}
	old, err := networkGetHostname(ctx, c, noArgs{})
	if err != nil {
		return false, err
	}
	if _, err := host.LookPath("hostnamectl", os.Getenv("PATH"), "/"); err == nil {
		exit, err := c.Host.Run(ctx, host.Command{Args: []string{"hostnamectl", "set-hostname", a.Hostname}, Dir: "/", Env: os.Environ(), Merge: true})
		if err != nil || exit.Code != 0 {
			c.Log.Error("host name not set", "error", err, "output", string(exit.Stdout))
			return false, nil
		}
	} else if err := setHostname(a.Hostname); err != nil {
		return false, module.Failf("set the host name: %w", err)
	}
	if err := renameInHosts(c.Host.Path("/etc/hosts"), old, a.Hostname); err != nil {
		return false, err
	}
	if c.Grains().Text("os_family") == "Debian" {
		if err := durable.WriteFile(c.Host.Path("/etc/hostname"), []byte(a.Hostname+"\n"), 0o644); err != nil {
			return false, module.Failf("the name is set, but not for the next start: %w", err)
		}
	}
	return true, nil
}

// renameInHosts replaces a name in hosts(5). Lines without it stay as they are.
func renameInHosts(file, old, name string) error {
	b, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return module.Failf("the name is set, but not in hosts: %w", err)
	}
	lines := strings.SplitAfter(string(b), "\n")
	changed := false
	for i, line := range lines {
		f := strings.Fields(line)
		if at := slices.Index(f, old); at > 0 && !strings.HasPrefix(f[0], "#") {
			f[at] = name
			lines[i], changed = strings.Join(f, "\t")+"\n", true
		}
	}
	if !changed {
		return nil
	}
	if err := durable.WriteFile(file, []byte(strings.Join(lines, "")), 0o644); err != nil {
		return module.Failf("the name is set, but not in hosts: %w", err)
	}
	return nil
}

type networkConnectArgs struct {
	Host    string        // Name or address.
	Port    any           `default:"None"`                 // Number or name of the port.
	Proto   string        `default:"tcp" arg:"proto,kw"`   // tcp, or udp: there an answer is waited for.
	Timeout time.Duration `default:"5" arg:"timeout,kw"`   // Seconds to wait.
	Family  string        `default:"None" arg:"family,kw"` // ipv4 or ipv6: only addresses of this kind.
}

// networkConnect tells whether a port of another machine takes a connection.
//
//	gosalt '*' network.connect archlinux.org 80
//	gosalt '*' network.connect google.com port=53 proto=udp timeout=3
func networkConnect(ctx context.Context, c *module.Call, a networkConnectArgs) (*wire.Map, error) {
	answer := func(ok bool, format string, args ...any) (*wire.Map, error) {
		return wire.NewMap("result", ok, "comment", fmt.Sprintf(format, args...)), nil
	}
	port := textOf(a.Port)
	switch {
	case a.Host == "":
		return answer(false, "Required argument, host, is missing.")
	case !module.Truth(a.Port):
		return answer(false, "Required argument, port, is missing.")
	}
	network, kind := "tcp", "ip"
	if a.Proto == "udp" {
		network = "udp"
	}
	if v, ok := map[string]string{"ipv4": "4", "ipv6": "6"}[a.Family]; ok {
		kind += v
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, kind, a.Host)
	number, portErr := net.DefaultResolver.LookupPort(ctx, network, port)
	if err != nil || portErr != nil || len(addrs) == 0 {
		return answer(false, "Unable to resolve host %s on %s port %s", a.Host, network, port)
	}
	addr := addrs[0].Unmap()
	if err := reach(ctx, network, netip.AddrPortFrom(addr, uint16(number)), a.Timeout); err != nil {
		c.Log.Debug("not connected", "host", a.Host, "port", port, "error", err)
		return answer(false, "Unable to connect to %s (%s) on %s port %s", a.Host, addr, network, port)
	}
	return answer(true, "Successfully connected to %s (%s) on %s port %s", a.Host, addr, network, port)
}

// reach connects; with UDP it sends something and waits for an answer.
func reach(ctx context.Context, network string, to netip.AddrPort, timeout time.Duration) error {
	d := net.Dialer{Timeout: timeout}
	conn, err := d.DialContext(ctx, network, to.String())
	if err != nil {
		return err
	}
	defer conn.Close()
	if network != "udp" {
		return nil
	}
	if timeout > 0 {
		if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
			return err
		}
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	sum := md5.Sum([]byte(strconv.FormatInt(time.Now().Unix(), 10)))
	if _, err := conn.Write([]byte(hex.EncodeToString(sum[:]))); err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 255))
	return err
}

type networkWolArgs struct {
	Mac      string // Hardware address of the machine to wake: 080027136977 or 08:00:27:13:69:77.
	Bcast    string `default:"255.255.255.255"` // Where it is sent.
	Destport int    `default:"9"`               // UDP port it is sent to.
}

// networkWol wakes a machine that is off (Wake-on-LAN).
//
//	gosalt '*' network.wol 08-00-27-13-69-77 255.255.255.255 7
func networkWol(ctx context.Context, c *module.Call, a networkWolArgs) (bool, error) {
	packet, err := magicPacket(a.Mac)
	if err != nil {
		return false, err
	}
	conn, err := net.ListenPacket("udp4", ":0") // Go lets it broadcast
	if err != nil {
		return false, module.Failf("wake %s: %w", a.Mac, err)
	}
	defer conn.Close()
	to, err := net.ResolveUDPAddr("udp4", net.JoinHostPort(a.Bcast, strconv.Itoa(a.Destport)))
	if err == nil {
		_, err = conn.WriteTo(packet, to)
	}
	if err != nil {
		return false, module.Failf("wake %s: %w", a.Mac, err)
	}
	return true, nil
}

// magicPacket is six bytes of ones and the hardware address sixteen times. Between the
// bytes of the address may stand any one sign.
func magicPacket(mac string) ([]byte, error) {
	digits := mac
	if len(mac) == 17 {
		digits = strings.ReplaceAll(mac, mac[2:3], "")
	}
	b, err := hex.DecodeString(digits)
	if err != nil || len(b) != 6 {
		return nil, module.Invalidf("Invalid MAC address: six bytes in hexadecimal digits are expected, got %q", mac)
	}
	packet := slices.Repeat([]byte{0xff}, 6)
	return append(packet, slices.Repeat(b, 16)...), nil
}

type networkPingArgs struct {
	Host          string // Name or address.
	Timeout       any    `default:"False"` // Seconds to wait for each answer; False leaves that to the program.
	ReturnBoolean bool   `default:"False"` // Return whether it answers, in place of what the program prints.
}

// networkPing has the program ping send four packets to another machine, and returns
// what it prints.
//
//	gosalt '*' network.ping archlinux.org timeout=3 return_boolean=True
func networkPing(ctx context.Context, c *module.Call, a networkPingArgs) (any, error) {
	args := []any{"ping"}
	if module.Truth(a.Timeout) {
		args = append(args, "-W", textOf(a.Timeout))
	}
	out, err := runProgram(ctx, c, append(args, "-c", "4", hostName(a.Host))...)
	if err != nil {
		return nil, err
	}
	if out.Int("retcode") != 0 {
		c.SetRetcode(1)
	}
	if a.ReturnBoolean {
		return out.Int("retcode") == 0, nil
	}
	return strings.TrimSpace(out.Text("stdout") + "\n" + out.Text("stderr")), nil
}

// hostName keeps what may stand in the name of a host, so that no argument becomes an
// option of a program.
func hostName(s string) string {
	keep := func(r rune) rune {
		if r < 0x80 && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(".-_:", r)) {
			return r
		}
		return -1
	}
	return strings.TrimLeft(strings.Map(keep, s[:min(len(s), 255)]), "-")
}

// runProgram runs a program as cmd.run_all does, without a shell, its exit code not
// that of the job.
func runProgram(ctx context.Context, c *module.Call, args ...any) (*wire.Map, error) {
	if _, err := host.LookPath(args[0].(string), environ(c).Text("PATH"), "/"); err != nil {
		return nil, module.NoCommandf("The '%s' binary was not found in $PATH.", args[0])
	}
	v, err := c.Call(ctx, "cmd.run_all", []any{args}, wire.NewMap("python_shell", false, "ignore_retcode", true))
	if err != nil {
		return nil, err
	}
	m, ok := v.(*wire.Map)
	if !ok {
		return nil, module.Failf("cmd.run_all answered with %T", v)
	}
	return m, nil
}

type hostArgs struct {
	Host string // Name or address.
}

// networkDig returns what the program dig prints of a name.
//
//	gosalt '*' network.dig archlinux.org
func networkDig(ctx context.Context, c *module.Call, a hostArgs) (string, error) {
	out, err := runProgram(ctx, c, "dig", hostName(a.Host))
	if err != nil {
		return "", err
	}
	return out.Text("stdout"), nil
}

// networkTraceroute returns the machines on the way to another, as the program
// traceroute finds them.
//
//	gosalt '*' network.traceroute archlinux.org
func networkTraceroute(ctx context.Context, c *module.Call, a hostArgs) ([]any, error) {
	out, err := runProgram(ctx, c, "traceroute", hostName(a.Host))
	if err != nil {
		return nil, err
	}
	hops := []any{}
	for line := range strings.Lines(out.Text("stdout")) {
		line = strings.TrimRight(line, "\n")
		if strings.Contains(line, " ") && !strings.HasPrefix(line, "traceroute") {
			hops = append(hops, traceHop(line))
		}
	}
	return hops, nil
}

// traceHop reads one line of traceroute(8), two spaces between its parts: " 2  name
// (address)  0.3 ms  0.4 ms  0.5 ms", or " 3  * * *". What is neither is empty.
func traceHop(line string) *wire.Map {
	f := strings.Split(strings.TrimSpace(line), "  ")
	n, err := strconv.ParseInt(f[0], 10, 64)
	if err != nil || len(f) < 2 {
		return wire.NewMap()
	}
	if f[1] == "* * *" {
		return wire.NewMap("count", n, "hostname", "*")
	}
	name, addr, ok := strings.Cut(f[1], " ")
	if !ok || len(f) < 5 {
		return wire.NewMap()
	}
	hop := wire.NewMap("count", n, "hostname", name, "ip", strings.Trim(addr, "()"))
	for i, part := range f[2:5] {
		ms, err := strconv.ParseFloat(strings.TrimSuffix(part, " ms"), 64)
		if err != nil {
			return wire.NewMap()
		}
		hop.Set("ms"+strconv.Itoa(i+1), ms)
	}
	return hop
}
