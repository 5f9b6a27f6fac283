// Package pytest reads the values that tests keep together with what Python made
// of them: JSON cannot hold bytes, keys that are not text, or every number.
package pytest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/gosalt/gosalt/protocol/wire"
)

// Value is one value in its recorded form: a string stands for itself, all else is
// a list that begins with a letter: ["n"] None, ["t", true], ["i", "12"],
// ["f", "1.5"], ["b", base64], ["d", time], ["l", items...], ["m", [key, value]...].
type Value struct{ V any }

// UnmarshalJSON reads the recorded form.
func (v *Value) UnmarshalJSON(data []byte) error {
	var s string
	if json.Unmarshal(data, &s) == nil {
		v.V = s
		return nil
	}
	var parts []json.RawMessage
	if err := json.Unmarshal(data, &parts); err != nil || len(parts) == 0 {
		return fmt.Errorf("a recorded value is text or a list, not %s", data)
	}
	var kind, text string
	if err := json.Unmarshal(parts[0], &kind); err != nil {
		return err
	}
	if len(parts) > 1 {
		_ = json.Unmarshal(parts[1], &text) // text for the kinds that need it
	}
	var err error
	switch kind {
	case "n":
		v.V = nil
	case "t":
		var b bool
		err = json.Unmarshal(parts[1], &b)
		v.V = b
	case "i":
		v.V = integer(text)
	case "f":
		v.V, err = strconv.ParseFloat(text, 64)
	case "b":
		v.V, err = base64.StdEncoding.DecodeString(text)
	case "d":
		v.V, err = time.Parse("2006-01-02T15:04:05.999999", text)
	case "l":
		list := make([]any, len(parts)-1)
		for i, p := range parts[1:] {
			var e Value
			if err := e.UnmarshalJSON(p); err != nil {
				return err
			}
			list[i] = e.V
		}
		v.V = list
	case "m":
		m := wire.NewMap()
		for _, p := range parts[1:] {
			var kv [2]Value
			if err := json.Unmarshal(p, &kv); err != nil {
				return err
			}
			m.SetAny(kv[0].V, kv[1].V)
		}
		v.V = m
	default:
		return fmt.Errorf("no recorded value is of kind %q", kind)
	}
	return err
}

// integer reads a whole number; one that fits no 64 bits is its digits as text, as
// on the wire.
func integer(s string) any {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n
	}
	if n, err := strconv.ParseUint(s, 10, 64); err == nil {
		return n
	}
	return s
}
