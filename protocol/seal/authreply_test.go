package seal

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gosalt/gosalt/protocol/wire"
)

// handshake is one authentication between a master and a minion.
type handshake struct {
	accepter Accepter
	session  *Key
	minion   *PrivateKey
	req      *wire.AuthRequest
	check    AuthCheck
}

// newHandshake is a first contact where everything is right.
func newHandshake(t *testing.T, keys map[string]*PrivateKey) *handshake {
	t.Helper()
	nonce := NewNonce()
	return &handshake{
		accepter: Accepter{Master: keys["master"], Shared: NewKey(), PublishPort: 4505},
		session:  NewKey(),
		minion:   keys["minion"],
		req:      &wire.AuthRequest{ID: "m1", Nonce: nonce, Pub: keys["minion"].Public().PEM()},
		check:    AuthCheck{Minion: keys["minion"], Nonce: nonce},
	}
}

// knows makes it a later contact, with a token.
func (h *handshake) knows(t *testing.T, master *PublicKey) {
	t.Helper()
	h.check.Master = master
	h.check.Token = NewSecret(NewKey().Reveal())
	var err error
	if h.req.Token, err = master.Encrypt(Algorithm(h.req.EncAlgo), []byte(h.check.Token.Reveal())); err != nil {
		t.Fatal(err)
	}
}

func (h *handshake) run(t *testing.T) (*AuthResult, error) {
	t.Helper()
	body, err := h.accepter.Accept(h.req, h.minion.Public(), h.session)
	if err != nil {
		t.Fatal(err)
	}
	return h.check.Open(body, wire.Unauthenticated)
}

func TestAccept(t *testing.T) {
	_, keys := static(t)
	for name, change := range map[string]func(h *handshake){
		"first contact": func(h *handshake) {},
		"known master":  func(h *handshake) { h.knows(t, h.accepter.Master.Public()) },
		"SHA-224": func(h *handshake) {
			h.req.EncAlgo, h.req.SigAlgo = string(OAEPSHA224), string(PKCS1v15SHA224)
			h.check.Enc, h.check.Sig = OAEPSHA224, PKCS1v15SHA224
			h.knows(t, h.accepter.Master.Public())
		},
		"signed master": func(h *handshake) {
			h.accepter.SignMaster, h.check.SignMaster = keys["master_sign"], keys["master_sign"].Public()
		},
		"signed master, changed": func(h *handshake) {
			h.accepter.SignMaster, h.check.SignMaster = keys["master_sign"], keys["master_sign"].Public()
			h.knows(t, keys["minion4096"].Public())
		},
		"signed beforehand": func(h *handshake) {
			sig, err := SignMasterKey(keys["master_sign"], PKCS1v15SHA1, h.accepter.Master.Public().PEM())
			if err != nil {
				t.Fatal(err)
			}
			h.accepter.PubSig, h.check.SignMaster = strings.TrimSpace(sig), keys["master_sign"].Public()
		},
		"open mode, changed master": func(h *handshake) {
			h.knows(t, keys["minion4096"].Public())
			h.check.OpenMode = true
		},
	} {
		h := newHandshake(t, keys)
		change(h)
		for range 2 { // what is computed once stays right
			r, err := h.run(t)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			changed := h.check.Master == nil || strings.Contains(name, "changed")
			if r.State != wire.AuthAccepted || !r.Verified || r.NewMaster != changed || r.PublishPort != 4505 || r.Gosalt != wire.Version ||
				!r.Shared.Equal(h.accepter.Shared) || !r.Session.Equal(h.session) || !r.Master.Equal(h.accepter.Master.Public()) ||
				r.MasterPEM != CleanKey(h.accepter.Master.Public().PEM()) {
				t.Errorf("%s: %+v", name, r)
			}
		}
	}
}

