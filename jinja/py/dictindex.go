package py

import (
	"hash/maphash"
	"slices"
)

// dictIndex finds the entries of a dict by their hashes: a table with open addressing,
// whose slots hold the place of an entry, counted from 1. A slot whose entry is gone
// stays until the index is made anew.
type dictIndex struct {
	slots []int32 // as many as a power of two; nil: there is no index
	used  int
}

var indexSeed = maphash.MakeSeed()

// newIndex makes an index with room for n entries.
func newIndex(n int) dictIndex {
	size := 16
	for size*3 < n*4 {
		size *= 2
	}
	return dictIndex{slots: make([]int32, size)}
}

func (x *dictIndex) clone() dictIndex { return dictIndex{slots: slices.Clone(x.slots), used: x.used} }

// room tells whether one more entry leaves the table sparse enough.
func (x *dictIndex) room() bool { return (x.used+1)*4 <= len(x.slots)*3 }

func (x *dictIndex) start(h any) uint64 {
	if s, ok := h.(string); ok {
		return maphash.String(indexSeed, s)
	}
	return maphash.Comparable(indexSeed, h)
}

func (x *dictIndex) add(h any, at int) {
	mask := uint64(len(x.slots) - 1)
	for i := x.start(h) & mask; ; i = (i + 1) & mask {
		if x.slots[i] == 0 {
			x.slots[i] = int32(at + 1)
			x.used++
			return
		}
	}
}

// find is the place of the entry with a hash, -1 for none.
func (x *dictIndex) find(entries []entry, h any) int {
	if s, ok := h.(string); ok {
		return x.findStr(entries, s)
	}
	mask := uint64(len(x.slots) - 1)
	for i := x.start(h) & mask; ; i = (i + 1) & mask {
		at := int(x.slots[i]) - 1
		if at < 0 {
			return -1
		}
		if at < len(entries) && entries[at].hash == h {
			return at
		}
	}
}

// findStr is find for a str.
func (x *dictIndex) findStr(entries []entry, s string) int {
	mask := uint64(len(x.slots) - 1)
	for i := maphash.String(indexSeed, s) & mask; ; i = (i + 1) & mask {
		at := int(x.slots[i]) - 1
		if at < 0 {
			return -1
		}
		if at < len(entries) {
			if k, ok := entries[at].hash.(string); ok && k == s {
				return at
			}
		}
	}
}
