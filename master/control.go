package master

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gosalt/gosalt/internal/config"
	"github.com/gosalt/gosalt/master/eauth"
	"github.com/gosalt/gosalt/master/events"
	"github.com/gosalt/gosalt/master/keys"
	"github.com/gosalt/gosalt/master/runners"
	"github.com/gosalt/gosalt/protocol/control"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/ssh"
)

// clientPatience is how long a client may leave its answer unread. Its output may be
// in a pager in front of a person; when it ends, so does the connection.
const clientPatience = 8 * time.Hour

// caller is who sits at the other end of the control socket.
type caller struct {
	uid  int
	name string // of the account: "anna"
	user string // as jobs show it: "root", "sudo_anna"
	full bool   // the superuser or the master's own user: may do everything

	login *eauth.Identity // who has logged in by external authentication; then full is false
	from  string          // where the login comes from, for the audit log
}

// serveControl answers the command line until ctx ends.
func (m *Master) serveControl(ctx context.Context, l net.Listener) error {
	defer m.runners.Wait() // those that nobody waits for end with ctx, too
	var wg sync.WaitGroup
	defer wg.Wait()
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	for {
		c, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			m.log.Error("control socket cannot accept", "error", err)
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}
		wg.Go(func() { m.controlConn(ctx, c) })
	}
}

func (m *Master) controlConn(ctx context.Context, nc net.Conn) {
	c := control.Server(nc)
	defer c.Close()
	who, err := m.callerOf(nc)
	if err != nil {
		m.log.Error("control connection from an unknown user", "error", err)
		return
	}
	c.SetReadDeadline(time.Now().Add(30 * time.Second))
	req, err := c.Recv()
	if err != nil {
		if !errors.Is(err, io.EOF) {
			m.log.Warn("control request cannot be read", "user", who.name, "error", err)
		}
		return
	}
	c.SetReadDeadline(time.Time{})
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // the client says nothing more; when it leaves, its request ends
		c.Recv()
		cancel()
	}()
	send := func(f *wire.Map) error {
		c.SetWriteDeadline(time.Now().Add(clientPatience))
		return c.Send(f)
	}
	if err := m.controlRequest(ctx, who, req, send); err != nil {
		if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			return
		}
		send(errorFrame(req, err))
		return
	}
	send(wire.NewMap("kind", control.KindEnd))
}

// errorFrame is the last frame of an answer that failed.
func errorFrame(req *wire.Map, err error) *wire.Map {
	var e *wire.Error
	if !errors.As(err, &e) {
		e = &wire.Error{Kind: wire.Internal, Op: req.Text("op"), Msg: err.Error()}
	}
	return wire.NewMap("kind", control.KindError, "error", e.ToMap())
}

// callerOf says who is connected, as the kernel tells.
func (m *Master) callerOf(nc net.Conn) (caller, error) {
	uid, _, err := control.Peer(nc)
	if err != nil {
		return caller{}, err
	}
	w := caller{uid: uid, name: strconv.Itoa(uid), full: uid == 0 || uid == os.Geteuid()}
	if u, err := user.LookupId(w.name); err == nil {
		w.name = u.Username
	}
	w.user = w.name
	return w, nil
}

// forbidden is the refusal of what a user may not do.
func (m *Master) forbidden(who caller, what string) error {
	m.audit("refused", "user", who.name, "what", what)
	if who.login != nil {
		return &wire.Error{Kind: wire.Forbidden, Op: what, Msg: fmt.Sprintf("user %s may not do this: the rules for it are in external_auth, under %s", who.name, who.login.Backend)}
	}
	return &wire.Error{Kind: wire.Forbidden, Op: what, Msg: fmt.Sprintf("user %s may not do this: run it as root or as the master's user, or allow it in publisher_acl", who.name)}
}

