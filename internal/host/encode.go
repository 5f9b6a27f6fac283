package host

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
)

// Encode writes a text in an encoding that is named as in Python; "" is UTF-8. What the
// encoding has not is an error in Python's words, unless errs says otherwise: ignore,
// replace, backslashreplace, xmlcharrefreplace.
func Encode(s, enc, errs string) ([]byte, error) {
	name := strings.NewReplacer("_", "-", " ", "-").Replace(strings.ToLower(strings.TrimSpace(enc)))
	var one func(r rune) ([]byte, bool)
	codec, why := "charmap", "character maps to <undefined>"
	switch name {
	case "", "utf-8", "utf8", "u8", "utf":
		return []byte(s), nil
	case "ascii", "us-ascii", "646":
		codec, why = "ascii", "ordinal not in range(128)"
		one = func(r rune) ([]byte, bool) { return []byte{byte(r)}, r < utf8.RuneSelf }
	case "latin-1", "latin1", "l1", "iso-8859-1", "iso8859-1", "8859", "cp819":
		codec, why = "latin-1", "ordinal not in range(256)"
		one = func(r rune) ([]byte, bool) { return []byte{byte(r)}, r < 256 }
	default:
		e := named(name)
		if e == nil {
			return nil, fmt.Errorf("unknown encoding: %s", enc)
		}
		if b, err := e.NewEncoder().Bytes([]byte(s)); err == nil {
			return b, nil
		}
		one = oneBy(e)
	}
	out := make([]byte, 0, len(s))
	n := 0
	for _, r := range s {
		b, ok := one(r)
		if !ok {
			var err error
			if b, err = unencoded(r, errs); err != nil {
				return nil, err
			}
			if b == nil && errs != "ignore" {
				return nil, fmt.Errorf("'%s' codec can't encode character '%s' in position %d: %s", codec, escaped(r), n, why)
			}
		}
		out = append(out, b...)
		n++
	}
	return out, nil
}

// oneBy encodes a single character.
func oneBy(e encoding.Encoding) func(r rune) ([]byte, bool) {
	return func(r rune) ([]byte, bool) {
		b, err := e.NewEncoder().Bytes([]byte(string(r)))
		return b, err == nil
	}
}

// unencoded is what stands for a character that the encoding has not; nil for nothing.
func unencoded(r rune, errs string) ([]byte, error) {
	switch errs {
	case "", "strict", "ignore":
		return nil, nil
	case "replace":
		return []byte("?"), nil
	case "backslashreplace":
		return []byte(escaped(r)), nil
	case "xmlcharrefreplace":
		return fmt.Appendf(nil, "&#%d;", r), nil
	}
	return nil, fmt.Errorf("unknown error handler name '%s'", errs)
}

func escaped(r rune) string {
	switch {
	case r < 0x100:
		return fmt.Sprintf(`\x%02x`, r)
	case r < 0x10000:
		return fmt.Sprintf(`\u%04x`, r)
	}
	return fmt.Sprintf(`\U%08x`, r)
}
