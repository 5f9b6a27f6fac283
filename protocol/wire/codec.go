package wire

import (
	"fmt"
	"math"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// Dialect is one of the ways in which Salt reads and writes MsgPack. All of them
// read all forms of text and bytes; they differ in what they take them for.
type Dialect int

const (
	// Network is spoken on both ports and inside encryption. Text and bytes are
	// both written as old "raw", so the difference is lost: what is UTF-8 is read
	// as text, the rest as bytes.
	Network Dialect = iota

	// NetworkRaw reads values as bytes, whatever they hold, and keys as text: for
	// file contents (the reply of _serve_file). It writes as Network does.
	NetworkRaw

	// Local is spoken on the event sockets and in cache files. Text is written as
	// str, bytes as bin, and read as written.
	Local
)

// Decode reads exactly one packed value under the limits. The value is one of those
// that the package comment lists; []byte values share memory with b, so b must not
// be changed afterwards. An error is *Error of kind Malformed and comes with no value.
func Decode(b []byte, d Dialect, lim Limits) (any, error) {
	if err := Scan(b, lim); err != nil {
		return nil, err
	}
	r := readers.Get().(*reader)
	r.src.b, r.src.i, r.dialect = b, 0, d
	r.dec.ResetReader(&r.src)
	v, err := r.value(lim.UniqueKeys)
	r.src.b = nil
	readers.Put(r)
	if err != nil {
		return nil, err
	}
	return v, nil
}

// DecodeMap is Decode for messages that must be a map.
func DecodeMap(b []byte, d Dialect, lim Limits) (*Map, error) {
	v, err := Decode(b, d, lim)
	if err != nil {
		return nil, err
	}
	m, ok := v.(*Map)
	if !ok {
		return nil, malformed("decode", "message is %s: a map expected", TypeName(v))
	}
	return m, nil
}

// source lets the library read headers, and us take contents without a copy.
type source struct {
	b []byte
	i int
}

func (s *source) Read(p []byte) (int, error) {
	if s.i >= len(s.b) {
		return 0, errEnd
	}
	n := copy(p, s.b[s.i:])
	s.i += n
	return n, nil
}

func (s *source) ReadByte() (byte, error) {
	if s.i >= len(s.b) {
		return 0, errEnd
	}
	s.i++
	return s.b[s.i-1], nil
}

func (s *source) UnreadByte() error {
	s.i--
	return nil
}

// take returns the next n bytes, which share memory with the message.
func (s *source) take(n int) ([]byte, error) {
	if n < 0 || n > len(s.b)-s.i {
		return nil, errEnd
	}
	p := s.b[s.i : s.i+n : s.i+n]
	s.i += n
	return p, nil
}

// errEnd cannot be seen after Scan, but nothing here relies on that.
var errEnd = malformed("decode", "message ends within a value")

// reader decodes a scanned message.
type reader struct {
	src     source
	dec     *msgpack.Decoder
	dialect Dialect
}

var readers = sync.Pool{New: func() any {
	r := new(reader)
	r.dec = msgpack.NewDecoder(&r.src)
	return r
}}

// value decodes the next value. It recurses as deep as Scan allowed. Where it is an
// envelope or load, a map's keys must be unique.
func (r *reader) value(unique bool) (any, error) {
	c, err := r.dec.PeekCode()
	if err != nil {
		return nil, err
	}
	switch {
	case msgpcode.IsFixedNum(c):
		r.src.i++
		return int64(int8(c)), nil
	case msgpcode.IsFixedMap(c), c == msgpcode.Map16, c == msgpcode.Map32:
		return r.mapping(unique)
	case msgpcode.IsFixedArray(c), c == msgpcode.Array16, c == msgpcode.Array32:
		return r.list()
	case msgpcode.IsString(c), msgpcode.IsBin(c):
		n, err := r.dec.DecodeBytesLen()
		if err != nil {
			return nil, err
		}
		p, err := r.src.take(n)
		if err != nil {
			return nil, err
		}
		return r.text(p, c), nil
	case msgpcode.IsExt(c):
		return r.extension()
	}
	switch c {
	case msgpcode.Nil:
		return nil, r.dec.DecodeNil()
	case msgpcode.True, msgpcode.False:
		return r.dec.DecodeBool()
	case msgpcode.Float, msgpcode.Double:
		return r.dec.DecodeFloat64()
	case msgpcode.Uint64:
		n, err := r.dec.DecodeUint64()
		if n > math.MaxInt64 {
			return n, err
		}
		return int64(n), err
	}
	return r.dec.DecodeInt64()
}

// text types the content of a str or bin as the dialect wants it.
func (r *reader) text(p []byte, c byte) any {
	switch r.dialect {
	case Network:
		if utf8.Valid(p) {
			return string(p)
		}
	case Local:
		// Text that is not UTF-8 is an error for Salt, which still shows such values
		// when a command printed them: bytes keep them whole.
		if !msgpcode.IsBin(c) && utf8.Valid(p) {
			return string(p)
		}
	}
	return p
}

func (r *reader) list() (any, error) {
	n, err := r.dec.DecodeArrayLen()
	if err != nil {
		return nil, err
	}
	list := make([]any, n)
	for i := range list {
		if list[i], err = r.value(false); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func (r *reader) mapping(unique bool) (any, error) {
	n, err := r.dec.DecodeMapLen()
	if err != nil {
		return nil, err
	}
	m := &Map{keys: make([]any, 0, n), vals: make([]any, 0, n)}
	if n > smallMap {
		m.index = make(map[any]int, min(n, 1024))
	}
	for range n {
		key, err := r.key()
		if err != nil {
			return nil, err
		}
		val, err := r.value(unique && key == "load")
		if err != nil {
			return nil, err
		}
		at := m.find(key)
		switch {
		case at < 0:
			m.append(key, val)
		case unique:
			return nil, malformed("decode", "key %.60q twice in one map", fmt.Sprint(key))
		default:
			m.vals[at] = val
		}
	}
	return m, nil
}

// fieldNames are the keys of most maps that arrive, made into values once: without
// this, they are half of what decoding a return allocates.
var fieldNames = func() map[string]any {
	m := make(map[string]any)
	for _, name := range []string{
		"_stamp", "aes", "arg", "changes", "cmd", "comment", "data", "delimiter", "duration", "enc", "enc_algo", "fun", "fun_args",
		"id", "jid", "key", "load", "metadata", "name", "nonce", "out", "pillar", "pid", "pretag", "result", "ret", "retcode",
		"return", "saltenv", "serial", "sig", "sig_algo", "start_time", "success", "tag", "tgt", "tgt_type", "tok", "ts", "user",
		"version", "__id__", "__kwarg__", "__run_num__", "__sls__",
	} {
		m[name] = name
	}
	return m
}()

// key decodes a map's key: text whatever bytes it holds, else a scalar.
func (r *reader) key() (any, error) {
	if c, err := r.dec.PeekCode(); err == nil && msgpcode.IsFixedString(c) {
		n := int(c & msgpcode.FixedStrMask)
		if at := r.src.i + 1; n <= len(r.src.b)-at {
			if name, ok := fieldNames[string(r.src.b[at:at+n])]; ok {
				r.src.i = at + n
				return name, nil
			}
		}
	}
	v, err := r.value(false)
	if err != nil {
		return nil, err
	}
	switch k := v.(type) {
	case []byte:
		return string(k), nil
	case float64:
		if math.IsNaN(k) { // equal to nothing, so it could never be found
			return nil, malformed("decode", "key of a map is not a number")
		}
	case []any, *Map:
		return nil, malformed("decode", "key of a map is %s: a scalar expected", TypeName(v))
	}
	return v, nil
}

func (r *reader) extension() (any, error) {
	code, n, err := r.dec.DecodeExtHeader()
	if err != nil {
		return nil, err
	}
	switch code {
	case extTime:
		p, err := r.src.take(n)
		if err != nil {
			return nil, err
		}
		return parseTime(p)
	case extConstant:
		return r.value(false) // the packed content follows
	}
	return nil, malformed("decode", "extension %d: only 78 (time) and 79 (constant) are known", code)
}

// timeLayout is Salt's strftime("%Y%m%dT%H:%M:%S.%f").
const timeLayout = "20060102T15:04:05.000000"

// parseTime reads the content of extension 78. Salt's times have no zone; here
// they are UTC.
func parseTime(p []byte) (time.Time, error) {
	const digits = "00000000T00:00:00.000000"
	ok := len(p) == len(digits)
	for i := 0; ok && i < len(p); i++ {
		if digits[i] == '0' {
			ok = p[i] >= '0' && p[i] <= '9'
		} else {
			ok = p[i] == digits[i]
		}
	}
	if ok {
		if t, err := time.Parse(timeLayout, string(p)); err == nil {
			return t, nil
		}
	}
	return time.Time{}, malformed("decode", "time %.40q: expected as 20261122T06:33:44.123456", p)
}
