package roster

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/render/saltyaml"
	"github.com/gosalt/gosalt/protocol/wire"
)

func TestAnsibleINI(t *testing.T) {
	dir := t.TempDir()
	f := write(t, filepath.Join(dir, "hosts"), `# comment
; comment
alone ansible_host=10.0.0.9
[web]
web[01:03:2].example.com:2222  ansible_user=deploy  x="a b" # inline
db-[a:c]
[db]
db-a ansible_ssh_pass='s3 cret' ansible_become=True ansible_become_user=app ansible_become_password=p
[2001:db8::1]
[prod:children]
web
db
[prod:vars]
ansible_port = 22
zone=eu # not a comment of the value
list=[1, 'b']
num=5
[web:vars]
ansible_private_key_file=~/.ssh/web
num=6
[all:vars]
ansible_ssh_common_args='-o ProxyJump=bastion -A -C'
`, 0o600)
	write(t, filepath.Join(dir, "group_vars/db.yml"), "num: 7\n", 0o600)
	write(t, filepath.Join(dir, "group_vars/all/x.yaml"), "fromall: 1\n", 0o600)
	write(t, filepath.Join(dir, "host_vars/db-a"), "ansible_host: 10.9.9.9\n", 0o600)
	write(t, filepath.Join(dir, "host_vars/db-b.yml"), "$ANSIBLE_VAULT;1.1;AES256\n1234\n", 0o600)
	text := strings.Replace(readBack(t, f), "[2001:db8::1]\n", "", 1)
	write(t, f, text, 0o600)
	r := load(t, Config{Rosters: []string{"ansible"}, File: f})
	opts := "options=ProxyJump=bastion|ForwardAgent=yes"
	wantHosts(t, r,
		`alone: host=10.0.0.9 `+opts+` opts={"fromall": 1}`,
		`web01.example.com: host=web01.example.com port=2222 user=deploy priv=~/.ssh/web `+opts+` opts={"fromall": 1, "list": [1, "b"], "num": 6, "x": "a b", "zone": "eu # not a comment of the value"}`,
		`web03.example.com: host=web03.example.com port=2222 user=deploy priv=~/.ssh/web `+opts+` opts={"fromall": 1, "list": [1, "b"], "num": 6, "x": "a b", "zone": "eu # not a comment of the value"}`,
		`db-a: host=10.9.9.9 port=22 passwd=s3 cret priv=~/.ssh/web sudo=true sudo_user=app sudo_passwd=p `+opts+` opts={"fromall": 1, "list": [1, "b"], "num": 7, "zone": "eu # not a comment of the value"}`,
		`db-b: host=db-b port=22 priv=~/.ssh/web `+opts+` opts={"fromall": 1, "list": [1, "b"], "num": 6, "zone": "eu # not a comment of the value"}`,
		`db-c: host=db-c port=22 priv=~/.ssh/web `+opts+` opts={"fromall": 1, "list": [1, "b"], "num": 6, "zone": "eu # not a comment of the value"}`)
	wantWarnings(t, r, filepath.Join(dir, "host_vars/db-b.yml")+": it is encrypted by ansible-vault, and is passed over")
	wantIDs(t, r, "prod", "nodegroup", "web01.example.com web03.example.com db-a db-b db-c")
	wantIDs(t, r, "db", "nodegroup", "db-a")
	wantIDs(t, r, "ungrouped", "nodegroup", "alone")
	wantIDs(t, r, "N@db or alone", "compound", "alone db-a")
}

// What ansible-inventory (ansible-core 2.14.18) makes of the files in testdata.
func TestAnsibleRecorded(t *testing.T) {
	for _, name := range []string{"hosts", "groups.yml"} {
		path := filepath.Join("testdata/ansible", name)
		v, err := saltyaml.LoadJSON(readBack(t, path+".recorded"))
		if err != nil {
			t.Fatal(err)
		}
		want := v.(*wire.Map)
		r := load(t, Config{Rosters: []string{"ansible"}, File: path})
		n := 0
		for id, vars := range want.Map("_meta").Map("hostvars").Strings() {
			n++
			h, _ := r.Get(id)
			got, _ := saltyaml.JSON(h.Attrs, true, nil)
			if w, _ := saltyaml.JSON(vars, true, nil); got != w {
				t.Errorf("%s: %s\n got %s\nwant %s", name, id, got, w)
			}
		}
		if hosts := r.Hosts(); len(hosts) < n {
			t.Errorf("%s: %d hosts, want at least %d", name, len(hosts), n)
		}
		for group, g := range want.Strings() {
			for _, id := range g.(*wire.Map).List("hosts") {
				if !slices.Contains(r.groups[group], id.(string)) {
					t.Errorf("%s: %s is not in %s", name, id, group)
				}
			}
		}
	}
}

