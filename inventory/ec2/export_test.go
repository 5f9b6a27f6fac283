package ec2

import "time"

// SetPace has calls repeated, and machines looked at, after that time.
func SetPace(p *Provider, d time.Duration) {
	p.poll = d
	p.backoff = func(int, error) (time.Duration, error) { return d, nil }
}
