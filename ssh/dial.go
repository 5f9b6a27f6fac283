package ssh

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gosalt/gosalt/internal/version"
	"github.com/gosalt/gosalt/ssh/sshconfig"
	xssh "golang.org/x/crypto/ssh"
)

// A Dialer opens connections, and keeps what they have in common. It is safe for
// concurrent use.
type Dialer struct {
	o   Options
	log *slog.Logger

	localUser, localUID, localHost, home string
	agentSocket                          string
	identities, knownHosts               []string

	confMu  sync.Mutex
	confAt  time.Time
	conf    *sshconfig.Config
	confErr error

	known knownHosts

	mu     sync.Mutex
	keys   map[string]*keyFile
	agents map[string]*agentConn
	jumps  map[string]*jump
	closed bool
}

// NewDialer makes a Dialer. Nothing is read before it is needed.
func NewDialer(o Options) *Dialer {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&o.ConnectTimeout, 20*time.Second)
	def(&o.AuthTimeout, 30*time.Second)
	def(&o.ChannelTimeout, 20*time.Second)
	def(&o.Keepalive, 15*time.Second)
	if o.KeepaliveMax == 0 {
		o.KeepaliveMax = 3
	}
	d := &Dialer{o: o, log: o.Log, keys: map[string]*keyFile{}, agents: map[string]*agentConn{}, jumps: map[string]*jump{}}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	d.localUser, d.home, d.localUID = localUser()
	if o.Home != "" {
		d.home = o.Home
	}
	d.localHost, _ = os.Hostname()
	switch d.agentSocket = o.AgentSocket; d.agentSocket {
	case "":
		d.agentSocket = d.getenv("SSH_AUTH_SOCK")
	case "none":
		d.agentSocket = ""
	}
	d.identities = o.Identities
	if d.identities == nil {
		d.identities = []string{"~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa"}
	}
	for _, f := range o.KnownHosts {
		d.knownHosts = append(d.knownHosts, d.tilde(f))
	}
	return d
}

func (d *Dialer) getenv(name string) string { return os.Getenv(name) }

func (d *Dialer) defaultKnownHosts(key string) []string {
	if key == "userknownhostsfile" {
		return []string{filepath.Join(d.home, ".ssh/known_hosts"), filepath.Join(d.home, ".ssh/known_hosts2")}
	}
	return []string{"/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"}
}

// config is the configuration of OpenSSH's client.
func (d *Dialer) config() (*sshconfig.Config, error) {
	d.confMu.Lock()
	defer d.confMu.Unlock()
	if !d.confAt.IsZero() && time.Since(d.confAt) < freshFor {
		return d.conf, d.confErr
	}
	files := d.o.ConfigFiles
	if files == nil {
		files = []string{filepath.Join(d.home, ".ssh/config"), "/etc/ssh/ssh_config"}
	}
	before := d.conf
	d.conf, d.confErr = sshconfig.Load(files, d.home)
	d.confAt = time.Now()
	if d.conf != nil && (before == nil || !slices.Equal(before.Warnings, d.conf.Warnings)) {
		for _, w := range d.conf.Warnings {
			d.log.Warn("ssh configuration", "line", w)
		}
	}
	return d.conf, d.confErr
}

// Close ends the connections to jump hosts and to the agent. Connections that go through
// a jump host end with it; the others do not.
func (d *Dialer) Close() error {
	d.mu.Lock()
	d.closed = true
	agents, jumps := d.agents, d.jumps
	d.agents, d.jumps = map[string]*agentConn{}, map[string]*jump{}
	d.mu.Unlock()
	for _, j := range jumps {
		<-j.done
		if j.conn != nil {
			j.conn.Close()
		}
	}
	for _, a := range agents {
		a.close()
	}
	return nil
}

// Dial opens a connection with a Dialer of its own. Use one Dialer for several hosts.
func Dial(ctx context.Context, h Host, o Options) (*Conn, error) {
	d := NewDialer(o)
	c, err := d.Dial(ctx, h)
	if err != nil {
		d.Close()
		return nil, err
	}
	c.atEnd(func() { d.Close() })
	return c, nil
}

