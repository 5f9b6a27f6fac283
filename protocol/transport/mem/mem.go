// Package mem is the transport inside one process: the same contract as package zmq,
// without ports, for tests with a master and many minions.
//
// A Network takes the place of the network. Its ports are found by name.
package mem

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/gosalt/gosalt/protocol/transport"
)

// DefaultQueue is how many publications may wait for a subscriber before it is closed.
const DefaultQueue = 1000

// Network joins ports and dialers. Its methods may be called concurrently.
type Network struct {
	ids atomic.Uint64

	mu    sync.Mutex
	ports map[string]any // *Requests or *Publisher, while open
}

// New makes a network without ports.
func New() *Network { return &Network{ports: map[string]any{}} }

// Addr is the name of a port.
type Addr string

// Network implements net.Addr.
func (Addr) Network() string { return "mem" }

// String implements net.Addr.
func (a Addr) String() string { return string(a) }

var _ net.Addr = Addr("")

func (n *Network) open(addr string, port any) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ports[addr] != nil {
		return fmt.Errorf("listen on %q: the name is in use", addr)
	}
	n.ports[addr] = port
	return nil
}

func (n *Network) shut(addr string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.ports, addr)
}

// find returns the port of a name, nil if none of this kind is open.
func find[P any](n *Network, addr string) (p P, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p, ok := n.ports[addr].(P)
	if !ok {
		return p, fmt.Errorf("dial %q: connection refused, nothing of this kind listens there", addr)
	}
	return p, nil
}

// peer is one connection, and both of its ends.
type peer struct {
	id            uint64
	authenticated atomic.Bool
	ctx           context.Context // ends with the connection, the cause says why
	end           context.CancelCauseFunc
}

func (n *Network) peer() *peer {
	p := &peer{id: n.ids.Add(1)}
	p.ctx, p.end = context.WithCancelCause(context.Background())
	return p
}

// ID implements transport.Peer.
func (p *peer) ID() uint64 { return p.id }

// Addr implements transport.Peer: there is none in memory.
func (p *peer) Addr() netip.AddrPort { return netip.AddrPort{} }

// Authenticate implements transport.Peer.
func (p *peer) Authenticate() { p.authenticated.Store(true) }

// Kick implements transport.Peer.
func (p *peer) Kick(why string) { p.end(fmt.Errorf("%w: kicked: %s", transport.ErrClosed, why)) }

// Dialer returns the minion's side of the network.
func (n *Network) Dialer() *Dialer { return &Dialer{n} }

// Dialer makes connections to the ports of a network.
type Dialer struct{ n *Network }

var _ transport.Dialer = (*Dialer)(nil)
