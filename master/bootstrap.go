package master

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gosalt/gosalt/master/join"
	"github.com/gosalt/gosalt/master/keys"
	"github.com/gosalt/gosalt/protocol/control"
	"github.com/gosalt/gosalt/protocol/seal"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/ssh"
)

// The functions that make a machine a minion, and undo that, as the agent has them. What
// they do to the machine is in minion/modules/bootstrap_linux.go; here is the master's part.
const (
	bootstrapShort   = "bootstrap" // as people write bootstrapInstall
	bootstrapInstall = "bootstrap.install"
	bootstrapRemove  = "bootstrap.remove"
)

func isBootstrap(job *wire.Job) bool {
	return job.Multi == nil && (job.Fun == bootstrapInstall || job.Fun == bootstrapRemove)
}

// BootstrapOptions say how a machine becomes a minion. The zero value is good.
type BootstrapOptions struct {
	Master     string        // the master's address as the machine sees it; "" is where the SSH session comes from
	Timeout    time.Duration // to wait until the minion is connected; zero is a minute
	ReplaceKey bool          // the machine may take the place of another one of its id
	User       string        // who asks, for the job and the audit log
	// Progress is told what is being done, a line at a time; may be nil.
	Progress func(line string)
}

// Bootstrap makes a machine that is reached by SSH a minion under the id h.ID, and returns
// what bootstrap.install returned: {comment, changes}. It may be called again: what is so
// already stays. The error says what to do. It is a job like others, with its record.
func (m *Master) Bootstrap(ctx context.Context, h ssh.Host, o BootstrapOptions) (*wire.Map, error) {
	kwargs := wire.NewMap("__kwarg__", true, "replace_key", o.ReplaceKey)
	if o.Master != "" {
		kwargs.Set("master", o.Master)
	}
	if o.Timeout > 0 {
		kwargs.Set("timeout", int64(o.Timeout/time.Second))
	}
	return m.bootstrapJob(ctx, h, bootstrapInstall, []any{kwargs}, o.User, o.Progress)
}

// RemoveBootstrap undoes Bootstrap, also what the minion kept where cache is set.
func (m *Master) RemoveBootstrap(ctx context.Context, h ssh.Host, cache bool, user string) (*wire.Map, error) {
	return m.bootstrapJob(ctx, h, bootstrapRemove, []any{wire.NewMap("__kwarg__", true, "cache", cache)}, user, nil)
}

