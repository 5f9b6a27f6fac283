// Package ansible knows inventories of Ansible: groups of hosts with variables, which
// variables count for a host, and the programs that print one (dynamic inventories). The
// forms that people write by hand are read by package roster.
package ansible

import (
	"fmt"
	"maps"
	"slices"

	"github.com/gosalt/gosalt/protocol/wire"
)

// An Inventory is groups of hosts, with variables.
type Inventory struct {
	Groups map[string]*Group
	Order  []string // of hosts
	Hosts  map[string]*Host
}

// A Group has hosts and other groups.
type Group struct {
	Hosts    []string
	Children []string
	Vars     *wire.Map
	Files    *wire.Map // of group_vars: above the vars of all groups in the inventory
	Source   string

	has map[string]bool // of Hosts and Children, as "h…" and "c…"
}

// A Host is what is said of it itself.
type Host struct {
	Vars   *wire.Map
	Source string
}

// An Error is what is wrong in an inventory.
type Error struct {
	Source string // file, or file:line
	Host   string // host or group, "" when it is about the whole
	Msg    string
	Hint   string
	Err    error
}

// Error is one line: place, entry, what is wrong, and what to do.
func (e *Error) Error() string {
	s := e.Source + ": "
	if e.Host != "" {
		s += e.Host + ": "
	}
	s += e.Msg
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }

// New makes an empty one.
func New() *Inventory {
	return &Inventory{Groups: map[string]*Group{}, Hosts: map[string]*Host{}}
}

// Group is the group of that name, made where it is missing.
func (inv *Inventory) Group(name, source string) *Group {
	g := inv.Groups[name]
	if g == nil {
		g = &Group{Vars: wire.NewMap(), Files: wire.NewMap(), Source: source, has: map[string]bool{}}
		inv.Groups[name] = g
	}
	return g
}

// Host is the host of that name, made where it is missing.
func (inv *Inventory) Host(name, source string) *Host {
	h := inv.Hosts[name]
	if h == nil {
		h = &Host{Vars: wire.NewMap(), Source: source}
		inv.Hosts[name] = h
		inv.Order = append(inv.Order, name)
	}
	return h
}

// AddHost puts a host into the group, once.
func (g *Group) AddHost(name string) {
	if !g.has["h"+name] {
		g.has["h"+name] = true
		g.Hosts = append(g.Hosts, name)
	}
}

// AddChild puts a group into the group, once.
func (g *Group) AddChild(name string) {
	if !g.has["c"+name] {
		g.has["c"+name] = true
		g.Children = append(g.Children, name)
	}
}

// Acyclic tells of a group that is among its own children.
func (inv *Inventory) Acyclic() error {
	state := map[string]int{}
	var visit func(name string) error
	visit = func(name string) error {
		switch state[name] {
		case 1:
			return fmt.Errorf("the group %s is among its own children", name)
		case 2:
			return nil
		}
		state[name] = 1
		for _, c := range inv.Groups[name].Children {
			if err := visit(c); err != nil {
				return err
			}
		}
		state[name] = 2
		return nil
	}
	for _, n := range inv.GroupNames() {
		if err := visit(n); err != nil {
			return err
		}
	}
	return nil
}

// Children checks that each group's children are there.
func (inv *Inventory) Children() error {
	for _, name := range inv.GroupNames() {
		g := inv.Groups[name]
		for _, c := range g.Children {
			if inv.Groups[c] == nil {
				return &Error{Source: g.Source, Host: name, Msg: fmt.Sprintf("there is no group %q, which it names as a child", c)}
			}
		}
	}
	return nil
}

// GroupNames are the names of all groups, sorted.
func (inv *Inventory) GroupNames() []string { return slices.Sorted(maps.Keys(inv.Groups)) }

// Members are the hosts of each group and of its children; "all" has every host, and
// "ungrouped" those that are in no group of their own. It has to be acyclic.
func (inv *Inventory) Members() map[string][]string {
	out := map[string][]string{}
	names := inv.GroupNames()
	for _, n := range names {
		out[n] = inv.members(n)
	}
	out["all"] = slices.Clone(inv.Order)
	grouped := map[string]bool{}
	for _, n := range names {
		if n != "all" && n != "ungrouped" {
			for _, h := range out[n] {
				grouped[h] = true
			}
		}
	}
	var ungrouped []string
	for _, h := range inv.Order {
		if !grouped[h] {
			ungrouped = append(ungrouped, h)
		}
	}
	out["ungrouped"] = ungrouped
	return out
}

func (inv *Inventory) members(name string) []string {
	var out []string
	seen, visited := map[string]bool{}, map[string]bool{}
	var walk func(name string)
	walk = func(name string) {
		if visited[name] {
			return
		}
		visited[name] = true
		for _, h := range inv.Groups[name].Hosts {
			if !seen[h] {
				seen[h] = true
				out = append(out, h)
			}
		}
		for _, c := range inv.Groups[name].Children {
			walk(c)
		}
	}
	walk(name)
	return out
}

// A Resolver works out the variables of hosts.
type Resolver struct {
	inv    *Inventory
	groups map[string][]string // of a host, the outermost first
}

// Resolver prepares for Vars. members is what Members returned.
func (inv *Inventory) Resolver(members map[string][]string) *Resolver {
	depth := map[string]int{}
	var sink func(name string, d int)
	sink = func(name string, d int) {
		if d <= depth[name] {
			return
		}
		depth[name] = d
		for _, c := range inv.Groups[name].Children {
			sink(c, d+1)
		}
	}
	names := inv.GroupNames()
	for _, n := range names {
		sink(n, 1)
	}
	depth["all"] = 0
	priority := func(n string) int64 { return max(inv.Groups[n].Vars.Int("ansible_group_priority"), 1) }
	slices.SortStableFunc(names, func(a, b string) int {
		if d := depth[a] - depth[b]; d != 0 {
			return d
		}
		return int(priority(a) - priority(b))
	})
	r := &Resolver{inv: inv, groups: map[string][]string{}}
	for _, n := range names {
		hosts := members[n]
		if n == "all" {
			hosts = inv.Order
		}
		for _, h := range hosts {
			r.groups[h] = append(r.groups[h], n)
		}
	}
	return r
}

// Groups are the groups of a host, the outermost first.
func (r *Resolver) Groups(host string) []string { return r.groups[host] }

// Vars are those of a host: of all, of its groups with the inner ones last, of itself.
func (r *Resolver) Vars(host string) *wire.Map {
	out := wire.NewMap()
	for _, of := range []func(*Group) *wire.Map{func(g *Group) *wire.Map { return g.Vars }, func(g *Group) *wire.Map { return g.Files }} {
		for _, n := range r.groups[host] {
			for k, v := range of(r.inv.Groups[n]).Strings() {
				out.Set(k, v)
			}
		}
	}
	for k, v := range r.inv.Hosts[host].Vars.Strings() {
		out.Set(k, v)
	}
	out.Delete("ansible_group_priority")
	return out
}
