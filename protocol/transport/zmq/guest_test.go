package zmq

import (
	"net/netip"
	"strings"
	"testing"
)

// A Salt minion whose master was restarted sends its result on a new connection, and
// that may be a large one. A few such frames are let in, and no more.
func TestGuests(t *testing.T) {
	r, _ := testRouter(t, Options{Guest: func(a netip.Addr) bool { return a.IsLoopback() }}, echo{})
	big := request(strings.Repeat("x", 1<<20))
	var open []raw
	for range maxGuests {
		c := shaken(t, r.Addr(), "REQ")
		c.put(big[:1000])
		open = append(open, c)
	}
	poll(t, "both guests", func() bool {
		if r.srv.env.guests.TryAcquire(1) {
			r.srv.env.guests.Release(1)
			return false
		}
		return true
	})
	third := shaken(t, r.Addr(), "REQ")
	third.put(big[:1000])
	third.closed()
	for _, c := range open {
		c.put(big[1000:])
		c.get(len(big))
	}
	again := shaken(t, r.Addr(), "REQ")
	again.put(big)
	again.get(len(big))
	healthy(t, r)
}

func TestNoGuestsByDefault(t *testing.T) {
	r, _ := testRouter(t, Options{}, echo{})
	c := shaken(t, r.Addr(), "REQ")
	c.put(request(strings.Repeat("x", 65<<10)))
	c.closed()
	healthy(t, r)
}
