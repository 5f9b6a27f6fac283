package master

import (
	"net/netip"
	"sync"
	"time"

	"github.com/gosalt/gosalt/protocol/wire"
)

// presence knows which minions are connected. A real Salt minion counts as
// connected while a request connection is open on which it has proved who it is
// (it keeps one for returns); a gosalt minion while its subscription is open, which
// carries its name under its session key.
type presence struct {
	mu      sync.Mutex
	minions map[wire.MinionID]*minionPresence
	byAddr  map[netip.Addr]int // minions whose last request came from there
	started time.Time
	grace   time.Duration // after the start, silence says nothing yet
	changed func(id wire.MinionID, connected bool)
}

type minionPresence struct {
	gosalt  bool // speaks gosalt's additions to the protocol
	version int64
	reqs    int  // request connections on which it is authenticated
	subs    int  // subscriptions bound to it
	parked  bool // its last request connection was closed by us to regain descriptors
	since   time.Time
	lost    time.Time
	seen    time.Time
	addr    netip.Addr
	running map[wire.JobID]time.Time // last time it said that it runs this job
}

func (p *minionPresence) connected() bool {
	if p.gosalt {
		return p.subs > 0
	}
	return p.reqs > 0 || p.parked
}

// Contact is what presence says of one minion.
type Contact struct {
	Gosalt    bool
	Version   int64 // wire.Version of a gosalt minion
	Connected bool
	Known     bool      // has been connected to this master process
	Settling  bool      // the master has just started: absence proves nothing
	Since     time.Time // of the connection, where Connected
	Lost      time.Time // end of the last connection, where not
	Seen      time.Time // last message that it authenticated
}

// asksFirst tells whether it is a minion that asks before it runs a job which says so.
func (c Contact) asksFirst() bool { return c.Version >= wire.VersionTake }

// lostGrace is how long a minion whose connection has just ended is still counted
// on: it is coming back, and a job made now reaches it then.
const lostGrace = 20 * time.Second

func newPresence(grace time.Duration, changed func(wire.MinionID, bool)) *presence {
	return &presence{minions: map[wire.MinionID]*minionPresence{}, byAddr: map[netip.Addr]int{}, started: time.Now(), grace: grace, changed: changed}
}

// remember tells of a connection that an earlier master process saw.
func (p *presence) remember(id wire.MinionID, gosalt bool, seen time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.minions[id] == nil {
		p.minions[id] = &minionPresence{gosalt: gosalt, seen: seen, lost: seen}
	}
}

func (p *presence) update(id wire.MinionID, f func(*minionPresence)) {
	p.mu.Lock()
	m := p.minions[id]
	if m == nil {
		m = &minionPresence{}
		p.minions[id] = m
	}
	was := m.connected()
	f(m)
	now := m.connected()
	if now && !was {
		m.since = time.Now()
	}
	if was && !now {
		m.lost = time.Now()
	}
	p.mu.Unlock()
	if was != now && p.changed != nil {
		p.changed(id, now)
	}
}

// authenticated notes a message proved to be from id; first is true for the first
// one on its connection.
func (p *presence) authenticated(id wire.MinionID, addr netip.Addr, version int64, first bool) {
	p.update(id, func(m *minionPresence) {
		m.seen = time.Now()
		m.gosalt, m.version = version > 0, version
		if m.addr != addr {
			if p.byAddr[m.addr]--; p.byAddr[m.addr] <= 0 {
				delete(p.byAddr, m.addr)
			}
			m.addr = addr
			p.byAddr[addr]++
		}
		if first {
			m.reqs++
			m.parked = false
		}
	})
}

func (p *presence) requestGone(id wire.MinionID, evicted bool) {
	p.update(id, func(m *minionPresence) {
		m.reqs--
		m.parked = evicted && m.reqs == 0
	})
}

func (p *presence) subscribed(id wire.MinionID) {
	p.update(id, func(m *minionPresence) { m.gosalt = true; m.subs++; m.seen = time.Now() })
}

func (p *presence) subscriptionGone(id wire.MinionID) {
	p.update(id, func(m *minionPresence) { m.subs-- })
}

// alive notes which jobs a minion says that it runs.
func (p *presence) alive(id wire.MinionID, running []wire.JobID) {
	now := time.Now()
	p.update(id, func(m *minionPresence) {
		m.seen = now
		m.running = make(map[wire.JobID]time.Time, len(running))
		for _, j := range running {
			m.running[j] = now
		}
	})
}

// forget drops what is known of a minion whose key was deleted; what is still
// connected is counted out as it goes.
func (p *presence) forget(id wire.MinionID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if m := p.minions[id]; m != nil && m.reqs <= 0 && m.subs <= 0 {
		delete(p.minions, id)
	}
}

func (p *presence) contact(id wire.MinionID) Contact {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := Contact{Settling: time.Since(p.started) < p.grace}
	m := p.minions[id]
	if m == nil {
		return c
	}
	c.Known, c.Gosalt, c.Version, c.Connected = true, m.gosalt, m.version, m.connected()
	c.Since, c.Lost, c.Seen = m.since, m.lost, m.seen
	return c
}

// saysRunning tells when a minion last said that it runs a job.
func (p *presence) saysRunning(id wire.MinionID, jid wire.JobID) (time.Time, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if m := p.minions[id]; m != nil {
		t, ok := m.running[jid]
		return t, ok
	}
	return time.Time{}, false
}

// expected tells whether a job made now can be counted on to reach the minion.
func (p *presence) expected(id wire.MinionID) bool {
	c := p.contact(id)
	return c.Connected || c.Settling || c.Known && time.Since(c.Lost) < lostGrace
}

// isConnected tells whether a minion is connected now.
func (p *presence) isConnected(id wire.MinionID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.minions[id]
	return m != nil && m.connected()
}

// connectedIDs is the set of minions that are connected now.
func (p *presence) connectedIDs() map[wire.MinionID]bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	ids := make(map[wire.MinionID]bool, len(p.minions))
	for id, m := range p.minions {
		if m.connected() {
			ids[id] = true
		}
	}
	return ids
}

// trusted is how many connections from an address are welcome although nothing
// proves whose they are: what the minions there may need. Salt's minions never say
// who they are on the publish port, and open a connection for each of their jobs.
func (p *presence) trusted(addr netip.Addr) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return 4 * p.byAddr[addr]
}
