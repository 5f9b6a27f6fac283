package master

import (
	"sync"
	"time"

	"github.com/gosalt/gosalt/master/jobs"
	"github.com/gosalt/gosalt/protocol/wire"
)

// liveJob is a job while its returns are coming in: the same facts as in the job
// store, at hand for those who wait and for the check of each return.
type liveJob struct {
	JID     wire.JobID
	Publish *wire.Map // what was published
	Made    time.Time
	Expiry  time.Time // until when a minion may fetch it
	Until   time.Time // by --queue-until: until when those away may; zero without
	// Internal is a question of the master's own: its returns are not stored.
	Internal bool

	mu       sync.Mutex
	targets  map[wire.MinionID]*liveTarget
	order    []wire.MinionID // of the targets
	returned int
	failed   bool // some target could not be reached over SSH
	watchers map[*watcher]struct{}
	touched  time.Time
}

type liveTarget struct {
	state    jobs.TargetState
	queued   time.Time // of state Queued: until when it may fetch the job
	acked    time.Time
	returned bool
	reports  int    // of progress: the number of the last
	failed   string // why it could not be reached over SSH
	// Which way it goes is decided once: by SSH, or by its minion, which has asked.
	overSSH  bool
	byItself bool
}

// until is when a target that did not take the job can no longer fetch it; zero
// where it cannot at all.
func (t liveTarget) until(j *liveJob) time.Time {
	switch t.state {
	case jobs.Expected:
		return j.Expiry
	case jobs.Queued:
		return t.queued
	}
	return time.Time{}
}

// liveEvent is one return, or one report of progress.
type liveEvent struct {
	id       wire.MinionID
	load     *wire.Map // nil for a large return: the job store has it
	progress bool
}

// watcher is told of what happens to one job.
type watcher struct {
	job   *liveJob
	ready chan struct{} // holds a token when there is something new
	queue []liveEvent   // under job.mu
	// Reports of progress that wait, in bytes; and the lines that did not fit, which
	// the next report of their minion tells.
	progress int
	dropped  map[wire.MinionID]int
}

// take returns what has come since the last call.
func (w *watcher) take() []liveEvent {
	w.job.mu.Lock()
	defer w.job.mu.Unlock()
	q := w.queue
	w.queue, w.progress = nil, 0
	return q
}

func (w *watcher) close() {
	w.job.mu.Lock()
	defer w.job.mu.Unlock()
	delete(w.job.watchers, w)
}

// feed hands an event to a watcher that the job itself does not tell: one that
// looks at a part of the targets.
func (w *watcher) feed(e liveEvent) {
	w.job.mu.Lock()
	defer w.job.mu.Unlock()
	if e.progress {
		w.report(e.id, wire.ProgressFromMap(e.load))
	} else {
		w.queue = append(append(w.queue, w.tellDropped(e.id)...), e)
	}
	select {
	case w.ready <- struct{}{}:
	default:
	}
}

// report queues a report of progress, or counts its lines where too much waits
// already. The lock of the job is held.
func (w *watcher) report(id wire.MinionID, report *wire.Progress) {
	lines, size := report.Lines()
	if w.progress+size > maxProgress {
		w.drop(id, lines)
		return
	}
	w.progress += size
	w.queue = append(w.queue, w.tellDropped(id)...)
	w.queue = append(w.queue, liveEvent{id: id, load: report.ToMap(), progress: true})
}

func (w *watcher) drop(id wire.MinionID, lines int) {
	if w.dropped == nil {
		w.dropped = map[wire.MinionID]int{}
	}
	w.dropped[id] += lines
}

// largeReturn is the packed size in bytes from which a return waits for its
// watchers in the job store rather than in memory.
const largeReturn = 64 << 10

// maxProgress is how many bytes of progress wait for one watcher. Who reads more
// slowly than is printed loses lines, and is told how many; never a result. It is some
// minions that print all they may keep at once.
const maxProgress = 16 << 20

func newLiveJob(jid wire.JobID, publish *wire.Map, targets []jobs.Target) *liveJob {
	j := &liveJob{
		JID: jid, Publish: publish, Made: time.Now(), touched: time.Now(),
		targets:  make(map[wire.MinionID]*liveTarget, len(targets)),
		watchers: map[*watcher]struct{}{},
	}
	for _, t := range targets {
		j.targets[t.Minion] = &liveTarget{state: t.State, queued: t.QueuedUntil}
		j.order = append(j.order, t.Minion)
	}
	return j
}

// raise notes what is expected of targets from now on.
func (j *liveJob) raise(targets []jobs.Target) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, t := range targets {
		if p := j.targets[t.Minion]; p != nil {
			p.state, p.queued = t.State, t.QueuedUntil
		}
	}
}

// watch starts to collect what happens to the job. Close the watcher when done.
func (j *liveJob) watch() *watcher {
	w := &watcher{job: j, ready: make(chan struct{}, 1)}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.watchers[w] = struct{}{}
	return w
}

func (j *liveJob) wake() {
	j.touched = time.Now()
	for w := range j.watchers {
		select {
		case w.ready <- struct{}{}:
		default:
		}
	}
}

// nudge has those who watch look again.
func (j *liveJob) nudge() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.wake()
}

// addFailure notes that a target could not be reached over SSH, and why.
func (j *liveJob) addFailure(id wire.MinionID, why string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if t := j.targets[id]; t != nil && !t.returned {
		t.failed, j.failed = why, true
	}
	j.wake()
}

