package serial

import (
	"errors"
	"fmt"
	"strings"

	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// dumpKeyValue writes a line for each key and its value, as files of environment variables
// have them. Its options are separator, line_ending and quoting.
func dumpKeyValue(v any, opts *wire.Map) (string, error) {
	sep, end := option(opts, "separator", "="), option(opts, "line_ending", "\n")
	quoting, _ := opts.Get("quoting")
	var lines []string
	add := func(k, v any) error {
		text := pytext.Str(v)
		if module.Truth(quoting) {
			s, ok := v.(string)
			if !ok {
				return errors.New("expected string or bytes-like object, got '" + pytext.TypeName(v) + "'")
			}
			text = host.Quote(s)
		}
		lines = append(lines, pytext.Str(k)+sep+text)
		return nil
	}
	switch v := v.(type) {
	case *wire.Map:
		for k, e := range v.All() {
			if err := add(k, e); err != nil {
				return "", err
			}
		}
	case []any:
		for _, e := range v {
			pair, err := pairOf(e)
			if err != nil {
				return "", err
			}
			if err := add(pair[0], pair[1]); err != nil {
				return "", err
			}
		}
	default:
		//lint:ignore ST1005 these are the words of Salt
		return "", errors.New("Input validation failed. Iterable required.")
	}
	return strings.Join(lines, end), nil
}

// pairOf takes a list, the characters of a text or the keys of a map for a key and a value,
// as Python does.
func pairOf(v any) ([]any, error) {
	var pair []any
	switch v := v.(type) {
	case []any:
		pair = v
	case string:
		for _, r := range v {
			pair = append(pair, string(r))
		}
	case *wire.Map:
		for k := range v.All() {
			pair = append(pair, k)
		}
	default:
		return nil, fmt.Errorf("cannot unpack non-iterable %s object", pytext.TypeName(v))
	}
	switch {
	case len(pair) < 2:
		return nil, fmt.Errorf("not enough values to unpack (expected 2, got %d)", len(pair))
	case len(pair) > 2:
		return nil, errors.New("too many values to unpack (expected 2)")
	}
	return pair, nil
}

// loadKeyValue reads such lines. With quoting: False quotes around values are taken off.
func loadKeyValue(s string, opts *wire.Map) (any, error) {
	sep := option(opts, "separator", "=")
	m := wire.NewMap()
	for _, line := range pytext.SplitLines(s, false) {
		key, val, ok := strings.Cut(line, sep)
		if !ok || sep == "" {
			return nil, errors.New("not enough values to unpack (expected 2, got 1)")
		}
		if q, ok := opts.Get("quoting"); ok && q == false && len(val) > 1 && (val[0] == '\'' || val[0] == '"') && val[len(val)-1] == val[0] {
			val = val[1 : len(val)-1]
		}
		m.Set(key, val)
	}
	return m, nil
}

// option is a text among options.
func option(opts *wire.Map, key, otherwise string) string {
	if v, ok := opts.Get(key); ok {
		return pytext.Str(v)
	}
	return otherwise
}
