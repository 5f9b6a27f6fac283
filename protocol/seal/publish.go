package seal

import (
	"fmt"
	"time"

	"github.com/gosalt/gosalt/protocol/wire"
)

// SealPublish builds the body of a publish. A master of nil leaves it unsigned (option
// sign_pub_messages off).
func SealPublish(shared *Key, master *PrivateKey, sig Algorithm, load *wire.Map) ([]byte, error) {
	sealed, err := shared.Seal(load, "")
	if err != nil {
		return nil, err
	}
	e := &wire.Envelope{Enc: wire.EncAES, Packed: sealed}
	if master != nil {
		if e.Sig, err = master.Sign(sig, sealed); err != nil {
			return nil, err
		}
		if sig == "" {
			sig = PKCS1v15SHA1
		}
		e.SigAlgo = string(sig)
	}
	return e.Encode()
}

// OpenPublish checks and opens a publish; its serial is the caller's to take (Serial).
// A master of nil does not look at signatures; otherwise one is required. The HMAC comes
// first, as it is cheap and its failure has a meaning of its own: ErrAuth after the
// master changed its keys. Further errors are ErrUnsigned, ErrSignature or *wire.Error.
func OpenPublish(body []byte, shared *Key, master *PublicKey, lim wire.Limits) (*wire.Map, error) {
	e, err := wire.DecodeEnvelope(body, lim)
	if err != nil {
		return nil, err
	}
	if e.Enc != wire.EncAES {
		return nil, &wire.Error{Kind: wire.Malformed, Op: "open publish", Msg: fmt.Sprintf("enc is %q: %q expected", e.Enc, wire.EncAES)}
	}
	packed, err := shared.OpenPacked(e.Packed, "")
	if err != nil {
		return nil, err
	}
	if master != nil {
		if e.Sig == nil {
			return nil, fmt.Errorf("publish: %w", ErrUnsigned)
		}
		a, ok := SigAlgorithm(e.SigAlgo)
		if !ok {
			return nil, fmt.Errorf("publish has sig_algo %.40q: %w", e.SigAlgo, ErrSignature)
		}
		if err := master.Verify(a, e.Packed, e.Sig); err != nil {
			return nil, fmt.Errorf("publish: %w", err)
		}
	}
	return wire.DecodeMap(packed, wire.Network, lim)
}

// SealRequest builds the body of a minion's request: load with the common fields set
// (load itself is not changed), under the session's key. tok is PrivateKey.Token.
func SealRequest(session *Key, id wire.MinionID, tok []byte, enc, sig Algorithm, nonce string, now time.Time, load *wire.Map) ([]byte, error) {
	req := &wire.Request{Cmd: load.Text("cmd"), ID: id, Nonce: nonce, TS: now.Unix(), Tok: tok, Raw: load}
	sealed, err := session.Seal(req.ToMap(), "")
	if err != nil {
		return nil, err
	}
	return (&wire.Envelope{
		Enc: wire.EncAES, Version: wire.SaltVersion, Packed: sealed, ID: id, EncAlgo: string(enc), SigAlgo: string(sig),
	}).Encode()
}

// OpenRequest opens what SealRequest built; the caller found the session's key by the
// envelope's id. It checks that the load names the same minion and holds its token; the
// time stamp is the caller's to check. Errors are ErrAuth or *wire.Error.
func OpenRequest(e *wire.Envelope, session *Key, minion *PublicKey, lim wire.Limits) (*wire.Request, error) {
	packed, err := session.OpenPacked(e.Packed, "")
	if err != nil {
		return nil, err
	}
	m, err := wire.DecodeMap(packed, wire.Network, lim)
	if err != nil {
		return nil, err
	}
	req, err := wire.RequestFromMap(m)
	if err != nil {
		return nil, err
	}
	if req.ID != e.ID {
		return nil, &wire.Error{Kind: wire.Unauthorized, Op: "request", Msg: fmt.Sprintf("load is of %q, envelope of %q", req.ID, e.ID)}
	}
	if !minion.CheckToken(req.Tok) {
		return nil, &wire.Error{Kind: wire.Unauthorized, Op: "request", Msg: fmt.Sprintf("token is not that of %q", req.ID)}
	}
	return req, nil
}

// OpenReply opens the answer to a request. A master that refuses answers with text
// ("bad load"): that is ErrAuth too, after which the minion authenticates anew.
func OpenReply(body []byte, session *Key, nonce string, lim wire.Limits) (any, error) {
	return OpenReplyDialect(body, session, nonce, wire.Network, lim)
}

// OpenReplyDialect is OpenReply for replies that hold file contents (wire.NetworkRaw).
func OpenReplyDialect(body []byte, session *Key, nonce string, d wire.Dialect, lim wire.Limits) (any, error) {
	v, err := wire.Decode(body, wire.NetworkRaw, lim)
	if err != nil {
		return nil, err
	}
	sealed, ok := v.([]byte)
	if !ok {
		return nil, fmt.Errorf("reply is %s, not sealed: %w", wire.TypeName(v), ErrAuth)
	}
	packed, err := session.OpenPacked(sealed, nonce)
	if err != nil {
		return nil, err
	}
	return wire.Decode(packed, d, lim)
}

// SealReply builds the body of the answer to a request.
func SealReply(session *Key, nonce string, v any) ([]byte, error) {
	sealed, err := session.Seal(v, nonce)
	if err != nil {
		return nil, err
	}
	return wire.Encode(sealed, wire.Network)
}
