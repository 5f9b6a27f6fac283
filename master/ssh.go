package master

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gosalt/gosalt/master/jobs"
	"github.com/gosalt/gosalt/master/keys"
	"github.com/gosalt/gosalt/master/runners"
	"github.com/gosalt/gosalt/protocol/stream"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/ssh"
	"github.com/gosalt/gosalt/ssh/deploy"
)

// sshWay is the other way to machines: over SSH, to those on which no minion runs, or
// whose minion is not connected. A job that goes this way is the same job: the agent
// that does it there asks for files and pillar and returns as a minion does, by
// sshRequest in the place of Request.
type sshWay struct {
	m      *Master
	agents *deploy.Agents
	idle   time.Duration // how long a connection that nobody uses is kept; 0: not at all

	mu      sync.Mutex
	dialers map[string]*ssh.Dialer
	tasks   map[sshKey]*sshTask
	pool    map[string]*pooled
	wg      sync.WaitGroup
}

type sshKey struct {
	jid wire.JobID
	id  wire.MinionID
}

// sshTask is a job on one machine.
type sshTask struct {
	load    *wire.Map
	secrets bool // the pillar may hold what must not show in the result
	cancel  context.CancelCauseFunc
	session *deploy.Session // nil until the agent runs
}

// pooled is a connection that may be used again.
type pooled struct {
	conn  *ssh.Conn
	users int
	timer *time.Timer
}

// sshOptions are what holds for all machines of one job.
type sshOptions struct {
	Dial      ssh.Options
	MaxProcs  int
	Raw       string // a command for the login shell, in the place of a function
	Wipe      bool
	Anew      bool          // copy the agent though it is there
	PreFlight bool          // run the script before each job, not only before the agent is copied
	KeyDeploy string        // the private key whose public one is put there, where a machine names no other
	Begin     time.Duration // ssh_begin_timeout
	LogLevel  string
	// Complain makes what went wrong the machine's result, as gosalt-ssh has it. Without,
	// the machine did not return, and its minion may still do the job.
	Complain bool
	// Turn is of a job in batches: a minion that comes back later has had its turn.
	Turn bool
	// Bootstrap allows the job to make minions of machines: who asks may accept keys.
	Bootstrap bool
}

// defaultSSHProcs is ssh_max_procs of Salt.
const defaultSSHProcs = 25

func (m *Master) openSSH() (*sshWay, error) {
	w := &sshWay{m: m, dialers: map[string]*ssh.Dialer{}, tasks: map[sshKey]*sshTask{}, pool: map[string]*pooled{}}
	var dirs []string
	if d := m.opts().Text("ssh_agent_dir"); d != "" {
		dirs = append(dirs, d)
	}
	w.agents = deploy.NewAgents(dirs...)
	if !m.cfg.Portless {
		w.idle = time.Minute
	}
	return w, nil
}

func (w *sshWay) close() {
	w.mu.Lock()
	for _, t := range w.tasks {
		t.cancel(errors.New("the master is stopping"))
	}
	w.mu.Unlock()
	w.wg.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.pool {
		p.conn.Close()
	}
	for _, d := range w.dialers {
		d.Close()
	}
}

// has tells whether a job is being done on a machine this way.
func (w *sshWay) has(jid wire.JobID, id wire.MinionID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.tasks[sshKey{jid, id}] != nil
}

// start does a job on these machines, some at a time, and returns at once.
func (w *sshWay) start(ctx context.Context, live *liveJob, job *wire.Job, hosts []ssh.Host, o sshOptions) {
	if o.MaxProcs < 1 {
		o.MaxProcs = defaultSSHProcs
	}
	secrets := o.Raw == "" && w.m.pillars.MayDecrypt(ctx)
	slots := make(chan struct{}, o.MaxProcs)
	type begun struct {
		h    ssh.Host
		id   wire.MinionID
		ctx  context.Context
		task *sshTask
	}
	var all []begun
	w.mu.Lock()
	for _, h := range hosts {
		id := wire.MinionID(h.ID)
		tctx, cancel := context.WithCancelCause(ctx)
		live.goSSH(id)
		t := &sshTask{load: live.Publish, secrets: secrets, cancel: cancel}
		w.tasks[sshKey{live.JID, id}] = t
		all = append(all, begun{h, id, tctx, t})
	}
	w.mu.Unlock()
	w.wg.Go(func() {
		var wg sync.WaitGroup
		defer wg.Wait()
		for _, b := range all {
			select {
			case slots <- struct{}{}:
			case <-b.ctx.Done():
				w.done(live, job, b.id, o, context.Cause(b.ctx), "")
				continue
			}
			wg.Go(func() {
				defer func() { <-slots }()
				err := w.guarded(b.ctx, live, job, b.h, b.id, b.task, o)
				b.task.cancel(nil)
				w.done(live, job, b.id, o, err, b.h.Doubt)
			})
		}
	})
}

