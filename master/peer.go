package master

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/yamlarg"
	"github.com/gosalt/gosalt/master/jobs"
	"github.com/gosalt/gosalt/master/runners"
	"github.com/gosalt/gosalt/protocol/control"
	"github.com/gosalt/gosalt/protocol/wire"
)

// peerUser is who jobs and runners of minions are run by, as with Salt; the publish
// load names the minion, and the audit log too.
const peerUser = "root"

// peerDenied is what a minion is told that may not run a function elsewhere: a gosalt
// minion why, Salt's nothing, as by its own master.
func (m *Master) peerDenied(from *minionRequest, fun, option string, why error) (any, error) {
	m.audit("peer refused", "minion", string(from.ID), "cmd", from.Load.Text("cmd"), "fun", fun, "why", why.Error())
	if from.Gosalt {
		return nil, &wire.Error{Kind: wire.Forbidden, Op: from.Load.Text("cmd"), Msg: fmt.Sprintf("%s may not run %s: %v (option %s of the master)", from.ID, fun, why, option)}
	}
	m.log.Warn("minion may not run a function elsewhere", "minion", from.ID, "fun", fun, "option", option, "why", why)
	return wire.NewMap(), nil
}

// peerJob reads what a minion wants to be run on others, and decides whether it may.
// An error says why not.
func (m *Master) peerJob(ctx context.Context, p *wire.Peer) (*order, error) {
	calls, err := peerCalls(p)
	if err != nil {
		return nil, err
	}
	req := wire.NewMap("tgt", p.Tgt, "tgt_type", p.TgtType)
	if strings.HasPrefix(p.TgtType, "node") { // Salt takes any such word
		req.Set("tgt_type", "nodegroup")
	}
	given := strings.ToLower(req.Text("tgt_type"))
	ids, _, narrow, err := m.resolve(ctx, req)
	if err != nil {
		return nil, err
	}
	// A minion must not learn of others' pillar by trying patterns: a target that
	// means more than it does with its pillar taken exactly is refused.
	exact := map[string]string{"pillar": "pillar_exact", "pillar_pcre": "pillar_exact", "compound": "compound_pillar_exact"}[given]
	if exact != "" {
		strict, _, _, err := m.resolve(ctx, wire.NewMap("tgt", p.Tgt, "tgt_type", exact))
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			if !slices.Contains(strict, id) {
				return nil, errors.New("pillar in its target has to be given exactly, without patterns")
			}
		}
	}
	rules := permitted(m.cfg.Peer, string(p.ID))
	for _, c := range calls {
		if strings.HasPrefix(c.Fun, "publish") {
			return nil, errors.New("a function that publishes cannot be published")
		}
		if !m.peerAllows(rules, c, ids) {
			return nil, errors.New("no rule allows it on these minions")
		}
	}
	job := &wire.Job{Tgt: nil, TgtType: req.Text("tgt_type"), User: peerUser, Ret: p.Ret, ID: p.ID}
	job.Tgt, _ = req.Get("tgt")
	if len(calls) == 1 {
		job.Fun, job.Arg = calls[0].Fun, calls[0].Args
	} else {
		job.Multi = calls
	}
	return &order{Job: job, Targets: ids, Narrow: narrow}, nil
}

// peerAllows tells whether one rule permits a call: an expression for functions, on all
// minions, or a map of a target with such, and with conditions on the arguments.
func (m *Master) peerAllows(rules []any, c wire.Call, ids []wire.MinionID) bool {
	for _, r := range rules {
		switch r := r.(type) {
		case string:
			if matchesStart(r, c.Fun) {
				return true
			}
		case *wire.Map:
			if m.allowed([]any{r}, c, ids) {
				return true
			}
		}
	}
	return false
}

// peerCalls are the functions of a request with their arguments, typed as on a command
// line; several functions take theirs from one text each.
func peerCalls(p *wire.Peer) ([]wire.Call, error) {
	funs := p.Funs()
	if len(funs) == 1 {
		return []wire.Call{{Fun: p.Fun, Args: peerArgs(p.Arg, p.NoParse)}}, nil
	}
	if len(p.Arg) != len(funs) {
		return nil, fmt.Errorf("%d functions need as many arguments, each a text with those of one function: %d came", len(funs), len(p.Arg))
	}
	var calls []wire.Call
	for i, fun := range funs {
		text, ok := p.Arg[i].(string)
		if !ok {
			return nil, fmt.Errorf("the arguments of %s are %s: text is expected", fun, wire.TypeName(p.Arg[i]))
		}
		calls = append(calls, wire.Call{Fun: fun, Args: yamlarg.ParseInput(strings.Fields(text), p.NoParse)})
	}
	return calls, nil
}

// peerArgs types those arguments that are texts.
func peerArgs(args []any, noParse []string) []any {
	out, kw := []any{}, wire.NewMap("__kwarg__", true)
	for _, a := range args {
		typed := []any{a}
		if text, ok := a.(string); ok {
			typed = yamlarg.ParseInput([]string{text}, noParse)
		}
		for _, v := range typed {
			if m, ok := v.(*wire.Map); ok && m.Bool("__kwarg__") {
				for k, v := range m.Strings() {
					kw.Set(k, v)
				}
			} else {
				out = append(out, v)
			}
		}
	}
	if kw.Len() > 1 {
		out = append(out, kw)
	}
	return out
}

// peerRequest reads a request that runs something elsewhere.
func (m *Master) peerRequest(from *minionRequest) (*wire.Peer, error) {
	p, err := wire.PeerFromMap(from.Load)
	if err == nil && p.ID != from.ID {
		err = m.notYours(from, string(p.ID))
	}
	return p, err
}

