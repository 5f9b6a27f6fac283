package seal

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/protocol/wire"
)

// TestMasterReplies reads what real masters answered to all kinds of requests.
func TestMasterReplies(t *testing.T) {
	var file struct {
		Masters map[string][]struct {
			Label      string
			RequestHex string `json:"request_hex"`
			ReplyHex   string `json:"reply_hex"`
			Reading    map[string]any
		}
	}
	readVectors(t, "master-replies", &file)
	accepts, pending, refused := 0, 0, 0
	for version, list := range file.Masters {
		for _, x := range list {
			what := version + ": " + x.Label
			if x.ReplyHex == "" {
				continue
			}
			body := unhex(t, x.ReplyHex)
			v, err := wire.Decode(body, wire.Network, wire.Authenticated)
			if err != nil {
				t.Errorf("%s: %v", what, err)
				continue
			}
			if s, ok := x.Reading["outer"].(string); ok && v != s {
				t.Errorf("%s: reads %v, recorded %q", what, v, s)
			}
			m, ok := v.(*wire.Map)
			if !ok || !strings.HasPrefix(x.Label, "auth") || x.RequestHex == "" {
				continue
			}
			if m.Text("enc") == "pub" { // below version 2, and never spoken here
				if _, err := wire.EnvelopeFromMap(m); err == nil {
					t.Errorf("%s: an unsigned accept was taken", what)
				}
				refused++
				continue
			}
			e, err := wire.EnvelopeFromMap(m)
			if err != nil {
				t.Errorf("%s: %v", what, err)
				continue
			}
			if e.Load != nil {
				reply, err := wire.AuthReplyFromMap(e.Load)
				if err != nil {
					t.Errorf("%s: %v", what, err)
				} else if d := differs("load", reply.ToMap(), x.Reading["outer"].(map[string]any)["load"]); d != "" {
					t.Errorf("%s: %s", what, d)
				}
				continue
			}
			load, err := wire.DecodeMap(e.Packed, wire.Network, wire.Unauthenticated)
			if err != nil {
				t.Errorf("%s: %v", what, err)
				continue
			}
			reply, err := wire.AuthReplyFromMap(load)
			if err != nil {
				t.Errorf("%s: %v", what, err)
				continue
			}
			repacks(t, what, reply.ToMap(), e.Packed)
			inner, _ := x.Reading["inner"].(map[string]any)
			if inner["nonce"] != nil && inner["nonce"] != reply.Nonce {
				t.Errorf("%s: nonce %q", what, reply.Nonce)
			}
			switch reply.State {
			case wire.AuthPending:
				pending++
			case wire.AuthAccepted:
				accepts++
				master, err := ParsePublic([]byte(reply.PubKey))
				if err != nil {
					t.Errorf("%s: %v", what, err)
					continue
				}
				// The algorithm is that of the request.
				req, err := wire.DecodeEnvelope(unhex(t, x.RequestHex), wire.Unauthenticated)
				if err != nil {
					t.Errorf("%s: %v", what, err)
					continue
				}
				a, _ := SigAlgorithm(req.Load.Text("sig_algo"))
				if err := master.Verify(a, e.Packed, e.Sig); err != nil {
					t.Errorf("%s: %v", what, err)
				}
				if d, err := master.Recover(reply.Sig); err != nil || len(d) != 64 {
					t.Errorf("%s: sig recovers to %q (%v)", what, d, err)
				} else if _, err := hex.DecodeString(string(d)); err != nil {
					t.Errorf("%s: sig recovers to %q", what, d)
				}
			}
		}
	}
	if accepts < 5 || pending < 2 || refused < 3 {
		t.Errorf("%d accepts, %d pending, %d unsigned: too few", accepts, pending, refused)
	}
}

// TestAuthRequestsRefused holds our reading of requests against the masters' answers:
// what they call a bad load is refused here too.
func TestAuthRequestsRefused(t *testing.T) {
	var file struct {
		Masters map[string][]struct {
			Label      string
			RequestHex string `json:"request_hex"`
			Reading    map[string]any
		}
	}
	readVectors(t, "master-replies", &file)
	for version, list := range file.Masters {
		for _, x := range list {
			s, _ := x.Reading["outer"].(string)
			if x.RequestHex == "" || !strings.HasPrefix(x.Label, "auth") || !strings.HasPrefix(s, "bad load") {
				continue
			}
			e, err := wire.DecodeEnvelope(unhex(t, x.RequestHex), wire.Unauthenticated)
			if err == nil {
				if e.Load == nil {
					continue
				}
				_, err = wire.AuthRequestFromMap(e.Load)
			}
			if err == nil && e.Version == wire.SaltVersion {
				t.Errorf("%s: %s: taken, Salt says %q", version, x.Label, s)
			}
		}
	}
}

// TestCLIReplies reads and repacks what a local command line and real masters said.
func TestCLIReplies(t *testing.T) {
	var file struct {
		Masters map[string][]struct {
			Label        string
			RequestHex   string `json:"request_hex"`
			ReplyHex     string `json:"reply_hex"`
			RequestValue any    `json:"request_value"`
			ReplyValue   any    `json:"reply_value"`
		}
	}
	readVectors(t, "cli-replies", &file)
	n := 0
	for version, list := range file.Masters {
		for _, x := range list {
			what := version + ": " + x.Label
			n++
			e, err := wire.DecodeEnvelope(unhex(t, x.RequestHex), wire.Unauthenticated)
			if err != nil {
				t.Errorf("%s: %v", what, err)
				continue
			}
			if d := differs("load", e.Load, x.RequestValue); d != "" {
				t.Errorf("%s: request: %s", what, d)
			}
			repacks(t, what, e.ToMap(), unhex(t, x.RequestHex))
			v, err := wire.Decode(unhex(t, x.ReplyHex), wire.Network, wire.Authenticated)
			if err != nil {
				t.Errorf("%s: %v", what, err)
				continue
			}
			if d := differs("reply", v, x.ReplyValue); d != "" {
				t.Errorf("%s: reply: %s", what, d)
			}
			if b, err := wire.Encode(v, wire.Network); err != nil || hex.EncodeToString(b) != x.ReplyHex {
				t.Errorf("%s: reply packs to other bytes (%v)", what, err)
			}
		}
	}
	if n < 20 {
		t.Errorf("%d messages: too few", n)
	}
}