func TestAcceptRefused(t *testing.T) {
	_, keys := static(t)
	for name, c := range map[string]struct {
		change func(h *handshake)
		want   error
	}{
		"another nonce":        {func(h *handshake) { h.req.Nonce = NewNonce() }, ErrNonce},
		"another master":       {func(h *handshake) { h.check.Master = keys["minion4096"].Public() }, ErrMasterKey},
		"token not echoed":     {func(h *handshake) { h.knows(t, h.accepter.Master.Public()); h.req.Token = nil }, ErrToken},
		"token not readable":   {func(h *handshake) { h.knows(t, h.accepter.Master.Public()); h.req.Token[0] ^= 1 }, ErrToken},
		"token of another":     {func(h *handshake) { h.knows(t, h.accepter.Master.Public()); h.check.Token = NewSecret("x") }, ErrToken},
		"signature not wanted": {func(h *handshake) { h.accepter.SignMaster = keys["master_sign"] }, ErrPubSig},
		"signature missing":    {func(h *handshake) { h.check.SignMaster = keys["master_sign"].Public() }, ErrPubSig},
		"signature by another": {func(h *handshake) {
			h.accepter.SignMaster, h.check.SignMaster = keys["minion"], keys["master_sign"].Public()
		}, ErrPubSig},
		"signature is not base64": {func(h *handshake) { h.accepter.PubSig, h.check.SignMaster = "%", keys["master_sign"].Public() }, ErrPubSig},
		"keys for another minion": {func(h *handshake) { h.check.Minion = keys["master_sign"] }, ErrDecrypt},
		"another algorithm":       {func(h *handshake) { h.req.SigAlgo = string(PKCS1v15SHA224) }, ErrSignature},
	} {
		h := newHandshake(t, keys)
		c.change(h)
		if r, err := h.run(t); r != nil || !errors.Is(err, c.want) {
			t.Errorf("%s: %+v, %v; %v expected", name, r, err, c.want)
		}
	}
	for algo, change := range map[string]func(h *handshake){
		"bad enc algo": func(h *handshake) { h.req.EncAlgo = "ROT13" },
		"bad sig algo": func(h *handshake) { h.req.SigAlgo = "ROT13" },
	} {
		h := newHandshake(t, keys)
		change(h)
		if r, err := h.run(t); r != nil || err == nil || !strings.Contains(err.Error(), algo) {
			t.Errorf("%s: %+v, %v", algo, r, err)
		}
	}
}

func TestOtherReplies(t *testing.T) {
	_, keys := static(t)
	master, minion, nonce := keys["master"], keys["minion"], NewNonce()
	for _, state := range []wire.AuthState{wire.AuthPending, wire.AuthDenied, wire.AuthFull} {
		body, err := SignReply(master, PKCS1v15SHA1, &wire.AuthReply{State: state, Nonce: nonce})
		if err != nil {
			t.Fatal(err)
		}
		for name, c := range map[string]struct {
			check    AuthCheck
			verified bool
			want     error
		}{
			"first contact":  {AuthCheck{Minion: minion, Nonce: nonce}, false, nil},
			"known master":   {AuthCheck{Minion: minion, Nonce: nonce, Master: master.Public()}, true, nil},
			"another master": {AuthCheck{Minion: minion, Nonce: nonce, Master: minion.Public()}, false, ErrSignature},
			"another nonce":  {AuthCheck{Minion: minion, Nonce: NewNonce()}, false, ErrNonce},
		} {
			r, err := c.check.Open(body, wire.Unauthenticated)
			if c.want != nil {
				if r != nil || !errors.Is(err, c.want) {
					t.Errorf("%v, %s: %+v, %v", state, name, r, err)
				}
			} else if err != nil || r.State != state || r.Verified != c.verified {
				t.Errorf("%v, %s: %+v, %v", state, name, r, err)
			}
		}
		// The same without its signature.
		e, err := wire.DecodeEnvelope(body, wire.Unauthenticated)
		if err != nil {
			t.Fatal(err)
		}
		e.Sig = nil
		unsigned, err := e.Encode()
		if err != nil {
			t.Fatal(err)
		}
		check := AuthCheck{Minion: minion, Nonce: nonce, Master: master.Public()}
		if r, err := check.Open(unsigned, wire.Unauthenticated); r != nil || !errors.Is(err, ErrUnsigned) {
			t.Errorf("%v, unsigned: %+v, %v", state, r, err)
		}
	}
	check := AuthCheck{Minion: minion, Nonce: nonce}
	for text, v := range map[string]any{
		"bad load":       "bad load",
		"a map expected": []any{},
		"not signed":     wire.NewMap("enc", "clear", "load", wire.NewMap("ret", true)),
		`enc is "aes"`:   wire.NewMap("enc", "aes", "load", []byte{0xff}),
	} {
		body, err := wire.Encode(v, wire.Network)
		if err != nil {
			t.Fatal(err)
		}
		if r, err := check.Open(body, wire.Unauthenticated); r != nil || err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%v: %+v, %v", v, r, err)
		}
	}
}

