package master

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/gosalt/gosalt/protocol/seal"
	"github.com/gosalt/gosalt/protocol/transport"
	"github.com/gosalt/gosalt/protocol/wire"
)

// The two tables of what can be asked for over the network, one for messages in the
// clear and one for messages sealed with a minion's session key. A name that is in
// neither is answered as Salt does, with {}; nothing is ever found by its name in
// any other way (CVE-2020-11651).
//
//	command           who                     what
//
// Orders of Salt's own programs are a table of their own: see saltclients.go.
var clearCommands = map[string]clearCommand{
	wire.CmdAuth:  {(*Master).handleAuth},      // anyone; sign in, see auth.go
	"ping":        {(*Master).handleClearPing}, // anyone; the load is sent back
	wire.CmdHello: {(*Master).handleHello},     // anyone; who this master is
	wire.CmdJoin:  {(*Master).handleJoin},      // who proves to hold a join token, or to be a machine of a cloud, see join.go
}

var minionCommands = map[string]minionCommand{
	wire.CmdReturn:        {handle: (*Master).handleReturn},        // an accepted minion; its result of a job
	wire.CmdMinionEvent:   {handle: (*Master).handleEvent},         // an accepted minion; events under its own tags
	wire.CmdPillar:        {handle: (*Master).handlePillar},        // an accepted minion; its own pillar
	wire.CmdMasterOpts:    {handle: (*Master).handleMasterOpts},    // an accepted minion
	wire.CmdMasterTops:    {handle: (*Master).handleEmptyMap},      // an accepted minion; no master_tops are configured
	"_ext_nodes":          {handle: (*Master).handleEmptyMap},      // an accepted minion; the old name of the same
	"revoke_auth":         {handle: (*Master).handleRevoke},        // an accepted minion; its own key
	wire.CmdMine:          {handle: (*Master).handleMine},          // an accepted minion; its own values
	wire.CmdMineGet:       {handle: (*Master).handleMineGet},       // an accepted minion; what mine_get and allow_tgt let it read
	wire.CmdMineDelete:    {handle: (*Master).handleMineDelete},    // an accepted minion; its own values
	wire.CmdMineFlush:     {handle: (*Master).handleMineFlush},     // an accepted minion; its own values
	wire.CmdMinionPub:     {handle: (*Master).handleMinionPub},     // an accepted minion; what peer lets it run, on whom
	wire.CmdMinionPublish: {handle: (*Master).handleMinionPublish}, // likewise
	wire.CmdPubRet:        {handle: (*Master).handlePubRet},        // the minion that began the job
	wire.CmdMinionRunner:  {handle: (*Master).handleMinionRunner},  // an accepted minion; what peer_run lets it run
	wire.CmdAck:           {handle: (*Master).handleAck},           // the minion that the job targets
	wire.CmdTake:          {handle: (*Master).handleTake},          // likewise
	wire.CmdCloud:         {handle: (*Master).handleCloud},         // an accepted minion; what the inventory has of its own machine
	wire.CmdMissed:        {handle: (*Master).handleMissed},        // an accepted minion; its own jobs
	wire.CmdAlive:         {handle: (*Master).handleAlive},         // an accepted minion; its own jobs
	wire.CmdSharedKey:     {handle: (*Master).handleSharedKey},     // an accepted minion

	wire.CmdServeFile:       {handle: (*Master).handleFiles, files: true},    // an accepted minion, as all that follow
	wire.CmdFileHash:        {handle: (*Master).handleFiles, files: true},    //
	wire.CmdFileHashAndStat: {handle: (*Master).handleFiles, files: true},    //
	wire.CmdFileFind:        {handle: (*Master).handleFiles, files: true},    //
	wire.CmdFileList:        {handle: (*Master).handleFiles, files: true},    //
	wire.CmdFileEmptyDirs:   {handle: (*Master).handleFiles, files: true},    //
	wire.CmdDirList:         {handle: (*Master).handleFiles, files: true},    //
	wire.CmdSymlinkList:     {handle: (*Master).handleFiles, files: true},    //
	wire.CmdFileEnvs:        {handle: (*Master).handleFiles, files: true},    //
	wire.CmdFileTree:        {handle: (*Master).handleFileTree, files: true}, //
	wire.CmdFileRead:        {handle: (*Master).handleFileRead, files: true}, //
	wire.CmdFileRecv:        {handle: (*Master).handleFileRecv, files: true}, // under file_recv; into a directory of its own
}

// clearCommand answers a load that nothing proves the sender of. A nil answer
// closes the connection.
type clearCommand struct {
	handle func(m *Master, p transport.Peer, version int64, load *wire.Map) []byte
}