// bootstrapJob runs one of the two on a machine, and waits for it.
func (m *Master) bootstrapJob(ctx context.Context, h ssh.Host, fun string, arg []any, user string, progress func(string)) (*wire.Map, error) {
	id, err := wire.ParseMinionID(h.ID)
	if err != nil {
		return nil, err
	}
	if m.cfg.Borrowed {
		return nil, m.noBootstrap()
	}
	how, err := m.sshOptionsOf(nil)
	if err != nil {
		return nil, err
	}
	how.Complain, how.Bootstrap = true, true
	job := &wire.Job{Fun: fun, Arg: arg, Tgt: []any{h.ID}, TgtType: "list", User: user, Live: progress != nil}
	m.audit("ssh", "user", user, "fun", fun, "tgt", h.ID, "tgt_type", "list", "minions", 1)
	live, w, err := m.publish(ctx, order{Job: job, Targets: []wire.MinionID{id}, Narrow: true, Watch: true, Held: true, SSH: []wire.MinionID{id}})
	if err != nil {
		return nil, err
	}
	defer w.close()
	m.ssh.start(ctx, live, job, []ssh.Host{h}, how)
	var load *wire.Map
	err = m.follow(ctx, live, w, followOptions{Timeout: m.cfg.Timeout, Gather: m.cfg.GatherJobTimeout, Live: progress != nil}, func(f *wire.Map) error {
		switch f.Text("kind") {
		case control.KindReturn:
			load = f.Map("load")
		case control.KindProgress:
			for _, v := range wire.ProgressFromMap(f.Map("data")).Items {
				if line, ok := v.(*wire.Map); ok && progress != nil && line.Text("stdout") != "" {
					progress(line.Text("stdout"))
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	v, _ := load.Get("return")
	ret, ok := v.(*wire.Map)
	if !ok || load.Int("retcode") != 0 {
		return nil, fmt.Errorf("%s of %s: %s", fun, h.ID, strings.TrimPrefix(fmt.Sprint(v), "ERROR: "))
	}
	return ret, nil
}

// noBootstrap is the error of who has none of the master's keys.
func (m *Master) noBootstrap() error {
	return &wire.Error{Kind: wire.Forbidden, Op: "bootstrap", Msg: "the minion's key has to be accepted by the master of this machine, whose directories this user may not write: run gosalt-ssh as root, or as the master's user"}
}

// Preaccept accepts a minion's public key before the minion comes, and tells whether it
// was not accepted before. Another key of that id stays, and is an error, unless replace
// is set: it may be another machine's.
func (m *Master) Preaccept(id wire.MinionID, pub string, replace bool, user string) (changed bool, err error) {
	is, was, err := m.makeRoom(id, pub, replace)
	if is || err != nil {
		return false, err
	}
	if err := m.seedKey(id, pub, user, "was", string(was)); err != nil {
		return false, fmt.Errorf("accept the key of %s: %w", id, err)
	}
	m.tellMaster("accept", id)
	return true, nil
}

// makeRoom has no other key of a minion stand in the way of this one. is tells that this one
// is accepted already; else was is the state of the key that there was.
func (m *Master) makeRoom(id wire.MinionID, pub string, replace bool) (is bool, was keys.State, err error) {
	st, err := m.keys.StateOf(id)
	switch {
	case err != nil:
		return false, "", err
	case st == keys.Accepted && m.keys.IsAccepted(id, pub):
		return true, st, nil
	case st == keys.Accepted && !replace:
		return false, st, fmt.Errorf("the master has another key for %s: it is another machine's, or this one was set up anew; in that case say replace_key=True, or first: gosalt-key -d %s", id, id)
	case st == keys.Rejected && !replace:
		return false, st, fmt.Errorf("the master has rejected a key of %s: if that is over, say replace_key=True, or first: gosalt-key -d %s", id, id)
	}
	if _, err := seal.ParsePublic([]byte(seal.CleanKey(pub))); err != nil { // before anything is deleted
		return false, st, fmt.Errorf("accept the key of %s: %w", id, err)
	}
	for _, old := range []keys.State{keys.Accepted, keys.Rejected, keys.Pending, keys.Denied} {
		if err := m.keys.Delete(old, id); err != nil && !errors.Is(err, keys.ErrUnknown) {
			return false, st, err
		}
	}
	return false, st, nil
}

// Unaccept takes the accepted key of a minion off the master, where it is this one or ""
// for any, and tells whether it was there.
func (m *Master) Unaccept(id wire.MinionID, pub, user string) (changed bool, err error) {
	if pub != "" && !m.keys.IsAccepted(id, pub) {
		return false, nil
	}
	changed, err = m.deleteKey(keys.Accepted, id, user)
	if changed {
		m.tellMaster("delete", id)
	}
	return changed, err
}

// tellMaster has the master that runs on this machine look at its keys: this one is
// another process, which lives for one command. None may be running.
func (m *Master) tellMaster(act string, id wire.MinionID) {
	if !m.cfg.Portless {
		return
	}
	_ = m.askMaster(wire.NewMap("op", control.OpKeys, "events", []any{wire.NewMap("act", act, "id", string(id))}))
}

// masterRuns tells whether a master runs on this machine.
func (m *Master) masterRuns() bool {
	return !m.cfg.Portless || m.askMaster(wire.NewMap("op", control.OpPing)) == nil
}

func (m *Master) askMaster(req *wire.Map) error {
	_, err := control.Ask(context.Background(), m.cfg.ControlSocket, req, 5*time.Second)
	return err
}

// masterPub is this master's public key. One that serves no minions has not read it.
func (m *Master) masterPub() (string, error) {
	if m.own.Pub != "" {
		return m.own.Pub, nil
	}
	own, err := keys.LoadMaster(keys.MasterConfig{PKIDir: m.cfg.PKIDir, KeySize: m.cfg.KeySize, KeyPass: seal.NewSecret(m.cfg.KeyPass.Reveal()), Log: m.log})
	if err != nil {
		return "", fmt.Errorf("the master's key: %w", err)
	}
	return own.Pub, nil
}

// bootstrapping is the master's part while a machine becomes a minion, or ends to be one.
type bootstrapping struct {
	m    *Master
	conn ssh.Runner
	host ssh.Host
	id   wire.MinionID
	user string
	open bool // this job may do it
}

// answer answers wire.CmdBootstrap.
func (b *bootstrapping) answer(ctx context.Context, load *wire.Map) (any, error) {
	ret, err := b.step(ctx, load)
	if err != nil {
		return nil, &wire.Error{Kind: wire.Forbidden, Op: "bootstrap", Msg: err.Error()}
	}
	return ret, nil
}

func (b *bootstrapping) step(ctx context.Context, load *wire.Map) (*wire.Map, error) {
	pub := load.Text("pub")
	switch load.Text("step") {
	case "begin":
		key, err := b.m.masterPub()
		if err != nil {
			return nil, err
		}
		opts := agentOpts(b.host)
		ret := wire.NewMap("port", int64(b.m.cfg.RetPort), "pub", key, "pki_dir", b.m.cfg.PKIDir, "running", b.m.masterRuns())
		if addr := opts.Text("master"); addr != "" {
			ret.Set("master", addr)
		} else if addr, why := b.ownAddress(ctx); addr != "" {
			ret.Set("master", addr)
		} else {
			ret.Set("no_master", why)
		}
		for _, k := range []string{"id", "master"} {
			opts.Delete(k)
		}
		ret.Set("opts", opts)
		return ret, nil
	case "accept":
		changed, err := b.m.Preaccept(b.id, pub, load.Bool("replace"), b.user)
		return wire.NewMap("changed", changed, "text", "accepted by the master"), err
	case "token":
		return b.token(pub, load.Text("master"), load.Bool("replace"))
	case "remove":
		changed, err := b.m.Unaccept(b.id, pub, b.user)
		return wire.NewMap("changed", changed, "text", "taken off the master"), err
	}
	return nil, fmt.Errorf("bootstrap: unknown step %.40q", load.Text("step"))
}

// bootTokenLife is how long a machine has to show the token of its bootstrap.
const bootTokenLife = 10 * time.Minute

// token makes a token for one machine, unless its key is accepted already.
func (b *bootstrapping) token(pub, master string, replace bool) (*wire.Map, error) {
	if !b.m.masterRuns() {
		return nil, errors.New("no master runs where gosalt-ssh was started, which a token could be shown to: start it, or leave out token=True")
	}
	own, err := b.m.masterPub()
	if err != nil {
		return nil, err
	}
	finger, err := seal.Fingerprint(own, "sha256")
	if err != nil {
		return nil, err
	}
	tokens, err := join.OpenTokens(b.m.cfg.PKIDir, nil)
	if err != nil {
		return nil, err
	}
	secret := seal.NewJoinToken([]string{master}, finger, b.id)
	text, err := secret.Text()
	if err != nil {
		return nil, err
	}
	is, was, err := b.m.makeRoom(b.id, pub, replace)
	if is || err != nil {
		return wire.NewMap("changed", false, "text", "accepted by the master"), err
	}
	if was != "" {
		b.m.tellMaster("delete", b.id)
	}
	_, err = tokens.Issue(join.Token{ID: join.Plain(string(b.id)), By: b.user, Note: "gosalt-ssh bootstrap"}, bootTokenLife, secret)
	b.m.audit("join token made", "user", b.user, "ref", secret.Name, "minion", string(b.id), "uses", 1, "life", bootTokenLife.String(), "result", err == nil)
	if err != nil {
		return nil, err
	}
	return wire.NewMap("changed", true, "text", "accepted by the master, for a token", "token", text), nil
}

// ownAddress is the address from which the machine sees us come.
func (b *bootstrapping) ownAddress(ctx context.Context) (addr, why string) {
	if c, ok := b.conn.(*ssh.Conn); !ok {
		return "", "the machine is not reached by SSH"
	} else if !c.Direct() {
		return "", "the machine is reached through another one"
	}
	out, _, _, err := b.conn.Run(ctx, `exec /bin/sh -c 'echo "=$SSH_CONNECTION"'`, nil)
	if err != nil {
		return "", err.Error()
	}
	// The login shell may have printed something before.
	for _, line := range slices.Backward(strings.Split(string(out), "\n")) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "="); ok {
			if f := strings.Fields(rest); len(f) > 0 {
				return f[0], ""
			}
			break
		}
	}
	return "", "its SSH server does not say where the session comes from"
}
