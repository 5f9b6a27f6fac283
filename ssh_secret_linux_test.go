package gosalt_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/gosalt/gosalt/internal/secret"
	"github.com/gosalt/gosalt/internal/sshrig"
	"github.com/gosalt/gosalt/internal/testproc"
)

// gpgHome makes a home of gpg with one key, and returns it with a function that encrypts.
func gpgHome(t *testing.T) (dir string, encrypt func(text string) string) {
	t.Helper()
	if _, err := exec.LookPath("gpg"); err != nil {
		t.Skip("gpg is not installed")
	}
	dir, err := os.MkdirTemp("", "gpg") // short: the agent's socket is in there
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = exec.Command("gpgconf", "--homedir", dir, "--kill", "all").Run()
		os.RemoveAll(dir)
	})
	gpg := func(in string, args ...string) string {
		t.Helper()
		cmd := exec.Command("gpg", append([]string{"--homedir", dir, "--batch", "--yes", "--quiet", "--trust-model", "always"}, args...)...)
		cmd.Stdin = strings.NewReader(in)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("gpg %q: %v", args, err)
		}
		return string(out)
	}
	gpg("", "--passphrase", "", "--quick-gen-key", "master@example.com", "future-default", "default", "never")
	return dir, func(text string) string { return gpg(text, "--armor", "-r", "master@example.com", "--encrypt") }
}

// hushed are texts that may stand in files of some directories and nowhere else.
type hushed struct {
	t     *testing.T
	texts []string
}

// in tells which of the texts are in what, in one of the forms in which they are written.
func (h *hushed) in(what []byte) string {
	for _, s := range h.texts {
		if bytes.Contains(what, []byte(s)) || bytes.Contains(what, []byte(base64.StdEncoding.EncodeToString([]byte(s)))) {
			return s
		}
	}
	return ""
}

// files expects none of the texts in the files below a directory.
func (h *hushed) files(dir string) {
	h.t.Helper()
	n := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil // gone meanwhile
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return nil
		}
		n++
		if s := h.in(b); s != "" {
			h.t.Errorf("the secret %s is in %s", s, path)
		}
		return nil
	})
	if err != nil || n == 0 {
		h.t.Errorf("%s: %d files, %v", dir, n, err)
	}
}

// processes expects none of the texts in what processes tell all the world of themselves.
func (h *hushed) processes() {
	h.t.Helper()
	for _, name := range []string{"cmdline", "environ"} {
		paths, err := filepath.Glob("/proc/[0-9]*/" + name)
		if err != nil || len(paths) == 0 {
			h.t.Fatal(err, "no processes")
		}
		for _, path := range paths {
			if b, err := os.ReadFile(path); err == nil && h.in(b) != "" {
				h.t.Errorf("a secret is in %s: %q", path, b)
			}
		}
	}
}

