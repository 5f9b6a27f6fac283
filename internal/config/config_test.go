package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gosalt/gosalt/protocol/wire"
)

// TestDefaults holds the defaults to those of Salt, apart from the meant differences.
func TestDefaults(t *testing.T) {
	used := map[string]bool{}
	for s, opts := range []*wire.Map{DefaultMaster().Opts(), DefaultMinion().Opts()} {
		s := side(s)
		for _, o := range options(structs[s]) {
			known, _ := saltKnows(o.name)
			def := known.defaults[s]
			if def == "" || o.name == "user" {
				continue
			}
			got, _ := opts.Get(o.name)
			key := s.String() + ":" + o.name
			switch equal := same(got, fromJSON(def)); {
			case deliberate[key] != "" && equal:
				t.Errorf("%s: in the list of differences, and the same", key)
			case deliberate[key] != "":
				used[key] = true
			case !equal:
				t.Errorf("%s: %#v, Salt has %s", key, got, def)
			}
		}
	}
	for key := range deliberate {
		if !used[key] {
			t.Errorf("%s: in the list of differences, and not an option", key)
		}
	}
}

// TestComments holds every option to a comment above it that is a sentence about it, a
// comment behind it that says the default, and a name that Salt knows or "gosalt's own".
func TestComments(t *testing.T) {
	for _, file := range []string{"common.go", "master.go", "minion.go"} {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			s, ok := n.(*ast.StructType)
			if !ok {
				return true
			}
			for _, field := range s.Fields.List {
				if len(field.Names) == 0 || field.Tag == nil || strings.Contains(field.Tag.Value, `yaml:"-"`) {
					continue
				}
				name := field.Names[0].Name
				doc := strings.Join(strings.Fields(field.Doc.Text()), " ")
				if !strings.HasPrefix(doc, name+" ") && !strings.HasPrefix(doc, name+":") || !strings.HasSuffix(doc, ".") {
					t.Errorf("%s: %s: the comment is %q", file, name, doc)
				}
				if strings.TrimSpace(field.Comment.Text()) == "" {
					t.Errorf("%s: %s: no default behind it", file, name)
				}
			}
			return false
		})
	}
}

