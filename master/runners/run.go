package runners

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/secret"
	"github.com/gosalt/gosalt/master/events"
	"github.com/gosalt/gosalt/master/jobs"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Request is one call of a runner.
type Request struct {
	Fun      string
	Args     []any // keywords as a map with __kwarg__
	User     string
	JID      wire.JobID    // "" takes a new one
	Timeout  time.Duration // for answers of minions, where the function is given none; 0: the master's own
	Progress func(any)     // output while it runs; may be nil
}

// Result is what became of it.
type Result struct {
	JID     wire.JobID
	Return  any    // what to show: the answer, or a text that says why there is none
	Out     string // the outputter for it; "" is the default
	Success bool   // as the event of its end says
	Known   bool   // there is such a function
	Retcode int    // 1 where the function failed; a wrong call is answered with 0, as Salt does
	// Err is why the function did not do what it was asked for; "" where it did.
	// Salt shows documentation for some mistakes, and nothing of the mistake.
	Err string
	// Notes are for people, beside the answer: what it does not say itself.
	Notes []string

	eventCode int // what the event of its end says where Retcode is 0
}

// call is the runner that a function runs in.
type call struct {
	r       *Runners
	jid     wire.JobID
	user    string
	timeout time.Duration
	secrets *secret.Set // what must be hidden in everything that is kept or told to others

	mu    sync.Mutex
	notes []string
}

// maxNotes is how many notes a call may leave; more help nobody.
const maxNotes = 100

// note leaves a line for people beside the answer.
func (c *call) note(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.notes) < maxNotes {
		c.notes = append(c.notes, fmt.Sprintf(format, args...))
	}
}

type callKey struct{}

// callOf is how a function finds the call it belongs to: it is a plain function, as
// its documentation is found by its name, so this comes with its context.
func callOf(ctx context.Context) *call { return ctx.Value(callKey{}).(*call) }

// ask asks minions on behalf of who called the runner.
func (c *call) ask(ctx context.Context, a Ask) (Answer, error) {
	a.User = c.user
	if a.Timeout == 0 {
		a.Timeout = c.timeout
	}
	return c.r.master.Ask(ctx, a)
}

// Run runs a function and fires its events, salt/run/<jid>/new and /ret.
func (r *Runners) Run(ctx context.Context, q Request) Result {
	if q.JID == "" {
		q.JID = wire.NewJobID(time.Now())
	}
	return r.run(ctx, q, false)
}

// Start begins to run a function and returns at once. Its result is told by the
// event of its end and by jobs.lookup_jid. ctx is the context of the master, not of
// who asks; Wait waits for it. For an unknown function the result is that of Run.
func (r *Runners) Start(ctx context.Context, q Request) Result {
	if q.JID == "" {
		q.JID = wire.NewJobID(time.Now())
	}
	if !r.reg.Has(q.Fun) {
		return r.run(ctx, q, true)
	}
	q.Progress = nil
	r.started.Go(func() { r.run(ctx, q, true) })
	return Result{JID: q.JID, Success: true, Known: true}
}

// Wait returns when all functions that Start began have ended.
func (r *Runners) Wait() { r.started.Wait() }

func (r *Runners) run(ctx context.Context, q Request, async bool) Result {
	begun := time.Now()
	started := wire.NewMap("fun", "runner."+q.Fun, "jid", string(q.JID), "user", q.User, "fun_args", shown(q.Args))
	if !r.reg.Has(q.Fun) {
		started = wire.NewMap("fun", q.Fun, "fun_args", shown(q.Args), "jid", string(q.JID))
	}
	if r.reg.Has(q.Fun) {
		r.bus.Publish(events.RunNew(q.JID), started)
	}
	r.begin(q.JID, started)
	defer r.end(q.JID)
	one := &call{r: r, jid: q.JID, user: q.User, timeout: q.Timeout}
	ctx = context.WithValue(ctx, callKey{}, one)
	ran := r.reg.Run(ctx, &module.Call{Log: r.log.With("jid", q.JID), OnProgress: r.progress(q)}, q.Fun, q.Args, nil)
	out, called := r.answer(q, ran)
	out.Notes = one.notes
	ended := started.Clone()
	ended.Set("_stamp", events.Stamp(time.Now()))
	public := out
	public.Return = one.secrets.Value(out.Return)
	ended.Set("return", public.Return)
	ended.Set("success", out.Success)
	if code := cmp.Or(out.Retcode, out.eventCode); code != 0 {
		ended.Set("retcode", int64(code))
	}
	r.bus.Publish(events.RunReturn(q.JID), ended)
	if called && (async || keep(q.Fun)) {
		r.store(ctx, q, begun, public, ended)
	}
	if data, name, ok := outputterOf(out.Return); ok {
		if m, ok := out.Return.(*wire.Map); ok && out.Retcode == 0 {
			out.Retcode = int(m.Int("retcode"))
		}
		out.Return, out.Out = data, name
	}
	return out
}

// progress passes on what a function reports: to who waits for it and, where it has the
// form of an event ({suffix, event}), to the bus.
func (r *Runners) progress(q Request) func(any) {
	return func(v any) {
		if m, ok := v.(*wire.Map); ok && m.Text("suffix") != "" && m.Map("event") != nil {
			event := m.Map("event").Clone()
			event.Set("_stamp", events.Stamp(time.Now()))
			r.bus.Publish(events.Run(q.JID)+m.Text("suffix"), event)
			m = m.Clone()
			m.Set("event", event)
			v = m
		}
		if q.Progress != nil {
			q.Progress(v)
		}
	}
}

