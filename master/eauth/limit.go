package eauth

import (
	"fmt"
	"sync"
	"time"
)

// Wait says that too many attempts have failed.
type Wait struct{ For time.Duration }

func (w *Wait) Error() string {
	return fmt.Sprintf("too many failed logins: try again in %s", w.For.Round(time.Second))
}

// Failures that may come at once, and how often another one may follow. A source is
// an address or a local user; an account is limited more widely over all sources, so
// that nobody can lock somebody else out from one place.
const (
	perSource   = 10
	perAccount  = 50
	recovery    = 10 * time.Second
	limiterSize = 10000
)

// limiter counts failed logins. What it forgets when it is full are those it knows
// longest, which have had time to recover.
type limiter struct {
	mu      sync.Mutex
	entries map[string]*failures
	now     func() time.Time
}

type failures struct {
	count float64
	last  time.Time
}

func newLimiter() *limiter {
	return &limiter{entries: map[string]*failures{}, now: time.Now}
}

func keys(c Credentials) map[string]float64 {
	m := map[string]float64{"source " + c.Source: perSource}
	if c.User != "" {
		m["account "+c.Backend+" "+c.User] = perAccount
	}
	return m
}

// current is an entry's count by now.
func (l *limiter) current(key string) float64 {
	e := l.entries[key]
	if e == nil {
		return 0
	}
	left := e.count - l.now().Sub(e.last).Seconds()/recovery.Seconds()
	return max(left, 0)
}

// check refuses an attempt where too many have failed.
func (l *limiter) check(c Credentials) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, most := range keys(c) {
		if n := l.current(key); n >= most {
			return &Wait{For: time.Duration((n - most + 1) * float64(recovery))}
		}
	}
	return nil
}

func (l *limiter) failed(c Credentials) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key := range keys(c) {
		n := l.current(key)
		if l.entries[key] == nil && len(l.entries) >= limiterSize {
			l.forget()
		}
		l.entries[key] = &failures{count: n + 1, last: l.now()}
	}
}

// forget drops the entry that has been quiet for longest.
func (l *limiter) forget() {
	oldest := ""
	for key, e := range l.entries {
		if oldest == "" || e.last.Before(l.entries[oldest].last) {
			oldest = key
		}
	}
	delete(l.entries, oldest)
}

// succeeded forgives the source its failures for an account that it knows after all.
func (l *limiter) succeeded(c Credentials) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.entries, "source "+c.Source)
}
