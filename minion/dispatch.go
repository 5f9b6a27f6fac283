package minion

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gosalt/gosalt/internal/durable"
	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/minion/journal"
	"github.com/gosalt/gosalt/protocol/wire"
)

// dispatcher runs jobs: at most once each, concurrently, and remembered on disk.
type dispatcher struct {
	id       wire.MinionID
	reg      *module.Registry
	journal  jobJournal
	log      *slog.Logger
	call     func(job *module.Job) *module.Call // everything of a call but its Job and Jobs
	finished func()                             // a result waits in the journal
	execute  func(ctx context.Context, c *module.Call, job *wire.Job, fun string, args []any) module.Result
	// returners gives a result to the job's returners; may be nil.
	returners func(job *wire.Job, ret *wire.Map, scheduled bool)
	// watched starts to report the output of a job to who asked for it; may be nil. stop
	// returns how many lines could not be reported.
	watched func(job *wire.Job, from source) (add func(any), stop func() int)
	max     int    // jobs at once; below 1 without limit
	maxRet  int64  // bytes of a result
	cached  string // directory in which results are kept besides (cache_jobs), or ""

	mu      sync.Mutex
	running map[wire.JobID]*runningJob
	free    *sync.Cond
	closed  bool
	wg      sync.WaitGroup
}

// jobJournal is what a dispatcher needs of journal.Journal.
type jobJournal interface {
	Begin(jid wire.JobID, master string, load *wire.Map, keyID string, number int64) error
	Done(jid wire.JobID, ret *wire.Map) error
	Acked(jid wire.JobID)
}

type runningJob struct {
	load    *wire.Map
	cancel  context.CancelCauseFunc
	signals *host.Signals            // of its commands
	finish  func(ret *wire.Map) bool // see source
}

// init makes a dispatcher of its settings.
func (d *dispatcher) init() *dispatcher {
	d.running = map[wire.JobID]*runningJob{}
	d.free = sync.NewCond(&d.mu)
	return d
}

// source is where a job came from.
type source struct {
	master string // journal's name of the master
	keyID  string // of the key of the publish, "" for a job that came as an answer
	taken  func() // is called when the job is on the disk, before it runs; may be nil
	// ours asks whether the job is still this minion's, after it is on the disk; an error is
	// that ctx has ended. May be nil.
	ours func(ctx context.Context) (bool, error)
	// finish completes the result of a job, and tells whether the master is to have it;
	// may be nil.
	finish func(ret *wire.Map) bool
}

// take runs a job that targets this minion, in a goroutine of its own. It returns
// when the job is in the journal; a job that was taken before is passed over.
func (d *dispatcher) take(ctx context.Context, job *wire.Job, from source) error {
	load := job.ToMap()
	serial := job.Serial
	if from.keyID == "" {
		serial = 0
	}
	err := d.journal.Begin(job.JID, from.master, load, from.keyID, serial)
	switch {
	case errors.Is(err, journal.ErrTaken):
		d.log.Debug("job was taken before", "jid", job.JID)
		return nil
	case err != nil:
		return err
	}
	jctx, cancel := context.WithCancelCause(context.WithValue(ctx, jobMaster{}, from.master))
	jctx, signals := host.WithSignals(jctx)
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		cancel(nil)
		return nil // it is in the journal, and comes back as interrupted
	}
	d.running[job.JID] = &runningJob{load: load, cancel: cancel, signals: signals, finish: from.finish}
	d.wg.Add(1)
	d.mu.Unlock()
	if from.taken != nil {
		from.taken()
	}
	go func() {
		defer d.wg.Done()
		defer cancel(nil)
		// A command that was asked to end and goes on must not hold up the minion's end.
		defer context.AfterFunc(ctx, func() {
			if module.EndSignal(jctx) != 0 {
				signals.Kill()
			}
		})()
		switch ours, err := d.isOurs(jctx, from); {
		case err != nil:
			d.mu.Lock()
			d.ended(jctx, job)
			d.mu.Unlock()
		case !ours:
			d.elsewhere(job)
		case d.slot(jctx, job):
			d.run(jctx, job, from)
		}
		d.mu.Lock()
		delete(d.running, job.JID)
		d.free.Broadcast()
		d.mu.Unlock()
		d.finished()
	}()
	return nil
}