// Dial opens a connection to a host. The error is a *Error.
func (d *Dialer) Dial(ctx context.Context, h Host) (*Conn, error) {
	if h.Err != nil {
		var e *Error
		if !errors.As(h.Err, &e) {
			e = &Error{Host: h.Name(), Kind: KindRoster, Msg: h.Err.Error(), Err: h.Err}
		}
		return nil, e
	}
	c, e := d.dial(ctx, h, "", 0)
	if e != nil {
		d.log.Debug("no ssh connection", "host", h.Name(), "kind", string(e.Kind), "err", e.Msg)
		return nil, e
	}
	return c, nil
}

// maxJumps bounds chains of jump hosts, also those of their own configurations.
const maxJumps = 8

// dial opens a connection; through is the key of the jump host that it goes through,
// whatever the configuration says.
func (d *Dialer) dial(ctx context.Context, h Host, through string, depth int) (*Conn, *Error) {
	s, e := d.settingsOf(h)
	if e != nil {
		return nil, e
	}
	if depth > maxJumps {
		return nil, &Error{Host: s.name, Kind: KindProxy, Msg: "more than 8 jump hosts in a row: do they name one another?"}
	}
	a, e := d.newAuthenticator(ctx, h, s)
	if e != nil {
		return nil, e
	}
	check := d.newHostKeyCheck(s)
	algorithms, e := check.algorithms()
	if e != nil {
		return nil, e
	}
	if through != "" {
		s.jump, s.proxyCommand = through, ""
	}
	for attempt := 1; ; attempt++ {
		conn, via, e := d.reach(ctx, s, depth)
		if e != nil {
			if attempt < s.attempts && (e.Kind == KindRefused || e.Kind == KindTimeout || e.Kind == KindNoRoute) {
				select {
				case <-ctx.Done():
				case <-time.After(time.Second):
					continue
				}
			}
			return nil, e
		}
		return d.handshake(ctx, h, s, a, check, algorithms, conn, via)
	}
}

// reach opens the way to a server: TCP, a jump host, or a command.
func (d *Dialer) reach(ctx context.Context, s *settings, depth int) (net.Conn, string, *Error) {
	ctx, cancel := context.WithTimeout(ctx, s.connectTimeout)
	defer cancel()
	switch {
	case s.jump != "":
		conn, e := d.throughJump(ctx, s, depth)
		return conn, " through " + s.jump, e
	case s.proxyCommand != "":
		conn, e := startProxy(s)
		return conn, " through the ProxyCommand", e
	}
	nd := net.Dialer{KeepAlive: -1}
	if s.bind != "" {
		ip := net.ParseIP(s.bind)
		if ip == nil {
			return nil, "", &Error{Host: s.name, Kind: KindOption, Msg: "BindAddress " + s.bind + " is no address"}
		}
		nd.LocalAddr = &net.TCPAddr{IP: ip}
	}
	conn, err := nd.DialContext(ctx, s.network, s.addr())
	if err != nil {
		return nil, "", networkError(s.name, s.addr(), err)
	}
	return conn, "", nil
}

// A guard closes a connection when a phase takes too long.
type guard struct {
	mu     sync.Mutex
	conn   io.Closer
	timer  *time.Timer
	phase  string
	limit  time.Duration
	fired  bool
	paused int
}

func (g *guard) enter(phase string, limit time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.phase, g.limit = phase, limit
	g.restart()
}

func (g *guard) restart() {
	if g.timer != nil {
		g.timer.Stop()
	}
	g.timer = time.AfterFunc(g.limit, func() {
		g.mu.Lock()
		if g.paused == 0 {
			g.fired = true
			defer g.conn.Close()
		}
		g.mu.Unlock()
	})
}

// pause stops the clock until what it returns is called.
func (g *guard) pause() func() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.paused++
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.paused--
		if g.timer != nil {
			g.restart()
		}
	}
}

