package minion

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/gosalt/gosalt/internal/config"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/secret"
	"github.com/gosalt/gosalt/minion/journal"
	"github.com/gosalt/gosalt/protocol/stream"
	"github.com/gosalt/gosalt/protocol/transport"
	"github.com/gosalt/gosalt/protocol/wire"
)

// StreamConfig is what a minion for one job is made of: gosalt-minion at the far end of
// a session of SSH.
type StreamConfig struct {
	In   io.Reader
	Out  io.Writer
	Mark string // begins the stream
	// Dir is where it may keep files between jobs, its user's alone.
	Dir string
	Log func(level string) *slog.Logger
}

// ServeStream is a minion that is told over a stream who it is and what to do, does that
// one job, and ends. Its "master" is who is at the other end: files, pillar and mine
// come from there, events and the result go there. When the stream ends before the job
// does, the job's processes are killed.
func ServeStream(ctx context.Context, c StreamConfig) error {
	s, err := stream.NewClient(c.In, c.Out, c.Mark, fmt.Sprintf("%d %s %s %d", wire.Version, runtime.GOOS, runtime.GOARCH, os.Getpid()))
	if err != nil {
		return err
	}
	start, err := wire.StreamStartFromStream(s.Start())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	log := c.Log(start.LogLevel)
	if start.Once {
		if err := takenHere(start); err != nil {
			return err
		}
	}
	m, err := newStreamMinion(ctx, start, s, c.Dir, log)
	if err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		cancel(s.Run(func(sig int) { m.jobs.Signal(start.Job.JID, sig) }))
	}()
	return m.oneJob(ctx, start)
}

// newStreamMinion makes the minion that does the job of a stream.
func newStreamMinion(ctx context.Context, start *wire.StreamStart, s *stream.Client, dir string, log *slog.Logger) (*Minion, error) {
	opts := wire.NewMap("root_dir", dir, "master", "ssh", "file_client", "remote", "minion_id_caching", false)
	for k, v := range start.Opts.All() {
		opts.SetAny(k, v)
	}
	opts.Set("id", string(start.ID))
	cfg, problems, err := config.LoadMinionWith(filepath.Join(dir, "etc", "minion"),
		config.MinionOptions{ID: string(start.ID), ForgetID: true, Text: []byte(pytext.YAML(opts, 2, false))})
	for _, p := range problems {
		if p.Severity == config.Error {
			return nil, fmt.Errorf("minion_opts of %s: %s: %s", start.ID, p.Option, p.Text)
		}
		log.Debug("minion_opts", "option", p.Option, "text", p.Text)
	}
	if err != nil {
		return nil, err
	}
	m := &Minion{cfg: Config{Minion: cfg, Log: log}, id: start.ID, log: log, dial: noDialer{}, reg: functions(cfg), ctx: ctx,
		opts: sync.OnceValue(cfg.Opts), secrets: secret.New(), lazyPillar: true, pillarIsNew: start.Job.Multi == nil, deliver: make(chan struct{}, 1)}
	m.log = m.hideSecrets(log)
	m.cfg.Log = m.log
	m.explainExtmods()
	l := &link{cfg: cfg, id: start.ID, master: "ssh", addr: "ssh", dial: m.dial, log: m.log, grains: m.Grains, secrets: m.secrets,
		stream: s, creds: &credentials{gosalt: true}, requests: noConn{}}
	l.files = &fileConn{l: l}
	m.links = []*link{l}
	if err := m.openFiles(false); err != nil {
		return nil, err
	}
	maxReturn := int64(cfg.MaxReturn)
	if start.MaxReturn > 0 {
		maxReturn = min(maxReturn, start.MaxReturn)
	}
	m.jobs = (&dispatcher{id: m.id, reg: m.reg, journal: &memJournal{done: make(chan *wire.Map, 1)}, log: m.log, call: m.call, execute: m.executeJob,
		finished: func() {}, watched: m.watched, maxRet: maxReturn}).init()
	m.jobs.returners = func(job *wire.Job, ret *wire.Map, _ bool) {
		if err := m.returnNow(ctx, job, ret); err != nil {
			m.log.Error("a returner did not take the result", "error", err)
		}
	}
	return m, nil
}

// takenHere is an error where the minion of this machine has the job: it does it, and
// its result is delivered by it.
func takenHere(start *wire.StreamStart) error {
	dir := config.DefaultDir
	if d := start.Opts.Text("minion_config_dir"); d != "" {
		dir = d
	}
	cfg, _, err := config.LoadMinionWith(filepath.Join(dir, "minion"), config.MinionOptions{ID: string(start.ID), ForgetID: true})
	if err != nil {
		return nil // there is no minion that could run with this configuration
	}
	known, err := journal.Knows(filepath.Join(cfg.CacheDir, "jobs"), start.Job.JID)
	if err != nil {
		return nil // another user's, or damaged: its minion tells
	}
	if known {
		return fmt.Errorf("%s %s already: its result comes when it is connected again", wire.TakenHere, start.Job.JID)
	}
	return nil
}

