package master

import (
	"context"
	"slices"
	"sync"

	"github.com/gosalt/gosalt/master/keys"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/ssh"
	"github.com/gosalt/gosalt/ssh/roster"
)

// sshMine is the mine for the machines of one command of gosalt-ssh. No minion runs there
// that would keep it up to date: who is asked for is had fill it first, once.
type sshMine struct {
	m    *Master
	r    *roster.Roster
	o    sshOptions
	user string

	mu   sync.Mutex
	done map[string]bool
}

// inMine marks what runs to fill the mine: it must not wait for itself.
type inMine struct{}

// fill has the machines of the roster that a request for the mine means run mine.update.
// One that cannot be reached has what it had.
func (f *sshMine) fill(ctx context.Context, load *wire.Map) {
	if f == nil || ctx.Value(inMine{}) != nil {
		return
	}
	req, err := wire.MineGetFromMap(load)
	if err != nil {
		return // said by who answers it
	}
	hosts, err := f.r.Match(ctx, req.Tgt, req.TgtType)
	if err != nil {
		f.m.log.Info("the roster does not tell whose mine is meant", "tgt", req.Tgt, "error", err)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	hosts = slices.DeleteFunc(slices.Clone(hosts), func(h ssh.Host) bool {
		_, err := wire.ParseMinionID(h.ID)
		return err != nil || f.done[h.ID]
	})
	if len(hosts) == 0 {
		return
	}
	if err := f.m.aside(context.WithValue(ctx, inMine{}, true), "mine.update", hosts, f.user, f.o); err != nil {
		f.m.log.Warn("the mine could not be filled", "error", err)
		return
	}
	for _, h := range hosts {
		f.done[h.ID] = true
	}
}

// aside runs a function on machines for the sake of another job, and waits for it.
func (m *Master) aside(ctx context.Context, fun string, hosts []ssh.Host, user string, o sshOptions) error {
	ids := sshTargets(hosts)
	o.Raw, o.KeyDeploy, o.Bootstrap = "", "", false
	job := &wire.Job{Fun: fun, Arg: []any{}, Tgt: texts(ids), TgtType: "list", User: user}
	live, w, err := m.publish(ctx, order{Job: job, Targets: ids, Narrow: true, Watch: true, Held: true, SSH: ids})
	if err != nil {
		return err
	}
	defer w.close()
	m.ssh.start(ctx, live, job, hosts, o)
	return m.follow(ctx, live, w, followOptions{Timeout: m.cfg.Timeout, Gather: m.cfg.GatherJobTimeout}, func(*wire.Map) error { return nil })
}

// ofRoster tells whether a machine is one of the roster, which is read when the first one
// is asked about. A master believes none whose key was rejected: its data may be a minion's.
func (m *Master) ofRoster(ctx context.Context) func(id wire.MinionID) bool {
	read := sync.OnceValue(func() *roster.Roster {
		if m.mine != nil {
			return m.mine.r
		}
		c := m.rosterConfig(nil)
		if !m.hasRoster(c) {
			return nil
		}
		r, _ := roster.Load(ctx, c) // what is wrong with it is told where jobs are made
		return r
	})
	return func(id wire.MinionID) bool {
		r := read()
		if r == nil {
			return false
		}
		if m.mine == nil {
			if st, err := m.keys.StateOf(id); err != nil || st == keys.Rejected {
				return false
			}
		}
		_, ok := r.Get(string(id))
		return ok
	}
}

// mineFunctions gives an agent those of its entry in the roster, or of this configuration,
// as salt-ssh looks for them. Those of the pillar are added there.
func (m *Master) mineFunctions(opts *wire.Map, h ssh.Host) {
	if opts.Has("mine_functions") {
		return
	}
	if v, ok := h.Attrs.Get("mine_functions"); ok {
		opts.Set("mine_functions", v)
	} else if v, ok := m.opts().Get("mine_functions"); ok && v != nil {
		opts.Set("mine_functions", v)
	}
}
