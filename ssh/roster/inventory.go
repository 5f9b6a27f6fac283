package roster

import (
	"context"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/target"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/ssh"
)

// A Machine is what an inventory says of one machine.
type Machine struct {
	ID     string
	Entry  *wire.Map // keys of a roster
	Attrs  *wire.Map // all that is known of it
	Source string    // where this was said
	Exec   ssh.Exec  // runs commands there in the place of SSH
	Wrong  error     // what stands in the way of reaching it
	Down   bool      // it is not running: it is meant only where it is named
}

// loadInventory takes the machines that the inventory has found.
func loadInventory(ctx context.Context, r *Roster) error {
	if r.cfg.Machines == nil {
		return &Error{Source: "inventory", Msg: "no inventory is configured", Hint: "the option inventory says where machines are to be found"}
	}
	r.down = map[string]bool{}
	err := r.cfg.Machines(ctx, func(m Machine) {
		h := r.parseHost(m.ID, m.Entry, func(string) string { return m.Source })
		if m.Wrong != nil && h.Err == nil {
			h.Err = &ssh.Error{Host: m.ID, Kind: ssh.KindRoster, Msg: m.Wrong.Error()}
		}
		h.Exec, h.Attrs = m.Exec, m.Attrs
		if m.Attrs.Len() > 0 {
			grains := wire.NewMap("cloud", m.Attrs)
			for k, v := range h.Grains.All() {
				grains.SetAny(k, v)
			}
			h.Grains = grains
		}
		if m.Down {
			r.down[m.ID] = true
		}
		r.add(h)
	})
	if err != nil {
		return &Error{Source: "inventory", Msg: err.Error(), Err: err}
	}
	return nil
}

// standing leaves out machines that are not running, unless they are named themselves.
func (r *Roster) standing(hosts []ssh.Host, t *target.Target) []ssh.Host {
	if len(r.down) == 0 {
		return hosts
	}
	named := append(slices.Clone(t.Listed()), t.ID())
	var out []ssh.Host
	var left []string
	for _, h := range hosts {
		if r.down[h.ID] && !slices.Contains(named, h.ID) {
			left = append(left, h.ID)
			continue
		}
		out = append(out, h)
	}
	if len(left) > 0 {
		more := ""
		if len(left) > 10 {
			left, more = left[:10], ", …"
		}
		r.cfg.Log.Warn("machines that are not running are passed over", "machines", strings.Join(left, ", ")+more)
	}
	return out
}

// Target reads a target as Match does: with the groups of the rosters, and V@.
func (r *Roster) Target(ctx context.Context, tgt any, kind string) (*target.Target, error) {
	o := target.Options{Nodegroups: r.allNodegroups()}
	if r.cfg.MachinesOf != nil {
		o.Machines = func(expr string) ([]string, error) { return r.cfg.MachinesOf(ctx, expr) }
	}
	return target.Parse(tgt, kind, o)
}

// Down tells whether a machine of the inventory is not running.
func (r *Roster) Down(id string) bool { return r.down[id] }
