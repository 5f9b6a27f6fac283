//go:build linux

package gosalt_test

import (
	"context"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gosalt/gosalt/internal/testproc"
	"github.com/gosalt/gosalt/protocol/transport/zmq"
	"github.com/gosalt/gosalt/protocol/wire"
)

// saltProgram speaks to a master as Salt's own programs do.
type saltProgram struct {
	t    *testing.T
	dir  string // root_dir of the master
	addr string
	key  string
	dial *zmq.Dialer
}

// ask sends an order in the clear and returns the answer.
func (p *saltProgram) ask(load *wire.Map) any {
	p.t.Helper()
	body, err := (&wire.Envelope{Enc: wire.EncClear, Load: load, Version: wire.SaltVersion}).Encode()
	if err != nil {
		p.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(p.t.Context(), testproc.Patience)
	defer cancel()
	c := p.dial.Requester(p.addr)
	defer c.Close()
	b, err := c.Do(ctx, body)
	if err != nil {
		p.t.Fatal(err)
	}
	v, err := wire.Decode(b, wire.Network, wire.Authenticated)
	if err != nil {
		p.t.Fatal(err)
	}
	return v
}

// refused expects an error of that name.
func (p *saltProgram) refused(name string, load *wire.Map) {
	p.t.Helper()
	m, _ := p.ask(load).(*wire.Map)
	if e := m.Map("error"); e == nil || e.Text("name") != name {
		p.t.Errorf("%s: answer %v, want the error %s", load.Text("cmd"), m, name)
	}
}

// keyed is an order with the root key.
func (p *saltProgram) keyed(cmd, fun string, more ...any) *wire.Map {
	m := wire.NewMap("cmd", cmd, "fun", fun, "key", p.key, "user", "root")
	for i := 0; i < len(more); i += 2 {
		m.Set(more[i].(string), more[i+1])
	}
	return m
}

// TestSaltClients gives orders as Salt's own programs do, and reads their events. With the
// real programs TestInterop does so.
func TestSaltClients(t *testing.T) {
	t.Parallel()
	w := testproc.New(t.TempDir(), bin)
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	start := func(name string, lines ...string) *testproc.Proc {
		t.Helper()
		if len(lines) > 0 {
			if err := w.Configure(name, lines...); err != nil {
				t.Fatal(err)
			}
		}
		p, how, err := w.Start(name)
		if err != nil || how == testproc.Exited {
			t.Fatalf("start %s: %v %v", name, how, err)
		}
		return p
	}
	external := "external_auth: {auto: {fred: [test.ping, {'@runner': ['test.arg']}]}}"
	master := start("master", "auto_accept: True", "compat_root_key: True", external)
	minion := start("web1", "log_level: info")
	if err := minion.AwaitReady(); err != nil {
		t.Fatal(err)
	}
	ports, err := w.Ports("master")
	if err != nil {
		t.Fatal(err)
	}
	p := &saltProgram{t: t, dir: filepath.Join(w.Dir, "master"), addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(ports.Request)),
		dial: zmq.NewDialer(zmq.DialOptions{})}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	keyFile := filepath.Join(p.dir, "var/cache/salt/master", "."+me.Username+"_key")
	st, err := os.Stat(keyFile)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Fatalf("key file: %v, %v", st, err)
	}
	b, _ := os.ReadFile(keyFile)
	p.key = string(b)
	if len(p.key) != 76 {
		t.Errorf("the key has %d characters, Salt's 76", len(p.key))
	}
	socket := func(name string) string { return filepath.Join(p.dir, "var/run/salt/master", name) }
	sub, err := net.Dial("unix", socket("master_event_pub.ipc"))
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	sub.SetReadDeadline(time.Now().Add(testproc.Patience))
	events := wire.NewEventReader(sub, wire.Authenticated)
	await := func(prefix string) *wire.Map {
		t.Helper()
		for {
			tag, data, err := events.Next()
			if err != nil {
				t.Fatalf("no event %s: %v", prefix, err)
			}
			if strings.HasPrefix(tag, prefix) {
				return data
			}
		}
	}

	// A job: answer, events, and the files where Salt's programs look for it.
	pub := p.keyed("publish", "test.echo", "tgt", "*", "tgt_type", "glob", "arg", []any{"hi"}, "ret", "", "jid", "", "kwargs", wire.NewMap("delimiter", ":"))
	answer, _ := p.ask(pub).(*wire.Map)
	load := answer.Map("load")
	jid := load.Text("jid")
	if len(jid) != 20 || len(load.List("minions")) != 1 {
		t.Fatalf("answer to publish: %v", answer)
	}
	if e := await("salt/job/" + jid + "/ret/web1"); e.Text("return") != "hi" || e.Int("retcode") != 0 || e.Text("_stamp") == "" {
		t.Errorf("event of the return: %v", e)
	}
	found, _ := filepath.Glob(filepath.Join(p.dir, "var/cache/salt/master/jobs/??/*/web1/return.p"))
	if len(found) != 1 {
		t.Errorf("files of the job: %q", found)
	}
	pub.Set("jid", "20200101000000000001")
	if answer, _ := p.ask(pub).(*wire.Map); answer.Map("load").Text("jid") != "20200101000000000001" {
		t.Errorf("a job with an id of its own: %v", answer)
	}
	pub.Set("tgt", "nosuch")
	if load := p.ask(pub).(*wire.Map).Map("load"); load.Text("error") != "Master could not resolve minions for target nosuch" {
		t.Errorf("nobody matches: %v", load)
	}

	// Runners and wheel functions.
	run, _ := p.ask(p.keyed("runner", "test.arg", "kwarg", wire.NewMap("arg", []any{"a"}, "kwarg", wire.NewMap("b", int64(1))))).(*wire.Map)
	if e := await(run.Text("tag") + "/ret"); e.Map("return") == nil || e.Map("return").Map("kwargs").Int("b") != 1 {
		t.Errorf("runner: %v, event %v", run, e)
	}
	wheel, _ := p.ask(p.keyed("wheel", "key.list_all")).(*wire.Map)
	if d := wheel.Map("data"); d == nil || !d.Bool("success") || len(d.Map("return").List("minions")) != 1 {
		t.Errorf("wheel: %v", wheel)
	}

	// Events of a program of Salt's.
	pull, err := net.Dial("unix", socket("master_event_pull.ipc"))
	if err != nil {
		t.Fatal(err)
	}
	frame, _ := wire.EncodeEvent("my/event", wire.NewMap("x", int64(1)))
	pull.Write(frame)
	if e := await("my/event"); e.Int("x") != 1 {
		t.Errorf("event: %v", e)
	}
	pull.Close()

	// Logins and what they may do.
	token, _ := p.ask(wire.NewMap("cmd", "mk_token", "eauth", "auto", "username", "fred", "password", "x")).(*wire.Map)
	if len(token.Text("token")) != 64 || token.Text("name") != "fred" {
		t.Errorf("token: %v", token)
	}
	if v := p.ask(wire.NewMap("cmd", "mk_token", "eauth", "nosuch", "username", "fred", "password", "x")); v != "" {
		t.Errorf("token of an unknown backend: %v", v)
	}
	if m, _ := p.ask(wire.NewMap("cmd", "get_token", "token", token.Text("token"))).(*wire.Map); m.Text("name") != "fred" {
		t.Errorf("get_token: %v", m)
	}
	if m, _ := p.ask(wire.NewMap("cmd", "get_token", "token", "../x")).(*wire.Map); m.Len() != 0 {
		t.Errorf("get_token of none: %v", m)
	}
	as := func(fun string) *wire.Map {
		return wire.NewMap("cmd", "publish", "fun", fun, "tgt", "*", "tgt_type", "glob", "arg", []any{}, "ret", "", "jid", "", "user", "root",
			"kwargs", wire.NewMap("token", token.Text("token")))
	}
	if m, _ := p.ask(as("test.ping")).(*wire.Map); m.Map("load").Text("jid") == "" {
		t.Errorf("publish with a token: %v", m)
	}
	p.refused("AuthorizationError", as("cmd.run"))
	p.refused("TokenAuthenticationError", wire.NewMap("cmd", "runner", "fun", "manage.up", "kwarg", wire.NewMap(), "token", token.Text("token")))
	p.refused("TokenAuthenticationError", wire.NewMap("cmd", "wheel", "fun", "key.list_all", "token", token.Text("token")))
	p.refused("EauthAuthenticationError", wire.NewMap("cmd", "runner", "fun", "test.arg", "kwarg", wire.NewMap(), "eauth", "nosuch", "username", "x", "password", "x"))

	// No key, another's key, a key for somebody else.
	for _, key := range []any{nil, "", strings.Repeat("A", 76), p.key[:75], int64(1)} {
		pub := as("test.ping")
		pub.Delete("kwargs")
		pub.Set("key", key)
		p.refused("AuthenticationError", pub)
		p.refused("UserAuthenticationError", wire.NewMap("cmd", "wheel", "fun", "key.list_all", "user", "root", "key", key))
		p.refused("UserAuthenticationError", wire.NewMap("cmd", "runner", "fun", "test.arg", "user", "root", "key", key))
	}
	p.refused("UserAuthenticationError", p.keyed("wheel", "key.list_all", "user", "anna"))

	// Without the option nothing of that is there.
	if err := master.Stop(); err != nil {
		t.Fatal(err)
	}
	start("master", "auto_accept: True", external)
	for _, name := range []string{keyFile, socket("master_event_pub.ipc"), socket("master_event_pull.ipc"), socket("publish_pull.ipc")} {
		if _, err := os.Stat(name); err == nil {
			t.Errorf("%s is still there", name)
		}
	}
	for _, cmd := range []string{"publish", "runner", "wheel", "mk_token", "get_token"} {
		if m, _ := p.ask(p.keyed(cmd, "test.arg", "eauth", "auto", "username", "fred", "password", "x", "token", token.Text("token"))).(*wire.Map); m == nil || m.Len() != 0 {
			t.Errorf("%s without compat_root_key: %v", cmd, m)
		}
	}
}
