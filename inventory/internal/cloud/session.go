package cloud

import (
	"context"
	"sync"

	"github.com/gosalt/gosalt/inventory"
)

// Sessions keeps a login for all that use a provider at the same time. Whoever waits for
// another's login stops waiting with its own context.
type Sessions[S any] struct {
	once sync.Once
	gate chan struct{} // holds one: who has it may log in, and read and write what follows
	now  *S
}

func (c *Sessions[S]) lock(ctx context.Context) bool {
	c.once.Do(func() { c.gate = make(chan struct{}, 1) })
	select {
	case c.gate <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// Get is the session that there is, or a new one. call is named in the error of a context
// that has ended meanwhile.
func (c *Sessions[S]) Get(ctx context.Context, call string, login func(context.Context) (*S, *inventory.Error)) (*S, *inventory.Error) {
	if !c.lock(ctx) {
		return nil, Ended(ctx, call)
	}
	defer func() { <-c.gate }()
	if c.now != nil {
		return c.now, nil
	}
	s, e := login(ctx)
	if e != nil {
		return nil, e
	}
	c.now = s
	return s, nil
}

// Forget has the next Get log in anew, unless someone has done so already.
func (c *Sessions[S]) Forget(s *S) {
	c.lock(context.Background())
	defer func() { <-c.gate }()
	if c.now == s {
		c.now = nil
	}
}