func (m *Master) controlRequest(ctx context.Context, who caller, req *wire.Map, send func(*wire.Map) error) error {
	if who.full {
		// Only who may do everything may name the person behind a sudo.
		if s := req.Text("sudo_user"); s != "" && s != "root" {
			who.user = "sudo_" + s
		}
	}
	who, err := m.controlLogin(ctx, who, req)
	if err != nil {
		return err
	}
	switch op := req.Text("op"); op {
	case control.OpToken:
		return m.controlToken(who, req, send)
	case control.OpKey:
		return m.controlKey(who, req, send)
	case control.OpPing:
		return send(wire.NewMap("kind", control.KindResult, "return", wire.NewMap("pid", int64(os.Getpid()), "version", int64(wire.Version))))
	case control.OpPublish:
		return m.controlPublish(ctx, who, req, send)
	case control.OpSSH:
		return m.controlSSH(ctx, who, req, send)
	case control.OpTarget:
		if !m.mayAsk(who) {
			return m.forbidden(who, "ask which minions a target means")
		}
		ids, missing, _, err := m.resolve(ctx, req)
		if err != nil {
			return err
		}
		if req.Bool(usesInventory) {
			if err := m.warnInventory(ctx, send); err != nil {
				return err
			}
		}
		if ids, _, _, err = m.fallback(ctx, req, ids, send); err != nil { // a job reaches the machines of the roster, too
			return err
		}
		missing = slices.DeleteFunc(missing, func(id wire.MinionID) bool { return slices.Contains(ids, id) })
		return send(wire.NewMap("kind", control.KindResult, "return", texts(ids), "missing", texts(missing)))
	case control.OpRunner:
		return m.controlRunner(ctx, who, req, send)
	case control.OpNames:
		return m.controlNames(ctx, who, req, send)
	case control.OpWheel:
		return m.controlWheel(ctx, who, req, send)
	case control.OpEvents:
		if !who.full {
			return m.forbidden(who, op)
		}
		return m.controlEvents(ctx, req, send)
	case control.OpKeys:
		if !who.full {
			return m.forbidden(who, op)
		}
		m.keysChanged()
		m.fireKeyEvents(who, req.List("events"))
		return send(wire.NewMap("kind", control.KindResult, "return", true))
	default:
		return &wire.Error{Kind: wire.Unknown, Op: "control", Msg: fmt.Sprintf("the master does not know the request %.40q: it may be older than this command", op)}
	}
}

// fireKeyEvents puts on the bus, and into the audit log, what gosalt-key has done.
func (m *Master) fireKeyEvents(who caller, list []any) {
	for _, e := range list {
		data, ok := e.(*wire.Map)
		if !ok {
			continue
		}
		id, err := wire.ParseMinionID(data.Text("id"))
		act := data.Text("act")
		if err != nil || !slices.Contains([]string{"accept", "reject", "delete"}, act) {
			continue
		}
		m.audit("key "+act, "user", who.user, "uid", who.uid, "minion", string(id))
		m.bus.Publish(events.Key, wire.NewMap("result", true, "act", act, "id", string(id)))
	}
}

