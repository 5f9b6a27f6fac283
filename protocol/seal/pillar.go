package seal

import (
	"bytes"
	"crypto/subtle"
	"errors"
	"fmt"

	"github.com/gosalt/gosalt/protocol/wire"
)

// ErrNoKey says that a pillar reply has no key: the master did not take the minion for
// known, which authenticates anew.
var ErrNoKey = errors.New("pillar reply without a key")

// SealPillar builds the body of the answer to a pillar request: under a key of its own
// that only the minion can read, and signed together with that key and the nonce.
func SealPillar(minion *PublicKey, enc Algorithm, master *PrivateKey, sig Algorithm, nonce string, pillar *wire.Map) ([]byte, error) {
	return SealPillarData(minion, enc, master, sig, &wire.PillarData{Pillar: pillar, Nonce: nonce})
}

// SealPillarData is SealPillar with all that such an answer can hold. The field Key is
// set here.
func SealPillarData(minion *PublicKey, enc Algorithm, master *PrivateKey, sig Algorithm, data *wire.PillarData) ([]byte, error) {
	out := *data
	if out.Pillar == nil {
		out.Pillar = wire.NewMap()
	}
	k := NewKey()
	key, err := minion.Encrypt(enc, []byte(k.Reveal()))
	if err != nil {
		return nil, err
	}
	out.Key = key
	packed, err := wire.Encode(out.ToMap(), wire.Network)
	if err != nil {
		return nil, fmt.Errorf("pillar: %w", err)
	}
	s, err := master.Sign(sig, packed)
	if err != nil {
		return nil, err
	}
	sealed, err := k.Seal((&wire.PillarSigned{Data: packed, Sig: s}).ToMap(), "")
	if err != nil {
		return nil, err
	}
	return wire.Encode((&wire.PillarReply{Key: key, Pillar: sealed}).ToMap(), wire.Network)
}

// OpenPillar checks and opens an answer to a pillar request. It returns ErrNoKey,
// ErrDecrypt, ErrAuth, ErrSignature, ErrNonce or a *wire.Error.
func OpenPillar(body []byte, minion *PrivateKey, enc Algorithm, master *PublicKey, sig Algorithm, nonce string, lim wire.Limits) (*wire.Map, error) {
	data, err := OpenPillarData(body, minion, enc, master, sig, nonce, lim)
	if err != nil {
		return nil, err
	}
	return data.Pillar, nil
}

// OpenPillarData is OpenPillar with all that the answer holds.
func OpenPillarData(body []byte, minion *PrivateKey, enc Algorithm, master *PublicKey, sig Algorithm, nonce string, lim wire.Limits) (*wire.PillarData, error) {
	data, err := openPillar(body, minion, enc, master, sig, nonce, lim)
	if err != nil {
		return nil, fmt.Errorf("pillar reply: %w", err)
	}
	return data, nil
}

func openPillar(body []byte, minion *PrivateKey, enc Algorithm, master *PublicKey, sig Algorithm, nonce string, lim wire.Limits) (*wire.PillarData, error) {
	v, err := wire.Decode(body, wire.Network, lim)
	if err != nil {
		return nil, err
	}
	m, ok := v.(*wire.Map)
	if !ok || !m.Has("key") {
		return nil, ErrNoKey // "bad load", or a sealed reply where the key of the session changed
	}
	reply, err := wire.PillarReplyFromMap(m)
	if err != nil {
		return nil, err
	}
	text, err := minion.Decrypt(enc, reply.Key)
	if err != nil {
		return nil, err
	}
	k, err := ParseKey(string(text))
	if err != nil {
		return nil, err
	}
	packed, err := k.OpenPacked(reply.Pillar, "")
	if err != nil {
		return nil, err
	}
	if m, err = wire.DecodeMap(packed, wire.Network, lim); err != nil {
		return nil, err
	}
	signed, err := wire.PillarSignedFromMap(m)
	if err != nil {
		return nil, err
	}
	if err := master.Verify(sig, signed.Data, signed.Sig); err != nil {
		return nil, err
	}
	if m, err = wire.DecodeMap(signed.Data, wire.Network, lim); err != nil {
		return nil, err
	}
	data, err := wire.PillarDataFromMap(m)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(data.Key, reply.Key) {
		return nil, ErrSignature
	}
	if subtle.ConstantTimeCompare([]byte(data.Nonce), []byte(nonce)) != 1 {
		return nil, ErrNonce
	}
	return data, nil
}
