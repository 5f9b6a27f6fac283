package wire

import "strings"

// Commands by which minions run functions elsewhere, where the master lets them.
const (
	// CmdMinionPub runs a function on minions (peer): {fun, arg, tgt, tgt_type, ret, no_parse}.
	// Reply {jid, minions}, or {} where it may not.
	CmdMinionPub = "minion_pub"
	// CmdPubRet asks for the returns of such a job: {jid}. Reply {id: {ret, out?}}, of
	// those that have come.
	CmdPubRet = "pub_ret"
	// CmdMinionPublish is CmdMinionPub that waits: with tmo, in seconds, and form, which is
	// "full" or not. Reply {id: value}, in full {id: {ret, ...}, __jid__}.
	CmdMinionPublish = "minion_publish"
	// CmdMinionRunner runs a runner (peer_run): {fun, arg, no_parse}. Reply its value.
	CmdMinionRunner = "minion_runner"
)

// Peer is the load of CmdMinionPub, CmdMinionPublish and CmdMinionRunner.
type Peer struct {
	Cmd     string
	ID      MinionID
	Fun     string // Several with commas.
	Arg     []any  // As on a command line: texts are still to be typed.
	Tgt     any
	TgtType string // "glob" where "".
	Ret     string
	Timeout int64 // Seconds; 0: the master's own.
	Full    bool
	NoParse []string
}

// PeerFromMap checks the load of a request whose cmd is one of those.
func PeerFromMap(m *Map) (*Peer, error) {
	cmd := m.Text("cmd")
	f := fields{m: m, what: cmd}
	p := &Peer{Cmd: cmd, ID: f.minionID("id"), Fun: f.wantText("fun"), TgtType: f.text("tgt_type"), Ret: f.text("ret"),
		Full: m.Text("form") == "full", NoParse: f.texts("no_parse")}
	switch arg := f.get("arg").(type) {
	case nil:
	case string:
		p.Arg = []any{arg}
	default:
		p.Arg = f.list("arg")
	}
	for _, name := range []string{"tmo", "timeout"} {
		if m.Has(name) {
			p.Timeout = f.int(name)
		}
	}
	if cmd != CmdMinionRunner {
		p.Tgt = f.want("tgt", "a target")
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	return p, nil
}

// Funs are the functions of Fun.
func (p *Peer) Funs() []string { return strings.Split(p.Fun, ",") }

// ToMap is the load.
func (p *Peer) ToMap() *Map {
	arg := p.Arg
	if arg == nil {
		arg = []any{}
	}
	m := NewMap("cmd", p.Cmd, "fun", p.Fun, "arg", arg)
	if p.Cmd != CmdMinionRunner {
		m.Set("tgt", p.Tgt)
		m.Set("tgt_type", p.TgtType)
		m.Set("ret", p.Ret)
	}
	m.Set("tmo", p.Timeout)
	if p.Cmd != CmdMinionRunner {
		form := "clean"
		if p.Full {
			form = "full"
		}
		m.Set("form", form)
	}
	m.Set("id", string(p.ID))
	no := make([]any, len(p.NoParse))
	for i, s := range p.NoParse {
		no[i] = s
	}
	m.Set("no_parse", no)
	return m
}
