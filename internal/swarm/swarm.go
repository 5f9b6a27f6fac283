// Package swarm plays many minions in one process, with the real protocol over real
// sockets: each has its own id, signs in, subscribes, checks what is published and
// returns canned results. Since the protocol is Salt's, it can load a real
// salt-master just as well.
//
// Start with New and Swarm.Run (this file). One minion's life is in member.go, what it
// says to the master in talk.go, what it answers to a job in functions.go, its key
// pair in keys.go. The program cmd/swarm spreads a swarm over processes, as one process
// seldom may have the descriptors for more than some thousand minions.
//
// A swarm saves where a machine of its own would not have to: key pairs are shared
// by many minions, no more than Config.Parallel minions connect at the same time,
// and nothing is kept on the disk. All bytes on the wire are as a minion's.
package swarm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gosalt/gosalt/protocol/seal"
	"github.com/gosalt/gosalt/protocol/transport"
	"github.com/gosalt/gosalt/protocol/transport/zmq"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Config says how many minions there are and where their master is. A zero field
// takes the default named with it.
type Config struct {
	// Prefix and the number of a minion, with five digits at least, make its id.
	// "swarm-", as in swarm-00042.
	Prefix string
	// First is the number of the first minion, Count how many there are.
	First, Count int

	// Master is the master's host, RetPort its port for requests. 127.0.0.1, 4506.
	Master  string
	RetPort int
	// PublishPort is where to subscribe. Where the master says.
	PublishPort int

	// Keys are shared by the minions in turn; at least one.
	Keys []*seal.PrivateKey
	// Salt makes them speak plain Salt, without gosalt's additions to the protocol.
	Salt bool
	// Filtering subscribes to the topics of zmq_filtering.
	Filtering bool
	// Share checks and reads each publish once for all minions of the process. Off,
	// each minion does that for itself, as it would on a machine of its own.
	Share bool

	// Sources is from how many loopback addresses (127.0.1.0 on) the minions connect, as
	// a master bounds what one address may do. Count/50; not used for a master
	// that is elsewhere.
	Sources int
	// Parallel is how many minions may be signing in or subscribing at the same time. 64.
	Parallel int
	// ReconMin and ReconMax bound the wait before a lost connection is made again: the
	// first wait is up to ReconMin, each further up to twice as long. 1s, 30s.
	ReconMin, ReconMax time.Duration
	// Timeout bounds a sign-in and the wait for an answer. 60s.
	Timeout time.Duration

	// Log is told why connections failed, at level debug. nil is silent.
	Log *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.Prefix == "" {
		c.Prefix = "swarm-"
	}
	if c.Master == "" {
		c.Master = "127.0.0.1"
	}
	if c.RetPort == 0 {
		c.RetPort = 4506
	}
	if c.Sources == 0 {
		c.Sources = max(1, c.Count/50)
	}
	if c.Parallel == 0 {
		c.Parallel = 64
	}
	if c.ReconMin == 0 {
		c.ReconMin = time.Second
	}
	if c.ReconMax == 0 {
		c.ReconMax = 30 * time.Second
	}
	if c.Timeout == 0 {
		c.Timeout = time.Minute
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// ID is the id of the minion with this number.
func (c Config) ID(n int) wire.MinionID {
	if c.Prefix == "" {
		c.Prefix = "swarm-"
	}
	return wire.MinionID(fmt.Sprintf("%s%05d", c.Prefix, n))
}

// Stats counts what a swarm has done so far.
type Stats struct {
	Minions   int64 // there are
	Connected int64 // receive jobs now
	Waiting   int64 // were told that their key waits to be accepted, or is rejected
	SignIns   int64 // that succeeded
	Publishes int64 // received and found genuine, by all minions
	Returns   int64 // taken by the master
	Lost      int64 // connections that ended
	Failures  int64 // attempts to connect, or to return, that did not succeed
	Refused   int64 // publishes that were not genuine
	LastError string
}

// Add adds the counts of another swarm.
func (s *Stats) Add(o Stats) {
	s.Minions += o.Minions
	s.Connected += o.Connected
	s.Waiting += o.Waiting
	s.SignIns += o.SignIns
	s.Publishes += o.Publishes
	s.Returns += o.Returns
	s.Lost += o.Lost
	s.Failures += o.Failures
	s.Refused += o.Refused
	if o.LastError != "" {
		s.LastError = o.LastError
	}
}

// Swarm is a number of minions.
type Swarm struct {
	cfg     Config
	dialers []transport.Dialer
	members []*member
	slots   chan struct{} // holds a token for each minion that is connecting
	opened  openings

	connected, waiting, signIns, publishes, returns, lost, failures, refused atomic.Int64
	lastError                                                                atomic.Pointer[string]
}

// New makes a swarm. Nothing is connected before Run.
func New(cfg Config) (*Swarm, error) {
	cfg = cfg.withDefaults()
	if cfg.Count < 1 {
		return nil, fmt.Errorf("swarm of %d minions: at least 1 expected", cfg.Count)
	}
	if len(cfg.Keys) == 0 {
		return nil, errors.New("swarm without a key pair: at least 1 expected, see Keys")
	}
	if _, err := wire.ParseMinionID(string(cfg.ID(cfg.First + cfg.Count - 1))); err != nil {
		return nil, fmt.Errorf("swarm: prefix %q: %w", cfg.Prefix, err)
	}
	s := &Swarm{cfg: cfg, slots: make(chan struct{}, cfg.Parallel)}
	for _, source := range cfg.sources() {
		s.dialers = append(s.dialers, zmq.NewDialer(zmq.DialOptions{Source: source, Timeout: 20 * time.Second}))
	}
	for i := range cfg.Count {
		n := cfg.First + i
		s.members = append(s.members, newMember(s, cfg.ID(n), KeyOf(cfg.Keys, n), s.dialers[i%len(s.dialers)]))
	}
	return s, nil
}

// sources are the addresses to connect from. Other processes of a big swarm use the
// same ones: a loopback address has 28,000 ports, and a source is used by tens.
func (c Config) sources() []netip.Addr {
	a, err := netip.ParseAddr(c.Master)
	if err != nil || !a.Is4() || !a.IsLoopback() || c.Sources < 2 {
		return []netip.Addr{{}}
	}
	list := make([]netip.Addr, min(c.Sources, 250*250))
	for i := range list {
		n := c.First/50 + i // so that several processes use different ones
		list[i] = netip.AddrFrom4([4]byte{127, 0, byte(1 + n/250%250), byte(1 + n%250)})
	}
	return list
}

// Stats says what happened so far.
func (s *Swarm) Stats() Stats {
	st := Stats{Minions: int64(len(s.members)), Connected: s.connected.Load(), Waiting: s.waiting.Load(), SignIns: s.signIns.Load(),
		Publishes: s.publishes.Load(), Returns: s.returns.Load(), Lost: s.lost.Load(), Failures: s.failures.Load(), Refused: s.refused.Load()}
	if e := s.lastError.Load(); e != nil {
		st.LastError = *e
	}
	return st
}

// Run plays the minions until ctx ends. It may be called once.
func (s *Swarm) Run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, m := range s.members {
		wg.Go(func() { m.run(ctx) })
	}
}

// failed counts a failure and keeps its text.
func (s *Swarm) failed(id wire.MinionID, err error) {
	s.failures.Add(1)
	text := fmt.Sprintf("%s: %v", id, err)
	s.lastError.Store(&text)
	s.cfg.Log.Debug("failed", "minion", id, "error", err)
}

// enter waits until the minion may connect; leave lets the next one do so.
func (s *Swarm) enter(ctx context.Context) error {
	select {
	case s.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Swarm) leave() { <-s.slots }

// requestAddr is the master's request port, publishAddr its publish port.
func (s *Swarm) requestAddr() string {
	return net.JoinHostPort(s.cfg.Master, strconv.Itoa(s.cfg.RetPort))
}

func (s *Swarm) publishAddr(told int) string {
	if s.cfg.PublishPort != 0 {
		told = s.cfg.PublishPort
	}
	return net.JoinHostPort(s.cfg.Master, strconv.Itoa(told))
}
