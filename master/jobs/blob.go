package jobs

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
)

// A stored blob begins with a byte that says what follows: the bytes themselves, or
// their length as a uvarint and then their DEFLATE form.
const (
	blobRaw     = 0
	blobDeflate = 1
)

// compressFrom is the size in bytes from which compression is tried. Shorter ones
// gain little, and a page of the file is 4 KiB.
const compressFrom = 4 << 10

// inlineMax is the largest stored form that stays in a row of returns, in bytes.
const inlineMax = 1000

var deflaters = sync.Pool{New: func() any {
	w, err := flate.NewWriter(io.Discard, flate.BestSpeed)
	if err != nil {
		panic(err) // the level is a constant
	}
	return w
}}

// pack returns the stored form of b.
func pack(b []byte) []byte {
	if len(b) >= compressFrom {
		if p := deflate(b); p != nil {
			return p
		}
	}
	return append(append(make([]byte, 0, 1+len(b)), blobRaw), b...)
}

// deflate returns nil where an eighth or less would be saved.
func deflate(b []byte) []byte {
	var buf bytes.Buffer
	buf.WriteByte(blobDeflate)
	buf.Write(binary.AppendUvarint(nil, uint64(len(b))))
	w := deflaters.Get().(*flate.Writer)
	defer deflaters.Put(w)
	w.Reset(&buf)
	if _, err := w.Write(b); err != nil {
		return nil
	}
	if err := w.Close(); err != nil || buf.Len() > len(b)-len(b)/8 {
		return nil
	}
	return buf.Bytes()
}

var errBlob = errors.New("stored data is not in the form in which it was written")

// unpack is the reverse of pack. The result may share memory with p.
func unpack(p []byte) ([]byte, error) {
	if len(p) == 0 {
		return nil, fmt.Errorf("%w: empty", errBlob)
	}
	switch p[0] {
	case blobRaw:
		return p[1:], nil
	case blobDeflate:
		size, n := binary.Uvarint(p[1:])
		// DEFLATE never packs more than about a thousand bytes into one.
		if n <= 0 || size > uint64(len(p))*1100 {
			return nil, fmt.Errorf("%w: bad length", errBlob)
		}
		b := make([]byte, size)
		r := flate.NewReader(bytes.NewReader(p[1+n:]))
		if _, err := io.ReadFull(r, b); err != nil {
			return nil, fmt.Errorf("%w: %w", errBlob, err)
		}
		return b, nil
	}
	return nil, fmt.Errorf("%w: begins with byte %d", errBlob, p[0])
}