// controlPublish makes a job and, where asked, follows it.
func (m *Master) controlPublish(ctx context.Context, who caller, req *wire.Map, send func(*wire.Map) error) error {
	ids, missing, narrow, err := m.resolve(ctx, req)
	if err != nil {
		return err
	}
	if req.Bool(usesInventory) {
		if err := m.warnInventory(ctx, send); err != nil {
			return err
		}
	}
	job, err := jobOf(req)
	if err != nil {
		return err
	}
	job.User = who.user
	job.Live = req.Bool("follow") && req.Bool("live")
	var hosts []ssh.Host                 // to be reached over SSH
	var spare map[wire.MinionID]ssh.Host // others that could be
	if ids, hosts, spare, err = m.fallback(ctx, req, ids, send); err != nil {
		return err
	}
	missing = slices.DeleteFunc(missing, func(id wire.MinionID) bool { return slices.Contains(ids, id) })
	if err := m.mayPublish(who, job, ids); err != nil {
		return err
	}
	m.audit("publish", "user", who.user, "uid", who.uid, "fun", funName(job), "arg", withoutContent(job).Arg, "tgt", job.Tgt, "tgt_type", job.TgtType, "minions", len(ids))
	if len(ids) == 0 {
		waiting, err := m.keys.List(keys.Pending)
		if err != nil {
			return fmt.Errorf("list keys that wait to be accepted: %w", err)
		}
		return send(wire.NewMap("kind", control.KindJob, "jid", nil, "minions", []any{}, "missing", texts(missing), "pending", int64(len(waiting))))
	}
	job.Spare = askFirst(hosts, spare)
	if req.Int("subset") > 0 {
		if ids, missing, err = m.subset(ctx, req, job, ids, hosts); err != nil {
			return err
		}
		narrow = true
		hosts = slices.DeleteFunc(hosts, func(h ssh.Host) bool { return !slices.Contains(ids, wire.MinionID(h.ID)) })
		if len(ids) == 0 {
			return send(wire.NewMap("kind", control.KindJob, "jid", nil, "minions", []any{}, "missing", []any{}, "lacking", true))
		}
	}
	if req.Has("batch") {
		return m.controlBatch(ctx, req, job, ids, missing, newOverSSH(hosts, spare), send)
	}
	follow := req.Bool("follow")
	until, err := queueUntil(req)
	if err != nil {
		return err
	}
	how, err := m.sshOptionsOf(nil) // before the job is given to SSH
	if err != nil {
		return err
	}
	live, w, err := m.publish(ctx, order{Job: job, Targets: ids, Missing: missing, Narrow: narrow, Watch: follow, Until: until, SSH: sshTargets(hosts)})
	if err != nil {
		return err
	}
	if len(hosts) > 0 {
		m.ssh.start(m.ctx, live, job, hosts, how)
	}
	if w != nil {
		defer w.close()
	}
	if err := send(wire.NewMap("kind", control.KindJob, "jid", string(live.JID), "minions", texts(ids), "missing", texts(missing))); err != nil {
		return err
	}
	if !follow {
		return nil
	}
	o := m.followOptions(req)
	o.Spare = m.ssh.spare(live, job, newOverSSH(nil, spare), how)
	if err := m.follow(ctx, live, w, o, send); err != nil {
		return err
	}
	for _, id := range missing {
		why, text := m.explainKey(id)
		if err := send(wire.NewMap("kind", control.KindAbsent, "id", string(id), "why", why, "text", text)); err != nil {
			return err
		}
	}
	return nil
}

// mostSpare is how many minions a publish names that ask before they run the job; of more it
// says that all do.
const mostSpare = 100

// askFirst are the minions that ask before they run a job: those whose machines are, or may
// come to be, reached over SSH.
func askFirst(hosts []ssh.Host, spare map[wire.MinionID]ssh.Host) []string {
	if len(hosts)+len(spare) > mostSpare {
		return []string{wire.SpareAll}
	}
	var out []string
	for _, h := range hosts {
		out = append(out, h.ID)
	}
	for id := range spare {
		out = append(out, string(id))
	}
	slices.Sort(out)
	return out
}

// followOptions says how long a request wants its returns to be waited for.
func (m *Master) followOptions(req *wire.Map) followOptions {
	o := followOptions{Timeout: m.cfg.Timeout, Gather: m.cfg.GatherJobTimeout, Counter: req.Bool("counter"), Live: req.Bool("live")}
	if t := seconds(req, "timeout"); t > 0 {
		o.Timeout = t
	}
	if t := seconds(req, "gather_job_timeout"); t > 0 {
		o.Gather = t
	}
	return o
}

// jobOf reads what is to be run, from a request whose target has been resolved.
func jobOf(req *wire.Map) (*wire.Job, error) {
	load := wire.NewMap("jid", "20000101000000000000")
	for _, k := range []string{"fun", "arg", "tgt", "tgt_type", "delimiter", "ret", "ret_config", "ret_kwargs", "metadata", "module_executors", "executor_opts"} {
		if v, ok := req.Get(k); ok && v != nil {
			load.Set(k, v)
		}
	}
	job, err := wire.JobFromMap(load)
	if err != nil {
		return nil, err
	}
	job.Raw = nil
	return job, nil
}

// seconds reads a time given in seconds, whole or not.
func seconds(m *wire.Map, key string) time.Duration {
	switch v, _ := m.Get(key); v := v.(type) {
	case int64:
		if v > 0 && v < math.MaxInt32 {
			return time.Duration(v) * time.Second
		}
	case float64:
		if v > 0 && v < math.MaxInt32 {
			return time.Duration(v * float64(time.Second))
		}
	}
	return 0
}

