package modules

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
)

// TestAccounts holds what is read of accounts, and the changes of /etc/hosts, to what
// Salt 3006.18 returned for the same files.
func TestAccounts(t *testing.T) {
	root := t.TempDir()
	etc := func(name string) string { return filepath.Join(root, "etc", name) }
	if err := os.MkdirAll(etc(""), 0o755); err != nil {
		t.Fatal(err)
	}
	plant := func() {
		for name, text := range map[string]string{
			"passwd": "root:x:0:0:root:/root:/bin/bash\ntu:x:7001:7001:Test User,12,34,56,oth:/home/tu:/bin/sh\n",
			"group":  "root:x:0:\ndaemon:x:1:tu\ntg:x:7001:\ntg2:x:7002:tu\n",
			"shadow": "root:*:20228:0:99999:7:::\ntu:!:20783:0:99999:7:::\n",
			"hosts":  "127.0.0.1\tlocalhost lh\n# hello\n::1 ip6 # six\n\n10.0.0.1 a b\n",
		} {
			if err := os.WriteFile(etc(name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	args := func(v ...any) []any { return v }
	tests := []struct {
		fun   string
		args  []any
		want  string
		hosts string // what becomes of the file, "" for no change
	}{
		{"group.info", args("tg2"), "{'name': 'tg2', 'passwd': 'x', 'gid': 7002, 'members': ['tu']}", ""},
		{"group.info", args("nosuch"), "{}", ""},
		{"user.info", args("tu"), "{'gid': 7001, 'groups': ['daemon', 'tg', 'tg2'], 'home': '/home/tu', 'name': 'tu', 'passwd': 'x', 'shell': '/bin/sh', 'uid': 7001, " +
			"'fullname': 'Test User', 'roomnumber': '12', 'workphone': '34', 'homephone': '56', 'other': 'oth'}", ""},
		{"user.info", args("nosuch"), "{}", ""},
		{"user.list_users", nil, "['root', 'tu']", ""},
		{"user.list_groups", args("tu"), "['daemon', 'tg', 'tg2']", ""},
		{"user.primary_group", args("tu"), "'tg'", ""},
		{"user.rename", args("tu", "root"), `"ERROR: User 'root' already exists"`, ""},
		{"user.chuid", args("nosuch", int64(5)), `"ERROR: User 'nosuch' does not exist"`, ""},
		{"shadow.info", args("tu"), "{'name': 'tu', 'passwd': '!', 'lstchg': 20783, 'min': 0, 'max': 99999, 'warn': 7, 'inact': -1, 'expire': -1}", ""},
		{"shadow.info", args("nosuch"), "{'name': '', 'passwd': '', 'lstchg': '', 'min': '', 'max': '', 'warn': '', 'inact': '', 'expire': ''}", ""},
		{"shadow.list_users", nil, "['root', 'tu']", ""},
		{"shadow.set_password", args("tu", "$1$abc$xyz"), "True", ""},
		{"hosts.list_hosts", nil, "{'127.0.0.1': {'aliases': ['localhost', 'lh']}, 'comment-0': ['# hello'], '::1': {'aliases': ['ip6'], 'comment': 'six'}, '10.0.0.1': {'aliases': ['a', 'b']}}", ""},
		{"hosts.get_ip", args("lh"), "'127.0.0.1'", ""},
		{"hosts.get_alias", args("10.0.0.1"), "['a', 'b']", ""},
		{"hosts.has_pair", args("10.0.0.1", args("a", "c")), "False", ""},
		{"hosts.set_host", args("10.0.0.1", "x"), "True", "127.0.0.1\tlocalhost lh\n# hello\n::1 ip6 # six\n\n10.0.0.1\t\tx\n"},
		{"hosts.set_host", args("10.0.0.1", ""), "True", "127.0.0.1\tlocalhost lh\n# hello\n::1 ip6 # six\n\n"},
		{"hosts.rm_host", args("10.0.0.1", "a"), "True", "127.0.0.1\tlocalhost lh\n# hello\n::1 ip6 # six\n\n10.0.0.1\t\tb \n"},
		{"hosts.add_host", args("10.0.0.9", "c"), "True", "127.0.0.1\t\tlocalhost lh\n# hello\n::1\t\tip6\t\t# six\n10.0.0.1\t\ta b\n10.0.0.9\t\tc\n"},
	}
	for _, tt := range tests {
		t.Run(tt.fun+pytext.Repr(tt.args), func(t *testing.T) {
			plant()
			before, _ := os.ReadFile(etc("hosts"))
			res := New().Run(t.Context(), &module.Call{Host: &host.Host{Root: root}}, tt.fun, tt.args, nil)
			if got := pytext.Repr(res.Return); got != tt.want {
				t.Errorf("got  %s\nSalt %s", got, tt.want)
			}
			want := tt.hosts
			if want == "" {
				want = string(before)
			}
			if after, _ := os.ReadFile(etc("hosts")); string(after) != want {
				t.Errorf("hosts is %q\nSalt's  %q", after, want)
			}
		})
	}
}
