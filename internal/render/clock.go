package render

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// clock is the context of one render. It ends when the template has run for its time;
// what functions take that it calls does not count.
type clock struct {
	context.Context // of the caller
	mu              sync.Mutex
	left            time.Duration
	since           time.Time
	timer           *time.Timer
	depth           int // of functions that run
	done            chan struct{}
	err             error
}

type clockKey struct{}

// newClock starts a clock; stop must be called.
func newClock(ctx context.Context, d time.Duration) (c *clock, stop func()) {
	c = &clock{Context: ctx, left: d, since: time.Now(), done: make(chan struct{})}
	total := d
	c.timer = time.AfterFunc(d, func() {
		c.end(fmt.Errorf("it ran for more than %v", total))
	})
	unhook := context.AfterFunc(ctx, func() { c.end(context.Cause(ctx)) })
	return c, func() {
		unhook()
		c.timer.Stop()
	}
}

func (c *clock) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
		close(c.done)
	}
}

// Done is closed when the time is over or the caller's context ends.
func (c *clock) Done() <-chan struct{} { return c.done }

// Err is why Done is closed.
func (c *clock) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// pause stops the clock while a function runs.
func (c *clock) pause() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.depth++; c.depth == 1 {
		c.left -= time.Since(c.since)
		c.timer.Stop()
	}
}

// resume lets it go on.
func (c *clock) resume() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.depth--; c.depth == 0 {
		c.since = time.Now()
		c.timer.Reset(max(c.left, time.Millisecond))
	}
}
