package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	xssh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// A Conn is a connection to a machine. Several sessions may run over it at once.
type Conn struct {
	d      *Dialer
	host   Host
	s      *settings
	spy    *spyConn
	client *xssh.Client
	key    string

	done chan struct{} // closed when the connection has ended
	err  error         // why, once done is closed

	mu     sync.Mutex
	reason *Error // set before we close it ourselves
	ends   []func()
	ended  bool

	agentOnce sync.Once
	agentErr  error
}

func newConn(d *Dialer, h Host, s *settings, spy *spyConn, client *xssh.Client, key string) *Conn {
	c := &Conn{d: d, host: h, s: s, spy: spy, client: client, key: key, done: make(chan struct{})}
	go func() {
		err := client.Wait()
		spy.Close()
		c.mu.Lock()
		if c.reason != nil {
			c.err = c.reason
		} else {
			c.err = c.lost(err)
		}
		ends := c.ends
		c.ends, c.ended = nil, true
		c.mu.Unlock()
		close(c.done)
		for _, f := range ends {
			f()
		}
	}()
	if s.keepalive > 0 {
		go c.keepAlive()
	}
	return c
}

// lost is the error of a connection that ended by itself.
func (c *Conn) lost(err error) *Error {
	e := &Error{Host: c.s.name, Kind: KindClosed, Err: err, Msg: c.s.hostName + " closed the connection"}
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
		text := OneLine(strings.TrimPrefix(rootText(err), "ssh: "))
		e.Msg = "the connection to " + c.s.hostName + " was lost: " + text
	}
	return e
}

// Host is what Dial was asked for.
func (c *Conn) Host() Host { return c.host }

// User is who is logged in.
func (c *Conn) User() string { return c.s.user }

// RemoteAddr is the address of the other end.
func (c *Conn) RemoteAddr() net.Addr { return c.client.RemoteAddr() }

// Direct tells whether the connection goes straight to the machine: through no jump host
// and no ProxyCommand.
func (c *Conn) Direct() bool { return c.s.jump == "" && c.s.proxyCommand == "" }

// ServerVersion is how the server introduced itself, as "SSH-2.0-OpenSSH_9.2p1".
func (c *Conn) ServerVersion() string { return OneLine(string(c.client.ServerVersion())) }

// HostKey is the fingerprint of the server's key.
func (c *Conn) HostKey() string { return c.key }

// Done is closed when the connection has ended.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Wait waits until the connection has ended and returns why, a *Error; nil after Close.
func (c *Conn) Wait() error {
	<-c.done
	if KindOf(c.err) == KindCanceled {
		return nil
	}
	return c.err
}

// Close ends the connection and its sessions.
func (c *Conn) Close() error {
	c.end(&Error{Host: c.s.name, Kind: KindCanceled, Msg: "the connection to " + c.s.hostName + " was closed"})
	// A peer that is gone for good is not waited for: the socket is closed already.
	<-c.done
	return nil
}

// end closes the connection for a reason.
func (c *Conn) end(why *Error) {
	c.mu.Lock()
	if c.reason == nil {
		c.reason = why
	}
	c.mu.Unlock()
	c.spy.Close()
	c.client.Close()
}

// atEnd calls f when the connection has ended.
func (c *Conn) atEnd(f func()) {
	c.mu.Lock()
	ended := c.ended
	if !ended {
		c.ends = append(c.ends, f)
	}
	c.mu.Unlock()
	if ended {
		f()
	}
}

