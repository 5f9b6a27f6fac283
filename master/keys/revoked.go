package keys

import "github.com/gosalt/gosalt/protocol/wire"

// NotAccepted returns those of the ids whose key is not among the accepted ones, or is
// among the rejected as well. It costs two stats and, after a change, the reading of
// a directory, however many ids there are: the master asks every second for all that
// are connected.
func (s *Store) NotAccepted(ids map[wire.MinionID]bool) ([]wire.MinionID, error) {
	var gone []wire.MinionID
	err := s.lists[Accepted].each(func(accepted map[wire.MinionID]struct{}) {
		for id := range ids {
			if _, ok := accepted[id]; !ok {
				gone = append(gone, id)
			}
		}
	})
	if err != nil {
		return nil, err
	}
	err = s.lists[Rejected].each(func(rejected map[wire.MinionID]struct{}) {
		for id := range rejected {
			if ids[id] {
				gone = append(gone, id)
			}
		}
	})
	return gone, err
}

// each shows the names as they are now; f must not keep them.
func (l *listing) each(f func(map[wire.MinionID]struct{})) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.refresh(0); err != nil {
		return err
	}
	f(l.ids)
	return nil
}