// anyFailed tells whether a target could not be reached over SSH.
func (j *liveJob) anyFailed() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.failed
}

// has tells whether the job targets the minion.
func (j *liveJob) has(id wire.MinionID) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.targets[id] != nil
}

func (j *liveJob) ack(id wire.MinionID) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if t := j.targets[id]; t != nil && t.acked.IsZero() {
		t.acked = time.Now()
		j.wake()
	}
}

// goSSH decides that a target is reached over SSH, and tells whether it may be: not one
// whose minion has taken the job.
func (j *liveJob) goSSH(id wire.MinionID) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	t := j.targets[id]
	if t == nil || t.returned || t.byItself || !t.overSSH && !t.acked.IsZero() {
		return false
	}
	t.overSSH = true
	return true
}

// leaveSSH undoes goSSH: nothing was begun there.
func (j *liveJob) leaveSSH(id wire.MinionID) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if t := j.targets[id]; t != nil {
		t.overSSH = false
	}
}

// isOverSSH tells whether a target goes over SSH.
func (j *liveJob) isOverSSH(id wire.MinionID) bool {
	t, _ := j.target(id)
	return t.overSSH
}

// trying tells of a target that goes over SSH that it has not begun there: where it cannot,
// the job is its minion's after all.
func (t liveTarget) trying() bool {
	return t.overSSH && t.acked.IsZero() && !t.returned && t.failed == ""
}

// take is a minion that asks whether the job is its own: where it does not go over SSH it
// is, from now on. later is while that is tried.
func (j *liveJob) take(id wire.MinionID) (run, later bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	t := j.targets[id]
	if t == nil || t.overSSH {
		return false, t != nil && t.trying()
	}
	t.byItself = true
	if t.acked.IsZero() {
		t.acked = time.Now()
	}
	j.wake()
	return true, false
}

// addReturn notes a return that the store has taken; size is its packed length.
func (j *liveJob) addReturn(id wire.MinionID, load *wire.Map, size int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	t := j.targets[id]
	if t == nil || t.returned {
		return
	}
	t.returned = true
	j.returned++
	if size > largeReturn {
		load = nil
	}
	for w := range j.watchers {
		w.queue = append(w.queue, w.tellDropped(id)...)
		w.queue = append(w.queue, liveEvent{id: id, load: load})
	}
	j.wake()
}

// addProgress hands a report to those who watch. Nobody waits for them. n is its
// number, 0 where it has none; false is for one that came before.
func (j *liveJob) addProgress(id wire.MinionID, n int, load *wire.Map) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	t := j.targets[id]
	if t == nil {
		return true
	}
	if n > 0 && n <= t.reports {
		return false
	}
	t.reports = max(n, t.reports)
	report := wire.ProgressFromMap(load)
	if len(report.Items) == 0 || len(j.watchers) == 0 {
		return true
	}
	for w := range j.watchers {
		w.report(id, report)
	}
	j.wake()
	return true
}

// addDropped notes that so many lines of a minion could not be reported; they are told
// before its return.
func (j *liveJob) addDropped(id wire.MinionID, lines int64) {
	if lines <= 0 {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if t := j.targets[id]; t == nil || t.returned {
		return
	}
	for w := range j.watchers {
		w.drop(id, int(min(lines, 1<<30)))
	}
}

// tellDropped is the event that tells how many lines of a minion were dropped, if any
// were. The lock of the job is held.
func (w *watcher) tellDropped(id wire.MinionID) []liveEvent {
	n := w.dropped[id]
	if n == 0 {
		return nil
	}
	delete(w.dropped, id)
	return []liveEvent{{id: id, load: (&wire.Progress{Items: []any{wire.NewMap("dropped", int64(n))}}).ToMap(), progress: true}}
}

// outstanding are the targets that have not returned, in the order of the targets.
func (j *liveJob) outstanding() []wire.MinionID {
	j.mu.Lock()
	defer j.mu.Unlock()
	ids := make([]wire.MinionID, 0, len(j.targets)-j.returned)
	for _, id := range j.order {
		if !j.targets[id].returned {
			ids = append(ids, id)
		}
	}
	return ids
}

// target is what is known of one target; ok is false for others.
func (j *liveJob) target(id wire.MinionID) (t liveTarget, ok bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if p := j.targets[id]; p != nil {
		return *p, true
	}
	return liveTarget{}, false
}

// counts says how many targets there are, how many of them have taken the job, and
// how many have returned.
func (j *liveJob) counts() (all, taken, returned int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, t := range j.targets {
		if !t.acked.IsZero() || t.returned {
			taken++
		}
	}
	return len(j.targets), taken, j.returned
}

// liveJobs finds live jobs by their id.
type liveJobs struct {
	mu   sync.Mutex
	jobs map[wire.JobID]*liveJob
}

func (l *liveJobs) add(j *liveJob) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.jobs == nil {
		l.jobs = map[wire.JobID]*liveJob{}
	}
	l.jobs[j.JID] = j
}

func (l *liveJobs) get(jid wire.JobID) *liveJob {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.jobs[jid]
}

// sweep forgets jobs that nobody waits for and nothing has happened to since before.
func (l *liveJobs) sweep(before time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for jid, j := range l.jobs {
		j.mu.Lock()
		idle := len(j.watchers) == 0 && (j.touched.Before(before) || j.returned == len(j.targets))
		j.mu.Unlock()
		if idle {
			delete(l.jobs, jid)
		}
	}
}
