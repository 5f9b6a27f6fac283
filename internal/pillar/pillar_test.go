package pillar

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"filippo.io/age"
	"filippo.io/age/armor"

	"github.com/gosalt/gosalt/internal/decrypt"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/secret"
	"github.com/gosalt/gosalt/protocol/wire"
)

// keys is an identity of age, and a Decrypter that has it.
func keys(t *testing.T) (*age.X25519Identity, *decrypt.Decrypter) {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "age.key")
	if err := os.WriteFile(file, []byte(id.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return id, decrypt.New(decrypt.Options{AgeFiles: []string{file}})
}

// sealed encrypts a text, each line indented for a block scalar of YAML.
func sealed(t *testing.T, id *age.X25519Identity, text, indent string) string {
	t.Helper()
	var out bytes.Buffer
	a := armor.NewWriter(&out)
	w, err := age.Encrypt(a, id.Recipient())
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, text)
	if err := errors.Join(w.Close(), a.Close()); err != nil {
		t.Fatal(err)
	}
	return indent + strings.ReplaceAll(strings.TrimSpace(out.String()), "\n", "\n"+indent) + "\n"
}

type outcome struct {
	*Result
	log string
}

func compile(t *testing.T, files map[string]string, change func(*Config, *Request)) outcome {
	t.Helper()
	_, roots := tree(t, files, nil)
	var log bytes.Buffer
	cfg := Config{Opts: options(nil), Tree: roots, Ext: Sources(), Log: slog.New(slog.NewTextHandler(&log, nil))}
	req := &Request{ID: "web1", Grains: wire.NewMap("os", "Debian"), Trace: true}
	if change != nil {
		change(&cfg, req)
	}
	res, err := New(cfg).Compile(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return outcome{res, log.String()}
}

const top = "base:\n  '*':\n    - a\n"

func TestEncrypted(t *testing.T) {
	id, dec := keys(t)
	use := func(c *Config, _ *Request) { c.Decrypt = dec }
	for _, c := range []struct {
		name, file, want string
	}{
		{"value", "#!jinja|yaml|age\ndb:\n  user: app\n  password: |\n" + sealed(t, id, "hunter2\n", "    "), "{'db': {'user': 'app', 'password': 'hunter2'}}"},
		{"within text", "#!yaml|age\nurl: |\n  pg://app:\n" + sealed(t, id, "hunter2", "  "), "{'url': 'pg://app:\\nhunter2'}"},
		{"whole file", "#!age|jinja|yaml\n" + sealed(t, id, "db:\n  password: hunter2\n  pin: 1\n  n: 12345678\n", ""), "{'db': {'password': 'hunter2', 'pin': 1, 'n': 12345678}}"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := compile(t, map[string]string{"base/top.sls": top, "base/a.sls": c.file}, use)
			if got := pytext.Repr(o.Pillar); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if got := pytext.Repr(o.Secrets.Value(o.Pillar)); strings.Contains(got, "hunter2") || strings.Contains(got, "12345678") {
				t.Errorf("masked it is %s", got)
			}
		})
	}
}

// Errors and logs of files that were encrypted as a whole must not show what is in them.
func TestErrorsHideSecrets(t *testing.T) {
	id, dec := keys(t)
	for _, safe := range []bool{true, false} {
		o := compile(t, map[string]string{"base/top.sls": top,
			"base/a.sls": "#!age|jinja|yaml\n" + sealed(t, id, "password: hunter2-is-long\nx: {{ nope.x }}\n", "")},
			func(c *Config, _ *Request) { c.Decrypt = dec; c.Opts.Set("pillar_safe_render_error", safe) })
		text := pytext.Repr(o.Pillar)
		if len(o.Errors) != 1 || !strings.Contains(o.log, "nope") {
			t.Errorf("errors %q, log %s", o.Errors, o.log)
		}
		if strings.Contains(text, "hunter2") || strings.Contains(o.log, "hunter2") {
			t.Errorf("safe %v: the secret shows: %s\n%s", safe, text, o.log)
		}
	}
}

