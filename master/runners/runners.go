// Package runners holds the functions that run on the master: gosalt-run's jobs.*
// and manage.*. One function is one declaration with its comment, as on the
// minions (package internal/module); jobs.go and manage.go hold them.
package runners

import (
	"context"
	"embed"
	"errors"
	"log/slog"
	"time"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/master/events"
	"github.com/gosalt/gosalt/master/jobs"
	"github.com/gosalt/gosalt/protocol/wire"
)

//go:embed *.go
var sources embed.FS

// Master is what runners may use of the master that runs them. All methods may be
// called concurrently.
type Master interface {
	// Jobs is the job store.
	Jobs() jobs.Store
	// Accepted lists the minions whose key is accepted, sorted.
	Accepted() ([]wire.MinionID, error)
	// Connected is the set of minions that are connected now.
	Connected() map[wire.MinionID]bool
	// Ask runs a function on minions and returns what came back within the timeout
	// (0: the master's own). Minions without a return are not in the answer.
	Ask(ctx context.Context, a Ask) (Answer, error)
	// Explain says in a sentence why a minion's return of a job is missing.
	Explain(ctx context.Context, jid wire.JobID, id wire.MinionID) string
}

// Ask is a question to minions.
type Ask struct {
	Fun     string
	Args    []any
	Target  any    // text, or a list of ids
	Type    string // "glob", "list", ...
	User    string
	Timeout time.Duration
	Gather  time.Duration
}

// Answer is what came back: the return loads, and who was asked.
type Answer struct {
	JID     wire.JobID
	Asked   []wire.MinionID
	Returns map[wire.MinionID]*wire.Map
}

// Runners runs functions on behalf of a master.
type Runners struct {
	master Master
	bus    *events.Bus
	log    *slog.Logger
	reg    *module.Registry
}

// New makes the runners of a master.
func New(m Master, bus *events.Bus, log *slog.Logger) *Runners {
	r := &Runners{master: m, bus: bus, log: log, reg: module.NewRegistry()}
	r.reg.Sources("github.com/gosalt/gosalt/master/runners", sources)
	r.registerJobs()
	r.registerManage()
	return r
}

// Registry is the functions, for their documentation.
func (r *Runners) Registry() *module.Registry { return r.reg }

// Request is one call of a runner.
type Request struct {
	Fun      string
	Args     []any // keywords as a map with __kwarg__
	User     string
	Progress func(any) // output while it runs; may be nil
}

// Result is what became of it.
type Result struct {
	Return  any
	Success bool
	Known   bool // there is such a function
	JID     wire.JobID
	Out     string
}

type userKey struct{}

// userOf is who called the runner.
func userOf(ctx context.Context) string {
	u, _ := ctx.Value(userKey{}).(string)
	return u
}

// Run runs a function and fires its events, salt/run/<jid>/new and /ret.
func (r *Runners) Run(ctx context.Context, q Request) Result {
	jid := wire.NewJobID(time.Now())
	started := wire.NewMap("fun", "runner."+q.Fun, "jid", string(jid), "user", q.User, "fun_args", q.Args)
	r.bus.Publish(events.RunNew(jid), started)
	ctx = context.WithValue(ctx, userKey{}, q.User)
	res := r.reg.Run(ctx, &module.Call{Log: r.log.With("jid", jid), OnProgress: q.Progress}, q.Fun, q.Args, nil)
	var e *module.Error
	out := Result{Return: res.Return, Success: res.Success, JID: jid, Out: res.Out}
	out.Known = !(errors.As(res.Err, &e) && e.Kind == module.NotAvailable && !r.reg.Has(q.Fun))
	if res.Err != nil {
		out.Success = false
	}
	ended := started.Clone()
	ended.Set("return", out.Return)
	ended.Set("success", out.Success)
	r.bus.Publish(events.RunReturn(jid), ended)
	return out
}
