package decrypt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"
	"filippo.io/age/armor"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/secret"
	"github.com/gosalt/gosalt/protocol/wire"
)

// gpgHome makes a home of gpg with one key, without passphrase.
func gpgHome(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("gpg"); err != nil {
		t.Skip("gpg is not installed")
	}
	dir, err := os.MkdirTemp("", "gpg") // short: the agent's socket is in there
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		exec.Command("gpgconf", "--homedir", dir, "--kill", "all").Run()
		os.RemoveAll(dir)
	})
	gpg(t, dir, "", "--passphrase", "", "--quick-gen-key", "master@example.com", "future-default", "default", "never")
	return dir
}

func gpg(t *testing.T, home, stdin string, args ...string) string {
	t.Helper()
	cmd := exec.Command("gpg", append([]string{"--homedir", home, "--batch", "--yes", "--quiet", "--trust-model", "always"}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("gpg %v: %v\n%s", args, err, &errs)
	}
	return string(out)
}

func gpgBlock(t *testing.T, home, text string) string {
	return gpg(t, home, text, "--armor", "-r", "master@example.com", "--encrypt")
}

func ageBlock(t *testing.T, to age.Recipient, text string) string {
	t.Helper()
	var out bytes.Buffer
	a := armor.NewWriter(&out)
	w, err := age.Encrypt(a, to)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, text)
	if err := errors.Join(w.Close(), a.Close()); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestGPG(t *testing.T) {
	home := gpgHome(t)
	one, two, bin := gpgBlock(t, home, "one\n"), gpgBlock(t, home, "two"), gpgBlock(t, home, "\xff\xfe\n")
	escaped := strings.ReplaceAll(strings.TrimSpace(two), "\n", `\n`)
	shared := wire.NewMap("k", one)
	in := wire.NewMap("plain", "text", "n", int64(5), "one", one, "list", []any{two, []any{"x " + strings.TrimSpace(two) + " y " + one}},
		"bin", bin, "escaped", escaped, "a", shared, "b", shared, "bytes", []byte(two), "armor", "-----BEGIN CERTIFICATE-----\nx")
	set := secret.New()
	d := New(Options{GPGDir: home})
	got, err := d.Value(t.Context(), in, Request{Kind: "gpg", Secrets: set})
	if err != nil {
		t.Fatal(err)
	}
	// As Salt: newlines at the end of a value that had a block go.
	want := `{'plain': 'text', 'n': 5, 'one': 'one', 'list': ['two', ['x two y one']], 'bin': b'\xff\xfe', 'escaped': 'two', ` +
		`'a': {'k': 'one'}, 'b': {'k': 'one'}, 'bytes': 'two', 'armor': '-----BEGIN CERTIFICATE-----\nx'}`
	if pytext.Repr(got) != want {
		t.Errorf("got  %s\nwant %s", pytext.Repr(got), want)
	}
	if set.Text("one") != secret.Mask || set.Text("two") != secret.Mask {
		t.Errorf("the values are not known as secret: %q", set.Texts())
	}
	text, err := d.Value(t.Context(), `a: `+escaped+`\n`, Request{Kind: "gpg", Newlines: true})
	if err != nil || text != "a: two" {
		t.Errorf("text: %q, %v", text, err)
	}
}

func TestGPGFails(t *testing.T) {
	home, other := gpgHome(t), gpgHome(t)
	block := gpgBlock(t, other, "text")
	in := func() any { return wire.NewMap("db", []any{wire.NewMap("password", block)}) }
	for _, c := range []struct {
		name string
		o    Options
		want string
	}{
		{"no such key", Options{GPGDir: home}, `Could not decrypt db:0:password \(gpg\): decryption failed: No secret key; it is for key [0-9A-F]{16}; keys are read from ` + home},
		{"no directory", Options{GPGDir: home + "/none"}, `Could not decrypt db:0:password \(gpg\): the directory of gpg's keys \(gpg_keydir\): .*/none does not exist`},
		{"no program", Options{GPGDir: home, GPGProgram: "gpg-none"}, `Could not decrypt db:0:password \(gpg\): GPG unavailable: .*`},
	} {
		_, err := New(c.o).Value(t.Context(), in(), Request{Kind: "gpg"})
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		matches(t, c.name, err.Error(), c.want)
	}

	var log bytes.Buffer
	d := New(Options{GPGDir: home, Lenient: true, Log: slog.New(slog.NewTextHandler(&log, nil))})
	v, err := d.Value(t.Context(), in(), Request{Kind: "gpg", Name: "db"})
	if err != nil || pytext.Repr(v) != pytext.Repr(wire.NewMap("db", []any{wire.NewMap("password", strings.TrimSpace(block))})) {
		t.Errorf("lenient: %s, %v", pytext.Repr(v), err)
	}
	matches(t, "log", log.String(), `(?s).*level=WARN .*stays encrypted.*file=db.*db:0:password.*`)

	damaged := strings.Replace(block, "\n\n", "\n\nAAAA", 1)
	if _, err := New(Options{GPGDir: other}).Value(t.Context(), damaged, Request{Kind: "gpg"}); err == nil {
		t.Error("a damaged block was opened")
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("given up"))
	if _, err := New(Options{GPGDir: other}).Value(ctx, block, Request{Kind: "gpg"}); err == nil || err.Error() != "given up" {
		t.Errorf("after its end: %v", err)
	}
	if _, err := New(Options{GPGDir: other}).Value(t.Context(), block, Request{Kind: "gpg", MaxOutput: 2}); err == nil || !strings.Contains(err.Error(), "more than 2 bytes") {
		t.Errorf("too large: %v", err)
	}
}

func matches(t *testing.T, name, got, pattern string) {
	t.Helper()
	if !regexp.MustCompile("^(?:" + pattern + ")$").MatchString(got) {
		t.Errorf("%s: got  %s\nwant %s", name, got, pattern)
	}
}

func TestAge(t *testing.T) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	other, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "age.key")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		// A time of its own, as the clock of the file system is coarse.
		later := time.Now().Add(time.Duration(len(text)) * time.Hour)
		if err := os.Chtimes(file, later, later); err != nil {
			t.Fatal(err)
		}
	}
	write("# made by a test\n" + id.String() + "\n")
	set := secret.New()
	d := New(Options{AgeFiles: []string{file}})
	in := wire.NewMap("k", "x "+ageBlock(t, id.Recipient(), "hunter2")+"\n")
	got, err := d.Value(t.Context(), in, Request{Kind: "age", Secrets: set})
	if err != nil || pytext.Repr(got) != "{'k': 'x hunter2'}" {
		t.Errorf("%s, %v", pytext.Repr(got), err)
	}
	if set.Text("hunter2") != secret.Mask {
		t.Error("the value is not known as secret")
	}
	fails := func(name, want string) {
		t.Helper()
		_, err := d.Value(t.Context(), wire.NewMap("k", ageBlock(t, other.Recipient(), "x")), Request{Kind: "age"})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "AGE-SECRET-KEY-1Q") {
			t.Errorf("%s: %v", name, err)
		}
	}
	fails("another's", "Could not decrypt k (age): none of the identities in "+file+" can open it")
	write(other.String() + "\n" + id.String() + "\n")
	if got, err := d.Value(t.Context(), ageBlock(t, other.Recipient(), "x"), Request{Kind: "age"}); err != nil || got != "x" {
		t.Errorf("after the file changed: %v, %v", got, err)
	}
	write("AGE-SECRET-KEY-1QQQQ\n")
	fails("no key", "holds no identities")
	os.Remove(file)
	fails("no file", "no such file")
	d = New(Options{})
	fails("nothing configured", "set age_identity_file")
	d = New(Options{AgeFiles: []string{file}})
	write(id.String())
	block := ageBlock(t, id.Recipient(), strings.Repeat("x", 100))
	for name, text := range map[string]string{"damaged": block[:80] + "AAAA" + block[84:], "cut": block[:60] + "\n-----END AGE ENCRYPTED FILE-----"} {
		if _, err := d.Value(t.Context(), text, Request{Kind: "age"}); err == nil || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := d.Value(t.Context(), block, Request{Kind: "age", MaxOutput: 99}); err == nil || !strings.Contains(err.Error(), "more than 99 bytes") {
		t.Errorf("too large: %v", err)
	}
}