// handleMinionPub runs a function on minions on behalf of one (option peer).
func (m *Master) handleMinionPub(ctx context.Context, from *minionRequest) (any, error) {
	p, err := m.peerRequest(from)
	if err != nil {
		return nil, err
	}
	o, err := m.peerJob(ctx, p)
	if err != nil {
		return m.peerDenied(from, p.Fun, "peer", err)
	}
	m.audit("publish", "minion", string(from.ID), "fun", p.Fun, "arg", p.Arg, "tgt", p.Tgt, "tgt_type", p.TgtType, "minions", len(o.Targets))
	if len(o.Targets) == 0 {
		return wire.NewMap("jid", "", "minions", []any{}), nil
	}
	live, _, err := m.publish(ctx, *o)
	if err != nil {
		return nil, err
	}
	return wire.NewMap("jid", string(live.JID), "minions", texts(o.Targets)), nil
}

// handlePubRet answers with what a job has returned that this minion began.
func (m *Master) handlePubRet(ctx context.Context, from *minionRequest) (any, error) {
	jid, err := wire.ParseJobID(from.Load.Text("jid"))
	if err != nil {
		return wire.NewMap(), nil
	}
	job, err := m.store.Job(ctx, jid)
	if errors.Is(err, jobs.ErrUnknown) {
		return wire.NewMap(), nil
	}
	if err != nil {
		return nil, err
	}
	load, err := wire.DecodeMap(job.Load, wire.Local, wire.Authenticated)
	if err != nil || job.Unpublished || load.Text("id") != string(from.ID) {
		m.audit("returns refused", "minion", string(from.ID), "jid", string(jid), "why", "it did not begin that job")
		return wire.NewMap(), nil
	}
	out := wire.NewMap()
	left := int64(m.cfg.MaxReturn)
	for ret, err := range m.store.Returns(ctx, jid) {
		if err != nil {
			return nil, err
		}
		if left -= int64(len(ret.Load)); left < 0 {
			return nil, &wire.Error{Kind: wire.Forbidden, Op: wire.CmdPubRet, Msg: fmt.Sprintf("the returns are larger than max_return (%d bytes) together: publish to fewer minions", m.cfg.MaxReturn)}
		}
		load, err := wire.DecodeMap(ret.Load, wire.Local, wire.Authenticated)
		if err != nil {
			return nil, fmt.Errorf("stored return of %s: %w", ret.Minion, err)
		}
		if load.Has("return") { // else job_cache: False
			out.Set(string(ret.Minion), peerReturn(load))
		}
	}
	return out, nil
}

// peerReturn is a return as minions see it.
func peerReturn(load *wire.Map) *wire.Map {
	v, _ := load.Get("return")
	r := wire.NewMap("ret", v)
	if out := load.Text("out"); out != "" {
		r.Set("out", out)
	}
	return r
}

// maxPeerWait is how long a request of a minion is kept waiting for other minions.
const maxPeerWait = 10 * time.Minute

// handleMinionPublish runs a function on minions on behalf of one and waits for the
// returns.
func (m *Master) handleMinionPublish(ctx context.Context, from *minionRequest) (any, error) {
	p, err := m.peerRequest(from)
	if err != nil {
		return nil, err
	}
	o, err := m.peerJob(ctx, p)
	if err != nil {
		return m.peerDenied(from, p.Fun, "peer", err)
	}
	m.audit("publish", "minion", string(from.ID), "fun", p.Fun, "arg", p.Arg, "tgt", p.Tgt, "tgt_type", p.TgtType, "minions", len(o.Targets))
	out := wire.NewMap()
	if len(o.Targets) == 0 {
		return out, nil
	}
	ctx, cancel := context.WithTimeout(ctx, maxPeerWait)
	defer cancel()
	o.Watch = true
	live, w, err := m.publish(ctx, *o)
	if err != nil {
		return nil, err
	}
	defer w.close()
	wait := followOptions{Timeout: m.cfg.Timeout, Gather: m.cfg.GatherJobTimeout}
	if p.Timeout > 0 {
		wait.Timeout = min(time.Duration(p.Timeout)*time.Second, maxPeerWait)
	}
	if p.Full {
		out.Set("__jid__", string(live.JID))
	}
	err = m.follow(ctx, live, w, wait, func(f *wire.Map) error {
		if f.Text("kind") != control.KindReturn {
			return nil
		}
		r := peerReturn(f.Map("load"))
		if p.Full {
			out.Set(f.Text("id"), r)
		} else {
			v, _ := r.Get("ret")
			out.Set(f.Text("id"), v)
		}
		return nil
	})
	return out, err
}

// handleMinionRunner runs a runner on behalf of a minion (option peer_run).
func (m *Master) handleMinionRunner(ctx context.Context, from *minionRequest) (any, error) {
	p, err := m.peerRequest(from)
	if err != nil {
		return nil, err
	}
	if !m.peerAllows(onlyTexts(permitted(m.cfg.PeerRun, string(from.ID))), wire.Call{Fun: p.Fun}, nil) {
		return m.peerDenied(from, "the runner "+p.Fun, "peer_run", errors.New("no rule allows it"))
	}
	args := peerArgs(p.Arg, p.NoParse)
	m.audit("runner", "minion", string(from.ID), "fun", p.Fun, "arg", args)
	ctx, cancel := context.WithTimeout(ctx, maxPeerWait)
	defer cancel()
	res := m.runners.Run(ctx, runners.Request{Fun: p.Fun, Args: args, User: peerUser})
	return res.Return, nil
}

// onlyTexts leaves out rules that are no expressions: targets say nothing about runners.
func onlyTexts(rules []any) []any {
	return slices.DeleteFunc(rules, func(r any) bool { _, ok := r.(string); return !ok })
}
