package master

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/config"
	"github.com/gosalt/gosalt/internal/render"
	"github.com/gosalt/gosalt/internal/target"
	"github.com/gosalt/gosalt/master/jobs"
	"github.com/gosalt/gosalt/protocol/control"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/ssh"
	"github.com/gosalt/gosalt/ssh/roster"
)

// Converse answers one conversation of the control socket on a connection within this
// process: the command line gosalt-ssh, which is its own master. It returns when the
// conversation has ended; Close must follow.
func (m *Master) Converse(ctx context.Context, nc net.Conn) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m.ctx = ctx
	go m.files.Run(ctx)
	go m.pillars.Run(ctx)
	c := control.Server(nc)
	defer c.Close()
	req, err := c.Recv()
	if err != nil {
		return
	}
	go func() {
		c.Recv() // the command line says nothing more; when it leaves, its job ends
		cancel()
	}()
	who := caller{uid: os.Geteuid(), name: userOf(), user: userOf(), full: true}
	if err := m.controlRequest(ctx, who, req, c.Send); err != nil {
		c.Send(errorFrame(req, err))
		return
	}
	c.Send(wire.NewMap("kind", control.KindEnd))
}

// Close ends a master whose Run was never called.
func (m *Master) Close() { m.close() }

func userOf() string {
	if u := os.Getenv("USER"); u != "" {
		return u
	}
	return "root"
}

// rosterConfig says where machines are to be found: as the configuration has it, and the
// command line over that.
func (m *Master) rosterConfig(over *wire.Map) roster.Config {
	opts := m.opts()
	pick := func(key string) any {
		if v, ok := over.Get(key); ok && v != nil {
			return v
		}
		v, _ := opts.Get(key)
		return v
	}
	text := func(key string) string { s, _ := pick(key).(string); return s }
	mapOf := func(key string) *wire.Map { v, _ := pick(key).(*wire.Map); return v }
	defaults := wire.NewMap()
	for _, k := range []string{"user", "port", "passwd", "priv", "priv_passwd", "timeout", "sudo", "sudo_user", "identities_only", "remote_port_forwards"} {
		// What the command line says comes before what the configuration says, and both
		// after the roster, as in Salt.
		if v, ok := opts.Get("ssh_" + k); ok && v != nil && v != "" {
			defaults.Set(k, v)
		}
		if v, ok := over.Get("ssh_" + k); ok && v != nil && v != "" {
			defaults.Set(k, v)
		}
	}
	if v := over.List("ssh_options"); len(v) > 0 {
		defaults.Set("ssh_options", v)
	}
	for k, v := range mapOf("roster_defaults").All() {
		defaults.SetAny(k, v)
	}
	c := roster.Config{File: text("roster_file"), ConfigDir: filepath.Dir(m.cfg.ConfFile), Defaults: defaults,
		MinionOpts: mapOf("ssh_minion_opts"), ListNodegroups: mapOf("ssh_list_nodegroups"), Nodegroups: m.cfg.Nodegroups,
		SSHConfigFile: text("ssh_config_file"), KnownHostsFile: text("ssh_known_hosts_file"), Dir: text("roster_dir"), Domain: text("roster_domain"),
		RangeServer: text("range_server"), Order: mapOf("roster_order"), ScanTimeout: seconds(wire.NewMap("t", pick("ssh_scan_timeout")), "t"),
		Render: render.Config{Opts: opts, Log: m.log}, Log: m.log,
		Grains: func(ctx context.Context, id string) *wire.Map {
			g, _, err := m.minions.get(ctx, wire.MinionID(id))
			if err != nil {
				return nil
			}
			return g
		},
		Known: m.rosterKnown,
	}
	c.MachinesOf = m.machinesOf
	if m.inv != nil {
		c.Machines = m.rosterMachines
	}
	switch v := pick("roster").(type) {
	case string:
		c.Rosters = strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' })
	case []any:
		for _, e := range v {
			c.Rosters = append(c.Rosters, fmt.Sprint(e))
		}
	}
	if m.inv != nil && len(c.Rosters) == 0 {
		// Where no roster is named the inventory is one, above which the file roster is, if
		// there is one.
		c.Rosters = []string{"inventory"}
		if _, err := os.Stat(rosterFile(c)); !errors.Is(err, fs.ErrNotExist) {
			c.Rosters = append(c.Rosters, "flat")
		}
	}
	switch v := pick("ssh_scan_ports").(type) {
	case int64:
		c.ScanPorts = []int{int(v)}
	case string:
		for _, p := range strings.Split(v, ",") {
			var n int
			if _, err := fmt.Sscan(strings.TrimSpace(p), &n); err == nil && n > 0 && n < 1<<16 {
				c.ScanPorts = append(c.ScanPorts, n)
			}
		}
	}
	return c
}

