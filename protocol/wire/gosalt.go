package wire

import "fmt"

// Commands that gosalt peers add; see Version. A Salt master answers them with {}.
const (
	// CmdAck tells the master that a job was taken, before it begins: {jid}. Reply nil.
	CmdAck = "_gosalt_ack"

	// CmdTake asks whether a job is still this minion's, before it runs: {jid}. The reply is
	// {run, later}: run is false where it is done over SSH, and later says to ask again, as
	// that is only tried yet. It is an acknowledgment, too. See FieldSpare.
	CmdTake = "_gosalt_take"

	// CmdBootstrap is what the function that makes a machine a minion, or undoes that,
	// asks over SSH: {step}. "begin" is answered with {master, port, pub, opts, running};
	// "accept" {pub, replace} and "remove" {pub} with {changed, text}.
	CmdBootstrap = "_gosalt_bootstrap"

	// CmdMissed asks for the jobs published while the minion was away: {}. The reply is
	// a list of publish loads in their order, jobs that expired left out.
	CmdMissed = "_gosalt_missed"

	// CmdCloud asks what the master's inventory knows of the minion's machine: a map, empty
	// where that is nothing. A master of Salt does not know it and answers with nothing.
	CmdCloud = "_gosalt_cloud"

	// CmdAlive tells which jobs still run: {running: [jid, ...]}. The reply is an
	// AliveReply.
	CmdAlive = "_gosalt_alive"

	// CmdSharedKey asks for the key that jobs are published under, by a minion that could
	// not open one: {}. The reply is {aes: the key's text}. The session key seals it,
	// so that neither side needs RSA when ten thousand minions meet a new key at once,
	// as they do with the first job after a restart of the master.
	CmdSharedKey = "_gosalt_shared_key"
)

// FieldVia is the field of a return that tells how it came, where that was not over
// ZeroMQ: "ssh".
const FieldVia = "gosalt_via"

// FieldSpare is the field of a publish that names the minions which ask by CmdTake before
// they run the job: their machines can be reached over SSH as well, and a minion that was
// not heard of in time may find the job done. SpareAll in it names all.
const FieldSpare = "gosalt_spare"

// SpareAll is no minion's id.
const SpareAll = "*"

// Take is the load of CmdTake.
type Take struct{ JID JobID }

// TakeFromMap checks the load of a request whose cmd is _gosalt_take.
func TakeFromMap(m *Map) (*Take, error) {
	f := fields{m: m, what: CmdTake}
	t := &Take{JID: f.jobID("jid")}
	if err := f.err(); err != nil {
		return nil, err
	}
	return t, nil
}

// ToMap is the load.
func (t *Take) ToMap() *Map { return NewMap("cmd", CmdTake, "jid", string(t.JID)) }

// TakeReply is the answer to CmdTake.
type TakeReply struct {
	Run   bool
	Later bool // with Run false: it is not decided yet
}

// ToMap is the answer.
func (t *TakeReply) ToMap() *Map { return NewMap("run", t.Run, "later", t.Later) }

// TakeReplyFromValue checks the answer.
func TakeReplyFromValue(v any) (*TakeReply, error) {
	m, ok := v.(*Map)
	if !ok || !m.Has("run") {
		return nil, fmt.Errorf("answer to %s: a map with run is expected, got %s", CmdTake, TypeName(v))
	}
	f := fields{m: m, what: CmdTake}
	t := &TakeReply{Run: f.bool("run"), Later: f.bool("later")}
	return t, f.err()
}

// Ack is the load of CmdAck.
type Ack struct{ JID JobID }

// AckFromMap checks the load of a request whose cmd is _gosalt_ack.
func AckFromMap(m *Map) (*Ack, error) {
	f := fields{m: m, what: CmdAck}
	a := &Ack{JID: f.jobID("jid")}
	if err := f.err(); err != nil {
		return nil, err
	}
	return a, nil
}

// ToMap is the load.
func (a *Ack) ToMap() *Map { return NewMap("cmd", CmdAck, "jid", string(a.JID)) }

// Missed is the load of CmdMissed.
type Missed struct{}

// ToMap is the load.
func (Missed) ToMap() *Map { return NewMap("cmd", CmdMissed) }

