package seal

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/gosalt/gosalt/protocol/wire"
)

// recorded is what real masters, minions and command lines said to each other.
type recorded struct {
	Keys struct {
		MasterPrivate string `json:"master_private_pem"`
		MasterPublic  string `json:"master_public_pem"`
		MinionPrivate string `json:"minion_private_pem"`
		MinionPublic  string `json:"minion_public_pem"`
		MasterSign    string `json:"master_sign_public_pem"`
		MinionID      string `json:"minion_id"`
	}
	Exchanges []exchange
	Events    []struct {
		Tag         string
		Data        any
		IPCFrameHex string `json:"ipc_frame_hex"`
	}
}

type exchange struct {
	Step, Kind, Cmd, Note string
	FramesHex             []string `json:"frames_hex"`
	Connection            int
	CrypticleKey          string `json:"crypticle_key"`
	Decoded               map[string]any
}

// body is the message's last frame.
func (x *exchange) body(t *testing.T) []byte { return unhex(t, x.FramesHex[len(x.FramesHex)-1]) }

func (x *exchange) text(name string) string {
	s, _ := x.Decoded[name].(string)
	return s
}

func (x *exchange) key(t *testing.T) *Key {
	t.Helper()
	k, err := ParseKey(x.CrypticleKey)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// differs compares a decoded value with its recorded JSON form; "" where equal.
func differs(at string, got, want any) string {
	if w, ok := want.(map[string]any); ok && len(w) == 1 {
		if s, ok := w["$hex"].(string); ok {
			want, _ = hex.DecodeString(s)
		} else if s, ok := w["$datetime"].(string); ok {
			t, err := time.Parse("2006-01-02T15:04:05.999999", s)
			if err != nil {
				return at + ": " + err.Error()
			}
			want = t
		}
	}
	same := false
	switch w := want.(type) {
	case map[string]any:
		m, ok := got.(*wire.Map)
		if !ok || m.Len() != len(w) {
			return fmt.Sprintf("%s: %v has not the %d entries of %v", at, got, len(w), w)
		}
		for k, v := range m.All() {
			key := fmt.Sprint(k)
			if _, ok := w[key]; !ok {
				return fmt.Sprintf("%s: key %q too many", at, key)
			}
			if d := differs(at+"."+key, v, w[key]); d != "" {
				return d
			}
		}
		return ""
	case []any:
		l, ok := got.([]any)
		if !ok || len(l) != len(w) {
			return fmt.Sprintf("%s: %v is not %v", at, got, w)
		}
		for i := range w {
			if d := differs(fmt.Sprintf("%s[%d]", at, i), l[i], w[i]); d != "" {
				return d
			}
		}
		return ""
	case json.Number:
		switch g := got.(type) {
		case float64:
			f, err := w.Float64()
			same = err == nil && math.Abs(f-g) <= 1e-9*math.Abs(f)
		default:
			same = fmt.Sprint(g) == w.String()
		}
	case []byte:
		g, ok := got.([]byte)
		same = ok && bytes.Equal(g, w)
	case time.Time:
		g, ok := got.(time.Time)
		same = ok && g.Equal(w)
	default:
		same = got == want
	}
	if !same {
		return fmt.Sprintf("%s: %#v, recorded %#v", at, got, want)
	}
	return ""
}

// repacks checks that a message packs again to the very bytes received.
func repacks(t *testing.T, what string, m *wire.Map, packed []byte) {
	t.Helper()
	if b, err := wire.Encode(m, wire.Network); err != nil || !bytes.Equal(b, packed) {
		t.Errorf("%s packs to %d other bytes than the %d received (%v)\n%.300q\n%.300q", what, len(b), len(packed), err, b, packed)
	}
}

func TestExchanges(t *testing.T) {
	for _, name := range []string{"exchange-3006.18", "exchange-3006.18-hardened", "exchange-3007.10", "exchange-3008-branch"} {
		t.Run(name, func(t *testing.T) {
			rec := new(recorded)
			readVectors(t, name, rec)
			replay(t, rec)
		})
	}
}

// replay reads all of a recording as the master and the minion would, each side's
// message with the code of the other.
func replay(t *testing.T, rec *recorded) {
	minion, err := ParsePrivate([]byte(rec.Keys.MinionPrivate), Secret{})
	if err != nil {
		t.Fatal(err)
	}
	master, err := ParsePrivate([]byte(rec.Keys.MasterPrivate), Secret{})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []struct {
		p   *PrivateKey
		pub string
	}{{minion, rec.Keys.MinionPublic}, {master, rec.Keys.MasterPublic}} {
		if CleanKey(k.p.Public().PEM()) != CleanKey(k.pub) {
			t.Error("public PEM differs from the recorded one")
		}
	}
	tok, err := minion.Token()
	if err != nil {
		t.Fatal(err)
	}
	r := &replayer{master: master, minion: minion, tok: tok, last: map[int]*wire.Map{}, lastEnv: map[int]*wire.Envelope{}, serials: map[string]*Serial{}}
	if rec.Keys.MasterSign != "" {
		if r.sign, err = ParsePublic([]byte(rec.Keys.MasterSign)); err != nil {
			t.Fatal(err)
		}
	}
	count := map[string]int{}
	for i := range rec.Exchanges {
		x := &rec.Exchanges[i]
		count[x.Kind]++
		what := fmt.Sprintf("%d %s %s (%s)", i, x.Kind, x.Cmd, x.Step)
		switch {
		case x.Kind == "publish":
			r.publish(t, what, x)
		case x.Kind == "request" && x.Decoded["envelope"].(map[string]any)["enc"] == "clear":
			r.clearRequest(t, what, x)
		case x.Kind == "request":
			r.request(t, what, x)
		case x.Cmd == "_auth":
			r.authReply(t, what, x)
		case x.Cmd == "_pillar":
			r.pillarReply(t, what, x)
		case x.Decoded["clear"] != nil:
			v, err := wire.Decode(x.body(t), wire.Network, wire.Authenticated)
			if err != nil {
				t.Errorf("%s: %v", what, err)
			} else if d := differs("reply", v, x.Decoded["clear"]); d != "" {
				t.Errorf("%s: %s", what, d)
			}
		default:
			r.reply(t, what, x)
		}
	}
	if count["request"] < 10 || count["reply"] < 10 || count["publish"] < 3 {
		t.Errorf("too few messages: %v", count)
	}
	for i, e := range rec.Events {
		m, err := wire.DecodeMap(unhex(t, e.IPCFrameHex), wire.Local, wire.Authenticated)
		if err != nil {
			t.Errorf("event %d: %v", i, err)
			continue
		}
		v, _ := m.Get("body")
		body, _ := v.([]byte)
		tag, data, ok := strings.Cut(string(body), "\n\n")
		if !ok || tag != e.Tag {
			t.Errorf("event %d: tag %q, recorded %q", i, tag, e.Tag)
		}
		got, err := wire.Decode([]byte(data), wire.Local, wire.Authenticated)
		if err != nil {
			t.Errorf("event %d: %v", i, err)
		} else if d := differs("event", got, e.Data); d != "" {
			t.Errorf("event %d: %s", i, d)
		}
		if b, err := wire.Encode(got, wire.Local); err != nil || string(b) != data {
			t.Errorf("event %d packs to other bytes (%v)", i, err)
		}
	}
}

type replayer struct {
	master, minion *PrivateKey
	sign           *PublicKey
	tok            []byte
	last           map[int]*wire.Map      // last request of a connection
	lastEnv        map[int]*wire.Envelope // and its envelope
	serials        map[string]*Serial     // by traffic key
}

// envelope reads a message's envelope and checks that it packs alike.
func (r *replayer) envelope(t *testing.T, what string, x *exchange, lim wire.Limits) *wire.Envelope {
	t.Helper()
	e, err := wire.DecodeEnvelope(x.body(t), lim)
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return nil
	}
	repacks(t, what+", its raw envelope", e.Raw, x.body(t))
	return e
}

