package ssh

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/gosalt/gosalt/internal/sshrig"
	"github.com/gosalt/gosalt/protocol/seal"
)

// In a machine there are accounts with passwords.
func TestMachine(t *testing.T) {
	t.Parallel()
	srv := sshrig.InMachine(t, sshrig.MachineOptions{Users: []sshrig.User{
		{Name: "ann", Password: "s3cret-ann", Sudo: "ALL"},
		{Name: "bob", Sudo: "NOPASSWD: ALL", Shell: "/bin/bash"},
	}, Config: "Match User bob\n PasswordAuthentication no\nMatch all\n"})
	try := func(change func(h *Host, o *Options)) (*Conn, error) {
		h, o := hostOf(&srv.Server), options(&srv.Server)
		h.User, h.Priv = "ann", ""
		change(&h, &o)
		c, err := Dial(ctxOf(t), h, o)
		if err == nil {
			t.Cleanup(func() { c.Close() })
		}
		return c, err
	}
	ok := func(what, user string, change func(h *Host, o *Options)) *Conn {
		t.Helper()
		c, err := try(change)
		if err != nil {
			t.Fatalf("%s: %s\n%s", what, err, srv.Log())
		}
		if got := mustRun(t, c, "id -un"); got != user+"\n" {
			t.Errorf("%s: %q", what, got)
		}
		return c
	}
	secret := seal.NewSecret("s3cret-ann")
	ok("password", "ann", func(h *Host, o *Options) { h.Passwd = secret })
	ok("keyboard-interactive", "ann", func(h *Host, o *Options) {
		h.Passwd, h.SSHOptions = secret, []string{"PreferredAuthentications=keyboard-interactive"}
	})
	// With a key that it does not want, and more in the agent than a server bears.
	ok("password beside keys", "ann", func(h *Host, o *Options) {
		var keys []string
		for _, n := range []string{"1", "2", "3", "4", "5", "6", "7"} {
			k := srv.Dir + "/k" + n
			sshrig.Keygen(t, k, "-t", "ed25519")
			keys = append(keys, k)
		}
		h.Passwd, h.Priv, o.AgentSocket = secret, keys[0], sshrig.Agent(t, keys...)
	})
	asked := 0
	ok("password of a person", "ann", func(h *Host, o *Options) {
		o.AskPass = func(_ context.Context, p Prompt) (seal.Secret, error) {
			asked++
			if p.Host != "web1" || p.User != "ann" || p.Echo {
				t.Errorf("%+v", p)
			}
			return secret, nil
		}
	})
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
	_, err := try(func(h *Host, o *Options) { h.Passwd = seal.NewSecret("s3cret-wrong") })
	wantError(t, err, KindAuth, "ann@", "Permission denied (publickey,password,keyboard-interactive)", "tried the password of the roster", "right user and password")
	_, err = try(func(h *Host, o *Options) { h.User, h.Passwd = "bob", secret })
	wantError(t, err, KindAuth, "bob@")
	_, err = try(func(h *Host, o *Options) { h.Passwd, o.AuthTimeout = seal.NewSecret("s3cret-wrong"), time.Millisecond })
	wantError(t, err, KindTimeout, "the login took more than 1ms")

	// A key is brought there, and is enough from then on.
	c := ok("password", "ann", func(h *Host, o *Options) { h.Passwd = secret })
	own := srv.Dir + "/own"
	sshrig.Keygen(t, own, "-t", "ed25519")
	pub, err := PublicKey(own)
	if err != nil {
		t.Fatal(err)
	}
	if added, err := KeyDeploy(ctxOf(t), c, pub); err != nil || !added {
		t.Fatal(added, err)
	}
	if got := srv.Machine.Run("stat", "-c", "%a %U", "/home/ann/.ssh", "/home/ann/.ssh/authorized_keys"); got != "700 ann\n600 ann\n" {
		t.Errorf("%q", got)
	}
	ok("key", "ann", func(h *Host, o *Options) { h.Priv = own })

	// Sudo, with a password from standard input, with none, and with none allowed.
	out, errs, code, err := c.Run(ctxOf(t), "sudo -S -p '' id -un", strings.NewReader("s3cret-ann\n"))
	if err != nil || code != 0 || string(out) != "root\n" {
		t.Errorf("%q %q %d %v", out, errs, code, err)
	}
	bob := ok("bob", "bob", func(h *Host, o *Options) { h.User, h.Priv = "bob", srv.Key })
	if got := mustRun(t, bob, "sudo -n id -un"); got != "root\n" {
		t.Errorf("%q", got)
	}
}
