package gosalt_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/testmachine"
)

// TestInventoryStory is the whole story: a machine appears in a source, is a target over SSH at
// once, is made a minion by what it is tagged with, which joins by a token, and then gets its
// states as one.
func TestInventoryStory(t *testing.T) {
	t.Parallel()
	s := newBootSite(t, testmachine.Options{Systemd: true})
	s.m.Run("sh", "-c", "cat >> /srv/m/master <<'.'\ninventory:\n  lab: {provider: static, file: lab.yaml, refresh: 0, name: '{{ tags.Name }}', ssh: {user: '{{ tags.login }}', priv: /srv/m/id}}\nroster: inventory\nfile_roots: {base: [/srv/m/states]}\n.\n")
	s.m.Run("sh", "-ec", "rm -f /srv/m/roster; mkdir -p /srv/m/states")
	s.m.Write("/srv/m/states/web.sls", "/etc/motd.web:\n  file.managed:\n    - contents: {{ grains['cloud']['tags']['role'] }} in {{ grains['cloud']['region'] }}\n")
	s.m.Write("/srv/m/lab.yaml", "{}\n")
	s.startMaster()
	s.want(0, nil, "gosalt-run", "inventory.refresh")
	s.m.Write("/srv/m/lab.yaml", "i-1: {address: 127.0.0.1, region: eu-west-1, tags: {Name: web1, role: web, login: root}}\ni-2: {address: 127.0.0.9, state: stopped, tags: {Name: web2, role: web, login: root}}\n")
	s.want(0, []string{"found:\n        2"}, "gosalt-run", "inventory.refresh", "lab")
	s.want(0, []string{"web1:\n    True"}, "gosalt-ssh", "-C", "V@tag:role=web", "test.ping")
	s.want(0, []string{"made, and accepted by the master, for a token", "and connected"}, "gosalt-ssh", "-C", "V@tag:role=web and V@state:unknown", "bootstrap", "token=True")
	s.want(0, []string{"used up", "id:\n              web1", "gosalt-ssh bootstrap"}, "gosalt-key", "--tokens")
	audit := s.m.Read("/srv/m/root/var/log/salt/audit")
	for _, re := range []string{`"what":"join token made".*"minion":"web1","uses":1,"life":"10m0s","result":true`, `"what":"join","minion":"web1".*"by":"token [0-9a-f]{16}","result":"accepted"`} {
		if !regexp.MustCompile(re).MatchString(audit) {
			t.Errorf("the audit log has no %s", re)
		}
	}
	if strings.Contains(audit, "gosalt-join1") || s.m.Try("", "grep", "-rl", "gosalt-join1", "/srv/m/root", "/etc/salt", "/var/log", "/var/cache/salt").Stdout != "" {
		t.Error("the token is kept somewhere")
	}
	s.want(0, []string{"changes:\n        ----------\n", "and connected"}, "gosalt-ssh", "-C", "V@tag:role=web and V@state:unknown", "bootstrap", "token=True")
	s.want(0, []string{"web1:\n    True"}, "gosalt", "-G", "cloud:region:eu-west-1", "test.ping")
	out := s.want(0, []string{"Succeeded: 1 (changed=1)"}, "gosalt", "-C", "V@tag:role=web and V@region:eu-*", "state.apply", "web")
	if strings.Contains(out, "web2") {
		t.Errorf("a machine that is no minion is in the result:\n%s", out)
	}
	if got := s.m.Run("cat", "/etc/motd.web"); strings.TrimSpace(got) != "web in eu-west-1" {
		t.Errorf("%q", got)
	}
	s.want(0, []string{"taken off the master"}, "gosalt-ssh", "web1", "bootstrap.remove")
	s.m.Run("sh", "-c", "kill $(cat /srv/m/root/var/run/salt-master.pid)")
	s.until("the master's end", func() bool { return s.m.Try("", "bash", "-c", ": </dev/tcp/127.0.0.1/4506").Code != 0 })
	s.want(20, []string{"no master runs where gosalt-ssh was started"}, "gosalt-ssh", "web1", "bootstrap", "token=True")
}
