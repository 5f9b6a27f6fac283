package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gosalt/gosalt/protocol/seal"
	"github.com/gosalt/gosalt/protocol/wire"
)

var at = time.Date(2026, 11, 22, 6, 38, 58, 48545000, time.UTC)

func open(t *testing.T, path string, opt Options) *Log {
	t.Helper()
	if opt.Now == nil {
		opt.Now = func() time.Time { return at }
	}
	l, err := Open(path, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func write(t *testing.T, l *Log, what string, args ...any) {
	t.Helper()
	if err := l.Write(what, args...); err != nil {
		t.Fatal(err)
	}
}

func verify(t *testing.T, path string) Report {
	t.Helper()
	r, err := Verify(path)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// entry is the text of the values that Write makes of its arguments.
func entry(t *testing.T, args ...any) string {
	t.Helper()
	line := string(encode(1, start.hash, at, encodeValues("x", args)))
	if !json.Valid([]byte(line)) {
		t.Fatalf("not JSON: %s", line)
	}
	_, values, _ := strings.Cut(line, `"what":"x"`)
	return strings.TrimSuffix(values, "}")
}

func TestLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dir", "audit.jsonl")
	l := open(t, path, Options{})
	write(t, l, "publish", "user", "root", "fun", "cmd.run", "arg", []any{"uptime"}, "minions", 12)
	write(t, l, "login", "user", "anna")
	lines := strings.SplitAfter(read(t, path), "\n")
	want := `{"seq":1,"prev":"` + strings.Repeat("0", 64) + `","time":"2026-11-22T06:38:58.048545Z","what":"publish","user":"root","fun":"cmd.run","arg":["uptime"],"minions":12}` + "\n"
	if lines[0] != want {
		t.Errorf("got  %swant %s", lines[0], want)
	}
	if want := hashLine([]byte(strings.TrimSuffix(lines[0], "\n"))); !strings.HasPrefix(lines[1], `{"seq":2,"prev":"`+want+`"`) {
		t.Errorf("second line %s, want the hash %s", lines[1], want)
	}
	fi, err := os.Stat(path)
	if err != nil || fi.Mode() != 0o600 {
		t.Errorf("mode %v, %v", fi.Mode(), err)
	}
	if r := verify(t, path); r.Entries != 2 || !r.FromStart || !r.First.Equal(at) {
		t.Errorf("report %+v", r)
	}
}

func TestValues(t *testing.T) {
	type named string
	for want, args := range map[string][]any{
		`,"a":null,"b":true,"c":-1,"d":18446744073709551615,"e":1.5,"f":"x"`: {"a", nil, "b", true, "c", int64(-1), "d", uint64(1<<64 - 1), "e", 1.5, "f", named("x")},
		`,"m":{"z":1,"a":[],"3":{}}`:                                         {"m", wire.NewMap("z", int64(1), "a", []any{}, int64(3), wire.NewMap())},
		`,"ids":["a","b"]`:                                                   {"ids", []wire.MinionID{"a", "b"}},
		`,"why":"broken","when":"2026-11-22T06:38:58.048545Z"`:               {"why", errors.New("broken"), "when", at},
		`,"x":{"a":2,"b":1}`:                                                 {"x", map[string]int{"b": 1, "a": 2}},
		`,"nan":"NaN"`:                                                       {"nan", nan()},
		`,"_seq":7,"_prev":"x"`:                                              {"seq", 7, "prev", "x"},
		`,"!missing name":"odd"`:                                             {"odd"},
		`,"!missing name":3,"a":1`:                                           {3, "a", 1},
		`,"lines":"a\nb\u001b[2J\u0085\u202e\u2028\u007f\"\\"`:               {"lines", "a\nb\x1b[2J\u0085\u202e\u2028\x7f\"\\"},
		`,"bytes":"ok\\xff\\xfe"`:                                            {"bytes", []byte("ok\xff\xfe")},
		`,"tag":"\udb40\udc41é�"`:                                            {"tag", "\U000E0041é\uFFFD"},
	} {
		if got := entry(t, args...); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func nan() float64 { var zero float64; return zero / zero }

func TestSecretsAreLeftOut(t *testing.T) {
	pem := "-----BEGIN RSA PRIVATE KEY-----\nMIIsecret\n-----END RSA PRIVATE KEY-----"
	for name, args := range map[string][]any{
		"field":                {"password", "hidden1"},
		"field with words":     {"dbPassword", "hidden1", "api-key", "hidden2", "Auth_Token", []any{"hidden3"}},
		"map":                  {"arg", []any{wire.NewMap("__kwarg__", true, "name", "anna", "passwd", "hidden1")}},
		"other maps":           {"x", map[string]any{"secret": "hidden1", "deep": map[string]string{"token": "hidden2"}}},
		"argument":             {"arg", []any{"name=anna", "password=hidden1", "pass = 'hidden2 b'"}},
		"command line":         {"cmd", `mysql --password hidden1 -u root; curl -H "Authorization: hidden2" --api-key=hidden3`},
		"behind another":       {"cmd", "env: password=hidden1, name=x token:hidden2;x"},
		"JSON in a text":       {"arg", `{"user": "anna", "password": "hidden1 \" hidden2"}`},
		"address":              {"url", "https://anna:hidden1@example.com/x?token=hidden2&a=b"},
		"private key":          {"arg", "x " + strings.ReplaceAll(pem, "MIIsecret", "hidden1") + " y"},
		"private key cut off":  {"arg", "-----BEGIN PRIVATE KEY-----\nhidden1"},
		"typed secret":         {"x", seal.NewSecret("hidden1"), "y", []seal.Secret{seal.NewSecret("hidden2")}},
		"secret inside struct": {"x", struct{ Password string }{"hidden1"}},
	} {
		got := entry(t, args...)
		if strings.Contains(got, "hidden") {
			t.Errorf("%s: %s", name, got)
		}
		if !strings.Contains(got, redacted) && !strings.Contains(got, "[secret]") {
			t.Errorf("%s: nothing says that something is left out: %s", name, got)
		}
	}
	for _, plain := range []string{
		`,"cmd":"the password is in the safe"`, `,"fun":"user.add","arg":["name=anna","home=/home/anna"]`, `,"id":"tokenizer","passed":3`,
		`,"url":"https://example.com:8080/a@b"`, `,"password":null,"token":true`,
	} {
		dec := json.NewDecoder(strings.NewReader("{" + plain[1:] + "}"))
		var args []any
		dec.Token()
		for dec.More() {
			name, err := dec.Token()
			if err != nil {
				t.Fatal(err)
			}
			var v any
			if err := dec.Decode(&v); err != nil {
				t.Fatal(err)
			}
			args = append(args, name, v)
		}
		if got := entry(t, args...); got != plain {
			t.Errorf("got %s, want %s", got, plain)
		}
	}
}

func TestLongValuesAreCut(t *testing.T) {
	got := entry(t, "text", strings.Repeat("ü", 5000))
	if len(got) > maxText+200 || !strings.Contains(got, "... (10000 bytes, sha256 ") {
		t.Errorf("%d bytes: %.60s", len(got), got)
	}
	many := make([]any, 300)
	for i := range many {
		many[i] = strings.Repeat("x", maxText)
	}
	if got := entry(t, "many", many); !strings.HasPrefix(got, `,"too_long":{"bytes":`) || len(got) > 200 {
		t.Errorf("%d bytes: %.60s", len(got), got)
	}
	deep := any("x")
	for range 100 {
		deep = []any{deep}
	}
	if got := entry(t, "deep", deep); !strings.Contains(got, "nested too deeply") {
		t.Error(got)
	}
}

func TestVerifyFindsWhatWasChanged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	l := open(t, path, Options{})
	for n := range 5 {
		write(t, l, "publish", "n", n)
	}
	l.Close()
	good := read(t, path)
	lines := strings.SplitAfter(good, "\n")[:5]
	for name, test := range map[string]struct {
		text string
		line int
	}{
		"changed":            {strings.Replace(good, `"n":2`, `"n":7`, 1), 4},
		"removed":            {strings.Join(append(append([]string{}, lines[:1]...), lines[2:]...), ""), 2},
		"swapped":            {lines[0] + lines[2] + lines[1] + lines[3], 2},
		"twice":              {lines[0] + lines[0] + lines[1], 2},
		"put in":             {lines[0] + "hello\n" + lines[1], 3},
		"cut at the front":   {"", 0}, // allowed: old files are removed
		"cut at the end":     {"", 0}, // cannot be seen
		"first changed":      {strings.Replace(good, `"prev":"0`, `"prev":"1`, 1), 1},
		"torn, then garbage": {good + "{\"se\n{\"x", 7},
	} {
		switch name {
		case "cut at the front":
			test.text = strings.Join(lines[2:], "")
		case "cut at the end":
			test.text = strings.Join(lines[:3], "")
		}
		if err := os.WriteFile(path, []byte(test.text), 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := Verify(path)
		var broken *BrokenError
		if test.line == 0 {
			if err != nil || r.Entries != 3 || r.FromStart == (name == "cut at the front") {
				t.Errorf("%s: %+v, %v", name, r, err)
			}
			continue
		}
		if !errors.As(err, &broken) || broken.Line != test.line {
			t.Errorf("%s: %v, want line %d", name, err, test.line)
		}
	}
	if r, err := Verify(filepath.Join(t.TempDir(), "none")); err != nil || r.Entries != 0 {
		t.Errorf("no log: %+v, %v", r, err)
	}
}

func TestTornLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	l := open(t, path, Options{})
	write(t, l, "one")
	write(t, l, "two")
	l.Close()
	good := read(t, path)
	for cut := 1; cut < len(good); cut++ {
		if good[cut-1] == '\n' {
			continue
		}
		if err := os.WriteFile(path, []byte(good[:cut]), 0o600); err != nil {
			t.Fatal(err)
		}
		before, err := Verify(path)
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		l := open(t, path, Options{})
		write(t, l, "after")
		l.Close()
		r, err := Verify(path)
		if err != nil {
			t.Fatalf("cut at %d: %v\n%s", cut, err, read(t, path))
		}
		text := read(t, path)
		if !strings.HasPrefix(text, good[:cut]+"\n") {
			t.Fatalf("cut at %d: what was there has changed", cut)
		}
		noted := strings.Contains(text, `"what":"torn line","bytes":`)
		if torn := len(before.Torn) == 1; torn != noted || torn != (len(r.Torn) == 1) {
			t.Fatalf("cut at %d: torn %v, noted %v, reported %v", cut, torn, noted, r.Torn)
		}
	}
}

func TestRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	l := open(t, path, Options{MaxBytes: 1000, Keep: 3})
	for n := range 40 {
		write(t, l, "publish", "n", n, "pad", strings.Repeat("x", 100))
	}
	r := verify(t, path)
	if len(r.Files) != 4 || r.FromStart {
		t.Errorf("report %+v", r)
	}
	for _, name := range r.Files {
		if fi, err := os.Stat(name); err != nil || fi.Size() > 1400 {
			t.Errorf("%s: %v, %v", name, fi.Size(), err)
		}
	}
	l.Close()
	l = open(t, path, Options{MaxBytes: 1000, Keep: -1})
	for n := range 40 {
		write(t, l, "publish", "n", n, "pad", strings.Repeat("x", 100))
	}
	if after := verify(t, path); len(after.Files) < 10 {
		t.Errorf("%d files although all are kept", len(after.Files))
	}
	// A closed file that was removed from the middle shows.
	files := verify(t, path).Files
	if err := os.Remove(files[3]); err != nil {
		t.Fatal(err)
	}
	var broken *BrokenError
	if _, err := Verify(path); !errors.As(err, &broken) || broken.File != files[4] || broken.Line != 1 {
		t.Errorf("file removed from the middle: %v", err)
	}
	// The chain goes on over a current file that was moved away.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	write(t, l, "again")
	if text := read(t, path); strings.Count(text, "\n") != 1 {
		t.Errorf("new file: %s", text)
	}
}

func TestSeveralWriters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	var g sync.WaitGroup
	for w := range 4 {
		l := open(t, path, Options{MaxBytes: 5000, Keep: -1}) // each has its own lock, as a process has
		for range 2 {
			g.Go(func() {
				for n := range 50 {
					if err := l.Write("publish", "writer", w, "n", n); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	g.Wait()
	if r := verify(t, path); r.Entries != 400 || len(r.Files) < 5 {
		t.Errorf("report %+v", r)
	}
}

func TestClosedLog(t *testing.T) {
	l := open(t, filepath.Join(t.TempDir(), "audit.jsonl"), Options{})
	write(t, l, "one")
	for range 2 {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := l.Write("two"); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestForeignFileIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	for _, text := range []string{"hello\n", "{}\n", strings.Repeat("x", tailMax+10)} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path, Options{}); err == nil || !strings.Contains(err.Error(), "move the file away") {
			t.Errorf("%.20q: %v", text, err)
		}
		if got := read(t, path); got != text {
			t.Errorf("%.20q was changed", text)
		}
	}
	if _, err := Open(filepath.Join(path, "x"), Options{}); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("below a file: %v", err)
	}
}

// FuzzEncode: whatever is written is one line of JSON, without control characters,
// and no secret of the named field.
func FuzzEncode(f *testing.F) {
	f.Add("publish", "arg", "password=x\x1b[0m")
	f.Add("", "", "--token 'a b'\xff")
	f.Add("x", "key", "-----BEGIN PRIVATE KEY-----")
	f.Fuzz(func(t *testing.T, what, name, value string) {
		line := encode(1, start.hash, at, encodeValues(what, []any{name, value, "m", wire.NewMap(name, []any{value}), "password", value}))
		if !json.Valid(line) {
			t.Fatalf("not JSON: %q", line)
		}
		if i := bytes.IndexFunc(line, func(r rune) bool { return r < 0x20 || r >= 0x7f && r < 0xa0 }); i >= 0 {
			t.Fatalf("control character at %d: %q", i, line)
		}
		if len(value) > 0 && !bytes.HasSuffix(line, []byte(`"password":"`+redacted+`"}`)) {
			t.Fatalf("secret: %q", line)
		}
	})
}

func BenchmarkWrite(b *testing.B) {
	l, err := Open(filepath.Join(b.TempDir(), "audit.jsonl"), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	for b.Loop() {
		if err := l.Write("publish", "user", "root", "uid", 0, "fun", "cmd.run", "arg", []any{"uptime"}, "tgt", "*", "jid", fmt.Sprint("2026112206385804", 8545)); err != nil {
			b.Fatal(err)
		}
	}
}