// minionCommand answers a minion whose identity is proved.
type minionCommand struct {
	handle func(m *Master, ctx context.Context, from *minionRequest) (any, error)
	files  bool // request_rate does not count it: a state run asks for hundreds of files
}

// minionRequest is one opened request.
type minionRequest struct {
	ID      wire.MinionID
	Load    *wire.Map // without tok and nonce
	Size    int       // of the sealed load, in bytes
	SigAlgo string
	EncAlgo string
	Nonce   string
	Gosalt  bool
	Peer    transport.Peer
	// Plain is a request that came through a session of SSH: its answer needs no seal.
	Plain bool
	// reply, where set, is sent as it is instead of the sealed value.
	reply []byte
}

// connection is what the master remembers of one connection to the request port.
type connection struct {
	mu sync.Mutex
	id wire.MinionID // proved; "" before

	bulk []byte // of the last answer with files, used again for the next; the request handler's
}

var badLoad = mustEncode("bad load")

func mustEncode(v any) []byte {
	b, err := wire.Encode(v, wire.Network)
	if err != nil {
		panic(err)
	}
	return b
}

// Request answers one message of the request port (transport.Handler).
func (m *Master) Request(ctx context.Context, p transport.Peer, body []byte) (answer []byte) {
	defer func() {
		if v := recover(); v != nil {
			m.panics.Add(1)
			m.log.Error("a request made its handler panic: please report this", "peer", p.Addr(), "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			answer = mustEncode("Some exception handling minion payload")
		}
	}()
	c := m.connection(p)
	lim := wire.Unauthenticated
	if c.proved() != "" || len(body) > lim.Bytes {
		lim = wire.Authenticated
		lim.Depth, lim.Elements = wire.Unauthenticated.Depth, wire.Unauthenticated.Elements // the load is sealed bytes
	}
	if m.servesSalt(p.Addr().Addr()) {
		lim = wire.Authenticated // an order may hold anything
	}
	env, err := wire.DecodeEnvelope(body, lim)
	if err != nil {
		m.refused(p, "message cannot be read", err)
		return badLoad
	}
	if env.Version < int64(m.cfg.MinimumAuthVersion) {
		m.refused(p, "protocol version is too low", fmt.Errorf("version %d, at least %d is required (minimum_auth_version); update that minion", env.Version, m.cfg.MinimumAuthVersion), "minion", env.ID)
		return badLoad
	}
	if env.Enc == wire.EncClear {
		return m.clearRequest(ctx, p, env)
	}
	return m.minionRequest(ctx, p, c, env)
}

func (m *Master) clearRequest(ctx context.Context, p transport.Peer, env *wire.Envelope) []byte {
	if env.Load == nil {
		m.refused(p, "clear message without a map", errors.New("its load is bytes"))
		return badLoad
	}
	if answer, ok := m.saltRequest(ctx, p, env.Load); ok {
		return answer
	}
	cmd, ok := clearCommands[env.Load.Text("cmd")]
	if !ok {
		m.refused(p, "clear command is not served", fmt.Errorf("%.60q", env.Load.Text("cmd")))
		return mustEncode(wire.NewMap())
	}
	return cmd.handle(m, p, env.Version, env.Load)
}

func (m *Master) handleClearPing(_ transport.Peer, _ int64, load *wire.Map) []byte {
	return mustEncode(load)
}

// minionRequest opens a sealed request, proves who sent it, and answers it.
func (m *Master) minionRequest(ctx context.Context, p transport.Peer, c *connection, env *wire.Envelope) []byte {
	id := env.ID
	if id == "" {
		m.refused(p, "sealed message without an id", errors.New("protocol 3 requires it in the envelope"))
		return badLoad
	}
	session := m.sessions.get(id)
	if session == nil {
		m.refused(p, "message of a minion that has no session", errors.New("it has to sign in first"), "minion", id)
		return badLoad
	}
	pub, err := m.keys.Accepted(id)
	if err != nil {
		m.refused(p, "message of a minion whose key is not accepted", err, "minion", id)
		return badLoad
	}
	req, err := seal.OpenRequest(env, session, pub, wire.Authenticated)
	if err != nil {
		m.refused(p, "message cannot be opened", err, "minion", id)
		return badLoad
	}
	load := req.Raw
	gosalt := load.Int("gosalt") > 0
	from := &minionRequest{ID: id, Load: load, Size: len(env.Packed), SigAlgo: env.SigAlgo, EncAlgo: env.EncAlgo,
		Nonce: req.Nonce, Gosalt: gosalt, Peer: p}
	if err := m.checkTime(id, req.TS); err != nil {
		m.refused(p, "message has a wrong time", err, "minion", id)
		m.troubles.note(id, causeText(err))
		if gosalt {
			return m.sealed(session, from, nil, err)
		}
		return badLoad
	}
	if req.Nonce == "" || !m.replays.first(nonceKey(id, req.Nonce)) {
		m.refused(p, "message was seen before", errors.New("its nonce is not new"), "minion", id)
		return badLoad
	}
	p.Authenticate()
	m.presence.authenticated(id, p.Addr().Addr(), load.Int("gosalt"), c.prove(id))
	m.troubles.well(id, req.TS)
	load.Delete("tok")
	load.Delete("nonce")
	load.Delete("gosalt")

	cmd, ok := minionCommands[req.Cmd]
	if !ok {
		m.log.Info("command is not served", "minion", id, "cmd", fmt.Sprintf("%.60q", req.Cmd))
		return m.sealed(session, from, wire.NewMap(), nil)
	}
	if cmd.files {
		// A connection has one request at a time, and large answers wait for their turn.
	} else if wait := m.limits.requests.wait(id); wait > 0 {
		m.log.Debug("minion is slowed down", "minion", id, "cmd", req.Cmd, "wait", wait)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(min(wait, 5*time.Second)):
		}
	}
	result, err := cmd.handle(m, ctx, from)
	if err != nil {
		m.log.Warn("request refused", "minion", id, "cmd", req.Cmd, "error", err)
	}
	return m.sealed(session, from, result, err)
}

