package module

import (
	"context"
	"log/slog"
	"sync"

	"github.com/gosalt/gosalt/internal/fileclient"
	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/protocol/wire"
)

// A Call is what a function may touch while it runs. Whoever runs functions fills
// in the exported fields and hands the Call to Registry.Run; a nil field is filled
// with something harmless (no grains, a logger that drops everything, this host).
// One Call serves one job at a time, and its methods may be called concurrently.
type Call struct {
	// Job is the job this call belongs to; nil outside of one.
	Job *Job
	// Opts is the minion's configuration by Salt's option names; read only.
	Opts *wire.Map
	// Grains returns what is known of this machine; read only, never nil inside a function.
	Grains func() *wire.Map
	// Pillar returns what the master tells this minion alone; read only, never nil inside a function.
	Pillar func() *wire.Map
	// Log is narrowed with the job's id and the function's name.
	Log *slog.Logger
	// Host is the machine that the function works on.
	Host *host.Host
	// Files fetches files by address, of the master and of elsewhere; nil where there is
	// no file server.
	Files Files
	// FileServer lists and reads what is below salt://; nil where there is no file server.
	FileServer fileclient.Client
	// Jobs is what the minion runs; nil where there is no minion.
	Jobs Jobs
	// Master is the way to the minion's masters; nil without one.
	Master Master
	// Schedule asks the minion's scheduler for something, with the fields of Salt's
	// event manage_schedule; the answer has "error" where it could not be done. Nil
	// where no minion runs.
	Schedule func(ctx context.Context, req *wire.Map) (*wire.Map, error)
	// Bus is the event bus of the minion on this machine; nil where none runs.
	Bus Bus
	// MasterEvent puts an event of a run of states on the bus of the master that runs
	// them itself; nil elsewhere.
	MasterEvent func(tag string, data *wire.Map)
	// Quit ends the minion on this machine once the result of this job is with the
	// master, or cannot be brought there soon. With argv the minion then becomes that
	// program. It returns the minion's process id. Nil where no minion runs.
	Quit func(ctx context.Context, argv []string) (pid int, err error)
	// Reach asks whether a master answers at an address, with a port or without; nil
	// where there is no way to one.
	Reach func(ctx context.Context, master string) error
	// Runas is the user that commands of cmd.* run as where their call names none: that of
	// the state that makes it; "" for none.
	Runas string
	// CacheDir is the minion's cachedir: below it functions keep what may be lost.
	CacheDir string
	// OnProgress is told of output while the function still runs; nil drops it.
	OnProgress func(v any)
	// CompilePillar has the pillar compiled anew, by the master or, without one, here. Nil
	// where there is no minion.
	CompilePillar func(ctx context.Context, q PillarQuery) (*wire.Map, error)
	// Hide makes texts known as secret: they show neither in results nor in events and
	// logs from now on. Nil where nothing is hidden.
	Hide func(texts ...string)
	// Masked is a value without what is known as secret: for what a function writes where
	// others may read it. Nil where nothing is hidden.
	Masked func(v any) any
	// Refresh carries out what a function asks of the minion itself: "grains",
	// "pillar" or "modules" are read anew. Nil where nothing is kept.
	Refresh func(ctx context.Context, what string) error

	// Kinds give the registries of what is not called as a function: "states",
	// "returners", "renderers", "runners". sys.* reports on them; few calls do.
	Kinds map[string]func() *Registry

	fun     string
	reg     *Registry
	crossed bool
	shared  *shared
}

// Kind is one of the registries of c.Kinds; nil where there is none.
func (c *Call) Kind(name string) *Registry {
	if get := c.Kinds[name]; get != nil {
		return get()
	}
	return nil
}

// shared is what a call and the calls it makes have in common: Salt's __context__.
type shared struct {
	mu      sync.Mutex
	retcode int
	values  map[string]any
}

