package wire

// Commands by which a new minion is accepted without a person (docs/enrolment.md). Both
// come in the clear, as _auth does. A Salt master answers them with {}.
const (
	// CmdHello asks a master who it is, before anything is shown to it. The reply is a
	// HelloReply, packed and signed as the reply to _auth is, by PKCS1v15-SHA224.
	CmdHello = "_gosalt_hello"

	// CmdJoin asks for the acceptance of a key, with what speaks for it. The reply is a
	// JoinReply, packed and signed likewise.
	CmdJoin = "_gosalt_join"
)

// Hello is the load of CmdHello.
type Hello struct {
	Nonce string // 32 lower-case hex digits.
}

// HelloFromMap checks the load of a request whose cmd is _gosalt_hello.
func HelloFromMap(m *Map) (*Hello, error) {
	f := fields{m: m, what: CmdHello}
	h := &Hello{Nonce: f.nonce("nonce")}
	if f.first == nil && h.Nonce == "" {
		f.fail("nonce", "is missing: 32 lower-case hex digits expected")
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	return h, nil
}

// ToMap is the load.
func (h *Hello) ToMap() *Map {
	return NewMap("cmd", CmdHello, "nonce", h.Nonce, "gosalt", int64(Version))
}

// HelloReply is the answer to CmdHello.
type HelloReply struct {
	Nonce     string // That of the request.
	PubKey    string // The master's public key, cleaned PEM.
	Challenge string // What the proof of a join has to be about; for a minute and for once.
}

// HelloReplyFromMap checks the answer.
func HelloReplyFromMap(m *Map) (*HelloReply, error) {
	f := fields{m: m, what: "reply to " + CmdHello}
	r := &HelloReply{Nonce: f.nonce("nonce"), PubKey: f.wantText("pub_key"), Challenge: f.wantText("challenge")}
	if f.first == nil && len(r.Challenge) > maxChallenge {
		f.fail("challenge", "of %d bytes: at most %d are taken", len(r.Challenge), maxChallenge)
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	return r, nil
}

const maxChallenge = 256

// ToMap is the answer.
func (r *HelloReply) ToMap() *Map {
	return NewMap("nonce", r.Nonce, "pub_key", r.PubKey, "challenge", r.Challenge, "gosalt", int64(Version))
}

// JoinHow is what speaks for a key.
type JoinHow string

// The ways to be accepted.
const (
	JoinToken JoinHow = "token" // a join token: Token and Proof
	JoinAWS   JoinHow = "aws"   // an instance identity document of AWS: Document
)

// Join is the load of CmdJoin.
type Join struct {
	ID        MinionID
	Nonce     string // 32 lower-case hex digits.
	Pub       string // The minion's public key, PEM.
	Challenge string // That of the HelloReply.
	How       JoinHow

	Token string // The token's name, which is no secret: 16 hex digits.
	Proof []byte // Signature by the token's secret, see seal.JoinToken.

	Document []byte // PKCS #7 with the identity document in it, DER.
}

// JoinFromMap checks the load of a request whose cmd is _gosalt_join.
func JoinFromMap(m *Map) (*Join, error) {
	f := fields{m: m, what: CmdJoin}
	r := &Join{
		ID:        f.minionID("id"),
		Nonce:     f.nonce("nonce"),
		Pub:       f.wantText("pub"),
		Challenge: f.wantText("challenge"),
		How:       JoinHow(f.wantText("how")),
		Token:     f.text("token"),
		Proof:     f.bytes("proof"),
		Document:  f.bytes("document"),
	}
	if f.first == nil && r.Nonce == "" {
		f.fail("nonce", "is missing: 32 lower-case hex digits expected")
	}
	if f.first == nil {
		switch r.How {
		case JoinToken:
			if len(r.Token) != 16 || len(r.Proof) != 64 {
				f.fail("token", "%d digits with a proof of %d bytes: 16 and 64 expected", len(r.Token), len(r.Proof))
			}
		case JoinAWS:
			if len(r.Document) == 0 {
				f.fail("document", "is missing: an instance identity document expected")
			}
		default:
			f.fail("how", "is %.20q: %q or %q expected", string(r.How), string(JoinToken), string(JoinAWS))
		}
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	return r, nil
}

// ToMap is the load.
func (r *Join) ToMap() *Map {
	m := NewMap("cmd", CmdJoin, "id", string(r.ID), "nonce", r.Nonce, "pub", r.Pub, "challenge", r.Challenge, "how", string(r.How))
	b := build{m}
	b.text("token", r.Token)
	b.bytes("proof", r.Proof)
	b.bytes("document", r.Document)
	m.Set("gosalt", int64(Version))
	return m
}

// JoinState is what became of a request to join.
type JoinState string

// The states.
const (
	JoinAccepted JoinState = "accepted" // the key is accepted
	JoinLater    JoinState = "later"    // not yet; the same request may be sent again: see Err
	JoinRefused  JoinState = "refused"  // no: see Err
)

// JoinReply is the answer to CmdJoin.
type JoinReply struct {
	Nonce  string // That of the request.
	State  JoinState
	Err    *Error // Why not; nil when accepted.
	Grains *Map   // Grains that the minion is to have; or nil.
}

// JoinReplyFromMap checks the answer.
func JoinReplyFromMap(m *Map) (*JoinReply, error) {
	f := fields{m: m, what: "reply to " + CmdJoin}
	r := &JoinReply{Nonce: f.nonce("nonce"), State: JoinState(f.wantText("state")), Grains: f.mapping("grains")}
	switch r.State {
	case JoinAccepted:
	case JoinLater, JoinRefused:
		em := f.mapping("error")
		if f.first == nil && em == nil {
			f.fail("error", "is missing")
		}
		if f.first == nil {
			var err error
			if r.Err, err = ErrorFromMap(em); err != nil {
				return nil, err
			}
		}
	default:
		f.fail("state", `is %.20q: "accepted", "later" or "refused" expected`, string(r.State))
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	return r, nil
}

// ToMap is the answer.
func (r *JoinReply) ToMap() *Map {
	m := NewMap("nonce", r.Nonce, "state", string(r.State))
	if r.Err != nil {
		m.Set("error", r.Err.ToMap())
	}
	b := build{m}
	b.mapping("grains", r.Grains)
	m.Set("gosalt", int64(Version))
	return m
}
