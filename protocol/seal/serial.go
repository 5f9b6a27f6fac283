package seal

import (
	"errors"
	"sync"

	"github.com/gosalt/gosalt/protocol/wire"
)

// ErrSerial says that a message is not newer than the last one under its key: it was
// replayed, or overtaken. It must not be acted on.
var ErrSerial = errors.New("message is not newer than the last one")

// Serial numbers the messages under one key, or checks the numbers of those received.
// It belongs to the key: a new key begins again at 0. Its owner keeps Last where it
// must outlive the process. The zero value is ready; methods may be called concurrently.
type Serial struct {
	mu   sync.Mutex
	last int64
}

// NewSerial goes on after last.
func NewSerial(last int64) *Serial { return &Serial{last: last} }

// Next is the number of the next message to send.
func (s *Serial) Next() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	return s.last
}

// Last is the highest number given or seen.
func (s *Serial) Last() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// Take checks the entry "serial" of an opened message and removes it. It returns
// ErrSerial, and 0 for a value that has none.
func (s *Serial) Take(v any) (int64, error) {
	m, ok := v.(*wire.Map)
	if !ok || !m.Has("serial") {
		return 0, nil
	}
	raw, _ := m.Get("serial")
	n, ok := raw.(int64)
	if !ok {
		return 0, &wire.Error{Kind: wire.Malformed, Op: "open", Msg: "serial is " + wire.TypeName(raw) + ": a whole number expected"}
	}
	m.Delete("serial")
	return n, s.Check(n)
}

// Check takes note of a message's number. It returns ErrSerial where the number is not
// above all before it.
func (s *Serial) Check(n int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n <= s.last {
		return ErrSerial
	}
	s.last = n
	return nil
}
