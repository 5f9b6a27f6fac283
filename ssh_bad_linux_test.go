package gosalt_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/sshrig"
	"github.com/gosalt/gosalt/internal/testmachine"
)

// lines runs a function on machines, and expects of each one line of text: results by the
// names of machines, with -- in front of what must not be in it.
func (s *sshSite) lines(code int, want map[string][]string, args ...string) {
	s.t.Helper()
	for _, strict := range []bool{false, true} {
		if strict {
			args, code = append([]string{"--strict"}, args...), min(code, 1)
		}
		out, errs, got := s.run(append(args, "--out=txt")...)
		if got != code {
			s.t.Errorf("%q: exit code %d, %d expected\n%s", args, got, code, errs)
		}
		seen := map[string]bool{}
		for line := range strings.Lines(out) {
			id, text, _ := strings.Cut(strings.TrimSpace(line), ": ")
			if seen[id] || want[id] == nil {
				s.t.Errorf("%q: not expected: %s", args, line)
			}
			seen[id] = true
			for _, w := range want[id] {
				if w, not := strings.CutPrefix(w, "--"); strings.Contains(text, w) == not {
					s.t.Errorf("%s: %q, and %q is expected", id, text, w)
				}
			}
		}
		for id := range want {
			if !seen[id] {
				s.t.Errorf("%q: nothing of %s", args, id)
			}
		}
	}
}

