package zmq

import (
	"log/slog"
	"sync"
	"time"
)

const noticeEvery = 10 * time.Second

// notices writes what happens again and again as one line every ten seconds.
type notices struct {
	log *slog.Logger

	mu    sync.Mutex
	kinds map[string]*notice
}

type notice struct {
	since time.Time
	n     int
	args  []any // of the last
}

// say writes a line now if this kind was silent for ten seconds, else counts it.
func (k *notices) say(msg string, args ...any) {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := k.kinds[msg]
	if n == nil {
		if k.kinds == nil {
			k.kinds = map[string]*notice{}
		}
		k.kinds[msg] = &notice{since: time.Now()}
		k.log.Warn(msg, args...)
		return
	}
	n.n++
	n.args = args
}

// flush writes what was counted; all of it when the port ends.
func (k *notices) flush(all bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for msg, n := range k.kinds {
		if !all && time.Since(n.since) < noticeEvery {
			continue
		}
		if n.n == 0 {
			delete(k.kinds, msg)
			continue
		}
		k.log.Warn(msg, append(n.args, "times", n.n)...)
		n.n, n.since = 0, time.Now()
	}
}
