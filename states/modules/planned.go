package modules

import (
	"strings"

	"github.com/gosalt/gosalt/states"
)

// planned names the states of Salt 3006 that are to come, so that who uses one is told
// so, and not that he mistyped.
func planned(r *states.Registry) {
	for _, p := range []struct{ mod, funs string }{
		{"nftables", "append chain_absent chain_present delete flush insert set_policy table_absent table_present"},
		{"salt", "wait_for_event"},
	} {
		for _, fun := range strings.Fields(p.funs) {
			r.Planned("", p.mod+"."+fun)
		}
	}
}