// MissedReply is the answer to CmdMissed.
type MissedReply struct{ Jobs []*Job }

// MissedReplyFromValue checks the answer. A Salt master's {} means none.
func MissedReplyFromValue(v any) (*MissedReply, error) {
	list, ok := v.([]any)
	if m, isMap := v.(*Map); isMap && m.Len() == 0 {
		ok = true
	}
	if !ok {
		return nil, malformed(CmdMissed, "reply is %s: a list of publish loads expected", TypeName(v))
	}
	r := &MissedReply{}
	for i, v := range list {
		m, ok := v.(*Map)
		if !ok {
			return nil, malformed(CmdMissed, "item %d of the reply is %s: a publish load expected", i, TypeName(v))
		}
		j, err := JobFromMap(m)
		if err != nil {
			return nil, err
		}
		r.Jobs = append(r.Jobs, j)
	}
	return r, nil
}

// ToValue is the answer.
func (r *MissedReply) ToValue() []any {
	list := make([]any, len(r.Jobs))
	for i, j := range r.Jobs {
		list[i] = j.ToMap()
	}
	return list
}

// Alive is the load of CmdAlive.
type Alive struct{ Running []JobID }

// AliveFromMap checks the load of a request whose cmd is _gosalt_alive.
func AliveFromMap(m *Map) (*Alive, error) {
	f := fields{m: m, what: CmdAlive}
	a := &Alive{}
	for i, s := range f.texts("running") {
		jid, err := ParseJobID(s)
		if err != nil {
			f.fail("running", "item %d: %v", i, err)
			break
		}
		a.Running = append(a.Running, jid)
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	return a, nil
}

// ToMap is the load.
func (a *Alive) ToMap() *Map {
	list := make([]any, len(a.Running))
	for i, jid := range a.Running {
		list[i] = string(jid)
	}
	return NewMap("cmd", CmdAlive, "running", list)
}

// AliveReply is the answer to CmdAlive.
type AliveReply struct {
	MaxReturn int64 // The largest result that the master takes, in bytes; 0 where it does not say.
}

// AliveReplyFromValue checks the answer. Nil, and a Salt master's {}, say nothing.
func AliveReplyFromValue(v any) (*AliveReply, error) {
	if v == nil {
		return &AliveReply{}, nil
	}
	m, ok := v.(*Map)
	if !ok {
		return nil, malformed(CmdAlive, "reply is %s: a map expected", TypeName(v))
	}
	f := fields{m: m, what: "reply to " + CmdAlive}
	r := &AliveReply{MaxReturn: f.int("max_return")}
	if r.MaxReturn < 0 {
		f.fail("max_return", "%d: a size in bytes expected", r.MaxReturn)
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	return r, nil
}

// ToMap is the answer.
func (r *AliveReply) ToMap() *Map { return NewMap("max_return", r.MaxReturn) }

// SharedKey is the load of CmdSharedKey.
type SharedKey struct{}

// ToMap is the load.
func (SharedKey) ToMap() *Map { return NewMap("cmd", CmdSharedKey) }

// SharedKeyReply is the answer to CmdSharedKey.
type SharedKeyReply struct{ AES string }

// SharedKeyReplyFromValue checks the answer. A master that does not know the command
// answers {}, which is an error here: sign in instead.
func SharedKeyReplyFromValue(v any) (*SharedKeyReply, error) {
	m, ok := v.(*Map)
	if !ok {
		return nil, malformed(CmdSharedKey, "reply is %s: a map with aes expected", TypeName(v))
	}
	f := fields{m: m, what: CmdSharedKey}
	r := &SharedKeyReply{AES: f.wantText("aes")}
	if err := f.err(); err != nil {
		return nil, err
	}
	return r, nil
}

// ToMap is the answer.
func (r *SharedKeyReply) ToMap() *Map { return NewMap("aes", r.AES) }

// FieldError is the only entry of an answer that tells a gosalt minion why its request
// was refused: {FieldError: an Error's map}. A Salt minion gets an empty text instead.
const FieldError = "_gosalt_error"

// FieldWait is a field of the auth request: for how many seconds a minion whose key is
// pending is ready to wait for the answer, so that it comes as soon as the key is accepted.
const FieldWait = "gosalt_wait"
