package roster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gosalt/gosalt/internal/render"
	"github.com/gosalt/gosalt/internal/render/saltyaml"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/ssh"
)

func write(t *testing.T, path, text string, mode os.FileMode) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func yaml(t *testing.T, text string) *wire.Map {
	t.Helper()
	v, err := saltyaml.LoadYAML(text)
	if err != nil {
		t.Fatal(err)
	}
	return v.(*wire.Map)
}

// show is a machine in a line: what was said of it.
func show(h ssh.Host) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:", h.ID)
	add := func(name string, v any) {
		if !reflect.ValueOf(v).IsZero() {
			fmt.Fprintf(&b, " %s=%v", name, v)
		}
	}
	add("host", h.Host)
	add("port", h.Port)
	add("user", h.User)
	add("passwd", h.Passwd.Reveal())
	add("priv", h.Priv)
	add("priv_passwd", h.PrivPasswd.Reveal())
	add("sudo", h.Sudo)
	add("sudo_user", h.SudoUser)
	add("sudo_passwd", h.SudoPasswd.Reveal())
	add("tty", h.TTY)
	add("timeout", h.Timeout)
	add("thin_dir", h.ThinDir)
	add("umask", h.CmdUmask)
	add("preflight", h.PreFlight)
	add("args", strings.Join(h.PreFlightArgs, "|"))
	add("path", h.SetPath)
	add("options", strings.Join(h.SSHOptions, "|"))
	add("only", h.IdentitiesOnly)
	add("forwards", strings.Join(h.RemotePortForwards, "|"))
	if h.MinionOpts.Len() > 0 {
		s, _ := saltyaml.JSON(h.MinionOpts, true, nil)
		add("opts", s)
	}
	if h.Grains.Len() > 0 {
		s, _ := saltyaml.JSON(h.Grains, true, nil)
		add("grains", s)
	}
	return b.String()
}

func wantHosts(t *testing.T, r *Roster, want ...string) {
	t.Helper()
	var got []string
	for _, h := range r.Hosts() {
		if h.Err != nil {
			t.Errorf("%s: %s", h.ID, h.Err)
		}
		got = append(got, show(h))
	}
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("got\n%s\nwant\n%s", g, w)
	}
}

func wantWarnings(t *testing.T, r *Roster, want ...string) {
	t.Helper()
	if g, w := strings.Join(r.Warnings, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("warnings:\n%s\nwant\n%s", g, w)
	}
}