func (d *dispatcher) isOurs(ctx context.Context, from source) (bool, error) {
	if from.ours == nil {
		return true, nil
	}
	return from.ours(ctx)
}

// elsewhere ends a job that somebody else does: nothing is told of it, now or later.
func (d *dispatcher) elsewhere(job *wire.Job) {
	d.log.Info("job is done over SSH, and not run here: this minion was late to take it", "jid", job.JID, "fun", funNames(job))
	ret := (&wire.Return{JID: job.JID, ID: d.id, Fun: job.Fun, FunArgs: job.Arg, Multi: job.Multi, User: job.User, Retcode: 1, Out: "nested",
		Return: "ERROR: the job was done over SSH, and not by the minion"}).ToMap()
	if err := d.journal.Done(job.JID, ret); err != nil {
		d.log.Error("that a job is done elsewhere cannot be kept", "jid", job.JID, "error", err)
	}
	d.journal.Acked(job.JID)
}

// exempt functions run beside a full process_count_max: without them nobody could
// ask what fills it.
func exempt(fun string) bool { return strings.HasPrefix(fun, "saltutil.") || fun == "doctor.check" }

// slot waits until the job may run under process_count_max: the oldest jobs first.
func (d *dispatcher) slot(ctx context.Context, job *wire.Job) bool {
	if d.max < 1 || exempt(job.Fun) {
		return true
	}
	stop := context.AfterFunc(ctx, func() {
		d.mu.Lock()
		d.free.Broadcast()
		d.mu.Unlock()
	})
	defer stop()
	d.mu.Lock()
	defer d.mu.Unlock()
	for ctx.Err() == nil {
		before := 0
		for jid, r := range d.running {
			if jid < job.JID && !exempt(r.load.Text("fun")) {
				before++
			}
		}
		if before < d.max {
			return true
		}
		d.free.Wait()
	}
	return d.ended(ctx, job)
}

// ended notes the result of a job that was ended before it began to run; false.
func (d *dispatcher) ended(ctx context.Context, job *wire.Job) bool {
	if sig := module.EndSignal(ctx); sig != 0 {
		d.mu.Unlock()
		d.done(job, module.Result{Return: "ERROR: " + context.Cause(ctx).Error(), Retcode: 1, Out: "nested"}, 0)
		d.mu.Lock()
	}
	return false
}

// run runs the functions of a job and puts the result into the journal. A minion
// that is being stopped leaves the job as begun: it will be told as interrupted.
func (d *dispatcher) run(ctx context.Context, job *wire.Job, from source) {
	started := time.Now()
	var progress func(any)
	reported := func() int { return 0 }
	if d.watched != nil {
		progress, reported = d.watched(job, from)
	}
	reported = sync.OnceValue(reported)
	defer reported()
	log := d.log.With("jid", job.JID)
	log.Info("job started", "fun", funNames(job), "user", job.User)
	if job.Multi == nil {
		res := d.function(ctx, job, job.Fun, job.Arg, progress)
		if ctx.Err() != nil && module.EndSignal(ctx) == 0 {
			log.Warn("job interrupted: the minion is stopping", "fun", job.Fun)
			return
		}
		left := reported() // the result comes after the last lines
		d.done(job, res, left)
	} else {
		var all []module.Result
		for _, c := range job.Multi {
			all = append(all, d.function(ctx, job, c.Fun, c.Args, progress))
			if ctx.Err() != nil && module.EndSignal(ctx) == 0 {
				log.Warn("job interrupted: the minion is stopping", "fun", c.Fun)
				return
			}
		}
		left := reported()
		d.doneMulti(job, all, left)
	}
	log.Info("job done", "took", time.Since(started).Round(time.Millisecond))
}