// rosterKnown is what the roster cache reads: the accepted minions and what is known of them.
func (m *Master) rosterKnown(ctx context.Context) ([]roster.Minion, error) {
	ids, err := m.keys.List("minions")
	if err != nil {
		return nil, err
	}
	var out []roster.Minion
	for _, id := range ids {
		g, p, err := m.minions.get(ctx, id)
		if err != nil {
			return nil, err
		}
		out = append(out, roster.Minion{ID: string(id), Grains: g, Pillar: p})
	}
	return out, nil
}

// sshOptionsOf reads how a request wants machines to be reached.
func (m *Master) sshOptionsOf(over *wire.Map) (sshOptions, error) {
	opts := m.opts()
	number := func(key string) int {
		for _, from := range []*wire.Map{over, opts} {
			if n := from.Int(key); n > 0 && n < math.MaxInt32 {
				return int(n)
			}
		}
		return 0
	}
	on := func(key string) bool { return over.Bool(key) || opts.Bool(key) }
	o := sshOptions{MaxProcs: number("ssh_max_procs"), Wipe: on("ssh_wipe"), Anew: over.Bool("regen_thin"), PreFlight: on("ssh_run_pre_flight"),
		Raw: over.Text("raw"), LogLevel: over.Text("log_level")}
	o.Begin = seconds(opts, "ssh_begin_timeout")
	o.Dial = dialOptions(m.cfg.Master, over)
	o.Dial.Log, o.Dial.AskPass = m.log, m.cfg.AskPass
	if on("ssh_key_deploy") {
		key, made, err := ssh.DefaultKey(m.cfg.PKIDir)
		if err != nil {
			return o, err
		}
		if made {
			m.log.Info("a key for SSH was made", "path", key)
		}
		o.KeyDeploy = key
		o.Dial.Identities = identities(m.cfg.PKIDir) // it may have been made just now
	}
	return o, nil
}

// dialOptions is how the master of a configuration reaches machines; over comes before that.
func dialOptions(cfg *config.Master, over *wire.Map) ssh.Options {
	opts := cfg.Opts()
	on := func(key string) bool { return over.Bool(key) || opts.Bool(key) }
	o := ssh.Options{Identities: identities(cfg.PKIDir)}
	switch {
	case on("ignore_host_keys"), on("no_host_keys"):
		o.HostKeys = ssh.Ignore
	case on("ssh_accept_new"):
		o.HostKeys = ssh.AcceptNew
	}
	if f := opts.Text("ssh_known_hosts_file"); f != "" {
		o.KnownHosts = []string{f}
	}
	return o
}

// identities are the keys that are tried where a roster names none: the key pair of the
// master, Salt's or gosalt's, where there is one, and with it the user's own. Nil leaves it
// to package ssh.
func identities(pkiDir string) []string {
	for _, name := range []string{"salt-ssh.rsa", "salt-ssh.ed25519"} {
		path := filepath.Join(pkiDir, "ssh", name)
		if _, err := os.Stat(path); err == nil {
			return append([]string{path}, userKeys()...)
		}
	}
	return nil
}

