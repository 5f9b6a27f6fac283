package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/lazyre"
)

// queueMax is how long a job may wait for minions: what waits longer has been forgotten.
const queueMax = 366 * 24 * time.Hour

// readQueueUntil reads --queue-until.
func (g *gosaltRun) readQueueUntil(now time.Time) error {
	text := g.o.QueueUntil
	if text == "" {
		return nil
	}
	if g.batch != nil {
		return g.o.Errorf("--queue-until cannot be joined with batches: who is away has no turn in them")
	}
	until, err := parseUntil(text, now)
	switch {
	case err != nil:
		return g.o.Errorf("--queue-until: %v", err)
	case !until.After(now):
		return g.o.Errorf("--queue-until: %s is past: a time to come expected", until.Format("2006-01-02 15:04:05"))
	case until.Sub(now) > queueMax:
		return g.o.Errorf("--queue-until: %s is more than a year from now", until.Format("2006-01-02"))
	}
	g.until = until
	return nil
}

var (
	spanForm  = lazyre.New(`^(?:\d+(?:\.\d+)?[wdhms])+$`)
	spanParts = lazyre.New(`(\d+(?:\.\d+)?)([wdhms])`)
)

// parseSpan reads a length of time: "90s", "2h30m", "1d12h", "2w". What is longer than ten
// years is cut to that.
func parseSpan(text string) (time.Duration, bool) {
	if !spanForm.MatchString(text) {
		return 0, false
	}
	sum := 0.0
	for _, p := range spanParts.FindAllStringSubmatch(text, -1) {
		n, err := strconv.ParseFloat(p[1], 64)
		if err != nil {
			return 0, false
		}
		sum += n * map[string]float64{"w": 7 * 86400, "d": 86400, "h": 3600, "m": 60, "s": 1}[p[2]]
	}
	return time.Duration(min(sum, 10*queueMax.Seconds()) * float64(time.Second)), true
}

// untilForms are points in time, in this machine's zone where they name none.
var untilForms = []string{"2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02T15:04:05", "2006-01-02T15:04", time.RFC3339, "2006-01-02T15:04Z07:00"}

// parseUntil reads a time to come: one from now ("2h"), the next time of day
// ("18:00"), or a date with a time.
func parseUntil(text string, now time.Time) (time.Time, error) {
	text = strings.TrimSpace(text)
	if d, ok := parseSpan(text); ok {
		return now.Add(d), nil
	}
	for _, form := range []string{"15:04:05", "15:04"} {
		if t, err := time.ParseInLocation(form, text, now.Location()); err == nil {
			on := time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), t.Second(), 0, now.Location())
			if !on.After(now) {
				on = time.Date(now.Year(), now.Month(), now.Day()+1, t.Hour(), t.Minute(), t.Second(), 0, now.Location())
			}
			return on, nil
		}
	}
	for _, form := range untilForms {
		if t, err := time.ParseInLocation(form, text, now.Location()); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time: one from now as 90m, 2h or 1d12h, a time of day as 18:00, or '2026-11-27 08:00' expected", text)
}

// queued shows that a minion is away and runs the job when it is back.
func (g *gosaltRun) queued(id, text string) error {
	g.silent--
	g.queuedIDs++
	g.summary.noResponse = append(g.summary.noResponse, id)
	if !g.o.ShowTimeout || g.isDoc() || g.o.Static && g.view == nil {
		return nil
	}
	if g.view != nil {
		return g.view.absence(absence{id: id, state: "Queued", why: "queued", text: text})
	}
	return g.show(id, fmt.Sprintf("Minion did not return. [Queued]\n%s\nTo look up what it returns then, run the following command:\n\ngosalt-run jobs.lookup_jid %s", text, g.jid), "no_return", 0)
}
