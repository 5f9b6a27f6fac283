// Package pyrandom is the random.Random of Python: the same seed gives the same numbers.
package pyrandom

import (
	"crypto/sha512"
	"math/big"
	"math/bits"

	"github.com/gosalt/gosalt/internal/pytext"
)

// Random is Python's random.Random: the same seed gives the same numbers, so that
// what formulas spread by a minion's id stays where it was (Mersenne Twister MT19937,
// Matsumoto and Nishimura 1998).
type Random struct {
	state [624]uint32
	next  int
}

// New seeds with a whole number or a text, as random.seed does.
func New(seed any) *Random {
	n := new(big.Int)
	switch s := seed.(type) {
	case int64:
		n.Abs(big.NewInt(s))
	case bool:
		if s {
			n.SetInt64(1)
		}
	default:
		text := []byte{}
		if s != nil {
			text = []byte(pytext.Str(s))
		}
		sum := sha512.Sum512(text)
		n.SetBytes(append(text, sum[:]...))
	}
	var key []uint32
	mask := big.NewInt(0xffffffff)
	for word := new(big.Int); n.Sign() > 0; n.Rsh(n, 32) {
		key = append(key, uint32(word.And(n, mask).Uint64()))
	}
	if len(key) == 0 {
		key = []uint32{0}
	}
	r := &Random{}
	r.seed(key)
	return r
}

// seed is init_by_array of the generator's authors.
func (r *Random) seed(key []uint32) {
	s, size := &r.state, len(r.state)
	s[0] = 19650218
	for i := 1; i < size; i++ {
		s[i] = 1812433253*(s[i-1]^s[i-1]>>30) + uint32(i)
	}
	i, j := 1, 0
	step := func() {
		if i++; i >= size {
			s[0], i = s[size-1], 1
		}
	}
	for range max(size, len(key)) {
		s[i] = (s[i] ^ (s[i-1]^s[i-1]>>30)*1664525) + key[j] + uint32(j)
		step()
		if j++; j >= len(key) {
			j = 0
		}
	}
	for range size - 1 {
		s[i] = (s[i] ^ (s[i-1]^s[i-1]>>30)*1566083941) - uint32(i)
		step()
	}
	s[0] = 1 << 31
	r.next = size
}

// word is the next 32 random bits.
func (r *Random) word() uint32 {
	s, size := &r.state, len(r.state)
	if r.next >= size {
		for i := range s {
			y := s[i]&(1<<31) | s[(i+1)%size]&(1<<31-1)
			s[i] = s[(i+397)%size] ^ y>>1 ^ (y&1)*0x9908b0df
		}
		r.next = 0
	}
	y := s[r.next]
	r.next++
	y ^= y >> 11
	y ^= y << 7 & 0x9d2c5680
	y ^= y << 15 & 0xefc60000
	return y ^ y>>18
}

// bits are k random bits, at most 64: the first word has the lowest ones.
func (r *Random) bits(k int) uint64 {
	var out uint64
	for at := 0; at < k; at += 32 {
		w := uint64(r.word())
		if left := k - at; left < 32 {
			w >>= 32 - left
		}
		out |= w << at
	}
	return out
}

// Below is a random number from 0 to n-1, n being at least 1.
func (r *Random) Below(n uint64) uint64 {
	k := bits.Len64(n)
	for {
		if v := r.bits(k); v < n {
			return v
		}
	}
}

// Sample chooses k of n and returns their places, in the order in which random.sample
// does.
func (r *Random) Sample(n, k int) []int {
	out := make([]int, k)
	setSize := 21
	if k > 5 {
		p := 1
		for p < k*3 {
			p *= 4
		}
		setSize += p
	}
	if n <= setSize {
		pool := make([]int, n)
		for i := range pool {
			pool[i] = i
		}
		for i := range k {
			j := int(r.Below(uint64(n - i)))
			out[i], pool[j] = pool[j], pool[n-i-1]
		}
		return out
	}
	chosen := map[int]bool{}
	for i := range k {
		j := int(r.Below(uint64(n)))
		for chosen[j] {
			j = int(r.Below(uint64(n)))
		}
		chosen[j] = true
		out[i] = j
	}
	return out
}