func load(t *testing.T, cfg Config) *Roster {
	t.Helper()
	r, err := Load(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func wantIDs(t *testing.T, r *Roster, tgt any, kind, want string) {
	t.Helper()
	hosts, err := r.Match(context.Background(), tgt, kind)
	if err != nil {
		t.Errorf("%v %s: %s", tgt, kind, err)
		return
	}
	var ids []string
	for _, h := range hosts {
		ids = append(ids, h.ID)
	}
	if got := strings.Join(ids, " "); got != want {
		t.Errorf("%v %s: %q, want %q", tgt, kind, got, want)
	}
}

func TestFlat(t *testing.T) {
	f := write(t, filepath.Join(t.TempDir(), "roster"), `# machines
{% for n in range(2) %}
web{{ n }}:
  host: 10.0.0.{{ n }}
  port: "2222"
{% endfor %}
plain: 10.1.1.1
all:
  host: db.example.com
  user: 1000
  passwd: 12345
  port: 22
  sudo: True
  sudo_user: app
  tty: yes
  priv: ~/.ssh/x
  priv_passwd: ' p'
  timeout: 1.5
  minion_opts:
    a: 2
    grains: {role: db, zone: 1}
  grains: {zone: 2}
  thin_dir: /x
  cmd_umask: 0o022
  ssh_pre_flight: /pf.sh
  ssh_pre_flight_args: [a, 'b c']
  set_path: $PATH:/opt
  ssh_options: [ProxyJump=j, Port=3]
  identities_only: True
  remote_port_forwards: 1:a:2, 3:b:4
  mine_functions: {x: []}
2:
  host: ::1
`, 0o600)
	r := load(t, Config{File: f, Defaults: yaml(t, "{user: deploy, minion_opts: {b: 0}}"), MinionOpts: yaml(t, "{a: 1, c: 3}")})
	wantHosts(t, r,
		`web0: host=10.0.0.0 port=2222 user=deploy opts={"a": 1, "b": 0, "c": 3}`,
		`web1: host=10.0.0.1 port=2222 user=deploy opts={"a": 1, "b": 0, "c": 3}`,
		`plain: host=10.1.1.1 user=deploy opts={"a": 1, "b": 0, "c": 3}`,
		`all: host=db.example.com port=22 user=1000 passwd=12345 priv=~/.ssh/x priv_passwd= p sudo=true sudo_user=app tty=true timeout=1.5s thin_dir=/x umask=0022 preflight=/pf.sh args=a|b c path=$PATH:/opt options=ProxyJump=j|Port=3 only=true forwards=1:a:2|3:b:4 opts={"a": 2, "c": 3, "grains": {"role": "db", "zone": 1}} grains={"role": "db", "zone": 2}`,
		`2: host=::1 user=deploy opts={"a": 1, "b": 0, "c": 3}`)
	wantWarnings(t, r)
	if h, _ := r.Get("all"); h.Source != f+":8" {
		t.Error(h.Source)
	}
}

func TestFlatMistakes(t *testing.T) {
	dir := t.TempDir()
	f := write(t, filepath.Join(dir, "roster"), `good: 10.0.0.1
typo:
  hots: 10.0.0.2
  password: s3cret
  colour: red
bad:
  host: x
  port: many
worse:
  host: [a]
secret:
  passwd: [s3cret]
list:
  - a
empty:
twin:
  host: 10.0.0.1
`, 0o600)
	r := load(t, Config{File: f})
	wantWarnings(t, r,
		f+`:3: typo: there is no key "hots": did you mean host?`,
		f+`:4: typo: there is no key "password": did you mean passwd?`,
		f+`:5: typo: there is no key "colour"`,
		f+`:16: twin: it is the same machine as good: 10.0.0.1`)
	for id, want := range map[string]string{
		"good":   "",
		"typo":   "",
		"bad":    f + `:8: bad: port is "many", and has to be a number from 1 to 65535`,
		"worse":  f + `:10: worse: host is a list, and has to be text`,
		"secret": f + `:12: secret: passwd is a list, and has to be text`,
		"list":   f + `:13: list: the entry is a list, and has to be an address`,
		"empty":  f + `:15: empty: the entry is empty`,
	} {
		h, ok := r.Get(id)
		switch {
		case !ok:
			t.Errorf("%s is not there", id)
		case want == "" && h.Err != nil:
			t.Error(h.Err)
		case want != "" && (h.Err == nil || !strings.HasPrefix(h.Err.Error(), "roster "+want) || ssh.KindOf(h.Err) != ssh.KindRoster || strings.Contains(h.Err.Error(), "s3cret")):
			t.Errorf("%s: %v\nwant %s", id, h.Err, want)
		}
	}
	h, _ := r.Get("bad")
	if _, err := ssh.Dial(context.Background(), h, ssh.Options{}); err == nil || err.Error() != h.Err.Error() {
		t.Error(err)
	}
	for text, want := range map[string]string{
		"- a\n":                     "it holds a list, and has to be a map of machines",
		"a: b: c\n":                 ":1: mapping values are not allowed",
		"a: {b: 1, b: 2}\na: 1\n":   ":2: while constructing a mapping, found conflicting ID",
		"{{ nothing.x }}: 1\n":      ":1: Jinja variable 'nothing' is undefined",
		"{% if %}\n":                ":1: Jinja syntax error",
		"#!py\ndef run(): return 1": "",
	} {
		f := write(t, filepath.Join(dir, "r"), text, 0o600)
		_, err := Load(context.Background(), Config{File: f, Render: render.Config{}})
		if err == nil || !strings.Contains(err.Error(), f) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	// A name that stands twice is the mistake of its machine alone.
	again := write(t, filepath.Join(dir, "again"), "a: {host: 10.0.0.1}\nb:\n  host: 10.0.0.2\n\na:\n# what\n  host: 10.0.0.3\n  user: x\nc: 10.0.0.4\nb: 1\na: 2\n", 0o600)
	r = load(t, Config{File: again})
	for id, want := range map[string]string{"a": again + ":1: a: it stands in the roster twice, also in " + again + ":11 (", "b": again + ":2: b: it stands in the roster twice, also in " + again + ":10 (", "c": ""} {
		h, ok := r.Get(id)
		if !ok || (h.Err == nil) != (want == "") || h.Err != nil && !strings.HasPrefix(h.Err.Error(), "roster "+want) {
			t.Errorf("%s: %v, want %s", id, h.Err, want)
		}
	}
	_, err := Load(context.Background(), Config{ConfigDir: dir + "/none"})
	if err == nil || err.Error() != "roster "+dir+"/none/roster: there is no such file (make one, or name another with --roster-file)" {
		t.Error(err)
	}
	_, err = Load(context.Background(), Config{Rosters: []string{"flatt"}})
	if err == nil || !strings.Contains(err.Error(), `no roster named "flatt"`) {
		t.Error(err)
	}
}

func TestMatch(t *testing.T) {
	dir := t.TempDir()
	f := write(t, filepath.Join(dir, "roster"), `
web1: 10.0.0.1
web2: {host: 10.0.1.2, user: deploy, port: 2222, minion_opts: {grains: {role: web}}}
db1: {host: db.example.com, grains: {role: db}}
`, 0o600)
	r := load(t, Config{File: f,
		Nodegroups:     yaml(t, "{webs: 'web*', both: 'N@webs or db1'}"),
		ListNodegroups: yaml(t, "{listed: [db1, web1], text: 'web2,none'}"),
		Grains: func(_ context.Context, id string) *wire.Map {
			if id == "web1" {
				return wire.NewMap("role", "seen")
			}
			return nil
		}})
	for _, row := range []struct {
		tgt        any
		kind, want string
	}{
		{"*", "", "web1 web2 db1"},
		{"web?", "glob", "web1 web2"},
		{"no", "glob", ""},
		{"db1,web1,none", "list", "db1 web1"},
		{[]any{"web2", "web2"}, "list", "web2"},
		{"(web|db)1", "pcre", "web1 db1"},
		{"role:web", "grain", "web2"},
		{"role:seen", "grain", "web1"},
		{"role:(web|db)", "grain_pcre", "web2 db1"},
		{"10.0.0.0/24", "ipcidr", "web1"},
		{"10.0.1.2", "ipcidr", "web2"},
		{"G@role:db or web1", "compound", "web1 db1"},
		{"* and not G@role:db", "compound", "web1 web2"},
		{"webs", "nodegroup", "web1 web2"},
		{"both", "nodegroup", "web1 web2 db1"},
		{"listed", "nodegroup", "db1 web1"},
		{"text", "nodegroup", "web2"},
		{"N@listed and web*", "compound", "web1"},
	} {
		wantIDs(t, r, row.tgt, row.kind, row.want)
	}
	for _, row := range []struct{ tgt, kind, want string }{
		{"nogroup", "nodegroup", `there is no nodegroup "nogroup" (there are both, listed, text, webs)`},
		{"(", "pcre", "pcre"},
		{"web1 and", "compound", "compound"},
	} {
		if _, err := r.Match(context.Background(), row.tgt, row.kind); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v", row.tgt, err)
		}
	}
	for tgt, want := range map[string]string{
		"root@web2":               "web2: host=10.0.1.2 port=2222 user=root",
		"10.0.1.2":                "web2: host=10.0.1.2 port=2222 user=deploy",
		"web1:24":                 "web1: host=10.0.0.1 port=24",
		"me@new.example.com:2200": "new.example.com: host=new.example.com port=2200 user=me",
		"ssh://me@[::1]:22":       "::1: host=::1 port=22 user=me",
		"127.0.0.9":               "127.0.0.9: host=127.0.0.9",
		"nosuchname.invalid":      "",
		"web*":                    "",
		"a b":                     "",
		"@":                       "",
		"web[1]":                  "",
		"-oProxyCommand=x":        "",
	} {
		h, ok := r.AdHoc(context.Background(), tgt)
		h.MinionOpts, h.Grains = nil, nil
		if got := show(h); ok != (want != "") || ok && got != want {
			t.Errorf("%s: %q %v, want %q", tgt, got, ok, want)
		}
	}
}

func TestDir(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a"), "{% set u = 'x' %}\nuser: {{ u }}\nhost: 10.0.0.1\n", 0o600)
	write(t, filepath.Join(dir, "b"), "", 0o600)
	write(t, filepath.Join(dir, ".hidden"), "x", 0o600)
	write(t, filepath.Join(dir, "c"), "prot: 2\n", 0o600)
	r := load(t, Config{Rosters: []string{"dir"}, Dir: dir, Domain: "example.org"})
	wantHosts(t, r, "a: host=10.0.0.1 user=x", "b: host=b.example.org", "c: host=c.example.org")
	wantWarnings(t, r, filepath.Join(dir, "c")+`:1: c: there is no key "prot": did you mean port?`)
	write(t, filepath.Join(dir, "d"), "a: b: c\n", 0o600)
	r, err := Load(context.Background(), Config{Rosters: []string{"dir"}, Dir: dir})
	if err == nil || !strings.Contains(err.Error(), filepath.Join(dir, "d")) || len(r.Hosts()) != 3 {
		t.Error(err, len(r.Hosts()))
	}
}

func TestSeveral(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "d/web1"), "host: 2.2.2.2\n", 0o600)
	write(t, filepath.Join(dir, "d/web2"), "host: 3.3.3.3\n", 0o600)
	f := write(t, filepath.Join(dir, "roster"), "web1: 1.1.1.1\n", 0o600)
	wantHosts(t, load(t, Config{Rosters: []string{"flat", "dir"}, File: f, Dir: dir + "/d"}), "web1: host=2.2.2.2", "web2: host=3.3.3.3")
	r, err := Load(context.Background(), Config{Rosters: []string{"flat", "cache"}, File: f})
	if err == nil || len(r.Hosts()) != 1 {
		t.Error(err)
	}
}