func (r *replayer) clearRequest(t *testing.T, what string, x *exchange) {
	e := r.envelope(t, what, x, wire.Unauthenticated)
	if e == nil || e.Load == nil {
		t.Errorf("%s: no clear load", what)
		return
	}
	if d := differs("load", e.Load, x.Decoded["load"]); d != "" {
		t.Errorf("%s: %s", what, d)
	}
	repacks(t, what+", its envelope", e.ToMap(), x.body(t))
	r.last[x.Connection], r.lastEnv[x.Connection] = e.Load, e
	if x.Cmd != wire.CmdAuth {
		return
	}
	req, err := wire.AuthRequestFromMap(e.Load)
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	load, _ := wire.Encode(e.Load, wire.Network)
	repacks(t, what+", its load", req.ToMap(), load)
	pub, err := ParsePublic([]byte(req.Pub))
	if err != nil || !pub.Equal(r.minion.Public()) {
		t.Errorf("%s: public key is another one (%v)", what, err)
	}
	if want := x.text("token_plain"); want != "" || req.Token != nil {
		enc, _ := EncAlgorithm(req.EncAlgo)
		token, err := r.master.Decrypt(enc, req.Token)
		if err != nil || want != "" && string(token) != want {
			t.Errorf("%s: token %q (%v), recorded %q", what, token, err, want)
		}
	}
}