func (m *Master) controlRunner(ctx context.Context, who caller, req *wire.Map, send func(*wire.Map) error) error {
	fun := req.Text("fun")
	if !who.full && !(who.login != nil && allowsSpecial(who.login.Rules, "runner", fun, req.List("arg"))) {
		return m.forbidden(who, "runner "+fun)
	}
	q := runners.Request{Fun: fun, Args: req.List("arg"), User: who.user, Timeout: seconds(req, "timeout")}
	if text := req.Text("jid"); text != "" {
		jid, err := wire.ParseJobID(text)
		if err != nil {
			return &wire.Error{Kind: wire.Malformed, Op: "runner " + fun, Msg: err.Error()}
		}
		q.JID = jid
	}
	m.audit("runner", "user", who.user, "uid", who.uid, "fun", fun, "arg", q.Args)
	var res runners.Result
	if req.Bool("async") {
		res = m.runners.Start(m.ctx, q)
	} else {
		q.Progress = func(v any) { send(wire.NewMap("kind", control.KindProgress, "data", v)) }
		res = m.runners.Run(ctx, q)
	}
	return send(wire.NewMap("kind", control.KindResult, "return", res.Return, "success", res.Success, "known", res.Known,
		"retcode", int64(res.Retcode), "error", res.Err, "jid", string(res.JID), "out", res.Out, "notes", texts(res.Notes)))
}

// controlEvents sends the events under some tags until the client leaves.
func (m *Master) controlEvents(ctx context.Context, req *wire.Map, send func(*wire.Map) error) error {
	var tags []string
	for _, t := range req.List("tags") {
		if s, ok := t.(string); ok {
			tags = append(tags, s)
		}
	}
	sub := m.bus.Subscribe(tags...)
	defer sub.Close()
	for e := range sub.All(ctx) {
		f := wire.NewMap("kind", control.KindEvent, "tag", e.Tag, "data", e.Data)
		if e.Lost > 0 {
			f.Set("lost", int64(e.Lost))
		}
		if err := send(f); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// controlMode is who may open the control socket.
func controlMode(cfg *config.Master) os.FileMode {
	switch {
	case cfg.PublisherACL.Len() > 0, cfg.ExternalAuth.Len() > 0:
		return 0o666
	case cfg.ControlSocketGroup != "":
		return 0o660
	}
	return 0o600
}

// makeDir makes a directory and those above it that are missing, all of this mode
// whatever the umask says. One that is there gets what the mode allows in addition.
func makeDir(dir string, perm os.FileMode) error {
	st, err := os.Stat(dir)
	if err == nil {
		if missing := perm &^ st.Mode().Perm(); missing != 0 {
			return os.Chmod(dir, st.Mode().Perm()|missing)
		}
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if up := filepath.Dir(dir); up != dir {
		if _, err := os.Stat(up); errors.Is(err, fs.ErrNotExist) {
			if err := makeDir(up, perm); err != nil {
				return err
			}
		}
	}
	if err := os.Mkdir(dir, perm); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return os.Chmod(dir, perm)
}

// listenControl makes the control socket. Other users may connect only where
// publisher_acl names some, or external_auth lets them log in: what they may do is decided for each request.
func (m *Master) listenControl() (net.Listener, error) {
	name := m.cfg.ControlSocket
	group := m.cfg.ControlSocketGroup
	l, err := control.Listen(name, controlMode(m.cfg.Master))
	if err != nil {
		return nil, err
	}
	if group != "" {
		if err := chgrp(name, group); err != nil {
			l.Close()
			return nil, err
		}
	}
	return l, nil
}

func chgrp(name, group string) error {
	g, err := user.LookupGroup(group)
	if err != nil {
		return fmt.Errorf("control_socket_group: %w", err)
	}
	gid, err := strconv.Atoi(strings.TrimSpace(g.Gid))
	if err != nil {
		return fmt.Errorf("control_socket_group %s: %w", group, err)
	}
	if err := os.Chown(name, -1, gid); err != nil {
		return fmt.Errorf("control_socket_group %s: %w", group, err)
	}
	return nil
}
