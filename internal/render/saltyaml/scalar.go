package saltyaml

import (
	"errors"
	"strings"

	"github.com/gosalt/gosalt/internal/render/saltyaml/syntax"
	"github.com/gosalt/gosalt/internal/yaml11"
)

// fails is an error that Python's own functions raise for a scalar, with their words.
func fails(n *syntax.Node, class, problem string) *Error {
	return &Error{Class: class, Problem: problem, At: n.Start}
}

// typed makes the value of a scalar by a reader of package yaml11.
func typed(read func(s string) (any, error)) func(n *syntax.Node, s string) (any, error) {
	return func(n *syntax.Node, s string) (any, error) {
		v, err := read(s)
		var e *yaml11.Error
		if errors.As(err, &e) {
			return nil, fails(n, e.Class, e.Problem)
		}
		return v, err
	}
}

// binary decodes base64 as binascii does: what is no letter of it is passed over, and
// padding that ends a group ends the text.
func binary(n *syntax.Node, s string) (any, error) {
	for i, r := range []rune(s) {
		if r < 0x80 {
			continue
		}
		form := `\x%02x`
		if r > 0xffff {
			form = `\U%08x`
		} else if r > 0xff {
			form = `\u%04x`
		}
		last := i
		for runes := []rune(s); last+1 < len(runes) && runes[last+1] >= 0x80; {
			last++
		}
		if last > i {
			return nil, bad(n, "failed to convert base64 data into ascii: 'ascii' codec can't encode characters in position %d-%d: ordinal not in range(128)", i, last)
		}
		return nil, bad(n, "failed to convert base64 data into ascii: 'ascii' codec can't encode character '"+form+"' in position %d: ordinal not in range(128)", r, i)
	}
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	out := []byte{}
	var held byte // bits of the last letter that make no byte yet
	at, pads := 0, 0
	for i := range len(s) {
		if s[i] == '=' {
			if pads++; at >= 2 && at+pads >= 4 {
				return out, nil
			}
			continue
		}
		v := strings.IndexByte(letters, s[i])
		if v < 0 {
			continue
		}
		pads = 0
		d := byte(v)
		switch at {
		case 1:
			out = append(out, held<<2|d>>4)
			d &= 0xf
		case 2:
			out = append(out, held<<4|d>>2)
			d &= 3
		case 3:
			out = append(out, held<<6|d)
		}
		held = d
		at = (at + 1) % 4
	}
	switch at {
	case 0:
		return out, nil
	case 1:
		return nil, bad(n, "failed to decode base64 data: Invalid base64-encoded string: number of data characters (%d) cannot be 1 more than a multiple of 4", len(out)/3*4+1)
	}
	return nil, bad(n, "failed to decode base64 data: Incorrect padding")
}