func (r *replayer) authReply(t *testing.T, what string, x *exchange) {
	req, err := wire.AuthRequestFromMap(r.last[x.Connection])
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	check := AuthCheck{Minion: r.minion, Nonce: req.Nonce, Enc: Algorithm(req.EncAlgo), Sig: Algorithm(req.SigAlgo), SignMaster: r.sign}
	if req.Token != nil {
		check.Master = r.master.Public()
		token, err := r.master.Decrypt(check.Enc, req.Token)
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		check.Token = NewSecret(string(token))
	}
	got, err := check.Open(x.body(t), wire.Unauthenticated)
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	e := r.envelope(t, what, x, wire.Unauthenticated)
	load, err := wire.DecodeMap(e.Packed, wire.Network, wire.Unauthenticated)
	if err != nil {
		t.Fatal(err)
	}
	if d := differs("load", load, x.Decoded["load"]); d != "" {
		t.Errorf("%s: %s", what, d)
	}
	reply, err := wire.AuthReplyFromMap(load)
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	repacks(t, what+", its load", reply.ToMap(), e.Packed)
	if got.State != wire.AuthAccepted {
		return
	}
	if got.Shared.Reveal() != x.text("aes_plain") || got.Session.Reveal() != x.text("session_plain") {
		t.Errorf("%s: keys differ from the recorded ones", what)
	}
	if !got.Verified || !got.Master.Equal(r.master.Public()) || got.NewMaster != (check.Master == nil) {
		t.Errorf("%s: %+v", what, got)
	}
	wrong := check
	wrong.Nonce = strings.Repeat("0", nonceLen)
	if _, err := wrong.Open(x.body(t), wire.Unauthenticated); !errors.Is(err, ErrNonce) {
		t.Errorf("%s, with another nonce: %v, ErrNonce expected", what, err)
	}
	wrong = check
	wrong.Master, wrong.SignMaster = r.minion.Public(), nil
	want := ErrMasterKey
	if r.sign != nil {
		want = ErrPubSig
	}
	if _, err := wrong.Open(x.body(t), wire.Unauthenticated); !errors.Is(err, want) {
		t.Errorf("%s, where another master is known: %v, %v expected", what, err, want)
	}
}

func (r *replayer) request(t *testing.T, what string, x *exchange) {
	e := r.envelope(t, what, x, wire.Authenticated)
	if e == nil {
		return
	}
	repacks(t, what+", its envelope", e.ToMap(), x.body(t))
	req, err := OpenRequest(e, x.key(t), r.minion.Public(), wire.Authenticated)
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	if d := differs("load", req.Raw, x.Decoded["load"]); d != "" {
		t.Errorf("%s: %s", what, d)
	}
	if !bytes.Equal(req.Tok, r.tok) {
		t.Errorf("%s: token differs from ours", what)
	}
	r.last[x.Connection], r.lastEnv[x.Connection] = req.Raw, e
	repacksLoad := func(m *wire.Map) {
		t.Helper()
		got, _ := wire.Encode(sorted(m), wire.Network)
		want, _ := wire.Encode(sorted(req.Raw), wire.Network)
		if !bytes.Equal(got, want) {
			t.Errorf("%s: typed and back it is\n%q\nreceived\n%q", what, got, want)
		}
	}
	switch req.Cmd {
	case wire.CmdReturn:
		ret, err := wire.ReturnFromMap(req.Raw)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			return
		}
		repacksLoad(ret.ToMap())
	case wire.CmdPillar:
		p, err := wire.PillarRequestFromMap(req.Raw)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			return
		}
		repacksLoad(p.ToMap())
	case wire.CmdMinionEvent:
		ev, err := wire.MinionEventFromMap(req.Raw)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			return
		}
		repacksLoad(ev.ToMap())
	}
}