func TestSSHConfigRoster(t *testing.T) {
	dir := t.TempDir()
	f := write(t, filepath.Join(dir, "config"), `Host web1 web2
  User deploy
  Port 2222
Host web*
  IdentityFile ~/.ssh/web
  ProxyCommand nc "%h" %p
  SendEnv LANG
Host *
  HostName %h.example.com
`, 0o600)
	wantHosts(t, load(t, Config{Rosters: []string{"sshconfig"}, SSHConfigFile: f}),
		`web1: host=web1 port=2222 user=deploy options=hostname=%h.example.com|identityfile=~/.ssh/web|proxycommand=nc "%h" %p`,
		`web2: host=web2 port=2222 user=deploy options=hostname=%h.example.com|identityfile=~/.ssh/web|proxycommand=nc "%h" %p`)
	_, err := Load(context.Background(), Config{Rosters: []string{"sshconfig"}, SSHConfigFile: f + ".none"})
	if err == nil || !strings.Contains(err.Error(), "ssh_config_file names it") {
		t.Error(err)
	}
	f = write(t, filepath.Join(dir, "known_hosts"), "web1,10.0.0.1 ssh-ed25519 AAAA\n[web1]:2222 ssh-rsa AAAA\n[db]:23 ssh-rsa AAAA c\n|1|a|b ssh-rsa AAAA\n@revoked x ssh-rsa AAAA\n*.x ssh-rsa AAAA\nshort\nweb1 ssh-rsa AAAA\n", 0o600)
	r := load(t, Config{Rosters: []string{"sshknownhosts"}, KnownHostsFile: f, Defaults: yaml(t, "{sudo: true}")})
	wantHosts(t, r, "web1: host=web1 sudo=true", "10.0.0.1: host=10.0.0.1 sudo=true", "web1:2222: host=web1 port=2222 sudo=true", "db: host=db port=23 sudo=true")
	wantWarnings(t, r, f+":7: the line has 1 words, and needs three: names, type and key", f+": 1 names are hashed: which machines they are cannot be seen")
}