// TestSSHSecrets uses values of the pillar that gpg opens, over SSH: they get to where
// states write them, and nobody is shown them on the way, as over ZeroMQ.
func TestSSHSecrets(t *testing.T) {
	t.Parallel()
	srv := sshrig.New(t, sshrig.Options{})
	gpgDir, encrypt := gpgHome(t)
	made := t.TempDir() // where the states write
	password, key := "horse-"+rand.Text(), "battery-"+rand.Text()
	h := &hushed{t, []string{password, key}}
	began, end := filepath.Join(made, "began"), filepath.Join(made, "end")
	indent := func(s string) string {
		return "      " + strings.ReplaceAll(strings.TrimSpace(s), "\n", "\n      ") + "\n"
	}
	files := map[string]string{
		"pillar/top.sls": "base:\n  '*': [db, made]\n",
		"pillar/db.sls": "#!jinja|yaml|gpg\ndb:\n  user: app\n  password: |\n" + indent(encrypt(password)) +
			"  key: |\n" + indent(encrypt("-----BEGIN KEY-----\n"+key+"\nQUJD\n-----END KEY-----\n")),
		"pillar/made.sls": "made: " + made + "/{{ grains['id'] }}\n",
		"srv/top.sls":     "base:\n  '*': [app]\n",
		"srv/app.conf":    "user = {{ pillar['db']['user'] }}\npassword = {{ pillar['db']['password'] }}\n# one\n",
		"srv/app.sls": `{% set dir = pillar['made'] %}
{{ dir }}/app.conf:
  file.managed:
    - source: salt://app.conf
    - template: jinja
    - makedirs: True
    - mode: '0600'
{{ dir }}/key:
  file.managed:
    - contents_pillar: db:key
    - mode: '0600'
asked for:
  cmd.run:
    - name: echo "with $PASSWORD"; echo "$PASSWORD" >&2
    - env: [{PASSWORD: {{ pillar['db']['password'] }}}]
`,
		"srv/wait.sls": `{{ pillar['made'] }}/wait.conf:
  file.managed:
    - contents: {{ pillar['db']['password'] }}
    - makedirs: True
    - mode: '0600'
a command that knows nothing of it:
  cmd.run:
    - name: echo yes > ` + began + `; read x < ` + end + `
    - require: [{file: {{ pillar['made'] }}/wait.conf}]
`,
		"srv/fails.sls": "cat {{ pillar['made'] }}/app.conf >&2; exit 3:\n  cmd.run: []\nno such function:\n  file.nosuch:\n    - name: {{ pillar['db']['password'] }}\n",
		"srv/bad.sls":   "a:\n  - {{ pillar['db']['password'] }}: [\n",
	}
	for _, fifo := range []string{began, end} {
		if err := syscall.Mkfifo(fifo, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// whole expects that what the states have written is there.
	whole := func(id string) {
		t.Helper()
		for name, text := range map[string]string{"app.conf": "password = " + password + "\n", "key": key + "\n"} {
			if b, err := os.ReadFile(filepath.Join(made, id, name)); err != nil || !strings.Contains(string(b), text) {
				t.Fatalf("%s of %s: %v %q", name, id, err, b)
			}
		}
	}
	// blocked runs a command whose job waits, looks around, and lets it go on.
	blocked := func(cmd *exec.Cmd) {
		t.Helper()
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(began); err != nil || string(b) != "yes\n" {
			t.Fatal(string(b), err)
		}
		h.processes()
		if err := os.WriteFile(end, []byte("\n"), 0); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil || h.in(out.Bytes()) != "" {
			t.Errorf("%q: %v, or a secret shows\n%s", cmd.Args, err, &out)
		}
	}
	cat := "cat " + made + "/%s/app.conf"
	entryOf := func(id string) string { return entry(id, srv.Host, srv.Port, "user: "+srv.User, "priv: "+srv.Key) }

	s := newSSHSite(t, entryOf("a"), files)
	s.write("etc/master", fmt.Sprintf("root_dir: %[1]s/root\nfile_roots: {base: [%[1]s/srv]}\npillar_roots: {base: [%[1]s/pillar]}\nignore_host_keys: True\ngpg_keydir: %[2]s\nlog_file: %[1]s/root/log\nlog_level_logfile: all\n", s.dir, gpgDir))
	for _, c := range []struct {
		code  int
		texts []string
		args  []string
	}{
		{0, []string{`"with ` + secret.Mask, `"stderr": "` + secret.Mask}, []string{"-l", "all", "--out=json", "a", "state.apply"}},
		{0, []string{"Succeeded: 3"}, []string{"-l", "debug", "--state-output=changes", "a", "state.apply", "test=True"}},
		{0, []string{"user:\n            app", secret.Mask}, []string{"a", "pillar.items"}},
		{0, []string{`"a": "` + secret.Mask}, []string{"--out=json", "a", "pillar.get", "db:password"}},
		{0, []string{"password = " + secret.Mask}, []string{"a", "cmd.run", fmt.Sprintf(cat, "a")}},
		{20, []string{"password = " + secret.Mask}, []string{"--out=json", "a", "cmd.run", fmt.Sprintf(cat, "a") + " >&2; exit 1"}},
		{0, []string{secret.Mask}, []string{"--out=json", "a", "file.read", made + "/a/key"}},
		{0, []string{secret.Mask}, []string{"--out=json", "a", "state.show_low_sls", "app"}},
		{20, []string{"password = " + secret.Mask, "file.nosuch"}, []string{"-l", "debug", "a", "state.apply", "fails"}},
		{20, []string{"Rendering SLS 'base:bad' failed"}, []string{"-l", "debug", "a", "state.apply", "bad"}},
	} {
		out, errs, code := s.run(c.args...)
		if h.in([]byte(out+errs)) != "" {
			t.Errorf("%q: a secret shows\n%s%s", c.args, out, errs)
		}
		for _, text := range c.texts {
			if code != c.code || !strings.Contains(out, text) {
				t.Fatalf("%q: exit code %d, or %q is missing\n%s%s", c.args, code, text, out, errs)
			}
		}
	}
	whole("a")
	// What changes in a file is shown with what stands around it.
	s.write("srv/app.conf", files["srv/app.conf"]+"# two\n")
	out, errs, _ := s.run("-l", "debug", "a", "state.apply")
	if !strings.Contains(out, "+# two") || !strings.Contains(out, secret.Mask) || h.in([]byte(out+errs)) != "" {
		t.Errorf("the difference:\n%s%s", out, errs)
	}
	blocked(s.command("gosalt-ssh", "-l", "all", "a", "state.apply", "wait"))
	h.files(filepath.Join(s.dir, "root"))
	h.files(s.home)
	h.files(srv.Home) // the agent's cache

	// The same by a master, for a machine whose minion is not there.
	w := testproc.New(t.TempDir(), bin)
	defer func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		h.files(w.Dir) // logs, jobs, what is kept of minions
	}()
	if err := w.Configure("master", "roster_file: "+s.dir+"/etc/roster2", "ignore_host_keys: True", "gpg_keydir: "+gpgDir, "log_level: debug", "log_file: "+w.Dir+"/log", "log_level_logfile: all",
		"file_roots: {base: ["+s.dir+"/srv]}", "pillar_roots: {base: ["+s.dir+"/pillar]}", "presence_events: True"); err != nil {
		t.Fatal(err)
	}
	s.write("etc/roster2", entryOf("b"))
	if _, _, err := w.Start("master"); err != nil {
		t.Fatal(err)
	}
	command := func(args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(bin, args[0]), args[1:]...)
		cmd.Env = append(os.Environ(), "SALT_CONFIG_DIR="+filepath.Join(w.Dir, "master"), "HOME="+w.Dir, "GOSALT_STRICT=")
		return cmd
	}
	gosalt := func(args ...string) string {
		t.Helper()
		b, err := command(args...).CombinedOutput()
		if err != nil && !isExit(err) || h.in(b) != "" {
			t.Errorf("%q: %v, or a secret shows\n%s", args, err, b)
		}
		return string(b)
	}
	seen, err := os.Create(filepath.Join(w.Dir, "events"))
	if err != nil {
		t.Fatal(err)
	}
	defer seen.Close()
	watcher := command("gosalt-run", "state.event", "count=-1")
	watcher.Stdout = seen
	if err := watcher.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = watcher.Process.Kill()
		_ = watcher.Wait()
	}()
	told := func(text string) bool {
		b, err := os.ReadFile(seen.Name())
		return err == nil && strings.Contains(string(b), text)
	}
	if !testproc.Until(testproc.Patience, func() bool { gosalt("gosalt-run", "event.send", "my/begun"); return told("my/begun") }) {
		t.Fatal("no events are seen")
	}
	out = gosalt("gosalt", "--out=json", "--static", "b", "state.apply", "state_events=True")
	if whole("b"); !strings.Contains(out, `"with `+secret.Mask) {
		t.Fatal(out)
	}
	returned := regexp.MustCompile(`salt/job/(\d{20})/ret/b`)
	var jid string
	if !testproc.Until(testproc.Patience, func() bool {
		b, err := os.ReadFile(seen.Name())
		if m := returned.FindSubmatch(b); err == nil && m != nil {
			jid = string(m[1])
		}
		return jid != ""
	}) {
		t.Fatal("the return is not seen as an event")
	}
	blocked(command("gosalt", "b", "state.apply", "wait"))
	for _, c := range []struct {
		text string
		args []string
	}{
		{"with " + secret.Mask, []string{"gosalt-run", "jobs.lookup_jid", jid}},
		{"password = " + secret.Mask, []string{"gosalt", "b", "cmd.run", fmt.Sprintf(cat, "b")}},
		{"password = " + secret.Mask, []string{"gosalt", "--live", "b", "cmd.run", fmt.Sprintf(cat, "b")}},
		{secret.Mask, []string{"gosalt", "b", "pillar.items"}},
		{"True", []string{"gosalt", "b", "event.send", "my/tag", "with_pillar=True"}},
		{secret.Mask, []string{"gosalt-run", "pillar.show_pillar", "b"}},
		{secret.Mask, []string{"gosalt", "b", "state.apply", "fails"}},
	} {
		if out := gosalt(c.args...); !strings.Contains(out, c.text) {
			t.Errorf("%q: %q is missing\n%s", c.args, c.text, out)
		}
	}
	if !testproc.Until(testproc.Patience, func() bool { return told("my/tag") }) {
		t.Error("an event of a job is not seen")
	}
}
