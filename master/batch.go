package master

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gosalt/gosalt/master/jobs"
	"github.com/gosalt/gosalt/protocol/control"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/ssh"
)

// batchSize is how many of n minions run at once by a size as people write it: "3",
// or a part of all as "10%" or "%10", which is at least one.
func batchSize(text string, n int) (int, error) {
	wrong := &wire.Error{Kind: wire.Malformed, Op: "batch", Msg: fmt.Sprintf("%.40q is no size of a batch: a number from 1, or a part of all as 10%% expected", text)}
	text = strings.TrimSpace(text)
	if !strings.Contains(text, "%") {
		size, err := strconv.Atoi(text)
		if err != nil || size < 1 {
			return 0, wrong
		}
		return size, nil
	}
	percent, err := strconv.ParseFloat(strings.TrimSpace(strings.Trim(text, "%")), 64)
	if err != nil || !(percent > 0) || percent > math.MaxInt32 {
		return 0, wrong
	}
	return max(1, int(percent/100*float64(n))), nil
}

// batch is a job that runs on a few minions at a time: a window that slides over the
// minions that answered at the start. It is one job with one id. A minion gets the
// job when its turn comes; until then it is a target from which nothing is expected,
// so that nobody runs the job out of turn, however the batch ends.
type batch struct {
	m        *Master
	job      *liveJob
	watch    *watcher
	opts     followOptions
	send     func(*wire.Map) error
	what     *wire.Job
	over     *overSSH
	how      sshOptions
	size     int           // of the window
	wait     time.Duration // between a return and the next turn in its place
	failhard bool

	toRun   []wire.MinionID
	active  map[wire.MinionID]*watcher // whose turn it is, and who follows its part
	resting []time.Time                // when the places come free that wait after a return, in order
	frames  chan *wire.Map             // of the parts' followers
	counted time.Time
}

// overSSH are the machines of a job that may be reached over SSH.
type overSSH struct {
	hosts map[wire.MinionID]ssh.Host // by the job's beginning

	mu    sync.Mutex
	spare map[wire.MinionID]ssh.Host // where their minions are gone when it is their turn
}

func newOverSSH(hosts []ssh.Host, spare map[wire.MinionID]ssh.Host) *overSSH {
	o := &overSSH{hosts: map[wire.MinionID]ssh.Host{}, spare: spare}
	for _, h := range hosts {
		o.hosts[wire.MinionID(h.ID)] = h
	}
	return o
}

func (o *overSSH) has(id wire.MinionID) bool { _, ok := o.hosts[id]; return ok }

// take is a machine whose minion is gone, once.
func (o *overSSH) take(id wire.MinionID) (ssh.Host, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	h, ok := o.spare[id]
	delete(o.spare, id)
	return h, ok
}

// controlBatch runs a job in batches and tells how it goes, until the last minion
// has returned, or the caller leaves: then nobody else gets the job.
func (m *Master) controlBatch(ctx context.Context, req *wire.Map, job *wire.Job, ids, missing []wire.MinionID, over *overSSH, send func(*wire.Map) error) error {
	how := req.Map("batch")
	if _, err := batchSize(how.Text("size"), len(ids)); err != nil {
		return err
	}
	opts := m.followOptions(req)
	// No job has that id, so this is a ping; but one that is answered by a minion
	// that has as many jobs as process_count_max allows.
	// Whether a machine is there over SSH shows when it is its turn.
	asked := slices.DeleteFunc(slices.Clone(ids), over.has)
	answers, err := m.probe(ctx, "saltutil.find_job", []any{string(wire.NewJobID(time.Now()))}, asked, opts)
	if err != nil {
		return err
	}
	for id, h := range over.spare {
		if answers[id] == nil { // it went a moment ago
			over.hosts[id] = h
			delete(over.spare, id)
		}
	}
	var down []any
	isDown := func(id wire.MinionID) bool { return answers[id] == nil && !over.has(id) }
	up := slices.DeleteFunc(slices.Clone(ids), isDown)
	for _, id := range ids {
		if isDown(id) {
			down = append(down, wire.NewMap("id", string(id), "text", m.explainDown(id)))
		}
	}
	if len(down) > 0 {
		if err := send(wire.NewMap("kind", control.KindBatch, "down", down)); err != nil {
			return err
		}
	}
	if len(up) == 0 {
		return nil
	}
	size, err := batchSize(how.Text("size"), len(up))
	if err != nil {
		return err
	}
	live, w, err := m.publish(ctx, order{Job: job, Targets: up, Watch: true, Held: true})
	if err != nil {
		return err
	}
	defer w.close()
	if err := send(wire.NewMap("kind", control.KindJob, "jid", string(live.JID), "minions", texts(up), "missing", texts(missing))); err != nil {
		return err
	}
	remote, err := m.sshOptionsOf(nil)
	if err != nil {
		return err
	}
	remote.Turn = true
	opts.Spare = m.ssh.spare(live, job, over, remote)
	b := &batch{m: m, job: live, what: job, over: over, how: remote, watch: w, opts: opts, send: send, size: size, wait: seconds(how, "wait"), failhard: how.Bool("failhard"),
		toRun: up, active: map[wire.MinionID]*watcher{}, frames: make(chan *wire.Map)}
	return b.run(ctx)
}

// explainDown says why a minion gets no job in batches: it did not answer.
func (m *Master) explainDown(id wire.MinionID) string {
	if c := m.presence.contact(id); c.Connected {
		return fmt.Sprintf("It has been connected since %s, but did not answer.", clock(c.Since))
	}
	_, text := m.explain(newLiveJob("", nil, nil), id, nil)
	return text
}

