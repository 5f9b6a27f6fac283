package zmq

import "sync"

// Descriptors keeps some of the process's file descriptors free for its other work: the
// command line, files, databases. The ports of a process share one, so that where one
// runs short another gives up idle connections.
//
// A system hands out the lowest free number, so a connection whose descriptor is near
// the limit tells that nearly all below it are taken; nothing has to be counted.
type Descriptors struct {
	limit, reserve int

	mu      sync.Mutex
	reliefs map[*Router]struct{}
}

// NewDescriptors keeps reserve of limit descriptors free. A zero limit stands for the
// process's own (RLIMIT_NOFILE), a zero reserve for 128, or an eighth of a small limit.
func NewDescriptors(limit, reserve int) *Descriptors {
	if limit == 0 {
		limit = descriptorLimit()
	}
	if reserve == 0 {
		reserve = min(128, limit/8)
	}
	return &Descriptors{limit: limit, reserve: reserve, reliefs: map[*Router]struct{}{}}
}

// Limit is the number of descriptors the process may have, 0 where that is not known.
func (d *Descriptors) Limit() int { return d.limit }

// short reports whether a connection with this descriptor takes one of the reserve.
func (d *Descriptors) short(fd int) bool { return d.limit > 0 && fd >= d.limit-d.reserve }

// relieve makes the routers close idle connections, and says whether one did.
func (d *Descriptors) relieve() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	for r := range d.reliefs {
		n += r.EvictIdle(evictBatch)
	}
	return n > 0
}

func (d *Descriptors) add(r *Router) {
	d.mu.Lock()
	d.reliefs[r] = struct{}{}
	d.mu.Unlock()
}

func (d *Descriptors) remove(r *Router) {
	d.mu.Lock()
	delete(d.reliefs, r)
	d.mu.Unlock()
}
