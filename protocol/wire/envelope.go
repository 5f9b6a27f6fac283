package wire

// The two values of an envelope's field "enc". Anything else is refused.
const (
	EncClear = "clear" // The load is a map, or packed bytes with a signature.
	EncAES   = "aes"   // The load is sealed with a session key, or with the shared one in publishes.
)

// Envelope is the outermost map of a request, of a publish, and of a clear reply:
//
//	request, clear   {enc: clear, load: {...}, version: 3}
//	request, sealed  {enc: aes, load: bytes, version: 3, id, enc_algo, sig_algo}
//	publish          {enc: aes, load: bytes, sig, sig_algo}
//	auth reply       {enc: clear, load: packed bytes, sig}
type Envelope struct {
	Enc     string
	Version int64 // 0 where absent, as in publishes and replies.

	Load   *Map   // The load of a clear message, or nil.
	Packed []byte // The load where it is sealed, or packed and signed; else nil.

	ID      MinionID // Whose session key seals the load; "" in clear messages and publishes.
	EncAlgo string   // As "OAEP-SHA1", or "".
	SigAlgo string   // As "PKCS1v15-SHA1", or "".
	Sig     []byte   // Signature of Packed, or nil.

	Raw *Map // As received.
}

// DecodeEnvelope reads a message body of the network. Its errors are *Error of kind
// Malformed; as a fault in the id is told there too, use it for all but the wording.
func DecodeEnvelope(b []byte, lim Limits) (*Envelope, error) {
	m, err := DecodeMap(b, Network, lim)
	if err != nil {
		return nil, err
	}
	return EnvelopeFromMap(m)
}

// EnvelopeFromMap checks an envelope field by field.
func EnvelopeFromMap(m *Map) (*Envelope, error) {
	f := fields{m: m, what: "envelope"}
	e := &Envelope{
		Enc:     f.wantText("enc"),
		Version: f.int("version"),
		EncAlgo: f.text("enc_algo"),
		SigAlgo: f.text("sig_algo"),
		Sig:     f.bytes("sig"),
		Raw:     m,
	}
	if f.get("id") != nil {
		e.ID = f.minionID("id")
	}
	if f.first == nil && e.Enc != EncClear && e.Enc != EncAES {
		f.fail("enc", `is %.20q: "clear" or "aes" expected`, e.Enc)
	}
	load := f.want("load", "a map or bytes")
	if m, ok := load.(*Map); ok && e.Enc == EncClear {
		e.Load = m
	} else if ok {
		f.fail("load", `is a map: bytes expected where enc is "aes"`)
	} else {
		e.Packed = f.bytes("load")
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	return e, nil
}

// ToMap is the envelope in Salt's order of fields.
func (e *Envelope) ToMap() *Map {
	m := NewMap("enc", e.Enc)
	if e.Load != nil {
		m.Set("load", e.Load)
	} else {
		m.Set("load", e.Packed)
	}
	b := build{m}
	b.int("version", e.Version)
	b.text("id", string(e.ID))
	b.text("enc_algo", e.EncAlgo)
	b.text("sig_algo", e.SigAlgo)
	b.bytes("sig", e.Sig)
	return m
}

// Encode packs the envelope for the network.
func (e *Envelope) Encode() ([]byte, error) { return Encode(e.ToMap(), Network) }

// Request holds what every sealed request of a minion has besides its own fields.
type Request struct {
	Cmd   string   // As "_return".
	ID    MinionID // Must equal the envelope's.
	Nonce string   // 32 hex digits, which the reply repeats; "" where absent.
	TS    int64    // When it was made, in seconds of Unix time; 0 where absent.
	Tok   []byte   // "salt" under the minion's private key (X9.31); nil where absent.

	Raw *Map // As received.
}

// RequestFromMap checks the common fields of an opened request.
func RequestFromMap(m *Map) (*Request, error) {
	f := fields{m: m, what: "request"}
	r := &Request{
		Cmd:   f.wantText("cmd"),
		ID:    f.minionID("id"),
		Nonce: f.nonce("nonce"),
		TS:    f.int("ts"),
		Tok:   f.bytes("tok"),
		Raw:   m,
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	return r, nil
}

// ToMap is the request: the fields of Raw with the common ones set.
func (r *Request) ToMap() *Map {
	m := r.Raw.Clone()
	m.Set("cmd", r.Cmd)
	m.Set("id", string(r.ID))
	b := build{m}
	b.text("nonce", r.Nonce)
	b.int("ts", r.TS)
	b.bytes("tok", r.Tok)
	return m
}
