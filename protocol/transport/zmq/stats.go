package zmq

import "sync/atomic"

// Stats counts what happened on a port since it was made. Open and Unauthenticated are
// the numbers at this moment.
type Stats struct {
	Accepted        int64 // connections let in
	Refused         int64 // connections closed at once, a limit being reached
	BadHandshakes   int64 // greeting or READY wrong, incomplete or too late
	BadFrames       int64 // connections closed for a frame that is not allowed
	Timeouts        int64 // no first request, a request not completed, idle unauthenticated
	Dead            int64 // PINGs not answered
	Overflows       int64 // queue of a peer full
	Stalled         int64 // peer took nothing of its queue
	Evicted         int64 // idle connections closed to regain descriptors
	Kicked          int64 // closed by Peer.Kick, or a subscription refused
	Panics          int64 // caught in a handler or a connection
	Requests        int64 // complete requests received
	Published       int64 // calls of Publish
	Delivered       int64 // messages handed to connections by them
	PingsReceived   int64
	PingsSent       int64
	Open            int64
	Unauthenticated int64
}

type counters struct {
	accepted, refused, badHandshakes, badFrames, timeouts, dead, overflows, stalled,
	evicted, kicked, panics, requests, published, delivered, pingsReceived, pingsSent atomic.Int64
}

func (c *counters) snapshot() Stats {
	return Stats{
		Accepted: c.accepted.Load(), Refused: c.refused.Load(), BadHandshakes: c.badHandshakes.Load(),
		BadFrames: c.badFrames.Load(), Timeouts: c.timeouts.Load(), Dead: c.dead.Load(),
		Overflows: c.overflows.Load(), Stalled: c.stalled.Load(), Evicted: c.evicted.Load(),
		Kicked: c.kicked.Load(), Panics: c.panics.Load(), Requests: c.requests.Load(),
		Published: c.published.Load(), Delivered: c.delivered.Load(),
		PingsReceived: c.pingsReceived.Load(), PingsSent: c.pingsSent.Load(),
	}
}
