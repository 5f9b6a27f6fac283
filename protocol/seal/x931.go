package seal

import (
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
)

// Bytes of an X9.31 block: 6A m CC, or 6B BB..BB BA m CC where m is shorter.
const (
	x931Full   = 0x6a
	x931Padded = 0x6b
	x931Pad    = 0xbb
	x931Begin  = 0xba
	x931End    = 0xcc
)

var errFault = errors.New("RSA: a computation went wrong; nothing was signed")

// SignX931 signs a message so that the signature gives it back: what Salt calls private
// encryption (ANSI X9.31 padding, no hash). The message has at least one byte and at
// most the modulus' length less two, but not one byte less than that: OpenSSL does not give such
// a message back. Equal messages get equal signatures.
func (p *PrivateKey) SignX931(message []byte) ([]byte, error) {
	k := p.k.Size()
	if len(message) == 0 || len(message) > k-2 || len(message) == k-3 {
		return nil, fmt.Errorf("sign a message of %d bytes by X9.31: 1 to %d, or %d, are possible with %d bits", len(message), k-4, k-2, p.pub.Bits())
	}
	block := make([]byte, k)
	for i := range block {
		block[i] = x931Pad
	}
	at := k - 1 - len(message)
	copy(block[at:], message)
	block[k-1] = x931End
	if at == 1 {
		block[0] = x931Full
	} else {
		block[0], block[at-1] = x931Padded, x931Begin
	}
	m := new(big.Int).SetBytes(block)
	if m.Cmp(p.k.N) >= 0 {
		return nil, fmt.Errorf("sign by X9.31: the modulus of %d bits leaves no room for the padding", p.pub.Bits())
	}
	s, err := p.raw(m)
	if err != nil {
		return nil, err
	}
	if other := new(big.Int).Sub(p.k.N, s); other.Cmp(s) < 0 {
		s = other
	}
	return s.FillBytes(block), nil
}

// raw is m^d mod n, by the primes. The message is blinded, as math/big's time depends
// on its operands, and the result is checked, as a fault in one half would give the
// primes away.
func (p *PrivateKey) raw(m *big.Int) (*big.Int, error) {
	n, e := p.k.N, big.NewInt(int64(p.k.E))
	var r, inverse *big.Int
	for inverse == nil {
		var err error
		if r, err = rand.Int(rand.Reader, n); err != nil {
			return nil, err
		}
		if r.Sign() > 0 {
			inverse = new(big.Int).ModInverse(r, n)
		}
	}
	c := new(big.Int).Exp(r, e, n)
	c.Mul(c, m).Mod(c, n)

	prime1, prime2 := p.k.Primes[0], p.k.Primes[1]
	pre := &p.k.Precomputed
	s1 := new(big.Int).Exp(c, pre.Dp, prime1)
	s := new(big.Int).Exp(c, pre.Dq, prime2)
	s1.Sub(s1, s).Mul(s1, pre.Qinv).Mod(s1, prime1)
	s.Add(s, s1.Mul(s1, prime2))

	s.Mul(s, inverse).Mod(s, n)
	if new(big.Int).Exp(s, e, n).Cmp(m) != 0 {
		return nil, errFault
	}
	return s, nil
}

// Recover gives back the message of an X9.31 signature. It returns ErrSignature.
func (p *PublicKey) Recover(signature []byte) ([]byte, error) {
	k := p.k.Size()
	if len(signature) != k {
		return nil, ErrSignature
	}
	r := new(big.Int).SetBytes(signature)
	if r.Cmp(p.k.N) >= 0 {
		return nil, ErrSignature
	}
	r.Exp(r, big.NewInt(int64(p.k.E)), p.k.N)
	if r.Bit(0)|r.Bit(1)<<1|r.Bit(2)<<2|r.Bit(3)<<3 != x931End&15 {
		r.Sub(p.k.N, r)
	}
	block := r.FillBytes(make([]byte, k))
	if block[k-1] != x931End {
		return nil, ErrSignature
	}
	body := block[1 : k-1]
	switch block[0] {
	case x931Full:
		return body, nil
	case x931Padded:
		pad := 0
		for pad < len(body) && body[pad] == x931Pad {
			pad++
		}
		// OpenSSL, and so Salt, wants at least one byte of padding.
		if body = body[pad:]; pad > 0 && len(body) > 1 && body[0] == x931Begin {
			return body[1:], nil
		}
	}
	return nil, ErrSignature
}
