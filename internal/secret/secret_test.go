package secret

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

const pem = "-----BEGIN KEY-----\nMIIEowIBAAKCAQEA\nq83vEjRWeJCrze8S\nab\n-----END KEY-----\n"

func TestText(t *testing.T) {
	s := New("hunter2", "hunter2-longer", "pin", "tab\tand \"quotes\"", pem)
	for _, c := range []struct{ name, in, want string }{
		{"whole", "hunter2", Mask},
		{"within", "user:hunter2@db", "user:" + Mask + "@db"},
		{"the longest", "x hunter2-longer x", "x " + Mask + " x"},
		{"twice", "hunter2hunter2", Mask + Mask},
		{"short and whole", "pin", Mask},
		{"short and whole, with a newline", "pin\n", Mask},
		{"short within others", "spinning pin", "spinning pin"},
		{"as JSON writes it", `{"k": "tab\tand \"quotes\""}`, `{"k": "` + Mask + `"}`},
		{"as Python writes it", `'tab\tand "quotes"'`, `'` + Mask + `'`},
		{"base64", "Authorization: Basic aHVudGVyMg==", "Authorization: Basic " + Mask},
		{"in an address", "https://h/?q=tab%09and+%22quotes%22&x", "https://h/?q=" + Mask + "&x"},
		{"a line of many in a diff", "+MIIEowIBAAKCAQEA\n ab\n+-----END KEY-----", "+" + Mask + "\n ab\n+-----END KEY-----"},
		{"nothing", "all is well", "all is well"},
		{"empty", "", ""},
	} {
		if got := s.Text(c.in); got != c.want {
			t.Errorf("%s: %q became %q, want %q", c.name, c.in, got, c.want)
		}
	}
}

func TestValue(t *testing.T) {
	s := New("hunter2", "hunter3")
	s.AddValue(wire.NewMap("n", int64(12345678), "small", int64(5)))
	in := wire.NewMap("a", []any{"x", "hunter2"}, "n", int64(12345678), "five", int64(5), "b", []byte("is hunter2"),
		"id_hunter2", true, "hunter2", int64(1), "hunter3", int64(2), "c", wire.NewMap("d", "ok"))
	before := pytext.Repr(in)
	got := pytext.Repr(s.Value(in))
	want := "{'a': ['x', '**********'], 'n': '**********', 'five': 5, 'b': 'is **********', 'id_**********': True, " +
		"'**********': 1, '********** (2)': 2, 'c': {'d': 'ok'}}"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if pytext.Repr(in) != before {
		t.Errorf("the value itself was changed: %s", pytext.Repr(in))
	}
	if clean := wire.NewMap("a", "b"); s.Value(clean) != any(clean) {
		t.Error("a value without secrets was copied")
	}
	var none *Set
	none.Add("x")
	if none.Text("x") != "x" || none.Len() != 0 {
		t.Error("a nil set hides something")
	}
}

func TestLog(t *testing.T) {
	var out bytes.Buffer
	s := New("hunter2")
	log := slog.New(s.Handler(slog.NewTextHandler(&out, nil))).With("with", "hunter2")
	err := s.Error(fmt.Errorf("open hunter2: %w", fs.ErrNotExist))
	if !errors.Is(err, fs.ErrNotExist) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("error: %v", err)
	}
	log.WithGroup("g").Info("login with hunter2", "a", "hunter2", "err", errors.New("bad hunter2"),
		slog.Group("in", "b", "hunter2"), "list", []string{"hunter2"}, "map", wire.NewMap("k", "hunter2"), "n", 3)
	if text := out.String(); strings.Contains(text, "hunter2") || strings.Count(text, Mask) != 7 {
		t.Errorf("the log says: %s", text)
	}
}

// What is forgotten is the oldest, and a set does not grow without end.
func TestBounds(t *testing.T) {
	s := New()
	for i := range maxSecrets + 10 {
		s.Add(fmt.Sprintf("secret-%06d", i))
	}
	if s.Len() != maxSecrets {
		t.Errorf("%d secrets are kept", s.Len())
	}
	if s.Text("secret-000003") != "secret-000003" || s.Text("secret-000010") != Mask {
		t.Error("others than the oldest were forgotten")
	}
}

func FuzzText(f *testing.F) {
	f.Add("hunter2", "user:hunter2@db")
	f.Add("a\nbcdefghij", "bcdefghij a")
	f.Fuzz(func(t *testing.T, secret, text string) {
		out := New(secret).Text(text)
		if trimmed := strings.TrimSpace(secret); len([]rune(trimmed)) >= minWithin && !strings.Contains(Mask, trimmed) &&
			!strings.ContainsAny(trimmed, "*") && strings.Contains(out, trimmed) {
			t.Errorf("%q is still in %q", secret, out)
		}
	})
}
