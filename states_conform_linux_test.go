package gosalt_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gosalt/gosalt/internal/testmachine"
)

var kills = flag.Int("kills", 2, "how many runs of the conformance suite of states are killed")

// conformMachine is a machine that testdata/conform has prepared.
type conformMachine struct {
	t *testing.T
	m *testmachine.Machine
}

func newConformMachine(t *testing.T) *conformMachine {
	t.Helper()
	m := testmachine.New(t, testmachine.Options{Systemd: true, Bind: map[string]string{bin: "/opt/gosalt"}})
	c := &conformMachine{t, m}
	m.Run("mkdir", "-p", "/srv/salt", "/opt/conform")
	for name, to := range map[string]string{"prepare.sh": "/opt/conform/prepare.sh", "repo.sh": "/opt/conform/repo.sh", "all.sls": "/srv/salt/all.sls"} {
		b, err := os.ReadFile("testdata/conform/" + name)
		if err != nil {
			t.Fatal(err)
		}
		m.Write(to, string(b))
	}
	m.Write("/etc/salt/minion", "id: machine\nfile_client: local\n")
	m.Write("/etc/salt/grains", "roles: [db]\ntags: [y]\noldgrain: 1\n")
	m.Write("/srv/salt/acc", "{{ accumulator['acc'] | join(',') }}\n")
	m.Write("/srv/salt/crontab", "1 2 3 4 5 /bin/true\n")
	m.Run("sh", "-e", "/opt/conform/prepare.sh")
	return c
}

var conformApply = []string{"/opt/gosalt/gosalt-call", "--retcode-passthrough", "--out", "json", "-l", "quiet", "state.apply", "all"}

type conformResult struct {
	ID      string         `json:"__id__"`
	Changes map[string]any `json:"changes"`
	Comment any            `json:"comment"`
	Result  any            `json:"result"`
}

// apply runs all states and returns what they came to, by tag.
func (c *conformMachine) apply(arg ...string) map[string]conformResult {
	c.t.Helper()
	r := c.m.Try("", append(slices.Clone(conformApply), arg...)...)
	var doc struct {
		Local map[string]conformResult `json:"local"`
	}
	if err := json.Unmarshal([]byte(r.Stdout), &doc); err != nil {
		c.t.Fatalf("%v: %s%s", err, r.Stdout, r.Stderr)
	}
	return doc.Local
}

// clean fails for each state that has failed or, where nothing is left to do, changes or
// would change something.
func (c *conformMachine) clean(when string, results map[string]conformResult, done bool) {
	c.t.Helper()
	for _, tag := range slices.Sorted(maps.Keys(results)) {
		s := results[tag]
		switch {
		case done && strings.HasPrefix(s.ID, "always "):
		case s.Result != true:
			c.t.Errorf("%s: %s: %v %v", when, tag, s.Result, s.Comment)
		case done && len(s.Changes) > 0:
			c.t.Errorf("%s: %s: nothing was left to do: %v", when, tag, s.Changes)
		}
	}
}

// state of the machine: its files, and what is in no file.
func (c *conformMachine) state() []string {
	var all []string
	for _, ch := range c.m.Changes() {
		if !strings.HasPrefix(ch.Path, "/var/cache/salt") && !strings.HasPrefix(ch.Path, "/var/log") && !strings.HasPrefix(ch.Path, "/run") && !strings.HasPrefix(ch.Path, "/var/lib/systemd") {
			all = append(all, ch.String())
		}
	}
	all = slices.DeleteFunc(all, func(s string) bool {
		return strings.HasPrefix(s, "/etc/group-:") || strings.HasPrefix(s, "/etc/gshadow-:")
	})
	out := c.m.Run("sh", "-c", "cat /proc/self/mounts; iptables -S 2>/dev/null; sysctl -n net.ipv4.ip_forward; systemctl is-active t-up t-down; true")
	return append(all, strings.Split(out, "\n")...)
}

