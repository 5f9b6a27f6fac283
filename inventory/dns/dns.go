// Package dns is the source that names in DNS are: hosts by their names, services by their
// SRV records, and zones that may be transferred.
package dns

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Kind is the kind dns.
var Kind = inventory.Kind{
	Name: "dns",
	Doc:  "Names in DNS: hosts, the targets of SRV records, and zones that may be transferred.",
	Options: []inventory.Option{
		{Name: "names", Type: inventory.List, Doc: "Names of hosts, each a machine with all its addresses."},
		{Name: "services", Type: inventory.List, Doc: "Names of SRV records, as _ssh._tcp.example.com: each target is a machine, its port that of SSH."},
		{Name: "zones", Type: inventory.List, Doc: "Zones that the server hands out whole (AXFR): each name with an address is a machine."},
		{Name: "each_address", Type: inventory.Bool, Doc: "Makes a machine of each address that a name has, as names of clusters have several; false when it is not given."},
		{Name: "txt", Type: inventory.Bool, Doc: "Takes TXT records of the form key=value as tags; false when it is not given."},
		{Name: "resolver", Type: inventory.Text, Doc: "The server that is asked, as 192.0.2.53 or 127.0.0.1:5353; those of this machine when it is not given. Zones need it."},
	},
	New: open,
}

type provider struct {
	names, services, zones []string
	each, txt              bool
	server                 string
	r                      *net.Resolver
}

func open(v *inventory.Values, env inventory.Env) (inventory.Provider, error) {
	p := &provider{names: v.List("names"), services: v.List("services"), zones: v.List("zones"), each: v.Bool("each_address"), txt: v.Bool("txt"), r: net.DefaultResolver}
	bad := func(format string, args ...any) error {
		return &inventory.Error{Source: env.Source, Reason: inventory.BadConfig, Msg: fmt.Sprintf(format, args...)}
	}
	if len(p.names)+len(p.services)+len(p.zones) == 0 {
		return nil, bad("none of names, services and zones is given: one has to say what to look up")
	}
	for _, n := range slices.Concat(p.names, p.services, p.zones) {
		if !valid(n) {
			return nil, bad("%q is no name of DNS", n)
		}
	}
	if s := v.Text("resolver"); s != "" {
		ap, err := netip.ParseAddrPort(s)
		if err != nil {
			a, err := netip.ParseAddr(strings.Trim(s, "[]"))
			if err != nil {
				return nil, bad("resolver is %q, and has to be an address, with a port or without", s)
			}
			ap = netip.AddrPortFrom(a, 53)
		}
		p.server = ap.String()
		p.r = &net.Resolver{PreferGo: true, StrictErrors: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, p.server)
		}}
	}
	if len(p.zones) > 0 && p.server == "" {
		return nil, bad("zones need resolver: the server that they are transferred from")
	}
	return p, nil
}

func valid(name string) bool {
	name = strings.TrimSuffix(name, ".")
	if name == "" || len(name) > 253 {
		return false
	}
	for l := range strings.SplitSeq(name, ".") {
		if l == "" || len(l) > 63 || strings.ContainsFunc(l, func(r rune) bool { return r <= ' ' || r == '/' || r == '"' || r >= 0x7f }) {
			return false
		}
	}
	return true
}

func fqdn(name string) string { return strings.TrimSuffix(name, ".") + "." }

