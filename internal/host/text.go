package host

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/unicode"
)

// Text decodes what a program printed. The encoding is named as in Python
// ("utf-8", "latin-1", "cp850", "utf-16"); "" is UTF-8. What cannot be decoded
// becomes U+FFFD, one for each sequence that Python would replace; ok is false then.
func Text(b []byte, enc string) (s string, ok bool, err error) {
	name := strings.NewReplacer("_", "-", " ", "-").Replace(strings.ToLower(strings.TrimSpace(enc)))
	switch name {
	case "", "utf-8", "utf8", "u8", "utf":
		s, ok := utf8Text(b)
		return s, ok, nil
	case "ascii", "us-ascii", "646":
		s := asciiText(b)
		return s, len(s) == len(b), nil
	}
	e := named(name)
	if e == nil {
		return "", false, fmt.Errorf("unknown encoding: %s", enc)
	}
	out, err := e.NewDecoder().Bytes(b)
	if err != nil {
		return "", false, fmt.Errorf("decode as %s: %w", enc, err)
	}
	return string(out), !strings.ContainsRune(string(out), utf8.RuneError), nil
}

// pythonNames are encodings whose names in Python are not labels of the web.
var pythonNames = map[string]encoding.Encoding{
	"latin-1": charmap.ISO8859_1, "latin1": charmap.ISO8859_1, "l1": charmap.ISO8859_1,
	"iso-8859-1": charmap.ISO8859_1, "iso8859-1": charmap.ISO8859_1,
	"cp037": charmap.CodePage037, "cp437": charmap.CodePage437, "cp850": charmap.CodePage850,
	"cp852": charmap.CodePage852, "cp855": charmap.CodePage855, "cp858": charmap.CodePage858,
	"cp860": charmap.CodePage860, "cp862": charmap.CodePage862, "cp863": charmap.CodePage863,
	"cp865": charmap.CodePage865, "cp866": charmap.CodePage866, "cp1047": charmap.CodePage1047,
	"cp1140":    charmap.CodePage1140,
	"utf-16":    unicode.UTF16(unicode.LittleEndian, unicode.UseBOM),
	"utf-16-le": unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM),
	"utf-16-be": unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM),
	"utf-8-sig": unicode.UTF8BOM,
}

func named(name string) encoding.Encoding {
	if e := pythonNames[name]; e != nil {
		return e
	}
	if e, err := htmlindex.Get(name); err == nil {
		return e
	}
	e, err := htmlindex.Get(strings.ReplaceAll(name, "-", ""))
	if err != nil {
		return nil
	}
	return e
}

// utf8Text replaces each maximal part of an ill-formed sequence by one U+FFFD
// (Unicode, section 3.9, as Python does).
func utf8Text(b []byte) (string, bool) {
	if utf8.Valid(b) {
		return string(b), true
	}
	var out strings.Builder
	out.Grow(len(b) + 8)
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		if r == utf8.RuneError && size == 1 {
			size = malformed(b)
		}
		out.WriteRune(r)
		b = b[size:]
	}
	return out.String(), false
}

func asciiText(b []byte) string {
	var out strings.Builder
	for _, c := range b {
		if c < utf8.RuneSelf {
			out.WriteByte(c)
		} else {
			out.WriteRune(utf8.RuneError)
		}
	}
	return out.String()
}

// malformed is the length of the ill-formed sequence at the start of b: a lead byte
// with those of its continuations that are allowed after it.
func malformed(b []byte) int {
	low, high, want := byte(0x80), byte(0xbf), 0
	switch c := b[0]; {
	case c >= 0xc2 && c <= 0xdf:
		want = 1
	case c >= 0xe0 && c <= 0xef:
		want = 2
		if c == 0xe0 {
			low = 0xa0
		} else if c == 0xed {
			high = 0x9f
		}
	case c >= 0xf0 && c <= 0xf4:
		want = 3
		if c == 0xf0 {
			low = 0x90
		} else if c == 0xf4 {
			high = 0x8f
		}
	}
	n := 1
	for n <= want && n < len(b) && b[n] >= low && b[n] <= high {
		low, high = 0x80, 0xbf
		n++
	}
	return min(n, max(want, 1))
}
