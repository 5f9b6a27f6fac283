package modules

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/module"
)

func init() {
	register("dnsutil.check_ip", dnsutilCheckIP)
	register("dnsutil.A", dnsutilA)
	register("dnsutil.AAAA", dnsutilAAAA)
	register("dnsutil.NS", dnsutilNS)
	register("dnsutil.MX", dnsutilMX)
	register("dnsutil.SPF", dnsutilSPF)
}

// dnsPatience is how long all questions of one call may take.
const dnsPatience = 20 * time.Second

// nameserver asks one server, or those of the system.
type nameserver struct {
	c *module.Call
	r *net.Resolver
}

func newNameserver(c *module.Call, server string) (*nameserver, error) {
	if server == "" {
		return &nameserver{c, net.DefaultResolver}, nil
	}
	addr, err := netip.ParseAddrPort(server)
	if err != nil {
		host, err := netip.ParseAddr(server)
		if err != nil {
			return nil, module.Invalidf("nameserver is %q, and has to be an address, with a port or without: 192.0.2.1, 192.0.2.1:53, [2001:db8::1]:53", server)
		}
		addr = netip.AddrPortFrom(host, 53)
	}
	return &nameserver{c, &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, addr.String())
	}}}, nil
}

// none is what a question without an answer comes to: an empty list, with a line in the
// log where it was not the answer that there is nothing.
func (s *nameserver) none(err error) error {
	var e *net.DNSError
	switch {
	case err == nil || errors.As(err, &e) && e.IsNotFound:
		return nil
	case errors.As(err, &e):
		s.c.Log.Warn("a name cannot be looked up, and is taken for one without records", "err", err)
		return nil
	}
	return err
}

// addresses of a name; one that is an address is its own.
func (s *nameserver) addresses(ctx context.Context, network, host string) ([]any, error) {
	out := []any{}
	ips, err := s.r.LookupNetIP(ctx, network, host)
	for _, ip := range ips {
		out = append(out, ip.Unmap().String())
	}
	return out, s.none(err)
}

type dnsutilHostArgs struct {
	Host       string // The name.
	Nameserver string `default:"None"` // Address of the server that is asked, those of the system by default; a port may follow (192.0.2.1:5353).
}

// dnsutilA returns the IPv4 addresses of a name, as the DNS has them: a list, empty where
// there are none or nobody answers. It needs no program.
//
//	gosalt ns1 dnsutil.A www.example.com
func dnsutilA(ctx context.Context, c *module.Call, a dnsutilHostArgs) ([]any, error) {
	return dnsutilAddresses(ctx, c, "ip4", a)
}

// dnsutilAAAA returns the IPv6 addresses of a name, as dnsutil.A those of IPv4.
//
//	gosalt ns1 dnsutil.AAAA www.example.com
func dnsutilAAAA(ctx context.Context, c *module.Call, a dnsutilHostArgs) ([]any, error) {
	return dnsutilAddresses(ctx, c, "ip6", a)
}

func dnsutilAddresses(ctx context.Context, c *module.Call, network string, a dnsutilHostArgs) ([]any, error) {
	s, err := newNameserver(c, a.Nameserver)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithTimeout(ctx, dnsPatience)
	defer stop()
	return s.addresses(ctx, network, a.Host)
}

type dnsutilNSArgs struct {
	Domain     string // The domain.
	Resolve    bool   `default:"True"` // Return the IPv4 addresses of the servers, not their names.
	Nameserver string `default:"None"` // As for dnsutil.A.
}

// dnsutilNS returns the name servers of a domain.
//
//	gosalt ns1 dnsutil.NS example.com resolve=False
func dnsutilNS(ctx context.Context, c *module.Call, a dnsutilNSArgs) ([]any, error) {
	s, err := newNameserver(c, a.Nameserver)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithTimeout(ctx, dnsPatience)
	defer stop()
	servers, err := s.r.LookupNS(ctx, a.Domain)
	out := []any{}
	for _, ns := range servers {
		if !a.Resolve {
			out = append(out, ns.Host)
			continue
		}
		addrs, err := s.addresses(ctx, "ip4", ns.Host)
		if err != nil {
			return nil, err
		}
		out = append(out, addrs...)
	}
	return out, s.none(err)
}

type dnsutilMXArgs struct {
	Domain     string // The domain.
	Resolve    bool   `default:"False"` // Return an IPv4 address of each server, not its name.
	Nameserver string `default:"None"`  // As for dnsutil.A.
}

