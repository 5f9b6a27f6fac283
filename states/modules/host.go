package modules

import (
	"context"
	"fmt"
	"net"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

func init() {
	register("host.present", hostPresent)
	register("host.absent", hostAbsent)
	register("host.only", hostOnly)
}

type hostPresentArgs struct {
	Name    string // A name of a host.
	IP      any    `arg:"ip"`        // Its address, or a list of addresses.
	Comment string `default:""`      // A comment behind the names of the address.
	Clean   bool   `default:"False"` // Take the name away from other addresses.
}

// hostPresent makes /etc/hosts have a name for addresses.
func hostPresent(ctx context.Context, c *states.Call, a hostPresentArgs) (*states.Plan, error) {
	p := &states.Plan{}
	hosts, err := mapOf(ctx, c, "hosts.list_hosts")
	if err != nil {
		return p, err
	}
	var add, comment, remove, said []string
	wrong := false
	wanted := listOf(a.IP)
	for _, v := range wanted {
		addr := pytext.Str(v)
		if !hosts.Has(addr) {
			add = append(add, addr)
			if a.Comment != "" {
				comment = append(comment, addr)
			}
		}
	}
	for addr := range hosts.Strings() {
		e := hosts.Map(addr)
		has := contained(e.List("aliases"), a.Name)
		switch {
		case !contained(wanted, addr):
			if has && a.Clean {
				remove = append(remove, addr)
			} else if has {
				p.Warnings = append(p.Warnings, fmt.Sprintf("Host %[1]s present for IP address %[2]s. To get rid of this warning, either run this state with 'clean' "+
					"set to True to remove %[1]s from %[2]s, or add %[2]s to the 'ip' argument.", a.Name, addr))
			}
		case has && a.Comment != "" && (!e.Has("comment") || e.Text("comment") != a.Comment):
			comment = append(comment, addr)
		case has:
			said = append(said, fmt.Sprintf("Host %s (%s) already present", a.Name, addr))
		case net.ParseIP(addr) == nil:
			wrong = true
			said = append(said, fmt.Sprintf("Invalid IP Address for %s (%s)", a.Name, addr))
		default:
			add = append(add, addr)
			if a.Comment != "" {
				comment = append(comment, addr)
			}
		}
	}
	p.Fine = strings.Join(said, "\n")
	if len(add)+len(comment)+len(remove) == 0 {
		if wrong {
			return p, module.Failf("%s", p.Fine)
		}
		return p, nil
	}
	work := []struct {
		addrs           []string
		key, fun, value string
		would, did, not string
	}{
		{add, "added", "hosts.add_host", a.Name, "Host %[2]s (%[1]s) would be added", "Added host %[2]s (%[1]s)", "Failed to add host %[2]s (%[1]s)"},
		{comment, "comment_added", "hosts.set_comment", a.Comment, "Comment for %[1]s (%[2]s) would be added", "Set comment for host %[1]s (%[2]s)", "Failed to add comment for host %[1]s (%[2]s)"},
		{remove, "removed", "hosts.rm_host", a.Name, "Host %[2]s (%[1]s) would be removed", "Removed host %[2]s (%[1]s)", "Failed to remove host %[2]s (%[1]s)"},
	}
	changes, would := wire.NewMap(), append([]string{}, said...)
	note := func(m *wire.Map, key, addr, value string) {
		if m.Map(key) == nil {
			m.Set(key, wire.NewMap())
		}
		m.Map(key).Set(addr, []any{value})
	}
	for _, w := range work {
		for _, addr := range w.addrs {
			would = append(would, fmt.Sprintf(w.would, addr, w.value))
			note(changes, w.key, addr, w.value)
		}
	}
	p.Would = strings.Join(would, "\n")
	p.Do(changes, func(ctx context.Context, r *states.Result) error {
		done, did := wire.NewMap(), append([]string{}, said...)
		if wrong {
			r.Result = false
		}
		for _, w := range work {
			for _, addr := range w.addrs {
				ok, err := truth(ctx, c, w.fun, addr, w.value)
				if err != nil {
					return err
				}
				if !ok {
					r.Result = false
					did = append(did, fmt.Sprintf(w.not, addr, w.value))
					continue
				}
				did = append(did, fmt.Sprintf(w.did, addr, w.value))
				note(done, w.key, addr, w.value)
			}
		}
		r.SetChanges(done)
		r.Comment = strings.Join(did, "\n")
		return nil
	})
	return p, nil
}

type hostAbsentArgs struct {
	Name string // A name of a host.
	IP   any    `arg:"ip"` // The address it is taken away from, or a list of addresses.
}

// hostAbsent takes a name away from addresses in /etc/hosts.
func hostAbsent(ctx context.Context, c *states.Call, a hostAbsentArgs) (*states.Plan, error) {
	p := &states.Plan{}
	var lines, would []string
	var there []int
	addrs := listOf(a.IP)
	for i, v := range addrs {
		has, err := truth(ctx, c, "hosts.has_pair", v, a.Name)
		if err != nil {
			return p, err
		}
		lines = append(lines, fmt.Sprintf("Host %s (%s) already absent", a.Name, pytext.Str(v)))
		would = append(would, lines[i])
		if has {
			there = append(there, i)
			would[i] = fmt.Sprintf("Host %s (%s) needs to be removed", a.Name, pytext.Str(v))
		}
	}
	p.Fine, p.Would = strings.Join(lines, "\n"), strings.Join(would, "\n")
	if len(there) == 0 {
		return p, nil
	}
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		for _, i := range there {
			ok, err := truth(ctx, c, "hosts.rm_host", addrs[i], a.Name)
			if err != nil {
				return err
			}
			lines[i] = "Failed to remove host"
			r.Result = ok
			if ok {
				lines[i] = fmt.Sprintf("Removed host %s (%s)", a.Name, pytext.Str(addrs[i]))
				r.Change("host", a.Name)
			}
		}
		r.Comment = strings.Join(lines, "\n")
		return nil
	})
	return p, nil
}

type hostOnlyArgs struct {
	Name      string // An address.
	Hostnames any    // The names that it has, a list; none removes the address.
}

// hostOnly makes an address of /etc/hosts have these names and no others.
func hostOnly(ctx context.Context, c *states.Call, a hostOnlyArgs) (*states.Plan, error) {
	v, err := c.Call.Call(ctx, "hosts.get_alias", args(a.Name), nil)
	if err != nil {
		return nil, err
	}
	var have, want []string
	for _, e := range listOf(v) {
		have = append(have, pytext.Str(e))
	}
	for _, e := range listOf(a.Hostnames) {
		want = append(want, strings.TrimSpace(pytext.Str(e)))
	}
	old, new := strings.Join(have, " "), strings.Join(want, " ")
	if s, ok := a.Hostnames.(string); ok {
		new = strings.TrimSpace(s)
	}
	p := &states.Plan{Fine: fmt.Sprintf(`IP address %s already set to "%s"`, a.Name, new), Would: fmt.Sprintf(`Would change %s from "%s" to "%s"`, a.Name, old, new),
		Did: fmt.Sprintf(`successfully changed %s from "%s" to "%s"`, a.Name, old, new)}
	if old == new {
		return p, nil
	}
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		ok, err := truth(ctx, c, "hosts.set_host", a.Name, new)
		if err == nil && !ok {
			err = module.Failf(`hosts.set_host failed to change %s from "%s" to "%s"`, a.Name, old, new)
		}
		if err == nil {
			r.Change(a.Name, change(old, new))
		}
		return err
	})
	return p, nil
}
