package sshconfig

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	p := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestLookup(t *testing.T) {
	home := t.TempDir()
	main := write(t, home, ".ssh/config", `# mine
Include conf.d/*.conf
Host web* !web9
    User deploy
    Port=2222
    IdentityFile ~/.ssh/web # the old one
    IdentityFile "~/.ssh/with blank"
Host db1 db2
  HostName %h.example.com
  Include db.conf
  ProxyCommand ssh -W "%h:%p" jump # no comment
Match host *.example.com user root
  Compression yes
Match user deploy
  ForwardAgent yes
Match exec "true"
  Port 1
Match !host web* all
  Tag other
Host *
  User nobody
  Port 22
  ServerAliveInterval 10
`)
	write(t, home, ".ssh/conf.d/a.conf", "Host web2\n  User second\n")
	write(t, home, ".ssh/db.conf", "User root\nPort 5\nHost db2\nPort 6\n")
	c, err := Load([]string{main, filepath.Join(home, "none")}, home)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ host, want string }{
		{"web1", "forwardagent=yes identityfile=~/.ssh/web,~/.ssh/with blank port=2222 serveraliveinterval=10 user=deploy"},
		{"web2", "identityfile=~/.ssh/web,~/.ssh/with blank port=2222 serveraliveinterval=10 user=second"},
		{"web9", "port=22 serveraliveinterval=10 user=nobody"},
		{"db1", `compression=yes hostname=%h.example.com port=5 proxycommand=ssh -W "%h:%p" jump # no comment serveraliveinterval=10 tag=other user=root`},
		{"db2", `compression=yes hostname=%h.example.com port=5 proxycommand=ssh -W "%h:%p" jump # no comment serveraliveinterval=10 tag=other user=root`},
		{"DB3", "port=22 serveraliveinterval=10 tag=other user=nobody"},
	} {
		s := c.Lookup(Who{Host: row.host})
		var got []string
		for _, k := range s.Keys() {
			var vals []string
			for _, v := range s.All(k) {
				vals = append(vals, v.Text())
			}
			got = append(got, k+"="+strings.Join(vals, ","))
		}
		if g := strings.Join(got, " "); g != row.want {
			t.Errorf("%s:\n got %s\nwant %s", row.host, g, row.want)
		}
	}
	var names []string
	for _, h := range c.Hosts() {
		names = append(names, h.Name)
	}
	if got := strings.Join(names, " "); got != "web2 db1 db2" {
		t.Errorf("hosts: %s", got)
	}
	if len(c.Warnings) != 1 || !strings.HasPrefix(c.Warnings[0], main+":16: condition exec") {
		t.Errorf("warnings: %q", c.Warnings)
	}
}

func TestSplit(t *testing.T) {
	for _, row := range []struct{ line, key, args string }{
		{"", "", ""},
		{"  # x", "", ""},
		{"Port 22", "port", "22"},
		{"Port=22", "port", "22"},
		{"Port = 22", "port", "22"},
		{"Port", "port", ""},
		{`IdentityFile "a b" c`, "identityfile", "a b|c"},
		{`ProxyCommand = nc -x "a" %h %p`, "proxycommand", `nc -x "a" %h %p`},
	} {
		key, args, err := Split(row.line)
		if err != nil || key != row.key || strings.Join(args, "|") != row.args {
			t.Errorf("%q: %q %q %v", row.line, key, args, err)
		}
	}
	if _, _, err := Split(`User "a`); err == nil {
		t.Error("an open quote is no error")
	}
}

// What is read has neither an empty key with words nor a word that was not in the line.
func FuzzSplit(f *testing.F) {
	f.Add(`Host "a b" c # d`)
	f.Add(`ProxyCommand=x`)
	f.Fuzz(func(t *testing.T, line string) {
		key, args, err := Split(line)
		if err != nil && len(args) > 0 || key == "" && len(args) > 0 {
			t.Fatalf("%q: %q %q %v", line, key, args, err)
		}
		n := 0
		for _, a := range args {
			n += len(a)
		}
		if n > len(line) {
			t.Fatalf("%q: words are longer than the line: %q", line, args)
		}
	})
}
