package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/gosalt/gosalt/protocol/wire"
)

// gone lists, or deletes, the keys whose machine is not in the inventory any more.
func (k *keyCommand) gone(ctx context.Context) (Outcome, error) {
	o := k.o
	patterns := "*"
	if o.Delete != "" {
		patterns = o.Delete
	}
	switch {
	case o.List != "" || o.Accept != "" || o.Reject != "" || o.Print != "" || o.Finger != "" || o.AcceptAll || o.RejectAll || o.PrintAll || o.FingerAll:
		return Usage, errors.New("--gone lists keys, or deletes them with -d or -D; it goes with no other action")
	case k.env.Gone == nil:
		return OK, errors.New("there is no inventory by which to tell which machines are gone: see inventory: in the master's configuration")
	}
	m, err := matchKeys(k.env.Store, patterns)
	if err != nil {
		return OK, err
	}
	var ids []wire.MinionID
	for _, list := range m {
		ids = append(ids, list...)
	}
	gone, unsure, err := k.env.Gone(ctx, ids)
	if err != nil {
		return OK, err
	}
	for s, list := range m {
		m[s] = slices.DeleteFunc(slices.Clone(list), func(id wire.MinionID) bool { return !gone[id] })
		if len(m[s]) == 0 {
			delete(m, s)
		}
	}
	if unsure != "" {
		fmt.Fprintf(k.io.Err, "%s: warning: %s\n", k.io.Prog, unsure)
	}
	if o.Delete == "" && !o.DeleteAll {
		return OK, k.show(m.value())
	}
	if unsure != "" && !m.empty() {
		return MinionFailed, errors.New("nothing is deleted: machines that could not be listed would count as gone. gosalt-run inventory.refresh lists them again; gosalt-key -d deletes by name")
	}
	return k.confirm(ctx, "delete", patterns, m, keyStates, "")
}