// userKeys are the user's own keys, by the names that OpenSSH gives them.
func userKeys() []string {
	home, err := os.UserHomeDir()
	if err != nil {
		return nil
	}
	var out []string
	for _, kind := range []string{"ed25519", "ecdsa", "rsa"} {
		path := filepath.Join(home, ".ssh", "id_"+kind)
		if _, err := os.Stat(path); err == nil {
			out = append(out, path)
		}
	}
	return out
}

// controlSSH is gosalt-ssh: a job for machines of a roster, whatever minions there are.
func (m *Master) controlSSH(ctx context.Context, who caller, req *wire.Map, send func(*wire.Map) error) error {
	if !who.full {
		return m.forbidden(who, "run jobs over SSH")
	}
	over := req.Map("ssh")
	if over == nil {
		over = wire.NewMap()
	}
	if over.Bool("refresh_cache") && m.inv != nil {
		var err error
		m.invFresh.Do(func() { _, err = m.inv.RefreshAll(ctx, "") })
		if err != nil {
			return err
		}
	}
	c := m.rosterConfig(over)
	r, err := roster.Load(ctx, c)
	if err != nil && len(r.Hosts()) == 0 && m.hasRoster(c) {
		return &wire.Error{Kind: wire.Malformed, Op: "roster", Msg: err.Error()}
	}
	warn := func(lines ...string) error {
		for i, l := range lines {
			if i == mostWarnings && len(lines) > i+1 {
				l = fmt.Sprintf("%d more like these", len(lines)-i)
			}
			if err := send(wire.NewMap("kind", control.KindWarning, "text", l)); err != nil || i == mostWarnings {
				return err
			}
		}
		return nil
	}
	unread := err
	if unread != nil && m.hasRoster(c) {
		if err := warn(strings.Split(unread.Error(), "\n")...); err != nil {
			return err
		}
	}
	if slices.Contains(c.Rosters, "inventory") {
		if err := m.warnInventory(ctx, send); err != nil {
			return err
		}
	}
	tgt, _ := req.Get("tgt")
	o, err := m.sshOptionsOf(over)
	if err != nil {
		return err
	}
	o.Complain, o.Bootstrap = true, true
	m.mine = &sshMine{m: m, r: r, o: o, user: who.user, done: map[string]bool{}}
	if over.Bool("refresh_cache") && over.Text("list") == "" && o.Raw == "" {
		if err := m.refreshOverSSH(ctx, r, tgt, req.Text("tgt_type"), who.user, o); err != nil {
			return err
		}
	}
	hosts, err := r.Match(ctx, tgt, req.Text("tgt_type"))
	if err != nil {
		return &wire.Error{Kind: wire.Malformed, Op: "target", Msg: err.Error()}
	}
	adHoc := false
	if text, ok := tgt.(string); ok && len(hosts) == 0 && req.Text("tgt_type") == "glob" {
		if h, ok := r.AdHoc(ctx, text); ok {
			hosts, adHoc = []ssh.Host{h}, true
		}
	}
	if len(hosts) == 0 && m.inv != nil && slices.Contains(c.Rosters, "inventory") && !over.Bool("refresh_cache") {
		if err := send(wire.NewMap("kind", control.KindWarning, "text", "the inventory knows what its sources said when they were listed last: --refresh lists them now")); err != nil {
			return err
		}
	}
	hosts = slices.DeleteFunc(hosts, func(h ssh.Host) bool {
		_, err := wire.ParseMinionID(h.ID)
		if err != nil {
			m.log.Error("a machine of the roster is left out", "host", h.ID, "at", h.Source, "error", err)
		}
		return err != nil
	})
	if len(hosts) == 0 && unread != nil && !m.hasRoster(c) {
		if err := warn(unread.Error()); err != nil {
			return err
		}
	}
	if err := warn(append(r.Notes(hosts), unknown(tgt, req.Text("tgt_type"), hosts)...)...); err != nil {
		return err
	}
	switch over.Text("list") {
	case "hosts":
		list := wire.NewMap()
		for _, h := range hosts {
			where := h.Host
			if h.Exec != nil { // it is not reached by an address
				where = h.Attrs.Text("exec")
			}
			list.Set(h.ID, where)
		}
		return send(wire.NewMap("kind", control.KindResult, "return", list))
	}
	job, err := jobOf(req)
	if err != nil {
		return err
	}
	job.User = who.user
	job.Live = req.Bool("follow") && req.Bool("live")
	if job.Fun == bootstrapShort {
		job.Fun = bootstrapInstall
	}
	if isBootstrap(job) && m.cfg.Borrowed {
		return m.noBootstrap()
	}
	if len(hosts) == 0 {
		return send(wire.NewMap("kind", control.KindJob, "jid", nil, "minions", []any{}, "missing", []any{}, "pending", int64(0)))
	}
	ids := sshTargets(hosts)
	m.audit("ssh", "user", who.user, "uid", who.uid, "fun", funName(job), "arg", withoutContent(job).Arg, "tgt", job.Tgt, "tgt_type", job.TgtType, "minions", len(ids))
	jid := wire.JobID(over.Text("jid"))
	if _, err := wire.ParseJobID(string(jid)); jid != "" && err != nil {
		return &wire.Error{Kind: wire.Malformed, Op: "jid", Msg: err.Error()}
	}
	live, w, err := m.publish(ctx, order{Job: job, Targets: ids, Narrow: true, Watch: true, Held: true, SSH: ids, JID: jid})
	if errors.Is(err, jobs.ErrExists) {
		return &wire.Error{Kind: wire.Malformed, Op: "jid", Msg: fmt.Sprintf("--jid %s: there is a job of that id already", jid)}
	}
	if err != nil {
		return err
	}
	defer w.close()
	m.ssh.start(ctx, live, job, hosts, o)
	if err := send(wire.NewMap("kind", control.KindJob, "jid", string(live.JID), "minions", texts(ids), "missing", []any{})); err != nil {
		return err
	}
	if err := m.follow(ctx, live, w, m.followOptions(req), send); err != nil {
		return err
	}
	if adHoc && (over.Bool("ssh_update_roster") || m.opts().Bool("ssh_update_roster")) {
		if ret, err := m.storedReturn(live.JID, ids[0]); err == nil && ret.Int("retcode") != exitSSH {
			return roster.Append(rosterFile(c), hosts[0], who.user)
		}
	}
	return nil
}