func TestPillar(t *testing.T) {
	_, keys := static(t)
	master, minion, nonce := keys["master"], keys["minion"], NewNonce()
	for _, enc := range []Algorithm{"", OAEPSHA224} {
		body, err := SealPillar(minion.Public(), enc, master, PKCS1v15SHA224, nonce, wire.NewMap("a", 1))
		if err != nil {
			t.Fatal(err)
		}
		p, err := OpenPillar(body, minion, enc, master.Public(), PKCS1v15SHA224, nonce, wire.Unauthenticated)
		if err != nil || p.Int("a") != 1 {
			t.Errorf("%v, %v", p, err)
		}
	}
	body, err := SealPillar(minion.Public(), "", master, "", nonce, nil)
	if err != nil {
		t.Fatal(err)
	}
	if p, err := OpenPillar(body, minion, "", master.Public(), "", nonce, wire.Unauthenticated); err != nil || p.Len() != 0 {
		t.Errorf("no pillar: %v, %v", p, err)
	}
	if p, err := OpenPillar(body, keys["master_sign"], "", master.Public(), "", nonce, wire.Unauthenticated); p != nil || !errors.Is(err, ErrDecrypt) {
		t.Errorf("another minion: %v, %v", p, err)
	}
	// A pillar that another minion got is bound to the key that went with it.
	other, err := SealPillar(minion.Public(), "", master, "", nonce, wire.NewMap("secret", "x"))
	if err != nil {
		t.Fatal(err)
	}
	a, _ := wire.DecodeMap(body, wire.Network, wire.Authenticated)
	b, _ := wire.DecodeMap(other, wire.Network, wire.Authenticated)
	key, _ := b.Get("key")
	a.Set("key", key)
	mixed, err := wire.Encode(a, wire.Network)
	if err != nil {
		t.Fatal(err)
	}
	if p, err := OpenPillar(mixed, minion, "", master.Public(), "", nonce, wire.Unauthenticated); p != nil || !errors.Is(err, ErrAuth) {
		t.Errorf("mixed: %v, %v", p, err)
	}
	for _, v := range []any{"bad load", []byte{0xff, 0xfe}, wire.NewMap()} {
		body, err := wire.Encode(v, wire.Network)
		if err != nil {
			t.Fatal(err)
		}
		if p, err := OpenPillar(body, minion, "", master.Public(), "", nonce, wire.Unauthenticated); p != nil || !errors.Is(err, ErrNoKey) {
			t.Errorf("%v: %v, %v", v, p, err)
		}
	}
}