// spare is followOptions.Spare of a job: each machine is tried once.
func (w *sshWay) spare(live *liveJob, job *wire.Job, over *overSSH, o sshOptions) func([]wire.MinionID) []wire.MinionID {
	return func(ids []wire.MinionID) (left []wire.MinionID) {
		var hosts []ssh.Host
		for _, id := range ids {
			if h, ok := over.take(id); ok && live.goSSH(id) {
				hosts = append(hosts, h)
			} else {
				left = append(left, id)
			}
		}
		if len(hosts) > 0 {
			w.start(w.m.ctx, live, job, hosts, o)
		}
		return left
	}
}

// guarded is do; a panic is a result as any other.
func (w *sshWay) guarded(ctx context.Context, live *liveJob, job *wire.Job, h ssh.Host, id wire.MinionID, t *sshTask, o sshOptions) (err error) {
	defer func() {
		if v := recover(); v != nil {
			w.m.panics.Add(1)
			w.m.log.Error("a job over SSH made the master panic: please report this", "minion", id, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			err = fmt.Errorf("internal error: %v", v)
		}
	}()
	return w.do(ctx, live, job, h, id, t, o)
}

// done ends a task: a machine that did not return is told of.
// doubt is what looks like a mistake in its entry of the roster.
func (w *sshWay) done(live *liveJob, job *wire.Job, id wire.MinionID, o sshOptions, err error, doubt string) {
	t, _ := live.target(id)
	if err == nil && !t.returned {
		err = errors.New("the agent ended without a result")
	}
	if err != nil && !t.returned {
		if doubt != "" {
			err = fmt.Errorf("%w; %s", err, doubt)
		}
		w.m.log.Warn("job over SSH failed", "jid", live.JID, "minion", id, "error", err)
		if o.Complain {
			w.complain(live, job, id, err)
		} else {
			began := !t.acked.IsZero()
			if !o.Turn && !began || strings.Contains(err.Error(), wire.TakenHere) {
				live.leaveSSH(id)
			}
			live.addFailure(id, err.Error())
			if st, err := w.m.keys.StateOf(id); !o.Turn && err == nil && st == keys.Accepted && !began {
				w.m.mayFetch(context.WithoutCancel(w.m.ctx), live, id) // its minion may still come back
			}
		}
	}
	w.mu.Lock()
	delete(w.tasks, sshKey{live.JID, id})
	w.mu.Unlock()
	live.nudge()
}

// exitSSH is the exit code of OpenSSH's client when it could not do what it should.
const exitSSH = 255

// complain makes an error the result of a machine.
func (w *sshWay) complain(live *liveJob, job *wire.Job, id wire.MinionID, err error) {
	ret := &wire.Return{JID: live.JID, ID: id, Fun: job.Fun, FunArgs: job.Arg, Multi: job.Multi, Return: err.Error(), Retcode: exitSSH, Out: "nested", User: job.User}
	w.keep(ret.ToMap(), id)
}

func (w *sshWay) keep(load *wire.Map, id wire.MinionID) {
	load.Set(wire.FieldVia, "ssh")
	if _, err := w.m.handleReturn(w.m.ctx, &minionRequest{ID: id, Load: load, Gosalt: true, Plain: true, Peer: noPeer{}}); err != nil {
		w.m.log.Error("result of a machine cannot be kept", "minion", id, "error", err)
	}
}

// do does a job on one machine. An error is for a line of text.
func (w *sshWay) do(ctx context.Context, live *liveJob, job *wire.Job, h ssh.Host, id wire.MinionID, t *sshTask, o sshOptions) error {
	if load, ok := w.answer(job, id); ok {
		w.keep(load(live.JID), id)
		return nil
	}
	conn, release, err := w.connect(ctx, h, o)
	if err != nil {
		return err
	}
	defer release()
	if o.KeyDeploy != "" {
		key := o.KeyDeploy
		if h.Priv != "" && h.Priv != ssh.AgentForwarding {
			key = h.Priv
		}
		pub, err := ssh.PublicKey(key)
		if err != nil {
			return fmt.Errorf("--key-deploy: %w", err)
		}
		if c, ok := conn.(*ssh.Conn); ok { // others have no logins
			if _, err := ssh.KeyDeploy(ctx, c, pub); err != nil {
				return err
			}
		}
	}
	if o.Raw != "" {
		return w.raw(ctx, conn, live, job, id, h, o)
	}
	before := func(ctx context.Context) error { return w.preFlight(ctx, conn, h) }
	if o.PreFlight {
		if err := before(ctx); err != nil {
			return err
		}
		before = nil
	}
	s, err := deploy.Open(ctx, conn, h, w.agents, deploy.Options{Wipe: o.Wipe, Anew: o.Anew, Before: before, Begin: o.Begin, Log: w.m.log})
	if err != nil {
		return err
	}
	w.mu.Lock()
	t.session = s
	w.mu.Unlock()
	// A minion that comes back must not get the job, too.
	if err := w.m.store.Ack(ctx, live.JID, id, time.Now()); err != nil {
		s.Close()
		return err
	}
	live.ack(id)
	opts := agentOpts(h)
	w.m.mineFunctions(opts, h)
	start := &wire.StreamStart{ID: id, Job: withJID(job, live.JID), Opts: opts, MaxReturn: int64(w.m.cfg.MaxReturn), LogLevel: o.LogLevel,
		Once: !o.Complain && !(job.AsksFirst(id) && w.m.presence.contact(id).asksFirst()), Secrets: t.secrets}
	if start.LogLevel == "" {
		start.LogLevel = "error"
	}
	if err := s.Stream.Start(start.ToMap()); err != nil {
		s.Close()
		return fmt.Errorf("give the agent its job: %w", err)
	}
	boot := &bootstrapping{m: w.m, conn: conn, host: h, id: id, user: job.User, open: o.Bootstrap && isBootstrap(job)}
	err = s.Serve(ctx, func(ctx context.Context, load *wire.Map, size int) (any, error) {
		if boot.open && load.Text("cmd") == wire.CmdBootstrap {
			return boot.answer(ctx, load)
		}
		return w.m.sshRequest(ctx, id, load, size)
	})
	if said := strings.TrimSpace(s.Said()); said != "" {
		w.m.log.Warn("the agent says", "minion", id, "text", said)
	}
	return err
}

func withJID(job *wire.Job, jid wire.JobID) *wire.Job {
	j := *job
	j.JID, j.Raw = jid, nil
	return &j
}

// agentOpts is the configuration of the agent on a machine.
func agentOpts(h ssh.Host) *wire.Map {
	opts := wire.NewMap()
	if h.MinionOpts != nil {
		opts = h.MinionOpts.Clone()
	}
	if h.Grains.Len() > 0 {
		grains := h.Grains.Clone()
		for k, v := range opts.Map("grains").All() {
			grains.SetAny(k, v)
		}
		opts.Set("grains", grains)
	}
	return opts
}

// raw has the login shell run a command: the result is what it printed.
func (w *sshWay) raw(ctx context.Context, conn ssh.Runner, live *liveJob, job *wire.Job, id wire.MinionID, h ssh.Host, o sshOptions) error {
	out, errs, code, err := deploy.Raw(ctx, conn, h, o.Raw)
	if err != nil {
		return err
	}
	ret := &wire.Return{JID: live.JID, ID: id, Fun: job.Fun, FunArgs: job.Arg, Retcode: int64(code), Success: code == 0, Out: "nested", User: job.User,
		Return: wire.NewMap("stdout", string(out), "stderr", string(errs), "retcode", int64(code))}
	w.keep(ret.ToMap(), id)
	return nil
}

// preFlight runs the script ssh_pre_flight of a machine there.
func (w *sshWay) preFlight(ctx context.Context, conn ssh.Runner, h ssh.Host) error {
	if h.PreFlight == "" {
		return nil
	}
	f, err := os.Open(h.PreFlight)
	if err != nil {
		return fmt.Errorf("ssh_pre_flight of %s: %w", h.Name(), err)
	}
	defer f.Close()
	args := make([]string, len(h.PreFlightArgs))
	for i, a := range h.PreFlightArgs {
		args[i] = " " + deploy.Quote(a)
	}
	_, errs, code, err := conn.Run(ctx, "exec /bin/sh -s"+strings.Join(args, ""), f)
	if err != nil {
		return err
	}
	if code != 0 {
		text := string(errs)
		if len(text) > 500 {
			text = text[:500]
		}
		return fmt.Errorf("ssh_pre_flight %s ended with code %d: %s", h.PreFlight, code, strings.TrimSpace(text))
	}
	return nil
}

// dialer is the one for these options: it shares keys, the agent and jump hosts.
func (w *sshWay) dialer(o ssh.Options) *ssh.Dialer {
	key := fmt.Sprint(o.KnownHosts, o.HostKeys, o.Identities, o.ConnectTimeout)
	w.mu.Lock()
	defer w.mu.Unlock()
	d := w.dialers[key]
	if d == nil {
		if o.Log == nil {
			o.Log = w.m.log
		}
		d = ssh.NewDialer(o)
		w.dialers[key] = d
	}
	return d
}

// connect opens a connection, or takes one that is open.
func (w *sshWay) connect(ctx context.Context, h ssh.Host, o sshOptions) (ssh.Runner, func(), error) {
	if h.Exec != nil {
		t := ssh.Through(h)
		return t, func() { t.Close() }, nil
	}
	d := w.dialer(o.Dial)
	if w.idle == 0 {
		conn, err := d.Dial(ctx, h)
		if err != nil {
			return nil, nil, err
		}
		return conn, func() { conn.Close() }, nil
	}
	key := fmt.Sprintf("%s %s %d %s %s %q %d", h.ID, h.Host, h.Port, h.User, h.Priv, h.SSHOptions, o.Dial.HostKeys)
	w.mu.Lock()
	if p := w.pool[key]; p != nil {
		select {
		case <-p.conn.Done():
			delete(w.pool, key)
		default:
			p.users++
			if p.timer != nil {
				p.timer.Stop()
				p.timer = nil
			}
			w.mu.Unlock()
			return p.conn, func() { w.release(key, p) }, nil
		}
	}
	w.mu.Unlock()
	conn, err := d.Dial(ctx, h)
	if err != nil {
		return nil, nil, err
	}
	p := &pooled{conn: conn, users: 1}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.pool[key] != nil {
		return conn, func() { conn.Close() }, nil // another was faster
	}
	w.pool[key] = p
	return conn, func() { w.release(key, p) }, nil
}

func (w *sshWay) release(key string, p *pooled) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p.users--; p.users > 0 {
		return
	}
	p.timer = time.AfterFunc(w.idle, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if p.users == 0 {
			if w.pool[key] == p {
				delete(w.pool, key)
			}
			go p.conn.Close()
		}
	})
}

