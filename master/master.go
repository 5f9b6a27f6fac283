// Package master is the control side's daemon: it knows the minions' keys, sends jobs
// to them, keeps what they return, and answers the command line.
//
// Start with Master.Run (this file). A job's way: control.go takes it from the
// command line, resolve.go says whom it is for, publish.go stores and sends it,
// requests.go opens what minions send, minionfuncs.go handles it, follow.go tells the
// command line what came. auth.go is the sign-in of a minion.
package master

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gosalt/gosalt/internal/config"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/returners"
	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/master/audit"
	"github.com/gosalt/gosalt/master/eauth"
	"github.com/gosalt/gosalt/master/events"
	"github.com/gosalt/gosalt/master/files"
	"github.com/gosalt/gosalt/master/jobs"
	"github.com/gosalt/gosalt/master/keys"
	masterpillar "github.com/gosalt/gosalt/master/pillar"
	"github.com/gosalt/gosalt/master/runners"
	"github.com/gosalt/gosalt/master/vm"
	"github.com/gosalt/gosalt/protocol/seal"
	"github.com/gosalt/gosalt/protocol/transport"
	"github.com/gosalt/gosalt/protocol/transport/zmq"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/ssh"
)

// Transport is the two ports that minions talk to, already open.
type Transport struct {
	Requests  transport.Requests
	Publisher transport.Publisher
}

// Config is what a master is made of.
type Config struct {
	*config.Master
	Log *slog.Logger
	// Open makes the ports; nil listens on TCP as the configuration says. trusted and
	// log are for the ports' limits.
	Open func(trusted func(netip.Addr) int) (Transport, error)
	// Functions are those of a minion, for who runs one on the master's own machine, and
	// for templates of pillars; nil: there are none. Grains are those of this machine.
	Functions func() *module.Registry
	Grains    func() *wire.Map
	// Portless makes a master that no minion can connect to, and that serves the one
	// command line it was made for: gosalt-ssh, see Converse.
	Portless bool
	// Borrowed says of such a master that its directories are the user's own, and not
	// those of the master on this machine: it has none of its keys.
	Borrowed bool
	// AskPass asks who sits at the terminal for a password of SSH; nil where nobody does.
	AskPass func(ctx context.Context, p ssh.Prompt) (seal.Secret, error)
	// Kinds are the kinds of sources that an inventory may have, see inventory/providers.
	Kinds map[string]func() inventory.Kind
	// Ready is called when the master answers on its ports and its control socket; may be nil.
	Ready func()
}

// Master is a running or startable master.
type Master struct {
	cfg     Config
	log     *slog.Logger
	ctx     context.Context // Run's
	started time.Time

	own         *keys.Master
	keys        *keys.Store
	store       jobs.Store
	bus         *events.Bus
	auditLog    *audit.Log
	runners     *runners.Runners
	sessions    *sessions
	presence    *presence
	minions     *minionData
	files       *files.Files
	pillars     *masterpillar.Service
	returners   *returners.Sender
	opts        func() *wire.Map // the configuration by Salt's names; read only
	replays     *replayGuard
	limits      limits
	refusedLog  *limiter[netip.Addr]
	joinAudit   *limiter[netip.Addr] // refusals that anybody can cause
	joining     joining
	requests    transport.Requests
	pub         transport.Publisher
	publishPort int
	sigAlgo     seal.Algorithm

	shared     sharedKey
	live       liveJobs
	pillarEnvs sync.Map // minion id to the pillarenv that it uses
	conns      sync.Map // connection id of the request port to *connection
	bound      sync.Map // connection id of the publish port to binding
	lookAtKeys chan struct{}

	keysLookedAt broadcast    // wakes held minions
	held         atomic.Int64 // pending minions that are kept waiting
	lost         chan jobs.Presence
	queued       queuedJobs
	eauth        *eauth.Auth // nil without external_auth
	ssh          *sshWay
	mine         *sshMine             // of the command that gosalt-ssh is; nil in a master
	inv          *inventory.Inventory // nil: none is configured
	invFresh     sync.Once
	cloudNews    *cloudNews
	vms          *vm.Manager

	rootKey string // of Salt's own programs; "" without compat_root_key

	jobReturners []string // get all jobs: ext_job_cache, master_job_cache
	eventFilter  eventFilter

	panics   atomic.Int64
	refusals atomic.Int64
	troubles troubles
	names    nameCache
}

