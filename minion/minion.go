// Package minion is the machine side's daemon: it signs in with its masters, runs the
// jobs that they publish, each at most once, and returns what came out.
//
// Start with Minion.Run (this file). link.go signs in and asks the master things,
// listen.go receives jobs, dispatch.go runs them, package journal remembers them on
// disk, deliver.go returns results. Package modules holds the functions, package
// grains what is known of the machine.
package minion

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/gosalt/gosalt/internal/config"
	"github.com/gosalt/gosalt/internal/fileclient"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/returners"
	"github.com/gosalt/gosalt/internal/secret"
	"github.com/gosalt/gosalt/minion/grains"
	"github.com/gosalt/gosalt/minion/journal"
	"github.com/gosalt/gosalt/minion/modules"
	"github.com/gosalt/gosalt/minion/schedule"
	"github.com/gosalt/gosalt/protocol/seal"
	"github.com/gosalt/gosalt/protocol/transport"
	"github.com/gosalt/gosalt/protocol/transport/zmq"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Config is what a minion is made of.
type Config struct {
	*config.Minion
	Log *slog.Logger
	// Dial makes connections; nil is ZeroMQ over TCP.
	Dial transport.Dialer
	// NoGrains leaves the machine without grains: gosalt-call --skip-grains.
	NoGrains bool
	// Ready is called when the minion receives jobs of its first master; may be nil.
	Ready func()
}

// Minion is a running or startable minion.
type Minion struct {
	cfg     Config
	id      wire.MinionID
	log     *slog.Logger
	key     *seal.PrivateKey
	dial    transport.Dialer
	reg     *module.Registry
	journal *journal.Journal
	jobs    *dispatcher
	ready   sync.Once
	greeted chan struct{} // closed when the first master is connected and the pillar is there
	deliver chan struct{} // there may be results to return
	opts    func() *wire.Map
	files   fileclient.Client

	schedule  *schedule.Scheduler
	bus       localBus
	quit      quitting
	returners *returners.Sender

	ctx        context.Context // Run's: jobs outlive a connection
	background sync.WaitGroup  // what was started on the side

	local bool // gosalt-call without a master
	// lazyPillar has the pillar fetched when it is first asked for: by a minion that lives
	// for one job, which mostly does not need it.
	lazyPillar bool
	// pillarIsNew says that nothing ran yet that the pillar could depend on; under mu.
	pillarIsNew bool
	secrets     *secret.Set // what was encrypted in the pillar, this one and those before it
	compiling   sync.Mutex

	mu     sync.Mutex
	grains *wire.Map
	pillar *wire.Map
	links  []*link // one for each master
}

// New opens what a minion needs: its key and its journal. Run must follow.
func New(cfg Config) (*Minion, error) {
	id, err := wire.ParseMinionID(cfg.ID)
	if err != nil {
		return nil, fmt.Errorf("option id: %w", err)
	}
	m := &Minion{cfg: cfg, id: id, log: cfg.Log, dial: cfg.Dial, reg: functions(cfg.Minion), deliver: make(chan struct{}, 1), greeted: make(chan struct{}),
		opts: sync.OnceValue(cfg.Opts), ctx: context.Background(), secrets: secret.New()}
	cfg.Log = m.hideSecrets(cfg.Log)
	m.log, m.cfg.Log = cfg.Log, cfg.Log
	if err := m.openFiles(cfg.MasterType == "disable"); err != nil {
		return nil, err
	}
	m.explainExtmods()
	if err := os.MkdirAll(cfg.CacheDir, 0o700); err != nil {
		return nil, fmt.Errorf("make the cache directory: %w; run the minion as a user who may write there, or set root_dir or cachedir", err)
	}
	if m.key, err = loadKey(cfg.PKIDir, cfg.KeySize); err != nil {
		return nil, err
	}
	if m.dial == nil {
		if m.dial, err = tcpDialer(cfg.Minion, cfg.Log); err != nil {
			return nil, err
		}
	}
	only := len(cfg.Master) < 2 || cfg.MasterType == "failover"
	for _, master := range cfg.Master {
		l, err := newLink(cfg.Minion, id, m.key, master, only, m.dial, cfg.Log)
		if err != nil {
			return nil, err
		}
		l.grains, l.secrets = m.Grains, m.secrets
		m.links = append(m.links, l)
	}
	if m.journal, err = journal.Open(filepath.Join(cfg.CacheDir, "jobs"), journal.Options{
		KeepUnack: cfg.SpoolAge, MaxUnack: int64(cfg.SpoolSize), Interrupted: interrupted(id), Dropped: dropped}); err != nil {
		return nil, err
	}
	cached := ""
	if cfg.CacheJobs {
		cached = filepath.Join(cfg.CacheDir, "minion_jobs")
	}
	m.jobs = (&dispatcher{cached: cached, id: id, reg: m.reg, journal: m.journal, log: cfg.Log, call: m.call, execute: m.executeJob, finished: m.wakeDelivery, watched: m.watched,
		max: cfg.ProcessCountMax, maxRet: int64(cfg.MaxReturn)}).init()
	m.jobs.returners = m.sendResult
	m.schedule = m.newScheduler()
	if err := m.openReturners(); err != nil {
		m.journal.Close()
		return nil, err
	}
	return m, nil
}

// explainExtmods has calls of functions that are in Python say so.
func (m *Minion) explainExtmods() {
	m.reg.Explain = func(fun string) string { return modules.ExplainExtmod(m.cfg.ExtensionModules, fun) }
}

// functions are what this minion may run: disable_modules, whitelist_modules.
func functions(cfg *config.Minion) *module.Registry {
	reg := modules.New()
	reg.Restrict(cfg.DisableModules, cfg.WhitelistModules)
	return reg
}