// mostWarnings are shown of one command's.
const mostWarnings = 20

// unknown tells which machines a target names that no roster has.
func unknown(tgt any, kind string, hosts []ssh.Host) []string {
	names, ok := tgt.([]any)
	if !ok || kind != "list" || len(hosts) == 0 { // without any it is said that none matches
		return nil
	}
	var out []string
	for _, v := range names {
		name := strings.TrimSpace(fmt.Sprint(v))
		if name != "" && !slices.ContainsFunc(hosts, func(h ssh.Host) bool { return h.ID == name }) {
			out = append(out, fmt.Sprintf("%s is not in the roster, and is left out (-H lists the machines that are)", name))
		}
	}
	return out
}

// refreshOverSSH has the machines that a target may mean tell their grains, as they do when
// they ask for their pillar. One that cannot be reached says so in the job that follows.
func (m *Master) refreshOverSSH(ctx context.Context, r *roster.Roster, tgt any, tgtType, user string, o sshOptions) error {
	hosts := r.Hosts()
	t, err := r.Target(ctx, tgt, tgtType)
	if err != nil || !t.NeedsGrains() && !t.NeedsPillar() {
		if hosts, err = r.Match(ctx, tgt, tgtType); err != nil {
			return nil // said by who asks again
		}
	}
	hosts = slices.DeleteFunc(slices.Clone(hosts), func(h ssh.Host) bool { _, err := wire.ParseMinionID(h.ID); return err != nil })
	if len(hosts) == 0 {
		return nil
	}
	return m.aside(ctx, "saltutil.refresh_pillar", hosts, user, o)
}

