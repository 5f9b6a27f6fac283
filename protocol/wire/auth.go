package wire

// CmdAuth is the command by which a minion presents its key.
const CmdAuth = "_auth"

// AuthRequest is the load of a minion's first message, sent in the clear.
type AuthRequest struct {
	ID      MinionID
	Nonce   string // 32 lower-case hex digits.
	EncAlgo string // How to encrypt keys for this minion: "OAEP-SHA1" where "".
	SigAlgo string // How to sign the reply: "PKCS1v15-SHA1" where "".
	Pub     string // The minion's public key, PEM.
	Token   []byte // Random text under the master's key, from a minion that knows it; or nil.

	AutosignGrains *Map // Grains by which the master may accept the key; or nil.
	Gosalt         int64
	Raw            *Map
}

// AuthRequestFromMap checks the load of a request whose cmd is _auth.
func AuthRequestFromMap(m *Map) (*AuthRequest, error) {
	f := fields{m: m, what: "auth request"}
	if cmd := f.wantText("cmd"); f.first == nil && cmd != CmdAuth {
		f.fail("cmd", "is %.40q: %q expected", cmd, CmdAuth)
	}
	r := &AuthRequest{
		ID:             f.minionID("id"),
		Nonce:          f.nonce("nonce"),
		EncAlgo:        f.text("enc_algo"),
		SigAlgo:        f.text("sig_algo"),
		Pub:            f.wantText("pub"),
		Token:          f.bytes("token"),
		AutosignGrains: f.mapping("autosign_grains"),
		Gosalt:         f.int("gosalt"),
		Raw:            m,
	}
	if f.first == nil && r.Nonce == "" {
		f.fail("nonce", "is missing: 32 lower-case hex digits expected")
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	return r, nil
}

// ToMap is the load in Salt's order of fields.
func (r *AuthRequest) ToMap() *Map {
	m := NewMap("cmd", CmdAuth, "id", string(r.ID), "nonce", r.Nonce)
	b := build{m}
	b.text("enc_algo", r.EncAlgo)
	b.text("sig_algo", r.SigAlgo)
	b.mapping("autosign_grains", r.AutosignGrains)
	b.bytes("token", r.Token)
	m.Set("pub", r.Pub)
	b.int("gosalt", r.Gosalt)
	return m
}

// AuthState is what the master decided about a minion's key.
type AuthState int

const (
	AuthDenied   AuthState = iota // Rejected, or another key than the accepted one.
	AuthPending                   // Waits for an operator to accept it.
	AuthFull                      // The master has as many minions as it may.
	AuthAccepted                  // The reply holds the keys.
	AuthBadAlgo                   // The master does not know the algorithm asked for; never signed.
)

// String names the state in words.
func (s AuthState) String() string {
	switch s {
	case AuthDenied:
		return "denied"
	case AuthPending:
		return "pending"
	case AuthFull:
		return "full"
	case AuthAccepted:
		return "accepted"
	case AuthBadAlgo:
		return "algorithm refused"
	}
	return "unknown"
}

// AuthReply is the load of the answer to AuthRequest, packed and signed by the
// master. All but State, Nonce and Gosalt belong to an accept.
type AuthReply struct {
	State   AuthState
	Nonce   string // That of the request.
	Message string // For AuthBadAlgo: "bad enc algo" or "bad sig algo".

	PubKey      string // The master's public key, cleaned PEM.
	PublishPort int
	AES         []byte // The shared key's text, encrypted to the minion.
	Session     []byte // The session key's text, encrypted to the minion.
	Sig         []byte // Hex SHA-256 of the shared key's text, under the master's private key (X9.31).
	Token       []byte // The token of the request, encrypted to the minion; or nil.
	PubSig      string // Base64 signature of PubKey by the signing key, with a newline; or "".

	Gosalt int64 // The master's Version; 0 for Salt's own.
	Raw    *Map
}

// AuthReplyFromMap checks the load of a reply.
func AuthReplyFromMap(m *Map) (*AuthReply, error) {
	f := fields{m: m, what: "auth reply"}
	r := &AuthReply{Nonce: f.nonce("nonce"), Gosalt: f.int("gosalt"), Raw: m}
	if ret, ok := m.Get("ret"); ok {
		switch ret {
		case true:
			r.State = AuthPending
		case false:
			r.State = AuthDenied
		case "full":
			r.State = AuthFull
		case "bad enc algo", "bad sig algo":
			r.State, r.Message = AuthBadAlgo, ret.(string)
		default:
			f.fail("ret", `is %s: true, false, "full", "bad enc algo" or "bad sig algo" expected`, show(ret))
		}
		if err := f.err(); err != nil {
			return nil, err
		}
		return r, nil
	}
	r.State = AuthAccepted
	if enc := f.wantText("enc"); f.first == nil && enc != "pub" {
		f.fail("enc", `is %.20q: "pub" expected`, enc)
	}
	r.PubKey = f.wantText("pub_key")
	port := f.wantInt("publish_port")
	if f.first == nil && (port < 1 || port > 65535) {
		f.fail("publish_port", "is %d: 1 to 65535 expected", port)
	}
	r.PublishPort = int(port)
	r.AES = f.wantBytes("aes")
	r.Session = f.bytes("session")
	r.Sig = f.wantBytes("sig")
	r.Token = f.bytes("token")
	r.PubSig = f.text("pub_sig")
	if f.first == nil && r.Session == nil {
		f.fail("session", "is missing: the master speaks a protocol below version 3")
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	return r, nil
}

// ToMap is the load in Salt's order of fields.
func (r *AuthReply) ToMap() *Map {
	m := NewMap()
	b := build{m}
	switch r.State {
	case AuthAccepted:
		m.Set("enc", "pub")
		m.Set("pub_key", r.PubKey)
		m.Set("publish_port", int64(r.PublishPort))
		b.bytes("token", r.Token)
		b.text("pub_sig", r.PubSig)
		m.Set("aes", r.AES)
		m.Set("session", r.Session)
		m.Set("sig", r.Sig)
	case AuthPending:
		m.Set("ret", true)
	case AuthFull:
		m.Set("ret", "full")
	case AuthBadAlgo:
		m.Set("ret", r.Message)
	default:
		m.Set("ret", false)
	}
	b.text("nonce", r.Nonce)
	b.int("gosalt", r.Gosalt)
	return m
}