// TestStatesConform is what every state promises, with testdata/conform/all.sls, which
// uses each: a plan changes nothing, and tells of everything that is not yet so; a run does
// it, and then there is nothing left to do.
func TestStatesConform(t *testing.T) {
	t.Parallel()
	needConform(t)
	c := newConformMachine(t)
	before := c.state()
	plan := c.apply("test=True")
	if now := c.state(); !slices.Equal(now, before) {
		t.Errorf("test=True changed the machine: now %q, before %q", lack(now, before), lack(before, now))
	}
	for tag, s := range plan {
		if s.Result == false {
			t.Errorf("plan: %s: %v", tag, s.Comment)
		}
	}
	run := c.apply()
	c.clean("run", run, false)
	for tag, s := range run {
		planned := plan[tag].Result == nil || len(plan[tag].Changes) > 0
		if len(s.Changes) > 0 && !planned {
			t.Errorf("%s was not planned: %v", tag, s.Changes)
		}
		if len(s.Changes) == 0 && planned && unforeseen[s.ID] == "" {
			t.Errorf("%s was planned, and had nothing to do: %v", tag, plan[tag].Changes)
		}
	}
	after := c.state()
	c.clean("second run", c.apply(), true)
	if now := c.state(); !slices.Equal(now, after) {
		t.Errorf("a second run changed the machine: now %q, before %q", lack(now, after), lack(after, now))
	}
	plan = c.apply("test=True")
	for tag, s := range plan {
		if unforeseen[s.ID] != "" && s.Result == nil && len(s.Changes) == 0 {
			delete(plan, tag)
		}
	}
	c.clean("second plan", plan, true)
}

// unforeseen are states whose plan cannot tell, with the reason.
var unforeseen = map[string]string{
	"w query": "a query may change something where it goes to: it is sent by the run alone, which tells no changes",
}

// lack are the lines that others have not.
func lack(lines, others []string) (out []string) {
	for _, l := range lines {
		if !slices.Contains(others, l) {
			out = append(out, l[:min(len(l), 200)])
		}
	}
	return out
}

func needConform(t *testing.T) {
	t.Helper()
	testmachine.Need(t)
	for _, prog := range []string{"dpkg-deb", "apt-get", "useradd", "git", "crontab", "pip3", "patch", "iptables", "ssh-keygen"} {
		if _, err := exec.LookPath(prog); err != nil {
			t.Skip(err)
		}
	}
}

// TestSystemsKilled kills runs of the same states at random instants, with all that they
// have started: the next run finishes the work, whatever dpkg was at, and the one after it
// has nothing to do. -kills=20 tries more instants.
func TestSystemsKilled(t *testing.T) {
	needConform(t)
	for round := range *kills {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			c := newConformMachine(t)
			// A random part of what a whole run takes, in a session of its own.
			after := time.Duration(rand.Int64N(int64(8 * time.Second)))
			c.m.Try("", "sh", "-c", fmt.Sprintf(`setsid sh -c 'echo $$ >/tmp/group; exec %s' >/dev/null 2>&1 & sleep %f; kill -9 -- -$(cat /tmp/group); wait`, strings.Join(conformApply, " "), after.Seconds()))
			when := fmt.Sprintf("killed after %v, ", after)
			c.clean(when+"the next run", c.apply(), false)
			c.clean(when+"a third run", c.apply(), true)
			if left := c.m.Run("sh", "-c", "dpkg --audit; find /etc /home -name '*.dpkg-*' -newer /srv/salt/all.sls; find /etc /srv /home -name '.*gosalt*'; grep -cE '/mnt/[ab][[:space:]]' /etc/fstab; dpkg-query -W -f '${db:Status-Abbrev}\n' one two three four | sort -u"); left != "2\nii \n" {
				t.Errorf("%sleft behind: %q", when, left)
			}
		})
	}
}
