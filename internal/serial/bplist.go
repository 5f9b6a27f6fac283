package serial

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/big"
	"time"
	"unicode/utf16"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// bplistMagic begins a binary property list.
const bplistMagic = "bplist00"

// maxObjects bounds what a binary property list holds: objects in it may stand in many
// places, and each place counts.
const maxObjects = 1 << 20

// bplistEpoch is what dates are counted from, in seconds.
var bplistEpoch = time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)

// bplistWriter numbers the objects of a property list in the order in which plistlib does:
// a dict, its keys, then its values. Equal scalars are one object, dicts and lists are not.
type bplistWriter struct {
	sorted, skip bool
	objects      []bplistObject
	scalars      map[any]int
	maps         map[*wire.Map]int
}

type bplistObject struct {
	value any
	size  int   // of a dict, with keys that were left out
	refs  []int // a dict's keys, then its values
}

// bplistData are data as the key of a map.
type bplistData string

// dumpBinaryPlist writes a property list in Apple's binary form.
func dumpBinaryPlist(v any, sorted, skip bool) ([]byte, error) {
	w := &bplistWriter{sorted: sorted, skip: skip, scalars: map[any]int{}, maps: map[*wire.Map]int{}}
	top, err := w.flatten(v, 0)
	if err != nil {
		return nil, err
	}
	refSize := bplistSize(uint64(len(w.objects)))
	b := []byte(bplistMagic)
	offsets := make([]int, len(w.objects))
	for i, o := range w.objects {
		offsets[i] = len(b)
		if b, err = o.append(b, refSize); err != nil {
			return nil, err
		}
	}
	table := uint64(len(b))
	offsetSize := bplistSize(table)
	for _, o := range offsets {
		b = appendSized(b, uint64(o), offsetSize)
	}
	b = append(b, 0, 0, 0, 0, 0, 0, byte(offsetSize), byte(refSize))
	b = binary.BigEndian.AppendUint64(b, uint64(len(w.objects)))
	b = binary.BigEndian.AppendUint64(b, uint64(top))
	return binary.BigEndian.AppendUint64(b, table), nil
}

// flatten gives a value and all in it their numbers.
func (w *bplistWriter) flatten(v any, depth int) (int, error) {
	if depth > maxDepth {
		return 0, errors.New("maximum recursion depth exceeded")
	}
	if i, ok := v.(int); ok {
		v = int64(i)
	}
	number := len(w.objects)
	switch x := v.(type) {
	case string, bool, int64, uint64, float64:
		if n, ok := w.scalars[x]; ok {
			return n, nil
		}
		w.scalars[x] = number
		w.objects = append(w.objects, bplistObject{value: x})
	case nil:
		if n, ok := w.scalars[nil]; ok {
			return n, nil
		}
		w.scalars[nil] = number
		w.objects = append(w.objects, bplistObject{})
	case time.Time, *big.Int:
		w.objects = append(w.objects, bplistObject{value: x})
	case []byte:
		key := bplistData(x)
		if n, ok := w.scalars[key]; ok {
			return n, nil
		}
		w.scalars[key] = number
		w.objects = append(w.objects, bplistObject{value: x})
	case []any:
		w.objects = append(w.objects, bplistObject{value: x, size: len(x)})
		return number, w.all(number, x, depth)
	case *wire.Map:
		if n, ok := w.maps[x]; ok {
			return n, nil
		}
		w.maps[x] = number
		w.objects = append(w.objects, bplistObject{value: x, size: x.Len()})
		keys, vals, err := plistEntries(x, w.sorted, w.skip)
		if err != nil {
			return 0, err
		}
		return number, w.all(number, append(keys, vals...), depth)
	default:
		return 0, errors.New(pytext.Str(v))
	}
	return number, nil
}

func (w *bplistWriter) all(number int, vals []any, depth int) error {
	refs := make([]int, len(vals))
	for i, v := range vals {
		var err error
		if refs[i], err = w.flatten(v, depth+1); err != nil {
			return err
		}
	}
	w.objects[number].refs = refs
	return nil
}

