package minion

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/gosalt/gosalt/protocol/wire"
)

const (
	// progressEvery is the time between two reports of one job: long enough to join
	// lines, short enough to look like at once.
	progressEvery = 100 * time.Millisecond
	// progressRetry is the time after a report that could not be sent.
	progressRetry = time.Second
	// progressBatch is the size in bytes of one report.
	progressBatch = 128 << 10
	// progressQueue is how many bytes wait while a report is under way: what a command
	// such as dmesg prints at once is to be shown whole. What comes on
	// top of it is dropped and counted: a command never waits for those who watch it.
	progressQueue = 4 << 20
	// progressLinger is how long the result of a job is held back so that the last
	// lines come before it, where the master takes them. Lines that are left then are
	// counted, and the result tells how many.
	progressLinger = 10 * time.Second
)

// progress reports what a job prints while it runs to the master that asked for it.
// A line is reported once, or counted as dropped: a report that was not confirmed is
// sent again under its number, by which the master knows those that it has.
type progress struct {
	jid  wire.JobID
	id   wire.MinionID
	send func(ctx context.Context, load *wire.Map) error

	mu      sync.Mutex
	queue   []any
	size    int
	dropped int
	unsent  []any // the report that is under way, or was not confirmed
	sent    int   // reports that were confirmed
	closed  bool
	wake    chan struct{}
	end     chan struct{} // closed by close
	done    chan struct{}
	cancel  func()
}

// newProgress starts to report; close ends it.
func newProgress(ctx context.Context, jid wire.JobID, id wire.MinionID, send func(context.Context, *wire.Map) error) *progress {
	ctx, cancel := context.WithCancel(ctx)
	p := &progress{jid: jid, id: id, send: send, cancel: cancel,
		wake: make(chan struct{}, 1), end: make(chan struct{}), done: make(chan struct{})}
	go p.run(ctx)
	return p
}

// add takes one item of a wire.Progress. It never waits.
func (p *progress) add(v any) {
	lines, size := (&wire.Progress{Items: []any{v}}).Lines()
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		return
	case p.size+size > progressQueue:
		p.dropped += max(lines, 1)
		return
	case p.dropped > 0:
		p.queue = append(p.queue, wire.NewMap("dropped", int64(p.dropped)))
		p.dropped = 0
	}
	p.queue = append(p.queue, v)
	p.size += size
	p.poke()
}

func (p *progress) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// take returns what is to be reported next, nil when there is nothing; more says
// that there is enough for another report. last is when nothing will follow.
func (p *progress) take() (items []any, more, last bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.unsent != nil {
		return p.unsent, p.size >= progressBatch, p.closed && len(p.queue) == 0 && p.dropped == 0
	}
	if p.dropped > 0 {
		p.queue = append(p.queue, wire.NewMap("dropped", int64(p.dropped)))
		p.dropped = 0
	}
	n, size := 0, 0
	for n < len(p.queue) && size < progressBatch {
		_, s := (&wire.Progress{Items: p.queue[n : n+1]}).Lines()
		size += s
		n++
	}
	items, p.queue = p.queue[:n:n], p.queue[n:]
	p.size -= size
	if len(p.queue) == 0 {
		p.queue, p.size = nil, 0
	}
	p.unsent = join(items)
	return p.unsent, p.size >= progressBatch, p.closed && len(p.queue) == 0
}

func (p *progress) isClosed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

// join makes one item of lines of one stream that follow each other.
func join(items []any) []any {
	var out []any
	var texts []string
	stream := ""
	flush := func() {
		if texts != nil {
			out = append(out, wire.NewMap(stream, strings.Join(texts, "\n")))
			texts = nil
		}
	}
	for _, v := range items {
		s, text, ok := lineOf(v)
		if !ok || s != stream {
			flush()
		}
		if !ok {
			out = append(out, v)
			continue
		}
		stream, texts = s, append(texts, text)
	}
	flush()
	return out
}

// lineOf is the stream and the text of an item that holds output.
func lineOf(v any) (stream, text string, ok bool) {
	m, isMap := v.(*wire.Map)
	if !isMap || m.Len() != 1 {
		return "", "", false
	}
	for _, stream := range []string{"stdout", "stderr"} {
		if m.Has(stream) {
			return stream, m.Text(stream), true
		}
	}
	return "", "", false
}

func (p *progress) run(ctx context.Context) {
	defer close(p.done)
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.wake:
		case <-p.end:
		}
		items, more, last := p.take()
		pause := progressEvery
		if len(items) > 0 && p.report(ctx, items) != nil {
			if p.isClosed() {
				return // the result is not held back for a master that takes no reports
			}
			pause, more, last = progressRetry, false, false
		}
		if last {
			return
		}
		if !more {
			t := time.NewTimer(pause) // more may come meanwhile; the end does not wait
			select {
			case <-ctx.Done():
			case <-t.C:
			case <-p.end:
			}
			t.Stop()
		}
		p.mu.Lock()
		if len(p.queue) > 0 || p.dropped > 0 || p.unsent != nil {
			p.poke()
		}
		p.mu.Unlock()
	}
}

// report sends one report. One that fails is kept, and sent again.
func (p *progress) report(ctx context.Context, items []any) error {
	r := wire.Progress{Items: items}
	ev := &wire.MinionEvent{ID: p.id, Events: []wire.Event{{Tag: wire.ProgressTag(p.jid, p.id, p.sent+1), Data: r.ToMap()}}}
	if err := p.send(ctx, ev.ToMap()); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unsent = nil
	p.sent++
	return nil
}

// close waits a little for what is left to be reported, ends the reports, and returns
// how many lines were not confirmed.
func (p *progress) close() (left int) {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	close(p.end)
	t := time.NewTimer(progressLinger)
	defer t.Stop()
	select {
	case <-p.done:
	case <-t.C:
	}
	p.cancel()
	<-p.done
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, items := range [][]any{p.unsent, p.queue} {
		lines, _ := (&wire.Progress{Items: items}).Lines()
		left += lines
	}
	return left + p.dropped
}

// watched starts to report the output of a job, where the job asks for it and its
// master understands. stop ends that, and returns how many lines could not be reported;
// add is nil where nobody is to be told.
func (m *Minion) watched(job *wire.Job, from source) (add func(any), stop func() int) {
	nobody := func() int { return 0 }
	if !job.Live {
		return nil, nobody
	}
	l := m.linkOf(from.master)
	if l == nil {
		return nil, nobody
	}
	p := newProgress(m.ctx, job.JID, m.id, func(ctx context.Context, load *wire.Map) error {
		if c := l.current(); c == nil || !c.gosalt {
			return errNotConnected
		}
		_, err := l.do(ctx, load)
		return err
	})
	return p.add, p.close
}

var errNotConnected = errors.New("not connected")
