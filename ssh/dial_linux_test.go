package ssh

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gosalt/gosalt/internal/sshrig"
	"github.com/gosalt/gosalt/internal/testproc"
	"github.com/gosalt/gosalt/protocol/seal"
)

func ctxOf(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// options are those of a test: nothing of the person who runs it is looked at.
func options(s *sshrig.Server) Options {
	return Options{KnownHosts: []string{s.KnownHosts}, ConfigFiles: []string{}, AgentSocket: "none", Identities: []string{}, Home: s.Dir}
}

func hostOf(s *sshrig.Server) Host {
	return Host{ID: "web1", Host: s.Host, Port: s.Port, User: s.User, Priv: s.Key}
}

func mustDial(t *testing.T, h Host, o Options) *Conn {
	t.Helper()
	c, err := Dial(ctxOf(t), h, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func mustRun(t *testing.T, c *Conn, cmd string) string {
	t.Helper()
	out, errs, code, err := c.Run(ctxOf(t), cmd, nil)
	if err != nil || code != 0 {
		t.Fatalf("%s: %d %v %s", cmd, code, err, errs)
	}
	return string(out)
}

// wantError checks kind and text of an error, and that it is one line without secrets.
func wantError(t *testing.T, err error, kind Kind, parts ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want %q", kind)
		return
	}
	text := err.Error()
	if KindOf(err) != kind {
		t.Errorf("kind %q, want %q: %s", KindOf(err), kind, text)
	}
	for _, p := range append(parts, "ssh: ") {
		if !strings.Contains(text, p) {
			t.Errorf("no %q in: %s", p, text)
		}
	}
	if strings.Contains(text, "\n") || strings.Contains(text, "s3cret") || strings.Contains(text, "handshake failed") {
		t.Errorf("the message is not fit to be shown: %s", text)
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	srv := sshrig.New(t, sshrig.Options{Files: map[string]string{".bashrc": "echo hello from the shell\n"}})
	c := mustDial(t, hostOf(srv), options(srv))
	ctx := ctxOf(t)

	t.Run("outputs and code", func(t *testing.T) {
		out, errs, code, err := c.Run(ctx, "cat; echo e >&2; exit 3", strings.NewReader("in"))
		if err != nil || code != 3 || !strings.HasSuffix(string(out), "in") || string(errs) != "e\n" {
			t.Errorf("%q %q %d %v", out, errs, code, err)
		}
	})
	t.Run("much output", func(t *testing.T) {
		out, _, code, err := c.Run(ctx, fmt.Sprintf("head -c %d /dev/zero", RunLimit+5), nil)
		if len(out) != RunLimit || code != 0 {
			t.Errorf("%d bytes, code %d", len(out), code)
		}
		wantError(t, err, KindLimit)
	})
	t.Run("a signal", func(t *testing.T) {
		s, err := c.Start(ctx, "kill -9 $$", SessionOptions{Stdout: io.Discard, Stderr: io.Discard})
		if err != nil {
			t.Fatal(err)
		}
		if exit, err := s.Wait(); err != nil || exit.Signal != "KILL" || exit.Code != 137 {
			t.Errorf("%+v %v", exit, err)
		}
	})
	t.Run("a terminal", func(t *testing.T) {
		var out bytes.Buffer
		s, err := c.Start(ctx, "tty; stty size; echo $TERM", SessionOptions{TTY: true, Width: 99, Height: 33, Term: "vt100", Stdout: &out})
		if err != nil {
			t.Fatal(err)
		}
		exit, err := s.Wait()
		if err != nil || exit.Code != 0 || !strings.Contains(out.String(), "/dev/pts/") || !strings.Contains(out.String(), "33 99\r\nvt100\r\n") {
			t.Errorf("%q %+v %v", out.String(), exit, err)
		}
	})
	t.Run("environment", func(t *testing.T) {
		var out bytes.Buffer
		s, err := c.Start(ctx, "echo $RIG_A-$OTHER", SessionOptions{Env: map[string]string{"RIG_A": "1", "OTHER": "2"}, Stdout: &out, Stderr: io.Discard})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Wait(); err != nil || !strings.HasSuffix(out.String(), "1-\n") {
			t.Errorf("%q %v", out.String(), err)
		}
	})
	t.Run("a talk", func(t *testing.T) {
		s, err := c.Start(ctx, "exec cat", SessionOptions{Stderr: io.Discard})
		if err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		buf := make([]byte, 1024)
		for !strings.HasSuffix(got.String(), "ping") {
			if got.Len() == 0 {
				io.WriteString(s.Stdin, "ping")
			}
			n, err := s.Stdout.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			got.Write(buf[:n])
		}
		s.Stdin.Close()
		if exit, err := s.Wait(); err != nil || exit.Code != 0 {
			t.Errorf("%+v %v", exit, err)
		}
	})
	t.Run("many at once", func(t *testing.T) {
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				out, _, code, err := c.Run(ctx, fmt.Sprintf("echo %d", i), nil)
				if err != nil || code != 0 || !strings.HasSuffix(string(out), fmt.Sprintf("%d\n", i)) {
					t.Errorf("%q %d %v", out, code, err)
				}
			})
		}
		wg.Wait()
	})
	t.Run("too many at once", func(t *testing.T) {
		var all []*Session
		var last error
		for range 12 {
			s, err := c.Start(ctx, "exec cat", SessionOptions{Stdout: io.Discard, Stderr: io.Discard})
			if err != nil {
				last = err
				break
			}
			all = append(all, s)
		}
		wantError(t, last, KindSession, "MaxSessions")
		for _, s := range all {
			s.Close()
			s.Wait()
		}
	})
	t.Run("canceled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(ctx)
		s, err := c.Start(ctx, "echo go; exec sleep 1000", SessionOptions{Stderr: io.Discard, Grace: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		s.Stdout.Read(make([]byte, 1))
		cancel()
		_, err = s.Wait()
		wantError(t, err, KindCanceled, "the command was canceled")
	})
	t.Run("a group", func(t *testing.T) {
		var out bytes.Buffer
		s, err := c.Start(ctx, `echo "it's"; echo 'a\nb $HOME'; exit 4`, SessionOptions{Group: true, Stdout: &out})
		if err != nil {
			t.Fatal(err)
		}
		if exit, err := s.Wait(); err != nil || exit.Code != 4 || !strings.HasSuffix(out.String(), "it's\na\\nb $HOME\n") || strings.Contains(out.String(), "gosalt-") {
			t.Errorf("%q %+v %v", out.String(), exit, err)
		}
		// Neither the shell nor what it started lives on, though they would not mind SIGTERM
		// nor the end of their connection.
		ctx, cancel := context.WithCancel(ctx)
		s, err = c.Start(ctx, `trap "" TERM HUP; sleep 1000 & echo $! go; wait; wait; sleep 1000`, SessionOptions{Group: true, Grace: time.Millisecond, Stderr: io.Discard})
		if err != nil {
			t.Fatal(err)
		}
		var text string
		for buf := make([]byte, 100); !strings.Contains(text, "go\n"); {
			n, err := s.Stdout.Read(buf)
			if err != nil {
				t.Fatal(text, err)
			}
			text += string(buf[:n])
		}
		cancel()
		_, err = s.Wait()
		wantError(t, err, KindCanceled)
		words := strings.Fields(text)
		pid, err := strconv.Atoi(words[len(words)-2])
		if err != nil {
			t.Fatal(text)
		}
		if !testproc.Until(time.Minute, func() bool { return !alive(pid) }) {
			t.Error("it lives on")
		}
	})
	t.Run("closed", func(t *testing.T) {
		c := mustDial(t, hostOf(srv), options(srv))
		s, err := c.Start(ctx, "exec cat", SessionOptions{Stdout: io.Discard, Stderr: io.Discard})
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		if err := c.Wait(); err != nil {
			t.Error(err)
		}
		_, err = s.Wait()
		wantError(t, err, KindCanceled)
		_, err = c.Start(ctx, "true", SessionOptions{})
		wantError(t, err, KindCanceled)
	})
}

func TestNetworkErrors(t *testing.T) {
	t.Parallel()
	srv := sshrig.New(t, sshrig.Options{})
	opt := options(srv)
	opt.ConnectTimeout = 300 * time.Millisecond
	dial := func(h Host, o Options) error {
		c, err := Dial(ctxOf(t), h, o)
		if err == nil {
			c.Close()
		}
		return err
	}
	to := func(host string, port int) Host {
		return Host{ID: "web1", Host: host, Port: port, User: srv.User, Priv: srv.Key}
	}
	// A loopback address with nothing on the port.
	wantError(t, dial(to(sshrig.Address(), 22), opt), KindRefused, "connect to host 127.", " port 22: Connection refused")
	wantError(t, dial(to("no-such-host.invalid", 0), opt), KindResolve, "could not resolve hostname no-such-host.invalid")
	silent := sshrig.NewProxy(t, "")
	wantError(t, dial(to(silent.Host, silent.Port), opt), KindTimeout, "accepted the connection, and said nothing for 300ms")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := Dial(ctx, hostOf(srv), opt)
	wantError(t, err, KindCanceled)
	wantError(t, dial(Host{ID: "x", Host: "a b"}, opt), KindOption, `"a b" is no name`)
	wantError(t, dial(Host{ID: "x", Host: "-oProxyCommand=x"}, opt), KindOption)

	// Whatever the place where it breaks, there is an answer in time, that is no success.
	opt.ConnectTimeout = 5 * time.Second
	cut := sshrig.NewProxy(t, srv.Addr())
	known := sshrig.KnownName(cut.Host, cut.Port) + " " + srv.HostKey("ed25519") + "\n"
	opt.KnownHosts = []string{filepath.Join(t.TempDir(), "known_hosts")}
	os.WriteFile(opt.KnownHosts[0], []byte(known), 0o600)
	for _, n := range []int64{0, 10, 100, 1000, 1600, 1900} {
		cut.CutAfter(n)
		err := dial(to(cut.Host, cut.Port), opt)
		if err == nil {
			break // the login was over by then
		}
		if k := KindOf(err); k != KindClosed && k != KindAuth {
			t.Errorf("cut after %d: %s: %s", n, k, err)
		}
	}
	cut.CutAfter(-1)
	c := mustDial(t, to(cut.Host, cut.Port), opt)
	s, err := c.Start(ctxOf(t), "yes", SessionOptions{Stdout: io.Discard, Stderr: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	cut.CutAfter(100_000)
	_, err = s.Wait()
	wantError(t, err, KindClosed)
	wantError(t, c.Wait(), KindClosed)

	// A machine that lost its power is noticed.
	opt.Keepalive, opt.KeepaliveMax = 50*time.Millisecond, 2
	cut.CutAfter(-1)
	c = mustDial(t, to(cut.Host, cut.Port), opt)
	s, err = c.Start(ctxOf(t), "exec cat", SessionOptions{Stdout: io.Discard, Stderr: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	cut.Hold()
	_, err = s.Wait()
	wantError(t, err, KindTimeout, "no answer for")
	wantError(t, c.Wait(), KindTimeout)
}

func TestHostKeys(t *testing.T) {
	t.Parallel()
	srv := sshrig.New(t, sshrig.Options{HostKeys: []string{"rsa", "ecdsa", "ed25519"}, Stranger: true})
	name := sshrig.KnownName(srv.Host, srv.Port)
	known := func(lines ...string) string {
		p := filepath.Join(t.TempDir(), "known_hosts")
		if err := os.WriteFile(p, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	dial := func(policy Policy, files ...string) error {
		o := options(srv)
		o.KnownHosts, o.HostKeys = files, policy
		c, err := Dial(ctxOf(t), hostOf(srv), o)
		if err == nil {
			c.Close()
		}
		return err
	}
	ok := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %s", what, err)
		}
	}
	other := sshrig.New(t, sshrig.Options{HostKeys: []string{"rsa", "ed25519"}})

	// Of each type that is known the server is asked for that one.
	for _, kind := range []string{"rsa", "ecdsa", "ed25519"} {
		ok(kind, dial(Strict, known("# mine", "x ssh-unknown AAAA", "broken", name+" "+srv.HostKey(kind))))
	}
	ok("a pattern", dial(Strict, known("*,!127.0.0.1 "+srv.HostKey("rsa"))))
	ok("without the port", dial(Strict, known(srv.Host+" "+srv.HostKey("rsa"))))
	ok("in the second file", dial(Strict, "/nonexistent/known_hosts", known(name+" "+srv.HostKey("ecdsa"))))
	f := known(name + " " + srv.HostKey("ecdsa") + "\n")
	if out, err := os.ReadFile(f); err != nil || len(out) == 0 {
		t.Fatal(err)
	}
	hashKnown(t, f)
	ok("hashed", dial(Strict, f))

	f = known("a ssh-ed25519 AAAA")
	wantError(t, dial(Strict, f), KindHostKeyUnknown, "the host key of "+name+" is not known: ssh-ed25519 SHA256:", f, "--accept-new")
	f = known("a ssh-ed25519 AAAA", name+" "+other.HostKey("ed25519"))
	wantError(t, dial(Strict, f), KindHostKeyChanged, f+":2", "ssh-keygen -f "+f+" -R '"+name+"'")
	wantError(t, dial(AcceptNew, f), KindHostKeyChanged)
	ok("not looked at", dial(Ignore, f))
	f = known("@revoked * " + srv.HostKey("ed25519"))
	wantError(t, dial(AcceptNew, f), KindHostKeyRevoked, f+":1")

	// A new one is written once, whoever else meets the machine.
	f = filepath.Join(t.TempDir(), "new/known_hosts")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { ok("new", dial(AcceptNew, f)) })
	}
	wg.Wait()
	if b, _ := os.ReadFile(f); string(b) != name+" "+srv.HostKey("ed25519")+"\n" {
		t.Errorf("%q", b)
	}
	ok("after that", dial(Strict, f))
	srv.NewHostKeys("rsa")
	wantError(t, dial(AcceptNew, f), KindHostKeyChanged, f+":1")

	// Authorities sign hosts.
	ca := filepath.Join(t.TempDir(), "ca")
	sshrig.Keygen(t, ca, "-t", "ed25519")
	pub, _ := os.ReadFile(ca + ".pub")
	signed := sshrig.New(t, sshrig.Options{Stranger: true, Config: "Include " + t.TempDir() + "/*.conf"})
	for i, row := range []struct {
		principal string
		arg       []string
		kind      Kind
	}{
		{signed.Host, nil, ""},
		{"other.example.com", nil, KindHostKeyUnknown},
		{signed.Host, []string{"-V", "20200101:20200102"}, KindHostKeyUnknown},
	} {
		sshrig.Certify(t, ca, filepath.Join(signed.Dir, "host_ed25519.pub"), true, row.principal, row.arg...)
		conf := filepath.Join(signed.Dir, "sshd_config")
		b, _ := os.ReadFile(conf)
		if i == 0 {
			os.WriteFile(conf, []byte("HostCertificate "+signed.Dir+"/host_ed25519-cert.pub\n"+string(b)), 0o600)
		}
		signed.Restart()
		o := options(signed)
		o.KnownHosts = []string{known("@cert-authority 127.* " + string(pub))}
		c, err := Dial(ctxOf(t), hostOf(signed), o)
		if row.kind == "" {
			ok("certificate", err)
			c.Close()
		} else {
			wantError(t, err, row.kind, "the certificate of")
		}
	}
}

func TestAuth(t *testing.T) {
	t.Parallel()
	srv := sshrig.New(t, sshrig.Options{})
	dir := t.TempDir()
	try := func(change func(h *Host, o *Options)) error {
		h, o := hostOf(srv), options(srv)
		change(&h, &o)
		c, err := Dial(ctxOf(t), h, o)
		if err == nil {
			c.Close()
		}
		return err
	}
	ok := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %s", what, err)
		}
	}
	allow := func(pub string) {
		b, err := os.ReadFile(pub)
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(filepath.Join(srv.Dir, "authorized_keys"), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		f.Write(b)
		f.Close()
	}
	stranger, locked, old, rsa := filepath.Join(dir, "stranger"), filepath.Join(dir, "locked"), filepath.Join(dir, "old"), filepath.Join(dir, "rsa")
	sshrig.Keygen(t, stranger, "-t", "ed25519")
	sshrig.Keygen(t, locked, "-t", "ed25519", "-N", "s3cret-phrase")
	sshrig.Keygen(t, old, "-t", "ecdsa", "-m", "PEM", "-N", "s3cret-phrase")
	sshrig.Keygen(t, rsa, "-t", "rsa")
	for _, k := range []string{locked, old, rsa} {
		allow(k + ".pub")
	}

	ok("rsa", try(func(h *Host, o *Options) { h.Priv = rsa }))
	ok("a default identity", try(func(h *Host, o *Options) { h.Priv, o.Identities = "", []string{"/nonexistent", stranger, srv.Key} }))
	ok("by ssh_options", try(func(h *Host, o *Options) { h.Priv, h.SSHOptions = "", []string{"IdentityFile=" + srv.Key} }))
	wantError(t, try(func(h *Host, o *Options) { h.Priv = stranger }), KindAuth, srv.User+"@"+srv.Host+": Permission denied (publickey)", "tried key "+stranger)
	wantError(t, try(func(h *Host, o *Options) { h.Priv = "" }), KindAuth, "nothing to try", "--priv")
	wantError(t, try(func(h *Host, o *Options) { h.Priv, h.Passwd = "", seal.NewSecret("s3cret") }), KindAuth, "Permission denied (publickey)")
	wantError(t, try(func(h *Host, o *Options) { h.User = "no-such-user" }), KindAuth, "no-such-user@")

	// Files that are no keys.
	wantError(t, try(func(h *Host, o *Options) { h.Priv = "/nonexistent/key" }), KindKeyFile, "/nonexistent/key: there is no such file")
	wantError(t, try(func(h *Host, o *Options) { h.Priv = srv.Key + ".pub" }), KindKeyFile, "it is a public key", "without .pub")
	open := filepath.Join(dir, "open")
	private, _ := os.ReadFile(srv.Key)
	os.WriteFile(open, private, 0o600)
	os.Chmod(open, 0o644)
	wantError(t, try(func(h *Host, o *Options) { h.Priv = open }), KindKeyFile, "too open", "chmod 600")
	pub := filepath.Join(dir, "pub")
	b, _ := os.ReadFile(srv.Key + ".pub")
	os.WriteFile(pub, b, 0o600)
	wantError(t, try(func(h *Host, o *Options) { h.Priv = pub }), KindKeyFile, "it is a public key")
	os.WriteFile(filepath.Join(dir, "junk"), []byte("junk"), 0o600)
	wantError(t, try(func(h *Host, o *Options) { h.Priv = filepath.Join(dir, "junk") }), KindKeyFile, "there is no private key in it", "ssh-keygen -y")
	wantError(t, try(func(h *Host, o *Options) { h.Priv = dir }), KindKeyFile, "it is a directory")

	// Passphrases.
	for _, k := range []string{locked, old} {
		ok("passphrase of the roster", try(func(h *Host, o *Options) { h.Priv, h.PrivPasswd = k, seal.NewSecret("s3cret-phrase") }))
		wantError(t, try(func(h *Host, o *Options) { h.Priv = k }), KindPassphrase, k, "priv_passwd", "ssh-add")
		wantError(t, try(func(h *Host, o *Options) { h.Priv, h.PrivPasswd = k, seal.NewSecret("s3cret-wrong") }), KindBadPassphrase, k)
	}
	var asked []Prompt
	answers := []string{"s3cret-wrong", "s3cret-phrase"}
	ok("passphrase of a person", try(func(h *Host, o *Options) {
		h.Priv = locked
		o.AskPass = func(_ context.Context, p Prompt) (seal.Secret, error) {
			asked = append(asked, p)
			return seal.NewSecret(answers[len(asked)-1]), nil
		}
	}))
	if len(asked) != 2 || asked[0].Kind != AskPassphrase || asked[0].File != locked {
		t.Errorf("%+v", asked)
	}
	// A key that the server does not want is not asked for.
	wantError(t, try(func(h *Host, o *Options) {
		lockedStranger := filepath.Join(dir, "locked-stranger")
		sshrig.Keygen(t, lockedStranger, "-t", "ed25519", "-N", "s3cret-phrase")
		h.Priv = lockedStranger
		o.AskPass = func(_ context.Context, p Prompt) (seal.Secret, error) {
			t.Errorf("asked: %s", p.Text)
			return seal.Secret{}, nil
		}
	}), KindAuth)

	// The agent.
	agent := sshrig.Agent(t, stranger, rsa)
	ok("agent", try(func(h *Host, o *Options) { h.Priv, o.AgentSocket = AgentForwarding, agent }))
	ok("agent beside a key that is not wanted", try(func(h *Host, o *Options) { h.Priv, o.AgentSocket = stranger, agent }))
	wantError(t, try(func(h *Host, o *Options) { h.Priv, h.IdentitiesOnly, o.AgentSocket = stranger, true, agent }), KindAuth)
	wantError(t, try(func(h *Host, o *Options) { h.Priv = AgentForwarding }), KindAgent, "ssh-add")
	wantError(t, try(func(h *Host, o *Options) { h.Priv, o.AgentSocket = AgentForwarding, "/nonexistent" }), KindAgent, "/nonexistent")
	h, o := hostOf(srv), options(srv)
	h.Priv, o.AgentSocket = AgentForwarding, agent
	if out := mustRun(t, mustDial(t, h, o), "ssh-add -l"); !strings.Contains(out, "RSA") {
		t.Errorf("the agent's keys there: %s", out)
	}

	// Certificates of users.
	ca := filepath.Join(dir, "ca")
	sshrig.Keygen(t, ca, "-t", "ed25519")
	b, _ = os.ReadFile(ca + ".pub")
	f, _ := os.OpenFile(filepath.Join(srv.Dir, "authorized_keys"), os.O_APPEND|os.O_WRONLY, 0)
	fmt.Fprintf(f, "cert-authority %s", b)
	f.Close()
	sshrig.Certify(t, ca, stranger+".pub", false, srv.User)
	ok("certificate beside the key", try(func(h *Host, o *Options) { h.Priv = stranger }))
	cert := filepath.Join(dir, "elsewhere-cert.pub")
	if err := os.Rename(stranger+"-cert.pub", cert); err != nil {
		t.Fatal(err)
	}
	wantError(t, try(func(h *Host, o *Options) { h.Priv = stranger }), KindAuth)
	ok("CertificateFile", try(func(h *Host, o *Options) { h.Priv, h.SSHOptions = stranger, []string{"CertificateFile=" + cert} }))
	ok("certificate with the agent's key", try(func(h *Host, o *Options) {
		h.Priv, o.AgentSocket, h.SSHOptions = AgentForwarding, agent, []string{"CertificateFile " + cert}
	}))
}

func TestOptions(t *testing.T) {
	t.Parallel()
	srv := sshrig.New(t, sshrig.Options{})
	jump := sshrig.New(t, sshrig.Options{})
	both := filepath.Join(t.TempDir(), "known_hosts")
	a, _ := os.ReadFile(srv.KnownHosts)
	b, _ := os.ReadFile(jump.KnownHosts)
	os.WriteFile(both, append(a, b...), 0o600)
	o := options(srv)
	o.KnownHosts = []string{both}
	o.Identities = []string{jump.Key}
	h := hostOf(srv)
	dial := func(opts ...string) (*Conn, error) {
		h := h
		h.SSHOptions = opts
		return Dial(ctxOf(t), h, o)
	}
	for _, row := range []struct {
		opt  string
		kind Kind
		want string
	}{
		{"ProxyCommnd=x", KindOption, "did you mean ProxyCommand?"},
		{"Colour=red", KindOption, "the ssh option Colour=red is not supported"},
		{"Port", KindOption, "not of the form Name=value"},
		{"ConnectTimeout=soon", KindOption, `ConnectTimeout is "soon"`},
		{"StrictHostKeyChecking=perhaps", KindOption, "yes, ask, accept-new or no"},
		{"Ciphers=rot13", KindOption, `Ciphers is "rot13"`},
		{"ProxyCommand=echo no way >&2; exit 1", KindProxy, "no way"},
		{"ProxyJump=127.0.0.1:1", KindProxy, "jump host 127.0.0.1:1: connect to host 127.0.0.1 port 1: Connection refused"},
		{"Ciphers=3des-cbc", KindNegotiation, "Ciphers"},
		{"PreferredAuthentications=password", KindAuth, "nothing to try"},
		{"UserKnownHostsFile=none", KindHostKeyUnknown, ""},
	} {
		_, err := dial(row.opt)
		wantError(t, err, row.kind, row.want)
	}
	through := jump.User + "@" + jump.Addr()
	for _, opts := range [][]string{
		{"ConnectTimeout 30", "LogLevel=QUIET", "ControlMaster=auto", "Compression=yes"},
		{"-o Ciphers=chacha20-poly1305@openssh.com", "MACs=hmac-sha2-256", "KexAlgorithms=+diffie-hellman-group14-sha256"},
		{"ProxyJump=" + through},
		{"ProxyJump=" + through + "," + through},
		{"ProxyCommand=ssh -F none -i " + jump.Key + " -o UserKnownHostsFile=" + both + " -p " + fmt.Sprint(jump.Port) + " -W %h:%p " + jump.User + "@" + jump.Host},
	} {
		c, err := dial(opts...)
		if err != nil {
			t.Errorf("%q: %s", opts, err)
			continue
		}
		mustRun(t, c, "true")
		c.Close()
	}

	// The user's configuration holds for every host.
	conf := filepath.Join(t.TempDir(), "config")
	os.WriteFile(conf, fmt.Appendf(nil, "Host web1\n HostName %s\n Port %d\n User %s\n IdentityFile %s\n ProxyJump bastion\nHost bastion\n HostName %s\n Port %d\n User %s\n IdentityFile %s\n SetEnv RIG_X=y\n",
		srv.Host, srv.Port, srv.User, srv.Key, jump.Host, jump.Port, jump.User, jump.Key), 0o600)
	o.ConfigFiles, o.Identities = []string{conf}, []string{}
	d := NewDialer(o)
	defer d.Close()
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			c, err := d.Dial(ctxOf(t), Host{ID: "web1"})
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			mustRun(t, c, "true")
		})
	}
	wg.Wait()
	if n := strings.Count(jump.Log(), "Starting session"); n != 0 {
		t.Errorf("%d sessions on the jump host", n)
	}
	c, err := d.Dial(ctxOf(t), Host{ID: "bastion"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := mustRun(t, c, "echo $RIG_X"); got != "y\n" {
		t.Errorf("SetEnv: %q", got)
	}

	// A port there leads here.
	h.RemotePortForwards = []string{"0:127.0.0.1:1"}
	if _, err := Dial(ctxOf(t), h, options(srv)); err != nil {
		t.Error(err)
	}
	h.RemotePortForwards = []string{"x"}
	_, err = Dial(ctxOf(t), h, options(srv))
	wantError(t, err, KindOption, `remote port forward "x"`)
}

// A Dialer that lives on sees what was changed meanwhile.
func TestFresh(t *testing.T) {
	t.Parallel()
	srv := sshrig.New(t, sshrig.Options{Stranger: true})
	o := options(srv)
	dir := t.TempDir()
	o.KnownHosts = []string{filepath.Join(dir, "known_hosts")}
	d := NewDialer(o)
	defer d.Close()
	h := hostOf(srv)
	h.Priv = filepath.Join(dir, "key")
	dial := func() error {
		c, err := d.Dial(ctxOf(t), h)
		if err == nil {
			c.Close()
		}
		return err
	}
	wantError(t, dial(), KindKeyFile)
	sshrig.Keygen(t, h.Priv, "-t", "ed25519")
	wantError(t, dial(), KindHostKeyUnknown)
	line := sshrig.KnownName(srv.Host, srv.Port) + " " + srv.HostKey("ed25519") + "\n"
	os.WriteFile(o.KnownHosts[0], []byte(line), 0o600)
	wantError(t, dial(), KindAuth)
	if err := os.Rename(srv.Key, h.Priv); err != nil {
		t.Fatal(err)
	}
	if err := dial(); err != nil {
		t.Error(err)
	}
	os.Remove(o.KnownHosts[0])
	wantError(t, dial(), KindHostKeyUnknown)
}

func TestKeyDeploy(t *testing.T) {
	t.Parallel()
	srv := sshrig.New(t, sshrig.Options{})
	c := mustDial(t, hostOf(srv), options(srv))
	pki := t.TempDir()
	key, made, err := DefaultKey(pki)
	if err != nil || !made || key != filepath.Join(pki, "ssh/salt-ssh.ed25519") {
		t.Fatal(key, made, err)
	}
	if _, made, err = DefaultKey(pki); err != nil || made {
		t.Error(made, err)
	}
	pub, err := PublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	os.MkdirAll(filepath.Join(srv.Home, ".ssh"), 0o777)
	auth := filepath.Join(srv.Home, ".ssh/authorized_keys")
	os.WriteFile(auth, []byte("# no newline"), 0o666)
	for i, want := range []bool{true, false} {
		added, err := KeyDeploy(ctxOf(t), c, pub)
		if err != nil || added != want {
			t.Errorf("%d: %v %v", i, added, err)
		}
	}
	b, _ := os.ReadFile(auth)
	if string(b) != "# no newline\n"+pub+"\n" {
		t.Errorf("%q", b)
	}
	if st, _ := os.Stat(auth); st.Mode().Perm()&0o022 != 0 {
		t.Errorf("mode %v", st.Mode())
	}
	h := hostOf(srv)
	h.Priv = key
	mustDial(t, h, options(srv))
	_, err = KeyDeploy(ctxOf(t), c, "junk")
	wantError(t, err, KindKeyFile)
	salts := filepath.Join(pki, "ssh/salt-ssh.rsa")
	os.WriteFile(salts, nil, 0o600)
	if key, _, _ := DefaultKey(pki); key != salts {
		t.Error(key)
	}
}

// alive tells whether a process runs: one that ended and was not waited for does not.
func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return !strings.HasPrefix(rest, "Z")
}

func hashKnown(t *testing.T, f string) {
	t.Helper()
	sshrig.HashKnownHosts(t, f)
	if b, _ := os.ReadFile(f); !strings.HasPrefix(string(b), "|1|") {
		t.Fatalf("not hashed: %q", b)
	}
}