func TestProblems(t *testing.T) {
	for _, tt := range []struct {
		name, side, text string
		want             string // the only error or, with a severity before it, a problem
	}{
		{"one letter off", "master", "worker_thread: 5", `DIR/master:1:1: unknown option "worker_thread": write worker_threads, or give your own data another name`},
		{"swapped letters", "minion", "a: 1\nmatser: x", `DIR/minion:2:1: unknown option "matser": write master, or give your own data another name`},
		{"ours, in no struct", "master", "ssh_fallback: never\nsite: berlin", `warning: unknown option "site": kept as data for config.get`},
		{"own data", "minion", "site: berlin", `warning: unknown option "site": kept as data for config.get`},
		{"far from everything", "minion", "company_directory_servers: [x]", `warning: unknown option "company_directory_servers": kept as data for config.get`},
		{"a hint", "minion", "mine_intervals_of: 5", `warning: unknown option "mine_intervals_of": kept as data for config.get (nearest option: mine_interval)`},
		{"known to Salt", "master", "hgfs_remotes: [x]\nmysql.host: db", `notice: known to Salt, without effect here yet: hgfs_remotes, mysql.host`},
		{"of the other side", "minion", "auto_accept: True", `notice: options of the master, without effect in this file: auto_accept`},
		{"text for a number", "master", "publish_port: many", `DIR/master:1:15: publish_port: expected a whole number, got the text "many"`},
		{"port out of range", "master", "publish_port: 70000", `DIR/master:1:15: publish_port: expected a port, 1 to 65535, got the number 70000`},
		{"same ports", "master", "ret_port: 4505", `DIR/master:1:11: ret_port: expected another port than publish_port, 4505, got the number 4505`},
		{"list for text", "minion", "log_level: [a]", `DIR/minion:1:12: log_level: expected text, got a list`},
		{"no such level", "minion", "log_level: loud", `DIR/minion:1:12: log_level: expected one of quiet, critical, error, warning, info, profile, debug, trace, garbage, all, got the text "loud"`},
		{"bool for text", "minion", "user: yes", `DIR/minion:1:7: user: expected text, got True`},
		{"text for a bool", "master", "ping_on_rotate: maybe", `DIR/master:1:17: ping_on_rotate: expected True or False, got the text "maybe"`},
		{"quoted bool", "master", `ping_on_rotate: "yes"`, `warning: ping_on_rotate: "yes" is taken as True: write it without quotes`},
		{"quoted open_mode", "master", `open_mode: "True"`, `warning: open_mode: the text "True" does not turn it on: write True without quotes`},
		{"text for a list", "minion", "disable_modules: cmd", `DIR/minion:1:18: disable_modules: expected a list: lines "- value", indented, got the text "cmd"`},
		{"map within a list", "minion", "master:\n  - a\n  - b: c", `DIR/minion:2:3: master: expected text or a list of texts; one of them is a map, got a list`},
		{"text for a map", "minion", "grains: x", `DIR/minion:1:9: grains: expected a map: lines "name: value", indented, got the text "x"`},
		{"text for directories", "master", "file_roots:\n  base: /srv/salt", `DIR/master:2:3: file_roots: expected a map of environments, each with a list of directories; that of base is the text "/srv/salt", got a map`},
		{"time", "master", "timeout: soon", `DIR/master:1:10: timeout: expected a time: a number of seconds, or text such as "30s" or "5m", got the text "soon"`},
		{"negative time", "master", "timeout: -1", `DIR/master:1:10: timeout: expected a time`},
		{"size", "master", "max_return: 5 apples", `DIR/master:1:13: max_return: expected a size: a number of bytes, or text such as "100MiB", got the text "5 apples"`},
		{"tab", "master", "file_roots:\n\tbase: [x]", `DIR/master:2:1: a tab in the indentation: YAML takes spaces only, replace it by spaces`},
		{"not YAML", "master", "a: b: c", `DIR/master:1:5: not YAML: mapping values are not allowed in this context; the line is "a: b: c": check its indentation, colons and quotes`},
		{"twice", "master", "timeout: 5\nx: 1\ntimeout: 6", `DIR/master:3:1: the text "timeout" is here a second time, the first is in line 1: keep one of them`},
		{"no map", "master", "- a\n- b", `DIR/master:1:1: lines of the form "option: value" are expected, this is a list`},
		{"just text", "master", "hello", `DIR/master:1:1: lines of the form "option: value" are expected, this is the text "hello"`},
		{"two documents", "master", "a: 1\n---\nb: 2", `a second document begins here: one is expected, remove the line "---" between them`},
		{"unknown tag", "master", "a: !!python/object:os.system x", `DIR/master:1:4: the tag !!python/object:os.system is not known: remove it`},
		{"number as a name", "master", "5: x", `warning: the number 5 as the name of an option: text is expected`},
		{"include of nothing", "master", "include: nope/*.conf", `warning: include: no file matches DIR/nope/*.conf`},
		{"include of itself", "master", "include: master", `DIR/master:1:10: DIR/master includes itself (DIR/master > DIR/master): remove one of the includes`},
		{"weak protocol", "master", "minimum_auth_version: 2", `warning: minimum_auth_version: below 3 an eavesdropper can replay what minions send`},
		{"unsigned jobs", "minion", "sign_pub_messages: False", `warning: sign_pub_messages: unsigned jobs are run`},
		{"bad id", "minion", "id: a/b", `DIR/minion:1:5: id: minion id "a/b" holds "/" or "\": set another one`},
		{"no master", "minion", "master: []", `DIR/minion:1:9: master: expected the name or address of a master, got a list`},
		{"relative root_dir", "minion", "root_dir: here", `warning: root_dir: the text "here" is not absolute`},
		{"alias bomb", "minion", bomb(), `more than 200000 values, aliases written out: too many for a configuration`},
		{"deep nesting", "minion", "a: " + strings.Repeat("[", 150) + strings.Repeat("]", 150), `nested deeper than 100 levels`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			text := tt.text
			if tt.side == "minion" && !strings.Contains(text, "id:") && tt.name != "just text" {
				text += "\nid: x"
			}
			write(t, filepath.Join(dir, tt.side), text)
			var problems []Problem
			var err error
			if tt.side == "master" {
				_, problems, err = LoadMaster(dir)
			} else {
				_, problems, err = LoadMinion(dir)
			}
			want := strings.ReplaceAll(tt.want, "DIR", dir)
			if s, _, _ := strings.Cut(want, ": "); s == "warning" || s == "notice" {
				if err != nil {
					t.Fatalf("an error: %v", err)
				}
				for _, p := range problems {
					if strings.Contains(p.String(), want) && p.Line > 0 {
						return
					}
				}
				t.Fatalf("got %v\nwant %s", problems, want)
			}
			var le *LoadError
			if !errors.As(err, &le) || len(le.Problems) != 1 || !strings.Contains(err.Error(), want) {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
}

// bomb is nine levels of ten aliases each.
func bomb() string {
	var b strings.Builder
	b.WriteString("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := 1; i < 9; i++ {
		fmt.Fprintf(&b, "a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 10), ", "))
	}
	return b.String()
}

func TestMissingFile(t *testing.T) {
	dir := t.TempDir()
	m, problems, err := LoadMaster(dir)
	if err != nil || m.PublishPort != 4505 || m.ConfFile != filepath.Join(dir, "master") {
		t.Fatalf("%+v, %v", m, err)
	}
	if len(problems) != 1 || problems[0].Severity != Notice || !strings.Contains(problems[0].Text, "the defaults are in effect") {
		t.Errorf("%v", problems)
	}
}

func TestUnreadableFile(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "master"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, _, err := LoadMaster(dir); err == nil || !strings.Contains(err.Error(), "not a file") {
		t.Errorf("a directory: %v", err)
	}
	if os.Geteuid() == 0 {
		t.Skip("root reads everything")
	}
	write(t, filepath.Join(dir, "minion"), "id: x")
	if err := os.Chmod(filepath.Join(dir, "minion"), 0); err != nil {
		t.Fatal(err)
	}
	if _, _, err := LoadMinion(dir); err == nil || !strings.Contains(err.Error(), "use sudo, or name another directory with -c") {
		t.Errorf("an unreadable file: %v", err)
	}
}

func TestValues(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "master"), `
timeout: "90s"
gather_job_timeout: 1m30s
job_expiry: 1d12h
autosign_timeout: 2
keep_jobs: 48
publish_port: "5505"
max_return: 1.5GiB
keep_jobs_size: 500 MB
log_rotate_max_bytes: 1000
auth_rate: 2.5
key_pass: hunter2
`)
	m, problems, err := LoadMaster(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(problems) != 0 {
		t.Errorf("%v", problems)
	}
	for _, tt := range []struct{ got, want any }{
		{m.Timeout, 90 * time.Second}, {m.GatherJobTimeout, 90 * time.Second}, {m.JobExpiry, 36 * time.Hour},
		{m.AutosignTimeout, 2 * time.Minute}, {m.KeepJobsSeconds, 48 * time.Hour}, {m.PublishPort, 5505},
		{m.MaxReturn, Bytes(3 << 29)}, {m.KeepJobsSize, Bytes(500e6)}, {m.LogRotateMaxBytes, Bytes(1000)}, {m.AuthRate, 2.5},
		{m.JobStore, "/var/cache/salt/master/jobstore"}, {m.ControlSocket, "/var/run/salt/master/control.sock"},
		{m.KeyPass.Reveal(), "hunter2"},
	} {
		if tt.got != tt.want {
			t.Errorf("got %v, want %v", tt.got, tt.want)
		}
	}
}

func TestSecretsHide(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "master"), "key_pass: hunter2\ngit_pillar_password: hunter2\n")
	m, problems, err := LoadMaster(dir)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "pass", m.KeyPass)
	text, err := json.Marshal(m.KeyPass)
	if err != nil {
		t.Fatal(err)
	}
	var opts []any
	for k, v := range m.Opts().All() {
		opts = append(opts, k, v)
	}
	shown := fmt.Sprintf("%s %s %v %+v %#v %q %v %v", b.String(), text, m.KeyPass, m.KeyPass, m.KeyPass, m.KeyPass, opts, problems)
	if strings.Contains(shown, "hunter2") {
		t.Error("a secret is shown")
	}
	if v, _ := m.Raw.Get("key_pass"); v != "hunter2" {
		t.Errorf("Raw holds %v", v)
	}
}

