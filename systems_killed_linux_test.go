package gosalt_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/gosalt/gosalt/internal/testmachine"
)

const killedRepo = `
mkdir -p /srv/repo /srv/salt /srv/disk
cd /srv/repo
for p in one two three four; do
	d=/tmp/b/$p; mkdir -p $d/DEBIAN $d/usr/share/$p $d/etc/$p
	printf 'Package: %s\nVersion: 1\nArchitecture: all\nMaintainer: T <t@example.com>\nDescription: test\n' $p >$d/DEBIAN/control
	head -c 300000 /dev/urandom >$d/usr/share/$p/data; echo conf >$d/etc/$p/conf; echo /etc/$p/conf >$d/DEBIAN/conffiles
	dpkg-deb -Znone --root-owner-group -b $d . >/dev/null
	dpkg-deb -f ${p}_1_all.deb
	printf 'Filename: ./%s_1_all.deb\nSize: %s\nSHA256: %s\n\n' $p "$(stat -c %s ${p}_1_all.deb)" "$(sha256sum <${p}_1_all.deb | cut -d' ' -f1)"
done >Packages
rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*
echo 'deb [trusted=yes] file:/srv/repo ./' >/etc/apt/sources.list
apt-get update >/dev/null 2>&1
`

const killedSLS = `
users:
  group.present:
  - names: [g1, g2, g3]
{% for u in ['u1', 'u2', 'u3'] %}
{{ u }}:
  user.present:
  - groups: [g1]
  - createhome: true
{% endfor %}
root's crontab:
  host.present:
  - ip: 10.1.2.3
  - names: [h1, h2]
packages:
  pkg.installed:
  - pkgs: [one, two, three, four]
  - refresh: false
/mnt/a:
  mount.mounted:
  - device: tmpfs
  - fstype: tmpfs
  - mkmnt: true
/mnt/b:
  mount.mounted:
  - device: /srv/disk
  - fstype: none
  - opts: bind
  - mkmnt: true
`

// TestSystemsKilled kills runs of states for packages, accounts and mounts at random
// instants, with all that they have started: the next run finishes the work, whatever
// dpkg was at, and the one after it has nothing to do.
func TestSystemsKilled(t *testing.T) {
	testmachine.Need(t)
	for _, prog := range []string{"dpkg-deb", "apt-get", "useradd"} {
		if _, err := exec.LookPath(prog); err != nil {
			t.Skip(err)
		}
	}
	for round := range 2 {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			m := testmachine.New(t, testmachine.Options{Bind: map[string]string{bin: "/opt/gosalt"}})
			m.Run("sh", "-ec", killedRepo)
			m.Write("/etc/salt/minion", "id: machine\nfile_client: local\n")
			m.Write("/srv/salt/all.sls", killedSLS)
			apply := []string{"/opt/gosalt/gosalt-call", "--retcode-passthrough", "--out", "json", "-l", "quiet", "state.apply", "all"}
			changed := func() (ids []string) {
				t.Helper()
				r := m.Try("", apply...)
				var doc struct {
					Local map[string]struct {
						Changes json.RawMessage `json:"changes"`
						Comment any             `json:"comment"`
						Result  any             `json:"result"`
					} `json:"local"`
				}
				if err := json.Unmarshal([]byte(r.Stdout), &doc); err != nil {
					t.Fatalf("%v: %s%s", err, r.Stdout, r.Stderr)
				}
				for tag, s := range doc.Local {
					if s.Result != true {
						t.Errorf("%s: %v", tag, s.Comment)
					}
					if string(s.Changes) != "{}" {
						ids = append(ids, tag)
					}
				}
				return ids
			}
			// A random part of what a whole run takes, in a session of its own.
			after := time.Duration(rand.Int64N(int64(2500 * time.Millisecond)))
			m.Try("", "sh", "-c", fmt.Sprintf(`setsid sh -c 'echo $$ >/tmp/group; exec %s' >/dev/null 2>&1 & sleep %f; kill -9 -- -$(cat /tmp/group); wait`, strings.Join(apply, " "), after.Seconds()))
			changed()
			if t.Failed() {
				t.Fatalf("killed after %v, the next run has failed", after)
			}
			if again := changed(); len(again) > 0 {
				t.Errorf("killed after %v: a third run still changes %v", after, again)
			}
			if left := m.Run("sh", "-c", "dpkg --audit; find /etc /home -name '*.dpkg-*' -newer /srv/salt/all.sls; find /etc -name '.*gosalt*'; grep -c /mnt/ /etc/fstab; dpkg-query -W -f '${db:Status-Abbrev}\n' one two three four | sort -u"); left != "2\nii \n" {
				t.Errorf("killed after %v: left behind: %q", after, left)
			}
		})
	}
}
