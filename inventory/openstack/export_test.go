package openstack

import (
	"context"
	"time"
)

// NoWait has calls repeated at once.
func NoWait(p *Provider) {
	p.wait = func(ctx context.Context, _ int, _ time.Duration) error { return ctx.Err() }
}