func TestRequestReply(t *testing.T) {
	_, keys := static(t)
	minion, session, nonce := keys["minion"], NewKey(), NewNonce()
	tok, err := minion.Token()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1795332260, 0)
	load := wire.NewMap("cmd", "_file_envs", "saltenv", "base")
	body, err := SealRequest(session, "m1", tok, "", "", nonce, now, load)
	if err != nil {
		t.Fatal(err)
	}
	if load.Len() != 2 {
		t.Error("the caller's load was changed")
	}
	e, err := wire.DecodeEnvelope(body, wire.Unauthenticated)
	if err != nil || e.ID != "m1" || e.Version != 3 || e.Enc != wire.EncAES {
		t.Fatalf("%+v, %v", e, err)
	}
	req, err := OpenRequest(e, session, minion.Public(), wire.Unauthenticated)
	if err != nil || req.Cmd != "_file_envs" || req.Nonce != nonce || req.TS != now.Unix() || req.Raw.Text("saltenv") != "base" {
		t.Errorf("%+v, %v", req, err)
	}
	if req, err := OpenRequest(e, NewKey(), minion.Public(), wire.Unauthenticated); req != nil || !errors.Is(err, ErrAuth) {
		t.Errorf("another session: %+v, %v", req, err)
	}
	if req, err := OpenRequest(e, session, keys["master"].Public(), wire.Unauthenticated); req != nil || !errors.Is(err, &wire.Error{Kind: wire.Unauthorized}) {
		t.Errorf("another minion's key: %+v, %v", req, err)
	}
	as := *e
	as.ID = "m2"
	if req, err := OpenRequest(&as, session, minion.Public(), wire.Unauthenticated); req != nil || !errors.Is(err, &wire.Error{Kind: wire.Unauthorized}) {
		t.Errorf("another id in the envelope: %+v, %v", req, err)
	}

	reply, err := SealReply(session, nonce, wire.NewMap("data", []byte("text"), "dest", "/a"))
	if err != nil {
		t.Fatal(err)
	}
	v, err := OpenReply(reply, session, nonce, wire.Unauthenticated)
	if err != nil || v.(*wire.Map).Text("data") != "text" {
		t.Errorf("%v, %v", v, err)
	}
	if v, err = OpenReplyDialect(reply, session, nonce, wire.NetworkRaw, wire.Unauthenticated); err != nil {
		t.Fatal(err)
	}
	data, _ := v.(*wire.Map).Get("data")
	if b, ok := data.([]byte); !ok || string(b) != "text" {
		t.Errorf("raw data is %T", data)
	}
	for _, v := range []any{"bad load", "Some exception handling minion payload", wire.NewMap("msg", "bad load"), ""} {
		body, err := wire.Encode(v, wire.Network)
		if err != nil {
			t.Fatal(err)
		}
		if v, err := OpenReply(body, session, nonce, wire.Unauthenticated); v != nil || !errors.Is(err, ErrAuth) {
			t.Errorf("%v: %v", v, err)
		}
	}
}

func TestPublish(t *testing.T) {
	_, keys := static(t)
	master, shared := keys["master"], NewKey()
	load := (&wire.Job{JID: "20261122072435013151", Fun: "test.ping", Tgt: "*", Serial: 1}).ToMap()
	signed, err := SealPublish(shared, master, PKCS1v15SHA224, load)
	if err != nil {
		t.Fatal(err)
	}
	unsigned, err := SealPublish(shared, nil, "", load)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		body   []byte
		shared *Key
		master *PublicKey
		want   error
	}{
		"signed":                  {signed, shared, master.Public(), nil},
		"signed, not looked at":   {signed, shared, nil, nil},
		"signed by another":       {signed, shared, keys["minion"].Public(), ErrSignature},
		"under another key":       {signed, NewKey(), master.Public(), ErrAuth},
		"unsigned, not looked at": {unsigned, shared, nil, nil},
		"unsigned, signature due": {unsigned, shared, master.Public(), ErrUnsigned},
	} {
		m, err := OpenPublish(c.body, c.shared, c.master, wire.Unauthenticated)
		if c.want != nil {
			if m != nil || !errors.Is(err, c.want) {
				t.Errorf("%s: %v, %v; %v expected", name, m, err, c.want)
			}
		} else if err != nil || m.Text("fun") != "test.ping" || m.Int("serial") != 1 {
			t.Errorf("%s: %v, %v", name, m, err)
		}
	}
	e, err := wire.DecodeEnvelope(signed, wire.Unauthenticated)
	if err != nil {
		t.Fatal(err)
	}
	e.SigAlgo = "none"
	odd, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if m, err := OpenPublish(odd, shared, master.Public(), wire.Unauthenticated); m != nil || !errors.Is(err, ErrSignature) {
		t.Errorf("unknown algorithm: %v, %v", m, err)
	}
	clear, err := (&wire.Envelope{Enc: wire.EncClear, Load: load}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	if m, err := OpenPublish(clear, shared, nil, wire.Unauthenticated); m != nil || err == nil {
		t.Errorf("in the clear: %v, %v", m, err)
	}
}
