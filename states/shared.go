package states

import "sync"

// ListenedTo is the key of the results of all states, a *wire.Map by tag, while those that
// listen run: these are a run of their own.
const ListenedTo = "listened to"

// Shared is what the states of one run have in common. The zero value is ready; its
// methods may be called concurrently.
type Shared struct {
	mu     sync.Mutex
	values map[string]any
}

// Get returns what Set kept, or nil.
func (s *Shared) Get(key string) any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.values[key]
}

// Set keeps a value for the states that come later in the run.
func (s *Shared) Set(key string, v any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.values == nil {
		s.values = map[string]any{}
	}
	s.values[key] = v
}

// Once returns what is kept under a key, after it has kept what first makes where there is
// nothing yet.
func (s *Shared) Once(key string, first func() any) any {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.values == nil {
		s.values = map[string]any{}
	}
	if _, ok := s.values[key]; !ok {
		s.values[key] = first()
	}
	return s.values[key]
}