// keepAlive asks a silent server whether it is there, and ends the connection when it
// does not answer.
func (c *Conn) keepAlive() {
	interval := c.s.keepalive
	timer := time.NewTimer(interval)
	defer timer.Stop()
	answers := make(chan struct{}, 1)
	waiting, unanswered := false, 0
	var asked int64
	for {
		select {
		case <-c.done:
			return
		case <-answers:
			waiting, unanswered = false, 0
			continue
		case <-timer.C:
		}
		heard := c.spy.heard.Load()
		silent := time.Duration(clock() - heard)
		switch {
		case waiting && heard > asked:
			// Something came, so it lives, though the answer is behind much else.
			unanswered = 0
		case waiting:
			if unanswered++; unanswered >= c.s.keepaliveMax {
				c.end(&Error{Host: c.s.name, Kind: KindTimeout,
					Msg:  fmt.Sprintf("the connection to %s was lost: no answer for %s", c.s.hostName, silent.Round(time.Second)),
					Hint: "is the machine down, or its network?"})
				return
			}
		case silent >= interval:
			waiting, asked = true, clock()
			unanswered = 0
			go func() {
				if _, _, err := c.client.SendRequest("keepalive@openssh.com", true, nil); err == nil {
					answers <- struct{}{}
				}
			}()
		}
		timer.Reset(interval)
	}
}

// forwardAgent makes the agent reachable for the sessions that ask for it.
func (c *Conn) forwardAgent() error {
	c.agentOnce.Do(func() {
		if c.s.agentSocket == "" {
			c.agentErr = &Error{Host: c.s.name, Kind: KindAgent, Msg: "there is no agent to forward", Hint: "start one with: eval $(ssh-agent); ssh-add"}
			return
		}
		c.agentErr = agent.ForwardToRemote(c.client, c.s.agentSocket)
	})
	return c.agentErr
}

// forward listens on the machine, and connects what comes to somewhere here, as ssh -R:
// [bind:]port:host:hostport.
func (c *Conn) forward(ctx context.Context, spec string) *Error {
	bad := &Error{Host: c.s.name, Kind: KindOption, Msg: fmt.Sprintf("remote port forward %q is not of the form [bind:]port:host:hostport", spec)}
	parts := splitForward(strings.TrimSpace(spec))
	if len(parts) == 3 {
		parts = append([]string{"localhost"}, parts...)
	}
	if len(parts) != 4 {
		return bad
	}
	for _, p := range []string{parts[1], parts[3]} {
		if p == "" || strings.Trim(p, "0123456789") != "" || len(p) > 5 {
			return bad
		}
	}
	bind := parts[0]
	if bind == "*" || bind == "" {
		bind = "0.0.0.0"
	}
	fail := func(err error) *Error {
		return &Error{Host: c.s.name, Kind: KindForward, Err: err, Msg: fmt.Sprintf("remote port forwarding failed for listen port %s: %s", parts[1], OneLine(strings.TrimPrefix(err.Error(), "ssh: "))),
			Hint: "is the port in use there, and does its sshd allow forwarding?"}
	}
	type result struct {
		l   net.Listener
		err error
	}
	got := make(chan result, 1)
	go func() {
		l, err := c.client.Listen("tcp", net.JoinHostPort(bind, parts[1]))
		got <- result{l, err}
	}()
	var l net.Listener
	select {
	case r := <-got:
		if r.err != nil {
			return fail(r.err)
		}
		l = r.l
	case <-ctx.Done():
		return fail(ctx.Err())
	case <-time.After(c.s.channelTimeout):
		return fail(errors.New("no answer"))
	}
	to := net.JoinHostPort(parts[2], parts[3])
	go func() {
		defer l.Close()
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer in.Close()
				out, err := net.DialTimeout("tcp", to, c.s.connectTimeout)
				if err != nil {
					c.d.log.Warn("forwarded connection", "host", c.s.name, "to", to, "err", rootText(err))
					return
				}
				defer out.Close()
				go func() {
					io.Copy(out, in)
					if t, ok := out.(*net.TCPConn); ok {
						t.CloseWrite()
					}
				}()
				io.Copy(in, out)
			}()
		}
	}()
	return nil
}

// splitForward splits at colons that are not in brackets.
func splitForward(s string) []string {
	var out []string
	depth, start := 0, 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '[':
			depth++
		case ']':
			depth--
		case ':':
			if depth == 0 {
				out = append(out, strings.Trim(s[start:i], "[]"))
				start = i + 1
			}
		}
	}
	return append(out, strings.Trim(s[start:], "[]"))
}
