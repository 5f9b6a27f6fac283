package roster

import (
	"context"
	"fmt"
	"slices"
	"strings"

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
	t, err := target.Parse(tgt, kind, target.Options{Nodegroups: r.allNodegroups()})
	if err != nil {
		return nil, err
	}
	if kind == "list" {
		return append(found, r.pick(t.Listed())...), nil
	}
	for _, h := range r.hosts {
		s := target.Subject{ID: h.ID, Unknown: target.Differs}
		if t.NeedsGrains() {
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
	return found, nil
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

// AdHoc is the machine that a target names without a roster, as user@host or host. A
// pattern names none.
func AdHoc(tgt string, defaults *wire.Map) (ssh.Host, bool) {
	if tgt == "" || strings.ContainsAny(tgt, "*?[") && !strings.HasPrefix(strings.TrimPrefix(tgt, "ssh://"), "[") || strings.ContainsAny(tgt, " ,") {
		return ssh.Host{}, false
	}
	h, err := ssh.ParseDestination(tgt)
	if err != nil {
		return ssh.Host{}, false
	}
	r := &Roster{cfg: Config{Defaults: defaults}}
	entry := wire.NewMap("host", h.Host)
	if h.User != "" {
		entry.Set("user", h.User)
	}
	if h.Port != 0 {
		entry.Set("port", int64(h.Port))
	}
	return r.parseHost(h.Host, entry, func(string) string { return "target " + tgt }), true
}
