package render

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// A frame is the length of a JSON text in a line of its own, and the text. What JSON does
// not have is an object of one entry: see pyhelper.py.

const (
	maxFrame = 64 << 20
	maxNest  = 500 // lists and maps inside one another
)

var errNested = fmt.Errorf("lists and dicts are nested more than %d deep", maxNest)

// readFrame reads one message of the helper.
func readFrame(in *bufio.Reader) ([]any, error) {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(string(line[:len(line)-1]))
	if err != nil || n < 0 || n > maxFrame {
		return nil, fmt.Errorf("a message of %.20q bytes: at most %d are taken", line[:len(line)-1], maxFrame)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(in, b); err != nil {
		return nil, err
	}
	return parseFrame(string(b))
}

func parseFrame(text string) ([]any, error) {
	v, err := pytext.ParseJSON(text)
	if err != nil {
		return nil, fmt.Errorf("a message is no JSON: %w", err)
	}
	if v, err = untag(v, 0); err != nil {
		return nil, err
	}
	m, ok := v.([]any)
	if !ok {
		return nil, errors.New("a message is no list")
	}
	return m, nil
}

// appendFrame writes a value as the helper reads it.
func appendFrame(b []byte, v any, depth int) ([]byte, error) {
	if depth > maxNest {
		return nil, errNested
	}
	var err error
	switch x := v.(type) {
	case nil:
		return append(b, "null"...), nil
	case bool:
		return strconv.AppendBool(b, x), nil
	case int64:
		return strconv.AppendInt(b, x, 10), nil
	case uint64:
		return strconv.AppendUint(b, x, 10), nil
	case *big.Int:
		return x.Append(b, 10), nil
	case float64:
		return append(append(append(b, `{"f":"`...), pytext.Float(x)...), `"}`...), nil
	case string:
		if !utf8.ValidString(x) {
			return appendFrame(b, []byte(x), depth)
		}
		return appendQuoted(b, x), nil
	case []byte:
		return append(append(append(b, `{"b":"`...), base64.StdEncoding.EncodeToString(x)...), `"}`...), nil
	case time.Time:
		return appendFrame(b, x.Format(time.RFC3339Nano), depth)
	case []any:
		b = append(b, '[')
		for i, e := range x {
			if i > 0 {
				b = append(b, ',')
			}
			if b, err = appendFrame(b, e, depth+1); err != nil {
				return nil, err
			}
		}
		return append(b, ']'), nil
	case *wire.Map:
		b = append(b, `{"d":[`...)
		first := true
		for k, e := range x.All() {
			if !first {
				b = append(b, ',')
			}
			first = false
			if b, err = appendFrame(b, k, depth+1); err != nil {
				return nil, err
			}
			if b, err = appendFrame(append(b, ','), e, depth+1); err != nil {
				return nil, err
			}
		}
		return append(b, "]}"...), nil
	}
	return nil, fmt.Errorf("a value of type %s cannot be handed to python3", wire.TypeName(v))
}

// appendQuoted writes text as a string of JSON.
func appendQuoted(b []byte, s string) []byte {
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < 0x20:
			b = append(b, fmt.Sprintf(`\u%04x`, c)...)
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// untag makes the values that the objects of a message stand for.
func untag(v any, depth int) (any, error) {
	if depth > maxNest {
		return nil, errNested
	}
	var err error
	switch x := v.(type) {
	case *big.Int: // beyond 64 bits: the text of its digits, as everywhere in our data
		return x.String(), nil
	case []any:
		for i := range x {
			if x[i], err = untag(x[i], depth+1); err != nil {
				return nil, err
			}
		}
	case *wire.Map:
		if f, ok := x.Get("f"); ok {
			text, _ := f.(string)
			return strconv.ParseFloat(text, 64)
		}
		if s, ok := x.Get("b"); ok {
			text, _ := s.(string)
			return base64.StdEncoding.DecodeString(text)
		}
		flat := x.List("d")
		m := wire.NewMap()
		for i := 0; i+1 < len(flat); i += 2 {
			k, err := untag(flat[i], depth+1)
			if err != nil {
				return nil, err
			}
			switch t := k.(type) {
			case []any, *wire.Map: // a tuple: our data has no such keys
				k = pytext.Str(k)
			case []byte:
				k = string(t)
			}
			e, err := untag(flat[i+1], depth+1)
			if err != nil {
				return nil, err
			}
			m.SetAny(k, e)
		}
		return m, nil
	}
	return v, nil
}