func TestTerraform(t *testing.T) {
	dir := t.TempDir()
	f := write(t, filepath.Join(dir, "new.tfstate"), `{"version": 4, "resources": [
 {"type": "null_resource", "name": "x", "instances": [{"attributes": {"id": "1"}}]},
 {"type": "salt_host", "name": "web", "instances": [
  {"attributes": {"id": "w0", "salt_id": "web0", "host": "10.0.0.1", "user": "root", "passwd": "linux", "port": 0, "sudo": null, "timeout": null, "minion_opts": {"a": 1}}},
  {"attributes": {"id": "w1", "salt_id": "web1", "host": "10.0.0.2", "port": 2222, "sudo": true, "tty": false, "cmd_umask": 22}}]}]}`, 0o600)
	wantHosts(t, load(t, Config{Rosters: []string{"terraform"}, File: f}),
		`web0: host=10.0.0.1 user=root passwd=linux opts={"a": 1}`, `web1: host=10.0.0.2 port=2222 sudo=true umask=0022`)
	f = write(t, filepath.Join(dir, "old.tfstate"), `{"version": 3, "modules": [{"resources": {"salt_host.db": {"type": "salt_host", "primary":
 {"id": "d", "attributes": {"id": "d", "salt_id": "db0", "host": "10.0.0.3", "port": "22", "sudo": "false", "minion_opts.%": "1", "minion_opts.x": "y"}}}}}]}`, 0o600)
	wantHosts(t, load(t, Config{Rosters: []string{"terraform"}, File: f}), `db0: host=10.0.0.3 port=22 opts={"x": "y"}`)
	for text, want := range map[string]string{"{": "it is no state of Terraform", "{}": "neither resources nor modules"} {
		f := write(t, filepath.Join(dir, "bad.tfstate"), text, 0o600)
		if _, err := Load(context.Background(), Config{Rosters: []string{"terraform"}, File: f}); err == nil || !strings.Contains(err.Error(), want) {
			t.Error(err)
		}
	}
	if _, err := Load(context.Background(), Config{Rosters: []string{"terraform"}, File: "/etc/salt/roster"}); err == nil || !strings.Contains(err.Error(), "*.tfstate") {
		t.Error(err)
	}
}