func (d *dispatcher) function(ctx context.Context, job *wire.Job, fun string, args []any, progress func(any)) module.Result {
	c := d.call(&module.Job{ID: job.JID, Fun: fun, User: job.User, Pub: pub(job)})
	c.Jobs = d
	c.OnProgress = progress
	res := d.execute(ctx, c, job, fun, args)
	if sig := module.EndSignal(ctx); sig != 0 && res.Err != nil {
		res.Return = "ERROR: " + context.Cause(ctx).Error()
	}
	return d.bound(fun, res)
}

// pub is what a function sees of the publish as __pub_*: all but the number and gosalt's own.
func pub(job *wire.Job) *wire.Map {
	m := job.ToMap()
	m.Delete("serial")
	m.Delete(wire.FieldLive)
	m.Delete(wire.FieldSpare)
	return m
}

// bound refuses a result above max_return, and keeps its exit code.
func (d *dispatcher) bound(fun string, res module.Result) module.Result {
	if d.maxRet <= 0 {
		return res
	}
	if n := weigh(res.Return); n > d.maxRet {
		if res.Retcode == 0 {
			res.Retcode = 1
		}
		res.Return = fmt.Sprintf("ERROR: the result of %s has %d bytes, more than max_return (%d) allows: raise max_return in the configuration of minion and master, or have less printed", fun, n, d.maxRet)
		res.Success, res.Out = false, "nested"
	}
	return res
}

// weigh is about how many bytes a value takes when packed.
func weigh(v any) int64 {
	switch v := v.(type) {
	case string:
		return int64(len(v)) + 5
	case []byte:
		return int64(len(v)) + 5
	case []any:
		n := int64(5)
		for _, e := range v {
			n += weigh(e)
		}
		return n
	case *wire.Map:
		n := int64(5)
		for k, e := range v.All() {
			n += weigh(k) + weigh(e)
		}
		return n
	}
	return 9
}

// done puts the result of one function into the journal; unreported is how many lines
// of its output --live did not get.
func (d *dispatcher) done(job *wire.Job, res module.Result, unreported int) {
	ret := &wire.Return{JID: job.JID, ID: d.id, Fun: job.Fun, FunArgs: job.Arg,
		Return: res.Return, Retcode: int64(res.Retcode), Success: res.Success, Out: res.Out, User: job.User}
	d.keep(job, withUnreported(ret.ToMap(), unreported))
}

func withUnreported(ret *wire.Map, lines int) *wire.Map {
	if lines > 0 {
		ret.Set(wire.FieldUnreported, int64(lines))
	}
	return ret
}

// doneMulti makes one return of several functions: maps by function, as Salt's.
func (d *dispatcher) doneMulti(job *wire.Job, all []module.Result, unreported int) {
	values, retcodes, successes := wire.NewMap(), wire.NewMap(), wire.NewMap()
	retcode, success := 0, true
	for i, res := range all {
		fun := job.Multi[i].Fun
		values.Set(fun, res.Return)
		retcodes.Set(fun, int64(res.Retcode))
		successes.Set(fun, res.Success)
		retcode, success = max(retcode, res.Retcode), success && res.Success
	}
	raw := wire.NewMap("retcode", retcodes, "success", successes)
	ret := &wire.Return{JID: job.JID, ID: d.id, Multi: job.Multi, Return: values,
		Retcode: int64(retcode), Success: success, User: job.User, Raw: raw}
	d.keep(job, withUnreported(ret.ToMap(), unreported))
}

// keep puts a result into the journal. Where it does not fit on the disk, what is
// kept instead says so.
func (d *dispatcher) keep(job *wire.Job, ret *wire.Map) {
	if job.Metadata != nil {
		ret.Set("metadata", job.Metadata)
	}
	r := d.runningJob(job.JID)
	scheduled := r != nil && r.finish != nil
	wanted := !scheduled || r.finish(ret)
	if d.returners != nil {
		d.returners(job, ret, scheduled)
	}
	if !wanted {
		defer d.journal.Acked(job.JID)
	}
	d.cache(job.JID, ret)
	if err := d.journal.Done(job.JID, ret); err != nil {
		d.log.Error("result cannot be kept", "jid", job.JID, "error", err)
		ret = ret.Clone()
		ret.Set("return", "ERROR: the job ran, but its result could not be kept on the minion: "+err.Error())
		ret.Set("retcode", int64(1))
		ret.Set("success", false)
		if err := d.journal.Done(job.JID, ret); err != nil {
			d.log.Error("nor can that be kept: the job will be told as interrupted", "jid", job.JID, "error", err)
		}
	}
}

