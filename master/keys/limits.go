package keys

import (
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/gosalt/gosalt/protocol/wire"
)

// caseTwin returns an accepted id that differs from id only in case.
func (s *Store) caseTwin(id wire.MinionID) (wire.MinionID, error) {
	return s.lists[Accepted].twin(id)
}

// full says why no more keys are written to a state on behalf of an address, "" when
// they are: nobody who is not known may fill the disk.
func (s *Store) full(st State, addr netip.Addr) (string, error) {
	n, err := s.lists[st].rough()
	if err != nil {
		return "", err
	}
	if n >= s.cfg.MaxPending {
		return fmt.Sprintf("%d keys are in %s, no more are taken: accept, reject or delete some with gosalt-key", n, st), nil
	}
	if s.quota.spent(addr, s.now()) {
		return fmt.Sprintf("%d new keys came from this address within an hour, no more are taken", s.cfg.PendingPerAddress), nil
	}
	return "", nil
}

func (s *Store) count(addr netip.Addr) { s.quota.count(addr, s.now()) }

// quotaTime is the time in which an address may bring its share of new keys.
const quotaTime = time.Hour

// quota counts the new keys of each address. It holds an entry only for an address
// that had a key stored within the hour.
type quota struct {
	max int

	mu    sync.Mutex
	spend map[netip.Addr]*spending
	swept time.Time
}

type spending struct {
	since time.Time
	keys  int
}

func (q *quota) spent(addr netip.Addr, now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	sp := q.spend[network(addr)]
	return addr.IsValid() && sp != nil && now.Sub(sp.since) < quotaTime && sp.keys >= q.max
}

func (q *quota) count(addr netip.Addr, now time.Time) {
	if !addr.IsValid() {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if now.Sub(q.swept) >= quotaTime {
		for a, sp := range q.spend {
			if now.Sub(sp.since) >= quotaTime {
				delete(q.spend, a)
			}
		}
		q.swept = now
	}
	if q.spend == nil {
		q.spend = map[netip.Addr]*spending{}
	}
	sp := q.spend[network(addr)]
	if sp == nil || now.Sub(sp.since) >= quotaTime {
		sp = &spending{since: now}
		q.spend[network(addr)] = sp
	}
	sp.keys++
}

// network is what counts as one address: an IPv6 host has a whole /64 to itself.
func network(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}
