package master

import (
	"net/netip"

	"github.com/gosalt/gosalt/protocol/transport"
)

// noPeer stands for the connection of a request that came through a session of SSH,
// whose limits are those of the session.
type noPeer struct{}

var _ transport.Peer = noPeer{}

// ID implements transport.Peer.
func (noPeer) ID() uint64 { return 0 }

// Addr implements transport.Peer.
func (noPeer) Addr() netip.AddrPort { return netip.AddrPort{} }

// Authenticate implements transport.Peer.
func (noPeer) Authenticate() {}

// Kick implements transport.Peer.
func (noPeer) Kick(string) {}