// Blocks that many ask for at once are opened once, and kept only as long as configured.
func TestOpenedOnce(t *testing.T) {
	home := gpgHome(t)
	count := filepath.Join(t.TempDir(), "count")
	program := filepath.Join(t.TempDir(), "gpg")
	script := fmt.Sprintf("#!/bin/sh\necho x >> %s\nexec gpg \"$@\"\n", count)
	if err := os.WriteFile(program, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	block := gpgBlock(t, home, "text")
	d := New(Options{GPGDir: home, GPGProgram: program, Keep: time.Hour})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if v, err := d.Value(t.Context(), block, Request{Kind: "gpg"}); err != nil || v != "text" {
				t.Errorf("%v, %v", v, err)
			}
		})
	}
	wg.Wait()
	if b, _ := os.ReadFile(count); len(b) != 2 {
		t.Errorf("gpg ran %d times", len(b)/2)
	}
}

func FuzzValue(f *testing.F) {
	f.Add("-----BEGIN PGP MESSAGE-----\\nx\n-----END PGP MESSAGE-----")
	f.Add("-----BEGIN AGE ENCRYPTED FILE-----\nx\n-----END AGE ENCRYPTED FILE-----")
	d := New(Options{GPGProgram: "no-such-program", Lenient: true})
	f.Fuzz(func(t *testing.T, text string) {
		v, err := d.Value(t.Context(), wire.NewMap("k", []any{text}), Request{Kind: "gpg", Newlines: true})
		if err != nil {
			t.Fatal(err) // what gpg cannot open stays as it is
		}
		if v.(*wire.Map).Len() != 1 {
			t.Error("the map changed")
		}
		_, _ = d.Value(t.Context(), text, Request{Kind: "age"})
	})
}