// sealed is the answer to a request: its value under the session key. An error is
// told to a gosalt minion, and to Salt's as Salt does, with an empty text.
func (m *Master) sealed(session *seal.Key, from *minionRequest, value any, err error) []byte {
	if from.reply != nil && err == nil {
		return from.reply
	}
	if err != nil {
		value = ""
		if from.Gosalt {
			var e *wire.Error
			if !errors.As(err, &e) {
				e = &wire.Error{Kind: wire.Internal, Op: from.Load.Text("cmd"), Msg: err.Error()}
			}
			value = wire.NewMap(wire.FieldError, e.ToMap())
		}
	}
	b, err := seal.SealReply(session, from.Nonce, value)
	if err != nil {
		m.log.Error("answer cannot be sealed", "minion", from.ID, "error", err)
		return badLoad
	}
	return b
}

func nonceKey(id wire.MinionID, nonce string) (k [16]byte) {
	h := sha256.Sum256([]byte(string(id) + "\x00" + nonce))
	copy(k[:], h[:])
	return k
}

// causeText is an error for people: the message of ours without what we were doing.
func causeText(err error) string {
	var e *wire.Error
	if errors.As(err, &e) {
		return e.Msg
	}
	return err.Error()
}

// checkTime refuses a message that was made too long ago, or that claims to come
// from the future (request_server_ttl).
func (m *Master) checkTime(id wire.MinionID, ts int64) error {
	ttl := m.cfg.RequestServerTTL
	if ttl <= 0 {
		return nil
	}
	if ts == 0 {
		return &wire.Error{Kind: wire.Expired, Op: "check time", Msg: "the message has no time stamp"}
	}
	off := time.Since(time.Unix(ts, 0))
	if off < -ttl-time.Second || off > ttl+time.Second {
		word, by := "behind", off
		if off < 0 {
			word, by = "ahead of", -off
		}
		return &wire.Error{Kind: wire.Expired, Op: "check time", Msg: fmt.Sprintf(
			"the clock of %s is %s %s the master's, and at most %s is allowed (request_server_ttl): set the clock, for example with: timedatectl set-ntp true",
			id, by.Round(time.Second), word, ttl)}
	}
	return nil
}

func (m *Master) connection(p transport.Peer) *connection {
	if c, ok := m.conns.Load(p.ID()); ok {
		return c.(*connection)
	}
	c, _ := m.conns.LoadOrStore(p.ID(), &connection{})
	return c.(*connection)
}

func (c *connection) proved() wire.MinionID {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.id
}

// prove notes whose connection this is, and tells whether that is new. A
// connection stays with the first minion that proved itself on it.
func (c *connection) prove(id wire.MinionID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.id != "" {
		return false
	}
	c.id = id
	return true
}

// Gone is told that a connection of the request port has ended (transport.Handler).
func (m *Master) Gone(p transport.Peer, evicted bool) {
	c, ok := m.conns.LoadAndDelete(p.ID())
	if !ok {
		return
	}
	if id := c.(*connection).proved(); id != "" {
		m.presence.requestGone(id, evicted)
	}
}

// refused notes a message that was turned away. Peers can cause as many of them as
// they like, so they are counted, and logged a few at a time.
func (m *Master) refused(p transport.Peer, what string, err error, args ...any) {
	m.refusals.Add(1)
	if m.refusedLog.allow(p.Addr().Addr()) {
		m.log.Warn("refused: "+what, append([]any{"peer", p.Addr(), "error", err}, args...)...)
	}
}