// Bus is the event bus of a minion. Its methods may be called concurrently.
type Bus interface {
	// Fire puts an event on the bus.
	Fire(ctx context.Context, tag string, data *wire.Map) error
	// Watch hands each event that is fired from now on to fn, until fn returns false or
	// an error, or ctx ends.
	Watch(ctx context.Context, fn func(tag string, data *wire.Map) (bool, error)) error
}

// PillarQuery says which pillar is to be compiled.
type PillarQuery struct {
	Saltenv, Pillarenv string    // "" for none
	Override           *wire.Map // laid over it
	Ext                any       // an ext_pillar that is asked for
	Fresh              bool      // not one that the master keeps (pillar_cache)
}

// A Job is what a function may know of the job that runs it.
type Job struct {
	ID   wire.JobID // "20261122063858048545"
	Fun  string     // the function that was asked for
	User string     // who asked, as the master tells: "root", "sudo_alice"
	// Pub is the job as it was published. Functions that take any keyword see its
	// entries as __pub_jid, __pub_tgt and so on, as Salt's do.
	Pub *wire.Map
}

// Files fetches files by address: "salt://web/conf?saltenv=base", and what else
// the minion can reach. fileclient.Fetcher is one.
type Files interface {
	// Fetch brings a file to this machine and returns its path, which stays valid
	// until the job ends. ErrNoFile is returned for a salt:// address that names no file.
	// It may be called concurrently.
	Fetch(ctx context.Context, url string, o fileclient.FetchOptions) (path string, err error)
}

// ErrNoFile is what Files.Fetch returns for an address that names no file.
var ErrNoFile = fileclient.ErrNotFound

// Fun is the name that the function was called by: "cmd.run".
func (c *Call) Fun() string { return c.fun }

// Functions is the registry this call came through.
func (c *Call) Functions() *Registry { return c.reg }

// Has tells whether there is a function of a name on this machine.
func (c *Call) Has(name string) bool { return c.reg.Lookup(name).For(c) != nil }

// Direct tells whether the job itself asked for this function. A function that
// another one or a template calls is not direct: Salt gives those no __pub_jid,
// and several functions guess their defaults from that.
func (c *Call) Direct() bool { return c.Job != nil && !c.crossed }

// SetRetcode sets the exit code of the whole job, as Salt's __context__["retcode"]
// does. The last one to set it wins, functions called by functions included.
func (c *Call) SetRetcode(n int) {
	c.shared.mu.Lock()
	defer c.shared.mu.Unlock()
	c.shared.retcode = n
}

// Retcode is what SetRetcode left: 0 before it is called.
func (c *Call) Retcode() int {
	c.shared.mu.Lock()
	defer c.shared.mu.Unlock()
	return c.shared.retcode
}

// Context returns what SetContext kept under a key for the rest of this job, nil
// before. It is Salt's __context__: a cache that functions of one job share.
func (c *Call) Context(key string) any {
	c.shared.mu.Lock()
	defer c.shared.mu.Unlock()
	return c.shared.values[key]
}

// SetContext keeps a value for the functions that run later in this job.
func (c *Call) SetContext(key string, v any) {
	c.shared.mu.Lock()
	defer c.shared.mu.Unlock()
	if c.shared.values == nil {
		c.shared.values = map[string]any{}
	}
	c.shared.values[key] = v
}

// Progress reports something before the function ends, a line of output say, to
// whoever watches the job. v is of the wire's value model.
func (c *Call) Progress(v any) {
	if c.OnProgress != nil {
		c.OnProgress(v)
	}
}

// Watched tells whether Progress reaches anyone, for functions that would have to
// do more work for it.
func (c *Call) Watched() bool { return c.OnProgress != nil }

// Call runs another function in the name of this one and returns its value in the
// wire's value model. Exit code and context are shared. Errors are those of
// Register: an *Error of kind NotAvailable for an unknown name.
func (c *Call) Call(ctx context.Context, fun string, args []any, kwargs *wire.Map) (any, error) {
	f, err := c.reg.on(c, fun)
	if err != nil {
		return nil, err
	}
	next := *c
	next.fun, next.crossed = fun, true
	return f.invoke(ctx, &next, args, kwargs)
}