// stop ends the watch and tells where it was, and whether time had run out.
func (g *guard) stop() (phase string, fired bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.timer.Stop()
	g.timer = nil
	g.paused = 1
	return g.phase, g.fired
}

// A spyConn is a connection that knows what came first and when something came last. It
// reads ahead: the version line would otherwise cost a system call for each byte.
type spyConn struct {
	net.Conn
	r      *bufio.Reader
	start  []byte // of what the server said, while that is not known to be its version
	isSSH  atomic.Bool
	heard  atomic.Int64 // when it last said something, as clock tells
	closed sync.Once
	err    error
}

var started = time.Now()

// clock is a time that goes on whatever is done to the system's clock, never 0.
func clock() int64 { return int64(time.Since(started)) + 1 }

func newSpyConn(c net.Conn) *spyConn { return &spyConn{Conn: c, r: bufio.NewReaderSize(c, 4096)} }

func (c *spyConn) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	if n > 0 {
		c.heard.Store(clock())
		if !c.isSSH.Load() && len(c.start) < 1024 {
			c.start = append(c.start, b[:n]...)
			if i := bytes.Index(c.start, []byte("SSH-")); i == 0 || i > 0 && c.start[i-1] == '\n' {
				c.isSSH.Store(true)
			}
		}
	}
	return n, err
}

// Close ends the connection once.
func (c *spyConn) Close() error {
	c.closed.Do(func() { c.err = c.Conn.Close() })
	return c.err
}

// clientVersion is how we introduce ourselves, RFC 4253 section 4.2.
var clientVersion = "SSH-2.0-gosalt_" + strings.Map(func(r rune) rune {
	if r <= ' ' || r > '~' || r == '-' {
		return '_'
	}
	return r
}, version.Gosalt())

// handshake makes an SSH connection of a way to a server.
func (d *Dialer) handshake(ctx context.Context, h Host, s *settings, a *authenticator, check *hostKeyCheck, algorithms []string, raw net.Conn, via string) (*Conn, *Error) {
	spy := newSpyConn(raw)
	g := &guard{conn: spy}
	a.clock = g
	g.enter("version", s.connectTimeout)
	stop := context.AfterFunc(ctx, func() { spy.Close() })
	banner := ""
	cfg := &xssh.ClientConfig{
		Config:            xssh.Config{Ciphers: s.ciphers, MACs: s.macs, KeyExchanges: s.kex},
		User:              s.user,
		ClientVersion:     clientVersion,
		HostKeyAlgorithms: algorithms,
		HostKeyCallback: func(name string, remote net.Addr, key xssh.PublicKey) error {
			// A new key exchange in a running session brings the same key again.
			err := check.check(name, remote, key)
			if err == nil && s.authTimeout > 0 {
				g.mu.Lock()
				if g.timer != nil {
					g.phase, g.limit = "login", s.authTimeout
					g.restart()
				}
				g.mu.Unlock()
			}
			return err
		},
		BannerCallback: func(text string) error {
			if len(banner) < 4096 {
				banner += text
			}
			return nil
		},
		AuthCallback: a.method,
	}
	sc, chans, reqs, err := xssh.NewClientConn(spy, s.addr(), cfg)
	phase, fired := g.stop()
	canceled := !stop()
	a.clock = nil
	if err == nil && canceled {
		sc.Close()
		err = ctx.Err()
	}
	if err != nil {
		spy.Close()
		return nil, d.explain(ctx, s, a, check, spy, err, phase, fired, canceled, via)
	}
	if banner != "" {
		d.log.Debug("ssh banner", "host", s.name, "text", OneLine(banner))
	}
	c := newConn(d, h, s, spy, xssh.NewClient(sc, chans, reqs), check.fingerprint)
	for _, f := range s.forwards {
		if e := c.forward(ctx, f); e != nil {
			c.Close()
			return nil, e
		}
	}
	return c, nil
}