// New opens everything that a master needs: keys, stores, ports. What was opened is
// closed again when a later step fails. Run must follow.
func New(cfg Config) (m *Master, err error) {
	m = &Master{cfg: cfg, log: cfg.Log, bus: events.New(), limits: newLimits(cfg.Master), refusedLog: newLimiter[netip.Addr](1, 5), joinAudit: newLimiter[netip.Addr](0.1, 5),
		lookAtKeys: make(chan struct{}, 1), lost: make(chan jobs.Presence, 1024),
		queued: queuedJobs{came: map[wire.MinionID]bool{}, wake: make(chan struct{}, 1)}, started: time.Now()}
	half := m // m is nil again where an error is returned
	defer func() {
		if err != nil {
			half.close()
		}
	}()
	var ok bool
	if m.sigAlgo, ok = seal.SigAlgorithm(cfg.PublishSigningAlgorithm); !ok {
		return nil, fmt.Errorf("publish_signing_algorithm %q: PKCS1v15-SHA1 or PKCS1v15-SHA224 expected", cfg.PublishSigningAlgorithm)
	}
	for _, dir := range []string{cfg.PKIDir, cfg.CacheDir, cfg.SockDir, filepath.Dir(cfg.ControlSocket)} {
		perm := os.FileMode(0o700)
		if (dir == cfg.SockDir || dir == filepath.Dir(cfg.ControlSocket)) && controlMode(cfg.Master) != 0o600 {
			perm = 0o711 // others pass through to the socket
		}
		if err := makeDir(dir, perm); err != nil {
			return nil, fmt.Errorf("make directory: %w; run the master as a user who may write there, or set root_dir", err)
		}
	}
	if cfg.Portless {
		m.own = &keys.Master{}
	} else if m.own, err = keys.LoadMaster(keys.MasterConfig{PKIDir: cfg.PKIDir, KeySize: cfg.KeySize, KeyPass: seal.NewSecret(cfg.KeyPass.Reveal()),
		SignPubkey: cfg.MasterSignPubkey, SignKeyName: cfg.MasterSignKeyName, SignKeyPass: seal.NewSecret(cfg.SigningKeyPass.Reveal()),
		UsePubkeySignature: cfg.MasterUsePubkeySignature, PubkeySignature: cfg.MasterPubkeySignature, Log: cfg.Log}); err != nil {
		return nil, err
	}
	if m.keys, err = keys.Open(keys.Config{PKIDir: cfg.PKIDir, CacheDir: cfg.CacheDir, MasterID: cfg.ID, AutoAccept: cfg.AutoAccept, OpenMode: cfg.OpenMode,
		AutosignFile: cfg.AutosignFile, AutorejectFile: cfg.AutorejectFile, AutosignTimeout: cfg.AutosignTimeout,
		AutosignGrainsDir: cfg.AutosignGrainsDir, PermissivePKIAccess: cfg.PermissivePKIAccess, RotateAES: cfg.RotateAESKey,
		MaxPending: cfg.MaxPendingKeys, PendingPerAddress: cfg.MaxPendingKeysPerAddress, OnEvent: m.keyEvent, Log: cfg.Log}); err != nil {
		return nil, err
	}
	if err := m.openInventory(); err != nil {
		return nil, err
	}
	if err := m.openEauth(); err != nil {
		return nil, err
	}
	if err := m.makeRootKey(); err != nil {
		return nil, err
	}
	if m.sessions, err = openSessions(cfg.CacheDir, cfg.PublishSession); err != nil {
		return nil, err
	}
	store, err := jobs.Open(cfg.JobStore, jobs.Options{Log: cfg.Log})
	if err != nil {
		return nil, err
	}
	m.store = store
	if m.auditLog, err = audit.Open(cfg.AuditLog, audit.Options{}); err != nil {
		return nil, err
	}
	m.minions = &minionData{store: m.store, keys: m.keys, off: !cfg.MinionDataCache, mineLocks: newMineLocks()}
	m.opts = sync.OnceValue(cfg.Opts)
	pc := masterpillar.Config{Master: cfg.Master, Log: cfg.Log.With("part", "pillar")}
	if cfg.Functions != nil {
		pc.Functions = cfg.Functions()
	}
	if m.pillars, err = masterpillar.New(pc); err != nil {
		return nil, err
	}
	if m.files, err = files.New(files.Config{Master: cfg.Master, Log: cfg.Log.With("part", "files"), Event: m.fileEvent}); err != nil {
		return nil, err
	}
	if err = m.openReturners(); err != nil {
		return nil, err
	}
	m.replays = newReplayGuard(max(cfg.RequestServerTTL, time.Minute))
	if err := m.openPresence(); err != nil {
		return nil, err
	}
	m.openVMs()
	m.runners = runners.New(runnerMaster{m}, m.bus, cfg.Log)
	if m.ssh, err = m.openSSH(); err != nil {
		return nil, err
	}
	if cfg.Portless {
		return m, nil
	}
	if err = m.openJoin(); err != nil {
		return nil, err
	}
	open := cfg.Open
	if open == nil {
		open = m.listen
	}
	t, err := open(m.presence.trusted)
	if err != nil {
		return nil, err
	}
	m.requests, m.pub = t.Requests, t.Publisher
	m.publishPort = cfg.PublishPort
	if a, ok := m.pub.Addr().(*net.TCPAddr); ok {
		m.publishPort = a.Port
	}
	m.rotate("start")
	m.warn()
	return m, nil
}

