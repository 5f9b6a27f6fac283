package master

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"

	"github.com/gosalt/gosalt/internal/config"
	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/ssh"
)

// dialSocket is inventory.DialSSH: a connection to a socket of another machine, through an SSH
// connection of its own, as this master reaches machines otherwise.
func (m *Master) dialSocket(ctx context.Context, s inventory.SSHSocket) (net.Conn, error) {
	how, err := m.sshOptionsOf(nil)
	if err != nil {
		return nil, &inventory.Error{Call: "ssh", Reason: inventory.BadConfig, Err: err}
	}
	return dialSocket(ctx, m.ssh.dialer, how.Dial, s)
}

// SocketDialer is inventory.DialSSH for a program that is no master, as gosalt-key: it reaches
// machines as the master of a configuration does. Call close in the end.
func SocketDialer(cfg *config.Master, log *slog.Logger) (dial inventory.DialSSH, close func()) {
	var mu sync.Mutex
	var open []*ssh.Dialer
	dialer := func(o ssh.Options) *ssh.Dialer {
		o.Log = log
		d := ssh.NewDialer(o)
		mu.Lock()
		defer mu.Unlock()
		open = append(open, d)
		return d
	}
	dial = func(ctx context.Context, s inventory.SSHSocket) (net.Conn, error) {
		return dialSocket(ctx, dialer, dialOptions(cfg, nil), s)
	}
	return dial, func() {
		mu.Lock()
		defer mu.Unlock()
		for _, d := range open {
			d.Close()
		}
	}
}

func dialSocket(ctx context.Context, dialer func(ssh.Options) *ssh.Dialer, o ssh.Options, s inventory.SSHSocket) (net.Conn, error) {
	if s.KnownHosts != "" {
		o.KnownHosts = []string{s.KnownHosts}
	}
	if s.NoVerify {
		o.HostKeys = ssh.Ignore
	}
	conn, err := dialer(o).Dial(ctx, ssh.Host{ID: s.Host, Host: s.Host, User: s.User, Port: s.Port, Priv: s.KeyFile})
	if err != nil {
		return nil, sshProblem(err)
	}
	c, err := conn.DialSocket(ctx, s.Paths...)
	if err != nil {
		conn.Close()
		return nil, sshProblem(err)
	}
	return &lastOf{c, conn}, nil
}

// lastOf is the only use of an SSH connection, which ends with it.
type lastOf struct {
	net.Conn
	ssh *ssh.Conn
}

// Close does not take leave of the other end first: one that is gone would be waited for.
func (l *lastOf) Close() error { return l.ssh.Close() }

// sshProblem is an error of package ssh in the words of an inventory.
func sshProblem(err error) *inventory.Error {
	out := &inventory.Error{Call: "ssh", Reason: inventory.NoAnswer, Err: err}
	var e *ssh.Error
	if errors.As(err, &e) {
		out.Msg, out.Hint = e.Msg, e.Hint
	}
	switch ssh.KindOf(err) {
	case ssh.KindResolve, ssh.KindSession:
		out.Reason = inventory.NotFound
	case ssh.KindAuth, ssh.KindKeyFile, ssh.KindPassphrase, ssh.KindBadPassphrase, ssh.KindAgent, ssh.KindHostKeyUnknown, ssh.KindHostKeyChanged, ssh.KindHostKeyRevoked, ssh.KindKnownHosts:
		out.Reason = inventory.BadLogin
	case ssh.KindForward:
		out.Reason = inventory.NotPermitted
	case ssh.KindOption:
		out.Reason = inventory.BadConfig
	case ssh.KindCanceled:
		out.Reason = inventory.Canceled
	}
	return out
}
