package zmq

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
)

// admission counts connections and says which are let in.
type admission struct {
	o *Options

	mu      sync.Mutex
	open    int
	unauth  int
	perAddr map[netip.Addr]addrCount
}

// addrCount is what one address has open.
type addrCount struct{ unauth, trusted int }

// standing is how a connection counts until it leaves.
type standing uint8

const (
	asUnauth standing = iota
	asTrusted
	asAuth
)

func newAdmission(o *Options) *admission {
	return &admission{o: o, perAddr: map[netip.Addr]addrCount{}}
}

// addrKey is the address that connections are counted by.
func addrKey(a netip.Addr) netip.Addr {
	if a.Is6() {
		if p, err := a.WithZone("").Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}

var errNoDescriptors = errors.New("descriptors run short")

// enter lets a connection in, or says which limit keeps it out.
func (a *admission) enter(addr netip.Addr) (standing, error) {
	credit := a.o.Trusted(addr)
	key := addrKey(addr)
	a.mu.Lock()
	defer a.mu.Unlock()
	n := a.perAddr[key]
	switch {
	case a.open >= a.o.MaxConns:
		return 0, fmt.Errorf("%d connections are open, the most allowed", a.open)
	case n.trusted < credit:
		n.trusted++
		a.perAddr[key] = n
		a.open++
		return asTrusted, nil
	case n.unauth >= a.o.MaxUnauthPerAddr:
		return 0, fmt.Errorf("%d unauthenticated connections from this address, the most allowed", n.unauth)
	case a.unauth >= a.o.MaxUnauth:
		return 0, fmt.Errorf("%d unauthenticated connections in all, the most allowed", a.unauth)
	}
	n.unauth++
	a.perAddr[key] = n
	a.unauth++
	a.open++
	return asUnauth, nil
}

// authenticated stops counting a connection among the unauthenticated.
func (a *admission) authenticated(addr netip.Addr, s standing) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.uncount(addr, s)
}

// leave stops counting a connection.
func (a *admission) leave(addr netip.Addr, s standing) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.uncount(addr, s)
	a.open--
}

func (a *admission) uncount(addr netip.Addr, s standing) {
	if s == asAuth {
		return
	}
	key := addrKey(addr)
	n := a.perAddr[key]
	if s == asTrusted {
		n.trusted--
	} else {
		n.unauth--
		a.unauth--
	}
	if n == (addrCount{}) {
		delete(a.perAddr, key)
	} else {
		a.perAddr[key] = n
	}
}

func (a *admission) counts() (open, unauth int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.open, a.unauth
}
