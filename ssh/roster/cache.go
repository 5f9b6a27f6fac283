package roster

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/internal/target"
	"github.com/gosalt/gosalt/protocol/wire"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// defaultOrder is where the address of a minion is looked for.
var defaultOrder = wire.NewMap("host", []any{"ipv6-private", "ipv6-global", "ipv4-private", "ipv4-public"})

// loadCache takes the minions that a master knows, with their addresses as its cache has
// them, by roster_order.
func loadCache(ctx context.Context, r *Roster) error {
	if r.cfg.Known == nil {
		return &Error{Msg: "the roster cache needs a master's minions, and there is no master here"}
	}
	list, err := r.cfg.Known(ctx)
	if err != nil {
		return &Error{Msg: "read the minions of the master: " + err.Error(), Err: err}
	}
	order := r.cfg.Order
	if order == nil {
		order = defaultOrder
	}
	for _, m := range list {
		entry := wire.NewMap()
		for param, keys := range order.Strings() {
			ks, ok := keys.([]any)
			if !ok {
				ks = []any{keys}
			}
			for _, k := range ks {
				v, err := m.lookup(k)
				if err != nil {
					return &Error{Source: "roster_order", Host: param, Msg: err.Error()}
				}
				if v != nil && v != "" {
					entry.Set(param, v)
					break
				}
			}
		}
		if !entry.Has("host") && !r.cfg.Defaults.Has("host") {
			r.warn("cache", m.ID, "no address of it is known")
			continue
		}
		if r.minions == nil {
			r.minions = map[string]Minion{}
		}
		r.minions[m.ID] = m
		r.add(r.parseHost(m.ID, entry, func(string) string { return "the minion " + m.ID }))
	}
	return nil
}

var cidrLike = lazyre.New(`^[0-9a-fA-F:./]+$`)

// lookup finds a value for a key of the roster: an address of a kind or of a network, the
// id, or what grains, pillar or mine have.
func (m Minion) lookup(key any) (any, error) {
	if by, ok := key.(*wire.Map); ok {
		for kind, paths := range by.Strings() {
			var data *wire.Map
			switch kind {
			case "grain", "grains":
				data = m.Grains
			case "pillar":
				data = m.Pillar
			case "mine":
				data = m.Mine
			default:
				return nil, fmt.Errorf("%q is none of grains, pillar and mine", kind)
			}
			list, ok := paths.([]any)
			if !ok {
				list = []any{paths}
			}
			for _, p := range list {
				if v, ok := target.Traverse(data, fmt.Sprint(p), ":"); ok && v != nil && v != "" {
					// Of several the first: an address is one.
					if l, ok := v.([]any); ok && len(l) > 0 {
						v = l[0]
					}
					return v, nil
				}
			}
		}
		return nil, nil
	}
	name, ok := key.(string)
	switch {
	case !ok:
		return nil, fmt.Errorf("%v is no way to find an address", key)
	case name == "id":
		return m.ID, nil
	case cidrLike.MatchString(name):
		net, err := netip.ParsePrefix(name)
		if err != nil {
			if ip, err2 := netip.ParseAddr(name); err2 == nil {
				net, err = netip.PrefixFrom(ip, ip.BitLen()), nil
			}
		}
		if err != nil || net != net.Masked() {
			return nil, fmt.Errorf("%s is no network, as 10.0.0.0/8", name)
		}
		for _, ip := range m.addrs(net.Addr().Is6()) {
			if net.Contains(ip) {
				return ip.String(), nil
			}
		}
		return nil, nil
	}
	versions := []bool{false, true}
	filter := name
	if len(name) > 5 && name[:3] == "ipv" && name[4] == '-' {
		versions = []bool{name[3] == '6'}
		filter = name[5:]
	}
	want := map[string]func(netip.Addr) bool{
		"global":  func(ip netip.Addr) bool { return !isPrivate(ip) },
		"public":  func(ip netip.Addr) bool { return !isPrivate(ip) },
		"private": func(ip netip.Addr) bool { return isPrivate(ip) && !ip.IsLoopback() && !ip.IsLinkLocalUnicast() },
		"local":   netip.Addr.IsLoopback,
	}[filter]
	if want == nil {
		return nil, fmt.Errorf("%q is none of id, [ipv4-|ipv6-]global, public, private and local, a network, or a map of grains, pillar or mine", name)
	}
	for _, six := range versions {
		for _, ip := range m.addrs(six) {
			if want(ip) {
				return ip.String(), nil
			}
		}
	}
	return nil, nil
}

// addrs are the addresses of a minion, sorted.
func (m Minion) addrs(six bool) []netip.Addr {
	grain := "ipv4"
	if six {
		grain = "ipv6"
	}
	var out []netip.Addr
	for _, a := range m.Grains.List(grain) {
		if ip := addressOf(fmt.Sprint(a)); ip.IsValid() && ip.Is6() == six {
			out = append(out, ip)
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return out
}

// special are the networks that are nobody's in public, by IANA's registries.
var special = func() []netip.Prefix {
	var out []netip.Prefix
	for _, s := range []string{"0.0.0.0/8", "10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/29", "192.0.0.170/31",
		"192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4", "255.255.255.255/32",
		"::1/128", "::/128", "::ffff:0:0/96", "100::/64", "2001::/23", "2001:2::/48", "2001:db8::/32", "2001:10::/28", "fc00::/7", "fe80::/10"} {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}()

func isPrivate(ip netip.Addr) bool {
	return slices.ContainsFunc(special, func(p netip.Prefix) bool { return p.Contains(ip) })
}