// answer words what a function did as Salt's salt-run does. called is false where it
// did not come to a call: there is no such function, or no such keyword.
func (r *Runners) answer(q Request, ran module.Result) (out Result, called bool) {
	out = Result{JID: q.JID, Return: ran.Return, Out: ran.Out, Known: r.reg.Has(q.Fun)}
	if ran.Err == nil {
		out.Success = succeeded(ran.Return)
		return out, true
	}
	out.Err = ran.Err.Error()
	var e *module.Error
	errors.As(ran.Err, &e)
	switch {
	case !out.Known:
		out.Return, out.Out, out.eventCode = r.near(q.Fun, out.Err), "nested", 254
		return out, false
	case e != nil && e.Kind == module.Keywords:
		// Salt answers with the documentation of what has a name like it.
		out.Return, out.Out = r.near(q.Fun, out.Err), "nested"
		return out, false
	case e != nil && e.Kind == module.Arguments:
		out.Success = true // to Salt this text is a result like any other
		out.Return = "\nPassed invalid arguments: " + out.Err + "\n\nUsage:\n" + r.reg.DocText(q.Fun)
	default:
		out.Return = "Exception occurred in runner " + q.Fun + ": " + out.Err
		out.Retcode = 1
	}
	return out, true
}

// near is the documentation of all functions whose name begins so, or else a text.
func (r *Runners) near(fun, text string) any {
	docs := wire.NewMap()
	for _, name := range r.reg.Names() {
		if strings.HasPrefix(name, fun) {
			docs.Set(name, r.reg.DocText(name))
		}
	}
	if docs.Len() > 0 {
		return docs
	}
	return text
}

// shown is a call's arguments as its events have them: keywords as a map of their own,
// and no passwords.
func shown(args []any) []any {
	out := []any{}
	for _, a := range args {
		if m, ok := a.(*wire.Map); ok && m.Bool("__kwarg__") {
			m = m.Clone()
			m.Delete("__kwarg__")
			if m.Text("password") != "" {
				m.Set("password", "(hidden)")
			}
			if m.Len() == 0 {
				continue
			}
			a = m
		}
		out = append(out, a)
	}
	return out
}

// outputterOf takes apart the form in which a function asks for an outputter by
// what it returns: a map of outputter and data, and of nothing else than a retcode.
func outputterOf(v any) (data any, name string, ok bool) {
	m, isMap := v.(*wire.Map)
	if !isMap || m.Len() != 2 && !(m.Len() == 3 && m.Has("retcode")) || !m.Has("data") || !m.Has("outputter") {
		return nil, "", false
	}
	data, _ = m.Get("data")
	return data, m.Text("outputter"), true
}

// withOutputter is what outputterOf takes apart, or just the data for no name.
func withOutputter(name string, data any) any {
	if name == "" {
		return data
	}
	return wire.NewMap("outputter", name, "data", data)
}

// succeeded tells whether an answer that has data holds no failed state in it; an
// answer without data always is a success.
func succeeded(v any) bool {
	m, ok := v.(*wire.Map)
	if !ok || !m.Has("data") {
		return true
	}
	data, _ := m.Get("data")
	return statesPassed(data, false)
}

// statesPassed looks for "result": False in the results of states, however deep
// they are: those of one minion, of several, of an orchestration.
func statesPassed(v any, inside bool) bool {
	m, ok := v.(*wire.Map)
	if !ok || inside && m.Len() == 0 {
		return false
	}
	for _, e := range m.All() {
		state, ok := e.(*wire.Map)
		if !ok {
			if inside {
				continue
			}
			return false
		}
		if result, has := state.Get("result"); has {
			if result == false {
				return false
			}
		} else if !statesPassed(state, true) {
			return false
		}
	}
	return true
}

// begin and end keep the list of what runs now.
func (r *Runners) begin(jid wire.JobID, started *wire.Map) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.active[jid] = started
}

func (r *Runners) end(jid wire.JobID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.active, jid)
}

// keep tells whether a call is kept in the job store although somebody waited for
// its answer. Salt keeps all; jobs.* and doc.* only show what is there already, and
// answers about the store that went into the store would make each longer than the last.
func keep(fun string) bool {
	return !strings.HasPrefix(fun, "jobs.") && !strings.HasPrefix(fun, "doc.")
}

// store keeps a call as Salt does: as a job of function runner.<name> whose one
// minion is the master. Failing to is logged: the answer is there all the same.
func (r *Runners) store(ctx context.Context, q Request, begun time.Time, out Result, ended *wire.Map) {
	if !r.master.KeepsJobs() {
		return
	}
	id, err := wire.ParseMinionID(r.master.ID())
	if err == nil {
		var load []byte
		if load, err = wire.Encode(wire.NewMap("return", ended), wire.Local); err == nil {
			fun := "runner." + q.Fun
			_, err = r.master.Jobs().PutReturn(context.WithoutCancel(ctx), jobs.Return{JID: q.JID, Minion: id, Fun: fun, User: q.User,
				Retcode: int64(out.Retcode), Success: out.Success, ReceivedAt: time.Now(), Load: load,
				Job: &jobs.Job{JID: q.JID, Fun: fun, Arg: ended.List("fun_args"), Tgt: string(id), TgtType: "list", User: q.User, Start: begun}})
		}
	}
	if err != nil {
		r.log.Error("result of a runner cannot be stored", "jid", q.JID, "fun", q.Fun, "error", err)
	}
}