func TestKeyMissing(t *testing.T) {
	id, _ := keys(t)
	_, other := keys(t)
	o := compile(t, map[string]string{"base/top.sls": "base:\n  '*':\n    - db\n",
		"base/db.sls": "#!yaml|age\nx: 1\ndb:\n  list:\n    - password: |\n" + sealed(t, id, "x", "        ")},
		func(c *Config, _ *Request) { c.Decrypt = other })
	if len(o.Errors) != 2 || o.Errors[0] != "Rendering SLS 'db' failed. Please see master log for details." ||
		!strings.Contains(o.Errors[1], "base/db.sls, line 5: Could not decrypt db:list:0:password (age): none of the identities") {
		t.Errorf("errors: %q", o.Errors)
	}
	if !strings.Contains(o.log, "line=5") || !strings.Contains(o.log, "none of the identities") {
		t.Errorf("log: %s", o.log)
	}
}

func TestDecryptPillar(t *testing.T) {
	id, dec := keys(t)
	block := strings.TrimSpace(sealed(t, id, "hunter2", ""))
	files := map[string]string{"base/top.sls": top, "base/a.sls": "a: {{ opts.block|yaml_encode }}\nm: {l: [{{ opts.block|yaml_encode }}, x]}\nother: {{ opts.block|yaml_encode }}\n"}
	o := compile(t, files, func(c *Config, _ *Request) {
		c.Decrypt = dec
		c.Opts.Set("block", block)
		c.Opts.Set("decrypt_pillar", []any{wire.NewMap("a", "age"), "m:l", "none"})
		c.Opts.Set("decrypt_pillar_default", "age")
		c.Opts.Set("decrypt_pillar_renderers", []any{"gpg", "age"})
	})
	want := "{'a': 'hunter2', 'm': {'l': ['hunter2', 'x']}, 'other': " + pytext.Repr(block) + "}"
	if got := pytext.Repr(o.Pillar); got != want || len(o.Errors) != 0 {
		t.Errorf("got  %s %q\nwant %s", got, o.Errors, want)
	}
	if o.Secrets.Text("hunter2") != secret.Mask {
		t.Error("the value is not known as secret")
	}
}

// Templates that never end, and files that include one another without end, cost a
// bounded time, and leave an error.
func TestRunaways(t *testing.T) {
	o := compile(t, map[string]string{"base/top.sls": top, "base/a.sls": "{% for i in range(99999) %}{% for j in range(99999) %}{% for k in range(99999) %}{% endfor %}{% endfor %}{% endfor %}"},
		func(c *Config, _ *Request) { c.Limits.Time = 100_000_000 })
	if len(o.Errors) != 1 {
		t.Errorf("errors: %q", o.Errors)
	}
	files := map[string]string{"base/top.sls": "base:\n  '*':\n    - f0\n"}
	for i := range 400 {
		files[fmt.Sprintf("base/f%d.sls", i)] = fmt.Sprintf("include: [f%d]\n", i+1)
	}
	if o = compile(t, files, nil); len(o.Errors) == 0 || !strings.Contains(strings.Join(o.Errors, ""), "nested more than 200 deep") {
		t.Errorf("errors: %q", o.Errors)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("the minion is gone"))
	_, roots := tree(t, files, nil)
	if _, err := New(Config{Tree: roots}).Compile(ctx, &Request{ID: "web1"}); err == nil || err.Error() != "the minion is gone" {
		t.Errorf("after its end: %v", err)
	}
}

// An SLS must not lead out of the roots.
func TestOutOfRoots(t *testing.T) {
	dir, roots := tree(t, map[string]string{"base/top.sls": "base:\n  '*':\n    - ../secret\n    - /secret\n    - a\n",
		"secret.sls": "k: secret\n", "base/a.sls": "{% import_yaml '../secret.sls' as s %}\nk: {{ s }}\n"}, nil)
	res, err := New(Config{Opts: options(nil), Tree: roots}).Compile(t.Context(), &Request{ID: "web1"})
	if err != nil || strings.Contains(pytext.Repr(res.Pillar), "'secret'}") || res.Pillar.Has("k") || len(res.Errors) != 3 {
		t.Errorf("%s: %s, %v", dir, pytext.Repr(res.Pillar), err)
	}
}