// append writes an object behind others.
func (o *bplistObject) append(b []byte, refSize int) ([]byte, error) {
	switch v := o.value.(type) {
	case nil:
		return append(b, 0), nil
	case bool:
		if v {
			return append(b, 9), nil
		}
		return append(b, 8), nil
	case int64:
		if v < 0 {
			return binary.BigEndian.AppendUint64(append(b, 0x13), uint64(v)), nil
		}
		return appendInt(b, uint64(v)), nil
	case uint64:
		return appendInt(b, v), nil
	case *big.Int:
		if !v.IsUint64() {
			return nil, errors.New(v.String())
		}
		return appendInt(b, v.Uint64()), nil
	case float64:
		return binary.BigEndian.AppendUint64(append(b, 0x23), math.Float64bits(v)), nil
	case time.Time:
		return binary.BigEndian.AppendUint64(append(b, 0x33), math.Float64bits(v.Sub(bplistEpoch).Seconds())), nil
	case []byte:
		return append(appendSize(b, 0x40, len(v)), v...), nil
	case string:
		for i := range len(v) {
			if v[i] >= 0x80 {
				units := utf16.Encode([]rune(v))
				b = appendSize(b, 0x60, len(units))
				for _, u := range units {
					b = binary.BigEndian.AppendUint16(b, u)
				}
				return b, nil
			}
		}
		return append(appendSize(b, 0x50, len(v)), v...), nil
	case []any:
		b = appendSize(b, 0xA0, o.size)
	case *wire.Map:
		b = appendSize(b, 0xD0, o.size)
	}
	for _, r := range o.refs {
		b = appendSized(b, uint64(r), refSize)
	}
	return b, nil
}

// bplistSize is the number of bytes that numbers up to n take.
func bplistSize(n uint64) int {
	switch {
	case n < 1<<8:
		return 1
	case n < 1<<16:
		return 2
	case n < 1<<32:
		return 4
	}
	return 8
}

func appendSized(b []byte, n uint64, size int) []byte {
	for i := size - 1; i >= 0; i-- {
		b = append(b, byte(n>>(8*i)))
	}
	return b
}

// appendInt writes a number that is not negative.
func appendInt(b []byte, n uint64) []byte {
	if n >= 1<<63 {
		return binary.BigEndian.AppendUint64(append(b, 0x14, 0, 0, 0, 0, 0, 0, 0, 0), n)
	}
	size := bplistSize(n)
	return appendSized(append(b, map[int]byte{1: 0x10, 2: 0x11, 4: 0x12, 8: 0x13}[size]), n, size)
}

// appendSize writes what an object is, and how long.
func appendSize(b []byte, token byte, n int) []byte {
	if n < 15 {
		return append(b, token|byte(n))
	}
	return appendInt(append(b, token|0x0F), uint64(n))
}

// errBplist is what plistlib says of all that is wrong in a binary property list.
var errBplist = errors.New("Invalid file") //lint:ignore ST1005 Python's words

// bplistReader reads a binary property list. Objects that several others hold are read for
// each of them, which maxObjects bounds.
type bplistReader struct {
	b       []byte
	offsets []uint64
	refSize int
	left    int
}

func loadBinaryPlist(b []byte) (any, error) {
	if len(b) < len(bplistMagic)+32 {
		return nil, errBplist
	}
	t := b[len(b)-32:]
	offsetSize, refSize := int(t[6]), int(t[7])
	objects, top, table := binary.BigEndian.Uint64(t[8:]), binary.BigEndian.Uint64(t[16:]), binary.BigEndian.Uint64(t[24:])
	size := uint64(len(b))
	if offsetSize < 1 || offsetSize > 8 || refSize < 1 || refSize > 8 || objects > size || table > size || top >= objects || objects*uint64(offsetSize) > size-table {
		return nil, errBplist
	}
	r := &bplistReader{b: b, offsets: make([]uint64, objects), refSize: refSize, left: maxObjects}
	for i := range r.offsets {
		r.offsets[i] = sized(b[table+uint64(i*offsetSize):], offsetSize)
	}
	return r.object(top, 0)
}

func sized(b []byte, size int) uint64 {
	var n uint64
	for _, c := range b[:size] {
		n = n<<8 | uint64(c)
	}
	return n
}

