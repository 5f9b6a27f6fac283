package runners

import (
	"context"
	"slices"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/protocol/wire"
)

// registerPresence registers what tells who is connected. Salt has each of these
// under many names: they told apart the states of a transport that is no more.
func registerPresence(r *module.Registry) {
	module.Register(r, "manage.present", managePresent)
	module.Register(r, "manage.not_present", manageNotPresent)
	for _, name := range []string{"list_state", "alived", "allowed", "joined", "reaped"} {
		r.Alias("manage."+name, "manage.present")
	}
	for _, name := range []string{"list_not_state", "not_alived", "not_allowed", "not_joined", "not_reaped"} {
		r.Alias("manage."+name, "manage.not_present")
	}
}

type managePresenceArgs struct {
	Subset []string `default:"None" split:","`      // Look only at these minions: a list of ids, or several with commas.
	ShowIP bool     `default:"False" arg:"show_ip"` // Give the address that each connected minion comes from.
}

// managePresent lists the minions that are connected to the master. Nothing is sent
// to them.
//
//	gosalt-run manage.present
//	gosalt-run manage.present show_ip=True
//	gosalt-run manage.present subset=web1,web2
func managePresent(ctx context.Context, _ *module.Call, a managePresenceArgs) (any, error) {
	m := callOf(ctx).r.master
	var ids []wire.MinionID
	for id := range m.Connected() {
		if len(a.Subset) == 0 || slices.Contains(a.Subset, string(id)) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	list, addresses := []any{}, wire.NewMap()
	for _, id := range ids {
		list = append(list, string(id))
		addresses.Set(string(id), m.Address(id))
	}
	if a.ShowIP {
		return addresses, nil
	}
	return list, nil
}

// manageNotPresent lists the minions with an accepted key that are not connected to
// the master. Nothing is sent to anybody; show_ip changes nothing.
//
//	gosalt-run manage.not_present
//	gosalt-run manage.not_present subset=web1,web2
func manageNotPresent(ctx context.Context, _ *module.Call, a managePresenceArgs) ([]any, error) {
	m := callOf(ctx).r.master
	accepted, err := m.Accepted()
	if err != nil {
		return nil, err
	}
	connected := m.Connected()
	out := []any{}
	for _, id := range accepted {
		if !connected[id] && (a.Subset == nil || slices.Contains(a.Subset, string(id))) {
			out = append(out, string(id))
		}
	}
	return out, nil
}