// TestSSHBadInput has each mistake be one line of its machine that says what to do, beside a
// machine that is well.
func TestSSHBadInput(t *testing.T) {
	t.Parallel()
	t.Run("logins", func(t *testing.T) {
		t.Parallel()
		sshrig.Need(t)
		srv := sshrig.New(t, sshrig.Options{})
		closed := sshrig.Address()
		s := newSSHSite(t, "", nil)
		path := func(name string) string { return filepath.Join(s.dir, name) }
		sshrig.Keygen(t, path("stranger"))
		for _, name := range []string{"locked", "phrase"} { // a passphrase that one machine has serves others with that key
			sshrig.Keygen(t, path(name), "-N", "a phrase")
		}
		key, err := os.ReadFile(srv.Key)
		if err != nil {
			t.Fatal(err)
		}
		s.write("phrase2", s.read("phrase"))
		allowed, err := os.OpenFile(filepath.Join(srv.Dir, "authorized_keys"), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer allowed.Close()
		if _, err := allowed.WriteString(s.read("locked.pub") + s.read("phrase.pub")); err != nil {
			t.Fatal(err)
		}
		s.write("empty", "")
		s.write("text", "this is no key\n")
		s.write("cut", strings.Join(strings.SplitAfter(string(key), "\n")[:3], ""))
		s.write("pub", srvPub(t, srv))
		s.write("open", string(key))
		s.write("folder/x", "")
		if err := os.Chmod(path("open"), 0o644); err != nil {
			t.Fatal(err)
		}
		s.write("bsd/uname", "#!/bin/sh\n[ \"$1\" = -m ] && echo amd64 || echo FreeBSD\n")
		s.write("risc/uname", "#!/bin/sh\n[ \"$1\" = -m ] && echo riscv64 || echo Linux\n")
		for _, name := range []string{"bsd", "risc"} {
			if err := os.Chmod(path(name+"/uname"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		at := func(id string, more ...string) string {
			return entry(id, srv.Host, srv.Port, append([]string{"user: " + srv.User}, more...)...)
		}
		with := func(id, file string, more ...string) string {
			return at(id, append([]string{"identities_only: True", "priv: " + file}, more...)...)
		}
		s.write("etc/roster", with("good", srv.Key)+
			entry("nohost", "nosuch.invalid", 22, "priv: "+srv.Key)+
			entry("refused", closed, 1, "priv: "+srv.Key)+
			with("wrongkey", path("stranger"))+
			with("missing", path("nosuch"))+
			with("empty", path("empty"))+
			with("text", path("text"))+
			with("cut", path("cut"))+
			with("pub", path("pub"))+
			with("open", path("open"))+
			with("folder", path("folder"))+
			with("locked", path("locked"))+
			with("badphrase", path("phrase2"), "priv_passwd: s3cret")+
			with("phrase", path("phrase"), `priv_passwd: "a phrase"`)+
			with("bsd", srv.Key, `set_path: "`+path("bsd")+`:/usr/bin:/bin"`, "thin_dir: "+path("t1"))+
			with("risc", srv.Key, `set_path: "`+path("risc")+`:/usr/bin:/bin"`, "thin_dir: "+path("t2")))
		// One of these two has the agent where it is found before anything is asked.
		want := map[string][]string{
			"good": {"True"}, "phrase": {"True"},
			"nohost":    {"ssh: could not resolve hostname nosuch.invalid: no such host", "check the spelling"},
			"refused":   {"ssh: connect to host " + closed + " port 1: Connection refused", "is sshd running there"},
			"wrongkey":  {"Permission denied", "tried key " + path("stranger"), "priv:"},
			"missing":   {path("nosuch") + ": there is no such file", "priv:"},
			"empty":     {path("empty") + ": the file is empty", "right file?"},
			"text":      {path("text") + ": there is no private key in it", "right file?"},
			"cut":       {path("cut") + ": the private key in it is damaged", "right file?"},
			"pub":       {path("pub") + ": it is a public key", "without .pub", "--chmod"},
			"open":      {path("open") + ": permissions 0644 are too open", "chmod 600 " + path("open")},
			"folder":    {path("folder") + ": it is a directory", "name the file"},
			"locked":    {path("locked") + ": a passphrase is needed", "priv_passwd", "ssh-add"},
			"badphrase": {path("phrase2") + ": the passphrase is wrong", "priv_passwd", "--s3cret"},
			"bsd":       {"the machine runs FreeBSD on amd64", "raw commands only (-r)"},
			"risc":      {"the machine runs Linux on riscv64", "raw commands only (-r)"},
		}
		s.lines(20, want, "-i", "*", "test.ping", "--regen-thin")
		// The key of a machine changes, and only that machine is refused.
		other := sshrig.New(t, sshrig.Options{})
		s.write("etc/roster", with("good", srv.Key)+entry("changed", other.Host, other.Port, "user: "+other.User, "priv: "+other.Key))
		s.lines(0, map[string][]string{"good": {"True"}, "changed": {"True"}}, "--accept-new", "*", "test.ping")
		other.NewHostKeys("ed25519")
		for _, o := range []string{"--accept-new", "--no-color"} {
			s.lines(20, map[string][]string{"good": {"True"}, "changed": {"ssh: the host key of", "has changed", "ssh-keygen -f " + s.home + "/known_hosts -R"}}, o, "*", "test.ping")
		}
	})
	t.Run("roster", func(t *testing.T) {
		t.Parallel()
		sshrig.Need(t)
		srv := sshrig.New(t, sshrig.Options{})
		s := newSSHSite(t, "", nil)
		file := filepath.Join(s.dir, "etc/roster")
		me := func(id string, more ...string) string {
			return entry(id, srv.Host, srv.Port, append([]string{"user: " + srv.User, "priv: " + srv.Key}, more...)...)
		}
		said := func(args []string, want ...string) {
			t.Helper()
			_, errs, _ := s.run(args...)
			got := strings.Split(strings.TrimSpace(errs), "\n")
			for i, w := range want {
				if i >= len(got) || !strings.Contains(got[i], w) {
					t.Errorf("%q: line %d is to have %q:\n%s", args, i+1, w, errs)
				}
			}
			if len(want) == 0 && errs != "" || len(want) > 0 && len(got) != len(want) {
				t.Errorf("%q: %d lines are expected:\n%s", args, len(want), errs)
			}
		}
		// A key that is misspelt: said, and in the line of a machine that is not reached for it.
		s.write("etc/roster", me("good")+"lost: {hots: "+srv.Host+", priv: "+srv.Key+"}\n"+me("well", "sudoo: True", "colour: red", "ssh_options: [ConnectTimeout=9]"))
		s.lines(20, map[string][]string{"good": {"True"}, "well": {"True"}, "lost": {"could not resolve hostname lost", "roster " + file + `:2 has the unknown key "hots": did you mean host?`}}, "-i", "*", "test.ping")
		said([]string{"-i", "*", "test.ping"}, file+`:2: lost: there is no key "hots": did you mean host?`, file+`:3: well: there is no key "sudoo": did you mean sudo?`)
		said([]string{"-i", "good", "test.ping"})
		said([]string{"-i", "-L", "good,nosuch", "test.ping"}, "nosuch is not in the roster")
		// A value of the wrong kind, an entry of nothing.
		s.write("etc/roster", me("good")+"port: {host: 127.0.0.1, port: many}\nnothing:\nlist: [a]\n")
		s.lines(20, map[string][]string{"good": {"True"}, "port": {file + `:2: port: port is "many", and has to be a number`}, "nothing": {file + ":3: nothing: the entry is empty"},
			"list": {file + ":4: list: the entry is a list"}}, "-i", "*", "test.ping")
		// The same name twice: that machine is not guessed at.
		s.write("etc/roster", me("twice")+me("good")+"# once more\ntwice:\n  host: 127.0.0.1\n\n"+me("also"))
		s.lines(20, map[string][]string{"good": {"True"}, "also": {"True"}, "twice": {file + ":1: twice: it stands in the roster twice, also in " + file + ":4", "another name"}}, "-i", "*", "test.ping")
		// Two names for one machine may be meant, and are done; in two rosters the later holds.
		s.write("etc/roster", me("one")+me("two")+me("jump", "ssh_options: [ConnectTimeout=9]"))
		said([]string{"-i", "*", "test.ping"}, file+":2: two: it is the same machine as one")
		said([]string{"-i", "two", "test.ping"})
		s.write("dir/one", "host: "+srv.Host+"\nuser: nobody\n")
		s.write("etc/master", s.read("etc/master")+"roster_dir: "+s.dir+"/dir\n")
		said([]string{"--roster=dir,flat", "-i", "one", "cmd.run", "true"}, file+":1: one: it stands in "+s.dir+"/dir/one, too: this one holds")
		// No YAML, no templates, no file at all.
		s.write("etc/roster", me("good")+"bad: {host: x\n")
		said([]string{"-i", "*", "test.ping"}, file+":3: ")
		s.write("etc/roster", me("good")+"{% if x %}\n")
		said([]string{"-i", "*", "test.ping"}, file+":2: Jinja syntax error")
		said([]string{"--roster-file=/nonexistent", "*", "test.ping"}, "/nonexistent: there is no such file", "No matching targets")
		said([]string{"--roster=flatt", "*", "test.ping"}, `there is no roster named "flatt"`)
	})
	t.Run("sudo", func(t *testing.T) {
		t.Parallel()
		sshrig.Need(t)
		testmachine.Need(t)
		m := sshrig.InMachine(t, sshrig.MachineOptions{Users: []sshrig.User{
			{Name: "boss", Password: "geheim", Sudo: "ALL"}, {Name: "none", Password: "geheim"}, {Name: "some", Password: "geheim", Sudo: "/bin/true"},
			{Name: "free", Sudo: "NOPASSWD: ALL"}, {Name: "csh", Shell: "/bin/bash"}, {Name: "fresh", Password: "geheim"}}})
		key := "priv: " + m.Key
		at := func(id, user string, more ...string) string {
			return entry(id, m.Host, m.Port, append([]string{"user: " + user, key, "sudo: True"}, more...)...)
		}
		s := newSSHSite(t, at("good", "boss", "passwd: geheim")+
			at("wrong", "boss", "passwd: falsch")+
			at("nopw", "boss")+
			at("none", "none", "passwd: geheim")+
			at("nonepw", "none")+
			at("some", "some", "passwd: geheim")+
			at("sometty", "some", "passwd: geheim", "tty: True")+
			entry("wrongpw", m.Host, m.Port, "user: boss", "passwd: falsch", "identities_only: True")+
			at("nouser", "free", "sudo_user: nosuchuser"), nil)
		want := map[string][]string{
			"good":    {"root"},
			"wrong":   {"sudo: the password was not accepted", "passwd"},
			"wrongpw": {"Permission denied", "tried the password of the roster", "right user and password?", "--falsch"},
			"nopw":    {"sudo: a password is required", "passwd"},
			"none":    {"sudo: none may not", "sudoers"},
			"nonepw":  {"sudo: a password is required", "passwd"},
			"some":    {"sudo: some may not", "sudoers"},
			"sometty": {"sudo: some may not", "sudoers"},
			"nouser":  {"sudo: there is no user nosuchuser"},
		}
		s.lines(20, want, "-i", "*", "cmd.run", "id -un")
		// A password that is asked for brings the key there, and is not needed from then on.
		s.write("etc/roster", entry("fresh", m.Host, m.Port, "user: fresh"))
		s.lines(20, map[string][]string{"fresh": {"Permission denied", " --key-deploy and --askpass"}}, "-i", "*", "test.ping")
		deploy := s.command("gosalt-ssh", "-i", "--askpass", "--key-deploy", "fresh", "cmd.run", "cat .ssh/authorized_keys; env; cat /proc/*/cmdline 2>/dev/null | tr '\\0' ' '")
		deploy.Stdin = strings.NewReader("geheim\n")
		out, err := deploy.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "gosalt-ssh") || strings.Contains(string(out), "geheim") {
			t.Errorf("--key-deploy: %v\n%s", err, out)
		}
		s.lines(0, map[string][]string{"fresh": {"True"}}, "-i", "*", "test.ping")
		m.Machine.Run("mv", "/usr/bin/sudo", "/usr/bin/sudo.away")
		missing := []string{"sudo is not there", "user: root"}
		s.write("etc/roster", at("nosudo", "boss", "passwd: geheim")+at("tty", "csh", "tty: True")+entry("root", m.Host, m.Port, "user: root", key))
		s.lines(20, map[string][]string{"nosudo": missing, "tty": missing, "root": {"root"}}, "-i", "*", "cmd.run", "id -un")
	})
}

func srvPub(t *testing.T, srv *sshrig.Server) string {
	t.Helper()
	b, err := os.ReadFile(srv.Key + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func (s *sshSite) read(name string) string {
	s.t.Helper()
	b, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(b)
}
