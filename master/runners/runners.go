// Package runners holds the functions that run on the master: gosalt-run's jobs.*,
// manage.* and doc.*. One function is one declaration with its comment, as on the
// minions (package internal/module).
//
// Start with run.go, which is what a call goes through. jobs.go, list.go and
// active.go are jobs.*; manage.go, presence.go and versions.go are manage.*; doc.go
// is doc.*, doctor.go doctor.*; planned.go names what Salt has and gosalt has not yet.
package runners

import (
	"context"
	"embed"
	"log/slog"
	"sync"
	"time"

	"github.com/gosalt/gosalt/internal/doctor"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/returners"
	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/master/events"
	"github.com/gosalt/gosalt/master/jobs"
	"github.com/gosalt/gosalt/master/vm"
	"github.com/gosalt/gosalt/protocol/wire"
)

//go:embed *.go
var sources embed.FS

// Master is what runners may use of the master that runs them. All methods may be
// called concurrently.
type Master interface {
	// ID is the master's own id, "salt1_master": what its runners return under.
	ID() string
	// Jobs is the job store.
	Jobs() jobs.Store
	// KeepsJobs tells whether results are kept there (job_cache).
	KeepsJobs() bool
	// Reader opens a returner to look jobs up in; the caller closes it.
	Reader(name string) (returners.Reader, error)
	// Accepted lists the minions whose key is accepted, sorted.
	Accepted() ([]wire.MinionID, error)
	// Connected is the set of minions that are connected now.
	Connected() map[wire.MinionID]bool
	// Address is where a minion's last request came from, "192.0.2.7"; "" where that
	// is not known.
	Address(id wire.MinionID) string
	// Ask runs a function on minions and returns what came back within the timeout
	// (0: the master's own). Minions without a return are not in the answer.
	Ask(ctx context.Context, a Ask) (Answer, error)
	// Explain says in a sentence why a minion's return of a job is missing.
	Explain(ctx context.Context, jid wire.JobID, id wire.MinionID) string
	// Doctor looks for what is wrong with the master and with the minions of a target.
	Doctor(ctx context.Context, tgt any, kind string, timeout time.Duration) ([]doctor.Finding, error)
	// Withdraw takes a queued job back from the minions that have not taken it, on
	// behalf of that user, and returns them.
	Withdraw(ctx context.Context, jid wire.JobID, user string) ([]wire.MinionID, error)
	// DeleteKey deletes a minion's accepted key, on behalf of that user, and ends
	// what it had by it.
	DeleteKey(id wire.MinionID, user string) error

	// Inventory is the machines that there are; an error says that none is configured.
	Inventory() (*inventory.Inventory, error)

	// VMs makes and ends machines; an error says that it cannot.
	VMs() (*vm.Manager, error)

	MinionCache
	Local
	Keys
	FileServer
}

// Ask is a question to minions.
type Ask struct {
	Fun     string
	Args    []any
	Target  any    // text, or a list of ids
	Type    string // "glob", "list", ...
	User    string
	Ret     string // a returner for the results, besides the master
	Timeout time.Duration
	Gather  time.Duration
	Like    *wire.Job        // run this again in place of Fun and Args: with its returners, metadata and so on; or nil
	Begun   func(wire.JobID) // is told the job's id when it is published; may be nil
}

// Answer is what came back: the return loads, and who was asked, sorted.
type Answer struct {
	JID     wire.JobID // "" where nobody matches the target
	Asked   []wire.MinionID
	Missing []wire.MinionID // named by a list, but without an accepted key
	Returns map[wire.MinionID]*wire.Map
}

// Runners runs functions on behalf of a master. Its methods may be called concurrently.
type Runners struct {
	master Master
	bus    *events.Bus
	log    *slog.Logger
	reg    *module.Registry
	wheel  *module.Registry

	started sync.WaitGroup // those of Start

	mu     sync.Mutex
	active map[wire.JobID]*wire.Map // what runs now, as its event of the start says
}

// New makes the runners of a master.
func New(m Master, bus *events.Bus, log *slog.Logger) *Runners {
	r := &Runners{master: m, bus: bus, log: log, reg: module.NewRegistry(), wheel: newWheel(), active: map[wire.JobID]*wire.Map{}}
	r.reg.Sources("github.com/gosalt/gosalt/master/runners", sources)
	registerJobs(r.reg)
	module.Register(r.reg, "jobs.rerun", jobsRerun)
	module.Register(r.reg, "jobs.diff", jobsDiff)
	module.Register(r.reg, "jobs.unqueue", jobsUnqueue)
	registerManage(r.reg)
	registerDoc(r.reg)
	registerDoctor(r.reg)
	registerMine(r.reg)
	registerCache(r.reg)
	registerBanks(r.reg)
	registerPillar(r.reg)
	registerEvents(r.reg)
	registerSalt(r.reg)
	registerTest(r.reg)
	registerFileserver(r.reg)
	registerSurvey(r.reg)
	registerNetwork(r.reg)
	registerSaltutil(r.reg)
	registerHTTP(r.reg)
	registerOrchestrate(r.reg)
	registerInventory(r.reg)
	registerVM(r.reg)
	planned(r.reg)
	return r
}

// Registry is the functions, for their documentation.
func (r *Runners) Registry() *module.Registry { return r.reg }
