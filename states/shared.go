package states

import "sync"

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
