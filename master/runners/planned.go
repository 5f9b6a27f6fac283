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
		{"git_pillar", "update", ""},
		{"http", "query update_ca_bundle", ""},
		{"manage", "bootstrap bootstrap_psexec", "Install the minion on the machine, or seed its key with gosalt-key --gen-keys."},
		{"manage", "key_regen", "Delete the keys with gosalt-key -D; minions whose own key is removed make a new one when they start."},
		{"manage", "safe_accept", "Compare gosalt-key -f with gosalt-call key.finger on the machine, then use gosalt-key -a."},
		{"queue", "delete insert insert_runner list_items list_length list_queues pop process_queue process_runner", ""},
		{"reactor", "add delete is_leader list set_leader", ""},
		{"saltutil", "sync_all sync_cache sync_clouds sync_eauth_tokens sync_engines sync_executors sync_fileserver sync_grains sync_modules " +
			"sync_output sync_pillar sync_proxymodules sync_queues sync_renderers sync_returners sync_roster sync_runners sync_sdb " +
			"sync_serializers sync_states sync_thorium sync_tops sync_utils sync_wheel", ""},
		{"sdb", "delete get get_or_set_hash set", ""},
		{"ssh", "cmd", ""},
		{"state", "orch orchestrate orchestrate_high orchestrate_show_sls orchestrate_single pause resume sls soft_kill", ""},
		{"winrepo", "genrepo update_git_repos", ""},
	} {
		for _, fun := range strings.Fields(p.funs) {
			r.Planned(p.why, p.mod+"."+fun)
		}
	}
}
