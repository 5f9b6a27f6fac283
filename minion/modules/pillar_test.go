package modules

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"filippo.io/age/armor"

	"github.com/gosalt/gosalt/internal/dictmerge"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/secret"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	saltNames["pillar"] = `data ext fetch file_exists filter_by get item items keys ls obfuscate raw`
}

// TestRecordedPillar holds pillar.* to Salt 3006.18 with a pillar of its own. Of an
// exception Return has the class and the text.
func TestRecordedPillar(t *testing.T) {
	b, err := os.ReadFile("testdata/pillar.json")
	if err != nil {
		t.Fatal(err)
	}
	var calls []struct {
		recorded
		Opts json.RawMessage
	}
	if err := json.Unmarshal(b, &calls); err != nil {
		t.Fatal(err)
	}
	data := fromJSON(t, json.RawMessage(`{"role":"web","roles":["db","web"],"app":{"port":80,"names":["a","b"],"deep":{"x":1}},"n":5,"none":null,`+
		`"false":false,"list":[{"k":"v"},[1,2]],"a:b":"colon","empty":{}}`)).(*wire.Map)
	roots := t.TempDir()
	if err := os.WriteFile(filepath.Join(roots, "p.sls"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	reg := New()
	for _, rec := range calls {
		opts := wire.NewMap("pillar_roots", wire.NewMap("base", []any{roots}))
		if rec.Opts != nil {
			for k, v := range fromJSON(t, rec.Opts).(*wire.Map).All() {
				opts.SetAny(k, v)
			}
		}
		call := &module.Call{Opts: opts, Pillar: func() *wire.Map { return data },
			CompilePillar: func(_ context.Context, q module.PillarQuery) (*wire.Map, error) {
				v, err := dictmerge.Merge(data, orEmpty(q.Override), dictmerge.Options{})
				return v.(*wire.Map), err
			}}
		args, _ := fromJSON(t, rec.Args).([]any)
		kwargs, _ := fromJSON(t, rec.Kwargs).(*wire.Map)
		res := reg.Run(t.Context(), call, rec.Fun, args, kwargs)
		got, want := pytext.Repr(res.Return), pytext.Repr(fromJSON(t, rec.Return))
		if rec.Retcode != 0 {
			text, _ := fromJSON(t, rec.Return).(string)
			_, want, _ = strings.Cut(text, ": ")
			want = strings.Trim(want, "'")
			if text, _ := res.Return.(string); res.Err == nil || !strings.Contains(text, want) {
				t.Errorf("%s%s%s: got %s\nSalt %s", rec.Fun, rec.Args, rec.Kwargs, got, want)
			}
			continue
		}
		if got != want {
			t.Errorf("%s%s%s %s\ngot  %s\nSalt %s", rec.Fun, rec.Args, rec.Kwargs, rec.Opts, got, want)
		}
	}
}

func orEmpty(m *wire.Map) *wire.Map {
	if m == nil {
		return wire.NewMap()
	}
	return m
}

// What is decrypted here, of pillar=, is known as secret like what the master decrypts.
func TestPillarEncHides(t *testing.T) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(t.TempDir(), "age.key")
	if err := os.WriteFile(key, []byte(id.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	var block strings.Builder
	a := armor.NewWriter(&block)
	w, err := age.Encrypt(a, id.Recipient())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, "db: {password: correct-horse}"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Close(), a.Close()); err != nil {
		t.Fatal(err)
	}
	hidden := secret.New()
	call := &module.Call{Opts: wire.NewMap("age_identity_file", key, "decrypt_pillar_renderers", []any{"age"}), Pillar: func() *wire.Map { return wire.NewMap() }, Hide: hidden.Add,
		CompilePillar: func(_ context.Context, q module.PillarQuery) (*wire.Map, error) { return q.Override, nil }}
	res := New().Run(t.Context(), call, "pillar.items", nil, wire.NewMap("pillar", block.String(), "pillar_enc", "age"))
	if got := pytext.Repr(res.Return); got != "{'db': {'password': 'correct-horse'}}" || hidden.Text("x correct-horse y") != "x "+secret.Mask+" y" {
		t.Errorf("%s %v; hidden: %q", got, res.Err, hidden.Texts())
	}
}