func (r *bplistReader) object(number uint64, depth int) (any, error) {
	r.left--
	if number >= uint64(len(r.offsets)) || r.offsets[number] >= uint64(len(r.b)) {
		return nil, errBplist
	}
	if depth > maxDepth || r.left < 0 {
		return nil, fmt.Errorf("the property list holds more than %d objects, or more than %d within one another", maxObjects, maxDepth)
	}
	rest := r.b[r.offsets[number]:]
	token := rest[0]
	rest = rest[1:]
	low := int(token & 0x0F)
	switch {
	case token == 0x00:
		return nil, nil
	case token == 0x08, token == 0x09:
		return token == 0x09, nil
	case token == 0x0F:
		return []byte{}, nil
	case token&0xF0 == 0x10:
		return bplistInt(rest, 1<<low)
	case (token == 0x22 || token == 0x23 || token == 0x33) && len(rest) >= 1<<low:
		f := math.Float64frombits(sized(rest, 1<<low))
		if token == 0x22 {
			f = float64(math.Float32frombits(uint32(sized(rest, 4))))
		}
		if token != 0x33 {
			return f, nil
		}
		if math.IsNaN(f) || math.Abs(f) > 1e11 {
			return nil, errBplist
		}
		return bplistEpoch.Add(time.Duration(f) * time.Second).Add(time.Duration((f - math.Trunc(f)) * 1e9)), nil
	}
	n := low
	if low == 15 {
		if len(rest) == 0 || rest[0]&0xF0 != 0x10 || rest[0]&0x0F > 3 {
			return nil, errBplist
		}
		size := 1 << (rest[0] & 0x0F)
		if len(rest) < 1+size {
			return nil, errBplist
		}
		long := sized(rest[1:], size)
		if long > uint64(len(r.b)) {
			return nil, errBplist
		}
		n, rest = int(long), rest[1+size:]
	}
	width := map[byte]int{0x40: 1, 0x50: 1, 0x60: 2, 0xA0: r.refSize, 0xD0: 2 * r.refSize}[token&0xF0]
	if width == 0 || len(rest) < n*width {
		return nil, errBplist
	}
	switch rest = rest[:n*width]; token & 0xF0 {
	case 0x40:
		return bytes.Clone(rest), nil
	case 0x50:
		for _, c := range rest {
			if c >= 0x80 {
				return nil, errBplist
			}
		}
		return string(rest), nil
	case 0x60:
		units := make([]uint16, n)
		for i := range units {
			units[i] = binary.BigEndian.Uint16(rest[2*i:])
		}
		return string(utf16.Decode(units)), nil
	case 0xA0:
		return r.many(rest, n, depth)
	}
	keys, err := r.many(rest[:n*r.refSize], n, depth)
	if err != nil {
		return nil, err
	}
	vals, err := r.many(rest[n*r.refSize:], n, depth)
	if err != nil {
		return nil, err
	}
	m := wire.NewMap()
	for i, k := range keys {
		s, ok := k.(string)
		if !ok {
			return nil, errBplist
		}
		m.Set(s, vals[i])
	}
	return m, nil
}

// many reads the objects that a list of references names.
func (r *bplistReader) many(refs []byte, n, depth int) ([]any, error) {
	out := make([]any, 0, min(n, 1024))
	for i := range n {
		v, err := r.object(sized(refs[i*r.refSize:], r.refSize), depth+1)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// bplistInt reads a number: those of eight bytes and more have a sign.
func bplistInt(b []byte, size int) (any, error) {
	if len(b) < size || size > 16 {
		return nil, errBplist
	}
	if size < 8 {
		return int64(sized(b, size)), nil
	}
	if size == 8 {
		return int64(sized(b, 8)), nil
	}
	high, low := sized(b, 8), sized(b[8:], 8)
	switch {
	case high == 0 && low < 1<<63, high == math.MaxUint64 && low >= 1<<63:
		return int64(low), nil
	case high == 0:
		return low, nil
	}
	n := new(big.Int).SetBytes(b[:16])
	if high >= 1<<63 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), 128))
	}
	return n, nil
}
