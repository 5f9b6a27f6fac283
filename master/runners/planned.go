package runners

import (
	"strings"

	"github.com/gosalt/gosalt/internal/module"
)

// planned names the functions of Salt 3006 that are to come, so that who calls one
// is told so, and not that he mistyped.
func planned(r *module.Registry) {
	for _, p := range []struct{ mod, funs, why string }{
		{"auth", "del_token mk_token", ""},
		{"cache", "clear_git_lock cloud", ""},
		{"http", "update_ca_bundle", "Certificates come from the system: update its package ca-certificates."},
		{"manage", "bootstrap bootstrap_psexec", "It needs SSH, which gosalt does not speak yet. Install the minion on the machine, or seed its key with gosalt-key --gen-keys."},
		{"manage", "key_regen", "Delete the keys with gosalt-key -D; minions whose own key is removed make a new one when they start."},
		{"manage", "safe_accept", "It needs SSH, which gosalt does not speak yet. Compare gosalt-key -f with gosalt-call key.finger on the machine, then use gosalt-key -a."},
		{"queue", "delete insert insert_runner list_items list_length list_queues pop process_queue process_runner", ""},
		{"reactor", "add delete is_leader list set_leader", ""},
		{"sdb", "delete get get_or_set_hash set", ""},
		{"ssh", "cmd", ""},
		{"state", "pause resume soft_kill", ""},
		{"winrepo", "genrepo update_git_repos", ""},
	} {
		for _, fun := range strings.Fields(p.funs) {
			r.Planned(p.why, p.mod+"."+fun)
		}
	}
}
