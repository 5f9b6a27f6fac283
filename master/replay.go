package master

import (
	"sync"
	"time"
)

// replayGuard remembers the nonces of accepted requests for as long as their time
// stamp would still be accepted, so that a recorded request has no second effect.
// Two generations are kept; a nonce is remembered for one to two windows.
type replayGuard struct {
	mu       sync.Mutex
	window   time.Duration
	turned   time.Time
	old, new map[[16]byte]struct{}
}

func newReplayGuard(window time.Duration) *replayGuard {
	return &replayGuard{window: window, turned: time.Now(), old: map[[16]byte]struct{}{}, new: map[[16]byte]struct{}{}}
}

// first tells whether this is the first sight of the key, and remembers it.
func (g *replayGuard) first(key [16]byte) bool {
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	// A stamp may be as far in the future as in the past, so twice the window can
	// pass between a message and its last acceptable copy.
	if now.Sub(g.turned) > 2*g.window {
		g.old, g.new = g.new, make(map[[16]byte]struct{}, len(g.new)/2)
		g.turned = now
	}
	if _, ok := g.old[key]; ok {
		return false
	}
	if _, ok := g.new[key]; ok {
		return false
	}
	g.new[key] = struct{}{}
	return true
}