func TestConcurrent(t *testing.T) {
	_, roots := tree(t, map[string]string{"base/top.sls": "base:\n  'w*':\n    - a\n  'w1':\n    - b\n", "base/a.sls": "include: [c]\nid: {{ grains.id }}\n",
		"base/b.sls": "only: w1\n", "base/c.sls": "c: {{ opts.id }}\n"}, nil)
	c := New(Config{Opts: options(nil), Tree: roots})
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			id := fmt.Sprintf("w%d", i)
			res, err := c.Compile(t.Context(), &Request{ID: wire.MinionID(id), Grains: wire.NewMap("id", id)})
			want := fmt.Sprintf("{'c': '%s', 'id': '%s'}", id, id)
			if i == 1 {
				want = "{'c': 'w1', 'id': 'w1', 'only': 'w1'}"
			}
			if err != nil || pytext.Repr(res.Pillar) != want {
				t.Errorf("%s: %v, %v", id, res, err)
			}
		})
	}
	wg.Wait()
}

func TestExplain(t *testing.T) {
	files := map[string]string{
		"base/top.sls": "base:\n  '*':\n    - a\n    - b\n",
		"base/a.sls":   "include:\n  - inc:\n      key: web\n\n{% set port = 80 %}\nweb:\n  port: {{ port }}\n  host: a\n",
		"base/inc.sls": "{% for i in [1] %}\nport: 1\n{% endfor %}\nlist: [1]\n",
		"base/b.sls":   "# comment\nweb:\n  host: b\n",
	}
	o := compile(t, files, func(c *Config, r *Request) {
		c.Opts.Set("ext_pillar", []any{wire.NewMap("extra_minion_data_in_pillar", "*")})
		r.Extra = wire.NewMap("web", wire.NewMap("host", "ext"))
		r.Override = wire.NewMap("web", wire.NewMap("host", "call"))
	})
	show := func(key string) []string {
		var out []string
		e := o.Explain(key, ":", false)
		for _, s := range e.Steps {
			out = append(out, fmt.Sprintf("%s %s %s via %v", filepath.Base(s.Where()), s.Effect, pytext.Repr(s.Value), s.Part.Via))
		}
		return append(out, pytext.Repr(e.Value))
	}
	for key, want := range map[string][]string{
		"web:port": {"inc.sls, line 2 sets it 1 via [a]", "a.sls, line 7 replaces it 80 via []", "80"},
		"web:list": {"inc.sls, line 4 sets it [1] via [a]", "[1]"},
		"web:host": {"the values of the call (pillar=) sets it 'call' via []", "a.sls, line 8 replaces it 'a' via []", "b.sls, line 3 replaces it 'b' via []",
			"ext_pillar extra_minion_data_in_pillar replaces it 'ext' via []", "'call'"},
		"nope": {"None"},
	} {
		if got := show(key); !slices.Equal(got, want) {
			t.Errorf("%s:\ngot  %q\nwant %q", key, got, want)
		}
	}
}

// Whether there may be secrets is known without a pillar.
func TestMayDecrypt(t *testing.T) {
	for name, c := range map[string]struct {
		opts  *wire.Map
		files map[string]string
		want  bool
	}{
		"plain":          {nil, map[string]string{"top.sls": top, "a.sls": "#!jinja|yaml\na: '#!gpg'\n"}, false},
		"gpg":            {nil, map[string]string{"top.sls": top, "b/c.sls": "#!yaml|gpg\na: 1\n"}, true},
		"age, arguments": {nil, map[string]string{"a.sls": "#!jinja | age x |yaml"}, true},
		"no SLS":         {nil, map[string]string{"a.txt": "#!gpg"}, false},
		"renderer":       {wire.NewMap("renderer", "jinja|yaml|gpg"), nil, true},
		"decrypt_pillar": {wire.NewMap("decrypt_pillar", []any{"a"}), nil, true},
		"ext_pillar":     {wire.NewMap("ext_pillar", []any{wire.NewMap("cmd_yaml", "x")}), nil, true},
		"nothing":        {nil, nil, false},
	} {
		files := map[string]string{}
		for name, text := range c.files {
			files["base/"+name] = text
		}
		_, roots := tree(t, files, nil)
		o := options(nil)
		for k, v := range c.opts.All() {
			o.SetAny(k, v)
		}
		if got := New(Config{Opts: o, Tree: roots}).MayDecrypt(t.Context()); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
