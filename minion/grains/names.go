package grains

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/gosalt/gosalt/protocol/wire"
)

// startNames begins to find out how the machine is called, which may take questions
// to name servers, and returns what waits for the answers and notes them.
func (c *collector) startNames(ctx context.Context) (finish func(*wire.Map)) {
	n := &names{c: c, hosts: c.hostsFile(), sources: c.hostSources()}
	var asking sync.WaitGroup
	var fqdn string
	var v4, v6, reverse []string
	own4, own6 := c.addresses(true)
	asking.Go(func() {
		fqdn = n.canonical(ctx, c.m.Hostname)
		var both sync.WaitGroup
		if len(own4) > 0 {
			both.Go(func() { v4 = n.lookup(ctx, "ip4", fqdn) })
		}
		if len(own6) > 0 {
			both.Go(func() { v6 = n.lookup(ctx, "ip6", fqdn) })
		}
		both.Wait()
	})
	if c.asksFQDNs() {
		asking.Go(func() { reverse = n.reverseAll(ctx) })
	}
	return func(*wire.Map) {
		asking.Wait()
		host, domain, _ := strings.Cut(fqdn, ".")
		c.set("localhost", c.m.Hostname)
		c.set("fqdn", fqdn)
		c.set("host", host)
		c.set("domain", domain)
		c.set("fqdn_ip4", texts(v4))
		c.set("fqdn_ip6", texts(v6))
		c.set("fqdns", texts(reverse))
	}
}

// asksFQDNs is the option enable_fqdns_grains, on for Linux and the BSDs.
func (c *collector) asksFQDNs() bool {
	if v, ok := c.Opts.Get("enable_fqdns_grains"); ok {
		return v != false
	}
	return c.m.Kernel != "Windows" && c.m.Kernel != "Darwin"
}

// names answers questions about names as the system's resolver would: from
// /etc/hosts, from the machine itself where nsswitch.conf says so, from name servers.
type names struct {
	c       *collector
	hosts   []hostsLine
	sources []string
}

type hostsLine struct {
	addr  netip.Addr
	names []string
}

func (c *collector) hostsFile() []hostsLine {
	var out []hostsLine
	for line := range strings.Lines(c.read("/etc/hosts")) {
		line, _, _ = strings.Cut(line, "#")
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		if a, err := netip.ParseAddr(f[0]); err == nil {
			out = append(out, hostsLine{a, f[1:]})
		}
	}
	return out
}

// hostSources are the sources of host names in the order of nsswitch.conf(5).
func (c *collector) hostSources() []string {
	for line := range strings.Lines(c.read("/etc/nsswitch.conf")) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "hosts:"); ok {
			return strings.Fields(rest)
		}
	}
	return []string{"files", "dns"}
}

// knowsItself tells whether the machine answers for its own name before name
// servers are asked.
func (n *names) knowsItself() bool {
	for _, s := range n.sources {
		switch s {
		case "myhostname", "resolve":
			return true
		case "dns":
			return false
		}
	}
	return false
}

func (l hostsLine) has(name string) bool {
	return slices.ContainsFunc(l.names, func(s string) bool { return strings.EqualFold(s, name) })
}

// canonical is the full name of a host, the name itself where no other is known.
func (n *names) canonical(ctx context.Context, name string) string {
	for _, l := range n.hosts {
		if l.has(name) {
			return l.names[0]
		}
	}
	if name == "" {
		return "localhost.localdomain"
	}
	if n.knowsItself() || n.c.m.Resolver == nil {
		return name
	}
	full, err := n.c.m.Resolver.LookupCNAME(ctx, name)
	if err != nil || full == "" {
		return name
	}
	return strings.TrimSuffix(full, ".")
}

// lookup returns the addresses of a name, each once; network is ip4 or ip6.
func (n *names) lookup(ctx context.Context, network, name string) []string {
	var out []string
	add := func(a netip.Addr) {
		a = a.Unmap()
		if s := a.String(); a.Is4() == (network == "ip4") && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	for _, l := range n.hosts {
		if l.has(name) {
			add(l.addr)
		}
	}
	if len(out) > 0 {
		return out
	}
	if n.knowsItself() && strings.EqualFold(name, n.c.m.Hostname) {
		v4, v6 := n.c.addresses(false)
		for _, s := range slices.Concat(v4, v6) {
			if a, err := netip.ParseAddr(s); err == nil {
				add(a)
			}
		}
		return out
	}
	if n.c.m.Resolver == nil {
		return out
	}
	ips, err := n.c.m.Resolver.LookupIP(ctx, network, name)
	if err != nil {
		return out
	}
	for _, ip := range ips {
		if a, ok := netip.AddrFromSlice(ip); ok {
			add(a)
		}
	}
	return out
}

// reverseAll asks for the names of all addresses at once.
func (n *names) reverseAll(ctx context.Context) []string {
	v4, v6 := n.c.addresses(false)
	addrs := slices.Concat(v4, v6)
	found := make([]string, len(addrs))
	var asking sync.WaitGroup
	for i, a := range addrs {
		asking.Go(func() { found[i] = n.reverse(ctx, a) })
	}
	asking.Wait()
	var out []string
	for _, name := range found {
		if name != "" && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// reverse is the name of an address: the first one with a dot, else the first.
func (n *names) reverse(ctx context.Context, addr string) string {
	var list []string
	for _, l := range n.hosts {
		if l.addr.String() == addr {
			list = l.names
			break
		}
	}
	if list == nil && n.c.m.Resolver != nil {
		answers, err := n.c.m.Resolver.LookupAddr(ctx, addr)
		if err != nil {
			n.c.Log.Debug("address has no name", "addr", addr, "error", err)
		}
		for _, a := range answers {
			list = append(list, strings.TrimSuffix(a, "."))
		}
	}
	if i := slices.IndexFunc(list, func(s string) bool { return strings.Contains(s, ".") }); i >= 0 {
		return list[i]
	}
	if len(list) > 0 {
		return list[0]
	}
	return ""
}
