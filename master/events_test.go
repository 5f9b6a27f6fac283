package master

import "testing"

// A minion may use only tags that nobody could take for another's or the master's own
// (CVE-2025-22239, CVE-2025-22236).
func TestOwnTag(t *testing.T) {
	for _, tc := range []struct {
		tag  string
		want bool
	}{
		{"salt/job/20261122063858048545/prog/web1/1", true},
		{"salt/job/20261122063858048545/sub/web1/error/state.sls", true},
		{"salt/job/req/prog/web1/1", true}, // startup_states
		{"salt/state_result/20261122063858048545/web1/motd", true},
		{"salt/minion/web1/start", true},
		{"salt/beacon/web1/load/", true},
		{"minion_start", true},
		{"minion_ping", true},
		{"deploy/finished", true},
		{"my-tag", true},

		{"", false},
		{"salt/job/20261122063858048545/prog/web2/1", false},
		{"salt/job/20261122063858048545/ret/web1", false}, // returns go through _return
		{"salt/job/20261122063858048545/new", false},
		{"salt/job/20261122063858048545/publish", false},
		{"salt/job/x/prog/web1/1", false},
		{"salt/state_result/20261122063858048545/web2/motd", false},
		{"salt/state_result/web1/motd", false},
		{"salt/minion/web2/start", false},
		{"salt/beacon/web10/load/", false},
		{"salt/auth", false},
		{"salt/key", false},
		{"salt/run/20261122063858048545/new", false},
		{"salt/wheel/20261122063858048545/ret", false},
		{"salt/cloud/x/created", false},
		{"salt/cluster/peer", false},
		{"salt/presence/present", false},
		{"key", false},
		{"minion/refresh/web2", false},
		{"20261122063858048545", false},
		{"20261122063858048545/x", false},
		{"salt/../salt/key", false},
		{"a\n\nb", false},
		{"salt/minion/web1/start\n\nx", false},
	} {
		if got := ownTag("web1", tc.tag); got != tc.want {
			t.Errorf("%q: %t, want %t", tc.tag, got, tc.want)
		}
	}
}
