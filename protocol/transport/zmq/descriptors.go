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

	mu      sync.Mutex // guards what follows
	reliefs map[*Router]struct{}
	freed   int // by eviction and not yet made up for: the system frees them in its time
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

// enter reports whether a new connection with this descriptor may stay, which may cost
// idle ones their lives.
func (d *Descriptors) enter(fd int) bool {
	short := d.limit > 0 && fd >= d.limit-d.reserve
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.freed > 0:
		d.freed--
		return true
	case !short:
		return true
	}
	d.relieveLocked()
	if d.freed == 0 {
		return false
	}
	d.freed--
	return true
}

// relieve makes the routers close idle connections.
func (d *Descriptors) relieve() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.relieveLocked()
}

func (d *Descriptors) relieveLocked() {
	for r := range d.reliefs {
		d.freed += r.EvictIdle(evictBatch)
	}
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