func plain(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// List asks for one name after the other; each is a scope of its own.
func (p *provider) List(ctx context.Context) iter.Seq2[inventory.Machine, error] {
	return func(yield func(inventory.Machine, error) bool) {
		seen := map[string]bool{}
		put := func(m inventory.Machine) bool {
			if seen[m.ID] {
				return true
			}
			seen[m.ID] = true
			return yield(m, nil)
		}
		// over tells that it has ended, after a line about it.
		over := func(scope, call string) bool {
			if e := inventory.Interrupted(ctx, inventory.Error{Scope: scope, Call: call, Hint: "is resolver right, and does the server run? timeout says how long it may take"}); e != nil {
				e.Scope = ""
				yield(inventory.Machine{}, e)
				return true
			}
			return false
		}
		for _, name := range p.names {
			ms, err := p.host(ctx, name, name, 0)
			if over(name, "lookup") || err != nil && !yield(inventory.Machine{}, err) {
				return
			}
			for _, m := range ms {
				if !put(m) {
					return
				}
			}
		}
		for _, name := range p.services {
			_, targets, err := p.r.LookupSRV(ctx, "", "", fqdn(name))
			if over(name, "SRV") || err != nil && !yield(inventory.Machine{}, wrong(err, name, "SRV", p.server)) {
				return
			}
			for _, t := range targets {
				if t.Target == "." {
					continue // the service is not there, by RFC 2782
				}
				ms, err := p.host(ctx, t.Target, name, int(t.Port))
				if over(name, "lookup") || err != nil && !yield(inventory.Machine{}, err) {
					return
				}
				for _, m := range ms {
					if !put(m) {
						return
					}
				}
			}
		}
		for _, zone := range p.zones {
			hosts, err := transfer(ctx, p.server, zone)
			if over(zone, "AXFR") || err != nil && !yield(inventory.Machine{}, err) {
				return
			}
			for _, h := range hosts {
				if len(h.addrs) == 0 {
					continue
				}
				for _, m := range p.machines(h.name, h.addrs, h.txt, zone, 0) {
					if over(zone, "AXFR") || !put(m) {
						return
					}
				}
			}
		}
		if over("", "lookup") {
			return
		}
	}
}

// host looks up one name.
func (p *provider) host(ctx context.Context, name, scope string, port int) ([]inventory.Machine, error) {
	addrs, err := p.r.LookupNetIP(ctx, "ip", fqdn(name))
	if err != nil {
		return nil, wrong(err, scope, "lookup of "+plain(name), p.server)
	}
	var txt []string
	if p.txt {
		if txt, err = p.r.LookupTXT(ctx, fqdn(name)); err != nil {
			var d *net.DNSError
			if !errors.As(err, &d) || !d.IsNotFound {
				return nil, wrong(err, scope, "TXT of "+plain(name), p.server)
			}
		}
	}
	return p.machines(name, addrs, txt, scope, port), nil
}

// machines makes one machine of a name, or one of each address.
func (p *provider) machines(name string, addrs []netip.Addr, txt []string, scope string, port int) []inventory.Machine {
	name = plain(name)
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	addrs = slices.Compact(addrs)
	base := inventory.Machine{ID: name, Label: name, Scope: scope, DNS: []string{name}}
	if port != 0 {
		base.SSH = wire.NewMap("port", int64(port))
		base.Attrs = wire.NewMap("port", int64(port))
	}
	for _, t := range txt {
		if k, v, ok := strings.Cut(t, "="); ok && k != "" && p.txt && strings.ToValidUTF8(t, "") == t {
			if base.Tags == nil {
				base.Tags = map[string]string{}
			}
			base.Tags[strings.TrimSpace(k)] = v
		}
	}
	add := func(m *inventory.Machine, a netip.Addr) {
		if a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() {
			m.Private = append(m.Private, a)
		} else {
			m.Public = append(m.Public, a)
		}
	}
	if !p.each {
		for _, a := range addrs {
			add(&base, a)
		}
		return []inventory.Machine{base}
	}
	var out []inventory.Machine
	for _, a := range addrs {
		m := base
		m.Private, m.Public, m.DNS = nil, nil, nil // the name may lead to another one
		m.ID = name + "/" + a.String()
		m.Label = name + "-" + strings.NewReplacer(":", "-", ".", "-").Replace(a.String())
		add(&m, a)
		out = append(out, m)
	}
	return out
}

// wrong says which reason an error of the resolver has. server is the one that the
// source names; "" is those of this machine.
func wrong(err error, scope, call, server string) *inventory.Error {
	e := &inventory.Error{Scope: scope, Call: call, Reason: inventory.BadAnswer, Err: err, Msg: err.Error()}
	var d *net.DNSError
	var op *net.OpError
	if errors.As(err, &d) {
		e.Msg = d.Err
		if by := cmp.Or(server, d.Server); by != "" { // the library names this machine's though another was asked
			e.Msg += " by " + by
		}
		switch {
		case d.IsNotFound:
			e.Reason = inventory.NotFound
		case d.IsTimeout || d.IsTemporary && strings.Contains(d.Err, "refused"), strings.Contains(d.Err, "connection refused"):
			e.Reason, e.Hint = inventory.NoAnswer, "is resolver right, and does the server run?"
		}
	} else if errors.As(err, &op) {
		e.Reason = inventory.NoAnswer
	}
	return e
}

// patience of one step of a transfer.
const patience = 10 * time.Second

func portText(server string) string {
	if _, port, err := net.SplitHostPort(server); err == nil {
		if n, err := strconv.Atoi(port); err == nil && n != 53 {
			return server
		}
	}
	return strings.TrimSuffix(server, ":53")
}
