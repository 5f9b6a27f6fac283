package runners

import (
	"strings"

	"github.com/gosalt/gosalt/internal/module"
)

// planned names the functions of Salt 3006 that are to come, so that who calls one
// is told so, and not that he mistyped.
func planned(r *module.Registry) {
	for _, p := range []struct{ mod, funs, why string }{
		{"auth", "del_token mk_token", "A password would show in the event of the call and in the list of jobs. Make a token with gosalt -T -a SYSTEM; it ends by itself (token_expire), or with its file in token_dir."},
		{"cache", "clear_git_lock", "Lock files of git repositories are not used: fileserver.clear_lock lets remotes that fileserver.lock holds be updated again."},
		{"cache", "cloud", "There is no cloud controller, and so nothing kept of its machines."},
		{"http", "update_ca_bundle", "Certificates come from the system: update its package ca-certificates."},
		{"manage", "bootstrap bootstrap_psexec", "gosalt does not install minions over SSH yet. Install it on the machine (gosalt-ssh reaches it), or seed its key with gosalt-key --gen-keys."},
		{"manage", "safe_accept", "gosalt does not compare keys over SSH by itself. Compare gosalt-key -f with gosalt-ssh -r HOST 'gosalt-call --local key.finger', then use gosalt-key -a."},
		{"queue", "delete insert insert_runner list_items list_length list_queues pop process_queue process_runner", "Jobs wait for minions by themselves: gosalt --queue-until."},
		{"reactor", "add delete is_leader list set_leader", "There is no reactor."},
		{"sdb", "delete get get_or_set_hash set", "There are no drivers for sdb:// addresses: keep such values in the pillar, encrypted."},
		{"ssh", "cmd", "It is not a runner of gosalt: use gosalt-ssh."},
		{"winrepo", "genrepo update_git_repos", ""},
	} {
		for _, fun := range strings.Fields(p.funs) {
			r.Planned(p.why, p.mod+"."+fun)
		}
	}
}