// oneJob does the job and returns when its result has been taken.
func (m *Minion) oneJob(ctx context.Context, start *wire.StreamStart) error {
	l := m.links[0]
	defer m.background.Wait()
	if start.Secrets {
		m.pillarOnce()
	}
	if err := m.jobs.take(ctx, start.Job, source{master: l.master, taken: func() { m.acknowledge(l, start.Job.JID) }}); err != nil {
		return err
	}
	var ret *wire.Map
	select {
	case ret = <-m.jobs.journal.(*memJournal).done:
	case <-ctx.Done():
		if r := m.jobs.runningJob(start.Job.JID); r != nil {
			r.signals.Kill()
		}
		m.jobs.close()
		return context.Cause(ctx)
	}
	v, err := l.do(ctx, ret)
	var refused *wire.Error
	if errors.As(err, &refused) && (refused.Kind == wire.Forbidden || refused.Kind == wire.Malformed) {
		_, err = l.do(ctx, dropped(ret, err.Error()))
	}
	if err == nil && v == "" {
		err = errNotStored
	}
	m.jobs.close()
	return err
}

// pillarOnce fetches the pillar when it is first asked for.
func (m *Minion) pillarOnce() *wire.Map {
	m.compiling.Lock()
	defer m.compiling.Unlock()
	m.mu.Lock()
	p := m.pillar
	m.mu.Unlock()
	if p != nil {
		return p
	}
	if err := m.fetchPillar(m.ctx, m.links[0]); err != nil {
		m.log.Error("the pillar cannot be had", "error", err)
		return wire.NewMap()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.pillar
}

// newPillar returns the pillar that was fetched for this very job, to the first that has
// it compiled anew: once is enough. Nil where there is none.
func (m *Minion) newPillar() *wire.Map {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.pillarIsNew {
		return nil
	}
	m.pillarIsNew = false
	return m.pillar
}

// askStream sends a request on the stream.
func (l *link) askStream(ctx context.Context, load *wire.Map, raw bool) (any, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, l.cfg.RequestChannelTimeout, fmt.Errorf("no answer to %s within request_channel_timeout (%s)", load.Text("cmd"), l.cfg.RequestChannelTimeout))
	defer cancel()
	return l.stream.Do(ctx, l.public(load), raw)
}

// streamPillar asks for the pillar on the stream.
func (l *link) streamPillar(ctx context.Context, req *wire.PillarRequest) (*wire.PillarData, error) {
	v, err := l.askStream(ctx, req.ToMap(), false)
	if err != nil {
		return nil, err
	}
	return wire.StreamPillarFromValue(v)
}

// memJournal is the journal of a minion that lives no longer than its job.
type memJournal struct {
	done chan *wire.Map
}

// Begin implements jobJournal.
func (*memJournal) Begin(wire.JobID, string, *wire.Map, string, int64) error { return nil }

// Acked implements jobJournal.
func (*memJournal) Acked(wire.JobID) {}

// Done implements jobJournal.
func (j *memJournal) Done(_ wire.JobID, ret *wire.Map) error {
	select {
	case j.done <- ret:
	default:
	}
	return nil
}

// noConn stands where a connection would be: all goes over the stream.
type noConn struct{}

var errNoConn = errors.New("this minion has no connections beside its stream")

// Do implements transport.Requester.
func (noConn) Do(context.Context, []byte) ([]byte, error) { return nil, errNoConn }

// Close implements transport.Requester.
func (noConn) Close() error { return nil }

type noDialer struct{}

// Requester implements transport.Dialer.
func (noDialer) Requester(string) transport.Requester { return noConn{} }

// Subscribe implements transport.Dialer.
func (noDialer) Subscribe(context.Context, string, ...string) (transport.Subscription, error) {
	return nil, errNoConn
}

// StreamDir is where a minion of a stream keeps files between jobs: below its user's
// cache directory, or where that cannot be written, one that is removed by done.
func StreamDir() (dir string, done func(), err error) {
	if base, err := os.UserCacheDir(); err == nil {
		dir = filepath.Join(base, "gosalt", "data")
		if err := os.MkdirAll(dir, 0o700); err == nil {
			if f, err := os.CreateTemp(dir, ".writable-*"); err == nil {
				f.Close()
				os.Remove(f.Name())
				return dir, func() {}, nil
			}
		}
	}
	dir, err = os.MkdirTemp("", "gosalt-*")
	if err != nil {
		return "", nil, fmt.Errorf("no place for files: %w: neither the home directory nor %s can be written", err, os.TempDir())
	}
	return dir, func() { os.RemoveAll(dir) }, nil
}