// answer is what the master itself answers for a machine where jobs run over SSH: the
// agent of another job knows nothing of them.
func (w *sshWay) answer(job *wire.Job, id wire.MinionID) (func(wire.JobID) *wire.Map, bool) {
	if job.Multi != nil {
		return nil, false
	}
	var value any
	jid := ""
	if len(job.Arg) > 0 {
		jid = fmt.Sprint(job.Arg[0])
	}
	w.mu.Lock()
	task := w.tasks[sshKey{wire.JobID(jid), id}]
	var session *deploy.Session
	if task != nil {
		session = task.session
	}
	w.mu.Unlock()
	signals := map[string]int{"saltutil.term_job": 15, "saltutil.kill_job": 9}
	switch {
	case job.Fun == "saltutil.running":
		list := []any{}
		w.mu.Lock()
		for k, t := range w.tasks {
			if k.id == id && t.load.Text("fun") != job.Fun {
				list = append(list, t.load)
			}
		}
		w.mu.Unlock()
		if len(list) == 0 {
			return nil, false
		}
		value = list
	case task == nil:
		return nil, false
	case job.Fun == "saltutil.find_job":
		value = task.load
	case signals[job.Fun] != 0, job.Fun == "saltutil.signal_job" && len(job.Arg) > 1:
		sig := signals[job.Fun]
		if n, ok := job.Arg[min(1, len(job.Arg)-1)].(int64); ok && sig == 0 {
			sig = int(n)
		}
		if session == nil {
			task.cancel(errors.New("the job was ended before it had begun"))
		} else if err := session.Stream.Signal(sig); err != nil {
			value = "the signal could not be sent: " + err.Error()
			break
		}
		value = fmt.Sprintf("Signal %d sent to job %s", sig, jid)
	default:
		return nil, false
	}
	return func(own wire.JobID) *wire.Map {
		return (&wire.Return{JID: own, ID: id, Fun: job.Fun, FunArgs: job.Arg, Return: value, Success: true, Out: "nested", User: job.User}).ToMap()
	}, true
}

