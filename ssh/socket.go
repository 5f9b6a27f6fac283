package ssh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	xssh "golang.org/x/crypto/ssh"
)

// DialSocket connects to a Unix socket of the machine, the first of these that is there, as
// ssh -W and streamlocal forwarding do. The connection has no deadlines; closing it, or the Conn,
// ends what reads.
func (c *Conn) DialSocket(ctx context.Context, paths ...string) (net.Conn, error) {
	e := &Error{Host: c.s.name, Kind: KindSession, Msg: "no socket was named"}
	for _, path := range paths {
		conn, err := c.client.DialContext(ctx, "unix", path)
		if err == nil {
			return conn, nil
		}
		var open *xssh.OpenChannelError
		where := fmt.Sprintf("%s: the socket %s", c.s.hostName, path)
		e.Err = err
		switch {
		case ctx.Err() != nil && errors.Is(ctx.Err(), context.DeadlineExceeded):
			e.Kind, e.Msg = KindTimeout, where+" was not reached in time"
			return nil, e
		case ctx.Err() != nil:
			e.Kind, e.Msg = KindCanceled, where+": canceled"
			return nil, e
		case errors.As(err, &open) && open.Reason == xssh.Prohibited:
			e.Kind, e.Msg, e.Hint = KindForward, where+": sshd does not allow to forward it", "AllowStreamLocalForwarding in its sshd_config decides"
			return nil, e
		case errors.As(err, &open):
			// OpenSSH does not say why.
			e.Msg = where + " cannot be connected to: " + OneLine(open.Message)
			e.Hint = "is it there, does its program run, and may " + c.s.user + " open it?"
		default:
			e.Kind, e.Msg = KindClosed, where+": "+OneLine(strings.TrimPrefix(err.Error(), "ssh: "))
			return nil, e
		}
	}
	return nil, e
}