func readBack(t *testing.T, f string) string {
	t.Helper()
	s, err := readFile(f)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAnsibleYAML(t *testing.T) {
	dir := t.TempDir()
	f := write(t, filepath.Join(dir, "hosts.yml"), `all:
  hosts:
    mail: {ansible_host: 10.0.0.1, ansible_port: 2222}
  vars: {a: 1}
  children:
    web:
      hosts:
        web[1:2]:
      vars: {a: 2}
      childern: {}
    empty:
`, 0o600)
	r := load(t, Config{Rosters: []string{"ansible"}, File: f})
	wantHosts(t, r, `mail: host=10.0.0.1 port=2222 opts={"a": 1}`, `web1: host=web1 opts={"a": 2}`, `web2: host=web2 opts={"a": 2}`)
	wantWarnings(t, r, f+`:10: web: there is no key "childern" of a group: did you mean children?`)
	if h, _ := r.Get("web1"); h.Source != f+":8" {
		t.Error(h.Source)
	}
}

func TestAnsibleScript(t *testing.T) {
	dir := t.TempDir()
	f := write(t, filepath.Join(dir, "inv"), `#!/bin/sh
[ "$1" = --list ] || exit 3
echo '{"servers": ["a"], "desktop": {"hosts": ["b"], "vars": {"v": 1}}, "all": {"children": ["servers", "desktop"]}, "_meta": {"hostvars": {"a": {"ansible_ssh_user": "u", "ansible_ssh_host": "10.0.0.1", "ansible_sudo_pass": "p", "ansible_ssh_pass": "q", "ansible_ssh_port": 23}}}}'
`, 0o755)
	r := load(t, Config{Rosters: []string{"ansible"}, File: f})
	wantHosts(t, r, `a: host=10.0.0.1 port=23 user=u passwd=q sudo=true sudo_passwd=p`, `b: host=b opts={"v": 1}`)
	wantIDs(t, r, "desktop", "nodegroup", "b")
	old := write(t, filepath.Join(dir, "old"), "#!/bin/sh\nif [ \"$1\" = --host ]; then echo \"{\\\"n\\\": \\\"$2\\\"}\"; else echo '{\"g\": [\"x\", \"y\"]}'; fi\n", 0o755)
	wantHosts(t, load(t, Config{Rosters: []string{"ansible"}, File: old}), `x: host=x opts={"n": "x"}`, `y: host=y opts={"n": "y"}`)
	for text, want := range map[string]string{
		"#!/bin/sh\necho no >&2; exit 2\n": "bad --list: exit status 2: no",
		"#!/bin/sh\necho junk\n":           "what it prints is no JSON",
		"#!/bin/sh\necho []\n":             "it prints a list",
	} {
		f := write(t, filepath.Join(dir, "bad"), text, 0o755)
		if _, err := Load(context.Background(), Config{Rosters: []string{"ansible"}, File: f}); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), f) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestAnsibleMistakes(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]string{
		"[web:childern]\na\n":                `:1: a section [web:…] is of vars, children or hosts, and not of "childern" (did you mean children?)`,
		"[web:children]\nnone\n":             `:1: web: there is no group "none"`,
		"a b\n":                              `:1: a: "b" is not of the form name=value`,
		"\na x='\n":                          ":2: a quote that is not closed",
		"web[1:2 x=1\n":                      `:1: web[1:2: "web[1" has [ without ]`,
		"web[3:1]\n":                         "ends before it begins",
		"web[01:100]\n":                      "different length",
		"web[1:9999999]\n":                   "more than 100000 members",
		"[a:children]\nb\n[b:children]\na\n": "is among its own children",
		"[a:vars]\nx\n":                      `:2: a: "x" is not of the form name=value`,
	} {
		f := write(t, filepath.Join(dir, "hosts"), text, 0o600)
		if _, err := Load(context.Background(), Config{Rosters: []string{"ansible"}, File: f}); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), f) {
			t.Errorf("%q: %v\nwant %s", text, err, want)
		}
	}
	f := write(t, filepath.Join(dir, "hosts"), "t ansible_host={{x}}\nw ansible_connection=winrm\nb ansible_become=1 ansible_become_method=doas\np ansible_port=x\n", 0o600)
	r := load(t, Config{Rosters: []string{"ansible"}, File: f})
	for id, want := range map[string]string{"t": "ansible_host is a template", "w": "ansible_connection is winrm", "b": "ansible_become_method is doas", "p": `port is "x"`} {
		if h, _ := r.Get(id); h.Err == nil || !strings.Contains(h.Err.Error(), want) || !strings.Contains(h.Err.Error(), f+":") {
			t.Errorf("%s: %v", id, h.Err)
		}
	}
}

// A pattern stands for names that have what is around its brackets.
func FuzzExpandHosts(f *testing.F) {
	for _, s := range []string{"web[01:20].x", "a[a:f]b[1:3:2]:22", "[::1]:22", "::1", "a]b[", "[0:3]x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		names, port, err := expandHosts(s)
		if err != nil {
			return
		}
		if len(names) == 0 || len(names) > maxRange || port < 0 || port > 65535 {
			t.Fatalf("%q: %d names, port %d", s, len(names), port)
		}
		prefix, _, _ := strings.Cut(s, "[")
		for _, n := range names[:1] {
			if port == 0 && !strings.HasPrefix(n, prefix) {
				t.Fatalf("%q: %q", s, n)
			}
		}
	})
}