// addRunning adds the jobs that go over SSH to what minions say that they run.
func (w *sshWay) addRunning(ans *runners.Answer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for k, t := range w.tasks {
		ret := ans.Returns[k.id]
		if ret == nil {
			ret = wire.NewMap("return", []any{})
			ans.Returns[k.id] = ret
			if !slices.Contains(ans.Asked, k.id) {
				ans.Asked = append(slices.Clone(ans.Asked), k.id)
			}
		}
		ret.Set("return", append(ret.List("return"), t.load))
	}
}

// sshCommands are the requests of minionCommands that an agent may make: all that are
// about its job, none that are about keys and sessions.
var sshCommands = []string{wire.CmdReturn, wire.CmdMinionEvent, wire.CmdPillar, wire.CmdMasterOpts, wire.CmdMasterTops, "_ext_nodes",
	wire.CmdMine, wire.CmdMineGet, wire.CmdMineDelete, wire.CmdMineFlush, wire.CmdMinionPub, wire.CmdMinionPublish, wire.CmdPubRet, wire.CmdMinionRunner,
	wire.CmdAck, wire.CmdServeFile, wire.CmdFileHash, wire.CmdFileHashAndStat, wire.CmdFileFind, wire.CmdFileList, wire.CmdFileEmptyDirs, wire.CmdDirList,
	wire.CmdSymlinkList, wire.CmdFileEnvs, wire.CmdFileTree, wire.CmdFileRead, wire.CmdFileRecv}