// tcpDialer makes connections as the configuration says.
func tcpDialer(cfg *config.Minion, log *slog.Logger) (transport.Dialer, error) {
	o := zmq.DialOptions{Log: log, Ping: cfg.Heartbeat, MaxFrame: int(cfg.MaxReturn) + 16<<20}
	if cfg.SourceAddress != "" {
		a, err := netip.ParseAddr(cfg.SourceAddress)
		if err != nil {
			return nil, fmt.Errorf("source_address %q: an address of this machine is expected", cfg.SourceAddress)
		}
		o.Source = a
	}
	return zmq.NewDialer(o), nil
}

// Grains is what is known of this machine; read only.
func (m *Minion) Grains() *wire.Map {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.grains == nil && m.cfg.NoGrains {
		m.grains = wire.NewMap()
	}
	if m.grains == nil {
		m.grains = m.addCloud(m.collectGrains())
	}
	return m.grains
}

// refresh carries out what a function asks of the minion.
func (m *Minion) refresh(ctx context.Context, what string) error {
	switch what {
	case "grains":
		m.askClouds(ctx)
		m.mu.Lock()
		m.grains = nil
		m.mu.Unlock()
		m.Grains()
		return nil
	case "pillar":
		return m.refreshPillar(ctx, true)
	default: // modules are compiled in
		return nil
	}
}

// call is what a function gets.
func (m *Minion) call(job *module.Job) *module.Call {
	c := &module.Call{Kinds: kinds, Job: job, Opts: m.opts(), Grains: m.Grains, Pillar: m.Pillar, Masked: m.secrets.Value,
		Log: m.log.With("jid", job.ID), CacheDir: m.cfg.CacheDir, FileServer: m.files, Files: m.fetcher(), Master: m.masters(), Refresh: m.refresh,
		CompilePillar: m.compilePillar, Hide: m.secrets.Add, Reach: m.reach}
	if m.schedule != nil {
		c.Schedule, c.Bus = m.manageHere, &m.bus
		c.Quit = func(_ context.Context, argv []string) (int, error) { return m.quitAfter(job.ID, argv), nil }
	} else if asksMinion(job.Fun) && m.minionRuns(m.ctx) {
		c.Schedule, c.Bus, c.Quit = m.manageThere, there{m}, m.quitThere
	}
	return c
}

func (m *Minion) wakeDelivery() {
	select {
	case m.deliver <- struct{}{}:
	default:
	}
}

// Run works until ctx ends, or no master can be worked for, or a job ends the minion:
// then it returns nil, or an *Again. Jobs that run when ctx ends are ended with it, and
// told as interrupted when the minion is back.
func (m *Minion) Run(ctx context.Context) (err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	m.ctx = ctx
	m.quit.end = func() { cancel(errQuit) }
	var wg sync.WaitGroup
	defer func() {
		if errors.Is(context.Cause(ctx), errQuit) {
			err = m.quit.result()
		}
		cancel(nil)
		wg.Wait()
		m.jobs.close()
		m.background.Wait()
		for _, l := range m.links {
			l.close()
		}
		if err := m.journal.Close(); err != nil {
			m.log.Error("job journal", "error", err)
		}
	}()
	wg.Go(func() { m.deliverResults(ctx) })
	wg.Go(func() { m.tellAlive(ctx) })
	wg.Go(func() { m.keepMine(ctx) })
	wg.Go(func() { m.runSchedule(ctx) })
	wg.Go(func() { m.runStartup(ctx) })
	wg.Go(func() { m.returners.Run(ctx) })
	wg.Go(func() { m.serveLocal(ctx) })
	if m.cfg.MasterType == "disable" {
		m.log.Info("master_type is disable: working without a master")
		<-ctx.Done()
		return nil
	}
	if d := m.cfg.RandomStartupDelay; d > 0 {
		if err := sleep(ctx, time.Duration(rand.Int64N(int64(d)))); err != nil {
			return nil
		}
	}
	if m.cfg.MasterType == "failover" {
		err = m.failover(ctx)
	} else {
		err = m.all(ctx)
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// all works for every master at the same time, until none is left that can be worked for.
func (m *Minion) all(ctx context.Context) error {
	errs := make([]error, len(m.links))
	var wg sync.WaitGroup
	for i, l := range m.links {
		wg.Go(func() {
			if errs[i] = m.serve(ctx, l, false); errs[i] != nil && ctx.Err() == nil && len(m.links) > 1 {
				l.log.Error("not working for this master any more", "error", errs[i])
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// failover works for one master, and for the next when that one is gone.
func (m *Minion) failover(ctx context.Context) error {
	links := slices.Clone(m.links)
	if m.cfg.RandomMaster || m.cfg.MasterShuffle {
		rand.Shuffle(len(links), func(i, k int) { links[i], links[k] = links[k], links[i] })
	}
	var last error
	for try := 1; ; try++ {
		for i, l := range links {
			err := m.serve(ctx, l, true)
			if ctx.Err() != nil {
				return nil
			}
			last = err
			l.log.Warn("master is gone, trying the next one", "error", err, "next", links[(i+1)%len(links)].master)
		}
		if n := m.cfg.MasterTries; n > 0 && try >= n && last != nil && errors.Is(last, ErrRejected) {
			return last
		}
		if err := sleep(ctx, backoff(try, time.Second, m.cfg.ReconMax)); err != nil {
			return nil
		}
	}
}

// collectGrains finds out what there is to know of this machine.
func (m *Minion) collectGrains() *wire.Map {
	return grains.Collect(m.ctx, grains.Options{Opts: m.opts(), ConfDir: filepath.Dir(m.cfg.ConfFile), Log: m.log})
}
