package eauth

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/control"
	"github.com/gosalt/gosalt/protocol/wire"
)

func TestNames(t *testing.T) {
	if !slices.Equal(Names(), control.LoginSystems) {
		t.Errorf("the command line offers %v, the master has %v", control.LoginSystems, Names())
	}
}

func rules(l ...any) []any { return l }

func newAuth(t *testing.T, external *wire.Map, more ...func(*Config)) *Auth {
	t.Helper()
	c := Config{External: external, TokenDir: filepath.Join(t.TempDir(), "tokens"), TokenExpire: time.Hour, SharedSecret: "s3cret",
		Match: func(rule, text string) bool { ok, _ := filepath.Match(rule, text); return ok },
		Log:   slog.New(slog.NewTextHandler(io.Discard, nil))}
	for _, f := range more {
		f(&c)
	}
	a, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	a.slow = time.Millisecond
	return a
}

func TestFile(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	plain := write("plain", "\nshort\nanna:secret\nbob:other:more\n")
	fields := write("fields", "x|secret|anna\n")
	// printf 'anna:ops:secret' | md5sum; htpasswd -nbB, -nbm, -nbs; openssl passwd -5 and -6
	digest := write("digest", "anna:other:00000000000000000000000000000000\nanna:ops:bf906061544fe99880fabfba7ec10db6\n")
	for _, tt := range []struct {
		name           string
		part           *wire.Map
		user, password string
		ok             bool
	}{
		{"plain", wire.NewMap("^filename", plain), "anna", "secret", true},
		{"plain, wrong", wire.NewMap("^filename", plain), "anna", "secret2", false},
		{"plain, a part", wire.NewMap("^filename", plain), "anna", "secre", false},
		{"plain, nobody", wire.NewMap("^filename", plain), "carl", "secret", false},
		{"plain, empty", wire.NewMap("^filename", plain), "short", "", false},
		{"other fields", wire.NewMap("^filename", fields, "^field_separator", "|", "^username_field", int64(3), "^password_field", int64(2)), "anna", "secret", true},
		{"htdigest", wire.NewMap("^filename", digest, "^filetype", "htdigest", "^realm", "ops"), "anna", "secret", true},
		{"htdigest, wrong", wire.NewMap("^filename", digest, "^filetype", "htdigest", "^realm", "ops"), "anna", "secret2", false},
		{"htdigest, other realm", wire.NewMap("^filename", digest, "^filetype", "htdigest", "^realm", "other"), "anna", "secret", false},
		{"no file", wire.NewMap("^filename", dir+"/none"), "anna", "secret", false},
	} {
		a := newAuth(t, wire.NewMap("file", tt.part))
		_, err := a.Login(context.Background(), Credentials{Backend: "file", User: tt.user, Password: tt.password})
		if (err == nil) != tt.ok || err != nil && !errors.Is(err, ErrDenied) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// Made by crypt(3) and openssl passwd.
const htpasswdFile = `sha512:$6$fxyOE.CYDmpjX0Xv$0h9hJ0uOvSN2RyhgWzSX3CdZOQoBuJQ/OmmKPkx4SPhlqiMv7OBv4NVOcmeqRjR8MJnyU5usOvx2poZ8EXjCr1
sha256:$5$rux/JIkE.D2ztPqn$bl3dDrNW9b0JCyVaQLi0607JxKYD2NtJco0APKq/pM.
md5crypt:$1$YN64F5V4$J9ZxBxvcQ149OmlbfsIms0
bcrypt:$2b$12$y9LxKVd.sv2a.GmbcxTjluo3jbEYFjwVEdBDpelTZ7ZlP4iCOI5WW
apr1:$apr1$9IuJOIIB$Of1/tLx.BpKbB6ZMO1h6h.
sha:{SHA}93+J3Sxv5qhoPxB/Mzauy/8nhyk=
`

func TestHtpasswd(t *testing.T) {
	name := filepath.Join(t.TempDir(), "htpasswd")
	if err := os.WriteFile(name, []byte(htpasswdFile), 0o600); err != nil {
		t.Fatal(err)
	}
	a := newAuth(t, wire.NewMap("file", wire.NewMap("^filename", name, "^filetype", "htpasswd")))
	for _, line := range strings.Fields(htpasswdFile) {
		user, _, _ := strings.Cut(line, ":")
		if _, err := a.Login(context.Background(), Credentials{Backend: "file", User: user, Password: "Pa:ss w0rd"}); err != nil {
			t.Errorf("%s: %v", user, err)
		}
		if _, err := a.Login(context.Background(), Credentials{Backend: "file", User: user, Password: "Pa:ss w0rd2"}); !errors.Is(err, ErrDenied) {
			t.Errorf("%s with a wrong password: %v", user, err)
		}
	}
}

func TestHashes(t *testing.T) {
	// Each of Python's hashlib for "secret".
	for hash, sum := range map[string]string{
		"md5":      "5ebe2294ecd0e0f08eab7690d2a6ee69",
		"sha1":     "e5e9fa1ba31ecd1ae84f75caaa474f3a663f05f4",
		"sha224":   "95c7fbca92ac5083afda62a564a3d014fc3b72c9140e3cb99ea6bf12",
		"sha256":   "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b",
		"sha384":   "58a775ba4112be3005ae4407ce757d88fda71d40497bb8026ecac54d4e3ffc7232ce8de3ab5acb30ae39760fee7c53ed",
		"sha512":   "bd2b1aaf7ef4f09be9f52ce2d8d599674d81aa9d6a4421696dc4d93dd0619d682ce56b4d64a9ef097761ced99e0f67265b5f76085e5b0ee7ca4696b2ad6fe2b2",
		"sha3_224": "9817fd4e8ae39d6e41532989e4422c5a7e46411dab4d2fdfa2270dad",
		"sha3_256": "f5a5207a8729b1f709cb710311751eb2fc8acad5a1fb8ac991b736e69b6529a3",
		"sha3_384": "5222ddb86d6061d2c0ef2bbc607271ff6f355d4283fd54267766b88ee186ca93ab0e421f3142755d56f76ee87889cb8c",
		"sha3_512": "b778a39a3663719dfc5e48c9d78431b1e45c2af9df538782bf199c189dabeac7680ada57dcec8eee91c4e3bf3bfa9af6ffde90cd1d249d1c6121d7b759a001b1",
		"blake2b":  "5fb6a5dd1b937f0c8a3ffc1cdb35edda4a41b2ca72b94e3d2c99c080aed86526aefcdc1e312cdd144d50b0bcd4a402051acd3373f90a96df6e13d9a0a9948993",
		"blake2s":  "66e754709229a1a76f12b770d612d4dba1d51e28894e2dce1b53ca15104f84c0",
	} {
		if err := (textFile{":", hash, 0, 1}).check([]byte("anna:"+sum+"\n"), "anna", "secret"); err != nil {
			t.Errorf("%s: %v", hash, err)
		}
		if err := (textFile{":", hash, 0, 1}).check([]byte("anna:"+sum+"\n"), "anna", sum); err == nil {
			t.Errorf("%s: the hash is taken for the password", hash)
		}
	}
}

func TestConfiguredRules(t *testing.T) {
	part := wire.NewMap("anna", rules("a"), "a*", rules("glob"), "*", rules("all"), "ops%", rules("ops"), "^x", "y")
	for _, tt := range []struct {
		user       string
		groups     []string
		permissive bool
		want       []any
	}{
		{"anna", nil, false, rules("a", "glob")},
		{"anna", []string{"ops"}, false, rules("a", "glob", "ops")},
		{"bob", nil, false, rules("all")},
		{"bob", []string{"ops"}, false, rules("ops", "all")},
		{"anna", nil, true, rules("a", "glob", "all")},
	} {
		a := newAuth(t, wire.NewMap("auto", part), func(c *Config) { c.Permissive = tt.permissive })
		if got := a.configured("auto", tt.user, tt.groups); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s %v permissive=%t: %v, want %v", tt.user, tt.groups, tt.permissive, got, tt.want)
		}
	}
}

func TestREST(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method != http.MethodPost || r.FormValue("password") != "secret":
			w.WriteHeader(http.StatusUnauthorized)
		case r.FormValue("username") == "anna":
			io.WriteString(w, `["test.*", {"web*": ["cmd.run"]}, "@runner"]`)
		case r.FormValue("username") == "big":
			io.WriteString(w, "["+strings.Repeat(`"x",`, 1<<20)+`"x"]`)
		case r.FormValue("username") == "moved":
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}
	}))
	defer srv.Close()
	a := newAuth(t, wire.NewMap("rest", wire.NewMap("^url", srv.URL, "anna", rules("own.rule"), "bob", rules("own.rule"))))
	for _, tt := range []struct {
		user, password string
		want           string // of the rules; "" denied
	}{
		{"anna", "secret", "['own.rule', 'test.*', {'web*': ['cmd.run']}, '@runner']"},
		{"bob", "secret", "['own.rule']"},
		{"carl", "secret", "[]"},
		{"anna", "wrong", ""},
		{"big", "secret", ""},
		{"moved", "secret", ""},
	} {
		id, err := a.Login(context.Background(), Credentials{Backend: "rest", User: tt.user, Password: tt.password})
		got := ""
		if err == nil {
			got = pytext.Repr(id.Rules)
		}
		if got != tt.want {
			t.Errorf("%s: %s, %v; want %s", tt.user, got, err, tt.want)
		}
	}
	// The rules are kept with a token: it knows no password to ask with.
	id, _ := a.Login(context.Background(), Credentials{Backend: "rest", User: "anna", Password: "secret"})
	tok, err := a.MakeToken(id, 0)
	if err != nil {
		t.Fatal(err)
	}
	srv.Close()
	if id, err = a.Login(context.Background(), Credentials{Token: tok.Token}); err != nil || len(id.Rules) != 4 {
		t.Errorf("by token: %+v, %v", id, err)
	}
}

func TestTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuth(t, wire.NewMap("sharedsecret", wire.NewMap("anna", rules("test.*"))), func(c *Config) {
			c.ExpireOverride = wire.NewMap("sharedsecret", rules("anna"))
		})
		login := func(c Credentials) *Identity {
			t.Helper()
			id, err := a.Login(context.Background(), c)
			if err != nil {
				t.Fatal(err)
			}
			return id
		}
		id := login(Credentials{Backend: "sharedsecret", User: "anna", Password: "s3cret"})
		tok, err := a.MakeToken(id, 0)
		if err != nil {
			t.Fatal(err)
		}
		again := login(Credentials{Token: tok.Token})
		if again.Name != "anna" || !reflect.DeepEqual(again.Rules, id.Rules) {
			t.Errorf("by token: %+v", again)
		}
		if _, err := a.MakeToken(again, 0); !errors.Is(err, ErrDenied) {
			t.Errorf("a token gave a token: %v", err)
		}
		for _, bad := range []string{"x", strings.Repeat("0", 64), "../../etc/passwd", strings.ToUpper(tok.Token), tok.Token + "0"} {
			if _, err := a.Login(context.Background(), Credentials{Token: bad}); !errors.Is(err, ErrDenied) {
				t.Errorf("token %q: %v", bad, err)
			}
		}
		long, err := a.MakeToken(id, 3*time.Hour)
		if err != nil || long.Expire.Sub(long.Start) != 3*time.Hour {
			t.Fatalf("own time: %v, %v", long, err)
		}
		time.Sleep(time.Hour)
		if _, err := a.Login(context.Background(), Credentials{Token: tok.Token}); !errors.Is(err, ErrDenied) {
			t.Errorf("after its time: %v", err)
		}
		login(Credentials{Token: long.Token})
		time.Sleep(2 * time.Hour)
		if err := a.Purge(); err != nil {
			t.Fatal(err)
		}
		if left, _ := os.ReadDir(a.tokens.dir); len(left) != 0 {
			t.Errorf("%d tokens are left", len(left))
		}
	})
}

func TestLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuth(t, wire.NewMap("sharedsecret", wire.NewMap("*", rules("test.*"))))
		try := func(source, user, password string) error {
			_, err := a.Login(context.Background(), Credentials{Backend: "sharedsecret", User: user, Password: password, Source: source})
			return err
		}
		var wait *Wait
		for i := 0; !errors.As(try("a", "anna", "wrong"), &wait); i++ {
			if i > perSource {
				t.Fatalf("%d failures, and no end", i)
			}
		}
		if err := try("a", "anna", "s3cret"); !errors.As(err, &wait) {
			t.Errorf("the right password after too many wrong ones: %v", err)
		}
		if err := try("b", "anna", "s3cret"); err != nil {
			t.Errorf("from elsewhere: %v", err)
		}
		time.Sleep(wait.For)
		if err := try("a", "anna", "s3cret"); err != nil {
			t.Errorf("after the wait: %v", err)
		}
		// Many sources and one account.
		denied := 0
		for i := range 3 * perAccount {
			if err := try("s"+string(rune('A'+i%26))+string(rune('a'+i/26)), "bob", "wrong"); errors.Is(err, ErrDenied) {
				denied++
			}
		}
		if denied > perAccount+1 {
			t.Errorf("%d attempts at one account were let through", denied)
		}
	})
}

func TestSecretsDoNotPrint(t *testing.T) {
	c := Credentials{Backend: "file", User: "anna", Password: "s3cret", Source: "uid 1"}
	for _, text := range []string{c.String(), c.GoString(), c.LogValue().String(), Credentials{Token: "s3cret"}.String()} {
		if strings.Contains(text, "s3cret") {
			t.Errorf("%q shows it", text)
		}
	}
}

func TestBadConfig(t *testing.T) {
	for want, external := range map[string]*wire.Map{
		`there is no backend "ldapp"`:        wire.NewMap("ldapp", wire.NewMap()),
		"^filename is missing":               wire.NewMap("file", wire.NewMap("anna", rules())),
		"a list of rules expected":           wire.NewMap("auto", wire.NewMap("anna", "test.*")),
		"users with their rules expected":    wire.NewMap("auto", rules("anna")),
		"^hashtype":                          wire.NewMap("file", wire.NewMap("^filename", "x", "^hashtype", "rot13")),
		"^realm is missing":                  wire.NewMap("file", wire.NewMap("^filename", "x", "^filetype", "htdigest")),
		"^url: an address":                   wire.NewMap("rest", wire.NewMap("^url", "ftp://x")),
		"the option sharedsecret is missing": wire.NewMap("sharedsecret", wire.NewMap()),
	} {
		_, err := New(Config{External: external, Log: slog.New(slog.DiscardHandler)})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v; want %q", external, err, want)
		}
	}
}