// sorted is a map by key, as Salt's own order varies.
func sorted(m *wire.Map) map[string]any {
	out := map[string]any{}
	for k, v := range m.Strings() {
		out[k] = v
	}
	return out
}

func (r *replayer) reply(t *testing.T, what string, x *exchange) {
	nonce := r.last[x.Connection].Text("nonce")
	v, err := OpenReply(x.body(t), x.key(t), nonce, wire.Authenticated)
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	if d := differs("reply", v, x.Decoded["load"]); d != "" {
		t.Errorf("%s: %s", what, d)
	}
	if _, err := OpenReply(x.body(t), x.key(t), NewNonce(), wire.Authenticated); !errors.Is(err, ErrNonce) {
		t.Errorf("%s, with another nonce: %v, ErrNonce expected", what, err)
	}
	if _, err := OpenReply(x.body(t), NewKey(), nonce, wire.Authenticated); !errors.Is(err, ErrAuth) {
		t.Errorf("%s, with another key: %v, ErrAuth expected", what, err)
	}
}

func (r *replayer) pillarReply(t *testing.T, what string, x *exchange) {
	e := r.lastEnv[x.Connection]
	nonce := r.last[x.Connection].Text("nonce")
	pillar, err := OpenPillar(x.body(t), r.minion, Algorithm(e.EncAlgo), r.master.Public(), Algorithm(e.SigAlgo), nonce, wire.Authenticated)
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	if d := differs("pillar", pillar, x.Decoded["load"].(map[string]any)["pillar"]); d != "" {
		t.Errorf("%s: %s", what, d)
	}
	if _, err := OpenPillar(x.body(t), r.minion, Algorithm(e.EncAlgo), r.minion.Public(), Algorithm(e.SigAlgo), nonce, wire.Authenticated); !errors.Is(err, ErrSignature) {
		t.Errorf("%s, by another master: %v, ErrSignature expected", what, err)
	}
	if _, err := OpenPillar(x.body(t), r.minion, Algorithm(e.EncAlgo), r.master.Public(), Algorithm(e.SigAlgo), NewNonce(), wire.Authenticated); !errors.Is(err, ErrNonce) {
		t.Errorf("%s, with another nonce: %v, ErrNonce expected", what, err)
	}
}

func (r *replayer) publish(t *testing.T, what string, x *exchange) {
	m, err := OpenPublish(x.body(t), x.key(t), r.master.Public(), wire.Authenticated)
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	if d := differs("load", m, x.Decoded["load"]); d != "" {
		t.Errorf("%s: %s", what, d)
	}
	job, err := wire.JobFromMap(m)
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	e := r.envelope(t, what, x, wire.Authenticated)
	packed, err := x.key(t).OpenPacked(e.Packed, "")
	if err != nil {
		t.Fatal(err)
	}
	got, _ := wire.Encode(sorted(job.ToMap()), wire.Network)
	want, _ := wire.Encode(sorted(m), wire.Network)
	if !bytes.Equal(got, want) {
		t.Errorf("%s: typed and back it is\n%q\nreceived\n%q", what, got, want)
	}
	repacks(t, what+", its load", m, packed)
	if sig, err := r.master.Sign(Algorithm(e.SigAlgo), e.Packed); err != nil || !bytes.Equal(sig, e.Sig) {
		t.Errorf("%s: our signature differs (%v)", what, err)
	}
	if _, err := OpenPublish(x.body(t), NewKey(), nil, wire.Authenticated); !errors.Is(err, ErrAuth) {
		t.Errorf("%s, with another key: %v, ErrAuth expected", what, err)
	}
	if _, err := OpenPublish(x.body(t), x.key(t), r.minion.Public(), wire.Authenticated); !errors.Is(err, ErrSignature) {
		t.Errorf("%s, by another master: %v, ErrSignature expected", what, err)
	}
	s := r.serials[x.CrypticleKey]
	if s == nil {
		s = new(Serial)
		r.serials[x.CrypticleKey] = s
	}
	if n, err := s.Take(m); err != nil || n != job.Serial || m.Has("serial") {
		t.Errorf("%s: serial %d (%v)", what, n, err)
	}
	if err := s.Check(job.Serial); !errors.Is(err, ErrSerial) {
		t.Errorf("%s, replayed: %v, ErrSerial expected", what, err)
	}
}