// rosterFile is the file of the roster flat.
func rosterFile(c roster.Config) string {
	if c.File != "" {
		return c.File
	}
	return filepath.Join(c.ConfigDir, "roster")
}

// fallback says which machines of a job's target are to be reached over SSH, by
// ssh_fallback: those that are not connected, and in the roster. ids are the minions that
// the target matches; the answer has them with those of the roster that are no minions.
// spare are those that are connected, and in the roster.
func (m *Master) fallback(ctx context.Context, req *wire.Map, ids []wire.MinionID, send func(*wire.Map) error) (all []wire.MinionID, hosts []ssh.Host, spare map[wire.MinionID]ssh.Host, err error) {
	mode := m.opts().Text("ssh_fallback")
	if t := req.Text("transport"); t == "zmq" {
		mode = "never"
	} else if t == "ssh" && mode == "never" {
		mode = "roster"
	}
	if mode == "" {
		mode = "roster"
	}
	c := m.rosterConfig(nil)
	if mode == "never" || mode == "roster" && !m.hasRoster(c) {
		return ids, nil, nil, nil
	}
	r, err := roster.Load(ctx, c)
	if err != nil {
		m.log.Error("the roster cannot be read: machines are not reached over SSH", "error", err)
		for _, line := range strings.Split(err.Error(), "\n") {
			if err := send(wire.NewMap("kind", control.KindWarning, "text", line+"; its machines are not reached over SSH")); err != nil {
				return nil, nil, nil, err
			}
		}
		if len(r.Hosts()) == 0 {
			return ids, nil, nil, nil
		}
	}
	spare = map[wire.MinionID]ssh.Host{}
	over := func(id wire.MinionID) bool { return req.Text("transport") == "ssh" || !m.expected(id) }
	for _, id := range ids {
		h, ok := r.Get(string(id))
		if !ok && mode == "always" {
			h, ok = ssh.Host{ID: string(id), Host: string(id)}, true
		}
		switch {
		case ok && over(id):
			hosts = append(hosts, h)
		case ok:
			spare[id] = h
		}
	}
	expr, _ := req.Get("tgt")
	t, err := target.Parse(expr, req.Text("tgt_type"), m.targetOptions(ctx, req.Text("delimiter")))
	if err != nil {
		return nil, nil, nil, &wire.Error{Kind: wire.Malformed, Op: "target", Msg: err.Error()}
	}
	all = slices.Clone(ids)
	for _, h := range r.Hosts() {
		id, err := wire.ParseMinionID(h.ID)
		if err != nil || slices.Contains(ids, id) || r.Down(h.ID) && t.ID() != h.ID && !slices.Contains(t.Listed(), h.ID) {
			continue
		}
		s := target.Subject{ID: h.ID, Grains: h.Grains}
		if t.NeedsGrains() || t.NeedsPillar() {
			g, p, err := m.minions.get(ctx, id)
			if err != nil {
				return nil, nil, nil, err
			}
			if g != nil {
				s.Grains = g
			}
			s.Pillar = p
			if s.Grains == nil {
				continue // nothing is known of it: it is not what was meant
			}
		}
		ok, err := t.Match(s)
		if err != nil {
			return nil, nil, nil, &wire.Error{Kind: wire.Malformed, Op: "target", Msg: err.Error()}
		}
		if ok {
			all, hosts = append(all, id), append(hosts, h)
		}
	}
	return all, hosts, spare, nil
}

// hasRoster tells whether there is a roster at all: most masters have none.
func (m *Master) hasRoster(c roster.Config) bool {
	if len(c.Rosters) > 0 && !slices.Equal(c.Rosters, []string{"flat"}) {
		return true
	}
	_, err := os.Stat(rosterFile(c))
	return !errors.Is(err, fs.ErrNotExist)
}
