// Package transport carries message bodies between masters and minions. It knows
// connections, frames and limits, and nothing of what the bodies say.
//
// Package zmq speaks ZeroMQ over TCP, package mem joins both ends inside one
// process for tests, and package transporttest holds the suite that both pass.
package transport

import (
	"context"
	"errors"
	"net"
	"net/netip"
)

// ErrClosed is returned by what was closed, by either side.
var ErrClosed = errors.New("connection closed")

// Peer is one connection to a listening port. Its methods may be called concurrently.
type Peer interface {
	// ID is unique among all connections of this process's life.
	ID() uint64
	// Addr is the peer's address; the zero value in memory.
	Addr() netip.AddrPort
	// Authenticate raises the peer's limits to those of a known minion, and stops
	// counting it among the unauthenticated connections of its address.
	Authenticate()
	// Kick closes the connection; why goes to the log.
	Kick(why string)
}

// Reserver is a Peer whose port bounds the memory of large answers. A handler that is
// about to make one asks for room first, and waits for it; the room is given back when
// the answer has been sent, or the connection has ended. An answer for which room was
// reserved is not read any more when the connection's next request is handled.
type Reserver interface {
	// Reserve waits until an answer of n bytes may be made. It is called by the request's
	// handler, at most once for a request.
	Reserve(ctx context.Context, n int) error
}

// Handler answers the requests that reach a Requests port.
type Handler interface {
	// Request answers one message. It is called in the goroutine of its connection,
	// one at a time for a connection and concurrently for different ones. body is
	// the handler's to keep. A nil answer closes the connection without one; any other
	// may still be read after the return and must not change any more. ctx ends with
	// the connection. A panic is caught, counted and answered with nil.
	Request(ctx context.Context, p Peer, body []byte) []byte
	// Gone is called once for each connection that made a request, after its last.
	// evicted is true where the port itself dropped an idle connection to regain
	// descriptors: that says nothing about the peer.
	Gone(p Peer, evicted bool)
}

// Requests is a listening port that answers requests (Salt's ret_port, 4506).
type Requests interface {
	// Serve answers until ctx ends, then closes everything and waits for it.
	Serve(ctx context.Context, h Handler) error
	Addr() net.Addr
}

// Subscribers is told of what happens on a Publisher port.
type Subscribers interface {
	// Subscribed is called for each subscription, before anything published
	// afterwards reaches the peer. False refuses it and closes the connection.
	Subscribed(p Peer, topic []byte) bool
	// Gone is called once for each connection that subscribed to something.
	Gone(p Peer)
}

// Publisher is a listening port that sends messages to all its subscribers (Salt's
// publish_port, 4505).
type Publisher interface {
	// Serve accepts subscribers until ctx ends, then closes everything and waits for it.
	Serve(ctx context.Context, s Subscribers) error
	// Publish sends one message of these frames to every connection that has a
	// subscription matching the first frame, and for which to (where not nil)
	// answers true. It never blocks on a peer: one whose queue overflows is closed.
	// to is called in the caller's goroutine and must not publish itself. frames may be changed afterwards.
	// It returns to how many connections the message went.
	Publish(frames [][]byte, to func(Peer) bool) int
	Addr() net.Addr
}

// Requester is the minion's side of a Requests port: one connection, made when it
// is first needed and made anew after a failure. Its methods may be called
// concurrently; requests wait for each other.
type Requester interface {
	// Do sends a body and waits for the answer until ctx ends. After any error the
	// connection is dropped, so that a late answer is never taken for another's.
	Do(ctx context.Context, body []byte) ([]byte, error)
	// Close drops the connection and fails what waits.
	Close() error
}

// Subscription is the minion's side of a Publisher port: one connection. It is not
// made anew by itself; after an error its owner dials again, when it sees fit.
type Subscription interface {
	// Recv waits for the next message until ctx ends or the connection is lost.
	Recv(ctx context.Context) ([][]byte, error)
	Close() error
}

// Dialer makes the minion's connections.
type Dialer interface {
	// Requester returns a connection to a request port, not yet made.
	Requester(addr string) Requester
	// Subscribe connects, finishes the handshake and subscribes to the topics.
	Subscribe(ctx context.Context, addr string, topics ...string) (Subscription, error)
}