// explain says why a handshake failed.
func (d *Dialer) explain(ctx context.Context, s *settings, a *authenticator, check *hostKeyCheck, spy *spyConn, err error, phase string, fired, canceled bool, via string) *Error {
	e := &Error{Host: s.name, Err: err}
	where := s.hostName + " port " + fmt.Sprint(s.port) + via
	var negotiation *xssh.AlgorithmNegotiationError
	text := OneLine(strings.TrimPrefix(strings.TrimPrefix(err.Error(), "ssh: handshake failed: "), "ssh: "))
	gone := errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || networkError("", "", err).Kind == KindClosed
	proxy, isProxy := spy.Conn.(*proxyConn)
	switch {
	case check.err != nil:
		return check.err
	case canceled && errors.Is(ctx.Err(), context.DeadlineExceeded):
		e.Kind, e.Msg = KindTimeout, "connect to "+where+": time ran out in its "+phaseName(phase)
	case canceled:
		e.Kind, e.Msg = KindCanceled, "connect to "+where+": canceled"
	case fired:
		e.Kind = KindTimeout
		switch {
		case phase == "login":
			e.Msg = fmt.Sprintf("%s@%s: the login took more than %s", s.user, where, s.authTimeout)
			e.Hint = "does PAM or a name server hang there?"
		case !spy.isSSH.Load() && len(spy.start) == 0:
			e.Msg = fmt.Sprintf("%s accepted the connection, and said nothing for %s", where, s.connectTimeout)
			e.Hint = "does sshd hang, or is it another service?"
		case !spy.isSSH.Load():
			e.Kind = KindNotSSH
			e.Msg = fmt.Sprintf("%s is no SSH server: it says %q", where, OneLine(string(spy.start)))
		default:
			e.Msg = fmt.Sprintf("%s: the key exchange took more than %s", where, s.connectTimeout)
		}
	case errors.As(err, &negotiation):
		e.Kind = KindNegotiation
		e.Msg = fmt.Sprintf("%s: no common algorithm for %s: it has %s", where, negotiation.What, strings.Join(negotiation.RequestedAlgorithms, ","))
		e.Hint = "an old server? Allow one of them by ssh_options: " + optionFor(negotiation.What) + "=+…"
	case !spy.isSSH.Load():
		switch first := OneLine(string(spy.start)); {
		case isProxy && proxy.complaint() != "":
			e.Kind, e.Msg = KindProxy, "the ProxyCommand of "+s.hostName+" failed: "+proxy.complaint()
		case first == "" || strings.Contains(first, "MaxStartups"):
			e.Kind = KindClosed
			e.Msg = where + " closed the connection before it said anything"
			e.Hint = "too many logins at once (MaxStartups), or this address is blocked there"
		default:
			e.Kind = KindNotSSH
			e.Msg = fmt.Sprintf("%s is no SSH server: it says %q", where, first)
		}
	case errors.Is(err, errDone) || phase == "login" && (strings.Contains(text, "unable to authenticate") || a.signErr != nil):
		return a.failed("")
	case phase == "login" && strings.Contains(text, "Too many authentication failures"):
		f := a.failed("the server allows no more tries")
		f.Hint = "name the right key with priv: and set identities_only: True"
		return f
	case phase == "login" && gone:
		if len(a.tried) > 0 {
			return a.failed("the server closed the connection")
		}
		e.Kind, e.Msg = KindClosed, where+" closed the connection during the login"
	case gone:
		e.Kind, e.Msg = KindClosed, where+" closed the connection during the key exchange"
	case phase == "login":
		return a.failed(text)
	default:
		e.Kind, e.Msg = KindOther, where+": "+text
	}
	return e
}

func phaseName(phase string) string {
	if phase == "login" {
		return "login"
	}
	return "key exchange"
}

// optionFor is the option that allows another algorithm.
func optionFor(what string) string {
	switch {
	case strings.Contains(what, "host key"):
		return "HostKeyAlgorithms"
	case strings.Contains(what, "cipher"):
		return "Ciphers"
	case strings.Contains(strings.ToLower(what), "mac"):
		return "MACs"
	}
	return "KexAlgorithms"
}