// together is how long a free place waits for others: those that come free at about
// the same time are one publish, and one write to the job store.
const together = 20 * time.Millisecond

func (b *batch) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error) // of the parts' followers
	parts := 0
	defer func() {
		cancel()
		for ; parts > 0; parts-- {
			<-ended
		}
	}()
	rest := time.NewTimer(time.Hour)
	defer rest.Stop()
	due := true               // minions may take the free places now
	var soon <-chan time.Time // they may when it fires
	for {
		var next []wire.MinionID
		if due || len(b.active) == 0 {
			next, due, soon = b.turn(), false, nil
		}
		if len(next) > 0 {
			w, err := b.begin(ctx, next)
			if err != nil {
				return err
			}
			parts++
			opts := b.opts
			opts.Counter = false
			go func() {
				ended <- b.m.followSome(ctx, b.job, w, next, opts, func(f *wire.Map) error {
					select {
					case b.frames <- f:
						return nil
					case <-ctx.Done():
						return ctx.Err()
					}
				})
			}()
		}
		if len(b.active) == 0 && len(b.toRun) == 0 {
			return nil
		}
		if len(b.resting) > 0 {
			rest.Reset(time.Until(b.resting[0]))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-rest.C:
			due = true
		case <-soon:
			due = true
		case <-b.watch.ready:
			b.route()
		case f := <-b.frames:
			stop, err := b.told(f)
			if err != nil || stop {
				return err
			}
			if soon == nil {
				soon = time.After(together)
			}
		case err := <-ended:
			parts--
			if err != nil {
				return err
			}
		}
	}
}

// turn takes the minions whose turn has come.
func (b *batch) turn() []wire.MinionID {
	now := time.Now()
	b.resting = slices.DeleteFunc(b.resting, func(t time.Time) bool { return !t.After(now) })
	free := min(b.size-len(b.active)-len(b.resting), len(b.toRun))
	if free <= 0 {
		return nil
	}
	next := b.toRun[:free:free]
	b.toRun = b.toRun[free:]
	return next
}

// begin gives the job to minions. Who loses its connection just now may still fetch
// it for as long as the batch waits for it, and no longer.
func (b *batch) begin(ctx context.Context, ids []wire.MinionID) (*watcher, error) {
	var targets []jobs.Target
	var hosts []ssh.Host
	var sent []wire.MinionID
	for _, id := range ids {
		if h, ok := b.over.hosts[id]; ok {
			hosts = append(hosts, h)
			continue
		}
		sent = append(sent, id)
		targets = append(targets, jobs.Target{Minion: id, State: jobs.Queued, QueuedUntil: time.Now().Add(b.opts.Timeout)})
	}
	if err := b.m.store.AddTargets(ctx, b.job.JID, targets); err != nil {
		return nil, fmt.Errorf("store whose turn it is: %w", err)
	}
	b.job.raise(targets)
	w := &watcher{job: b.job, ready: make(chan struct{}, 1)}
	for _, id := range ids {
		b.active[id] = w
	}
	if err := b.send(wire.NewMap("kind", control.KindBatch, "next", texts(ids))); err != nil {
		return nil, err
	}
	if len(hosts) > 0 {
		b.m.ssh.start(b.m.ctx, b.job, b.what, hosts, b.how)
	}
	if len(sent) == 0 {
		return w, nil
	}
	load := b.job.Publish.Clone()
	load.Set("tgt", texts(sent))
	load.Set("tgt_type", "list")
	load.Delete("delimiter")
	return w, b.m.send(load, sent, true)
}

// route hands what has happened to the followers of the parts.
func (b *batch) route() {
	for _, e := range b.watch.take() {
		if w := b.active[e.id]; w != nil {
			w.feed(e)
		}
	}
}

// told passes on what a part's follower tells, and frees the places of minions that
// are done. stop is true where --failhard ends the batch.
func (b *batch) told(f *wire.Map) (stop bool, err error) {
	if err := b.send(f); err != nil {
		return false, err
	}
	kind := f.Text("kind")
	if kind != control.KindReturn && kind != control.KindAbsent {
		return false, nil
	}
	id := wire.MinionID(f.Text("id"))
	delete(b.active, id)
	if b.wait > 0 {
		b.resting = append(b.resting, time.Now().Add(b.wait))
	}
	if b.failhard && (kind == control.KindAbsent || failed(f.Map("load"))) {
		b.m.log.Info("batch stopped by a failure", "jid", b.job.JID, "minion", id, "left", len(b.toRun))
		return true, b.send(wire.NewMap("kind", control.KindBatch, "stopped", string(id), "left", int64(len(b.toRun)), "working", int64(len(b.active))))
	}
	return false, b.count()
}

// count tells how far the batch is, where the caller shows that.
func (b *batch) count() error {
	if !b.opts.Counter || time.Since(b.counted) < 100*time.Millisecond {
		return nil
	}
	b.counted = time.Now()
	all, taken, returned := b.job.counts()
	return b.send(wire.NewMap("kind", control.KindWaiting, "all", int64(all), "taken", int64(taken), "returned", int64(returned)))
}

// failed tells whether a return has an exit code that is not 0; of several functions
// one is enough.
func failed(load *wire.Map) bool {
	ret, err := wire.ReturnFromMap(load)
	return err != nil || ret.Retcode != 0
}
