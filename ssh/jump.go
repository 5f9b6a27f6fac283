package ssh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	xssh "golang.org/x/crypto/ssh"
)

// A jump is a connection to a jump host that others go through, or one that is being made.
type jump struct {
	done chan struct{} // closed when conn or err is there
	conn *Conn
	err  *Error
}

// throughJump opens a way to a server through its jump hosts: "a,b" is first a, then b.
func (d *Dialer) throughJump(ctx context.Context, s *settings, depth int) (net.Conn, *Error) {
	conn, e := d.jumpTo(ctx, s.jump, depth)
	if e != nil {
		c := *e
		c.Host, c.Kind, c.Msg = s.name, KindProxy, "jump host "+s.jump+": "+e.Msg
		if e.Kind == KindCanceled || e.Kind == KindTimeout {
			c.Kind = e.Kind
		}
		return nil, &c
	}
	nc, err := conn.client.DialContext(ctx, "tcp", s.addr())
	if err == nil {
		return nc, nil
	}
	e = &Error{Host: s.name, Kind: KindProxy, Err: err}
	var open *xssh.OpenChannelError
	where := "connect to host " + s.hostName + " port " + fmt.Sprint(s.port) + " through " + s.jump + ": "
	switch {
	case errors.As(err, &open) && open.Reason == xssh.Prohibited:
		e.Msg, e.Hint = where+"the jump host does not allow it", "AllowTcpForwarding and PermitOpen in its sshd_config decide"
	case errors.As(err, &open):
		e.Msg = where + OneLine(open.Message)
		switch {
		case strings.Contains(open.Message, "refused"):
			e.Kind = KindRefused
		case strings.Contains(open.Message, "timed out"):
			e.Kind = KindTimeout
		case strings.Contains(open.Message, "o route"), strings.Contains(open.Message, "unreachable"):
			e.Kind = KindNoRoute
		}
	case errors.Is(err, context.DeadlineExceeded):
		e.Kind, e.Msg = KindTimeout, where+"Connection timed out"
	case errors.Is(err, context.Canceled):
		e.Kind, e.Msg = KindCanceled, where+"canceled"
	default:
		e.Msg = where + "the jump host closed the connection"
	}
	return nil, e
}

// jumpTo is the connection to the last of a chain of jump hosts, shared by all that go
// through it.
func (d *Dialer) jumpTo(ctx context.Context, chain string, depth int) (*Conn, *Error) {
	for {
		d.mu.Lock()
		if d.closed {
			d.mu.Unlock()
			return nil, &Error{Kind: KindCanceled, Msg: "canceled"}
		}
		j := d.jumps[chain]
		mine := j == nil
		if mine {
			j = &jump{done: make(chan struct{})}
			d.jumps[chain] = j
			// Whoever asked first may give up; the others still want it.
			go func() {
				j.conn, j.err = d.dialJump(context.WithoutCancel(ctx), chain, depth)
				close(j.done)
			}()
		}
		d.mu.Unlock()
		select {
		case <-j.done:
		case <-ctx.Done():
			e := &Error{Kind: KindCanceled, Msg: "canceled", Err: ctx.Err()}
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				e.Kind, e.Msg = KindTimeout, "no connection to it in time"
			}
			return nil, e
		}
		dead := j.err != nil
		if !dead {
			select {
			case <-j.conn.Done():
				dead = true
			default:
			}
		}
		if !dead {
			return j.conn, nil
		}
		d.mu.Lock()
		if d.jumps[chain] == j {
			delete(d.jumps, chain)
		}
		d.mu.Unlock()
		if j.err != nil {
			return nil, j.err
		}
	}
}

// dialJump connects to the last of a chain, through those before it.
func (d *Dialer) dialJump(ctx context.Context, chain string, depth int) (*Conn, *Error) {
	before, last := "", chain
	if i := strings.LastIndexByte(chain, ','); i >= 0 {
		before, last = chain[:i], chain[i+1:]
	}
	h, err := ParseDestination(last)
	if err != nil {
		return nil, &Error{Host: last, Kind: KindOption, Msg: err.Error()}
	}
	return d.dial(ctx, h, before, depth+1+strings.Count(chain, ","))
}

// ParseDestination reads what people type for a machine: host, user@host, host:port,
// [::1]:22, ssh://user@host:port.
func ParseDestination(text string) (Host, error) {
	var h Host
	rest := strings.TrimPrefix(strings.TrimSpace(text), "ssh://")
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		h.User, rest = rest[:i], rest[i+1:]
	}
	switch {
	case strings.HasPrefix(rest, "["):
		name, port, ok := strings.Cut(rest[1:], "]")
		if !ok {
			return h, fmt.Errorf("%q: [ without ]", text)
		}
		h.Host, rest = name, strings.TrimPrefix(port, ":")
	case strings.Count(rest, ":") == 1:
		h.Host, rest, _ = strings.Cut(rest, ":")
	default:
		h.Host, rest = rest, ""
	}
	if rest != "" {
		n := 0
		if _, err := fmt.Sscanf(rest, "%d", &n); err != nil || n < 1 || n > 65535 || fmt.Sprint(n) != rest {
			return h, fmt.Errorf("%q: %q is no port", text, rest)
		}
		h.Port = n
	}
	if h.Host == "" || strings.HasPrefix(h.Host, "-") || strings.ContainsFunc(h.Host, func(r rune) bool { return r <= ' ' || slices.Contains([]rune("/,@"), r) }) {
		return h, fmt.Errorf("%q is no destination: give host, user@host or user@host:port", text)
	}
	h.ID = h.Host
	return h, nil
}