func TestGuess(t *testing.T) {
	dir := t.TempDir()
	hosts := filepath.Join(dir, "hosts")
	write(t, hosts, "# 127.0.0.1 commented\n10.0.0.9 other\n127.0.0.1 localhost\n127.0.1.1\tweb7.example.com web7 # me\n::1 ip6-localhost\n")
	n := names{hostname: func() (string, error) { return "localhost", nil }, fqdn: func(h string) string { return h + ".localdomain" }, addrs: func() []string { return []string{"10.1.2.3"} }}
	for _, tt := range []struct {
		name  string
		host  string
		files []string
		want  string
	}{
		{"the host's name", "web1", nil, "web1.localdomain"},
		{"localhost is none", "localhost", []string{hosts}, "web7.example.com"},
		{"an address", "localhost", []string{filepath.Join(dir, "none")}, "10.1.2.3"},
	} {
		n.hostname, n.files = func() (string, error) { return tt.host, nil }, tt.files
		if got := n.guess(); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	if got := hostsFQDN(hosts, "web7"); got != "web7.example.com" {
		t.Errorf("web7 is %q", got)
	}
	if got := hostsFQDN(hosts, "web8"); got != "web8" {
		t.Errorf("web8 is %q", got)
	}
	n.addrs = func() []string { return nil }
	n.files = nil
	if got := n.guess(); got != "localhost" {
		t.Errorf("nothing at all: %q", got)
	}
}

// BenchmarkLoadMaster: the command line reads the configuration at every call.
func BenchmarkLoadMaster(b *testing.B) {
	dir := b.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "master"), []byte("interface: 127.0.0.1\npublisher_acl:\n  fred: [test.*]\nnodegroups:\n  web: 'web*'\n"), 0o600); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, _, err := LoadMaster(dir); err != nil {
			b.Fatal(err)
		}
	}
}