// cache keeps a result for saltutil.find_cached_job, where Salt's minions have it.
func (d *dispatcher) cache(jid wire.JobID, ret *wire.Map) {
	if d.cached == "" {
		return
	}
	dir := filepath.Join(d.cached, string(jid))
	b, err := wire.Encode(ret, wire.Local)
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err == nil {
		err = durable.WriteFile(filepath.Join(dir, "return.p"), b, 0o600)
	}
	if err != nil {
		d.log.Error("result cannot be kept (cache_jobs)", "jid", jid, "error", err)
	}
}

// Running is what saltutil.running answers.
func (d *dispatcher) Running() []*wire.Map {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []*wire.Map
	for _, r := range d.running {
		m := r.load.Clone()
		m.Set("pid", int64(os.Getpid()))
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b *wire.Map) int { return strings.Compare(a.Text("jid"), b.Text("jid")) })
	return out
}

func (d *dispatcher) isRunning(jid wire.JobID) bool { return d.runningJob(jid) != nil }

func (d *dispatcher) runningJob(jid wire.JobID) *runningJob {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.running[jid]
}

// ids are the jobs that run, in their order.
func (d *dispatcher) ids() []wire.JobID {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []wire.JobID
	for jid := range d.running {
		out = append(out, jid)
	}
	slices.Sort(out)
	return out
}

// Signal ends a job; see module.Jobs.
func (d *dispatcher) Signal(jid wire.JobID, sig int) bool {
	d.mu.Lock()
	r := d.running[jid]
	d.mu.Unlock()
	if r == nil {
		return false
	}
	switch sig {
	case sigHup, sigInt, sigQuit, sigAbrt, sigKill, sigTerm:
		r.cancel(&module.Signaled{Sig: sig})
	}
	r.signals.Send(sig)
	if sig == sigKill {
		r.signals.Kill()
	}
	return true
}

// The signals that end a job, by their numbers on all systems.
const (
	sigHup  = 1
	sigInt  = 2
	sigQuit = 3
	sigAbrt = 6
	sigKill = 9
	sigTerm = 15
)

// close takes no more jobs and waits for those that run; the context they were
// taken with has ended.
func (d *dispatcher) close() {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.wg.Wait()
}

// interrupted is the result of a job that an earlier process of this minion began.
func interrupted(id wire.MinionID) func(*wire.Map) *wire.Map {
	return func(load *wire.Map) *wire.Map {
		ret := wire.NewMap("cmd", wire.CmdReturn, "id", string(id), "success", false,
			"return", "ERROR: interrupted: the minion stopped while it ran this job, and does not run it again",
			"retcode", int64(1), "jid", load.Text("jid"))
		for _, k := range []string{"fun", "user", "metadata", "schedule"} {
			if v, ok := load.Get(k); ok {
				ret.Set(k, v)
			}
		}
		if !ret.Has("fun") {
			ret.Set("fun", "unknown.unknown")
		}
		arg, _ := load.Get("arg")
		ret.Set("fun_args", arg)
		ret.Set("out", "nested")
		return ret
	}
}

// dropped takes the place of a result that waited for its master too long.
func dropped(ret *wire.Map, why string) *wire.Map {
	ret = ret.Clone()
	ret.Set("return", "ERROR: the job ran, but its result was dropped: "+why)
	ret.Set("success", false)
	if ret.Int("retcode") == 0 && ret.Map("retcode") == nil {
		ret.Set("retcode", int64(1))
	}
	return ret
}

// funNames is a job's function, or its functions with commas.
func funNames(job *wire.Job) string {
	if job.Multi == nil {
		return job.Fun
	}
	var names []string
	for _, c := range job.Multi {
		names = append(names, c.Fun)
	}
	return strings.Join(names, ",")
}
