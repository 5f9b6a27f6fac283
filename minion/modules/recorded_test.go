package modules

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// recorded is one call as Salt 3006.18 answered it on Debian 12 with root's bash,
// through the code path of a minion's job. Process ids are written PID, and of a
// message with a docstring only the first line is kept.
type recorded struct {
	Fun     string
	Args    json.RawMessage
	Kwargs  json.RawMessage
	Return  json.RawMessage
	Retcode int
}

// TestRecorded holds results to those of the real Salt, keys in the same order.
func TestRecorded(t *testing.T) {
	if _, err := os.Stat("/bin/bash"); err != nil {
		t.Skip("/bin/bash is not installed: its messages are in the recording")
	}
	t.Setenv("SHELL", "/bin/bash")
	b, err := os.ReadFile("testdata/salt.json")
	if err != nil {
		t.Fatal(err)
	}
	var calls []recorded
	if err := json.Unmarshal(b, &calls); err != nil {
		t.Fatal(err)
	}
	grains := wire.NewMap("os", "Debian", "systemd", wire.NewMap("version", "252"),
		"osrelease_info", []any{int64(12)}, "cpuarch", "x86_64")
	call := &module.Call{
		Job:    &module.Job{Pub: wire.NewMap("fun", "", "jid", "J", "tgt", "salt-call", "pid", int64(1))},
		Grains: func() *wire.Map { return grains },
	}
	r := New()
	for _, rec := range calls {
		args, _ := fromJSON(t, rec.Args).([]any)
		kwargs, _ := fromJSON(t, rec.Kwargs).(*wire.Map)
		t.Run(rec.Fun+string(rec.Args)+string(rec.Kwargs), func(t *testing.T) {
			call.Job.Pub.Set("fun", rec.Fun)
			res := r.Run(t.Context(), call, rec.Fun, args, kwargs)
			want := pytext.Repr(fromJSON(t, rec.Return))
			if got := pytext.Repr(asRecorded(res.Return)); got != want || res.Retcode != rec.Retcode {
				t.Errorf("got  %s, retcode %d\nSalt %s, retcode %d", got, res.Retcode, want, rec.Retcode)
			}
		})
	}
}

// asRecorded writes a result as the recording does.
func asRecorded(v any) any {
	switch v := v.(type) {
	case string:
		if strings.HasPrefix(v, "Passed invalid arguments") {
			v, _, _ = strings.Cut(v, "\n")
		}
		return v
	case *wire.Map:
		out := wire.NewMap()
		for k, e := range v.All() {
			if k == "pid" {
				e = "PID"
			}
			out.SetAny(k, e)
		}
		return out
	}
	return v
}

// fromJSON reads JSON into the wire's value model, the order of keys kept.
func fromJSON(t *testing.T, b []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	v, err := jsonValue(d)
	if err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	return v
}

func jsonValue(d *json.Decoder) (any, error) {
	tok, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch tok := tok.(type) {
	case json.Number:
		if n, err := tok.Int64(); err == nil {
			return n, nil
		}
		return tok.Float64()
	case json.Delim:
		if tok == '[' {
			list := []any{}
			for d.More() {
				v, err := jsonValue(d)
				if err != nil {
					return nil, err
				}
				list = append(list, v)
			}
			_, err := d.Token()
			return list, err
		}
		m := wire.NewMap()
		for d.More() {
			k, err := d.Token()
			if err != nil {
				return nil, err
			}
			v, err := jsonValue(d)
			if err != nil {
				return nil, err
			}
			m.SetAny(k, v)
		}
		_, err := d.Token()
		return m, err
	}
	return tok, nil
}