// warn says at each start what makes this master weaker than it should be.
func (m *Master) warn() {
	if m.cfg.MinimumAuthVersion < wire.SaltVersion {
		m.log.Warn("minimum_auth_version is below 3: minions may sign in without proof of their key; update them and remove the option", "minimum_auth_version", m.cfg.MinimumAuthVersion)
	}
	if m.cfg.OpenMode {
		m.log.Warn("open_mode is on: any key is accepted for any minion; turn it off as soon as keys are mended")
	}
	if m.cfg.AutoAccept {
		m.log.Info("auto_accept is on: every new key is accepted")
	}
}

// afterStart is how long after the master's start it is not yet known from which
// addresses minions come, so that any may have a large result to deliver.
const afterStart = 10 * time.Minute

// listen opens the ports on TCP.
func (m *Master) listen(trusted func(netip.Addr) int) (Transport, error) {
	opts := zmq.Options{Log: m.log, MaxFrame: int(m.cfg.MaxReturn) + 16<<20, Trusted: trusted, Descriptors: zmq.NewDescriptors(0, 0),
		MaxConns: m.cfg.MaxConnections, MaxUnauth: m.cfg.MaxUnauthenticated, MaxUnauthPerAddr: m.cfg.MaxUnauthenticatedPerAddress,
		HandshakeTimeout: m.cfg.HandshakeTimeout, Ping: m.cfg.Heartbeat,
		Guest: func(a netip.Addr) bool {
			return m.presence.trusted(a) > 0 || m.servesSalt(a) || time.Since(m.started) < afterStart
		}}
	listen := func(port int) string { return net.JoinHostPort(m.cfg.Interface, strconv.Itoa(port)) }
	router, err := zmq.NewRouter(listen(m.cfg.RetPort), opts)
	if err != nil {
		return Transport{}, portError("ret_port", m.cfg.RetPort, err)
	}
	opts.MaxFrame = 0 // subscribers send topics only
	publisher, err := zmq.NewPublisher(listen(m.cfg.PublishPort), opts)
	if err != nil {
		router.Close()
		return Transport{}, portError("publish_port", m.cfg.PublishPort, err)
	}
	return Transport{Requests: router, Publisher: publisher}, nil
}

// openPresence starts with what an earlier master process knew of connections.
func (m *Master) openPresence() error {
	n := 0
	ids, err := m.keys.List(keys.Accepted)
	if err != nil {
		return fmt.Errorf("list accepted keys: %w", err)
	}
	// A minion that lost its master comes back within the jitter of its reconnect.
	grace := max(15*time.Second, time.Duration(len(ids)/200)*time.Second)
	m.presence = newPresence(grace, m.presenceChanged)
	for p, err := range m.store.AllPresence(context.Background()) {
		if err != nil {
			return fmt.Errorf("read when minions were last seen: %w", err)
		}
		m.presence.remember(p.ID, false, p.LastSeen)
		n++
	}
	m.log.Debug("minions known from before", "minions", n)
	return nil
}

// presenceChanged is told when a minion comes or goes. It must not block.
func (m *Master) presenceChanged(id wire.MinionID, connected bool) {
	now := time.Now()
	p := jobs.Presence{ID: id, LastSeen: now}
	if connected {
		p.ConnectedSince = now
		m.log.Info("minion connected", "minion", id)
		m.queued.back(id)
	} else {
		p.Lost = "connection ended"
		m.log.Info("minion disconnected", "minion", id)
	}
	select {
	case m.lost <- p:
	default: // the store is slow; the next start knows a little less
	}
}

// keyEvent puts what happens to keys on the bus and into the audit log.
func (m *Master) keyEvent(e keys.Event) {
	if e.Tag == events.Auth && !m.cfg.AuthEvents {
		return
	}
	m.bus.Publish(e.Tag, e.Data())
}

