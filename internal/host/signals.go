package host

import (
	"context"
	"sync"
)

// Signals reaches the commands of one job: those that Run runs under its context.
// Its methods may be called concurrently.
type Signals struct {
	mu     sync.Mutex
	groups map[*group]struct{}
	killed chan struct{}
	kill   func()
}

type signalsKey struct{}

// WithSignals returns a context whose commands can be sent signals.
func WithSignals(ctx context.Context) (context.Context, *Signals) {
	s := &Signals{groups: map[*group]struct{}{}, killed: make(chan struct{})}
	s.kill = sync.OnceFunc(func() { close(s.killed) })
	return context.WithValue(ctx, signalsKey{}, s), s
}

// Send sends a signal to every process of the commands that run now.
func (s *Signals) Send(sig int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for g := range s.groups {
		g.signal(sig)
	}
}

// Kill ends the commands that run now and those that are still to start, at once.
func (s *Signals) Kill() { s.kill() }

// track makes a command's group reachable until the function returned is called.
func track(ctx context.Context, g *group) (s *Signals, done func()) {
	s, _ = ctx.Value(signalsKey{}).(*Signals)
	if s == nil {
		return &Signals{}, func() {} // whose killed is nil: nobody sends anything
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.groups[g] = struct{}{}
	return s, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.groups, g)
	}
}

// askedToEnd tells whether a context was ended by a signal for its commands: they have
// it already, and may take their time.
func askedToEnd(err error) bool {
	s, ok := err.(interface{ Signal() int })
	return ok && s.Signal() != 0
}
