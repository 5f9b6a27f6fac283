package modules

import (
	"strings"

	"github.com/gosalt/gosalt/states"
)

// planned names the states of Salt 3006 that are to come, so that who uses one is told
// so, and not that he mistyped.
func planned(r *states.Registry) {
	for _, p := range []struct{ mod, funs string }{
		{"alternatives", "auto install remove set"},
		{"archive", "extracted"},
		{"at", "absent mod_watch present watch"},
		{"debconf", "set set_file"},
		{"environ", "setenv"},
		{"event", "fire_master mod_watch send wait"},
		{"git", "cloned config_set config_unset detached latest present"},
		{"grains", "absent append exists list_absent list_present make_hashable present"},
		{"http", "query wait_for_successful_query"},
		{"ini", "options_absent options_present sections_absent sections_present"},
		{"iptables", "append chain_absent chain_present delete flush insert set_policy"},
		{"kmod", "absent present"},
		{"locale", "present system"},
		{"mount", "fstab_absent fstab_present mod_watch mounted swap unmounted"},
		{"nftables", "append chain_absent chain_present delete flush insert set_policy table_absent table_present"},
		{"pip", "installed removed uptodate"},
		{"pkg", "downloaded group_installed held installed latest mod_watch patch_downloaded patch_installed purged removed unheld uptodate"},
		{"pkgrepo", "absent managed"},
		{"salt", "function parallel_runners runner state wait_for_event wheel"},
		{"saltutil", "sync_all sync_beacons sync_clouds sync_engines sync_executors sync_grains sync_log_handlers sync_matchers sync_modules sync_output sync_outputters sync_pillar sync_proxymodules sync_renderers sync_returners sync_sdb sync_serializers sync_states sync_thorium sync_utils"},
		{"schedule", "absent disabled enabled present"},
		{"timezone", "system"},
		{"virtualenv", "manage managed"},
	} {
		for _, fun := range strings.Fields(p.funs) {
			r.Planned("", p.mod+"."+fun)
		}
	}
}