// Run answers on all ports until ctx ends, then ends everything it started.
func (m *Master) Run(ctx context.Context) error {
	defer m.close()
	ctl, err := m.listenControl()
	if err != nil {
		return err
	}
	var sockets saltSockets
	if m.cfg.CompatRootKey {
		if sockets, err = m.listenEvents(); err != nil {
			ctl.Close()
			return err
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	m.ctx = ctx
	var wg sync.WaitGroup
	part := func(name string, f func(context.Context) error) {
		wg.Go(func() {
			if err := f(ctx); err != nil && ctx.Err() == nil {
				cancel(fmt.Errorf("%s: %w", name, err))
			}
		})
	}
	part("request port", func(ctx context.Context) error { return m.requests.Serve(ctx, m) })
	part("publish port", func(ctx context.Context) error { return m.pub.Serve(ctx, subscribers{m}) })
	part("control socket", func(ctx context.Context) error { return m.serveControl(ctx, ctl) })
	if m.cfg.CompatRootKey {
		part("event sockets", func(ctx context.Context) error { return m.serveEvents(ctx, sockets) })
	}
	part("queued jobs", m.serveQueued)
	part("maintenance", m.maintain)
	part("file server", m.files.Run)
	part("pillars", m.pillars.Run)
	if m.inv != nil {
		part("inventory", m.inv.Run)
		part("news of the inventory", m.tellNews)
		part("virtual machines", m.vms.Run)
	}
	part("returners", func(ctx context.Context) error { m.returners.Run(ctx); return nil })
	if len(m.cfg.EventReturn) > 0 {
		part("event_return", m.returnEvents)
	}
	if m.cfg.PresenceEvents {
		part("presence events", m.tellPresence)
	}
	m.log.Info("master is ready", "requests", m.requests.Addr(), "publishes", m.pub.Addr(), "control", m.cfg.ControlSocket)
	if m.cfg.Ready != nil {
		m.cfg.Ready()
	}
	<-ctx.Done()
	wg.Wait()
	if err := context.Cause(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// maintain does what has to be done from time to time.
func (m *Master) maintain(ctx context.Context) error {
	often := time.NewTicker(time.Second)
	defer often.Stop()
	rarely := time.NewTicker(max(m.cfg.LoopInterval, time.Second))
	defer rarely.Stop()
	for {
		select {
		case <-ctx.Done():
			m.savePresence(context.WithoutCancel(ctx), nil)
			return nil
		case <-m.lookAtKeys:
			m.dropRevoked()
		case p := <-m.lost:
			m.savePresence(ctx, []jobs.Presence{p})
		case <-often.C:
			m.dropRevoked()
		case <-rarely.C:
			m.live.sweep(time.Now().Add(-m.cfg.JobExpiry - time.Minute))
			if m.cfg.PublishSession > 0 && m.shared.age() > m.cfg.PublishSession {
				m.rotate("it was publish_session old")
			}
			m.purge(ctx)
		}
	}
}

// savePresence stores a change and those that wait behind it.
func (m *Master) savePresence(ctx context.Context, batch []jobs.Presence) {
	for len(batch) < 1000 {
		select {
		case p := <-m.lost:
			batch = append(batch, p)
			continue
		default:
		}
		break
	}
	if len(batch) == 0 {
		return
	}
	if err := m.store.SetPresence(ctx, batch); err != nil {
		m.log.Error("connections of minions cannot be stored", "error", err)
	}
}

// purge removes jobs that are older or more than the configuration keeps.
func (m *Master) purge(ctx context.Context) {
	keep := m.cfg.KeepJobsSeconds
	var before time.Time
	if keep > 0 {
		before = time.Now().Add(-keep)
	}
	if err := m.eauth.Purge(); err != nil {
		m.log.Error("tokens that have expired cannot be removed", "error", err)
	}
	if m.joining.tokens != nil {
		if err := m.joining.tokens.Purge(); err != nil {
			m.log.Error("join tokens that have expired cannot be removed", "error", err)
		}
	}
	m.purgeForSalt(ctx, before)
	done, err := m.store.Purge(ctx, before, int64(m.cfg.KeepJobsSize))
	if err != nil {
		m.log.Error("old jobs cannot be removed", "error", err)
	} else if done.Jobs > 0 {
		m.log.Info("old jobs removed", "jobs", done.Jobs, "returns", done.Returns)
	}
}

// close closes what New opened.
func (m *Master) close() {
	if m.ssh != nil {
		m.ssh.close()
	}
	if m.inv != nil {
		if err := m.inv.Close(); err != nil {
			m.log.Error("inventory", "error", err)
		}
	}
	m.bus.Close()
	for _, c := range []any{m.requests, m.pub} {
		if c, ok := c.(interface{ Close() error }); ok && c != nil {
			c.Close()
		}
	}
	if m.store != nil {
		if err := m.store.Close(); err != nil {
			m.log.Error("job store", "error", err)
		}
	}
	if m.auditLog != nil {
		m.auditLog.Close()
	}
}

// audit writes one line of the audit log.
func (m *Master) audit(what string, args ...any) {
	if err := m.auditLog.Write(what, args...); err != nil {
		m.log.Error("audit log cannot be written", "error", err)
	}
}

// storedReturn reads a return from the job store.
func (m *Master) storedReturn(jid wire.JobID, id wire.MinionID) (*wire.Map, error) {
	ret, err := m.store.Return(m.ctx, jid, id)
	if err != nil {
		return nil, err
	}
	return wire.DecodeMap(ret.Load, wire.Local, wire.Authenticated)
}