// TestEveryFieldDecodes gives each option a value of its kind.
func TestEveryFieldDecodes(t *testing.T) {
	for s, typ := range structs {
		v := reflect.New(typ)
		seen := map[string]bool{}
		for _, o := range options(typ) {
			if o.name == "-" {
				continue
			}
			if seen[o.name] {
				t.Errorf("%s: %s twice", side(s), o.name)
			}
			seen[o.name] = true
			n := &node{kind: scalarKind, scalar: "5"}
			switch f := v.Elem().FieldByIndex(o.index); {
			case f.Type() == mapType || f.Type() == rootsType:
				n = &node{kind: mapKind}
			case f.Type() == listType:
				n = &node{kind: listKind}
			case f.Kind() == reflect.Bool || f.Type() == triType:
				n.scalar = true
			}
			if expected, _ := o.assign(v.Elem().FieldByIndex(o.index), n); expected != "" {
				t.Errorf("%s: %s wants %s", side(s), o.name, expected)
			}
		}
	}
}

func TestDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{{"timeout", "timeout", 0}, {"timout", "timeout", 1}, {"tiemout", "timeout", 1}, {"timeoutt", "timeout", 1}, {"abc", "xyz", 3}, {"", "ab", 2}} {
		if got := distance(tt.a, tt.b, 5); got != tt.want {
			t.Errorf("%s, %s: %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}

// FuzzParse: a file is read, or refused with a place; what was read makes a map.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"a: 1", "a: &x [1]\nb: *x", "<<: {a: 1}", "a: !!int 5", "\t", "a: 'b", "a: |\n x", "? {a: b}\n: c", "--- a\n--- b", "a: *a", "&a [*a]", "=: 1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, p := parseYAML("x", []byte(text))
		if (n == nil) == (p == nil) {
			t.Fatalf("%v, %v", n, p)
		}
		if p != nil && (p.Text == "" || p.Severity != Error) {
			t.Errorf("%+v", p)
		}
		if n != nil {
			n.value()
			r := &reader{}
			r.decode(n, DefaultMinion())
			r.unknown(n, minionSide)
		}
	})
}