// sshRequest answers an agent: what Request is for a minion that is connected.
func (m *Master) sshRequest(ctx context.Context, id wire.MinionID, load *wire.Map, size int) (v any, err error) {
	defer func() {
		if p := recover(); p != nil {
			m.panics.Add(1)
			m.log.Error("a request made its handler panic: please report this", "minion", id, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = &wire.Error{Kind: wire.Internal, Op: load.Text("cmd"), Msg: "the master's handler failed: see its log"}
		}
	}()
	name := load.Text("cmd")
	cmd, ok := minionCommands[name]
	if !ok || !slices.Contains(sshCommands, name) {
		m.log.Info("command is not served", "minion", id, "cmd", fmt.Sprintf("%.60q", name))
		return wire.NewMap(), nil
	}
	load.Delete("gosalt")
	load.Delete("tok")
	switch name {
	case wire.CmdReturn:
		load.Set(wire.FieldVia, "ssh")
	case wire.CmdMineGet:
		m.mine.fill(ctx, load)
	}
	from := &minionRequest{ID: id, Load: load, Size: size, Gosalt: true, Plain: true, Peer: noPeer{}}
	v, err = cmd.handle(m, ctx, from)
	if err != nil {
		m.log.Warn("request refused", "minion", id, "cmd", name, "error", err)
		return nil, err
	}
	if b, ok := v.(stream.Bulk); ok {
		return b, nil
	}
	return v, nil
}

// targets are a job's machines that are reached this way.
func sshTargets(hosts []ssh.Host) []wire.MinionID {
	ids := make([]wire.MinionID, len(hosts))
	for i, h := range hosts {
		ids[i] = wire.MinionID(h.ID)
	}
	return ids
}

// mayFetch lets a minion whose job did not begin over SSH do it when it is back.
func (m *Master) mayFetch(ctx context.Context, live *liveJob, id wire.MinionID) {
	t := []jobs.Target{{Minion: id, State: jobs.Expected}}
	if err := m.store.AddTargets(ctx, live.JID, t); err != nil {
		m.log.Error("a minion's turn cannot be noted", "jid", live.JID, "error", err)
		return
	}
	live.raise(t)
}
