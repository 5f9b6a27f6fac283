package zmq

import (
	"log/slog"
	"net/netip"
	"time"
)

// Options are the limits of a listening port. A zero field takes the default named with it.
type Options struct {
	// Log is told of connections that were closed for a reason. nil is silent.
	Log *slog.Logger

	// MaxFrame is the largest frame in bytes from an authenticated peer. 128 MiB: a
	// return of 100 MB is one frame.
	MaxFrame int
	// MaxFrameUnauth is the same for a peer not authenticated yet. 64 KiB: an _auth
	// request with a 16,384 bit key is 6 KB.
	MaxFrameUnauth int
	// Guest says whether a peer of this address may send one frame of up to MaxFrame
	// before it has authenticated: a Salt minion that lost its master sends a large
	// result as the first message of its new connection. Two peers at a time may. nil
	// lets nobody.
	Guest func(netip.Addr) bool
	// MaxBytes bounds the sum over all peers of the frames above 64 KiB that are being
	// received or handled, and, apart from that, of the answers that wait for their
	// peers. 512 MiB; never less than MaxFrame.
	MaxBytes int64
	// MaxQueue is how many bytes may wait for one peer before it is closed; a single
	// message may be larger when nothing waits before it. 4 MiB.
	MaxQueue int
	// MaxSubscriptions bounds the topics of one subscriber. 64.
	MaxSubscriptions int

	// MaxConns is the number of connections of this port. 15,000: 10,000 minions,
	// their short-lived second connections, and some that are half closed.
	MaxConns int
	// MaxUnauth is how many of them may be unauthenticated. 1,024.
	MaxUnauth int
	// MaxUnauthPerAddr is how many of those may come from one address (for IPv6 from
	// one /64, which is what one customer gets). 64.
	MaxUnauthPerAddr int
	// Trusted says how many connections from an address are welcome beside the
	// unauthenticated ones, because minions there are known: real Salt minions never
	// authenticate their connection to the publisher port. It is called for every
	// connection, from one goroutine, and must not block. nil trusts nobody.
	Trusted func(netip.Addr) int
	// Descriptors is shared by the ports of a process, so that one short of
	// descriptors can make another give up idle connections. nil: this port alone.
	Descriptors *Descriptors

	// HandshakeTimeout bounds the time from accept to a complete READY. 5s.
	HandshakeTimeout time.Duration
	// FirstTimeout bounds the time from then to the first request or subscription. 10s.
	FirstTimeout time.Duration
	// ReadTimeout bounds the time from the first to the last byte of a message. Each
	// MinRate bytes that came in earn a second more. 30s.
	ReadTimeout time.Duration
	// MinRate is the least speed, in bytes a second, of those who need longer than
	// ReadTimeout or StallTimeout. 64 KiB.
	MinRate int
	// StallTimeout is how long a peer may take no byte of what waits for it. 15s.
	StallTimeout time.Duration
	// UnauthIdle is how long a peer that made requests without authenticating may be
	// silent. 60s.
	UnauthIdle time.Duration
	// EvictIdle is how long a connection must have been idle to be closed for its
	// descriptor. 1s: below it, its next request may be under way.
	EvictIdle time.Duration
	// Ping is how long a ZMTP 3.1 peer may be silent before it is asked with a PING,
	// and between PINGs. 15s, negative for never.
	Ping time.Duration
	// PingMisses is after how many times Ping of silence a peer counts as dead. 3.
	PingMisses int
	// UserTimeout is how long sent data may stay unacknowledged by the peer's kernel
	// (TCP_USER_TIMEOUT; Linux only). 20s.
	UserTimeout time.Duration
}

func or[T int | int64 | time.Duration](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	or(&o.MaxFrame, 128<<20)
	or(&o.MaxFrameUnauth, smallFrame)
	or(&o.MaxBytes, 512<<20)
	o.MaxBytes = max(o.MaxBytes, int64(o.MaxFrame))
	or(&o.MaxQueue, 4<<20)
	or(&o.MaxSubscriptions, 64)
	or(&o.MaxConns, 15000)
	or(&o.MaxUnauth, 1024)
	or(&o.MaxUnauthPerAddr, 64)
	if o.Trusted == nil {
		o.Trusted = func(netip.Addr) int { return 0 }
	}
	if o.Descriptors == nil {
		o.Descriptors = NewDescriptors(0, 0)
	}
	or(&o.HandshakeTimeout, 5*time.Second)
	or(&o.FirstTimeout, 10*time.Second)
	or(&o.ReadTimeout, 30*time.Second)
	or(&o.MinRate, 64<<10)
	or(&o.StallTimeout, 15*time.Second)
	or(&o.UnauthIdle, time.Minute)
	or(&o.EvictIdle, time.Second)
	or(&o.Ping, 15*time.Second)
	or(&o.PingMisses, 3)
	or(&o.UserTimeout, 20*time.Second)
	return o
}

// sweepEvery is how often the time limits are looked at: fine enough for the shortest,
// those named and the two that all connections have.
func (o *Options) sweepEvery(limits ...time.Duration) time.Duration {
	d := o.ReadTimeout
	for _, t := range append(limits, o.Ping) {
		if t > 0 {
			d = min(d, t)
		}
	}
	return max(d/4, time.Millisecond)
}
