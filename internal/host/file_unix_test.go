//go:build unix

package host

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func text(s string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, s)
		return err
	}
}

func TestReplace(t *testing.T) {
	h := &Host{Root: t.TempDir()}
	read := func(name, want, mode string) {
		t.Helper()
		b, err := os.ReadFile(h.Path(name))
		if err != nil || string(b) != want {
			t.Errorf("%s: %q, %v", name, b, err)
		}
		st, err := h.Stat(name)
		if err != nil || st.Octal() != mode {
			t.Errorf("%s: mode %v, %v; expected %s", name, st.Octal(), err, mode)
		}
	}
	if err := h.Replace("/a", Keep, 0o027, text("one")); err != nil {
		t.Fatal(err)
	}
	read("/a", "one", "0640")
	special := fs.FileMode(0o750) | fs.ModeSetuid
	if err := h.SetMode("/a", special); err != nil {
		t.Fatal(err)
	}
	if err := h.Replace("/a", Keep, -1, text("two")); err != nil {
		t.Fatal(err)
	}
	read("/a", "two", "4750")
	mode := fs.FileMode(0o600)
	if err := h.Replace("/a", Owner{UID: -1, GID: -1, Mode: &mode}, -1, text("three")); err != nil {
		t.Fatal(err)
	}
	read("/a", "three", "0600")
	broken := errors.New("broken")
	if err := h.Replace("/a", Keep, -1, func(w io.Writer) error { io.WriteString(w, "half"); return broken }); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	read("/a", "three", "0600")
	if left, _ := filepath.Glob(h.Path("/.*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// A name may be as long as names can be.
func TestLongNames(t *testing.T) {
	h := &Host{Root: t.TempDir()}
	name := "/" + strings.Repeat("n", 255)
	if err := h.WriteFile(name, []byte("x")); err != nil {
		t.Error(err)
	}
	if err := h.Symlink("to", name, true); err != nil {
		t.Error(err)
	}
}

func TestDirsAndLinks(t *testing.T) {
	h := &Host{Root: t.TempDir()}
	mode := fs.FileMode(0o711)
	if err := h.MakeDirs("/x/y/z", Owner{UID: -1, GID: -1, Mode: &mode}, -1); err != nil {
		t.Fatal(err)
	}
	if st, err := h.Stat("/x/y"); err != nil || st.Octal() != "0711" {
		t.Errorf("%v, %v", st, err)
	}
	for _, to := range []string{"z", "elsewhere"} {
		if err := h.Symlink(to, "/x/y/l", true); err != nil {
			t.Fatal(err)
		}
		if got, _ := h.Readlink("/x/y/l"); got != to {
			t.Errorf("%s", got)
		}
	}
	if got := h.Real("/x/y/l"); got != "/x/y/elsewhere" {
		t.Errorf("%s", got)
	}
	if err := h.Symlink("z", "/x/y/l", false); !errors.Is(err, fs.ErrExist) {
		t.Errorf("%v", err)
	}
}

func TestModes(t *testing.T) {
	for in, want := range map[string]string{"644": "0644", "0o755": "0755", "00644": "0644", `"4755"`: "4755", "1777": "1777", "0": "0000"} {
		if got := NormalMode(in); got != want {
			t.Errorf("%s: %s", in, got)
		}
		m, err := ParseMode(in)
		if err != nil || want != octal(m) {
			t.Errorf("%s: %v, %v", in, m, err)
		}
	}
	for _, in := range []string{"abc", "888", "77777"} {
		if _, err := ParseMode(in); err == nil {
			t.Errorf("%s is a mode", in)
		}
	}
}
