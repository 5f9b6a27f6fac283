package seal

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"fmt"

	"github.com/gosalt/gosalt/protocol/wire"
)

// A bulk reply carries the contents of files between gosalt peers. Salt's own sealing
// costs an AES-CBC pass and an HMAC pass over every byte, at some 300 MB/s; AES-GCM does
// both at once and five times as fast. The layout:
//
//	"gsbulk1\n" | 12 bytes GCM nonce, random | AES-256-GCM( data | head | 4 bytes length of head )
//
// The key is HMAC-SHA256 of bulkLabel and the request's nonce under the session key's
// HMAC key, so each reply has its own, and is bound to its request. The marker is
// authenticated too. Salt's replies begin with the header of MsgPack bytes, which no "g" is.
const (
	bulkMagic = "gsbulk1\n"
	// bulkLabel and a nonce are 47 bytes, which no sealed message can be: the HMAC of
	// one is never that of the other.
	bulkLabel = "gosalt bulk 1: "
	gcmNonce  = 12
	bulkHead  = len(bulkMagic) + gcmNonce
	gcmTag    = 16
)

// BulkBuffer makes room for a bulk reply: data of up to n bytes are to be appended, and
// the result given to SealBulk.
func BulkBuffer(n int) []byte { return make([]byte, bulkHead, BulkSize(n)) }

// BulkSize is the capacity that a buffer needs for n bytes of data.
func BulkSize(n int) int { return bulkHead + n + gcmTag + 1024 }

// BulkOverhead is what BulkBuffer begins with, so the data of a buffer are buf[BulkOverhead:].
const BulkOverhead = bulkHead

func (k *Key) bulk(nonce string) (cipher.AEAD, error) {
	if len(nonce) != nonceLen {
		return nil, fmt.Errorf("bulk reply: the request has no nonce of %d digits", nonceLen)
	}
	b, err := aes.NewCipher(k.sum(nil, []byte(bulkLabel+nonce)))
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(b)
}

// SealBulk seals a buffer of BulkBuffer with the data in it, and a head that says what
// the data are, as the reply to the request with this nonce. The buffer is used up.
func (k *Key) SealBulk(buf []byte, head *wire.Map, nonce string) ([]byte, error) {
	gcm, err := k.bulk(nonce)
	if err != nil {
		return nil, err
	}
	n := len(buf)
	if buf, err = wire.Append(buf, head, wire.Network); err != nil {
		return nil, err
	}
	buf = binary.BigEndian.AppendUint32(buf, uint32(len(buf)-n))
	copy(buf, bulkMagic)
	rand.Read(buf[len(bulkMagic):bulkHead])
	return gcm.Seal(buf[:bulkHead], buf[len(bulkMagic):bulkHead], buf[bulkHead:], buf[:len(bulkMagic)]), nil
}

// IsBulk tells a bulk reply from others.
func IsBulk(body []byte) bool { return bytes.HasPrefix(body, []byte(bulkMagic)) }

// OpenBulk opens a bulk reply to the request with this nonce. The data are a part of
// body, which is overwritten. It returns ErrAuth for what was not sealed with the key, or
// as the reply to another request.
func (k *Key) OpenBulk(body []byte, nonce string, lim wire.Limits) (head *wire.Map, data []byte, err error) {
	if !IsBulk(body) || len(body) < bulkHead+gcmTag+4 {
		return nil, nil, ErrAuth
	}
	gcm, err := k.bulk(nonce)
	if err != nil {
		return nil, nil, err
	}
	plain, err := gcm.Open(body[bulkHead:bulkHead], body[len(bulkMagic):bulkHead], body[bulkHead:], body[:len(bulkMagic)])
	if err != nil || len(plain) < 4 {
		return nil, nil, ErrAuth
	}
	n, rest := int(binary.BigEndian.Uint32(plain[len(plain)-4:])), len(plain)-4
	if n < 0 || n > rest {
		return nil, nil, &wire.Error{Kind: wire.Malformed, Op: "open", Msg: fmt.Sprintf("head of %d bytes in a bulk reply of %d", n, rest)}
	}
	head, err = wire.DecodeMap(plain[rest-n:rest], wire.Network, lim)
	return head, plain[:rest-n], err
}
