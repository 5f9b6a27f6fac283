package wire

import (
	"encoding/binary"

	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// Extension codes of Salt's MsgPack dialects.
const (
	extTime     = 78 // Time without zone, ASCII "20261122T06:33:44.123456".
	extConstant = 79 // A packed [name, value].
)

// Scan checks that b is exactly one well-formed message within the limits, before
// anything is allocated for it: five bytes may claim four thousand million
// elements, and two million of them may nest. Errors are *Error of kind Malformed.
func Scan(b []byte, lim Limits) error {
	lim = lim.orSafe()
	if len(b) == 0 {
		return malformed("decode", "message is empty: a packed value expected")
	}
	if len(b) > lim.Bytes {
		return malformed("decode", "message of %d bytes: at most %d are allowed here", len(b), lim.Bytes)
	}
	s := scanner{b: b, lim: lim}
	if err := s.value(); err != nil {
		return err
	}
	if s.i < len(b) {
		return malformed("decode", "%d bytes follow the message, which ends at byte %d", len(b)-s.i, s.i)
	}
	return nil
}

// maxScanDepth bounds Limits.Depth: the scanner's own stack has a fixed size.
const maxScanDepth = 512

// scanner walks over a message with a stack of its own, so that nesting costs no
// goroutine stack.
type scanner struct {
	b        []byte
	i        int
	elements int
	lim      Limits
}

// level is one open map or list.
type level struct {
	left  int  // values still to come, keys counted too
	keys  bool // a map: values alternate with keys
	until int  // where not 0, the byte at which an extension ends
}

// value scans one value with all that is in it.
func (s *scanner) value() error {
	var first [64]level
	stack := first[:0]
	for {
		isKey := false
		if n := len(stack); n > 0 {
			isKey = stack[n-1].keys && stack[n-1].left%2 == 0
		}
		open, err := s.head(isKey)
		if err != nil {
			return err
		}
		if n := len(stack); n > 0 {
			stack[n-1].left--
		}
		if open.left > 0 || open.until > 0 {
			stack = append(stack, open)
			if len(stack) > min(s.lim.Depth, maxScanDepth) {
				return malformed("decode", "maps and lists nest deeper than %d at byte %d", min(s.lim.Depth, maxScanDepth), s.i)
			}
		}
		for n := len(stack); n > 0 && stack[n-1].left == 0; n = len(stack) {
			if end := stack[n-1].until; end > 0 && end != s.i {
				return malformed("decode", "extension ends at byte %d, its content at byte %d", end, s.i)
			}
			stack = stack[:n-1]
		}
		if len(stack) == 0 {
			return nil
		}
	}
}

// head scans a header and, of scalars, the content. For maps, lists and
// extensions that hold values it returns what is to come.
func (s *scanner) head(isKey bool) (level, error) {
	if s.i >= len(s.b) {
		return level{}, malformed("decode", "message ends at byte %d where a value is expected", s.i)
	}
	if s.elements++; s.elements > s.lim.Elements {
		return level{}, malformed("decode", "message has more than %d elements", s.lim.Elements)
	}
	at, c := s.i, s.b[s.i]
	s.i++
	switch {
	case msgpcode.IsFixedNum(c):
		return level{}, nil
	case msgpcode.IsFixedString(c):
		return level{}, s.skip(at, int(c&msgpcode.FixedStrMask))
	case msgpcode.IsFixedArray(c):
		return s.open(at, int(c&msgpcode.FixedArrayMask), false, isKey)
	case msgpcode.IsFixedMap(c):
		return s.open(at, int(c&msgpcode.FixedMapMask), true, isKey)
	}
	switch c {
	case msgpcode.Nil, msgpcode.False, msgpcode.True:
		return level{}, nil
	case msgpcode.Uint8, msgpcode.Int8:
		return level{}, s.skip(at, 1)
	case msgpcode.Uint16, msgpcode.Int16:
		return level{}, s.skip(at, 2)
	case msgpcode.Uint32, msgpcode.Int32, msgpcode.Float:
		return level{}, s.skip(at, 4)
	case msgpcode.Uint64, msgpcode.Int64, msgpcode.Double:
		return level{}, s.skip(at, 8)
	case msgpcode.Str8, msgpcode.Bin8:
		return level{}, s.sized(at, 1)
	case msgpcode.Str16, msgpcode.Bin16:
		return level{}, s.sized(at, 2)
	case msgpcode.Str32, msgpcode.Bin32:
		return level{}, s.sized(at, 4)
	case msgpcode.Array16, msgpcode.Map16, msgpcode.Array32, msgpcode.Map32:
		width := 2
		if c == msgpcode.Array32 || c == msgpcode.Map32 {
			width = 4
		}
		n, err := s.length(at, width)
		if err != nil {
			return level{}, err
		}
		return s.open(at, n, c == msgpcode.Map16 || c == msgpcode.Map32, isKey)
	case msgpcode.FixExt1, msgpcode.FixExt2, msgpcode.FixExt4, msgpcode.FixExt8, msgpcode.FixExt16:
		return s.ext(at, 1<<(c-msgpcode.FixExt1), isKey)
	case msgpcode.Ext8, msgpcode.Ext16, msgpcode.Ext32:
		n, err := s.length(at, 1<<(c-msgpcode.Ext8))
		if err != nil {
			return level{}, err
		}
		return s.ext(at, n, isKey)
	}
	return level{}, malformed("decode", "byte %d is 0x%02x, which begins no value", at, c)
}

// open begins a map or list of n entries.
func (s *scanner) open(at, n int, isMap, isKey bool) (level, error) {
	if isKey {
		return level{}, malformed("decode", "map or list as a key at byte %d: a scalar expected", at)
	}
	if isMap {
		n *= 2
	}
	if n > len(s.b)-s.i {
		return level{}, malformed("decode", "byte %d announces %d values, only %d bytes are left", at, n, len(s.b)-s.i)
	}
	if n > s.lim.Elements-s.elements {
		return level{}, malformed("decode", "message has more than %d elements", s.lim.Elements)
	}
	return level{left: n, keys: isMap}, nil
}

// ext scans the code of an extension and, of a time, the content.
func (s *scanner) ext(at, n int, isKey bool) (level, error) {
	if s.i >= len(s.b) {
		return level{}, malformed("decode", "message ends within the extension at byte %d", at)
	}
	code := int8(s.b[s.i])
	s.i++
	if n > len(s.b)-s.i {
		return level{}, s.skip(at, n)
	}
	switch code {
	case extTime:
		if _, err := parseTime(s.b[s.i : s.i+n]); err != nil {
			return level{}, err
		}
		s.i += n
		return level{}, nil
	case extConstant:
		if n == 0 || isKey {
			return level{}, malformed("decode", "extension 79 at byte %d: a packed [name, value] expected, and not as a key", at)
		}
		return level{left: 1, until: s.i + n}, nil
	}
	return level{}, malformed("decode", "extension %d at byte %d: only 78 (time) and 79 (constant) are known", code, at)
}

// length reads a big-endian length of width bytes.
func (s *scanner) length(at, width int) (int, error) {
	if width > len(s.b)-s.i {
		return 0, malformed("decode", "message ends within the length at byte %d", at)
	}
	p := s.b[s.i:]
	s.i += width
	switch width {
	case 1:
		return int(p[0]), nil
	case 2:
		return int(binary.BigEndian.Uint16(p)), nil
	}
	n := binary.BigEndian.Uint32(p)
	if n >= 1<<30 { // twice it must fit an int of 32 bits
		return 0, malformed("decode", "byte %d announces %d bytes or values, only %d bytes are left", at, n, len(s.b)-s.i)
	}
	return int(n), nil
}

func (s *scanner) sized(at, width int) error {
	n, err := s.length(at, width)
	if err != nil {
		return err
	}
	return s.skip(at, n)
}

func (s *scanner) skip(at, n int) error {
	if n > len(s.b)-s.i {
		return malformed("decode", "byte %d announces %d bytes, only %d are left", at, n, len(s.b)-s.i)
	}
	s.i += n
	return nil
}