func TestCache(t *testing.T) {
	known := func(context.Context) ([]Minion, error) {
		return []Minion{
			{ID: "a", Grains: yaml(t, "{ipv4: [127.0.0.1, 8.8.8.8, 10.0.0.5, 10.0.0.4], ipv6: ['::1', 'fe80::1'], os: Debian, fqdn_ip4: [1.2.3.4]}"), Pillar: yaml(t, "{ssh: {user: [deploy]}}")},
			{ID: "b", Grains: yaml(t, "{ipv4: [127.0.0.1], ipv6: ['fd00::2', '2600::1']}"), Mine: yaml(t, "{net: [5.6.7.8]}")},
			{ID: "c"},
		}, nil
	}
	r := load(t, Config{Rosters: []string{"cache"}, Known: known, Defaults: yaml(t, "{user: root}")})
	wantHosts(t, r, "a: host=10.0.0.4 user=root", "b: host=fd00::2 user=root")
	wantWarnings(t, r, "cache: c: no address of it is known")
	wantIDs(t, r, "os:Debian", "grain", "a")
	wantIDs(t, r, "ssh:user:deploy", "pillar", "a")
	for order, want := range map[string]string{
		"{host: id}":                           "a=a b=b c=c",
		"{host: [global]}":                     "a=8.8.8.8 b=2600::1",
		"{host: [10.0.0.4/31, id]}":            "a=10.0.0.4 b=b c=c",
		"{host: [grain: fqdn_ip4, mine: net]}": "a=1.2.3.4 b=5.6.7.8",
		"{host: [ipv4-local]}":                 "a=127.0.0.1 b=127.0.0.1",
	} {
		var got []string
		for _, h := range load(t, Config{Rosters: []string{"cache"}, Known: known, Order: yaml(t, order)}).Hosts() {
			got = append(got, h.ID+"="+h.Host)
		}
		if g := strings.Join(got, " "); g != want {
			t.Errorf("%s: %s", order, g)
		}
	}
	r = load(t, Config{Rosters: []string{"cache"}, Known: known, Order: yaml(t, "{host: [id], user: [pillar: [no, 'ssh:user'], ]}")})
	if h, _ := r.Get("a"); h.User != "deploy" {
		t.Error(h.User)
	}
	if _, err := Load(context.Background(), Config{Rosters: []string{"cache"}, Known: known, Order: yaml(t, "{host: near}")}); err == nil || !strings.Contains(err.Error(), `"near" is none of`) {
		t.Error(err)
	}
}

