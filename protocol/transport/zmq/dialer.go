package zmq

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/gosalt/gosalt/protocol/transport"
)

// DialOptions are a Dialer's settings. A zero field takes the default named with it.
type DialOptions struct {
	// Log is told of a caught panic, with its stack. What ends a connection is told to
	// who uses it. nil is silent.
	Log *slog.Logger
	// Source is the local address that connections come from; the zero value leaves it
	// to the system. Only addresses of its family are tried then.
	Source netip.Addr
	// Resolver looks names up. nil for the system's.
	Resolver *net.Resolver
	// Timeout bounds connecting and handshake with one address of a name. 5s.
	Timeout time.Duration
	// MaxFrame is the largest answer or publication in bytes. 128 MiB.
	MaxFrame int
	// MaxBytes bounds the sum of the large publications received and not yet asked
	// for, and of what waits to be sent. 256 MiB; never less than MaxFrame.
	MaxBytes int64
	// ReadTimeout, MinRate and StallTimeout are as in Options. 30s, 64 KiB/s, 15s.
	ReadTimeout  time.Duration
	MinRate      int
	StallTimeout time.Duration
	// Ping and PingMisses are as in Options. 15s, 3.
	Ping       time.Duration
	PingMisses int
	// UserTimeout is as in Options. 20s.
	UserTimeout time.Duration
}

// Dialer makes a minion's connections.
type Dialer struct {
	env      *env
	source   netip.Addr
	resolver *net.Resolver
	timeout  time.Duration
}

var _ transport.Dialer = (*Dialer)(nil)

// NewDialer makes a Dialer; it may be used concurrently.
func NewDialer(o DialOptions) *Dialer {
	or(&o.Timeout, 5*time.Second)
	or(&o.MaxFrame, 128<<20)
	or(&o.MaxBytes, 256<<20)
	if o.Resolver == nil {
		o.Resolver = net.DefaultResolver
	}
	return &Dialer{
		env: newEnv(Options{
			Log: o.Log, MaxFrame: o.MaxFrame, MaxBytes: o.MaxBytes, ReadTimeout: o.ReadTimeout,
			MinRate: o.MinRate, StallTimeout: o.StallTimeout, Ping: o.Ping, PingMisses: o.PingMisses,
			UserTimeout: o.UserTimeout,
		}),
		source: o.Source.Unmap(), resolver: o.Resolver, timeout: o.Timeout,
	}
}

// Stats are the counters of all connections made.
func (d *Dialer) Stats() Stats { return d.env.stats.snapshot() }

// Requester returns a connection to a request port, made when it is first needed.
func (d *Dialer) Requester(addr string) transport.Requester {
	r := &requester{d: d, addr: addr, turn: make(chan struct{}, 1)}
	r.closed, r.close = context.WithCancel(context.Background())
	return r
}

// Subscribe connects to a publisher port and subscribes to the topics.
func (d *Dialer) Subscribe(ctx context.Context, addr string, topics ...string) (transport.Subscription, error) {
	c, err := d.dial(ctx, addr, roleSub)
	if err != nil {
		return nil, err
	}
	s := &subscription{c: c, in: make(chan publication, 64)}
	c.launch(s.read)
	for _, t := range topics {
		// As a message: a peer of either version, 3.0 or 3.1, takes it.
		if err := c.sendMsg(append([]byte{1}, t...)); err != nil {
			s.Close()
			return nil, fmt.Errorf("subscribe at %s: %w", addr, err)
		}
	}
	return s, nil
}

// dial resolves the name afresh and tries each of its addresses until one has finished
// the handshake.
func (d *Dialer) dial(ctx context.Context, addr string, r role) (*conn, error) {
	host, portName, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("dial %q: want host:port: %w", addr, err)
	}
	port, err := strconv.ParseUint(portName, 10, 16)
	if err != nil || port == 0 {
		return nil, fmt.Errorf("dial %q: want a port from 1 to 65535, got %q", addr, portName)
	}
	network := "ip"
	switch {
	case d.source.Is4():
		network = "ip4"
	case d.source.Is6():
		network = "ip6"
	}
	ips, err := d.resolver.LookupNetIP(ctx, network, host)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", addr, err)
	}
	var errs []error
	for _, ip := range ips {
		c, err := d.dialOne(ctx, netip.AddrPortFrom(ip.Unmap(), uint16(port)), r)
		if err == nil {
			return c, nil
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(errs...)
}

func (d *Dialer) dialOne(ctx context.Context, ap netip.AddrPort, r role) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	nd := net.Dialer{KeepAliveConfig: keepAlive, Control: control(d.env.o.UserTimeout)}
	if d.source.IsValid() {
		nd.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(d.source, 0))
	}
	nc, err := nd.DialContext(ctx, "tcp", ap.String())
	if err != nil {
		return nil, err
	}
	c := newConn(d.env, nc, r)
	c.authenticated.Store(true)
	if t, ok := ctx.Deadline(); ok {
		nc.SetDeadline(t)
	}
	stop := context.AfterFunc(ctx, func() { c.fail(nil, context.Cause(ctx)) })
	err = c.shake()
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		d.env.stats.badHandshakes.Add(1)
		c.Close()
		return nil, fmt.Errorf("dial %s: handshake: %w", ap, err)
	}
	nc.SetDeadline(time.Time{})
	d.env.stats.accepted.Add(1)
	return c, nil
}

// launch starts a dialed connection's reader, and the one who looks at the clock for it.
// Both have ended, and all writing, when shut returns.
func (c *conn) launch(read func()) {
	done := make(chan struct{})
	c.wg.Go(func() {
		defer close(done)
		defer c.Close()
		defer c.recovered()
		read()
	})
	c.wg.Go(func() {
		tick := time.NewTicker(c.env.o.sweepEvery())
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				c.look()
			}
		}
	})
}

// shut closes the connection and waits for what works on it.
func (c *conn) shut() {
	c.Close()
	c.wg.Wait()
}