// dnsutilMX returns the mail servers of a domain: pairs of a preference, as a text, and a
// name; the smallest preference first.
//
//	gosalt ns1 dnsutil.MX example.com
func dnsutilMX(ctx context.Context, c *module.Call, a dnsutilMXArgs) ([]any, error) {
	s, err := newNameserver(c, a.Nameserver)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithTimeout(ctx, dnsPatience)
	defer stop()
	servers, err := s.r.LookupMX(ctx, a.Domain)
	out := []any{}
	for _, mx := range servers {
		host := any(mx.Host)
		if a.Resolve {
			addrs, err := s.addresses(ctx, "ip4", mx.Host)
			if err != nil {
				return nil, err
			}
			if len(addrs) == 0 {
				c.Log.Warn("a mail server has no IPv4 address, and is left out", "server", mx.Host)
				continue
			}
			host = addrs[0]
		}
		out = append(out, []any{strconv.Itoa(int(mx.Pref)), host})
	}
	return out, s.none(err)
}

type dnsutilSPFArgs struct {
	Domain     string // The domain.
	Record     string `default:"SPF"`  // SPF and TXT are the same: it is in TXT that domains say it (RFC 7208).
	Nameserver string `default:"None"` // As for dnsutil.A.
}

// dnsutilSPF returns the addresses and networks that may send the mail of a domain, by its
// SPF record: what ip4, ip6, include and redirect say, as RFC 7208 has them.
//
//	gosalt ns1 dnsutil.SPF example.com
func dnsutilSPF(ctx context.Context, c *module.Call, a dnsutilSPFArgs) ([]any, error) {
	if a.Record != "SPF" && a.Record != "TXT" {
		return nil, module.Invalidf("record is %q, and has to be SPF or TXT", a.Record)
	}
	s, err := newNameserver(c, a.Nameserver)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithTimeout(ctx, dnsPatience)
	defer stop()
	questions := 10 // RFC 7208, 4.6.4
	return s.spf(ctx, a.Domain, &questions)
}

func (s *nameserver) spf(ctx context.Context, domain string, left *int) ([]any, error) {
	out := []any{}
	if *left < 0 {
		return nil, module.Failf("the SPF record of %s asks for more than 10 others", domain)
	}
	*left--
	texts, err := s.r.LookupTXT(ctx, domain)
	if err != nil {
		return out, s.none(err)
	}
	i := slices.IndexFunc(texts, func(t string) bool { return t == "v=spf1" || strings.HasPrefix(t, "v=spf1 ") })
	if i < 0 {
		return out, nil
	}
	redirect := ""
	for _, term := range strings.Fields(texts[i])[1:] {
		if to, ok := strings.CutPrefix(term, "redirect="); ok {
			if redirect == "" {
				redirect = to
			}
			continue
		}
		mechanism, value, _ := strings.Cut(strings.TrimLeft(term, "+~"), ":")
		switch mechanism {
		case "include":
			more, err := s.spf(ctx, value, left)
			if err != nil {
				return nil, err
			}
			out = append(out, more...)
		case "ip4", "ip6":
			if isAddress(value) {
				out = append(out, value)
			}
		case "all", "-all", "?all":
			redirect = "-" // what follows all is not looked at
		}
	}
	if redirect != "" && redirect != "-" {
		more, err := s.spf(ctx, redirect, left)
		return append(out, more...), err
	}
	return out, nil
}

type dnsutilCheckIPArgs struct {
	IPAddr any // An address, with a prefix length or without.
}

// dnsutilCheckIP says whether a text is an IP address or network: 192.0.2.1, 192.0.2.0/24,
// 2001:db8::/32.
//
//	gosalt ns1 dnsutil.check_ip 127.0.0.1
func dnsutilCheckIP(_ context.Context, _ *module.Call, a dnsutilCheckIPArgs) (bool, error) {
	s, ok := a.IPAddr.(string)
	return ok && isAddress(s), nil
}

// isAddress reads as Salt does: a prefix is of 1 to 32, or 8 to 128 bits.
func isAddress(s string) bool {
	host, bits, prefix := strings.Cut(s, "/")
	addr, err := netip.ParseAddr(host)
	if err != nil || !prefix {
		return err == nil
	}
	n, err := strconv.Atoi(bits)
	if addr.Is4() {
		return err == nil && n >= 1 && n <= 32
	}
	return err == nil && n >= 8 && n <= 128
}
