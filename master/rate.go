package master

import (
	"net/netip"
	"sync"
	"time"

	"github.com/gosalt/gosalt/internal/config"
	"github.com/gosalt/gosalt/protocol/wire"
)

// bucket is a token bucket: rate a second, at most burst at once.
type bucket struct {
	tokens float64
	last   time.Time
}

// take removes one token. Where none is left it says how long to wait for one.
func (b *bucket) take(now time.Time, rate, burst float64) time.Duration {
	if b.last.IsZero() {
		b.tokens = burst
	} else {
		b.tokens = min(burst, b.tokens+now.Sub(b.last).Seconds()*rate)
	}
	b.last = now
	b.tokens--
	if b.tokens >= 0 {
		return 0
	}
	return time.Duration(-b.tokens / rate * float64(time.Second))
}

// limiter holds one bucket for each key, and forgets the ones that are full again.
type limiter[K comparable] struct {
	mu          sync.Mutex
	rate, burst float64
	buckets     map[K]*bucket
	swept       time.Time
}

func newLimiter[K comparable](rate, burst float64) *limiter[K] {
	rate, burst = max(rate, 0.01), max(burst, 1)
	return &limiter[K]{rate: rate, burst: burst, buckets: map[K]*bucket{}, swept: time.Now()}
}

// wait takes a token of k and says how long its owner should be made to wait.
func (l *limiter[K]) wait(k K) time.Duration {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if full := time.Duration(l.burst / l.rate * float64(time.Second)); now.Sub(l.swept) > max(full, 10*time.Second) {
		for k, b := range l.buckets {
			if now.Sub(b.last) > full {
				delete(l.buckets, k)
			}
		}
		l.swept = now
	}
	b := l.buckets[k]
	if b == nil {
		b = &bucket{}
		l.buckets[k] = b
	}
	return b.take(now, l.rate, l.burst)
}

// allow is wait for what is refused rather than delayed: a refused request costs no token.
func (l *limiter[K]) allow(k K) bool {
	if l.wait(k) == 0 {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if b := l.buckets[k]; b != nil {
		b.tokens++
	}
	return false
}

type limits struct {
	authUnknown *limiter[netip.Addr]    // sign-ins with a key that is not accepted
	authKnown   *limiter[netip.Addr]    // sign-ins of accepted minions: many may stand behind one address
	requests    *limiter[wire.MinionID] // requests of one minion, file chunks apart
}

// newLimits makes limits of the options auth_rate, auth_burst, request_rate and
// request_burst. What is known may come 50 times as often as what is not: a data
// centre's minions come from one address after a power cut.
func newLimits(c *config.Master) limits {
	return limits{
		authUnknown: newLimiter[netip.Addr](c.AuthRate, float64(c.AuthBurst)),
		authKnown:   newLimiter[netip.Addr](50*c.AuthRate, 50*float64(c.AuthBurst)),
		requests:    newLimiter[wire.MinionID](c.RequestRate, float64(c.RequestBurst)),
	}
}
