package schedule

import (
	"context"
	"time"
)

// maxLate is how late a job with one moment is still run after the machine was too
// busy, or asleep, to look at the clock.
const maxLate = time.Minute

// Run looks at the clock every Interval until ctx ends.
func (s *Scheduler) Run(ctx context.Context) {
	t := time.NewTicker(s.cfg.Interval)
	defer t.Stop()
	var last time.Time
	for {
		now := time.Now()
		window := s.cfg.Interval
		if !last.IsZero() {
			// By the wall: a machine that slept has not counted.
			window = min(max(window, now.Round(0).Sub(last.Round(0))), max(window, maxLate))
		}
		last = now
		s.Eval(now, window)
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}
