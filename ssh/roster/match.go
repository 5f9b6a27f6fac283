package roster

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/target"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/ssh"
)

// Match returns the machines that a target means, in the order of the roster. A kind is
// one of package target's, empty for glob. A list keeps its own order.
func (r *Roster) Match(ctx context.Context, tgt any, kind string) ([]ssh.Host, error) {
	if kind == "" {
		kind = "glob"
	}
	var found []ssh.Host
	for _, scan := range r.scans {
		hosts, err := scan(ctx, tgt, kind)
		if err != nil {
			return nil, err
		}
		found = append(found, hosts...)
	}
	if len(r.hosts) == 0 && len(r.scans) > 0 {
		return found, nil
	}
	nodegroups := r.cfg.Nodegroups
	if kind == "nodegroup" {
		name := fmt.Sprint(tgt)
		if ids, ok := r.groups[name]; ok {
			return append(found, r.pick(ids)...), nil
		}
		if v, ok := r.cfg.ListNodegroups.Get(name); ok {
			ids, err := words(v, ",")
			if err != nil {
				return nil, &Error{Source: "ssh_list_nodegroups", Host: name, Msg: "it is " + kindOf(v) + ", and has to be a list of machines"}
			}
			return append(found, r.pick(ids)...), nil
		}
		if !nodegroups.Has(name) {
			var have []string
			for k := range r.cfg.ListNodegroups.Strings() {
				have = append(have, k)
			}
			for k := range nodegroups.Strings() {
				have = append(have, k)
			}
			for k := range r.groups {
				have = append(have, k)
			}
			slices.Sort(have)
			e := &Error{Msg: fmt.Sprintf("there is no nodegroup %q", name), Hint: "nodegroups and ssh_list_nodegroups are empty"}
			if len(have) > 0 {
				e.Hint = "there are " + strings.Join(slices.Compact(have), ", ")
			}
			return nil, e
		}
	}
	if kind == "range" && r.cfg.RangeServer != "" {
		ids, err := expandRange(ctx, r.cfg.RangeServer, fmt.Sprint(tgt))
		if err != nil {
			return nil, err
		}
		return append(found, r.pick(ids)...), nil
	}
	t, err := r.Target(ctx, tgt, kind)
	if err != nil {
		return nil, err
	}
	if kind == "list" {
		return append(found, r.pick(t.Listed())...), nil
	}
	from := len(found)
	for _, h := range r.hosts {
		s := target.Subject{ID: h.ID, Unknown: target.Differs}
		if m, ok := r.minions[h.ID]; ok {
			s.Grains, s.Pillar, s.Unknown = m.Grains, m.Pillar, target.Seen
		} else if t.NeedsGrains() {
			s.Grains = r.grainsOf(ctx, h)
			if s.Grains.Len() > 0 {
				s.Unknown = target.Seen
			}
		}
		ok, err := t.Match(s)
		if err != nil {
			return nil, err
		}
		if ok {
			found = append(found, h)
		}
	}
	return append(found[:from:from], r.standing(found[from:], t)...), nil
}

// pick returns these machines, as far as they are there, each once.
func (r *Roster) pick(ids []string) []ssh.Host {
	var out []ssh.Host
	seen := map[string]bool{}
	for _, id := range ids {
		if h, ok := r.Get(strings.TrimSpace(id)); ok && !seen[h.ID] {
			seen[h.ID] = true
			out = append(out, h)
		}
	}
	return out
}

// allNodegroups are those of the master and of inventories, for compound targets.
func (r *Roster) allNodegroups() *wire.Map {
	m := wire.NewMap()
	for name, ids := range r.groups {
		m.Set(name, "L@"+strings.Join(ids, ","))
	}
	for k, v := range r.cfg.ListNodegroups.Strings() {
		if ids, err := words(v, ","); err == nil {
			m.Set(k, "L@"+strings.Join(ids, ","))
		}
	}
	for k, v := range r.cfg.Nodegroups.Strings() {
		m.Set(k, v)
	}
	return m
}

// grainsOf are the grains that are known of a machine: those that were seen, those of the
// roster, and where its address is one of numbers that address.
func (r *Roster) grainsOf(ctx context.Context, h ssh.Host) *wire.Map {
	m := wire.NewMap()
	if ip := addressOf(h.Host); ip.IsValid() {
		name := "ipv4"
		if ip.Is6() {
			name = "ipv6"
		}
		m.Set(name, []any{ip.String()})
	}
	if r.cfg.Grains != nil {
		for k, v := range r.cfg.Grains(ctx, h.ID).All() {
			m.SetAny(k, v)
		}
	}
	for k, v := range h.Grains.All() {
		m.SetAny(k, v)
	}
	return m
}

// AdHoc is the machine that a target means without being one of the roster's names:
// user@host, host:port, an address, or a name that can be resolved. An entry of the
// roster with that name or address gives the rest. A pattern means none.
func (r *Roster) AdHoc(ctx context.Context, tgt string) (ssh.Host, bool) {
	if tgt == "" || strings.ContainsAny(tgt, "*? ,") || strings.Contains(tgt, "[") && !strings.HasPrefix(tgt[strings.LastIndexByte(tgt, '@')+1:], "[") {
		return ssh.Host{}, false
	}
	dest, err := ssh.ParseDestination(tgt)
	if err != nil {
		return ssh.Host{}, false
	}
	i := slices.IndexFunc(r.hosts, func(h ssh.Host) bool { return h.ID == dest.Host })
	if i < 0 {
		i = slices.IndexFunc(r.hosts, func(h ssh.Host) bool {
			return h.Host == dest.Host && (dest.Port == 0 || h.Port == 0 || h.Port == dest.Port)
		})
	}
	if i >= 0 {
		h := r.hosts[i]
		if dest.User != "" {
			h.User = dest.User
		}
		if dest.Port != 0 {
			h.Port = dest.Port
		}
		return h, true
	}
	if dest.User == "" && dest.Port == 0 && !addressOf(dest.Host).IsValid() {
		// A word alone may be a slip of the pen: it has to be a machine's name.
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		if _, err := net.DefaultResolver.LookupHost(ctx, dest.Host); err != nil {
			return ssh.Host{}, false
		}
	}
	entry := wire.NewMap("host", dest.Host)
	if dest.User != "" {
		entry.Set("user", dest.User)
	}
	if dest.Port != 0 {
		entry.Set("port", int64(dest.Port))
	}
	return r.parseHost(dest.Host, entry, func(string) string { return "target " + tgt }), true
}