func TestScans(t *testing.T) {
	l, err := net.Listen("tcp", "127.77.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	r := load(t, Config{Rosters: []string{"scan"}, ScanPorts: []int{1, port}, ScanTimeout: 5 * time.Second})
	hosts, err := r.Match(context.Background(), "127.77.0.0/29", "")
	if err != nil || len(hosts) != 1 || show(hosts[0]) != fmt.Sprintf("127.77.0.2: host=127.77.0.2 port=%d", port) {
		t.Error(hosts, err)
	}
	for tgt, want := range map[string]string{"*": `"*" is no address`, "10.0.0.1/24": "the network is 10.0.0.0/24", "10.0.0.0/8": "more than 65536"} {
		if _, err := r.Match(context.Background(), tgt, ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Error(err)
		}
	}
	r = load(t, Config{Rosters: []string{"clustershell"}, ScanPorts: []int{2222}})
	wantIDs(t, r, "web[1-3],db[5,7]x", "glob", "web1 web2 web3 db5x db7x")
	if _, err := r.Match(context.Background(), "web*", "glob"); err == nil {
		t.Error("a pattern is taken")
	}

	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch req.URL.RawQuery {
		case "%25web":
			fmt.Fprint(w, "web1\nweb2\n")
		default:
			w.Header().Set("RangeException", "no cluster")
		}
	}))
	defer srv.Close()
	server := strings.TrimPrefix(srv.URL, "http://")
	r = load(t, Config{Rosters: []string{"range"}, RangeServer: server})
	wantIDs(t, r, "%web", "range", "web1 web2")
	wantIDs(t, r, "%web", "glob", "web1 web2")
	if _, err := r.Match(context.Background(), "%x", "range"); err == nil || !strings.Contains(err.Error(), "no cluster") {
		t.Error(err)
	}
	f := write(t, filepath.Join(t.TempDir(), "roster"), "web2: 1.1.1.1\n", 0o600)
	wantIDs(t, load(t, Config{File: f, RangeServer: server}), "%web", "range", "web2")
	if _, err := Load(context.Background(), Config{Rosters: []string{"range"}}); err == nil {
		t.Error("no server is no error")
	}
}

func TestAppend(t *testing.T) {
	f := write(t, filepath.Join(t.TempDir(), "roster"), "a: 1.1.1.1", 0o600)
	h, _ := (&Roster{}).AdHoc(context.Background(), "me@10.0.0.1:23")
	if err := Append(f, h, "root"); err != nil {
		t.Fatal(err)
	}
	wantHosts(t, load(t, Config{File: f}), "a: host=1.1.1.1", "10.0.0.1: host=10.0.0.1 port=23 user=me")
	if err := Append(filepath.Join(f, "x"), h, "root"); err == nil || !errors.As(err, new(*Error)) {
		t.Error(err)
	}
}
