package modules

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/yamlarg"
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
	grains := wire.NewMap("os", "Debian", "systemd", wire.NewMap("version", "252"),
		"osrelease_info", []any{int64(12)}, "cpuarch", "x86_64")
	call := &module.Call{
		Job:    &module.Job{Pub: wire.NewMap("fun", "", "jid", "J", "tgt", "salt-call", "pid", int64(1))},
		Grains: func() *wire.Map { return grains },
	}
	runRecorded(t, "testdata/salt.json", false, func() *module.Call { return call })
}

// TestRecordedGrains is one sequence of calls that change the static grains.
func TestRecordedGrains(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "grains")
	if err := os.WriteFile(file, []byte("roles: [a, b]\nnest: {x: {y: 1, l: [1]}}\nfruit: apple\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	runRecorded(t, "testdata/grains.json", true, func() *module.Call {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		v, err := yamlarg.Load(string(text))
		if err != nil {
			t.Fatalf("the file of grains is no YAML: %v\n%s", err, text)
		}
		grains := v.(*wire.Map)
		grains.Set("os_family", "Debian")
		return &module.Call{
			Opts:   wire.NewMap("conf_file", filepath.Join(dir, "minion")),
			Grains: func() *wire.Map { return grains },
			Job:    &module.Job{Pub: wire.NewMap()},
		}
	})
}

// runRecorded makes the calls of a recording in their order. anyOrder is for values
// that were read back from a file, in which keys are sorted.
func runRecorded(t *testing.T, file string, anyOrder bool, newCall func() *module.Call) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var calls []recorded
	if err := json.Unmarshal(b, &calls); err != nil {
		t.Fatal(err)
	}
	r := New()
	for _, rec := range calls {
		call := newCall()
		args, _ := fromJSON(t, rec.Args).([]any)
		kwargs, _ := fromJSON(t, rec.Kwargs).(*wire.Map)
		t.Run(rec.Fun+string(rec.Args)+string(rec.Kwargs), func(t *testing.T) {
			call.Job.Pub.Set("fun", rec.Fun)
			res := r.Run(t.Context(), call, rec.Fun, args, kwargs)
			got, want := asRecorded(res.Return), fromJSON(t, rec.Return)
			same := pytext.Repr(got) == pytext.Repr(want)
			if anyOrder {
				same = pytext.Equal(got, want)
			}
			if !same || res.Retcode != rec.Retcode {
				t.Errorf("got  %s, retcode %d\nSalt %s, retcode %d", pytext.Repr(got), res.Retcode, pytext.Repr(want), rec.Retcode)
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
