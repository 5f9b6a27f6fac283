package master

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/master/jobs"
	"github.com/gosalt/gosalt/protocol/wire"
)

// shownLive is what a follower makes of a watcher's events: texts, dropped lines, returns.
func shownLive(events []liveEvent) string {
	var out []string
	for _, e := range events {
		if !e.progress {
			out = append(out, string(e.id)+" returned")
			continue
		}
		for _, v := range wire.ProgressFromMap(e.load).Items {
			m := v.(*wire.Map)
			if n := m.Int("dropped"); n > 0 {
				out = append(out, fmt.Sprintf("%s lost %d", e.id, n))
			} else if text := m.Text("stdout"); len(text) < 100 {
				out = append(out, string(e.id)+" "+text)
			}
		}
	}
	return strings.Join(out, ", ")
}

// Each line is told once or counted, whatever is lost on the way and whoever is slow.
func TestLiveLines(t *testing.T) {
	line := func(text string) *wire.Map {
		return (&wire.Progress{Items: []any{wire.NewMap("stdout", text)}}).ToMap()
	}
	j := newLiveJob("20260101000000000000", wire.NewMap(), []jobs.Target{{Minion: "web1"}, {Minion: "web2"}})
	w := j.watch()
	part := &watcher{job: j, ready: make(chan struct{}, 1)} // of a batch
	if !j.addProgress("web1", 1, line("one")) || j.addProgress("web1", 1, line("one")) || !j.addProgress("web1", 2, line("two")) {
		t.Error("a report is known by its number")
	}
	j.addProgress("web2", 1, line("other"))
	long := strings.Repeat("x", maxProgress/4)
	for i := range 6 {
		j.addProgress("web1", 3+i, line(long))
	}
	j.addDropped("web1", 7)
	j.addReturn("web1", wire.NewMap(), 0)
	j.addReturn("web2", wire.NewMap(), 0)
	events := w.take()
	if got, want := shownLive(events), "web1 one, web1 two, web2 other, web1 lost 10, web1 returned, web2 returned"; got != want {
		t.Errorf("got %s, not %s", got, want)
	}
	for range 2 {
		for _, e := range events {
			part.feed(e)
		}
	}
	if part.progress > maxProgress {
		t.Errorf("%d bytes wait for a part of a batch", part.progress)
	}
	if got := shownLive(part.take()); !strings.HasSuffix(got, "web1 lost 3, web1 lost 10, web1 returned, web2 returned") {
		t.Errorf("got %s", got)
	}
}
