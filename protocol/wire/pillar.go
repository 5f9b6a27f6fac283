package wire

// CmdPillar is the command by which a minion asks for its pillar.
const CmdPillar = "_pillar"

// FieldSecrets is the field of a pillar reply with what was encrypted in it: gosalt's own.
const FieldSecrets = "gosalt_secrets"

// PillarRequest asks for a minion's pillar and brings its grains.
type PillarRequest struct {
	ID              MinionID
	Grains          *Map
	Saltenv         string // "" for all.
	Pillarenv       string // "" for all.
	PillarOverride  *Map   // Laid over the pillar, for this reply alone.
	ExtraMinionData *Map
	Ver             string // "2": the reply is signed.
	CleanCache      bool

	Raw *Map // As received, with the fields that are not above.
}

// PillarRequestFromMap checks the load of a request whose cmd is _pillar.
func PillarRequestFromMap(m *Map) (*PillarRequest, error) {
	f := fields{m: m, what: "pillar request"}
	r := &PillarRequest{
		ID:              f.minionID("id"),
		Grains:          f.mapping("grains"),
		Saltenv:         f.text("saltenv"),
		Pillarenv:       f.text("pillarenv"),
		PillarOverride:  f.mapping("pillar_override"),
		ExtraMinionData: f.mapping("extra_minion_data"),
		CleanCache:      f.bool("clean_cache"),
		Raw:             m,
	}
	switch v := f.get("ver").(type) { // Salt sends text, and takes a number for it
	case int64:
		r.Ver = string(rune('0' + v%10))
	default:
		r.Ver = f.text("ver")
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	return r, nil
}

// ToMap is the load in Salt's order of fields, those of Raw that are not in
// PillarRequest after them.
func (r *PillarRequest) ToMap() *Map {
	orNil := func(s string) any {
		if s == "" {
			return nil
		}
		return s
	}
	orEmpty := func(m *Map) *Map {
		if m == nil {
			return NewMap()
		}
		return m
	}
	m := NewMap("id", string(r.ID), "grains", orEmpty(r.Grains), "saltenv", orNil(r.Saltenv), "pillarenv", orNil(r.Pillarenv),
		"pillar_override", orEmpty(r.PillarOverride), "extra_minion_data", orEmpty(r.ExtraMinionData))
	b := build{m}
	b.text("ver", r.Ver)
	m.Set("cmd", CmdPillar)
	if r.CleanCache {
		m.Set("clean_cache", true)
	}
	return b.onto(r.Raw, "ver", "clean_cache")
}

// PillarReply is the answer to PillarRequest.
type PillarReply struct {
	Key    []byte // The key that seals Pillar, encrypted to the minion.
	Pillar []byte // Sealed {data: packed PillarData, sig: signature of data by the master}.
}

// PillarReplyFromMap checks a reply.
func PillarReplyFromMap(m *Map) (*PillarReply, error) {
	f := fields{m: m, what: "pillar reply"}
	r := &PillarReply{Key: f.wantBytes("key"), Pillar: f.wantBytes("pillar")}
	if err := f.err(); err != nil {
		return nil, err
	}
	return r, nil
}

// ToMap is the reply in Salt's order of fields.
func (r *PillarReply) ToMap() *Map { return NewMap("key", r.Key, "pillar", r.Pillar) }

// PillarSigned is what PillarReply seals.
type PillarSigned struct {
	Data []byte // Packed PillarData.
	Sig  []byte // The master's signature of Data.
}

// PillarSignedFromMap checks an opened reply.
func PillarSignedFromMap(m *Map) (*PillarSigned, error) {
	f := fields{m: m, what: "sealed pillar"}
	r := &PillarSigned{Data: f.wantBytes("data"), Sig: f.wantBytes("sig")}
	if err := f.err(); err != nil {
		return nil, err
	}
	return r, nil
}

// ToMap is the sealed map in Salt's order of fields.
func (r *PillarSigned) ToMap() *Map { return NewMap("data", r.Data, "sig", r.Sig) }

// PillarData is what the master signs: the pillar, bound to the key and the request.
type PillarData struct {
	Key    []byte // As in PillarReply.
	Pillar *Map
	Nonce  string // That of the request.
	// Secrets are the texts in Pillar that were encrypted, for a gosalt minion, which
	// keeps them from view. Salt's minions look at the other fields only.
	Secrets []string
}

// PillarDataFromMap checks signed data. A pillar that is false is an empty one.
func PillarDataFromMap(m *Map) (*PillarData, error) {
	f := fields{m: m, what: "pillar"}
	r := &PillarData{Key: f.wantBytes("key"), Nonce: f.nonce("nonce"), Secrets: f.texts(FieldSecrets)}
	if f.get("pillar") == false {
		r.Pillar = NewMap()
	} else if r.Pillar = f.mapping("pillar"); r.Pillar == nil {
		f.fail("pillar", "is missing: a map expected")
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	return r, nil
}

// ToMap is the data in Salt's order of fields.
func (r *PillarData) ToMap() *Map {
	m := NewMap("key", r.Key, "pillar", r.Pillar, "nonce", r.Nonce)
	if len(r.Secrets) > 0 {
		list := make([]any, len(r.Secrets))
		for i, s := range r.Secrets {
			list[i] = s
		}
		m.Set(FieldSecrets, list)
	}
	return m
}
